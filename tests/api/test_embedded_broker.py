"""The broker: a device reaches its own topics and nothing else; what is acknowledged is kept; names we lean on."""

import asyncio
import contextlib
import datetime
import json
import queue
import random
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass

import nats
import nats.errors
import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from api.embedded import (
    Broker,
    BrokerAddress,
    BrokerUser,
    Listen,
    OversizeCount,
    ensure_consumer,
    hash_secret,
    open_folder,
)
from api.embedded import broker as broker_module
from api.embedded.broker import BACKEND, users_configuration
from api.embedded.folder import PORT_NAMES, choose_port
from api.embedded.monitor import monitor
from api.embedded.processes import pause
from ingest import MAX_BYTES, jetstream

WAIT_S = 10.0


@dataclass
class Running:
    """A broker with two devices, secret = name reversed."""

    broker: Broker
    ports: dict[str, int]
    address: BrokerAddress


class Device:
    """An MQTT client that remembers what happened to it."""

    def __init__(self, address, name, secret, client_id, transport="tcp", **options):
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv311, transport=transport, **options
        )
        if transport == "websockets":
            self.client.ws_set_options("/mqtt")
        self.client.username_pw_set(name, secret)
        self.connections, self.granted, self.messages = queue.Queue(), queue.Queue(), queue.Queue()
        self.lost = threading.Event()
        self.client.on_connect = lambda _c, _u, _f, code, _p: self.connections.put(code)
        self.client.on_disconnect = lambda *_: self.lost.set()
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self.granted.put(codes[0].value < 0x80)
        self.client.on_message = lambda _c, _u, message: self.messages.put((message.topic, message.payload))
        port = address.ws_port if transport == "websockets" else address.mqtt_port
        self.client.connect(address.host, port)
        self.client.loop_start()
        self.accepted = not self.connections.get(timeout=WAIT_S).is_failure

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(self, topic):
        self.client.subscribe(topic, 1)
        return self.granted.get(timeout=WAIT_S)

    def publish(self, topic, payload):
        told = self.client.publish(topic, payload, 1)
        told.wait_for_publish(WAIT_S)
        assert told.is_published()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = open_folder(tmp_path_factory.mktemp("broker") / "a home")
    broker, ports, rng = Broker(folder), {}, random.Random()
    for name in PORT_NAMES:
        ports[name] = choose_port(None, set(ports.values()), rng)
    folder.remember_ports(ports)
    address = broker.start(ports)
    broker.reload([BrokerUser("box-1", hash_secret("1-xob")), BrokerUser("box-2", hash_secret("2-xob"))])
    yield Running(broker, ports, address)
    broker.stop()
    assert broker.found() is None


def taken(address, least=0, within_s=0.3):
    """What the worker gets until `least` messages are there and then nothing more comes: (subject, payload)s."""

    async def pull():
        client = await nats.connect(address.nats_url, user=BACKEND, password=address.backend_password)
        got = []
        try:
            consumer = await client.jetstream().pull_subscribe_bind(jetstream.CONSUMER, jetstream.STREAM)
            while True:
                try:
                    batch = await consumer.fetch(500, timeout=WAIT_S if len(got) < least else within_s)
                except TimeoutError:  # nats raises its own, a kind of this, or the plain one
                    return got
                for message in batch:
                    got.append((message.subject, message.data))
                    await message.ack_sync()
        finally:
            await client.close()

    return asyncio.run(pull())


def box(running, number=1, client_id=None, **options):
    return Device(running.address, f"box-{number}", f"{number}-xob", client_id or f"secret-{number}", **options)


def test_the_names_inside_the_server_are_the_ones_we_lean_on(running):
    with box(running) as device:
        device.publish("rhc/v1/box-1/chunk", b"pinned")
    assert taken(running.address, 1) == [("$MQTT.msgs.rhc.v1.box-1.chunk", b"pinned")]

    async def configured():
        client = await nats.connect(running.address.nats_url, user=BACKEND, password=running.address.backend_password)
        stream = client.jetstream()
        worker = await stream.consumer_info(jetstream.STREAM, jetstream.CONSUMER)
        info = await stream.stream_info(jetstream.STREAM), worker
        await client.close()
        return info

    store, consumer = asyncio.run(configured())
    assert (store.config.storage, store.config.max_bytes, store.config.max_msgs) == ("file", -1, -1)
    assert (consumer.config.filter_subject, consumer.config.ack_wait) == (jetstream.FILTER, 5.0)
    assert monitor(running.address.monitor_url, "varz")["version"].startswith("2.15."), "another version: test names"


def test_having_the_consumer_ready_twice_keeps_what_waits_in_it(running):
    with box(running) as device:
        device.publish("rhc/v1/box-1/chunk", b"waits")
    asyncio.run(ensure_consumer(running.address, Listen()))
    assert [payload for _, payload in taken(running.address, 1)] == [b"waits"]


def test_a_device_cannot_publish_for_another_nor_into_the_store(running):
    with box(running) as device:
        for topic in (
            "rhc/v1/box-2/chunk", "rhc/v1/box-1/verdict", "rhc/v1/box-2/verdict", "$MQTT/msgs/rhc/v1/box-2/chunk",
            "$JS/API/STREAM/DELETE/$MQTT_msgs", "$JS/API/CONSUMER/DELETE/$MQTT_msgs/worker", "rhc/v1/box-1/chunk/x",
        ):  # fmt: skip
            device.publish(topic, b"forged")  # acknowledged (3.1.1 has no refusal) and dropped
        device.publish("rhc/v1/box-1/chunk", b"mine")
    assert taken(running.address, 1) == [("$MQTT.msgs.rhc.v1.box-1.chunk", b"mine")]


def test_a_device_reads_its_own_verdicts_only(running):
    backend = Device(running.address, BACKEND, running.address.backend_password, "backend-test")
    with box(running) as device, box(running, 2) as other, backend:
        assert device.subscribe("rhc/v1/box-1/verdict")
        assert other.subscribe("rhc/v1/box-2/verdict")
        for topic in (
            "rhc/v1/box-2/verdict", "rhc/v1/+/verdict", "rhc/#", "#", "+/+/+/+", "$MQTT/sub/#", "$MQTT/#", "$JS/#",
            "$SYS/#", "_INBOX/#", "rhc/v1/box-1/chunk", "rhc/v1/box-1/verdict/#",
        ):  # fmt: skip
            assert not device.subscribe(topic), topic
        backend.publish("rhc/v1/box-2/verdict", b"for 2")
        backend.publish("rhc/v1/box-1/verdict", b"for 1")
        assert device.messages.get(timeout=WAIT_S) == ("rhc/v1/box-1/verdict", b"for 1")
        assert other.messages.get(timeout=WAIT_S) == ("rhc/v1/box-2/verdict", b"for 2")
        assert device.messages.empty()
        assert not device.lost.is_set()


@pytest.mark.parametrize(("user", "secret"), [("box-1", "1-xob"), ("box-1", "wrong"), (BACKEND, "wrong"), (None, None)])
def test_the_core_protocol_is_for_the_backend(running, user, secret):
    hello = {"verbose": False, "user": user, "pass": secret} if user else {"verbose": False}
    with socket.create_connection((running.address.host, running.address.nats_port), timeout=WAIT_S) as connection:
        connection.sendall(b"CONNECT " + json.dumps(hello).encode() + b"\r\nPING\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))  # until the broker closes
    assert b"Authorization Violation" in answer
    assert b"PONG" not in answer


@pytest.mark.parametrize(("user", "secret"), [("box-1", "wrong"), ("box-9", "9-xob"), (BACKEND, "1-xob"), (None, None)])
def test_no_entrance_without_the_right_secret(running, user, secret):
    with Device(running.address, user, secret, "x", reconnect_on_failure=False) as device:
        assert not device.accepted


def test_a_browser_comes_by_websocket(running):
    with box(running, transport="websockets") as device:
        device.publish("rhc/v1/box-1/chunk", b"from a phone")
        assert not device.subscribe("rhc/v1/box-2/verdict")
    assert taken(running.address, 1) == [("$MQTT.msgs.rhc.v1.box-1.chunk", b"from a phone")]


def test_an_oversize_payload_is_refused_counted_and_harms_nobody_else(running):
    count = OversizeCount()
    before = count.look(running.address.monitor_url)
    with box(running) as good, box(running, 2, reconnect_on_failure=False) as bad:
        bad.publish("rhc/v1/box-2/chunk", b"x" * (MAX_BYTES - 200))
        bad.client.publish("rhc/v1/box-2/chunk", b"x" * (MAX_BYTES + 2048), 1)
        assert bad.lost.wait(WAIT_S), "the broker closes the connection"
        good.publish("rhc/v1/box-1/chunk", b"after")
        assert not good.lost.is_set()
    assert Counter(len(payload) for _, payload in taken(running.address, 2)) == {MAX_BYTES - 200: 1, 5: 1}
    assert count.look(running.address.monitor_url) == before + 1
    assert count.look(running.address.monitor_url) == before + 1, "counted once"


def test_a_new_device_is_let_in_and_one_taken_out_without_touching_the_others(running):
    one, two = BrokerUser("box-1", hash_secret("1-xob")), BrokerUser("box-2", hash_secret("2-xob"))
    running.broker.reload([one, two])
    with box(running) as device, box(running, 2) as leaver:
        # Another process of the platform does it, with nothing but the folder.
        Broker(open_folder(running.broker.folder.home)).reload([one, BrokerUser("box-3", hash_secret("3-xob"))])
        with box(running, 3) as newcomer:
            assert newcomer.accepted
            newcomer.publish("rhc/v1/box-3/chunk", b"new")
        assert leaver.lost.wait(WAIT_S), "whose credential is gone is put out at once"
        device.publish("rhc/v1/box-1/chunk", b"still here")
        assert not device.lost.is_set()
    assert len(taken(running.address, 2)) == 2
    running.broker.reload([one, two])
    running.broker.reload([one, two])  # the same again is no error and does not wait


def test_many_who_let_devices_in_share_a_reload(running):
    """The first one's list is read before the others have come; all others are served by the second reload."""
    here, home = running.broker, running.broker.folder.home
    listed, reads, first, go_on = [], [], threading.Event(), threading.Event()
    one, two = BrokerUser("box-1", hash_secret("1-xob")), BrokerUser("box-2", hash_secret("2-xob"))

    def read():
        reads.append(len(listed))
        first.set()
        assert go_on.wait(WAIT_S)
        return [one, two, *listed]

    def come(number):
        listed.append(BrokerUser(f"many-{number}", hash_secret("x")))
        Broker(open_folder(home)).refresh(read)  # as another process would: nothing but the folder is shared
        in_force.append(f'"many-{number}"' in (here.folder.broker / "users.conf").read_text())

    in_force = []
    before = monitor(running.address.monitor_url, "varz")["config_load_time"]
    threads = [threading.Thread(target=come, args=(number,)) for number in range(30)]
    with box(running) as device:
        threads[0].start()
        assert first.wait(WAIT_S)
        came = here._number("tickets")
        for thread in threads[1:]:
            thread.start()
        deadline_s = time.monotonic() + WAIT_S
        while here._number("tickets") < came + 29 and time.monotonic() < deadline_s:
            pause()
        go_on.set()
        for thread in threads:
            thread.join(WAIT_S)
        assert reads == [1, 30]
        assert in_force == [True] * 30
        assert monitor(running.address.monitor_url, "varz")["config_load_time"] != before
        assert not device.lost.is_set()
        with Device(running.address, "many-29", "x", "many-29") as late:
            assert late.accepted
    running.broker.reload([one, two])


def test_a_reload_that_fails_serves_nobody(running):
    one, two = BrokerUser("box-1", hash_secret("1-xob")), BrokerUser("box-2", hash_secret("2-xob"))

    def away():
        raise OSError("the database is away")

    with pytest.raises(OSError, match="away"):
        running.broker.refresh(away)
    running.broker.refresh(lambda: [one, two])
    with box(running, 2) as device:
        assert device.accepted


def test_a_broker_that_outlived_other_settings_is_started_anew(running):
    assert running.broker.start(running.ports) == running.address
    victim = running.broker.found()
    elsewhere = Broker(running.broker.folder, Listen("127.0.0.2"))
    elsewhere.start(running.ports)
    try:
        assert elsewhere.found() != victim
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", running.ports["mqtt"]), timeout=5)
        socket.create_connection(("127.0.0.2", running.ports["mqtt"]), timeout=5).close()
    finally:
        running.broker.start(running.ports)
    with box(running) as device:
        assert device.accepted


def test_device_names_that_reach_further_are_refused(running):
    hashed = hash_secret("x")
    for name in ("*", ">", "a.b", "a b", "", 'a"', "x" * 65, BACKEND, "box-1\n"):
        with pytest.raises(ValueError, match="no device name"):
            users_configuration("", [BrokerUser(name, hashed)])
    with pytest.raises(ValueError, match="not hashed"):
        running.broker.reload([BrokerUser("box-1", "in the clear")])
    with box(running) as device:
        assert device.accepted, "a refused change changes nothing"


def test_connecting_with_every_knowable_client_id_harms_nobody(running):
    """A client id is what a session belongs to: the devices' are secrets, and nothing else has one to take."""
    inside = [BACKEND, jetstream.CONSUMER, jetstream.STREAM, "road", "nats", "roadcode", "coder"]
    knowable = ["box-1", "box-2", *inside, "*", ">"]
    with box(running, client_id="c0ffee-secret", clean_session=False) as honest:
        assert honest.subscribe("rhc/v1/box-1/verdict")
        for number in range(50):
            honest.publish("rhc/v1/box-1/chunk", b"%d" % number)
        for client_id in knowable:
            for clean in (True, False):
                with box(running, 2, client_id=client_id, clean_session=clean, reconnect_on_failure=False) as thief:
                    if thief.accepted:
                        assert not thief.subscribe("rhc/v1/box-1/verdict")
        assert not honest.lost.is_set()
        with Device(running.address, BACKEND, running.address.backend_password, "") as backend:
            backend.publish("rhc/v1/box-1/verdict", b"counted")
        assert honest.messages.get(timeout=WAIT_S) == ("rhc/v1/box-1/verdict", b"counted")
    assert [int(payload) for _, payload in taken(running.address, 50)] == list(range(50))


async def as_the_worker(address, verdict):
    client = await nats.connect(address.nats_url, user=BACKEND, password=address.backend_password)
    await client.publish("rhc.v1.box-1.verdict", verdict)
    await client.flush()
    await client.close()


def test_sessions_that_are_left_behind_go_and_who_comes_back_is_served_without_asking_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(broker_module, "SESSION_IDLE_S", 1)
    folder, ports = open_folder(tmp_path / "home"), {}
    for name in PORT_NAMES:
        ports[name] = choose_port(None, set(ports.values()), random.Random())
    folder.remember_ports(ports)
    broker = Broker(folder)
    address = broker.start(ports)
    try:
        broker.reload([BrokerUser("box-1", hash_secret("1-xob"))])
        here = Running(broker, ports, address)

        def consumers():
            return monitor(address.monitor_url, "jsz")["consumers"]

        ours = consumers()
        with box(here, client_id="stays", clean_session=False) as stays:
            assert stays.subscribe("rhc/v1/box-1/verdict")
            for number in range(20):
                with box(here, client_id=f"left-{number}", clean_session=False) as left:
                    assert left.subscribe("rhc/v1/box-1/verdict")
            deadline_s = time.monotonic() + 30
            while consumers() > ours + 1 and time.monotonic() < deadline_s:
                pause()
            assert consumers() == ours + 1, "that of the one who is there, and the worker's"
            with box(here, client_id="left-0", clean_session=False) as back:
                asyncio.run(as_the_worker(address, b"counted"))
                assert back.messages.get(timeout=WAIT_S) == ("rhc/v1/box-1/verdict", b"counted")
                assert stays.messages.get(timeout=WAIT_S) == ("rhc/v1/box-1/verdict", b"counted")
                stays.publish("rhc/v1/box-1/chunk", b"taken")
        assert [payload for _, payload in taken(address, 1)] == [b"taken"]
    finally:
        broker.stop()


def made(name, issuer=None, *, authority=False):
    """A certificate and its key, signed by an issuer of the same kind or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by = issuer or (None, key)
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(by[0].subject if by[0] else subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(by[1], hashes.SHA256())
    )  # fmt: skip
    return certificate, key


def test_of_a_file_with_a_whole_chain_only_its_own_certificate_is_believed(tmp_path):
    pem = serialization.Encoding.PEM
    root = made("authority", authority=True)
    middle = made("between", root, authority=True)
    ours, other = made("ours", middle), made("other", middle)
    files = {}
    for name, (certificate, key) in {"ours": ours, "other": other}.items():
        files[name] = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        chain = (certificate, middle[0], root[0])
        files[name][0].write_bytes(b"".join(one.public_bytes(pem) for one in chain))
        files[name][1].write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )

    def meets(server):
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(*files[server])
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = broker_module.this_certificate(files["ours"][0]).wrap_bio(to_client, to_server)
        there = served.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(4):
            for side in (client, there):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        return client.version() is not None

    assert meets("ours")
    with pytest.raises(ssl.SSLCertVerificationError):
        meets("other")
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(ValueError, match="holds no certificate"):
        broker_module.this_certificate(tmp_path / "none.pem")


def test_what_was_acknowledged_survives_kill_9(running):
    acknowledged = []
    with box(running) as device:
        victim = running.broker.found()
        for number in range(400):
            told = device.client.publish("rhc/v1/box-1/chunk", b"%d" % number, 1)
            if number < 300:
                told.wait_for_publish(WAIT_S)
                acknowledged.append(number)
        victim.send(signal.SIGKILL)  # with a hundred on the way
        assert victim.wait_gone(WAIT_S)
        assert running.broker.start(running.ports) == running.address
        got = {int(payload) for _, payload in taken(running.address, 300)}
    assert set(acknowledged) <= got
    with box(running, 2) as device:
        assert device.accepted, "devices are let in again after a restart"
    taken(running.address)


def test_nobody_but_the_backend_is_let_in_before_there_is_a_consumer(running):
    store = running.broker.folder.broker / "store"
    running.broker.stop()
    store.rename(store.with_name("lost"))
    running.broker.start(running.ports)
    with box(running) as device:  # its user came back after the consumer, so that this is kept
        device.publish("rhc/v1/box-1/chunk", b"kept")
    assert [payload for _, payload in taken(running.address, 1)] == [b"kept"]
