"""`roadcode bench`: what this machine can do, part by part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .bench_fusion import bench_fusion
from .bench_ledger import EXAMPLES as EXAMPLES_OF_LEDGER
from .bench_ledger import bench_ledger
from .bench_points import EXAMPLES as EXAMPLES_OF_POINTS
from .bench_points import bench_points
from .bench_scale import EXAMPLES as EXAMPLES_OF_SCALE
from .bench_scale import bench_scale
from .printing import ERR, Json, show
from .printing import settings as given

app = typer.Typer(help="Measure what this machine can do.", no_args_is_help=True)
app.command("fusion")(bench_fusion)
app.command("points", epilog=EXAMPLES_OF_POINTS)(bench_points)


@app.command("parts")
def bench_parts(as_json: Json = False) -> None:
    """The pure parts: addresses, decoding, observing, folding, painting."""
    from ..bench import run_bench  # noqa: PLC0415

    show(run_bench(), as_json, "one core, this machine, now")


@app.command("ingest")
def bench_ingest(
    chunks: Annotated[int, typer.Option(help="5 s chunks of each of 32 devices", min=10)] = 100, as_json: Json = False
) -> None:
    """From publisher to committed, with the services' cpu, beside a peer that stores undecoded payloads; minutes."""
    from ..bench_ingest import run_bench_ingest  # noqa: PLC0415

    figures = run_bench_ingest(given(), ERR.print, chunks, chunks * 5 // 2)
    if as_json:
        print(json.dumps(figures, indent=1))
    else:
        rows = [{"figure": name, "value": json.dumps(value)} for name, value in figures.items()]
        show(rows, False, "us of cpu per vehicle-second")


app.command("scale", epilog=EXAMPLES_OF_SCALE)(bench_scale)


app.command("ledger", epilog=EXAMPLES_OF_LEDGER)(bench_ledger)


@app.command("match")
def bench_match(
    drives: Annotated[int, typer.Option(help="simulated drives of 4 km a receiver", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="of the simulated town and drives")] = 4,
    links: Annotated[
        Path | None, typer.Option(help="a road file with columns dir and road_name; with --traces")
    ] = None,
    traces: Annotated[Path | None, typer.Option(help="CSV of agent_id, time, lng, lat, .gz too")] = None,
    as_json: Json = False,
) -> None:
    """Map matching on a simulated town beside the nearest road; with --links and --traces on real ones too."""
    from .match import measure  # noqa: PLC0415

    measure(drives, seed, links, traces, as_json)
