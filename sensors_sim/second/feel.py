"""From what a mount feels to counts: the box's inertial sensor; a phone in a holder, a cup, on a seat, in a basket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..plan import Act, Motion, Plan, Series
from .vehicles import Vehicle, two_wheeled

Array = NDArray[np.float64]
BOX_ACC_SCALE_MPS2 = 8 * 9.80665 / 32768  # +-8 g over 16 bits
BOX_GYRO_SCALE_RADPS = np.radians(250.0) / 32768
PHONE_ACC_SCALE_MPS2 = 9.80665 / 2048  # a coarser part: half a milli-g and +-16 g
PHONE_GYRO_SCALE_RADPS = np.radians(1000.0) / 32768


@dataclass(frozen=True, eq=False)
class Felt:
    """Counts of one device, as `Ride` has them; gyro_counts None without a gyroscope."""

    acc_scale_mps2: float
    acc_counts: NDArray[np.int16]
    gyro_scale_radps: float
    gyro_counts: NDArray[np.int16] | None


@njit(cache=True)
def _holder(x: Array, rate_hz: float, modes: Array) -> Array:  # pragma: no cover
    """Specific force (n, 3) through parallel modes, rows (share, Hz, damping): what the thing on the springs feels.
    Each mode is integrated in four parts of a sample."""
    n = len(x)
    out = np.zeros((n, 3))
    h = 1.0 / (rate_hz * 4)
    for m in range(len(modes)):
        w, d = 2 * np.pi * modes[m, 1], 2 * modes[m, 2] * 2 * np.pi * modes[m, 1]
        for j in range(3):
            at, v, before = 0.0, 0.0, x[0, j]
            at = -x[0, j] / (w * w)
            for i in range(n):
                for part in range(4):
                    base = before + (x[i, j] - before) * (part + 1) * 0.25
                    v += h * (-base - d * v - w * w * at)
                    at += h * v
                before = x[i, j]
                out[i, j] += modes[m, 0] * (-d * v - w * w * at)
    return out


def _counts(x: Array, scale: float) -> NDArray[np.int16]:
    return np.clip(np.rint(x / scale), -32768, 32767).astype(np.int16)


def _turned(axis: Array, angle: Series) -> Array:
    """Rotations (n, 3, 3) by angle (n,) about one axis (Rodrigues)."""
    x, y, z = axis / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle)[:, None, None] * k + (1 - np.cos(angle))[:, None, None] * (k @ k))


def _any_rotation(rng: np.random.Generator) -> Array:
    """A rotation drawn evenly from all (QR of normals)."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return np.asarray(q if np.linalg.det(q) > 0 else -q)


def hum(plan: Plan, vehicle: Vehicle, rate_hz: float, count: int) -> Series:
    """Engine and drive at the mount, m/s² (count,): two tones that follow the speed within a gear, and a hiss."""
    rng = np.random.default_rng([plan.pass_seed, 451])
    t = np.arange(count) / rate_hz
    v = np.interp(t, np.arange(len(plan.way.v_mps)) / 100.0, plan.way.v_mps)
    pace = np.mod(v, 7.0) / 7.0 * 0.5 + 0.75
    phase = 2 * np.pi * np.cumsum(vehicle.hum_hz * pace) / rate_hz
    size = vehicle.hum_mps2 * (0.6 + 0.04 * v)
    hiss = rng.standard_normal(count) * (0.02 + 0.006 * v * (1.2 if plan.wet else 1.0))
    return np.asarray(size * (np.sin(phase) + 0.4 * np.sin(2 * phase + 1.0)) + hiss)


def box(plan: Plan, motion: Motion, vehicle: Vehicle) -> Felt:
    """A box: a few degrees askew, biased, a first-order low-pass, white noise, +-8 g."""
    own = np.random.default_rng([plan.device_seed, 452])
    rng = np.random.default_rng([plan.pass_seed, 453])
    n = len(motion.force_mps2)
    askew = _turned(own.standard_normal(3), np.array([np.radians(own.uniform(0, 3.5))]))[0]
    acc = motion.force_mps2.copy()
    shake = hum(plan, vehicle, motion.rate_hz, n)
    acc[:, 2] += shake + motion.clank_mps2
    acc[:, 0] += 0.5 * shake + 0.35 * motion.clank_mps2
    acc[:, 1] -= 0.4 * shake + 0.30 * motion.clank_mps2
    weight = own.uniform(0.0, 0.45)  # of the sample before
    acc[1:] = (1 - weight) * acc[1:] + weight * acc[:-1]
    noise = own.uniform(90e-6, 300e-6) * 9.81 * np.sqrt(motion.rate_hz / 2)
    acc = acc @ askew.T * (1 + own.normal(0, 0.006, 3)) + own.normal(0, 0.12, 3)
    acc += noise * rng.standard_normal((n, 3))
    gyro = motion.rate_radps @ askew.T * (1 + own.normal(0, 0.006, 3)) + own.normal(0, 0.004, 3)
    gyro += own.uniform(0.6e-4, 2e-4) * np.sqrt(motion.rate_hz / 2) * rng.standard_normal((n, 3))
    return Felt(
        BOX_ACC_SCALE_MPS2, _counts(acc, BOX_ACC_SCALE_MPS2), BOX_GYRO_SCALE_RADPS, _counts(gyro, BOX_GYRO_SCALE_RADPS)
    )


_PLACES = {
    "clip": ((0.6, 19.0, 0.09), (0.4, 33.0, 0.06)),
    "magnet": ((0.75, 38.0, 0.12), (0.25, 14.0, 0.15)),
    "cup": ((0.85, 13.0, 0.40), (0.15, 27.0, 0.2)),
    "seat": ((1.0, 6.5, 0.45), (0.0, 20.0, 0.5)),
    "stem": ((0.7, 27.0, 0.07), (0.3, 41.0, 0.08)),
    "basket": ((0.5, 22.0, 0.05), (0.5, 36.0, 0.10)),
    "pocket": ((1.0, 4.5, 0.40), (0.0, 12.0, 0.5)),
}
"""Where a phone is -> two modes (share, Hz, damping): holders ring, foam and bodies swallow. Proposed."""


def _handled(act: Act, rng: np.random.Generator, t: Series, acc: Array, turn: Array) -> None:
    """Adds one act of a hand to the force (n, 3) and to the small turns (n, 3) about the device's axes, in place."""
    on = (t >= act.t_s) & (t < act.t_s + act.duration_s)
    count = int(on.sum())
    if count < 2:
        return
    age = t[on] - act.t_s
    hill = np.sin(np.pi * np.clip(age / act.duration_s, 0, 1)) ** 2
    if "drop" in act.kind:
        fall = min(0.4, 0.4 * act.duration_s) * float(rng.uniform(0.5, 1.0))
        falls = age < fall
        ring = np.where(falls, 0.0, np.exp(-(age - fall) / 0.05))
        away = rng.standard_normal(3)
        acc[on] *= np.where(falls, 0.06, 1.0)[:, None]
        wave = act.strength * 45.0 * ring * np.cos(2 * np.pi * rng.uniform(14, 24) * (age - fall))
        acc[on] += wave[:, None] * away / np.linalg.norm(away)
        turn[t >= act.t_s + fall] += rng.normal(0, 0.7, 3) * act.strength
        return
    if "typ" in act.kind:
        for tap in rng.uniform(0, act.duration_s, max(1, int(3.5 * act.duration_s))):
            late = age - tap
            acc[on] += (
                np.where(late > 0, np.exp(-np.abs(late) / 0.025), 0.0)[:, None] * rng.normal(0, 1.4, 3) * act.strength
            )
        turn[on] += (hill * rng.normal(0, 0.08))[:, None] * rng.standard_normal(3)
        return
    for _ in range(3):
        wave = np.sin(2 * np.pi * rng.uniform(0.6, 4.0) * age + rng.uniform(0, 6))
        acc[on] += (hill * wave)[:, None] * rng.normal(0, 1.6, 3) * act.strength
    turn[on] += hill[:, None] * rng.normal(0, 0.6, 3) * act.strength


def _fits_a_hand(act: Act) -> bool:
    return "brak" not in act.kind and "turn" not in act.kind


def phone_factor(rate_hz: float) -> int:
    """How many times a phone's rate its holder is followed at."""
    return max(1, int(np.ceil(200.0 / rate_hz)))


def phone(plan: Plan, motion: Motion, vehicle: Vehicle, count: int) -> Felt:
    """A phone at ``count`` samples of the plan's rate, from a motion at `phone_factor` times that rate.

    It lies anyhow, stays so until a hand moves it, its samples jitter by a millisecond or two, one phone in four has no
    gyroscope, and the system averages over a sample.
    """
    own = np.random.default_rng([plan.device_seed, 454])
    rng = np.random.default_rng([plan.pass_seed, 455])
    n = len(motion.force_mps2)
    t = np.arange(n) / motion.rate_hz
    two = two_wheeled(plan.model)
    place = str(own.choice(["stem", "basket", "pocket"] if two else ["clip", "magnet", "cup", "seat"]))
    modes = np.array(_PLACES[place])
    modes[:, 1] *= np.exp(own.normal(0, 0.15, 2))
    lies, lacks_gyro = _any_rotation(own), own.random() < 0.25
    bias, noise, late = own.normal(0, 0.2, 3), own.uniform(0.015, 0.05), own.uniform(0.0008, 0.003)
    shake = hum(plan, vehicle, motion.rate_hz, n)
    acc = motion.force_mps2.copy()
    acc[:, 2] += shake + 0.8 * motion.clank_mps2
    acc[:, 0] += 0.5 * shake + 0.3 * motion.clank_mps2
    if two:  # the rider's own swaying
        acc[:, 1] += 0.5 * np.sin(2 * np.pi * rng.uniform(0.8, 1.6) * t + rng.uniform(0, 6))
    acc = _holder(acc, motion.rate_hz, modes)
    turn = np.zeros((n, 3))
    for number, act in enumerate(plan.acts):
        if _fits_a_hand(act):
            _handled(act, np.random.default_rng([plan.pass_seed, 456, number]), t, acc, turn)
    acc, gyro = acc @ lies.T, motion.rate_radps @ lies.T
    size = np.linalg.norm(turn, axis=1)
    moved = np.flatnonzero(size > 1e-6)
    if len(moved):
        hand = np.zeros_like(turn)
        hand[1:] = np.clip(np.diff(turn, axis=0) * motion.rate_hz, -12, 12)
        gyro = gyro + hand
        for first in np.split(moved, np.flatnonzero(np.diff(moved) > 1) + 1):
            for j in range(3):  # small turns about each axis one after the other: near enough for a hand
                rotation = _turned(np.eye(3)[j], -turn[first, j])
                acc[first] = np.einsum("nij,nj->ni", rotation, acc[first])
    factor = phone_factor(plan.rate_hz)
    mean = np.cumsum(np.vstack([np.zeros((1, 6)), np.hstack([acc, gyro])]), axis=0)
    wobble = np.clip(rng.normal(0, late, count), -0.4 / plan.rate_hz, 0.4 / plan.rate_hz) * motion.rate_hz
    upto = np.clip(np.arange(1, count + 1) * factor + wobble, factor, n)
    upto_cell = np.minimum(upto.astype(np.int64), n - 1)
    part = (upto - upto_cell)[:, None]
    ends = mean[upto_cell] * (1 - part) + mean[upto_cell + 1] * part
    begin_cell = np.maximum(upto_cell - factor, 0)
    begins = mean[begin_cell] * (1 - part) + mean[begin_cell + 1] * part
    out = (ends - begins) / factor
    out[:, :3] += bias + noise * rng.standard_normal((count, 3))
    out[:, 3:] += own.normal(0, 0.01, 3) + 0.002 * rng.standard_normal((count, 3))
    return Felt(
        PHONE_ACC_SCALE_MPS2,
        _counts(out[:, :3], PHONE_ACC_SCALE_MPS2),
        0.0 if lacks_gyro else PHONE_GYRO_SCALE_RADPS,
        None if lacks_gyro else _counts(out[:, 3:], PHONE_GYRO_SCALE_RADPS),
    )
