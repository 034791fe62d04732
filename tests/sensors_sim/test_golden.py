"""The golden car against the classes of ISO 8608, for which its index is known."""

from __future__ import annotations

import numpy as np
import pytest

from sensors_sim.golden import START_M, iri_along

STEP_M = 0.05


@pytest.mark.parametrize(("level_m3", "iri"), [(16e-6, 2.2), (64e-6, 4.4), (256e-6, 8.7), (1024e-6, 17.4)])
def test_roads_of_iso_8608_have_their_index(level_m3: float, iri: float) -> None:
    rng = np.random.default_rng(1)
    count = 1 << 16
    n = np.fft.rfftfreq(count, STEP_M)
    density = np.where((n > 0.011) & (n < 4), level_m3 * (np.maximum(n, 1e-3) / 0.1) ** -2, 0.0)
    white = (rng.standard_normal(len(n)) + 1j * rng.standard_normal(len(n))) / np.sqrt(2)
    heights = np.fft.irfft(white * np.sqrt(density * count / (2 * STEP_M)), count)
    along = iri_along(heights[None], STEP_M)[round(START_M / STEP_M) :]
    assert along.mean() == pytest.approx(iri, rel=0.06)


def test_an_even_road_has_no_index_and_two_wheels_are_averaged() -> None:
    flat = np.zeros(4000)
    assert iri_along(flat[None], STEP_M).max() == 0.0
    wave = 0.005 * np.sin(np.arange(4000) * STEP_M * 2 * np.pi / 3)
    one, both = iri_along(wave[None], STEP_M), iri_along(np.stack([wave, flat]), STEP_M)
    assert both == pytest.approx(one / 2)


@pytest.mark.parametrize("step_m", [0.02, 0.025])
def test_the_index_does_not_hang_on_the_step_of_the_profile(step_m: float) -> None:
    def of(step: float) -> float:
        s = np.arange(0, 200, step)
        heights = 0.004 * np.sin(s * 2 * np.pi / 2.4) + 0.01 * np.sin(s * 2 * np.pi / 11)
        return float(iri_along(heights[None], step)[round(START_M / step) :].mean())

    assert of(step_m) == pytest.approx(of(0.05), rel=0.02)
