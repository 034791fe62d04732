"""From chunks to candidates and their features: gate and features over a batch, one flat array of all chunks.

Everything works chunk by chunk inside the kernels; here the chunks of a batch are only laid behind one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk

from . import axes, features, gate, laser
from .gate import GateOptions

Series = NDArray[np.float64]
Index = NDArray[np.int64]

BOX_FEATURES = (*features.FEATURES, *laser.LASER_FEATURES, *laser.BAND_FEATURES)
PHONE_FEATURES = features.FEATURES
_NOTHING = np.empty((0, 3), np.int16)


def feature_names(kind: str) -> tuple[str, ...]:
    """Columns of a kind of device, in order."""
    return BOX_FEATURES if kind == "box" else PHONE_FEATURES


@dataclass(frozen=True, eq=False)
class Heard:
    """Of a batch of C chunks of one kind. n candidates: chunk (n,), t_s (n,) seconds after their chunk's t0_s, speed
    (n,), score (n,) of the gate, rows (n, F). level (C,): log of the usual energy over speed, the road's roughness as
    this device feels it; quiet: the gate's score of every moment (M,) at rate_hz, chunk c in first[c]:first[c+1]."""

    chunk: Index
    t_s: Series
    speed_mps: Series
    score: Series
    rows: Series
    level: Series
    quiet: Series
    first: Index
    rate_hz: float


def hear(chunks: Sequence[Chunk], speeds: Sequence[Series], kind: str, options: GateOptions) -> Heard:
    """Candidates of many chunks of devices of one kind. speeds: m/s at each sample, 0 where there is no position."""
    c = len(chunks)
    counts = np.array([len(k.acc_counts) for k in chunks], dtype=np.int64)
    acc_first = np.zeros(c + 1, np.int64)
    np.cumsum(counts, out=acc_first[1:])
    native_hz = np.array([k.rate_hz for k in chunks])
    acc = np.concatenate([k.acc_counts for k in chunks]) if c else _NOTHING
    acc_scale = np.array([k.acc_scale_mps2 for k in chunks])
    gyro_scale = np.array([k.gyro_scale_radps if k.gyro_counts is not None else 0.0 for k in chunks])
    gyro = (
        np.concatenate([np.zeros_like(k.acc_counts) if k.gyro_counts is None else k.gyro_counts for k in chunks])
        if c
        else _NOTHING
    )
    step = native_hz / options.rate_hz
    out_counts = np.where(counts > 0, np.floor((counts - 1) / step).astype(np.int64) + 1, 0)
    first = np.zeros(c + 1, np.int64)
    np.cumsum(out_counts, out=first[1:])
    taps, taps_first = _taps(native_hz, options)
    vertical = np.zeros(first[-1])
    up = np.zeros((c, 4))
    gate.conditioned(acc, acc_first, acc_scale, step, taps, taps_first, first, vertical, up)
    speed = np.empty(first[-1])
    if c:
        gate.picked(np.concatenate(speeds).astype(np.float64), acc_first, step, first, speed)
    scale = np.array(options.scale)
    bands = len(scale)
    energy, level, score = np.empty((first[-1], bands)), np.full((c, bands), np.nan), np.zeros(first[-1])
    block = max(4, round(options.block_s * options.rate_hz))
    gate.banded(
        vertical, first, speed, gate.band_filters(options), scale, block, options.slowest_mps, energy, level, score
    )
    judged = score
    lined = _lines(chunks, kind)
    if lined is not None:
        judged = score.copy()
        lined.raise_scores(judged, first, speed, options)
    own_from = np.array([int(np.ceil((k.start_s - k.t0_s) * options.rate_hz - 1e-6)) for k in chunks], np.int64)
    own_to = np.array([int(np.ceil((k.end_s - k.t0_s) * options.rate_hz - 1e-6)) for k in chunks], np.int64)
    at, of = np.empty(first[-1], np.int64), np.empty(first[-1], np.int64)
    n = gate.candidates(
        judged, first, np.maximum(own_from, 0), np.maximum(own_to, 0), options.threshold,
        round(options.apart_s * options.rate_hz), at, of,
    )  # fmt: skip
    at, of = at[:n].copy(), of[:n].copy()
    inertial = features.blank(n)
    features.along_the_road(
        at, of, first, vertical, energy, level, score, speed, options.rate_hz, scale,
        round(options.apart_s * options.rate_hz), features.layout(), inertial,
    )  # fmt: skip
    axes.across_the_axes(
        at, of, first, speed, options.rate_hz, bands, acc, acc_first, acc_scale, native_hz, gyro, gyro_scale, up,
        kind == "box", features.layout(), inertial,
    )  # fmt: skip
    t_s = (at - first[of]) / options.rate_hz
    rows = inertial
    if kind == "box":
        seen = np.full((n, len(laser.LASER_FEATURES)), np.nan)
        if lined is not None:
            lined.describe(t_s, of, speed[at], seen)
        heard = np.full((n, len(laser.BAND_FEATURES)), np.nan)
        _bands(chunks, t_s, of, heard)
        rows = np.concatenate([inertial, seen, heard], axis=1)
    rough = np.full(c, np.nan)
    gate.roughness(level, first, speed, options.slowest_mps, rough)
    return Heard(of, t_s, speed[at], judged[at], rows, rough, judged, first, options.rate_hz)


def _taps(native_hz: Series, options: GateOptions) -> tuple[Series, Index]:
    """All resamplers that a batch needs, flat, and for each chunk where its own starts and how wide it is."""
    parts: dict[float, tuple[int, int]] = {}
    flat: list[Series] = []
    total = 0
    where = np.empty((len(native_hz), 2), np.int64)
    for i, hz in enumerate(native_hz.tolist()):
        if hz not in parts:
            table = gate.resampler(hz, options.cut_hz)
            parts[hz] = (total, table.shape[1])
            flat.append(table.ravel())
            total += table.size
        where[i] = parts[hz]
    return (np.concatenate(flat) if flat else np.empty(0)), where


@dataclass(frozen=True, eq=False)
class _Lined:
    """Laser lines of a batch: figures (K, 11), first (C + 1,), score (K,), median (C, 2), t0_s (C,) after the
    chunk's t0_s."""

    figures: Series
    first: Index
    score: Series
    median: Series
    t0_s: Series
    hz: Series
    width_m: Series

    def raise_scores(self, score: Series, first: Index, speed: Series, options: GateOptions) -> None:
        """The gate's score, where a laser line stands out more than the vehicle's jolt does."""
        gate.raised(
            score, first, speed, options.rate_hz, options.slowest_mps, self.score, self.first, self.t0_s, self.hz
        )

    def describe(self, t_s: Series, of: Index, speed: Series, rows: Series) -> None:
        """Fills the laser's features of candidates."""
        laser.seen_by_laser(
            t_s, of, speed, self.figures, self.score, self.median, self.first, self.t0_s, self.hz, self.width_m, rows
        )


def _lines(chunks: Sequence[Chunk], kind: str) -> _Lined | None:
    if kind != "box" or all(k.laser is None for k in chunks):
        return None
    shape = np.zeros((len(chunks), 2), np.int64)
    scale, width, t0, hz = (np.ones(len(chunks)) for _ in range(4))
    flat = []
    start = np.zeros(len(chunks), np.int64)
    total = 0
    for i, chunk in enumerate(chunks):
        start[i] = total
        if (lines := chunk.laser) is None:
            continue
        shape[i] = lines.height_counts.shape
        scale[i], width[i], t0[i], hz[i] = lines.scale_m, lines.width_m, lines.t0_s - chunk.t0_s, lines.rate_hz
        flat.append(np.ascontiguousarray(lines.height_counts).ravel())
        total += lines.height_counts.size
    first = np.zeros(len(chunks) + 1, np.int64)
    np.cumsum(shape[:, 0], out=first[1:])
    figures = np.empty((first[-1], laser.LINE_COLUMNS))
    laser.lines(np.concatenate(flat), shape, start, scale, width, figures, np.empty(int(shape[:, 1].max())))
    score, median = np.zeros(first[-1]), np.full((len(chunks), 2), np.nan)
    laser.line_scores(figures, first, score, median)
    return _Lined(figures, first, score, median, t0, hz, width)


def _bands(chunks: Sequence[Chunk], t_s: Series, of: Index, rows: Series) -> None:
    if all(k.bands is None for k in chunks):
        return
    levels, groups = [], np.zeros((len(chunks), 3), bool)
    first = np.zeros(len(chunks) + 1, np.int64)
    t0, step = np.zeros(len(chunks)), np.ones(len(chunks))
    for i, chunk in enumerate(chunks):
        n = 0
        if (bands := chunk.bands) is not None:
            level, groups[i] = laser.group_levels(bands.centre_hz, bands.level_db)
            levels.append(level)
            n = len(level)
            t0[i], step[i] = bands.t0_s - chunk.t0_s, bands.step_s
        first[i + 1] = first[i] + n
    laser.heard_by_bands(t_s, of, np.concatenate(levels), first, t0, step, groups, rows)


def without(chunk: Chunk, *senses: str) -> Chunk:
    """The chunk as a device without these senses would have sent it: of "laser", "bands", "camera"."""
    if "laser" in senses:
        chunk = replace(chunk, laser=None)
    if "bands" in senses:
        chunk = replace(chunk, bands=None)
    return replace(chunk, detections=()) if "camera" in senses else chunk
