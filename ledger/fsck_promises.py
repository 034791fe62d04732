"""What is said and not yet in the log, and what was promised of it: held against its own bytes and against the log."""

from collections.abc import Iterator
from typing import Any, Final

import psycopg

from . import receipts_store, store
from .faults import Fault
from .keys import PublicKey
from .receipts import PUBLIC_FILE, ReceiptError, open_receipt, read_public
from .records import RecordError, day_of, parse, subject_of
from .tiles import Tiles

BATCH: Final = 2048


def outbox_faults(conn: psycopg.Connection[Any]) -> Iterator[Fault]:
    """Rows of the outbox that do not say what their bodies say."""
    after = 0
    while rows := store.outbox_from(conn, after, BATCH):
        for number, kind, subject, day, body in rows:
            where = f"outbox {number}"
            try:
                content = parse(body)
                said = (content["kind"], subject_of(content), day_of(content))
            except RecordError as error:
                yield Fault("outbox", where, f"the body cannot be read: {error}")
                continue
            # Rows from before the outbox had a day have none.
            if said[:2] != (kind, subject) or day not in (None, said[2]):
                yield Fault("outbox", where, "kind, subject or day beside the body are not those of the body")
        after = rows[-1][0]


def receipt_faults(conn: psycopg.Connection[Any], log: Tiles, signed: int) -> Iterator[Fault]:
    """Receipts that are not what was signed, whose record is gone, or whose promise was broken. `signed`: how many
    leaves are under a checkpoint."""
    key: PublicKey | None = None
    after = b""
    while rows := receipts_store.receipts_from(conn, after, BATCH):
        if key is None:
            try:
                key = read_public((log.folder / PUBLIC_FILE).read_text("ascii"))
            except (OSError, ValueError) as error:
                yield Fault("receipt", PUBLIC_FILE, f"receipts were given, and their key cannot be read: {error}")
                return
        places = receipts_store.places_of(conn, [bytes(row[0]) for row in rows])
        now_ms = receipts_store.now_ms(conn)
        for leaf, at_ms, mmd_s, body in rows:
            yield from _receipt(bytes(leaf), at_ms, mmd_s, bytes(body), key, places.get(bytes(leaf)), signed, now_ms)
        after = bytes(rows[-1][0])


def _receipt(
    leaf: bytes, at_ms: int, mmd_s: int, body: bytes, key: PublicKey, place: receipts_store.Place | None, signed: int,
    now_ms: int,
) -> Iterator[Fault]:  # fmt: skip
    where = leaf.hex()
    try:
        promise = open_receipt(body, key)
    except ReceiptError as error:
        yield Fault("receipt", where, str(error))
        return
    if (promise.leaf, promise.at_ms, promise.mmd_s) != (leaf, at_ms, mmd_s):
        yield Fault("receipt", where, "the row and its receipt say different things")
        return
    if place is None:
        yield Fault("receipt", where, "was promised, and there is no such record")
    elif place.idx is None or place.idx >= signed:
        if now_ms > promise.due_ms:
            late_s = (now_ms - promise.due_ms) // 1000
            yield Fault("receipt", where, f"overdue by {late_s} s: the record is not under a signed checkpoint")
    elif place.signed_ms is not None and place.signed_ms > promise.due_ms:
        late_s = (place.signed_ms - promise.at_ms) // 1000
        yield Fault("receipt", where, f"the promise was broken: in the log after {late_s} s, promised were {mmd_s} s")


def waiting_fault(conn: psycopg.Connection[Any], merge_delay_s: int) -> Iterator[Fault]:
    """Whether something waits for the log for longer than receipts promise, receipt or not."""
    now = receipts_store.merging(conn)
    if now.oldest_s > merge_delay_s:
        text = f"{now.waiting} records wait, the oldest for {now.oldest_s:.0f} s, promised are {merge_delay_s} s"
        yield Fault("outbox", "outbox", text)


