"""Where on which road a fix may have been taken, and how well that fits it. Compiled; loaded by `match` when called."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_MOST = 12
"""Candidates a fix keeps, the best fitting ones. Fewer, and at a large crossing the road really driven may be missing
where a phone is 20 m off; more cost time with the square."""


@njit(cache=True)
def _within(a, b, mean, sigma):  # type: ignore[no-untyped-def]
    """How much of a normal distribution lies between a and b."""
    scale = 1.0 / (sigma * math.sqrt(2.0))
    return 0.5 * (math.erf((b - mean) * scale) - math.erf((a - mean) * scale))


@njit(cache=True)
def _bearing_log(along_x, along_y, heading_deg, sigma_deg, stray):  # type: ignore[no-untyped-def]
    """Log density (per degree) of a stated heading where the road runs along (x, y): a normal one, some stray."""
    off = abs(math.degrees(math.atan2(along_x, along_y)) - heading_deg) % 360.0
    if off > 180.0:
        off = 360.0 - off
    z = off / sigma_deg
    return math.log((1.0 - stray) * math.exp(-0.5 * z * z) / (sigma_deg * math.sqrt(2.0 * math.pi)) + stray / 360.0)


@njit(cache=True)
def _square(key, wanted):  # type: ignore[no-untyped-def]
    """Place of ``wanted`` in the sorted keys, -1 where it is not among them."""
    low, high = 0, len(key)
    while low < high:
        middle = (low + high) // 2
        if key[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    if low < len(key) and key[low] == wanted:
        return low
    return -1


@njit(cache=True)
def near(seg, seg_edge, seg_at, key, key_first, key_seg, index_m, x, y, radius, edge, at, lateral, past, d_x, d_y):  # type: ignore[no-untyped-def]
    """The nearest point of every edge within radius of (x, y): fills edge, place along it (m), lateral offset (m, to
    the left of the drawing), how far the fix lies past the end of that point's segment (m), and the unit vector of
    the drawing there. Returns how many; stops when they are full."""
    n = 0
    for column in range(math.floor((x - radius) / index_m), math.floor((x + radius) / index_m) + 1):
        for row in range(math.floor((y - radius) / index_m), math.floor((y + radius) / index_m) + 1):
            k = _square(key, (column << 32) + row)
            if k < 0:
                continue
            for j in range(key_first[k], key_first[k + 1]):
                s = key_seg[j]
                u_x, u_y = seg[s, 2] - seg[s, 0], seg[s, 3] - seg[s, 1]
                length = math.sqrt(u_x * u_x + u_y * u_y)
                u_x /= length
                u_y /= length
                r_x, r_y = x - seg[s, 0], y - seg[s, 1]
                along = r_x * u_x + r_y * u_y
                side = u_x * r_y - u_y * r_x
                foot = min(max(along, 0.0), length)
                over = abs(along - foot)
                if side * side + over * over > radius * radius:
                    continue
                e = seg_edge[s]
                slot = -1
                for i in range(n):
                    if edge[i] == e:
                        slot = i
                        break
                place = seg_at[s] + foot
                if slot >= 0:
                    before = lateral[slot] * lateral[slot] + past[slot] * past[slot]
                    now = side * side + over * over
                    if now > before or (now == before and place >= at[slot]):
                        continue
                else:
                    if n == len(edge):
                        return n
                    slot = n
                    n += 1
                edge[slot] = e
                at[slot] = place
                lateral[slot] = side
                past[slot] = over
                d_x[slot] = u_x
                d_y[slot] = u_y
    return n


@njit(cache=True)
def candidates(  # type: ignore[no-untyped-def]
    seg, seg_edge, seg_at, key, key_first, key_seg, index_m, edge_section, edge_m, width, oneway,
    x, y, sigma, heading, speed, radius_sigmas, radius_least, radius_most, axis_sigma, right, middle, stray,
    heading_sigma, slowest,
):  # fmt: skip
    """Candidates of n fixes: (first (n + 1,), arc, at, lateral, log), those of fix i in rows first[i]:first[i + 1].

    The offset across the road is as likely anywhere on the side that is driven, smeared by the error of fix and axis;
    past a road's end it falls as that error. A share ``stray`` of fixes is anywhere within the radius.
    """
    n = len(x)
    first = np.zeros(n + 1, np.int64)
    arc_out = np.empty(n * _MOST, np.int64)
    at_out = np.empty(n * _MOST)
    lateral_out = np.empty(n * _MOST)
    log_out = np.empty(n * _MOST)
    edge = np.empty(256, np.int64)
    at = np.empty(256)
    lateral = np.empty(256)
    past = np.empty(256)
    d_x = np.empty(256)
    d_y = np.empty(256)
    m = 0
    for i in range(n):
        first[i] = m
        spread = math.sqrt(sigma[i] * sigma[i] + axis_sigma * axis_sigma)
        radius = min(max(radius_sigmas * spread, radius_least), radius_most)
        found = near(
            seg, seg_edge, seg_at, key, key_first, key_seg, index_m, x[i], y[i], radius,
            edge, at, lateral, past, d_x, d_y,
        )  # fmt: skip
        for k in range(found):
            e = edge[k]
            s = edge_section[e]
            half = 0.5 * width[s]
            for back in range(1 if oneway[s] else 2):
                low, high = -half, half
                if not oneway[s]:
                    if (back == 0) == right:
                        high = min(middle, half)
                    else:
                        low = -min(middle, half)
                z = past[k] / spread
                fits = _within(low, high, lateral[k], spread) / (high - low) * math.exp(-0.5 * z * z)
                log = math.log((1.0 - stray) * fits + stray / (2.0 * radius))
                if heading[i] >= 0.0 and (speed[i] < 0.0 or speed[i] >= slowest):
                    sense = -1.0 if back else 1.0
                    log += _bearing_log(sense * d_x[k], sense * d_y[k], heading[i], heading_sigma, stray)
                arc = 2 * e + back
                j = m
                while j > first[i] and (log_out[j - 1] < log or (log_out[j - 1] == log and arc_out[j - 1] > arc)):
                    j -= 1
                if j - first[i] >= _MOST:
                    continue
                if m - first[i] < _MOST:
                    m += 1
                for b in range(m - 1, j, -1):
                    arc_out[b] = arc_out[b - 1]
                    at_out[b] = at_out[b - 1]
                    lateral_out[b] = lateral_out[b - 1]
                    log_out[b] = log_out[b - 1]
                arc_out[j] = arc
                at_out[j] = edge_m[e] - at[k] if back else at[k]
                lateral_out[j] = lateral[k]
                log_out[j] = log
    first[n] = m
    return first, arc_out[:m], at_out[:m], lateral_out[:m], log_out[:m]


@njit(cache=True)
def nearest(seg, seg_edge, seg_at, key, key_first, key_seg, index_m, x, y, radius, edge_out, at_out, apart_out):  # type: ignore[no-untyped-def]
    """Of each of n positions the nearest edge within radius (-1 where there is none), place along it and distance."""
    edge = np.empty(256, np.int64)
    at = np.empty(256)
    lateral = np.empty(256)
    past = np.empty(256)
    d_x = np.empty(256)
    d_y = np.empty(256)
    for i in range(len(x)):
        edge_out[i] = -1
        apart_out[i] = radius
        found = near(
            seg, seg_edge, seg_at, key, key_first, key_seg, index_m, x[i], y[i], radius,
            edge, at, lateral, past, d_x, d_y,
        )  # fmt: skip
        for k in range(found):
            apart = math.sqrt(lateral[k] * lateral[k] + past[k] * past[k])
            if edge_out[i] < 0 or apart < apart_out[i] or (apart == apart_out[i] and edge[k] < edge_out[i]):
                edge_out[i] = edge[k]
                at_out[i] = at[k]
                apart_out[i] = apart


@njit(cache=True)
def lanes_of(  # type: ignore[no-untyped-def]
    lateral, sigma, forward, width, known, lanes, oneway, right, axis_sigma, width_sigma, fine, wrong, lane, share
):
    """The likeliest lane of each of n fixes, 1 at the left edge as drawn, and its probability; 0 and 0 where the
    section does not say how many it has. Lane 0 too where the spread is above ``fine`` lanes, and there is a choice.
    ``wrong``: weight of a lane of the other direction."""
    for i in range(len(lateral)):
        lane[i] = 0
        share[i] = 0.0
        count = lanes[i]
        if count < 1:
            continue
        unsure = 0.0 if known[i] else width_sigma
        spread = math.sqrt(sigma[i] * sigma[i] + axis_sigma * axis_sigma + unsure * unsure)
        each = width[i] / count
        total = 0.0
        best = 0.0
        mine = 0
        for k in range(count):
            high = 0.5 * width[i] - k * each
            # Beyond the edge nobody drives: what lies there is the outer lane, seen with an error.
            top = high + 8.0 * spread if k == 0 else high
            bottom = high - each - (8.0 * spread if k == count - 1 else 0.0)
            weight = _within(bottom, top, lateral[i], spread) + 1e-300
            centre = high - 0.5 * each
            if oneway[i] or (centre < 1e-9 if forward[i] == right else centre > -1e-9):
                mine += 1
            else:
                weight *= wrong
            total += weight
            if weight > best:
                best = weight
                lane[i] = k + 1
        share[i] = best / total
        if mine > 1 and spread > fine * each:
            lane[i] = 0
