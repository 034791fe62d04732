"""Roads that can be driven: connected, named, smooth, and the same from a file as from memory."""

import json
import struct
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sensors_sim.network import CLASSES, LANES_EACH_WAY, Network, generated, headings_rad, turn
from sensors_sim.network_file import NetworkFileError, network_tree, plane_xy, read_network
from sensors_sim.truth import LANE_M, Place

CENTRE = (120.1655, 30.2790)
COSTS = dict.fromkeys(CLASSES, 1.0)


@pytest.fixture(scope="module")
def network() -> Network:
    return generated(CENTRE, 3, 6)


def test_every_crossing_reaches_every_other(network: Network) -> None:
    for last in range(1, len(network.nodes_m)):
        there, back = network.path(0, last, COSTS), network.path(last, 0, COSTS)
        assert there
        assert back
        at = 0
        for number, forward in there:
            road = network.roads[number]
            first, to = (road.first, road.last) if forward else (road.last, road.first)
            assert first == at
            at = to
        assert at == last


def test_a_path_is_the_cheapest(network: Network) -> None:
    """Against all ways of up to 5 roads, tried out."""
    length = {r.number: float(np.hypot(*np.diff(r.axis, axis=0).T).sum()) for r in network.roads}
    cost = {(n, forward): m for n, m in length.items() for forward in (True, False)}
    best: dict[int, float] = {0: 0.0}
    ways = [(0, 0.0)]
    for _ in range(5):
        ways = [(to, c + cost[n, f]) for node, c in ways for to, n, f in network.onward[node]]
        for node, c in ways:
            best[node] = min(best.get(node, np.inf), c)
    near = [n for n in best if n and network.apart_m(0, n) < 700]
    assert len(near) >= 5
    for node in near:
        path = network.path(0, node, COSTS)
        assert path is not None
        assert sum(cost[p] for p in path) <= best[node] + 1e-6


def test_roads_have_classes_names_and_lanes(network: Network) -> None:
    assert {r.road_class for r in network.roads} == set(CLASSES)
    for road in network.roads:
        assert road.name.endswith((" Road", " Street"))
        assert road.name_zh.endswith(("路", "街"))
        for forward in (True, False):
            assert len(network.lanes_of[road.number, forward]) == LANES_EACH_WAY[road.road_class]


def test_lanes_are_smooth_lines_to_the_right_of_their_axis(network: Network) -> None:
    for lane in network.lanes:
        steps = np.hypot(*np.diff(lane.line, axis=0).T)
        assert np.abs(steps / (lane.length_m / len(steps)) - 1).max() < 0.02
        assert np.abs(np.diff(headings_rad(lane.line))).max() < 0.1
    for road in network.roads:
        for forward in (True, False):
            beside = network.lanes_of[road.number, forward]
            middle = (road.axis[0] + 6 * road.axis[1] + road.axis[2]) / 8  # of a line rounded between three points
            for lane in beside:
                nearest = int(np.argmin(np.hypot(*(lane.line - middle).T)))
                heading = headings_rad(lane.line)[nearest]
                off = (lane.line[nearest] - middle) @ np.array([np.sin(heading), -np.cos(heading)])
                assert off == pytest.approx((road.lanes - lane.index - 0.5) * LANE_M, abs=0.4)  # right is positive


def test_turns_join_lanes_without_corners(network: Network) -> None:
    for first, forward in [(r, f) for r in range(10) for f in (True, False)]:
        lane = network.lanes_of[first, forward][0]
        for _, number, along in network.onward[lane.last]:
            if number == first:
                continue
            after = network.lanes_of[number, along][0]
            line = np.concatenate([lane.line[-6:], turn(lane, after), after.line[:6]])
            assert np.hypot(*np.diff(line, axis=0).T).max() < 1.6
            bends = np.abs(np.diff(headings_rad(line)))
            assert bends.max() < 0.75
            assert bends.sum() < np.pi


def test_the_seed_makes_the_city(network: Network) -> None:
    again, other = generated(CENTRE, 3, 6), generated(CENTRE, 4, 6)
    assert [lane.seed for lane in again.lanes] == [lane.seed for lane in network.lanes]
    assert np.array_equal(again.nodes_m, network.nodes_m)
    assert [lane.seed for lane in other.lanes[:20]] != [lane.seed for lane in network.lanes[:20]]


def test_a_network_that_was_written_is_read_again(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "roads.geojson"
    path.write_text("\ufeff" + json.dumps(network_tree(network)), encoding="utf-8")
    again = read_network(path, CENTRE, 3)
    assert [(r.name, r.name_zh, r.road_class, r.lanes, r.oneway) for r in again.roads] == [
        (r.name, r.name_zh, r.road_class, r.lanes, r.oneway) for r in network.roads
    ]
    assert [lane.seed for lane in again.lanes] == [lane.seed for lane in network.lanes]
    for a, b in zip(again.lanes, network.lanes, strict=True):
        assert a.length_m == pytest.approx(b.length_m, abs=0.01)


def test_the_plane_and_back() -> None:
    place = Place(*CENTRE)
    xy = np.random.default_rng(1).uniform(-15_000, 15_000, (50, 2))
    assert np.abs(plane_xy(place, place.lonlat(xy)) - xy).max() < 1e-6


def _lines(*lines: list[tuple[float, float]]) -> list[list[list[float]]]:
    place = Place(*CENTRE)
    return [place.lonlat(np.array(line)).tolist() for line in lines]


def test_lines_are_cut_where_they_meet_and_dead_parts_left_out(tmp_path: Path) -> None:
    """A one-way ring, crossed in the middle of a line by a two-way road that ends nowhere."""
    ring = [(0, 0), (400, 0), (400, 400), (0, 400), (0, 0)]
    lines = _lines(ring, [(200, 0), (200, 200)], [(0, 0), (200, 0)])  # type: ignore[list-item]
    ways = [{"highway": "primary", "oneway": "yes", "lanes": "2"}, {"highway": "residential"}, {"name": "x"}]
    tree = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": {"type": "LineString", "coordinates": c}, "properties": p}
            for c, p in zip(lines, ways, strict=True)
        ],
    }
    path = tmp_path / "ring.geojson"
    path.write_text(json.dumps(tree))
    network = read_network(path, CENTRE, 1)
    kinds = sorted((r.road_class, r.oneway, r.lanes) for r in network.roads)
    assert ("branch", False, 1) in kinds
    assert ("secondary", False, 2) in kinds
    assert all(r.lanes == 2 and r.oneway for r in network.roads if r.road_class == "trunk")


def _shapefile(path: Path) -> None:
    """Two lines that form a two-way loop, as a zipped shapefile with a table in GBK."""
    shapes, rows = b"", b""
    for number, line in enumerate(_lines([(0, 0), (300, 0)], [(0, 0), (0, 90), (300, 90), (300, 0)])):  # type: ignore[list-item]
        flat = [v for p in line for v in p]
        body = struct.pack(f"<i4diii{len(flat)}d", 3, 0, 0, 0, 0, 1, len(line), 0, *flat)
        shapes += struct.pack(">ii", number + 1, len(body) // 2) + body
        rows += b" " + b"0" + "松风路".encode("gbk").ljust(12)
    columns = ((b"dir", b"N", 1), (b"road_name", b"C", 12))
    field = b"".join(struct.pack("<11sc4xBB14x", *column, 0) for column in columns) + b"\r"
    table = struct.pack("<4sIHH20x", b"\x03abc", 2, 32 + len(field), 14) + field + rows
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.shp", bytes(100) + shapes)
        archive.writestr("x.dbf", table)
        archive.writestr("x.cpg", "GBK")


def test_a_shapefile_is_read(tmp_path: Path) -> None:
    _shapefile(tmp_path / "roads.zip")
    network = read_network(tmp_path / "roads.zip", CENTRE, 1)
    assert [r.name_zh for r in network.roads] == ["松风路", "松风路"]
    assert network.road_km == pytest.approx(0.3 + 0.48, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not a GeoJSON"),
        ('{"features": []}', "holds no lines"),
        ('{"features": [{"geometry": {"type": "LineString", "coordinates": [[120, 30], [121, 31]]}}]}', "another city"),
        ('{"features": [{"geometry": {"type": "LineString", "coordinates": [[500000, 30], [1, 1]]}}]}', "no longitude"),
        ('{"features": [{"geometry": {"type": "LineString", "coordinates": 3}}]}', "is not a GeoJSON"),
    ],
)
def test_what_is_no_network_is_said(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "roads.json"
    path.write_text(text)
    with pytest.raises(NetworkFileError, match=says):
        read_network(path, CENTRE, 1)
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    with pytest.raises(NetworkFileError, match="not a shapefile"):
        read_network(tmp_path / "broken.zip", CENTRE, 1)


def test_a_large_city_has_names_enough() -> None:
    large = generated(CENTRE, 1, 18)
    by_name: dict[str, set[tuple[bool, int]]] = {}
    for road in large.roads:
        by_name.setdefault(road.name_zh, set()).add((road.name_zh.endswith("街"), road.lanes))
    assert len(by_name) == 36  # 18 roads one way, 18 streets the other
    assert all(len(v) == 1 for v in by_name.values())
    assert all(a.number + 1 == b.number for a, b in pairwise(large.lanes))
