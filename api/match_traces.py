"""Map matching on real traces and a real road file, of which nobody knows the truth: how well it agrees with itself."""

from __future__ import annotations

import csv
import gzip
import io
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import Matched, MatchOptions, RoadNet, Section, Zone, match, nearest_sections, project, road_net

SIGMA_M = 28.0
"""Of the cars' fixes, which state none: measured, what is left across the road matched. 10 m leaves a third of the way
unmatched."""
_OPTIONS = MatchOptions(lasts_s=1.0)
"""And what is left of one fix says nothing of the next (measured: correlation below .05), unlike receivers' errors."""
WIDTH_M = 9.0
"""Of a link, which says none: each of the file's links is a carriageway (assumed)."""
GAP_S = 120.0

Trace = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Times (s), x and y (m) of one device's fixes."""


class RoadFilesMissing(RuntimeError):
    """The road file cannot be read here; the text says what to install or to give."""


def read_links(path: Path, zone: Zone) -> list[Section]:
    """A section a link of the file (columns dir, road_name; WGS 84): 1 is one-way along the drawing, 0 both ways."""
    try:
        import geopandas  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise RoadFilesMissing("reading road files needs geopandas: run `make roads`") from error
    if not path.exists():
        raise RoadFilesMissing(f"{path} does not exist: give the road file with --links")
    table = geopandas.read_file(path).to_crs("EPSG:4326")
    found = []
    for number, (line, way, name) in enumerate(
        zip(table.geometry, table["dir"], table["road_name"], strict=True), start=1
    ):
        lon, lat = np.array(line.coords)[:, :2].T
        x, y = project(lon, lat, zone)
        length = float(np.hypot(np.diff(x), np.diff(y)).sum())
        found.append(
            Section(
                number, str(number), str(name or ""), str(name or ""), "unknown", WIDTH_M, False, 0, int(way) == 1, "",
                "", x, y, 0.0, length,
            )
        )  # fmt: skip
    return found


def _text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")


def read_traces(path: Path, zone: Zone) -> list[Trace]:
    """Times (s), x, y (m) of each agent of a CSV with agent_id, time, lng, lat (WGS 84), sorted by time."""
    rows = list(csv.DictReader(io.StringIO(_text(path))))
    agents: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows:
        t = datetime.fromisoformat(row["time"] + "+08:00").timestamp()
        agents.setdefault(row["agent_id"], []).append((t, float(row["lng"]), float(row["lat"])))
    found: list[Trace] = []
    for fixes in agents.values():
        t_s, lon, lat = np.array(sorted(fixes)).T
        found.append((t_s, *project(lon, lat, zone)))
    return found


def _matched(net: RoadNet, trace: Trace, every: int = 1) -> Matched:
    t, x, y = (column[::every] for column in trace)
    return match(net, t, x, y, np.full(len(t), SIGMA_M), options=_OPTIONS)


def _returns(sections: NDArray[np.int64]) -> int:
    """How often a sequence leaves a section and comes back to it at once: A B A, which few drivers do."""
    kept = sections[np.append(True, sections[1:] != sections[:-1])]
    return int(np.count_nonzero((kept[2:] == kept[:-2]) & (kept[2:] > 0) & (kept[1:-1] > 0)))


def real_traces(links: Path, traces: Path) -> dict[str, Any]:
    """What can be said without truth. matched: share of fixes; continuous: of the straight way between fixes at most
    GAP_S apart, what a chain bridges; lateral_m: from the axis; returns_per_100: A-B-A among 100 fixes;
    held_out_K: where only every K-th fix is matched, share of the fixes between whose section (as matched with all) is
    on the way found; nearest_held_out_K: the same where that way is only the two ends' nearest sections."""
    if not traces.exists():
        raise RoadFilesMissing(f"{traces} does not exist: give the traces with --traces")
    first = next(csv.DictReader(io.StringIO(_text(traces))))
    zone = Zone(math.floor((float(first["lng"]) + 180) / 6) + 1, float(first["lat"]) >= 0)
    net = road_net(read_links(links, zone))
    given = read_traces(traces, zone)
    found = [_matched(net, trace) for trace in given]
    near = [nearest_sections(net, trace[1], trace[2], 120.0) for trace in given]
    fixes = sum(len(trace[0]) for trace in given)
    bridged = straight = 0.0
    for m, (t, x, y) in zip(found, given, strict=True):
        step = np.hypot(np.diff(x), np.diff(y)) * (np.diff(t) <= GAP_S)
        straight += float(step.sum())
        bridged += float(step[(m.chain[1:] == m.chain[:-1]) & (m.chain[1:] >= 0)].sum())
    on = np.concatenate([m.section > 0 for m in found])
    apart = np.abs(np.concatenate([m.lateral_m for m in found]))[on]
    alike = np.concatenate([m.section == n[0] for m, n in zip(found, near, strict=True)])
    nearest_apart = np.concatenate([n[1] for n in near])
    figures: dict[str, Any] = {
        "links": len(net.number), "traces": len(given), "fixes": fixes, "matched": round(float(on.mean()), 4),
        "continuous": round(bridged / straight, 4),
        "chains": sum(int(m.chain.max()) + 1 for m in found),
        "lateral_median_m": round(float(np.median(apart)), 2),
        "lateral_95_m": round(float(np.quantile(apart, 0.95)), 2),
        "nearest_median_m": round(float(np.median(nearest_apart)), 2),
        "nearest_95_m": round(float(np.quantile(nearest_apart, 0.95)), 2),
        "probability": round(float(np.concatenate([m.probability for m in found])[on].mean()), 4),
        "same_as_nearest": round(float(alike.mean()), 4),
        "returns_per_100": round(100 * sum(_returns(m.section) for m in found) / fixes, 2),
        "nearest_returns_per_100": round(100 * sum(_returns(n[0]) for n in near) / fixes, 2),
    }  # fmt: skip
    for every in (2, 4, 6):
        kept, on_way, by_ends = 0, 0, 0
        for m, n, trace in zip(found, near, given, strict=True):
            sparse = _matched(net, trace, every)
            for i in np.flatnonzero(m.section > 0).tolist():
                end = i // every + 1
                if i % every == 0 or end >= len(sparse.section):
                    continue
                kept += 1
                on_way += int(m.section[i]) in sparse.way_to(end)
                by_ends += int(n[0][i]) in (n[0][end * every], n[0][(end - 1) * every])
        figures[f"held_out_{every}"] = round(on_way / kept, 4)
        figures[f"nearest_held_out_{every}"] = round(by_ends / kept, 4)
    return figures
