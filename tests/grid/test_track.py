"""Where each sample was: between fixes, in curves, in gaps, and how sure that is."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from grid import Zone, locate, project, traces, unproject
from ingest import Chunk, Fixes, gcj02_from_wgs84, read_city

from ..roads import straight as street

CITY = read_city((Path(__file__).parents[2] / "city.toml").read_text())
HOME = Zone(CITY.utm_zone, CITY.utm_north)
START_S = 1_772_409_600.0
X0, Y0 = 228_000.0, 3_352_000.0
RADIUS_TO_SIGMA = 1 / 1.5096


def drive(path, fix_t=None, *, rate_hz=100.0, seconds=9.0, speed=None, accuracy=0.5, datum="cgcs2000"):
    """A chunk of a vehicle that is at path(t) metres from the corner, t in seconds from the first sample."""
    fix_t = np.arange(0.0, seconds + 0.5, 1.0) if fix_t is None else np.asarray(fix_t, dtype=np.float64)
    x, y = path(fix_t)
    lon, lat = unproject(X0 + x, Y0 + y, HOME)
    m = len(fix_t)
    column = np.broadcast_to(np.asarray(-1.0 if speed is None else speed, dtype=np.float32), m)
    return Chunk(
        trip="20260302-00c0ffee", seq=0, start_s=START_S + 2, end_s=START_S + seconds - 2, t0_s=START_S,
        rate_hz=rate_hz, carrier="bus", origin="simulated", datum=datum, acc_scale_mps2=1 / 256,
        acc_counts=np.zeros((int(seconds * rate_hz), 3), dtype=np.int16),
        fixes=Fixes(
            START_S + fix_t, lat, lon, np.broadcast_to(np.asarray(accuracy, dtype=np.float32), m), column,
            np.full(m, -1, dtype=np.float32),
        ),
    )  # fmt: skip


def straight(v, course_deg=90.0):
    way = np.radians(course_deg)
    return lambda t: (v * t * np.sin(way), v * t * np.cos(way))


def off_m(track, chunk, path):
    x, y = path(chunk.sample_t_s - START_S)
    return np.hypot(track.x_m - X0 - x, track.y_m - Y0 - y)


@pytest.mark.parametrize("course_deg", [0, 37, 90, 180, 271.5])
def test_a_straight_drive_is_followed_to_the_centimetre(course_deg):
    path = straight(14.0, course_deg)
    chunk = drive(path)
    track = locate(chunk, CITY)
    assert track.usable.all()
    assert off_m(track, chunk, path).max() < 0.01
    way = np.radians(course_deg)
    assert np.abs(track.u_x - np.sin(way)).max() < 1e-4
    assert np.abs(track.u_y - np.cos(way)).max() < 1e-4
    assert np.abs(track.speed_mps - 14.0).max() < 0.01


def test_fixes_that_are_not_on_the_second():
    path = straight(14.0)
    chunk = drive(path, fix_t=[0, 0.7, 1.9, 3.0, 3.2, 5.1, 6.0, 7.3, 8.1, 9.0])
    assert off_m(locate(chunk, CITY), chunk, path).max() < 0.01


def test_in_a_curve_the_chord_is_near_the_road():
    """A street corner of 15 m radius at 5 m/s: between 1 Hz fixes the chord is off by at most v²/8r, 0.21 m."""

    def path(t):
        return 15 * np.sin(t / 3), 15 * (1 - np.cos(t / 3))

    chunk = drive(path)
    track = locate(chunk, CITY)
    assert 0.15 < off_m(track, chunk, path).max() < 0.25
    t = chunk.sample_t_s - START_S
    turn = np.degrees(np.arccos(np.clip(track.u_x * np.cos(t / 3) + track.u_y * np.sin(t / 3), -1, 1)))
    assert turn.max() < 10.0
    assert np.abs(track.speed_mps - 5.0).max() < 0.05
    assert np.allclose(np.hypot(track.u_x, track.u_y), 1)


def test_stated_speed_is_laid_between_the_fixes():
    chunk = drive(straight(10.0), speed=np.arange(10.0) + 5)
    track = locate(chunk, CITY)
    assert np.abs(track.speed_mps - (chunk.sample_t_s - START_S + 5)).max() < 1e-4


def test_where_speed_is_unknown_it_is_distance_over_time():
    speed = np.full(10, 9.0)
    speed[4] = -1
    track = locate(drive(straight(10.0), speed=speed), CITY)
    assert track.speed_mps[:299] == pytest.approx(9.0, abs=1e-6)
    assert track.speed_mps[301:499] == pytest.approx(10.0, abs=0.01)  # both stretches that touch the fix
    assert track.speed_mps[501:] == pytest.approx(9.0, abs=1e-6)


def test_a_vehicle_that_stands_has_no_direction_and_no_speed():
    track = locate(drive(straight(0.0)), CITY)
    assert track.usable.all()
    assert track.speed_mps.max() < 0.01
    assert np.hypot(track.u_x, track.u_y).max() <= 1.0 + 1e-9
    assert np.isfinite(track.u_x).all()


def test_a_parked_phone_that_knows_no_speed_does_not_travel():
    """Its fixes wander by 4 m a second: between them that is a drive, over some seconds it is none."""
    rng = np.random.default_rng(3)
    wander = rng.normal(0, 3.0, (2, 10))
    chunk = drive(lambda t: wander[:, : len(t)], accuracy=5.0)
    track = locate(chunk, CITY)
    step = np.hypot(np.diff(wander[0]), np.diff(wander[1]))
    assert step.max() > 4.2  # faster than 15 km/h, from where on a pass counts
    assert track.speed_mps.max() == 0.0


@pytest.mark.parametrize(("gap_s", "usable"), [(3.0, True), (3.001, False), (5.0, False)])
def test_a_gap_between_fixes_has_no_positions(gap_s, usable):
    path = straight(10.0)
    chunk = drive(path, fix_t=[0, 1, 2, 2 + gap_s, 8, 9])
    track = locate(chunk, CITY)
    t = chunk.sample_t_s - START_S
    inside = (t > 2) & (t < 2 + gap_s)
    assert (track.usable[inside] == usable).all()
    assert track.usable[t < 2].all()


def test_before_the_first_and_after_the_last_fix_there_is_nothing():
    chunk = drive(straight(10.0), fix_t=[2, 3, 4, 5, 6, 7])
    track = locate(chunk, CITY)
    t = chunk.sample_t_s - START_S
    assert (track.usable == ((t >= 2 - 1e-6) & (t <= 7 + 1e-6))).all()


def test_one_fix_is_no_track():
    track = locate(drive(straight(10.0), fix_t=[4.0]), CITY)
    assert not track.usable.any()
    assert np.isfinite(track.x_m).all()


def test_one_fix_that_leaps_is_driven_past():
    """One fix is 200 m off: it is dropped, and the way goes straight from the one before it to the one after."""

    def path(t):
        return 10 * t, np.where(np.abs(t - 4) < 0.5, 200.0, 0.0)

    chunk = drive(path)
    track = locate(chunk, CITY)
    assert track.usable.all()
    assert off_m(track, chunk, straight(10.0)).max() < 0.01
    assert (track.faults.jumps, track.faults.fixes) == (1, 10)


def test_where_the_way_leaps_and_stays_there_is_no_position():
    """All later fixes are 200 m off: nobody knows which side is right, and between them nobody drove."""

    def path(t):
        return 10 * t, np.where(t > 4.5, 200.0, 0.0)

    chunk = drive(path)
    usable = locate(chunk, CITY).usable
    t = chunk.sample_t_s - START_S
    assert not usable[(t > 4.001) & (t < 4.999)].any()
    assert usable[(t < 3.999) | (t > 5.001)].all()


def test_sigma_is_of_one_axis_and_the_worse_fix_counts():
    accuracy = np.full(10, 0.5)
    accuracy[5] = 3.0
    chunk = drive(straight(10.0), accuracy=accuracy)
    track = locate(chunk, CITY)
    t = chunk.sample_t_s - START_S
    assert track.sigma_m[t < 3.99] == pytest.approx(0.5 * RADIUS_TO_SIGMA, rel=1e-3)
    assert track.sigma_m[(t > 4.01) & (t < 5.99)] == pytest.approx(3.0 * RADIUS_TO_SIGMA, rel=1e-3)


def test_sigma_holds_the_truth_as_often_as_the_radius_says():
    """68 % of a round normal lie within the radius that a fix states."""
    sigma = float(locate(drive(straight(10.0), accuracy=2.0), CITY).sigma_m[0])
    apart = np.hypot(*np.random.default_rng(1).normal(0, sigma, (2, 200_000)))
    assert np.mean(apart < 2.0) == pytest.approx(0.68, abs=0.005)


@pytest.mark.parametrize(("datum", "added_m"), [("cgcs2000", 0.0), ("wgs84", 0.8), ("gcj02", 1.5), ("bd09", 2.0)])
def test_another_datum_adds_to_the_radius(datum, added_m):
    track = locate(drive(straight(10.0), accuracy=1.0, datum=datum), CITY)
    assert track.sigma_m[0] == pytest.approx(np.hypot(1.0, added_m) * RADIUS_TO_SIGMA, rel=1e-3)


def test_a_track_in_the_datum_of_chinese_maps_lies_on_its_street():
    path = straight(14.0, 37)
    chunk = drive(path)
    g_lon, g_lat = gcj02_from_wgs84(chunk.fixes.lon_deg, chunk.fixes.lat_deg)
    told = replace(chunk, datum="gcj02", fixes=replace(chunk.fixes, lon_deg=g_lon, lat_deg=g_lat))
    assert off_m(locate(told, CITY), told, path).max() < 0.03
    believed = replace(told, datum="cgcs2000")
    assert off_m(locate(believed, CITY), believed, path).min() > 300


def test_the_track_is_that_of_the_zone_of_the_city():
    chunk = drive(straight(10.0))
    track = locate(chunk, replace(CITY, utm_zone=50))
    x, y = project(chunk.fixes.lon_deg[0], chunk.fixes.lat_deg[0], Zone(50))
    assert (track.x_m[0], track.y_m[0]) == pytest.approx((float(x), float(y)), abs=1e-6)


def test_a_batch_gives_each_chunk_the_bits_that_it_gets_alone():
    """Mixed: other datums, a jump, a gap, a drift while standing, one fix only; all at once and one by one."""
    rng = np.random.default_rng(7)
    chunks = [
        street(CITY, seq=n, speed_mps=float(rng.uniform(0, 25)), datum=datum, accuracy_m=float(rng.uniform(0.05, 6)))
        for n, datum in enumerate(["wgs84", "cgcs2000", "gcj02", "bd09"] * 8)
    ]
    for n, spoil in enumerate((
        lambda f: replace(f, lat_deg=f.lat_deg + np.where(np.arange(len(f.t_s)) == 7, 1e-3, 0.0)),
        lambda f: Fixes(*(getattr(f, c.name)[[0, 1, 2, 30, 31, 32]] for c in fields(f))),
        lambda f: replace(f, speed_mps=np.full(len(f.t_s), -1, np.float32)),
        lambda f: replace(f, lon_deg=f.lon_deg + rng.normal(0, 3e-5, len(f.t_s))),
        lambda f: Fixes(*(getattr(f, c.name)[:1] for c in fields(f))),
    )):  # fmt: skip
        chunks[5 * n] = replace(chunks[5 * n], fixes=spoil(chunks[5 * n].fixes))
    together = traces(chunks, CITY)
    for chunk, trace in zip(chunks, together, strict=True):
        (alone,) = traces([chunk], CITY)
        for column in fields(alone):
            a, b = getattr(alone, column.name), getattr(trace, column.name)
            assert a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b, column.name
