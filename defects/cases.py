"""Cases: neighbouring confirmed red squares are one thing to act on. This slice opens them and no more yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grid import corner_m, side_m

REACH_M = 2.0
"""Between two red squares that still are one case: a hole on a border is seen in both squares beside it, and a bus
meets it a little elsewhere each time. At 5 m two holes of one street would be one repair."""


@dataclass(frozen=True)
class Case:
    """cells: ids of the confirmed red squares, sorted. kind: number of the type. number: None before it is stored."""

    number: int | None
    kind: int
    cells: tuple[int, ...]


def _near(a: int, b: int) -> bool:
    """Whether two squares, of whatever levels, lie within ``REACH_M`` of each other on both axes."""
    return all(
        max(low_a, low_b) - min(low_a + side_m(a), low_b + side_m(b)) <= REACH_M
        for low_a, low_b in zip(corner_m(a), corner_m(b), strict=True)
    )


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


def centre_m(cells: tuple[int, ...]) -> tuple[float, float]:
    """Easting and northing of the middle of a case's finest squares: a phone's 4 m square beside a box's single metre
    says less of where it is."""
    side = min(side_m(c) for c in cells)
    corners = np.array([corner_m(c) for c in cells if side_m(c) == side])
    x, y = corners.mean(axis=0) + side / 2
    return float(x), float(y)
