"""Roads of the city as people name them: sections of about 100 m, their lanes, and strips of 10 m of a lane."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Metres = NDArray[np.float64]

ROAD_CLASSES = ("expressway", "trunk", "secondary", "branch", "unknown")
"""As CJJ 36 grades them; `unknown` is graded as a branch and says so."""
SECTION_M = 100.0
STRIP_M = 10.0
KEPT_M = (60.0, 160.0)
"""While equal parts stay between these, a road that grew or shrank keeps its number of parts, and so its sections keep
their numbers. Narrower, and a survey that moves an end by a metre renumbers a road of 149 m; wider, and a road that was
built on has sections too long to send a crew to."""
_BITS = 53  # of a number: JSON and JavaScript keep it exact


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


@dataclass(frozen=True, eq=False)
class Road:
    """A centre line as its source draws it, before it is cut. key: in its source, the same at every import. The others
    as in `Section`; of a one-way road the drawing goes with the traffic."""

    key: str
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


def number_of(source: str, road: str, part: int) -> int:
    """The number of a road's part, 1 to 2**53 - 1: the first 53 bits of SHA-256 over source, road and part."""
    digest = hashlib.sha256(f"{source}\n{road}\n{part}".encode()).digest()
    return int.from_bytes(digest[:7]) >> 56 - _BITS or 1


def parts_of(length_m: float, before: int = 0) -> int:
    """Into how many equal parts a road is cut: about `SECTION_M` each, so that none is under two thirds of it; a road
    under 150 m stays whole. before: how many it had, kept while they stay within `KEPT_M`."""
    if before > 0 and KEPT_M[0] <= length_m / before <= KEPT_M[1]:
        return before
    return max(1, int(length_m / SECTION_M + 0.5))


def cut(road: Road, source: str, before: int = 0) -> list[Section]:
    """The sections of a road, in the direction of drawing. Coordinates are rounded to millimetres, so that the same
    file gives the same bytes. before: the number of sections it had at the last import, 0 where it is new."""
    x, y, s = _measured(road.x_m, road.y_m)
    length = float(s[-1])
    parts = parts_of(length, before)
    ends = np.linspace(0.0, length, parts + 1)
    sections = []
    for part in range(parts):
        x_m, y_m = piece(x, y, s, float(ends[part]), float(ends[part + 1]))
        sections.append(
            Section(
                number=number_of(source, road.key, part), road=road.key, name=road.name, name_zh=road.name_zh,
                road_class=road.road_class, width_m=road.width_m, width_known=road.width_known, lanes=road.lanes,
                oneway=road.oneway, district=road.district, owner=road.owner, x_m=np.round(x_m, 3),
                y_m=np.round(y_m, 3), from_m=round(float(ends[part]), 3), length_m=round(length / parts, 3),
            )
        )  # fmt: skip
    return sections


def piece(x: Metres, y: Metres, s: Metres, from_m: float, to_m: float) -> tuple[Metres, Metres]:
    """The part of a line between two distances along it. s: float64 (k,), distance of each of its points, rising."""
    inner = (s > from_m + 2e-3) & (s < to_m - 2e-3)  # nearer points would meet the ends when rounded to millimetres
    at = np.concatenate([[from_m], s[inner], [to_m]])
    return np.interp(at, s, x), np.interp(at, s, y)


def along(x_m: Metres, y_m: Metres) -> Metres:
    """Distance of each point of a line along it, metres, float64 (k,)."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x_m), np.diff(y_m)))])


def middle_of(section: Section) -> tuple[float, float]:
    """Easting and northing of the middle of a section's centre line."""
    s = along(section.x_m, section.y_m)
    half = float(s[-1]) / 2
    return float(np.interp(half, s, section.x_m)), float(np.interp(half, s, section.y_m))


def _measured(x_m: Metres, y_m: Metres) -> tuple[Metres, Metres, Metres]:
    """A line without points that repeat the one before (to a millimetre), and the distance of each along it."""
    moved = np.concatenate([[True], np.hypot(np.diff(x_m), np.diff(y_m)) >= 1e-3])
    x, y = np.asarray(x_m)[moved], np.asarray(y_m)[moved]
    return x, y, along(x, y)


class SameNumber(ValueError):
    """Two sections would have one number: two roads of the source have one key, or (once in millions) hashes met."""


def check_numbers(sections: Iterable[Section]) -> None:
    """Raises SameNumber where two of the sections have one number."""
    seen: dict[int, Section] = {}
    for section in sections:
        other = seen.setdefault(section.number, section)
        if other is not section:
            raise SameNumber(
                f"roads {other.road!r} and {section.road!r} get the same section number {section.number}: give each "
                "road a key of its own (--key-field)"
            )
