"""`python -m sensors_sim ground`: drives on the proving ground, written as a data folder."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .dataset import DriveWriter, FolderTaken
from .ground import FAMILIES, WHAT, Options, drives, family
from .instruments import EQUIPMENT

QUICK_KM = 2.0
_TELL_S = 5.0

_EPILOG = """\
mixed: defects of all 16 types and grades a few dozen metres apart, look-alikes among them, healthy road between.
healthy: harmless things alone, as often as one meets them. look_alikes: harmless things, dense. passes: each stretch of
a mixed road is driven --passes times, by as many vehicles with devices of their own.
At the end one line of JSON on standard output says what was written.

  python -m sensors_sim ground --out var/train --what mixed --km 60 --equipment laser,bands,camera
  python -m sensors_sim ground --out var/healthy --what healthy --device phone --km 1000
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sensors_sim ground",
        description="Simulated drives on a proving ground, with the truth beside them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the data folder to write")
    parser.add_argument("--physics", choices=FAMILIES, default="first", help="family (default: %(default)s)")
    parser.add_argument("--what", choices=WHAT, default="mixed", help="which roads (default: %(default)s)")
    parser.add_argument("--device", choices=("box", "phone"), default="box", help="(default: %(default)s)")
    parser.add_argument("--km", type=float, default=50.0, help="how far, at least (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same bytes (default: %(default)s)")
    parser.add_argument(
        "--equipment", default="", metavar="LIST", help=f"of a box, joined by commas: {', '.join(sorted(EQUIPMENT))}"
    )
    parser.add_argument("--passes", type=int, default=16, help="over each stretch of `passes` (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=200.0, help="of a box's IMU, Hz (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help=f"at most {QUICK_KM:g} km")
    return parser


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code: 0, or 2 where the folder is taken."""
    parser = _parser()
    given = parser.parse_args(arguments)
    equipment = frozenset(filter(None, given.equipment.split(",")))
    if not equipment <= EQUIPMENT:
        parser.error(f"--equipment knows {', '.join(sorted(EQUIPMENT))}")
    if equipment and given.device == "phone":
        parser.error("--equipment is of boxes: a phone has none")
    if not (0 < given.km < math.inf and given.passes > 0 and given.seed >= 0 and 100 <= given.rate <= 400):
        parser.error("--km and --passes are above 0, --seed is 0 or more, --rate 100 to 400")
    options = Options(
        given.physics, given.what, given.device, given.km, given.seed, equipment, given.passes, given.rate
    )
    if given.quick:
        options = replace(options, km=min(options.km, QUICK_KM))
    told = {
        "physics": options.physics, "what": options.what, "device": options.device, "km": options.km,
        "seed": options.seed, "equipment": sorted(equipment), "passes": options.passes, "rate_hz": options.rate_hz,
    }  # fmt: skip
    try:
        with DriveWriter(given.out, {"command": "ground", **told}) as writer:
            begun_s, cpu_s = time.monotonic(), time.process_time()
            _write(options, writer)
    except FolderTaken as error:
        sys.stderr.write(f"proving ground: {error}\n")
        return 2
    manifest = writer.manifest()
    seconds = max(writer.seconds, 1e-9)
    line = {
        "out": str(given.out), "km": manifest["km"], "vehicle_seconds": manifest["vehicle_seconds"],
        **manifest["counts"], "seconds": round(time.monotonic() - begun_s, 2),
        "cpu_us_per_vehicle_second": round((time.process_time() - cpu_s) / seconds * 1e6, 1),
    }  # fmt: skip
    sys.stdout.write(json.dumps(line) + "\n")
    return 0


def _write(options: Options, writer: DriveWriter) -> None:
    physics = family(options.physics)
    console = Console(stderr=True)
    goal_m, told_s = options.km * 1000, time.monotonic()
    with ExitStack() as stack:
        bar: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("ground"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            bar = stack.enter_context(Progress(*columns, TimeRemainingColumn(), console=console))
            task = bar.add_task("", total=goal_m)
        for drive in drives(options):
            ride = physics.ride(drive.plan)
            writer.add(drive.plan, ride, drive.place, drive.device, drive.trip, options.physics, drive.stretch)
            now_s = time.monotonic()
            text = f"{writer.metres / 1000:.1f} of {options.km:g} km, {writer.chunks} chunks"
            if bar:
                bar.update(task, completed=min(writer.metres, goal_m), description=text)
            elif now_s - told_s > _TELL_S:
                told_s = now_s
                sys.stderr.write(f"proving ground: {text}\n")
                sys.stderr.flush()
            if writer.metres >= goal_m and drive.last:
                return
