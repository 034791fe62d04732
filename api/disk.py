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


def check_room(home: Path) -> int:
    """The bytes that are left on the fullest of the disks of the data folder, the database, the broker's store and the
    log. Raises DiskFull where one is full."""
    parts = [part for part in ("", "postgres", "broker", "ledger") if (home / part).exists()]
    left = {part: shutil.disk_usage(home / part).free for part in parts}
    for part, free in left.items():
        if free < ROOM_BYTES:
            raise DiskFull(
                f"{free / 1e6:.0f} MB are left for {part or 'the data folder'}: nothing is lost, devices keep their "
                "chunks; make room, and everything goes on by itself"
            )
    return min(left.values(), default=0)
