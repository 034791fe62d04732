"""What one chunk says about the road: a pure function of the chunk, the kind of device and the day's options.

The chunk is located, felt and judged, and becomes a `Passage`, which says what it adds: jolts become positive log-odds
on the squares where the wheel may have been, quiet wheel paths of boxes become exposure, camera detections log-odds of
their own type. Nothing here knows of other chunks, so that any order of chunks gives the same sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from grid import Trace, Track, Zone, sample, traces
from ingest import Chunk, City, FixFaults

from .evidence import Deltas, merge
from .hits import Hit, hits
from .jolts import Felt, feel
from .listening import kinds_said, listened, most_said, shown
from .naming import Name, name_of
from .options import EvidenceOptions
from .passage import Passage, Placed, Strike, Sum, emit, radius_of
from .planes import (
    EXPOSURE_BOX,
    EXPOSURE_CAMERA,
    EXPOSURE_LASER,
    FELT_TYPES,
    HIT_DEVICES,
    LOGODDS,
    NAMED,
    PHONE_HIT_DEVICES,
    PHONE_LOGODDS,
)
from .rough import rough_deltas
from .rows import bowed, heard, spread
from .severity import severity_of_jolt
from .sight import fine_moments, scan, seen, watch
from .taxonomy import ALL_TYPES, BY_KEY, UNEVEN, Leaf
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


def _strikes(
    chunk: Chunk, kind: str, thrown: list[Hit], felt: Felt, told: Told | None, options: EvidenceOptions
) -> tuple[Strike, ...]:
    """The hits of a chunk as what a passage needs to know of them."""
    p = options.p_box if kind == "box" else options.p_phone
    clutter = options.clutter_box if kind == "box" else options.clutter_phone
    t = chunk.sample_t_s
    strikes = []
    for hit in thrown:
        per_m, kinds, size_mm = clutter, None, 0.0
        if told is not None and hit.log_ratio is not None:
            # Candidates of healthy road a metre, and how much likelier than one of them this is a defect.
            per_m = told.per_m * math.exp(-hit.log_ratio)
        if told is not None and hit.candidate is not None:
            kinds, size_mm = kinds_said(told, hit.candidate), float(told.height_mm[hit.candidate])
        strikes.append(
            Strike(
                at=hit.sample,
                side=float(felt.side[hit.sample]),
                severity=severity_of_jolt(float(felt.score[hit.sample]), options.jolt),
                shown=p,
                per_m=per_m,
                kinds=kinds,
                size_mm=size_mm,
                mine=chunk.start_s <= float(t[hit.sample]) < chunk.end_s,
            )
        )
    return tuple(strikes)


def passage(
    chunk: Chunk, kind: str, track: Track, strikes: tuple[Strike, ...], told: Told | None, options: EvidenceOptions,
    silent: NDArray[np.bool_] | None = None, worth: float = 1.0,
) -> Passage:  # fmt: skip
    """The chunk as the evidence sees it. silent (n,): moments whose quiet may be believed, all where none are given;
    worth: of that quiet, for the way in which it was told."""
    t = chunk.sample_t_s
    able = track.usable & (track.speed_mps >= options.jolt.slowest_mps)
    n = len(t)
    return Passage(
        kind=kind, carrier=chunk.carrier, x_m=track.x_m, y_m=track.y_m, u_x=track.u_x, u_y=track.u_y,
        sigma_m=track.sigma_m, step_m=np.where(able, track.speed_mps / chunk.rate_hz, 0.0),
        owned=(t >= chunk.start_s) & (t < chunk.end_s), silent=np.ones(n, dtype=bool) if silent is None else silent,
        shown=np.full(n, options.p_box) if told is None else shown(told, track.speed_mps),
        most=np.full(n, np.inf) if told is None else most_said(told, chunk),
        strikes=strikes, apart=int(options.jolt.apart_s / 2 * chunk.rate_hz), worth=worth,
    )  # fmt: skip


def _finding(
    placed: Placed, hit: Hit, strike: Strike, chunk: Chunk, track: Track, felt: Felt, told: Told | None
) -> Finding:
    i = hit.sample
    finding = Finding(
        t_s=float(chunk.t0_s + i / chunk.rate_hz), what="jolt", kind=UNEVEN.number, cell=placed.cell, x_m=placed.x_m,
        y_m=placed.y_m, sigma_m=placed.sigma_m, speed_mps=float(track.speed_mps[i]), score=float(felt.score[i]),
        severity=strike.severity, weight=placed.weight,
    )  # fmt: skip
    if told is None or hit.candidate is None:
        return finding
    leaf, leaf_p = told.best(hit.candidate)
    return replace(
        finding, p=float(told.p[hit.candidate]), leaf=leaf, leaf_p=leaf_p, size_mm=strike.size_mm,
        name=name_of(told, hit.candidate, chunk.laser is not None),
    )  # fmt: skip


def _camera(
    chunk: Chunk, kind: str, track: Track, city: City, zone: Zone, slot: int, options: EvidenceOptions, out: Sum
) -> list[Finding]:
    """What a box's camera saw, and where it saw nothing."""
    if kind != "box":
        return []
    found, places = [], []
    for d in chunk.detections:
        got = seen(d, chunk, track, city, zone, slot, options, out) if chunk.start_s <= d.t_s < chunk.end_s else None
        if got is None:
            continue
        placed, severity = got
        places.append(placed)
        found.append(
            Finding(
                t_s=d.t_s, what="camera", kind=BY_KEY[d.kind].number, cell=placed.cell, x_m=placed.x_m, y_m=placed.y_m,
                sigma_m=placed.sigma_m, speed_mps=-1.0, score=d.score, severity=severity, weight=placed.weight,
            )
        )  # fmt: skip
    t = chunk.sample_t_s
    owned = (t >= chunk.start_s) & (t < chunk.end_s)
    watch(chunk, track, fine_moments(track, options), owned, places, zone, options, out)
    return found


def _of_summary(
    summary: Chunk, kind: str, slot: int, city: City, zone: Zone, options: EvidenceOptions, trace: Trace
) -> Observation:
    """Passes, weaker exposure and what a camera saw; never a jolt, since a row is no evidence of what shook it."""
    chunk = spread(summary)
    track = bowed(sample(trace, chunk.sample_t_s), trace, chunk.sample_t_s)
    silent = heard(summary, chunk.sample_t_s, track.speed_mps, options.jolt)
    # A curve is left out by itself; it would make the whole minute too coarse for square metres.
    fine = track.usable & (track.sigma_m * radius_of(1.0) <= options.finest_m)
    if fine.any():
        track = replace(track, usable=fine)
    out = Sum()
    found = _camera(chunk, kind, track, city, zone, slot, options, out)
    one = passage(chunk, kind, track, (), None, options, silent, options.summary_share)
    emit(one, slot, zone, options, out)
    return Observation(merge(out.parts), tuple(found), float(one.step_m[one.owned].sum()), track.faults)


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
        said = _of_summary(chunk, kind, slot, city, zone, options, trace)
        return said if weight == 1.0 else weighed(said, weight, options)
    track = sample(trace, chunk.sample_t_s)
    felt = feel(chunk, track.speed_mps, kind == "box", options.jolt)
    score = np.where(track.usable, felt.score, 0.0)
    if told is None:
        (told,) = listened([chunk], [track], kind, options)
    thrown = hits(chunk, kind, score, track.usable, told, options.jolt, options.judge)
    strikes = _strikes(chunk, kind, thrown, felt, told, options)
    one = passage(chunk, kind, track, strikes, told, options)
    out = Sum()
    placed = emit(one, slot, zone, options, out)
    own = [(hit, strike) for hit, strike in zip(thrown, strikes, strict=True) if strike.mine]
    found = [
        _finding(at, hit, strike, chunk, track, felt, told)
        for at, (hit, strike) in zip(placed, own, strict=True)
        if at is not None
    ]
    found += _camera(chunk, kind, track, city, zone, slot, options, out)
    if kind == "box" and told is not None:  # without a model nobody looks at the lines
        scan(chunk, track, fine_moments(track, options), one.owned, strikes, one.apart, zone, options, out)
    if kind == "box":
        out.parts.append(rough_deltas(chunk, track, zone, options.rough))
    said = Observation(merge(out.parts), tuple(found), float(one.step_m[one.owned].sum()), track.faults)
    return said if weight == 1.0 else weighed(said, weight, options)


_SCALED = (
    *range(LOGODDS, LOGODDS + len(ALL_TYPES)), EXPOSURE_BOX, EXPOSURE_CAMERA, EXPOSURE_LASER, PHONE_LOGODDS,
    *range(NAMED, NAMED + len(FELT_TYPES)),
)  # fmt: skip
"""Planes that are sums of log-odds. A mean's sum and its number (tallies, sizes, roughness) stay as they are: a device
that is half believed does not feel half the size."""


def weighed(seen: Observation, weight: float, options: EvidenceOptions) -> Observation:
    """An observation at the weight of its device: log-odds and exposure are scaled and rounded, hits are not witnesses
    below ``witness``; at weight 0 nothing is left of it but how far was driven."""
    if weight <= 0.0:
        return replace(seen, deltas=merge([]), findings=())
    d = seen.deltas
    scaled = np.isin(d.plane, _SCALED)
    value = np.where(scaled, np.rint(d.value * weight).astype(np.int64), d.value)
    deltas = Deltas(d.cell, d.plane, value)
    if weight < options.witness:
        kept = (d.plane != HIT_DEVICES) & (d.plane != PHONE_HIT_DEVICES)
        deltas = Deltas(d.cell[kept], d.plane[kept], value[kept])
    return replace(seen, deltas=deltas, findings=tuple(replace(f, weight=f.weight * weight) for f in seen.findings))
