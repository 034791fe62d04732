"""The door's checks, each at the values on both sides of its edge."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ingest import ORIGINS, Quiet, Reason, Refused, Trimmed, admit, read_city

from .chunks import START_S, TRIP, box_chunk, fixes_at

TEXT = (Path(__file__).parents[2] / "city.toml").read_text()
CITY = read_city(TEXT)
NOW_S = START_S + 60


def verdict(chunk, kind="box", city=CITY, now_s=NOW_S):
    """The reason, or None for a chunk that is taken."""
    try:
        admit(chunk, kind, city, now_s)
    except Refused as refusal:
        return refusal.reason
    return None


def test_a_good_chunk_is_taken():
    assert verdict(box_chunk()) is None
    assert verdict(box_chunk(rate_hz=100.0), "phone") is None


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("taken", ['["live"]', '["replay"]', '["simulated", "replay"]'])
def test_only_the_origins_of_the_city(origin, taken):
    city = read_city(TEXT.replace('["simulated", "replay"]', taken))
    expected = None if origin in taken else Reason.ORIGIN_NOT_TAKEN
    assert verdict(box_chunk(origin=origin), city=city) is expected


@pytest.mark.parametrize(
    ("now_s", "reason"),
    [
        (START_S + 5 - 120, None),
        (START_S + 5 - 120.5, Reason.CLOCK),
        (START_S + 48 * 3600, None),
        (START_S + 48 * 3600 + 0.5, Reason.TOO_LATE),
        (0.0, Reason.CLOCK),
        (START_S + 10 * 365 * 86_400, Reason.TOO_LATE),
    ],
)
def test_not_too_old_and_not_from_the_future(now_s, reason):
    assert verdict(box_chunk(), now_s=now_s) is reason


@pytest.mark.parametrize(
    ("clock", "day", "reason"),
    [
        ((2026, 3, 1, 19, 59, 59), "20260301", None),  # 03:59:59 in Hangzhou
        ((2026, 3, 1, 19, 59, 59), "20260302", Reason.BAD_TRIP),
        ((2026, 3, 1, 20, 0, 0), "20260302", None),  # 04:00
        ((2026, 3, 1, 20, 0, 0), "20260301", Reason.BAD_TRIP),
        ((2026, 3, 1, 23, 59, 59), "20260302", None),  # 07:59:59, before midnight of UTC
        ((2026, 3, 1, 23, 59, 59), "20260301", Reason.BAD_TRIP),
    ],
)
def test_the_trip_names_the_service_day_of_the_start(clock, day, reason):
    shift_s = datetime(*clock, tzinfo=UTC).timestamp() - START_S
    chunk = box_chunk(
        trip=f"{day}{TRIP[8:]}", start_s=START_S + shift_s, end_s=START_S + 5 + shift_s, t0_s=START_S - 2 + shift_s,
        fixes=fixes_at(START_S + shift_s + np.arange(-2.0, 8.0)),
    )  # fmt: skip
    assert verdict(chunk, now_s=NOW_S + shift_s) is reason


@pytest.mark.parametrize("datum", ["wgs84", "cgcs2000", "gcj02", "bd09"])
def test_known_datums_are_taken(datum):
    assert verdict(box_chunk(datum=datum)) is None


def test_an_unknown_datum_is_refused():
    assert verdict(box_chunk(datum="unknown")) is Reason.UNKNOWN_DATUM


@pytest.mark.parametrize(
    ("kind", "rate_hz", "reason"),
    [
        ("box", 99.0, None),
        ("box", 98.9, Reason.RATE_TOO_LOW),
        ("phone", 39.6, None),
        ("phone", 39.5, Reason.RATE_TOO_LOW),
        ("phone", 60.0, None),
        ("box", 60.0, Reason.RATE_TOO_LOW),
    ],
)
def test_slow_samples_say_nothing(kind, rate_hz, reason):
    n = int(9 * rate_hz) + 1
    assert verdict(box_chunk(rate_hz=rate_hz, acc_counts=np.zeros((n, 3), dtype=np.int16)), kind) is reason


@pytest.mark.parametrize(
    ("trimmed", "reason"),
    [
        (Trimmed(200, 60), None),
        (Trimmed(500, 300), None),
        (Trimmed(199.9, 60), Reason.NOT_TRIMMED),
        (Trimmed(200, 59.9), Reason.NOT_TRIMMED),
        (None, Reason.NOT_TRIMMED),
    ],
)
def test_a_phone_says_that_the_ends_of_its_trip_stay_with_it(trimmed, reason):
    assert verdict(box_chunk(trimmed=trimmed), "phone") is reason
    assert verdict(box_chunk(trimmed=trimmed)) is None


def summary(rows=6, t0_s=START_S, step_s=1.0):
    bands = np.array([1.5, 3], dtype=np.float32)
    quiet = Quiet(step_s, 1 / 1024, bands, np.zeros((rows, 2), dtype=np.int16), np.zeros(rows, dtype=np.int16))
    return box_chunk(t0_s=t0_s, acc_counts=np.zeros((0, 3), dtype=np.int16), acc_scale_mps2=0.0, quiet=quiet)


@pytest.mark.parametrize(
    ("chunk", "kind", "reason"),
    [
        (summary(), "box", None),
        (summary(), "phone", Reason.SUMMARY_NOT_TAKEN),
        (summary(t0_s=START_S + 1.5, rows=2), "box", None),
        (summary(t0_s=START_S + 1.6, rows=2), "box", Reason.NOT_COVERED),
        (summary(rows=3), "box", Reason.NOT_COVERED),
        (summary(rows=66), "box", Reason.NOT_COVERED),
    ],
)
def test_a_summary_is_of_a_box_and_covers_what_it_owns(chunk, kind, reason):
    assert verdict(chunk, kind) is reason


@pytest.mark.parametrize(
    ("t0_s", "n", "reason"),
    [
        (START_S - 2, 900, None),
        (START_S + 1.5, 350, None),
        (START_S + 1.51, 349, Reason.NOT_COVERED),
        (START_S, 350, None),  # to 1.5 s before the end
        (START_S, 349, Reason.NOT_COVERED),
        (START_S - 2, 6_500, None),
        (START_S - 2, 6_501, Reason.NOT_COVERED),  # over a minute of context
        (START_S + 100, 900, Reason.NOT_COVERED),
        (START_S - 100, 900, Reason.NOT_COVERED),
    ],
)
def test_samples_cover_what_the_chunk_owns(t0_s, n, reason):
    assert verdict(box_chunk(t0_s=t0_s, acc_counts=np.zeros((n, 3), dtype=np.int16))) is reason


@pytest.mark.parametrize(
    ("first_s", "last_s", "reason"),
    [
        (-2, 7, None),
        (1.5, 3.5, None),
        (1.51, 5, Reason.NOT_COVERED),
        (0, 3.49, Reason.NOT_COVERED),
        (-9, -1, Reason.NOT_COVERED),
        (6, 9, Reason.NOT_COVERED),
    ],
)
def test_fixes_cover_what_the_chunk_owns(first_s, last_s, reason):
    assert verdict(box_chunk(fixes=fixes_at(START_S + np.array([first_s, last_s])))) is reason


@pytest.mark.parametrize(
    ("lon", "reason"),
    [
        (118.61, None),
        (118.59, Reason.OUTSIDE_CITY),
        (127.39, None),
        (127.41, Reason.OUTSIDE_CITY),
        (-60.0, Reason.OUTSIDE_CITY),
        (19.0, Reason.OUTSIDE_CITY),
    ],
)
def test_no_farther_from_the_meridian_than_squares_stay_square(lon, reason):
    """Zone 51, meridian 123, reach 4.4 degrees; one fix outside is enough."""
    fixes = fixes_at(START_S + np.arange(-2.0, 8.0))
    one = fixes.lon_deg.copy()
    one[3] = lon
    assert verdict(box_chunk(fixes=replace(fixes, lon_deg=one))) is reason


@pytest.mark.parametrize("lats", [(-0.01, 30.0), (-30.0, -30.1), (30.0, -0.01)])
def test_the_other_hemisphere_is_refused(lats):
    fixes = replace(fixes_at(START_S + np.array([0.0, 5.0])), lat_deg=np.array(lats))
    assert verdict(box_chunk(fixes=fixes)) is Reason.OUTSIDE_CITY


@pytest.mark.parametrize(("lats", "reason"), [((-30, -30.1), None), ((30, 30.1), Reason.OUTSIDE_CITY)])
def test_a_southern_city(lats, reason):
    city = read_city(TEXT.replace('utm_hemisphere = "north"', 'utm_hemisphere = "south"'))
    fixes = replace(fixes_at(START_S + np.array([0.0, 5.0])), lat_deg=np.array(lats, dtype=np.float64))
    assert verdict(box_chunk(fixes=fixes), city=city) is reason


def test_a_southern_city_refuses_a_track_that_reaches_the_north():
    city = read_city(TEXT.replace('utm_hemisphere = "north"', 'utm_hemisphere = "south"'))
    fixes = replace(fixes_at(START_S + np.array([0.0, 5.0])), lat_deg=np.array([-30.0, 50.0]))
    assert verdict(box_chunk(fixes=fixes), city=city) is Reason.OUTSIDE_CITY
