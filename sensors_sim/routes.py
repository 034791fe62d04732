"""Fleets: who drives in a city, when, and which way.

Buses go there and back on fixed lines with stops, by a timetable; taxis from fare to fare; sweepers crawl along the
kerb, mostly at night; citizens' cars commute and run errands; e-bikes deliver; bicycles go short ways. A vehicle's
trips follow from the seed, its number and the day alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from ingest import City

from .catalogue import draw_act
from .drivers import LEAD_S, MANNERS, Drive, Setting, drive, route_of
from .life import Life
from .network import Lane, Network
from .plan import Act, Plan, Wheels

FLEET = ("boxes", "phones", "sweepers", "ebikes", "bikes")
"""What a fleet is made of. Boxes ride on buses and taxis, phones in citizens' cars and taxis; a sweeper has a box, an
e-bike and a bicycle carry a phone."""
_SINGLE = {"boxes": "box", "phones": "phone", "sweepers": "sweeper", "ebikes": "ebike", "bikes": "bike"}
COSTS = {
    "bus": {"trunk": 1.0, "secondary": 0.9, "branch": 3.0},
    "taxi": {"trunk": 1.0, "secondary": 1.15, "branch": 1.6},
    "car": {"trunk": 1.0, "secondary": 1.2, "branch": 1.8},
    "sweeper": {"trunk": 1.0, "secondary": 1.0, "branch": 1.0},
    "ebike": {"trunk": 1.3, "secondary": 1.0, "branch": 1.0},
    "bike": {"trunk": 1.6, "secondary": 1.0, "branch": 0.8},
}
TRIM_M, TRIM_S = 200.0, 60.0
"""A phone's trip is told only where it lies so far from both its ends, driven and as the crow flies, and so long after
and before them: what a phone would never send is not recorded here."""
_STOP_EVERY_M = 450.0
_ACTS_AN_HOUR = {
    "box": {"braking": 3.0, "turning": 3.0},
    "phone": {"handled": 5.0, "typing": 3.0, "dropped": 0.4, "braking": 3.0, "turning": 3.0},
}
"""How often drivers and passengers do what shakes a device (proposed; nobody has counted it)."""


@dataclass(frozen=True)
class Vehicle:
    """One vehicle with one device. use: a key of MANNERS. seeds: of the vehicle and of the device."""

    number: int
    device: str
    kind: str
    use: str
    carrier: str
    model: str
    wheels: Wheels
    rate_hz: float
    equipment: frozenset[str]
    vehicle_seed: int
    device_seed: int
    habit_m: float


@dataclass(frozen=True, eq=False)
class Leg:
    """One lane of a trip, ready to be felt: what it owns in time, and its plan. first: whether a trip begins."""

    vehicle: Vehicle
    first: bool
    start_s: float
    end_s: float
    plan: Plan


@dataclass
class Tally:
    """What drivers did while legs were made."""

    trips: int = 0
    swerved: int = 0
    slowed: int = 0
    acts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, eq=False)
class Town:
    """All that legs are made from. moment: at which the first day begins, unix seconds. handled: how much more often
    than usual phones are handled, typed on and dropped."""

    city: City
    network: Network
    life: Life
    seed: int
    moment: int
    handled: float = 1.0
    tally: Tally = field(default_factory=Tally)


def _models_of(models: dict[str, str], carrier: str) -> list[str]:
    """Of this carrier; where a family has none, of the one that is driven most alike."""
    for like in (carrier, {"bike": "ebike"}.get(carrier, "car"), "car"):
        if found := sorted(m for m, c in models.items() if c == like):
            return found
    raise ValueError("the physics has no cars")


def read_fleet(text: str) -> dict[str, int]:
    """The fleet in a text like boxes=20,phones=60. Raises ValueError that says what is known."""
    fleet = dict.fromkeys(FLEET, 0)
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, number = part.partition("=")
        if name not in fleet or not number.isdigit():
            raise ValueError(f"{part!r} is not part of a fleet: NAME=NUMBER with a name of {', '.join(FLEET)}")
        fleet[name] = int(number)
    if not sum(fleet.values()):
        raise ValueError("the fleet is empty: give for example boxes=2,phones=6")
    return fleet


def vehicles(
    fleet: dict[str, int], models: dict[str, str], draw_wheels: object, equipment: frozenset[str], seed: int
) -> list[Vehicle]:
    """The vehicles of a fleet, numbered in the order of FLEET. models: of the physics, name -> carrier; draw_wheels:
    (model, vehicle seed) -> Wheels."""
    if not callable(draw_wheels):
        raise TypeError("draw_wheels is a function")
    out: list[Vehicle] = []
    for name in FLEET:
        for index in range(fleet.get(name, 0)):
            rng = np.random.default_rng([seed, 40, FLEET.index(name), index])
            luck = float(rng.uniform())
            kind = "box" if name in ("boxes", "sweepers") else "phone"
            use = {"sweepers": "sweeper", "ebikes": "ebike", "bikes": "bike"}.get(name, "")
            use = use or (("bus" if luck < 0.7 else "taxi") if name == "boxes" else ("taxi" if luck < 0.3 else "car"))
            carrier = {"taxi": "car"}.get(use, use)
            known = _models_of(models, carrier)
            taxis = [m for m in known if "taxi" in m]
            choice = taxis if use == "taxi" and taxis else known
            vehicle_seed, device_seed = (int(v) for v in rng.integers(1, 1 << 31, 2))
            model = choice[int(rng.integers(len(choice)))]
            wheels = draw_wheels(model, vehicle_seed)
            rate = 200.0 if kind == "box" else float(rng.choice([50.0, 60.0]))
            out.append(
                Vehicle(
                    len(out), f"sim-{_SINGLE[name]}-{index + 1:04d}", kind, use, carrier, model, wheels, rate,
                    equipment if kind == "box" else frozenset(), vehicle_seed, device_seed,
                    float(rng.normal(0, 0.18)),
                )
            )  # fmt: skip
    return out


class Driver:
    """Makes the legs of one vehicle, day after day."""

    def __init__(self, town: Town, vehicle: Vehicle) -> None:
        self._town, self._vehicle = town, vehicle
        rng = np.random.default_rng([town.seed, 41, vehicle.number])
        count = len(town.network.nodes_m)
        self._home, self._work = self._far(rng, int(rng.integers(count)), 1200.0, 6000.0)
        self._line = self._bus_line()

    def _far(self, rng: np.random.Generator, first: int, least_m: float, most_m: float) -> tuple[int, int]:
        """A crossing so far away that can be reached (or the farthest of some, in a small town)."""
        network = self._town.network
        best, best_m = (first + 1) % len(network.nodes_m), 0.0
        for last in rng.integers(len(network.nodes_m), size=24).tolist():
            away = network.apart_m(first, last)
            if least_m <= away <= most_m:
                return first, last
            if best_m < away < most_m:
                best, best_m = last, away
        return first, best

    def _bus_line(self) -> tuple[int, int]:
        """Both ends of a bus line: of some pairs the one farthest apart. Two buses that follow each other share one."""
        rng = np.random.default_rng([self._town.seed, 42, self._vehicle.number // 2])
        pairs = [(int(a), int(b)) for a, b in rng.integers(len(self._town.network.nodes_m), size=(6, 2))]
        return max(pairs, key=lambda pair: self._town.network.apart_m(*pair))

    def legs(self, windows: list[tuple[float, float]]) -> Iterator[Leg]:
        """All legs that begin within the windows (unix seconds), in order."""
        ready_s = -np.inf
        for day, (begin_s, end_s) in enumerate(windows):
            rng = np.random.default_rng([self._town.seed, 43, self._vehicle.number, day, self._town.moment])
            for number, (due_s, first, last) in enumerate(self._trips(rng, begin_s, end_s)):
                own = np.random.default_rng([self._town.seed, 44, self._vehicle.number, day, number, self._town.moment])
                start_s = max(due_s, ready_s)
                if start_s >= end_s:
                    break
                driven = self._drive(own, start_s, first, last)
                if driven is None:
                    continue
                yield from self._told(driven, own, end_s)
                ready_s = driven.t0_s + len(driven.s_m) / 100.0 + float(own.uniform(45, 240))

    def _trips(self, rng: np.random.Generator, begin_s: float, end_s: float) -> Iterator[tuple[float, int, int]]:
        """When a trip is due, from where and where to; the next one waits until the last is over."""
        use, count = self._vehicle.use, len(self._town.network.nodes_m)
        here = self._home if use == "car" else int(rng.integers(count))
        at_s = begin_s + float(rng.uniform(0, 600 if use == "car" else 90))
        if use == "bus":
            ends = self._line
            turn = int(rng.integers(2))
            while at_s < end_s:
                yield at_s, ends[turn], ends[1 - turn]
                turn = 1 - turn
                at_s += 300.0  # the timetable: at once, where the bus is late
            return
        every, least_m, most_m = {
            "taxi": (240.0, 1200.0, 5000.0), "sweeper": (300.0, 500.0, 1800.0), "ebike": (700.0, 700.0, 3000.0),
            "bike": (2400.0, 600.0, 2000.0), "car": (9000.0, 1000.0, 6000.0),
        }[use]  # fmt: skip
        commutes = [] if use != "car" else self._commutes(rng, begin_s, end_s)
        while at_s < end_s:
            if commutes and at_s > commutes[0][0] - 1800:
                due_s, first, last = commutes.pop(0)
                yield due_s, first, last
                at_s, here = due_s + float(rng.exponential(every)), last
                continue
            if use == "sweeper" and not (self._town.life.weather.night(at_s) or rng.uniform() < 0.35):
                at_s += 1800.0  # by day two of three half-hours in the depot
                continue
            _, there = self._far(rng, here, least_m, most_m)
            yield at_s, here, there
            here = there
            at_s += every * float(rng.uniform(0.5, 1.5))

    def _commutes(self, rng: np.random.Generator, begin_s: float, end_s: float) -> list[tuple[float, int, int]]:
        """To work about 8:00 and home about 18:00, local time, as far as they lie in the window."""
        local = datetime.fromtimestamp(begin_s, UTC).astimezone(self._town.city.zone)
        midnight_s = begin_s - (local.hour * 3600 + local.minute * 60 + local.second)
        there, back = midnight_s + 3600 * rng.normal(7.8, 0.6), midnight_s + 3600 * rng.normal(17.9, 0.9)
        trips = [(float(there), self._home, self._work), (float(back), self._work, self._home)]
        return [t for t in trips if begin_s <= t[0] < end_s]

    def _drive(self, rng: np.random.Generator, start_s: float, first: int, last: int) -> Drive | None:
        town, vehicle = self._town, self._vehicle
        path = town.network.path(first, last, COSTS[vehicle.use])
        if not path:
            return None
        manner = MANNERS[vehicle.use]
        lanes = []
        for key in path:
            beside = town.network.lanes_of[key]
            at_kerb = manner.kerb or vehicle.use == "bus" or rng.uniform() < 0.3
            lanes.append(beside[0] if at_kerb else beside[int(rng.integers(len(beside)))])
        local = datetime.fromtimestamp(start_s, UTC).astimezone(town.city.zone)
        hour = local.hour + local.minute / 60
        crowd = max(0.2, 1 - abs(hour - 8) / 1.5, 1 - abs(hour - 18) / 2) if 6 <= hour < 22 else 0.0
        setting = Setting(
            manner, vehicle.wheels.half_track_m, vehicle.wheels.width_m, town.life.weather.night(start_s),
            town.life.weather.wet(start_s), crowd, _stops_m if vehicle.use == "bus" else _nowhere,
        )  # fmt: skip
        # Whole milliseconds: a device's clock has no more.
        start_s = round(start_s - LEAD_S, 3)
        driven = drive(town.network, town.life, route_of(tuple(lanes)), setting, start_s, vehicle.habit_m, rng)
        town.tally.trips += 1
        town.tally.swerved += driven.swerved
        town.tally.slowed += driven.slowed
        return driven

    def _told(self, driven: Drive, rng: np.random.Generator, end_s: float) -> Iterator[Leg]:
        vehicle, town = self._vehicle, self._town
        begin = True
        for piece, lane in enumerate(driven.route.lanes):
            start, end = driven.owned_s(piece)
            seed, rate = int(rng.integers(1, 1 << 31)), _ACTS_AN_HOUR[vehicle.kind]
            luck = rng.uniform(size=(len(rate), 2))
            if start >= end_s or (vehicle.kind == "phone" and not _far_from_ends(driven, piece)):
                continue
            acts: list[Act] = []
            for (kind, often), (chance, when) in zip(rate.items(), luck.tolist(), strict=True):
                more = town.handled if kind in ("handled", "typing", "dropped") else 1.0
                if chance < often * more * (end - start) / 3600:
                    at_s = LEAD_S + when * (end - start)
                    acts.append(draw_act(np.random.default_rng([seed, len(acts)]), kind, at_s))
                    town.tally.acts[kind] += 1
            plan = Plan(
                town.life.stretch(lane, start), driven.way(piece), vehicle.carrier, vehicle.model, vehicle.wheels,
                vehicle.kind, vehicle.rate_hz, vehicle.equipment, _sorted(acts), vehicle.vehicle_seed,
                vehicle.device_seed, seed, town.life.weather.night(start), town.life.weather.wet(start),
            )  # fmt: skip
            yield Leg(vehicle, begin, start, end, plan)
            begin = False


def _sorted(acts: list[Act]) -> tuple[Act, ...]:
    return tuple(sorted(acts, key=lambda act: act.t_s))


def _nowhere(_lane: Lane) -> tuple[float, ...]:
    return ()


def _stops_m(lane: Lane) -> tuple[float, ...]:
    """Where buses stop on a lane, the same for all lines; none on short lanes."""
    count = int(lane.length_m / _STOP_EVERY_M + (lane.number * 0.618) % 1)
    return tuple(lane.length_m * (i + 0.6) / count for i in range(count) if lane.length_m > 120)


def _far_from_ends(driven: Drive, piece: int) -> bool:
    route = driven.route
    first, last = route.starts_m[piece], route.starts_m[piece + 1]
    start, end = driven.owned_s(piece)
    over_s = driven.t0_s + len(driven.s_m) / 100.0
    if first < TRIM_M or route.starts_m[-1] - last < TRIM_M or start - driven.t0_s < TRIM_S or over_s - end < TRIM_S:
        return False
    line = route.line[np.searchsorted(route.along_m, first) : np.searchsorted(route.along_m, last)]
    return all(float(np.hypot(*(line - end_).T).min()) >= TRIM_M for end_ in (route.line[0], route.line[-1]))
