"""What the worker keeps of chunks whose senders collect points, in the transaction that accepts them; and what forgets
it before its day is settled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import psycopg

from defects import EvidenceOptions, Observation, taught, taught_store
from ingest import Chunk, City, HandlingOptions, handling_of
from ingest import store as ingest_store
from ledger import points, points_store

from .days import OpenDay

Connection = psycopg.Connection[Any]
_HANDLING = HandlingOptions()


class Taken(Protocol):
    """What the worker writes down of a chunk."""

    @property
    def admitted(self) -> Any: ...
    @property
    def seen(self) -> Observation: ...
    @property
    def device(self) -> str: ...


def teach(conn: Connection, fresh: Sequence[Taken], city: City, options: EvidenceOptions) -> None:
    """Keeps what phones taught whose owners have joined; of all others nothing. Costs one question to the database for
    a batch without any of them."""
    phones = [one for one in fresh if one.admitted.kind == "phone"]
    joined = points_store.joined(conn, [one.device for one in phones])
    rows = []
    for one in phones:
        if one.device in joined:
            day: OpenDay = one.admitted.day
            why = refusal_of(one.admitted.chunk, one.seen, day.weight(one.device, "phone"), city)
            said = taught.rows_of(one.admitted.chunk, one.seen, one.device, day.salt, why, options)
            pseudonym = taught.pseudonym_of(one.device, day.salt)
            rows += [(day.day, pseudonym, row) for row in said]
    taught_store.add(conn, rows)


def refusal_of(chunk: Chunk, seen: Observation, weight: float, city: City) -> str | None:
    """Why a chunk earns nothing, whatever it says of the road; None where it may."""
    if "live" in city.origins and chunk.origin != "live":
        return points.Why.NOT_LIVE.value
    why = handling_of(chunk, seen.faults, seen.distance_m, _HANDLING)
    if why is not None:
        return points.Why(why.value).value
    return points.Why.NOT_BELIEVED.value if weight <= 0 else None


def forget(conn: Connection, device: str) -> int:
    """A device's rows go, of every day that is not sealed; how many there were."""
    salts = ingest_store.salts(conn)
    return taught_store.forget_device(conn, {day: taught.pseudonym_of(device, salt) for day, salt in salts.items()})


def leave(conn: Connection, device: str) -> int:
    """A device's account is closed, and what it taught on days that are not settled is forgotten; gives the points that
    went. Nothing where it has none. The account goes first: whoever settles and spends takes locks in that order."""
    account = points_store.account_of(conn, device)
    left = 0
    if account is not None:
        row = conn.execute("SELECT now()").fetchone()
        if row is None:
            raise LookupError("the database has no clock")
        left = points_store.close_account(conn, account, row[0], row[0].date())
    forget(conn, device)
    return left

