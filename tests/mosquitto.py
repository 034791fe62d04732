"""Debian's Mosquitto on a free port with a store of its own; tests that need it are left out, with the reason, where it
is not installed."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.embedded.folder import choose_port
from api.plain_broker import ACCESS, PASSWORDS
from ingest import BrokerUrl, Credential, mosquitto

from .street import until

PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
needs_mosquitto = pytest.mark.skipif(
    PROGRAM is None, reason="Mosquitto is not installed: apt-get install mosquitto (.ci/run does)"
)
WORKER = "worker"


class Mosquitto:
    """One broker. devices may be let in while it runs; `kill` and `start` as often as wanted."""

    def __init__(self, folder: Path, devices: Sequence[tuple[str, str]], *, more: str = "") -> None:
        self.folder = folder
        self.port = choose_port(None, set(), random.SystemRandom())
        self.password = secrets.token_hex(16)
        self.passwords = {device: secrets.token_hex(20) for device, _ in devices}
        self.kinds = dict(devices)
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.passwords_path, self.access_path = folder / PASSWORDS, folder / ACCESS
        self.write_users()
        user = "user root\n" if os.geteuid() == 0 else ""
        (folder / "mosquitto.conf").write_text(
            f"{user}persistence_location {folder}/\nlog_dest file {folder}/log\npid_file {folder}/pid\n"
            + mosquitto.options_file(self.passwords_path, self.access_path, "127.0.0.1", self.port)
            + more
        )

    def write_users(self) -> None:
        hashed = [(WORKER, mosquitto.password_hash(self.password, secrets.token_bytes(12)))]
        for device, password in self.passwords.items():
            hashed.append((device, mosquitto.password_hash(password, secrets.token_bytes(12))))
        self.passwords_path.write_text(mosquitto.password_file(hashed))
        self.access_path.write_text(mosquitto.access_file(WORKER))

    @property
    def address(self) -> str:
        """As ROADCODE_BROKER_URL."""
        return f"mqtt://{WORKER}:{self.password}@127.0.0.1:{self.port}"

    @property
    def url(self) -> BrokerUrl:
        return BrokerUrl("mqtt", "127.0.0.1", self.port, WORKER, self.password)

    def credential(self, device: str) -> Credential:
        return Credential(device, self.kinds[device], device, self.passwords[device], "127.0.0.1", self.port)

    def start(self) -> None:
        assert PROGRAM is not None
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(
                [PROGRAM, "-c", str(self.folder / "mosquitto.conf")], stdout=said, stderr=said
            )
        until(self.answers, 20, "Mosquitto listens")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "said").read_text() + (self.folder / "log").read_text()
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Without a word, as a power cut would."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None


@contextmanager
def mosquitto_with(folder: Path, devices: Sequence[tuple[str, str]], more: str = "") -> Iterator[Mosquitto]:
    """A running Mosquitto that knows these devices (name, kind)."""
    broker = Mosquitto(folder, devices, more=more)
    try:
        broker.start()
        yield broker
    finally:
        broker.end()
