"""How one drives a stretch of the proving ground: the road's bends, the driver's speed, the wander across the lane."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .plan import WAY_HZ, Series, Stretch, Way, Wheels

GRID_M = 0.5
RUN_M = 130.0
"""Of road before and after the stretch: a lead of 3.5 s at 100 km/h."""
LEAD_S = 3.5
"""Driven before and after the stretch; what is cut into chunks loses 3 s at each end."""
_BENDS, _DRIVER = 71, 72  # purposes of generators
_LONGEST_S = 900.0
_SLOW_FOR = {"speed_bump": 22.0, "raised_crosswalk": 30.0}
"""Speed (km/h) to which one brakes before things that are meant to be seen."""
_SHUNNED = ("pothole", "defective_cover", "subsidence", "frame_level")


@dataclass(frozen=True)
class Driver:
    """How somebody drives. speed_mps: what is aimed at, slowly changing by a tenth. stops_per_km, brakes_per_km: halts
    and slowings for others. aside_m: of the middle of the lane, to the left. wander_m: sigma of the wander about that.
    accel_mps2, brake_mps2: at most; lateral_mps2: at most, in bends. swerves: whether red holes in the own wheel path
    are driven around."""

    speed_mps: float
    stops_per_km: float = 0.7
    brakes_per_km: float = 1.5
    aside_m: float = 0.0
    wander_m: float = 0.2
    accel_mps2: float = 1.3
    brake_mps2: float = 1.8
    lateral_mps2: float = 2.2
    swerves: bool = False


@dataclass(frozen=True, eq=False)
class Line:
    """The middle of a lane each GRID_M from -RUN_M on: place and course, radians clockwise from north."""

    east_m: Series
    north_m: Series
    course_rad: Series
    bend_per_m: Series


def bends(stretch: Stretch) -> Line:
    """The lane's middle as seen from above, by the stretch's seed: straights, and a bend each 250 m or so."""
    rng = np.random.default_rng([stretch.seed, _BENDS])
    count = math.ceil((stretch.length_m + 2 * RUN_M) / GRID_M) + 1
    s = np.arange(count) * GRID_M - RUN_M
    bend = np.zeros(count)
    for _ in range(rng.poisson(stretch.length_m / 250)):
        length, turn = rng.uniform(25, 90), rng.normal(0, 0.5)
        near = np.abs(s - rng.uniform(0, stretch.length_m)) / length
        bend += np.where(near < 0.5, (1 + np.cos(2 * np.pi * near)) / length, 0.0) * turn
    course = rng.uniform(0, 2 * np.pi) + np.cumsum(bend) * GRID_M
    east = np.cumsum(np.sin(course)) * GRID_M
    north = np.cumsum(np.cos(course)) * GRID_M
    middle = int((RUN_M + stretch.length_m / 2) / GRID_M)
    return Line(east - east[middle], north - north[middle], course, bend)


@njit(cache=True)
def _backwards(allow: NDArray[np.float64], step_m: float, brake: float) -> None:
    """Lowers speeds (k,) so that from each one the next is reached by braking, in place."""
    for i in range(len(allow) - 2, -1, -1):
        allow[i] = min(allow[i], math.sqrt(allow[i + 1] ** 2 + 2 * brake * step_m))


@njit(cache=True)
def _drive(
    allow: NDArray[np.float64],
    first_m: float,
    step_m: float,
    stops: NDArray[np.float64],
    begin_m: float,
    end_m: float,
    lead_s: float,
    accel: float,
    brake: float,
    dt: float,
    out: NDArray[np.float64],
) -> int:
    """Follows the speeds ``allow`` (k,) each step_m from first_m; halts at the rows of stops (place, for how long).

    out (2, n): place and speed each dt, until lead_s after end_m. Returns how many were filled. The wish acts through
    a lag of .3 s, as a foot does: without it each halt would end in a jerk that shakes more than a pothole.
    """
    s, a, wait, stop, past = begin_m, 0.0, 0.0, 0, 0
    k = min(max(int((s - first_m) / step_m), 0), len(allow) - 2)
    v = allow[k]
    n = int(out.shape[1])
    for i in range(n):
        out[0, i] = s
        out[1, i] = v
        past += s > end_m
        if past * dt > lead_s:
            return i + 1
        at = (s + v * 0.3 - first_m) / step_m
        k = min(max(int(at), 0), len(allow) - 2)
        share = min(max(at - k, 0.0), 1.0)
        wish = allow[k] * (1 - share) + allow[k + 1] * share
        if stop < len(stops):
            left = stops[stop, 0] - s
            if left < 0.4:
                wish = 0.0
                if v < 0.05:
                    wait += dt
                if wait > stops[stop, 1] or left < -6.0:
                    stop += 1
                    wait = 0.0
            else:
                wish = min(wish, 0.35 + math.sqrt(2 * 0.8 * brake * left))
        want = min(max((wish - v) * 1.5, -1.6 * brake), accel)
        a += (want - a) * dt / 0.3
        if v + a * dt < 0:
            v, a = 0.0, 0.0
        v += a * dt
        s += v * dt
    return n


def _smooth(rng: np.random.Generator, s_m: Series, shortest_m: float, longest_m: float) -> Series:
    """A slow wander of unit variance along s: eight waves of random length and phase."""
    waves = 2 * np.pi / rng.uniform(shortest_m, longest_m, 8)
    phase = rng.uniform(0, 2 * np.pi, 8)
    out = np.zeros(len(s_m))
    for k, p in zip(waves, phase, strict=True):
        out += np.sin(k * s_m + p)
    return out / 2


def _swerved(y_m: Series, s_m: Series, stretch: Stretch, wheels: Wheels, speed_mps: float) -> None:
    """Leads the way (k,) at s_m around every red hole that a wheel would meet, to the nearer side, in place."""
    for thing in stretch.things:
        if thing.grade < 2 or thing.height_mm > -20 or thing.width_m > 1.5 or thing.kind not in _SHUNNED:
            continue
        y = float(np.interp(thing.s_m, s_m, y_m))
        room = (thing.width_m + wheels.width_m) / 2 + 0.1
        for aside in (wheels.half_track_m, -wheels.half_track_m):
            off = thing.y_m - (y + aside)
            if abs(off) < room:
                shift = min(max(off - math.copysign(room, off), -1.0), 1.0)
                ahead = max(1.8 * speed_mps, 6.0) + thing.length_m / 2  # a second and a half there, as much back
                near = np.clip(1 - np.abs(s_m - thing.s_m) / ahead, 0, 0.5) * 2
                y_m += shift * (0.5 - 0.5 * np.cos(np.pi * near))
                break


def drive(stretch: Stretch, line: Line, driver: Driver, wheels: Wheels, t0_s: float, seed: int) -> Way:
    """One way along the stretch, from LEAD_S before it to LEAD_S behind it."""
    rng = np.random.default_rng([seed, stretch.seed, _DRIVER])
    s_grid: Series = np.arange(float(len(line.east_m))) * GRID_M - RUN_M
    allow = driver.speed_mps * (1 + 0.1 * _smooth(rng, s_grid, 80, 400))
    allow = np.minimum(allow, np.sqrt(driver.lateral_mps2 / np.maximum(np.abs(line.bend_per_m), 1e-4)))
    for thing in stretch.things:
        if thing.kind in _SLOW_FOR:
            near = np.abs(s_grid - thing.s_m) < thing.length_m / 2 + 4
            allow[near] = np.minimum(allow[near], _SLOW_FOR[thing.kind] / 3.6 * rng.uniform(0.7, 1.4))
    for _ in range(rng.poisson(driver.brakes_per_km * stretch.length_m / 1000)):
        near = np.abs(s_grid - rng.uniform(0, stretch.length_m)) < rng.uniform(3, 15)
        allow[near] *= rng.uniform(0.3, 0.8)
    allow = np.maximum(allow, 1.4)
    halts = rng.poisson(driver.stops_per_km * stretch.length_m / 1000)
    stops = np.column_stack([np.sort(rng.uniform(5, stretch.length_m - 5, halts)), rng.uniform(1, 12, halts)])
    _backwards(allow, GRID_M, driver.brake_mps2)
    begin_m = -min(LEAD_S * float(allow[int(RUN_M / GRID_M)]) * 1.3 + 6, RUN_M - 15)
    out = np.empty((2, round(_LONGEST_S * WAY_HZ)))
    filled = _drive(
        allow, -RUN_M, GRID_M, stops, begin_m, stretch.length_m + wheels.wheelbase_m, LEAD_S, driver.accel_mps2,
        driver.brake_mps2, 1 / WAY_HZ, out,
    )  # fmt: skip
    s, v = out[0, :filled].copy(), out[1, :filled].copy()
    y_grid = driver.aside_m + driver.wander_m * _smooth(rng, s_grid, 35, 180)
    if driver.swerves:
        _swerved(y_grid, s_grid, stretch, wheels, driver.speed_mps)
    lean = np.arctan(np.gradient(y_grid, GRID_M))
    at = (s + RUN_M) / GRID_M
    low = np.minimum(at.astype(np.int64), len(s_grid) - 2)
    share = at - low

    def then(values: Series) -> Series:
        return np.asarray(values[low] * (1 - share) + values[low + 1] * share)

    # Places to the left of the middle, worked out on the grid: a sine and a cosine for each half metre, not each 10 ms.
    east = line.east_m - y_grid * np.cos(line.course_rad)
    north = line.north_m + y_grid * np.sin(line.course_rad)
    course = np.degrees(then(line.course_rad - lean)) % 360
    return Way(t0_s, s, v, then(y_grid), then(east), then(north), course)
