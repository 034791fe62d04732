"""The painted tile says of every pixel what the square under it says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from api.tiles import (
    LEVELS,
    MAX_ZOOM,
    MIN_ZOOM,
    TILE_PX,
    TileAddressError,
    blocks_needed,
    bounds_deg,
    paint,
    parse_address,
)
from defects import Colour, Flag, State, unknown_codes
from grid import Zone, blocks_of, cells_at, index_in_block, polygon_deg, project

ZONE = Zone(51)
LON, LAT = 120.1655, 30.2790
GREY, GREEN, YELLOW, RED, SUSPECTED = 1, 2, 3, 4, 8

Blocks = dict[int, NDArray[np.void]]


def mercator(lon: float, lat: float, z: int) -> tuple[float, float]:
    """Column and row with fractions, by the textbook formula (independent of `api.tiles` and of `grid`)."""
    size = 2**z
    x = (lon + 180) / 360 * size
    y = (1 - math.log(math.tan(math.radians(lat)) + 1 / math.cos(math.radians(lat))) / math.pi) / 2 * size
    return x, y


def cell_at(lon: float, lat: float, level: int = 0) -> int:
    easting, northing = project(lon, lat, ZONE)
    return int(cells_at(easting, northing, ZONE, level))


def put(blocks: Blocks, cell: int, colour: Colour, state: State = State.NONE, flags: int = 0) -> None:
    codes = blocks.setdefault(int(blocks_of(cell)), unknown_codes())
    codes[int(index_in_block(cell))] = (colour, state, 255, 1, 0, flags, 0, 0, 0)


def painted(z: int, lon: float, lat: float, blocks: Blocks) -> tuple[NDArray[np.uint8], int, int]:
    """The tile that holds the place, as an image, and the place's column and row in it."""
    x, y = mercator(lon, lat, z)
    image = np.frombuffer(paint(z, int(x), int(y), ZONE, blocks), dtype=np.uint8).reshape(TILE_PX, TILE_PX)
    return image, int(x % 1 * TILE_PX), int(y % 1 * TILE_PX)


def inside(ring: list[tuple[float, float]], lon: float, lat: float) -> bool:
    """Whether a convex counter-clockwise ring holds the place."""
    return all((b[0] - a[0]) * (lat - a[1]) - (b[1] - a[1]) * (lon - a[0]) >= 0 for a, b in itertools.pairwise(ring))


@pytest.mark.parametrize("z", [14, 15, 16, 17, 18, 19, 20, 21])
@pytest.mark.parametrize("step", range(5))
def test_a_red_square_is_painted_where_mercator_says(z: int, step: int) -> None:
    lon, lat = LON + step * 0.00137, LAT - step * 0.00071
    cell = cell_at(lon, lat)
    blocks: Blocks = {}
    put(blocks, cell, Colour.RED, State.CONFIRMED)
    ring = polygon_deg(cell)
    lon, lat = (ring[0][0] + ring[2][0]) / 2, (ring[0][1] + ring[2][1]) / 2
    image, column, row = painted(z, lon, lat, blocks)
    red = np.argwhere(image == RED)
    assert len(red), "a red square must not be lost between pixels"
    metre_px = TILE_PX * 2**z / (40_075_017 * math.cos(math.radians(lat)))
    reach = max(1.0, metre_px)
    assert np.abs(red - (row, column)).max() <= reach
    if z >= 18:
        assert image[row, column] == RED


@pytest.mark.parametrize("z", [19, 21])
def test_every_pixel_centre_agrees_with_the_polygon(z: int) -> None:
    cell = cell_at(LON, LAT)
    blocks: Blocks = {}
    put(blocks, cell, Colour.RED, State.CONFIRMED)
    ring = polygon_deg(cell)
    x, y = mercator(LON, LAT, z)
    image, _, _ = painted(z, LON, LAT, blocks)
    west, south, east, north = bounds_deg(z, int(x), int(y))
    corners = [mercator(lon, lat, z) for lon, lat in ring]
    rows = range(
        max(int((min(c[1] for c in corners) - int(y)) * TILE_PX) - 2, 0),
        min(int((max(c[1] for c in corners) - int(y)) * TILE_PX) + 3, TILE_PX),
    )
    columns = range(
        max(int((min(c[0] for c in corners) - int(x)) * TILE_PX) - 2, 0),
        min(int((max(c[0] for c in corners) - int(x)) * TILE_PX) + 3, TILE_PX),
    )
    wrong = 0
    for row in rows:
        lat = math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * (int(y) + (row + 0.5) / TILE_PX) / 2**z))))
        assert south <= lat <= north
        for column in columns:
            lon = west + (column + 0.5) / TILE_PX * (east - west)
            wrong += inside(ring, lon, lat) != (image[row, column] == RED)
    # polygon_deg rounds to 1 mm: only a pixel whose centre lies that near to the border may differ.
    assert len(rows) * len(columns) >= 16
    assert wrong <= 2


def test_what_nobody_measured_is_nothing_and_a_block_that_exists_is_grey() -> None:
    assert set(paint(19, *map(int, mercator(LON, LAT, 19)), ZONE, {})) == {0}
    block = int(blocks_of(cell_at(LON, LAT)))
    image, column, row = painted(18, LON, LAT, {block: unknown_codes()})
    assert set(np.unique(image)) == {0, GREY}
    assert image[row, column] == GREY
    # 32 x 32 m and no more.
    metre_px = TILE_PX * 2**18 / (40_075_017 * math.cos(math.radians(LAT)))
    assert (image == GREY).sum() <= (32 * metre_px) ** 2 * 1.01


def test_a_fine_known_square_hides_a_coarse_one_and_a_fine_grey_one_does_not() -> None:
    blocks: Blocks = {}
    put(blocks, cell_at(LON, LAT, 2), Colour.YELLOW, State.SUSPECTED)
    put(blocks, cell_at(LON, LAT, 1), Colour.RED, State.SUSPECTED)
    image, column, row = painted(21, LON, LAT, blocks)
    assert image[row, column] == RED | SUSPECTED | 1 << 4
    assert YELLOW | SUSPECTED | 2 << 4 in image
    put(blocks, cell_at(LON, LAT), Colour.GREEN)
    image, column, row = painted(21, LON, LAT, blocks)
    assert image[row, column] == GREEN
    # The other squares of that block are fine and unknown: what the phone said stays visible in them.
    assert RED | SUSPECTED | 1 << 4 in image


@pytest.mark.parametrize("z", [14, 15, 16, 17])
def test_a_pixel_wider_than_a_square_shows_the_worst(z: int) -> None:
    block = int(blocks_of(cell_at(LON, LAT)))
    codes = unknown_codes()
    codes["colour"] = Colour.GREEN
    codes[500] = (Colour.RED, State.SUSPECTED, 9, 1, 0, 0, 0, 0, 0)
    image, _, _ = painted(z, LON, LAT, {block: codes})
    values = set(np.unique(image)) - {0}
    assert values == {GREEN, RED | SUSPECTED} or values == {RED | SUSPECTED}


@pytest.mark.parametrize("z", range(MIN_ZOOM, MAX_ZOOM + 1))
def test_the_blocks_that_are_asked_for_cover_the_tile(z: int) -> None:
    x, y = (int(v) for v in mercator(LON, LAT, z))
    needed = blocks_needed(z, x, y, ZONE)
    assert len(needed) == len(set(needed)) <= 7500
    west, south, east, north = bounds_deg(z, x, y)
    for lon in np.linspace(west, east, 9)[1:-1]:
        for lat in np.linspace(south, north, 9)[1:-1]:
            for level in LEVELS:
                assert int(blocks_of(cell_at(lon, lat, level))) in needed
    grey = {block: unknown_codes() for block in needed if not block >> 51}
    assert 0 not in paint(z, x, y, ZONE, grey)


def test_painting_is_pure() -> None:
    rng = np.random.default_rng(1)
    x, y = (int(v) for v in mercator(LON, LAT, 19))
    blocks: Blocks = {}
    for block in blocks_needed(19, x, y, ZONE):
        codes = unknown_codes()
        codes["colour"] = rng.integers(0, 4, len(codes))
        codes["state"] = rng.integers(0, 3, len(codes))
        codes.flags.writeable = False
        blocks[block] = codes
    before = {block: codes.tobytes() for block, codes in blocks.items()}
    first = paint(19, x, y, ZONE, blocks)
    other_order = dict(reversed(list(blocks.items())))
    far = int(blocks_of(cell_at(LON + 1, LAT)))
    assert paint(19, x, y, ZONE, {**other_order, far: unknown_codes()}) == first
    assert {block: codes.tobytes() for block, codes in blocks.items()} == before
    assert len(first) == TILE_PX * TILE_PX


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (("13", "0", "0"), "zoom 13"),
        (("22", "0", "0"), "zoom 22"),
        (("14", "16384", "0"), "column"),
        (("14", "0", "16384"), "row"),
        (("14", "-1", "0"), "column"),
        (("x", "0", "0"), "zoom"),
        (("19", "1e3", "0"), "column"),
        (("19", "", "0"), "column"),
        (("19", "٣", "0"), "column"),
        (("19", "9" * 4000, "0"), "column"),
    ],
)
def test_a_bad_address_is_named(address: tuple[str, str, str], words: str) -> None:
    with pytest.raises(TileAddressError, match=words):
        parse_address(*address)


def test_good_addresses_are_taken_and_paint_checks_its_own() -> None:
    assert parse_address("14", "0", "16383") == (14, 0, 16383)
    with pytest.raises(TileAddressError):
        paint(22, 0, 0, ZONE, {})
    with pytest.raises(TileAddressError):
        blocks_needed(14, 1 << 14, 0, ZONE)


def test_a_tile_outside_the_zone_is_empty() -> None:
    for lon, lat in ((-60.0, 10.0), (120.0, 84.9), (140.0, 30.0)):
        x, y = (int(v) for v in mercator(lon, lat, 16))
        assert blocks_needed(16, x, y, ZONE) == []
        assert set(paint(16, x, y, ZONE, {int(blocks_of(cell_at(LON, LAT))): unknown_codes()})) == {0}


def test_the_south_has_its_own_squares() -> None:
    zone, lon, lat = Zone(51, north=False), 120.2, -8.65
    easting, northing = project(lon, lat, zone)
    cell = int(cells_at(easting, northing, zone))
    codes = unknown_codes()
    codes[int(index_in_block(cell))] = (Colour.RED, State.CONFIRMED, 9, 1, 0, 0, 0, 0, 0)
    x, y = mercator(lon, lat, 19)
    image = np.frombuffer(paint(19, int(x), int(y), zone, {int(blocks_of(cell)): codes}), dtype=np.uint8)
    assert image.reshape(TILE_PX, TILE_PX)[int(y % 1 * TILE_PX), int(x % 1 * TILE_PX)] == RED


@pytest.mark.parametrize(
    ("flags", "byte"),
    [(0, GREY), (Flag.WORKS, GREY | 64), (Flag.EXPIRED, GREY | 128), (Flag.WORKS | Flag.EXPIRED, GREY | 64),
     (Flag.HARMLESS | Flag.GHOST, GREY)],
)  # fmt: skip
def test_works_are_told_from_what_has_expired_and_from_what_nobody_knows(flags: int, byte: int) -> None:
    blocks: Blocks = {}
    put(blocks, cell_at(LON, LAT), Colour.GREY, State.NONE, flags)
    image, x, y = painted(21, LON, LAT, blocks)
    assert image[y, x] == byte


def test_what_has_expired_hides_no_coarser_square_and_works_do() -> None:
    for flag, shown in ((Flag.EXPIRED, YELLOW | SUSPECTED | 1 << 4), (Flag.WORKS, GREY | 64)):
        blocks: Blocks = {}
        put(blocks, cell_at(LON, LAT), Colour.GREY, State.NONE, flag)
        put(blocks, cell_at(LON, LAT, 1), Colour.YELLOW, State.SUSPECTED)
        image, x, y = painted(21, LON, LAT, blocks)
        assert image[y, x] == shown
