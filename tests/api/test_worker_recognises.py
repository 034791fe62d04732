"""The first pump and the recogniser: a batch says what its chunks say, and which models spoke is on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from api import heartbeat, wiring
from api.loops import run_worker
from api.recount import recount
from api.settings import Settings
from api.worker import Worker
from defects import model_digests
from ingest import City
from ledger import parse

from .test_worker import conn, from_device, make, one, payloads, waiting

__all__ = ["conn", "make"]


def test_a_batch_says_bit_for_bit_what_its_chunks_say_one_by_one(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    """Recognised together, alone (where something in the batch breaks the recogniser), and by the recount."""
    sent = payloads(city, 6)

    def breaks(*_: Any) -> Any:
        raise ZeroDivisionError

    make()(from_device("box-1", *sent))
    together = waiting(conn)
    conn.execute("TRUNCATE journal, seen, chunk_box, pass")
    findings = conn.execute("DELETE FROM finding RETURNING t_s, weight, p, named, subtype, named_p, size_mm").fetchall()
    make(hear=breaks)(from_device("box-1", *sent))
    assert waiting(conn) == together
    assert conn.execute("SELECT t_s, weight, p, named, subtype, named_p, size_mm FROM finding").fetchall() == findings
    ((_, _, p, _, _, _, size_mm),) = findings
    assert 0 < p < 1
    assert size_mm > 0
    assert recount(conn, city, wiring.EVIDENCE).exact


def test_the_days_context_names_the_models_in_force(
    conn: psycopg.Connection[Any], make: Callable[..., Worker], city: City
) -> None:
    make()(from_device("box-1", *payloads(city, 1)))
    body = parse(bytes(one(conn, "SELECT body FROM day_context")))
    assert json.loads(body["context"]["recogniser"]) == model_digests(wiring.EVIDENCE.models)


def test_a_model_that_cannot_be_used_stops_the_worker_before_it_takes_anything(
    monkeypatch: pytest.MonkeyPatch, database: str, conn: psycopg.Connection[Any]
) -> None:
    monkeypatch.setattr(wiring, "EVIDENCE", replace(wiring.EVIDENCE, models={"box": "nobody_trained_it"}))
    settings = Settings(database_url=database, broker_url="nats://127.0.0.1:1")  # type: ignore[arg-type]
    with pytest.raises(wiring.NotConfigured, match="nobody_trained_it"):
        run_worker(settings)
    assert "nobody_trained_it" in heartbeat.told(conn)["worker"]
