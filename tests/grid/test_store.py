"""Sections in a real database: imports that change only what changed, and who has which square."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grid import (
    ROAD_CLASSES,
    Road,
    Section,
    Zone,
    blocks_of,
    cells_at,
    cut,
    index_in_block,
    parents,
    section_cells,
    store,
)
from grid.packing import DamagedCells, pack_cells, unpack_cells
from grid.sections import SameNumber

ZONE = Zone(51)
EAST, NORTH = 228_000.0, 3_352_000.0
DAY, LATER = date(2026, 3, 1), date(2026, 4, 1)


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database) as one:
        yield one


def road(key: str, x: list[float], y: list[float], **given: Any) -> Road:
    plain = Road(
        key, "Main St", "大街", "trunk", 12.0, True, 3, False, "上城区", "city", EAST + np.array(x), NORTH + np.array(y)
    )
    return dataclasses.replace(plain, **given)


def town(**given: Any) -> list[Section]:
    """An avenue to the east, a branch that crosses it, and a lane apart."""
    return [
        *cut(road("avenue", [0, 420], [0, 0], **given), "roads"),
        *cut(road("branch", [200, 200], [-150, 140], road_class="branch", width_m=7.0, lanes=0, name="B"), "roads"),
        *cut(road("lane", [0, 90], [500, 530], road_class="unknown", width_m=5.0, width_known=False), "roads"),
    ]


def put(
    conn: psycopg.Connection[Any], sections: list[Section], day: date = DAY, source: str = "roads"
) -> store.ImportReport:
    return store.put_sections(conn, sections, day, source, ZONE)


def plain(section: Section | None) -> dict[str, Any]:
    assert section is not None
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(section).items()}


def everything(conn: psycopg.Connection[Any]) -> list[Any]:
    return [
        conn.execute("SELECT * FROM road_import ORDER BY id").fetchall(),
        conn.execute("SELECT * FROM road_section ORDER BY number, opened_by").fetchall(),
        conn.execute("SELECT * FROM section_cell ORDER BY blk, section").fetchall(),
    ]


def test_what_was_put_is_what_is_told(conn: psycopg.Connection[Any]) -> None:
    sections = town()
    report = put(conn, sections)
    assert (report.new, report.changed, report.gone, report.same) == (8, 0, 0, 0)
    assert report.cells == sum(len(section_cells(s, ZONE)) for s in sections)
    assert store.section_numbers(conn) == sorted(s.number for s in sections)
    for one in sections:
        assert plain(store.section(conn, one.number)) == plain(one)
    assert store.section(conn, 1) is None
    assert store.parts_of_roads(conn, "roads") == {"avenue": 4, "branch": 3, "lane": 1}


def test_the_same_again_writes_nothing(conn: psycopg.Connection[Any]) -> None:
    put(conn, town())
    before = everything(conn)
    report = put(conn, town(), LATER)
    assert (report.new, report.changed, report.gone, report.same, report.number) == (0, 0, 0, 8, 0)
    assert everything(conn) == before
    assert len(store.imports(conn)) == 1


def test_a_change_closes_the_old_row_and_opens_another(conn: psycopg.Connection[Any]) -> None:
    first = town()
    put(conn, first)
    second = town(name="New Name", width_m=20.0)[:-1]
    report = put(conn, second, LATER)
    assert (report.new, report.changed, report.gone, report.same) == (0, 4, 1, 3)
    old_lane, avenue = first[-1].number, first[0].number
    assert store.section(conn, old_lane) is None
    assert [(a, b) for a, b, _ in store.history_of(conn, old_lane)] == [(DAY, LATER)]
    states = store.history_of(conn, avenue)
    assert [(a, b, s.name) for a, b, s in states] == [(DAY, LATER, "Main St"), (LATER, None, "New Name")]
    kept = [s for s in second if s.road == "branch"]
    assert all([(a, b) for a, b, _ in store.history_of(conn, s.number)] == [(DAY, None)] for s in kept)
    assert {r["import"]: (r["new"], r["changed"], r["gone"]) for r in store.imports(conn)} == {
        1: (8, 0, 0),
        2: (0, 4, 1),
    }
    far = int(cells_at(EAST + 50.5, NORTH + 9.5, ZONE))  # 9.5 m from the line: on the road since it is 20 m wide
    gone = int(cells_at(EAST + 45.5, NORTH + 515.5, ZONE))
    assert store.sections_of_cells(conn, [far, gone]) == {far: avenue}


def test_two_changes_of_one_day_are_both_kept(conn: psycopg.Connection[Any]) -> None:
    for width in (10.0, 11.0, 12.0):
        put(conn, town(width_m=width))
    widths = [(a, b, s.width_m) for a, b, s in store.history_of(conn, town()[0].number)]
    assert widths == [(DAY, DAY, 10.0), (DAY, DAY, 11.0), (DAY, None, 12.0)]


def test_a_road_that_comes_back_has_its_number_again(conn: psycopg.Connection[Any]) -> None:
    put(conn, town())
    put(conn, town()[:-1], LATER)
    report = put(conn, town(), date(2026, 5, 1))
    assert (report.new, report.same) == (1, 7)
    assert [a for a, _, _ in store.history_of(conn, town()[-1].number)] == [DAY, date(2026, 5, 1)]


def test_sources_do_not_close_each_others_sections(conn: psycopg.Connection[Any]) -> None:
    put(conn, town())
    other = cut(road("avenue", [0, 300], [900, 900]), "suburb")
    report = put(conn, other, source="suburb")
    assert (report.new, report.gone) == (3, 0)
    assert len(store.section_numbers(conn)) == 11


def test_an_import_that_fails_leaves_nothing(conn: psycopg.Connection[Any]) -> None:
    put(conn, town())
    conn.commit()
    before = everything(conn)

    def pulled(_n: int) -> None:
        raise RuntimeError("the plug was pulled")

    with pytest.raises(RuntimeError, match="pulled"), conn.transaction():
        store.put_sections(conn, town(width_m=30.0), LATER, "roads", ZONE, done=pulled)
    assert everything(conn) == before


def test_one_number_twice_is_refused(conn: psycopg.Connection[Any]) -> None:
    with pytest.raises(SameNumber):
        put(conn, [*town(), *cut(road("lane", [0, 90], [700, 700]), "roads")])
    assert store.section_numbers(conn) == []


def test_a_box_gives_what_touches_it(conn: psycopg.Connection[Any]) -> None:
    sections = town()
    put(conn, sections)
    box = (EAST + 190, NORTH + 5.5, EAST + 196, NORTH + 8)  # beside the avenue's line, but on its width
    told = store.sections_in(conn, *box, 100)
    assert [s.number for s in told] == sorted(s.number for s in sections if s.road == "avenue" and s.from_m == 105)
    whole = (EAST - 100, NORTH - 500, EAST + 900, NORTH + 900)
    assert [s.number for s in store.sections_in(conn, *whole, 100)] == sorted(s.number for s in sections)
    assert len(store.sections_in(conn, *whole, 3)) == 3
    assert store.sections_in(conn, EAST, NORTH + 100, EAST + 50, NORTH + 200, 100) == []


def test_every_square_knows_its_section(conn: psycopg.Connection[Any]) -> None:
    sections = town()
    put(conn, sections)
    rank = {s.number: (ROAD_CLASSES.index(s.road_class), s.number) for s in sections}
    wanted: dict[int, int] = {}
    for one in sections:
        for cell in section_cells(one, ZONE).tolist():
            wanted[cell] = min(wanted.get(cell, one.number), one.number, key=rank.__getitem__)
    beside = int(cells_at(EAST + 50.5, NORTH + 100.5, ZONE))
    assert store.sections_of_cells(conn, [*wanted, beside]) == wanted
    assert store.sections_of_cells(conn, []) == {}


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_coarse_square_goes_to_who_has_most_of_it(conn: psycopg.Connection[Any], level: int) -> None:
    sections = town()
    put(conn, sections)
    shares: dict[int, dict[int, int]] = {}
    for one in sections:
        for square in parents(section_cells(one, ZONE), level).tolist():
            has = shares.setdefault(square, {})
            has[one.number] = has.get(one.number, 0) + 1
    told = store.sections_of_cells(conn, shares)
    assert set(told) == set(shares)
    for square, number in told.items():
        assert shares[square][number] == max(shares[square].values())


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_every_block_knows_the_class_of_its_roads(conn: psycopg.Connection[Any], level: int) -> None:
    sections = town()
    put(conn, sections)
    wanted: dict[int, list[int]] = {}
    for one in sections:
        squares = np.unique(parents(section_cells(one, ZONE), level))
        for block, index in zip(blocks_of(squares).tolist(), index_in_block(squares).tolist(), strict=True):
            out = wanted.setdefault(block, [0] * 1024)
            number = ROAD_CLASSES.index(one.road_class) + 1
            out[index] = min(out[index] or number, number)
    empty = int(blocks_of(cells_at(EAST + 20_000, NORTH, ZONE, level)))
    told = store.classes_of(conn, [*wanted, empty])
    assert {b: c.tolist() for b, c in told.items()} == wanted
    assert all(c.dtype == np.uint8 for c in told.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90), st.integers(0, 90)), max_size=200))
def test_packed_squares_come_back(places: list[tuple[int, int, int]]) -> None:
    rows = sorted((owner, int(cells_at(EAST + x, NORTH + y, ZONE))) for owner, x, y in set(places))
    owner = np.array([r[0] for r in rows], dtype=np.int64)
    cells = np.array([r[1] for r in rows], dtype=np.int64)
    back = set()
    for whose, block, data in pack_cells(owner, cells):
        bits = unpack_cells(data)
        mine = cells[(owner == whose) & (blocks_of(cells) == block)]
        assert set(np.flatnonzero(bits).tolist()) == set(index_in_block(mine).tolist())
        back |= {(whose, int(c)) for c in mine}
    assert back == set(rows)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00abc", b"\x1fabcdefgh", b"\x20abcd"])
def test_damaged_squares_are_named(data: bytes) -> None:
    with pytest.raises(DamagedCells, match="import-roads"):
        unpack_cells(data)


@pytest.mark.parametrize("kept", [slice(0, 0), slice(0, -1), slice(1, None)], ids=["empty", "cut off", "another first"])
def test_squares_that_do_not_unpack_are_laid_anew_by_the_same_import(
    conn: psycopg.Connection[Any], kept: slice
) -> None:
    put(conn, town())
    whole = conn.execute("SELECT * FROM section_cell ORDER BY blk, section").fetchall()
    (blk, section, cells), *_ = whole
    conn.execute("UPDATE section_cell SET cells = %s WHERE blk = %s AND section = %s", (cells[kept], blk, section))
    with pytest.raises(DamagedCells, match="import-roads again"):
        store.classes_of(conn, [blk])
    again = put(conn, town(), LATER)
    assert (again.new, again.changed, again.gone) == (0, 1, 0)
    assert conn.execute("SELECT * FROM section_cell ORDER BY blk, section").fetchall() == whole
    assert put(conn, town(), LATER).changed == 0
