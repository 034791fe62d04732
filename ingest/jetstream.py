"""The worker's side of a NATS broker: pull chunks that devices published by MQTT, acknowledge after the commit, publish
verdicts.

The consumer reads the broker's own store of MQTT messages: a stream of our own beside it lost thousands of
acknowledged messages when a leader was killed, this one none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import nats
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

STREAM: Final = "$MQTT_msgs"
CONSUMER: Final = "worker"
FILTER: Final = "$MQTT.msgs.rhc.v1.*.chunk"
ACK_WAIT_S: Final = 5.0
"""After this long an unacknowledged message comes again: shorter and a slow commit is done twice, longer and the
chunks of a killed worker wait that long."""
_PING_S: Final = 3
_PINGS: Final = 2
VANISHED_S: Final = _PING_S * (_PINGS + 1.0)
"""After this long without an answer the broker's connection is given up and made anew. The client's own default is six
minutes, in which a worker behind a dead wire seems to have nothing to do. Much shorter and a busy broker is left for
dead."""
MAX_ACK_PENDING: Final = 4_000
"""Messages that workers may hold unacknowledged: fewer starves them, more are repeated after a crash."""


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


async def _batch(subscription: JetStreamContext.PullSubscription, most: int, age_s: float) -> list[Msg]:
    """Up to ``most`` messages; closes when full enough or old enough."""
    try:
        messages = await subscription.fetch(most, timeout=1.0)
    except (TimeoutError, nats.errors.TimeoutError):
        return []
    if len(messages) < most:
        with contextlib.suppress(TimeoutError, nats.errors.TimeoutError):
            messages += await subscription.fetch(most - len(messages), timeout=age_s)
    return messages


def _arrived(message: Msg) -> Arrived:
    return Arrived(message.subject.split(".")[-2], message.data)


async def pull(
    url: str, handle: Handle, stop: asyncio.Event, note: Callable[[str], None], most: int, age_s: float
) -> None:
    """Feeds batches to ``handle`` until ``stop``; acknowledges a batch only after ``handle`` has come back.

    ``handle`` runs in a thread and commits. When it raises, nothing is acknowledged: the broker brings the batch again.
    ``note`` is told what went wrong. A lost connection is waited for, for ever.
    """
    pause_s = 0.2
    while not stop.is_set():
        try:
            client = await nats.connect(
                url, max_reconnect_attempts=-1, reconnect_time_wait=0.5, connect_timeout=5,
                ping_interval=_PING_S, max_outstanding_pings=_PINGS,
            )  # fmt: skip
        except (TimeoutError, OSError, nats.errors.Error) as error:
            note(f"the broker does not answer ({type(error).__name__})")
            pause_s = await _rest(stop, pause_s)
            continue
        try:
            context = client.jetstream(timeout=5)
            await ensure_consumer(context)
            subscription = await context.pull_subscribe_bind(CONSUMER, STREAM)
            while not stop.is_set():
                messages = await _batch(subscription, most, age_s)
                if not messages:
                    continue
                working = asyncio.create_task(asyncio.to_thread(handle, [_arrived(m) for m in messages]))
                while not (await asyncio.wait({working}, timeout=ACK_WAIT_S / 3))[0]:
                    for message in messages:  # a slow batch is not a lost one: do not bring it again yet
                        await message.in_progress()
                verdicts = working.result()
                for message in messages:
                    await message.ack()
                for verdict in verdicts:
                    await client.publish(f"rhc.v1.{verdict.device}.verdict", verdict.payload)
                await client.flush()
                pause_s = 0.2
        except asyncio.CancelledError:
            raise
        except Exception as error:
            note(f"a batch was not taken and will come again ({type(error).__name__}: {error})")
            pause_s = await _rest(stop, pause_s)
        finally:
            await client.close()


async def _rest(stop: asyncio.Event, pause_s: float) -> float:
    """Waits, but not beyond ``stop``; gives the next, longer pause."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), pause_s)
    return min(5.0, pause_s * 2)
