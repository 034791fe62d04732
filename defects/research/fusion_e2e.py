"""The same question asked of signals: chunks of a simulated city through recogniser, evidence and read-out.

Nothing is drawn here but by the simulator's physics, so that what the drawn streets leave out shows: how hits are
timed, which wheel is blamed, how sure the recogniser is. The models learnt on the same family of physics, which
flatters them.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import Zone, cells_of_block, level_of, project, traces
from ingest import City

from ..code import Colour
from ..evidence import merge
from ..health import HealthOptions
from ..listening import listen
from ..observe import observe
from ..options import EvidenceOptions
from ..planes import PASSES
from ..recode import fold_in, recode
from .drives import chunks_of, driven_km
from .fusion_match import spots
from .streets import DEFECTS

WITHIN_M = 1.0
_BATCH = 128
_HEAR_MPS = 15 / 3.6


def end_to_end(folder: Path, city: City, evidence: EvidenceOptions, health: HealthOptions) -> dict[str, Any]:
    """e2e_p, e2e_r (grave defects that a wheel met at 15 km/h or more) within a metre of the outline, taken as a
    circle; e2e_r_3: of those met three times or more; false reds a km driven, and what they lie on; share of grey among
    squares rolled over. The folder is of `roadcode simulate --out`; boxes only. Raises DrivesError."""
    zone = Zone(city.utm_zone, city.utm_north)
    taken: dict[date, list[Any]] = defaultdict(list)
    batch: list[Any] = []
    slots: dict[str, int] = {}

    def heard() -> None:
        kinds = [kind for _, kind, _ in batch]
        chunks = [chunk for _, _, chunk in batch]
        ways = traces(chunks, city, evidence.fixes)
        for (device, kind, chunk), way, told in zip(batch, ways, listen(chunks, kinds, ways, evidence), strict=True):
            slot = 1 << slots.setdefault(device, len(slots)) % 63
            seen = observe(chunk, kind, slot, city, evidence, 1.0, way, told)
            taken[city.service_day(chunk.start_s)].append(seen.deltas)
        batch.clear()

    for one in chunks_of(folder):
        if one[1] == "box":
            batch.append(one)
        if len(batch) == _BATCH:
            heard()
    if batch:
        heard()
    days: dict[int, dict[date, Any]] = defaultdict(dict)
    for (block, day), said in fold_in({d: [merge(parts)] for d, parts in taken.items()}, {}).items():
        days[block][day] = said
    codes = recode(set(days), days, max(taken), health)
    red, coloured, rolled = [], 0, 0
    for block, code in codes.items():
        passed = np.zeros(len(code), dtype=bool)
        for said in days[block].values():
            passed |= said.plane(PASSES) > 0
        if int(level_of(block)) == 0:
            red.append(cells_of_block(block)[code["colour"] == Colour.RED])
            rolled += int(passed.sum())
            coloured += int((passed & (code["colour"] != Colour.GREY)).sum())
    places = spots(np.concatenate(red) if red else np.empty(0, np.int64))
    return _scored(places, _things(folder, zone), driven_km(folder)) | {"e2e_grey": 1 - coloured / max(rolled, 1)}


def _things(folder: Path, zone: Zone) -> dict[str, dict[str, Any]]:
    """What lay on the driven lanes: place, radius, grade, whether it is a defect, and how often a wheel met it."""
    things: dict[str, dict[str, Any]] = {}
    with gzip.open(folder / "truth.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["what"] == "act":
                continue
            x, y = project(float(row["lon_deg"]), float(row["lat_deg"]), zone)
            one = things.setdefault(
                row["thing"],
                {
                    "x": float(x),
                    "y": float(y),
                    "radius": 0.0,
                    "grade": 0,
                    "kind": row["kind"],
                    "defect": False,
                    "met": 0,
                },
            )
            one["radius"] = max(one["radius"], float(row["length_m"]) / 2, float(row["width_m"]) / 2)
            one["grade"] = max(one["grade"], int(row["grade"]))
            one["defect"] |= row["what"] == "defect"
            one["met"] += row["wheels"] not in ("none", "") and float(row["speed_mps"]) >= _HEAR_MPS
    return things


def _scored(places: NDArray[np.float64], things: dict[str, dict[str, Any]], km: float) -> dict[str, Any]:
    names = sorted(things)
    pairs = []
    for name in names:
        one = things[name]
        if one["defect"] and len(places):
            away = np.maximum(np.hypot(places[:, 0] - one["x"], places[:, 1] - one["y"]) - one["radius"], 0.0)
            pairs += [(float(away[i]), int(i), name) for i in np.flatnonzero(away <= WITHIN_M)]
    right: dict[int, str] = {}
    for _, i, name in sorted(pairs):
        if i not in right and name not in right.values():
            right[i] = name
    found = set(right.values())
    grave = [n for n in names if things[n]["defect"] and things[n]["grade"] == 2 and _felt(things[n]["kind"])]
    met = [n for n in grave if things[n]["met"] >= 1]
    often = [n for n in grave if things[n]["met"] >= 3]
    on: dict[str, int] = defaultdict(int)
    for i in sorted(set(range(len(places))) - set(right)):
        away = [
            (float(np.hypot(places[i, 0] - o["x"], places[i, 1] - o["y"])) - o["radius"], o["kind"])
            for o in things.values()
        ]
        near = min(away, default=(np.inf, ""))
        on[near[1] if near[0] <= 2 * WITHIN_M else "nothing"] += 1
    return {
        "e2e_p": len(right) / len(places) if len(places) else None,
        "e2e_r": len(found & set(met)) / len(met) if met else None,
        "e2e_r_3": len(found & set(often)) / len(often) if often else None,
        "e2e_truth": len(met),
        "e2e_meetings": float(np.median([things[n]["met"] for n in met])) if met else None,
        "e2e_false_reds_per_km_driven": (len(places) - len(right)) / km,
        "e2e_false_on": dict(on),
        "e2e_km_driven": km,
    }


def _felt(kind: str) -> bool:
    return kind in DEFECTS and DEFECTS[kind].felt
