"""Signed transactions on their way: what the outbox of anchors and that of grants have in common.

Bytes are committed before they are sent, and the same bytes are sent again until something is mined under their nonce.
Where they are stuck because they pay too little, a dearer transaction with the same nonce takes their place; the old
bytes are kept, since one of the two will be mined and nobody can say which. A block that the chain gives up takes its
rows back to the beginning, with the same bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import psycopg

from .chain import AnchorRefused, Chain, Receipt, tx_hash_of

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount


@dataclass(frozen=True)
class Book:
    """An outbox: its table, and the column of `tx_replaced` that names its rows."""

    table: Literal["anchor", "chain_grant"]
    column: Literal["anchor_id", "grant_id"]


ANCHORS: Final = Book("anchor", "anchor_id")
GRANTS: Final = Book("chain_grant", "grant_id")


@dataclass(frozen=True)
class Patience:
    """How long to wait for what.

    `wait_s` for a receipt within a turn: shorter and each anchor takes two turns, longer and a stopping process is held
    up. `stuck_s` after which a transaction that nobody mines is replaced by a dearer one: below some blocks' time it
    pays more for nothing. `confirmations`: blocks on top of a transaction's after which it is called final.
    """

    wait_s: float = 5.0
    stuck_s: float = 120.0
    confirmations: int = 0


@dataclass(frozen=True)
class Underway:
    """A row whose signed bytes are not mined yet."""

    id: int
    tx_hash: bytes
    raw_tx: bytes
    signed_s: int | None


@dataclass(frozen=True)
class Outcome:
    """What a turn did for a row: `mined` with its receipt, `pending`, `held` (refused now, the same bytes may be taken
    later: an account without coins, a full pool), or `refused` for good. With the reason."""

    state: Literal["mined", "pending", "held", "refused"]
    reason: str = ""
    receipt: Receipt | None = None


def open_row(conn: psycopg.Connection[Any], book: Book) -> Underway | None:
    """The one transaction under way. Of those that a reorganisation undid the one with the lowest nonce is next."""
    # What was sent after them cannot be mined before them: it waits its turn too.
    conn.execute(
        f"UPDATE {book.table} SET status = 'undone' WHERE status IN ('prepared', 'sent')"  # noqa: S608 - constant names
        f" AND nonce > (SELECT min(nonce) FROM {book.table} WHERE status = 'undone')"
    )
    conn.execute(
        f"UPDATE {book.table} SET status = 'sent' WHERE id = (SELECT id FROM {book.table}"  # noqa: S608 - constant names
        f" WHERE status = 'undone' ORDER BY nonce, id LIMIT 1)"
        f" AND NOT EXISTS (SELECT 1 FROM {book.table} WHERE status IN ('prepared', 'sent'))"
    )
    row = conn.execute(
        f"SELECT id, tx_hash, raw_tx, signed_s FROM {book.table} WHERE status IN ('prepared', 'sent')"  # noqa: S608
    ).fetchone()
    conn.commit()
    return Underway(*row) if row else None


def settle(
    conn: psycopg.Connection[Any], chain: Chain, book: Book, row: Underway, account: "Callable[[], LocalAccount]",
    now_s: float, patience: Patience,
) -> Outcome:
    """Send the row's bytes, as often as it takes, and see what became of them. Commits; the row's end is the caller's.

    `account` gives the key for a dearer transaction. Raises ChainAway, WrongContract.
    """
    signed_for = chain.place_of(row.raw_tx)
    if signed_for != (chain.chain_id, chain.address):
        return Outcome("refused", "signed for another chain or contract than the one in use")
    earlier = _earlier(conn, book, row)
    if found := _first_mined(conn, chain, book, row, earlier):
        return found
    try:
        chain.send(row.raw_tx)
    except AnchorRefused as error:
        # If the nonce is spent, then perhaps by the bytes that were replaced, just now.
        if found := _first_mined(conn, chain, book, row, earlier):
            return found
        if chain.nonce_of(row.raw_tx) != chain.nonce_of_account(account().address):
            return Outcome("refused", error.reason)
        if not _stuck(row, now_s, patience):
            return Outcome("held", error.reason)
        return _replace(conn, chain, book, row, account, now_s)
    conn.execute(
        f"UPDATE {book.table} SET status = 'sent' WHERE id = %s AND status = 'prepared'",  # noqa: S608
        (row.id,),
    )
    conn.commit()
    if found := _judged(chain.receipt(row.tx_hash, patience.wait_s)):
        return found
    if found := _first_mined(conn, chain, book, row, earlier):
        return found
    if not _stuck(row, now_s, patience):
        return Outcome("pending", "sent, not mined yet")
    return _replace(conn, chain, book, row, account, now_s)


def _stuck(row: Underway, now_s: float, patience: Patience) -> bool:
    return row.signed_s is not None and now_s - row.signed_s >= patience.stuck_s


def _judged(receipt: Receipt | None) -> Outcome | None:
    if receipt is None:
        return None
    if not receipt.ok:
        return Outcome("refused", "reverted", receipt)
    return Outcome("mined", "", receipt)


def _first_mined(
    conn: psycopg.Connection[Any], chain: Chain, book: Book, row: Underway, earlier: list[tuple[bytes, bytes]]
) -> Outcome | None:
    if found := _judged(chain.receipt(row.tx_hash)):
        return found
    for tx_hash, raw in earlier:
        if found := _judged(chain.receipt(tx_hash)):
            _keep(conn, book, row.id, row.tx_hash, row.raw_tx)
            conn.execute("DELETE FROM tx_replaced WHERE tx_hash = %s", (tx_hash,))
            _put(conn, book, row.id, tx_hash, raw, None)
            conn.commit()
            return found
    return None


def _replace(
    conn: psycopg.Connection[Any], chain: Chain, book: Book, row: Underway,
    account: "Callable[[], LocalAccount]", now_s: float,
) -> Outcome:
    try:
        raw = chain.sign_dearer(account(), row.raw_tx)
    except AnchorRefused as error:
        return Outcome("held", f"not mined for {int(now_s - (row.signed_s or 0))} s: {error.reason}")
    _keep(conn, book, row.id, row.tx_hash, row.raw_tx)
    _put(conn, book, row.id, tx_hash_of(raw), raw, now_s)
    conn.commit()
    try:
        chain.send(raw)
    except AnchorRefused as error:
        # Whether it counts shows with the next turn, which looks for the receipts of both.
        return Outcome("pending", f"a dearer transaction was refused: {error.reason}")
    return Outcome("pending", "sent again at a higher fee")


def _earlier(conn: psycopg.Connection[Any], book: Book, row: Underway) -> list[tuple[bytes, bytes]]:
    rows = conn.execute(
        f"SELECT tx_hash, raw_tx FROM tx_replaced WHERE {book.column} = %s ORDER BY at DESC",  # noqa: S608
        (row.id,),
    ).fetchall()
    conn.commit()  # the chain may take long; no transaction stays open meanwhile
    return [(bytes(tx_hash), bytes(raw)) for tx_hash, raw in rows]


def _keep(conn: psycopg.Connection[Any], book: Book, row_id: int, tx_hash: bytes, raw: bytes) -> None:
    conn.execute(
        f"INSERT INTO tx_replaced (tx_hash, {book.column}, raw_tx) VALUES (%s, %s, %s)"  # noqa: S608
        " ON CONFLICT (tx_hash) DO NOTHING",
        (tx_hash, row_id, raw),
    )


def _put(
    conn: psycopg.Connection[Any], book: Book, row_id: int, tx_hash: bytes, raw: bytes, signed_s: float | None
) -> None:
    conn.execute(
        f"UPDATE {book.table} SET tx_hash = %s, raw_tx = %s, signed_s = coalesce(%s, signed_s) WHERE id = %s",  # noqa: S608
        (tx_hash, raw, None if signed_s is None else int(signed_s), row_id),
    )


def undo_lost(conn: psycopg.Connection[Any], chain: Chain, book: Book) -> int:
    """Take back mined rows whose block the chain has given up since; gives how many. Commits.

    A block's hash covers all blocks below it: where the newest row's block is still the chain's, so are all others, and
    one question a turn is enough. Otherwise it goes down until one holds. Raises WrongContract where the contract is
    gone too: that is another chain, and nothing is taken back.
    """
    before: tuple[int, int] = (1 << 62, 0)
    lost = 0
    while row := conn.execute(
        f"SELECT block_number, id, block_hash FROM {book.table} WHERE status = 'mined'"  # noqa: S608
        " AND (block_number, id) < (%s, %s) ORDER BY block_number DESC, id DESC LIMIT 1",
        before,
    ).fetchone():
        number, row_id, block_hash = row
        conn.commit()
        if chain.block_hash(number) == bytes(block_hash):
            break
        if not lost:
            chain.head()
        # Not looked for in its new block here: a row under way is sent again, and found there if it is there.
        conn.execute(
            f"UPDATE {book.table} SET status = 'undone', final = false,"  # noqa: S608
            " reason = 'its block is no longer on the chain', block_number = NULL, block_hash = NULL,"
            " block_time = NULL WHERE id = %s",
            (row_id,),
        )
        conn.commit()
        before = (number, row_id)
        lost += 1
    conn.commit()
    return lost


def make_final(conn: psycopg.Connection[Any], chain: Chain, book: Book, confirmations: int) -> None:
    """Call final what lies under `confirmations` blocks; with 0 whatever is mined. Commits."""
    waits = conn.execute(
        f"SELECT EXISTS (SELECT 1 FROM {book.table} WHERE status = 'mined' AND NOT final)"  # noqa: S608
    ).fetchone()
    conn.commit()
    if waits is None or not waits[0]:
        return
    newest = chain.block_number() if confirmations else 1 << 62
    conn.execute(
        f"UPDATE {book.table} SET final = true WHERE status = 'mined' AND NOT final AND block_number <= %s",  # noqa: S608
        (newest - confirmations,),
    )
    conn.commit()
