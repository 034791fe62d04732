"""The only place that builds things: options, connections, the ledger, the site, out of settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
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
from .disk import check_room
from .embedded import OversizeCount, Services, ailment, found
from .push import Board
from .settings import Settings
from .story import Ledger

Connection = psycopg.Connection[Any]

EVIDENCE = EvidenceOptions()
HEALTH = HealthOptions()
_CONNECT_S = 5
VANISHED_S = 10
"""How long a far end may leave bytes unacknowledged before a connection is given up, by either side. Shorter and a
busy network drops sessions; longer, and the keys that a vanished worker has locked are locked for that long. The
kernel's own limit is over two hours on a line where nothing is sent."""
FROZEN_S = 10
"""How long a worker may be silent within a transaction before the database ends it: what a frozen worker has locked,
others wait for. Shorter and a worker on an overloaded machine loses its batch, which comes again; longer and the chunks
of the trips it holds get no verdict for that long."""


_LINE: dict[str, Any] = {
    "connect_timeout": _CONNECT_S, "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2,
    "keepalives_count": 3, "tcp_user_timeout": VANISHED_S * 1000,
}  # fmt: skip
# The server's side of the same, and that it looks while it works (or waits for a lock) whether we are still there.
_SESSION = {
    "tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{VANISHED_S}s", "client_connection_check_interval": "2s",
}  # fmt: skip


class NotRunning(RuntimeError):
    """The platform of this data folder does not run, so there is nothing to ask."""


class BrokerUnwell(RuntimeError):
    """The broker runs, and says that it cannot store what it gets."""


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


def database(settings: Settings, autocommit: bool = True, silent_s: int = 0) -> Connection:
    """A connection; the pumps open their own transactions on it. It notices when the database has vanished without a
    word, and the database notices when we have. silent_s: the database ends a transaction in which we are silent for
    that long; 0 for never."""
    if settings.database_url is None:
        raise NotConfigured("no database is configured: set ROADCODE_DATABASE_URL, or run `roadcode up`")
    conn = psycopg.connect(settings.database_url.get_secret_value(), autocommit=True, **_LINE)
    try:
        conn.execute(
            "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
            ([*_SESSION, "idle_in_transaction_session_timeout"], [*_SESSION.values(), f"{silent_s}s"]),
        )
        conn.autocommit = autocommit
    except BaseException:
        conn.close()
        raise
    return conn


def day_context(city: City) -> Callable[[date], Record]:
    """Makes a day's context record: everything that the day's evidence and codes depend on, as text."""

    def of(day: date) -> Record:
        content = {
            "city": city.sha256,
            "evidence": json.dumps(asdict(EVIDENCE), sort_keys=True),
            "health": json.dumps(asdict(HEALTH), sort_keys=True),
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
        url, min_size=1, max_size=8, timeout=5, open=False, kwargs={"autocommit": True, **_LINE}
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
        if why := ailment(monitor_port):
            raise BrokerUnwell(why)
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

    home = settings.home.resolve()
    parts = {"database": ask_database, "chain": ask_chain, "disk": lambda: check_room(home)}
    if monitor_port:
        parts["broker"] = ask_broker
    return (
        Site(
            city=settings.read_city(),
            options=EVIDENCE,
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
