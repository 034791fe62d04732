"""What witnesses signed of our checkpoints, in the database. Every function works inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from .cosignature import Cosignature, with_cosignatures, witness_key
from .note import NoteError, parse_checkpoint
from .policy import MOST, Policy

_LOOKED_AT: Final = 64
"""Cosigned checkpoints that are looked through for one with a quorum. Witnesses that answer at all sign each of the
newest, so the first or second has it; where none of 64 has, more would only make every proof slow."""


def put_cosignatures(conn: psycopg.Connection[Any], size: int, signed: Sequence[Cosignature]) -> int:
    """Keep cosignatures of the checkpoint of `size` leaves, which must be checked already. Gives how many are new.

    What the same witness signed of it before stays: a later time adds nothing.
    """
    new = 0
    for one in signed:
        new += conn.execute(
            "INSERT INTO cosignature (size, vkey, time_s, signature) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (size, one.witness.vkey, one.time_s, one.signature),
        ).rowcount
    return new


def cosignatures_at(conn: psycopg.Connection[Any], size: int) -> list[Cosignature]:
    """What was kept of one checkpoint, by witness. A row that is no key is left out: fsck names it."""
    return _cosignatures_of(conn, [size])[size]


def _cosignatures_of(conn: psycopg.Connection[Any], sizes: Sequence[int]) -> dict[int, list[Cosignature]]:
    found: dict[int, list[Cosignature]] = {size: [] for size in sizes}
    rows = conn.execute(
        "SELECT s.* FROM unnest(%s::bigint[]) AS asked (size), LATERAL (SELECT size, vkey, time_s, signature"
        " FROM cosignature c WHERE c.size = asked.size ORDER BY vkey LIMIT %s) AS s ORDER BY s.size, s.vkey",
        (list(sizes), MOST),
    )
    for size, vkey, time_s, signature in rows:
        try:
            found[size].append(Cosignature(witness_key(vkey), time_s, bytes(signature)))
        except NoteError:
            continue
    return found


def witnessed_note(conn: psycopg.Connection[Any], note: str) -> str:
    """The signed checkpoint `note` with the cosignatures that are kept of it; what `/log/checkpoint` serves.

    Raises NoteError where the note cannot be read.
    """
    return with_cosignatures(note, cosignatures_at(conn, parse_checkpoint(note).size))


def newest_witnessed(conn: psycopg.Connection[Any], policy: Policy, covering: int = -1) -> tuple[int, str] | None:
    """(size, note with cosignatures) of the newest checkpoint that holds leaf `covering` and that enough witnesses of
    the policy signed; None where there is none yet."""
    rows = conn.execute(
        "SELECT c.size, c.note FROM checkpoint c WHERE c.size > %s"
        " AND EXISTS (SELECT 1 FROM cosignature s WHERE s.size = c.size) ORDER BY c.size DESC LIMIT %s",
        (covering, _LOOKED_AT),
    ).fetchall()
    signed = _cosignatures_of(conn, [size for size, _ in rows])
    for size, note in rows:
        try:
            whole = with_cosignatures(note, signed[size])
            if policy.enough(whole):
                return size, whole
        except NoteError:
            continue  # a damaged row: fsck names it, and another checkpoint may serve
    return None


def candidate(conn: psycopg.Connection[Any], slot_s: float) -> tuple[int, str] | None:
    """(size, note) of the checkpoint that witnesses are offered now: for `slot_s` seconds the one that was the newest
    when they began. A log signs a head or two a second, and witnesses who come at moments of their own would each sign
    another one, so that none ever had a quorum. 0: the newest. None where nothing is signed yet."""
    row: tuple[int, str] | None = None
    if slot_s > 0:
        row = conn.execute(
            "SELECT size, note FROM checkpoint WHERE at <= to_timestamp(floor(extract(epoch FROM now()) / %s) * %s)"
            " ORDER BY size DESC LIMIT 1",
            (slot_s, slot_s),
        ).fetchone()
    order = "DESC" if slot_s <= 0 else "ASC"  # within the first slot of all the first, which stays the same
    if row is None:
        row = conn.execute(f"SELECT size, note FROM checkpoint ORDER BY size {order} LIMIT 1").fetchone()  # noqa: S608
    return row


def cosignatures_from(
    conn: psycopg.Connection[Any], above: tuple[int, str], limit: int
) -> list[tuple[int, str, int, bytes, str]]:
    """(size, vkey, time_s, signature, note of the checkpoint) of rows after `above` (size, vkey), in order."""
    return conn.execute(
        "SELECT s.size, s.vkey, s.time_s, s.signature, c.note FROM cosignature s JOIN checkpoint c USING (size)"
        " WHERE (s.size, s.vkey) > (%s, %s) ORDER BY s.size, s.vkey LIMIT %s",
        (*above, limit),
    ).fetchall()
