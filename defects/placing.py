"""Where a chunk was, without what it felt."""

from __future__ import annotations

import numpy as np

from grid import Trace, Zone, cells_at, sample
from ingest import Chunk, City

from .evidence import Deltas, merge
from .observe import Observation
from .options import EvidenceOptions
from .passage import level_for, radius_of
from .planes import PASSES
from .told import Told

_PLACED_M = 0.5  # from point to point: a square metre that is crossed has one, but for a corner of half a metre
_TRUE = np.ones(1, dtype=bool)


def place(
    chunk: Chunk, kind: str, slot: int, city: City, options: EvidenceOptions, weight: float, trace: Trace,
    told: Told | None = None,
) -> Observation:  # fmt: skip
    """The squares that the vehicle's middle passed, and nothing of what it felt: `observe` without recognition, for
    measurements of everything around it. Arguments as there."""
    del slot, weight, told
    t = np.arange(chunk.start_s, chunk.end_s, _PLACED_M / max(float(trace.speed_mps.max()), 1.0))
    x, y = np.interp(t, trace.t_s, trace.x_m), np.interp(t, trace.t_s, trace.y_m)
    if trace.broken.any():
        usable = sample(trace, t).usable
        x, y = x[usable], y[usable]
    distance_m = float(np.hypot(x[1:] - x[:-1], y[1:] - y[:-1]).sum())
    level = level_for(radius_of(float(trace.sigma_m.max())), kind, options) if len(x) else None
    if level is None:
        return Observation(merge([]), (), distance_m, trace.faults)
    cell = cells_at(x, y, Zone(city.utm_zone, city.utm_north), level)
    cell.sort()
    cells = cell[np.concatenate((_TRUE, cell[1:] != cell[:-1]))]
    ones = np.ones(len(cells), np.int64)
    return Observation(Deltas(cells, np.full(len(cells), PASSES, np.uint8), ones), (), distance_m, trace.faults)
