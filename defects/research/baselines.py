"""What ours must beat, on the same drives: a peak over the running level, and filters after the Pothole Patrol."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk

Floats = NDArray[np.float64]
RUNNING_S = 1.0
APART_S = 0.4


def _vertical(chunk: Chunk) -> tuple[Floats, Floats]:
    """Vertical acceleration without gravity, and what is horizontal, m/s²."""
    acc = chunk.acc_mps2
    mean = acc.mean(axis=0)
    size = float(np.linalg.norm(mean))
    up = mean / max(size, 1e-9)
    vertical = acc @ up - size
    flat = acc - mean - np.outer(vertical, up)
    return vertical, np.linalg.norm(flat, axis=1)


def _moving(values: Floats, n: int) -> Floats:
    """Mean over n samples around each."""
    total = np.cumsum(np.r_[0.0, values])
    low = np.maximum(np.arange(len(values)) - n // 2, 0)
    high = np.minimum(np.arange(len(values)) + n // 2 + 1, len(values))
    return np.asarray((total[high] - total[low]) / (high - low))


def _tops(score: Floats, rate_hz: float, at_least: float) -> NDArray[np.int64]:
    """Local maxima from ``at_least`` on, the highest first, none within APART_S of a higher one."""
    reach = max(1, round(APART_S * rate_hz))
    order = np.flatnonzero(score >= at_least)
    order = order[np.argsort(-score[order], kind="stable")]
    free = np.ones(len(score), bool)
    taken = []
    for i in order.tolist():
        if free[i]:
            taken.append(i)
            free[max(0, i - reach) : i + reach + 1] = False
    return np.array(sorted(taken), np.int64)


def running_peak(chunk: Chunk, speed_mps: Floats) -> tuple[Floats, Floats]:
    """(t_s, score) of the peaks of |vertical acceleration| over its own RMS within a second around, where the vehicle
    moves."""
    vertical, _ = _vertical(chunk)
    vertical = vertical - _moving(vertical, round(RUNNING_S * chunk.rate_hz))
    rms = np.sqrt(_moving(vertical * vertical, round(4 * RUNNING_S * chunk.rate_hz))) + 0.05
    score = np.where(speed_mps >= 15 / 3.6, np.abs(vertical) / rms, 0.0)
    return _owned(chunk, _tops(score, chunk.rate_hz, 2.0), score)


def pothole_patrol(chunk: Chunk, speed_mps: Floats) -> tuple[Floats, Floats]:
    """(t_s, score) of the filters of Eriksson et al. 2008, as their paper describes them: speed, a high-pass on both
    axes, a peak of z, which is the score, with the horizontal peak near it at least a fifth of it, and z larger than
    speed times a factor."""
    vertical, flat = _vertical(chunk)
    n = round(0.25 * chunk.rate_hz)
    z = np.abs(vertical - _moving(vertical, n))
    x = np.abs(flat - _moving(flat, n))
    near = max(1, round(32 / 380 * chunk.rate_hz))  # 32 samples at their 380 Hz
    wide = np.max(np.stack([np.roll(x, k) for k in range(-near, near + 1)]), axis=0)
    score = np.where((speed_mps >= 15 / 3.6) & (wide >= 0.2 * z), z / np.maximum(speed_mps, 1.0), 0.0)
    return _owned(chunk, _tops(score, chunk.rate_hz, 0.02), score)


def _owned(chunk: Chunk, at: NDArray[np.int64], score: Floats) -> tuple[Floats, Floats]:
    t = chunk.t0_s + at / chunk.rate_hz
    mine = (t >= chunk.start_s) & (t < chunk.end_s)
    return t[mine], score[at[mine]]
