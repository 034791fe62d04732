"""How well map matching finds road, direction and lane, on a simulated town whose truth is known.

The town is a warped grid of streets, some one-way, with service roads 15 m beside its trunk roads. What is matched to
is drawn with errors. Fixes err as receivers do: for half a minute in one direction.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import SECTION_M, Matched, RoadNet, Section, match, nearest_sections, road_net

Points = NDArray[np.float64]

BLOCK_M = 300.0
LANE_M = 3.5
BESIDE_M = 15.0
"""From a trunk road's axis to its service road's: what the issue of parallel roads is measured on."""
CROSSING_M = 12.0
"""So far from where axes meet a vehicle is within the crossing, and belongs to no one section."""
LASTS_S = 30.0
"""Of a receiver's error (domain notes)."""
RADIUS68 = 1.5096
_EACH_WAY = {"trunk": 3, "secondary": 2, "branch": 1}


@dataclass(frozen=True, eq=False)
class _Road:
    """Of the town. axis: true, a point a metre; first: number of its first section, count: how many, evenly long."""

    start: int
    end: int
    axis: Points
    lanes: int
    oneway: bool
    beside: bool
    first: int
    count: int


@dataclass(frozen=True, eq=False)
class Town:
    """roads with their truth; net: as drawn. length_m: of sections, by number."""

    roads: list[_Road]
    net: RoadNet
    length_m: dict[int, float]


@dataclass(frozen=True, eq=False)
class Drive:
    """Fixes of one drive and their truth: section, forward, lane (from the left edge as drawn), crossing: within one,
    beside: on a service road or a trunk road; lanes: of the direction driven; driven: section at each
    metre of the way."""

    t_s: Points
    x_m: Points
    y_m: Points
    sigma_m: Points
    heading_deg: Points
    speed_mps: Points
    section: NDArray[np.int64]
    forward: NDArray[np.bool_]
    lane: NDArray[np.int64]
    crossing: NDArray[np.bool_]
    beside: NDArray[np.bool_]
    lanes: NDArray[np.int64]
    driven: NDArray[np.int64]


@dataclass(frozen=True)
class Receiver:
    """radius_m: between these lies a drive's 68 % radius; every_s: a fix; course_deg: error of courses, 0 gives none;
    gaps: of 20 to 60 s, a kilometre."""

    name: str
    radius_m: tuple[float, float]
    every_s: float = 1.0
    course_deg: float = 6.0
    gaps: float = 0.0


RECEIVERS = (
    Receiver("box 1 s", (0.0755, 0.0755), course_deg=1.5),
    Receiver("phone 1 s", (3.0, 10.0)),
    Receiver("phone 1 s, gaps", (3.0, 10.0), gaps=1.0),
    Receiver("phone 5 s", (3.0, 10.0), 5.0),
    Receiver("phone 5 s, no course", (3.0, 10.0), 5.0, 0.0),
    Receiver("phone 15 s, no course", (3.0, 10.0), 15.0, 0.0),
)
TURNS_DEG = (0.0, 23.0)
ROWS = len(TURNS_DEG) * len(RECEIVERS)


def _left_of(line: Points, left_m: float) -> Points:
    d = np.gradient(line, axis=0)
    d /= np.hypot(d[:, 0], d[:, 1])[:, None]
    return np.asarray(line + left_m * np.stack([-d[:, 1], d[:, 0]], axis=1))


def _even(line: Points, step_m: float = 1.0) -> Points:
    along = np.append(0.0, np.cumsum(np.hypot(*np.diff(line, axis=0).T)))
    s = np.linspace(0.0, along[-1], max(2, round(along[-1] / step_m) + 1))
    return np.stack([np.interp(s, along, line[:, 0]), np.interp(s, along, line[:, 1])], axis=1)


def town(seed: int, turn_deg: float, size: int = 8, axis_sigma_m: float = 0.5) -> Town:
    """size by size crossings, turned by turn_deg; each road's drawn axis is off by axis_sigma_m (one sigma, aside)."""
    rng = np.random.default_rng([seed, 1])
    spot = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1).reshape(-1, 2)
    turn = math.radians(turn_deg)
    nodes = (spot + rng.normal(0, 0.05, spot.shape)) * BLOCK_M
    nodes = nodes @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    roads: list[_Road] = []
    drawn: list[Section] = []

    def put(start: int, end: int, axis: Points, kind: str, oneway: bool, beside: bool) -> None:
        lanes = _EACH_WAY[kind]
        # Ends stay where they are, so that roads meet; between them the drawing is off.
        off = rng.normal(0, axis_sigma_m)
        taper = np.clip(np.minimum(np.arange(len(axis)), np.arange(len(axis))[::-1]) / 30.0, 0, 1)
        line = axis + (_left_of(axis, 1.0) - axis) * (off * taper)[:, None]
        count = max(1, round((len(axis) - 1) / SECTION_M))
        cuts = np.linspace(0, len(axis) - 1, count + 1).round().astype(int)
        roads.append(_Road(start, end, axis, lanes, oneway, beside, len(drawn) + 1, count))
        of_all = lanes * (1 if oneway else 2)
        for a, b in pairwise(cuts.tolist()):
            piece = line[np.unique(np.append(np.arange(a, b, 10), b))]
            drawn.append(
                Section(
                    len(drawn) + 1, str(len(roads)), "", "", kind, of_all * LANE_M, True, of_all, oneway, "", "",
                    piece[:, 0].copy(), piece[:, 1].copy(), float(a), float(b - a),
                )
            )  # fmt: skip

    for i in range(size):
        for j in range(size):
            for across, (k, m) in ((0, (i + 1, j)), (1, (i, j + 1))):
                if k >= size or m >= size:
                    continue
                number = j if across == 0 else i
                kind = "trunk" if number % 4 == 1 else "secondary" if number % 2 == 0 else "branch"
                a, b = nodes[i * size + j], nodes[k * size + m]
                bend = rng.uniform(-0.06, 0.06)
                u = np.linspace(0, 1, 40)[:, None]
                middle = (a + b) / 2 + bend * np.array([a[1] - b[1], b[0] - a[0]])
                axis = _even((1 - u) ** 2 * a + 2 * (1 - u) * u * middle + u**2 * b)
                oneway = kind == "branch" and rng.uniform() < 0.3
                put(i * size + j, k * size + m, axis, kind, oneway, kind == "trunk")
                if kind == "trunk" and rng.uniform() < 0.6:
                    side = _left_of(axis, -BESIDE_M)[30:-30]
                    put(i * size + j, k * size + m, _even(np.vstack([axis[:1], side, axis[-1:]])), "branch", True, True)
    return Town(roads, road_net(drawn), {s.number: s.length_m for s in drawn})


def drive(of: Town, receiver: Receiver, seed: int, length_m: float = 4000.0) -> Drive:
    """A drive at random, with halts, changes of lane at crossings, few U-turns, and what ``receiver`` says of it."""
    rng = np.random.default_rng([seed, 2])
    out: dict[int, list[tuple[int, bool]]] = {}
    for k, road in enumerate(of.roads):
        out.setdefault(road.start, []).append((k, True))
        if not road.oneway:
            out.setdefault(road.end, []).append((k, False))
    node = int(rng.choice(sorted(out)))
    lines: list[Points] = []
    told: list[NDArray[np.int64]] = []  # section, crossing, beside, lanes, forward, lane
    driven, before = 0.0, -1
    while driven < length_m and node in out:
        ways = [w for w in out[node] if w[0] != before] if rng.uniform() > 0.04 else out[node]
        k, forward = (ways or out[node])[int(rng.integers(len(ways or out[node])))]
        road = of.roads[k]
        index = int(rng.integers(road.lanes))  # from the right-hand kerb
        wide = road.lanes * LANE_M * (0.5 if road.oneway else 0.0)
        axis = road.axis if forward else road.axis[::-1]
        line = _left_of(axis, wide - (road.lanes - index - 0.5) * LANE_M)
        part = np.linspace(0, road.count, len(axis))
        part = part if forward else part[::-1]
        section = road.first + np.minimum(part.astype(np.int64), road.count - 1)
        lane = (road.lanes if road.oneway else 2 * road.lanes) - index if forward else index + 1
        at = np.arange(len(axis))
        crossing = np.minimum(at, at[::-1]) < CROSSING_M + 8.0
        keep = np.minimum(at, at[::-1]) >= CROSSING_M
        if road.oneway:
            lane = road.lanes - index
        alike = np.tile([int(road.beside), road.lanes, int(forward), lane], (len(axis), 1))
        row = np.column_stack([section, crossing, alike])
        if lines:  # the curve over the crossing, half of it of each road
            a, b = lines[-1][-1], line[keep][0]
            link = np.linspace(a, b, max(2, round(float(np.hypot(*(b - a))))))[1:-1]
            half = len(link) // 2
            marks = np.concatenate([np.repeat(told[-1][-1:], half, 0), np.repeat(row[keep][:1], len(link) - half, 0)])
            marks[:, 1] = 1
            lines.append(link)
            told.append(marks)
        lines.append(line[keep])
        told.append(row[keep])
        driven += len(axis)
        before, node = k, road.end if forward else road.start
    way, marks = np.concatenate(lines), np.concatenate(told)
    place = np.append(0.0, np.cumsum(np.hypot(*np.diff(way, axis=0).T)))
    return _received(way, marks, place, receiver, rng)


def _received(
    way: Points, marks: NDArray[np.int64], place: Points, receiver: Receiver, rng: np.random.Generator
) -> Drive:
    """What the receiver says on the way, driven at 7 to 15 m/s with a halt of up to 40 s each 500 m or so."""
    speed = np.interp(place, np.arange(0, place[-1] + 200, 100.0), rng.uniform(7, 15, int(place[-1] / 100) + 3))
    took = np.diff(place) / speed[1:]
    for stop in np.flatnonzero(rng.uniform(size=len(took)) < 0.002):
        took[stop] += rng.uniform(5, 40)
    passed = np.append(0.0, np.cumsum(took))
    t = np.arange(0.0, passed[-1], receiver.every_s)
    for _ in range(rng.poisson(receiver.gaps * place[-1] / 1000)):
        begin = rng.uniform(0, passed[-1])
        t = t[(t < begin) | (t > begin + rng.uniform(20, 60))]
    s = np.interp(t, passed, place)
    k = np.clip(np.searchsorted(place, s), 1, len(place) - 1)
    step = way[k] - way[k - 1]
    x, y = np.interp(s, place, way[:, 0]), np.interp(s, place, way[:, 1])
    sigma = rng.uniform(*receiver.radius_m) / RADIUS68
    error = np.zeros((len(t), 2))
    for i in range(len(t)):
        held = math.exp(-(t[i] - t[i - 1]) / LASTS_S) if i else 0.0
        error[i] = held * error[i - 1] + math.sqrt(1 - held * held) * rng.normal(0, sigma, 2)
    fresh = rng.normal(0, 0.15 * sigma, (len(t), 2))
    standing = np.append(np.diff(s) < 0.5 * receiver.every_s, False)
    course = np.degrees(np.arctan2(step[:, 0], step[:, 1])) + rng.normal(0, max(receiver.course_deg, 1e-9), len(t))
    fast = np.where(standing, 0.0, speed[k])
    stated = sigma * math.exp(rng.normal(0, 0.3))  # receivers are wrong about themselves too
    return Drive(
        t, x + error[:, 0] + fresh[:, 0], y + error[:, 1] + fresh[:, 1], np.full(len(t), max(stated, 0.02)),
        course % 360 if receiver.course_deg else np.full(len(t), -1.0), fast, marks[k, 0], marks[k, 4] > 0,
        marks[k, 5], marks[k, 1] > 0, marks[k, 2] > 0, marks[k, 3], marks[:, 0],
    )  # fmt: skip


def _route_error(of: Town, found: Matched, truth: Drive) -> tuple[float, float]:
    """Metres of sections driven but not found, or found but not driven, each visit counted; and metres driven."""

    def visits(sequence: Sequence[int]) -> dict[int, int]:
        count: dict[int, int] = {}
        for i, number in enumerate(sequence):
            if not i or sequence[i - 1] != number:
                count[number] = count.get(number, 0) + 1
        return count

    driven, told = visits(truth.driven.tolist()), visits(found.path.tolist())
    wrong = sum(abs(driven.get(n, 0) - told.get(n, 0)) * of.length_m[n] for n in driven.keys() | told.keys())
    return wrong, sum(of.length_m[n] * k for n, k in driven.items())


def simulated(drives: int, seed: int, done: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
    """A row a receiver and town: shares right of fixes away from crossings, and of the nearest road in the same run.
    done is called after each row, of which there are ROWS."""
    rows: list[dict[str, Any]] = []
    for turn_deg in TURNS_DEG:
        of = town(seed, turn_deg)
        road_of = np.zeros(len(of.net.number) + 1, np.int64)
        for k, road in enumerate(of.roads, start=1):
            road_of[road.first : road.first + road.count] = k
        for receiver in RECEIVERS:
            trips = [drive(of, receiver, seed * 1000 + k) for k in range(drives)]
            _matched(of.net, trips[0])  # compiles, or loads what was compiled
            began = time.process_time()
            found = [_matched(of.net, trip) for trip in trips]
            took = time.process_time() - began
            clear = ~np.concatenate([d.crossing for d in trips])
            section = np.concatenate([d.section for d in trips])[clear]
            beside = np.concatenate([d.beside for d in trips])[clear]
            forward = np.concatenate([d.forward for d in trips])[clear]
            lane = np.concatenate([d.lane for d in trips])[clear]
            said = np.concatenate([m.section for m in found])[clear]
            said_lane = np.concatenate([m.lane for m in found])[clear]
            way = np.concatenate([m.forward for m in found])[clear] == forward
            sure = np.concatenate([m.probability for m in found])[clear]
            near = np.concatenate([nearest_sections(of.net, d.x_m, d.y_m, 120.0)[0] for d in trips])[clear]
            wrong, driven = np.sum([_route_error(of, m, d) for m, d in zip(found, trips, strict=True)], axis=0)
            choice = np.concatenate([d.lanes for d in trips])[clear] > 1  # elsewhere the direction is the lane
            claimed = (said_lane > 0) & choice
            right_road = road_of[said] == road_of[section]
            rows.append(
                {
                    "town": f"turned {turn_deg:.0f} deg", "receiver": receiver.name, "fixes": len(section),
                    "section": _share(said == section), "section_nearest": _share(near == section),
                    "road": _share(right_road), "road_nearest": _share(road_of[near] == road_of[section]),
                    "road_beside": _share(right_road[beside]),
                    "road_beside_nearest": _share((road_of[near] == road_of[section])[beside]),
                    "direction": _share(way[right_road]), "probability": round(float(sure.mean()), 4),
                    "sure": _share(sure > 0.95), "right_of_sure": _share((said == section)[sure > 0.95]),
                    "lane_told": _share(claimed[choice]),
                    "lane_right": _share(((said_lane == lane) & right_road)[claimed]),
                    "route_error": round(float(wrong / driven), 4),
                    "fixes_per_s": round(sum(len(d.t_s) for d in trips) / max(took, 1e-9)),
                }
            )  # fmt: skip
            done()
    return rows


def _matched(net: RoadNet, trip: Drive) -> Matched:
    return match(net, trip.t_s, trip.x_m, trip.y_m, trip.sigma_m, trip.heading_deg, trip.speed_mps)


def _share(true: NDArray[np.bool_]) -> float | None:
    return round(float(true.mean()), 4) if len(true) else None
