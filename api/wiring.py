"""The only place that builds things: options, connections, the ledger, the site, out of settings."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from defects import EvidenceOptions, HealthOptions, model_digests, warm_up
from ingest import Buckets, Budget, City, ConditionOptions, read_broker_url
from ledger import (
    Record,
    Tiles,
    context_record,
    department_store,
    merging,
)

from . import heartbeat, outside, tls
from .app import Site
from .coder import CHANNEL
from .days import ContextMaker
from .departments import Gate
from .disk import check_room
from .embedded import Broker, BrokerUser, OversizeCount, Services, ailment, found, is_loopback, open_folder
from .enrolment import Address, Door, users
from .keeper import KeepOptions
from .mall import Mall, check_url
from .mall import read_key as read_mall_key
from .push import Board
from .releases import say_releases
from .settings import Settings
from .story import Ledger
from .trust import TrustListOld
from .wiring_proof import (
    admin_key,
    believed,
    chain,
    district_keys,
    ledger,
    log_ailment,
    log_folder,
    log_name,
    policy,
    promiser,
    trust,
)
from .witnessing import Asking
from .worker import Hear, See, Worker

__all__ = [
    "CONDITIONS", "EVIDENCE", "FROZEN_S", "HEALTH", "VANISHED_S", "BrokerUnwell", "Connection", "NotConfigured",
    "NotRunning", "address", "admin_key", "asking", "chain", "check_exposure", "check_outside", "database",
    "day_context", "district_keys", "door", "embedded_names", "environment", "flood", "health_options",
    "keep_options", "ledger", "log_folder", "log_name", "mall", "models_in_force", "policy", "promiser",
    "recogniser_ready", "resolved", "site", "trust", "worker",
]  # fmt: skip

Connection = psycopg.Connection[Any]

EVIDENCE = EvidenceOptions()
HEALTH = HealthOptions()
CONDITIONS = ConditionOptions()
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


NotConfigured = tls.NotConfigured


def health_options(settings: Settings) -> HealthOptions:
    """The options of the read-out, with what the settings say of privacy."""
    return replace(HEALTH, public_contributors=settings.public_contributors)


class NotRunning(RuntimeError):
    """The platform of this data folder does not run, so there is nothing to ask."""


class BrokerUnwell(RuntimeError):
    """The broker runs, and says that it cannot store what it gets."""


def embedded_names(settings: Settings) -> tuple[str, ...]:
    """The services that are ours to run: those of which no setting says that they are outside."""
    given = {"postgres": settings.database_url, "nats": settings.broker_url, "chain": settings.rpc_url}
    return tuple(name for name, url in given.items() if not url)


def resolved(settings: Settings, services: Services | None = None) -> Settings:
    """Settings with the addresses of the embedded services filled in where none were given.

    Raises NotRunning where embedded ones are needed and do not run.
    """
    names = embedded_names(settings)
    update: dict[str, Any] = {}
    if names:
        services = services or found(settings.home, names)
        if services is None:
            raise NotRunning(f"no platform runs on {settings.home}: start it with `make run`, or `roadcode up`")
        if services.database_url:
            update["database_url"] = SecretStr(services.database_url)
        if services.rpc_url:
            update["rpc_url"] = SecretStr(services.rpc_url)
        if broker := services.broker:
            url = f"nats://{broker.backend_user}:{broker.backend_password}@{broker.host}:{broker.nats_port}"
            monitor = settings.broker_monitor or SecretStr(broker.monitor_url)
            update |= {"broker_url": SecretStr(url), "broker_monitor": monitor}
            update["mqtt_port"] = settings.mqtt_port or broker.mqtt_port
    if settings.broker_url and not settings.mqtt_port:
        outside = read_broker_url(settings.broker_url.get_secret_value())
        if outside.plain:  # devices and worker come to the same listener, unless it is said otherwise
            update |= {"mqtt_host": outside.host, "mqtt_port": outside.port}
    return settings.model_copy(update=update)


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


def models_in_force() -> dict[str, str]:
    """By kind of device the hash of the card of the model that judges it. Raises NotConfigured where one cannot be
    used: said once, at the start, and not of every chunk."""
    try:
        return model_digests(EVIDENCE.models)
    except ValueError as error:
        raise NotConfigured(str(error)) from error


def recogniser_ready() -> None:
    """Loads the models and compiles what recognises, which may take 20 s. Raises NotConfigured."""
    models_in_force()
    warm_up(EVIDENCE)


def day_context(city: City, health: HealthOptions = HEALTH) -> ContextMaker:
    """Makes a day's context record: everything that the day's evidence and codes depend on, as text. `recogniser`: the
    models in force, by the hashes of their cards. Raises NotConfigured where one cannot be used."""

    def of(day: date, weights: str, ground: Mapping[str, str]) -> Record:
        content = {
            "city": city.sha256,
            "evidence": json.dumps(asdict(EVIDENCE), sort_keys=True),
            "health": json.dumps(asdict(health), sort_keys=True),
            "conditions": json.dumps(asdict(CONDITIONS), sort_keys=True),
            "weights": weights,
            "recogniser": json.dumps(models_in_force(), sort_keys=True),
            **ground,
        }
        return context_record(day, content, city.origins)

    return of


def keep_options(settings: Settings) -> KeepOptions:
    """How long what is kept."""
    return KeepOptions(
        raw_days=settings.keep_raw_days, archive=settings.archive, leaves_days=settings.keep_leaves_days,
        points_per_day=settings.points_per_day, evidence=EVIDENCE, health=health_options(settings),
    )  # fmt: skip


def check_outside(settings: Settings, given: Settings) -> None:
    """Asks every service that ``given`` names as outside whether it can be used; settings: with all addresses.

    Raises OutsideError.
    """
    if given.database_url:
        outside.check_database(given.database_url.get_secret_value())
    if given.broker_url:
        outside.check_broker(settings)
    if given.rpc_url and (known := chain(settings)) is not None:
        outside.check_chain(known, admin_key(settings))


def asking(settings: Settings) -> Asking | None:
    """What asks the witnesses that the policy has addresses of, beside the anchorer's turns. Raises PolicyError."""
    named = policy(settings)
    if named is None:
        return None
    tiles = Tiles(log_folder(settings))
    return Asking(lambda: database(settings, autocommit=False), tiles, named, settings.witness_every_s)


def check_exposure(settings: Settings) -> None:
    """Raises NotConfigured where something would be open to the network unguarded, or TLS is set and cannot be had, and
    PolicyError where witnesses are named in a file that cannot be read."""
    if not is_loopback(settings.host) and not settings.api_token:
        raise NotConfigured(
            f"ROADCODE_HOST={settings.host} opens the platform to the network: set ROADCODE_API_TOKEN to a long random "
            "text that clients must show, and ROADCODE_TLS_CERT with ROADCODE_TLS_KEY, or put TLS in front"
        )
    tls.check_tls(settings)
    tls.listen(settings)
    policy(settings)


def worker(
    settings: Settings, clock: Callable[[], float], flood: Buckets | None = None, see: See | None = None,
    hear: Hear | None = None,
) -> Worker:  # fmt: skip
    """What takes batches, with the options of this instance. flood: what devices may send, where it is bounded. Raises
    NotConfigured where a model cannot be used."""
    city = settings.read_city()
    models = models_in_force()
    said = False

    def connect() -> Connection:
        # Said before the first chunk is judged, and once: a database that is away then is waited for like any other.
        nonlocal said
        conn = database(settings, silent_s=FROZEN_S)
        if not said:
            say_releases(conn, models, city.origins)
            said = True
        return conn

    return Worker(
        connect, city, EVIDENCE, day_context(city, health_options(settings)),
        clock, conditions=CONDITIONS, see=see, hear=hear, flood=flood,
    )  # fmt: skip


def flood(settings: Settings) -> Buckets:
    """What each device may send to one worker."""
    return Buckets(Budget(settings.device_burst, settings.device_per_minute / 60))


def address(settings: Settings) -> Address:
    """Where devices find the broker, and what they check it by."""
    return Address(settings.mqtt_host, settings.mqtt_port, tls.device_ca(settings))


def mall(settings: Settings) -> Mall | None:
    """The mall that redeems points, None where no key file is set. Raises MallError."""
    if settings.mall_key is None:
        if settings.mall_url:
            raise NotConfigured("ROADCODE_MALL_URL needs ROADCODE_MALL_KEY: without a key nothing could be signed")
        return None
    return Mall(read_mall_key(settings.mall_key), check_url(settings.mall_url) if settings.mall_url else None)


def door(settings: Settings) -> Door:
    """How phones come in by themselves."""
    return Door(address(settings), settings.enrolment, settings.enrolments_per_hour)


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
    monitor_url = settings.broker_monitor.get_secret_value().rstrip("/") if settings.broker_monitor else ""

    def count_oversize() -> int | None:
        try:
            return oversize.look(monitor_url) if monitor_url else None
        except OSError:
            return None

    def ask_database() -> None:
        with pool.connection(timeout=3) as conn:
            conn.execute("SELECT 1")

    def ask_broker() -> None:
        if monitor_url:
            if why := ailment(monitor_url):
                raise BrokerUnwell(why)
            oversize.look(monitor_url)
        else:
            outside.reach_broker(settings)

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

    broker = Broker(open_folder(settings.home))
    home = settings.home.resolve()

    def listed() -> list[BrokerUser]:
        with pool.connection() as conn:
            return users(conn)

    def ask_pumps() -> dict[str, str]:
        with pool.connection(timeout=3) as conn:
            # Asked with them, since it too can be known only while the database answers.
            return heartbeat.told(conn) | {"log": log_ailment(merging(conn), settings.merge_delay_s) or "ok"}

    def ask_disk() -> None:
        check_room(home)

    trusted = trust(settings)

    def ask_trust() -> None:
        if why := trusted.complaint(time.time()):
            raise TrustListOld(why)

    keys = district_keys(settings)
    parts = {"database": ask_database, "chain": ask_chain, "disk": ask_disk}
    if monitor_url or settings.broker_url:
        parts["broker"] = ask_broker
    if settings.hub_url:
        parts["trust"] = ask_trust
    return (
        Site(
            city=settings.read_city(),
            options=EVIDENCE,
            health=health_options(settings),
            pool=pool,
            board=Board(url, CHANNEL, log.warning, _LINE, department_store.CHANNEL),
            ledger=proving,
            oversize=count_oversize,
            parts=parts,
            door=door(settings),
            let_in=lambda: broker.refresh(listed),
            witness_slot_s=settings.witness_every_s,
            promiser=functools.cache(lambda: promiser(settings)),
            pumps=ask_pumps,
            mall=mall(settings),
            trust=trusted,
            district=district_keys(settings).current,
            gate=Gate(pool, lambda: believed(keys), settings.read_city().service_day),
            token=None if is_loopback(settings.host) and not token else token,
            hosts=("127.0.0.1", "localhost", "[::1]", settings.host) if is_loopback(settings.host) else ("*",),
        ),
        pool,
    )
