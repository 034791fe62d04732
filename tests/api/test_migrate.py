"""The tables: applied once, in floor order, together or not at all; a changed file is not passed over."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api import migrate as migration
from api.migrate import ROOMS, MigrationChanged, migrate

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def tables(conn: psycopg.Connection[Any]) -> set[str]:
    return {r[0] for r in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def test_every_room_comes_in_floor_order_and_only_once(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as conn:
        applied = migrate(conn)
        rooms = [name.partition("/")[0] for name in applied]
        assert rooms == sorted(rooms, key=ROOMS.index)
        assert {"chunk_box", "journal", "evidence", "code", "record", "outbox"} <= tables(conn)
        conn.execute("INSERT INTO tally (name, n) VALUES ('kept', 1)")
        assert migrate(conn) == []
        assert conn.execute("SELECT n FROM tally").fetchone() == (1,)


def test_a_file_that_was_changed_after_it_was_applied_stops_everything(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as conn:
        name = migrate(conn)[-1]
        conn.execute("UPDATE migration SET sha256 = repeat('0', 64) WHERE name = %s", (name,))
        with pytest.raises(MigrationChanged, match=name):
            migrate(conn)


def test_a_file_that_fails_leaves_nothing_of_itself_or_of_those_before_it(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room, text in (("ingest", "CREATE TABLE first (n int);"), ("grid", ""), ("defects", "CREATE TABLE oops (;")):
        (tmp_path / room / "sql").mkdir(parents=True)
        (tmp_path / room / "sql" / "0001_x.sql").write_text(text or "SELECT 1;")
    monkeypatch.setattr(migration.resources, "files", lambda room: tmp_path / room)
    with psycopg.connect(empty, autocommit=True) as conn:
        with pytest.raises(psycopg.errors.SyntaxError):
            migrate(conn)
        assert tables(conn) == set()


def test_platforms_that_start_at_once_wait_for_each_other(empty: str) -> None:
    applied: list[list[str]] = []
    failed: list[BaseException] = []
    start = threading.Barrier(4)

    def run() -> None:
        try:
            with psycopg.connect(empty, autocommit=True) as conn:
                start.wait(10)
                applied.append(migrate(conn))
        except BaseException as error:  # carried to the test's thread
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failed
    assert sorted(map(len, applied))[:3] == [0, 0, 0]
    assert len(applied[-1]) or any(applied)


def test_chunks_of_before_they_lay_by_day_keep_their_numbers_and_the_next_number_is_new(empty: str) -> None:
    old = sorted(p for p in (ROOT / "ingest" / "sql").glob("*.sql") if p.name < "0004")
    with psycopg.connect(empty, autocommit=True) as conn:
        conn.execute("CREATE TABLE migration (name text PRIMARY KEY, sha256 text NOT NULL)")
        for path in old:
            conn.execute(path.read_bytes())
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            conn.execute("INSERT INTO migration (name, sha256) VALUES (%s, %s)", (f"ingest/{path.name}", sha256))
        conn.execute("INSERT INTO day_context (day, salt, body, sha256) VALUES ('2026-11-24', 's', 'b', 'h')")
        for n, (day, kind) in enumerate((("2026-11-24", "box"), ("2026-11-24", "phone"), ("2026-11-25", "box"))):
            conn.execute(
                "INSERT INTO chunk (day, device, trip, seq, kind, origin, start_s, distance_m, raw, salt, leaf) "
                "VALUES (%s, %s, 't', %s, %s, 'live', 1, 2, 'r', 's', 'l')",
                (day, f"{kind}-1", n, kind),
            )
        before = conn.execute("SELECT id, day, device, kind, seq, raw FROM chunk ORDER BY id").fetchall()
        migrate(conn)
        assert conn.execute("SELECT id, day, device, kind, seq, raw FROM chunk ORDER BY id").fetchall() == before
        parts = {r[0] for r in conn.execute("SELECT DISTINCT tableoid::regclass::text FROM chunk_box")}
        assert parts == {"chunk_box_20261124", "chunk_box_20261125"}
        assert conn.execute("SELECT count(*) FROM chunk_phone").fetchone() == (1,)
        row = conn.execute("SELECT nextval('chunk_id')").fetchone()
        assert row is not None
        assert row[0] > max(r[0] for r in before)
