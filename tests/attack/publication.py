"""All that is told of coarse squares on all days, or more: what the attackers read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from api.worker import slot_of
from defects import BlockEvidence, Deltas, EvidenceOptions, merge, observe, publishable
from defects import recode as reading
from defects.planes import HIT_DEVICES
from grid import Zone, cells_of_block, corner_m, project, side_m
from ingest import City

from .drives import Sent
from .town import STEP_M, Town

ROUNDED_TO = 5
By = dict[date, dict[int, BlockEvidence]]


@dataclass(frozen=True, eq=False)
class Heard:
    """A chunk observed."""

    sent: Sent
    day: date
    deltas: Deltas


def hear(
    sent: Iterable[Sent], city: City, options: EvidenceOptions, told: Callable[[int], None] = lambda _n: None
) -> list[Heard]:
    """Observes every chunk as the worker does. told: hears how many were observed."""
    out: list[Heard] = []
    for one in sent:
        day = city.service_day(one.chunk.start_s)
        slot = slot_of(one.device, day.isoformat().encode())
        out.append(Heard(one, day, observe(one.chunk, one.kind, slot, city, options).deltas))
        told(len(out))
    return out


def evidence(heard: list[Heard], trim_m: float) -> By:
    """Evidence by day and block of what phones that trim so much would have sent."""
    parts: dict[date, list[Deltas]] = {}
    for one in heard:
        if one.sent.let_go(trim_m):
            parts.setdefault(one.day, []).append(one.deltas)
    return {day: reading.by_block(merge(p)) for day, p in sorted(parts.items())}


RAW = 0
"""In the place of k: nothing is protected, every square that a phone passed is told with the exact number of passes."""


def squares_told(by: By, k: int) -> dict[date, dict[int, int]]:
    """Coarse squares of which something is told for a day, with the passes told of them, by day.

    It is more than is public: the platform tells a square's days only where its block was coloured once. The attackers
    get every such square and day.
    """
    out: dict[date, dict[int, int]] = {}
    for day, blocks in by.items():
        told: dict[int, int] = {}
        for block, e in blocks.items():
            if not block >> 51:
                continue
            shown = e if k == RAW else publishable(e, k)
            passes = reading.passes_of(shown)
            enough = passes > 0 if k == RAW else np.bitwise_count(shown.plane(HIT_DEVICES)) >= k
            if k != RAW:
                passes = np.maximum(ROUNDED_TO, np.rint(passes / ROUNDED_TO).astype(np.int64) * ROUNDED_TO)
            told |= dict(zip(cells_of_block(block)[enough].tolist(), passes[enough].tolist(), strict=True))
        out[day] = told
    return out


def counts(told: dict[date, dict[int, int]], town: Town, city: City) -> NDArray[np.float64]:
    """About how many passes are told of each place of the town on each day, (days, places); 0 where nothing is."""
    x0, y0 = (float(v) for v in project(*city.centre_deg, Zone(city.utm_zone, city.utm_north)))
    where = town.xy_m + np.array([x0, y0])
    buckets: dict[tuple[int, int], list[int]] = {}
    for n, (x, y) in enumerate((where // STEP_M).astype(int).tolist()):
        buckets.setdefault((x, y), []).append(n)
    out = np.zeros((len(told), len(where)))
    for d, day in enumerate(sorted(told)):
        for cell, passes in told[day].items():
            side = side_m(cell)
            x, y = (v + side / 2 for v in corner_m(cell))
            c, r = int(x // STEP_M), int(y // STEP_M)
            near = [n for i in (-1, 0, 1) for j in (-1, 0, 1) for n in buckets.get((c + i, r + j), ())]
            if near:
                apart = np.hypot(*(where[near] - (x, y)).T)
                best = int(apart.argmin())
                if apart[best] <= STEP_M / 2 + side / 2:
                    out[d, near[best]] += passes * side / STEP_M
    return out


def covered(passes: NDArray[np.float64], town: Town) -> NDArray[np.bool_]:
    """Which places are told of, or lie beside one that is, bool (days, places): a road is not rough everywhere, and
    between two told places lies one that was passed."""
    told = passes > 0
    wide = told.copy()
    for n, beside in enumerate(town.beside):
        wide[:, n] |= told[:, list(beside)].any(axis=1)
    return wide
