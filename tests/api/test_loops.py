"""The pumps' loop: alive while it works, told of when one turn takes too long, connected anew after an error."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from api import heartbeat, loops
from api.heartbeat import LONG_S, Heartbeat

from ..street import until


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as one:
        yield one


def test_a_pump_whose_turn_takes_minutes_lives_and_says_for_how_long_it_works(
    conn: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, done, stop = threading.Event(), threading.Event(), threading.Event()
    ahead_s = 0.0
    clock = heartbeat.time.monotonic

    def turn() -> float:
        if not begun.is_set():
            begun.set()
            done.wait(30)
        return 0.05

    monkeypatch.setattr(heartbeat, "BEAT_S", 0.05)
    monkeypatch.setattr(loops, "_told_to_stop", lambda: stop)
    heart = Heartbeat(lambda: psycopg.connect(database, autocommit=True), "keeper", lambda: clock() + ahead_s)
    pump = threading.Thread(target=loops._until_told, args=("keeper", turn, (), heart))
    pump.start()
    try:
        assert begun.wait(10)
        conn.execute("UPDATE heartbeat SET at = now() - interval '1 minute'")
        until(lambda: heartbeat.told(conn)["keeper"] == "is starting", 10, "a sign of life came within a turn")
        ahead_s = LONG_S + 10
        until(
            lambda: heartbeat.told(conn)["keeper"].startswith("has been working for 4"), 10, "the long turn is told of"
        )
        done.set()
        until(lambda: heartbeat.told(conn)["keeper"] == "ok", 10, "all is well after it")
    finally:
        done.set()
        stop.set()
        pump.join(10)
    assert not pump.is_alive()
    assert heartbeat.told(conn)["keeper"] == "does not run", "a pump that stops in order takes its row along"


def test_a_pump_that_ends_by_an_error_leaves_its_row_to_be_missed(
    conn: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heart = Heartbeat(lambda: psycopg.connect(database, autocommit=True), "coder")

    def turn() -> float:
        until(lambda: heartbeat.told(conn)["coder"] == "is starting", 10, "a sign of life came")
        raise ArithmeticError("a fault of ours")

    monkeypatch.setattr(loops, "_told_to_stop", threading.Event)
    with pytest.raises(ArithmeticError):
        loops._until_told("coder", turn, (psycopg.Error,), heart)
    assert "heartbeat" not in {thread.name for thread in threading.enumerate()}
    conn.execute("UPDATE heartbeat SET at = now() - interval '20 s'")
    assert "no sign of life for 20 s" in heartbeat.told(conn)["coder"]
    heart.end()


def test_a_connection_on_which_the_database_failed_is_closed_and_the_next_turn_has_another(database: str) -> None:
    opened: list[psycopg.Connection] = []

    def connect() -> psycopg.Connection:
        opened.append(psycopg.connect(database, autocommit=True))
        return opened[-1]

    def work(conn: psycopg.Connection) -> float:
        conn.execute("SELECT 1 / %s", (len(opened) - 1,))
        return 7.0

    turn = loops._connected(connect, work)
    with pytest.raises(psycopg.errors.DivisionByZero):
        turn()
    assert [one.closed for one in opened] == [True]
    assert turn() == turn() == 7.0
    assert [one.closed for one in opened] == [True, False], "one that works is kept"
    opened[-1].close()
