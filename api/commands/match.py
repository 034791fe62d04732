"""`roadcode bench match`: how well map matching finds road, direction and lane."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from ..bench_match import ROWS, simulated
from ..match_traces import RoadFilesMissing, real_traces
from .printing import ERR, OUT, bar, show

_SHOWN = (
    "town", "receiver", "road", "road_nearest", "road_beside", "road_beside_nearest", "direction", "lane_told",
    "lane_right", "route_error", "fixes_per_s",
)  # fmt: skip


def measure(drives: int, seed: int, links: Path | None, traces: Path | None, as_json: bool) -> None:
    """Run it, and print rows a receiver, then figures of the real traces."""
    if (links is None) != (traces is None):
        raise typer.BadParameter("--links and --traces go together: a road file, and traces driven on it")
    with bar() as progress:
        task = progress.add_task("drives matched", total=ROWS)
        rows = simulated(drives, seed, lambda: progress.advance(task))
    real = None
    if links is not None and traces is not None:
        try:
            real = real_traces(links, traces)
        except RoadFilesMissing as error:
            ERR.print(str(error))
            raise typer.Exit(1) from error
    if as_json:
        print(json.dumps({"simulated": rows, "real": real}, ensure_ascii=False, indent=1))
        return
    show([{k: row[k] for k in _SHOWN} for row in rows], False, "shares of fixes away from crossings; one core, now")
    if real is None:
        OUT.print("real traces: give --links and --traces")
    else:
        show([{"figure": k, "value": str(v)} for k, v in real.items()], False, "real traces, whose truth nobody knows")
