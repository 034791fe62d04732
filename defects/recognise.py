"""From chunks to findings with calibrated doubt: gate, features, trees, for many devices at once.

A pure function of the chunks and the model. A batch of one gives bitwise what a batch of a thousand gives: everything
is computed chunk by chunk or row by row, by the same scalar code.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk

from .forest import probability
from .model import Model
from .senses import hear
from .taxonomy import ALL_TYPES
from .told import Told

Series = NDArray[np.float64]
MOST_SURE = 8.0
"""Log of the largest likelihood ratio of one candidate, either way: the simulator that it was learnt from is not the
world, and one pass must not decide a square. Larger, and two blunders outweigh a week of quiet passes; smaller, and a
missing cover takes ten buses."""


def recognise(chunks: Sequence[Chunk], speeds: Sequence[Series], kind: str, model: Model) -> list[Told]:
    """What each chunk tells. speeds: m/s at each sample, 0 where there is no position. ``kind`` of device: "box" or
    "phone"; the model is of the same kind (ValueError otherwise)."""
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


if tuple(t.number for t in ALL_TYPES) != tuple(range(len(ALL_TYPES))):
    raise RuntimeError("the tables of a model count types by their numbers")
