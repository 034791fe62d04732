"""The pumps as processes: each turns until it is told to stop, and outlives the absence of what it needs."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import psycopg
import structlog
import uvicorn

from defects import listen, observe
from defects import store as defects_store
from ledger import (
    AnchorOptions,
    ChainAway,
    DistrictKeyError,
    LeaseHeld,
    Log,
    TrustListError,
    WrongContract,
    settle_grants,
)
from ledger import step as anchor_step

from . import coder, hub_line, intake, wiring
from .app import create_app
from .heartbeat import Heartbeat
from .keeper import Keeper
from .settings import Settings
from .worker import Hear, See, Worker

_LONGEST_PAUSE_S = 5.0
TRUST_EVERY_S = 3600.0
"""How often the hub is asked. Less often, and a revocation takes longer to arrive; more often tells a hub nothing
but costs it as many answers as there are districts."""
_WARMING = "makes the recogniser ready, up to a minute when it is compiled anew; chunks wait at the broker"


def _told_to_stop() -> threading.Event:
    """Is set when the process is asked to end."""
    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    return stop


def _until_told(name: str, turn: Callable[[], float], away: tuple[type[Exception], ...], heart: Heartbeat) -> None:
    """Calls ``turn`` again and again, pausing as long as it says; after an error of ``away`` it waits and goes on."""
    stop = _told_to_stop()
    log = structlog.get_logger(name)
    turn = heart.watched(turn)
    pause_s = 0.2
    log.info("ready")
    with heart.beside():
        while not stop.is_set():
            try:
                rest_s = turn()
                pause_s = 0.2
                heart.say("")
            except away as error:
                why = f"{type(error).__name__}: {str(error)[:200]}"
                log.warning("waiting", why=why)
                heart.say(f"waits: {why}")
                rest_s = pause_s
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            stop.wait(rest_s)
    log.info("stopped")


def _connected(
    connect: Callable[[], wiring.Connection], work: Callable[[wiring.Connection], float]
) -> Callable[[], float]:
    """A turn of ``work`` on a connection that is kept from turn to turn; after an error of the database it is closed,
    and the next turn opens another."""
    conn: wiring.Connection | None = None

    def turn() -> float:
        nonlocal conn
        if conn is None or conn.closed:
            conn = connect()
        try:
            return work(conn)
        except psycopg.Error:
            conn.close()
            raise

    return turn


def run_worker(settings: Settings, see: See = observe, hear: Hear = listen) -> None:
    """Chunks from the broker into the database, verdicts back. Raises NotConfigured where a model cannot be used."""
    log = structlog.get_logger("worker")
    heart = Heartbeat(lambda: wiring.database(settings), "worker")

    async def take(stop: asyncio.Event) -> None:
        worker = await _ready(settings, see, hear, heart)
        if stop.is_set():
            return
        log.info("ready")
        await intake.take(settings, heart.watched(worker), stop, log.warning, heart.say)

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await asyncio.gather(heart.until(stop), take(stop))
        log.info("stopped")

    asyncio.run(main())


async def _ready(settings: Settings, see: See, hear: Hear, heart: Heartbeat) -> Worker:
    """The worker, when it can recognise at once: it asks the broker for nothing before, since a batch that waits
    outlives the time in which the broker wants to hear of it, and comes again."""

    def made() -> Worker:
        if hear is listen:
            wiring.recogniser_ready()
        return wiring.worker(settings, time.time, flood=wiring.flood(settings), see=see, hear=hear)

    heart.say(_WARMING)
    try:
        worker = await asyncio.to_thread(made)  # the event loop goes on beating
    except wiring.NotConfigured as error:
        await asyncio.to_thread(heart.last_words, str(error))
        raise
    heart.say("is starting")
    return worker


def run_coder(settings: Settings) -> None:
    """The journal into evidence and codes."""
    city = settings.read_city()
    health = wiring.health_options(settings)

    def connect() -> wiring.Connection:
        return wiring.database(settings)

    def fold(conn: wiring.Connection) -> float:
        done = coder.step(conn, city, health, time.time(), quiet_s=settings.fold_quiet_s)
        if done.rows:
            defects_store.sweep_journal(conn)
        return 0.0 if done.rows else settings.fold_every_s

    _until_told("coder", _connected(connect, fold), (psycopg.Error,), Heartbeat(connect, "coder"))


def run_keeper(settings: Settings) -> None:
    """What must not be kept goes."""
    keeper = Keeper(settings.read_city(), wiring.keep_options(settings))
    log = structlog.get_logger("keeper")
    told: set[str] = set()
    trusted = wiring.trust(settings)
    asked_s = float("-inf")

    def look_after_trust(conn: wiring.Connection) -> None:
        """The newest list of keys, once an hour; what is new of keys and lists goes to the log. A hub that is away
        holds up nothing: the list that is here goes on."""
        nonlocal asked_s
        if time.monotonic() >= asked_s + TRUST_EVERY_S:
            asked_s = time.monotonic()
            try:
                for news in trusted.update(time.time())[1]:
                    log.info("trust", news=news)
            except (hub_line.NotUpdated, TrustListError, DistrictKeyError) as error:
                log.warning("trust list not updated", why=str(error))
        with conn.transaction():
            trusted.tell(conn, settings.read_city().origins, time.time())

    def connect() -> wiring.Connection:
        return wiring.database(settings)

    def keep(conn: wiring.Connection) -> float:
        done = keeper(conn, time.time())
        if done.emptied or done.sealed or done.dropped or done.letters:
            log.info(
                "gone", phones_of=[str(d) for d in done.emptied], sealed=[str(d) for d in done.sealed],
                boxes_of=[str(d) for d in done.dropped], letters=done.letters,
            )  # fmt: skip
        for why in set(done.waits) - told:
            log.warning("waiting", why=why)
        look_after_trust(conn)
        told.clear()
        told.update(done.waits)  # said again only after it was away: an archive may be missing for weeks
        return settings.keep_every_s

    _until_told("keeper", _connected(connect, keep), (psycopg.Error,), Heartbeat(connect, "keeper"))


def run_anchorer(settings: Settings) -> None:
    """Records into the log, its head onto the chain."""
    chain = wiring.chain(settings)
    if chain is None:
        raise wiring.NotConfigured("no chain is configured: set ROADCODE_RPC_URL, or run `roadcode up`")
    city = settings.read_city()
    options = AnchorOptions(every_s=settings.anchor_every_s, confirmations=settings.chain_confirmations)
    said = structlog.get_logger("anchorer")
    told = ""
    asking = wiring.asking(settings)
    if asking is not None:
        asking.start(structlog.get_logger("witnesses").warning)
    conn: wiring.Connection | None = None
    log: Log | None = None
    deployed = False

    def turn() -> float:
        nonlocal conn, log, deployed, told
        try:
            if not deployed:
                # The embedded chain's genesis account is the contract's admin; of an outside chain it is the file
                # that its operator puts in that place.
                chain.deploy(wiring.admin_key(settings))
                deployed = True
            if conn is None or conn.closed:
                conn = wiring.database(settings, autocommit=False)
            if log is None:
                log = Log(wiring.log_folder(settings), wiring.log_name(city))
            status = anchor_step(conn, log, chain, time.time(), options)
            granted = settle_grants(conn, chain, wiring.admin_key(settings), time.time(), options.patience)
        except BaseException:
            if conn is not None:
                conn.close()
            if log is not None:
                log.close()
            conn, log = None, None
            raise
        if undone := status.undone + granted.undone:
            said.warning("the chain gave up blocks: what stood in them is sent again", transactions=undone)
        if granted.state in ("no key", "refused") and granted.reason != told:
            said.warning("departments' rights wait", why=granted.reason, waiting=granted.waiting)
        told = granted.reason
        return 0.0 if status.numbered >= options.batch else 0.5

    heart = Heartbeat(lambda: wiring.database(settings), "anchorer")
    _until_told("anchorer", turn, (psycopg.Error, ChainAway, LeaseHeld, WrongContract), heart)


def run_web(settings: Settings) -> None:
    """The map and its answers."""
    site, pool = wiring.site(settings)
    pool.open()
    try:
        uvicorn.run(
            create_app(site), host=settings.host, port=settings.port, log_level="warning", access_log=False,
            timeout_graceful_shutdown=2, server_header=False, ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            # A proxy on this machine says for whom it asks; nobody else is believed.
            proxy_headers=True, forwarded_allow_ips="127.0.0.1,::1",
        )  # fmt: skip
    finally:
        pool.close()
