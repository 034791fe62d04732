"""Drives over drawn streets: drivers who wander and swerve, boxes that lose their correction, phones that are metres
off for minutes, and a recogniser that misses, errs, and is wrong about how sure it is.

A drive is `Passage`s of five seconds, as a box sends chunks, so that it takes the same way into the evidence. What the
recogniser would have said is drawn: hits of defects have log ratios around 3.5, false ones around 1.25, which would be
honest if devices did not overstate them by a tenth or two. All figures are proposed, but where a source is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..passage import Passage, Strike
from ..severity import RED_DEPTH_MM
from .streets import DEFECTS, HARMLESS, LANE_M, Street, Thing, kinds_drawn, lane_y

Series = NDArray[np.float64]
STEP_M = 0.2
CHUNK_M, CONTEXT_M = 50.0, 15.0
PER_M = 0.02
"""Candidates on a metre of healthy road, as the cards of the shipped models state it; so many, not so many hits."""
FALSE_KM = {"box": 1.2, "phone": 1.5}
"""Hits on a km of healthy road that nothing explains, by a typical device on a typical drive."""
MOST_SURE = 8.0
SILENT_SHOWN = {"box": (0.78, 0.82, 0.84), "phone": (0.6, 0.62, 0.6)}
"""What the recogniser believes of its own chance to show a severe pothole, below 25, 35 and from 35 km/h on. Of the
things drawn it is true on average, and of no one thing."""


@dataclass(frozen=True)
class Device:
    """One box or phone. number; gain: logit by which it feels more than others; boast: what it multiplies its log
    ratios with; half_m: true half of its vehicle's track; off_m: how far its antenna is from where it is thought to be,
    across the way; noise: how many more false hits than a typical one."""

    number: int
    kind: str
    carrier: str
    gain: float
    boast: float
    half_m: float
    off_m: float
    noise: float


@dataclass(frozen=True, eq=False)
class Drive:
    """Passages of one drive, and where the wheels truly rolled fast enough to feel: along and across the street. met:
    numbers of the street's things that a wheel rolled over then."""

    passages: tuple[Passage, ...]
    met: tuple[int, ...]
    s_m: Series
    wheels_y_m: Series


def draw_device(rng: np.random.Generator, number: int, kind: str) -> Device:
    """One device of a fleet: boxes ride on buses, phones in cars."""
    bus = kind == "box"
    return Device(
        number, kind, "bus" if bus else "car", float(rng.normal(0, 0.4)), float(rng.normal(1.15, 0.12)),
        float(rng.uniform(0.82, 0.98) if bus else rng.uniform(0.7, 0.82)), float(rng.normal(0, 0.05 if bus else 0.2)),
        float(rng.lognormal(0, 0.5)),
    )  # fmt: skip


def wander(rng: np.random.Generator, n: int, sigma: float, long_m: float) -> Series:
    """A normal walk of n steps of STEP_M that returns: standard deviation sigma, memory of long_m."""
    few = n // 10 + 2
    keep = float(np.exp(-10 * STEP_M / long_m))
    at = float(rng.normal(0, sigma))
    knots = []
    for step in rng.normal(0, sigma * np.sqrt(1 - keep * keep), few).tolist():
        at = at * keep + step
        knots.append(at)
    return np.asarray(np.interp(np.arange(n) / 10, np.arange(few), knots), dtype=np.float64)


def _way(rng: np.random.Generator, street: Street, lane: int, half_m: float, day: int, s: Series) -> Series:
    """Where the vehicle's middle is, left of the axis, at each s: a habit, a wander, swerves around what is seen."""
    y = lane_y(lane) + float(np.clip(rng.normal(0, 0.2), -0.4, 0.4)) + wander(rng, len(s), 0.1, 40.0)
    for thing in street.things:
        if thing.lane != lane or not thing.avoided or not thing.there(day) or rng.random() >= thing.avoided:
            continue
        clear = thing.wide_m / 2 + 0.2 + float(rng.uniform(0.05, 0.3))
        off = thing.y_m - float(np.interp(thing.s_m, s, y))
        # The least that takes both wheels off it: it passes between them, or beside one.
        moves = [off - w + sign * clear for w in (-half_m, half_m) for sign in (-1, 1)]
        good = [m for m in moves if all(abs(off - m - w) >= clear - 1e-6 for w in (-half_m, half_m))]
        move = min(good or moves, key=abs)
        bow = np.clip(1.4 - np.abs(s - thing.s_m) / (thing.long_m / 2 + 12.0), 0.0, 1.0)
        y = y + move * (3 * bow**2 - 2 * bow**3)
    return np.asarray(np.clip(y, lane_y(lane) - LANE_M / 2 + 0.3, lane_y(lane) + LANE_M / 2 - 0.3))


def _errors(rng: np.random.Generator, kind: str, n: int) -> tuple[Series, Series, Series]:
    """Errors of place along and across, and the standard deviation that the receiver states, metres."""
    if kind == "phone":
        sigma = float(np.clip(rng.lognormal(np.log(3.0), 0.4), 1.3, 8.0))  # radius (68 %) of 2 to 12 m, half to 4.5
        growth = np.exp(wander(rng, n, 0.25, 150.0))
        true = sigma * growth
        stated = true * rng.lognormal(0, 0.3)
        return wander(rng, n, 1.0, 250.0) * true, wander(rng, n, 1.0, 250.0) * true, stated
    true = np.full(n, float(np.clip(rng.lognormal(np.log(0.07), 0.5), 0.03, 0.3)))
    if rng.random() < 0.12:  # correction lost for 50 to 200 m: the error grows, and is stated
        a = int(rng.integers(n))
        b = min(n, a + int(rng.uniform(50, 200) / STEP_M))
        true[a:b] += np.linspace(0, float(rng.uniform(0.3, 2.0)), b - a)
    stated = true * rng.lognormal(0, 0.25)
    return wander(rng, n, 1.0, 150.0) * true, wander(rng, n, 1.0, 150.0) * true, stated


def _overlap(thing: Thing, wheel_y: float) -> float:
    """Share of a tyre (.2 m), or of a thing narrower than it, that the other covers."""
    both = min(wheel_y + 0.1, thing.y_m + thing.wide_m / 2) - max(wheel_y - 0.1, thing.y_m - thing.wide_m / 2)
    return float(np.clip(both / min(0.2, thing.wide_m), 0.0, 1.0))


def _meets(
    rng: np.random.Generator, street: Street, lane: int, device: Device, day: int, s: Series, wheels: Series,
    speed: Series, luck: dict[tuple[int, int], float],
) -> tuple[list[tuple[int, Strike]], list[int]]:  # fmt: skip
    """Strikes of what the wheels meet (index of the moment, strike), among them moments where a defect was nearly told;
    and the numbers of the things met."""
    met: list[int] = []
    found: list[tuple[int, Strike]] = []
    for number, thing in enumerate(street.things):
        if thing.lane != lane or not thing.there(day):
            continue
        i = int(np.clip(np.searchsorted(s, thing.s_m), 0, len(s) - 1))
        share = [_overlap(thing, float(w[i])) for w in wheels]
        if max(share) < 0.15 or speed[i] < 15 / 3.6:
            continue
        met.append(number)
        sort = (HARMLESS if thing.harmless else DEFECTS)[thing.sort]
        base = sort.box if device.kind == "box" else sort.phone
        if thing.harmless:
            felt = thing.ease * base / sort.box > rng.random()
        else:
            # A device misses some things again and again: how it passes them, how its mounting answers.
            salt = luck.setdefault((device.number, number), float(rng.normal(0, 0.5)))
            logit = base + thing.ease + device.gain + salt - (0 if thing.severe else 1.8)
            logit += 2.0 * np.log(max(share)) - 0.15 * abs(speed[i] - 10.0)
            felt = bool(rng.random() < 1 / (1 + np.exp(-logit)))
        at = int(np.clip(i + (rng.normal(0, 0.3) + rng.uniform(-0.4, 0.4) * thing.long_m) / STEP_M, 0, len(s) - 1))
        if felt:
            found.append((at, _strike(rng, device, thing, share)))
        elif not thing.harmless and rng.random() < 0.4:
            # It stood out, but not enough to be called: silence may not say more than the recogniser's doubt.
            found.append((at, Strike(at, 0.0, 0.0, 0.0, float(np.exp(rng.normal(-0.6, 0.8))))))
    return found, met


def _strike(rng: np.random.Generator, device: Device, thing: Thing | None, share: list[float]) -> Strike:
    """One hit with what a recogniser says of it. thing: None for what nothing explains."""
    real = thing is not None and not thing.harmless
    ratio = float(rng.normal(3.5, 1.5) if real else rng.normal(1.25, 1.5)) * device.boast
    ratio = float(np.clip(ratio, -1.5 if real else -0.25, MOST_SURE))
    side = 0.0
    if device.kind == "box":
        both = abs(share[0] - share[1]) < 0.5
        clear = 0.0 if both else (1.0 if share[0] > share[1] else -1.0)
        side = float(np.clip(rng.normal(0.7 * clear, 0.2), -1, 1))
    middle = 1.3 if thing is None else (2.05 if thing.severe else 1.25)
    severity = float(np.clip(rng.normal(middle, 0.45), 0.3, 3.0))
    deep = RED_DEPTH_MM.get(thing.sort, 25.0) if thing is not None else 25.0
    size = deep * (1.5 if thing is not None and thing.severe else 0.6) * float(rng.lognormal(0, 0.35))
    shown = 0.86 if device.kind == "box" else 0.6
    return Strike(
        0, side, severity, shown, PER_M * float(np.exp(-ratio)), kinds_drawn(rng, thing) if ratio > 0 else None, size
    )


def _false(rng: np.random.Generator, device: Device, n: int) -> list[tuple[int, Strike]]:
    """Hits that nothing on the road explains, some of them in bursts: a load that shifts, a phone that is handled."""
    rate = FALSE_KM[device.kind] * device.noise * STEP_M / 1000
    hits = np.flatnonzero(rng.random(n) < rate).tolist()
    if rng.random() < 0.05:
        a = int(rng.integers(n))
        hits += (a + np.flatnonzero(rng.random(min(n - a, 200)) < 0.02)).tolist()
    share = rng.random(2).tolist()
    return [(int(i), _strike(rng, device, None, share)) for i in hits]


def drive(
    rng: np.random.Generator, street: Street, lane: int, device: Device, day: int, luck: dict[tuple[int, int], float]
) -> Drive:
    """One device drives along one lane on a service day. luck: what each device misses again and again, by (device,
    thing); it is filled on the way, and belongs to one fleet on one street."""
    n = int(street.length_m / STEP_M)
    s: Series = (np.arange(n, dtype=np.float64) + 0.5) * STEP_M
    y = _way(rng, street, lane, device.half_m, day, s)
    base = float(np.clip(rng.normal(9.5, 2.0), 4.5, 16.0))
    speed = np.maximum(base * (1 + wander(rng, n, 0.12, 80.0)), 1.5)
    left = 1.0 if lane == 0 else -1.0  # the left wheel is left of the way, and lane 1 comes back
    wheels = np.stack([y + left * device.half_m, y - left * device.half_m])
    hits, met = _meets(rng, street, lane, device, day, s, wheels, speed, luck)
    hits += _false(rng, device, n)
    along, across, stated = _errors(rng, device.kind, n)
    x_m, y_m = street.at(s + along, y + across + device.off_m)
    d_y = np.gradient(y, STEP_M)
    heading = street.angle_rad + np.arctan(d_y) + (0.0 if lane == 0 else np.pi)
    able = speed >= 15 / 3.6
    bins = np.searchsorted((25 / 3.6, 35 / 3.6), speed, side="right")
    whole = Passage(
        kind=device.kind, carrier=device.carrier, x_m=x_m, y_m=y_m, u_x=np.cos(heading), u_y=np.sin(heading),
        sigma_m=stated, step_m=np.where(able, STEP_M, 0.0), owned=np.ones(n, dtype=bool), silent=np.ones(n, dtype=bool),
        shown=np.array(SILENT_SHOWN[device.kind])[bins], most=np.full(n, np.inf), strikes=(),
        apart=int(0.35 * base / STEP_M),
    )  # fmt: skip
    return Drive(_cut(whole, hits, lane == 1), tuple(met), s[able], wheels[:, able])


def _cut(whole: Passage, hits: list[tuple[int, Strike]], back: bool) -> tuple[Passage, ...]:
    """The drive in pieces that own CHUNK_M each and know CONTEXT_M on both sides; of a lane that comes back, from its
    other end on. A strike that shows nothing is a doubt: there silence says no more than its ``per_m``."""
    n, most = len(whole.x_m), whole.most.copy()
    for i, one in hits:
        if one.shown == 0:
            part = most[max(0, i - whole.apart) : i + whole.apart + 1]
            np.minimum(part, one.per_m, out=part)
    strikes = [(i, one) for i, one in hits if one.shown > 0]
    size, more = int(CHUNK_M / STEP_M), int(CONTEXT_M / STEP_M)
    pieces = []
    for a in range(0, n, size):
        low, high = max(0, a - more), min(n, a + size + more)
        at = np.arange(low, high)[:: -1 if back else 1]
        mine = []
        for i, one in strikes:
            if low <= i < high:
                index = high - 1 - i if back else i - low
                mine.append(replace(one, at=index, mine=a <= i < a + size))
        arrays = {
            name: getattr(whole, name)[at]
            for name in ("x_m", "y_m", "u_x", "u_y", "sigma_m", "step_m", "silent", "shown")
        }
        own = (at >= a) & (at < a + size)
        pieces.append(replace(whole, **arrays, owned=own, most=most[at], strikes=tuple(sorted(mine, key=_when))))
    return tuple(pieces)


def _when(one: Strike) -> int:
    return one.at
