"""Simulated drives as files: altered ones are named, and each candidate is what it met: defect before look-alike before
act."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cbor2
import numpy as np
import pytest

from defects.gate import GATE_BOX
from defects.research.drives import (
    ACT,
    EARLY_S,
    FILES,
    HEALTHY,
    LATE_S,
    LOOK_ALIKE,
    SCHEMA,
    UNCLEAR,
    DrivesError,
    candidates_of,
    chunks_of,
    driven_km,
    labelled,
    manifest_of,
    meetings_of,
)
from defects.taxonomy import LEAVES, Leaf
from ingest import Chunk, City, encode

from ..roads import START_S, straight
from .models import equipped

POTHOLE, FAULTING = LEAVES.index(Leaf("pothole")), LEAVES.index(Leaf("faulting"))
TRUTH = {
    "device": "one", "trip": "", "kind": "pothole", "subtype": "", "what": "defect", "in_s": 0.0, "out_s": 0.0,
    "wheels": "left", "grade": 2, "height_mm": -40.0, "roughness": "A", "speed_mps": 10.0, "thing": "a/0",
}  # fmt: skip
DRIVEN = {"device": "one", "trip": "", "model": "bus", "metres": 1500.0}


def met(trip: str, in_s: float, out_s: float | None = None, **more: object) -> dict[str, object]:
    """A row of the truth; times after the drive's start."""
    return TRUTH | {"trip": trip, "in_s": START_S + in_s, "out_s": START_S + (in_s if out_s is None else out_s)} | more


def table(path: Path, rows: list[dict[str, object]], columns: dict[str, object]) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def write(folder: Path, chunks: list[Chunk], truth: list[dict[str, object]], tail: bytes = b"") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "chunks.cbor").write_bytes(b"".join(cbor2.dumps(["one", "box", encode(c)]) for c in chunks) + tail)
    table(folder / "truth.csv.gz", truth, TRUTH)
    table(folder / "trips.csv.gz", [DRIVEN | {"trip": t} for t in dict.fromkeys(c.trip for c in chunks)], DRIVEN)
    files = {name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} for name in FILES}
    (folder / "manifest.json").write_text(json.dumps({"schema": SCHEMA, "files": files, "arguments": {"seed": 1}}))
    return folder


@pytest.fixture
def chunk(city: City) -> Chunk:
    return straight(city, jolts=((2.0, 0.8, 1.0),))


def test_a_whole_folder_is_read(chunk: Chunk, tmp_path: Path) -> None:
    folder = write(tmp_path, [chunk, replace(chunk, seq=1)], [])
    assert manifest_of(folder)["arguments"] == {"seed": 1}
    assert driven_km(folder) == 1.5
    read = list(chunks_of(folder))
    assert [(device, kind, c.seq) for device, kind, c in read] == [("one", "box", 0), ("one", "box", 1)]
    assert read[0][2].acc_counts.tobytes() == chunk.acc_counts.tobytes()


@pytest.mark.parametrize("name", FILES)
def test_an_altered_file_is_named(chunk: Chunk, tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, [chunk], [])
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(DrivesError, match=f"{name} is not what its manifest says"):
        manifest_of(folder)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_said_with_what_to_do(chunk: Chunk, tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, [chunk], [])
    (folder / name).unlink()
    with pytest.raises(DrivesError, match="make them with python -m sensors_sim ground"):
        manifest_of(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', '{"schema": "rhc-drives/1", "files": {}}'])
def test_a_manifest_that_is_none_is_said(chunk: Chunk, tmp_path: Path, text: str) -> None:
    folder = write(tmp_path, [chunk], [])
    (folder / "manifest.json").write_text(text)
    with pytest.raises(DrivesError):
        manifest_of(folder)


def test_chunks_that_break_off_or_are_none_are_said(chunk: Chunk, tmp_path: Path) -> None:
    whole = cbor2.dumps(["one", "box", encode(chunk)])
    for tail, text in (
        (whole[: len(whole) // 2], "breaks off"),
        (cbor2.dumps(["one", "box"]), "breaks off"),
        (cbor2.dumps(["one", "box", b"none"]), "holds a chunk that is refused"),
    ):
        read = chunks_of(write(tmp_path, [chunk], [], tail))
        assert next(read)[2].trip == chunk.trip
        with pytest.raises(DrivesError, match=text):
            next(read)


def test_the_truth_as_it_is_read(chunk: Chunk, tmp_path: Path) -> None:
    rows = [
        met(chunk.trip, 1.0, 1.2),
        met(chunk.trip, 2.0, kind="expansion_joint", what="look_alike", grade=0, wheels="none"),
        met(chunk.trip, 3.0, kind="braking", what="act", grade=0, wheels="", thing=""),
        met("elsewhere", 4.0, kind="faulting", thing="a/0", height_mm=""),
        met(chunk.trip, 5.0, kind="sinkhole", thing=""),
    ]
    found = meetings_of(write(tmp_path, [chunk], rows), {("one", chunk.trip): 0})
    assert found.leaf.tolist() == [POTHOLE, LOOK_ALIKE, ACT, FAULTING, UNCLEAR]
    assert found.trip.tolist() == [0, 0, 0, -1, 0]
    assert found.met.tolist() == [True, False, True, True, True]
    assert found.height_mm.tolist() == [-40.0, -40.0, -40.0, 0.0, -40.0]
    assert found.thing[0] == found.thing[3]
    assert len({found.thing[k] for k in (0, 2, 4)}) == 3  # what has no name is a thing of its own
    assert found.out_s[0] - found.in_s[0] == pytest.approx(0.2)


def label_at(folder: Path, chunk: Chunk, *times: float) -> list[int]:
    """What candidates of the drive at so many seconds after its start are called."""
    t_s = np.array([START_S + t for t in times])
    label, which = labelled(t_s, np.zeros(len(t_s), np.int64), meetings_of(folder, {("one", chunk.trip): 0}))
    assert ((which >= 0) | (label == HEALTHY)).all()
    return [int(x) for x in label]


def test_a_meeting_reaches_from_shortly_before_it_to_shortly_after(chunk: Chunk, tmp_path: Path) -> None:
    folder = write(tmp_path, [chunk], [met(chunk.trip, 2.0, 3.0)])
    times = (2 - EARLY_S - 0.01, 2 - EARLY_S + 0.01, 2.5, 3 + LATE_S - 0.01, 3 + LATE_S + 0.01)
    assert label_at(folder, chunk, *times) == [HEALTHY, POTHOLE, POTHOLE, POTHOLE, HEALTHY]


def test_the_order_in_which_candidates_come_changes_nothing(chunk: Chunk, tmp_path: Path) -> None:
    folder = write(tmp_path, [chunk], [met(chunk.trip, 2.0), met(chunk.trip, 4.0, kind="faulting")])
    assert label_at(folder, chunk, 4.0, 1.0, 2.0) == [FAULTING, HEALTHY, POTHOLE]


JOINT = {"kind": "expansion_joint", "what": "look_alike", "grade": 0, "thing": "a/1"}
BRAKING = {"kind": "braking", "what": "act", "grade": 0, "thing": "", "wheels": ""}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("things", "label"),
    [
        ([{}, JOINT], POTHOLE),
        ([{}, BRAKING], POTHOLE),
        ([JOINT, BRAKING], LOOK_ALIKE),
        ([{}, JOINT, BRAKING], POTHOLE),
        ([{"grade": 0}, BRAKING], UNCLEAR),
        ([{"wheels": "none"}, BRAKING], UNCLEAR),
    ],
)
def test_defect_before_look_alike_before_act(
    chunk: Chunk, tmp_path: Path, things: list[dict[str, object]], label: int, reverse: bool
) -> None:
    rows = [met(chunk.trip, 2.0, **one) for one in things]
    assert label_at(write(tmp_path, [chunk], rows[::-1] if reverse else rows), chunk, 2.1) == [label]


@pytest.mark.parametrize(
    ("thing", "label"),
    [
        ({"wheels": "none"}, UNCLEAR),
        ({"wheels": ""}, UNCLEAR),
        ({"grade": 0}, UNCLEAR),
        ({"grade": 1}, POTHOLE),
        ({"speed_mps": 2.0}, POTHOLE),  # slow ones are left to the gate, which lets none through
        (JOINT, LOOK_ALIKE),
        (JOINT | {"wheels": "none"}, HEALTHY),
        (BRAKING, ACT),
        ({"trip": "elsewhere"}, HEALTHY),
    ],
)
def test_what_no_wheel_met_is_no_lesson(chunk: Chunk, tmp_path: Path, thing: dict[str, object], label: int) -> None:
    assert label_at(write(tmp_path, [chunk], [met(chunk.trip, 2.0) | thing]), chunk, 2.1) == [label]


def test_candidates_of_a_folder(city: City, tmp_path: Path) -> None:
    drive = [straight(city, seq=k, jolts=((2.0, 0.8, 1.0), (8.0, 0.8, 0.0))) for k in range(2)]
    folder = write(tmp_path, drive, [met(drive[0].trip, 1.95, 2.1), met(drive[0].trip, 7.95, 8.1, **JOINT)])
    found = candidates_of(folder, city, GATE_BOX, silence=True)
    strong = found.score > 2
    assert found.t_s[strong] - START_S == pytest.approx([2.0, 8.0], abs=0.1)
    assert found.label[strong].tolist() == [POTHOLE, LOOK_ALIKE]
    assert found.meeting[strong].tolist() == [0, 1]
    assert found.models == ["bus"]
    assert (found.km, found.seconds) == (1.5, 10.0)
    assert len(found.gates) == 10
    assert (found.gates[:, 2] >= 1).nonzero()[0].tolist()[0] in (1, 2)
    assert found.gates[:, 0] == pytest.approx(10.0, rel=0.02)


def test_slow_drives_have_no_candidates(city: City, tmp_path: Path) -> None:
    slow = straight(city, speed_mps=4.0, jolts=((2.0, 0.8, 1.0),))
    assert len(candidates_of(write(tmp_path, [slow], [met(slow.trip, 2.0)]), city, GATE_BOX).t_s) == 0


def test_senses_taken_away_first_are_not_seen(city: City, tmp_path: Path) -> None:
    folder = write(tmp_path, [equipped(straight(city), 1)], [])
    assert len(candidates_of(folder, city, GATE_BOX).t_s) > 0
    stripped = candidates_of(folder, city, GATE_BOX, ("laser", "bands"))
    assert len(stripped.t_s) == 0
