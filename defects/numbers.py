"""The constants of the read-out as the filter takes them: integers. It imports the compiler, so the door does not."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from . import filter as days
from .evidence import UNIT
from .health import HealthOptions
from .taxonomy import ALL_TYPES, SEEN_BY, TYPES, UNEVEN

Int64 = NDArray[np.int64]


def logit(p: float) -> float:
    """log(p / (1 - p))."""
    return math.log(p / (1 - p))


def fixed(value: float) -> int:
    """A number as the filter keeps it, with 16 bits of fraction."""
    return round(value * UNIT)


@lru_cache(maxsize=16)
def exposure_share(options: HealthOptions) -> Int64:
    """What a unit of exposure of each class (box, camera, laser) is worth for each type, int64 (3, 19), 16 bits; 0
    where the class cannot see the type. A unit is what it is for a pothole. Of `uneven` a camera says nothing: it does
    not feel; a laser does measure that the road is flat."""
    box_unit = math.log(1 - options.p_hit * TYPES[8].imu_detect)
    camera_unit = math.log(1 - TYPES[8].camera_detect)
    box = [math.log(1 - options.p_hit * t.imu_detect) / box_unit for t in ALL_TYPES]
    camera = [math.log(1 - t.camera_detect) / camera_unit for t in ALL_TYPES]
    laser = [1.0 if "laser" in SEEN_BY.get(t.key, ()) else 0.0 for t in ALL_TYPES]
    box[UNEVEN.number], camera[UNEVEN.number], laser[UNEVEN.number] = 1.0, 0.0, 1.0
    return np.asarray(np.rint(np.array([box, camera, laser]) * UNIT), dtype=np.int64)


@lru_cache(maxsize=16)
def nights(options: HealthOptions) -> Int64:
    """One night: logit before to logit after, int64 (2049,), of a hidden Markov chain of two states."""
    p = 1 / (1 + np.exp(-(days.NIGHT_FROM + days.NIGHT_STEP * np.arange(days.NIGHT_STEPS + 1))))
    after = p * (1 - options.healed_a_day) + (1 - p) * options.new_a_day
    return np.asarray(np.rint(np.log(after / (1 - after)) * UNIT), dtype=np.int64)


@lru_cache(maxsize=64)
def numbers(options: HealthOptions, level: int) -> Int64:
    """The options as the filter takes them, for squares of a level."""
    out = np.zeros(days.OPTIONS, np.int64)
    out[days.PRIOR] = fixed(logit(min(0.4, options.prior * (1 << 4 * level))))
    out[days.FLOOR] = fixed(logit(options.new_a_day))
    out[days.REPEAT] = fixed(options.repeat)
    out[days.MOST_AGAINST] = fixed(options.most_against)
    out[days.ENTER], out[days.LEAVE] = fixed(logit(options.p_defect)), fixed(logit(options.p_keep))
    out[days.FADE] = round(math.exp(-1 / options.exposure_days) * (1 << 32))
    out[days.VALIDITY] = options.validity_days
    out[days.GREEN_ENTER], out[days.GREEN_LEAVE] = fixed(options.green_exposure), fixed(options.keep_exposure)
    out[days.P_GREEN_ENTER] = fixed(logit(options.p_green))
    out[days.P_GREEN_LEAVE] = fixed(logit(options.p_green_keep))
    out[days.SEVERE], out[days.NOT_SEVERE] = round(options.severe * 256), round(options.still_severe * 256)
    out[days.WITNESSES], out[days.CONTRIBUTORS] = options.witnesses, options.public_contributors
    return out
