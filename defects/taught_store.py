"""Rows of what was taught, in PostgreSQL, until their day is settled. Functions take a connection and never commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import psycopg

from grid import level_of

from .evidence import BlockEvidence
from .evidence_store import carry_of, evidence_of
from .taught import Row

Connection = psycopg.Connection[Any]
LOOK_BACK_DAYS = 45
"""Days of evidence that a belief is made of. What was driven before weighs less than a quarter by then (exposure fades
to 1/e in 30 days); more is read and unpacked at each seal, fewer and what a city knows is paid for again."""
_EXPOSURE = 89  # place of boxes' exposure in a carried state (`filter.EXPOSURE`, which would wake the compiler)


def add(conn: Connection, rows: Sequence[tuple[date, bytes, Row]]) -> None:
    """Keeps what was taught on days by devices under their pseudonyms."""
    if not rows:
        return
    # A batch's rows go in an order that says nothing of when they came.
    ordered = sorted(rows, key=lambda r: (r[0], r[2].together))
    with conn.cursor() as cursor, cursor.copy(
        "COPY taught (day, pseudonym, blk, together, d) FROM STDIN (FORMAT binary)"
    ) as copy:
        copy.set_types(("date", "bytea", "int8", "bytea", "bytea"))
        for day, pseudonym, row in ordered:
            copy.write_row((day, pseudonym, row.blk, row.together, row.d))


def blocks_of_day(conn: Connection, day: date) -> list[int]:
    """The blocks of which something was taught on a day, rising; 0 among them where chunks earn nothing."""
    return [r[0] for r in conn.execute("SELECT DISTINCT blk FROM taught WHERE day = %s ORDER BY blk", (day,))]


def rows_of_blocks(conn: Connection, day: date, blocks: Sequence[int]) -> dict[int, list[tuple[bytes, Row]]]:
    """A day's rows of some blocks, each behind its pseudonym, in an order that hangs on them alone."""
    rows = conn.execute(
        "SELECT blk, pseudonym, together, d FROM taught WHERE day = %s AND blk = ANY(%s) "
        "ORDER BY blk, pseudonym, together, d",
        (day, list(blocks)),
        binary=True,
    )
    found: dict[int, list[tuple[bytes, Row]]] = {}
    for blk, pseudonym, together, d in rows:
        found.setdefault(blk, []).append((bytes(pseudonym), Row(blk, bytes(together), bytes(d))))
    return found


def replayed(conn: Connection, day: date) -> dict[bytes, bytes]:
    """What came more than once on a day: for each content the chunk that counts. Which one was first nobody knows any
    more, so it is the one whose token is the least."""
    rows = conn.execute(
        "SELECT substring(together from 1 for 8) AS content, min(substring(together from 9 for 4)) FROM taught "
        "WHERE day = %s AND blk <> 0 GROUP BY 1 HAVING count(DISTINCT substring(together from 9 for 4)) > 1",
        (day,),
        binary=True,
    )
    return {bytes(content): bytes(chunk) for content, chunk in rows}


def forget_day(conn: Connection, day: date) -> int:
    """A day's rows go; how many there were."""
    return conn.execute("DELETE FROM taught WHERE day = %s", (day,)).rowcount


def forget_device(conn: Connection, pseudonyms: Mapping[date, bytes]) -> int:
    """One device's rows go, whatever the day; how many there were."""
    return conn.execute(
        "DELETE FROM taught USING unnest(%s::date[], %s::bytea[]) AS g (day, pseudonym) "
        "WHERE taught.day = g.day AND taught.pseudonym = g.pseudonym",
        (list(pseudonyms.keys()), list(pseudonyms.values())),
    ).rowcount


def shuffle(conn: Connection, day: date) -> None:
    """Writes a day's rows anew in the order of their tokens: where a row lies no longer says when it came."""
    conn.execute(
        "WITH gone AS (DELETE FROM taught WHERE day = %s RETURNING *) "
        "INSERT INTO taught SELECT * FROM gone ORDER BY together, blk",
        (day,),
    )


def evidence_before(
    conn: Connection, blocks: Iterable[int], day: date
) -> dict[int, dict[date, BlockEvidence]]:
    """Evidence of blocks of the days before one, as far back as a belief reaches; every block is in it."""
    wanted = sorted(set(blocks))
    days = [day - timedelta(days=n) for n in range(1, LOOK_BACK_DAYS + 1)]
    return {block: {} for block in wanted} | evidence_of(conn, wanted, days)


def evidence_on(conn: Connection, blocks: Iterable[int], day: date) -> dict[int, BlockEvidence]:
    """Evidence of blocks on one day; those that have none are left out."""
    return {block: days[day] for block, days in evidence_of(conn, blocks, [day]).items()}


def unseen_by_boxes(conn: Connection, blocks: Iterable[int]) -> dict[int, np.ndarray[Any, np.dtype[np.float64]]]:
    """Of blocks of 1 m squares that have a carried state: how likely a defect of each square would have stayed unseen
    by boxes, float64 (1024,)."""
    found = {}
    for block, carry in carry_of(conn, [b for b in blocks if int(level_of(b)) == 0]).items():
        mine = (carry.key & 127) == _EXPOSURE
        unseen = np.ones(1024)
        unseen[carry.key[mine] >> 7] = np.exp(-carry.value[mine] / 65_536.0)
        found[block] = unseen
    return found
