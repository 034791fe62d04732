"""What a block's squares are, carried from one sealed day to the next: the state of the filter as a row of bytes.

A carry is a shortcut, not a source: evidence gives the same state, bit for bit, when all its days are gone through
again, and `fsck` does that. A block of which evidence comes for a day that is carried already is read from its
evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import zstandard
from numpy.typing import NDArray

from .code import BLOCK_CELLS, Codes

VERSION = 3
"""First byte of a row. Another layout of the state (`filter`) needs another number: rows of the old one are then left
unread, and made again from evidence."""
_LEVEL = 1  # of compression: 3 saves 4 % and costs half as much again
_PLACES = 101  # of a state (`filter.WIDTH`, which would wake the compiler): the kernel writes where a key says
_MOST_BYTES = 8 * BLOCK_CELLS * _PLACES


@dataclass(frozen=True, eq=False)
class Carry:
    """asof: the day at whose end it was so. key: uint32 (n,), index in the block times 128 plus place in the state,
    rising; value: int32 (n,), never 0."""

    asof: date
    key: NDArray[np.uint32]
    value: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Reading:
    """codes: of the blocks that were asked for. carried: what may be kept of blocks, at the end of the last sealed
    day, where that was asked for."""

    codes: dict[int, Codes]
    carried: dict[int, Carry]


def pack_carry(carry: Carry) -> bytes:
    """The bytes of a row. The day is not in them: it stands in a column beside."""
    steps = np.diff(carry.key, prepend=np.uint32(0)).astype("<u4")
    columns = np.concatenate([_planes(steps), _planes(carry.value.astype("<i4").view("<u4"))])
    return bytes([VERSION]) + zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(columns.tobytes())


def unpack_carry(data: bytes, asof: date) -> Carry | None:
    """The inverse of `pack_carry`; None where it is of another version or damaged: then it is made again."""
    if not data or data[0] != VERSION:
        return None
    try:
        if zstandard.frame_content_size(data[1:]) > _MOST_BYTES:
            return None
        raw = np.frombuffer(zstandard.ZstdDecompressor().decompress(data[1:], max_output_size=_MOST_BYTES), np.uint8)
    except zstandard.ZstdError:
        return None
    if len(raw) % 8:
        return None
    half = len(raw) // 2
    key, value = np.cumsum(_joined(raw[:half]), dtype=np.int64), _joined(raw[half:]).view("<i4")
    # Whatever a row says: the kernel looks at no bounds.
    if (np.diff(key) <= 0).any() or (key >= BLOCK_CELLS << 7).any() or ((key & 127) >= _PLACES).any():
        return None
    return Carry(asof, key.astype(np.uint32), value)


def _planes(column: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Low bytes first, then the next, and so on: alike bytes lie together and shrink."""
    return np.ascontiguousarray(column.view(np.uint8).reshape(-1, 4).T).ravel()


def _joined(planes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(planes.reshape(4, -1).T).view("<u4").ravel()
