"""One stretch of one device as the evidence sees it, and what it adds: the emission of evidence.

A `Passage` is what is left of a chunk when it was located, felt and judged: where the vehicle was, with what doubt;
where it was thrown, and how much likelier a defect makes that than healthy road does; where its silence may be
believed. Whoever makes one, of a chunk or of a street drawn by a benchmark, gets the same evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from grid import Zone, cells_at, corner_m, neighbours

from .evidence import UNIT, Deltas, tally
from .options import EvidenceOptions
from .planes import (
    DEVICES,
    EXPOSURE_BOX,
    HIT_DEVICES,
    LOGODDS,
    NAMED,
    PASSES,
    PHONE_DEVICES,
    PHONE_HIT_DEVICES,
    PHONE_LOGODDS,
    PHONE_PASSES,
    PHONE_TALLY,
    SIZE,
    TALLY,
)
from .taxonomy import UNEVEN

Series = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Strike:
    """A moment at which the road threw the vehicle. at: index of the moment. side: 1 the left wheel alone, -1 the
    right, near 0 both or unknown. severity: 1 yellow, 2 red. per_m: how many such moments healthy road gives a metre,
    and shown: chance that a severe defect under a wheel gives one, both of moments like this one: per_m over shown is
    the likelihood ratio turned round. kinds: float64 (11,) over `FELT_TYPES`, the log of each type's probability given
    a defect over that before anything was known; None where nothing was said. size_mm: height or depth given a defect,
    0 where not known. mine: whether it is this stretch's to tell; the others only break its silence.
    """

    at: int
    side: float
    severity: float
    shown: float
    per_m: float
    kinds: Series | None = None
    size_mm: float = 0.0
    mine: bool = True


@dataclass(frozen=True, eq=False)
class Passage:
    """n moments of one stretch, in order of time. kind: box or phone; carrier: of `half_track_m`.

    x_m, y_m (n,): the vehicle's middle, metres of the zone; u_x, u_y: unit vector of travel; sigma_m: standard
    deviation of the place on one axis. step_m: metres that the moment stands for, 0 where nothing could be felt there
    (no place, too slow). owned: the moment is this stretch's to tell. silent: its silence may be believed, as far as
    no strike is near. shown (n,): chance that a severe pothole under a wheel would have shown; most (n,): the most, in
    log-odds, that its silence may say. apart: so many moments on each side of a strike are not silent. worth: what the
    exposure is multiplied with for the way in which it was told.
    """

    kind: str
    carrier: str
    x_m: Series
    y_m: Series
    u_x: Series
    u_y: Series
    sigma_m: Series
    step_m: Series
    owned: Bools
    silent: Bools
    shown: Series
    most: Series
    strikes: tuple[Strike, ...]
    apart: int
    worth: float = 1.0


@dataclass(frozen=True)
class Placed:
    """Where a strike most likely lies. cell: the square that got most, and weight, its log-odds; x_m, y_m, sigma_m:
    place and doubt; level: of the squares."""

    cell: int
    weight: float
    x_m: float
    y_m: float
    sigma_m: float
    level: int


class Sum:
    """Deltas under construction."""

    def __init__(self) -> None:
        self.parts: list[Deltas] = []

    def add(self, cells: list[int] | NDArray[np.int64], plane: int, values: list[int] | NDArray[np.int64]) -> None:
        """One plane of several squares; values of their number, or one for all."""
        cell = np.asarray(cells, dtype=np.int64)
        value = np.broadcast_to(np.asarray(values, dtype=np.int64), cell.shape)
        self.parts.append(Deltas(cell, np.full(len(cell), plane, dtype=np.uint8), value))


def radius_of(sigma_m: float) -> float:
    """The radius that holds 68 % of a round normal of a standard deviation."""
    return sigma_m * 1.5096


def level_for(radius_m: float, kind: str, options: EvidenceOptions) -> int | None:
    """The finest level that a position supports; a phone never speaks for a single square metre."""
    if kind == "box" and radius_m <= options.finest_m:
        return 0
    if radius_m <= options.phone_4m_m:
        return 1
    return 2 if radius_m <= options.phone_16m_m else None


def shares(x_m: float, y_m: float, sigma_m: float, level: int, zone: Zone, least: float) -> list[tuple[int, float]]:
    """Squares around a place and the weight of a round normal in each, integrated over the square, largest first."""
    side = 1 << 2 * level
    home = int(cells_at(x_m, y_m, zone, level))
    reach = min(3, math.ceil(2.5 * sigma_m / side))
    west, south = corner_m(home)

    def cumulative(edge: float, centre: float) -> float:
        return 0.5 * (1 + math.erf((edge - centre) / (sigma_m * math.sqrt(2))))

    def weights(start: float, centre: float) -> list[float]:
        edges = [cumulative(start + k * side, centre) for k in range(-reach, reach + 2)]
        return [b - a for a, b in pairwise(edges)]

    columns, rows = weights(west, x_m), weights(south, y_m)
    cells = neighbours(home, reach).tolist()
    found = [(cells[i * len(columns) + j], r * c) for i, r in enumerate(rows) for j, c in enumerate(columns)]
    return sorted(((c, s) for c, s in found if s >= least), key=lambda cs: (-cs[1], cs[0]))


def emit(passage: Passage, slot: int, zone: Zone, options: EvidenceOptions, out: Sum) -> list[Placed | None]:
    """Adds what a passage says to ``out``; gives the places of its own strikes, in their order, None where a place is
    too coarse to write anything. ``slot``: the bit that stands for the device."""
    placed = [_strike(passage, one, slot, zone, options, out) for one in passage.strikes if one.mine]
    _silence(passage, slot, zone, options, out)
    return placed


def _strike(p: Passage, one: Strike, slot: int, zone: Zone, options: EvidenceOptions, out: Sum) -> Placed | None:
    """One strike as log-odds on the squares where the wheel may have been."""
    i = one.at
    sigma = float(p.sigma_m[i])
    level = level_for(radius_of(sigma), p.kind, options)
    if level is None:
        return None
    half = options.half_track_m[p.carrier]
    wheels = [(-1, 0.5), (1, 0.5)] if half else [(0, 1.0)]
    if half and abs(one.side) >= options.jolt.side_clear:
        wheels = [(-1 if one.side > 0 else 1, 1.0)]  # left lies at minus the right-hand normal
    x, y = float(p.x_m[i]), float(p.y_m[i])
    u_x, u_y = float(p.u_x[i]), float(p.u_y[i])
    total: dict[int, float] = {}
    spread = math.hypot(sigma, options.wheel_sigma_m)
    middle = (x, y)
    for sign, weight in wheels:
        w_x, w_y = x + sign * half * u_y, y - sign * half * u_x
        if len(wheels) == 1:
            middle = (w_x, w_y)
        for cell, share in shares(w_x, w_y, spread, level, zone, options.least_share / 2):
            total[cell] = total.get(cell, 0.0) + weight * share
    cells = sorted(c for c, s in total.items() if s >= options.least_share)
    if not cells:
        return None
    clutter = one.per_m * (1 << 2 * level)
    # A small share of a doubtful place says nothing; it does not speak against a defect, which only silence may.
    worth = options.carrier_jolt[p.carrier]
    most = max(total[c] for c in cells)
    weights = [
        worth
        * max(0.0, math.log(1 - one.shown + one.shown * total[c] / clutter))
        * (total[c] / most) ** options.one_cause
        for c in cells
    ]
    phone = p.kind == "phone"
    out.add(cells, PHONE_LOGODDS if phone else LOGODDS + UNEVEN.number, [round(w * UNIT) for w in weights])
    out.add(cells, PHONE_TALLY if phone else TALLY + UNEVEN.number, [tally(1, one.severity)] * len(cells))
    out.add(cells, PHONE_HIT_DEVICES if phone else HIT_DEVICES, [slot] * len(cells))
    if not phone:  # what one phone says of a kind would outlive the phone in a square that must forget it
        _kind(one, worth, total, cells, options, out)
    home = max(zip(weights, cells, strict=True))
    return Placed(home[1], home[0], middle[0], middle[1], spread, level)


def _kind(
    one: Strike, worth: float, total: dict[int, float], cells: list[int], options: EvidenceOptions, out: Sum
) -> None:
    """What was said of kind and size, on the squares that hold most of the place and no others: eleven planes a square
    are dear, and of a square with a tenth of the place they say little."""
    best = sorted(cells, key=lambda c: (-total[c], c))[: options.named_squares]
    best = [c for c in best if total[c] >= total[best[0]] / 2]
    if one.kinds is not None:
        for k, said in enumerate(one.kinds.tolist()):
            value = round(worth * min(max(said, -options.most_named), options.most_named) * UNIT)
            if value:
                out.add(best, NAMED + k, [value] * len(best))
    if one.size_mm > 0:
        out.add(best, SIZE, [tally(1, one.size_mm)] * len(best))


def chance_within(x_m: Series, y_m: Series, u_x: Series, u_y: Series, sigma_m: Series, least_path_m: float) -> Series:
    """Chance, (n,), that a wheel which is thought to roll through (x, y) along u really crosses the square metre of
    that point on a path of ``least_path_m`` or more.

    Only an error across the way matters. A line at offset d from the middle of a unit square is within it on
    min(1/a, ((a + b)/2 - |d|) / ab), a and b the larger and smaller of |u_x| and |u_y|: at least c where
    |d| <= (a + b)/2 - c ab.
    """
    d = (np.floor(x_m) + 0.5 - x_m) * -u_y + (np.floor(y_m) + 0.5 - y_m) * u_x
    a, b = np.abs(u_x), np.abs(u_y)
    reach = (a + b) / 2 - least_path_m * a * b
    scale = np.maximum(sigma_m, 1e-6) * math.sqrt(2)
    # erf of single numbers: numpy has none, and the last bit must not hang on how many there are.
    high, low = ((reach - d) / scale).tolist(), ((-reach - d) / scale).tolist()
    return np.array([0.5 * (math.erf(h) - math.erf(w)) for h, w in zip(high, low, strict=True)])


def _silence(p: Passage, slot: int, zone: Zone, options: EvidenceOptions, out: Sum) -> None:
    """Passes and exposure of the squares that the wheels rolled over.

    A square belongs to the stretch that owns the moment nearest to the middle of its time on it, so that two chunks
    that meet in a square do not both count it. It is passed where a wheel most likely was, but its silence counts
    against a defect only where the wheel was in all likelihood: a driver who swerves heals nothing by a doubtful place.
    """
    able = p.step_m > 0
    if not able.any():
        return
    level = level_for(radius_of(float(p.sigma_m[able].max())), p.kind, options)
    if level is None:
        return
    half = options.half_track_m[p.carrier] if level == 0 else 0.0  # both wheels pass the same coarse square
    phone = p.kind == "phone"
    at = np.flatnonzero(able)
    worth = options.carrier_quiet[p.carrier] * p.worth
    for sign in (-1, 1) if half else (0,):
        blocked = ~p.silent
        for one in p.strikes:
            other = half and abs(one.side) >= options.jolt.side_clear and sign == (1 if one.side > 0 else -1)
            if not other:  # where it is known which wheel was thrown, the other one rolled on quietly
                blocked[max(0, one.at - p.apart) : one.at + p.apart + 1] = True
        x = p.x_m[at] + sign * half * p.u_y[at]
        y = p.y_m[at] - sign * half * p.u_x[at]
        cell = cells_at(x, y, zone, level)
        run = np.flatnonzero(np.r_[True, (cell[1:] != cell[:-1]) | (np.diff(at) > 1)])
        stop = np.r_[run[1:], len(at)]
        length = np.add.reduceat(p.step_m[at], run)
        half_way = (run + stop - 1) // 2
        middle = at[half_way]
        mine = p.owned[middle]
        cells = cell[run][mine]
        out.add(cells, PHONE_PASSES if phone else PASSES, np.ones(len(cells), np.int64))
        out.add(cells, PHONE_DEVICES if phone else DEVICES, np.full(len(cells), slot, np.int64))
        if phone or level or not worth:
            continue
        clear = ~np.logical_or.reduceat(blocked[at], run)
        quiet = np.flatnonzero(mine & clear & (length >= options.least_path_m))
        m, k = middle[quiet], half_way[quiet]
        sigma = np.sqrt(p.sigma_m[m] ** 2 + options.track_sigma_m**2)
        sure = chance_within(x[k], y[k], p.u_x[m], p.u_y[m], sigma, options.least_path_m) >= options.least_there
        exposure = -np.log(1 - p.shown[m] * options.p_hit * np.minimum(length[quiet], 1.0))
        exposure = worth * np.minimum(exposure, np.minimum.reduceat(p.most[at], run)[quiet])
        out.add(cell[run][quiet[sure]], EXPOSURE_BOX, np.rint(exposure[sure] * UNIT).astype(np.int64))
