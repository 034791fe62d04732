"""What arrived, in PostgreSQL. Functions take a connection and never commit: the transaction is the pump's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from . import letters as letters_store

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


def open_day(conn: Connection, day: date, salt: bytes, body: bytes, sha256: bytes) -> bool:
    """Freezes the context of a day and makes room for its raw chunks. False, and nothing changed, where somebody has
    opened it before: the first writer's stands."""
    row = conn.execute(
        "INSERT INTO day_context (day, salt, body, sha256) VALUES (%s, %s, %s, %s) ON CONFLICT (day) DO NOTHING "
        "RETURNING day",
        (day, salt, body, sha256),
    ).fetchone()
    if row is not None:
        conn.execute("SELECT open_chunk_day(%s)", (day,))
    return row is not None


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
    if not windows:
        return set()
    ordered = sorted(windows)
    rows = conn.execute(
        "INSERT INTO seen (day, device, trip, w, mask) "
        "SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::int[], %s::bigint[]) "
        "ON CONFLICT (day, device, trip, w) DO UPDATE SET mask = seen.mask | excluded.mask "
        "RETURNING day, device, trip, w, coalesce(old.mask, 0)",
        (*(list(column) for column in zip(*ordered, strict=True)), [_signed(windows[key]) for key in ordered]),
    )
    new: set[Key] = set()
    for day, device, trip, w, before in rows:
        fresh = windows[day, device, trip, w] & ~before
        new.update((day, device, trip, w << 6 | bit) for bit in _bits(fresh))
    return new


def _signed(mask: int) -> int:
    return mask - (1 << 64) if mask >> 63 else mask


def _bits(mask: int) -> Iterator[int]:
    """Numbers of the bits that are set, rising; of the lowest 64."""
    mask &= (1 << 64) - 1
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


def accepted_runs(
    conn: Connection, trips: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """First and last of each unbroken run of sequence numbers taken, by (device, trip); trips without any are left out.

    A trip's name begins with its day, which is how its rows are found.
    """
    rows = conn.execute(
        "SELECT s.device, s.trip, s.w, s.mask FROM unnest(%s::date[], %s::text[], %s::text[]) AS t (day, device, trip) "
        "JOIN seen AS s USING (day, device, trip) ORDER BY s.device, s.trip, s.w",
        ([day_of(trip) for _, trip in trips], [device for device, _ in trips], [trip for _, trip in trips]),
    )
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for device, trip, w, mask in rows:
        runs = found.setdefault((device, trip), [])
        parts = [(0, 63)] if mask == -1 else [(bit, bit) for bit in _bits(mask)]
        for first, last in parts:
            if runs and runs[-1][1] == (w << 6 | first) - 1:
                runs[-1] = (runs[-1][0], w << 6 | last)
            else:
                runs.append((w << 6 | first, w << 6 | last))
    return found


def day_of(trip: str) -> date | None:
    """The service day that a trip's name begins with; None where that is no date."""
    try:
        return date(int(trip[:4]), int(trip[4:6]), int(trip[6:8]))
    except ValueError:
        return None


def refused_of_trips(
    conn: Connection, trips: Sequence[tuple[str, str]], most: int
) -> dict[tuple[str, str], list[tuple[int | None, str, str]]]:
    """Sequence number, reason and hash of what was refused, by (device, trip); of each trip the newest ``most``."""
    rows = conn.execute(
        "SELECT t.device, t.trip, d.seq, d.reason, d.sha256 FROM unnest(%s::text[], %s::text[]) AS t (device, trip) "
        "CROSS JOIN LATERAL (SELECT seq, reason, sha256 FROM dead_letter WHERE device = t.device AND trip = t.trip "
        "ORDER BY first_at DESC, sha256 LIMIT %s) AS d",
        ([device for device, _ in trips], [trip for _, trip in trips], most),
    )
    found: dict[tuple[str, str], list[tuple[int | None, str, str]]] = {}
    for device, trip, seq, reason, sha256 in rows:
        found.setdefault((device, trip), []).append((seq, reason, bytes(sha256).hex()))
    return found


_CHUNK_TYPES = ("int8", "date", "text", "text", "int4", "text", "float8", "float4", "bytea", "bytea", "bytea")


_COLUMNS = "(id, day, device, trip, seq, origin, start_s, distance_m, raw, salt, leaf) FROM STDIN (FORMAT binary)"
_COPY = {"box": f"COPY chunk_box {_COLUMNS}", "phone": f"COPY chunk_phone {_COLUMNS}"}


def add_chunks(conn: Connection, chunks: Sequence[StoredChunk]) -> list[int]:
    """Stores chunks and gives their ids, in the same order."""
    if not chunks:
        return []
    numbers = conn.execute("SELECT nextval('chunk_id') FROM generate_series(1, %s)", (len(chunks),))
    ids = [int(row[0]) for row in numbers]
    # COPY in the binary format: a statement a row cost three times the row itself.
    for kind, into in _COPY.items():
        mine = [(number, c) for number, c in zip(ids, chunks, strict=True) if c.kind == kind]
        if not mine:
            continue
        with conn.cursor() as cursor, cursor.copy(into) as copy:
            copy.set_types(_CHUNK_TYPES)
            for number, c in mine:
                where = (number, c.day, c.device, c.trip, c.seq, c.origin, c.start_s, c.distance_m)
                copy.write_row((*where, c.raw, c.salt, c.leaf))
    return ids


def buried(conn: Connection, devices: Iterable[str]) -> set[str]:
    """Those of the devices of which there are dead letters: hashing what the others sent would be for nothing."""
    rows = conn.execute(
        "SELECT d FROM unnest(%s::text[]) AS d WHERE EXISTS (SELECT 1 FROM dead_letter WHERE device = d)",
        (sorted(set(devices)),),
    )
    return {r[0] for r in rows}


def exhume(conn: Connection, payloads: Sequence[tuple[str, bytes]]) -> None:
    """Forgets the refusals (device, hash) of what has been accepted since: a clock was set, a device enabled again."""
    if not payloads:
        return
    conn.execute(
        "DELETE FROM dead_letter AS d USING unnest(%s::text[], %s::bytea[]) AS p (device, sha256) "
        "WHERE d.device = p.device AND d.sha256 = p.sha256",
        ([device for device, _ in payloads], [sha256 for _, sha256 in payloads]),
    )


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
    ordered = sorted(counts.items())
    conn.execute(
        "INSERT INTO tally (name, label, n) SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) "
        "ON CONFLICT (name, label) DO UPDATE SET n = tally.n + excluded.n",
        ([name for (name, _), _ in ordered], [label for (_, label), _ in ordered], [n for _, n in ordered]),
    )


def tallies(conn: Connection) -> list[tuple[str, str, int]]:
    """All counts: name, label, number."""
    return [(r[0], r[1], r[2]) for r in conn.execute("SELECT name, label, n FROM tally ORDER BY name, label")]


@dataclass(frozen=True)
class Kept:
    """A chunk that is kept, by its hash: its day, its salt, and the salted hash that stands for it in the log."""

    day: date
    salt: bytes
    leaf: bytes


def chunk_of_hash(conn: Connection, hashed: bytes, day: date | None) -> Kept | None:
    """The kept chunk with this salted hash, or with this SHA-256 of its bytes; looks through the day's chunks (through
    all where none is given), at hashes and salts only."""
    row = conn.execute(
        "SELECT day, salt, leaf FROM chunk WHERE (%(day)s::date IS NULL OR day = %(day)s) "
        "AND (leaf = %(hash)s OR leaf = sha256(salt || %(hash)s::bytea)) LIMIT 1",
        {"hash": hashed, "day": day},
    ).fetchone()
    return None if row is None else Kept(row[0], bytes(row[1]), bytes(row[2]))


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
