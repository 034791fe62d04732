"""Figures of merit and the folds they are taken over, in numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
Table = NDArray[np.float64]
Names = NDArray[np.str_]
_FOLDS, _BOOTSTRAP = 41, 42  # purposes of the seed, so that one draw more of one shifts no luck of the other


@dataclass(frozen=True)
class Bin:
    """What was said and what came true among answers of similar probability."""

    said: float
    came_true: float
    count: int


def grouped_folds(labels: Names, groups: Names, folds: int, seed: int) -> NDArray[np.int64]:
    """The fold (n,) of each sample: groups stay whole, labels are spread as evenly as whole groups allow. Larger groups
    are placed first, each where it makes the counts of labels most even; equals by chance of the seed."""
    rng = np.random.default_rng([seed, _FOLDS])
    names, of = np.unique(groups, return_inverse=True)
    kinds, label_of = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(kinds)))
    np.add.at(counts, (of, label_of), 1)
    share = counts / counts.sum(axis=0)
    shuffled = rng.permutation(len(names))
    order = shuffled[np.argsort(-counts[shuffled].std(axis=1), kind="stable")]
    filled = np.zeros((folds, len(kinds)))
    fold_of = np.zeros(len(names), dtype=np.int64)
    for group in order:
        spreads = []
        for fold in range(folds):
            filled[fold] += share[group]
            spreads.append((filled.std(axis=0).mean(), filled[fold].sum()))
            filled[fold] -= share[group]
        fold_of[group] = min(range(folds), key=lambda f: (round(spreads[f][0], 12), spreads[f][1]))
        filled[fold_of[group]] += share[group]
    return np.asarray(fold_of[of], dtype=np.int64)


def confusion(truth: Names, said: Names, labels: Sequence[str]) -> NDArray[np.int64]:
    """Counts (labels, labels): rows what it was, columns what was said."""
    at = {label: k for k, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(table, ([at[t] for t in truth], [at[s] for s in said]), 1)
    return table


def macro_f1(truth: Names, said: Names) -> float:
    """Mean of F1 over the labels that occur in truth or answer."""
    labels = np.union1d(truth, said)
    table = confusion(truth, said, [str(name) for name in labels])
    return float(np.mean(2 * np.diag(table) / (table.sum(axis=0) + table.sum(axis=1))))


def f1(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    """F1 of what is true; 0 where nothing is true and nothing said."""
    both = int((truth & said).sum())
    total = int(truth.sum() + said.sum())
    return 2 * both / total if total else 0.0


def average_precision(truth: NDArray[np.bool_], score: Series) -> float:
    """Area under precision over recall, as steps; equal scores count as one step. NaN where nothing is true."""
    if not truth.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.r_[np.diff(score[order]) != 0, True]
    recall = hits[last] / hits[-1]
    precision = hits[last] / (np.flatnonzero(last) + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def area_under_roc(truth: NDArray[np.bool_], score: Series) -> float:
    """Chance that a true one is scored above a false one, equals count half. NaN where one of the two is missing."""
    if truth.all() or not truth.any():
        return float("nan")
    false = np.sort(score[~truth])
    below = np.searchsorted(false, score[truth], side="left") + np.searchsorted(false, score[truth], side="right")
    return float(below.mean() / 2 / len(false))


def reliability(probability: Series, came_true: NDArray[np.bool_], bins: int = 5) -> tuple[Bin, ...]:
    """Bins of equal width over the probability; empty ones are left out."""
    at = np.minimum((probability * bins).astype(int), bins - 1)
    return tuple(
        Bin(float(probability[at == k].mean()), float(came_true[at == k].mean()), int((at == k).sum()))
        for k in range(bins)
        if (at == k).any()
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """Mean difference between said and came true, weighted by count."""
    return float(np.average([abs(b.said - b.came_true) for b in bins], weights=[b.count for b in bins]))


def interval(
    score: Callable[[NDArray[np.int64]], float], groups: Names, seed: int, draws: int = 400, level: float = 0.95
) -> tuple[float, float] | None:
    """Bootstrap interval of ``score``, a function of indices of samples, over whole groups drawn with replacement. None
    with fewer than three groups: it would be a guess."""
    names, of = np.unique(groups, return_inverse=True)
    if len(names) < 3:
        return None
    rng = np.random.default_rng([seed, _BOOTSTRAP])
    members = [np.flatnonzero(of == k) for k in range(len(names))]
    drawn = (np.concatenate([members[k] for k in rng.integers(0, len(names), len(names))]) for _ in range(draws))
    values = np.array([score(index) for index in drawn])
    values = values[np.isfinite(values)]
    if len(values) < draws // 2:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
