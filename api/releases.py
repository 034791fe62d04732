"""Which models judge, as records: each that comes into force or goes is said once, whatever number of workers start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from ledger import Record, bodies_said, enqueue, parse, release_record

Connection = psycopg.Connection[Any]
# "road mode" as a number: workers that start together say it one after the other.
_TURN = 0x726F61646D6F6465


def say_releases(conn: Connection, models: Mapping[str, str], origins: Sequence[str]) -> list[Record]:
    """Records of what has changed since the last ones: ``models`` are those in force now, by kind of device the hash of
    their card (hex). Gives what was said. Commits."""
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_TURN,))
        known = in_force(conn)
        row = conn.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").fetchone()
        at_ms = int(row[0]) if row else 0
        said: list[Record] = []
        for name in sorted(known.keys() | models.keys()):
            old, new = known.get(name), models.get(name)
            if old == new:
                continue
            if old is not None:
                why = "another takes its place" if new else "no model judges this kind of device any more"
                said.append(release_record(name, "withdrawn", at_ms, bytes.fromhex(old), why, origins))
            if new is not None:
                said.append(
                    release_record(name, "released", at_ms, bytes.fromhex(new), "a worker judges with it", origins)
                )
        enqueue(conn, said)
    return said


def in_force(conn: Connection) -> dict[str, str]:
    """By kind of device the hash of the card (hex) of the model that the records name last."""
    known: dict[str, str] = {}
    for body in bodies_said(conn, "release"):
        said = parse(body)
        if said["step"] == "released":
            known[said["name"]] = said["card_sha256"].hex()
        else:
            known.pop(said["name"], None)
    return known
