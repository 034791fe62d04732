"""The second pump on a real database: folded once by one coder, in any order, again as days pass, told to the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from api import coder, wiring
from api.coder import NOTHING, step
from api.recount import recount
from api.worker import Worker
from defects import Colour, State
from defects import recode as reading
from defects import store as defects_store
from ingest import Arrived, City, encode
from ingest import store as ingest_store
from ledger import outbox_count

from ..roads import START_S, straight

NOW_S = START_S + 600
DAY_S = 86_400.0
BOXES = ("box-1", "box-2", "box-3")
HIT = ((12.5, 3.0, 1.0),)
"""A hard jolt under the left wheel, 125 m into the drive: in the middle of chunk 2."""

EMPTY = (
    "TRUNCATE seen, chunk_box, chunk_phone, pass, finding, journal, evidence, code, code_change, case_file, case_cell"
)

Conn = psycopg.Connection[Any]


@pytest.fixture
def connect(database: str) -> Iterator[Callable[[], Conn]]:
    opened: list[Conn] = []

    def open_one() -> Conn:
        opened.append(psycopg.connect(database, autocommit=True))
        return opened[-1]

    with open_one() as conn:
        for device in BOXES:
            ingest_store.enrol(conn, device, "box", "not asked here")
    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def conn(connect: Callable[[], Conn]) -> Conn:
    return connect()


def drives(city: City, runs: int = 4, start_s: float = START_S) -> list[Arrived]:
    """Three boxes, each ``runs`` times over the same 200 m with one hole in them."""
    day = f"{city.service_day(start_s):%Y%m%d}"
    return [
        Arrived(device, encode(straight(city, seq=seq, start_s=start_s, jolts=HIT, trip=f"{day}-0000000{run}")))
        for run in range(runs)
        for device in BOXES
        for seq in range(4)
    ]


def take(
    connect: Callable[[], Conn], city: City, arrived: list[Arrived], at_once: int = 16, now_s: float = NOW_S
) -> None:
    worker = Worker(connect, city, wiring.EVIDENCE, wiring.day_context(city), lambda: now_s)
    for i in range(0, len(arrived), at_once):
        worker(arrived[i : i + at_once])


def fold_all(conn: Conn, city: City, now_s: float = NOW_S, most: int = 200) -> list[coder.Folded]:
    done = []
    while (folded := step(conn, city, wiring.HEALTH, now_s, most)) != NOTHING:
        done.append(folded)
        assert len(done) < 100, "the coder finds work for ever"
    return done


def colours(conn: Conn) -> dict[Colour, int]:
    codes = defects_store.codes_of(conn, defects_store.all_code_blocks(conn))
    counts = sum((np.bincount(c["colour"], minlength=4) for _, c in codes.values()), np.zeros(4, int))
    return {colour: int(counts[colour]) for colour in Colour}


def everything(conn: Conn) -> tuple[Any, ...]:
    """Evidence and codes, bit by bit (revisions count the steps, which may differ)."""
    evidence = {
        key: (e.key.tobytes(), e.value.tobytes())
        for key in defects_store.evidence_keys(conn)
        for e in [defects_store.evidence_of(conn, [key[0]])[key[0]][key[1]]]
    }
    codes = defects_store.codes_of(conn, defects_store.all_code_blocks(conn))
    return evidence, {block: c.tobytes() for block, (_, c) in codes.items()}


def test_a_hole_is_red_its_road_green_and_everything_is_written_for_the_log(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    take(connect, city, drives(city))
    (folded,) = fold_all(conn, city)
    assert folded.rows == 6, "of three batches, where something was found and where not"
    counts = colours(conn)
    assert counts[Colour.RED] >= 1
    assert counts[Colour.GREEN] > 100
    assert defects_store.case_count(conn) == 1
    kinds = dict(conn.execute("SELECT kind, count(*) FROM outbox GROUP BY kind").fetchall())
    assert kinds == {
        "context": 1,
        "block": len(defects_store.all_code_blocks(conn)),
        "code": counts[Colour.RED] + counts[Colour.YELLOW],
        "case": 1,
    }
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_a_step_with_nothing_new_writes_nothing(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    assert step(conn, city, wiring.HEALTH, NOW_S) == NOTHING
    take(connect, city, drives(city))
    fold_all(conn, city)
    before = (everything(conn), outbox_count(conn), conn.execute("SELECT blk, rev, xmin::text FROM code").fetchall())
    assert step(conn, city, wiring.HEALTH, NOW_S + 60) == NOTHING
    take(connect, city, drives(city))  # all of it again: nothing of it is new
    assert step(conn, city, wiring.HEALTH, NOW_S + 120) == NOTHING
    after = (everything(conn), outbox_count(conn), conn.execute("SELECT blk, rev, xmin::text FROM code").fetchall())
    assert after == before


@pytest.mark.parametrize(("at_once", "most", "seed"), [(1, 1, 1), (7, 3, 2), (1000, 1000, 3)])
def test_any_order_batch_and_step_give_the_same_evidence_and_codes(
    connect: Callable[[], Conn], conn: Conn, city: City, at_once: int, most: int, seed: int
) -> None:
    """In one database: folded as it came, then all of it taken out and brought again in another way, with repeats."""
    sent = drives(city, runs=3)
    take(connect, city, sent, at_once=12)
    fold_all(conn, city)
    expected = everything(conn)
    conn.execute(EMPTY)
    rng = np.random.default_rng(seed)
    shuffled = [sent[i] for i in rng.permutation(np.r_[np.arange(len(sent)), rng.integers(len(sent), size=10)])]
    # Folding begins while chunks still come.
    take(connect, city, shuffled[:20], at_once)
    step(conn, city, wiring.HEALTH, NOW_S, most)
    take(connect, city, shuffled[20:], at_once)
    fold_all(conn, city, most=most)
    assert everything(conn) == expected
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_of_two_coders_one_does_the_work_and_the_other_waits_its_turn(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    take(connect, city, drives(city, runs=1))
    holder = connect()
    with holder.transaction():
        assert defects_store.hold_coder_lease(holder)
        assert step(conn, city, wiring.HEALTH, NOW_S) == NOTHING
        assert defects_store.journal_rows(conn) == 2
    assert step(conn, city, wiring.HEALTH, NOW_S).rows == 2


def test_coders_that_race_fold_every_row_once(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    take(connect, city, drives(city, runs=2), at_once=2)
    rows = defects_store.journal_rows(conn)
    start, folded, failed = threading.Barrier(3), [], []

    def run(mine: Conn) -> None:
        try:
            start.wait(10)
            while defects_store.journal_rows(mine):
                folded.append(step(mine, city, wiring.HEALTH, NOW_S, most=1).rows)
        except BaseException as error:  # carried to the test's thread
            failed.append(error)

    threads = [threading.Thread(target=run, args=(connect(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert sum(folded) == rows
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_a_coder_that_dies_in_its_step_leaves_the_journal_as_it_was(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    """The database ends its session after the last thing that a step writes."""
    take(connect, city, drives(city))
    conn.execute("CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
                 "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'")  # fmt: skip
    conn.execute("CREATE TRIGGER die AFTER INSERT ON outbox EXECUTE FUNCTION die()")
    before = (defects_store.journal_rows(conn), outbox_count(conn))
    with pytest.raises(psycopg.OperationalError):
        step(connect(), city, wiring.HEALTH, NOW_S)
    assert (defects_store.journal_rows(conn), outbox_count(conn)) == before
    assert everything(conn) == ({}, {})
    conn.execute("DROP TRIGGER die ON outbox")
    fold_all(conn, city)
    assert recount(conn, city, wiring.EVIDENCE).exact


# ---------------------------------------------------------------- days pass


def test_as_days_pass_green_turns_grey_and_red_does_not_stay_for_ever(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    take(connect, city, drives(city, runs=8))
    fold_all(conn, city)
    fresh = colours(conn)
    (red,) = [
        int(cell)
        for block, (_, codes) in defects_store.codes_of(conn, defects_store.all_code_blocks(conn)).items()
        for cell in reading.confirmed_red(block, codes)
    ][:1]
    assert fresh[Colour.GREEN] > 100
    seen = [fresh]
    for day in (1, 8, 30, 90, 91, 400):
        fold_all(conn, city, NOW_S + day * DAY_S)
        seen.append(colours(conn))
        assert step(conn, city, wiring.HEALTH, NOW_S + day * DAY_S) == NOTHING
    greens = [counts[Colour.GREEN] for counts in seen]
    assert greens == sorted(greens, reverse=True), "nothing turns green by waiting"
    assert greens[-1] == 0
    assert seen[1][Colour.RED] == seen[0][Colour.RED], "a hole does not vanish overnight"
    assert seen[-1][Colour.RED] == seen[-1][Colour.YELLOW] == 0, "no evidence outlives its validity"
    changes = defects_store.changes_of(conn, red)
    assert [c["after"]["colour"] for c in changes] == ["grey", "red"]
    assert [c["why"] for c in changes] == [
        "nobody has felt or seen it again for too long: it has expired",
        "passes felt or saw it",
    ]
    assert defects_store.case_count(conn) == 1, "the case stays open: nobody has repaired it"
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_each_change_by_ageing_has_its_record(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    take(connect, city, drives(city, runs=8))
    fold_all(conn, city)
    conn.execute("TRUNCATE outbox")
    revisions = dict(conn.execute("SELECT blk, rev FROM code").fetchall())
    fold_all(conn, city, NOW_S + 400 * DAY_S)
    moved = {blk for blk, rev in conn.execute("SELECT blk, rev FROM code") if rev != revisions[blk]}
    assert moved
    told = {row[0] for row in conn.execute("SELECT subject FROM outbox WHERE kind = 'block'")}
    assert told == moved
    gone = conn.execute("SELECT count(*) FROM outbox WHERE kind = 'code'").fetchone()
    changed = conn.execute("SELECT count(*) FROM code_change WHERE after ->> 'colour' = 'grey'").fetchone()
    assert gone == changed


def test_more_stale_blocks_than_a_step_takes_are_all_read_again(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    take(connect, city, drives(city, runs=1))
    fold_all(conn, city)
    blocks = len(defects_store.all_code_blocks(conn))
    assert blocks > 4
    tomorrow = city.service_day(NOW_S + DAY_S)
    for _ in range(blocks):
        if not defects_store.stale_blocks(conn, tomorrow, 1):
            break
        step(conn, city, wiring.HEALTH, NOW_S + DAY_S, most=2)
    assert defects_store.stale_blocks(conn, tomorrow, 1) == []


def test_evidence_of_two_days_adds_up_whichever_day_is_folded_first(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    yesterday, today = drives(city, 1), drives(city, 1, START_S + DAY_S)
    now_s = NOW_S + DAY_S
    results = []
    for order in ((yesterday, today), (today, yesterday)):
        conn.execute(EMPTY)
        for part in order:
            take(connect, city, part, now_s=now_s)
            fold_all(conn, city, now_s)
        results.append(everything(conn))
    assert results[0] == results[1]
    assert {day for _, day in results[0][0]} == {city.service_day(START_S), city.service_day(START_S + DAY_S)}


def test_three_boxes_confirm_and_one_alone_only_suspects(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    sent = drives(city, runs=3)

    def states() -> set[State]:
        codes = defects_store.codes_of(conn, defects_store.all_code_blocks(conn))
        told = np.concatenate([c["state"][np.isin(c["colour"], reading.TOLD)] for _, c in codes.values()])
        return {State(int(s)) for s in told}

    take(connect, city, [a for a in sent if a.device == "box-1"])
    fold_all(conn, city)
    assert states() == {State.SUSPECTED}
    assert defects_store.case_count(conn) == 0
    take(connect, city, sent)
    fold_all(conn, city)
    assert State.CONFIRMED in states()
    assert defects_store.case_count(conn) == 1
