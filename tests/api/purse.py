"""What tests of the citizen's purse share: a database, accounts with points, a mall that listens."""

from __future__ import annotations

import io
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
from PIL import Image
from pydantic import SecretStr

from api import consent
from api.embedded import hash_secret
from api.mall import Mall, MallKey
from api.settings import Settings
from ingest import store as ingest_store
from ledger import points_settle, points_store

from ..databases import fresh_database
from .test_app import served

Conn = psycopg.Connection[Any]
AT = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0) - timedelta(days=3)
DAY = AT.date() - timedelta(days=40)
"""When what tests do is done, and the first day that they settle. Not so long ago that points have expired since, and
long enough for a file's settlements, a day each."""
KEY = MallKey("t" * 40, "s" * 40)
_numbers = itertools.count(1)


TOKEN = "of-the-instance"
PLACE = {"lat": 30.2790, "lon": 120.1655}


def account(conn: Conn, device: str | None = None) -> str:
    """A new account, of a device or of a number on paper."""
    n = next(_numbers)
    paper_hash = None if device else n.to_bytes(32, "big")
    return points_store.open_account(conn, f"account{n:020d}", AT, device=device, paper_hash=paper_hash)


def settle(conn: Conn, points: dict[str, int], refused: dict[tuple[str, str], int] | None = None) -> date:
    """Settles the next day that is not settled, with these points for these accounts; gives the day."""
    newest = points_settle.settlement(conn)
    day = DAY if newest is None else newest.day + timedelta(days=1)
    with conn.transaction():
        dues = [
            points_settle.Due(one, "pass", day, n, {"nanobits": n}, f"pass:{day}:{one}") for one, n in points.items()
        ]
        salt = lambda n: next(_numbers).to_bytes(n, "big")  # noqa: E731
        points_settle.settle(conn, day, dues, refused or {}, 10_000, bytes(32), AT, "simulated", salt)
    return day


def one(conn: Conn, query: str, *values: Any) -> Any:
    """The only value of a query's only row."""
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None
    return row[0]


def together(many: int, work: Callable[[int], Any]) -> list[Any]:
    """What ``work`` gives, or raises, in so many threads that begin together."""
    gate = threading.Barrier(many)
    out: list[Any] = [None] * many

    def run(n: int) -> None:
        gate.wait(20)
        try:
            out[n] = work(n)
        except Exception as error:
            out[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return out


class Listening:
    """A mall over HTTP: does what `plan` says with each request in turn, then takes all. got: headers and body."""

    def __init__(self, plan: list[str]) -> None:
        self.plan = plan
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.elsewhere = 0
        self.go_on = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path != "/hook?of=roads":
                    outer.elsewhere += 1
                outer.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                what = outer.plan.pop(0) if outer.plan else "204"
                if what == "hang":
                    outer.go_on.wait(20)
                    return
                if what == "drop":
                    return
                self.send_response(int(what))
                if what == "307":
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(b"<b>what the mall says</b>" if what == "500" else b"")

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.mall = Mall(KEY, f"http://127.0.0.1:{self._server.server_address[1]}/hook?of=roads")

    def __enter__(self) -> Listening:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    def told(self) -> list[dict[str, Any]]:
        """What was said, request by request."""
        return [json.loads(body) for _, body in self.got]


@dataclass
class Purse:
    """The application, its database, and phones that are enrolled on the way."""

    client: httpx.Client
    conn: Conn
    url: str
    home: Path
    n: int = 0

    def phone(self, joined: bool = True, kind: str = "phone") -> Phone:
        self.n += 1
        name = f"{kind}-purse-{self.n}"
        with self.conn.transaction():
            ingest_store.enrol(self.conn, name, kind, hash_secret(name))
        phone = Phone(self, name)
        if joined:
            assert phone.post("points", {"consent": consent.POINTS_VERSION}).status_code == 201
        return phone


@dataclass
class Phone:
    """A phone with its credential."""

    purse: Purse
    name: str

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.purse.client.request(method, f"/api/v1/me/{path}", auth=(self.name, self.name), **more)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self.ask("POST", path, json=body)

    @property
    def account(self) -> str:
        found = points_store.account_of(self.purse.conn, self.name)
        assert found is not None
        return found


@contextmanager
def open_purse(postgres: str, home: Path) -> Iterator[Purse]:
    """The application as the network sees it, with a mall, on a database of its own."""
    with fresh_database(postgres) as url:
        settings = Settings(home=home, host="192.0.2.7", api_token=SecretStr(TOKEN), database_url=SecretStr(url))
        with served(settings, mall=Mall(KEY)) as client, psycopg.connect(url, autocommit=True) as conn:
            yield Purse(client, conn, url, home)


def refused(answer: httpx.Response, status: int, name: str) -> str:
    assert (answer.status_code, answer.json()["error"]) == (status, name), answer.text
    return str(answer.json()["detail"])


def jpeg() -> bytes:
    out = io.BytesIO()
    tags = Image.Exif()
    tags[0x010E] = "30.2790N120.1655E"
    Image.new("RGB", (320, 240), (90, 90, 90)).save(out, "JPEG", exif=tags)
    return out.getvalue()
