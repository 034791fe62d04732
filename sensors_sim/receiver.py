"""Position fixes: a box's corrected ones within centimetres; a phone's metres off, one way for half a minute."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .plan import WAY_HZ, Plan, Series

BOX_HZ, PHONE_HZ = 5.0, 1.0
BOX_SIGMA_M = 0.05
"""Per axis, read in the domain notes for corrected satellite positions; half of its variance lasts a minute."""
PHONE_RADIUS_M = (3.0, 10.0)
"""Between these lies the median of a trip's 68 % radius: open streets and street canyons (domain notes)."""
RADIUS68 = math.sqrt(-2 * math.log(1 - 0.68))
"""Radius that holds 68 % of a round two-dimensional normal distribution, over its sigma per axis: 1.51."""
_FIXES, _DEVICE = 41, 42  # purposes of generators
_UNKNOWN = -1.0


@dataclass(frozen=True, eq=False)
class Track:
    """Columns of m fixes on the plan's plane; what a fix does not know is -1."""

    t_s: Series
    east_m: Series
    north_m: Series
    accuracy_m: Series
    speed_mps: Series
    course_deg: Series


@njit(cache=True)
def _kept(values: NDArray[np.float64], keep: float) -> None:
    """Adds to each row of (n, k) what is kept of the one before, in place."""
    for i in range(1, values.shape[0]):
        for c in range(values.shape[1]):
            values[i, c] += keep * values[i - 1, c]


def lasting(rng: np.random.Generator, count: int, columns: int, hz: float, lasts_s: float) -> NDArray[np.float64]:
    """First-order Gauss-Markov noise of unit variance and correlation time lasts_s, float64 (count, columns)."""
    keep = math.exp(-1 / (hz * lasts_s))
    fresh = rng.standard_normal((count, columns)) * math.sqrt(1 - keep * keep)
    fresh[:1] /= math.sqrt(1 - keep * keep)
    _kept(fresh, keep)
    return fresh


def fixes(plan: Plan) -> Track:
    """What the device's receiver says along the way, at whole multiples of its interval of unix time."""
    way = plan.way
    box = plan.device == "box"
    hz = BOX_HZ if box else PHONE_HZ
    rng = np.random.default_rng([plan.pass_seed, plan.device_seed, _FIXES])
    first, last = math.ceil(way.t0_s * hz - 1e-6), math.floor((way.t0_s + way.duration_s) * hz + 1e-6)
    t = np.arange(first, last + 1) / hz
    at = np.clip((t - way.t0_s) * WAY_HZ, 0, len(way.s_m) - 1)
    low = np.minimum(at.astype(np.int64), len(way.s_m) - 2)
    share = at - low

    def then(values: Series) -> Series:
        return np.asarray(values[low] * (1 - share) + values[low + 1] * share)

    count = len(t)
    if box:
        error = BOX_SIGMA_M * math.sqrt(0.5) * (lasting(rng, count, 2, hz, 60.0) + rng.standard_normal((count, 2)))
        radius = np.full(count, BOX_SIGMA_M * RADIUS68)
        stated = radius * np.exp(0.1 * rng.standard_normal(count))
    else:
        own = np.random.default_rng([plan.device_seed, _DEVICE])
        lasts_s, boast = own.uniform(15, 60), math.exp(0.25 * own.standard_normal())
        median = math.exp(rng.uniform(*np.log(PHONE_RADIUS_M)))
        # Houses come and go within a trip: the error's size wanders by a factor of 1.5, which the phone half knows.
        wander = lasting(rng, count, 2, hz, 40.0)
        radius = median * np.exp(0.4 * wander[:, 0])
        stated = np.clip(median * boast * np.exp(0.25 * wander[:, 0] + 0.25 * wander[:, 1]), 1.0, 100.0)
        stated = np.round(stated, 1)
        error = lasting(rng, count, 2, hz, lasts_s) * (radius / RADIUS68)[:, None]
    v = then(way.v_mps)
    doppler = 0.05 if box else 0.25
    speed = np.maximum(v + doppler * rng.standard_normal(count), 0.0)
    # The course comes from the same Doppler shifts: across the way it errs as much as along it.
    turn = np.degrees(np.arctan2(doppler * rng.standard_normal(count), np.maximum(v, 0.5)))
    course = (way.course_deg[np.rint(at).astype(np.int64)] + turn) % 360
    course = np.where(speed < 0.7, _UNKNOWN, course) if not box else course
    return Track(t, then(way.east_m) + error[:, 0], then(way.north_m) + error[:, 1], stated, speed, course)
