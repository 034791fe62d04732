"""Departments over HTTP: what a certificate opens of a city with two districts, and how at once it ends."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner

from api import sharing, wiring
from api.cli import app as command_line
from api.departments import STATUS, Gate, TurnedAway
from ingest import Budget, City
from ledger import department, department_store, pair_of

from ..street import until
from .offices import EAST, TOKEN, WEST, Office, World, opened
from .test_public_answers import TRIP, Walk

OPERATOR = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def world(postgres: str, tmp_path_factory: pytest.TempPathFactory, city: City) -> Iterator[World]:
    with opened(postgres, tmp_path_factory.mktemp("home"), city) as made:
        yield made


def box_of(city: City) -> str:
    lon, lat = city.centre_deg
    return f"{lon - 4e-3},{lat - 1e-3},{lon + 4e-3},{lat + 1e-3}"


# ---------------------------------------------------------------- fields


def every_answer(world: World) -> Iterator[tuple[sharing.Path, str, httpx.Response]]:
    """What the operator sees at each path whose fields are listed."""
    ways = Walk(world.client, world.city).ways
    ways["/api/v1/cells/{cell}"] = [f"/api/v1/cells/{cell}" for cell in (world.red, world.phones)]
    ways["/api/v1/cells/{cell}/history"] = [f"/api/v1/cells/{world.red}/history"]
    for line in sharing.PATHS:
        if line.fields is not None:
            for way in ways.get(line.template, [""]):
                address = way if way.startswith("/") else line.template + way
                yield line, address, world.client.get(address, headers=OPERATOR)


def test_every_path_is_shared_or_closed_and_every_field_of_every_answer_has_a_line(world: World) -> None:
    described = world.client.get("/openapi.json", headers=OPERATOR).json()["paths"]
    for template, methods in described.items():
        for method in methods:
            asked = re.sub(r"\{\w+(:path)?\}", "1", template)
            shared = sharing.path_of(method.upper(), asked) is not None
            closed = sharing.is_closed(asked)
            assert shared != closed, f"{method.upper()} {template}: a line in PATHS or in CLOSED of api/sharing.py"
    told: dict[str, set[str]] = {}
    for line, address, answer in every_answer(world):
        assert answer.status_code == 200, address
        assert sharing.unlisted(line, answer.json()) == [], address
        told.setdefault(line.template, set()).update(leaves(answer.json()))
    # The walk has met what the lines speak of: a world without passes or registers would show nothing.
    met = told["/api/v1/cells/{cell}"] | told["/api/v1/cells/{cell}/history"]
    assert {"evidence[].speed_kmh", "history[].after.kind", "case.state", "kind.key", "proof.record.index",
            "changes[].passes[].sensor", "register.harmless.kind", "register.works[].number",
            "register.repairs[].by"} <= met  # fmt: skip
    assert set(told) == {p.template for p in sharing.PATHS if p.fields is not None}


def leaves(value: Any, at: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, v in value.items():
            yield from leaves(v, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        for v in value:
            yield from leaves(v, f"{at}[]")
    else:
        yield at


def test_a_field_without_a_line_is_found_and_cut_out() -> None:
    line = sharing.path_of("GET", "/api/v1/at")
    assert line is not None
    assert sharing.unlisted(line, {"cell": 1, "device": "phone-1", "more": [{"x": 1}]}) == ["device", "more"]
    mine = department.Certificate("dep-1", "i", "d", "auditor", pair_of(bytes(32)).key, ("map",), None, None, 0, 1)
    assert sharing.shown(line, {"cell": 1, "device": "phone-1"}, mine) == {"cell": 1}


@pytest.mark.parametrize(
    ("scope", "there", "gone"),
    [
        ("map", {"colour", "history"}, {"evidence", "case", "proof"}),
        ("passes", {"evidence", "kept_from"}, {"colour", "history", "case", "proof", "cell"}),
        ("cases", {"case"}, {"colour", "evidence", "proof"}),
        ("proofs", {"proof"}, {"colour", "evidence", "case"}),
    ],
)
def test_one_answer_shows_each_scope_its_own(world: World, scope: str, there: set[str], gone: set[str]) -> None:
    told = world.grant(scopes=(scope,)).json(f"/api/v1/cells/{world.red}")
    assert there <= set(told)
    assert not gone & set(told)


def test_all_scopes_show_what_the_operator_sees_of_a_square(world: World) -> None:
    path = f"/api/v1/cells/{world.red}/history"
    mine = world.client.get(path, headers=OPERATOR).json()
    assert world.grant().json(path) == mine
    assert mine["changes"]


def test_what_has_no_line_is_closed_whatever_the_scopes(world: World) -> None:
    office = world.grant()
    for path in ("/metrics", "/", "/app.js", "/docs", "/nothing-here", "/api/v1/cells/1/secret"):
        assert office.refused(path) == (403, "not_shared"), path
    for method in ("POST", "DELETE", "PUT", "HEAD", "OPTIONS"):
        assert office.get("/api/v1/cases", method=method).status_code == 403
    assert office.get("/healthz").status_code in (200, 503), "open to all, and no token is looked at"


def test_a_scope_that_is_not_held_is_named(world: World) -> None:
    answer = world.grant("mall").get("/api/v1/cases")
    assert (answer.status_code, answer.json()["error"]) == (403, "scope_missing")
    assert "cases" in answer.json()["detail"]
    assert world.grant("mall").json("/api/v1/city").keys() == world.grant(scopes=("map",)).json("/api/v1/city").keys()


# ---------------------------------------------------------------- area and kinds


def test_a_district_sees_its_squares_sections_and_cases_and_no_others(world: World) -> None:
    west, east = world.grant(area=("west",)), world.grant(area=("east",))
    for office, number, other in ((west, WEST, EAST), (east, EAST, WEST)):
        lon, lat = world.city.centre_deg
        told = office.json(f"/api/v1/sections?bbox={lon - 1e-2},{lat - 1e-2},{lon + 1e-2},{lat + 1e-2}")
        assert [f["id"] for f in told["features"]] == [number]
        assert office.json(f"/api/v1/sections/{number}")["district"] == office.certificate.area[0]  # type: ignore[index]
        for path in (f"/api/v1/sections/{other}", f"/api/v1/sections/{other}/strips", "/api/v1/sections/12345"):
            assert office.refused(path) == (403, "outside_certificate")
    assert len(west.json("/api/v1/cases")["features"]) == 2
    (phones,) = east.json("/api/v1/cases")["features"]
    assert world.red not in phones["properties"]["cells"]
    assert west.json(f"/api/v1/cells/{world.red}")["colour"] == "red"
    for path in (f"/api/v1/cells/{world.red}", f"/api/v1/cells/{world.red}/history", "/api/v1/cells/5"):
        assert east.refused(path) == (403, "outside_certificate")
    squares = f"/api/v1/cells?bbox={box_of(world.city)}&colour=grey,green,yellow,red"
    mine = {f["id"] for f in west.json(squares)["features"]}
    whole = {f["id"] for f in world.client.get(squares, headers=OPERATOR).json()["features"]}
    assert world.red in mine
    assert mine < whole, "squares beside the road are nobody's"
    assert east.json(squares)["features"] == []


def test_a_tile_is_empty_where_it_is_not_one_s_own(world: World) -> None:
    def coloured(office: Office, tile: str) -> Any:
        answer = office.get(tile)
        bytes_ = np.frombuffer(answer.content or bytes(65_536), np.uint8)
        return np.isin(bytes_ & 7, (2, 3, 4))  # green, yellow, red

    whole, west, east = world.grant(), world.grant(area=("west",)), world.grant(area=("east",))
    covers = world.grant("cover_owner", kinds=("defective_cover",))
    counted = np.zeros(4, int)
    for tile in Walk(world.client, world.city).ways["/tiles/{z}/{x}/{y}"]:
        seen = [coloured(office, tile) for office in (whole, west, east, covers)]
        assert not (seen[1] & seen[2]).any()
        assert not (seen[1] & ~seen[0]).any()
        counted += [int(s.sum()) for s in seen]
    assert counted[0] >= counted[1] > counted[3] > 0
    assert counted[2] > 0


def test_an_owner_of_covers_sees_covers_and_nothing_else(world: World) -> None:
    owner = world.grant("cover_owner", kinds=("defective_cover",))
    squares = owner.json(f"/api/v1/cells?bbox={box_of(world.city)}&colour=grey,green,yellow,red")["features"]
    assert [f["id"] for f in squares] == [world.cover]
    told = owner.json("/api/v1/cases")["features"]
    assert [f["properties"]["kind"]["key"] for f in told] == ["defective_cover"]
    assert owner.json(f"/api/v1/cells/{world.cover}").keys().isdisjoint({"evidence", "seen", "not_seen", "passes"})
    for path in (f"/api/v1/cells/{world.red}", f"/api/v1/cells/{world.red}/history"):
        assert owner.refused(path) == (403, "outside_certificate")
    section = owner.json(f"/api/v1/sections/{WEST}")
    assert section["name"]
    assert not {"colour", "iri", "pci_est", "history", "cases"} & section.keys()
    assert not {"roads"} & owner.json("/api/v1/city").keys()


def test_a_change_shows_only_the_side_of_one_s_own_kind() -> None:
    line = sharing.path_of("GET", "/api/v1/cells/1/history")
    assert line is not None
    hole, cover, green = ({"colour": c, "state": "confirmed", "kind": k}
                          for c, k in (("red", "pothole"), ("red", "defective_cover"), ("green", None)))  # fmt: skip
    mine = department.Certificate("dep-1", "i", "d", "cover_owner", pair_of(bytes(32)).key, ("map",), None,
                                  ("defective_cover",), 0, 1)  # fmt: skip
    answer = {"changes": [{"before": hole, "after": cover}, {"before": green, "after": hole},
                          {"before": cover, "after": green}]}  # fmt: skip
    assert sharing.shown(line, answer, mine) == {
        "changes": [{"before": None, "after": cover}, {"before": cover, "after": None}]
    }


def test_what_speaks_of_the_whole_city_is_not_for_a_part_of_it(world: World) -> None:
    whole, part = world.grant(), world.grant(area=("west",))
    assert whole.get("/report/daily").status_code == 200
    assert part.refused("/report/daily") == (403, "whole_city")
    assert {"cells", "bbox", "cases"} <= whole.json("/api/v1/summary").keys()
    assert part.json("/api/v1/summary").keys() == {"records", "anchored", "anchors", "anchored_at"}


def test_an_owner_of_covers_hears_of_no_case_of_a_hole_on_the_same_square(world: World) -> None:
    owner = world.grant("cover_owner", kinds=("defective_cover",))
    path = f"/api/v1/cells/{world.cover}"
    mine = world.client.get(path, headers=OPERATOR).json()["case"]
    assert owner.json(path)["case"] == mine
    hole = 'SELECT min("case") FROM case_cell WHERE "case" <> %s'
    world.conn.execute(f'UPDATE case_cell SET "case" = ({hole}) WHERE cell = %s', (mine["id"], world.cover))  # noqa: S608
    try:
        assert world.client.get(path, headers=OPERATOR).json()["case"] is not None
        assert owner.json(path)["case"] is None
    finally:
        world.conn.execute('UPDATE case_cell SET "case" = %s WHERE cell = %s', (mine["id"], world.cover))


# ---------------------------------------------------------------- privacy


def test_no_scopes_and_no_area_ever_show_one_citizen_s_drive_or_phone(world: World) -> None:
    """As test_public_answers.py does for everybody: with every scope there is, over the phones' street."""
    told = 0
    ways = Walk(world.client, world.city).ways
    squares = [p for p in ways["/api/v1/cells/{cell}"] if int(p.rpartition("/")[2]) >> 51]  # where phones speak
    paths = [*squares, *(f"{p}/history" for p in squares), f"/api/v1/cells/{world.phones}"]
    for office in (world.grant(), world.grant("research")):
        token = office.token()
        for path in paths:
            answer = office.get(path, token)
            assert not re.search(f"citizen-|phone-[0-9a-f]|{TRIP}", answer.text), path
            if answer.status_code != 200 or not re.fullmatch(r"/api/v1/cells/\d+", path):
                continue
            for one in answer.json().get("evidence", []):
                assert office.certificate.kind != "research", "what passes said one by one is not for research"
                if one["sensor"] == "phone":
                    told += 1
                    assert one["passes"] % 5 == 0
                    assert {one[k] for k in ("at", "speed_kmh", "sigma_m", "g")} == {None}
        for path in ("/api/v1/me", "/api/v1/me/chunks"):
            assert office.get(path, token).status_code == 401, "a device's password opens it, and no certificate"
    assert told, "a walk that meets no phones shows nothing"


# ---------------------------------------------------------------- tokens


def test_every_refusal_is_named_and_says_what_to_do(world: World) -> None:
    office = world.grant()
    path = "/api/v1/cases"
    good = office.token()
    assert office.get(path, good).status_code == 200
    assert office.refused(path, good[:-2]) == (401, "bad_token")
    assert office.refused(path, "rhc.x") == (401, "bad_token")
    other = pair_of(bytes(32))
    thief = replace(office, pair=other, certificate=replace(office.certificate, public=other.key))
    assert thief.refused(path) == (401, "bad_token")
    elsewhere = replace(office, certificate=replace(office.certificate, audience="rhc-elsewhere"))
    assert elsewhere.refused(path) == (401, "other_audience")
    world.now_s += 600
    assert office.refused(path, good) == (401, "token_expired")
    world.now_s += 86_400
    late = department.make_token(office.pair, replace(office.certificate, to_s=office.certificate.to_s + 99_999),
                                 bytes(16), int(world.now_s))  # fmt: skip
    assert office.refused(path, late) == (403, "certificate_expired")
    world.now_s -= 87_000
    answer = office.get(path, "rhc.x")
    assert "roadcode department token" in answer.json()["detail"]
    assert "bad_token" in answer.headers["www-authenticate"]


def test_validity_is_to_the_second_over_http(world: World) -> None:
    start = int(world.now_s) + 1000
    office = world.grant(from_s=start, to_s=start + 100)
    token = department.make_token(office.pair, office.certificate, bytes(16), start)
    then = world.now_s
    try:
        for at_s, status in ((start - 1, 403), (start, 200), (start + 1, 200), (start + 99, 200), (start + 100, 403)):
            world.now_s = at_s
            assert office.get("/api/v1/cases", token).status_code == status, at_s - start
    finally:
        world.now_s = then


def test_a_revocation_holds_for_the_next_request(world: World) -> None:
    office = world.grant()
    token = office.token()
    assert office.get("/api/v1/cases", token).status_code == 200
    world.revoke(office)
    assert office.refused("/api/v1/cases", token) == (403, "certificate_revoked")


def test_a_stream_ends_within_seconds_of_the_revocation(world: World) -> None:
    office, other = world.grant(area=("west",)), world.grant()
    heard: dict[str, list[str]] = {"west": [], "other": []}
    ended = threading.Event()

    def listen(name: str, one: Office) -> None:
        headers = {"Authorization": f"Bearer {one.token()}"}
        with world.client.stream("GET", "/events", headers=headers, timeout=30) as stream:
            for line in stream.iter_lines():
                heard[name].append(line)
                if name == "other" and ended.is_set() and "777" in line:
                    return

    threads = [threading.Thread(target=listen, args=(n, o)) for n, o in (("west", office), ("other", other))]
    for thread in threads:
        thread.start()

    def told() -> bool:
        world.conn.execute("""SELECT pg_notify('codes', '{"bbox": [666]}')""")
        return all(any(line.startswith("data:") for line in lines) for lines in heard.values())

    until(told, 20, "both hear of changes")
    assert not [line for line in heard["west"] if "666" in line], "where it changed is not told to a part of the city"
    assert [line for line in heard["other"] if "666" in line]
    began_s = time.monotonic()
    world.revoke(office)
    threads[0].join(10)
    assert not threads[0].is_alive()
    assert time.monotonic() - began_s < 3
    assert "event: end" in heard["west"]
    ended.set()

    def gone() -> bool:
        world.conn.execute("SELECT pg_notify('codes', '777')")
        return not threads[1].is_alive()

    until(gone, 20, "the other one hears on")
    assert "event: end" not in heard["other"]


def test_who_asks_too_often_is_slowed_alone(world: World, city: City) -> None:
    with ConnectionPool(world.url, min_size=1, max_size=2, kwargs={"autocommit": True}) as pool:
        keys = wiring.district_keys(world.settings).all()
        gate = Gate(pool, lambda: [k.key for k in keys], city.service_day, lambda: world.now_s, Budget(3, 0.001))
        one, two = world.grant(), world.grant()

        def ask(token: str, address: str) -> str:
            try:
                gate.enter(token, "GET", "/api/v1/city", address)
            except TurnedAway as error:
                told = error.answer()
                waits = told.status_code == 429 and int(told.headers["retry-after"]) > 0
                return "slowed" if waits else error.name
            return "in"

        assert [ask(one.token(), "a") for _ in range(4)] == ["in", "in", "in", "slowed"]
        assert ask(two.token(), "a") == "in"
        bad = [ask("rhc.x", "a") for _ in range(70)]
        assert bad[:50] == ["bad_token"] * 50
        assert "slowed" in bad
        assert ask(two.token(), "b") == "in", "another address is not slowed"


def test_the_operator_s_token_and_the_open_door_stay_as_they_were(world: World) -> None:
    assert world.client.get("/metrics", headers=OPERATOR).status_code == 200
    assert world.client.get("/api/v1/cases").json()["error"] == "not_public"
    both = {"Authorization": f"Bearer {world.grant('mall').token()}", "Cookie": f"roadcode={TOKEN}"}
    assert world.client.get("/api/v1/cases", headers=both).status_code == 403, "the narrower one counts"


def test_reads_are_counted_by_scope_and_hold_no_content(world: World) -> None:
    office = world.grant(scopes=("cases", "map"))
    for _ in range(3):
        office.json(f"/api/v1/cells/{world.red}")
    office.json("/api/v1/cases")
    office.refused("/metrics")
    day = world.city.service_day(world.now_s)
    told = department_store.reads(world.conn, day - timedelta(days=1), office.certificate.id)
    assert {r.scope: r.requests for r in told} == {"map": 3, "cases": 4, "refused": 1}
    assert str(world.red) not in str(told)


def test_every_name_of_a_refusal_has_a_status() -> None:
    source = Path(department.__file__).read_text() + Path(sharing.__file__).with_name("departments.py").read_text()
    raised = set(re.findall(r'(?:NotAdmitted|TurnedAway)\(\s*"(\w+)"', source))
    assert raised == set(STATUS)


# ---------------------------------------------------------------- the command line


def test_the_life_of_a_certificate_by_the_command_line(world: World, tmp_path: Path) -> None:
    home = world.settings.home
    world.now_s = time.time()
    outside = {"ROADCODE_HOME": str(home), "ROADCODE_DATABASE_URL": world.url,
               "ROADCODE_BROKER_URL": "nats://u:p@127.0.0.1:1", "ROADCODE_RPC_URL": "http://127.0.0.1:1"}  # fmt: skip

    def run(*words: str) -> Any:
        return CliRunner().invoke(command_line, ["department", *words], env=outside)

    folder = tmp_path / "police"
    (made,) = json.loads(run("new-key", str(folder), "--name", "交警支队", "--kind", "traffic_police", "--json").stdout)
    key = folder / "department.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    request = folder / "request.txt"
    grant = ("grant", str(request), "--scopes", "map,cases", "--area", "west", "--json", "--until")
    tomorrow = (datetime.fromtimestamp(world.now_s, UTC) + timedelta(days=2)).date().isoformat()
    swapped = run(*grant, tomorrow, "--fingerprint", "0" * 16)
    assert isinstance(swapped.exception, department.DepartmentError)
    assert "exchanged" in str(swapped.exception)
    for wrong in (("--area", "north"), ("--kinds", "holes"), ("--scopes", "log"), ("--until", "tomorrow")):
        failed = run(*grant, tomorrow, "--fingerprint", made["fingerprint"], *wrong)
        assert isinstance(failed.exception, department.DepartmentError), wrong
    before = len(department_store.departments(world.conn))
    (granted,) = json.loads(run(*grant, tomorrow, "--fingerprint", made["fingerprint"]).stdout)
    assert len(department_store.departments(world.conn)) == before + 1, "the wrong ones left nothing"
    (folder / "certificate.txt").write_bytes(Path(granted["certificate"]).read_bytes())
    (token,) = json.loads(run("token", str(folder), "--json").stdout)
    world.now_s = time.time()
    asked = world.client.get("/api/v1/cases", headers={"Authorization": f"Bearer {token['token']}"})
    assert asked.status_code == 200, asked.text
    assert len(asked.json()["features"]) == 2
    (row,) = json.loads(run("reads", "--id", granted["id"], "--json").stdout)
    assert (row["scope"], row["requests"], row["department"]) == ("cases", 1, "交警支队")
    now = datetime.fromtimestamp(world.now_s + 60, UTC).isoformat()
    assert run("held", granted["id"], "--at", now).exit_code == 0
    assert run("held", granted["id"], "--at", "2020-01-01T00:00:00+00:00").exit_code == 1
    (became,) = json.loads(run("revoke", granted["id"], "--why", "a drill", "--json").stdout)
    assert became["became"] == "revoked now"
    refused = world.client.get("/api/v1/cases", headers={"Authorization": f"Bearer {token['token']}"})
    assert refused.json()["error"] == "certificate_revoked"
    (listed,) = [r for r in json.loads(run("list", "--json").stdout) if r["id"] == granted["id"]]
    assert (listed["state"], listed["why"]) == ("revoked", "a drill")
    seed = key.read_text().strip()
    for place in home.rglob("*"):
        assert place.is_dir() or seed.encode() not in place.read_bytes(), "the operator never has the secret key"
    assert os.access(key, os.R_OK)
