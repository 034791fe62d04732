"""The road itself: a spectrum of two slopes, alike under both wheels for long waves, and the things on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..plan import Plan, Series, Stretch
from .shapes import height_m

STEP_M = 0.025
"""Of the height under a wheel. Larger, and a chamfer of 2 cm falls between two values; smaller costs time."""
_COARSE_M = 0.05  # of the random road: waves under 0.1 m are texture that the contact patch averages out
_LEVEL_M3 = {
    "A": 16e-6,
    "B": 64e-6,
    "C": 256e-6,
    "D": 1024e-6,
}  # of ISO 8608 at 0.1 cycles per metre, read in it by others
_LATERAL_M = 3.1  # half a period of the part that differs across the lane: at a track of 1.55 m it is uncorrelated
_BEYOND_M = 300.0  # the road repeats after its length and this, so that before and after it there is road too
_PATCH_M = 0.05  # half of the contact patch's length: the two cams stand here
_CAM_M = (
    0.30,
    0.33,
)  # half axes of a cam, along and up; exponent 1.8 of the superellipse (Schmeitz, 2004, from memory)
_CAM_REACH_M = 0.275  # shorter, and a wheel falls into a manhole as a point would


@dataclass(frozen=True, eq=False)
class Ground:
    """Random road of one stretch: heights (n,) in metres each `_COARSE_M`, periodic; two parts that differ across."""

    common_m: Series
    one_m: Series
    other_m: Series


@lru_cache(maxsize=12)
def ground(length_m: float, roughness: str, seed: int) -> Ground:
    """The random road of a stretch. Raises KeyError for a roughness beyond A to D.

    The level at 0.1 cycles per metre is that of ISO 8608 for the class, varied by some 25 %; the exponent is 2.0 to
    2.5 for long waves and 1.7 to 2.1 for short ones. The share that both wheels have in common falls with the wave
    number as 1 / (1 + (n / 0.17)²).
    """
    rng = np.random.default_rng([seed, 411])
    n = 1 << int(np.ceil(np.log2((length_m + _BEYOND_M) / _COARSE_M)))
    wave = np.fft.rfftfreq(n, _COARSE_M)
    level = _LEVEL_M3[roughness] * np.exp(rng.normal(0, 0.22))
    bend, long_slope, short_slope = rng.uniform(0.12, 0.4), rng.uniform(2.0, 2.5), rng.uniform(1.7, 2.1)
    safe = np.maximum(wave, 0.012)
    density = level * np.where(
        safe < bend, (safe / 0.1) ** -long_slope, (bend / 0.1) ** -long_slope * (safe / bend) ** -short_slope
    )
    density[wave < 0.012] = 0.0
    share = 1 / (1 + (wave / 0.17) ** 2)
    parts = []
    for portion in (share, 1 - share, 1 - share):
        size = np.sqrt(density * portion * wave[1]) * (n / 2)
        parts.append(np.fft.irfft(size * (rng.standard_normal(len(wave)) + 1j * rng.standard_normal(len(wave))), n))
    return Ground(parts[0], parts[1], parts[2])


@njit(cache=True)
def _random(common: Series, one: Series, other: Series, s: Series, y: Series) -> Series:  # pragma: no cover
    """Straight between the values of the road before and behind each place; the last factors turn with y."""
    out = np.empty(len(s))
    n = len(common)
    for i in range(len(s)):
        at = s[i] / _COARSE_M
        cell = int(np.floor(at))
        part = at - cell
        here = cell % n
        there = here + 1 if here + 1 < n else 0
        turn = np.pi * y[i] / _LATERAL_M
        c, d = np.cos(turn), np.sin(turn)
        low = common[here] + c * one[here] + d * other[here]
        high = common[there] + c * one[there] + d * other[there]
        out[i] = low + (high - low) * part
    return out


def random_height_m(stretch: Stretch, s_m: Series, y_m: Series) -> Series:
    """Height of the road without its things, m, at places along and across (same shapes)."""
    of = ground(stretch.length_m, stretch.roughness, stretch.seed)
    flat = _random(of.common_m, of.one_m, of.other_m, np.ravel(s_m), np.ravel(y_m))
    return np.asarray(flat.reshape(y_m.shape))


@njit(cache=True)
def _cams(z: NDArray[np.float64], drop: NDArray[np.float64], half: int) -> NDArray[np.float64]:  # pragma: no cover
    """Effective height: the mean of two cams that each rest on the highest point under their curve."""
    n, reach = len(z), len(drop) // 2
    cam = np.empty(n)
    for i in range(n):
        best = -1e9
        for j in range(max(0, i - reach), min(n, i + reach + 1)):
            best = max(best, z[j] - drop[j - i + reach])
        cam[i] = best
    out = np.empty(n)
    for i in range(n):
        out[i] = 0.5 * (cam[max(0, i - half)] + cam[min(n - 1, i + half)])
    return out


def _drop() -> Series:
    reach = round(_CAM_REACH_M / STEP_M)
    x = np.arange(-reach, reach + 1) * STEP_M / _CAM_M[0]
    return np.asarray(_CAM_M[1] * (1 - (1 - np.abs(x) ** 1.8) ** (1 / 1.8)))


_DROP = _drop()


@dataclass(frozen=True, eq=False)
class Tracks:
    """What two wheels roll over: heights (n,) each `STEP_M` from start_m on, already as the tyre feels them."""

    start_m: float
    left_m: Series
    right_m: Series


def _track(plan: Plan, s_m: Series, y_m: Series) -> Series:
    width = plan.wheels.width_m
    z = random_height_m(plan.stretch, s_m, y_m)
    asides = np.linspace(-0.4, 0.4, 5 if width > 0.35 else 3) * width
    for thing in plan.stretch.things:
        first = np.searchsorted(s_m, thing.s_m - thing.length_m / 2 - 0.4)
        last = np.searchsorted(s_m, thing.s_m + thing.length_m / 2 + 0.4)
        if first >= last:
            continue
        u, w = s_m[first:last] - thing.s_m, y_m[first:last] - thing.y_m
        reach = thing.width_m / 2 + width
        if thing.kind != "edge_break" and (w.min() > reach or w.max() < -reach):
            continue
        z[first:last] += height_m(thing, np.broadcast_to(u, (len(asides), len(u))), w + asides[:, None]).mean(axis=0)
    return np.asarray(_cams(z, _DROP, round(_PATCH_M / STEP_M)))


def tracks(plan: Plan) -> Tracks:
    """Heights under the left and the right wheels along all that the plan's vehicle drives."""
    way = plan.way
    start = float(way.s_m[0]) - plan.wheels.wheelbase_m - 1.0
    s_m = start + STEP_M * np.arange(int((float(way.s_m[-1]) + 1.0 - start) / STEP_M) + 2, dtype=np.float64)
    y_m = np.interp(s_m, way.s_m, way.y_m)
    half = plan.wheels.half_track_m
    left = _track(plan, s_m, y_m + half)
    return Tracks(start, left, left if half == 0 else _track(plan, s_m, y_m - half))


def heights_m(plan: Plan, s_m: Series, y_m: Series, near: Callable[[int], NDArray[np.int64]]) -> NDArray[np.float64]:
    """Heights (k, p) of the bare road on k lines at s_m (k,) with y_m (k, p): what a laser looks at.

    ``near``: given a thing's number, which lines may touch it.
    """
    z = random_height_m(plan.stretch, np.broadcast_to(s_m[:, None], y_m.shape), y_m)
    for number, thing in enumerate(plan.stretch.things):
        lines = near(number)
        if len(lines):
            u = np.broadcast_to(s_m[lines, None], (len(lines), y_m.shape[1])) - thing.s_m
            z[lines] += height_m(thing, u, y_m[lines] - thing.y_m)
    return z
