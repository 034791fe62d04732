"""Jolts: a fixed scale, where the peak is, which wheel it was, and what a real road says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from defects.jolts import JoltOptions, feel, peaks
from ingest import City

from ..roads import RATE_HZ, straight

OPTIONS = JoltOptions()


def speed(chunk: object, mps: float) -> np.ndarray:
    return np.full(len(chunk.acc_counts), mps)  # type: ignore[attr-defined]


def test_a_bump_is_one_jolt_at_its_moment(city: City) -> None:
    chunk = straight(city, jolts=((2.0, 0.8, 1.0),))
    felt = feel(chunk, speed(chunk, 10.0), True, OPTIONS)
    found = peaks(felt.score, RATE_HZ, OPTIONS)
    assert len(found) == 1
    assert abs(found[0] / RATE_HZ - 4.0) < 0.02  # two seconds of context come first


def test_an_even_road_has_none(city: City) -> None:
    chunk = straight(city)
    assert peaks(feel(chunk, speed(chunk, 10.0), True, OPTIONS).score, RATE_HZ, OPTIONS) == []


def test_the_scale_is_fixed_so_a_rough_road_does_not_hide_its_holes(city: City) -> None:
    """With a running level the same bump would score less among others."""
    alone = straight(city, jolts=((2.0, 0.8, 1.0),))
    among = straight(city, jolts=tuple((t, 0.8, 1.0) for t in (0.5, 2.0, 3.5)))
    at = int(4.0 * RATE_HZ)
    scores = [feel(c, speed(c, 10.0), True, OPTIONS).score[at] for c in (alone, among)]
    assert scores[0] == pytest.approx(scores[1], rel=0.02)


def test_faster_is_rougher_so_the_same_peak_scores_less(city: City) -> None:
    chunk = straight(city, jolts=((2.0, 0.8, 1.0),))
    slow, fast = (feel(chunk, speed(chunk, v), True, OPTIONS).score.max() for v in (10.0, 22.5))
    assert fast == pytest.approx(slow / 1.5, rel=1e-6)


def test_below_fifteen_kilometres_an_hour_nothing_is_said(city: City) -> None:
    chunk = straight(city, jolts=((2.0, 2.0, 1.0),))
    assert not feel(chunk, speed(chunk, 4.0), True, OPTIONS).score.any()
    assert feel(chunk, speed(chunk, 4.2), True, OPTIONS).score.any()


@pytest.mark.parametrize(("side", "sign"), [(1.0, 1), (-1.0, -1)])
def test_roll_tells_which_wheel_it_was(city: City, side: float, sign: int) -> None:
    chunk = straight(city, jolts=((2.0, 0.8, side),))
    felt = feel(chunk, speed(chunk, 10.0), True, OPTIONS)
    told = felt.side[peaks(felt.score, RATE_HZ, OPTIONS)[0]]
    assert sign * told > OPTIONS.side_clear


def test_a_bump_across_the_lane_names_no_wheel(city: City) -> None:
    chunk = straight(city, jolts=((2.0, 0.8, 0.0),))
    felt = feel(chunk, speed(chunk, 10.0), True, OPTIONS)
    assert abs(felt.side[peaks(felt.score, RATE_HZ, OPTIONS)[0]]) < OPTIONS.side_clear


def test_a_phone_may_lie_in_any_way(city: City) -> None:
    chunk = straight(city, jolts=((2.0, 0.8, 1.0),))
    rng = np.random.default_rng(3)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turned = np.rint(chunk.acc_counts @ turn.T).astype(np.int16)
    lying = replace(chunk, acc_counts=turned)
    upright = feel(chunk, speed(chunk, 10.0), False, OPTIONS).score
    assert feel(lying, speed(chunk, 10.0), False, OPTIONS).score == pytest.approx(upright, abs=0.3)


def test_two_chunks_that_meet_find_a_jolt_at_their_border_once(city: City) -> None:
    from api.wiring import EVIDENCE  # noqa: PLC0415
    from defects import observe  # noqa: PLC0415

    for at_s in (4.97, 5.0, 5.03):
        found = [
            f
            for seq in (0, 1)
            for f in observe(straight(city, seq=seq, jolts=((at_s, 0.8, 1.0),)), "box", 1, city, EVIDENCE).findings
        ]
        assert len(found) == 1, f"a jolt at {at_s} s was found {len(found)} times"


@pytest.mark.parametrize("counts", [np.zeros((900, 3), np.int16), np.full((900, 3), 32767, np.int16)])
def test_a_dead_or_saturated_sensor_is_silent_not_fatal(city: City, counts: np.ndarray) -> None:
    chunk = replace(straight(city), acc_counts=counts)
    assert not peaks(feel(chunk, speed(chunk, 10.0), True, OPTIONS).score, RATE_HZ, OPTIONS)
