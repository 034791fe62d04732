"""What one citizen's phone does must not show anywhere, before enough others have been there too."""

from __future__ import annotations

from datetime import date

import psycopg
import pytest

from api import wiring
from api.coder import step
from api.fsck import judged_again
from api.worker import Worker
from defects import Colour, pack_codes, unknown_codes
from defects import store as defects_store
from grid import level_of
from ingest import Arrived, City, encode
from ingest import store as ingest_store
from ledger import context_record

from ..roads import START_S, straight

NOW_S = START_S + 600.0


def context(day: date):  # type: ignore[no-untyped-def]
    return context_record(day, {"test": "privacy"}, "simulated")


def drive(database: str, city: City, phones: int) -> wiring.Connection:
    """So many phones drive one street and are thrown at one place; everything folded."""
    conn = psycopg.connect(database, autocommit=True)
    sent = []
    for n in range(phones):
        ingest_store.enrol(conn, f"phone-{n}", "phone", "x")
        for seq in range(4):
            chunk = straight(city, seq=seq, jolts=((7.0, 0.9, 0.0),), accuracy_m=1.0, carrier="car")
            sent.append(Arrived(f"phone-{n}", encode(chunk)))
    Worker(lambda: conn, city, wiring.EVIDENCE, context, clock=lambda: NOW_S)(sent)
    while step(conn, city, wiring.HEALTH, NOW_S).rows:
        pass
    return conn


@pytest.mark.parametrize("phones", [1, 2])
def test_fewer_than_three_phones_leave_no_trace_in_codes_records_or_history(
    database: str, city: City, phones: int
) -> None:
    with drive(database, city, phones) as conn:
        assert conn.execute("SELECT count(*) FROM chunk").fetchone() == (4 * phones,)
        assert defects_store.all_code_blocks(conn) == []
        assert conn.execute("SELECT count(*) FROM code_change").fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM outbox WHERE kind <> 'context'").fetchone() == (0,)


def test_what_many_phones_agree_on_shows_by_day_and_without_their_number(database: str, city: City) -> None:
    with drive(database, city, 8) as conn:
        blocks = defects_store.all_code_blocks(conn)
        assert blocks
        assert {int(level_of(b)) for b in blocks} == {1}
        codes = [c for _, c in defects_store.codes_of(conn, blocks).values()]
        assert any(c["colour"].any() for c in codes)
        assert not any(c["passes"].any() for c in codes)
        opening = city.day_bounds_s(city.service_day(NOW_S))[0]
        times = {row[0].timestamp() for row in conn.execute("SELECT at FROM code_change")}
        assert times == {opening}


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
