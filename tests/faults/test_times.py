"""Late, early, across a border of service days, under clocks that jump: what is taken is taken once, what is refused is
refused by name, and the evidence is that of the same chunks sent in order under a good clock."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from api import wiring
from api.coder import NOTHING, step
from api.recount import recount
from api.worker import Worker
from defects import store as defects_store
from ingest import Arrived, Chunk, City, Verdict, encode
from ingest import store as ingest_store

from ..roads import START_S, straight
from .conftest import Toll
from .stream import codes, evidence, undisturbed

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
Make = Callable[[Callable[[], float]], Worker]


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as one:
        for device, kind in (("box-1", "box"), ("box-2", "box")):
            ingest_store.enrol(one, device, kind, "not asked here")
        yield one


@pytest.fixture
def make(database: str, city: City) -> Iterator[Make]:
    with contextlib.ExitStack() as held:

        def of(clock: Callable[[], float]) -> Worker:
            own = held.enter_context(psycopg.connect(database, autocommit=True))
            return Worker(lambda: own, city, wiring.EVIDENCE, wiring.day_context(city), clock)

        yield of


def drive(city: City, n: int, start_s: float, trip: str = "00000001", **more: Any) -> list[Chunk]:
    """A drive across whatever lies on its way: after a service day's border its trip has the new day's name."""
    return [
        straight(city, seq=seq, start_s=start_s, jolts=((8.0, 2.0, 1.0),), tail=trip, **more) for seq in range(n)
    ]


def from_box(chunks: list[Chunk], device: str = "box-1") -> list[Arrived]:
    return [Arrived(device, encode(chunk)) for chunk in chunks]


def reasons(verdicts: list[Verdict]) -> list[str]:
    return [refusal[1] for verdict in verdicts for refusal in json.loads(verdict.payload)["refused"]]


def accepted(verdicts: list[Verdict]) -> int:
    runs = [run for verdict in verdicts for run in json.loads(verdict.payload)["accepted"]]
    return sum(last - first + 1 for first, last in runs)


def folded(conn: psycopg.Connection[Any], city: City, now_s: float) -> None:
    while step(conn, city, wiring.HEALTH, now_s) != NOTHING:
        pass


def test_47_hours_late_is_taken_49_hours_late_is_refused_by_name(
    conn: psycopg.Connection[Any], make: Make, city: City, toll: Toll
) -> None:
    late = from_box(drive(city, 6, START_S - 47 * HOUR_S))
    too_late = from_box(drive(city, 6, START_S - 49 * HOUR_S, "00000002"))
    now = from_box(drive(city, 6, START_S - 60, "00000003"))
    mixed = [one for three in zip(late, too_late, now, strict=True) for one in three]
    verdicts = make(lambda: START_S)(mixed)
    assert reasons(verdicts) == ["too_late"] * 6
    assert accepted(verdicts) == 12
    counted = recount(conn, city, wiring.EVIDENCE)
    assert counted.exact
    kept = {bytes(raw) for (raw,) in conn.execute("SELECT raw FROM chunk")}
    assert kept == {a.payload for a in [*late, *now]}
    toll.add("47 h and 49 h late", chunks=12, refused=6, lost=counted.lost, doubled=counted.doubled,
             bitwise_equal=not counted.different)  # fmt: skip


def test_a_drive_across_a_service_days_border_counts_once_on_each_side_in_whatever_order(
    conn: psycopg.Connection[Any], make: Make, postgres: str, city: City, toll: Toll, fresh: str
) -> None:
    _, border_s = city.day_bounds_s(city.service_day(START_S))
    chunks = drive(city, 24, border_s - 60)
    assert len({chunk.trip for chunk in chunks}) == 2
    sent = from_box(chunks)
    rng = random.Random(4)
    shuffled = sent + rng.sample(sent, 12)
    rng.shuffle(shuffled)
    take = make(lambda: border_s + 90)
    while shuffled:
        some, shuffled = shuffled[:7], shuffled[7:]
        take(some)
    # Read out on the day before the border as well: what came after it must wait, and not be lost.
    folded(conn, city, border_s - 1)
    folded(conn, city, border_s + 90)
    with contextlib.closing(
        quiet(fresh, conn, city, sent, border_s + 90)
    ) as other:
        assert evidence(conn) == evidence(other) != {}
        assert codes(conn) == codes(other)
    assert {day for _, day in defects_store.evidence_keys(conn)} == {
        city.service_day(border_s - 1), city.service_day(border_s)
    }  # fmt: skip
    counted = recount(conn, city, wiring.EVIDENCE)
    toll.add("across a service day's border, shuffled, repeated", chunks=counted.chunks, lost=counted.lost,
             doubled=counted.doubled, bitwise_equal=not counted.different)  # fmt: skip
    assert counted.exact
    assert counted.chunks == 24


def quiet(url: str, conn: psycopg.Connection[Any], city: City, sent: list[Arrived], now_s: float) -> Any:
    """The undisturbed run of the same chunks, under the same salts."""
    with psycopg.connect(url, autocommit=True) as other:
        for device, kind in conn.execute("SELECT id, kind FROM device").fetchall():
            ingest_store.enrol(other, device, kind, "not asked here")
        for row in conn.execute("SELECT day, salt, body, sha256 FROM day_context").fetchall():
            ingest_store.open_day(other, *row)
    return undisturbed(url, city, sent, lambda: 50, now_s, fold_between=False)


def test_a_platform_whose_clock_jumps_refuses_by_name_and_takes_the_same_chunks_when_it_is_set_right(
    conn: psycopg.Connection[Any], make: Make, city: City, toll: Toll, fresh: str
) -> None:
    sent = from_box(drive(city, 40, START_S - 300))
    jumps = [0.0, 50 * HOUR_S, -DAY_S, 47 * HOUR_S, -600.0, 400 * DAY_S, 0.0, -4000 * DAY_S]
    offset_s = 0.0
    take = make(lambda: START_S + offset_s)
    waiting = list(sent)
    refused: set[str] = set()
    for n, offset_s in enumerate(jumps):  # the closure of the clock sees each
        some = waiting[5 * n : 5 * n + 5]
        verdicts = take(some)
        refused |= set(reasons(verdicts))
        # The coder's clock is the same machine's: it reads out codes on days that are not, and must read them again.
        folded(conn, city, START_S + offset_s)
    assert refused == {"too_late", "clock"}
    offset_s = 0.0
    rng = random.Random(5)
    rng.shuffle(waiting)
    assert accepted(take(waiting)) == len(sent)
    assert not conn.execute("SELECT 1 FROM dead_letter").fetchall(), "what was refused by a wrong clock is forgotten"
    folded(conn, city, START_S)
    with contextlib.closing(quiet(fresh, conn, city, sent, START_S)) as other:
        same, same_codes = evidence(conn) == evidence(other) != {}, codes(conn) == codes(other)
    counted = recount(conn, city, wiring.EVIDENCE)
    toll.add("clock of the platform jumps", chunks=counted.chunks, lost=counted.lost, doubled=counted.doubled,
             bitwise_equal=same, codes_equal=same_codes)  # fmt: skip
    assert counted.exact
    assert same
    assert same_codes, "codes that were read out under a wrong clock stay"


def test_a_device_whose_clock_jumps_ahead_and_back_is_refused_by_name_and_never_counted_twice(
    conn: psycopg.Connection[Any], make: Make, city: City, toll: Toll
) -> None:
    """Ahead by an hour, back by three days, back by an hour: the last is taken, as an older drive. A clock that is
    set back within a drive sends a key again with other content: the first one counts."""
    good = drive(city, 8, START_S - 300)
    ahead = drive(city, 4, START_S + HOUR_S, "0000000a")
    far_back = drive(city, 4, START_S - 3 * DAY_S, "0000000b")
    back = drive(city, 4, START_S - HOUR_S, "0000000c")
    again = [
        replace(c, start_s=c.start_s - 20, end_s=c.end_s - 20, t0_s=c.t0_s - 20,
                fixes=replace(c.fixes, t_s=c.fixes.t_s - 20))
        for c in good[4:]
    ]  # fmt: skip
    take = make(lambda: START_S)
    batches = [good[:4], ahead, good[4:], far_back, again, back]
    told = [take(from_box(batch)) for batch in batches]
    assert [sorted(set(reasons(v))) for v in told] == [[], ["clock"], [], ["too_late"], [], []]
    kept = {bytes(raw) for (raw,) in conn.execute("SELECT raw FROM chunk")}
    assert kept == {encode(c) for c in [*good, *back]}
    folded(conn, city, START_S)
    counted = recount(conn, city, wiring.EVIDENCE)
    toll.add("clock of a device jumps", chunks=counted.chunks, refused=8, lost=counted.lost, doubled=counted.doubled,
             bitwise_equal=not counted.different)  # fmt: skip
    assert counted.exact
