"""Applies each room's SQL in floor order, once, and refuses to go on when an applied file was changed since."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

import psycopg

ROOMS = ("ingest", "defects", "ledger")
"""Those that keep anything; `grid` is arithmetic."""
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
        for room in ROOMS:
            folder = resources.files(room) / "sql"
            files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
            for file in files:
                name = f"{room}/{file.name}"
                text = file.read_text()
                sha256 = hashlib.sha256(text.encode()).hexdigest()
                if name in known:
                    if known[name] != sha256:
                        raise MigrationChanged(
                            f"{name} was changed after it had been applied: write a new file, or start with an empty "
                            "data folder"
                        )
                    continue
                conn.execute(text.encode())
                conn.execute("INSERT INTO migration (name, sha256) VALUES (%s, %s)", (name, sha256))
                applied.append(name)
    return applied
