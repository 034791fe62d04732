"""Rights of departments on the chain: an outbox of grants and revocations that the admin's key signs.

A department signs with Ed25519, a contract knows accounts of 20 bytes: what stands for its key on the chain is a pseudo
account, made from the public key. Nobody can send from it; the chain only keeps, for everybody to see, from when to when
the key was a department's.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal

import psycopg

Step = Literal["grant", "revoke"]
PREFIX: Final = b"rhc department\n"


@dataclass(frozen=True)
class GrantRow:
    """A step that the contract shall take. Times in unix seconds; `account` 20 bytes, hashes 32."""

    id: int
    account: bytes
    step: Step
    from_s: int | None
    to_s: int | None
    record_leaf: bytes
    status: str
    reason: str | None
    nonce: int | None
    tx_hash: bytes | None
    raw_tx: bytes | None
    signed_s: int | None
    block_number: int | None
    block_hash: bytes | None
    block_time: int | None
    final: bool


COLUMNS: Final = (
    "id, account, step, from_s, to_s, record_leaf, status, reason, nonce, tx_hash, raw_tx, signed_s, block_number,"
    " block_hash, block_time, final"
)


def account_of(public: bytes) -> bytes:
    """The pseudo account (20 bytes) of a department's public key (32 bytes, Ed25519)."""
    if len(public) != 32:
        raise ValueError("a public key of Ed25519 has 32 bytes")
    return sha256(PREFIX + public).digest()[-20:]


def enqueue_grant(
    conn: psycopg.Connection[Any], account: bytes, from_s: int, to_s: int, record_leaf: bytes
) -> None:
    """Let the chain say that `account` is a department's within [from_s, to_s). In the caller's transaction.

    `record_leaf`: leaf hash of the record in the log that grants it. The contract refuses back-dating: what lies in the
    past when it is signed begins then. The same step for the same record again changes nothing.
    """
    if not 0 <= from_s < to_s < 1 << 63:
        raise ValueError("a grant has a window: 0 <= from_s < to_s, in unix seconds")
    _enqueue(conn, account, "grant", from_s, to_s, record_leaf)


def enqueue_revocation(conn: psycopg.Connection[Any], account: bytes, record_leaf: bytes) -> None:
    """Let the chain say that `account` is no department's any more. In the caller's transaction; may be repeated."""
    _enqueue(conn, account, "revoke", None, None, record_leaf)


def _enqueue(
    conn: psycopg.Connection[Any], account: bytes, step: Step, from_s: int | None, to_s: int | None, leaf: bytes
) -> None:
    if len(account) != 20 or len(leaf) != 32:
        raise ValueError("an account has 20 bytes, a leaf hash 32")
    conn.execute(
        "INSERT INTO chain_grant (account, step, from_s, to_s, record_leaf) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (account, step, record_leaf) DO NOTHING",
        (account, step, from_s, to_s, leaf),
    )


def grants_of(conn: psycopg.Connection[Any], account: bytes | None = None, limit: int = 1000) -> list[GrantRow]:
    """The steps about an account (of all where None), oldest first."""
    rows = conn.execute(
        f"SELECT {COLUMNS} FROM chain_grant WHERE %s::bytea IS NULL OR account = %s ORDER BY id LIMIT %s",  # noqa: S608
        (account, account, limit),
    )
    return [GrantRow(*row) for row in rows]
