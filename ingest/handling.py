"""Was the phone left alone, and did it move? What one chunk shows of the hand that holds it.

A phone in a holder rolls and pitches no faster than a car does. A hand turns it about. A phone on a table that is told
it drives shakes less than any road. This says nothing of the road, and nobody is punished by it: a chunk that shows a
hand is taken as any other, and earns no points.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .chunk import Chunk
from .fixes import FixFaults


class Handling(StrEnum):
    """Why a chunk earns nothing, whatever it felt."""

    HANDLED = "handled"
    NOT_MOVING = "not_moving"
    SPOOFED = "spoofed"


@dataclass(frozen=True)
class HandlingOptions:
    """When a chunk shows a hand, a standstill or invented places. Proposed, and held against simulated drives and four
    recorded ones (docs/points.md).

    turn_radps: rolling and pitching, mean of turn_s. A car over humps and potholes turns by .13 (simulated) to .26
    (recorded); a hand that takes a phone up by 1 and more. At .3 a bad road is a hand; at 2 a phone that is read while
    driving is none. tilt_deg: the same of phones without a gyroscope, by how far gravity, mean of tilt_s, leans from
    its median: braking at half of g leans it by 27, and a recorded drive reaches 66 in bends, so it says little, and at
    30 honest drivers were called names. moving_mps: a chunk that went slower taught nothing: at 0 one in a garage
    earns, at 5 a jam does not. least_mps2: vertical shaking (RMS, faster than a second) that no phone in a vehicle
    stays below at steady_mps and more: recorded drives give .11 and more, a phone on a table .01 to .03. More, and
    a good car on new asphalt is called a lie; at 0 a table drives. faults: share of a chunk's fixes that leap or
    race so that its places are not to be believed; lower, and a street canyon is a lie.
    """

    turn_radps: float = 0.6
    turn_s: float = 0.25
    tilt_deg: float = 45.0
    tilt_s: float = 1.0
    moving_mps: float = 2.0
    steady_mps: float = 5.0
    least_mps2: float = 0.05
    faults: float = 0.3


def handling_of(chunk: Chunk, faults: FixFaults, distance_m: float, options: HandlingOptions) -> Handling | None:
    """Why a phone's chunk earns nothing, None where nothing of that shows. ``faults``: of its fixes (`judge`);
    distance_m: on which it could feel something."""
    mps = distance_m / (chunk.end_s - chunk.start_s)
    if mps < options.moving_mps or len(chunk.acc_counts) < 2:
        return Handling.NOT_MOVING
    if faults.jumps + faults.too_fast + faults.late > options.faults * max(faults.fixes, 1):
        return Handling.SPOOFED
    acc = chunk.acc_mps2
    down = acc.mean(axis=0)
    size = float(np.sqrt((down * down).sum()))
    if size < 1.0:  # no gravity in it: falling, or invented
        return Handling.SPOOFED
    down = down / size
    if mps >= options.steady_mps and _shaking(acc @ down, chunk.rate_hz) < options.least_mps2:
        return Handling.SPOOFED
    rate = chunk.gyro_radps
    if rate is None:
        return Handling.HANDLED if _tilt_deg(acc, chunk.rate_hz, options) > options.tilt_deg else None
    turn_radps = _turn_radps(rate, down, options.turn_s * chunk.rate_hz)
    return Handling.HANDLED if turn_radps > options.turn_radps else None


def _shaking(vertical: NDArray[np.float64], rate_hz: float) -> float:
    """RMS of what is faster than a second."""
    return float(np.sqrt(np.mean((vertical - _mean(vertical[:, None], rate_hz)[:, 0]) ** 2)))


def _mean(values: NDArray[np.float64], samples: float) -> NDArray[np.float64]:
    """Moving mean over so many samples, along the rows; the same length, shorter windows at the ends."""
    n = max(1, min(round(samples), len(values)))
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    at = np.arange(len(values))
    low, high = np.maximum(at - n // 2, 0), np.minimum(at - n // 2 + n, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low)[:, None])


def _tilt_deg(acc: NDArray[np.float64], rate_hz: float, options: HandlingOptions) -> float:
    """How far gravity leans from its usual direction, at the most."""
    slow = _mean(acc, options.tilt_s * rate_hz)
    usual = np.median(slow, axis=0)
    cosine = (slow @ usual) / np.maximum(np.sqrt((slow * slow).sum(axis=1) * (usual * usual).sum()), 1e-9)
    return float(np.degrees(np.arccos(np.clip(cosine.min(), -1.0, 1.0))))


def _turn_radps(rate: NDArray[np.float64], down: NDArray[np.float64], samples: float) -> float:
    """The fastest rolling and pitching. Turning about the vertical is the vehicle's own."""
    slow = _mean(rate, samples)
    across = slow - (slow @ down)[:, None] * down
    return float(np.sqrt((across * across).sum(axis=1).max()))
