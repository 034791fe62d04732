"""What was found against what was there: reds as spots, one-to-one matches, intervals, and the two baselines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grid import column_row, level_of, side_m

from .extra import research
from .streets import Street, Thing, grave, passable

Series = NDArray[np.float64]
DBSCAN_M, DBSCAN_LEAST = 3.0, 3


@dataclass(frozen=True)
class Score:
    """Counts of one street. spots: things found; right: those that are defects of any kind and severity. met,
    met_found: grave defects (`streets.grave`) that a wheel rolled over in the run, and those found. within,
    within_found: the same of all that lie where a wheel may pass (`streets.passable`), met or not. defects,
    defects_found: all."""

    spots: int
    right: int
    met: int
    met_found: int
    within: int
    within_found: int
    defects: int
    defects_found: int


def spots(cells: NDArray[np.int64]) -> Series:
    """Squares that touch as one spot: mean of their middles, float64 (n, 2), metres of the zone. Squares of several
    levels may be given: a coarse one that holds a spot of finer ones is that spot, and no other."""
    out: list[tuple[float, float]] = []
    for level in (0, 1, 2):
        side = float(side_m(int(cells[level_of(cells) == level][0]))) if (level_of(cells) == level).any() else 0.0
        column, row = column_row(cells[level_of(cells) == level])
        left = set(zip(column.tolist(), row.tolist(), strict=True))
        finer = list(out)
        while left:
            group = [left.pop()]
            for c, r in group:
                near = {(c + i, r + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
                left -= near
                group += sorted(near)
            x = (np.mean([c for c, _ in group]) + 0.5) * side
            y = (np.mean([r for _, r in group]) + 0.5) * side
            if not any(abs(a - x) <= side and abs(b - y) <= side for a, b in finer):
                out.append((float(x), float(y)))
    return np.array(sorted(out)).reshape(-1, 2)


def away_m(street: Street, places: Series, thing: Thing) -> Series:
    """Distance of places (n, 2) from a thing's outline, (n,), 0 within it."""
    s, y = street.along(places[:, 0], places[:, 1])
    return np.hypot(
        np.maximum(np.abs(s - thing.s_m) - thing.long_m / 2, 0), np.maximum(np.abs(y - thing.y_m) - thing.wide_m / 2, 0)
    )


def match(street: Street, places: Series, there: list[Thing], within_m: float) -> dict[int, int]:
    """Places to things, one to one, the nearest pairs first: index of the place -> index of the thing."""
    pairs = []
    for k, thing in enumerate(there):
        away = away_m(street, places, thing) if len(places) else np.empty(0)
        pairs += [(float(away[i]), int(i), k) for i in np.flatnonzero(away <= within_m)]
    taken: dict[int, int] = {}
    used: set[int] = set()
    for _, i, k in sorted(pairs):
        if i not in taken and k not in used:
            taken[i] = k
            used.add(k)
    return taken


def score(street: Street, met: set[int], places: Series, day: int, within_m: float) -> Score:
    """The score of places found on a day; met: numbers of the things that a wheel rolled over. A red on a defect that
    is only yellow is no false one; a red on what is harmless is."""
    there = [k for k, t in enumerate(street.things) if not t.harmless and t.there(day)]
    matched = match(street, places, [street.things[k] for k in there], within_m)
    found = {there[k] for k in matched.values()}
    bad = {k for k in there if grave(street.things[k])}
    reached = {k for k in bad if passable(street.things[k])}
    return Score(
        spots=len(places), right=len(matched), met=len(bad & met), met_found=len(bad & met & found),
        within=len(reached), within_found=len(reached & found), defects=len(there), defects_found=len(found),
    )  # fmt: skip


def rates(scores: list[Score]) -> dict[str, float | None]:
    """Of several streets: precision p, and that against red truth alone; recall r over grave defects that a wheel met,
    over all that one may meet, and over all defects of any kind."""

    def share(top: str, below: str) -> float | None:
        n = sum(int(getattr(s, below)) for s in scores)
        return sum(int(getattr(s, top)) for s in scores) / n if n else None

    return {
        "p": share("right", "spots"),
        "r": share("met_found", "met"),
        "p_red_truth": share("met_found", "spots"),
        "r_passable": share("within_found", "within"),
        "r_all_defects": share("defects_found", "defects"),
    }


def intervals(scores: list[Score], seed: int, times: int = 500) -> dict[str, list[float] | None]:
    """95 % intervals of `rates` by drawing streets with replacement."""
    rng = np.random.default_rng(seed)
    drawn = [rates([scores[i] for i in rng.integers(len(scores), size=len(scores))]) for _ in range(times)]
    out: dict[str, list[float] | None] = {}
    for name in drawn[0]:
        values = [d[name] for d in drawn]
        known = [v for v in values if v is not None]
        out[name] = [round(float(q), 4) for q in np.percentile(known, (2.5, 97.5))] if known else None
    return out


def clusters(hits: Series) -> Series:
    """Middles (n, 2) of DBSCAN's clusters of hits (m, 2). Needs scikit-learn (ResearchExtraMissing)."""
    if len(hits) < DBSCAN_LEAST:
        return np.empty((0, 2))
    labels = research("sklearn.cluster").DBSCAN(eps=DBSCAN_M, min_samples=DBSCAN_LEAST).fit(hits).labels_
    return np.array([hits[labels == k].mean(axis=0) for k in range(int(labels.max()) + 1)]).reshape(-1, 2)


def counted(hits: Series, least: int, side: float) -> Series:
    """Middles (n, 2) of the squares of so many metres that hold ``least`` hits or more."""
    if not len(hits):
        return np.empty((0, 2))
    squares, n = np.unique(np.floor(hits / side), axis=0, return_counts=True)
    return np.asarray((squares[n >= least] + 0.5) * side)


def median(days: list[float]) -> float | None:
    """Median in which what never came is endless; None where it is endless itself, or there is nothing."""
    found = float(np.median(days)) if days else math.inf
    return found if math.isfinite(found) else None
