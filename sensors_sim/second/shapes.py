"""What a thing does to the height of the road, by its kind: ragged polygons, parabolic dips, chamfered steps, lopsided
humps, bars, sticks. All figures here are proposed; details come from the thing's own seed, the same for every pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..plan import Series, Thing

Shape = Callable[[Thing, np.random.Generator, Series, Series], Series]
_GRAIN_M = 0.05  # finer, and the tyre bridges it anyway; coarser, and ravelling turns into waves
_DEEPEST_MM = 400.0  # deeper a wheel does not reach bottom at any speed; the numbers only grow


def _ramp(x: Series, low: float, high: float) -> Series:
    """0 below ``low``, 1 above ``high``, straight between: a chamfer."""
    return np.clip((x - low) / (high - low), 0.0, 1.0)


def _inside(thing: Thing, u: Series, w: Series, chamfer_m: float) -> Series:
    """1 on the thing's rectangle, falling to 0 over a chamfer within it."""
    a, b = thing.length_m / 2, thing.width_m / 2
    return np.clip((a - np.abs(u)) / min(chamfer_m, a), 0, 1) * np.clip((b - np.abs(w)) / min(chamfer_m, b), 0, 1)


def _ragged(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    """Distance from the middle of an irregular polygon inscribed in the thing's ellipse, 1 at its rim."""
    corners = int(rng.integers(6, 11))
    angle = np.sort(rng.uniform(-np.pi, np.pi, corners))
    radius = rng.uniform(0.82, 1.1, corners)
    x, y = u / (thing.length_m / 2), w / (thing.width_m / 2)
    rim = np.interp(np.arctan2(y, x), angle, radius, period=2 * np.pi)
    return np.asarray(np.hypot(x, y) / rim)


def _grain(rng: np.random.Generator, u: Series, w: Series) -> Series:
    """Unit random unevenness of the thing's own: values on a lattice, straight between along the road."""
    table = rng.standard_normal(1024)
    row = np.floor(w / 0.11).astype(np.int64) * 37
    at = u / _GRAIN_M
    cell = np.floor(at).astype(np.int64)
    part = at - cell
    return np.asarray(1.22 * (table[(cell + row) % 1024] * (1 - part) + table[(cell + 1 + row) % 1024] * part))


def _hole(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    rho = _ragged(thing, rng, u, w)
    rim = rng.uniform(0.2, 0.45)
    bowl = np.clip((1 - rho) / rim, 0, 1) * (1 - rng.uniform(0, 0.3) * np.clip(rho, 0, 1))
    if thing.subtype == "failed_patch":  # half of the patch is still there, and proud
        bowl = bowl * np.where(u < rng.uniform(-0.2, 0.2) * thing.length_m, 1.0, -0.25)
    return np.asarray(thing.height_mm * bowl)


def _dip(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    lean = rng.uniform(-0.35, 0.35)
    x, y = u / (thing.length_m / 2), w / (thing.width_m / 2)
    x = np.where(x > lean, (x - lean) / (1 - lean), (x - lean) / (1 + lean))
    return np.asarray(thing.height_mm * np.clip(1 - x * x, 0, 1) * np.clip(1 - y * y, 0, 1) ** 0.5)


def _subsidence(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    if thing.subtype == "trench":
        return thing.height_mm * _inside(thing, u, w, 0.22 * thing.length_m)
    if thing.subtype == "collapse":
        return thing.height_mm * np.clip((1 - _ragged(thing, rng, u, w)) / 0.3, 0, 1)
    return _dip(thing, rng, u, w)


def _hump(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    """One to three lopsided crests: slow up, quick down, as braking wheels push them."""
    crests = int(rng.integers(1, 1 + max(1, min(3, round(thing.length_m / 0.7)))))
    along = (u / thing.length_m + 0.5) * crests
    phase, number = np.mod(along, 1.0), np.clip(np.floor(along), 0, crests - 1).astype(np.int64)
    top = rng.uniform(0.6, 0.75)
    rise = np.where(phase < top, phase / top, (1 - phase) / (1 - top))
    size = rng.uniform(0.55, 1.0, crests)
    size[int(rng.integers(crests))] = 1.0
    y = w / (thing.width_m / 2)
    inside = (np.abs(u) < thing.length_m / 2) & (np.abs(y) < 1)
    return np.asarray(np.where(inside, thing.height_mm * rise * rise * (3 - 2 * rise) * size[number] * (1 - y**4), 0.0))


def _ruts(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    ends = _ramp(thing.length_m / 2 - np.abs(u), 0.0, min(4.0, thing.length_m / 3))
    half = rng.uniform(0.26, 0.4)
    trough = np.clip(1 - ((np.abs(w) - 0.85) / half) ** 2, 0, 1)
    swell = 0.25 * np.clip(1 - ((np.abs(w) - 0.85 + 1.35 * half) / (0.4 * half)) ** 2, 0, 1)
    return np.asarray(thing.height_mm * ends * (trough - swell))


def _mud(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    waves = np.cos(2 * np.pi * u / rng.uniform(0.5, 1.1) + rng.uniform(0, 6)) * 0.5 + 0.5
    return np.asarray(thing.height_mm * _inside(thing, u, w, 0.3) * (0.35 + 0.65 * waves))


def _patch(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    return np.asarray(thing.height_mm * np.clip((1 - _ragged(thing, rng, u, w)) / 0.12, 0, 1) * 0.6)


def _crack(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    opening = thing.amount / 1000
    if thing.length_m < thing.width_m:
        u = u - 0.06 * np.sin(w * rng.uniform(2, 5) + rng.uniform(0, 6))
        return np.asarray(thing.height_mm * np.clip(1.5 - np.abs(u) / opening, 0, 1) * (np.abs(w) < thing.width_m / 2))
    w = w - 0.05 * np.sin(u * rng.uniform(1, 4) + rng.uniform(0, 6))
    return np.asarray(thing.height_mm * np.clip(1.5 - np.abs(w) / opening, 0, 1) * (np.abs(u) < thing.length_m / 2))


def _edge(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    """Broken off to the right of a jagged line; the shoulder lies lower."""
    n = max(3, round(thing.length_m / 0.25))
    line = np.interp(u, np.linspace(-0.5, 0.5, n) * thing.length_m, rng.uniform(-0.4, 0.4, n) * thing.width_m)
    ends = np.clip((thing.length_m / 2 - np.abs(u)) / 0.12, 0, 1)
    return np.asarray(thing.height_mm * ends * np.clip((line + 0.15 * thing.width_m - w) / 0.06, 0, 1))


def _frame(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    """A sunken or proud frame in the middle of its square, the surfacing worn towards it."""
    apron = rng.uniform(0.0, 0.3)
    flat = _inside(thing, u, w, 0.03)
    return np.asarray(thing.height_mm * ((1 - apron) * flat + apron * _inside(thing, u, w, 0.25)))


def _step(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    """A joint: up or down over a chamfer, then back along the tilted slab."""
    at, chamfer = -0.35 * thing.length_m, rng.uniform(0.008, 0.03)
    skew = rng.uniform(-0.08, 0.08)
    x = u - skew * w
    back = np.clip((thing.length_m / 2 - x) / (0.85 * thing.length_m), 0, 1)
    return np.asarray(thing.height_mm * _ramp(x, at, at + chamfer) * back * (np.abs(w) < thing.width_m / 2))


def _pieces(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    """A slab in four to eight pieces, each sunken and tilted on its own."""
    n = int(rng.integers(4, 9))
    x, y = rng.uniform(-0.5, 0.5, n) * thing.length_m, rng.uniform(-0.5, 0.5, n) * thing.width_m
    level = rng.uniform(0.0, 1.0, n)
    level[int(rng.integers(n))] = 1.0
    tilt = rng.uniform(-0.25, 0.25, n)
    nearest = np.argmin((u[..., None] - x) ** 2 + (w[..., None] - y) ** 2, axis=-1)
    inside = (np.abs(u) < thing.length_m / 2) & (np.abs(w) < thing.width_m / 2)
    return np.asarray(np.where(inside, thing.height_mm * (level[nearest] + tilt[nearest] * (u - x[nearest])), 0.0))


def _cover(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    r = np.hypot(u, w) / (thing.length_m / 2)
    if thing.subtype == "missing":
        return np.asarray(max(thing.height_mm, -_DEEPEST_MM) * np.clip((1 - r) / 0.06, 0, 1))
    disc = np.clip((1 - r) / 0.08, 0, 1)
    if thing.subtype == "displaced":  # one edge up on the frame, a slot open behind it
        turn = rng.uniform(-np.pi, np.pi)
        lean = (u * np.cos(turn) + w * np.sin(turn)) / (thing.length_m / 2)
        return np.asarray(thing.height_mm * disc * np.where(lean > -0.55, 0.5 + 0.5 * lean, -3.0))
    if thing.subtype == "broken":
        turn = rng.uniform(-np.pi, np.pi)
        gone = (u * np.cos(turn) + w * np.sin(turn)) / (thing.length_m / 2) > rng.uniform(-0.3, 0.4)
        return np.asarray(thing.height_mm * disc * np.where(gone, 1.5, 0.25))
    return np.asarray(thing.height_mm * disc)


def _litter(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    """Soft things: a wheel flattens three quarters of their height."""
    return np.asarray(0.25 * thing.height_mm * np.clip(1 - _ragged(thing, rng, u, w), 0, 1))


def _bars(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    pitch, share = (rng.uniform(0.25, 0.45), 0.35) if thing.height_mm > 0 else (rng.uniform(0.11, 0.18), 0.45)
    phase = np.mod(u, pitch) / pitch / share
    inside = (np.abs(u) < thing.length_m / 2) & (np.abs(w) < thing.width_m / 2)
    return np.asarray(np.where(inside & (phase < 1), thing.height_mm * 4 * phase * (1 - phase), 0.0))


def _trapezoid(thing: Thing, _rng: np.random.Generator, u: Series, w: Series) -> Series:
    return thing.height_mm * _inside(thing, u, w, 0.36 * thing.length_m)


def _row_of_covers(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    total = np.zeros(np.broadcast(u, w).shape)
    places = np.arange(-thing.length_m / 2 + 0.35, thing.length_m / 2 - 0.3, rng.uniform(1.1, 1.9))
    for place in places:
        level = thing.height_mm * rng.uniform(0.3, 1.0)
        total = total + level * np.clip((1 - np.hypot(u - place, w) / 0.34) / 0.1, 0, 1)
    return total


def _sticks(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    total = np.zeros(np.broadcast(u, w).shape)
    for _ in range(int(rng.integers(3, 9))):
        place, skew = rng.uniform(-0.48, 0.48) * thing.length_m, rng.uniform(-0.6, 0.6)
        thick = rng.uniform(0.3, 1.0) * thing.height_mm
        across = np.clip(1 - (np.abs(u - place - skew * w) / (1.2 * thick / 1000 + 0.004)) ** 2, 0, 1)
        total = np.maximum(total, 0.6 * thick * across)
    return np.asarray(np.where((np.abs(u) < thing.length_m / 2) & (np.abs(w) < thing.width_m / 2), total, 0.0))


def _rails(thing: Thing, rng: np.random.Generator, u: Series, w: Series) -> Series:
    """Grooves of two rails at an angle across the lane, with a lip of a few millimetres."""
    skew = rng.uniform(0.3, 0.9) * rng.choice([-1.0, 1.0])
    half = 0.72 * np.hypot(1, skew)
    total = np.zeros(np.broadcast(u, w).shape)
    for place in (-half, half):
        x = u - skew * w - place
        total = total + thing.height_mm * np.clip(1.5 - np.abs(x) / 0.045, 0, 1)
        total = total + rng.uniform(1.0, 4.0) * np.clip(1.5 - np.abs(x - 0.12) / 0.06, 0, 1)
    return np.asarray(np.where(np.abs(w) < thing.width_m / 2, total, 0.0))


def _surfacing(thing: Thing, _rng: np.random.Generator, u: Series, w: Series) -> Series:
    """Another surfacing, a few millimetres higher or lower between two chamfered seams."""
    return thing.height_mm * _inside(thing, u, w, 0.05)


def _flat(_thing: Thing, _rng: np.random.Generator, u: Series, w: Series) -> Series:
    return np.zeros(np.broadcast(u, w).shape)


_SHAPES: dict[str, Shape] = {
    "linear_crack": _crack, "net_crack": _flat, "alligator_crack": _patch, "shoving": _hump, "rutting": _ruts,
    "subsidence": _subsidence, "mud_boil": _mud, "ravelling": _patch, "pothole": _hole, "edge_break": _edge,
    "frame_level": _frame, "pumping": _step, "bleeding": _flat, "faulting": _step, "broken_slab": _pieces,
    "defective_cover": _cover, "ponding": _dip, "litter": _litter, "rumble_strips": _bars, "cattle_grid": _bars,
    "cable_ramp": _trapezoid, "manhole_row": _row_of_covers, "branches": _sticks, "kerb_drop": _dip,
    "pavement_change": _surfacing, "drain_channel": _trapezoid, "tram_crossing": _rails,
}  # fmt: skip


def height_m(thing: Thing, u_m: Series, w_m: Series) -> NDArray[np.float64]:
    """Height that a thing adds to the road, m, at u_m along and w_m across from its middle (same shapes).

    A kind this family does not know (the other family's look-alikes) is a parabolic dip or hump of its measures.
    """
    rng = np.random.default_rng([thing.seed, 401])
    total = _SHAPES.get(thing.kind, _dip)(thing, rng, u_m, w_m)
    if thing.texture_mm > 0:
        grain = _grain(np.random.default_rng([thing.seed, 402]), u_m, w_m)
        total = total + thing.texture_mm * grain * _inside(thing, u_m, w_m, 0.08)
    return np.asarray(total / 1000)
