"""The ledger's pump: outbox -> numbers -> log -> signed checkpoint -> anchor on the chain.

One idempotent `step`. Each of its commits is a point where a crash is harmless:

1. numbers assigned                     (the log is completed from the numbers)
2. tiles and checkpoint on disk, checkpoint row committed
3. the signed transaction committed as an anchor row, before it is sent
4. sent, committed
5. receipt seen, row committed as mined

A restart finds an open row and sends the same bytes, so that one head is never anchored twice. What a reorganisation of
the chain undid goes back to 4; what is stuck is sent again at a higher fee (sending.py). Departments' rights have an
outbox of the same kind (grants.py).
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import psycopg

from . import sending, store
from .chain import EMPTY, AnchorRefused, Chain, ChainAway, WrongContract, tx_hash_of
from .log import Log
from .note import parse_checkpoint

State = Literal["empty", "anchored", "waiting", "pending", "away", "refused"]


class LogDiverged(RuntimeError):
    """Log and database tell different stories (one of them was restored from an older copy): nothing is appended."""


@dataclass(frozen=True)
class AnchorOptions:
    """How much at once and how often.

    `batch` records a transaction: at 100 the disk's fsync rate halves the throughput, at 10,000 a step holds others up.
    `batches` at most in one step, so that a flood does not keep heads from being signed.
    `every_s` between anchors by the chain's clock; 0 anchors each new head at once. `wait_s`, `stuck_s` and
    `confirmations` as in sending.Patience.
    """

    batch: int = 1000
    batches: int = 16
    wait_s: float = 5.0
    every_s: float = 0.0
    stuck_s: float = 120.0
    confirmations: int = 0

    @property
    def patience(self) -> sending.Patience:
        """What waits for the chain."""
        return sending.Patience(self.wait_s, self.stuck_s, self.confirmations)


@dataclass(frozen=True)
class AnchorStatus:
    """What a step did and where things stand: `numbered` now, `size` signed, `anchored` leaves on chain.

    state: empty (nothing to anchor) | anchored (the head is) | waiting (for `every_s`) | pending (sent, not mined) |
    away (the chain does not answer) | refused (it said no: `reason`). `undone` anchors were found in blocks that the
    chain has given up, and are sent again.
    """

    numbered: int
    size: int
    anchored: int
    state: State
    reason: str = ""
    undone: int = 0


DEFAULTS: Final = AnchorOptions()


def step(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, now_s: float, options: AnchorOptions = DEFAULTS
) -> AnchorStatus:
    """Take the outbox into the log and bring the chain up to it. Commits on `conn` at the points named above.

    `now_s` unix seconds by the wall clock, which is also the chain's, whatever clock the data follow.
    An absent or refusing chain is a status, not an error. Raises LeaseHeld (another session is the sequencer),
    LogDiverged, LogDamaged, and the errors of psycopg.
    """
    if conn.autocommit:
        raise ValueError("the pump needs a connection without autocommit: a record must move, not be copied or lost")
    numbered = _append_all(conn, log, options)
    size = _sign(conn, log)
    state, reason, undone = _anchor(conn, log, chain, now_s, options) if size else ("empty", "", 0)
    newest = store.newest_anchor(conn)
    conn.commit()
    return AnchorStatus(numbered, size, newest.size if newest else 0, state, reason, undone)


def anchor_gas(conn: psycopg.Connection[Any], chain: Chain, newest: int) -> list[int]:
    """Gas of the newest mined anchors, as the chain says it."""
    rows = conn.execute(
        "SELECT tx_hash FROM anchor WHERE status = 'mined' ORDER BY size DESC LIMIT %s", (newest,)
    ).fetchall()
    receipts = [chain.receipt(bytes(row[0])) for row in rows]
    return [receipt.gas_used for receipt in receipts if receipt is not None]


def _append_all(conn: psycopg.Connection[Any], log: Log, options: AnchorOptions) -> int:
    if not store.take_lease(conn):
        conn.rollback()
        raise store.LeaseHeld("another process numbers the records: this one waits")
    _check_edge(conn, log)
    numbered = 0
    for _ in range(options.batches):
        count = len(store.number_outbox(conn, options.batch))
        conn.commit()
        numbered += count
        # From the table and not from what was just numbered: a crash may have left numbers that no tile has yet.
        while leaves := store.leaves_from(conn, log.size, options.batch):
            conn.commit()
            log.append(leaves)
        conn.commit()
        if count < options.batch:
            break
    return numbered


def _check_edge(conn: psycopg.Connection[Any], log: Log) -> None:
    if log.size == 0:
        return
    last = store.record(conn, log.size - 1)
    if last is None:
        raise LogDiverged(
            f"the log has {log.size} leaves, the database {store.record_count(conn)}: restore the newer database"
        )
    if last.leaf != log.leaf(log.size - 1):
        raise LogDiverged(f"record {last.idx} is not leaf {last.idx} of the log: run `roadcode fsck`")


def _sign(conn: psycopg.Connection[Any], log: Log) -> int:
    if log.size == 0:
        return 0
    note = log.checkpoint()
    checkpoint = parse_checkpoint(note)
    store.put_checkpoint(conn, checkpoint.size, checkpoint.root, note)
    conn.commit()
    return checkpoint.size


def _anchor(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, now_s: float, options: AnchorOptions
) -> tuple[State, str, int]:
    undone = 0
    try:
        undone = sending.undo_lost(conn, chain, sending.ANCHORS)
        row = sending.open_row(conn, sending.ANCHORS)
        if row is None:
            ready, reason = _prepare(conn, log, chain, now_s, options)
            row = sending.open_row(conn, sending.ANCHORS)
            if row is None:
                sending.make_final(conn, chain, sending.ANCHORS, options.confirmations)
                return ready, reason, undone
        return *_settle(conn, chain, row, now_s, options), undone
    except ChainAway as error:
        return "away", str(error), undone
    except (AnchorRefused, WrongContract) as error:
        return "refused", str(error), undone
    finally:
        conn.rollback()


def _prepare(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, now_s: float, options: AnchorOptions
) -> tuple[State, str]:
    newest = store.newest_checkpoint(conn)
    anchored = store.newest_anchor(conn)
    conn.commit()  # the chain may take long; no transaction stays open meanwhile
    if newest is None:
        return "empty", ""
    size, root, _ = newest
    if anchored is not None:
        if anchored.size == size:
            return "anchored", ""
        # A chain whose clock is further ahead than that must not hold anchors up until ours is there.
        if -options.every_s < now_s - (anchored.block_time or 0) < options.every_s:
            return "waiting", ""
    head = chain.head()
    if head.seq and (head.size > size or log.root(head.size) != head.root):
        return "refused", f"the chain's head of {head.size} leaves is not of this log: another log uses the contract"
    proof = log.consistency(head.size, size) if 0 < head.size < size else []
    prev_root = head.root if head.seq else EMPTY
    chain.check_anchor(prev_root, root, size, proof)
    nonce = chain.nonce()
    raw = chain.sign_anchor(prev_root, root, size, proof, nonce)
    store.prepare_anchor(conn, size, root, nonce, tx_hash_of(raw), raw, int(now_s))
    conn.commit()
    return "pending", ""


def _settle(
    conn: psycopg.Connection[Any], chain: Chain, row: sending.Underway, now_s: float, options: AnchorOptions
) -> tuple[State, str]:
    done = sending.settle(conn, chain, sending.ANCHORS, row, lambda: chain.anchorer, now_s, options.patience)
    receipt = done.receipt
    if done.state == "pending":
        return "pending", done.reason
    if done.state == "held":
        return "refused", f"the chain refused: {done.reason}"
    if done.state == "refused" or receipt is None:
        # Its nonce is used up or the chain was replaced: these bytes can never count, the next step signs new ones.
        store.anchor_failed(conn, row.id, done.reason)
        conn.commit()
        return "refused", f"the chain refused: {done.reason}"
    if receipt.seq is not None:
        store.anchor_mined(conn, row.id, receipt.block_number, receipt.block_hash, receipt.block_time, receipt.seq)
    else:
        # No event: the head already was this one, anchored by other bytes; its block and time are the ones that count.
        first = chain.anchor_at(chain.head().seq)
        block = chain.block_hash(first.block) if first is not None and first.block is not None else None
        mine = store.anchor_row(conn, row.id)
        if first is None or block is None or mine is None or (first.size, first.root) != (mine.size, mine.root):
            store.anchor_failed(conn, row.id, "mined, but it changed nothing on the contract")
            conn.commit()
            return "refused", "the anchor was mined and changed nothing on the contract"
        store.anchor_mined(conn, row.id, first.block or 0, block, first.time, first.seq)
    conn.commit()
    sending.make_final(conn, chain, sending.ANCHORS, options.confirmations)
    return "anchored", ""
