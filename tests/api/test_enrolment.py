"""Who may send, on a real database: at once means at once, an invitation is used as often as it says, one reload serves
all who wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from api import wiring
from api.embedded import hash_secret
from api.enrolment import Address, Door, NotInvited, enrol_phone, is_device
from api.gathered import Gathered
from api.worker import Worker
from defects import observe
from ingest import Arrived, Buckets, Budget, City, devices, encode
from ingest import store as ingest_store

from ..roads import START_S, straight
from ..street import until

Conn = psycopg.Connection[Any]
WHERE = Address("127.0.0.1", 1883)


@pytest.fixture
def conn(database: str) -> Iterator[Conn]:
    with psycopg.connect(database, autocommit=True) as open_conn:
        for device in ("box-1", "box-2"):
            ingest_store.enrol(open_conn, device, "box", hash_secret(device))
        yield open_conn


def taker(database: str, city: City, flood: Buckets | None = None, see: Any = observe) -> Worker:
    return Worker(
        lambda: psycopg.connect(database, autocommit=True), city, wiring.EVIDENCE, wiring.day_context(city),
        lambda: START_S + 600, see=see, flood=flood,
    )  # fmt: skip


def count(conn: Conn, query: str) -> int:
    row = conn.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


# ---------------------------------------------------------------- at once


def test_a_batch_under_way_when_a_device_is_shut_out_writes_nothing_of_it(
    database: str, city: City, conn: Conn
) -> None:
    def while_it_is_observed(*given: Any) -> Any:
        with conn.transaction():
            devices.disable(conn, ["box-1"])
        return observe(*given)

    payload = encode(straight(city))
    take = taker(database, city, see=while_it_is_observed)
    verdicts = take([Arrived("box-1", payload), Arrived("box-2", payload)])
    assert [b"unknown_device" in v.payload for v in sorted(verdicts, key=lambda v: v.device)] == [True, False]
    assert conn.execute("SELECT device FROM chunk").fetchall() == [("box-2",)]
    assert conn.execute("SELECT DISTINCT device FROM seen").fetchall() == [("box-2",)]
    take._conn.close()  # type: ignore[union-attr]


def test_shutting_out_waits_for_a_batch_that_is_being_written_and_holds_up_the_next(database: str, conn: Conn) -> None:
    done, order = threading.Event(), []

    def shut_out() -> None:
        with psycopg.connect(database, autocommit=True) as other, other.transaction():
            devices.disable(other, ["box-1"])
            order.append("shut out")
        done.set()

    with psycopg.connect(database, autocommit=True) as batch:
        with batch.transaction():
            assert devices.still_let_in(batch, ["box-1", "box-2", "nobody"]) == ({"box-1", "box-2"}, set())
            thread = threading.Thread(target=shut_out)
            thread.start()
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            until(lambda: count(conn, waiting) == 1, 10, "it waits")
            order.append("batch written")
        assert done.wait(10)
        thread.join()
        assert order == ["batch written", "shut out"]
        with batch.transaction():
            assert devices.still_let_in(batch, ["box-1", "box-2"]) == ({"box-2"}, set())


def test_an_erasure_that_a_crash_cut_short_is_known_and_a_second_wish_changes_nothing(conn: Conn) -> None:
    with conn.transaction():
        devices.ask_to_erase(conn, "box-1")
    assert devices.to_be_erased(conn) == [], "only of a device that was shut out"
    with conn.transaction():
        devices.disable(conn, ["box-1"])
        devices.ask_to_erase(conn, "box-1")
    assert devices.to_be_erased(conn) == ["box-1"]
    with conn.transaction():
        devices.erase(conn, "box-1")
    assert devices.to_be_erased(conn) == []
    assert not is_device(conn, "box-1", "")
    assert not ingest_store.enrol(conn, "box-1", "box", "x"), "nor does it come back by enrolling"


def test_too_fast_is_no_dead_letter_and_counts_when_it_comes_again(database: str, city: City, conn: Conn) -> None:
    sent = [Arrived("box-1", encode(straight(city, seq=seq))) for seq in range(5)]
    take = taker(database, city, Buckets(Budget(burst=2, per_s=1)))
    with closing(take):
        # What came too fast is not read, so its verdict names no trip: its hash says which it was.
        nameless, of_trip = take(sent)
    assert nameless.payload.count(b"too_fast") == 3
    assert b'"trip":null' in nameless.payload
    assert b'"accepted":[[0,1]],"refused":[]' in of_trip.payload
    assert count(conn, "SELECT count(*) FROM dead_letter") == 0
    again = taker(database, city)
    with closing(again):
        (verdict,) = again(sent)
    assert b'"accepted":[[0,4]],"refused":[]' in verdict.payload


# ---------------------------------------------------------------- invitations


def phones(conn: Conn) -> int:
    return count(conn, "SELECT count(*) FROM device WHERE kind = 'phone'")


def test_an_invitation_lets_in_as_many_as_it_says_and_keeps_no_code(database: str, conn: Conn) -> None:
    door = Door(WHERE, "invitation", 100)
    devices.invite(conn, "0123456789abcdef0123", 3, 3600)
    assert b"0123456789abcdef0123" not in conn.execute("SELECT i::text FROM invitation i").fetchall()[0][0].encode()
    made: list[str] = []
    refused: list[str] = []

    def ask() -> None:
        with psycopg.connect(database, autocommit=True) as other:
            try:
                made.append(enrol_phone(other, door, "1", "0123456789abcdef0123").device)
            except NotInvited as error:
                refused.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(set(made)), len(refused), phones(conn)) == (3, 5, 3)
    assert count(conn, "SELECT count(*) FROM invitation") == 0, "used up, it goes"


def test_without_a_valid_invitation_nobody_comes_in_unless_it_is_open(conn: Conn) -> None:
    devices.invite(conn, "too-old", 5, -1)
    for code in (None, "", "guess", "too-old"):
        with pytest.raises(NotInvited, match="ask for a new one"):
            enrol_phone(conn, Door(WHERE, "invitation", 100), "1", code)
    with pytest.raises(NotInvited, match="ROADCODE_ENROLMENT=off"):
        enrol_phone(conn, Door(WHERE, "off", 100), "1", "any")
    assert phones(conn) == 0
    enrol_phone(conn, Door(WHERE, "open", 100), "1", None)
    with pytest.raises(NotInvited):
        enrol_phone(conn, Door(WHERE, "open", 100), "1", "guess")
    assert phones(conn) == 1
    devices.invite(conn, "next", 1, 60)
    assert count(conn, "SELECT count(*) FROM invitation") == 1, "the one that was too old went"


def test_a_password_is_known_and_nothing_else(conn: Conn) -> None:
    assert is_device(conn, "box-1", "box-1")
    wrong = ("box-2", "", "\0", "box-1\0", "x" * 10_000, "\udcff")
    assert not any(is_device(conn, "box-1", password) for password in wrong)
    assert not is_device(conn, "nobody", "nobody")
    assert not is_device(conn, "x' OR '1'='1", "box-1")
    with conn.transaction():
        devices.disable(conn, ["box-1"])
    assert not is_device(conn, "box-1", "box-1")


# ---------------------------------------------------------------- one run for many


def test_who_comes_while_a_run_is_on_shares_the_next() -> None:
    begun, may_end = threading.Event(), threading.Event()
    runs: list[int] = []
    wishes: list[int] = []

    def work() -> None:
        runs.append(len(wishes))
        begun.set()
        may_end.wait(10)

    async def many() -> None:
        gathered = Gathered(work)

        async def one(number: int) -> None:
            wishes.append(number)
            await gathered()
            assert runs[-1] > wishes.index(number), "a run that began after the wish has ended"

        first = asyncio.create_task(one(0))
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.create_task(one(number)) for number in range(1, 50)]
        await asyncio.sleep(0)
        gone = others.pop()
        gone.cancel()  # one that goes away takes nobody with it
        may_end.set()
        await asyncio.gather(first, *others)

    asyncio.run(many())
    assert runs == [1, 50]


def test_an_error_reaches_all_who_waited_and_not_the_next() -> None:
    fails = [True, False]

    def work() -> None:
        if fails.pop(0):
            raise RuntimeError("away")

    async def two() -> None:
        gathered = Gathered(work)
        told = await asyncio.gather(gathered(), gathered(), return_exceptions=True)
        assert [str(error) for error in told] == ["away", "away"]
        await gathered()

    asyncio.run(two())
