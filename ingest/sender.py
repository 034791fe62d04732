"""A device's side of the wire: publish chunks, keep each until its verdict, send it again otherwise.

A broker's acknowledgement only says that the broker has a message; that it counts is what the verdict says.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from .outbox import Outbox
from .refusal import NOT_NOW, Reason
from .wire import MAX_BYTES, peek


class SenderError(RuntimeError):
    """The broker cannot be reached or does not let the device in; the text says which and what to do."""


SYSTEM_CA = "system"
"""As the CA of a credential: those that the device's own system trusts."""
_TURNED_AWAY = 2
"""Connections that end before they are answered, until it is called a fault. One may be a broker that is starting."""


@dataclass(frozen=True)
class Credential:
    """What a device needs to connect. It is secret: the client id too, since who knows it can end the session.

    ca: None connects in the clear; a certificate as PEM, or `SYSTEM_CA`, by TLS, and to nobody whom it does not vouch
    for under the name ``host``. There is no way to leave that check out.
    """

    device: str
    kind: str
    client_id: str
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 1883
    ca: str | None = field(default=None, repr=False)


def read_credential(path: Path) -> Credential:
    """The credential in a JSON file. Raises SenderError where it is not one."""
    try:
        tree = json.loads(path.read_text())
        return Credential(
            str(tree["device"]), str(tree["kind"]), str(tree["client_id"]), str(tree["password"]), str(tree["host"]),
            int(tree["port"]), None if tree.get("ca") is None else str(tree["ca"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SenderError(f"{path} is not a device's credential ({error}): enrol the device again") from None


def write_credential(path: Path, credential: Credential) -> None:
    """Writes the credential as JSON, readable by its owner alone from the first moment on."""
    tree = {name: getattr(credential, name) for name in ("device", "kind", "client_id", "password", "host", "port")}
    if credential.ca is not None:
        tree["ca"] = credential.ca
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(json.dumps(tree, indent=1))
    new.replace(path)


def tls_context(credential: Credential) -> ssl.SSLContext:
    """What a credential's `ca` asks for. Raises SenderError where that is no certificate."""
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)  # asks for a certificate, and for the host's name in it
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if credential.ca == SYSTEM_CA:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=credential.ca)
    except (ssl.SSLError, ValueError) as error:
        raise SenderError(f"the CA in the credential of {credential.device} is no certificate ({error})") from None
    return context


class _Context(ssl.SSLContext):
    """Shakes hands at once and closes the connection where that fails: paho would leave it open."""

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        spoken = super().wrap_socket(*args, **{**options, "do_handshake_on_connect": False})
        try:
            spoken.do_handshake()
        except OSError:
            spoken.close()
            raise
        return spoken


@dataclass
class Report:
    """What became of what was sent. latency_s: from the first publish to the verdict, of every chunk that got one."""

    sent: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    resent: int = 0
    latency_s: list[float] = field(default_factory=list)


_UNANSWERED = (
    "it closes the connection without an answer. If it listens with TLS, the credential needs its CA: enrol the device "
    "again with ROADCODE_TLS_CA set, or take the new credential"
)


def _not_trusted(where: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"whoever answers at {where} is not trusted ({error.verify_message}): nothing was sent. Is the CA in the "
            "credential this platform's, is the host one of the names in its certificate, and is the clock right?"
        )
    return f"what answers at {where} does not speak TLS ({error.reason}): the credential's CA says that it should"


@dataclass
class _Waiting:
    payload: bytes
    key: tuple[str, int] | None
    first_s: float
    last_s: float


class Sender:
    """Publishes a device's chunks over MQTT 3.1.1 and follows their verdicts. Use as a context manager.

    window: how many chunks may wait for a verdict before `send` blocks; it bounds the memory of a device whose platform
    is away. resend_s: how long a verdict may take before a chunk is sent again. keepalive_s: how long the line may be
    quiet before the broker is asked whether it is still there; a line that is dead without a word is given up and
    made anew within twice that time. outbox: keeps what waits on disk, so that a device that is killed sends it when
    it runs again (`resume`); without one it is kept in memory alone.
    """

    def __init__(
        self,
        credential: Credential,
        *,
        window: int = 256,
        resend_s: float = 10.0,
        keepalive_s: int = 30,
        outbox: Outbox | None = None,
    ) -> None:
        self._credential = credential
        self._keepalive_s = keepalive_s
        self._outbox = outbox
        self._window = window
        self._resend_s = resend_s
        self._report = Report()
        self._waiting: dict[str, _Waiting] = {}
        self._changed = threading.Condition()
        self._ready = False
        self._fault = ""
        self._unanswered = 0
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=credential.client_id, clean_session=False, protocol=mqtt.MQTTv311
        )
        self._client.username_pw_set(credential.device, credential.password)
        if credential.ca is not None:
            self._client.tls_set_context(tls_context(credential))
        self._client.max_inflight_messages_set(max(window, 20))
        self._client.reconnect_delay_set(1, 5)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    @property
    def _topic(self) -> str:
        return f"rhc/v1/{self._credential.device}"

    def __enter__(self) -> Self:
        where = f"{self._credential.host}:{self._credential.port}"
        try:
            self._client.connect(self._credential.host, self._credential.port, keepalive=self._keepalive_s)
        except ssl.SSLError as error:
            raise SenderError(_not_trusted(where, error)) from None
        except OSError as error:
            raise SenderError(f"no broker at {where} ({error}): is the platform running?") from None
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._fault, timeout=20)
            ready, why = self._ready, self._fault or "no answer within 20 s"
        if not ready:
            # Outside the lock: the network's thread may be waiting for it to say that it was turned away.
            self._client.loop_stop()
            raise SenderError(f"the broker at {where} does not let {self._credential.device} in: {why}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        with self._changed:
            self._unanswered = -1  # whatever ends from here on was answered once
        if code.is_failure:
            with self._changed:
                self._fault = str(code)
                self._changed.notify_all()
        else:
            client.subscribe(f"{self._topic}/verdict", qos=1)

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, _code: Any, _props: Any) -> None:
        with self._changed:
            self._ready = False
            if self._unanswered >= 0:
                self._unanswered += 1
                if self._unanswered >= _TURNED_AWAY:
                    self._fault = self._fault or _UNANSWERED
            self._changed.notify_all()

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _mid: int, codes: Any, _props: Any) -> None:
        with self._changed:
            self._ready = not any(c.is_failure for c in codes)
            self._fault = "" if self._ready else "it may not read its verdicts"
            self._changed.notify_all()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            verdict = json.loads(message.payload)
            refused = {str(sha): str(reason) for _, reason, sha in verdict["refused"]}
            trip, ranges = verdict["trip"], [(int(a), int(b)) for a, b in verdict["accepted"]]
        except (ValueError, KeyError, TypeError):
            return  # not a verdict of this version: the chunk is sent again and its verdict comes again
        now_s = time.monotonic()
        settled: list[bytes] = []
        with self._changed:
            for sha, waiting in list(self._waiting.items()):
                # Accepted comes first: a chunk that was taken, and resent so late that it was refused, was taken.
                if waiting.key and waiting.key[0] == trip and any(a <= waiting.key[1] <= b for a, b in ranges):
                    self._report.accepted += 1
                elif sha in refused and refused[sha] not in NOT_NOW:
                    self._report.refused[refused[sha]] = self._report.refused.get(refused[sha], 0) + 1
                else:
                    continue
                self._report.latency_s.append(now_s - waiting.first_s)
                settled.append(self._waiting.pop(sha).payload)
            if self._outbox is not None and settled:
                self._outbox.settle(settled)
            self._changed.notify_all()

    def _publish(self, payload: bytes) -> None:
        self._client.publish(f"{self._topic}/chunk", payload, qos=1)

    def _again(self) -> None:
        """Sends again what has waited too long; the caller holds the lock."""
        now_s = time.monotonic()
        for waiting in self._waiting.values():
            if self._ready and now_s - waiting.last_s > self._resend_s:
                waiting.last_s = now_s
                self._report.resent += 1
                self._publish(waiting.payload)

    def send(self, payload: bytes) -> None:
        """Publishes a payload, after waiting until fewer than ``window`` are without a verdict.

        A payload that still waits is published once more but counted once: a device that repeats itself.
        """
        if len(payload) > MAX_BYTES:
            # The broker would end the session for it, and the session would send it again for ever.
            with self._changed:
                self._report.sent += 1
                self._report.refused[Reason.TOO_LARGE] = self._report.refused.get(Reason.TOO_LARGE, 0) + 1
                if self._outbox is not None:
                    self._outbox.settle([payload])
            return
        if self._outbox is not None:
            self._outbox.put(payload)
        with self._changed:
            while len(self._waiting) >= self._window:
                self._changed.wait(timeout=1.0)
                self._again()
            now_s = time.monotonic()
            sha = hashlib.sha256(payload).hexdigest()
            if sha not in self._waiting:
                self._waiting[sha] = _Waiting(payload, peek(payload), now_s, now_s)
            self._report.sent += 1
        self._publish(payload)

    def resume(self) -> int:
        """Sends what the outbox still holds from before, oldest first; gives how many that were."""
        after, n = 0, 0
        while self._outbox is not None and (found := self._outbox.next_after(after)) is not None:
            after, payload = found
            self.send(payload)
            n += 1
        return n

    def finish(self, timeout_s: float) -> Report:
        """Waits until every chunk has its verdict, at most ``timeout_s``; the report says what still waits."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            while self._waiting and time.monotonic() < end_s:
                self._changed.wait(timeout=min(1.0, max(0.0, end_s - time.monotonic())))
                self._again()
        return self.report

    @property
    def report(self) -> Report:
        """What became of everything so far."""
        with self._changed:
            self._report.waiting = len(self._waiting)
            return self._report
