"""A stream of real chunks, and what a platform that nobody disturbs makes of the same chunks."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from api import wiring
from api.coder import NOTHING, step
from api.worker import Worker
from defects import store as defects_store
from ingest import Arrived, City, Credential, Sender, encode
from ingest import store as ingest_store
from sensors_sim import trips

Conn = psycopg.Connection[Any]
Rows = dict[tuple[int, date], tuple[bytes, bytes]]
ROOT = Path(__file__).resolve().parents[2]
KINDS = {"kill-box-1": "box", "kill-box-2": "box", "kill-phone-1": "phone"}


def history(city: City, until_s: float, passes: int) -> list[Arrived]:
    """What two boxes and a phone have to say of two streets, in the order of time; about a hundred chunks a pass."""
    names = list(KINDS)
    return [Arrived(names[n], encode(chunk)) for n, _, chunk in trips(city, 7, 2, 1, passes, until_s)]


class Device(threading.Thread):
    """Sends its chunks as far as it is let, and then waits for the verdicts. `let(n)`: n more may go."""

    def __init__(
        self, credential: Credential, payloads: Sequence[bytes], *, keepalive_s: int = 30, finish_s: float = 90.0
    ) -> None:
        super().__init__(daemon=True)
        # Sent again after 2 s: the broker brings the chunks of a killed worker again after 5, whichever is first.
        self.sender = Sender(credential, window=64, resend_s=2.0, keepalive_s=keepalive_s)
        self._finish_s = finish_s
        self.error: BaseException | None = None
        self._payloads = payloads
        self._may = threading.Semaphore(0)

    def let(self, n: int) -> None:
        self._may.release(n)

    def run(self) -> None:
        pause = threading.Event()
        try:
            with self.sender:
                for payload in self._payloads:
                    self._may.acquire()
                    self.sender.send(payload)
                    pause.wait(0.004)
                self.sender.finish(self._finish_s)
        except BaseException as error:  # carried to the test's thread
            self.error = error


def evidence(conn: Conn) -> Rows:
    """Every evidence row, unpacked: keys and values of each block and day."""
    found: Rows = {}
    for block, day in defects_store.evidence_keys(conn):
        row = defects_store.evidence_of(conn, [block])[block][day]
        found[block, day] = (row.key.tobytes(), row.value.tobytes())
    return found


def codes(conn: Conn) -> dict[int, bytes]:
    """The codes of every block."""
    return {b: c.tobytes() for b, (_, c) in defects_store.codes_of(conn, defects_store.all_code_blocks(conn)).items()}


def open_days_like(conn: Conn, other: Conn) -> None:
    """The same devices and days as another platform's: the same salts, so that devices have the same slots, and the
    same weights."""
    enrolled = dict(other.execute("SELECT id, kind FROM device").fetchall())
    for device, kind in (KINDS | enrolled).items():
        ingest_store.enrol(conn, device, kind, "not asked here")
    for row in other.execute("SELECT day, salt, body, sha256 FROM day_context").fetchall():
        ingest_store.open_day(conn, *row)
    for day, *row in other.execute("SELECT day, device, weight_pct, faults FROM device_weight").fetchall():
        conn.execute(
            "INSERT INTO device_weight (day, device, weight_pct, faults) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            (day, *row),
        )


def undisturbed(
    url: str, city: City, arrived: Sequence[Arrived], sizes: Callable[[], int], now_s: float, *, fold_between: bool
) -> Conn:
    """Takes and folds chunks in this process in the given order, ``sizes()`` chunks a batch; the caller closes."""
    conn = psycopg.connect(url, autocommit=True)
    worker = Worker(
        lambda: psycopg.connect(url, autocommit=True), city, wiring.EVIDENCE, wiring.day_context(city), lambda: now_s
    )
    todo = list(arrived)
    while todo:
        size = sizes()
        worker(todo[:size])
        todo = todo[size:]
        if fold_between:
            step(conn, city, wiring.HEALTH, now_s)
    while step(conn, city, wiring.HEALTH, now_s) != NOTHING:
        pass
    worker._conn.close()  # type: ignore[union-attr]
    return conn


def processes_of(home: Path) -> dict[int, str]:
    """Processes that name the folder among their arguments or in their environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            said = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX" and any(str(home).encode() in text for text in said):
            found[int(entry.name)] = said[0].replace(b"\0", b" ").decode(errors="replace").strip()
    return found


@contextmanager
def roadcode(*arguments: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A command of the CLI as a process of its own; killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "api.cli", *arguments], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def line_of(process: subprocess.Popen[str], text: str, within_s: float) -> str:
    """The first line of its output that holds ``text``; the process is killed when that takes too long."""
    assert process.stdout is not None
    timer = threading.Timer(within_s, process.kill)
    timer.start()
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if text in line:
                return line
    finally:
        timer.cancel()
    raise AssertionError(f"no line with {text!r} within {within_s:.0f} s; it said: {''.join(said)}")
