"""A device's side of the wire: publish chunks, keep each until its verdict, send it again otherwise.

A broker's acknowledgement only says that the broker has a message; that it counts is what the verdict says.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from .refusal import Reason
from .wire import MAX_BYTES, peek


class SenderError(RuntimeError):
    """The broker cannot be reached or does not let the device in; the text says which and what to do."""


@dataclass(frozen=True)
class Credential:
    """What a device needs to connect. It is secret: the client id too, since who knows it can end the session."""

    device: str
    kind: str
    client_id: str
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 1883


def read_credential(path: Path) -> Credential:
    """The credential in a JSON file. Raises SenderError where it is not one."""
    try:
        tree = json.loads(path.read_text())
        return Credential(
            str(tree["device"]), str(tree["kind"]), str(tree["client_id"]), str(tree["password"]), str(tree["host"]),
            int(tree["port"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SenderError(f"{path} is not a device's credential ({error}): enrol the device again") from None


def write_credential(path: Path, credential: Credential) -> None:
    """Writes the credential as JSON, readable by its owner alone from the first moment on."""
    tree = {name: getattr(credential, name) for name in ("device", "kind", "client_id", "password", "host", "port")}
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(json.dumps(tree, indent=1))
    new.replace(path)


@dataclass
class Report:
    """What became of what was sent. latency_s: from the first publish to the verdict, of every chunk that got one."""

    sent: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    resent: int = 0
    latency_s: list[float] = field(default_factory=list)


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
    made anew within twice that time.
    """

    def __init__(
        self, credential: Credential, *, window: int = 256, resend_s: float = 10.0, keepalive_s: int = 30
    ) -> None:
        self._credential = credential
        self._keepalive_s = keepalive_s
        self._window = window
        self._resend_s = resend_s
        self._report = Report()
        self._waiting: dict[str, _Waiting] = {}
        self._changed = threading.Condition()
        self._ready = False
        self._fault = ""
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=credential.client_id, clean_session=False, protocol=mqtt.MQTTv311
        )
        self._client.username_pw_set(credential.device, credential.password)
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
        if code.is_failure:
            with self._changed:
                self._fault = str(code)
                self._changed.notify_all()
        else:
            client.subscribe(f"{self._topic}/verdict", qos=1)

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, _code: Any, _props: Any) -> None:
        with self._changed:
            self._ready = False
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
        with self._changed:
            for sha, waiting in list(self._waiting.items()):
                # Accepted comes first: a chunk that was taken, and resent so late that it was refused, was taken.
                if waiting.key and waiting.key[0] == trip and any(a <= waiting.key[1] <= b for a, b in ranges):
                    self._report.accepted += 1
                elif sha in refused:
                    self._report.refused[refused[sha]] = self._report.refused.get(refused[sha], 0) + 1
                else:
                    continue
                self._report.latency_s.append(now_s - waiting.first_s)
                del self._waiting[sha]
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
            return
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
