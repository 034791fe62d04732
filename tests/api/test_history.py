"""How a square's code came to be: changes with the passes that moved each, coarse ones by closed day, the registers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from api import registers, wiring
from api.cli import app
from api.coder import coarse_day, step
from api.history import MOST_CHANGES, MOST_PASSES, tell
from api.settings import Settings
from api.story import NoSuchCell
from api.worker import Worker
from defects import Change, turn
from defects import store as defects_store
from grid import Zone, blocks_of, cells_at, neighbours, project
from ingest import Arrived, City, encode
from ingest import store as ingest_store

from ..roads import START_S, straight
from .test_app import served
from .test_register import entry, place

DAY_S = 86_400.0
Conn = psycopg.Connection[Any]
GONE = 400
"""Seconds after which the first drives of a test are over."""


@pytest.fixture
def conn(database: str) -> Iterator[Conn]:
    with psycopg.connect(database, autocommit=True) as conn:
        for n in range(8):
            ingest_store.enrol(conn, f"bus-{n}", "box", "x")
            ingest_store.enrol(conn, f"citizen-{n}", "phone", "x")
        yield conn


def drive(
    conn: Conn, city: City, devices: list[str], start_s: float, jolt: bool, at_m: float = 125.0, runs: int = 1
) -> None:
    """Each device over 200 m, with one jolt or none, folded."""
    phones = devices[0].startswith("citizen")
    jolts = ((at_m / 10, 0.9 if phones else 3.0, 0.0 if phones else 1.0),) if jolt else ()
    day = f"{city.service_day(start_s):%Y%m%d}"
    chunks = [
        Arrived(device, encode(straight(
            city, seq=seq, start_s=start_s + 3 * n, jolts=jolts, accuracy_m=2.0 if phones else 0.075,
            carrier="car" if phones else "bus", trip=f"{day}-c0ffee{int(start_s) % 100_000:05d}{run:d}")))
        for run in range(runs) for n, device in enumerate(devices) for seq in range(4)
    ]  # fmt: skip
    Worker(lambda: conn, city, wiring.EVIDENCE, wiring.day_context(city), lambda: start_s + 120)(chunks)
    fold(conn, city, start_s + 120)


def fold(conn: Conn, city: City, now_s: float) -> None:
    while step(conn, city, wiring.HEALTH, now_s).rows:
        pass
    while turn.blocks_waiting(conn, coarse_day(city, now_s)):
        step(conn, city, wiring.HEALTH, now_s)


def red_cell(conn: Conn) -> int:
    row = conn.execute(
        "SELECT cell FROM code_change WHERE after->>'colour' = 'red' AND cell >> 51 = 0 ORDER BY id LIMIT 1"
    ).fetchone()
    assert row is not None
    return int(row[0])


def history(conn: Conn, cell: int, city: City) -> dict[str, Any]:
    return tell(conn, cell, city, wiring.EVIDENCE, wiring.HEALTH, city.service_day(START_S))


def test_each_change_is_told_with_the_passes_that_moved_it(conn: Conn, city: City) -> None:
    boxes = [f"bus-{n}" for n in range(4)]
    drive(conn, city, boxes, START_S, jolt=True)
    cell = red_cell(conn)
    drive(conn, city, boxes, START_S + GONE, jolt=False, runs=1)
    told = history(conn, cell, city)
    assert told["cell"] == cell
    assert set(told) == {"cell", "changes", "truncated", "register"}
    first = told["changes"][-1]
    assert {"at", "day", "before", "after", "why", "passes"} <= set(first)
    assert first["after"]["colour"] == "red"
    felt = [p for p in first["passes"] if p["what"] == "jolt"]
    assert len(felt) == 4
    weights = [abs(p["weight"]) for p in first["passes"]]
    assert weights == sorted(weights, reverse=True)
    # The second drives felt nothing, and were after the change: none of them moved it.
    first_at = datetime.fromisoformat(first["at"])
    assert all(datetime.fromisoformat(p["at"]) < first_at for p in first["passes"])


def test_a_pass_belongs_to_the_first_change_after_it(conn: Conn, city: City) -> None:
    drive(conn, city, ["bus-0", "bus-1", "bus-2"], START_S, jolt=True)
    cell = red_cell(conn)
    drive(conn, city, ["bus-3"], START_S + GONE, jolt=True)
    change = Change(cell, {"colour": "red"}, {"colour": "yellow"}, "for the test")
    at = datetime.fromtimestamp(START_S + GONE + 200).astimezone()
    defects_store.add_changes(conn, [change], city.service_day(START_S), at)
    newest, *_, oldest = history(conn, cell, city)["changes"]
    assert [p["what"] for p in newest["passes"]] == ["jolt"]
    assert len(oldest["passes"]) == 3


def test_work_and_answer_are_bounded(conn: Conn, city: City) -> None:
    drive(conn, city, [f"bus-{n}" for n in range(8)], START_S, jolt=True, runs=4)
    cell = red_cell(conn)
    day = city.service_day(START_S)
    for n in range(MOST_CHANGES + 20):
        at = datetime.fromtimestamp(START_S + 1000 + n).astimezone()
        defects_store.add_changes(conn, [Change(cell, {"colour": "red"}, {"colour": "red"}, str(n))], day, at)
    told = history(conn, cell, city)
    assert told["truncated"]
    assert len(told["changes"]) == MOST_CHANGES
    assert told["changes"][0]["why"] == str(MOST_CHANGES + 19)
    conn.execute("DELETE FROM code_change WHERE why <> '0' AND cell = %s", (cell,))
    (only,) = history(conn, cell, city)["changes"]
    assert len(only["passes"]) == MOST_PASSES
    assert all(p["what"] == "jolt" for p in only["passes"])


def test_citizens_are_told_by_closed_day_and_never_one_by_one(conn: Conn, city: City) -> None:
    phones = [f"citizen-{n}" for n in range(8)]
    days = 6
    for n in range(days):
        drive(conn, city, phones, START_S + n * DAY_S, jolt=True)
    later_s = START_S + (days + 4) * DAY_S
    fold(conn, city, later_s)
    row = conn.execute("SELECT cell FROM code_change WHERE cell >> 51 > 0 ORDER BY id LIMIT 1").fetchone()
    assert row is not None, "no coarse square has a colour"
    told = tell(conn, int(row[0]), city, wiring.EVIDENCE, wiring.HEALTH, city.service_day(later_s))
    passes = [p for change in told["changes"] for p in change["passes"]]
    assert passes
    for change in told["changes"]:
        newest = date.fromisoformat(change["day"]) - timedelta(days=wiring.HEALTH.public_after_days)
        assert all(p["at"] is None and date.fromisoformat(p["day"]) <= newest for p in change["passes"])
        assert "speed" not in {k for p in change["passes"] for k, v in p.items() if v is not None}
    assert len({p["day"] for p in passes}) == len(passes), "a day moved two changes"


def test_the_registers_are_told_for_the_square_alone(conn: Conn, city: City) -> None:
    drive(conn, city, ["bus-0", "bus-1", "bus-2"], START_S, jolt=True)
    one = entry(city, kind="cover", owner="water")
    registers.put(conn, [one, entry(city, key="b")], city, START_S, "test")
    registers.put(conn, [entry(city, "permit", "works", number="P-9")], city, START_S, "test")
    registers.put(conn, [entry(city, "repair", "patch", day="2026-11-01")], city, START_S, "test")
    zone = Zone(city.utm_zone, city.utm_north)
    cell = int(cells_at(*project(*place(city)["coordinates"], zone), zone))
    said = history(conn, cell, city)["register"]
    since = city.service_day(START_S).isoformat()
    assert said["harmless"]["kind"] == "cover"
    assert said["harmless"]["owner"] == "water"
    assert [w["number"] for w in said["works"]] == ["P-9"]
    assert [r["day"] for r in said["repairs"]] == ["2026-11-01"]
    assert said["harmless"]["since"] == since
    beside = next(int(c) for c in neighbours(cell, 15) if blocks_of(c) == blocks_of(cell) and abs(int(c) - cell) > 12)
    assert history(conn, beside, city)["register"] != said


def test_over_http_and_on_the_command_line(conn: Conn, city: City, database: str, tmp_path: Path) -> None:
    drive(conn, city, ["bus-0", "bus-1", "bus-2"], START_S, jolt=True)
    cell = red_cell(conn)
    with served(Settings(home=tmp_path, database_url=SecretStr(database))) as client:
        answer = client.get(f"/api/v1/cells/{cell}/history")
        assert answer.status_code == 200
        assert answer.json()["changes"][0]["after"]["colour"] in ("yellow", "red")
        missing = client.get("/api/v1/cells/5/history")
        assert (missing.status_code, missing.json()["error"]) == (404, "no_such_cell")
        assert client.get("/api/v1/cells/x/history").status_code == 422
    environment = {
        "ROADCODE_DATABASE_URL": database, "ROADCODE_BROKER_URL": "nats://nowhere", "ROADCODE_RPC_URL": "http://nowhere",
        "ROADCODE_MQTT_PORT": "1", "ROADCODE_HOME": str(tmp_path),
    }  # fmt: skip
    done = CliRunner().invoke(app, ["history", str(cell), "--json"], env=environment)
    assert json.loads(done.stdout) == answer.json()
    table = CliRunner().invoke(app, ["history", str(cell)], env=environment)
    assert table.exit_code == 0
    assert "jolt" in table.stdout


def test_a_square_that_is_none_is_named(conn: Conn, city: City) -> None:
    with pytest.raises(NoSuchCell):
        history(conn, 5, city)
