"""`roadcode bench points`: what dishonest drives earn against an honest one."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .printing import ERR, Json, settings, show

EXAMPLES = """\
roadcode bench points

roadcode bench points --devices 20 --json > points.json
"""


def bench_points(
    devices: Annotated[int, typer.Option(help="phones of a farm; of colluding ones up to ten", min=2, max=200)] = 100,
    passes: Annotated[int, typer.Option(help="how often the honest phone drives each lane", min=1, max=8)] = 2,
    seed: Annotated[int, typer.Option(help="the same seed gives the same streets", min=0)] = 1,
    as_json: Json = False,
) -> None:
    """Replays, farms, spoofed places, riders, invented holes, many accounts: the credit of each against one honest
    phone of long standing at the same place on the same day (1 is as much).

    The simulator drives three phones over two streets with defects; the chunks go through the same worker, fold and
    settlement as those of a city, on a PostgreSQL of its own in a temporary folder that goes afterwards. Each scenario
    is settled three times: all who are judged are new, one of them is known, all are. The same seed gives the same
    figures.
    """
    from ..bench_points import run_bench_points  # noqa: PLC0415  (`--help` needs no numpy)

    full = settings()
    figures = run_bench_points(full.read_city(), full.city, devices, passes, seed, ERR.print)
    if as_json:
        print(json.dumps(figures, indent=1))
        return
    rows = figures.pop("scenarios")
    show([{"figure": name, "value": json.dumps(value)} for name, value in figures.items()], False, "SIMULATED")
    table = [
        {"scenario": r["scenario"], "devices": r["devices"], "chunks": r["chunks"],
         "others": r["crowd"], "millibits, new": round(r["nanobits"]["new"] / 1e6, 3),
         **{f"against honest, {h}": n for h, n in r["against_honest"].items()},
         "reasons, new": ", ".join(f"{k} {n}" for k, n in r["reasons"]["new"].items())}
        for r in rows
    ]  # fmt: skip
    show(table, False, "credit of a day")
