"""A map tile as 65,536 bytes of codes, painted from blocks of squares. Pure: the caller reads the blocks, and the
browser (or `picture`) turns codes into colours, so that another palette or filter needs no second answer of the server.

One byte a pixel, row-major from the top-left:

    bits 0-2  0 no block here, 1 grey (not known), 2 green, 3 yellow, 4 red
    bit  3    suspected (one kind of witness), as against confirmed
    bits 4-5  level of the square that is shown: 0, 1, 2 for 1, 4, 16 m
    bit  6    grey, for a works permit holds
    bit  7    grey, and once yellow or red: it has expired

Coarser squares lie under finer ones, and a fine square hides a coarse one only where it knows something. A pixel wider
than a square shows the worst square it touches, so that no red is lost between pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from defects import Codes, Colour, Flag, State
from grid import BLOCK, Zone, blocks_of, cells_at, column_row, level_of, project

TILE_PX: Final = 256
MIN_ZOOM: Final = 14
"""A pixel is 8 m at 30 degrees north. One zoom less reads 18,000 blocks for one tile and shows the worst of 16 m, which
turns a whole city red; more would leave the street a person looks for without its neighbourhood."""
MAX_ZOOM: Final = 21
"""A square metre is 15 pixels wide. One zoom less blurs the hatching of suspected squares; one more sends the same
squares four times as often, and the browser can enlarge them itself."""

LEVELS: Final = (0, 1, 2)
"""Of the squares that are painted: a 64 m square says nothing about a street."""

NOTHING: Final = 0
SUSPECTED_BIT: Final = 8
LEVEL_SHIFT: Final = 4
WORKS_BIT: Final = 64
EXPIRED_BIT: Final = 128

_EARTH_TURN_DEG = 360.0
_REACH_DEG = 5.0
"""From the central meridian. A zone ends at 3; a city across its border needs some more; beyond 6 the numbers of the
zone run out at high latitudes."""
_POLE_DEG = 84.0
"""Where UTM ends."""

# Samples along a pixel's side, by zoom: so many that their spacing stays under the shorter way across a pooled square.
_SAMPLES = {14: 3, 15: 3, 16: 3, 17: 2}
# Metres along a pooled square's side: about half a pixel; the worst square of each is kept.
_POOL_M = {14: 4, 15: 2}
# Exact points along a tile's side, between which positions are interpolated: a tile of zoom 16 (600 m) is affine to
# 5 mm, one of zoom 14 only to 7 cm, and to 5 mm again in four by four parts.
_NODES = {14: 5, 15: 3}

# Inside, a square is its rank times four plus how fine it is, so that the worst of several is their maximum. Ranks: 0
# where there is no block, then these.
_RANKS = (
    (Colour.GREY, State.NONE, Flag(0)),
    (Colour.GREY, State.NONE, Flag.EXPIRED),
    (Colour.GREY, State.NONE, Flag.WORKS),
    (Colour.GREEN, State.NONE, Flag(0)),
    (Colour.YELLOW, State.SUSPECTED, Flag(0)),
    (Colour.YELLOW, State.CONFIRMED, Flag(0)),
    (Colour.RED, State.SUSPECTED, Flag(0)),
    (Colour.RED, State.CONFIRMED, Flag(0)),
)
_FIRST_KNOWN = 3 << 2  # works: what has expired hides nothing that is known of a coarser square
_SHOWN_FLAGS = Flag.WORKS | Flag.EXPIRED


def _rank_table() -> NDArray[np.uint8]:
    """Rank times four by colour, state and shown flags in one number, as `_layer` makes it."""
    table = np.zeros(64, dtype=np.uint8)
    for number in range(64):
        colour, state, flags = Colour(number & 3), number >> 2 & 3, Flag(number >> 3 & int(_SHOWN_FLAGS))
        said: tuple[Colour, State, Flag]
        if colour == Colour.GREY:
            said = (colour, State.NONE, Flag.WORKS if Flag.WORKS in flags else flags)
        elif colour == Colour.GREEN:
            said = (colour, State.NONE, Flag(0))
        else:
            said = (colour, State.SUSPECTED if state == State.SUSPECTED else State.CONFIRMED, Flag(0))
        table[number] = _RANKS.index(said) + 1 << 2
    return table


_RANK_OF = _rank_table()


class TileAddressError(ValueError):
    """The address of a tile cannot be used; the text says what it should be."""


@dataclass(frozen=True)
class _Window:
    """The tile in metres: exact positions of its nodes, and the box, aligned to 16 m, that holds them."""

    easting_m: NDArray[np.float64]
    northing_m: NDArray[np.float64]
    west_m: int
    south_m: int
    width_m: int
    height_m: int


def parse_address(z: str, x: str, y: str) -> tuple[int, int, int]:
    """The numbers in a tile's path, as in ``/tiles/19/437161/215310``. Raises `TileAddressError`."""
    numbers = []
    for name, text in (("zoom", z), ("column", x), ("row", y)):
        if not (text.isascii() and text.isdigit() and len(text) <= 8):
            raise TileAddressError(f"the {name} of a tile is a whole number from 0, not {text[:20]!r}")
        numbers.append(int(text))
    return check_address(*numbers)


def check_address(z: int, x: int, y: int) -> tuple[int, int, int]:
    """The same address, if it is one. Raises `TileAddressError`."""
    if not MIN_ZOOM <= z <= MAX_ZOOM:
        raise TileAddressError(f"zoom {z} is not served: ask for {MIN_ZOOM} to {MAX_ZOOM}")
    for name, number in (("column", x), ("row", y)):
        if not 0 <= number < 1 << z:
            raise TileAddressError(f"at zoom {z} the {name} of a tile is 0 to {(1 << z) - 1}, not {number}")
    return z, x, y


def bounds_deg(z: int, x: int, y: int) -> tuple[float, float, float, float]:
    """West, south, east, north of a tile in degrees (Web Mercator, EPSG:3857, rows counted from the north)."""
    edges = np.array([x, x + 1, y + 1, y], dtype=np.float64) / (1 << z)
    lon = edges[:2] * _EARTH_TURN_DEG - 180.0
    lat = _latitude_deg(edges[2:])
    return float(lon[0]), float(lat[0]), float(lon[1]), float(lat[1])


def _latitude_deg(fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latitude of rows given as fractions of the Mercator square from the top: the inverse of the Gudermannian."""
    latitude: NDArray[np.float64] = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * fraction))))
    return latitude


def _between(nodes: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Values, (rows, samples), at the centres of evenly spaced samples between the nodes, (rows, nodes), of each row.

    Written out: a matrix product with weights took 30 ms, as the linear algebra library starts threads for it.
    """
    parts = nodes.shape[1] - 1
    at = ((np.arange(samples) + 0.5) / samples * parts).astype(np.float32)
    part = np.minimum(at.astype(np.int64), parts - 1)
    out = np.empty((nodes.shape[0], samples), dtype=np.float32)
    for k in range(parts):
        chosen = slice(int(np.searchsorted(part, k)), int(np.searchsorted(part, k, side="right")))
        np.multiply((nodes[:, k + 1] - nodes[:, k])[:, None], (at[chosen] - np.float32(k))[None, :], out=out[:, chosen])
        out[:, chosen] += nodes[:, k, None]
    return out


def _sampled(nodes_m: NDArray[np.float64], origin_m: int, pool: int, samples: int) -> NDArray[np.int32]:
    """Numbers of the pooled squares, (samples, samples), counted from the window's edge. Offsets of under 4 km are
    exact to 0.2 mm in single precision, which halves the time."""
    offsets = ((nodes_m - origin_m) / pool).astype(np.float32)
    return _between(np.ascontiguousarray(_between(offsets.T, samples).T), samples).astype(np.int32)


def _window(z: int, x: int, y: int, zone: Zone) -> _Window | None:
    """The tile in metres of the zone; None where the zone does not reach."""
    nodes = np.linspace(0.0, 1.0, _NODES.get(z, 2))
    lon = (x + nodes) / (1 << z) * _EARTH_TURN_DEG - 180.0
    lat = _latitude_deg((y + nodes) / (1 << z))
    if float(np.abs(lon - zone.meridian_deg).max()) > _REACH_DEG or float(np.abs(lat).max()) > _POLE_DEG:
        return None
    e_nodes, n_nodes = project(lon[None, :], lat[:, None], zone)
    west, east = _aligned(float(e_nodes.min()), float(e_nodes.max()))
    south, north = _aligned(float(n_nodes.min()), float(n_nodes.max()))
    return _Window(e_nodes, n_nodes, west, south, east - west, north - south)


def _aligned(low: float, high: float) -> tuple[int, int]:
    side = 1 << 2 * LEVELS[-1]
    return max(int(low) // side, 0) * side, (max(int(high), 0) // side + 1) * side


def blocks_needed(z: int, x: int, y: int, zone: Zone) -> list[int]:
    """Ids of the blocks of 1, 4 and 16 m squares that touch the tile: 3 to 12 at zoom 21, about 5,000 at zoom 14 at
    30 degrees north and never over 7,500. Empty where the zone does not reach. Raises `TileAddressError`."""
    window = _window(*check_address(z, x, y), zone)
    if window is None:
        return []
    needed: list[int] = []
    for level in LEVELS:
        size = BLOCK << 2 * level
        columns = np.arange(window.west_m // size, (window.west_m + window.width_m - 1) // size + 1) * size
        rows = np.arange(window.south_m // size, (window.south_m + window.height_m - 1) // size + 1) * size
        eastings, northings = np.meshgrid(columns, rows)
        needed += blocks_of(cells_at(eastings.ravel(), northings.ravel(), zone, level)).tolist()
    return needed


def paint(z: int, x: int, y: int, zone: Zone, blocks: Mapping[int, Codes]) -> bytes:
    """The tile, `TILE_PX` squared bytes. ``blocks``: codes of those of `blocks_needed` that exist, by id, (1024,) each;
    others are passed over. Raises `TileAddressError`."""
    window = _window(*check_address(z, x, y), zone)
    if window is None or not blocks:
        return bytes(TILE_PX * TILE_PX)
    squares = _mosaic(window, blocks)
    pool = _POOL_M.get(z, 1)
    if pool > 1:
        squares = squares.reshape(window.height_m // pool, pool, window.width_m // pool, pool).max(axis=(1, 3))
    samples = _SAMPLES.get(z, 1)
    at = _sampled(window.northing_m, window.south_m, pool, TILE_PX * samples)
    at *= squares.shape[1]
    at += _sampled(window.easting_m, window.west_m, pool, TILE_PX * samples)
    seen = squares.ravel().take(at)
    if samples > 1:  # the worst of a pixel's samples, one axis after the other
        seen = np.maximum.reduce([seen[i::samples] for i in range(samples)])
        seen = np.maximum.reduce([seen[:, i::samples] for i in range(samples)])
    painted: NDArray[np.uint8] = _BYTE.take(seen)
    return painted.tobytes()


def _mosaic(window: _Window, blocks: Mapping[int, Codes]) -> NDArray[np.uint8]:
    """Ranks of the window's squares of 1 m, (height_m, width_m), south first: coarse ones, known fine ones above."""
    ids = np.fromiter(blocks.keys(), dtype=np.int64, count=len(blocks))
    levels = level_of(ids)
    coarsest = 2 * LEVELS[-1]
    under = np.zeros((window.height_m >> coarsest, window.width_m >> coarsest), dtype=np.uint8)
    for level in reversed(LEVELS):
        if level != LEVELS[-1]:
            under = under.repeat(4, axis=0).repeat(4, axis=1)
        here = ids[levels == level]
        if here.size:
            layer = _layer(window, level, here, blocks)
            under = np.where(layer >= _FIRST_KNOWN, layer, np.maximum(layer, under))
    return under


def _layer(window: _Window, level: int, ids: NDArray[np.int64], blocks: Mapping[int, Codes]) -> NDArray[np.uint8]:
    """Ranks of the squares of one level, zero where there is no block."""
    side = 1 << 2 * level
    west, south = window.west_m // side, window.south_m // side
    width, height = window.width_m // side, window.height_m // side
    first_column, first_row = west // BLOCK, south // BLOCK
    columns, rows = (west + width - 1) // BLOCK - first_column + 1, (south + height - 1) // BLOCK - first_row + 1
    column, row = column_row(ids)
    column, row = column - first_column, row - first_row
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    whole = np.zeros((rows, BLOCK, columns, BLOCK), dtype=np.uint8)
    if inside.any():
        codes = np.stack([blocks[i] for i in ids[inside].tolist()])
        said = codes["colour"] & 3 | (codes["state"] & 3) << 2 | (codes["flags"] & int(_SHOWN_FLAGS)) << 3
        ranks = _RANK_OF.take(said) | (2 - level)
        whole[row[inside], :, column[inside], :] = ranks.reshape(-1, BLOCK, BLOCK)
    bottom, left = south - first_row * BLOCK, west - first_column * BLOCK
    return whole.reshape(rows * BLOCK, columns * BLOCK)[bottom : bottom + height, left : left + width]


def _byte_of(ranked: int) -> int:
    rank, level = ranked >> 2, 2 - (ranked & 3)
    if not 0 < rank <= len(_RANKS) or level < 0:
        return NOTHING
    colour, state, flags = _RANKS[rank - 1]
    suspected = SUSPECTED_BIT if state == State.SUSPECTED else 0
    held = (WORKS_BIT if flags == Flag.WORKS else 0) | (EXPIRED_BIT if flags == Flag.EXPIRED else 0)
    return (int(colour) + 1) | suspected | level << LEVEL_SHIFT | held


_BYTE: NDArray[np.uint8] = np.array([_byte_of(r) for r in range(64)], dtype=np.uint8)
