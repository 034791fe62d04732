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

# Every constant below belongs to the trained models: with another value the same column means another thing, and the
# models are to be trained again.
MOST_BANDS = 6
"""Columns for bands of the gate; a gate with fewer leaves the last ones NaN, with more it would write over its
neighbours."""
WAVE_M = 0.5
WAVE = 14
"""Points of the shape, WAVE_M apart, from WAVE_FROM_M before the peak on: two axles of a car."""
WAVE_FROM_M = -2.0
SLOW, SLOW_M, SLOW_FROM_M = 9, 1.5, -6.0
"""Points of the body's movement, from SLOW_FROM_M before the candidate on: a settlement is metres long."""
ROUGH, ROUGH_M, ROUGH_FROM_M = 14, 0.75, -3.0
"""How rough it is along the road around the peak: a rail is four short ones, a worn patch one long one."""
ECHO_FROM_M, ECHO_STEP_M, ECHOES = 2.2, 0.25, 18
"""Wheelbases from 2.2 to 6.45 m: the rear axle meets what the front one met."""
ECHO_HALF_S = 0.22
"""Half of the piece that is compared with its echo. Shorter, and any swing resembles any other; longer, and both axles
lie in one piece."""
TOP_S = 0.4
"""Around the gate's moment for the highest energy of each band. Shorter, and slow bands answer too late; longer, and
the next thing is taken for this one."""
LENGTH_S = 1.2
"""Around the moment for how long the energy lasts. Shorter, and a worn patch ends at the edge; longer, and several
things are added up."""
LENGTH_SHARE = 0.3
"""Share of the highest energy that still counts as lasting. Lower, and the ring of the springs lengthens everything;
higher, and the second axle is lost."""
JOLT_S = 0.35
"""Around the moment for the largest swings. Shorter, and the rebound is cut off; longer, and a neighbour sets the
sign."""
MOVE_S = 0.8
"""Around the moment for the body's movement. Shorter, and a bump of 3 m does not fit at 15 km/h; longer, and drift
outgrows it."""
LEAK_S = 0.5
"""Time in which the integrals forget. Shorter, and long settlements vanish; longer, and the sensor's drift looks like
one."""
SIDE_S = 0.5
"""Before and after the moment. Shorter, and the wheel's ring decides; longer, and the road's own noise does."""
OTHERS_S = 2.0
"""Around the moment for how many others there are. Shorter, and a row of rails is one thing; longer, and half a street
counts."""
OTHERS_SHARE = 0.5
"""Share of this one's score from which on another counts. Lower, and noise counts; higher, and equal neighbours are
missed."""
DRIVING_S = 1.0
"""Around the moment for braking. Shorter, and one fix a second gives steps; longer, and the braking before a bump is
averaged away."""
STILL_MPS = 1.0
"""Below it the vehicle stands: lower, and errors of position move it; higher, and a queue stands."""
NEAR_M, WIDE_M = 1.0, 2.5
"""Around the moment for how rough it is: one wheel's reach, and a car's length. Equal, and a short thing looks like a
worn patch."""
G_MPS2 = 9.80665


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
            "side", "brake_mps2", "wave_0", "slow_0", "near_0", "clank",
        )
    ]
)  # fmt: skip


def layout() -> NDArray[np.int64]:
    """Where each group of columns starts, as the kernels want it."""
    return _LAYOUT.copy()


def blank(n: int) -> NDArray[np.float64]:
    """Room for the features of n candidates, NaN all over: what a kernel leaves out is missing."""
    return np.full((n, len(FEATURES)), math.nan)


@njit(cache=True)
def along_the_road(  # type: ignore[no-untyped-def]  # noqa: PLR0915  (a kernel)
    at, chunk, first, vertical, energy, level, score, speed, rate, scale, apart, columns, out,
):  # fmt: skip
    """Fills what the vertical series tells of the n candidates at index at[i] of chunk[i]; out (n, len(FEATURES)) comes
    from `blank`.

    vertical, score, speed (M,) and energy (M, B) at ``rate`` Hz, chunk c in first[c]:first[c+1]; level (C, B); scale
    (B,) of the gate; apart: samples between two candidates; columns of `layout`.
    """
    bands = level.shape[1]
    for e in range(len(at)):
        c = chunk[e]
        a, z = first[c], first[c + 1]
        i = at[e]
        u = max(speed[i], 1.0)
        row = out[e]
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
        w4 = int(TOP_S * rate)
        lo, hi = max(a, i - w4), min(z, i + w4 + 1)
        far_lo, far_hi = max(a, i - int(LENGTH_S * rate)), min(z, i + int(LENGTH_S * rate) + 1)
        for k in range(bands):
            top = 0.0
            for j in range(lo, hi):
                top = max(top, energy[j, k])
            row[columns[1] + k] = np.log(top / level[c, k])
            row[columns[2] + k] = np.log(level[c, k] / u)
            row[columns[3] + k] = np.log(top / u)
            over = 0.0
            limit = LENGTH_SHARE * top
            for j in range(far_lo, far_hi):
                if energy[j, k] > limit:
                    over += speed[j]
            row[columns[4] + k] = over / rate
        # --- the jolt itself
        w3 = int(JOLT_S * rate)
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
        row[t] = np.log(v_up / G_MPS2)
        row[t + 1] = np.log(v_down / G_MPS2)
        row[t + 2] = np.log(v_up / context)
        row[t + 3] = np.log(v_down / context)
        row[t + 4] = (j_up - j_down) / rate * u
        row[t + 5] = max(v_up, v_down) / rms
        row[t + 6] = flips / max(hi3 - lo3, 1) * rate / u
        # --- how far the body moved: integrated twice, with a leak, and held against its mean
        w16 = int(MOVE_S * rate)
        lo16, hi16 = max(a, i - w16), min(z, i + w16 + 1)
        m = hi16 - lo16
        move = np.empty(m)
        mean = 0.0
        for j in range(m):
            mean += vertical[lo16 + j]
        mean /= max(m, 1)
        velocity = 0.0
        place = 0.0
        leak = np.exp(-1.0 / (LEAK_S * rate))
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
        w5 = int(SIDE_S * rate)
        for j in range(max(a, i - w5), i):
            before += vertical[j] * vertical[j]
        for j in range(i, min(z, i + w5)):
            after += vertical[j] * vertical[j]
        t = columns[8]
        row[t] = after / (before + after + 1e-9)
        best_echo = -2.0
        echo_m = np.nan
        low_echo = 2.0
        w2 = max(3, int(ECHO_HALF_S * rate))
        own = 0.0
        for j in range(max(a, i - w2), min(z, i + w2 + 1)):
            own += vertical[j] * vertical[j]
        for k in range(ECHOES):
            length = ECHO_FROM_M + ECHO_STEP_M * k
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
        for j in range(max(a + 1, i - int(OTHERS_S * rate)), min(z - 1, i + int(OTHERS_S * rate))):
            if score[j] > OTHERS_SHARE * score[i] and score[j] >= score[j - 1] and score[j] > score[j + 1]:
                others += 1
        t = columns[9]
        row[t] = others
        row[t + 1] = np.log((other_best + 0.05) / (score[i] + 0.05))
        row[t + 2] = higher / max(z - a, 1)
        row[t + 3] = over / max(z - a, 1)
        # --- driving
        t = columns[11]
        w1 = int(DRIVING_S * rate)
        early, late = max(a, i - w1), min(z - 1, i + w1)
        row[t] = (speed[late] - speed[early]) / max((late - early) / rate, 1e-3)
        still = 0
        for j in range(a, z):
            if speed[j] < STILL_MPS:
                still += 1
        row[t + 1] = still / rate
        # --- shape along the road
        j_peak = j_up if v_up >= v_down else j_down
        size = max(v_up, v_down)
        t = columns[12]
        for k in range(WAVE):
            p = j_peak + (WAVE_FROM_M + WAVE_M * k) / u * rate
            q = int(np.floor(p))
            if q >= a and q + 1 < z:
                w = p - q
                row[t + k] = (vertical[q] * (1 - w) + vertical[q + 1] * w) / size
        t = columns[13]
        span = max(move[j_high] - move[j_low], 1e-6)
        for k in range(SLOW):
            p = (i - lo16) + (SLOW_FROM_M + SLOW_M * k) / u * rate
            q = int(np.floor(p))
            if q >= 0 and q + 1 < m:
                w = p - q
                row[t + k] = (move[q] * (1 - w) + move[q + 1] * w) / span
        # --- how rough it is near and wide, and along the road
        t = columns[14]
        near = max(1, int(NEAR_M / u * rate))
        wide = max(2, int(WIDE_M / u * rate))
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
            row[t + MOST_BANDS + k] = np.log(total / n / level[c, k])
        high = max(0, bands - 3)
        usual = 0.0
        for k in range(high, bands):
            usual += level[c, k]
        for k in range(ROUGH):
            q = i + int(np.floor((ROUGH_FROM_M + ROUGH_M * k) / u * rate + 0.5))
            if a <= q < z:
                total = 0.0
                for b in range(high, bands):
                    total += energy[q, b]
                row[t + 2 * MOST_BANDS + k] = np.log(total / usual)
        here = 0.0
        for b in range(high, bands):
            here += energy[i, b]
        best_echo = -1e9
        for k in range(ECHOES):
            length = ECHO_FROM_M + ECHO_STEP_M * k
            q = i + int(length / u * rate + 0.5)
            if q >= z:
                break
            total = 0.0
            for b in range(high, bands):
                total += energy[q, b]
            if total > best_echo:
                best_echo = total
                row[t + 2 * MOST_BANDS + ROUGH + 1] = length
        if best_echo > 0.0:
            row[t + 2 * MOST_BANDS + ROUGH] = np.log(best_echo / (here + 1e-9))
