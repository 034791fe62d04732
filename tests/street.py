"""A platform that runs, with a simulated fleet's drives on it; and how to wait for it without sleeping blindly."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api import wiring
from api.demo import red_near
from api.embedded import environment_of
from api.platform import Platform, running
from api.settings import Settings
from defects import store as defects_store
from grid import Zone, corner_m, project, unproject
from ingest import City
from ledger import newest_anchor, outbox_count, record_count

ROOT = Path(__file__).parents[1]
BOXES, PHONES, PASSES = 3, 3, 5


@dataclass
class Street:
    """platform: running. report: what the fleet says of its sending. truth: what is really there."""

    platform: Platform
    city: City
    report: dict[str, Any]
    truth: dict[str, Any]
    red_cell: int = 0

    @property
    def url(self) -> str:
        """Where the map is."""
        return self.platform.url

    @property
    def zone(self) -> Zone:
        """The city's zone."""
        return Zone(self.city.utm_zone, self.city.utm_north)

    @property
    def red_lonlat(self) -> tuple[float, float]:
        """The middle of `red_cell`."""
        x, y = corner_m(self.red_cell)
        lon, lat = unproject(x + 0.5, y + 0.5, self.zone)
        return float(lon), float(lat)

    def connect(self) -> wiring.Connection:
        """A connection to its database."""
        return wiring.database(self.platform.settings)

    def severe_potholes(self) -> list[tuple[float, float]]:
        """Easting and northing of the potholes that the truth calls red."""
        return [
            tuple(float(v) for v in project(d["lon_deg"], d["lat_deg"], self.zone))  # type: ignore[misc]
            for d in self.truth["defects"]
            if d["kind"] == "pothole" and d["severity"] == "red"
        ]


def until(holds: Callable[[], bool], within_s: float, what: str) -> None:
    """Waits for something to come true, asking often; fails by name when it does not."""
    end_s = time.monotonic() + within_s
    pause = threading.Event()
    while not holds():
        if time.monotonic() > end_s:
            raise AssertionError(f"{what} did not come true within {within_s:.0f} s")
        pause.wait(0.1)


def settled(platform: Platform) -> bool:
    """Whether nothing is left to fold, to record or to anchor."""
    platform.look()
    with wiring.database(platform.settings) as conn:
        anchor = newest_anchor(conn)
        idle = not defects_store.journal_rows(conn) and not outbox_count(conn)
        return bool(idle and anchor and anchor.size == record_count(conn))


def send_fleet(platform: Platform, truth: Path, boxes: int, phones: int, passes: int, *more: str) -> dict[str, Any]:
    """Runs the simulated fleet as its own process until all its chunks have a verdict; gives its report."""
    names = [(f"sim-box-{n}", "box") for n in range(1, boxes + 1)]
    names += [(f"sim-phone-{n}", "phone") for n in range(1, phones + 1)]
    folder, _ = platform.enrol(names, "sim")
    command = [
        sys.executable, "-m", "sensors_sim", "--city", str(platform.settings.city), "--credentials", str(folder),
        "--truth", str(truth), "--boxes", str(boxes), "--phones", str(phones), "--passes", str(passes), *more,
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=240, cwd=ROOT,
        env=environment_of(wiring.environment(platform.settings)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


@contextmanager
def drive_street(home: Path) -> Iterator[Street]:
    """A platform in ``home`` with a street on it that three boxes and three phones have driven."""
    # The keeper looks once, at the start: drives may lie before 04:00, and tests count the chunks of phones.
    settings = Settings(home=home, port=0, anchor_every_s=0.5, fold_every_s=0.2, keep_every_s=3600)
    with running(settings) as platform:
        report = send_fleet(platform, home / "truth.json", BOXES, PHONES, PASSES, "--faults")
        until(lambda: settled(platform), 60, "everything folded, recorded and anchored")
        city = platform.settings.read_city()
        street = Street(platform, city, report, json.loads((home / "truth.json").read_text()))
        with street.connect() as conn:
            red = {red_near(conn, x, y, street.zone, 1.0) for x, y in street.severe_potholes()} - {None}
            cases = [(c["x_m"], c["y_m"]) for c in defects_store.open_cases(conn, 1000)]

            def from_case_m(cell: int) -> float:
                x, y = corner_m(cell)
                return min(math.hypot(x + 0.5 - cx, y + 0.5 - cy) for cx, cy in cases)

            # The one most in the middle of its case's ring, so that a test of pixels sees the square and not the ring.
            street.red_cell = min((c for c in red if c), key=from_case_m, default=0)
        assert street.red_cell, "no severe pothole is red"
        yield street
