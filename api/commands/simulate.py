"""`roadcode simulate`: a simulated city and its fleets, into a data folder or into the running platform."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from .printing import ERR, Json, settings, show

EXAMPLES = """\
roadcode simulate --fleet boxes=2,phones=6 --hours 1 --out drives

roadcode simulate --fleet boxes=20,phones=60,sweepers=2,ebikes=10 --hours 8 --days 3 --faults all --out drives

roadcode simulate --fleet boxes=4,phones=8 --hours 2
"""
_KINDS = {"boxes": "box", "sweepers": "box", "phones": "phone", "ebikes": "phone", "bikes": "phone"}
_GROUP = "city"


def simulate(
    fleet: Annotated[
        str, typer.Option(metavar="NAME=N,...", help="how many boxes, phones, sweepers, ebikes, bikes")
    ] = "boxes=4,phones=8,sweepers=1,ebikes=2",
    hours: Annotated[float, typer.Option(help="driven a day", min=0.01, max=24)] = 8.0,
    days: Annotated[int, typer.Option(help="with --out: days in a row", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="the same seed gives the same city", min=0)] = 1,
    out: Annotated[Path | None, typer.Option(help="write a data folder; without it, publish")] = None,
    city: Annotated[Path | None, typer.Option(help="the city file, if not ROADCODE_CITY")] = None,
    network: Annotated[Path | None, typer.Option(help="roads: GeoJSON lines or a (zipped) shapefile")] = None,
    size: Annotated[int, typer.Option(help="without --network: crossings a side, 300 m apart", min=3, max=60)] = 9,
    density: Annotated[float, typer.Option(help="times the natural number of defects", min=0)] = 1.0,
    equipment: Annotated[str, typer.Option(help="of the boxes: laser, bands, camera")] = "",
    physics: Annotated[str, typer.Option(help="family of vehicles and sensors: first, second")] = "first",
    faults: Annotated[str, typer.Option(help="`all`, or like tunnel=1,drop=0.02 (see below)")] = "",
    speed: Annotated[float, typer.Option(help="publishing: times its own pace; 0: as verdicts come", min=0)] = 0.0,
    begin: Annotated[str, typer.Option("--from", metavar="HH:MM", help="with --out: local time of start")] = "07:00",
    day: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="with --out: the first day")] = "2026-03-02",
    jobs: Annotated[int, typer.Option(help="processes", min=1)] = 2,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Drive simulated fleets through a simulated city for hours.

    Its roads wear, are repaired and wear again; buses, taxis, sweepers, e-bikes, bicycles and citizens' cars drive on
    them, stop, swerve around what has been there for a while, and feel the rest. All is marked as simulated.

    With --out the drives become a data folder: what was sent, and beside it what was really there. The same arguments
    give the same bytes. Without it they are published to the running platform, whose devices they become; the hours
    end now.

    Faults: drop, duplicate (shares), reorder (payloads), bad, tunnel, gap (an hour of driving), clock, handled (times
    the usual).
    """
    full = settings(home=home, city=city)
    command = [
        sys.executable, "-m", "sensors_sim", "simulate", "--city", str(full.city), "--fleet", fleet, "--hours",
        str(hours), "--seed", str(seed), "--size", str(size), "--density", str(density), "--equipment", equipment,
        "--physics", physics, "--faults", faults, "--jobs", str(jobs),
    ]  # fmt: skip
    if network is not None:
        command += ["--network", str(network)]
    if out is not None:
        command += ["--out", str(out), "--days", str(days), "--day", day, "--from", begin]
    else:
        from .. import wiring  # noqa: PLC0415  (`--help` needs no database)
        from ..platform import enrol_here  # noqa: PLC0415

        if days != 1:
            raise typer.BadParameter("what is published ends now and is one day: --days is for --out")
        folder, _ = enrol_here(wiring.resolved(full), _devices(fleet), _GROUP)
        command += ["--credentials", str(folder), "--speed", str(speed)]
    # Its progress goes to the terminal as it is; only the last line is ours.
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines()
    if lines and as_json:
        print(lines[-1])
    elif lines:
        tree = json.loads(lines[-1])
        show([{"what": k, "is": json.dumps(v, ensure_ascii=False)} for k, v in tree.items()], False, "SIMULATED")
    if done.returncode:
        if lines:
            ERR.print("some chunks have no verdict yet: is the worker running? The logs in the data folder say")
        raise typer.Exit(done.returncode)


def _devices(fleet: str) -> list[tuple[str, str]]:
    """Names and kinds of the devices that a fleet needs. What is no fleet is left to the simulator to say."""
    devices: list[tuple[str, str]] = []
    for part in fleet.split(","):
        name, _, number = part.strip().partition("=")
        kind = _KINDS.get(name)
        if kind is not None and number.isdigit():
            had = sum(k == kind for _, k in devices)
            devices += [(f"city-{kind}-{had + i + 1:04d}", kind) for i in range(int(number))]
    return devices
