"""Fits the formula of the roughness on one family of physics and judges it on the other.

    python -m sensors_sim iri --out var/iri-first --physics first
    python -m sensors_sim iri --out var/iri-second --physics second --km 40
    python -m defects.research.iri --fit var/iri-first --test var/iri-second --json
    python -m defects.research.iri --order FOLDER_OF_REAL_DRIVES
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import Zone, locate, sample, traces
from ingest import City, read_city, recordings

from ..rough import TERMS, RoughOptions, ln_iri, rough_passes
from .drives import chunks_of, manifest_of

Series = NDArray[np.float64]
SPEEDS_KMH = (20, 30, 40, 50, 60, 100)
_RIDGE = 1e-3
"""Of the fit, times the number of passes: smaller, and bands that say the same get large weights of opposite sign,
which another family's vehicles do not share; larger, and the slopes shrink (looked at on the first family only)."""
_PHONE_M = 20.0  # radius of a phone's position that is good enough where only the order of whole drives is asked for
_END_S = 1_795_500_000.0
_PIECE = 6  # passes of a vehicle in a row that stand for a section of about 100 m


@dataclass(frozen=True, eq=False)
class Known:
    """n passes with the truth. terms: float64 (n, len(TERMS)); ln_true: ln of the true IRI; speed_mps; trip, vehicle:
    numbers."""

    terms: Series
    ln_true: Series
    speed_mps: Series
    trip: NDArray[np.int64]
    vehicle: NDArray[np.int64]
    km: float


def known_passes(folder: Path, city: City, options: RoughOptions) -> Known:
    """The passes of a folder of `python -m sensors_sim iri`. Raises DrivesError, and OSError without truth."""
    manifest = manifest_of(folder)
    t_of: dict[str, list[float]] = {}
    iri_of: dict[str, list[float]] = {}
    with gzip.open(folder / "iri.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            t_of.setdefault(row["trip"], []).append(float(row["t_s"]))
            iri_of.setdefault(row["trip"], []).append(float(row["iri"]))
    zone = Zone(city.utm_zone, city.utm_north)
    trips = {name: n for n, name in enumerate(sorted(t_of))}
    vehicles: dict[str, int] = {}
    parts: list[tuple[Series, Series, Series, int, int]] = []
    for device, _, chunk in chunks_of(folder):
        if chunk.trip not in trips:
            continue
        track = sample(traces([chunk], city)[0], chunk.sample_t_s)
        told = rough_passes(chunk, track, zone, options)
        t = np.array(t_of[chunk.trip])
        total = np.concatenate([[0.0], np.cumsum(iri_of[chunk.trip])])
        at = np.stack([np.interp(when, t, np.arange(len(t))) for when in (told.from_s, told.until_s)])
        inside = (told.from_s >= t[0]) & (told.until_s <= t[-1]) & (at[1] - at[0] > 2)
        sums = np.interp(at, np.arange(len(total)), total)
        true = (sums[1] - sums[0]) / np.maximum(at[1] - at[0], 1e-9)
        vehicle = vehicles.setdefault(device, len(vehicles))
        parts.append((told.terms[inside], np.log(true[inside]), told.speed_mps[inside], trips[chunk.trip], vehicle))
    sizes = [len(p[1]) for p in parts]
    return Known(
        np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]),
        np.concatenate([p[2] for p in parts]), np.repeat([p[3] for p in parts], sizes),
        np.repeat([p[4] for p in parts], sizes), float(str(manifest["km"])),
    )  # fmt: skip


def fitted(known: Known) -> Series:
    """Weights of `TERMS` by least squares with a small ridge, which leaves the constant alone."""
    ridge = np.eye(len(TERMS)) * _RIDGE * len(known.ln_true)
    ridge[0, 0] = 0.0
    return np.asarray(np.linalg.solve(known.terms.T @ known.terms + ridge, known.terms.T @ known.ln_true))


def figures(true: Series, said: Series) -> dict[str, float]:
    """Bias and RMSE in m/km and as a share of the truth, and R² of the logarithm."""
    off = np.exp(said) - np.exp(true)
    ln_off = said - true
    return {
        "passes": len(true), "mean_iri": float(np.exp(true).mean()), "bias": float(off.mean()),
        "rmse": float(np.sqrt((off**2).mean())), "bias_share": float(np.expm1(ln_off.mean())),
        "rmse_ln": float(np.sqrt((ln_off**2).mean())),
        "r2_ln": float(1 - (ln_off**2).sum() / ((true - true.mean()) ** 2).sum()),
    }  # fmt: skip


def judged(known: Known, weights: Series, options: RoughOptions) -> dict[str, Any]:
    """Figures over single passes of 16 m, by speed, over about 100 m of a drive, and over many vehicles; and how errors
    split into the vehicle's and the pass's own."""
    said = np.clip(known.terms @ weights, np.log(options.lowest), np.log(options.highest))
    kmh = known.speed_mps * 3.6
    by_speed = {
        f"{a}-{b}": figures(known.ln_true[w], said[w])
        for a, b in itertools.pairwise(SPEEDS_KMH)
        if (w := (kmh >= a) & (kmh < b)).sum() > 20
    }
    off = said - known.ln_true
    piece = np.concatenate([np.arange(n) // _PIECE for n in np.bincount(known.trip)]) if len(off) else np.empty(0)
    order = np.argsort(known.trip, kind="stable")
    key = known.trip[order] * 10_000 + piece.astype(np.int64)
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    size = np.diff(np.concatenate([first, [len(key)]]))
    full = size == _PIECE
    means = [np.log(np.add.reduceat(np.exp(x[order]), first) / size)[full] for x in (known.ln_true, said)]
    per_vehicle = np.bincount(known.vehicle, off) / np.maximum(np.bincount(known.vehicle), 1)
    rest = off - per_vehicle[known.vehicle]
    inside = np.abs(off) <= 1.645 * np.hypot(options.vehicle_sd, options.pass_sd)
    return {
        "km": known.km, "pass_16_m": figures(known.ln_true, said), "section_100_m": figures(*means),
        "by_speed_kmh": by_speed, "vehicles": int(known.vehicle.max()) + 1,
        "vehicle_sd": float(per_vehicle.std()), "pass_sd": float(rest.std()),
        "interval_90_holds": float(inside.mean()),
    }  # fmt: skip


def order_of(folder: Path, city: City, options: RoughOptions) -> dict[str, dict[str, float]]:
    """Of each real drive with a phone in a car: passes over 16 m, their median IRI by the formula, and median speed.
    The formula was not made for phones; that a worse road reads higher is all that this can show."""
    zone = Zone(city.utm_zone, city.utm_north)
    coarse = replace(options, farthest_m=_PHONE_M)
    found = {}
    for path in recordings.drives_in(folder):
        said: list[float] = []
        speed: list[float] = []
        for chunk in recordings.recorded(recordings.read_drive(path), city, _END_S):
            told = rough_passes(replace(chunk, carrier="car"), locate(chunk, city), zone, coarse)
            said += ln_iri(told, options).tolist()
            speed += told.speed_mps.tolist()
        if said:
            found[path.name] = {
                "passes": len(said), "iri": float(np.exp(np.median(said))), "kmh": float(np.median(speed)) * 3.6,
            }  # fmt: skip
    return found


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m defects.research.iri", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", type=Path, help="folder to fit on; without it the formula in force is judged")
    parser.add_argument("--test", type=Path, help="folder of the other family, to judge on")
    parser.add_argument("--order", type=Path, help="folder of real drives: only their order says something, for phones")
    parser.add_argument("--city", type=Path, default=Path("city.toml"), help="(default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args(arguments)
    city, options = read_city(given.city.read_text(encoding="utf-8")), RoughOptions()
    weights = np.array(options.weights)
    told: dict[str, Any] = {}
    if given.order is not None:
        sys.stdout.write(json.dumps(order_of(given.order, city, options), indent=1) + "\n")
        return 0
    if given.test is None:
        parser.error("--test or --order names a folder")
    if given.fit is not None:
        known = known_passes(given.fit, city, options)
        weights = np.round(fitted(known), 4)
        told["fit"] = judged(known, weights, options)
    told |= {"weights": weights.tolist(), "test": judged(known_passes(given.test, city, options), weights, options)}
    if given.json:
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return 0
    for name in ("fit", "test"):
        if name in told:
            sys.stdout.write(f"{name}: {told[name]['km']:.0f} km, {told[name]['vehicles']} vehicles\n")
            rows = {k: told[name][k] for k in ("pass_16_m", "section_100_m")} | told[name]["by_speed_kmh"]
            for what, row in rows.items():
                sys.stdout.write(f"  {what:14s}" + "  ".join(f"{k} {v:.3f}" for k, v in row.items()) + "\n")
            sys.stdout.write(
                f"  errors of ln(IRI): of a vehicle {told[name]['vehicle_sd']:.3f}, of a pass "
                f"{told[name]['pass_sd']:.3f}; a 90 % interval holds {told[name]['interval_90_holds']:.3f}\n"
            )
    sys.stdout.write(f"weights: {', '.join(f'{w:g}' for w in told['weights'])}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
