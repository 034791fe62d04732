"""Squares of a section within a block as bytes: the first of the block's 32 rows that has any, then 4 bytes a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .cells import BLOCK, Ids, blocks_of, index_in_block

_CELLS = BLOCK * BLOCK
_ROW_BYTES = BLOCK // 8


class DamagedCells(ValueError):
    """The stored squares of a section are not what was written."""


def pack_cells(owner: Ids, cells: Ids) -> list[tuple[int, int, bytes]]:
    """Owner, block and packed squares of each owner's blocks, rising. owner: int64 (n,), rising, under 2**19; cells:
    int64 (n,), squares of one zone and level, rising within an owner, each once."""
    if not len(cells):
        return []
    blocks = blocks_of(cells)
    low = blocks & (1 << 44) - 1
    order = np.argsort(owner << 44 | low, kind="stable")
    owner, blocks, index = owner[order], blocks[order], index_in_block(cells)[order]
    new = np.concatenate([[True], (owner[1:] != owner[:-1]) | (blocks[1:] != blocks[:-1])])
    group = np.cumsum(new) - 1
    begun = np.flatnonzero(new)
    bits = np.zeros((len(begun), _CELLS), dtype=bool)
    bits[group, index] = True
    rows: NDArray[np.bool_] = np.logical_or.reduce(bits.reshape(len(begun), BLOCK, BLOCK), axis=2)
    first, last = rows.argmax(axis=1).tolist(), (BLOCK - 1 - rows[:, ::-1].argmax(axis=1)).tolist()
    packed = np.packbits(bits, axis=1, bitorder="little")
    return [
        (o, b, bytes([f]) + packed[k, f * _ROW_BYTES : (t + 1) * _ROW_BYTES].tobytes())
        for k, (o, b, f, t) in enumerate(zip(owner[begun].tolist(), blocks[begun].tolist(), first, last, strict=True))
    ]


def unpack_many(packed: Sequence[bytes]) -> NDArray[np.bool_]:
    """Which of a block's 1,024 squares, of each of many, bool (n, 1024), in the order of `index_in_block`. Raises
    DamagedCells."""
    whole = bytearray()
    for data in packed:
        first = data[0] if data else BLOCK
        rows = (len(data) - 1) // _ROW_BYTES
        if (len(data) - 1) % _ROW_BYTES or rows < 1 or first + rows > BLOCK:
            raise DamagedCells("the squares of a section do not unpack: run roadcode import-roads again")
        whole += bytes(first * _ROW_BYTES)
        whole += memoryview(data)[1:]
        whole += bytes((BLOCK - first - rows) * _ROW_BYTES)
    bits = np.unpackbits(np.frombuffer(bytes(whole), np.uint8), bitorder="little")
    return bits.reshape(len(packed), _CELLS).astype(bool)


def unpack_cells(data: bytes) -> NDArray[np.bool_]:
    """Which of a block's 1,024 squares, bool (1024,). Raises DamagedCells."""
    return np.asarray(unpack_many([data])[0])
