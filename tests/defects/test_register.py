"""Registers without a database: squares of shapes against brute force, hostile files, ground, and what is learnt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from defects import HARMLESS, learnt, register_text
from defects.evidence import BlockEvidence, merge
from defects.footprint import MOST_LENGTH_M, MOST_SQUARES, MOST_VERTICES, Shape, TooLarge, squares
from defects.learnt import LearnOptions, candidate, hot_squares, together
from defects.recode import by_block, passes_of
from defects.register import (
    ACROSS,
    Entry,
    GroundOptions,
    InForce,
    RegisterError,
    footprint,
    ground_of_entries,
    reach_of,
)
from defects.register_text import Reading, entry_of, read_entries
from grid import Zone, blocks_of, cells_at, column_row, index_in_block, parents, project
from ingest import City, gcj02_from_wgs84
from tests.defects.blocks import hits
from tests.defects.blocks import together as sums

ZONE = Zone(51)
X, Y = 500_000.0, 3_350_000.0
DAY = date(2026, 11, 20)
READING = Reading("object", "imported", "file", "cgcs2000", DAY, kind="speed_bump")
LON, LAT = 120.1655, 30.2790


def shape(kind: str, *parts: Sequence[tuple[float, float]]) -> Shape:
    return Shape(kind, tuple(np.array(p, np.float64) + np.array((X, Y)) for p in parts))


def brute(kind: str, part: np.ndarray[Any, Any], reach_m: float) -> tuple[set[int], set[int]]:
    """Squares that surely are touched (a dense point of the shape, moved by the reach any way, lies in them), and
    those that may be told at all."""
    t = np.linspace(0, 1, 400)[:, None]
    ring = np.concatenate([part, part[:1]]) if kind == "polygon" else part
    dense = np.concatenate([a + t * (b - a) for a, b in pairwise(ring)] or [part])
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    round_ = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    near = (dense[:, None] + reach_m * round_[None]).reshape(-1, 2)
    loose = (dense[:, None] + (reach_m + 2 * 0.5**0.5 + 0.01) * round_[None]).reshape(-1, 2)
    inner = np.concatenate([dense + k * (reach_m + 1.42) * round_[i] for i in range(64) for k in (0, 0.33, 0.66)])
    at = lambda p: set(cells_at(p[:, 0], p[:, 1], ZONE).tolist())  # noqa: E731
    return at(near) | at(dense), at(near) | at(loose) | at(inner)


@pytest.mark.parametrize("seed", range(12))
def test_every_square_that_is_touched_is_there_and_none_far_away(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = ("point", "line", "polygon")[seed % 3]
    part = np.array((X, Y)) + rng.uniform(-25, 25, (1 if kind == "point" else 4, 2))
    reach_m = float(rng.choice([0.0, 0.3, 1.7]))
    found = set(squares(Shape(kind, (part,)), reach_m, ZONE).tolist())
    touched, allowed = brute(kind, part, reach_m)
    assert touched <= found
    if kind != "polygon":
        assert found <= allowed


def test_a_polygon_holds_its_inside_and_not_its_hole() -> None:
    outer, hole = [(0, 0), (40, 0), (40, 40), (0, 40)], [(10, 10), (30, 10), (30, 30), (10, 30)]
    found = squares(shape("polygon", outer, hole), 0.0, ZONE)
    inside = lambda x, y: int(cells_at(X + x, Y + y, ZONE)) in set(found.tolist())  # noqa: E731
    assert inside(5, 5)
    assert inside(35.5, 20.5)
    assert not inside(20, 20)
    assert not inside(-3, 5)
    assert abs(len(found) - (42 * 42 - 18 * 18)) <= 8


def test_a_ring_that_crosses_itself_holds_both_of_its_lobes() -> None:
    found = set(squares(shape("polygon", [(0, 0), (20, 20), (20, 0), (0, 20)]), 0.0, ZONE).tolist())
    assert int(cells_at(X + 2.5, Y + 10.5, ZONE)) in found
    assert int(cells_at(X + 17.5, Y + 10.5, ZONE)) in found
    assert int(cells_at(X + 10.5, Y + 3.5, ZONE)) not in found


@pytest.mark.parametrize(
    ("one", "error"),
    [
        (shape("polygon", [(0, 0), (2000, 0), (2000, 2000), (0, 2000)]), TooLarge),
        (shape("line", [(0, 0), (MOST_LENGTH_M + 1, 0)]), TooLarge),
        (shape("line", [(0, 0), (1e300, 1e300)]), TooLarge),
        (Shape("point", (np.full((MOST_VERTICES + 1, 2), 500_000.0),)), TooLarge),
        (shape("line", [(0, 0), (float("nan"), 0)]), ValueError),
        (shape("point", [(-X - 5, 0)]), ValueError),
        (Shape("line", ()), ValueError),
    ],
)
def test_a_shape_that_is_too_large_or_nowhere_is_named(one: Shape, error: type[Exception]) -> None:
    with pytest.raises(error), np.errstate(all="ignore"):
        squares(one, 1.0, ZONE)


def test_the_largest_area_is_just_taken() -> None:
    side = int(MOST_SQUARES**0.5) - 3
    assert len(squares(shape("polygon", [(0, 0), (side, 0), (side, side), (0, side)]), 0.0, ZONE)) <= MOST_SQUARES


# ---------------------------------------------------------------- files


def geojson(*features: Any, **more: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": list(features), **more}).encode()


def feature(coordinates: Any, of: str = "Point", **said: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": of, "coordinates": coordinates}, "properties": said}


def test_a_file_gives_entries_with_the_kind_and_days_of_each(city: City) -> None:
    data = geojson(
        feature([LON, LAT], id="a", kind="cover", owner="water", from_day="2026-10-01"),
        feature([[LON, LAT], [LON + 1e-4, LAT]], "LineString", id=7),
        feature([LON, LAT], kind="volcano"),
        feature([LON, LAT], id="a"),
        feature([LAT, LON]),
    )
    read = read_entries(data, False, READING, city)
    first, second = read.entries
    assert (first.kind, first.owner, first.from_day, first.key) == ("cover", "water", date(2026, 10, 1), "file/a")
    assert (second.kind, second.key, second.from_day) == ("speed_bump", "file/7", DAY)
    assert 60 < len(second.cells) < 100
    reasons = dict(read.refused)
    assert "volcano" in reasons["feature 3"]
    assert "twice" in reasons["feature 4"]
    assert "longitude" in reasons["feature 5"]


def test_without_a_name_the_same_place_has_the_same_key(city: City) -> None:
    keys = {read_entries(geojson(feature([LON, LAT])), False, READING, city).entries[0].key for _ in range(2)}
    other = read_entries(geojson(feature([LON + 1e-4, LAT])), False, READING, city).entries[0].key
    assert len(keys) == 1
    assert other not in keys


def test_a_table_of_a_map_in_gcj02_lands_on_the_road_with_a_wider_halo(city: City) -> None:
    lon, lat = gcj02_from_wgs84(np.array([LON]), np.array([LAT]))
    text = f"\ufeffLon,Lat,Kind,ID\n{lon[0]:.8f},{lat[0]:.8f},joint,9\n,,joint,10\n".encode()
    read = read_entries(text, True, replace(READING, datum="gcj02"), city)
    plain = entry_of({"type": "Point", "coordinates": [LON, LAT]}, {"kind": "joint"}, READING, city)
    x, y = project(LON, LAT, ZONE)
    assert int(cells_at(x, y, ZONE)) in read.entries[0].cells
    assert read.entries[0].reach_m > plain.reach_m + 1
    assert [where for where, _ in read.refused] == ["row 2"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[" * 200_000, "nested"),
        (b'{"type": "FeatureCollection", "features": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested"),
        (b'{"type": "Point", "coordinates": [NaN, 1]}', "NaN"),
        (b"\xff\xfe", "UTF-8"),
        (b"[]", "one object"),
        (b'{"type": "FeatureCollection"}', "list of features"),
        (b"lon;lat", "not JSON"),
        (b'{"type": "Point", "coordinates": [' + b"9" * 9000 + b", 1]}", "not JSON"),
        (geojson(crs={"type": "name", "properties": {"name": "EPSG:3857"}}), "EPSG:3857"),
        (geojson(crs=3), "written again|again in degrees"),
    ],
)
def test_a_hostile_file_is_refused_by_name(data: bytes, says: str, city: City) -> None:
    with pytest.raises(RegisterError, match=says):
        read_entries(data, False, READING, city)


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        3,
        {"type": "GeometryCollection", "geometries": []},
        {"type": ["Point"], "coordinates": [LON, LAT]},
        {"type": "Point", "coordinates": [1e308, 0]},
        {"type": "Point", "coordinates": [True, False]},
        {"type": "Point", "coordinates": ["120", "30"]},
        {"type": "Point", "coordinates": [10**400, 0]},
        {"type": "LineString", "coordinates": []},
        {"type": "LineString", "coordinates": [[LON, LAT], [LON + 3, LAT]]},
        {"type": "Polygon", "coordinates": [[[LON, LAT], [LON + 0.1, LAT], [LON + 0.1, LAT + 0.1]]]},
        {"type": "Point", "coordinates": [-120.0, 30.0]},
        {"type": "Polygon", "coordinates": [[LON, LAT]]},
    ],
)
def test_a_hostile_place_is_refused_and_the_rest_of_the_file_taken(geometry: object, city: City) -> None:
    rows = [{"type": "Feature", "geometry": geometry, "properties": None}, feature([LON, LAT])]
    if isinstance(geometry, dict) and geometry.get("coordinates") == [10**400, 0]:
        with pytest.raises(RegisterError):
            entry_of(geometry, {}, READING, city)
        return
    read = read_entries(geojson(*rows), False, READING, city)
    assert len(read.entries) == 1
    assert len(read.refused) == 1


def test_a_file_whose_entries_cover_the_country_is_refused_before_they_fill_the_memory(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register_text, "MOST_SQUARES", 600)
    rows = [feature([LON + n / 1000, LAT], id=str(n)) for n in range(9)]
    with pytest.raises(RegisterError, match="over 600 squares"):
        read_entries(geojson(*rows), False, READING, city)
    assert len(read_entries(geojson(*rows[:3]), False, READING, city).entries) == 3


def test_a_million_corners_are_refused_at_once(city: City) -> None:
    line = b"[120.1,30.2]," * 1_000_000
    data = b'{"type": "LineString", "coordinates": [' + line + b"[120.2,30.2]]}"
    ((_, why),) = read_entries(data, False, READING, city).refused
    assert "corners" in why


@pytest.mark.parametrize(
    "said",
    [
        {"accuracy_m": "near"}, {"accuracy_m": float("nan")}, {"accuracy_m": -1}, {"accuracy_m": 40},
        {"from_day": "tomorrow"}, {"to_day": "2026-01-01"}, {"kind": "cover", "owner": "me"}, {"note": "x" * 999},
        {"note": "a\x1b[2J"},
    ],
)  # fmt: skip
def test_a_row_that_says_nonsense_is_refused(said: dict[str, Any], city: City) -> None:
    with pytest.raises(RegisterError):
        entry_of({"type": "Point", "coordinates": [LON, LAT]}, said, READING, city)


# ---------------------------------------------------------------- squares and ground


def bump(kind: str = "speed_bump", register: str = "object", **more: Any) -> Entry:
    cells = squares(shape("line", [(0, 0), (0, 6)]), reach_of("speed_bump", False, 0.5), ZONE)
    said = {"key": "k", "source": "person", "from_day": DAY, "to_day": None, "shape": {}, "reach_m": 1.0}
    return Entry(register, kind, cells=cells, **(said | more))


def in_force(entry: Entry) -> list[InForce]:
    return [InForce(b, entry.register, entry.kind, entry.from_day, bits) for b, bits in footprint(entry).items()]


@pytest.mark.parametrize("kind", HARMLESS[1:])
def test_phones_know_of_what_lies_across_the_lane_and_see_past_covers(kind: str) -> None:
    entry = bump(kind, owner="water")
    ground = ground_of_entries(in_force(entry), {}, GroundOptions())
    told = {
        int(c)
        for block, known in ground.items()
        for c in np.flatnonzero(known.harmless == HARMLESS.index(kind)) * 4 + (block >> 51)
    }
    assert told
    for level in (0, 1, 2):
        cells = np.unique(parents(entry.cells, level))
        known = [int(ground[int(b)].harmless[i]) if int(b) in ground else 0
                 for b, i in zip(blocks_of(cells), index_in_block(cells), strict=True)]  # fmt: skip
        assert all(known) if level < 2 or kind in ACROSS else not any(known)


def test_a_cover_in_a_bump_stays_a_cover() -> None:
    parts = in_force(bump("speed_bump")) + in_force(bump("cover", owner="gas")) + in_force(bump("joint"))
    for order in (parts, parts[::-1]):
        ground = ground_of_entries(order, {}, GroundOptions())
        fine = [g for b, g in ground.items() if b >> 51 == 0]
        assert {int(v) for g in fine for v in np.unique(g.harmless)} == {0, HARMLESS.index("cover")}


def test_works_repairs_by_day_and_validity_by_class() -> None:
    later = DAY + timedelta(days=4)
    parts = (
        in_force(bump("patch", "repair", from_day=later)) + in_force(bump("works", "permit"))
        + in_force(bump("overlay", "repair"))
    )  # fmt: skip
    block = int(blocks_of(bump().cells[0]))
    classes = {block: np.full(1024, 2, np.uint8), 77: np.zeros(1024, np.uint8)}
    ground = ground_of_entries(parts, classes, GroundOptions())
    assert [day for day, _ in ground[block].repairs] == [DAY, later]
    assert ground[block].works.any()
    assert not ground[block].harmless.any()
    assert set(ground[block].validity_days.tolist()) == {GroundOptions().validity_days[1]}
    assert 77 not in ground
    with pytest.raises(ValueError, match="validity_days"):
        ground_of_entries(parts, classes, GroundOptions((300, 1, 1, 1, 1)))


def test_the_hash_is_of_what_an_entry_says_and_where() -> None:
    one = bump()
    same = bump(key="another")
    assert one.sha256 == same.sha256
    others = [bump(note="x"), bump("table"), bump(from_day=DAY - timedelta(days=1)), replace(one, cells=one.cells[1:])]
    assert len({one.sha256, *(o.sha256 for o in others)}) == 5


# ---------------------------------------------------------------- what is learnt


def days_of(felt: dict[int, float], passed: dict[int, int], n_days: int = 15, **grow: float) -> Any:
    """Evidence by block and day: squares (id -> share of 10 passes that felt it), and how often others were passed."""
    from defects.evidence import Deltas, tally  # noqa: PLC0415
    from defects.planes import DEVICES, HIT_DEVICES, PASSES, TALLY  # noqa: PLC0415

    out: dict[int, dict[date, BlockEvidence]] = {}
    for n in range(n_days):
        rows: list[tuple[int, int, int]] = []
        for cell, count in passed.items():
            rows += [(cell, PASSES, count), (cell, DEVICES, 0b11111)]
        for cell, share in felt.items():
            hit = round(10 * share)
            severity = 1.5 + grow.get("a_day", 0.0) * n
            rows += [(cell, TALLY, tally(hit, hit * severity)), (cell, HIT_DEVICES, (1 << round(5 * share)) - 1)]
        cell, plane, value = (np.array(v, np.int64) for v in zip(*rows, strict=True))
        for block, evidence in by_block(merge([Deltas(cell, plane.astype(np.uint8), value)])).items():
            out.setdefault(block, {})[DAY + timedelta(days=n)] = evidence
    return out


def street(turn: bool = False) -> tuple[dict[int, int], list[int]]:
    """Two wheel paths of 40 m; and the squares over which hits of a thing across them are spread."""
    passed, across = {}, []
    for step in range(-20, 21):
        for side in (-1, 1):
            place = (X + 100 + side, Y + step) if turn else (X + step, Y + 100 + side)
            cell = int(cells_at(*place, ZONE))
            passed[cell] = 10
    for step in (0, 1):
        for side in range(-2, 3):
            place = (X + 100 + side, Y + step) if turn else (X + step, Y + 100 + side)
            across.append(int(cells_at(*place, ZONE)))
    return passed, across


def proposed(found: Any) -> list[learnt.Candidate]:
    options = LearnOptions()
    hot = [h for block, days in sorted(found.items()) for h in hot_squares(block, days, options)]
    passed = {b: sum((passes_of(e) for e in days.values()), np.zeros(1024, np.int64)) for b, days in found.items()}
    made = [candidate(thing, passed, options) for thing in together(hot, options)]
    return [c for c in made if c is not None]


@pytest.mark.parametrize("turn", [False, True])
def test_a_bump_that_all_feel_is_proposed_as_a_line_across_the_lane(turn: bool) -> None:
    passed, across = street(turn)
    (one,) = proposed(days_of(dict.fromkeys(across, 0.9), passed))
    assert one.cell in across
    assert one.wide_m > one.long_m
    assert one.felt_share == pytest.approx(0.9)
    assert one.days == 15
    (x0, y0), (x1, y1) = one.ends_m
    assert (abs(y1 - y0) < 1 and abs(x1 - x0) >= 4) if turn else (abs(x1 - x0) < 1 and abs(y1 - y0) >= 4)


def test_what_only_some_feel_or_one_wheel_or_grows_or_is_new_is_not() -> None:
    passed, across = street()
    one_wheel = [c for c in across if int(column_row(c)[1]) <= int(Y + 100)]
    assert len(one_wheel) == 6
    everybody = dict.fromkeys(across, 0.9)
    assert proposed(days_of(everybody, passed))
    assert not proposed(days_of(dict.fromkeys(across, 0.5), passed))
    assert not proposed(days_of(dict.fromkeys(one_wheel, 0.9), passed))
    assert not proposed(days_of(everybody, passed, a_day=0.05))
    assert not proposed(days_of(everybody, passed, n_days=9))
    assert not proposed(days_of(dict.fromkeys(passed, 0.9), passed))  # a rough street is no bump


def test_nothing_was_hit_by_the_hits_of_others() -> None:
    """Planes of other types do not make a place felt by wheels."""
    found = {1: {DAY + timedelta(days=n): _typed() for n in range(20)}}
    assert hot_squares(int(blocks_of(cells_at(X, Y, ZONE))), found[1], LearnOptions()) == []


def _typed() -> BlockEvidence:
    from tests.defects.blocks import evidence  # noqa: PLC0415

    return evidence(sums(hits(10, 5, kind=9)))
