"""How good is it: recall at a stated rate of false alarms, F1, calibration, and how sure each figure is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

APART_S = 1.5
"""Candidates nearer than this are one alarm: both axles, and the swing after them."""


def alarms(t_s: Floats, trip: NDArray[np.int64], score: Floats) -> Floats:
    """The highest score of each alarm, (k,): candidates (n,) of one trip nearer than APART_S to a higher one belong to
    it."""
    order = np.argsort(-score, kind="stable")
    by_trip: dict[int, list[float]] = {}
    kept = []
    for i in order.tolist():
        times = by_trip.setdefault(int(trip[i]), [])
        if all(abs(t_s[i] - t) >= APART_S for t in times):
            times.append(float(t_s[i]))
            kept.append(i)
    return score[np.array(kept, np.int64)] if kept else np.empty(0)


def threshold_at(alarm_scores: Floats, km: float, per_km: float = 1.0) -> float:
    """The score from which on ``per_km`` alarms a km are left; just above the next one below."""
    many = int(np.floor(per_km * km))
    ordered = np.sort(alarm_scores)[::-1]
    return float(np.nextafter(ordered[many], np.inf)) if many < len(ordered) else -np.inf


def best_of(meeting: NDArray[np.int64], score: Floats, count: int) -> Floats:
    """The highest score of any candidate at each of ``count`` meetings, -inf where the gate let none through."""
    best = np.full(count, -np.inf)
    mine = meeting >= 0
    np.maximum.at(best, meeting[mine], score[mine])
    return best


def interval(
    figure: Callable[[NDArray[np.int64]], float], groups: NDArray[np.int64], rng: np.random.Generator, rounds: int = 300
) -> tuple[float, float]:
    """95 % interval of a figure by the bootstrap over whole groups (things, drives): figure is given row numbers."""
    ids, inverse = np.unique(groups, return_inverse=True)
    rows = [np.flatnonzero(inverse == k) for k in range(len(ids))]
    if len(rows) < 2:
        return float("nan"), float("nan")
    found = []
    for _ in range(rounds):
        drawn = rng.integers(0, len(rows), len(rows))
        value = figure(np.concatenate([rows[k] for k in drawn]))
        if np.isfinite(value):
            found.append(value)
    if not found:
        return float("nan"), float("nan")
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def macro_f1(
    truth: Sequence[object] | NDArray[np.generic],
    said: Sequence[object] | NDArray[np.generic],
    classes: Sequence[object],
) -> float:
    """Mean F1 of the classes; a class that is neither true nor said anywhere is left out. ``said`` may hold other words
    (nothing found), which count as misses."""
    t, s = np.asarray(truth, dtype=object), np.asarray(said, dtype=object)
    found = []
    for c in classes:
        hit = int(((t == c) & (s == c)).sum())
        wrong = int(((t != c) & (s == c)).sum())
        missed = int(((t == c) & (s != c)).sum())
        if hit + wrong + missed:
            found.append(2 * hit / (2 * hit + wrong + missed))
    return float(np.mean(found)) if found else float("nan")


def calibration_error(p: Floats, truth: Bools, weight: Floats, bins: int = 15, from_p: float = 0.0) -> float:
    """Expected calibration error: mean distance of said from true share over bins of equal weight, of p from ``from_p``
    on."""
    mine = p >= from_p
    if weight[mine].sum() <= 0:
        return float("nan")
    curve = reliability(p[mine], truth[mine], weight[mine], bins)
    return float(sum(w * abs(said - true) for said, true, w in curve) / sum(w for _, _, w in curve))


def reliability(p: Floats, truth: Bools, weight: Floats, bins: int = 15) -> list[tuple[float, float, float]]:
    """(mean said, true share, weight) of bins of equal weight, by rising p."""
    order = np.argsort(p, kind="stable")
    p, y, w = p[order], truth[order].astype(np.float64), weight[order]
    where = np.minimum((np.cumsum(w) / w.sum() * bins - 1e-12).astype(np.int64), bins - 1)
    out = []
    for b in range(bins):
        mine = where == b
        if w[mine].sum() > 0:
            said, true = np.average(p[mine], weights=w[mine]), np.average(y[mine], weights=w[mine])
            out.append((float(said), float(true), float(w[mine].sum())))
    return out


def average_precision(score: Floats, truth: Bools) -> float:
    """Area under precision over recall, as a sum over the hits (no interpolation); ties count at their middle order by
    input."""
    order = np.argsort(-score, kind="stable")
    y = truth[order]
    if not y.any():
        return float("nan")
    precision = np.cumsum(y) / np.arange(1, len(y) + 1)
    return float(precision[y].mean())
