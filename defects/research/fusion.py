"""`roadcode bench fusion`: how well passes become colours, on drawn streets, beside DBSCAN and counting.

Everything is simulated, and nothing of it comes from the constants of what fuses. Figures are of streets with frozen
seeds (`test`) on which nothing was ever chosen; whoever tunes takes the others (`tune`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import level_of

from ..health import HealthOptions
from ..options import EvidenceOptions
from .fusion_match import Score, clusters, counted, intervals, rates, score, spots
from .fusion_runs import Driven, Fleet, World, exposed, grounds, lane_cells, read_out
from .fusion_stream import streamed
from .streets import LENGTH_M, draw_street

SEEDS = {"tune": 1000, "test": 5000}
"""First seed of each split."""
KEYS: dict[str, str] = {
    "box20_p": "boxes, 20 passes a lane in 5 days: reds that lie on a defect, one to one within 1 m",
    "box20_r": "the same: red defects that an IMU feels and a wheel met, found",
    "mixed50_p": "50 passes a lane, a tenth of them boxes, within 1 m; reds of square metres",
    "mixed50_r": "the same, recall",
    "phone50_p5": "phones alone, 50 passes a lane in 2 days, within 5 m; reds of coarse squares",
    "phone50_r5": "the same, recall",
    "false_reds_per_km": "healthy street with look-alikes, 100 box passes a lane; seven of ten are registered",
    "false_healed": "defects that drivers avoid: red once, green later while still there; 5 box passes a lane and day",
    "days_to_red": "median days from a new defect to red, 5 box passes a lane and day",
    "days_to_green": "median days from a repair to green of all squares that were red, with and without an order",
    "grey_share": "squares of the lanes that are grey after 20 box passes",
    "green_unpassed": "green squares that no sensor able to vouch for them has passed",
}
GOALS: dict[str, tuple[str, float]] = {
    "box20_p": (">=", 0.95), "box20_r": (">=", 0.95), "mixed50_p": (">=", 0.90), "mixed50_r": (">=", 0.90),
    "phone50_p5": (">=", 0.95), "phone50_r5": (">=", 0.95), "false_reds_per_km": ("<=", 0.5),
    "false_healed": ("<=", 0.02), "days_to_red": ("<=", 1.0), "days_to_green": ("<=", 2.0),
    "green_unpassed": ("<=", 0.0),
}  # fmt: skip
GREY_OF = {
    "box20_p": "box20_grey", "box20_r": "box20_grey", "mixed50_p": "mixed50_grey", "mixed50_r": "mixed50_grey",
    "phone50_p5": "phone50_grey", "phone50_r5": "phone50_grey", "false_reds_per_km": "false_reds_per_km_grey",
    "false_healed": "days_grey", "days_to_red": "days_grey", "days_to_green": "days_grey", "grey_share": "box20_grey",
    "green_unpassed": "box20_grey",
}  # fmt: skip
"""The share of grey that stands beside each figure."""


@dataclass(frozen=True)
class Effort:
    """Streets of each scenario, passes of the healthy ones and days of the stream."""

    streets: int
    healthy: int
    healthy_days: int
    streams: int
    stream_days: int


FULL = Effort(streets=20, healthy=10, healthy_days=10, streams=8, stream_days=30)
QUICK = Effort(streets=1, healthy=1, healthy_days=2, streams=1, stream_days=12)


@dataclass(frozen=True)
class Scenario:
    """days of driving; wait: days from the last drive to the read-out (coarse squares are told of when a day is over
    for 48 h); levels whose reds count; side_m: squares of the counting baseline."""

    name: str
    fleet: Fleet
    days: int
    wait: int
    within_m: float
    levels: tuple[int, ...]
    side_m: float


SCENARIOS = (
    Scenario("box20", Fleet(4, 10), 5, 0, 1.0, (0,), 1.0),
    Scenario("mixed50", Fleet(10, 1), 5, 3, 1.0, (0,), 1.0),
    Scenario("phone50", Fleet(25, 0), 2, 3, 5.0, (0, 1, 2), 4.0),
)


def bench_fusion(
    effort: Effort, split: str, evidence: EvidenceOptions, health: HealthOptions, tell: Callable[[str, float], None]
) -> dict[str, Any]:
    """The figures of KEYS with their intervals, baselines and shares of grey, flat. split: of SEEDS. tell: what is at
    work, and how much of all is done. Needs scikit-learn (ResearchExtraMissing)."""
    out: dict[str, Any] = {"split": split, "first_seed": SEEDS[split], "streets": effort.streets, "simulated": True}
    steps = 3 * effort.streets + effort.healthy * 2 + effort.streams * 4
    done = 0

    def step(name: str, weight: int = 1) -> None:
        nonlocal done
        done += weight
        tell(name, done / steps)

    unpassed = untouched = greens = 0
    for number, scenario in enumerate(SCENARIOS):
        tried: dict[str, list[Score]] = {"": [], "dbscan_": [], "count_": [], "count2_": []}
        grey: list[tuple[float, float]] = []
        for i in range(effort.streets):
            rng = np.random.default_rng((SEEDS[split], number, i))
            world, places, shown = _static(rng, scenario, evidence, health)
            last = scenario.days - 1
            hits = np.array(world.hits["box"] + world.hits["phone"]).reshape(-1, 2)
            for name, found in (
                ("", places),
                ("dbscan_", clusters(hits)),
                ("count_", counted(hits, 3, scenario.side_m)),
                ("count2_", counted(hits, 2, scenario.side_m)),
            ):
                tried[name].append(score(world.street, world.met, found, last, scenario.within_m))
            grey.append(_grey(world, shown, min(scenario.levels[-1], 1)))
            if scenario.name == "box20":
                green = shown[shown[:, 1] == 1, 0]
                greens += len(green)
                unpassed += int((~np.isin(green, sorted(exposed(world)))).sum())
                untouched += int((~np.isin(green, sorted(world.rolled))).sum())
            step(scenario.name)
        end = "5" if scenario.within_m == 5.0 else ""
        for name, scores in tried.items():
            found_rates, between = rates(scores), intervals(scores, number)
            for figure, value in found_rates.items():
                if not name or figure in ("p", "r"):
                    out[f"{name}{scenario.name}_{figure}{end}"] = value
                    out[f"{name}{scenario.name}_{figure}{end}_95"] = between[figure]
        out[f"{scenario.name}_grey"] = float(np.mean([g[0] for g in grey]))
        out[f"{scenario.name}_grey_driven"] = float(np.mean([g[1] for g in grey]))
        out[f"{scenario.name}_truth"] = sum(s.met for s in tried[""])
    out["grey_share"] = out["box20_grey"]
    out["green_unpassed"], out["green_untouched_share"] = unpassed, untouched / max(greens, 1)
    out |= _healthy(effort, split, evidence, health, step)
    out |= streamed(effort.streams, effort.stream_days, SEEDS[split], evidence, health, lambda: step("days", 4))
    return out


def _static(
    rng: np.random.Generator, scenario: Scenario, evidence: EvidenceOptions, health: HealthOptions
) -> tuple[World, NDArray[np.float64], NDArray[np.int64]]:
    """A street driven over; places of its reds, and its coloured squares (n, 2): square, and 1 green or 3 other."""
    street = draw_street(rng)
    driven = Driven(rng, street, scenario.fleet, evidence)
    for day in range(scenario.days):
        driven.day(day)
    shown = read_out(driven.world, scenario.days - 1 + scenario.wait, health, grounds(street, "drawn"))
    places = spots(shown.red[np.isin(level_of(shown.red), scenario.levels)])
    bad = np.concatenate([shown.red, shown.yellow])
    coloured = np.concatenate([np.stack([shown.green, np.full(len(shown.green), 1)], 1),
                               np.stack([bad, np.full(len(bad), 3)], 1)])  # fmt: skip
    return driven.world, places, coloured


def _grey(world: World, shown: NDArray[np.int64], level: int) -> tuple[float, float]:
    """Shares of grey among the squares of the lanes, and among those that a wheel rolled over."""
    cells = lane_cells(world.street, level)
    has = np.isin(cells, shown[:, 0])
    if level:
        return float(1 - has.mean()), float(1 - has.mean())
    rolled = np.isin(cells, sorted(world.rolled))
    return float(1 - has.mean()), float(1 - has[rolled].mean())


def _healthy(
    effort: Effort, split: str, evidence: EvidenceOptions, health: HealthOptions, step: Callable[[str, int], None]
) -> dict[str, Any]:
    """False reds of streets with look-alikes and no defect, by what the register knows."""
    out: dict[str, Any] = {}
    km = effort.healthy * LENGTH_M / 1000
    for kind, tenths, level in (("box", 10, (0,)), ("phone", 0, (1, 2))):
        reds = {"drawn": 0, "all": 0, "none": 0}
        base = {"dbscan": 0, "count": 0, "count2": 0}
        grey = []
        for i in range(effort.healthy):
            rng = np.random.default_rng((SEEDS[split], 10 + tenths, i))
            street = draw_street(rng, defects_km=0.0)
            driven = Driven(rng, street, Fleet(10, tenths), evidence)
            for day in range(effort.healthy_days):
                driven.day(day)
            last = effort.healthy_days - 1 + (3 if kind == "phone" else 0)
            for known in reds:
                shown = read_out(driven.world, last, health, grounds(street, known))
                reds[known] += len(spots(shown.red[np.isin(level_of(shown.red), level)]))
                if known == "drawn":
                    coloured = np.concatenate([shown.green, shown.yellow, shown.red])
                    grey.append(1 - float(np.isin(lane_cells(street, min(level[0], 1)), coloured).mean()))
            hits = np.array(driven.world.hits[kind]).reshape(-1, 2)
            side_m = 1.0 if kind == "box" else 4.0
            base["dbscan"] += len(clusters(hits))
            base["count"] += len(counted(hits, 3, side_m))
            base["count2"] += len(counted(hits, 2, side_m))
            step("healthy", 1)
        end = "" if kind == "box" else "_phone"
        out[f"false_reds_per_km{end}"] = reds["drawn"] / km
        out[f"false_reds_per_km_all_registered{end}"] = reds["all"] / km
        out[f"false_reds_per_km_none_registered{end}"] = reds["none"] / km
        for name, n in base.items():
            out[f"{name}_false_reds_per_km{end}"] = n / km
        out[f"false_reds_per_km_grey{end}"] = float(np.mean(grey))
    out["healthy_km"] = km
    return out


def reached(name: str, value: float | None) -> bool | None:
    """Whether a figure reaches its goal; None where there is no goal or no figure."""
    if name not in GOALS or value is None:
        return None
    sign, goal = GOALS[name]
    return value >= goal if sign == ">=" else value <= goal


def summary(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a table: key, figure with its interval, goal, whether it is reached, the share of grey beside it, both
    baselines, and what it is."""
    rows = []
    for name, what in KEYS.items():
        value = figures.get(name)
        sign, goal = GOALS.get(name, ("", float("nan")))
        yes = reached(name, value)
        rows.append(
            {
                "key": name,
                "figure": "never" if value is None else f"{value:.3g}",
                "95 %": "{:.2f}-{:.2f}".format(*figures[f"{name}_95"]) if figures.get(f"{name}_95") else "",
                "goal": f"{sign} {goal:g}" if sign else "",
                "reached": "" if not sign else "yes" if yes else "NO",
                "grey": _shown(figures.get(GREY_OF.get(name, ""))),
                "dbscan": _shown(figures.get(f"dbscan_{name}")),
                "count": _shown(figures.get(f"count_{name}")),
                "what": what,
            }
        )
    return rows


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
