"""The worker's side of a plain MQTT broker (Mosquitto, EMQX): one durable session, acknowledged by hand in the order of
arrival after the commit, verdicts published after the commit too.

A plain broker brings an unacknowledged message again only to a new connection. So a batch that was not taken is kept
and worked again for as long as the connection lasts; when it is lost, all that was not acknowledged is forgotten here
and comes again. MQTT 5 lets us say how many may be unacknowledged (receive maximum). Mosquitto 2.0 sends more than that
(for each acknowledgement as many again), and MQTT 3.1.1 knows no such limit; hence the socket is not read while enough
waits here, which bounds our memory whatever the backlog. Nothing waits for an answer that would be read behind it.
One session, one worker: shared subscriptions lose the messages of a worker whose session ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Final

from paho.mqtt.enums import MQTTProtocolVersion

from .broker import BrokerUrl
from .jetstream import Arrived, Handle
from .mqtt_session import Lost, NotLetIn, OtherVersion, Session

FAREWELL_S: Final = 2.0
"""For the last verdicts at a stop in order: shorter and their devices send again, longer and the stop is felt."""
SHORT_S: Final = 10.0
"""A connection that ends sooner was no good one, and the pause before the next grows: at less two workers on one
session throw each other out many times a second, at more a broker that restarts often is come back to late."""
LONGEST_PAUSE_S: Final = 5.0
FIRST = MQTTProtocolVersion.MQTTv5
"""Asked for first: it bounds what is unacknowledged, and tells what became of a verdict. 3.1.1 where it is refused."""


async def subscribe(
    url: BrokerUrl,
    handle: Handle,
    stop: asyncio.Event,
    note: Callable[[str], None],
    most: int,
    age_s: float,
    *,
    client_id: str,
    tls: ssl.SSLContext | None = None,
    well: Callable[[], None] = lambda: None,
) -> None:
    """Feeds batches to ``handle`` until ``stop``; acknowledges a batch only after ``handle`` has come back.

    ``handle`` runs in a thread and commits. When it raises, nothing is acknowledged and the same batch is tried again.
    client_id: secret; who connects with it and a clean session destroys what waits in ours. ``note`` is told what went
    wrong, ``well`` that chunks can flow. A lost connection is waited for, for ever.
    """
    loop = asyncio.get_running_loop()
    pause_s, short = 0.2, 0
    version = FIRST
    while not stop.is_set():
        session = Session(url, client_id, version, tls, min(65_535, 2 * most), note)
        rest, opened_s = True, 0.0
        looking: asyncio.Task[None] | None = None
        try:
            await session.open()
            looking = asyncio.create_task(_look(session, stop))
            await session.subscribe()
            opened_s = loop.time()
            well()
            while not stop.is_set():
                taken = await session.batch(stop, most, age_s)
                if taken:
                    await _work(session, taken, handle, stop, note, well)
            await session.told(FAREWELL_S)
        except OtherVersion as error:
            # MQTT 5 bounds what is unacknowledged, so it is asked for first.
            five = version == MQTTProtocolVersion.MQTTv5
            version = MQTTProtocolVersion.MQTTv311 if five else MQTTProtocolVersion.MQTTv5
            rest = not five
            if rest:
                note(f"{url.shown} hung up ({error})")
        except OSError as error:  # Lost and NotLetIn among them
            if not stop.is_set():
                note(f"the broker {url.shown} is away ({type(error).__name__}: {error})")
            short = short + 1 if opened_s and loop.time() - opened_s < SHORT_S else 0
            if short >= 3:  # Mosquitto 2.0 closes the older of two without a word
                note("thrown out again and again: does a second worker run? A plain broker takes one worker")
        finally:
            if looking is not None:
                looking.cancel()
            session.close()
        if opened_s and loop.time() - opened_s >= SHORT_S:
            pause_s = 0.2
        if rest and not stop.is_set():
            pause_s = await _rest(stop, pause_s)


async def _work(
    session: Session,
    taken: list[tuple[int, int, Arrived]],
    handle: Handle,
    stop: asyncio.Event,
    note: Callable[[str], None],
    well: Callable[[], None],
) -> None:
    """One batch until it is committed and answered. Raises Lost when the connection ends before that."""
    pause_s = 0.2
    while True:
        try:
            verdicts = await asyncio.to_thread(handle, [one for _, _, one in taken])
            break
        except asyncio.CancelledError:
            raise
        except Exception as error:
            note(f"a batch was not taken and is tried again ({type(error).__name__}: {str(error)[:200]})")
        pause_s = await _rest(stop, pause_s)
        if stop.is_set() or session.lost:
            raise Lost(session.lost or "stopped")
    session.answer(taken, [(verdict.device, verdict.payload) for verdict in verdicts])
    well()


async def _look(session: Session, stop: asyncio.Event) -> None:
    """Keeps the connection alive, and wakes who waits for a batch when it is time to stop."""
    while not stop.is_set() and not session.lost:
        session.look()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0)
    session.changed.set()


async def _rest(stop: asyncio.Event, pause_s: float) -> float:
    """Waits, but not beyond ``stop``; gives the next, longer pause."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), pause_s)
    return min(LONGEST_PAUSE_S, pause_s * 2)


async def ask(url: BrokerUrl, tls: ssl.SSLContext | None = None) -> int:
    """Which version of MQTT the broker speaks: 5, or 4 for 3.1.1. Raises OSError, NotLetIn where it says nothing.

    Asked without user and password: a broker that takes the user name as client id would take us for the worker, throw
    the worker out and empty its session. That it does not let a nobody in is an answer, too.
    """
    nobody = BrokerUrl(url.scheme, url.host, url.port)
    for version in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
        session = Session(nobody, "", version, tls, 1, lambda _text: None, durable=False)
        try:
            await session.open()
        except OtherVersion:
            continue
        except NotLetIn as refusal:
            if not refusal.answered:
                raise
        finally:
            session.close()
        return int(version)
    raise NotLetIn(f"{url.shown} speaks neither MQTT 5 nor 3.1.1")
