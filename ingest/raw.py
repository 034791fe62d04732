"""What becomes of a day's raw chunks: who may still write to a day, and how its partitions go. Functions take a
connection and never commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]
KEEPER_LEASE = 0x726F6164_6B656570  # "roadkeep": the advisory lock under which one keeper works


@dataclass(frozen=True)
class DayState:
    """What has become of a service day: when its citizens' raw chunks went, when it was sealed, when its boxes' raw
    chunks went; None for what is still to come."""

    day: date
    phones_gone_at: datetime | None
    sealed_at: datetime | None
    boxes_gone_at: datetime | None


def hold_keeper_lease(conn: Connection) -> bool:
    """Whether this transaction is the one keeper now; the lease ends with the transaction, whatever dies."""
    row = conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (KEEPER_LEASE,)).fetchone()
    return bool(row and row[0])


def owe(conn: Connection, *what: str) -> None:
    """Notes that old bytes of tables (pages) or of the write-ahead log (log) are still to go."""
    for one in sorted(what):  # in one order, so that two who owe do not wait for each other in a circle
        conn.execute(
            "INSERT INTO upkeep (what) VALUES (%s) ON CONFLICT (what) DO UPDATE SET what = excluded.what", (one,)
        )


def owed(conn: Connection) -> dict[str, str]:
    """What is still to go, and the transaction that noted it last."""
    return {r[0]: r[1] for r in conn.execute("SELECT what, xmin::text FROM upkeep")}


def settle(conn: Connection, what: str, noted: str) -> None:
    """Notes that it has gone; what another transaction noted since stays owed."""
    conn.execute("DELETE FROM upkeep WHERE what = %s AND xmin::text = %s", (what, noted))


def forget_weights(conn: Connection, day: date, *, phones_only: bool) -> None:
    """How far single devices were believed on a day goes: of phones, or of all."""
    conn.execute(
        "DELETE FROM device_weight AS w WHERE day = %s AND "
        "(NOT %s OR EXISTS (SELECT FROM device WHERE device.id = w.device AND kind = 'phone'))",
        (day, phones_only),
    )


def day_states(conn: Connection) -> list[DayState]:
    """Every day that was opened, oldest first."""
    rows = conn.execute("SELECT day, phones_gone_at, sealed_at, boxes_gone_at FROM day_context ORDER BY day")
    return [DayState(*r) for r in rows]


def hold_open(conn: Connection, days: Iterable[date]) -> set[date]:
    """Keeps days from being sealed until this transaction ends, and gives those that are sealed already."""
    # All of them are locked, so the condition may not stand in the query: it would lock the sealed ones only.
    rows = conn.execute(
        "SELECT day, sealed_at IS NOT NULL FROM day_context WHERE day = ANY(%s) ORDER BY day FOR SHARE",
        (sorted(set(days)),),
    )
    return {r[0] for r in rows if r[1]}


def hold_for_sealing(conn: Connection, day: date) -> bool:
    """Waits for those who write to the day and lets no more in. False where it is sealed already."""
    row = conn.execute("SELECT sealed_at FROM day_context WHERE day = %s FOR UPDATE", (day,)).fetchone()
    return row is not None and row[0] is None


def close_day(conn: Connection, day: date, at: datetime) -> bytes:
    """The seal: the salt goes, and with it whose a slot was; so do the keys, since nothing comes for the day any more.
    Gives the hash of the day's context."""
    row = conn.execute(
        "UPDATE day_context SET sealed_at = %s, salt = NULL WHERE day = %s RETURNING sha256", (at, day)
    ).fetchone()
    conn.execute("DELETE FROM seen WHERE day = %s", (day,))
    if row is None:
        raise LookupError(f"the context of {day} vanished while it was sealed: is somebody emptying the database?")
    return bytes(row[0])


def _partition(parent: str, day: date) -> str:
    return f"{parent}_{day:%Y%m%d}"


def _there(conn: Connection, name: str) -> bool:
    row = conn.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone()
    return bool(row and row[0])


def phones_left(conn: Connection, day: date) -> bool:
    """Whether raw chunks of citizens' phones of a day are there."""
    row = conn.execute("SELECT EXISTS (SELECT FROM chunk_phone WHERE day = %s)", (day,)).fetchone()
    return bool(row and row[0])


def phone_rooms(conn: Connection) -> list[str]:
    """The partitions of phones' raw chunks, of whatever day."""
    rows = conn.execute(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'chunk_phone'::regclass ORDER BY c.relname"
    )
    return [r[0] for r in rows]


def hold_phones(conn: Connection, day: date) -> bool:
    """Locks a day's raw chunks of phones against everybody until this transaction ends; False where there is no room
    for any (the partition has gone). Raises psycopg.errors.LockNotAvailable after the session's lock_timeout."""
    name = _partition("chunk_phone", day)
    if not _there(conn, name):
        return False
    # The day first, as a worker does: the other way round each waits for the other, and it is we who lose.
    conn.execute("SELECT 1 FROM day_context WHERE day = %s FOR UPDATE", (day,))
    conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(name)))
    return True


def empty_phones(conn: Connection, day: date, at: datetime) -> bool:
    """A day's raw chunks of phones go: their file is unlinked at the commit. More may come, and goes likewise. Gives
    whether it was the first time."""
    conn.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(_partition("chunk_phone", day))))
    noted = conn.execute(
        "UPDATE day_context SET phones_gone_at = %s WHERE day = %s AND phones_gone_at IS NULL", (at, day)
    )
    return noted.rowcount > 0


def drop_phone_room(conn: Connection, day: date) -> None:
    """The room for a sealed day's phone chunks goes: it is empty, and nothing comes any more."""
    conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(_partition("chunk_phone", day))))


def drop_boxes(conn: Connection, day: date, at: datetime) -> None:
    """A sealed day's raw chunks of boxes go."""
    conn.execute("SELECT drop_chunk_box_day(%s)", (day,))
    conn.execute("UPDATE day_context SET boxes_gone_at = %s WHERE day = %s", (at, day))


def boxes_of(conn: Connection, day: date) -> int:
    """How many raw chunks of boxes a day has."""
    row = conn.execute("SELECT count(*) FROM chunk_box WHERE day = %s", (day,)).fetchone()
    return int(row[0]) if row else 0


def whole_boxes(conn: Connection, day: date, after: int, most: int) -> list[tuple[Any, ...]]:
    """A day's raw chunks of boxes above a number, rising, at most so many: id, device, trip, seq, origin, start_s,
    distance_m, raw, salt, leaf, received_at."""
    return conn.execute(
        "SELECT id, device, trip, seq, origin, start_s, distance_m, raw, salt, leaf, received_at FROM chunk_box "
        "WHERE day = %s AND id > %s ORDER BY id LIMIT %s",
        (day, after, most),
    ).fetchall()


def box_days(conn: Connection) -> list[tuple[date, int]]:
    """Sealed days whose boxes' raw chunks are kept, and how many those are; oldest first."""
    rows = conn.execute(
        "SELECT d.day, (SELECT count(*) FROM chunk_box AS c WHERE c.day = d.day) FROM day_context AS d "
        "WHERE d.sealed_at IS NOT NULL AND d.boxes_gone_at IS NULL ORDER BY d.day"
    )
    return [(r[0], int(r[1])) for r in rows]
