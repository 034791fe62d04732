"""From chunks to findings with calibrated doubt: gate, features, trees, for many devices at once.

A pure function of the chunks and the model. A batch of one gives bitwise what a batch of a thousand gives: everything is
computed chunk by chunk or row by row, by the same scalar code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk

from .forest import probability
from .model import SPEED_EDGES_MPS, Model
from .senses import hear
from .taxonomy import ALL_TYPES, SUPERCLASS_OF, Leaf

Series = NDArray[np.float64]
Models = Mapping[str, Model]
"""Of each kind of device, "box" and "phone"."""
MOST_SURE = 9.0
"""Log of the largest likelihood ratio of one candidate, either way: the simulator that it was learnt from is not the world, and
one pass must not decide a square. Larger, and two blunders outweigh a week of quiet passes; smaller, and a missing cover takes ten buses."""


@dataclass(frozen=True, eq=False)
class Told:
    """What one chunk tells: n candidates, by time, and what its silence is worth.

    t_s (n,): unix seconds. p (n,): probability that it is a defect that this device can sense, at the natural share of defects.
    log_ratio (n,): log of the likelihood of a defect over that of none (the share taken out again). fires (n,): bool, p from
    the model's threshold of one false finding a km on. leaves: kinds and subtypes known to the model; kinds (n, L): their
    probabilities given a defect, uniform before. height_mm (n,): how high or deep, given a defect. score (n,): of the
    gate, 1 at its threshold. detect (types + 1, speeds): chance that a severe defect of the type under a wheel would have given a
    candidate, by speed bin, on this road's roughness; row 0: that a second of healthy road gives one. per_m: candidates on a
    metre of healthy road.
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
        """The likeliest of the classes that a wheel tells apart, and its probability given a defect; "" where none is."""
        by_name: dict[str, float] = {}
        for k, leaf in enumerate(self.leaves):
            name = SUPERCLASS_OF.get(leaf, "")
            by_name[name] = by_name.get(name, 0.0) + float(self.kinds[i, k])
        name = max(sorted(by_name), key=lambda one: by_name[one])
        return name, by_name[name]


def recognise(chunks: Sequence[Chunk], speeds: Sequence[Series], kind: str, model: Model) -> list[Told]:
    """What each chunk tells. speeds: m/s at each sample, 0 where there is no position. ``kind`` of device: "box" or "phone"; the model is
    of the same kind (ValueError otherwise)."""
    if model.kind != kind:
        raise ValueError(f"a model of a {model.kind} cannot judge a {kind}")
    heard = hear(chunks, speeds, kind, model.gate)
    n = len(heard.t_s)
    odds = model.log_odds(model.detect.sums(heard.rows)[:, 0])
    prior = float(np.log(model.prior / (1 - model.prior)))
    ratio = np.clip(odds - prior, -MOST_SURE, MOST_SURE)
    p = probability(odds[:, None])[:, 0]
    fires = p >= model.fire
    # Kinds only where a defect is not out of the question: they cost more than all that came before.
    kinds = np.tile(model.shares, (n, 1))
    height = np.zeros(n)
    likely = np.flatnonzero(ratio > 0)
    if len(likely):
        rows = heard.rows[likely]
        kinds[likely] = probability(model.kinds.sums(rows), model.temperature)
        height[likely] = np.expm1(np.clip(model.size.sums(rows)[:, 0], 0.0, 6.0))
    bounds = np.searchsorted(heard.chunk, np.arange(len(chunks) + 1))
    told = []
    for c, chunk in enumerate(chunks):
        mine = slice(int(bounds[c]), int(bounds[c + 1]))
        level = float(heard.level[c])
        rough = int(np.searchsorted(model.rough, level)) if np.isfinite(level) else 0
        told.append(
            Told(
                t_s=heard.t_s[mine] + chunk.t0_s, p=p[mine], log_ratio=ratio[mine], fires=fires[mine],
                leaves=model.leaves, kinds=kinds[mine], height_mm=height[mine], score=heard.score[mine],
                detect=1 - model.quiet[:, :, rough], per_m=model.per_m,
            )
        )  # fmt: skip
    return told


def speed_bins(speed_mps: Series) -> NDArray[np.int64]:
    """Index into the speeds of `Told.detect`; -1 below the slowest, where silence says nothing."""
    return np.asarray(np.searchsorted(SPEED_EDGES_MPS, speed_mps, side="right") - 1, dtype=np.int64)


if tuple(t.number for t in ALL_TYPES) != tuple(range(len(ALL_TYPES))):
    raise RuntimeError("the tables of a model count types by their numbers")
