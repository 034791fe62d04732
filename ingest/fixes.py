"""Which fixes of a chunk may be believed, and how far: jumps, drift, street canyons, tunnels, impossible speed.

Positions are held against the speeds and courses that the receiver states. Those come from the Doppler shift and stay
good where reflections throw the position about, so the displacement between two fixes should be what the stated
velocities carry one in that time; what is left over is the **residual**. A chunk whose residuals are all small leaves
after a few sums; most do.

What one chunk cannot show: an error that lasts longer than the chunk (a phone's last for half a minute) moves all fixes
alike and no residual tells it; the stated accuracy must. Without stated speeds only leaps and impossible speed show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Metres = NDArray[np.float64]
Complex = NDArray[np.complex128]
Flags = NDArray[np.bool_]
_RADIUS = 1.5096  # radius that holds 68 % of a round normal, over its sigma on one axis
_FEWEST = 4  # fixes to which a line is fitted: of three, two numbers leave one
_TO_TURN = -1j * math.pi / 180  # of a course: clockwise, so the other way than a number turns
_ZERO = np.zeros(1, dtype=np.complex128)


@dataclass(frozen=True)
class FixOptions:
    """When a fix is believed; all of it stands in the day context.

    max_gap_s: between fixes farther apart there is no position: at 50 km/h a vehicle turns off and back; less than 2 s
    would cut every drive of a phone that loses one fix. most_mps: what a carrier drives at most. A bike or e-bike over
    15 m/s (54 km/h) is a phone in a car, whose jolts would be read on a bike's scale, and less would drop descents; a
    sweeper drives 25 to its depot; a bus is held to 100 km/h by law, and 33 m/s leave room; a car or unknown has 60,
    beyond any road. slack_mps: noise of a stated speed; without it a bike downhill is lost, with 10 a car is a bike.
    jump_m, jump_radii: a residual beyond jump_m + jump_radii of the two stated radii + jump_part of the way
    contradicts. Smaller, and corners taken at 1 Hz or a phone's honest 5 m are thrown out; larger, and a leap of a
    block stays in. agree_part: of that, below which the fixes after a gap agree: at 1 a receiver's first guess after a
    tunnel is believed, at 0.1 honest ones wait for seconds. still_mps: stated, below which a vehicle stands. Larger
    hides a slow one, less makes travel of drift. allowed_m, allowed_part: how far dead reckoning over a chunk is
    itself off (0.2 m, and half a percent of the way); at 0 the noise of a good box's course makes it a bad one, at 5 %
    a box in a canyon keeps its square metres. believed_off: shown wander is let pass up to so many times the stated
    radius, since a few fixes scatter: at 1 half of the honest chunks would be called wrong, at 3 a phone that
    states a third of its error is believed.
    """

    max_gap_s: float = 3.0
    most_mps: dict[str, float] = field(
        default_factory=lambda: {
            "bus": 33.0, "sweeper": 25.0, "car": 60.0, "ebike": 15.0, "bike": 15.0, "unknown": 60.0,
        }
    )  # fmt: skip
    slack_mps: float = 2.0
    jump_m: float = 4.0
    jump_radii: float = 1.5
    jump_part: float = 0.2
    agree_part: float = 0.5
    still_mps: float = 0.5
    allowed_m: float = 0.2
    allowed_part: float = 0.005
    believed_off: float = 1.4


@dataclass(frozen=True)
class FixFaults:
    """What was found in the fixes of a chunk, as counts: fixes seen; jumps dropped; late, not yet trusted after a gap;
    wandering, with an accuracy that had to be widened; too_fast for the carrier; and gaps without any fix."""

    fixes: int = 0
    jumps: int = 0
    late: int = 0
    wandering: int = 0
    too_fast: int = 0
    gaps: int = 0


@dataclass(frozen=True, eq=False)
class Judged:
    """keep: bool (m,), fixes to place samples by. Of the k kept ones: radius_m float64 (k,), the stated accuracy, wider
    where the fixes contradict it; broken bool (k - 1,), stretches between two that have no position; still bool
    (k - 1,), stretches on which the vehicle stands however far its fixes wander."""

    keep: Flags
    radius_m: Metres
    broken: Flags
    still: Flags
    faults: FixFaults


@dataclass(frozen=True, eq=False)
class _Fixes:
    """Columns of m fixes. place: complex, east + 1j north, metres; velocity: complex, not a number where speed or
    course are unknown; speed_mps: -1 unknown."""

    t_s: Metres
    place: Complex
    radius_m: Metres
    speed_mps: Metres
    velocity: Complex

    def at(self, which: Flags | NDArray[np.int64]) -> _Fixes:
        return _Fixes(
            self.t_s[which], self.place[which], self.radius_m[which], self.speed_mps[which], self.velocity[which]
        )


@dataclass(frozen=True, eq=False)
class _Between:
    """Stretches between fixes: residual (complex, as `_Fixes.place`) and its size, the way by the stated speeds, from
    where on a residual contradicts; and which are gaps, too fast for the carrier, contradictions, gaps or
    contradictions, without a course."""

    rest: Complex
    way_m: Metres
    off_m: Metres
    limit_m: Metres
    gap: Flags
    racing: Flags
    torn: Flags
    bad: Flags
    turned: bool


def judge(
    t_s: Metres,
    x_m: Metres,
    y_m: Metres,
    accuracy_m: Metres,
    speed_mps: Metres,
    course_deg: Metres,
    carrier: str,
    options: FixOptions,
) -> Judged:
    """Columns of m >= 1 fixes, rising in time, positions in metres of any plane whose north is within 4 degrees of
    true north; speed and course -1 where unknown. ``carrier`` as in a chunk."""
    m = len(t_s)
    one = _columns(t_s, x_m, y_m, accuracy_m, speed_mps, course_deg)
    most = options.most_mps[carrier] + options.slack_mps
    left, between = one, _between(one, most, options)
    keep = np.ones(m, dtype=bool)
    jumps = late = too_fast = 0
    if between.bad.any():
        if m > 2 and (between.torn & ~between.gap).any():
            keep = _without_jumps(one, between.torn & ~between.gap, most, options)
            jumps = m - int(keep.sum())
        if between.gap.any():
            late_fix = _after_gaps(one.at(keep), most, options)
            late = int(late_fix.sum())
            keep[np.flatnonzero(keep)[late_fix]] = False
        if jumps or late:
            left = one.at(keep)
            between = _between(left, most, options)
        too_fast = int((between.racing & ~between.gap).sum())
    broken = between.bad
    if float(speed_mps.max()) > most:
        fast = left.speed_mps > most
        too_fast += int(fast.sum())
        broken = broken | fast[1:] | fast[:-1]
    radius, wandering = _widened(left, between, options)
    faults = FixFaults(m, jumps, late, wandering, too_fast, int(between.gap.sum()))
    return Judged(keep, radius, broken, _still(left, options), faults)


def judge_all(
    first: NDArray[np.int64],
    t_s: Metres,
    x_m: Metres,
    y_m: Metres,
    accuracy_m: Metres,
    speed_mps: Metres,
    course_deg: Metres,
    carriers: Sequence[str],
    options: FixOptions,
) -> list[Judged]:
    """`judge` of many chunks whose columns stand one behind another: chunk i has the fixes first[i] to first[i + 1].

    Nearly all chunks have nothing that `judge` would find. Those are told here, all at once and by the same sums, and
    only the others are looked at one by one.
    """
    columns = (t_s, x_m, y_m, accuracy_m, speed_mps, course_deg)
    edges = first.tolist()
    by_length: dict[int, list[int]] = {}
    for i, (a, b) in enumerate(pairwise(edges)):
        by_length.setdefault(b - a, []).append(i)
    plain: set[int] = set()
    for m, numbers in by_length.items():
        if m >= _FEWEST:
            most = np.array([[options.most_mps[carriers[i]] + options.slack_mps] for i in numbers])
            at = first[numbers][:, None] + np.arange(m)
            found = _nothing_found(_columns(*(column[at] for column in columns)), most, options)
            plain.update(np.array(numbers)[found].tolist())
    judged = []
    for i, (a, b) in enumerate(pairwise(edges)):
        if i in plain:
            none = np.zeros(b - a - 1, dtype=bool)
            judged.append(Judged(np.ones(b - a, dtype=bool), accuracy_m[a:b], none, none, FixFaults(b - a)))
        else:
            mine = slice(a, b)
            judged.append(
                judge(
                    t_s[mine], x_m[mine], y_m[mine], accuracy_m[mine], speed_mps[mine], course_deg[mine], carriers[i],
                    options,
                )
            )  # fmt: skip
    return judged


def _nothing_found(one: _Fixes, most_mps: Metres, options: FixOptions) -> Flags:
    """Of n chunks with as many fixes each, columns (n, m): those of which `judge` keeps everything as it is stated."""
    dt = one.t_s[:, 1:] - one.t_s[:, :-1]
    step = one.place[:, 1:] - one.place[:, :-1]
    half = dt * 0.5
    way = (one.speed_mps[:, 1:] + one.speed_mps[:, :-1]) * half
    rest = step - (one.velocity[:, 1:] + one.velocity[:, :-1]) * half
    off = np.abs(rest)
    radii = one.radius_m[:, 1:] + one.radius_m[:, :-1]
    limit = options.jump_m + options.jump_radii * radii + options.jump_part * way
    # Not a number, of a course that is not known, is not within any limit.
    well = (off <= limit) & (dt <= options.max_gap_s) & (np.abs(step) - radii <= most_mps * dt)
    steady = (one.speed_mps.max(axis=1) <= most_mps[:, 0]) & (one.speed_mps.min(axis=1) > options.still_mps)
    plain = well.all(axis=1) & steady
    allowed = options.allowed_m + options.allowed_part * way.sum(axis=1)
    near = off.sum(axis=1) <= allowed / 2
    if bool((near | ~plain).all()):
        return np.asarray(plain & near)
    k = one.t_s.shape[1]
    wander = np.concatenate((np.zeros((len(rest), 1)), np.cumsum(rest, axis=1)), axis=1)
    t = one.t_s - one.t_s[:, :1]
    t -= t.sum(axis=1, keepdims=True) / k
    wander -= wander.sum(axis=1, keepdims=True) / k
    wander -= (wander * t).sum(axis=1, keepdims=True) / (t * t).sum(axis=1, keepdims=True) * t
    power = (wander.real**2 + wander.imag**2).sum(axis=1) / (2 * (k - 2))
    shown = np.sqrt(np.maximum(0.0, _RADIUS * _RADIUS * power - allowed * allowed))
    within = (shown[:, None] <= options.believed_off * one.radius_m).all(axis=1)
    return np.asarray(plain & (near | within))


def _columns(
    t_s: Metres, x_m: Metres, y_m: Metres, accuracy_m: Metres, speed_mps: Metres, course_deg: Metres
) -> _Fixes:
    velocity = speed_mps * np.exp(course_deg * _TO_TURN) * 1j
    known = (speed_mps >= 0) & (course_deg >= 0)
    if not known.all():
        velocity[~known] = np.nan
    return _Fixes(t_s, x_m + 1j * y_m, accuracy_m, speed_mps, velocity)


def _between(one: _Fixes, most_mps: float, options: FixOptions) -> _Between:
    """The m - 1 stretches between m fixes.

    Where only speeds are known, the residual is taken along the way (a turn cannot be told from an error across it);
    where nothing is known it is 0.
    """
    dt = one.t_s[1:] - one.t_s[:-1]
    step = one.place[1:] - one.place[:-1]
    chord = np.abs(step)
    half = dt * 0.5
    way = (one.speed_mps[1:] + one.speed_mps[:-1]) * half
    rest = step - (one.velocity[1:] + one.velocity[:-1]) * half
    off = np.abs(rest)
    lost = np.isnan(off)
    turned = bool(lost.any())
    hasty: Flags | None = None
    if turned:
        unknown = (one.speed_mps[1:] < 0) | (one.speed_mps[:-1] < 0)
        way = np.where(unknown, chord, way)
        rest = np.where(lost, step * (1 - way / np.maximum(chord, 1e-9)), rest)
        off = np.abs(rest)
        # Its speed would be that of the leap: not a fault where the radii explain it, but no drive either.
        hasty = unknown & (chord > most_mps * dt)
    radii = one.radius_m[1:] + one.radius_m[:-1]
    limit = options.jump_m + options.jump_radii * radii + options.jump_part * way
    gap = dt > options.max_gap_s
    racing = chord - radii > most_mps * dt
    torn = (off > limit) | racing
    if hasty is not None:
        torn |= hasty
    return _Between(rest, way, off, limit, gap, racing, torn, torn | gap, turned)


def _without_jumps(one: _Fixes, torn: Flags, most_mps: float, options: FixOptions) -> Flags:
    """Which fixes stay when those are dropped that contradict both neighbours while the neighbours agree; runs of up to
    three. An end of the chunk has one neighbour: it goes where the stretch behind that one is whole."""
    m = len(one.t_s)
    keep = np.ones(m, dtype=bool)
    for length in (1, 2, 3):
        first = np.arange(1, m - length)
        for i in first[torn[first - 1] & torn[first + length - 1]].tolist():
            if keep[i - 1 : i + length + 1].all():
                over = _between(one.at(np.array([i - 1, i + length])), most_mps, options)
                # Over several seconds the velocities between are not in the sum: the way may bend by as much again.
                if over.off_m[0] <= 2 * over.limit_m[0] and not over.racing[0]:
                    keep[i : i + length] = False
    if torn[0] and not torn[1] and keep[:3].all():
        keep[0] = False
    if torn[-1] and not torn[-2] and keep[-3:].all():
        keep[-1] = False
    return keep


def _after_gaps(one: _Fixes, most_mps: float, options: FixOptions) -> Flags:
    """Which fixes come after a gap and before two in a row that agree."""
    stretch = _between(one, most_mps, options)
    gap = stretch.gap
    agrees = (stretch.off_m <= options.agree_part * stretch.limit_m) & ~gap & ~stretch.racing
    late = np.zeros(len(one.t_s), dtype=bool)
    for after in (np.flatnonzero(gap) + 1).tolist():
        until = np.flatnonzero(agrees[after:])
        late[after : after + (int(until[0]) if len(until) else len(late))] = True
    return late


def _widened(one: _Fixes, between: _Between, options: FixOptions) -> tuple[Metres, int]:
    """Radii as stated, or as wide as the fixes are seen to wander around the dead-reckoned way, and how many were
    widened.

    The wander is what is left of the summed residuals without their mean and slope (a constant error of speed or
    course); the spread of k fixes after two numbers are fitted falls short by k - 2 in k.
    """
    k = len(one.t_s)
    if k < _FEWEST:
        return one.radius_m, 0
    allowed = options.allowed_m + options.allowed_part * float(between.way_m.sum())
    # Most chunks end here: what is this small widens nothing, whatever its shape.
    if float(between.off_m.sum()) <= allowed / 2:
        return one.radius_m, 0
    rest = np.where(between.gap, 0.0, between.rest) if between.bad.any() else between.rest
    off = np.concatenate((_ZERO, np.cumsum(rest)))
    t = one.t_s - one.t_s[0]
    t -= t.sum() / k
    off -= off.sum() / k
    off -= (off * t).sum() / (t * t).sum() * t
    power = float((off.real**2 + off.imag**2).sum()) / ((k - 2) * (1 if between.turned else 2))
    shown = math.sqrt(max(0.0, _RADIUS * _RADIUS * power - allowed * allowed))
    wide = shown > options.believed_off * one.radius_m
    if not wide.any():
        return one.radius_m, 0
    return np.where(wide, shown, one.radius_m), int(wide.sum())


def _still(one: _Fixes, options: FixOptions) -> Flags:
    """On which stretches the vehicle stands: by its stated speeds, or, where none is known, because over three seconds
    and more the fixes get nowhere."""
    speed = one.speed_mps
    if not len(speed) or float(speed.min()) > options.still_mps:
        return np.zeros(max(len(speed) - 1, 0), dtype=bool)
    still = (speed[1:] <= options.still_mps) & (speed[:-1] <= options.still_mps)
    unknown = (speed[1:] < 0) | (speed[:-1] < 0)
    if not unknown.any():
        return still
    k = len(speed)
    h = min(3, k // 2)
    # From the middle of three fixes to that of the next three: single ones of a parked phone are 10 m apart.
    low = np.clip(np.arange(k - 1) - h + 1, 0, k - 2 * h)
    high = low + 2 * h - 1
    summed = np.concatenate((_ZERO, np.cumsum(one.place)))
    net = np.abs(summed[high + 1] - 2 * summed[low + h] + summed[low]) / h
    # A receiver's first fix may state 65 m: such a one does not show that nobody moved.
    least = 2 * np.minimum(one.radius_m[high], one.radius_m[low])
    nowhere = (net <= least) & (one.t_s[high] - one.t_s[low] >= options.max_gap_s)
    return np.where(unknown, nowhere, still)
