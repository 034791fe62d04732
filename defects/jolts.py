"""Jolts: where the road threw the vehicle, against one fixed scale taken from good road.

The scale is fixed, not the running level of the same drive: a local level divides roughness out, and on a bad road
nothing would stand out from the rest. It is a detector without types; a jolt is `uneven` until something knows better.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk

Series = NDArray[np.float64]

G_MPS2 = 9.80665


@dataclass(frozen=True)
class JoltOptions:
    """Constants of the detector; all of them stand in the day context.

    good_road_g: RMS of the band-passed vertical acceleration on good road at reference_mps, growing with the square
    root of speed: 0.026 g was measured on 9.9 km of good road at 67 km/h, a phone in a car. threshold: a jolt is this
    many times the scale (0.25 g at 40 km/h): at 8 the medium drive gives 28 a km, at 16 the bad ones only 5.
    red_score: from here a jolt is severe (0.5 g at 40 km/h, about a pothole 25 mm deep). low_hz, high_hz: body and
    wheel-hop; below lie hills and braking, above lie engine and mounting. slowest_mps: below 15 km/h a good vehicle
    hides what a faster one feels, so silence and noise there say nothing (a sweeper at work, at 5 to 10 km/h).
    carrier_scale: how much more than a car a carrier shakes on the same good road, proposed, not measured: two wheels
    without springs (a bike), or with few (an e-bike), pass on what a car's springs swallow. At 1 every joint under a
    bike is a jolt, at 10 no hole is one. apart_s: two jolts nearer than this are one
    (the rear axle of a bus follows after 0.5 to 0.8 s).
    """

    good_road_g: float = 0.0205
    reference_mps: float = 40 / 3.6
    threshold: float = 12.0
    red_score: float = 24.0
    low_hz: float = 1.0
    high_hz: float = 20.0
    taps_s: float = 1.5
    slowest_mps: float = 15 / 3.6
    apart_s: float = 0.7
    side_window_s: float = 0.15
    side_clear: float = 0.4
    carrier_scale: dict[str, float] = field(
        default_factory=lambda: {
            "bus": 1.0, "sweeper": 1.0, "car": 1.0, "ebike": 2.0, "bike": 3.0, "unknown": 1.0,
        }
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Felt:
    """What one chunk felt, one number a sample: score (jolt in units of good road, 0 where too slow to say) and side
    (correlation of heave and roll around the sample: 1 the left wheel alone, -1 the right, near 0 both or unknown)."""

    score: Series
    side: Series


@lru_cache(maxsize=64)
def band_pass(rate_hz: float, low_hz: float, high_hz: float, taps_s: float) -> Series:
    """A linear-phase band-pass (windowed sinc), odd length, so that a peak stays at its sample."""
    n = int(taps_s * rate_hz) // 2 * 2 + 1
    k = np.arange(n) - n // 2

    def low_pass(cut_hz: float) -> Series:
        return np.asarray(2 * cut_hz / rate_hz * np.sinc(2 * cut_hz / rate_hz * k))

    taps = (low_pass(min(high_hz, 0.45 * rate_hz)) - low_pass(low_hz)) * np.hanning(n + 2)[1:-1]
    taps.setflags(write=False)
    return taps


def _smooth(series: Series, n: int) -> Series:
    return np.convolve(series, np.ones(n) / n, "same")


def feel(chunk: Chunk, speed_mps: Series, has_forward_axis: bool, options: JoltOptions) -> Felt:
    """Scores of every sample of a chunk.

    The vertical is the mean of the chunk's own acceleration, so that a phone may lie in any way. ``has_forward_axis``:
    a box is mounted with x forward and z up, so that its roll tells which wheel was hit; a phone's axes tell nothing.
    """
    acc = chunk.acc_mps2
    mean = acc.mean(axis=0)
    gravity = float(np.sqrt((mean * mean).sum()))
    if len(acc) < 8 or gravity < 1.0:
        return Felt(np.zeros(len(acc)), np.zeros(len(acc)))
    vertical_g = ((acc * (mean / gravity)).sum(axis=1) - gravity) / G_MPS2
    taps = band_pass(chunk.rate_hz, options.low_hz, options.high_hz, options.taps_s)
    heave = np.convolve(vertical_g, taps, "full")[len(taps) // 2 :][: len(acc)]
    good_road_g = options.good_road_g * options.carrier_scale[chunk.carrier]
    scale_g = good_road_g * np.sqrt(np.maximum(speed_mps, options.slowest_mps) / options.reference_mps)
    score = np.where(speed_mps >= options.slowest_mps, np.abs(heave) / scale_g, 0.0)
    side = np.zeros(len(acc))
    gyro = chunk.gyro_radps
    if has_forward_axis and gyro is not None:
        roll = np.gradient(gyro[:, 0]) * chunk.rate_hz
        roll = np.convolve(roll, taps, "full")[len(taps) // 2 :][: len(acc)]
        n = max(3, int(options.side_window_s * chunk.rate_hz))
        power = _smooth(heave * heave, n) * _smooth(roll * roll, n)
        side = _smooth(heave * roll, n) / np.sqrt(np.maximum(power, 1e-18))
    return Felt(score, side)


def peaks(score: Series, rate_hz: float, options: JoltOptions) -> list[int]:
    """Samples where a jolt peaks, in time order: the highest are taken first, none nearer than ``apart_s`` to one."""
    candidates = np.flatnonzero(score >= options.threshold)
    order = candidates[np.lexsort((candidates, -score[candidates]))]
    reach = int(options.apart_s * rate_hz)
    free = np.ones(len(score), dtype=bool)
    taken: list[int] = []
    for i in order.tolist():
        if free[i]:
            taken.append(i)
            free[max(0, i - reach) : i + reach + 1] = False
    return sorted(taken)
