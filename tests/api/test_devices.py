"""What phones ask for over HTTP where things go wrong: the broker is away, strangers ask without end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from api import gathered
from api.embedded import ServiceError
from api.enrolment import Address, Door
from api.routes import devices as routes
from api.settings import Settings
from ingest import Budget, devices

from ..street import until
from .test_app import served

CODE = "0123456789abcdef0123"


class Telling:
    """In the place of who tells the broker: fails while it is away."""

    def __init__(self) -> None:
        self.away = False
        self.told = 0

    def __call__(self) -> None:
        if self.away:
            raise ServiceError("The broker runs but does not answer: try again")
        self.told += 1


@contextmanager
def door(database: str, tmp_path: Path, mode: str, per_hour: float = 100.0) -> Iterator[tuple[httpx.Client, Telling]]:
    settings = Settings(home=tmp_path / "home", database_url=SecretStr(database))
    telling = Telling()
    opened: dict[str, Any] = {"let_in": telling, "door": Door(Address("127.0.0.1", 1883), mode, per_hour)}
    with served(settings, **opened) as client:
        yield client, telling


def ask(client: httpx.Client, code: str | None, address: str = "127.0.0.1") -> httpx.Response:
    body = {"consent": "1"} | ({} if code is None else {"invitation": code})
    return client.post("/api/v1/devices", json=body, headers={"X-Forwarded-For": address})


def test_a_new_password_is_told_though_the_broker_is_away_and_the_broker_learns_of_it_later(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "AGAIN_S", 0.05)
    with door(database, tmp_path, "open") as (client, telling):
        old = ask(client, None).json()
        telling.away = True
        told = client.post("/api/v1/me/rotate", auth=(old["device"], old["password"]))
        assert told.status_code == 200, "the old password is worth nothing any more: the new one must not be lost"
        new = told.json()
        assert client.get("/api/v1/me", auth=(new["device"], new["password"])).status_code == 200
        assert client.get("/api/v1/me", auth=(old["device"], old["password"])).status_code == 401
        before, telling.away = telling.told, False
        until(lambda: telling.told > before, 10, "the broker is told without a further change")


def test_an_invitation_is_not_burnt_by_a_broker_that_is_away(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        devices.invite(conn, CODE, 1, 3600)
    with door(database, tmp_path, "invitation") as (client, telling):
        telling.away = True
        told = ask(client, CODE)
        assert told.status_code == 201, told.text
        new = told.json()
        assert client.get("/api/v1/me", auth=(new["device"], new["password"])).status_code == 200
        assert ask(client, CODE).status_code == 403


def test_strangers_without_an_invitation_do_not_close_the_door_to_who_has_one(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        devices.invite(conn, CODE, 30, 3600)
    with door(database, tmp_path, "invitation") as (client, _):
        strangers = [ask(client, "wrong", f"203.0.113.{n}").status_code for n in range(40)]
        assert strangers == [403] * 40
        assert ask(client, CODE, "198.51.100.7").status_code == 201
        invited = [ask(client, CODE, f"198.51.100.{n}").status_code for n in range(8, 20)]
        assert invited == [201] * 9 + [429] * 3, "who may enrol has the instance's budget to share, and it is kept"


def test_an_exporting_device_is_slowed_alone(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_READS", Budget(burst=3, per_s=0.001))
    with door(database, tmp_path, "open") as (client, _):
        one, other = (ask(client, None).json() for _ in range(2))
        asked = [client.get("/api/v1/me/chunks", auth=(one["device"], one["password"])) for _ in range(4)]
        assert [answer.status_code for answer in asked] == [200, 200, 200, 429]
        assert float(asked[-1].headers["retry-after"]) > 0
        assert client.get("/api/v1/me", auth=(one["device"], "wrong")).status_code == 401
        assert client.get("/api/v1/me", auth=(other["device"], other["password"])).status_code == 200
