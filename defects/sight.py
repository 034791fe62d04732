"""What a camera and laser lines add: detections, and the squares on which they would have shown something and did not.

Both look at the width of the lane, where wheels feel two strips. What they looked at is the strip along the vehicle's
own way: all of it came into a camera's view a second or two before, and lies under the lines.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from grid import Track, Zone, cells_at, project
from ingest import Chunk, City, Detection, to_frame

from .evidence import UNIT, tally
from .options import EvidenceOptions
from .passage import Placed, Strike, Sum, level_for, radius_of, shares
from .planes import EXPOSURE_CAMERA, EXPOSURE_LASER, HIT_DEVICES, LOGODDS, TALLY
from .severity import severity_of_detection
from .taxonomy import BY_KEY

Bools = NDArray[np.bool_]
_POINT_M = 0.5
"""From point to point of a strip: every square metre within it has one. Smaller costs more and adds no square."""
_LOST = -32768  # of a laser: no light came back


def seen(
    d: Detection, chunk: Chunk, track: Track, city: City, zone: Zone, slot: int, options: EvidenceOptions, out: Sum
) -> tuple[Placed, float] | None:
    """One camera detection as log-odds of its type: its place and severity. None for what lies out of the camera's
    sight, which is not believed, and for what is placed too badly."""
    lon, lat, added_m = to_frame(np.array([d.lon_deg]), np.array([d.lat_deg]), chunk.datum, city.frame)
    x, y = (float(v[0]) for v in project(lon, lat, zone))
    i = min(max(round((d.t_s - chunk.t0_s) * chunk.rate_hz), 0), len(track.x_m) - 1)
    if not track.usable[i] or math.hypot(x - track.x_m[i], y - track.y_m[i]) > options.camera_sight_m:
        return None
    radius = math.hypot(d.accuracy_m, added_m)
    level = level_for(radius, "box", options)
    if level is None:
        return None
    defect = BY_KEY[d.kind]
    sigma = math.hypot(radius / 1.5096, options.camera_sigma_m / 2)
    p = defect.camera_detect
    clutter = options.clutter_camera * (1 << 2 * level)
    found = shares(x, y, sigma, level, zone, options.least_share)
    if not found:
        return None
    weights = [max(0.0, math.log(1 - p + p * s * d.score / clutter)) for _, s in found]
    severity = float(severity_of_detection(d))
    cells = [c for c, _ in found]
    out.add(cells, LOGODDS + defect.number, [round(w * UNIT) for w in weights])
    out.add(cells, TALLY + defect.number, [tally(1, severity)] * len(cells))
    out.add(cells, HIT_DEVICES, [slot] * len(cells))
    return Placed(cells[0], weights[0], x, y, sigma, level), severity


def strip(track: Track, at: NDArray[np.int64], owned: Bools, half_m: float, zone: Zone) -> NDArray[np.int64]:
    """Square metres, sorted, within ``half_m`` to each side of the way through the moments ``at``; a square belongs to
    who owns the moment in the middle of those that see it, so that chunks that meet do not both count it."""
    if not len(at) or half_m <= 0:
        return np.empty(0, np.int64)
    beside = np.linspace(-half_m, half_m, max(2, math.ceil(2 * half_m / _POINT_M) + 1))
    x = track.x_m[at, None] - beside * track.u_y[at, None]
    y = track.y_m[at, None] + beside * track.u_x[at, None]
    cells, which, n = np.unique(cells_at(x.ravel(), y.ravel(), zone), return_inverse=True, return_counts=True)
    middle = np.bincount(which, weights=np.repeat(at, len(beside)).astype(np.float64)) / n
    return np.asarray(cells[owned[np.rint(middle).astype(np.int64)]])


def _every(track: Track, rate_hz: float, usable: Bools) -> NDArray[np.int64]:
    """Moments half a metre apart."""
    gone = np.floor(np.cumsum(np.where(usable, track.speed_mps, 0.0)) / (rate_hz * _POINT_M))
    return np.flatnonzero(usable & (np.diff(gone, prepend=-1.0) > 0))


def watch(
    chunk: Chunk, track: Track, fine: Bools, owned: Bools, found: list[Placed], zone: Zone, options: EvidenceOptions,
    out: Sum,
) -> None:  # fmt: skip
    """Exposure of the squares that a camera looked at and saw nothing in.

    The wire does not say that a box has a camera: only a chunk with a detection of its own is known to be of one, and
    only it is believed. fine (n,): moments whose place is good enough for square metres. found: what it saw; around it
    nothing is called clear.
    """
    if not found:
        return
    at = _every(track, chunk.rate_hz, fine)
    sigma = float(track.sigma_m[at].max()) if len(at) else 0.0
    cells = strip(track, at, owned, options.lane_m / 2 - sigma, zone)
    if not len(cells):
        return
    for one in found:
        around = [c for c, _ in shares(one.x_m, one.y_m, max(one.sigma_m, _POINT_M), 0, zone, options.least_share / 2)]
        cells = np.setdiff1d(cells, np.array(around, dtype=np.int64), assume_unique=True)
    said = -math.log(1 - BY_KEY["pothole"].camera_detect)
    out.add(cells, EXPOSURE_CAMERA, np.full(len(cells), round(said * UNIT), np.int64))


def scan(
    chunk: Chunk, track: Track, fine: Bools, owned: Bools, strikes: tuple[Strike, ...], apart: int, zone: Zone,
    options: EvidenceOptions, out: Sum,
) -> None:  # fmt: skip
    """Exposure of the squares under laser lines that showed nothing; arguments as of `watch`. Lines of which half is
    lost (water, a box that leaps) say nothing, and where something struck, the lines around it neither."""
    laser = chunk.laser
    if laser is None or not len(laser.height_counts):
        return
    clear = fine.copy()
    for one in strikes:
        clear[max(0, one.at - apart) : one.at + apart + 1] = False
    line = np.floor((chunk.sample_t_s - laser.t0_s) * laser.rate_hz + 0.5).astype(np.int64)
    there = (line >= 0) & (line < len(laser.height_counts))
    back = (laser.height_counts != _LOST).mean(axis=1) >= 0.5
    clear &= there & back[np.clip(line, 0, len(back) - 1)]
    at = _every(track, chunk.rate_hz, clear)
    sigma = float(track.sigma_m[at].max()) if len(at) else 0.0
    cells = strip(track, at, owned, laser.width_m / 2 - sigma, zone)
    said = -math.log(1 - options.p_laser)
    out.add(cells, EXPOSURE_LASER, np.full(len(cells), round(said * UNIT), np.int64))


def fine_moments(track: Track, options: EvidenceOptions) -> Bools:
    """Where the vehicle moves and its place supports square metres."""
    return np.asarray(
        track.usable & (track.speed_mps > _POINT_M) & (radius_of(1.0) * track.sigma_m <= options.finest_m)
    )
