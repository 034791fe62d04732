"""Naming all 16 types from several passes: what cameras said, and what wheels and lasers felt. SYNTHETIC: the simulated
camera errs as an assumption says; no real one has been measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest import DEFECT_KEYS, City

from ..model import Model
from ..recognise import recognise
from ..taxonomy import LEAVES, OF_THE_STANDARD
from ..told import Told
from .drives import Meetings, batches, chunks_of, meetings_of

Floats = NDArray[np.float64]
NEAR_M = 4.0
"""A detection so near to a defect is of it: the defects of the proving ground lie ten times as far apart."""
KEYS = DEFECT_KEYS[:OF_THE_STANDARD]


@dataclass(frozen=True, eq=False)
class Seen:
    """Of n passes over defects: thing (n,) ids; type (n,) 0 to 15; camera (n,): the type that the camera named, 16 for
    nothing; felt (n, 16): log of how likely what wheel and laser felt is for each type, up to a constant."""

    thing: NDArray[np.int64]
    type: NDArray[np.int64]
    camera: NDArray[np.int64]
    felt: Floats


def seen_in(folder: Path, city: City, model: Model) -> Seen:
    """All passes of boxes over defects from yellow on in a folder of drives."""
    trips: dict[tuple[str, str], int] = {}
    told: list[tuple[int, Told]] = []
    sights: list[tuple[int, float, int, float]] = []
    for batch, speeds in batches(chunks_of(folder), city):
        chunks = [c for _, _, c in batch]
        for (device, _, chunk), one in zip(batch, recognise(chunks, speeds, "box", model), strict=True):
            trip = trips.setdefault((device, chunk.trip), len(trips))
            told.append((trip, one))
            for d in chunk.detections:
                if d.kind in KEYS:
                    sights.append((trip, d.t_s, KEYS.index(d.kind), d.score))
    meetings = meetings_of(folder, trips)
    return _joined(meetings, told, sights, model)


def _joined(
    meetings: Meetings, told: Sequence[tuple[int, Told]], sights: Sequence[tuple[int, float, int, float]], model: Model
) -> Seen:
    by_trip: dict[int, list[Told]] = {}
    for trip, one in told:
        by_trip.setdefault(trip, []).append(one)
    seen_by_trip: dict[int, list[tuple[float, int, float]]] = {}
    for trip, t_s, kind, score in sights:
        seen_by_trip.setdefault(trip, []).append((t_s, kind, score))
    of_type = np.array([KEYS.index(leaf.key) for leaf in model.leaves])
    shares = np.zeros(len(KEYS))
    np.add.at(shares, of_type, model.shares)
    thing: list[int] = []
    types: list[int] = []
    camera: list[int] = []
    felt: list[Floats] = []
    for m in np.flatnonzero((meetings.leaf >= 0) & (meetings.grade >= 1)).tolist():
        trip = int(meetings.trip[m])
        lo, hi = meetings.in_s[m] - 0.25, meetings.out_s[m] + 0.6
        thing.append(int(meetings.thing[m]))
        types.append(KEYS.index(LEAVES[int(meetings.leaf[m])].key))
        # A camera reports what lies up to some metres ahead.
        ahead_s = NEAR_M * 2 / max(float(meetings.speed_mps[m]), 2.0)
        near = [s for s in seen_by_trip.get(trip, []) if lo - ahead_s <= s[0] <= hi]
        camera.append(max(near, key=lambda s: s[2])[1] if near else len(KEYS))
        felt.append(_felt(by_trip.get(trip, []), lo, hi, of_type, shares))
    return Seen(np.array(thing), np.array(types), np.array(camera), np.array(felt))


def _felt(told: Sequence[Told], lo: float, hi: float, of_type: NDArray[np.int64], shares: Floats) -> Floats:
    """Log likelihood of each type, up to a constant, of the strongest candidate between two moments: given a defect
    that is sensed by type, or none where the candidate says so."""
    best: tuple[float, Floats] | None = None
    for one in told:
        for i in np.flatnonzero((one.t_s >= lo) & (one.t_s <= hi)).tolist():
            if best is None or one.log_ratio[i] > best[0]:
                best = (float(one.log_ratio[i]), one.kinds[i])
    out = np.zeros(len(KEYS))
    if best is None:
        return out
    ratio, kinds = best
    by_type = np.zeros(len(KEYS))
    np.add.at(by_type, of_type, kinds)
    known = shares > 0
    # What cannot be sensed at all is as likely as clutter: ratio 1.
    out[known] = np.log(np.exp(ratio) * by_type[known] / shares[known] + 0.05)
    return out


def confusion(seen: Seen) -> Floats:
    """Chance (16, 17) that a pass over a type has the camera say each, or nothing, counted; half a pass is added to
    each."""
    table = np.full((len(KEYS), len(KEYS) + 1), 0.5 / (len(KEYS) + 1))
    np.add.at(table, (seen.type, seen.camera), 1.0)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def named(
    seen: Seen, table: Floats, passes: int, felt_weight: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(true, said) types of each thing that has so many passes, from that many drawn ones. felt_weight: passes feel a
    thing alike, so that their sum says too much: below 1 it says less (chosen on training drives)."""
    rng = np.random.default_rng([seed, passes])
    truth, said = [], []
    for thing in np.unique(seen.thing).tolist():
        rows = np.flatnonzero(seen.thing == thing)
        if len(rows) < passes:
            continue
        rows = rng.choice(rows, passes, replace=False)
        log_p = np.log(table[:, seen.camera[rows]]).sum(axis=1) + felt_weight * seen.felt[rows].sum(axis=0)
        truth.append(int(seen.type[rows[0]]))
        said.append(int(np.argmax(log_p)))
    return np.array(truth), np.array(said)
