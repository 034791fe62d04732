"""From what a file holds to the roads of a city: refusals with their names, classes, widths, districts."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest import to_frame

from .classes import NOT_A_ROAD, road_class_of, width_of
from .fields import directions, has_chinese, number_of, text_of
from .projection import Zone, project, within_reach
from .sections import Metres, Road, Section, along, middle_of
from .shapes import Area, Degrees, Features

REFUSED: dict[str, str] = {
    "no_geometry": "it has no geometry, or an empty one: draw it, or leave it out",
    "not_a_line": "it is a point or an area; a road is a line along its middle",
    "not_finite": "a coordinate is no number (NaN or infinite): export the file again",
    "out_of_degrees": "a coordinate lies beyond 180 or 90 degrees: the reference system is wrong, name it with --crs",
    "outside_zone": "it lies beyond what the UTM zone may hold: another city's file, or a wrong zone in city.toml",
    "no_length": "it is shorter than 1 m",
    "runs_back": "it turns back on itself or takes a stretch twice: every square of it would count twice",
    "doubled": "its line is that of another road of the file, point by point",
}
"""Reasons why a line of a file becomes no road, and what to do."""
LEFT_OUT: dict[str, str] = {
    "not_a_road": "its class is no road for vehicles: footways, cycleways, private drives, what is only planned",
    "other_direction": "the same two-way street drawn again the other way round, as graphs of OSMnx do",
}
"""Reasons why a line is left out without being wrong."""

MetreArea = tuple[str, list[NDArray[np.float64]]]
"""A district's name and rings, float64 (k, 2), metres of the zone."""
_SHORTEST_M = 1.0
_BACK_COS = -0.9998
"""Cosine of a turn that counts as turning back: 178.9 degrees. Nearer to -1, and a spike of a survey's noise makes
squares count twice; farther, and hairpins of a mountain road are refused."""


@dataclass
class Taken:
    """roads: in metres of the zone, each with a key of its own. refused, left_out: counts by reason (`REFUSED`,
    `LEFT_OUT`). read: features in the file. widths_known, lanes_known: roads of which the file says it."""

    roads: list[Road] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    read: int = 0
    widths_known: int = 0
    lanes_known: int = 0
    keys_of_place: bool = False


def roads_of(features: Features, fields: dict[str, str], zone: Zone, datum: str, frame: str) -> Taken:
    """The roads of a file. fields: by what they say (`KNOWN`) its columns. datum: of its coordinates; frame: the
    city's, as in `ingest.to_frame`. Without a column of keys a road's key is where it begins and ends, to 10 m."""
    taken = Taken(read=features.count)
    for reason, n in features.faults.items():
        taken.refused[reason] += n
    told = _Told(features, fields)
    lines = _lines_in_metres(features, zone, datum, frame, taken.refused)
    seen: set[bytes] = set()
    both_ways: set[tuple[str, str, str, int]] = set()
    drafts: list[Road] = []
    for line, row, part in lines:
        road_class = told.road_class[row]
        if road_class == NOT_A_ROAD:
            taken.left_out["not_a_road"] += 1
            continue
        direction = told.direction[row]
        x, y = line if direction >= 0 else (line[0][::-1], line[1][::-1])
        reason = _fault_of(x, y)
        key = told.key[row]
        if not reason and told.ends is not None and not direction:
            u, v = sorted((told.ends[0][row], told.ends[1][row]))
            way = (key, u, v, round(float(along(x, y)[-1])))
            if way in both_ways:
                taken.left_out["other_direction"] += 1
                continue
            both_ways.add(way)
            if (u, v) != (told.ends[0][row], told.ends[1][row]):
                x, y = x[::-1], y[::-1]
        same = np.round(np.stack([x, y]), 2).tobytes()
        if not reason and same in seen:
            reason = "doubled"
        if reason:
            taken.refused[reason] += 1
            continue
        seen.add(same)
        width_m, known, lanes = width_of(road_class, direction != 0, told.width[row], told.lanes[row])
        taken.widths_known += known
        taken.lanes_known += lanes > 0
        if told.ends is not None:
            u, v = told.ends[0][row], told.ends[1][row]
            key = f"{key}:{'-'.join(sorted((u, v)) if not direction else (u, v))}"
        drafts.append(
            Road(
                key=f"{key}.{part}" if part else key, name=told.name[row], name_zh=told.name_zh[row],
                road_class=road_class, width_m=width_m, width_known=known, lanes=lanes, oneway=direction != 0,
                district=told.district[row], owner=told.owner[row], x_m=x, y_m=y,
            )
        )  # fmt: skip
    taken.keys_of_place = "key" not in fields
    taken.roads = _with_own_keys(drafts)
    return taken


class _Told:
    """Of each feature what its columns say, in our words."""

    def __init__(self, features: Features, fields: dict[str, str]) -> None:
        n = features.count

        def texts(says: str) -> list[str]:
            column = fields.get(says)
            return [text_of(v) for v in features.columns[column]] if column else [""] * n

        def numbers(says: str) -> list[float]:
            column = fields.get(says)
            return [number_of(v) for v in features.columns[column]] if column else [0.0] * n

        self.key, self.district, self.owner = texts("key"), texts("district"), texts("owner")
        name, name_zh = texts("name"), texts("name_zh")
        plain = texts_of(features, "name")
        # A name in Chinese characters is the Chinese name, whatever its column is called.
        self.name = [
            next((t for t in (a, c) if t and not has_chinese(t)), "") for a, c in zip(name, plain, strict=True)
        ]
        self.name_zh = [
            next((t for t in (b, a, c) if has_chinese(t)), "") for a, b, c in zip(name, name_zh, plain, strict=True)
        ]
        self.road_class = [road_class_of(t) for t in texts("class")]
        self.width, self.lanes = numbers("width"), [int(v) for v in numbers("lanes")]
        column = fields.get("oneway")
        self.direction = directions(features.columns[column]) if column else [0] * n
        if "class" in fields:
            whole = features.columns[fields["class"]]
            said = texts("oneway")
            for row, value in enumerate(whole):
                if not said[row] and text_of(value).split(" / ")[0] in ("motorway", "motorway_link"):
                    self.direction[row] = 1  # OpenStreetMap takes it for granted
        lower = {c.lower(): c for c in features.columns}
        self.ends: tuple[list[str], list[str]] | None = None
        if {"u", "v"} <= set(lower) and "key" in fields:
            u, v = ([text_of(x) for x in features.columns[lower[c]]] for c in ("u", "v"))
            self.ends = (u, v)


def texts_of(features: Features, name: str) -> list[str]:
    """The column of that name as texts, "" where the file has none."""
    column = next((c for c in features.columns if c.lower() == name), None)
    return [text_of(v) for v in features.columns[column]] if column else [""] * features.count


def _lines_in_metres(
    features: Features, zone: Zone, datum: str, frame: str, refused: Counter[str]
) -> list[tuple[tuple[Metres, Metres], int, int]]:
    """Lines that can be in the zone: easting and northing, the feature, and which of its parts. All at once: a point
    costs microseconds by itself and nanoseconds among others."""
    if not features.lines:
        return []
    points = np.concatenate(features.lines)
    of = np.repeat(np.arange(len(features.lines)), [len(line) for line in features.lines])
    many = len(features.lines)
    finite = np.isfinite(points).all(axis=1)
    degrees = (np.abs(points[:, 0]) <= 180) & (np.abs(points[:, 1]) <= 90)
    lon, lat, _ = to_frame(
        np.where(finite & degrees, points[:, 0], zone.meridian_deg),
        np.where(finite & degrees, points[:, 1], 1.0 if zone.north else -1.0),
        datum, frame,
    )  # fmt: skip
    held = within_reach(lon, lat, zone)
    x, y = project(np.where(held, lon, zone.meridian_deg), np.where(held, lat, 0.0), zone)
    bad: dict[int, str] = {}
    for reason, good in (("outside_zone", held), ("out_of_degrees", degrees), ("not_finite", finite)):
        for n in np.flatnonzero(np.bincount(of[~good], minlength=many)).tolist():
            bad[n] = reason
    refused.update(Counter(bad.values()))
    ends = np.cumsum(np.bincount(of, minlength=many))
    out = []
    parts: Counter[int] = Counter()
    for n, row in enumerate(features.row):
        part = parts[row]
        parts[row] += 1
        if n not in bad:
            begin = int(ends[n - 1]) if n else 0
            out.append(((x[begin : ends[n]], y[begin : ends[n]]), row, part))
    return out


def _fault_of(x: Metres, y: Metres) -> str:
    """Why a line in metres is no road; "" where it may be one."""
    step = np.hypot(np.diff(x), np.diff(y))
    if len(x) < 2 or float(step.sum()) < _SHORTEST_M:
        return "no_length"
    moved = np.concatenate([[True], step >= 1e-3])
    x, y = x[moved], y[moved]
    d_x, d_y = np.diff(x), np.diff(y)
    length = np.hypot(d_x, d_y)
    if (d_x[1:] * d_x[:-1] + d_y[1:] * d_y[:-1] < _BACK_COS * length[1:] * length[:-1]).any():
        return "runs_back"
    points = list(zip(np.round(x, 2).tolist(), np.round(y, 2).tolist(), strict=True))  # most lines have a few only
    stretches = {(a, b) if a < b else (b, a) for a, b in pairwise(points)}
    return "runs_back" if len(stretches) < len(points) - 1 else ""


def _with_own_keys(roads: list[Road]) -> list[Road]:
    """Roads with keys that differ: those without one get their ends' place to 10 m, those that share one are numbered
    by where they begin, so that the order of the file does not matter."""
    groups: dict[str, list[Road]] = defaultdict(list)
    for road in roads:
        key = road.key
        if not key.split(".")[0]:
            ends = [round(float(v[i]) / 10) for i in (0, -1) for v in (road.x_m, road.y_m)]
            key = "at:" + ":".join(map(str, ends))
        groups[key].append(road)
    out = []
    for key, same in groups.items():
        same.sort(key=lambda r: (float(r.x_m[0]), float(r.y_m[0]), float(r.x_m[-1]), float(r.y_m[-1]), len(r.x_m)))
        out += [dataclasses.replace(r, key=f"{key}#{n}" if n else key) for n, r in enumerate(same)]
    return out


def with_districts(sections: Sequence[Section], areas: Sequence[MetreArea]) -> list[Section]:
    """Sections with the district in which their middle lies, where their source names none. areas: name and rings,
    float64 (k, 2) in metres of the zone; of several that hold a place it is the first."""
    open_ = [n for n, s in enumerate(sections) if not s.district]
    out = list(sections)
    if not open_ or not areas:
        return out
    middles = np.array([middle_of(sections[n]) for n in open_])
    whose = np.full(len(open_), -1)
    for number, (_, rings) in enumerate(areas):
        whose[(whose < 0) & _inside(middles, rings)] = number
    for n, number in zip(open_, whose.tolist(), strict=True):
        if number >= 0:
            out[n] = dataclasses.replace(sections[n], district=areas[number][0])
    return out


def areas_in_metres(areas: Sequence[Area], zone: Zone, datum: str, frame: str) -> list[MetreArea]:
    """Districts in metres of the zone, for `with_districts`."""

    def metres(ring: Degrees) -> NDArray[np.float64]:
        lon, lat, _ = to_frame(ring[:, 0], ring[:, 1], datum, frame)
        return np.column_stack(project(lon, lat, zone))

    return [(area.name, [metres(ring) for ring in area.rings]) for area in areas]


def _inside(points: NDArray[np.float64], rings: Sequence[NDArray[np.float64]]) -> NDArray[Any]:
    """Which points lie within rings, holes among them: a ray to the east crosses an odd number of sides."""
    odd = np.zeros(len(points), dtype=bool)
    every = np.concatenate(list(rings))
    low, high = every.min(axis=0), every.max(axis=0)
    near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    x, y = points[near, 0], points[near, 1]
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring[:-1].tolist(), ring[1:].tolist(), strict=True):
            if y0 != y1:
                crosses = (y0 > y) != (y1 > y)
                odd[near[crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))]] ^= True
    return odd
