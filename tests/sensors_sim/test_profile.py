"""Roughness against ISO 8608, shapes of things, tyre and wheel disc."""

from dataclasses import replace

import numpy as np
import pytest

from sensors_sim.plan import Stretch, Wheels
from sensors_sim.profile import GD_N0_M3, STEP_M, cross_profile_m, ridden, roughness_m, tracks_m

from .drives import straight, thing

BASE_M = 0.04


def spectra(a: np.ndarray, b: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Cycles/m and one-sided cross density of two profiles: mean over half overlapping Hann windows (Welch)."""
    window = np.hanning(length)
    begins = range(0, len(a) - length, length // 2)
    parts = [np.fft.rfft(x[i : i + length] * window) for x in (a, b) for i in begins]
    one, two = np.array(parts[: len(begins)]), np.array(parts[len(begins) :])
    return np.fft.rfftfreq(length, BASE_M), (one * two.conj()).mean(axis=0) * 2 * BASE_M / (window**2).sum()


def test_the_spectrum_is_that_of_the_class() -> None:
    for roughness in "ABCD":
        lines = [roughness_m(Stretch(800.0, roughness, seed)).astype(float) for seed in range(12)]
        levels = []
        for field in lines:
            for line in field:
                n, density = spectra(line, line, 4096)
                inside = (n > 0.1) & (n < 5)
                levels.append(np.exp(np.log(density.real[inside] * (n[inside] / 0.1) ** 2).mean()))
        ratio = np.array(levels) / GD_N0_M3[roughness]
        assert 0.7 < np.exp(np.log(ratio).mean()) < 1.4
        assert ratio.min() > 0.2  # level within the class, and slopes of their own
        assert ratio.max() < 2.2
        assert ratio.max() / ratio.min() > 1.3


def test_coherence_falls_with_distance_across() -> None:
    fields = [roughness_m(Stretch(1500.0, "B", seed)).astype(float) for seed in range(6)]
    for far in (1, 2, 4):
        cross = power = 0.0
        for field in fields:
            n, one = spectra(field[0], field[0], 1024)
            two, both = (spectra(x, field[far], 1024)[1] for x in (field[far], field[0]))
            cross, power = cross + both.real, power + np.sqrt(one.real * two.real)
        inside = (n > 0.15) & (n < 1.0)
        assert np.abs(cross / power - np.exp(-1.2 * 0.8 * far * n))[inside].mean() < 0.12


def test_every_pass_meets_the_same_road_and_the_road_goes_on() -> None:
    plan = straight(roughness="C")
    other = replace(plan, pass_seed=9, vehicle_seed=4)
    assert np.array_equal(ridden(plan), ridden(other))
    assert not np.array_equal(ridden(plan), ridden(replace(plan, stretch=replace(plan.stretch, seed=2))))
    s = np.array([-30.0, -0.01, 0.01, 159.99, 160.01, 400.0])
    z = cross_profile_m(plan, s, np.zeros((6, 1)))[:, 0]
    assert abs(z[1] - z[2]) < 0.002
    assert abs(z[3] - z[4]) < 0.002
    assert (z != 0).all()


def test_the_laser_sees_what_the_wheel_rides_over() -> None:
    """A crack of 15 mm is open for a laser and shut for a wheel; without things both stand on the same road."""
    crack = thing("linear_crack", (0.1, 3.5), 0.0, amount=15.0)
    plan = straight(crack)
    s = np.arange(99.9, 100.1, 0.001)
    y = np.broadcast_to(np.linspace(-1.5, 1.5, 16), (len(s), 16))
    with_it = cross_profile_m(plan, s, y)
    without = cross_profile_m(replace(plan, stretch=replace(plan.stretch, things=())), s, y)
    assert (with_it - without).min() < -0.009
    assert np.array_equal(ridden(plan), ridden(straight()))
    bare, first = tracks_m(plan, radius_m=STEP_M)  # a disc as small as this follows everything
    at = first + STEP_M * np.arange(bare.shape[1])
    left = cross_profile_m(straight(), at, np.full((len(at), 1), plan.wheels.half_track_m))[:, 0]
    assert np.abs(bare[0] - left)[50:-50].max() < 0.002


def test_ruts_are_deep_across_and_silent_along() -> None:
    rutted = straight(thing("rutting", (50.0, 2.4), -30.0))
    smooth = straight()
    y = np.linspace(-1.7, 1.7, 69)[None, :]
    z = (cross_profile_m(rutted, np.array([100.0]), y) - cross_profile_m(smooth, np.array([100.0]), y))[0]
    assert z.min() == pytest.approx(-0.03, abs=0.005)
    assert abs(abs(y[0, z.argmin()]) - 0.9) < 0.06
    assert abs(z[34]) < 0.001
    felt = ridden(rutted) - ridden(smooth)
    assert felt.min() < -0.01
    assert np.abs(np.diff(felt[0])).max() * 1200 < 0.1  # m/s of the wheel at 40 km/h


def test_a_disc_does_not_fall_into_a_narrow_hole() -> None:
    def lowest(length_m: float) -> float:
        hole = straight(thing("defective_cover", (length_m, 3.5), -400.0, subtype="missing"))
        return float((ridden(hole) - ridden(straight()))[0].min())

    for gap in (0.1, 0.2, 0.3):
        disc = -(0.3 - np.sqrt(0.3**2 - gap**2 / 4))
        assert lowest(gap) == pytest.approx(disc, rel=0.5, abs=0.002)
    assert lowest(0.7) < -0.2


def test_a_tyre_half_on_a_hole_is_half_lowered() -> None:
    wheels = straight().wheels
    whole = thing("good_patch", (3.0, 1.0), -40.0, y_m=wheels.half_track_m)
    half = replace(whole, y_m=wheels.half_track_m + 0.5)
    past = replace(whole, y_m=wheels.half_track_m + 0.5 + wheels.width_m / 2 + 0.01)
    low = [float((ridden(straight(t)) - ridden(straight()))[0].min()) for t in (whole, half, past)]
    assert low[0] == pytest.approx(-0.04, abs=0.003)
    assert -0.028 < low[1] < -0.008
    assert low[2] == 0
    assert (ridden(straight(whole))[1] == ridden(straight())[1]).all()  # the right wheel beside it


def test_rear_wheels_follow_and_one_track_has_two_wheels() -> None:
    plan = straight(thing("speed_bump", (0.4, 3.5), 50.0))
    front_left, _, rear_left, _ = ridden(plan)
    lag = round(plan.wheels.wheelbase_m / (40 / 3.6) * 1200)
    assert abs(int(rear_left.argmax()) - int(front_left.argmax()) - lag) <= 3
    assert ridden(replace(plan, wheels=Wheels(0.0, 1.1, 0.05))).shape[0] == 2


def test_texture_has_the_stated_level() -> None:
    plan = straight(thing("cobbles", (20.0, 3.5), 0.0, texture_mm=4.0))
    s = np.linspace(95, 105, 700)
    y = np.broadcast_to(np.linspace(-1, 1, 60), (700, 60))
    z = cross_profile_m(plan, s, y) - cross_profile_m(straight(), s, y)
    assert z.std() == pytest.approx(0.004, rel=0.12)
