"""Whether a road file is in an offset datum of Chinese maps though nobody says so: by laying it under places that are
known.

Such files are mostly labelled WGS 84. Read as each datum in turn, the lines of the right one lie under the places where
vehicles drove (or on the lines of an earlier import), and those of the others hundreds of metres beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest import to_frame

from .projection import Zone, project, within_reach
from .sections import Metres
from .shapes import Degrees

_LEAST_PLACES = 100
"""Places from which a datum is recognised. Fewer lie on one street, beside which another may run by chance."""
_ENOUGH = 0.4
"""Share of the places that must have a line of the right datum. Higher, and cars whose fixes err by 10 m on wide roads
are not enough: of those on record in Xi'an 57 % have a line; lower, and a dense network fits by chance: in the wrong
datum 10 to 13 % of them have one (chosen with these figures in view)."""
_AHEAD = 0.25
"""How far its share must be ahead of the next. Smaller, and chance decides; larger, and a dense network is never
clear."""
_SUSPECTED = 0.1
_STEP_M, _RASTER_M = 4.0, 8.0
# A line is a chain of points; a place has a line where one of them lies in the 3 x 3 squares of 8 m around it.
DATUMS = ("wgs84", "gcj02", "bd09")


class DatumUnclear(ValueError):
    """The lines fit an offset datum better than WGS 84, but not so well that it is certain."""


@dataclass(frozen=True)
class Recognised:
    """datum: that fits, "" where nothing can be said. shares: of the places that have a line, by datum; places: how
    many were compared."""

    datum: str
    shares: dict[str, float]
    places: int


def recognise(lines: Sequence[Degrees], x_m: Metres, y_m: Metres, zone: Zone) -> Recognised:
    """Which datum the lines (longitude and latitude, as the file has them) are in, by places that are known to lie on
    roads (metres of the zone, (n,)). Raises DatumUnclear."""
    finite = [line for line in lines if np.isfinite(line).all()]
    shares: dict[str, float] = {}
    inside = np.zeros(0, dtype=np.intp)
    for datum in DATUMS:
        easting, northing = _chain(finite, zone, datum)
        if not len(easting):
            return Recognised("", {}, 0)
        if datum == "wgs84":  # places far beyond the file's own extent say nothing about it
            reach = 2_000.0
            keep = (x_m > easting.min() - reach) & (x_m < easting.max() + reach)
            keep &= (y_m > northing.min() - reach) & (y_m < northing.max() + reach)
            inside = np.flatnonzero(keep)
            if len(inside) < _LEAST_PLACES:
                return Recognised("", {}, len(inside))
        lined = np.sort(_raster(easting, northing))
        place = _raster(x_m[inside], y_m[inside])
        near = np.zeros(len(inside), dtype=bool)
        for d_x in (-1, 0, 1):
            for d_y in (-1, 0, 1):
                beside = place + (d_y << 24) + d_x
                near |= lined[np.minimum(np.searchsorted(lined, beside), len(lined) - 1)] == beside
        shares[datum] = round(float(near.mean()), 3)
    best, second = sorted(DATUMS, key=lambda d: -shares[d])[:2]
    if shares[best] >= _ENOUGH and shares[best] - shares[second] >= _AHEAD:
        return Recognised(best, shares, len(inside))
    if best != "wgs84" and shares[best] - shares["wgs84"] >= _SUSPECTED:
        told = ", ".join(f"{d} {shares[d]:.0%}" for d in DATUMS)
        raise DatumUnclear(
            f"the file may be in {best}: of {len(inside)} places known to be on roads there is a line at {told}. "
            "That is not certain: ask who made the file, and say --datum wgs84, cgcs2000, gcj02 or bd09"
        )
    return Recognised("", shares, len(inside))


def _chain(lines: Sequence[Degrees], zone: Zone, datum: str) -> tuple[Metres, Metres]:
    """Points every few metres along all lines."""
    if not lines:
        return np.zeros(0), np.zeros(0)
    points = np.concatenate(lines)
    last = np.cumsum([len(line) for line in lines]) - 1
    lon, lat, _ = to_frame(points[:, 0], points[:, 1], datum, "wgs84")
    held = within_reach(lon, lat, zone)
    x, y = project(np.where(held, lon, zone.meridian_deg), np.where(held, lat, 0.0), zone)
    begins = np.ones(len(points), dtype=bool)
    begins[last] = False
    a = np.flatnonzero(begins[:-1] & held[:-1] & held[1:])
    many = np.ceil(np.hypot(x[a + 1] - x[a], y[a + 1] - y[a]) / _STEP_M).astype(np.int64) + 1
    many = np.minimum(many, 50_000)
    seg = np.repeat(np.arange(len(a)), many)
    part = (np.arange(len(seg)) - np.repeat(np.cumsum(many) - many, many)) / np.maximum(many - 1, 1)[seg]
    return x[a][seg] + part * (x[a + 1] - x[a])[seg], y[a][seg] + part * (y[a + 1] - y[a])[seg]


def _raster(x: Metres, y: Metres) -> NDArray[np.int64]:
    return np.floor(y / _RASTER_M).astype(np.int64) << 24 | np.floor(x / _RASTER_M).astype(np.int64)
