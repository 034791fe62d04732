"""`python -m sensors_sim clips`: short simulated recordings of a phone in a car, labelled as the clips of González and
others (IEEE T-ITS 18(11), 2017) are, to ask how far training on the simulator alone carries.

All sizes and speeds are simulated: ranges chosen from what such roads are like, not fitted to the recordings. Metal
bumps are the low steel humps or rows of studs that are bolted across Mexican streets; asphalt bumps are paved humps.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .car import draw_wheels, feel
from .catalogue import WHEEL_PATH_M, draw_defect, draw_look_alike
from .inertial import phone_unit, samples
from .plan import WAY_HZ, Plan, Series, Stretch, Thing, Way

RATE_HZ = 50.0
LABELS = ("asphalt_bumps", "metal_bumps", "potholes", "regular_road", "worn_out_road")
_CLIP = 91  # purpose of the generator
_LEAD_S = 3.0  # before the clip: a vehicle set on a road needs a second or two to come to rest on its springs
_LENGTH_S = (2.0, 4.0)
_VEHICLES = {"small_car": 0.3, "sedan": 0.35, "suv": 0.2, "taxi_ev": 0.05, "minibus": 0.1}


@dataclass(frozen=True, eq=False)
class SimulatedClip:
    """acc_mps2: (n,) vertical with gravity, at RATE_HZ; what it is about is near its middle."""

    name: str
    label: str
    acc_mps2: Series


@dataclass(frozen=True)
class _Scene:
    """roughness and its odds; speed_kmh at the thing; things, laid about s = 0."""

    roughness: str
    speed_kmh: float
    things: tuple[Thing, ...]


def _asphalt_bump(rng: np.random.Generator) -> _Scene:
    hump = draw_look_alike(rng, "speed_bump")
    hump = replace(hump, subtype="long", length_m=rng.uniform(0.9, 3.7), height_mm=rng.uniform(40, 120), width_m=6.0)
    return _Scene(str(rng.choice(list("ABC"), p=(0.25, 0.5, 0.25))), rng.uniform(7, 30), (hump,))


def _metal_bump(rng: np.random.Generator) -> _Scene:
    stud = replace(draw_look_alike(rng, "speed_bump"), subtype="short", width_m=6.0)
    stud = replace(stud, length_m=rng.uniform(0.12, 0.45), height_mm=rng.uniform(20, 60))
    rows = int(rng.choice((1, 2, 3), p=(0.6, 0.25, 0.15)))
    apart = rng.uniform(0.25, 0.8)
    laid = tuple(replace(stud, s_m=(k - (rows - 1) / 2) * apart) for k in range(rows))
    return _Scene(str(rng.choice(list("ABC"), p=(0.25, 0.5, 0.25))), rng.uniform(8, 35), laid)


def _potholes(rng: np.random.Generator) -> _Scene:
    count = int(rng.choice((1, 2, 3), p=(0.6, 0.25, 0.15)))
    laid = []
    for k in range(count):
        hole = draw_defect(rng, "pothole", 2)
        side = rng.choice((-1.0, 1.0)) * WHEEL_PATH_M
        at = 0.0 if k == 0 else rng.uniform(-4, 4)
        laid.append(replace(hole, s_m=at, y_m=float(side * 0.85 + rng.normal(0, 0.08))))
    return _Scene(str(rng.choice(list("BCD"), p=(0.4, 0.45, 0.15))), rng.uniform(12, 45), tuple(laid))


def _regular(rng: np.random.Generator) -> _Scene:
    laid: tuple[Thing, ...] = ()
    if rng.random() < 0.3:
        kind = str(rng.choice(("slab_joint", "good_patch", "sound_cover")))
        laid = (replace(draw_look_alike(rng, kind), s_m=rng.uniform(-6, 6)),)
    return _Scene(str(rng.choice(list("ABC"), p=(0.25, 0.55, 0.2))), rng.uniform(18, 65), laid)


def _worn_out(rng: np.random.Generator) -> _Scene:
    kinds = ("ravelling", "alligator_crack", "subsidence", "net_crack", "good_patch", "pothole")
    laid = []
    for at in np.arange(-24.0, 24.0, 3.0):
        kind = str(rng.choice(kinds, p=(0.25, 0.3, 0.1, 0.15, 0.15, 0.05)))
        thing = draw_look_alike(rng, kind) if kind == "good_patch" else draw_defect(rng, kind, 1)
        if rng.random() < 0.7:
            laid.append(replace(thing, s_m=float(at + rng.uniform(0, 3))))
    return _Scene(str(rng.choice(list("BCD"), p=(0.15, 0.5, 0.35))), rng.uniform(12, 50), tuple(laid))


_SCENES: dict[str, Callable[[np.random.Generator], _Scene]] = dict(
    zip(LABELS, (_asphalt_bump, _metal_bump, _potholes, _regular, _worn_out), strict=True)
)


def clips(per_class: int, seed: int) -> Iterator[SimulatedClip]:
    """``per_class`` clips of each label, by label and number; each the same for a seed whatever else is asked for."""
    for at, label in enumerate(LABELS):
        for number in range(per_class):
            rng = np.random.default_rng([seed, _CLIP, at, number])
            yield SimulatedClip(f"{label}-{seed}-{number:05d}", label, _recorded(_SCENES[label](rng), rng))


def _recorded(scene: _Scene, rng: np.random.Generator) -> Series:
    model = str(rng.choice(list(_VEHICLES), p=list(_VEHICLES.values())))
    vehicle_seed, device_seed, pass_seed, road_seed = (int(v) for v in rng.integers(1, 2**31, 4))
    wheels = draw_wheels(model, vehicle_seed)
    length_s = rng.uniform(*_LENGTH_S)
    middle_s = _LEAD_S + length_s / 2
    t = np.arange(round((_LEAD_S + length_s + 0.5) * WAY_HZ)) / WAY_HZ
    speed = scene.speed_kmh / 3.6
    # Speed drifts by some per cent a second, as one slows before what is seen; it is not what the clip is about.
    v = speed * np.clip(1 + rng.normal(0, 0.04) * (t - middle_s), 0.5, 1.5)
    s = np.cumsum(v) / WAY_HZ
    # In the middle of the clip the middle between the axles is over the thing.
    s += 80.0 + wheels.wheelbase_m / 2 - np.interp(middle_s + rng.normal(0, 0.12), t, s)
    things = tuple(sorted((replace(x, s_m=x.s_m + 80.0) for x in scene.things), key=lambda x: x.s_m))
    y = np.full(len(t), rng.normal(0, 0.12))
    way = Way(0.0, s, v, y, y, s, np.zeros(len(t)))
    plan = Plan(
        Stretch(160.0, scene.roughness, road_seed, things), way, "car", model, wheels, "phone", RATE_HZ,
        vehicle_seed=vehicle_seed, device_seed=device_seed, pass_seed=pass_seed,
    )  # fmt: skip
    unit = phone_unit(device_seed, RATE_HZ)
    acc = samples(plan, feel(plan), unit)[0] * unit.acc_scale_mps2
    down = np.median(acc, axis=0)
    vertical = acc @ (down / np.linalg.norm(down))
    begin = round(_LEAD_S * RATE_HZ)
    return np.asarray(vertical[begin : begin + round(length_s * RATE_HZ)], dtype=np.float64)


def write_clips(path: Path, per_class: int, seed: int) -> int:
    """Writes the clips as clip, label, group, i, acc_z (m/s²), gzipped where the name ends so: each a group of its own.
    Returns how many."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("clip", "label", "group", "i", "acc_z"))
    count = 0
    for count, clip in enumerate(clips(per_class, seed), 1):
        writer.writerows((clip.name, clip.label, count, i, f"{a:.3f}") for i, a in enumerate(clip.acc_mps2))
    data = text.getvalue().encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return count


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sensors_sim clips",
        description="Simulated clips of five kinds of road, as a table.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .csv or .csv.gz to write")
    parser.add_argument("--per-class", type=int, default=300, help="clips of each label (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same bytes (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.per_class < 1 or options.seed < 0:
        parser.error("--per-class is 1 or more, --seed 0 or more")
    write_clips(options.out, options.per_class, options.seed)
    return 0
