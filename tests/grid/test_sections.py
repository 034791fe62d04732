"""Roads cut into sections, their squares and their strips, against another library's geometry."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from grid import (
    SECTION_M,
    Road,
    Section,
    Zone,
    cells_at,
    cells_of_sections,
    centres_m,
    cut,
    middle_of,
    number_of,
    section_cells,
    strips_of,
)
from grid.sections import KEPT_M, SameNumber, check_numbers, parts_of

ZONE = Zone(51)
EAST, NORTH = 228_000.0, 3_352_000.0
SOME = settings(max_examples=60, deadline=None)


def road(x: list[float], y: list[float], **given: object) -> Road:
    plain = Road(
        "7", "Main St", "大街", "trunk", 14.0, True, 0, False, "上城区", "city", EAST + np.array(x), NORTH + np.array(y)
    )
    return dataclasses.replace(plain, **given)  # type: ignore[arg-type]


@st.composite
def bent(draw: st.DrawFn, **given: object) -> Road:
    """A road of up to eight segments that bends by less than a right angle at each."""
    many = draw(st.integers(1, 8))
    turn = draw(st.lists(st.floats(-1.2, 1.2), min_size=many, max_size=many))
    step = draw(st.lists(st.floats(0.5, 90), min_size=many, max_size=many))
    course = draw(st.floats(0, 6.3)) + np.cumsum(turn)
    x = np.concatenate([[0.0], np.cumsum(np.array(step) * np.cos(course))])
    y = np.concatenate([[0.0], np.cumsum(np.array(step) * np.sin(course))])
    return road(x.tolist(), y.tolist(), width_m=draw(st.floats(2, 30)), lanes=draw(st.integers(0, 6)), **given)


def squares_in(shape: shapely.Geometry) -> set[int]:
    """The squares whose middle lies in a shape, by another library."""
    west, south, east, north = shape.bounds
    x, y = np.meshgrid(np.arange(np.floor(west), east + 1) + 0.5, np.arange(np.floor(south), north + 1) + 0.5)
    x, y = x.ravel(), y.ravel()
    inside = shapely.contains_xy(shape, x, y)
    return set(cells_at(x[inside], y[inside], ZONE).tolist())


@SOME
@given(bent())
def test_the_parts_of_a_road_are_equal_and_put_together_the_road(whole: Road) -> None:
    sections = cut(whole, "roads")
    length = float(np.hypot(np.diff(whole.x_m), np.diff(whole.y_m)).sum())
    lengths = [s.length_m for s in sections]
    assert sum(lengths) == pytest.approx(length, abs=0.01)
    assert max(lengths) - min(lengths) < 0.002
    assert len(sections) == 1 or min(lengths) >= 2 / 3 * SECTION_M - 0.001
    assert max(lengths) < 1.5 * SECTION_M + 0.001
    for one, two in pairwise(sections):
        assert (one.x_m[-1], one.y_m[-1]) == (two.x_m[0], two.y_m[0])
        assert two.from_m == pytest.approx(one.from_m + one.length_m, abs=0.002)
    corners = {(round(float(a), 3), round(float(b), 3)) for a, b in zip(whole.x_m, whole.y_m, strict=True)}
    assert corners <= {(float(a), float(b)) for s in sections for a, b in zip(s.x_m, s.y_m, strict=True)}


def test_numbers_are_those_of_road_and_place() -> None:
    first = [s.number for s in cut(road([0, 500], [0, 0]), "roads")]
    assert len(set(first)) == 5
    assert all(0 < n < 2**53 for n in first)
    assert [s.number for s in cut(road([0, 500], [0, 0]), "roads")] == first
    moved = road([2.0, 250, 503], [1.5, 9.0, 2.0], name="another", width_m=9.0)
    assert [s.number for s in cut(moved, "roads")] == first
    assert not set(first) & {s.number for s in cut(road([0, 500], [0, 0], key="8"), "roads")}
    assert not set(first) & {s.number for s in cut(road([0, 500], [0, 0]), "other")}
    assert first[0] == number_of("roads", "7", 0) == 8_548_838_905_122_536


def test_a_road_that_a_survey_moves_over_a_limit_keeps_its_sections() -> None:
    """149 m is one section and 151 m two: without memory a shift of 2 m would renumber the road."""
    assert (parts_of(149), parts_of(151)) == (1, 2)
    assert parts_of(151, before=1) == 1
    assert parts_of(149, before=2) == 2
    assert parts_of(KEPT_M[1] + 1, before=1) == 2
    assert parts_of(2 * KEPT_M[0] - 1, before=2) == 1
    assert [parts_of(m) for m in (0.5, 49, 100, 250, 1_000)] == [1, 1, 1, 3, 10]


@SOME
@given(bent())
def test_the_carriageway_is_what_lies_within_half_the_width(whole: Road) -> None:
    for section in cut(whole, "roads"):
        line = shapely.LineString(np.c_[section.x_m, section.y_m])
        shape = line.buffer(section.width_m / 2, cap_style="flat", join_style="round", quad_segs=64)
        cells = section_cells(section, ZONE)
        assert (np.diff(cells) > 0).all()
        x, y = centres_m(cells)
        differ = set(cells.tolist()) ^ squares_in(shape)
        # A buffer's arc is a polygon, and within a bend the flat end of a wide road may be drawn in two ways.
        doubtful = shape.boundary.buffer(0.05)
        ends = shapely.MultiPoint([line.coords[0], line.coords[-1]]).buffer(section.width_m)
        for cell in differ:
            centre = shapely.Point(*(float(v) for v in centres_m(cell)))
            assert doubtful.contains(centre) or ends.contains(centre)
        assert (shapely.distance(shapely.points(x, y), line) <= section.width_m / 2 + 1e-6).all()


@pytest.mark.parametrize("course", np.radians([0, 1, 30, 45, 89, 90, 137, 180, 270, 311]))
def test_the_sections_of_a_straight_road_share_no_square_and_leave_no_gap(course: float) -> None:
    whole = road([0.3, 0.3 + 730 * np.cos(course)], [0.2, 0.2 + 730 * np.sin(course)], width_m=10.0)
    sections = cut(whole, "roads")
    cells = [section_cells(s, ZONE) for s in sections]
    joined = np.concatenate(cells)
    assert len(np.unique(joined)) == len(joined)
    shape = shapely.LineString(np.c_[whole.x_m, whole.y_m]).buffer(5.0, cap_style="flat")
    differ = set(joined.tolist()) ^ squares_in(shape)
    edge = shape.boundary.buffer(0.002)  # cut points are rounded to millimetres
    assert all(edge.contains(shapely.Point(*(float(v) for v in centres_m(c)))) for c in differ)


def test_many_sections_at_once_are_as_each_alone() -> None:
    rng = np.random.default_rng(3)
    sections = [
        section
        for x, y in np.cumsum(rng.normal(0, 60, (20, 2, 5)), axis=2).tolist()
        for section in cut(road(x, y, key=str(x[0])), "roads")
    ]
    owner, cells = cells_of_sections(sections, ZONE)
    for k, section in enumerate(sections):
        assert cells[owner == k].tolist() == section_cells(section, ZONE).tolist()
    assert [part.tolist() for part in cells_of_sections([], ZONE)] == [[], []]


def test_squares_carry_zone_and_hemisphere() -> None:
    section = cut(road([0, 90], [0, 0]), "roads")[0]
    south = section_cells(section, Zone(50, False))
    assert set(cells_at(*centres_m(south), Zone(50, False)).tolist()) == set(south.tolist())
    assert not set(south.tolist()) & set(section_cells(section, ZONE).tolist())


@SOME
@given(bent())
def test_strips_share_the_carriageway_among_them(whole: Road) -> None:
    for section in cut(whole, "roads"):
        strips = strips_of(section, ZONE)
        together = np.concatenate([s.cells for s in strips])
        assert sorted(together.tolist()) == section_cells(section, ZONE).tolist()
        lanes = {s.lane for s in strips}
        assert lanes == (set(range(1, section.lanes + 1)) if section.lanes else {0})
        parts = len({s.index for s in strips})
        assert len(strips) == parts * len(lanes)
        assert parts == 1 or 6.6 < section.length_m / parts < 15.1


def test_lanes_count_from_the_left_of_the_drawing() -> None:
    """Eastbound drawing: left is north. Three lanes of 4 m, ten strips of 10 m."""
    section = cut(road([0, 100], [0, 0], width_m=12.0, lanes=3), "roads")[0]
    strips = {(s.lane, s.index): s for s in strips_of(section, ZONE)}
    assert set(strips) == {(lane, index) for lane in (1, 2, 3) for index in range(10)}
    for (lane, index), strip in strips.items():
        x, y = centres_m(strip.cells)
        assert len(strip.cells) == 40
        assert (np.floor((x - EAST) / 10) == index).all()
        assert (np.floor((6 - (y - NORTH)) / 4) == lane - 1).all()
        ring = shapely.Polygon(np.c_[strip.x_m, strip.y_m])
        assert ring.area == pytest.approx(40)
        assert ring.exterior.is_ccw
        assert shapely.contains_xy(ring, x, y).all()


@SOME
@given(bent())
def test_the_outlines_of_strips_lie_along_the_road(whole: Road) -> None:
    for section in cut(whole, "roads"):
        line = shapely.LineString(np.c_[section.x_m, section.y_m])
        for strip in strips_of(section, ZONE):
            assert (strip.x_m[0], strip.y_m[0]) == (strip.x_m[-1], strip.y_m[-1])
            far = shapely.distance(shapely.points(strip.x_m, strip.y_m), line)
            assert (far <= section.width_m + 0.01).all()  # a mitred corner is at most twice as far as the edge


def test_the_middle_of_a_section_lies_on_its_line() -> None:
    x, y = middle_of(cut(road([0, 30, 30], [0, 0, 60]), "roads")[0])
    assert (x - EAST, y - NORTH) == pytest.approx((30, 15))


def test_two_roads_of_one_key_are_named() -> None:
    one, two = cut(road([0, 90], [0, 0]), "roads"), cut(road([0, 90], [40, 40]), "roads")
    check_numbers(one)
    with pytest.raises(SameNumber, match="--key-field"):
        check_numbers([*one, *two])


def test_points_that_repeat_do_no_harm() -> None:
    plain = cut(road([0, 40, 120], [0, 0, 0]), "roads")
    twice = cut(road([0, 0, 40, 40, 40, 120], [0, 0, 0, 0, 0, 0]), "roads")
    assert [section_cells(s, ZONE).tolist() for s in plain] == [section_cells(s, ZONE).tolist() for s in twice]
    assert isinstance(plain[0], Section)
