"""The vehicle against the table of signals in the domain notes, against its own halved step, and signs.

The table's figures are those of a quarter of a car. Here a box sits between two wheels: a thing under one of them is
felt half as much as one across the lane, so the table is held against things across the lane.
"""

from dataclasses import replace

import numpy as np
import pytest

from sensors_sim.car import G_MPS2, MODELS, MOTION_HZ, draw_wheels, feel, vehicle_of
from sensors_sim.plan import Act, Plan, Thing

from .drives import straight, thing

REF = vehicle_of("sedan", None)
HALF_TRACK_M = REF.half_track_m


def moved_g(plan: Plan) -> np.ndarray:
    """Vertical acceleration that the things of a plan add, g."""
    bare = replace(plan, stretch=replace(plan.stretch, things=()))
    return (feel(plan, REF).force_mps2 - feel(bare, REF).force_mps2)[:, 2] / G_MPS2


def peak_g(what: Thing, kmh: float) -> float:
    return float(np.abs(moved_g(straight(what, kmh=kmh))).max())


HOLE = thing("pothole", (0.6, 3.0), -25.0)
DEEP = thing("pothole", (1.2, 3.6), -80.0)
FRAME = thing("frame_level", (0.7, 3.6), -15.0, subtype="low")
DIP = thing("subsidence", (3.0, 6.0), -25.0, subtype="settlement")
HUMP = thing("shoving", (1.0, 4.0), 15.0)
STEP = thing("faulting", (4.0, 3.5), -15.0)
BUMP = thing("speed_bump", (0.4, 3.5), 50.0)


@pytest.mark.parametrize(
    ("what", "table_g"),
    [
        (HOLE, (0.58, 0.54, 0.43)), (DEEP, (1.56, 1.65, 1.08)), (FRAME, (0.32, 0.48, 0.50)), (DIP, (0.19, 0.29, 0.46)),
        (HUMP, (0.21, 0.42, 0.41)), (STEP, (0.28, 0.38, 0.41)), (BUMP, (1.09, 0.99, 0.85)),
    ],
)  # fmt: skip
def test_peaks_of_the_table(what: Thing, table_g: tuple[float, float, float]) -> None:
    for kmh, table in zip((20, 40, 60), table_g, strict=True):
        assert table / 1.55 < peak_g(what, kmh) < table * 1.55, kmh


def test_one_wheel_is_felt_half() -> None:
    for what in (HOLE, DIP, HUMP):
        one = replace(what, width_m=0.8, y_m=HALF_TRACK_M)
        assert 0.4 < peak_g(one, 40) / peak_g(what, 40) < 0.8


def test_cracks_ruts_and_what_has_no_height_are_not_felt() -> None:
    crack = thing("linear_crack", (0.2, 3.5), 0.0, amount=3.0)
    assert peak_g(crack, 40) < 0.01
    assert peak_g(thing("bleeding", (3.0, 1.0), 0.0, y_m=HALF_TRACK_M), 40) == 0
    assert peak_g(thing("rutting", (30.0, 2.4), -30.0), 40) < 0.05


def test_a_missing_cover_lets_the_body_fall() -> None:
    across = moved_g(straight(thing("defective_cover", (0.7, 3.6), -400.0, subtype="missing"), kmh=20))
    falling = np.flatnonzero(across < -0.8)
    assert -1.3 < across[: falling[-1] + 1].min() < -0.9
    assert 0.05 < len(falling) / MOTION_HZ < 0.15
    one = moved_g(straight(thing("defective_cover", (0.7, 0.7), -400.0, y_m=HALF_TRACK_M, subtype="missing"), kmh=20))
    assert -0.65 < one.min() < -0.4  # the other wheel still carries


def test_deep_and_short_shrinks_with_speed_shallow_and_long_grows() -> None:
    deep = thing("pothole", (0.5, 0.5), -80.0, y_m=HALF_TRACK_M)
    assert peak_g(deep, 60) < 0.8 * peak_g(deep, 20)
    assert peak_g(DIP, 60) > 1.5 * peak_g(DIP, 20)


def test_a_rough_road_shakes_as_the_table_says() -> None:
    for roughness, table in (("A", 0.027), ("B", 0.055), ("C", 0.110), ("D", 0.219)):
        levels = []
        for seed in range(6):
            plan = straight(roughness=roughness, length_m=500.0, seed=seed)
            body = feel(plan, replace(REF, hum_mps2=0.0)).force_mps2[MOTION_HZ:, 2]
            levels.append(body.std() / G_MPS2)
        assert table / 1.5 < float(np.mean(levels)) < table * 1.5


@pytest.mark.parametrize(("y_m", "sign"), [(HALF_TRACK_M, -1), (-HALF_TRACK_M, 1)])
def test_the_side_that_falls_rolls_down_first(y_m: float, sign: int) -> None:
    motion = feel(straight(thing("pothole", (1.0, 0.8), -60.0, y_m=y_m)), REF)
    bare = feel(straight(), REF)
    roll_rate = motion.rate_radps[:, 0] - bare.rate_radps[:, 0]
    first = np.flatnonzero(np.abs(roll_rate) > 0.3 * np.abs(roll_rate).max())[0]
    assert np.sign(roll_rate[first]) == sign
    assert np.abs(feel(straight(BUMP), REF).rate_radps[:, 0] - bare.rate_radps[:, 0]).max() < 0.01


def test_pitch_and_roll_turn_gravity_into_the_axes() -> None:
    """Braking lowers the nose (pitch positive) and pushes back; turning left pushes to the left and lifts the left."""
    calm = feel(straight(length_m=100.0), REF)
    acts = (Act("braking", 4.0, 2.0), Act("turning", 4.0, 3.0))
    braking, turning = (feel(straight(length_m=100.0, acts=(a,)), REF) for a in acts)
    while_it_lasts = slice(round(4.5 * MOTION_HZ), round(5.8 * MOTION_HZ))
    nose = (braking.pitch_rad - calm.pitch_rad)[while_it_lasts].mean()
    assert 0.002 < nose < 0.05
    pushed = (braking.force_mps2 - calm.force_mps2)[while_it_lasts].mean(axis=0)
    assert pushed[0] == pytest.approx(-3.0 - G_MPS2 * nose, abs=0.1)
    lean = (turning.roll_rad - calm.roll_rad)[while_it_lasts].mean()
    assert 0.005 < lean < 0.1
    pushed = (turning.force_mps2 - calm.force_mps2)[while_it_lasts].mean(axis=0)
    assert pushed[1] == pytest.approx(2.5 + G_MPS2 * lean, abs=0.1)


def test_a_curve_of_the_way_is_felt() -> None:
    plan = straight(length_m=200.0, kmh=36.0)
    way, radius = plan.way, 50.0
    angle = way.s_m / radius  # to the right, clockwise as a course goes
    curved = replace(
        way, east_m=radius * (1 - np.cos(angle)), north_m=radius * np.sin(angle), course_deg=np.degrees(angle) % 360
    )
    motion = feel(replace(plan, way=curved), REF)
    inside = slice(2 * MOTION_HZ, -2 * MOTION_HZ)
    roll = motion.roll_rad[inside].mean()
    assert motion.force_mps2[inside, 1].mean() == pytest.approx(-(10.0**2) / radius + G_MPS2 * roll, abs=0.1)
    assert motion.rate_radps[inside, 2].mean() == pytest.approx(-10.0 / radius, abs=0.01)
    assert roll < -0.005


def test_peaks_hold_at_half_the_step() -> None:
    for what in (HOLE, DEEP, FRAME, DIP, STEP, BUMP, replace(HOLE, width_m=0.6, y_m=HALF_TRACK_M)):
        plan = straight(what)
        quiet = replace(REF, hum_mps2=0.0)
        usual, finer = (np.abs(feel(plan, quiet, n).force_mps2[:, 2] - G_MPS2).max() for n in (3, 6))
        assert usual == pytest.approx(finer, rel=0.02)


def test_loose_covers_clank_under_a_wheel_only() -> None:
    loose = thing("defective_cover", (0.7, 0.7), -3.0, y_m=HALF_TRACK_M, subtype="noisy", rattle=0.8)
    hit = feel(straight(loose, kmh=36), REF)
    assert np.abs(hit.clank_mps2).max() > 1.5
    first = np.flatnonzero(hit.clank_mps2)[0] / MOTION_HZ
    assert first == pytest.approx((100.0 - 0.35) / 10.0, abs=0.05)
    assert not feel(straight(replace(loose, y_m=0.0)), REF).clank_mps2.any()
    assert not feel(straight(replace(loose, rattle=0.0)), REF).clank_mps2.any()


@pytest.mark.parametrize("model", sorted(MODELS))
def test_each_model_rides(model: str) -> None:
    for seed in range(4):
        plan = straight(DEEP, roughness="D", model=model, vehicle_seed=seed, kmh=25 if "b" in MODELS[model][0] else 60)
        motion = feel(plan)
        assert np.isfinite(motion.force_mps2).all()
        assert np.abs(motion.force_mps2).max() < 40 * G_MPS2
        assert np.abs(motion.roll_rad).max() < 0.3
        settled = motion.z_m[-1] - motion.z_m[0]
        assert abs(settled) < 0.3
        assert len(motion.z_m) == round(plan.way.duration_s * MOTION_HZ) + 1
    if plan.wheels.half_track_m == 0:
        assert not motion.roll_rad.any()


def test_a_vehicle_is_the_same_each_time_and_unlike_its_sisters() -> None:
    one, again, other = (straight(HOLE, vehicle_seed=s) for s in (3, 3, 4))
    assert np.array_equal(feel(one).force_mps2, feel(again).force_mps2)
    assert draw_wheels("sedan", 3) == draw_wheels("sedan", 3) != draw_wheels("sedan", 4)
    a, b = (feel(p).z_m for p in (one, other))
    assert len(a) == len(b)
    assert np.abs(a - b).max() > 0.001
    noisy = feel(replace(one, pass_seed=1))
    assert np.array_equal(noisy.z_m, feel(one).z_m)  # the same road, other noise
    assert not np.array_equal(noisy.force_mps2, feel(one).force_mps2)
    for name in ("sprung_kg", "hz_front", "damping", "tyre_front_npm"):
        drawn = np.array([getattr(vehicle_of("sedan", s), name) for s in range(60)]) / getattr(REF, name)
        assert 0.05 < drawn.std() < 0.3
        assert drawn.mean() == pytest.approx(1.0, abs=0.06)


def test_standing_still_is_quiet() -> None:
    plan = straight(roughness="C")
    way = replace(plan.way, s_m=0 * plan.way.s_m + 40.0, v_mps=0 * plan.way.v_mps, north_m=0 * plan.way.north_m)
    motion = feel(replace(plan, way=way), replace(REF, hum_mps2=0.0))
    assert motion.force_mps2[:, 2].std() < 0.05
    assert motion.force_mps2[:, 2].mean() == pytest.approx(G_MPS2, abs=0.01)
