"""What was really wrong with a simulated city's lanes, and when: the answer beside what its fleet sent."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .life import Life, Spot
from .network import Lane, Network, headings_rad
from .network_file import network_tree
from .plan import Thing

DEFECTS, ROADS = "truth_defects.jsonl", "network.geojson"


def place_deg(network: Network, lane: Lane, s_m: float, y_m: float) -> tuple[float, float]:
    """Longitude and latitude of a point s_m along and y_m left of a lane's middle."""
    at = np.linspace(0.0, lane.length_m, len(lane.line))
    heading = float(np.interp(s_m, at, headings_rad(lane.line)))
    x, y = (float(np.interp(s_m, at, lane.line[:, i])) for i in (0, 1))
    lon, lat = network.place.lonlat(np.array([x - y_m * math.sin(heading), y + y_m * math.cos(heading)]))
    return float(lon), float(lat)


def _moment(t_s: float) -> float | None:
    return round(t_s, 1) if math.isfinite(t_s) else None


def _state(thing: Thing | None) -> dict[str, Any] | None:
    if thing is None:
        return None
    tree = asdict(thing)
    for name in ("s_m", "y_m", "seed"):
        del tree[name]
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in tree.items()}


def damage(network: Network, life: Life, first_s: float, last_s: float) -> Iterator[dict[str, Any]]:
    """A row for each spot that was damaged at any moment between two (unix seconds), in order of their numbers.

    id: as in the column `thing` of the meetings. appeared: of the first state of what was there first in that time;
    states: all of the spot's until the second moment, each with that from which it is (null: always); its thing is null
    where nothing is left, and may be harmless. repaired: moments at which damage ended. coned: from when it is fenced
    off, where it is still there then.
    """
    lanes = {lane.number: lane for lane in network.lanes}
    for spot in life.all_spots:
        if not any(_bad(spot, i) and _during(spot, i, first_s, last_s) for i in range(len(spot.t_s))):
            continue
        lane = lanes[spot.lane]
        road = network.roads[lane.road]
        known = next(t for t in spot.things if t is not None)
        lon, lat = place_deg(network, lane, known.s_m, known.y_m)
        bad = [i for i in range(len(spot.t_s)) if _bad(spot, i)]
        first = next(i for i in bad if _during(spot, i, first_s, last_s))
        while first - 1 in bad:
            first -= 1
        yield {
            "id": str(spot.number),
            "kind": (spot.things[first] or known).kind,
            "lon_deg": round(lon, 8),
            "lat_deg": round(lat, 8),
            "road": road.name,
            "road_zh": road.name_zh,
            "road_class": road.road_class,
            "lane": f"{lane.road}{'+' if lane.forward else '-'}{lane.index}",
            "s_m": round(known.s_m, 3),
            "y_m": round(known.y_m, 3),
            "appeared": _moment(spot.t_s[first]),
            "repaired": [
                _moment(spot.t_s[i + 1])
                for i in bad
                if i + 1 < len(spot.t_s) and i + 1 not in bad and spot.t_s[i + 1] < last_s
            ],
            "states": [
                {"from": _moment(t), "coned": _moment(c), "thing": _state(thing)}
                for t, c, thing in zip(spot.t_s, spot.coned_s, spot.things, strict=True)
                if t < last_s
            ],
        }


def _bad(spot: Spot, state: int) -> bool:
    thing = spot.things[state]
    return thing is not None and not thing.harmless


def _during(spot: Spot, state: int, first_s: float, last_s: float) -> bool:
    over_s = spot.t_s[state + 1] if state + 1 < len(spot.t_s) else math.inf
    return spot.t_s[state] < last_s and over_s > first_s


def write_city(folder: Path, network: Network, life: Life, first_s: float, last_s: float) -> dict[str, Any]:
    """Writes both files; returns their hashes and how many damaged spots there are, for the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps(row, ensure_ascii=False) for row in damage(network, life, first_s, last_s)]
    texts = {
        DEFECTS: "".join(row + "\n" for row in rows),
        ROADS: json.dumps(network_tree(network), ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        part = folder / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / name)
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    return {"damaged_spots": len(rows), "beside": hashes}
