"""What can lie on a road, and what can shake a device without the road: draws of things and acts with varied geometry.

Limits of yellow and red follow the table of the 16 types in the domain notes (CJJ 36 and JTG 5210 as read in code that
implements them, proposals else). Sizes are simulated: ranges that give shapes as one meets them, within the ranges
stated there (pothole radius .15 to .6 m and 25 to 100 mm deep, ruts 1.8 m apart, corrugation .3 to 1 m long, subsidence
up to 80 mm). A thing is drawn at s = 0; who lays it on a stretch replaces s_m.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from defects import TYPES

from .plan import Act, Thing

LOOK_ALIKES = (
    "speed_bump",
    "raised_crosswalk",
    "rail",
    "expansion_joint",
    "slab_joint",
    "sound_cover",
    "good_patch",
    "cobbles",
)
"""Harmless things that are felt like defects."""

ACTS = ("braking", "turning", "handled", "dropped", "typing")
"""Braking and turning move the vehicle and everything in it, the others only a phone."""

GRADES: dict[str, tuple[int, ...]] = {t.key: (0, 1, 2) for t in TYPES}
"""Which grades a type has. Where the standard counts any amount there is none below yellow, and no red of some."""
_ANY_COUNTS = ("net_crack", "mud_boil", "pothole", "pumping", "bleeding", "broken_slab", "defective_cover")
GRADES |= dict.fromkeys(_ANY_COUNTS, (1, 2))
GRADES |= {"ponding": (1,), "litter": (1,)}

WHEEL_PATH_M = 0.9
"""From a lane's middle to the middle of a wheel path: ruts lie 1.8 m apart."""

_ROUND_M = (0.62, 0.76)  # outer diameter of a cover's frame
_Draw = Callable[[np.random.Generator, int, float], Thing]


def _between(rng: np.random.Generator, grade: int, *ranges: tuple[float, float]) -> float:
    """Uniform within the range of the grade."""
    low, high = ranges[grade]
    return float(rng.uniform(low, high))


def _path_y_m(rng: np.random.Generator, lane_m: float, share: float = 0.75, spread_m: float = 0.18) -> float:
    """Across the lane: with probability ``share`` near a wheel path, anywhere in the lane else."""
    if rng.random() < share:
        return float(rng.choice((-WHEEL_PATH_M, WHEEL_PATH_M)) + spread_m * rng.standard_normal())
    return float(rng.uniform(-lane_m / 2 + 0.4, lane_m / 2 - 0.4))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 2**31))


def _thing(
    rng: np.random.Generator,
    kind: str,
    grade: int,
    y_m: float,
    size_m: tuple[float, float],
    height_mm: float,
    amount: tuple[float, str] = (0.0, ""),
    subtype: str = "",
    texture_mm: float = 0.0,
    rattle: float = 0.0,
) -> Thing:
    return Thing(
        kind, subtype, 0.0, y_m, float(size_m[0]), float(size_m[1]), float(height_mm), float(amount[0]), amount[1],
        grade, kind in LOOK_ALIKES, float(texture_mm), float(rattle), _seed(rng),
    )  # fmt: skip


def _linear_crack(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    opening = _between(rng, grade, (1.0, 3.0), (3.0, 10.0), (10.0, 22.0))
    run = rng.uniform(1.0, min(6.0, 2 * lane_m))
    if rng.random() < 0.55:  # along the road, else across
        size, y = (run, rng.uniform(0.05, 0.3)), _path_y_m(rng, lane_m, 0.4)
    else:
        size, y = (rng.uniform(0.05, 0.3), min(run, lane_m)), rng.uniform(-0.3, 0.3)
    return _thing(rng, "linear_crack", grade, y, size, 0.0, (opening, "mm"))


def _net_crack(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    share = _between(rng, grade, (0, 0), (0.01, 0.10), (0.10, 0.35))
    size = (rng.uniform(1.0, 3.0) * (1 + 6 * share), rng.uniform(0.8, lane_m * 0.8))
    return _thing(rng, "net_crack", grade, _path_y_m(rng, lane_m, 0.5), size, 0.0, (share, "share"), "", 0.4 * grade)


def _alligator_crack(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    area = _between(rng, grade, (0.3, 1.0), (1.05, 4.0), (2.0, 10.0))
    width = rng.uniform(0.6, 1.4)
    sunk = -_between(rng, grade, (0, 2), (0, 6), (4, 15))
    texture = _between(rng, grade, (0.3, 0.8), (0.8, 2.0), (2.5, 5.0))
    y = _path_y_m(rng, lane_m, 0.95, 0.12)
    return _thing(rng, "alligator_crack", grade, y, (area / width, width), sunk, (area, "m2"), "", texture)


def _shoving(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    height = _between(rng, grade, (6, 15), (15, 25), (25.5, 50))
    length = rng.uniform(0.5, 1.4) if rng.random() < 0.6 else rng.uniform(1.6, 5.0)  # one hump, or waves
    return _thing(
        rng, "shoving", grade, _path_y_m(rng, lane_m, 0.8), (length, rng.uniform(0.6, 2.0)), height, (height, "mm")
    )


def _rutting(rng: np.random.Generator, grade: int, _lane_m: float) -> Thing:
    depth = _between(rng, grade, (5, 15), (15, 25), (25, 45))
    size = (rng.uniform(12, 60), 2 * WHEEL_PATH_M + 0.6)
    return _thing(rng, "rutting", grade, 0.1 * rng.standard_normal(), size, -depth, (depth, "mm"))


def _subsidence(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    # A collapse is red at once: the ground below is gone.
    shares = (0.45, 0.25, 0.30) if grade == 2 else (0.65, 0.35, 0.0)
    subtype = str(rng.choice(("settlement", "trench", "collapse"), p=shares))
    if subtype == "collapse":
        depth, size = rng.uniform(60, 200), (rng.uniform(0.8, 2.0), rng.uniform(0.8, 1.8))
        y = _path_y_m(rng, lane_m, 0.5)
    else:
        depth = _between(rng, grade, (4, 10), (10, 25), (25.5, 80))
        if subtype == "trench":
            size, y = (rng.uniform(0.6, 1.6), lane_m), 0.0
        else:
            size, y = (rng.uniform(1.6, 4.0), rng.uniform(1.2, lane_m)), _path_y_m(rng, lane_m, 0.5, 0.3)
    return _thing(rng, "subsidence", grade, y, size, -depth, (depth, "mm"), subtype)


def _mud_boil(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    height = _between(rng, grade, (0, 0), (3, 24), (26, 60))
    sign = rng.choice((-1.0, 1.0), p=(0.6, 0.4))
    size = (rng.uniform(0.8, 3.0), rng.uniform(0.7, 2.0))
    y = _path_y_m(rng, lane_m, 0.7)
    return _thing(rng, "mud_boil", grade, y, size, sign * height, (height, "mm"), "", rng.uniform(1, 3))


def _ravelling(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    area = _between(rng, grade, (0.03, 0.1), (0.1, 1.0), (1.0, 8.0))
    width = rng.uniform(0.5, 1.2) * min(1.0, area**0.5)
    texture = _between(rng, grade, (1.0, 2.0), (1.5, 3.5), (2.0, 5.0))
    y = _path_y_m(rng, lane_m, 0.8)
    return _thing(rng, "ravelling", grade, y, (area / width, width), -texture, (area, "m2"), "", texture)


def _pothole(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    patch = rng.random() < 0.2
    if grade == 1:  # shallow and small both, as either makes it red
        depth, size = rng.uniform(12, 24.5), rng.uniform(0.20, 0.33, 2)
    elif patch:  # what was filled and gave way again
        depth, size = rng.uniform(20, 60), rng.uniform(0.4, 1.3, 2)
    else:
        depth, size = rng.uniform(25, 100), 2 * np.exp(rng.uniform(np.log(0.15), np.log(0.6), 2))
        size = np.sqrt(size * size.mean())  # less oblong than two free draws
    y = _path_y_m(rng, lane_m, 0.85, 0.15)
    return _thing(rng, "pothole", grade, y, (size[0], size[1]), -depth, (depth, "mm"), "failed_patch" if patch else "")


def _edge_break(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    depth = _between(rng, grade, (1, 5), (6, 49), (50, 110))
    width = rng.uniform(0.15, 0.7)
    y = -lane_m / 2 + width / 2 - rng.uniform(0, 0.1)
    return _thing(rng, "edge_break", grade, y, (rng.uniform(0.6, 5.0), width), -depth, (depth, "mm"), "", 2.0)


def _cover_y_m(rng: np.random.Generator, lane_m: float) -> float:
    return _path_y_m(rng, lane_m, 0.55, 0.2)


def _frame_level(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    off = _between(rng, grade, (8, 15), (15.5, 30), (30, 60))
    low = rng.random() < 0.7
    across = rng.uniform(*_ROUND_M)
    subtype, sign = ("low", -1) if low else ("high", 1)
    return _thing(
        rng, "frame_level", grade, _cover_y_m(rng, lane_m), (across, across), sign * off, (off, "mm"), subtype
    )


def _pumping(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    step = _between(rng, grade, (0, 0), (0, 10), (25, 40))
    size = (rng.uniform(1.5, 4.0), lane_m * rng.uniform(0.7, 1.0))
    return _thing(rng, "pumping", grade, 0.0, size, rng.choice((-1, 1)) * step, (step, "mm"))


def _bleeding(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    share = _between(rng, grade, (0, 0), (0.01, 0.10), (0.10, 0.4))
    size = (rng.uniform(1.5, 5.0) * (1 + 3 * share), rng.uniform(0.5, 1.2))
    return _thing(rng, "bleeding", grade, _path_y_m(rng, lane_m, 0.9), size, 0.0, (share, "share"))


def _faulting(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    step = _between(rng, grade, (5, 15), (15, 25), (25, 45))
    return _thing(
        rng, "faulting", grade, 0.0, (rng.uniform(2.5, 5.0), lane_m), rng.choice((-1, 1)) * step, (step, "mm")
    )


def _broken_slab(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    moving = grade == 2 and rng.random() < 0.4
    step = _between(rng, grade, (0, 0), (3, 10), (4, 15) if moving else (10, 35))
    size = (rng.uniform(3.0, 5.5), lane_m)
    rattle = rng.uniform(0.3, 0.8) if moving else 0.0
    return _thing(rng, "broken_slab", grade, 0.0, size, -step, (step, "mm"), "", 0.3, rattle)


def _defective_cover(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    names = ("noisy", "sunken", "raised") if grade == 1 else ("missing", "broken", "displaced")
    subtype = str(rng.choice(names, p=(0.5, 0.3, 0.2) if grade == 1 else (0.4, 0.35, 0.25)))
    height, rattle = {
        "noisy": (rng.uniform(-6, 4), rng.uniform(0.35, 1.0)),
        "sunken": (-rng.uniform(10.5, 28), rng.uniform(0, 0.3)),
        "raised": (rng.uniform(5.5, 20), rng.uniform(0, 0.3)),
        "missing": (-rng.uniform(300, 500), 0.0),
        "broken": (-rng.uniform(40, 150), rng.uniform(0.2, 0.8)),
        "displaced": (-rng.uniform(40, 120), rng.uniform(0.3, 0.9)),
    }[subtype]
    amount = (abs(height), "mm") if subtype in ("sunken", "raised") else (0.0, "")
    across = rng.uniform(*_ROUND_M)
    return _thing(
        rng, "defective_cover", grade, _cover_y_m(rng, lane_m), (across, across), height, amount, subtype, 0.0, rattle
    )


def _ponding(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    size = (rng.uniform(1.5, 8.0), rng.uniform(0.8, lane_m))
    y = -lane_m / 2 + size[1] / 2
    return _thing(rng, "ponding", grade, y, size, -rng.uniform(0, 8), (size[0] * size[1], "m2"))


def _litter(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    size = rng.uniform(0.15, 0.9, 2)
    return _thing(rng, "litter", grade, rng.uniform(-lane_m / 2, lane_m / 2), (size[0], size[1]), 0.0)


def _speed_bump(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    short = rng.random() < 0.5  # bolted rubber or steel, else a paved hump
    length = rng.uniform(0.3, 0.5) if short else rng.uniform(1.0, 3.7)
    height = rng.uniform(30, 60) if short else rng.uniform(40, 90)
    return _thing(rng, "speed_bump", grade, 0.0, (length, lane_m), height, subtype="short" if short else "long")


def _raised_crosswalk(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    return _thing(rng, "raised_crosswalk", grade, 0.0, (rng.uniform(5.0, 9.0), lane_m), rng.uniform(60, 120))


def _rail(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    return _thing(rng, "rail", grade, 0.0, (1.6, lane_m), rng.uniform(3, 14) * rng.choice((-1, 1), p=(0.3, 0.7)))


def _expansion_joint(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    height = rng.uniform(3, 14) * rng.choice((-1, 1))
    return _thing(rng, "expansion_joint", grade, 0.0, (rng.uniform(0.2, 0.7), lane_m), height)


def _slab_joint(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    return _thing(rng, "slab_joint", grade, 0.0, (0.12, lane_m), rng.uniform(-4, 4))


def _sound_cover(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    across = rng.uniform(*_ROUND_M)
    return _thing(rng, "sound_cover", grade, _cover_y_m(rng, lane_m), (across, across), rng.uniform(-5, 5))


def _good_patch(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    size = (rng.uniform(0.6, 4.0), rng.uniform(0.6, lane_m * 0.8))
    return _thing(rng, "good_patch", grade, _path_y_m(rng, lane_m, 0.6), size, rng.uniform(-3, 6), texture_mm=0.4)


def _cobbles(rng: np.random.Generator, grade: int, lane_m: float) -> Thing:
    return _thing(rng, "cobbles", grade, 0.0, (rng.uniform(4, 25), lane_m), 0.0, texture_mm=rng.uniform(2.5, 6))


_DEFECTS: dict[str, _Draw] = {
    "linear_crack": _linear_crack, "net_crack": _net_crack, "alligator_crack": _alligator_crack, "shoving": _shoving,
    "rutting": _rutting, "subsidence": _subsidence, "mud_boil": _mud_boil, "ravelling": _ravelling,
    "pothole": _pothole, "edge_break": _edge_break, "frame_level": _frame_level, "pumping": _pumping,
    "bleeding": _bleeding, "faulting": _faulting, "broken_slab": _broken_slab, "defective_cover": _defective_cover,
    "ponding": _ponding, "litter": _litter,
}  # fmt: skip
_HARMLESS: dict[str, _Draw] = {
    "speed_bump": _speed_bump, "raised_crosswalk": _raised_crosswalk, "rail": _rail,
    "expansion_joint": _expansion_joint, "slab_joint": _slab_joint, "sound_cover": _sound_cover,
    "good_patch": _good_patch, "cobbles": _cobbles,
}  # fmt: skip


class UnknownKind(KeyError):
    """No such kind is in the catalogue; the text lists those there are."""


def _of(table: dict[str, _Draw], kind: str) -> _Draw:
    if kind not in table:
        raise UnknownKind(f"{kind!r} is not in the catalogue, which has {', '.join(table)}")
    return table[kind]


def draw_defect(rng: np.random.Generator, kind: str, grade: int, lane_width_m: float = 3.5) -> Thing:
    """One defect of ``kind``, at s = 0, its place across the lane drawn as the type is found.

    grade: 0 below the limit of yellow, 1 yellow, 2 red. Where a type does not have the grade (GRADES) the nearest that
    it has is drawn: the thing's own grade tells. Raises UnknownKind.
    """
    draw = _of(_DEFECTS, kind)
    return draw(rng, min(max(grade, GRADES[kind][0]), GRADES[kind][-1]), lane_width_m)


def draw_look_alike(rng: np.random.Generator, kind: str, lane_width_m: float = 3.5) -> Thing:
    """One harmless thing of LOOK_ALIKES, at s = 0. Raises UnknownKind."""
    return replace(_of(_HARMLESS, kind)(rng, 0, lane_width_m), harmless=True, grade=0)


_DURATION_S = {
    "braking": (0.8, 3.0), "turning": (1.5, 4.0), "handled": (1.0, 8.0), "dropped": (0.3, 0.8), "typing": (2.0, 15.0),
}  # fmt: skip


def draw_act(rng: np.random.Generator, kind: str, t_s: float) -> Act:
    """One act of ACTS that begins at ``t_s``; strength log-uniform from .5 to 2. Raises UnknownKind."""
    if kind not in _DURATION_S:
        raise UnknownKind(f"{kind!r} is not among the acts {', '.join(ACTS)}")
    strength = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
    return Act(kind, t_s, float(rng.uniform(*_DURATION_S[kind])), strength)
