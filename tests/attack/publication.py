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
from defects.evidence import HIT_DEVICES
from grid import Zone, cells_of_block, corner_m, project, side_m
from ingest import City

from .drives import Sent
from .town import STEP_M, Town

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


def squares_told(by: By, k: int) -> dict[date, list[int]]:
    """Coarse squares of which something is told for a day, by day.

    It is more than is public: the platform tells a square's days only where its block was coloured once, and it tells
    rounded numbers with them, which say little where all are above k. The attackers get every such square and day.
    """
    out: dict[date, list[int]] = {}
    for day, blocks in by.items():
        cells: list[int] = []
        for block, e in blocks.items():
            if block >> 51:
                enough = np.bitwise_count(publishable(e, k).plane(HIT_DEVICES)) >= k
                cells += cells_of_block(block)[enough].tolist()
        out[day] = cells
    return out


def cover(told: dict[date, list[int]], town: Town, city: City) -> NDArray[np.bool_]:
    """Which places of the town have a told square at or beside them on which day, bool (days, places)."""
    x0, y0 = (float(v) for v in project(*city.centre_deg, Zone(city.utm_zone, city.utm_north)))
    where = town.xy_m + np.array([x0, y0])
    buckets: dict[tuple[int, int], list[int]] = {}
    for n, (x, y) in enumerate((where // STEP_M).astype(int).tolist()):
        buckets.setdefault((x, y), []).append(n)
    out = np.zeros((len(told), len(where)), dtype=bool)
    for d, day in enumerate(sorted(told)):
        for cell in told[day]:
            half = side_m(cell) / 2
            x, y = (v + half for v in corner_m(cell))
            c, r = int(x // STEP_M), int(y // STEP_M)
            near = [n for i in (-1, 0, 1) for j in (-1, 0, 1) for n in buckets.get((c + i, r + j), ())]
            if near:
                apart = np.hypot(*(where[near] - (x, y)).T)
                best = int(apart.argmin())
                if apart[best] <= STEP_M / 2 + half:
                    out[d, near[best]] = True
    # A road is not rough everywhere: between two told places lies one that was passed.
    wide = out.copy()
    for n, beside in enumerate(town.beside):
        wide[:, n] |= out[:, list(beside)].any(axis=1)
    return wide
