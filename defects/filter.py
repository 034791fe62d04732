"""The two-state filter over days, square by square, in integers: what is believed of a square after each night.

A belief drifts every night (healed, newly broken), then the day's evidence is added, tempered by how many different
devices it came from. Everything is int64 with 16 fractional bits, and the drift is a table with integer interpolation,
so that the state after a day is a function of the state before and of the day's evidence: going on from a carried
state gives the same bits as beginning anew (source of the filter: a hidden Markov chain of two states).

A square's state is `WIDTH` integers, all zero where nobody passed. Logits, strengths and tallies of a type are
kept only once something spoke for the type (bit in `HAS`): before that, doubt is a matter of exposure alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .planes import (
    DEVICES,
    EXPOSURE_BOX,
    EXPOSURE_CAMERA,
    EXPOSURE_LASER,
    HIT_DEVICES,
    LOGODDS,
    NAMED,
    PASSES,
    SIZE,
    TALLY,
)  # fmt: skip

Int64 = NDArray[np.int64]

TYPES, NAMES, CLASSES = 19, 11, 3  # uneven and types 1 to 18; of `FELT_TYPES`; of exposure: box, camera, laser

# Layout of a square's state. The numbers are part of carried bytes: a change takes a new version of `carry`.
LOGIT = 0
STRENGTH = 19
HITS = 38  # fixed-point, 8 bits, fading
SEVERITY = 57  # sum over hits, 8 bits, fading
NAME = 76
SIZED = 87  # hits whose size is known, 8 bits, fading
SIZE_SUM = 88
EXPOSURE = 89  # box, camera, laser
LAST_PASS = 92  # day number
LAST_HIT = 93
PASSED = 94
MOST_DEVICES = 95  # that hit on one day
NEWEST_DEVICES = 96  # that hit on the newest day with a word on the square
HAS = 97
ON = 98  # types held for a defect at the end of the day before
DEEP = 99  # types held for severe
WELL = 100  # types that were looked for well enough
WIDTH = 101

# Places of the options in the vector that the kernel takes, all of them integers (16 bits of fraction, but for FADE
# with 32, severities with 8, and counts).
OPTIONS = 16
(PRIOR, FLOOR, REPEAT, MOST_AGAINST, ENTER, LEAVE, FADE, VALIDITY, GREEN_ENTER, GREEN_LEAVE, P_GREEN_ENTER,
 P_GREEN_LEAVE, SEVERE, NOT_SEVERE, WITNESSES, CONTRIBUTORS) = range(OPTIONS)  # fmt: skip

# Columns of a rival: a type of a square that is held for a defect. SEVERITY with 8 bits; HITS, SIZED and SIZE_SUM too.
(R_CELL, R_TYPE, R_LOGIT, R_STRENGTH, R_SEVERITY, R_HELD_SEVERE, R_DEVICES, R_EXPIRED, R_HITS, R_SIZED,
 R_SIZE_SUM, R_NAME) = range(12)  # fmt: skip
RIVAL = R_NAME + NAMES

_MOST = 30_000 * 65_536  # of any number that is kept: it must fit into 32 bits
_STEP_BITS, _REACH = 10, 16 * 65_536
NIGHT_FROM, NIGHT_STEP, NIGHT_STEPS = -16.0, 1 / 64, 2048
"""Of the table of one night: logit after for each logit before; the kernel interpolates, to within 2**-16."""


@njit(cache=True)
def _night(logit, table):  # type: ignore[no-untyped-def]
    at = min(max(logit, -_REACH), _REACH - 1) + _REACH
    k = at >> _STEP_BITS
    part = at & ((1 << _STEP_BITS) - 1)
    return table[k] + ((table[k + 1] - table[k]) * part + (1 << (_STEP_BITS - 1)) >> _STEP_BITS)


@njit(cache=True)
def _bits(value):  # type: ignore[no-untyped-def]
    n = 0
    v = value
    while v:
        v &= v - 1
        n += 1
    return n


@njit(cache=True)
def _share(devices, many, repeat):  # type: ignore[no-untyped-def]
    """How much `many` words of so many devices are worth, 16 bits: further words of one device count less."""
    if many <= 0:
        return 65_536
    worth = (devices << 16) + repeat * max(many - devices, 0)
    return min(worth // many, 65_536)


@njit(cache=True)
def _fade(value, factor):  # type: ignore[no-untyped-def]
    return (value * factor + (1 << 31)) >> 32


@njit(cache=True)
def _exposure(state, share, k):  # type: ignore[no-untyped-def]
    total = 0
    for c in range(CLASSES):
        total += state[EXPOSURE + c] * share[c, k] >> 16
    return total


@njit(cache=True)
def _sleep(state, table, opt):  # type: ignore[no-untyped-def]
    """One night."""
    fade = opt[FADE]
    for c in range(CLASSES):
        state[EXPOSURE + c] = _fade(state[EXPOSURE + c], fade)
    has = state[HAS]
    if has == 0:
        return
    for k in range(TYPES):
        if not has >> k & 1:
            continue
        before = state[LOGIT + k]
        after = _night(before, table)
        # A prior above the resting level (coarse squares) must not sink by waiting: silence is no evidence.
        state[LOGIT + k] = max(after, opt[PRIOR]) if before > opt[PRIOR] else max(before, after)
        state[STRENGTH + k] = _fade(state[STRENGTH + k], fade)


@njit(cache=True)
def _age(state, nights, fade):  # type: ignore[no-untyped-def]
    """What hits said of kind, size and severity gives way to newer hits; by waiting alone it stays what it was."""
    for _ in range(nights):
        for k in range(TYPES):
            state[HITS + k] = _fade(state[HITS + k], fade)
            state[SEVERITY + k] = _fade(state[SEVERITY + k], fade)
        for j in range(NAMES):
            state[NAME + j] = _fade(state[NAME + j], fade)
        state[SIZED] = _fade(state[SIZED], fade)
        state[SIZE_SUM] = _fade(state[SIZE_SUM], fade)


@njit(cache=True)
def _add(state, key, value, a, b, day, share, opt, said, looked):  # type: ignore[no-untyped-def]
    """A day's evidence of one square: entries a to b. said (64,), looked (3,): room to work in."""
    for i in range(64):
        said[i] = 0
    for i in range(a, b):
        said[np.int64(key[i]) & 63] = value[i]
    passes, devices = said[PASSES], _bits(said[DEVICES])
    hit_devices = _bits(said[HIT_DEVICES])
    quiet = _share(devices, passes, opt[REPEAT])
    hits = 0
    for k in range(TYPES):
        hits += said[TALLY + k] >> 32
    loud = _share(hit_devices, hits, opt[REPEAT])
    if hits > 0 and state[LAST_HIT] > 0:
        _age(state, day - state[LAST_HIT], opt[FADE])
    looked[0] = said[EXPOSURE_BOX] * quiet >> 16
    looked[1] = said[EXPOSURE_CAMERA] * quiet >> 16
    looked[2] = said[EXPOSURE_LASER] * quiet >> 16
    for k in range(TYPES):
        positive = said[LOGODDS + k] * loud >> 16
        if positive > 0 and not state[HAS] >> k & 1:
            doubt = _exposure(state, share, k)
            state[HAS] |= 1 << k
            state[LOGIT + k] = max(opt[PRIOR] - min(doubt, opt[MOST_AGAINST]), min(opt[FLOOR], opt[PRIOR]))
        if not state[HAS] >> k & 1:
            continue
        against = 0
        for c in range(CLASSES):
            against += looked[c] * share[c, k] >> 16
        against = min(against, opt[MOST_AGAINST])
        state[LOGIT + k] = min(max(state[LOGIT + k] + positive - against, -_MOST), _MOST)
        state[STRENGTH + k] = min(max(state[STRENGTH + k] + positive - against, -_MOST), _MOST)
        state[HITS + k] = min(state[HITS + k] + ((said[TALLY + k] >> 32) << 8), _MOST)
        state[SEVERITY + k] = min(state[SEVERITY + k] + (said[TALLY + k] & 0xFFFFFFFF), _MOST)
    for c in range(CLASSES):
        state[EXPOSURE + c] = min(state[EXPOSURE + c] + looked[c], _MOST)
    for j in range(NAMES):
        state[NAME + j] = min(max(state[NAME + j] + (said[NAMED + j] * loud >> 16), -_MOST), _MOST)
    state[SIZED] = min(state[SIZED] + ((said[SIZE] >> 32) << 8), _MOST)
    state[SIZE_SUM] = min(state[SIZE_SUM] + (said[SIZE] & 0xFFFFFFFF), _MOST)
    if passes > 0 or looked[1] > 0 or looked[2] > 0 or hits > 0:
        state[LAST_PASS] = day
    if hits > 0:
        state[LAST_HIT] = day
    state[PASSED] = min(state[PASSED] + passes, 65_535)
    state[MOST_DEVICES] = max(state[MOST_DEVICES], hit_devices)
    state[NEWEST_DEVICES] = hit_devices


@njit(cache=True)
def _forget(state):  # type: ignore[no-untyped-def]
    for i in range(WIDTH):
        state[i] = 0


@njit(cache=True)
def _mend(state, a, b, repair_day, repaired, day, index):  # type: ignore[no-untyped-def]
    """A repair of the day: what was said up to its end counts no more."""
    for j in range(a, b):
        if repair_day[j] == day and repaired[j, index]:
            _forget(state)


@njit(cache=True)
def _believed(state, k, lift, opt):  # type: ignore[no-untyped-def]
    """Whether a type is held for a defect: from ENTER on, from LEAVE while it was held at the end of the day before.
    lift: what coarser squares say, on top."""
    if not state[HAS] >> k & 1:
        return False
    least = opt[LEAVE] if state[ON] >> k & 1 else opt[ENTER]
    return state[LOGIT + k] + lift >= least


@njit(cache=True)
def _severity(state, k):  # type: ignore[no-untyped-def]
    """Mean severity, 8 bits."""
    return state[SEVERITY + k] * 256 // state[HITS + k] if state[HITS + k] > 0 else 0


@njit(cache=True)
def _severe(state, k, opt):  # type: ignore[no-untyped-def]
    least = opt[NOT_SEVERE] if state[DEEP] >> k & 1 else opt[SEVERE]
    return _severity(state, k) >= least


@njit(cache=True)
def _well(state, k, share, opt):  # type: ignore[no-untyped-def]
    """Whether a type was looked for well enough to say that it is not there."""
    held = state[WELL] >> k & 1
    if _exposure(state, share, k) < (opt[GREEN_LEAVE] if held else opt[GREEN_ENTER]):
        return False
    if not state[HAS] >> k & 1:
        return True
    return state[LOGIT + k] <= (opt[P_GREEN_LEAVE] if held else opt[P_GREEN_ENTER])


@njit(cache=True)
def _hold(state, day, share, opt):  # type: ignore[no-untyped-def]
    """The end of a day that is over: what is held is what the next days are measured against. What
    nobody passed or felt for twice the validity is forgotten: until then a red that ran out is still named."""
    if day - max(state[LAST_PASS], state[LAST_HIT]) > 2 * opt[VALIDITY]:
        _forget(state)
        return
    if day - state[LAST_HIT] > 2 * opt[VALIDITY]:
        state[HAS] = 0
        for i in range(EXPOSURE):
            state[i] = 0
    on = deep = well = 0
    for k in range(TYPES):
        if _believed(state, k, 0, opt):
            on |= 1 << k
            if _severe(state, k, opt):
                deep |= 1 << k
        if k > 0 and _well(state, k, share, opt):
            well |= 1 << k
    state[ON], state[DEEP], state[WELL] = on, deep, well
    if on == 0:
        state[MOST_DEVICES] = 0  # who agreed on what is no more confirms nothing that is new


@njit(cache=True)
def _grown(rows, n):  # type: ignore[no-untyped-def]
    """The array, twice as long where it is full."""
    if n < len(rows):
        return rows
    more = np.empty((2 * len(rows), rows.shape[1]), np.int64)
    for i in range(n):  # a slice that is assigned compiles for seconds
        for j in range(rows.shape[1]):
            more[i, j] = rows[i, j]
    return more


@njit(cache=True)
def _next(head, stop, key):  # type: ignore[no-untyped-def]
    """The lowest square of which a row still speaks; 1024 where none does."""
    index = np.int64(1024)
    for r in range(len(stop)):
        if head[r] < stop[r]:
            index = min(index, np.int64(key[head[r]]) >> 6)
    return index


@njit(cache=True)
def _first_day(rows, head, stop, key, index, none):  # type: ignore[no-untyped-def]
    """The first day of which a row speaks of a square; ``none`` where no row does."""
    for r in range(len(rows)):
        if head[r] < stop[r] and np.int64(key[head[r]]) >> 6 == index:
            return rows[r]
    return none


@njit(cache=True)
def _kept(rows, n, state, b, index):  # type: ignore[no-untyped-def]
    """The states to carry with one square's more, and their number."""
    for i in range(WIDTH):
        if state[i] != 0:
            rows = _grown(rows, n)
            rows[n, 0] = b
            rows[n, 1] = index << 7 | i
            rows[n, 2] = state[i]
            n += 1
    return rows, n


@njit(cache=True)
def _good(state, share, opt):  # type: ignore[no-untyped-def]
    """Types for which the square is green by itself: bit k - 1 of type k. What wheels feel must be nothing too."""
    good = 0
    if state[EXPOSURE] | state[EXPOSURE + 1] | state[EXPOSURE + 2] == 0:
        return good
    if not state[HAS] & 1 or state[LOGIT] <= opt[P_GREEN_ENTER]:
        for k in range(1, TYPES):
            if _well(state, k, share, opt):
                good |= 1 << k - 1
    return good


@njit(cache=True)
def _green(state, good, hazards, lift, share, opt):  # type: ignore[no-untyped-def]
    """Whether all hazards were looked for and nothing is doubted, not even what phones felt around here."""
    felt = state[LOGIT] if state[HAS] & 1 else opt[PRIOR] - _exposure(state, share, 0)
    if lift > 0 and felt + lift > opt[P_GREEN_ENTER]:
        return False
    if good & hazards != hazards or state[NEWEST_DEVICES] >= opt[WITNESSES]:
        return False
    for k in range(TYPES):
        if state[HAS] >> k & 1:
            most = opt[P_GREEN_LEAVE] if k > 0 and state[WELL] >> k & 1 else opt[P_GREEN_ENTER]
            if state[LOGIT + k] > most:
                return False
    return True


@njit(cache=True)
def _valid(validity, own, index, opt):  # type: ignore[no-untyped-def]
    """Days for which a word on the square holds."""
    if own >= 0 and validity[own, index] > 0:
        return min(opt[VALIDITY], np.int64(validity[own, index]))
    return opt[VALIDITY]


@njit(cache=True)
def _rival(out, state, k, cell, today, valid):  # type: ignore[no-untyped-def]
    """Writes what is known of one type of one square that is held for a defect."""
    for i in range(RIVAL):
        out[i] = 0
    out[R_CELL], out[R_TYPE] = cell, k
    out[R_LOGIT], out[R_STRENGTH] = state[LOGIT + k], state[STRENGTH + k]
    out[R_SEVERITY], out[R_HELD_SEVERE] = _severity(state, k), state[DEEP] >> k & 1
    out[R_DEVICES], out[R_HITS] = state[MOST_DEVICES], state[HITS + k]
    out[R_EXPIRED] = 1 if today - state[LAST_HIT] > valid else 0
    if k == 0:
        out[R_SIZED], out[R_SIZE_SUM] = state[SIZED], state[SIZE_SUM]
        for j in range(NAMES):
            out[R_NAME + j] = state[NAME + j]


@njit(cache=True)
def run(  # type: ignore[no-untyped-def]
    block_rows, row_day, row_first, key, value, carry_first, carry_key, carry_value, carry_day, ground, validity,
    repair_first, repair_day, repaired, share, table, opt, hazards, sealed_until, today, keep, lift,
    green, seen, passes, felt,
):  # fmt: skip
    """Reads out many blocks of which any number of days may be known.

    block_rows (B + 1,): first evidence row of each block; row_day, row_first (R,), (R + 1,): its day, rising within a
    block, and its first entry in key (index * 64 + plane) and value. carry_first (B + 1,), carry_key (index * 128 +
    place in the state), carry_value, carry_day (B,): carried states, and of which day's end; a block's rows are of
    later days. ground (B,): row of validity (G, 1024), 0 where the options' own holds, and of repair_first (G + 1,),
    repair_day (P,), repaired (P, 1024); -1 for none. share (3, 19): what a unit of each class's exposure is worth for
    each type, 16 bits; table: `drift_table`; opt: the options; hazards: bits of the types that green needs.
    sealed_until, today: day numbers; keep: whether states as of the end of sealed_until are given back. lift, int32
    (B, 1024): log-odds for what wheels feel, from coarser squares.

    Fills green (bool), seen (uint32), passes (uint8), each (B, 1024), and felt (int32, the same, or (0, 0)): log-odds
    over the prior of what enough devices felt. Gives rivals, int64 (RIVAL a row), and their number:
    all types of all squares that are held for a defect; and the states to carry, int64 rows of block, carry key and
    value, and their number.
    """
    rivals = np.empty((256, RIVAL), np.int64)
    kept = np.empty((4096 if keep else 1, 3), np.int64)
    n = m = 0
    state = np.zeros(WIDTH, np.int64)
    head, said, looked = np.zeros(max(1, len(row_day)), np.int64), np.zeros(64, np.int64), np.zeros(CLASSES, np.int64)
    for b in range(len(block_rows) - 1):
        rows = row_day[block_rows[b] : block_rows[b + 1]]
        stop = row_first[block_rows[b] + 1 : block_rows[b + 1] + 1]
        for r in range(len(rows)):
            head[r] = row_first[block_rows[b] + r]
        at, own = carry_first[b], ground[b]
        while True:
            index = _next(head, stop, key)
            if at < carry_first[b + 1]:
                index = min(index, carry_key[at] >> 7)
            if index == 1024:
                break
            _forget(state)
            day = _first_day(rows, head, stop, key, index, today + 1)
            while at < carry_first[b + 1] and carry_key[at] >> 7 == index:
                state[carry_key[at] & 127] = carry_value[at]
                day = carry_day[b] + 1
                at += 1
            row = 0
            while day <= today:
                _sleep(state, table, opt)
                while row < len(rows) and rows[row] < day:
                    row += 1
                if row < len(rows) and rows[row] == day:
                    begun = head[row]
                    while head[row] < stop[row] and np.int64(key[head[row]]) >> 6 == index:
                        head[row] += 1
                    if head[row] > begun:
                        _add(state, key, value, begun, head[row], day, share, opt, said, looked)
                if own >= 0:
                    _mend(state, repair_first[own], repair_first[own + 1], repair_day, repaired, day, index)
                if day < today:
                    _hold(state, day, share, opt)
                if keep and day == sealed_until:
                    kept, m = _kept(kept, m, state, b, index)
                day += 1
            valid = _valid(validity, own, index, opt)
            passes[b, index] = min(state[PASSED], 255)
            good = _good(state, share, opt) if today - state[LAST_PASS] <= valid else 0
            seen[b, index], green[b, index] = good, _green(state, good, hazards, lift[b, index], share, opt)
            if len(felt) and state[HAS] & 1 and state[MOST_DEVICES] >= opt[CONTRIBUTORS]:
                felt[b, index] = max(state[LOGIT] - opt[PRIOR], 0)
            for k in range(TYPES):
                if _believed(state, k, lift[b, index] if k == 0 else 0, opt):
                    rivals = _grown(rivals, n)
                    _rival(rivals[n], state, k, b * 1024 + index, today, valid)
                    n += 1
    return rivals, n, kept, m
