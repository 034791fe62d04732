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

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .projection import OutsideZone
from .projection import Zone as Zone  # noqa: PLC0414  (others of the room take both from here)
from .projection import project as project  # noqa: PLC0414

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


def _join(level: int, zone: Zone, column: Ids, row: Ids) -> Ids:
    prefix = level << _LEVEL_SHIFT | int(zone.north) << _HEMISPHERE_SHIFT | zone.number << _ZONE_SHIFT
    return np.asarray(prefix | row << _EASTING_BITS | column, dtype=np.int64)


def cells_at(easting_m: ArrayLike, northing_m: ArrayLike, zone: Zone, level: int = 0) -> Ids:
    """Ids, int64, of the squares of ``level`` that hold the positions.

    Raises OutsideZone where a position is outside the zone's numbers (easting 0 to 1,048,576 m, northing 0 to
    16,777,216 m): such a position has no square. NaN is refused as well.
    """
    with np.errstate(invalid="ignore"):  # NaN becomes a number far outside, which is refused below
        column = np.floor(np.asarray(easting_m, dtype=np.float64)).astype(np.int64)
        row = np.floor(np.asarray(northing_m, dtype=np.float64)).astype(np.int64)
    for number, mask in ((column, _EASTING_MASK), (row, _NORTHING_MASK)):
        if number.size and not (int(number.min()) >= 0 and int(number.max()) <= mask):
            raise OutsideZone("a position lies outside the UTM zone: check the city file's zone and the fixes' datum")
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
    """The squares of a coarser or equal ``level`` that hold the given ones, which may be of several levels and zones.

    Raises ValueError where one is coarser than ``level``, or where there is no such level.
    """
    ids = np.asarray(ids, dtype=np.int64)
    if level not in LEVELS:
        raise ValueError(f"there is no level {level}: squares have levels 0 to 3")
    if not ids.size:
        return ids
    own = ids >> _LEVEL_SHIFT
    if int(own.max()) > level:
        raise ValueError(f"a square of level {int(own.max())} has no parent of level {level}")
    column, row = column_row(ids)
    shift = 2 * (level - own)
    prefix = (ids & _PREFIX_MASK) + ((level - own) << _LEVEL_SHIFT)
    return np.asarray(prefix | (row >> shift) << _EASTING_BITS | column >> shift, dtype=np.int64)


def neighbours(cell: int, reach: int = 1) -> Ids:
    """The squares within ``reach`` of ``cell`` on both axes, itself among them, by rows from the south-west, int64
    ((2 reach + 1)**2,). At the edge of the zone's numbers there are fewer: what has no number is left out."""
    step = np.arange(-reach, reach + 1, dtype=np.int64)
    column, row = (int(v) for v in column_row(cell))
    level = cell >> _LEVEL_SHIFT
    last_column, last_row = _EASTING_MASK >> 2 * level, _NORTHING_MASK >> 2 * level
    columns, rows = (v.ravel() for v in np.meshgrid(column + step, row + step))
    if column < reach or row < reach or column > last_column - reach or row > last_row - reach:
        there = (columns >= 0) & (rows >= 0) & (columns <= last_column) & (rows <= last_row)
        columns, rows = columns[there], rows[there]
    return _join(level, zone_of(cell), columns, rows)


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


def blocks_beside(block: int) -> dict[tuple[int, int], int]:
    """The eight blocks around a block, by (column step, row step); fewer at the edge of the zone's numbers."""
    column, row = (int(v) for v in column_row(block))
    prefix = block & _PREFIX_MASK
    bits = _BLOCK_BITS + 2 * (block >> _LEVEL_SHIFT)
    last_column, last_row = _EASTING_MASK >> bits, _NORTHING_MASK >> bits
    return {
        (d_col, d_row): prefix | row + d_row << _EASTING_BITS | column + d_col
        for d_col in (-1, 0, 1)
        for d_row in (-1, 0, 1)
        if (d_col or d_row) and 0 <= column + d_col <= last_column and 0 <= row + d_row <= last_row
    }


def name_of(cell: int) -> str:
    """A square as people read it: zone, hemisphere, easting and northing of its corner, side where it is not 1 m."""
    x, y = corner_m(cell)
    zone = zone_of(cell)
    side = side_m(cell)
    return f"UTM {zone.number}{'N' if zone.north else 'S'} {x:.0f} {y:.0f}" + (f" ({side} m)" if side > 1 else "")
