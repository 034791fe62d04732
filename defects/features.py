"""What a candidate looks like: numbers that mean the same at any speed, mounting and vehicle, or NaN where a sense is
missing.

Times become distances by the vehicle's own speed, sizes are held against the chunk's own level, and of a phone only
what no turning changes is used. One pass in numba over each candidate; no candidate sees another.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

MOST_BANDS = 6
WAVE_M = 0.5
WAVE = 14
"""Points of the shape, WAVE_M apart, from WAVE_FROM_M before the peak on: two axles of a car."""
WAVE_FROM_M = -2.0
SLOW_M = 1.5
SLOW = 9
SLOW_FROM_M = -6.0
ROUGH = 14
ROUGH_M = 0.75
ROUGH_FROM_M = -3.0
"""How rough it is along the road around the peak: a rail is four short ones, a worn patch one long one."""
ECHO_FROM_M, ECHO_STEP_M, ECHOES = 2.2, 0.25, 18
"""Wheelbases from 2.2 to 6.45 m: the rear axle meets what the front one met."""


def _names() -> tuple[str, ...]:
    names = ["speed_mps", "gate", "gate_band"]
    names += [f"rise_{b}" for b in range(MOST_BANDS)]
    names += [f"level_{b}" for b in range(MOST_BANDS)]
    names += [f"size_{b}" for b in range(MOST_BANDS)]
    names += [f"length_{b}" for b in range(MOST_BANDS)]
    names += ["up", "down", "up_over", "down_over", "up_after_m", "crest", "flips"]
    names += ["free_g", "free_s", "peak_g"]
    names += ["rise_mm", "fall_mm", "rise_after_m", "swing_mm"]
    names += ["after_share", "echo", "echo_m", "echo_low"]
    names += ["others", "other_best", "rank", "spread"]
    names += ["side", "roll", "roll_level", "pitch", "pitch_level", "yaw_mean", "yaw_level"]
    names += ["across", "across_level", "along", "along_level", "lean_mps2", "tilt_deg", "sharp", "sharp_level"]
    names += ["brake_mps2", "still_s"]
    names += [f"wave_{i}" for i in range(WAVE)]
    names += [f"slow_{i}" for i in range(SLOW)]
    names += [f"near_{b}" for b in range(MOST_BANDS)]
    names += [f"wide_{b}" for b in range(MOST_BANDS)]
    names += [f"rough_{i}" for i in range(ROUGH)]
    names += ["rough_echo", "rough_echo_m", "clank", "clank_crest", "clank_echo"]
    return tuple(names)


FEATURES = _names()
"""Of the inertial sensor, in order of the columns."""
_AT = {name: i for i, name in enumerate(FEATURES)}
_LAYOUT = np.array(
    [
        _AT[n]
        for n in (
            "speed_mps", "rise_0", "level_0", "size_0", "length_0", "up", "free_g", "rise_mm", "after_share", "others",
            "side", "brake_mps2", "wave_0", "slow_0", "near_0",
        )
    ]
)  # fmt: skip


def layout() -> NDArray[np.int64]:
    """Where each group of columns starts, as the kernel wants it."""
    return _LAYOUT.copy()


@njit(cache=True)
def described(  # type: ignore[no-untyped-def]
    at, chunk, first, vertical, energy, level, score, speed, rate, scale, apart,
    acc, acc_first, acc_scale, native_hz, gyro, gyro_scale, up, is_box, columns, out,
):  # fmt: skip
    """Fills out (n, len(FEATURES)) for the n candidates at index at[i] of chunk[i].

    vertical, score, speed (M,) and energy (M, B) at ``rate`` Hz, chunk c in first[c]:first[c+1]; level (C, B); acc int16
    (N, 3) native, chunk c in acc_first[c]:acc_first[c+1], times acc_scale[c], at native_hz[c]; gyro int16 (N, 3), times
    gyro_scale[c], 0 where the chunk has none; up (C, 4) of `conditioned`; is_box: axes x forward, y left, z up.
    """
    bands = level.shape[1]
    last_chunk = -1
    base = np.zeros(8)
    for e in range(len(at)):
        c = chunk[e]
        a, z = first[c], first[c + 1]
        i = at[e]
        u = max(speed[i], 1.0)
        row = out[e]
        for k in range(len(row)):
            row[k] = np.nan
        # --- levels of the chunk, once a chunk
        na, nz = acc_first[c], acc_first[c + 1]
        hz = native_hz[c]
        s = acc_scale[c]
        gs = gyro_scale[c]
        ux, uy, uz, g = up[c, 0], up[c, 1], up[c, 2], up[c, 3]
        if c != last_chunk:
            last_chunk = c
            for k in range(8):
                base[k] = 0.0
            count = 0
            jump_sum = 0.0
            for j in range(na, nz, 3):
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
                    d = (acc[j, 0] - acc[j - 1, 0]) * s * ux + (acc[j, 1] - acc[j - 1, 1]) * s * uy + (
                        acc[j, 2] - acc[j - 1, 2]
                    ) * s * uz
                    jump_sum += d * d
                count += 1
            for k in range(5):
                base[k] = base[k] / max(count, 1) + 1e-9
            base[5] = jump_sum / max(count, 1) + 1e-9
        # --- speed and gate
        row[0] = u
        row[1] = np.log(max(score[i], 1e-6))
        best = 0.0
        band = 0
        total_level = 0.0
        for k in range(bands):
            r = energy[i, k] / (level[c, k] * scale[k])
            if r > best:
                best = r
                band = k
            total_level += level[c, k]
        row[2] = band
        w4 = int(0.4 * rate)
        lo, hi = max(a, i - w4), min(z, i + w4 + 1)
        far_lo, far_hi = max(a, i - int(1.2 * rate)), min(z, i + int(1.2 * rate) + 1)
        for k in range(bands):
            top = 0.0
            for j in range(lo, hi):
                top = max(top, energy[j, k])
            row[columns[1] + k] = np.log(top / level[c, k])
            row[columns[2] + k] = np.log(level[c, k] / u)
            row[columns[3] + k] = np.log(top / u)
            over = 0.0
            limit = 0.3 * top
            for j in range(far_lo, far_hi):
                if energy[j, k] > limit:
                    over += speed[j]
            row[columns[4] + k] = over / rate
        # --- the jolt itself
        w3 = int(0.35 * rate)
        lo3, hi3 = max(a, i - w3), min(z, i + w3 + 1)
        j_up = lo3
        j_down = lo3
        square = 0.0
        flips = 0
        for j in range(lo3, hi3):
            if vertical[j] > vertical[j_up]:
                j_up = j
            if vertical[j] < vertical[j_down]:
                j_down = j
            square += vertical[j] * vertical[j]
            if j > lo3 and vertical[j] * vertical[j - 1] < 0:
                flips += 1
        rms = np.sqrt(square / max(hi3 - lo3, 1)) + 1e-6
        v_up, v_down = max(vertical[j_up], 1e-3), max(-vertical[j_down], 1e-3)
        context = np.sqrt(total_level) + 1e-6
        t = columns[5]
        row[t] = np.log(v_up / 9.80665)
        row[t + 1] = np.log(v_down / 9.80665)
        row[t + 2] = np.log(v_up / context)
        row[t + 3] = np.log(v_down / context)
        row[t + 4] = (j_up - j_down) / rate * u
        row[t + 5] = max(v_up, v_down) / rms
        row[t + 6] = flips / max(hi3 - lo3, 1) * rate / u
        # --- free fall and hardest hit, from native samples
        n0 = na + int((i - a) / rate * hz)
        half = int(0.35 * hz)
        free = 1e9
        hard = 0.0
        under = 0
        for j in range(max(na, n0 - half), min(nz, n0 + half + 1)):
            x, y, w = acc[j, 0] * s, acc[j, 1] * s, acc[j, 2] * s
            f = np.sqrt(x * x + y * y + w * w)
            free = min(free, f)
            hard = max(hard, f)
            if f < 0.4 * g:
                under += 1
        t = columns[6]
        row[t] = free / max(g, 1.0)
        row[t + 1] = under / hz
        row[t + 2] = hard / max(g, 1.0)
        # --- how far the body moved: integrated twice within 1.6 s, straight line taken off before and after
        w16 = int(0.8 * rate)
        lo16, hi16 = max(a, i - w16), min(z, i + w16 + 1)
        m = hi16 - lo16
        move = np.empty(m)
        mean = 0.0
        for j in range(m):
            mean += vertical[lo16 + j]
        mean /= max(m, 1)
        velocity = 0.0
        place = 0.0
        leak = np.exp(-1.0 / (0.5 * rate))
        for j in range(m):
            velocity = leak * velocity + (vertical[lo16 + j] - mean) / rate
            place = leak * place + velocity / rate
            move[j] = place
        centre = 0.0
        for j in range(m):
            centre += move[j]
        centre /= max(m, 1)
        j_high = 0
        j_low = 0
        for j in range(m):
            move[j] -= centre
            if move[j] > move[j_high]:
                j_high = j
            if move[j] < move[j_low]:
                j_low = j
        t = columns[7]
        row[t] = move[j_high] * 1000.0
        row[t + 1] = -move[j_low] * 1000.0
        row[t + 2] = (j_high - j_low) / rate * u
        row[t + 3] = np.log(max(move[j_high] - move[j_low], 1e-6) * 1000.0)
        # --- before and after, and the rear axle's echo
        before = 0.0
        after = 0.0
        w5 = int(0.5 * rate)
        for j in range(max(a, i - w5), i):
            before += vertical[j] * vertical[j]
        for j in range(i, min(z, i + w5)):
            after += vertical[j] * vertical[j]
        t = columns[8]
        row[t] = after / (before + after + 1e-9)
        best_echo = -2.0
        echo_m = np.nan
        low_echo = 2.0
        w2 = max(3, int(0.22 * rate))
        own = 0.0
        for j in range(max(a, i - w2), min(z, i + w2 + 1)):
            own += vertical[j] * vertical[j]
        for k in range(18):
            length = 2.2 + 0.25 * k
            lag = int(length / u * rate + 0.5)
            if i + lag + w2 >= z or i - w2 < a:
                break
            cross = 0.0
            other = 0.0
            for j in range(i - w2, i + w2 + 1):
                cross += vertical[j] * vertical[j + lag]
                other += vertical[j + lag] * vertical[j + lag]
            r = cross / np.sqrt(own * other + 1e-12)
            if r > best_echo:
                best_echo = r
                echo_m = length
            low_echo = min(low_echo, r)
        if best_echo > -2.0:
            row[t + 1] = best_echo
            row[t + 2] = echo_m
            row[t + 3] = low_echo
        # --- what else there is in the chunk
        others = 0
        other_best = 0.0
        higher = 0
        over = 0
        for j in range(a, z):
            if score[j] > 1.0:
                over += 1
            if j < i - apart * 2 or j > i + apart * 3:
                other_best = max(other_best, score[j])
                if score[j] > score[i]:
                    higher += 1
        for j in range(max(a + 1, i - int(2.0 * rate)), min(z - 1, i + int(2.0 * rate))):
            if score[j] > 0.5 * score[i] and score[j] >= score[j - 1] and score[j] > score[j + 1]:
                others += 1
        t = columns[9]
        row[t] = others
        row[t + 1] = np.log((other_best + 0.05) / (score[i] + 0.05))
        row[t + 2] = higher / max(z - a, 1)
        row[t + 3] = over / max(z - a, 1)
        # --- the other axes
        t = columns[10]
        across = 0.0
        along = 0.0
        roll = 0.0
        pitch = 0.0
        yaw2 = 0.0
        yaw_mean = 0.0
        jump = 0.0
        half = int(0.4 * hz)
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
                        heave = (
                            acc[j - 1, 0] * ux + acc[j - 1, 1] * uy + acc[j - 1, 2] * uz
                        ) * s - g
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
        full = int(1.0 * hz)
        gap = int(0.3 * hz)
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
        # --- driving
        t = columns[11]
        w1 = int(1.0 * rate)
        early, late = max(a, i - w1), min(z - 1, i + w1)
        row[t] = (speed[late] - speed[early]) / max((late - early) / rate, 1e-3)
        still = 0
        for j in range(a, z):
            if speed[j] < 1.0:
                still += 1
        row[t + 1] = still / rate
        # --- shape along the road
        j_peak = j_up if v_up >= v_down else j_down
        size = max(v_up, v_down)
        t = columns[12]
        for k in range(14):
            p = j_peak + (-2.0 + 0.5 * k) / u * rate
            q = int(np.floor(p))
            if q >= a and q + 1 < z:
                w = p - q
                row[t + k] = (vertical[q] * (1 - w) + vertical[q + 1] * w) / size
        t = columns[13]
        span = max(move[j_high] - move[j_low], 1e-6)
        for k in range(9):
            p = (i - lo16) + (-6.0 + 1.5 * k) / u * rate
            q = int(np.floor(p))
            if q >= 0 and q + 1 < m:
                w = p - q
                row[t + k] = (move[q] * (1 - w) + move[q + 1] * w) / span
        # --- how rough it is near and wide, and along the road
        t = columns[14]
        near = max(1, int(1.0 / u * rate))
        wide = max(2, int(2.5 / u * rate))
        for k in range(bands):
            total = 0.0
            n = 0
            for j in range(max(a, i - near), min(z, i + near + 1)):
                total += energy[j, k]
                n += 1
            row[t + k] = np.log(total / n / level[c, k])
            total = 0.0
            n = 0
            for j in range(max(a, i - wide), min(z, i + wide + 1)):
                total += energy[j, k]
                n += 1
            row[t + 6 + k] = np.log(total / n / level[c, k])
        high = max(0, bands - 3)
        usual = 0.0
        for k in range(high, bands):
            usual += level[c, k]
        for k in range(14):
            q = i + int(np.floor((-3.0 + 0.75 * k) / u * rate + 0.5))
            if a <= q < z:
                total = 0.0
                for b in range(high, bands):
                    total += energy[q, b]
                row[t + 12 + k] = np.log(total / usual)
        here = 0.0
        for b in range(high, bands):
            here += energy[i, b]
        best_echo = -1e9
        for k in range(18):
            length = 2.2 + 0.25 * k
            q = i + int(length / u * rate + 0.5)
            if q >= z:
                break
            total = 0.0
            for b in range(high, bands):
                total += energy[q, b]
            if total > best_echo:
                best_echo = total
                row[t + 27] = length
        if best_echo > 0.0:
            row[t + 26] = np.log(best_echo / (here + 1e-9))
        # --- hits of loose things: jumps from sample to sample, in windows of a twentieth of a second
        window = max(2, int(0.05 * hz))
        top = 0.0
        second = 0.0
        sum_all = 0.0
        m_all = 0
        j = lo_n + 1
        while j + window <= hi_n:
            part = 0.0
            for q in range(j, j + window):
                d = (
                    (acc[q, 0] - acc[q - 1, 0]) * ux + (acc[q, 1] - acc[q - 1, 1]) * uy + (acc[q, 2] - acc[q - 1, 2]) * uz
                ) * s
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
            row[t + 28] = np.log((top + 1e-9) / base[5]) - row[columns[1] + min(3, bands - 1)]
            row[t + 29] = np.log((top + 1e-9) / (sum_all / m_all + 1e-9))
            row[t + 30] = np.log((second + 1e-9) / (top + 1e-9))


def blank(n: int) -> NDArray[np.float64]:
    """Room for the features of n candidates."""
    return np.full((n, len(FEATURES)), math.nan)
