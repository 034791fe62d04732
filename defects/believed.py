"""What is believed of coarse squares before a day: the filter of the read-out, asked for its belief alone.

The read-out hears phones only where enough of them felt something, and never lets their silence heal: what it shows
must not say who drove. A settlement shows nothing of squares, so here every phone is heard, its silence too, as much as
one phone's passing is worth. The drift, the fading and the tempering are the filter's own: what nobody passed for weeks
is as unknown as before, and a way that somebody drives every day is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
from numpy.typing import NDArray

from grid import level_of

from . import filter as days
from .evidence import UNIT, BlockEvidence, fold
from .ground import Ground
from .health import HealthOptions
from .numbers import exposure_share, nights, numbers
from .options import EvidenceOptions
from .planes import (
    DEVICES,
    EXPOSURE_BOX,
    HIT_DEVICES,
    LOGODDS,
    PASSES,
    PHONE_DEVICES,
    PHONE_HIT_DEVICES,
    PHONE_LOGODDS,
    PHONE_PASSES,
    PHONE_TALLY,
    TALLY,
)
from .taught import quiet_worth

Floats = NDArray[np.float64]
_AS = {
    PHONE_LOGODDS: LOGODDS, PHONE_TALLY: TALLY, PHONE_PASSES: PASSES, PHONE_DEVICES: DEVICES,
    PHONE_HIT_DEVICES: HIT_DEVICES,
}  # fmt: skip


def believed(
    evidence: Mapping[int, Mapping[date, BlockEvidence]], day: date, level: int, options: HealthOptions,
    saying: EvidenceOptions, ground: Mapping[int, Ground],
) -> dict[int, Floats]:  # fmt: skip
    """Log-odds, float64 (1024,), that something is wrong in each square of blocks of one coarse level, on the morning
    of ``day``: of the evidence of the days before it, and nothing later. Repairs of ``ground`` are heard."""
    blocks = sorted(evidence)
    if any(int(level_of(b)) != level for b in blocks):
        raise ValueError("blocks of one level at a time")
    opt = numbers(options, level)
    rows: list[BlockEvidence] = []
    row_day: list[int] = []
    block_rows = [0]
    for block in blocks:
        for d in sorted(d for d in evidence[block] if d < day):
            rows.append(heard(evidence[block][d], level, saying))
            row_day.append(d.toordinal())
        block_rows.append(len(rows))
    known = [ground.get(b) for b in blocks]
    some = [g for g in known if g is not None]
    repairs = [(d.toordinal(), squares) for g in some for d, squares in g.repairs]
    own, at = [], -1
    for g in known:
        at += g is not None
        own.append(at if g is not None else -1)
    n, today = len(blocks), day.toordinal()
    _, _, kept, n_kept = days.run(
        np.array(block_rows, np.int64), np.array(row_day, np.int64),
        np.cumsum([0, *(len(r.key) for r in rows)], dtype=np.int64),
        np.concatenate([r.key for r in rows] or [np.empty(0, np.uint16)]).astype(np.uint16),
        np.concatenate([r.value for r in rows] or [np.empty(0, np.int64)]).astype(np.int64),
        np.zeros(n + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.full(n, -1, np.int64),
        np.array(own, np.int64), np.array([g.validity_days for g in some], np.uint8).reshape(-1, 1024),
        np.cumsum([0, *(len(g.repairs) for g in some)], dtype=np.int64), np.array([d for d, _ in repairs], np.int64),
        np.array([squares for _, squares in repairs], bool).reshape(-1, 1024),
        exposure_share(options), nights(options), opt, 0, today, today, True, np.zeros((n, 1024), np.int32),
        np.zeros((n, 1024), bool), np.zeros((n, 1024), np.uint32), np.zeros((n, 1024), np.uint8),
        np.zeros((0, 0), np.int32),
    )  # fmt: skip
    logit = np.full((n, 1024), opt[days.PRIOR], np.int64)
    has, said, looked = np.zeros((n, 1024), bool), np.zeros((n, 1024), np.int64), np.zeros((n, 1024), np.int64)
    block, index, place, value = kept[:n_kept, 0], kept[:n_kept, 1] >> 7, kept[:n_kept, 1] & 127, kept[:n_kept, 2]
    for where, out in ((days.LOGIT, said), (days.EXPOSURE, looked)):
        mine = place == where
        out[block[mine], index[mine]] = value[mine]
    mine = place == days.HAS
    has[block[mine], index[mine]] = (value[mine] & 1).astype(bool)
    logit = np.where(has, said, logit - np.minimum(looked, opt[days.MOST_AGAINST]))
    return {b: logit[i] / UNIT for i, b in enumerate(blocks)}


def heard(said: BlockEvidence, level: int, options: EvidenceOptions) -> BlockEvidence:
    """Evidence of a coarse block and day with every phone in it, and the silence of those that felt nothing."""
    plane = (said.key & 63).astype(np.int64)
    phone = np.isin(plane, list(_AS))
    boxes = BlockEvidence(said.key[~phone], said.value[~phone])
    if not phone.any():
        return boxes
    moved = np.array([_AS.get(p, p) for p in range(64)], np.uint16)
    key = (said.key[phone] & ~np.uint16(63)) | moved[plane[phone]]
    order = np.argsort(key, kind="stable")
    out = fold(boxes, BlockEvidence(key[order], said.value[phone][order]))
    silent = (said.plane(PHONE_PASSES) - (said.plane(PHONE_TALLY) >> 32)).clip(min=0)
    at = np.flatnonzero(silent)
    worth = round(quiet_worth(level, options) * UNIT)
    quiet = BlockEvidence((at * 64 + EXPOSURE_BOX).astype(np.uint16), silent[at] * worth)
    return fold(out, quiet)

