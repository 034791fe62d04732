"""Evidence rows by the thousand: the layout of `evidence.pack_block`, written and read by compiled loops.

`evidence` has the same in numpy for who has a few rows and should not wait for the compiler; a test holds the two
against one another, byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .evidence import BlockEvidence, compressed_block, decompressed_block

Int64 = NDArray[np.int64]
WIDTH = 10  # bytes of an entry before compression: two of its key's step, eight of its value


@njit(cache=True)
def _write(first: Int64, key: NDArray[np.uint16], value: Int64, out: NDArray[np.uint8]) -> None:
    at = np.empty(64, np.int64)
    for block in range(len(first) - 1):
        a, n = first[block], first[block + 1] - first[block]
        base = 10 * a
        at[:] = 0
        for i in range(a, a + n):
            at[key[i] & 63] += 1
        total = np.int64(0)
        for plane in range(64):
            count = at[plane]
            at[plane] = total
            total += count
        before = np.int64(0)
        for i in range(n):
            k = np.int64(key[a + i])
            step = (k - before) & 0xFFFF
            before = k
            out[base + i] = step & 255
            out[base + n + i] = step >> 8
            v = value[a + i]
            folded = (v << 1) ^ (v >> 63)
            place = base + 2 * n + at[k & 63]
            at[k & 63] += 1
            for byte in range(8):
                out[place + byte * n] = (folded >> 8 * byte) & 255


@njit(cache=True)
def _read(first: Int64, raw: NDArray[np.uint8], key: NDArray[np.uint16], value: Int64) -> None:
    at = np.empty(64, np.int64)
    for block in range(len(first) - 1):
        a, n = first[block], first[block + 1] - first[block]
        base = 10 * a
        at[:] = 0
        k = np.int64(0)
        for i in range(n):
            k = (k + np.int64(raw[base + i]) + (np.int64(raw[base + n + i]) << 8)) & 0xFFFF
            key[a + i] = k
            at[k & 63] += 1
        total = np.int64(0)
        for plane in range(64):
            count = at[plane]
            at[plane] = total
            total += count
        for i in range(a, a + n):
            mine = np.int64(key[i]) & 63
            place = base + 2 * n + at[mine]
            at[mine] += 1
            folded = np.int64(0)
            for byte in range(8):
                folded |= np.int64(raw[place + byte * n]) << 8 * byte
            value[i] = ((folded >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(folded & 1)


def pack_blocks(rows: Sequence[BlockEvidence]) -> list[bytes]:
    """`evidence.pack_block` of each."""
    if not rows:
        return []
    first = np.cumsum([0, *(len(e.key) for e in rows)], dtype=np.int64)
    out = np.empty(WIDTH * int(first[-1]), np.uint8)
    key = np.concatenate([e.key for e in rows]).astype(np.uint16, copy=False)
    _write(first, key, np.concatenate([e.value for e in rows]), out)
    edges, raw = (first * WIDTH).tolist(), out.data
    return [compressed_block(raw[a:b]) for a, b in pairwise(edges)]


def unpack_blocks(data: Sequence[bytes]) -> list[BlockEvidence]:
    """`evidence.unpack_block` of each. Raises ValueError where bytes were flipped or lost."""
    if not data:
        return []
    raw = [decompressed_block(one) for one in data]
    first = np.cumsum([0, *(len(one) // WIDTH for one in raw)], dtype=np.int64)
    key, value = np.empty(int(first[-1]), np.uint16), np.empty(int(first[-1]), np.int64)
    _read(first, np.frombuffer(b"".join(raw), np.uint8), key, value)
    edges = first.tolist()
    return [BlockEvidence(key[a:b], value[a:b]) for a, b in pairwise(edges)]
