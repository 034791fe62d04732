"""Draws of things against the limits of the table of types."""

import numpy as np
import pytest

from defects import TYPES
from sensors_sim.catalogue import ACTS, GRADES, LOOK_ALIKES, UnknownKind, draw_act, draw_defect, draw_look_alike

LIMITS_MM = {  # from where yellow, from where red, of what is measured in mm
    "linear_crack": (3, 10), "shoving": (15, 25), "rutting": (15, 25), "subsidence": (10, 25), "edge_break": (5, 50),
    "frame_level": (15, 30), "faulting": (15, 25), "mud_boil": (0, 25), "pumping": (0, 25),
}  # fmt: skip
LANE_M = 3.5


@pytest.mark.parametrize("kind", sorted(LIMITS_MM))
def test_amounts_lie_on_the_right_side_of_the_limits(kind: str) -> None:
    yellow, red = LIMITS_MM[kind]
    rng = np.random.default_rng(1)
    for grade in GRADES[kind]:
        drawn = [draw_defect(rng, kind, grade, LANE_M) for _ in range(60)]
        assert {t.grade for t in drawn} == {grade}
        assert {t.unit for t in drawn} == {"mm"}
        low, high = ((0, yellow), (yellow, red), (red, np.inf))[grade]
        assert all(low <= t.amount <= high for t in drawn)
        if kind != "linear_crack":  # its amount is an opening, not a height
            assert all(abs(t.height_mm) == t.amount for t in drawn)


def test_a_pothole_is_red_if_deep_or_wide() -> None:
    rng = np.random.default_rng(2)
    for grade in (1, 2):
        for _ in range(200):
            t = draw_defect(rng, "pothole", grade, LANE_M)
            red = t.amount >= 25 or np.pi / 4 * t.length_m * t.width_m >= 0.1
            assert red == (grade == 2)


def test_areas_of_ravelling_and_shares_of_nets() -> None:
    rng = np.random.default_rng(3)
    for _ in range(100):
        t = draw_defect(rng, "ravelling", 2, LANE_M)
        assert t.unit == "m2"
        assert t.amount >= 1
        assert t.amount == pytest.approx(t.length_m * t.width_m)
        assert 0 < draw_defect(rng, "net_crack", 1, LANE_M).amount <= 0.1 < draw_defect(rng, "net_crack", 2).amount


def test_covers_have_the_subtypes_that_dispatch_needs() -> None:
    rng = np.random.default_rng(4)
    by_grade = {g: [draw_defect(rng, "defective_cover", g, LANE_M) for _ in range(200)] for g in (1, 2)}
    assert {t.subtype for t in by_grade[1]} == {"noisy", "sunken", "raised"}
    assert {t.subtype for t in by_grade[2]} == {"missing", "broken", "displaced"}
    for t in by_grade[1]:
        assert {"noisy": t.rattle > 0.3, "sunken": t.height_mm < -10, "raised": t.height_mm > 5}[t.subtype]
    assert all(t.height_mm <= -300 for t in by_grade[2] if t.subtype == "missing")
    sunk = [draw_defect(rng, "subsidence", g, LANE_M) for g in (0, 1, 2) for _ in range(60)]
    assert {t.subtype for t in sunk} == {"settlement", "trench", "collapse"}
    assert all(t.grade == 2 for t in sunk if t.subtype == "collapse")


def test_a_grade_that_a_type_lacks_becomes_the_nearest() -> None:
    rng = np.random.default_rng(5)
    assert draw_defect(rng, "pothole", 0).grade == 1
    assert draw_defect(rng, "litter", 2).grade == 1
    assert set(GRADES) == {t.key for t in TYPES}


def test_where_things_lie() -> None:
    rng = np.random.default_rng(6)
    y = np.array([draw_defect(rng, "pothole", 2, LANE_M).y_m for _ in range(400)])
    assert 0.7 < (np.abs(np.abs(y) - 0.9) < 0.45).mean() < 0.97
    assert abs((y > 0).mean() - 0.5) < 0.1
    edges = [draw_defect(rng, "edge_break", 2, LANE_M) for _ in range(50)]
    assert all(t.y_m - t.width_m / 2 <= -LANE_M / 2 for t in edges)
    assert draw_defect(rng, "rutting", 2).length_m >= 12
    assert draw_defect(rng, "faulting", 2, LANE_M).width_m == LANE_M


@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_look_alikes_are_harmless(kind: str) -> None:
    t = draw_look_alike(np.random.default_rng(7), kind)
    assert t.harmless
    assert t.grade == 0
    assert t.kind == kind
    if kind == "sound_cover":
        assert abs(t.height_mm) <= 5


def test_the_same_luck_gives_the_same_thing_and_each_its_own_seed() -> None:
    one, two = (draw_defect(np.random.default_rng(8), "pothole", 2) for _ in range(2))
    assert one == two
    rng = np.random.default_rng(8)
    assert draw_defect(rng, "pothole", 2).seed != draw_defect(rng, "pothole", 2).seed


def test_acts_and_unknown_names() -> None:
    rng = np.random.default_rng(9)
    for kind in ACTS:
        act = draw_act(rng, kind, 3.5)
        assert (act.kind, act.t_s) == (kind, 3.5)
        assert act.duration_s > 0
        assert 0.5 <= act.strength <= 2
    with pytest.raises(UnknownKind, match="pothole"):
        draw_defect(rng, "speed_bump", 1)
    with pytest.raises(UnknownKind, match="speed_bump"):
        draw_look_alike(rng, "pothole")
    with pytest.raises(UnknownKind, match="braking"):
        draw_act(rng, "yawning", 0.0)
