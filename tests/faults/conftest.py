"""What the tests of faults share: a platform whose wires can break, and the table of what became of each fault."""

from __future__ import annotations

import fcntl
import json
import os
import random
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from api import wiring
from api.embedded import PumpOptions, Pumps, supervising
from api.migrate import migrate
from api.platform import PUMPS, Platform, _free_port, pump_command
from api.settings import Settings

from ..street import until
from .proxy import Proxy
from .stage import SEED, Stage

ROOT = Path(__file__).resolve().parents[2]


class Toll:
    """The lines of faults.json, one a fault. Written after each, so that an ended run has told what it has seen."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, fault: str, **figures: Any) -> None:
        """figures: kills, chunks, lost, doubled, bitwise_equal, and what else there is to tell."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(handle, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two processes of one test run share it
            known = json.loads(file.read() or "{}").get("faults", [])
            lines = [*(line for line in known if line["fault"] != fault), {"fault": fault, **figures}]
            totals = {
                "kills": sum(line.get("kills", 0) for line in lines),
                "chunks": sum(line.get("chunks", 0) for line in lines),
                "lost": sum(line.get("lost", 0) for line in lines),
                "doubled": sum(line.get("doubled", 0) for line in lines),
                "bitwise_equal": all(line.get("bitwise_equal", True) for line in lines),
                "seed": SEED,
            }
            file.seek(0)
            file.truncate()
            file.write(json.dumps(totals | {"faults": lines}, indent=1) + "\n")
        sys.stdout.write(json.dumps(lines[-1]) + "\n")


@pytest.fixture(scope="session")
def toll(tmp_path_factory: pytest.TempPathFactory) -> Toll:
    """faults.json: beside the Makefile for `make faults`, else in the test run's own folder."""
    if os.environ.get("KILLS"):
        path = ROOT / "faults.json"
        path.unlink(missing_ok=True)
        return Toll(path)
    base = tmp_path_factory.getbasetemp()
    return Toll((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "faults.json")


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Stage]:
    """A platform whose dead pumps come back at once (it will have to start many), and whose worker and coder reach
    broker and database through proxies."""
    home = tmp_path_factory.mktemp("faults") / "home"
    # The keeper looks once, at the start: drives may lie before 04:00, and what phones sent is reckoned with.
    given = Settings(
        home=home, port=0, anchor_every_s=0.5, fold_every_s=0.1, batch_most=8, batch_age_s=0.02, keep_every_s=3600
    )
    with supervising(home) as services:
        full = wiring.resolved(given, services.services())
        full = full.model_copy(update={"port": _free_port(full.host, 0)})
        with wiring.database(full) as conn:
            migrate(conn)
        address = services.services().broker
        assert address is not None
        port_of_database = int(psycopg.conninfo.conninfo_to_dict(_plain(full.database_url))["port"])  # type: ignore[arg-type]
        with (
            Proxy(address.host, address.mqtt_port) as device_wire,
            Proxy(address.host, address.nats_port) as broker_wire,
            Proxy(address.host, port_of_database) as database_wire,
        ):
            wired = full.model_copy(
                update={
                    "broker_url": _through(full.broker_url, broker_wire),
                    "database_url": _through(full.database_url, database_wire),
                }
            )
            settings = {name: wired if name in ("worker", "coder") else full for name in PUMPS}
            pumps = Pumps(
                [pump_command(name, settings[name]) for name in PUMPS], services.folder.logs,
                PumpOptions(first_wait_s=0.1, longest_wait_s=0.5), random.Random(SEED),
            )  # fmt: skip
            platform = Platform(full, services, pumps)
            try:
                pumps.start()
                until(lambda: bool(platform.health()), 60, "the web answers")
                with Stage(platform, wired, device_wire, broker_wire, database_wire, postgres) as started:
                    yield started
            finally:
                pumps.stop()


@pytest.fixture
def platform(stage: Stage) -> Platform:
    """The platform of the stage, for who breaks no wires."""
    return stage.platform


def _plain(secret: SecretStr | None) -> str:
    assert secret is not None
    return secret.get_secret_value()


def _through(secret: SecretStr | None, wire: Proxy) -> SecretStr:
    """The same address with the proxy's port."""
    head, _, tail = _plain(secret).rpartition("@")
    host, _, rest = tail.partition(":")
    _, slash, path = rest.partition("/")
    return SecretStr(f"{head}@{host}:{wire.port}{slash}{path}")


@pytest.fixture
def fresh(postgres: str) -> Iterator[str]:
    """One more fresh database with every room's tables, for the undisturbed run."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(url, autocommit=True) as conn:
        migrate(conn)
    yield url
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
