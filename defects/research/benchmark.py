"""The whole benchmark: simulated drives of two physics, and real recordings; one tree of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    "drop_unseen": "relative loss of recall on the second physics, at 1 false alarm a km there; the worse of phone and box",
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
    root: Path, city: City, models: Mapping[str, Model], quick: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The simulated part; drives lie below ``root`` (see `benchmark_sets`). Raises DrivesError."""
    out: dict[str, Any] = {"quick": quick, "seed": SEED, "models": {k: m.digest for k, m in models.items()}}
    folders: dict[str, dict[str, Path]] = {}
    for device in ("phone", "box"):
        folders[device] = {
            f"{s.physics}-{s.what}": checked(root, s) for s in benchmark_sets(device, quick)
        }
    for name, (device, strip, _) in CONFIGURATIONS.items():
        mine = folders[device]
        out[name] = configuration(name, mine, city, models[device], SEED, tell)
        if name in ("phone", "box"):
            tell(f"{name}: without a gate, baselines, cost")
            at = healthy_threshold(judged(mine["first-healthy"], city, models[device], strip))
            out[name]["gate"] = gate_loss(mine["first-mixed"], city, models[device], strip, at)
            out[name]["baselines"] = {
                b: {p: baseline_recall(mine[f"{p}-mixed"], mine[f"{p}-healthy"], city, b)[0] for p in ("first", "second")}
                for b in ("running peak", "pothole patrol")
            }
        if name != "box_bands":
            both = [mine["first-healthy"], mine["first-mixed"]]
            out[name]["cost_us"] = {
                "256 at a time": cost_us(both, city, models[device], strip, 256),
                "one at a time": cost_us(both, city, models[device], strip, 1),
            }
    tell("camera: 16 types from several passes")
    learn = checked(root, CONFUSION_SET)
    out["camera"] = camera_fusion(learn, folders["box"]["first-passes"], city, models["box"], SEED)
    return out


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
        return 1 - c["second"]["recall_severe"]["value"] / c["first"]["recall_severe"]["value"]

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
