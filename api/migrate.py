"""Applies each room's SQL in floor order, once, and refuses to go on when an applied file was changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import psycopg

ROOMS = ("ingest", "grid", "defects", "ledger")
"""Those that keep anything."""
_LOCK = 0x726F6164_6D696772  # two platforms that start at once on one database wait for each other here


class MigrationChanged(RuntimeError):
    """A file that was already applied has other content now."""


def migrate(conn: psycopg.Connection[Any]) -> list[str]:
    """Applies what is missing in one transaction and gives the names of what it applied. Raises MigrationChanged."""
    applied: list[str] = []
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        conn.execute("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, sha256 text NOT NULL)")
        known = {r[0]: r[1] for r in conn.execute("SELECT name, sha256 FROM migration")}
        for name, text, sha256 in _missing(known):
            conn.execute(text.encode())
            conn.execute("INSERT INTO migration (name, sha256) VALUES (%s, %s)", (name, sha256))
            applied.append(name)
    return applied


def pending(conn: psycopg.Connection[Any]) -> list[str]:
    """What `migrate` would apply; changes nothing. Raises MigrationChanged."""
    if conn.execute("SELECT to_regclass('migration')").fetchone() == (None,):
        return [name for name, _, _ in _missing({})]
    known = {r[0]: r[1] for r in conn.execute("SELECT name, sha256 FROM migration")}
    return [name for name, _, _ in _missing(known)]


def _missing(known: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Name, text and hash of the files that are not among ``known``, in floor order. Raises MigrationChanged."""
    for room in ROOMS:
        folder = resources.files(room) / "sql"
        for file in sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name):
            name, text = f"{room}/{file.name}", file.read_text()
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            if name not in known:
                yield name, text, sha256
            elif known[name] != sha256:
                raise MigrationChanged(
                    f"{name} was changed after it had been applied: write a new file, or start with an empty data "
                    "folder"
                )
