"""One connection of the worker's durable session at a plain MQTT broker: paho without a thread of its own, in the event
loop. When to connect, what a batch is for and when to try again is said in `mqtt.py`."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from .broker import BrokerUrl
from .jetstream import Arrived
from .wire import MAX_BYTES

FILTER: Final = "rhc/v1/+/chunk"
KEEPALIVE_S: Final = 30
"""Shorter and a worker in a long commit is taken for dead, longer and a half-open connection is noticed that late."""
ANSWER_S: Final = 10.0
"""For the broker's answer to CONNECT or SUBSCRIBE: shorter gives up on one that reads a large store, longer waits for
one that was frozen."""
SESSION_S: Final = 4 * 86_400
"""The broker keeps the session of a worker that is away (MQTT 5): shorter than the 48 h for which chunks are taken and
late ones are dropped, longer and a session that nobody comes back for fills its disk."""
PACKET_BYTES: Final = MAX_BYTES + 4096
"""Packets above it are not sent to us (MQTT 5): smaller and the largest chunk never arrives, larger and one message can
take that much of our memory."""
HELD_BYTES: Final = 64 * 1024 * 1024
"""Payloads that wait here for their batch: at more the socket is not read any further. Less starves batches of large
chunks, more is memory of ours that a broker without a limit of its own would fill."""
VERDICTS: Final = 20_000
"""Verdicts that wait for the broker at the most: fewer and devices send again after a burst, more is our memory."""
ON_WAY: Final = 20
"""Verdicts that are on their way to the socket at once, or to an acknowledgement: more is memory of paho's beside ours,
fewer wait longer."""


class NotLetIn(ConnectionError):
    """The broker does not let the worker in, or not read; the text says why and what to do. answered: it said so."""

    def __init__(self, text: str, *, answered: bool = False) -> None:
        super().__init__(text)
        self.answered = answered


class OtherVersion(Exception):
    """The broker does not speak this version of MQTT, or hung up before it said anything."""


class Lost(ConnectionError):
    """The connection ended; what was not acknowledged comes again."""


class Session:
    """One connection of the durable session. Everything happens in the event loop's thread."""

    def __init__(
        self,
        url: BrokerUrl,
        client_id: str,
        version: MQTTProtocolVersion,
        tls: ssl.SSLContext | None,
        receive: int,
        note: Callable[[str], None],
        *,
        durable: bool = True,
    ) -> None:
        self._url, self._version, self._receive, self._durable, self._note = url, version, receive, durable, note
        self._five = version == MQTTProtocolVersion.MQTTv5
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, manual_ack=True,
            reconnect_on_failure=False, clean_session=None if self._five else not durable,
        )  # fmt: skip
        if url.user:
            self._client.username_pw_set(url.user, url.password or None)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.connect_timeout = 5.0
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._loop = asyncio.get_running_loop()
        self._socket: Any = None
        self._reading = False
        self._let_in: asyncio.Future[None] = self._loop.create_future()
        self._granted: asyncio.Future[None] = self._loop.create_future()
        self._pending: deque[tuple[int, int, Arrived]] = deque()
        self._pending_bytes = 0
        self._first_s = 0.0
        self._telling: deque[tuple[str, bytes]] = deque()
        self._on_way = 0
        self._asked = False
        self.changed = asyncio.Event()
        self.lost = ""

    # ------------------------------------------------------------ connecting

    async def open(self) -> None:
        """Connects and waits to be let in. Raises OSError, NotLetIn, OtherVersion."""
        properties = None
        if self._five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_S if self._durable else 0
            properties.ReceiveMaximum = self._receive
            properties.MaximumPacketSize = PACKET_BYTES
        more: dict[str, Any] = {"clean_start": not self._durable, "properties": properties} if self._five else {}
        # Name, TCP and TLS may take their time; the callbacks for our loop are set only when they are through.
        await asyncio.to_thread(self._client.connect, self._url.host, self._url.port, KEEPALIVE_S, **more)
        self._socket = self._client.socket()
        if self._socket is None:
            raise OtherVersion("hung up")
        # Told before paho closes it: a closed socket can no longer be taken off the loop.
        self._client.on_socket_close = lambda _c, _d, _sock: self._forget_socket()
        self._client.on_socket_register_write = self._want_write
        self._client.on_socket_unregister_write = self._written
        self._read_on()
        try:
            await asyncio.wait_for(self._let_in, ANSWER_S)
        except TimeoutError:
            raise NotLetIn(f"{self._url.shown} took the connection and says nothing for {ANSWER_S:.0f} s") from None

    async def subscribe(self) -> None:
        """Asks for all chunks. Raises NotLetIn, Lost."""
        if self._five:  # retained messages are none of ours; a device's own would come again at every connect
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            self._client.subscribe(FILTER, options=options)
        else:
            self._client.subscribe(FILTER, qos=1)
        try:
            await asyncio.wait_for(self._granted, ANSWER_S)
        except TimeoutError:
            raise NotLetIn(f"{self._url.shown} does not answer a subscription for {ANSWER_S:.0f} s") from None

    def close(self) -> None:
        """Ends the connection; the session stays with the broker."""
        if self._socket is not None:
            self._client.disconnect()
            self._write()  # paho closes the socket when its farewell is written
        if self._client.socket() is not None:
            self._client._sock_close()  # it was not: a broker that does not read
        for future in (self._let_in, self._granted):
            if not future.cancel() and not future.cancelled():
                future.exception()  # looked at once, or Python complains that nobody did

    # ------------------------------------------------------------ the socket

    def _read_on(self) -> None:
        if not self._reading and self._socket is not None:
            self._reading = True
            self._loop.add_reader(self._socket, self._read)
            if self._url.encrypted:  # what TLS has decrypted already makes no socket readable
                self._loop.call_soon(self._read)

    def _read(self) -> None:
        """All that is there, unless enough waits already."""
        for _ in range(64):  # so that acknowledgements and pings get their turn, too
            if not self._reading or self.lost:
                return
            if self._pending_bytes >= HELD_BYTES or len(self._pending) >= 2 * self._receive:
                self._reading = False
                self._loop.remove_reader(self._socket)
                return
            before = len(self._pending)
            try:
                self._client.loop_read()
            except Exception as error:  # a packet that paho cannot read: the connection is of no use any more
                self._gone(f"{type(error).__name__}: {error}")
                self._client._sock_close()
                return
            if len(self._pending) == before and not (self._url.encrypted and self._socket.pending()):
                return
        self._loop.call_soon(self._read)

    def _write(self) -> None:
        self._client.loop_write()

    def _want_write(self, _client: Any, _data: Any, sock: Any) -> None:
        self._loop.add_writer(sock, self._write)

    def _written(self, _client: Any, _data: Any, sock: Any) -> None:
        self._loop.remove_writer(sock)

    def look(self) -> None:
        """Pings, and notices that none is answered; once a second. Not while we do not read: its answer would wait."""
        if self._reading and not self.lost:
            self._client.loop_misc()

    def _forget_socket(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._reading = False
        self._socket = None

    def _gone(self, why: str) -> None:
        self.lost = self.lost or why
        for future in (self._let_in, self._granted):
            if not future.done():
                future.set_exception(OtherVersion(why) if future is self._let_in else Lost(why))
        self.changed.set()

    # ------------------------------------------------------------ what the broker says

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _told: Any) -> None:
        if self._let_in.done():
            return
        if code.is_failure:
            version = code.value == 132 or "protocol version" in str(code).lower()
            advice = "check user and password in ROADCODE_BROKER_URL"
            text = f"{self._url.shown} does not let the worker in ({code}): {advice}"
            self._let_in.set_exception(OtherVersion(str(code)) if version else NotLetIn(text, answered=True))
            return
        self._let_in.set_result(None)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: Any, _told: Any) -> None:
        self._gone(str(code))

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, codes: Any, _told: Any) -> None:
        if not self._granted.done():
            if any(code.is_failure for code in codes):
                text = f"{self._url.shown} does not let the worker read {FILTER} ({codes[0]}): give its user the right"
                self._granted.set_exception(NotLetIn(text))
            else:
                self._granted.set_result(None)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if not self._pending:
            self._first_s = self._loop.time()
        device = message.topic.split("/")[2]
        self._pending.append((message.mid, message.qos, Arrived(device, bytes(message.payload))))
        self._pending_bytes += len(message.payload)
        self.changed.set()

    def _on_publish(self, _client: Any, _data: Any, _mid: int, code: Any, _told: Any) -> None:
        self._on_way -= 1
        self._tell()
        if not self._on_way:
            self.changed.set()
        # "No matching subscribers" (16) is a device that is away: it asks by sending again.
        if code.is_failure:
            self._note(f"the broker refused a verdict ({code}): may the worker's user write rhc/v1/+/verdict?")

    # ------------------------------------------------------------ batches

    async def batch(self, stop: asyncio.Event, most: int, age_s: float) -> list[tuple[int, int, Arrived]]:
        """Up to ``most`` messages in the order of arrival; closes when full or old enough, empty at ``stop``."""
        while not self._pending:
            await self.wait(stop, None)
            if stop.is_set():
                return []
        while len(self._pending) < most and not stop.is_set():
            left_s = self._first_s + age_s - self._loop.time()
            if left_s <= 0:
                break
            await self.wait(stop, left_s)
        taken = [self._pending.popleft() for _ in range(min(most, len(self._pending)))]
        self._pending_bytes -= sum(len(one.payload) for _, _, one in taken)
        self._first_s = self._loop.time()
        self._read_on()
        return taken

    async def wait(self, stop: asyncio.Event, within_s: float | None) -> None:
        """Until something came or ended, or the time is over. Raises Lost when the connection has ended."""
        if not self.lost and not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), within_s)
        self.changed.clear()
        if self.lost:
            raise Lost(self.lost)

    def answer(self, taken: list[tuple[int, int, Arrived]], verdicts: list[tuple[str, bytes]]) -> None:
        """Verdicts, then the acknowledgements in the order of arrival. Raises Lost."""
        if self.lost:
            raise Lost(self.lost)
        room = VERDICTS - len(self._telling)
        self._telling.extend(verdicts[:room])
        self._tell()
        for mid, qos, _ in taken:
            self._client.ack(mid, qos)
        if len(verdicts) > room:
            left = len(verdicts) - room
            self._note(f"{left} verdicts are left to their trips' next ones: the broker is too slow for them")

    def _tell(self) -> None:
        while self._telling and self._on_way < ON_WAY and not self.lost:
            device, payload = self._telling.popleft()
            self._on_way += 1
            # At QoS 1 the broker would keep it in its memory for every device that is away, without end. Nothing is
            # lost at 0: who has no verdict sends again and gets one on the whole trip. Only the first of a connection
            # is acknowledged: that tells whether we may write verdicts at all.
            qos = 0 if self._asked else 1
            self._asked = True
            self._client.publish(f"rhc/v1/{device}/verdict", payload, qos=qos)

    async def told(self, within_s: float) -> None:
        """Waits until the broker has all verdicts, but no longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while (self._telling or self._on_way) and not self.lost:
                    self.changed.clear()
                    await self.changed.wait()
