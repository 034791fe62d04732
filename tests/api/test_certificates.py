"""Road certificates over HTTP and on the command line: what is issued, to whom, how often; and checked offline."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import zxingcpp
from PIL import Image
from pydantic import SecretStr
from typer.testing import CliRunner

from api import certificates, wiring
from api.certificates import Issuer, Place, TooManyCertificates
from api.cli import app
from api.settings import Settings
from defects import scales_store
from grid import Zone, blocks_of, cells_of_block, section_cells
from grid import store as grid_store
from ingest import Budget, City
from ledger import code_record, enqueue, number_outbox, pair_of, read_certificate, verify_certificate

from ..network import fill, road
from .test_app import served

NUMBER = 7


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def settings(database: str, home: Path) -> Settings:
    return Settings(home=home, database_url=SecretStr(database))


@pytest.fixture
def hole(database: str, city: City) -> int:
    """A red square on a section that boxes and cameras have driven today."""
    with psycopg.connect(database) as conn:
        now = datetime.fromtimestamp(time.time(), UTC)
        section = road(city, NUMBER)
        day = city.service_day(now.timestamp())
        grid_store.put_sections(conn, [section], day, "test", Zone(city.utm_zone, city.utm_north))
        cell = fill(conn, city, section, day, now, red=True)
        scales_store.refresh_due(conn, city, now)
    return cell


@pytest.fixture
def client(settings: Settings, hole: int) -> Iterator[httpx.Client]:
    with served(settings) as opened:
        yield opened


def holds(settings: Settings, text: str) -> Any:
    now_s = time.time()
    held, _ = wiring.trust(settings).in_force(now_s)
    return verify_certificate(text, held.trust, int(now_s))


def test_a_square_s_certificate_says_what_is_shown_until_the_day_ends(
    client: httpx.Client, settings: Settings, hole: int, city: City
) -> None:
    told = client.get(f"/api/v1/cells/{hole}/certificate").json()
    assert holds(settings, told["text"]).ok
    said = read_certificate(told["text"])[1]
    assert (told["colour"], told["state"], told["kind"]["key"]) == ("red", "confirmed", "pothole")
    assert (said.issuer, said.origins, said.cell, said.extent_m) == (city.region_code, ("replay", "simulated"), hole, 1)
    assert said.expires_s == city.day_bounds_s(city.service_day(time.time()))[1]
    assert told["banner"] == city.banner
    assert told["log"] is None
    shown = client.get(f"/api/v1/cells/{hole}").json()["polygon"]
    lons, lats = zip(*shown, strict=True)
    assert min(lons) < told["lon"] < max(lons)
    assert min(lats) < told["lat"] < max(lats)
    for name, kind in (("png", "image/png"), ("svg", "image/svg+xml"), ("sheet", "text/html")):
        answer = client.get(told[name])
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["cache-control"] == "no-store"
    picture = Image.open(io.BytesIO(client.get(told["png"]).content))
    assert zxingcpp.read_barcode(picture).text == told["text"]
    page = client.get(told["sheet"]).text
    for part in ("红：严重缺陷 · 已确认 · 坑槽", "RED: severe defect", "SIMULATED", f"№{hole}", "<svg"):
        assert part in page
    assert "<script" not in page


def test_a_section_s_certificate_and_what_there_is_none_of(client: httpx.Client, settings: Settings, hole: int) -> None:
    told = client.get(f"/api/v1/sections/{NUMBER}/certificate").json()
    verdict = holds(settings, told["text"])
    assert verdict.ok
    assert (told["colour"], told["name"], told["length_m"], told["known_pct"]) == ("red", "长街", 100, 100)
    assert verdict.certificate.section == NUMBER
    assert client.get(f"/api/v1/sections/{NUMBER}/certificate.html").status_code == 200
    for path, status in (
        (f"/api/v1/cells/{hole + 5_000_000}/certificate", 404), ("/api/v1/cells/77/certificate.png", 404),
        ("/api/v1/sections/78/certificate", 404), ("/api/v1/cells/x/certificate", 422),
    ):  # fmt: skip
        assert client.get(path).status_code == status


def test_a_grey_square_of_a_measured_block_is_certified_as_not_known(
    client: httpx.Client, settings: Settings, hole: int, city: City
) -> None:
    road_cells = set(section_cells(road(city, NUMBER), Zone(city.utm_zone, city.utm_north)).tolist())
    beside = next(c for c in cells_of_block(int(blocks_of(hole))).tolist() if c not in road_cells)
    told = client.get(f"/api/v1/cells/{beside}/certificate").json()
    assert told["colour"] == "grey"
    assert told["zh"] == "灰：未知"
    assert holds(settings, told["text"]).ok


def test_what_a_scanned_code_opens(client: httpx.Client, hole: int) -> None:
    told = client.get(f"/api/v1/cells/{hole}/certificate").json()
    answer = client.get(told["open"])
    assert answer.status_code == 303
    assert answer.headers["location"] == "/scan.html#" + told["open"].removeprefix("/s/")
    verdict = client.get(told["open"], headers={"Accept": "application/json"}).json()
    assert verdict["ok"]
    assert verdict["certificate"]["cell"] == hole
    broken = client.get("/s/RHC1%3ANOTHING", headers={"Accept": "application/json"}).json()
    assert (broken["ok"], broken["certificate"]) == (False, None)
    assert not client.get("/s/" + "A" * 5000, headers={"Accept": "application/json"}).json()["ok"]


def test_strangers_may_check_and_not_ask(settings: Settings, hole: int) -> None:
    with served(settings, token="let me in") as guarded:
        for path in ("/scan.html", "/scan.js", "/certificate.js", "/vendor/ed25519.js", "/api/v1/trust-list"):
            assert guarded.get(path).status_code == 200, path
        assert guarded.get("/s/RHC1%3AX").status_code == 303
        for path in (f"/api/v1/cells/{hole}/certificate", f"/api/v1/sections/{NUMBER}/certificate.png", "/app.js"):
            assert guarded.get(path).status_code == 401, path


def test_the_pace_is_bounded_and_the_same_is_given_again(
    settings: Settings, hole: int, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "PACE", Budget(burst=2, per_s=0.01))
    pair = pair_of(bytes(32))
    issuer = Issuer(lambda _now: pair, city)
    connect = lambda: wiring.database(settings)  # noqa: E731
    noon = city.day_bounds_s(city.service_day(time.time()))[0] + 8 * 3600
    square, section = Place("square", hole), Place("section", NUMBER)
    first = issuer.issue(connect, square, noon)
    assert issuer.issue(connect, square, noon + 59) == first
    assert issuer.issue(connect, section, noon + 59) != first
    with pytest.raises(TooManyCertificates) as caught:
        issuer.issue(connect, Place("square", hole + 1), noon + 59)
    assert 0 < caught.value.wait_s < 60
    assert issuer.issue(connect, square, noon + 59) == first, "what is there is given, however many ask"
    later = issuer.issue(connect, square, noon + 300)
    assert read_certificate(later)[1].issued_s == int(noon + 300)


def test_another_key_and_another_day_give_another_certificate(settings: Settings, hole: int, city: City) -> None:
    keys = [pair_of(bytes([n]) * 32) for n in (1, 2)]
    now = [keys[0]]
    issuer = Issuer(lambda _now: now[0], city)
    connect = lambda: wiring.database(settings)  # noqa: E731
    end = city.day_bounds_s(city.service_day(time.time()))[1]
    square = Place("square", hole)
    before = issuer.issue(connect, square, end - 5)
    now[0] = keys[1]  # the first was revoked
    again = issuer.issue(connect, square, end - 5)
    assert [read_certificate(text)[0].kid for text in (before, again)] == [k.kid for k in keys]
    next_day = issuer.issue(connect, square, end + 5)
    assert read_certificate(next_day)[1].expires_s - end > 80_000


def test_it_names_the_place_in_the_log_of_the_record_that_says_the_same(
    database: str, settings: Settings, hole: int, city: City
) -> None:
    said = {"colour": "red", "state": "confirmed", "kind": "pothole"}
    was = {"colour": "grey", "state": "none", "kind": None}
    now_s = int(time.time())
    day = city.service_day(now_s)

    def recorded(after: dict[str, Any]) -> tuple[int | None, int | None]:
        with psycopg.connect(database, autocommit=True) as conn:
            enqueue(conn, [code_record(hole, day, now_s * 1000, was, after, "test", bytes(32), city.origins)])
            number_outbox(conn, 100)
            made = certificates.of_square(conn, hole, city, now_s)
            return made.log_size, made.log_index

    assert recorded(said) == (None, None), "no checkpoint holds it yet"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("INSERT INTO checkpoint (size, root, note) VALUES (2, %s, 'x')", (bytes(32),))
        made = certificates.of_square(conn, hole, city, now_s)
    assert (made.log_size, made.log_index) == (2, 0)
    assert recorded({**said, "kind": "rutting"}) == (None, None), "the newest record says something else"


def test_the_command_issues_and_checks_offline(settings: Settings, hole: int, tmp_path: Path) -> None:
    assert settings.database_url is not None
    environment = {
        "ROADCODE_HOME": str(settings.home), "ROADCODE_DATABASE_URL": settings.database_url.get_secret_value(),
        "ROADCODE_BROKER_URL": "mqtt://u:p@127.0.0.1:1", "ROADCODE_RPC_URL": "http://127.0.0.1:1",
    }  # fmt: skip

    def run(*arguments: str, **changed: str | None) -> Any:
        return CliRunner().invoke(app, arguments, env={**environment, **changed})

    code = tmp_path / "code.png"
    made = run("certificate", "issue", str(hole), "--png", str(code), "--sheet", str(tmp_path / "a.html"), "--json")
    assert made.exit_code == 0, made.output
    text = json.loads(made.stdout)["text"]
    assert (tmp_path / "a.html").read_text("utf-8").startswith("<!doctype html>")
    held, _ = wiring.trust(settings).in_force(time.time())
    (tmp_path / "list").write_bytes(held.data)
    (tmp_path / "list.key").write_text(held.key.public.hex() + "\n")
    (tmp_path / "code.txt").write_text(text + "\n")
    # Neither database nor data folder nor settings: none of them can be used here.
    broken = dict.fromkeys(environment, None) | {"ROADCODE_PORT": "no number", "ROADCODE_CITY": "/nowhere"}
    for given in (text, str(tmp_path / "code.txt"), str(code)):
        checked = run("verify", "--certificate", given, "--trust", str(tmp_path / "list"), "--json", **broken)
        assert checked.exit_code == 0, checked.output
        assert json.loads(checked.stdout)["says"]["cell"] == hole
    shown = run("verify", "--certificate", text, "--trust", str(tmp_path / "list"), **broken)
    assert "RED: severe defect" in shown.stdout
    assert "SIMULATED" in shown.stdout
    refused = run("verify", "--certificate", text[:-1] + "0", "--trust", str(tmp_path / "list"), **broken)
    assert refused.exit_code == 1
    assert "does NOT hold" in refused.stdout
    (tmp_path / "list.key").unlink()
    for arguments in (
        ("--certificate", text, "--trust", str(tmp_path / "list")), ("--certificate", text),
        ("--certificate", text, "--trust", str(tmp_path / "list"), "--trust-key", "00" * 32),
        ("--certificate", str(tmp_path / "gone"), "--trust", str(tmp_path / "list"), "--trust-key", "11" * 32),
        (str(hole), "--certificate", text), (),
    ):  # fmt: skip
        assert run("verify", *arguments, **broken).exit_code != 0


def test_a_name_is_cut_between_characters(city: City) -> None:
    section = replace(road(city, NUMBER), name_zh="路" * 40)
    assert certificates._name(section) == "路" * 16
    assert certificates._name(replace(section, name_zh="", name="A\nStreet")) == "AStreet"
