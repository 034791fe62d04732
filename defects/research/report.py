"""The page docs/evaluation.md and its plots, out of the figures that `roadcode evaluate` wrote: nothing on it is typed
by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .benchmark import summary
from .extra import research

_TITLES = {
    "phone": "Phone",
    "box": "Box, accelerometer and gyroscope",
    "box_bands": "Box with sound",
    "box_laser": "Box with laser and sound",
}


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _n(value: Any, digits: int = 2) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _recalls(result: Mapping[str, Any]) -> str:
    rows = []
    for name, title in _TITLES.items():
        for physics in ("first", "second"):
            c = result[name][physics]
            r, fixed = c["recall_severe"], c["at_model_threshold"]
            rows.append(
                (
                    title, physics, f"{_n(r['value'])} [{_n(r['low'])}, {_n(r['high'])}]", r["n"],
                    _n(c["recall_yellow"]),
                    _n(c["recall_severe_all_16"]), f"{_n(fixed['recall_severe'])} at {_n(fixed['false_per_km'])}/km",
                    _n(c["look_alikes"]["value"]), _n(c["f1_super"]), _n(c["f1_super_located"]),
                    f"{_n(c['calibration']['ece'], 4)} / {_n(c['calibration']['ece_p10'], 3)}", _n(c["healthy_km"], 0),
                )
            )  # fmt: skip
    head = (
        "device", "physics", "recall, severe", "passes", "yellow", "severe, all 16 types",
        "at the model's own threshold", "look-alikes fire", "F1 of six", "F1, located", "ECE / from .1 on",
        "healthy km",
    )  # fmt: skip
    return _table(head, rows)


def _by(result: Mapping[str, Any], what: str, physics: str = "first") -> str:
    names = sorted({k for n in _TITLES for k in result[n][physics][what]})
    rows = []
    for name in names:
        cells = []
        for n in ("phone", "box", "box_laser"):
            found = result[n][physics][what].get(name)
            cells.append("-" if found is None else f"{_n(found['value'])} ({found['n']})")
        rows.append((name, *cells))
    return _table(("", "phone", "box", "box with laser and sound"), rows)


def _look_alikes(result: Mapping[str, Any]) -> str:
    rows = []
    for physics, said in (("first", "met in training"), ("second", "never met")):
        names = sorted({k for n in ("phone", "box", "box_laser") for k in result[n][physics]["look_alikes"]["by_name"]})
        for name in names:
            cells = []
            for n in ("phone", "box", "box_laser"):
                found = result[n][physics]["look_alikes"]["by_name"].get(name)
                cells.append("-" if found is None else f"{_n(found['value'])} ({found['n']})")
            rows.append((name, said, *cells))
    return _table(("", "", "phone", "box", "box with laser and sound"), rows)


def _confusion(table: Mapping[str, Mapping[str, int]]) -> str:
    names = [n for n in ("hole", "ridge", "step", "dip", "rattle", "rough") if n in table]
    head = ["true \\ said", "hole", "ridge", "step", "dip", "rattle", "rough", "missed"]
    return _table(head, [[n, *(table[n].get(h, 0) for h in head[1:])] for n in names])


def _reliability(result: Mapping[str, Any]) -> str:
    rows = []
    for n in ("phone", "box", "box_laser"):
        for physics in ("first", "second"):
            curve = result[n][physics]["calibration"]["curve"]
            rows.append((_TITLES[n], physics, " · ".join(f"{said:.2f}→{true:.2f}" for said, true, _ in curve)))
    return _table(("device", "physics", "said → true, candidates said to be .02 or more"), rows)


def _baselines(result: Mapping[str, Any]) -> str:
    rows: list[tuple[str, ...]] = []
    for n in ("phone", "box"):
        for b, found in sorted(result[n]["baselines"].items()):
            rows.append((_TITLES[n], b, _n(found["first"]), _n(found["second"])))
        ours = [f"**{_n(result[n][p]['recall_severe']['value'])}**" for p in ("first", "second")]
        rows.append((_TITLES[n], "**ours**", *ours))
    return _table(("device", "detector", "recall, first physics", "recall, second physics"), rows)


def _cost(result: Mapping[str, Any]) -> str:
    rows = []
    for n in ("phone", "box", "box_laser"):
        c = result[n]["cost_us"]
        g = result[n].get("gate", {})
        rows.append(
            (
                _TITLES[n], _n(c["256 at a time"], 1), _n(c["one at a time"], 1), _n(g.get("candidates_per_s")),
                _n(g.get("lost_of_found"), 3), _n(g.get("found_ungated")),
            )
        )
    head = (
        "device", "µs, 256 vehicles", "µs, one vehicle", "candidates a second",
        "lost by the gate, of what is found without", "recall without",
    )  # fmt: skip
    return _table(head, rows)


def _camera(result: Mapping[str, Any]) -> str:
    c = result["camera"]
    rows = [
        (n, _n(one["f1_16"]), _n(one["camera_alone"]), one["things"])
        for n, one in ((n, c[f"passes_{n}"]) for n in (1, 4, 16))
    ]
    return _table(("passes", "F1 of 16, box + laser + camera", "camera alone", "defects"), rows)


def _interval(pair: Any) -> str:
    return f" [{_n(pair[0])}, {_n(pair[1])}]" if pair else ""


def _beside(figures: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_n(value)}" for name, value in figures.items())


def _real(real: Mapping[str, Any] | None) -> str:
    if not real:
        return "Not run here: no recordings were given.\n"
    rows: list[tuple[object, ...]] = []
    if clips := real.get("clips"):
        whole = _n(clips["whole_f1"]) + _interval(clips["whole_interval"])
        rows.append(("Gonzalez, 5 classes, groups apart", "macro F1", whole, _beside(clips["baselines"])))
        crop = _n(clips["crop_f1"]) + _interval(clips["crop_interval"])
        rows.append(("the same, crops of 1.18 s", "macro F1", crop, ""))
        sim_only = _n(real.get("sim_only_gonzalez_f1"))
        rows.append(("learnt from simulated clips alone", "macro F1", sim_only, "prototype .35"))
    if trips := real.get("trips"):
        found = _n(trips["ap"]) + _interval(trips["ap_interval"])
        rows.append(("Pittsburgh, one trip left out", "average precision", found, _beside(trips["baselines"])))
    if drives := real.get("drives"):
        beside = {"all bad": "always_f1", "shuffled in time": "shuffled_f1", "speed alone": "speed_only_f1"}
        found = _n(drives["f1"]) + _interval(drives["f1_interval"])
        known = _beside({name: drives[key] for name, key in beside.items()})
        rows.append(("Meszaros, bad road against the rest", "F1", found, known))
    notes = "".join(f"\n* {note}" for note in real.get("notes", []))
    return _table(("recordings", "figure", "ours", "beside"), rows) + "\n" + notes


def page(result: Mapping[str, Any]) -> str:
    """The page, of what `roadcode evaluate --json` gave: a tree with keys, simulated and real."""
    simulated, real = result["simulated"], result.get("real")
    rows = [
        (f"`{r['key']}`", "-" if r["figure"] is None else r["figure"], r["goal"], r["reached"], r["what"])
        for r in summary(result["keys"])
    ]
    quick = "**A quick run: few drives, wide intervals.** " if simulated["quick"] else ""
    parts = [
        "# How well it sees\n",
        (
            "识别效果评测：模拟道路上的召回率、误报、校准，以及真实记录上的得分。"
            "本页由 `roadcode evaluate` 生成，请勿手改。\n"
        ),
        (
            "Written by `roadcode evaluate --write docs` from [evaluation.json](evaluation.json). "
            f"{quick}Everything but the real recordings is **simulated**: figures compare devices, roads and detectors "
            "with one another; they promise nothing of a street. No simulated drive judged here was learnt from, and "
            "the second physics (own road, vehicles, instruments and look-alikes, written apart) was never learnt from "
            "at all.\n"
        ),
        "## The figures that were asked for\n",
        _table(("key", "figure", "goal", "reached", "what it is"), rows) + "\n",
        (
            "A severe defect is a red one of the six superclasses that a wheel meets at 15 km/h or more; below that "
            "nothing is said. The threshold of each device and physics gives one false alarm a km on its healthy "
            "roads, harmless things among them.\n"
        ),
        "## By device\n", _recalls(simulated) + "\n",
        (
            '95 % intervals by the bootstrap over defects. "Located" is right class among all, the place being known; '
            "the other F1 counts what was not found as missed.\n"
        ),
        "![Said against true](evaluation-reliability.svg)\n",
        "## By class of defect, first physics\n", _by(simulated, "by_class") + "\n",
        "## By class of defect, second physics\n", _by(simulated, "by_class", "second") + "\n",
        "## By speed\n", _by(simulated, "by_speed") + "\n",
        "## By roughness of the road (ISO 8608)\n", _by(simulated, "by_roughness") + "\n",
        "## Harmless things that fire\n", _look_alikes(simulated) + "\n",
        "## What is taken for what, box alone, first physics\n",
        _confusion(simulated["box"]["first"]["confusion"]) + "\n",
        "Phone:\n", _confusion(simulated["phone"]["first"]["confusion"]) + "\n",
        "## Baselines\n", _baselines(simulated) + "\n",
        (
            "At one false alarm a km each: the peak of the vertical acceleration over its running level, and filters "
            "after Eriksson et al. 2008.\n"
        ),
        "## The gate, and what it costs\n", _cost(simulated) + "\n",
        (
            "Cpu per vehicle-second of gate, features and classes, over healthy and damaged road alike; decoding, "
            "positions and evidence are not in it.\n"
        ),
        "## Calibration\n", _reliability(simulated) + "\n",
        "## All 16 types, with a camera (SYNTHETIC)\n", _camera(simulated) + "\n",
        "The camera's confusions are an assumption (`sensors_sim/sights.py`); no real one was measured.\n",
        "## Real recordings\n", _real(real) + "\n",
    ]  # fmt: skip
    return "\n".join(parts)


def plots(result: Mapping[str, Any], folder: Path) -> None:
    """Draws docs/evaluation-reliability.svg. Raises ResearchExtraMissing."""
    research("matplotlib").use("svg")
    plt = research("matplotlib.pyplot")
    plt.rcParams["svg.hashsalt"] = "road-health-code"
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True)
    for axis, name in zip(axes, ("phone", "box", "box_laser"), strict=True):
        axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for physics, colour, mark in (("first", "#0072b2", "o"), ("second", "#d55e00", "s")):
            curve = result["simulated"][name][physics]["calibration"]["curve"]
            said, true = [c[0] for c in curve], [c[1] for c in curve]
            axis.plot(said, true, color=colour, marker=mark, markersize=4, label=f"{physics} physics")
        axis.set_title(_TITLES[name], fontsize=9)
        axis.set_xlabel("said", fontsize=8)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.tick_params(labelsize=7)
    axes[0].set_ylabel("came true", fontsize=8)
    axes[0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(folder / "evaluation-reliability.svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
