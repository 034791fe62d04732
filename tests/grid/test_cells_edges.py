"""Squares where the numbers, the zone or the hemisphere end, and their names in the military grid."""

import json
import re

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grid.projection
from grid import (
    LEVELS,
    REACH_DEG,
    BadBox,
    BadMgrs,
    BoxTooLarge,
    NoMgrs,
    OutsideZone,
    Zone,
    blocks_beside,
    blocks_of,
    cell_of_mgrs,
    cells_at,
    cells_in_box,
    centres_deg,
    centres_m,
    column_row,
    corner_m,
    corners_m,
    is_cell,
    level_of,
    mgrs_of,
    neighbours,
    parents,
    polygon_deg,
    polygons_deg,
    project,
    unproject,
    within_reach,
    zone_of,
)

SOME = settings(max_examples=80, deadline=None)
LEVEL = st.sampled_from(LEVELS)
ZONE = st.builds(Zone, st.integers(1, 60), st.booleans())
BESIDE = st.floats(-4, 4)  # to a degree past the border on both sides
LAST_X, LAST_Y = 2.0**20, 2.0**24


def there(zone):
    code = f"EPSG:{(32600 if zone.north else 32700) + zone.number}"
    return pyproj.Transformer.from_crs("EPSG:4326", code, always_xy=True)


@SOME
@given(ZONE, BESIDE, st.floats(0.001, 80), LEVEL)
def test_a_place_has_the_square_in_which_the_reference_puts_it(zone, beside, lat, level):
    """In all 120 zones, to a degree past the border. A place within a millimetre of a square's edge may fall beside."""
    lon, lat = zone.meridian_deg + beside, lat if zone.north else -lat
    assert within_reach(lon, lat, zone)
    east, north = there(zone).transform(lon, lat)
    x, y = project(lon, lat, zone)
    assert np.hypot(x - east, y - north) < 1e-6
    west, south = corner_m(int(cells_at(x, y, zone, level)))
    side = 4**level
    assert west - 1e-3 <= east < west + side + 1e-3
    assert south - 1e-3 <= north < south + side + 1e-3
    back = there(zone).transform(*unproject(x, y, zone))
    assert np.hypot(x - back[0], y - back[1]) < 1e-5


def test_reach_ends_where_it_says():
    zone = Zone(51)
    lon = zone.meridian_deg + np.array(
        [1e-9 - REACH_DEG, REACH_DEG - 1e-9, -REACH_DEG - 1e-9, REACH_DEG + 1e-9, np.nan]
    )
    assert within_reach(lon, 30.0, zone).tolist() == [True, True, False, False, False]
    assert within_reach(123.0, [0.0, 84.0, -1e-9, 84.1, np.nan], zone).tolist() == [True, True, False, False, False]
    assert within_reach(123.0, [0.0, -1e-9, -80.0, -80.1], Zone(51, False)).tolist() == [False, True, True, False]


def test_everything_within_reach_has_a_square():
    for north in (True, False):
        zone = Zone(51, north)
        for lat in (0.0, 20.0, 84.0) if north else (-1e-9, -20.0, -80.0):
            lon = zone.meridian_deg + np.array([-REACH_DEG, 0, REACH_DEG])
            assert all(is_cell(int(c)) for c in cells_at(*project(lon, np.full(3, lat), zone), zone))


def test_the_areas_in_the_table_are_those_of_the_ellipsoid():
    """Sides of 100 m, measured on the ellipsoid by another library."""
    rows = re.findall(r"(?m)^\| ([\d.]+) \|.*?\| ([\d.]+) / ([\d.]+) / ([\d.]+) m² \|", grid.projection.__doc__)
    assert [float(r[0]) for r in rows] == [0, 3, 4, REACH_DEG]
    geod = pyproj.Geod(ellps="WGS84")
    zone = Zone(51)
    for beside, *told in rows:
        for lat, area in zip((0.001, 30, 60), told, strict=True):
            x, y = project(zone.meridian_deg + float(beside), lat, zone)
            lon, lat_ = unproject(x + np.array([0, 100, 100, 0]), y + np.array([0, 0, 100, 100]), zone)
            assert geod.polygon_area_perimeter(lon, lat_)[0] / 1e4 == pytest.approx(float(area), abs=6e-5)


def test_no_number_is_no_place():
    with pytest.raises(OutsideZone, match="UTM zone"):
        cells_at([500_000.0, np.nan], [5.0, 5.0], Zone(51))


@SOME
@given(st.lists(st.tuples(st.floats(0, LAST_X - 1), st.floats(0, LAST_Y - 1), ZONE, LEVEL), min_size=1, max_size=20))
def test_squares_of_many_levels_and_zones_keep_their_own_parents(places):
    cells = np.array([int(cells_at(x, y, zone, level)) for x, y, zone, level in places])
    for level in range(max(p[3] for p in places), 4):
        told = parents(cells, level).tolist()
        assert told == [int(cells_at(x, y, zone, level)) for x, y, zone, _ in places]
        assert not set(told) & set(cells[level_of(cells) < level].tolist())


@pytest.mark.parametrize("level", [-1, 4])
def test_there_are_four_levels(level):
    with pytest.raises(ValueError, match="0 to 3"):
        parents(cells_at(5.0, 5.0, Zone(51)), level)


@SOME
@given(st.sampled_from((0.0, 1.0, LAST_X - 2, LAST_X - 1)), st.sampled_from((0.0, 3.0, LAST_Y - 1)), LEVEL, st.just(2))
def test_at_the_edge_of_the_numbers_there_are_fewer_neighbours(x, y, level, reach):
    zone = Zone(50)
    cell = int(cells_at(x, y, zone, level))
    around = neighbours(cell, reach).tolist()
    column, row = (int(v) for v in column_row(cell))
    steps = range(-reach, reach + 1)
    wanted = [
        (column + i, row + j)
        for j in steps
        for i in steps
        if 0 <= column + i < 2**20 >> 2 * level and 0 <= row + j < 2**24 >> 2 * level
    ]
    assert [tuple(int(v) for v in column_row(c)) for c in around] == wanted
    assert all(is_cell(c) and zone_of(c) == zone and int(level_of(c)) == level for c in around)


@pytest.mark.parametrize("level", LEVELS)
def test_blocks_beside_the_last_one(level):
    last = int(blocks_of(cells_at(LAST_X - 1, LAST_Y - 1, Zone(51), level)))
    assert set(blocks_beside(last)) == {(-1, 0), (0, -1), (-1, -1)}


@SOME
@given(st.lists(st.tuples(st.floats(2e5, 8e5), st.floats(1e5, 9e6), LEVEL), min_size=1, max_size=10), ZONE)
def test_many_squares_at_once_are_as_each_alone(places, zone):
    cells = np.array([int(cells_at(x, y, zone, level)) for x, y, level in places])
    rings = polygons_deg(cells)
    assert rings.shape == (len(cells), 5, 2)
    for cell, ring, *corner in zip(cells.tolist(), rings.tolist(), *corners_m(cells), strict=True):
        assert [tuple(p) for p in ring] == polygon_deg(cell)
        assert tuple(corner) == corner_m(cell)
    for cell, x, y in zip(cells.tolist(), *centres_m(cells), strict=True):
        assert int(cells_at(x, y, zone, int(level_of(cell)))) == cell
    for cell, lon, lat in zip(cells.tolist(), *centres_deg(cells), strict=True):
        assert int(cells_at(*project(lon, lat, zone), zone, int(level_of(cell)))) == cell


def test_squares_of_two_zones_have_no_common_metres():
    cells = [int(cells_at(5e5, 5e5, zone)) for zone in (Zone(50), Zone(51))]
    with pytest.raises(ValueError, match="several UTM zones"):
        polygons_deg(cells)
    assert polygons_deg([]).shape == (0, 5, 2)


@SOME
@given(st.floats(119, 127), st.floats(0.1, 80), st.floats(0, 4e-3), st.floats(0, 2e-3), st.integers(1, 3), st.data())
def test_a_box_is_covered_by_its_squares(west, south, width, height, level, data):
    zone = Zone(51)
    cells = cells_in_box(west, south, west + width, south + height, zone, level, 1_000_000)
    assert (np.diff(cells) > 0).all()
    part = st.floats(0, 1)
    lon = west + width * np.array([*data.draw(st.lists(part, min_size=6, max_size=6)), 0, 1])
    lat = south + height * np.array([*data.draw(st.lists(part, min_size=6, max_size=6)), 0, 1])
    assert set(cells_at(*project(lon, lat, zone), zone, level).tolist()) <= set(cells.tolist())


def test_a_box_has_no_square_that_lies_apart_from_it():
    """Far from the meridian the box stands aslant: the rectangle around it holds squares that do not touch it."""
    zone, west, south = Zone(51), 119.2, 30.0
    east, north = west + 0.004, south + 0.0004
    cells = cells_in_box(west, south, east, north, zone, 1, 100_000)
    rings = polygons_deg(cells)
    lon, lat = rings[:, :, 0], rings[:, :, 1]
    assert (lon.min(1) <= east).all()
    assert (lon.max(1) >= west).all()
    assert (lat.min(1) <= north).all()
    assert (lat.max(1) >= south).all()
    true_m2 = (np.ptp(project([west, east], [south, south], zone)[0])) * 44.4
    assert len(cells) * 16 < 1.35 * true_m2


def test_wrong_boxes_are_named():
    zone = Zone(51)
    with pytest.raises(BoxTooLarge, match="the limit is 10"):
        cells_in_box(120.0, 30.0, 120.01, 30.01, zone, 0, 10)
    with pytest.raises(BadBox, match="west not above east"):
        cells_in_box(120.01, 30.0, 120.0, 30.01, zone, 0, 10)
    with pytest.raises(BadBox):
        cells_in_box(float("nan"), 30.0, 120.0, 30.01, zone, 0, 10)
    for box in ((100.0, 30.0, 100.001, 30.001), (120.0, -1.0, 120.001, 0.001), (120.0, 84.0, 120.001, 84.001)):
        with pytest.raises(OutsideZone, match="zone 51"):
            cells_in_box(*box, zone, 0, 10_000_000)


# Printed on maps and in descriptions of the grid (place, zone, easting, northing, text); the last three lie in other
# rows of letters, by the rule of the grid's own handbook: columns begin anew every third zone, rows every second.
KNOWN = [
    (4, True, 612_345, 2_367_890, "4QFJ 12345 67890"),  # Honolulu
    (18, True, 323_480, 4_306_470, "18SUJ 23480 06470"),  # Washington Monument
    (56, False, 334_873, 6_251_959, "56HLH 34873 51959"),  # Sydney Opera House
    (31, True, 448_251, 5_411_932, "31UDQ 48251 11932"),  # Eiffel Tower
    (51, True, 228_000, 3_352_000, "51RTP 28000 52000"),
    (31, True, 166_022, 0, "31NAA 66022 00000"),  # where equator and Greenwich cross
    (31, False, 166_022, 9_999_999, "31MAV 66022 99999"),
]


@pytest.mark.parametrize(("number", "north", "x", "y", "text"), KNOWN)
def test_names_in_the_military_grid(number, north, x, y, text):
    cell = int(cells_at(x + 0.5, y + 0.5, Zone(number, north)))
    assert mgrs_of(cell) == text
    assert cell_of_mgrs(text) == cell
    assert cell_of_mgrs(text.replace(" ", "").lower()) == cell


@SOME
@given(st.floats(100_064, 899_999), st.floats(1, 9_300_000), ZONE, LEVEL)
def test_a_name_leads_back_to_its_square(x, y, zone, level):
    y = y if zone.north else 10_000_000 - min(y, 8_880_000)
    cell = int(cells_at(x, y, zone, level))
    text = mgrs_of(cell)
    assert cell_of_mgrs(text) == cell
    band = text[len(str(zone.number))]
    lat = float(unproject(*corner_m(cell), zone)[1])
    assert abs(lat - ("CDEFGHJKLMNPQRSTUVWX".index(band) * 8 - 80)) <= (12 if band == "X" else 8) + 1e-4
    assert (f"({4**level} m)" in text) == (level > 0)


def test_a_coarse_square_is_not_named_as_another_one():
    """A 4 m square is no square of the military grid, so its text keeps all digits and says its side."""
    names = {mgrs_of(int(cells_at(228_032, 3_352_000, Zone(51), level))) for level in LEVELS}
    assert len(names) == 4
    assert {n.split(" (")[0] for n in names} == {"51RTP 28032 52000"}


def test_a_square_beyond_the_letters_has_no_name():
    for x, y in ((99_999.0, 5e5), (900_000.0, 5e5), (5e5, 9_400_000.0)):
        with pytest.raises(NoMgrs, match="use the square's number"):
            mgrs_of(int(cells_at(x, y, Zone(51))))


@pytest.mark.parametrize(
    "text",
    ["", "51RTP", "51RTP 2800 5200", "0RTP 28000 52000", "61RTP 28000 52000", "51ITP 28000 52000", "51RAP 28000 52000",
     "51DTP 28000 52000", "51RTP 28000 52000 (2 m)", "51RTP 28001 52000 (16 m)", "51RTZ 28000 52000"],
)  # fmt: skip
def test_what_is_no_name(text):
    with pytest.raises(BadMgrs):
        cell_of_mgrs(text)


def test_ids_stay_as_they_were():
    """Addresses stand in stored evidence and in the log: this number may never change."""
    cell = int(cells_at(228_000.5, 3_352_000.5, Zone(51), 1))
    assert cell == 1 << 51 | 1 << 50 | 51 << 44 | 838_000 << 20 | 57_000
    assert json.loads(json.dumps(cell)) == cell
