"""The pumps as processes: each turns until it is told to stop, and outlives the absence of what it needs."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import psycopg
import structlog
import uvicorn

from ingest import jetstream
from ledger import AnchorOptions, ChainAway, LeaseHeld, Log, WrongContract
from ledger import step as anchor_step

from . import coder, wiring
from .app import create_app
from .settings import Settings
from .worker import Worker

_LONGEST_PAUSE_S = 5.0


def _until_told(name: str, turn: Callable[[], float], away: tuple[type[Exception], ...]) -> None:
    """Calls ``turn`` again and again, pausing as long as it says; after an error of ``away`` it waits and goes on."""
    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    log = structlog.get_logger(name)
    pause_s = 0.2
    log.info("ready")
    while not stop.is_set():
        try:
            rest_s = turn()
            pause_s = 0.2
        except away as error:
            log.warning("waiting", why=f"{type(error).__name__}: {str(error)[:200]}")
            rest_s = pause_s
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
        stop.wait(rest_s)
    log.info("stopped")


def run_worker(settings: Settings) -> None:
    """Chunks from the broker into the database, verdicts back."""
    city = settings.read_city()
    context = wiring.day_context(city, wiring.health_options(settings))
    worker = Worker(lambda: wiring.database(settings), city, wiring.EVIDENCE, context, clock=time.time)
    if settings.nats_url is None:
        raise wiring.NotConfigured("no broker is configured: set ROADCODE_NATS_URL, or run `roadcode up`")
    url = settings.nats_url.get_secret_value()
    log = structlog.get_logger("worker")

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        log.info("ready")
        await jetstream.pull(url, worker, stop, log.warning, settings.batch_most, settings.batch_age_s)
        log.info("stopped")

    asyncio.run(main())


def run_coder(settings: Settings) -> None:
    """The journal into evidence and codes."""
    city = settings.read_city()
    health = wiring.health_options(settings)
    conn: wiring.Connection | None = None

    def turn() -> float:
        nonlocal conn
        try:
            if conn is None or conn.closed:
                conn = wiring.database(settings)
            done = coder.step(conn, city, health, time.time())
        except psycopg.Error:
            conn = None
            raise
        return 0.0 if done.rows else settings.fold_every_s

    _until_told("coder", turn, (psycopg.Error,))


def run_anchorer(settings: Settings) -> None:
    """Records into the log, its head onto the chain."""
    chain = wiring.chain(settings)
    if chain is None:
        raise wiring.NotConfigured("no chain is configured: set ROADCODE_RPC_URL, or run `roadcode up`")
    city = settings.read_city()
    options = AnchorOptions(every_s=settings.anchor_every_s)
    conn: wiring.Connection | None = None
    log: Log | None = None
    deployed = False

    def turn() -> float:
        nonlocal conn, log, deployed
        try:
            if not deployed:
                # The embedded chain's genesis account is the contract's admin; of an outside chain it is the file
                # that its operator puts in that place.
                chain.deploy(_admin_key(settings))
                deployed = True
            if conn is None or conn.closed:
                conn = wiring.database(settings, autocommit=False)
            if log is None:
                log = Log(wiring.log_folder(settings), f"road-health-code/{city.region_code}")
            status = anchor_step(conn, log, chain, time.time(), options)
        except BaseException:
            if conn is not None:
                conn.close()
            if log is not None:
                log.close()
            conn, log = None, None
            raise
        return 0.0 if status.numbered >= options.batch else 0.5

    _until_told("anchorer", turn, (psycopg.Error, ChainAway, LeaseHeld, WrongContract))


def _admin_key(settings: Settings) -> Path:
    home = settings.home.resolve()
    own = home / "secrets" / "chain-admin"
    return own if own.exists() else home / "chain" / "genesis.key"


def run_web(settings: Settings) -> None:
    """The map and its answers."""
    site, pool = wiring.site(settings)
    pool.open()
    try:
        uvicorn.run(
            create_app(site), host=settings.host, port=settings.port, log_level="warning", access_log=False,
            timeout_graceful_shutdown=2, server_header=False,
        )  # fmt: skip
    finally:
        pool.close()
