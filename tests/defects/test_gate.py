"""The gate and the features: the same at any rate, mounting and batch; candidates where something was, and nowhere
twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from defects.gate import GATE_BOX, GATE_PHONE, conditioned, resampler
from defects.senses import PHONE_FEATURES, hear
from ingest import Chunk, City

from ..roads import straight


def heard(chunks: list[Chunk], kind: str = "box", speed: float = 10.0):
    options = GATE_BOX if kind == "box" else GATE_PHONE
    return hear(chunks, [np.full(len(c.acc_counts), speed) for c in chunks], kind, options)


@pytest.mark.parametrize("native_hz", [100.0, 125.0, 200.0, 250.0, 400.0])
def test_a_wave_keeps_its_size_and_place_at_any_rate(native_hz: float) -> None:
    n = int(6 * native_hz)
    t = np.arange(n) / native_hz
    scale = 1 / 2000
    acc = np.zeros((n, 3), np.int16)
    acc[:, 2] = np.rint((9.81 + 2.0 * np.sin(2 * np.pi * 12 * t)) / scale)
    taps = resampler(native_hz, 40.0)
    m = int((n - 1) / native_hz * 100) + 1
    vertical, up = np.zeros(m), np.zeros((1, 4))
    conditioned(
        acc, np.array([0, n]), np.array([scale]), np.array([native_hz / 100]), taps.ravel(),
        np.array([[0, taps.shape[1]]]), np.array([0, m]), vertical, up,
    )  # fmt: skip
    meant = 2.0 * np.sin(2 * np.pi * 12 * np.arange(m) / 100)
    assert np.abs(vertical - meant)[20:-20].max() < 0.12
    assert up[0, 2] == pytest.approx(1.0)


def test_a_bump_is_one_candidate_at_its_moment(city: City) -> None:
    found = heard([straight(city, jolts=((2.0, 0.8, 1.0),))])
    strong = found.score > 2.0
    assert strong.sum() == 1
    assert abs(found.t_s[strong][0] - 4.0) < 0.1  # two seconds of context come first


def test_what_the_context_holds_is_its_neighbours_to_tell(city: City) -> None:
    """A jolt before the owned stretch is in the chunk before this one, too: counted twice, it would be two
    witnesses."""
    found = heard([straight(city, jolts=((-0.8, 0.8, 1.0),))])
    assert not (found.t_s < 2.0).any()


def test_too_slow_to_say_has_no_candidates(city: City) -> None:
    assert not len(heard([straight(city, jolts=((2.0, 2.0, 1.0),))], speed=4.0).t_s)


def test_a_batch_changes_no_bit(city: City) -> None:
    rng = np.random.default_rng(1)
    chunks = [straight(city, jolts=tuple((float(t), 0.6, 1.0) for t in rng.uniform(0, 5, 3))) for _ in range(7)]
    chunks[3] = replace(chunks[3], rate_hz=chunks[3].rate_hz)
    whole = heard(chunks)
    alone = [heard([c]) for c in chunks]
    assert whole.rows.tobytes() == np.concatenate([a.rows for a in alone]).tobytes()
    assert whole.quiet.tobytes() == np.concatenate([a.quiet for a in alone]).tobytes()
    assert len(whole.t_s) >= 7


def test_a_phone_may_lie_in_any_way(city: City) -> None:
    chunk = straight(city, jolts=((2.0, 0.8, 1.0),))
    axes = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])  # an exact turn: nothing is rounded anew
    turned = replace(
        chunk,
        acc_counts=np.ascontiguousarray(chunk.acc_counts @ axes.T).astype(np.int16),
        gyro_counts=None
        if chunk.gyro_counts is None
        else np.ascontiguousarray(chunk.gyro_counts @ axes.T).astype(np.int16),
    )
    a, b = heard([chunk], "phone"), heard([turned], "phone")
    assert len(a.t_s) == len(b.t_s) > 0
    same = np.isclose(a.rows, b.rows, rtol=1e-6, atol=1e-6, equal_nan=True)
    assert same.all(), [PHONE_FEATURES[k] for k in np.flatnonzero(~same.all(axis=0))]


def test_a_missing_gyroscope_is_missing_and_not_zero(city: City) -> None:
    chunk = replace(straight(city, jolts=((2.0, 0.8, 1.0),)), gyro_counts=None)
    found = heard([chunk])
    assert np.isnan(found.rows[:, PHONE_FEATURES.index("roll")]).all()
    assert np.isfinite(found.rows[:, PHONE_FEATURES.index("across")]).all()


def test_dead_sensors_and_nothing_at_all_are_no_candidates(city: City) -> None:
    chunk = straight(city)
    dead = replace(chunk, acc_counts=np.zeros_like(chunk.acc_counts))
    assert not len(heard([dead]).t_s)
    assert not len(hear([], [], "box", GATE_BOX).t_s)
