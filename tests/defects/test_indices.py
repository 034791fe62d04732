"""Indices of a road's condition against worked values, and the interval of an estimate against simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from defects.indices import (
    DEDUCT,
    GROUPS,
    PCI_GRADES,
    RQI_GRADES,
    Looked,
    PciOptions,
    deduct,
    estimate_pci,
    grade,
    pci,
    pqi,
    rqi,
)
from defects.research.intervals import coverage
from defects.taxonomy import ALL_TYPES, BY_KEY


def test_one_pothole_of_a_square_metre_in_100_m_of_7_m_gives_83_5() -> None:
    assert round(float(pci({"pothole": 1.0}, 700.0)), 1) == pytest.approx(83.5, abs=0.05)


def test_the_deduct_table_is_met_at_its_columns_and_is_log_linear_between() -> None:
    assert deduct("pothole", np.array([0.01, 0.1, 1, 10, 50, 100])).tolist() == [10, 15, 25, 40, 65, 72]
    assert float(deduct("rutting", math.sqrt(0.1 * 1.0))) == pytest.approx((7 + 12) / 2)
    assert float(deduct("pothole", 0.0)) == 0.0
    assert float(deduct("pothole", 0.005)) == pytest.approx(5.0)


def test_deduct_points_never_fall_with_density_and_all_types_of_the_table_are_grouped_once() -> None:
    for kind, points in DEDUCT.items():
        assert list(points) == sorted(points), kind
    assert sorted(k for group in GROUPS for k in group) == sorted(DEDUCT)


def test_damages_of_one_group_cost_less_than_their_sum_and_more_than_the_worst() -> None:
    both = 100 - float(pci({"pothole": 1.0, "ravelling": 2.0}, 700.0))
    pothole, ravelling = (100 - float(pci({k: a}, 700.0)) for k, a in (("pothole", 1.0), ("ravelling", 2.0)))
    assert max(pothole, ravelling) < both < pothole + ravelling


def test_weights_of_two_equal_damages_are_those_of_the_polynomial() -> None:
    # u = .5: w = 3/8 - 5.5/4 + 3.5/2 = .75, so two of 12 points cost 18.
    assert float(pci({"rutting": 7.0, "frame_level": 7.0}, 700.0)) == pytest.approx(82.0)
    assert float(pci({"rutting": 7.0, "subsidence": 7.0}, 700.0)) == pytest.approx(82.0)


def test_nothing_found_is_100_ruin_is_not_below_0_and_litter_costs_nothing() -> None:
    assert float(pci({}, 700.0)) == 100.0
    assert float(pci({"litter": 300.0, "ponding": 300.0}, 700.0)) == 100.0
    assert float(pci(dict.fromkeys(DEDUCT, 700.0), 700.0)) >= 0.0
    with pytest.raises(ValueError, match="width"):
        pci({}, 0.0)


def test_ride_and_quality_indices() -> None:
    assert rqi(2.0) == pytest.approx(4.30)
    assert rqi(20.0) == 0.0
    assert pqi(4.0, 80.0, "trunk") == pytest.approx(0.6 * 80 + 0.4 * 80)
    assert pqi(3.0, 90.0, "branch") == pytest.approx(0.4 * 60 + 0.6 * 90)


def test_a_grade_begins_at_its_lower_bound_and_depends_on_the_class_of_road() -> None:
    assert [grade(v, PCI_GRADES["expressway"]) for v in (90, 89.9, 75, 65, 64.9)] == list("ABBCD")
    assert grade(80, PCI_GRADES["branch"]) == "A"
    assert grade(80, PCI_GRADES["secondary"]) == "B"
    assert grade(3.6, RQI_GRADES["expressway"]) == "B"


def _looked(share: float, found: dict[str, int] | None = None) -> Looked:
    confirmed = np.zeros(len(ALL_TYPES), np.int64)
    for key, n in (found or {}).items():
        confirmed[BY_KEY[key].number] = n
    return Looked(700, np.full(len(ALL_TYPES), share), confirmed, np.zeros(len(ALL_TYPES), np.int64))


def test_what_nobody_looked_at_widens_the_interval() -> None:
    sure = estimate_pci(_looked(1.0), np.random.default_rng(1))
    blind = estimate_pci(_looked(0.1), np.random.default_rng(1))
    assert sure is not None
    assert blind is not None
    assert sure.value == 100.0
    assert sure.low > 85.0
    assert blind.low < sure.low - 5


def test_an_estimate_holds_the_index_of_what_was_found_and_is_the_same_twice() -> None:
    known = _looked(0.95, {"pothole": 2, "linear_crack": 12})
    one, two = (estimate_pci(known, np.random.default_rng(7)) for _ in range(2))
    assert one is not None
    assert one == two
    assert one.low < float(pci({"pothole": 2.0, "linear_crack": 2.4}, 700.0)) < one.high
    assert estimate_pci(Looked(0, known.looked, known.confirmed, known.suspected), np.random.default_rng(1)) is None


@pytest.mark.parametrize("looked", [0.6, 0.8, 1.0])
def test_nine_intervals_of_ten_hold_the_true_index_of_simulated_sections(looked: float) -> None:
    got = coverage(looked, 200, np.random.default_rng([5, round(looked * 10)]), PciOptions(draws=200))
    assert got.inside >= 0.85
    assert got.width < 60
