"""Old days of boxes' raw chunks as Parquet: one file a day, written whole or not at all, read back before it counts.

pyarrow is an extra (`make archive`): an operator who archives nothing need not install it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from ingest import raw as ingest_raw

from .archived import Manifest, NotArchived, check_archived, file_sha256, parquet_path, read_manifest, write_manifest
from .worker import leaf_of

Connection = psycopg.Connection[Any]

COLUMNS: dict[str, str] = {
    "id": "int64: the chunk's number in the database",
    "device": "string: the box's name",
    "trip": "string: service day and random digits",
    "seq": "int32: number within the trip",
    "origin": "string: live, replay or simulated",
    "start_s": "double: begin of what the chunk owns, unix seconds",
    "distance_m": "float: metres on which the box could feel",
    "raw": "binary: the chunk as it came, CBOR as in docs/wire.cddl",
    "salt": "binary: 16 bytes",
    "leaf": "binary: sha256(salt || sha256(raw)), which the log's block records are made of",
    "received_at": "timestamp (UTC, microseconds): when it was taken",
}
"""The columns, in the order of the file; every file holds one service day, ordered by id. The file's own metadata says
day, city and version."""
ROWS_A_GROUP = 1_000
"""Some 10 MB at a time in memory. Ten times fewer compress worse; ten times more need 100 MB and gain nothing."""


class NoParquet(RuntimeError):
    """The Parquet library is not installed; the text says how."""


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415  (an extra: only this command needs it)
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise NoParquet("the Parquet library is not installed: run make archive, then this command again") from None
    return pyarrow, parquet


def archive_day(
    conn: Connection, folder: Path, day: date, about: dict[str, str], told: Callable[[int], None], again: bool = False
) -> Manifest:
    """Writes a sealed day's chunks of boxes, unless they are there already; ``told`` hears of rows written. about: what
    stands in the file's metadata besides the day. again: write it even where it is there.

    Raises NoParquet, NotArchived where what is there is damaged or what was written does not read back, OSError.
    """
    if not again and read_manifest(folder, day) is not None:
        return check_archived(folder, day, lambda: ingest_raw.boxes_of(conn, day))
    pa, parquet = _pyarrow()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = parquet_path(folder, day)
    half = path.with_suffix(".parquet.half")
    types = {
        "int64": pa.int64(), "int32": pa.int32(), "string": pa.string(), "double": pa.float64(), "float": pa.float32(),
        "binary": pa.binary(), "timestamp": pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    fields = [(name, types[text.split(":")[0].split(" ")[0]]) for name, text in COLUMNS.items()]
    schema = pa.schema(fields, metadata={"day": str(day), "version": "1", **about})
    sums = _Sums()
    half.unlink(missing_ok=True)
    half.touch(mode=0o600)
    with parquet.ParquetWriter(half, schema, compression="zstd") as writer:
        for group in _groups(conn, day):
            sums.add(group)
            columns = list(zip(*group, strict=True))
            writer.write_table(pa.table([list(c) for c in columns], schema=schema))
            told(len(group))
    with half.open("rb") as file:
        os.fsync(file.fileno())
    _read_back(parquet, half, sums, day)
    half.rename(path)
    manifest = Manifest(
        day=str(day), file=path.name, rows=sums.rows, bytes=path.stat().st_size, sha256=file_sha256(path),
        first_id=sums.first, last_id=sums.last,
    )  # fmt: skip
    write_manifest(folder, day, manifest)
    return manifest


class _Sums:
    """What must be the same in the database and in the file: number and order of rows, every byte of raw, salt,
    leaf."""

    def __init__(self) -> None:
        self.rows = 0
        self.first: int | None = None
        self.last: int | None = None
        self._sum = hashlib.sha256()

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        names = list(COLUMNS)
        for row in rows:
            chunk = dict(zip(names, row, strict=True))
            raw, salt, leaf = (bytes(chunk[k]) for k in ("raw", "salt", "leaf"))
            if leaf_of(raw, salt) != leaf:
                raise NotArchived(f"chunk {chunk['id']} is not what was accepted: run roadcode fsck")
            self.first = chunk["id"] if self.first is None else self.first
            self.last = chunk["id"]
            self.rows += 1
            self._sum.update(repr((chunk["id"], chunk["device"], chunk["trip"], chunk["seq"])).encode() + leaf)

    @property
    def digest(self) -> bytes:
        return self._sum.digest()


def _groups(conn: Connection, day: date) -> Iterator[list[tuple[Any, ...]]]:
    after = -1
    while rows := ingest_raw.whole_boxes(conn, day, after, ROWS_A_GROUP):
        yield rows
        after = rows[-1][0]


def _read_back(parquet: Any, path: Path, sums: _Sums, day: date) -> None:
    read = _Sums()
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
            columns = [batch.column(name).to_pylist() for name in COLUMNS]
            read.add(list(zip(*columns, strict=True)))
    if (read.rows, read.digest) != (sums.rows, sums.digest):
        raise NotArchived(f"the file of {day} does not read back as it was written: is the disk full, or failing?")
