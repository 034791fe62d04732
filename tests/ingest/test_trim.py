"""What a phone holds back: the ends of its trips stay on it, in every field, and their length does not show."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from ingest import (
    NoGo,
    Reason,
    Refused,
    Trimmed,
    Trimmer,
    TrimOptions,
    admit,
    decode,
    encode,
    gcj02_from_wgs84,
    trim,
)
from ingest.trim import without_before

from .chunks import START_S, box_chunk, fixes_at

LAT, LON = 30.2790, 120.1655
EAST_M = 111_320.0 * np.cos(np.radians(LAT))


def ride(place, seconds, *, accuracy=4.0, owned_s=5.0):
    """Chunks of a phone whose position is place(t) = (east, north) in metres at t seconds; a fix a second, 50 Hz."""
    made = []
    for seq in range(int(seconds / owned_s)):
        start_s = START_S + seq * owned_s
        t = start_s + np.arange(-2.0, owned_s + 3)
        t = t[(t >= START_S) & (t <= START_S + seconds)]
        east, north = np.array([place(x - START_S) for x in t]).T
        fixes = replace(fixes_at(t, accuracy=accuracy), lat_deg=LAT + north / 111_320.0, lon_deg=LON + east / EAST_M)
        t0_s = max(start_s - 2, START_S)
        n = int((min(start_s + owned_s + 2, START_S + seconds) - t0_s) * 50)
        made.append(
            box_chunk(
                seq=seq, start_s=start_s, end_s=start_s + owned_s, t0_s=t0_s, rate_hz=50.0, fixes=fixes, trimmed=None,
                acc_counts=np.full((n, 3), seq, dtype=np.int16), carrier="car",
            )
        )  # fmt: skip
    return made


def straight_on(speed_mps):
    return lambda t: (t * speed_mps, 0.0)


def sent(chunks, city, *, ids=None, **more):
    ids = ids or (f"{n:016x}" for n in itertools.count(1))
    return list(trim(chunks, Trimmer(city.service_day, lambda _: next(ids), **more)))


def metres(chunk):
    """How far east the fixes of a chunk lie."""
    return (chunk.fixes.lon_deg - LON) * EAST_M


@pytest.mark.parametrize("speed_mps", [2.0, 8.0, 25.0])
def test_both_ends_of_a_trip_are_never_sent(city, speed_mps):
    seconds = 600
    out = sent(ride(straight_on(speed_mps), seconds), city)
    assert out
    for chunk in out:
        first_s, last_s = chunk.t0_s - START_S, chunk.measured_until_s - START_S
        for t_s in (first_s, chunk.fixes.t_s[0] - START_S):
            assert t_s >= 60
            assert t_s * speed_mps >= 200 - 1e-6
        for t_s in (last_s, chunk.fixes.t_s[-1] - START_S):
            assert seconds - t_s >= 60
            assert (seconds - t_s) * speed_mps >= 200 - 1e-6
    # And not much more: what is left is the trip less its ends, a chunk, a place and a radius on each side.
    owned_s = sum(c.end_s - c.start_s for c in out)
    assert owned_s >= seconds - 2 * max(60, 200 / speed_mps) - 2 * (15 + 5 + 15 / speed_mps)


def test_what_is_sent_is_whole_numbered_from_0_and_taken_at_the_door(city):
    rode = ride(straight_on(10.0), 300)
    out = sent(rode, city)
    assert [c.seq for c in out] == list(range(len(out)))
    assert {c.trimmed for c in out} == {Trimmed(200.0, 60.0)}
    assert {c.trip for c in out} == {"20260302-0000000000000001"}
    by_start = {c.start_s: c for c in rode}
    for chunk in out:
        admit(decode(encode(chunk)), "phone", city, START_S + 400)
        was = by_start[chunk.start_s]
        assert chunk.end_s == was.end_s
        assert (chunk.acc_counts == was.seq).all()
    for chunk in out[1:]:
        assert np.array_equal(chunk.acc_counts, by_start[chunk.start_s].acc_counts)


@pytest.mark.parametrize(
    "place",
    [
        straight_on(0.0),
        lambda t: (6 * np.sin(t), 6 * np.cos(1.7 * t)),  # a parked phone whose positions wander
        lambda t: (90 * np.sin(t / 12), 90 * (1 - np.cos(t / 12))),  # round and round the block
        straight_on(0.4),  # walks 120 m
    ],
)
def test_a_phone_that_stays_at_home_sends_nothing(city, place):
    assert sent(ride(place, 300), city) == []


def test_a_false_fix_opens_no_trip(city):
    """One fix lies kilometres away, or the first ones do: at home it is all the same."""
    far = lambda t: (3000.0, 0.0) if t == 100 else (0.0, 0.0)  # noqa: E731
    assert sent(ride(far, 290), city) == []
    cold = lambda t: (400.0, 0.0) if t < 6 else (0.0, 0.0)  # noqa: E731
    assert sent(ride(cold, 290), city) == []
    assert sent(ride(straight_on(10.0), 290, accuracy=60.0), city) == []


def test_a_false_fix_while_parked_gives_no_way_away(city):
    """Parked four minutes at 3 km, and once the receiver errs by a kilometre: the last 200 m stay on the phone."""
    out = sent(ride(lambda t: (4000.0 if t == 400 else min(t * 10.0, 3000.0), 0.0), 540), city)
    assert max(metres(c).max() for c in out) <= 2800


def test_a_receiver_that_errs_when_it_is_switched_on_gives_no_way_away(city):
    """Seconds of false fixes 400 m off, then a hundred seconds at home, then a drive."""
    out = sent(ride(lambda t: (0.0, 400.0) if t < 6 else (max(0.0, t - 100) * 10, 0.0), 500), city)
    assert min(metres(c).min() for c in out) >= 600  # 60 s at 10 m/s
    assert min(c.t0_s for c in out) - START_S >= 160


def test_a_long_stop_ends_the_trip_and_another_begins(city):
    """Three minutes of driving, parked for ten, on again: the place of the stop shows no more than a trip's end."""

    def place(t):
        return (t * 10 if t < 180 else 1800.0 if t < 780 else 1800 + (t - 780) * 10), 0.0

    out = sent(ride(place, 1000), city)
    assert len({c.trip for c in out}) == 2
    for trip in {c.trip for c in out}:
        mine = [c for c in out if c.trip == trip]
        assert [c.seq for c in mine] == list(range(len(mine)))
    assert min(np.abs(metres(c) - 1800).min() for c in out) >= 200
    times = np.concatenate([c.fixes.t_s for c in out]) - START_S
    assert not ((times > 180 - 60) & (times < 780)).any()


def test_time_at_home_before_leaving_does_not_count(city):
    """Switched on four minutes before it drives off, at 25 m/s: 60 s of driving are held back, not 200 m alone."""
    out = sent(ride(lambda t: (max(0.0, t - 240) * 25, 0.0), 600), city)
    assert min(c.t0_s for c in out) - START_S >= 300


def test_a_short_stop_does_not(city):
    place = lambda t: (t * 10 if t < 180 else 1800.0 if t < 400 else 1800 + (t - 400) * 10, 0.0)  # noqa: E731
    out = sent(ride(place, 600), city)
    assert len({c.trip for c in out}) == 1
    assert any(np.abs(metres(c) - 1800).min() < 1 for c in out)


def test_a_gap_in_the_recording_ends_the_trip(city):
    rode = [c for c in ride(straight_on(10.0), 1200) if not 300 <= c.start_s - START_S < 700]
    out = sent(rode, city)
    assert len({c.trip for c in out}) == 2
    ends = [c.end_s - START_S for c in out if c.end_s - START_S < 400]
    assert max(ends) <= 240
    assert min(c.start_s - START_S for c in out if c.start_s - START_S > 400) >= 760


def test_the_number_does_not_tell_how_much_was_cut(city):
    short, long = (sent(ride(straight_on(v), 600), city)[0] for v in (25.0, 1.5))
    assert short.start_s < long.start_s
    assert (short.seq, short.trimmed) == (long.seq, long.trimmed) == (0, Trimmed(200.0, 60.0))


def test_a_new_day_is_a_new_trip(city):
    four_s = city.day_bounds_s(city.service_day(START_S))[1]
    shift_s = four_s - START_S - 300
    moved = [
        replace(
            c, start_s=c.start_s + shift_s, end_s=c.end_s + shift_s, t0_s=c.t0_s + shift_s,
            fixes=replace(c.fixes, t_s=c.fixes.t_s + shift_s),
        )
        for c in ride(straight_on(10.0), 600)
    ]  # fmt: skip
    out = sent(moved, city)
    before, after = [c for c in out if c.start_s < four_s], [c for c in out if c.start_s >= four_s]
    assert ({c.trip[:8] for c in before}, {c.trip[:8] for c in after}) == ({"20260302"}, {"20260303"})
    assert len({c.trip for c in out}) == 2
    assert [c.seq for c in after] == list(range(len(after)))
    for c in out:
        admit(c, "phone", city, four_s + 600)


def test_areas_where_nothing_is_measured_are_dropped_on_the_phone_and_leave_no_gap_in_the_numbers(city):
    def redact(chunk):
        if (np.abs(metres(chunk) - 1500) < 100).any():
            raise Refused(Reason.NO_GO, "the ministry")
        return chunk

    out = sent(ride(straight_on(10.0), 400), city, redact=redact)
    assert [c.seq for c in out] == list(range(len(out)))
    assert all((np.abs(metres(c) - 1500) >= 100).all() for c in out)
    assert {np.sign(metres(c)[0] - 1500) for c in out} == {-1, 1}


def test_a_city_has_its_no_go_areas_left_out_on_the_phone(city):
    """Half a street that no phone may tell of: a square of 200 m across it."""
    west, east = (LON + m / EAST_M for m in (1400.0, 1600.0))
    south, north = LAT - 1e-3, LAT + 1e-3
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    closed = replace(city, no_go=(NoGo("ministry", ring),))
    ids = (f"{n:016x}" for n in itertools.count())
    out = list(trim(ride(straight_on(10.0), 400), Trimmer.of_city(closed, lambda _: next(ids))))
    assert [c.seq for c in out] == list(range(len(out)))
    assert all((np.abs(metres(c) - 1500) > 99).all() for c in out)
    assert {bool(metres(c)[0] > 1500) for c in out} == {True, False}
    for c in out:
        admit(c, "phone", closed, START_S + 500)


def test_less_may_be_asked_for_and_is_declared(city):
    out = sent(ride(straight_on(10.0), 200), city, options=TrimOptions(distance_m=50.0, duration_s=10.0))
    assert out[0].trimmed == Trimmed(50.0, 10.0)
    with pytest.raises(Refused) as refusal:
        admit(out[0], "phone", city, START_S + 400)
    assert refusal.value.reason is Reason.NOT_TRIMMED


def apart_m(chunks, east_m, north_m=0.0):
    """The nearest that any fix of the chunks comes to a place."""
    return min(
        np.hypot(metres(c) - east_m, (c.fixes.lat_deg - LAT) * 111_320 - north_m).min() for c in chunks
    )  # fmt: skip


@pytest.mark.parametrize("stands_s", [0, 200])
def test_who_circles_the_block_for_a_place_to_park_tells_nothing_of_the_door(city, stands_s):
    """3 km at 8 m/s past the door, then three rounds of 60 x 40 m at 4 m/s: the rounds are more than 200 m driven."""

    def place(t):
        s = min((t - 375) * 4.0, 600.0) % 200
        if t < 375:
            return t * 8.0, 0.0
        if s < 100:
            return 3000 + min(s, 60.0), -max(0.0, s - 60)
        return (3160 - s, -40.0) if s < 160 else (3000.0, s - 200)

    out = sent(ride(place, 525 + stands_s), city)
    assert len(out) > 40
    assert apart_m(out, 3000.0) >= 200


def test_a_trip_that_comes_home_tells_nothing_of_where_it_began(city):
    """Two kilometres away and back past its own door, a kilometre on, and back again."""
    turns = np.cumsum([0.0, 250, 375, 250])
    east = lambda t: float(np.interp(t, turns, [0.0, 2000.0, -1000.0, 1000.0]))  # noqa: E731
    out = sent(ride(lambda t: (east(t), 0.0), 875), city)
    assert apart_m(out, 0.0) >= 200
    assert {np.sign(metres(c)[0]) for c in out} == {-1, 1}


def test_another_trip_tells_nothing_of_where_the_one_before_began(city):
    """To the shop, ten minutes there, and home, past the door and back."""
    turns = np.cumsum([0.0, 250, 600, 375, 125])
    east = lambda t: float(np.interp(t, turns, [0.0, 2000.0, 2000.0, -1000.0, 0.0]))  # noqa: E731
    out = sent(ride(lambda t: (east(t), 0.0), 1350), city)
    assert len({c.trip for c in out}) == 2
    assert min(apart_m(out, 0.0), apart_m(out, 2000.0)) >= 200


def received(chunks, keep, east_m, radius_m):
    """What a receiver makes of a ride that errs while it wakes: fixes where keep(t), at other places and radii."""
    out = []
    for c in chunks:
        f, t = c.fixes, c.fixes.t_s - START_S
        lon = np.where(np.isnan(wrong := np.array([east_m(x) for x in t])), f.lon_deg, LON + wrong / EAST_M)
        radius = np.array([radius_m(x) for x in t], dtype=np.float32)
        at = np.array([keep(x) for x in t])
        if not at.any():
            continue
        columns = {n: getattr(f, n)[at] for n in ("t_s", "lat_deg", "speed_mps", "course_deg")}
        out.append(replace(c, fixes=replace(f, **columns, lon_deg=lon[at], accuracy_m=radius[at])))
    return out


@pytest.mark.parametrize("false_s", [1, 8])
@pytest.mark.parametrize("radius_m", [4.0, 40.0])
def test_false_places_before_a_gap_give_no_way_away(city, false_s, radius_m):
    """250 m off, then nothing for six seconds, then at the door for a hundred: that was no drive away from it."""
    rode = ride(lambda t: (max(0.0, t - 100) * 8.0, 0.0), 500)
    woke = received(
        rode, lambda t: not false_s - 0.5 < t < false_s + 5.5, lambda t: -250.0 if t < false_s else np.nan,
        lambda t: radius_m if t < false_s else 4.0,
    )  # fmt: skip
    out = sent(woke, city)
    assert len(out) > 20
    assert apart_m(out, 0.0) >= 200


def test_places_of_large_radius_that_close_in_are_no_drive(city):
    """From 300 m off to the door in 20 s, while the radius says that nothing is known: it counts from the last one."""
    rode = ride(lambda t: (max(0.0, t - 50) * 8.0, 0.0), 500)
    woke = received(
        rode, lambda _: True, lambda t: -300 + 15.0 * t if t < 20 else np.nan, lambda t: 30.0 if t < 20 else 4.0
    )
    out = sent(woke, city)
    assert apart_m(out, 0.0) >= 200


def test_false_fixes_in_a_garage_do_not_release_what_lies_before_its_door(city):
    """Parked at 3 km; nothing for 20 s, then one place 400 m off, then again the door."""
    rode = ride(lambda t: (min(t * 10.0, 3000.0), 0.0), 480)
    woke = received(rode, lambda t: not 360 < t < 380, lambda t: 3400.0 if 380 <= t < 383 else np.nan, lambda _: 10.0)
    assert max(metres(c).max() for c in sent(woke, city)) <= 2800


def test_the_places_that_are_kept_are_bounded(city):
    """A receiver that never knows where it is, for 20 km: nothing is sent, and little is remembered."""
    lost = Trimmer(city.service_day, lambda _: "0" * 16)
    rode = ride(straight_on(20.0), 1000, accuracy=30.0)
    assert [c for chunk in rode for c in lost.push(chunk)] == []
    assert len(lost._secret) <= TrimOptions().places


def test_what_is_held_is_bounded(city):
    """Four metres a minute for hours: never standing, never away."""
    creeping = Trimmer(city.service_day, lambda _: "0" * 16)
    most = 0
    for chunk in ride(lambda t: (t * 10 if t < 300 else 3000 + (t - 300) * 0.08, 0.0), 4000):
        creeping.push(chunk)
        most = max(most, len(creeping._held))
    assert most <= 1800 / 5 + 2


def test_no_field_reaches_into_what_was_cut():
    chunk = box_chunk()
    assert without_before(chunk, START_S - 10) is not None
    cut = without_before(chunk, START_S - 0.7)
    assert cut.t0_s >= START_S - 0.7
    assert cut.t0_s == pytest.approx(START_S - 0.7, abs=0.0101)
    assert cut.fixes.t_s[0] == START_S
    assert cut.measured_until_s == pytest.approx(chunk.measured_until_s, abs=0.0101)


def test_distances_hold_in_an_offset_datum_as_well(city):
    """GCJ-02 is off by hundreds of metres, but evenly: what is a street long stays a street long."""
    rode = ride(straight_on(10.0), 300)
    lon, lat = gcj02_from_wgs84(rode[0].fixes.lon_deg, rode[0].fixes.lat_deg)
    assert np.hypot((lon - rode[0].fixes.lon_deg) * EAST_M, (lat - rode[0].fixes.lat_deg) * 111_320).max() > 100
    there = []
    for c in rode:
        lon, lat = gcj02_from_wgs84(c.fixes.lon_deg, c.fixes.lat_deg)
        there.append(replace(c, datum="gcj02", fixes=replace(c.fixes, lon_deg=lon, lat_deg=lat)))
    assert [c.start_s for c in sent(there, city)] == [c.start_s for c in sent(rode, city)]
