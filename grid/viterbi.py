"""The likeliest way through the candidates of a trace, and how sure it is. Compiled; loaded by `match` when called."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_SLOTS = 4096
"""Of the table of a search, a power of two. It ends when three quarters are taken: some 3,000 arcs, more than are
within a kilometre of a crossing in an old town. Fewer, and a long gap downtown is a break; more, and the table leaves
the processor's cache."""
_FULL = 3072


@njit(cache=True)
def _slot(tab_arc, arc):  # type: ignore[no-untyped-def]
    """Where the arc stands in the table, or the free slot for it."""
    i = (arc * 2654435761 >> 7) & (_SLOTS - 1)
    while tab_arc[i] >= 0 and tab_arc[i] != arc:
        i = (i + 1) & (_SLOTS - 1)
    return i


@njit(cache=True)
def _push(heap_cost, heap_slot, tab_arc, n, cost, slot):  # type: ignore[no-untyped-def]
    i = n
    while i > 0:
        up = (i - 1) >> 1
        if heap_cost[up] < cost or (heap_cost[up] == cost and tab_arc[heap_slot[up]] <= tab_arc[slot]):
            break
        heap_cost[i] = heap_cost[up]
        heap_slot[i] = heap_slot[up]
        i = up
    heap_cost[i] = cost
    heap_slot[i] = slot
    return n + 1


@njit(cache=True)
def _pop(heap_cost, heap_slot, tab_arc, n):  # type: ignore[no-untyped-def]
    """Takes the first off; the heap is one shorter. Equal costs go by the arc's number."""
    n -= 1
    cost, slot = heap_cost[n], heap_slot[n]
    i = 0
    while True:
        k = 2 * i + 1
        if k >= n:
            break
        if k + 1 < n and (
            heap_cost[k + 1] < heap_cost[k]
            or (heap_cost[k + 1] == heap_cost[k] and tab_arc[heap_slot[k + 1]] < tab_arc[heap_slot[k]])
        ):
            k += 1
        if cost < heap_cost[k] or (cost == heap_cost[k] and tab_arc[slot] <= tab_arc[heap_slot[k]]):
            break
        heap_cost[i] = heap_cost[k]
        heap_slot[i] = heap_slot[k]
        i = k
    heap_cost[i] = cost
    heap_slot[i] = slot
    return n


@njit(cache=True)
def _reach(  # type: ignore[no-untyped-def]  # noqa: PLR0915  (a kernel)
    a_arc, a_at, arc, at, low, high, edge_m, arc_first, arc_next, bound, slack, turn_m,
    tab_arc, tab_cost, tab_turns, tab_from, used, heap_cost, heap_slot, cost, length, turns, through,
):  # fmt: skip
    """Shortest ways from one place to the candidates low:high (Dijkstra's algorithm, over arcs, so that turning back
    can cost turn_m). Fills cost, length (m), turns, and through: the slot of the last arc, -1 on the same arc, -2 where
    one turned back on it. used[0]: how many slots are taken, used[1:]: which."""
    for i in range(1, used[0] + 1):
        tab_arc[used[i]] = -1
    used[0] = 0
    for c in range(high - low):
        cost[c] = math.inf
        turns[c] = 0
        through[c] = -1
        if arc[low + c] == a_arc and at[low + c] >= a_at - slack:
            length[c] = max(at[low + c] - a_at, 0.0)
            cost[c] = length[c]
        elif arc[low + c] == a_arc ^ 1:
            length[c] = abs(edge_m[a_arc >> 1] - at[low + c] - a_at)
            cost[c] = length[c] + turn_m
            turns[c] = 1
            through[c] = -2
    n = 0
    base, from_slot, here = edge_m[a_arc >> 1] - a_at, -1, a_arc
    spun = 0
    while True:
        for j in range(arc_first[here], arc_first[here + 1]):
            to = arc_next[j]
            turned = 1 if to == here ^ 1 else 0
            more = base + turned * turn_m
            if more > bound:
                continue
            s = _slot(tab_arc, to)
            if tab_arc[s] < 0:
                if used[0] >= _FULL:
                    continue
                tab_arc[s] = to
                used[0] += 1
                used[used[0]] = s
            elif tab_cost[s] <= more:
                continue
            tab_cost[s] = more
            tab_turns[s] = spun + turned
            tab_from[s] = from_slot
            if n < len(heap_cost):
                n = _push(heap_cost, heap_slot, tab_arc, n, more, s)
        while n > 0 and heap_cost[0] > tab_cost[heap_slot[0]]:
            n = _pop(heap_cost, heap_slot, tab_arc, n)
        if n == 0:
            return
        base, from_slot = heap_cost[0], heap_slot[0]
        n = _pop(heap_cost, heap_slot, tab_arc, n)
        here, spun = tab_arc[from_slot], tab_turns[from_slot]
        farthest = 0.0
        for c in range(high - low):
            if arc[low + c] == here and base + at[low + c] < cost[c]:
                cost[c] = base + at[low + c]
                turns[c] = spun
                length[c] = cost[c] - spun * turn_m
                through[c] = from_slot
            farthest = max(farthest, cost[c])
        if base >= farthest:
            return
        base += edge_m[here >> 1]


@njit(cache=True)
def _sum_log(values, n):  # type: ignore[no-untyped-def]
    """Log of the sum of exponentials of the first n, in their order."""
    top = -math.inf
    for i in range(n):
        top = max(top, values[i])
    if top == -math.inf:
        return top
    total = 0.0
    for i in range(n):
        total += math.exp(values[i] - top)
    return top + math.log(total)


@njit(cache=True)
def way(  # type: ignore[no-untyped-def]  # noqa: PLR0915  (a kernel)
    t, x, y, sigma, first, arc, at, log, edge_m, edge_section, arc_first, arc_next,
    lasts, beta_m, beta_share, bound_m, bound_share, turn_m, turn_log, fastest, gap_s, skips,
):  # fmt: skip
    """Of each of n fixes the candidate on the likeliest way (-1: none), its chain, and of each candidate the
    probability; and the ways: (choice, chain, share, path_first (n + 1,), path), path holding indices of sections."""
    n, m = len(t), len(arc)
    tab_arc = np.full(_SLOTS, -1, np.int64)
    tab_cost = np.empty(_SLOTS)
    tab_turns = np.empty(_SLOTS, np.int64)
    tab_from = np.empty(_SLOTS, np.int64)
    used = np.zeros(_SLOTS, np.int64)
    heap_cost = np.empty(4 * _SLOTS)
    heap_slot = np.empty(4 * _SLOTS, np.int64)
    cost = np.empty(64)
    length = np.empty(64)
    turns = np.empty(64, np.int64)
    through = np.empty(64, np.int64)
    held = np.empty(64)
    score = np.full(m, -math.inf)
    ahead = np.full(m, -math.inf)
    behind = np.full(m, -math.inf)
    share = np.zeros(m)
    back = np.full(m, -1, np.int64)
    weight = np.zeros(n)
    before = np.full(n, -2, np.int64)  # the fix before in the chain, -1 at its start, -2 not in a chain
    after = np.full(n, -1, np.int64)
    step_first = np.zeros(n, np.int64)
    step = np.empty(1024)
    filled, last, left_out, skipped, i = 0, -1, -1, 0, 0
    while i < n or left_out >= 0:
        if i == n or (last >= 0 and (t[i] - t[last] > gap_s or skipped > skips)):
            last = -1
            skipped = 0
            if left_out >= 0:
                i = left_out
                left_out = -1
            continue
        low, high = first[i], first[i + 1]
        if low == high:
            i += 1
            continue
        if last < 0:
            before[i] = -1
            weight[i] = 1.0
            for c in range(low, high):
                score[c] = ahead[c] = log[c]
            last = i
            i += 1
            continue
        a_low, a_high = first[last], first[last + 1]
        k = high - low
        while filled + (a_high - a_low) * k > len(step):
            wider = np.empty(2 * len(step))
            for j in range(filled):
                wider[j] = step[j]
            step = wider
        dt = t[i] - t[last]
        straight = math.hypot(x[i] - x[last], y[i] - y[last])
        unsure = math.sqrt(sigma[i] * sigma[i] + sigma[last] * sigma[last])
        drift = unsure * math.sqrt(1.0 - math.exp(-dt / lasts))
        beta = beta_m + beta_share * straight + drift
        bound = bound_m + bound_share * straight + 4.0 * drift
        found = False
        for a in range(a_low, a_high):
            _reach(
                arc[a], at[a], arc, at, low, high, edge_m, arc_first, arc_next, bound, beta_m + 4.0 * drift, turn_m,
                tab_arc, tab_cost, tab_turns, tab_from, used, heap_cost, heap_slot, cost, length, turns, through,
            )  # fmt: skip
            for c in range(k):
                value = -math.inf
                if cost[c] <= bound and length[c] <= fastest * dt + beta_m + 4.0 * unsure:
                    value = -abs(length[c] - straight) / beta - turns[c] * turn_log
                    found = found or score[a] > -math.inf
                step[filled + (a - a_low) * k + c] = value
        if not found:
            skipped += 1
            if left_out < 0:
                left_out = i
            i += 1
            continue
        before[i] = last
        after[last] = i
        # Errors of fixes last: what is soon after says little that is new.
        weight[i] = 1.0 - math.exp(-dt / lasts)
        step_first[i] = filled
        for c in range(k):
            for a in range(a_high - a_low):
                value = step[filled + a * k + c]
                if score[a_low + a] + value > score[low + c]:
                    score[low + c] = score[a_low + a] + value
                    back[low + c] = a_low + a
                held[a] = ahead[a_low + a] + value
            ahead[low + c] = _sum_log(held, a_high - a_low) + weight[i] * log[low + c]
            score[low + c] += weight[i] * log[low + c]
        filled += (a_high - a_low) * k
        last, skipped, left_out = i, 0, -1
        i += 1

    choice = np.full(n, -1, np.int64)
    chain = np.full(n, -1, np.int64)
    for end in range(n - 1, -1, -1):
        if before[end] == -2:
            continue
        low, high = first[end], first[end + 1]
        if after[end] < 0:
            best = low
            for c in range(low, high):
                behind[c] = 0.0
                if score[c] > score[best]:
                    best = c
            choice[end] = best
        for c in range(low, high):
            held[c - low] = ahead[c] + behind[c]
        total = _sum_log(held, high - low)
        for c in range(low, high):
            share[c] = math.exp(ahead[c] + behind[c] - total)
        if before[end] >= 0:
            choice[before[end]] = back[choice[end]]
            a_low, a_high = first[before[end]], first[before[end] + 1]
            for a in range(a_low, a_high):
                for c in range(low, high):
                    value = step[step_first[end] + (a - a_low) * (high - low) + c - low]
                    held[c - low] = value + weight[end] * log[c] + behind[c]
                behind[a] = _sum_log(held, high - low)

    path_first = np.zeros(n + 1, np.int64)
    path = np.empty(256, np.int64)
    filled, chains = 0, 0
    for i in range(n):
        path_first[i] = filled
        if before[i] == -2:
            continue
        if before[i] == -1:
            chain[i] = chains
            chains += 1
            continue
        p = before[i]
        chain[i] = chain[p]
        c = choice[i]
        straight = math.hypot(x[i] - x[p], y[i] - y[p])
        dt = t[i] - t[p]
        drift = math.sqrt(sigma[i] * sigma[i] + sigma[p] * sigma[p]) * math.sqrt(1.0 - math.exp(-dt / lasts))
        _reach(
            arc[choice[p]], at[choice[p]], arc, at, c, c + 1, edge_m, arc_first, arc_next,
            bound_m + bound_share * straight + 4.0 * drift, beta_m + 4.0 * drift, turn_m,
            tab_arc, tab_cost, tab_turns, tab_from, used, heap_cost, heap_slot, cost, length, turns, through,
        )  # fmt: skip
        arcs = 0
        s = through[0]
        while s >= 0:
            arcs += 1
            s = tab_from[s]
        while filled + arcs + 1 > len(path):
            longer = np.empty(2 * len(path), np.int64)
            for j in range(filled):
                longer[j] = path[j]
            path = longer
        path[filled] = edge_section[arc[choice[p]] >> 1]
        s = through[0]
        for j in range(arcs, 0, -1):
            path[filled + j] = edge_section[tab_arc[s] >> 1]
            s = tab_from[s]
        kept = filled
        for j in range(filled + 1, filled + arcs + 1):
            if path[j] != path[kept]:
                kept += 1
                path[kept] = path[j]
        filled = kept + 1
    path_first[n] = filled
    return choice, chain, share, path_first, path[:filled]
