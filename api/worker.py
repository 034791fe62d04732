"""The first pump: batches of arrived payloads become journal rows and verdicts, in one short transaction each.

Everything a batch causes is committed together: the keys of its chunks, their evidence, the chunks, the dead letters
and the counts. Only then is the batch acknowledged and are verdicts sent; a crash before that brings it again, and the
keys say what was already there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from defects import EvidenceOptions, Observation, merge, observe
from defects import store as defects_store
from ingest import Arrived, Chunk, City, Reason, Refused, Verdict, admit, decode, peek
from ingest import store as ingest_store
from ledger import Record, enqueue

from .isolate import isolated

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, eq=False)
class _Taken:
    """A chunk that passed every check, and what it says."""

    arrived: Arrived
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


def leaf_of(raw: bytes, salt: bytes) -> bytes:
    """The salted hash that stands for a chunk in the log; without the salt it says nothing."""
    return hashlib.sha256(salt + hashlib.sha256(raw).digest()).digest()


class Worker:
    """Takes batches. One at a time in a process; any number of processes side by side.

    context: makes the day's context record when the first chunk of a day comes.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        city: City,
        options: EvidenceOptions,
        context: Callable[[date], Record],
        clock: Callable[[], float],
    ) -> None:
        self._connect = connect
        self._conn: Connection | None = None
        self._city = city
        self._options = options
        self._context = context
        self._clock = clock
        self._days: dict[date, ingest_store.Day] = {}
        self._broken: dict[tuple[str, bytes], str] = {}

    def __call__(self, arrived: list[Arrived]) -> list[Verdict]:
        """Commits a batch and gives the verdicts to send. Raises psycopg.Error when the database is away."""
        self._broken = {}
        return isolated(self._once, arrived, self._broken)

    def _once(self, arrived: list[Arrived]) -> list[Verdict]:
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
                letters.append(_letter(a, refusal))
                continue
            doubles += one.key in taken
            taken.setdefault(one.key, one)
        with conn.transaction():
            new = ingest_store.note_keys(conn, taken)
            fresh = [taken[key] for key in sorted(new)]
            self._write(conn, fresh)
            ingest_store.exhume(conn, [(one.arrived.device, _sha(one.arrived)) for one in fresh])
            ingest_store.bury(conn, letters)
            ingest_store.count(conn, self._counts(arrived, fresh, letters, doubles + len(taken) - len(fresh)))
            return _verdicts(conn, taken, letters)

    def _look(self, conn: Connection, arrived: Arrived, kinds: dict[str, str]) -> _Taken:
        """One payload, checked and observed. Raises Refused."""
        kind = kinds.get(arrived.device)
        if kind is None:
            raise Refused(Reason.UNKNOWN_DEVICE, "not enrolled, or disabled")
        if self._broken and (why := self._broken.get((arrived.device, arrived.payload))) is not None:
            raise Refused(Reason.INTERNAL, why)
        chunk = decode(arrived.payload)
        admit(chunk, kind, self._city, self._clock())
        day = self._city.service_day(chunk.start_s)
        slot = slot_of(arrived.device, self._day(conn, day).salt)
        try:
            seen = observe(chunk, kind, slot, self._city, self._options)
        # A chunk that breaks us must not stop the others: it goes to the dead letters under our own name.
        except Exception as error:
            raise Refused(Reason.INTERNAL, f"{type(error).__name__}: {error}") from error
        return _Taken(arrived, chunk, kind, day, seen)

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
                    raw=one.arrived.payload, salt=salt, leaf=leaf_of(one.arrived.payload, salt),
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


def _letter(arrived: Arrived, refusal: Refused) -> ingest_store.DeadLetter:
    trip, seq = peek(arrived.payload) or (None, None)
    return ingest_store.DeadLetter(
        device=arrived.device, sha256=_sha(arrived), reason=refusal.reason,
        detail=refusal.detail.replace("\x00", "?"), trip=trip, seq=seq, bytes=len(arrived.payload),
    )  # fmt: skip


MOST_TOLD = 500
"""Runs of accepted numbers, and refusals, in one verdict at the most: some 40 kB. A device that keeps its trip in order
has one run; of a ragged one, what this batch brought and the newest are told."""


def _verdicts(
    conn: Connection, taken: Iterable[ingest_store.Key], letters: list[ingest_store.DeadLetter]
) -> list[Verdict]:
    """One cumulative verdict a trip, and one for payloads that name no trip."""
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    refused: dict[tuple[str, str | None], list[tuple[int | None, str, str]]] = defaultdict(list)
    for _, device, trip, seq in taken:
        numbers[device, trip].append(seq)
    for d in letters:
        refused[d.device, d.trip].append((d.seq, d.reason, d.sha256.hex()))
    verdicts = [_verdict(device, None, [], told) for (device, trip), told in refused.items() if trip is None]
    for device, trip in sorted(numbers.keys() | {(device, trip) for device, trip in refused if trip is not None}):
        runs = ingest_store.accepted_ranges(conn, device, trip)
        earlier = ingest_store.refused_of_trip(conn, device, trip, MOST_TOLD)
        now = refused.get((device, trip), [])
        told = [*now, *(r for r in earlier if r not in now)][:MOST_TOLD]
        verdicts.append(_verdict(device, trip, _told(runs, numbers[device, trip]), sorted(told, key=str)))
    return verdicts


def _told(runs: list[tuple[int, int]], numbers: list[int]) -> list[tuple[int, int]]:
    """Those of the runs that one verdict tells: the ones that hold this batch's numbers, then the highest."""
    if len(runs) <= MOST_TOLD:
        return runs
    lasts = [last for _, last in runs]
    of_batch = {bisect_left(lasts, n) for n in numbers}
    chosen = sorted(of_batch) + [i for i in range(len(runs) - 1, -1, -1) if i not in of_batch]
    return [runs[i] for i in sorted(chosen[:MOST_TOLD])]


def _verdict(
    device: str,
    trip: str | None,
    accepted: list[tuple[int, int]],
    refused: list[tuple[int | None, str, str]],
) -> Verdict:
    body = {"v": 1, "trip": trip, "accepted": accepted, "refused": refused}
    return Verdict(device, json.dumps(body, separators=(",", ":")).encode())
