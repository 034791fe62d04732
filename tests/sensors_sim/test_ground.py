"""The proving ground: its folder is whole, its chunks are what a city takes, and its truth is where things are felt."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import math
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from ingest import CARRIERS, MAX_BYTES, Chunk, admit, decode, read_city
from sensors_sim.__main__ import main
from sensors_sim.cutting import cut
from sensors_sim.dataset import CHUNKS, MANIFEST, TRIPS, TRUTH, DriveWriter, FolderTaken
from sensors_sim.ground import FAMILIES, KINDS, WHAT, Options, drives, family, ride, stretch_of
from sensors_sim.plan import WAY_HZ, Stretch, Thing, Wheels, meetings
from sensors_sim.truth import Place
from sensors_sim.ways import LEAD_S, Driver, bends, drive

CITY = read_city((Path(__file__).parents[2] / "city.toml").read_text(encoding="utf-8"))


def table(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def payloads(folder: Path) -> list[tuple[str, str, bytes]]:
    found = []
    with (folder / CHUNKS).open("rb") as file:
        size = (folder / CHUNKS).stat().st_size
        while file.tell() < size:
            device, kind, payload = cbor2.load(file)
            found.append((device, kind, payload))
    return found


def written(folder: Path, options: Options, count: int) -> dict[str, Any]:
    with DriveWriter(folder, {"seed": options.seed}) as writer:
        for one in islice(drives(options), count):
            recorded = ride(options.physics, one.plan)
            writer.add(one.plan, recorded, one.place, one.device, one.trip, options.physics, one.stretch)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest


FULL = Options(equipment=frozenset({"laser", "bands", "camera"}), seed=3)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("box")
    written(folder, FULL, 5)
    return folder


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phone")
    written(folder, Options(device="phone", seed=3), 5)
    return folder


@cache
def chunks(folder: Path) -> list[tuple[str, str, Chunk]]:
    return [(device, kind, decode(payload)) for device, kind, payload in payloads(folder)]


@pytest.mark.parametrize("name", ["box", "phone"])
def test_chunks_are_what_a_city_takes(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    last: dict[str, Chunk] = {}
    for device, kind, payload in payloads(folder):
        assert kind == name
        assert len(payload) < MAX_BYTES / 2
        chunk = decode(payload)
        assert admit(chunk, kind, CITY, chunk.end_s + 10) is chunk
        assert device.startswith("first-mixed-3-")
        before = last.get(chunk.trip)
        assert chunk.seq == (before.seq + 1 if before else 0)
        assert before is None or chunk.start_s == before.end_s
        assert chunk.t0_s <= chunk.start_s - 1.9
        assert chunk.measured_until_s >= chunk.end_s + 1.9
        last[chunk.trip] = chunk
    assert len(last) == 5


def test_a_laser_and_bands_go_along_with_what_a_chunk_owns(box: Path) -> None:
    for _, _, chunk in chunks(box):
        assert chunk.laser is not None
        assert chunk.bands is not None
        ends = chunk.laser.t0_s + (len(chunk.laser.height_counts) - 1) / chunk.laser.rate_hz
        assert chunk.laser.t0_s < chunk.start_s - 1.9
        assert ends > chunk.end_s + 1.9
        assert chunk.bands.t0_s < chunk.start_s - 1.8
        assert chunk.bands.t0_s + (len(chunk.bands.level_db) - 1) * chunk.bands.step_s > chunk.end_s + 1.7
        assert all(chunk.start_s <= d.t_s < chunk.end_s for d in chunk.detections)
    assert any(chunk.detections for _, _, chunk in chunks(box))


def test_trips_say_what_chunks_own(box: Path) -> None:
    rows = table(box / TRIPS)
    for row in rows:
        own = [c for _, _, c in chunks(box) if c.trip == row["trip"]]
        assert float(row["from_s"]) == pytest.approx(own[0].start_s, abs=1e-3)
        assert float(row["to_s"]) == pytest.approx(own[-1].end_s, abs=1e-3)
        assert row["equipment"] == "bands+camera+laser"
        assert row["device_kind"] == "box"
        speeds = [float(v) for c in own for v, t in zip(c.fixes.speed_mps, c.fixes.t_s, strict=True)
                  if c.start_s <= t < c.end_s]  # fmt: skip
        seconds = own[-1].end_s - own[0].start_s
        assert float(row["metres"]) == pytest.approx(np.mean(speeds) * seconds, rel=0.03)
    km = json.loads((box / MANIFEST).read_text())["km"]
    assert km == pytest.approx(sum(float(r["metres"]) for r in rows) / 1000, abs=0.01)


def test_hard_hits_are_felt_when_the_truth_says(box: Path) -> None:
    """At a red hole or step that a wheel meets, the vertical acceleration within the meeting stands out."""
    trips: dict[str, list[Chunk]] = {}
    for _, _, chunk in chunks(box):
        trips.setdefault(chunk.trip, []).append(chunk)
    ratios = []
    for row in table(box / TRUTH):
        hard = row["kind"] in ("pothole", "faulting", "frame_level", "speed_bump") and abs(float(row["height_mm"])) > 25
        if not hard or row["wheels"] == "none" or float(row["speed_mps"]) < 4:
            continue
        begin, end = float(row["in_s"]), float(row["out_s"])
        for chunk in trips[row["trip"]]:
            if chunk.start_s <= float(row["mid_s"]) < chunk.end_s:
                t, up = chunk.sample_t_s, chunk.acc_mps2[:, 2] - np.median(chunk.acc_mps2[:, 2])
                inside = (t >= begin - 0.05) & (t <= end + 0.3)
                ratios.append(np.abs(up[inside]).max() / np.abs(up[~inside]).mean())
    assert len(ratios) >= 4
    assert np.median(ratios) > 5


def test_places_in_the_truth_are_where_the_fixes_were(box: Path) -> None:
    for row in table(box / TRUTH):
        if row["what"] == "act":
            continue
        mid = float(row["mid_s"])
        for _, _, c in chunks(box):
            if c.trip == row["trip"] and c.start_s <= mid < c.end_s:
                lat, lon = (float(np.interp(mid, c.fixes.t_s, v)) for v in (c.fixes.lat_deg, c.fixes.lon_deg))
                north = (float(row["lat_deg"]) - lat) * 110_850
                east = (float(row["lon_deg"]) - lon) * 111_320 * math.cos(math.radians(lat))
                course = math.radians(float(np.interp(mid, c.fixes.t_s, np.unwrap(c.fixes.course_deg, period=360))))
                assert abs(east * math.sin(course) + north * math.cos(course)) < 0.6
                assert abs(east * math.cos(course) - north * math.sin(course)) < 3.0


def test_the_same_seed_gives_the_same_bytes_and_the_manifest_their_hashes(box: Path, tmp_path: Path) -> None:
    again = written(tmp_path / "again", FULL, 5)
    other = written(tmp_path / "other", replace(FULL, seed=4), 1)
    assert again["schema"] == "rhc-drives/1"
    assert again["counts"]["trips"] == 5
    for name in (CHUNKS, TRUTH, TRIPS):
        data = (tmp_path / "again" / name).read_bytes()
        assert data == (box / name).read_bytes()
        assert again["files"][name] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        assert other["files"][name] != again["files"][name]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    one = next(drives(Options(what="healthy", seed=1)))


    def broken_off() -> None:
        with DriveWriter(tmp_path, {}) as writer:
            recorded = ride("first", one.plan)
            writer.add(one.plan, recorded, one.place, one.device, one.trip, "first", one.stretch)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert not list(tmp_path.iterdir())
    with DriveWriter(tmp_path, {}):
        pass
    assert {p.name for p in tmp_path.iterdir()} == {CHUNKS, TRUTH, TRIPS, MANIFEST}
    with pytest.raises(FolderTaken):
        DriveWriter(tmp_path, {})


def test_mixed_roads_carry_every_type_and_are_mostly_healthy() -> None:
    stretches = [stretch_of(Options(seed=1), n) for n in range(120)]
    things = [t for s in stretches for t in s.things]
    kinds = Counter(t.kind for t in things if not t.harmless)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 0.5 * max(kinds.values())
    assert np.mean([t.harmless for t in things]) == pytest.approx(0.25, abs=0.04)
    metres = sum(s.length_m for s in stretches)
    covered = sum(t.length_m for t in things if t.kind != "rutting")
    assert covered < 0.1 * metres
    assert 45 < metres / len(things) < 70
    for s in stretches:
        ends = [(t.s_m - t.length_m / 2, t.s_m + t.length_m / 2) for t in s.things]
        assert all(a[1] + 20 < b[0] for a, b in pairwise(ends))
        assert not ends or (ends[0][0] > 0 and ends[-1][1] < s.length_m)
    assert len({s.roughness for s in stretches}) == 4


def test_healthy_roads_have_harmless_things_as_often_as_one_meets_them() -> None:
    stretches = [stretch_of(Options(what="healthy", seed=1), n) for n in range(40)]
    things = [t for s in stretches for t in s.things]
    km = sum(s.length_m for s in stretches) / 1000
    assert all(t.harmless for t in things)
    many = Counter(t.kind for t in things)
    assert many["sound_cover"] / km == pytest.approx(12.5, rel=0.15)
    assert many["speed_bump"] / km == pytest.approx(1.5, rel=0.4)
    dense = [t for n in range(20) for t in stretch_of(Options(what="look_alikes", seed=1), n).things]
    assert {t.kind for t in dense} == set(family("first").LOOK_ALIKES)
    assert all(t.harmless for t in dense)


@pytest.mark.parametrize("physics", FAMILIES)
def test_families_are_treated_alike(physics: str) -> None:
    module = family(physics)
    assert set(module.MODELS.values()) <= set(CARRIERS)
    for what in WHAT:
        one = next(drives(Options(physics, what, "phone", seed=6)))
        assert one.plan.model in module.MODELS
        assert one.plan.carrier == module.MODELS[one.plan.model]
        assert one.plan.stretch.roughness in module.ROUGHNESS_MIX
        harmless = {*module.LOOK_ALIKES, *family("first").LOOK_ALIKES}
        assert all(t.kind in (harmless if t.harmless else KINDS) for t in one.plan.stretch.things)
    for n in range(30):
        box = next(drives(Options(physics, seed=n))).plan
        assert box.carrier not in ("ebike", "bike")
    with pytest.raises(ValueError, match="third"):
        family("third")


def test_ways_are_drivable_and_lead_in_and_out() -> None:
    stopped = turned = 0
    for one in islice(drives(Options(seed=2, device="phone")), 40):
        way, length = one.plan.way, one.plan.stretch.length_m
        v = way.v_mps
        assert np.allclose(np.diff(way.s_m) * WAY_HZ, (v[1:] + v[:-1]) / 2, atol=0.05)
        step = np.hypot(np.diff(way.east_m), np.diff(way.north_m)) * WAY_HZ
        assert np.allclose(step, v[:-1], atol=0.05 * v.max() + 0.1)
        moving = v[:-1] > 2
        heading = np.degrees(np.arctan2(np.diff(way.east_m), np.diff(way.north_m)))
        assert np.abs((heading - way.course_deg[:-1] + 180) % 360 - 180)[moving].max() < 4
        accel = np.diff(v) * WAY_HZ
        assert accel.min() > -5
        assert accel.max() < 3
        assert way.s_m[round(LEAD_S * WAY_HZ)] < 3
        assert way.s_m[-round(LEAD_S * WAY_HZ)] > length
        assert v.max() < 25
        assert np.abs(way.y_m).max() < 2.5
        stopped += bool(v.min() < 0.05)
        turned += bool(np.ptp(np.unwrap(way.course_deg, period=360)) > 20)
    assert stopped >= 5
    assert turned >= 10


def test_wheels_meet_some_things_and_miss_others() -> None:
    wheels: Counter[str] = Counter()
    for one in islice(drives(Options(seed=2)), 60):
        for m in meetings(one.plan):
            wheels[m.wheels] += 1
    share = {k: n / wheels.total() for k, n in wheels.items()}
    assert share["none"] > 0.08
    assert share["left"] > 0.08
    assert share["right"] > 0.08
    assert share["both"] > 0.15


def test_who_swerves_goes_around_red_holes_and_comes_back() -> None:
    hole = Thing("pothole", "", 200.0, 0.7, 0.6, 0.5, -60.0, 60.0, "mm", 2, seed=1)
    crack = replace(hole, kind="linear_crack", s_m=300.0, height_mm=0.0)
    stretch, wheels = Stretch(400.0, "A", 3, (hole, crack)), Wheels(0.75, 2.7)
    straight, around = (
        drive(stretch, bends(stretch), Driver(10.0, swerves=swerves), wheels, 0.0, 5) for swerves in (False, True)
    )
    beside = [np.interp([60.0, 200.0, 300.0], way.s_m, way.y_m) for way in (straight, around)]
    assert abs(beside[1][1] - beside[0][1]) > 0.1
    assert beside[1][[0, 2]] == pytest.approx(beside[0][[0, 2]], abs=0.01)
    left_wheel = beside[1][1] + wheels.half_track_m
    assert abs(left_wheel - hole.y_m) >= (hole.width_m + wheels.width_m) / 2


def test_passes_are_of_different_vehicles_over_the_same_things(tmp_path: Path) -> None:
    written(tmp_path, Options(what="passes", passes=4, seed=5), 4)
    rows = [r for r in table(tmp_path / TRUTH) if r["what"] != "act"]
    assert len({r["device"] for r in rows}) == 4
    places: dict[str, list[tuple[float, float]]] = {}
    for r in rows:
        places.setdefault(r["thing"], []).append((float(r["lat_deg"]), float(r["lon_deg"])))
    assert len(places) >= 3
    assert {len(p) for p in places.values()} == {4}
    for seen in places.values():
        spread_m = np.ptp(np.array(seen), axis=0) * 111_000
        assert spread_m.max() < 0.3
    assert len({c.trip for _, _, c in chunks(tmp_path)}) == 4


def test_the_command_writes_a_folder_and_tells_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["ground", "--out", str(tmp_path / "d"), "--what", "healthy", "--km", "1", "--seed", "7", "--quick"]
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["km"] >= 1
    assert told["chunks"] == len(payloads(tmp_path / "d"))
    assert told["truth"] > 5
    assert main(arguments) == 2
    assert "holds a data set" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["ground", "--out", str(tmp_path / "e"), "--device", "phone", "--equipment", "laser"])


def test_a_ride_too_short_for_a_chunk_gives_none() -> None:
    one = next(drives(Options(seed=1)))
    recorded = ride("first", one.plan)
    short = replace(recorded, acc_counts=recorded.acc_counts[: round(6.2 * recorded.rate_hz)])
    assert not list(cut(short, Place(120.2, 30.3), "car", "box", lambda _: ("20260302-0123456789abcdef", 0)))
