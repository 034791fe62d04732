"""The worker's session at a plain broker, against a real Mosquitto: order of commit, verdict and acknowledgement; what
a failing commit, a lost connection and a stranger with the worker's client id cannot do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from api.embedded import Broker, open_folder
from ingest import Arrived, BrokerUrl, BrokerUrlError, Verdict, mosquitto, mqtt, read_broker_url, tls_of
from ingest.mqtt_session import ON_WAY, Session

from ..mosquitto import Mosquitto, mosquitto_with, needs_mosquitto
from ..street import until

DEVICES = (("box-1", "box"), ("box-2", "box"))
MOST = 8


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto_with(tmp_path / "mosquitto", DEVICES) as started:
        yield started


class Device:
    """A client with a device's rights. version 5 tells what became of a publish, 3.1.1 does not."""

    def __init__(self, broker: Mosquitto, name: str, *, version: int = 5, client_id: str = "") -> None:
        self.verdicts: list[bytes] = []
        self.codes: dict[int, str] = {}
        self.ready = threading.Event()
        clean: dict[str, Any] = {} if version == 5 else {"clean_session": True}
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client_id or name, protocol=version, **clean
        )
        self.client.username_pw_set(name, broker.passwords[name])
        self.client.on_connect = lambda *_: self.client.subscribe(f"rhc/v1/{name}/verdict", 1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda _c, _d, message: self.verdicts.append(message.payload)
        self.client.on_publish = lambda _c, _d, mid, code, _p: self.codes.update({mid: str(code)})
        self.port = broker.port

    def __enter__(self) -> Device:
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> str:
        """What the broker says to it."""
        info = self.client.publish(topic, payload, qos=1)
        until(lambda: info.mid in self.codes, 10, "the broker answers a publish")
        return self.codes[info.mid]


class Worker:
    """A subscription that runs in a thread of its own, with a handle that the test gives."""

    def __init__(
        self, url: BrokerUrl, handle: Callable[[list[Arrived]], list[Verdict]], *, age_s: float = 0.05,
        client_id: str = "a-secret", tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.notes: list[str] = []
        self.well = 0
        self._stop: Callable[[], None] = lambda: None
        started = threading.Event()

        async def run() -> None:
            stop, loop = asyncio.Event(), asyncio.get_running_loop()
            self._stop = lambda: loop.call_soon_threadsafe(stop.set)
            started.set()
            await mqtt.subscribe(
                url, handle, stop, self.notes.append, MOST, age_s, client_id=client_id, tls=tls, well=self._is_well
            )

        self.thread = threading.Thread(target=lambda: asyncio.run(run()))
        self.thread.start()
        assert started.wait(10)

    def _is_well(self) -> None:
        self.well += 1

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


class Taken:
    """A handle that keeps what it was given. may: held back while it is not set. fails: how often it raises first."""

    def __init__(self, fails: int = 0) -> None:
        self.batches: list[list[bytes]] = []
        self.tried: list[list[bytes]] = []
        self.may = threading.Event()
        self.may.set()
        self.fails = fails

    def __call__(self, arrived: list[Arrived]) -> list[Verdict]:
        self.tried.append([a.payload for a in arrived])
        assert self.may.wait(30)
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the database is away")
        self.batches.append([a.payload for a in arrived])
        return [Verdict(a.device, b"taken " + a.payload) for a in arrived]

    @property
    def all(self) -> list[bytes]:
        return [payload for batch in self.batches for payload in batch]


def numbers(first: int, n: int) -> list[bytes]:
    return [b"%d" % i for i in range(first, first + n)]


def send(device: Device, payloads: list[bytes]) -> None:
    for payload in payloads:
        assert device.publish("rhc/v1/box-1/chunk", payload) == "Success"


# ---------------------------------------------------------------- the way of a batch


@needs_mosquitto
def test_chunks_arrive_in_order_with_their_device_and_verdicts_go_back(broker: Mosquitto) -> None:
    take = Taken()
    with Worker(broker.url, take) as worker, Device(broker, "box-1") as one, Device(broker, "box-2") as two:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        send(one, numbers(0, 20))
        assert two.publish("rhc/v1/box-2/chunk", b"of two") == "Success"
        until(lambda: len(one.verdicts) == 20 and len(two.verdicts) == 1, 10, "every verdict came")
    assert [p for p in take.all if p != b"of two"] == numbers(0, 20)
    assert one.verdicts == [b"taken " + p for p in numbers(0, 20)]
    assert two.verdicts == [b"taken of two"]
    assert max(len(batch) for batch in take.batches) <= MOST
    assert worker.notes == []


@needs_mosquitto
def test_a_batch_closes_when_full_and_when_old(broker: Mosquitto) -> None:
    take = Taken()
    take.may.clear()
    with Worker(broker.url, take, age_s=0.3) as worker, Device(broker, "box-1") as box:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        send(box, [b"alone"])
        until(lambda: len(take.tried) == 1, 10, "a batch of one closes by its age")
        send(box, numbers(0, MOST + 1))
        take.may.set()
        until(lambda: len(take.batches) == 3, 10, "the rest came")
    assert [len(batch) for batch in take.batches] == [1, MOST, 1]


@needs_mosquitto
def test_what_is_not_committed_is_not_acknowledged_and_comes_again_to_the_next_worker(broker: Mosquitto) -> None:
    stuck = Taken()
    stuck.may.clear()
    with Device(broker, "box-1") as box:
        with Worker(broker.url, stuck) as first:
            until(lambda: first.well > 0, 10, "the worker is let in")
            send(box, numbers(0, 5))
            until(lambda: bool(stuck.tried), 10, "it works on them")
            stuck.fails = 1  # it goes away with them in hand
            first._stop()
            stuck.may.set()
        assert (stuck.batches, box.verdicts) == ([], [])
        send(box, numbers(5, 2))  # the session keeps what comes while nobody is there
        take = Taken()
        with Worker(broker.url, take):
            until(lambda: len(take.all) == 7, 10, "all of them came again")
            until(lambda: len(box.verdicts) == 7, 10, "with their verdicts")
        assert take.all == numbers(0, 7), "in the order in which they were sent"
        nothing = Taken()
        with Worker(broker.url, nothing) as third:
            until(lambda: third.well > 0, 10, "the worker is let in")
            send(box, [b"last"])
            until(lambda: bool(nothing.batches), 10, "the newest came")
        assert nothing.all == [b"last"], "what was acknowledged does not come again"


@needs_mosquitto
def test_a_batch_that_fails_is_tried_again_on_the_same_connection_and_no_memory_grows(broker: Mosquitto) -> None:
    take = Taken(fails=3)
    with Worker(broker.url, take) as worker, Device(broker, "box-1") as box:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        send(box, numbers(0, 6 * MOST))
        until(lambda: len(take.all) == 6 * MOST, 30, "all of them were taken")
        until(lambda: len(box.verdicts) == 6 * MOST, 10, "and told")
    assert take.all == numbers(0, 6 * MOST), "each once, in order: nothing was given twice to a commit that held"
    assert take.tried[0] == take.tried[1] == take.tried[2] == take.tried[3]
    assert sum("tried again (RuntimeError: the database is away)" in note for note in worker.notes) == 3


@needs_mosquitto
@pytest.mark.parametrize("version", ["MQTTv5", "MQTTv311"])
def test_a_backlog_waits_at_the_broker_and_not_in_the_worker(
    broker: Mosquitto, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither version bounds it at Mosquitto 2.0: what bounds it is that the socket is not read."""
    held: list[int] = []
    read = Session._read

    def watched(session: Session) -> None:
        read(session)
        held.append(len(session._pending))

    monkeypatch.setattr(Session, "_read", watched)
    monkeypatch.setattr(mqtt, "FIRST", mqtt.MQTTProtocolVersion[version])
    take = Taken()
    take.may.clear()
    with Worker(broker.url, take) as worker, Device(broker, "box-1") as box:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        for payload in numbers(0, 600):
            box.client.publish("rhc/v1/box-1/chunk", payload + bytes(4000), qos=1)
        until(lambda: len(box.codes) == 600, 20, "the broker has them all")
        take.may.set()
        until(lambda: len(box.verdicts) == 600, 30, "every one was taken")
    assert len(take.all) == 600
    assert max(held) <= 2 * 2 * MOST + ON_WAY


@needs_mosquitto
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_worker_outlives_its_broker_and_goes_on_where_it_was(broker: Mosquitto, end: signal.Signals) -> None:
    take = Taken()
    with Worker(broker.url, take) as worker:
        with Device(broker, "box-1") as box:
            until(lambda: worker.well > 0, 10, "the worker is let in")
            send(box, numbers(0, 3))
            until(lambda: len(take.all) == 3, 10, "the first came")
        broker.end(end)
        until(lambda: any("is away" in note for note in worker.notes), 20, "it says that the broker is away")
        before = worker.well
        broker.start()
        with Device(broker, "box-1") as box:
            until(lambda: worker.well > before, 20, "the worker is let in again")
            send(box, numbers(3, 3))
            until(lambda: set(take.all) == set(numbers(0, 6)), 20, "the rest came")
    # A broker that was killed has forgotten acknowledgements since its last save: it brings those chunks again.
    assert end == signal.SIGKILL or take.all == numbers(0, 6)


@needs_mosquitto
def test_an_acknowledgement_of_a_lost_connection_is_never_sent_on_the_next_one(broker: Mosquitto) -> None:
    """The numbers of a new session would be others' messages: they would be lost."""
    take = Taken()
    take.may.clear()
    with Worker(broker.url, take) as worker, Device(broker, "box-1") as box:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        send(box, numbers(0, 4))
        until(lambda: bool(take.tried), 10, "it works on them")
        broker.end()
        for file in broker.folder.glob("*.db"):
            file.unlink()  # with its store the session went
        broker.start()
        until(lambda: worker.well > 0 and box.client.is_connected(), 20, "the device is back")
        take.may.set()
        until(lambda: worker.well > 1, 20, "the worker is back")
        send(box, numbers(10, 4))
        until(lambda: set(numbers(10, 4)) <= set(take.all), 20, "what came to the new session is taken")
        until(lambda: len(box.verdicts) >= 4, 20, "and told")


# ---------------------------------------------------------------- rights


@needs_mosquitto
def test_a_device_publishes_its_own_topic_only_and_reads_its_own_verdicts_only(broker: Mosquitto) -> None:
    take = Taken()
    with Worker(broker.url, take) as worker, Device(broker, "box-1") as one, Device(broker, "box-2") as two:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        one.client.subscribe([("rhc/v1/box-2/verdict", 1), ("rhc/v1/+/chunk", 1), ("#", 1)])
        for topic in ("rhc/v1/box-2/chunk", "rhc/v1/box-2/verdict", "rhc/v1/box-1/verdict", "other"):
            assert one.publish(topic, b"forged") == "Not authorized", topic
        assert two.publish("rhc/v1/box-2/chunk", b"mine") == "Success"
        until(lambda: two.verdicts == [b"taken mine"], 10, "its own verdict came")
        send(one, [b"end"])
        until(lambda: bool(one.verdicts), 10, "its own verdict came, too")
    assert set(one.verdicts) == {b"taken end"}, "nothing of the other's"
    assert take.all == [b"mine", b"end"]


@needs_mosquitto
def test_a_device_that_speaks_3_1_1_is_told_success_for_what_was_dropped(broker: Mosquitto) -> None:
    """Why a PUBACK is never taken for acceptance."""
    take = Taken()
    with Worker(broker.url, take) as worker, Device(broker, "box-1", version=4) as one:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        assert one.publish("rhc/v1/box-2/chunk", b"forged") == "Success"
        send(one, [b"end"])
        until(lambda: bool(one.verdicts), 10, "its own verdict came")
    assert take.all == [b"end"]


@needs_mosquitto
@pytest.mark.parametrize("stolen", ["a-secret", "worker"])
def test_a_device_with_the_workers_client_id_neither_ends_its_session_nor_takes_what_waits_there(
    broker: Mosquitto, stolen: str
) -> None:
    with Worker(broker.url, Taken()) as worker:
        until(lambda: worker.well > 0, 10, "the session is there")
    with Device(broker, "box-1") as box:
        send(box, numbers(0, 30))
        with Device(broker, "box-2", version=4, client_id=stolen):  # a clean session, which would destroy the other
            pass
        take = Taken()
        with Worker(broker.url, take):
            until(lambda: take.all == numbers(0, 30), 10, "all of them waited for the worker")


@needs_mosquitto
def test_a_worker_that_may_not_write_verdicts_is_told(broker: Mosquitto) -> None:
    broker.access_path.write_text("pattern write rhc/v1/%u/chunk\nuser worker\ntopic read rhc/v1/+/chunk\n")
    broker.send(signal.SIGHUP)
    with Worker(broker.url, Taken()) as worker, Device(broker, "box-1") as box:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        send(box, [b"a"])
        until(lambda: any("refused a verdict (Not authorized)" in note for note in worker.notes), 10, "it is noted")


@needs_mosquitto
def test_a_wrong_password_is_noted_with_what_to_do_and_without_the_password(broker: Mosquitto) -> None:
    wrong = BrokerUrl("mqtt", "127.0.0.1", broker.port, "worker", "a-wrong-password")
    with Worker(wrong, Taken()) as worker:
        until(lambda: bool(worker.notes), 10, "it is noted")
    assert "ROADCODE_BROKER_URL" in worker.notes[0]
    assert "a-wrong-password" not in "".join(worker.notes) + repr(wrong)


@needs_mosquitto
def test_a_second_worker_on_the_session_is_named(broker: Mosquitto) -> None:
    with Worker(broker.url, Taken()) as first:
        until(lambda: first.well > 0, 10, "the first is in")
        with Worker(broker.url, Taken()):
            until(lambda: any("one worker" in note for note in first.notes), 15, "the first says why it is thrown out")


@needs_mosquitto
def test_what_is_too_large_is_dropped_by_the_broker_and_the_next_one_comes(broker: Mosquitto) -> None:
    take = Taken()
    with Worker(broker.url, take) as worker, Device(broker, "box-1", version=4) as box:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        # Another reason not to take a PUBACK for acceptance.
        too_large = bytes(mosquitto.MAX_BYTES + mosquitto.HEADROOM_BYTES + 1)
        assert box.publish("rhc/v1/box-1/chunk", too_large) == "Success"
        until(box.client.is_connected, 10, "the device is still, or again, connected")
        send(box, [b"small"])
        until(lambda: take.all == [b"small"], 10, "the next one came")


# ---------------------------------------------------------------- versions and TLS


@needs_mosquitto
def test_who_asks_which_version_is_spoken_leaves_the_worker_alone(broker: Mosquitto) -> None:
    """Mosquitto takes the user name as client id: asked with the worker's, it would end and empty its session."""
    stuck, take = Taken(), Taken()
    stuck.may.clear()
    with Worker(broker.url, stuck) as worker, Device(broker, "box-1") as box:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        send(box, numbers(0, 20))
        assert asyncio.run(mqtt.ask(broker.url)) == 5
        stuck.may.set()
        until(lambda: stuck.all == numbers(0, 20), 10, "all of them were taken")
        assert worker.notes == []
    with Device(broker, "box-1") as box:
        send(box, numbers(20, 5))
        assert asyncio.run(mqtt.ask(broker.url)) == 5
        with Worker(broker.url, take):
            until(lambda: take.all == numbers(20, 5), 10, "what waited for it is still there")


def test_where_mqtt_5_is_refused_3_1_1_is_spoken(tmp_path: Path) -> None:
    """NATS, which knows 3.1.1 only."""
    folder = open_folder(tmp_path / "home")
    server = Broker(folder)
    names = ("nats", "mqtt", "websocket", "monitor")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    address = server.start(ports)
    try:
        url = BrokerUrl("mqtt", "127.0.0.1", address.mqtt_port, address.backend_user, address.backend_password)
        assert asyncio.run(mqtt.ask(url)) == 4
        take = Taken()
        with Worker(url, take) as worker:
            until(lambda: worker.well > 0, 10, "the worker is let in")
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="x", protocol=4)
            client.username_pw_set(url.user, url.password)
            client.connect(url.host, url.port)
            client.loop_start()
            client.publish("rhc/v1/box-1/chunk", b"old", qos=1)
            until(lambda: take.all == [b"old"], 10, "it came")
            client.disconnect()
            client.loop_stop()
        assert worker.notes == []
    finally:
        server.stop()


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@needs_mosquitto
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho's
def test_over_tls_the_brokers_certificate_is_checked(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=False, capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl is not here to make a certificate")
    (port,) = free_ports(1)
    more = f"listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n"
    with mosquitto_with(tmp_path / "mosquitto", DEVICES, more) as broker:
        url = BrokerUrl("mqtts", "localhost", port, "worker", broker.password)
        with pytest.raises(ssl.SSLCertVerificationError):
            asyncio.run(mqtt.ask(url, tls_of(url, None)))
        take = Taken()
        with Worker(url, take, tls=tls_of(url, certificate)) as worker, Device(broker, "box-1") as box:
            until(lambda: worker.well > 0, 10, "the worker is let in")
            payloads = [p + os.urandom(20_000) for p in numbers(0, 40)]
            send(box, payloads)
            until(lambda: len(box.verdicts) == 40, 20, "every verdict came")
        assert take.all == payloads


# ---------------------------------------------------------------- addresses and files


def test_an_address_is_read_with_its_user_and_default_port() -> None:
    url = read_broker_url("mqtts://the%40worker:p%2Fw@broker.example")
    assert url == BrokerUrl("mqtts", "broker.example", 8883, "the@worker", "p/w")
    assert (url.plain, url.encrypted, url.shown) == (True, True, "mqtts://broker.example:8883")
    assert not read_broker_url("nats://a:b@[::1]:4333").plain
    assert read_broker_url("nats://a:b@[::1]:4333").shown == "nats://[::1]:4333"


@pytest.mark.parametrize(
    "text", ["", "broker", "http://h:1", "mqtt://", "mqtt://h:99999", "mqtt://h:port", "mqtt://u:hidden@h:1x", "mqtt://h/x"]
)
def test_an_address_that_is_none_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BrokerUrlError) as told:
        read_broker_url(text)
    assert "hidden" not in str(told.value)


def test_files_refuse_what_would_reach_beyond_its_line() -> None:
    good = mosquitto.password_hash("p", bytes(12))
    for name, hashed in (("a\nworker", good), ("a:b", good), ("box-1", "plain"), ("box-1", good + "\nx:" + good)):
        with pytest.raises(ValueError, match="enrol"):
            mosquitto.password_file([(name, hashed)])
    for worker in ("a\ntopic #", "", "%u", "+"):
        with pytest.raises(ValueError, match="worker"):
            mosquitto.access_file(worker)


@needs_mosquitto
def test_our_hash_is_the_one_that_mosquittos_own_program_makes(tmp_path: Path) -> None:
    """Its file for the same password and salt is ours, byte for byte."""
    password = secrets.token_hex(20)
    file = tmp_path / "passwords"
    file.write_text("")
    made = subprocess.run(["mosquitto_passwd", "-b", file, "box-1", password], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("mosquitto_passwd is not here")
    _, _, iterations, salt, _ = file.read_text().strip().split("$")
    assert int(iterations) == mosquitto.ITERATIONS
    assert file.read_text() == mosquitto.password_file(
        [("box-1", mosquitto.password_hash(password, base64.b64decode(salt)))]
    )
