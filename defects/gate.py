"""The gate: where something may have happened at all, at a cost that every second of every vehicle can bear.

The vertical acceleration of a chunk is brought to one rate, split into octave bands, and each band's energy is held
against its own level in the same chunk: a running context that divides out road, vehicle and mounting. Where the
highest band stands out enough lies a candidate, and only candidates are looked at further. What the gate lets pass is a
matter of cost, not of judgement: its score is kept, so that silence is evidence only as far as the gate would have let
a defect pass.

All kernels work chunk by chunk on flat arrays, number by number, so that the batch a chunk comes in changes no bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

Series = NDArray[np.float64]
Index = NDArray[np.int64]

G_MPS2 = 9.80665
TAPS_S = 0.04
"""Half length of the resampling filter. Half of it lets 30 Hz through by a fifth less; twice costs twice."""
_PHASES = 32  # parts of a native sample at which the filter is tabled: an error of 1/64 sample, 0.2 ms at 100 Hz


@dataclass(frozen=True)
class GateOptions:
    """Constants of the gate, frozen in the model's card, since features mean nothing under other ones.

    rate_hz: to which all samples are brought: 100 for a box (a pothole keeps 96 % of its peak at 100 Hz, 93 % at 50),
    50 for a phone. cut_hz: upper edge. centre_hz: of the octave bands; below 1 Hz lie hills and braking. scale: what a
    band's energy over its median reaches in 1 of 20 moments of healthy road, so that bands compare. threshold: of the
    highest band over its scale. Lower, and more is looked at than is paid for; higher, and weak defects are lost (the
    card says how many). apart_s: two candidates are at least so far apart, since the features of one look that far.
    slowest_mps: below 15 km/h springs swallow what a faster vehicle feels, and the band edges leave the road's.
    """

    rate_hz: float
    cut_hz: float
    centre_hz: tuple[float, ...]
    scale: tuple[float, ...]
    threshold: float = 1.0
    apart_s: float = 0.4
    block_s: float = 0.32
    slowest_mps: float = 15 / 3.6


GATE_BOX = GateOptions(100.0, 40.0, (1.1, 2.2, 4.5, 9.0, 18.0, 32.0), (6.0, 5.0, 4.5, 4.5, 4.5, 4.5))
GATE_PHONE = GateOptions(50.0, 21.0, (1.1, 2.2, 4.5, 9.0, 16.0), (6.0, 5.0, 4.5, 4.5, 4.5))


@lru_cache(maxsize=64)
def resampler(native_hz: float, cut_hz: float) -> Series:
    """Taps (PHASES, 2 k + 1) of a Hann-windowed sinc with its edge at ``cut_hz``, in native samples, for the fractions
    0, 1/PHASES ... of a native sample. Each row sums to 1."""
    half = max(2, round(TAPS_S * native_hz))
    k = np.arange(-half, half + 1)
    part = np.arange(_PHASES)[:, None] / _PHASES
    at = k[None, :] - part
    edge = min(cut_hz, 0.48 * native_hz) / native_hz
    taps = 2 * edge * np.sinc(2 * edge * at) * np.cos(np.pi / 2 * np.clip(at / (half + 1), -1, 1)) ** 2
    taps /= taps.sum(axis=1, keepdims=True)
    taps.setflags(write=False)
    return np.asarray(taps)


@lru_cache(maxsize=16)
def band_filters(options: GateOptions) -> Series:
    """Coefficients (bands, 4): b0, a1, a2 of an octave band-pass of second order (b = b0, 0, -b0), and the share that a
    moment keeps of the smoothed energy before it. Bristow-Johnson's cookbook form, peak gain 1, Q = sqrt 2."""
    f = np.array(options.centre_hz)
    w = 2 * np.pi * f / options.rate_hz
    alpha = np.sin(w) / (2 * np.sqrt(2.0))
    smooth_s = np.clip(0.35 / f, 0.04, 0.25)
    keep = np.exp(-1 / (smooth_s * options.rate_hz))
    out = np.stack([alpha / (1 + alpha), -2 * np.cos(w) / (1 + alpha), (1 - alpha) / (1 + alpha), keep], axis=1)
    out.setflags(write=False)
    return np.asarray(out)


@njit(cache=True)
def conditioned(acc, first, scale, step, taps, taps_first, out_first, vertical, up):  # type: ignore[no-untyped-def]  # noqa: PLR0915  (a kernel)
    """Vertical acceleration (m/s², gravity taken off) of each chunk at the common rate.

    acc int16 (N, 3) of all chunks, chunk c in rows first[c]:first[c+1], times scale[c]; step[c]: native samples per
    output sample; taps: all resamplers, flat, that of c being taps[taps_first[c]] ... by its own width. Fills vertical
    [out_first[c]:out_first[c+1]] and up (C, 4): unit vector of gravity in the device, and its size.
    """
    for c in range(len(scale)):
        a, b = first[c], first[c + 1]
        n = b - a
        mean_x = 0.0
        mean_y = 0.0
        mean_z = 0.0
        for i in range(a, b):
            mean_x += acc[i, 0]
            mean_y += acc[i, 1]
            mean_z += acc[i, 2]
        mean_x *= scale[c] / n
        mean_y *= scale[c] / n
        mean_z *= scale[c] / n
        size = np.sqrt(mean_x * mean_x + mean_y * mean_y + mean_z * mean_z)
        up[c, 3] = size
        m = out_first[c + 1] - out_first[c]
        if size < 1.0:
            up[c, 0] = 0.0
            up[c, 1] = 0.0
            up[c, 2] = 1.0
            for j in range(m):
                vertical[out_first[c] + j] = 0.0
            continue
        up[c, 0] = mean_x / size
        up[c, 1] = mean_y / size
        up[c, 2] = mean_z / size
        u_x = up[c, 0] * scale[c]
        u_y = up[c, 1] * scale[c]
        u_z = up[c, 2] * scale[c]
        native = np.empty(n)
        for i in range(n):
            native[i] = acc[a + i, 0] * u_x + acc[a + i, 1] * u_y + acc[a + i, 2] * u_z - size
        start, width = taps_first[c, 0], taps_first[c, 1]
        half = width // 2
        for j in range(m):
            at = j * step[c]
            whole = int(at + 0.5 / 32)
            phase = int((at - whole) * 32 + 0.5)
            phase = max(phase, 0)
            if phase > 31:
                whole += 1
                phase = 0
            row = start + phase * width
            total = 0.0
            low = whole - half
            if low >= 0 and whole + half < n:
                for k in range(width):
                    total += taps[row + k] * native[low + k]
            else:
                for k in range(width):
                    i = low + k
                    if i < 0:
                        i = 0
                    elif i >= n:
                        i = n - 1
                    total += taps[row + k] * native[i]
            vertical[out_first[c] + j] = total


@njit(cache=True)
def _median(values, n):  # type: ignore[no-untyped-def]
    """Median of the first n values, which are sorted in place (insertion: n is some thirty)."""
    for i in range(1, n):
        v = values[i]
        j = i - 1
        while j >= 0 and values[j] > v:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = v
    return 0.5 * (values[(n - 1) // 2] + values[n // 2])


@njit(cache=True)
def banded(vertical, first, speed, filters, scale, block, slowest, energy, level, score):  # type: ignore[no-untyped-def]
    """Energy of each band at each moment, its level in the chunk, and the gate's score.

    vertical (M,), chunk c in first[c]:first[c+1]; speed (M,) m/s; filters (B, 4); scale (B,); block: samples of one
    mean. Fills energy (M, B), level (C, B): the median of block means while the vehicle moved, and score (M,): the
    highest energy over level and scale, 0 where too slow.
    """
    bands = len(scale)
    means = np.empty((bands, 4096))
    order = np.empty(4096)
    b0 = filters[:, 0].copy()
    a1 = filters[:, 1].copy()
    a2 = filters[:, 2].copy()
    keep = filters[:, 3].copy()
    for c in range(len(first) - 1):
        a, z = first[c], first[c + 1]
        y1 = np.zeros(bands)
        y2 = np.zeros(bands)
        e = np.zeros(bands)
        total = np.zeros(bands)
        x1 = 0.0
        x2 = 0.0
        blocks = 0
        inside = 0
        moving = 0
        for i in range(a, z):
            x = vertical[i]
            d = x - x2
            for k in range(bands):
                y = b0[k] * d - a1[k] * y1[k] - a2[k] * y2[k]
                y2[k] = y1[k]
                y1[k] = y
                e[k] = keep[k] * e[k] + (1.0 - keep[k]) * (y * y)
                energy[i, k] = e[k]
                total[k] += e[k]
            x2 = x1
            x1 = x
            inside += 1
            if speed[i] >= slowest:
                moving += 1
            if inside == block:
                if moving * 2 >= block and blocks < 4096:
                    for k in range(bands):
                        means[k, blocks] = total[k] / block
                    blocks += 1
                for k in range(bands):
                    total[k] = 0.0
                inside = 0
                moving = 0
        for k in range(bands):
            if blocks:
                for j in range(blocks):
                    order[j] = means[k, j]
                level[c, k] = max(_median(order, blocks), 1e-8)
            else:
                level[c, k] = np.nan
        one_over = np.empty(bands)
        for k in range(bands):
            one_over[k] = 1.0 / (level[c, k] * scale[k]) if blocks else 0.0
        for i in range(a, z):
            best = 0.0
            if speed[i] >= slowest:
                for k in range(bands):
                    r = energy[i, k] * one_over[k]
                    best = max(best, r)
            score[i] = best


@njit(cache=True)
def candidates(score, first, own_from, own_to, threshold, apart, found_at, found_chunk):  # type: ignore[no-untyped-def]
    """Local maxima of the score from ``threshold`` on, none with a higher one within ``apart`` samples of it.

    Only those in own_from[c] <= i < own_to[c] (indices within the chunk) are given. Fills found_at (index into score)
    and found_chunk, and returns how many; stops when they are full.
    """
    n = 0
    for c in range(len(first) - 1):
        a, z = first[c], first[c + 1]
        i = a + own_from[c]
        last = min(a + own_to[c], z)
        while i < last:
            s = score[i]
            if s < threshold:
                i += 1
                continue
            best = True
            for j in range(max(a, i - apart), i):
                if score[j] >= s:
                    best = False
                    break
            if best:
                step = 0
                for j in range(i + 1, min(z, i + apart + 1)):
                    if score[j] > s:
                        best = False
                        step = j - i
                        break
                if not best:
                    i += step
                    continue
                if n == len(found_at):
                    return n
                found_at[n] = i
                found_chunk[n] = c
                n += 1
                i += apart
            i += 1
    return n


@njit(cache=True)
def picked(native, native_first, step, first, out):  # type: ignore[no-untyped-def]
    """What a native series (N,) holds at each moment of the common rate, from the native sample before it."""
    for c in range(len(step)):
        last = native_first[c + 1] - 1
        for j in range(first[c + 1] - first[c]):
            out[first[c] + j] = native[min(last, native_first[c] + int(j * step[c] + 1e-9))]


@njit(cache=True)
def raised(score, first, speed, rate, slowest, line_score, line_first, t0, hz):  # type: ignore[no-untyped-def]
    """Raises score (M,) to that of laser lines (K,), line j of chunk c at t0[c] + j / hz[c] after its first sample."""
    for c in range(len(first) - 1):
        for j in range(line_first[c + 1] - line_first[c]):
            i = first[c] + int((t0[c] + j / hz[c]) * rate + 0.5)
            if first[c] <= i < first[c + 1] and speed[i] >= slowest:
                score[i] = max(score[i], line_score[line_first[c] + j])


@njit(cache=True)
def roughness(level, first, speed, slowest, out):  # type: ignore[no-untyped-def]
    """How rough a chunk's road is as the device feels it: log of all bands' usual energy over the usual speed, (C,)."""
    for c in range(len(first) - 1):
        total = 0.0
        n = 0
        for i in range(first[c], first[c + 1]):
            if speed[i] >= slowest:
                total += speed[i]
                n += 1
        energy = 0.0
        for k in range(level.shape[1]):
            energy += level[c, k]
        out[c] = np.log(energy / (total / n)) if n and not np.isnan(energy) else np.nan
