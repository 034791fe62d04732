"""The archive: every byte of a day's box chunks in one Parquet file, checked before the database lets them go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from api import archive_days, wiring
from api.archive_days import COLUMNS, archive_day
from api.archived import NotArchived, check_archived, file_sha256, manifest_path, parquet_path, read_manifest
from api.cli import app
from api.coder import NOTHING, step
from api.keeper import Keeper, KeepOptions
from api.worker import Worker
from ingest import Arrived, City, decode, encode
from ingest import raw as ingest_raw
from ingest import store as ingest_store

from ..roads import START_S, straight

Conn = psycopg.Connection[Any]
DAY_S = 86_400.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def conn(database: str, city: City) -> Iterator[Conn]:
    """A sealed day of two boxes and a phone."""
    with psycopg.connect(database, autocommit=True) as open_conn:
        for device, kind in (("box-1", "box"), ("box-2", "box"), ("phone-1", "phone")):
            ingest_store.enrol(open_conn, device, kind, "not asked here")
        sent = [Arrived(f"box-{n % 2 + 1}", encode(straight(city, seq=n))) for n in range(20)]
        sent += [Arrived("phone-1", encode(straight(city, seq=n, carrier="car", accuracy_m=2.0))) for n in range(3)]
        Worker(lambda: open_conn, city, wiring.EVIDENCE, wiring.day_context(city), lambda: START_S + 600)(sent)
        now_s = START_S + 4 * DAY_S
        while step(open_conn, city, wiring.HEALTH, now_s) != NOTHING:
            pass
        assert Keeper(city, KeepOptions())(open_conn, now_s).sealed
        yield open_conn


def write(conn: Conn, city: City, folder: Path, **more: Any) -> Any:
    day = city.service_day(START_S)
    return archive_day(conn, folder, day, {"city": city.name}, lambda _n: None, **more)


def test_every_byte_of_a_day_is_in_its_file_and_nothing_of_a_phone(conn: Conn, city: City, tmp_path: Path) -> None:
    manifest = write(conn, city, tmp_path)
    day = city.service_day(START_S)
    table = parquet.read_table(parquet_path(tmp_path, day))
    assert table.column_names == list(COLUMNS)
    assert (table.num_rows, manifest.rows) == (20, 20)
    kept = {r[0]: bytes(r[1]) for r in conn.execute("SELECT id, raw FROM chunk_box")}
    assert dict(zip(table["id"].to_pylist(), table["raw"].to_pylist(), strict=True)) == kept
    assert {decode(raw).trip for raw in table["raw"].to_pylist()} == {f"{day:%Y%m%d}-00000001"}
    assert set(table["device"].to_pylist()) == {"box-1", "box-2"}
    assert table.schema.metadata[b"day"] == str(day).encode()
    assert manifest.sha256 == file_sha256(parquet_path(tmp_path, day))
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".half")] == []
    assert parquet_path(tmp_path, day).stat().st_mode & 0o777 == 0o600


def test_a_second_time_only_checks(conn: Conn, city: City, tmp_path: Path) -> None:
    first = write(conn, city, tmp_path)
    path = parquet_path(tmp_path, city.service_day(START_S))
    before = path.stat().st_mtime_ns
    assert write(conn, city, tmp_path) == first
    assert path.stat().st_mtime_ns == before
    assert write(conn, city, tmp_path, again=True).rows == first.rows
    assert path.stat().st_mtime_ns > before


def test_a_flipped_byte_a_missing_file_or_a_missing_row_keeps_the_chunks_in_the_database(
    conn: Conn, city: City, tmp_path: Path
) -> None:
    write(conn, city, tmp_path)
    day = city.service_day(START_S)
    path, now_s = parquet_path(tmp_path, day), START_S + 40 * DAY_S
    good = path.read_bytes()
    keeper = Keeper(city, KeepOptions(archive=tmp_path))
    for damage in (good[:100] + bytes([good[100] ^ 1]) + good[101:], None):
        path.unlink()
        if damage is not None:
            path.write_bytes(damage)
        with pytest.raises(NotArchived, match="--again"):
            check_archived(tmp_path, day, lambda: 20)
        done = keeper(conn, now_s)
        assert done.dropped == []
        assert "--again" in done.waits[0]
    path.write_bytes(good)
    with pytest.raises(NotArchived, match="holds 20 chunks, the database 21"):
        check_archived(tmp_path, day, lambda: 21)
    manifest_path(tmp_path, day).write_text("{")
    with pytest.raises(NotArchived, match="cannot be read"):
        read_manifest(tmp_path, day)
    manifest_path(tmp_path, day).unlink()
    assert write(conn, city, tmp_path).rows == 20
    assert keeper(conn, now_s).dropped == [day]
    assert ingest_raw.boxes_of(conn, day) == 0
    assert check_archived(tmp_path, day, lambda: 20).rows == 20


def test_a_chunk_that_is_not_what_was_accepted_is_not_archived(conn: Conn, city: City, tmp_path: Path) -> None:
    conn.execute("UPDATE chunk_box SET raw = set_byte(raw, 99, get_byte(raw, 99) # 1) "
                 "WHERE id = (SELECT min(id) FROM chunk_box)")  # fmt: skip
    with pytest.raises(NotArchived, match="roadcode fsck"):
        write(conn, city, tmp_path)
    assert read_manifest(tmp_path, city.service_day(START_S)) is None


def test_what_does_not_read_back_as_it_was_written_does_not_count(
    conn: Conn, city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Worse(archive_days._Sums):
        """A disk that loses a row between writing and reading."""

        seen = 0

        def add(self, rows: list[tuple[Any, ...]]) -> None:
            Worse.seen += 1
            super().add(rows if Worse.seen == 1 else rows[1:])

    monkeypatch.setattr(archive_days, "_Sums", Worse)
    with pytest.raises(NotArchived, match="does not read back"):
        write(conn, city, tmp_path)
    assert not parquet_path(tmp_path, city.service_day(START_S)).exists()


def test_the_command_archives_what_is_sealed_and_says_so(
    conn: Conn, city: City, tmp_path: Path, database: str
) -> None:
    environment = {
        "ROADCODE_DATABASE_URL": database, "ROADCODE_BROKER_URL": "nats://nowhere", "ROADCODE_RPC_URL": "http://nowhere",
        "ROADCODE_MQTT_PORT": "1", "ROADCODE_HOME": str(tmp_path),
    }  # fmt: skip
    folder = tmp_path / "archive"

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["archive", *arguments], env=environment)

    assert "say where" in run().output
    for did in ("written", "checked"):
        done = run("--to", str(folder), "--json")
        assert done.exit_code == 0, done.output
        (row,) = json.loads(done.stdout)
        assert (row["chunks"], row["did"]) == (20, did)
    missing = run("--to", str(folder), "--day", "2020-01-01")
    assert isinstance(missing.exception, NotArchived)


_WITHOUT = """
import sys
sys.modules["pyarrow"] = None
from api.cli import main
sys.argv[1:] = ["archive", "--to", sys.argv[1]]
main()
"""


def test_without_the_parquet_library_it_is_said_how_to_get_it(tmp_path: Path, database: str, conn: Conn) -> None:
    """In a process that cannot import it, as after `make run` alone."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, str(tmp_path / "a")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ROADCODE_DATABASE_URL": database,
             "ROADCODE_BROKER_URL": "nats://nowhere", "ROADCODE_RPC_URL": "http://nowhere", "ROADCODE_MQTT_PORT": "1"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "make archive" in done.stderr
    assert "Traceback" not in done.stderr
