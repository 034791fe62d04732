"""Where a device believes it is: an error that wanders (Gauss-Markov), and now and then a jump."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ..plan import WAY_HZ, Plan, Series


@dataclass(frozen=True, eq=False)
class Fixed:
    """Columns (m,) of fixes, as `Ride` has them."""

    t_s: Series
    east_m: Series
    north_m: Series
    accuracy_m: Series
    speed_mps: Series
    course_deg: Series


@njit(cache=True)
def _kept(draws: Series, keep: float) -> Series:  # pragma: no cover
    """Each row and what is kept of the sum before it."""
    out = draws.copy()
    for i in range(1, len(draws)):
        for j in range(2):
            out[i, j] += keep * out[i - 1, j]
    return out


def _wander(rng: np.random.Generator, m: int, step_s: float, sigma: float, tau_s: float) -> Series:
    """(m, 2) of a first-order Gauss-Markov process, standing from the first value on."""
    keep = np.exp(-step_s / tau_s)
    draws = rng.standard_normal((m, 2)) * sigma * np.sqrt(1 - keep**2)
    if m:
        draws[0] *= 1 / np.sqrt(1 - keep**2)
    return np.asarray(_kept(draws, keep))


def fixes(plan: Plan) -> Fixed:
    """Fixes over the whole way, the first at its begin.

    A box: 5 Hz, centimetres, corrected from its antenna to the front axle; in one drive of twelve it loses the
    correction for some 20 s and is off by half a metre, and says so. A phone: 1 Hz, 2 to 6 m, wandering over half a
    minute, every two minutes a jump that fades; what it says of its accuracy is only about right. Figures are proposed.
    """
    way = plan.way
    box = plan.device == "box"
    own = np.random.default_rng([plan.device_seed, 461])
    rng = np.random.default_rng([plan.pass_seed, 462])
    hz = 5.0 if box else 1.0
    t = np.arange(int(np.floor(way.duration_s * hz + 1e-6)) + 1) / hz
    if way.duration_s - t[-1] > 0.05:
        t = np.append(t, way.duration_s)
    ticks = np.arange(len(way.s_m)) / WAY_HZ
    east, north, v = (np.interp(t, ticks, x) for x in (way.east_m, way.north_m, way.v_mps))
    course = np.interp(t, ticks, np.degrees(np.unwrap(np.radians(way.course_deg))))
    sigma = own.uniform(0.02, 0.06) if box else own.uniform(2.2, 4.5) * np.exp(rng.normal(0, 0.25))
    error = _wander(rng, len(t), 1 / hz, sigma, 25.0 if box else rng.uniform(15, 50))
    error += rng.standard_normal((len(t), 2)) * sigma * (0.4 if box else 0.12)
    accuracy = np.full(len(t), 1.5 * sigma)
    jumps = (1 if rng.random() < 1 / 12 else 0) if box else rng.poisson(way.duration_s / 120)
    for _ in range(jumps):
        age = t - rng.uniform(0, way.duration_s)
        lasts, size = (20.0, 0.45) if box else (rng.uniform(6, 20), rng.uniform(2.5, 8.0))
        fades = np.where(age >= 0, np.exp(-np.maximum(age, 0) / lasts), 0.0)
        towards = rng.uniform(0, 2 * np.pi)
        error += (fades * size)[:, None] * np.array([np.cos(towards), np.sin(towards)])
        accuracy += fades * size * (0.9 if box else rng.uniform(0.0, 0.6))
    accuracy *= np.exp(rng.normal(0, 0.08 if box else 0.2, len(t)))
    speed = np.maximum(0.0, v + rng.normal(0, 0.03 if box else 0.25, len(t)))
    said = np.mod(course + rng.normal(0, 0.3 if box else 1.5, len(t)) * np.clip(8 / np.maximum(v, 0.5), 1, 16), 360.0)
    return Fixed(way.t0_s + t, east + error[:, 0], north + error[:, 1], accuracy, speed, np.where(v < 0.7, -1.0, said))
