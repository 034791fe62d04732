"""Defects that appear, grow, are repaired and come back; and a city that is the same whoever looks, and when."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ingest import City, read_city
from sensors_sim.life import CONED, DAY_S, Life, LifeOptions, Spot, Weather
from sensors_sim.network import Network, generated

FIRST_S = 1_772_400_000.0  # 2026-03-01
DENSE = LifeOptions(density=6.0)
HOLES = LifeOptions(a_year={"pothole": 25.0}, every_m={})


@pytest.fixture(scope="module")
def city() -> City:
    return read_city((Path(__file__).parents[2] / "city.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def network(city: City) -> Network:
    return generated(city.centre_deg, 1, 4)


@pytest.fixture(scope="module")
def life(network: Network, city: City) -> Life:
    return Life(network, city, 1, FIRST_S, FIRST_S + 10 * DAY_S, DENSE)


def defects(spot: Spot) -> list[tuple[int, int]]:
    """(state, grade) of what is damage at a spot."""
    return [(i, t.grade) for i, t in enumerate(spot.things) if t is not None and not t.harmless]


def test_states_follow_each_other(life: Life) -> None:
    grown = 0
    for spot in life.all_spots:
        assert list(spot.t_s) == sorted(spot.t_s)
        assert len(spot.t_s) == len(spot.things) == len(spot.coned_s)
        here = {(t.s_m, t.y_m, t.seed) for t in spot.things if t is not None}
        assert len(here) == 1  # it stays where it is, with its own details
        assert here.pop()[2] == spot.number
        for a, b in pairwise(spot.things):
            if a is not None and b is not None and not a.harmless and not b.harmless:
                grown += 1
                assert b.kind == a.kind
                assert b.grade > a.grade
                assert b.length_m >= a.length_m
                assert abs(b.height_mm) >= abs(a.height_mm)
                assert a.height_mm * b.height_mm >= 0  # what was a hole is no hump
    assert grown > 100


def test_every_type_lives_and_covers_work_loose(life: Life) -> None:
    kinds = Counter(t.kind for spot in life.all_spots for t in spot.things if t is not None and not t.harmless)
    assert len(kinds) == 18
    loose = [s for s in life.all_spots if s.things[0] and s.things[0].kind == "sound_cover" and len(s.things) > 1]
    assert len(loose) > 15
    for spot in loose:
        assert spot.t_s[0] == -math.inf
        assert {t.kind for t in spot.things if t} == {"sound_cover", "defective_cover"}


def test_repairs_come_and_some_fail(life: Life) -> None:
    holes = [s for s in life.all_spots if s.things[0] and s.things[0].kind == "pothole"]
    over = [s for s in holes if s.t_s[-1] < FIRST_S]
    failed = [s for s in over if any(t and t.subtype == "failed_patch" for t in s.things[2:])]
    assert len(over) > 50
    assert 0.05 < len(failed) / len(over) < 0.35
    ended = [s.things[-1] for s in over]
    assert all(t is not None and t.kind == "good_patch" and t.harmless for t in ended)


def test_red_is_repaired_sooner_on_a_trunk_road(network: Network, city: City) -> None:
    life = Life(network, city, 2, FIRST_S, FIRST_S + DAY_S, HOLES)
    took: dict[str, list[float]] = {}
    for spot in life.all_spots:
        for i, grade in defects(spot):
            thing = spot.things[i]
            if grade == 2 and i + 1 < len(spot.t_s) and thing and thing.kind == "pothole":
                road = network.roads[next(lane for lane in network.lanes if lane.number == spot.lane).road]
                took.setdefault(road.road_class, []).append((spot.t_s[i + 1] - spot.t_s[i]) / DAY_S)
    assert float(np.median(took["trunk"])) == pytest.approx(4.0, rel=0.35)
    assert float(np.median(took["branch"])) == pytest.approx(12.0, rel=0.35)


def test_rain_and_frost_wear_the_road(network: Network, city: City) -> None:
    def appeared(options: LifeOptions) -> int:
        life = Life(network, city, 1, FIRST_S, FIRST_S + DAY_S, options)
        return sum(len(life.spots(lane)) for lane in network.lanes[:40])

    dry = appeared(replace(HOLES, rain=1.0, frost=1.0))
    assert appeared(replace(HOLES, rain=3.0, frost=1.0)) > 1.3 * dry
    assert appeared(replace(HOLES, rain=1.0, frost=6.0)) > 1.1 * dry


def test_only_holes_that_are_red_are_fenced_off(life: Life) -> None:
    coned = [(s.things[i], c - s.t_s[i]) for s in life.all_spots for i, c in enumerate(s.coned_s) if c < math.inf]
    assert len(coned) > 30
    assert all(t is not None and t.kind in CONED and t.grade == 2 for t, _ in coned)
    assert float(np.median([d for _, d in coned])) == pytest.approx(3 * DAY_S, rel=0.3)


def test_the_same_city_whenever_one_looks(network: Network, city: City, life: Life) -> None:
    later = Life(network, city, 1, FIRST_S + 3 * DAY_S, FIRST_S + 200 * DAY_S, DENSE)
    for lane in network.lanes[:25]:
        for day in (3.0, 9.5):
            assert life.stretch(lane, FIRST_S + day * DAY_S).things == later.stretch(lane, FIRST_S + day * DAY_S).things
    other = Life(network, city, 2, FIRST_S, FIRST_S + DAY_S, DENSE)
    lane = network.lanes[0]
    assert other.stretch(lane, FIRST_S).things != life.stretch(lane, FIRST_S).things


def test_a_stretch_changes_only_when_something_happens(network: Network, life: Life) -> None:
    lane = network.lanes[3]
    seen = [life.stretch(lane, FIRST_S + h * 3600.0) for h in range(240)]
    changes = sum(a is not b for a, b in pairwise(seen))
    moments = {t for s in life.spots(lane) for t in s.t_s if FIRST_S < t <= FIRST_S + 239 * 3600}
    assert changes <= len(moments)
    assert seen[0].length_m == lane.length_m
    for stretch in seen:
        places = [t.s_m for t in stretch.things]
        assert places == sorted(places)
        assert all(t.s_m > t.length_m / 2 and t.s_m + t.length_m / 2 < lane.length_m + 5 for t in stretch.things)


def test_density_zero_is_a_healthy_city(network: Network, city: City) -> None:
    life = Life(network, city, 1, FIRST_S, FIRST_S + DAY_S, LifeOptions(density=0.0))
    things = [t for lane in network.lanes for t in life.stretch(lane, FIRST_S).things]
    assert things
    assert all(t.harmless for t in things)
    covers = sum(t.kind == "sound_cover" for t in things)
    assert network.lane_km * 1000 / covers == pytest.approx(80, rel=0.2)


def test_nobody_lives_for_ever(network: Network, city: City) -> None:
    with pytest.raises(ValueError, match="720 days at most"):
        Life(network, city, 1, FIRST_S, FIRST_S + 700 * DAY_S)


def test_weather_has_its_seasons_and_hours(city: City) -> None:
    weather = Weather(city, 1, FIRST_S, FIRST_S + 365 * DAY_S)
    hours = [FIRST_S + h * 3600.0 for h in range(24 * 360)]
    wet = [weather.wet(t) for t in hours]
    assert 0.08 < np.mean(wet) < 0.3
    assert sum(a != b for a, b in pairwise(wet)) < 480  # it rains for hours, not by the minute
    later = Weather(city, 1, FIRST_S + 20 * DAY_S, FIRST_S + 60 * DAY_S)
    assert [later.wet(t) for t in hours[30 * 24 : 50 * 24]] == wet[30 * 24 : 50 * 24]
    noon, midnight = 1_772_424_000.0, 1_772_380_800.0  # 12:00 and 0:00 in Shanghai
    assert not weather.night(noon)
    assert weather.night(midnight)
    _, factor = weather.worn(LifeOptions(rain=1.0, frost=5.0))
    assert (factor[100:250] == 1.0).all()  # no frost from June to October
    assert 5.0 in factor[280:]
