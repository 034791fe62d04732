"""`python -m sensors_sim simulate`: a city whose roads wear and are repaired, and fleets that drive there."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ingest import City, CityFileError, Credential, SenderError, read_city, read_credential

from .city_truth import DEFECTS, ROADS, write_city
from .dataset import DriveWriter, FolderTaken
from .faults import Faults
from .instruments import EQUIPMENT
from .mishaps import read_mishaps
from .network_file import NetworkFileError
from .publish import Fleet
from .routes import FLEET, read_fleet
from .shares import PHYSICS, Sent, ShareFailed, Slab, Work, slab_count, slabs, town_of

_DAY = "2026-03-02"
"""The day simulated where none is given, a Monday: files hang on the arguments, never on today."""
_TELL_S = 3.0
_LAST_WAIT_S, _STOP_WAIT_S = 60.0, 10.0
_MOST_HOURS = 46.0
"""That can be published: the platform takes nothing older than 48 hours."""

_EPILOG = """\
A city is generated (or its roads are read from a file), its defects live through a year before the first hour and on
through the simulated days, and the fleet drives: buses with boxes on lines, citizens' phones in cars, sweepers,
e-bikes, bicycles. --out writes a data folder (chunks.cbor, truth.csv.gz, trips.csv.gz, manifest.json, and beside them
truth_defects.jsonl and network.geojson); the same arguments give the same bytes, whatever --jobs is. --credentials
publishes over MQTT instead, as the devices whose credentials lie there; the hours then end now.
At the end one line of JSON on standard output says what was done and how fast. A box at 200 Hz gives about 17 MB an
hour (53 MB with a laser), a phone 4 MB.

  python -m sensors_sim simulate --city city.toml --fleet boxes=2,phones=6 --hours 1 --out drives
  python -m sensors_sim simulate --city city.toml --fleet boxes=20,phones=60,sweepers=2,ebikes=10 --hours 8 \\
      --days 3 --faults all --out drives
  python -m sensors_sim simulate --city city.toml --fleet boxes=4,phones=4 --hours 2 --credentials var/devices
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sensors_sim simulate",
        description="A city and its fleets for hours or days, everything marked as simulated.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--city", type=Path, default=Path("city.toml"), help="the city file (default: %(default)s)")
    parser.add_argument(
        "--fleet", default="boxes=4,phones=8,sweepers=1,ebikes=2", metavar="NAME=N,...",
        help=f"how many of {', '.join(FLEET)} (default: %(default)s)",
    )  # fmt: skip
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="DIR", help="write a data folder")
    where.add_argument(
        "--credentials", type=Path, metavar="DIR", help="publish as the devices whose credentials (*.json) lie here"
    )
    parser.add_argument("--hours", type=float, default=8.0, help="driven a day (default: %(default)s)")
    parser.add_argument("--days", type=int, default=1, help="with --out: days in a row (default: %(default)s)")
    parser.add_argument("--day", default=_DAY, metavar="YYYY-MM-DD", help="with --out: the first; default %(default)s")
    parser.add_argument(
        "--from", dest="begin", default="07:00", metavar="HH:MM",
        help="with --out: local time at which a day's driving begins (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same city (default: %(default)s)")
    parser.add_argument(
        "--network", type=Path, metavar="FILE", help="roads from GeoJSON lines or a (zipped) shapefile; else generated"
    )
    parser.add_argument(
        "--size", type=int, default=9, help="generated: crossings a side, 300 m apart (default: %(default)s)"
    )
    parser.add_argument(
        "--density", type=float, default=1.0, help="times the natural number of defects; 0: none (default: %(default)s)"
    )
    parser.add_argument(
        "--equipment", default="", metavar="A,B", help=f"of boxes, of {', '.join(sorted(EQUIPMENT))} (default: none)"
    )
    parser.add_argument(
        "--physics", choices=PHYSICS, default=PHYSICS[0], help="family of vehicles and sensors (default: %(default)s)"
    )
    parser.add_argument(
        "--faults", default="", metavar="F,...",
        help="`all`, or NAME=NUMBER of: drop, duplicate (shares), reorder (payloads), bad, tunnel, gap (an hour of "
        "driving), clock, handled (times the usual); all=8 kinds at once, later ones change it",
    )  # fmt: skip
    parser.add_argument(
        "--speed", type=float, default=0.0, metavar="X",
        help="with --credentials: publish at X times its own pace (default: as fast as verdicts come)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes (default: %(default)s)"
    )
    return parser


def _windows(options: argparse.Namespace, city: City) -> tuple[tuple[float, float], ...]:
    if options.credentials:
        now_s = float(int(time.time()))
        return ((now_s - options.hours * 3600, now_s),)
    first = datetime.fromisoformat(options.day).date()
    begin = clock.fromisoformat(options.begin)
    out: list[tuple[float, float]] = []
    for number in range(options.days):
        at = datetime.combine(first + timedelta(days=number), begin, tzinfo=city.zone)
        out.append((at.timestamp(), at.timestamp() + options.hours * 3600))
    return tuple(out)


class _Teller:
    """Says on standard error how far it has come: a bar on a terminal, else a plain line every few seconds."""

    def __init__(self, stack: ExitStack, total: int) -> None:
        console = Console(stderr=True)
        self._bar: Progress | None = None
        self._done, self._total = 0, total
        self._told_s = self._begun_s = time.monotonic()
        if console.is_terminal:
            columns = (TextColumn("city"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._bar = stack.enter_context(Progress(*columns, console=console))
            self._task = self._bar.add_task("", total=total)

    def tell(self, seconds: float, more: str = "") -> None:
        """After each slab."""
        self._done += 1
        now_s = time.monotonic()
        pace = seconds / max(now_s - self._begun_s, 1e-9)
        line = f"{seconds / 3600:.1f} vehicle-hours, {pace:.0f} vehicle-seconds/s{more}"
        if self._bar:
            self._bar.update(self._task, completed=self._done, description=line)
        elif now_s - self._told_s > _TELL_S or self._done == self._total:
            self._told_s = now_s
            sys.stderr.write(f"simulated city: {self._done} of {self._total}, {line}\n")
            sys.stderr.flush()


def _arguments(options: argparse.Namespace, work: Work) -> dict[str, Any]:
    """What the bytes hang on, for the manifest."""
    return {
        "command": "simulate", "city": work.city.name, "city_sha256": work.city.sha256, "fleet": work.fleet,
        "hours": options.hours, "days": options.days, "day": options.day, "from": options.begin, "seed": work.seed,
        "network": options.network.name if options.network else f"generated, {work.size} crossings a side",
        "density": work.density, "equipment": sorted(work.equipment), "faults": options.faults,
        "physics": work.physics,
    }  # fmt: skip


def _pace(seconds: float, cpu_s: float, took_s: float) -> dict[str, Any]:
    """Vehicle-seconds are seconds in which a device recorded."""
    return {
        "vehicle_seconds": round(seconds, 1),
        "vehicle_seconds_per_s": round(seconds / took_s, 1),
        "cpu_us_per_vehicle_second": round(1e6 * cpu_s / seconds, 1) if seconds else None,
        "seconds": round(took_s, 2),
    }


def _write(options: argparse.Namespace, work: Work) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    seconds = cpu_s = 0.0
    with DriveWriter(options.out, _arguments(options, work), work.city.frame.lower()) as out, ExitStack() as stack:
        begun_s = time.monotonic()
        unfinished = stack.enter_context(ExitStack())
        for name in (DEFECTS, ROADS):
            unfinished.callback((options.out / name).unlink, missing_ok=True)
        parts = stack.enter_context(slabs(work, options.jobs))
        town, fleet = town_of(work)
        told = write_city(options.out, town.network, town.life, work.windows[0][0], work.windows[-1][1])
        teller = _Teller(stack, slab_count(work))
        for slab in parts:
            for sent in slab.sent:
                vehicle = fleet[sent.vehicle]
                out.put_payload(vehicle.device, vehicle.kind, sent.payload)
            for _, _, entry in slab.entries:
                out.put_entry(entry)
            counts.update(slab.counts)
            seconds, cpu_s = seconds + slab.seconds, cpu_s + slab.cpu_s
            teller.tell(seconds)
        took_s = time.monotonic() - begun_s
        counted = {k: v for k, v in sorted(counts.items()) if v}
        roads = town.network
        unfinished.pop_all()
        out.note(**told, happened=counted, road_km=round(roads.road_km, 3), lane_km=round(roads.lane_km, 3))
    manifest = out.manifest()
    return {
        "out": str(options.out), **manifest["counts"], "km": manifest["km"], "damaged_spots": told["damaged_spots"],
        "happened": counted, **_pace(seconds, cpu_s, took_s),
    }  # fmt: skip


def _credentials(folder: Path, kinds: list[str]) -> list[Credential]:
    known = [read_credential(path) for path in sorted(folder.glob("*.json"))]
    of_kind = {kind: [c for c in known if c.kind == kind] for kind in ("box", "phone")}
    for kind, have in of_kind.items():
        if len(have) < kinds.count(kind):
            raise SenderError(
                f"{folder} holds {len(have)} credentials of kind {kind}, {kinds.count(kind)} are asked for: "
                "enrol more devices"
            )
    return [of_kind[kind].pop(0) for kind in kinds]


def _publish(options: argparse.Namespace, work: Work, stop: threading.Event) -> dict[str, Any]:
    seconds = cpu_s = 0.0
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        _, vehicles = town_of(work)
        credentials = _credentials(options.credentials, [v.kind for v in vehicles])
        fleet = stack.enter_context(Fleet(credentials, work.seed, Faults()))
        parts = stack.enter_context(slabs(work, options.jobs))
        teller = _Teller(stack, slab_count(work))
        begun_s = time.monotonic()
        for slab in parts:
            for sent in _paced(slab, options.speed, work.windows[0][0], begun_s, stop):
                if not fleet.put_payload(sent.vehicle, sent.payload, stop):
                    break
            counts.update(slab.counts)
            seconds, cpu_s = seconds + slab.seconds, cpu_s + slab.cpu_s
            totals = fleet.totals()
            teller.tell(seconds, f", {totals.accepted} accepted, {sum(totals.refused.values())} refused")
            if stop.is_set():
                break
        took_s = time.monotonic() - begun_s
        tree = fleet.finish(_STOP_WAIT_S if stop.is_set() else _LAST_WAIT_S).tree()
    for name in ("unique", "bad", "bad_kinds", "duplicates"):  # of faults that Fleet makes, and it makes none here
        del tree[name]
    return {**tree, "happened": {k: v for k, v in sorted(counts.items()) if v}, **_pace(seconds, cpu_s, took_s)}


def _paced(
    slab: Slab, speed: float, first_s: float, begun_s: float, stop: threading.Event
) -> Iterator[Sent]:
    for sent in slab.sent:
        if speed > 0:
            stop.wait(max(0.0, (sent.at_s - first_s) / speed - (time.monotonic() - begun_s)))
        if stop.is_set():
            return
        yield sent


def _work(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Work:
    """What the arguments ask for; ends with their error where they are wrong."""
    try:
        city = read_city(options.city.read_text(encoding="utf-8"))
    except (OSError, CityFileError) as error:
        parser.error(f"--city {options.city}: {error}")
    if "simulated" not in city.origins:
        parser.error(
            f"{options.city} takes only origins {', '.join(city.origins)}: it must not mix with simulated data"
        )
    if not 0 < options.hours <= 24 or options.days < 1 or options.seed < 0 or options.density < 0 or options.jobs < 1:
        parser.error("--hours lies above 0, up to 24; --days and --jobs are 1 or more, --seed and --density 0 or more")
    if options.credentials and (options.days != 1 or options.hours > _MOST_HOURS):
        parser.error("--credentials publishes one day that ends now: the platform takes nothing older than 48 hours")
    equipment = frozenset(filter(None, options.equipment.split(",")))
    if not equipment <= EQUIPMENT:
        parser.error(f"--equipment is of {', '.join(sorted(EQUIPMENT))}")
    try:
        return Work(
            city, read_fleet(options.fleet), _windows(options, city), options.seed, options.network, options.size,
            options.density, equipment, read_mishaps(options.faults), options.physics,
        )  # fmt: skip
    except ValueError as error:
        parser.error(str(error))


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 1 where a chunk is left without a verdict, 2 for an error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    work = _work(parser, options)
    stop = threading.Event()
    try:
        if options.out:
            sys.stdout.write(json.dumps(_write(options, work)) + "\n")
            return 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        done = _publish(options, work, stop)
    except (SenderError, NetworkFileError, FolderTaken, ShareFailed, OSError, ValueError) as error:
        sys.stderr.write(f"simulated city: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("simulated city: broken off, nothing of it is left\n")
        return 130
    sys.stdout.write(json.dumps(done) + "\n")
    return 0 if stop.is_set() or not done["waiting"] else 1
