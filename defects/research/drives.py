"""Simulated drives as files, and what the recogniser's candidates in them truly were.

A folder of drives holds chunks exactly as devices send them (chunks.cbor), what was met when (truth.csv.gz), what was
driven (trips.csv.gz) and a manifest. The simulator writes it; here it is only read.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import cbor2
import numpy as np
from numpy.typing import NDArray

from grid import sample, traces
from ingest import Chunk, City, Refused, decode

from ..gate import GateOptions
from ..senses import feature_names, hear, without
from ..taxonomy import LEAVES, Leaf

SCHEMA = "rhc-drives/1"
FILES = ("chunks.cbor", "truth.csv.gz", "trips.csv.gz")
HEALTHY, LOOK_ALIKE, ACT, UNCLEAR = -1, -2, -3, -9
"""Labels of candidates that are no defect; UNCLEAR: at a defect below the limit of yellow, or one that no wheel met."""
EARLY_S, LATE_S = 0.25, 0.6
"""A candidate belongs to a meeting from so long before its first contact until so long after its last: filters smear,
and a body swings out. Longer, and chance fits; shorter, and the last axle's jolt is called a false alarm."""
_BATCH = 256


class DrivesError(ValueError):
    """A folder holds no simulated drives, or altered ones; the text says what to do."""


@dataclass(frozen=True, eq=False)
class Meetings:
    """n meetings with defects, look-alikes and acts. trip (n,): index into the folder's trips; leaf (n,): index into
    LEAVES, or LOOK_ALIKE, ACT; name: kinds as written; the rest as columns of the same length; met: whether a wheel
    touched it."""

    trip: NDArray[np.int64]
    leaf: NDArray[np.int64]
    name: list[str]
    thing: NDArray[np.int64]
    in_s: NDArray[np.float64]
    out_s: NDArray[np.float64]
    grade: NDArray[np.int64]
    met: NDArray[np.bool_]
    height_mm: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    roughness: list[str]
    device: list[str]


@dataclass(frozen=True, eq=False)
class Candidates:
    """n candidates of a folder. rows (n, F); label (n,): index into LEAVES or one of HEALTHY, LOOK_ALIKE, ACT, UNCLEAR;
    meeting (n,): index or -1; trip (n,); t_s (n,) unix seconds; score of the gate; level: roughness as felt; km:
    driven."""

    rows: NDArray[np.float64]
    label: NDArray[np.int64]
    meeting: NDArray[np.int64]
    trip: NDArray[np.int64]
    t_s: NDArray[np.float64]
    score: NDArray[np.float64]
    level: NDArray[np.float64]
    meetings: Meetings
    km: float
    seconds: float
    models: list[str]
    """Of vehicles, by number of the trip."""
    trip_km: NDArray[np.float64]
    gates: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    """Where asked for, of each second: speed, roughness as felt, highest score of the gate."""


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def manifest_of(folder: Path) -> dict[str, object]:
    """The manifest, checked against the files' hashes. Raises DrivesError."""
    try:
        tree = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if tree["schema"] != SCHEMA:
            raise DrivesError(f"{folder} is of schema {tree['schema']}, this version reads {SCHEMA}: simulate it again")
        for name in FILES:
            digest, state = tree["files"][name]["sha256"], hashlib.sha256()
            with (folder / name).open("rb") as file:
                while block := file.read(1 << 20):
                    state.update(block)
            if state.hexdigest() != digest:
                raise DrivesError(f"{folder / name} is not what its manifest says: simulate it again")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DrivesError):
            raise
        raise DrivesError(f"{folder} holds no drives ({error}): make them with python -m sensors_sim ground") from None
    return dict(tree)


def chunks_of(folder: Path) -> Iterator[tuple[str, str, Chunk]]:
    """(device, kind, chunk) of every chunk, in the order of the file. Raises DrivesError where one does not decode."""
    with (folder / "chunks.cbor").open("rb") as file:
        decoder = cbor2.CBORDecoder(file)
        size = (folder / "chunks.cbor").stat().st_size
        while True:
            at = file.tell()
            try:
                device, kind, payload = decoder.decode()
            except (cbor2.CBORDecodeError, TypeError, ValueError) as error:
                if isinstance(error, cbor2.CBORDecodeEOF) and at == size:
                    return
                raise DrivesError(f"{folder / 'chunks.cbor'} breaks off ({error}): simulate it again") from None
            try:
                yield device, kind, decode(payload)
            except Refused as refusal:
                raise DrivesError(f"{folder / 'chunks.cbor'} holds a chunk that is refused: {refusal}") from None


def batches(items: Iterator[tuple[str, str, Chunk]], city: City, size: int = _BATCH) -> Iterator[
    tuple[list[tuple[str, str, Chunk]], list[NDArray[np.float64]]]
]:  # fmt: skip
    """Batches of chunks with the speed at each of their samples, 0 where there is no position."""
    batch: list[tuple[str, str, Chunk]] = []

    def placed() -> tuple[list[tuple[str, str, Chunk]], list[NDArray[np.float64]]]:
        chunks = [chunk for _, _, chunk in batch]
        tracks = [sample(t, c.sample_t_s) for t, c in zip(traces(chunks, city), chunks, strict=True)]
        return batch, [np.where(t.usable, t.speed_mps, 0.0) for t in tracks]

    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield placed()
            batch = []
    if batch:
        yield placed()


def driven_km(folder: Path) -> float:
    """Kilometres that all devices of a folder drove."""
    return sum(float(r["metres"]) for r in _rows(folder / "trips.csv.gz")) / 1000


def meetings_of(folder: Path, trips: dict[tuple[str, str], int]) -> Meetings:
    """The truth of a folder."""
    rows = _rows(folder / "truth.csv.gz")
    leaves = {leaf: i for i, leaf in enumerate(LEAVES)}
    leaf = np.empty(len(rows), np.int64)
    for i, r in enumerate(rows):
        if r["what"] == "look_alike":
            leaf[i] = LOOK_ALIKE
        elif r["what"] == "act":
            leaf[i] = ACT
        else:
            leaf[i] = leaves.get(Leaf(r["kind"], r["subtype"]), UNCLEAR)

    things: dict[str, int] = {}

    def column(name: str, missing: float = 0.0) -> NDArray[np.float64]:
        return np.array([float(r[name]) if r[name] else missing for r in rows])

    return Meetings(
        trip=np.array([trips.get((r["device"], r["trip"]), -1) for r in rows], np.int64),
        leaf=leaf,
        name=[r["kind"] for r in rows],
        thing=np.array(
            [things.setdefault(r["thing"] or f"act {i}", len(things)) for i, r in enumerate(rows)], np.int64
        ),
        in_s=column("in_s"),
        out_s=column("out_s"),
        grade=column("grade").astype(np.int64),
        met=np.array([r["wheels"] not in ("none", "") or r["what"] == "act" for r in rows], bool),
        height_mm=column("height_mm"),
        speed_mps=column("speed_mps"),
        roughness=[r["roughness"] for r in rows],
        device=[r["device"] for r in rows],
    )


def labelled(
    t_s: NDArray[np.float64], trip: NDArray[np.int64], meetings: Meetings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What each candidate (n,) was: label and meeting. Defects go before look-alikes, those before acts."""
    label = np.full(len(t_s), HEALTHY, np.int64)
    which = np.full(len(t_s), -1, np.int64)
    rank = np.full(len(t_s), -1, np.int64)
    order = np.lexsort((t_s, trip))
    starts: dict[int, tuple[int, int]] = {}
    sorted_trip = trip[order]
    edges = [*np.flatnonzero(np.diff(sorted_trip, prepend=-1) != 0).tolist(), len(order)]
    for a, b in pairwise(edges):
        starts[int(sorted_trip[a])] = (a, b)
    for m in range(len(meetings.leaf)):
        span = starts.get(int(meetings.trip[m]))
        if span is None:
            continue
        mine = order[span[0] : span[1]]
        times = t_s[mine]
        lo = np.searchsorted(times, meetings.in_s[m] - EARLY_S)
        hi = np.searchsorted(times, meetings.out_s[m] + LATE_S)
        kind = int(meetings.leaf[m])
        clear = kind >= 0 and meetings.met[m] and meetings.grade[m] >= 1
        my_rank = 3 if clear else 2 if kind in (LOOK_ALIKE, UNCLEAR) or kind >= 0 else 1
        for i in mine[lo:hi].tolist():
            if my_rank > rank[i]:
                rank[i] = my_rank
                which[i] = m
                if kind >= 0:
                    label[i] = kind if clear else UNCLEAR
                else:
                    label[i] = kind if meetings.met[m] or kind == ACT else HEALTHY
    return label, which


def candidates_of(
    folder: Path,
    city: City,
    options: GateOptions,
    strip: tuple[str, ...] = (),
    silence: bool = False,
) -> Candidates:
    """All candidates of a folder's devices, which are of one kind. strip: senses taken away first. silence: also what
    the gate said second by second. Raises DrivesError."""
    trips: dict[tuple[str, str], int] = {}
    rows: list[NDArray[np.float64]] = []
    t_s: list[NDArray[np.float64]] = []
    trip_of: list[NDArray[np.int64]] = []
    score: list[NDArray[np.float64]] = []
    level: list[NDArray[np.float64]] = []
    gates: list[NDArray[np.float64]] = []
    seconds, columns = 0.0, 0
    for batch, speeds in batches(chunks_of(folder), city):
        kind = batch[0][1]
        columns = len(feature_names(kind))
        chunks = [without(c, *strip) if strip else c for _, _, c in batch]
        trip = np.array([trips.setdefault((d, c.trip), len(trips)) for d, _, c in batch], np.int64)
        heard = hear(chunks, speeds, kind, options)
        t0 = np.array([c.t0_s for c in chunks])
        rows.append(heard.rows)
        t_s.append(heard.t_s + t0[heard.chunk])
        trip_of.append(trip[heard.chunk])
        score.append(heard.score)
        level.append(heard.level[heard.chunk])
        seconds += sum(c.end_s - c.start_s for c in chunks)
        for i, (c, v) in enumerate(zip(chunks, speeds, strict=True)) if silence else ():
            quiet = heard.quiet[heard.first[i] : heard.first[i + 1]]
            lead = int((c.start_s - c.t0_s) * options.rate_hz)
            whole = int(c.end_s - c.start_s)
            step = int(options.rate_hz)
            for k in range(whole):
                part = quiet[lead + k * step : lead + (k + 1) * step]
                at = min(len(v) - 1, int((lead + (k + 0.5) * step) / options.rate_hz * c.rate_hz))
                if len(part):
                    gates.append(np.array([v[at], heard.level[i], part.max()]))
    driven = _rows(folder / "trips.csv.gz")
    models, trip_km = [""] * len(trips), np.zeros(len(trips))
    for r in driven:
        if (number := trips.get((r["device"], r["trip"]))) is not None:
            models[number] = r["model"]
            trip_km[number] += float(r["metres"]) / 1000
    all_t = np.concatenate(t_s) if t_s else np.empty(0)
    all_trip = np.concatenate(trip_of) if trip_of else np.empty(0, np.int64)
    meetings = meetings_of(folder, trips)
    label, which = labelled(all_t, all_trip, meetings)
    return Candidates(
        rows=np.concatenate(rows) if rows else np.empty((0, columns)),
        label=label,
        meeting=which,
        trip=all_trip,
        t_s=all_t,
        score=np.concatenate(score) if score else np.empty(0),
        level=np.concatenate(level) if level else np.empty(0),
        meetings=meetings,
        km=sum(float(r["metres"]) for r in driven) / 1000,
        seconds=seconds,
        models=models,
        trip_km=trip_km,
        gates=np.array(gates) if gates else np.empty((0, 3)),
    )
