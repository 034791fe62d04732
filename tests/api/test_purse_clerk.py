"""Reports and appeals from the phone to a person's decision, people without a phone, and the mall over HTTP: bounded,
without a place or a word of anybody where it must not be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from api import counter, paper_page
from api.commands import points as commands
from api.keeper import Keeper, KeepOptions
from api.pointing import NotHere, cell_of
from api.routes import points as routes
from defects import Case
from defects import store as defects_store
from grid import Zone, cells_at, level_of, project
from ingest import City, NoGo
from ingest import devices as own
from ledger import paper, points_store, redemption, reports

from .purse import KEY, PLACE, Phone, Purse, jpeg, one, open_purse, refused, settle

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def purse(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Purse]:
    with open_purse(postgres, tmp_path_factory.mktemp("clerk")) as opened:
        yield opened


@pytest.fixture
def run(purse: Purse, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of `roadcode points`, on the same database."""
    monkeypatch.setenv("ROADCODE_DATABASE_URL", purse.url)
    monkeypatch.setenv("ROADCODE_BROKER_URL", "nats://u:p@127.0.0.1:9")
    monkeypatch.setenv("ROADCODE_RPC_URL", "http://127.0.0.1:9/none")

    def call(*words: str) -> Result:
        return CliRunner().invoke(commands.app, list(words))

    return call


def said(result: Result) -> Any:
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return json.loads(result.stdout)


def reported(phone: Phone, note: str = "", **place: float) -> str:
    answer = phone.post("reports", {**PLACE, **place, "kind": "pothole", "note": note})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["number"])


def with_photo(phone: Phone, number: str, data: bytes | None = None, kind: str = "image/jpeg") -> Any:
    content = jpeg() if data is None else data
    return phone.ask("PUT", f"reports/{number}/photo", content=content, headers={"Content-Type": kind})


# ---------------------------------------------------------------- reports


def test_a_report_with_a_photo_goes_from_the_phone_to_a_person_and_becomes_a_claim(
    purse: Purse, run: Run, city: City, tmp_path: Path
) -> None:
    phone = purse.phone()
    zone = Zone(city.utm_zone, city.utm_north)
    x_m, y_m = project(PLACE["lon"], PLACE["lat"], zone)
    with purse.conn.transaction():
        beside = Case(None, 9, (int(cells_at(x_m + 3.0, y_m, zone)),))
        case = defects_store.put_case(purse.conn, beside, datetime.now(UTC)).number
    number = reported(phone, "<img src=x onerror=alert(1)> by the gate")
    assert with_photo(phone, number).status_code == 200
    listed = [r for r in said(run("report", "list", "--json")) if r["report"] == number]
    assert [(r["photo"], r["cases"], r["by"]) for r in listed] == [("yes", str(case), "photo")]
    file = tmp_path / "photo.jpg"
    assert run("report", "photo", number, str(file)).exit_code == 0
    assert file.stat().st_mode & 0o077 == 0
    assert b"30.2790N" not in file.read_bytes()
    assert b"30.2790N" in jpeg()
    (done,) = said(run("report", "confirm", number, "--clerk", "clerk 7", "--why", "seen on the spot", "--json"))
    assert done["case"] == case
    (told,) = phone.get("reports")["reports"]
    assert [told[n] for n in ("state", "answer", "case", "photo")] == ["confirmed", "seen on the spot", case, False]
    (claim,) = points_store.claims(purse.conn, phone.account)
    assert (claim.what, claim.kind, claim.points, claim.settled_on) == ("report", "pothole", None, None)
    assert claim.cell is not None
    assert level_of(claim.cell) == 2
    assert "gate" not in json.dumps(claim.why)
    again = run("report", "refuse", number, "--clerk", "clerk 8", "--why", "no")
    assert isinstance(again.exception, reports.AlreadyDecided)
    refused(with_photo(phone, number), 409, "already_decided")


def test_a_refused_report_earns_nothing_and_its_photo_goes_a_kept_one_stays(purse: Purse, run: Run) -> None:
    phone = purse.phone()
    first, second = reported(phone), reported(phone)
    for number in (first, second):
        assert with_photo(phone, number).status_code == 200
    assert run("report", "refuse", first, "--clerk", "c", "--why", "nothing there").exit_code == 0
    assert run("report", "confirm", second, "--clerk", "c", "--keep-photo").exit_code == 0
    assert {r["number"]: r["photo"] for r in phone.get("reports")["reports"]} == {first: False, second: True}
    assert len(points_store.claims(purse.conn, phone.account)) == 1
    assert run("report", "confirm", second, "--clerk", " ", "--why", "x").exit_code == 2


def test_a_photo_is_one_s_own_and_no_bomb_and_no_page(purse: Purse) -> None:
    phone, other = purse.phone(), purse.phone()
    number = reported(phone)
    refused(with_photo(other, number), 404, "no_such_report")
    refused(with_photo(phone, number, b"<svg onload=alert(1)>"), 422, "bad_photo")
    refused(with_photo(phone, number, kind="image/svg+xml"), 415, "not_a_photo")
    refused(with_photo(phone, number, kind="text/plain"), 415, "not_a_photo")
    refused(with_photo(phone, number, bytes(5 << 20)), 413, "too_large")
    refused(with_photo(phone, "ABCD-EFGH"), 422, "bad_number")
    assert one(purse.conn, "SELECT count(*) FROM citizen_photo WHERE report = %s", number.replace("-", "")) == 0
    assert phone.ask("POST", "reports", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415


def test_reports_and_appeals_are_bounded_whatever_one_account_sends(purse: Purse) -> None:
    phone = purse.phone()
    for _ in range(reports.REPORTS_A_DAY):
        reported(phone)
    refused(phone.post("reports", {**PLACE, "kind": "pothole"}), 429, "too_many")
    day = datetime.now(UTC).date() - timedelta(days=5)
    bodies = [{"day": str(day - timedelta(days=n)), "text": "why not"} for n in range(reports.APPEALS_WAITING + 1)]
    assert [phone.post("credits/appeals", b).status_code for b in bodies] == [201] * reports.APPEALS_WAITING + [429]
    other = purse.phone()
    assert other.post("credits/appeals", bodies[0]).status_code == 201
    assert "waits" in refused(other.post("credits/appeals", bodies[0]), 429, "too_many")
    refused(other.post("credits/appeals", {"day": str(day - timedelta(days=90)), "text": "?"}), 422, "not_appealable")
    refused(other.post("credits/appeals", {"day": str(day), "text": "x" * 501}), 422, "bad_request")
    refused(other.post("credits/appeals", {"day": str(day), "text": "  "}), 422, "bad_request")
    many = [other.post("credits/appeals", bodies[0]).status_code for _ in range(25)]
    assert many[-1] == 429
    assert one(purse.conn, "SELECT count(*) FROM points_appeal WHERE account = %s", other.account) == 1


def test_an_appeal_is_answered_by_a_person_with_a_reason(purse: Purse, run: Run) -> None:
    phone = purse.phone()
    day = str(datetime.now(UTC).date() - timedelta(days=3))
    for text in ("look again", "and again"):
        number = phone.post("credits/appeals", {"day": day, "text": text}).json()["appeal"]
        assert number in [a["id"] for a in said(run("appeals", "list", "--json"))]
        words = ("--points", "15", "--clerk", "clerk 7", "--why", "the box of line 12 agrees")
        done = run("appeals", "grant", str(number), *words)
        assert done.exit_code == 0, done.output
        assert isinstance(run("appeals", "refuse", str(number), *words[2:]).exception, reports.AlreadyDecided)
    last = phone.post("credits/appeals", {"day": day, "text": "once more"}).json()["appeal"]
    assert run("appeals", "refuse", str(last), "--clerk", "clerk 7", "--why", "nobody else felt it").exit_code == 0
    refused(phone.post("credits/appeals", {"day": day, "text": "a fourth"}), 429, "too_many")
    told = phone.get("credits/appeals")["appeals"]
    assert [(a["state"], a["points"]) for a in told] == [("refused", None), ("granted", 15), ("granted", 15)]
    assert "clerk 7" not in json.dumps(told)
    assert [c.points for c in points_store.claims(purse.conn, phone.account)] == [15, 15]
    too_much = run("appeals", "grant", str(last), "--points", "1000000", "--clerk", "c", "--why", "w")
    assert isinstance(too_much.exception, reports.PurseRefused)


def test_a_phone_that_was_driving_a_moment_ago_is_told_to_stop(purse: Purse, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = purse.phone()
    newest = {"ago_s": 60.0, "metres": 60.0}

    def chunk(*_: Any) -> tuple[float, float]:
        return datetime.now(UTC).timestamp() - newest["ago_s"], newest["metres"]

    monkeypatch.setattr(routes, "own", SimpleNamespace(newest_chunk=chunk, device=own.device))
    answer = phone.post("reports", {**PLACE, "kind": "pothole"})
    assert "stop first" in refused(answer, 429, "driving")
    assert 100 < float(answer.headers["retry-after"]) <= 121
    day = str(datetime.now(UTC).date())
    refused(phone.post("credits/appeals", {"day": day, "text": "hm"}), 429, "driving")
    newest["metres"] = 13.0
    reported(phone)
    newest.update(metres=60.0, ago_s=routes.DRIVING_S + 1)
    reported(phone)


def test_no_report_is_taken_from_far_away_or_where_the_city_wants_to_know_nothing(purse: Purse, city: City) -> None:
    phone = purse.phone()
    swapped = {"lat": PLACE["lon"] - 60, "lon": PLACE["lat"], "kind": "pothole"}
    refused(phone.post("reports", swapped), 422, "not_here")
    refused(phone.post("reports", {**PLACE, "kind": "dragon"}), 422, "bad_request")
    west, south = 120.16, 30.27
    ring = ((west, south), (west + 0.01, south), (west + 0.01, south + 0.01), (west, south + 0.01), (west, south))
    closed = SimpleNamespace(utm_zone=city.utm_zone, utm_north=city.utm_north, no_go=(NoGo("x", ring),))
    with pytest.raises(NotHere, match="no-go"):
        cell_of(closed, **PLACE)  # type: ignore[arg-type]
    assert level_of(cell_of(city, **PLACE)) == 2


def test_photos_links_and_codes_go_by_their_age(purse: Purse, city: City, run: Run) -> None:
    phone = purse.phone()
    waiting, decided = reported(phone, "waits"), reported(phone, "decided")
    assert with_photo(phone, waiting).status_code == 200
    assert run("report", "confirm", decided, "--clerk", "c").exit_code == 0
    keeper = Keeper(city, KeepOptions())
    now_s = datetime.now(UTC).timestamp()

    def kept(number: str) -> tuple[bool, bool, str]:
        found = reports.report(purse.conn, paper.read_number(number, paper.NAME))
        return found.photo, found.account is not None, found.note

    keeper(purse.conn, now_s + 29 * 86_400)
    assert (kept(waiting), kept(decided)) == ((True, True, "waits"), (False, True, "decided"))
    keeper(purse.conn, now_s + 91 * 86_400)
    assert (kept(waiting), kept(decided)) == ((False, True, "waits"), (False, False, ""))


# ---------------------------------------------------------------- people without a phone


def test_who_has_no_phone_gets_a_number_on_paper_that_is_kept_nowhere(purse: Purse, run: Run, tmp_path: Path) -> None:
    page = tmp_path / "statement.html"
    note = "<script>alert(1)</script>"
    words = ("--at", "30.2790,120.1655", "--kind", "defective_cover", "--note", note)
    first = said(run("report", "add", "--by", "counter", *words, "--print", str(page), "--json"))
    number = paper.grouped(first["paper"])
    html = page.read_text()
    assert page.stat().st_mode & 0o077 == 0
    assert number in html
    assert "<script" not in html
    assert "<svg" in html
    dump = str([
        purse.conn.execute(f"SELECT t::text FROM {t} t").fetchall()  # noqa: S608
        for t in ("account", "citizen_report", "points_entry")
    ])  # fmt: skip
    assert first["paper"] not in dump
    by_phone = said(run("report", "add", "--by", "hotline", *words, "--paper", number.lower(), "--json"))
    assert (by_phone["paper"], by_phone["new"]) == (first["paper"], False)
    assert by_phone["report"] != first["report"]
    for name in (first["report"], by_phone["report"]):
        assert run("report", "confirm", name, "--clerk", "clerk 7").exit_code == 0
    account = counter.account_on_paper(purse.conn, number)
    assert [c.what for c in points_store.claims(purse.conn, account)] == ["report", "report"]
    settle(purse.conn, {account: 40})
    assert said(run("show", number, "--json"))["balance"]["available"] == 40
    assert run("show", number, "--print", str(page)).exit_code == 0
    assert ">40<" in page.read_text()
    code = said(run("code", number, "--points", "25", "--json"))[0]["code"]
    mall = {"Authorization": f"Bearer {KEY.token}"}
    body = {"code": code.lower(), "key": "paper-till-1"}
    assert purse.client.post("/api/v1/redemptions", json=body, headers=mall).json()["points"] == 25
    assert said(run("show", number, "--json"))["balance"]["available"] == 15
    assert said(run("budget", "--json"))[0]["spent"] >= 25
    assert said(run("settlements", "--json"))[0]["issued that day"] == 40


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--by", "letter", "--at", "30.279,120.1655", "--kind", "pothole"), counter.BadReport),
        (("--by", "hotline", "--at", "30.279,120.1655", "--kind", "dragon"), counter.BadReport),
        (("--by", "hotline", "--at", "0,0", "--kind", "pothole"), NotHere),
        (("--by", "hotline", "--at", "30.279,120.1655", "--kind", "pothole", "--paper", "ABC"), paper.BadNumber),
        (
            ("--by", "hotline", "--at", "30.279,120.1655", "--kind", "pothole", "--paper", paper.number_of(7, 17)),
            points_store.NoAccount,
        ),
    ],
)
def test_a_wrong_word_at_the_counter_is_named_and_changes_nothing(
    purse: Purse, run: Run, words: tuple[str, ...], error: type[Exception]
) -> None:
    before = one(purse.conn, "SELECT (SELECT count(*) FROM account) + (SELECT count(*) FROM citizen_report)")
    assert isinstance(run("report", "add", *words).exception, error)
    assert before == one(purse.conn, "SELECT (SELECT count(*) FROM account) + (SELECT count(*) FROM citizen_report)")


def test_guessed_numbers_on_paper_lead_to_nothing(purse: Purse) -> None:
    guessed = [paper.number_of(n * 7919, paper.PAPER) for n in range(200)]
    for number in guessed:
        with pytest.raises(points_store.NoAccount, match="nobody has this number"):
            counter.account_on_paper(purse.conn, number)
    assert purse.client.get(f"/api/v1/me/credits?paper={guessed[0]}").status_code == 401, "no path over HTTP at all"


def test_the_paper_page_escapes_what_it_is_given() -> None:
    bad = "<b onclick=x>"
    told = {"city": bad, "banner": bad, "paper": paper.number_of(1, 17), "report": paper.number_of(1, 7), "kind": bad,
            "day": bad}  # fmt: skip
    assert bad not in paper_page.page(told)
    assert "365" in paper_page.text(told)


# ---------------------------------------------------------------- the mall


def test_the_mall_redeems_looks_up_and_gives_back_and_learns_of_nobody(purse: Purse) -> None:
    phone = purse.phone()
    settle(purse.conn, {phone.account: 50})
    code = phone.post("redemption-code", {"points": 20}).json()
    refused(phone.post("redemption-code", {"points": 51}), 409, "not_enough")
    mall = {"Authorization": f"Bearer {KEY.token}"}
    body = {"code": code["code"], "key": "order:2026-0001"}
    first = purse.client.post("/api/v1/redemptions", json=body, headers=mall)
    again = purse.client.post("/api/v1/redemptions", json=body, headers=mall)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert purse.client.get("/api/v1/redemptions/order:2026-0001", headers=mall).json() == first.json()
    for secret in (phone.name, phone.account, code["code"]):
        assert secret not in first.text
    other = {"code": code["code"], "key": "order:2026-0002"}
    refused(purse.client.post("/api/v1/redemptions", json=other, headers=mall), 409, "code_used")
    back = purse.client.post("/api/v1/redemptions/order:2026-0001/refund", headers=mall)
    assert back.json()["state"] == "refunded"
    assert phone.get("credits")["balance"]["available"] == 50
    refused(purse.client.get("/api/v1/redemptions/never-was-one", headers=mall), 404, "no_such_redemption")
    misread = {"code": "x", "key": "12345678"}
    refused(purse.client.post("/api/v1/redemptions", json=misread, headers=mall), 422, "bad_number")
    refused(purse.client.get("/api/v1/redemptions/a%20b", headers=mall), 422, "bad_request")


def test_only_the_mall_s_token_opens_redemptions_and_it_opens_nothing_else(
    purse: Purse, monkeypatch: pytest.MonkeyPatch
) -> None:
    mall = {"Authorization": f"Bearer {KEY.token}"}
    assert purse.client.get("/api/v1/summary", headers=mall).status_code == 401
    assert purse.client.get("/api/v1/redemptionsx", headers=mall).status_code == 401
    for given in ("of-the-instance", KEY.signing, "-", "x" * 5000):
        refused(
            purse.client.get("/api/v1/redemptions/12345678", headers={"Authorization": f"Bearer {given}"}),
            401, "not_the_mall",
        )  # fmt: skip
    no = {"Authorization": "Bearer no"}
    wrong = [purse.client.get("/api/v1/redemptions/12345678", headers=no) for _ in range(10)]
    assert wrong[-1].status_code == 429
    assert redemption.CODE_S == 900
    for path in ("/me.html", "/me/me.js", "/me/me.css"):
        assert purse.client.get(path).status_code == 200, "a citizen needs no token of the instance for the page"
    assert purse.client.get("/app.js").status_code == 401
