"""Ensembles for few recordings: strongly regularised, and averaged over kinds that err differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .extra import research
from .figures import Names, Series, Table


def balanced_weights(labels: Names, groups: Names) -> Series:
    """Weights (n,): labels count alike, and inside a label near-duplicates of one group count by the root of their
    number; the mean is 1."""
    _, of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    weights = 1.0 / np.sqrt(sizes[of])
    for label in np.unique(labels):
        weights[labels == label] /= weights[labels == label].sum()
    return np.asarray(weights / weights.mean(), dtype=np.float64)


@dataclass(eq=False)
class Averaged:
    """The mean of the probabilities of an ExtraTrees forest, a support vector machine and a logistic regression.

    trees: fewer, and two seeds differ; more only cost. leaf: samples in a leaf, 1 learns single clips by heart. svm_c,
    logistic_c: larger fits the training data closer. parts: which of the three. Raises ResearchExtraMissing.
    """

    seed: int
    trees: int = 250
    leaf: int = 2
    svm_c: float = 3.0
    logistic_c: float = 0.02
    parts: Sequence[str] = ("trees", "svm", "logistic")
    _fitted: list[Any] = field(default_factory=list)
    _low: Series = field(default_factory=lambda: np.empty(0))
    _high: Series = field(default_factory=lambda: np.empty(0))

    def fit(self, table: Table, labels: Names, weights: Series) -> Averaged:
        """Learns from figures (n, m), labels (n,) and weights (n,)."""
        self._low, self._high = np.quantile(table, [0.002, 0.998], axis=0)
        bounded = np.clip(table, self._low, self._high)
        ensemble, svm = research("sklearn.ensemble"), research("sklearn.svm")
        linear, scale = research("sklearn.linear_model"), research("sklearn.preprocessing")
        self._fitted = []
        scaler = scale.StandardScaler().fit(bounded)
        scaled = scaler.transform(bounded)
        for part in self.parts:
            if part == "trees":
                model = ensemble.ExtraTreesClassifier(
                    self.trees, min_samples_leaf=self.leaf, max_features=0.2, random_state=self.seed
                ).fit(bounded, labels, sample_weight=weights)
                self._fitted.append((None, model))
            elif part == "svm":
                gamma = 0.35 / table.shape[1]
                model = svm.SVC(C=self.svm_c, gamma=gamma).fit(scaled, labels, sample_weight=weights)
                self._fitted.append((scaler, model))
            else:
                model = linear.LogisticRegression(C=self.logistic_c, max_iter=3000)
                self._fitted.append((scaler, model.fit(scaled, labels, sample_weight=weights)))
        return self

    def probabilities(self, table: Table, labels: Sequence[str]) -> Table:
        """(n, len(labels)), rows sum to 1; a label it never learnt gets 0. What lies beyond all that was learnt counts
        as the outermost learnt."""
        bounded = np.clip(table, self._low, self._high)
        total = np.zeros((len(table), len(labels)))
        for scaler, model in self._fitted:
            x = bounded if scaler is None else scaler.transform(bounded)
            p = model.predict_proba(x) if hasattr(model, "predict_proba") else _soft(model.decision_function(x))
            for k, label in enumerate(model.classes_):
                total[:, list(labels).index(str(label))] += p[:, k]
        return np.asarray(total / total.sum(axis=1, keepdims=True))


def _soft(scores: NDArray[np.float64]) -> Table:
    """Probabilities from the votes of pairs of labels (n, labels), or from the side of the one boundary of two (n,)."""
    both = np.column_stack([-scores, scores]) if scores.ndim == 1 else scores
    exp = np.exp(1.5 * (both - both.max(axis=1, keepdims=True)))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True), dtype=np.float64)
