"""Boosted trees as flat arrays, walked in numba: no pickle, no training library at run time, the same bits in any
batch.

scikit-learn's own predict takes 11-15 ms for one row; the walk takes microseconds (measured, prototype).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees for K outputs over F features.

    feature int16 (N,), -1 in a leaf; threshold float64 (N,): left where x <= threshold; left, right int32 (N,);
    missing_left uint8 (N,): where NaN goes; value float64 (N,): of a leaf; root int32 (T,), output int16 (T,): each
    tree's first node and what it adds to; base float64 (K,): what the sums start from. features: how many columns.
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.uint8]
    value: NDArray[np.float64]
    root: NDArray[np.int32]
    output: NDArray[np.int16]
    base: NDArray[np.float64]
    features: int

    FIELDS = ("feature", "threshold", "left", "right", "missing_left", "value", "root", "output", "base")

    def check(self) -> None:
        """Raises ValueError where a walk could leave the arrays, or never end."""
        n = len(self.feature)
        if any(len(getattr(self, f)) != n for f in ("threshold", "left", "right", "missing_left", "value")):
            raise ValueError("the columns of a forest differ in length")
        inner = self.feature >= 0
        at = np.arange(n)
        if (self.feature >= self.features).any():
            raise ValueError("a tree asks for a feature that there is not")
        # Children after their parents: then every walk ends.
        for child in (self.left, self.right):
            if (child[inner] <= at[inner]).any() or (child[inner] >= n).any():
                raise ValueError("a tree points back or out of the forest")
        if len(self.root) != len(self.output) or (self.root < 0).any() or (self.root >= n).any():
            raise ValueError("a root lies outside the forest")
        if (self.output < 0).any() or (self.output >= len(self.base)).any():
            raise ValueError("a tree adds to an output that there is not")
        if not (np.isfinite(self.value).all() and np.isfinite(self.base).all()):
            raise ValueError("a forest holds numbers that are none")

    def sums(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw outputs (n, K) of rows (n, F), NaN where something is missing."""
        out = np.tile(self.base, (len(rows), 1))
        if len(rows):
            _walk(
                np.ascontiguousarray(rows), self.feature, self.threshold, self.left, self.right, self.missing_left,
                self.value, self.root, self.output, out,
            )  # fmt: skip
        return out


@njit(cache=True)
def _walk(rows, feature, threshold, left, right, missing_left, value, root, output, out):  # type: ignore[no-untyped-def]
    for i in range(len(rows)):
        row = rows[i]
        sums = out[i]
        for t in range(len(root)):
            node = root[t]
            f = feature[node]
            while f >= 0:
                x = row[f]
                if x <= threshold[node] or (missing_left[node] and np.isnan(x)):  # noqa: SIM108  (the hot loop, as numba reads it)
                    node = left[node]
                else:
                    node = right[node]
                f = feature[node]
            sums[output[t]] += value[node]


@njit(cache=True)
def _soften(raw, temperature, out):  # type: ignore[no-untyped-def]
    # Number by number: numpy's own exp may round the last of a vector unlike the others.
    for i in range(len(raw)):
        if raw.shape[1] == 1:
            out[i, 0] = 1.0 / (1.0 + np.exp(-min(40.0, max(-40.0, raw[i, 0] / temperature))))
            continue
        top = raw[i, 0]
        for k in range(raw.shape[1]):
            top = max(top, raw[i, k])
        total = 0.0
        for k in range(raw.shape[1]):
            out[i, k] = np.exp((raw[i, k] - top) / temperature)
            total += out[i, k]
        for k in range(raw.shape[1]):
            out[i, k] /= total


def probability(raw: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    """Logistic of one output, or softmax of several, of raw / temperature; (n, K)."""
    out = np.empty_like(raw)
    if len(raw):
        _soften(raw, temperature, out)
    return out
