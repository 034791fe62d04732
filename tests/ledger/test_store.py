"""Numbers without gaps, given by one at a time."""

from datetime import date
from typing import Any

import psycopg
import pytest

from ledger import store
from ledger.merkle import leaf_hash
from ledger.records import Record, code_record

DAY = date(2026, 11, 23)


def code(cell: int, colour: int = 3) -> Record:
    """A record about a cell."""
    return code_record(cell, DAY, 1_000, {"colour": 0}, {"colour": colour}, ["pothole"], bytes(32), "live")


def test_numbers_follow_the_outbox_without_gaps(conn: psycopg.Connection[Any]) -> None:
    store.enqueue(conn, [code(1), code(2)])
    conn.commit()
    store.enqueue(conn, [code(9)])
    conn.rollback()  # leaves a hole in the ids
    store.enqueue(conn, [code(3), code(1, 2)])
    conn.commit()
    assert store.number_outbox(conn, 3) == [(i, leaf_hash(code(i + 1).body)) for i in range(3)]
    assert [idx for idx, _ in store.number_outbox(conn, 3)] == [3]
    assert store.number_outbox(conn, 3) == []
    conn.commit()
    assert (store.record_count(conn), store.outbox_count(conn)) == (4, 0)
    latest = store.latest_record(conn, "code", 1)
    assert latest is not None
    assert (latest.idx, latest.day, latest.body) == (3, DAY, code(1, 2).body)
    assert store.latest_record(conn, "code", 7) is None


def test_nothing_is_said_when_the_writer_rolls_back(conn: psycopg.Connection[Any]) -> None:
    store.enqueue(conn, [code(1)])
    conn.rollback()
    assert store.number_outbox(conn, 10) == []


def test_one_sequencer_at_a_time(conn: psycopg.Connection[Any], database_url: str) -> None:
    store.enqueue(conn, [code(1)])
    conn.commit()
    with psycopg.connect(database_url) as other:
        assert store.take_lease(other)
        assert store.take_lease(other)
        other.commit()
        with pytest.raises(store.LeaseHeld):
            store.number_outbox(conn, 10)
        conn.rollback()
        store.give_up_lease(other)
        other.commit()
        assert len(store.number_outbox(conn, 10)) == 1
        conn.commit()
        with pytest.raises(store.LeaseHeld):
            store.number_outbox(other, 10)
        other.rollback()
    store.give_up_lease(conn)


def test_a_foreign_row_does_not_stop_the_log(conn: psycopg.Connection[Any]) -> None:
    conn.execute("INSERT INTO outbox (kind, body) VALUES ('odd', 'not cbor')")
    store.enqueue(conn, [code(1)])
    assert len(store.number_outbox(conn, 10)) == 2
    first = store.record(conn, 0)
    assert first is not None
    assert first.day is None
