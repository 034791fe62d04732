"""What devices make of a motion that is known: still, a step, a hit, a hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest import DEFECT_KEYS
from sensors_sim.inertial import Unit, anyhow, box_unit, phone_unit, rotation, samples
from sensors_sim.instruments import record
from sensors_sim.laser import DROPPED, LINE_HZ, POINTS, SCALE_M, WIDTH_M
from sensors_sim.plan import Act, Motion, Plan, Series, Stretch, Thing, Way, Wheels
from sensors_sim.receiver import BOX_SIGMA_M, fixes, lasting
from sensors_sim.sights import CAMERA_CONFUSION, look, reported

G = 9.80665
T0_S = 1_772_413_200.25


def way(seconds: float, v_mps: float = 10.0) -> Way:
    t = np.arange(round(seconds * 100) + 1) / 100
    nothing = np.zeros(len(t))
    return Way(T0_S, v_mps * t - 20, nothing + v_mps, nothing, v_mps * t - 20, nothing, nothing + 90.0)


def plan(device: str = "box", seconds: float = 30.0, things: tuple[Thing, ...] = (), **changes: Any) -> Plan:
    base = Plan(
        Stretch(10 * seconds, "A", 5, things), way(seconds), "car", "sedan", Wheels(0.75, 2.7), device,
        200.0 if device == "box" else 50.0, vehicle_seed=1, device_seed=2, pass_seed=3,
    )  # fmt: skip
    return replace(base, **changes)


def still(seconds: float = 30.0) -> Motion:
    n = round(seconds * 400) + 1
    force = np.zeros((n, 3))
    force[:, 2] = G
    nothing = np.zeros(n)
    return Motion(400.0, force, np.zeros((n, 3)), nothing, nothing, nothing, nothing)


def flat(_plan: Plan, _s_m: Series, y_m: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.zeros(y_m.shape)


def steady(unit: Unit) -> Unit:
    """The unit without errors of its own."""
    none = np.zeros(3)
    return replace(
        unit, acc_bias_mps2=none, acc_noise_mps2=0.0, gyro_bias_radps=none, gyro_noise_radps=0.0, jitter_s=0.0,
        late_share=0.0, has_gyro=True,
    )  # fmt: skip


def test_a_box_at_rest_feels_gravity_its_bias_and_its_noise() -> None:
    unit = box_unit(2, 200.0)
    acc, gyro = samples(plan(), still(), unit)
    assert acc.shape == (30 * 200 + 1, 3)
    assert gyro is not None
    felt = acc * unit.acc_scale_mps2
    assert np.allclose(felt.mean(0), unit.axes @ [0, 0, G] + unit.acc_bias_mps2, atol=0.003)
    assert np.allclose(felt.std(0), unit.acc_noise_mps2, rtol=0.1)
    tilt_deg = math.degrees(math.acos(unit.axes[2, 2]))
    assert 0 < tilt_deg < 7
    assert np.allclose((gyro * unit.gyro_scale_radps).mean(0), unit.gyro_bias_radps, atol=2e-4)


def tone(hz: float, device_hz: float, unit: Unit, device: str) -> float:
    """Gain of the whole chain for a vertical tone."""
    motion = still(20)
    motion.force_mps2[:, 2] += np.sin(2 * np.pi * hz * np.arange(len(motion.force_mps2)) / 400)
    acc, _ = samples(plan(device, 20, rate_hz=device_hz), motion, unit)
    along = (acc * unit.acc_scale_mps2) @ unit.axes[:, 2]
    return float(along[len(along) // 4 :].std() * math.sqrt(2))


def test_the_low_pass_keeps_what_a_wheel_does_and_stops_what_would_fold_back() -> None:
    unit = steady(box_unit(2, 200.0))
    assert tone(12, 200, unit, "box") == pytest.approx(1.0, abs=0.02)
    assert tone(170, 200, unit, "box") < 0.12


def test_a_holder_rings_at_its_own_frequency_and_not_below() -> None:
    unit = replace(
        steady(phone_unit(2, 100.0)), holder_hz=np.full(3, 20.0), holder_damping=np.full(3, 0.1), low_pass_hz=80.0
    )
    # Transmissibility of a mass on a spring at its resonance: sqrt(1 + 4 z²) / (2 z).
    assert tone(20, 100, unit, "phone") == pytest.approx(math.sqrt(1.04) / 0.2, rel=0.05)
    assert tone(2, 100, unit, "phone") == pytest.approx(1.0, abs=0.03)


def test_phones_lie_anyhow() -> None:
    rng = np.random.default_rng(1)
    down = np.array([anyhow(rng)[:, 2] for _ in range(2000)])
    assert np.allclose(down.mean(0), 0, atol=0.05)
    assert np.allclose((down**2).mean(0), 1 / 3, atol=0.03)
    m = anyhow(rng)
    assert np.allclose(m @ m.T, np.eye(3))
    assert np.linalg.det(m) == pytest.approx(1)
    assert np.allclose(rotation(np.array([0, 0, math.pi / 2])) @ [1, 0, 0], [0, 1, 0])


def test_some_phones_lack_a_gyroscope() -> None:
    lacking = [n for n in range(200) if not phone_unit(n, 50.0).has_gyro]
    assert 10 < len(lacking) < 50
    ride = record(plan("phone", device_seed=lacking[0]), still(), flat)
    assert ride.gyro_counts is None
    assert ride.gyro_scale_radps == 0


def test_jitter_of_the_clock_becomes_noise_where_something_moves() -> None:
    motion = still(20)
    motion.force_mps2[:, 2] += 3 * np.sin(2 * np.pi * 8 * np.arange(len(motion.force_mps2)) / 400)
    clean = steady(replace(phone_unit(2, 50.0), holder_hz=np.zeros(3)))
    p = plan("phone", 20)
    even, _ = samples(p, motion, clean)
    uneven, _ = samples(p, motion, replace(clean, jitter_s=0.002))
    error = (uneven - even).astype(np.float64)[20:] * clean.acc_scale_mps2
    # Slope of the tone times the jitter: 3 * 2 pi 8 / sqrt(2) * .002 = .21, .20 after the low-pass.
    assert np.sqrt((error**2).sum(1).mean()) == pytest.approx(0.21, rel=0.2)


def test_hands_turn_a_phone_for_good_and_leave_a_box_alone() -> None:
    act = Act("handled", 10.0, 3.0, 1.0)
    unit = steady(phone_unit(2, 50.0))
    quiet, _ = samples(plan("phone"), still(), unit)
    acc, gyro = samples(plan("phone", acts=(act,)), still(), unit)
    assert np.array_equal(acc[:500], quiet[:500])
    assert gyro is not None
    assert np.abs(gyro[500:650]).max() * unit.gyro_scale_radps > 0.3
    felt = acc[700:] * unit.acc_scale_mps2
    assert np.allclose(np.linalg.norm(felt, axis=1), G, atol=0.02)
    turned = np.degrees(np.arccos(felt[-1] @ (unit.axes @ [0, 0, G]) / G**2))
    assert turned > 3
    boxed = box_unit(2, 200.0)
    one, _ = samples(plan(), still(), boxed)
    other, _ = samples(plan(acts=(act, Act("dropped", 20, 0.5))), still(), boxed)
    assert np.array_equal(one, other)


def test_a_dropped_phone_falls_freely_and_hits() -> None:
    unit = steady(phone_unit(2, 50.0))
    acc, _ = samples(plan("phone", acts=(Act("dropped", 10.0, 0.6),)), still(), unit)
    felt = np.linalg.norm(acc * unit.acc_scale_mps2, axis=1)
    assert felt[501:506].max() < 0.1 * G
    assert felt[505:540].max() > 1.5 * G
    assert np.allclose(felt[560:], G, atol=0.05)


def test_fixes_of_a_box_are_good_to_centimetres_five_times_a_second() -> None:
    p = plan(seconds=200)
    track = fixes(p)
    assert np.allclose(np.diff(track.t_s), 0.2)
    assert np.allclose(track.t_s * 5, np.rint(track.t_s * 5))
    error = np.column_stack([track.east_m - (10 * (track.t_s - T0_S) - 20), track.north_m])
    assert np.sqrt((error**2).mean()) == pytest.approx(BOX_SIGMA_M, rel=0.3)
    assert abs(track.course_deg.mean() - 90) < 0.5
    assert track.speed_mps.mean() == pytest.approx(10, abs=0.1)


def test_fixes_of_a_phone_err_by_metres_for_a_while_and_say_so_roughly() -> None:
    errors, stated, next_to = [], [], []
    for n in range(60):
        track = fixes(plan("phone", 300, device_seed=n, pass_seed=n + 1))
        error = np.column_stack([track.east_m - (10 * (track.t_s - T0_S) - 20), track.north_m])
        errors.append(np.hypot(*error.T))
        stated.append(track.accuracy_m)
        next_to.append(float((error[1:] * error[:-1]).mean() / (error**2).mean()))
    assert 0.9 < np.median(next_to) < 1.0
    assert 3.5 < np.quantile(np.concatenate(errors), 0.68) < 9
    within = np.mean(np.concatenate(errors) <= np.concatenate(stated))
    assert 0.5 < within < 0.85
    assert np.corrcoef([e.mean() for e in errors], [s.mean() for s in stated])[0, 1] > 0.4


def test_lasting_noise_lasts() -> None:
    noise = lasting(np.random.default_rng(1), 20000, 1, 1.0, 20.0)[:, 0]
    assert noise.std() == pytest.approx(1, abs=0.1)
    assert (noise[20:] * noise[:-20]).mean() == pytest.approx(math.exp(-1), abs=0.1)


def test_a_laser_sees_the_road_less_the_body() -> None:
    def slope(_plan: Plan, s_m: Series, y_m: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(0.02 * y_m + 0 * s_m[:, None])

    motion = still()
    rolled = replace(motion, roll_rad=motion.roll_rad + 0.01, z_m=motion.z_m + 0.05)
    ride = record(plan(equipment=frozenset({"laser"})), rolled, slope)
    assert ride.laser_counts is not None
    assert ride.laser_counts.shape == (30 * LINE_HZ + 1, POINTS)
    heights = np.where(ride.laser_counts == DROPPED, np.nan, ride.laser_counts * SCALE_M)
    lost = np.isnan(heights).mean()
    assert 0 < lost < 0.01
    across = np.linspace(WIDTH_M / 2, -WIDTH_M / 2, POINTS)
    assert np.allclose(np.nanmean(heights, 0), 0.02 * across - 0.05 - 0.01 * across, atol=2e-4)
    assert np.nanstd(heights[:, 0]) == pytest.approx(0.8e-3, rel=0.1)
    wet = record(plan(equipment=frozenset({"laser"}), wet=True), motion, slope)
    assert wet.laser_counts is not None
    assert (wet.laser_counts == DROPPED).mean() > 10 * lost


def cover(**changes: Any) -> Thing:
    noisy = Thing("defective_cover", "noisy", 100.0, 0.75, 0.7, 0.7, -3, 0, "", 1, rattle=1.0, seed=9)
    return replace(noisy, **changes)


def test_bands_hear_speed_water_texture_and_clanks() -> None:
    heard = frozenset({"bands"})
    ravelled = Thing("ravelling", "", 150.0, 0.0, 30.0, 3.0, -3, 8, "m2", 2, texture_mm=4.0, seed=4)
    motion = still()
    motion.clank_mps2[round(12.0 * 400) : round(12.1 * 400)] = 20.0
    ride = record(plan(things=(cover(), ravelled), equipment=heard), motion, flat)
    db = ride.band_db
    assert db is not None
    assert db.dtype == np.float32
    assert db.shape == (300, 8)
    usual = np.median(db, axis=0)
    assert db[120, 3] > usual[3] + 10  # the clank, 12.0 s after the begin
    assert np.median(db[165:185, 1]) > usual[1] + 4  # s = 150 m lies 17 s from the begin
    assert np.median(db[165:185, 7]) < usual[7] + 2
    slow = record(replace(plan(equipment=heard), way=way(30, 3.0)), still(), flat).band_db
    wet = record(plan(equipment=heard, wet=True), still(), flat).band_db
    assert slow is not None
    assert wet is not None
    assert np.median(slow[:, 4]) < usual[4] - 10
    assert np.median(wet[:, 6]) > usual[6] + 6
    assert np.median(wet[:, 0]) < usual[0] + 1.5


def potholes(n: int) -> tuple[Thing, ...]:
    return tuple(Thing("pothole", "", 10.0 * i, 0.5, 0.5, 0.5, -50, 50, "mm", 2, seed=i + 1) for i in range(1, n + 1))


def test_the_camera_reports_as_its_matrix_says_and_misses_the_same_ones_again() -> None:
    things = potholes(200)
    p = plan(seconds=210, things=things, equipment=frozenset({"camera"}))
    seen: list[set[int]] = []
    for n in range(6):
        found = [d for d in look(replace(p, pass_seed=n)) if d.kind == "pothole" and d.score > 0.2]
        assert all(0 <= d.score <= 1 and d.area_m2 > 0 for d in found)
        right = {round(d.east_m / 10) for d in found if abs(d.east_m % 10 - 5) > 3.5}
        seen.append(right)
        assert all(abs(d.north_m - 0.5) < 1.5 for d in found if d.depth_mm > 0)
    shares = [len(s & set(range(1, 201))) / 200 for s in seen]
    assert np.mean(shares) == pytest.approx(CAMERA_CONFUSION["pothole"]["pothole"], abs=0.07)
    both = len(seen[0] & seen[1]) / 200
    assert both > shares[0] * shares[1] + 0.02
    dark = [d for n in range(6) for d in look(replace(p, pass_seed=n, night=True)) if d.kind == "pothole"]
    assert len(dark) < 0.8 * sum(map(len, seen))


def test_the_cameras_matrix_is_one() -> None:
    for kind, row in CAMERA_CONFUSION.items():
        assert set(row) <= set(DEFECT_KEYS)
        assert 0.2 <= row[kind] <= 0.8
        assert sum(row.values()) < 1
        for night in (False, True):
            for wet in (False, True):
                thing = Thing(kind, "", 0, 0, 1, 1, 0, 0, "", 2)
                assert sum(reported(thing, night, wet).values()) < 1
    bump = Thing("speed_bump", "", 0, 0, 1, 1, 0, 0, "", 0, harmless=True)
    assert sum(reported(bump, False, False).values()) < 0.1


def test_the_same_plan_gives_the_same_ride_and_another_pass_another() -> None:
    p = plan(things=potholes(5), equipment=frozenset({"laser", "bands", "camera"}))
    one, same, other = (record(x, still(), flat) for x in (p, p, replace(p, pass_seed=99)))
    assert np.array_equal(one.acc_counts, same.acc_counts)
    assert one.detections == same.detections
    assert one.laser_counts is not None
    assert same.laser_counts is not None
    assert np.array_equal(one.laser_counts, same.laser_counts)
    assert not np.array_equal(one.acc_counts, other.acc_counts)


def test_a_device_or_instrument_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="radar"):
        record(plan(equipment=frozenset({"radar"})), still(), flat)
    with pytest.raises(ValueError, match="drone"):
        record(plan("drone"), still(), flat)
    ride = record(plan("phone", equipment=frozenset({"laser", "bands", "camera"})), still(), flat)
    assert ride.laser_counts is None
    assert ride.band_db is None
    assert not ride.detections
