"""The ledger's tables. Every function works inside the caller's transaction and commits nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import psycopg

from .records import Record, day_in

# "road ledg" as a number: advisory locks share one space of 64 bits in a database.
LEASE: Final = 0x726F61646C656467


class LeaseHeld(RuntimeError):
    """Another process numbers records now; try again later."""


@dataclass(frozen=True)
class Numbered:
    """A record with its place in the log. `leaf` is its 32-byte leaf hash, `day` its service day if it has one."""

    idx: int
    kind: str
    subject: int | None
    day: date | None
    body: bytes
    leaf: bytes


@dataclass(frozen=True)
class AnchorRow:
    """One signed transaction and what became of it. `block_time` in unix seconds; hashes 32 bytes."""

    id: int
    size: int
    root: bytes
    nonce: int
    tx_hash: bytes
    raw_tx: bytes
    status: str
    reason: str | None
    block_number: int | None
    block_hash: bytes | None
    block_time: int | None
    seq: int | None
    final: bool = False


_RECORD: Final = "idx, kind, subject, day, body, leaf"
_ANCHOR: Final = (
    "id, size, root, nonce, tx_hash, raw_tx, status, reason, block_number, block_hash, block_time, seq, final"
)


def enqueue(conn: psycopg.Connection[Any], records: Sequence[Record]) -> None:
    """Put records into the outbox; they are said when the caller's transaction commits."""
    if records:
        # Bytes in binary: as text each of them is spelled out and escaped.
        conn.execute(
            "INSERT INTO outbox (kind, subject, day, body)"
            " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::date[], %b::bytea[])",
            ([r.kind for r in records], [r.subject for r in records], [r.day for r in records],
             [r.body for r in records]),
        )  # fmt: skip


def take_lease(conn: psycopg.Connection[Any]) -> bool:
    """Whether this session is the one sequencer, for as long as its connection lives."""
    held = conn.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND classid = %s AND objid = %s AND objsubid = 1",
        (LEASE >> 32, LEASE & 0xFFFFFFFF),
    ).fetchone()
    if held is not None and held[0]:
        return True
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", (LEASE,)).fetchone()
    return bool(row and row[0])


def give_up_lease(conn: psycopg.Connection[Any]) -> None:
    """Let another session number records."""
    conn.execute("SELECT pg_advisory_unlock(%s)", (LEASE,))


def number_outbox(conn: psycopg.Connection[Any], limit: int) -> list[tuple[int, bytes]]:
    """Move up to `limit` visible outbox rows, oldest id first, to records with the next numbers: [(idx, leaf)].

    A row whose transaction commits late gets a later number, which is as true: order among records is the order of
    numbers. Raises LeaseHeld when another session is the sequencer.
    """
    if not take_lease(conn):
        raise LeaseHeld("another process numbers the records: this one waits")
    # Within the database: bodies are most of it, and need not travel twice.
    rows = conn.execute(
        "WITH gone AS (DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT %s)"
        " RETURNING id, kind, subject, day, body, at)"
        " INSERT INTO record (idx, kind, subject, day, body, leaf, said_at)"
        " SELECT %s + row_number() OVER (ORDER BY id) - 1, kind, subject, day, body, sha256('\\x00'::bytea || body), at"
        " FROM gone RETURNING idx, leaf, CASE WHEN day IS NULL THEN body END",
        (limit, record_count(conn)),
        binary=True,
    ).fetchall()
    # Rows from before the outbox had the day, and those that have none.
    for idx, _, body in rows:
        if body is not None and (day := _day(body)) is not None:
            conn.execute("UPDATE record SET day = %s WHERE idx = %s", (day, idx))
    return sorted((int(idx), bytes(leaf)) for idx, leaf, _ in rows)


def _day(body: bytes) -> date | None:
    # Bodies were checked when they were made; a foreign writer's bad row must still not stop the log.
    return day_in(body)


def outbox_count(conn: psycopg.Connection[Any]) -> int:
    """Rows that wait for a number."""
    row = conn.execute("SELECT count(*) FROM outbox").fetchone()
    return int(row[0]) if row else 0


def waiting(conn: psycopg.Connection[Any], kind: str, subject: int) -> bool:
    """Whether a record of that kind about that subject is in the outbox and not yet in the log."""
    row = conn.execute("SELECT 1 FROM outbox WHERE kind = %s AND subject = %s LIMIT 1", (kind, subject)).fetchone()
    return row is not None


def subjects(conn: psycopg.Connection[Any], kind: str) -> set[int]:
    """Everything that records of a kind are about."""
    return {r[0] for r in conn.execute("SELECT DISTINCT subject FROM record WHERE kind = %s", (kind,))}


def record_count(conn: psycopg.Connection[Any]) -> int:
    """The next number: records are numbered from 0 without gaps."""
    row = conn.execute("SELECT coalesce(max(idx) + 1, 0) FROM record").fetchone()
    return int(row[0]) if row else 0


def leaves_from(conn: psycopg.Connection[Any], idx: int, limit: int) -> list[bytes]:
    """Leaf hashes of records idx, idx + 1, ... in order. Stops before a gap."""
    rows = conn.execute("SELECT idx, leaf FROM record WHERE idx >= %s ORDER BY idx LIMIT %s", (idx, limit))
    leaves: list[bytes] = []
    for number, leaf in rows:
        if number != idx + len(leaves):
            break
        leaves.append(leaf)
    return leaves


def bodies_from(conn: psycopg.Connection[Any], idx: int, limit: int) -> list[bytes]:
    """Bodies of records idx, idx + 1, ... in order. Stops before a gap."""
    rows = conn.execute(
        "SELECT idx, body FROM record WHERE idx >= %s AND idx < %s ORDER BY idx", (idx, idx + limit)
    ).fetchall()
    return [bytes(body) for at, (number, body) in enumerate(rows, idx) if number == at]


def record(conn: psycopg.Connection[Any], idx: int) -> Numbered | None:
    """One record by its number."""
    row = conn.execute(f"SELECT {_RECORD} FROM record WHERE idx = %s", (idx,)).fetchone()  # noqa: S608 - constant
    return Numbered(*row) if row else None


def number_of_leaf(conn: psycopg.Connection[Any], leaf: bytes) -> int | None:
    """The first number of the record with a leaf hash, None while it has none."""
    row = conn.execute("SELECT idx FROM record WHERE leaf = %s ORDER BY idx LIMIT 1", (leaf,)).fetchone()
    return int(row[0]) if row else None


def latest_record(conn: psycopg.Connection[Any], kind: str, subject: int) -> Numbered | None:
    """The newest record of a kind about a subject: the one that stands for what is shown now."""
    row = conn.execute(
        f"SELECT {_RECORD} FROM record WHERE kind = %s AND subject = %s ORDER BY idx DESC LIMIT 1",  # noqa: S608
        (kind, subject),
    ).fetchone()
    return Numbered(*row) if row else None


def records_about(
    conn: psycopg.Connection[Any], kind: str, day: date | None = None, subject: int | None = None
) -> Iterator[Numbered]:
    """Records of a kind in the order of the log; of one day or about one subject only, where given."""
    rows = conn.execute(
        f"SELECT {_RECORD} FROM record WHERE kind = %(kind)s AND (%(day)s::date IS NULL OR day = %(day)s) "  # noqa: S608
        "AND (%(subject)s::bigint IS NULL OR subject = %(subject)s) ORDER BY idx",
        {"kind": kind, "day": day, "subject": subject},
    )
    return (Numbered(*row) for row in rows)


def seals(conn: psycopg.Connection[Any]) -> dict[date, bytes]:
    """The bodies of the seals that were said, by service day, in the log or on the way there."""
    said = [bytes(r[0]) for r in conn.execute("SELECT body FROM record WHERE kind = 'seal' ORDER BY idx")]
    said += [bytes(r[0]) for r in conn.execute("SELECT body FROM outbox WHERE kind = 'seal' ORDER BY id")]
    return {day: body for body in said if (day := _day(body)) is not None}


def records_in(conn: psycopg.Connection[Any], batch: int) -> Iterator[list[Numbered]]:
    """All records in order of their numbers, in batches; memory for one batch."""
    after = -1
    while True:
        rows = conn.execute(
            f"SELECT {_RECORD} FROM record WHERE idx > %s ORDER BY idx LIMIT %s",  # noqa: S608 - constant columns
            (after, batch),
        ).fetchall()
        if not rows:
            return
        yield [Numbered(*row) for row in rows]
        after = rows[-1][0]


def put_checkpoint(conn: psycopg.Connection[Any], size: int, root: bytes, note: str) -> None:
    """Keep a signed checkpoint; the same one again changes nothing."""
    conn.execute(
        "INSERT INTO checkpoint (size, root, note) VALUES (%s, %s, %s) ON CONFLICT (size) DO NOTHING",
        (size, root, note),
    )


def newest_checkpoint(conn: psycopg.Connection[Any]) -> tuple[int, bytes, str] | None:
    """(size, root, note) of the largest checkpoint."""
    row: tuple[int, bytes, str] | None = conn.execute(
        "SELECT size, root, note FROM checkpoint ORDER BY size DESC LIMIT 1"
    ).fetchone()
    return row


def checkpoint_of(conn: psycopg.Connection[Any], size: int) -> tuple[int, bytes, str] | None:
    """(size, root, note) of the checkpoint at a size."""
    row: tuple[int, bytes, str] | None = conn.execute(
        "SELECT size, root, note FROM checkpoint WHERE size = %s", (size,)
    ).fetchone()
    return row


def checkpoints_from(conn: psycopg.Connection[Any], above: int, limit: int) -> list[tuple[int, bytes, str]]:
    """(size, root, note) of checkpoints larger than `above`, in order."""
    return conn.execute(
        "SELECT size, root, note FROM checkpoint WHERE size > %s ORDER BY size LIMIT %s", (above, limit)
    ).fetchall()


def prepare_anchor(
    conn: psycopg.Connection[Any], size: int, root: bytes, nonce: int, tx_hash: bytes, raw_tx: bytes,
    signed_s: int | None = None,
) -> None:
    """Keep a signed transaction before it is sent."""
    # The same head under the same nonce at the same fee is the same bytes: what was given up is taken up again.
    conn.execute(
        "INSERT INTO anchor (size, root, nonce, tx_hash, raw_tx, signed_s, status)"
        " VALUES (%s, %s, %s, %s, %s, %s, 'prepared')"
        " ON CONFLICT (tx_hash) DO UPDATE SET status = 'prepared', reason = NULL WHERE anchor.status = 'failed'",
        (size, root, nonce, tx_hash, raw_tx, signed_s),
    )


def open_anchor(conn: psycopg.Connection[Any]) -> AnchorRow | None:
    """The transaction under way, if there is one."""
    return _one_anchor(conn, "status IN ('prepared', 'sent')")


def newest_anchor(conn: psycopg.Connection[Any], covering: int = -1) -> AnchorRow | None:
    """The largest mined anchor, if its tree holds leaf `covering`."""
    return _one_anchor(conn, "status = 'mined' AND size > %s ORDER BY size DESC, id", covering)


def anchor_count(conn: psycopg.Connection[Any]) -> int:
    """How many anchors were mined."""
    row = conn.execute("SELECT count(*) FROM anchor WHERE status = 'mined'").fetchone()
    return int(row[0]) if row else 0


def first_anchor(conn: psycopg.Connection[Any], covering: int) -> AnchorRow | None:
    """The first mined anchor whose tree holds leaf `covering`: its time is when the record was proven to exist."""
    return _one_anchor(conn, "status = 'mined' AND size > %s ORDER BY size, id", covering)


def _one_anchor(conn: psycopg.Connection[Any], where: str, *values: int) -> AnchorRow | None:
    row = conn.execute(f"SELECT {_ANCHOR} FROM anchor WHERE {where} LIMIT 1", values).fetchone()  # noqa: S608
    return AnchorRow(*row) if row else None


def anchors_from(conn: psycopg.Connection[Any], after_id: int, limit: int) -> list[AnchorRow]:
    """Anchor rows with an id above `after_id`, in order."""
    rows = conn.execute(
        f"SELECT {_ANCHOR} FROM anchor WHERE id > %s ORDER BY id LIMIT %s",  # noqa: S608 - constant columns
        (after_id, limit),
    )
    return [AnchorRow(*row) for row in rows]


def anchor_row(conn: psycopg.Connection[Any], anchor_id: int) -> AnchorRow | None:
    """One row by its id."""
    return _one_anchor(conn, "id = %s", anchor_id)


def anchor_mined(
    conn: psycopg.Connection[Any],
    anchor_id: int,
    block_number: int,
    block_hash: bytes,
    block_time: int,
    seq: int,
) -> None:
    """Note the block a transaction came to rest in, and the anchor's number on the contract."""
    conn.execute(
        "UPDATE anchor SET status = 'mined', final = false, reason = NULL, block_number = %s, block_hash = %s,"
        " block_time = %s, seq = %s WHERE id = %s",
        (block_number, block_hash, block_time, seq, anchor_id),
    )


def anchor_failed(conn: psycopg.Connection[Any], anchor_id: int, reason: str) -> None:
    """Note that a transaction can never take effect."""
    conn.execute("UPDATE anchor SET status = 'failed', reason = %s WHERE id = %s", (reason, anchor_id))
