"""From evidence to colour: the rules that may never be broken, one test each."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from defects import ALL_TYPES, BY_KEY, HAZARDS, Colour, HealthOptions, State
from defects import recode as reading
from defects.planes import DEVICES, PASSES
from grid import Zone, blocks_of, cells_at

from .blocks import BLOCK, DAY, MIDDLE, evidence, hits, quiet, together

OPTIONS = HealthOptions()


def code(entries: dict[tuple[int, int], int], today: date = DAY, at: int = MIDDLE, day: date = DAY):  # type: ignore[no-untyped-def]
    return reading.recode({BLOCK}, {BLOCK: {day: evidence(entries)}}, today, OPTIONS)[BLOCK][at]


def test_what_nobody_passed_is_grey_although_its_prior_is_small() -> None:
    far = code(quiet(30, 5), at=5)
    assert Colour(far["colour"]) == Colour.GREY
    assert far["seen"] == 0


def test_green_needs_exposure_of_every_hazard() -> None:
    shown = [Colour(code(quiet(n, min(n, 3)))["colour"]) for n in range(1, 25)]
    assert shown[0] == Colour.GREY
    assert shown[-1] == Colour.GREEN
    assert sorted(shown) == shown, "more quiet passes may not make a square less known"
    enough = shown.index(Colour.GREEN) + 1
    seen = int(code(quiet(enough, 3))["seen"])
    assert all(seen >> n - 1 & 1 for n in HAZARDS)
    assert not seen >> BY_KEY["linear_crack"].number - 1 & 1, "no wheel feels a crack"


def test_one_bus_that_passes_twenty_times_is_not_twenty_witnesses() -> None:
    needed = {
        devices: next(n for n in range(devices, 60) if Colour(code(quiet(n, devices))["colour"]) == Colour.GREEN)
        for devices in (1, 6)
    }
    assert needed[1] > needed[6]


def test_red_and_yellow_differ_by_severity_never_by_doubt() -> None:
    assert Colour(code(hits(3, 3, severity=2.0))["colour"]) == Colour.RED
    assert Colour(code(hits(3, 3, severity=1.2))["colour"]) == Colour.YELLOW
    assert Colour(code(hits(300, 3, severity=1.2))["colour"]) == Colour.YELLOW
    assert Colour(code(hits(1, 1, severity=3.0))["colour"]) == Colour.GREY, "one hit is a doubt, and no colour"


def test_three_devices_confirm_and_fewer_suspect() -> None:
    assert State(code(hits(6, 2))["state"]) == State.SUSPECTED
    assert State(code(hits(6, 3))["state"]) == State.CONFIRMED


def test_a_cameras_name_wins_over_uneven_beside_it_and_confirms_it() -> None:
    pothole = BY_KEY["pothole"].number
    entries = hits(4, 1) | hits(4, 1, at=MIDDLE + 1, kind=pothole)
    codes = reading.recode({BLOCK}, {BLOCK: {DAY: evidence(entries)}}, DAY, OPTIONS)[BLOCK]
    assert ALL_TYPES[codes[MIDDLE + 1]["kind"]].key == "pothole"
    assert State(codes[MIDDLE + 1]["state"]) == State.CONFIRMED
    assert Colour(codes[MIDDLE]["colour"]) == Colour.GREY


def test_a_crack_that_no_wheel_feels_does_not_explain_a_jolt() -> None:
    entries = hits(4, 3) | hits(4, 3, at=MIDDLE + 1, kind=BY_KEY["linear_crack"].number, severity=1.0)
    codes = reading.recode({BLOCK}, {BLOCK: {DAY: evidence(entries)}}, DAY, OPTIONS)[BLOCK]
    assert ALL_TYPES[codes[MIDDLE]["kind"]].key == "uneven"
    assert Colour(codes[MIDDLE]["colour"]) == Colour.RED


def test_a_ghost_beside_the_real_place_is_not_coloured() -> None:
    entries = hits(10, 3) | hits(6, 3, at=MIDDLE + 2)
    codes = reading.recode({BLOCK}, {BLOCK: {DAY: evidence(entries)}}, DAY, OPTIONS)[BLOCK]
    assert Colour(codes[MIDDLE]["colour"]) == Colour.RED
    assert Colour(codes[MIDDLE + 2]["colour"]) == Colour.GREY


def test_a_ghost_stays_a_ghost_overnight() -> None:
    """Drift squeezes all that is certain into one chance; the evidence still tells the place from its ghost."""
    entries = hits(20, 3) | hits(16, 3, at=MIDDLE + 2)
    for days in (0, 1, 5, 9):
        codes = reading.recode({BLOCK}, {BLOCK: {DAY: evidence(entries)}}, DAY + timedelta(days=days), OPTIONS)[BLOCK]
        assert Colour(codes[MIDDLE]["colour"]) == Colour.RED
        assert Colour(codes[MIDDLE + 2]["colour"]) == Colour.GREY


def test_a_ghost_across_a_blocks_border_is_seen_through_the_halo() -> None:
    from grid import blocks_beside  # noqa: PLC0415

    east = blocks_beside(BLOCK)[1, 0]
    strong, weak = evidence(hits(10, 3, at=16 * 32)), evidence(hits(6, 3, at=16 * 32 + 31))
    both = {BLOCK: {DAY: weak}, east: {DAY: strong}}
    codes = reading.recode({BLOCK, east}, both, DAY, OPTIONS)
    assert Colour(codes[east][16 * 32]["colour"]) == Colour.RED
    assert Colour(codes[BLOCK][16 * 32 + 31]["colour"]) == Colour.GREY
    alone = reading.recode({BLOCK}, {BLOCK: {DAY: weak}}, DAY, OPTIONS)
    assert Colour(alone[BLOCK][16 * 32 + 31]["colour"]) == Colour.RED


def test_no_evidence_outlives_its_validity() -> None:
    """Green falls back to grey as its exposure decays; red does not turn green by waiting."""
    good = quiet(40, 8)
    shown = [Colour(code(good, DAY + timedelta(days=n))["colour"]) for n in (0, 10, 120)]
    assert shown[0] == Colour.GREEN
    assert shown[-1] == Colour.GREY
    bad = [Colour(code(hits(6, 3), DAY + timedelta(days=n))["colour"]) for n in range(0, 400, 20)]
    assert bad[0] == Colour.RED
    assert Colour.GREEN not in bad


@pytest.mark.parametrize("quiet_passes", [30, 100, 300])
def test_quiet_mornings_do_not_outvote_who_falls_into_the_hole_at_noon(quiet_passes: int) -> None:
    both = together(quiet(quiet_passes, 8), hits(3, 3))
    assert Colour(code(both)["colour"]) in (Colour.GREY, Colour.RED)
    more = together(quiet(quiet_passes, 8), hits(12, 6))
    assert Colour(code(more)["colour"]) == Colour.RED, "six boxes that were thrown twice are believed the same day"


def test_witnesses_of_years_ago_confirm_nothing_today() -> None:
    old, new = evidence(hits(9, 3)), evidence(hits(3, 1))
    days = {DAY - timedelta(days=1000): old, DAY: new}
    shown = reading.recode({BLOCK}, {BLOCK: days}, DAY, OPTIONS)[BLOCK][MIDDLE]
    assert State(shown["state"]) != State.CONFIRMED
    assert int(shown["passes"]) == 3


def test_repeated_hits_of_one_device_are_tempered() -> None:
    """Three hits of three devices are more than three of one."""
    assert Colour(code(hits(3, 3, each=3.9))["colour"]) == Colour.RED
    assert Colour(code(hits(3, 1, each=3.9))["colour"]) == Colour.GREY


def test_days_may_come_in_any_order() -> None:
    days = {DAY + timedelta(days=n): evidence(quiet(4 + n, 2) | hits(n, 1, at=7)) for n in range(1, 5)}
    today = DAY + timedelta(days=6)
    backward = dict(sorted(days.items(), reverse=True))
    one, other = (reading.recode({BLOCK}, {BLOCK: d}, today, OPTIONS)[BLOCK] for d in (days, backward))
    assert one.tobytes() == other.tobytes()


def test_repair_is_believed_after_quiet_passes() -> None:
    broken = evidence(hits(6, 3))
    mended = {DAY + timedelta(days=n): evidence(quiet(10, 5)) for n in range(1, 8)}
    shown = [
        Colour(
            reading.recode(
                {BLOCK}, {BLOCK: {DAY: broken} | {d: e for d, e in mended.items() if d <= today}}, today, OPTIONS
            )[BLOCK][MIDDLE]["colour"]
        )
        for today in (DAY + timedelta(days=n) for n in range(8))
    ]
    assert shown[0] == Colour.RED
    assert shown[-1] == Colour.GREEN


@pytest.mark.parametrize("level", [1, 2])
def test_a_coarse_square_is_never_green(level: int) -> None:
    block = int(blocks_of(cells_at(500_000.0, 3_350_000.0, Zone(51), level)))
    entries = {(MIDDLE, PASSES): 500, (MIDDLE, DEVICES): (1 << 30) - 1}
    codes = reading.recode({block}, {block: {DAY: evidence(entries)}}, DAY, OPTIONS)[block]
    assert (codes["colour"] == Colour.GREY).all()
    assert int(codes[MIDDLE]["passes"]) == 0, "that somebody's phone passed must not show"
