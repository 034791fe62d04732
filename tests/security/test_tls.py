"""TLS on broker and map: who is trusted, who is not, and what is said to whom."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from api import wiring
from api.embedded import Listen
from api.settings import Settings
from api.tls import check_tls, device_ca, listen, self_signed
from ingest import SYSTEM_CA, Sender, SenderError, read_credential

from .fort import Fort


def test_a_device_publishes_over_tls_and_gets_its_verdict(fort: Fort) -> None:
    device = fort.enrol("tls-box")
    assert device.ca == fort.ca.read_text()
    path = fort.platform.settings.home / "devices" / "security" / "tls-box.json"
    assert read_credential(path) == device, "the CA comes with the credential's file"
    sent = fort.chunks(3)
    with Sender(device) as sender:
        for payload in sent:
            sender.send(payload)
        report = sender.finish(30)
    assert (report.accepted, report.refused, report.waiting) == (3, {}, 0)
    with socket.create_connection((device.host, device.port), timeout=10) as plain:
        spoken = ssl.create_default_context(cadata=device.ca).wrap_socket(plain, server_hostname=device.host)
        assert spoken.version() in ("TLSv1.2", "TLSv1.3")
        spoken.close()


def test_who_has_another_ca_is_not_trusted_and_gets_nothing(fort: Fort, tmp_path: Path) -> None:
    other = self_signed(tmp_path, ["127.0.0.1"], datetime.now(UTC))["tls_ca"].read_text()
    device = fort.enrol("ca-box")
    for ca in (other, SYSTEM_CA):
        with pytest.raises(SenderError, match=r"is not trusted .*CA in the credential"):
            Sender(dataclasses.replace(device, ca=ca)).__enter__()


def test_a_certificate_for_another_name_is_not_trusted(fort: Fort) -> None:
    device = fort.enrol("name-box")
    # A port that leads there stands in for a name that was hijacked.
    with socket.create_server(("127.0.0.3", 0)) as listening:
        where = dataclasses.replace(device, host="127.0.0.3", port=listening.getsockname()[1])

        def lead() -> None:
            one, _ = listening.accept()
            with one, socket.create_connection((device.host, device.port)) as there:
                there.sendall(one.recv(4096))
                one.sendall(there.recv(65_536))
                one.settimeout(5)
                one.recv(4096)

        leading = threading.Thread(target=lead)
        leading.start()
        with pytest.raises(SenderError, match="not trusted"):
            Sender(where).__enter__()
        leading.join(10)


def test_plain_text_on_the_tls_port_is_told_what_to_do(fort: Fort) -> None:
    device = dataclasses.replace(fort.enrol("plain-box"), ca=None)
    with pytest.raises(SenderError, match=r"without an answer. If it listens with TLS, the credential needs its CA"):
        Sender(device).__enter__()


def test_tls_on_a_port_of_plain_text_is_told_what_it_met(fort: Fort) -> None:
    with socket.create_server(("127.0.0.2", 0)) as listening:

        def answer() -> None:
            one, _ = listening.accept()
            with one:
                one.recv(4096)
                one.sendall(b"\x20\x02\x00\x05")  # as a broker that wants no TLS and is annoyed

        answering = threading.Thread(target=answer)
        answering.start()
        device = dataclasses.replace(fort.enrol("plain-box"), port=listening.getsockname()[1])
        with pytest.raises(SenderError, match="does not speak TLS"):
            Sender(device).__enter__()
        answering.join(10)


def test_the_map_is_served_by_https_alone(fort: Fort) -> None:
    assert fort.platform.url.startswith("https://")
    with fort.http() as client:
        assert client.get("/healthz").json()["parts"]["broker"] == "ok"
    with pytest.raises(httpx.TransportError), httpx.Client(trust_env=False) as plain:
        plain.get(fort.platform.url.replace("https:", "http:") + "/healthz")


def test_keys_are_for_their_owner_alone_and_the_authority_s_is_nowhere(tmp_path: Path) -> None:
    files = self_signed(tmp_path, ["roads.example.org", "192.0.2.7", "2001:db8::7"], datetime.now(UTC))
    for path in [*files.values(), *tmp_path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    keys = [p for p in tmp_path.rglob("*") if p.is_file() and b"PRIVATE KEY" in p.read_bytes()]
    assert keys == [files["tls_key"]]
    given = Settings(tls_cert=files["tls_cert"], tls_key=files["tls_key"], tls_ca=files["tls_ca"])
    check_tls(given)
    assert device_ca(given) == files["tls_ca"].read_text()
    assert device_ca(given.model_copy(update={"tls_ca": None})) == SYSTEM_CA


def test_what_is_set_wrong_is_named(tmp_path: Path) -> None:
    files = self_signed(tmp_path / "a", ["x.example.org"], datetime.now(UTC))
    other = self_signed(tmp_path / "b", ["x.example.org"], datetime.now(UTC))
    with pytest.raises(wiring.NotConfigured, match="come together"):
        check_tls(Settings(tls_cert=files["tls_cert"]))
    with pytest.raises(wiring.NotConfigured, match="roadcode tls self-signed"):
        check_tls(Settings(tls_cert=files["tls_cert"], tls_key=other["tls_key"]))
    with pytest.raises(wiring.NotConfigured, match="ROADCODE_TLS_CA"):
        device_ca(Settings(tls_cert=files["tls_cert"], tls_key=files["tls_key"], tls_ca=tmp_path / "nowhere"))
    files["tls_key"].chmod(0o644)
    with pytest.raises(wiring.NotConfigured, match="chmod 600"):
        check_tls(Settings(tls_cert=files["tls_cert"], tls_key=files["tls_key"]))


EVERYWHERE = "0.0.0.0"  # noqa: S104  (only asked about)


@pytest.mark.parametrize(
    "where", [f"{EVERYWHERE}:8883", EVERYWHERE, "[::]:8883", "::", "192.0.2.7:1883", "roads.example.org"]
)
def test_the_broker_is_not_opened_to_the_network_without_tls(tmp_path: Path, where: str) -> None:
    with pytest.raises(wiring.NotConfigured, match=r"ROADCODE_MQTT_LISTEN=.*ROADCODE_TLS_CERT"):
        wiring.check_exposure(Settings(home=tmp_path, mqtt_listen=where))
    files = self_signed(tmp_path, ["x.example.org"], datetime.now(UTC))
    opened = listen(Settings(home=tmp_path, mqtt_listen=where, **files))
    assert opened.certificate == files["tls_cert"]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1", "127.0.0.1", 0), ("localhost:8883", "localhost", 8883), ("[::1]:8883", "::1", 8883),
        ("::1", "::1", 0),
    ],
)  # fmt: skip
def test_where_to_listen_is_read(text: str, host: str, port: int) -> None:
    assert listen(Settings(mqtt_listen=text)) == Listen(host, port)
    with pytest.raises(wiring.NotConfigured, match="HOST:PORT"):
        listen(Settings(mqtt_listen="127.0.0.1:mqtt"))
