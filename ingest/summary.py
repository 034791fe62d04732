"""Less from a quiet road: a box on a SIM card sends rows of figures in the place of samples that felt nothing.

Samples cost some 1,500 bytes a second, rows some 60. Where anything might have been a jolt, the samples go as they are:
the gate here only has to miss nothing, since the platform decides again with a threshold of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .chunk import Chunk, Fixes, Quiet

Series = NDArray[np.float64]


@dataclass(frozen=True)
class SummaryOptions:
    """gate_mps2: a chunk with more than this within it or within near_s of it goes as it is. It is the least that the
    platform takes for a jolt, 12 times good road at 15 km/h, .15 g: higher, and a slow wheel in a pothole becomes a
    row; lower, and the whole of a moderate road goes raw. near_s: what the platform's filter and its rear-axle window
    reach. longest_s: the most that one message owns; more bytes are saved with more, and more is lost or late with it.
    step_s: of a row; twice as long hides in 28 m at 50 km/h which of them was bad, half as long costs 14 bytes a second
    more. fix_s: between the fixes that are kept. scale_mps2: of a count, up to 32 m/s².
    """

    gate_mps2: float = 1.5
    near_s: float = 1.5
    longest_s: float = 60.0
    step_s: float = 1.0
    fix_s: float = 1.0
    scale_mps2: float = 1 / 1024
    low_hz: float = 1.0
    high_hz: float = 20.0
    centre_hz: tuple[float, ...] = (1.4, 2.8, 5.6, 11.2, 22.4)


@lru_cache(maxsize=64)
def _taps(rate_hz: float, low_hz: float, high_hz: float) -> Series:
    """A linear-phase band-pass of 1.5 s (windowed sinc), odd length."""
    n = int(1.5 * rate_hz) // 2 * 2 + 1
    k = np.arange(n) - n // 2

    def low_pass(cut_hz: float) -> Series:
        return np.asarray(2 * cut_hz / rate_hz * np.sinc(2 * cut_hz / rate_hz * k))

    taps = (low_pass(min(high_hz, 0.45 * rate_hz)) - low_pass(low_hz)) * np.hanning(n + 2)[1:-1]
    taps.setflags(write=False)
    return taps


def heave_mps2(chunk: Chunk, low_hz: float = 1.0, high_hz: float = 20.0) -> Series:
    """Band-passed vertical acceleration of every sample, float64 (n,). The vertical is the mean of the chunk's own."""
    acc = chunk.acc_mps2
    mean = acc.mean(axis=0)
    gravity = float(np.sqrt((mean * mean).sum()))
    if len(acc) < 8 or gravity < 1.0:
        return np.zeros(len(acc))
    vertical = (acc * (mean / gravity)).sum(axis=1) - gravity
    taps = _taps(chunk.rate_hz, low_hz, high_hz)
    return np.asarray(np.convolve(vertical, taps, "full")[len(taps) // 2 :][: len(acc)])


def is_quiet(chunk: Chunk, options: SummaryOptions) -> bool:
    """Whether nothing in or near a chunk might be a jolt. Lines of a laser and levels of sound have no summary."""
    if chunk.quiet is not None or chunk.laser is not None or chunk.bands is not None or len(chunk.acc_counts) < 8:
        return False
    t = chunk.sample_t_s
    near = (t >= chunk.start_s - options.near_s) & (t < chunk.end_s + options.near_s)
    heave = np.abs(heave_mps2(chunk, options.low_hz, options.high_hz))
    return float(heave[near].max(initial=0.0)) < options.gate_mps2


def summarise(chunks: Iterable[Chunk], options: SummaryOptions = SummaryOptions()) -> Iterator[Chunk]:
    """A box's chunks in order, those of quiet stretches joined to summaries; every moment is owned once.

    All of a trip are numbered anew from 0, so that a joined number is not taken for a lost one. A chunk comes out once
    it is known whether the next one joins it.
    """
    joined: list[Chunk] = []
    trip, seq = "", 0

    def numbered(chunk: Chunk) -> Chunk:
        nonlocal trip, seq
        trip, seq = (trip, seq + 1) if chunk.trip == trip else (chunk.trip, 0)
        return replace(chunk, seq=seq)

    for chunk in chunks:
        quiet = is_quiet(chunk, options)
        if joined and not (quiet and _joins(joined, chunk, options)):
            yield numbered(_summary(joined, options))
            joined = []
        if quiet:
            joined.append(chunk)
        else:
            yield numbered(chunk)
    if joined:
        yield numbered(_summary(joined, options))


def _joins(joined: list[Chunk], chunk: Chunk, options: SummaryOptions) -> bool:
    last = joined[-1]
    alike = ("trip", "rate_hz", "carrier", "origin", "datum")
    same = all(getattr(last, name) == getattr(chunk, name) for name in alike)
    return same and abs(chunk.start_s - last.end_s) < 1e-3 and chunk.end_s - joined[0].start_s <= options.longest_s


def _summary(chunks: list[Chunk], options: SummaryOptions) -> Chunk:
    """One summary of quiet chunks in a row. Rows reach a step beyond what is owned on each side where samples do, so
    that a square on the border is known whole."""
    first, last = chunks[0], chunks[-1]
    step_s = options.step_s
    begin_s = first.start_s - step_s if first.t0_s <= first.start_s - step_s else first.start_s
    owned_until_s = last.end_s
    until_s = owned_until_s + step_s if last.measured_until_s >= owned_until_s + step_s else owned_until_s
    # A row that is not full would be silent for want of samples.
    full = math.floor((last.measured_until_s - begin_s) / step_s + 1e-6)
    rows = max(1, min(full, math.ceil((until_s - begin_s) / step_s - 1e-6)))
    peak = np.zeros(rows)
    bands = [(c / math.sqrt(2), c * math.sqrt(2)) for c in options.centre_hz]
    power, n = np.zeros((rows, len(bands))), np.zeros(rows)
    for i, chunk in enumerate(chunks):
        t = chunk.sample_t_s
        # Each sample once: of the outer context that of the first and of the last, between them what each one owns.
        after = t >= (begin_s if i == 0 else chunk.start_s)
        mine = after & (t < (begin_s + rows * step_s if i == len(chunks) - 1 else chunk.end_s))
        row = np.clip(((t[mine] - begin_s) / step_s).astype(np.int64), 0, rows - 1)
        np.maximum.at(peak, row, np.abs(heave_mps2(chunk, options.low_hz, options.high_hz)[mine]))
        n += np.bincount(row, minlength=rows)
        for b, (low_hz, high_hz) in enumerate(bands):
            squared = heave_mps2(chunk, low_hz, high_hz)[mine] ** 2
            power[:, b] += np.bincount(row, weights=squared, minlength=rows)
    level = np.sqrt(power / np.maximum(n, 1)[:, None])
    return replace(
        first,
        end_s=owned_until_s,
        t0_s=begin_s,
        acc_scale_mps2=0.0,
        acc_counts=np.zeros((0, 3), dtype=np.int16),
        gyro_scale_radps=0.0,
        gyro_counts=None,
        fixes=_fixes(chunks, options.fix_s),
        detections=tuple(d for c in chunks for d in c.detections if c.start_s <= d.t_s < c.end_s),
        quiet=Quiet(
            step_s=step_s,
            scale_mps2=options.scale_mps2,
            centre_hz=np.array(options.centre_hz, dtype=np.float32),
            level_counts=_counts(level, options.scale_mps2),
            peak_counts=_counts(peak, options.scale_mps2),
        ),
    )


def rows_within(chunk: Chunk, from_s: float, to_s: float) -> Chunk:
    """A summary with only the rows that lie wholly between two moments; its fixes and what it owns stay as they are."""
    quiet = chunk.quiet
    if quiet is None:
        return chunk
    first = max(0, math.ceil((from_s - chunk.t0_s) / quiet.step_s - 1e-6)) if math.isfinite(from_s) else 0
    n = len(quiet.peak_counts)
    last = min(n, math.floor((to_s - chunk.t0_s) / quiet.step_s + 1e-6)) if math.isfinite(to_s) else n
    return replace(
        chunk,
        t0_s=chunk.t0_s + first * quiet.step_s,
        quiet=replace(quiet, level_counts=quiet.level_counts[first:last], peak_counts=quiet.peak_counts[first:last]),
    )


def _counts(values: Series, scale: float) -> NDArray[np.int16]:
    """Rounded up: a peak must not be told smaller than it was."""
    return np.clip(np.ceil(values / scale), 0, 32_767).astype(np.int16)


def _fixes(chunks: list[Chunk], every_s: float) -> Fixes:
    """The fixes of all chunks, none twice, no two nearer in time than ``every_s``; the last one is kept."""
    columns = [
        np.concatenate([getattr(c.fixes, name) for c in chunks])
        for name in ("t_s", "lat_deg", "lon_deg", "accuracy_m", "speed_mps", "course_deg")
    ]
    _, order = np.unique(columns[0], return_index=True)
    t_s = columns[0][order]
    keep: list[int] = []
    for i in range(len(t_s)):
        if not keep or t_s[i] - t_s[keep[-1]] >= every_s - 0.01:
            keep.append(i)
    if keep[-1] != len(t_s) - 1:
        keep.append(len(t_s) - 1)
    t, lat, lon, accuracy, speed, course = (column[order][keep] for column in columns)
    return Fixes(t, lat, lon, accuracy, speed, course)
