"""A full disk: of the database, of the broker, of everything. While it is full nothing gets an accepting verdict that
is not stored, /healthz says what is wrong, nobody gives up; with room again everything catches up by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import wiring
from api.embedded import supervising
from api.fsck import fsck
from api.platform import Platform, running
from api.recount import recount
from api.settings import Settings
from ingest import City

from ..street import settled, until
from .conftest import Toll
from .stage import LONG_ONLY, drive_of
from .stream import Device

MB = 1_000_000
DISK_MB = 400


@contextlib.contextmanager
def small_disk(at: Path) -> Iterator[Path]:
    """A disk of its own in memory; skips where nobody lets us mount one."""
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "tmpfs", str(at)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk: {done.stderr.strip()} (run as root, or under unshare -Urm)")
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=False)


def fill(disk: Path) -> Path:
    """Takes all the room there is, to the last page."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for piece in (MB, 4096):
            with contextlib.suppress(OSError):
                while file.write(bytes(piece)) == piece:
                    pass
    return ballast


def on(disk: Path, home: Path, part: str) -> None:
    """Moves a part of a data folder onto the small disk."""
    with supervising(home):
        pass  # the parts are made, and stopped again
    shutil.move(home / part, disk / part)
    (home / part).symlink_to(disk / part)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        pytest.param("postgres", {"disk"}, id="of the database", marks=LONG_ONLY),
        pytest.param("broker", {"disk", "broker"}, id="of the broker", marks=LONG_ONLY),
        pytest.param("", {"disk", "broker"}, id="of everything"),
    ],
)
def test_a_full_disk(tmp_path: Path, city: City, toll: Toll, part: str, named: set[str]) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home = tmp_path / "home" if part else disk / "home"
        if part:
            on(disk, home, part)
        settings = Settings(
            home=home, port=0, batch_most=8, anchor_every_s=0.5, fold_every_s=0.2, keep_every_s=3600
        )
        with running(settings) as platform:
            _, (credential,) = platform.enrol([("disk-box", "box")], "disk")
            payloads = drive_of(city, 60, 1)
            device = Device(credential, payloads)
            device.start()
            device.let(10)
            report = device.sender.report
            until(lambda: device.sender.report.accepted == 10, 30, "the first verdicts came")
            pumps = platform.pumps.running()
            restarted: list[str] = []

            def said() -> set[str]:
                restarted.extend(platform.look())
                return {name for name, what in platform.health().items() if what != "ok"}

            ballast = fill(disk)
            device.let(30)
            until(lambda: said() >= named, 30, f"/healthz names {named}")
            if part == "postgres":
                # Its start writes: it cannot come back before there is room, and who watches must live with that.
                os.kill(platform.services.running()["postgres"].pid, signal.SIGKILL)
                until(lambda: "database" in said(), 30, "/healthz names the database")
            told = device.sender.report.accepted
            kept = None if part == "postgres" else count(platform)
            assert report.refused == {}
            assert kept is None or told <= kept, "a chunk has its verdict and is not stored"
            ballast.unlink()
            device.let(20)
            until(lambda: said() is not None and not device.is_alive(), 90, "every chunk has its verdict")
            report = device.sender.report
            assert (device.error, report.accepted, report.waiting, report.refused) == (None, 60, 0, {})
            until(lambda: not said() and settled(platform), 60, "all is well, folded, recorded and anchored")
            with wiring.database(platform.settings) as conn:
                counted = recount(conn, city, wiring.EVIDENCE)
                stored = {bytes(raw) for (raw,) in conn.execute("SELECT raw FROM chunk")}
                log = wiring.ledger(platform.settings)
                faults = fsck(conn, city, wiring.EVIDENCE, wiring.HEALTH, log, lambda _: None)
            toll.add(
                f"disk full: {part or 'everything'}", chunks=counted.chunks, lost=len(set(payloads) - stored),
                doubled=counted.doubled, bitwise_equal=not counted.different, named=sorted(named),
                restarts=sorted(name for name in set(restarted) if "not yet" not in name),
                pumps_lived=platform.pumps.running() == pumps,
            )  # fmt: skip
            assert counted.exact
            assert stored == set(payloads)
            assert faults == []


def count(platform: Platform) -> int:
    with wiring.database(platform.settings) as conn:
        return int(conn.execute("SELECT count(*) FROM chunk").fetchone()[0])  # type: ignore[index]
