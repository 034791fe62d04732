"""The life of what lies on a city's lanes: it appears, grows, is repaired, comes back. And the weather over it.

Each lane has spots: places along it with a history of states. A defect appears by chance (more on branch roads, more
after rain and frost), grows from grade to grade, is repaired some days after somebody must have noticed, and leaves a
patch, which may fail. Covers are there from the beginning; some work loose. What a lane carries at a moment follows
from the seed, the lane and the date alone: whoever looks an hour or a day later finds the same city, grown older.

All rates are proposed, to give a stock as one sees it: see `LifeOptions`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType

import numpy as np

from ingest import City

from .catalogue import draw_defect, draw_look_alike
from .network import Lane, Network
from .plan import Stretch, Thing
from .truth import LANE_M

DAY_S = 86_400.0
_SPOTS, _SPOTS_A_BLOCK = 10_000, 2000
"""Numbers of spots that a lane has for itself, and of them a block of days; they come again after four blocks. A lane
of 300 m takes some 12 in all."""
_MOST_BLOCKS = 4
_BLOCK_S = 180 * DAY_S
"""What appears is drawn for blocks of so many days, counted from 1970."""

_A_YEAR: Mapping[str, float] = MappingProxyType({
    "linear_crack": 2.5, "net_crack": 0.8, "alligator_crack": 0.7, "shoving": 0.2, "rutting": 0.2, "subsidence": 0.6,
    "mud_boil": 0.15, "ravelling": 0.6, "pothole": 1.6, "edge_break": 0.3, "frame_level": 0.8, "pumping": 0.15,
    "bleeding": 0.3, "faulting": 0.25, "broken_slab": 0.15, "ponding": 0.5, "litter": 2.0,
})  # fmt: skip
_EVERY_M: Mapping[str, float] = MappingProxyType({
    "sound_cover": 80.0, "good_patch": 250.0, "expansion_joint": 350.0, "speed_bump": 600.0, "slab_joint": 400.0,
    "raised_crosswalk": 1500.0, "cobbles": 8000.0, "rail": 5000.0,
})  # fmt: skip
_QUICK_DAYS: Mapping[str, float] = MappingProxyType({"litter": 1.0, "ponding": 3.0, "missing": 0.5, "collapse": 1.0})
_GROW_DAYS: Mapping[str, float] = MappingProxyType({"pothole": 12.0, "subsidence": 25.0, "defective_cover": 15.0})
_BY_CLASS: Mapping[str, float] = MappingProxyType({"trunk": 0.7, "secondary": 1.0, "branch": 1.6})
_RED_DAYS: Mapping[str, float] = MappingProxyType({"trunk": 4.0, "secondary": 7.0, "branch": 12.0})


@dataclass(frozen=True)
class LifeOptions:
    """a_year: defects that appear on a kilometre of lane of a secondary road in a dry year, by type; every_m: metres of
    lane from one look-alike to the next. by_class: how much more or less on a class of road. cover_a_year: share of
    sound covers that work loose. density: times all that appears; 0 is a healthy city, 10 one for a short trial.
    rain, frost: how much faster a rainy or a freezing day makes things appear and grow.
    grow_days: dry days from a grade to the next, mean, by type; others take `slow_days`. red_days: median days from red
    to the repair, by class; yellow_days: the same of what stays yellow; quick_days: by subtype or type of what nobody
    leaves there. fails: share of patches that do not last.
    coned_days: median days after which a red hazard is coned off, if it is not repaired before.
    history_days: lived before the first moment asked for, at least. Fewer, and old yellow things are missing.
    """

    a_year: Mapping[str, float] = field(default_factory=lambda: _A_YEAR)
    every_m: Mapping[str, float] = field(default_factory=lambda: _EVERY_M)
    by_class: Mapping[str, float] = field(default_factory=lambda: _BY_CLASS)
    cover_a_year: float = 0.06
    density: float = 1.0
    rain: float = 2.0
    frost: float = 3.0
    grow_days: Mapping[str, float] = field(default_factory=lambda: _GROW_DAYS)
    slow_days: float = 60.0
    red_days: Mapping[str, float] = field(default_factory=lambda: _RED_DAYS)
    yellow_days: float = 120.0
    quick_days: Mapping[str, float] = field(default_factory=lambda: _QUICK_DAYS)
    fails: float = 0.15
    coned_days: float = 3.0
    history_days: int = 240


_OPTIONS = LifeOptions()
CONED = ("pothole", "subsidence", "defective_cover")
"""What is fenced off when it is red and still there: holes."""


PATCHED = ("pothole", "subsidence", "ravelling", "alligator_crack")
"""Whose repair leaves a patch."""


@dataclass(frozen=True, eq=False)
class Spot:
    """A place on a lane and its states: from t_s[i] on there lies things[i], None for nothing. t_s[0] is -inf where the
    first state was always there. coned_s: moments from which the state is fenced off, inf for never. number: of the
    spot in the city, and the seed of its details."""

    number: int
    lane: int
    t_s: tuple[float, ...]
    things: tuple[Thing | None, ...]
    coned_s: tuple[float, ...]

    def at(self, t_s: float) -> int:
        """Index of the state at a moment, -1 before the first."""
        return bisect_right(self.t_s, t_s) - 1

    def red_since_s(self, state: int) -> float:
        """Since when it has been red without a break at a state that is."""
        while state > 0 and (before := self.things[state - 1]) is not None and before.grade == 2:
            state -= 1
        return self.t_s[state]

    @property
    def damaged(self) -> bool:
        """Whether it ever was anything but harmless."""
        return any(t is not None and not t.harmless for t in self.things)


class Weather:
    """Rain by the hour and frost by the day of a city, from its seed: wet spells that last, cold in winter.

    Chances are those of a city like Hangzhou (proposed): rain on four days of ten, frost on one winter night of four.
    """

    def __init__(self, city: City, seed: int, first_s: float, last_s: float) -> None:
        self._city = city
        self._first = math.floor(first_s / DAY_S) - 1
        days = math.ceil(last_s / DAY_S) + 1 - self._first
        # A day's luck is its own: two weathers that begin on different days agree after some days.
        luck = np.array([np.random.default_rng([seed, 30, self._first + d]).uniform(size=4) for d in range(days)])
        wet = np.zeros(days, dtype=bool)
        for day in range(days):
            wet[day] = luck[day, 0] < (0.6 if day and wet[day - 1] else 0.27)
        month = [datetime.fromtimestamp((self._first + d) * DAY_S, UTC).month for d in range(days)]
        cold = np.isin(month, (12, 1, 2)) == city.utm_north
        self._wet, self._frost = wet, cold & (luck[:, 1] < 0.25)
        self._from_h, self._hours = 24 * luck[:, 2], 2 + 10 * luck[:, 3]

    def wet(self, t_s: float) -> bool:
        """Whether the road is wet."""
        day = min(max(math.floor(t_s / DAY_S) - self._first, 0), len(self._wet) - 1)
        hour = (t_s % DAY_S) / 3600
        return bool(self._wet[day]) and (hour - self._from_h[day]) % 24 < self._hours[day]

    def night(self, t_s: float) -> bool:
        """Whether it is dark: local time from 18:30 to 6:00."""
        local = datetime.fromtimestamp(t_s, UTC).astimezone(self._city.zone)
        hour = local.hour + local.minute / 60
        return not 6.0 <= hour < 18.5

    def worn(self, options: LifeOptions) -> tuple[float, np.ndarray]:
        """First moment and, per day, how many dry days it counts for."""
        factor = np.where(self._wet, options.rain, 1.0) * np.where(self._frost, options.frost, 1.0)
        return self._first * DAY_S, factor


class Life:
    """What lies on the lanes of a network from first_s to last_s (unix seconds), a year at most (ValueError)."""

    def __init__(
        self, network: Network, city: City, seed: int, first_s: float, last_s: float, options: LifeOptions = _OPTIONS
    ) -> None:
        self._network, self._seed, self._options = network, seed, options
        self._blocks = range(
            math.floor((first_s - options.history_days * DAY_S) / _BLOCK_S), math.floor(last_s / _BLOCK_S) + 1
        )
        if len(self._blocks) > _MOST_BLOCKS:
            raise ValueError(f"a city lives {_MOST_BLOCKS * _BLOCK_S / DAY_S:.0f} days at most, with its history")
        self._over_s = self._blocks.stop * _BLOCK_S
        self.weather = Weather(city, seed, self._blocks.start * _BLOCK_S - 30 * DAY_S, self._over_s)
        self._begin_s, factor = self.weather.worn(options)
        self._worn = np.concatenate([[0.0], np.cumsum(factor)])  # dry days counted up to each day's beginning
        self._days = np.arange(len(self._worn), dtype=np.float64)
        self._spots: dict[int, tuple[Spot, ...]] = {}
        self._stretches: dict[int, tuple[tuple[int, ...], Stretch]] = {}

    def _worn_at(self, t_s: float) -> float:
        return float(np.interp((t_s - self._begin_s) / DAY_S, self._days, self._worn))

    def _when(self, worn: float) -> float:
        """The moment at which so many dry days are counted; inf where that is not before the end."""
        if worn >= self._worn[-1]:
            return math.inf
        return float(np.interp(worn, self._worn, self._days)) * DAY_S + self._begin_s

    def _within(self, block: int, share: float) -> float:
        """The moment at which ``share`` of a block's dry days are over."""
        first, last = self._worn_at(block * _BLOCK_S), self._worn_at((block + 1) * _BLOCK_S)
        return self._when(first + share * (last - first))

    def _dry_years(self, block: int) -> float:
        return (self._worn_at((block + 1) * _BLOCK_S) - self._worn_at(block * _BLOCK_S)) / 365

    def spots(self, lane: Lane) -> tuple[Spot, ...]:
        """All spots of a lane, by their place along it."""
        known = self._spots.get(lane.number)
        if known is None:
            known = self._spots[lane.number] = self._lived(lane)
        return known

    def stretch(self, lane: Lane, t_s: float) -> Stretch:
        """The lane as it is at a moment. The same object as long as nothing changes on it."""
        spots = self.spots(lane)
        version = tuple(spot.at(t_s) for spot in spots)
        known = self._stretches.get(lane.number)
        if known is None or known[0] != version:
            things = (s.things[i] for s, i in zip(spots, version, strict=True) if i >= 0)
            stretch = Stretch(lane.length_m, lane.roughness, lane.seed, tuple(t for t in things if t is not None))
            known = self._stretches[lane.number] = (version, stretch)
        return known[1]

    def _lived(self, lane: Lane) -> tuple[Spot, ...]:
        o, km = self._options, lane.length_m / 1000
        road_class = self._network.roads[lane.road].road_class
        found: list[Spot] = []
        rng = np.random.default_rng([self._seed, 31, lane.number])
        taken: list[tuple[float, float]] = []
        number = lane.number * _SPOTS
        for kind, every in o.every_m.items():
            if kind == "speed_bump" and road_class != "branch":
                continue
            for _ in range(int(rng.poisson(lane.length_m / every))):
                fixture = _placed(rng, draw_look_alike(rng, kind), lane.length_m, taken)
                number += 1
                if fixture is None:
                    continue
                onsets = []
                for block in self._blocks if kind == "sound_cover" else ():
                    own = np.random.default_rng([self._seed, 32, number, block])
                    if own.uniform() < o.cover_a_year * o.density * self._dry_years(block):
                        onsets.append(self._within(block, float(own.uniform())))
                found.append(self._story(lane, number, fixture, onsets))
        for block in self._blocks:
            # Kept clear of the fixtures and of its own block's things: what else is still there is not known here.
            rng = np.random.default_rng([self._seed, 33, lane.number, block])
            here = list(taken)
            number = lane.number * _SPOTS + _SPOTS_A_BLOCK * (1 + block % _MOST_BLOCKS)
            for kind, a_year in o.a_year.items():
                if kind == "edge_break" and lane.index:
                    continue  # only the lane at the kerb has an edge
                rate = a_year * km * o.by_class[road_class] * o.density
                for _ in range(int(rng.poisson(rate * self._dry_years(block)))):
                    t_s = self._within(block, float(rng.uniform()))
                    grade = int(rng.choice((0, 1, 2), p=(0.45, 0.45, 0.10)))
                    thing = _placed(rng, draw_defect(rng, kind, grade, LANE_M), lane.length_m, here)
                    number += 1
                    if thing is not None:
                        found.append(self._story(lane, number, thing, [t_s]))
        return tuple(sorted(found, key=lambda s: (next(t.s_m for t in s.things if t is not None), s.number)))

    def _story(self, lane: Lane, number: int, first: Thing, onsets: list[float]) -> Spot:
        """What becomes of a first thing: of a defect from its onset on, of a cover that works loose at its onsets."""
        o = self._options
        road_class = self._network.roads[lane.road].road_class
        rng = np.random.default_rng([self._seed, 34, number])
        own = int(rng.integers(1 << 31))
        times: list[float] = []
        things: list[Thing | None] = []
        coned: list[float] = []

        def state(at_s: float, thing: Thing | None) -> None:
            hole = thing is not None and thing.grade == 2 and thing.kind in CONED
            times.append(at_s)
            things.append(None if thing is None else replace(thing, s_m=first.s_m, y_m=first.y_m, seed=number))
            coned.append(at_s + o.coned_days * DAY_S * float(rng.lognormal(0, 0.6)) if hole else math.inf)

        healthy: Thing | None = first if first.harmless else None
        if first.harmless:
            state(-math.inf, first)
        now, t_s = first, -math.inf
        for onset in onsets:
            t_s = max(t_s, onset)
            while t_s < self._over_s:
                if first.harmless or times:  # a cover works loose, or a patch fails
                    kind = "defective_cover" if first.kind == "sound_cover" else "pothole"
                    now = draw_defect(np.random.default_rng([own, len(times)]), kind, 1, LANE_M)
                    now = replace(now, subtype="failed_patch" if kind == "pothole" else now.subtype)
                state(t_s, now)
                due_s = t_s + o.yellow_days * DAY_S * float(rng.lognormal(0, 0.7))
                while (grown := self._grown(own, now)) is not None:
                    days = o.grow_days.get(now.kind, o.slow_days) * float(rng.exponential())
                    next_s = self._when(self._worn_at(t_s) + days)
                    if next_s >= due_s:
                        break
                    now, t_s = grown, next_s
                    state(t_s, now)
                median = o.red_days[road_class] if now.grade == 2 else o.yellow_days
                median = o.quick_days.get(now.subtype or now.kind, median)
                late_s = median * DAY_S * float(rng.lognormal(0, 0.7))
                t_s = max(t_s + 3600, due_s) if now.grade < 2 and now.kind not in o.quick_days else t_s + late_s
                if healthy is None and now.kind in PATCHED:
                    healthy = draw_look_alike(np.random.default_rng([own, 99]), "good_patch")
                state(t_s, healthy)
                if rng.uniform() > o.fails or healthy is None:
                    break
                t_s = self._when(self._worn_at(t_s) + float(rng.uniform(4, 40)))
        return Spot(number, lane.number, tuple(times), tuple(things), tuple(coned))

    def _grown(self, own: int, thing: Thing) -> Thing | None:
        """The next grade of a thing, never smaller than it was; None where its type has none."""
        for grade in range(thing.grade + 1, 3):
            next_ = draw_defect(np.random.default_rng([own, 7]), thing.kind, grade, LANE_M)
            if next_.grade > thing.grade:
                subtype = thing.subtype if thing.kind in ("pothole", "frame_level") else next_.subtype
                sign = math.copysign(1.0, thing.height_mm or next_.height_mm)
                return replace(
                    next_, subtype=subtype, amount=max(next_.amount, thing.amount),
                    length_m=max(next_.length_m, thing.length_m), width_m=max(next_.width_m, thing.width_m),
                    height_mm=sign * max(abs(next_.height_mm), abs(thing.height_mm)),
                )  # fmt: skip
        return None

    @cached_property
    def all_spots(self) -> tuple[Spot, ...]:
        """Of every lane, in order of their numbers."""
        return tuple(sorted((s for lane in self._network.lanes for s in self.spots(lane)), key=lambda s: s.number))


def _placed(rng: np.random.Generator, thing: Thing, lane_m: float, taken: list[tuple[float, float]]) -> Thing | None:
    """The thing at a place along the lane where nothing else lies; None where none is found."""
    half = thing.length_m / 2
    for _ in range(8):
        s_m = float(rng.uniform(half + 2, max(half + 2, lane_m - half - 2)))
        if s_m + half < lane_m and all(abs(s_m - at) > half + other + 3 for at, other in taken):
            taken.append((s_m, half))
            return replace(thing, s_m=s_m)
    return None
