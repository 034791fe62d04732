"""Squares as areas: their corners, centres and rings, and which of them a box in degrees touches."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cells import BLOCK, Ids, Metres, cells_at, column_row, corner_m, level_of, side_m, zone_of
from .projection import OutsideZone, Zone, project, unproject, within_reach


class BadBox(ValueError):
    """A box is none: west is not west of east, south not south of north, or a side is no number."""


class BoxTooLarge(ValueError):
    """A box touches more squares or blocks than the caller allows."""


def corners_m(ids: ArrayLike) -> tuple[Metres, Metres]:
    """Easting and northing, float64 (n,), of the south-west corners of squares of any levels."""
    ids = np.asarray(ids, dtype=np.int64)
    column, row = column_row(ids)
    side = np.left_shift(1, 2 * level_of(ids)).astype(np.float64)
    return column * side, row * side


def centres_m(ids: ArrayLike) -> tuple[Metres, Metres]:
    """Easting and northing, float64 (n,), of the middles of squares of any levels: `cells_at` of it is the square."""
    half = np.left_shift(1, 2 * level_of(ids)) / 2
    x, y = corners_m(ids)
    return x + half, y + half


def centres_deg(ids: ArrayLike) -> tuple[Metres, Metres]:
    """Longitude and latitude, float64 (n,), of the middles of squares of one zone and any levels."""
    ids = np.asarray(ids, dtype=np.int64)
    if not ids.size:
        return np.zeros(ids.shape), np.zeros(ids.shape)
    return unproject(*centres_m(ids), _one_zone(ids))


def polygons_deg(ids: ArrayLike) -> NDArray[np.float64]:
    """The closed rings of squares of one zone, float64 (n, 5, 2): longitude and latitude, counter-clockwise from the
    south-west, to eight decimals (1 mm)."""
    ids = np.asarray(ids, dtype=np.int64).reshape(-1)
    if not ids.size:
        return np.zeros((0, 5, 2))
    side = np.left_shift(1, 2 * level_of(ids)).astype(np.float64)[:, None]
    x, y = corners_m(ids)
    lon, lat = unproject(
        x[:, None] + side * np.array([0.0, 1, 1, 0, 0]), y[:, None] + side * np.array([0.0, 0, 1, 1, 0]), _one_zone(ids)
    )
    return np.asarray(np.round(np.stack([lon, lat], axis=2), 8), dtype=np.float64)


def polygon_deg(cell: int) -> list[tuple[float, float]]:
    """The closed ring of a square as five (longitude, latitude) pairs, counter-clockwise from the south-west."""
    x, y = corner_m(cell)
    side = side_m(cell)
    lon, lat = unproject([x, x + side, x + side, x, x], [y, y, y + side, y + side, y], zone_of(cell))
    return [(round(float(a), 8), round(float(b), 8)) for a, b in zip(lon, lat, strict=True)]


def _one_zone(ids: Ids) -> Zone:
    zone = zone_of(int(ids.flat[0]))
    if (((ids ^ int(ids.flat[0])) >> 44) & 127).any():
        raise ValueError("squares of several UTM zones have no common metres: ask for each zone by itself")
    return zone


def cells_in_box(west: float, south: float, east: float, north: float, zone: Zone, level: int, most: int) -> Ids:
    """The squares of ``level`` that a box in degrees touches, rising by row and column, int64.

    Every square with a point in the box is among them; of others only such as come within the turn of the meridian over
    one square (under 8 % of its side). Raises BadBox; OutsideZone where the box leaves what the zone may hold;
    BoxTooLarge where the box and the slant of the zone against it take more than ``most`` squares.
    """
    _check(west, south, east, north)
    if not within_reach([west, east], [south, north], zone).all():
        raise OutsideZone(f"the box leaves what UTM zone {zone.number} may hold: ask for a box within the city")
    low, high = _span(west, south, east, north, zone, 1 << 2 * level)
    count = (high[0] - low[0] + 1) * (high[1] - low[1] + 1)
    if count > most:
        raise BoxTooLarge(f"the box takes {count} squares of level {level}, the limit is {most}: ask for a smaller box")
    columns, rows = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    side = float(1 << 2 * level)
    ids = cells_at(columns.ravel() * side, rows.ravel() * side, zone, level)
    ring = polygons_deg(ids)
    lon, lat = ring[:, :, 0], ring[:, :, 1]
    touched = (lon.min(1) <= east) & (lon.max(1) >= west) & (lat.min(1) <= north) & (lat.max(1) >= south)
    return np.asarray(ids[touched])


def blocks_in_box(west: float, south: float, east: float, north: float, zone: Zone, level: int, most: int) -> Ids:
    """The blocks of ``level`` that a box in degrees touches, at most ``most``.

    Raises BoxTooLarge when there are more: the caller asks for a smaller box or a coarser level. What lies beyond the
    zone's numbers has no blocks.
    """
    _check(west, south, east, north)
    size = BLOCK << 2 * level
    low, high = _span(west, south, east, north, zone, size)
    count = (high[0] - low[0] + 1) * (high[1] - low[1] + 1)
    if count > most:
        raise BoxTooLarge(f"the box touches {count} blocks, the limit is {most}: ask for a smaller box")
    columns, rows = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    prefix = int(cells_at(0.0, 0.0, zone, level))
    return np.asarray(prefix | rows.ravel().astype(np.int64) << 20 | columns.ravel().astype(np.int64))


def _check(west: float, south: float, east: float, north: float) -> None:
    if not (west <= east and south <= north):
        raise BadBox("a box is west, south, east, north in degrees, west not above east and south not above north")


def _span(
    west: float, south: float, east: float, north: float, zone: Zone, size: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last column and row, in squares of ``size`` metres, of what a box in degrees covers; the last lies
    before the first where the box is beyond the zone's numbers."""
    edge = np.linspace(0.0, 1.0, 9)  # a box's sides are curved in UTM; nine points each bound them to centimetres
    lon = west + (east - west) * edge
    lat = south + (north - south) * edge
    lons = np.concatenate([lon, lon, np.full(9, west), np.full(9, east)])
    lats = np.concatenate([np.full(9, south), np.full(9, north), lat, lat])
    x, y = project(lons, lats, zone)
    last = ((1 << 20) // size - 1, (1 << 24) // size - 1)
    low = [max(int(np.floor(float(v.min()) / size)), 0) for v in (x, y)]
    high = [min(int(np.floor(float(v.max()) / size)), end) for v, end in zip((x, y), last, strict=True)]
    if high[0] < low[0] or high[1] < low[1]:
        return (0, 0), (-1, -1)
    return (low[0], low[1]), (high[0], high[1])
