"""From a phone's drive to points: what the worker keeps, what the seal makes of it, and what is left afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql

from api import teaching, wiring
from api.coder import NOTHING, step
from api.erasure import ask_to_erase, erase_asked
from api.keeper import SEAL_AFTER_S, Keeper, KeepOptions, Kept
from api.worker import Worker
from defects import taught, taught_store
from grid import Zone, cells_at, project
from ingest import Arrived, Chunk, City, encode
from ingest import store as ingest_store
from ledger import number_outbox, parse, points_settle, points_store, verify_statement
from ledger.points_fsck import faults

from ..databases import fresh_database
from ..roads import START_S, straight

Conn = psycopg.Connection[Any]
NOW_S = START_S + 600
DAY_S = 86_400.0
JOINED = ("phone-0", "phone-1", "phone-2")
AT = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared(postgres: str) -> Iterator[str]:
    """One database for all tests here: making one takes longer than most of them."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
def connect(shared: str) -> Iterator[Callable[[], Conn]]:
    """Connections to emptied tables, with a box, phones, and accounts for three of them."""
    opened: list[Conn] = []

    def open_one() -> Conn:
        opened.append(psycopg.connect(shared, autocommit=True))
        return opened[-1]

    with open_one() as conn:
        rows = conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition AND relname <> 'migration'"
        )
        names = sql.SQL(", ").join(sql.Identifier(r[0]) for r in rows)
        conn.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))
        ingest_store.enrol(conn, "box-0", "box", "not asked here")
        for device in (*JOINED, "phone-9"):
            ingest_store.enrol(conn, device, "phone", "not asked here")
        for device in JOINED:
            points_store.open_account(conn, account(device), AT, device=device)
    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def conn(connect: Callable[[], Conn]) -> Conn:
    return connect()


def account(device: str) -> str:
    return f"account00of{device[-1]}00000"


def shaken(chunk: Chunk, seed: int) -> Chunk:
    """The even road of `straight` with what a vehicle adds: without it a phone lies on a table."""
    noise = np.random.default_rng([seed, chunk.seq]).normal(0, 0.2 * 512, chunk.acc_counts.shape)
    return replace(chunk, acc_counts=(chunk.acc_counts + noise).astype(np.int16))


def drive(city: City, device: str, *, start_s: float = START_S, chunks: int = 4, jolts: tuple[Any, ...] = (),
          seed: int = 1, **more: Any) -> list[Arrived]:  # fmt: skip
    day = f"{city.service_day(start_s):%Y%m%d}"
    made: dict[str, Any] = {"accuracy_m": 1.0, "carrier": "car"} | more
    return [
        Arrived(device, encode(shaken(
            straight(city, seq=seq, start_s=start_s, trip=f"{day}-{seed:08x}", jolts=jolts, **made), seed
        )))
        for seq in range(chunks)
    ]  # fmt: skip


def take(connect: Callable[[], Conn], city: City, sent: list[Arrived], now_s: float = NOW_S) -> None:
    Worker(connect, city, wiring.EVIDENCE, wiring.day_context(city), lambda: now_s)(sent)


def seal(conn: Conn, city: City, start_s: float = START_S, points: int = 100_000) -> Kept:
    now_s = city.day_bounds_s(city.service_day(start_s))[1] + SEAL_AFTER_S
    while step(conn, city, wiring.HEALTH, now_s) != NOTHING:
        pass
    keeper = Keeper(city, KeepOptions(points_per_day=points))
    keeper(conn, now_s - 60)
    done = keeper(conn, now_s)
    assert done.waits == []
    return done


def earned(conn: Conn, device: str, day: date) -> int:
    return points_store.balance(conn, account(device), day).earned


def veterans(conn: Conn, city: City, *devices: str, paid: int = 7, joined_days: int = 28) -> int:
    """Gives these the history that lets them vouch for others on the day of START_S; gives the points of each."""
    day = city.service_day(START_S)
    for device in devices:
        conn.execute("UPDATE account SET joined_at = %s WHERE id = %s",
                     (datetime.fromtimestamp(city.day_bounds_s(day)[0] - joined_days * DAY_S, UTC),
                      account(device)))  # fmt: skip
    with conn.transaction():
        for n in range(paid, 0, -1):
            of = day - timedelta(days=n)
            dues = [points_settle.Due(account(d), "pass", of, 1, {}, f"pass:{account(d)}:{of}") for d in devices]
            points_settle.settle(conn, of, dues, {}, 100, bytes(32), AT, "simulated", bytes)
    return paid


def rows(conn: Conn) -> int:
    found = conn.execute("SELECT count(*) FROM taught").fetchone()
    return int(found[0]) if found else -1


def reasons(conn: Conn, device: str) -> dict[str, int]:
    return {r.reason: r.n for r in points_store.refusals(conn, account(device))}


def test_of_whoever_has_not_joined_nothing_is_kept_and_nothing_settled(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    for device in JOINED:
        teaching.leave(conn, device)
    conn.execute("DELETE FROM account")
    take(connect, city, drive(city, "phone-9"))
    assert rows(conn) == 0
    seal(conn, city)
    assert points_settle.settlements(conn) == []
    assert conn.execute("SELECT count(*) FROM outbox WHERE kind = 'reward'").fetchone() == (0,)


def test_two_who_drive_a_street_earn_points_that_they_can_check_without_asking_anybody(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    day = city.service_day(START_S)
    before = veterans(conn, city, "phone-0", "phone-1")
    hole = ((7.0, 1.5, 0.0),)
    take(
        connect,
        city,
        drive(city, "phone-0", jolts=hole) + drive(city, "phone-1", start_s=START_S + 300, jolts=hole, seed=2),
    )
    take(connect, city, drive(city, "phone-9", jolts=hole))
    assert rows(conn) > 0
    kept = b"".join(
        bytes(r[0]) + bytes(r[1]) + bytes(r[2]) for r in conn.execute("SELECT pseudonym, together, d FROM taught")
    )
    assert b"phone" not in kept
    done = seal(conn, city)
    assert done.points == earned(conn, "phone-0", day) + earned(conn, "phone-1", day) - 2 * before > 0
    assert earned(conn, "phone-0", day) == earned(conn, "phone-1", day), "what agrees is shared evenly"
    assert rows(conn) == 0
    *_, said = points_store.entries(conn, account("phone-0"))
    assert (said.what, said.day, said.settled_on) == ("pass", day, day)
    assert said.why["felt_squares"] > 0
    with conn.transaction():
        number_outbox(conn, 1000)
    found = points_settle.statement(conn, account("phone-0"))
    record = conn.execute("SELECT body FROM record WHERE idx = %s", (found["record"],)).fetchone()
    assert record is not None
    body = parse(bytes(record[0]))
    content = verify_statement(found, body["root"])
    assert (content["earned"], body["issued"], body["accounts"]) == (said.points + before, done.points + 2 * before, 3)
    assert not {"phone-0", account("phone-0")} & set(str(body))
    assert faults(conn) == []
    assert seal(conn, city).sealed == [], "a day is sealed, and settled, once"
    assert earned(conn, "phone-0", day) == said.points + before


@pytest.mark.parametrize(("paid", "joined_days", "vouch"), [(7, 28, True), (6, 28, False), (7, 27, False)])
def test_two_who_joined_lately_or_were_hardly_paid_cannot_vouch_for_a_hole(
    connect: Callable[[], Conn], conn: Conn, city: City, paid: int, joined_days: int, vouch: bool
) -> None:
    veterans(conn, city, "phone-0", "phone-1", paid=paid, joined_days=joined_days)
    for k, device in enumerate(JOINED[:2]):
        take(connect, city, drive(city, device, start_s=START_S + 300 * k, jolts=((7.0, 1.5, 0.0),), seed=k))
    seal(conn, city)
    assert (reasons(conn, "phone-0").get("not_vouched", 0) == 0) is vouch
    entry = conn.execute(
        "SELECT (why->>'felt_squares')::int FROM points_entry WHERE account = %s ORDER BY id DESC LIMIT 1",
        (account("phone-0"),),
    ).fetchone()
    assert (entry is not None and entry[0] > 0) is vouch


def test_who_leaves_and_joins_again_is_new_again(conn: Conn, city: City) -> None:
    veterans(conn, city, "phone-0")
    day, by = city.service_day(START_S), datetime.fromtimestamp(START_S, UTC)
    assert points_store.known_accounts(conn, by, day, 7) == {account("phone-0")}
    assert points_store.known_accounts(conn, by, day - timedelta(days=1), 7) == set(), "days before the day count"
    teaching.leave(conn, "phone-0")
    points_store.open_account(conn, "another000000000", by, device="phone-0")
    assert points_store.known_accounts(conn, by, day, 7) == set()


def test_without_a_budget_nobody_is_paid_and_the_rows_go_all_the_same(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    take(connect, city, drive(city, "phone-0") + drive(city, "phone-1", start_s=START_S + 300, seed=2))
    assert seal(conn, city, points=0).points == 0
    assert rows(conn) == 0
    assert points_settle.settlements(conn)[0].issued == 0


def test_a_small_budget_cuts_both_alike_and_says_so(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    before = veterans(conn, city, "phone-0", "phone-1")
    hole = ((7.0, 1.5, 0.0),)
    take(
        connect,
        city,
        drive(city, "phone-0", jolts=hole) + drive(city, "phone-1", start_s=START_S + 300, jolts=hole, seed=2),
    )
    assert seal(conn, city, points=7).points <= 7
    day = city.service_day(START_S)
    assert earned(conn, "phone-0", day) == earned(conn, "phone-1", day) == 3 + before
    assert reasons(conn, "phone-0")["budget"] > 0


def test_phones_on_one_dashboard_earn_together_no_more_than_one_of_them(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    """And what they alone felt is not agreed by their being two."""
    hole = ((7.0, 1.5, 0.0),)
    for seed, device in enumerate(JOINED):
        take(connect, city, drive(city, device, jolts=hole, seed=seed, chunks=6))
    seal(conn, city)
    day = city.service_day(START_S)
    together = sum(earned(conn, device, day) for device in JOINED)
    assert all(reasons(conn, device)["nobody_agreed"] > 0 for device in JOINED)
    assert all(reasons(conn, device)["travelled_together"] > 0 for device in JOINED)
    alone = START_S + 120 * DAY_S  # long after: the road is unknown again
    take(connect, city, drive(city, "phone-0", start_s=alone, jolts=hole, chunks=6), alone + 600)
    seal(conn, city, alone)
    assert 0 < together <= earned(conn, "phone-0", day) - together // 3 + 1


def test_a_road_that_was_driven_yesterday_teaches_less_and_one_left_alone_for_months_as_much_as_new(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    worth = []
    for n in (0, 1, 2, 300):
        start_s = START_S + n * DAY_S
        for k, device in enumerate(JOINED[:2]):
            take(connect, city, drive(city, device, start_s=start_s + 300 * k, chunks=6, seed=k), start_s + 600)
        seal(conn, city, start_s)
        entry = conn.execute(
            "SELECT (why->>'nanobits')::bigint FROM points_entry WHERE account = %s AND day = %s",
            (account("phone-0"), city.service_day(start_s)),
        ).fetchone()
        worth.append(int(entry[0]) if entry else 0)
    assert worth[0] > worth[1] > worth[2] > 0
    assert worth[3] > 0.95 * worth[0]


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("spoofed", lambda c: replace(c, acc_counts=np.full_like(c.acc_counts, [0, 0, 5018]))),
        ("handled", lambda c: replace(c, gyro_counts=np.full_like(c.gyro_counts, [4096 * 2, 0, 0]))),
        ("not_moving", lambda c: replace(c, fixes=replace(
            c.fixes, lat_deg=np.full_like(c.fixes.lat_deg, c.fixes.lat_deg[0]),
            lon_deg=np.full_like(c.fixes.lon_deg, c.fixes.lon_deg[0]), speed_mps=np.zeros_like(c.fixes.speed_mps)))),
    ],
)  # fmt: skip
def test_a_table_a_hand_and_a_garage_earn_nothing_by_name(
    connect: Callable[[], Conn], conn: Conn, city: City, reason: str, change: Callable[[Chunk], Chunk]
) -> None:
    day = f"{city.service_day(START_S):%Y%m%d}"
    chunks = [shaken(straight(city, seq=s, accuracy_m=1.0, carrier="car", trip=f"{day}-0000000a"), 1) for s in range(4)]
    take(connect, city, [Arrived("phone-0", encode(change(c))) for c in chunks])
    take(connect, city, drive(city, "phone-1", start_s=START_S + 300, seed=2))
    seal(conn, city)
    assert earned(conn, "phone-0", city.service_day(START_S)) == 0
    assert reasons(conn, "phone-0") == {reason: 4}


def test_a_drive_that_is_sent_again_later_counts_once_whoever_sends_it(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    """The same shaking under another trip, an hour later, louder and with a little noise."""
    day = f"{city.service_day(START_S):%Y%m%d}"
    rng = np.random.default_rng(5)
    first = [shaken(straight(city, seq=s, accuracy_m=1.0, carrier="car", trip=f"{day}-0000000a"), 1) for s in range(10)]
    again = []
    for c in first:
        acc = np.rint(c.acc_counts * 1.1 + rng.normal(0, 1, c.acc_counts.shape)).astype(np.int16)
        moved = replace(c.fixes, t_s=c.fixes.t_s + 3600)
        again.append(replace(c, trip=f"{day}-0000000b", start_s=c.start_s + 3600, end_s=c.end_s + 3600,
                             t0_s=c.t0_s + 3600,                              acc_counts=acc, fixes=moved))  # fmt: skip
    take(connect, city, [Arrived("phone-0", encode(c)) for c in first])
    take(connect, city, [Arrived(d, encode(c)) for d in JOINED[:2] for c in again], NOW_S + 4000)
    seal(conn, city)
    seen = [reasons(conn, d).get("replayed", 0) for d in JOINED[:2]]
    assert sum(seen) >= 20, "of three that are alike one counts"


def test_an_erasure_and_leaving_take_what_is_not_settled_and_close_the_account(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    take(connect, city, drive(city, "phone-0") + drive(city, "phone-1", start_s=START_S + 300, seed=2))
    before = rows(conn)
    ask_to_erase(conn, "phone-0")
    erase_asked(conn)
    assert 0 < rows(conn) < before
    teaching.leave(conn, "phone-1")
    assert rows(conn) == 0
    assert conn.execute("SELECT id FROM account WHERE device IS NOT NULL").fetchall() == [(account("phone-2"),)]
    seal(conn, city)
    assert conn.execute("SELECT count(*) FROM points_entry").fetchone() == (0,)
    assert faults(conn) == []


def test_a_report_that_holds_is_paid_once_for_a_place(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    day = city.service_day(START_S)
    x, y = project(*city.centre_deg, Zone(city.utm_zone, city.utm_north))
    cell = int(cells_at(x, y, Zone(city.utm_zone, city.utm_north), 0))
    for n in range(2):
        points_store.open_account(conn, f"paper00000000000{n}", AT, paper_hash=bytes([n]) * 32)
        points_store.add_claim(
            conn, f"paper00000000000{n}", "report", day, {"by": "counter"}, AT, cell=cell, kind="pothole"
        )
    points_store.add_claim(conn, account("phone-0"), "appeal", day, {"by": "a person"}, AT, points=5)
    take(connect, city, drive(city, "phone-1"))
    seal(conn, city)
    got = [points_store.balance(conn, f"paper00000000000{n}", day).earned for n in range(2)]
    assert got[0] == got[1] > 0, "two reports of one hole share what it is worth"
    assert earned(conn, "phone-0", day) == 5
    next_s = START_S + DAY_S
    again = points_store.add_claim(
        conn, "paper000000000000", "report", city.service_day(next_s), {}, AT, cell=cell, kind="x"
    )
    take(connect, city, drive(city, "phone-1", start_s=next_s), next_s + 600)
    seal(conn, city, next_s)
    newest = points_store.claims(conn, "paper000000000000")[0]
    assert (newest.id, newest.outcome) == (again, "nothing_new")
    assert points_store.balance(conn, "paper000000000000", day).earned == got[0]


def test_rows_lie_in_no_order_of_time_once_the_day_has_ended(
    connect: Callable[[], Conn], conn: Conn, city: City
) -> None:
    take(connect, city, drive(city, "phone-0", chunks=12))
    with conn.transaction():
        taught_store.shuffle(conn, city.service_day(START_S))
    kept = [bytes(r[0]) for r in conn.execute("SELECT together FROM taught ORDER BY ctid")]
    assert kept == sorted(kept)


def test_a_row_that_was_damaged_holds_nobody_up(connect: Callable[[], Conn], conn: Conn, city: City) -> None:
    take(connect, city, drive(city, "phone-0") + drive(city, "phone-1", start_s=START_S + 300, seed=2))
    conn.execute("UPDATE taught SET d = '\\x01020304' WHERE ctid = "
                 "(SELECT ctid FROM taught WHERE pseudonym = %s LIMIT 1)",
                 (taught.pseudonym_of("phone-0", ingest_store.salts(conn)[city.service_day(START_S)]),))  # fmt: skip
    seal(conn, city)
    assert reasons(conn, "phone-0")["damaged"] == 1
