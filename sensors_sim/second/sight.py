"""The edge camera of a box: what it sees, what it takes it for, and what it misses.

Recalls and confusions are assumptions of this family, none is measured; in the night and in the wet it sees less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ingest import DEFECT_KEYS, UNKNOWN

from ..plan import WAY_HZ, Plan, Series, Sight, Thing, Way

_RECALL = {
    "linear_crack": 0.42, "net_crack": 0.50, "alligator_crack": 0.68, "shoving": 0.22, "rutting": 0.15,
    "subsidence": 0.20, "mud_boil": 0.50, "ravelling": 0.48, "pothole": 0.76, "edge_break": 0.45,
    "frame_level": 0.28, "pumping": 0.35, "bleeding": 0.46, "faulting": 0.22, "broken_slab": 0.62,
    "defective_cover": 0.58, "ponding": 0.62, "litter": 0.55,
}  # fmt: skip
_TAKEN_FOR = {
    "linear_crack": ("net_crack", "faulting"),
    "net_crack": ("alligator_crack", "linear_crack"),
    "alligator_crack": ("net_crack", "ravelling", "broken_slab"),
    "shoving": ("subsidence", "rutting"),
    "rutting": ("subsidence", "bleeding"),
    "subsidence": ("pothole", "ponding"),
    "mud_boil": ("pumping", "ravelling"),
    "ravelling": ("pothole", "alligator_crack"),
    "pothole": ("ravelling", "subsidence", "defective_cover"),
    "edge_break": ("pothole", "linear_crack"),
    "frame_level": ("defective_cover", "pothole"),
    "pumping": ("mud_boil", "linear_crack"),
    "bleeding": ("ponding", "rutting"),
    "faulting": ("linear_crack", "broken_slab"),
    "broken_slab": ("net_crack", "faulting"),
    "defective_cover": ("frame_level", "pothole"),
    "ponding": ("bleeding", "pothole"),
    "litter": ("pothole", "ravelling"),
}
_FOOLED = {
    "cattle_grid": ("defective_cover", 0.06),
    "manhole_row": ("frame_level", 0.10),
    "branches": ("litter", 0.30),
    "pavement_change": ("linear_crack", 0.14),
    "drain_channel": ("faulting", 0.06),
    "tram_crossing": ("linear_crack", 0.12),
    "kerb_drop": ("ponding", 0.04),
}
"""Harmless thing -> what it may be taken for, and how often; others in one case of 30."""
_CONFUSED = 0.17  # of what is seen gets another name
_GHOSTS_PER_M = 0.5e-3  # shadows, tar, leaves: half a false detection per kilometre
_AHEAD_M = (5.0, 11.0)  # nearer lies under the bonnet, farther a pixel is a hand


@dataclass(frozen=True, eq=False)
class _View:
    """A plan's way as the camera's places need it: seconds and courses without leaps, made once for a drive."""

    way: Way
    t_s: Series
    course_rad: Series

    def place(self, s_m: float, y_m: float, ahead_m: float) -> tuple[float, float, float] | None:
        """When a place is so far ahead of the front axle, and where it is on the plane; None beyond the way's ends."""
        way = self.way
        if not way.s_m[0] <= s_m - ahead_m <= s_m <= way.s_m[-1]:
            return None
        t = float(np.interp(s_m - ahead_m, way.s_m, self.t_s))
        at = float(np.interp(s_m, way.s_m, self.t_s))
        aside = y_m - float(np.interp(at, self.t_s, way.y_m))
        course = float(np.interp(at, self.t_s, self.course_rad))
        east = float(np.interp(at, self.t_s, way.east_m)) - aside * np.cos(course)
        north = float(np.interp(at, self.t_s, way.north_m)) + aside * np.sin(course)
        return way.t0_s + t, east, north


def _chance(plan: Plan, thing: Thing) -> float:
    if thing.harmless:
        return _FOOLED.get(thing.kind, ("", 0.033))[1]
    chance = _RECALL[thing.kind] * (0.45, 0.85, 1.12)[thing.grade]
    if plan.night:
        chance *= 0.55
    if plan.wet:
        chance *= 1.15 if thing.kind in ("ponding", "pumping") else 0.65
    return min(0.97, chance)


def _sight(
    view: _View, rng: np.random.Generator, kind: str, sure: float, s_m: float, y_m: float, size: float
) -> Sight | None:
    ahead = float(rng.uniform(*_AHEAD_M))
    placed = view.place(s_m, y_m, ahead)
    if placed is None:
        return None
    sigma = 0.18 + 0.035 * ahead
    east, north = placed[1] + rng.normal(0, sigma / 1.5), placed[2] + rng.normal(0, sigma / 1.5)
    score = 1 / (1 + np.exp(-rng.normal(sure, 0.9)))
    area = float(size * np.exp(rng.normal(0, 0.35))) if rng.random() < 0.8 else UNKNOWN
    return Sight(placed[0], kind, float(score), float(east), float(north), float(sigma), area, UNKNOWN)


def sights(plan: Plan) -> tuple[Sight, ...]:
    """What the camera reports of one drive, by time. Depths it does not know."""
    way = plan.way
    view = _View(way, np.arange(len(way.s_m)) / WAY_HZ, np.unwrap(np.radians(way.course_deg)))
    found = []
    for number, thing in enumerate(plan.stretch.things):
        rng = np.random.default_rng([plan.pass_seed, 471, number])
        luck = rng.random()
        kind, sure = thing.kind, 1.5
        if thing.harmless:
            kind, sure = _FOOLED.get(thing.kind, ("pothole", 0.0))[0], -0.6
        elif rng.random() < _CONFUSED:
            kind, sure = str(rng.choice(_TAKEN_FOR[thing.kind])), 0.0
        if luck < _chance(plan, thing):
            area = thing.length_m * max(thing.width_m, 0.05)
            sight = _sight(view, rng, kind, sure, thing.s_m + float(rng.normal(0, 0.1)), thing.y_m, area)
            found.append(sight)
    rng = np.random.default_rng([plan.pass_seed, 472])
    first, last = float(plan.way.s_m[0]), float(plan.way.s_m[-1])
    for _ in range(rng.poisson(max(0.0, last - first) * _GHOSTS_PER_M * (2.0 if plan.night or plan.wet else 1.0))):
        kind = str(rng.choice(DEFECT_KEYS))
        found.append(_sight(view, rng, kind, -0.9, float(rng.uniform(first, last)), float(rng.normal(0, 0.9)), 0.3))
    return tuple(sorted((s for s in found if s is not None), key=lambda s: s.t_s))
