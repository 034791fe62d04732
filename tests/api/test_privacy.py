"""What one citizen's phone does must not show anywhere; what enough of them agree on shows by day, never live."""

from __future__ import annotations

from datetime import UTC, date, datetime

import psycopg
import pytest

from api import wiring
from api.coder import coarse_day, step
from api.fsck import judged_again
from api.story import tell
from api.worker import Worker
from defects import Colour, pack_codes, turn, unknown_codes
from defects import store as defects_store
from grid import cells_of_block, level_of
from ingest import Arrived, City, encode
from ingest import store as ingest_store
from ledger import context_record, parse

from ..roads import START_S, straight

NOW_S = START_S + 600.0
DAY_S = 86_400.0
TOLD_AFTER = wiring.HEALTH.public_after_days


def context(day: date, _weights: str, _ground: object):  # type: ignore[no-untyped-def]
    return context_record(day, {"test": "privacy"}, "simulated")


def send(
    conn: wiring.Connection, city: City, phones: list[int], start_s: float = START_S, now_s: float = NOW_S
) -> None:
    """These phones drive one street and are thrown at one place; everything folded."""
    sent = []
    trip = f"{city.service_day(start_s):%Y%m%d}-{int(start_s):08x}"
    for n in phones:
        ingest_store.enrol(conn, f"phone-{n}", "phone", "x")
        for seq in range(4):
            chunk = straight(
                city, seq=seq, start_s=start_s, jolts=((7.0, 0.9, 0.0),), accuracy_m=1.0, carrier="car", trip=trip
            )
            sent.append(Arrived(f"phone-{n}", encode(chunk)))
    Worker(lambda: conn, city, wiring.EVIDENCE, context, clock=lambda: now_s)(sent)
    while step(conn, city, wiring.HEALTH, now_s).rows:
        pass


def drive(database: str, city: City, phones: int) -> wiring.Connection:
    """So many phones, at the same time of one day."""
    conn = psycopg.connect(database, autocommit=True)
    send(conn, city, list(range(phones)))
    return conn


def turn_to(conn: wiring.Connection, city: City, days: int) -> float:
    """So many days later, everything that was to be read out is; gives the time."""
    now_s = NOW_S + days * DAY_S
    step(conn, city, wiring.HEALTH, now_s)
    while turn.blocks_waiting(conn, coarse_day(city, now_s)):
        step(conn, city, wiring.HEALTH, now_s)
    return now_s


def said(conn: wiring.Connection) -> list[tuple[object, ...]]:
    """All that the database holds of codes, their history, cases and records."""
    return [
        conn.execute(f"SELECT * FROM {what}").fetchall()  # noqa: S608  (names from the line below)
        for what in ("code", "code_change", "case_file", "case_cell", "outbox WHERE kind <> 'context'")
    ]


@pytest.mark.parametrize("phones", [1, 2])
def test_fewer_than_three_phones_leave_no_trace_in_codes_records_or_history(
    database: str, city: City, phones: int
) -> None:
    with drive(database, city, phones) as conn:
        assert conn.execute("SELECT count(*) FROM chunk").fetchone() == (4 * phones,)
        assert defects_store.evidence_keys(conn)
        for days in range(TOLD_AFTER + 2):
            turn_to(conn, city, days)
            assert said(conn) == [[]] * 5


def test_what_many_phones_agree_on_shows_by_day_and_without_their_number(database: str, city: City) -> None:
    with drive(database, city, 8) as conn:
        for days in range(TOLD_AFTER):
            turn_to(conn, city, days)
            assert said(conn) == [[]] * 5, "a day that can still change is not told of"
        now_s = turn_to(conn, city, TOLD_AFTER)
        blocks = defects_store.all_code_blocks(conn)
        assert blocks
        assert {int(level_of(b)) for b in blocks} == {1}
        codes = [c for _, c in defects_store.codes_of(conn, blocks).values()]
        assert any(c["colour"].any() for c in codes)
        assert not any(c["passes"].any() for c in codes)
        opening = city.day_bounds_s(city.service_day(now_s))[0]
        times = conn.execute("SELECT at FROM code_change UNION SELECT opened_at FROM case_file").fetchall()
        assert {row[0].timestamp() for row in times} == {opening}
        bodies = [parse(bytes(row[0])) for row in conn.execute("SELECT body FROM outbox WHERE kind <> 'context'")]
        assert {b["kind"] for b in bodies} >= {"block", "code"}
        assert {b["day"] for b in bodies if "day" in b} == {city.service_day(now_s).isoformat()}
        assert {b["at_ms"] for b in bodies if "at_ms" in b} == {int(opening * 1000)}
        assert {b["chunks_count"] for b in bodies if b["kind"] == "block"} == {0}
        assert judged_again(conn, wiring.HEALTH) == []


def test_a_story_of_phones_is_days_not_drives_and_needs_no_chunks(database: str, city: City) -> None:
    with drive(database, city, 8) as conn:
        send(conn, city, [0, 1], START_S + 3600, NOW_S + 3600)  # two of them once more
        send(conn, city, [8, 9], START_S + DAY_S, NOW_S + DAY_S)  # and two others the day after
        now_s = turn_to(conn, city, TOLD_AFTER + 1)
        conn.execute("TRUNCATE chunk_phone, pass, finding")  # a citizen's raw chunks go at the end of their day
        block = defects_store.all_code_blocks(conn)[0]
        codes = defects_store.codes_of(conn, [block])[block][1]
        square = int(cells_of_block(block)[codes["colour"].argmax()])
        ledger = wiring.Ledger(None, "", None)  # type: ignore[arg-type]  # (no record is in the log yet)
        story = tell(lambda: psycopg.connect(database, autocommit=True), square, city, wiring.EVIDENCE, wiring.HEALTH,
                     ledger)  # fmt: skip
        (day,) = story["evidence"]
        assert day["day"] == city.service_day(START_S).isoformat()
        assert day["passes"] in (5, 10)
        assert day["devices_at_least"] == 3, "not their number"
        assert {day[k] for k in ("at", "speed_kmh", "sigma_m", "g")} == {None}
        assert story["passes"] == 0
        opening = city.day_bounds_s(city.service_day(now_s))[0]
        assert [h["at"] for h in story["history"]] == [datetime.fromtimestamp(opening, UTC).isoformat()]


def test_a_chunk_that_comes_late_changes_nothing_that_was_told(database: str, city: City) -> None:
    """Else the difference of two answers would be the drive of whoever had no network that day."""
    with drive(database, city, 7) as conn:
        late_s = START_S + 47.5 * 3600
        send(conn, city, [7], START_S, late_s)
        assert conn.execute("SELECT count(*) FROM chunk WHERE device = 'phone-7'").fetchone() == (4,)
        assert said(conn) == [[]] * 5
        turn_to(conn, city, TOLD_AFTER)
        told = [row[1:] for row in conn.execute("SELECT * FROM code ORDER BY blk")]
        assert told
        end_s = city.day_bounds_s(city.service_day(START_S))[1] + 48 * 3600
        send(conn, city, [8], START_S, end_s)
        assert conn.execute("SELECT count(*) FROM chunk WHERE device = 'phone-8'").fetchone() == (0,)
        assert [row[1:] for row in conn.execute("SELECT * FROM code ORDER BY blk")] == told


def test_nothing_is_read_out_while_a_chunk_of_its_days_waits_to_be_folded(database: str, city: City) -> None:
    with drive(database, city, 8) as conn:
        day = city.service_day(NOW_S)
        conn.execute("UPDATE coarse_block SET read_on = %s", (day,))
        then = coarse_day(city, NOW_S + TOLD_AFTER * DAY_S)
        assert turn.due(conn, then, day, 10)
        conn.execute("INSERT INTO journal (day, d) VALUES (%s, '')", (day,))
        assert turn.due(conn, then, day, 10) == []


def test_the_order_of_the_read_out_says_nothing_of_the_order_of_drives(database: str, city: City) -> None:
    today = city.service_day(NOW_S)
    orders = []
    with psycopg.connect(database, autocommit=True) as conn:
        for blocks in (range(1 << 51, (1 << 51) + 50), range((1 << 51) + 49, (1 << 51) - 1, -1)):
            conn.execute("TRUNCATE coarse_block")
            for block in blocks:
                turn.await_turn(conn, [block], today)
            assert turn.due(conn, today, today, 50) == [], "a block that is new today waits for tomorrow"
            orders.append(turn.due(conn, city.service_day(NOW_S + DAY_S), today, 50))
        assert orders[0] == orders[1]
        assert orders[0] not in (sorted(orders[0]), sorted(orders[0], reverse=True))
        assert turn.due(conn, city.service_day(NOW_S + 2 * DAY_S), today, 50) != orders[0]


def test_a_colour_that_no_evidence_carries_is_found(database: str, city: City) -> None:
    """Whoever can write the database can write a record to match; the evidence gives it away."""
    with drive(database, city, 8) as conn:
        assert judged_again(conn, wiring.HEALTH) == []
        forged = unknown_codes()
        forged["colour"] = Colour.GREEN
        conn.execute(
            "INSERT INTO code (blk, rev, green, yellow, red, read_on, d, at) VALUES (1, 1, 1024, 0, 0, %s, %s, now())",
            (city.service_day(NOW_S), pack_codes(forged)),
        )
        assert [f.where for f in judged_again(conn, wiring.HEALTH)] == ["block 1"]


def test_enrolling_again_changes_no_kind_and_brings_no_disabled_device_back(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        assert ingest_store.enrol(conn, "box-1", "box", "a")
        assert ingest_store.enrol(conn, "box-1", "box", "b")
        assert not ingest_store.enrol(conn, "box-1", "phone", "c")
        conn.execute("UPDATE device SET disabled_at = now() WHERE id = 'box-1'")
        assert not ingest_store.enrol(conn, "box-1", "box", "d")
        assert conn.execute("SELECT kind, password_hash FROM device").fetchall() == [("box", "b")]
