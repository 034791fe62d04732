"""Evidence as integers: deltas of one chunk, their sum in a journal row, their fold into a block of 32 x 32 squares.

Everything is a sum of int64 (or an OR of bits), so that the same chunks give the same evidence in any order, batch or
repetition of the fold. Log-odds are fixed-point with 16 fractional bits.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from grid import blocks_of, cells_in_block, index_in_block

from .planes import (
    DEVICES,
    EXPOSURE_BOX,
    EXPOSURE_CAMERA,
    EXPOSURE_LASER,
    OR_PLANES,
    PASSES,
    PHONE_DEVICES,
    PHONE_PASSES,
    PLANES,
    ROUGH,
    ROUGH_PASSES,
)

UNIT = 1 << 16
"""One natural unit of log-odds. With 16 bits a pass loses at most 8e-6 by rounding, and 2**47 units never overflow."""

SEVERITY_UNIT = 1 << 8

QUIET_PLANES: Final = (
    ROUGH, EXPOSURE_BOX, PASSES, EXPOSURE_CAMERA, EXPOSURE_LASER, DEVICES, PHONE_PASSES, PHONE_DEVICES, ROUGH_PASSES,
)  # fmt: skip
"""What a pass writes that found nothing. With a plane of findings among them a hole would wait as quiet squares do."""

Int64 = NDArray[np.int64]

_PLANE_BITS: Final = 6
_KEY_BITS: Final = 16
_IS_BITS = np.isin(np.arange(PLANES), OR_PLANES)
_IS_QUIET = np.isin(np.arange(PLANES), QUIET_PLANES)
_ALL_BUT_SIGN: Final = (1 << 63) - 1

_JOURNAL: Final = b"\x01"
_BLOCK: Final = b"\x02"
_OLD: Final = b"\x78"
"""First byte of a row: which layout it has. Rows from before there were numbers begin with zlib's own."""
_LEVEL: Final = 1
"""Of zstandard. Below 1 rows grow by a tenth; 3 takes half as long again for 2 % less."""
_MOST_BYTES: Final = 1 << 28
"""Of one unpacked row: some seventy full batches. Less could refuse a row that was written; without a bound a damaged
length would ask for all memory."""


@dataclass(frozen=True, eq=False)
class Deltas:
    """n additions: cell int64 (n,), plane uint8 (n,), value int64 (n,); unique, and sorted by (cell, plane) or, from a
    journal row, by (block, cell, plane)."""

    cell: Int64
    plane: NDArray[np.uint8]
    value: Int64


def tally(hits: int, severity: float) -> int:
    """Hits and summed severity in one number, so that they are added in one go."""
    return (hits << 32) + round(severity * SEVERITY_UNIT)


def split_tally(values: Int64) -> tuple[Int64, NDArray[np.float64]]:
    """Hits and mean severity of each tally; severity 0 where there was no hit."""
    hits = values >> 32
    return hits, (values & 0xFFFF_FFFF) / SEVERITY_UNIT / np.maximum(hits, 1)


def merge(parts: list[Deltas]) -> Deltas:
    """The sum of several deltas (the OR, where the plane is one of bits), sorted by (cell, plane)."""
    key = np.concatenate([p.cell << _PLANE_BITS | p.plane for p in parts]) if parts else np.empty(0, np.int64)
    value = np.concatenate([p.value for p in parts]) if parts else np.empty(0, np.int64)
    key, value = _summed(key, value)
    return Deltas(key >> _PLANE_BITS, (key & PLANES - 1).astype(np.uint8), value)


def _summed(key: Int64, value: Int64) -> tuple[Int64, Int64]:
    """Each key once, rising, with the sum or OR of its values; a key's last six bits are its plane.

    The sort is numpy's stable one: on runs that are sorted already, and every part is one, it only merges them.
    """
    if not len(key):
        return key, value
    order = np.argsort(key, kind="stable")
    key, value = key[order], value[order]
    new = np.empty(len(key), bool)
    new[0] = True
    np.not_equal(key[1:], key[:-1], out=new[1:])
    first = np.flatnonzero(new)
    if len(first) == len(key):
        return key, value
    key = key[first]
    bits = _IS_BITS[key & PLANES - 1]
    summed = np.add.reduceat(value, first)
    if bits.any():
        summed[bits] = np.bitwise_or.reduceat(value, first)[bits]
    return key, summed


def parted(deltas: Deltas) -> list[tuple[Deltas, bool]]:
    """Deltas apart by block: of blocks in which something was felt or seen (True), and of quiet ones (False); what is
    empty is left out. What found something is folded at once, and what did not may wait."""
    blocks, row = np.unique(blocks_of(deltas.cell), return_inverse=True)
    finds = np.zeros(len(blocks), bool)
    finds[row[~_IS_QUIET[deltas.plane]]] = True
    found = finds[row]
    parts = [(Deltas(deltas.cell[m], deltas.plane[m], deltas.value[m]), f) for m, f in ((found, True), (~found, False))]
    return [(part, f) for part, f in parts if len(part.cell)]


def pack(deltas: Deltas) -> bytes:
    """The bytes of a journal row. Squares lie by block, so that most are one small step from the one before."""
    blocks = blocks_of(deltas.cell)
    order = np.argsort(blocks, kind="stable")
    blocks = blocks[order]
    first = np.flatnonzero(np.diff(blocks, prepend=np.int64(-1)))
    key = index_in_block(deltas.cell[order]) << _PLANE_BITS | deltas.plane[order]
    counts = np.diff(np.append(first, len(blocks)))
    steps = np.diff(blocks[first], prepend=np.int64(0))
    head = np.int64(len(first)).tobytes() + _planes(steps) + _planes(counts)
    return _compressed(_JOURNAL, head + _columns(key, deltas.value[order]))


def unpack(data: bytes) -> Deltas:
    """The inverse of `pack`, sorted by (block, cell, plane). Raises ValueError where bytes were flipped or lost."""
    if data[:1] == _OLD:
        return _unpack_old(data)
    raw = _decompressed(_JOURNAL, data)
    n = int(np.frombuffer(raw, "<i8", 1)[0])
    at = 8 + 16 * n
    steps, counts = _joined(raw[8 : 8 + 8 * n]), _joined(raw[8 + 8 * n : at])
    if (len(raw) - at) % 10:
        raise ValueError("a journal row is cut off: run roadcode fsck")
    key, value = _read_columns(raw[at:])
    blocks = np.repeat(np.cumsum(steps), counts)
    return Deltas(cells_in_block(blocks, key >> _PLANE_BITS), (key & PLANES - 1).astype(np.uint8), value)


@dataclass(frozen=True, eq=False)
class BlockEvidence:
    """Evidence of one block and day: key uint16 (n,), index in the block times 64 plus plane, sorted; value int64."""

    key: NDArray[np.uint16]
    value: Int64

    def plane(self, plane: int) -> Int64:
        """One plane as int64 (1024,), 0 where nothing was noted."""
        out = np.zeros(1024, dtype=np.int64)
        mine = self.key & 63 == plane
        out[self.key[mine] >> 6] = self.value[mine]
        return out


EMPTY = BlockEvidence(np.empty(0, np.uint16), np.empty(0, np.int64))


def to_block(index: Int64, plane: NDArray[np.uint8], value: Int64) -> BlockEvidence:
    """Deltas of one block, by index in the block, as block evidence (unique and sorted by construction)."""
    return BlockEvidence((index * 64 + plane).astype(np.uint16), value)


def fold(a: BlockEvidence, b: BlockEvidence) -> BlockEvidence:
    """Two pieces of evidence of one block and day as one; any order, any grouping gives the same bits."""
    key, value = _summed(np.concatenate((a.key, b.key)).astype(np.int64), np.concatenate((a.value, b.value)))
    return BlockEvidence(key.astype(np.uint16), value)


def by_block(deltas: Deltas) -> dict[int, BlockEvidence]:
    """Deltas of many squares as evidence of each block, blocks rising."""
    return _split(*_block_keys([deltas]))


def fold_in(
    taken: Mapping[date, list[Deltas]], stored: Mapping[int, Mapping[date, BlockEvidence]]
) -> dict[tuple[int, date], BlockEvidence]:
    """The new evidence of every block and day that the taken deltas touch: what is stored of them and what was taken,
    in one sorted pass a day."""
    folded: dict[tuple[int, date], BlockEvidence] = {}
    for day, parts in taken.items():
        blocks, key, value = _block_keys(parts)
        before = [(n, stored[b][day]) for n, b in enumerate(blocks.tolist()) if day in stored.get(b, {})]
        if before:
            length = [len(e.key) for _, e in before]
            row = np.repeat(np.array([n for n, _ in before], np.int64), length) << _KEY_BITS
            old = row | np.concatenate([e.key for _, e in before])
            key, value = np.concatenate((old, key)), np.concatenate([*(e.value for _, e in before), value])
        folded |= {(block, day): e for block, e in _split(blocks, key, value).items()}
    return folded


def _block_keys(parts: list[Deltas]) -> tuple[Int64, Int64, Int64]:
    """The blocks that deltas speak about, rising; and of every entry its block's place among them above its key in the
    block, and its value. A block's number and a key would not fit into 64 bits together."""
    cell = np.concatenate([p.cell for p in parts]) if parts else np.empty(0, np.int64)
    plane = np.concatenate([p.plane for p in parts]) if parts else np.empty(0, np.uint8)
    value = np.concatenate([p.value for p in parts]) if parts else np.empty(0, np.int64)
    of = blocks_of(cell)
    new = np.flatnonzero(np.diff(of, prepend=np.int64(-1)))  # entries lie in runs of a block: rank runs, not entries
    blocks, rank = np.unique(of[new], return_inverse=True)
    row = np.repeat(rank.astype(np.int64), np.diff(np.append(new, len(of))))
    return blocks, row << _KEY_BITS | index_in_block(cell) << _PLANE_BITS | plane, value


def _split(blocks: Int64, key: Int64, value: Int64) -> dict[int, BlockEvidence]:
    key, value = _summed(key, value)
    stop = np.searchsorted(key >> _KEY_BITS, np.arange(len(blocks)), side="right").tolist()
    short = (key & (1 << _KEY_BITS) - 1).astype(np.uint16)
    start = [0, *stop][: len(stop)]
    return {
        block: BlockEvidence(short[a:b], value[a:b]) for block, a, b in zip(blocks.tolist(), start, stop, strict=True)
    }


def pack_block(evidence: BlockEvidence) -> bytes:
    """The bytes of an evidence row. Zero sums are kept: they say that somebody looked."""
    return compressed_block(_columns(evidence.key.astype(np.int64), evidence.value))


def unpack_block(data: bytes) -> BlockEvidence:
    """The inverse of `pack_block`. Raises ValueError where bytes were flipped or lost."""
    key, value = _read_columns(decompressed_block(data))
    return BlockEvidence(key.astype(np.uint16), value)


def compressed_block(raw: bytes | memoryview) -> bytes:
    """An evidence row of its columns."""
    return _compressed(_BLOCK, raw)


def decompressed_block(data: bytes) -> bytes:
    """The columns of an evidence row, ten bytes an entry. Raises ValueError where bytes were flipped or lost."""
    if data[:1] == _OLD:
        return _old_columns(data)
    raw = _decompressed(_BLOCK, data)
    if len(raw) % 10:
        raise ValueError("a row of evidence is cut off: run roadcode fsck")
    return raw


# ---------------------------------------------------------------- bytes


def _columns(key: Int64, value: Int64) -> bytes:
    """Keys of 16 bits as steps (of a new block from 0), low bytes before high ones; then values by plane, so that alike
    ones lie together, the sign in the last bit, and again byte by byte: bytes that are never used cost nothing."""
    steps = np.diff(key, prepend=np.int64(0)).astype("<u2")
    order = np.argsort((key & PLANES - 1).astype(np.uint8), kind="stable")
    by_plane = value[order]
    folded = (by_plane << 1) ^ (by_plane >> 63)
    return steps.view(np.uint8).reshape(-1, 2).T.tobytes() + _planes(folded)


def _read_columns(raw: bytes) -> tuple[Int64, Int64]:
    n = len(raw) // 10
    steps = np.frombuffer(raw, np.uint8, 2 * n).reshape(2, n).T.copy().view("<u2").ravel()
    key = np.cumsum(steps, dtype=np.uint16).astype(np.int64)
    folded = _joined(raw[2 * n :])
    value = np.empty(n, np.int64)
    order = np.argsort((key & PLANES - 1).astype(np.uint8), kind="stable")
    value[order] = (folded >> 1 & _ALL_BUT_SIGN) ^ -(folded & 1)
    return key, value


def _planes(column: Int64) -> bytes:
    return column.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()


def _joined(raw: bytes) -> Int64:
    return np.frombuffer(raw, np.uint8).reshape(8, -1).T.copy().view("<i8").ravel()


def _compressed(kind: bytes, raw: bytes | memoryview) -> bytes:
    return kind + zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(raw)


def _decompressed(kind: bytes, data: bytes) -> bytes:
    if data[:1] != kind:
        raise ValueError("a row of evidence has a first byte that no version wrote: run roadcode fsck")
    try:
        if zstandard.frame_content_size(data[1:]) > _MOST_BYTES:  # the library bounds only what states no length
            raise ValueError("a row of evidence states a length that none has: run roadcode fsck")
        return zstandard.ZstdDecompressor().decompress(data[1:], max_output_size=_MOST_BYTES)
    except zstandard.ZstdError as error:
        raise ValueError(f"a row of evidence does not unpack ({error}): run roadcode fsck") from None


def _unpack_old(data: bytes) -> Deltas:
    raw = _inflated(data, 17)
    n = len(raw) // 17
    value = np.frombuffer(raw, "<i8", n, 8 * n)
    return Deltas(np.frombuffer(raw, "<i8", n), np.frombuffer(raw, np.uint8, n, 16 * n), value)


def _old_columns(data: bytes) -> bytes:
    raw = _inflated(data, 10)
    n = len(raw) // 10
    return _columns(np.frombuffer(raw, "<u2", n).astype(np.int64), np.frombuffer(raw, "<i8", n, 2 * n))


def _inflated(data: bytes, width: int) -> bytes:
    try:
        raw = zlib.decompress(data)
    except zlib.error as error:
        raise ValueError(f"a row of evidence does not unpack ({error}): run roadcode fsck") from None
    if len(raw) % width:
        raise ValueError("a row of evidence is cut off: run roadcode fsck")
    return raw
