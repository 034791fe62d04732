"""Which of the squares that are held for a defect are the place, and which are its ghosts.

A jolt is felt on the squares where either wheel may have been, so a real hole has weaker images a square or two away
and under the vehicle's other wheel. The strongest square is the place; it explains what lies within `HALO`, and the
rest is looked at again.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .reach import HALO

Int64 = NDArray[np.int64]

ROUNDS = 5
"""How often the rest is looked at again. What a square becomes depends on squares within 2 * HALO of it a round: with 6
that is more than the block beside it, which is all that is read; with 1 a hole behind a ghost of another is lost."""

PLACE, GHOST = 1, 2
_NOW = 3  # a place of this round: it still stands in the way of the others


def keys_of(kind: Int64, row: Int64, column: Int64) -> tuple[Int64, Int64]:
    """One number for kind and square, rising, int64 (n,), and the order in which they rise. Rows and columns are below
    2**24."""
    key = kind << 48 | row << 24 | column
    order = np.argsort(key, kind="stable")
    return key[order], order


@njit(cache=True)
def _find(keys, key):  # type: ignore[no-untyped-def]
    """Where a key stands in rising ones; -1 where it does not."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < len(keys) and keys[low] == key else -1


@njit(cache=True)
def sort_out(keys, strength):  # type: ignore[no-untyped-def]
    """PLACE or GHOST of each of n squares of one level, uint8 (n,), in the order of their keys (`keys_of`). Of two
    equally strong ones within reach both are places, so that no order decides."""
    n = len(keys)
    verdict = np.zeros(n, np.uint8)
    for _ in range(ROUNDS):
        left = 0
        for i in range(n):
            if verdict[i] != 0:
                continue
            left += 1
            highest = True
            for dr in range(-HALO, HALO + 1):
                for dc in range(-HALO, HALO + 1):
                    j = _find(keys, keys[i] + (dr << 24) + dc) if highest else -1
                    if j >= 0 and (verdict[j] == 0 or verdict[j] == _NOW) and strength[j] > strength[i]:
                        highest = False
            if highest:
                verdict[i] = _NOW
        if left == 0:
            break
        for i in range(n):
            if verdict[i] != _NOW:
                continue
            for dr in range(-HALO, HALO + 1):
                for dc in range(-HALO, HALO + 1):
                    j = _find(keys, keys[i] + (dr << 24) + dc)
                    if j >= 0 and verdict[j] == 0:
                        verdict[j] = GHOST
        for i in range(n):
            if verdict[i] == _NOW:
                verdict[i] = PLACE
    for i in range(n):
        if verdict[i] == 0:
            verdict[i] = GHOST
    return verdict


@njit(cache=True)
def spread_m2(keys, strength):  # type: ignore[no-untyped-def]
    """Variance on one axis, in squares, of the evidence for each of n squares' own kind within `HALO`, float64 (n,), in
    the order of their keys."""
    n = len(keys)
    out = np.zeros(n)
    for i in range(n):
        weight = total = 0.0
        for dr in range(-HALO, HALO + 1):
            for dc in range(-HALO, HALO + 1):
                j = _find(keys, keys[i] + (dr << 24) + dc)
                if j >= 0 and strength[j] > 0:
                    weight += float(strength[j])
                    total += float(strength[j]) * (dr * dr + dc * dc) / 2.0
        out[i] = total / weight if weight > 0 else 0.0
    return out
