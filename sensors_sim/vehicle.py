"""How a vehicle drives along a lane, and what its body does where the box sits: over the front axle, in the middle.

The front half of the golden car (the reference vehicle of the roughness index) with a firmer tyre, a linear half-car:
symmetric, so that it falls apart into heave, driven by the mean of both wheel paths, and roll, driven by their
difference, each a quarter-car with a closed frequency response. Linear means that the tyre never leaves the road: at
deep holes it is pulled in where a real one flies, and the speed at which a pothole is worst comes out lower.

Axes: x forward, y left, z up. Specific force at rest reads +g on z. Roll rate is about x by the right hand: **when the
left wheel falls, the left side goes down and the roll rate is negative first; when the right wheel falls, positive.**
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .surface import PAD_M, STEP_M, LaneSurface, ridden_m
from .truth import HALF_TRACK_M

G_MPS2 = 9.81
ROAD_HZ = 400
"""A multiple of both sensors' rates. Half of it moves peaks by up to 3 %, twice it by less than 1 %."""
SLOWEST_MPS, FASTEST_MPS = 25 / 3.6, 50 / 3.6
LEAD_S = 3.0
"""Driven before the first and after the last owned moment: context for the platform's filters, with a fix to spare."""
LEAD_M = FASTEST_MPS * LEAD_S + 1.0
WHEELBASE_M = 2.7
REAR_ECHO = 0.3
"""Share of the rear axle's heave that arrives over the front axle; rigid bodies of common proportions have 0 to 0.3.
At 0 no defect would be felt twice, and a platform that counts echoes would pass; more would mask what follows."""
WANDER_M = 0.15
_STEER = 40
"""Steering is known at each 40th sample, every 0.1 s. Differences of what lies between, on straight lines, would be
spikes of sideways force at the knots."""


@dataclass(frozen=True)
class Suspension:
    """Golden car figures per sprung mass: spring k/ms (1/s²), damper c/ms (1/s), unsprung share mu/ms; ISO 8608 class A
    felt at 40 km/h and a 0.6 m x 80 mm pothole set the tyre kt/ms (the golden car's 653 gives 0.8 of both).

    roll: sprung inertia over that of masses sitting above the wheels; below 1, as the body's mass sits inside.
    """

    spring: float = 63.3
    tyre: float = 800.0
    damper: float = 6.0
    unsprung: float = 0.15
    roll: float = 0.7


def varied(rng: np.random.Generator) -> Suspension:
    """One vehicle of a fleet: each figure within 10 % of the reference."""
    ref = Suspension()
    k, kt, c, mu = rng.uniform(0.9, 1.1, 4)
    return Suspension(ref.spring * k, ref.tyre * kt, ref.damper * c, ref.unsprung * mu, ref.roll)


@dataclass(frozen=True, eq=False)
class Drive:
    """One run through a lane at ROAD_HZ: s_m along the lane (negative in the run-up), v_mps, y_m left of its middle."""

    s_m: NDArray[np.float64]
    v_mps: NDArray[np.float64]
    y_m: NDArray[np.float64]

    @property
    def duration_s(self) -> float:
        """From the first to the last sample."""
        return (len(self.s_m) - 1) / ROAD_HZ


@dataclass(frozen=True, eq=False)
class Motion:
    """What a rigid box feels: force_mps2 float64 (n, 3) specific force, rate_radps float64 (n, 3), axes as above."""

    rate_hz: float
    force_mps2: NDArray[np.float64]
    rate_radps: NDArray[np.float64]


def _slow(rng: np.random.Generator, x: NDArray[np.float64], periods: tuple[float, float]) -> NDArray[np.float64]:
    """A smooth random function of unit variance: eight waves of periods between the two given."""
    period = np.exp(rng.uniform(math.log(periods[0]), math.log(periods[1]), 8))
    phase = rng.uniform(0, 2 * np.pi, 8)
    return np.asarray(np.sin(2 * np.pi * x[:, None] / period + phase).sum(axis=1) / 2, dtype=np.float64)


def drive(rng: np.random.Generator, length_m: float, kmh: float | None = None) -> Drive:
    """A run through a lane of ``length_m``, with LEAD_M before and after it.

    25 to 50 km/h with slow variation, or steadily at ``kmh``; lateral wander of WANDER_M, a third of its variance from
    run to run (where this driver keeps today), the rest along the way.
    """
    most = math.ceil((length_m + 2 * LEAD_M) / SLOWEST_MPS * ROAD_HZ)
    coarse_t = np.arange(0, most / ROAD_HZ + 1, 0.25)
    t = np.arange(most) / ROAD_HZ
    mean = rng.uniform(32, 44)
    wave = _slow(rng, coarse_t, (12, 60))
    wished = np.interp(t, coarse_t, np.clip(mean + 5 * wave, 25, 50)) / 3.6
    speed = wished if kmh is None else np.full(most, kmh / 3.6)
    s = np.concatenate([[0.0], np.cumsum(speed[:-1]) / ROAD_HZ]) - LEAD_M
    end = int(np.searchsorted(s, length_m + LEAD_M))
    s, speed = s[:end], speed[:end]
    keeps = rng.standard_normal() * math.sqrt(1 / 3)
    wander = np.interp(s, s[::_STEER], _slow(rng, s[::_STEER], (40, 150)) * math.sqrt(2 / 3))
    return Drive(s, speed, WANDER_M * (keeps + wander))


def _response(f_hz: NDArray[np.floating[Any]], car: Suspension, sprung: float) -> NDArray[np.complex128]:
    """Body over road height of a quarter-car with ``sprung`` times the reference's sprung mass."""
    s = 2j * np.pi * f_hz
    leg = car.damper * s + car.spring
    body, wheel = sprung * s**2 + leg, car.unsprung * s**2 + leg + car.tyre
    return np.asarray(car.tyre * leg / (body * wheel - leg**2), dtype=np.complex128)


def respond(
    left_m: NDArray[np.float64], right_m: NDArray[np.float64], car: Suspension, rate_hz: int
) -> NDArray[np.float64]:
    """Heave acceleration (m/s²), roll angle (rad) and roll rate (rad/s) at the box, float64 (3, n), at ``rate_hz``.

    left_m, right_m: float64 (m,), heights under the two hubs at ROAD_HZ; rate_hz divides ROAD_HZ. A sensor's
    filter fades out from 0.35 to 0.5 of rate_hz, so that nothing folds down.
    """
    m = len(left_m)
    tail = 2 * ROAD_HZ  # the response dies away in it before the transform's circle closes
    n = 1 << (m + tail - 1).bit_length()
    road = np.zeros((2, n))
    road[0, :m], road[1, :m] = (left_m + right_m) / 2, (left_m - right_m) / (2 * HALF_TRACK_M)
    road[:, :m] -= road[:, :1]
    back = np.linspace(0, np.pi, n - m)
    road[:, m:] = road[:, m - 1 : m] * (0.5 + 0.5 * np.cos(back))
    f = np.fft.rfftfreq(n, 1 / ROAD_HZ)
    taper = 0.5 + 0.5 * np.cos(np.pi * np.clip((f / rate_hz - 0.35) / 0.15, 0, 1))
    heave, roll = np.fft.rfft(road) * taper
    heave = heave * _response(f, car, 1.0) * (2j * np.pi * f) ** 2
    roll = roll * _response(f, car, car.roll)
    felt = np.fft.irfft(np.stack([heave, roll, roll * 2j * np.pi * f]), n)
    return np.asarray(felt[:, : m : ROAD_HZ // rate_hz], dtype=np.float64)


def _on_grid(heights_m: NDArray[np.float64], s_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation of the columns (2, k) of a surface's grid at s_m (n,)."""
    at = (s_m + PAD_M) / STEP_M
    low = at.astype(np.int64)
    part = at - low
    return heights_m[:, low] * (1 - part) + heights_m[:, low + 1] * part


def feel(surface: LaneSurface, run: Drive, car: Suspension, rate_hz: int) -> Motion:
    """What a box feels in one run, sampled at ``rate_hz``."""
    heights = ridden_m(surface, run.s_m, run.y_m)
    # The rear axle rides the same paths a wheelbase later, and the system is linear: its echo is added to the road.
    left, right = _on_grid(heights, run.s_m)
    rear = _on_grid(heights, run.s_m - WHEELBASE_M).mean(axis=0) * REAR_ECHO
    heave, roll, roll_rate = respond(left + rear, right + rear, car, rate_hz)
    keep = slice(None, None, ROAD_HZ // rate_hz)
    at = np.arange(len(run.y_m)) / ROAD_HZ
    steer_s = _STEER / ROAD_HZ
    steered = np.gradient(np.gradient(run.y_m[::_STEER], steer_s), steer_s)
    sideways = np.interp(at[keep], at[::_STEER], steered)
    v = run.v_mps[keep]
    n = len(heave)
    force = np.empty((n, 3))
    force[:, 0] = np.gradient(run.v_mps, 1 / ROAD_HZ)[keep]
    force[:, 1] = sideways + G_MPS2 * roll
    force[:, 2] = G_MPS2 + heave
    rate = np.zeros((n, 3))
    rate[:, 0] = roll_rate
    rate[:, 2] = sideways / v
    return Motion(float(rate_hz), force, rate)
