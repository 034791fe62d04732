"""A small city with two districts, its web, and departments that ask there: for the tests of what they may see."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from api import wiring
from api.departments import Gate
from api.settings import Settings
from defects import Colour, register_store
from defects import store as defects_store
from defects.register import Entry
from defects.taxonomy import BY_KEY
from grid import Section, Zone, blocks_of, cells_of_block, section_cells
from grid import store as grid_store
from ingest import Budget, City
from ingest import store as ingest_store
from ledger import department, department_store, number_outbox, pair_of

from ..databases import fresh_database
from ..network import road
from ..roads import START_S
from .test_app import served
from .test_public_answers import DAY_S, NORTH_M, PHONES, SECTION, fold, send

TOKEN = "operators-own-token"
WEST, EAST = 8, SECTION
COVER = BY_KEY["defective_cover"].number
ALL = {kind: tuple(sorted(scopes)) for kind, scopes in department.KINDS.items()}


@dataclass
class World:
    """A city with an east (phones drive there) and a west (boxes do), and its web. now_s: the gate's clock."""

    url: str
    conn: wiring.Connection
    client: httpx.Client
    city: City
    settings: Settings
    red: int = 0
    cover: int = 0
    phones: int = 0
    now_s: float = 0.0

    def grant(self, kind: str = "urban_management", scopes: tuple[str, ...] | None = None, **limits: Any) -> Office:
        """A new department."""
        pair = pair_of(secrets.token_bytes(32))
        now_s = int(self.now_s)
        said = {"area": None, "kinds": None, "from_s": now_s - 100, "to_s": now_s + 86_400} | limits
        certificate = department.Certificate(
            f"dep-{secrets.token_hex(4)}", department_store.instance_name(self.conn), f"a {kind}", kind, pair.key,
            ALL[kind] if scopes is None else scopes, **said,
        )  # fmt: skip
        signed = department.make_certificate(wiring.district_keys(self.settings).current(self.now_s), certificate)
        with self.conn.transaction():
            department_store.grant(self.conn, certificate, signed, datetime.fromtimestamp(now_s, UTC), "live")
        return Office(self, certificate, pair)

    def revoke(self, office: Office) -> None:
        """End it."""
        with self.conn.transaction():
            department_store.revoke(self.conn, office.certificate.id, "a test", datetime.now(UTC), "live")


@dataclass
class Office:
    """One department with its key."""

    world: World
    certificate: department.Certificate
    pair: Any

    def token(self, for_s: int = 600) -> str:
        return department.make_token(self.pair, self.certificate, secrets.token_bytes(16), int(self.world.now_s), for_s)

    def get(self, path: str, token: str | None = None, method: str = "GET") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token()}"}
        return self.world.client.request(method, path, headers=headers)

    def json(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, path: str, token: str | None = None, method: str = "GET") -> tuple[int, str]:
        answer = self.get(path, token, method)
        return answer.status_code, answer.json()["error"]


@contextmanager
def opened(postgres: str, home: Path, city: City) -> Iterator[World]:
    """The world, served, on a database of its own."""
    with fresh_database(postgres) as url:
        yield from _opened(url, home, city)


def _opened(url: str, home: Path, city: City) -> Iterator[World]:
    settings = Settings(home=home, database_url=SecretStr(url), api_token=SecretStr(TOKEN))
    with psycopg.connect(url, autocommit=True) as conn:
        today = city.service_day(START_S)
        for device, kind in [*((p, "phone") for p in PHONES), *((f"bus-{n}", "box") for n in range(4))]:
            ingest_store.enrol(conn, device, kind, "x")
        west = replace(road(city, WEST), district="west")
        east = replace(road(city, SECTION), district="east", road="e", y_m=west.y_m + NORTH_M)
        grid_store.put_sections(conn, [east, west], today, "test", Zone(city.utm_zone, city.utm_north))
        send(conn, city, tuple(f"bus-{n}" for n in range(4)), START_S, 0.0)
        send(conn, city, PHONES, START_S + 200, NORTH_M)
        later_s = START_S + wiring.HEALTH.public_after_days * DAY_S
        fold(conn, city, later_s)
        found = defects_store.open_cases(conn, 10)
        red = next(int(case["cells"][0]) for case in found if not int(case["cells"][0]) >> 51)
        phones = next(int(case["cells"][0]) for case in found if int(case["cells"][0]) >> 51)
        cover = _cover(conn, city, west, red, later_s)
        now = city.service_day(time.time())
        entries = [
            Entry(register, kind, f"k-{kind}", "person", now, None if register != "repair" else now, {}, 1.0,
                  np.array([red]), owner="water", number="7")
            for register, kind in (("object", "cover"), ("permit", "works"), ("repair", "patch"))
        ]  # fmt: skip
        with conn.transaction():
            register_store.put_entries(conn, entries, now)
        number_outbox(conn, 10_000)
        with ConnectionPool(url, min_size=1, max_size=8, kwargs={"autocommit": True}) as pool:
            made = World(url, conn, httpx.Client(), city, settings, red, cover, phones, time.time())
            keys = wiring.district_keys(settings)
            keys.current(made.now_s)
            gate = Gate(pool, lambda: [k.key for k in keys.all() if k.revoked_s is None], city.service_day,
                        lambda: made.now_s, Budget(10_000, 1000))  # fmt: skip
            with served(settings, gate=gate) as client:
                made.client = client
                yield made


def _cover(conn: wiring.Connection, city: City, west: Section, red: int, at_s: float) -> int:
    """A square near another, coloured by a defective cover, with its case; and a green one."""
    ((block, (revision, codes)),) = defects_store.codes_of(conn, [int(blocks_of(red))]).items()
    codes = codes.copy()
    ids = cells_of_block(block)
    of_road = np.isin(ids, section_cells(west, Zone(city.utm_zone, city.utm_north)))
    index, green = np.flatnonzero(of_road & (codes["colour"] == Colour.GREY))[:2].tolist()
    cover = int(ids[index])
    codes["colour"][green] = Colour.GREEN
    codes["colour"][index], codes["state"][index], codes["kind"][index] = 3, 2, COVER
    at = datetime.fromtimestamp(at_s, UTC)
    defects_store.put_codes(conn, city.service_day(at_s), {block: (revision + 1, codes)}, at)
    row = conn.execute(
        "INSERT INTO case_file (kind, x_m, y_m, opened_at) SELECT %s, x_m, y_m, %s FROM case_file LIMIT 1 RETURNING id",
        (COVER, at),
    ).fetchone()
    assert row is not None
    conn.execute('INSERT INTO case_cell (cell, "case") VALUES (%s, %s)', (cover, row[0]))
    return cover
