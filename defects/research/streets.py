"""Streets and drives drawn for the benchmark of fusion: what lies on them is known, and none of it is taken from the
constants of what fuses.

A street is straight, turned against the grid, two lanes in opposite directions. On it lie defects of several types,
each with its own ease of being felt, and harmless things that are taken for one now and then. `fusion_drives` drives
over it. All figures here are proposed, but where a source is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..planes import FELT_TYPES
from ..severity import RED_ALWAYS
from ..taxonomy import BY_KEY

Series = NDArray[np.float64]
LANE_M, LENGTH_M = 3.5, 400.0
NEVER = 10**6
"""Day of what does not happen."""


@dataclass(frozen=True)
class Sort:
    """A sort of thing. share: of all defects, or number on a km of lane of harmless ones. long_m, wide_m: along and
    across, from and to. box, phone: logit of a severe one being felt by a typical device whose wheel meets it whole; of
    harmless ones the mean share of meetings that are taken for a defect. felt: whether an IMU can be expected to feel a
    severe one."""

    share: float
    long_m: tuple[float, float]
    wide_m: tuple[float, float]
    box: float
    phone: float
    felt: bool = True


DEFECTS: dict[str, Sort] = {
    "pothole": Sort(0.28, (0.3, 1.0), (0.3, 0.9), 2.0, 0.8),
    "subsidence": Sort(0.14, (1.5, 4.0), (1.2, 2.8), 1.4, 0.6),
    "faulting": Sort(0.11, (0.1, 0.3), (3.0, 3.5), 2.2, 1.2),
    "frame_level": Sort(0.12, (0.6, 0.8), (0.6, 0.8), 2.0, 1.0),
    "shoving": Sort(0.09, (0.8, 2.5), (0.6, 1.4), 1.2, 0.2),
    "defective_cover": Sort(0.07, (0.6, 0.8), (0.6, 0.8), 2.4, 1.4),
    "broken_slab": Sort(0.07, (1.5, 4.0), (1.5, 3.0), 1.6, 0.6),
    "alligator_crack": Sort(0.05, (1.0, 4.0), (0.8, 2.0), -1.8, -2.8, felt=False),
    "ravelling": Sort(0.03, (1.0, 4.0), (0.8, 2.0), -2.2, -3.0, felt=False),
    "linear_crack": Sort(0.04, (1.0, 5.0), (0.1, 0.3), -9.0, -9.0, felt=False),
}
HARMLESS: dict[str, Sort] = {
    # Shares that are taken for a defect: the recogniser's benchmark (docs/evaluation.md), kinds met in training for the
    # first four, of those it never met for the channel, which only a register tells from a step.
    "speed_bump": Sort(1.0, (0.4, 0.6), (3.5, 3.5), 0.06, 0.12),
    "cover": Sort(8.0, (0.6, 0.8), (0.6, 0.8), 0.02, 0.01),
    "joint": Sort(3.0, (0.05, 0.1), (3.5, 3.5), 0.08, 0.2),
    "rail": Sort(0.4, (1.5, 1.7), (3.5, 3.5), 0.15, 0.12),
    "channel": Sort(0.3, (0.2, 0.4), (3.5, 3.5), 0.5, 0.5),
}


@dataclass(frozen=True)
class Thing:
    """One thing on a lane. s_m, y_m: middle, along the street and left of its axis; ease: logit by which it is felt
    more than its sort, or of a harmless one the share of meetings that are taken for a defect. avoided: chance that a
    driver steers around it. opens, repaired: service days, from the morning on. ordered: a repair order tells of it.
    registered: of harmless ones, whether a register knows it."""

    sort: str
    harmless: bool
    severe: bool
    lane: int
    s_m: float
    y_m: float
    long_m: float
    wide_m: float
    ease: float
    avoided: float = 0.0
    opens: int = -1
    repaired: int = NEVER
    ordered: bool = False
    registered: bool = False

    def there(self, day: int) -> bool:
        """Whether it lies there on a day."""
        return self.opens <= day < self.repaired


@dataclass(frozen=True)
class Street:
    """x_m, y_m: one end, metres of the zone; angle_rad: from east, counter-clockwise."""

    x_m: float
    y_m: float
    angle_rad: float
    things: tuple[Thing, ...]
    length_m: float = LENGTH_M
    lanes: int = 2

    def at(self, s_m: Series, y_m: Series) -> tuple[Series, Series]:
        """Easting and northing of points along the street and left of its axis."""
        c, s = np.cos(self.angle_rad), np.sin(self.angle_rad)
        return self.x_m + s_m * c - y_m * s, self.y_m + s_m * s + y_m * c

    def along(self, x_m: Series, y_m: Series) -> tuple[Series, Series]:
        """The inverse of `at`."""
        c, s = np.cos(self.angle_rad), np.sin(self.angle_rad)
        d_x, d_y = x_m - self.x_m, y_m - self.y_m
        return d_x * c + d_y * s, d_y * c - d_x * s


def lane_y(lane: int) -> float:
    """Middle of a lane, left of the axis: lane 0 goes along the street on the right of it, lane 1 comes back."""
    return -LANE_M / 2 if lane == 0 else LANE_M / 2


def passable(thing: Thing) -> bool:
    """Whether a driver within .4 m of his lane's middle, as nearly all are, would have a wheel over it."""
    off = abs(thing.y_m - lane_y(thing.lane))
    return any(abs(off - wheel) <= thing.wide_m / 2 + 0.1 + 0.4 for wheel in (0.75, 0.9))


def grave(thing: Thing) -> bool:
    """A red defect of a type that an IMU feels."""
    return not thing.harmless and thing.severe and DEFECTS[thing.sort].felt


def draw_street(
    rng: np.random.Generator, *, defects_km: float = 25.0, harmless: float = 1.0, registered: float = 0.7,
    avoided: float = 0.25, days: tuple[int, int] | None = None,
) -> Street:  # fmt: skip
    """A street. defects_km: on a km of lane; harmless: times their natural number; registered: share of them that a
    register knows; avoided: share of the severe holes that most drivers steer around. days: where given, half of the
    defects open in the first third of days[0] to days[1], and a half is repaired in the last half, half of those by an
    order."""
    angle = rng.uniform(np.radians(5), np.radians(85)) + np.pi / 2 * rng.integers(4)
    names, shares = list(DEFECTS), np.array([d.share for d in DEFECTS.values()])
    things: list[Thing] = []
    for lane in (0, 1):
        taken: list[float] = []

        def free(rng: np.random.Generator, long_m: float, taken: list[float] = taken) -> float | None:
            for _ in range(20):
                s = float(rng.uniform(8 + long_m / 2, LENGTH_M - 8 - long_m / 2))
                if all(abs(s - other) > 6.0 for other in taken):
                    taken.append(s)
                    return s
            return None

        for name, sort in HARMLESS.items():
            for _ in range(rng.poisson(harmless * sort.share * LENGTH_M / 1000)):
                s = free(rng, 1.0)
                if s is not None:
                    things.append(_harmless(rng, name, sort, lane, s, registered))
        for _ in range(rng.poisson(defects_km * LENGTH_M / 1000)):
            name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
            sort = DEFECTS[name]
            s = free(rng, sort.long_m[1])
            if s is not None:
                things.append(_defect(rng, name, sort, lane, s, avoided, days))
    return Street(
        float(rng.uniform(227_000, 228_000)), float(rng.uniform(3_353_000, 3_354_000)), float(angle), tuple(things)
    )


def _across(rng: np.random.Generator, lane: int, wide_m: float) -> float:
    """Two of three things lie in a wheel path, which is why they are there; the rest anywhere in the lane."""
    if wide_m >= LANE_M - 0.5:
        return lane_y(lane)
    edge = LANE_M / 2 - wide_m / 2
    off = rng.choice((-1, 1)) * rng.normal(0.82, 0.2) if rng.random() < 0.65 else rng.uniform(-edge, edge)
    return lane_y(lane) + float(np.clip(off, -edge, edge))


def _harmless(rng: np.random.Generator, name: str, sort: Sort, lane: int, s_m: float, registered: float) -> Thing:
    wide = float(rng.uniform(*sort.wide_m))
    share = float(rng.beta(2.0 * sort.box, 2.0 * (1 - sort.box)))  # one cover rattles, the next is never felt
    return Thing(
        name, True, bool(rng.random() < 0.5), lane, s_m, _across(rng, lane, wide), float(rng.uniform(*sort.long_m)),
        wide, share, registered=bool(rng.random() < registered),
    )  # fmt: skip


def _defect(
    rng: np.random.Generator, name: str, sort: Sort, lane: int, s_m: float, avoided: float,
    days: tuple[int, int] | None,
) -> Thing:  # fmt: skip
    wide = float(rng.uniform(*sort.wide_m))
    severe = name in RED_ALWAYS or bool(rng.random() < 0.55)
    hole = severe and name in ("pothole", "defective_cover")
    one = Thing(
        name, False, severe, lane, s_m, _across(rng, lane, wide), float(rng.uniform(*sort.long_m)), wide,
        float(rng.normal(0, 0.8)), avoided=0.85 if hole and rng.random() < avoided else 0.15 if hole else 0.0,
    )  # fmt: skip
    if days is None:
        return one
    first, last = days
    span = last - first
    opens, ends, order = rng.random(3)
    if opens < 0.5:
        one = replace(one, opens=first + int(rng.integers(span // 6, span // 3)))
    if ends < 0.5:
        one = replace(one, repaired=first + int(rng.integers(span // 2, span * 3 // 4)), ordered=bool(order < 0.5))
    return one


def kinds_drawn(rng: np.random.Generator, thing: Thing | None) -> Series:
    """What a recogniser of middling skill says of the kind of one hit: (11,) as of `Strike`. It confuses types that a
    wheel cannot tell apart, and of what is harmless it says anything."""
    said = rng.normal(0, 1.0, len(FELT_TYPES))
    if thing is not None and not thing.harmless and BY_KEY[thing.sort].number in FELT_TYPES:
        said[FELT_TYPES.index(BY_KEY[thing.sort].number)] += 2.2
    p = np.exp(said - said.max())
    return np.asarray(np.log(p / p.sum() * len(FELT_TYPES)))
