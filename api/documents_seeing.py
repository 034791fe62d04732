"""The generated tables of docs/recognition.md and docs/simulator.md: what is seen, and by which models."""

from __future__ import annotations

import ast
import inspect
import json

from defects import LEAVES, OF_THE_STANDARD, TYPES, Leaf, model_digests, shipped_models

from .code_text import constants, named_constants, table

# ---------------------------------------------------------------- recognition.md


def senses() -> str:
    """Which sense can see a type at all, its subtypes, and what a wheel takes it for."""
    module = vars(inspect.getmodule(Leaf))
    seen_by: dict[str, tuple[str, ...]] = module["SEEN_BY"]
    weak: tuple[str, ...] = module["WEAK_IMU"]
    of: dict[Leaf, str] = module["SUPERCLASS_OF"]
    rows = []
    for t in TYPES:
        mine = [leaf for leaf in LEAVES if leaf.key == t.key]
        felt = dict.fromkeys(of[leaf] for leaf in mine if leaf in of)
        said = "; ".join(
            f"`{name}`" + ("" if len(felt) == 1 else ": " + ", ".join(_subtype(m) for m in mine if of.get(m) == name))
            for name in felt
        )
        marks = ["yes" if s in seen_by[t.key] else "-" for s in ("camera", "laser", "imu", "acoustic")]
        if t.key in weak:
            marks[2] = "weakly"
        number = str(t.number) if t.number <= OF_THE_STANDARD else f"{t.number} (beyond the 16)"
        subtypes = ", ".join(f"`{leaf.subtype}`" for leaf in mine if leaf.subtype)
        rows.append((number, f"`{t.key}`", t.zh, *marks, subtypes, said or "-"))
    return table(("#", "key", "中文", "camera", "laser", "IMU", "sound", "subtypes", "superclass of an IMU"), rows)


def _subtype(leaf: Leaf) -> str:
    return leaf.subtype or "plain"


def superclasses() -> str:
    """What a wheel can tell apart."""
    classes: dict[str, tuple[Leaf, ...]] = vars(inspect.getmodule(Leaf))["SUPERCLASSES"]
    rows = [
        (f"`{name}`", ", ".join(f"`{leaf.key}`" + f" {leaf.subtype}" * bool(leaf.subtype) for leaf in leaves))
        for name, leaves in classes.items()
    ]
    return table(("superclass", "what is in it"), rows)


def model_cards() -> str:
    """What the cards of the shipped models say."""
    digests = model_digests({path.stem: path.stem for path in shipped_models().glob("*.json")})
    rows = []
    for name, digest in digests.items():
        card = json.loads((shipped_models() / f"{name}.json").read_text(encoding="utf-8"))
        counts, trees = card["candidates"], card["trees"]
        rows.append(
            (
                f"`{name}`", ", ".join(f"`{d['name']}`" for d in card["data"]),
                f"{counts['learnt']}, {counts['defects']} of them at defects", str(len(card["features"])),
                " + ".join(str(trees[n]) for n in ("detect", "kinds", "size")), str(len(card["leaves"])),
                f"{card['fire']:.3g}", f"{1000 * card['per_m']:.3g}", f"`{digest[:12]}`",
            )
        )  # fmt: skip
    head = (
        "model", "drives", "candidates learnt from", "features", "trees: defect + kind + height", "kinds it names",
        "finding from p", "candidates on a km of healthy road", "SHA-256 of the card",
    )  # fmt: skip
    return table(head, rows)


def drive_sets() -> str:
    """Simulated drives of training and of the benchmark."""
    from defects.research import CONFUSION_SET, benchmark_sets, training_sets  # noqa: PLC0415

    rows = []
    for device in ("box", "phone"):
        sets = (*training_sets(device), *((CONFUSION_SET,) if device == "box" else ()), *benchmark_sets(device))
        for one in sets:
            use = {"learn": "learnt from", "calibrate": "calibrated on", "judge": "judged on"}[one.name.split("-")[0]]
            rows.append((f"`{one.name}`", use, one.physics, f"`{one.what}`", device, f"{one.km:g}", str(one.seed)))
    return table(("folder", "use", "physics", "roads", "device", "km", "seed"), rows)


def recognition_constants() -> str:
    """Constants of the recogniser and of its training, with their reasons."""
    return named_constants(
        ("defects/gate.py", "TAPS_S"), ("defects/laser.py", "LOST"), ("defects/laser.py", "LOW_MM"),
        ("defects/told.py", "SPEED_EDGES_MPS"), ("defects/recognise.py", "MOST_SURE"),
        ("defects/model.py", "MOST_BYTES"), ("defects/research/train.py", "PER_KM"),
        ("defects/research/measures.py", "APART_S"),
    )  # fmt: skip


# ---------------------------------------------------------------- simulator.md


def simulator_constants() -> str:
    """Constants of the simulator that carry its outcome, with their reasons."""
    return named_constants(
        ("sensors_sim/profile.py", "GD_N0_M3"), ("sensors_sim/profile.py", "EXPONENTS"),
        ("sensors_sim/profile.py", "STEP_M"), ("sensors_sim/profile.py", "PHYSICS_HZ"),
        ("sensors_sim/inertial.py", "BEHIND_M"), ("sensors_sim/receiver.py", "BOX_SIGMA_M"),
        ("sensors_sim/receiver.py", "PHONE_RADIUS_M"), ("sensors_sim/laser.py", "LINE_HZ"),
        ("sensors_sim/laser.py", "NOISE_M"), ("sensors_sim/first.py", "ROUGHNESS_MIX"),
        ("sensors_sim/ground.py", "SPACING_M"), ("sensors_sim/ground.py", "NATURAL_PER_KM"),
        ("sensors_sim/ground.py", "SWERVE_SHARE"), ("sensors_sim/ground.py", "PHONE_HZ"),
        ("sensors_sim/cutting.py", "LEAD_S"), ("sensors_sim/cutting.py", "CONTEXT_S"),
        ("sensors_sim/network.py", "ROUGHNESS"), ("sensors_sim/drivers.py", "SEEN"),
        ("sensors_sim/drivers.py", "RED_LIGHT"), ("sensors_sim/shares.py", "SLAB_S"),
    )  # fmt: skip


def drive_tables() -> str:
    """Columns of the tables of a data folder, and what they mean."""
    found = constants("sensors_sim/dataset.py")
    rows = []
    for name, constant in (("truth.csv.gz", "TRUTH_COLUMNS"), ("trips.csv.gz", "TRIP_COLUMNS")):
        value, why = found[constant]
        columns: tuple[str, ...] = ast.literal_eval(value)
        rows.append((f"`{name}`", ", ".join(f"`{c}`" for c in columns), why))
    return table(("file", "columns", "what they mean"), rows)


def camera_assumed() -> str:
    """What the simulated camera is assumed to report of a red defect by day on a dry road."""
    matrix: dict[str, dict[str, float]] = ast.literal_eval(constants("sensors_sim/sights.py")["CAMERA_CONFUSION"][0])
    rows = []
    for key, said in matrix.items():
        wrong = ", ".join(f"`{k}` {p:.2f}" for k, p in said.items() if k != key)
        rows.append((f"`{key}`", f"{said[key]:.2f}", wrong or "-", f"{1 - sum(said.values()):.2f}"))
    return table(("type", "named right", "taken for", "not reported"), rows)
