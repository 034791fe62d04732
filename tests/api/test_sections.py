"""Sections, strips and the city's roads over HTTP: what is told, what is refused, and nothing without a network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import psycopg
import pytest
from pydantic import SecretStr

from api.settings import Settings
from defects import scales_store
from grid import Zone
from grid import store as grid_store
from ingest import City

from ..network import fill, road
from .test_app import served

RED, PLAIN = 7, 8


@pytest.fixture
def client(database: str, tmp_path: Path) -> Iterator[httpx.Client]:
    with served(Settings(home=tmp_path, database_url=SecretStr(database))) as opened:
        yield opened


@pytest.fixture
def driven(database: str, city: City) -> None:
    """A section that was green yesterday and has a red square today, and one that nobody drove."""
    with psycopg.connect(database) as conn:
        now = datetime.fromtimestamp(time.time(), UTC)
        then = now - timedelta(days=1)
        section = road(city, RED)
        apart = road(city, PLAIN, "branch")
        apart = replace(apart, y_m=apart.y_m + 500.0, name="", name_zh="", lanes=0, district="")
        day = city.service_day(then.timestamp())
        grid_store.put_sections(conn, [section, apart], day, "test", Zone(city.utm_zone, city.utm_north))
        fill(conn, city, section, day, then, red=False)
        scales_store.refresh_due(conn, city, then)
        fill(conn, city, section, city.service_day(now.timestamp()), now, red=True)
        scales_store.refresh_due(conn, city, now)


def box(city: City) -> str:
    lon, lat = city.centre_deg
    return f"{lon - 0.002},{lat - 0.001},{lon + 0.002},{lat + 0.001}"


CONTRACT = {
    "number", "name", "name_zh", "road_class", "colour", "red_m2", "yellow_m2", "green_m2", "grey_share", "cells",
    "last_pass_day", "median_gap_days", "iri", "iri_low", "iri_high", "rqi", "pci_est", "pci_low", "pci_high", "pqi",
    "grade", "why_no_grade", "trend", "cases",
}  # fmt: skip


@pytest.mark.usefixtures("driven")
def test_sections_of_a_box_with_their_colour_and_indices(client: httpx.Client, city: City) -> None:
    told = client.get("/api/v1/sections", params={"bbox": box(city)}).json()
    (feature,) = told["features"]
    assert feature["properties"].keys() >= CONTRACT
    assert (feature["properties"]["colour"], feature["properties"]["red_m2"], told["truncated"]) == ("red", 1, False)
    west, south, east, north = (float(v) for v in box(city).split(","))
    assert all(west < lon < east and south < lat < north for lon, lat in feature["geometry"]["coordinates"])
    far = client.get("/api/v1/sections", params={"bbox": "-100,10,-99,11"}).json()
    assert far["features"] == []
    whole = client.get("/api/v1/sections", params={"bbox": "-180,-84,180,84"}).json()
    assert [f["properties"]["colour"] for f in whole["features"]] == ["red", "grey"]


@pytest.mark.usefixtures("driven")
def test_one_section_with_its_history(client: httpx.Client) -> None:
    told = client.get(f"/api/v1/sections/{RED}").json()
    assert [row["colour"] for row in told["history"]] == ["green", "red"]
    assert told["history"][0]["pci_est"] > told["history"][1]["pci_est"]
    west, south, east, north = told["cells_bbox"]
    assert 90 < (east - west) * 111_320 * np.cos(np.radians(south)) < 112
    assert north > south
    grey = client.get(f"/api/v1/sections/{PLAIN}").json()
    assert (grey["colour"], grey["grey_share"], grey["pci_est"], grey["grade"]) == ("grey", 1.0, None, None)


@pytest.mark.usefixtures("driven")
def test_strips_of_lanes_and_of_a_road_whose_lanes_nobody_knows(client: httpx.Client) -> None:
    told = client.get(f"/api/v1/sections/{RED}/strips").json()["features"]
    assert len(told) == 20
    assert [f["properties"]["colour"] for f in told].count("red") == 1
    assert all(f["geometry"]["coordinates"][0][0] == f["geometry"]["coordinates"][0][-1] for f in told)
    assert all(f["properties"].keys() >= {"lane", "index", "iri", "grey_share"} for f in told)
    assert {f["properties"]["lane"] for f in client.get(f"/api/v1/sections/{PLAIN}/strips").json()["features"]} == {0}


@pytest.mark.usefixtures("driven")
def test_the_city_as_a_whole(client: httpx.Client) -> None:
    roads = client.get("/api/v1/city").json()["roads"]
    totals = roads["totals"]
    assert (totals["sections"], totals["km"], totals["red"], totals["grey"]) == (2, 0.2, 0.5, 0.5)
    assert totals["pci_low"] <= totals["pci_est"] <= totals["pci_high"]
    assert totals["trend"] is None  # nothing was told 28 days ago
    assert [r["road_class"] for r in roads["by_class"]] == ["secondary", "branch"]
    assert {r["district"] for r in roads["by_district"]} == {"Xihu", ""}


def test_without_a_network_there_is_nothing_and_no_error(client: httpx.Client, city: City) -> None:
    assert client.get("/api/v1/sections", params={"bbox": box(city)}).json()["features"] == []
    roads = client.get("/api/v1/city").json()["roads"]
    assert (roads["totals"]["sections"], roads["totals"]["pci_est"], roads["by_class"]) == (0, None, [])
    assert client.get("/report/daily").status_code == 200


def test_bad_questions_have_named_answers(client: httpx.Client) -> None:
    for path, status, name in (
        ("/api/v1/sections?bbox=1,2,3", 400, "bad_box"),
        ("/api/v1/sections/99", 404, "no_such_section"),
        ("/api/v1/sections/-1/strips", 404, "no_such_section"),
        ("/api/v1/sections/9999999999999999999999/strips", 404, "no_such_section"),
        ("/api/v1/sections/x", 422, "bad_request"),
        ("/report/daily?day=tomorrow", 400, "bad_day"),
        ("/report/daily?day=2999-01-01", 400, "bad_day"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]) == (status, name), path
