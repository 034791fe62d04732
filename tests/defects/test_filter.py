"""The filter over days: carried states, hysteresis, repairs, expiry. Each test is a promise of docs/health-code.md."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defects import BY_KEY, HARMLESS, Colour, Flag, Ground, HealthOptions, State, plain_ground
from defects import carry as carry_
from defects import filter as filter_
from defects import recode as reading
from defects.carry import Carry, pack_carry, unpack_carry
from defects.evidence import UNIT, BlockEvidence, tally
from defects.planes import (
    EXPOSURE_BOX,
    EXPOSURE_CAMERA,
    EXPOSURE_LASER,
    FELT_TYPES,
    HIT_DEVICES,
    NAMED,
    PHONE_DEVICES,
    PHONE_HIT_DEVICES,
    PHONE_LOGODDS,
    PHONE_PASSES,
    PHONE_TALLY,
    SIZE,
)
from defects.readout import felt_around
from grid import blocks_of, cells_of_block, index_in_block, parents

from .blocks import BLOCK, DAY, MIDDLE, Entries, evidence, hits, quiet, together

OPTIONS = HealthOptions()
Days = dict[date, BlockEvidence]


def shown(
    days: dict[date, Entries], today: date, ground: Ground | None = None, options: HealthOptions = OPTIONS
) -> np.void:
    told = {BLOCK: {day: evidence(e) for day, e in days.items()}}
    return reading.recode({BLOCK}, told, today, options, {BLOCK: ground} if ground else {})[BLOCK][MIDDLE]


def later(n: int) -> date:
    return DAY + timedelta(days=n)


@st.composite
def histories(draw: st.DrawFn) -> Days:
    """Some days of some squares close together: quiet, felt, seen, named."""
    out = {}
    for n in sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=8))):
        parts = []
        for at in draw(st.sets(st.sampled_from((MIDDLE, MIDDLE + 1, MIDDLE + 34, 5)), min_size=1)):
            devices = draw(st.integers(1, 5))
            parts.append(quiet(draw(st.integers(devices, 12)), devices, at))
            if draw(st.booleans()):
                kind = draw(st.sampled_from((0, 0, 1, 9)))
                many = draw(st.integers(1, 8))
                parts.append(hits(many, min(devices, many), at, kind, draw(st.floats(1, 3)), draw(st.floats(0.5, 7))))
                parts.append({(at, NAMED + 2): many * UNIT, (at, SIZE): (many << 32) + many * 30 * 256})
        out[later(n)] = evidence(together(*parts))
    return out


@settings(max_examples=40, deadline=None)
@given(history=histories(), steps=st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_going_on_from_a_carried_state_gives_the_same_bits_as_all_days_anew(history: Days, steps: list[int]) -> None:
    carried: dict[int, Carry] = {}
    for n in itertools.accumulate(steps):
        today = later(n)
        known = {d: e for d, e in history.items() if d <= today}
        anew = reading.reread({BLOCK}, {BLOCK: known}, today, OPTIONS, keep=True)
        since = {d: e for d, e in known.items() if BLOCK not in carried or d > carried[BLOCK].asof}
        on = reading.reread({BLOCK}, {BLOCK: since}, today, OPTIONS, carried=carried, keep=True)
        assert on.codes[BLOCK].tobytes() == anew.codes[BLOCK].tobytes()
        if BLOCK in anew.carried:
            one, other = anew.carried[BLOCK], on.carried[BLOCK]
            assert one.key.tobytes() == other.key.tobytes()
            assert one.value.tobytes() == other.value.tobytes()
            back = unpack_carry(pack_carry(other), other.asof)
            assert back is not None
            carried = {BLOCK: back}


def test_a_damaged_carry_is_left_unread() -> None:
    whole = pack_carry(Carry(DAY, np.array([3, 9], np.uint32), np.array([-5, 1 << 20], np.int32)))
    back = unpack_carry(whole, DAY)
    assert back is not None
    assert (back.key.tolist(), back.value.tolist()) == ([3, 9], [-5, 1 << 20])
    for broken in (b"", whole[:-1], b"\x07" + whole[1:], whole[:9] + bytes([whole[9] ^ 255]) + whole[10:]):
        assert unpack_carry(broken, DAY) is None


def test_no_flipped_bit_of_a_carry_is_believed() -> None:
    rng = np.random.default_rng(7)
    key = np.flatnonzero(rng.random(1024 * filter_.WIDTH) < 0.02)
    key = key // filter_.WIDTH << 7 | key % filter_.WIDTH
    whole = pack_carry(Carry(DAY, key.astype(np.uint32), rng.integers(1, 1 << 20, len(key)).astype(np.int32)))
    assert unpack_carry(whole, DAY) is not None
    for at in rng.integers(0, len(whole), 500).tolist():
        for bit in (0, 4, 7):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            back = unpack_carry(bytes(flipped), DAY)  # a few bits of a frame's head are not used
            assert back is None or pack_carry(back) == whole


def test_a_carry_that_points_beyond_a_state_or_a_block_is_left_unread() -> None:
    """The compiled filter writes where a key says."""
    assert filter_.WIDTH == carry_._PLACES
    for key in ([filter_.WIDTH], [127], [1024 << 7], [1 << 31], [9, 9], [9, 3]):
        value = np.ones(len(key), np.int32)
        assert unpack_carry(pack_carry(Carry(DAY, np.array(key, np.uint32), value)), DAY) is None


def test_what_was_held_at_the_end_of_a_day_holds_down_to_a_lower_threshold() -> None:
    """On the border of p_defect a colour does not change every day; what never was held is not begun there."""

    def how_long(options: HealthOptions) -> int:
        days = {DAY: hits(6, 3)} | {later(n): quiet(2, 1, each=0.2) for n in range(4, 24)}
        series = [shown({d: e for d, e in days.items() if d <= later(n)}, later(n), None, options) for n in range(24)]
        red = [Colour(code["colour"]) == Colour.RED for code in series]
        assert red[0]
        assert not red[-1]
        assert red == sorted(red, reverse=True), "once it is let go it does not come back by itself"
        return sum(red)

    assert how_long(OPTIONS) > how_long(replace(OPTIONS, p_keep=OPTIONS.p_defect)) + 2
    border = {DAY: hits(2, 2, each=5.2)}
    assert Colour(shown(border, DAY)["colour"]) == Colour.GREY, "between the thresholds nothing is begun"
    assert Colour(shown(border, DAY, None, replace(OPTIONS, p_defect=OPTIONS.p_keep))["colour"]) == Colour.RED


@pytest.mark.parametrize(
    ("entries", "colour"),
    [(quiet(5, 5, each=1.0602), Colour.GREEN), (hits(4, 4, each=2.86), Colour.RED)],
    ids=["barely green", "barely red"],
)
def test_a_colour_on_the_border_does_not_go_and_come_back_by_waiting(entries: Entries, colour: Colour) -> None:
    """Five quiet passes were green, grey for two days, and green again when their day was sealed."""
    series = [Colour(shown({DAY: entries}, later(n))["colour"]) == colour for n in range(60)]
    assert series[0]
    assert series == sorted(series, reverse=True)
    assert sum(series) > 3


def test_what_is_yellow_by_its_millimetres_does_not_turn_red_by_waiting() -> None:
    """Its kind faded before its defect, and how hard the jolts had been came forward: red on day 20, of no new word."""
    column = FELT_TYPES.index(BY_KEY["frame_level"].number)
    felt = hits(3, 3, severity=3.0)
    felt |= {(MIDDLE, NAMED + column): 3 * 2 * UNIT, (MIDDLE, SIZE): (3 << 32) + 3 * 16 * 256}
    for n in range(0, 91, 5):
        code = shown({DAY: felt}, later(n))
        assert Colour(code["colour"]) == Colour.YELLOW
        assert int(code["kind"]) == BY_KEY["frame_level"].number


def test_newer_hits_outweigh_older_ones_in_severity() -> None:
    days = {DAY: hits(8, 4, severity=3.0), later(60): hits(8, 4, severity=1.0)}
    assert 1.0 < int(shown(days, later(60))["severity"]) / 64 < 1.5
    near = {DAY: hits(8, 4, severity=3.0), later(1): hits(8, 4, severity=1.0)}
    assert 1.9 < int(shown(near, later(1))["severity"]) / 64 < 2.1


def test_a_repair_order_forgets_what_was_said_up_to_its_day() -> None:
    mended = np.zeros(1024, bool)
    mended[MIDDLE] = True
    ground = replace(plain_ground(), repairs=((later(2), mended),))
    bad = {DAY: hits(8, 4), later(1): hits(8, 4), later(2): hits(3, 3)}
    assert Colour(shown(bad, later(2))["colour"]) == Colour.RED
    assert Colour(shown(bad, later(2), ground)["colour"]) == Colour.GREY
    good = bad | {later(3): quiet(9, 5)}
    assert Colour(shown(good, later(3), ground)["colour"]) == Colour.GREEN
    again = bad | {later(3): hits(6, 3)}
    assert Colour(shown(again, later(3), ground)["colour"]) == Colour.RED, "a repair that did not hold is red again"


def test_a_red_that_nobody_feels_again_expires_and_says_what_it_was() -> None:
    ground = replace(plain_ground(), validity_days=np.full(1024, 30, np.uint8))
    bad = {DAY: hits(8, 4)}
    assert Colour(shown(bad, later(30), ground)["colour"]) == Colour.RED
    gone = shown(bad, later(31), ground)
    assert Colour(gone["colour"]) == Colour.GREY
    assert Flag(int(gone["flags"])) == Flag.EXPIRED
    assert Colour(shown(bad, later(90))["colour"]) == Colour.RED, "90 days where the class says nothing"
    assert int(shown(bad, later(91))["flags"]) == Flag.EXPIRED
    assert int(shown(bad, later(200))["flags"]) == 0, "after twice the validity nothing is left of it"


def test_a_green_expires_by_the_class_of_its_road() -> None:
    good = {DAY: quiet(40, 8), later(1): quiet(40, 8)}
    short = replace(plain_ground(), validity_days=np.full(1024, 5, np.uint8))
    assert Colour(shown(good, later(6), short)["colour"]) == Colour.GREEN
    assert Colour(shown(good, later(7), short)["colour"]) == Colour.GREY
    assert Colour(shown(good, later(7))["colour"]) == Colour.GREEN
    assert int(shown(good, later(7), short)["seen"]) == 0


@pytest.mark.parametrize("kind", ["speed_bump", "joint", "rail", "table", "other"])
def test_what_a_known_object_does_to_a_wheel_is_no_defect(kind: str) -> None:
    ground = plain_ground()
    ground.harmless[MIDDLE] = HARMLESS.index(kind)
    felt = {DAY: hits(20, 5) | hits(9, 5, at=MIDDLE + 2)}
    told = {BLOCK: {DAY: evidence(felt[DAY])}}
    codes = reading.recode({BLOCK}, told, DAY, OPTIONS, {BLOCK: ground})[BLOCK]
    assert Colour(codes[MIDDLE]["colour"]) == Colour.GREY
    assert int(codes[MIDDLE]["flags"]) & Flag.HARMLESS
    assert Colour(codes[MIDDLE + 2]["colour"]) == Colour.GREY, "its ghost goes with it"
    seen = {DAY: together(felt[DAY], hits(4, 3, kind=BY_KEY["linear_crack"].number, severity=2))}
    assert Colour(shown(seen, DAY, ground)["colour"]) == Colour.RED, "what a camera names there counts"


def test_a_cover_may_still_be_defective() -> None:
    ground = plain_ground()
    ground.harmless[MIDDLE] = HARMLESS.index("cover")
    jolts = hits(9, 4)
    assert Colour(shown({DAY: jolts}, DAY, ground)["colour"]) == Colour.GREY
    column = FELT_TYPES.index(BY_KEY["defective_cover"].number)
    named = jolts | {(MIDDLE, NAMED + column): 9 * 3 * UNIT, (MIDDLE, SIZE): (9 << 32) + 9 * 50 * 256}
    code = shown({DAY: named}, DAY, ground)
    assert Colour(code["colour"]) == Colour.RED
    assert int(code["kind"]) == BY_KEY["defective_cover"].number


def test_a_works_permit_is_hatched_and_never_red() -> None:
    ground = plain_ground()
    ground.works[MIDDLE] = True
    for day in (hits(9, 4), quiet(40, 8)):
        code = shown({DAY: day}, DAY, ground)
        assert Colour(code["colour"]) == Colour.GREY
        assert int(code["flags"]) & Flag.WORKS
        assert State(code["state"]) == State.NONE


@pytest.mark.parametrize(("mm", "colour"), [(16.0, Colour.YELLOW), (20.0, Colour.YELLOW), (29.0, Colour.RED)])
def test_a_named_kind_is_judged_by_the_standards_millimetres(mm: float, colour: Colour) -> None:
    """Frame level: yellow over 15 mm, red from 30, so the border of the means lies at 22.5; how hard it jolted is left
    out of it."""
    column = FELT_TYPES.index(BY_KEY["frame_level"].number)
    for severity in (1.0, 3.0):
        felt = hits(6, 3, severity=severity)
        felt |= {(MIDDLE, NAMED + column): 6 * 2 * UNIT, (MIDDLE, SIZE): (6 << 32) + round(6 * mm * 256)}
        code = shown({DAY: felt}, DAY)
        assert Colour(code["colour"]) == colour
        assert int(code["kind"]) == BY_KEY["frame_level"].number
        assert int(code["size_mm"]) == round(mm)


def test_a_kind_that_is_doubtful_is_not_named_by_many_doubtful_passes() -> None:
    column = FELT_TYPES.index(BY_KEY["pothole"].number)
    felt = hits(40, 9) | {(MIDDLE, NAMED + column): round(40 * 0.3 * UNIT)}
    assert int(shown({DAY: felt}, DAY)["kind"]) == 0


def test_cracks_cover_an_area_and_have_no_ghosts() -> None:
    crack = BY_KEY["linear_crack"].number
    entries = together(*(hits(9 - k, 3, at=MIDDLE + k, kind=crack, severity=1.0) for k in range(4)))
    codes = reading.recode({BLOCK}, {BLOCK: {DAY: evidence(entries)}}, DAY, OPTIONS)[BLOCK]
    assert [Colour(codes[MIDDLE + k]["colour"]) for k in range(4)] == [Colour.YELLOW] * 4


def test_ravelling_over_a_square_metre_is_red() -> None:
    kind = BY_KEY["ravelling"].number
    one = hits(9, 3, kind=kind, severity=1.0)
    assert Colour(shown({DAY: one}, DAY)["colour"]) == Colour.YELLOW
    two = together(one, hits(9, 3, at=MIDDLE + 1, kind=kind, severity=1.0))
    assert Colour(shown({DAY: two}, DAY)["colour"]) == Colour.RED


def test_a_second_hole_behind_the_ghost_of_the_first_is_found() -> None:
    """Strong hole, its ghost three squares on, and another hole three squares behind the ghost and weaker than it."""
    entries = together(hits(20, 5), hits(12, 5, at=MIDDLE + 3), hits(9, 5, at=MIDDLE + 6))
    codes = reading.recode({BLOCK}, {BLOCK: {DAY: evidence(entries)}}, DAY, OPTIONS)[BLOCK]
    assert [Colour(codes[MIDDLE + k]["colour"]) for k in (0, 3, 6)] == [Colour.RED, Colour.GREY, Colour.RED]
    assert int(codes[MIDDLE + 3]["flags"]) & Flag.GHOST


def test_silence_of_a_camera_makes_cracks_green_and_says_nothing_of_jolts() -> None:
    looked = quiet(2, 2, each=0.0) | {(MIDDLE, EXPOSURE_CAMERA): round(20 * UNIT)}
    code = shown({DAY: looked}, DAY)
    assert int(code["seen"]) >> BY_KEY["linear_crack"].number - 1 & 1
    felt = together(looked, hits(3, 3))
    assert Colour(shown({DAY: felt}, DAY)["colour"]) == Colour.RED
    ruts = shown({DAY: quiet(4, 4) | {(MIDDLE, EXPOSURE_LASER): round(4 * UNIT)}}, DAY)
    assert int(ruts["seen"]) >> BY_KEY["rutting"].number - 1 & 1, "only a laser (or camera) sees ruts"
    assert not int(shown({DAY: quiet(40, 8)}, DAY)["seen"]) >> BY_KEY["rutting"].number - 1 & 1


def test_witnesses_of_a_defect_that_went_confirm_no_other() -> None:
    days = {DAY: hits(9, 5)} | {later(n): quiet(12, 6) for n in range(1, 12)} | {later(12): hits(5, 1)}
    code = shown(days, later(12))
    assert Colour(code["colour"]) == Colour.RED
    assert State(code["state"]) == State.SUSPECTED


def test_many_hits_of_one_device_on_a_square_that_it_never_rolled_over_are_tempered() -> None:
    """A ghost has hits and no passes; without its own measure twenty of one bus were twenty witnesses."""
    ghost = {key: value for key, value in hits(4, 1, each=3.2).items() if key[1] >= HIT_DEVICES or key[1] == 0}
    assert Colour(shown({DAY: ghost}, DAY)["colour"]) == Colour.GREY
    many = {key: value for key, value in hits(4, 4, each=3.2).items() if key[1] >= HIT_DEVICES or key[1] == 0}
    assert Colour(shown({DAY: many}, DAY)["colour"]) == Colour.RED


def above_middle(phones: int, level: int = 1) -> tuple[int, BlockEvidence]:
    """The coarse block over the middle square, with so many phones that felt something there, and its evidence."""
    cell = int(parents(cells_of_block(BLOCK)[[MIDDLE]], level)[0])
    at = int(index_in_block(cell))
    slots = (1 << phones) - 1
    said = {
        (at, PHONE_LOGODDS): phones * 4 * UNIT, (at, PHONE_TALLY): tally(phones, phones * 2.0), (at, PHONE_PASSES): 30,
        (at, PHONE_DEVICES): slots, (at, PHONE_HIT_DEVICES): slots,
    }  # fmt: skip
    return int(blocks_of(cell)), evidence(said)


@pytest.mark.parametrize(("phones", "colour"), [(0, Colour.GREY), (2, Colour.GREY), (6, Colour.RED)])
def test_what_phones_say_of_four_metres_helps_a_box_that_doubts(phones: int, colour: Colour) -> None:
    """One box that felt something once is a doubt; with six phones around it is a red. Two phones are not told of."""
    today = later(6)
    told: dict[int, Days] = {BLOCK: {today: evidence(hits(1, 1, each=6.5))}}
    if phones:
        block, said = above_middle(phones)
        told[block] = {DAY: said}
    assert Colour(reading.recode({BLOCK}, told, today, OPTIONS)[BLOCK][MIDDLE]["colour"]) == colour


def test_phones_alone_colour_no_square_metre_however_many() -> None:
    block, said = above_middle(60)
    told: dict[int, Days] = {block: {DAY: said}, BLOCK: {later(6): evidence(quiet(1, 1))}}
    codes = reading.recode({BLOCK}, told, later(6), OPTIONS)[BLOCK]
    assert (codes["colour"] == Colour.GREY).all()


def test_what_phones_felt_takes_the_green_of_little_looking() -> None:
    block, said = above_middle(60)
    looked = {later(6): evidence(quiet(6, 6, each=0.9))}
    alone = reading.recode({BLOCK}, {BLOCK: looked}, later(6), OPTIONS)[BLOCK][MIDDLE]
    assert Colour(alone["colour"]) == Colour.GREEN
    doubted = reading.recode({BLOCK}, {BLOCK: looked, block: {DAY: said}}, later(6), OPTIONS)[BLOCK][MIDDLE]
    assert Colour(doubted["colour"]) == Colour.GREEN, "5.4 of exposure outweigh 6.5 over a prior of 1e-4"
    looks = ((EXPOSURE_BOX, 0.3), (EXPOSURE_LASER, 0.5), (EXPOSURE_CAMERA, 40.0))
    less = {later(6): evidence(quiet(6, 6) | {(MIDDLE, plane): round(much * UNIT) for plane, much in looks})}
    assert Colour(reading.recode({BLOCK}, {BLOCK: less}, later(6), OPTIONS)[BLOCK][MIDDLE]["colour"]) == Colour.GREEN
    shown_now = reading.recode({BLOCK}, {BLOCK: less, block: {DAY: said}}, later(6), OPTIONS)[BLOCK][MIDDLE]
    assert Colour(shown_now["colour"]) == Colour.GREY


def test_what_phones_said_is_heard_a_day_after_it_may_be_told() -> None:
    block, said = above_middle(6)
    for wait, colour in ((3, Colour.GREY), (4, Colour.RED)):
        today = later(wait)
        told: dict[int, Days] = {BLOCK: {today: evidence(hits(1, 1, each=6.5))}, block: {DAY: said}}
        assert Colour(reading.recode({BLOCK}, told, today, OPTIONS)[BLOCK][MIDDLE]["colour"]) == colour


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("known", ["a bump", "a repair since", "a repair today", "a repair before"])
def test_what_phones_felt_on_a_bump_or_before_a_repair_is_not_heard_below(known: str, level: int) -> None:
    today = later(6)
    block, said = above_middle(30, level)
    at = np.zeros(1024, bool)
    at[said.key >> 6] = True
    ground = replace(plain_ground(), harmless=at.astype(np.uint8))
    if known != "a bump":
        day = {"a repair since": later(2), "a repair today": today, "a repair before": later(-1)}[known]
        ground = replace(plain_ground(), repairs=((day, at),))
    told: dict[int, Days] = {BLOCK: {today: evidence(hits(1, 1, each=6.5))}, block: {DAY: said}}
    lifted = felt_around({BLOCK}, {block: told[block]}, today, OPTIONS, {block: ground}).get(BLOCK)
    assert (lifted is not None and lifted.any()) == (known == "a repair before")
    if level == 1:
        colour = reading.recode({BLOCK}, told, today, OPTIONS, {block: ground})[BLOCK][MIDDLE]["colour"]
        assert Colour(colour) == (Colour.RED if known == "a repair before" else Colour.GREY)


@pytest.mark.parametrize(("each", "colour"), [(6.0, Colour.RED), (5.5, Colour.GREY)])
def test_two_days_of_one_hit_by_hand(each: float, colour: Colour) -> None:
    """logit(1e-4) = -9.210. With 6.0: -3.210 in the evening, p = .0388; after the night
    .0388 * (1 - 1/90) + .9612 / 30000 = .0384, or -3.221; with the second hit 2.779: p = .942. With 5.5 in the same way
    1.780: p = .856, below .9."""
    days = {DAY: hits(1, 1, each=each), later(1): hits(1, 1, each=each)}
    assert shown(days, DAY)["colour"] == Colour.GREY
    assert shown(days, later(1))["colour"] == colour


@pytest.mark.parametrize(
    ("passes", "devices", "colour"),
    [(5, 5, Colour.GREEN), (4, 4, Colour.GREY), (9, 1, Colour.GREEN), (8, 1, Colour.GREY)],
)
def test_how_many_quiet_passes_make_green_by_hand(passes: int, devices: int, colour: Colour) -> None:
    """A pass adds -ln(1 - .76 * .86) = 1.060 for a pothole, and for faulting, which is felt least, -ln(1 - .76 * .60) =
    .609, so that five passes of five devices are 3.04 and four 2.44. Further passes of one device count half: nine are
    worth five, 3.04, and eight 4.5, 2.74. Green needs 3."""
    assert shown({DAY: quiet(passes, devices, each=1.0602)}, DAY)["colour"] == colour


@pytest.mark.parametrize(("devices", "colour"), [(4, Colour.RED), (1, Colour.GREY)])
def test_four_hits_of_one_device_are_worth_two_and_a_half_by_hand(devices: int, colour: Colour) -> None:
    """Four hits of 3.0 are 12.0, and -9.210 becomes 2.790: p = .942. All of one device they are (1 + 3 / 2) / 4 of it,
    7.5: p = .153."""
    assert shown({DAY: hits(4, devices, each=3.0)}, DAY)["colour"] == colour
