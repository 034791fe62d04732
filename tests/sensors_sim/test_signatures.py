"""What the drawing of signatures shows, and that it is the same again."""

from pathlib import Path

import numpy as np
import pytest

from defects import TYPES
from sensors_sim.__main__ import main
from sensors_sim.catalogue import LOOK_ALIKES
from sensors_sim.signatures import PlotExtraMissing, draw, examples, felt


def test_a_hole_is_felt_where_it_is_and_a_crack_is_not() -> None:
    things = {thing.kind: thing for _, thing in examples(1)}
    assert set(things) == {t.key for t in TYPES[:16]} | set(LOOK_ALIKES)
    for device in ("box", "phone"):
        at, hole = felt(things["pothole"], 40, device, 1)
        _, crack = felt(things["linear_crack"], 40, device, 1)
        assert np.abs(hole).max() > 1.5 * np.abs(crack).max()
        assert -0.5 < at[np.abs(hole).argmax()] < 4.5  # either axle's
        assert np.abs(hole[at < -0.6]).max() < 0.15
        assert np.abs(crack).max() < 0.15
        first = hole[(at > -0.4) & (at < 0.5)]
        assert first.min() < -0.12  # a hole is a fall first


def test_the_same_drawing_again_and_small(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        assert main(["signatures", "--out", str(tmp_path / name)]) == 0
    a, b = ((tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert a == b
    assert len(a) < 150_000
    assert a.count(b"defective cover") == 1
    assert b"2026" not in a  # no date


def test_without_the_extra_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(PlotExtraMissing, match="make research"):
        draw(tmp_path / "x.svg", 40.0, 1)
    assert main(["signatures", "--out", str(tmp_path / "x.svg")]) == 2
    assert "matplotlib" in capsys.readouterr().err
