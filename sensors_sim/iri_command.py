"""`python -m sensors_sim iri`: drives of boxes on healthy roads, and the IRI of what their wheels rolled over."""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import itertools
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import profile
from .dataset import DriveWriter, FolderTaken
from .golden import START_M, iri_along
from .ground import FAMILIES, Options, drives, family
from .plan import WAY_HZ, Plan
from .second import relief

IRI = "iri.csv.gz"
PIECE_M = 2.0
"""A row of the table: shorter than a square's corner, longer than a wheel."""
_SEEDS = 1_000_000
"""Of drives to each seed that is asked for: every drive has a road and a vehicle of its own, for it is vehicles that a
formula must not learn by heart."""


def heights_m(physics: str, plan: Plan) -> tuple[NDArray[np.float64], float, float]:
    """Heights under the wheels float64 (w, k), step and place of the first value, metres, by a family of physics."""
    if physics == "first":
        heights, first_m = profile.tracks_m(plan)
        return heights, first_m, profile.STEP_M
    rolled = relief.tracks(plan)
    return np.stack([rolled.left_m, rolled.right_m]), rolled.start_m, relief.STEP_M


def rows(physics: str, trip: str, plan: Plan) -> list[tuple[str, str, str]]:
    """Trip, unix time at which the front axle comes to a piece of `PIECE_M`, and its IRI."""
    heights, first_m, step_m = heights_m(physics, plan)
    index = iri_along(heights, step_m)
    n = round(PIECE_M / step_m)
    pieces = index[: len(index) // n * n].reshape(-1, n).mean(axis=1)
    s = first_m + PIECE_M * np.arange(len(pieces))
    way = plan.way
    t = np.interp(s, way.s_m, way.t0_s + np.arange(len(way.s_m)) / WAY_HZ, left=math.nan, right=math.nan)
    told = np.isfinite(t) & (s >= first_m + START_M)
    return [(trip, f"{a:.3f}", f"{b:.4f}") for a, b in zip(t[told].tolist(), pieces[told].tolist(), strict=True)]


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code: 0, or 2 where the folder is taken."""
    parser = argparse.ArgumentParser(
        prog="python -m sensors_sim iri",
        description="Simulated drives of boxes on healthy roads, with the IRI of what they rolled over beside them.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the data folder to write")
    parser.add_argument("--physics", choices=FAMILIES, default="first", help="family (default: %(default)s)")
    parser.add_argument("--km", type=float, default=60.0, help="how far, at least (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same bytes (default: %(default)s)")
    given = parser.parse_args(arguments)
    options = Options(given.physics, "healthy", "box", given.km, given.seed)
    told_s = time.monotonic()
    physics = family(given.physics)
    table = io.StringIO()
    write = csv.writer(table, lineterminator="\n")
    write.writerow(("trip", "t_s", "iri"))
    try:
        with DriveWriter(
            given.out, {"command": "iri", "physics": given.physics, "km": given.km, "seed": given.seed}
        ) as writer:
            for seed in itertools.count(given.seed * _SEEDS):
                drive = next(drives(replace(options, seed=seed)))
                ride = physics.ride(drive.plan)
                if writer.add(
                    drive.plan, ride, drive.place, drive.device, drive.trip, given.physics, drive.stretch
                ):
                    write.writerows(rows(given.physics, drive.trip, drive.plan))
                if time.monotonic() - told_s > 5.0:
                    told_s = time.monotonic()
                    sys.stderr.write(f"iri: {writer.metres / 1000:.1f} of {given.km:g} km\n")
                if writer.metres >= given.km * 1000:
                    break
            packed = gzip.compress(table.getvalue().encode(), mtime=0)
            (given.out / IRI).write_bytes(packed)
            writer.note(iri={"sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed)})
    except FolderTaken as error:
        sys.stderr.write(f"iri: {error}\n")
        return 2
    sys.stdout.write(json.dumps({"out": str(given.out), "km": round(writer.metres / 1000, 2)}) + "\n")
    return 0
