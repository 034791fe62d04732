"""Labelled clips of vertical acceleration: which of the kinds of road is it? Whole clips, and crops of fixed length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .clip_features import CROP, centre_crop, clip_features, crop_features, random_piece
from .figures import Bin, Names, Table, confusion, grouped_folds, interval, macro_f1, reliability
from .models import Averaged, balanced_weights
from .real_data import Clip, RealDataError, read_clip_file, read_clips


@dataclass(frozen=True)
class Effort:
    """How much is computed for a score.

    folds: fewer, and less is learnt from. splits: into folds, whose scores are averaged; fewer, and luck of the split
    shows (some .02). pieces: random pieces of each training clip; fewer, and the place of a bump in its clip is learnt.
    trees: fewer, and two seeds differ. More of each only takes time.
    """

    folds: int = 5
    splits: int = 3
    pieces: int = 4
    trees: int = 250


FULL = Effort()
QUICK = Effort(splits=1, pieces=2, trees=100)

_AUGMENT, _CUT = 43, 44
_NONE = np.zeros((0, 0, 0))


@dataclass(frozen=True, eq=False)
class ClipScores:
    """Scores of clips. whole_f1, crop_f1: macro-F1, means over splits; spreads: standard deviations over splits (None
    with one); intervals: 95 %, over groups. cut_f1: whole clips cut to random lengths before they are scored, a
    control: if length leaked, it would fall. baselines: macro-F1 of a rule from one figure."""

    clips: int
    groups: int
    whole_f1: float
    crop_f1: float
    cut_f1: float
    whole_spread: float | None
    crop_spread: float | None
    whole_interval: tuple[float, float] | None
    crop_interval: tuple[float, float] | None
    labels: tuple[str, ...]
    whole_confusion: NDArray[np.int64]
    crop_confusion: NDArray[np.int64]
    crop_reliability: tuple[Bin, ...]
    baselines: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Views:
    """What models see of clips: the centre crop (n, m) and the whole (n, k) as scored, the same cut short as control;
    for training crops (n, pieces, m) and pieces (n, pieces, k) from random places."""

    centre: Table
    whole: Table
    cut: Table
    crops: NDArray[np.float64]
    pieces: NDArray[np.float64]
    labels: Names
    groups: Names


def _views(clips: Sequence[Clip], seed: int, pieces_each: int) -> _Views:
    augment, cutting = (np.random.default_rng([seed, purpose]) for purpose in (_AUGMENT, _CUT))
    accs = [clip.acc_mps2 for clip in clips]
    crops = [_near_centre(a, pieces_each, augment) for a in accs]
    pieces = [clip_features(random_piece(a, augment)) for a in accs for _ in range(pieces_each)]
    return _Views(
        centre=crop_features(np.stack([centre_crop(a) for a in accs])),
        whole=np.stack([clip_features(a) for a in accs]),
        cut=np.stack([clip_features(random_piece(a, cutting)) for a in accs]),
        crops=crop_features(np.concatenate(crops)).reshape(len(accs), pieces_each, -1) if pieces else _NONE,
        pieces=np.array(pieces).reshape(len(accs), pieces_each, -1) if pieces else _NONE,
        labels=np.array([clip.label for clip in clips]),
        groups=np.array([clip.group for clip in clips]),
    )


def _near_centre(acc_mps2: NDArray[np.float64], count: int, rng: np.random.Generator) -> Table:
    """``count`` crops whose middle is within .4 s of the clip's, for training: what is scored is the centre crop."""
    middle = (len(acc_mps2) - CROP) // 2
    starts = np.clip(middle + rng.integers(-20, 21, count), 0, max(0, len(acc_mps2) - CROP))
    if len(acc_mps2) <= CROP:
        return np.repeat(centre_crop(acc_mps2)[None], count, axis=0)
    return np.asarray(acc_mps2[starts[:, None] + np.arange(CROP)])


def _learnt(views: _Views, rows: NDArray[np.int64], pieces: bool, seed: int, trees: int) -> Averaged:
    table = (views.pieces if pieces else views.crops)[rows]
    labels, groups = np.repeat(views.labels[rows], table.shape[1]), np.repeat(views.groups[rows], table.shape[1])
    # A crop tells less than a clip: what is learnt from crops is held back more.
    model = Averaged(seed, trees) if pieces else Averaged(seed, trees, leaf=4, svm_c=1.0, logistic_c=0.01)
    return model.fit(table.reshape(-1, table.shape[2]), labels, balanced_weights(labels, groups))


def cross_validated(clips: Sequence[Clip], seed: int, effort: Effort = FULL) -> ClipScores:
    """Scores by grouped folds inside ``clips``, averaged over splits. Raises RealDataError where there are too few
    groups, ResearchExtraMissing."""
    labels = _labels(clips)
    for label in labels:
        if len({clip.group for clip in clips if clip.label == label}) < 2:
            raise RealDataError(f"clips of {label} are all of one group: to score them, two groups are needed")
    views = _views(clips, seed, effort.pieces)
    said = [_by_folds(views, labels, seed * 1000 + split, effort) for split in range(effort.splits)]
    return _scores(views, labels, said, _baseline_by_folds(views, clips, seed, effort.folds))


def _by_folds(views: _Views, labels: Sequence[str], seed: int, effort: Effort) -> tuple[Table, Table, Table]:
    """Probabilities of whole clips, centre crops and cut clips, each by models that saw no clip of its group."""
    fold_of = grouped_folds(views.labels, views.groups, effort.folds, seed)
    out = [np.zeros((len(views.labels), len(labels))) for _ in range(3)]
    for fold in np.unique(fold_of):
        rows, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        for answer, p in zip(out, _answers(views, rows, views, held, labels, seed, effort.trees), strict=True):
            answer[held] = p
    return out[0], out[1], out[2]


def _answers(
    train: _Views,
    rows: NDArray[np.int64],
    test: _Views,
    held: NDArray[np.int64],
    labels: Sequence[str],
    seed: int,
    trees: int,
) -> tuple[Table, Table, Table]:
    on_pieces, on_crops = (_learnt(train, rows, whole, seed, trees) for whole in (True, False))
    return (
        on_pieces.probabilities(test.whole[held], labels),
        on_crops.probabilities(test.centre[held], labels),
        on_pieces.probabilities(test.cut[held], labels),
    )


def fitted_and_scored(
    train: Sequence[Clip], test: Sequence[Clip], seed: int, effort: Effort = FULL
) -> ClipScores:
    """Scores of ``test`` by models that learnt from all of ``train``. Raises RealDataError where a label of the test
    was never learnt, ResearchExtraMissing."""
    labels = _labels(train)
    strange = sorted({clip.label for clip in test} - set(labels))
    if strange:
        raise RealDataError(f"the test's clips have labels that the training folder lacks: {', '.join(strange)}")
    seen, asked = _views(train, seed, effort.pieces), _views(test, seed, 0)
    everything, held = np.arange(len(train)), np.arange(len(test))
    said = [
        _answers(seen, everything, asked, held, labels, seed * 1000 + k, effort.trees) for k in range(effort.splits)
    ]
    rules = {name: _rule(_figure(train, name), seen.labels) for name in _FIGURES}
    baselines = {name: macro_f1(asked.labels, _apply(rules[name], _figure(test, name))) for name in _FIGURES}
    # The models of several seeds answer together: there is one split, so nothing to average over.
    together = tuple(np.mean([answers[k] for answers in said], axis=0) for k in range(3))
    return _scores(asked, labels, [(together[0], together[1], together[2])], baselines)


def sim_only(sim_clips: Path, real: Path, seed: int = 1) -> float:
    """Macro-F1 on the centre crops of all clips of ``real`` (a folder, or a file) by a model that learnt from
    the simulated clips of ``sim_clips`` alone. Raises RealDataError, ResearchExtraMissing."""
    simulated = read_clip_file(sim_clips)
    clips = read_clips(real) if real.is_dir() else read_clip_file(real)
    if not clips:
        raise RealDataError(f"{real} holds no gonzalez2017/clips.csv.gz")
    labels = _labels(simulated)
    truth = np.array([clip.label for clip in clips])
    if not set(truth) <= set(labels):
        raise RealDataError(f"{sim_clips} lacks clips of {', '.join(sorted(set(truth) - set(labels)))}")
    rng = np.random.default_rng([seed, _AUGMENT])
    learnt = np.repeat([clip.label for clip in simulated], FULL.pieces)
    crops = np.concatenate([_near_centre(clip.acc_mps2, FULL.pieces, rng) for clip in simulated])
    model = Averaged(seed, leaf=5, svm_c=0.5, logistic_c=0.005).fit(
        crop_features(crops), learnt, balanced_weights(learnt, np.arange(len(learnt)).astype(str))
    )
    p = model.probabilities(crop_features(np.stack([centre_crop(clip.acc_mps2) for clip in clips])), labels)
    return macro_f1(truth, np.array(labels)[p.argmax(axis=1)])


def _labels(clips: Sequence[Clip]) -> tuple[str, ...]:
    return tuple(sorted({clip.label for clip in clips}))


def _scores(
    views: _Views, labels: Sequence[str], said: Sequence[tuple[Table, Table, Table]], baselines: dict[str, float]
) -> ClipScores:
    names = np.array(labels)
    answers = [[names[p.argmax(axis=1)] for p in split] for split in said]
    truth = views.labels
    scores = np.array([[macro_f1(truth, answer) for answer in split] for split in answers])
    many = len(said) > 1
    whole, crop = answers[0][0], answers[0][1]
    p = said[0][1]
    return ClipScores(
        clips=len(truth),
        groups=len(np.unique(views.groups)),
        whole_f1=float(scores[:, 0].mean()),
        crop_f1=float(scores[:, 1].mean()),
        cut_f1=float(scores[:, 2].mean()),
        whole_spread=float(scores[:, 0].std(ddof=1)) if many else None,
        crop_spread=float(scores[:, 1].std(ddof=1)) if many else None,
        whole_interval=interval(lambda i: macro_f1(truth[i], whole[i]), views.groups, 0),
        crop_interval=interval(lambda i: macro_f1(truth[i], crop[i]), views.groups, 0),
        labels=tuple(labels),
        whole_confusion=confusion(truth, whole, labels),
        crop_confusion=confusion(truth, crop, labels),
        crop_reliability=reliability(p.max(axis=1), crop == truth),
        baselines=baselines,
    )


_FIGURES = ("peak_over_running_rms", "clip_length")


def _figure(clips: Sequence[Clip], name: str) -> NDArray[np.float64]:
    """One figure of each clip (n,): the peak of the centre crop over the RMS of the clip around it, or its length."""
    if name == "clip_length":
        return np.array([float(len(clip.acc_mps2)) for clip in clips])
    crops = np.stack([centre_crop(clip.acc_mps2) - clip.acc_mps2.mean() for clip in clips])
    around = np.array([clip.acc_mps2.std() for clip in clips])
    return np.asarray(np.abs(crops).max(axis=1) / (around + 1e-3), dtype=np.float64)


def _rule(figure: NDArray[np.float64], labels: Names) -> tuple[NDArray[np.float64], Names]:
    """The rule from one figure: eighths of its range as learnt, each with the label most over-represented in it."""
    edges = np.quantile(figure, np.linspace(0, 1, 9)[1:-1])
    at = np.searchsorted(edges, figure)
    names = np.unique(labels)
    share = np.stack([np.bincount(at[labels == n], minlength=8) / (labels == n).sum() for n in names])
    return edges, names[share.argmax(axis=0)]


def _apply(rule: tuple[NDArray[np.float64], Names], figure: NDArray[np.float64]) -> Names:
    return np.asarray(rule[1][np.searchsorted(rule[0], figure)])


def _baseline_by_folds(views: _Views, clips: Sequence[Clip], seed: int, folds: int) -> dict[str, float]:
    fold_of = grouped_folds(views.labels, views.groups, folds, seed * 1000)
    scores = {}
    for name in _FIGURES:
        figure, said = _figure(clips, name), views.labels.copy()
        for fold in np.unique(fold_of):
            held = fold_of == fold
            said[held] = _apply(_rule(figure[~held], views.labels[~held]), figure[held])
        scores[name] = macro_f1(views.labels, said)
    return scores
