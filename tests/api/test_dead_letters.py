"""Dead letters: what is kept of a refused payload and of whose, how much at the most, and that a retry counts once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cbor2
import psycopg
import pytest
from typer.testing import CliRunner

from api import wiring
from api.cli import app
from api.keeper import Keeper, KeepOptions
from api.letters import retry
from api.recount import recount
from api.worker import Worker
from ingest import Arrived, City, NoGo, Reason, encode
from ingest import letters as ingest_letters
from ingest import store as ingest_store

from ..roads import START_S, straight

Conn = psycopg.Connection[Any]
NOW_S = START_S + 600
EARLY_S = START_S - 3600
"""By this clock the chunks lie in the future: refused, and taken once the clock is right."""


@pytest.fixture
def conn(database: str) -> Iterator[Conn]:
    with psycopg.connect(database, autocommit=True) as open_conn:
        for device, kind in (("box-1", "box"), ("box-2", "box"), ("phone-1", "phone")):
            ingest_store.enrol(open_conn, device, kind, "not asked here")
        yield open_conn


@pytest.fixture
def at(database: str, conn: Conn, city: City) -> Iterator[Callable[..., Worker]]:
    """A worker whose clock stands still."""
    with contextlib.ExitStack() as held:

        def connect() -> Conn:
            return held.enter_context(psycopg.connect(database, autocommit=True))

        def worker(now_s: float, **more: Any) -> Worker:
            return Worker(connect, city, wiring.EVIDENCE, wiring.day_context(city), lambda: now_s, **more)

        yield worker


def one(conn: Conn, query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def chunk_of(city: City, seq: int = 0, **more: Any) -> bytes:
    return encode(straight(city, seq=seq, jolts=((7.0, 1.5, 1.0),), **more))


def test_a_boxs_payload_is_kept_and_a_phones_never(conn: Conn, city: City, at: Callable[[float], Worker]) -> None:
    of_box, of_phone, of_nobody = b"\xff box", b"\xff phone", b"\xff nobody"
    at(NOW_S)([Arrived("box-1", of_box), Arrived("phone-1", of_phone), Arrived("nobody", of_nobody)])
    assert conn.execute("SELECT device, payload FROM dead_sample").fetchall() == [("box-1", of_box)]
    kept = {letter.device: letter.sample for letter in ingest_letters.found(conn)}
    assert kept == {"box-1": True, "phone-1": False, "nobody": False}
    letter, payload = ingest_letters.one(conn, hashlib.sha256(of_box).hexdigest()[:8])
    assert (letter.reason, payload) == (Reason.MALFORMED, of_box)


def test_nothing_is_kept_of_a_drive_that_touches_an_area_where_nobody_may_measure(city: City) -> None:
    """Whatever else it was refused for: the bytes would hold its places all the same."""
    lon, lat = city.centre_deg
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
    ring = tuple((lon + x / 100, lat + y / 100) for x, y in corners)
    closed = replace(city, no_go=(NoGo("barracks", ring),))
    payload = chunk_of(city)
    assert ingest_letters.sample_of(payload, "box", closed) is None
    assert ingest_letters.sample_of(payload, "box", replace(city, no_go=())) == payload
    unread = b"\xff" + payload  # no chunk to us, and places in it for whoever reads on
    assert ingest_letters.sample_of(unread, "box", closed) is None
    assert ingest_letters.sample_of(payload, "phone", city) is None
    assert ingest_letters.sample_of(payload, None, city) is None
    assert ingest_letters.sample_of(bytes(ingest_letters.SAMPLE_BYTES), "box", city) is not None
    assert ingest_letters.sample_of(bytes(ingest_letters.SAMPLE_BYTES + 1), "box", city) is None


def test_where_nobody_may_measure_what_cannot_be_read_is_not_kept_and_stops_nobody(
    database: str, conn: Conn, city: City
) -> None:
    """A datum that is not known has no place to compare; a field too many still has places in it. Both are refused by
    name, and the others of the batch are taken."""
    far = ((1.0, 1.0), (1.1, 1.0), (1.1, 1.1), (1.0, 1.1), (1.0, 1.0))
    careful = replace(city, no_go=(NoGo("far away", far),))
    nowhere = chunk_of(city, datum="unknown", trip=f"{city.service_day(START_S):%Y%m%d}-000000aa")
    strange = cbor2.dumps(cbor2.loads(chunk_of(city, 1)) | {"more": 1})
    with contextlib.closing(
        Worker(
            lambda: psycopg.connect(database, autocommit=True), careful, wiring.EVIDENCE, wiring.day_context(careful),
            lambda: NOW_S,
        )
    ) as worker:
        worker([Arrived("box-1", nowhere), Arrived("box-1", strange), Arrived("box-2", chunk_of(city))])
    letters = {letter.reason: letter.sample for letter in ingest_letters.found(conn)}
    assert letters == {Reason.UNKNOWN_DATUM: False, Reason.UNKNOWN_FIELD: False}
    assert one(conn, "SELECT count(*) FROM chunk WHERE device = 'box-2'") == 1


def test_a_hostile_box_cannot_fill_the_disk(
    conn: Conn, at: Callable[[float], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_letters, "LETTERS_A_DEVICE", 300)
    monkeypatch.setattr(ingest_letters, "SAMPLES_IN_ALL", 150)
    take = at(NOW_S)
    sent = [b"\xff" + n.to_bytes(4, "big") for n in range(700)]
    for i in range(0, 700, 70):
        take([Arrived("box-1", p) for p in sent[i : i + 70]])
        take([Arrived("box-2", p) for p in sent[i : i + 70]])
    assert one(conn, "SELECT count(*) FROM dead_letter WHERE device = 'box-1'") == 300
    assert one(conn, "SELECT count(*) FROM dead_sample WHERE device = 'box-1'") <= ingest_letters.SAMPLES_A_DEVICE
    assert one(conn, "SELECT count(*) FROM dead_sample") <= 150
    newest = {bytes(r[0]) for r in conn.execute("SELECT sha256 FROM dead_letter WHERE device = 'box-1'")}
    assert hashlib.sha256(sent[-1]).digest() in newest
    assert hashlib.sha256(sent[0]).digest() not in newest


def test_letters_go_after_two_weeks_and_phones_letters_with_the_seal(
    conn: Conn, city: City, at: Callable[[float], Worker]
) -> None:
    at(NOW_S)([Arrived("box-1", b"\xff box"), Arrived("phone-1", b"\xff phone")])
    now = datetime.now(UTC)
    keeper = Keeper(city, KeepOptions())
    keeper(conn, now.timestamp() + ingest_letters.KEEP_S - 60)
    assert one(conn, "SELECT count(*) FROM dead_letter") == 2
    assert ingest_letters.forget_phones(conn, datetime.fromtimestamp(now.timestamp() + 60, UTC)) == 1
    assert one(conn, "SELECT device FROM dead_letter") == "box-1"
    assert keeper(conn, now.timestamp() + ingest_letters.KEEP_S + 60).letters == 1
    assert one(conn, "SELECT count(*) FROM dead_sample") == 0


def test_a_retry_counts_once_however_often_and_by_whomever_it_is_sent(
    conn: Conn, city: City, at: Callable[[float], Worker]
) -> None:
    payload = chunk_of(city)
    at(EARLY_S)([Arrived("box-1", payload)])
    sha256 = hashlib.sha256(payload).hexdigest()
    still = retry(conn, at(EARLY_S), sha256)
    assert (still.accepted, still.reason) == (False, Reason.CLOCK)
    assert ingest_letters.one(conn, sha256)[0].times == 2
    done = retry(conn, at(NOW_S), sha256[:12])
    assert (done.accepted, done.reason) == (True, None)
    assert done.verdict["accepted"] == [[0, 0]]
    assert one(conn, "SELECT count(*) FROM dead_letter") == one(conn, "SELECT count(*) FROM dead_sample") == 0
    at(NOW_S)([Arrived("box-1", payload)])
    assert one(conn, "SELECT count(*) FROM chunk") == 1
    assert recount(conn, city, wiring.EVIDENCE).exact
    with pytest.raises(ingest_letters.NoSuchLetter, match="dead-letter list"):
        retry(conn, at(NOW_S), sha256)


def test_a_retry_of_what_still_breaks_us_is_refused_again_and_the_next_letter_is_worked(
    conn: Conn, city: City, at: Callable[..., Worker]
) -> None:
    """The worker gives its connection up after an error; it must not have been ours."""

    def breaks(*_: Any) -> Any:
        raise ZeroDivisionError("a wheel of no radius")

    a, b = chunk_of(city), chunk_of(city, 1)
    at(NOW_S, see=breaks)([Arrived("box-1", a), Arrived("box-1", b)])
    broken = at(NOW_S, see=breaks)
    still = [retry(conn, broken, hashlib.sha256(payload).hexdigest()) for payload in (a, b)]
    assert [done.reason for done in still] == [Reason.INTERNAL, Reason.INTERNAL]
    mended = at(NOW_S)
    assert all(retry(conn, mended, hashlib.sha256(payload).hexdigest()).accepted for payload in (a, b))


def test_a_retry_of_what_has_come_by_another_way_takes_the_letter_out_and_counts_nothing(
    conn: Conn, city: City, at: Callable[[float], Worker]
) -> None:
    payload = chunk_of(city)
    at(EARLY_S)([Arrived("box-1", payload)])
    (other,) = [chunk_of(city, north_m=3.0)]  # the same key, other bytes
    at(NOW_S)([Arrived("box-1", other)])
    done = retry(conn, at(NOW_S), hashlib.sha256(payload).hexdigest())
    assert done.accepted
    assert one(conn, "SELECT count(*) FROM dead_letter") == 0
    assert one(conn, "SELECT count(*) FROM chunk") == 1
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_a_letter_without_its_payload_says_why_it_cannot_be_retried(
    conn: Conn, city: City, at: Callable[[float], Worker]
) -> None:
    at(EARLY_S)([Arrived("phone-1", chunk_of(city, carrier="car", accuracy_m=2.0))])
    (letter,) = ingest_letters.found(conn)
    with pytest.raises(ingest_letters.NoSuchLetter, match="only those of boxes"):
        retry(conn, at(NOW_S), letter.sha256.hex())


def test_the_commands_list_show_and_retry(
    conn: Conn, city: City, at: Callable[[float], Worker], database: str, tmp_path: Path
) -> None:
    payload = chunk_of(city, start_s=time.time() - 100)
    at(time.time() - 3600)([Arrived("box-1", payload), Arrived("box-2", b"\xff")])
    sha256 = hashlib.sha256(payload).hexdigest()
    environment = {
        "ROADCODE_DATABASE_URL": database, "ROADCODE_BROKER_URL": "nats://nowhere", "ROADCODE_RPC_URL": "http://nowhere",
        "ROADCODE_MQTT_PORT": "1", "ROADCODE_HOME": str(tmp_path),
    }  # fmt: skip

    def run(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["dead-letter", *arguments, "--json"], env=environment)
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    assert {row["device"] for row in run("list")} == {"box-1", "box-2"}
    assert [row["hash"] for row in run("list", "--reason", "clock")] == [sha256]
    assert run("list", "--device", "nobody") == []
    shown = run("show", sha256[:10], "--out", str(tmp_path / "payload"))
    assert (shown["reason"], shown["kept"]) == ("clock", True)
    assert (tmp_path / "payload").read_bytes() == payload
    (refused,) = run("retry", "--device", "box-2", code=1)
    assert (refused["accepted"], refused["reason"]) == (False, "malformed")
    (again,) = run("retry", sha256)
    assert (again["accepted"], again["reason"]) == (True, None)
    assert one(conn, "SELECT count(*) FROM chunk") == 1
    missing = CliRunner().invoke(app, ["dead-letter", "retry"], env=environment)
    assert missing.exit_code == 2
    assert "nothing is" in missing.output

