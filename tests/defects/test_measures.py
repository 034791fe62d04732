"""Measures of the benchmark against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from defects.research.measures import (
    alarms,
    average_precision,
    best_of,
    calibration_error,
    interval,
    macro_f1,
    reliability,
    threshold_at,
)

ONES = np.ones(4)


def test_average_precision() -> None:
    """Hits at ranks 1 and 3: (1/1 + 2/3) / 2."""
    score, truth = np.array([0.6, 0.9, 0.7, 0.8]), np.array([False, True, True, False])
    assert average_precision(score, truth) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(-score, truth) == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert average_precision(score, ~truth | truth) == 1.0
    assert np.isnan(average_precision(score, np.zeros(4, bool)))


def test_calibration_error_by_bins_of_equal_weight() -> None:
    """Two bins: .1 said and 0 true, .9 said and .5 true."""
    p, truth = np.array([0.9, 0.1, 0.9, 0.1]), np.array([True, False, False, False])
    assert calibration_error(p, truth, ONES, bins=2) == pytest.approx((0.1 + 0.4) / 2)
    assert calibration_error(p, truth, ONES, bins=1, from_p=0.5) == pytest.approx(0.4)
    assert np.isnan(calibration_error(p, truth, ONES, from_p=0.95))
    # Three times the weight on the one that came true: 3/4 true in its bin.
    assert calibration_error(p[[0, 2]], truth[[0, 2]], np.array([3.0, 1.0]), bins=1) == pytest.approx(0.15)


def test_reliability_curve_rises_by_what_was_said_and_keeps_the_weight() -> None:
    rng = np.random.default_rng(1)
    p, w = rng.random(1000), rng.uniform(0.5, 2, 1000)
    curve = reliability(p, rng.random(1000) < p, w, bins=10)
    said, true, weight = (np.array(x) for x in zip(*curve, strict=True))
    assert len(curve) == 10
    assert (np.diff(said) > 0).all()
    assert weight.sum() == pytest.approx(w.sum())
    assert np.abs(weight - w.sum() / 10).max() < 2.1
    assert np.abs(said - true).max() < 0.2


def test_macro_f1_leaves_out_what_is_nowhere_and_counts_silence_as_missed() -> None:
    """a: 1 hit, 1 missed, 2/3. b: 1 hit, 1 wrong, 2/3. c: missed by silence, 0. d: nowhere."""
    assert macro_f1(["a", "a", "b", "c"], ["a", "b", "b", ""], ["a", "b", "c", "d"]) == pytest.approx(4 / 9)
    assert macro_f1(["a"], ["a"], ["a"]) == 1.0
    assert np.isnan(macro_f1(["a"], ["a"], ["d"]))


def test_the_threshold_leaves_so_many_alarms_a_km() -> None:
    scores = np.array([2.0, 5.0, 1.0, 4.0, 3.0])
    for km, per_km, left in ((2.0, 1.0, 2), (2.9, 1.0, 2), (2.0, 2.0, 4), (0.5, 1.0, 0)):
        at = threshold_at(scores, km, per_km)
        assert (scores >= at).sum() == left
    assert threshold_at(scores, 2.0) == np.nextafter(3.0, np.inf)
    assert threshold_at(scores, 5.0) == -np.inf


def test_of_equal_scores_none_is_let_through() -> None:
    assert (np.full(3, 7.0) >= threshold_at(np.full(3, 7.0), 1.0)).sum() == 0


def test_near_candidates_are_one_alarm_of_the_highest() -> None:
    t_s = np.array([0.0, 1.0, 1.4, 3.0, 3.0])
    trip = np.array([0, 0, 0, 0, 1])
    score = np.array([1.0, 3.0, 2.0, 2.5, 0.5])
    assert alarms(t_s, trip, score).tolist() == [3.0, 2.5, 0.5]
    # What was swallowed swallows nothing: 2 is far from 0, though near 1.
    assert alarms(np.array([0.0, 1.0, 2.0]), np.zeros(3, np.int64), np.array([3.0, 2.0, 1.0])).tolist() == [3.0, 1.0]
    assert len(alarms(np.empty(0), np.empty(0, np.int64), np.empty(0))) == 0


def test_alarms_do_not_hang_on_the_order() -> None:
    rng = np.random.default_rng(2)
    t_s, trip, score = rng.uniform(0, 60, 200), rng.integers(0, 3, 200), rng.random(200)
    turn = rng.permutation(200)
    assert alarms(t_s, trip, score).tolist() == alarms(t_s[turn], trip[turn], score[turn]).tolist()


def test_best_of_each_meeting() -> None:
    found = best_of(np.array([-1, 0, 0, 2]), np.array([9.0, 1.0, 4.0, -2.0]), 4)
    assert found.tolist() == [4.0, -np.inf, -2.0, -np.inf]


def test_the_bootstrap_draws_whole_groups() -> None:
    """Two groups, one all 0 and one all 1: a mean of 0, .5 or 1, a quarter of the draws at either end."""
    values, groups = np.array([0.0, 0.0, 1.0, 1.0]), np.array([7, 7, 3, 3])
    drawn: list[float] = []

    def mean(rows: np.ndarray) -> float:
        assert len(rows) == 4
        drawn.append(float(values[rows].mean()))
        return drawn[-1]

    assert interval(mean, groups, np.random.default_rng(1)) == (0.0, 1.0)
    assert set(drawn) == {0.0, 0.5, 1.0}
    assert drawn.count(0.5) == pytest.approx(150, abs=40)


def test_the_bootstrap_of_many_meets_the_normal_interval() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=400)
    low, high = interval(lambda rows: float(values[rows].mean()), np.arange(400), rng, rounds=1000)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.015)
    assert high == pytest.approx(values.mean() + half, abs=0.015)


def test_of_one_group_nothing_is_known() -> None:
    assert np.isnan(interval(lambda _: 1.0, np.zeros(9), np.random.default_rng(1))).all()
    assert np.isnan(interval(lambda _: float("nan"), np.arange(9), np.random.default_rng(1))).all()
