"""The registers: known harmless objects, works permits, repairs. What an entry is, which squares it speaks of, and how
entries in force become the `Ground` of a block. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import ROAD_CLASSES, blocks_of, cells_of_block, index_in_block, neighbours, parents

from .code import BLOCK_CELLS
from .footprint import Ids
from .ground import HARMLESS, Ground
from .reach import HALO

OBJECT, PERMIT, REPAIR = "object", "permit", "repair"
REGISTERS = (OBJECT, PERMIT, REPAIR)
KINDS: Mapping[str, tuple[str, ...]] = {
    OBJECT: HARMLESS[1:],
    PERMIT: ("works",),
    REPAIR: ("patch", "overlay", "rebuild", "cover", "other"),
}
"""What an entry of each register may be."""
SOURCES = ("imported", "learnt", "person")
OWNERS = ("water", "drainage", "power", "telecom", "gas", "unknown")
"""Whose a cover is, since each owner mends only its own."""
ACROSS = ("speed_bump", "joint", "rail", "table")
"""Objects that lie across a lane, so that every vehicle meets them."""
_MOST_TEXT = 200

HALF_WIDTH_M: Mapping[str, float] = {
    "speed_bump": 0.5, "cover": 0.4, "joint": 0.2, "rail": 0.8, "table": 2.5, "other": 0.5, "works": 0.0, "repair": 0.0,
}  # fmt: skip
"""Half of what lies on both sides of a line, metres (a bump is some 0.4 to 1 m long, a table 5, a rail has its gauge).
Smaller and the far edge of an object is a defect; larger and a hole behind a bump is hidden."""
POINT_M: Mapping[str, float] = {
    "speed_bump": 4.0, "cover": 0.5, "joint": 4.0, "rail": 4.0, "table": 4.5, "other": 1.0, "works": 10.0,
    "repair": 1.5,
}  # fmt: skip
"""Radius where only a point is given, metres: half of a carriageway of 8 m for what lies across it, half of a frame for
a cover. Smaller and a bump's ends stay red; larger and holes beside a cover are hidden. Draw a line where you can."""
ACCURACY_M: Mapping[str, float] = {"imported": 1.0, "learnt": 0.5, "person": 2.0}
"""Radius (68 %) of a place for which the source states none, metres: a survey or map; learnt of boxes' own passes; a
click on a map. Proposed."""
FELT_M = 0.5
"""Radius (68 %) of what a box feels, the worst that speaks for single squares."""
HALO_SHARE = 1.5
"""Radii of 68 % around a shape that belong to it: 1.5 hold 92 % of a round normal error. With 1 every third pass over
a bump lies outside; with 2.5 a cover on a map hides 8 m of road, and not 5."""
HALO_MOST_M = 6.0
"""What is less sure than this hides more road than it explains: give its place better."""


class RegisterError(ValueError):
    """An entry cannot be taken; the text says why and what to do."""


@dataclass(frozen=True)
class GroundOptions:
    """validity_days: after so many days without a pass a colour is grey, by class in the order of `ROAD_CLASSES`.
    Where many drive, silence is soon a sign that the road is closed or rebuilt; on a branch nobody may have passed. A
    third of it, and quiet streets flicker to grey; three times as much, and a colour outlives a winter. Proposed."""

    validity_days: tuple[int, ...] = (30, 45, 60, 90, 90)


@dataclass(frozen=True, eq=False)
class Entry:
    """One thing of a register. register: of `REGISTERS`, kind: of its `KINDS`, source: of `SOURCES`, owner: of
    `OWNERS` for a cover, else free. number: of the permit, or of the case. from_day, to_day: both belong to it; None:
    until further notice; a repair has only its day. shape: GeoJSON geometry in degrees of the city's frame. cells:
    1 m squares, sorted.

    Raises RegisterError.
    """

    register: str
    kind: str
    key: str
    source: str
    from_day: date
    to_day: date | None
    shape: dict[str, Any]
    reach_m: float
    cells: Ids
    owner: str = ""
    number: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS.get(self.register, ()):
            known = ", ".join(KINDS.get(self.register, REGISTERS))
            raise RegisterError(f"{self.kind!r} is no kind of {self.register}: one of {known}")
        if self.source not in SOURCES:
            raise RegisterError(f"a source is one of {', '.join(SOURCES)}, not {self.source!r}")
        if self.kind == "cover" and self.register == OBJECT and self.owner not in OWNERS:
            raise RegisterError(f"a cover's owner is one of {', '.join(OWNERS)}, not {self.owner!r}")
        if self.to_day is not None and self.to_day < self.from_day:
            raise RegisterError(f"it ends on {self.to_day}, before it begins on {self.from_day}: mend one of the days")
        for name, text in (("key", self.key), ("owner", self.owner), ("number", self.number), ("note", self.note)):
            if len(text) > _MOST_TEXT or not all(c.isprintable() for c in text):
                raise RegisterError(f"{name} is printable text of at most {_MOST_TEXT} characters")
        if not self.key:
            raise RegisterError("an entry needs a key: the name it has where it comes from")
        if not len(self.cells):
            raise RegisterError("an entry needs at least one square")

    @property
    def sha256(self) -> bytes:
        """Hash of what it says and of its squares, without its key and its end: the same text of two databases is the
        same hash."""
        said = [self.register, self.kind, self.source, self.owner, self.number, self.note, self.from_day.isoformat(),
                self.to_day.isoformat() if self.to_day else None, round(self.reach_m * 1000), self.shape]  # fmt: skip
        text = json.dumps(said, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode() + b"\0" + self.cells.astype("<i8").tobytes()).digest()


def reach_of(what: str, point: bool, accuracy_m: float) -> float:
    """How far around its shape an entry holds, metres: its own size, and the halo of its uncertain place.

    ``what``: kind of an object, or works, or repair. Raises RegisterError where the place is too uncertain.
    """
    halo = 0.0 if what in _NO_HALO else HALO_SHARE * math.hypot(accuracy_m, FELT_M)
    if halo > HALO_MOST_M:
        raise RegisterError(f"a place known to {accuracy_m:.1f} m hides more road than it explains: measure it better")
    return (POINT_M if point else HALF_WIDTH_M)[what] + halo


_NO_HALO = ("works", "repair")
"""A permit is drawn generously, and a repair is as large as it is told."""


def footprint(entry: Entry) -> dict[int, bytes]:
    """1,024 bits (lowest first, as numpy packs them little-endian) of every block that an entry speaks of, at 1, 4 and
    16 m.

    A phone cannot tell which part of a coarse square threw it, so every coarse square that an entry touches is the
    entry's too, with one exception: what does not lie across the lane (a cover, `other`) does not speak for 16 m.
    Covers lie every 30 m or so, and phones would see nothing any more. A repair speaks of all squares that its defect
    may have ghosts in, or one of them would come forward as soon as the place itself is forgotten.
    """
    told = _grown(entry.cells) if entry.register == REPAIR else entry.cells
    levels = (0, 1) if entry.register == OBJECT and entry.kind not in ACROSS else (0, 1, 2)
    bits: dict[int, bytes] = {}
    for level in levels:
        cells = np.unique(parents(told, level))
        blocks, index = blocks_of(cells), index_in_block(cells)
        for block in np.unique(blocks).tolist():
            row = np.zeros(BLOCK_CELLS, bool)
            row[index[blocks == block]] = True
            bits[block] = np.packbits(row, bitorder="little").tobytes()
    return bits


def _grown(cells: Ids) -> Ids:
    """Squares with all within `HALO` of them."""
    return np.unique(np.concatenate([neighbours(cell, HALO) for cell in cells.tolist()]))


@dataclass(frozen=True)
class InForce:
    """What an entry says of one block on the day that is asked for. bits: of `footprint`."""

    block: int
    register: str
    kind: str
    from_day: date
    bits: bytes


def ground_of_entries(
    found: Iterable[InForce], classes: Mapping[int, NDArray[np.uint8]], options: GroundOptions
) -> dict[int, Ground]:
    """The ground of every block of which something is known. ``classes``: by block uint8 (1024,), index in
    `ROAD_CLASSES` + 1, 0 where there is no road.

    Where several objects share a square a cover wins, since of it alone a severe kind still shows; else the first of
    `HARMLESS`.
    """
    if len(options.validity_days) != len(ROAD_CLASSES) or not all(0 < d < 256 for d in options.validity_days):
        raise ValueError(f"validity_days are {len(ROAD_CLASSES)} numbers of 1 to 255, one a class")
    rank = np.array([0, *(10 if k == "cover" else 9 - i for i, k in enumerate(HARMLESS[1:]))], np.uint8)
    harmless: dict[int, NDArray[np.uint8]] = {}
    works: dict[int, NDArray[np.bool_]] = {}
    repairs: dict[int, dict[date, NDArray[np.bool_]]] = defaultdict(dict)
    for one in found:
        if len(one.bits) * 8 != BLOCK_CELLS:
            raise RegisterError(
                "squares of a register do not unpack: end the entry with its command and enter it again"
            )
        mine = np.unpackbits(np.frombuffer(one.bits, np.uint8), bitorder="little").astype(bool)
        if one.register == OBJECT:
            row = harmless.setdefault(one.block, np.zeros(BLOCK_CELLS, np.uint8))
            number = HARMLESS.index(one.kind)
            row[mine & (rank[row] < rank[number])] = number
        elif one.register == PERMIT:
            works[one.block] = works.get(one.block, np.zeros(BLOCK_CELLS, bool)) | mine
        else:
            by_day = repairs[one.block]
            by_day[one.from_day] = by_day.get(one.from_day, np.zeros(BLOCK_CELLS, bool)) | mine
    validity = np.array([0, *options.validity_days], np.uint8)
    known = harmless.keys() | works.keys() | repairs.keys() | {b for b, c in classes.items() if c.any()}
    return {
        block: Ground(
            harmless.get(block, np.zeros(BLOCK_CELLS, np.uint8)),
            works.get(block, np.zeros(BLOCK_CELLS, bool)),
            validity[classes[block]] if block in classes else np.zeros(BLOCK_CELLS, np.uint8),
            tuple(sorted(repairs[block].items(), key=lambda item: item[0])) if block in repairs else (),
        )
        for block in sorted(known)
    }


def cells_of_bits(block: int, bits: bytes) -> Ids:
    """The squares of a block whose bits are set."""
    mine = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little").astype(bool)
    cells: Ids = cells_of_block(block)[mine]
    return cells
