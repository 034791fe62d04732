"""The seal of a day, from the worker's side: what comes for a sealed day is turned away in the transaction that would
have taken it, so that nothing gets in between the worker's look at a chunk and its commit."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol, TypeVar

import psycopg

from ingest import Arrived, Reason
from ingest import raw as ingest_raw
from ingest import store as ingest_store


class Taken(Protocol):
    """What the worker is about to write down."""

    @property
    def arrived(self) -> Arrived:
        """The payload and who sent it."""


_T = TypeVar("_T", bound=Taken)


def turn_away(
    conn: psycopg.Connection[Any], taken: dict[ingest_store.Key, _T]
) -> list[ingest_store.DeadLetter]:
    """Keeps the days of ``taken`` open until the transaction ends; takes out what belongs to days that are sealed
    already, and gives its letters."""
    sealed = ingest_raw.hold_open(conn, (day for day, *_ in taken))
    letters = []
    for key in [key for key in taken if key[0] in sealed]:
        day, device, trip, seq = key
        payload = taken.pop(key).arrived.payload
        letters.append(
            ingest_store.DeadLetter(
                device=device, sha256=hashlib.sha256(payload).digest(), reason=Reason.TOO_LATE,
                detail=f"service day {day} is sealed", trip=trip, seq=seq, bytes=len(payload),
            )
        )  # fmt: skip
    return letters
