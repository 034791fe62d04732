"""The only place that builds things: options, connections, the ledger, the site, out of settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg_pool import ConnectionPool

from defects import EvidenceOptions, HealthOptions
from ingest import City
from ledger import Chain, Record, Tiles, context_record

from .app import Site, is_loopback
from .coder import CHANNEL
from .embedded import OversizeCount, Services, found
from .push import Board
from .settings import Settings
from .story import Ledger

Connection = psycopg.Connection[Any]

EVIDENCE = EvidenceOptions()
HEALTH = HealthOptions()
_CONNECT_S = 5


def health_options(settings: Settings) -> HealthOptions:
    """The options of the read-out, with what the settings say of privacy."""
    return replace(HEALTH, public_contributors=settings.public_contributors)



class NotRunning(RuntimeError):
    """The platform of this data folder does not run, so there is nothing to ask."""


class NotConfigured(ValueError):
    """A setting is missing or unsafe; the text says which."""


def resolved(settings: Settings, services: Services | None = None) -> Settings:
    """Settings with the addresses of the embedded services filled in where none were given.

    Raises NotRunning where the embedded ones are needed and do not run.
    """
    given = {"database_url": settings.database_url, "nats_url": settings.nats_url, "rpc_url": settings.rpc_url}
    if all(given.values()) and settings.mqtt_port:
        return settings
    services = services or found(settings.home)
    if services is None:
        raise NotRunning(f"no platform runs on {settings.home}: start it with `make run`, or `roadcode up`")
    broker = services.broker
    nats_url = f"nats://{broker.backend_user}:{broker.backend_password}@{broker.host}:{broker.nats_port}"
    fill = Settings(
        database_url=settings.database_url or services.database_url,  # type: ignore[arg-type]
        nats_url=settings.nats_url or nats_url,  # type: ignore[arg-type]
        rpc_url=settings.rpc_url or services.rpc_url,  # type: ignore[arg-type]
    )
    return settings.model_copy(
        update={
            "database_url": fill.database_url,
            "nats_url": fill.nats_url,
            "rpc_url": fill.rpc_url,
            "mqtt_host": broker.host if not settings.mqtt_port else settings.mqtt_host,
            "mqtt_port": settings.mqtt_port or broker.mqtt_port,
            "broker_monitor": settings.broker_monitor or f"http://{broker.host}:{broker.monitor_port}",
        }
    )


def environment(settings: Settings) -> dict[str, str]:
    """Settings as the environment of a child process, secrets in the clear: never for arguments or logs."""
    out = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parent.parent)])}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is not None:
            out[f"ROADCODE_{name.upper()}"] = getattr(value, "get_secret_value", lambda v=value: str(v))()
    return out


def database(settings: Settings, autocommit: bool = True) -> Connection:
    """A connection; the pumps open their own transactions on it."""
    if settings.database_url is None:
        raise NotConfigured("no database is configured: set ROADCODE_DATABASE_URL, or run `roadcode up`")
    return psycopg.connect(
        settings.database_url.get_secret_value(), autocommit=autocommit, connect_timeout=_CONNECT_S
    )


def day_context(city: City, health: HealthOptions = HEALTH) -> Callable[[date], Record]:
    """Makes a day's context record: everything that the day's evidence and codes depend on, as text."""

    def of(day: date) -> Record:
        content = {
            "city": city.sha256,
            "evidence": json.dumps(asdict(EVIDENCE), sort_keys=True),
            "health": json.dumps(asdict(health), sort_keys=True),
            "recogniser": "jolts, fixed scale, 1",
        }
        return context_record(day, content, city.origins)

    return of


def log_folder(settings: Settings) -> Path:
    """Where the log's tiles and its key lie."""
    return settings.home.resolve() / "ledger" / "log"


def chain(settings: Settings, timeout_s: float = 10.0) -> Chain | None:
    """The chain, None where none is configured."""
    if settings.rpc_url is None:
        return None
    return Chain(settings.rpc_url.get_secret_value(), settings.home.resolve() / "ledger" / "chain", timeout_s)


def ledger(settings: Settings) -> Ledger:
    """What is needed to prove. The log's public key is read from its folder; before the first record it is empty."""
    folder = log_folder(settings)
    try:
        verifier = (folder / "log.pub").read_text().strip()
    except OSError:
        verifier = ""
    return Ledger(Tiles(folder), verifier, chain(settings, timeout_s=3.0))


def check_exposure(settings: Settings) -> None:
    """Raises NotConfigured where the map would be open to the network without a token."""
    if not is_loopback(settings.host) and not settings.api_token:
        raise NotConfigured(
            f"ROADCODE_HOST={settings.host} opens the platform to the network: set ROADCODE_API_TOKEN to a long random "
            "text that clients must show, and put TLS in front"
        )


def site(settings: Settings) -> tuple[Site, ConnectionPool[Connection]]:
    """The web's parts, and the pool that its owner opens and closes."""
    if settings.database_url is None:
        raise NotConfigured("no database is configured: set ROADCODE_DATABASE_URL, or run `roadcode up`")
    url = settings.database_url.get_secret_value()
    check_exposure(settings)
    token = settings.api_token.get_secret_value() if settings.api_token else None
    pool: ConnectionPool[Connection] = ConnectionPool(
        url, min_size=1, max_size=8, timeout=5, open=False, kwargs={"autocommit": True, "connect_timeout": _CONNECT_S}
    )
    log = structlog.get_logger("web")
    oversize = OversizeCount()
    monitor_port = int(settings.broker_monitor.rsplit(":", 1)[1]) if settings.broker_monitor else 0

    def count_oversize() -> int | None:
        try:
            return oversize.look(monitor_port) if monitor_port else None
        except OSError:
            return None

    def ask_database() -> None:
        with pool.connection(timeout=3) as conn:
            conn.execute("SELECT 1")

    def ask_broker() -> None:
        oversize.look(monitor_port)

    known = ledger(settings)

    def proving() -> Ledger:
        # The log's key appears with the first run of the anchorer, perhaps after the web has started.
        nonlocal known
        if not known.verifier:
            known = ledger(settings)
        return known

    def ask_chain() -> None:
        if known.chain is not None:
            known.chain.head()

    parts = {"database": ask_database, "chain": ask_chain}
    if monitor_port:
        parts["broker"] = ask_broker
    return (
        Site(
            city=settings.read_city(),
            options=EVIDENCE,
            health=health_options(settings),
            pool=pool,
            board=Board(url, CHANNEL, log.warning),
            ledger=proving,
            oversize=count_oversize,
            parts=parts,
            token=None if is_loopback(settings.host) and not token else token,
            hosts=("127.0.0.1", "localhost", "[::1]", settings.host) if is_loopback(settings.host) else ("*",),
        ),
        pool,
    )
