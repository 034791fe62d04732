"""What the compiled core needs to know of a thing: the shape of its type, and details drawn from its own seed."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .plan import Thing
from .relief import BOWL, COVER, CRACK, DIP, EDGE, FLAT, GAP, HOLE, HUMP, RAILS, RECT, RUTS, SLABS, STEP, TABLE

_CODE = {
    "linear_crack": CRACK, "alligator_crack": DIP, "shoving": HUMP, "rutting": RUTS, "mud_boil": DIP,
    "ravelling": BOWL, "pothole": BOWL, "edge_break": EDGE, "frame_level": COVER, "pumping": STEP,
    "faulting": STEP, "broken_slab": SLABS, "ponding": DIP, "speed_bump": HUMP, "raised_crosswalk": TABLE,
    "rail": RAILS, "expansion_joint": GAP, "slab_joint": GAP, "sound_cover": COVER, "good_patch": RECT,
    "defective_cover": COVER, "subsidence": DIP, "cobbles": RECT, "net_crack": RECT,
}  # fmt: skip
_BY_SUBTYPE = {"trench": RECT, "collapse": BOWL, "failed_patch": RECT, "missing": HOLE}
_GRAIN_M = {"cobbles": 0.13, "alligator_crack": 0.10}  # size of a stone, of a block between cracks
_ANY_GRAIN_M = 0.15
_SECOND = 2  # purpose of the generator: the details of a thing


@lru_cache(maxsize=8192)
def row(thing: Thing) -> tuple[float, ...]:
    """The figures of a thing in the order of relief.ROW, lengths in metres."""
    rng = np.random.default_rng([thing.seed, _SECOND])
    kind, subtype, h = thing.kind, thing.subtype, thing.height_mm / 1000
    code = _BY_SUBTYPE.get(subtype, _CODE.get(kind, FLAT))
    ragged = rng.uniform(0.0, 1.0, 3) * (0.10, 0.08, 0.06)
    phases = rng.uniform(0, 2 * np.pi, 3)
    # For each thing with texture, `edge` is the size of its coarse grain; for others the width of its rim.
    edge = _GRAIN_M.get(kind, _ANY_GRAIN_M) if thing.texture_mm > 0 else 0.02
    turn, share, one, two = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0, 1)
    tilt, own, own2 = 0.0, 0.0, 0.0
    if code == BOWL:
        own = 2.0 + 3.0 * one if kind == "pothole" else 4.0  # exponent of the superellipse: bowl to steep
    elif subtype == "failed_patch":
        edge, tilt = 0.03 + 0.07 * one, 0.6 * h * share
    elif subtype == "trench":
        edge = 0.08 + 0.22 * one
    elif kind == "good_patch":
        edge = 0.05
    elif code in (COVER, HOLE):
        edge = 0.015
        own = 0.004 * one  # the frame's ring stands that high
        # A sound plate lies in its frame nearly level; a broken or displaced one is level at one side, twice as deep at
        # the other.
        tilt = 0.9 * h if subtype in ("broken", "displaced") else 0.3 * h * share
    elif kind == "shoving":
        own = 1.0 if thing.length_m < 1.5 else max(2.0, float(round(thing.length_m / (0.4 + 0.6 * one))))
        own2 = 0.35
    elif kind == "speed_bump":
        own = 1.0
    elif kind == "raised_crosswalk":
        own = 0.9 + 0.9 * one  # length of a ramp
    elif kind == "rail":
        own = 0.7175  # half the gauge
    elif kind == "expansion_joint":
        own, own2 = 0.02 + 0.06 * one, 0.01 + 0.02 * two  # gap, depth of its seal
    elif kind == "slab_joint":
        own, own2 = 0.005 + 0.01 * one, 0.01
    elif code == CRACK:
        own, own2 = thing.amount / 1000, 0.01 + 0.03 * one  # opening, depth
    return (
        float(code), thing.s_m, thing.y_m, thing.length_m / 2, thing.width_m / 2, h, thing.texture_mm / 1000, edge,
        *map(float, ragged), *map(float, phases), tilt * math.cos(turn), tilt * math.sin(turn),
        float(thing.seed % 2**31), own, own2,
    )  # fmt: skip
