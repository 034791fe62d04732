"""One town attacked under several rules: everybody drives, everything is told, every attacker names every home."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from defects import EvidenceOptions
from ingest import City

from .attackers import ATTACKERS, BLIND, View, found
from .drives import DAY_S, Sent, all_drives
from .publication import By, Heard, counts, covered, evidence, hear, squares_told
from .town import Citizen, Town, build, populate

FIRST_S = 1_795_482_000.0
"""A morning, some hours after the service day has begun."""


@dataclass(frozen=True)
class Size:
    """blocks: of 120 m along the town's side."""

    citizens: int
    days: int
    blocks: int
    seed: int


@dataclass(frozen=True, eq=False)
class World:
    """A town and all that its phones and buses measured, observed."""

    size: Size
    town: Town
    citizens: list[Citizen]
    heard: list[Heard]


@dataclass(frozen=True)
class Outcome:
    """What the attackers reach under one rule. told: share of places and days that is told. found: by attacker."""

    k: int
    trim_m: float
    told: float
    found: dict[str, float]

    @property
    def best(self) -> float:
        """Of the strongest attacker."""
        return max(self.found[name] for name in ATTACKERS)


def world(size: Size, city: City, options: EvidenceOptions, told: Callable[[int], None] = lambda _n: None) -> World:
    """Lets the town drive for some days."""
    rng = np.random.default_rng(size.seed)
    town = build(rng, size.blocks)
    citizens = populate(town, rng, size.citizens, size.days)
    sent: Iterable[Sent] = all_drives(town, city, rng, citizens, size.days, FIRST_S)
    return World(size, town, citizens, hear(sent, city, options, told))


def attack(
    one: World, city: City, rules: Iterable[tuple[int, float]], told: Callable[[Outcome], None] = lambda _o: None
) -> list[Outcome]:
    """Attacks a world under each rule (k, metres trimmed)."""
    out: list[Outcome] = []
    by_trim: dict[float, By] = {}
    for k, trim_m in rules:
        if trim_m not in by_trim:
            by_trim[trim_m] = evidence(one.heard, trim_m)
        passes = counts(squares_told(by_trim[trim_m], k), one.town, city)
        view = View(one.town, passes, covered(passes, one.town), trim_m, k)
        share = {name: found(view, one.citizens, name, one.size.seed) for name in ATTACKERS | BLIND}
        out.append(Outcome(k, trim_m, float(view.covered.mean()), share))
        told(out[-1])
    return out


__all__ = ["DAY_S", "FIRST_S", "Outcome", "Size", "World", "attack", "world"]
