"""Rates with their intervals, severities, and which squares make one case."""

from __future__ import annotations

import pytest

from defects import TYPES, Case, join, rate
from defects.jolts import JoltOptions
from defects.severity import severity_of_detection, severity_of_jolt
from grid import Zone, cells_at
from ingest import Detection


@pytest.mark.parametrize(
    ("n", "low", "high"),
    # Garwood's exact 95 % limits, as in any table of them.
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (10, 4.795, 18.390), (100, 81.364, 121.627)],
)
def test_the_interval_is_garwoods(n: int, low: float, high: float) -> None:
    found = rate(n, 1.0)
    assert found.low == pytest.approx(low, abs=2e-3)
    assert found.high == pytest.approx(high, abs=2e-3)
    assert rate(n, 4.0).high == pytest.approx(high / 4, abs=1e-3)


@pytest.mark.parametrize(("n", "km"), [(1, 0.0), (-1, 1.0), (601, 1.0)])
def test_what_has_no_rate_is_named(n: int, km: float) -> None:
    with pytest.raises(ValueError, match=r"distance|findings"):
        rate(n, km)


def cell(x: float, y: float, level: int = 0) -> int:
    return int(cells_at(500_000.0 + x, 3_350_000.0 + y, Zone(51), level))


def test_neighbouring_squares_are_one_case_and_far_ones_another() -> None:
    found = join({cell(0, 0): 9, cell(1, 1): 9, cell(9, 0): 9}, [])
    assert sorted(len(c.cells) for c in found) == [1, 2]


def test_a_square_beside_a_known_case_joins_it() -> None:
    known = Case(7, 9, (cell(0, 0),))
    (grown,) = join({cell(2, 0): 0}, [known])
    assert (grown.number, grown.kind) == (7, 9)
    assert set(grown.cells) == {cell(0, 0), cell(2, 0)}
    assert join({cell(0, 0): 9}, [known]) == [], "nothing new, nothing changed"


def test_a_phones_coarse_square_over_a_boxs_metre_is_the_same_case() -> None:
    (one,) = join({cell(0, 0): 9, cell(1, 1, level=1): 0}, [])
    assert len(one.cells) == 2


def test_severity_follows_the_standards_units() -> None:
    def seen(kind: str, depth: float = -1.0, area: float = -1.0) -> int:
        return severity_of_detection(Detection(0.0, kind, 0.9, 30.0, 120.0, 0.3, area, depth))

    assert (seen("pothole", 24.9), seen("pothole", 25.0), seen("pothole", -1.0, 0.1)) == (1, 2, 2)
    assert (seen("subsidence", 25.0), seen("frame_level", 29.0), seen("frame_level", 30.0)) == (2, 1, 2)
    assert seen("defective_cover") == 2
    assert all(seen(t.key) in (1, 2) for t in TYPES)


def test_severity_of_a_jolt_rises_from_yellow_to_red_and_stops_at_three() -> None:
    options = JoltOptions()
    assert severity_of_jolt(options.threshold, options) == 1.0
    assert severity_of_jolt(options.red_score, options) == 2.0
    assert severity_of_jolt(1e6, options) == 3.0
