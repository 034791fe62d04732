"""What the recogniser tells of one chunk. It stands apart from what computes it, so that who only reads it wakes no
compiler."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .taxonomy import SUPERCLASS_OF, Leaf

Series = NDArray[np.float64]
SPEED_EDGES_MPS = (15 / 3.6, 25 / 3.6, 35 / 3.6, 50 / 3.6)
"""Bins of speed: from each edge on; below the first nothing is said."""


@dataclass(frozen=True, eq=False)
class Told:
    """What one chunk tells: n candidates, by time, and what its silence is worth.

    t_s (n,): unix seconds. p (n,): probability that it is a defect that this device can sense, at the natural share of
    defects. log_ratio (n,): log of the likelihood of a defect over that of none (the share taken out again). fires
    (n,): bool, p from the model's threshold of one false finding a km on. leaves: kinds and subtypes known to the
    model; kinds (n, L): their probabilities given a defect, uniform before. height_mm (n,): how high or deep, given a
    defect. score (n,): of the gate, 1 at its threshold. detect (types + 1, speeds): chance that a severe defect of the
    type under a wheel would have given a candidate, by speed bin, on this road's roughness; row 0: that a second of
    healthy road gives one. per_m: candidates on a metre of healthy road.
    """

    t_s: Series
    p: Series
    log_ratio: Series
    fires: NDArray[np.bool_]
    leaves: tuple[Leaf, ...]
    kinds: Series
    height_mm: Series
    score: Series
    detect: Series
    per_m: float

    def best(self, i: int) -> tuple[Leaf, float]:
        """The likeliest kind of candidate i, and the probability of its type (all subtypes), given a defect."""
        keys = [leaf.key for leaf in self.leaves]
        by_key: dict[str, float] = {}
        for k, key in enumerate(keys):
            by_key[key] = by_key.get(key, 0.0) + float(self.kinds[i, k])
        key = max(sorted(by_key), key=lambda name: by_key[name])
        mine = [k for k in range(len(keys)) if keys[k] == key]
        return self.leaves[max(mine, key=lambda k: float(self.kinds[i, k]))], by_key[key]

    def superclass(self, i: int) -> tuple[str, float]:
        """The likeliest of the classes that a wheel tells apart, and its probability given a defect; "" where none
        is."""
        by_name: dict[str, float] = {}
        for k, leaf in enumerate(self.leaves):
            name = SUPERCLASS_OF.get(leaf, "")
            by_name[name] = by_name.get(name, 0.0) + float(self.kinds[i, k])
        name = max(sorted(by_name), key=lambda one: by_name[one])
        return name, by_name[name]


def speed_bins(speed_mps: Series) -> NDArray[np.int64]:
    """Index into the speeds of `Told.detect`; -1 below the slowest, where silence says nothing."""
    return np.asarray(np.searchsorted(SPEED_EDGES_MPS, speed_mps, side="right") - 1, dtype=np.int64)
