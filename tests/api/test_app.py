"""Who may enter over HTTP: loopback without a token, the network only with one; and what every answer carries."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from psycopg import sql
from pydantic import SecretStr

from api import wiring
from api.app import create_app
from api.embedded import is_loopback
from api.heartbeat import PUMPS
from api.migrate import migrate
from api.settings import Settings
from ledger import PublicKey, fingerprint, read_trust_list

from ..street import until

TOKEN = "3f9a1c7e55d0"
EVERYWHERE = "0.0.0.0"  # noqa: S104  (only asked about; what is served here is served on loopback)
Open = Callable[..., httpx.Client]
HOMES: list[Path] = []


@contextmanager
def served(settings: Settings, **other: Any) -> Iterator[httpx.Client]:
    """The application that these settings give, on a port of this machine whatever they say of the host. other: what
    its `Site` has in the place of theirs."""
    built, pool = wiring.site(settings)
    pool.open()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(replace(built, **other)), log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until(lambda: server.started, 20, "the application serves")
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(20)
            pool.close()


@pytest.fixture(scope="module")
def site(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Opens the application as a given host would serve it, on a database without chunks; once for each host."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(url, autocommit=True) as conn:
        migrate(conn)
    home = tmp_path_factory.mktemp("site")
    HOMES[:] = [home]
    with ExitStack() as stack:
        opened: dict[tuple[str, str | None], httpx.Client] = {}

        def open_site(host: str, token: str | None = None) -> httpx.Client:
            if (host, token) not in opened:
                secret = SecretStr(token) if token else None
                settings = Settings(home=home, host=host, database_url=SecretStr(url), api_token=secret)
                opened[host, token] = stack.enter_context(served(settings))
            opened[host, token].cookies.clear()
            return opened[host, token]

        yield open_site
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), (EVERYWHERE, False),
        ("::", False), ("192.168.1.4", False), ("localhost.example.org", False), ("127.0.0.1.nip.io", False),
        ("", False),
    ],
)  # fmt: skip
def test_what_counts_as_this_machine(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_on_loopback_nothing_is_asked_for(site: Open) -> None:
    client = site("127.0.0.1")
    assert client.get("/api/v1/summary").status_code == 200
    assert client.get("/metrics").status_code == 200
    assert client.get("/healthz").json()["parts"]["database"] == "ok"
    assert "<html" in client.get("/").text.lower()


@pytest.mark.parametrize("host", [EVERYWHERE, "192.0.2.7", "roads.example.org", "::"])
def test_the_network_without_a_token_is_refused_at_the_start(site: Open, host: str) -> None:
    with pytest.raises(wiring.NotConfigured, match="ROADCODE_API_TOKEN"):
        site(host)


PATHS = (
    "/", "/api/v1/summary", "/api/v1/cells?bbox=1,1,2,2", "/api/v1/cells/1", "/tiles/19/1/1", "/events", "/metrics",
    "/openapi.json", "/nothing-here", "/?token=wrong", "/?token=", "/healthz/", "//healthz", "/api/v1/mean",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}, {"Authorization": "Basic abc"},
        {"Cookie": "roadcode=wrong"}, {"Cookie": "roadcode="}, {"Authorization": "Bearer \xff\xfe"},
    ],
)  # fmt: skip
def test_without_the_token_there_is_no_answer_but_how_to_enter(site: Open, path: str, headers: dict[str, str]) -> None:
    given = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = site(EVERYWHERE, TOKEN).get(path, headers=given)
    assert (answer.status_code, answer.json()["error"]) == (401, "not_public")
    assert TOKEN not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/me/..%2f..%2f..%2findex.html", "/api/v1/me/%2e%2e/%2e%2e/%2e%2e/index.html",
        "/api/v1/me/..%5c..%5c..%5cindex.html", "/api/v1/me/x%2f..%2fapp.js", "/api/v1/me/..",
    ],
)  # fmt: skip
def test_a_path_that_is_open_to_devices_leads_to_nothing_else(site: Open, path: str) -> None:
    client = site(EVERYWHERE, TOKEN)
    raw = http.client.HTTPConnection("127.0.0.1", client.base_url.port or 0, timeout=10)  # httpx would resolve the dots
    with closing(raw):
        raw.request("GET", path)
        answer = raw.getresponse()
        said = answer.read().decode()
    assert (answer.status, "bad_path" in said) == (400, True), said[:200]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_health_is_told_to_who_watches_from_outside_and_nothing_else(site: Open) -> None:
    answer = site(EVERYWHERE, TOKEN).get("/healthz")
    assert set(answer.json()) == {"status", "parts"}
    parts = answer.json()["parts"]
    assert {name: said for name, said in parts.items() if said != "ok"} == dict.fromkeys(PUMPS, "does not run")
    assert answer.status_code == 503


def test_whose_signatures_count_is_open_to_every_scanner_and_a_revocation_is_there_at_once(site: Open) -> None:
    client = site(EVERYWHERE, TOKEN)
    first = client.get("/api/v1/trust-list")
    assert (first.status_code, first.headers["content-type"]) == (200, "application/cose")
    said = client.get("/api/v1/trust-list/key").json()
    signer = PublicKey(bytes.fromhex(said["public"]))
    trust = read_trust_list(first.content, signer)
    assert (said["source"], said["number"], said["fingerprint"]) == ("own", trust.number, fingerprint(signer))
    assert [key.issuer for key in trust.keys] == ["330105"]
    assert client.get("/api/v1/trust-list", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    keys = wiring.district_keys(Settings(home=HOMES[0]))
    keys.revoke(trust.keys[0].kid, time.time(), "tried in a test")
    after = read_trust_list(client.get("/api/v1/trust-list").content, signer)
    assert (after.number, after.keys[0].revoked_s is not None, len(after.keys)) == (trust.number + 1, True, 2)
    assert client.get("/api/v1/trust-list/1").status_code == 401, "only these two are open"


def test_the_token_opens_by_header_and_by_cookie_and_leaves_the_address(site: Open) -> None:
    client = site(EVERYWHERE, TOKEN)
    assert client.get("/api/v1/summary", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    entered = client.get("/", params={"token": TOKEN})
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api/v1/summary").status_code == 200, "the cookie is kept"
    client.cookies.clear()
    assert client.get("/api/v1/summary", headers={"Cookie": f"roadcode={TOKEN}x"}).status_code == 401


def test_the_way_in_leads_nowhere_else(site: Open) -> None:
    """A path of two slashes is, in an answer, the address of another machine."""
    port = site(EVERYWHERE, TOKEN).base_url.port
    raw = http.client.HTTPConnection("127.0.0.1", port or 0, timeout=10)
    with closing(raw):
        raw.request("GET", f"//evil.example/?token={TOKEN}")
        answer = raw.getresponse()
        answer.read()
    assert answer.status == 303
    assert not answer.headers["location"].startswith("//")


def test_a_token_is_asked_for_on_loopback_too_where_one_is_set(site: Open) -> None:
    client = site("127.0.0.1", TOKEN)
    assert client.get("/api/v1/summary").status_code == 401
    assert client.get("/api/v1/summary", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", ""])
def test_a_foreign_name_for_this_machine_is_refused(site: Open, host: str) -> None:
    assert site("127.0.0.1").get("/api/v1/summary", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("path", ["/", "/api/v1/summary", "/nothing-here", "/api/v1/cells/12", "/healthz"])
def test_every_answer_tells_browsers_what_they_may_do(site: Open, path: str) -> None:
    headers = site("127.0.0.1").get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed_over_http(site: Open, method: str) -> None:
    client = site("127.0.0.1")
    for path in ("/api/v1/summary", "/api/v1/cells/1", "/events", "/metrics"):
        assert client.request(method, path).status_code == 405


@pytest.mark.parametrize("path", ["/../api/settings.py", "/%2e%2e/api/settings.py", "/..%2f..%2fcity.toml", "/%00"])
def test_no_path_leads_out_of_the_page_s_folder(site: Open, path: str) -> None:
    answer = site("127.0.0.1").get(path)
    assert answer.status_code in (400, 404)
    assert "BaseSettings" not in answer.text
