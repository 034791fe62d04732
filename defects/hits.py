"""Where the road threw the vehicle: jolts on the fixed scale, as the recogniser judges them.

The fixed scale keeps a bad road from hiding its holes; it cannot tell a speed bump from a pothole. The recogniser can,
and finds what is too small for the scale. A jolt that it holds for harmless is none; what it finds beside the jolts is
added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk

from .jolts import JoltOptions, peaks
from .told import Told

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Hit:
    """One moment of a chunk. sample: index; log_ratio: how much likelier a defect makes it than none, by the
    recogniser, None where it said nothing of the moment; candidate: its number in what was told, or None."""

    sample: int
    log_ratio: float | None = None
    candidate: int | None = None


@dataclass(frozen=True)
class JudgeOptions:
    """How jolts and the recogniser are joined. near_s: a candidate so near to a jolt is the same hit: the gate's
    filters answer later than the peak. Larger, and two covers in a row become one; smaller, and one hit counts twice.
    harmless: log-ratio below which a jolt is taken back. At 0 the recogniser alone would decide, and it knows simulated
    roads only; at -9 a speed bump stays a defect. alone: kinds of devices whose candidates count without a jolt. With
    phones among them the medium one of the real drives had three times the findings, the bad ones no more (measured):
    what stands out on a good road is no hole. Without boxes, what only a laser sees is lost.
    """

    near_s: float = 0.35
    harmless: float = -1.5
    alone: tuple[str, ...] = ("box",)


def hits(
    chunk: Chunk, kind: str, score: Series, usable: NDArray[np.bool_], told: Told | None, jolts: JoltOptions,
    judge: JudgeOptions,
) -> list[Hit]:  # fmt: skip
    """The hits of a chunk of a device of ``kind``, by time, context included. score (n,): of each sample, 0 where there
    is no position."""
    at = peaks(score, chunk.rate_hz, jolts)
    if told is None:
        return [Hit(i) for i in at]
    moments = (told.t_s - chunk.t0_s) * chunk.rate_hz
    reach = judge.near_s * chunk.rate_hz
    own_first, own_stop = np.searchsorted(chunk.sample_t_s, (chunk.start_s, chunk.end_s)).tolist()
    found: list[Hit] = []
    taken: set[int] = set()
    for i in at:
        near = np.flatnonzero(np.abs(moments - i) <= reach)
        if not len(near):
            found.append(Hit(i))
            continue
        best = int(near[np.argmax(told.log_ratio[near])])
        taken.update(near.tolist())
        if told.log_ratio[best] >= judge.harmless:
            found.append(Hit(i, float(told.log_ratio[best]), best))
    for k in np.flatnonzero(told.fires).tolist() if kind in judge.alone else ():
        i = min(max(round(float(moments[k])), own_first), own_stop - 1)
        # The gate answers some 0.06 s after the peak, half a metre at 40 km/h: the place is that of the peak. But the
        # candidate is this chunk's: a peak beyond what the chunk owns would be told by neither neighbour.
        first = max(own_first, i - int(reach))
        near_score = score[first : min(own_stop, i + int(reach) + 1)]
        if len(near_score) and near_score.max() > 0:
            i = first + int(near_score.argmax())
        if k not in taken and usable[i]:
            found.append(Hit(i, float(told.log_ratio[k]), k))
    return sorted(found, key=lambda h: h.sample)
