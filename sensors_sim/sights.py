"""The edge camera of a box: what it reports of the things in its lane, through a stated confusion matrix.

**All of it is assumed, nothing measured**: recalls of .2 to .8 by class (science notes), confusions among what looks
alike from a vehicle, worse by night and in rain. Figures that come out of it say what a camera of this kind would give.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest import DEFECT_KEYS, UNKNOWN

from .plan import WAY_HZ, Plan, Sight, Thing
from .receiver import RADIUS68

CAMERA_CONFUSION: Mapping[str, Mapping[str, float]] = {
    "linear_crack": {"linear_crack": 0.50, "net_crack": 0.05},
    "net_crack": {"net_crack": 0.50, "alligator_crack": 0.10, "linear_crack": 0.07},
    "alligator_crack": {"alligator_crack": 0.70, "net_crack": 0.07, "ravelling": 0.04, "pothole": 0.02},
    "shoving": {"shoving": 0.30, "subsidence": 0.04, "rutting": 0.02},
    "rutting": {"rutting": 0.20, "subsidence": 0.03, "bleeding": 0.03},
    "subsidence": {"subsidence": 0.25, "pothole": 0.04, "ponding": 0.03, "shoving": 0.02},
    "mud_boil": {"mud_boil": 0.50, "pothole": 0.06, "pumping": 0.06},
    "ravelling": {"ravelling": 0.60, "alligator_crack": 0.06, "pothole": 0.04},
    "pothole": {"pothole": 0.80, "ravelling": 0.03, "alligator_crack": 0.02, "subsidence": 0.02},
    "edge_break": {"edge_break": 0.50, "pothole": 0.05, "linear_crack": 0.03},
    "frame_level": {"frame_level": 0.30, "defective_cover": 0.10},
    "pumping": {"pumping": 0.40, "mud_boil": 0.06, "ponding": 0.05},
    "bleeding": {"bleeding": 0.50, "ponding": 0.06},
    "faulting": {"faulting": 0.30, "linear_crack": 0.08, "broken_slab": 0.06},
    "broken_slab": {"broken_slab": 0.60, "faulting": 0.08, "linear_crack": 0.06},
    "defective_cover": {"defective_cover": 0.60, "frame_level": 0.12, "pothole": 0.04},
    "ponding": {"ponding": 0.60, "bleeding": 0.05, "pothole": 0.03},
    "litter": {"litter": 0.60, "pothole": 0.02},
}
"""What a pass reports of a grade 2 defect in view by day on a dry road: reported type -> probability. What is missing
to 1 is the chance that nothing is reported."""

CAMERA_FOOLED: Mapping[str, Mapping[str, float]] = {
    "sound_cover": {"frame_level": 0.03, "defective_cover": 0.03},
    "good_patch": {"pothole": 0.03, "ravelling": 0.03, "bleeding": 0.02, "net_crack": 0.02},
    "expansion_joint": {"faulting": 0.04, "linear_crack": 0.06},
    "slab_joint": {"linear_crack": 0.06, "faulting": 0.03},
    "cobbles": {"ravelling": 0.05, "alligator_crack": 0.04},
    "rail": {"linear_crack": 0.05},
    "speed_bump": {"shoving": 0.02},
    "raised_crosswalk": {"shoving": 0.02},
}
"""The same of harmless things; one that is not listed is reported as OTHER_FOOLED says."""
OTHER_FOOLED: Mapping[str, float] = {"linear_crack": 0.02, "ravelling": 0.02}


@dataclass(frozen=True)
class CameraOptions:
    """by_grade: recall over that of grade 2. night, wet: recall over that by day, dry; confused_more: growth of the
    chance of a wrong type in either. together: correlation of what different passes make of one thing: 0, and
    sixteen passes see everything; 1, and one pass says all there is to say. sigma_m: of a place, per axis. ahead_m: how
    far before the front axle a thing is reported. tile_m: of long things each such piece is reported by itself.
    false_per_km: alarms where nothing is, by day and dry; night and rain raise them by false_more each.
    """

    by_grade: tuple[float, float, float] = (0.4, 0.8, 1.0)
    night: float = 0.65
    wet: float = 0.75
    confused_more: float = 1.5
    together: float = 0.5
    sigma_m: float = 0.3
    ahead_m: float = 4.0
    tile_m: float = 15.0
    false_per_km: float = 0.3
    false_more: float = 1.8


_OPTIONS = CameraOptions()
_CAMERA, _LOOKS = 61, 62  # purposes of generators
_FALSE_KINDS = ("linear_crack", "net_crack", "pothole", "ravelling", "bleeding", "ponding", "litter", "rutting")


def reported(thing: Thing, night: bool, wet: bool, options: CameraOptions = _OPTIONS) -> dict[str, float]:
    """Reported type -> probability for one pass over ``thing`` in view; the rest to 1 is silence."""
    row = CAMERA_CONFUSION.get(thing.kind)
    if row is None or thing.harmless:
        row = CAMERA_FOOLED.get(thing.kind, OTHER_FOOLED)
        return {kind: p * (options.confused_more if night or wet else 1.0) for kind, p in row.items()}
    share = options.by_grade[thing.grade] * (options.night if night else 1.0) * (options.wet if wet else 1.0)
    if wet and thing.kind in ("pumping", "ponding"):
        share /= options.wet  # water is what one sees of them
    more = options.confused_more if night or wet else 1.0
    return {kind: p * share * (1.0 if kind == thing.kind else more) for kind, p in row.items() if p}


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _luck(thing_z: float, pass_z: float, together: float) -> float:
    """Uniform on [0, 1], and for two passes over one thing as correlated as ``together`` says (a Gaussian copula)."""
    return _normal_cdf(math.sqrt(together) * thing_z + math.sqrt(1 - together) * pass_z)


def look(plan: Plan, options: CameraOptions = _OPTIONS) -> tuple[Sight, ...]:
    """What the camera reports in one drive, by time: things of the lane it drives in, met by a wheel or not."""
    rng = np.random.default_rng([plan.pass_seed, plan.device_seed, _CAMERA])
    way = plan.way
    found = []

    def sight(at_m: float, y_m: float, kind: str, score: float, area_m2: float, depth_mm: float) -> None:
        i = min(int(np.searchsorted(way.s_m, at_m)), len(way.s_m) - 1)
        seen = min(int(np.searchsorted(way.s_m, at_m - options.ahead_m)), i)
        course = math.radians(float(way.course_deg[i]))
        left = y_m - float(way.y_m[i])
        error = rng.normal(0, options.sigma_m, 2)
        found.append(
            Sight(
                way.t0_s + seen / WAY_HZ, kind, min(max(score, 0.0), 1.0),
                float(way.east_m[i]) - left * math.cos(course) + error[0],
                float(way.north_m[i]) + left * math.sin(course) + error[1],
                options.sigma_m * RADIUS68, max(area_m2, 0.005), depth_mm,
            )
        )  # fmt: skip

    for number, thing in enumerate(plan.stretch.things):
        of_thing = np.random.default_rng([thing.seed, plan.stretch.seed, number, _LOOKS])
        pieces = max(1, math.ceil(thing.length_m / options.tile_m))
        chances = reported(thing, plan.night, plan.wet, options)
        total = sum(chances.values())
        for piece in range(pieces):
            seen_z, kind_z = of_thing.standard_normal(2)
            # Drawn also where nothing is reported, so that one recall does not shift the luck of all that follow.
            own: NDArray[np.float64] = rng.standard_normal(4)
            score_right, score_wrong = rng.beta(7, 2), rng.beta(4, 4)
            at_m = thing.s_m + ((piece + 0.5) / pieces - 0.5) * thing.length_m
            if not way.s_m[0] + options.ahead_m < at_m < way.s_m[-1]:
                continue
            if _luck(seen_z, own[0], options.together) >= total:
                continue
            which = _luck(kind_z, own[1], options.together) * total
            kind = next(reversed(chances))
            for name, p in chances.items():
                if which < p:
                    kind = name
                    break
                which -= p
            area = thing.length_m / pieces * thing.width_m * math.exp(0.2 * own[2])
            deep = thing.height_mm < -5 and kind in ("pothole", "subsidence", "defective_cover", "edge_break")
            depth = -thing.height_mm * math.exp(0.25 * own[3]) if deep else UNKNOWN
            sight(at_m, thing.y_m, kind, score_right if kind == thing.kind else score_wrong, area, min(depth, 4999.0))
    often = options.false_per_km * (options.false_more if plan.night else 1) * (options.false_more if plan.wet else 1)
    for _ in range(rng.poisson(often * max(float(way.s_m[-1] - way.s_m[0]), 0.0) / 1000)):
        kind = _FALSE_KINDS[int(rng.integers(len(_FALSE_KINDS)))]
        at_m, y_m = rng.uniform(way.s_m[0], way.s_m[-1]), rng.uniform(-1.6, 1.6)
        sight(float(at_m), float(y_m), kind, float(rng.beta(2.5, 5)), float(rng.uniform(0.05, 0.6)), UNKNOWN)
    return tuple(sorted(found, key=lambda d: d.t_s))


if not set(CAMERA_CONFUSION) == set(DEFECT_KEYS):
    raise RuntimeError("the camera's confusion matrix and the wire format list different types")
