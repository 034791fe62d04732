"""`roadcode bench fusion`: how well passes become colours, beside DBSCAN and counting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .drives import simulator, tell
from .printing import ERR, Json, bar, settings, show

_CITY = ("--fleet", "boxes=6", "--hours", "1", "--size", "3", "--density", "60", "--seed", "12", "--days", "3")
_SEEDS = ("test", "tune")


def bench_fusion(
    quick: Annotated[bool, typer.Option("--quick/--full", help="a few streets: seconds (default: --full)")] = False,
    seeds: Annotated[
        str, typer.Option(help="test: frozen, for figures; tune: for whoever changes a constant")
    ] = "test",
    signals: Annotated[
        bool, typer.Option("--signals/--no-signals", help="also a simulated city, from samples to colours (e2e_*)")
    ] = False,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Streets of known truth, driven over by boxes and phones: what turns red, what turns green, how soon, and what
    stays grey; DBSCAN and counting on the same hits. All simulated; needs `make research`.

    Streets lie askew to the grid; defects are felt unequally, some are steered around, open and are repaired while
    passes come in; harmless things lie between them. Seeds are frozen. A few minutes on one core. Exit code 0 whatever
    the figures: what is not reached is said.
    """
    from defects.research import (  # noqa: PLC0415
        FULL_STREETS,
        QUICK_STREETS,
        DrivesError,
        ResearchExtraMissing,
        fusion_summary,
    )
    from defects.research import bench_fusion as bench  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415  (`--help` needs no numpy)

    if seeds not in _SEEDS:
        raise typer.BadParameter("--seeds is test or tune")
    try:
        with bar() as progress:
            task = progress.add_task("streets", total=1.0)
            said: set[str] = set()

            def step(name: str, done: float) -> None:
                progress.update(task, description=name, completed=done)
                if not ERR.is_terminal and name not in said:
                    said.add(name)
                    tell(f"{name}: {100 * done:.0f} % of all is done")

            effort = QUICK_STREETS if quick else FULL_STREETS
            figures = bench(effort, seeds, wiring.EVIDENCE, wiring.HEALTH, step)
        if signals:
            figures |= _signals(home)
    except (DrivesError, ResearchExtraMissing) as error:
        tell(str(error))
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(figures, indent=1))
    else:
        show(fusion_summary(figures), False, "SIMULATED: fusion of passes")


def _signals(home: Path | None) -> dict[str, Any]:
    from defects.research import end_to_end  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    full = settings(home=home)
    folder = full.home / "drives" / "fusion"
    simulator(["simulate", "--city", str(full.city), "--out", str(folder), *_CITY], folder / "manifest.json", "a city")
    return end_to_end(folder, full.read_city(), wiring.EVIDENCE, wiring.HEALTH)
