"""The city file: service days by the local clock, and an error that names the entry that is wrong."""

import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import CityFileError, read_city

TEXT = (Path(__file__).parents[2] / "city.toml").read_text()
SOME = settings(max_examples=80, deadline=None)


def with_entry(name, value):
    """The example city's text with one entry changed, or left out where value is None."""
    text, n = re.subn(rf"(?m)^{name} = .*\n", "" if value is None else f"{name} = {value}\n", TEXT)
    assert n == 1
    return text


def in_zone(zone, day_start="04:00:00"):
    return read_city(with_entry("time_zone", f'"{zone}"').replace("day_start = 04:00:00", f"day_start = {day_start}"))


def local_s(city, *clock, fold=0):
    return datetime(*clock, tzinfo=city.zone, fold=fold).timestamp()


def test_the_example_city():
    city = read_city(TEXT)
    assert city.service_day(0) == date(1970, 1, 1)
    assert (city.utm_zone, city.utm_north, city.frame) == (51, True, "CGCS2000")
    assert city.origins == ("simulated", "replay")
    assert city.banner == "SIMULATED + REPLAY"
    assert city.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert read_city(with_entry("origins", '["live"]')).banner == ""


@pytest.mark.parametrize(
    ("clock", "day"),
    [
        ((2026, 3, 2, 0, 0), date(2026, 3, 1)),  # midnight
        ((2026, 3, 2, 3, 59, 59), date(2026, 3, 1)),
        ((2026, 3, 2, 4, 0), date(2026, 3, 2)),
        ((2026, 3, 2, 7, 59, 59), date(2026, 3, 2)),  # still the UTC day before
        ((2026, 3, 2, 8, 0), date(2026, 3, 2)),
        ((2026, 3, 2, 23, 59, 59), date(2026, 3, 2)),
        ((2026, 1, 1, 3, 59), date(2025, 12, 31)),
        ((2028, 3, 1, 3, 59), date(2028, 2, 29)),
    ],
)
def test_the_service_day_begins_at_four(clock, day):
    city = read_city(TEXT)
    assert city.service_day(local_s(city, *clock)) == day


def test_the_last_moment_before_four_is_yesterday():
    city = read_city(TEXT)
    four_s = local_s(city, 2026, 3, 2, 4)
    assert city.service_day(four_s - 1e-3) == date(2026, 3, 1)
    assert city.day_bounds_s(date(2026, 3, 1)) == (four_s - 86_400, four_s)


def test_a_day_that_begins_at_midnight():
    city = in_zone("Asia/Shanghai", "00:00:00")
    assert city.service_day(local_s(city, 2026, 3, 2)) == date(2026, 3, 2)
    assert city.service_day(local_s(city, 2026, 3, 2) - 1e-3) == date(2026, 3, 1)


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 28), 23), ((2026, 10, 24), 25), ((2026, 7, 1), 24)])
def test_summer_time_makes_a_day_shorter_or_longer(day, hours):
    """Berlin's clock changes in the night of the 29th of March and the 25th of October, before 04:00."""
    city = in_zone("Europe/Berlin")
    first_s, next_s = city.day_bounds_s(date(*day))
    assert (next_s - first_s) / 3600 == hours
    assert city.service_day(first_s) == city.service_day(next_s - 1e-3) == date(*day)
    assert city.service_day(next_s) == date(*day) + timedelta(days=1)


def test_the_hour_that_comes_twice_is_yesterday_both_times():
    city = in_zone("Europe/Berlin")
    for fold in (0, 1):
        assert city.service_day(local_s(city, 2026, 10, 25, 2, 30, fold=fold)) == date(2026, 10, 24)


@SOME
@given(
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.floats(0, 4_102_444_800),
)
def test_every_moment_lies_within_its_day(zone, t_s):
    city = in_zone(zone)
    first_s, next_s = city.day_bounds_s(city.service_day(t_s))
    assert first_s - 1e-6 <= t_s < next_s + 1e-6  # datetime knows microseconds


def test_a_day_start_with_seconds_means_the_same_to_both():
    city = in_zone("Asia/Shanghai", "04:00:30")
    first_s, _ = city.day_bounds_s(date(2026, 3, 2))
    assert city.service_day(first_s - 10) == date(2026, 3, 1)


@pytest.mark.parametrize("name", re.findall(r"(?m)^(\w+) = ", TEXT))
def test_a_missing_entry_is_named(name):
    if name == "languages":
        assert read_city(with_entry(name, None)).languages == ("zh", "en")
        return
    with pytest.raises(CityFileError, match=rf"\b{name}\b"):
        read_city(with_entry(name, None))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("origins", "[]"),
        ("origins", '["guessed"]'),
        ("origins", '["live", "replay"]'),
        ("origins", '"live"'),
        ("origins", "5"),
        ("time_zone", '"Asia/Atlantis"'),
        ("time_zone", '"../etc/passwd"'),
        ("time_zone", '"Asia"'),
        ("time_zone", "8"),
        ("day_start", "4"),
        ("day_start", '"04:00"'),
        ("utm_zone", "0"),
        ("utm_zone", "61"),
        ("utm_zone", "51.0"),
        ("utm_zone", "true"),
        ("utm_hemisphere", '"N"'),
        ("region_code_from", '"2021"'),
        ("centre", "[120.0]"),
        ("centre", "120.0"),
        ("centre", '["east", "north"]'),
        ("centre", "[200.0, 30.0]"),
        ("centre", "[120.0, 85.0]"),
        ("centre", "[nan, 30.0]"),
        ("frame_epoch", '"long ago"'),
        ("languages", "5"),
    ],
)
def test_a_wrong_entry_is_named(name, value):
    with pytest.raises(CityFileError) as error:
        read_city(with_entry(name, value))
    assert name in str(error.value)


def test_an_unknown_entry_is_named():
    with pytest.raises(CityFileError, match="day_begin"):
        read_city(TEXT.replace("day_start", "day_begin"))


def test_a_text_that_is_not_toml():
    with pytest.raises(CityFileError, match="TOML"):
        read_city("name = ")


RING = "[[120.1, 30.2], [120.2, 30.2], [120.2, 30.3], [120.1, 30.2]]"


def test_a_no_go_area():
    city = read_city(f'{TEXT}\n[[no_go]]\nname = "yard"\nring = {RING}\n')
    assert [(area.name, len(area.ring_deg), area.ring_deg[0]) for area in city.no_go] == [("yard", 4, (120.1, 30.2))]


@pytest.mark.parametrize(
    "area",
    [
        'name = "open"\nring = [[120.1, 30.2], [120.2, 30.2], [120.2, 30.3], [120.1, 30.3]]',
        'name = "line"\nring = [[120.1, 30.2], [120.2, 30.2], [120.1, 30.2]]',
        'name = "words"\nring = [["a", "b"], [120.2, 30.2], [120.2, 30.3], ["a", "b"]]',
        'name = "triples"\nring = [[1, 2, 3], [120.2, 30.2], [120.2, 30.3], [1, 2, 3]]',
        'name = "without"',
        f"ring = {RING}",
    ],
)
def test_a_wrong_no_go_area_is_named(area):
    with pytest.raises(CityFileError, match="no_go"):
        read_city(f"{TEXT}\n[[no_go]]\n{area}\n")


def test_the_zone_is_of_the_iana_database():
    assert read_city(TEXT).zone == ZoneInfo("Asia/Shanghai")
    assert datetime.fromtimestamp(0, UTC).astimezone(read_city(TEXT).zone).hour == 8
