"""The height of the road under two wheels: ISO 8608 roughness of a lane, and the shapes of defects on top of it.

Roughness belongs to the lane, not to the pass: every vehicle that comes along feels the same road, and its errors are
correlated from pass to pass as they are in a city. It does not change across the width over which a driver wanders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .truth import HALF_TRACK_M, LANES, Lane, Truth, lane_centre_m

STEP_M = 0.02
"""Twice this moves the peak of a deep hole by 9 %; half of it doubles the cost, moves that of a 0.3 m hole by 9 %, of
all others by 2 %."""
PAD_M = 60.0
"""Road before and after the street, for the run-up."""
WHEEL_RADIUS_M = 0.3
WHEEL_WIDTH_M = 0.25

_N0 = 0.1
CLASS_A_M3, CLASS_B_M3 = 16e-6, 64e-6  # Gd(n0) in the middle of the classes of ISO 8608
_LOWEST, _HIGHEST = 0.011, 10.0  # cycles/m: longer waves are the lie of the land, shorter ones the tyre swallows


@dataclass(frozen=True)
class Patch:
    """A defect in the coordinates of a lane: s_m along in the driving direction, y_m left of the lane's middle."""

    s_m: float
    y_m: float
    length_m: float
    width_m: float
    depth_m: float
    shape: str
    defect: int


@dataclass(frozen=True, eq=False)
class LaneSurface:
    """One lane as driven: height_m and disc_m float64 (2, k): left and right wheel path from -PAD_M on, a value each
    STEP_M; disc_m as a wheel's disc rides it. patches: all defects in this lane, also those without height."""

    street: int
    lane: Lane
    length_m: float
    height_m: NDArray[np.float64]
    disc_m: NDArray[np.float64]
    patches: tuple[Patch, ...]


def iso8608_m(rng: np.random.Generator, count: int, density_m3: float) -> NDArray[np.float64]:
    """Left and right profile of a lane, m, float64 (2, count), a value each STEP_M; density_m3 is Gd(n0).

    Random phases on the one-sided spectrum Gd(n) = Gd(n0) (n / n0)^-2 of ISO 8608; the coherence of the two sides
    exp(-1.2 track n) is a model: long waves lift the whole car, short ones one wheel.
    """
    n = np.fft.rfftfreq(count, STEP_M)
    inside = (n >= _LOWEST) & (n <= _HIGHEST)
    density = np.zeros_like(n)
    density[inside] = density_m3 * (n[inside] / _N0) ** -2
    # irfft divides by count: a one-sided density G asks for mean square |X|² = G count / (2 step).
    amplitude = np.sqrt(density * count / (2 * STEP_M))
    white = (rng.standard_normal((2, len(n))) + 1j * rng.standard_normal((2, len(n)))) / math.sqrt(2)
    coherence = np.exp(-1.2 * 2 * HALF_TRACK_M * n)
    right = coherence * white[0] + np.sqrt(1 - coherence**2) * white[1]
    return np.asarray(np.fft.irfft(np.stack([white[0], right]) * amplitude, count, axis=1), dtype=np.float64)


def _lane_m(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Profiles (2, count) of class A that slowly worsen to at most class B and back."""
    s = np.arange(count) * STEP_M
    # Slow, so that the gain's own slope adds no roughness.
    worse = 0.5 + 0.5 * np.sin(2 * np.pi * (s / rng.uniform(180, 400) + rng.uniform()))
    gain = np.power(math.sqrt(CLASS_B_M3 / CLASS_A_M3), rng.uniform(0.2, 1.0) * worse)
    return np.asarray(iso8608_m(rng, count, CLASS_A_M3) * gain, dtype=np.float64)


def under_disc(height_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """How high the hub of a disc of WHEEL_RADIUS_M rides over a profile (..., k), less its radius.

    A crack of 2 cm lowers it by 0.17 mm: that is why no IMU sees one. The last radius at each end is not to be used.
    """
    reach = int(WHEEL_RADIUS_M / STEP_M)
    best = height_m.copy()
    for i in range(1, reach + 1):
        drop = math.sqrt(WHEEL_RADIUS_M**2 - (i * STEP_M) ** 2) - WHEEL_RADIUS_M
        np.maximum(best[..., i:], height_m[..., :-i] + drop, out=best[..., i:])
        np.maximum(best[..., :-i], height_m[..., i:] + drop, out=best[..., :-i])
    return best


def shape_m(patch: Patch, ds_m: NDArray[np.float64], dy_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height that a defect adds at ds_m after and dy_m left of its middle, m, arrays of one shape.

    Hole: superellipse -d (1 - (r/R)^4)^(1/4), steep edge and flat bottom. Sunken (a frame): as deep all over, its edge
    3 cm. Dip: Gaussian, length and width are four sigma. Hump: half a cosine along, flat across. Step: up at once and
    back to nothing along its length.
    """
    u, v = ds_m / (patch.length_m / 2), dy_m / (patch.width_m / 2)
    r = np.hypot(u, v)
    beside = np.abs(v) <= 1
    height = np.zeros_like(r)
    if patch.shape == "hole":
        height = -(np.clip(1 - r**4, 0, 1) ** 0.25)
    elif patch.shape == "sunken":
        height = -np.clip((1 - r) * (patch.length_m / 2) / 0.03, 0, 1)
    elif patch.shape == "dip":
        height = -np.exp(-2 * r**2)
    elif patch.shape == "hump":
        height = np.where(beside & (np.abs(u) < 1), np.cos(np.clip(u, -1, 1) * np.pi / 2), 0.0)
    elif patch.shape == "step":
        height = np.where(beside & (np.abs(u) < 1), (1 - u) / 2, 0.0)
    return np.asarray(height * patch.depth_m, dtype=np.float64)


def _patches(truth: Truth, street: int, lane: Lane) -> tuple[Patch, ...]:
    found = []
    for number, defect in enumerate(truth.defects):
        if defect.street != street or defect.lane not in (lane, "both"):
            continue
        y_m = defect.lateral_m - lane_centre_m(lane)
        s_m = defect.along_m
        if lane == "backward":
            y_m, s_m = -y_m, truth.streets[street].length_m - s_m
        found.append(Patch(s_m, y_m, defect.length_m, defect.width_m, defect.depth_mm / 1000, defect.shape, number))
    return tuple(sorted(found, key=lambda p: p.s_m))


def lane_surfaces(truth: Truth, seed: int) -> dict[tuple[int, Lane], LaneSurface]:
    """All lanes of the truth. The same seed gives the same road, whoever drives and however often."""
    lanes = {}
    for index, street in enumerate(truth.streets):
        count = round((street.length_m + 2 * PAD_M) / STEP_M)
        for number, lane in enumerate(LANES):
            height = _lane_m(np.random.default_rng([seed, 1, index, number]), count)
            lanes[index, lane] = LaneSurface(
                index, lane, street.length_m, height, under_disc(height), _patches(truth, index, lane)
            )
    return lanes


def ridden_m(surface: LaneSurface, s_m: NDArray[np.float64], y_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of the two hubs over the lane in one pass, float64 (2, k), on the grid of the surface.

    s_m, y_m: float64 (j,), rising distance and the vehicle's offset to the left of the lane's middle. A tyre is as
    high as the mean over its width: soft across. (A stiff one would ride on the edge of a hole that it only half
    meets.)
    """
    heights = surface.disc_m.copy()
    margin = WHEEL_RADIUS_M + STEP_M
    across = np.linspace(-0.4, 0.4, 5)[:, None] * WHEEL_WIDTH_M
    for patch in surface.patches:
        if patch.shape == "none":
            continue
        reach = (1.0 if patch.shape == "dip" else 0.5) * patch.length_m + margin
        first = max(0, math.floor((patch.s_m - reach + PAD_M) / STEP_M))
        last = min(heights.shape[1], math.ceil((patch.s_m + reach + PAD_M) / STEP_M))
        grid = np.arange(first, last) * STEP_M - PAD_M
        offset = np.interp(grid, s_m, y_m)
        edge = math.ceil(WHEEL_RADIUS_M / STEP_M)
        for wheel, aside in enumerate((HALF_TRACK_M, -HALF_TRACK_M)):
            dy = (offset + aside - patch.y_m) + across
            shape = shape_m(patch, np.broadcast_to(grid - patch.s_m, dy.shape), dy).mean(axis=0)
            disc = under_disc(surface.height_m[wheel, first:last] + shape)
            heights[wheel, first + edge : last - edge] = disc[edge:-edge]
    return heights
