"""Evidence of one block, made by hand: what so many passes of so many devices would have left."""

from __future__ import annotations

from datetime import date

import numpy as np

from defects.evidence import UNIT, BlockEvidence, Deltas, merge, tally, to_block
from defects.planes import DEVICES, EXPOSURE_BOX, HIT_DEVICES, LOGODDS, OR_PLANES, PASSES, TALLY
from grid import Zone, blocks_of, cells_at

DAY = date(2026, 11, 20)
BLOCK = int(blocks_of(cells_at(500_000.0, 3_350_000.0, Zone(51))))
MIDDLE = 16 * 32 + 16

Entries = dict[tuple[int, int], int]


def evidence(entries: Entries) -> BlockEvidence:
    """Block evidence of (index, plane) -> value."""
    index, plane = (np.array(v) for v in zip(*entries, strict=True))
    one = merge([Deltas(index.astype(np.int64), plane.astype(np.uint8), np.array(list(entries.values()), np.int64))])
    return to_block(one.cell, one.plane, one.value)


def quiet(n: int, devices: int, at: int = MIDDLE, each: float = 1.06) -> Entries:
    """n quiet passes of so many devices."""
    return {(at, PASSES): n, (at, DEVICES): (1 << devices) - 1, (at, EXPOSURE_BOX): round(n * each * UNIT)}


def hits(
    n: int, devices: int, at: int = MIDDLE, kind: int = 0, severity: float = 2.5, each: float = 6.0
) -> Entries:
    """n hits of so many devices."""
    return {
        (at, PASSES): n,
        (at, DEVICES): (1 << devices) - 1,
        (at, HIT_DEVICES): (1 << devices) - 1,
        (at, LOGODDS + kind): round(n * each * UNIT),
        (at, TALLY + kind): tally(n, n * severity),
    }


def together(*parts: Entries) -> Entries:
    """All on one day: sums added, bits joined."""
    out: Entries = {}
    for part in parts:
        for key, value in part.items():
            out[key] = out.get(key, 0) | value if key[1] in OR_PLANES else out.get(key, 0) + value
    return out
