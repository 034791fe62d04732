"""What should be gone is gone: every table, and every file of the data folder, is searched for what phones sent.

A real platform, a fleet of boxes and phones, the keeper with its clock turned on. The windows that docs/privacy.md
states are asserted here; each search is first shown to find what is still there.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api import wiring
from api.fsck import fsck
from api.keeper import SEAL_AFTER_S, Keeper, KeepOptions
from api.platform import Platform, running
from api.recount import recount
from api.settings import Settings
from defects import retention, slots_are_sealed, taught
from ingest import Sender, encode
from ingest import store as ingest_store
from ledger import points_store

from ..roads import straight
from ..street import send_fleet, settled, until

ENROLMENT = (
    "devices/", "broker/devices.json", "broker/users.conf", "broker/store/jetstream/$G/streams/$MQTT_sess/",
    "broker/store/jetstream/$G/streams/$MQTT_msgs/obs/",
)  # fmt: skip
"""Files that name a device because it is enrolled and subscribes to its verdicts: that is no track."""
ACCOUNT = "gone0000000000000001"
NAMED = {"device", "device_day", "device_weight", "account"}
"""Tables that name a phone after the seal: the enrolment; its condition by day, for two weeks; what that makes of days
that are not sealed yet; whose points are whose, until the owner leaves."""
NAMED_UNTIL_SEALED = {"seen", "dead_letter"}


@dataclass
class Needles:
    """Bytes that only phones' chunks have. raw: 32 from the middle of each; salts: of chunks and of the days."""

    names: set[bytes]
    trips: set[bytes]
    raw: set[bytes]
    chunk_salts: set[bytes]
    day_salts: set[bytes]
    pseudonyms: set[bytes]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("gone") / "home"
    # Its own keeper looks once, at the start: the clock that counts is the test's.
    settings = Settings(home=home, port=0, anchor_every_s=0.5, fold_every_s=0.2, keep_every_s=3600)
    with running(settings) as started:
        assert "keeper" in started.pumps.running()
        # One phone collects points: what it taught is kept until the seal.
        started.enrol([("sim-phone-1", "phone")], "sim")
        with wiring.database(started.settings) as conn:
            points_store.open_account(conn, ACCOUNT, datetime.now(UTC), device="sim-phone-1")
        send_fleet(started, home / "truth.json", 1, 3, 2)
        yield started


def middle(payload: bytes) -> bytes:
    return payload[len(payload) // 2 :][:32]


def tables_with(conn: wiring.Connection, needles: set[bytes]) -> set[str]:
    """Tables that hold one of the needles in any column of any row."""
    names = [r[0] for r in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    found = set()
    for name in names:
        with conn.cursor() as cursor, cursor.copy(f'COPY (SELECT * FROM "{name}") TO STDOUT (FORMAT binary)') as copy:  # noqa: S608
            content = b"".join(bytes(part) for part in copy)
        if any(needle in content for needle in needles):
            found.add(name)
    return found


def files_with(home: Path, needles: set[bytes]) -> set[str]:
    """Files below the data folder that hold one of the needles; of many, of one of twenty: it is a lot to read."""
    found = set()
    few = random.Random(1).sample(sorted(needles), min(20, len(needles)))
    for path in home.rglob("*"):
        try:
            pages = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue  # removed while we looked
        content = pages.rstrip(b"\0")
        if any(needle in content for needle in few):
            found.add(str(path.relative_to(home)))
    return found


def files_of(conn: wiring.Connection, table: str) -> set[str]:
    """The files of a table and of its indexes."""
    rows = conn.execute(
        "SELECT 'postgres/' || pg_relation_filepath(oid) FROM pg_class WHERE oid = %(t)s::regclass OR oid IN "
        "(SELECT indexrelid FROM pg_index WHERE indrelid = %(t)s::regclass)",
        {"t": table},
    )
    return {r[0] for r in rows}


def frozen(platform: Platform, name: str) -> int:
    process = platform.pumps.running()[name]
    os.kill(process.pid, signal.SIGSTOP)
    return process.pid


def test_a_chunk_is_in_the_brokers_files_until_the_worker_has_taken_it(platform: Platform) -> None:
    """The window of the broker: as long as the worker is away, and no longer."""
    home = platform.settings.home.resolve()
    city = platform.settings.read_city()
    _, (credential,) = platform.enrol([("gone-phone", "phone")], "gone")
    payload = encode(straight(city, start_s=time.time() - 60, carrier="car", accuracy_m=2.0, north_m=900.0))
    needle = {middle(payload)}
    worker = frozen(platform, "worker")
    try:
        with Sender(credential) as sender:
            sender.send(payload)
            until(lambda: bool(files_with(home / "broker", needle)), 20, "the broker has written it down")
            os.kill(worker, signal.SIGCONT)
            sender.finish(60)
    finally:
        os.kill(worker, signal.SIGCONT)
    until(lambda: not files_with(home / "broker", needle), 20, "the broker's files no longer hold it")


def test_after_the_day_and_after_the_seal_nothing_is_left_of_what_phones_sent(platform: Platform) -> None:
    _, (credential,) = platform.enrol([("gone-phone", "phone")], "gone")
    refused = b"\xff" + secrets.token_bytes(64)
    with Sender(credential) as sender:
        sender.send(refused)
        sender.finish(60)
    until(lambda: settled(platform), 60, "everything folded, recorded and anchored")
    with wiring.database(platform.settings) as conn:
        look_for_what_is_gone(conn, platform, refused)


def look_for_what_is_gone(conn: wiring.Connection, platform: Platform, refused: bytes) -> None:
    home, city = platform.settings.home.resolve(), platform.settings.read_city()
    sent = conn.execute("SELECT device, trip, raw, salt FROM chunk_phone").fetchall()
    assert len(sent) > 50
    needles = Needles(
        names={r[0].encode() for r in sent} | {b"gone-phone"},
        trips={r[1].encode() for r in sent},
        raw={middle(bytes(r[2])) for r in sent} | {middle(refused)},
        chunk_salts={bytes(r[3]) for r in sent},
        day_salts=set(ingest_store.salts(conn).values()),
        pseudonyms={taught.pseudonym_of("sim-phone-1", salt) for salt in ingest_store.salts(conn).values()},
    )
    boxes = {middle(bytes(r[0])) for r in conn.execute("SELECT raw FROM chunk_box").fetchall()}
    ended_s = max(city.day_bounds_s(day)[1] for day in ingest_store.salts(conn))
    # The search finds what is there: in tables, in their files, and in the write-ahead log.
    assert {n.rsplit("_", 1)[0] for n in tables_with(conn, needles.raw) if n.count("_") > 1} == {"chunk_phone"}
    assert {"seen", "dead_letter", "device"} <= tables_with(conn, needles.names)
    assert any(name.startswith("postgres/pg_wal/") for name in files_with(home, needles.raw))
    assert tables_with(conn, needles.pseudonyms) == {"taught"}
    assert files_with(home, needles.pseudonyms)
    conn.execute("ANALYZE")
    conn.execute("CHECKPOINT")

    keeper = Keeper(city, KeepOptions())
    done = keeper(conn, ended_s)
    assert done.emptied
    assert done.waits == []
    assert tables_with(conn, needles.raw | needles.chunk_salts) == set()
    assert files_with(home, needles.raw) | files_with(home, needles.chunk_salts) == set()
    assert tables_with(conn, needles.trips) <= NAMED_UNTIL_SEALED
    assert tables_with(conn, needles.names) <= NAMED | NAMED_UNTIL_SEALED
    assert tables_with(conn, boxes), "what boxes sent is kept"

    evidence = files_of(conn, "evidence")
    done = keeper(conn, ended_s + SEAL_AFTER_S)
    assert done.sealed
    assert done.waits == []
    gone = needles.raw, needles.chunk_salts, needles.day_salts | needles.trips, needles.pseudonyms
    assert tables_with(conn, set().union(*gone)) == set()
    assert set().union(*(files_with(home, some) for some in gone)) == set()
    assert tables_with(conn, needles.names) <= NAMED
    named = {name for name in files_with(home, needles.names) if not name.startswith((*ENROLMENT, "postgres/pg_wal/"))}
    assert named <= set().union(*(files_of(conn, table) for table in tables_with(conn, needles.names)))
    # Which devices there were: not in the evidence, and the file that said it is unlinked.
    for day in done.sealed:
        assert slots_are_sealed(e for _, e in retention.evidence_of_day(conn, day))
    assert not evidence & files_of(conn, "evidence")
    assert conn.execute("SELECT count(*) FROM journal").fetchone() == (0,)
    assert conn.execute("SELECT count(*) FROM taught").fetchone() == (0,)
    assert conn.execute("SELECT count(*) FROM points_day").fetchone() == (len(done.sealed),)

    until(lambda: settled(platform), 60, "the seal is recorded and anchored")
    told: list[str] = []
    ledger = wiring.ledger(platform.settings)
    faults: list[Any] = fsck(conn, city, wiring.EVIDENCE, wiring.HEALTH, ledger, told.append)
    assert faults == []
    assert any("citizens" in line for line in told), "it is said what could not be counted again"
    assert recount(conn, city, wiring.EVIDENCE).exact
