"""A city and its fleets: the same bytes again, truth that fits what was driven, drivers who behave, faults counted."""

import csv
import gzip
import json
import math
from collections import Counter, defaultdict
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from ingest import Chunk, City, Refused, admit, decode, read_city
from sensors_sim.__main__ import main
from sensors_sim.drivers import MANNERS, Drive, Setting, drive, route_of
from sensors_sim.life import DAY_S, Life, Spot
from sensors_sim.mishaps import Mishaps, Trouble, read_mishaps
from sensors_sim.network import Lane, Network, generated
from sensors_sim.plan import Plan, Stretch, Thing, Wheels, meetings
from sensors_sim.routes import read_fleet
from sensors_sim.shares import ShareFailed, Work, slabs

ROOT = Path(__file__).parents[2]
BEGIN_S = 1_772_409_600.0  # 2026-03-02, 8:00 in Shanghai
FLEET = "boxes=2,phones=2,ebikes=1"
ARGUMENTS = [
    "simulate", "--city", str(ROOT / "city.toml"), "--fleet", FLEET, "--hours", "0.25", "--size", "5", "--density", "3",
    "--from", "07:50", "--equipment", "camera", "--faults", "handled=8",
]  # fmt: skip


@pytest.fixture(scope="module")
def city() -> City:
    return read_city((ROOT / "city.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("city") / "drives"
    assert main([*ARGUMENTS, "--seed", "1", "--jobs", "1", "--out", str(out)]) == 0
    return out


def messages(folder: Path) -> list[tuple[str, str, bytes]]:
    data = (folder / "chunks.cbor").read_bytes()
    stream, out = BytesIO(data), []
    while stream.tell() < len(data):
        device, kind, payload = cbor2.load(stream)
        out.append((device, kind, payload))
    return out


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(folder / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_the_same_arguments_give_the_same_bytes_whatever_the_jobs(folder: Path, tmp_path: Path) -> None:
    assert main([*ARGUMENTS, "--seed", "1", "--jobs", "2", "--out", str(tmp_path / "again")]) == 0
    assert bytes_of(tmp_path / "again") == bytes_of(folder)
    names = {"chunks.cbor", "truth.csv.gz", "trips.csv.gz", "manifest.json", "truth_defects.jsonl", "network.geojson"}
    assert set(bytes_of(folder)) == names


def test_the_door_takes_them_all_and_trips_are_whole(folder: Path, city: City) -> None:
    by_trip: dict[tuple[str, str], list[Chunk]] = defaultdict(list)
    for device, kind, payload in messages(folder):
        chunk = decode(payload)
        admit(chunk, kind, city, chunk.end_s + 60)
        by_trip[device, chunk.trip].append(chunk)
    assert {d for d, _ in by_trip} >= {"sim-box-0001", "sim-box-0002", "sim-ebike-0001"}
    for chunks in by_trip.values():
        assert [c.seq for c in chunks] == list(range(len(chunks)))
        for a, b in pairwise(chunks):
            assert -1e-6 < b.start_s - a.end_s < 0.05  # from lane to lane without a gap, and nothing owned twice


def test_the_truth_lies_where_the_box_was(folder: Path) -> None:
    """At the moment in which a box's axle is at a thing's middle, its fixes are within a lane of it."""
    fixes: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for device, kind, payload in messages(folder):
        if kind == "box":
            f = decode(payload).fixes
            fixes[device] += zip(f.t_s.tolist(), f.lat_deg.tolist(), f.lon_deg.tolist(), strict=True)
    rows = [r for r in table(folder, "truth") if r["device"] in fixes and r["what"] != "act"]
    assert len(rows) > 40
    for row in rows:
        t, lat, lon = np.array(sorted(set(fixes[row["device"]]))).T
        at_s = float(row["mid_s"])
        north = (np.interp(at_s, t, lat) - float(row["lat_deg"])) * 111_000
        east = (np.interp(at_s, t, lon) - float(row["lon_deg"])) * 111_000 * math.cos(math.radians(30.28))
        assert math.hypot(east, north) < 2.8


def test_meetings_name_the_defects_of_the_truth(folder: Path) -> None:
    known = {}
    for line in (folder / "truth_defects.jsonl").read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        known[row["id"]] = row
    met = [r for r in table(folder, "truth") if r["what"] == "defect"]
    assert met
    for row in met:
        told = known[row["thing"]]
        now = [s["thing"] for s in told["states"] if s["from"] is None or s["from"] <= float(row["in_s"])][-1]
        assert (now["kind"], now["subtype"], str(now["grade"])) == (row["kind"], row["subtype"], row["grade"])
        assert abs(told["lat_deg"] - float(row["lat_deg"])) * 111_000 < 0.6
        assert told["appeared"] <= float(row["in_s"])


def test_trips_add_up(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    rows = table(folder, "trips")
    assert sum(float(r["metres"]) for r in rows) / 1000 == pytest.approx(manifest["km"], abs=0.01)
    owned = sum((c := decode(p)).end_s - c.start_s for _, _, p in messages(folder))
    assert owned == pytest.approx(manifest["vehicle_seconds"], abs=1.0)
    assert manifest["arguments"]["fleet"]["phones"] == 2
    acts = [r["kind"] for r in table(folder, "truth") if r["what"] == "act"]
    assert {k[4:]: n for k, n in manifest["happened"].items() if k.startswith("act_")} == Counter(acts)
    assert all(3 < 3.6 * float(r["metres"]) / (float(r["to_s"]) - float(r["from_s"])) < 70 for r in rows)


# ---------------------------------------------------------------- drivers


@pytest.fixture(scope="module")
def network(city: City) -> Network:
    return generated(city.centre_deg, 1, 4)


class OneHole(Life):
    """A city with nothing in it but one thing on one lane."""

    def __init__(self, thing: Thing, lane: Lane, coned_s: float = math.inf, since_s: float = BEGIN_S - DAY_S) -> None:
        self._one = Spot(1, lane.number, (since_s,), (thing,), (coned_s,))

    def spots(self, lane: Lane) -> tuple[Spot, ...]:
        return (self._one,) if lane.number == self._one.lane else ()

    def stretch(self, lane: Lane, _t_s: float) -> Stretch:
        return Stretch(lane.length_m, "A", 1, tuple(t for s in self.spots(lane) for t in s.things if t))


def hole(y_m: float = 0.75, kind: str = "pothole", grade: int = 2, width_m: float = 0.6) -> Thing:
    return Thing(kind, "", 100.0, y_m, 0.6, width_m, -80.0, 80.0, "mm", grade)


def lanes_of(network: Network) -> tuple[Lane, ...]:
    path = network.path(0, len(network.nodes_m) - 1, dict.fromkeys(("trunk", "secondary", "branch"), 1.0))
    assert path is not None
    return tuple(network.lanes_of[key][0] for key in path)


def driven(network: Network, life: Life, use: str = "car", seed: int = 0, night: bool = False) -> Drive:
    half, width = (0.0, 0.05) if use in ("bike", "ebike") else (0.75, 0.2)
    setting = Setting(MANNERS[use], half, width, night)
    return drive(network, life, route_of(lanes_of(network)), setting, BEGIN_S, 0.0, np.random.default_rng(seed))


def touched(network: Network, life: OneHole, use: str = "car", seeds: int = 60, night: bool = False) -> float:
    """Share of drives in which a wheel meets the one thing, on the route's second lane."""
    hits = 0
    for seed in range(seeds):
        d = driven(network, life, use, seed, night)
        stretch = life.stretch(lanes_of(network)[1], BEGIN_S)
        plan = Plan(stretch, d.way(1), "car", "sedan", Wheels(0.75, 2.7, 0.2), "box", 200.0)
        hits += any(m.wheels != "none" for m in meetings(plan))
    return hits / seeds


def test_ways_are_smooth_and_true(network: Network) -> None:
    life = OneHole(hole(), lanes_of(network)[1])
    for use, manner in MANNERS.items():
        d = driven(network, life, use)
        assert np.abs(np.diff(d.v_mps)).max() * 100 < 1.05 * max(manner.accel, manner.brake)
        assert d.s_m[0] < 0.01
        assert d.s_m[-1] == pytest.approx(d.route.along_m[-1])
        for piece, lane in enumerate(d.route.lanes):
            way = d.way(piece)
            start, end = d.owned_s(piece)
            assert way.t0_s == pytest.approx(start - 3.0)
            assert way.t0_s + way.duration_s == pytest.approx(end + 3.0)
            chord = np.hypot(np.diff(way.east_m), np.diff(way.north_m)) * 100
            # A curve's inner side, where bicycles keep, is shorter than the lane's middle, along which s runs.
            assert (np.abs(chord - way.v_mps[1:]) < 0.05 + 0.2 * way.v_mps[1:]).all()
            course = np.unwrap(np.radians(way.course_deg))
            assert np.abs(np.diff(course) * 100 * way.v_mps[1:]).max() < 2.2 * manner.lateral + 0.6
            inside = (way.s_m >= 0) & (way.s_m <= lane.length_m)
            assert np.abs(way.y_m[inside]).max() < 2.0
            heading = np.degrees(np.arctan2(np.diff(way.east_m), np.diff(way.north_m)))
            fast = way.v_mps[1:] > 2.0
            off = (heading - way.course_deg[1:] + 180) % 360 - 180
            assert np.abs(off[fast]).max(initial=0) < 5.5  # lines are of chords, a metre each


def test_most_swerve_around_an_old_hole_and_few_around_a_crack(network: Network) -> None:
    lane = lanes_of(network)[1]
    plain = touched(network, OneHole(hole(kind="linear_crack"), lane))
    fresh = touched(network, OneHole(hole(), lane, since_s=BEGIN_S - 60))
    old = touched(network, OneHole(hole(), lane, since_s=BEGIN_S - 6 * DAY_S))
    mild = touched(network, OneHole(hole(grade=1), lane))
    assert plain > 0.8
    assert old < 0.25
    assert old <= fresh < plain
    assert mild > old + 0.3
    assert touched(network, OneHole(hole(), lane, since_s=BEGIN_S - 60), night=True) > fresh


def test_nobody_drives_through_cones(network: Network) -> None:
    lane = lanes_of(network)[1]
    coned = OneHole(hole(y_m=0.0, width_m=1.6), lane, coned_s=BEGIN_S - 1)
    assert touched(network, coned, seeds=20) == 0.0
    assert touched(network, OneHole(hole(y_m=0.0, width_m=1.6), lane), seeds=20) > 0.3  # too wide to swerve around


def test_sweepers_crawl_by_the_kerb_and_bumps_slow_cars(network: Network) -> None:
    lane = lanes_of(network)[1]
    bump = replace(hole(y_m=0.0, kind="speed_bump", grade=0, width_m=3.5), harmless=True, height_mm=60.0)
    sweeper, car = (driven(network, OneHole(bump, lane), use, 3) for use in ("sweeper", "car"))
    moving = sweeper.v_mps[sweeper.v_mps > 1.2] * 3.6
    assert 4.5 < np.median(moving) <= 10.0
    assert np.median(sweeper.y_m) < -0.4
    way = car.way(1)
    assert np.interp(100.0, way.s_m, way.v_mps) * 3.6 < 20
    assert way.v_mps.max() * 3.6 > 30


# ---------------------------------------------------------------- faults and words


def test_faults_are_counted_and_do_what_they_say(folder: Path, city: City) -> None:
    chunks = [decode(p) for d, _, p in messages(folder) if d == "sim-box-0001"][:12]
    counts: Any = defaultdict(int)

    def sent(**what: Any) -> list[Chunk]:
        counts.clear()
        return Trouble(Mishaps(**what), 1, 0, "phone", counts).leg(chunks, 0)

    assert [c.seq for c in sent()] == [c.seq for c in chunks]
    assert len(sent(drop=1.0)) == 0
    assert counts["dropped"] == len(chunks)
    gap = sent(gap=1e6)
    assert counts["gaps"] == 1
    assert len(gap) == len(chunks) - counts["lost_in_gaps"] < len(chunks)
    dark = sent(tunnel=1e6)
    assert counts["tunnels"] == 1
    assert sum(len(c.fixes.t_s) for c in dark) < sum(len(c.fixes.t_s) for c in chunks)
    refused = 0
    for chunk in dark:
        try:
            admit(chunk, "box", city, chunk.end_s + 60)
        except Refused:
            refused += 1
    assert refused + counts["without_fixes"] > 0
    assert counts["clocked"] == 0
    off = [a.t0_s - b.t0_s for a, b in zip(sent(clock=1.0), chunks, strict=True)]
    assert 0 < abs(off[0]) < 0.4
    assert np.ptp(off) < 0.02  # it drifts, it does not jump
    payloads = Trouble(Mishaps(duplicate=1.0, reorder=3, bad=1e4), 1, 0, "phone", counts).payloads(chunks, 0, 60.0)
    assert len(payloads) == 2 * len(chunks) + counts["bad"]
    assert [t for t, _ in payloads] == sorted(t for t, _ in payloads)
    assert 0 < counts["late"] < 2 * len(chunks)


def test_words_of_fleets_and_faults() -> None:
    assert read_fleet(" boxes=2, ebikes=3")["ebikes"] == 3
    for wrong in ("boxes", "boxes=-1", "rockets=1", "", "boxes=0"):
        with pytest.raises(ValueError, match=r"fleet"):
            read_fleet(wrong)
    assert read_mishaps("") == Mishaps()
    assert read_mishaps("all,drop=0").drop == 0
    assert read_mishaps("all,drop=0").reorder == 8
    for wrong in ("drop", "fire=1", "drop=x", "reorder=1.5"):
        with pytest.raises(ValueError, match="no fault"):
            read_mishaps(wrong)
    with pytest.raises(ValueError, match="shares"):
        read_mishaps("drop=2")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "x", "--fleet", "rockets=1"], "rockets=1"),
        (["--out", "x", "--faults", "fire"], "no fault"),
        (["--out", "x", "--equipment", "nose"], "--equipment is of"),
        (["--out", "x", "--hours", "0"], "--hours"),
        (["--credentials", "x", "--days", "2"], "one day"),
        (["--out", "x", "--city", "nowhere.toml"], "nowhere.toml"),
        ([], "--out"),
    ],
)
def test_wrong_options_are_said(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["simulate", "--city", str(ROOT / "city.toml"), *arguments])
    assert says in capsys.readouterr().err


def test_a_broken_network_and_a_full_folder_are_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ARGUMENTS, "--out", str(folder), "--jobs", "1"]) == 2
    assert "holds a data set already" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("{}")
    assert main([*ARGUMENTS, "--out", str(tmp_path / "y"), "--jobs", "1", "--network", str(tmp_path / "x.json")]) == 2
    assert "not a GeoJSON" in capsys.readouterr().err
    assert not list((tmp_path / "y").iterdir())


def test_a_run_that_is_broken_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sensors_sim.simulate.DriveWriter.put_payload", broken)
    assert main([*ARGUMENTS, "--out", str(tmp_path / "x"), "--jobs", "1"]) == 130
    assert not list((tmp_path / "x").iterdir())


def test_a_share_that_fails_says_why(city: City, tmp_path: Path) -> None:
    work = Work(city, {"boxes": 1}, ((BEGIN_S, BEGIN_S + 60.0),), 1, tmp_path / "missing.json")
    with pytest.raises(ShareFailed, match=r"missing\.json"), slabs(work, 2) as parts:
        list(parts)
