"""The roads of a city: crossings, roads between them, and lanes as lines that one can drive along.

A road has a class (trunk, secondary, branch), names in two languages and so many lanes each way; traffic keeps to the
right. A lane ends where the crossing begins, and a route crosses on a curve from one lane's end to the next one's
beginning. All on a local plane: x east, y north, metres from the city's centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from .plan import Series
from .truth import LANE_M, Place

CLASSES = ("trunk", "secondary", "branch")
LANES_EACH_WAY = {"trunk": 3, "secondary": 2, "branch": 1}
ROUGHNESS = {
    "trunk": {"A": 0.50, "B": 0.40, "C": 0.10, "D": 0.0},
    "secondary": {"A": 0.30, "B": 0.45, "C": 0.20, "D": 0.05},
    "branch": {"A": 0.15, "B": 0.40, "C": 0.35, "D": 0.10},
}
"""Share of roads of each roughness (proposed): driven metres come to about A .35, B .42, C .19, D .04."""
STEP_M = 1.0
"""Points of a line are so far apart. Longer, and a turn at a crossing has corners; shorter costs time alone."""
CORNER_M = 9.0
"""A lane ends so far before the widest road of its crossing: shorter, and nobody can turn right from the kerb; longer,
and more of the road belongs to no lane and has no defects."""
SHORTEST_LANE_M = 30.0
BLOCK_M = 300.0
"""Distance of crossings in a generated city, as in the old town of a Chinese city."""

Points = NDArray[np.float64]

# Words of street names that are nobody's street in particular: Chinese, and how it is read.
_WORDS = (
    ("松风", "Songfeng"), ("竹影", "Zhuying"), ("荷香", "Hexiang"), ("云栖", "Yunqi"), ("石桥", "Shiqiao"),
    ("柳荫", "Liuyin"), ("望江", "Wangjiang"), ("听雨", "Tingyu"), ("梅岭", "Meiling"), ("白鹭", "Bailu"),
    ("晨光", "Chenguang"), ("秋水", "Qiushui"), ("古井", "Gujing"), ("银杏", "Yinxing"), ("桂花", "Guihua"),
    ("星河", "Xinghe"), ("长亭", "Changting"), ("采莲", "Cailian"), ("书院", "Shuyuan"), ("青瓦", "Qingwa"),
    ("渡口", "Dukou"), ("月湖", "Yuehu"), ("双溪", "Shuangxi"), ("茶园", "Chayuan"), ("棉纺", "Mianfang"),
    ("风车", "Fengche"), ("麦田", "Maitian"), ("港湾", "Gangwan"), ("钟楼", "Zhonglou"), ("花圃", "Huapu"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Road:
    """From one crossing to the next. axis: float64 (n, 2), its middle; lanes: each way; oneway: only along the axis."""

    number: int
    name: str
    name_zh: str
    road_class: str
    first: int
    last: int
    lanes: int
    oneway: bool
    axis: Points

    @property
    def ends(self) -> tuple[tuple[int, int, bool], ...]:
        """(from, to, along the axis) of each direction in which it may be driven."""
        there = (self.first, self.last, True)
        return (there,) if self.oneway else (there, (self.last, self.first, False))


@dataclass(frozen=True, eq=False)
class Lane:
    """One lane in its driving direction. index: 0 is at the kerb. line: float64 (n, 2), its middle, points length_m /
    (n - 1) apart. roughness: ISO 8608 class; seed: of its profile."""

    number: int
    road: int
    forward: bool
    index: int
    first: int
    last: int
    line: Points
    length_m: float
    roughness: str
    seed: int


@dataclass(frozen=True, eq=False)
class Network:
    """Crossings (nodes_m, float64 (k, 2)), roads, lanes."""

    place: Place
    nodes_m: Points
    roads: tuple[Road, ...]
    lanes: tuple[Lane, ...]

    @cached_property
    def lanes_of(self) -> dict[tuple[int, bool], tuple[Lane, ...]]:
        """Lanes of a road in a direction, from the kerb on."""
        found: dict[tuple[int, bool], list[Lane]] = {}
        for lane in self.lanes:
            found.setdefault((lane.road, lane.forward), []).append(lane)
        return {k: tuple(sorted(v, key=lambda lane: lane.index)) for k, v in found.items()}

    @cached_property
    def lengths_m(self) -> tuple[float, ...]:
        """Of the roads."""
        return tuple(_length_m(r.axis) for r in self.roads)

    @cached_property
    def onward(self) -> tuple[tuple[tuple[int, int, bool], ...], ...]:
        """Of each crossing: (crossing reached, road, along its axis)."""
        out: list[list[tuple[int, int, bool]]] = [[] for _ in self.nodes_m]
        for road in self.roads:
            for first, last, forward in road.ends:
                out[first].append((last, road.number, forward))
        return tuple(tuple(sorted(o)) for o in out)

    def path(self, first: int, last: int, costs: dict[str, float]) -> list[tuple[int, bool]] | None:
        """The cheapest way (road, along its axis) between crossings (Dijkstra's algorithm); None where there is none.
        costs: of a metre, by class of road."""
        reached = {first: 0.0}
        back: dict[int, tuple[int, int, bool]] = {}
        heap = [(0.0, first)]
        while heap:
            cost, node = heappop(heap)
            if node == last:
                break
            if cost > reached[node]:
                continue
            for to, number, forward in self.onward[node]:
                more = cost + costs[self.roads[number].road_class] * self.lengths_m[number]
                if more < reached.get(to, math.inf):
                    reached[to] = more
                    back[to] = (node, number, forward)
                    heappush(heap, (more, to))
        if last not in reached:
            return None
        ways: list[tuple[int, bool]] = []
        while last != first:
            last, number, forward = back[last]
            ways.append((number, forward))
        return ways[::-1]

    def apart_m(self, first: int, last: int) -> float:
        """Distance of two crossings as the crow flies."""
        return float(np.hypot(*(self.nodes_m[first] - self.nodes_m[last])))

    @property
    def road_km(self) -> float:
        """Length of all roads."""
        return sum(self.lengths_m) / 1000

    @property
    def lane_km(self) -> float:
        """Length of all lanes."""
        return sum(lane.length_m for lane in self.lanes) / 1000


def _length_m(line: Points) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def even(line: Points, step_m: float = STEP_M) -> Points:
    """The line with points evenly apart, about step_m."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    s = np.linspace(0.0, along[-1], max(2, round(along[-1] / step_m) + 1))
    return np.stack([np.interp(s, along, line[:, 0]), np.interp(s, along, line[:, 1])], axis=1)


def rounded(line: Points, times: int = 4) -> Points:
    """The line with its corners cut off (Chaikin's algorithm), its ends kept: roads bend, maps have corners."""
    for _ in range(times if len(line) > 2 else 0):
        a, b = line[:-1], line[1:]
        inner = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=1).reshape(-1, 2)
        line = np.concatenate([line[:1], inner[1:-1], line[-1:]])
    return line


def headings_rad(line: Points) -> Series:
    """Direction at each point, counter-clockwise from east, unwrapped."""
    d = np.gradient(line, axis=0)
    return np.unwrap(np.arctan2(d[:, 1], d[:, 0]))


def aside(line: Points, left_m: float) -> Points:
    """The parallel of a line, left_m to its left, evenly spaced."""
    h = headings_rad(line)
    return even(line + left_m * np.stack([-np.sin(h), np.cos(h)], axis=1))


def turn(before: Lane, after: Lane) -> Points:
    """The curve over a crossing from one lane's end to the next one's beginning, both ends left out: a cubic Bezier
    curve that leaves and arrives in the lanes' directions."""
    a, b = before.line[-1], after.line[0]
    ahead, arriving = before.line[-1] - before.line[-2], after.line[1] - after.line[0]
    reach = 0.39 * float(np.hypot(*(b - a)))  # of a quarter circle
    c0, c1 = a + reach * ahead / np.hypot(*ahead), b - reach * arriving / np.hypot(*arriving)
    u = np.linspace(0.0, 1.0, 60)[:, None]
    curve = (1 - u) ** 3 * a + 3 * (1 - u) ** 2 * u * c0 + 3 * (1 - u) * u**2 * c1 + u**3 * b
    return even(curve)[1:-1]


def lanes_along(roads: tuple[Road, ...], seed: int) -> tuple[Lane, ...]:
    """The lanes of all roads. Their roughness and profile hang on the seed and on nothing but the road's number."""
    lanes: list[Lane] = []
    wide_m: dict[int, float] = {}
    for road in roads:
        for node in (road.first, road.last):
            wide_m[node] = max(wide_m.get(node, 0.0), road.lanes * LANE_M)
    for road in roads:
        rng = np.random.default_rng([seed, 21, road.number])
        mix = ROUGHNESS[road.road_class]
        roughness = str(rng.choice(list(mix), p=list(mix.values())))
        axis = even(rounded(road.axis))
        spare = max(0, len(axis) - int(SHORTEST_LANE_M / STEP_M)) // 2
        begin, end = (min(spare, int((CORNER_M + wide_m[node]) / STEP_M)) for node in (road.first, road.last))
        axis = axis[begin : len(axis) - end]
        middle = road.lanes / 2 if road.oneway else 0.0  # a one-way road lies on both sides of its axis
        for first, last, forward in road.ends:
            for index in range(road.lanes):
                line = aside(axis if forward else axis[::-1], -(road.lanes - index - 0.5 - middle) * LANE_M)
                lanes.append(
                    Lane(
                        len(lanes), road.number, forward, index, first, last, line, _length_m(line), roughness,
                        int(rng.integers(1 << 31)),
                    )
                )  # fmt: skip
    return tuple(lanes)


def built(place: Place, nodes_m: Points, roads: list[Road], seed: int) -> Network:
    """The network in which one can drive for ever: the largest part of whose crossings each reaches all others."""
    keep = _core(len(nodes_m), roads)
    number = {node: i for i, node in enumerate(sorted(keep))}
    kept = [r for r in roads if r.first in keep and r.last in keep and r.first != r.last]
    final = tuple(
        Road(i, r.name, r.name_zh, r.road_class, number[r.first], number[r.last], r.lanes, r.oneway, r.axis)
        for i, r in enumerate(kept)
    )
    if not final:
        raise ValueError("the network has no two crossings that reach each other")
    return Network(place, nodes_m[sorted(keep)], final, lanes_along(final, seed))


def _core(count: int, roads: list[Road]) -> set[int]:
    """The largest set of crossings that all reach each other, found by flooding both ways from each unseen one."""
    there: list[list[int]] = [[] for _ in range(count)]
    back: list[list[int]] = [[] for _ in range(count)]
    for road in roads:
        for first, last, _ in road.ends:
            there[first].append(last)
            back[last].append(first)

    def flood(start: int, links: list[list[int]]) -> set[int]:
        seen, todo = {start}, [start]
        while todo:
            for to in links[todo.pop()]:
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        return seen

    best: set[int] = set()
    left = set(range(count))
    while len(left) > len(best):
        start = min(left)
        part = flood(start, there) & flood(start, back)
        left -= part
        best = part if len(part) > len(best) else best
    return best


def generated(centre_deg: tuple[float, float], seed: int, size: int = 9) -> Network:
    """A city of ``size`` by ``size`` crossings about ``centre_deg`` (longitude, latitude): a grid, turned and warped,
    with gaps; every fourth road is a trunk road, every second a secondary one."""
    if not 3 <= size <= 60:
        raise ValueError("a generated city has 3 to 60 crossings a side")
    rng = np.random.default_rng([seed, 20])
    turn_rad = rng.uniform(0.1, 0.6)  # off north, so that no row of squares runs along a wheel path by luck
    spot = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1).reshape(-1, 2)
    at = (spot - (size - 1) / 2 + rng.normal(0, 0.09, spot.shape)) * BLOCK_M
    cos, sin = math.cos(turn_rad), math.sin(turn_rad)
    nodes = at @ np.array([[cos, sin], [-sin, cos]])
    words = rng.permutation(len(_WORDS))

    def named(line: int, across: bool) -> tuple[str, str, str]:
        zh, en = _WORDS[int(words[(2 * line + across) % len(_WORDS)])]
        again = (2 * line + across) // len(_WORDS)  # a large city runs out of words: the second 松风 is 松风二路
        zh, en = (f"{zh}{'一二三四五六'[again]}", f"{en} No. {again + 1}") if again else (zh, en)
        kind = "trunk" if line % 4 == 1 else "secondary" if line % 2 == 0 else "branch"
        return (f"{en} Street", f"{zh}街", kind) if across else (f"{en} Road", f"{zh}路", kind)

    roads: list[Road] = []
    for i in range(size):
        for j in range(size):
            for across, (k, m) in ((False, (i + 1, j)), (True, (i, j + 1))):
                name, name_zh, kind = named(i if across else j, across)
                bend, gap = rng.uniform(-0.09, 0.09), rng.uniform()
                if k >= size or m >= size or (kind == "branch" and gap < 0.12):
                    continue
                a, b = nodes[i * size + j], nodes[k * size + m]
                middle = (a + b) / 2 + bend * np.array([a[1] - b[1], b[0] - a[0]])
                roads.append(
                    Road(
                        len(roads), name, name_zh, kind, i * size + j, k * size + m, LANES_EACH_WAY[kind], False,
                        np.array([a, middle, b]),
                    )
                )  # fmt: skip
    return built(Place(*centre_deg), nodes, roads, seed)
