"""Training a model of one kind of device from simulated drives, and calibrating it on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..gate import GateOptions
from ..model import SPEED_EDGES_MPS, Model
from ..senses import feature_names
from ..taxonomy import ALL_TYPES, BY_KEY, LEAVES, SUPERCLASS_OF, sees
from .drives import ACT, HEALTHY, LOOK_ALIKE, Candidates
from .fit import FitOptions, forest, isotonic_log_odds, temperature_of
from .measures import alarms, threshold_at

Floats = NDArray[np.float64]
PER_KM = 0.5
"""Defects that a wheel meets on a kilometre of street: the natural share to which probabilities are calibrated. Proposed: Hangzhou
finds 8.4 new ones on 1,000 km driven, an old street has many a km. Ten times more makes every probability larger, not
the order of findings, nor the likelihood ratios."""
FALSE_PER_KM = 1.0


@dataclass(frozen=True)
class TrainOptions:
    """Of a whole training; all of it stands in the card."""

    seed: int = 1
    detect: FitOptions = FitOptions(rounds=400, leaves=31, rate=0.06, least=60)
    kinds: FitOptions = FitOptions(rounds=120, leaves=15, rate=0.08, least=20)
    size: FitOptions = FitOptions(rounds=200, leaves=15, rate=0.08, least=30)
    most_rough_bins: int = 4


@dataclass(frozen=True, eq=False)
class Lesson:
    """Candidates as rows of a training. rows (n, F); leaf (n,) or HEALTHY; kind of what it was in label; height_mm; meeting
    numbers made unique over all folders."""

    rows: Floats
    label: NDArray[np.int64]
    height_mm: Floats
    grade: NDArray[np.int64]


def visible(label: NDArray[np.int64], senses: Sequence[str]) -> NDArray[np.bool_]:
    """Whether any of the senses sees the type of a label, by the taxonomy; False for what is no defect."""
    table = np.array([any(sees(leaf.key, s) for s in senses) for leaf in LEAVES] + [False])
    return np.asarray(table[np.where(label >= 0, label, len(LEAVES))])


def lesson(found: Sequence[tuple[Candidates, tuple[str, ...]]]) -> Lesson:
    """Rows of several folders, each with the senses that its devices had; what is unclear, or seen by none of them, is left out."""
    rows, label, height, grade = [], [], [], []
    for c, senses in found:
        keep = np.isin(c.label, (HEALTHY, LOOK_ALIKE, ACT)) | ((c.label >= 0) & visible(c.label, senses))
        at = np.maximum(c.meeting, 0)
        empty = len(c.meetings.leaf) == 0
        rows.append(c.rows[keep])
        label.append(c.label[keep])
        height.append(np.zeros(keep.sum()) if empty else np.where(c.label >= 0, c.meetings.height_mm[at], 0.0)[keep])
        grade.append(np.zeros(keep.sum(), np.int64) if empty else np.where(c.label >= 0, c.meetings.grade[at], 0)[keep])
    return Lesson(np.concatenate(rows), np.concatenate(label), np.concatenate(height), np.concatenate(grade))


def natural_weights(label: NDArray[np.int64], healthy: NDArray[np.bool_], km: float, met: int) -> Floats:
    """Weights that bring candidates of ``met`` met defects to PER_KM on the ``km`` of healthy road, and drop what else was beside
    them: healthy (n,) marks candidates of the healthy drives."""
    return np.where(healthy, 1.0, np.where(label >= 0, PER_KM * km / max(met, 1), 0.0))


def train(
    kind: str,
    gate: GateOptions,
    lessons: Sequence[tuple[Candidates, tuple[str, ...]]],
    calibration: Sequence[tuple[Candidates, tuple[str, ...]]],
    healthy: Sequence[tuple[Candidates, tuple[str, ...]]],
    options: TrainOptions,
    tell: Callable[[str], None] = lambda _: None,
) -> Model:
    """A model from drives to learn from, drives with defects to calibrate on, and healthy drives for both the natural share and
    the rate of false alarms. All of the same kind of device, none in two lists."""
    learn = lesson(lessons)
    tell(f"defect or not, from {len(learn.label)} candidates")
    defect = learn.label >= 0
    detect = forest("classes", learn.rows, defect.astype(np.int64), None, options.detect, options.seed)
    leaves = [i for i in range(len(LEAVES)) if (learn.label == i).sum() >= 50]
    index = {leaf: n for n, leaf in enumerate(leaves)}
    known = np.isin(learn.label, leaves)
    label = np.array([index[i] for i in learn.label[known].tolist()], np.int64)
    weight = _balanced(label, [LEAVES[i] for i in leaves])
    tell(f"which of {len(leaves)} kinds, from {len(label)} candidates")
    kinds = forest("classes", learn.rows[known], label, weight, options.kinds, options.seed + 1)
    tall = defect & (np.abs(learn.height_mm) > 0)
    tell(f"how high or deep, from {int(tall.sum())} candidates")
    size = forest(
        "number", learn.rows[tall], np.log1p(np.abs(learn.height_mm[tall])), None, options.size, options.seed + 2
    )
    tell("calibration")
    marked = [(c, s, False) for c, s in calibration] + [(c, s, True) for c, s in healthy]
    raws, truths, weights, class_rows, class_labels = [], [], [], [], []
    km = sum(c.km for c, _ in healthy)
    for c, senses, is_healthy in marked:
        raw = detect.sums(c.rows)[:, 0]
        mine = (c.label >= 0) & visible(c.label, senses)
        raws.append(raw)
        truths.append(mine)
        weights.append(
            np.where(is_healthy, np.isin(c.label, (HEALTHY, LOOK_ALIKE, ACT)), 0.0)
            + np.where(mine & (not is_healthy), PER_KM * km / max(sum(met_count(d, s) for d, s in calibration), 1), 0.0)
        )
        chosen = mine & np.isin(c.label, leaves)
        class_rows.append(c.rows[chosen])
        class_labels.append(np.array([index[i] for i in c.label[chosen].tolist()], np.int64))
    raw, truth, natural = np.concatenate(raws), np.concatenate(truths), np.concatenate(weights)
    used = natural > 0
    knots = isotonic_log_odds(raw[used], truth[used], natural[used])
    prior = float((natural * truth).sum() / natural.sum())
    class_label = np.concatenate(class_labels)
    temperature = temperature_of(
        kinds.sums(np.concatenate(class_rows)), class_label, _balanced(class_label, [LEAVES[i] for i in leaves])
    )
    shares = np.bincount(label, weights=weight, minlength=len(leaves)) / weight.sum()
    score = np.concatenate([alarms(c.t_s, c.trip, np.interp(detect.sums(c.rows)[:, 0], *knots) + 1e-9 * detect.sums(c.rows)[:, 0]) for c, _ in healthy])
    at = threshold_at(score, km, FALSE_PER_KM)
    quiet, rough = quiet_table([c for c, _ in calibration], [c for c, _ in healthy], gate, options)
    return Model(
        kind=kind, gate=gate, leaves=tuple(LEAVES[i] for i in leaves), detect=detect, knots=knots, prior=prior,
        kinds=kinds, temperature=temperature, shares=shares, size=size,
        fire=float(np.clip(1 / (1 + np.exp(-at)), 1e-6, 1 - 1e-6)), quiet=quiet, rough=rough,
        per_m=sum(len(c.label) for c, _ in healthy) / (1000 * km),
    )  # fmt: skip


def met_count(c: Candidates, senses: Sequence[str]) -> int:
    """How many defects from yellow on a wheel met that the senses see."""
    m = c.meetings
    return int(((m.leaf >= 0) & m.met & (m.grade >= 1) & visible(m.leaf, senses)).sum())


def _balanced(label: NDArray[np.int64], leaves: Sequence[object]) -> Floats:
    """Weights that make superclasses equal (what is in none counts as one), and within one its leaves, at the root of their
    numbers: whole balance would let some tens of rare ones shout down thousands."""
    count = np.bincount(label, minlength=len(leaves)).astype(np.float64)
    group = [SUPERCLASS_OF.get(leaf, "none") for leaf in leaves]  # type: ignore[call-overload]
    of_group = {g: sum(count[i] for i in range(len(leaves)) if group[i] == g) for g in set(group)}
    per = np.array([1 / np.sqrt(max(count[i], 1) * max(of_group[group[i]], 1)) for i in range(len(leaves))])
    weight = per[label]
    return np.asarray(weight / weight.mean())


def quiet_table(
    damaged: Sequence[Candidates], healthy: Sequence[Candidates], gate: GateOptions, options: TrainOptions
) -> tuple[Floats, Floats]:
    """What silence says: chance of no candidate at a severe defect of each type that a wheel met, by speed and roughness;
    row 0: chance of none in a second of healthy road. Cells with few meetings lean on the type's own mean.
    """
    seconds = np.concatenate([c.gates for c in healthy])
    moving = seconds[:, 0] >= SPEED_EDGES_MPS[0]
    rough = np.quantile(seconds[moving & np.isfinite(seconds[:, 1]), 1], np.linspace(0, 1, options.most_rough_bins + 1)[1:-1])
    shape = (len(ALL_TYPES), len(SPEED_EDGES_MPS), len(rough) + 1)
    missed, met = np.zeros(shape), np.zeros(shape)
    s = np.clip(np.searchsorted(SPEED_EDGES_MPS, seconds[:, 0], side="right") - 1, 0, shape[1] - 1)
    r = np.searchsorted(rough, np.nan_to_num(seconds[:, 1], nan=0.0))
    np.add.at(met[0], (s[moving], r[moving]), 1)
    np.add.at(missed[0], (s[moving], r[moving]), (seconds[moving, 2] < gate.threshold).astype(np.float64))
    for c in damaged:
        m = c.meetings
        found = np.zeros(len(m.leaf), bool)
        level = np.full(len(m.leaf), np.nan)
        found[c.meeting[c.meeting >= 0]] = True
        by_trip = {int(t): float(np.nanmedian(c.level[c.trip == t])) for t in np.unique(c.trip)}
        for i in np.flatnonzero((m.leaf >= 0) & m.met & (m.grade == 2)).tolist():
            level[i] = by_trip.get(int(m.trip[i]), np.nan)
            if m.speed_mps[i] < SPEED_EDGES_MPS[0] or not np.isfinite(level[i]):
                continue
            k = BY_KEY[LEAVES[int(m.leaf[i])].key].number
            cell = (k, int(np.searchsorted(SPEED_EDGES_MPS, m.speed_mps[i], side="right") - 1), int(np.searchsorted(rough, level[i])))
            met[cell] += 1
            missed[cell] += not found[i]
    whole = (missed.sum(axis=(1, 2)) + 1.0) / (met.sum(axis=(1, 2)) + 1.0)
    table = (missed + 20 * whole[:, None, None]) / (met + 20)
    return np.clip(table, 0.005, 1.0), rough


def score_of(model: Model, rows: Floats) -> Floats:
    """Calibrated log-odds of rows (n, F); steps of the calibration are kept in the order of the raw score by a trace of it."""
    raw = model.detect.sums(rows)[:, 0]
    return model.log_odds(raw) + 1e-9 * raw


def columns_of(kind: str) -> int:
    """How many features a kind has."""
    return len(feature_names(kind))
