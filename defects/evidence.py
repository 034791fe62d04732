"""Evidence as integers: deltas of one chunk, their sum in a journal row, their fold into a block of 32 x 32 squares.

Everything is a sum of int64 (or an OR of bits), so that the same chunks give the same evidence in any order, batch or
repetition of the fold. Log-odds are fixed-point with 16 fractional bits.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .planes import OR_PLANES

UNIT = 1 << 16
"""One natural unit of log-odds. With 16 bits a pass loses at most 8e-6 by rounding, and 2**47 units never overflow."""

SEVERITY_UNIT = 1 << 8

Int64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Deltas:
    """n additions: cell int64 (n,), plane uint8 (n,), value int64 (n,); unique and sorted by (cell, plane)."""

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
    """The sum of several deltas (the OR, where the plane is one of bits)."""
    cell = np.concatenate([p.cell for p in parts]) if parts else np.empty(0, np.int64)
    plane = np.concatenate([p.plane for p in parts]) if parts else np.empty(0, np.uint8)
    value = np.concatenate([p.value for p in parts]) if parts else np.empty(0, np.int64)
    if not len(cell):
        return Deltas(cell, plane, value)
    order = np.lexsort((plane, cell))
    cell, plane, value = cell[order], plane[order], value[order]
    first = np.flatnonzero(np.r_[True, (cell[1:] != cell[:-1]) | (plane[1:] != plane[:-1])])
    bits = np.isin(plane[first], OR_PLANES)
    summed = np.where(bits, np.bitwise_or.reduceat(value, first), np.add.reduceat(value, first))
    return Deltas(cell[first], plane[first], summed)


def pack(deltas: Deltas) -> bytes:
    """The bytes of a journal row: three columns behind one another, compressed."""
    columns = (deltas.cell.astype("<i8"), deltas.value.astype("<i8"), deltas.plane)
    return zlib.compress(b"".join(c.tobytes() for c in columns), 1)


def unpack(data: bytes) -> Deltas:
    """The inverse of `pack`. Raises ValueError where bytes were flipped or lost."""
    raw = _decompress(data)
    if len(raw) % 17:
        raise ValueError("a journal row is cut off: run roadcode fsck")
    n = len(raw) // 17
    cell = np.frombuffer(raw, "<i8", n)
    value = np.frombuffer(raw, "<i8", n, 8 * n)
    return Deltas(cell, np.frombuffer(raw, np.uint8, n, 16 * n), value)


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
    merged = merge([Deltas(e.key.astype(np.int64) >> 6, (e.key & 63).astype(np.uint8), e.value) for e in (a, b)])
    return to_block(merged.cell, merged.plane, merged.value)


def pack_block(evidence: BlockEvidence) -> bytes:
    """The bytes of an evidence row. Zero sums are kept: they say that somebody looked."""
    return zlib.compress(evidence.key.astype("<u2").tobytes() + evidence.value.astype("<i8").tobytes(), 1)


def unpack_block(data: bytes) -> BlockEvidence:
    """The inverse of `pack_block`. Raises ValueError where bytes were flipped or lost."""
    raw = _decompress(data)
    if len(raw) % 10:
        raise ValueError("an evidence row is cut off: run roadcode fsck")
    n = len(raw) // 10
    return BlockEvidence(np.frombuffer(raw, "<u2", n), np.frombuffer(raw, "<i8", n, 2 * n))


def _decompress(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise ValueError(f"a row of evidence does not unpack ({error}): run roadcode fsck") from None
