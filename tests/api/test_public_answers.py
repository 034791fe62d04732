"""While phones drive, no answer of the platform moves: every path of its description is asked before and after."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from api import wiring
from api.coder import coarse_day, step
from api.settings import Settings
from api.worker import Worker
from defects import scales_store, turn
from defects import store as defects_store
from grid import LEVELS, Zone, cells_at, project
from grid import store as grid_store
from ingest import Arrived, City, encode
from ingest import store as ingest_store

from ..network import road
from ..roads import START_S, straight
from ..street import until
from .test_app import served

DAY_S = 86_400.0
PHONES = tuple(f"citizen-{n:02d}" for n in range(9))
TRIP = "c0ffee5ec2e7"
SECTION = 7
NORTH_M = 300.0
"""The phones' street: apart from the boxes', so that all that is told near it is told of phones."""
MOVES = ("roadcode_payloads_total", "roadcode_bytes_total", 'roadcode_accepted_total{kind="phone"}',
         "roadcode_findings_total", "roadcode_refused_total", "roadcode_journal_rows",
         "roadcode_log_oldest_wait_seconds")  # fmt: skip
"""What the operator's counts, and nothing else, may say while phones drive: that payloads arrive. And time goes by: a
record of the boxes that no anchorer takes here waits for longer and longer."""


def fold(conn: wiring.Connection, city: City, now_s: float) -> None:
    while step(conn, city, wiring.HEALTH, now_s).rows:
        pass
    while turn.blocks_waiting(conn, coarse_day(city, now_s)):
        step(conn, city, wiring.HEALTH, now_s)
    with conn.transaction():
        scales_store.refresh_due(conn, city, datetime.fromtimestamp(now_s, UTC))


def send(conn: wiring.Connection, city: City, devices: tuple[str, ...], start_s: float, north_m: float) -> None:
    """Each device drives the same 200 m over one hole, and all is folded."""
    day = f"{city.service_day(start_s):%Y%m%d}"
    phones = devices == PHONES
    chunks = [
        Arrived(
            device,
            encode(
                straight(
                    city, seq=seq, start_s=start_s + 3 * n, jolts=((7.0, 0.9, 0.0),), north_m=north_m,
                    accuracy_m=2.0 if phones else 0.075, carrier="car", trip=f"{day}-{TRIP}{n:02d}",
                )
            ),
        )
        for n, device in enumerate(devices)
        for seq in range(4)
    ]  # fmt: skip
    worker = Worker(lambda: conn, city, wiring.EVIDENCE, wiring.day_context(city), clock=lambda: start_s + 120)
    worker(chunks)
    worker([Arrived(PHONES[0], b"broken")])
    fold(conn, city, start_s + 120)


PICTURES = ("/certificate.png", "/certificate.svg", "/certificate.html")
"""Of a certificate, whose text is asked for."""
OF_THE_MOMENT = ("text", "open", "issued", "qr")
"""What of a certificate says when it was made."""


class Walk:
    """Asks every path of the platform's own description, each in all the ways that could tell of the phones."""

    def __init__(self, client: httpx.Client, city: City) -> None:
        self.client = client
        zone = Zone(city.utm_zone, city.utm_north)
        lon, lat = city.centre_deg
        x, y = (float(v) for v in project(lon, lat, zone))
        steps = [(x + east, y + NORTH_M) for east in (-8, 52, 64, 68, 72, 76, 80, 120)]
        squares = {int(cells_at(e, n, zone, level)) for e, n in steps for level in LEVELS[:3]}
        tile = lambda z: (int((lon + 180) / 360 * (1 << z)), z)  # noqa: E731
        self.ways: dict[str, list[str]] = {
            "/api/v1/me/credits/{day}/statement": ["/api/v1/me/credits/2026-11-20/statement"],
            "/api/v1/redemptions/{key}": ["/api/v1/redemptions/nobody-s-key"],
            "/api/v1/cells": [
                f"?bbox={lon - 4e-3},{lat - 1e-3},{lon + 4e-3},{lat + 4e-3}&colour=grey,green,yellow,red"
            ],
            "/api/v1/at": [f"?lon={lon + d * 1e-4}&lat={lat + e * 1e-4}" for d in (0, 7, 8, 20) for e in (0, 27)],
            "/api/v1/sections": [f"?bbox={lon - 4e-3},{lat - 1e-3},{lon + 4e-3},{lat + 4e-3}"],
            "/api/v1/sections/{number}": [f"/api/v1/sections/{SECTION}"],
            "/api/v1/sections/{number}/strips": [f"/api/v1/sections/{SECTION}/strips"],
            "/api/v1/cells/{cell}": [f"/api/v1/cells/{cell}" for cell in sorted(squares)],
            "/api/v1/cells/{cell}/history": [f"/api/v1/cells/{cell}/history" for cell in sorted(squares)],
            "/api/v1/cells/{cell}/proof": [f"/api/v1/cells/{cell}/proof" for cell in sorted(squares)],
            "/api/v1/cells/{cell}/certificate": [f"/api/v1/cells/{cell}/certificate" for cell in sorted(squares)],
            "/api/v1/sections/{number}/certificate": [f"/api/v1/sections/{SECTION}/certificate"],
            "/s/{text}": ["/s/RHC1:nothing"],
            "/log/tile/{address}": ["/log/tile/0/000", "/log/tile/entries/000"],
            "/log/proof/{idx}": ["/log/proof/0"],
            "/log/tlog-proof/{idx}": ["/log/tlog-proof/0"],
            "/log/receipt/{leaf}": [f"/log/receipt/{'00' * 32}"],
            "/api/v1/trace/{hashed}": [f"/api/v1/trace/{'00' * 32}?day=2026-11-20"],
            "/tiles/{z}/{x}/{y}": [
                f"/tiles/{z}/{column + i}/{row(lat, z) + j}"
                for column, z in (tile(16), tile(18))
                for i in (0, 1)
                for j in (-1, 0)
            ],
        }

    def answers(self) -> dict[str, tuple[int, bytes]]:
        """Status and body of everything, by address. Events are listened to apart: they never end."""
        description = self.client.get("/openapi.json").json()
        addresses = ["/openapi.json", "/"]
        for path, methods in description["paths"].items():
            if "get" not in methods or path == "/events" or path.endswith(PICTURES):
                continue
            ways = self.ways.get(path, [""])
            assert "{" not in path or path in self.ways, f"{path} is new: say here how it is asked"
            addresses += [way if way.startswith("/") else path + way for way in ways]
        found = {}
        for address in addresses:
            answer = self.client.get(address)
            found[address] = answer.status_code, answer.content
        return found


def row(lat: float, z: int) -> int:
    """A tile's row."""
    return int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * (1 << z))


def still(answers: dict[str, tuple[int, bytes]]) -> dict[str, Any]:
    """The answers without the operator's counts that may move."""
    out: dict[str, Any] = dict(answers)
    lines = answers["/metrics"][1].decode().splitlines()
    out["/metrics"] = [line for line in lines if not line.startswith(MOVES)]
    for address, (status, body) in answers.items():
        if address.endswith("/certificate") and status == 200:
            out[address] = {name: value for name, value in json.loads(body).items() if name not in OF_THE_MOMENT}
    return out


@pytest.fixture
def platform(database: str, city: City, tmp_path: Path) -> Iterator[tuple[wiring.Connection, httpx.Client]]:
    with psycopg.connect(database, autocommit=True) as conn:
        for device in PHONES:
            ingest_store.enrol(conn, device, "phone", "x")
        for n in range(4):
            ingest_store.enrol(conn, f"bus-{n}", "box", "x")
        section = road(city, SECTION)
        section = replace(section, y_m=section.y_m + NORTH_M)
        zone = Zone(city.utm_zone, city.utm_north)
        grid_store.put_sections(conn, [section], city.service_day(START_S), "test", zone)
        send(conn, city, tuple(f"bus-{n}" for n in range(4)), START_S, 0.0)
        with served(Settings(home=tmp_path, database_url=SecretStr(database))) as client:
            yield conn, client


def test_while_phones_drive_no_public_answer_moves(
    platform: tuple[wiring.Connection, httpx.Client], city: City
) -> None:
    conn, client = platform
    walk = Walk(client, city)
    before = walk.answers()
    heard: list[str] = []
    listening, enough = threading.Event(), threading.Event()

    def listen() -> None:
        with client.stream("GET", "/events", timeout=30) as stream:
            for line in stream.iter_lines():
                heard.append(line)
                listening.set()
                if enough.is_set() and "999" in line:
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    assert listening.wait(20)
    send(conn, city, PHONES, START_S + 200, NORTH_M)
    assert any(block >> 51 for block, _ in defects_store.evidence_keys(conn)), "the phones said nothing at all"
    after = walk.answers()
    enough.set()
    until(lambda: _knock(conn, heard), 20, "the listener hears the end")
    listener.join(20)
    assert still(after) == still(before)
    assert [line for line in heard if line.startswith("data:") and "999" not in line] == []
    moved = {a for a in before if before[a] != after[a]}
    assert {a for a in moved if not a.endswith("/certificate")} <= {"/metrics"}

    # The positive control: the same walk does see them, once their day is over and cannot change.
    later_s = START_S + wiring.HEALTH.public_after_days * DAY_S
    fold(conn, city, later_s)
    told = walk.answers()
    assert any(b'"devices_at_least":3' in body for _, body in told.values()), "a walk that cannot see is no test"
    assert told["/api/v1/summary"] != before["/api/v1/summary"]
    _says_nothing_of_anybody(told, city)


def _knock(conn: wiring.Connection, heard: list[str]) -> bool:
    """A notice of our own, by which the listener knows that all before it has come."""
    conn.execute("SELECT pg_notify('codes', '999')")
    return any("999" in line for line in heard)


def _says_nothing_of_anybody(answers: dict[str, tuple[int, bytes]], city: City) -> None:
    """No device, trip or hour of phones; where phones spoke, the day alone."""
    openings = {
        datetime.fromtimestamp(city.day_bounds_s(city.service_day(START_S + n * DAY_S))[0], UTC).isoformat()
        for n in range(8)
    }
    for address, (_, body) in answers.items():
        if address.startswith("/tiles"):
            continue
        text = body.decode(errors="replace" if address == "/api/v1/trust-list" else "strict")
        assert not re.search(f"citizen-|{TRIP}", text), address
        if not re.fullmatch(r"/api/v1/cells/\d+", address) or '"side_m":1,' in text or '"error"' in text:
            continue
        story = json.loads(text)
        assert {h["at"] for h in story["history"]} <= openings, address
        for day in story["evidence"]:
            assert {day[k] for k in ("at", "speed_kmh", "sigma_m", "g")} == {None}, address
            assert day["passes"] % 5 == 0
        if story["proof"]["record"]:
            assert story["proof"]["record"]["chunks"] == 0
        assert story["passes"] == 0


@pytest.mark.parametrize("phones", [1, 2])
def test_a_street_of_one_or_two_phones_never_shows(
    platform: tuple[wiring.Connection, httpx.Client], city: City, phones: int
) -> None:
    conn, client = platform
    walk = Walk(client, city)
    start_s = START_S + 3600
    for drive in range(8):  # again and again: many passes of one are not many
        chunks = [
            Arrived(device, encode(straight(city, seq=s, start_s=start_s + 60 * drive, jolts=((7.0, 0.9, 0.0),),
                                            north_m=NORTH_M, accuracy_m=2.0, carrier="car",
                                            trip=f"{city.service_day(start_s):%Y%m%d}-{TRIP}{drive:02d}")))
            for device in PHONES[:phones]
            for s in range(4)
        ]  # fmt: skip
        Worker(lambda: conn, city, wiring.EVIDENCE, wiring.day_context(city), clock=lambda: start_s + 900)(chunks)
    for day in range(5):
        fold(conn, city, start_s + 900 + day * DAY_S)
        blocks = {b for b, _ in defects_store.evidence_keys(conn) if b >> 51}
        assert blocks
        assert not blocks & set(defects_store.all_code_blocks(conn))
    for address, (status, _) in walk.answers().items():
        if (found := re.fullmatch(r"/api/v1/cells/(\d+)", address)) and int(found[1]) >> 51:
            assert status == 404, "even that something was measured there is not said"
