"""The registers on a real database: entered, imported again, ended, told as ground, waited for, recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from api import registers, wiring
from api.cli import app
from api.coder import step
from api.worker import Worker
from defects import HARMLESS, register_store
from defects import store as defects_store
from defects.register import Entry, GroundOptions, RegisterError
from defects.register_text import Reading, entry_of
from grid import Zone, blocks_of, cells_at, corner_m, index_in_block, parents, project, unproject
from ingest import Arrived, City, encode
from ingest import store as ingest_store
from ledger import leaf_hash, parse, root_of

from ..roads import START_S, straight

NOW_S = START_S + 600
DAY_S = 86_400.0
OPTIONS = GroundOptions()
Conn = psycopg.Connection[Any]


@pytest.fixture
def conn(database: str) -> Iterator[Conn]:
    with psycopg.connect(database, autocommit=True) as conn:
        for n in range(1, 4):
            ingest_store.enrol(conn, f"box-{n}", "box", "not asked here")
        yield conn


def drive(conn: Conn, city: City, peak_g: float = 3.0, start_s: float = START_S) -> None:
    """Three boxes twice over 200 m with one jolt, folded."""
    day = f"{city.service_day(start_s):%Y%m%d}"
    chunks = [
        Arrived(f"box-{n}", encode(straight(
            city, seq=seq, start_s=start_s, jolts=((12.5, peak_g, 1.0),), trip=f"{day}-0000000{run}")))
        for run in range(2) for n in range(1, 4) for seq in range(4)
    ]  # fmt: skip
    Worker(lambda: conn, city, wiring.EVIDENCE, wiring.day_context(city), lambda: start_s + 600)(chunks)
    while step(conn, city, wiring.HEALTH, start_s + 600).rows:
        pass


def place(city: City, east_m: float = 125.0, north_m: float = 0.0) -> dict[str, Any]:
    zone = Zone(city.utm_zone, city.utm_north)
    x, y = (float(v) for v in project(*city.centre_deg, zone))
    lon, lat = unproject(x + east_m, y + north_m, zone)
    return {"type": "Point", "coordinates": [float(lon), float(lat)]}


def entry(city: City, register: str = "object", kind: str = "speed_bump", **more: Any) -> Entry:
    said = {k: more.pop(k) for k in list(more) if k not in ("east_m", "north_m")}
    reading = Reading(register, "person", "test", city.frame.lower(), city.service_day(NOW_S), kind=kind)
    return entry_of(place(city, **more), {"key": "a"} | said, reading, city)


def harmless_at(conn: Conn, cell: int, day: date) -> str:
    block = int(blocks_of(cell))
    ground = register_store.ground_of(conn, [block], day, OPTIONS)
    return HARMLESS[int(ground[block].harmless[int(index_in_block(cell))])] if block in ground else ""


def test_any_days_view_can_be_made_again(conn: Conn, city: City) -> None:
    today = city.service_day(NOW_S)
    one = entry(city, from_day=str(today - timedelta(days=5)))
    zone = Zone(city.utm_zone, city.utm_north)
    cell = int(cells_at(*project(*place(city)["coordinates"], zone), zone))
    done = registers.put(conn, [one], city, NOW_S, "test")
    empty = register_store.ground_digest(conn, today - timedelta(days=6))
    first = register_store.ground_digest(conn, today)
    registers.put(conn, [entry(city, kind="cover", owner="gas")], city, NOW_S + DAY_S, "it is a cover")
    assert harmless_at(conn, cell, today - timedelta(days=6)) == ""
    assert harmless_at(conn, cell, today) == "speed_bump"
    assert harmless_at(conn, cell, today + timedelta(days=1)) == "cover"
    assert register_store.ground_digest(conn, today) == first != empty
    assert register_store.ground_digest(conn, today + timedelta(days=1)) not in (first, empty)
    (shown,) = register_store.entries(conn, "object")
    assert shown["kind"] == "cover"
    assert shown["id"] != done.numbers[0]
    assert np.array_equal(np.sort(one.cells), register_store.squares_of_entry(conn, done.numbers[0]))


def test_the_same_again_changes_nothing_and_writes_no_record(conn: Conn, city: City) -> None:
    entries = [entry(city), entry(city, "permit", "works", number="7"), entry(city, "repair", "patch", key="r")]
    for one in entries:
        assert registers.put(conn, [one], city, NOW_S, "test").new == 1
    digest = register_store.ground_digest(conn, city.service_day(NOW_S))
    rows = conn.execute("SELECT count(*) FROM outbox").fetchone()
    for one in entries:
        assert registers.put(conn, [one], city, NOW_S + 60, "test").same == 1
    assert conn.execute("SELECT count(*) FROM outbox").fetchone() == rows == (3,)
    assert register_store.ground_digest(conn, city.service_day(NOW_S)) == digest


def test_what_a_person_ended_stays_ended_when_the_file_comes_again(conn: Conn, city: City) -> None:
    today = city.service_day(NOW_S)
    one = entry(city)
    (number,) = registers.put(conn, [one], city, NOW_S, "test").numbers
    registers.end(conn, number, "object", None, city, NOW_S, "it is gone")
    assert registers.put(conn, [one], city, NOW_S, "test").same == 1
    assert harmless_at(conn, int(one.cells[0]), today) == ""
    with pytest.raises(register_store.NoSuchEntry, match="list"):
        registers.end(conn, number, "permit", None, city, NOW_S, "of another register")


def test_a_record_tells_of_a_change_and_proves_its_entries(conn: Conn, city: City) -> None:
    entries = [entry(city, key=str(n), east_m=float(n)) for n in range(3)]
    registers.put(conn, entries, city, NOW_S, "three bumps")
    (body,) = conn.execute("SELECT body FROM outbox WHERE kind = 'register'").fetchone() or ()
    said = parse(bytes(body))
    assert (said["register"], said["step"], said["entries"]) == ("object", "put", 3)
    assert said["entries_root"] == root_of([leaf_hash(h) for h in sorted(e.sha256 for e in entries)])


def test_blocks_wait_for_the_coder_where_anything_was_measured(conn: Conn, city: City) -> None:
    drive(conn, city)
    one, far = entry(city), entry(city, key="far", north_m=5000.0)
    fine, coarse = int(blocks_of(one.cells[0])), int(blocks_of(parents(one.cells, 2)[0]))
    registers.put(conn, [far], city, NOW_S, "nobody was there")
    assert register_store.stale_ground(conn, 100) == []
    assert register_store.stale_ground(conn, 100, coarse=True) == []
    (number,) = registers.put(conn, [one], city, NOW_S, "test").numbers
    assert fine in register_store.stale_ground(conn, 100)
    assert coarse not in register_store.stale_ground(conn, 100)
    # Boxes leave their roughness on squares of 16 m; nothing was measured on those of 4 m.
    assert register_store.stale_ground(conn, 100, coarse=True) == [coarse]
    register_store.settle_ground(conn, register_store.stale_ground(conn, 100))
    assert register_store.stale_ground(conn, 100) == []
    assert register_store.stale_ground(conn, 100, coarse=True) == [coarse], "it waits for its turn"
    registers.end(conn, number, "object", None, city, NOW_S, "gone")
    assert fine in register_store.stale_ground(conn, 100)


def test_a_change_waits_for_a_fold_that_has_begun(conn: Conn, city: City, database: str) -> None:
    with psycopg.connect(database) as coder, psycopg.connect(database, autocommit=True) as other:
        assert defects_store.hold_coder_lease(coder)
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            registers.put(other, [entry(city)], city, NOW_S, "test")
        coder.rollback()
        assert registers.put(other, [entry(city)], city, NOW_S, "test").new == 1


def test_what_is_known_decides_the_colour(conn: Conn, city: City) -> None:
    """The read-out with the ground of the registers, on evidence of real chunks."""
    from defects import recode as reading  # noqa: PLC0415

    drive(conn, city)
    today = city.service_day(NOW_S)
    blocks = set(defects_store.all_code_blocks(conn))
    evidence = defects_store.evidence_of(conn, blocks)

    def reds() -> int:
        ground = register_store.ground_of(conn, blocks, today, OPTIONS)
        codes = reading.recode(blocks, evidence, today, wiring.HEALTH, ground)
        return sum(int((c["colour"] == 3).sum()) for c in codes.values())

    assert reds() > 0
    (number,) = registers.put(conn, [entry(city)], city, NOW_S, "a bump").numbers
    assert reds() == 0
    registers.end(conn, number, "object", None, city, NOW_S, "no bump")
    assert reds() > 0
    registers.put(conn, [entry(city, "permit", "works", number="1")], city, NOW_S, "works")
    assert reds() == 0
    registers.end(conn, register_store.entries(conn, "permit")[0]["id"], "permit", None, city, NOW_S, "done")
    registers.put(conn, [entry(city, "repair", "patch")], city, NOW_S, "mended")
    assert reds() == 0


def test_the_coder_reads_out_again_what_a_register_changed(conn: Conn, city: City) -> None:
    drive(conn, city)

    def reds() -> int:
        while step(conn, city, wiring.HEALTH, NOW_S + 60).blocks:
            pass
        assert register_store.stale_ground(conn, 100) == []
        row = conn.execute("SELECT sum(red) FROM code WHERE blk >> 51 = 0").fetchone()
        return int(row[0]) if row else 0

    before = reds()
    assert before > 0
    (number,) = registers.put(conn, [entry(city)], city, NOW_S, "a bump").numbers
    assert reds() == 0
    (said,) = conn.execute("SELECT after->>'colour' FROM code_change ORDER BY id DESC LIMIT 1").fetchone() or ("",)
    assert said != "red"
    registers.end(conn, number, "object", None, city, NOW_S, "no bump")
    assert reds() == before
    (mended,) = registers.put(conn, [entry(city, "repair", "patch")], city, NOW_S, "mended").numbers
    assert reds() == 0
    registers.end(conn, mended, "repair", None, city, NOW_S, "it was not done")
    assert reds() == before


def test_the_ground_of_a_road_class_comes_along(conn: Conn, city: City) -> None:
    block = int(blocks_of(entry(city).cells[0]))
    classes = {block: np.full(1024, 4, np.uint8)}
    ground = register_store.ground_of(conn, [block], city.service_day(NOW_S), OPTIONS, classes)
    assert set(ground[block].validity_days.tolist()) == {OPTIONS.validity_days[3]}
    assert register_store.ground_of(conn, [block], city.service_day(NOW_S), OPTIONS) == {}


def test_a_bump_that_boxes_feel_for_weeks_is_proposed_until_it_is_in_the_register(conn: Conn, city: City) -> None:
    first_s = START_S - 14 * DAY_S
    for n in range(12):
        day_s = first_s + n * DAY_S
        day = f"{city.service_day(day_s):%Y%m%d}"
        chunks = [
            Arrived(f"box-{b}", encode(straight(
                city, seq=seq, start_s=day_s, jolts=((12.5, 3.0, 0.0),), trip=f"{day}-00000001")))
            for b in range(1, 4) for seq in (2,)
        ]  # fmt: skip
        Worker(lambda: conn, city, wiring.EVIDENCE, wiring.day_context(city), lambda at=day_s: at + 600)(chunks)
        while step(conn, city, wiring.HEALTH, day_s + 600).rows:
            pass
    today = city.service_day(START_S)
    found = registers.propose(conn, today, registers.LEARN)
    assert len(found) == 1
    one = found[0]
    assert abs(corner_m(one.cell)[0] - corner_m(int(entry(city).cells[0]))[0]) < 12
    assert one.days >= 10
    assert one.wide_m >= 3.5
    reading = Reading("object", "learnt", "learnt", city.frame.lower(), today, kind="speed_bump")
    learnt = entry_of(registers.line_of(one), {"key": str(one.cell)}, reading, city)
    registers.put(conn, [learnt], city, START_S, "seen")
    assert registers.propose(conn, today, registers.LEARN) == []
    assert registers.propose(conn, today, replace(registers.LEARN, felt_share=1.01)) == []


# ---------------------------------------------------------------- the command line


@pytest.fixture
def run(database: str, conn: Conn, tmp_path: Path) -> Any:
    environment = {"ROADCODE_DATABASE_URL": database, "ROADCODE_HOME": str(tmp_path),
                   "ROADCODE_BROKER_URL": "nats://127.0.0.1:1", "ROADCODE_RPC_URL": "http://127.0.0.1:1"}  # fmt: skip

    def invoke(*arguments: str, ends: int = 0) -> Any:
        done = CliRunner().invoke(app, [*arguments, "--json"], env=environment)
        assert done.exit_code == ends, (done.output, done.exception)
        return json.loads(done.stdout) if ends in (0, 1) else done.output

    return invoke


def test_the_commands_do_what_they_say(run: Any, conn: Conn, city: City, tmp_path: Path) -> None:
    lon, lat = place(city)["coordinates"]
    file = tmp_path / "bumps.geojson"
    rows = [{"type": "Feature", "geometry": place(city, n * 30.0), "properties": {"id": n}} for n in range(3)]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [*rows, {"type": "Feature"}]}))
    (first,) = run("register", "import", str(file), "--kind", "speed_bump", ends=1)
    assert (first["new"], len(first["refused"])) == (3, 1)
    assert run("register", "import", str(file), "--kind", "speed_bump", ends=1)[0]["same"] == 3
    assert run("register", "import", str(file), "--kind", "rail", ends=1)[0]["changed"] == 3
    (added,) = run("register", "add", "--at", f"{lon},{lat}", "--kind", "cover", "--owner", "power")
    assert added["became"] == "new"
    assert [r["kind"] for r in run("register", "list")] == ["rail"] * 3 + ["cover"]
    run("register", "end", str(added["id"]))
    assert len(run("register", "list", "--on", "2199-01-01")) == 3
    assert run("register", "propose") == []
    run("permit", "add", "--at", f"{lon},{lat}", "--number", "A-1", "--to", "2199-01-01")
    (works,) = run("permit", "list")
    assert works["number"] == "A-1"
    run("permit", "end", str(works["id"]))
    cell = int(cells_at(*project(lon, lat, Zone(city.utm_zone, city.utm_north)), Zone(city.utm_zone, city.utm_north)))
    run("repair", "add", "--cell", str(cell), "--day", "2026-11-01", "--by", "crew 4")
    (mended,) = run("repair", "list")
    assert mended["from_day"] == "2026-11-01"
    run("repair", "end", str(mended["id"]))
    assert run("repair", "list", "--on", "2199-01-01") == []


def test_a_case_is_mended_with_all_of_its_squares(run: Any, conn: Conn, city: City) -> None:
    drive(conn, city)
    (case, cells) = conn.execute('SELECT "case", array_agg(cell) FROM case_cell GROUP BY 1').fetchone() or ()
    run("repair", "add", "--case", str(case))
    (mended,) = run("repair", "list")
    assert mended["number"] == str(case)
    assert set(cells) <= set(register_store.squares_of_entry(conn, mended["id"]).tolist())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("register", "add", "--at", "here"), "LON,LAT"),
        (("repair", "add"), "one of"),
        (("repair", "add", "--cell", "5"), "address"),
        (("repair", "add", "--case", "99"), "no case"),
        (("repair", "add", "--at", "120.16,30.28", "--day", "2199-01-01"), "has not come yet"),
        (("permit", "list", "--on", "soon"), "2026-12-01"),
        (("register", "propose", "--accept", "3"), "among the candidates"),
    ],
)
def test_an_error_says_what_to_do(run: Any, arguments: tuple[str, ...], says: str) -> None:
    assert says in " ".join(run(*arguments, ends=2).replace("│", " ").split())


def test_a_kind_that_there_is_not_is_told_which_there_are(city: City) -> None:
    with pytest.raises(RegisterError, match="one of speed_bump, cover"):
        entry(city, kind="hole")
