"""The whole benchmark: simulated drives of two physics, and real recordings; one tree of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ingest import City

from ..model import Model
from .evaluate import (
    CONFIGURATIONS,
    baseline_recall,
    camera_fusion,
    configuration,
    cost_us,
    gate_loss,
    healthy_threshold,
    judged,
)
from .sets import CONFUSION_SET, benchmark_sets
from .training import checked

SEED = 7
KEYS: dict[str, str] = {
    "recall_severe_phone": "phone, same physics, severe defects of the six superclasses, one pass, 1 false alarm a km",
    "recall_severe_box": "box, accelerometer and gyroscope alone, the same",
    "recall_severe_box_laser": "box with laser and sound, the same",
    "drop_unseen": (
        "relative loss of recall on the second physics, at 1 false alarm a km there; the worse of phone and box"
    ),
    "lookalike_rate": "share of known look-alikes under a wheel, and of acts, that fire; the worse of phone and box",
    "f1_super_box": "macro F1 of six superclasses at 1 false alarm a km, what is not found counts as missed",
    "f1_super_phone": "the same, phone",
    "f1_16_camera": "macro F1 of 16 types from 16 passes of box, laser and camera; SYNTHETIC camera",
    "ece_unseen": "expected calibration error on the second physics; the worse of phone and box",
    "ece_unseen_p10": "the same, among what is said to be .1 or more",
    "gonzalez_grouped_f1": "real clips, five classes, groups kept together",
    "gonzalez_crop_f1": "the same, on crops of one length",
    "pittsburgh_ap": "real trips, marks of potholes, average precision",
    "meszaros_f1": "real drives, windows of bad road against the rest",
    "sim_only_gonzalez_f1": "real clips, learnt from simulated clips alone",
    "gate_loss": "share of what would be found without the gate that it hides; the worse of phone and box",
    "cpu_us_per_vehicle_second": "gate, features and classes, box without laser, 256 vehicles at a time",
}  # fmt: skip
GOALS: dict[str, tuple[str, float]] = {
    "recall_severe_phone": (">=", 0.60), "recall_severe_box": (">=", 0.75), "recall_severe_box_laser": (">=", 0.85),
    "drop_unseen": ("<=", 0.20), "lookalike_rate": ("<=", 0.05), "f1_super_box": (">=", 0.75),
    "f1_super_phone": (">=", 0.60), "f1_16_camera": (">=", 0.90), "ece_unseen": ("<=", 0.03),
    "ece_unseen_p10": ("<=", 0.03), "gonzalez_grouped_f1": (">", 0.71), "gonzalez_crop_f1": (">", 0.68),
    "pittsburgh_ap": (">", 0.50), "sim_only_gonzalez_f1": (">", 0.35), "cpu_us_per_vehicle_second": ("<=", 20.0),
}  # fmt: skip


def benchmark(
    root: Path, city: City, models: Mapping[str, Model], quick: bool, tell: Callable[[str], None], jobs: int = 2
) -> dict[str, Any]:
    """The simulated part; drives lie below ``root`` (see `benchmark_sets`). jobs: processes at work; the figures do not
    depend on it, and the cost is measured when they are done. Raises DrivesError."""
    out: dict[str, Any] = {"quick": quick, "seed": SEED, "models": {k: m.digest for k, m in models.items()}}
    folders: dict[str, dict[str, Path]] = {
        device: {f"{s.physics}-{s.what}": checked(root, s) for s in benchmark_sets(device, quick)}
        for device in ("box", "phone")
    }
    learn = checked(root, CONFUSION_SET)
    work: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []
    for name, (device, strip, _) in CONFIGURATIONS.items():
        mine, model = folders[device], models[device]
        work.append((name, configuration, (name, mine, city, model, SEED)))
        if name in ("phone", "box"):
            work.append((f"{name}: gate", _gate, (mine, city, model, strip)))
            work += [
                (f"{name}: {which}", _baseline, (mine, city, which)) for which in ("running peak", "pothole patrol")
            ]
    work.append(("camera", camera_fusion, (learn, folders["box"]["first-passes"], city, models["box"], SEED)))
    work.sort(key=lambda task: not task[0].startswith("box"))  # the longest first
    done: dict[str, Any] = {}
    if jobs < 2:
        for name, function, arguments in work:
            done[name] = function(*arguments)
            tell(f"{len(done)} of {len(work)}: {name}")
    else:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            waiting = {pool.submit(function, *arguments): name for name, function, arguments in work}
            for one in as_completed(waiting):
                done[waiting[one]] = one.result()
                tell(f"{len(done)} of {len(work)}: {waiting[one]}")
    for name, (device, strip, _) in CONFIGURATIONS.items():
        out[name] = done[name]
        both = [folders[device]["first-healthy"], folders[device]["first-mixed"]]
        if name in ("phone", "box"):
            out[name]["gate"] = done[f"{name}: gate"]
            out[name]["baselines"] = {b: done[f"{name}: {b}"] for b in ("running peak", "pothole patrol")}
        if name != "box_bands":
            tell(f"{name}: what it costs")
            out[name]["cost_us"] = {
                "256 at a time": cost_us(both, city, models[device], strip, 256),
                "one at a time": cost_us(both, city, models[device], strip, 1),
            }
    out["camera"] = done["camera"]
    return out


def _gate(folders: Mapping[str, Path], city: City, model: Model, strip: tuple[str, ...]) -> dict[str, float]:
    at = healthy_threshold(judged(folders["first-healthy"], city, model, strip))
    return gate_loss(folders["first-mixed"], city, model, strip, at)


def _baseline(folders: Mapping[str, Path], city: City, which: str) -> dict[str, float]:
    return {
        p: baseline_recall(folders[f"{p}-mixed"], folders[f"{p}-healthy"], city, which)[0] for p in ("first", "second")
    }


def keys(simulated: Mapping[str, Any] | None, real: Mapping[str, Any] | None) -> dict[str, float | None]:
    """The figures of KEYS out of both parts; None where a part was not run."""
    found = {} if simulated is None else _of_simulated(simulated)
    for name in KEYS:
        if name not in found:
            value = (real or {}).get(name)
            found[name] = float(value) if value is not None else None
    return {name: found[name] for name in KEYS}


def _of_simulated(simulated: Mapping[str, Any]) -> dict[str, float | None]:
    phone, box, laser = simulated["phone"], simulated["box"], simulated["box_laser"]

    def drop(c: Mapping[str, Any]) -> float:
        return 1.0 - float(c["second"]["recall_severe"]["value"]) / float(c["first"]["recall_severe"]["value"])

    return {
        "recall_severe_phone": phone["first"]["recall_severe"]["value"],
        "recall_severe_box": box["first"]["recall_severe"]["value"],
        "recall_severe_box_laser": laser["first"]["recall_severe"]["value"],
        "drop_unseen": max(drop(phone), drop(box)),
        "lookalike_rate": max(c["first"]["look_alikes"]["value"] for c in (phone, box)),
        "f1_super_box": box["first"]["f1_super"],
        "f1_super_phone": phone["first"]["f1_super"],
        "f1_16_camera": simulated["camera"]["passes_16"]["f1_16"],
        "ece_unseen": max(c["second"]["calibration"]["ece"] for c in (phone, box)),
        "ece_unseen_p10": max(c["second"]["calibration"]["ece_p10"] for c in (phone, box)),
        "gate_loss": max(c["gate"]["lost_of_found"] for c in (phone, box)),
        "cpu_us_per_vehicle_second": box["cost_us"]["256 at a time"],
    }


def reached(name: str, value: float | None) -> bool | None:
    """Whether a figure reaches its goal; None where there is no goal or no figure."""
    if name not in GOALS or value is None:
        return None
    sign, goal = GOALS[name]
    return {">=": value >= goal, "<=": value <= goal, ">": value > goal}[sign]


def summary(found: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Rows of a table: key, figure, goal, whether it is reached, what it is."""
    rows = []
    for name, what in KEYS.items():
        value = found.get(name)
        sign, goal = GOALS.get(name, ("", float("nan")))
        yes = reached(name, value)
        rows.append(
            {
                "key": name,
                "figure": None if value is None else round(value, 4),
                "goal": f"{sign} {goal:g}" if sign else "-",
                "reached": "-" if yes is None else "yes" if yes else "NO",
                "what": what,
            }
        )
    return rows
