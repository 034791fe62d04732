"""What native samples of all axes tell of a candidate: free fall, the other axes, how the force leaned, and hits of
loose things.

The second kernel of the features: `features.py` says what the columns are, and its kernel goes first.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# As in `features.py`: with another value the same column means another thing, and the models are to be trained again.
LEVEL_STRIDE = 3
"""Of the samples, for the usual level of a chunk. 1 costs three times as much; larger, and a chunk of a slow phone
gives too few."""
FREE_S = 0.35
"""Around the moment for free fall and the hardest hit. Shorter, and a wheel in an open manhole (50-120 ms of fall, then
the hit) is cut off; longer, and the next jolt is taken for this one."""
FREE_SHARE = 0.4
"""Share of gravity below which it falls. Lower, and rough roads hide the fall; higher, and every rebound is one."""
AROUND_S = 0.4
"""Around the moment for the other axes. Shorter, and roll, which is slow, is cut off; longer, and the curve after it
counts."""
LEAN_S, LEAN_GAP_S = 1.0, 0.3
"""The mean force so long before and after, with a gap on either side. Shorter, and the jolt itself leans; longer, and
braking ends inside it."""
CLANK_S = 0.05
"""Length of a window for hits. Shorter, and one sample decides at 50 Hz; longer, and hit and after-hit are one."""
CLANK_BAND = 3
"""Column of `rise` that hits are held against: above the body's own bands, a hole raises it as much as a loose cover
does."""


@njit(cache=True)
def across_the_axes(  # type: ignore[no-untyped-def]  # noqa: PLR0915  (a kernel)
    at, chunk, first, speed, rate, bands, acc, acc_first, acc_scale, native_hz, gyro, gyro_scale, up,
    is_box, columns, out,
):  # fmt: skip
    """Fills what native samples tell of the n candidates at index at[i] of chunk[i]; out (n, F) comes from
    `along_the_road`, whose columns of ``bands`` bands it reads.

    speed (M,) at ``rate`` Hz, chunk c in first[c]:first[c+1]; acc int16 (N, 3) native, chunk c in
    acc_first[c]:acc_first[c+1], times acc_scale[c], at native_hz[c]; gyro int16 (N, 3), times gyro_scale[c], 0 where
    the chunk has none; up (C, 4) of `conditioned`; is_box: axes x forward, y left, z up.
    """
    last_chunk = -1
    base = np.zeros(8)
    for e in range(len(at)):
        c = chunk[e]
        a = first[c]
        i = at[e]
        u = max(speed[i], 1.0)
        row = out[e]
        na, nz = acc_first[c], acc_first[c + 1]
        hz = native_hz[c]
        s = acc_scale[c]
        gs = gyro_scale[c]
        ux, uy, uz, g = up[c, 0], up[c, 1], up[c, 2], up[c, 3]
        # --- levels of the chunk, once a chunk
        if c != last_chunk:
            last_chunk = c
            for k in range(8):
                base[k] = 0.0
            count = 0
            jump_sum = 0.0
            for j in range(na, nz, LEVEL_STRIDE):
                x, y, w = acc[j, 0] * s, acc[j, 1] * s, acc[j, 2] * s
                v = x * ux + y * uy + w * uz
                if is_box:
                    fx = x - g * ux
                    fy = y - g * uy
                    base[0] += fy * fy
                    base[1] += fx * fx
                else:
                    base[0] += max(x * x + y * y + w * w - v * v, 0.0)
                if gs > 0.0:
                    p, q, r = gyro[j, 0] * gs, gyro[j, 1] * gs, gyro[j, 2] * gs
                    if is_box:
                        base[2] += p * p
                        base[3] += q * q
                        base[4] += r * r
                    else:
                        yaw = p * ux + q * uy + r * uz
                        base[4] += yaw * yaw
                        base[2] += max(p * p + q * q + r * r - yaw * yaw, 0.0)
                if j > na:
                    d = (
                        (acc[j, 0] - acc[j - 1, 0]) * s * ux
                        + (acc[j, 1] - acc[j - 1, 1]) * s * uy
                        + (acc[j, 2] - acc[j - 1, 2]) * s * uz
                    )
                    jump_sum += d * d
                count += 1
            for k in range(5):
                base[k] = base[k] / max(count, 1) + 1e-9
            base[5] = jump_sum / max(count, 1) + 1e-9
        # --- free fall and hardest hit, from native samples
        n0 = na + int((i - a) / rate * hz)
        half = int(FREE_S * hz)
        free = 1e9
        hard = 0.0
        under = 0
        for j in range(max(na, n0 - half), min(nz, n0 + half + 1)):
            x, y, w = acc[j, 0] * s, acc[j, 1] * s, acc[j, 2] * s
            f = np.sqrt(x * x + y * y + w * w)
            free = min(free, f)
            hard = max(hard, f)
            if f < FREE_SHARE * g:
                under += 1
        t = columns[6]
        row[t] = free / max(g, 1.0)
        row[t + 1] = under / hz
        row[t + 2] = hard / max(g, 1.0)
        # --- the other axes
        t = columns[10]
        across = 0.0
        along = 0.0
        roll = 0.0
        pitch = 0.0
        yaw2 = 0.0
        yaw_mean = 0.0
        jump = 0.0
        half = int(AROUND_S * hz)
        lo_n, hi_n = max(na, n0 - half), min(nz, n0 + half + 1)
        heave2 = 1e-12
        cross_hr = 0.0
        droll2 = 1e-12
        count = max(hi_n - lo_n, 1)
        for j in range(lo_n, hi_n):
            x, y, w = acc[j, 0] * s, acc[j, 1] * s, acc[j, 2] * s
            v = x * ux + y * uy + w * uz
            if is_box:
                fx = x - g * ux
                fy = y - g * uy
                across += fy * fy
                along += fx * fx
            else:
                across += max(x * x + y * y + w * w - v * v, 0.0)
            if j > lo_n:
                d = v - (acc[j - 1, 0] * ux + acc[j - 1, 1] * uy + acc[j - 1, 2] * uz) * s
                jump += d * d
            if gs > 0.0:
                p, q, r = gyro[j, 0] * gs, gyro[j, 1] * gs, gyro[j, 2] * gs
                if is_box:
                    roll += p * p
                    pitch += q * q
                    yaw2 += r * r
                    yaw_mean += r
                    if j > lo_n + 1:
                        dp = (gyro[j, 0] - gyro[j - 2, 0]) * gs * hz * 0.5
                        heave = (acc[j - 1, 0] * ux + acc[j - 1, 1] * uy + acc[j - 1, 2] * uz) * s - g
                        heave2 += heave * heave
                        droll2 += dp * dp
                        cross_hr += heave * dp
                else:
                    yaw = p * ux + q * uy + r * uz
                    yaw2 += yaw * yaw
                    yaw_mean += yaw
                    roll += max(p * p + q * q + r * r - yaw * yaw, 0.0)
        if gs > 0.0:
            row[t + 1] = np.log((roll / count + 1e-9) / base[2])
            row[t + 2] = np.log(base[2])
            if is_box:
                row[t] = cross_hr / np.sqrt(heave2 * droll2)
                row[t + 3] = np.log((pitch / count + 1e-9) / base[3])
                row[t + 4] = np.log(base[3])
            row[t + 5] = abs(yaw_mean / count)
            row[t + 6] = np.log((yaw2 / count + 1e-9) / base[4])
        row[t + 7] = np.log((across / count + 1e-9) / base[0])
        row[t + 8] = np.log(base[0] / u)
        if is_box:
            row[t + 9] = np.log((along / count + 1e-9) / base[1])
            row[t + 10] = np.log(base[1] / u)
        row[t + 13] = np.log((jump / count + 1e-9) / base[5])
        row[t + 14] = np.log(base[5] / u)
        # --- how the mean force leaned from before to after: braking, or a phone that was turned
        bx = 0.0
        by = 0.0
        bz = 0.0
        cx = 0.0
        cy = 0.0
        cz = 0.0
        full = int(LEAN_S * hz)
        gap = int(LEAN_GAP_S * hz)
        nb = 0
        nc = 0
        for j in range(max(na, n0 - full - gap), max(na, n0 - gap)):
            bx += acc[j, 0]
            by += acc[j, 1]
            bz += acc[j, 2]
            nb += 1
        for j in range(min(nz, n0 + gap), min(nz, n0 + full + gap)):
            cx += acc[j, 0]
            cy += acc[j, 1]
            cz += acc[j, 2]
            nc += 1
        if nb > 3 and nc > 3:
            dot = (bx * cx + by * cy + bz * cz) / (
                np.sqrt(bx * bx + by * by + bz * bz) * np.sqrt(cx * cx + cy * cy + cz * cz) + 1e-9
            )
            row[t + 12] = np.degrees(np.arccos(min(1.0, max(-1.0, dot))))
            mx = (bx / nb + cx / nc) * 0.5 * s - g * ux
            my = (by / nb + cy / nc) * 0.5 * s - g * uy
            mz = (bz / nb + cz / nc) * 0.5 * s - g * uz
            along_up = mx * ux + my * uy + mz * uz
            row[t + 11] = np.sqrt(max(mx * mx + my * my + mz * mz - along_up * along_up, 0.0))
        # --- hits of loose things: jumps from sample to sample, in short windows
        t = columns[15]
        window = max(2, int(CLANK_S * hz))
        top = 0.0
        second = 0.0
        sum_all = 0.0
        m_all = 0
        j = lo_n + 1
        while j + window <= hi_n:
            part = 0.0
            for q in range(j, j + window):
                dx, dy, dz = acc[q, 0] - acc[q - 1, 0], acc[q, 1] - acc[q - 1, 1], acc[q, 2] - acc[q - 1, 2]
                d = (dx * ux + dy * uy + dz * uz) * s
                part += d * d
            part /= window
            if part > top:
                second = top
                top = part
            elif part > second:
                second = part
            sum_all += part
            m_all += 1
            j += window
        if m_all > 1:
            row[t] = np.log((top + 1e-9) / base[5]) - row[columns[1] + min(CLANK_BAND, bands - 1)]
            row[t + 1] = np.log((top + 1e-9) / (sum_all / m_all + 1e-9))
            row[t + 2] = np.log((second + 1e-9) / (top + 1e-9))
