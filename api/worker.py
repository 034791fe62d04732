"""The first pump: batches of arrived payloads become journal rows and verdicts, in one short transaction each.

Everything a batch causes is committed together: the keys of its chunks, their evidence, the chunks, the dead letters
and the counts. Only then is the batch acknowledged and are verdicts sent; a crash before that brings it again, and the
keys say what was already there.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from defects import EvidenceOptions, Observation, Told, listen, merge, observe
from defects import store as defects_store
from grid import Trace, traces
from ingest import (
    NOT_NOW,
    Arrived,
    Buckets,
    Chunk,
    City,
    Condition,
    ConditionOptions,
    Reason,
    Refused,
    Verdict,
    admit,
    condition_store,
    cost_of,
    decode,
    devices,
    encode,
    inspect,
    letters,
    peek,
)
from ingest import store as ingest_store

from .days import ContextMaker, Days, OpenDay, open_day
from .isolate import isolated
from .sealed import turn_away
from .teaching import teach
from .verdicts import Progress

Connection = psycopg.Connection[Any]
See = Callable[..., Observation]
"""What a chunk says, with the arguments of `observe`."""
Hear = Callable[..., list[Told | None]]
"""What the recogniser tells of a batch of chunks, with the arguments of `listen`."""
_CONDITIONS = ConditionOptions()


@dataclass(frozen=True, eq=False)
class _Admitted:
    """A chunk that passed every check. raw: the bytes to keep, those that arrived or what a no-go area left of them."""

    arrived: Arrived
    chunk: Chunk
    raw: bytes
    kind: str
    day: OpenDay

    @property
    def key(self) -> ingest_store.Key:
        return self.day.day, self.arrived.device, self.chunk.trip, self.chunk.seq


@dataclass(frozen=True, eq=False)
class _Taken:
    """An admitted chunk, what it says of the road and what of its device."""

    admitted: _Admitted
    seen: Observation
    condition: Condition

    @property
    def arrived(self) -> Arrived:
        return self.admitted.arrived

    @property
    def device(self) -> str:
        return self.admitted.arrived.device

    @property
    def day(self) -> date:
        return self.admitted.day.day


def slot_of(device: str, salt: bytes) -> int:
    """One bit of 63 that stands for a device on one day, so that distinct devices can be counted by an OR."""
    digest = hmac.digest(salt, device.encode(), "sha256")
    return 1 << int.from_bytes(digest[:8], "big") % 63


def leaf_of(raw: bytes, salt: bytes) -> bytes:
    """The salted hash that stands for a chunk in the log; without the salt it says nothing."""
    return hashlib.sha256(salt + hashlib.sha256(raw).digest()).digest()


class Worker:
    """Takes batches. One at a time in a process; any number of processes side by side.

    context: makes the day's context record when the first chunk of a day comes. conditions: what a device's chunks are
    asked, and how far it is believed the next days. see, hear: what a chunk says, and what the recogniser tells of a
    batch before; something else than `observe` and `listen` only in measurements of everything around them. flood: what
    each device may send; of several workers each has a budget of its own.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        city: City,
        options: EvidenceOptions,
        context: ContextMaker,
        clock: Callable[[], float],
        conditions: ConditionOptions = _CONDITIONS,
        see: See | None = None,
        hear: Hear | None = None,
        flood: Buckets | None = None,
    ) -> None:
        self._flood = flood
        self._connect = connect
        self._conn: Connection | None = None
        self._city = city
        self._options = options
        self._context = context
        self._clock = clock
        self._conditions = conditions
        self._see = see or observe
        self._hear = hear or listen
        self._days = Days()
        self._progress = Progress(time.monotonic)
        self._broken: dict[tuple[str, bytes], str] = {}
        self._too_fast: set[int] = set()

    def close(self) -> None:
        """Gives the connection back."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def __call__(self, arrived: list[Arrived]) -> list[Verdict]:
        """Commits a batch and gives the verdicts to send. Raises psycopg.Error when the database is away."""
        self._broken = {}
        with self._charged(arrived):
            return isolated(self._once, arrived, self._broken)

    @contextlib.contextmanager
    def _charged(self, arrived: list[Arrived]) -> Iterator[None]:
        """Each payload is charged once, however often its batch is tried; where nothing is taken, nothing is charged,
        since all of it comes again."""
        self._too_fast = set()
        if self._flood is None:
            yield
            return
        now_s = self._clock()
        paid: list[tuple[str, float]] = []
        for a in arrived:
            cost = cost_of(len(a.payload))
            if self._flood.take(a.device, now_s, cost):
                paid.append((a.device, cost))
            else:
                self._too_fast.add(id(a))
        try:
            yield
        except BaseException:
            for device, cost in paid:
                self._flood.give_back(device, now_s, cost)
            raise

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
        now_s = self._clock()
        letters: list[ingest_store.DeadLetter] = []
        admitted: list[_Admitted] = []
        for a in arrived:
            try:
                admitted.append(self._admit(conn, a, kinds, now_s))
            except Refused as refusal:
                letters.append(_letter(a, refusal, kinds.get(a.device), self._city))
        taken: dict[ingest_store.Key, _Taken] = {}
        doubles = 0
        laid = self._traces([one.chunk for one in admitted])
        for one, trace, told in zip(admitted, laid, self._told(admitted, laid), strict=True):
            if one.key in taken:
                doubles += 1
                continue
            try:
                taken[one.key] = self._observe(one, trace, told, now_s)
            except Refused as refusal:
                letters.append(_letter(one.arrived, refusal, one.kind, self._city))
        with conn.transaction():
            let_in, erased = devices.still_let_in(conn, (a.device for a in arrived))
            for key in [key for key, one in taken.items() if one.arrived.device not in let_in]:
                shut_out = Refused(Reason.UNKNOWN_DEVICE, "disabled while it was sending")
                letters.append(_letter(taken.pop(key).arrived, shut_out, None, self._city))
            letters += turn_away(conn, taken)
            new = ingest_store.note_keys(conn, taken)
            fresh = [taken[key] for key in sorted(new)]
            self._write(conn, fresh)
            condition_store.add_conditions(conn, [(one.day, one.device, one.condition) for one in fresh])
            buried = ingest_store.buried(conn, (one.device for one in fresh))
            ingest_store.exhume(conn, [(one.device, _sha(one.arrived)) for one in fresh if one.device in buried])
            # Nothing is wrong with what came too fast; and of a device that was erased nothing is written any more.
            dead = [d for d in letters if d.reason not in NOT_NOW and d.device not in erased]
            ingest_store.bury(conn, dead)
            ingest_store.count(conn, self._counts(arrived, fresh, letters, doubles + len(taken) - len(fresh)))
            verdicts, runs = self._progress.verdicts(conn, taken, letters)
        self._progress.keep(runs)
        return verdicts

    def _admit(self, conn: Connection, arrived: Arrived, kinds: dict[str, str], now_s: float) -> _Admitted:
        """One payload, decoded and checked. Raises Refused."""
        kind = kinds.get(arrived.device)
        if kind is None:
            raise Refused(Reason.UNKNOWN_DEVICE, "not enrolled, or disabled")
        if id(arrived) in self._too_fast:
            raise Refused(Reason.TOO_FAST, "above the device's budget")
        if self._broken and (why := self._broken.get((arrived.device, arrived.payload))) is not None:
            raise Refused(Reason.INTERNAL, why)
        sent = decode(arrived.payload)
        chunk = admit(sent, kind, self._city, now_s)
        # What a no-go area has cut off is not kept either: not in the raw bytes, and not in their hash in the log.
        raw = arrived.payload if chunk is sent else encode(chunk)
        # `admit` has held the trip's day against the chunk's start, so it need not be worked out again.
        day = ingest_store.day_of(chunk.trip) or self._city.service_day(chunk.start_s)
        return _Admitted(arrived, chunk, raw, kind, self._day(conn, day))

    def _traces(self, chunks: list[Chunk]) -> list[Trace | None]:
        """Traces of many chunks at once; None for all where one of them breaks us: each is then looked at alone."""
        try:
            return list(traces(chunks, self._city, self._options.fixes))
        except Exception:
            return [None] * len(chunks)

    def _told(self, admitted: list[_Admitted], laid: list[Trace | None]) -> list[Told | None]:
        """What is recognised in many chunks at once; None for all, as with the traces, where one of them breaks us."""
        given = [trace for trace in laid if trace is not None]
        if len(given) < len(laid):
            return [None] * len(laid)
        try:
            return self._hear([one.chunk for one in admitted], [one.kind for one in admitted], given, self._options)
        except Exception:
            return [None] * len(admitted)

    def _observe(self, one: _Admitted, trace: Trace | None, told: Told | None, now_s: float) -> _Taken:
        """What an admitted chunk says, and what it tells of its device. Raises Refused."""
        chunk, device = one.chunk, one.arrived.device
        slot = slot_of(device, one.day.salt)
        try:
            seen = self._see(
                chunk, one.kind, slot, self._city, self._options, one.day.weight(device, one.kind), trace, told
            )
            condition = inspect(chunk, seen.faults, now_s, self._conditions)
        # A chunk that breaks us must not stop the others: it goes to the dead letters under our own name.
        except Exception as error:
            raise Refused(Reason.INTERNAL, f"{type(error).__name__}: {error}") from error
        return _Taken(one, seen, condition)

    def _day(self, conn: Connection, day: date) -> OpenDay:
        return self._days.get(day, lambda d: open_day(conn, d, self._context, self._conditions))

    def _write(self, conn: Connection, fresh: list[_Taken]) -> None:
        rows = []
        for one in fresh:
            chunk, salt = one.admitted.chunk, secrets.token_bytes(16)
            rows.append(
                ingest_store.StoredChunk(
                    day=one.day, device=one.device, trip=chunk.trip, seq=chunk.seq, kind=one.admitted.kind,
                    origin=chunk.origin, start_s=chunk.start_s, distance_m=one.seen.distance_m,
                    raw=one.admitted.raw, salt=salt, leaf=leaf_of(one.admitted.raw, salt),
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
        teach(conn, fresh, self._city, self._options)

    @staticmethod
    def _counts(
        arrived: list[Arrived], fresh: list[_Taken], letters: list[ingest_store.DeadLetter], doubles: int
    ) -> dict[tuple[str, str], int]:
        counts: dict[tuple[str, str], int] = defaultdict(int)
        counts["payloads", ""] = len(arrived)
        counts["bytes", ""] = sum(len(a.payload) for a in arrived)
        counts["repeated", ""] = doubles
        for one in fresh:
            counts["accepted", one.admitted.kind] += 1
            for f in one.seen.findings:
                counts["findings", f.what] += 1
        for letter in letters:
            counts["refused", letter.reason] += 1
        return {key: n for key, n in counts.items() if n}


def _sha(arrived: Arrived) -> bytes:
    return hashlib.sha256(arrived.payload).digest()


def _letter(arrived: Arrived, refusal: Refused, kind: str | None, city: City) -> ingest_store.DeadLetter:
    if refusal.reason in NOT_NOW:
        # Not read at all, or a flood would cost what it was held back for: its hash tells the device which it was.
        return ingest_store.DeadLetter(
            device=arrived.device, sha256=_sha(arrived), reason=refusal.reason, detail=refusal.detail, trip=None,
            seq=None, bytes=len(arrived.payload),
        )  # fmt: skip
    trip, seq = peek(arrived.payload) or (None, None)
    return ingest_store.DeadLetter(
        device=arrived.device, sha256=_sha(arrived), reason=refusal.reason,
        detail=refusal.detail.replace("\x00", "?"), trip=trip, seq=seq, bytes=len(arrived.payload),
        sample=letters.sample_of(arrived.payload, kind, city),
    )  # fmt: skip
