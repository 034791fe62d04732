"""Receipts in the database, and how long records have waited. Inside the caller's transaction; commits nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from . import store
from .merkle import leaf_hash
from .receipts import Promiser
from .records import Record


def enqueue_promised(
    conn: psycopg.Connection[Any], records: Sequence[Record], promiser: Promiser, now_ms: int
) -> list[bytes]:
    """Put records into the outbox with a receipt each, in their order. **Hand receipts out only after the caller's
    transaction has committed**: until then nothing was promised. `now_ms` unix milliseconds."""
    store.enqueue(conn, records)
    leaves = [leaf_hash(record.body) for record in records]
    _keep(conn, leaves, [now_ms] * len(leaves), promiser)
    kept = dict(conn.execute("SELECT leaf, body FROM receipt WHERE leaf = ANY(%s)", (leaves,)).fetchall())
    return [bytes(kept[leaf]) for leaf in leaves]


def kept_receipt(conn: psycopg.Connection[Any], leaf: bytes) -> bytes | None:
    """The receipt that was given for a leaf hash."""
    row = conn.execute("SELECT body FROM receipt WHERE leaf = %s", (leaf,)).fetchone()
    return bytes(row[0]) if row else None


def receipt_for(conn: psycopg.Connection[Any], leaf: bytes, promiser: Promiser) -> bytes | None:
    """The receipt of a record in outbox or log, signed now if nobody asked before and counted from when the record was
    said; None where there is no such record. Hand it out after the commit."""
    kept = kept_receipt(conn, leaf)
    if kept is not None:
        return kept
    # The outbox first: a record that moves on meanwhile is then found in the log.
    row = conn.execute(
        "SELECT at FROM outbox WHERE sha256('\\x00'::bytea || body) = %s ORDER BY id LIMIT 1", (leaf,)
    ).fetchone() or conn.execute(
        "SELECT coalesce(said_at, at) FROM record WHERE leaf = %s ORDER BY idx LIMIT 1", (leaf,)
    ).fetchone()  # fmt: skip
    if row is None:
        return None
    _keep(conn, [leaf], [int(row[0].timestamp() * 1000)], promiser)
    return kept_receipt(conn, leaf)


def _keep(conn: psycopg.Connection[Any], leaves: Sequence[bytes], at_ms: Sequence[int], promiser: Promiser) -> None:
    # The first receipt stands: two for one record would be two promises.
    conn.execute(
        "INSERT INTO receipt (leaf, at_ms, mmd_s, body)"
        " SELECT leaf, at_ms, %s, body FROM unnest(%s::bytea[], %s::bigint[], %b::bytea[]) AS given (leaf, at_ms, body)"
        " ON CONFLICT (leaf) DO NOTHING",
        (
            promiser.mmd_s,
            list(leaves),
            list(at_ms),
            [promiser.receipt(leaf, at) for leaf, at in zip(leaves, at_ms, strict=True)],
        ),
    )


def receipts_from(conn: psycopg.Connection[Any], after: bytes, limit: int) -> list[tuple[bytes, int, int, bytes]]:
    """(leaf, at_ms, mmd_s, body) of receipts whose leaf is above `after`, in order."""
    return conn.execute(
        "SELECT leaf, at_ms, mmd_s, body FROM receipt WHERE leaf > %s ORDER BY leaf LIMIT %s", (after, limit)
    ).fetchall()


@dataclass(frozen=True)
class Merging:
    """How records get into the log: `waiting` are not under a signed checkpoint, the oldest of them for `oldest_s`
    seconds; `longest_s` is the longest that one of the last hour took (both by the database's clock)."""

    waiting: int
    oldest_s: float
    longest_s: float


def merging(conn: psycopg.Connection[Any]) -> Merging:
    """How long records wait now, and how long they did within the last hour."""
    newest = store.newest_checkpoint(conn)
    size = newest[0] if newest else 0
    row = conn.execute(
        "SELECT count(*), extract(epoch FROM clock_timestamp() - min(at))::float8 FROM"
        " (SELECT at FROM outbox UNION ALL SELECT coalesce(said_at, at) FROM record WHERE idx >= %s) AS waits",
        (size,),
    ).fetchone()
    waiting, oldest = (row[0], row[1]) if row else (0, None)
    # Of each checkpoint the first record that is new in it: numbers follow the outbox, so it waited about longest.
    took = conn.execute(
        "SELECT max(extract(epoch FROM c.at - r.said_at))::float8 FROM"
        " (SELECT at, (SELECT max(size) FROM checkpoint p WHERE p.size < c.size) AS before FROM checkpoint c"
        "  WHERE size > coalesce((SELECT max(size) FROM checkpoint WHERE at < now() - interval '1 hour'), 0)) AS c"
        " JOIN record r ON r.idx = coalesce(c.before, 0)"
    ).fetchone()
    return Merging(int(waiting), max(0.0, float(oldest or 0.0)), float((took[0] if took else None) or 0.0))
