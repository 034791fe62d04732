"""A fleet over a real broker, against a stand-in for the platform that judges as its door does."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import City, Credential, Outbox, Refused, admit, decode, peek, read_city, write_credential

from ..street import until as poll

ROOT = Path(__file__).parents[2]


def until(what: str, ready: threading.Event) -> None:
    if not ready.wait(20):
        pytest.fail(f"{what} took more than 20 s")


def nats_server() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        pytest.fail("nats-server is not beside python: install the runtime lock (make test does)")
    return found


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        mqtt_port, own_port = first.getsockname()[1], second.getsockname()[1]
    config = tmp_path / "nats.conf"
    config.write_text(
        f"server_name: test\nlisten: 127.0.0.1:{own_port}\nmax_payload: 1MB\n"
        f'jetstream {{ store_dir: "{tmp_path / "store"}" }}\n'
        f'mqtt {{ listen: "127.0.0.1:{mqtt_port}", max_ack_pending: 2000 }}\n'
    )
    ready = threading.Event()
    server = subprocess.Popen([nats_server(), "-c", str(config)], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    log = server.stderr

    def watch() -> None:
        for line in log:
            if "Server is ready" in line:
                ready.set()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        until("nats-server", ready)
        yield mqtt_port
    finally:
        server.terminate()
        server.wait(10)
        watcher.join(5)
        log.close()


class StandIn:
    """Answers each chunk as the platform would: accepted, or refused with a reason and the payload's hash."""

    def __init__(self, port: int, city: City, now_s: Callable[[], float] = time.time) -> None:
        self.city = city
        self.now_s = now_s
        self.ready = threading.Event()
        self.keys: Counter[tuple[str, int]] = Counter()
        self.kinds: Counter[str] = Counter()
        self.some = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="stand-in", protocol=mqtt.MQTTv311)
        self.client.on_connect = lambda client, *_: client.subscribe("rhc/v1/+/chunk", qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self.judge
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        until("the subscription", self.ready)

    def judge(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        device = message.topic.split("/")[2]
        trip, seq = peek(message.payload) or ("", -1)
        accepted, refused = [], []
        try:
            admit(decode(message.payload), device.partition("-")[0], self.city, self.now_s())
            accepted.append([seq, seq])
            self.keys[trip, seq] += 1
            self.kinds[device] += 1
        except Refused as why:
            refused.append([seq, str(why.reason), hashlib.sha256(message.payload).hexdigest()])
        verdict = {"v": 1, "trip": trip, "accepted": accepted, "refused": refused}
        client.publish(f"rhc/v1/{device}/verdict", json.dumps(verdict), qos=1)
        self.some.set()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def platform(port: int) -> Iterator[StandIn]:
    stand_in = StandIn(port, read_city((ROOT / "city.toml").read_text(encoding="utf-8")))
    yield stand_in
    stand_in.close()


@pytest.fixture
def credentials(tmp_path: Path, port: int) -> Path:
    folder = tmp_path / "devices"
    folder.mkdir()
    for device in ("box-1", "box-2", "box-3", "phone-1"):
        credential = Credential(device, device.partition("-")[0], f"client-{device}", "x", "127.0.0.1", port)
        write_credential(folder / f"{device}.json", credential)
    return folder


def start(credentials: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sensors_sim", "--city", "city.toml", "--credentials", str(credentials),
         "--boxes", "2", "--phones", "1", *more],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"TERM": "dumb"},
    )  # fmt: skip


def test_refused_is_what_was_broken_and_all_else_is_accepted(platform: StandIn, credentials: Path) -> None:
    fleet = start(credentials, "--passes", "1", "--faults", "--bad", "10")
    out, err = fleet.communicate(timeout=60)
    assert fleet.returncode == 0, err
    report = json.loads(out)
    assert report["bad"] == sum(report["refused"].values()) == 10
    assert len(report["bad_kinds"]) == 7
    assert report["waiting"] == 0
    assert report["unique"] == len(platform.keys) > 70
    assert report["sent"] == report["unique"] + report["duplicates"] + report["bad"]
    assert report["unique"] <= report["accepted"] <= report["unique"] + report["duplicates"]
    assert 0 < report["latency_p50_s"] <= report["latency_p95_s"]
    assert set(platform.kinds) == {"box-1", "box-2", "phone-1"}


def test_forever_drives_until_it_is_told_to_stop(platform: StandIn, credentials: Path) -> None:
    fleet = start(credentials, "--passes", "0", "--forever", "--until", str(time.time() - 15))
    try:
        until("the first live chunk", platform.some)
    finally:
        fleet.send_signal(signal.SIGTERM)
        out, err = fleet.communicate(timeout=30)
    assert fleet.returncode == 0, err
    report = json.loads(out)
    assert report["accepted"] == report["unique"] >= 1
    assert report["refused"] == {}


def test_what_a_killed_fleet_had_recorded_is_sent_by_the_next_one(
    port: int, credentials: Path, tmp_path: Path
) -> None:
    """The first one is killed before anybody answers; what its outboxes hold counts once, whoever sends it."""
    kept = tmp_path / "outboxes"
    fleet = start(credentials, "--passes", "1", "--until", "1.79e9", "--outbox", str(kept), "--summaries")
    recorded: dict[str, int] = {}
    try:
        poll(lambda: sum(p.stat().st_size for p in kept.glob("*/outbox.sqlite*")) > 400_000, 30, "a full outbox")
    finally:
        fleet.send_signal(signal.SIGKILL)
        fleet.communicate(timeout=30)
    for device in ("box-1", "box-2", "phone-1"):
        with Outbox(kept / device) as outbox:
            recorded[device] = len(outbox)
    assert sum(recorded.values()) > 10
    city = read_city((ROOT / "city.toml").read_text(encoding="utf-8"))
    stand_in = StandIn(port, city, now_s=lambda: 1.79e9)
    try:
        again = start(credentials, "--passes", "1", "--until", "1.79e9", "--outbox", str(kept), "--summaries")
        out, err = again.communicate(timeout=60)
    finally:
        stand_in.close()
    assert again.returncode == 0, err
    report = json.loads(out)
    assert (report["waiting"], report["refused"]) == (0, {})
    assert all(n >= recorded[device] for device, n in stand_in.kinds.items())
    keys = {key for key, n in stand_in.keys.items() if n}
    assert len(keys) == report["unique"], "the same drives again are the same chunks"
    for device in recorded:
        with Outbox(kept / device) as outbox:
            assert len(outbox) == 0


def test_without_a_broker_it_says_so(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for device in ("box-1", "box-2", "phone-1"):
        write_credential(
            tmp_path / f"{device}.json",
            Credential(device, device.partition("-")[0], device, "x", "127.0.0.1", port),
        )
    fleet = start(tmp_path)
    _, err = fleet.communicate(timeout=30)
    assert fleet.returncode == 2
    assert "is the platform running?" in err
    assert "Traceback" not in err
