"""Damage and harmless things of the second family, drawn by kind and grade.

Limits of the grades are those of the table of types (CJJ 36 and JTG 5210 as read in code that implements them, or our
proposals); what lies between the limits is proposed. Where the standard counts any occurrence, grade 0 is a beginning
that nobody would yet call one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..plan import Thing

Span = tuple[float, float]


@dataclass(frozen=True)
class Draw:
    """How a kind is drawn. amount: span per grade in `unit`; length_m, width_m: spans; place: where in the lane
    ("path" a wheel path, "any", "middle", "edge" the right edge, "lane" all across); sign: of the height, 0: either;
    height_mm: per grade where the amount is no height; texture_mm: per grade."""

    unit: str
    amount: tuple[Span, Span, Span]
    length_m: Span
    width_m: Span
    place: str
    sign: int = -1
    height_mm: tuple[float, float, float] | None = None
    texture_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


_DRAWS: dict[str, Draw] = {
    "linear_crack": Draw("mm", ((0.8, 2.8), (3.0, 9.5), (10.0, 24.0)), (1.1, 7.0), (0.01, 0.03), "any"),
    "net_crack": Draw(
        "share",
        ((0.001, 0.008), (0.01, 0.095), (0.1, 0.35)),
        (1.5, 8.0),
        (1.0, 3.0),
        "any",
        0,
        (0.0, 0.0, 0.0),
        (0.15, 0.3, 0.5),
    ),
    "alligator_crack": Draw(
        "m2",
        ((0.2, 0.95), (1.1, 5.0), (2.0, 10.0)),
        (0.8, 5.0),
        (0.5, 2.0),
        "path",
        -1,
        (-1.0, -3.0, -7.0),
        (0.5, 1.1, 2.6),
    ),
    "shoving": Draw("mm", ((6.0, 14.0), (15.0, 25.0), (26.0, 60.0)), (0.5, 2.4), (0.7, 1.9), "path", 1),
    "rutting": Draw("mm", ((5.0, 14.0), (15.0, 24.5), (25.0, 48.0)), (8.0, 45.0), (2.3, 2.6), "middle"),
    "subsidence": Draw("mm", ((4.0, 9.5), (10.5, 25.0), (26.0, 85.0)), (1.8, 6.0), (1.2, 3.0), "path"),
    "mud_boil": Draw(
        "mm", ((1.0, 4.0), (5.0, 25.0), (26.0, 55.0)), (0.8, 3.0), (0.8, 2.0), "path", 0, None, (0.5, 1.5, 3.0)
    ),
    "ravelling": Draw(
        "m2",
        ((0.02, 0.095), (0.12, 0.95), (1.1, 8.0)),
        (0.3, 6.0),
        (0.3, 1.8),
        "path",
        -1,
        (-3.0, -6.0, -11.0),
        (1.0, 1.8, 3.0),
    ),
    "pothole": Draw("mm", ((4.0, 8.0), (10.0, 24.0), (26.0, 110.0)), (0.2, 1.1), (0.2, 0.9), "path"),
    "edge_break": Draw("mm", ((1.5, 4.8), (6.0, 48.0), (50.0, 120.0)), (0.8, 6.0), (0.3, 0.7), "edge"),
    "frame_level": Draw("mm", ((5.0, 14.5), (15.5, 29.5), (30.0, 60.0)), (0.72, 1.05), (0.72, 1.05), "path", 0),
    "pumping": Draw(
        "mm", ((0.3, 1.5), (2.0, 23.0), (25.0, 40.0)), (0.3, 1.0), (1.2, 3.4), "any", 0, None, (0.2, 0.4, 0.8)
    ),
    "bleeding": Draw(
        "share", ((0.001, 0.008), (0.01, 0.095), (0.1, 0.4)), (2.0, 20.0), (0.5, 1.2), "path", 0, (0.0, 0.0, 0.0)
    ),
    "faulting": Draw("mm", ((4.0, 14.0), (15.5, 24.5), (25.0, 45.0)), (0.5, 2.8), (3.2, 3.6), "lane", 0),
    "broken_slab": Draw(
        "mm", ((0.8, 1.9), (2.5, 9.5), (10.0, 30.0)), (2.5, 5.0), (2.4, 3.6), "lane", -1, None, (0.2, 0.5, 1.0)
    ),
    "defective_cover": Draw("mm", ((1.0, 4.5), (11.0, 28.0), (12.0, 60.0)), (0.6, 0.8), (0.6, 0.8), "path"),
    "ponding": Draw(
        "m2", ((0.1, 0.45), (0.5, 4.0), (5.0, 20.0)), (1.0, 7.0), (0.6, 3.0), "any", -1, (-4.0, -9.0, -18.0)
    ),
    "litter": Draw("m2", ((0.01, 0.04), (0.05, 0.5), (0.5, 2.0)), (0.2, 1.5), (0.2, 1.2), "any", 1, (5.0, 12.0, 25.0)),
}

LOOK_ALIKES = (
    "rumble_strips",
    "cattle_grid",
    "cable_ramp",
    "manhole_row",
    "branches",
    "kerb_drop",
    "pavement_change",
    "drain_channel",
    "tram_crossing",
)
"""Harmless things that no other part of the project has drawn. They stay below every limit of yellow or are built on
purpose."""


def _span(rng: np.random.Generator, span: Span) -> float:
    return float(rng.uniform(*span))


def _across(rng: np.random.Generator, place: str, width_m: float, lane_m: float) -> float:
    """The middle across the lane, m, for one way of lying in it."""
    room_m = max(0.0, (lane_m - width_m) / 2)
    if place == "path":
        y_m = float(rng.choice([-1.0, 1.0]) * rng.normal(0.78, 0.16))
    elif place == "edge":
        return -lane_m / 2 + width_m / 2 + float(rng.uniform(-0.1, 0.25))
    elif place == "any":
        y_m = float(rng.uniform(-room_m, room_m))
    else:
        y_m = float(rng.normal(0.0, 0.05))
    return float(np.clip(y_m, -room_m, room_m))


def _cover(rng: np.random.Generator, grade: int, amount: float) -> tuple[str, float, float, float]:
    """Subtype, height in mm, amount in mm and looseness of a cover."""
    if grade == 2:
        subtype = str(rng.choice(["missing", "broken", "displaced"], p=[0.4, 0.3, 0.3]))
        if subtype == "missing":
            depth = float(rng.uniform(250, 600))
            return subtype, -depth, depth, 0.0
        if subtype == "broken":
            return subtype, -amount, amount, float(rng.uniform(0.2, 0.8))
        return subtype, amount * 0.7, amount * 0.7, float(rng.uniform(0.1, 0.6))
    subtype = str(rng.choice(["noisy", "sunken", "raised"], p=[0.45, 0.3, 0.25]))
    if subtype == "noisy":
        lift = float(rng.uniform(0.5, 4.0))
        return subtype, -lift, lift, float(rng.uniform(0.5, 1.0) if grade else rng.uniform(0.08, 0.25))
    if subtype == "sunken":
        return subtype, -amount, amount, float(rng.uniform(0, 0.2))
    amount *= 0.6 if grade else 1.0
    return subtype, amount, amount, float(rng.uniform(0, 0.2))


def draw_defect(rng: np.random.Generator, kind: str, grade: int, lane_width_m: float) -> Thing:
    """A defect of one kind and grade (0, 1 or 2) at s = 0, somewhere across a lane of ``lane_width_m``.

    The amount is in mm (openings, depths, steps), m2 (areas) or share (of the section), as the standard measures the
    kind. Raises KeyError for a kind that is none of the types, IndexError for another grade.
    """
    draw = _DRAWS[kind]
    amount = _span(rng, draw.amount[grade])
    length_m, width_m = _span(rng, draw.length_m), min(_span(rng, draw.width_m), lane_width_m)
    sign = draw.sign or float(rng.choice([-1.0, 1.0]))
    height_mm = draw.height_mm[grade] if draw.height_mm is not None else sign * amount
    subtype, rattle, place = "", 0.0, draw.place
    texture_mm = draw.texture_mm[grade] * float(rng.uniform(0.7, 1.4))
    if draw.unit == "m2":
        stretch = float(rng.uniform(0.8, 2.6))
        width_m = float(np.clip(np.sqrt(amount / stretch), 0.1, min(3.0, lane_width_m)))
        length_m = amount / width_m
    elif draw.unit == "share":
        length_m *= 1 + 4 * amount
    if kind == "linear_crack":
        height_mm = -float(rng.uniform(5, 25))
        if rng.random() < 0.6:  # across the lane
            length_m, width_m = amount / 1000, float(rng.uniform(1.2, lane_width_m))
        else:
            width_m = amount / 1000
    elif kind == "pothole":
        if grade == 0:
            length_m, width_m = float(rng.uniform(0.1, 0.16)), float(rng.uniform(0.1, 0.15))
        elif grade == 1:  # below a tenth of a square metre
            length_m, width_m = float(rng.uniform(0.18, 0.36)), float(rng.uniform(0.18, 0.34))
        else:
            length_m = max(length_m, 0.3)
            width_m = max(width_m, 0.3)
            height_mm = -min(amount, 260 * min(length_m, width_m))
            amount = -height_mm
        if grade and rng.random() < 0.2:
            subtype, length_m = "failed_patch", length_m * 1.5
            width_m = min(width_m * 1.3, 1.2) if grade == 2 else width_m / 1.5
    elif kind == "subsidence":
        names, chances = ["settlement", "trench", "collapse"], [0.5, 0.35, 0.15]
        subtype = str(rng.choice(names, p=chances) if grade == 2 else rng.choice(names[:2], p=[0.6, 0.4]))
        if subtype == "trench":
            length_m, width_m, place = float(rng.uniform(0.6, 1.6)), lane_width_m * 0.95, "lane"
        elif subtype == "collapse":
            amount = float(rng.uniform(80, 200))
            height_mm, length_m, width_m = -amount, float(rng.uniform(0.9, 2.2)), float(rng.uniform(0.8, 1.8))
    elif kind == "frame_level":
        subtype = "low" if height_mm < 0 else "high"
    elif kind == "defective_cover":
        subtype, height_mm, amount, rattle = _cover(rng, grade, amount)
        width_m = length_m
    elif kind == "broken_slab":
        rattle = float(rng.uniform(0, 0.3)) if grade == 2 else 0.0
    return Thing(
        kind,
        subtype,
        0.0,
        _across(rng, place, width_m, lane_width_m),
        length_m,
        width_m,
        float(height_mm),
        float(amount),
        draw.unit,
        grade,
        texture_mm=texture_mm,
        rattle=rattle,
        seed=int(rng.integers(2**31)),
    )


def _rumble(rng: np.random.Generator) -> Thing:
    return _harmless(rng, "rumble_strips", _span(rng, (1.5, 4.0)), 3.3, _span(rng, (4.0, 9.0)))


def _cattle_grid(rng: np.random.Generator) -> Thing:
    return _harmless(rng, "cattle_grid", _span(rng, (0.6, 2.2)), 3.3, -_span(rng, (15.0, 35.0)), rattle=0.12)


def _cable_ramp(rng: np.random.Generator) -> Thing:
    return _harmless(rng, "cable_ramp", _span(rng, (0.35, 0.7)), 3.4, _span(rng, (25.0, 50.0)))


def _manhole_row(rng: np.random.Generator) -> Thing:
    y_m = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.0))
    return _harmless(rng, "manhole_row", _span(rng, (2.4, 6.0)), 0.7, _span(rng, (-8.0, 4.5)), y_m=y_m)


def _branches(rng: np.random.Generator) -> Thing:
    y_m = float(rng.uniform(-0.8, 0.8))
    return _harmless(rng, "branches", _span(rng, (0.5, 3.0)), _span(rng, (1.0, 2.4)), _span(rng, (6.0, 22.0)), y_m=y_m)


def _kerb_drop(rng: np.random.Generator) -> Thing:
    return _harmless(rng, "kerb_drop", _span(rng, (1.2, 3.0)), 3.4, _span(rng, (15.0, 40.0)))


def _pavement_change(rng: np.random.Generator) -> Thing:
    texture_mm = _span(rng, (0.4, 1.4))
    return _harmless(rng, "pavement_change", _span(rng, (8.0, 25.0)), 3.4, _span(rng, (-8.0, 8.0)), texture_mm)


def _drain_channel(rng: np.random.Generator) -> Thing:
    return _harmless(rng, "drain_channel", _span(rng, (0.4, 1.1)), 3.4, -_span(rng, (10.0, 30.0)))


def _tram_crossing(rng: np.random.Generator) -> Thing:
    return _harmless(rng, "tram_crossing", _span(rng, (3.0, 6.5)), 3.4, -_span(rng, (5.0, 14.0)), 0.4)


_LOOK_ALIKE_DRAWS: dict[str, Callable[[np.random.Generator], Thing]] = {
    "rumble_strips": _rumble,
    "cattle_grid": _cattle_grid,
    "cable_ramp": _cable_ramp,
    "manhole_row": _manhole_row,
    "branches": _branches,
    "kerb_drop": _kerb_drop,
    "pavement_change": _pavement_change,
    "drain_channel": _drain_channel,
    "tram_crossing": _tram_crossing,
}


def _harmless(
    rng: np.random.Generator,
    kind: str,
    length_m: float,
    width_m: float,
    height_mm: float,
    texture_mm: float = 0.0,
    rattle: float = 0.0,
    y_m: float = 0.0,
) -> Thing:
    return Thing(
        kind, "", 0.0, y_m, length_m, width_m, height_mm, 0.0, "", 0, True, texture_mm, rattle, int(rng.integers(2**31))
    )


def draw_look_alike(rng: np.random.Generator, kind: str) -> Thing:
    """A harmless thing of one of `LOOK_ALIKES` at s = 0, for a lane of 3.5 m. Raises KeyError for another kind."""
    return _LOOK_ALIKE_DRAWS[kind](rng)
