"""What every recogniser keeps to, the shipped ones and a small one alike: pure, the same bits in any batch, silent
where it cannot know, and never surer than one pass may be."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from defects import load_model, shipped_models
from defects.model import Model, ModelError, load, save
from defects.recognise import MOST_SURE, recognise
from defects.shipped import model_digests, shipped
from defects.told import SPEED_EDGES_MPS, Told
from ingest import Chunk, City

from ..roads import straight
from .models import equipped, tiny

CARDS = sorted(shipped_models().glob("*.json"))


@pytest.fixture(scope="module", params=["tiny box", "tiny phone", *(card.stem for card in CARDS)])
def model(request: pytest.FixtureRequest) -> Model:
    name = str(request.param)
    if name.startswith("tiny"):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed (make research)")
        return tiny(name.split()[1])
    return load_model(shipped_models() / f"{name}.json")


def drive(city: City, model: Model, count: int = 6) -> list[Chunk]:
    """Chunks that differ: jolts and roads of chance, every other one with all senses, some without gyroscope."""
    rng = np.random.default_rng(4)
    chunks = []
    for i in range(count):
        jolts = tuple((float(t), float(g), 1.0) for t, g in zip(rng.uniform(0.3, 4.7, 3), (0.3, 0.7, 1.2), strict=True))
        chunk = straight(city, jolts=jolts)
        noise = rng.normal(0, 0.01 * (1 + i) * 512, chunk.acc_counts.shape)
        chunk = replace(chunk, acc_counts=(chunk.acc_counts + noise).astype(np.int16))
        if i % 3 == 2:
            chunk = replace(chunk, gyro_counts=None, gyro_scale_radps=0.0)
        if i % 2 == 0 and model.kind == "box":
            chunk = equipped(chunk, i)
        chunks.append(chunk)
    return chunks


def speeds(chunks: Sequence[Chunk], mps: float = 10.0) -> list[np.ndarray]:
    return [np.full(len(c.acc_counts), mps) for c in chunks]


def bits(told: Told) -> list[bytes]:
    """All that was told, bit for bit."""
    values = [getattr(told, f.name) for f in fields(told)]
    return [v.tobytes() if isinstance(v, np.ndarray) else repr(v).encode() for v in values]


def inputs(chunks: Sequence[Chunk], mps: Sequence[np.ndarray]) -> list[bytes]:
    found = [v.tobytes() for v in mps]
    for c in chunks:
        found.append(c.acc_counts.tobytes())
        found += [] if c.gyro_counts is None else [c.gyro_counts.tobytes()]
        found += [] if c.laser is None else [c.laser.height_counts.tobytes()]
        found += [] if c.bands is None else [c.bands.level_db.tobytes()]
    return found


def test_it_is_pure(city: City, model: Model) -> None:
    chunks = drive(city, model)
    mps = speeds(chunks)
    before = inputs(chunks, mps)
    first = [bits(t) for t in recognise(chunks, mps, model.kind, model)]
    again = [bits(t) for t in recognise(chunks, mps, model.kind, model)]
    assert first == again
    assert inputs(chunks, mps) == before


def test_one_alone_says_what_it_says_among_many(city: City, model: Model) -> None:
    chunks = drive(city, model)
    together = recognise(chunks, speeds(chunks), model.kind, model)
    backwards = recognise(chunks[::-1], speeds(chunks), model.kind, model)[::-1]
    assert sum(len(t.t_s) for t in together) >= len(chunks)
    for chunk, one, other in zip(chunks, together, backwards, strict=True):
        (alone,) = recognise([chunk], speeds([chunk]), model.kind, model)
        assert bits(alone) == bits(one) == bits(other)


def test_what_is_told_can_be_believed(city: City, model: Model) -> None:
    chunks = drive(city, model)
    for chunk, told in zip(chunks, recognise(chunks, speeds(chunks), model.kind, model), strict=True):
        n = len(told.t_s)
        assert ((told.t_s >= chunk.start_s) & (told.t_s < chunk.end_s)).all()
        assert (np.diff(told.t_s) > 0).all()
        assert ((told.p > 0) & (told.p < 1)).all()
        assert (np.abs(told.log_ratio) <= MOST_SURE).all()
        assert told.kinds.shape == (n, len(told.leaves))
        np.testing.assert_allclose(told.kinds.sum(axis=1), 1.0, atol=1e-9)
        assert (np.isfinite(told.height_mm) & (told.height_mm >= 0)).all()
        assert ((told.detect >= 0) & (told.detect < 1)).all()
        assert (told.fires == (told.p >= model.fire)).all()


def test_surer_than_one_pass_may_be_it_never_is(city: City, model: Model) -> None:
    """However steep the calibration, either way."""
    chunks = drive(city, model)
    for sign, bound in ((1.0, MOST_SURE), (-1.0, -MOST_SURE)):
        steep = replace(model, knots=np.array([[-1e3, 1e3], [sign * 500.0 - 1, sign * 500.0]]))
        told = recognise(chunks, speeds(chunks), model.kind, steep)
        ratios = np.concatenate([t.log_ratio for t in told])
        assert len(ratios) > 0
        assert (ratios == bound).all()


@pytest.mark.parametrize("gone", [("gyro_counts",), ("laser",), ("bands",), ("gyro_counts", "laser", "bands")])
def test_a_missing_sense_is_no_fault(city: City, model: Model, gone: tuple[str, ...]) -> None:
    chunks = [replace(c, **dict.fromkeys(gone)) for c in drive(city, model)]
    told = recognise(chunks, speeds(chunks), model.kind, model)
    assert sum(len(t.t_s) for t in told) > 0
    for one in told:
        for values in (one.p, one.log_ratio, one.kinds, one.height_mm, one.score):
            assert np.isfinite(values).all()


def test_a_box_hears_its_senses_and_a_phone_has_none(city: City, model: Model) -> None:
    """What a box's laser saw changes what is told, or leaving it out would prove nothing."""
    chunk = equipped(straight(city), 1)
    seen, blind = (
        recognise([c], speeds([c]), model.kind, model)[0] for c in (chunk, replace(chunk, laser=None, bands=None))
    )
    assert len(seen.t_s) > len(blind.t_s) if model.kind == "box" else bits(seen) == bits(blind)


def test_below_fifteen_kilometres_an_hour_nothing_is_told(city: City, model: Model) -> None:
    chunks = [replace(c, laser=None) for c in drive(city, model)]
    slow = recognise(chunks, speeds(chunks, SPEED_EDGES_MPS[0] - 0.01), model.kind, model)
    assert sum(len(t.t_s) for t in slow) == 0
    lined = drive(city, model)
    assert sum(len(t.t_s) for t in recognise(lined, speeds(lined, 4.0), model.kind, model)) == 0
    assert sum(len(t.t_s) for t in recognise(chunks, speeds(chunks, 4.3), model.kind, model)) > 0


def test_nothing_in_nothing_out(model: Model) -> None:
    assert recognise([], [], model.kind, model) == []


def test_a_model_of_the_other_kind_is_refused(city: City, model: Model) -> None:
    other = {"box": "phone", "phone": "box"}[model.kind]
    with pytest.raises(ValueError, match=f"a model of a {model.kind} cannot judge a {other}"):
        recognise([straight(city)], speeds([straight(city)]), other, model)


def test_it_survives_its_file(city: City, model: Model, tmp_path: Path) -> None:
    """What was saved judges as what was trained."""
    chunks = drive(city, model, 3)
    found = load(save(tmp_path, "again", model, {}))
    for a, b in zip(*(recognise(chunks, speeds(chunks), model.kind, m) for m in (model, found)), strict=True):
        assert bits(a) == bits(b)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_a_shipped_model_is_what_its_card_names(card: Path, tmp_path: Path) -> None:
    """No pickle anywhere: plain arrays alone, and of those only the file with the card's own hash."""
    assert {p.suffix for p in card.parent.iterdir()} == {".json", ".npz"}
    with np.load(card.with_suffix(".npz"), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "fiu" for name in arrays.files)
    assert load_model(card).digest == model_digests({"x": card.stem})["x"]
    copy = Path(shutil.copy(card, tmp_path))
    others = [c for c in CARDS if c != card]
    for other in others:
        shutil.copy(other.with_suffix(".npz"), copy.with_suffix(".npz"))
        with pytest.raises(ModelError, match="not the file its card names"):
            load(copy)


@pytest.mark.parametrize("name", ["../box", "box.json", "", "/etc/passwd"])
def test_a_models_name_leads_nowhere_else(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a model"):
        shipped(name)
