"""A model on disk: the same in as out, and everything that is wrong with it is said, with the file's name."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from defects import model as module
from defects.model import Model, ModelError, arrays_of, load, save

from .models import tiny

pytest.importorskip("sklearn", reason="scikit-learn is not installed (make research)")


@pytest.fixture(scope="module")
def small() -> Model:
    return tiny("phone")


@pytest.fixture
def card(small: Model, tmp_path: Path) -> Path:
    return save(tmp_path, "small", small, {"about": "a test"})


def packed(path: Path, arrays: dict[str, Any]) -> None:
    """Other arrays, and a card that names them: as somebody would who means it."""
    out = io.BytesIO()
    np.savez(out, **arrays)
    path.with_suffix(".npz").write_bytes(out.getvalue())
    changed(path, sha256=hashlib.sha256(out.getvalue()).hexdigest())


def changed(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_what_is_written_is_read(small: Model, card: Path) -> None:
    found = load(card)
    wanted, got = arrays_of(small), arrays_of(found)
    assert list(wanted) == list(got)
    for name, array in wanted.items():
        assert array.dtype == got[name].dtype, name
        assert array.tobytes() == got[name].tobytes(), name
    for name in ("kind", "gate", "leaves", "prior", "temperature", "fire", "per_m"):
        assert getattr(found, name) == getattr(small, name), name
    assert found.digest == hashlib.sha256(card.read_bytes()).hexdigest()
    assert json.loads(card.read_text())["about"] == "a test"


def test_the_same_model_gives_the_same_bytes(small: Model, card: Path, tmp_path: Path) -> None:
    again = save(tmp_path / "again", "small", small, {"about": "a test"})
    for suffix in (".json", ".npz"):
        assert again.with_suffix(suffix).read_bytes() == card.with_suffix(suffix).read_bytes()


@pytest.mark.parametrize("where", [0.02, 0.5, 0.98])
def test_one_flipped_byte_is_refused_by_the_files_name(card: Path, where: float) -> None:
    arrays = card.with_suffix(".npz")
    data = bytearray(arrays.read_bytes())
    data[int(where * len(data))] ^= 1
    arrays.write_bytes(data)
    with pytest.raises(ModelError, match=r"small\.npz is not the file its card names"):
        load(card)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_missing_file_is_named(card: Path, suffix: str) -> None:
    card.with_suffix(suffix).unlink()
    with pytest.raises(ModelError, match="small"):
        load(card)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"{}"])
def test_a_card_that_is_none_is_named(card: Path, text: bytes) -> None:
    card.write_bytes(text)
    with pytest.raises(ModelError, match=r"small\.json cannot be read as a model"):
        load(card)


@pytest.mark.parametrize("gone", ["sha256", "gate", "leaves", "prior", "fire", "features", "per_m"])
def test_a_card_without_an_entry_is_named(card: Path, gone: str) -> None:
    tree = json.loads(card.read_text())
    del tree[gone]
    card.write_text(json.dumps(tree))
    with pytest.raises(ModelError, match=rf"small\.json .*{gone}"):
        load(card)


def test_a_card_of_another_schema_says_which(card: Path) -> None:
    changed(card, schema="rhc-model/0")
    with pytest.raises(ModelError, match=r"rhc-model/0.*train it again"):
        load(card)


def test_other_features_or_another_order_of_them_are_refused(card: Path) -> None:
    names = json.loads(card.read_text())["features"]
    for other in (names[:-1], [*names, "one_more"], [names[1], names[0], *names[2:]]):
        changed(card, features=other)
        with pytest.raises(ModelError, match="other features"):
            load(card)


def test_a_phones_model_is_no_boxs(card: Path) -> None:
    for kind in ("box", "kite"):
        changed(card, kind=kind)
        with pytest.raises(ModelError, match="other features"):
            load(card)


class Trap:
    """Runs code where somebody unpickles it."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.write_text, (self.proof, "unpickled")


def test_nothing_is_unpickled(small: Model, card: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    trap = np.empty(1, dtype=object)
    trap[0] = Trap(proof)
    packed(card, {**arrays_of(small), "knots": trap})
    with pytest.raises(ModelError, match=r"small\.json cannot be read as a model"):
        load(card)
    assert not proof.exists()


def test_a_file_too_large_is_not_read(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(ModelError, match=r"small\.npz has more than"):
        load(card)


def looping(small: Model) -> dict[str, Any]:
    """Its first tree points at itself: a walk would never end."""
    left = small.detect.left.copy()
    left[0] = 0
    return {"detect.left": left}


def outside(small: Model) -> dict[str, Any]:
    right = small.kinds.right.copy()
    right[0] = len(right)
    return {"kinds.right": right}


def unknown_column(small: Model) -> dict[str, Any]:
    feature = small.size.feature.copy()
    feature[0] = 10_000
    return {"size.feature": feature}


@pytest.mark.parametrize("damage", [looping, outside, unknown_column])
def test_trees_that_lead_astray_are_refused(small: Model, card: Path, damage: Callable[[Model], Any]) -> None:
    packed(card, {**arrays_of(small), **damage(small)})
    with pytest.raises(ModelError, match=r"small\.json cannot be read as a model \(a tree"):
        load(card)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shares", np.array([0.5, 0.5])),
        ("knots", np.array([[0.0, 0.0], [1.0, 2.0]])),
        ("knots", np.array([[0.0, 1.0], [2.0, 1.0]])),
        ("quiet", np.full((3, 4, 3), 0.5)),
        ("rough", np.array([0.0])),
    ],
)
def test_parts_that_do_not_fit_are_refused(small: Model, card: Path, name: str, value: np.ndarray) -> None:
    packed(card, {**arrays_of(small), name: value})
    with pytest.raises(ModelError, match="do not fit together"):
        load(card)


@pytest.mark.parametrize(
    "entry", [{"prior": 0.0}, {"prior": 1.0}, {"fire": 1.5}, {"temperature": 0.0}, {"temperature": float("nan")}]
)
def test_figures_out_of_bounds_are_refused(card: Path, entry: dict[str, float]) -> None:
    changed(card, **entry)
    with pytest.raises(ModelError, match="do not fit together"):
        load(card)


def test_a_chance_of_nothing_is_refused(small: Model, card: Path) -> None:
    """Silence that cannot be would have an endless logarithm."""
    quiet = small.quiet.copy()
    quiet[0, 0, 0] = 0.0
    packed(card, {**arrays_of(small), "quiet": quiet})
    with pytest.raises(ModelError, match="do not fit together"):
        load(card)


def test_a_type_that_there_is_not_is_named(card: Path) -> None:
    leaves = json.loads(card.read_text())["leaves"]
    changed(card, leaves=[["sinkhole", ""], *leaves[1:]])
    with pytest.raises(ModelError, match="sinkhole"):
        load(card)


def test_calibration_rises_with_the_score_and_ends_at_its_knots(small: Model) -> None:
    raw = np.linspace(-50, 50, 1001)
    odds = small.log_odds(raw)
    assert (np.diff(odds) >= 0).all()
    assert (odds[0], odds[-1]) == (small.knots[1, 0], small.knots[1, -1])
    assert replace(small, knots=small.knots * 2).log_odds(np.array([1.6]))[0] == 2 * small.knots[1, -1]
