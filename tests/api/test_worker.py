"""The first pump on a real database: what counts once, what is refused and told, what one bad payload may not do."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cbor2
import numpy as np
import psycopg
import pytest

from api import wiring
from api.recount import recount
from api.worker import Worker
from defects import merge, observe
from defects import store as defects_store
from ingest import MAX_BYTES, Arrived, Buckets, Budget, Chunk, City, Detection, decode, encode
from ingest import store as ingest_store
from sensors_sim import BAD_KINDS

from ..roads import START_S, straight

NOW_S = START_S + 600
DAY_S = 86_400.0


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as open_conn:
        for device, kind in (("box-1", "box"), ("box-2", "box"), ("phone-1", "phone")):
            ingest_store.enrol(open_conn, device, kind, "not asked here")
        yield open_conn


@pytest.fixture
def make(database: str, city: City, conn: psycopg.Connection[Any]) -> Iterator[Callable[..., Worker]]:
    """Workers on the database, each with a connection of its own."""
    opened: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(database, autocommit=True))
        return opened[-1]

    def worker(now_s: float = NOW_S, **more: Any) -> Worker:
        return Worker(connect, city, wiring.EVIDENCE, wiring.day_context(city), lambda: now_s, **more)

    yield worker
    for one in opened:
        one.close()


def payloads(city: City, n: int, trip: str = "00000001", **more: Any) -> list[bytes]:
    day = f"{city.service_day(START_S):%Y%m%d}"
    return [
        encode(straight(city, seq=seq, trip=f"{day}-{trip}", jolts=((7.0, 1.5, 1.0),), **more)) for seq in range(n)
    ]


def from_device(device: str, *sent: bytes) -> list[Arrived]:
    return [Arrived(device, payload) for payload in sent]


def told(verdicts: list[Any]) -> dict[tuple[str, str | None], dict[str, Any]]:
    """Verdicts by device and trip."""
    bodies = [(v.device, json.loads(v.payload)) for v in verdicts]
    assert all(body["v"] == 1 for _, body in bodies)
    return {(device, body["trip"]): body for device, body in bodies}


def counted(conn: psycopg.Connection[Any]) -> dict[tuple[str, str], int]:
    return {(name, label): n for name, label, n in ingest_store.tallies(conn)}


def waiting(conn: psycopg.Connection[Any]) -> list[tuple[bytes, bytes, bytes]]:
    """What the journal adds up to: squares, planes and sums."""
    merged = {day: merge(parts) for day, parts in sorted(defects_store.read_journal(conn).items())}
    return [(d.cell.tobytes(), d.plane.tobytes(), d.value.tobytes()) for d in merged.values()]


def one(conn: psycopg.Connection[Any], query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def tree_of(payload: bytes, **changes: Any) -> bytes:
    return cbor2.dumps({**cbor2.loads(payload), **changes})


# ---------------------------------------------------------------- once and only once


def test_a_chunk_that_comes_again_counts_once_in_a_batch_and_across_batches(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    a, b = payloads(city, 2)
    take = make()
    first = told(take(from_device("box-1", a, a, b, a)))
    before = waiting(conn)
    again = told(take(from_device("box-1", b, a)))
    assert first == again
    assert next(iter(first.values()))["accepted"] == [[0, 1]]
    assert waiting(conn) == before
    assert one(conn, "SELECT count(*) FROM chunk") == 2
    assert one(conn, "SELECT count(*) FROM finding") == 1
    counts = counted(conn)
    assert (counts["accepted", "box"], counts["repeated", ""], counts["payloads", ""]) == (2, 4, 6)
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_of_two_payloads_with_one_key_the_first_stays(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    (first,) = payloads(city, 1)
    (other,) = payloads(city, 1, north_m=500.0)
    take = make()
    take(from_device("box-1", first, other))
    before = waiting(conn)
    (verdict,) = told(take(from_device("box-1", other))).values()
    assert (verdict["accepted"], verdict["refused"]) == ([[0, 0]], [])
    assert bytes(one(conn, "SELECT raw FROM chunk")) == first
    assert waiting(conn) == before


def test_the_same_key_of_two_devices_is_two_chunks(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    (a,) = payloads(city, 1)
    make()([*from_device("box-1", a), *from_device("box-2", a)])
    assert one(conn, "SELECT count(*) FROM chunk") == 2
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_a_batch_that_was_committed_but_not_acknowledged_changes_nothing_when_it_comes_again(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    batch = from_device("box-1", *payloads(city, 5), b"\xff not a chunk")
    first = make()(batch)
    state = (waiting(conn), one(conn, "SELECT count(*) FROM chunk"), one(conn, "SELECT count(*) FROM pass"))
    assert make()(batch) == first, "the device is told the same by the next worker"
    assert (waiting(conn), one(conn, "SELECT count(*) FROM chunk"), one(conn, "SELECT count(*) FROM pass")) == state
    assert counted(conn)["accepted", "box"] == 5


def test_two_workers_at_once_take_each_chunk_once_and_tell_the_same(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    sent = payloads(city, 40)
    batches = [from_device("box-1", *sent[i : i + 8], b"\xff") for i in range(0, 40, 8)]
    start = threading.Barrier(2)
    failed: list[BaseException] = []
    last: list[Any] = []

    def run(order: list[list[Arrived]]) -> None:
        take = make()
        try:
            start.wait(10)
            for batch in order:
                verdicts = take(batch)
            last.append(told(verdicts))
        except BaseException as error:  # carried to the test's thread
            failed.append(error)

    # One of them backwards, trips and dead letters in one transaction: whoever locks in another order would deadlock.
    threads = [threading.Thread(target=run, args=(order,)) for order in (batches, batches[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert len(last) == 2
    assert one(conn, "SELECT count(*) FROM chunk") == 40
    counts = counted(conn)
    assert (counts["accepted", "box"], counts["repeated", ""]) == (40, 40)
    assert one(conn, "SELECT times FROM dead_letter") == 10
    assert recount(conn, city, wiring.EVIDENCE).exact


# ---------------------------------------------------------------- refused, by name


def doubling(levels: int) -> bytes:
    """A CBOR list of lists that holds 2**levels empty ones in a few bytes a level, by references (tags 28 and 29)."""
    head = b"\xd8\x1c\x82" * levels
    return head + b"\xd8\x1c\x80" + b"".join(b"\xd8\x1d" + cbor2.dumps(n) for n in range(levels, 0, -1))


def _nan_detection(chunk: Chunk) -> bytes:
    seen = Detection(chunk.start_s + 1, "pothole", float("nan"), 30.0, 120.0, 0.5)
    return encode(replace(chunk, detections=(seen,)))


def _half_trip(chunk: Chunk) -> bytes:
    return tree_of(encode(chunk), trip=f"{int(chunk.trip[:8]) - 1}{chunk.trip[8:]}")


def _late(chunk: Chunk, city: City) -> bytes:
    t_s = START_S - 2.1 * DAY_S
    return encode(straight(city, start_s=t_s))


REFUSED: dict[str, tuple[str, Callable[[Chunk, City], bytes]]] = {
    "empty": ("malformed", lambda _c, _city: b""),
    "bytes after the end": ("malformed", lambda c, _: encode(c) + b"\x00"),
    "not a map": ("wrong_type", lambda _c, _city: cbor2.dumps([1, 2])),
    "over the limit": ("too_large", lambda _c, _city: bytes(MAX_BYTES + 1)),
    "NaN in a detection": ("not_finite", lambda c, _: _nan_detection(c)),
    "no fixes": ("missing_field", lambda c, _: cbor2.dumps({k: v for k, v in cbor2.loads(encode(c)).items()
                                                           if k != "fixes"})),
    "a field of tomorrow": ("unknown_field", lambda c, _: tree_of(encode(c), lidar=1)),
    "a number as text": ("wrong_type", lambda c, _: tree_of(encode(c), seq="1")),
    "negative seq": ("out_of_range", lambda c, _: tree_of(encode(c), seq=-1)),
    "odd carrier": ("unknown_carrier", lambda c, _: tree_of(encode(c), carrier="tank")),
    "odd origin": ("unknown_origin", lambda c, _: tree_of(encode(c), origin="dream")),
    "live data here": ("origin_not_taken", lambda c, _: tree_of(encode(c), origin="live")),
    "datum unknown": ("unknown_datum", lambda c, _: tree_of(encode(c), datum="unknown")),
    "trip of another day": ("bad_trip", lambda c, _: _half_trip(c)),
    "trip with a zero byte": ("bad_trip", lambda c, _: tree_of(encode(c), trip=f"{c.trip}\x00")),
    "ends before it starts": ("bad_interval", lambda c, _: tree_of(encode(c), end=c.start_s - 1)),
    "samples of elsewhere": ("not_covered", lambda c, _: tree_of(encode(c), t0=c.t0_s + 60)),
    "slow sampling": ("rate_too_low", lambda c, _: encode(replace(c, rate_hz=50.0))),
    "three days old": ("too_late", _late),
    "a number of 5,000 digits as version": ("malformed", lambda _c, _city: cbor2.dumps({"v": 10**5000})),
    "a number of 5,000 digits as trip": ("malformed", lambda c, _: tree_of(encode(c), trip=10**5000)),
    "a number of 5,000 digits as name": (
        "malformed", lambda c, _: cbor2.dumps({**cbor2.loads(encode(c)), 10**5000: 0})),
    "a list of four million by reference": ("malformed", lambda _c, _city: b"\xa1\x61v" + doubling(22)),
    "a key of a million by reference": ("malformed", lambda _c, _city: b"\xa1" + doubling(20) + b"\x00"),
}  # fmt: skip
for _name, (_make, _reason, _) in BAD_KINDS.items():
    REFUSED[f"simulated: {_name}"] = (
        str(_reason),
        lambda c, _, make=_make: make(encode(c), f"{c.trip[:8]}-0bad0bad", np.random.default_rng(1)),
    )


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_payload_is_refused_by_name_once_and_stops_nobody(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City, name: str
) -> None:
    reason, make_bad = REFUSED[name]
    good = payloads(city, 2, trip="0000600d")
    bad = make_bad(straight(city), city)
    sha = hashlib.sha256(bad).hexdigest()
    take = make()
    verdicts = told(take([*from_device("box-1", good[0], bad, good[1]), *from_device("box-2", good[0])]))
    trip = decode(good[0]).trip
    assert verdicts["box-1", trip]["accepted"] == [[0, 1]]
    assert verdicts["box-2", trip]["accepted"] == [[0, 0]]
    refusals = [r for body in verdicts.values() for r in body["refused"]]
    assert [(r[1], r[2]) for r in refusals] == [(reason, sha)]
    row = conn.execute("SELECT device, reason, encode(sha256, 'hex'), bytes, times FROM dead_letter").fetchall()
    assert row == [("box-1", reason, sha, len(bad), 1)]
    again = told(take(from_device("box-1", bad)))
    assert [r[1:] for body in again.values() for r in body["refused"]] == [[reason, sha]]
    assert conn.execute("SELECT times, reason FROM dead_letter").fetchall() == [(2, reason)]
    assert counted(conn)["refused", reason] == 2
    assert one(conn, "SELECT count(*) FROM chunk") == 3


def test_a_phone_may_sample_slower_than_a_box_but_not_at_25_hz(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    whole = straight(city, carrier="car", accuracy_m=4.0)
    slow = [encode(replace(whole, rate_hz=r, acc_counts=whole.acc_counts[: int(9 * r)],
                           gyro_counts=None)) for r in (50.0, 25.0)]  # fmt: skip
    take = make()
    (fast_enough,) = told(take(from_device("phone-1", slow[0]))).values()
    assert fast_enough["accepted"] == [[0, 0]]
    (verdict,) = told(take(from_device("phone-1", slow[1]))).values()
    assert [r[1] for r in verdict["refused"]] == ["rate_too_low"]


def test_a_chunk_that_breaks_us_is_named_internal_and_the_others_of_the_batch_are_taken(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    """`observe` is made to raise for one chunk: no input is known that does it, and one may come."""
    a, b, c = payloads(city, 3)

    def breaks_at_seq_1(chunk: Chunk, *rest: Any) -> Any:
        if chunk.seq == 1:
            raise ZeroDivisionError("a wheel of no radius\x00")
        return observe(chunk, *rest)

    (verdict,) = told(make(see=breaks_at_seq_1)(from_device("box-1", a, b, c))).values()
    assert verdict["accepted"] == [[0, 0], [2, 2]]
    assert [(seq, reason) for seq, reason, _ in verdict["refused"]] == [(1, "internal")]
    assert "ZeroDivisionError" in one(conn, "SELECT detail FROM dead_letter")
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_a_device_that_was_disabled_between_batches_is_refused(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    a, b = payloads(city, 2)
    take = make()
    take(from_device("box-1", a))
    conn.execute("UPDATE device SET disabled_at = now() WHERE id = 'box-1'")
    (verdict,) = told(take(from_device("box-1", b))).values()
    assert verdict["accepted"] == [[0, 0]], "what was accepted before stays"
    assert [(seq, reason) for seq, reason, _ in verdict["refused"]] == [(1, "unknown_device")]
    (verdict,) = told(take(from_device("nobody-knows-me", a))).values()
    assert [r[1] for r in verdict["refused"]] == ["unknown_device"]


def test_a_chunk_that_was_refused_first_and_is_good_now_is_accepted_and_no_longer_called_refused(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    """A device whose clock was ahead, or that was disabled for a while, sends the same bytes later."""
    (early,) = payloads(city, 1)
    (verdict,) = told(make(START_S - 600)(from_device("box-1", early))).values()
    assert [r[1] for r in verdict["refused"]] == ["clock"]
    (verdict,) = told(make()(from_device("box-1", early))).values()
    assert (verdict["accepted"], verdict["refused"]) == ([[0, 0]], [])


# ---------------------------------------------------------------- verdicts


def test_a_verdict_says_all_that_was_taken_of_a_trip_in_whatever_order_it_came(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    sent = payloads(city, 70)
    take = make()
    said = [
        next(iter(told(take(from_device("box-1", *(sent[i] for i in some)))).values()))["accepted"]
        for some in ([5], [3, 4], [69, 63, 64], [0, 1])
    ]
    assert said == [[[5, 5]], [[3, 5]], [[3, 5], [63, 64], [69, 69]], [[0, 1], [3, 5], [63, 64], [69, 69]]]


def test_the_highest_sequence_number_is_one_like_any_other(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    (a,) = payloads(city, 1)
    highest = encode(replace(decode(a), seq=2**31 - 1))
    take = make()
    for _ in range(2):
        (verdict,) = told(take(from_device("box-1", a, highest))).values()
        assert verdict["accepted"] == [[0, 0], [2**31 - 1, 2**31 - 1]]
    assert one(conn, "SELECT count(*) FROM chunk") == 2


def test_a_refusal_is_told_however_many_went_before_it_in_its_trip(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    (a,) = payloads(city, 1)
    trip = decode(a).trip
    conn.execute(
        "INSERT INTO dead_letter (device, sha256, reason, detail, trip, seq, bytes) "
        "SELECT 'box-1', sha256(n::text::bytea), 'not_finite', '', %s, n, 1 FROM generate_series(0, 1500) AS n",
        (trip,),
    )
    bad = tree_of(a, seq=5000, datum="unknown")
    (verdict,) = told(make()(from_device("box-1", bad))).values()
    assert hashlib.sha256(bad).hexdigest() in [sha for _, _, sha in verdict["refused"]]


def test_a_verdict_fits_into_a_message_however_ragged_the_trip(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    """Every second number only, 20,000 times: told one by one the verdict would be over what the broker takes, and
    its publisher would fail for all devices of the batch."""
    (a,) = payloads(city, 1)
    chunk = decode(a)
    conn.execute(
        "INSERT INTO seen (day, device, trip, w, mask) "
        "SELECT %s, 'box-1', %s, n, x'5555555555555555'::bigint FROM generate_series(20000000, 20000624) AS n",
        (city.service_day(START_S), chunk.trip),
    )
    last = encode(replace(chunk, seq=2**31 - 1))
    (verdict,) = make()(from_device("box-1", last))
    assert len(verdict.payload) < MAX_BYTES
    assert [2**31 - 1, 2**31 - 1] in json.loads(verdict.payload)["accepted"]


# ---------------------------------------------------------------- budgets


def test_a_payload_that_is_tried_again_and_again_is_charged_once(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    """One that breaks the write has its batch halved until it stands alone; the others must not pay for that."""
    good = payloads(city, 16)

    def breaks_at_seq_5(chunk: Chunk, *rest: Any) -> Any:
        seen = observe(chunk, *rest)
        return replace(seen, distance_m="far") if chunk.seq == 5 else seen

    take = make(see=breaks_at_seq_5, flood=Buckets(Budget(burst=16, per_s=1e-6)))
    (verdict,) = told(take(from_device("box-1", *good))).values()
    assert [(seq, reason) for seq, reason, _ in verdict["refused"]] == [(5, "internal")]
    assert verdict["accepted"] == [[0, 4], [6, 15]]
    (verdict,) = told(take(from_device("box-1", good[0]))).values()
    assert [reason for _, reason, _ in verdict["refused"]] == ["too_fast"], "sixteen were paid for"


def test_a_batch_that_nobody_could_take_is_not_charged(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    good = payloads(city, 4)
    take = make(flood=Buckets(Budget(burst=4, per_s=1e-6)))
    take([])
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(psycopg.Error):
        take(from_device("box-1", *good))
    (verdict,) = told(take(from_device("box-1", *good))).values()
    assert verdict["accepted"] == [[0, 3]]


# ---------------------------------------------------------------- days


def test_chunks_of_two_service_days_in_one_batch_go_each_to_its_day(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    _, midnight_s = city.day_bounds_s(city.service_day(START_S))
    evening = encode(straight(city, start_s=midnight_s - 5, trip=None))
    morning = encode(straight(city, start_s=midnight_s, trip=None))
    verdicts = told(make(midnight_s + 60)(from_device("box-1", evening, morning)))
    days = sorted(trip[:8] for _, trip in verdicts if trip)
    first = city.service_day(midnight_s - 5)
    assert days == [f"{first:%Y%m%d}", f"{city.service_day(midnight_s):%Y%m%d}"]
    assert all(body["accepted"] == [[0, 0]] for body in verdicts.values())
    assert set(defects_store.read_journal(conn)) == {first, city.service_day(midnight_s)}
    assert one(conn, "SELECT count(DISTINCT salt) FROM day_context") == 2
    assert one(conn, "SELECT count(*) FROM outbox WHERE kind = 'context'") == 2
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_a_day_is_opened_once_and_its_context_stays(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    a, b = payloads(city, 2)
    make()(from_device("box-1", a))
    before = conn.execute("SELECT * FROM day_context").fetchall()
    make()(from_device("box-2", b))
    assert conn.execute("SELECT * FROM day_context").fetchall() == before
    assert one(conn, "SELECT count(*) FROM outbox") == 1


def test_a_lost_connection_loses_nothing_and_the_next_batch_gets_a_new_one(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    a, b = payloads(city, 2)
    take = make()
    take(from_device("box-1", a))
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(psycopg.OperationalError):
        take(from_device("box-1", b))
    (verdict,) = told(take(from_device("box-1", b))).values()
    assert verdict["accepted"] == [[0, 1]]
    assert recount(conn, city, wiring.EVIDENCE).exact
