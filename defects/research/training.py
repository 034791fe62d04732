"""From folders of simulated drives to a model with its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ingest import City

from ..gate import GATE_BOX, GATE_PHONE
from ..model import Model, save
from .drives import Candidates, DrivesError, candidates_of, manifest_of
from .evaluate import CONFIGURATIONS
from .extra import research
from .sets import DriveSet, training_sets
from .train import FALSE_PER_KM, PER_KM, TrainOptions, raise_gate, train

LIMITS = (
    (
        "Learnt from simulated drives alone: no real defect was ever labelled for it. A likelihood ratio is true of "
        "the simulator's world, and is cut at e^8 either way."
    ),
    "Says nothing below 15 km/h. What a device's senses cannot see is not among its answers (`defects/taxonomy.py`).",
    "An accelerometer tells six classes apart, not sixteen: pothole from sunken cover is a guess.",
    "Harmless things of kinds that it has never met fire as often as defects of their shape do.",
)  # fmt: skip


def checked(root: Path, wanted: DriveSet) -> Path:
    """The folder of a set below ``root``. Raises DrivesError where it is missing, altered, or of other arguments than
    the set's."""
    folder = root / wanted.name
    said = manifest_of(folder).get("arguments")
    arguments = said if isinstance(said, dict) else {}
    if (arguments.get("seed"), arguments.get("physics"), arguments.get("what"), arguments.get("device")) != (
        wanted.seed, wanted.physics, wanted.what, wanted.device,
    ) or float(arguments.get("km", 0)) < wanted.km * 0.999:  # fmt: skip
        raise DrivesError(f"{folder} was made with other arguments than {' '.join(wanted.arguments())}: remove it")
    return folder


def trained(
    root: Path, out: Path, city: City, device: str, options: TrainOptions, scale: float, tell: Callable[[str], None]
) -> tuple[Path, Model, dict[str, Any]]:
    """Trains the model of a kind of device from the sets below ``root`` and writes it to ``out``; gives the card's
    path, the model and the card. Raises DrivesError and ResearchExtraMissing."""
    gate = GATE_BOX if device == "box" else GATE_PHONE
    sets = training_sets(device, scale)
    names = ("phone",) if device == "phone" else ("box", "box_bands", "box_laser")
    lessons: list[tuple[Candidates, tuple[str, ...]]] = []
    calibration: list[tuple[Candidates, tuple[str, ...]]] = []
    healthy: list[tuple[Candidates, tuple[str, ...]]] = []
    data = []
    for one in sets:
        folder = checked(root, one)
        manifest = (folder / "manifest.json").read_bytes()
        digest = hashlib.sha256(manifest).hexdigest()
        data.append({"name": one.name, "arguments": one.arguments(), "manifest_sha256": digest})
        for name in names:
            _, strip, senses = CONFIGURATIONS[name]
            if name == "box_bands" and not one.name.startswith("learn"):
                continue
            tell(f"candidates of {one.name}" + (f" as {name}" if device == "box" else ""))
            found = candidates_of(folder, city, gate, strip, silence=one.what == "healthy")
            if one.name.startswith("learn"):
                lessons.append((found, senses))
            elif one.what == "healthy":
                healthy.append((found, senses))
            else:
                calibration.append((found, senses))
    model = train(device, gate, lessons, calibration, healthy, options, tell)
    model = raise_gate(model, calibration, healthy, options.gate, options)
    carrier = "box on a vehicle" if device == "box" else "phone in a vehicle"
    card = {
        "about": f"what a {carrier} feels: defect or not, which, how deep",
        "data": data,
        "options": json.loads(json.dumps(asdict(options))),
        "candidates": {
            "learnt": sum(len(c.label) for c, _ in lessons),
            "defects": sum(int((c.label >= 0).sum()) for c, _ in lessons),
        },
        "natural_defects_per_km": PER_KM,
        "false_findings_per_km": FALSE_PER_KM,
        "trees": {n: len(getattr(model, n).root) for n in ("detect", "kinds", "size")},
        "numpy": np.__version__,
        "sklearn": _version(),
        "limits": list(LIMITS),
    }
    return save(out, device, model, card), model, card


def _version() -> str:
    return str(research("sklearn").__version__)
