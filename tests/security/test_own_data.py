"""A citizen's own data, over HTTP: a phone enrols itself, reads what is kept of it, renews its password, goes."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from api import consent, wiring
from api.recount import recount
from ingest import Credential, Sender
from ingest import devices as own

from .fort import TOKEN, WAIT_S, Fort, let_in, session


def drive(phone: Credential, *payloads: bytes) -> None:
    with Sender(phone) as sender:
        for payload in payloads:
            sender.send(payload)
        report = sender.finish(30)
    assert (report.accepted + sum(report.refused.values()), report.waiting) == (len(payloads), 0)


def everywhere(fort: Fort, needle: str) -> dict[str, int]:
    """In which tables a text stands, in any column, and how often."""
    found = {}
    with fort.connect() as conn:
        tables = conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
        for (table,) in tables:
            query = f'SELECT count(*) FROM "{table}" AS t WHERE position(%s IN t::text) > 0'  # noqa: S608  (from the catalogue)
            row = conn.execute(query.encode(), (needle,)).fetchone()
            if row and row[0]:
                found[table] = row[0]
    return found


# ---------------------------------------------------------------- coming in


def test_a_phone_enrols_itself_with_nothing_but_a_consent(fort: Fort) -> None:
    with fort.http() as client:
        shown = client.get("/api/v1/consent").json()
        assert (shown["version"], shown["enrolment"]) == (consent.VERSION, "open")
        assert client.get("/api/v1/summary").status_code == 401, "the instance's token is another matter"
        told = client.post("/api/v1/devices", json={"consent": shown["version"]})
    assert told.status_code == 201
    assert told.headers["cache-control"] == "no-store"
    phone = Credential(**told.json())
    assert let_in(phone)
    with fort.connect() as conn:
        row = conn.execute("SELECT * FROM device WHERE id = %s", (phone.device,)).fetchone()
    assert row is not None
    assert phone.password not in str(row)
    assert phone.client_id not in str(row)
    assert "127.0.0." not in str(row), "no address is kept"
    (payload,) = fort.chunks(accuracy_m=3.0, carrier="car")
    drive(phone, payload)
    assert fort.kept(payload) == 1


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        ({}, 422, "bad_request"), ({"consent": "0"}, 409, "other_consent"),
        ({"consent": "1", "invitation": "guess"}, 403, "not_invited"),
        ({"consent": "1", "phone_number": "123"}, 422, "bad_request"), ({"consent": 1}, 422, "bad_request"),
        ({"consent": "1", "invitation": "x" * 5000}, 413, "too_large"),
    ],
)  # fmt: skip
def test_what_a_phone_says_wrongly_is_named(fort: Fort, body: dict[str, Any], status: int, name: str) -> None:
    with fort.http() as client:
        before = fort.one("SELECT count(*) FROM device")
        answer = client.post("/api/v1/devices", json=body)
        assert (answer.status_code, answer.json()["error"]) == (status, name)
        assert fort.one("SELECT count(*) FROM device") == before


def test_a_page_elsewhere_cannot_enrol_through_a_browser(fort: Fort) -> None:
    """A form or a plain fetch may send text; JSON it may not send without our leave, which nobody gives."""
    with fort.http() as client:
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            answer = client.post("/api/v1/devices", content=b'{"consent": "1"}', headers={"Content-Type": kind})
            assert answer.status_code == 415
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "content-type"}  # fmt: skip
        assert "access-control-allow-origin" not in client.options("/api/v1/devices", headers=asked).headers
        told = client.get("/api/v1/me")
        assert told.status_code == 401
        assert "basic" not in told.headers["www-authenticate"].lower(), "a browser would remember it and send it along"


def test_enrolling_without_end_is_stopped_by_address(fort: Fort) -> None:
    with fort.http(headers={"X-Forwarded-For": "2001:db8:1:2::1"}) as client:
        wrong = {"consent": "1", "invitation": "no"}
        told = [client.post("/api/v1/devices", json=wrong).status_code for _ in range(20)]
        assert told == [403] * 20, "wrong invitations count too"
    for neighbour in ("2001:db8:1:2::2", "2001:db8:1:2:ffff::1"):  # the same household's
        with fort.http(headers={"X-Forwarded-For": neighbour}) as client:
            assert client.post("/api/v1/devices", json={"consent": "1"}).status_code == 429
    with fort.http(headers={"X-Forwarded-For": "2001:db8:1:3::1"}) as client:
        assert client.post("/api/v1/devices", json={"consent": "1"}).status_code == 201


# ---------------------------------------------------------------- reading


def test_a_device_reads_all_that_is_kept_of_it_and_nothing_of_others(fort: Fort) -> None:
    phone, other = fort.phone(), fort.phone()
    good = fort.chunks(23, accuracy_m=3.0, carrier="car", jolts=((7.0, 1.5, 1.0),))
    bad = b"\xff not a chunk"
    drive(phone, *good, bad)
    drive(other, *fort.chunks(1, accuracy_m=3.0, carrier="car"))
    with fort.http(phone) as client:
        told = client.get("/api/v1/me")
        assert told.headers["cache-control"] == "no-store"
        mine = told.json()
        pages, after = [], 0
        while after is not None:
            page = client.get("/api/v1/me/chunks", params={"after": after}).json()
            pages.append(page["chunks"])
            after = page["next"]
    assert mine["device"]["id"] == phone.device
    assert mine["device"]["consent_version"] == consent.VERSION
    assert (mine["chunks"]["number"], mine["chunks"]["bytes"]) == (23, sum(map(len, good)))
    assert {row["device"] for table in ("seen", "dead_letter") for row in mine[table]} == {phone.device}
    assert [row["reason"] for row in mine["dead_letter"]] == ["malformed"]
    assert [len(page) for page in pages] == [20, 3]
    assert {base64.b64decode(chunk["raw"]) for page in pages for chunk in page} == set(good)
    (felt,) = [chunk for page in pages for chunk in page if chunk["findings"]]
    assert felt["seq"] == 1
    assert all(chunk["blocks"] for page in pages for chunk in page)
    assert other.device not in str(mine) + str(pages)
    with fort.connect() as conn:
        held = set(own.tables_of_devices(conn))
    assert held <= mine.keys()
    assert mine["cut_off"] == []
    assert {"seen", "dead_letter"} <= held


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/me/chunks"])
def test_without_the_device_s_password_there_is_nothing(fort: Fort, path: str) -> None:
    phone = fort.phone()
    with fort.http(headers={"X-Forwarded-For": f"198.51.100.{len(path)}"}) as client:
        for header in (None, f"Bearer {TOKEN}", "Basic !", "Basic"):
            answer = client.get(path, headers={} if header is None else {"Authorization": header})
            assert (answer.status_code, answer.json()["error"]) == (401, "not_known")
        for name, password in (
            (phone.device, ""), (phone.device, "\0"), (phone.device, "x" * 500), ("nobody", phone.password),
            (phone.device, phone.client_id), ("' OR 1=1 --", "x"),
        ):  # fmt: skip
            assert client.get(path, auth=(name, password)).status_code == 401
        assert client.get(path, auth=(phone.device, phone.password)).status_code == 200


# ---------------------------------------------------------------- renewing, being forgotten


def test_a_new_password_ends_the_old_one_at_once(fort: Fort) -> None:
    phone = fort.phone()
    with session(phone) as one, fort.http(phone) as client:
        assert one.connected.get(timeout=WAIT_S)
        told = client.post("/api/v1/me/rotate")
        assert one.ended.wait(WAIT_S)
        assert client.get("/api/v1/me").status_code == 401
    renewed = Credential(**told.json())
    assert (renewed.device, renewed.kind) == (phone.device, "phone")
    assert renewed.client_id != phone.client_id
    assert not let_in(phone)
    assert let_in(renewed)
    with fort.http(renewed) as client:
        assert client.get("/api/v1/me").json()["device"]["rotated_at"]
        for _ in range(4):
            told = client.post("/api/v1/me/rotate")
            client.auth = (phone.device, told.json()["password"])
        assert client.post("/api/v1/me/rotate").status_code == 429, "each makes the broker read its list"


def test_a_phone_that_wishes_it_is_forgotten(fort: Fort) -> None:
    phone, other = fort.phone(), fort.phone()
    mine = fort.chunks(4, accuracy_m=3.0, carrier="car", jolts=((7.0, 1.5, 1.0),))
    others = fort.chunks(2, accuracy_m=3.0, carrier="car")
    late, bad = fort.chunks(1)[0], b"\xff not a chunk"
    drive(phone, *mine, bad)
    drive(other, *others)
    sums = fort.one("SELECT count(*) FROM journal") + fort.one("SELECT count(*) FROM evidence")
    trip = fort.one("SELECT trip FROM chunk WHERE device = %s LIMIT 1", phone.device)
    needle = mine[1][:48].hex()
    before = everywhere(fort, phone.device).keys()
    assert before >= {"device", "seen", "device_day", "dead_letter"}
    assert any(table.startswith("chunk_phone_") for table in before)
    with session(phone) as one, fort.http(phone) as client:
        assert one.connected.get(timeout=WAIT_S)
        told = client.delete("/api/v1/me")
        assert told.status_code == 200, told.text
        assert one.ended.wait(WAIT_S), "its session ends"
        one.publish(f"rhc/v1/{phone.device}/chunk", late)
        assert client.get("/api/v1/me").status_code == 401
    erased = told.json()["erased"]
    assert (erased["chunk"], erased["finding"], erased["dead_letter"]) == (4, 1, 1)
    assert erased["pass"] >= 4
    assert "sums over squares" in told.json()["stays"]
    assert not let_in(phone)
    assert everywhere(fort, phone.device) == {"device": 1}, "the name alone, that nobody gets it again"
    assert [everywhere(fort, text) for text in (trip, needle)] == [{}, {}]
    assert fort.kept(*others) == 2
    assert fort.one("SELECT count(*) FROM journal") + fort.one("SELECT count(*) FROM evidence") >= sums, "sums stay"
    with fort.connect() as conn:
        assert recount(conn, fort.city, wiring.EVIDENCE).exact, "and are known to be such that nobody can count again"


def test_what_was_on_its_way_when_a_phone_was_forgotten_is_neither_counted_nor_noted(fort: Fort) -> None:
    """With its keys gone, a chunk that came again would count twice: so nothing of it is taken, and no refusal kept."""
    phone = fort.phone()
    (payload,) = fort.chunks(accuracy_m=3.0, carrier="car")
    drive(phone, payload)
    counted = fort.one("SELECT n FROM tally WHERE name = 'accepted' AND label = 'phone'")
    with session(phone) as one:
        assert one.connected.get(timeout=WAIT_S)
        assert one.subscribe(f"rhc/v1/{phone.device}/verdict")
        with fort.connect() as conn:  # as far as the web gets before it tells the broker
            from api.erasure import ask_to_erase, erase_asked  # noqa: PLC0415

            ask_to_erase(conn, phone.device)
            assert erase_asked(conn)[phone.device]["chunk"] == 1
            assert erase_asked(conn) == {}, "done is done"
        one.publish(f"rhc/v1/{phone.device}/chunk", payload)
        _, told = one.messages.get(timeout=WAIT_S)
    assert [(reason, sha) for _, reason, sha in told["refused"]] == [
        ("unknown_device", hashlib.sha256(payload).hexdigest())
    ]
    assert fort.one("SELECT n FROM tally WHERE name = 'accepted' AND label = 'phone'") == counted
    assert everywhere(fort, phone.device) == {"device": 1}


def test_a_box_cannot_erase_what_the_city_measured(fort: Fort) -> None:
    box = fort.enrol("city-box")
    drive(box, *fort.chunks(1))
    with fort.http(box) as client:
        told = client.delete("/api/v1/me")
        assert (told.status_code, told.json()["error"]) == (403, "not_a_phone")
        assert client.get("/api/v1/me").json()["chunks"]["number"] == 1
    assert let_in(box)


def test_the_consent_text_and_its_version_change_together() -> None:
    """Whoever changes a text must give it a new version, and then this line."""
    texts = hashlib.sha256((consent.TEXT_ZH + consent.TEXT_EN).encode()).hexdigest()[:16]
    assert (consent.VERSION, texts) == ("1", "cc61489fa6c4cd12")
