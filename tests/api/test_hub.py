"""A hub: what it hands out, and that it can be asked nothing else."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from api import hub as hub_module
from api.hub import LIFE_S, RENEW_S, Hub, HubError
from api.hub_app import create_hub_app
from api.hub_line import Answer, NotUpdated, over_http
from api.trust_folder import MOST_STEPS, STALE_S, TrustFolder
from api.value_sets import value_sets
from ledger import DistrictKeys, NeedsFingerprint, StatementError, TrustList, fingerprint, read_trust_list

from ..street import until

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400
NOW = 1_795_500_000.0


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    made = Hub(tmp_path / "hub")
    made.init("Union of districts", NOW)
    return made


@pytest.fixture
def keys(tmp_path: Path) -> DistrictKeys:
    made = DistrictKeys(tmp_path / "a", "330105", "拱墅")
    made.current(NOW)
    return made


@dataclass
class Answered:
    status: int
    content: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Client:
    """Asks a hub that is served on this port."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, method: str = "GET", **headers: str) -> Answered:
        line = HTTPConnection("127.0.0.1", self.port, timeout=10)
        line.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = line.getresponse()
        content = answer.read()
        line.close()
        return Answered(answer.status, content, {name.lower(): value for name, value in answer.getheaders()})


@contextmanager
def served(hub: Hub, renew: bool) -> Iterator[Client]:
    """The hub's application, served by the server that serves it in earnest."""
    app = create_hub_app(hub.folder, renew=renew)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Client(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(timeout=10)


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with served(hub, renew=False) as made:
        yield made


def joined(hub: Hub, keys: DistrictKeys, now_s: float = NOW) -> None:
    hub.add(keys.statement(), now_s, [fingerprint(keys.current(now_s).key)])


def test_the_only_things_that_can_be_asked_are_lists_and_value_sets(hub: Hub, client: Client) -> None:
    """No path takes a code, a place or a device, none writes, and none reads a query."""
    app = create_hub_app(hub.folder, renew=False)
    routes = {(route.path, *sorted(route.methods)) for route in app.routes}  # type: ignore[attr-defined]
    assert routes == {
        ("/trust-list", "GET"), ("/trust-list/{number}", "GET"), ("/value-sets", "GET"), ("/value-sets/{name}", "GET"),
        ("/healthz", "GET"),
    }  # fmt: skip
    for route in app.routes:
        assert not route.dependant.query_params + route.dependant.body_params  # type: ignore[attr-defined]
    for path in ("/api/v1/cells/1/certificate", "/s/RHC1", "/certificate", "/openapi.json", "/secret/x", "/hub.json"):
        assert client.get(path).status == 404
    assert client.get("/trust-list", "POST").status == 405


def test_what_is_served_is_what_was_signed_and_nothing_is_sent_twice(hub: Hub, client: Client) -> None:
    first = client.get("/trust-list")
    assert first.headers["content-type"] == "application/cose"
    trust = read_trust_list(first.content, hub.key())
    assert (trust.number, trust.publisher, trust.expires_s) == (1, "Union of districts", int(NOW) + LIFE_S)
    tag = first.headers["etag"]
    assert tag == f'"{sha256(first.content).hexdigest()}"'
    again = client.get("/trust-list", If_None_Match=tag)
    assert (again.status, again.content) == (304, b"")
    hub.publish(NOW + 60)
    fresh = client.get("/trust-list", If_None_Match=tag)
    assert fresh.status == 200
    assert read_trust_list(fresh.content, hub.key()).previous == sha256(first.content).digest()
    assert client.get("/trust-list/1").content == first.content
    for missing in (
        "/trust-list/3",
        "/trust-list/0",
        "/trust-list/-1",
        "/value-sets/none",
        "/value-sets/..%2f..%2fhub",
    ):
        assert client.get(missing).status in (404, 422), missing


def test_value_sets_say_the_numbers_of_codes_in_both_languages_as_the_map_does(client: Client, hub: Hub) -> None:
    trust = read_trust_list(client.get("/trust-list").content, hub.key())
    listed = client.get("/value-sets").json()
    assert {name: said["sha256"] for name, said in listed.items()} == {
        name: digest.hex() for name, digest in trust.value_sets.items()
    }
    assert set(listed) == {"colours", "defect-kinds", "states"}
    sets = {name: client.get(f"/value-sets/{name}").json()["values"] for name in listed}
    kinds = {v["key"]: v for v in sets["defect-kinds"]}
    assert sum(v["standard"] for v in kinds.values()) == 16
    assert (kinds["pothole"]["number"], kinds["pothole"]["zh"]) == (9, "坑槽")
    words = (ROOT / "api" / "web" / "words.js").read_text(encoding="utf-8")
    colours = [
        dict(re.findall(r'(\w+): "([^"]+)"', line)) for line in re.findall(r"(?m)^    colour: \{(.*)\},$", words)
    ]
    states = [dict(re.findall(r'(\w+): "([^"]*)"', line)) for line in re.findall(r"(?m)^    state: \{(.*)\},$", words)]
    for language, shown in zip(("zh", "en"), colours, strict=True):
        assert {v["key"]: v[language] for v in sets["colours"]} == shown
    for language, shown in zip(("zh", "en"), states, strict=True):
        for value in sets["states"]:
            assert value[language] == (shown[value["key"]] or value[language])
    assert [v["number"] for v in sets["colours"]] == [0, 1, 2, 3]


def test_a_district_joins_by_its_fingerprint_and_goes_on_by_itself(hub: Hub, keys: DistrictKeys) -> None:
    with pytest.raises(NeedsFingerprint):
        hub.add(keys.statement(), NOW)
    assert hub.newest().trust.keys == ()
    joined(hub, keys)
    with pytest.raises(StatementError, match="not newer"):
        hub.add(keys.statement(), NOW)
    made = keys.rotate(NOW + DAY, NOW + 4 * DAY)
    published = hub.add(keys.statement(), NOW + DAY)
    assert {k.kid for k in published.trust.keys} == {k.kid for k in keys.all()}
    assert published.trust.find(made.kid, "330105", NOW + 4 * DAY).name == "拱墅"
    assert published.trust.number == 3


def test_a_revocation_is_published_at_once_and_stays(hub: Hub, keys: DistrictKeys) -> None:
    joined(hub, keys)
    kid = keys.current(NOW).kid
    published = hub.revoke(kid, NOW + 60, "their telephone call")
    assert [k.revoked_s for k in published.trust.keys] == [int(NOW) + 60]
    keys.rotate(NOW + DAY)
    with pytest.raises(NeedsFingerprint):
        hub.add(keys.statement(), NOW + DAY)
    joined(hub, keys, NOW + DAY)
    assert {k.kid: k.revoked_s for k in hub.newest().trust.keys}[kid] == int(NOW) + 60
    with pytest.raises(HubError, match="no district has a key"):
        hub.revoke(b"12345678", NOW, "never there")
    notes = [json.loads(line)["what"] for line in (hub.folder / "journal.jsonl").read_text().splitlines()]
    assert notes == ["district", "revoked", "district"]


def test_a_crash_between_list_and_state_makes_no_second_list_of_a_number(
    hub: Hub, keys: DistrictKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined(hub, keys)
    monkeypatch.setattr(hub_module, "sign_trust_list", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        hub.revoke(keys.current(NOW).kid, NOW, "leaked")
    monkeypatch.undo()
    assert hub.newest().trust.number == 2
    published = hub.publish(NOW + 1)
    assert (published.trust.number, published.trust.keys[0].revoked_s) == (3, int(NOW))
    written = hub.public.document(3)
    hub.public.newest = lambda: 2  # type: ignore[method-assign]  (as if list 3 had not been seen)
    with pytest.raises(FileExistsError):
        hub.publish(NOW + 2)
    assert hub.public.document(3) == written


def test_a_hub_that_lost_its_lists_goes_on_from_the_newest_that_a_district_kept(hub: Hub, tmp_path: Path) -> None:
    folder, pin = TrustFolder(tmp_path / "b"), hub.key()
    hub.publish(NOW + 1)
    held, _ = folder.take(hub.newest().data, pin, NOW + 2)
    for path in (hub.folder / "public" / "lists").iterdir():
        path.unlink()
    (hub.folder / "public" / "lists" / "00000002.cose").write_bytes(held.data)
    assert folder.take(hub.publish(NOW + 3).data, pin, NOW + 4)[0].trust.number == 3


def test_a_list_is_renewed_once_a_day_and_expires_after_a_week(hub: Hub) -> None:
    assert hub.renew(NOW + RENEW_S - 1) is None
    renewed = hub.renew(NOW + RENEW_S)
    assert renewed is not None
    assert renewed.trust.expires_s == int(NOW) + RENEW_S + LIFE_S
    assert hub.publish(NOW).trust.issued_s == renewed.trust.issued_s, "a clock that was set back makes no older list"


def test_a_hub_that_is_served_so_renews_by_itself_and_without_its_key_serves_on(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "hub")
    hub.init("Union", time.time() - 2 * DAY)
    with served(hub, renew=True) as client:
        until(lambda: client.get("/trust-list/2").status == 200, 10, "a new list is signed at the start")
    assert hub.newest().trust.expires_s > time.time() + LIFE_S - 600
    for path in (hub.folder / "secret").iterdir():
        path.unlink()
    with served(hub, renew=True) as client:
        assert client.get("/healthz").json()["number"] == 2


def test_the_hub_s_own_key_is_followed_from_list_to_list(hub: Hub, client: Client, tmp_path: Path) -> None:
    old = hub.key()
    early, late = TrustFolder(tmp_path / "early"), TrustFolder(tmp_path / "late")
    early.update(over_http(client.url), old, NOW)
    announced = hub.rotate(NOW + 1)
    assert announced.trust.next_key == hub.key() != old
    with pytest.raises(HubError, match="announced already"):
        hub.rotate(NOW + 2)
    for n in range(3):
        hub.publish(NOW + 3 + n)
    secrets = {path.stem for path in (hub.folder / "secret").glob("*.key")}
    assert secrets == {hub.key().kid.hex()}, "what signs no more is not kept"
    held, _ = early.update(over_http(client.url), old, NOW + 9)
    assert (held.trust.number, held.key) == (5, hub.key())
    begun, _ = late.update(over_http(client.url), old, NOW + 9)
    assert (begun.data, begun.key) == (held.data, held.key), "who pinned the old key finds the way to the new one"
    with pytest.raises(NotUpdated, match="pinned key"):
        TrustFolder(tmp_path / "other").update(
            over_http(client.url), DistrictKeys(tmp_path / "x", "1").current(NOW).key, NOW
        )


def test_a_hub_without_its_key_or_folder_says_what_to_do(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="roadcode hub init"):
        Hub(tmp_path / "none").publish(NOW)
    with pytest.raises(HubError, match="already"):
        hub.init("again", NOW)
    for path in (hub.folder / "secret").glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
        path.unlink()
    with pytest.raises(HubError, match="backup"):
        hub.publish(NOW)


class Liar:
    """A hub under an attacker's control, or the wire before it: it answers what it was told to."""

    def __init__(self, **answers: bytes | None) -> None:
        self.answers = answers

    def __call__(self, path: str, _known: str) -> Answer:
        return Answer(self.answers.get(path.rpartition("/")[2].replace("-", "_")))


def test_what_a_hostile_hub_or_wire_sends_is_not_taken_and_the_list_here_goes_on(hub: Hub, tmp_path: Path) -> None:
    second = hub.publish(NOW + 10)
    third = hub.publish(NOW + 20)
    folder = TrustFolder(tmp_path / "b")
    folder.take(second.data, hub.key(), NOW + 30)
    forged = Hub(tmp_path / "forged")
    forged.init("Union of districts", NOW)
    lies = {
        "a list of another signer": (Liar(trust_list=forged.publish(NOW).data), "signature|another key"),
        "an older list": (Liar(trust_list=hub.public.document(1)), "rollback"),
        "no list": (Liar(trust_list=b"<html>hotel wifi</html>"), "not a COSE_Sign1"),
        "a list that claims to be far ahead": (Liar(trust_list=_far(third.data)), "missed"),
        "a gap in the middle": (Liar(trust_list=hub.publish(NOW + 25).data), "any more"),
    }
    for name, (liar, why) in lies.items():
        with pytest.raises(NotUpdated, match=why):
            folder.update(liar, hub.key(), NOW + 30)
        held = folder.hub(hub.key())
        assert held is not None, name
        assert held.trust.number == 2, name
    with pytest.raises(NotUpdated, match="expired"):
        folder.update(Liar(trust_list=third.data), hub.key(), NOW + 20 + LIFE_S)
    taken, _ = folder.update(Liar(trust_list=third.data), hub.key(), NOW + 30)
    assert taken.trust.number == 3


def _far(data: bytes) -> bytes:
    """A list whose number is not true: nobody has signed it."""
    import cbor2  # noqa: PLC0415

    tagged = cbor2.loads(data)
    claims = cbor2.loads(tagged.value[2])
    claims[-70001]["number"] += MOST_STEPS + 1
    tagged.value[2] = cbor2.dumps(claims, canonical=True)
    return bytes(cbor2.dumps(tagged))


def test_a_list_that_came_by_hand_is_checked_as_strictly(hub: Hub, tmp_path: Path) -> None:
    folder = TrustFolder(tmp_path / "b")
    lists = [hub.newest(), *(hub.publish(NOW + n) for n in (1, 2, 3))]
    folder.take(lists[1].data, hub.key(), NOW + 5)
    assert folder.take(lists[1].data, hub.key(), NOW + 5)[1] == []
    held, _ = folder.take(lists[3].data, hub.key(), NOW + 5)
    assert held.trust.number == 4, "lists between may be missing where somebody brings them on a stick"
    with pytest.raises(NotUpdated, match="rollback"):
        folder.take(lists[2].data, hub.key(), NOW + 5)


def test_another_pinned_key_is_another_hub_and_a_new_beginning(hub: Hub, tmp_path: Path) -> None:
    folder, before = TrustFolder(tmp_path / "b"), hub.key()
    for n in range(3):
        hub.publish(NOW + n)
    folder.take(hub.newest().data, before, NOW + 5)
    other = Hub(tmp_path / "other")
    first = other.init("Another union", NOW)
    assert folder.hub(other.key()) is None, "what the old hub said counts no more from the moment of the pin"
    taken, _ = folder.take(first.data, other.key(), NOW + 5)
    assert (taken.trust.number, taken.trust.publisher) == (1, "Another union")
    assert folder.hub(before) is None


def test_the_age_of_a_list_is_told_before_it_expires(hub: Hub, client: Client, tmp_path: Path) -> None:
    folder, pin = TrustFolder(tmp_path / "b"), hub.key()
    assert "no trust list" in (folder.complaint(pin, NOW) or "")
    folder.update(over_http(client.url), pin, NOW)
    assert folder.complaint(pin, NOW + STALE_S - 1) is None
    assert "holds 4.0 days more" in (folder.complaint(pin, NOW + STALE_S + 10) or "")
    assert "expired" in (folder.complaint(pin, NOW + LIFE_S) or "")
    folder.update(over_http(client.url), pin, NOW + STALE_S + 10)
    assert folder.complaint(pin, NOW + STALE_S + 11) is None, "a hub that says 'nothing new' has answered"


def test_value_sets_are_kept_by_their_hash_and_another_one_is_refused(hub: Hub, client: Client, tmp_path: Path) -> None:
    folder = TrustFolder(tmp_path / "b")
    held, _ = folder.update(over_http(client.url), hub.key(), NOW)
    assert folder.keep_value_sets(held.trust, over_http(client.url)) == []
    kept = {path.name.rpartition("-")[0]: path.read_bytes() for path in (folder.folder / "value-sets").iterdir()}
    assert kept == value_sets()
    theirs = b'{"set":"states","version":2}'
    other = TrustList(2, "union", 1, 2, (), b"p" * 32, {"states": sha256(theirs).digest()})
    assert folder.keep_value_sets(other, Liar(states=theirs)) == ["states"]
    third = TrustList(3, "union", 1, 2, (), b"p" * 32, {"states": sha256(b"x").digest()})
    with pytest.raises(NotUpdated, match="not the one"):
        folder.keep_value_sets(third, Liar(states=theirs))


def test_an_instance_without_a_hub_lists_its_own_keys(keys: DistrictKeys, tmp_path: Path) -> None:
    pair = DistrictKeys(tmp_path / "l", "list").current(NOW)
    folder = TrustFolder(tmp_path / "trust")
    first = folder.own(keys, pair, "district 330105", NOW)
    assert [k.kid for k in first.trust.keys] == [k.kid for k in keys.all()]
    assert folder.own(keys, pair, "district 330105", NOW + 60).data == first.data
    keys.revoke(keys.current(NOW).kid, NOW + 61, "leaked")
    second = TrustFolder(tmp_path / "trust").own(keys, pair, "district 330105", NOW + 61)
    assert second.trust.number == 2
    assert second.trust.previous == sha256(first.data).digest()
    assert [k.revoked_s is not None for k in second.trust.keys] == [True, False]
    assert folder.own(keys, pair, "district 330105", NOW + 61 + DAY).trust.number == 3, "signed anew once a day"
