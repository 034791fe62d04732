"""The seal of a day, from the worker's side: what comes for a sealed day is turned away in the transaction that would
have taken it, so that nothing gets in between the worker's look at a chunk and its commit."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any, Protocol, TypeVar

import psycopg

from ingest import Arrived, Chunk, Reason
from ingest import raw as ingest_raw
from ingest import store as ingest_store


class Taken(Protocol):
    """What the worker is about to write down."""

    @property
    def arrived(self) -> Arrived:
        """The payload and who sent it."""

    @property
    def chunk(self) -> Chunk:
        """The payload, decoded."""

    @property
    def day(self) -> date:
        """Its service day."""


_T = TypeVar("_T", bound=Taken)


def turn_away(
    conn: psycopg.Connection[Any], taken: dict[ingest_store.Key, _T]
) -> list[ingest_store.DeadLetter]:
    """Keeps the days of ``taken`` open until the transaction ends; takes out what belongs to days that are sealed
    already, and gives its letters."""
    sealed = ingest_raw.hold_open(conn, (one.day for one in taken.values()))
    late = [key for key, one in taken.items() if one.day in sealed] if sealed else []
    letters = []
    for key in late:
        one = taken.pop(key)
        letters.append(
            ingest_store.DeadLetter(
                device=one.arrived.device, sha256=hashlib.sha256(one.arrived.payload).digest(),
                reason=Reason.TOO_LATE, detail=f"service day {one.day} is sealed", trip=one.chunk.trip,
                seq=one.chunk.seq, bytes=len(one.arrived.payload),
            )
        )  # fmt: skip
    return letters
