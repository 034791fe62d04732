"""From evidence of blocks to their new codes and what changed. The fold and the read-out, without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import blocks_of, cells_of_block, level_of, parents

from .carry import Carry, Reading
from .code import NO_KIND, Change, Codes, Colour, Flag, State, unknown_codes
from .evidence import EMPTY, BlockEvidence, by_block, fold_in, pack_block
from .ground import Ground
from .health import HealthOptions
from .planes import LOGODDS, PASSES, PHONE_LOGODDS, PHONE_PASSES
from .taxonomy import ALL_TYPES

__all__ = ["by_block", "fold_in"]  # of `evidence`, reached through here too

NO_EVIDENCE = EMPTY
NOWHERE: Mapping[int, Ground] = {}
NOTHING: Mapping[int, Carry] = {}
Days = Mapping[date, BlockEvidence]
TOLD = (Colour.YELLOW, Colour.RED)
"""Colours whose comings and goings are recorded square by square; green and grey are recorded by block."""


def recode(
    blocks: set[int],
    evidence: Mapping[int, Days],
    today: date,
    options: HealthOptions,
    ground: Mapping[int, Ground] = NOWHERE,
    carried: Mapping[int, Carry] = NOTHING,
) -> dict[int, Codes]:
    """Codes of ``blocks`` as of ``today``. ``evidence`` holds them and whichever of their neighbours have any: all of
    their days, or of a block that is in ``carried`` at least those after it. Where it holds the coarse blocks above
    blocks of 1 m squares too (`above`), what phones say is heard there, as far as the ground of those coarse blocks
    lets it be."""
    return reread(blocks, evidence, today, options, ground, carried).codes


def reread(
    blocks: set[int],
    evidence: Mapping[int, Days],
    today: date,
    options: HealthOptions,
    ground: Mapping[int, Ground] = NOWHERE,
    carried: Mapping[int, Carry] = NOTHING,
    keep: bool = False,
) -> Reading:
    """`recode`, and the states that may be carried on from the last sealed day where ``keep`` asks for them."""
    from .readout import felt_around, read  # noqa: PLC0415  (it wakes the compiler, for which who only shows codes must not wait)

    codes: dict[int, Codes] = {}
    kept: dict[int, Carry] = {}
    for level in sorted({int(level_of(block)) for block in blocks}):
        mine = {block for block in blocks if int(level_of(block)) == level}
        told = {block: days for block, days in evidence.items() if int(level_of(block)) == level}
        states = {block: carry for block, carry in carried.items() if int(level_of(block)) == level}
        coarse = {} if level else {block: days for block, days in evidence.items() if int(level_of(block)) > 0}
        lifts = felt_around(told.keys() | states.keys(), coarse, today, options, ground) if coarse else {}
        reading = read(mine, told, today, options, ground, states, keep, lifts)
        codes |= reading.codes
        kept |= reading.carried
    return Reading(codes, kept)


def above(blocks: Iterable[int]) -> set[int]:
    """The coarse blocks whose squares hold squares of blocks of 1 m squares, where phones may have something to say."""
    corners = [cells_of_block(block)[[0, -1]] for block in blocks if int(level_of(block)) == 0]
    if not corners:
        return set()
    cells = np.concatenate(corners)
    return {int(b) for level in (1, 2) for b in np.unique(blocks_of(parents(cells, level)))}


def stored_bytes(evidence: BlockEvidence) -> int:
    """What the row of a block and day takes in the database."""
    return len(pack_block(evidence))


def passes_of(evidence: BlockEvidence) -> NDArray[np.int64]:
    """How often each square of a block was passed, by boxes and phones, int64 (1024,)."""
    return evidence.plane(PASSES) + evidence.plane(PHONE_PASSES)


def felt_in(evidence: BlockEvidence) -> bool:
    """Whether anything was felt in a block, by whomever."""
    return bool(np.isin(evidence.key & 63, (LOGODDS, PHONE_LOGODDS)).any())


def describe(code: np.void) -> dict[str, Any]:
    """One square's code as a small map, as it stands in records and answers."""
    kind = int(code["kind"])
    return {
        "colour": Colour(int(code["colour"])).name.lower(),
        "state": State(int(code["state"])).name.lower(),
        "kind": None if kind == NO_KIND else ALL_TYPES[kind].key,
    }


def details(code: np.void) -> dict[str, Any]:
    """What a code says besides its colour, as a small map: flags by name; severity (1 is yellow, 2 red), size and the
    place's uncertainty on one axis of a yellow or red, None where not known."""
    flags = int(code["flags"])
    return {
        "flags": [(flag.name or "").lower() for flag in Flag if flags & flag],
        "severity": round(int(code["severity"]) / 64, 2) or None,
        "size_mm": int(code["size_mm"]) or None,
        "sigma_m": int(code["sigma_dm"]) / 10 or None,
    }


def _why(before: np.void, after: np.void) -> str:
    then, now = Colour(int(before["colour"])), Colour(int(after["colour"]))
    flags, came = int(after["flags"]), int(after["flags"]) & ~int(before["flags"])
    if now not in TOLD:
        if came & Flag.WORKS:
            return "a works permit holds"
        if came & Flag.EXPIRED:
            return "nobody has felt or seen it again for too long: it has expired"
        if came & Flag.MENDED:
            return "a repair was entered: what was said before counts no more"
        if came & Flag.HARMLESS:
            return "a known harmless object lies there"
        if flags & Flag.GHOST:
            return "a stronger square beside it explains it"
        return "passes no longer confirm it" if then in TOLD else "passes found nothing"
    if then not in TOLD:
        return "passes felt or saw it"
    if then != now:
        return "its severity is judged anew"
    if int(before["state"]) != int(after["state"]):
        return "independent witnesses agree" if int(after["state"]) == State.CONFIRMED else "fewer witnesses agree"
    return "its type is judged anew"


def changes(block: int, before: Codes | None, after: Codes) -> list[Change]:
    """The squares of a block whose yellow or red came, went or changed in state or type."""
    old = unknown_codes() if before is None else before
    told = np.isin(old["colour"], TOLD) | np.isin(after["colour"], TOLD)
    moved = told & (
        (old["colour"] != after["colour"]) | (old["state"] != after["state"]) | (old["kind"] != after["kind"])
    )
    cells = cells_of_block(block)
    return [
        Change(int(cells[i]), describe(old[i]), describe(after[i]), _why(old[i], after[i]))
        for i in np.flatnonzero(moved).tolist()
    ]


def confirmed_red(block: int, codes: Codes) -> dict[int, int]:
    """Squares of a block that are confirmed red, with the number of their type."""
    cells = cells_of_block(block)
    sure = (codes["colour"] == Colour.RED) & (codes["state"] == State.CONFIRMED)
    return {int(cells[i]): int(codes["kind"][i]) for i in np.flatnonzero(sure).tolist()}
