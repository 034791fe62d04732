"""The turn of the day in PostgreSQL: when coarse blocks are read out, and what public counts say until the next one.
Functions take a connection and never commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import psycopg

from grid import level_of

Connection = psycopg.Connection[Any]


def is_coarse(block_or_cell: int) -> bool:
    """Whether a block or square is one where phones speak."""
    return int(level_of(block_or_cell)) > 0


def await_turn(conn: Connection, blocks: Iterable[int], today: date) -> None:
    """Notes coarse blocks that have evidence. One that is new waits for tomorrow: read out today, it would be read out
    when somebody drove there."""
    rows = [(blk, today) for blk in sorted(blocks)]
    if rows:
        with conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO coarse_block (blk, read_on) VALUES (%s, %s) ON CONFLICT (blk) DO NOTHING", rows
            )


def due(conn: Connection, today: date, newest: date, most: int) -> list[int]:
    """Coarse blocks to read out, in an order that says nothing of drives; none while evidence of a day that is to be
    told (up to ``newest``) still waits to be folded."""
    rows = conn.execute(
        "SELECT blk FROM coarse_block WHERE read_on < %s AND NOT EXISTS (SELECT 1 FROM journal WHERE day <= %s) "
        "ORDER BY hashint8extended(blk, %s), blk LIMIT %s",
        (today, newest, today.toordinal(), most),
    )
    return [r[0] for r in rows]


def blocks_waiting(conn: Connection, today: date) -> int:
    """How many coarse blocks are still to be read out on ``today``."""
    row = conn.execute("SELECT count(*) FROM coarse_block WHERE read_on < %s", (today,)).fetchone()
    return int(row[0]) if row else 0


def mark_turned(conn: Connection, blocks: Sequence[int], today: date) -> None:
    """Notes that coarse blocks were read out, changed or not."""
    conn.execute("UPDATE coarse_block SET read_on = %s WHERE blk = ANY(%s)", (today, list(blocks)))


def read_on(conn: Connection, block: int) -> date | None:
    """The service day on which the codes of a block were read out last; None where it has none."""
    row = conn.execute("SELECT read_on FROM code WHERE blk = %s", (block,)).fetchone()
    return row[0] if row else None


def turned(conn: Connection, today: date) -> bool:
    """Whether the counts of this day's turn are written down."""
    return conn.execute("SELECT 1 FROM day_turn WHERE day = %s", (today,)).fetchone() is not None


def note_turn(conn: Connection, today: date, phone_chunks: int, refused: int) -> None:
    """Writes down the counts of the day's turn, once."""
    conn.execute(
        "INSERT INTO day_turn (day, phone_chunks, refused) VALUES (%s, %s, %s) ON CONFLICT (day) DO NOTHING",
        (today, phone_chunks, refused),
    )


def counts_at_turn(conn: Connection) -> tuple[int, int]:
    """Chunks of phones, and refused payloads, as of the newest turn of a day."""
    row = conn.execute("SELECT phone_chunks, refused FROM day_turn ORDER BY day DESC LIMIT 1").fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
