"""Road files as they come: GraphML, Shapefile, GeoPackage, GeoJSON, in zips, of unknown encoding and reference."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from grid import (
    NeedsExtra,
    RoadFileError,
    areas_in_metres,
    cut,
    find_fields,
    project,
    read_areas,
    read_features,
    roads_of,
    with_districts,
)
from grid import graphml as graphs

from .test_network import EAST, NORTH, ZONE, by_key, features, lonlat, take

OSMNX = """<?xml version='1.0' encoding='utf-8'?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d0" for="graph" attr.name="crs" attr.type="string"/>
  <key id="d1" for="node" attr.name="y" attr.type="string"/><key id="d2" for="node" attr.name="x" attr.type="string"/>
  <key id="d3" for="edge" attr.name="osmid" attr.type="string"/><key id="d4" for="edge" attr.name="highway"/>
  <key id="d5" for="edge" attr.name="name"/><key id="d6" for="edge" attr.name="oneway"/>
  <key id="d7" for="edge" attr.name="lanes"/><key id="d8" for="edge" attr.name="geometry"/>
  <graph edgedefault="directed"><data key="d0">epsg:4326</data>
  <node id="1"><data key="d1">30.2500</data><data key="d2">120.1600</data></node>
  <node id="2"><data key="d1">30.2500</data><data key="d2">120.1620</data></node>
  <node id="3"><data key="d1">30.2520</data><data key="d2">120.1620</data></node>
  <edge source="1" target="2"><data key="d3">[11, 12]</data><data key="d4">primary</data>
    <data key="d5">['延安路', "People's Way"]</data><data key="d6">False</data><data key="d7">['2', '3']</data></edge>
  <edge source="2" target="1"><data key="d3">[11, 12]</data><data key="d4">primary</data>
    <data key="d6">False</data></edge>
  <edge source="2" target="3"><data key="d3">13</data><data key="d4">residential</data><data key="d6">True</data>
    <data key="d8">LINESTRING (120.162 30.25, 120.1625 30.251, 120.162 30.252)</data></edge>
  <edge source="3" target="9"><data key="d3">14</data><data key="d4">residential</data></edge>
  <edge source="1" target="3"><data key="d3">15</data><data key="d4">footway</data></edge>
  </graph></graphml>"""


# ---------------------------------------------------------------- GraphML


def test_a_graph_of_osmnx(tmp_path: Path) -> None:
    path = tmp_path / "town.graphml"
    path.write_text(OSMNX, encoding="utf-8")
    held = read_features(path)
    taken = take(held)
    assert held.faults == {"no_geometry": 1}  # its node is not in the graph
    assert taken.left_out == {"other_direction": 1, "not_a_road": 1}
    roads = by_key(taken)
    assert set(roads) == {"11 / 12:1-2", "13:2-3"}
    street, lane = roads["11 / 12:1-2"], roads["13:2-3"]
    assert (street.name_zh, street.lanes, street.road_class, street.oneway) == (
        "延安路 / People's Way",
        2,
        "trunk",
        False,
    )
    assert (lane.oneway, len(lane.x_m)) == (True, 3)


def test_a_two_way_street_of_a_graph_is_the_same_whichever_way_comes_first(tmp_path: Path) -> None:
    lines = OSMNX.splitlines()
    first = next(n for n, text in enumerate(lines) if 'source="1" target="2"' in text)
    lines[first : first + 4] = [*lines[first + 2 : first + 4], *lines[first : first + 2]]
    told = []
    for text in (OSMNX, "\n".join(lines)):
        (tmp_path / "g.graphml").write_text(text, encoding="utf-8")
        told.append(
            {
                k: (r.x_m.tolist(), r.y_m.tolist())
                for k, r in by_key(take(read_features(tmp_path / "g.graphml"))).items()
            }
        )
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('<!DOCTYPE g [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><graphml>&b;</graphml>', "document type"),
        ('<!DOCTYPE g SYSTEM "file:///etc/passwd"><graphml/>', "document type"),
        ("<graphml><graph></graph></graphml>", "no edges"),
        ("<graphml><graph>", "no XML"),
        ("PK not xml", "no XML"),
        ("", "no XML"),
        (OSMNX.replace("epsg:4326", "EPSG:32651"), "before it is projected"),
    ],
)
def test_bad_graphs_are_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "bad.graphml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RoadFileError, match=why):
        read_features(path)


def test_a_graph_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST_BYTES", 100)
    with pytest.raises(graphs.BadGraph, match="split it"):
        graphs.read_graphml(io.BytesIO(OSMNX.encode()))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2000))
def test_any_bytes_give_a_graph_or_a_named_error(junk: bytes, at: int) -> None:
    for data in (junk, OSMNX.encode()[:at] + junk + OSMNX.encode()[at:]):
        with contextlib.suppress(graphs.BadGraph):
            assert graphs.read_graphml(io.BytesIO(data)).lines


# ---------------------------------------------------------------- files read by geopandas


def town() -> geopandas.GeoDataFrame:
    lines = [shapely.LineString(lonlat([0, 150], [y, y])) for y in (0, 40)]
    return geopandas.GeoDataFrame(
        {"link_id": [1, 2], "road_name": ["神舟大道", "Main St"], "lanes": [2, 4]}, geometry=lines, crs="EPSG:4326"
    )


# EPSG:4549 is CGCS2000 in a Gauss-Krueger projection, as Chinese surveys have it; GeoJSON is in degrees.
@pytest.mark.parametrize(
    ("name", "reference"),
    [(name, "EPSG:4326") for name in ("town.shp", "town.gpkg", "town.geojson", "town.json")]
    + [(name, code) for name in ("town.shp", "town.gpkg") for code in ("EPSG:32650", "EPSG:4549")],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_kind_of_file_gives_the_same_roads(tmp_path: Path, name: str, zipped: bool, reference: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    town().to_crs(reference).to_file(folder / name)
    path = folder / name
    if zipped:
        path = tmp_path / "town.zip"
        with zipfile.ZipFile(path, "w") as pack:
            for part in folder.iterdir():
                pack.write(part, f"a folder/{part.name}")
            pack.writestr(f"__MACOSX/a folder/._{name}", b"junk")
    held = read_features(path)
    roads = by_key(roads_of(held, find_fields(held.columns, {}), ZONE, "wgs84", "CGCS2000"))
    assert set(roads) == {"1", "2"}
    assert (roads["1"].name_zh, roads["2"].name, roads["2"].lanes) == ("神舟大道", "Main St", 4)
    for key, y in (("1", 0), ("2", 40)):
        assert np.abs(roads[key].x_m - EAST - [0, 150]).max() < 0.01
        assert np.abs(roads[key].y_m - NORTH - y).max() < 0.01
    assert held.declared == ("cgcs2000" if reference == "EPSG:4549" else "")


def test_lines_of_other_kinds_are_counted(tmp_path: Path) -> None:
    line = shapely.LineString(lonlat([0, 90], [0, 0]))
    many = shapely.MultiLineString([line, shapely.LineString(lonlat([100, 190], [0, 0]))])
    shapes = [line, many, line.centroid, line.buffer(1e-4), None, shapely.LineString()]
    geopandas.GeoDataFrame({"id": range(6)}, geometry=shapes, crs="EPSG:4326").to_file(tmp_path / "mixed.geojson")
    held = read_features(tmp_path / "mixed.geojson")
    assert held.faults == {"not_a_line": 2, "no_geometry": 2}
    assert (held.count, held.row) == (6, [0, 1, 1])


def test_texts_of_a_shapefile_that_does_not_say_how_they_are_written(tmp_path: Path) -> None:
    town().to_file(tmp_path / "town.shp", encoding="gb18030")
    (tmp_path / "town.cpg").unlink()
    dbf = (tmp_path / "town.dbf").read_bytes()
    (tmp_path / "town.dbf").write_bytes(dbf[:29] + b"\0" + dbf[30:])
    held = read_features(tmp_path / "town.shp")
    assert held.columns["road_name"][0] == "神舟大道"
    assert "GB 18030" in " ".join(held.said)
    assert read_features(tmp_path / "town.shp", encoding="gb18030").columns["road_name"][0] == "神舟大道"


def test_a_file_without_a_reference_system(tmp_path: Path) -> None:
    town().to_file(tmp_path / "degrees.shp")
    town().to_crs("EPSG:32651").to_file(tmp_path / "metres.shp")
    for name in ("degrees", "metres"):
        (tmp_path / f"{name}.prj").unlink()
    assert "taken as degrees of WGS 84" in read_features(tmp_path / "degrees.shp").said[0]
    with pytest.raises(RoadFileError, match="--crs"):
        read_features(tmp_path / "metres.shp")
    held = read_features(tmp_path / "metres.shp", reference="EPSG:32651")
    x, _ = project(held.lines[0][:, 0], held.lines[0][:, 1], ZONE)
    assert np.abs(x - EAST - [0, 150]).max() < 0.01


def test_layers_are_asked_for_where_there_are_several(tmp_path: Path) -> None:
    path = tmp_path / "two.gpkg"
    town().to_file(path, layer="edges")
    town().set_geometry(shapely.points(lonlat([0, 5], [0, 5]))).to_file(path, layer="nodes")
    assert read_features(path).count == 2  # points are no roads, so it is clear
    town().iloc[:1].to_file(path, layer="rivers")
    with pytest.raises(RoadFileError, match="--layer"):
        read_features(path)
    assert read_features(path, layer="rivers").count == 1
    with pytest.raises(RoadFileError, match="it has edges, nodes, rivers"):
        read_features(path, layer="canals")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": [{')
    (tmp_path / "a.shp").write_bytes(b"junk")
    (tmp_path / "a.gpkg").write_bytes(b"junk")
    (tmp_path / "a.zip").write_bytes(b"junk")
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as pack:
        pack.writestr("readme.txt", "")
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as pack:
        pack.writestr("a.geojson", "{}")
        pack.writestr("b.geojson", "{}")
    for name in ("a.geojson", "a.shp", "a.gpkg", "a.zip", "a.pdf", "none.zip", "both.zip", "missing.shp"):
        with pytest.raises(RoadFileError):
            read_features(tmp_path / name)


def test_what_is_missing_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    town().to_file(tmp_path / "town.gpkg")
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(NeedsExtra, match="make roads"):
        read_features(tmp_path / "town.gpkg")
    (tmp_path / "town.graphml").write_text(OSMNX, encoding="utf-8")
    assert read_features(tmp_path / "town.graphml").count == 5  # needs nothing


# ---------------------------------------------------------------- districts


def test_districts_are_those_of_the_middle(tmp_path: Path) -> None:
    west, east = (
        lonlat([0, 200, 200, 0, 0], [-50, -50, 50, 50, -50]),
        lonlat([200, 420, 420, 200, 200], [-50, -50, 50, 50, -50]),
    )
    hole = lonlat([240, 260, 260, 240, 240], [-10, -10, 10, 10, -10])
    frame = geopandas.GeoDataFrame(
        {"name": ["上城区", "下城区"]}, geometry=[shapely.Polygon(west), shapely.Polygon(east, [hole])], crs="EPSG:4326"
    )
    frame.to_file(tmp_path / "districts.geojson")
    areas = areas_in_metres(read_areas(tmp_path / "districts.geojson"), ZONE, "wgs84", "CGCS2000")
    taken = take(features([lonlat([0, 500], [0, 0])], id=[1]))
    sections = with_districts(cut(taken.roads[0], "roads"), areas)
    assert [s.district for s in sections] == ["上城区", "上城区", "", "下城区", ""]  # 250 lies in the hole, 450 beyond
    assert with_districts(sections, [("other", areas[0][1])])[0].district == "上城区"  # what a source says stands
    with pytest.raises(RoadFileError, match="it has name, geometry"):
        read_areas(tmp_path / "districts.geojson", "label")


@pytest.mark.parametrize("where", ["town_GCJ02.geojson", "metadata", "prj"])
def test_a_file_may_say_its_datum_itself(tmp_path: Path, where: str) -> None:
    path = tmp_path / (where if where.endswith("json") else "town.geojson")
    town().to_file(path)
    if where == "metadata":
        path.write_text(json.dumps({"coordinate_system": "GCJ-02", **json.loads(path.read_text())}), encoding="utf-8")
    elif where == "prj":
        path = tmp_path / "town.shp"
        town().to_file(path)
        (tmp_path / "town.prj").write_text((tmp_path / "town.prj").read_text().replace("GCS_WGS_1984", "GCJ02"))
    assert read_features(path).declared == "gcj02"
