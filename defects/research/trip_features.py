"""What a car trip sampled at some 5 Hz felt in pieces of two seconds, whichever way the device lay.

Gravity is the median of the trip's accelerations; along it lies what is vertical. Where the car was is not among the
figures, so that no place is learnt by heart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .real_data import Trip

Series = NDArray[np.float64]
Table = NDArray[np.float64]

PIECE_S = 2.0
MARK_LATE_S = 0.25
"""Marks trail the impact by 0 to 0.5 s (README of the recordings): half of that. Smaller, and an impact at the end of a
piece counts for the next; larger, the other way round."""

_CONTEXT_S = 12.0  # running level: shorter, and a bad hundred metres hides in itself; longer, and it lags the street
_FLOOR_G = 0.01


@dataclass(frozen=True, eq=False)
class TripPieces:
    """A trip cut into pieces of PIECE_S: start_s (n,), table (n, m), marked (n,), and the baselines beside: peak_g
    (n,) max |vertical| and ratio (n,) that peak over the running RMS; patrol (n,) peaks that pass filters like those
    of the Pothole Patrol (Eriksson and others, 2008), 0 where they do not. lat_deg, lon_deg (n,): of the peak."""

    start_s: Series
    table: Table
    marked: NDArray[np.bool_]
    peak_g: Series
    ratio: Series
    patrol: Series
    lat_deg: Series
    lon_deg: Series


@dataclass(frozen=True)
class PatrolOptions:
    """Filters after the Pothole Patrol, in its order. slow_mps: slower, it is doors and kerbs. lateral_share: a hole
    shakes one side, so sideways force belongs to it; a joint has none. speed_g: what a faster car feels anyway, per
    m/s. Proposed after its description; its own limits were learnt at 380 Hz."""

    slow_mps: float = 2.0
    lateral_share: float = 0.25
    speed_g: float = 0.004


_PATROL = PatrolOptions()


def trip_pieces(trip: Trip, patrol: PatrolOptions = _PATROL) -> TripPieces:
    """The pieces of a trip in order; those with fewer than three samples are left out."""
    level = np.median(trip.acc_g, axis=0)
    down = level / np.linalg.norm(level)
    vertical = trip.acc_g @ down - np.linalg.norm(level)
    flat = trip.acc_g - level - np.outer((trip.acc_g - level) @ down, down)
    flat_size = np.linalg.norm(flat, axis=1)
    spin = trip.gyro_radps - np.median(trip.gyro_radps, axis=0)
    yaw = spin @ down
    tilt = np.linalg.norm(spin - np.outer(yaw, down), axis=1)
    fast = vertical - _running(vertical, trip.t_s, 1.5)
    context = np.sqrt(_running(vertical**2, trip.t_s, _CONTEXT_S)) + _FLOOR_G
    tilt_context = np.sqrt(_running(tilt**2, trip.t_s, _CONTEXT_S)) + _FLOOR_G
    trip_rms = np.sqrt(np.mean(vertical[trip.speed_mps > 1.0] ** 2)) if (trip.speed_mps > 1.0).any() else 1.0
    number = np.floor((trip.t_s - trip.t_s[0]) / PIECE_S).astype(int)
    rows, starts, where = [], [], []
    for k in np.unique(number):
        at = np.flatnonzero(number == k)
        if len(at) < 3:
            continue
        wide = np.arange(max(0, at[0] - 2), min(len(vertical), at[-1] + 3))
        v, size = vertical[at], np.sort(np.abs(vertical[at]))
        peak = at[int(np.argmax(np.abs(v)))]
        speed = float(trip.speed_mps[at].mean())
        jump = np.abs(np.diff(vertical[wide]))
        logs = (
            size[-1], size[-2], size[len(size) // 2], np.sqrt(np.mean(v**2)), v.max().clip(0), (-v).max().clip(0),
            np.abs(fast[at]).max(), jump.max(), np.sort(jump)[-2], tilt[at].max(), np.sqrt(np.mean(tilt[at] ** 2)),
            flat_size[at].max(), np.ptp(flat[at], axis=0).max(), np.abs(yaw[at]).mean(), context[peak],
        )  # fmt: skip
        rows.append(
            [
                *np.log(np.asarray(logs) + _FLOOR_G),
                np.log((size[-1] + _FLOOR_G) / context[peak]),
                np.log((tilt[at].max() + _FLOOR_G) / tilt_context[peak]),
                np.log((size[-1] + _FLOOR_G) / (trip_rms + _FLOOR_G)),
                np.log((size[-1] + _FLOOR_G) / (size[len(size) // 2] + _FLOOR_G)),
                np.log((size[-1] + _FLOOR_G) / (speed + 2.0)),
                float(np.clip(speed, 0, 20)),
                float(np.clip(trip.speed_mps[wide[-1]] - trip.speed_mps[wide[0]], -5, 5)),
                float(np.sign(vertical[peak])),
            ]
        )
        starts.append(trip.t_s[0] + k * PIECE_S)
        lateral = float(flat_size[max(0, peak - 1) : peak + 2].max())
        passes = speed > patrol.slow_mps and lateral > patrol.lateral_share * size[-1]
        passed = max(0.0, float(size[-1]) - patrol.speed_g * speed) if passes else 0.0
        where.append((size[-1], size[-1] / context[peak], passed, trip.lat_deg[peak], trip.lon_deg[peak]))
    table = np.array(rows)
    before, after = np.vstack([table[:1], table[:-1]]), np.vstack([table[1:], table[-1:]])
    start_s = np.array(starts)
    hits = np.searchsorted(start_s, trip.marks_s - MARK_LATE_S, side="right") - 1
    marked = np.zeros(len(start_s), dtype=bool)
    marked[hits[(hits >= 0) & (trip.marks_s - MARK_LATE_S < start_s[hits] + PIECE_S)]] = True
    around = np.column_stack([table, np.maximum(before[:, 0], after[:, 0]), np.minimum(before[:, 3], after[:, 3])])
    peak_g, ratio, filtered, lat, lon = np.array(where).T
    return TripPieces(start_s, around, marked, peak_g, ratio, filtered, lat, lon)


def _running(values: Series, t_s: Series, width_s: float) -> Series:
    """Mean over the samples within ``width_s`` / 2 of each."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.searchsorted(t_s, t_s - width_s / 2, side="left")
    last = np.searchsorted(t_s, t_s + width_s / 2, side="right")
    return np.asarray((total[last] - total[first]) / (last - first), dtype=np.float64)
