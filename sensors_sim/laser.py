"""Laser lines across the lane, and bands of sound under the floor of a box."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .plan import WAY_HZ, Meeting, Motion, Plan, Series

Profile = Callable[[Plan, Series, NDArray[np.float64]], NDArray[np.float64]]
"""Heights (m) of the bare road, (k, p), at s_m (k,) along and y_m (k, p) across the lane."""

LINE_HZ = 80.0
"""At 40 km/h a line each 14 cm: half as many step over small potholes; twice as many double the bytes for the same
five lines that a severe hole has already."""
POINTS, WIDTH_M = 32, 3.1
"""A point each 10 cm over nearly the whole lane."""
SCALE_M = 1e-4
NOISE_M = 0.8e-3
"""Of a point, read in the science notes."""
DROPPED = -32768
"""Count of a point that came back without a height: the wire format has no other word for it."""
DROP_DRY, DROP_WET, DROP_PONDING = 0.002, 0.06, 0.7
"""Share of points without a height; assumed. Standing water throws the beam away."""

BAND_STEP_S = 0.1
CENTRE_HZ: Series = 1000.0 * 2.0 ** np.arange(-4.0, 4.0)
"""Octaves of 63 Hz to 8 kHz."""
_TYRE_DB = np.array([62.0, 66.0, 68.0, 70.0, 73.0, 68.0, 60.0, 52.0])
"""Under the floor at 50 km/h on smooth dense asphalt; the shape of tyre noise with its hump at 1 kHz, assumed."""
_TYRE_SLOPE = np.array([25.0, 27.0, 30.0, 32.0, 34.0, 34.0, 33.0, 32.0])  # dB a tenfold of speed; 30 to 40 is usual
_TEXTURE_DB = np.array([5.0, 6.0, 6.0, 4.5, 2.5, 1.0, 0.5, 0.0])  # at 1 mm RMS more than dense asphalt, log above
_WET_DB = np.array([0.0, 0.0, 0.0, 1.0, 3.0, 7.0, 10.0, 11.0])
_FLOOR_DB = np.array([58.0, 55.0, 50.0, 47.0, 44.0, 40.0, 36.0, 33.0])  # engine, fans, body
_CLANK_DB = np.array([-22.0, -14.0, -6.0, 0.0, 2.0, 0.0, -4.0, -10.0]) + 84.0  # at 1 m/s² RMS in the row
_BOOM_DB = np.array([14.0, 8.0, 0.0, -8.0, -16.0, -24.0, -32.0, -40.0]) + 62.0  # at 1 m/s² RMS of the body
_ROUGH_DB = {"A": 0.0, "B": 0.8, "C": 2.0, "D": 3.5}
_LASER, _BANDS, _ROAD = range(51, 54)  # purposes of generators


def _at(values: Series, t_s: Series, rate_hz: float) -> Series:
    """Linear interpolation in evenly spaced values, from 0 s on, ends held."""
    at = np.clip(t_s * rate_hz, 0, len(values) - 1)
    low = np.minimum(at.astype(np.int64), len(values) - 2)
    share = at - low
    return np.asarray(values[low] * (1 - share) + values[low + 1] * share)


@njit(cache=True)
def _seen(
    road: NDArray[np.float64],
    height: NDArray[np.float64],
    lean: NDArray[np.float64],
    aside: NDArray[np.float64],
    noise: NDArray[np.float32],
    luck: NDArray[np.float32],
    lost: NDArray[np.float64],
    out: NDArray[np.int16],
) -> None:
    """Counts of the road (k, p) less a body at height (k,) and lean (k,), with noise, and DROPPED where luck is below
    lost (k,)."""
    for i in range(road.shape[0]):
        for j in range(road.shape[1]):
            if luck[i, j] < lost[i]:
                out[i, j] = DROPPED
                continue
            x = road[i, j] - height[i] - lean[i] * aside[j] + NOISE_M * noise[i, j]
            out[i, j] = np.int16(min(max(np.rint(x / SCALE_M), -32767.0), 32767.0))


def lines(plan: Plan, motion: Motion, profile: Profile, met: tuple[Meeting, ...]) -> NDArray[np.int16]:
    """Counts (k, POINTS) of SCALE_M, LINE_HZ lines a second from the way's begin on, the left end first.

    A height is the road's above the plane of the body at rest: the body's own heave and roll are in it. The scanner
    sits over the front axle, like the box.
    """
    rng = np.random.default_rng([plan.pass_seed, plan.device_seed, _LASER])
    way = plan.way
    t = np.arange(math.floor(way.duration_s * LINE_HZ) + 1) / LINE_HZ
    aside = np.linspace(WIDTH_M / 2, -WIDTH_M / 2, POINTS)
    s, y = _at(way.s_m, t, WAY_HZ), _at(way.y_m, t, WAY_HZ)
    road = profile(plan, s, y[:, None] + aside)
    height, lean = (_at(x, t, motion.rate_hz) for x in (motion.z_m, np.sin(motion.roll_rad)))
    lost = np.full(len(t), DROP_WET if plan.wet else DROP_DRY)
    for m in met:
        if plan.stretch.things[m.thing].kind == "ponding":
            lost[(t >= m.in_s - way.t0_s) & (t <= m.out_s - way.t0_s)] = DROP_PONDING
    noise, luck = rng.standard_normal(road.shape, dtype=np.float32), rng.random(road.shape, dtype=np.float32)
    out = np.empty(road.shape, dtype=np.int16)
    _seen(road, height, lean, aside, noise, luck, lost, out)
    return out


def _sum_db(*levels: NDArray[np.float64]) -> NDArray[np.float64]:
    total = 10.0 ** (levels[0] / 10)
    for level in levels[1:]:
        total += 10.0 ** (level / 10)
    return np.asarray(10 * np.log10(total))


def _rms_rows(values: Series, rate_hz: float, rows: int) -> Series:
    """RMS in each row of BAND_STEP_S, (rows,)."""
    edges = np.rint(np.arange(rows) * BAND_STEP_S * rate_hz).astype(np.int64)
    sums = np.add.reduceat(values**2, edges)
    width = np.diff(np.append(edges, len(values)))
    return np.asarray(np.sqrt(sums / width))


def _clutter(rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """Levels (rows, 8) of others: vehicles that pass every half minute, a horn every three; -inf-like where none."""
    out = np.full((rows, len(CENTRE_HZ)), -50.0)
    at = np.arange(rows) * BAND_STEP_S
    for _ in range(rng.poisson(rows * BAND_STEP_S / 30)):
        near = np.exp(-(((at - rng.uniform(0, rows * BAND_STEP_S)) / rng.uniform(0.4, 1.5)) ** 2))
        out = np.maximum(out, _TYRE_DB + rng.uniform(-8, 6) + 20 * np.log10(near + 1e-4)[:, None])
    for _ in range(rng.poisson(rows * BAND_STEP_S / 180)):
        begin = rng.uniform(0, rows * BAND_STEP_S)
        on = (at >= begin) & (at < begin + rng.uniform(0.2, 1.2))
        tone = np.array([0, 0, 0, 18.0, 22.0, 20.0, 12.0, 4.0]) + rng.uniform(50, 66)
        out[on] = np.maximum(out[on], tone)
    return out


def sound(plan: Plan, motion: Motion, met: tuple[Meeting, ...]) -> NDArray[np.float32]:
    """Levels in dB (j, 8), a row each BAND_STEP_S from the way's begin on.

    Tyre noise that grows with speed and texture, the hiss of a wet road, the clanks of loose covers, the boom of the
    body when it is hit, the engine's floor, and others' noise. Assumed shapes, none measured.
    """
    rng = np.random.default_rng([plan.pass_seed, plan.device_seed, _BANDS])
    road = np.random.default_rng([plan.stretch.seed, _ROAD])
    way, things = plan.way, plan.stretch.things
    rows = math.floor(way.duration_s / BAND_STEP_S)
    middle: Series = (np.arange(float(rows)) + 0.5) * BAND_STEP_S
    speed = np.maximum(_at(way.v_mps, middle, WAY_HZ), 0.3)
    texture = np.full(rows, max(0.15, 0.45 + 0.15 * road.standard_normal()))
    wet = np.zeros((rows, 1)) + (1.0 if plan.wet else 0.0)
    smooth = np.zeros(rows)
    for m in met:
        thing = things[m.thing]
        if m.wheels == "none":
            continue
        half = 0.5 if m.wheels != "both" else 1.0
        under = (middle >= m.in_s - way.t0_s - BAND_STEP_S / 2) & (middle <= m.out_s - way.t0_s + BAND_STEP_S / 2)
        if thing.kind == "ponding":
            wet[under] = 1.6
        elif thing.kind == "bleeding":
            smooth[under] = -2.0 * half  # binder closes the texture: quieter below 1 kHz
        texture[under] = np.maximum(texture[under], thing.texture_mm * half)
    coarse = _ROUGH_DB[plan.stretch.roughness] + smooth
    above = np.log2(np.maximum(texture, 0.1) / 0.45)
    tyre = (
        _TYRE_DB + _TYRE_SLOPE * np.log10(speed / (50 / 3.6))[:, None] + road.normal(0, 1.2)
        + _TEXTURE_DB * above[:, None] * 0.6 + (_TEXTURE_DB / 6) * coarse[:, None] + _WET_DB * wet
    )
    clank = _CLANK_DB + 20 * np.log10(_rms_rows(motion.clank_mps2, motion.rate_hz, rows) + 1e-6)[:, None]
    bounce = _rms_rows(np.diff(motion.force_mps2[:, 2], prepend=motion.force_mps2[0, 2]), motion.rate_hz, rows)
    boom = _BOOM_DB + 20 * np.log10(bounce + 1e-6)[:, None]
    level = _sum_db(tyre, _FLOOR_DB + rng.normal(0, 1.5), clank, boom, _clutter(rng, rows))
    return np.asarray(level + 0.7 * rng.standard_normal(level.shape), dtype=np.float32)
