"""What an archive says it holds: one Parquet file a day, and beside it a manifest with the file's hash. Reading a
manifest needs no Parquet library, so that the keeper can make sure of a day before it lets it go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

VERSION = 1


class NotArchived(LookupError):
    """A day is not in the archive, or not as the manifest says; the text tells what to do."""


@dataclass(frozen=True)
class Manifest:
    """day: service day. file: the Parquet file's name beside the manifest. rows: chunks in it. bytes, sha256: of the
    file. first_id, last_id: lowest and highest chunk number, None where there are no chunks. version: of the
    columns."""

    day: str
    file: str
    rows: int
    bytes: int
    sha256: str
    first_id: int | None
    last_id: int | None
    version: int = VERSION


def parquet_path(folder: Path, day: date) -> Path:
    """Where a day's chunks lie."""
    return folder / f"chunk-box-{day:%Y-%m-%d}.parquet"


def manifest_path(folder: Path, day: date) -> Path:
    """Where a day's manifest lies."""
    return folder / f"chunk-box-{day:%Y-%m-%d}.json"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, day: date, manifest: Manifest) -> None:
    """Whole or not at all."""
    path = manifest_path(folder, day)
    half = path.with_suffix(".json.half")
    half.write_text(json.dumps(asdict(manifest), indent=1) + "\n")
    half.rename(path)


def read_manifest(folder: Path, day: date) -> Manifest | None:
    """A day's manifest, None where there is none. Raises NotArchived where it cannot be read."""
    path = manifest_path(folder, day)
    try:
        return Manifest(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise NotArchived(f"{path} cannot be read ({error}): move it away and run roadcode archive") from None


def check_archived(folder: Path, day: date, count: Callable[[], int]) -> Manifest:
    """Makes sure that a day is archived, with as many chunks as ``count`` gives, and that the file is the one that was
    written. Raises NotArchived."""
    manifest = read_manifest(folder, day)
    if manifest is None:
        raise NotArchived(f"{day} is not in {folder}: run roadcode archive, which needs make archive")
    rows = count()  # only now: it reads a whole day
    if manifest.rows != rows:
        raise NotArchived(
            f"the archive of {day} holds {manifest.rows} chunks, the database {rows}: run roadcode archive --again"
        )
    path = folder / manifest.file
    if not path.is_file() or file_sha256(path) != manifest.sha256:
        raise NotArchived(f"{path} is gone or is not the file that was written: run roadcode archive --again")
    return manifest
