"""What of passes, findings and evidence goes with the raw chunks. Functions take a connection and never commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from itertools import islice
from typing import Any

import psycopg

from .evidence import BlockEvidence, unpack_block
from .evidence_store import packed
from .sealing import sealed
from .store import CODER_LEASE

Connection = psycopg.Connection[Any]
_AT_ONCE = 500
"""Blocks that are read at a time, some megabytes."""


def forget_phones(conn: Connection, day: date) -> int:
    """Of a day's phone chunks the leaves stay, by block and in the order of their hashes; their passes and findings go.
    To be called while the chunks are still there and nobody else may touch them. Gives the number of findings."""
    conn.execute(
        "INSERT INTO phone_leaf (blk, day, leaf, journal) "
        "SELECT p.blk, p.day, c.leaf, j.id FROM pass AS p JOIN chunk_phone AS c ON c.day = p.day AND c.id = p.chunk "
        "LEFT JOIN journal AS j ON j.id = p.journal WHERE p.day = %s ORDER BY c.leaf",
        (day,),
    )
    conn.execute(
        "DELETE FROM pass USING chunk_phone AS c WHERE pass.day = %(day)s AND c.day = %(day)s AND c.id = pass.chunk",
        {"day": day},
    )
    return conn.execute(
        "DELETE FROM finding USING chunk_phone AS c WHERE c.day = %s AND c.id = finding.chunk", (day,)
    ).rowcount


def loosen_leaves(conn: Connection) -> int:
    """Leaves whose batch is folded forget which batch it was; how many."""
    return conn.execute(
        "UPDATE phone_leaf SET journal = NULL WHERE journal IS NOT NULL "
        "AND NOT EXISTS (SELECT FROM journal WHERE journal.id = phone_leaf.journal)"
    ).rowcount


def keep_leaves(conn: Connection, day: date) -> None:
    """Puts the hashes of all chunks of a day that is being sealed together, block by block in rising order: what stays
    when the chunks go. Where a hash lies no longer says what came together."""
    conn.execute(
        "INSERT INTO chunk_leaves (day, blk, leaves) "
        "SELECT %(day)s, blk, string_agg(leaf, ''::bytea ORDER BY leaf) FROM ("
        "SELECT p.blk, c.leaf FROM pass AS p JOIN chunk_box AS c ON c.day = p.day AND c.id = p.chunk "
        "WHERE p.day = %(day)s UNION ALL SELECT blk, leaf FROM phone_leaf WHERE day = %(day)s) AS past GROUP BY blk",
        {"day": day},
    )
    conn.execute("DELETE FROM phone_leaf WHERE day = %s", (day,))


def leaves_of_day(conn: Connection, day: date) -> Iterator[tuple[int, bytes]]:
    """A sealed day's hashes as they are kept, block by block in rising order; memory for some blocks."""
    after: int | None = None
    while True:
        rows = conn.execute(
            "SELECT blk, leaves FROM chunk_leaves WHERE day = %s AND (%s::bigint IS NULL OR blk > %s) "
            "ORDER BY blk LIMIT %s",
            (day, after, after, _AT_ONCE),
        ).fetchall()
        yield from ((blk, bytes(leaves)) for blk, leaves in rows)
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1][0]


def put_nodes(conn: Connection, day: date, nodes: Mapping[int, bytes]) -> None:
    """Notes what stands for blocks in the tree of a day, so that a path through it needs no hash of other blocks."""
    conn.execute(
        "UPDATE chunk_leaves AS c SET node = n.node FROM unnest(%b::bigint[], %b::bytea[]) AS n (blk, node) "
        "WHERE c.day = %b AND c.blk = n.blk",
        (list(nodes), list(nodes.values()), day),
    )


def nodes_of_day(conn: Connection, day: date) -> list[tuple[int, bytes]]:
    """Blocks of a sealed day in rising order, each with what stands for it in the day's tree."""
    rows = conn.execute("SELECT blk, node FROM chunk_leaves WHERE day = %s ORDER BY blk", (day,))
    return [(int(r[0]), bytes(r[1] or b"")) for r in rows]


def days_of_block(conn: Connection, block: int, most: int) -> list[date]:
    """The newest sealed days on which chunks passed a block, as far as their hashes are kept, newest first."""
    rows = conn.execute("SELECT day FROM chunk_leaves WHERE blk = %s ORDER BY day DESC LIMIT %s", (block, most))
    return [r[0] for r in rows]


def forget_leaves(conn: Connection, before: date) -> int:
    """The hashes of days before a day go; how many blocks' days."""
    return conn.execute("DELETE FROM chunk_leaves WHERE day < %s", (before,)).rowcount


def days_with_leaves(conn: Connection) -> set[date]:
    """Sealed days whose hashes are kept."""
    return {r[0] for r in conn.execute("SELECT DISTINCT day FROM chunk_leaves")}


def places_of_leaf(conn: Connection, leaf: bytes, day: date | None = None) -> list[tuple[date, int]]:
    """Days and blocks of a chunk's salted hash, wherever it is kept: with its chunk, or of a sealed day. Reads all
    hashes of the day (of all days where none is given)."""
    rows = conn.execute(
        "SELECT p.day, p.blk FROM pass AS p JOIN chunk AS c ON c.day = p.day AND c.id = p.chunk "
        "WHERE c.leaf = %(leaf)s AND (%(day)s::date IS NULL OR c.day = %(day)s) "
        "UNION SELECT day, blk FROM phone_leaf WHERE leaf = %(leaf)s AND (%(day)s::date IS NULL OR day = %(day)s) "
        # That it is not found across two others is checked where its number in the list is looked up.
        "UNION SELECT day, blk FROM chunk_leaves WHERE position(%(leaf)s::bytea IN leaves) > 0 "
        "AND (%(day)s::date IS NULL OR day = %(day)s) ORDER BY 1, 2",
        {"leaf": leaf, "day": day},
    )
    return [(r[0], int(r[1])) for r in rows]


def hold_evidence(conn: Connection) -> None:
    """Waits for the coder's step to end and keeps it from beginning another until this transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (CODER_LEASE,))


def waits_to_be_folded(conn: Connection, day: date) -> bool:
    """Whether evidence of a day is still in the journal."""
    row = conn.execute("SELECT EXISTS (SELECT FROM journal WHERE day = %s)", (day,)).fetchone()
    return bool(row and row[0])


def evidence_of_day(conn: Connection, day: date) -> Iterator[tuple[int, BlockEvidence]]:
    """A day's evidence, block by block in rising order; memory for some blocks. Raises ValueError for a damaged row."""
    after: int | None = None
    while True:
        rows = conn.execute(
            "SELECT blk, d FROM evidence WHERE day = %s AND (%s::bigint IS NULL OR blk > %s) ORDER BY blk LIMIT %s",
            (day, after, after, _AT_ONCE),
        ).fetchall()
        for blk, d in rows:
            yield blk, unpack_block(bytes(d))
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1][0]


def seal_evidence(conn: Connection, day: date) -> Iterator[tuple[int, BlockEvidence]]:
    """Takes the slots out of a day's evidence, and gives each block's as it stands now, in rising order."""
    for some in _portions(evidence_of_day(conn, day)):
        kept = [(block, sealed(evidence)) for block, evidence in some]
        conn.execute(
            "UPDATE evidence SET d = new.d FROM unnest(%b::bigint[], %b::bytea[]) AS new (blk, d) "
            "WHERE evidence.blk = new.blk AND evidence.day = %b",
            ([block for block, _ in kept], packed([evidence for _, evidence in kept]), day),
        )
        yield from kept


def _portions(rows: Iterator[tuple[int, BlockEvidence]]) -> Iterator[list[tuple[int, BlockEvidence]]]:
    while some := list(islice(rows, _AT_ONCE)):
        yield some


def forget_boxes(conn: Connection, day: date) -> None:
    """A day's passes and findings go, before its boxes' raw chunks do; the chunks' hashes stay (`keep_leaves`)."""
    conn.execute("DELETE FROM finding USING chunk_box AS c WHERE c.day = %s AND c.id = finding.chunk", (day,))
    conn.execute("DELETE FROM pass WHERE day = %s", (day,))
