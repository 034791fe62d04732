"""Heights of a lane: ISO 8608 roughness, the things on it, and what a wheel makes of both.

Roughness belongs to the stretch, not to the pass. The lane is a field of five profiles side by side, each made from the
one beside it with coherence exp(-1.2 d n) and fresh noise for the rest: that coherence multiplies along a chain, so any
two profiles have the coherence of their own distance, and a car, a bicycle and a laser meet the same road.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .plan import WAY_HZ, Plan, Series, Stretch, Thing
from .relief import cross, sample, track
from .shapes import row

GD_N0_M3 = {"A": 16e-6, "B": 64e-6, "C": 256e-6, "D": 1024e-6}
"""Geometric mean of Gd(n0 = 0.1 cycles/m) of the classes of ISO 8608."""
STEP_M = 0.02
"""Of the profile under a wheel. Simulated, red defects of seven types against a step of 5 mm: peaks are 0 to 2 % off in
the median, 2 to 3 % at most (a collapse, 8 %); at 4 cm 1 to 2 %, and up to 17 %. Half of it doubles the cost."""
PHYSICS_HZ = 1200
"""Steps a second of the vehicle, a whole number to a value of the way. Simulated, against 3200: red defects have peaks
0.4 % off in the median and 2 % at most in a car (a bicycle 1 % and 4 %); at 800 1 % and 6 %, at 400 2 % and 17 %."""
RADIUS_M = 0.3

_N0 = 0.1
EXPONENTS = (1.7, 2.4)
"""Slope of a road's spectrum; ISO 8608 takes 2 for all, real roads scatter so (proposed). All at 2, and what is trained
takes the slope of one norm for the nature of roads; wider, and classes A to D lose their meaning away from n0."""
_SLOPE = 28  # purpose of a generator
_BASE_M = 0.04  # of the roughness before things: its shortest wave, 10 cm, has two and a half values
_LOWEST, _HIGHEST = 0.011, 10.0  # cycles/m: longer waves are the lie of the land, shorter ones the tyre swallows
_COHERENCE_M = 1.2
_LINE_M, _LINES = 0.8, 5  # at -1.6 to 1.6 m across the lane
_RUN_ON_M = 160.0  # added to a stretch before its roughness repeats: what is driven beyond its ends
_ACROSS = 5  # places across a tyre, whose mean height carries it
_FIRST = 1  # purpose of the generator: the roughness of a stretch


def _round_count(least: int) -> int:
    """The next even number without large prime factors: transforms of others take many times as long."""
    count = least + least % 2
    while True:
        rest = count
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return count
        count += 2


@lru_cache(maxsize=600)  # lanes of a small city, 0.2 MB each: fewer, and each vehicle finds its lane forgotten
def _roughness_m(length_m: float, roughness: str, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([seed, _FIRST])
    count = _round_count(math.ceil((length_m + _RUN_ON_M) / _BASE_M))
    n = np.fft.rfftfreq(count, _BASE_M)
    inside = (n >= _LOWEST) & (n <= _HIGHEST)
    exponent = np.random.default_rng([seed, _SLOPE]).uniform(*EXPONENTS)
    density = np.zeros_like(n)
    density[inside] = GD_N0_M3[roughness] * 2.0 ** rng.uniform(-0.8, 0.8) * (n[inside] / _N0) ** -exponent
    # irfft divides by count: a one-sided density G asks for mean square |X|² = G count / (2 step).
    amplitude = np.sqrt(density * count / (2 * _BASE_M))
    coherence = np.exp(-_COHERENCE_M * _LINE_M * n)
    fresh = np.sqrt(1 - coherence**2)
    waves = max(1, round(count * _BASE_M / rng.uniform(150, 400)))
    gain = np.power(1.25, np.sin(2 * np.pi * (waves * np.arange(count) / count + rng.uniform())))
    lines = np.empty((_LINES, count), dtype=np.float32)
    spectrum = np.zeros(len(n), dtype=np.complex128)
    for j in range(_LINES):
        white = rng.standard_normal(2 * len(n)).view(np.complex128) / math.sqrt(2)
        spectrum = white if j == 0 else coherence * spectrum + fresh * white
        lines[j] = np.fft.irfft(spectrum * amplitude, count) * gain
    lines.flags.writeable = False
    return lines


def roughness_m(stretch: Stretch) -> NDArray[np.float32]:
    """Heights of the bare road, m, float32 (5, k): line j lies (j - 2) 0.8 m left of the lane's middle, a value each
    4 cm from s = 0 on; beyond the end it begins again.

    Random phases on the one-sided spectrum Gd(n) = Gd(n0) (n / n0)^-2 of ISO 8608; the level lies anywhere within the
    class (log-uniform over four fifths of its width) and wanders slowly along the stretch.
    """
    return _roughness_m(stretch.length_m, stretch.roughness, stretch.seed)


@lru_cache(maxsize=256)
def _rows(things: tuple[Thing, ...]) -> NDArray[np.float64]:
    rows = sorted((row(t) for t in things), key=lambda r: r[1] - r[3])
    return np.array(rows, dtype=np.float64).reshape(len(rows), 19)


def tracks_m(plan: Plan, radius_m: float = RADIUS_M, step_m: float = STEP_M) -> tuple[Series, float]:
    """Heights at which hubs ride, less the radius, m, float64 (2, k) left and right, or (1, k) for one track, a value
    each ``step_m`` along the lane; and where along it the first value stands.

    Across, a tyre is as high as the mean over its width; along, a disc of ``radius_m`` rolls over the heights: a crack
    of 2 cm lowers it by .17 mm. It holds for where this plan's vehicle drives.
    """
    way, wheels = plan.way, plan.wheels
    margin = radius_m + 2 * step_m
    first = math.floor((way.s_m[0] - wheels.wheelbase_m - margin) / step_m) * step_m
    count = math.ceil((way.s_m[-1] + margin - first) / step_m) + 1
    y = np.interp(first + step_m * np.arange(count), way.s_m, way.y_m)
    half = wheels.half_track_m
    aside = np.array([half, -half]) if half > 0 else np.zeros(1)
    heights = np.empty((len(aside), count))
    track(
        roughness_m(plan.stretch), _BASE_M, _LINE_M, _rows(plan.stretch.things), first, step_m, y, aside,
        wheels.width_m, _ACROSS, radius_m, heights,
    )  # fmt: skip
    return heights, first


def ridden(plan: Plan, radius_m: float = RADIUS_M, step_m: float = STEP_M, rate_hz: int = PHYSICS_HZ) -> Series:
    """The same in time, m, float64 (4, n) or (2, n): front left, front right, rear left, rear right (or front, rear),
    ``rate_hz`` values a second along the plan's way. The rear wheels follow in the tracks of the front ones.
    rate_hz: a multiple of WAY_HZ."""
    heights, first = tracks_m(plan, radius_m, step_m)
    ratio = round(rate_hz / WAY_HZ)
    return np.asarray(sample(heights, first, step_m, plan.way.s_m, ratio, plan.wheels.wheelbase_m))


def cross_profile_m(plan: Plan, s_m: Series, y_m: Series) -> Series:
    """Heights of the bare surface, m, float64 (k, p), at s_m (k,) along and y_m (k, p) across the lane: what a laser
    sees, cracks and ruts included, without tyre or disc."""
    y = np.ascontiguousarray(y_m, dtype=np.float64)
    out = np.empty(y.shape)
    s = np.ascontiguousarray(s_m, dtype=np.float64)
    cross(roughness_m(plan.stretch), _BASE_M, _LINE_M, _rows(plan.stretch.things), s, y, out)
    return out
