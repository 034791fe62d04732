"""What the log is told of keys and trust lists. Works inside the caller's transaction and commits nothing."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import psycopg

from .district import KeyStep
from .keys import PublicKey
from .records import Origin, Record, key_record
from .store import enqueue
from .trust import TrustList


def record_keys(conn: psycopg.Connection[Any], issuer: str, steps: Sequence[KeyStep], origin: Origin) -> int:
    """Records of those steps of a district's keys that the log does not have yet; says how many."""
    fresh = [step for step in steps if _first(conn, step.key.kid, step.step)]
    enqueue(conn, [
        key_record(issuer, s.step, s.key.kid, s.key.public, s.at_s * 1000, s.why or None, origin) for s in fresh
    ])  # fmt: skip
    return len(fresh)


def record_trust_list(
    conn: psycopg.Connection[Any], data: bytes, trust: TrustList, key: PublicKey, at_s: int, origin: Origin
) -> bool:
    """Records that this instance took a list (`data` is what `key` signed), where the log does not have it: whoever
    compares two districts' logs sees whether a hub told them the same."""
    digest = sha256(data).digest()
    if not _first(conn, digest, "trust_list"):
        return False
    why = {"number": trust.number, "sha256": digest}
    enqueue(conn, [_taken(trust.publisher, key, at_s, why, origin)])
    return True


def _taken(publisher: str, key: PublicKey, at_s: int, why: dict[str, Any], origin: Origin) -> Record:
    return key_record(publisher, "trust_list", key.kid, key.public, at_s * 1000, why, origin)


def _first(conn: psycopg.Connection[Any], subject: bytes, step: str) -> bool:
    said = conn.execute(
        "INSERT INTO trust_said (subject, step) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING true", (subject, step)
    ).fetchone()
    return said is not None
