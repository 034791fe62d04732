"""From chunks to tomorrow's weights, on a real database: a broken device is named and weighs less the next day."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import cbor2
import numpy as np
import psycopg
import pytest

from api import wiring
from api.commands.condition import of_all, of_one
from api.days import OpenDay, open_day, read_day, weights_for
from api.documents import ROOT
from api.keeper import Keeper, KeepOptions
from api.metrics import exposition
from api.recount import recount
from api.worker import Worker, leaf_of
from defects import store as defects_store
from ingest import (
    Arrived,
    Chunk,
    City,
    Condition,
    ConditionOptions,
    NoGo,
    Trust,
    condition_store,
    decode,
    encode,
    raw,
    weights_digest,
)
from ingest import store as ingest_store
from sensors_sim import trips

from ..roads import START_S, straight
from ..street import Street

DAY_S = 86_400.0
QUICK = ConditionOptions(least=2, known=3)
"""As a city has it, but for days of minutes instead of hours."""


@cache
def day_of(city: City, n: int) -> list[tuple[str, str, Chunk]]:
    """What one box and one phone send on day ``n``, some 40 chunks each."""
    names = {"box": "good-box", "phone": "good-phone"}
    return [(names[kind], kind, c) for _, kind, c in trips(city, 3 + n, 1, 1, 1, START_S + n * DAY_S)]


def twin(chunk: Chunk, seed: int) -> Chunk:
    """The same chunk from a device of its own: its sensor's noise differs."""
    noise = np.random.default_rng([seed, chunk.seq]).integers(-2, 3, chunk.acc_counts.shape)
    return replace(chunk, acc_counts=np.clip(chunk.acc_counts + noise, -32767, 32767).astype(np.int16))


def with_stuck_axis(chunk: Chunk) -> Chunk:
    acc = chunk.acc_counts.copy()
    acc[:, 0] = 7
    return replace(chunk, acc_counts=acc)


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as open_conn:
        kinds = {"good-box": "box", "stuck-box": "box", "slow-box": "box", "good-phone": "phone", "new-phone": "phone"}
        for device, kind in kinds.items():
            ingest_store.enrol(open_conn, device, kind, "not asked here")
        yield open_conn


@pytest.fixture
def take(database: str, city: City, conn: psycopg.Connection[Any]) -> Iterator[Callable[..., Any]]:
    """Takes payloads at a moment."""
    opened: list[psycopg.Connection[Any]] = []
    now: list[float] = [START_S]

    def connect() -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(database, autocommit=True))
        return opened[-1]

    @cache
    def pump(at: City) -> Worker:
        return Worker(connect, at, wiring.EVIDENCE, wiring.day_context(at), lambda: now[0], QUICK)

    def of(arrived: list[Arrived], now_s: float, at: City = city) -> list[dict[str, Any]]:
        now[0] = now_s
        return [json.loads(v.payload) for v in pump(at)(arrived)]

    yield of
    for one in opened:
        one.close()


def a_day(city: City, n: int, take: Callable[..., Any]) -> None:
    """One day of a good box and phone, a box with a stuck axis, and a box whose clock falls behind by 5 s a day."""
    all_of = day_of(city, n)
    stuck = [("stuck-box", with_stuck_axis(twin(c, 1))) for _, kind, c in all_of if kind == "box"]
    slow = [("slow-box", twin(c, 2)) for _, kind, c in all_of if kind == "box"]
    # In one batch after the last: only the least delay of a day counts.
    good = [(device, c) for device, _, c in all_of]
    last = {device: c.end_s for device, c in (*good, *slow)}
    take([Arrived(d, encode(c)) for d, c in (*good, *stuck)], last["good-box"] + 0.5)
    take([Arrived(d, encode(c)) for d, c in slow], last["slow-box"] + 0.5 + 5 * n)


def weight(conn: psycopg.Connection[Any], city: City, n: int, device: str, kind: str) -> float:
    return read_day(conn, city.service_day(START_S + n * DAY_S)).weight(device, kind)


def test_what_is_broken_is_named_and_weighs_less_from_the_next_day_on(
    conn: psycopg.Connection[Any], take: Callable[..., Any], city: City
) -> None:
    for n in range(4):
        a_day(city, n, take)
    for n, (good, stuck, slow, phone) in enumerate([(1, 1, 1, 0.5), (1, 0, 1, 1), (1, 0, 1, 1), (1, 0, 0, 1)]):
        said = [weight(conn, city, n, d, d.split("-")[1]) for d in ("good-box", "stuck-box", "slow-box", "good-phone")]
        assert said == [good, stuck, slow, phone], f"day {n}"
        assert weight(conn, city, n, "new-phone", "phone") == 0.5
        assert weight(conn, city, n, "never-seen-box", "box") == 1.0
    rows = {r["device"]: r for r in of_all(conn, QUICK)}
    assert {d: r["faults"] for d, r in rows.items()} == {
        "good-box": "", "good-phone": "", "stuck-box": "stuck", "slow-box": "clock",
    }  # fmt: skip
    assert next(iter(rows)) in ("stuck-box", "slow-box")
    assert rows["stuck-box"]["stuck"] == 1.0
    assert [r["least delay s"] for r in of_one(conn, "slow-box")] == pytest.approx([0.5, 5.5, 10.5, 15.5])
    metrics = exposition(conn, None).decode()
    assert 'roadcode_devices_not_believed{fault="stuck"} 1.0' in metrics
    assert 'roadcode_devices_not_believed{fault="clock"} 1.0' in metrics
    # Of the stuck box nothing counts any more, of the slow one nothing on the last day; and all of it can be recounted.
    for device, days in (("stuck-box", 1), ("slow-box", 3), ("good-box", 4)):
        spoke = conn.execute(
            "SELECT count(DISTINCT pass.day) FROM pass JOIN chunk ON chunk.id = pass.chunk WHERE device = %s", (device,)
        ).fetchone()
        assert spoke == (days,), device
    assert recount(conn, city, wiring.EVIDENCE).exact
    conn.execute("UPDATE device_weight SET weight_pct = 50 WHERE device = 'good-box'")
    assert not recount(conn, city, wiring.EVIDENCE).exact


def test_the_record_of_the_day_holds_a_hash_of_its_weights_and_no_name(
    conn: psycopg.Connection[Any], take: Callable[..., Any], city: City
) -> None:
    a_day(city, 0, take)
    day = city.service_day(START_S + DAY_S)
    opened = open_day(conn, day, wiring.day_context(city), QUICK)
    assert opened.weights["stuck-box"] == 0
    row = conn.execute("SELECT salt, body FROM day_context WHERE day = %s", (day,)).fetchone()
    assert row is not None
    context = cbor2.loads(row[1])["context"]
    assert context["weights"] == weights_digest(bytes(row[0]), opened.weights)
    assert b"stuck-box" not in row[1]
    assert json.loads(context["conditions"])["newcomer_phone_pct"] == 50
    record = conn.execute("SELECT count(*) FROM outbox WHERE body = %s", (row[1],)).fetchone()
    assert record == (1,)


def test_weights_are_frozen_by_whoever_opens_the_day_first(
    conn: psycopg.Connection[Any], take: Callable[..., Any], city: City
) -> None:
    day = city.service_day(START_S + DAY_S)
    first = open_day(conn, day, wiring.day_context(city), QUICK)
    a_day(city, 0, take)  # of the day before, late: it was not known when the day opened
    assert "stuck-box" not in first.weights
    assert open_day(conn, day, wiring.day_context(city), QUICK) == first
    assert weight(conn, city, 1, "stuck-box", "box") == 1.0


def test_sums_do_not_depend_on_order_batches_or_repeats(
    conn: psycopg.Connection[Any], take: Callable[..., Any], city: City
) -> None:
    chunks = [c for d, _, c in day_of(city, 0) if d == "good-box"]
    sent = [Arrived("good-box", encode(c)) for c in chunks]
    again = [Arrived("slow-box", encode(c)) for c in chunks]
    take(sent, START_S)
    rng = np.random.default_rng(4)
    shuffled = [again[i] for i in rng.permutation(np.r_[np.arange(len(again)), np.arange(0, len(again), 3)])]
    while shuffled:
        size = int(rng.integers(1, 9))
        take(shuffled[:size], START_S)
        shuffled = shuffled[size:]
    day = city.service_day(START_S)
    found = condition_store.conditions(conn, day, day)
    assert found["good-box"] == found["slow-box"]
    assert found["good-box"][day].chunks == len(chunks)
    assert found["good-box"][day].looked > 0


def test_old_sums_are_forgotten_by_the_keeper_alone_and_weights_are_not(
    conn: psycopg.Connection[Any], city: City
) -> None:
    day = city.service_day(START_S)
    with conn.transaction():
        old = day - timedelta(days=condition_store.KEPT_DAYS + 1)
        condition_store.add_conditions(conn, [(d, "good-box", Condition(chunks=1)) for d in (old, day)])
        condition_store.put_weights(conn, old, {"good-box": Trust(25, ("resonance",))})
    open_day(conn, day, wiring.day_context(city), QUICK)
    assert list(condition_store.conditions(conn, old, day)["good-box"]) == [old, day]
    Keeper(city, KeepOptions())(conn, START_S)
    assert list(condition_store.conditions(conn, old, day)["good-box"]) == [day]
    assert condition_store.weights_of(conn, old) == {"good-box": Trust(25, ("resonance",))}


def test_seven_closed_days_are_asked_and_no_others(conn: psycopg.Connection[Any], city: City) -> None:
    day = city.service_day(START_S)
    broken = Condition(chunks=800, looked=100, samples=90_000, stuck=100)
    asked = (("good-box", 8, None), ("stuck-box", 7, 0), ("slow-box", 1, 0), ("good-phone", 0, None))
    for device, ago, weight_pct in asked:
        with conn.transaction():
            condition_store.add_conditions(conn, [(day - timedelta(days=ago), device, broken)])
        found = open_day_again(conn, day, city)
        assert found.weights.get(device) == weight_pct, device


def test_gaps_are_named_of_days_that_are_not_sealed_and_no_others(
    conn: psycopg.Connection[Any], city: City
) -> None:
    """As docs/health-code.md says: at the seal it is forgotten which numbers came, and the sums stay."""
    day = city.service_day(START_S)
    sums = Condition(chunks=800, looked=100, samples=90_000, fixes=9_000)
    with conn.transaction():
        open_day(conn, day, wiring.day_context(city), QUICK)
        condition_store.add_conditions(conn, [(day, "good-box", sums)])
        conn.execute(
            "INSERT INTO seen (day, device, trip, w, mask) VALUES (%s, 'good-box', 'trip', 0, %s)", (day, 0b1000_0001)
        )
    tomorrow = day + timedelta(days=1)
    assert weights_for(conn, tomorrow, QUICK)["good-box"] == Trust(100, ("gaps",))
    raw.close_day(conn, day, datetime.now(UTC))
    assert weights_for(conn, tomorrow, QUICK)["good-box"] == Trust(100)
    page = (ROOT / "docs/health-code.md").read_text(encoding="utf-8")
    assert "| `gaps` | of days not sealed yet" in page


def open_day_again(conn: psycopg.Connection[Any], day: date, city: City) -> OpenDay:
    conn.execute("DELETE FROM day_context")
    conn.execute("DELETE FROM device_weight")
    return open_day(conn, day, wiring.day_context(city), ConditionOptions())


def test_a_wrong_devices_evidence_weighs_less_by_its_weight(
    conn: psycopg.Connection[Any], take: Callable[..., Any], city: City
) -> None:
    day = city.service_day(START_S)
    with conn.transaction():
        ingest_store.open_day(conn, day, b"s" * 16, b"", hashlib.sha256(b"").digest())
        condition_store.put_weights(conn, day, {"slow-box": Trust(25, ("resonance",))})
    sums = {}
    for device in ("good-box", "slow-box"):
        take([Arrived(device, encode(straight(city, jolts=((2.0, 0.9, 0.0),))))], START_S + 60)
        (parts,) = defects_store.take_journal(conn, 10).values()
        odds = [p.value[p.plane == 0] for p in parts]
        sums[device] = int(np.concatenate(odds).sum())
    assert sums["slow-box"] == pytest.approx(sums["good-box"] / 4, rel=1e-4)


def test_of_a_chunk_that_touches_a_no_go_area_only_the_rest_is_kept(
    conn: psycopg.Connection[Any], take: Callable[..., Any], city: City
) -> None:
    """Raw bytes, leaf and verdict are of the cut chunk; the same payload again is a repeat; recount finds it exact."""
    chunk = straight(city, jolts=((1.0, 0.9, 0.0), (4.0, 0.9, 0.0)))
    lon = chunk.fixes.lon_deg
    west, east = float(np.interp(START_S + 3, chunk.fixes.t_s, lon)), float(lon.max()) + 1e-3
    lat = float(chunk.fixes.lat_deg[0])
    ring = ((west, lat - 1e-2), (east, lat - 1e-2), (east, lat + 1e-2), (west, lat + 1e-2), (west, lat - 1e-2))
    with_yard = replace(city, no_go=(NoGo("yard", ring),))
    sent = Arrived("good-box", encode(chunk))
    first = take([sent], START_S + 60, with_yard)
    assert take([sent, sent], START_S + 60, with_yard) == first
    assert first[0]["accepted"] == [[0, 0]]
    row = conn.execute("SELECT raw, salt, leaf, (SELECT count(*) FROM finding) FROM chunk").fetchall()
    assert len(row) == 1
    raw, salt, leaf, findings = row[0]
    kept = decode(bytes(raw))
    assert bytes(raw) != sent.payload
    assert leaf_of(bytes(raw), bytes(salt)) == bytes(leaf)
    assert kept.fixes.lon_deg.max() < west
    assert kept.end_s <= START_S + 3
    assert findings == 1
    assert recount(conn, with_yard, wiring.EVIDENCE).exact


def test_the_command_tells_of_a_running_platform(street: Street) -> None:
    """The simulated fleet has driven for some minutes: all of it is new, and nothing is wrong with it."""

    def told(*arguments: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", "condition", *arguments, "--json"], capture_output=True, text=True,
            check=False, timeout=60, env=wiring.environment(street.platform.settings) | {"PATH": ""},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    rows = {r["device"]: r for r in told()}
    assert {r["weight %"] for d, r in rows.items() if d.startswith("sim-box")} == {100}
    assert {r["weight %"] for d, r in rows.items() if d.startswith("sim-phone")} == {50}
    assert not [d for d, r in rows.items() if r["faults"]]
    with street.connect() as conn:
        taken = conn.execute("SELECT count(*) FROM chunk WHERE device = 'sim-box-1'").fetchone()
    assert taken is not None
    assert sum(r["chunks"] for r in told("sim-box-1")) == taken[0] > 50
