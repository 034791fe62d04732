"""What arrived, in PostgreSQL. Functions take a connection and never commit: the transaction is the pump's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from . import letters as letters_store
from .refusal import Reason, Refused

Connection = psycopg.Connection[Any]
Payload = bytes
Key = tuple[date, str, str, int]
"""Day, device, trip, sequence number: what makes a chunk the same chunk."""


@dataclass(frozen=True)
class StoredChunk:
    """A chunk to store. leaf: salted hash that stands for it in the log."""

    day: date
    device: str
    trip: str
    seq: int
    kind: str
    origin: str
    start_s: float
    distance_m: float
    raw: bytes
    salt: bytes
    leaf: bytes


@dataclass(frozen=True)
class DeadLetter:
    """A payload that was refused: its hash and the reason. sample: the payload, of boxes only, never of a phone."""

    device: str
    sha256: bytes
    reason: str
    detail: str
    trip: str | None
    seq: int | None
    bytes: int
    sample: Payload | None = None


@dataclass(frozen=True)
class Day:
    """The frozen context of a service day."""

    day: date
    salt: bytes
    sha256: bytes


def device_kinds(conn: Connection, devices: Iterable[str]) -> dict[str, str]:
    """Kind of each device that is enrolled and not disabled."""
    rows = conn.execute(
        "SELECT id, kind FROM device WHERE id = ANY(%s) AND disabled_at IS NULL", (sorted(set(devices)),)
    )
    return {r[0]: r[1] for r in rows}


def enrol(conn: Connection, device: str, kind: str, password_hash: str) -> bool:
    """Enrols a device, or gives an enrolled one a new password. False, and nothing changed, where the name belongs to
    a device of the other kind or to one that was disabled: neither may come back by enrolling again."""
    row = conn.execute(
        "INSERT INTO device (id, kind, password_hash) VALUES (%s, %s, %s) "
        "ON CONFLICT (id) DO UPDATE SET password_hash = excluded.password_hash "
        "WHERE device.kind = excluded.kind AND device.disabled_at IS NULL RETURNING id",
        (device, kind, password_hash),
    ).fetchone()
    return row is not None


def device_hashes(conn: Connection) -> list[tuple[str, str]]:
    """Id and password hash of every device that may connect."""
    rows = conn.execute("SELECT id, password_hash FROM device WHERE disabled_at IS NULL ORDER BY id")
    return [(r[0], r[1]) for r in rows]


def open_day(conn: Connection, day: date, salt: bytes, body: bytes, sha256: bytes) -> tuple[Day, bool]:
    """The context of a day, and whether this call has opened it. The first writer's stands, and with it comes the room
    for the day's raw chunks. Raises Refused where the day is sealed: it has no salt any more."""
    row = conn.execute(
        "INSERT INTO day_context (day, salt, body, sha256) VALUES (%s, %s, %s, %s) ON CONFLICT (day) DO NOTHING "
        "RETURNING salt, sha256",
        (day, salt, body, sha256),
    ).fetchone()
    if row is not None:
        conn.execute("SELECT open_chunk_day(%s)", (day,))
        return Day(day, row[0], row[1]), True
    row = conn.execute("SELECT salt, sha256 FROM day_context WHERE day = %s", (day,)).fetchone()
    if row is None:
        raise LookupError(f"the context of {day} vanished while it was read: is somebody emptying the database?")
    if row[0] is None:
        raise Refused(Reason.TOO_LATE, f"service day {day} is sealed")
    return Day(day, row[0], row[1]), False


def context_hash(conn: Connection, day: date) -> bytes | None:
    """Hash of a day's context, None where the day was not opened."""
    row = conn.execute("SELECT sha256 FROM day_context WHERE day = %s", (day,)).fetchone()
    return bytes(row[0]) if row else None


def note_keys(conn: Connection, keys: Iterable[Key]) -> set[Key]:
    """Notes the keys and gives those that were not there: each key comes back exactly once in its life.

    Rows are locked in one order, so that two workers with the same trips do not wait for each other in a circle.
    """
    windows: dict[tuple[date, str, str, int], int] = defaultdict(int)
    for day, device, trip, seq in keys:
        windows[day, device, trip, seq >> 6] |= 1 << (seq & 63)
    new: set[Key] = set()
    for (day, device, trip, w), mask in sorted(windows.items()):
        row = conn.execute(
            "INSERT INTO seen (day, device, trip, w, mask) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (day, device, trip, w) DO UPDATE SET mask = seen.mask | excluded.mask RETURNING old.mask",
            (day, device, trip, w, _signed(mask)),
        ).fetchone()
        before = 0 if row is None or row[0] is None else int(row[0]) & (1 << 64) - 1
        fresh = mask & ~before
        new.update((day, device, trip, w << 6 | bit) for bit in range(64) if fresh >> bit & 1)
    return new


def _signed(mask: int) -> int:
    return mask - (1 << 64) if mask >> 63 else mask


def accepted_ranges(conn: Connection, device: str, trip: str) -> list[tuple[int, int]]:
    """First and last of each unbroken run of sequence numbers taken of a trip: a verdict is cumulative."""
    numbers: list[int] = []
    rows = conn.execute("SELECT w, mask FROM seen WHERE device = %s AND trip = %s ORDER BY w", (device, trip))
    for w, mask in rows:
        bits = int(mask) & (1 << 64) - 1
        numbers += [w << 6 | bit for bit in range(64) if bits >> bit & 1]
    runs: list[tuple[int, int]] = []
    for n in numbers:
        if runs and runs[-1][1] == n - 1:
            runs[-1] = (runs[-1][0], n)
        else:
            runs.append((n, n))
    return runs


def refused_of_trip(conn: Connection, device: str, trip: str, most: int) -> list[tuple[int | None, str, str]]:
    """Sequence number, reason and hash of what was refused of a trip, the newest ``most``."""
    rows = conn.execute(
        "SELECT seq, reason, sha256 FROM dead_letter WHERE device = %s AND trip = %s "
        "ORDER BY first_at DESC, sha256 LIMIT %s",
        (device, trip, most),
    )
    return [(r[0], r[1], bytes(r[2]).hex()) for r in rows]


_COLUMNS = (
    "(day, device, trip, seq, origin, start_s, distance_m, raw, salt, leaf) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id"
)
_INSERT = {"box": f"INSERT INTO chunk_box {_COLUMNS}", "phone": f"INSERT INTO chunk_phone {_COLUMNS}"}


def add_chunks(conn: Connection, chunks: Sequence[StoredChunk]) -> list[int]:
    """Stores chunks and gives their ids, in the same order."""
    ids = []
    with conn.cursor() as cursor:
        for c in chunks:
            row = cursor.execute(
                _INSERT[c.kind],
                (c.day, c.device, c.trip, c.seq, c.origin, c.start_s, c.distance_m, c.raw, c.salt, c.leaf),
            ).fetchone()
            if row is not None:
                ids.append(int(row[0]))
    return ids


def exhume(conn: Connection, payloads: Sequence[tuple[str, bytes]]) -> None:
    """Forgets the refusals (device, hash) of what has been accepted since: a clock was set, a device enabled again."""
    for device, sha256 in sorted(payloads):
        conn.execute("DELETE FROM dead_letter WHERE device = %s AND sha256 = %s", (device, sha256))


def bury(conn: Connection, letters: Sequence[DeadLetter]) -> None:
    """Notes refused payloads; one that comes again is counted, not stored again, and gets its newest reason."""
    for d in sorted(letters, key=lambda d: (d.device, d.sha256)):
        conn.execute(
            "INSERT INTO dead_letter (device, sha256, reason, detail, trip, seq, bytes) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (device, sha256) DO UPDATE SET times = dead_letter.times + 1, reason = excluded.reason, "
            "detail = excluded.detail",
            (d.device, d.sha256, d.reason, d.detail, d.trip, d.seq, d.bytes),
        )
    letters_store.keep(conn, {(d.device, d.sha256): d.sample for d in letters})


def count(conn: Connection, counts: Mapping[tuple[str, str], int]) -> None:
    """Adds to tallies, in one order for the locks' sake."""
    for (name, label), n in sorted(counts.items()):
        conn.execute(
            "INSERT INTO tally (name, label, n) VALUES (%s, %s, %s) "
            "ON CONFLICT (name, label) DO UPDATE SET n = tally.n + excluded.n",
            (name, label, n),
        )


def tallies(conn: Connection) -> list[tuple[str, str, int]]:
    """All counts: name, label, number."""
    return [(r[0], r[1], r[2]) for r in conn.execute("SELECT name, label, n FROM tally ORDER BY name, label")]


def chunks_by_id(conn: Connection, ids: Sequence[int]) -> list[tuple[int, date, str, str, bytes]]:
    """Id, day, device, kind and raw bytes of chunks that are still kept."""
    rows = conn.execute("SELECT id, day, device, kind, raw FROM chunk WHERE id = ANY(%s) ORDER BY id", (list(ids),))
    return [(r[0], r[1], r[2], r[3], bytes(r[4])) for r in rows]


def salts(conn: Connection) -> dict[date, bytes]:
    """The salt of every day that is not sealed."""
    return {r[0]: bytes(r[1]) for r in conn.execute("SELECT day, salt FROM day_context WHERE salt IS NOT NULL")}


def chunk_ids_after(conn: Connection, after: int, most: int) -> list[int]:
    """Ids of kept chunks above ``after``, rising."""
    return [r[0] for r in conn.execute("SELECT id FROM chunk WHERE id > %s ORDER BY id LIMIT %s", (after, most))]


def whole_chunks(
    conn: Connection, ids: Sequence[int]
) -> list[tuple[int, date, str, str, bytes, bytes, bytes]]:
    """Id, day, device, kind, raw bytes, salt and leaf of kept chunks."""
    rows = conn.execute(
        "SELECT id, day, device, kind, raw, salt, leaf FROM chunk WHERE id = ANY(%s) ORDER BY id", (list(ids),)
    )
    return [(r[0], r[1], r[2], r[3], bytes(r[4]), bytes(r[5]), bytes(r[6])) for r in rows]
