"""What devices are told: for each trip of a batch everything of it that is committed, in one text.

A verdict is cumulative, so that a lost one is made good by the next. A bus has ten thousand chunks a day: to read and
write all their numbers for each of them would cost more than taking them, so the runs of accepted numbers are kept from
batch to batch. What is kept is only ever what was committed, so it may be old but never untrue.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from ingest import Verdict
from ingest import store as ingest_store

Runs = list[tuple[int, int]]
Trip = tuple[str, str]
"""Device and trip."""

MOST_TOLD = 500
"""Runs of accepted numbers, and refusals, in one verdict at the most: some 40 kB. A device that keeps its trip in order
has one run; of a ragged one, what this batch brought and the newest are told."""
MOST_TRIPS = 50_000
"""Trips kept: those of a large fleet's day. Fewer are read from the database in turn; more cost memory (200 B each)."""
KEPT_S = 30.0
"""So long a trip's runs are believed complete: another worker may have taken chunks of it meanwhile. Longer, and a
device whose verdict was lost waits that much longer to learn of those; shorter, and each batch reads whole trips."""


def add_run(runs: Runs, number: int) -> None:
    """Puts one number into sorted runs that do not touch."""
    i = bisect_right(runs, (number, 2**63)) - 1
    if i >= 0 and runs[i][1] >= number:
        return
    left = i >= 0 and runs[i][1] == number - 1
    right = i + 1 < len(runs) and runs[i + 1][0] == number + 1
    first = runs[i][0] if left else number
    last = runs[i + 1][1] if right else number
    runs[i + (not left) : i + 1 + right] = [(first, last)]


def told(runs: Runs, numbers: Iterable[int]) -> Runs:
    """Those of the runs that one verdict tells: the ones that hold this batch's numbers, then the highest."""
    if len(runs) <= MOST_TOLD:
        return runs
    lasts = [last for _, last in runs]
    of_batch = {bisect_left(lasts, n) for n in numbers}
    chosen = sorted(of_batch) + [i for i in range(len(runs) - 1, -1, -1) if i not in of_batch]
    return [runs[i] for i in sorted(chosen[:MOST_TOLD])]


class Progress:
    """How far trips are, from batch to batch of one worker. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[Trip, tuple[float, Runs]] = OrderedDict()

    def verdicts(
        self,
        conn: ingest_store.Connection,
        taken: Iterable[ingest_store.Key],
        letters: Sequence[ingest_store.DeadLetter],
    ) -> tuple[list[Verdict], dict[Trip, Runs]]:
        """One cumulative verdict a trip and one for payloads that name no trip, as they hold once the transaction is
        committed; and what may be `keep`-t then."""
        numbers: dict[Trip, list[int]] = {}
        refused: dict[Trip, list[tuple[int | None, str, str]]] = {}
        nameless: dict[str, list[tuple[int | None, str, str]]] = {}
        for _, device, trip, seq in taken:
            numbers.setdefault((device, trip), []).append(seq)
        for d in letters:
            said = (d.seq, d.reason, d.sha256.hex())
            if d.trip is None:
                nameless.setdefault(d.device, []).append(said)
            else:
                refused.setdefault((d.device, d.trip), []).append(said)
        trips = sorted(numbers.keys() | refused.keys())
        runs = self._runs(conn, trips, numbers)
        earlier = ingest_store.refused_of_trips(conn, trips, MOST_TOLD)
        verdicts = [_verdict(device, None, [], said) for device, said in nameless.items()]
        for device, trip in trips:
            now = refused.get((device, trip), [])
            before = [r for r in earlier.get((device, trip), []) if r not in now]
            accepted = told(runs[device, trip], numbers.get((device, trip), ()))
            verdicts.append(_verdict(device, trip, accepted, sorted([*now, *before][:MOST_TOLD], key=str)))
        return verdicts, runs

    def _runs(
        self, conn: ingest_store.Connection, trips: list[Trip], numbers: dict[Trip, list[int]]
    ) -> dict[Trip, Runs]:
        now_s = self._clock()
        runs: dict[Trip, Runs] = {}
        unknown = []
        for trip in trips:
            read_s, known = self._kept.get(trip, (-KEPT_S, []))
            if now_s - read_s < KEPT_S:
                runs[trip] = list(known)
            else:
                unknown.append(trip)
        if unknown:
            found = ingest_store.accepted_runs(conn, unknown)
            runs |= {trip: found.get(trip, []) for trip in unknown}
        for trip, seqs in numbers.items():
            for seq in seqs:
                add_run(runs[trip], seq)
        return runs

    def keep(self, runs: dict[Trip, Runs]) -> None:
        """Remembers runs of `verdicts`, now that they are committed."""
        now_s = self._clock()
        for trip, known in runs.items():
            read_s, _ = self._kept.get(trip, (now_s, []))
            self._kept[trip] = (read_s if now_s - read_s < KEPT_S else now_s, known)
            self._kept.move_to_end(trip)
        while len(self._kept) > MOST_TRIPS:
            self._kept.popitem(last=False)


def _verdict(
    device: str,
    trip: str | None,
    accepted: Runs,
    refused: list[tuple[int | None, str, str]],
) -> Verdict:
    body = {"v": 1, "trip": trip, "accepted": accepted, "refused": refused}
    return Verdict(device, json.dumps(body, separators=(",", ":")).encode())
