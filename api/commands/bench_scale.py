"""`roadcode bench scale`: what evidence costs when a city is large."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .printing import ERR, Json, bar, settings, show

EXAMPLES = """\
roadcode bench scale

roadcode bench scale --sizes 1e5,1e6,1e7 --json > scale.json
"""


def bench_scale(
    sizes: Annotated[str, typer.Option(help="measured squares, from small to large, with commas")] = "1e5,1e6",
    as_json: Json = False,
) -> None:
    """Append, fold, read-out, a day's seal, tiles and stories on cities of different sizes; 1e7 squares take minutes.

    A PostgreSQL of its own runs in a temporary folder and goes afterwards: nothing of yours is touched. 1e7 squares
    take about 1 GB there. Costs are of CPU, so that other work on the machine disturbs them little; rates and times are
    by the clock. `flat_cost_ratio` says how much dearer work is in the largest city than in the smallest.
    """
    from .. import wiring  # noqa: PLC0415  (`--help` needs no numpy)
    from ..bench_scale import run_bench_scale  # noqa: PLC0415

    try:
        wanted = sorted({int(float(one)) for one in sizes.split(",")})
    except ValueError:
        raise typer.BadParameter("give numbers with commas between, such as 1e5,1e6", param_hint="--sizes") from None
    with bar() as progress:
        task = progress.add_task("", total=1.0)
        lines: list[str] = []

        def told(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)
            if not ERR.is_terminal and what not in lines:
                lines.append(what)
                ERR.print(what)

        figures = run_bench_scale(wanted, wiring.health_options(settings()), told)
    if as_json:
        print(json.dumps(figures, indent=1))
        return
    by_size = figures.pop("by_size")
    show([{"figure": name, "value": json.dumps(value)} for name, value in figures.items()], False, "bench scale")
    names = list(by_size[str(wanted[-1])])
    rows = [{"figure": name, **{size: by_size[size].get(name) for size in by_size}} for name in names]
    show(rows, False, "by measured squares")
