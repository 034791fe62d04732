"""Who may send and which models judge is said in the log, in the transaction in which it becomes so."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.enrolment import Address, BadDeviceName, Door, disable, enrol, enrol_phone, renew, rotate
from api.releases import in_force, say_releases
from ledger import bodies_said, number_outbox, parse

ADDRESS = Address("127.0.0.1", 1)
ORIGINS = ("live",)
A, B = "aa" * 32, "bb" * 32


class Deaf:
    """In a broker's place: who is let in is of no matter here."""

    def refresh(self, _listed: Any) -> None:
        """Hears it."""


def said(conn: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """Device and step of each record, in order."""
    return [(c["device"], c["step"]) for c in map(parse, bodies_said(conn, "device"))]


def test_boxes_are_recorded_and_phones_never(database: str, tmp_path: Path) -> None:
    broker: Any = Deaf()
    with psycopg.connect(database, autocommit=True) as conn:
        wanted = [("box-1", "box"), ("phone-1", "phone"), ("box-2", "box")]
        made = enrol(conn, broker, tmp_path, wanted, ADDRESS, ORIGINS)
        assert said(conn) == [("box-1", "granted"), ("box-2", "granted")]
        enrol(conn, broker, tmp_path, wanted, ADDRESS, ORIGINS)
        assert len(said(conn)) == 2, "who keeps a password is not said again"
        (tmp_path / "box-1.json").unlink()
        (tmp_path / "phone-1.json").unlink()
        enrol(conn, broker, tmp_path, wanted, ADDRESS, ORIGINS)
        rotate(conn, broker, tmp_path, "box-2", ADDRESS, ORIGINS)
        rotate(conn, broker, tmp_path, "phone-1", ADDRESS, ORIGINS)
        phone = enrol_phone(conn, Door(ADDRESS, "open", 10.0), "1", None)
        renew(conn, phone, ORIGINS)
        disable(conn, broker, ["box-1", "phone-1"], ORIGINS)
        disable(conn, broker, ["box-1"], ORIGINS)
        assert said(conn)[2:] == [("box-1", "renewed"), ("box-2", "renewed"), ("box-1", "revoked")]
        with pytest.raises(BadDeviceName):
            renew(conn, made[0], ORIGINS)  # disabled: nothing happened, so nothing is said
        assert len(said(conn)) == 5
        every = b"".join(r[0] for r in conn.execute("SELECT body FROM outbox"))
        assert b"phone" not in every
        first = parse(bodies_said(conn, "device")[0])
        assert (first["origin"], first["device"]) == (["live"], "box-1")
        assert first["at_ms"] > 1_700_000_000_000


def test_a_release_is_said_once_by_workers_that_start_together(database: str) -> None:
    def start(models: dict[str, str]) -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            say_releases(conn, models, ORIGINS)

    workers = [threading.Thread(target=start, args=({"box": A, "phone": B},)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with psycopg.connect(database) as conn:
        assert [(c["name"], c["step"]) for c in map(parse, bodies_said(conn, "release"))] == [
            ("box", "released"), ("phone", "released"),
        ]  # fmt: skip
        number_outbox(conn, 10)
        conn.commit()
        assert in_force(conn) == {"box": A, "phone": B}
    start({"box": A, "phone": B})
    start({"box": B})
    with psycopg.connect(database) as conn:
        changes = [(c["name"], c["step"], c["card_sha256"].hex()) for c in map(parse, bodies_said(conn, "release"))]
        assert changes[2:] == [("box", "withdrawn", A), ("box", "released", B), ("phone", "withdrawn", B)]
        assert in_force(conn) == {"box": B}
