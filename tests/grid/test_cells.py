"""Addresses of squares, against an independent projection and against each other."""

import json

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grid import (
    BLOCK,
    LEVELS,
    Zone,
    blocks_beside,
    blocks_in_box,
    blocks_of,
    cells_at,
    cells_of_block,
    column_row,
    corner_m,
    index_in_block,
    is_cell,
    level_of,
    name_of,
    neighbours,
    parents,
    polygon_deg,
    project,
    side_m,
    unproject,
    zone_of,
)

SOME = settings(max_examples=80, deadline=None)
ZONES = {"EPSG:32650": Zone(50), "EPSG:32651": Zone(51), "EPSG:32751": Zone(51, north=False)}
HOME = Zone(51)
LEVEL = st.sampled_from(LEVELS)
ZONE = st.builds(Zone, st.integers(1, 60), st.booleans())
EASTING = st.floats(0, 1_048_575, allow_nan=False)
NORTHING = st.floats(0, 10_000_000, allow_nan=False)


@pytest.mark.parametrize("code", ZONES)
def test_projection_is_that_of_the_reference(code):
    """Within 4 degrees of the meridian; a millimetre is a thousandth of the smallest square."""
    zone = ZONES[code]
    there = pyproj.Transformer.from_crs("EPSG:4326", code, always_xy=True)
    lon, lat = np.meshgrid(
        zone.meridian_deg + np.linspace(-4, 4, 65), np.linspace(0, 84, 85) if zone.north else np.linspace(-80, 0, 81)
    )
    x, y = project(lon, lat, zone)
    east, north = there.transform(lon, lat)
    assert np.hypot(x - east, y - north).max() < 1e-3
    back_lon, back_lat = unproject(east, north, zone)
    assert (np.abs(back_lon - lon) * 111_320 * np.cos(np.radians(lat))).max() < 1e-3
    assert (np.abs(back_lat - lat) * 111_320).max() < 1e-3


@SOME
@given(st.sampled_from(sorted(ZONES)), st.floats(-4, 4), st.floats(0, 80))
def test_any_place_comes_back(code, beside, lat):
    zone = ZONES[code]
    lon, lat = zone.meridian_deg + beside, lat if zone.north else -lat
    x, y = project(lon, lat, zone)
    there = pyproj.Transformer.from_crs("EPSG:4326", code, always_xy=True)
    assert np.hypot(*np.subtract((x, y), there.transform(lon, lat))) < 1e-3
    back_lon, back_lat = unproject(x, y, zone)
    assert np.hypot(back_lon - lon, back_lat - lat) * 111_320 < 1e-4


def test_one_place_is_the_same_alone_and_among_others():
    """Evidence must not depend on batching: an address may not move over a border with its neighbours in the array."""
    rng = np.random.default_rng(4)
    lon, lat = 119 + 2 * rng.random(257), 30 + rng.random(257)
    x, y = project(lon, lat, HOME)
    for i in range(0, 257, 16):
        assert project(lon[i], lat[i], HOME) == (x[i], y[i])
        assert project(lon[i : i + 3], lat[i : i + 3], HOME)[0].tolist() == x[i : i + 3].tolist()


@SOME
@given(EASTING, NORTHING, ZONE, LEVEL)
def test_an_address_says_where_it_is(x, y, zone, level):
    cell = int(cells_at(x, y, zone, level))
    assert cell == int(cells_at(x, y, zone, level))
    assert is_cell(cell)
    assert 0 <= cell < 2**53
    assert json.loads(json.dumps(float(cell))) == cell  # as JavaScript keeps it
    assert (int(level_of(cell)), zone_of(cell), side_m(cell)) == (level, zone, 4**level)
    west, south = corner_m(cell)
    assert west <= x < west + side_m(cell)
    assert south <= y < south + side_m(cell)
    assert int(cells_at(west, south, zone, level)) == cell


@SOME
@given(EASTING, NORTHING, ZONE)
def test_a_parent_is_the_square_of_the_same_place(x, y, zone):
    own = [int(cells_at(x, y, zone, level)) for level in LEVELS]
    for fine in LEVELS:
        for coarse in range(fine, 4):
            assert int(parents(own[fine], coarse)) == own[coarse]
    assert len(set(own)) == len(LEVELS)  # the level is in the address: a parent is never another square's number
    column, row = column_row(own[0])
    p_column, p_row = column_row(own[2])
    assert (p_column, p_row) == (column >> 4, row >> 4)


def test_a_parent_has_exactly_its_children():
    x, y = np.meshgrid(np.arange(64) + 300_032.5, np.arange(64) + 3_350_016.5)
    cells = cells_at(x.ravel(), y.ravel(), HOME)
    for level in (1, 2, 3):
        found, n = np.unique(parents(cells, level), return_counts=True)
        assert set(level_of(found)) == {level}
        assert set(n) == {16**level}
    assert not set(cells.tolist()) & set(parents(cells, 1).tolist())


def test_parents_of_nothing_and_of_a_finer_level():
    assert parents([], 2).size == 0
    with pytest.raises(ValueError, match="no parent of level 1"):
        parents(cells_at(1.0, 1.0, HOME, 2), 1)


@pytest.mark.parametrize(("x", "y"), [(-0.5, 5.0), (1_048_576.0, 5.0), (5.0, -0.001), (5.0, 16_777_216.0)])
def test_a_place_outside_the_numbers_has_no_square(x, y):
    with pytest.raises(ValueError, match="UTM zone"):
        cells_at([500_000.0, x], [3_000_000.0, y], HOME)


def test_a_square_ends_where_the_next_begins():
    x = 300_000.0
    assert cells_at(np.nextafter(x, 0), 5.0, HOME) != cells_at(x, 5.0, HOME)
    assert cells_at(x, 5.0, HOME) == cells_at(np.nextafter(x + 1, 0), 5.0, HOME)


@pytest.mark.parametrize("number", [0, 61, -1])
def test_a_zone_is_one_of_sixty(number):
    with pytest.raises(ValueError, match="utm_zone"):
        Zone(number)


def test_what_is_no_address():
    good = int(cells_at(300_000.0, 3_350_000.0, HOME, 2))
    assert is_cell(good)
    assert not is_cell(-1)
    assert not is_cell(1 << 53)
    assert not is_cell(0)  # zone 0
    assert not is_cell(good & ~(63 << 44))
    assert not is_cell(good | 63 << 44)  # zone 63
    assert not is_cell(good | 1 << 19)  # an easting beyond the zone at this level
    assert not is_cell(good | 1 << 43)  # a northing beyond it
    assert is_cell(int(cells_at(1_048_575.0, 16_777_215.0, HOME, 3)))


@SOME
@given(st.integers(0, 2**54))
def test_an_address_is_a_square_of_its_own_place(number):
    if is_cell(number):
        x, y = corner_m(number)
        assert int(cells_at(x, y, zone_of(number), int(level_of(number)))) == number


@SOME
@given(st.floats(200_000, 800_000), st.floats(1_000, 9_000_000), ZONE, LEVEL, st.integers(0, 3))
def test_neighbours_are_the_squares_around(x, y, zone, level, reach):
    cell = int(cells_at(x, y, zone, level))
    around = neighbours(cell, reach)
    assert len(set(around.tolist())) == (2 * reach + 1) ** 2
    assert around[len(around) // 2] == cell
    side = side_m(cell)
    steps = {tuple(np.subtract(corner_m(int(c)), corner_m(cell)) / side) for c in around}
    span = range(-reach, reach + 1)
    assert steps == {(i, j) for i in span for j in span}
    assert set(level_of(around).tolist()) == {level}
    # rows of the same northing, west to east: the order that weights of a position are laid out in
    assert [corner_m(int(c))[0] for c in around[: 2 * reach + 1]] == sorted(corner_m(int(c))[0] for c in around)[
        :: 2 * reach + 1
    ]


@SOME
@given(EASTING, NORTHING, ZONE, LEVEL)
def test_a_block_holds_its_squares_in_order(x, y, zone, level):
    cell = int(cells_at(x, y, zone, level))
    block = int(blocks_of(cell))
    cells = cells_of_block(block)
    assert (int(level_of(block)), zone_of(block)) == (level, zone)
    assert index_in_block(cells).tolist() == list(range(BLOCK * BLOCK))
    assert set(blocks_of(cells).tolist()) == {block}
    assert cells[int(index_in_block(cell))] == cell
    assert len(np.unique(cells)) == BLOCK * BLOCK


@SOME
@given(st.floats(200_000, 800_000), st.floats(10_000, 9_000_000), ZONE, LEVEL)
def test_blocks_beside_touch_the_block(x, y, zone, level):
    block = int(blocks_of(cells_at(x, y, zone, level)))
    beside = blocks_beside(block)
    assert set(beside) == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)} - {(0, 0)}
    corner = np.array(corner_m(int(cells_of_block(block)[0])))
    size = BLOCK * 4**level
    for step, other in beside.items():
        assert corner_m(int(cells_of_block(other)[0])) == tuple(corner + np.multiply(step, size))


def test_blocks_at_the_edge_of_the_numbers_have_fewer_neighbours():
    corner = int(blocks_of(cells_at(0.0, 0.0, HOME)))
    assert set(blocks_beside(corner)) == {(1, 0), (0, 1), (1, 1)}


@SOME
@given(st.floats(119, 127), st.floats(0.1, 80), st.floats(1e-5, 0.02), st.floats(1e-5, 0.02), LEVEL, st.data())
def test_a_box_is_covered_by_its_blocks(west, south, width, height, level, data):
    boxes = blocks_in_box(west, south, west + width, south + height, HOME, level, most=1_000_000)
    assert len(np.unique(boxes)) == len(boxes)
    part = st.floats(0, 1)
    lon = west + width * np.array(data.draw(st.lists(part, min_size=8, max_size=8)))
    lat = south + height * np.array(data.draw(st.lists(part, min_size=8, max_size=8)))
    inside = blocks_of(cells_at(*project(lon, lat, HOME), HOME, level))
    assert set(inside.tolist()) <= set(boxes.tolist())


def test_a_box_has_no_more_blocks_than_it_touches():
    lon, lat = unproject([300_010.0, 300_020.0], [3_350_027.0, 3_350_037.0], HOME)
    boxes = blocks_in_box(lon[0], lat[0], lon[1], lat[1], HOME, 0, most=4)
    assert set(boxes.tolist()) == {int(blocks_of(cells_at(300_015.0, 3_350_032.0, HOME)))}


def test_too_large_a_box_is_refused():
    with pytest.raises(ValueError, match="the limit is 10"):
        blocks_in_box(120.0, 30.0, 120.1, 30.1, HOME, 0, most=10)


@SOME
@given(st.floats(200_000, 800_000), st.floats(100_000, 9_000_000), LEVEL)
def test_a_polygon_is_the_closed_ring_of_the_square(x, y, level):
    cell = int(cells_at(x, y, HOME, level))
    ring = polygon_deg(cell)
    assert len(ring) == 5
    assert ring[0] == ring[-1]
    east, north = project(*np.transpose(ring), HOME)
    west, south = corner_m(cell)
    side = side_m(cell)
    assert np.abs(east - west - side * np.array([0, 1, 1, 0, 0])).max() < 0.003  # eight decimals of a degree
    assert np.abs(north - south - side * np.array([0, 0, 1, 1, 0])).max() < 0.003
    area = 0.5 * np.sum(east[:-1] * north[1:] - east[1:] * north[:-1])
    assert area > 0  # counter-clockwise, as GeoJSON wants it


def test_names_for_people():
    assert name_of(int(cells_at(228_000.7, 3_352_000.2, HOME))) == "UTM 51N 228000 3352000"
    assert name_of(int(cells_at(228_000.7, 3_352_000.2, Zone(50, north=False), 2))) == "UTM 50S 228000 3352000 (16 m)"
