"""Car trips with marked potholes, and drives over roads of one grade: scores over whole trips and drives left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest import recordings

from .drive_features import DrivePieces, drive_pieces, speed_law
from .figures import Bin, Series, Table, area_under_roc, average_precision, f1, interval, reliability
from .models import Averaged
from .real_data import GradedDrive, RealDataError, Trip
from .trip_features import TripPieces, trip_pieces

BAD_GRADE = 3
_BLOCK_S = 20.0  # pieces drawn together in a bootstrap: neighbours are not independent; a block of a street's length
_YES = "yes"


@dataclass(frozen=True)
class TripScores:
    """Scores of pieces of 2 s of trips. ap, auc: of the model, pooled over trips; ap_by_trip; interval: 95 %, over
    blocks of 20 s. baselines: average precision of one figure each. reliability: at the share of marked pieces among
    what was learnt."""

    trips: int
    pieces: int
    marked: int
    ap: float
    auc: float
    ap_by_trip: dict[str, float]
    ap_interval: tuple[float, float] | None
    baselines: dict[str, float]
    reliability: tuple[Bin, ...]


@dataclass(frozen=True)
class DriveScores:
    """Scores of pieces of 4 s of drives, bad (grade 3) against the rest. f1, auc: pooled over drives. bad_by_drive:
    share called bad. shuffled_f1: the same drives with their samples in random order: what strength alone gives.
    speed_only_f1: what speed alone would give, which is confounded with the grade and is not fed. similar_speed_auc:
    of pieces driven at 7 to 14 m/s only. always_f1: everything called bad."""

    drives: int
    pieces: int
    bad: int
    f1: float
    auc: float
    bad_by_drive: dict[str, float]
    f1_interval: tuple[float, float] | None
    shuffled_f1: float
    speed_only_f1: float
    similar_speed_auc: float
    always_f1: float
    peak_ratio_auc: float


def score_trips(train: Sequence[Trip], test: Sequence[Trip] | None, seed: int, trees: int = 250) -> TripScores:
    """With ``test`` None one trip of ``train`` is left out at a time. Raises RealDataError where nothing is marked or
    too little is there, ResearchExtraMissing."""
    learnt = [trip_pieces(t) for t in train]
    if test is None:
        if len(train) < 2:
            raise RealDataError(f"one trip ({train[0].name}) cannot be left out of itself: two are needed")
        asked, names = learnt, [t.name for t in train]
        others = [learnt[:k] + learnt[k + 1 :] for k in range(len(learnt))]
        scores = [_marked(kept, [p], seed, trees)[0] for kept, p in zip(others, learnt, strict=True)]
    else:
        asked, names = [trip_pieces(t) for t in test], [t.name for t in test]
        others = [learnt] * len(asked)
        scores = _marked(learnt, asked, seed, trees)
    truth, score = np.concatenate([p.marked for p in asked]), np.concatenate(scores)
    said = np.concatenate(
        [_at_share(q, np.concatenate([p.marked for p in kept])) for q, kept in zip(scores, others, strict=True)]
    )
    if not truth.any():
        raise RealDataError(f"no pothole is marked inside the trips {', '.join(names)}")
    blocks = np.array([f"{n} {t // _BLOCK_S:.0f}" for n, p in zip(names, asked, strict=True) for t in p.start_s])
    figures = {
        "max_vertical": [p.peak_g for p in asked],
        "peak_over_running_rms": [p.ratio for p in asked],
        "pothole_patrol_like": [p.patrol for p in asked],
    }
    return TripScores(
        trips=len(asked),
        pieces=len(truth),
        marked=int(truth.sum()),
        ap=average_precision(truth, score),
        auc=area_under_roc(truth, score),
        ap_by_trip={n: average_precision(p.marked, q) for n, p, q in zip(names, asked, scores, strict=True)},
        ap_interval=interval(lambda i: average_precision(truth[i], score[i]), blocks, seed),
        baselines={name: average_precision(truth, np.concatenate(values)) for name, values in figures.items()},
        reliability=reliability(said, truth),
    )


def _marked(learnt: Sequence[TripPieces], asked: Sequence[TripPieces], seed: int, trees: int) -> list[Series]:
    """How likely a pothole is marked in each piece, had both kinds been as frequent. Learnt so, scores by models
    of different trips can be ranked together: how many marked pieces each of them learnt would shift them."""
    table, marked = np.vstack([p.table for p in learnt]), np.concatenate([p.marked for p in learnt])
    even = np.ones(len(marked))
    return [_said(p.table, table, marked, even, seed, 0.01, ("trees", "logistic"), trees) for p in asked]


def _at_share(even: Series, marked: NDArray[np.bool_]) -> Series:
    """The same, brought back to how often pieces were marked in what was learnt: probabilities to be believed."""
    share = float(marked.mean())
    return np.asarray(even * share / (even * share + (1 - even) * (1 - share)), dtype=np.float64)


def score_drives(train: Sequence[GradedDrive], test: Sequence[GradedDrive] | None, seed: int) -> DriveScores:
    """With ``test`` None one drive of ``train`` is left out at a time. Raises RealDataError where one of the two kinds
    is missing from what is learnt, ResearchExtraMissing."""
    learnt = _pieces(train)
    asked_drives = train if test is None else test
    asked = learnt if test is None else _pieces(asked_drives)
    chance = _pieces([GradedDrive(d.grade, recordings.shuffled(d.drive, seed)) for d in asked_drives])
    bad = [d.grade == BAD_GRADE for d in train]
    if test is None and not 2 <= sum(bad) <= len(bad) - 2:
        raise RealDataError("to leave one drive out, two bad drives (q3) and two others are needed")
    of_road, of_chance, of_speed = [], [], []
    for k, (pieces, chanced) in enumerate(zip(asked, chance, strict=True)):
        kept = [j for j in range(len(learnt)) if test is not None or j != k]
        others, labels = [learnt[j] for j in kept], [bad[j] for j in kept]
        said = _bad(others, labels, [pieces, chanced], seed)
        of_road.append(said[0])
        of_chance.append(said[1])
        of_speed.append(_bad_by_speed(others, labels, pieces, seed))
    truth = np.concatenate(
        [np.full(len(p.speed_mps), d.grade == BAD_GRADE) for d, p in zip(asked_drives, asked, strict=True)]
    )
    score, speed = np.concatenate(of_road), np.concatenate([p.speed_mps for p in asked])
    similar = (speed >= 7.0) & (speed <= 14.0)
    names = [d.drive.name for d in asked_drives]
    blocks = np.array([f"{n} {i // 5}" for n, p in zip(names, asked, strict=True) for i in range(len(p.speed_mps))])
    return DriveScores(
        drives=len(asked),
        pieces=len(truth),
        bad=int(truth.sum()),
        f1=f1(truth, score > 0.5),
        auc=area_under_roc(truth, score),
        bad_by_drive={n: float((q > 0.5).mean()) for n, q in zip(names, of_road, strict=True)},
        f1_interval=interval(lambda i: f1(truth[i], score[i] > 0.5), blocks, seed),
        shuffled_f1=f1(truth, np.concatenate(of_chance) > 0.5),
        speed_only_f1=f1(truth, np.concatenate(of_speed) > 0.5),
        similar_speed_auc=area_under_roc(truth[similar], score[similar]),
        always_f1=f1(truth, np.ones(len(truth), dtype=bool)),
        peak_ratio_auc=area_under_roc(truth, np.concatenate([p.peak_ratio for p in asked])),
    )


def _pieces(drives: Sequence[GradedDrive]) -> list[DrivePieces]:
    found = [drive_pieces(d.drive) for d in drives]
    for graded, pieces in zip(drives, found, strict=True):
        if len(pieces.speed_mps) < 3:
            raise RealDataError(f"{graded.drive.name} moves less than 12 s at a known speed: nothing to score")
    return found


def _by_drive(drives: Sequence[DrivePieces], bad: Sequence[bool]) -> tuple[NDArray[np.bool_], Series]:
    """Labels of all pieces and their weights: drives of one kind count alike, whatever their length."""
    if all(bad) or not any(bad):
        raise RealDataError("only one kind of road to learn from: bad drives (q3) and others are needed")
    labels = np.concatenate([np.full(len(d.speed_mps), b) for d, b in zip(drives, bad, strict=True)])
    weights = np.concatenate(
        [np.full(len(d.speed_mps), 1 / len(d.speed_mps) / bad.count(b)) for d, b in zip(drives, bad, strict=True)]
    )
    return labels, weights / weights.mean()


def _bad(drives: list[DrivePieces], bad: list[bool], asked: Sequence[DrivePieces], seed: int) -> list[Series]:
    law = speed_law(drives)
    labels, weights = _by_drive(drives, bad)
    table = np.vstack([law.without_speed(d) for d in drives])
    return [_said(law.without_speed(p), table, labels, weights, seed, 0.001, ("logistic",)) for p in asked]


def _bad_by_speed(drives: list[DrivePieces], bad: list[bool], asked: DrivePieces, seed: int) -> Series:
    labels, weights = _by_drive(drives, bad)
    table = np.concatenate([d.speed_mps for d in drives])[:, None]
    return _said(asked.speed_mps[:, None], table, labels, weights, seed, 0.1, ("logistic",))


def _said(
    asked: Table,
    table: Table,
    labels: NDArray[np.bool_],
    weights: Series,
    seed: int,
    c: float,
    parts: Sequence[str],
    trees: int = 0,
) -> Series:
    """The probability of yes (n,) of figures ``asked`` (n, m)."""
    balanced = weights.copy()
    for kind in (True, False):
        if not (labels == kind).any():
            raise RealDataError("only one kind of piece to learn from: marked and unmarked ones are needed")
        balanced[labels == kind] /= balanced[labels == kind].sum()
    model = Averaged(seed, trees, leaf=5, logistic_c=c, parts=parts)
    model.fit(table, np.where(labels, _YES, "no"), balanced / balanced.mean())
    return model.probabilities(asked, (_YES, "no"))[:, 0]
