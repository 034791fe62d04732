"""A town to attack: streets on a grid, villages at dead ends, citizens who drive to work and back, and where they live.

Everything lies on `places`, points every `STEP_M` along the streets, which the attacker knows too: maps are public.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

STEP_M = 20.0
SPACING = 6
"""Places between two crossings: blocks of 120 m."""
MAIN_EVERY = 5
"""Every fifth street is a main one: quicker, and with buses."""
TURN_RAD = 0.3
"""The grid lies askew to the squares, as streets do."""
VILLAGE_STEPS = 35
"""A dead end of 700 m, with homes along it."""


@dataclass(frozen=True, eq=False)
class Town:
    """xy_m: (n, 2) places, metres from the middle. beside: neighbours of each. cost_s: seconds of each step, aligned
    with ``beside``. rough: pairs of neighbours (lower first) between which the road throws a wheel."""

    xy_m: NDArray[np.float64]
    beside: tuple[tuple[int, ...], ...]
    cost_s: tuple[tuple[float, ...], ...]
    rough: frozenset[tuple[int, int]]
    villages: tuple[tuple[int, ...], ...]
    main: tuple[tuple[int, ...], ...]


def build(rng: np.random.Generator, blocks: int = 20) -> Town:
    """A grid of ``blocks`` x ``blocks`` and eight villages around it."""
    at: dict[tuple[int, int], int] = {}
    steps: dict[int, dict[int, float]] = {}

    def place(c: int, r: int) -> int:
        return at.setdefault((c, r), len(at))

    def street(way: Sequence[tuple[int, int]], main: bool) -> tuple[int, ...]:
        numbers = [place(*p) for p in way]
        for a, b in pairwise(numbers):
            steps.setdefault(a, {})[b] = steps.setdefault(b, {})[a] = STEP_M / (14.0 if main else 9.0)
        return tuple(numbers)

    size = blocks * SPACING
    mains = []
    for i in range(blocks + 1):
        main = i % MAIN_EVERY == 0
        one = street([(i * SPACING, r) for r in range(size + 1)], main)
        other = street([(c, i * SPACING) for c in range(size + 1)], main)
        mains += [one, other] if main else []
    villages = []
    for where in rng.choice(np.arange(1, blocks), 2, replace=False).tolist():
        s = where * SPACING
        for way in (
            [(s, -n) for n in range(VILLAGE_STEPS)], [(s, size + n) for n in range(VILLAGE_STEPS)],
            [(-n, s) for n in range(VILLAGE_STEPS)], [(size + n, s) for n in range(VILLAGE_STEPS)],
        ):  # fmt: skip
            villages.append(street(way, False)[5:])
    grid = np.array(list(at), dtype=np.float64) * STEP_M - size * STEP_M / 2
    cos, sin = np.cos(TURN_RAD), np.sin(TURN_RAD)
    pairs = sorted({(min(a, b), max(a, b)) for a, near in steps.items() for b in near})
    rough = [p for p, bad in zip(pairs, (rng.random(len(pairs)) < 0.4).tolist(), strict=True) if bad]
    return Town(
        xy_m=grid @ np.array([[cos, sin], [-sin, cos]]),
        beside=tuple(tuple(steps[n]) for n in range(len(at))),
        cost_s=tuple(tuple(steps[n].values()) for n in range(len(at))),
        rough=frozenset(rough),
        villages=tuple(villages),
        main=tuple(mains),
    )


def tree(town: Town, root: int, habit: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
    """The next place on everybody's quickest way to ``root``, (n,); root's own is itself. habit: (n,) factors of the
    seconds into each place, by which one person's ways differ from another's."""
    n = len(town.beside)
    seconds = np.full(n, np.inf)
    towards = np.arange(n)
    seconds[root] = 0.0
    heap = [(0.0, root)]
    while heap:
        t, a = heapq.heappop(heap)
        if t > seconds[a]:
            continue
        for b, cost in zip(town.beside[a], town.cost_s[a], strict=True):
            there = t + cost * (1.0 if habit is None else float(habit[b]))
            if there < seconds[b]:
                seconds[b], towards[b] = there, a
                heapq.heappush(heap, (there, b))
    return towards


def way(towards: NDArray[np.int64], start: int) -> list[int]:
    """The places from ``start`` to the tree's root."""
    out = [start]
    while int(towards[out[-1]]) != out[-1]:
        out.append(int(towards[out[-1]]))
    return out


@dataclass(frozen=True)
class Citizen:
    """name: of the phone. to_work: places from home to work. joined: first day of contributing. days: of driving."""

    name: str
    home: int
    work: int
    to_work: tuple[int, ...]
    joined: int
    days: tuple[int, ...]


def populate(town: Town, rng: np.random.Generator, citizens: int, days: int) -> list[Citizen]:
    """Three in ten live in villages, the others anywhere; all work at one of ten places; a third joins late; each
    drives on three days of five."""
    works = rng.choice(len(town.beside) - sum(map(len, town.villages)), 10, replace=False).tolist()
    out = []
    for n in range(citizens):
        if rng.random() < 0.3:
            home = int(rng.choice(town.villages[int(rng.integers(len(town.villages)))]))
        else:
            home = int(rng.integers(len(town.beside)))
        # Nobody drives to the next corner.
        far = [w for w in works if np.hypot(*(town.xy_m[w] - town.xy_m[home])) > 900] or works
        work = int(far[int(rng.integers(len(far)))])
        route = way(tree(town, work, rng.uniform(0.85, 1.15, len(town.beside))), home)
        joined = int(rng.integers(1, days - 1)) if rng.random() < 1 / 3 else 0
        drives = [d for d in range(joined, days) if rng.random() < 0.6] or [days - 1]
        out.append(Citizen(f"citizen-{n:03d}", home, work, tuple(route), joined, tuple(drives)))
    return out
