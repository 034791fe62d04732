"""Days go by at the coder: what is carried says what evidence says, and registers change colours at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from api import wiring
from api.coder import NOTHING, ground_heard, step
from api.fsck import judged_again
from defects import Colour, Flag, register_store
from defects import store as defects_store
from defects.evidence import UNIT, Deltas, tally
from defects.planes import (
    DEVICES,
    HIT_DEVICES,
    LOGODDS,
    PASSES,
    PHONE_HIT_DEVICES,
    PHONE_LOGODDS,
    PHONE_PASSES,
    PHONE_TALLY,
    TALLY,
)
from defects.register import OBJECT, REPAIR, Entry
from grid import Zone, blocks_of, cells_at, cells_of_block, index_in_block, parents, project
from grid import store as grid_store
from ingest import City

from ..network import road
from .test_coder import NOW_S, START_S, Conn, colours, conn, connect, drives, fold_all, take

__all__ = ["conn", "connect"]
DAY_S = 86_400.0


def red_cells(conn: Conn) -> list[int]:
    codes = defects_store.codes_of(conn, defects_store.all_code_blocks(conn))
    return [
        int(cells_of_block(block)[i])
        for block, (_, c) in codes.items()
        for i in np.flatnonzero(c["colour"] == Colour.RED)
    ]


def entry(register: str, kind: str, cell: int, city: City, day: int) -> Entry:
    at = city.service_day(START_S + day * DAY_S)
    return Entry(
        register, kind, f"{register}-{cell}", "person", at, None,
        {"type": "Point", "coordinates": list(city.centre_deg)}, 1.0, np.array([cell], np.int64),
    )  # fmt: skip


def test_what_is_carried_over_days_says_what_evidence_says(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    for day in (0, 1, 4):
        take(connect, city, drives(city, 2, START_S + day * DAY_S), now_s=NOW_S + day * DAY_S)
        fold_all(conn, city, NOW_S + day * DAY_S)
    for day in (5, 9):
        fold_all(conn, city, NOW_S + day * DAY_S)
        row = conn.execute("SELECT count(*), min(asof), max(asof) FROM carry").fetchone()
        assert row is not None
        sealed = city.service_day(NOW_S + day * DAY_S) - timedelta(days=wiring.HEALTH.public_after_days)
        assert row[0] > 0
        assert row[1:] == (sealed, sealed)
        assert judged_again(conn, wiring.HEALTH) == [], "read from evidence alone it is the same"
    assert colours(conn)[Colour.RED] >= 1


def test_late_evidence_of_a_day_that_is_carried_takes_the_carry_away(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    take(connect, city, drives(city, 2))
    fold_all(conn, city)
    fold_all(conn, city, NOW_S + 4 * DAY_S)
    take(connect, city, drives(city, 4))  # a worker that was frozen for days commits now
    fold_all(conn, city, NOW_S + 4 * DAY_S)
    assert judged_again(conn, wiring.HEALTH) == []
    assert conn.execute("SELECT count(*) FROM carry JOIN pass USING (blk)").fetchone() == (0,)


@pytest.mark.parametrize("carried", [False, True])
def test_a_repair_is_seen_at_the_next_step_also_where_its_day_is_carried(
    connect: Callable[[], Conn], conn: Conn, city: City, carried: bool
) -> None:
    take(connect, city, drives(city))
    fold_all(conn, city)
    now_s = NOW_S + (5 * DAY_S if carried else 0)
    fold_all(conn, city, now_s)
    (cell,) = red_cells(conn)
    with conn.transaction():
        register_store.put_entries(conn, [entry(REPAIR, "patch", cell, city, 0)], city.service_day(now_s))
    assert step(conn, city, wiring.HEALTH, now_s) != NOTHING
    assert red_cells(conn) == [], "what was said up to the repair counts no more"
    assert step(conn, city, wiring.HEALTH, now_s) == NOTHING
    assert judged_again(conn, wiring.HEALTH) == []
    why = conn.execute("SELECT why FROM code_change WHERE cell = %s ORDER BY id DESC LIMIT 1", (cell,)).fetchone()
    assert why == ("a repair was entered: what was said before counts no more",)


def test_an_object_that_is_entered_takes_the_red_away_and_its_end_brings_it_back(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    take(connect, city, drives(city))
    fold_all(conn, city)
    (cell,) = red_cells(conn)
    today = city.service_day(NOW_S)
    with conn.transaction():
        put = register_store.put_entries(conn, [entry(OBJECT, "speed_bump", cell, city, 0)], today)
    fold_all(conn, city)
    assert red_cells(conn) == []
    code = defects_store.codes_of(conn, defects_store.all_code_blocks(conn))
    flags = {int(c["flags"][cells_of_block(b) == cell][0]) for b, (_, c) in code.items() if cell in cells_of_block(b)}
    assert flags == {int(Flag.HARMLESS)}
    with conn.transaction():
        register_store.end_entry(conn, put.numbers[0], OBJECT, today - timedelta(days=1))
    fold_all(conn, city)
    assert red_cells(conn) == [cell]
    assert judged_again(conn, wiring.HEALTH) == []


@pytest.mark.parametrize("what", ["roads", "registers"])
def test_fsck_names_squares_of_roads_and_registers_that_stop_the_coder(
    connect: Callable[[], Conn], conn: Conn, city: City, what: str
) -> None:
    take(connect, city, drives(city))
    fold_all(conn, city)
    (cell,) = red_cells(conn)
    today = city.service_day(NOW_S)
    with conn.transaction():
        if what == "roads":
            grid_store.put_sections(conn, [road(city)], today, "test", Zone(city.utm_zone, city.utm_north))
        else:
            register_store.put_entries(conn, [entry(OBJECT, "speed_bump", cell, city, 0)], today)
    fold_all(conn, city)
    assert judged_again(conn, wiring.HEALTH) == []
    conn.execute("UPDATE section_cell SET cells = set_byte(cells, 0, 31)")
    conn.execute("UPDATE register_block SET bits = substr(bits, 1, 100)")
    assert {(fault.part, "do not unpack" in fault.text) for fault in judged_again(conn, wiring.HEALTH)} == {
        ("ground", True)
    }


def test_coder_and_fsck_hear_phones_with_what_registers_say_of_their_squares(conn: Conn, city: City) -> None:
    zone = Zone(city.utm_zone, city.utm_north)
    x, y = project(*city.centre_deg, zone)
    cell, today = int(cells_at(x, y, zone)), city.service_day(NOW_S)
    with conn.transaction():
        register_store.put_entries(conn, [entry(OBJECT, "speed_bump", cell, city, 0)], today)
    found = ground_heard(conn, {int(blocks_of(cell))}, today, wiring.HEALTH)
    for level in (0, 1, 2):
        square = int(parents(np.array([cell]), level)[0])
        assert found[int(blocks_of(square))].harmless[int(index_in_block(square))]


def test_phones_evidence_that_was_folded_days_late_is_heard_below_at_once(conn: Conn, city: City) -> None:
    """A coder that was away for days folds in many steps: codes that it read in the first must not stay as they are."""
    zone = Zone(city.utm_zone, city.utm_north)
    x, y = project(*city.centre_deg, zone)
    cell, day, now_s = int(cells_at(x, y, zone)), city.service_day(NOW_S), NOW_S + 6 * DAY_S
    phones = ((PHONE_LOGODDS, 24 * UNIT), (PHONE_TALLY, tally(6, 12.0)), (PHONE_PASSES, 30), (PHONE_HIT_DEVICES, 63))
    felt = ((LOGODDS, round(6.5 * UNIT)), (PASSES, 1), (DEVICES, 1), (HIT_DEVICES, 1), (TALLY, tally(1, 2.0)))

    def note(square: int, on: date, said: tuple[tuple[int, int], ...]) -> None:
        plane, value = (np.array(v) for v in zip(*said, strict=True))
        deltas = Deltas(np.full(len(said), square), plane.astype(np.uint8), value.astype(np.int64))
        with conn.transaction():
            defects_store.append_journal(conn, on, deltas, {})
        fold_all(conn, city, now_s)

    note(cell, city.service_day(now_s), felt)
    assert red_cells(conn) == []
    note(int(parents(np.array([cell]), 1)[0]), day, phones)
    assert red_cells(conn) == [cell]
    assert judged_again(conn, wiring.HEALTH) == []

def test_what_was_folded_is_not_fetched_a_second_time(
    connect: Callable[[], Conn], conn: Conn, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of today were read for the fold, written, and read again to be shown."""
    written: set[tuple[int, date]] = set()
    again: set[tuple[int, date]] = set()
    put, of, after = defects_store.put_evidence, defects_store.evidence_of, defects_store.evidence_after

    def putting(conn: Conn, evidence: dict[tuple[int, date], Any]) -> None:
        written.update(evidence)
        put(conn, evidence)

    def fetched(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(*args: Any, **more: Any) -> Any:
            found = read(*args, **more)
            again.update({(b, d) for b, days in found.items() for d in days} & written)
            return found

        return reading

    monkeypatch.setattr(defects_store, "put_evidence", putting)
    monkeypatch.setattr(defects_store, "evidence_of", fetched(of))
    monkeypatch.setattr(defects_store, "evidence_after", fetched(after))
    take(connect, city, drives(city))
    step(conn, city, wiring.HEALTH, NOW_S)
    assert written
    assert not {row for row in again if row[0] >> 51 == 0}


def test_what_a_clock_that_ran_ahead_has_carried_is_left_unread(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    """Codes that were read out under a wrong clock stayed when it was set right: their states were carried, aged."""
    take(connect, city, drives(city))
    fold_all(conn, city)
    right = colours(conn)
    assert right[Colour.GREEN] > 0
    fold_all(conn, city, NOW_S + 40 * DAY_S)
    assert colours(conn) != right
    fold_all(conn, city)
    assert colours(conn) == right
    assert judged_again(conn, wiring.HEALTH) == []
