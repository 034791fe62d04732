"""Peaks and levels against the table of signals (one-wheel defects under the middle of the body), and signs."""

import numpy as np
import pytest

from sensors_sim import crossing
from sensors_sim.surface import (
    CLASS_A_M3,
    CLASS_B_M3,
    PAD_M,
    STEP_M,
    LaneSurface,
    Patch,
    iso8608_m,
    lane_surfaces,
    ridden_m,
    under_disc,
)
from sensors_sim.vehicle import G_MPS2, Drive, Motion, Suspension, drive, feel

WITHIN = 1.5


def smooth_lane(patch: Patch, length_m: float = 200.0) -> LaneSurface:
    flat = np.zeros((2, round((length_m + 2 * PAD_M) / STEP_M)))
    return LaneSurface(0, "forward", length_m, flat, flat, (patch,))


def steady(length_m: float, kmh: float) -> Drive:
    run = drive(np.random.default_rng(0), length_m, kmh)
    return Drive(run.s_m, run.v_mps, np.zeros_like(run.y_m))


def over(patch: Patch, kmh: float, rate_hz: int = 100) -> Motion:
    return feel(smooth_lane(patch), steady(200.0, kmh), Suspension(), rate_hz)


def peak_g(motion: Motion) -> float:
    return float(np.abs(motion.force_mps2[:, 2] - G_MPS2).max() / G_MPS2)


def hole(size_m: float, depth_m: float, y_m: float) -> Patch:
    return Patch(100.0, y_m, size_m, size_m, depth_m, "hole", 0)


@pytest.mark.parametrize(("kmh", "table_g"), [(20, 1.56), (40, 1.65), (60, 1.08)])
def test_severe_pothole(kmh: float, table_g: float) -> None:
    assert table_g / WITHIN < peak_g(over(hole(0.6, 0.08, 0.9), kmh)) < table_g * WITHIN


@pytest.mark.parametrize(("kmh", "table_g"), [(30, 1.04), (40, 0.99), (50, 0.92)])
def test_speed_bump(kmh: float, table_g: float) -> None:
    bump = next(d for d in crossing((120.0, 30.0)).defects if d.kind == "speed_bump")
    patch = Patch(100.0, 0.0, bump.length_m, bump.width_m, bump.depth_mm / 1000, "hump", 0)
    motion = over(patch, kmh)
    assert table_g / WITHIN < peak_g(motion) < table_g * WITHIN
    assert np.abs(motion.rate_radps[:, 0]).max() < 1e-9  # both wheels at once: no roll


@pytest.mark.parametrize(("density_m3", "table_g"), [(CLASS_A_M3, 0.027), (CLASS_B_M3, 0.055)])
def test_rough_road(density_m3: float, table_g: float) -> None:
    height = iso8608_m(np.random.default_rng(3), round((2000 + 2 * PAD_M) / STEP_M), density_m3)
    lane = LaneSurface(0, "forward", 2000.0, height, under_disc(height), ())
    body = feel(lane, steady(2000.0, 40), Suspension(), 100).force_mps2[300:-300, 2]
    assert table_g / WITHIN < float(body.std()) / G_MPS2 < table_g * WITHIN


def test_deep_short_shrinks_with_speed_and_shallow_long_grows() -> None:
    dip = Patch(100.0, 0.9, 3.0, 2.0, 0.025, "dip", 0)
    assert peak_g(over(hole(0.3, 0.025, 0.9), 60)) < peak_g(over(hole(0.3, 0.025, 0.9), 20))
    assert peak_g(over(dip, 60)) > 1.5 * peak_g(over(dip, 20))


def test_crack_is_invisible() -> None:
    crack = np.zeros((1, 500))
    crack[0, 250] = -0.02  # one value of the grid, 4 cm between the sound ones on both sides: the disc rides across
    assert under_disc(crack).min() > -0.000_7


@pytest.mark.parametrize(("side", "sign"), [(0.9, -1), (-0.9, 1)])
def test_roll_says_which_wheel_fell(side: float, sign: int) -> None:
    roll = over(hole(0.6, 0.08, side), 40).rate_radps[:, 0]
    first = np.flatnonzero(np.abs(roll) > 0.1 * np.abs(roll).max())[0]
    assert np.sign(roll[first]) == sign


def test_a_pothole_is_felt_down_first_where_it_is() -> None:
    motion = over(hole(0.6, 0.08, 0.9), 40)
    heave = motion.force_mps2[:, 2] - G_MPS2
    first = int(np.flatnonzero(np.abs(heave) > 0.1 * G_MPS2)[0])
    assert heave[first] < 0
    s_m = steady(200.0, 40).s_m[:: 400 // 100]
    assert s_m[first] == pytest.approx(100.0, abs=0.7)


def test_a_wheel_beside_the_hole_feels_nothing() -> None:
    assert peak_g(over(hole(0.6, 0.08, 0.0), 40)) < 1e-6
    assert peak_g(over(hole(0.6, 0.08, 0.9 - 0.3), 40)) < 0.75 * peak_g(over(hole(0.6, 0.08, 0.9), 40))


def test_the_road_is_the_same_for_whoever_comes() -> None:
    truth = crossing((120.0, 30.0))
    lanes, again, other = (lane_surfaces(truth, seed) for seed in (5, 5, 6))
    for key, lane in lanes.items():
        assert np.array_equal(lane.height_m, again[key].height_m)
        assert not np.array_equal(lane.height_m, other[key].height_m)
    assert not np.array_equal(lanes[0, "forward"].height_m, lanes[0, "backward"].height_m)


def test_the_same_defect_lies_under_the_same_wheel_of_its_own_lane_only() -> None:
    truth = crossing((120.0, 30.0))
    s = np.linspace(-40, 440, 5000)
    for (street, lane), surface in lane_surfaces(truth, 1).items():
        added = ridden_m(surface, s, np.zeros_like(s)) - surface.disc_m
        for defect in truth.defects:
            if defect.street != street or defect.kind != "pothole":
                continue
            at = defect.along_m if lane == "forward" else 400 - defect.along_m
            i = round((at + PAD_M) / STEP_M)
            deepest = added[:, i - 20 : i + 20].min(axis=1)
            hit = {"left": 0, "right": 1}[defect.side]
            if defect.lane == lane:
                assert deepest[hit] < -0.3 * defect.depth_mm / 1000
                assert deepest[1 - hit] == 0
            else:
                assert (deepest == 0).all()


def test_driving_itself_is_smooth() -> None:
    flat = Patch(100.0, 0.0, 1.0, 1.0, 0.0, "none", 0)
    for seed in range(10):
        run = drive(np.random.default_rng(seed), 400.0)
        motion = feel(smooth_lane(flat, 400.0), run, Suspension(), 100)
        plane = motion.force_mps2[:, :2]
        assert np.abs(plane).max() < 2.5  # what passengers put up with
        assert np.abs(np.diff(plane, axis=0)).max() < 0.3  # no kick: those are the road's
        assert np.abs(motion.force_mps2[:, 2] - G_MPS2).max() < 1e-9


def test_drives_stay_in_their_limits() -> None:
    for seed in range(5):
        run = drive(np.random.default_rng(seed), 400.0)
        assert 25 / 3.6 - 1e-9 <= run.v_mps.min() < run.v_mps.max() <= 50 / 3.6 + 1e-9
        assert (np.diff(run.s_m) > 0).all()
    wander = np.concatenate([drive(np.random.default_rng(s), 400.0).y_m for s in range(40)])
    assert 0.12 < wander.std() < 0.18
