"""Streets on which defects open and are repaired while boxes drive: how many days until the map knows, and whether a
hole that everybody steers around heals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import cells_at, level_of

from ..health import HealthOptions
from ..options import EvidenceOptions
from .fusion_match import away_m, clusters, counted, median
from .fusion_runs import ZONE, Driven, Fleet, ReadOut, grounds, lane_cells, middles, read_out
from .streets import Street, Thing, draw_street, grave, passable

WITHIN_M = 1.0
PASSES = 5
STREAM = 20  # of the seeds


@dataclass(frozen=True, eq=False)
class Told:
    """What was shown of a street at the end of each day, by us and by the baselines, and which things a wheel met."""

    street: Street
    met: set[int]
    shown: list[ReadOut]
    counted: list[NDArray[np.float64]]
    clusters: list[NDArray[np.float64]]

    def reds(self, thing: Thing, day: int) -> NDArray[np.int64]:
        """Red squares within a metre of a thing."""
        red = self.shown[day].red[level_of(self.shown[day].red) == 0]
        return np.asarray(red[away_m(self.street, middles(red), thing) <= WITHIN_M]) if len(red) else red

    def near(self, places: list[NDArray[np.float64]], thing: Thing, day: int) -> bool:
        """Whether a baseline has a place within a metre of a thing."""
        return bool((away_m(self.street, places[day], thing) <= WITHIN_M).any())

    def green(self, thing: Thing, day: int) -> bool:
        """Whether the square of the thing's middle is green."""
        home = cells_at(*self.street.at(np.array([thing.s_m]), np.array([thing.y_m])), ZONE)
        return bool(np.isin(home, self.shown[day].green).all())


@dataclass(eq=False)
class _Days:
    to_red: list[float] = field(default_factory=list)
    to_red_counted: list[float] = field(default_factory=list)
    to_red_clusters: list[float] = field(default_factory=list)
    ordered: list[float] = field(default_factory=list)
    unordered: list[float] = field(default_factory=list)
    to_no_red: list[float] = field(default_factory=list)
    healed: list[bool] = field(default_factory=list)
    green_avoided: list[bool] = field(default_factory=list)
    green_avoided_at_last: list[bool] = field(default_factory=list)
    healed_others: list[bool] = field(default_factory=list)
    grey: list[float] = field(default_factory=list)


def streamed(
    streets: int, days: int, seed: int, evidence: EvidenceOptions, health: HealthOptions, step: Callable[[], None]
) -> dict[str, Any]:
    """days_to_red, days_to_green, false_healed and what belongs to them; days count from 1, the day on whose morning
    the change is there. What never came is endless in a median; how often it came stands beside it."""
    out = _Days()
    for i in range(streets):
        told = _told(np.random.default_rng((seed, STREAM, i)), days, evidence, health)
        for number, thing in enumerate(told.street.things):
            if grave(thing) and passable(thing):
                _judge(told, number, thing, days, out)
        last = told.shown[-1]
        coloured = np.concatenate([last.green, last.yellow, last.red])
        out.grey.append(1 - float(np.isin(lane_cells(told.street), coloured).mean()))
        step()
    greens = out.ordered + out.unordered
    return {
        "days_to_red": median(out.to_red),
        "days_to_red_came": _share(np.isfinite(out.to_red)),
        "days_to_red_n": len(out.to_red),
        "days_to_green": median(greens),
        "days_to_green_ordered": median(out.ordered),
        "days_to_green_unordered": median(out.unordered),
        "days_to_green_came": _share(np.isfinite(greens)),
        "days_to_green_n": len(greens),
        "days_to_no_red": median(out.to_no_red),
        "false_healed": _share(out.healed),
        "false_healed_n": len(out.healed),
        "false_healed_not_avoided": _share(out.healed_others),
        "avoided_ever_green": _share(out.green_avoided),
        "avoided_green_at_last": _share(out.green_avoided_at_last),
        "avoided_n": len(out.green_avoided),
        "days_grey": _share(out.grey),
        "count_days_to_red": median(out.to_red_counted),
        "dbscan_days_to_red": median(out.to_red_clusters),
        "count_days_to_green": None,  # what was counted is never taken back
        "dbscan_days_to_green": None,
    }


def _told(rng: np.random.Generator, days: int, evidence: EvidenceOptions, health: HealthOptions) -> Told:
    street = draw_street(rng, days=(0, days), avoided=0.6)
    driven = Driven(rng, street, Fleet(PASSES, 10), evidence)
    ground = grounds(street, "drawn")
    told = Told(street, driven.world.met, [], [], [])
    for day in range(days):
        driven.day(day)
        told.shown.append(read_out(driven.world, day, health, ground))
        hits = np.array(driven.world.hits["box"]).reshape(-1, 2)
        told.counted.append(counted(hits, 3, 1.0))
        told.clusters.append(clusters(hits))
    return told


def _judge(told: Told, number: int, thing: Thing, days: int, out: _Days) -> None:
    opens, until = thing.opens, min(thing.repaired, days)
    if opens >= 0 and number in told.met and until - opens > 5:
        there = range(opens, until)
        out.to_red.append(_first(len(told.reds(thing, d)) > 0 for d in there))
        out.to_red_counted.append(_first(told.near(told.counted, thing, d) for d in there))
        out.to_red_clusters.append(_first(told.near(told.clusters, thing, d) for d in there))
    if thing.repaired < days - 4:
        was = told.reds(thing, thing.repaired - 2)  # an order is of the night before, and makes forgotten at once
        if len(was):
            after = range(thing.repaired, days)
            days_green = out.ordered if thing.ordered else out.unordered
            days_green.append(_first(bool(np.isin(was, told.shown[d].green).all()) for d in after))
            out.to_no_red.append(_first(len(told.reds(thing, d)) == 0 for d in after))
    # Of the day on which it opens nothing is asked: the square was green in the morning, and rightly.
    first = max(opens + 1, 0)
    if until - first >= 5:
        green = [told.green(thing, d) for d in range(first, until)]
        back = _healed(told, thing, range(first, until))
        if thing.avoided > 0.5:
            out.green_avoided.append(any(green))
            out.green_avoided_at_last.append(green[-1])
            out.healed += [] if back is None else [back]
        else:
            out.healed_others += [] if back is None else [back]


def _healed(told: Told, thing: Thing, there: range) -> bool | None:
    """Whether a thing that was red was ever, while it lay there, without a red and with one of its red squares green;
    None where it never was red."""
    was: set[int] = set()
    for day in there:
        red = told.reds(thing, day)
        if was and not len(red) and np.isin(sorted(was), told.shown[day].green).any():
            return True
        was.update(red.tolist())
    return False if was else None


def _first(holds: Iterable[bool]) -> float:
    """The number, from 1, of the first day that holds; endless where none does."""
    return next((float(i) for i, one in enumerate(holds, 1) if one), math.inf)


def _share(values: Iterable[float]) -> float | None:
    known = [float(v) for v in values]
    return float(np.mean(known)) if known else None
