"""What it costs to let devices in and to shut one out in a large fleet: `python -m tests.benchmarks.devices`.

Starts a database and a broker of its own in a folder that goes afterwards. Prints JSON: seconds by the wall clock, and
CPU seconds of the broker. Devices are made with one hash for all (a hash costs what `hash_ms` says, each), since it is
the list that is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from api.embedded import Broker, hash_secret, open_folder, supervising
from api.embedded.monitor import monitor
from api.enrolment import users
from api.migrate import migrate
from ingest import devices
from ingest import store as ingest_store

SECRET = "a" * 40


def said(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def connect(port: int, name: str) -> socket.socket:
    """An MQTT session by hand: a client with threads for each of hundreds would measure itself."""
    parts = [b"\x00\x04MQTT\x04\xc2\x00\x00"]
    parts += [len(text).to_bytes(2, "big") + text.encode() for text in (f"c-{name}", name, SECRET)]
    body = b"".join(parts)
    one = socket.create_connection(("127.0.0.1", port), timeout=30)
    length = len(body)
    one.sendall(b"\x10" + (bytes([length]) if length < 128 else bytes([length % 128 | 128, length // 128])) + body)
    if one.recv(4) != b"\x20\x02\x00\x00":
        raise RuntimeError(f"{name} was not let in")
    return one


class Publisher(threading.Thread):
    """Publishes on a session, one message after the other's acknowledgement. longest_s: the longest that one took."""

    def __init__(self, one: socket.socket, name: str) -> None:
        super().__init__(daemon=True)
        self.longest_s = 0.0
        self.stop = threading.Event()
        topic = f"rhc/v1/{name}/chunk".encode()
        body = len(topic).to_bytes(2, "big") + topic + b"\x00\x01" + b"x"
        self._one, self._packet = one, b"\x32" + bytes([len(body)]) + body

    def run(self) -> None:
        while not self.stop.is_set():
            begun_s = time.perf_counter()
            self._one.sendall(self._packet)
            self._one.recv(4)
            self.longest_s = max(self.longest_s, time.perf_counter() - begun_s)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def timed(out: dict[str, float], name: str, pid: int | None = None) -> Iterator[None]:
    begun_s, before_s = time.perf_counter(), cpu_s(pid) if pid else 0.0
    yield
    out[f"{name}_s"] = round(time.perf_counter() - begun_s, 3)
    if pid:
        out[f"{name}_broker_cpu_s"] = round(cpu_s(pid) - before_s, 3)
    said(f"{name}: {out[f'{name}_s']} s")


def measure(home: Path, number: int, sessions: int, callers: int) -> dict[str, float]:
    out: dict[str, float] = {"devices": number, "sessions": sessions, "callers": callers}
    begun_s = time.perf_counter()
    hashes = [hash_secret(SECRET) for _ in range(200)]
    hashed = hashes[0]
    out["hash_ms"] = round((time.perf_counter() - begun_s) * 1000 / 200, 3)
    with supervising(home) as services, psycopg.connect(services.services().database_url, autocommit=True) as conn:
        migrate(conn)
        broker, ports = services.broker, services.folder.ports()
        server = broker.found()
        assert server is not None
        with conn.cursor() as cursor, cursor.copy("COPY device (id, kind, password_hash) FROM STDIN") as copy:
            for n in range(number):
                copy.write_row((f"fleet-{n:06d}", "box", hashed))

        def read() -> list[object]:
            with psycopg.connect(services.services().database_url, autocommit=True) as own:
                return list(users(own))

        with timed(out, "read"):
            read()
        with timed(out, "first_reload", server.pid):
            broker.refresh(read)  # type: ignore[arg-type]
        open_sessions = [connect(ports["mqtt"], f"fleet-{n:06d}") for n in range(sessions)]
        publisher = Publisher(open_sessions[1], "fleet-000001")
        publisher.start()
        with timed(out, "reload_with_sessions", server.pid):
            broker.refresh(read)  # type: ignore[arg-type]
        publisher.stop.set()
        publisher.join()
        out["longest_puback_s"] = round(publisher.longest_s, 3)
        with timed(out, "disable_until_session_ended"):
            with conn.transaction():
                devices.disable(conn, ["fleet-000000"])
            broker.refresh(read)  # type: ignore[arg-type]
            open_sessions[0].settimeout(60)
            while open_sessions[0].recv(100):
                pass
        reloads = []

        def counted() -> list[object]:
            reloads.append(1)
            return read()

        def come(n: int) -> None:
            with psycopg.connect(services.services().database_url, autocommit=True) as own:
                ingest_store.enrol(own, f"late-{n}", "phone", hashed)
            Broker(open_folder(home)).refresh(counted)  # type: ignore[arg-type]

        threads = [threading.Thread(target=come, args=(n,)) for n in range(callers)]
        with timed(out, "enrol_callers", server.pid):
            for one in threads:
                one.start()
            for one in threads:
                one.join()
        out["reloads_of_callers"] = len(reloads)
        connect(ports["mqtt"], f"late-{callers - 1}").close()
        url = broker.address(ports).monitor_url
        out["sessions_kept"] = monitor(url, "varz")["connections"]
        out["broker_rss_mb"] = round(monitor(url, "varz")["mem"] / 1e6, 1)
        out["users_conf_mb"] = round((home / "broker" / "users.conf").stat().st_size / 1e6, 1)
        for one in open_sessions:
            one.close()
    return out


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--devices", type=int, default=100_000)
    given.add_argument("--sessions", type=int, default=500, help="devices that are connected meanwhile")
    given.add_argument("--callers", type=int, default=50, help="enrolments at the same time")
    a = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder) / "home", a.devices, a.sessions, a.callers), indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
