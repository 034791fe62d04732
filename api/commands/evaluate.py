"""`roadcode evaluate`: the benchmark on simulated roads and on real recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .drives import simulator, tell
from .printing import Json, settings, show

EXAMPLES = """\
roadcode evaluate --quick

roadcode evaluate --real recordings --json > evaluation.json

roadcode evaluate --only real --real-train recordings --real-test others --json
"""


def evaluate(
    quick: Annotated[
        bool | None,
        typer.Option(
            "--quick/--full", help="a seventh of the kilometres (default: --full; with --real-train: --quick)"
        ),
    ] = None,
    real: Annotated[
        Path | None, typer.Option(help="folder of real recordings, cross-validated [ROADCODE_RECORDINGS]")
    ] = None,
    real_train: Annotated[Path | None, typer.Option(help="fit on the recordings of this folder ...")] = None,
    real_test: Annotated[Path | None, typer.Option(help="... and score those of this one, laid out alike")] = None,
    only: Annotated[str | None, typer.Option(help="real or simulated: leave the other part out")] = None,
    models: Annotated[
        Path | None, typer.Option(help="folder of box.json and phone.json (default: those shipped)")
    ] = None,
    drives: Annotated[
        Path | None, typer.Option(help="where simulated drives lie, or are made (default: data folder/drives)")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="also write evaluation.json, evaluation.md and plots here")] = None,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Judge the models: recall at one false alarm a km, look-alikes, classes, calibration, cost; and real recordings.

    Seeds are frozen. Needs `make research`. Drives that are missing are simulated first: some 8 GB, and half an hour in
    all on two cores; with --quick 1.5 GB and some minutes. Exit code 0 whatever the figures: what is not reached is
    said.
    """
    from defects.research import (  # noqa: PLC0415
        DrivesError,
        RealDataError,
        ResearchExtraMissing,
        keys,
        page,
        plots,
        summary,
    )

    if only not in (None, "real", "simulated"):
        raise typer.BadParameter("--only is real or simulated")
    if (real_train is None) != (real_test is None):
        raise typer.BadParameter("--real-train and --real-test go together")
    given = settings(home=home)
    root = drives or given.home / "drives"
    named = real or given.recordings
    short = quick if quick is not None else real_train is not None
    result: dict[str, Any] = {}
    try:
        if only != "simulated" and (real_train or named):
            result["real"] = _real(real_train or named, real_test, root, short)
        if only != "real":
            result["simulated"] = _simulated(given.read_city(), root, models, short)
    except (DrivesError, RealDataError, ResearchExtraMissing) as error:
        tell(str(error))
        raise typer.Exit(1) from None
    result["keys"] = keys(result.get("simulated"), result.get("real"))
    if write is not None:
        if "simulated" not in result:
            raise typer.BadParameter("--write needs the simulated part: leave --only out")
        write.mkdir(parents=True, exist_ok=True)
        (write / "evaluation.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        (write / "evaluation.md").write_text(page(result), encoding="utf-8")
        plots(result, write)
    if as_json:
        print(json.dumps({**result["keys"], **result}, ensure_ascii=False, indent=1))
        return
    show(summary(result["keys"]), False, "simulated and real roads")


def _real(train: Path | None, test: Path | None, root: Path, quick: bool) -> dict[str, Any]:
    from defects.research import FULL, QUICK, score_real, sim_only  # noqa: PLC0415

    if train is None:
        raise typer.BadParameter("say where recordings are: --real FOLDER")
    tell(f"real recordings: {train}" + (f", scored on {test}" if test else ", cross-validated"))
    scores = score_real(train, test, 1, QUICK if quick else FULL)
    out = scores.as_json()
    if scores.leak:
        tell("LEAK: recordings of the test are among those that were learnt from")
    if scores.clips is not None:
        clips = root / "clips.csv.gz"
        simulator(
            ["clips", "--out", str(clips), "--per-class", "300", "--seed", "1"], clips, "clips of five kinds of road"
        )
        out["sim_only_gonzalez_f1"] = sim_only(clips, test or train)
    return out


def _simulated(city: Any, root: Path, models: Path | None, quick: bool) -> dict[str, Any]:
    from defects import load_model, shipped_models  # noqa: PLC0415
    from defects.research import benchmark, benchmark_sets, camera_sets  # noqa: PLC0415

    for one in (*benchmark_sets("phone", quick), *benchmark_sets("box", quick), *camera_sets(quick)):
        folder = root / one.name
        simulator(
            ["ground", "--out", str(folder), *one.arguments()], folder / "manifest.json", f"{one.name}, {one.km:g} km"
        )
    where = models or shipped_models()
    return benchmark(root, city, {k: load_model(where / f"{k}.json") for k in ("box", "phone")}, quick, tell)
