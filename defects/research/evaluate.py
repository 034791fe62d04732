"""The benchmark on simulated drives: what is found at one false alarm a km, what fires that should not, what is named
right, and whether the probabilities mean what they say. Real recordings are scored in `real`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest import City

from ..model import Model
from ..recognise import recognise
from ..senses import without
from ..taxonomy import LEAVES, SUPERCLASS_OF, SUPERCLASSES
from ..told import SPEED_EDGES_MPS
from . import baselines
from .camera import confusion, named, seen_in
from .drives import (
    ACT,
    HEALTHY,
    LOOK_ALIKE,
    Candidates,
    batches,
    candidates_of,
    chunks_of,
    driven_km,
    labelled,
    meetings_of,
)
from .measures import alarms, best_of, calibration_error, interval, macro_f1, reliability, threshold_at
from .train import FALSE_PER_KM, PER_KM, met_count, score_of, visible

Floats = NDArray[np.float64]
IN_SUPERCLASS = np.array([leaf in SUPERCLASS_OF for leaf in LEAVES] + [False])
COST_S = 4.0
"""For so long the cost is measured again and again; the least is told, since other work only adds."""
CONFIGURATIONS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "phone": ("phone", (), ("imu",)),
    "box": ("box", ("laser", "bands"), ("imu",)),
    "box_bands": ("box", ("laser",), ("imu", "acoustic")),
    "box_laser": ("box", (), ("imu", "laser", "acoustic")),
}
"""Of each configuration: device, senses taken away, senses left. The benchmark's "box" is its accelerometer alone."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A folder of drives as one configuration saw it: candidates and their scores; best (meetings,): highest score at
    each."""

    found: Candidates
    score: Floats
    best: Floats

    @property
    def severe(self) -> NDArray[np.int64]:
        """Meetings of a wheel, from 15 km/h on, with a red defect of one of the six superclasses."""
        return self.of_grade(2)

    def of_grade(self, grade: int) -> NDArray[np.int64]:
        """The same with defects of a grade."""
        m = self.found.meetings
        fast = m.speed_mps >= SPEED_EDGES_MPS[0]
        return np.flatnonzero((m.leaf >= 0) & m.met & fast & (m.grade == grade) & IN_SUPERCLASS[np.maximum(m.leaf, -1)])

    @property
    def worst(self) -> NDArray[np.int64]:
        """Severe meetings, and those with rattling covers, which the table of types knows as yellow only."""
        m = self.found.meetings
        rattles = np.array([SUPERCLASS_OF.get(leaf) == "rattle" for leaf in LEAVES] + [False])[np.maximum(m.leaf, -1)]
        return np.union1d(self.severe, self.of_grade(1)[rattles[self.of_grade(1)]])


def judged(folder: Path, city: City, model: Model, strip: tuple[str, ...]) -> Judged:
    """Candidates of a folder and what the model says of them."""
    found = candidates_of(folder, city, model.gate, strip)
    score = score_of(model, found.rows)
    return Judged(found, score, best_of(found.meeting, score, len(found.meetings.leaf)))


def healthy_threshold(j: Judged, per_km: float = FALSE_PER_KM) -> float:
    """The score from which on healthy drives give ``per_km`` alarms."""
    return threshold_at(alarms(j.found.t_s, j.found.trip, j.score), j.found.km, per_km)


def recall(j: Judged, at: float, rows: NDArray[np.int64] | None = None) -> float:
    """Share of severe meetings (or of ``rows``) with a candidate from ``at`` on."""
    mine = j.severe if rows is None else rows
    return float((j.best[mine] >= at).mean()) if len(mine) else float("nan")


def recall_with_interval(j: Judged, at: float, seed: int) -> dict[str, float]:
    """Recall of severe meetings with its 95 % interval over things."""
    mine = j.severe
    low, high = interval(lambda r: recall(j, at, mine[r]), j.found.meetings.thing[mine], np.random.default_rng(seed))
    return {"value": recall(j, at), "low": low, "high": high, "n": len(mine)}


def by(j: Judged, at: float, names: list[str]) -> dict[str, dict[str, float]]:
    """Recall of severe meetings by a word per meeting."""
    mine = j.severe
    words = np.array([names[i] for i in mine.tolist()], dtype=object)
    return {
        str(w): {"value": recall(j, at, mine[words == w]), "n": int((words == w).sum())}
        for w in sorted(set(words.tolist()))
    }


def look_alike_rate(j: Judged, at: float) -> dict[str, Any]:
    """Share of look-alikes under a wheel, and of acts, that fire; and by name."""
    m = j.found.meetings
    mine = np.flatnonzero(((m.leaf == LOOK_ALIKE) & m.met) | (m.leaf == ACT))
    fired = j.best[mine] >= at
    names = np.array([m.name[i] for i in mine.tolist()], dtype=object)
    by_name = {
        str(n): {"value": float(fired[names == n].mean()), "n": int((names == n).sum())}
        for n in sorted(set(names.tolist()))
    }
    return {"value": float(fired.mean()) if len(mine) else float("nan"), "n": len(mine), "by_name": by_name}


def superclass_f1(j: Judged, model: Model, at: float, any_score: bool = False) -> tuple[float, list[tuple[str, str]]]:
    """Macro F1 of the six superclasses over the worst meetings; what was not found at ``at`` counts as missed (or
    nothing is, with any_score: located). Also the pairs (true, said)."""
    kinds_of = _kinds_at_best(j, model)
    truth, said = [], []
    for i in j.worst.tolist():
        truth.append(SUPERCLASS_OF[LEAVES[int(j.found.meetings.leaf[i])]])
        reached = np.isfinite(j.best[i]) and (any_score or j.best[i] >= at)
        said.append(kinds_of[i] if reached and i in kinds_of else "missed")
    return macro_f1(truth, said, list(SUPERCLASSES)), list(zip(truth, said, strict=True))


def _kinds_at_best(j: Judged, model: Model) -> dict[int, str]:
    """Of each meeting that has a candidate: the likeliest superclass of its best candidate."""
    order = np.argsort(j.score, kind="stable")
    at: dict[int, int] = {}
    for i in order.tolist():
        if j.found.meeting[i] >= 0:
            at[int(j.found.meeting[i])] = i
    if not at:
        return {}
    rows = model.kinds.sums(j.found.rows[list(at.values())])
    names = list(SUPERCLASSES)
    share = np.full((len(names), len(model.leaves)), 0.0)
    for k, leaf in enumerate(model.leaves):
        if leaf in SUPERCLASS_OF:
            share[names.index(SUPERCLASS_OF[leaf]), k] = 1.0
    e = np.exp((rows - rows.max(axis=1, keepdims=True)) / model.temperature)
    p = (e / e.sum(axis=1, keepdims=True)) @ share.T
    return {m: names[int(p[n].argmax())] for n, m in enumerate(at)}


def calibrated(mixed: Judged, healthy: Judged, senses: tuple[str, ...]) -> dict[str, Any]:
    """Expected calibration error at the natural share, over all candidates and over those said to be .1 or more."""
    p, truth, weight = [], [], []
    label = mixed.found.label
    mine = (label >= 0) & visible(label, senses)
    met = max(met_count(mixed.found, senses), 1)
    p.append(mixed.score[mine])
    truth.append(np.ones(mine.sum(), bool))
    weight.append(np.full(mine.sum(), PER_KM * healthy.found.km / met))
    ok = np.isin(healthy.found.label, (HEALTHY, LOOK_ALIKE, ACT))
    p.append(healthy.score[ok])
    truth.append(np.zeros(ok.sum(), bool))
    weight.append(np.ones(ok.sum()))
    q = 1 / (1 + np.exp(-np.concatenate(p)))
    y, w = np.concatenate(truth), np.concatenate(weight)
    return {
        "ece": calibration_error(q, y, w),
        "ece_p10": calibration_error(q, y, w, bins=10, from_p=0.1),
        "curve": reliability(q[q >= 0.02], y[q >= 0.02], w[q >= 0.02], 12),
    }


def baseline_recall(mixed: Path, healthy: Path, city: City, which: str) -> tuple[float, float]:
    """(recall of severe meetings at one false alarm a km, km of healthy drives) of a baseline."""
    function = {"running peak": baselines.running_peak, "pothole patrol": baselines.pothole_patrol}[which]

    def run(folder: Path) -> tuple[Floats, NDArray[np.int64], Floats, dict[tuple[str, str], int]]:
        trips: dict[tuple[str, str], int] = {}
        times, scores, of = [], [], []
        for batch, speeds in batches(chunks_of(folder), city):
            for (device, _, chunk), v in zip(batch, speeds, strict=True):
                t, s = function(chunk, v)
                trip = trips.setdefault((device, chunk.trip), len(trips))
                times.append(t)
                scores.append(s)
                of.append(np.full(len(t), trip, np.int64))
        return np.concatenate(times), np.concatenate(of), np.concatenate(scores), trips

    t, of, s, _ = run(healthy)
    km = driven_km(healthy)
    at = threshold_at(alarms(t, of, s), km)
    t, of, s, trips = run(mixed)
    m = meetings_of(mixed, trips)
    _, which_meeting = labelled(t, of, m)
    best = best_of(which_meeting, s, len(m.leaf))
    fast = m.speed_mps >= SPEED_EDGES_MPS[0]
    severe = (m.leaf >= 0) & m.met & fast & (m.grade == 2) & IN_SUPERCLASS[np.maximum(m.leaf, -1)]
    return float((best[severe] >= at).mean()), km


def gate_loss(
    folder: Path, city: City, model: Model, strip: tuple[str, ...], at: float, score: float = 0.35
) -> dict[str, float]:
    """Share of the severe meetings found without a gate that the gate hides; and of all that there are. Without: with a
    threshold so low that every swell is a candidate."""
    open_gate = replace(model, gate=replace(model.gate, threshold=model.gate.threshold * score))
    free, gated = judged(folder, city, open_gate, strip), judged(folder, city, model, strip)
    found_free, found = free.best[free.severe] >= at, gated.best[gated.severe] >= at
    return {
        "lost_of_found": float(1 - found[found_free].mean()) if found_free.any() else float("nan"),
        "found_ungated": float(found_free.mean()), "found_gated": float(found.mean()),
        "candidates_per_s": len(gated.score) / gated.found.seconds,
        "candidates_per_s_ungated": len(free.score) / free.found.seconds,
    }  # fmt: skip


def cost_us(folders: list[Path], city: City, model: Model, strip: tuple[str, ...], vehicles: int) -> float:
    """Cpu microseconds per vehicle-second of gate, features and classes together, over healthy and damaged road alike,
    ``vehicles`` chunks of 5 s at a time; what comes before (decoding, positions) and after (evidence) is not in it."""
    ready: list[tuple[list[Any], list[Floats]]] = []
    for folder in folders:
        n = 0
        for batch, speeds in batches(chunks_of(folder), city, vehicles):
            ready.append(([without(c, *strip) for _, _, c in batch], speeds))
            n += len(batch)
            if n >= 512:
                break
    kind = model.kind
    for chunks, speeds in ready[:2]:
        recognise(chunks, speeds, kind, model)
    best = np.inf
    began = time.monotonic()
    while True:
        spent, seconds = 0.0, 0.0
        for chunks, speeds in ready:
            t = time.process_time()
            recognise(chunks, speeds, kind, model)
            spent += time.process_time() - t
            seconds += sum(c.end_s - c.start_s for c in chunks)
        best = min(best, spent / seconds * 1e6)
        if time.monotonic() - began >= COST_S:
            return best


def configuration(name: str, folders: Mapping[str, Path], city: City, model: Model, seed: int) -> dict[str, Any]:
    """All figures of one configuration. folders: by physics and what, as "first-mixed"."""
    device, strip, senses = CONFIGURATIONS[name]
    del device
    out: dict[str, Any] = {}
    at: dict[str, float] = {}
    for physics in ("first", "second"):
        healthy = judged(folders[f"{physics}-healthy"], city, model, strip)
        at[physics] = healthy_threshold(healthy)
        fixed = float(np.log(model.fire / (1 - model.fire)))
        rung = alarms(healthy.found.t_s, healthy.found.trip, healthy.score)
        fixed_rate = len([s for s in rung if s >= fixed]) / healthy.found.km
        mixed = judged(folders[f"{physics}-mixed"], city, model, strip)
        f1, pairs = superclass_f1(mixed, model, at[physics])
        m = mixed.found.meetings
        speeds = [f"{b}-{b + 15} km/h" for b in (np.minimum(m.speed_mps * 3.6, 74) // 15 * 15).astype(int)]
        fast = m.speed_mps >= SPEED_EDGES_MPS[0]
        every = np.flatnonzero((m.leaf >= 0) & m.met & fast & (m.grade == 2))
        out[physics] = {
            "healthy_km": healthy.found.km,
            "recall_severe": recall_with_interval(mixed, at[physics], seed),
            "recall_yellow": recall(mixed, at[physics], mixed.of_grade(1)),
            "recall_severe_all_16": recall(mixed, at[physics], every),
            "at_model_threshold": {"false_per_km": fixed_rate, "recall_severe": recall(mixed, fixed)},
            "by_class": by(mixed, at[physics], [_leaf_name(int(k)) for k in m.leaf]),
            "by_speed": by(mixed, at[physics], speeds),
            "by_roughness": by(mixed, at[physics], m.roughness),
            "f1_super": f1,
            "f1_super_located": superclass_f1(mixed, model, at[physics], any_score=True)[0],
            "confusion": _counted(pairs),
            "look_alikes": look_alike_rate(judged(folders[f"{physics}-look_alikes"], city, model, strip), at[physics]),
            "calibration": calibrated(mixed, healthy, senses),
        }
    return out


def _leaf_name(number: int) -> str:
    if not 0 <= number < len(LEAVES):
        return "other"
    leaf = LEAVES[number]
    return f"{leaf.key}: {leaf.subtype}" if leaf.subtype else leaf.key


def _counted(pairs: list[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for true, said in pairs:
        row = table.setdefault(true, {})
        row[said] = row.get(said, 0) + 1
    return table


def camera_fusion(learn: Path, test: Path, city: City, model: Model, seed: int) -> dict[str, Any]:
    """Macro F1 of all 16 types after 1, 4 and 16 passes of box, laser and camera; SYNTHETIC. The confusions and the
    weight of what was felt are counted on ``learn``."""
    known, new = seen_in(learn, city, model), seen_in(test, city, model)
    table = confusion(known)
    types = list(range(16))
    weights = (0.15, 0.3, 0.5, 0.8, 1.0)
    best = max(weights, key=lambda w: macro_f1(*named(known, table, 4, w, seed), types))
    out: dict[str, Any] = {"felt_weight": best}
    for passes in (1, 4, 16):
        truth, said = named(new, table, passes, best, seed)
        out[f"passes_{passes}"] = {"f1_16": macro_f1(truth, said, types), "things": len(truth)}
        blind = replace(new, felt=np.zeros_like(new.felt))
        truth, said = named(blind, table, passes, best, seed)
        out[f"passes_{passes}"]["camera_alone"] = macro_f1(truth, said, types)
    return out
