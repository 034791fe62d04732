"""What laser lines and acoustic bands add: the shape of the road across the lane, and how it sounds.

A line of a laser is measured from a moving body, so that its mean and tilt are the body's; what is left when a straight
line is taken off is the road's. Along the road only what changes within a metre or two is the road's.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

LASER_FEATURES = (
    "las_low_mm", "las_high_mm", "las_low_y_m", "las_high_y_m", "las_low_m2", "las_high_m2", "las_deep_m2", "las_low_m",
    "las_high_m", "las_low_wide", "las_high_wide", "las_step_mm", "las_rut_mm", "las_rms_mm", "las_rms_level_mm",
    "las_edge_mm", "las_dip_mm", "las_hump_mm", "las_score", "las_lost",
)  # fmt: skip
BAND_FEATURES = (
    "snd_low_db", "snd_mid_db", "snd_high_db", "snd_low_level_db", "snd_mid_level_db", "snd_high_level_db",
    "snd_long_db",
)  # fmt: skip

LOST = -32768
"""What a line says where no light came back."""
LOW_MM = 8.0
"""From here a point lies below its surroundings: ten times the noise. Half of it is texture of good asphalt."""
DEEP_MM = 20.0
LINE_COLUMNS = 11
"""Of `lines`: low, high, low_y, high_y, share below LOW_MM, share above, rms, rut, mean, share lost, right edge."""


@njit(cache=True)
def lines(  # type: ignore[no-untyped-def]  # noqa: PLR0915  (a kernel)
    counts, shape, first, scale, width, out, cross
):
    """Figures of each laser line. counts int16, flat, lines of chunk c from first[c] on, shape[c] = (k, p); scale[c],
    width[c] in metres. Fills out (K, 11), in the order of LINE_COLUMNS, mm and m, y from the lane's middle of the line
    to the left. cross: (most points,) scratch."""
    line = 0
    for c in range(len(scale)):
        k, p = shape[c, 0], shape[c, 1]
        mm = scale[c] * 1000.0
        step = width[c] / max(p - 1, 1)
        mean = np.zeros(p)
        seen = np.zeros(p)
        start = line
        for pass_ in range(2):
            for j in range(k):
                base = first[c] + j * p
                n = 0
                sy = 0.0
                sz = 0.0
                syy = 0.0
                syz = 0.0
                for q in range(p):
                    v = counts[base + q]
                    if v != LOST:
                        y = width[c] / 2 - q * step
                        z = v * mm
                        n += 1
                        sy += y
                        sz += z
                        syy += y * y
                        syz += y * z
                row = out[start + j]
                if n < p // 2 or n < 4:
                    for m in range(11):
                        row[m] = np.nan
                    row[9] = 1.0 - n / p
                    continue
                d = n * syy - sy * sy
                slope = (n * syz - sy * sz) / d if d > 1e-9 else 0.0
                level = (sz - slope * sy) / n
                if pass_ == 0:
                    for q in range(p):
                        v = counts[base + q]
                        if v != LOST:
                            y = width[c] / 2 - q * step
                            mean[q] += v * mm - level - slope * y
                            seen[q] += 1.0
                    continue
                low = 1e9
                high = -1e9
                low_y = 0.0
                high_y = 0.0
                below = 0
                above = 0
                square = 0.0
                rut = 0.0
                edge = 0.0
                edges = 0
                for q in range(p):
                    v = counts[base + q]
                    if v == LOST:
                        continue
                    y = width[c] / 2 - q * step
                    whole = v * mm - level - slope * y
                    r = whole - cross[q]
                    rut += whole * np.cos(2 * np.pi * y / 1.75)
                    square += r * r
                    if r < low:
                        low = r
                        low_y = y
                    if r > high:
                        high = r
                        high_y = y
                    if r < -LOW_MM:
                        below += 1
                    if r > LOW_MM:
                        above += 1
                    if y < -width[c] / 2 + 0.35:
                        edge += whole
                        edges += 1
                row[0] = low
                row[1] = high
                row[2] = low_y
                row[3] = high_y
                row[4] = below / n
                row[5] = above / n
                row[6] = np.sqrt(square / n)
                row[7] = 2.0 * rut / n
                row[8] = level
                row[9] = 1.0 - n / p
                row[10] = edge / max(edges, 1)
            if pass_ == 0:
                for q in range(p):
                    cross[q] = mean[q] / seen[q] if seen[q] > 0 else 0.0
        line = start + k


@njit(cache=True)
def _middle(values):  # type: ignore[no-untyped-def]
    """Median of what is no NaN; NaN where all is."""
    kept = values[~np.isnan(values)]
    if len(kept) == 0:
        return np.nan
    return np.median(kept)


@njit(cache=True)
def line_scores(out, first, score, median):  # type: ignore[no-untyped-def]
    """How far each line stands out: its largest departure over what is usual in the chunk (at least 2.5 mm), or its
    rut.

    out (K, 11) of `lines`, those of chunk c in first[c]:first[c+1]. Fills score (K,) and median (C, 2): usual departure
    and usual RMS, mm."""
    for c in range(len(first) - 1):
        a, z = first[c], first[c + 1]
        if z == a:
            median[c, 0] = np.nan
            median[c, 1] = np.nan
            continue
        usual = np.empty(z - a)
        for j in range(a, z):
            usual[j - a] = max(-out[j, 0], out[j, 1])
        median[c, 0] = _middle(usual)
        median[c, 1] = _middle(out[a:z, 6])
        floor = max(median[c, 0], 2.5) if median[c, 0] == median[c, 0] else 2.5
        for j in range(a, z):
            s = 0.0
            if out[j, 0] == out[j, 0]:
                s = max(-out[j, 0], out[j, 1]) / floor / 2.2
                s = max(s, out[j, 7] / 9.0)
                s = max(s, -out[j, 10] / 12.0)
            score[j] = s


@njit(cache=True)
def seen_by_laser(  # type: ignore[no-untyped-def]  # noqa: PLR0915  (a kernel)
    t, chunk, speed, out, score, median, first, t0, hz, width, rows
):
    """Fills rows (n, 20) for candidates at times t (n,) of chunk (n,), within 2 m before and after; NaN where a chunk
    has no lines. t and t0 (C,) count from the same moment; speed (n,) m/s."""
    for e in range(len(t)):
        c = chunk[e]
        a, z = first[c], first[c + 1]
        row = rows[e]
        for k in range(20):
            row[k] = np.nan
        if z == a:
            continue
        u = max(speed[e], 2.0)
        reach = 2.0 / u * hz[c]
        at = (t[e] - t0[c]) * hz[c]
        lo = max(a, a + int(np.floor(at - reach)))
        hi = min(z, a + int(np.ceil(at + reach)) + 1)
        if hi - lo < 3:
            continue
        gap = u / hz[c]
        low = 1e9
        high = -1e9
        low_y = 0.0
        high_y = 0.0
        area_low = 0.0
        area_high = 0.0
        length_low = 0.0
        length_high = 0.0
        deep = 0.0
        wide_low = 0.0
        wide_high = 0.0
        rut = 0.0
        edge = 0.0
        square = 0.0
        best = 0.0
        n = 0
        lost = 0.0
        mean = 0.0
        for j in range(lo, hi):
            lost += out[j, 9]
            if out[j, 0] != out[j, 0]:
                continue
            n += 1
            if out[j, 0] < low:
                low = out[j, 0]
                low_y = out[j, 2]
            if out[j, 1] > high:
                high = out[j, 1]
                high_y = out[j, 3]
            area_low += out[j, 4] * width[c] * gap
            area_high += out[j, 5] * width[c] * gap
            if out[j, 4] > 0:
                length_low += gap
            if out[j, 5] > 0:
                length_high += gap
            if out[j, 0] < -DEEP_MM:
                deep += out[j, 4] * width[c] * gap
            wide_low = max(wide_low, out[j, 4])
            wide_high = max(wide_high, out[j, 5])
            rut += out[j, 7]
            edge += out[j, 10]
            square += out[j, 6] * out[j, 6]
            best = max(best, score[j])
            mean += out[j, 8]
        row[19] = lost / (hi - lo)
        if n < 3:
            continue
        mean /= n
        step = 0.0
        dip = 0.0
        hump = 0.0
        s1 = 0.0
        s2 = 0.0
        m = 0
        # The body's own slow motion is the straight line through the window's heights.
        for j in range(lo, hi):
            if out[j, 8] == out[j, 8]:
                x = j - lo - (hi - lo - 1) / 2
                s1 += x * (out[j, 8] - mean)
                s2 += x * x
        slope = s1 / s2 if s2 > 0 else 0.0
        before = np.nan
        for j in range(lo, hi):
            if out[j, 8] != out[j, 8]:
                continue
            x = j - lo - (hi - lo - 1) / 2
            r = out[j, 8] - mean - slope * x
            dip = max(dip, -r)
            hump = max(hump, r)
            if not np.isnan(before):
                step = step if abs(step) >= abs(r - before) else r - before
            before = r
            m += 1
        row[0] = low
        row[1] = high
        row[2] = low_y
        row[3] = high_y
        row[4] = area_low
        row[5] = area_high
        row[6] = deep
        row[7] = length_low
        row[8] = length_high
        row[9] = wide_low
        row[10] = wide_high
        row[11] = step
        row[12] = rut / n
        row[13] = np.sqrt(square / n)
        row[14] = median[c, 1]
        row[15] = edge / n
        row[16] = dip
        row[17] = hump
        row[18] = best


@njit(cache=True)
def heard_by_bands(t, chunk, level, first, t0, step, groups, rows):  # type: ignore[no-untyped-def]
    """Fills rows (n, 7) for candidates at times t of chunk: how far low, mid and high bands rise above their usual
    level within 0.3 s, that level, and how far the mid band stays up within 2 s; NaN where a chunk has no bands.

    level (R, 3) dB: means of the bands below 200 Hz, to 1,200 Hz and above, rows of chunk c in first[c]:first[c+1],
    from t0[c] on, step[c] apart; groups (C, 3): which of the three a chunk has."""
    last = -1
    usual = np.zeros(3)
    for e in range(len(t)):
        c = chunk[e]
        a, z = first[c], first[c + 1]
        row = rows[e]
        for k in range(7):
            row[k] = np.nan
        if z - a < 3:
            continue
        if c != last:
            last = c
            for k in range(3):
                usual[k] = np.median(level[a:z, k]) if groups[c, k] else np.nan
        at = int(np.floor((t[e] - t0[c]) / step[c] + 0.5))
        reach = max(1, int(0.3 / step[c] + 0.5))
        wide = max(2, int(1.0 / step[c] + 0.5))
        for k in range(3):
            if not groups[c, k]:
                continue
            top = -1e9
            for j in range(max(a, a + at - reach), min(z, a + at + reach + 1)):
                top = max(top, level[j, k])
            row[k] = top - usual[k] if top > -1e9 else np.nan
            row[3 + k] = usual[k]
        if groups[c, 1]:
            total = 0.0
            n = 0
            for j in range(max(a, a + at - wide), min(z, a + at + wide + 1)):
                total += level[j, 1]
                n += 1
            row[6] = total / n - usual[1] if n else np.nan


def group_levels(
    centre_hz: NDArray[np.float32], level_db: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Rows (k, 3): means of the bands below 200 Hz, to 1,200 Hz and above; and which of the three there are."""
    out = np.full((len(level_db), 3), math.nan)
    have = np.zeros(3, dtype=bool)
    for k, (low, high) in enumerate(((0.0, 200.0), (200.0, 1200.0), (1200.0, math.inf))):
        mine = (centre_hz >= low) & (centre_hz < high)
        if mine.any():
            out[:, k] = level_db[:, mine].astype(np.float64).mean(axis=1)
            have[k] = True
    return out, have
