"""A citizen's phone in a car: turned anyhow, 50 Hz, a noisy holder, and one fix a second whose error lasts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .recording import RADIUS68, Recording, Run, counts, fix_columns, turned
from .vehicle import G_MPS2, Suspension, feel

RATE_HZ = 50
FIX_HZ = 1.0
ACC_SCALE_MPS2 = 16 * G_MPS2 / 32768
GYRO_SCALE_RADPS = math.radians(2000) / 32768
ACC_NOISE_MPS2 = 0.12  # holder and case; a resonance of 12 to 40 Hz comes with the deeper simulator
GYRO_NOISE_RADPS = 0.01
BEST_M, WORST_M = 3.0, 5.0
"""Between these lies the 68 % radius of a trip's fixes, which the phone knows and states."""
ERROR_LASTS_S = 30.0
"""Correlation time. With white errors a few fixes would average to a metre, which no phone in a street does."""


def mounting(rng: np.random.Generator) -> NDArray[np.float64]:
    """Axes (rows) of a phone that lies anyhow: uniform on SO(3), from a random unit quaternion."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def lasting_error_m(rng: np.random.Generator, count: int, sigma_m: float) -> NDArray[np.float64]:
    """Errors of ``count`` fixes east and north, float64 (count, 2): a first-order process of ERROR_LASTS_S."""
    keep = math.exp(-1 / (FIX_HZ * ERROR_LASTS_S))
    fresh = rng.normal(0, sigma_m, (count, 2))
    error = np.empty((count, 2))
    error[:1] = fresh[:1]
    for i in range(1, count):
        error[i] = keep * error[i - 1] + math.sqrt(1 - keep**2) * fresh[i]
    return error


def record(run: Run, car: Suspension, axes: NDArray[np.float64], rng: np.random.Generator) -> Recording:
    """What a phone with the orientation ``axes`` records of a run."""
    motion = feel(run.surface, run.drive, car, RATE_HZ)
    force, rate = turned(motion, axes)
    ticks = run.ticks(FIX_HZ)
    accuracy_m = rng.uniform(BEST_M, WORST_M)
    return Recording(
        t0_s=run.t0_s,
        rate_hz=float(RATE_HZ),
        carrier="car",
        acc_scale_mps2=ACC_SCALE_MPS2,
        acc_counts=counts(force + rng.normal(0, ACC_NOISE_MPS2, force.shape), ACC_SCALE_MPS2),
        gyro_scale_radps=GYRO_SCALE_RADPS,
        gyro_counts=counts(rate + rng.normal(0, GYRO_NOISE_RADPS, rate.shape), GYRO_SCALE_RADPS),
        fixes=fix_columns(run, ticks, lasting_error_m(rng, len(ticks), accuracy_m / RADIUS68), accuracy_m, rng),
    )
