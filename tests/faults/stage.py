"""A running platform to break, and the reckoning after each fault: what an undisturbed one makes of the same chunks."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest
from psycopg import sql

from api import wiring
from api.coder import NOTHING, step
from api.embedded import Process, environment_of
from api.migrate import migrate
from api.platform import Platform
from api.settings import Settings
from api.worker import Worker
from defects import recode as reading
from defects import store as defects_store
from ingest import Arrived, City

from ..roads import just_driven
from ..street import settled, until
from .proxy import Proxy
from .stream import Conn, Device, codes, evidence, open_days_like, roadcode

SEED = int(os.environ.get("KILLS_SEED") or 20261124)
LONG = bool(os.environ.get("KILLS"))
"""Whether this is the long run, `make faults`."""
LONG_ONLY = pytest.mark.skipif(not LONG, reason="in the long run, `make faults`")


@dataclass(frozen=True)
class Reckoning:
    """chunks: accepted since the last reckoning. lost: of all so far, not kept. doubled: squares that were passed more
    often than the undisturbed run says. bitwise_equal: evidence. codes_equal: codes."""

    chunks: int
    lost: int
    doubled: int
    bitwise_equal: bool
    codes_equal: bool

    @property
    def well(self) -> bool:
        """Whether the fault left no trace."""
        return not (self.lost or self.doubled) and self.bitwise_equal and self.codes_equal

    def figures(self) -> dict[str, Any]:
        """For the table."""
        names = ("chunks", "lost", "doubled", "bitwise_equal", "codes_equal")
        return {name: getattr(self, name) for name in names}


class Reference:
    """The undisturbed platform: takes every chunk in this process, in the order of sending, into its own database."""

    def __init__(self, postgres: str, city: City) -> None:
        self._postgres, self._city = postgres, city
        self._name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._name)))
        self._url = psycopg.conninfo.make_conninfo(postgres, dbname=self._name)
        self.conn: Conn = psycopg.connect(self._url, autocommit=True)
        migrate(self.conn)
        self._worker_conn: Conn = psycopg.connect(self._url, autocommit=True)
        self._worker = Worker(
            lambda: self._worker_conn, city, wiring.EVIDENCE, wiring.day_context(city), time.time
        )  # fmt: skip

    def take(self, other: Conn, arrived: Sequence[Arrived]) -> None:
        """More chunks, under the devices and days of ``other``; then folds."""
        open_days_like(self.conn, other)
        for at in range(0, len(arrived), 50):
            self._worker(list(arrived[at : at + 50]))
        while step(self.conn, self._city, wiring.HEALTH, time.time()) != NOTHING:
            pass

    def close(self) -> None:
        """Ends it and removes its database."""
        self.conn.close()
        self._worker_conn.close()
        with psycopg.connect(self._postgres, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self._name)))


def drive_of(city: City, n: int, number: int) -> list[bytes]:
    """``n`` chunks of a drive that has just ended, whose trip has a number."""
    return just_driven(city, n, tail=f"{number:08x}", ago_s=30.0, jolts=((8.0, 2.0, 1.0),))


class Stage:
    """platform: running. wired: the settings of its worker and coder. device, broker, database: the wires to them."""

    def __init__(
        self, platform: Platform, wired: Settings, device: Proxy, broker: Proxy, database: Proxy, postgres: str
    ) -> None:
        self.platform, self.wired = platform, wired
        self.device, self.broker, self.database = device, broker, database
        self.city = platform.settings.read_city()
        self._reference = Reference(postgres, self.city)
        self._sent: list[Arrived] = []
        self._taken = 0
        self._drives = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reference.close()

    def drive(self, n: int) -> list[bytes]:
        """``n`` chunks of a drive of its own that has just ended."""
        self._drives += 1
        return drive_of(self.city, n, self._drives)

    def expect(self, device: str, payloads: Sequence[bytes]) -> None:
        """Notes what a device will send: all of it is to be accepted."""
        self._sent += [Arrived(device, payload) for payload in payloads]

    def devices(self, payloads: Mapping[str, tuple[str, Sequence[bytes]]], **options: Any) -> list[Device]:
        """Devices that are started and not yet let; name -> kind and what it will send, over the proxy."""
        _, credentials = self.platform.enrol([(name, kind) for name, (kind, _) in payloads.items()], "faults")
        found = []
        for credential in credentials:
            mine = payloads[credential.device][1]
            self.expect(credential.device, mine)
            found.append(Device(replace(credential, port=self.device.port), mine, **options))
            found[-1].start()
        return found

    def box(self, name: str, n: int, **options: Any) -> Device:
        """One box with a drive of its own."""
        return self.devices({name: ("box", self.drive(n))}, **options)[0]

    def running(self, name: str) -> Process | None:
        """The process of a service or pump."""
        return {**self.platform.services.running(), **self.platform.pumps.running()}.get(name)

    @contextmanager
    def second_worker(self) -> Iterator[None]:
        """One more worker, past the proxies."""
        settings = self.platform.settings
        with roadcode("worker", environment=environment_of(wiring.environment(settings))):
            yield

    def well(self) -> bool:
        """Whether all parts say so."""
        self.platform.look()
        parts = self.platform.health()
        return bool(parts) and set(parts.values()) == {"ok"}

    def kept(self) -> int:
        """How many chunks are kept; -1 while the database is away."""
        try:
            with wiring.database(self.platform.settings) as conn:
                row = conn.execute("SELECT count(*) FROM chunk").fetchone()
        except psycopg.Error:
            return -1
        return int(row[0]) if row else -1

    def finished(self, devices: Sequence[Device], within_s: float) -> None:
        """Until every chunk of the devices is accepted; fails where one was refused or waits for ever."""
        for device in devices:
            device.let(10**6)
        until(
            lambda: self.platform.look() is not None and not any(device.is_alive() for device in devices),
            within_s, "every chunk has its verdict",
        )  # fmt: skip
        for device in devices:
            report = device.sender.report
            assert (device.error, report.waiting, report.refused) == (None, 0, {})

    def reckon(self) -> Reckoning:
        """Waits until everything is folded, recorded and anchored, and compares all of it with the undisturbed run."""
        until(lambda: self.well() and settled(self.platform), 60, "everything folded, recorded and anchored")
        with wiring.database(self.platform.settings) as conn:
            new = self._sent[self._taken :]
            self._reference.take(conn, new)
            self._taken = len(self._sent)
            kept = {(d, bytes(raw)) for d, raw in conn.execute("SELECT device, raw FROM chunk").fetchall()}
            disturbed, quiet = evidence(conn), evidence(self._reference.conn)
            doubled = 0
            for block, day in (key for key in disturbed.keys() | quiet.keys() if disturbed.get(key) != quiet.get(key)):
                passes = [
                    reading.passes_of(defects_store.evidence_of(c, [block])[block].get(day, reading.NO_EVIDENCE))
                    for c in (conn, self._reference.conn)
                ]
                doubled += int((passes[0] > passes[1]).sum())
            return Reckoning(
                chunks=len(new),
                lost=sum((a.device, a.payload) not in kept for a in self._sent),
                doubled=doubled,
                bitwise_equal=disturbed == quiet,
                codes_equal=codes(conn) == codes(self._reference.conn),
            )


def tree_of(process: Process) -> list[int]:
    """A process and all that descend from it: PostgreSQL is one of the postmaster and its sessions."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [process.pid]
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """SIGSTOP to it and all its children; SIGCONT at the end, whatever happens."""
    pids = tree_of(process)
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
