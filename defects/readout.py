"""From what the filter believes to codes: places and ghosts, kinds, severity, state, what is known of the ground."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from grid import blocks_of, cells_of_block, column_row, index_in_block, level_of, parents

from . import filter as days
from .carry import Carry, Reading
from .code import BLOCK_CELLS, CODE, NO_KIND, Codes, Colour, Flag, State, unknown_codes
from .evidence import UNIT, BlockEvidence
from .ghosts import PLACE, keys_of, sort_out, spread_m2
from .ground import HARMLESS, Ground
from .health import FELT, HealthOptions
from .numbers import exposure_share, nights, numbers
from .planes import FELT_TYPES
from .public import last_public_day, publishable
from .reach import HALO
from .severity import AREA_TYPES, RED_AREA_M2, severity_of_size
from .taxonomy import ALL_TYPES, BY_KEY, HAZARDS, UNEVEN

Int64 = NDArray[np.int64]
Days = Mapping[date, BlockEvidence]
_COVER = HARMLESS.index("cover")
_HAZARD_BITS = sum(1 << n - 1 for n in HAZARDS)
_COVER_KINDS = tuple(BY_KEY[key].number for key in ("defective_cover", "frame_level", "pothole"))
NO_LIFTS: Mapping[int, NDArray[np.int32]] = {}
_MENDED_DAYS = 30
"""So long a code says that a repair is entered. Shorter, and the change of colour that it causes may come after;
longer, and every other square of a city that is looked after says so."""
_SQUARE_SIGMA2 = 1 / 12  # variance of a place in a square of which nothing is known but that it is the one


@dataclass(frozen=True, eq=False)
class _Believed:
    """What the filter gives of some blocks of one level, in their order."""

    blocks: tuple[int, ...]
    green: NDArray[np.bool_]
    seen: NDArray[np.uint32]
    passes: NDArray[np.uint8]
    felt: NDArray[np.int32]
    rivals: Int64
    kept: Int64


def sealed_until(today: date, options: HealthOptions) -> date:
    """The newest day of which nothing comes any more on ``today``: states up to its end may be carried."""
    return last_public_day(today, options)


def read(
    blocks: set[int], evidence: Mapping[int, Days], today: date, options: HealthOptions,
    ground: Mapping[int, Ground], carried: Mapping[int, Carry], keep: bool = False,
    lifts: Mapping[int, NDArray[np.int32]] = NO_LIFTS,
) -> Reading:  # fmt: skip
    """The codes of ``blocks`` (all of one level) as of ``today``.

    ``evidence`` holds them and whichever of their neighbours have any: all days, or of a block that is in ``carried``
    at least the days after it. ``ground``: what else is known of blocks; plain where it is missing. ``keep``: give the
    states to carry too. ``lifts``: of `felt_around`, of blocks of 1 m squares.
    """
    codes = {block: unknown_codes() for block in blocks if block not in evidence and block not in carried}
    known = sorted(evidence.keys() | carried.keys())
    kept: dict[int, Carry] = {}
    if known:
        level = int(level_of(known[0]))
        believed = _believe(known, evidence, today, level, options, ground, carried, keep, lifts)
        kept = _carries(believed, sealed_until(today, options)) if keep else {}
        codes |= _codes(believed, blocks & set(known), level, options, ground)
    for block in blocks & ground.keys():
        codes[block] = _with_ground(codes[block], ground[block], today)
    return Reading(codes, kept)


def _believe(
    known: Sequence[int], evidence: Mapping[int, Days], today: date, level: int, options: HealthOptions,
    ground: Mapping[int, Ground], carried: Mapping[int, Carry], keep: bool,
    lifts: Mapping[int, NDArray[np.int32]] = NO_LIFTS,
) -> _Believed:  # fmt: skip
    # A chunk may be two minutes ahead of the day's end: tomorrow's evidence waits, and no night passes for it.
    newest = last_public_day(today, options) if level else today
    rows: list[BlockEvidence] = []
    row_day: list[int] = []
    block_rows = [0]
    for block in known:
        after = carried[block].asof if block in carried else date.min
        for day in sorted(d for d in evidence.get(block, {}) if after < d <= newest):
            said = evidence[block][day]
            rows.append(publishable(said, options.public_contributors) if level else said)
            row_day.append(day.toordinal())
        block_rows.append(len(rows))
    carries = [carried.get(block) for block in known]
    own = [ground.get(block) for block in known]
    some = [g for g in own if g is not None]
    repairs = [(day.toordinal(), squares) for g in some for day, squares in g.repairs]
    n = len(known)
    green, seen = np.zeros((n, BLOCK_CELLS), bool), np.zeros((n, BLOCK_CELLS), np.uint32)
    passes = np.zeros((n, BLOCK_CELLS), np.uint8)
    lift = np.zeros((n, BLOCK_CELLS), np.int32)
    for i, block in enumerate(known):
        if block in lifts:
            lift[i] = lifts[block]
    felt = np.zeros((n, BLOCK_CELLS) if level else (0, 0), np.int32)
    rivals, n_rivals, kept, n_kept = days.run(
        np.array(block_rows, np.int64), np.array(row_day, np.int64), _first([len(r.key) for r in rows]),
        _flat([r.key for r in rows], np.uint16), _flat([r.value for r in rows], np.int64),
        _first([0 if c is None else len(c.key) for c in carries]),
        _flat([c.key for c in carries if c is not None], np.uint32).astype(np.int64),
        _flat([c.value for c in carries if c is not None], np.int32).astype(np.int64),
        np.array([-1 if c is None else c.asof.toordinal() for c in carries], np.int64),
        np.array(_numbered([g is not None for g in own]), np.int64),
        np.array([g.validity_days for g in some], np.uint8).reshape(-1, BLOCK_CELLS),
        _first([len(g.repairs) for g in some]), np.array([day for day, _ in repairs], np.int64),
        np.array([squares for _, squares in repairs], bool).reshape(-1, BLOCK_CELLS),
        exposure_share(options), nights(options), numbers(options, level), _HAZARD_BITS,
        sealed_until(today, options).toordinal(), today.toordinal(), keep, lift, green, seen, passes, felt,
    )  # fmt: skip
    return _Believed(tuple(known), green, seen, passes, felt, rivals[:n_rivals], kept[:n_kept])


def felt_around(
    blocks: set[int], coarse: Mapping[int, Days], today: date, options: HealthOptions, ground: Mapping[int, Ground]
) -> dict[int, NDArray[np.int32]]:
    """What phones say of blocks of 1 m squares through the 4 and 16 m squares that hold them: log-odds, int32 (1024,)
    with 16 bits, 0 where they say nothing; blocks of which nothing is said are left out.

    ``coarse``: evidence of coarse blocks. A defect somewhere in a square of n small ones, S more likely than before, is
    with each of them as likely as `S - log(1 + (n - 1) p0 (e^S - 1))` more: at most 1 / n of it, so that phones alone
    never colour a square metre. Only what may be told of phones counts, and a day later, so that no late fold of a day
    that is told already makes a difference. ``ground``: of coarse blocks: on a known object nothing is heard of them,
    nor what they said before a repair.
    """
    parts: dict[int, list[NDArray[np.float64]]] = {}
    for level in (1, 2):
        mine = sorted(block for block in coarse if int(level_of(block)) == level)
        if not mine:
            continue
        believed = _believe(mine, coarse, today - timedelta(days=1), level, options, ground, {}, keep=False)
        said = dict(zip(mine, believed.felt, strict=True))
        for one in mine:
            if one in ground:
                said[one][_not_heard(ground[one], today)] = 0
        for block in blocks:
            cells = cells_of_block(block)
            above = parents(cells, level)
            over = blocks_of(above)
            found = np.zeros(BLOCK_CELLS)
            for one in np.unique(over).tolist():
                if one in said:
                    here = over == one
                    found[here] = said[one][index_in_block(above[here])] / UNIT
            if found.any():
                small = 1 << 4 * level
                spread = np.log1p((small - 1) * options.prior * np.expm1(np.minimum(found, 60.0)))
                parts.setdefault(block, []).append(found - spread)
    most = math.log(1 / (15 * options.prior))  # of a 4 m square that is certain
    return {
        block: np.rint(np.minimum(np.sum(said, axis=0), most) * UNIT).astype(np.int32) for block, said in parts.items()
    }


def _not_heard(known: Ground, today: date) -> NDArray[np.bool_]:
    """Coarse squares of which phones' word counts for nothing. What was mended today is not among the days that the
    filter has gone through."""
    out = known.harmless > 0
    for day, squares in known.repairs:
        if day >= today:
            out = out | squares
    return out


def _first(lengths: Sequence[int]) -> Int64:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _flat(parts: Sequence[NDArray[np.generic]], kind: type[np.generic]) -> NDArray[np.generic]:
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.empty(0, kind)


def _numbered(flags: Sequence[bool]) -> list[int]:
    """0, 1, 2 ... where a flag is set, -1 elsewhere."""
    count = -1
    out = []
    for flag in flags:
        count += flag
        out.append(count if flag else -1)
    return out


def _carries(believed: _Believed, asof: date) -> dict[int, Carry]:
    edges = np.searchsorted(believed.kept[:, 0], np.arange(len(believed.blocks) + 1))
    return {
        block: Carry(asof, believed.kept[a:b, 1].astype(np.uint32), believed.kept[a:b, 2].astype(np.int32))
        for block, a, b in zip(believed.blocks, edges, edges[1:], strict=False)
    }


def _codes(
    believed: _Believed, wanted: set[int], level: int, options: HealthOptions, ground: Mapping[int, Ground]
) -> dict[int, Codes]:
    whole = np.zeros((len(believed.blocks), BLOCK_CELLS), dtype=CODE)
    whole["kind"] = NO_KIND
    rivals = believed.rivals
    if level == 0:
        # Coarse squares are where phones drive: what one citizen's passes do must not show, not even that they were;
        # and phones never make green.
        whole["passes"], whole["seen"] = believed.passes, believed.seen
        whole["colour"][believed.green] = Colour.GREEN
    else:
        rivals = rivals[rivals[:, days.R_DEVICES] >= options.public_contributors]
    if len(rivals):
        _paint(_judge(rivals, believed.blocks, options, ground), rivals, whole, options)
    return {block: whole[i] for i, block in enumerate(believed.blocks) if block in wanted}


@dataclass(frozen=True, eq=False)
class _Judged:
    """Of n rivals: place, whether it is one and no ghost; harmless, whether a known object explains it; both, whether a
    camera and a wheel agree; kind, severity, size_mm (0 unknown), sigma (squares)."""

    place: NDArray[np.bool_]
    harmless: NDArray[np.bool_]
    both: NDArray[np.bool_]
    kind: Int64
    severity: NDArray[np.float64]
    size_mm: NDArray[np.float64]
    sigma: NDArray[np.float64]


def _judge(rivals: Int64, blocks: tuple[int, ...], options: HealthOptions, ground: Mapping[int, Ground]) -> _Judged:
    cell, kind = rivals[:, days.R_CELL], rivals[:, days.R_TYPE]
    column, row = column_row(np.array(blocks, np.int64)[cell // BLOCK_CELLS])
    column = column * 32 + cell % 32
    row = row * 32 + cell % BLOCK_CELLS // 32
    strength = rivals[:, days.R_STRENGTH]
    area = np.isin(kind, AREA_TYPES)
    keys, order = keys_of(kind, row, column)
    place, sigma = np.empty(len(kind), bool), np.empty(len(kind))
    place[order] = sort_out(keys, strength[order]) == PLACE
    place |= area
    sigma[order] = np.sqrt(_SQUARE_SIGMA2 + spread_m2(keys, strength[order]))
    severity = rivals[:, days.R_SEVERITY] / 256
    named, size_mm = _named(rivals, options)
    sized = (named > 0) & (size_mm > 0)
    for i in np.flatnonzero(sized).tolist():
        severity[i] = severity_of_size(ALL_TYPES[int(named[i])].key, float(size_mm[i]))
    for i, m2 in _areas(kind, row, column, area).items():
        if m2 > RED_AREA_M2.get(ALL_TYPES[int(kind[i])].key, np.inf):
            severity[i] = max(severity[i], 2.0)
    felt, seen = kind == UNEVEN.number, np.isin(kind, FELT)
    beside = {(int(r) + dr, int(c) + dc) for r, c in zip(row[seen & place], column[seen & place], strict=True)
              for dr in range(-HALO, HALO + 1) for dc in range(-HALO, HALO + 1)}  # fmt: skip
    jolted = {(int(r) + dr, int(c) + dc) for r, c in zip(row[felt & place], column[felt & place], strict=True)
              for dr in range(-HALO, HALO + 1) for dc in range(-HALO, HALO + 1)} if beside else set()  # fmt: skip
    at = list(zip(row.tolist(), column.tolist(), strict=True))
    # One defect, one type: where a camera names, here or close by, what wheels can feel, it explains the jolt.
    explained = felt & np.array([p in beside for p in at])
    both = seen & np.array([p in jolted for p in at])
    number = np.where(felt, np.where(named > 0, named, UNEVEN.number), kind)
    lies = np.array([_lies(ground.get(blocks[c // BLOCK_CELLS]), c % BLOCK_CELLS) for c in cell.tolist()], np.int64)
    spared = felt & (lies == _COVER) & np.isin(named, _COVER_KINDS) & (severity >= options.severe)
    return _Judged(place & ~explained, felt & (lies > 0) & ~spared, both, number, severity, size_mm, sigma)


def _lies(known: Ground | None, index: int) -> int:
    return 0 if known is None else int(known.harmless[index])


def _named(rivals: Int64, options: HealthOptions) -> tuple[Int64, NDArray[np.float64]]:
    """The type that a wheel or laser takes each rival for, 0 where none is sure enough; and its size in mm."""
    hits = np.maximum(rivals[:, days.R_HITS] / 256, 1.0)
    score = rivals[:, days.R_NAME : days.R_NAME + days.NAMES] / UNIT
    score = score * (np.minimum(hits, options.name_passes) / hits)[:, None]
    told = (rivals[:, days.R_NAME : days.R_NAME + days.NAMES] != 0).any(axis=1)
    p = np.exp(score - score.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    sure = told & (p.max(axis=1) >= options.named)
    kind = np.where(sure, np.array(FELT_TYPES)[p.argmax(axis=1)], 0)
    size = rivals[:, days.R_SIZE_SUM] / np.maximum(rivals[:, days.R_SIZED], 1)
    return kind, np.where(rivals[:, days.R_SIZED] > 0, size, 0.0)


def _areas(kind: Int64, row: Int64, column: Int64, area: NDArray[np.bool_]) -> dict[int, int]:
    """How many squares of its kind hang together with each rival of an area type (sides or corners), counted to 9."""
    here = {(int(kind[i]), int(row[i]), int(column[i])): int(i) for i in np.flatnonzero(area)}
    counted = {}
    for start, i in here.items():
        found, ahead = {start}, [start]
        # Counted only so far that it does not reach beyond the blocks beside it.
        while ahead and len(found) < _AREA_COUNTED:
            k, r, c = ahead.pop()
            for near in ((k, r + dr, c + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)):
                if near in here and near not in found:
                    found.add(near)
                    ahead.append(near)
        counted[i] = min(len(found), _AREA_COUNTED)
    return counted


_AREA_COUNTED = 9
"""Squares of an area that are counted. Fewer than 2, and the thresholds of 1 m² mean nothing; many, and an area reaches
beyond the blocks beside its own, which are all that is read."""


def _paint(judged: _Judged, rivals: Int64, whole: Codes, options: HealthOptions) -> None:
    """Writes the rivals into the codes (B, 1024), the worst of a square last."""
    held = rivals[:, days.R_HELD_SEVERE] > 0
    red = judged.severity >= np.where(held, options.still_severe, options.severe)
    expired = rivals[:, days.R_EXPIRED] > 0
    shown = judged.place & ~judged.harmless
    cell = rivals[:, days.R_CELL]
    flat = whole.reshape(-1)
    flat["colour"][cell] = Colour.GREY  # what is held for a defect is not green, ghost or not
    flat["flags"][cell[~shown & ~judged.harmless]] = Flag.GHOST
    gone = np.flatnonzero(shown & expired)
    flat["flags"][cell[gone]], flat["kind"][cell[gone]] = Flag.EXPIRED, judged.kind[gone]
    now = np.flatnonzero(shown & ~expired)
    # Rising, for of several that are written into one square the last one stays.
    now = now[np.lexsort((judged.kind[now], rivals[now, days.R_STRENGTH], judged.severity[now], red[now]))]
    sure = judged.both | (rivals[:, days.R_DEVICES] >= options.confirming_devices)
    at = cell[now]
    flat["flags"][at], flat["kind"][at] = 0, judged.kind[now]
    flat["colour"][at] = np.where(red[now], Colour.RED, Colour.YELLOW)
    flat["state"][at] = np.where(sure[now], State.CONFIRMED, State.SUSPECTED)
    flat["sigma_dm"][at] = _byte(judged.sigma[now] * 10)
    flat["severity"][at] = _byte(judged.severity[now] * 64)
    flat["size_mm"][at] = _byte(judged.size_mm[now])


def _byte(value: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.minimum(np.rint(value), 255).astype(np.uint8)


def _with_ground(codes: Codes, known: Ground, today: date) -> Codes:
    """The codes with what is known of the ground: no colour where a works permit holds."""
    out = codes.copy()
    for day, squares in known.repairs:
        if 0 <= (today - day).days <= _MENDED_DAYS:
            out["flags"] |= np.where(squares, np.uint8(Flag.MENDED), np.uint8(0))
    out["flags"] |= np.where(known.harmless > 0, np.uint8(Flag.HARMLESS), np.uint8(0))
    works = known.works
    if works.any():
        out["flags"] |= np.where(works, np.uint8(Flag.WORKS), np.uint8(0))
        for field, value in (("colour", Colour.GREY), ("state", State.NONE), ("kind", NO_KIND), ("severity", 0),
                             ("size_mm", 0), ("sigma_dm", 0)):  # fmt: skip
            out[field] = np.where(works, value, out[field])
    return out
