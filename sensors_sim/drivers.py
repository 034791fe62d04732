"""How somebody drives a route: speed with lights, stops, curves and bumps, the place in the lane, and swerving.

A route is a row of lanes with curves over the crossings between them. Its whole drive is computed at once on points a
metre apart, then turned into values of time; the part over one lane becomes the way of one plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .life import CONED, Life, Spot
from .network import Lane, Network, Points, headings_rad, turn
from .plan import WAY_HZ, Series, Thing, Way
from .truth import LANE_M

LEAD_S = 3.0
"""Of a way before and after what its plan owns: the context of the first and last chunk, with a fix to spare. Shorter,
and the platform's filters begin inside what they judge; longer is computed for nothing."""
_SMOOTH_S = 0.6
"""Over so long nobody changes from throttle to brake. Shorter, and each change of force is a jolt in itself."""
_GAP_M = 0.15  # between a tyre and the edge of what is avoided

CLASS_KMH = {"trunk": 52.0, "secondary": 42.0, "branch": 28.0}
"""Speeds wished for on a free road of a city (proposed)."""
RED_LIGHT = {"trunk": 0.40, "secondary": 0.35, "branch": 0.20}
"""Chance to stop at the crossing at a lane's end (proposed)."""
SEEN = {
    "pothole": 0.8, "subsidence": 0.5, "shoving": 0.4, "defective_cover": 0.6, "frame_level": 0.25, "faulting": 0.1,
    "mud_boil": 0.4, "litter": 0.8, "ponding": 0.6, "broken_slab": 0.2, "edge_break": 0.5,
}  # fmt: skip
"""Chance that a driver who comes by day sees a red one in time (proposed); of what is not here nobody takes notice."""
SLOWED_KMH = {"speed_bump": 18.0, "raised_crosswalk": 25.0, "rail": 32.0}


@dataclass(frozen=True)
class Manner:
    """How a kind of vehicle is driven. pace: of CLASS_KMH; fixed_kmh: range of its own speed, where it keeps to one;
    accel, brake, lateral: m/s²; kerb: whether it keeps to the right edge; reach_m: how far it swerves at most;
    cares: how much more or less than a car's driver."""

    pace: float
    accel: float
    brake: float
    lateral: float
    fixed_kmh: tuple[float, float] | None = None
    kerb: bool = False
    reach_m: float = 1.2
    cares: float = 1.0


MANNERS = {
    "bus": Manner(0.85, 0.9, 1.1, 1.3, reach_m=0.6, cares=0.6),
    "taxi": Manner(1.05, 1.6, 2.0, 2.3),
    "car": Manner(1.0, 1.4, 1.7, 2.0),
    "sweeper": Manner(0.2, 0.5, 0.7, 1.0, (5.0, 10.0), kerb=True, reach_m=0.4, cares=0.2),
    "ebike": Manner(0.6, 1.2, 1.6, 1.8, (17.0, 25.0), kerb=True, reach_m=0.7, cares=1.3),
    "bike": Manner(0.4, 0.7, 1.2, 1.5, (10.0, 16.0), kerb=True, reach_m=0.7, cares=1.4),
}


@dataclass(frozen=True, eq=False)
class Route:
    """Lanes in a row on points evenly apart within each piece. along_m (n,) from the route's beginning; line (n, 2);
    heading_rad (n,) unwrapped; starts_m: where each lane begins, and at last the end."""

    lanes: tuple[Lane, ...]
    along_m: Series
    line: Points
    heading_rad: Series
    starts_m: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Drive:
    """A driven route, a value each 1 / WAY_HZ from t0_s on: s_m along the route, v_mps, y_m left of the lane's middle;
    slant_rad: how the vehicle stands to the lane. edges: index at which each lane begins, and at last the end.
    swerved: how many things were avoided; slowed: for how many that could not be it slowed down."""

    route: Route
    t0_s: float
    s_m: Series
    v_mps: Series
    y_m: Series
    slant_rad: Series
    edges: tuple[int, ...]
    swerved: int
    slowed: int

    def way(self, piece: int) -> Way:
        """The way over the piece-th lane and the crossing behind it, LEAD_S longer at each end."""
        lead = round(LEAD_S * WAY_HZ)
        part = slice(self.edges[piece] - lead, self.edges[piece + 1] + lead + 1)
        s, y = self.s_m[part], self.y_m[part]
        route = self.route
        heading = np.interp(s, route.along_m, route.heading_rad)
        east = np.interp(s, route.along_m, route.line[:, 0]) - y * np.sin(heading)
        north = np.interp(s, route.along_m, route.line[:, 1]) + y * np.cos(heading)
        course = (90.0 - np.degrees(heading + self.slant_rad[part])) % 360.0
        t0_s = self.t0_s + part.start / WAY_HZ
        return Way(t0_s, s - route.starts_m[piece], self.v_mps[part], y, east, north, course)

    def owned_s(self, piece: int) -> tuple[float, float]:
        """From when to when the plan of a piece owns what is felt; the next piece goes on there."""
        return self.t0_s + self.edges[piece] / WAY_HZ, self.t0_s + self.edges[piece + 1] / WAY_HZ


def route_of(lanes: tuple[Lane, ...]) -> Route:
    """Lanes and the curves between them as one line."""
    parts: list[Points] = []
    begins: list[int] = []
    count = 0
    for number, lane in enumerate(lanes):
        begins.append(count)
        parts.append(lane.line)
        count += len(lane.line)
        if number + 1 < len(lanes):
            parts.append(turn(lane, lanes[number + 1]))
            count += len(parts[-1])
    line = np.concatenate(parts)
    # Nobody steers in corners: bends are spread over some metres, which takes a hand's breadth off those of crossings.
    ends = np.concatenate([line[:1] - (line[3:0:-1] - line[:1]), line, line[-1:] - (line[-2:-5:-1] - line[-1:])])
    line = np.stack([np.convolve(ends[:, i], np.full(7, 1 / 7), mode="valid") for i in (0, 1)], axis=1)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    starts = (*(float(along[i]) for i in begins), float(along[-1]))
    return Route(lanes, along, line, headings_rad(line), starts)


def _around(thing: Thing, y_m: float, half_track_m: float, width_m: float, reach_m: float) -> float | None:
    """The nearest place across the lane at which no wheel touches a thing; None where it is out of reach."""
    clear = (thing.width_m + width_m) / 2 + _GAP_M
    wheels = (half_track_m, -half_track_m)
    places = [y_m, *(thing.y_m - w + sign * clear for w in wheels for sign in (1.0, -1.0))]
    good = [
        y for y in places if abs(y - y_m) <= reach_m and all(abs(y + w - thing.y_m) >= clear - 1e-9 for w in wheels)
    ]
    return min(good, key=lambda y: abs(y - y_m)) if good else None


def _wander_m(rng: np.random.Generator, n: int, sigma_m: float) -> Series:
    """Wander across the lane on points a metre apart: knots each 25 m with a memory of .5, smoothed."""
    knots = rng.normal(0, sigma_m, n // 25 + 4)
    for i in range(1, len(knots)):
        knots[i] = 0.5 * knots[i - 1] + math.sqrt(0.75) * knots[i]
    raw = np.interp(np.arange(n + 24) / 25.0, np.arange(len(knots)), knots)
    hann = np.hanning(27)[1:-1]
    return np.convolve(raw, hann / hann.sum(), mode="valid")


def _speed_mps(along_m: Series, limit_mps: Series, manner: Manner) -> Series:
    """The highest speed below the limits with the acceleration and braking of the manner: v² grows at most by 2 a ds,
    which is a running minimum of the limit less what could have been gained."""
    v2, gained, lost = limit_mps**2, 2 * manner.accel * along_m, 2 * manner.brake * along_m
    v2 = np.minimum.accumulate(v2 - gained) + gained
    v2 = np.minimum.accumulate((v2 + lost)[::-1])[::-1] - lost
    return np.sqrt(np.maximum(v2, 0.0))


@dataclass(frozen=True)
class Setting:
    """Who drives, and how it is around. half_track_m, width_m: of the wheels. stops_m: of a lane, where passengers
    get on; crowd: 0 on an empty road to 1 in the rush."""

    manner: Manner
    half_track_m: float
    width_m: float
    night: bool = False
    wet: bool = False
    crowd: float = 0.0
    stops_m: Callable[[Lane], tuple[float, ...]] = lambda _lane: ()


def drive(
    network: Network, life: Life, route: Route, setting: Setting, t0_s: float, habit_m: float, rng: np.random.Generator
) -> Drive:
    """One drive along a route from rest to rest, begun at t0_s. habit_m: how far left of the usual place this driver
    keeps. Draws come from ``rng`` in a fixed order."""
    manner, along = setting.manner, route.along_m
    n = len(along)
    own = rng.normal(1.0, 0.08)
    fixed = None if manner.fixed_kmh is None else float(rng.uniform(*manner.fixed_kmh))
    limit = np.empty(n)
    dwell: dict[int, float] = {0: LEAD_S + 0.5, n - 1: LEAD_S + 0.5}
    for number, lane in enumerate(route.lanes):
        part = slice(*np.searchsorted(along, route.starts_m[number : number + 2]).tolist())
        road_class = network.roads[lane.road].road_class
        wished = fixed or CLASS_KMH[road_class] * manner.pace * own * (1 - 0.35 * setting.crowd * rng.uniform())
        limit[part] = wished / 3.6 * (0.9 if setting.wet else 1.0)
        red, wait_s = rng.uniform() < RED_LIGHT[road_class], float(rng.uniform(3, 40))
        if red and number + 1 < len(route.lanes):
            dwell[int(np.searchsorted(along, route.starts_m[number] + lane.length_m - 1.5))] = wait_s
        for stop_m in setting.stops_m(lane):
            dwell[int(np.searchsorted(along, route.starts_m[number] + stop_m))] = float(rng.uniform(10, 28))
    limit[-1] = limit[-2]
    bend = np.abs(np.gradient(route.heading_rad, along))
    limit = np.minimum(limit, np.sqrt(manner.lateral / np.maximum(bend, 1e-4)))

    off_kerb = 0.35 if setting.half_track_m else 0.65  # a sweeper's wheels run by it, a bicycle keeps clear of gullies
    usual = -(LANE_M / 2 - off_kerb - setting.half_track_m) if manner.kerb else 0.0
    y = usual + habit_m + _wander_m(rng, n, 0.18)
    swerved = slowed = 0
    for number, lane in enumerate(route.lanes):
        for spot in life.spots(lane):
            thing, chance, coned = _seen(spot, t0_s, setting)
            if thing is None:
                continue
            luck = rng.uniform()
            at = int(np.searchsorted(along, route.starts_m[number] + thing.s_m))
            half = math.ceil(thing.length_m / 2 + 2)
            around = slice(max(0, at - half), min(n, at + half))
            if thing.harmless:
                if thing.kind in SLOWED_KMH:
                    limit[around] = np.minimum(limit[around], SLOWED_KMH[thing.kind] / 3.6)
                continue
            if luck >= chance:
                continue
            place = _around(
                thing, float(y[at]), setting.half_track_m, setting.width_m, 2.6 if coned else manner.reach_m
            )
            if place is None:
                limit[around] *= 0.55
                slowed += 1
            elif place != y[at]:
                _move(y, at, half, place)
                swerved += 1
    for index in dwell:
        limit[index] = 0.0
    return _timed(route, limit, y, dwell, t0_s, manner, (swerved, slowed))


def _seen(spot: Spot, t_s: float, setting: Setting) -> tuple[Thing | None, float, bool]:
    """What lies there, with what chance a driver avoids it, and whether it is fenced off. Who drives here daily knows
    a hole that has been there for some days."""
    state = spot.at(t_s)
    thing = spot.things[state] if state >= 0 else None
    if thing is None or (thing.harmless and thing.kind not in SLOWED_KMH):
        return None, 0.0, False
    if thing.harmless:
        return thing, 0.0, False
    if thing.kind in CONED and t_s >= spot.coned_s[state]:
        return thing, 1.0, True
    if thing.grade == 0 or thing.kind not in SEEN:
        return None, 0.0, False
    known = 1 - math.exp(-(t_s - spot.red_since_s(state)) / (2 * 86_400.0)) if thing.grade == 2 else 0.0
    seen = SEEN[thing.kind] * (0.45 if setting.night else 1.0) * (0.8 if setting.wet else 1.0)
    chance = (seen + (1 - seen) * 0.8 * known) if thing.grade == 2 else 0.25 * seen
    return thing, min(0.95, chance * setting.manner.cares), False


def _move(y: Series, at: int, half: int, place_m: float) -> None:
    """Leads y to place_m about point ``at`` and back, over a soft ramp of 22 m each side."""
    ramp = 22
    first, last = at - half - ramp, at + half + ramp + 1
    u = np.minimum(np.arange(first, last) - first, last - 1 - np.arange(first, last)) / ramp
    weight = 0.5 - 0.5 * np.cos(np.pi * np.minimum(u, 1.0))
    keep = slice(max(0, -first), len(weight) - max(0, last - len(y)))
    part = slice(max(0, first), min(len(y), last))
    y[part] += weight[keep] * (place_m - y[part])


def _timed(
    route: Route, limit: Series, y: Series, dwell: dict[int, float], t0_s: float, manner: Manner,
    avoided: tuple[int, int],
) -> Drive:  # fmt: skip
    """From speed over the way to values over time."""
    along = route.along_m
    v = _speed_mps(along, limit, manner)
    took = 2 * np.diff(along) / np.maximum(v[:-1] + v[1:], 0.2)
    t = np.concatenate([[0.0], np.cumsum(took)])
    waits = np.zeros(len(along))
    for index, wait_s in dwell.items():
        waits[index] = wait_s
    arrive = t + np.cumsum(waits) - waits
    leave = arrive + waits
    stand = np.flatnonzero(waits)
    times = np.insert(arrive, stand + 1, leave[stand])
    speeds = np.insert(v, stand + 1, v[stand])
    count = int(times[-1] * WAY_HZ)
    clock = np.arange(count) / WAY_HZ
    v_t = np.interp(clock, times, speeds)
    width = round(_SMOOTH_S * WAY_HZ)
    padded = np.pad(v_t, (width // 2, width - 1 - width // 2), mode="edge")
    v_t = np.convolve(padded, np.full(width, 1 / width), mode="valid")
    s = np.cumsum(v_t) / WAY_HZ
    s *= along[-1] / s[-1]  # smoothing and sums lose some centimetres, which would shift the last lanes
    slope = np.interp(s, along, np.gradient(y, along))
    # Where it stands or crawls a vehicle does not turn on the spot: the slope is that of its way, which holds then too.
    first, last = round(LEAD_S * WAY_HZ), count - 1 - round(LEAD_S * WAY_HZ)
    inner = np.searchsorted(s, route.starts_m[1:-1]).tolist()
    edges = (first, *inner, last)
    return Drive(route, t0_s, s, v_t, np.interp(s, along, y), np.arctan(slope), edges, *avoided)
