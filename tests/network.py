"""Road sections for tests, and their squares as if boxes with cameras had driven them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import psycopg

from defects import CODE, Codes, Colour, State, store, unknown_codes
from defects.evidence import UNIT, to_block
from defects.planes import PASSES, ROUGH, ROUGH_PASSES
from defects.taxonomy import BY_KEY
from grid import Section, Zone, blocks_of, index_in_block, parents, project, section_cells
from ingest import City

ALL_SEEN = (1 << 18) - 1


def codes(n: int, colour: Colour = Colour.GREEN, passes: int = 5, seen: int = ALL_SEEN) -> Codes:
    made = np.zeros(n, dtype=CODE)
    made["colour"], made["passes"], made["seen"], made["kind"] = colour, passes, seen, 255
    return made


def damage(made: Codes, at: int, kind: str, colour: Colour = Colour.RED, state: State = State.CONFIRMED) -> None:
    made["colour"][at], made["kind"][at], made["state"][at] = colour, BY_KEY[kind].number, state


def road(city: City, number: int = 7, road_class: str = "secondary", lanes: int = 2) -> Section:
    x, y = (float(v) for v in project(*city.centre_deg, Zone(city.utm_zone, city.utm_north)))
    return Section(
        number, "r", "Long Street", "长街", road_class, 7.0, True, lanes, False, "Xihu", "", np.array([x, x + 100.0]),
        np.array([y, y]), 0.0, 100.0,
    )  # fmt: skip



def fill(conn: psycopg.Connection[Any], city: City, section: Section, day: date, at: datetime, red: bool) -> int:
    """Codes and evidence as if boxes with cameras had driven the section; gives the square that may be red."""
    cells = section_cells(section, Zone(city.utm_zone, city.utm_north))
    made: dict[int, Codes] = {}
    for block in np.unique(blocks_of(cells)).tolist():
        made[block] = unknown_codes()
    hole = int(cells[len(cells) // 2])
    for cell in cells.tolist():
        one = made[int(blocks_of(cell))][int(index_in_block(cell)) : int(index_in_block(cell)) + 1]
        one["colour"], one["passes"], one["seen"] = Colour.GREEN, 5, ALL_SEEN
        if red and cell == hole:
            damage(one, 0, "pothole")
    revision = {b: rev for b, (rev, _) in store.codes_of(conn, made).items()}
    store.put_codes(conn, day, {b: (revision.get(b, 0) + 1, c) for b, c in made.items()}, at)
    evidence = {}
    for block in made:
        index = np.sort(index_in_block(cells[blocks_of(cells) == block]).astype(np.int64))
        n = len(index)
        evidence[block, day] = to_block(index, np.full(n, PASSES, np.uint8), np.full(n, 3, np.int64))
    coarse = np.unique(parents(cells, 2))
    for block in np.unique(blocks_of(coarse)).tolist():
        index = np.sort(index_in_block(coarse[blocks_of(coarse) == block]).astype(np.int64))
        both = np.repeat(index, 2)
        plane = np.tile(np.array([ROUGH, ROUGH_PASSES], np.uint8), len(index))
        value = np.tile(np.array([round(3 * np.log(2.5) * UNIT), 3], np.int64), len(index))
        evidence[block, day] = to_block(both, plane, value)
    store.put_evidence(conn, evidence)
    return hole
