"""Is there room on the disks of the data folder? A full disk loses nothing, since nothing is acknowledged that is not
stored; but it stops everything, and only people can make room."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOM_BYTES = 64_000_000
"""Less than this is called full. PostgreSQL takes log files of 16 MB at a time, the broker blocks of 8 MB: with much
less, /healthz would call a disk well on which they fail; with much more it would call small disks full."""


class DiskFull(OSError):
    """There is hardly any room left where the platform writes; the text says on what and what to do."""


def check_room(home: Path) -> None:
    """Raises DiskFull where the disk of the data folder, of the database or of the broker's store is full."""
    for part in ("", "postgres", "broker", "ledger"):
        folder = home / part
        if not folder.exists():
            continue
        free = shutil.disk_usage(folder).free
        if free < ROOM_BYTES:
            raise DiskFull(
                f"{free / 1e6:.0f} MB are left for {part or 'the data folder'}: nothing is lost, devices keep their "
                "chunks; make room, and everything goes on by itself"
            )
