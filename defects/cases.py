"""Cases: neighbouring confirmed red squares are one thing to act on. This slice opens them and no more yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grid import column_row, level_of, neighbours

REACH = 2
"""Squares between two red ones that still are one case: a hole on a border is seen in both squares beside it."""


@dataclass(frozen=True)
class Case:
    """cells: ids of the confirmed red squares, sorted. kind: number of the type. number: None before it is stored."""

    number: int | None
    kind: int
    cells: tuple[int, ...]


def _near(a: int, b: int) -> bool:
    if int(level_of(a)) != int(level_of(b)):
        return False
    (ax, ay), (bx, by) = column_row(a), column_row(b)
    return bool(abs(int(ax) - int(bx)) <= REACH and abs(int(ay) - int(by)) <= REACH)


def join(confirmed: dict[int, int], known: list[Case]) -> list[Case]:
    """Cases that are new or have grown when squares (id -> kind) are confirmed red, beside the cases known there.

    A square near a known case joins it; else it opens one of its own, to which its neighbours go.
    """
    changed: dict[int, Case] = {}
    cases = list(known)
    for cell in sorted(confirmed):
        at = next((i for i, c in enumerate(cases) if any(_near(cell, other) for other in c.cells)), None)
        if at is None:
            cases.append(Case(None, confirmed[cell], (cell,)))
            at = len(cases) - 1
        elif cell not in cases[at].cells:
            old = cases[at]
            cases[at] = Case(old.number, old.kind, tuple(sorted((*old.cells, cell))))
        else:
            continue
        changed[at] = cases[at]
    return [changed[i] for i in sorted(changed)]


def cells_of_a_case(cell: int) -> list[int]:
    """The squares so near to one that they would belong to the same case."""
    return [int(c) for c in neighbours(cell, REACH)]


def centre_m(cells: tuple[int, ...]) -> tuple[float, float]:
    """Easting and northing of the middle of a case's squares."""
    column, row = column_row(np.array(cells))
    side = 1 << 2 * int(level_of(cells[0]))
    return float((column.mean() + 0.5) * side), float((row.mean() + 0.5) * side)
