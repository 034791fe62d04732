"""Which squares are a road: the carriageway of a section as squares of 1 m, and its strips of 10 m of a lane.

A square belongs to a section where its middle is within half the width of the centre line. At both ends the carriageway
is cut square to the line, at bends it is rounded on the outer side. So neighbouring parts of a straight road neither
overlap nor leave a gap; where a road is cut within a bend, a few squares on the inner side belong to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cells import Ids, cells_at
from .projection import Zone
from .sections import STRIP_M, Metres, Section, along, piece

_LOW_BITS = 44  # of a square's id, that tell it from others of its zone and level
_LOW_MASK = (1 << _LOW_BITS) - 1
_MOST_AT_ONCE = 1 << 63 - _LOW_BITS


@dataclass(frozen=True, eq=False)
class Strip:
    """Some 10 m of a lane. lane: 1 at the left edge in the direction of drawing, rising to the right; 0 is the whole
    width, where the lanes are not known. index: number along the section, from 0. cells: int64, rising, its squares of
    1 m. x_m, y_m: float64 (k,), its closed outline, metres."""

    lane: int
    index: int
    cells: Ids
    x_m: Metres
    y_m: Metres


@dataclass(frozen=True, eq=False)
class _Laid:
    """Middles of squares on carriageways, one row for each segment of a centre line that has it beside. owner: number
    in the list of sections; column, row; along_m: distance along the section; aside_m: from the line, left is positive.
    """

    owner: Ids
    column: Ids
    row: Ids
    along_m: Metres
    aside_m: Metres


def section_cells(section: Section, zone: Zone) -> Ids:
    """The squares of 1 m of a section's carriageway, int64, rising."""
    return cells_of_sections([section], zone)[1]


def cells_of_sections(sections: Sequence[Section], zone: Zone) -> tuple[Ids, Ids]:
    """The squares of many sections at once: number in the list and id, both int64, rising by section, then id."""
    if len(sections) >= _MOST_AT_ONCE:
        raise ValueError(f"at most {_MOST_AT_ONCE - 1} sections at once")
    laid = _lay(sections)
    prefix = int(cells_at(0.0, 0.0, zone))
    keys = np.sort(laid.owner << _LOW_BITS | laid.row << 20 | laid.column)
    keys = keys[np.diff(keys, prepend=-1) > 0]  # fifty times faster than numpy's unique, which hashes
    return keys >> _LOW_BITS, keys & _LOW_MASK | prefix


def strips_of(section: Section, zone: Zone) -> list[Strip]:
    """The strips of a section by lane and index. Each square of `section_cells` is in exactly one; strips are equal
    parts of the length, as near to `STRIP_M` as may be. A strip may have no square where a lane is under a metre wide.
    """
    laid = _lay([section])
    keys = laid.row << 20 | laid.column
    order = np.lexsort((np.abs(laid.aside_m), keys))  # a square beside two segments belongs to the nearer one
    keys = keys[order]
    first = np.concatenate([[True], keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, bool)
    ids = keys[first] | int(cells_at(0.0, 0.0, zone))
    along_m, aside_m = laid.along_m[order][first], laid.aside_m[order][first]
    s = along(section.x_m, section.y_m)
    length, lanes = float(s[-1]), max(section.lanes, 1)
    parts = max(1, int(length / STRIP_M + 0.5))
    index = np.clip((along_m / length * parts).astype(np.int64), 0, parts - 1)
    lane = np.clip(((0.5 - aside_m / section.width_m) * lanes).astype(np.int64), 0, lanes - 1)
    edges = section.width_m * (0.5 - np.arange(lanes + 1) / lanes)
    strips = []
    for k in range(lanes):
        for i in range(parts):
            x, y = piece(section.x_m, section.y_m, s, length * i / parts, length * (i + 1) / parts)
            left, right = _beside(x, y, float(edges[k])), _beside(x, y, float(edges[k + 1]))
            ring_x = np.concatenate([right[0], left[0][::-1], right[0][:1]])
            ring_y = np.concatenate([right[1], left[1][::-1], right[1][:1]])
            number = k + 1 if section.lanes else 0
            strips.append(Strip(number, i, ids[(lane == k) & (index == i)], ring_x, ring_y))
    return strips


def _beside(x: Metres, y: Metres, left_m: float) -> tuple[Metres, Metres]:
    """A line moved to its left; corners are mitred, at most to twice the way."""
    length = np.hypot(np.diff(x), np.diff(y))
    n_x, n_y = -np.diff(y) / length, np.diff(x) / length
    m_x = np.concatenate([n_x[:1], n_x[:-1] + n_x[1:], n_x[-1:]])
    m_y = np.concatenate([n_y[:1], n_y[:-1] + n_y[1:], n_y[-1:]])
    size = np.hypot(m_x, m_y)
    m_x, m_y = m_x / np.maximum(size, 1e-9), m_y / np.maximum(size, 1e-9)
    turn = m_x * np.append(n_x, n_x[-1]) + m_y * np.append(n_y, n_y[-1])
    reach = left_m / np.maximum(turn, 0.5)
    return x + m_x * reach, y + m_y * reach


def _lay(sections: Sequence[Section]) -> _Laid:
    """The squares beside each segment, and those of the rounded outer sides of bends."""
    points = np.array([len(s.x_m) for s in sections], dtype=np.int64)
    x, y = (np.concatenate([getattr(s, name) for s in sections] or [np.zeros(0)]) for name in ("x_m", "y_m"))
    half_of = np.array([s.width_m / 2 for s in sections])
    owner_of = np.repeat(np.arange(len(sections)), points)
    within = owner_of[1:] == owner_of[:-1]
    a = np.flatnonzero(within)
    owner = owner_of[a]
    d_x, d_y = x[a + 1] - x[a], y[a + 1] - y[a]
    length = np.hypot(d_x, d_y)
    u_x, u_y = d_x / length, d_y / length
    begin = np.cumsum(length) - length
    begin -= np.repeat(begin[np.flatnonzero(np.diff(owner, prepend=-1))], np.bincount(owner)) if len(a) else 0.0
    half = half_of[owner]
    sides = _rows_of(x[a], y[a], u_x, u_y, length, half)
    seg, column, row = sides
    p_x, p_y = column + 0.5 - x[a][seg], row + 0.5 - y[a][seg]
    on, aside = p_x * u_x[seg] + p_y * u_y[seg], p_y * u_x[seg] - p_x * u_y[seg]
    keep = (on >= 0) & (on < length[seg]) & (np.abs(aside) <= half[seg])
    straight = _Laid(owner[seg[keep]], column[keep], row[keep], (begin[seg] + on)[keep], aside[keep])

    bend = np.flatnonzero((owner[1:] == owner[:-1]) & (np.abs(u_x[1:] - u_x[:-1]) + np.abs(u_y[1:] - u_y[:-1]) > 1e-9))
    v_x, v_y = x[a + 1][bend], y[a + 1][bend]
    seg, column, row = _rows_of(
        v_x - half[bend], v_y, np.ones(len(bend)), np.zeros(len(bend)), 2 * half[bend], half[bend]
    )
    p_x, p_y = column + 0.5 - v_x[seg], row + 0.5 - v_y[seg]
    one, two = bend[seg], bend[seg] + 1
    past = p_x * u_x[one] + p_y * u_y[one] >= 0
    ahead = p_x * u_x[two] + p_y * u_y[two] < 0
    away = np.hypot(p_x, p_y)
    keep = past & ahead & (away <= half[one])
    left = np.where(p_y * u_x[one] - p_x * u_y[one] >= 0, 1.0, -1.0)
    corner = _Laid(owner[one[keep]], column[keep], row[keep], begin[two][keep], (away * left)[keep])
    return _Laid(*(np.concatenate([getattr(straight, n), getattr(corner, n)]) for n in _Laid.__dataclass_fields__))


def _rows_of(x: Metres, y: Metres, u_x: Metres, u_y: Metres, length: Metres, half: Metres) -> tuple[Ids, Ids, Ids]:
    """For rectangles along segments (begin, unit vector, length, half width): number of the segment, column and row of
    the squares that may have their middle within, row by row; a few too many at the slanting edges."""
    reach_y = np.abs(u_x) * half
    low = np.floor(np.minimum(y, y + u_y * length) - reach_y).astype(np.int64)
    high = np.floor(np.maximum(y, y + u_y * length) + reach_y).astype(np.int64)
    many = high - low + 1
    seg = np.repeat(np.arange(len(x)), many)
    row = np.arange(len(seg)) - np.repeat(np.cumsum(many) - many, many) + low[seg]
    up = row + 0.5 - y[seg]
    reach_x = np.abs(u_y) * half
    west = (np.minimum(x, x + u_x * length) - reach_x)[seg]
    east = (np.maximum(x, x + u_x * length) + reach_x)[seg]
    for c_x, c_y, first, last in ((u_x, u_y, np.zeros(len(x)), length), (-u_y, u_x, -half, half)):
        slope = c_x[seg]
        flat = np.abs(slope) < 1e-9
        safe = np.where(flat, 1.0, slope)
        one, two = (first[seg] - up * c_y[seg]) / safe + x[seg], (last[seg] - up * c_y[seg]) / safe + x[seg]
        west = np.maximum(west, np.where(flat, west, np.minimum(one, two)))
        east = np.minimum(east, np.where(flat, east, np.maximum(one, two)))
    begin = np.floor(west - 0.5).astype(np.int64)
    wide = np.maximum(np.ceil(east - 0.5).astype(np.int64) - begin + 1, 0)
    pick = np.repeat(np.arange(len(seg)), wide)
    column = np.arange(len(pick)) - np.repeat(np.cumsum(wide) - wide, wide) + begin[pick]
    return seg[pick], column, row[pick]
