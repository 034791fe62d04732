"""`python -m sensors_sim signatures`: what each type of defect, and what looks like one, feels like; as a drawing."""

from __future__ import annotations

import argparse
import importlib
import io
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from defects import TYPES

from .catalogue import draw_defect, draw_look_alike
from .first import LOOK_ALIKES, ride
from .plan import WAY_HZ, Plan, Series, Stretch, Thing, Way, Wheels
from .truth import LANE_M

G_MPS2 = 9.81
SHOWN_M = (-4.0, 8.0)
"""Of the front axle, from a thing's middle. The rear axle comes a wheelbase later, and the body needs some metres to
come to rest; more would flatten the peaks."""
LEAST_G = 0.1
"""Half a panel's least height: smaller, and the noise of a smooth road fills the panels of what cannot be felt."""
_MIDDLE_M = 60.0
_COLUMNS = 6
_WHEELS = Wheels(0.78, 2.7, 0.205)
_WIDE_M = 1.6  # what is wider is met by both wheels


_SHORT = re.compile(r"\d+\.\d{2,}")


def _shorter(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


class PlotExtraMissing(RuntimeError):
    """matplotlib is not installed; the text says how to get it."""


def examples(seed: int) -> list[tuple[str, Thing]]:
    """A severe one of each type and one of each look-alike, by name."""
    found = []
    for number, kind in enumerate((*(t.key for t in TYPES[:16]), *LOOK_ALIKES)):
        rng = np.random.default_rng([seed, 70, number])
        thing = draw_look_alike(rng, kind) if kind in LOOK_ALIKES else draw_defect(rng, kind, 2, LANE_M)
        name = kind.replace("_", " ") + (f", {thing.subtype.replace('_', ' ')}" if thing.subtype else "")
        found.append((name, replace(thing, s_m=_MIDDLE_M)))
    return found


def felt(thing: Thing, kmh: float, device: str, seed: int) -> tuple[Series, Series]:
    """Metres from the thing's middle, and acceleration along the vertical less gravity, in g, of one pass in a sedan on
    a smooth straight road: the left wheels over the middle of the thing, both where it is wide. A phone's vertical is
    the mean direction of what it measures."""
    v = kmh / 3.6
    t = np.arange(round(2 * _MIDDLE_M / v * WAY_HZ)) / WAY_HZ
    s, still = v * t, np.zeros(len(t))
    y_m = 0.0 if thing.width_m > _WIDE_M else thing.y_m - _WHEELS.half_track_m
    way = Way(1.79e9, s, still + v, still + y_m, s, still + y_m, still + 90.0)
    rate = 200.0 if device == "box" else 50.0
    stretch = Stretch(2 * _MIDDLE_M, "A", seed, (thing,))
    done = ride(Plan(stretch, way, "car", "sedan", _WHEELS, device, rate, device_seed=seed, pass_seed=seed))
    acc = done.acc_counts * done.acc_scale_mps2
    up = acc.mean(axis=0)
    vertical = (acc @ up / np.linalg.norm(up) / G_MPS2 - 1.0).astype(np.float64)
    at = np.asarray(v * np.arange(len(acc)) / rate - _MIDDLE_M, dtype=np.float64)
    shown = (at >= SHOWN_M[0]) & (at <= SHOWN_M[1])
    return at[shown], vertical[shown]


def draw(path: Path, kmh: float, seed: int) -> None:
    """Writes the drawing as SVG; the same arguments give the same bytes. Raises PlotExtraMissing."""
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
        figure_of: Any = importlib.import_module("matplotlib.figure").Figure
    except ImportError:
        raise PlotExtraMissing("drawing needs matplotlib: run `make research`, or pip install matplotlib") from None
    things = examples(seed)
    rows = -(-len(things) // _COLUMNS)
    looks = {
        "svg.hashsalt": "road health code", "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 8,
        "path.simplify": True, "path.simplify_threshold": 0.2, "axes.linewidth": 0.5, "axes.edgecolor": "#888888",
    }  # fmt: skip
    with matplotlib.rc_context(looks):
        figure = figure_of(figsize=(2.1 * _COLUMNS, 1.65 * rows))
        axes = figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True)
        for (name, thing), panel in zip(things, axes.flat, strict=False):
            for device, colour, width in (("phone", "#d95f02", 1.0), ("box", "#1b4f8a", 0.9)):
                at, g = felt(thing, kmh, device, seed)
                panel.plot(np.round(at, 2), np.round(g, 3), color=colour, linewidth=width, label=device)
            reach = max(LEAST_G, 1.1 * max(float(np.abs(line.get_ydata()).max()) for line in panel.lines))
            half = min(thing.length_m / 2, -SHOWN_M[0])
            panel.axvspan(-half, min(thing.length_m / 2, SHOWN_M[1]), color="#d0d0d0" if thing.harmless else "#f4c9c4")
            panel.set(xlim=SHOWN_M, ylim=(-reach, reach), xticks=[-4, 0, 4, 8])
            panel.set_yticks([-round(reach, 2), 0, round(reach, 2)])
            panel.set_title(name, fontsize=8, color="#666666" if thing.harmless else "black")
            panel.tick_params(length=2, labelsize=7)
        for panel in axes.flat[len(things) :]:
            panel.set_axis_off()
        axes.flat[0].legend(loc="upper right", fontsize=6, frameon=False, handlelength=1.2)
        figure.supxlabel(
            "vertical acceleration less gravity, g, against the front axle's metres from the thing's middle; "
            f"a sedan at {kmh:g} km/h, one severe example each (simulated)",
            fontsize=8,
        )
        figure.tight_layout(pad=0.6)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    # A tenth of a point is as fine as screens are; six digits, and a line for each point, double the file.
    text = re.sub(r'"[^"]*"', lambda value: _SHORT.sub(_shorter, value[0]), drawn.getvalue())  # labels stay as they are
    text = re.sub(r" ?\nL ", "L", re.sub(r"\n +", "\n", text))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sensors_sim signatures",
        description="Draws what a box (200 Hz) and a phone (50 Hz) feel when a sedan meets a severe defect of each of "
        "the 16 types, and each look-alike. Shaded: the thing, red a defect, grey harmless. Panels differ in height.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the SVG file")
    parser.add_argument("--kmh", type=float, default=40.0, help="speed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="draws the examples (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not 5 <= options.kmh <= 100 or options.seed < 0:
        parser.error("--kmh lies from 5 to 100; --seed is 0 or more")
    try:
        draw(options.out, options.kmh, options.seed)
    except (PlotExtraMissing, OSError) as error:
        sys.stderr.write(f"signatures: {error}\n")
        return 2
    return 0
