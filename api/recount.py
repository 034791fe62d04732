"""Was anything lost or counted twice? Every kept chunk is observed again from its bytes, and the sum is held against
the evidence. It can be done because observing is a pure function and evidence is a sum of integers.

What is no longer kept cannot be counted again, and that is said rather than called a fault: coarse squares of days
whose citizens' chunks have gone (phones speak for coarse squares only), slots of sealed days, whole days whose boxes'
chunks have gone. All the rest is compared bit for bit. What a seal recorded stays comparable for ever: see `fsck`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import psycopg

from defects import Deltas, EvidenceOptions, Observation, fold, listen, merge, observe, without_slots
from defects import recode as reading
from defects import store as defects_store
from grid import level_of, traces
from ingest import Chunk, City, Refused, decode, devices
from ingest import raw as ingest_raw
from ingest import store as ingest_store

from .days import Days, OpenDay, read_day
from .fsck_chunks import misreported
from .worker import leaf_of, slot_of

Connection = psycopg.Connection[Any]
_AT_ONCE = 500
_HEARD_AT_ONCE = 64
"""Chunks that are recognised together: fewer cost more each, more hold more of the boxes' laser lines in memory."""


@dataclass(frozen=True)
class Recount:
    """chunks: how many were observed again. lost, doubled: squares that were passed more or less often than the
    evidence says. different: blocks and days whose evidence is not bit for bit that of the chunks. damaged: chunks
    whose bytes are no longer those that were accepted. left_out: what could not be counted again, because what it was
    made of had to go; each a sentence. misreported: chunks of which the database tells something
    else than they say, and what."""

    chunks: int
    lost: int
    doubled: int
    different: tuple[tuple[int, date], ...]
    damaged: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    misreported: tuple[tuple[int, str], ...] = ()

    @property
    def exact(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.lost or self.doubled or self.different or self.damaged or self.misreported)


def recount(
    conn: Connection, city: City, options: EvidenceOptions, progress: Callable[[int], None] | None = None
) -> Recount:
    """Counts everything again. On a platform that runs, give a connection in one REPEATABLE READ transaction."""
    sums: dict[date, list[Deltas]] = {}
    damaged: list[int] = []
    odd: list[tuple[int, str]] = []
    n = 0
    after = 0
    days = Days()
    while ids := ingest_store.chunk_ids_after(conn, after, _AT_ONCE):
        after = ids[-1]
        whole: list[_Whole] = []
        read: dict[int, tuple[Chunk, Observation]] = {}
        for number, day, device, kind, raw, salt, leaf in ingest_store.whole_chunks(conn, ids):
            n += 1
            try:
                if leaf_of(raw, salt) != leaf:
                    raise ValueError("the bytes are not those that were accepted")
                whole.append(_Whole(number, days.get(day, lambda d: read_day(conn, d)), device, kind, decode(raw)))
            except (Refused, ValueError):
                damaged.append(number)
        for first in range(0, len(whole), _HEARD_AT_ONCE):
            some = whole[first : first + _HEARD_AT_ONCE]
            for one, seen in zip(some, _observed(some, city, options), strict=True):
                if seen is None:
                    damaged.append(one.number)
                    continue
                read[one.number] = one.chunk, seen
                parts = sums.setdefault(one.day.day, [])
                parts.append(seen.deltas)
                if len(parts) > _AT_ONCE:
                    sums[one.day.day] = [merge(parts)]
        odd += misreported(conn, read)
        if progress:
            progress(len(ids))
    return replace(_compare(conn, sums, n, sorted(damaged)), misreported=tuple(odd))


@dataclass(frozen=True, eq=False)
class _Whole:
    """A kept chunk whose bytes are those that were accepted."""

    number: int
    day: OpenDay
    device: str
    kind: str
    chunk: Chunk


def _observed(some: list[_Whole], city: City, options: EvidenceOptions) -> list[Observation | None]:
    """What chunks say, recognised together where none of them prevents it; None of one that cannot be observed."""
    chunks, kinds = [one.chunk for one in some], [one.kind for one in some]
    try:
        laid = list(traces(chunks, city, options.fixes))
        told = listen(chunks, kinds, laid, options)
    except ValueError:
        laid, told = [], []
    seen: list[Observation | None] = []
    for i, one in enumerate(some):
        # Of a sealed day it cannot be said any more whose a slot was; it is not compared.
        slot, weight = slot_of(one.device, one.day.salt), one.day.weight(one.device, one.kind)
        given = (laid[i], told[i]) if laid else (None, None)
        try:
            seen.append(observe(one.chunk, one.kind, slot, city, options, weight, *given))
        except ValueError:
            seen.append(None)
    return seen


def _compare(conn: Connection, sums: dict[date, list[Deltas]], n: int, damaged: list[int]) -> Recount:
    lost = doubled = 0
    different: list[tuple[int, date]] = []
    states = {state.day: state for state in ingest_raw.day_states(conn)}
    should = {(b, day): e for day, parts in sums.items() for b, e in reading.by_block(merge(parts)).items()}
    waiting = reading.fold_in(defects_store.read_journal(conn), {})
    left: Counter[str] = Counter()
    erased = devices.erased_days(conn)
    for block, day in sorted(should.keys() | waiting.keys() | set(defects_store.evidence_keys(conn))):
        state = states.get(day)
        if state and state.boxes_gone_at:
            left[f"{day}: its raw chunks have gone"] += 1
            continue
        if state and state.phones_gone_at and int(level_of(block)) > 0:
            left[f"{day}: coarse squares, its citizens' chunks have gone"] += 1
            continue
        if day in erased and int(level_of(block)) > 0:
            left[f"{day}: coarse squares, a phone's chunks went at its owner's wish"] += 1
            continue
        stored = defects_store.evidence_of(conn, [block]).get(block, {}).get(day, reading.NO_EVIDENCE)
        if (block, day) in waiting:
            stored = fold(stored, waiting[block, day])
        right = should.get((block, day), reading.NO_EVIDENCE)
        passes = reading.passes_of(stored) - reading.passes_of(right)
        lost += int((passes < 0).sum())
        doubled += int((passes > 0).sum())
        if state and state.sealed_at:
            left[f"{day}: which devices, it is sealed"] += 1
            stored, right = without_slots(stored), without_slots(right)
        if not (np.array_equal(stored.key, right.key) and np.array_equal(stored.value, right.value)):
            different.append((block, day))
    told = tuple(f"{what} ({blocks} blocks)" for what, blocks in sorted(left.items()))
    return Recount(n, lost, doubled, tuple(different), tuple(damaged), told)
