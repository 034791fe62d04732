"""From a shape on the ground to the squares it touches: points, lines and polygons, widened by how far their place may
be off. Pure geometry in metres of the city's zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grid import Zone, cells_at

Metres = NDArray[np.float64]
Ids = NDArray[np.int64]

MOST_SQUARES = 250_000
"""Squares of 1 m of one entry. A quarter of a square kilometre is 5 km of a boulevard; with a tenth of it works on one
would have to be cut up by hand, with ten times as much a slip of the pen hides a district."""
MOST_LENGTH_M = 60_000.0
"""Outline of one entry. Ten times less and a long permit's two sides do not fit; ten times more and one entry takes
minutes to lay out."""
MOST_VERTICES = 20_000
"""Corners of one entry: one each 3 m of the longest outline."""
_PIECE_M = 16.0
"""Lines are cut into such pieces, so that a window of squares around each stays small."""
_HALF_DIAGONAL_M = 0.5**0.5


class TooLarge(ValueError):
    """A shape has more squares, length or corners than one entry may have."""


@dataclass(frozen=True, eq=False)
class Shape:
    """parts: float64 (k, 2) each, easting and northing. kind: point (each row of each part), line, or polygon: of its
    rings, outer ones and holes alike, inside is what an odd number of them encloses. So is a ring that crosses itself
    taken; its outline always counts."""

    kind: str
    parts: tuple[Metres, ...]


def squares(shape: Shape, reach_m: float, zone: Zone) -> Ids:
    """Ids, sorted, of the 1 m squares within ``reach_m`` of the shape: every one that it touches, and none whose edge
    lies more than 0.21 m farther away.

    Raises TooLarge, and ValueError where the shape lies outside the zone or is not finite.
    """
    if not shape.parts or any(p.ndim != 2 or p.shape[1] != 2 or not len(p) for p in shape.parts):
        raise ValueError("a shape has at least one position of two numbers")
    if not all(np.isfinite(p).all() for p in shape.parts):
        raise ValueError("a position is not a finite number")
    vertices = sum(len(p) for p in shape.parts)
    if vertices > MOST_VERTICES:
        raise TooLarge(f"{vertices:,} corners, one entry has {MOST_VERTICES:,} at the most: simplify or cut it up")
    a, b = _edges(shape)
    length = np.hypot(*(b - a).T)
    if not float(length.sum()) <= MOST_LENGTH_M:
        raise TooLarge(
            f"an outline of {length.sum() / 1000:,.0f} km, one entry has {MOST_LENGTH_M / 1000:.0f} km at the most: "
            "check the datum and the order of longitude and latitude, or cut it up"
        )
    whole = np.concatenate([a, b])
    cells_at(whole[:, 0].min() - reach_m, whole[:, 1].min() - reach_m, zone)  # raises outside the zone
    cells_at(whole[:, 0].max() + reach_m, whole[:, 1].max() + reach_m, zone)
    inside = _inside(a, b, zone) if shape.kind == "polygon" else np.empty(0, np.int64)
    cells = np.unique(np.concatenate([inside, _near(a, b, length, reach_m, zone)]))
    if len(cells) > MOST_SQUARES:
        raise TooLarge(_too_many(len(cells)))
    return cells


def _too_many(n: int) -> str:
    return f"{n:,} squares of 1 m, one entry has {MOST_SQUARES:,} at the most: cut it up"


def _edges(shape: Shape) -> tuple[Metres, Metres]:
    """Ends of all edges, float64 (n, 2) each; of a point both are the same."""
    starts, stops = [], []
    for part in shape.parts:
        if shape.kind == "point" or len(part) == 1:
            starts.append(part)
            stops.append(part)
        elif shape.kind == "line":
            starts.append(part[:-1])
            stops.append(part[1:])
        else:
            starts.append(part)
            stops.append(np.roll(part, -1, axis=0))
    return np.concatenate(starts), np.concatenate(stops)


def _near(a: Metres, b: Metres, length: Metres, reach_m: float, zone: Zone) -> Ids:
    """Squares whose middle lies within reach and half a diagonal of an edge."""
    pieces = np.maximum(np.ceil(length / _PIECE_M), 1).astype(np.int64)
    edge = np.repeat(np.arange(len(a)), pieces)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    low = (step / pieces[edge])[:, None]
    high = ((step + 1) / pieces[edge])[:, None]
    d = b - a
    p, q = a[edge] + low * d[edge], a[edge] + high * d[edge]
    reach = reach_m + _HALF_DIAGONAL_M
    window = np.arange(int(np.ceil(_PIECE_M + 2 * reach)) + 2, dtype=np.float64)
    found = []
    at_once = max(1, 2_000_000 // len(window) ** 2)
    for i in range(0, len(p), at_once):
        s, t = p[i : i + at_once], q[i : i + at_once]
        corner = np.floor(np.minimum(s, t) - reach)
        x = corner[:, 0, None, None] + window[None, None, :] + 0.5
        y = corner[:, 1, None, None] + window[None, :, None] + 0.5
        along = t - s
        square = np.maximum((along**2).sum(axis=1), 1e-18)[:, None, None]
        at_x, at_y = x - s[:, 0, None, None], y - s[:, 1, None, None]
        share = np.clip((at_x * along[:, 0, None, None] + at_y * along[:, 1, None, None]) / square, 0.0, 1.0)
        off_x, off_y = at_x - share * along[:, 0, None, None], at_y - share * along[:, 1, None, None]
        k, row, column = np.nonzero(off_x**2 + off_y**2 <= reach**2)
        found.append(np.unique(cells_at(corner[k, 0] + window[column], corner[k, 1] + window[row], zone)))
    return np.unique(np.concatenate(found))


def _inside(a: Metres, b: Metres, zone: Zone) -> Ids:
    """Squares whose middle is enclosed by an odd number of rings: filled row by row between crossings."""
    low, high = np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 1], b[:, 1])
    first = np.ceil(low - 0.5).astype(np.int64)
    rows = np.maximum(np.ceil(high - 0.5).astype(np.int64) - first, 0)
    edge = np.repeat(np.arange(len(a)), rows)
    if not len(edge):
        return np.empty(0, np.int64)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows)
    slope = (b[edge, 0] - a[edge, 0]) / (b[edge, 1] - a[edge, 1])
    x = a[edge, 0] + (row + 0.5 - a[edge, 1]) * slope
    order = np.lexsort((x, row))
    row, x = row[order][::2], x[order]
    begin = np.ceil(x[::2] - 0.5).astype(np.int64)
    count = np.maximum(np.ceil(x[1::2] - 0.5).astype(np.int64) - begin, 0)
    total = int(count.sum())
    if total > MOST_SQUARES:
        raise TooLarge(_too_many(total))
    run = np.repeat(np.arange(len(begin)), count)
    column = begin[run] + np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    return cells_at(column.astype(np.float64), row[run].astype(np.float64), zone)
