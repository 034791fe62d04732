"""Which of the squares that are held for a defect are the place, and which are its ghosts.

A jolt is felt on the squares where either wheel may have been, so a real hole has weaker images a square or two away
and under the vehicle's other wheel. The strongest square is the place; it explains what lies within `HALO`, and the
rest is looked at again.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

HALO = 3
"""Squares: the other wheel of a vehicle is 1.8 m away, so a ghost is at most three squares from what it is a ghost of.
At 2 ghosts of rotated streets survive, at 4 two real holes hide one another."""
ROUNDS = 5
"""How often the rest is looked at again. What a square becomes depends on squares within 2 * HALO of it a round: with 6
that is more than the block beside it, which is all that is read; with 1 a hole behind a ghost of another is lost."""

PLACE, GHOST = 1, 2


@njit(cache=True)
def _key(kind, row, column):  # type: ignore[no-untyped-def]
    return (kind << 48) | (row << 24) | column


@njit(cache=True)
def sort_out(kind, row, column, strength):  # type: ignore[no-untyped-def]
    """PLACE or GHOST of each of n squares of one level, uint8 (n,). kind: of the defect; row, column: numbers of the
    square (below 2**24); strength. Of two equal ones within reach both are places, so that no order decides."""
    n = len(kind)
    verdict = np.zeros(n, np.uint8)
    where = {np.int64(-1): np.int64(-1)}
    for i in range(n):
        where[_key(kind[i], row[i], column[i])] = np.int64(i)
    left = n
    for _ in range(ROUNDS):
        if left == 0:
            break
        for i in range(n):
            if verdict[i] != 0:
                continue
            highest = True
            for dr in range(-HALO, HALO + 1):
                for dc in range(-HALO, HALO + 1):
                    key = _key(kind[i], row[i] + dr, column[i] + dc)
                    if highest and key in where:
                        j = where[key]
                        # PLACE + 2 marks those of this round: they still stand in the way of the others.
                        if verdict[j] in (0, PLACE + 2) and strength[j] > strength[i]:
                            highest = False
            if highest:
                verdict[i] = PLACE + 2
        for i in range(n):
            if verdict[i] != PLACE + 2:
                continue
            for dr in range(-HALO, HALO + 1):
                for dc in range(-HALO, HALO + 1):
                    key = _key(kind[i], row[i] + dr, column[i] + dc)
                    if key in where and verdict[where[key]] == 0:
                        verdict[where[key]] = GHOST
        left = 0
        for i in range(n):
            if verdict[i] == PLACE + 2:
                verdict[i] = PLACE
            elif verdict[i] == 0:
                left += 1
    for i in range(n):
        if verdict[i] == 0:
            verdict[i] = GHOST
    return verdict


@njit(cache=True)
def spread_m2(kind, row, column, strength):  # type: ignore[no-untyped-def]
    """Variance on one axis, in squares, of the evidence for each of n squares' own kind within `HALO`, float64 (n,)."""
    n = len(kind)
    out = np.zeros(n)
    where = {np.int64(-1): np.int64(-1)}
    for i in range(n):
        where[_key(kind[i], row[i], column[i])] = np.int64(i)
    for i in range(n):
        weight = total = 0.0
        for dr in range(-HALO, HALO + 1):
            for dc in range(-HALO, HALO + 1):
                key = _key(kind[i], row[i] + dr, column[i] + dc)
                if key in where and strength[where[key]] > 0:
                    w = float(strength[where[key]])
                    weight += w
                    total += w * (dr * dr + dc * dc) / 2.0
        out[i] = total / weight if weight > 0 else 0.0
    return out
