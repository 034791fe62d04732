"""What goes over the wire: whole, true, in order, and the same again for the same seed."""

from collections import defaultdict
from datetime import datetime, time
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from defects import BY_KEY
from ingest import Chunk, City, Trimmed, Trimmer, admit, decode, encode, read_city
from sensors_sim import box, crossing, live, phone, trips
from sensors_sim.box import CAMERA_SIGMA_M, FIX_SIGMA_M, look
from sensors_sim.fleet import LEGS
from sensors_sim.phone import mounting
from sensors_sim.recording import Run
from sensors_sim.surface import lane_surfaces
from sensors_sim.truth import HALF_TRACK_M, lane_centre_m
from sensors_sim.vehicle import G_MPS2, Suspension, drive

UNTIL_S = 1_790_000_000.0

Sent = list[tuple[int, str, Chunk]]


@pytest.fixture(scope="module")
def city() -> City:
    return read_city((Path(__file__).parents[2] / "city.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fleet(city: City) -> Sent:
    return list(trips(city, 7, 2, 2, 2, UNTIL_S))


def test_same_seed_same_bytes(city: City, fleet: Sent) -> None:
    again = [(d, k, encode(c)) for d, k, c in trips(city, 7, 2, 2, 2, UNTIL_S)]
    assert again == [(d, k, encode(c)) for d, k, c in fleet]
    other = [encode(c) for _, _, c in trips(city, 8, 1, 0, 1, UNTIL_S)]
    assert not set(other) & {payload for _, _, payload in again}


def test_a_device_does_not_change_with_its_company(city: City, fleet: Sent) -> None:
    alone = [encode(c) for _, _, c in trips(city, 7, 1, 0, 2, UNTIL_S)]
    assert alone == [encode(c) for d, _, c in fleet if d == 0]


def test_every_chunk_goes_over_the_wire_and_back(fleet: Sent) -> None:
    for _, _, chunk in fleet:
        payload = encode(chunk)
        assert encode(decode(payload)) == payload


def test_the_door_takes_them_all(city: City, fleet: Sent) -> None:
    for _, kind, chunk in fleet:
        admit(chunk, kind, city, UNTIL_S)


def test_chunks_are_whole(city: City, fleet: Sent) -> None:
    by_trip: dict[tuple[int, str], list[Chunk]] = defaultdict(list)
    for device, kind, chunk in fleet:
        by_trip[device, chunk.trip].append(chunk)
        assert chunk.rate_hz == (100 if kind == "box" else 50)
        assert chunk.carrier == ("bus" if kind == "box" else "car")
        assert chunk.origin == "simulated"
        assert chunk.trip[:8] == f"{city.service_day(chunk.start_s):%Y%m%d}"
        assert 0.5 <= chunk.end_s - chunk.start_s <= 5.5 + 1e-6
        t = chunk.sample_t_s
        fixes = chunk.fixes.t_s
        if kind == "box" or chunk.seq > 0:  # the first of a trimmed trip has nothing before it
            assert t[0] <= chunk.start_s - 1.5
            assert fixes[0] <= chunk.start_s - 1.4
        assert t[-1] >= chunk.end_s + 1.5
        assert fixes[-1] >= chunk.end_s + 1.4
        assert np.allclose(np.diff(fixes), 0.2 if kind == "box" else 1.0)
        assert chunk.end_s + 2.6 <= UNTIL_S
    assert len(by_trip) == 2 * 2 + 2  # two boxes, a trip a round; two phones, a trip a drive
    for chunks in by_trip.values():
        assert [c.seq for c in chunks] == list(range(len(chunks)))
        for a, b in pairwise(chunks):
            assert a.end_s == b.start_s or b.start_s > a.end_s + 10  # no gap within a run
    assert len({trip for _, trip in by_trip}) == len(by_trip)


def test_a_phone_keeps_the_ends_of_its_drive(city: City, fleet: Sent) -> None:
    """Against the same drive recorded without any trimming."""
    whole = {
        device: (min(c.t0_s for c in mine), max(c.measured_until_s for c in mine))
        for device in (2, 3)
        if (mine := recorded_by(city, device))
    }
    for device, (begun_s, ended_s) in whole.items():
        told = [c for d, _, c in fleet if d == device]
        assert min(min(c.t0_s, c.fixes.t_s[0]) for c in told) >= begun_s + 60
        assert max(max(c.measured_until_s, c.fixes.t_s[-1]) for c in told) <= ended_s - 60
        assert {c.trimmed for c in told} == {Trimmed(200.0, 60.0)}
        assert sum(c.end_s - c.start_s for c in told) > 0.5 * (ended_s - begun_s) - 120


def recorded_by(city: City, device: int) -> list[Chunk]:
    """All that a phone of `fleet` recorded, before it was trimmed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trimmer, "push", lambda _self, chunk: [chunk])
        return [c for d, _, c in trips(city, 7, 2, 2, 2, UNTIL_S) if d == device]


def test_the_fleet_drives_at_once_and_tells_in_order(fleet: Sent) -> None:
    for which in (0, 1, 2, 3):
        ends = [c.end_s for d, _, c in fleet if d == which]
        assert ends == sorted(ends)
    ends = [c.end_s for _, k, c in fleet if k == "box"]
    assert ends == sorted(ends)
    assert [d for d, _, _ in fleet[:200]].count(0) < 120
    assert UNTIL_S - min(c.start_s for _, _, c in fleet) < 2 * len(LEGS) * 110
    assert {(d, k) for d, k, _ in fleet} == {(0, "box"), (1, "box"), (2, "phone"), (3, "phone")}


def to_xy(city: City, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    pyproj = pytest.importorskip("pyproj")
    proj = pyproj.Proj(proj="aeqd", lon_0=city.centre_deg[0], lat_0=city.centre_deg[1], ellps="WGS84")
    return np.stack(proj(lon, lat), axis=-1)


def test_boxes_are_where_a_lane_is(city: City, fleet: Sent) -> None:
    truth = crossing(city.centre_deg)
    off = []
    for _, kind, chunk in fleet:
        if kind != "box":
            continue
        xy = to_xy(city, chunk.fixes.lat_deg, chunk.fixes.lon_deg)
        best = np.full(len(xy), np.inf)
        for street in truth.streets:
            origin, ahead = street.xy(0.0, 0.0), street.xy(1.0, 0.0) - street.xy(0.0, 0.0)
            lateral = (xy - origin) @ np.array([-ahead[1], ahead[0]])
            for lane in ("forward", "backward"):
                best = np.minimum(best, np.abs(lateral - lane_centre_m(lane)))
        off.append(best)
    spread = float(np.sqrt(np.mean(np.concatenate(off) ** 2)))
    assert spread == pytest.approx(np.hypot(0.15, FIX_SIGMA_M), abs=0.06)


def test_fixes_err_as_they_say(city: City) -> None:
    truth = crossing(city.centre_deg)
    lane = lane_surfaces(truth, 1)[1, "backward"]
    errors: dict[str, list[np.ndarray]] = {"box": [], "phone": []}
    for seed in range(25):
        rng = np.random.default_rng(seed)
        run = Run(truth, lane, drive(rng, 400.0), UNTIL_S)
        for name, device in (("box", box), ("phone", phone)):
            fixes = device.record(run, Suspension(), np.eye(3), rng).fixes
            true_xy, _ = run.at(fixes.t_s)
            error = np.hypot(*(to_xy(city, fixes.lat_deg, fixes.lon_deg) - true_xy).T)
            errors[name].append(error / fixes.accuracy_m)
            if name == "box":
                assert error.max() < 4.5 * FIX_SIGMA_M  # Rayleigh: beyond it once in 25,000 fixes
    assert np.mean(np.concatenate(errors["box"]) < 1) == pytest.approx(0.68, abs=0.03)
    assert np.mean(np.concatenate(errors["phone"]) < 1) == pytest.approx(0.68, abs=0.2)
    step = [np.abs(np.diff(e)).mean() / e.mean() for e in errors["phone"]]
    assert np.median(step) < 0.4  # the error lasts from fix to fix


def test_a_box_stands_upright_and_a_phone_anyhow(fleet: Sent) -> None:
    tilts = defaultdict(list)
    for _, kind, chunk in fleet:
        mean = chunk.acc_mps2.mean(axis=0)
        assert np.linalg.norm(mean) == pytest.approx(G_MPS2, rel=0.05)
        tilts[kind].append(np.degrees(np.arccos(mean[2] / np.linalg.norm(mean))))
    assert max(tilts["box"]) < 10
    assert max(tilts["phone"]) > 20
    for seed in range(20):
        axes = mounting(np.random.default_rng(seed))
        assert np.allclose(axes @ axes.T, np.eye(3))
        assert np.linalg.det(axes) == pytest.approx(1)


def test_a_pothole_is_felt_at_its_place_by_every_box(city: City, fleet: Sent) -> None:
    truth = crossing(city.centre_deg)
    hole = next(d for d in truth.defects if d.kind == "pothole" and d.depth_mm == 80)
    lon, lat = truth.lonlat(hole)
    place = to_xy(city, np.array([lat]), np.array([lon]))[0]
    felt = set()
    for device, kind, chunk in fleet:
        if kind != "box":
            continue
        t = chunk.sample_t_s
        heave = np.abs(np.linalg.norm(chunk.acc_mps2, axis=1) - G_MPS2) / G_MPS2
        xy = to_xy(city, chunk.fixes.lat_deg, chunk.fixes.lon_deg)
        worst = int(np.argmax(np.where((t >= chunk.start_s) & (t < chunk.end_s), heave, 0)))
        at = np.array([np.interp(t[worst], chunk.fixes.t_s, xy[:, i]) for i in (0, 1)])
        if np.hypot(*(at - place)) < HALF_TRACK_M + 1.0 and heave[worst] > 0.5:
            felt.add(device)
    assert felt == {0, 1}


def test_camera_reports_at_its_recall_and_only_its_own_lane(city: City) -> None:
    truth = crossing(city.centre_deg)
    lane = lane_surfaces(truth, 1)[0, "forward"]
    run = Run(truth, lane, drive(np.random.default_rng(1), 400.0), UNTIL_S)
    own = {d.kind: d for d in truth.defects if d.street == 0 and d.lane == "forward"}
    always = look(run, np.random.default_rng(3), dict.fromkeys(BY_KEY, 1.0))
    seen = [d for d in always if d.kind in own]
    assert {d.kind for d in seen} >= set(own)
    runs, hits, places = 400, 0, []
    litter = own["litter"]
    lon, lat = truth.lonlat(litter)
    there = to_xy(city, np.array([lat]), np.array([lon]))[0]
    for seed in range(runs):
        found = look(run, np.random.default_rng(seed))
        assert [d.t_s for d in found] == sorted(d.t_s for d in found)
        near = [
            xy
            for d in found
            if d.kind == "litter"
            and np.hypot(*(xy := to_xy(city, np.array([d.lat_deg]), np.array([d.lon_deg]))[0] - there)) < 3
        ]
        hits += bool(near)
        places += near
    assert hits / runs == pytest.approx(BY_KEY["litter"].camera_detect, abs=0.08)
    assert np.std(places) == pytest.approx(CAMERA_SIGMA_M, rel=0.15)
    assert sum(len(look(run, np.random.default_rng(s), {})) for s in range(300)) / 300 == pytest.approx(0.12, abs=0.06)


def test_a_trip_that_crosses_the_start_of_the_day_goes_on_as_another(city: City) -> None:
    assert city.day_start == time(4)
    four = datetime(2026, 9, 22, 4, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()
    chunks = [c for _, _, c in trips(city, 3, 1, 0, 1, four + 100)]
    trip_ids = list(dict.fromkeys(c.trip for c in chunks))
    assert [t[:8] for t in trip_ids] == ["20260921", "20260922"]
    assert trip_ids[0][9:] != trip_ids[1][9:]
    for trip in trip_ids:
        assert [c.seq for c in chunks if c.trip == trip] == list(range(sum(c.trip == trip for c in chunks)))
    before = [c for c in chunks if c.start_s < four]
    assert {c.trip for c in before} == {trip_ids[0]}


def test_a_fleet_without_devices_is_no_fleet(city: City) -> None:
    with pytest.raises(ValueError, match="at least one"):
        list(trips(city, 1, 0, 0, 1, UNTIL_S))


def test_live_drives_go_on_after_the_history(city: City, fleet: Sent) -> None:
    stream = live(city, 7, 2, 1, 2, UNTIL_S)
    first = [next(stream) for _ in range(60)]
    ready = [r for r, _, _, _ in first]
    assert ready == sorted(ready)
    assert all(r >= c.end_s + 2 for r, _, _, c in first)
    assert all(c.start_s >= UNTIL_S for _, _, _, c in first)
    known = {c.trip for _, _, c in fleet}
    assert not known & {c.trip for _, _, _, c in first}
    assert not np.array_equal(fleet[0][2].acc_counts[:300], first[0][3].acc_counts[:300])
