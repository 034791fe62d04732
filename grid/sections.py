"""Roads of the city as people name them: sections of about 100 m, their lanes, and strips of 10 m of a lane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROAD_CLASSES = ("expressway", "trunk", "secondary", "branch", "unknown")
"""As CJJ 36 grades them; `unknown` is graded as a branch and says so."""
SECTION_M = 100.0
STRIP_M = 10.0


@dataclass(frozen=True, eq=False)
class Section:
    """About 100 m of a road, along its centre line.

    number: stable, 1 to 2**53 - 1: the same road and place give the same number at every import. road: key of the road
    in its source. name, name_zh: as people say it, "" where unknown. road_class: of `ROAD_CLASSES`. width_m: of the
    carriageway; width_known: false where it is the class's usual one. lanes: of both directions, 0 where unknown.
    district, owner: "" where unknown. x_m, y_m: float64 (k,), the centre line in metres of the city's zone, in the
    direction of drawing. from_m: where on its road it begins; length_m.
    """

    number: int
    road: str
    name: str
    name_zh: str
    road_class: str
    width_m: float
    width_known: bool
    lanes: int
    oneway: bool
    district: str
    owner: str
    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    from_m: float
    length_m: float
