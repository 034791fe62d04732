"""What is known of squares beside what passed over them: harmless objects, works, repairs, and how long a colour
holds on a road of that class. Made of registers by the store; the read-out takes it as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from .code import BLOCK_CELLS

HARMLESS: tuple[str, ...] = ("", "speed_bump", "cover", "joint", "rail", "table", "other")
"""Kinds of objects that throw a wheel and are no defect; index = number in `Ground.harmless`, 0 is none. A cover stays
able to turn red by what a camera or a laser names there; of the others nothing that a wheel feels counts."""


@dataclass(frozen=True, eq=False)
class Ground:
    """One block. harmless: uint8 (1024,), number of `HARMLESS`. works: bool (1024,), a permit holds today: hatched,
    never red. validity_days: uint8 (1024,), after so many days without a pass a colour is grey; 0: the options' own.
    repairs: by day, rising: the squares (bool (1024,)) that were repaired on it; what passes said up to that day's end
    counts no more.
    """

    harmless: NDArray[np.uint8]
    works: NDArray[np.bool_]
    validity_days: NDArray[np.uint8]
    repairs: tuple[tuple[date, NDArray[np.bool_]], ...] = ()


def plain_ground() -> Ground:
    """A block of which nothing is known."""
    return Ground(np.zeros(BLOCK_CELLS, np.uint8), np.zeros(BLOCK_CELLS, bool), np.zeros(BLOCK_CELLS, np.uint8))
