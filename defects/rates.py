"""How sure a rate is: findings per kilometre with the exact interval of a Poisson count (Garwood 1936)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """Findings on a distance; low and high bound the true rate per km with 95 % confidence."""

    km: float
    findings: int
    per_km: float
    low: float
    high: float


def _at_most(n: int, mean: float) -> float:
    """Chance of n or fewer in a Poisson count of that mean."""
    term = total = math.exp(-mean)
    for k in range(1, n + 1):
        term *= mean / k
        total += term
    return total


def _solve(n: int, chance: float) -> float:
    """The mean at which n or fewer have the given chance, by halving."""
    low, high = 0.0, 10.0 + 3.0 * n
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(n, middle) > chance else (low, middle)
    return low


def rate(findings: int, km: float) -> Rate:
    """The rate of ``findings`` on ``km`` with its 95 % interval. Raises ValueError where the distance is not positive
    or the count is beyond 600, where the sum of terms underflows."""
    if km <= 0:
        raise ValueError("a rate needs a distance: no vehicle was fast enough to feel anything")
    if not 0 <= findings <= 600:
        raise ValueError("intervals are computed for 0 to 600 findings: split the drive")
    low = 0.0 if findings == 0 else _solve(findings - 1, 0.975)
    return Rate(km, findings, findings / km, low / km, _solve(findings, 0.025) / km)
