"""Do the contract's windows of departments and the outbox of grants tell the same story? For fsck; changes nothing."""

from collections.abc import Iterator
from typing import Any

import psycopg

from .chain import AnchorRefused, Chain, ChainAway, Window, WrongContract, tx_hash_of
from .grants import COLUMNS, GrantRow


def grant_faults(conn: psycopg.Connection[Any], chain: Chain | None) -> Iterator[tuple[str, str]]:
    """(where, what) of each fault. Without `chain` rows are compared with their own bytes and with the log only."""
    yield from _without_record(conn)
    accounts = conn.execute("SELECT DISTINCT account FROM chain_grant ORDER BY account").fetchall()
    for (account,) in accounts:
        rows = [
            GrantRow(*row)
            for row in conn.execute(
                f"SELECT {COLUMNS} FROM chain_grant WHERE account = %s ORDER BY id",  # noqa: S608 - constant
                (account,),
            )
        ]
        try:
            yield from _account(rows, chain)
        except (ChainAway, AnchorRefused, WrongContract) as error:
            yield f"account {account.hex()}", f"the chain could not be asked: {error}"
            return


def _without_record(conn: psycopg.Connection[Any]) -> Iterator[tuple[str, str]]:
    rows = conn.execute(
        "SELECT id FROM chain_grant g WHERE NOT EXISTS"
        " (SELECT 1 FROM record r WHERE r.kind = 'department' AND r.leaf = g.record_leaf) AND NOT EXISTS"
        " (SELECT 1 FROM outbox o WHERE o.kind = 'department' AND sha256('\\x00'::bytea || o.body) = g.record_leaf)"
        " ORDER BY id"
    )
    for (number,) in rows.fetchall():
        yield f"grant {number}", "no record of a department in the log says it"


def _account(rows: list[GrantRow], chain: Chain | None) -> Iterator[tuple[str, str]]:
    for row in rows:
        if row.raw_tx is not None and row.tx_hash != tx_hash_of(row.raw_tx):
            yield f"grant {row.id}", "the transaction's hash is not that of its bytes"
    if chain is None:
        return
    windows = chain.department_windows(rows[0].account)
    mined = [row for row in rows if row.status == "mined"]
    for row in mined:
        yield from _mined(row, windows, chain)
    if not any(row.status in ("prepared", "sent") for row in rows) and len(windows) > len(mined):
        yield f"account {rows[0].account.hex()}", (
            f"the contract has {len(windows)} windows, the outbox made {len(mined)}: somebody else used an admin's key"
        )


def _mined(row: GrantRow, windows: list[Window], chain: Chain) -> Iterator[tuple[str, str]]:
    where = f"grant {row.id}"
    receipt = chain.receipt(row.tx_hash or b"")
    if receipt is None or not receipt.ok:
        yield where, "called mined, but the chain does not have it (or reverted it)"
        return
    if (row.block_number, row.block_hash, row.block_time) != (
        receipt.block_number, receipt.block_hash, receipt.block_time,
    ):  # fmt: skip
        yield where, "block number, hash or time are not the chain's"
    # By its own bytes: what was asked for may begin later than the row says, never earlier.
    entered = [w for w in windows if w.at == receipt.block_time]
    if row.step == "revoke":
        fits = any((w.start, w.end) == (0, 0) for w in entered)
    else:
        fits = any(w.end == row.to_s and w.start >= w.at for w in entered)
    if not fits:
        yield where, "the contract has no such window of that block's time"
