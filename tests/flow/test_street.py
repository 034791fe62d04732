"""The whole flow, nothing mocked: boxes -> NATS -> worker -> PostgreSQL -> coder -> log -> chain -> HTTP."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from api import story, wiring
from api.demo import red_near
from api.embedded import environment_of
from api.fsck import fsck
from api.heartbeat import PUMPS
from api.recount import recount
from defects import HAZARDS, TYPES, Colour, State, planes
from defects import recode as reading
from defects import store as defects_store
from grid import blocks_of, cells_at, index_in_block, level_of, project, unproject
from ingest import Sender, encode

from ..roads import straight
from ..street import ROOT, Street, settled, until

HAZARD_BITS = sum(1 << n - 1 for n in HAZARDS)


def codes_at(street: Street, x_m: Any, y_m: Any) -> np.ndarray[Any, Any]:
    """Codes of the 1 m squares at places; grey where nothing was measured."""
    cells = cells_at(np.asarray(x_m), np.asarray(y_m), street.zone)
    with street.connect() as conn:
        found = defects_store.codes_of(conn, [int(b) for b in blocks_of(cells)])
    rows = [
        found[b][1][i] if b in found else np.zeros(1, dtype=next(iter(found.values()))[1].dtype)[0]
        for b, i in zip(blocks_of(cells).tolist(), index_in_block(cells).tolist(), strict=True)
    ]
    return np.array(rows)


class Lane:
    """A lane of the truth in metres: points along it, at lateral offsets from the street's axis."""

    def __init__(self, street: Street, number: int) -> None:
        truth = street.truth["streets"][number]
        (lon0, lat0), (lon1, lat1) = truth["axis"]
        (self.x0, x1), (self.y0, y1) = (v.tolist() for v in project([lon0, lon1], [lat0, lat1], street.zone))
        length = math.hypot(x1 - self.x0, y1 - self.y0)
        self.ux, self.uy = (x1 - self.x0) / length, (y1 - self.y0) / length
        self.scale = length / truth["length_m"]  # UTM's scale at this place, some 1e-4 from one
        self.lane_m, self.half_track_m = truth["lane_m"], truth["half_track_m"]

    def at(self, along_m: Any, left_m: float) -> tuple[Any, Any]:
        """Easting and northing of places along the axis and to the left of it."""
        along, left = np.asarray(along_m) * self.scale, left_m * self.scale
        return self.x0 + along * self.ux - left * self.uy, self.y0 + along * self.uy + left * self.ux


def clear_of_defects(street: Street, number: int, along_m: Any, gap_m: float) -> Any:
    """Which places along a street are farther than ``gap_m`` from everything on it."""
    name = street.truth["streets"][number]["name"]
    there = np.array([d["along_m"] for d in street.truth["defects"] if d["street"] == name])
    return np.abs(np.asarray(along_m)[:, None] - there[None, :]).min(axis=1) > gap_m


def test_every_good_chunk_is_accepted_and_every_broken_one_refused_by_its_name(street: Street) -> None:
    bad = street.report["bad"]
    assert street.report["waiting"] == 0
    assert sum(street.report["refused"].values()) == (sum(bad.values()) if isinstance(bad, dict) else bad) > 0
    with street.connect() as conn:
        accepted = conn.execute("SELECT count(*) FROM chunk WHERE device LIKE 'sim-%'").fetchone()
        rows = conn.execute("SELECT reason, count(*) FROM dead_letter WHERE device LIKE 'sim-%' GROUP BY reason")
        refused = dict(rows.fetchall())
    assert accepted is not None
    assert accepted[0] == street.report["unique"]
    assert refused == street.report["refused"]


def test_a_severe_pothole_is_red_within_a_metre_and_confirmed_after_passes_of_three_boxes(street: Street) -> None:
    potholes = street.severe_potholes()
    assert len(potholes) >= 3
    with street.connect() as conn:
        for x, y in potholes:
            cell = red_near(conn, x, y, street.zone, 1.0)
            assert cell is not None, f"the pothole at {x:.1f} {y:.1f} is not red"
            _, code = story.code_of(conn, cell)
            assert State(int(code["state"])) == State.CONFIRMED


def test_the_wheel_path_beside_it_is_green_for_what_an_imu_sees(street: Street) -> None:
    lane = Lane(street, 0)
    along = np.arange(20.0, 380.0, 0.5)
    along = along[clear_of_defects(street, 0, along, 8.0)]
    for side in (-lane.half_track_m, lane.half_track_m):
        codes = codes_at(street, *lane.at(along, -lane.lane_m / 2 + side))
        green = codes["colour"] == Colour.GREEN
        # Wander leaves squares that the wheels only cut at a corner: grey, and rightly so.
        assert green.mean() > 0.6
        assert ((codes["seen"][green] & HAZARD_BITS) == HAZARD_BITS).all()
        assert not np.isin(codes["colour"], (Colour.YELLOW, Colour.RED)).any()
    assert not (codes["seen"] & 1 << 4).any(), "no wheel feels ruts, and a camera finds one in five"


def test_only_where_a_camera_looked_a_square_is_green_for_what_no_wheel_feels(street: Street) -> None:
    unfelt = sum(1 << t.number - 1 for t in TYPES if t.imu_detect == 0)
    looked = 0
    with street.connect() as conn:
        blocks = [b for b in defects_store.all_code_blocks(conn) if level_of(b) == 0]
        evidence = defects_store.evidence_of(conn, blocks)
        for block, (_, codes) in defects_store.codes_of(conn, blocks).items():
            told = (codes["seen"] & unfelt) > 0
            camera = sum(e.plane(planes.EXPOSURE_CAMERA) for e in evidence[block].values()) > 0
            assert not (told & ~camera).any()
            looked += int(told.sum())
    assert looked > 0, "the boxes of this street have cameras"


def test_between_the_wheels_and_on_untouched_street_it_is_grey(street: Street) -> None:
    lane = Lane(street, 0)
    along = np.arange(20.0, 380.0, 0.5)
    along = along[clear_of_defects(street, 0, along, 8.0)]
    for left in (-lane.lane_m / 2, lane.lane_m / 2):
        x, y = lane.at(along, left)
        # Only squares that lie wholly between the wheel paths: a square reaches .7 m from its middle on the diagonal.
        middle_x, middle_y = np.floor(x) + 0.5, np.floor(y) + 0.5
        off = np.abs((middle_x - x) * -lane.uy + (middle_y - y) * lane.ux)
        between = codes_at(street, x[off < 0.1], y[off < 0.1])
        assert (between["colour"] == Colour.GREY).mean() > 0.9
    away = along[np.abs(along - 200) > 20]  # from where the other street crosses
    for left in (-lane.lane_m - 2, lane.lane_m + 2):
        untouched = codes_at(street, *lane.at(away, left))
        assert (untouched["colour"] == Colour.GREY).all()
        assert not untouched["seen"].any()


def test_phones_speak_for_coarse_squares_only_and_never_heal(street: Street) -> None:
    with street.connect() as conn:
        blocks = {block for block, _ in defects_store.evidence_keys(conn) if block >> 51}
        assert blocks, "the phones said nothing at all"
        assert not [b for b in defects_store.all_code_blocks(conn) if b >> 51], "nothing of phones shows on its day"
        evidence = defects_store.evidence_of(conn, blocks)
    # Whether three of them agreed on a square depends on the drives; what will show where they did does not.
    told_on = max(day for days in evidence.values() for day in days) + timedelta(days=wiring.HEALTH.public_after_days)
    for c in reading.recode(blocks, evidence, told_on, wiring.HEALTH).values():
        assert not (c["colour"] == Colour.GREEN).any()
        assert not c["passes"].any()


def test_evidence_is_the_sum_of_its_chunks(street: Street) -> None:
    with street.connect() as conn:
        counted = recount(conn, street.city, wiring.EVIDENCE)
    assert counted.chunks >= street.report["unique"]
    assert counted.exact


def test_verify_says_each_step_from_code_to_chain(street: Street) -> None:
    command = [sys.executable, "-m", "api.cli", "verify", str(street.red_cell), "--json"]
    environment = environment_of({**wiring.environment(street.platform.settings), "COLUMNS": "200"})
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = {row["step"]: row["holds"] for row in json.loads(done.stdout)}
    assert {"code", "own record", "record", "inclusion", "signature", "anchor"} <= set(steps)
    assert set(steps.values()) == {"yes"}


def test_the_story_over_http_says_why_and_proves_it(street: Street) -> None:
    told = httpx.get(f"{street.url}/api/v1/cells/{street.red_cell}").json()
    assert told["colour"] == "red"
    assert told["proof"]["status"] == "anchored"
    hits = [e for e in told["evidence"] if e["what"] in ("jolt", "camera")]
    assert len(hits) >= 3
    assert all(e["weight"] > 0 for e in hits)
    assert told["history"][0]["after"]["colour"] == "red"
    assert set(told["origin"]) == {"simulated", "replay"}


def test_cells_tiles_city_and_health_over_http(street: Street) -> None:
    lon, lat = street.red_lonlat
    with httpx.Client(base_url=street.url) as client:
        box = f"{lon - 1e-4},{lat - 1e-4},{lon + 1e-4},{lat + 1e-4}"
        found = client.get("/api/v1/cells", params={"bbox": box, "colour": "red"}).json()
        assert street.red_cell in [f["id"] for f in found["features"]]
        assert found["banner"] == "SIMULATED + REPLAY"
        assert client.get("/api/v1/at", params={"lon": lon, "lat": lat}).json()["cell"] == street.red_cell
        size = 1 << 19
        x = int((lon + 180) / 360 * size)
        y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * size)
        tile = np.frombuffer(client.get(f"/tiles/19/{x}/{y}").content, np.uint8)
        assert len(tile) == 65_536
        assert (tile & 7 == 4).any()
        assert client.get("/tiles/19/1/1").status_code == 204
        assert client.get("/healthz").json() == {
            "status": "ok", "parts": dict.fromkeys(("database", "chain", "broker", "disk", "log", *PUMPS), "ok"),
        }  # fmt: skip
        metrics = client.get("/metrics").text
        assert f"roadcode_accepted_total{{kind=\"box\"}} {_boxes(street)}.0" in metrics
        assert 'roadcode_refused_total{reason="malformed"}' in metrics
        summary = client.get("/api/v1/summary").json()
        assert summary["cells"]["grey"] > summary["cells"]["green"] > summary["cells"]["red"] > 0


def _boxes(street: Street) -> int:
    with street.connect() as conn:
        row = conn.execute("SELECT count(*) FROM chunk WHERE kind = 'box'").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/api/v1/cells/12", 404, "no_such_cell"),
        ("/api/v1/cells/9007199254740993", 404, "no_such_cell"),
        ("/api/v1/cells/1e9", 422, "bad_request"),
        ("/api/v1/cells?bbox=1,2,3", 400, "bad_box"),
        ("/api/v1/cells?bbox=nan,1,2,3", 400, "bad_box"),
        ("/api/v1/cells?bbox=100,20,130,40", 400, "bad_box"),
        ("/api/v1/cells?bbox=120.1,30.2,120.2,30.3&colour=pink", 400, "bad_box"),
        ("/api/v1/at?lon=500&lat=0", 422, "bad_request"),
        ("/tiles/3/1/1", 400, "bad_tile"),
        ("/tiles/19/-1/0", 400, "bad_tile"),
        ("/tiles/19/x/0", 400, "bad_tile"),
    ],
)
def test_a_wrong_question_gets_a_named_error(street: Street, path: str, status: int, error: str) -> None:
    answer = httpx.get(street.url + path)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["detail"]


def test_a_page_elsewhere_cannot_reach_us_by_a_name_of_its_own(street: Street) -> None:
    answer = httpx.get(f"{street.url}/api/v1/summary", headers={"Host": "evil.example"})
    assert answer.status_code == 400


def test_an_open_map_hears_of_a_change_and_the_change_is_proven(street: Street) -> None:
    """One more box on a street where nobody was: an event, a grey square that was nothing before, a record for it."""
    _, (credential,) = street.platform.enrol([("flow-box", "box")], "flow")
    now_s = time.time()
    chunk = straight(street.city, start_s=now_s - 60, north_m=700.0)
    with httpx.stream("GET", f"{street.url}/events", timeout=30) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith(":")
        with Sender(credential) as sender:
            sender.send(encode(chunk))
            assert sender.finish(20).accepted == 1
        data = next(line for line in lines if line.startswith("data:"))
    west, south, east, north = json.loads(data.removeprefix("data:"))["bbox"]
    x, y = project(*street.city.centre_deg, street.zone)
    lon, lat = unproject(x + 20.0, y + 700.9, street.zone)
    assert west < lon < east
    assert south < lat < north
    cell = int(cells_at(x + 20.0, y + 700.9, street.zone))
    until(lambda: settled(street.platform), 30, "the change anchored")
    told = httpx.get(f"{street.url}/api/v1/cells/{cell}").json()
    assert (told["colour"], told["passes"]) == ("grey", 1), "one quiet pass is not yet enough for green"
    assert told["proof"]["status"] == "anchored"


FLIPS = {
    "record": "UPDATE record SET body = set_byte(body, 40, get_byte(body, 40) # 1) WHERE idx = %(idx)s",
    "code": "UPDATE code SET d = set_byte(d, 20, get_byte(d, 20) # 1) WHERE blk = %(blk)s",
    "evidence": "UPDATE evidence SET d = set_byte(d, 20, get_byte(d, 20) # 1) WHERE blk = %(blk)s",
    "chunk": "UPDATE chunk_box SET raw = set_byte(raw, 900, get_byte(raw, 900) # 1) WHERE id = "
    "(SELECT max(chunk) FROM pass WHERE blk = %(blk)s)",
}


@pytest.mark.parametrize("part", FLIPS)
def test_a_flipped_bit_in_the_database_is_found(street: Street, part: str) -> None:
    block = int(blocks_of(street.red_cell))
    ledger = wiring.ledger(street.platform.settings)
    with street.connect() as conn:
        row = conn.execute(
            "SELECT max(idx) FROM record WHERE kind = 'block' AND subject = %s", (block,)
        ).fetchone()
        assert row is not None
        given = {"blk": block, "idx": row[0]}
        conn.execute(FLIPS[part], given)
        try:
            faults = fsck(conn, street.city, wiring.EVIDENCE, wiring.HEALTH, ledger, lambda _: None)
            broken = part in ("record", "code") and not _verified(conn, street.red_cell, ledger)
        finally:
            conn.execute(FLIPS[part], given)
        assert faults, f"fsck did not find the flipped bit in {part}"
        assert broken or part not in ("record", "code")
        assert not fsck(conn, street.city, wiring.EVIDENCE, wiring.HEALTH, ledger, lambda _: None)


def test_a_deleted_code_is_found(street: Street) -> None:
    block = int(blocks_of(street.red_cell))
    ledger = wiring.ledger(street.platform.settings)
    with street.connect() as conn:
        conn.execute("CREATE TEMP TABLE kept AS SELECT * FROM code WHERE blk = %s", (block,))
        conn.execute("DELETE FROM code WHERE blk = %s", (block,))
        try:
            faults = fsck(conn, street.city, wiring.EVIDENCE, wiring.HEALTH, ledger, lambda _: None)
        finally:
            conn.execute("INSERT INTO code SELECT * FROM kept")
        assert [f.where for f in faults] == [f"block {block}"]


def _verified(conn: wiring.Connection, cell: int, ledger: story.Ledger) -> bool:
    try:
        steps, _ = story.verify(conn, cell, ledger)
    except ValueError:
        return False
    return story.status_of(steps) == "anchored"


def test_a_flipped_bit_in_a_tile_of_the_log_is_found(street: Street) -> None:
    ledger = wiring.ledger(street.platform.settings)
    tile = next(p for p in sorted(wiring.log_folder(street.platform.settings).glob("tile/0/**/*")) if p.is_file())
    good = tile.read_bytes()
    tile.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    try:
        with street.connect() as conn:
            fresh = wiring.ledger(street.platform.settings)
            faults = fsck(conn, street.city, wiring.EVIDENCE, wiring.HEALTH, fresh, lambda _: None)
    finally:
        tile.write_bytes(good)
    assert faults
    with street.connect() as conn:
        assert not fsck(conn, street.city, wiring.EVIDENCE, wiring.HEALTH, ledger, lambda _: None)
