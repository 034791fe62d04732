"""The benchmark of fusion measures what it says: matches, medians, baselines, and streets that are no mirror of what
fuses."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from api.wiring import EVIDENCE, HEALTH
from defects.passage import level_for, radius_of
from defects.research import fusion
from defects.research.fusion_drives import draw_device, drive
from defects.research.fusion_match import clusters, counted, match, median, rates, score, spots
from defects.research.fusion_runs import _MENDED_M, ZONE, cells_near, grounds, lane_cells, middles
from defects.research.fusion_stream import _first
from defects.research.streets import NEVER, Street, Thing, draw_street, grave, lane_y, passable
from grid import cells_at


def hole(s_m: float, y_m: float = -2.6, **more: object) -> Thing:
    return Thing("pothole", False, True, 0, s_m, y_m, 0.6, 0.5, 0.0, **more)  # type: ignore[arg-type]


def street(*things: Thing) -> Street:
    return Street(227_400.0, 3_353_400.0, 0.5, things)


def at(one: Street, s_m: float, y_m: float) -> list[float]:
    x, y = one.at(np.array([s_m]), np.array([y_m]))
    return [float(x[0]), float(y[0])]


def test_two_reds_on_one_hole_are_one_right_and_one_wrong() -> None:
    one = street(hole(50.0), hole(80.0))
    places = np.array([at(one, 50.0, -2.6), at(one, 51.0, -2.6), at(one, 200.0, -2.6)])
    got = score(one, {0, 1}, places, 0, 1.0)
    assert (got.spots, got.right, got.met, got.met_found) == (3, 1, 2, 1)
    assert rates([got])["p"] == pytest.approx(1 / 3)
    assert rates([got])["r"] == pytest.approx(1 / 2)


def test_the_nearest_pair_is_matched_first() -> None:
    one = street(hole(50.0), hole(51.5))
    places = np.array([at(one, 50.9, -2.6)])
    assert match(one, places, list(one.things), 1.0) == {0: 1}


def test_what_was_mended_or_never_met_is_no_miss() -> None:
    one = street(hole(50.0, repaired=3), hole(80.0), hole(120.0))
    got = score(one, {0, 1}, np.empty((0, 2)), 4, 1.0)
    assert (got.met, got.within, got.defects) == (1, 2, 2)


def test_squares_that_touch_are_one_spot_and_a_coarse_one_around_it_is_no_second() -> None:
    x, y = 227_400.5, 3_353_400.5
    fine = cells_at(np.array([x, x + 1, x + 9]), np.array([y, y + 1, y]), ZONE)
    coarse = cells_at(np.array([x, x + 40]), np.array([y, y]), ZONE, 1)
    found = spots(np.concatenate([fine, coarse]))
    assert len(found) == 3
    assert [x + 0.5, y + 0.5] in found.tolist()


def test_baselines() -> None:
    rng = np.random.default_rng(1)
    hits = np.concatenate([rng.normal(0, 0.4, (6, 2)) + 0.5, rng.normal(0, 0.4, (2, 2)) + 50.0])
    assert len(clusters(hits)) == 1
    assert len(clusters(hits[:2])) == 0
    same = np.array([[0.2, 0.3], [0.9, 0.1], [0.5, 0.5], [1.2, 0.5]])
    assert counted(same, 3, 1.0).tolist() == [[0.5, 0.5]]
    assert counted(same, 4, 4.0).tolist() == [[2.0, 2.0]]


def test_what_never_came_is_endless_and_not_left_out() -> None:
    assert median([1.0, 1.0, math.inf]) == 1.0
    assert median([1.0, math.inf, math.inf]) is None
    assert _first([False, False, True]) == 3.0
    assert _first([False]) == math.inf


def test_a_street_lies_askew_and_its_squares_are_its_own() -> None:
    one = draw_street(np.random.default_rng(3))
    assert abs(math.sin(2 * one.angle_rad)) > 0.05
    s, y = one.along(*one.at(np.array([30.0]), np.array([-2.0])))
    assert (s[0], y[0]) == (pytest.approx(30.0), pytest.approx(-2.0))
    cells = lane_cells(one)
    assert len(cells) == pytest.approx(7.0 * 392, rel=0.05)
    assert any(t.harmless for t in one.things)
    assert any(grave(t) for t in one.things)


def test_a_repair_is_known_the_night_before_and_only_where_it_was_ordered() -> None:
    told = grounds(street(hole(50.0, repaired=4, ordered=True), hole(80.0, repaired=4)), "drawn")
    days = {day for ground in told.values() for day, _ in ground.repairs}
    assert len(days) == 1
    squares = sum(int(cells.sum()) for ground in told.values() for _, cells in ground.repairs)
    assert squares == len(cells_near(street(), hole(50.0), _MENDED_M))


def test_drivers_steer_around_what_they_avoid() -> None:
    def met(avoided: float) -> int:
        rng = np.random.default_rng(5)
        one = street(hole(100.0, y_m=lane_y(0) - 0.9, avoided=avoided))
        device = draw_device(rng, 1, "box")
        return sum(len(drive(rng, one, 0, device, 0, {}).met) for _ in range(40))

    assert met(0.0) > 12
    assert met(1.0) < met(0.0) / 3


def test_what_is_closed_is_not_met() -> None:
    rng = np.random.default_rng(5)
    one = street(hole(100.0, y_m=lane_y(0) - 0.9, opens=3, repaired=5))
    device = draw_device(rng, 1, "box")
    days = {day for day in range(8) for _ in range(15) if drive(rng, one, 0, device, day, {}).met}
    assert days == {3, 4}


def test_both_lanes_say_where_they_were() -> None:
    """A lane that comes back is cut from its other end on; left stays left."""
    rng = np.random.default_rng(8)
    for lane in (0, 1):
        one = street(Thing("faulting", False, True, lane, 200.0, lane_y(lane), 0.2, 3.5, 4.0))
        device = draw_device(rng, 1, "box")
        went = drive(rng, one, lane, device, 0, {})
        strikes = [(p, s) for p in went.passages for s in p.strikes if s.mine]
        assert strikes
        for p, strike in strikes:
            s, _ = one.along(p.x_m[strike.at : strike.at + 1], p.y_m[strike.at : strike.at + 1])
            assert abs(s[0] - 200.0) < 3.0
        first = went.passages[0]
        step = np.diff(first.x_m) * first.u_x[1:] + np.diff(first.y_m) * first.u_y[1:]
        owned = sum(int(p.owned.sum()) for p in went.passages)
        assert (step > 0).all()
        assert owned == 2000


def test_phones_are_metres_off_and_boxes_are_not() -> None:
    rng = np.random.default_rng(2)
    one = street()
    levels: dict[str, list[int | None]] = {}
    for kind in ("box", "phone"):
        went = [drive(rng, one, 0, draw_device(rng, i, kind), 0, {}) for i in range(30)]
        levels[kind] = [level_for(radius_of(float(p.sigma_m.max())), kind, EVIDENCE) for d in went for p in d.passages]
    assert levels["box"].count(0) > 0.8 * len(levels["box"])
    assert {1, 2} <= set(levels["phone"])
    assert 0 not in levels["phone"]


def test_a_narrow_thing_in_the_middle_of_a_lane_is_out_of_reach() -> None:
    assert passable(hole(10.0, y_m=lane_y(0) - 0.9))
    assert not passable(replace(hole(10.0, y_m=lane_y(0)), wide_m=0.2))
    assert hole(10.0).repaired == NEVER


@pytest.fixture(scope="module")
def figures() -> dict[str, object]:
    told: list[float] = []
    found = fusion.bench_fusion(fusion.QUICK, "tune", EVIDENCE, HEALTH, lambda _, done: told.append(done))
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    return found


def test_every_key_has_a_figure_with_grey_and_baselines_beside(figures: dict[str, object]) -> None:
    assert set(fusion.KEYS) <= set(figures)
    assert set(fusion.GREY_OF) == set(fusion.KEYS)
    assert set(fusion.GREY_OF.values()) <= set(figures)
    for name in ("box20_p", "box20_r", "mixed50_p", "phone50_r5", "false_reds_per_km", "days_to_red"):
        assert f"dbscan_{name}" in figures
        assert f"count_{name}" in figures
    json.dumps(figures, allow_nan=False)
    assert len(fusion.summary(figures)) == len(fusion.KEYS)


def test_nothing_is_green_that_no_able_sensor_passed(figures: dict[str, object]) -> None:
    assert figures["green_unpassed"] == 0
    assert 0 < float(str(figures["grey_share"])) < 1


def test_it_finds_what_lies_there(figures: dict[str, object]) -> None:
    """Far below what the full run gives: one street says little, but a broken read-out says nothing."""
    assert float(str(figures["box20_p"])) > 0.8
    assert float(str(figures["box20_r"])) > 0.5


def test_a_thing_has_the_squares_around_it() -> None:
    one = street(hole(50.0))
    cells = cells_near(one, one.things[0], 0.8)
    x, y = at(one, 50.0, -2.6)
    assert int(cells_at(x, y, ZONE)) in cells
    assert np.hypot(*(middles(cells) - [x, y]).T).max() < 0.8 + 0.5
