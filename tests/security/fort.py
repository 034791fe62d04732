"""The guarded platform and what tests do with it."""

from __future__ import annotations

import json
import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from api import wiring
from api.enrolment import disable, rotate
from api.platform import Platform
from ingest import City, Credential

from ..roads import just_driven

TOKEN = "5e3c0f5ecb1e4a7d"
WAIT_S = 15.0


@dataclass
class Fort:
    """platform: running. ca: what it vouches for itself with."""

    platform: Platform
    city: City
    ca: Path
    _trip: int = 0

    def connect(self) -> wiring.Connection:
        """A connection to its database."""
        return wiring.database(self.platform.settings)

    def one(self, query: str, *values: object) -> Any:
        """The first column of the first row."""
        with self.connect() as conn:
            row = conn.execute(query.encode(), values).fetchone()
        return row[0] if row else None

    def enrol(self, name: str, kind: str = "box") -> Credential:
        """A device."""
        return self.platform.enrol([(name, kind)], "security")[1][0]

    def rotate(self, name: str) -> Credential:
        """Its new credential."""
        with self.connect() as conn:
            folder = self.platform.settings.home / "devices" / "security"
            settings = self.platform.settings
            origins = settings.read_city().origins
            return rotate(conn, self.platform.services.broker, folder, name, wiring.address(settings), origins)

    def disable(self, *names: str) -> list[str]:
        """Those that were let in until now."""
        with self.connect() as conn:
            origins = self.platform.settings.read_city().origins
            return disable(conn, self.platform.services.broker, names, origins)

    def http(self, credential: Credential | None = None, **options: Any) -> httpx.Client:
        """A client that trusts its CA; with a device's name and password, or with neither these nor the token."""
        auth = (credential.device, credential.password) if credential else None
        trust = ssl.create_default_context(cafile=str(self.ca))
        return httpx.Client(base_url=self.platform.url, verify=trust, trust_env=False, auth=auth, timeout=30, **options)

    def phone(self) -> Credential:
        """A phone that has enrolled itself."""
        with self.http() as client:
            told = client.post("/api/v1/devices", json={"consent": "1"})
        assert told.status_code == 201, told.text
        return Credential(**told.json())

    def chunks(self, n: int = 1, *, ago_s: float = 60.0, tail: str | None = None, **more: Any) -> list[bytes]:
        """``n`` chunks of a trip of its own, or of that name, the last of which ends so long ago."""
        self._trip += 1
        return just_driven(self.city, n, tail=tail or f"{self._trip:08x}", ago_s=ago_s, **more)

    def kept(self, *payloads: bytes) -> int:
        """How many of the payloads are stored, counted with repeats."""
        return int(self.one("SELECT count(*) FROM chunk WHERE raw = ANY(%s)", list(payloads)))


@dataclass
class Session:
    """A plain MQTT session that remembers what happens to it."""

    client: mqtt.Client
    connected: queue.Queue[bool] = field(default_factory=queue.Queue)
    granted: queue.Queue[bool] = field(default_factory=queue.Queue)
    messages: queue.Queue[tuple[str, dict[str, Any]]] = field(default_factory=queue.Queue)
    ended: threading.Event = field(default_factory=threading.Event)

    def subscribe(self, topic: str) -> bool:
        """Whether the broker grants it."""
        self.client.subscribe(topic, qos=1)
        return self.granted.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: bytes) -> None:
        """With QoS 1; whether the broker says that it took it tells nothing."""
        self.client.publish(topic, payload, qos=1)


@contextmanager
def session(credential: Credential, client_id: str | None = None, *, clean: bool = True) -> Iterator[Session]:
    """A session with a device's password, and with its client id or another."""
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id or credential.client_id, clean_session=clean, protocol=mqtt.MQTTv311,
        reconnect_on_failure=False,
    )  # fmt: skip
    if credential.ca:
        client.tls_set_context(ssl.create_default_context(cadata=credential.ca))
    client.username_pw_set(credential.device, credential.password)
    one = Session(client)
    client.on_connect = lambda _c, _u, _f, code, _p: one.connected.put(not code.is_failure)
    client.on_disconnect = lambda *_: one.ended.set()
    client.on_subscribe = lambda _c, _u, _m, codes, _p: one.granted.put(codes[0].value < 0x80)
    client.on_message = lambda _c, _u, message: one.messages.put((message.topic, json.loads(message.payload)))
    client.connect(credential.host, credential.port)
    client.loop_start()
    try:
        yield one
    finally:
        client.disconnect()
        client.loop_stop()


def let_in(credential: Credential) -> bool:
    """Whether the broker lets somebody in with this name and password."""
    with session(credential, "somebody") as one:
        return one.connected.get(timeout=WAIT_S)
