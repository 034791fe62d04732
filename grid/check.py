"""Are stored sections still what an import wrote? Each against its own digest, its squares against its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import psycopg

from .carriageway import cells_of_sections
from .packing import pack_cells
from .projection import Zone
from .sections import Section
from .store import _READ, _digest, _extent, _section

_AT_ONCE = 500
_BESIDE = ", opened_by, digest, (extent[0])[0], (extent[0])[1], (extent[1])[0], (extent[1])[1]"


def odd_sections(conn: psycopg.Connection[Any], zone: Zone) -> Iterator[tuple[int, str]]:
    """Numbers of sections that are not as they were written, each with what is odd."""
    after = (-(1 << 63), 0)
    while True:
        rows = conn.execute(
            _READ.replace(" FROM ", f"{_BESIDE} FROM ")
            + "(number, opened_by) > (%s, %s) ORDER BY number, opened_by LIMIT %s",
            (*after, _AT_ONCE),
        ).fetchall()
        if not rows:
            return
        after = rows[-1][0], rows[-1][16]
        open_ones: list[Section] = []
        for row in rows:
            try:
                section = _section(row)
                same = _is_of(section, bytes(row[17])) and _extent(section) == tuple(row[18:22])
            except (ValueError, IndexError, TypeError):
                same = False
            if not same:
                yield row[0], "is not what its import wrote: import its roads again"
            elif row[15] is None:
                open_ones.append(section)
        yield from _odd_squares(conn, open_ones, zone)


def _is_of(section: Section, digest: bytes) -> bool:
    """Whether a digest is the section's. It was made of numbers as they were spelled when the roads were imported:
    those of numpy are spelled otherwise, and mean the same."""
    lengths = (section.width_m, section.from_m, section.length_m)
    for width_m, from_m, length_m in product(*((float(v), np.float64(v)) for v in lengths)):
        if _digest(replace(section, width_m=width_m, from_m=from_m, length_m=length_m)) == digest:
            return True
    return False


def _odd_squares(conn: psycopg.Connection[Any], sections: list[Section], zone: Zone) -> Iterator[tuple[int, str]]:
    if not sections:
        return
    owner, cells = cells_of_sections(sections, zone)
    right: dict[int, dict[int, bytes]] = {s.number: {} for s in sections}
    for n, block, packed in pack_cells(owner, cells):
        right[sections[n].number][block] = packed
    there: dict[int, dict[int, bytes]] = {s.number: {} for s in sections}
    for number, block, packed in conn.execute(
        "SELECT section, blk, cells FROM section_cell WHERE section = ANY(%s)", (list(right),)
    ):
        there[number][block] = bytes(packed)
    for number, blocks in right.items():
        if there[number] != blocks:
            yield number, "its squares are not those of its line: import its roads again"
