"""What may be told of phones: a square where too few of them felt something is read as if none had been there."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defects import HealthOptions, last_public_day, public_days, publishable
from defects import recode as reading
from defects.evidence import UNIT, BlockEvidence, Deltas, fold, merge, tally, to_block
from defects.planes import (
    DEVICES,
    HIT_DEVICES,
    LOGODDS,
    PASSES,
    PHONE_DEVICES,
    PHONE_HIT_DEVICES,
    PHONE_LOGODDS,
    PHONE_PASSES,
    PHONE_TALLY,
    TALLY,
)
from grid import Zone, blocks_of, cells_at

DAY = date(2026, 11, 20)
OPTIONS = HealthOptions()
LATER = DAY + timedelta(days=OPTIONS.public_after_days)
BLOCK = int(blocks_of(cells_at(500_000.0, 3_350_000.0, Zone(51), 1)))
BOX = (PASSES, DEVICES, HIT_DEVICES, LOGODDS, TALLY)
PHONE = (PHONE_PASSES, PHONE_DEVICES, PHONE_HIT_DEVICES, PHONE_LOGODDS, PHONE_TALLY)


def felt(at: int, slots: list[int], planes: tuple[int, ...], each: float = 6.0) -> BlockEvidence:
    """One hit of each of the devices (by slot) in a square."""
    parts = [
        Deltas(
            np.full(5, at), np.array(planes, np.uint8),
            np.array([1, 1 << s, 1 << s, round(each * UNIT), tally(1, 2.5)]),
        )
        for s in slots
    ]  # fmt: skip
    one = merge([merge([part]) for part in parts])
    return to_block(one.cell, one.plane, one.value)


def colours(evidence: BlockEvidence, today: date = LATER) -> np.ndarray:
    return reading.recode({BLOCK}, {BLOCK: {DAY: evidence}}, today, OPTIONS)[BLOCK]


slots = st.lists(st.integers(0, 62), max_size=6)
squares = st.dictionaries(st.integers(0, 1023), st.tuples(slots, slots), min_size=1, max_size=6)


@given(squares, st.integers(1, 6))
def test_too_few_phones_are_as_if_none_had_been_there(city_of: dict[int, tuple[list[int], list[int]]], k: int) -> None:
    nothing = reading.NO_EVIDENCE
    boxes, few, enough = nothing, nothing, nothing
    for at, (of_boxes, of_phones) in city_of.items():
        if of_boxes:
            boxes = fold(boxes, felt(at, of_boxes, BOX))
        if of_phones and len(set(of_phones)) < k:
            few = fold(few, felt(at, of_phones, PHONE))
        elif of_phones:
            enough = fold(enough, felt(at, of_phones, PHONE))
    with_all = publishable(fold(fold(boxes, few), enough), k)
    without = publishable(fold(boxes, enough), k)
    assert with_all.key.tobytes() == without.key.tobytes()
    assert with_all.value.tobytes() == without.value.tobytes()
    assert not np.isin(with_all.key & 63, PHONE).any(), "what is told of phones is told among the boxes"


def test_phones_of_two_days_are_not_added_up_to_enough() -> None:
    two, other = felt(5, [1, 2], PHONE, 9.0), felt(5, [3, 4], PHONE, 9.0)
    today = LATER + timedelta(days=1)
    codes = reading.recode({BLOCK}, {BLOCK: {DAY: two, DAY + timedelta(days=1): other}}, today, OPTIONS)[BLOCK]
    assert not codes["colour"].any()
    assert reading.recode({BLOCK}, {BLOCK: {DAY: fold(two, other)}}, today, OPTIONS)[BLOCK]["colour"][5]


def test_two_boxes_do_not_make_one_phone_public() -> None:
    """Whoever knows where the buses drove would know of the third."""
    assert not colours(fold(felt(5, [1, 2], BOX), felt(5, [3], PHONE)))["colour"].any()
    assert colours(felt(5, [1, 2, 3], PHONE))["colour"][5]
    assert colours(felt(5, [1, 2, 3], BOX))["colour"][5]


def test_one_phone_more_or_less_in_a_weak_square_moves_no_ghost_of_its_neighbours() -> None:
    """The strongest square of a neighbourhood wins; a square that is not told of may not win."""
    told = felt(5, [1, 2, 3], PHONE)
    strong_but_alone = felt(6, [9], PHONE, 40.0)
    assert colours(told).tobytes() == colours(fold(told, strong_but_alone)).tobytes()


@pytest.mark.parametrize("days", range(OPTIONS.public_after_days))
def test_a_day_that_can_still_change_is_not_told_of(days: int) -> None:
    evidence = felt(5, [1, 2, 3, 4], PHONE)
    today = DAY + timedelta(days=days)
    assert not colours(evidence, today)["colour"].any()
    assert public_days(5, {DAY: evidence}, today, OPTIONS) == []
    assert last_public_day(LATER, OPTIONS) == DAY


def test_a_story_tells_days_of_enough_phones_rounded() -> None:
    days = {
        DAY: fold(felt(5, [1, 2, 3, 1, 1, 2, 3], PHONE, 1.3), felt(6, [1, 2], PHONE)),
        DAY - timedelta(days=1): felt(5, [1, 2], PHONE),
    }
    (told,) = public_days(5, days, LATER, OPTIONS)
    assert (told.day, told.sensor, told.kind, told.passes, told.weight, told.devices_at_least) == (
        DAY, "phone", "uneven", 5, 9, 3,
    )  # fmt: skip
    assert public_days(6, days, LATER, OPTIONS) == []
