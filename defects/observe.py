"""What one chunk says about the road: a pure function of the chunk, the kind of device and the day's options.

Jolts become positive log-odds on the squares where the wheel may have been; quiet wheel paths of boxes become exposure;
camera detections become log-odds of their own type. Nothing here knows of other chunks, so that any order of chunks
gives the same sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from grid import Trace, Track, Zone, cells_at, corner_m, neighbours, project, sample, traces
from ingest import Chunk, City, Detection, FixFaults, to_frame

from .evidence import UNIT, Deltas, merge, tally
from .hits import Hit, hits
from .jolts import Felt, feel
from .listening import listened, most_said, shown
from .naming import Name, name_of
from .options import EvidenceOptions
from .planes import (
    DEVICES,
    EXPOSURE_BOX,
    HIT_DEVICES,
    LOGODDS,
    PASSES,
    PHONE_DEVICES,
    PHONE_HIT_DEVICES,
    PHONE_LOGODDS,
    PHONE_PASSES,
    PHONE_TALLY,
    TALLY,
)
from .rows import bowed, heard, spread
from .severity import severity_of_detection, severity_of_jolt
from .taxonomy import BY_KEY, UNEVEN, Leaf
from .told import Told

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """Something that one pass felt or saw. x_m, y_m: most likely place; weight: log-odds on the best square.

    What the recogniser says of it, -1 and None where it said nothing: p, the calibrated probability that it is a defect
    at all; leaf, its likeliest kind and subtype; leaf_p, the probability of that kind, given a defect; size_mm, its
    height or depth, given a defect; name, as much of its kind as may be told of this device.
    """

    t_s: float
    what: str
    kind: int
    cell: int
    x_m: float
    y_m: float
    sigma_m: float
    speed_mps: float
    score: float
    severity: float
    weight: float
    p: float = -1.0
    leaf: Leaf | None = None
    leaf_p: float = -1.0
    size_mm: float = -1.0
    name: Name | None = None


@dataclass(frozen=True, eq=False)
class Observation:
    """What a chunk adds: deltas to the evidence, findings one by one, the distance on which it could feel, and what was
    wrong with its fixes."""

    deltas: Deltas
    findings: tuple[Finding, ...]
    distance_m: float
    faults: FixFaults


def _share(x_m: float, y_m: float, sigma_m: float, level: int, zone: Zone, least: float) -> list[tuple[int, float]]:
    """Squares around a place and the weight of a round normal in each, integrated over the square, largest first."""
    side = 1 << 2 * level
    home = int(cells_at(x_m, y_m, zone, level))
    reach = min(3, math.ceil(2.5 * sigma_m / side))
    west, south = corner_m(home)

    def cumulative(edge: float, centre: float) -> float:
        return 0.5 * (1 + math.erf((edge - centre) / (sigma_m * math.sqrt(2))))

    def weights(start: float, centre: float) -> list[float]:
        edges = [cumulative(start + k * side, centre) for k in range(-reach, reach + 2)]
        return [b - a for a, b in pairwise(edges)]

    columns, rows = weights(west, x_m), weights(south, y_m)
    cells = neighbours(home, reach).tolist()
    shares = [(cells[i * len(columns) + j], r * c) for i, r in enumerate(rows) for j, c in enumerate(columns)]
    return sorted(((c, s) for c, s in shares if s >= least), key=lambda cs: (-cs[1], cs[0]))


def _level(radius_m: float, kind: str, options: EvidenceOptions) -> int | None:
    """The finest level that a position supports; a phone never speaks for a single square metre."""
    if kind == "box" and radius_m <= options.finest_m:
        return 0
    if radius_m <= options.phone_4m_m:
        return 1
    return 2 if radius_m <= options.phone_16m_m else None


class _Sum:
    """Deltas under construction."""

    def __init__(self) -> None:
        self.parts: list[Deltas] = []

    def add(self, cells: list[int] | NDArray[np.int64], plane: int, values: list[int] | NDArray[np.int64]) -> None:
        cell = np.asarray(cells, dtype=np.int64)
        value = np.broadcast_to(np.asarray(values, dtype=np.int64), cell.shape)
        self.parts.append(Deltas(cell, np.full(len(cell), plane, dtype=np.uint8), value))


def _radius(sigma_m: float) -> float:
    return sigma_m * 1.5096


def _jolt(
    hit: Hit, chunk: Chunk, kind: str, track: Track, felt: Felt, told: Told | None, zone: Zone, slot: int,
    options: EvidenceOptions, out: _Sum,
) -> Finding | None:  # fmt: skip
    """One hit as log-odds on the squares where the wheel may have been, and as a finding."""
    i = hit.sample
    sigma = float(track.sigma_m[i])
    level = _level(_radius(sigma), kind, options)
    if level is None:
        return None
    half = options.half_track_m[chunk.carrier]
    side = float(felt.side[i])
    wheels = [(-1, 0.5), (1, 0.5)] if half else [(0, 1.0)]
    if half and abs(side) >= options.jolt.side_clear:
        wheels = [(-1 if side > 0 else 1, 1.0)]  # left lies at minus the right-hand normal
    x, y = float(track.x_m[i]), float(track.y_m[i])
    u_x, u_y = float(track.u_x[i]), float(track.u_y[i])
    total: dict[int, float] = {}
    spread = math.hypot(sigma, options.wheel_sigma_m)
    best = (0.0, x, y)
    for sign, weight in wheels:
        w_x, w_y = x + sign * half * u_y, y - sign * half * u_x
        if weight > best[0]:
            best = (weight, w_x, w_y)
        for cell, share in _share(w_x, w_y, spread, level, zone, options.least_share / 2):
            total[cell] = total.get(cell, 0.0) + weight * share
    p = options.p_box if kind == "box" else options.p_phone
    clutter = options.clutter_box if kind == "box" else options.clutter_phone
    if told is not None and hit.log_ratio is not None:
        # Candidates of healthy road a metre, and how much likelier than one of them this is a defect.
        clutter = told.per_m * math.exp(-hit.log_ratio)
    clutter *= 1 << 2 * level
    severity = severity_of_jolt(float(felt.score[i]), options.jolt)
    cells = sorted(c for c, s in total.items() if s >= options.least_share)
    if not cells:
        return None
    # A small share of a doubtful place says nothing; it does not speak against a defect, which only silence may.
    worth = options.carrier_jolt[chunk.carrier]
    weights = [worth * max(0.0, math.log(1 - p + p * total[c] / clutter)) for c in cells]
    phone = kind == "phone"
    out.add(cells, PHONE_LOGODDS if phone else LOGODDS + UNEVEN.number, [round(w * UNIT) for w in weights])
    out.add(cells, PHONE_TALLY if phone else TALLY + UNEVEN.number, [tally(1, severity)] * len(cells))
    out.add(cells, PHONE_HIT_DEVICES if phone else HIT_DEVICES, [slot] * len(cells))
    home = max(zip(weights, cells, strict=True))
    finding = Finding(
        t_s=float(chunk.t0_s + i / chunk.rate_hz),
        what="jolt",
        kind=UNEVEN.number,
        cell=home[1],
        x_m=best[1] if len(wheels) == 1 else x,
        y_m=best[2] if len(wheels) == 1 else y,
        sigma_m=spread,
        speed_mps=float(track.speed_mps[i]),
        score=float(felt.score[i]),
        severity=severity,
        weight=home[0],
    )
    if told is None or hit.candidate is None:
        return finding
    leaf, leaf_p = told.best(hit.candidate)
    return replace(
        finding, p=float(told.p[hit.candidate]), leaf=leaf, leaf_p=leaf_p, size_mm=float(told.height_mm[hit.candidate]),
        name=name_of(told, hit.candidate, chunk.laser is not None),
    )  # fmt: skip


def _seen(
    d: Detection, chunk: Chunk, track: Track, city: City, zone: Zone, slot: int, options: EvidenceOptions, out: _Sum
) -> Finding | None:
    """One camera detection as log-odds of its type. What lies out of the camera's sight is not believed."""
    lon, lat, added_m = to_frame(np.array([d.lon_deg]), np.array([d.lat_deg]), chunk.datum, city.frame)
    x, y = (float(v[0]) for v in project(lon, lat, zone))
    i = min(max(round((d.t_s - chunk.t0_s) * chunk.rate_hz), 0), len(track.x_m) - 1)
    if not track.usable[i] or math.hypot(x - track.x_m[i], y - track.y_m[i]) > options.camera_sight_m:
        return None
    radius = math.hypot(d.accuracy_m, added_m)
    level = _level(radius, "box", options)
    if level is None:
        return None
    defect = BY_KEY[d.kind]
    sigma = math.hypot(radius / 1.5096, options.camera_sigma_m / 2)
    p = defect.camera_detect
    clutter = options.clutter_camera * (1 << 2 * level)
    shares = _share(x, y, sigma, level, zone, options.least_share)
    if not shares:
        return None
    weights = [max(0.0, math.log(1 - p + p * s * d.score / clutter)) for _, s in shares]
    severity = float(severity_of_detection(d))
    cells = [c for c, _ in shares]
    out.add(cells, LOGODDS + defect.number, [round(w * UNIT) for w in weights])
    out.add(cells, TALLY + defect.number, [tally(1, severity)] * len(cells))
    out.add(cells, HIT_DEVICES, [slot] * len(cells))
    return Finding(
        t_s=d.t_s, what="camera", kind=defect.number, cell=cells[0], x_m=x, y_m=y, sigma_m=sigma,
        speed_mps=-1.0, score=d.score, severity=severity, weight=weights[0],
    )  # fmt: skip


def _quiet(
    chunk: Chunk, kind: str, track: Track, felt: Felt, hits: list[int], zone: Zone, slot: int, options: EvidenceOptions,
    out: _Sum, silent: NDArray[np.bool_] | None = None, share_told: float = 1.0, told: Told | None = None,
) -> float:  # fmt: skip
    """Passes and exposure of the squares that the wheels rolled over; gives the owned distance in metres.

    A square belongs to the chunk that owns the sample nearest to the middle of its time on it, so that two chunks
    that meet in a square do not both count it. silent: samples that may count as quiet, where not all may. share_told:
    what the exposure is multiplied with for the way in which it was told. told: by the recogniser, which knows how
    likely a pothole would have shown, and where something did show that it took for none.
    """
    t = chunk.sample_t_s
    able = track.usable & (track.speed_mps >= options.jolt.slowest_mps)
    step = np.where(able, track.speed_mps / chunk.rate_hz, 0.0)
    owned = (t >= chunk.start_s) & (t < chunk.end_s)
    distance_m = float(step[owned].sum())
    if not able.any():
        return distance_m
    radius = _radius(float(track.sigma_m[able].max()))
    level = _level(radius, kind, options)
    if level is None:
        return distance_m
    near = np.zeros(len(t), dtype=bool) if silent is None else ~silent
    reach = int(options.jolt.apart_s / 2 * chunk.rate_hz)
    for i in hits:
        near[max(0, i - reach) : i + reach + 1] = True
    half = options.half_track_m[chunk.carrier] if level == 0 else 0.0  # both wheels pass the same coarse square
    for sign in (-1, 1) if half else (0,):
        blocked = near.copy()
        for i in hits:
            side = float(felt.side[i])
            if half and abs(side) >= options.jolt.side_clear and sign == (1 if side > 0 else -1):
                blocked[max(0, i - reach) : i + reach + 1] = False  # the other wheel was the one that was hit
        at = np.flatnonzero(able)
        x = track.x_m[at] + sign * half * track.u_y[at]
        y = track.y_m[at] - sign * half * track.u_x[at]
        cell = cells_at(x, y, zone, level)
        run = np.flatnonzero(np.r_[True, (cell[1:] != cell[:-1]) | (np.diff(at) > 1)])
        stop = np.r_[run[1:], len(at)]
        length = np.add.reduceat(step[at], run)
        middle = at[(run + stop - 1) // 2]
        mine = owned[middle]
        clear = ~np.logical_or.reduceat(blocked[at], run)
        cells = cell[run][mine]
        phone = kind == "phone"
        out.add(cells, PHONE_PASSES if phone else PASSES, np.ones(len(cells), np.int64))
        out.add(cells, PHONE_DEVICES if phone else DEVICES, np.full(len(cells), slot, np.int64))
        worth = options.carrier_quiet[chunk.carrier]
        if kind == "box" and level == 0 and worth:
            quiet = mine & clear & (length >= options.least_path_m)
            share = np.minimum(length[quiet], 1.0)
            p = options.p_box if told is None else shown(told, track.speed_mps[middle[quiet]])
            exposure = -np.log(1 - p * options.p_hit * share)
            if told is not None:
                exposure = np.minimum(exposure, np.minimum.reduceat(most_said(told, chunk)[at], run)[quiet])
            exposure = worth * share_told * exposure
            out.add(cell[run][quiet], EXPOSURE_BOX, np.rint(exposure * UNIT).astype(np.int64))
    return distance_m


def place(
    chunk: Chunk, kind: str, slot: int, city: City, options: EvidenceOptions, weight: float, trace: Trace,
    told: Told | None = None,
) -> Observation:  # fmt: skip
    """The squares that the vehicle's middle passed, and nothing of what it felt: `observe` without recognition, for
    measurements of everything around it. Arguments as there."""
    del slot, weight, told
    t = np.arange(chunk.start_s, chunk.end_s, _PLACED_M / max(float(trace.speed_mps.max()), 1.0))
    x, y = np.interp(t, trace.t_s, trace.x_m), np.interp(t, trace.t_s, trace.y_m)
    if trace.broken.any():
        usable = sample(trace, t).usable
        x, y = x[usable], y[usable]
    distance_m = float(np.hypot(x[1:] - x[:-1], y[1:] - y[:-1]).sum())
    level = _level(_radius(float(trace.sigma_m.max())), kind, options) if len(x) else None
    if level is None:
        return Observation(merge([]), (), distance_m, trace.faults)
    cell = cells_at(x, y, Zone(city.utm_zone, city.utm_north), level)
    cell.sort()
    cells = cell[np.concatenate((_TRUE, cell[1:] != cell[:-1]))]
    ones = np.ones(len(cells), np.int64)
    return Observation(Deltas(cells, np.full(len(cells), PASSES, np.uint8), ones), (), distance_m, trace.faults)


_PLACED_M = 0.5  # from point to point: a square metre that is crossed has one, but for a corner of half a metre
_TRUE = np.ones(1, dtype=bool)


def _of_summary(
    summary: Chunk, kind: str, slot: int, city: City, zone: Zone, options: EvidenceOptions, trace: Trace
) -> Observation:
    """Passes, weaker exposure and what a camera saw; never a jolt, since a row is no evidence of what shook it."""
    chunk = spread(summary)
    track = bowed(sample(trace, chunk.sample_t_s), trace, chunk.sample_t_s)
    silent = heard(summary, chunk.sample_t_s, track.speed_mps, options.jolt)
    # A curve is left out by itself; it would make the whole minute too coarse for square metres.
    fine = track.usable & (track.sigma_m * _radius(1.0) <= options.finest_m)
    if fine.any():
        track = replace(track, usable=fine)
    out = _Sum()
    still = Felt(np.zeros(len(track.x_m)), np.zeros(len(track.x_m)))
    found = [
        _seen(d, chunk, track, city, zone, slot, options, out)
        for d in summary.detections
        if kind == "box" and summary.start_s <= d.t_s < summary.end_s
    ]
    distance_m = _quiet(chunk, kind, track, still, [], zone, slot, options, out, silent, options.summary_share)
    return Observation(merge(out.parts), tuple(f for f in found if f is not None), distance_m, track.faults)


def observe(
    chunk: Chunk,
    kind: str,
    slot: int,
    city: City,
    options: EvidenceOptions,
    weight: float = 1.0,
    trace: Trace | None = None,
    told: Told | None = None,
) -> Observation:
    """What ``chunk`` of a device of ``kind`` (box or phone) adds to the evidence.

    ``slot`` is one bit (of 63) that stands for the device on this service day; ``weight``, 0 to 1, is how far the
    device is believed on it (`ingest.trust`). ``trace``: of `grid.traces`, ``told``: of `listen`, where the
    caller has made many at once.
    """
    zone = Zone(city.utm_zone, city.utm_north)
    if trace is None:
        (trace,) = traces([chunk], city, options.fixes)
    if chunk.quiet is not None:
        seen = _of_summary(chunk, kind, slot, city, zone, options, trace)
        return seen if weight == 1.0 else weighed(seen, weight, options)
    track = sample(trace, chunk.sample_t_s)
    felt = feel(chunk, track.speed_mps, kind == "box", options.jolt)
    score = np.where(track.usable, felt.score, 0.0)
    if told is None:
        (told,) = listened([chunk], [track], kind, options)
    thrown = hits(chunk, kind, score, track.usable, told, options.jolt, options.judge)
    out = _Sum()
    found: list[Finding | None] = []
    t = chunk.sample_t_s
    for hit in thrown:
        if chunk.start_s <= float(t[hit.sample]) < chunk.end_s:
            found.append(_jolt(hit, chunk, kind, track, felt, told, zone, slot, options, out))
    if kind == "box":
        found += [
            _seen(d, chunk, track, city, zone, slot, options, out)
            for d in chunk.detections
            if chunk.start_s <= d.t_s < chunk.end_s
        ]
    at = [hit.sample for hit in thrown]
    distance_m = _quiet(chunk, kind, track, felt, at, zone, slot, options, out, told=told)
    seen = Observation(merge(out.parts), tuple(f for f in found if f is not None), distance_m, track.faults)
    return seen if weight == 1.0 else weighed(seen, weight, options)


def weighed(seen: Observation, weight: float, options: EvidenceOptions) -> Observation:
    """An observation at the weight of its device: log-odds and exposure are scaled and rounded, hits are not witnesses
    below ``witness``; at weight 0 nothing is left of it but how far was driven."""
    if weight <= 0.0:
        return replace(seen, deltas=merge([]), findings=())
    d = seen.deltas
    scaled = (d.plane <= EXPOSURE_BOX) | (d.plane == PHONE_LOGODDS)  # log-odds of every type, and exposure above them
    value = np.where(scaled, np.rint(d.value * weight).astype(np.int64), d.value)
    deltas = Deltas(d.cell, d.plane, value)
    if weight < options.witness:
        kept = (d.plane != HIT_DEVICES) & (d.plane != PHONE_HIT_DEVICES)
        deltas = Deltas(d.cell[kept], d.plane[kept], value[kept])
    return replace(seen, deltas=deltas, findings=tuple(replace(f, weight=f.weight * weight) for f in seen.findings))
