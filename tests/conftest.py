"""What tests share: the city, a database, and one running platform with a simulated street on it. Nothing is mocked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from api import days
from api.embedded import open_folder
from api.embedded.postgres import Postgres
from api.settings import Settings
from api.worker import slot_of
from ingest import City, read_city

from .databases import fresh_database
from .street import Street, drive_street

ROOT = Path(__file__).parents[1]
APART = [*(f"box-{n}" for n in range(1, 5)), *(f"phone-{n}" for n in range(8))]


@pytest.fixture(scope="session")
def city() -> City:
    """The example city."""
    return read_city((ROOT / "city.toml").read_text())


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real drives; tests that need it are left out, with the reason, where there is none."""
    folder = Settings().recordings
    if folder is None:
        pytest.skip("no recordings: set ROADCODE_RECORDINGS to a folder of real drives")
    return folder


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own, as the address of a database on it."""
    folder = open_folder(tmp_path_factory.mktemp("pg"))
    server = Postgres(folder)
    port = server.start(_free_port())
    url = server.url(port)
    with psycopg.connect(url, autocommit=True) as conn:
        # Tests of what survives a kill start servers of their own; here a flush per commit only costs time.
        conn.execute("ALTER SYSTEM SET fsync = off")
        conn.execute("SELECT pg_reload_conf()")
    yield url
    server.stop()


@pytest.fixture(autouse=True)
def distinct_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day's salt is random, and one in twenty gives two of three devices the same of 63 slots: they are then counted
    as one, which is meant and would fail tests that count them. These salts keep the devices of our tests apart; the
    platforms that tests start as processes have random ones."""

    def apart() -> Iterator[bytes]:
        for n in count():
            salt = n.to_bytes(16, "big")
            if len({slot_of(device, salt) for device in APART}) == len(APART):
                yield salt

    salts = apart()
    monkeypatch.setattr(days, "secrets", SimpleNamespace(token_bytes=lambda _n: next(salts)))


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """A fresh database with every room's tables."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """A running platform on which a simulated fleet has driven two streets, all of it folded, recorded and anchored."""
    with drive_street(tmp_path_factory.mktemp("street")) as driven:
        yield driven


@pytest.fixture(scope="session")
def site(street: Street) -> Street:
    """The same, for tests of the page: `url`, `red_cell`, `red_lonlat`."""
    return street


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
