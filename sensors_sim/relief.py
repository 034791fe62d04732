"""The compiled core of a lane's heights: shapes of things, the road between the lines, tyre, wheel disc.

Everything that is compiled and calls one another stands in this file: numba keeps compiled code by file, and would not
notice a change elsewhere. A thing is a row of figures, in the order of the names ROW below.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

(FLAT, BOWL, COVER, RECT, DIP, HUMP, STEP, TABLE, RUTS, RAILS, GAP, EDGE, SLABS, CRACK, HOLE) = range(15)
ROW = (
    "code", "s", "y", "half_length", "half_width", "height", "texture", "edge", "ragged0", "ragged1", "ragged2",
    "phase0", "phase1", "phase2", "tilt_s", "tilt_y", "seed", "own", "own2",
)  # fmt: skip

Heights = NDArray[np.float64]

_RUT_SIDE_M, _RUT_SIGMA_M = 0.9, 0.15  # ruts 1.8 m apart and .6 m wide, four sigma
_RAIL_HALF_M = 0.035


@njit(cache=True)
def _hash(i: int, j: int, seed: int) -> float:
    """Uniform in -1 to 1, the same for the same three whole numbers."""
    x = (i * 73856093) ^ (j * 19349663) ^ (seed * 83492791)
    x = ((x ^ (x >> 15)) * 739982445) & 0x7FFFFFFF
    x = ((x ^ (x >> 12)) * 695872825) & 0x7FFFFFFF
    x = x ^ (x >> 14)
    return (x & 0xFFFFF) / 524287.5 - 1.0


@njit(cache=True)
def _grain(s_m: float, y_m: float, cell_m: float, seed: int) -> float:
    """Value noise of unit RMS (1.5 sqrt(3): what bilinear mixing of uniform values takes away)."""
    a, b = s_m / cell_m, y_m / cell_m
    i, j = math.floor(a), math.floor(b)
    a, b = a - i, b - j
    i, j = int(i), int(j)
    low = _hash(i, j, seed) * (1 - a) + _hash(i + 1, j, seed) * a
    high = _hash(i, j + 1, seed) * (1 - a) + _hash(i + 1, j + 1, seed) * a
    return (low * (1 - b) + high * b) * 2.598


@njit(cache=True)
def _shape(row: Heights, s_m: float, y_m: float, wheel: bool) -> float:  # noqa: PLR0915 - one branch a shape
    """Height that a thing adds at a place of the lane, m. wheel: as a wheel meets it, which no crack lowers."""
    code = int(row[0])
    ds, dy = s_m - row[1], y_m - row[2]
    a, b, h = row[3], row[4], row[5]
    u, v = ds / a, dy / b
    if abs(u) >= 1.0 or abs(v) >= 1.0:
        return 0.0
    r = math.sqrt(u * u + v * v)
    z = 0.0
    inside = 1.0  # fades the texture at the rim
    if code in (BOWL, DIP, HOLE, COVER, FLAT):
        if code not in (COVER, HOLE):  # iron is round, damage is ragged
            angle = math.atan2(v, u)
            r *= (
                1.0
                + row[8] * (1 + math.sin(2 * angle + row[11]))
                + row[9] * (1 + math.sin(3 * angle + row[12]))
                + row[10] * (1 + math.sin(5 * angle + row[13]))
            )
        if r >= 1.0:
            return 0.0
        inside = min(1.0, (1 - r) * 5)
    else:
        inside = min(1.0, (1 - abs(u)) * 8) * min(1.0, (1 - abs(v)) * 8)
    if code == BOWL:
        z = h * (1 - r ** row[17]) ** (1 / row[17])
    elif code == HOLE:
        z = h * min(1.0, (1 - r) * a / row[7])
    elif code == COVER:
        ring = 0.04 / a  # the frame: a ring of 4 cm, then the plate
        if r > 1 - ring:
            z = row[17] * min(1.0, (1 - r) * a / 0.01) + h * (1.0 - (r - 1 + ring) / ring) * 0.5
        else:
            z = (h + row[14] * u + row[15] * v) * min(1.0, (1 - ring - r) * a / row[7] + 0.5)
    elif code == RECT:
        rim = min(1.0, min((1 - abs(u)) * a, (1 - abs(v)) * b) / row[7])
        z = (h + row[14] * u + row[15] * v) * rim
    elif code == DIP:
        z = h * (math.exp(-2 * r * r) - 0.1353) / 0.8647  # a Gaussian of four sigma, brought to 0 at its rim
    elif code == HUMP:
        beside = min(1.0, (1 - abs(v)) / row[18]) if row[18] > 0 else 1.0
        if row[17] <= 1:
            z = h * math.cos(u * math.pi / 2) * beside
        else:  # waves: crests h above their troughs, more at one end than at the other
            z = h * 0.5 * (1 - math.cos(math.pi * row[17] * (u + 1))) * (0.8 + 0.2 * u) * beside
    elif code == STEP:
        z = h * (1 - u) / 2
    elif code == TABLE:
        z = h * min(1.0, (1 - abs(u)) * a / row[17])
    elif code == RUTS:
        left, right = (dy - _RUT_SIDE_M) / _RUT_SIGMA_M, (dy + _RUT_SIDE_M) / _RUT_SIGMA_M
        enter = min(1.0, (1 - abs(u)) * a / min(10.0, 0.9 * a))  # so slowly that no wheel could feel it
        enter = enter * enter * (3 - 2 * enter)
        depth = 0.9 + 0.1 * math.sin(s_m * 0.6 + row[11])
        z = h * enter * depth * (math.exp(-0.5 * left * left) + math.exp(-0.5 * right * right))
    elif code == RAILS:
        for side in (-1.0, 1.0):
            off = abs(ds - side * row[17])
            if off < _RAIL_HALF_M:
                z = h
            elif off < 0.1:
                z = h * (0.1 - off) / (0.1 - _RAIL_HALF_M)
            if not wheel and 0.0 < ds - side * row[17] - _RAIL_HALF_M < 0.04:
                z = -0.03  # the flange's groove: the disc of a wheel rides across
    elif code == GAP:
        z = h * (1 - abs(u))
        off = abs(ds)
        if off < row[17] / 2:
            z = -row[18] if not wheel else z - row[17] * row[17] / 2.4  # a gap w lowers a disc of .3 m by w² / 8 r
    elif code == EDGE:
        bite = 1.0 + 0.35 * math.sin(ds * 4.0 + row[11]) + 0.25 * math.sin(ds * 9.0 + row[12])
        z = h * min(1.0, max(0.0, (0.6 * bite - v - 1 + 0.4) * 0.9 + 0.5)) * inside
    elif code == SLABS:
        i = math.floor((u + 1) * 1.5 + 0.25 * math.sin(2 * v + row[11]))
        j = math.floor(v + 0.3 * math.sin(2 * u + row[12]))
        seed = int(row[16])
        level = 0.5 + 0.5 * _hash(i, j, seed)
        z = h * level + 0.35 * h * (_hash(i, j, seed + 7) * (u * 1.5 % 1.0) + _hash(i, j, seed + 9) * v)
    elif code == CRACK and not wheel:
        if a > b:
            off = abs(dy - 0.6 * b * math.sin(4 * ds + row[11]))
        else:
            off = abs(ds - 0.6 * a * math.sin(4 * dy + row[11]))
        if off < row[17] / 2:
            z = -row[18]
    if row[6] > 0:
        seed = int(row[16])
        grain = 0.6 * _grain(s_m, y_m, 0.035, seed) + 0.8 * _grain(s_m, y_m, row[7], seed + 1)
        z += row[6] * grain * inside
    return z


@njit(cache=True)
def _road(lines: NDArray[np.float32], base_m: float, line_m: float, s_m: float, y_m: float) -> float:
    """The bare road between its lines, linear both ways; it repeats along, and goes on level beyond the outer lines."""
    count = lines.shape[1]
    at = s_m / base_m
    i = math.floor(at)
    part = at - i
    i0 = int(i) % count
    i1 = i0 + 1 if i0 + 1 < count else 0
    across = min(max(y_m / line_m + (lines.shape[0] - 1) / 2, 0.0), lines.shape[0] - 1.000001)
    j = int(across)
    q = across - j
    low = lines[j, i0] * (1 - q) + lines[j + 1, i0] * q
    high = lines[j, i1] * (1 - q) + lines[j + 1, i1] * q
    return float(low * (1 - part) + high * part)


@njit(cache=True)
def cross(
    lines: NDArray[np.float32], base_m: float, line_m: float, rows: Heights, s_m: Heights, y_m: Heights, out: Heights
) -> None:
    """Bare heights at (s_m[i], y_m[i, j]) into out (k, p). rows: things, sorted by where they begin."""
    reach = 0.0
    for t in range(rows.shape[0]):
        reach = max(reach, rows[t, 3])
    for i in range(s_m.shape[0]):
        for j in range(y_m.shape[1]):
            out[i, j] = _road(lines, base_m, line_m, s_m[i], y_m[i, j])
        for t in range(rows.shape[0]):
            if rows[t, 1] - rows[t, 3] > s_m[i]:
                break
            if rows[t, 1] + rows[t, 3] > s_m[i]:
                for j in range(y_m.shape[1]):
                    out[i, j] += _shape(rows[t], s_m[i], y_m[i, j], False)


@njit(cache=True)
def track(
    lines: NDArray[np.float32],
    base_m: float,
    line_m: float,
    rows: Heights,
    first_m: float,
    step_m: float,
    y_m: Heights,
    aside_m: Heights,
    tyre_m: float,
    across: int,
    radius_m: float,
    out: Heights,
) -> None:
    """Heights at which the hubs of wheels ride, less the radius, into out (w, k): at first_m + i step_m along, y_m[i] +
    aside_m[w] across. The tyre is as high as the mean over its width, then a disc of the radius rolls over that."""
    k = y_m.shape[0]
    reach = int(radius_m / step_m)
    drop = np.empty(reach + 1)
    for i in range(reach + 1):
        drop[i] = math.sqrt(radius_m * radius_m - (i * step_m) ** 2) - radius_m
    bare = np.empty(k)
    blocks = (k + reach - 1) // reach
    highest = np.empty(blocks)
    for w in range(aside_m.shape[0]):
        for i in range(k):
            bare[i] = _road(lines, base_m, line_m, first_m + i * step_m, y_m[i] + aside_m[w])
        for t in range(rows.shape[0]):
            if rows[t, 0] == FLAT and rows[t, 6] == 0.0:
                continue
            begin = max(0, int((rows[t, 1] - rows[t, 3] - first_m) / step_m))
            end = min(k, int((rows[t, 1] + rows[t, 3] - first_m) / step_m) + 2)
            for i in range(begin, end):
                middle = y_m[i] + aside_m[w]
                if abs(middle - rows[t, 2]) > rows[t, 4] + tyre_m / 2:
                    continue
                total = 0.0
                for j in range(across):
                    y = middle + tyre_m * ((j + 0.5) / across - 0.5)
                    total += _shape(rows[t], first_m + i * step_m, y, True)
                bare[i] += total / across
        for b in range(blocks):
            most = bare[b * reach]
            for i in range(b * reach + 1, min(k, (b + 1) * reach)):
                most = max(most, bare[i])
            highest[b] = most
        for i in range(k):
            best = bare[i]
            b = i // reach
            # No point in reach stands higher than this, so the search ends where the disc is too far above it.
            most = highest[b]
            if b > 0:
                most = max(most, highest[b - 1])
            if b + 1 < blocks:
                most = max(most, highest[b + 1])
            for d in range(1, reach + 1):
                if most + drop[d] <= best:
                    break
                if i >= d:
                    best = max(best, bare[i - d] + drop[d])
                if i + d < k:
                    best = max(best, bare[i + d] + drop[d])
            out[w, i] = best


@njit(cache=True)
def sample(heights: Heights, first_m: float, step_m: float, way_s_m: Heights, ratio: int, behind_m: float) -> Heights:
    """Heights (2 w, n) under front, then rear wheels in time, ``ratio`` values to one of the way."""
    wheels, k = heights.shape
    n = (way_s_m.shape[0] - 1) * ratio + 1
    out = np.empty((2 * wheels, n))
    for i in range(n):
        j = min(i // ratio, way_s_m.shape[0] - 2)
        part = i / ratio - j
        s = way_s_m[j] * (1 - part) + way_s_m[j + 1] * part
        for axle in range(2):
            at = (s - axle * behind_m - first_m) / step_m
            low = min(max(int(at), 0), k - 2)
            q = at - low
            for w in range(wheels):
                out[axle * wheels + w, i] = heights[w, low] * (1 - q) + heights[w, low + 1] * q
    return out
