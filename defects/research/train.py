"""Training a model of one kind of device from simulated drives, and calibrating it on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..gate import GateOptions
from ..model import Model
from ..taxonomy import ALL_TYPES, BY_KEY, LEAVES, SUPERCLASS_OF, sees
from ..told import SPEED_EDGES_MPS
from .drives import ACT, HEALTHY, LOOK_ALIKE, Candidates
from .fit import FitOptions, forest, isotonic_log_odds, temperature_of
from .measures import alarms, threshold_at

Floats = NDArray[np.float64]
PER_KM = 0.5
"""Defects that a wheel meets on a kilometre of street: the natural share to which probabilities are calibrated.
Proposed: Hangzhou finds 8.4 new ones on 1,000 km driven, an old street has many a km. Ten times more makes every
probability larger, not the order of findings, nor the likelihood ratios."""
FALSE_PER_KM = 1.0
"""False findings a km on healthy road at the threshold of a finding. More, and inspectors stop going; fewer, and weak
defects wait for more passes. The benchmark is at the same rate."""
LEAST_OF_A_KIND = 50
"""Candidates from which on a kind is learnt. Fewer, and the kind is a handful of vehicles learnt by heart; more, and
rare ones are never named."""


@dataclass(frozen=True)
class TrainOptions:
    """Of a whole training; all of it stands in the card."""

    seed: int = 1
    detect: FitOptions = field(default_factory=lambda: FitOptions(rounds=400, leaves=31, rate=0.06, least=60))
    kinds: FitOptions = field(default_factory=lambda: FitOptions(rounds=120, leaves=15, rate=0.08, least=20))
    size: FitOptions = field(default_factory=lambda: FitOptions(rounds=200, leaves=15, rate=0.08, least=30))
    fold_detect: FitOptions = field(default_factory=lambda: FitOptions(rounds=250, leaves=31, rate=0.08, least=60))
    folds: int = 3
    gate: float = 1.4
    """Threshold of the gate when the model is at work. It learns from all candidates from 1 on. On the drives for
    calibration 1.4 hides none (phone) and .4 % (box) of the severe defects that are found, and halves the cost; 2 hides
    1 and 2 %."""
    most_rough_bins: int = 4
    look_alike_weight: float = 3.0
    """Of look-alikes and acts against all else: at 1 one in ten of them fires, since they are few; at 10 steps are
    taken for joints."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Candidates as rows of a training. rows (n, F); leaf (n,) or HEALTHY; kind of what it was in label; height_mm;
    meeting numbers made unique over all folders."""

    rows: Floats
    label: NDArray[np.int64]
    height_mm: Floats
    grade: NDArray[np.int64]


def visible(label: NDArray[np.int64], senses: Sequence[str]) -> NDArray[np.bool_]:
    """Whether any of the senses sees the type of a label, by the taxonomy; False for what is no defect."""
    table = np.array([any(sees(leaf.key, s) for s in senses) for leaf in LEAVES] + [False])
    return np.asarray(table[np.where(label >= 0, label, len(LEAVES))])


def lesson(found: Sequence[tuple[Candidates, tuple[str, ...]]]) -> Lesson:
    """Rows of several folders, each with the senses that its devices had; what is unclear, or seen by none of them, is
    left out."""
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


def train(
    kind: str,
    gate: GateOptions,
    lessons: Sequence[tuple[Candidates, tuple[str, ...]]],
    calibration: Sequence[tuple[Candidates, tuple[str, ...]]],
    healthy: Sequence[tuple[Candidates, tuple[str, ...]]],
    options: TrainOptions,
    tell: Callable[[str], None] = lambda _: None,
) -> Model:
    """A model from drives to learn from, drives with defects to calibrate on, and healthy drives for both the natural
    share and the rate of false alarms. All of the same kind of device, none in two lists."""
    learn = lesson(lessons)
    tell(f"defect or not, from {len(learn.label)} candidates")
    defect = learn.label >= 0
    heavy = np.where(np.isin(learn.label, (LOOK_ALIKE, ACT)), options.look_alike_weight, 1.0)
    detect = forest("classes", learn.rows, defect.astype(np.int64), heavy, options.detect, options.seed)
    leaves = [i for i in range(len(LEAVES)) if (learn.label == i).sum() >= LEAST_OF_A_KIND]
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
    tell("calibration on vehicles and look-alikes that were left out")
    strange = [strangers(part, options, tell) for part in _by_senses([*lessons, *calibration], healthy)]
    knots = isotonic_log_odds(*(np.concatenate([s[k] for s in strange]) for k in range(3)))
    prior = float(np.average(np.concatenate([s[1] for s in strange]), weights=np.concatenate([s[2] for s in strange])))
    class_rows, class_labels = [], []
    for c, senses in calibration:
        chosen = (c.label >= 0) & visible(c.label, senses) & np.isin(c.label, leaves)
        class_rows.append(c.rows[chosen])
        class_labels.append(np.array([index[i] for i in c.label[chosen].tolist()], np.int64))
    km = sum(c.km for c, _ in healthy)
    class_label = np.concatenate(class_labels)
    temperature = temperature_of(
        kinds.sums(np.concatenate(class_rows)), class_label, _balanced(class_label, [LEAVES[i] for i in leaves])
    )
    shares = np.bincount(label, weights=weight, minlength=len(leaves)) / weight.sum()
    fires = []
    for c, _ in healthy:
        raw = detect.sums(c.rows)[:, 0]
        fires.append(alarms(c.t_s, c.trip, np.interp(raw, *knots) + 1e-9 * raw))
    at = threshold_at(np.concatenate(fires), km, FALSE_PER_KM)
    # Of the poorest equipment: a laser's candidates would lend their silence to boxes that have none.
    quiet, rough = quiet_table(
        [c for c, s in calibration if s == ("imu",)], [c for c, s in healthy if s == ("imu",)], gate, options
    )
    return Model(
        kind=kind, gate=gate, leaves=tuple(LEAVES[i] for i in leaves), detect=detect, knots=knots, prior=prior,
        kinds=kinds, temperature=temperature, shares=shares, size=size,
        fire=_chance(at), quiet=quiet, rough=rough,
        per_m=sum(len(c.label) for c, _ in healthy) / (1000 * km),
    )  # fmt: skip


Found = tuple[Candidates, tuple[str, ...]]


def _by_senses(damaged: Sequence[Found], healthy: Sequence[Found]) -> list[tuple[list[Found], list[Found]]]:
    """The drives apart by the senses that were left to the devices."""
    return [
        ([f for f in damaged if f[1] == senses], [f for f in healthy if f[1] == senses])
        for senses in dict.fromkeys(senses for _, senses in healthy)
    ]


def strangers(
    part: tuple[list[Found], list[Found]], options: TrainOptions, tell: Callable[[str], None]
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Raw scores of candidates of vehicles that the forest has not seen, on roads a part of whose look-alikes it has
    not seen either; whether each is a defect, and its natural weight. What is calibrated on acquaintances is too sure
    of strangers.

    The folds go by vehicle model and by kind of look-alike.
    """
    damaged, healthy = part
    everything = [*((c, s, False) for c, s in damaged), *((c, s, True) for c, s in healthy)]
    models = sorted({m for c, _, _ in everything for m in c.models})
    kinds = sorted({m.meetings.name[i] for m, _, _ in everything for i in np.flatnonzero(m.meetings.leaf < 0).tolist()})
    raws, truths, weights = [], [], []
    for fold in range(options.folds):
        out_models, out_kinds = set(models[fold :: options.folds]), set(kinds[fold :: options.folds])
        rows, label = [], []
        for c, senses, _ in everything:
            foreign = np.array([m in out_models for m in c.models])[c.trip]
            strange = np.array([c.meetings.name[i] in out_kinds for i in range(len(c.meetings.leaf))] + [False])
            keep = ~foreign & ~(strange[c.meeting] & np.isin(c.label, (LOOK_ALIKE, ACT)))
            keep &= np.isin(c.label, (HEALTHY, LOOK_ALIKE, ACT)) | visible(c.label, senses)
            rows.append(c.rows[keep])
            label.append(c.label[keep])
        y = np.concatenate(label)
        heavy = np.where(np.isin(y, (LOOK_ALIKE, ACT)), options.look_alike_weight, 1.0)
        tell(f"fold {fold + 1} of {options.folds}, from {len(y)} candidates")
        seen = forest(
            "classes", np.concatenate(rows), (y >= 0).astype(np.int64), heavy, options.fold_detect, options.seed
        )
        km, met = 0.0, 0
        mine: list[tuple[Candidates, tuple[str, ...], bool, NDArray[np.bool_]]] = []
        for c, senses, is_healthy in everything:
            by_trip = np.array([m in out_models for m in c.models])
            mine.append((c, senses, is_healthy, by_trip[c.trip]))
            if is_healthy:
                km += float(c.trip_km[by_trip].sum())
            else:
                m = c.meetings
                clear = (m.leaf >= 0) & m.met & (m.grade >= 1) & visible(m.leaf, senses)
                met += int((clear & by_trip[m.trip]).sum())
        for c, senses, is_healthy, foreign in mine:
            used = foreign & (
                np.isin(c.label, (HEALTHY, LOOK_ALIKE, ACT))
                if is_healthy
                else (c.label >= 0) & visible(c.label, senses)
            )
            raws.append(seen.sums(c.rows[used])[:, 0])
            truths.append(c.label[used] >= 0)
            weights.append(np.full(used.sum(), 1.0 if is_healthy else PER_KM * km / max(met, 1)))
    return np.concatenate(raws), np.concatenate(truths), np.concatenate(weights)


def met_count(c: Candidates, senses: Sequence[str]) -> int:
    """How many defects from yellow on a wheel met that the senses see."""
    m = c.meetings
    return int(((m.leaf >= 0) & m.met & (m.grade >= 1) & visible(m.leaf, senses)).sum())


def _balanced(label: NDArray[np.int64], leaves: Sequence[object]) -> Floats:
    """Weights that make superclasses equal (what is in none counts as one), and within one its leaves, at the root of
    their numbers: whole balance would let some tens of rare ones shout down thousands."""
    count = np.bincount(label, minlength=len(leaves)).astype(np.float64)
    group = [SUPERCLASS_OF.get(leaf, "none") for leaf in leaves]  # type: ignore[call-overload]
    of_group = {g: sum(count[i] for i in range(len(leaves)) if group[i] == g) for g in set(group)}
    per = np.array([1 / np.sqrt(max(count[i], 1) * max(of_group[group[i]], 1)) for i in range(len(leaves))])
    weight = per[label]
    return np.asarray(weight / weight.mean())


def quiet_table(
    damaged: Sequence[Candidates], healthy: Sequence[Candidates], gate: GateOptions, options: TrainOptions
) -> tuple[Floats, Floats]:
    """What silence says: chance of no candidate at a severe defect of each type that a wheel met, by speed and
    roughness; row 0: chance of none in a second of healthy road. Cells with few meetings lean on the type's own mean.
    """
    seconds = np.concatenate([c.gates for c in healthy])
    moving = seconds[:, 0] >= SPEED_EDGES_MPS[0]
    rough = np.quantile(
        seconds[moving & np.isfinite(seconds[:, 1]), 1], np.linspace(0, 1, options.most_rough_bins + 1)[1:-1]
    )
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
            cell = (
                k,
                int(np.searchsorted(SPEED_EDGES_MPS, m.speed_mps[i], side="right") - 1),
                int(np.searchsorted(rough, level[i])),
            )
            met[cell] += 1
            missed[cell] += not found[i]
    whole = (missed.sum(axis=(1, 2)) + 1.0) / (met.sum(axis=(1, 2)) + 1.0)
    table = (missed + 20 * whole[:, None, None]) / (met + 20)
    return np.clip(table, 0.005, 1.0), rough


def kept(c: Candidates, threshold: float) -> Candidates:
    """The candidates that a gate with this threshold lets pass."""
    mine = c.score >= threshold
    columns = ("rows", "label", "meeting", "trip", "t_s", "score", "level")
    return replace(c, **{name: getattr(c, name)[mine] for name in columns})


def raise_gate(
    model: Model, calibration: Sequence[Found], healthy: Sequence[Found], threshold: float, options: TrainOptions
) -> Model:
    """The model behind a higher gate: the share of defects among candidates, the threshold of findings, the worth of
    silence and the rate of candidates are those of what still passes; what was learnt stays."""
    gate = replace(model.gate, threshold=threshold)
    damaged = [(kept(c, threshold), s) for c, s in calibration]
    sound = [(kept(c, threshold), s) for c, s in healthy]
    km = sum(c.km for c, _ in sound)
    met = max(sum(met_count(c, s) for c, s in damaged), 1)
    defects = sum(int(((c.label >= 0) & visible(c.label, s)).sum()) for c, s in damaged) * PER_KM * km / met
    others = sum(len(c.label) for c, _ in sound)
    score = np.concatenate([alarms(c.t_s, c.trip, score_of(model, c.rows)) for c, _ in sound])
    at = threshold_at(score, km, FALSE_PER_KM)
    quiet, rough = quiet_table(
        [c for c, s in damaged if s == ("imu",)], [c for c, s in sound if s == ("imu",)], gate, options
    )
    return replace(
        model, gate=gate, prior=defects / (defects + others), fire=_chance(at), quiet=quiet, rough=rough,
        per_m=others / (1000 * km),
    )  # fmt: skip


def _chance(log_odds: float) -> float:
    return float(np.clip(1 / (1 + np.exp(-log_odds)), 1e-6, 1 - 1e-6))


def score_of(model: Model, rows: Floats) -> Floats:
    """Calibrated log-odds of rows (n, F); steps of the calibration are kept in the order of the raw score by a trace of
    it."""
    raw = model.detect.sums(rows)[:, 0]
    return model.log_odds(raw) + 1e-9 * raw
