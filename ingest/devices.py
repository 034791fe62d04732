"""Who may send, in PostgreSQL: invitations, consent, new passwords, disabling, and a device's own data.

Functions take a connection and never commit. Two locks make "at once" true. A batch holds `SENDERS` shared while it is
written down and asks then who may send; whoever shuts a device out holds it alone for as long as the row takes. So no
chunk is written after a device was shut out, and what is erased afterwards stays erased.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

from . import raw

Connection = psycopg.Connection[Any]

SENDERS = 0x726F6164_73656E64  # "roadsend": the advisory lock between batches and who shuts a device out
_KEPT = ("device", "chunk_box", "chunk_phone")
"""Tables that have a way of their own in `own_rows` and `erase`."""


@dataclass(frozen=True)
class Device:
    """A device as its row has it, without the hash of its password. Times are UTC."""

    id: str
    kind: str
    enrolled_at: datetime
    disabled_at: datetime | None
    rotated_at: datetime | None
    consent_version: str | None
    consent_at: datetime | None
    erased_at: datetime | None


_SELECT = (
    b"SELECT id, kind, enrolled_at, disabled_at, rotated_at, consent_version, consent_at, erased_at FROM device"
)


def devices(conn: Connection, after: str = "", most: int = 1000) -> list[Device]:
    """Devices by name, those above ``after``."""
    rows = conn.execute(_SELECT + b" WHERE id > %s ORDER BY id LIMIT %s", (after, most))
    return [Device(*row) for row in rows]


def device(conn: Connection, name: str) -> Device | None:
    """One device, None where there is none of that name."""
    row = conn.execute(_SELECT + b" WHERE id = %s", (name,)).fetchone()
    return Device(*row) if row else None


def password_hash(conn: Connection, name: str) -> str | None:
    """What the password of a device is compared with; None where the device is not enrolled or was disabled."""
    row = conn.execute(
        "SELECT password_hash FROM device WHERE id = %s AND disabled_at IS NULL", (name,)
    ).fetchone()
    return str(row[0]) if row else None


def agree(conn: Connection, name: str, version: str) -> None:
    """Notes that a phone's owner agreed to a consent text."""
    conn.execute("UPDATE device SET consent_version = %s, consent_at = now() WHERE id = %s", (version, name))


def rotate(conn: Connection, name: str, new_hash: str) -> bool:
    """Gives a device a new password. False where it is not enrolled or was disabled."""
    row = conn.execute(
        "UPDATE device SET password_hash = %s, rotated_at = now() WHERE id = %s AND disabled_at IS NULL RETURNING id",
        (new_hash, name),
    ).fetchone()
    return row is not None


def disable(conn: Connection, names: Sequence[str]) -> list[str]:
    """Shuts devices out for good and gives the names of those that were let in until now. From the commit on no chunk
    of theirs is written; batches wait that long, so commit at once."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (SENDERS,))
    rows = conn.execute(
        "UPDATE device SET disabled_at = now() WHERE id = ANY(%s) AND disabled_at IS NULL RETURNING id",
        (sorted(names),),
    )
    return sorted(r[0] for r in rows)


def still_let_in(conn: Connection, names: Iterable[str]) -> tuple[set[str], set[str]]:
    """Of these devices: those that may send, and those whose data were erased. To be asked in the transaction that
    writes a batch: until it ends nobody can be shut out."""
    conn.execute("SELECT pg_advisory_xact_lock_shared(%s)", (SENDERS,))
    rows = conn.execute(
        "SELECT id, disabled_at IS NULL, erased_at IS NOT NULL FROM device WHERE id = ANY(%s)", (sorted(set(names)),)
    ).fetchall()
    return {r[0] for r in rows if r[1]}, {r[0] for r in rows if r[2]}


# ---------------------------------------------------------------- invitations


def _code_hash(code: str) -> bytes:
    # A plain hash is enough: a code is random, not chosen by a person.
    return hashlib.sha256(code.encode()).digest()


def invite(conn: Connection, code: str, uses: int, within_s: float) -> datetime:
    """Lets ``uses`` phones enrol with a code of at least 80 random bits within a time; gives the moment it ends."""
    conn.execute("DELETE FROM invitation WHERE expires_at < now()")
    row = conn.execute(
        "INSERT INTO invitation (code_hash, uses_left, expires_at) VALUES (%s, %s, now() + make_interval(secs => %s)) "
        "RETURNING expires_at",
        (_code_hash(code), uses, within_s),
    ).fetchone()
    if row is None:
        raise LookupError("the database gave an invitation no end")
    end: datetime = row[0]
    return end


def is_invitation(conn: Connection, code: str) -> bool:
    """Whether an invitation of that code still lets somebody in. Takes nothing of it."""
    row = conn.execute(
        "SELECT 1 FROM invitation WHERE code_hash = %s AND uses_left > 0 AND expires_at > now()", (_code_hash(code),)
    ).fetchone()
    return row is not None


def use_invitation(conn: Connection, code: str) -> bool:
    """Takes one use of an invitation. False where there is none of that code, or it is used up, or too old."""
    row = conn.execute(
        "UPDATE invitation SET uses_left = uses_left - 1 "
        "WHERE code_hash = %s AND uses_left > 0 AND expires_at > now() RETURNING uses_left",
        (_code_hash(code),),
    ).fetchone()
    if row is not None and row[0] == 0:
        conn.execute("DELETE FROM invitation WHERE code_hash = %s", (_code_hash(code),))
    return row is not None


# ---------------------------------------------------------------- a device's own data


def tables_of_devices(conn: Connection) -> list[str]:
    """Tables with a column `device` besides those that hold chunks. Read from the database, so that a table that a
    later version adds is exported and erased without anybody having to think of it."""
    rows = conn.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
        "AND a.attname = 'device' AND NOT a.attisdropped ORDER BY 1"
    )
    return [r[0] for r in rows if r[0] not in _KEPT]


def own_rows(conn: Connection, table: str, name: str, most: int) -> list[dict[str, Any]]:
    """Up to ``most`` rows of a table that belong to a device, as columns by name."""
    cursor = conn.execute(
        sql.SQL("SELECT * FROM {} WHERE device = %s LIMIT %s").format(sql.Identifier(table)), (name, most)
    )
    head = [column.name for column in cursor.description or ()]
    return [dict(zip(head, row, strict=True)) for row in cursor]


_OF_ONE = (
    "FROM day_context AS d CROSS JOIN LATERAL (SELECT {what} FROM chunk AS c "
    "WHERE c.day = d.day AND c.device = %(name)s AND c.id > %(after)s ORDER BY c.id + 0 LIMIT %(most)s) AS c"
)
"""Chunks of one device, day by day: each is found through (day, device). Asked for by device and id alone, the planner,
which may not know how many chunks a device has, walks the ids of the whole fleet until it has met enough of them; `+ 0`
keeps it from doing that within a day."""


def own_chunk_sums(conn: Connection, name: str) -> tuple[int, int, date | None, date | None]:
    """Number and bytes of the raw chunks that are kept of a device, and their first and last day."""
    row = conn.execute(
        "SELECT count(*), coalesce(sum(octet_length(c.raw)), 0), min(c.day), max(c.day) "
        + _OF_ONE.format(what="c.day, c.raw"),
        {"name": name, "after": 0, "most": None},
    ).fetchone()
    return (int(row[0]), int(row[1]), row[2], row[3]) if row else (0, 0, None, None)


def own_chunks(conn: Connection, name: str, after: int, most: int) -> list[dict[str, Any]]:
    """The raw chunks of a device with ids above ``after``, everything that is kept of each."""
    what = "c.id, c.day, c.trip, c.seq, c.origin, c.start_s, c.distance_m, c.received_at, c.leaf, c.salt, c.raw"
    cursor = conn.execute(
        f"SELECT {what} {_OF_ONE.format(what=what)} ORDER BY c.id LIMIT %(most)s",
        {"name": name, "after": after, "most": most},
    )
    head = [column.name for column in cursor.description or ()]
    return [dict(zip(head, row, strict=True)) for row in cursor]


def newest_chunk(conn: Connection, name: str, day: date) -> tuple[float, float] | None:
    """Start (unix seconds) and metres of the newest chunk of a day that a phone has sent."""
    row = conn.execute(
        "SELECT start_s, distance_m FROM chunk_phone WHERE day = %s AND device = %s ORDER BY start_s DESC LIMIT 1",
        (day, name),
    ).fetchone()
    return (float(row[0]), float(row[1])) if row else None


def own_chunk_ids(conn: Connection, name: str) -> list[int]:
    """Ids of all chunks that are kept of a device."""
    query = f"SELECT c.id {_OF_ONE.format(what='c.id')} ORDER BY c.id"
    return [r[0] for r in conn.execute(query, {"name": name, "after": 0, "most": None})]


def ask_to_erase(conn: Connection, name: str) -> None:
    """Notes that the data of a disabled device shall go."""
    conn.execute(
        "UPDATE device SET erased_at = now() WHERE id = %s AND disabled_at IS NOT NULL AND erased_at IS NULL", (name,)
    )


def to_be_erased(conn: Connection) -> list[str]:
    """Devices whose data shall go and are still there."""
    rows = conn.execute("SELECT id FROM device WHERE erased_at IS NOT NULL AND password_hash <> '' ORDER BY id")
    return [r[0] for r in rows]


def erase(conn: Connection, name: str) -> dict[str, int]:
    """Deletes all that belongs to a device of which `ask_to_erase` was committed, but for its name; gives the number of
    rows by table. The name stays, without its password, so that it is never let in nor given to another: with `seen`
    gone, a chunk of it that came again would count a second time."""
    conn.execute(
        "INSERT INTO erasure (day, chunks) SELECT day, count(*) FROM chunk WHERE device = %s GROUP BY day ORDER BY day "
        "ON CONFLICT (day) DO UPDATE SET chunks = erasure.chunks + excluded.chunks",
        (name,),
    )
    gone: dict[str, int] = {}
    for table in [*tables_of_devices(conn), "chunk_box", "chunk_phone"]:
        cursor = conn.execute(sql.SQL("DELETE FROM {} WHERE device = %s").format(sql.Identifier(table)), (name,))
        told = "chunk" if table.startswith("chunk_") else table
        gone[told] = gone.get(told, 0) + cursor.rowcount
    raw.owe(conn, "pages", "log")  # the keeper sees to the old bytes
    conn.execute(
        "UPDATE device SET password_hash = '', rotated_at = NULL, consent_version = NULL, consent_at = NULL "
        "WHERE id = %s",
        (name,),
    )
    return gone


def erased_days(conn: Connection) -> set[date]:
    """Days of which chunks were erased."""
    return {r[0] for r in conn.execute("SELECT day FROM erasure")}
