"""Indices that people grade roads by: PCI of the surface, RQI of the ride, PQI of both, after CJJ 36.

All formulas and the deduct table were read in public code that implements the standard, not in the standard itself.
What sensors saw is less than what lies there, so the PCI is an estimate with an interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .taxonomy import ALL_TYPES, BY_KEY

Series = NDArray[np.float64]

DENSITIES_PCT = (0.01, 0.1, 1.0, 10.0, 50.0, 100.0)
"""Share of the section's area that the table's columns stand for."""

DEDUCT: dict[str, tuple[float, ...]] = {
    "linear_crack": (3, 5, 8, 16, 38, 48),
    "net_crack": (5, 8, 10, 20, 45, 70),
    "alligator_crack": (8, 10, 15, 30, 55, 80),
    "shoving": (3, 10, 15, 30, 52, 65),
    "rutting": (2, 7, 12, 25, 45, 55),
    "subsidence": (3, 5, 12, 25, 47, 63),
    "mud_boil": (10, 15, 20, 40, 65, 80),
    "ravelling": (2, 5, 8, 15, 35, 45),
    "pothole": (10, 15, 25, 40, 65, 72),
    "edge_break": (2, 4, 8, 15, 30, 40),
    "frame_level": (3, 8, 12, 12, 12, 12),
    "pumping": (5, 10, 15, 25, 50, 80),
    "bleeding": (2, 4, 8, 20, 40, 70),
}
"""Deduct points of asphalt distresses at `DENSITIES_PCT`."""

GROUPS: tuple[tuple[str, ...], ...] = (
    ("linear_crack", "net_crack", "alligator_crack"),
    ("shoving", "rutting", "subsidence", "mud_boil"),
    ("ravelling", "pothole", "edge_break"),
    ("frame_level", "pumping", "bleeding"),
)
"""Cracks, deformations, loose surface, others: weights are taken within a group, then between groups."""

COUNTED_AS = {
    "faulting": "frame_level", "broken_slab": "alligator_crack", "defective_cover": "frame_level", "uneven": "pothole",
}  # fmt: skip
"""Types that the table does not have, and as what they count (proposed). Left out, a broken slab would cost nothing."""

SQUARE_AREA_M2 = {"linear_crack": 0.2, "frame_level": 4.0}
"""Area of a coloured square metre of these types: a crack counts its length times 0.2 m, a frame 4 m² (one source
says 1). Of all others a square counts as it is."""

_POINTS = ("pothole", "frame_level")
_LOG_DENSITIES = np.log10(np.array(DENSITIES_PCT))


def deduct(kind: str, density_pct: float | Series) -> Series:
    """Deduct points of a distress of the table at densities in % of the section's area: linear in the logarithm of the
    density; below the table's first column in proportion to the density, so that nothing costs nothing. KeyError for a
    kind that the table does not have."""
    points = np.array(DEDUCT[kind], dtype=np.float64)
    density = np.minimum(np.asarray(density_pct, dtype=np.float64), 100.0)
    low = DENSITIES_PCT[0]
    inside = np.interp(np.log10(np.maximum(density, low)), _LOG_DENSITIES, points)
    return np.asarray(np.where(density < low, points[0] * density / low, inside))


def _weight(share: Series) -> Series:
    """w = 3u³ - 5.5u² + 3.5u: several damages together cost less than their sum."""
    return np.asarray(((3 * share - 5.5) * share + 3.5) * share)


def _weighted(points: Series) -> Series:
    """Weighted sum of deduct points along the first axis."""
    total = points.sum(axis=0)
    share = points / np.where(total > 0, total, 1.0)
    return np.asarray((points * _weight(share)).sum(axis=0))


def pci(area_m2: Mapping[str, float | Series], section_m2: float) -> Series:
    """Pavement condition index, 0 to 100, of a section with these areas by kind of distress (keys of the taxonomy).

    Areas may be arrays of one shape, and give as many indices. Kinds beyond the table count as `COUNTED_AS` says;
    ponding and litter are no distress and cost nothing. Raises ValueError for a section without area.
    """
    if section_m2 <= 0:
        raise ValueError("a section without area has no PCI: is its width in the network file 0?")
    areas: dict[str, Series] = {}
    for kind, area in area_m2.items():
        counted = COUNTED_AS.get(kind, kind)
        if counted in DEDUCT:
            areas[counted] = areas.get(counted, np.zeros(())) + np.asarray(area, dtype=np.float64)
    shape = np.broadcast_shapes(*(a.shape for a in areas.values())) if areas else ()
    groups = [
        _weighted(np.stack([
            np.broadcast_to(deduct(k, areas.get(k, np.zeros(())) / section_m2 * 100.0), shape) for k in kinds
        ]))
        for kinds in GROUPS
    ]  # fmt: skip
    return np.asarray(np.clip(100.0 - _weighted(np.stack(groups)), 0.0, 100.0))


def rqi(iri_m_per_km: float) -> float:
    """Riding quality index, 0 to 4.98, from the international roughness index: 4.98 - 0.34 IRI."""
    return min(max(4.98 - 0.34 * iri_m_per_km, 0.0), 4.98)


RIDE_SHARE = {"expressway": 0.6, "trunk": 0.6, "secondary": 0.6, "branch": 0.4, "unknown": 0.4}
"""Weight of the ride in the PQI, by class of road; the rest is the surface's."""

PCI_GRADES = {
    "expressway": (90.0, 75.0, 65.0), "trunk": (85.0, 70.0, 60.0), "secondary": (85.0, 70.0, 60.0),
    "branch": (80.0, 65.0, 60.0), "unknown": (80.0, 65.0, 60.0),
}  # fmt: skip
"""Lowest PCI of grades A, B and C. Of the PQI the same bounds are taken (from memory)."""

RQI_GRADES = {
    "expressway": (4.10, 3.60, 2.50), "trunk": (3.60, 3.00, 2.40), "secondary": (3.60, 3.00, 2.40),
    "branch": (3.40, 2.80, 2.20), "unknown": (3.40, 2.80, 2.20),
}  # fmt: skip
"""Lowest RQI of grades A, B and C."""


def pqi(rqi_value: float, pci_value: float, road_class: str) -> float:
    """Pavement quality index, 0 to 100: 20 w1 RQI + w2 PCI with the weights of the class of road."""
    ride = RIDE_SHARE[road_class]
    return min(20.0 * ride * rqi_value + (1 - ride) * pci_value, 100.0)


def grade(value: float, bounds: tuple[float, float, float]) -> str:
    """A, B, C or D: the first grade whose lower bound the value reaches."""
    for letter, bound in zip("ABC", bounds, strict=True):
        if value >= bound:
            return letter
    return "D"


@dataclass(frozen=True)
class PciOptions:
    """How the interval of an estimated PCI is made; all of it is proposed.

    least_camera: share of the squares that a camera must have looked at before there is a grade. Most types are seen by
    a camera alone: lower, and roads are graded by what nobody looked for; higher, and parked cars keep every street
    ungraded. found: chance that damage in a square that was looked at is coloured: exposure of 3 leaves exp(-3) = .05
    unseen. sure, suspected: chance that a confirmed or a suspected square truly is damaged. prior_squares,
    prior_per_m2: weight and level of what is expected of a type before anybody looked, a gamma distribution of damaged
    squares a square metre. Heavier, and the city's mean hides a bad street; lighter, and a street that nobody saw may
    be anything. patch_squares: squares of one damage, but for potholes and frames, which are points: damage comes in
    patches. Smaller, and intervals are too narrow where a part was not seen; larger, and no bad street is told.
    area_spread: standard deviation of the logarithm of an area that is counted in whole squares. draws: more
    cost time, fewer and the ends of the interval jump. low, high: ends of the interval, a chance of .9 between them.
    """

    least_camera: float = 0.8
    found: float = 0.95
    sure: float = 0.97
    suspected: float = 0.85
    prior_squares: float = 0.2
    prior_per_m2: float = 0.0004
    patch_squares: float = 4.0
    area_spread: float = 0.3
    draws: int = 400
    low: float = 0.05
    high: float = 0.95


@dataclass(frozen=True, eq=False)
class Looked:
    """What is known of a section's surface. squares: of its carriageway. looked: share of them that was looked at
    thoroughly enough, by number of type, float64 (19,). confirmed, suspected: coloured squares by number of type, int64
    (19,)."""

    squares: int
    looked: Series
    confirmed: NDArray[np.int64]
    suspected: NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A PCI and the interval in which the true one lies with a chance of .9."""

    value: float
    low: float
    high: float


def estimate_pci(known: Looked, rng: np.random.Generator, options: PciOptions = PciOptions()) -> Estimate | None:
    """The PCI of a section of which not all was seen, None for one without squares.

    Method: the true number of damaged squares of each type is drawn many times. Of the coloured ones some are no damage
    (binomial); how many lie unseen is Poisson with a rate drawn from its gamma posterior, given what was found on the
    share that was looked at; areas are off by a log-normal factor. Each draw gives a PCI; value is the median, the ends
    are quantiles. Its coverage is checked by simulation (docs/indices.md). rng: the same one gives the same numbers.
    """
    if known.squares <= 0:
        return None
    many = options.draws
    areas: dict[str, Series] = {}
    seen_at_all = np.flatnonzero((known.confirmed > 0) | (known.suspected > 0) | (known.looked < 1.0)).tolist()
    for number in sorted({*seen_at_all, *range(1, len(ALL_TYPES))}):
        key = ALL_TYPES[number].key
        counted = COUNTED_AS.get(key, key)
        if counted not in DEDUCT:
            continue
        sure, maybe = int(known.confirmed[number]), int(known.suspected[number])
        true = rng.binomial(sure, options.sure, many) + rng.binomial(maybe, options.suspected, many)
        hidden: Series = np.zeros(many)
        if key not in COUNTED_AS:  # the table's own types: the others are not expected where nothing shows
            exposed = known.squares * float(known.looked[number]) * options.found
            patch = 1.0 if key in _POINTS else options.patch_squares
            shape = options.prior_squares + (sure + options.suspected * maybe) / patch
            rate = rng.gamma(shape, 1.0 / (options.prior_squares / options.prior_per_m2 * patch + exposed), many)
            hidden = patch * rng.poisson(rate * max(known.squares - exposed, 0.0)).astype(np.float64)
        squares = (true + hidden) * rng.lognormal(0.0, options.area_spread, many)
        areas[key] = np.minimum(squares * SQUARE_AREA_M2.get(counted, 1.0), float(known.squares))
    drawn = pci(areas, float(known.squares))
    low, value, high = (float(v) for v in np.quantile(drawn, (options.low, 0.5, options.high)))
    return Estimate(value, low, high)


CAMERA_ONLY = tuple(BY_KEY[k].number for k in ("linear_crack", "net_crack", "pumping", "bleeding"))
"""Types that a camera alone sees: where all of them were looked for, a camera was there."""
