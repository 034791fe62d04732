"""Accelerometer and gyroscope: from what a rigid box over the axle feels to the counts that a device writes down.

A box is screwed on, a little tilted. A phone sits anyhow in a holder that rings, its clock jitters, and hands move it.
The chain is holder -> axes -> low-pass -> sampling -> hands -> bias and noise -> counts. Every figure of a device is a
draw from a range that is assumed, wide enough to hold the devices one meets; none was measured on a device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .plan import Act, Motion, Plan, Series

G_MPS2 = 9.80665
_DEVICE, _NOISE, _HANDS, _PLACE = range(31, 35)  # purposes of generators
BEHIND_M = (0.0, 2.5)
"""How far behind the front axle a device sits: on the dashboard, under a seat, on a back shelf. All on the axle, and
what is trained takes the front wheels for the only ones."""


@dataclass(frozen=True, eq=False)
class Unit:
    """One inertial unit as it is mounted.

    axes: (3, 3), its axes as rows in vehicle axes. low_pass_hz: before sampling. holder_hz, holder_damping: (3,), of
    the holder along the vehicle's axes; holder_hz 0 is rigid. *_bias: (3,); *_noise: sigma of a sample. jitter_s: sigma
    of the sampling moments, late_share: of samples that come up to late_s late. has_gyro: phones may lack it.
    """

    axes: NDArray[np.float64]
    low_pass_hz: float
    holder_hz: Series
    holder_damping: Series
    acc_bias_mps2: Series
    acc_noise_mps2: float
    acc_scale_mps2: float
    gyro_bias_radps: Series
    gyro_noise_radps: float
    gyro_scale_radps: float
    jitter_s: float
    late_share: float
    late_s: float
    has_gyro: bool


def rotation(vector_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (..., 3, 3) that turn vectors by the rotation vectors (..., 3): the formula of Rodrigues."""
    v = np.asarray(vector_rad, dtype=np.float64)
    angle = np.sqrt((v**2).sum(-1))[..., None, None]
    zero = np.zeros(v.shape[:-1])
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape[:-1], 3, 3)
    first = np.sinc(angle / np.pi)
    second = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.asarray(np.eye(3) + first * cross + second * (cross @ cross), dtype=np.float64)


def anyhow(rng: np.random.Generator) -> NDArray[np.float64]:
    """Axes of a device that lies anyhow: uniform on SO(3), from a random unit quaternion (Shoemake's way)."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    v = np.array([x, y, z])
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray((w * w - v @ v) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * cross, dtype=np.float64)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


@lru_cache(maxsize=4096)
def box_unit(device_seed: int, rate_hz: float) -> Unit:
    """The unit of a box: tilted by some 1.5 degrees about each axis, range 16 g and 500 degrees/s."""
    rng = np.random.default_rng([device_seed, _DEVICE])
    return Unit(
        axes=rotation(np.radians(rng.normal(0, 1.5, 3))).T,
        low_pass_hz=rate_hz * rng.uniform(0.38, 0.45),
        holder_hz=np.zeros(3),
        holder_damping=np.zeros(3),
        acc_bias_mps2=rng.normal(0, 0.05, 3),
        acc_noise_mps2=_log_uniform(rng, 0.012, 0.04),
        acc_scale_mps2=16 * G_MPS2 / 32768,
        gyro_bias_radps=np.radians(rng.normal(0, 0.3, 3)),
        gyro_noise_radps=math.radians(_log_uniform(rng, 0.05, 0.15)),
        gyro_scale_radps=math.radians(500) / 32768,
        jitter_s=0.0,
        late_share=0.0,
        late_s=0.0,
        has_gyro=True,
    )


@lru_cache(maxsize=4096)
def phone_unit(device_seed: int, rate_hz: float) -> Unit:
    """The unit of a phone: anyhow on SO(3), in a holder that rings at 12 to 40 Hz, its samples handed over by an app
    that takes them as they come and calls them evenly spaced. One in seven has no gyroscope."""
    rng = np.random.default_rng([device_seed, _DEVICE])
    ring = _log_uniform(rng, 12, 40)
    return Unit(
        axes=anyhow(rng),
        low_pass_hz=rate_hz * rng.uniform(0.42, 0.8),
        holder_hz=np.clip(ring * np.array([rng.uniform(0.8, 1.6), rng.uniform(0.8, 1.6), 1.0]), 12, 60),
        holder_damping=np.array([_log_uniform(rng, 0.06, 0.35) for _ in range(3)]),
        acc_bias_mps2=rng.normal(0, 0.12, 3),
        acc_noise_mps2=_log_uniform(rng, 0.015, 0.08),
        acc_scale_mps2=(4 if rng.random() < 0.2 else 8) * G_MPS2 / 32768,
        gyro_bias_radps=np.radians(rng.normal(0, 0.6, 3)),
        gyro_noise_radps=math.radians(_log_uniform(rng, 0.05, 0.4)),
        gyro_scale_radps=math.radians(2000) / 32768,
        jitter_s=_log_uniform(rng, 0.3e-3, 4e-3),
        late_share=rng.uniform(0, 0.02),
        late_s=1.5 / rate_hz,
        has_gyro=bool(rng.random() > 1 / 7),
    )


def _low_pass(cut_hz: float, rate_hz: float) -> NDArray[np.float64]:
    """Butterworth of fourth order as two sections (b0 b1 b2 a1 a2), by the bilinear transform."""
    k = math.tan(math.pi * cut_hz / rate_hz)
    rows = []
    for q in (0.541196100146197, 1.306562964876377):
        norm = 1 / (1 + k / q + k * k)
        rows.append([k * k * norm, 2 * k * k * norm, k * k * norm, 2 * (k * k - 1) * norm, (1 - k / q + k * k) * norm])
    return np.array(rows)


def _holder(hz: float, damping: float, rate_hz: float) -> list[float]:
    """What a mass on a spring passes on from its base, (2 z w s + w²) / (s² + 2 z w s + w²), by the bilinear
    transform with the frequency kept; a section (b0 b1 b2 a1 a2). Rigid where hz is 0."""
    if hz <= 0:
        return [1.0, 0.0, 0.0, 0.0, 0.0]
    k = math.tan(math.pi * hz / rate_hz)
    d = 2 * damping * k
    norm = 1 / (1 + d + k * k)
    return [(d + k * k) * norm, 2 * k * k * norm, (k * k - d) * norm, 2 * (k * k - 1) * norm, (1 - d + k * k) * norm]


@njit(cache=True)
def _sense(
    force: NDArray[np.float64],
    rate: NDArray[np.float64],
    holder: NDArray[np.float64],
    axes: NDArray[np.float64],
    low_pass: NDArray[np.float64],
    at: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """force, rate (n, 3) in vehicle axes -> out (m, 6) in device axes at the sample numbers ``at`` (m,), rising.

    holder (3, 5) and low_pass (2, 5) are sections, run in transposed direct form II from the rest at the first value.
    """
    n, m = force.shape[0], at.shape[0]
    held = np.zeros((3, 2))
    state = np.zeros((6, 2, 2))
    before, now, felt = np.zeros(6), np.zeros(6), np.zeros(3)
    k = 0
    for i in range(n):
        for c in range(3):
            x = force[i, c]
            if i == 0:
                held[c, 1] = (holder[c, 2] - holder[c, 4]) * x
                held[c, 0] = (holder[c, 1] - holder[c, 3]) * x + held[c, 1]
            y = holder[c, 0] * x + held[c, 0]
            held[c, 0] = holder[c, 1] * x - holder[c, 3] * y + held[c, 1]
            held[c, 1] = holder[c, 2] * x - holder[c, 4] * y
            felt[c] = y
        for c in range(6):
            before[c] = now[c]
            a = c % 3
            if c < 3:
                x = axes[a, 0] * felt[0] + axes[a, 1] * felt[1] + axes[a, 2] * felt[2]
            else:
                x = axes[a, 0] * rate[i, 0] + axes[a, 1] * rate[i, 1] + axes[a, 2] * rate[i, 2]
            for j in range(2):
                if i == 0:
                    state[c, j, 1] = (low_pass[j, 2] - low_pass[j, 4]) * x
                    state[c, j, 0] = (low_pass[j, 1] - low_pass[j, 3]) * x + state[c, j, 1]
                y = low_pass[j, 0] * x + state[c, j, 0]
                state[c, j, 0] = low_pass[j, 1] * x - low_pass[j, 3] * y + state[c, j, 1]
                state[c, j, 1] = low_pass[j, 2] * x - low_pass[j, 4] * y
                x = y
            now[c] = x
        while k < m and at[k] <= i:
            share = at[k] - (i - 1)
            for c in range(6):
                out[k, c] = before[c] + share * (now[c] - before[c]) if i > 0 else now[c]
            k += 1
    while k < m:
        for c in range(6):
            out[k, c] = now[c]
        k += 1


def _turned(values: NDArray[np.float64], path_rad: NDArray[np.float64], rate_hz: float) -> None:
    """Turns the rows of values (m, 6) with the device along rotation vectors (m, 3), in place."""
    turn = rotation(path_rad)
    values[:, :3] = np.einsum("nji,nj->ni", turn, values[:, :3])
    values[:, 3:] = np.einsum("nji,nj->ni", turn, values[:, 3:]) + np.gradient(path_rad, 1 / rate_hz, axis=0)


def _ease(count: int) -> Series:
    """From 0 to 1 with a soft begin and end."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.arange(count) / max(count - 1, 1)))


def _handled(values: NDArray[np.float64], act: Act, rate_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Taken up, turned about, put back otherwise: returns the rotation vector at the end."""
    count = len(values)
    t = np.arange(count) / rate_hz
    window = np.sqrt(np.maximum(np.sin(np.pi * np.arange(count) / max(count - 1, 1)), 0.0))
    path = np.zeros((count, 3))
    shake = np.zeros((count, 3))
    for axis in range(3):
        for _ in range(3):
            path[:, axis] += rng.normal(0, 0.35) * np.sin(2 * np.pi * rng.uniform(0.2, 1.6) * t + rng.uniform(0, 6))
            shake[:, axis] += rng.normal(0, 0.9) * np.sin(2 * np.pi * rng.uniform(1, 9) * t + rng.uniform(0, 6))
    end = rng.normal(0, 0.3, 3)
    path = act.strength * (path * window[:, None] + end * _ease(count)[:, None])
    _turned(values, path, rate_hz)
    values[:, :3] += act.strength * shake * window[:, None]
    for at in (0, count - 1):  # taken out of the holder, put back
        _knock(values, at, act.strength * rng.uniform(2, 12), rate_hz, rng)
    return np.asarray(path[-1])


def _knock(values: NDArray[np.float64], at: int, size_mps2: float, rate_hz: float, rng: np.random.Generator) -> None:
    """One hit that rings out within a tenth of a second."""
    rest = min(len(values) - at, max(1, round(0.25 * rate_hz)))
    direction = rng.standard_normal(3)
    t = np.arange(rest) / rate_hz
    ring = np.exp(-t / rng.uniform(0.01, 0.05)) * np.cos(2 * np.pi * rng.uniform(8, 60) * t)
    values[at : at + rest, :3] += size_mps2 * ring[:, None] * (direction / np.linalg.norm(direction))


def _dropped(values: NDArray[np.float64], act: Act, rate_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Falls freely, hits, bounces, lies otherwise."""
    count = len(values)
    fall = max(2, min(count - 2, round(rng.uniform(0.15, 0.4) * rate_hz)))
    end = rng.normal(0, 1.0, 3)
    path = np.zeros((count, 3))
    path[:fall] = end * _ease(fall)[:, None]
    path[fall:] = end
    _turned(values, path, rate_hz)
    values[:fall, :3] *= 0.05
    for n in range(int(rng.integers(2, 5))):
        at = min(count - 1, fall + round(n * rng.uniform(0.05, 0.2) * rate_hz))
        _knock(values, at, act.strength * rng.uniform(20, 70) / (n + 1) ** 1.5, rate_hz, rng)
    return end


def _typing(values: NDArray[np.float64], act: Act, rate_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Taps of a thumb, each with a little turn."""
    count = len(values)
    taps = rng.poisson(act.duration_s * rng.uniform(2, 6))
    path = np.zeros((count, 3))
    for at in np.sort(rng.integers(0, count, taps)).tolist():
        _knock(values, at, act.strength * rng.uniform(0.3, 2.0), rate_hz, rng)
        rest = min(count - at, max(2, round(0.2 * rate_hz)))
        path[at : at + rest] += rng.normal(0, 0.02, 3) * np.sin(np.pi * np.arange(rest) / rest)[:, None]
    _turned(values, path * act.strength, rate_hz)
    return np.zeros(3)


_HANDLING = {"handled": _handled, "dropped": _dropped, "typing": _typing}


def in_hands(values: NDArray[np.float64], acts: tuple[Act, ...], rate_hz: float, rng: np.random.Generator) -> None:
    """What hands do to a phone, in place: values (m, 6), device axes, the first one at the way's begin. Acts of the
    vehicle (braking, turning) are none of a hand's and are left alone."""
    for act in acts:
        first = round(act.t_s * rate_hz)
        last = min(len(values), first + max(4, round(act.duration_s * rate_hz)))
        if act.kind not in _HANDLING or first < 0 or last - first < 4:
            continue
        end = _HANDLING[act.kind](values[first:last], act, rate_hz, rng)
        turn = rotation(end)
        values[last:, :3] = values[last:, :3] @ turn
        values[last:, 3:] = values[last:, 3:] @ turn


@njit(cache=True)
def _counts(
    values: NDArray[np.float64],
    bias: NDArray[np.float64],
    noise: NDArray[np.float64],
    sigma: float,
    scale: float,
    out: NDArray[np.int16],
) -> None:
    """(n, 3) as a converter of 16 bits gives them: bias and noise added, rounded, clipped at its range."""
    for i in range(values.shape[0]):
        for c in range(3):
            x = np.rint((values[i, c] + bias[c] + sigma * noise[i, c]) / scale)
            out[i, c] = np.int16(min(max(x, -32767.0), 32767.0))


def counts(
    values: NDArray[np.float64], bias: Series, noise: NDArray[np.float64], sigma: float, scale: float
) -> NDArray[np.int16]:
    """Values (n, 3) as a converter of 16 bits gives them: with bias (3,) and sigma times noise (n, 3), rounded,
    clipped at its range."""
    out = np.empty(values.shape, dtype=np.int16)
    _counts(values, bias, noise, sigma, scale, out)
    return out


def _moved(plan: Plan, motion: Motion) -> NDArray[np.float64]:
    """The force where the device sits: behind the front axle pitching heaves it, by distance times pitch
    acceleration."""
    low, high = BEHIND_M
    behind_m = np.random.default_rng([plan.device_seed, _PLACE]).uniform(low, min(high, 0.8 * plan.wheels.wheelbase_m))
    force = motion.force_mps2.copy()
    force[:, 2] += behind_m * np.gradient(motion.rate_radps[:, 1]) * motion.rate_hz
    return force


def samples(plan: Plan, motion: Motion, unit: Unit) -> tuple[NDArray[np.int16], NDArray[np.int16] | None]:
    """Counts of acceleration (m, 3) and of rotation (m, 3; None without a gyroscope), from the motion's first moment
    on at plan.rate_hz."""
    rng = np.random.default_rng([plan.pass_seed, plan.device_seed, _NOISE])
    count = math.floor((len(motion.force_mps2) - 1) / motion.rate_hz * plan.rate_hz + 1e-6) + 1
    at = np.arange(count) / plan.rate_hz
    if unit.jitter_s:
        late = np.where(rng.random(count) < unit.late_share, unit.late_s * rng.random(count), 0.0)
        at = np.maximum.accumulate(at + rng.normal(0, unit.jitter_s, count) + late)
    holder = np.array(
        [_holder(f, d, motion.rate_hz) for f, d in zip(unit.holder_hz, unit.holder_damping, strict=True)]
    )
    low_pass = _low_pass(min(unit.low_pass_hz, 0.45 * motion.rate_hz), motion.rate_hz)
    out = np.empty((count, 6))
    _sense(
        _moved(plan, motion), motion.rate_radps, holder, unit.axes, low_pass, np.maximum(at, 0) * motion.rate_hz, out
    )
    if plan.device == "phone" and plan.acts:
        in_hands(out, plan.acts, plan.rate_hz, np.random.default_rng([plan.pass_seed, plan.device_seed, _HANDS]))
    acc = counts(
        out[:, :3], unit.acc_bias_mps2, rng.standard_normal((count, 3)), unit.acc_noise_mps2, unit.acc_scale_mps2
    )
    if not unit.has_gyro:
        return acc, None
    noise = rng.standard_normal((count, 3))
    return acc, counts(out[:, 3:], unit.gyro_bias_radps, noise, unit.gyro_noise_radps, unit.gyro_scale_radps)
