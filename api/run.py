"""`roadcode up`: the platform in the foreground, with a line every few seconds of what flows."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable

import psycopg

from defects import store as defects_store
from ingest import store as ingest_store
from ledger import newest_anchor, record_count

from . import outside, wiring
from .commands.roads import Asked, run_import
from .embedded import PumpCommand, PumpOptions, Pumps, environment_of, stop_signals
from .platform import Platform, running
from .settings import Settings

_LINE_S = 5.0
_STREETS_S = 60.0  # for writing two lines: longer, and something hangs
BOXES, PHONES = 4, 3
_FLEET = "fleet"


def run_platform(settings: Settings, simulate: bool, say: Callable[[str], None]) -> None:
    """Runs until SIGINT, SIGTERM or SIGHUP. Raises the errors of `platform.running`."""
    theirs = outside.shown(settings)
    ours = [name for name in ("database", "broker", "chain") if name not in theirs]
    told = ", ".join(f"{name} {where}" for name, where in theirs.items())
    say(f"starting {' and '.join(ours) or 'the pumps'} ..." + (f"   outside: {told}" if told else ""))
    with stop_signals() as stop, running(settings) as platform:
        banner = platform.settings.read_city().banner
        say(f"map at {platform.url}" + (f"   [{banner}: not real]" if banner else ""))
        fleet = _fleet(platform) if simulate else None
        try:
            if fleet:
                fleet.start()
            _watch(platform, fleet, stop.wait, say)
        finally:
            if fleet:
                fleet.stop()
            say("stopping ...")
    say("stopped; the data is kept")


def fleet_command(platform: Platform, arguments: list[str]) -> list[str]:
    """The command of the simulated fleet, with credentials of its own."""
    names = [(f"sim-box-{n}", "box") for n in range(1, BOXES + 1)]
    names += [(f"sim-phone-{n}", "phone") for n in range(1, PHONES + 1)]
    folder, _ = platform.enrol(names, "sim")
    return [
        sys.executable, "-m", "sensors_sim", "--city", str(platform.settings.city), "--credentials", str(folder),
        "--boxes", str(BOXES), "--phones", str(PHONES), *arguments,
    ]  # fmt: skip


def lay_streets(platform: Platform) -> None:
    """Imports the streets that the simulated fleet drives, so that the map has sections."""
    file = platform.services.folder.home / "streets.geojson"
    city = platform.settings.city
    command = [sys.executable, "-m", "sensors_sim", "--city", str(city), "--roads", str(file)]
    environment = environment_of(wiring.environment(platform.settings))
    subprocess.run(command, check=True, timeout=_STREETS_S, env=environment)
    with wiring.database(platform.settings) as conn:
        run_import(conn, platform.settings.read_city(), file, Asked(source="simulated"), time.time())


def _fleet(platform: Platform) -> Pumps:
    lay_streets(platform)
    home = platform.services.folder.home
    command = fleet_command(platform, ["--truth", str(home / "truth.json"), "--passes", "4", "--forever"])
    pump = PumpCommand(_FLEET, tuple(command), environment_of(wiring.environment(platform.settings)))
    return Pumps([pump], platform.services.folder.logs, PumpOptions(), random.SystemRandom())


def _watch(
    platform: Platform, fleet: Pumps | None, wait: Callable[[float], bool], say: Callable[[str], None]
) -> None:
    told_s = 0.0
    before: tuple[float, int] | None = None
    while not wait(0.5):
        for name in platform.look() + (fleet.look() if fleet else []):
            say(f"restarted {name}")
        if time.monotonic() - told_s >= _LINE_S:
            told_s = time.monotonic()
            try:
                line, before = _line(platform, before)
            except psycopg.Error as error:
                line = f"the database does not answer ({type(error).__name__})"
            say(line)


def _line(platform: Platform, before: tuple[float, int] | None) -> tuple[str, tuple[float, int]]:
    """What flows, in one line, and what the next line is compared with."""
    with wiring.database(platform.settings) as conn:
        tallies = ingest_store.tallies(conn)
        fine, _ = defects_store.colour_counts(conn)
        cases = defects_store.case_count(conn)
        records = record_count(conn)
        anchor = newest_anchor(conn)
    accepted = sum(n for name, _, n in tallies if name == "accepted")
    refused = sum(n for name, _, n in tallies if name == "refused")
    now_s = time.monotonic()
    pace = (accepted - before[1]) / (now_s - before[0]) if before else 0.0
    return (
        f"chunks {accepted:,} ({pace:.1f}/s), refused {refused:,} | m²: red {fine['red']:,} yellow {fine['yellow']:,} "
        f"green {fine['green']:,} grey {fine['grey']:,} | cases {cases} | records {records:,}, "
        f"{anchor.size if anchor else 0:,} anchored | {platform.url}"
    ), (now_s, accepted)
