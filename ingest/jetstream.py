"""The worker's side of a NATS broker: pull chunks that devices published by MQTT, acknowledge after the commit, publish
verdicts.

The consumer reads the broker's own store of MQTT messages: a stream of our own beside it lost thousands of
acknowledged messages when a leader was killed, this one none.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

import nats
import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from .nats_line import SILENT_S, Line, Message
from .wire import MAX_BYTES

STREAM: Final = "$MQTT_msgs"
CONSUMER: Final = "worker"
FILTER: Final = "$MQTT.msgs.rhc.v1.*.chunk"
ACK_WAIT_S: Final = 5.0
"""After this long an unacknowledged message comes again: shorter and a slow commit is done twice, longer and the
chunks of a killed worker wait that long."""
VANISHED_S: Final = SILENT_S
"""After this long without an answer the broker's connection is given up and made anew."""
MAX_ACK_PENDING: Final = 4_000
"""Messages that workers may hold unacknowledged: fewer starves them, more are repeated after a crash."""
ASK_S: Final = 1.0
"""How long the broker keeps a question for messages open; as long as a stop may have to wait."""
_RUN_OUT: Final = (404, 408, 409)
"""Nothing there, time over, bytes over: the question is answered. Any other word of the broker is a fault."""
_COUNTED: Final = b"Batch Completed"
MOST_BYTES: Final = 32 * MAX_BYTES
"""Payload bytes asked for at once (8 MiB), whatever their number: what a worker holds is bounded by this, and a worker
that is stopped in mid-batch has no more than that in the pipe."""


@dataclass(frozen=True)
class Arrived:
    """A payload and the device whose topic it came on; the broker let only that device publish there."""

    device: str
    payload: bytes


@dataclass(frozen=True)
class Verdict:
    """What a device is told."""

    device: str
    payload: bytes


Handle = Callable[[list[Arrived]], list[Verdict]]


async def ensure_consumer(stream: JetStreamContext) -> None:
    """Makes the durable consumer if it is not there. The stream exists since the first MQTT session of the backend."""
    try:
        await stream.consumer_info(STREAM, CONSUMER)
    except nats.js.errors.NotFoundError:
        await stream.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=CONSUMER,
                filter_subject=FILTER,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_S,
                deliver_policy=DeliverPolicy.ALL,
                max_ack_pending=MAX_ACK_PENDING,
            ),
        )


class _Feed:
    """Messages of the consumer, a question at a time; what a question still brings belongs to the next batch."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._open = 0
        self._waiting: list[Message] = []

    def _ask(self, most: int) -> None:
        question = {"batch": most, "expires": int(ASK_S * 1e9), "max_bytes": MOST_BYTES}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}"
        self._line.publish([(subject, self._line.inbox, json.dumps(question).encode())])
        self._open = most

    def batch(self, most: int, age_s: float) -> list[Message]:
        """Up to ``most`` messages; closes when full enough or, once there is one, old enough. Empty after a second
        without any."""
        got, self._waiting = self._waiting[:most], self._waiting[most:]
        end_s = time.monotonic() + (age_s if got else ASK_S)
        while len(got) < most and (left_s := end_s - time.monotonic()) > 0:
            if self._open <= 0:
                self._ask(most - len(got))
            for message in self._line.receive(left_s):
                if message.status:
                    if message.payload != _COUNTED:
                        self._open = 0
                    if message.status not in _RUN_OUT or b"Consumer" in message.payload:
                        raise OSError(f"the broker says {message.status} {message.payload.decode(errors='replace')}")
                    continue
                self._open -= 1
                if not got:
                    end_s = time.monotonic() + age_s
                (got if len(got) < most else self._waiting).append(message)
        return got


def _arrived(message: Message) -> Arrived:
    return Arrived(message.subject.split(".")[-2], message.payload)


async def _consumer_there(url: str, tls: ssl.SSLContext | None) -> None:
    client = await nats.connect(url, allow_reconnect=False, connect_timeout=5, tls=tls)
    try:
        await ensure_consumer(client.jetstream(timeout=5))
    finally:
        await client.close()


def pull(
    url: str,
    handle: Handle,
    stop: threading.Event,
    note: Callable[[str], None],
    most: int,
    age_s: float,
    *,
    tls: ssl.SSLContext | None = None,
    well: Callable[[], None] = lambda: None,
) -> None:
    """Feeds batches to ``handle`` until ``stop``; acknowledges a batch only after ``handle`` has come back.

    ``handle`` runs in a thread and commits. When it raises, nothing is acknowledged: the broker brings the batch again.
    ``note`` is told what went wrong, ``well`` that chunks can flow. A lost connection is waited for, for ever.
    """
    pause_s = 0.2
    with ThreadPoolExecutor(1, thread_name_prefix="batch") as pool:
        while not stop.is_set():
            try:
                asyncio.run(_consumer_there(url, tls))
                with Line(url, tls=tls) as line:
                    feed = _Feed(line)
                    well()
                    while not stop.is_set():
                        if messages := feed.batch(most, age_s):
                            _work(line, messages, handle, pool)
                            well()
                        pause_s = 0.2
            # The broker away, the database away, a batch that nobody can take: all of it is waited for.
            except Exception as error:
                note(f"waiting; what was not acknowledged comes again ({type(error).__name__}: {str(error)[:200]})")
                stop.wait(pause_s)
                pause_s = min(5.0, pause_s * 2)


def _work(line: Line, messages: list[Message], handle: Handle, pool: ThreadPoolExecutor) -> None:
    working = pool.submit(handle, [_arrived(m) for m in messages])
    while not wait([working], timeout=ACK_WAIT_S / 3).done:
        # A slow batch is not a lost one: do not bring it again yet.
        line.publish([(m.reply, "", b"+WPI") for m in messages])
    verdicts = working.result()
    line.publish([(m.reply, "", b"+ACK") for m in messages])
    line.publish([(f"rhc.v1.{verdict.device}.verdict", "", verdict.payload) for verdict in verdicts])
