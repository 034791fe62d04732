"""`roadcode train`: a model of a kind of device, from simulated drives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .drives import simulator, tell
from .printing import Json, settings, show


def train(
    device: Annotated[str, typer.Argument(help="box or phone")],
    out: Annotated[
        Path | None, typer.Option(help="folder for NAME.npz and NAME.json (default: data folder/models)")
    ] = None,
    drives: Annotated[
        Path | None, typer.Option(help="where simulated drives lie, or are made (default: data folder/drives)")
    ] = None,
    scale: Annotated[
        float, typer.Option(help="share of the usual kilometres; the shipped models have 1", min=0.005, max=10)
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="of the trees")] = 1,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Train a model on simulated drives, calibrate it on others, and write it with its card.

    Needs `make research`. Drives that are missing are simulated first: with --scale 1 that is some 2,000 km and 5 GB
    for boxes, ten minutes or so; training takes as long again. The platform uses the models in defects/models: copy
    both files there to ship them.
    """
    from defects.research import (  # noqa: PLC0415
        DrivesError,
        ResearchExtraMissing,
        TrainOptions,
        trained,
        training_sets,
    )

    if device not in ("box", "phone"):
        raise typer.BadParameter("a device is a box or a phone")
    given = settings(home=home)
    root = drives or given.home / "drives"
    for one in training_sets(device, scale):
        folder = root / one.name
        simulator(
            ["ground", "--out", str(folder), *one.arguments()], folder / "manifest.json", f"{one.name}, {one.km:g} km"
        )
    try:
        path, model, card = trained(
            root, out or given.home / "models", given.read_city(), device, TrainOptions(seed=seed), scale, tell
        )
    except (DrivesError, ResearchExtraMissing) as error:
        tell(str(error))
        raise typer.Exit(1) from None
    learnt = card["candidates"]
    rows: list[dict[str, Any]] = [
        {"what": "card", "value": str(path)},
        {"what": "learnt from", "value": f"{learnt['learnt']} candidates, {learnt['defects']} at defects"},
        {"what": "trees", "value": json.dumps(card["trees"])},
        {"what": "kinds it names", "value": len(model.leaves)},
        {"what": "finding from p", "value": f"{model.fire:.4f}"},
    ]  # fmt: skip
    show(rows, as_json, f"model of a {device}")
