"""From the datum of a fix to the city's frame, with the uncertainty that the way adds.

China's offset datums (GCJ-02 of the maps, BD-09 of Baidu) move a position by hundreds of metres; their formulas are
public by re-engineering only, so an inverted position carries a stated extra uncertainty. Between CGCS2000 (fixed to
the plate at epoch 2000.0) and WGS 84 (of today) lies the motion of the plate, which a null transform hides.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Degrees = NDArray[np.float64]

ADDED_M = {"wgs84": 0.8, "cgcs2000": 0.8, "gcj02": 1.5, "bd09": 2.0}
"""Radius (68 %) that each datum adds when it is not the city's own frame. 0.8 m is the plate's motion since 2000.0
(from memory of the literature); the inversion of GCJ-02 is exact against its public formula, but maps apply it with
differences of a metre. Smaller would let a shifted phone speak for a single square; larger would drop it."""

_A_M = 6_378_245.0  # Krasovsky 1940, on which the GCJ-02 formula is built
_E2 = 0.006_693_421_622_965_943
_BD_PI = math.pi * 3000.0 / 180.0


def _offset_deg(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """What GCJ-02 adds to a WGS 84 position, degrees."""
    x, y = lon - 105.0, lat - 35.0
    wave = 20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x))
    north += (wave + 20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    north += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x))
    east += (wave + 20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    east += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(lat)
    w2 = 1 - _E2 * np.sin(phi) ** 2
    w = np.sqrt(w2)
    d_lat = north * 180.0 / (_A_M * (1 - _E2) / (w2 * w) * np.pi)
    d_lon = east * 180.0 / (_A_M / w * np.cos(phi) * np.pi)
    return d_lon, d_lat


def gcj02_from_wgs84(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """The offset position that a Chinese map shows for a WGS 84 position, degrees."""
    d_lon, d_lat = _offset_deg(lon, lat)
    return lon + d_lon, lat + d_lat


def wgs84_from_gcj02(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """The inverse of `gcj02_from_wgs84` by fixed-point steps; five leave less than a millimetre anywhere in China."""
    w_lon, w_lat = lon, lat
    for _ in range(5):
        d_lon, d_lat = _offset_deg(w_lon, w_lat)
        w_lon, w_lat = lon - d_lon, lat - d_lat
    return w_lon, w_lat


def bd09_from_gcj02(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """Baidu's second offset on top of GCJ-02, degrees."""
    z = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_PI)
    theta = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_PI)
    return z * np.cos(theta) + 0.0065, z * np.sin(theta) + 0.006


def gcj02_from_bd09(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """The inverse of `bd09_from_gcj02` by fixed-point steps."""
    g_lon, g_lat = lon - 0.0065, lat - 0.006
    for _ in range(8):
        b_lon, b_lat = bd09_from_gcj02(g_lon, g_lat)
        g_lon, g_lat = g_lon + lon - b_lon, g_lat + lat - b_lat
    return g_lon, g_lat


def to_frame(lon: Degrees, lat: Degrees, datum: str, frame: str) -> tuple[Degrees, Degrees, float]:
    """Positions in the city's frame and the radius (68 %, metres) that the way added.

    ``datum`` as in a chunk, but not unknown: an unknown datum is refused before. ``frame`` is the city's.
    """
    added = 0.0 if datum == frame.lower() else ADDED_M[datum]
    if datum == "bd09":
        lon, lat = gcj02_from_bd09(lon, lat)
    if datum in ("bd09", "gcj02"):
        lon, lat = wgs84_from_gcj02(lon, lat)
    return lon, lat, added
