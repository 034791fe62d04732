"""The journal, evidence and carried states in PostgreSQL. Functions take a connection and never commit: that is the
pump's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import psycopg
from psycopg.pq import TransactionStatus

from grid import blocks_of

from .carry import Carry, pack_carry, unpack_carry
from .evidence import BlockEvidence, Deltas, pack, pack_block, parted, unpack, unpack_block

Connection = psycopg.Connection[Any]


_FEW = 64
"""Rows up to which the loops of numpy do: the map asks for one or two, and must not wait for the compiler to load."""


def packed(rows: Sequence[BlockEvidence]) -> list[bytes]:
    """Evidence rows, as `pack_block` makes them."""
    if len(rows) <= _FEW:
        return [pack_block(e) for e in rows]
    from .packing import pack_blocks  # noqa: PLC0415

    return pack_blocks(rows)


def _by_day(rows: Sequence[tuple[int, date, bytes]]) -> dict[int, dict[date, BlockEvidence]]:
    if len(rows) <= _FEW:
        evidence = [unpack_block(d) for _, _, d in rows]
    else:
        from .packing import unpack_blocks  # noqa: PLC0415

        evidence = unpack_blocks([d for _, _, d in rows])
    found: dict[int, dict[date, BlockEvidence]] = defaultdict(dict)
    for (blk, day, _), said in zip(rows, evidence, strict=True):
        found[blk][day] = said
    return dict(found)


def append_journal(conn: Connection, day: date, deltas: Deltas, blocks_by_chunk: Mapping[int, Iterable[int]]) -> None:
    """Rows for a batch's deltas of one day, one of blocks in which something was found and one of quiet ones; and which
    blocks each of its stored chunks spoke about."""
    if not len(deltas.cell):
        return
    number: dict[int, int] = {}
    for part, found in parted(deltas):
        row = conn.execute(
            "INSERT INTO journal (day, found, d) VALUES (%s, %s, %b) RETURNING id", (day, found, pack(part))
        ).fetchone()
        if row is None:
            raise LookupError("the database gave a journal row no number")
        number |= dict.fromkeys(blocks_of_deltas(part), int(row[0]))
    into = "COPY pass (blk, day, chunk, journal) FROM STDIN (FORMAT binary)"
    with conn.cursor() as cursor, cursor.copy(into) as copy:
        copy.set_types(("int8", "date", "int8", "int8"))
        for chunk, blocks in sorted(blocks_by_chunk.items()):
            for blk in sorted(blocks):
                copy.write_row((blk, day, chunk, number[blk]))


def read_journal(conn: Connection) -> dict[date, list[Deltas]]:
    """What waits to be folded, by day, left where it is."""
    waiting: dict[date, list[Deltas]] = defaultdict(list)
    for day, d in conn.execute("SELECT day, d FROM journal"):
        waiting[day].append(unpack(bytes(d)))
    return dict(waiting)


def take_journal(conn: Connection, most: int, quiet_s: float = 0.0) -> dict[date, list[Deltas]]:
    """Takes up to ``most`` journal rows away, oldest first, and gives their deltas by day. Rows that found nothing stay
    until one of them has waited ``quiet_s`` or ``most`` wait: then all are taken."""
    rows = conn.execute(
        "WITH due AS (SELECT coalesce(min(at) <= clock_timestamp() - make_interval(secs => %(quiet)s), false) "
        "OR count(*) >= %(most)s AS yes FROM journal WHERE NOT found) "
        "DELETE FROM journal WHERE id = ANY(ARRAY(SELECT id FROM journal, due WHERE found OR due.yes "
        "ORDER BY id LIMIT %(most)s)) RETURNING day, d",
        {"quiet": quiet_s, "most": most},
        binary=True,
    )
    taken: dict[date, list[Deltas]] = defaultdict(list)
    for day, d in rows:
        taken[day].append(unpack(d))
    return dict(taken)


def sweep_journal(conn: Connection) -> None:
    """Lets the space of folded rows be used again: after a fold the journal is nearly empty, and this costs
    milliseconds. Only on a connection that commits by itself and is in no transaction; on another it does nothing."""
    if conn.autocommit and conn.info.transaction_status == TransactionStatus.IDLE:
        conn.execute("VACUUM (SKIP_LOCKED, TRUNCATE false, INDEX_CLEANUP on) journal")


def journal_rows(conn: Connection) -> int:
    """Batches that wait to be folded."""
    row = conn.execute("SELECT count(*) FROM journal").fetchone()
    return int(row[0]) if row else 0


def evidence_of(
    conn: Connection,
    blocks: Iterable[int],
    days: Iterable[date] | None = None,
    but: Collection[tuple[int, date]] = (),
) -> dict[int, dict[date, BlockEvidence]]:
    """Evidence of blocks, by block and day; of some days only, where they are given, and without the blocks and days of
    ``but``."""
    rows = conn.execute(
        "SELECT e.blk, e.day, e.d FROM evidence AS e WHERE e.blk = ANY(%(blocks)s) "
        "AND (%(days)s::date[] IS NULL OR e.day = ANY(%(days)s::date[])) AND NOT EXISTS (SELECT FROM "
        "unnest(%(but_blk)s::bigint[], %(but_day)s::date[]) AS but (blk, day) "
        "WHERE but.blk = e.blk AND but.day = e.day)",
        {"blocks": sorted(set(blocks)), "days": None if days is None else sorted(set(days))} | _but(but),
        binary=True,
    )
    return _by_day(rows.fetchall())


def evidence_after(
    conn: Connection, asof: Mapping[int, date], but: Collection[tuple[int, date]] = ()
) -> dict[int, dict[date, BlockEvidence]]:
    """Evidence of blocks of the days after one of each block's own, without the blocks and days of ``but``."""
    rows = conn.execute(
        "SELECT e.blk, e.day, e.d FROM unnest(%(blocks)s::bigint[], %(asof)s::date[]) AS c (blk, asof) "
        "JOIN evidence AS e ON e.blk = c.blk AND e.day > c.asof WHERE NOT EXISTS (SELECT FROM "
        "unnest(%(but_blk)s::bigint[], %(but_day)s::date[]) AS but (blk, day) "
        "WHERE but.blk = e.blk AND but.day = e.day)",
        {"blocks": list(asof.keys()), "asof": list(asof.values())} | _but(but),
        binary=True,
    )
    return _by_day(rows.fetchall())


def _but(rows: Collection[tuple[int, date]]) -> dict[str, list[Any]]:
    return {"but_blk": [blk for blk, _ in rows], "but_day": [day for _, day in rows]}


def evidence_keys(conn: Connection) -> list[tuple[int, date]]:
    """Every block and day that has evidence."""
    return [(r[0], r[1]) for r in conn.execute("SELECT blk, day FROM evidence ORDER BY blk, day")]


def put_evidence(conn: Connection, evidence: Mapping[tuple[int, date], BlockEvidence]) -> None:
    """Writes the whole evidence of blocks and days. States that were carried over such a day go, to be made again."""
    if not evidence:
        return
    keys = sorted(evidence)
    blocks, days = [blk for blk, _ in keys], [day for _, day in keys]
    conn.execute(
        "INSERT INTO evidence (blk, day, d) SELECT * FROM unnest(%b::bigint[], %b::date[], %b::bytea[]) "
        "ON CONFLICT (blk, day) DO UPDATE SET d = excluded.d",
        (blocks, days, packed([evidence[key] for key in keys])),
    )
    conn.execute(
        "DELETE FROM carry USING unnest(%b::bigint[], %b::date[]) AS new (blk, day) "
        "WHERE carry.blk = new.blk AND carry.asof >= new.day",
        (blocks, days),
    )


def carry_of(conn: Connection, blocks: Iterable[int]) -> dict[int, Carry]:
    """The carried states of those of the blocks that have one which can still be read."""
    rows = conn.execute(
        "SELECT blk, asof, d FROM carry WHERE blk = ANY(%s)", (sorted(set(blocks)),), binary=True
    ).fetchall()
    carried = {blk: unpack_carry(d, asof) for blk, asof, d in rows}
    return {blk: carry for blk, carry in carried.items() if carry is not None}


def put_carry(conn: Connection, carried: Mapping[int, Carry]) -> None:
    """Writes the states of blocks at the end of their last sealed day, in the place of earlier ones."""
    if carried:
        keys = sorted(carried)
        conn.execute(
            "INSERT INTO carry (blk, asof, d) SELECT * FROM unnest(%b::bigint[], %b::date[], %b::bytea[]) "
            "ON CONFLICT (blk) DO UPDATE SET asof = excluded.asof, d = excluded.d",
            (keys, [carried[blk].asof for blk in keys], [pack_carry(carried[blk]) for blk in keys]),
        )


def blocks_of_deltas(deltas: Deltas) -> list[int]:
    """The blocks that deltas speak about."""
    return [int(b) for b in np.unique(blocks_of(deltas.cell))] if len(deltas.cell) else []
