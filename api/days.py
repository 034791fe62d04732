"""Opening a service day: its context, and how far each device is believed on it. Whoever is first freezes both."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg

from defects import register_store
from grid import store as roads
from ingest import (
    ConditionOptions,
    Reason,
    Refused,
    Trust,
    condition_store,
    missing_share,
    newcomer_pct,
    trust,
    weights_digest,
)
from ingest import store as ingest_store
from ledger import Record, enqueue

Connection = psycopg.Connection[Any]
ContextMaker = Callable[[date, str, Mapping[str, str]], Record]
"""Makes a day's context record of the day, the hash of its weights, and what was known of the ground when it opened."""
_KEPT = 7
"""Days that a process keeps at hand: chunks of three days are taken, and two of a backlog alternate."""


@dataclass(frozen=True)
class OpenDay:
    """A day's context as it was frozen. weights: percent, by device; newcomers under `condition_store.NEWCOMER`."""

    day: date
    salt: bytes
    weights: Mapping[str, int]

    def weight(self, device: str, kind: str) -> float:
        """How far a device of ``kind`` is believed on the day, 0 to 1; whole on days that were opened without
        weights."""
        pct = self.weights.get(device)
        if pct is None:
            pct = self.weights.get(condition_store.NEWCOMER[kind], 100)
        return pct / 100


def open_day(conn: Connection, day: date, context: ContextMaker, options: ConditionOptions) -> OpenDay:
    """The day, opened by this call if nobody has done so: in one transaction its context with a record of it, and the
    weights that the seven days before it give. Raises Refused where the day is sealed."""
    with conn.transaction():
        if condition_store.known_day(conn, day) is None:
            weights = weights_for(conn, day, options)
            salt = secrets.token_bytes(16)
            digest = weights_digest(salt, {name: t.weight_pct for name, t in weights.items()})
            record = context(day, digest, known_ground(conn, day))
            body = record.body
            if ingest_store.open_day(conn, day, salt, body, hashlib.sha256(body).digest()):
                condition_store.put_weights(conn, day, weights)
                enqueue(conn, [record])
    found = read_day(conn, day)
    if not found.salt:
        raise Refused(Reason.TOO_LATE, f"service day {day} is sealed")
    return found


def known_ground(conn: Connection, day: date) -> dict[str, str]:
    """Hash of all register entries in force on a day, and the newest import of roads. What is entered later in the day
    is in the registers with its days, not in the day's context."""
    newest = roads.newest_import(conn)
    return {
        "registers": register_store.ground_digest(conn, day).hex(),
        "roads": "none" if newest is None else f"import {newest}",
    }


def read_day(conn: Connection, day: date) -> OpenDay:
    """A day that was opened; without its salt once it is sealed. Raises LookupError where it was not."""
    found = condition_store.known_day(conn, day)
    if found is None:
        raise LookupError(f"the context of {day} is not there: is somebody emptying the database?")
    weights = condition_store.weights_of(conn, day)
    return OpenDay(day, found.salt, {name: t.weight_pct for name, t in weights.items()})


def weights_for(conn: Connection, day: date, options: ConditionOptions) -> dict[str, Trust]:
    """The weights of a day out of the days before it, newcomers included, whatever was frozen. Gaps are of those days
    only that are not sealed yet."""
    span = day - timedelta(days=condition_store.ASKED_DAYS), day - timedelta(days=1)
    seen = condition_store.conditions(conn, *span)
    came = condition_store.windows_seen(conn, *span)
    kinds = condition_store.kinds(conn) if seen else {}
    found = {
        device: trust(days, kinds[device], options, missing_share(came.get(device, [])))
        for device, days in seen.items()
        if device in kinds
    }
    for kind, name in condition_store.NEWCOMER.items():
        found[name] = Trust(newcomer_pct(kind, options))
    return found


class Days:
    """Open days, read once each and kept at hand while they are asked for."""

    def __init__(self) -> None:
        self._known: dict[date, OpenDay] = {}

    def get(self, day: date, find: Callable[[date], OpenDay]) -> OpenDay:
        """The day; ``find`` is asked where it is not at hand."""
        if day not in self._known:
            found = find(day)
            self._known = {d: v for d, v in self._known.items() if abs((d - day).days) < _KEPT} | {day: found}
        return self._known[day]
