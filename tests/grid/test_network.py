"""What a road file says, as roads: columns, classes, widths, directions, refusals by name, districts, datums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grid import (
    FIELDS,
    LEFT_OUT,
    OF_OSM,
    REFUSED,
    ROAD_CLASSES,
    USUAL_WIDTH_M,
    DatumUnclear,
    Features,
    NoSuchField,
    Road,
    Taken,
    Zone,
    find_fields,
    project,
    recognise,
    road_class_of,
    roads_of,
    unproject,
)
from grid.classes import width_of
from grid.fields import directions, number_of, text_of
from ingest import gcj02_from_wgs84

ZONE = Zone(51)
EAST, NORTH = 228_000.0, 3_352_000.0


def lonlat(x: list[float], y: list[float]) -> np.ndarray[Any, Any]:
    return np.column_stack(unproject(EAST + np.array(x), NORTH + np.array(y), ZONE))


def features(lines: list[Any], **columns: list[Any]) -> Features:
    return Features(dict(columns), [np.asarray(line) for line in lines], list(range(len(lines))), len(lines))


def take(held: Features, **given: str) -> Taken:
    return roads_of(held, find_fields(held.columns, given), ZONE, "wgs84", "CGCS2000")


def by_key(taken: Taken) -> dict[str, Road]:
    return {r.key: r for r in taken.roads}


# ---------------------------------------------------------------- columns and values


def test_columns_of_known_makers_are_found() -> None:
    osm = {"osm_id": ["1", "2"], "NAME": ["a", "b"], "fclass": ["primary", ""], "oneway": ["B", "F"], "width": [0, 7]}
    assert find_fields(osm, {}) == {
        "key": "osm_id",
        "name": "NAME",
        "class": "fclass",
        "oneway": "oneway",
        "width": "width",
    }
    xian = {"link_id": [1, 2], "dir": [1, 0], "road_name": ["神舟大道", "无名道路"]}
    assert find_fields(xian, {}) == {"key": "link_id", "name": "road_name", "oneway": "dir"}
    survey = {"编号": ["A1", "A2"], "路名": ["延安路", ""], "等级": ["主干路", "支路"], "车道数": [4, 2]}
    assert find_fields(survey, {}) == {"key": "编号", "name_zh": "路名", "class": "等级", "lanes": "车道数"}


def test_a_key_is_a_column_whose_values_differ() -> None:
    columns = {"OBJECTID": [7, 7, 8], "STREET_ID": [1, 2, 3]}
    assert find_fields(columns, {})["key"] == "STREET_ID"
    assert find_fields({"OBJECTID": [7, 7, 8]}, {})["key"] == "OBJECTID"
    assert find_fields(columns, {"key": "objectid"})["key"] == "OBJECTID"


def test_a_column_that_says_nothing_is_not_taken_and_one_that_is_not_there_is_named() -> None:
    assert "width" not in find_fields({"width": [None, float("nan"), ""]}, {})
    with pytest.raises(NoSuchField, match="it has a, b"):
        find_fields({"a": [1], "b": [2]}, {"width": "breadth"})


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (float("nan"), ""), (27347.0, "27347"), (1.5, "1.5"), (" a  b ", "a b"), ("<Null>", ""),
     ("无名道路", ""),
     ("['a', \"b's\"]", "a / b's"), ("[1, 2]", "1 / 2"), (["x", None, "y"], "x / y"), (True, "True"), ("[]", "")],
)  # fmt: skip
def test_texts(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [("12.5 m", 12.5), ("12;14", 12), ("40'", 12.192), ("30 ft", 9.144), (7, 7), (None, 0), ("wide", 0), ("-3", 0),
     ("['2', '3']", 2)],
)  # fmt: skip
def test_numbers(value: Any, number: float) -> None:
    assert number_of(value) == pytest.approx(number)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (["yes", "no", "-1", "", None, "reversible"], [1, 0, -1, 0, 0, 0]),  # OpenStreetMap
        (["F", "T", "B"], [1, -1, 0]),  # its extracts
        (["t", "f", "f"], [1, 0, 0]),  # a truth value of a database
        (["True", "False"], [1, 0]),  # OSMnx
        ([True, False], [1, 0]),
        (["FT", "TF", None], [1, -1, 0]),  # Syracuse
        ([1, 0], [1, 0]),  # Xi'an
        ([1.0, 2.0, 3.0, 0.0], [0, 1, -1, 0]),  # navigation maps
    ],
)
def test_one_way_columns_mean_different_things(column: list[Any], told: list[int]) -> None:
    assert directions(column) == told


@pytest.mark.parametrize(
    ("text", "road_class"),
    [("motorway_link", "expressway"), ("trunk", "expressway"), ("primary", "trunk"), ("tertiary", "branch"),
     ("footway", "not_a_road"), ("construction", "not_a_road"), ("A11", "expressway"), ("A63", "expressway"),
     ("A21", "trunk"), ("A31", "secondary"), ("A41", "branch"), ("A74", "not_a_road"), ("城市快速路", "expressway"),
     ("主干路", "trunk"), ("次干路", "secondary"), ("支路", "branch"), ("Principal Arterial", "trunk"),
     ("Major Collector", "secondary"), ("LOCAL", "branch"), ("", "unknown"), ("42", "unknown"),
     ("residential / primary", "branch")],
)  # fmt: skip
def test_classes(text: str, road_class: str) -> None:
    assert road_class_of(text) == road_class


def test_every_class_has_a_width_and_every_value_one_class() -> None:
    assert set(USUAL_WIDTH_M) == set(ROAD_CLASSES)
    assert set(OF_OSM) == {*ROAD_CLASSES, "not_a_road"} - {"unknown"}
    every = [v for values in OF_OSM.values() for v in values]
    assert len(every) == len(set(every))
    assert set(FIELDS) == {"key", "name", "name_zh", "class", "width", "lanes", "district", "owner", "oneway"}


def test_widths_say_whether_they_are_known() -> None:
    assert width_of("branch", False, 6.5, 2) == (6.5, True, 2)
    assert width_of("trunk", False, 0, 4) == (14.0, False, 4)
    assert width_of("trunk", False, 0, 0) == (USUAL_WIDTH_M["trunk"][0], False, 0)
    assert width_of("trunk", True, 700, 99) == (USUAL_WIDTH_M["trunk"][1], False, 0)


# ---------------------------------------------------------------- lines


def test_garbage_is_refused_by_name_and_the_rest_is_taken() -> None:
    good = lonlat([0, 100], [0, 0])
    lines = [
        good,
        np.array([[120.0, 30.0], [np.nan, 30.0]]),
        np.array([[120.0, 30.0], [np.inf, 30.0]]),
        np.array([[3_358_000.0, 500_000.0], [3_358_100.0, 500_000.0]]),
        np.array([[2.35, 48.85], [2.36, 48.85]]),
        np.array([[120.2, -30.0], [120.3, -30.0]]),
        lonlat([0, 0], [50, 50]),
        lonlat([0], [50]),
        lonlat([0, 80, 20], [90, 90, 90]),  # out and back
        lonlat([0, 50, 50, 0, 0, 50, 60], [200, 200, 250, 250, 200, 200, 190]),  # a stretch twice
        good,
    ]
    held = features(lines, id=list(range(11)))
    held.faults["no_geometry"] = 2
    taken = take(held)
    assert [r.key for r in taken.roads] == ["0"]
    assert taken.refused == {
        "no_geometry": 2, "not_finite": 2, "out_of_degrees": 1, "outside_zone": 2, "no_length": 2, "runs_back": 2,
        "doubled": 1,
    }  # fmt: skip
    assert set(taken.refused) | {"not_a_line"} == set(REFUSED)


def test_what_is_no_road_is_left_out() -> None:
    taken = take(
        features([lonlat([0, 90], [y, y]) for y in (0, 30, 60)], id=[1, 2, 3], highway=["primary", "steps", None])
    )
    assert {r.road_class for r in taken.roads} == {"trunk", "unknown"}
    assert taken.left_out == {"not_a_road": 1}
    assert set(taken.left_out) <= set(LEFT_OUT)


def test_roundabouts_hairpins_and_crossings_of_themselves_are_roads() -> None:
    turn = np.linspace(0, 2 * np.pi, 25)
    lines = [
        lonlat((20 * np.cos(turn)).tolist(), (20 * np.sin(turn)).tolist()),
        lonlat([0, 100, 0], [200, 203, 206]),
        lonlat([0, 100, 100, 50, 50], [300, 300, 350, 350, 250]),
    ]
    taken = take(features(lines, id=[1, 2, 3]))
    assert not taken.refused
    assert len(taken.roads) == 3


def test_lines_go_with_the_traffic() -> None:
    taken = take(features([lonlat([0, 90], [y, y]) for y in (0, 30, 60)], id=[1, 2, 3], oneway=["yes", "-1", "no"]))
    roads = by_key(taken)
    assert [float(np.sign(np.diff(roads[k].x_m)[0])) for k in "123"] == [1, -1, 1]
    assert [roads[k].oneway for k in "123"] == [True, True, False]


def test_a_motorway_is_one_way_where_nobody_says_otherwise() -> None:
    lines = [lonlat([0, 90], [y, y]) for y in (0, 30, 60)]
    taken = take(features(lines, id=[1, 2, 3], highway=["motorway", "motorway", "trunk"], oneway=["", "no", ""]))
    assert [by_key(taken)[k].oneway for k in "123"] == [True, False, False]


def test_chinese_names_are_chinese_names_in_any_column() -> None:
    held = features(
        [lonlat([0, 90], [y, y]) for y in (0, 30, 60)],
        id=[1, 2, 3], name=["延安路", "Main St", "南山路"], **{"name:en": ["Yan'an Road", None, None]},
    )  # fmt: skip
    roads = by_key(take(held))
    assert [(roads[k].name, roads[k].name_zh) for k in "123"] == [
        ("Yan'an Road", "延安路"),
        ("Main St", ""),
        ("", "南山路"),
    ]


def test_keys_that_repeat_are_told_apart_by_place_not_by_order() -> None:
    lines = [lonlat([x, x + 80], [0, 0]) for x in (0, 200, 400)]
    one = {k: float(r.x_m[0]) for k, r in by_key(take(features(lines, id=[5, 5, 6]))).items()}
    other = {k: float(r.x_m[0]) for k, r in by_key(take(features(lines[::-1], id=[6, 5, 5]))).items()}
    assert one == other
    assert set(one) == {"5", "5#1", "6"}


def test_without_keys_a_road_is_known_by_its_ends() -> None:
    lines = [lonlat([x + 2, x + 82], [2, 2]) for x in (0, 200)]
    taken = take(features(lines, name=["a", "b"]))
    assert taken.keys_of_place
    again = take(features([lonlat([x + 3, x + 81], [3, 3]) for x in (0, 200)], name=["a", "b"]))
    assert {r.key for r in taken.roads} == {r.key for r in again.roads}


def test_the_parts_of_a_line_are_roads_of_their_own() -> None:
    held = features([lonlat([0, 90], [0, 0]), lonlat([100, 190], [0, 0])], id=["7"])
    held.row, held.count = [0, 0], 1
    assert sorted(by_key(take(held))) == ["7", "7.1"]


# ---------------------------------------------------------------- datums


def lattice(seed: int, many: int = 60) -> list[np.ndarray[Any, Any]]:
    """Streets of a town, some 200 m apart, each a bit aslant."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(many):
        across, slant = rng.uniform(0, 6000), rng.uniform(-300, 300)
        x, y = ([0, 6000], [across, across + slant]) if rng.random() < 0.5 else ([across, across + slant], [0, 6000])
        lines.append(lonlat(x, y))
    return lines


def on_roads(lines: list[np.ndarray[Any, Any]], many: int, noise_m: float = 3.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    part = rng.random(many)[:, None]
    picked = np.array([lines[k] for k in rng.integers(0, len(lines), many)])
    place = picked[:, 0] + part * (picked[:, 1] - picked[:, 0])
    x, y = project(place[:, 0], place[:, 1], ZONE)
    return x + rng.normal(0, noise_m, many), y + rng.normal(0, noise_m, many)


def shifted(line: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.column_stack(gcj02_from_wgs84(line[:, 0], line[:, 1]))


@pytest.mark.parametrize("seed", range(3))
def test_an_offset_datum_is_recognised_by_where_vehicles_drove(seed: int) -> None:
    lines = lattice(seed)
    x, y = on_roads(lines, 500)
    assert recognise(lines, x, y, ZONE).datum == "wgs84"
    moved = recognise([shifted(line) for line in lines], x, y, ZONE)
    assert moved.datum == "gcj02"
    assert moved.shares["gcj02"] > 0.9
    assert moved.shares["wgs84"] < 0.5


def test_few_places_or_places_elsewhere_say_nothing() -> None:
    lines = lattice(1)
    x, y = on_roads(lines, 99)
    assert recognise(lines, x, y, ZONE).datum == ""
    x, y = on_roads(lines, 500)
    assert recognise(lines, x + 100_000, y, ZONE).places == 0
    assert recognise([], x, y, ZONE).datum == ""
    rng = np.random.default_rng(0)
    anywhere = recognise(lines, EAST + rng.uniform(0, 6000, 500), NORTH + rng.uniform(0, 6000, 500), ZONE)
    assert anywhere.datum == ""


def test_what_is_only_suspected_asks_to_be_declared() -> None:
    """Three quarters of the places lie on streets that the file lacks."""
    lines = lattice(2)
    x, y = on_roads(lines, 1000)
    with pytest.raises(DatumUnclear, match="--datum"):
        recognise([shifted(line) for line in lines[:15]], x, y, ZONE)
