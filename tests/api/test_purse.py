"""What a citizen asks for over HTTP: join, read why, check a statement, appeal, report, redeem, leave; and what a clerk
decides. On a real database, through the application."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from api import own_points, points_words
from api.commands.points import verify_statement_file
from api.erasure import ask_to_erase, erase_asked
from ingest import City
from ledger import Chain, Log, paper, points, points_store, reports, step

from .purse import AT, PLACE, Purse, jpeg, one, open_purse, refused, settle


@pytest.fixture(scope="module")
def purse(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Purse]:
    with open_purse(postgres, tmp_path_factory.mktemp("purse")) as opened:
        yield opened


# ---------------------------------------------------------------- joining, explaining, leaving


def test_nobody_is_in_who_has_not_agreed_to_the_text_on_points(purse: Purse) -> None:
    told = purse.client.get("/api/v1/consent").json()["points"]
    for words in (told["zh"], told["en"]):
        assert "48" in words
        assert "365" in words
    phone = purse.phone(joined=False)
    assert phone.get("credits") == {"joined": False, "banner": "SIMULATED + REPLAY"}
    refused(phone.post("points", {"consent": "p0"}), 409, "other_consent")
    refused(phone.post("credits/appeals", {"day": "2026-11-20", "text": "why"}), 404, "no_account")
    assert points_store.account_of(purse.conn, phone.name) is None
    assert phone.post("points", {"consent": told["version"]}).status_code == 201
    account = phone.account
    assert phone.post("points", {"consent": told["version"]}).status_code == 200
    assert phone.account == account
    assert reports.consent_of(purse.conn, account)[0] == told["version"]  # type: ignore[index]
    refused(purse.phone(joined=False, kind="box").post("points", {"consent": told["version"]}), 403, "not_a_phone")
    assert purse.client.get("/api/v1/me/credits").status_code == 401


def test_every_point_and_every_refusal_is_explained_in_both_languages(purse: Purse, city: City) -> None:
    phone = purse.phone()
    today = city.service_day(datetime.now(UTC).timestamp())
    with purse.conn.transaction():
        purse.conn.execute("UPDATE account SET joined_at = %s WHERE id = %s", (AT - timedelta(days=50), phone.account))
    not_earned = {(phone.account, "nobody_agreed"): 3, (phone.account, "cell_full"): 2}
    day = settle(purse.conn, {phone.account: 12}, not_earned)
    with purse.conn.transaction():
        reports.appeal(purse.conn, phone.account, day, "it was me who felt it", AT, day)
        appeal = reports.appeals_of(purse.conn, phone.account)[0]
        reports.grant(purse.conn, appeal.id, 5, "clerk 7", "the log of the road agrees", AT)
    told = phone.get("credits")
    assert told["balance"] == {"earned": 12, "spent": 0, "expired": 0, "available": 12}
    of = {d["day"]: d for d in told["days"]}
    assert today.isoformat() in of
    settled = own_points.credits_of(purse.conn, phone.account, city, AT.timestamp())["days"]
    (one_day,) = [d for d in settled if d["day"] == day.isoformat()]
    assert one_day["status"] == "settled"
    assert one_day["points"] == 12
    assert [e["points"] for e in one_day["entries"]] == [12]
    by = {r["reason"]: r for r in one_day["refusals"]}
    assert {name: r["n"] for name, r in by.items()} == {"nobody_agreed": 3, "cell_full": 2}
    assert "没有感受到" in by["nobody_agreed"]["zh"]
    assert "Nobody" in by["nobody_agreed"]["en"] or "nobody" in by["nobody_agreed"]["en"]
    assert [(c["what"], c["points"], c["state"]) for c in one_day["claims"]] == [("appeal", 5, "waits")]
    assert one_day["appeals"][0]["answer"] == "the log of the road agrees"
    assert "clerk 7" not in json.dumps(settled), "who decided is not told to others"
    root = one(purse.conn, "SELECT encode(root, 'hex') FROM points_day WHERE day = %s", day)
    assert one_day["settlement"]["root"] == root
    assert told["budget"]["points"] == 10_000


def test_every_reason_has_words_and_a_unit_in_both_languages() -> None:
    for why in points.Why:
        told = points_words.words_of(why.value)
        assert all(told[name] for name in ("zh", "en", "unit_zh", "unit_en")), why
        assert re.search(r"[\u4e00-\u9fff]", told["zh"])
        assert told["en"] != why.value.replace("_", " ")
    assert points_words.words_of("of_tomorrow")["en"] == "of tomorrow"


def test_points_that_go_soon_are_named_first_in_first_out(purse: Purse, city: City) -> None:
    phone = purse.phone()
    first = settle(purse.conn, {phone.account: 10})
    second = settle(purse.conn, {phone.account: 20})
    points_store.spend(purse.conn, phone.account, 4, "some-key-1", {"reason": "test"}, second)
    last = (first + timedelta(days=365), second + timedelta(days=365))
    at = datetime.combine(last[0] - timedelta(days=30), datetime.min.time(), UTC).timestamp() + 12 * 3600
    told = own_points.credits_of(purse.conn, phone.account, city, at)
    assert told["expiring"] == [{"on": last[0].isoformat(), "points": 6}, {"on": last[1].isoformat(), "points": 20}]
    long_before = own_points.credits_of(purse.conn, phone.account, city, at - 100 * 86_400)
    assert long_before["expiring"] == []


def test_leaving_takes_what_is_left_and_says_what_stays(purse: Purse) -> None:
    phone = purse.phone()
    account = phone.account
    settle(purse.conn, {account: 9})
    assert phone.post("reports", {**PLACE, "kind": "pothole", "note": "by the school"}).status_code == 201
    gone = phone.ask("DELETE", "points").json()
    assert gone["gone"]["points"] == 9
    assert gone["gone"]["citizen_report"] == 1
    assert "salted hashes" in gone["stays"]
    assert phone.get("credits")["joined"] is False
    row = purse.conn.execute("SELECT account, note, state FROM citizen_report ORDER BY at DESC LIMIT 1").fetchone()
    assert row == (None, "", "withdrawn")
    assert phone.ask("DELETE", "points").json()["gone"] == {}


def test_an_erasure_and_an_export_hold_the_purse_too(purse: Purse) -> None:
    phone = purse.phone()
    account = phone.account
    day = settle(purse.conn, {account: 9}, {(account, "nothing_new"): 1})
    number = phone.post("reports", {**PLACE, "kind": "pothole", "note": "a deep one"}).json()["number"]
    photo = {"content": jpeg(), "headers": {"Content-Type": "image/jpeg"}}
    assert phone.ask("PUT", f"reports/{number}/photo", **photo).status_code == 200
    with purse.conn.transaction():
        reports.appeal(purse.conn, account, day, "please look again", AT, day)
    kept = purse.client.get("/api/v1/me", auth=(phone.name, phone.name)).json()["points"]
    assert kept["account"] == account
    assert [e["points"] for e in kept["entries"]] == [9]
    assert [r["reason"] for r in kept["refusals"]] == ["nothing_new"]
    assert kept["reports"][0]["note"] == "a deep one"
    assert kept["appeals"][0]["text"] == "please look again"
    ask_to_erase(purse.conn, phone.name)
    erase_asked(purse.conn)
    for table in ("citizen_report", "points_appeal", "redemption_code", "points_consent"):
        assert one(purse.conn, f"SELECT count(*) FROM {table} WHERE account = %s", account) == 0  # noqa: S608
    assert one(purse.conn, "SELECT count(*) FROM citizen_photo p JOIN citizen_report r ON r.id = p.report "
               "WHERE r.id = %s", paper.read_number(number, paper.NAME)) == 0  # fmt: skip
    text = json.dumps([str(r) for t in ("account", "points_entry", "points_leaf", "citizen_report", "points_appeal")
                       for r in purse.conn.execute(f"SELECT * FROM {t}")])  # noqa: S608  # fmt: skip
    assert phone.name not in text
    assert "a deep one" not in text


# ---------------------------------------------------------------- statements


def test_a_statement_holds_offline_and_not_with_a_flipped_figure(purse: Purse, tmp_path: Path) -> None:
    phone, other = purse.phone(), purse.phone()
    before = settle(purse.conn, {phone.account: 1})
    day = settle(purse.conn, {phone.account: 21, other.account: 2})
    file = tmp_path / "statement.json"

    def checked(key: str | None = None) -> dict[str, bool | None]:
        return {s.name: s.ok for s in verify_statement_file(file, key)}

    file.write_text(json.dumps(phone.get(f"credits/{day}/statement")))
    assert checked() == {"statement": True, "record": None}, "the log has nothing of it yet"
    folder = purse.home / "ledger" / "log"
    with Log(folder, "road-health-code/test") as log, psycopg.connect(purse.url) as conn:
        assert step(conn, log, Chain("http://127.0.0.1:9/none", tmp_path, 0.2), AT.timestamp()).numbered > 0
        stranger = log.verifier.replace("road-health-code/test", "road-health-code/other")
    whole = phone.get(f"credits/{day}/statement")
    assert whole["proof"] is not None
    file.write_text(json.dumps(whole))
    key = str(folder / "log.pub")
    holds = {"statement": True, "record": True, "inclusion": True, "signature": True, "anchor": None}
    assert checked(key).items() >= holds.items(), "and the chain was not asked"
    assert checked()["signature"] is None
    assert checked(stranger)["signature"] is False
    for spoil in (
        lambda d: d["statement"]["entries"][0].update(points=22),
        lambda d: d["statement"].update(account=other.account),
        lambda d: d["statement"].update(index=d["statement"]["index"] ^ 1),
        lambda d: d["statement"].update(root="00" * 32),
        lambda d: d.update(proof=phone.get(f"credits/{before}/statement")["proof"]),
    ):
        spoilt = json.loads(json.dumps(whole))
        spoil(spoilt)
        file.write_text(json.dumps(spoilt))
        assert False in checked(key).values()
    for bad in ("", "[]", "{}", '{"kind": "points-statement", "v": 1, "statement": {}}'):
        file.write_text(bad)
        assert checked(key) == {"statement": False}
    refused(phone.ask("GET", "credits/2020-01-01/statement"), 404, "no_statement")
    refused(phone.ask("GET", "credits/never/statement"), 422, "bad_request")
