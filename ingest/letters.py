"""Dead letters: what is kept of refused payloads, how much of it, how long. Functions take a connection and never
commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from .city import City
from .redact import redact
from .wire import decode

Connection = psycopg.Connection[Any]

SAMPLE_BYTES = 64 << 10
"""A payload up to this size is kept whole: a 5 s chunk of a box with six axes is 10 to 13 kB at 100 Hz, and 20 to 60 kB
at 200 Hz with a laser. Less and the latter leaves nothing to look at, more and a hundred samples of one device take
more than 6 MB."""
SAMPLES_A_DEVICE = 100
"""The first ones stay, until they are retried or too old: a device that sends rubbish sends the same kind of rubbish.
Fewer and the one interesting payload is missed, more and a few hostile boxes fill the disk."""
SAMPLES_IN_ALL = 4_000
"""A quarter of a gigabyte at the most, however many boxes are hostile; fewer and one bad firmware on all boxes leaves
no room for any other fault."""
LETTERS_A_DEVICE = 1_000
"""The newest stay. A verdict tells 500; ten times more and 100,000 hostile devices would leave 200 GB of letters."""
KEEP_S = 14 * 86_400.0
"""Time enough to read what a box sent before somebody's holiday; a letter names device and trip, so no longer."""


@dataclass(frozen=True)
class Letter:
    """A dead letter as it is kept. sample: whether the payload is there."""

    device: str
    kind: str | None
    sha256: bytes
    reason: str
    detail: str
    trip: str | None
    seq: int | None
    bytes: int
    first_at: datetime
    times: int
    sample: bool


class NoSuchLetter(LookupError):
    """No dead letter has that hash, several begin with it, or its payload is not kept; the text says which."""


def sample_of(payload: bytes, kind: str | None, city: City) -> bytes | None:
    """What may be kept of a refused payload: all of a box's up to 64 KiB. Nothing of a phone's, nor of who is not
    enrolled, nor of a drive that touches an area where nobody may measure, whatever else it was refused for."""
    if kind != "box" or len(payload) > SAMPLE_BYTES:
        return None
    if city.no_go:
        # What is no chunk to us may still tell places to others; and whatever breaks here must not break the worker.
        try:
            chunk = decode(payload)
            return payload if redact(chunk, city) is chunk else None
        except Exception:
            return None
    return payload


def keep(conn: Connection, samples: Mapping[tuple[str, bytes], bytes | None]) -> None:
    """Called with what was just buried, by device and hash: keeps the samples for which there is room, and of each
    device the newest letters only."""
    wanted = [(device, sha256, payload) for (device, sha256), payload in sorted(samples.items()) if payload]
    if wanted:
        held = conn.execute(
            "SELECT device, count(*) FROM dead_sample WHERE device = ANY(%s) GROUP BY device",
            (sorted({device for device, _, _ in wanted}),),
        ).fetchall()
        room = {row[0]: SAMPLES_A_DEVICE - int(row[1]) for row in held}
        row = conn.execute("SELECT count(*) FROM dead_sample").fetchone()
        in_all = SAMPLES_IN_ALL - (int(row[0]) if row else 0)
        for device, sha256, payload in wanted:
            left = room.setdefault(device, SAMPLES_A_DEVICE)
            if left <= 0 or in_all <= 0:
                continue
            kept = conn.execute(
                "INSERT INTO dead_sample (device, sha256, payload) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (device, sha256, payload),
            ).rowcount
            room[device], in_all = left - kept, in_all - kept
    for device in sorted({device for device, _ in samples}):
        conn.execute(
            "DELETE FROM dead_letter WHERE device = %(device)s AND sha256 IN (SELECT sha256 FROM dead_letter "
            "WHERE device = %(device)s ORDER BY first_at DESC, sha256 OFFSET %(most)s)",
            {"device": device, "most": LETTERS_A_DEVICE},
        )


def expire(conn: Connection, now: datetime) -> int:
    """Letters older than two weeks go, with their samples; how many."""
    return conn.execute(
        "DELETE FROM dead_letter WHERE first_at < %s - make_interval(secs => %s)", (now, KEEP_S)
    ).rowcount


def forget_phones(conn: Connection, before: datetime) -> int:
    """Phones' letters that came before a moment go: they name trips. How many."""
    return conn.execute(
        "DELETE FROM dead_letter WHERE first_at < %s AND NOT EXISTS "
        "(SELECT FROM device WHERE device.id = dead_letter.device AND device.kind = 'box')",
        (before,),
    ).rowcount


_LETTER = (
    "SELECT l.device, d.kind, l.sha256, l.reason, l.detail, l.trip, l.seq, l.bytes, l.first_at, l.times, "
    "s.device IS NOT NULL FROM dead_letter AS l LEFT JOIN device AS d ON d.id = l.device "
    "LEFT JOIN dead_sample AS s ON (s.device, s.sha256) = (l.device, l.sha256) "
)


def found(
    conn: Connection, device: str | None = None, reason: str | None = None, sha256: str = "", most: int = 100
) -> list[Letter]:
    """Letters, newest first; of one device, for one reason, with a hash that begins so (hex)."""
    rows = conn.execute(
        _LETTER + "WHERE (%(device)s::text IS NULL OR l.device = %(device)s) "
        "AND (%(reason)s::text IS NULL OR l.reason = %(reason)s) AND starts_with(encode(l.sha256, 'hex'), %(sha256)s) "
        "ORDER BY l.first_at DESC, l.sha256 LIMIT %(most)s",
        {"device": device, "reason": reason, "sha256": sha256.lower(), "most": most},
    )
    return [Letter(r[0], r[1], bytes(r[2]), *r[3:]) for r in rows]


def one(conn: Connection, sha256: str, device: str | None = None) -> tuple[Letter, bytes | None]:
    """The letter whose hash begins so, and its payload where it is kept. Raises NoSuchLetter."""
    letters = found(conn, device=device, sha256=sha256, most=2)
    if not letters:
        raise NoSuchLetter(f"no dead letter has a hash that begins with {sha256}: roadcode dead-letter list shows all")
    if len(letters) > 1:
        raise NoSuchLetter(f"several dead letters begin with {sha256}: give more of the hash, or --device")
    row = conn.execute(
        "SELECT payload FROM dead_sample WHERE device = %s AND sha256 = %s", (letters[0].device, letters[0].sha256)
    ).fetchone()
    return letters[0], bytes(row[0]) if row else None


def forget(conn: Connection, letters: Iterable[tuple[str, bytes]]) -> None:
    """Takes letters (device, hash) out, with their samples."""
    for device, sha256 in sorted(letters):
        conn.execute("DELETE FROM dead_letter WHERE device = %s AND sha256 = %s", (device, sha256))
