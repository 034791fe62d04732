"""Fixes against a truth that is known: how often does the stated radius hold it, before and after, and is anything
good thrown away? Errors are simulated, the last test is on real drives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest import FixFaults, FixOptions, judge, judge_all

OPTIONS = FixOptions()
RADIUS = 1.5096


def way_of(seconds=9.0, hz=1.0, speed=12.0, turn_s=None):
    """Times, true x and y, speed and course of a vehicle; with ``turn_s`` it turns right with 15 m radius from then."""
    t = np.arange(0, seconds + 1e-9, 1 / hz)
    fine = np.arange(0, seconds + 1e-9, 0.001)
    course = np.zeros(len(fine)) + 90.0
    if turn_s is not None:
        course = 90 + np.degrees(np.clip((fine - turn_s) * speed / 15, 0, np.pi / 2))
    x = np.cumsum(np.sin(np.radians(course))) * speed * 0.001
    y = np.cumsum(np.cos(np.radians(course))) * speed * 0.001
    at = np.minimum((t * 1000).astype(int), len(fine) - 1)
    return t, x[at], y[at], np.full(len(t), speed), course[at]


def judged(t, x, y, radius, speed, course, carrier="car", options=OPTIONS):
    columns = (np.broadcast_to(np.asarray(c, dtype=np.float64), t.shape) for c in (radius, speed, course))
    return judge(t, x, y, *columns, carrier, options)


def covered(rng, sigma_m, stated_m, n=400, **how):
    """Share of kept fixes that lie within their radius of the truth: as stated, and as judged."""
    before, after, kept, fixes = [], [], 0, 0
    for _ in range(n):
        t, x, y, v, course = way_of(**how)
        e = rng.normal(0, sigma_m, (2, len(t)))
        speed = np.maximum(v + rng.normal(0, 0.15, len(t)), 0)
        found = judged(t, x + e[0], y + e[1], stated_m, speed, (course + rng.normal(0, 2, len(t))) % 360)
        apart = np.hypot(*e)
        before.append(apart <= stated_m)
        after.append(apart[found.keep] <= found.radius_m)
        kept += int(found.keep.sum())
        fixes += len(t)
    return float(np.concatenate(before).mean()), float(np.concatenate(after).mean()), kept / fixes


def test_a_canyon_widens_what_its_fixes_contradict():
    """A phone that states 4 m and wanders by 10 to 20: the radius held the truth one time in ten, now one in two."""
    rng = np.random.default_rng(5)
    for error_m in (10.0, 20.0):
        before, after, kept = covered(rng, error_m / RADIUS, 4.0)
        assert before < 0.2
        assert after > 0.5, f"{error_m} m: {before:.2f} before, {after:.2f} after"
        assert kept > 0.6  # in such noise some fixes look like leaps, and some are


@pytest.mark.parametrize("turn_s", [None, 3.0])
@pytest.mark.parametrize(("radius", "hz"), [(4.0, 1.0), (0.075, 5.0), (0.075, 10.0)])
def test_an_honest_receiver_is_left_alone(radius, hz, turn_s):
    """Through corners too: its radius holds the truth 68 % of the time and stays as it is."""
    rng = np.random.default_rng(6)
    before, after, kept = covered(rng, radius / RADIUS, radius, 300, hz=hz, turn_s=turn_s, speed=6.0 if turn_s else 12)
    assert before == pytest.approx(0.68, abs=0.02)
    assert after == pytest.approx(before, abs=0.04)
    assert kept == 1.0
    t, x, y, v, course = way_of(hz=hz, turn_s=turn_s, speed=6.0 if turn_s else 12)
    clean = judged(t, x, y, radius, v, course)
    assert clean.faults == FixFaults(fixes=len(t))
    assert not clean.broken.any()


def test_a_box_that_states_centimetres_and_wanders_by_metres_loses_its_square_metres():
    rng = np.random.default_rng(7)
    t, x, y, v, course = way_of(hz=5.0)
    e = rng.normal(0, 1.0, (2, len(t)))
    found = judged(t, x + e[0], y + e[1], 0.075, v, course)
    assert (found.radius_m > 0.5).all()
    assert found.faults.wandering == len(t)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("at", [[4], [4, 5], [0], [9]])
def test_fixes_that_leap_are_dropped_and_no_others(at, known):
    t, x, y, v, course = way_of()
    y = y.copy()
    y[at] += 60.0 if known else 150.0  # what no stated speed contradicts must be beyond what a car drives
    found = judged(t, x, y, 4.0, v if known else -1, course if known else -1)
    assert np.flatnonzero(~found.keep).tolist() == at
    assert not found.broken.any()
    assert found.faults.jumps == len(at)
    assert (found.radius_m == 4.0).all()


def test_a_course_that_is_unknown_still_shows_leaps_along_the_way():
    t, x, y, v, _ = way_of()
    x = x.copy()
    x[4] += 60
    assert np.flatnonzero(~judged(t, x, y, 4.0, v, -1).keep).tolist() == [4]


def test_after_a_tunnel_fixes_wait_until_two_agree():
    t, x, y, v, course = way_of(seconds=12)
    on = (t < 3) | (t > 7)
    t, x, y, v, course = (c[on].copy() for c in (t, x, y, v, course))
    y[3:5] += [35.0, 12.0]  # the receiver finds itself again
    found = judged(t, x, y, 4.0, v, course)
    assert np.flatnonzero(~found.keep).tolist() == [3, 4]
    assert (found.faults.gaps, found.faults.late) == (1, 2)
    assert found.broken.tolist() == [False, False, True, False, False]
    good = judged(t, x, y * 0 + 5, 4.0, v, course)
    assert good.keep.all()


def test_drift_is_no_travel():
    """A parked phone without stated speeds: its fixes wander by metres a second, and it stands all the same."""
    rng = np.random.default_rng(8)
    t = np.arange(10.0)
    x, y = rng.normal(0, 3.0, (2, 10))
    found = judged(t, x, y, 5.0, -1, -1)
    assert found.still.mean() > 0.8
    assert judged(t, x, y, 5.0, 0.1, -1).still.all()
    t, x, y, *_ = way_of(speed=5.0)
    assert not judged(t, x, y, 5.0, -1, -1).still.any()


def test_a_first_fix_of_hundreds_of_metres_is_neither_a_drive_nor_a_fault():
    """A receiver's first guess, without a speed: 150 m off, with a radius of 419 m. One of 65 m shows no standing."""
    t, x, y, v, course = way_of()
    x, v = x.copy(), v.copy()
    x[0] -= 150
    v[0] = -1
    found = judged(t, x, y, np.r_[419.0, np.full(9, 16.0)], v, course)
    assert np.flatnonzero(~found.keep).tolist() == [0]
    assert found.faults.too_fast == 0
    assert not judged(t, x + np.r_[150, np.zeros(9)], y, np.r_[65.0, np.full(9, 5.0)], v, course).still.any()


def test_a_constant_error_of_course_is_no_wander():
    """A box whose course is off by 3 degrees: its dead reckoning bends away evenly, its fixes are as good as before."""
    t, x, y, v, course = way_of(hz=5.0)
    rng = np.random.default_rng(9)
    e = rng.normal(0, 0.05, (2, len(t)))
    found = judged(t, x + e[0], y + e[1], 0.075, v, course + 3)
    assert (found.radius_m == 0.075).all()


def test_a_speed_that_is_stated_wrongly_ends_the_chunk_not_the_carrier():
    """A bike whose fixes say 10 m/s and whose stated speed says 30 for one fix: that fix is not believed."""
    t, x, y, v, course = way_of(speed=10.0)
    v = v.copy()
    v[4] = 30
    found = judged(t, x, y, 20.0, v, course, "bike")
    assert np.flatnonzero(found.broken).tolist() == [3, 4]
    assert found.faults.too_fast == 1


@pytest.mark.parametrize(
    ("carrier", "speed", "taken"),
    [
        ("bike", 12.0, True), ("bike", 20.0, False), ("ebike", 16.0, True), ("ebike", 22.0, False),
        ("sweeper", 20.0, True), ("sweeper", 29.0, False), ("bus", 28.0, True), ("bus", 37.0, False),
        ("car", 45.0, True), ("car", 70.0, False), ("unknown", 45.0, True),
    ],
)  # fmt: skip
def test_each_carrier_has_its_speed(carrier, speed, taken):
    t, x, y, v, course = way_of(speed=speed)
    for known in (True, False):
        found = judged(t, x, y, 1.0, v if known else -1, course if known else -1, carrier)
        assert found.broken.any() != taken
        assert bool(found.faults.too_fast) != taken


def test_numbers_are_those_of_the_columns_alone():
    """One fix, two fixes, all at one place: nothing breaks, and nothing is invented."""
    for m in (1, 2, 3):
        t, x, y, v, course = (c[:m] for c in way_of())
        found = judged(t, x, y, 4.0, v, course)
        assert found.keep.all()
        assert len(found.broken) == len(found.still) == m - 1
        same = judged(t, x * 0, y * 0, 4.0, -1, -1)
        assert np.isfinite(same.radius_m).all()


@pytest.mark.recordings
def test_of_real_drives_next_to_nothing_is_thrown_away(recordings: Path):
    """Four drives of a phone in a car, fixes as recorded (speed and course stated), in windows of ten."""
    from ingest.recordings import drives_in, read_drive  # noqa: PLC0415

    kept = fixes = broken = widened = 0
    for folder in drives_in(recordings):
        f = read_drive(folder).fixes
        x = np.radians(f.lon_deg - f.lon_deg[0]) * 6_378_137 * np.cos(np.radians(f.lat_deg[0]))
        y = np.radians(f.lat_deg - f.lat_deg[0]) * 6_378_137
        for a in range(0, len(x) - 9, 5):
            w = slice(a, a + 10)
            told = (f.accuracy_m[w], f.speed_mps[w], f.course_deg[w])
            found = judged(f.t_s[w], x[w], y[w], *told)
            fixes += 10
            kept += int(found.keep.sum())
            broken += int(found.broken.sum())
            widened += found.faults.wandering
    assert fixes > 2000
    assert kept / fixes > 0.99
    assert broken / fixes < 0.01
    assert widened / fixes < 0.05


@pytest.mark.recordings
def test_traces_of_other_cars_hold_nothing_that_no_car_drives(recordings: Path):
    """Traces at 5 s without speeds: with gaps of that length allowed, all of their fixes are kept."""
    import csv  # noqa: PLC0415
    import gzip  # noqa: PLC0415
    from datetime import datetime  # noqa: PLC0415

    path = recordings / "xian" / "traces.csv.gz"
    if not path.is_file():
        pytest.skip(f"{recordings} does not hold xian/traces.csv.gz")
    rows: dict[str, list[tuple[float, float, float]]] = {}
    with gzip.open(path, "rt", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["time"]).timestamp()
            rows.setdefault(row["agent_id"], []).append((at, float(row["lng"]), float(row["lat"])))
    kept = fixes = 0
    patient = replace(OPTIONS, max_gap_s=12.0)
    for trace in rows.values():
        t, lon, lat = np.array(sorted(set(trace))).T
        rising = np.r_[True, np.diff(t) > 0]
        t, lon, lat = t[rising], lon[rising], lat[rising]
        x, y = np.radians(lon - lon[0]) * 6_378_137 * np.cos(np.radians(lat[0])), np.radians(lat - lat[0]) * 6_378_137
        for a in range(0, len(t) - 9, 10):
            found = judged(t[a : a + 10], x[a : a + 10], y[a : a + 10], 10.0, -1, -1, options=patient)
            fixes += 10
            kept += int(found.keep.sum())
    assert fixes > 500
    assert kept / fixes > 0.98, f"{kept} of {fixes}"


def test_many_at_once_are_judged_as_each_alone():
    """The short way for chunks with nothing wrong must not let through what the long way finds."""
    rng = np.random.default_rng(11)
    chunks, carriers = [], []
    for n in range(600):
        t, x, y, v, course = way_of(
            seconds=float(rng.choice([1, 2, 5, 9, 12])), speed=float(rng.choice([0.2, 3, 12, 30])),
            turn_s=float(rng.choice([2.0, 99.0])),
        )  # fmt: skip
        e = rng.normal(0, float(rng.choice([0.05, 1, 4, 12])), (2, len(t)))
        leap = (rng.random(len(t)) < 0.02) * 80.0
        gap = np.cumsum((rng.random(len(t)) < 0.02) * 5.0)
        known = np.where(rng.random(len(t)) < (0.95 if n % 3 else 1.0), course, -1.0)
        chunks.append((t + gap, x + e[0] + leap, y + e[1], np.full(len(t), float(rng.choice([0.1, 4.0]))), v, known))
        carriers.append(str(rng.choice(["car", "bus", "bike"])))
    first = np.cumsum([0, *(len(c[0]) for c in chunks)])
    together = judge_all(first, *(np.concatenate(column) for column in zip(*chunks, strict=True)), carriers, OPTIONS)
    alone = [judge(*columns, carrier, OPTIONS) for columns, carrier in zip(chunks, carriers, strict=True)]
    for one, other in zip(together, alone, strict=True):
        assert one.faults == other.faults
        assert all(np.array_equal(getattr(one, c), getattr(other, c)) for c in ("keep", "radius_m", "broken", "still"))
    quiet = sum(one.faults == FixFaults(one.faults.fixes) for one in together)
    assert 100 < quiet < 500, "both ways were gone"
