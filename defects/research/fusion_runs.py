"""A drawn street driven over for days, and what the evidence says of it at the end of each: evidence is folded and read
out by the very functions that the platform runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from grid import Zone, blocks_of, cells_at, cells_of_block, column_row, index_in_block

from ..code import BLOCK_CELLS, Codes, Colour
from ..evidence import BlockEvidence, fold, merge
from ..ground import HARMLESS as KINDS
from ..ground import Ground, plain_ground
from ..health import HealthOptions
from ..options import EvidenceOptions
from ..passage import Sum, emit
from ..planes import EXPOSURE_BOX
from ..recode import by_block, recode
from .fusion_drives import Device, draw_device, drive
from .fusion_match import away_m
from .streets import LANE_M, NEVER, Street, Thing

Ids = NDArray[np.int64]
FIRST = date(2026, 3, 2)
ZONE = Zone(51, True)
_KIND = {"speed_bump": "speed_bump", "cover": "cover", "joint": "joint", "rail": "rail", "channel": "other"}
_REGISTERED_M = 0.8
"""A square whose middle is so near to a registered thing's outline is that thing's: registers are half a metre off, and
a jolt is a square beside its cause as often as not. Smaller, and known covers turn red beside themselves; larger, and
holes beside them are never seen."""

_MENDED_M = 1.5
"""So far around a mended thing a repair order makes passes forgotten (proposed). Smaller, and squares beside it keep
what they took from its jolts, and no wheel heals them; larger, and a hole beside it is forgotten too."""


@dataclass(frozen=True)
class Fleet:
    """Passes of each lane a day, and how many of ten are by boxes; so many boxes and phones share them."""

    passes: int
    box_tenths: int
    boxes: int = 12
    phones: int = 60


@dataclass(eq=False)
class World:
    """A street with its evidence so far. hits: of (x, y), by kind of device; rolled: squares that a wheel truly rolled
    over fast enough to feel; met: numbers of the things that a wheel rolled over so."""

    street: Street
    evidence: dict[int, dict[date, BlockEvidence]] = field(default_factory=lambda: defaultdict(dict))
    hits: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {"box": [], "phone": []})
    rolled: set[int] = field(default_factory=set)
    met: set[int] = field(default_factory=set)


class Driven:
    """Drives over one street, day by day. The draws hang on ``rng`` alone."""

    def __init__(self, rng: np.random.Generator, street: Street, fleet: Fleet, options: EvidenceOptions) -> None:
        self.rng, self.fleet, self.options = rng, fleet, options
        self.world = World(street)
        self.boxes = [draw_device(rng, i, "box") for i in range(fleet.boxes)]
        self.phones = [draw_device(rng, 100 + i, "phone") for i in range(fleet.phones)]
        self._luck: dict[tuple[int, int], float] = {}

    def day(self, day: int) -> None:
        """One service day: every lane is driven as often as the fleet does."""
        out = Sum()
        world, rng = self.world, self.rng
        salt = int(rng.integers(63))
        for lane in range(world.street.lanes):
            n = self.fleet.passes
            # So many of ten by boxes; where that is no whole number, by chance.
            boxes = int(np.floor(n * self.fleet.box_tenths / 10 + rng.random()))
            for turn in range(n):
                pool: list[Device] = self.boxes if turn < boxes else self.phones
                self._pass(pool[int(rng.integers(len(pool)))], lane, day, salt, out)
        deltas = merge(out.parts)
        when = FIRST + timedelta(days=day)
        for block, said in by_block(deltas).items():
            had = world.evidence[block].get(when)
            world.evidence[block][when] = said if had is None else fold(had, said)

    def _pass(self, device: Device, lane: int, day: int, salt: int, out: Sum) -> None:
        one = drive(self.rng, self.world.street, lane, device, day, self._luck)
        slot = 1 << (device.number * 7 + salt) % 63
        for part in one.passages:
            for placed in emit(part, slot, ZONE, self.options, out):
                if placed is not None:
                    self.world.hits[device.kind].append((placed.x_m, placed.y_m))
        self.world.met.update(one.met)
        for y in one.wheels_y_m:
            for beside in (-0.1, 0.1):
                self.world.rolled.update(np.unique(cells_at(*self.world.street.at(one.s_m, y + beside), ZONE)).tolist())


def cells_near(street: Street, thing: Thing, margin_m: float, level: int = 0) -> Ids:
    """Squares whose middle lies within ``margin_m`` of a thing's outline."""
    reach = (thing.long_m + thing.wide_m) / 2 + margin_m + 2
    side = 1 << 2 * level
    at = np.arange(-reach, reach + side, side / 2)
    x0, y0 = street.at(np.array([thing.s_m]), np.array([thing.y_m]))
    x, y = (v.ravel() for v in np.meshgrid(x0 + at, y0 + at))
    cells = np.unique(cells_at(x, y, ZONE, level))
    return cells[away_m(street, middles(cells, side), thing) <= margin_m]


def middles(cells: Ids, side: float = 1.0) -> NDArray[np.float64]:
    """Middles (n, 2) of squares of one level."""
    column, row = column_row(cells)
    return np.stack([(column + 0.5) * side, (row + 0.5) * side], axis=1)


def lane_cells(street: Street, level: int = 0) -> Ids:
    """Squares whose middle lies on the lanes, the ends left out."""
    side = float(1 << 2 * level)
    s, y = np.meshgrid(np.arange(4.0, street.length_m - 4, 0.4), np.arange(-LANE_M, LANE_M + 0.1, 0.25))
    cells = np.unique(cells_at(*street.at(s.ravel(), y.ravel()), ZONE, level))
    middle = middles(cells, side)
    along, across = street.along(middle[:, 0], middle[:, 1])
    return cells[(np.abs(across) <= LANE_M) & (along >= 4) & (along <= street.length_m - 4)]


def grounds(street: Street, known: str) -> dict[int, Ground]:
    """What registers and repair orders tell of a street. known: of harmless things, "drawn" (those registered), "all",
    or "none"."""
    out: dict[int, Ground] = {}

    def block(number: int) -> Ground:
        return out.setdefault(number, plain_ground())

    for thing in street.things:
        if thing.harmless and (known == "all" or (known == "drawn" and thing.registered)):
            for level in (0, 1):
                cells = cells_near(street, thing, _REGISTERED_M, level)
                for b in np.unique(blocks_of(cells)).tolist():
                    mine = index_in_block(cells[blocks_of(cells) == b])
                    block(b).harmless[mine] = KINDS.index(_KIND[thing.sort])
        if thing.ordered and thing.repaired < NEVER:
            cells = cells_near(street, thing, _MENDED_M)
            for b in np.unique(blocks_of(cells)).tolist():
                squares = np.zeros(BLOCK_CELLS, dtype=bool)
                squares[index_in_block(cells[blocks_of(cells) == b])] = True
                old = block(b)
                order = (FIRST + timedelta(days=thing.repaired - 1), squares)  # at night: the morning finds it done
                repairs = tuple(sorted((*old.repairs, order), key=lambda r: r[0]))
                out[b] = Ground(old.harmless, old.works, old.validity_days, repairs)
    return out


@dataclass(frozen=True, eq=False)
class ReadOut:
    """What the map shows: squares of each colour, all levels together."""

    red: Ids
    yellow: Ids
    green: Ids


def read_out(world: World, day: int, health: HealthOptions, ground: Mapping[int, Ground]) -> ReadOut:
    """The codes of a street at the end of a day (counted from `FIRST`)."""
    today = FIRST + timedelta(days=day)
    known = {b: {d: e for d, e in days.items() if d <= today} for b, days in world.evidence.items()}
    known = {b: days for b, days in known.items() if days}
    codes: dict[int, Codes] = recode(set(known), known, today, health, ground)
    found: dict[Colour, list[Ids]] = {c: [np.empty(0, np.int64)] for c in Colour}
    for block, code in codes.items():
        cells = cells_of_block(block)
        for colour in (Colour.RED, Colour.YELLOW, Colour.GREEN):
            found[colour].append(cells[code["colour"] == colour])
    red, yellow, green = (np.concatenate(found[c]) for c in (Colour.RED, Colour.YELLOW, Colour.GREEN))
    return ReadOut(red, yellow, green)


def exposed(world: World) -> set[int]:
    """Squares over which a sensor passed that is able to vouch for them, as it believed itself."""
    cells: set[int] = set()
    for block, days in world.evidence.items():
        of_block = cells_of_block(block)
        for said in days.values():
            cells.update(of_block[np.flatnonzero(said.plane(EXPOSURE_BOX))].tolist())
    return cells
