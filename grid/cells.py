"""Addresses of squares: one number for every 1, 4, 16 or 64 m square of a UTM zone, and for blocks of 32 x 32.

    bits 52-51  level: 0, 1, 2, 3 for squares of 1, 4, 16, 64 m
    bit  50     hemisphere: 1 is north
    bits 49-44  UTM zone, 1 to 60
    bits 43-20  northing in squares of the level (10,000 km false northing in the south)
    bits 19-0   easting in squares of the level

All ids are below 2**53, so that JSON and JavaScript keep them exact. A parent shifts northing and easting **apart**:
shifting the joined number would carry northing bits into the easting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ids = NDArray[np.int64]
Metres = NDArray[np.float64]

LEVELS = (0, 1, 2, 3)
BLOCK = 32
"""Squares along a block's side. 16 would quarter what a fold rewrites but quadruple the rows; 64 rewrites 4,096
squares for one finding."""
_BLOCK_BITS = 5

_EASTING_BITS = 20
_NORTHING_BITS = 24
_ZONE_SHIFT = _EASTING_BITS + _NORTHING_BITS
_HEMISPHERE_SHIFT = _ZONE_SHIFT + 6
_LEVEL_SHIFT = _HEMISPHERE_SHIFT + 1
_EASTING_MASK = (1 << _EASTING_BITS) - 1
_NORTHING_MASK = (1 << _NORTHING_BITS) - 1
_PREFIX_MASK = ~((1 << _ZONE_SHIFT) - 1)

# WGS 84 and its projection. CGCS2000 differs by 0.1 mm in the semi-minor axis.
_A_M = 6_378_137.0
_F = 1 / 298.257223563
_K0 = 0.9996
_FALSE_EASTING_M = 500_000.0
_FALSE_NORTHING_M = 10_000_000.0

# Krüger series to n**4 (Karney 2011, eq. 35 and 36): the first term left out is under 1e-7 m within a zone.
_N = _F / (2 - _F)
_RADIUS_M = _A_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_ALPHA = (
    _N / 2 - 2 / 3 * _N**2 + 5 / 16 * _N**3 + 41 / 180 * _N**4,
    13 / 48 * _N**2 - 3 / 5 * _N**3 + 557 / 1440 * _N**4,
    61 / 240 * _N**3 - 103 / 140 * _N**4,
    49561 / 161280 * _N**4,
)
_BETA = (
    _N / 2 - 2 / 3 * _N**2 + 37 / 96 * _N**3 - 1 / 360 * _N**4,
    1 / 48 * _N**2 + 1 / 15 * _N**3 - 437 / 1440 * _N**4,
    17 / 480 * _N**3 - 37 / 840 * _N**4,
    4397 / 161280 * _N**4,
)
_DELTA = (
    2 * _N - 2 / 3 * _N**2 - 2 * _N**3 + 116 / 45 * _N**4,
    7 / 3 * _N**2 - 8 / 5 * _N**3 - 227 / 45 * _N**4,
    56 / 15 * _N**3 - 136 / 35 * _N**4,
    4279 / 630 * _N**4,
)
_E2N = 2 * np.sqrt(_N) / (1 + _N)


@dataclass(frozen=True)
class Zone:
    """The one UTM zone of a city. A city that lies on a border keeps its zone: 1 degree past it, a square is still
    within 0.3 % of its area."""

    number: int
    north: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 60:
            raise ValueError(f"a UTM zone is 1 to 60, not {self.number}: mend utm_zone in city.toml")

    @property
    def meridian_deg(self) -> float:
        """Longitude of the central meridian."""
        return self.number * 6.0 - 183.0


def project(lon_deg: ArrayLike, lat_deg: ArrayLike, zone: Zone) -> tuple[Metres, Metres]:
    """Easting and northing, float64 metres, of positions given in degrees (WGS 84), any shape."""
    lat = np.radians(np.asarray(lat_deg, dtype=np.float64))
    lam = np.radians(np.asarray(lon_deg, dtype=np.float64) - zone.meridian_deg)
    sin_lat = np.sin(lat)
    t = np.sinh(np.arctanh(sin_lat) - _E2N * np.arctanh(_E2N * sin_lat))
    xi = np.arctan2(t, np.cos(lam))
    eta = np.arctanh(np.sin(lam) / np.sqrt(1 + t * t))
    x, y = eta.copy(), xi.copy()
    for j, a in enumerate(_ALPHA, start=1):
        x += a * np.cos(2 * j * xi) * np.sinh(2 * j * eta)
        y += a * np.sin(2 * j * xi) * np.cosh(2 * j * eta)
    northing = _K0 * _RADIUS_M * y + (0.0 if zone.north else _FALSE_NORTHING_M)
    return _FALSE_EASTING_M + _K0 * _RADIUS_M * x, northing


def unproject(easting_m: ArrayLike, northing_m: ArrayLike, zone: Zone) -> tuple[Metres, Metres]:
    """Longitude and latitude, float64 degrees, of positions given in metres of the zone; the inverse of `project`."""
    eta0 = (np.asarray(easting_m, dtype=np.float64) - _FALSE_EASTING_M) / (_K0 * _RADIUS_M)
    xi0 = (np.asarray(northing_m, dtype=np.float64) - (0.0 if zone.north else _FALSE_NORTHING_M)) / (_K0 * _RADIUS_M)
    xi, eta = xi0.copy(), eta0.copy()
    for j, b in enumerate(_BETA, start=1):
        xi -= b * np.sin(2 * j * xi0) * np.cosh(2 * j * eta0)
        eta -= b * np.cos(2 * j * xi0) * np.sinh(2 * j * eta0)
    chi = np.arcsin(np.sin(xi) / np.cosh(eta))
    lat = chi.copy()
    for j, d in enumerate(_DELTA, start=1):
        lat += d * np.sin(2 * j * chi)
    lon = np.degrees(np.arctan2(np.sinh(eta), np.cos(xi))) + zone.meridian_deg
    return lon, np.degrees(lat)


def _join(level: int, zone: Zone, column: Ids, row: Ids) -> Ids:
    prefix = level << _LEVEL_SHIFT | int(zone.north) << _HEMISPHERE_SHIFT | zone.number << _ZONE_SHIFT
    return np.asarray(prefix | row << _EASTING_BITS | column, dtype=np.int64)


def cells_at(easting_m: ArrayLike, northing_m: ArrayLike, zone: Zone, level: int = 0) -> Ids:
    """Ids, int64, of the squares of ``level`` that hold the positions.

    Raises ValueError where a position is outside the zone's numbers (easting 0 to 1,048,576 m, northing 0 to
    16,777,216 m): such a position has no square.
    """
    column = np.floor(np.asarray(easting_m, dtype=np.float64)).astype(np.int64)
    row = np.floor(np.asarray(northing_m, dtype=np.float64)).astype(np.int64)
    for number, mask in ((column, _EASTING_MASK), (row, _NORTHING_MASK)):
        if number.size and not (int(number.min()) >= 0 and int(number.max()) <= mask):
            raise ValueError("a position lies outside the UTM zone: check the city file's zone and the fixes' datum")
    return _join(level, zone, column >> (2 * level), row >> (2 * level))


def level_of(ids: ArrayLike) -> Ids:
    """Level, 0 to 3, of each square or block."""
    return np.asarray(ids, dtype=np.int64) >> _LEVEL_SHIFT


def zone_of(cell: int) -> Zone:
    """The zone that stands in a square's or block's id."""
    return Zone((cell >> _ZONE_SHIFT) & 63, bool(cell >> _HEMISPHERE_SHIFT & 1))


def column_row(ids: ArrayLike) -> tuple[Ids, Ids]:
    """Easting and northing numbers of squares, in squares of their own level; of blocks, in blocks."""
    ids = np.asarray(ids, dtype=np.int64)
    return ids & _EASTING_MASK, ids >> _EASTING_BITS & _NORTHING_MASK


def is_cell(cell: int) -> bool:
    """Whether the number is the address of a square: level, zone and numbers within their bounds."""
    if not 0 <= cell < 1 << 53:
        return False
    level, number = cell >> _LEVEL_SHIFT, cell >> _ZONE_SHIFT & 63
    column, row = cell & _EASTING_MASK, cell >> _EASTING_BITS & _NORTHING_MASK
    return 1 <= number <= 60 and column <= _EASTING_MASK >> 2 * level and row <= _NORTHING_MASK >> 2 * level


def parents(ids: ArrayLike, level: int) -> Ids:
    """The squares of a coarser or equal ``level`` that hold the given ones (all of one level)."""
    ids = np.asarray(ids, dtype=np.int64)
    if not ids.size:
        return ids
    own = int(ids.flat[0]) >> _LEVEL_SHIFT
    if level < own:
        raise ValueError(f"a square of level {own} has no parent of level {level}")
    column, row = column_row(ids)
    shift = 2 * (level - own)
    return _join(level, zone_of(int(ids.flat[0])), column >> shift, row >> shift)


def neighbours(cell: int, reach: int = 1) -> Ids:
    """The squares within ``reach`` of ``cell`` on both axes, itself among them, int64 ((2 reach + 1)**2,)."""
    step = np.arange(-reach, reach + 1, dtype=np.int64)
    column, row = column_row(cell)
    columns, rows = np.meshgrid(column + step, row + step)
    return _join(cell >> _LEVEL_SHIFT, zone_of(cell), columns.ravel(), rows.ravel())


def blocks_of(ids: ArrayLike) -> Ids:
    """The block of 32 x 32 squares of the same level that holds each square."""
    ids = np.asarray(ids, dtype=np.int64)
    column, row = column_row(ids)
    return (ids & _PREFIX_MASK) | (row >> _BLOCK_BITS) << _EASTING_BITS | column >> _BLOCK_BITS


def index_in_block(ids: ArrayLike) -> Ids:
    """Place of each square in its block, 0 to 1023: row in the block times 32 plus column in the block."""
    column, row = column_row(ids)
    return (row & BLOCK - 1) << _BLOCK_BITS | column & BLOCK - 1


def cells_in_block(blocks: ArrayLike, index: ArrayLike) -> Ids:
    """The square at each place (0 to 1023) of each block: the inverse of `blocks_of` and `index_in_block`."""
    blocks, index = np.asarray(blocks, dtype=np.int64), np.asarray(index, dtype=np.int64)
    column, row = column_row(blocks)
    row, column = row << _BLOCK_BITS | index >> _BLOCK_BITS, column << _BLOCK_BITS | index & BLOCK - 1
    return (blocks & _PREFIX_MASK) | row << _EASTING_BITS | column


def cells_of_block(block: int) -> Ids:
    """The 1,024 squares of a block, int64, in the order of `index_in_block`."""
    column, row = column_row(block)
    step = np.arange(BLOCK, dtype=np.int64)
    columns, rows = np.meshgrid(int(column) * BLOCK + step, int(row) * BLOCK + step)
    return _join(block >> _LEVEL_SHIFT, zone_of(block), columns.ravel(), rows.ravel())


def side_m(cell: int) -> int:
    """Length of a square's side in metres."""
    return 1 << 2 * (cell >> _LEVEL_SHIFT)


def corner_m(cell: int) -> tuple[float, float]:
    """Easting and northing of a square's south-west corner."""
    column, row = column_row(cell)
    side = side_m(cell)
    return float(column) * side, float(row) * side


def polygon_deg(cell: int) -> list[tuple[float, float]]:
    """The closed ring of a square as five (longitude, latitude) pairs, counter-clockwise from the south-west."""
    x, y = corner_m(cell)
    side = side_m(cell)
    lon, lat = unproject([x, x + side, x + side, x, x], [y, y, y + side, y + side, y], zone_of(cell))
    return [(round(float(a), 8), round(float(b), 8)) for a, b in zip(lon, lat, strict=True)]


def blocks_in_box(west: float, south: float, east: float, north: float, zone: Zone, level: int, most: int) -> Ids:
    """The blocks of ``level`` that a box in degrees touches, at most ``most``.

    Raises ValueError when there are more: the caller asks for a smaller box or a coarser level.
    """
    edge = np.linspace(0.0, 1.0, 9)  # a box's sides are curved in UTM; nine points each bound them to centimetres
    lon = west + (east - west) * edge
    lat = south + (north - south) * edge
    lons = np.concatenate([lon, lon, np.full(9, west), np.full(9, east)])
    lats = np.concatenate([np.full(9, south), np.full(9, north), lat, lat])
    x, y = project(lons, lats, zone)
    size = BLOCK << 2 * level
    low = [int(np.floor(max(float(v.min()), 0.0) / size)) for v in (x, y)]
    high = [int(np.floor(max(float(v.max()), 0.0) / size)) for v in (x, y)]
    count = (high[0] - low[0] + 1) * (high[1] - low[1] + 1)
    if count > most:
        raise ValueError(f"the box touches {count} blocks, the limit is {most}: ask for a smaller box")
    columns, rows = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    return _join(level, zone, columns.ravel().astype(np.int64), rows.ravel().astype(np.int64))


def blocks_beside(block: int) -> dict[tuple[int, int], int]:
    """The eight blocks around a block, by (column step, row step)."""
    column, row = (int(v) for v in column_row(block))
    prefix = block & _PREFIX_MASK
    return {
        (d_col, d_row): prefix | row + d_row << _EASTING_BITS | column + d_col
        for d_col in (-1, 0, 1)
        for d_row in (-1, 0, 1)
        if (d_col or d_row) and column + d_col >= 0 and row + d_row >= 0
    }


def name_of(cell: int) -> str:
    """A square as people read it: zone, hemisphere, easting and northing of its corner, side where it is not 1 m."""
    x, y = corner_m(cell)
    zone = zone_of(cell)
    side = side_m(cell)
    return f"UTM {zone.number}{'N' if zone.north else 'S'} {x:.0f} {y:.0f}" + (f" ({side} m)" if side > 1 else "")
