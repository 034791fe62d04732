"""A summary's rows as moments on the road: dense enough for square metres, and silent only where the rows say so."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from grid import Trace, Track
from ingest import Chunk

from .jolts import G_MPS2, JoltOptions

TRAVEL_M = 0.2
"""From one moment to the next: at .4 m a metre's crossing is counted as .8 or 1.2 m, and a tenth of the exposure is
lost; at .1 m a summary costs as much to observe as its samples would have."""
_MOST_HZ = 150.0  # of 60 m/s, beyond which a track has no place: .4 m, and no square is passed unseen
_LEAST_HZ = 5.0


def spread(chunk: Chunk) -> Chunk:
    """The summary as a chunk of as many moments as its fastest stretch needs; its samples are empty of meaning."""
    fixes = chunk.fixes
    north = np.diff(fixes.lat_deg) * 111_320.0
    east = np.diff(fixes.lon_deg) * 111_320.0 * np.cos(np.radians(fixes.lat_deg[:1]))
    fastest = max(
        float(np.max(np.hypot(north, east) / np.maximum(np.diff(fixes.t_s), 1e-3), initial=0.0)),
        float(fixes.speed_mps.max(initial=0.0)),
    )
    rate_hz = min(max(math.ceil(fastest / TRAVEL_M), _LEAST_HZ), _MOST_HZ)
    n = max(1, math.floor((chunk.measured_until_s - chunk.t0_s) * rate_hz) + 1)
    return replace(chunk, rate_hz=rate_hz, acc_counts=np.zeros((n, 3), dtype=np.int16))


def bowed(track: Track, trace: Trace, t_s: NDArray[np.float64]) -> Track:
    """The track at t_s with the uncertainty of a curve between fixes a second apart: on an arc the middle of a chord of
    length L lies L turn / 8 beside the way."""
    d_x, d_y = np.diff(trace.x_m), np.diff(trace.y_m)
    if len(d_x) < 2:
        return track
    turn = np.diff(np.arctan2(d_y, d_x))
    turn = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
    bow_m = np.hypot(d_x, d_y) / 8 * np.maximum(np.r_[turn[:1], turn], np.r_[turn, turn[-1:]])
    k = np.clip(np.searchsorted(trace.t_s, t_s, side="right") - 1, 0, len(bow_m) - 1)
    return replace(track, sigma_m=np.hypot(track.sigma_m, bow_m[k]))


def heard(
    summary: Chunk, t_s: NDArray[np.float64], speed_mps: NDArray[np.float64], options: JoltOptions
) -> NDArray[np.bool_]:
    """At which moments (n,) the rows say that nothing was a jolt: by the same scale as samples are judged, with the
    speed of the moment, and as far from a loud row as a jolt of samples silences."""
    quiet = summary.quiet
    if quiet is None:
        return np.zeros(len(t_s), dtype=bool)

    def row_at(moment_s: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.floor((moment_s - summary.t0_s) / quiet.step_s).astype(np.int64)

    last = len(quiet.peak_counts) - 1
    known = (row_at(t_s) >= 0) & (row_at(t_s) <= last)
    peak_g = quiet.peak_counts.astype(np.float64) * quiet.scale_mps2 / G_MPS2
    loud = np.zeros(len(t_s), dtype=bool)
    scale_g = options.good_road_g * np.sqrt(np.maximum(speed_mps, options.slowest_mps) / options.reference_mps)
    reach_s = options.apart_s / 2
    for beside_s in np.linspace(-reach_s, reach_s, 2 * math.ceil(reach_s / quiet.step_s) + 1).tolist():
        loud |= peak_g[np.clip(row_at(t_s + beside_s), 0, last)] >= options.threshold * scale_g
    return known & ~loud
