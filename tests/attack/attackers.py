"""Attackers in earnest. Each knows the town's map, the rule of trimming, and something of one citizen; each names one
place where that citizen lives, from what is told and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .drives import SPEED_MPS, TRIM_S_A_M
from .town import STEP_M, Citizen, Town, tree

WITHIN_M = 200.0
Series = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class View:
    """What an attacker has before him. passes: (days, places) that are told; covered: bool, what is told at all.
    trim_m, k: the rules, which are public."""

    town: Town
    passes: Series
    covered: Flags
    trim_m: float
    k: int
    known: dict[tuple[int, str], tuple[NDArray[np.int64], Series]] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Places that are held back at an end: by length or by time, whichever is more; a chunk goes out whole."""
        if not self.trim_m:
            return 0
        return round((max(self.trim_m, self.trim_m * TRIM_S_A_M * SPEED_MPS) + 50.0) / STEP_M)


def _follow(view: View, work: int, told: Series, weight: Series) -> tuple[NDArray[np.int64], Series]:
    """Ways to work that keep to what is told, and how well each place fits as a home: the weight of the way from where
    trimming ends, and nothing in favour nearer. told: share of days, (n,); weight: for or against, (n,)."""
    towards = tree(view.town, work, 2.0 - 1.8 * told)
    total = weight.copy()
    for n in _from_root(towards)[1:]:
        total[n] += total[towards[n]]
    at = np.arange(len(towards))
    near = np.zeros(len(towards))
    for _ in range(view.held):
        near += np.maximum(weight[at], 0)
        at = towards[at]
    return towards, total[at] - near


def _from_root(towards: NDArray[np.int64]) -> list[int]:
    """Places in an order in which each comes after the next on its way."""
    children: dict[int, list[int]] = {}
    root = 0
    for n, parent in enumerate(towards.tolist()):
        if parent == n:
            root = n
        else:
            children.setdefault(parent, []).append(n)
    order = [root]
    for n in order:
        order += children.get(n, [])
    return order


def _best(score: Series, allowed: Flags, rng: np.random.Generator) -> int:
    """The best place, chance among equals."""
    if not allowed.any():
        allowed = np.ones(len(score), dtype=bool)
    shown = np.where(allowed, np.round(score, 6) + rng.uniform(0, 1e-7, len(score)), -np.inf)
    return int(shown.argmax())


def _away(view: View, work: int) -> Flags:
    """Not next door to work: half of every trip ends there."""
    xy = view.town.xy_m
    return np.asarray(np.hypot(*(xy - xy[work]).T) > 600)


def _through(towards: NDArray[np.int64], street: int) -> Flags:
    """Places whose way to work leads through one."""
    passes = np.zeros(len(towards), dtype=bool)
    for n in _from_root(towards):
        passes[n] = n == street or passes[towards[n]]
    return passes


def _street_of(citizen: Citizen) -> int:
    """A street of every day, in the middle of the way."""
    return citizen.to_work[len(citizen.to_work) // 2]


def _mean(view: View) -> Series:
    return np.asarray(view.covered.mean(axis=0), dtype=np.float64)


def _likelihood(view: View, drove: Flags, chance_told: float) -> tuple[Series, Series]:
    """Share of the given days on which each place is told, and the log-likelihood that the target is why, against
    others: on the other days, places of many are told as often. chance_told: of a place that the target passed."""
    others = view.covered[~drove]
    usual = (others.sum(axis=0) + 0.3 * view.covered.mean()) / (len(others) + 0.3)
    usual = np.clip(usual, 0.02, 0.95)
    own = np.maximum(chance_told, usual)
    told = view.covered[drove]
    hits = told.sum(axis=0)
    for_it = hits * np.log(own / usual) + (len(told) - hits) * np.log((1 - own + 0.02) / (1 - usual + 0.02))
    return np.asarray(told.mean(axis=0), dtype=np.float64), np.asarray(for_it)


def _chance_told(view: View) -> float:
    """How often a place is told on a day on which somebody passed: without a threshold nearly always, which anybody can
    find out by driving; with one it takes others too."""
    return 0.95 if view.k <= 1 else 0.6


def _followed(view: View, work: int, name: str, told: Series, weight: Series) -> tuple[NDArray[np.int64], Series]:
    """The same for everybody who works there: kept."""
    if (work, name) not in view.known:
        view.known[work, name] = _follow(view, work, told, weight)
    return view.known[work, name]


def _drove(view: View, citizen: Citizen) -> Flags:
    return np.isin(np.arange(len(view.covered)), citizen.days)


def by_dead_ends(view: View, citizen: Citizen, rng: np.random.Generator) -> int:
    """Knows the workplace: follows the told network from there to its farthest end."""
    _, score = _followed(view, citizen.work, "mean", _mean(view), _mean(view) - 0.3)
    return _best(score, _away(view, citizen.work), rng)


def by_first_day(view: View, citizen: Citizen, rng: np.random.Generator) -> int:
    """Knows the workplace and when the target joined: squares that were never told before, told from then on."""
    since = np.arange(len(view.covered)) >= citizen.joined
    _, score = _follow(view, citizen.work, *_likelihood(view, since, 0.6 * _chance_told(view)))
    return _best(score, _away(view, citizen.work), rng)


def by_days(view: View, citizen: Citizen, rng: np.random.Generator) -> int:
    """Knows the workplace and on which days the car was gone: compares those days with the others."""
    _, score = _follow(view, citizen.work, *_likelihood(view, _drove(view, citizen), _chance_told(view)))
    return _best(score, _away(view, citizen.work), rng)


def by_counts(view: View, citizen: Citizen, rng: np.random.Generator) -> int:
    """Knows workplace and days: on those days two passes more are told all along the way, also where many drive."""
    drove = _drove(view, citizen)
    if drove.all():
        return by_dead_ends(view, citizen, rng)
    with_target, without = view.passes[drove], view.passes[~drove]
    more = with_target.mean(axis=0) - without.mean(axis=0)
    spread = ((with_target - with_target.mean(axis=0)) ** 2).sum(axis=0) + ((without - without.mean(axis=0)) ** 2).sum(
        axis=0
    )
    variance = (spread + 1.0) / len(view.passes) * (1 / len(with_target) + 1 / len(without))
    weight = np.clip((2 * more - 2) / variance, -6, 6)
    _, score = _follow(view, citizen.work, np.clip(more / 2, 0, 1), weight)
    return _best(score, _away(view, citizen.work), rng)


def by_vote(view: View, citizen: Citizen, rng: np.random.Generator) -> int:
    """Knows workplace and days: every driven day votes for the ends of its own told network, the others against."""
    towards = tree(view.town, citizen.work)
    ahead = towards[towards]
    ends = np.zeros(len(towards))
    for day, covered in enumerate(view.covered):
        behind = np.zeros(len(towards))
        np.add.at(behind, ahead, covered.astype(float))
        end = covered & covered[ahead] & (behind == 0)
        ends += end * (1.0 if day in citizen.days else -1.0)
    at = np.arange(len(towards))
    for _ in range(view.held):
        at = towards[at]
    votes = ends[at]
    for _ in range(3):  # an end is seen a little earlier or later every day
        votes = votes + votes[towards]
    return _best(votes, _away(view, citizen.work), rng)


def by_street(view: View, citizen: Citizen, rng: np.random.Generator) -> int:
    """Knows the workplace and one street of every day: follows what is told from there on."""
    towards, score = _followed(view, citizen.work, "mean", _mean(view), _mean(view) - 0.3)
    return _best(score, _through(towards, _street_of(citizen)) & _away(view, citizen.work), rng)


def by_all(view: View, citizen: Citizen, rng: np.random.Generator) -> int:
    """Knows workplace, days and the street of every day."""
    towards, score = _follow(view, citizen.work, *_likelihood(view, _drove(view, citizen), _chance_told(view)))
    return _best(score, _through(towards, _street_of(citizen)) & _away(view, citizen.work), rng)


def by_chance(view: View, citizen: Citizen, rng: np.random.Generator) -> int:
    """Reads nothing: any place that is not next door to work."""
    return _best(np.zeros(len(view.town.xy_m)), _away(view, citizen.work), rng)


def by_chance_past_the_street(view: View, citizen: Citizen, rng: np.random.Generator) -> int:
    """Reads nothing, but knows workplace and street: any place whose quickest way to work leads through it."""
    nothing = np.zeros(len(view.town.xy_m))
    towards, _ = _followed(view, citizen.work, "nothing", nothing, nothing)
    return _best(nothing, _through(towards, _street_of(citizen)) & _away(view, citizen.work), rng)


ATTACKERS: dict[str, Callable[[View, Citizen, np.random.Generator], int]] = {
    "dead ends": by_dead_ends,
    "first day": by_first_day,
    "vote of days": by_vote,
    "days": by_days,
    "counts": by_counts,
    "street": by_street,
    "days and street": by_all,
}
BLIND = {"chance": by_chance, "chance past the street": by_chance_past_the_street}


def found(view: View, citizens: list[Citizen], name: str, seed: int) -> float:
    """Share of citizens whose home an attacker names to within 200 m, at the first guess."""
    rng = np.random.default_rng(seed)
    attack = (ATTACKERS | BLIND)[name]
    targets = [c for c in citizens if name != "first day" or c.joined]
    xy = view.town.xy_m
    right = [float(np.hypot(*(xy[attack(view, c, rng)] - xy[c.home]))) <= WITHIN_M for c in targets]
    return float(np.mean(right)) if right else 0.0
