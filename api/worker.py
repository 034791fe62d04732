"""The first pump: batches of arrived payloads become journal rows and verdicts, in one short transaction each.

Everything a batch causes is committed together: the keys of its chunks, their evidence, the chunks, the dead letters
and the counts. Only then is the batch acknowledged and are verdicts sent; a crash before that brings it again, and the
keys say what was already there.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from defects import EvidenceOptions, Observation, merge, observe
from defects import store as defects_store
from ingest import Arrived, Chunk, City, Reason, Refused, Verdict, admit, decode, peek
from ingest import letters as letters_store
from ingest import store as ingest_store
from ledger import Record, enqueue

from .sealed import turn_away
from .verdicts import Progress

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, eq=False)
class _Taken:
    """A chunk that passed every check, and what it says."""

    arrived: Arrived
    sha256: bytes
    chunk: Chunk
    kind: str
    day: date
    seen: Observation

    @property
    def key(self) -> ingest_store.Key:
        return self.day, self.arrived.device, self.chunk.trip, self.chunk.seq


def slot_of(device: str, salt: bytes) -> int:
    """One bit of 63 that stands for a device on one day, so that distinct devices can be counted by an OR."""
    digest = hmac.digest(salt, device.encode(), "sha256")
    return 1 << int.from_bytes(digest[:8], "big") % 63


def leaf_of(raw_sha256: bytes, salt: bytes) -> bytes:
    """The salted hash that stands for a chunk in the log; without the salt it says nothing."""
    return hashlib.sha256(salt + raw_sha256).digest()


class Worker:
    """Takes batches. One at a time in a process; any number of processes side by side.

    context: makes the day's context record when the first chunk of a day comes. see: what a chunk says; something else
    than `observe` only in measurements of everything around it.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        city: City,
        options: EvidenceOptions,
        context: Callable[[date], Record],
        clock: Callable[[], float],
        see: Callable[[Chunk, str, int, City, EvidenceOptions], Observation] = observe,
    ) -> None:
        self._connect = connect
        self._conn: Connection | None = None
        self._city = city
        self._options = options
        self._context = context
        self._clock = clock
        self._see = see
        self._days: dict[date, ingest_store.Day] = {}
        self._progress = Progress(time.monotonic)

    def __call__(self, arrived: list[Arrived]) -> list[Verdict]:
        """Commits a batch and gives the verdicts to send. Raises psycopg.Error when the database is away."""
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
        try:
            return self._take(self._conn, arrived)
        except BaseException:
            self._conn.close()
            self._conn = None
            raise

    def _take(self, conn: Connection, arrived: list[Arrived]) -> list[Verdict]:
        with conn.transaction():
            kinds = ingest_store.device_kinds(conn, (a.device for a in arrived))
        taken: dict[ingest_store.Key, _Taken] = {}
        letters: list[ingest_store.DeadLetter] = []
        doubles = 0
        for a in arrived:
            try:
                one = self._look(conn, a, kinds)
            except Refused as refusal:
                letters.append(_letter(a, refusal, kinds.get(a.device)))
                continue
            doubles += one.key in taken
            taken.setdefault(one.key, one)
        with conn.transaction():
            letters += turn_away(conn, taken)
            new = ingest_store.note_keys(conn, taken)
            fresh = [taken[key] for key in sorted(new)]
            self._write(conn, fresh)
            ingest_store.exhume(conn, [(one.arrived.device, one.sha256) for one in fresh])
            ingest_store.bury(conn, letters)
            ingest_store.count(conn, self._counts(arrived, fresh, letters, doubles + len(taken) - len(fresh)))
            verdicts, runs = self._progress.verdicts(conn, taken, letters)
        self._progress.keep(runs)
        return verdicts

    def _look(self, conn: Connection, arrived: Arrived, kinds: dict[str, str]) -> _Taken:
        """One payload, checked and observed. Raises Refused."""
        kind = kinds.get(arrived.device)
        if kind is None:
            raise Refused(Reason.UNKNOWN_DEVICE, "not enrolled, or disabled")
        chunk = decode(arrived.payload)
        admit(chunk, kind, self._city, self._clock())
        day = self._city.service_day(chunk.start_s)
        slot = slot_of(arrived.device, self._day(conn, day).salt)
        try:
            seen = self._see(chunk, kind, slot, self._city, self._options)
        # A chunk that breaks us must not stop the others: it goes to the dead letters under our own name.
        except Exception as error:
            raise Refused(Reason.INTERNAL, f"{type(error).__name__}: {error}") from error
        return _Taken(arrived, _sha(arrived), chunk, kind, day, seen)

    def _day(self, conn: Connection, day: date) -> ingest_store.Day:
        if day not in self._days:
            record = self._context(day)
            digest = hashlib.sha256(record.body).digest()
            with conn.transaction():
                found, opened = ingest_store.open_day(conn, day, secrets.token_bytes(16), record.body, digest)
                if opened:
                    enqueue(conn, [record])
            self._days = {d: v for d, v in self._days.items() if abs((d - day).days) < 7} | {day: found}
        return self._days[day]

    def _write(self, conn: Connection, fresh: list[_Taken]) -> None:
        rows = []
        for one in fresh:
            salt = secrets.token_bytes(16)
            rows.append(
                ingest_store.StoredChunk(
                    day=one.day, device=one.arrived.device, trip=one.chunk.trip, seq=one.chunk.seq, kind=one.kind,
                    origin=one.chunk.origin, start_s=one.chunk.start_s, distance_m=one.seen.distance_m,
                    raw=one.arrived.payload, salt=salt, leaf=leaf_of(one.sha256, salt),
                )
            )  # fmt: skip
        ids = ingest_store.add_chunks(conn, rows)
        by_day: dict[date, list[tuple[int, _Taken]]] = defaultdict(list)
        for number, one in zip(ids, fresh, strict=True):
            by_day[one.day].append((number, one))
        for day, ones in sorted(by_day.items()):
            blocks = {number: defects_store.blocks_of_deltas(one.seen.deltas) for number, one in ones}
            defects_store.append_journal(conn, day, merge([one.seen.deltas for _, one in ones]), blocks)
            defects_store.add_findings(conn, [(number, f) for number, one in ones for f in one.seen.findings])

    @staticmethod
    def _counts(
        arrived: list[Arrived], fresh: list[_Taken], letters: list[ingest_store.DeadLetter], doubles: int
    ) -> dict[tuple[str, str], int]:
        counts: dict[tuple[str, str], int] = defaultdict(int)
        counts["payloads", ""] = len(arrived)
        counts["bytes", ""] = sum(len(a.payload) for a in arrived)
        counts["repeated", ""] = doubles
        for one in fresh:
            counts["accepted", one.kind] += 1
            for f in one.seen.findings:
                counts["findings", f.what] += 1
        for letter in letters:
            counts["refused", letter.reason] += 1
        return {key: n for key, n in counts.items() if n}


def _sha(arrived: Arrived) -> bytes:
    return hashlib.sha256(arrived.payload).digest()


def _letter(arrived: Arrived, refusal: Refused, kind: str | None) -> ingest_store.DeadLetter:
    trip, seq = peek(arrived.payload) or (None, None)
    return ingest_store.DeadLetter(
        device=arrived.device, sha256=_sha(arrived), reason=refusal.reason,
        detail=refusal.detail.replace("\x00", "?"), trip=trip, seq=seq, bytes=len(arrived.payload),
        sample=letters_store.sample_of(arrived.payload, kind, refusal.reason),
    )  # fmt: skip
