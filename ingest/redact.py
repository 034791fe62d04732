"""What a city does not want measured is cut out of a chunk, on the device before it is sent and again at the door.

One stretch is kept, the longest outside all areas, since a chunk is one stretch: nothing before, after or inside is
left in any field. What is kept ends at the last fix before an area, not at its border: between the two nothing could
be placed anyway, and so a chunk that was cut is not cut again.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .chunk import Bands, Chunk, Detection, Fixes, Laser
from .city import City, NoGo
from .datum import to_frame
from .refusal import Reason, Refused
from .summary import rows_within

SHORTEST_S = 0.5
"""Owned, the shortest that is kept: the wire format takes no less, and a bus rolls over five squares in it."""
_STEPS = 20
"""Places looked at between two fixes: at 30 m/s and a fix a second, every 1.5 m. With fewer a gate of one lane slips
through between two looks; more cost time and no gate is narrower."""

Degrees = NDArray[np.float64]


def inside(lon: Degrees, lat: Degrees, ring: tuple[tuple[float, float], ...]) -> NDArray[np.bool_]:
    """Which points lie in a closed ring (even-odd rule), bool (n,)."""
    found = np.zeros(len(lon), dtype=bool)
    for (x0, y0), (x1, y1) in pairwise(ring):
        if y0 != y1:
            crosses = (y0 > lat) != (y1 > lat)
            found ^= crosses & (lon < (x1 - x0) * (lat - y0) / (y1 - y0) + x0)
    return found


def is_no_go(lon: float, lat: float, city: City) -> bool:
    """Whether a place (degrees, WGS 84) lies in an area of which the city wants to know nothing."""
    at = np.array([lon]), np.array([lat])
    return any(bool(inside(*at, area.ring_deg)[0]) for area in city.no_go)


def redact(chunk: Chunk, city: City) -> Chunk:
    """The chunk without anything from the city's no-go areas: the same object where nothing was cut.

    The straight way between fixes counts as driven. Samples, fixes, laser lines and acoustic rows outside the kept
    time go, and detections outside it or inside an area. Raises Refused (no_go) where less than half an owned second
    is left.
    """
    if not city.no_go:
        return chunk
    fixes = chunk.fixes
    lon, lat, _ = to_frame(fixes.lon_deg, fixes.lat_deg, chunk.datum, city.frame)
    seen = chunk.detections
    seen_lon, seen_lat, _ = to_frame(
        np.array([d.lon_deg for d in seen]), np.array([d.lat_deg for d in seen]), chunk.datum, city.frame
    )
    near = [area for area in city.no_go if _near(np.r_[lon, seen_lon], np.r_[lat, seen_lat], area)]
    if not near:
        return chunk
    number = np.arange(len(lon))
    step = np.linspace(0, len(lon) - 1, _STEPS * (len(lon) - 1) + 1)
    way = np.interp(step, number, lon), np.interp(step, number, lat)
    closed = np.zeros(len(step), dtype=bool)
    taken = np.ones(len(seen), dtype=bool)
    for area in near:
        closed |= inside(*way, area.ring_deg)
        taken &= ~inside(seen_lon, seen_lat, area.ring_deg)
    if not closed.any():
        return chunk if taken.all() else replace(chunk, detections=_only(chunk, taken, -np.inf, np.inf))
    # Whether a fix, and the whole way from it to the next one, lies outside.
    open_fix = ~closed[::_STEPS]
    open_way = ~closed[:-1].reshape(-1, _STEPS).any(axis=1) & open_fix[1:]
    edge = np.diff(np.r_[False, open_way, False].astype(np.int8))
    first, last = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)  # fixes at both ends of each open stretch
    # At an end of the chunk that no area has cut, it owns what it owned before: up to 1.5 s beyond its fixes.
    low = np.where(first == 0, chunk.start_s, np.maximum(fixes.t_s[first], chunk.start_s))
    high = np.where(last == len(lon) - 1, chunk.end_s, np.minimum(fixes.t_s[last], chunk.end_s))
    if not len(first) or float((high - low).max()) < SHORTEST_S:
        raise Refused(Reason.NO_GO, near[0].name)
    best = int(np.argmax(high - low))
    from_s = -np.inf if first[best] == 0 else float(fixes.t_s[first[best]])
    to_s = np.inf if last[best] == len(lon) - 1 else float(fixes.t_s[last[best]])
    kept = _within(chunk, slice(int(first[best]), int(last[best]) + 1), from_s, to_s)
    if kept.quiet is not None and not len(kept.quiet.peak_counts):
        raise Refused(Reason.NO_GO, near[0].name)
    return replace(
        kept, start_s=float(low[best]), end_s=float(high[best]), detections=_only(chunk, taken, from_s, to_s)
    )


def _near(lon: Degrees, lat: Degrees, area: NoGo) -> bool:
    """Whether the boxes around some places and an area meet: most chunks are far from all areas."""
    east, north = [x for x, _ in area.ring_deg], [y for _, y in area.ring_deg]
    return bool(
        lon.min() <= max(east) and lon.max() >= min(east) and lat.min() <= max(north) and lat.max() >= min(north)
    )


def _only(chunk: Chunk, taken: NDArray[np.bool_], from_s: float, to_s: float) -> tuple[Detection, ...]:
    return tuple(d for d, good in zip(chunk.detections, taken, strict=True) if good and from_s <= d.t_s <= to_s)


def _rows(t0_s: float, step_s: float, n: int, from_s: float, to_s: float) -> slice:
    """Which of n rows, the first at t0_s, lie within a time, ends included."""
    t_s = t0_s + step_s * np.arange(n)
    return slice(int(np.searchsorted(t_s, from_s)), int(np.searchsorted(t_s, to_s, side="right")))


def _within(chunk: Chunk, fixes: slice, from_s: float, to_s: float) -> Chunk:
    """The chunk's columns between two moments."""
    f = chunk.fixes
    if chunk.quiet is not None:
        chunk = rows_within(chunk, from_s, to_s)
    at = _rows(chunk.t0_s, 1 / chunk.rate_hz, len(chunk.acc_counts), from_s, to_s)
    return replace(
        chunk,
        t0_s=chunk.t0_s if chunk.quiet is not None else chunk.t0_s + at.start / chunk.rate_hz,
        acc_counts=chunk.acc_counts[at],
        gyro_counts=None if chunk.gyro_counts is None else chunk.gyro_counts[at],
        fixes=Fixes(
            f.t_s[fixes], f.lat_deg[fixes], f.lon_deg[fixes], f.accuracy_m[fixes], f.speed_mps[fixes],
            f.course_deg[fixes],
        ),
        laser=None if chunk.laser is None else _laser(chunk.laser, from_s, to_s),
        bands=None if chunk.bands is None else _bands(chunk.bands, from_s, to_s),
    )  # fmt: skip


def _laser(laser: Laser, from_s: float, to_s: float) -> Laser | None:
    at = _rows(laser.t0_s, 1 / laser.rate_hz, len(laser.height_counts), from_s, to_s)
    kept = replace(laser, t0_s=laser.t0_s + at.start / laser.rate_hz, height_counts=laser.height_counts[at])
    return kept if len(kept.height_counts) else None


def _bands(bands: Bands, from_s: float, to_s: float) -> Bands | None:
    at = _rows(bands.t0_s, bands.step_s, len(bands.level_db), from_s, to_s)
    kept = replace(bands, t0_s=bands.t0_s + at.start * bands.step_s, level_db=bands.level_db[at])
    return kept if len(kept.level_db) else None
