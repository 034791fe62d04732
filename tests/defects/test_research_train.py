"""A very small training from end to end on simulated drives: it tells holes from healthy road, keeps the order of its
scores, and gives the same bytes twice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from defects import load_model
from defects.gate import GATE_PHONE
from defects.model import Model
from defects.research import DrivesError, TrainOptions, trained, training_sets
from defects.research import train as module
from defects.research.drives import ACT, HEALTHY, LOOK_ALIKE, Candidates, candidates_of
from defects.research.fit import FitOptions
from defects.research.measures import alarms, average_precision
from defects.research.sets import DriveSet, benchmark_sets
from defects.research.train import score_of, strangers, visible
from defects.senses import feature_names
from defects.taxonomy import BY_KEY, LEAVES, SUPERCLASS_OF
from ingest import City
from sensors_sim.ground_command import main as ground

pytest.importorskip("sklearn", reason="scikit-learn is not installed (make research)")

SCALE = 0.02
JUDGE = DriveSet("judge", "first", "mixed", "phone", 30, 77)
FEW = FitOptions(rounds=25, leaves=8, rate=0.15, least=15)
OPTIONS = TrainOptions(seed=3, detect=FEW, kinds=FEW, size=FEW, fold_detect=FEW, folds=2)


@dataclass(frozen=True)
class School:
    """What a small training left: the drives' folder, the card's path, the model, and candidates it never saw."""

    root: Path
    card: Path
    model: Model
    judged: Candidates


def small(root: Path, out: Path, city: City) -> tuple[Path, Model]:
    """A training on few kilometres, with kinds learnt from as few candidates as there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LEAST_OF_A_KIND", 12)
        patch.setattr("defects.research.fit.BINS", 12)
        path, model, _ = trained(root, out, city, "phone", OPTIONS, SCALE, lambda _: None)
    return path, model


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory, city: City) -> School:
    root = tmp_path_factory.mktemp("school")
    for one in (*training_sets("phone", SCALE), JUDGE):
        assert ground(["--out", str(root / one.name), *one.arguments()]) == 0
    card, model = small(root, root / "models", city)
    return School(root, card, model, candidates_of(root / JUDGE.name, city, GATE_PHONE))


def test_it_loads_and_its_card_says_what_it_is_made_of(school: School) -> None:
    assert load_model(school.card).leaves == school.model.leaves
    card = json.loads(school.card.read_text())
    assert card["features"] == list(feature_names("phone"))
    assert [d["name"] for d in card["data"]] == [s.name for s in training_sets("phone", SCALE)]
    assert card["options"]["detect"]["rounds"] == FEW.rounds
    assert card["candidates"]["learnt"] > card["candidates"]["defects"] > 100
    assert len(card["limits"]) >= 4


def auc(high: np.ndarray, low: np.ndarray) -> float:
    """Chance that one of ``high`` is above one of ``low``; equal ones count half."""
    return float(np.mean((high[:, None] > low) + 0.5 * (high[:, None] == low)))


def test_severe_holes_stand_above_healthy_road(school: School) -> None:
    c = school.judged
    score = score_of(school.model, c.rows)
    hole = np.array([SUPERCLASS_OF.get(leaf) == "hole" for leaf in LEAVES] + [False])
    severe = hole[np.where(c.label >= 0, c.label, -1)] & (c.meetings.grade[c.meeting] == 2)
    assert severe.sum() >= 8
    assert (c.label == HEALTHY).sum() >= 50
    assert auc(score[severe], score[c.label == HEALTHY]) > 0.8
    # It is no accident of which rows lie where: the gate alone does worse than the trees.
    assert average_precision(score, c.label >= 0) > average_precision(c.score, c.label >= 0)


def test_calibration_keeps_the_order_of_scores(school: School) -> None:
    raw = school.model.detect.sums(school.judged.rows)[:, 0]
    score = score_of(school.model, school.judged.rows)
    order = np.argsort(raw, kind="stable")
    assert (np.diff(score[order]) >= 0).all()
    assert len(np.unique(score)) == len(np.unique(raw))  # steps of the calibration make no ties
    assert (np.diff(school.model.log_odds(raw)[order]) >= 0).all()


def test_probabilities_are_at_the_natural_share(school: School) -> None:
    """Half a defect a km, not the dozens that drives to learn from have."""
    p = 1 / (1 + np.exp(-school.model.knots[1]))
    assert school.model.prior < 0.05
    assert p[0] < school.model.prior < p[-1]


def test_a_finding_is_one_false_one_a_km_on_healthy_road(school: School, city: City) -> None:
    c = candidates_of(school.root / training_sets("phone", SCALE)[-1].name, city, GATE_PHONE)
    score = score_of(school.model, c.rows)
    at = np.log(school.model.fire / (1 - school.model.fire))
    rung = alarms(c.t_s, c.trip, score)
    assert (rung > at + 1e-6).sum() <= c.km
    assert len(rung) > c.km


def test_a_second_training_gives_the_same_bytes(school: School, city: City) -> None:
    again, _ = small(school.root, school.root / "again", city)
    assert again.read_bytes() == school.card.read_bytes()
    assert again.with_suffix(".npz").read_bytes() == school.card.with_suffix(".npz").read_bytes()


def test_calibration_is_on_vehicles_that_were_left_out(
    school: School, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every candidate used is judged once, and none of what its device cannot see is counted a defect."""
    monkeypatch.setattr("defects.research.fit.BINS", 12)
    sets = {s.name: s for s in training_sets("phone", SCALE)}
    found = {n: candidates_of(school.root / n, city, GATE_PHONE, silence=s.what == "healthy") for n, s in sets.items()}
    damaged = [(c, ("imu",)) for n, c in found.items() if "varied" in n]
    healthy = [(c, ("imu",)) for n, c in found.items() if n.startswith("calibrate-first-healthy")]
    raw, truth, weight = strangers((damaged, healthy), OPTIONS, lambda _: None)
    seen = sum(int(((c.label >= 0) & visible(c.label, ("imu",))).sum()) for c, _ in damaged)
    harmless = sum(int(np.isin(c.label, (HEALTHY, LOOK_ALIKE, ACT)).sum()) for c, _ in healthy)
    assert (truth.sum(), (~truth).sum()) == (seen, harmless)
    assert (weight[~truth] == 1).all()
    assert 0 < weight[truth].max() < 1
    assert auc(raw[truth], raw[~truth]) > 0.7


def test_what_silence_says_lies_between_never_and_always(school: School) -> None:
    quiet = school.model.quiet
    assert ((quiet >= 0.005) & (quiet <= 1)).all()
    assert (np.diff(school.model.rough) > 0).all()
    assert quiet[BY_KEY["pothole"].number].mean() < quiet[BY_KEY["rutting"].number].mean()  # no wheel feels a rut


def test_drives_of_other_arguments_are_not_learnt_from(school: School, city: City, tmp_path: Path) -> None:
    with pytest.raises(DrivesError, match="was made with other arguments"):
        trained(school.root, tmp_path, city, "phone", OPTIONS, 10 * SCALE, lambda _: None)
    with pytest.raises(DrivesError, match="make them with"):
        trained(tmp_path, tmp_path, city, "phone", OPTIONS, SCALE, lambda _: None)
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("device", ["box", "phone"])
def test_nothing_is_judged_on_what_was_learnt(device: str) -> None:
    """Other seeds everywhere, and the second physics in no training."""
    learnt, judged = training_sets(device), (*benchmark_sets(device), *benchmark_sets(device, quick=True))
    assert {s.physics for s in learnt} == {"first"}
    assert not {s.seed for s in learnt} & {s.seed for s in judged}
    assert len({s.seed for s in learnt}) == len(learnt)
    assert not {s.name for s in learnt} & {s.name for s in judged}
