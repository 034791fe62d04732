"""Codes of squares as sections and strips: colours, areas, coverage, gaps, trends; and their rows in the database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import psycopg
import pytest

from defects import Case, Colour, State, store, unknown_codes
from defects import scales_store as kept
from defects.evidence import UNIT
from defects.rough import RoughOptions, iri_of
from defects.scales import (
    Before,
    ScaleOptions,
    areas,
    looked_at,
    median_gap_days,
    scale,
    trend,
)
from defects.taxonomy import BY_KEY
from grid import Zone, section_cells
from grid import store as grid_store
from ingest import City

from ..network import ALL_SEEN, codes, damage, fill, road

TODAY = date(2026, 11, 20)
NO_ROUGH = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def test_a_section_is_as_bad_as_its_worst_square_and_green_only_where_wheel_paths_are() -> None:
    made = codes(700)
    made["passes"][280:] = 0
    made["colour"][280:] = Colour.GREY
    assert areas(made).colour == Colour.GREEN  # beside the wheel paths nobody has to drive
    assert areas(made).grey_share == pytest.approx(0.6)
    made["colour"][:57] = Colour.GREY
    assert areas(made).colour == Colour.GREY  # 223 of 280
    made["colour"][56] = Colour.GREEN
    assert areas(made).colour == Colour.GREEN  # 224 of 280 are 80 %
    damage(made, 300, "pothole", Colour.YELLOW, State.SUSPECTED)
    assert areas(made).colour == Colour.YELLOW
    damage(made, 301, "pothole")
    told = areas(made)
    assert (told.colour, told.red_m2, told.yellow_m2, told.green_m2) == (Colour.RED, 1, 1, 224)


def test_what_nobody_drove_is_grey_never_green() -> None:
    assert areas(unknown_codes()).colour == Colour.GREY
    assert areas(codes(0)).grey_share == 1.0
    unpassed = codes(100, passes=0)
    assert areas(unpassed).colour == Colour.GREY


def test_only_a_camera_or_a_finding_counts_as_camera_coverage() -> None:
    wheels = sum(1 << BY_KEY[k].number - 1 for k in ("pothole", "shoving", "faulting", "frame_level", "subsidence"))
    made = codes(100, seen=wheels)
    assert looked_at(made)[1] == 0.0
    made["seen"][:30] = ALL_SEEN
    damage(made, 50, "pothole")
    known, camera = looked_at(made)
    assert camera == pytest.approx(0.31)
    assert known.looked[BY_KEY["pothole"].number] == 1.0
    assert known.looked[BY_KEY["linear_crack"].number] == pytest.approx(0.31)
    assert known.confirmed[BY_KEY["pothole"].number] == 1
    assert known.suspected.sum() == 0


def test_median_time_between_passes() -> None:
    day = TODAY
    assert median_gap_days({}) is None
    assert median_gap_days({day: 1}) is None
    assert median_gap_days({day: 1, day - timedelta(days=3): 1}) == pytest.approx(3.0)
    assert median_gap_days({day: 4}) == pytest.approx(0.25)
    assert median_gap_days({day - timedelta(days=n): 10 for n in range(30)}) == pytest.approx(0.1)


def test_no_grade_without_a_camera_or_without_roughness_and_a_grade_with_both(city: City) -> None:
    section = road(city)
    rough = (np.array([round(np.log(2.0) * 10 * UNIT)]), np.array([10]), np.array([700.0]))
    passes = {TODAY: 4}
    unseen = scale(section, codes(700, seen=1 << 8), passes, rough, 0, None)
    assert (unseen.grade, unseen.why_no_grade) == (None, "camera_coverage")
    assert unseen.pci is not None
    assert unseen.iri is not None
    smooth = scale(section, codes(700), passes, NO_ROUGH, 0, None)
    assert (smooth.grade, smooth.why_no_grade, smooth.rqi) == (None, "no_roughness", None)
    both = scale(section, codes(700), passes, rough, 0, None)
    assert both.grade == "A"
    assert both.rqi == pytest.approx(4.3)
    nobody = scale(section, codes(700, Colour.GREY, 0, 0), {}, NO_ROUGH, 0, None)
    assert (nobody.pci, nobody.iri, nobody.grade) == (None, None, None)


def test_trend_needs_a_past_and_tells_a_pothole_from_noise() -> None:
    options = ScaleOptions()
    assert trend(Before(90.0, 2.0), None, options) is None
    assert trend(Before(90.0, None), Before(None, 2.0), options) is None
    assert trend(Before(83.0, 2.0), Before(99.0, 2.0), options) == "worse"
    assert trend(Before(99.0, 2.0), Before(83.0, 2.0), options) == "better"
    assert trend(Before(98.0, 2.0), Before(99.0, 2.0), options) == "steady"
    assert trend(Before(98.0, 3.0), Before(99.0, 2.0), options) == "worse"


def test_roughness_of_a_piece_is_the_mean_of_its_squares_and_surer_with_more_passes() -> None:
    options = RoughOptions()
    said = np.array([round(np.log(2.0) * UNIT), round(np.log(8.0) * 3 * UNIT)])
    told = iri_of(said, np.array([1, 3]), np.array([30.0, 10.0]), options)
    assert told is not None
    assert told.iri == pytest.approx(3.5, rel=1e-4)
    assert told.low < 3.5 < told.high
    surer = iri_of(said * 50, np.array([50, 150]), np.array([30.0, 10.0]), options)
    assert surer is not None
    assert surer.high < told.high
    assert iri_of(said, np.zeros(2, np.int64), np.ones(2), options) is None


def test_sections_are_kept_a_row_a_day_that_changed(database: str, city: City) -> None:
    section = road(city)
    zone = Zone(city.utm_zone, city.utm_north)
    at = datetime(2026, 10, 1, 4, tzinfo=UTC)
    first = city.service_day(at.timestamp())
    with psycopg.connect(database) as conn:
        assert kept.refresh_due(conn, city, at) == 0  # no network, no error
        grid_store.put_sections(conn, [section], first, "test", zone)
        assert kept.refresh_due(conn, city, at) == 1
        (row,) = kept.rows_on(conn, first).values()
        assert (row["colour"], row["grey_share"], row["grade"], row["pci_est"]) == ("grey", 1.0, None, None)
        fill(conn, city, section, first, at, red=False)
        assert kept.refresh_due(conn, city, at) == 1
        assert kept.refresh_due(conn, city, at) == 0
        (row,) = kept.rows_on(conn, first).values()
        assert (row["colour"], row["green_m2"], row["grade"], row["trend"]) == ("green", row["cells"], "A", None)
        assert row["iri"] == pytest.approx(2.5, abs=0.01)
        assert row["last_pass_day"] == first.isoformat()
        later = at + timedelta(days=30)
        hole = fill(conn, city, section, city.service_day(later.timestamp()), later, red=True)
        store.put_case(conn, Case(None, BY_KEY["pothole"].number, (hole,)), later)
        assert kept.refresh_due(conn, city, later) == 1
        past = kept.history(conn, section.number, 10)
        assert [r["colour"] for r in past] == ["green", "red"]
        assert (past[1]["trend"], past[1]["cases"], past[1]["red_m2"]) == ("worse", 1, 1)
        assert past[1]["pci_low"] <= past[1]["pci_est"] <= past[1]["pci_high"]


def test_strips_share_out_a_sections_squares(database: str, city: City) -> None:
    section = road(city)
    zone = Zone(city.utm_zone, city.utm_north)
    at = datetime(2026, 10, 1, 4, tzinfo=UTC)
    day = city.service_day(at.timestamp())
    with psycopg.connect(database) as conn:
        grid_store.put_sections(conn, [section], day, "test", zone)
        fill(conn, city, section, day, at, red=True)
        told = kept.strips(conn, section, zone, day)
    assert len(told) == 20
    assert sum(int(str(said["red_m2"])) for _, said in told) == 1
    assert sum(said["colour"] == "red" for _, said in told) == 1
    assert {said["lane"] for _, said in told} == {1, 2}
    assert sum(len(strip.cells) for strip, _ in told) == len(section_cells(section, zone))
