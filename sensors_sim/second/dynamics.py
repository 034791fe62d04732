"""The drive: body, two axles, springs with friction or air, tyres that can leave the road; integrated over the way.

Seven degrees of freedom in axle coordinates (heave and roll of each axle), so that a stiff axle and independent wheels
are one case with other spring tracks; dampers of two slopes on each side; friction as an elastic slider; air as a
spring with a second chamber behind a throttle; one bending mode of the body.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..plan import WAY_HZ, Motion, Plan, Series
from .relief import STEP_M, Tracks
from .vehicles import Vehicle

Array = NDArray[np.float64]
G_MPS2 = 9.81
_STEP_HZ = 600.0  # of the integration, at least: fewer, and the stiffest friction rings; more costs time in proportion
_KNEE_MPS, _OPEN = 0.3, 0.8
"""Beyond this speed a damper's valves open and its slope falls to this share; less of either, and holes are felt less
than the field says; more, and a van is as hard as a lorry."""
_FLEX_DAMPING = 0.10  # share of critical; less, and a box rings long after a hole; more, and holes lose their peak
_SLIP_M = 0.0015  # how far a leaf gives before it slides; less rings at this step, more and a leaf is a soft spring


@njit(cache=True)
def _drive(  # noqa: PLR0915 - one loop: numba inlines no calls across files, and copies cost more than length
    q: Array, way: Array, left: Array, right: Array, start_m: float, step_m: float, n: int, inner: int, h: float
) -> Array:  # pragma: no cover
    """Rows (n, 9): force x y z, rate x y z, height, roll, pitch. way (m, 4) at WAY_HZ: s, ax, ay, yaw rate."""
    mass, iy, ix, cg, bx, by, bz, w_flex, p_flex, rolls = q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7], q[8], q[9]
    base = q[10] - q[26]
    z = vz = th = vth = ph = vph = fl = vfl = 0.0
    za, va, ps, vps = np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2)
    fr, ch, old = np.zeros(4), np.zeros(4), np.zeros(4)
    out = np.empty((n, 9))
    last = len(way) - 1
    cells = len(left) - 2
    for i in range(n * inner + 1):
        t = i * h * 100.0
        a = min(int(t), last - 1)
        p = min(t - a, 1.0)
        s = way[a, 0] + (way[a + 1, 0] - way[a, 0]) * p
        ax = way[a, 1] + (way[a + 1, 1] - way[a, 1]) * p
        ay = way[a, 2] + (way[a + 1, 2] - way[a, 2]) * p
        yaw = way[a, 3] + (way[a + 1, 3] - way[a, 3]) * p
        f_x = f_z = f_th = f_ph = 0.0
        f_flex = 0.0
        for x in range(2):
            b = 10 + 16 * x
            lever, yw, ys = q[b], q[b + 1], q[b + 2]
            at = (s - x * base - start_m) / step_m
            c = min(max(int(at), 0), cells)
            part = at - c
            f_a = f_ps = 0.0
            for side in range(2):
                w = 2 * x + side
                sign = 1.0 - 2.0 * side
                track = left if side == 0 else right
                road = track[c] + (track[c + 1] - track[c]) * part
                if i == 0:
                    old[w] = road
                    if side == 1:
                        za[x] = 0.5 * (old[2 * x] + road)
                        ps[x] = 0.5 * (old[2 * x] - road) / yw if yw > 0 else 0.0
                v_road = (road - old[w]) / h
                old[w] = road
                tyre = q[b + 12] * (road - za[x] - sign * yw * ps[x])
                tyre += q[b + 13] * (v_road - va[x] - sign * yw * vps[x])
                tyre = max(tyre, -q[b + 14])
                f_x -= (tyre + q[b + 14]) * (track[c + 1] - track[c]) / step_m
                d = za[x] + sign * ys * ps[x] - (z - lever * th + sign * ys * ph)
                v = va[x] + sign * ys * vps[x] - (vz - lever * vth + sign * ys * vph)
                k = q[b + 3]
                slope = q[b + 4] if v > 0 else q[b + 5]
                fast = min(max(v, -_KNEE_MPS), _KNEE_MPS)
                f = k * d + slope * (fast + _OPEN * (v - fast))
                most = q[b + 6]
                fr[w] = min(max(fr[w] + most / _SLIP_M * v * h, -most), most)
                f += fr[w]
                if q[b + 7] > 0:
                    chamber = q[b + 7] * (d - ch[w])
                    ch[w] += chamber / q[b + 8] * h
                    f += chamber
                gap = q[b + 9]
                if d > gap:
                    f += q[b + 15] * (d - gap)
                elif d < -1.2 * gap:
                    f += q[b + 15] * (d + 1.2 * gap)
                f_z += f
                f_th -= lever * f
                f_ph += sign * ys * f
                f_flex += f * (2.0 if x == 0 else 1.0)
                f_a += tyre - f
                f_ps += sign * (yw * tyre - ys * f)
            if i == 0:
                continue
            va[x] += f_a / q[b + 10] * h
            za[x] += va[x] * h
            vps[x] += f_ps / q[b + 11] * h * rolls
            ps[x] += vps[x] * h
        if i == 0:
            z = (za[0] * -q[26] + za[1] * q[10]) / base
            th = -(za[0] - za[1]) / base
            ph = 0.5 * (ps[0] + ps[1])
            for x in range(2):  # springs as at rest on this ground: only what follows shakes
                za[x] = z - q[10 + 16 * x] * th
            for w in range(4):
                x = w // 2
                ch[w] = (1.0 - 2.0 * (w % 2)) * q[12 + 16 * x] * (ps[x] - ph)
            continue
        a_z = f_z / mass
        a_th = (f_th - (mass * ax + 0.5 * f_x) * cg) / iy
        a_ph = (f_ph + mass * ay * cg) / ix * rolls
        vz += a_z * h
        z += vz * h
        vth += a_th * h
        th += vth * h
        vph += a_ph * h
        ph += vph * h
        a_fl = f_flex / mass - 2 * _FLEX_DAMPING * w_flex * vfl - w_flex * w_flex * fl
        vfl += a_fl * h
        fl += vfl * h
        row = (i - 1) // inner
        if (i - 1) % inner == 0:
            for j in range(9):
                out[row, j] = 0.0
        out[row, 0] += ax + f_x / mass - G_MPS2 * th + bz * a_th
        out[row, 1] += ay + G_MPS2 * ph - bz * a_ph
        out[row, 2] += G_MPS2 + a_z - bx * a_th + by * a_ph + p_flex * a_fl
        out[row, 3] += vph
        out[row, 4] += vth
        out[row, 5] += yaw
        out[row, 6] += z - bx * th + by * ph
        out[row, 7] += ph
        out[row, 8] += th
    for i in range(n):
        for j in range(9):
            out[i, j] /= inner
    return out


def way_forces(plan: Plan) -> Array:
    """Rows (m, 4) at WAY_HZ: place s, acceleration along and across, yaw rate; with braking and turning of the acts.

    Speeds are smoothed over a fifth of a second: a way's corners are not a vehicle's.
    """
    way = plan.way
    box = np.ones(21) / 21

    def smooth(x: Series) -> Series:
        return np.convolve(np.pad(x, 10, mode="edge"), box, mode="valid")

    rate = np.zeros(len(way.s_m))
    along = np.zeros(len(way.s_m))
    if len(rate) > 1:
        along = np.gradient(smooth(way.v_mps)) * WAY_HZ
        rate = -np.gradient(smooth(np.unwrap(np.radians(way.course_deg)))) * WAY_HZ
    across = way.v_mps * rate
    t = np.arange(len(rate)) / WAY_HZ
    for number, act in enumerate(plan.acts):
        rng = np.random.default_rng([plan.pass_seed, 431, number])
        hill = np.clip(np.minimum(t - act.t_s, act.t_s + act.duration_s - t) / max(0.05, 0.3 * act.duration_s), 0, 1)
        if "brak" in act.kind:
            judder = 1 + 0.15 * np.sin(2 * np.pi * rng.uniform(7, 14) * t)
            along = along - act.strength * rng.uniform(1.5, 3.2) * hill * judder
        elif "turn" in act.kind:
            across = across + act.strength * rng.choice([-1.0, 1.0]) * rng.uniform(1.0, 2.4) * hill
    return np.column_stack([way.s_m, along, across, rate])


def drive(plan: Plan, vehicle: Vehicle, tracks: Tracks, rate_hz: float, count: int) -> Motion:
    """What the device's mount feels, ``count`` samples at ``rate_hz``, each the mean over its time; no clanks yet.

    A two-wheeler leans into its curves, so that nothing is felt across but its rolling.
    """
    inner = int(np.ceil(_STEP_HZ / rate_hz))
    rows = way_forces(plan)
    out = _drive(
        vehicle.numbers, rows, tracks.left_m, tracks.right_m, tracks.start_m, STEP_M, count, inner,
        1 / (rate_hz * inner),
    )  # fmt: skip
    if plan.wheels.half_track_m == 0:
        lean = np.interp(np.arange(count) / rate_hz, np.arange(len(rows)) / WAY_HZ, -rows[:, 2] / G_MPS2)
        out[:, 7] = lean
        out[:, 1] += G_MPS2 * lean
        out[:, 3] = np.gradient(lean) * rate_hz if count > 1 else 0.0
    return Motion(rate_hz, out[:, :3], out[:, 3:6], out[:, 6], out[:, 7], out[:, 8], np.zeros(count))
