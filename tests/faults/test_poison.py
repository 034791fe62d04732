"""Poison in the middle of a batch: what breaks the decoder, the recogniser or the database's own types stops nobody
else, is refused by name, and the evidence is that of the same batch without it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest

from api import wiring, worker
from api.coder import NOTHING, step
from api.recount import recount
from api.worker import Worker
from ingest import Arrived, City, encode, peek
from ingest import store as ingest_store
from sensors_sim.faults import BAD_KINDS

from ..ingest.test_wire_fuzz import HARMFUL, HOSTILE
from ..roads import START_S
from .conftest import Toll
from .fuzz import mutants
from .stream import codes, evidence
from .test_times import drive, quiet

MARK = "0000dead"


def breaks(where: str, how: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Has a step of the worker break at the chunks of the marked trip: no input is known that does it; one may come."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        whole = getattr(worker, where)

        def step_of_worker(first: Any, *rest: Any) -> Any:
            key = peek(first) if isinstance(first, bytes) else (first.trip, first.seq)
            return how(whole, first, *rest) if key and key[0].endswith(MARK) else whole(first, *rest)

        monkeypatch.setattr(worker, where, step_of_worker)

    return patch


def raises(error: type[Exception]) -> Callable[..., Any]:
    def how(*_: Any) -> Any:
        raise error("a wheel of no radius\x00")

    return how


def unstorable(whole: Callable[..., Any], *given: Any) -> Any:
    """An observation that PostgreSQL does not take, found out only when the batch is written."""
    return replace(whole(*given), distance_m="far")


INSIDE = {
    "observe raises": breaks("observe", raises(ZeroDivisionError)),
    "observe runs out of memory": breaks("observe", raises(MemoryError)),
    "decode raises": breaks("decode", raises(RecursionError)),
    "admit raises": breaks("admit", raises(IndexError)),
    "what it says cannot be stored": breaks("observe", unstorable),
}


def poison(good: list[bytes]) -> list[bytes]:
    """Fuzzed bytes, hostile CBOR, and well-formed chunks that say what cannot be."""
    rng = np.random.default_rng(20261124)
    found = [m for _, m in zip(range(60), mutants(good[:3], 20261124), strict=False)]
    found += [data for some in HOSTILE.values() for data in some if len(data) < 300_000]
    found += [data for data in HARMFUL.values() if len(data) < 300_000]
    found += [make(good[0], f"{good_trip(good)[:8]}-0bad0bad", rng) for make, _, _ in BAD_KINDS.values()]
    keys = {peek(payload) for payload in good}
    # One that still says a good chunk's key could be taken in its place: that is the order of coming, and no poison.
    return [payload for payload in found if payload not in good and peek(payload) not in keys]


def good_trip(good: list[bytes]) -> str:
    key = peek(good[0])
    assert key is not None
    return key[0]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["from outside", *INSIDE])
def test_poison_in_the_middle_of_a_batch(
    database: str, fresh: str, city: City, toll: Toll, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    good = [encode(chunk) for chunk in drive(city, 24, START_S - 200)]
    if name == "from outside":
        bad = poison(good)
    else:
        bad = [encode(chunk) for chunk in drive(city, 3, START_S - 100, MARK)]
        INSIDE[name](monkeypatch)
    batch = [Arrived("box-1", payload) for payload in good]
    for n, payload in enumerate(bad):
        batch.insert((7 * n) % len(batch), Arrived("box-2", payload))
    with contextlib.ExitStack() as held:

        def connect() -> psycopg.Connection[Any]:
            return held.enter_context(psycopg.connect(database, autocommit=True))

        conn = connect()
        for device in ("box-1", "box-2"):
            ingest_store.enrol(conn, device, "box", "not asked here")
        take = Worker(connect, city, wiring.EVIDENCE, wiring.day_context(city), lambda: START_S)
        told = {(v.device, body["trip"]): body for v in take(batch) for body in [json.loads(v.payload)]}
        assert told["box-1", good_trip(good)]["accepted"] == [[0, 23]]
        refused = {sha: reason for body in told.values() for _, reason, sha in body["refused"]}
        kept = {bytes(raw) for (raw,) in conn.execute("SELECT raw FROM chunk")}
        if name != "from outside":
            assert list(refused.values()) == ["internal"] * 3
            assert kept == set(good)
        monkeypatch.undo()
        while step(conn, city, wiring.HEALTH, START_S) != NOTHING:
            pass
        # A mutant may be a sound chunk of another trip: the undisturbed run gets it too.
        sound = [a for a in batch if a.payload in kept]
        with contextlib.closing(quiet(fresh, conn, city, sound, START_S)) as other:
            same, same_codes = evidence(conn) == evidence(other) != {}, codes(conn) == codes(other)
        counted = recount(conn, city, wiring.EVIDENCE)
        toll.add(f"poison: {name}", chunks=len(kept), refused=len(bad), lost=len(set(good) - kept),
                 doubled=counted.doubled, bitwise_equal=same, codes_equal=same_codes)  # fmt: skip
        assert counted.exact
        assert same
        assert same_codes
        assert len(kept) >= len(good)
