"""Harmless objects that the vehicles themselves point at: places that nearly every pass of nearly every vehicle feels,
day after day, with both wheels, across the lane, always alike. Pure; it proposes, and a person decides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from grid import cells_of_block, column_row

from .evidence import BlockEvidence, split_tally
from .planes import DEVICES, HIT_DEVICES, PASSES, TALLY
from .taxonomy import UNEVEN


@dataclass(frozen=True)
class LearnOptions:
    """least_days: days on which the place was passed and felt; with 3 a new pothole is one, with 40 a bump stays red
    for a season. felt_share: of passes that felt it, and of devices; a bump is felt by nearly all (some pass too
    slowly), and a hole is driven around: with .5 a pothole in a narrow lane is proposed, with .95 no bump ever is.
    spread: the most that a day's mean severity may lie off their mean, root mean square; growth: the most by which the
    newest third of days may be worse than the oldest. Defects grow; what was built stays. wide_m: least extent across
    travel: a hit is spread over three squares, so one wheel's hole is 3 m wide and a thing under both wheels 4 or 5;
    long_m: most along travel, and never more than across. apart_m: hot squares that are so near are one thing; the
    wheels' two paths lie 1.6 to 2 m apart. around_m: how far around squares that were passed say where travel goes.
    """

    least_days: int = 10
    felt_share: float = 0.8
    spread: float = 0.4
    growth: float = 0.25
    wide_m: float = 3.5
    long_m: float = 6.0
    apart_m: int = 3
    around_m: float = 15.0


@dataclass(frozen=True)
class Hot:
    """A square that nearly every pass feels. passes: of the most passed square at most one away. severity: mean; spread
    of its days; oldest and newest: of the first and last third of days."""

    cell: int
    days: int
    passes: int
    felt_share: float
    device_share: float
    severity: float
    spread: float
    oldest: float
    newest: float


@dataclass(frozen=True)
class Candidate:
    """A proposed object. cell: the square in its middle, by which it is called. ends_m: easting and northing of both
    ends of the line across the lane. wide_m, long_m: across and along travel. The rest: of its squares, the least days
    and shares, the mean severity, the most spread and growth."""

    cell: int
    ends_m: tuple[tuple[float, float], tuple[float, float]]
    wide_m: float
    long_m: float
    days: int
    passes: int
    felt_share: float
    device_share: float
    severity: float
    spread: float
    growth: float


def hot_squares(block: int, days: Mapping[date, BlockEvidence], options: LearnOptions) -> list[Hot]:
    """The squares of a 1 m block that were felt as the options ask, of the days that are given."""
    order = sorted(days)
    if len(order) < options.least_days:
        return []
    # A hit is spread over squares beside the path that nobody rolled over: the passes of the path are theirs.
    passes = _around(np.stack([days[d].plane(PASSES) for d in order]))
    hits, severity = split_tally(np.stack([days[d].plane(TALLY + UNEVEN.number) for d in order]))
    devices = _around(np.stack([np.bitwise_count(days[d].plane(DEVICES)) for d in order]).astype(np.int64))
    felt_by = np.stack([np.bitwise_count(days[d].plane(HIT_DEVICES)) for d in order]).astype(np.int64)
    hits, felt_by = np.minimum(hits, passes), np.minimum(felt_by, devices)
    felt_days = (hits > 0).sum(axis=0)
    share = hits.sum(axis=0) / np.maximum(passes.sum(axis=0), 1)
    of_devices = felt_by.sum(axis=0) / np.maximum(devices.sum(axis=0), 1)
    often = (felt_days >= options.least_days) & (share >= options.felt_share) & (of_devices >= options.felt_share)
    cells = cells_of_block(block)
    found = []
    for i in np.flatnonzero(often).tolist():
        daily = severity[hits[:, i] > 0, i]
        third = max(len(daily) // 3, 1)
        hot = Hot(
            cell=int(cells[i]), days=int(felt_days[i]), passes=int(passes[:, i].sum()), felt_share=float(share[i]),
            device_share=float(of_devices[i]), severity=float(daily.mean()), spread=float(daily.std()),
            oldest=float(daily[:third].mean()), newest=float(daily[-third:].mean()),
        )  # fmt: skip
        if hot.spread <= options.spread and hot.newest - hot.oldest <= options.growth:
            found.append(hot)
    return found


def _around(plane: NDArray[np.int64]) -> NDArray[np.int64]:
    """The most of each square and its eight neighbours in the block; plane (n, 1024)."""
    wide = np.pad(plane.reshape(-1, 32, 32), ((0, 0), (1, 1), (1, 1)))
    most = np.max([wide[:, r : r + 32, c : c + 32] for r in range(3) for c in range(3)], axis=0)
    return np.asarray(most.reshape(-1, 1024), np.int64)


def together(hot: Sequence[Hot], options: LearnOptions) -> list[list[Hot]]:
    """Hot squares as things: those that lie within `apart_m` of each other, in the order of their squares."""
    left = {tuple(int(v) for v in column_row(h.cell)): h for h in sorted(hot, key=lambda h: h.cell)}
    reach = range(-options.apart_m, options.apart_m + 1)
    things = []
    while left:
        place, first = next(iter(left.items()))
        del left[place]
        thing, edge = [first], [place]
        while edge:
            x, y = edge.pop()
            for near in [(x + dx, y + dy) for dx in reach for dy in reach if (x + dx, y + dy) in left]:
                thing.append(left.pop(near))
                edge.append(near)
        things.append(thing)
    return things


def candidate(
    thing: Sequence[Hot], passed: Mapping[int, NDArray[np.int64]], options: LearnOptions
) -> Candidate | None:
    """A thing as a candidate; None where it does not lie across travel as the options ask. ``passed``: by block how
    often each square was passed, int64 (1024,), of the thing's blocks and those beside them."""
    column, row = column_row(np.array([h.cell for h in thing]))
    x, y = column + 0.5, row + 0.5
    middle = np.array([x.mean(), y.mean()])
    along = _travel(middle, passed, options)
    if along is None:
        return None
    across = np.array([-along[1], along[0]])
    offset = np.stack([x, y], axis=1) - middle
    wide, deep = offset @ across, offset @ along
    wide_m, long_m = float(np.ptp(wide)) + 1.0, float(np.ptp(deep)) + 1.0
    if wide_m < options.wide_m or long_m > min(options.long_m, wide_m):
        return None
    ends = [middle + across * edge for edge in (float(wide.min()) - 0.5, float(wide.max()) + 0.5)]
    nearest = min(thing, key=lambda h: (abs(column_row(h.cell)[0] + 0.5 - middle[0])
                                        + abs(column_row(h.cell)[1] + 0.5 - middle[1]), h.cell))  # fmt: skip
    return Candidate(
        cell=nearest.cell,
        ends_m=((float(ends[0][0]), float(ends[0][1])), (float(ends[1][0]), float(ends[1][1]))),
        wide_m=wide_m, long_m=long_m, days=min(h.days for h in thing),
        passes=max(h.passes for h in thing), felt_share=min(h.felt_share for h in thing),
        device_share=min(h.device_share for h in thing), severity=sum(h.severity for h in thing) / len(thing),
        spread=max(h.spread for h in thing), growth=max(h.newest - h.oldest for h in thing),
    )  # fmt: skip


def _travel(
    middle: NDArray[np.float64], passed: Mapping[int, NDArray[np.int64]], options: LearnOptions
) -> NDArray[np.float64] | None:
    """Along which line vehicles pass a place, a unit vector: the long axis of the squares that they passed around it.
    None where they pass both ways alike, as on a crossing."""
    xs, ys, weights = [], [], []
    for block, n in sorted(passed.items()):
        column, row = column_row(cells_of_block(block))
        x, y = column + 0.5 - middle[0], row + 0.5 - middle[1]
        near = (np.hypot(x, y) <= options.around_m) & (n > 0)
        xs.append(x[near])
        ys.append(y[near])
        weights.append(n[near])
    if not xs or not sum(len(v) for v in xs):
        return None
    axis, long = _axis(np.concatenate(xs), np.concatenate(ys), np.concatenate(weights).astype(np.float64))
    return axis if long >= _LONG else None


_LONG = 1.5
"""How much longer than wide (standard deviations) a way must be. At 1 a crossing has a direction by chance; at 3 a
road of four lanes has none within 15 m."""


def _axis(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64] | None, float]:
    """The long axis of points as a unit vector, None where there is only one place; and how much longer it is."""
    total = weight.sum()
    x, y = x - (x * weight).sum() / total, y - (y * weight).sum() / total
    xx, yy, xy = (float((a * b * weight).sum() / total) for a, b in ((x, x), (y, y), (x, y)))
    if xx + yy <= 0:
        return None, 0.0
    angle = 0.5 * math.atan2(2 * xy, xx - yy)
    root = math.hypot(xx - yy, 2 * xy)
    long, short = (xx + yy + root) / 2, max((xx + yy - root) / 2, 0.0)
    return np.array([math.cos(angle), math.sin(angle)]), math.sqrt(long / short) if short > 0 else math.inf
