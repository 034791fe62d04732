"""The roads as a graph that can be driven: sections cut where they meet, and an index by place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .sections import Section

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SNAP_M = 0.2
"""Vertices so close are one place. Smaller, and roads that a file joins to the decimetre come apart: the route between
them is lost. Larger, and the two carriageways of a narrow divided road, drawn close together, become one."""
INDEX_M = 50.0
"""Side of the index's squares. Smaller, and a long segment stands in many; larger, and a fix looks at roads far off."""


class RoadsError(ValueError):
    """A section cannot be matched to; the text says which and what is wrong with it."""


@dataclass(frozen=True, eq=False)
class RoadNet:
    """Sections, edges between places where roads meet, and straight segments of edges; all in rising section number.

    An edge can be driven both ways, as arc 2 e along the drawing and 2 e + 1 against it; on a one-way section arc
    2 e + 1 is in no list. Everything is in metres.

    number, lanes, oneway, width_m, width_known: (s,) of the sections. edge_section: index of each edge's section;
    edge_from_m: where on its section it begins; edge_m: its length. arc_first, arc_next: the arcs that go on from arc a
    are arc_next[arc_first[a]:arc_first[a + 1]]. seg (k, 4): x, y of both ends; seg_edge; seg_at_m: where on its
    edge it begins. key, key_first, key_seg: segments by square of the index, squares sorted.
    """

    number: Ints
    lanes: Ints
    oneway: NDArray[np.bool_]
    width_m: Floats
    width_known: NDArray[np.bool_]
    edge_section: Ints
    edge_from_m: Floats
    edge_m: Floats
    arc_first: Ints
    arc_next: Ints
    seg: Floats
    seg_edge: Ints
    seg_at_m: Floats
    key: Ints
    key_first: Ints
    key_seg: Ints


def _checked(sections: Iterable[Section]) -> list[Section]:
    """In rising number; the order of the list must not matter."""
    found = sorted(sections, key=lambda s: s.number)
    for i, s in enumerate(found):
        if i and found[i - 1].number == s.number:
            raise RoadsError(f"section {s.number} stands twice in the list: give each its own number")
        if len(s.x_m) != len(s.y_m) or len(s.x_m) < 2:
            raise RoadsError(f"section {s.number} has no line: x_m and y_m need the same two or more points")
        if not (np.isfinite(s.x_m).all() and np.isfinite(s.y_m).all()):
            raise RoadsError(f"section {s.number} has a point that is not a number: import its road again")
        if not (np.isfinite(s.width_m) and s.width_m > 0):
            raise RoadsError(f"section {s.number} is {s.width_m} m wide: give its width, or the usual one of its class")
    return found


def _places(x: Floats, y: Floats) -> Ints:
    """One label for all vertices that are joined by steps of up to SNAP_M: the smallest index among them."""
    n = len(x)
    parent = list(range(n))

    def top(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    column, row = np.floor(x / SNAP_M).astype(np.int64), np.floor(y / SNAP_M).astype(np.int64)
    key = (column << 32) + row
    order = np.argsort(key, kind="stable")
    ranked = key[order]
    # Half of the squares around suffice: each pair is met from one of its sides.
    for across, up in ((0, 0), (0, 1), (1, -1), (1, 0), (1, 1)):
        wanted = ((column + across) << 32) + (row + up)
        begin, end = np.searchsorted(ranked, wanted, "left"), np.searchsorted(ranked, wanted, "right")
        for i in np.flatnonzero(end - begin > (across == up == 0)).tolist():
            for j in order[begin[i] : end[i]].tolist():
                if i != j and (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 <= SNAP_M**2:
                    a, b = top(i), top(j)
                    parent[max(a, b)] = min(a, b)
    return np.array([top(i) for i in range(n)], dtype=np.int64)


def _indexed(seg: Floats) -> tuple[Ints, Ints, Ints]:
    """Squares that hold a part of a segment, where each one's list begins, and the lists."""
    length = np.hypot(seg[:, 2] - seg[:, 0], seg[:, 3] - seg[:, 1])
    pieces = np.maximum(1, np.ceil(length / INDEX_M)).astype(np.int64)
    of = np.repeat(np.arange(len(seg)), pieces)
    k = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    part = np.stack([k, k + 1]) / pieces[of]
    column = np.floor((seg[of, 0] + part * (seg[of, 2] - seg[of, 0])) / INDEX_M).astype(np.int64)
    row = np.floor((seg[of, 1] + part * (seg[of, 3] - seg[of, 1])) / INDEX_M).astype(np.int64)
    # A piece is no longer than a square, so its ends' columns and rows are all that it can touch.
    key = np.concatenate([(column[a] << 32) + row[b] for a in (0, 1) for b in (0, 1)])
    pairs = np.unique(np.stack([key, np.tile(of, 4)]), axis=1) if len(seg) else np.zeros((2, 0), np.int64)
    keys, first = np.unique(pairs[0], return_index=True)
    return keys, np.append(first, pairs.shape[1]).astype(np.int64), np.ascontiguousarray(pairs[1])


def _onward(start: Ints, end: Ints, one_way: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Arcs that go on from each arc: all that leave the place where it ends, its own way back among them."""
    tail, head = np.stack([start, end], axis=1).ravel(), np.stack([end, start], axis=1).ravel()
    drivable = np.ones(len(tail), bool)
    drivable[1::2] = ~one_way
    leaving = np.flatnonzero(drivable)
    leaving = leaving[np.argsort(tail[leaving], kind="stable")]
    at = tail[leaving]
    begin, stop = np.searchsorted(at, head, "left"), np.searchsorted(at, head, "right")
    count = np.where(drivable, stop - begin, 0)
    first = np.append(0, np.cumsum(count)).astype(np.int64)
    step = np.arange(first[-1]) - np.repeat(first[:-1], count)
    return first, leaving[np.repeat(begin, count) + step].astype(np.int64)


def road_net(sections: Iterable[Section]) -> RoadNet:
    """The graph of ``sections``, in any order.

    Sections are joined where they share a vertex (within SNAP_M), whether it is an end or not: files of one source cut
    roads at crossings, those of another do not. Lines that cross without a common vertex, as on a bridge, are not
    joined. Raises RoadsError for a section without a line, with a point that is not
    finite, without a width, or given twice.
    """
    found = _checked(sections)
    sizes = np.array([len(s.x_m) for s in found], dtype=np.int64)
    x = np.concatenate([s.x_m for s in found]) if found else np.zeros(0)
    y = np.concatenate([s.y_m for s in found]) if found else np.zeros(0)
    of = np.repeat(np.arange(len(found)), sizes)
    place = _places(x, y)
    first = np.cumsum(sizes) - sizes
    # Vertices at one place but of the same section do not count: a file repeats points.
    shared = np.zeros(len(x), bool)
    order = np.lexsort((of, place))
    differ = (place[order][1:] == place[order][:-1]) & (of[order][1:] != of[order][:-1])
    shared[np.isin(place, place[order][1:][differ])] = True
    shared[first] = True
    shared[first + sizes - 1] = True

    inner = np.ones(len(x), bool)
    inner[first] = False  # no segment ends in a section's first vertex
    ends = np.flatnonzero(inner)
    length = np.hypot(x[ends] - x[ends - 1], y[ends] - y[ends - 1])
    ends, length = ends[length > 0], length[length > 0]
    seg = np.stack([x[ends - 1], y[ends - 1], x[ends], y[ends]], axis=1)
    section = of[ends]
    # A segment opens an edge if its first vertex is shared, or if it is the first of its section.
    opens = shared[ends - 1] | np.append(True, section[1:] != section[:-1]) if len(ends) else np.zeros(0, bool)
    edge = np.cumsum(opens) - 1
    opening = np.flatnonzero(opens)
    closing = np.append(opening[1:], len(ends)) - 1 if len(opening) else opening
    run = np.cumsum(length) - length
    edge_m = np.add.reduceat(length, opening) if len(opening) else np.zeros(0)
    edge_section = section[opening]
    begins = np.searchsorted(edge_section, np.arange(len(found)), "left")
    edge_from = run[opening] - run[opening[np.minimum(begins, max(len(opening) - 1, 0))]][edge_section]
    one_way = np.array([s.oneway for s in found], dtype=bool)
    arc_first, arc_next = _onward(place[ends[opening] - 1], place[ends[closing]], one_way[edge_section])
    return RoadNet(
        np.array([s.number for s in found], dtype=np.int64), np.array([s.lanes for s in found], dtype=np.int64),
        one_way, np.array([s.width_m for s in found], dtype=np.float64),
        np.array([s.width_known for s in found], dtype=bool),
        edge_section.astype(np.int64), edge_from, edge_m, arc_first, arc_next,
        seg, edge.astype(np.int64), run - run[opening][edge], *_indexed(seg),
    )  # fmt: skip
