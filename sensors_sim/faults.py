"""What goes wrong between a road and a platform, made on purpose and counted: repeats, disorder, bad payloads.

A bad payload is a broken copy of a good one and is sent besides it, never instead of it; where it can still be read it
has a trip of its own, so that its refusal says nothing about the good one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from heapq import heappop, heappush
from itertools import count

import cbor2
import numpy as np

from ingest import Chunk, Reason, decode, encode

_DAYS_AHEAD = 3652
"""Ten years: whole days, so that the trip's service day moves along with the times."""
_EVERY = 4
"""A bad payload after each so many good ones, that good and bad lie mixed in every batch."""


@dataclass(frozen=True)
class Faults:
    """duplicates: share of payloads sent once more, 0 to 1. reorder: by how many good
    payloads one may be late, 0 for none. bad: how many bad payloads are sent in all."""

    duplicates: float = 0.0
    reorder: int = 0
    bad: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.duplicates <= 1 and self.reorder >= 0 and self.bad >= 0):
            raise ValueError("duplicates is a share from 0 to 1; reorder and bad are 0 or more")


@dataclass
class Counts:
    """What `inject` has sent so far. bad: how often each kind of BAD_KINDS."""

    good: int = 0
    duplicates: int = 0
    bad: Counter[str] = field(default_factory=Counter)


def _tree(payload: bytes, trip: str) -> dict[str, object]:
    tree: dict[str, object] = cbor2.loads(payload)
    tree["trip"] = trip
    return tree


def _garbage(_payload: bytes, _trip: str, rng: np.random.Generator) -> bytes:
    # 0xff, "break" outside of any list, can never begin a CBOR item: no seed makes a readable chunk by luck.
    return b"\xff" + rng.bytes(63)


def _unknown_version(payload: bytes, trip: str, _rng: np.random.Generator) -> bytes:
    return cbor2.dumps(_tree(payload, trip) | {"v": 99})


def _unknown_datum(payload: bytes, trip: str, _rng: np.random.Generator) -> bytes:
    return cbor2.dumps(_tree(payload, trip) | {"datum": "somewhere"})


def _wrong_length(payload: bytes, trip: str, _rng: np.random.Generator) -> bytes:
    chunk = decode(payload)
    short = replace(chunk.fixes, accuracy_m=chunk.fixes.accuracy_m[:-1])
    return encode(replace(chunk, trip=trip, fixes=short))


def _nan_fix(payload: bytes, trip: str, rng: np.random.Generator) -> bytes:
    chunk = decode(payload)
    lat = chunk.fixes.lat_deg.copy()
    lat[int(rng.integers(len(lat)))] = np.nan
    return encode(replace(chunk, trip=trip, fixes=replace(chunk.fixes, lat_deg=lat)))


def _absurd_place(payload: bytes, trip: str, _rng: np.random.Generator) -> bytes:
    chunk = decode(payload)
    # Mid-Atlantic: a place on Earth, so that the wire format has nothing to say, but in nobody's city.
    fixes = replace(chunk.fixes, lat_deg=chunk.fixes.lat_deg * 0 + 1.0, lon_deg=chunk.fixes.lon_deg * 0 - 30.0)
    return encode(replace(chunk, trip=trip, fixes=fixes))


def _absurd_time(payload: bytes, trip: str, _rng: np.random.Generator) -> bytes:
    chunk: Chunk = decode(payload)
    ahead_s = _DAYS_AHEAD * 86_400.0
    day = date(int(trip[:4]), int(trip[4:6]), int(trip[6:8])) + timedelta(days=_DAYS_AHEAD)
    return encode(
        replace(
            chunk,
            trip=f"{day:%Y%m%d}{trip[8:]}",
            start_s=chunk.start_s + ahead_s,
            end_s=chunk.end_s + ahead_s,
            t0_s=chunk.t0_s + ahead_s,
            fixes=replace(chunk.fixes, t_s=chunk.fixes.t_s + ahead_s),
            detections=tuple(replace(d, t_s=d.t_s + ahead_s) for d in chunk.detections),
        )
    )


BAD_KINDS: dict[str, tuple[Callable[[bytes, str, np.random.Generator], bytes], Reason, bool]] = {
    "garbage": (_garbage, Reason.MALFORMED, True),
    "unknown_version": (_unknown_version, Reason.UNKNOWN_VERSION, True),
    "nan_fix": (_nan_fix, Reason.NOT_FINITE, True),
    "absurd_place": (_absurd_place, Reason.OUTSIDE_CITY, False),
    "absurd_time": (_absurd_time, Reason.CLOCK, False),
    "unknown_datum": (_unknown_datum, Reason.UNKNOWN_DATUM, True),
    "wrong_length": (_wrong_length, Reason.WRONG_LENGTH, True),
}
"""Kind -> how it is made, the reason for which a platform should refuse it, whether the decoder alone can."""


def _bad(payload: bytes, kind: str, rng: np.random.Generator) -> bytes:
    trip = f"{str(cbor2.loads(payload)['trip'])[:8]}-{rng.bytes(8).hex()}"
    return BAD_KINDS[kind][0](payload, trip, rng)


def inject(
    payloads: Iterable[bytes], seed: int, faults: Faults, counts: Counts, first_kind: int = 0
) -> Iterator[bytes]:
    """The good ``payloads`` with faults among them; every good one comes at least once.

    Kinds of bad ones follow each other in the order of BAD_KINDS from ``first_kind`` on (so that several devices with
    one bad payload each do not all send garbage). ``counts`` is kept while the iterator is used. With no payload at all
    there is nothing to break, and no bad one is sent.
    """
    rng = np.random.default_rng([seed, 11])
    kinds = list(BAD_KINDS)
    held: list[tuple[float, int, bytes]] = []  # a heap: when it goes out, in payloads; a number that breaks ties
    ties = count()
    sent_bad = 0
    last = b""

    def hold(payload: bytes, now: int) -> None:
        heappush(held, (now + rng.uniform() * faults.reorder, next(ties), payload))

    def hold_bad(payload: bytes, now: int) -> None:
        nonlocal sent_bad
        kind = kinds[(first_kind + sent_bad) % len(kinds)]
        sent_bad += 1
        counts.bad[kind] += 1
        hold(_bad(payload, kind, rng), now)

    now = 0
    for now, last in enumerate(payloads, start=1):
        counts.good += 1
        hold(last, now)
        if rng.uniform() < faults.duplicates:
            counts.duplicates += 1
            hold(last, now)
        if sent_bad < faults.bad and now % _EVERY == 0:
            hold_bad(last, now)
        while held and held[0][0] <= now:
            yield heappop(held)[2]
    while last and sent_bad < faults.bad:
        hold_bad(last, now)
    while held:
        yield heappop(held)[2]
