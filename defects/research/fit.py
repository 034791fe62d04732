"""Fitting: scikit-learn's boosted trees, laid out flat for the walk, and probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..forest import Forest
from .extra import research

Floats = NDArray[np.float64]
BINS = 255
"""Of each feature, between whose edges a split may lie; scikit-learn's own number, and its most. Fewer, and small
differences are lost; where candidates are weighted, finding the edges costs a millisecond for each."""


@dataclass(frozen=True)
class FitOptions:
    """Of one boosted forest. rounds, leaves, rate: more of each fits the simulator closer, and unseen physics worse
    from some point on; least: candidates a leaf must hold; l2: shrinks leaves of few; share: of the features a split
    may choose from, so that no single one carries all."""

    rounds: int = 300
    leaves: int = 31
    rate: float = 0.06
    least: int = 40
    l2: float = 5.0
    share: float = 0.4


def flat(model: Any, columns: int) -> Forest:
    """The trees of a fitted HistGradientBoosting model, flat. Raises ValueError on categorical splits, which we use
    none of."""
    parts: dict[str, list[NDArray[Any]]] = {f: [] for f in Forest.FIELDS[:6]}
    root, output = [], []
    total = 0
    for stage in model._predictors:
        for k, tree in enumerate(stage):
            nodes = tree.nodes
            if nodes["is_categorical"].any():
                raise ValueError("a tree splits by category")
            leaf = nodes["is_leaf"].astype(bool)
            parts["feature"].append(np.where(leaf, -1, nodes["feature_idx"]).astype(np.int16))
            parts["threshold"].append(np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64))
            parts["left"].append(np.where(leaf, 0, nodes["left"] + total).astype(np.int32))
            parts["right"].append(np.where(leaf, 0, nodes["right"] + total).astype(np.int32))
            parts["missing_left"].append(np.where(leaf, 0, nodes["missing_go_to_left"]).astype(np.uint8))
            parts["value"].append(np.where(leaf, nodes["value"], 0.0).astype(np.float64))
            root.append(total)
            output.append(k)
            total += len(nodes)
    base = np.atleast_1d(np.asarray(model._baseline_prediction, dtype=np.float64).ravel())
    return Forest(
        **{f: np.concatenate(p) for f, p in parts.items()},
        root=np.array(root, np.int32), output=np.array(output, np.int16), base=base, features=columns,
    )  # fmt: skip


def forest(
    task: str, rows: Floats, wanted: NDArray[Any], weight: Floats | None, options: FitOptions, seed: int
) -> Forest:
    """A forest for "classes" (labels from 0, each present) or "number". Raises ResearchExtraMissing."""
    ensemble = research("sklearn.ensemble")
    common: dict[str, Any] = {
        "max_iter": options.rounds, "max_leaf_nodes": options.leaves, "learning_rate": options.rate,
        "min_samples_leaf": options.least, "l2_regularization": options.l2, "max_features": options.share,
        "early_stopping": False, "max_bins": BINS, "random_state": seed,
    }  # fmt: skip
    # A sense that nothing here has: scikit-learn cannot cut a column of nothing, and no tree asks for one that never
    # changes.
    empty = np.isnan(rows).all(axis=0)
    rows = np.where(empty, 0.0, rows) if empty.any() else rows
    name = "HistGradientBoostingClassifier" if task == "classes" else "HistGradientBoostingRegressor"
    model = getattr(ensemble, name)(**common)
    model.fit(rows, wanted, sample_weight=weight)
    return flat(model, rows.shape[1])


def isotonic_log_odds(raw: Floats, truth: NDArray[np.bool_], weight: Floats) -> Floats:
    """Knots float64 (2, k) from a raw score to log-odds, rising: isotonic regression on weighted outcomes, each step of
    it at the weighted mean of its scores. Steps are pulled towards the whole's share by half an outcome, so that no
    probability is 0 or 1."""
    order = np.argsort(raw, kind="stable")
    x, y, w = raw[order], truth[order].astype(np.float64), weight[order]
    # Pool adjacent violators, on blocks of some tens of candidates each: single ones only follow noise.
    blocks = np.array_split(np.arange(len(x)), max(1, min(400, len(x) // 25)))
    means: list[list[float]] = []
    for b in blocks:
        means.append([float((x[b] * w[b]).sum() / w[b].sum()), float((y[b] * w[b]).sum()), float(w[b].sum())])
        while len(means) > 1 and means[-2][1] / means[-2][2] >= means[-1][1] / means[-1][2]:
            (x2, y2, w2), (x1, y1, w1) = means.pop(), means.pop()
            means.append([(x1 * w1 + x2 * w2) / (w1 + w2), y1 + y2, w1 + w2])
    share = float((y * w).sum() / w.sum())
    pull = 0.5 * float(np.median(w))
    at = np.array([m[0] for m in means])
    p = np.array([(m[1] + pull * share) / (m[2] + pull) for m in means])
    p = np.maximum.accumulate(np.clip(p, 1e-7, 1 - 1e-4))
    keep = np.r_[True, np.diff(at) > 1e-9]
    at, p = at[keep], p[keep]
    if len(at) < 2:
        at, p = np.array([at[0] - 1.0, at[0] + 1.0]), np.array([p[0], p[0]])
    return np.stack([at, np.log(p / (1 - p))])


def temperature_of(raw: Floats, label: NDArray[np.int64], weight: Floats) -> float:
    """What raw scores (n, K) are divided by so that their softmax is most likely to give the labels: golden section on
    its logarithm between .3 and 10."""

    def loss(log_t: float) -> float:
        z = raw / np.exp(log_t)
        z = z - z.max(axis=1, keepdims=True)
        said = z[np.arange(len(z)), label] - np.log(np.exp(z).sum(axis=1))
        return float(-(said * weight).sum())

    return float(np.exp(_lowest(loss, np.log(0.3), np.log(10.0))))


def _lowest(loss: Callable[[float], float], low: float, high: float) -> float:
    ratio = (5**0.5 - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    f_a, f_b = loss(a), loss(b)
    for _ in range(40):
        if f_a < f_b:
            high, b, f_b = b, a, f_a
            a = high - ratio * (high - low)
            f_a = loss(a)
        else:
            low, a, f_a = a, b, f_b
            b = low + ratio * (high - low)
            f_b = loss(b)
    return (low + high) / 2
