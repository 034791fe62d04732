"""What a device has to send, on disk until its verdict: a kill, a flat battery or a week without network lose nothing.

One SQLite file in a folder that only its owner can read. A payload is in it before it is published and leaves it when a
verdict settles it, whether taken or refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

MOST_BYTES = 256 * 1024 * 1024
"""Three days of a phone at 1 kB a second, so that the 48 hours for which chunks are taken fit. Less, and a weekend
without network is lost; more fills a citizen's phone with what will be refused as too late."""

_TABLES = """
CREATE TABLE IF NOT EXISTS waiting (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sha256 BLOB NOT NULL UNIQUE, payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS source (name TEXT PRIMARY KEY, state TEXT NOT NULL, put INTEGER NOT NULL);
"""


class OutboxError(RuntimeError):
    """The outbox cannot be used, or is full; the text says why and what to do."""


class Outbox:
    """Payloads that wait for a verdict, oldest first. Safe between threads, not between processes: a second one is
    turned away. Use as a context manager.

    Besides the payloads it remembers how far a source of them has come (`begin`, `put`), in the same transaction: who
    plays a recording goes on where it was killed and puts nothing twice.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._lock = threading.RLock()
        self._most_bytes = most_bytes
        self._path = folder / "outbox.sqlite"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made before SQLite opens it, which would give it, and its journal, the mode that the umask says.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._path.chmod(0o600)
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=2.0)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            # Full, because a flat battery is the usual end of a phone; a chunk every 5 s does not feel it.
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.executescript(_TABLES)
            self._bytes = int(self._db.execute("SELECT coalesce(sum(length(payload)), 0) FROM waiting").fetchone()[0])
        except (OSError, sqlite3.Error) as error:
            raise OutboxError(
                f"{self._path} cannot be used as an outbox ({error}): is another client running on this folder?"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    def put(self, payload: bytes, source: str | None = None) -> None:
        """Keeps a payload, once however often it is put; counts it for its ``source``. Raises OutboxError when full."""
        key = hashlib.sha256(payload).digest()
        with self._lock:
            known = self._db.execute("SELECT 1 FROM waiting WHERE sha256 = ?", (key,)).fetchone() is not None
            if not known and self._bytes + len(payload) > self._most_bytes:
                raise OutboxError(
                    f"{self._path} holds {self._bytes / 1e6:.0f} MB that nobody has taken: is the platform reachable, "
                    "and does it know this device?"
                )
            self._db.execute("BEGIN IMMEDIATE")
            if not known:
                self._db.execute("INSERT INTO waiting (sha256, payload) VALUES (?, ?)", (key, payload))
                self._bytes += len(payload)
            if source is not None:
                self._db.execute("UPDATE source SET put = put + 1 WHERE name = ?", (source,))
            self._db.execute("COMMIT")

    def settle(self, payloads: Iterable[bytes]) -> None:
        """Forgets payloads that have their verdict."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            for payload in payloads:
                key = (hashlib.sha256(payload).digest(),)
                self._bytes -= len(payload) * self._db.execute("DELETE FROM waiting WHERE sha256 = ?", key).rowcount
            self._db.execute("COMMIT")

    def next_after(self, number: int) -> tuple[int, bytes] | None:
        """The oldest payload with a number above ``number``, and its number; None where there is none."""
        with self._lock:
            row = self._db.execute(
                "SELECT id, payload FROM waiting WHERE id > ? ORDER BY id LIMIT 1", (number,)
            ).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM waiting").fetchone()[0])

    def begin(self, source: str, make: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], int]:
        """What a source was begun with (``make`` says it the first time), and how many payloads it has put."""
        with self._lock:
            row = self._db.execute("SELECT state, put FROM source WHERE name = ?", (source,)).fetchone()
            if row is not None:
                return json.loads(row[0]), int(row[1])
            state = make()
            self._db.execute("INSERT INTO source VALUES (?, ?, 0)", (source, json.dumps(state)))
            return state, 0

    def end(self, source: str) -> None:
        """Forgets a source that has come to its end: its next time is another one."""
        with self._lock:
            self._db.execute("DELETE FROM source WHERE name = ?", (source,))
