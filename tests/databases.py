"""Fresh databases for tests. The tables are made once for a server and copied from then on: making them takes ten times
as long as the copy."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from api.migrate import migrate

_READY = "ready"


@contextmanager
def fresh_database(postgres: str) -> Iterator[str]:
    """A database with every room's tables and nothing in them, on a server of tests; gone afterwards."""
    name = sql.Identifier(f"t{uuid.uuid4().hex}")
    with psycopg.connect(postgres, autocommit=True) as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_READY,)).fetchone() is None:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_READY)))
            with psycopg.connect(psycopg.conninfo.make_conninfo(postgres, dbname=_READY), autocommit=True) as made:
                migrate(made)
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(_READY)))
    yield psycopg.conninfo.make_conninfo(postgres, dbname=name.as_string().strip('"'))
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
