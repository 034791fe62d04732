"""The day's report: its figures, its page, and the command that writes both."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from api import roads
from api.cli import app
from api.report import NoSuchDay, report_of
from api.report_page import page
from defects import Case, Change, scales_store, store
from grid import Zone
from grid import store as grid_store
from ingest import City

from ..network import fill, road

AT = datetime(2026, 10, 20, 4, tzinfo=UTC)


@pytest.fixture
def told(database: str, city: City) -> dict[str, Any]:
    """Thirty days of a section that turns red on the last of them; as JSON has it."""
    section = road(city)
    with psycopg.connect(database) as conn:
        first = AT - timedelta(days=30)
        day = city.service_day(AT.timestamp())
        zone = Zone(city.utm_zone, city.utm_north)
        grid_store.put_sections(conn, [section], city.service_day(first.timestamp()), "test", zone)
        for when in (first, AT - timedelta(days=1)):
            fill(conn, city, section, city.service_day(when.timestamp()), when, red=False)
            scales_store.refresh_due(conn, city, when)
        hole = fill(conn, city, section, day, AT, red=True)
        after = {"colour": "red", "state": "confirmed", "kind": "pothole"}
        store.add_changes(conn, [Change(hole, {"colour": "green", "kind": None}, after, "x")], day, AT)
        store.put_case(conn, Case(None, 9, (hole,)), AT)
        scales_store.refresh_due(conn, city, AT)
        return dict(json.loads(json.dumps(report_of(conn, city, day, day))))


def test_what_changed_on_the_day_and_what_is_worst(told: dict[str, Any]) -> None:
    assert told["squares"] == {
        "new_red": 1, "new_yellow": 0, "no_longer": 0,
        "kinds": [{"kind": "pothole", "en": "pothole", "zh": "坑槽", "squares": 1}],
    }  # fmt: skip
    assert told["cases"] == {"opened": 1, "all": 1}
    (moved,) = told["moved"]
    assert (moved["was"], moved["colour"]) == ("green", "red")
    (worst,) = told["worst"]
    assert (worst["red_m2"], worst["trend"], worst["cases"]) == (1, "worse", 1)
    assert told["totals"]["trend"] == "worse"


def test_days_are_carried_on_where_nothing_changed(told: dict[str, Any]) -> None:
    days: list[dict[str, Any]] = told["days"]
    assert len(days) == 28
    assert [d["red"] for d in days] == [0.0] * 27 + [1.0]
    assert [d["day"] for d in days] == sorted({str(d["day"]) for d in days})


def test_the_page_needs_no_script_and_nothing_from_elsewhere(told: dict[str, Any]) -> None:
    html = page(told)
    assert "<script" not in html
    assert re.findall(r'(?:src|href)="', html) == []
    assert [u for u in re.findall(r"https?://[^\"' )]+", html) if u != "http://www.w3.org/2000/svg"] == []
    assert html.count("<svg") >= 8
    assert "长街" in html and "Long Street" in html  # noqa: PT018
    assert "SIMULATED" in html or not told["banner"]


def test_names_from_a_network_file_are_text_not_markup(told: dict[str, Any]) -> None:
    worst: list[dict[str, Any]] = told["worst"]
    html = page({**told, "worst": [{**worst[0], "name": "<img src=x onerror=alert(1)>"}]})
    assert "<img" not in html


def test_a_day_that_has_not_begun_has_no_report(database: str, city: City) -> None:
    with psycopg.connect(database) as conn, pytest.raises(NoSuchDay, match="has not begun"):
        report_of(conn, city, date(2026, 10, 21), date(2026, 10, 20))


@pytest.mark.parametrize("day", [date.min, date(1, 1, 20), date(1969, 12, 31)])
def test_a_day_before_all_platforms_is_refused_and_breaks_nothing(database: str, city: City, day: date) -> None:
    with psycopg.connect(database) as conn, pytest.raises(NoSuchDay, match="before 1970"):
        report_of(conn, city, day, date(2026, 10, 20))


def test_means_are_by_length_and_the_interval_of_many_is_narrower() -> None:
    row = {
        "length_m": 100.0, "colour": "green", "pci_est": 90.0, "pci_low": 80.0, "pci_high": 96.0, "grade": "A",
        "last_pass_day": "2026-01-02", "iri": 2.0, "red_m2": 0, "yellow_m2": 0, "green_m2": 700, "cells": 700,
        "cases": 0,
    }  # fmt: skip
    other = {**row, "length_m": 300.0, "pci_est": 70.0, "pci_low": 60.0, "pci_high": 80.0, "iri": None, "grade": None}
    whole = roads.total([row, other])
    assert (whole["pci_est"], whole["iri"], whole["km"]) == (75.0, 2.0, 0.4)
    assert whole["pci_est"] - whole["pci_low"] == pytest.approx((10**2 * 1 + 10**2 * 9) ** 0.5 / 4, abs=0.06)
    assert whole["grades"] == {"A": 1, "B": 0, "C": 0, "D": 0, "none": 1}


def test_the_command_writes_page_and_json(
    database: str, told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "DATABASE_URL": database, "HOME": str(tmp_path), "BROKER_URL": "nats://127.0.0.1:1",
        "RPC_URL": "http://127.0.0.1:1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ROADCODE_{name}", value)
    out = tmp_path / "day.html"
    done = CliRunner().invoke(app, ["report", "--day", str(told["day"]), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["totals"] == told["totals"]
    assert out.read_text(encoding="utf-8") == page(said)
    bad = CliRunner().invoke(app, ["report", "--day", "soon"])
    assert bad.exit_code == 2
    assert "YYYY-MM-DD" in bad.output
