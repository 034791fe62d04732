"""From evidence to a health code, square by square: one table, no doubt hidden in a colour.

Yellow and red differ by severity, never by doubt. Green needs exposure: a square is green for a type only where sensors
able to see that type looked long enough and found nothing. Everything else is grey.

| evidence | code |
|---|---|
| some type: p >= p_defect, strongest of its type within 3 squares, mean severity >= 1.5 | red |
| the same with mean severity < 1.5 | yellow |
| hazards: exposure >= green_exposure, p <= p_green, `uneven` too; fewer than two devices hit that day | green |
| a square of 4 m or more: red and yellow only by k or more devices on a closed day, and nothing else | as above |
| anything else, and everything that nobody passed | grey |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from .code import BLOCK_CELLS, CODE, NO_KIND, Codes, Colour, State
from .evidence import UNIT, BlockEvidence, split_tally
from .planes import DEVICES, EXPOSURE_BOX, HIT_DEVICES, LOGODDS, PASSES, TALLY
from .public import last_public_day, publishable
from .taxonomy import ALL_TYPES, HAZARDS, TYPES, UNEVEN

Series = NDArray[np.float64]
SIDE = 32
HALO = 3
"""Squares around a block that are read with it: the other wheel of a vehicle is 1.8 m away, so a ghost is at most three
squares from what it is a ghost of. At 2 ghosts of rotated streets survive, at 4 two real holes hide one another."""
_WIDE = SIDE + 2 * HALO


@dataclass(frozen=True)
class HealthOptions:
    """Constants of the read-out. Mind that they are frozen with the day context.

    prior: chance that a square metre holds a given defect, before anybody looked. new_a_day, healed_a_day: the daily
    filter's rates. repeat: what a further pass of a device that has passed already counts, against one of a new device.
    green_exposure 3 leaves 5 % of defects unseen. exposure_days: the time in which exposure falls to 1/e. most_against:
    what all quiet passes of one day may say against a defect: without a bound three hundred passes of a morning would
    outvote everybody who falls into the hole that opens at noon. witnesses: so many devices that felt something on one
    day, and the square is not green that day. validity_days: older evidence counts for nothing, not even as a witness.
    public_contributors: coarse squares tell of a day only where so many different phones felt something; with 2 each of
    two neighbours sees the other in the map, with 10 a quiet street is never told of. public_after_days: so many days
    later; with 3 the day is over for 48 h and no chunk of it is taken any more, with less a chunk that comes late
    changes what was told already and stands out as one drive, with more the map is older for nothing.
    """

    prior: float = 1e-4
    p_defect: float = 0.9
    p_green: float = 0.02
    green_exposure: float = 3.0
    exposure_days: float = 30.0
    healed_a_day: float = 1 / 90
    new_a_day: float = 1 / 30_000
    repeat: float = 0.5
    most_against: float = 8.0
    witnesses: int = 2
    validity_days: int = 90
    p_hit: float = 0.76
    confirming_devices: int = 3
    public_contributors: int = 3
    public_after_days: int = 3


_FELT = [t.number for t in TYPES if t.imu_detect > 0 or t.key in ("broken_slab", "defective_cover")]
"""Types whose defects throw a wheel, so that a camera and a jolt at one place speak of the same thing."""


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def _exposure_share(options: HealthOptions) -> Series:
    """What a pothole's unit of exposure is worth for each type, float64 (19,), 0 where an IMU cannot see the type."""
    unit = math.log(1 - options.p_hit * TYPES[8].imu_detect)
    return np.array([math.log(1 - options.p_hit * t.imu_detect) / unit for t in ALL_TYPES])


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of the squares of a block, one row a type: logit, and strength, the evidence itself, fading but
    not squeezed into a chance. Of two squares that are both certain, strength still tells the place from its ghost."""

    logit: Series
    strength: Series
    exposure: Series
    severity: Series
    passes: NDArray[np.int64]
    hit_devices: NDArray[np.int64]
    hit_last_day: NDArray[np.int64]
    coarse: bool


def believe(days: list[tuple[date, BlockEvidence]], today: date, level: int, options: HealthOptions) -> Belief:
    """The two-state filter over the days of one block: each day the belief drifts (healed, newly broken), then the
    day's evidence is added, tempered by how many distinct devices it came from.

    ``days`` may come in any order. Of a coarse block only what is public counts. Arrays of the result are (19, 1024)
    or (1024,).
    """
    n_types = len(ALL_TYPES)
    share = _exposure_share(options)
    prior = _logit(min(0.4, options.prior * (1 << 4 * level)))
    logit = np.full((n_types, BLOCK_CELLS), prior)
    strength = np.zeros((n_types, BLOCK_CELLS))
    exposure = np.zeros(BLOCK_CELLS)
    hit_last_day = np.zeros(BLOCK_CELLS, dtype=np.int64)
    hits_all = np.zeros((n_types, BLOCK_CELLS), dtype=np.int64)
    severity_sum = np.zeros((n_types, BLOCK_CELLS))
    passes = np.zeros(BLOCK_CELLS, dtype=np.int64)
    hit_devices = np.zeros(BLOCK_CELLS, dtype=np.int64)
    last: date | None = None
    # A chunk may be two minutes ahead of the day's end: tomorrow's evidence waits, and no night passes for it.
    newest = last_public_day(today, options) if level else today
    for day, said_on_day in [*sorted((d for d in days if d[0] <= newest), key=lambda d: d[0]), (today, None)]:
        if last is not None and day > last:
            gone = (day - last).days
            p = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
            keep = (1 - options.healed_a_day - options.new_a_day) ** gone
            rest = options.new_a_day / (options.healed_a_day + options.new_a_day)
            p = rest + (p - rest) * keep
            drifted = np.log(p / (1 - p))
            # A prior above the resting level (coarse squares) must not sink by waiting: silence is no evidence.
            logit = np.where(logit > prior, np.maximum(drifted, prior), np.maximum(logit, drifted))
            fade = math.exp(-gone / options.exposure_days)
            exposure *= fade
            strength *= fade
        last = day
        if said_on_day is None or (today - day).days > options.validity_days:
            continue
        evidence = publishable(said_on_day, options.public_contributors) if level else said_on_day
        n_pass = evidence.plane(PASSES)
        n_device = np.bitwise_count(evidence.plane(DEVICES))
        effective = n_device + options.repeat * np.maximum(n_pass - n_device, 0)
        temper = np.where(n_pass > 0, np.minimum(effective / np.maximum(n_pass, 1), 1.0), 1.0)
        looked = evidence.plane(EXPOSURE_BOX) / UNIT * temper
        exposure += looked
        passes += n_pass
        hit_last_day = np.bitwise_count(evidence.plane(HIT_DEVICES)).astype(np.int64)
        hit_devices = np.maximum(hit_devices, hit_last_day)
        for k in range(n_types):
            positive = evidence.plane(LOGODDS + k)
            against = np.minimum(looked * (1.0 if k == UNEVEN.number else share[k]), options.most_against)
            said = positive / UNIT * temper - against
            logit[k] += said
            strength[k] += said
            hits, severity = split_tally(evidence.plane(TALLY + k))
            hits_all[k] += hits
            severity_sum[k] += severity * hits
    return Belief(
        logit=logit,
        strength=strength,
        exposure=exposure[None, :] * share[:, None],
        severity=severity_sum / np.maximum(hits_all, 1),
        passes=passes,
        hit_devices=hit_devices,
        hit_last_day=hit_last_day,
        coarse=level > 0,
    )


def _window_max(wide: Series) -> Series:
    """Maximum within HALO squares on both axes, of (n, 38, 38) for its inner (n, 32, 32)."""
    rows = np.max(np.stack([wide[:, i : i + SIDE, :] for i in range(2 * HALO + 1)]), axis=0)
    return np.asarray(np.max(np.stack([rows[:, :, j : j + SIDE] for j in range(2 * HALO + 1)]), axis=0))


def surround(own: Series, around: dict[tuple[int, int], Series]) -> Series:
    """The (n, 1024) values of a block with those of its neighbours, as (n, 38, 38); -inf where there is none.

    ``around`` maps (column step, row step), each -1, 0 or 1, to the neighbour's (n, 1024) values.
    """
    n = len(own)
    wide = np.full((n, _WIDE, _WIDE), -np.inf)
    for (d_col, d_row), values in {**around, (0, 0): own}.items():
        grid = values.reshape(n, SIDE, SIDE)
        rows, from_rows = _overlap(d_row)
        cols, from_cols = _overlap(d_col)
        wide[:, rows, cols] = grid[:, from_rows, from_cols]
    return wide


def _overlap(step: int) -> tuple[slice, slice]:
    """Where a neighbour's rows (or columns) stand in the wide window, and which of its own they are."""
    if step < 0:
        return slice(0, HALO), slice(SIDE - HALO, SIDE)
    if step > 0:
        return slice(HALO + SIDE, _WIDE), slice(0, HALO)
    return slice(HALO, HALO + SIDE), slice(0, SIDE)


def rivals(belief: Belief, options: HealthOptions) -> Series:
    """Strength of the squares that are believed to hold a defect, float64 (19, 1024); -inf elsewhere."""
    return np.where(belief.logit >= _logit(options.p_defect), belief.strength, -np.inf)


def read_out(belief: Belief, wide: Series, options: HealthOptions) -> Codes:
    """The codes of a block from what is believed of it; ``wide`` is `surround` of the `rivals`.

    A square holds a defect only where no square within the window has more evidence for the same type: the rest are
    ghosts of position error and of the other wheel. (Ties go to both.)
    """
    codes = np.zeros(BLOCK_CELLS, dtype=CODE)
    codes["kind"] = NO_KIND
    # Coarse squares are where phones drive. What one citizen's passes do must not show, not even that they were.
    codes["passes"] = 0 if belief.coarse else np.minimum(belief.passes, 255)
    green_logit = _logit(options.p_green)
    strongest = _window_max(wide).reshape(len(ALL_TYPES), BLOCK_CELLS)
    own = rivals(belief, options)
    found = np.isfinite(own) & (own >= strongest)
    if belief.coarse:
        found &= belief.hit_devices >= options.public_contributors
    # One defect, one type: where a camera names, here or close by, what wheels can feel, it explains the jolt.
    found[UNEVEN.number] &= ~np.isfinite(strongest[_FELT]).any(axis=0)
    named = found[1:].any(axis=0)
    worst_named = np.where(found[1:], belief.severity[1:] * 1e3 + belief.logit[1:], -np.inf).argmax(axis=0) + 1
    kind = np.where(named, worst_named, 0)
    any_found = named | found[0]
    severity = np.take_along_axis(belief.severity, kind[None, :], axis=0)[0]
    red = any_found & (severity >= 1.5)
    even = belief.logit[UNEVEN.number] <= green_logit
    seen = np.zeros(BLOCK_CELLS, dtype=np.uint32)
    green = even & (belief.hit_last_day < options.witnesses)
    for t in TYPES:
        well = (belief.exposure[t.number] >= options.green_exposure) & (belief.logit[t.number] <= green_logit) & even
        seen |= np.where(well, np.uint32(1 << t.number - 1), np.uint32(0))
        if t.number in HAZARDS:
            green &= well
    nothing_worse = (belief.logit <= green_logit).all(axis=0)
    codes["seen"] = seen
    codes["colour"] = np.where(
        red, Colour.RED, np.where(any_found, Colour.YELLOW, np.where(green & nothing_worse, Colour.GREEN, Colour.GREY))
    )
    codes["kind"] = np.where(any_found, kind, NO_KIND)
    both = found[_FELT].any(axis=0) & np.isfinite(strongest[UNEVEN.number])
    sure = (belief.hit_devices >= options.confirming_devices) | both
    codes["state"] = np.where(any_found, np.where(sure, State.CONFIRMED, State.SUSPECTED), State.NONE)
    return codes
