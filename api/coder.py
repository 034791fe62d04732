"""The second pump: folds the journal into evidence, reads out codes, and lets everything that a change causes happen in
the same transaction: history, cases, records for the log, and word to whoever watches the map.

Squares of 1 m, where only boxes speak, are read out at once. Coarse ones, where phones speak, are read out once a day,
after its turn, from days that can no longer change: when somebody drove must not show.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import psycopg

from defects import (
    BlockEvidence,
    Case,
    Change,
    Codes,
    Ground,
    HealthOptions,
    join,
    last_public_day,
    register_store,
    turn,
)
from defects import recode as reading
from defects import store as defects_store
from grid import BLOCK, blocks_beside, column_row, corner_m, side_m, unproject, zone_of
from grid import store as roads
from ingest import City
from ingest import store as ingest_store
from ledger import Record, block_record, case_record, code_record, enqueue, leaf_hash, root_of

Connection = psycopg.Connection[Any]
CHANNEL = "codes"
_TURN_S = 600.0
"""After a day's turn, before coarse squares are read out. Much less and a chunk that was taken in the last moment might
not be committed yet, and stand out when it comes; much more and the map is older for nothing."""
_CASE_M = 100.0
"""How far around new squares known cases are looked up: farther than any case is long."""


@dataclass(frozen=True)
class Folded:
    """What one step did: rows taken from the journal, blocks whose codes changed, squares told of, cases touched."""

    rows: int
    blocks: int
    changes: int
    cases: int


NOTHING = Folded(0, 0, 0, 0)


def coarse_day(city: City, now_s: float) -> date:
    """The service day whose turn the coarse squares show: of today, some minutes after it has begun."""
    return city.service_day(now_s - _TURN_S)


def step(
    conn: Connection, city: City, options: HealthOptions, now_s: float, most: int = 200, quiet_s: float = 0.0
) -> Folded:
    """One fold. Commits. Gives `NOTHING` where there was nothing to do or another coder holds the lease. Evidence of
    blocks where nothing was found may wait ``quiet_s``: many passes are then folded in one go, which costs hardly more
    than one."""
    today = city.service_day(now_s)
    with conn.transaction():
        if not defects_store.hold_coder_lease(conn):
            return NOTHING
        taken = defects_store.take_journal(conn, most, quiet_s)
        deltas = {day: parts for day, parts in taken.items() if parts}
        touched = {b for parts in deltas.values() for p in parts for b in defects_store.blocks_of_deltas(p)}
        changed = set(register_store.stale_ground(conn, most))
        stale = set(defects_store.stale_blocks(conn, today, most)) | changed
        folded = reading.fold_in(deltas, defects_store.evidence_of(conn, touched, deltas)) if touched else {}
        defects_store.put_evidence(conn, folded)
        # Evidence of phones that waited here for days, and is heard below already (`felt_around`).
        newest = last_public_day(today, options)
        late = {b for (b, day), e in folded.items() if turn.is_coarse(b) and day < newest and reading.felt_in(e)}
        if late:
            register_store.mark_coded(conn, roads.blocks_below(late))
        rows = sum(len(parts) for parts in deltas.values())
        told = _turn_of_day(conn, city, options, now_s, most, {b for b in touched if turn.is_coarse(b)})
        touched = {b for b in touched if not turn.is_coarse(b)}
        if not touched and not stale:
            return Folded(rows, told.blocks, told.changes, told.cases)
        beside = {b for block in touched for b in blocks_beside(block).values()}
        recoded = touched | stale | defects_store.coded(conn, beside)
        codes = _read(conn, recoded, today, options, folded, keep=bool(stale))
        register_store.settle_ground(conn, changed)
        days: dict[int, set[date]] = {}
        for block, day in folded:
            days.setdefault(block, set()).add(day)
        fine = _tell(conn, city, codes, days, today, datetime.fromtimestamp(now_s, UTC))
        return Folded(rows, fine.blocks + told.blocks, fine.changes + told.changes, fine.cases + told.cases)


def ground(conn: Connection, blocks: set[int], today: date, options: HealthOptions) -> dict[int, Ground]:
    """What registers and the road network say of blocks on a day."""
    return register_store.ground_of(conn, blocks, today, options.ground, roads.classes_of(conn, blocks))


def ground_heard(conn: Connection, blocks: set[int], today: date, options: HealthOptions) -> dict[int, Ground]:
    """`ground`, and what registers say of the coarse squares above blocks of 1 m squares: what phones feel on a known
    object, or felt before a repair, is not heard below."""
    above = reading.above(blocks) - blocks
    return ground(conn, blocks, today, options) | register_store.ground_of(conn, above, today, options.ground)


def _read(
    conn: Connection,
    blocks: set[int],
    today: date,
    options: HealthOptions,
    folded: dict[tuple[int, date], BlockEvidence],
    keep: bool,
) -> dict[int, Codes]:
    """The codes of blocks of 1 m squares, from what is carried of them and the days after it. ``folded``, what was
    written just now, is not fetched again. ``keep``: on a new day the states at the end of the last sealed one are
    carried on."""
    halo = blocks | {b for block in blocks for b in blocks_beside(block).values()}
    # What a clock that ran ahead has carried lies in the future: it is left unread, and written over.
    last = last_public_day(today, options)
    carried = {b: carry for b, carry in defects_store.carry_of(conn, halo).items() if carry.asof <= last}
    rest = (halo - carried.keys()) | reading.above(halo)
    evidence = defects_store.evidence_after(conn, {b: carry.asof for b, carry in carried.items()}, folded.keys())
    evidence |= defects_store.evidence_of(conn, rest, but=folded.keys())
    for (block, day), said in folded.items():
        if block in halo or block in rest:
            evidence.setdefault(block, {})[day] = said
    found = reading.reread(blocks, evidence, today, options, ground_heard(conn, halo, today, options), carried, keep)
    defects_store.put_carry(conn, {
        block: carry for block, carry in found.carried.items()
        if block not in carried or carried[block].asof < carry.asof
    })  # fmt: skip
    return found.codes


def _turn_of_day(
    conn: Connection, city: City, options: HealthOptions, now_s: float, most: int, touched: set[int]
) -> Folded:
    """Reads out coarse blocks whose turn it is; ``touched``, those that evidence was added to, wait for theirs."""
    today = coarse_day(city, now_s)
    turn.await_turn(conn, touched, today)
    if not turn.turned(conn, today):
        tallies = ingest_store.tallies(conn)
        phones = sum(n for name, label, n in tallies if (name, label) == ("accepted", "phone"))
        turn.note_turn(conn, today, phones, sum(n for name, _, n in tallies if name == "refused"))
    blocks = set(turn.due(conn, today, last_public_day(today, options), most))
    if not blocks:
        return NOTHING
    halo = blocks | {b for block in blocks for b in blocks_beside(block).values()}
    known = ground(conn, halo, today, options)
    codes = reading.recode(blocks, defects_store.evidence_of(conn, halo), today, options, known)
    register_store.settle_ground(conn, blocks)
    turn.mark_turned(conn, sorted(blocks), today)
    # The context of the newest day that is told: whether today has one yet says whether somebody drives already.
    context_day = last_public_day(today, options)
    return _tell(conn, city, codes, {}, today, datetime.fromtimestamp(now_s, UTC), context_day)


def _tell(
    conn: Connection,
    city: City,
    codes: dict[int, Codes],
    days: dict[int, set[date]],
    today: date,
    at: datetime,
    context_day: date | None = None,
) -> Folded:
    """Writes what changed, and everything that follows from it. ``days``: those whose evidence was folded, by block.

    The codes are all of 1 m squares, or all of coarse ones.
    """
    before = defects_store.codes_of(conn, codes)
    changed: dict[int, tuple[int, Codes]] = {}
    changes: list[Change] = []
    confirmed: dict[int, int] = {}
    for block, now in codes.items():
        revision, old = before.get(block, (0, None))
        if old is not None and old.tobytes() == now.tobytes():
            continue
        if old is None and turn.is_coarse(block) and not now["colour"].any():
            continue  # a coarse block without a colour would only say that some phone was there
        changed[block] = (revision + 1, now)
        changes += reading.changes(block, old, now)
        confirmed |= reading.confirmed_red(block, now)
    defects_store.put_codes(conn, today, changed, at)
    defects_store.mark_read(conn, today, [b for b in codes if b not in changed])
    opening = datetime.fromtimestamp(city.day_bounds_s(today)[0], UTC)
    if any(turn.is_coarse(block) for block in codes):
        at = opening  # by day only where phones spoke, also in the log and of cases
    defects_store.add_changes(conn, changes, today, at)
    cases = _cases(conn, confirmed, at)
    at_ms = int(at.timestamp() * 1000)
    context = _context(conn, context_day or today)
    records: list[Record] = [
        code_record(c.cell, today, at_ms, c.before, c.after, c.why, context, city.origins) for c in changes
    ]
    for block, (revision, now) in sorted(changed.items()):
        if turn.is_coarse(block):
            # No chunks: their number and their day would tell of one phone. Its bytes are gone after the day anyway.
            no_chunks = root_of([])
            records.append(
                block_record(
                    block, today, revision, hashlib.sha256(now.tobytes()).digest(), no_chunks, 0, context, city.origins
                )
            )
            continue
        for day in sorted(days.get(block, set())) or [defects_store.newest_day(conn, block) or today]:
            leaves = defects_store.chunk_leaves(conn, block, day)
            records.append(
                block_record(
                    block, day, revision, hashlib.sha256(now.tobytes()).digest(),
                    root_of([leaf_hash(leaf) for leaf in leaves]), len(leaves), _context(conn, day), city.origins,
                )
            )  # fmt: skip
    records += [
        case_record(c.number or 0, step_name, c.cells, at_ms, "neighbouring squares are confirmed red", city.origins)
        for c, step_name in cases
    ]
    enqueue(conn, records)
    if changed:
        notice = {"bbox": _box(sorted(changed)), "blocks": len(changed)}
        conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, json.dumps(notice)))
    return Folded(0, len(changed), len(changes), len(cases))


def _context(conn: Connection, day: date) -> bytes:
    """Hash of a day's context; of a day on which nothing has arrived, 32 zero bytes: nothing was computed with it."""
    return ingest_store.context_hash(conn, day) or bytes(32)


def _cases(conn: Connection, confirmed: dict[int, int], at: datetime) -> list[tuple[Case, str]]:
    if not confirmed:
        return []
    corners = np.array([corner_m(cell) for cell in confirmed])
    known = defects_store.cases_within(conn, corners.min(axis=0) - _CASE_M, corners.max(axis=0) + _CASE_M)
    return [
        (defects_store.put_case(conn, case, at), "opened" if case.number is None else "grown")
        for case in join(confirmed, known)
    ]


def _box(blocks: Sequence[int]) -> list[float]:
    """West, south, east, north in degrees of what the blocks cover, a little generous."""
    lon: list[float] = []
    lat: list[float] = []
    for block in blocks:
        column, row = (int(v) for v in column_row(block))
        size = BLOCK * side_m(block)
        x, y = column * size, row * size
        lons, lats = unproject([x, x + size, x, x + size], [y, y, y + size, y + size], zone_of(block))
        lon += [float(v) for v in lons]
        lat += [float(v) for v in lats]
    return [round(v, 7) for v in (min(lon), min(lat), max(lon), max(lat))]
