"""From clock and fixes to a position, heading, speed and uncertainty for every sample of a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk, City, FixFaults, FixOptions, Judged, judge_all, to_frame

from .cells import Zone, project

Metres = NDArray[np.float64]

SIGMA_OF_RADIUS = 1 / 1.5096
"""Sigma per axis from the radius that holds 68 % of a round normal: r² = -2 ln(1 - .68) sigma²."""
_FIXES = FixOptions()


@dataclass(frozen=True, eq=False)
class Trace:
    """The way as its k kept fixes tell it. t_s; x_m, y_m: easting and northing; speed_mps: as stated, -1 unknown;
    sigma_m: standard deviation on one axis; broken, still: bool (k - 1,), stretches without a position, and those on
    which the vehicle stands; faults: what was wrong with the fixes."""

    t_s: Metres
    x_m: Metres
    y_m: Metres
    speed_mps: Metres
    sigma_m: Metres
    broken: NDArray[np.bool_]
    still: NDArray[np.bool_]
    faults: FixFaults


@dataclass(frozen=True, eq=False)
class Track:
    """Where each of n samples was. x_m, y_m: easting and northing; u_x, u_y: unit vector of travel; speed_mps;
    sigma_m: standard deviation on one axis; usable: bool, false where there is no position to speak of;
    faults: what was wrong with the fixes."""

    x_m: Metres
    y_m: Metres
    u_x: Metres
    u_y: Metres
    speed_mps: Metres
    sigma_m: Metres
    usable: NDArray[np.bool_]
    faults: FixFaults


def traces(chunks: Sequence[Chunk], city: City, options: FixOptions = _FIXES) -> list[Trace]:
    """The traces of many chunks at once. A chunk's fixes are few, and the arithmetic of a projection is long: for all
    chunks of a batch together it costs a tenth. Number by number it is the same, whatever the batch."""
    if not chunks:
        return []
    fixes = [chunk.fixes for chunk in chunks]
    first = np.cumsum([0, *(len(f.t_s) for f in fixes)])
    lon = np.concatenate([f.lon_deg for f in fixes])
    lat = np.concatenate([f.lat_deg for f in fixes])
    added_m = np.zeros(len(chunks))
    for datum in {chunk.datum for chunk in chunks}:
        of_datum = np.array([chunk.datum == datum for chunk in chunks])
        mine = np.repeat(of_datum, np.diff(first))
        lon[mine], lat[mine], added_m[of_datum] = to_frame(lon[mine], lat[mine], datum, city.frame)
    zone = Zone(city.utm_zone, city.utm_north)
    x, y = project(lon, lat, zone)
    # Courses are from true north; the grid's north is up to 2 degrees off at the side of a zone, which at 50 km/h is
    # half a metre of contradiction a second.
    off_deg = np.degrees(np.arctan(np.tan(np.radians(lon - zone.meridian_deg)) * np.sin(np.radians(lat))))
    course = np.concatenate([f.course_deg for f in fixes]).astype(np.float64)
    course = np.where(course >= 0, (course - off_deg) % 360.0, course)
    t = np.concatenate([f.t_s for f in fixes])
    speed = np.concatenate([f.speed_mps for f in fixes]).astype(np.float64)
    judged = judge_all(
        first, t, x, y, np.concatenate([f.accuracy_m for f in fixes]).astype(np.float64), speed,
        course, [chunk.carrier for chunk in chunks], options,
    )  # fmt: skip
    edges = first.tolist()
    return [
        _trace(good, t[a:b], x[a:b], y[a:b], speed[a:b], added)
        for good, a, b, added in zip(judged, edges, edges[1:], added_m.tolist(), strict=False)
    ]


def _trace(good: Judged, t_s: Metres, x_m: Metres, y_m: Metres, speed_mps: Metres, added_m: float) -> Trace:
    sigma = np.hypot(good.radius_m, added_m) * SIGMA_OF_RADIUS
    if good.faults.jumps or good.faults.late:
        t_s, x_m, y_m, speed_mps = (column[good.keep] for column in (t_s, x_m, y_m, speed_mps))
    return Trace(t_s, x_m, y_m, speed_mps, sigma, good.broken, good.still, good.faults)


def sample(trace: Trace, t_s: Metres) -> Track:
    """The track at moments t_s (n,), rising.

    Positions are linear between fixes (a 1 Hz fix without interpolation is off by 6.9 m on average at 50 km/h); speed
    is the fixes' own where they state it, else distance over time, and 0 where the vehicle only seems to move; heading
    is that of the straight line between the fixes around a sample. Samples before the first and after the last fix, in
    a gap, or where fixes contradict each other or the carrier, are unusable.
    """
    last = len(trace.t_s) - 1
    if last < 1:
        nowhere = np.zeros(len(t_s))
        x, y = np.full(len(t_s), trace.x_m[0]), np.full(len(t_s), trace.y_m[0])
        sigma = np.full(len(t_s), trace.sigma_m[0])
        return Track(x, y, nowhere, nowhere, nowhere, sigma, np.zeros(len(t_s), bool), trace.faults)
    # What is true of a whole stretch between two fixes is worked out once for the stretch.
    span = np.maximum(np.diff(trace.t_s), 1e-3)
    d_x, d_y = np.diff(trace.x_m), np.diff(trace.y_m)
    step = np.hypot(d_x, d_y)
    moving = np.maximum(step, 1e-9)
    known = (trace.speed_mps[:-1] >= 0) & (trace.speed_mps[1:] >= 0)
    chord = np.where(trace.still, 0.0, step / span)
    speed = np.where(known, trace.speed_mps[:-1], chord)
    d_speed = np.where(known, np.diff(trace.speed_mps), 0.0)
    sigma = np.maximum(trace.sigma_m[:-1], trace.sigma_m[1:])
    k = np.minimum(np.maximum(np.searchsorted(trace.t_s, t_s, side="right") - 1, 0), last - 1)
    part = (t_s - trace.t_s[k]) / span[k]
    return Track(
        x_m=trace.x_m[k] + d_x[k] * part,
        y_m=trace.y_m[k] + d_y[k] * part,
        u_x=(d_x / moving)[k],
        u_y=(d_y / moving)[k],
        speed_mps=np.maximum(speed[k] + d_speed[k] * part, 0.0),
        sigma_m=sigma[k],
        usable=(part >= 0) & (part <= 1) & ~trace.broken[k],
        faults=trace.faults,
    )


def locate(chunk: Chunk, city: City, options: FixOptions = _FIXES) -> Track:
    """The track of every sample of the chunk, in metres of the city's zone."""
    return sample(traces([chunk], city, options)[0], chunk.sample_t_s)
