"""Is everything still what it was? Compares records, tiles, checkpoints, anchors and the chain with each other.

Streams: memory for one batch of records and the right edge of the tree. Never changes anything.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from . import merkle, store
from .chain import AnchorRefused, Chain, ChainAway, WrongContract, tx_hash_of
from .cosignature import Cosignature, read_cosignature, witness_key
from .cosigned import cosignatures_from
from .note import Checkpoint, NoteError, verify_note
from .records import RecordError, day_of, parse, subject_of
from .rights import grant_faults
from .tiles import HASH, WIDTH, LogDamaged, Tiles, tile_path

Progress = Callable[[str, int], None]
BATCH: Final = 2048


@dataclass(frozen=True)
class Fault:
    """What is not as it should be: `part` (record, tile, checkpoint, cosignature, anchor, grant, chain), where, why."""

    part: str
    where: str
    text: str


def fsck(
    conn: psycopg.Connection[Any],
    log: Tiles,
    chain: Chain | None,
    verifier_key: str,
    progress: Progress | None = None,
) -> list[Fault]:
    """Every fault found; an empty list if all fits together. `progress(part, done)` is called now and then.

    Without `chain` the anchors are compared with the database and their own bytes only. Call it in a transaction of
    REPEATABLE READ while the pump runs, or with the pump stopped; otherwise what is being written may look torn.
    """
    return list(faults(conn, log, chain, verifier_key, progress or (lambda _part, _done: None)))


def faults(
    conn: psycopg.Connection[Any], log: Tiles, chain: Chain | None, verifier_key: str, progress: Progress
) -> Iterator[Fault]:
    """As `fsck`, one fault after the other as they are found."""
    newest = store.newest_checkpoint(conn)
    signed = newest[0] if newest else 0
    try:
        note = log.note()
        if note is not None:
            # The file is written before the row, so it may be ahead; behind, somebody put an old one back.
            size = verify_note(note, verifier_key).size
            if size < signed:
                yield Fault("checkpoint", "checkpoint", f"the file signs {size} leaves, the table knows {signed}")
            signed = max(size, signed)
            row = store.checkpoint_of(conn, size)
            if row is not None and row[2] != note:
                yield Fault("checkpoint", f"size {size}", "the file and the table hold different notes")
        elif signed:
            yield Fault("checkpoint", "checkpoint", "the file is missing")
    except (NoteError, LogDamaged) as error:
        yield Fault("checkpoint", "checkpoint", str(error))
    tree = _Rebuilt(log, signed)
    checks = _Checkpoints(conn, verifier_key)
    yield from _records(conn, log, tree, checks, signed, progress)
    yield from checks.rest(tree)
    progress("checkpoint", checks.done)
    yield from _cosignatures(conn, progress)
    yield from _anchor_rows(conn, chain, progress)
    for where, text in grant_faults(conn, chain):
        yield Fault("grant", where, text)
    if chain is not None:
        yield from _chain(conn, log, chain, signed, progress)


class _Rebuilt:
    """The tree made anew from leaves; compares each tile file with it as soon as the tile is full."""

    def __init__(self, log: Tiles, signed: int) -> None:
        self._log, self._signed = log, signed
        self._tails: list[list[bytes]] = [[]]
        self.frontier = merkle.Frontier()

    def add(self, leaf: bytes) -> Iterator[Fault]:
        self.frontier.extend([leaf])
        size, level, value = self.frontier.size, 0, leaf
        while True:
            if level == len(self._tails):
                self._tails.append([])
            tail = self._tails[level]
            tail.append(value)
            if len(tail) < WIDTH:
                break
            yield from self._compare(level, (size >> (8 * (level + 1))) - 1, tail)
            value = merkle.root_of(tail)
            tail.clear()
            level += 1
        if size == self._signed:
            for upper, tail in enumerate(self._tails):
                if tail:
                    yield from self._compare(upper, size >> (8 * (upper + 1)), tail)

    def _compare(self, level: int, index: int, hashes: list[bytes]) -> Iterator[Fault]:
        if self.frontier.size > self._signed:
            return
        where = str(tile_path(level, index, len(hashes)))
        try:
            data = self._log.tile(level, index, len(hashes))
        except LogDamaged as error:
            yield Fault("tile", where, str(error))
            return
        for position, value in enumerate(hashes):
            if data[position * HASH : (position + 1) * HASH] != value:
                yield Fault("tile", where, f"hash {position} is not that of the records")


class _Checkpoints:
    """The stored checkpoints, each compared with the rebuilt tree when it has that size."""

    def __init__(self, conn: psycopg.Connection[Any], verifier_key: str) -> None:
        self._conn, self._key = conn, verifier_key
        self._rows: list[tuple[int, bytes, str]] = []
        self._above = 0
        self.done = 0

    def next_size(self) -> int | None:
        if not self._rows:
            self._rows = store.checkpoints_from(self._conn, self._above, BATCH)
            if self._rows:
                self._above = self._rows[-1][0]
        return self._rows[0][0] if self._rows else None

    def check(self, root: bytes) -> Iterator[Fault]:
        size, stored, note = self._rows.pop(0)
        self.done += 1
        where = f"size {size}"
        if stored != root:
            yield Fault("checkpoint", where, "its root is not that of the records")
        try:
            checkpoint = verify_note(note, self._key)
        except NoteError as error:
            yield Fault("checkpoint", where, str(error))
            return
        if checkpoint != Checkpoint(checkpoint.origin, size, stored):
            yield Fault("checkpoint", where, "the row and its note say different things")

    def rest(self, tree: _Rebuilt) -> Iterator[Fault]:
        while (size := self.next_size()) is not None:
            if size > tree.frontier.size:
                yield Fault("checkpoint", f"size {size}", f"there are only {tree.frontier.size} records")
            else:
                yield Fault("checkpoint", f"size {size}", "no tree of the records has this size")
            self._rows.pop(0)


def _records(
    conn: psycopg.Connection[Any],
    log: Tiles,
    tree: _Rebuilt,
    checks: _Checkpoints,
    signed: int,
    progress: Progress,
) -> Iterator[Fault]:
    expected = 0
    for batch in store.records_in(conn, BATCH):
        for record in batch:
            if record.idx != expected:
                yield from _hole(log, tree, checks, expected, record.idx)
                expected = record.idx
            yield from _one(record)
            leaf = record.leaf
            if record.idx < signed:
                tiled, computed = _tile_leaf(log, record.idx), merkle.leaf_hash(record.body)
                if tiled is not None and tiled != leaf:
                    yield Fault("record", str(record.idx), "its leaf is not that of the log")
                    leaf = tiled if computed == tiled else leaf
            yield from _grow(tree, checks, leaf)
            expected += 1
        progress("record", expected)
    if expected < signed:
        yield from _hole(log, tree, checks, expected, signed)


def _hole(log: Tiles, tree: _Rebuilt, checks: _Checkpoints, lo: int, hi: int) -> Iterator[Fault]:
    """Missing records are taken from the tiles, so that one hole does not make everything after it wrong."""
    yield Fault("record", f"{lo}..{hi - 1}", "missing")
    for index in range(lo, hi):
        leaf = _tile_leaf(log, index)
        if leaf is None:
            yield Fault("tile", str(tile_path(0, index // WIDTH)), "cannot be read, nor made from the records")
            return
        yield from _grow(tree, checks, leaf)


def _grow(tree: _Rebuilt, checks: _Checkpoints, leaf: bytes) -> Iterator[Fault]:
    yield from tree.add(leaf)
    size = checks.next_size()
    if size is not None and tree.frontier.size == size:
        yield from checks.check(tree.frontier.root())


def _tile_leaf(log: Tiles, index: int) -> bytes | None:
    try:
        return log.leaf(index)
    except LogDamaged:
        return None


def _one(record: store.Numbered) -> Iterator[Fault]:
    where = str(record.idx)
    if merkle.leaf_hash(record.body) != record.leaf:
        yield Fault("record", where, "body and leaf hash do not belong together")
    try:
        content = parse(record.body)
        said = (content["kind"], subject_of(content), day_of(content))
    except RecordError as error:
        yield Fault("record", where, f"the body cannot be read: {error}")
        return
    if said != (record.kind, record.subject, record.day):
        yield Fault("record", where, "kind, subject or day beside the body are not those of the body")


def _cosignatures(conn: psycopg.Connection[Any], progress: Progress) -> Iterator[Fault]:
    """Each row holds its key, so each is checked whoever is in the policy today."""
    after, done = (0, ""), 0
    while rows := cosignatures_from(conn, after, BATCH):
        for size, vkey, time_s, signature, note in rows:
            text = note.partition("\n\n")[0] + "\n"
            try:
                one = Cosignature(witness_key(vkey), time_s, bytes(signature))
                read_cosignature(text, one.line.split(" ")[2].strip(), one.witness)
            except NoteError as error:
                yield Fault("cosignature", f"size {size}", str(error))
        done += len(rows)
        after = (rows[-1][0], rows[-1][1])
        progress("cosignature", done)


def _anchor_rows(conn: psycopg.Connection[Any], chain: Chain | None, progress: Progress) -> Iterator[Fault]:
    after, done = 0, 0
    while rows := store.anchors_from(conn, after, BATCH):
        for row in rows:
            yield from _anchor_row(conn, row, chain)
            done += 1
        after = rows[-1].id
        progress("anchor", done)


def _anchor_row(conn: psycopg.Connection[Any], row: store.AnchorRow, chain: Chain | None) -> Iterator[Fault]:
    where = f"anchor {row.id}"
    if tx_hash_of(row.raw_tx) != row.tx_hash:
        yield Fault("anchor", where, "the transaction's hash is not that of its bytes")
    checkpoint = store.checkpoint_of(conn, row.size)
    if checkpoint is None or checkpoint[1] != row.root:
        yield Fault("anchor", where, "its size and root are not those of a checkpoint")
    # Fixed-width words in the call's data: no need to take the transaction apart to find them.
    if row.root + row.size.to_bytes(32, "big") not in row.raw_tx:
        yield Fault("anchor", where, "the signed transaction anchors something else than the row says")
    if chain is None:
        return
    try:
        yield from _mined_row(row, chain, where)
    except (ChainAway, AnchorRefused, WrongContract) as error:
        yield Fault("chain", where, f"could not be asked: {error}")


def _mined_row(row: store.AnchorRow, chain: Chain, where: str) -> Iterator[Fault]:
    nonce = chain.nonce_of(row.raw_tx)
    if nonce != row.nonce:
        yield Fault("anchor", where, f"the signed transaction has nonce {nonce}, the row {row.nonce}")
    receipt = chain.receipt(row.tx_hash)
    if row.status != "mined":
        if receipt is not None and receipt.ok and row.status == "failed":
            yield Fault("anchor", where, "called failed, but the chain has it")
        return
    if receipt is None or not receipt.ok:
        yield Fault("anchor", where, "called mined, but the chain does not have it (or reverted it)")
        return
    found = chain.anchor_at(row.seq or 0)
    said = (row.block_number, row.block_hash, row.block_time)
    true: tuple[int | None, bytes | None, int] = (receipt.block_number, receipt.block_hash, receipt.block_time)
    if receipt.seq is None and found is not None and found.block is not None:
        # It repeated a head that other bytes had anchored: the first block counts.
        true = (found.block, chain.block_hash(found.block), found.time)
    if said != true:
        yield Fault("anchor", where, "block number, hash or time are not the chain's")
    if found is None or (found.root, found.size) != (row.root, row.size):
        yield Fault("anchor", where, f"number {row.seq} on the contract is not this anchor")


def _chain(conn: psycopg.Connection[Any], log: Tiles, chain: Chain, signed: int, progress: Progress) -> Iterator[Fault]:
    try:
        count = chain.head().seq
        for seq in range(1, count + 1):
            found = chain.anchor_at(seq)
            where = f"contract anchor {seq}"
            if found is None:
                yield Fault("chain", where, "missing")
                continue
            yield from _contract_anchor(conn, log, found, signed, where)
            progress("chain", seq)
    except (ChainAway, AnchorRefused, WrongContract) as error:
        yield Fault("chain", "contract", f"could not be asked: {error}")


def _contract_anchor(conn: psycopg.Connection[Any], log: Tiles, found: Any, signed: int, where: str) -> Iterator[Fault]:
    if found.size > signed:
        yield Fault("chain", where, f"covers {found.size} leaves, the log has only {signed} signed")
        return
    try:
        if log.root(found.size) != found.root:
            yield Fault("chain", where, "its root is not that of the log at this size")
    except LogDamaged as error:
        yield Fault("tile", where, str(error))
    row = store.newest_anchor(conn, found.size - 1)
    if row is None:
        yield Fault("chain", where, "no anchor in the database covers it")
