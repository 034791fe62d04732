"""Simulated clips: labelled like the recorded ones, the same for a seed, and about what they say they are about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from defects.research.real_data import RealDataError, read_clip_file
from sensors_sim.clips import LABELS, RATE_HZ, SimulatedClip, clips, main, write_clips


@pytest.fixture(scope="module")
def rendered() -> list[SimulatedClip]:
    return list(clips(6, 1))


def test_each_label_has_its_clips_and_a_seed_its_samples(rendered: list[SimulatedClip]) -> None:
    assert [c.label for c in rendered] == [label for label in LABELS for _ in range(6)]
    again = {c.name: c.acc_mps2 for c in clips(2, 1)}  # whatever else is asked for
    assert all((again[c.name] == c.acc_mps2).all() for c in rendered if c.name in again)
    assert len(again) == 2 * len(LABELS)
    assert not any(np.array_equal(a.acc_mps2, b.acc_mps2) for a, b in zip(rendered, clips(6, 2), strict=True))


def test_clips_are_of_vertical_acceleration_with_gravity_and_of_two_to_four_seconds(
    rendered: list[SimulatedClip],
) -> None:
    for clip in rendered:
        assert np.median(clip.acc_mps2) == pytest.approx(9.81, abs=0.6)
        assert 2.0 <= len(clip.acc_mps2) / RATE_HZ <= 4.1


def test_bumps_lie_in_the_middle_and_worn_roads_shake_all_along(rendered: list[SimulatedClip]) -> None:
    def loud(clip: SimulatedClip) -> tuple[float, float]:
        x = np.abs(clip.acc_mps2 - np.median(clip.acc_mps2))
        third = len(x) // 3
        return float(x[third:-third].max()), float(np.sqrt((x[:third] ** 2).mean()))

    bumps = [loud(c) for c in rendered if c.label in ("metal_bumps", "asphalt_bumps")]
    calm, worn = ([loud(c)[1] for c in rendered if c.label == label] for label in ("regular_road", "worn_out_road"))
    assert np.median([middle / before for middle, before in bumps]) > 4
    assert np.median(worn) > 1.3 * np.median(calm)


def test_the_table_is_read_as_recorded_clips_are(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "clips.csv.gz"
    assert write_clips(path, 1, 3) == len(LABELS)
    read = {c.name: c for c in read_clip_file(path)}
    for clip in clips(1, 3):
        assert read[clip.name].label == clip.label
        assert np.allclose(read[clip.name].acc_mps2, clip.acc_mps2, atol=6e-4)
    assert len({c.group for c in read.values()}) == len(LABELS)
    before = path.read_bytes()
    assert main(["--out", str(path), "--per-class", "1", "--seed", "3"]) == 0
    assert path.read_bytes() == before


def test_what_cannot_be_asked_for_is_said() -> None:
    with pytest.raises(SystemExit):
        main(["--out", "x.csv", "--per-class", "0"])
    with pytest.raises(RealDataError, match=r"nowhere\.csv cannot be read"):
        read_clip_file(Path("nowhere.csv"))
