"""The keeper on a real database: what goes when, what stays provable, and that no colour changes by it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from api import keeper, wiring
from api.coder import NOTHING, step
from api.documents import ROOT
from api.erasure import ask_to_erase, erase_asked
from api.fsck import _seals, codes_recorded, judged_again
from api.keeper import SEAL_AFTER_S, Keeper, KeepOptions, Kept
from api.recount import recount
from api.story import one_moment
from api.worker import Worker, slot_of
from defects import retention, slots_are_sealed
from defects import store as defects_store
from defects.planes import PHONE_DEVICES
from ingest import Arrived, City, Reason, devices, encode
from ingest import raw as ingest_raw
from ingest import store as ingest_store
from ledger import number_outbox, outbox_count, seals

from ..roads import START_S, straight
from ..street import until

Conn = psycopg.Connection[Any]
NOW_S = START_S + 600
DAY_S = 86_400.0
HIT = ((12.5, 3.0, 1.0),)
DEVICES = {**{f"box-{n}": "box" for n in range(3)}, **{f"phone-{n}": "phone" for n in range(4)}}


@pytest.fixture
def connect(database: str) -> Iterator[Callable[[], Conn]]:
    opened: list[Conn] = []

    def open_one() -> Conn:
        opened.append(psycopg.connect(database, autocommit=True))
        return opened[-1]

    with open_one() as conn:
        for device, kind in DEVICES.items():
            ingest_store.enrol(conn, device, kind, "not asked here")
    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def conn(connect: Callable[[], Conn]) -> Conn:
    return connect()


def drives(city: City, start_s: float = START_S, runs: int = 2, first: int = 0) -> list[Arrived]:
    """Every device drives the street and is thrown at one place."""
    day = f"{city.service_day(start_s):%Y%m%d}"
    sent = []
    for run in range(first, first + runs):
        for device, kind in DEVICES.items():
            for seq in range(4):
                chunk = straight(
                    city, seq=seq, start_s=start_s + 60 * run, trip=f"{day}-0000000{run}",
                    jolts=HIT if kind == "box" else ((7.0, 0.9, 0.0),), accuracy_m=0.075 if kind == "box" else 1.0,
                    carrier="bus" if kind == "box" else "car",
                )  # fmt: skip
                sent.append(Arrived(device, encode(chunk)))
    return sent


def worker(connect: Callable[[], Conn], city: City, now_s: float = NOW_S) -> Worker:
    return Worker(connect, city, wiring.EVIDENCE, wiring.day_context(city), lambda: now_s)


def fold_all(conn: Conn, city: City, now_s: float = NOW_S) -> None:
    while step(conn, city, wiring.HEALTH, now_s) != NOTHING:
        pass


def keep(conn: Conn, city: City, now_s: float, **options: Any) -> Kept:
    return Keeper(city, KeepOptions(**options))(conn, now_s)


def one(conn: Conn, query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def ended_s(city: City) -> float:
    return city.day_bounds_s(city.service_day(START_S))[1]


def codes(conn: Conn) -> dict[int, bytes]:
    return {b: c.tobytes() for b, (_, c) in defects_store.codes_of(conn, defects_store.all_code_blocks(conn)).items()}


def faults(conn: Conn) -> list[str]:
    """What fsck finds in the database alone."""
    with conn.transaction():
        number_outbox(conn, 10_000)
    with one_moment(conn):
        found = codes_recorded(conn) + _seals(conn) + judged_again(conn, wiring.HEALTH)
    return [f"{f.where}: {f.text}" for f in found]


def test_before_the_day_has_ended_nothing_goes(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    worker(connect, city)(drives(city))
    done = keep(conn, city, ended_s(city) - 1)
    assert (done.emptied, done.sealed, done.dropped, done.waits) == ([], [], [], [])
    assert one(conn, "SELECT count(*) FROM chunk") == 2 * 4 * len(DEVICES)


def test_citizens_chunks_go_at_the_end_of_their_day_and_all_that_is_said_stays_provable(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    worker(connect, city)(drives(city))
    fold_all(conn, city)
    before, said = codes(conn), outbox_count(conn)
    day = city.service_day(START_S)
    leaves = {block: defects_store.chunk_leaves(conn, block, day) for block in before}
    boxes = one(conn, "SELECT count(*) FROM chunk WHERE kind = 'box'")
    done = keep(conn, city, ended_s(city))
    assert done.emptied == [day]
    assert one(conn, "SELECT count(*) FROM chunk WHERE kind = 'phone'") == 0
    assert one(conn, "SELECT count(*) FROM chunk WHERE kind = 'box'") == boxes
    assert one(conn, "SELECT count(*) FROM pass WHERE chunk NOT IN (SELECT id FROM chunk)") == 0
    assert one(conn, "SELECT count(*) FROM finding WHERE chunk NOT IN (SELECT id FROM chunk)") == 0
    assert one(conn, "SELECT count(*) FROM phone_leaf WHERE journal IS NOT NULL") == 0
    assert {block: defects_store.chunk_leaves(conn, block, day) for block in before} == leaves
    assert (codes(conn), outbox_count(conn)) == (before, said)
    assert faults(conn) == []
    counted = recount(conn, city, wiring.EVIDENCE)
    assert counted.exact
    assert counted.chunks == boxes
    assert len(counted.left_out) == 1
    assert "citizens" in counted.left_out[0]
    assert keep(conn, city, ended_s(city) + 60).emptied == [], "there is nothing left to empty"


def test_a_late_chunk_counts_and_its_bytes_go_with_the_next_round_folded_or_not(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    """The keeper comes between the worker and the coder: the block's record counts the chunk all the same."""
    take = worker(connect, city, ended_s(city) + 3600)
    take(drives(city))
    fold_all(conn, city, ended_s(city))
    keep(conn, city, ended_s(city) + 3600)
    late = [a for a in drives(city, runs=1, first=5) if a.device.startswith("phone")]
    (verdict, *_) = take(late)
    assert b'"accepted":[[0,3]]' in verdict.payload
    day = city.service_day(START_S)
    assert keep(conn, city, ended_s(city) + 3660).emptied == [day]
    assert one(conn, "SELECT count(*) FROM chunk WHERE kind = 'phone'") == 0
    unfolded = one(conn, "SELECT count(*) FROM phone_leaf WHERE journal IS NOT NULL")
    assert unfolded > 0
    (block,) = [r[0] for r in conn.execute("SELECT blk FROM phone_leaf WHERE journal IS NOT NULL LIMIT 1")]
    short = len(defects_store.chunk_leaves(conn, block, day))
    fold_all(conn, city, ended_s(city) + 3700)
    assert len(defects_store.chunk_leaves(conn, block, day)) > short
    keep(conn, city, ended_s(city) + 3720)
    assert one(conn, "SELECT count(*) FROM phone_leaf WHERE journal IS NOT NULL") == 0
    assert recount(conn, city, wiring.EVIDENCE).exact
    assert faults(conn) == []
    again = take(late)
    assert again[0].payload == verdict.payload, "its key is still known: it does not count twice"
    assert defects_store.journal_rows(conn) == 0


def test_the_seal_forgets_whose_a_slot_was_and_changes_no_colour(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    worker(connect, city)(drives(city))
    now_s = ended_s(city) + SEAL_AFTER_S
    fold_all(conn, city, now_s)
    day = city.service_day(START_S)
    salt = ingest_store.salts(conn)[day]
    slots = {slot_of(device, salt) for device in DEVICES}
    before = codes(conn)
    conn.execute("INSERT INTO device_weight (day, device, weight_pct) VALUES (%s, 'phone-1', 50), (%s, 'box-1', 100)",
                 (day, day))  # fmt: skip
    assert not slots_are_sealed(e for _, e in retention.evidence_of_day(conn, day))
    early = keep(conn, city, now_s - 1)
    assert early.sealed == []
    assert day in ingest_store.salts(conn)
    done = keep(conn, city, now_s)
    assert done.sealed == [day]
    assert done.waits == []
    assert day not in ingest_store.salts(conn)
    sealed = dict(retention.evidence_of_day(conn, day))
    assert slots_are_sealed(sealed.values())
    most = max(int(e.plane(PHONE_DEVICES).max()) for e in sealed.values())
    assert most == (1 << len(slots & {slot_of(d, salt) for d, k in DEVICES.items() if k == "phone"})) - 1
    assert one(conn, "SELECT count(*) FROM seen") == 0
    weighed = {r[0] for r in conn.execute("SELECT device FROM device_weight")}
    assert weighed == {"box-1", "*box", "*phone"}, "boxes' are asked for as long as their chunks can be counted again"
    assert one(conn, "SELECT to_regclass('chunk_phone_' || to_char(max(day), 'YYYYMMDD')) IS NULL FROM day_context")
    assert codes(conn) == before
    fold_all(conn, city, now_s + 60)
    assert codes(conn) == before
    assert list(seals(conn)) == [day]
    assert faults(conn) == []
    counted = recount(conn, city, wiring.EVIDENCE)
    assert counted.exact
    assert any("sealed" in left for left in counted.left_out)


def test_what_is_changed_after_the_seal_is_found(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    worker(connect, city)(drives(city))
    now_s = ended_s(city) + SEAL_AFTER_S
    fold_all(conn, city, now_s)
    keep(conn, city, now_s - 60)
    keep(conn, city, now_s)
    conn.execute("DELETE FROM evidence WHERE blk = (SELECT max(blk) FROM evidence)")
    assert any("not what was sealed" in fault for fault in faults(conn))


def test_nothing_gets_into_a_sealed_day_and_the_device_is_told_why(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    """Neither by a worker that knew the day while it was open, nor by one that has just started."""
    old = worker(connect, city)
    old(drives(city, runs=1))
    now_s = ended_s(city) + SEAL_AFTER_S
    fold_all(conn, city, now_s)
    keep(conn, city, now_s - 60)
    assert keep(conn, city, now_s).sealed
    before = one(conn, "SELECT count(*) FROM chunk")
    for take in (old, worker(connect, city)):
        for verdict in take(drives(city, runs=1, first=3)):
            assert b'"accepted":[]' in verdict.payload
            assert Reason.TOO_LATE.encode() in verdict.payload
    assert one(conn, "SELECT count(*) FROM chunk") == before
    assert one(conn, "SELECT count(*) FROM seen") == 0
    assert defects_store.journal_rows(conn) == 0


def test_a_seal_waits_for_a_worker_that_is_about_to_commit_and_for_the_coder(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    worker(connect, city)([a for a in drives(city) if a.device.startswith("box")])
    now_s = ended_s(city) + SEAL_AFTER_S
    done = keep(conn, city, now_s)
    assert done.sealed == []
    assert "not folded" in done.waits[0]
    fold_all(conn, city, now_s)
    day = city.service_day(START_S)
    busy = connect()
    with busy.transaction():
        assert ingest_raw.hold_open(busy, [day]) == set()
        done = keep(conn, city, now_s)
        assert done.sealed == []
        assert str(day) in done.waits[0]
    assert keep(conn, city, now_s).sealed == [day]
    assert ingest_raw.hold_open(conn, [day]) == {day}


def test_a_late_chunk_under_way_and_the_days_end_do_not_wait_for_each_other(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    """One phone with late chunks could have put the end of everybody's day off for ever."""
    worker(connect, city)(drives(city))
    day, busy, watching = city.service_day(START_S), connect(), connect()
    done: list[Kept | BaseException] = []

    def keeping() -> None:
        try:
            done.append(keep(connect(), city, ended_s(city)))
        except BaseException as error:  # carried to the test's thread
            done.append(error)

    thread = threading.Thread(target=keeping)
    with busy.transaction():
        assert ingest_raw.hold_open(busy, [day]) == set()
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        until(lambda: one(watching, waits) > 0, 10, "the keeper waits for the worker")
        busy.execute("UPDATE chunk_phone SET received_at = now()")  # it writes into the room that the keeper wants
    thread.join(30)
    (kept,) = done
    assert isinstance(kept, Kept), kept
    assert kept.emptied == [day] or keep(conn, city, ended_s(city)).emptied == [day]
    assert one(conn, "SELECT count(*) FROM chunk_phone") == 0


def test_an_erasure_that_was_cut_short_is_finished_by_the_keeper(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    worker(connect, city)(drives(city))
    ask_to_erase(conn, "phone-1")
    assert one(conn, "SELECT count(*) FROM chunk_phone WHERE device = 'phone-1'") > 0
    assert keep(conn, city, NOW_S).waits == []
    assert one(conn, "SELECT count(*) FROM chunk_phone WHERE device = 'phone-1'") == 0
    assert one(conn, "SELECT count(*) FROM chunk_phone") > 0


def test_who_looks_at_one_moment_keeps_the_chunks_until_it_is_done(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    worker(connect, city)(drives(city))
    reader = connect()
    n = one(reader, "SELECT count(*) FROM chunk_phone")
    with one_moment(reader):
        assert one(reader, "SELECT count(*) FROM pass") > 0  # from here on it looks at an earlier moment
        done = keep(conn, city, ended_s(city))
        assert done.emptied == []
        assert "others read or write" in done.waits[0]
        assert one(reader, "SELECT count(*) FROM chunk_phone") == n
    assert keep(conn, city, ended_s(city)).emptied


def test_a_keeper_that_dies_in_a_step_leaves_everything_as_it_was(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    worker(connect, city)(drives(city))
    fold_all(conn, city, ended_s(city))
    conn.execute("CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
                 "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'")  # fmt: skip
    conn.execute("CREATE TRIGGER die AFTER DELETE ON finding FOR EACH STATEMENT EXECUTE FUNCTION die()")
    state = ("SELECT count(*) FROM chunk", "SELECT count(*) FROM pass", "SELECT count(*) FROM phone_leaf")
    before = [one(conn, query) for query in state]
    with pytest.raises(psycopg.OperationalError):
        keep(connect(), city, ended_s(city))
    assert [one(conn, query) for query in state] == before
    conn.execute("DROP TRIGGER die ON finding")
    assert keep(conn, city, ended_s(city)).emptied


def test_boxes_chunks_go_after_the_retention_and_only_those(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    worker(connect, city)(drives(city))
    next_s = START_S + DAY_S
    worker(connect, city, next_s + 600)([a for a in drives(city, next_s) if a.device.startswith("box")])
    now_s = ended_s(city) + 10 * DAY_S
    fold_all(conn, city, now_s)
    for _ in range(2):
        keep(conn, city, now_s)
    days = [city.service_day(START_S), city.service_day(next_s)]
    assert [s.day for s in ingest_raw.day_states(conn) if s.sealed_at] == days
    assert keep(conn, city, now_s + 20 * DAY_S - 1, raw_days=30).dropped == []
    done = keep(conn, city, now_s + 20 * DAY_S, raw_days=30)
    assert done.dropped == days[:1]
    assert {r[0] for r in conn.execute("SELECT DISTINCT day FROM chunk")} == set(days[1:])
    assert {r[0] for r in conn.execute("SELECT DISTINCT day FROM pass")} == set(days[1:])
    assert one(conn, "SELECT count(*) FROM finding WHERE chunk NOT IN (SELECT id FROM chunk)") == 0
    fold_all(conn, city, now_s + 20 * DAY_S)
    assert faults(conn) == []
    counted = recount(conn, city, wiring.EVIDENCE)
    assert counted.exact
    assert any(str(days[0]) in left and "raw chunks have gone" in left for left in counted.left_out)


def test_with_an_archive_set_nothing_goes_that_is_not_in_it(
    connect: Callable[[], Conn], conn: Conn, city: City, tmp_path: Any
) -> None:
    worker(connect, city)([a for a in drives(city) if a.device.startswith("box")])
    now_s = ended_s(city) + 40 * DAY_S
    fold_all(conn, city, now_s)
    assert keep(conn, city, now_s).sealed
    done = keep(conn, city, now_s, archive=tmp_path)
    assert done.dropped == []
    assert "roadcode archive" in done.waits[0]
    assert one(conn, "SELECT count(*) FROM chunk") > 0


def test_workers_that_open_a_day_at_once_make_its_room_once(connect: Callable[[], Conn], conn: Conn) -> None:
    start, failed = threading.Barrier(4), []
    day = date(2026, 11, 25)

    def run(mine: Conn) -> None:
        try:
            start.wait(10)
            with mine.transaction():
                ingest_store.open_day(mine, day, b"salt", b"body", b"sha256")
                mine.execute("SELECT open_chunk_day(%s)", (day,))
        except BaseException as error:  # carried to the test's thread
            failed.append(error)

    threads = [threading.Thread(target=run, args=(connect(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failed
    assert one(conn, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'chunk_box'::regclass") == 1


# ---------------------------------------------------------------- erasures

CITIZEN = "phone-who-goes"


def drive_and_erase(connect: Callable[[], Conn], conn: Conn, city: City, *others: Arrived) -> set[bytes]:
    """A phone drives and has its data erased; gives what its bytes are to be searched for, which was found before."""
    ingest_store.enrol(conn, CITIZEN, "phone", "not asked here")
    rng = np.random.default_rng(7)
    payloads = []
    for seq in range(20):
        chunk = straight(city, seq=seq, accuracy_m=1.0, carrier="car", north_m=900.0)
        noise = rng.integers(-2, 3, chunk.acc_counts.shape)  # so that nobody else's bytes are the same
        payloads.append(encode(replace(chunk, acc_counts=(chunk.acc_counts + noise).astype(np.int16))))
    worker(connect, city)([*others, *(Arrived(CITIZEN, payload) for payload in payloads)])
    needles = {CITIZEN.encode(), *(payload[1000:1032] for payload in payloads)}  # within a piece of its TOAST
    assert {"device_day", "seen"} <= tables_of(conn, needles)
    assert any(name.startswith("chunk_phone") for name in tables_of(conn, needles - {CITIZEN.encode()}))
    ask_to_erase(conn, CITIZEN)
    assert erase_asked(conn)[CITIZEN]["chunk"] == len(payloads)
    return needles


def tables_of(conn: Conn, needles: set[bytes]) -> set[str]:
    """Whose files hold one of the needles, in rows or in what was rows. A TOAST table or an index counts as its
    table; a file that belongs to nobody any more, as its path."""
    conn.execute("CHECKPOINT")  # what is in memory is written, and what was dropped is unlinked
    home = Path(one(conn, "SHOW data_directory"))
    base = one(conn, "SELECT oid FROM pg_database WHERE datname = current_database()")
    rows = conn.execute(
        "SELECT pg_relation_filepath(c.oid), coalesce(t.relname, x.relname, c.relname) FROM pg_class AS c "
        "LEFT JOIN pg_class AS t ON t.reltoastrelid = c.oid LEFT JOIN pg_index AS i ON i.indexrelid = c.oid "
        "LEFT JOIN pg_class AS x ON x.oid = i.indrelid WHERE pg_relation_filepath(c.oid) IS NOT NULL"
    )
    owners = {row[0]: row[1] for row in rows}
    found = set()
    for path in (home / "base" / str(base)).iterdir():
        content = path.read_bytes()
        if any(needle in content for needle in needles):
            name = f"base/{base}/{path.name.split('.')[0]}"
            found.add(owners.get(name, name))
    return found


@pytest.mark.parametrize("alone", [False, True])
def test_an_erasure_leaves_no_bytes_in_files_once_nothing_is_owed(
    connect: Callable[[], Conn], conn: Conn, city: City, alone: bool
) -> None:
    """Long before the day ends."""
    others = [] if alone else [a for a in drives(city) if a.device.startswith("phone")]
    needles = drive_and_erase(connect, conn, city, *others)
    assert keep(conn, city, NOW_S).waits == []
    assert not ingest_raw.owed(conn)
    assert tables_of(conn, needles) == {"device"}, "the name alone, that nobody gets it again"
    assert one(conn, "SELECT count(*) FROM chunk") == len(others)


def test_a_day_of_which_the_only_phone_was_erased_is_emptied_at_its_end(
    connect: Callable[[], Conn], conn: Conn, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row is left then, but of what was too large to be written anew there still are bytes."""
    monkeypatch.setattr(keeper, "_rewrite", lambda *_: None)
    raw = drive_and_erase(connect, conn, city) - {CITIZEN.encode()}
    keep(conn, city, NOW_S)
    assert len(tables_of(conn, raw)) == 1
    assert keep(conn, city, ended_s(city)).emptied == [city.service_day(START_S)]
    assert tables_of(conn, raw) == set()
    assert keep(conn, city, ended_s(city) + 60).emptied == []


def test_what_comes_to_be_owed_while_tables_are_written_anew_stays_owed(
    connect: Callable[[], Conn], conn: Conn, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that is committed after its table's turn."""
    other = connect()
    ingest_raw.owe(conn, "pages", "log")
    monkeypatch.setattr(keeper, "_rewrite", lambda *_: ingest_raw.owe(other, "pages"))
    keep(conn, city, NOW_S)
    assert set(ingest_raw.owed(conn)) == {"pages"}
    monkeypatch.undo()
    keep(conn, city, NOW_S + 60)
    assert not ingest_raw.owed(conn)


def test_the_table_of_tables_names_an_erasure_wherever_it_removes_something(conn: Conn) -> None:
    removed = {*devices.tables_of_devices(conn), "chunk_phone", "pass", "finding"} - {"heartbeat"}
    assert {"seen", "device_day", "device_weight", "dead_letter"} <= removed
    lines = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if line.count("|") == 5]
    for table in sorted(removed):
        (removes,) = [row[4] for row in rows if f"`{table}`" in row[1]]
        assert "an erasure" in removes or "with its letter" in removes, table
