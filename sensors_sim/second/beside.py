"""What a box may have beside its inertial sensor: lines of a laser across the lane, and levels of sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..plan import WAY_HZ, Motion, Plan, Series
from .clank import Hits
from .relief import heights_m

LASER_SCALE_M = 0.0004
BANDS_HZ = np.array([63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0])
BANDS_STEP_S = 0.2
_LASER_NOISE_M = (0.0007, 0.0015)
_PLACE_S = 1.0  # windows into which the way is cut to find the lines near a thing


def laser(plan: Plan, motion: Motion) -> tuple[float, float, float, NDArray[np.int16]]:
    """Begin in unix seconds, lines per second, width in m, and counts (k, p) times `LASER_SCALE_M`.

    Heights of the road below the front axle's middle against the level around, upwards, from left to right; the
    body's own heave and roll are taken out but for a tenth. Wet road swallows one point in seven: then the last one
    beside it is repeated.
    """
    own = np.random.default_rng([plan.device_seed, 481])
    rng = np.random.default_rng([plan.pass_seed, 482])
    points, width = int(own.integers(24, 49)), float(own.uniform(2.6, 3.4))
    hz = float(own.choice([60.0, 80.0, 100.0, 120.0]))
    way = plan.way
    t = np.arange(int(way.duration_s * hz)) / hz
    ticks = np.arange(len(way.s_m)) / WAY_HZ
    s = np.interp(t, ticks, way.s_m)
    across = np.linspace(width / 2, -width / 2, points)
    y = np.interp(t, ticks, way.y_m)[:, None] + across + float(own.normal(0, 0.04))

    def near(number: int) -> NDArray[np.int64]:
        thing = plan.stretch.things[number]
        return np.flatnonzero(np.abs(s - thing.s_m) <= thing.length_m / 2 + 0.4)

    z = heights_m(plan, s, y, near)
    ride = np.arange(len(motion.z_m)) / motion.rate_hz
    lift = np.interp(t, ride, motion.z_m)
    roll = np.interp(t, ride, motion.roll_rad)
    level = z.mean(axis=1)
    keep = np.exp(-2 * np.pi * 0.15 / hz)  # what the sensor takes for its own level follows with 0.15 Hz
    slow = _follow(level, keep)
    z = z - slow[:, None] - 0.1 * (lift - _follow(lift, keep))[:, None] - 0.1 * roll[:, None] * across
    z += rng.normal(0, own.uniform(*_LASER_NOISE_M), z.shape) + float(own.normal(0, 0.0015))
    lost = rng.random(z.shape) < (0.14 if plan.wet else 0.012)
    lost[:, 0] = False
    beside = np.maximum.accumulate(np.where(lost, 0, np.arange(points)), axis=1)
    z = np.take_along_axis(z, beside, axis=1)
    counts = np.clip(np.rint(z / LASER_SCALE_M), -32768, 32767).astype(np.int16)
    return way.t0_s, hz, width, counts


def _follow(x: Series, keep: float) -> Series:
    """A level that follows x, by averages over some time to both sides: the sensor looks ahead and back."""
    half = max(1, int(1 / (1 - keep)))
    sums = np.cumsum(np.concatenate([np.zeros(1), np.pad(x, half, mode="edge")]))
    return np.asarray((sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1))


_TILT_DB = np.array([4.0, 5.0, 4.0, 2.0, 0.0, -6.0, -14.0])
_WET_DB = np.array([0.0, 0.0, 1.0, 2.0, 4.0, 9.0, 12.0])
_ROUGH_DB = {"A": -1.5, "B": 0.0, "C": 2.0, "D": 4.0}


def bands(plan: Plan, of: Hits) -> tuple[float, NDArray[np.float32]]:
    """Begin in unix seconds and levels in dB (j, 7) of octaves each `BANDS_STEP_S`.

    Rolling noise grows with 32 times the logarithm of the speed; texture under either wheel, water and loose covers
    add energy.
    """
    own = np.random.default_rng([plan.device_seed, 483])
    rng = np.random.default_rng([plan.pass_seed, 484])
    way = plan.way
    j = max(1, int(way.duration_s / BANDS_STEP_S))
    t = (np.arange(j) + 0.5) * BANDS_STEP_S
    ticks = np.arange(len(way.s_m)) / WAY_HZ
    s, v, y = (np.interp(t, ticks, x) for x in (way.s_m, way.v_mps, way.y_m))
    level = 62.0 + 32.0 * np.log10(np.maximum(v, 0.8) / 10.0) + _ROUGH_DB[plan.stretch.roughness]
    db = level[:, None] + _TILT_DB + own.normal(0, 1.5, 7) + (_WET_DB if plan.wet else 0.0)
    db += rng.normal(0, 1.1, (j, 7)) + rng.normal(0, 0.8, (j, 1))
    energy = 10 ** (db / 10)
    half = plan.wheels.half_track_m
    for thing in plan.stretch.things:
        wet = thing.kind == "ponding"
        loud = 4.0 * thing.texture_mm + (14.0 if wet else 0.0)
        if loud <= 0:
            continue
        on = np.zeros(j)
        for behind in (0.0, plan.wheels.wheelbase_m):
            for aside in (half, -half):
                touches = np.abs(y + aside - thing.y_m) < thing.width_m / 2 + 0.05
                reach = np.maximum(v * BANDS_STEP_S, 0.1)
                low = np.maximum(s - behind - reach / 2, thing.s_m - thing.length_m / 2)
                high = np.minimum(s - behind + reach / 2, thing.s_m + thing.length_m / 2)
                on += touches * np.clip((high - low) / reach, 0, 1) / 4
        shape = np.array([-6, -3, 0, 1, 2, 6, 8.0] if wet else [-4, -1, 2, 3, 2, -1, -3.0])
        energy += on[:, None] * 10 ** ((level[:, None] + _TILT_DB + min(loud, 16.0) + shape) / 10)
    clang = np.array([0.0, 2.0, 4.0, 6.0, 5.0, 2.0, -2.0])
    for when, size in zip(of.t_s, of.size_mps2, strict=True):
        row = int(when / BANDS_STEP_S)
        if 0 <= row < j:
            energy[row] += 10 ** ((60.0 + 20 * np.log10(size) + clang) / 10)
    return way.t0_s + 0.0, (10 * np.log10(energy)).astype(np.float32)
