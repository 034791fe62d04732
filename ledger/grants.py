"""Rights of departments on the chain: an outbox of grants and revocations that the admin's key signs.

A department signs with Ed25519, a contract knows accounts of 20 bytes: what stands for its key on the chain is a pseudo
account, made from the public key. Nobody can send from it; the chain only keeps, for all to see, from when to when the
key was a department's.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import psycopg

from . import sending, store
from .chain import AnchorRefused, Chain, ChainAway, WrongContract, tx_hash_of

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

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


@dataclass(frozen=True)
class GrantStatus:
    """What a turn did and where things stand: `settled` now, `waiting` for their turn, for a key or for the chain.

    state: idle | pending (sent, not mined) | no key (the admin's is not here: see docs/chain.md) | away | refused.
    `undone` were found in blocks that the chain has given up, and are sent again.
    """

    settled: int
    waiting: int
    state: Literal["idle", "pending", "no key", "away", "refused"]
    reason: str = ""
    undone: int = 0


# Steps in one turn: fewer and a hundred departments' keys, withdrawn at once, take long; more hold anchors up.
A_TURN: Final = 16
# Rows looked at for one whose time has come: those that wait for a later window stand before others.
LOOKED_AT: Final = 256
# With these a step can never succeed; any other reason may pass.
HOPELESS: Final = ("empty window", "nothing to revoke", "no account")
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


def settle_grants(
    conn: psycopg.Connection[Any], chain: Chain, admin_key: Path | None, now_s: float,
    patience: sending.Patience = sending.Patience(),  # noqa: B008 - frozen
) -> GrantStatus:
    """Bring the contract up to the outbox, a few steps a turn. Commits on `conn`, as `anchor.step` does.

    `admin_key`: file of the key that may grant; where it is None or not there, steps wait until they are signed
    elsewhere (`unsigned`, `take_signed`). An absent or refusing chain is a status, not an error. Raises LeaseHeld.
    """
    if conn.autocommit:
        raise ValueError("the pump needs a connection without autocommit")
    if not store.take_lease(conn):
        conn.rollback()
        raise store.LeaseHeld("another process sends to the chain: this one waits")
    settled, undone = 0, 0
    state: Literal["idle", "pending", "no key", "away", "refused"] = "idle"
    reason = ""
    try:
        undone = sending.undo_lost(conn, chain, sending.GRANTS)
        while settled < A_TURN and state == "idle":
            row = sending.open_row(conn, sending.GRANTS)
            if row is None and _prepare(conn, chain, admin_key, now_s):
                row = sending.open_row(conn, sending.GRANTS)
            if row is None:
                break
            done = sending.settle(conn, chain, sending.GRANTS, row, lambda: _admin(chain, admin_key), now_s, patience)
            state, reason = _note(conn, row.id, done)
            settled += done.state == "mined"
        sending.make_final(conn, chain, sending.GRANTS, patience.confirmations)
    except _NoKey as error:
        state, reason = "no key", str(error)
    except ChainAway as error:
        state, reason = "away", str(error)
    except (AnchorRefused, WrongContract) as error:
        state, reason = "refused", str(error)
    finally:
        conn.rollback()
    waiting = conn.execute("SELECT count(*) FROM chain_grant WHERE status NOT IN ('mined', 'failed')").fetchone()
    conn.commit()
    return GrantStatus(settled, int(waiting[0]) if waiting else 0, state, reason, undone)


class _NoKey(RuntimeError):
    pass


def _admin(chain: Chain, admin_key: Path | None) -> "LocalAccount":
    # Not made where it is missing: a key made here would be no admin's.
    if admin_key is None or not admin_key.exists():
        raise _NoKey("the admin's key is not here: sign elsewhere with `roadcode chain export-grants`")
    return chain.account(admin_key)


def _note(
    conn: psycopg.Connection[Any], row_id: int, done: sending.Outcome
) -> tuple[Literal["idle", "pending", "refused"], str]:
    if done.state == "pending":
        return "pending", done.reason
    if done.state == "held":
        return "refused", done.reason
    receipt = done.receipt
    if done.state == "mined" and receipt is not None:
        conn.execute(
            "UPDATE chain_grant SET status = 'mined', final = false, reason = NULL, block_number = %s,"
            " block_hash = %s, block_time = %s WHERE id = %s",
            (receipt.block_number, receipt.block_hash, receipt.block_time, row_id),
        )
        conn.commit()
        return "idle", ""
    # Unlike a head, which the next one replaces, a right must get there: it is signed anew.
    conn.execute(
        "UPDATE chain_grant SET status = 'waiting', reason = %s, raw_tx = NULL, tx_hash = NULL, nonce = NULL,"
        " signed_s = NULL WHERE id = %s",
        (done.reason, row_id),
    )
    conn.commit()
    return "refused", done.reason


def _prepare(conn: psycopg.Connection[Any], chain: Chain, admin_key: Path | None, now_s: float) -> bool:
    """Sign the first step whose time has come; whether there was one."""
    rows = conn.execute(
        f"SELECT {COLUMNS} FROM chain_grant WHERE status = 'waiting' ORDER BY id LIMIT %s",  # noqa: S608 - constant
        (LOOKED_AT,),
    ).fetchall()
    conn.commit()
    steps = [GrantRow(*row) for row in rows]
    ended = {row.account: row.id for row in steps if row.step == "revoke"}
    held: set[bytes] = set()  # accounts with a window that waits: what follows it waits too
    for row in steps:
        if row.step == "grant" and row.id < ended.get(row.account, 0):
            _give_up(conn, row.id, "revoked before it stood on the chain")
            continue
        if row.account in held:
            continue
        if row.raw_tx is not None:  # signed elsewhere
            conn.execute("UPDATE chain_grant SET status = 'prepared' WHERE id = %s", (row.id,))
            conn.commit()
            return True
        if row.step == "grant" and (row.to_s or 0) <= now_s:
            _give_up(conn, row.id, "its window was over before it could stand on the chain")
            continue
        window = _window(chain, row, now_s)
        if window == "later":
            held.add(row.account)
            continue
        admin = _admin(chain, admin_key)
        try:
            window = _taken(chain, admin.address, row.account, window)
        except AnchorRefused as error:
            if error.reason not in HOPELESS:
                raise
            _give_up(conn, row.id, error.reason)
            continue
        nonce = chain.nonce_of_account(admin.address)
        raw = chain.sign_grant(admin, row.account, window, nonce)
        _sign(conn, row.id, nonce, raw, now_s, "prepared")
        return True
    return False


def _taken(chain: Chain, admin: str, account: bytes, window: tuple[int, int] | None) -> tuple[int, int] | None:
    try:
        chain.check_grant(admin, account, window)
    except AnchorRefused as error:
        if error.reason != "back-dated" or window is None:
            raise
        window = (0, window[1])  # the chain's clock is a little ahead of ours
        chain.check_grant(admin, account, window)
    return window


def _window(chain: Chain, row: GrantRow, now_s: float) -> "tuple[int, int] | Literal['later'] | None":
    """What to ask of the contract: (start, end), start 0 for at once; None to revoke; "later" for not yet."""
    if row.step == "revoke":
        return None
    begin, end = row.from_s or 0, row.to_s or 0
    if begin <= now_s:
        return 0, end
    last = next(iter(chain.department_windows(row.account)[-1:]), None)
    if last is None or last.end <= now_s:
        return begin, end
    # A new window takes the place of the one in force: one that follows it later must not interrupt it.
    if begin > last.end:
        return "later"
    return (min(begin, last.start) if last.start > now_s else 0), end


def _give_up(conn: psycopg.Connection[Any], row_id: int, reason: str) -> None:
    conn.execute("UPDATE chain_grant SET status = 'failed', reason = %s WHERE id = %s", (reason, row_id))
    conn.commit()


def _sign(conn: psycopg.Connection[Any], row_id: int, nonce: int, raw: bytes, now_s: float, status: str) -> None:
    conn.execute(
        "UPDATE chain_grant SET status = %s, reason = NULL, nonce = %s, tx_hash = %s, raw_tx = %s, signed_s = %s"
        " WHERE id = %s",
        (status, nonce, tx_hash_of(raw), raw, int(now_s), row_id),
    )
    conn.commit()
