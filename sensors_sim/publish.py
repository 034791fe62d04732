"""The shell that lets a fleet speak: one thread and one connection a device, fed from one stream in time order."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ingest import Chunk, Credential, Outbox, Report, Sender, encode

from .faults import Counts, Faults, inject

_AHEAD = 16
"""Payloads of a device that may be ready before it takes them: enough that no thread waits for the generator, and a
stop is not held up by a long queue."""


@dataclass(frozen=True)
class Totals:
    """Of all devices. unique: good chunks handed in; sent counts repeats and bad ones too; accepted counts verdicts (a
    repeat that comes after its first verdict gets a second one)."""

    sent: int
    unique: int
    accepted: int
    refused: dict[str, int]
    bad: dict[str, int]
    duplicates: int
    waiting: int
    latency_s: tuple[float, ...]

    def tree(self) -> dict[str, Any]:
        """As the report line has it; latencies are null where no verdict came."""
        p50, p95 = (
            (round(float(v), 4) for v in np.percentile(self.latency_s, [50, 95])) if self.latency_s else (None, None)
        )
        return {
            "sent": self.sent,
            "unique": self.unique,
            "accepted": self.accepted,
            "refused": self.refused,
            "bad": sum(self.bad.values()),
            "bad_kinds": self.bad,
            "waiting": self.waiting,
            "duplicates": self.duplicates,
            "latency_p50_s": p50,
            "latency_p95_s": p95,
        }


class _Device(threading.Thread):
    """Takes payloads from its queue, breaks some, sends all, and waits for the verdicts."""

    def __init__(self, sender: Sender, seed: int, faults: Faults, first_kind: int) -> None:
        super().__init__(daemon=True)  # a platform that is away blocks `send` for good: a stop must not wait for it
        self.inbox: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self.sender = sender
        self.counts = Counts()
        self.error: Exception | None = None
        self.finish_s = 60.0
        self._seed, self._faults, self._first_kind = seed, faults, first_kind

    def _taken(self) -> Iterator[bytes]:
        while (payload := self.inbox.get()) is not None:
            yield payload

    def run(self) -> None:
        try:
            self.sender.resume()
            for payload in inject(self._taken(), self._seed, self._faults, self.counts, self._first_kind):
                self.sender.send(payload)
            self.sender.finish(self.finish_s)
        except Exception as error:  # carried to the main thread, which raises it there
            self.error = error


class Fleet:
    """Connected devices. Use as a context manager: entering connects all, and raises SenderError where one cannot.

    outboxes: a folder; each device keeps what has no verdict on disk below it.
    """

    def __init__(
        self, credentials: list[Credential], seed: int, faults: Faults, outboxes: Path | None = None
    ) -> None:
        self._stack = ExitStack()
        self._outboxes = outboxes
        self._credentials = credentials
        self._seed, self._faults = seed, faults
        self._devices: list[_Device] = []

    def __enter__(self) -> Self:
        many = len(self._credentials)
        with ExitStack() as stack:
            first_kind = 0
            for i, credential in enumerate(self._credentials):
                share = self._faults.bad // many + (i < self._faults.bad % many)
                faults = Faults(self._faults.duplicates, self._faults.reorder, share)
                own = self._outboxes / credential.device if self._outboxes else None
                kept = stack.enter_context(Outbox(own)) if own else None
                sender = stack.enter_context(Sender(credential, outbox=kept))
                self._devices.append(_Device(sender, self._seed * 1009 + i, faults, first_kind))
                first_kind += share
            self._stack = stack.pop_all()
        for device in self._devices:
            device.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def put(self, device: int, chunk: Chunk, stop: threading.Event) -> bool:
        """Hands a chunk to its device, waiting while that one is busy; False once ``stop`` is set."""
        return self.put_payload(device, encode(chunk), stop)

    def put_payload(self, device: int, payload: bytes, stop: threading.Event) -> bool:
        """The same for what is encoded, or broken, already."""
        target = self._devices[device]
        while not stop.is_set():
            if target.error is not None:
                raise target.error
            try:
                target.inbox.put(payload, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def finish(self, timeout_s: float) -> Totals:
        """Ends the stream and waits, at most ``timeout_s`` in all, until every device has its verdicts."""
        end_s = time.monotonic() + timeout_s
        for device in self._devices:
            device.finish_s = timeout_s
            while device.is_alive():
                try:
                    device.inbox.put(None, timeout=0.2)
                    break
                except queue.Full:
                    if time.monotonic() > end_s:
                        break
        for device in self._devices:
            device.join(max(0.0, end_s - time.monotonic()))
            if device.error is not None:
                raise device.error
        return self.totals()

    def totals(self) -> Totals:
        """The sum over all devices so far."""
        reports: list[Report] = [d.sender.report for d in self._devices]
        refused: dict[str, int] = {}
        bad: dict[str, int] = {}
        for report in reports:
            for reason, n in list(report.refused.items()):
                refused[reason] = refused.get(reason, 0) + n
        for device in self._devices:
            for kind, n in list(device.counts.bad.items()):
                bad[kind] = bad.get(kind, 0) + n
        return Totals(
            sent=sum(r.sent for r in reports),
            unique=sum(d.counts.good for d in self._devices),
            accepted=sum(r.accepted for r in reports),
            refused=dict(sorted(refused.items())),
            bad=dict(sorted(bad.items())),
            duplicates=sum(d.counts.duplicates for d in self._devices),
            waiting=sum(r.waiting for r in reports),
            latency_s=tuple(v for r in reports for v in list(r.latency_s)),
        )


def paced(
    chunks: Iterable[tuple[int, str, Chunk]], speed: float, stop: threading.Event
) -> Iterator[tuple[int, str, Chunk]]:
    """The chunks at ``speed`` times their own pace, at once where it is 0. Ends when ``stop`` is set."""
    begun_s = time.monotonic()
    first_s: float | None = None
    for device, kind, chunk in chunks:
        first_s = chunk.end_s if first_s is None else first_s
        if speed > 0:
            stop.wait(max(0.0, (chunk.end_s - first_s) / speed - (time.monotonic() - begun_s)))
        if stop.is_set():
            return
        yield device, kind, chunk
