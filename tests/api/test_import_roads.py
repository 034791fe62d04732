"""`roadcode import-roads` and `roads` on a real database: nothing by halves, the same again changes nothing, datums."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import psycopg
import pytest
import shapely
from pydantic import SecretStr
from typer.testing import CliRunner

from api import wiring
from api.cli import _named, app
from api.commands.roads import Asked, Datum, MostWouldGo, NothingToImport, driven, errors, run_import
from defects import store as defects_store
from defects import unknown_codes
from grid import (
    DatumUnclear,
    Zone,
    blocks_of,
    cells_at,
    cut,
    find_fields,
    index_in_block,
    project,
    read_features,
    recognise,
    roads_of,
    section_cells,
    store,
    unproject,
)
from ingest import City, gcj02_from_wgs84, read_city

ROOT = Path(__file__).parents[2]
EAST, NORTH = 228_000.0, 3_352_000.0
MARCH_S, APRIL_S = 1_772_500_000.0, 1_775_500_000.0


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as one:
        yield one


def lattice(city: City, seed: int = 1, many: int = 24) -> geopandas.GeoDataFrame:
    """Streets of a town, each a bit aslant, in WGS 84."""
    zone, rng = Zone(city.utm_zone, city.utm_north), np.random.default_rng(seed)
    lines = []
    for _ in range(many):
        across, slant = rng.uniform(0, 3000), rng.uniform(-150, 150)
        ends = ([0, 1500, 3000], [across, across + slant / 2, across + slant])
        x, y = ends if rng.random() < 0.5 else ends[::-1]
        lines.append(shapely.LineString(np.column_stack(unproject(EAST + np.array(x), NORTH + np.array(y), zone))))
    names, classes = [f"Street {n}" for n in range(many)], ["primary", "residential"] * (many // 2)
    return geopandas.GeoDataFrame(
        {"osm_id": range(many), "name": names, "highway": classes}, geometry=lines, crs="EPSG:4326"
    )


def offset(frame: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The same as a Chinese map would have it, still labelled WGS 84."""
    moved = shapely.transform(frame.geometry.array, lambda p: np.column_stack(gcj02_from_wgs84(p[:, 0], p[:, 1])))
    return frame.set_geometry(geopandas.GeoSeries(moved, index=frame.index, crs="EPSG:4326"))


def rows(conn: psycopg.Connection[Any]) -> list[Any]:
    return [
        conn.execute("SELECT * FROM road_import ORDER BY id").fetchall(),
        conn.execute("SELECT * FROM road_section ORDER BY number, opened_by").fetchall(),
        conn.execute("SELECT * FROM section_cell ORDER BY blk, section").fetchall(),
    ]


def test_again_and_changed(conn: psycopg.Connection[Any], city: City, tmp_path: Path) -> None:
    path = tmp_path / "town.geojson"
    town = lattice(city)
    town.to_file(path)
    first = run_import(conn, city, path, Asked(), MARCH_S)
    assert first["sections"] == {"new": 24 * 30, "changed": 0, "gone": 0, "same": 0}
    assert first["km_by_class"].keys() == {"trunk", "branch"}
    assert first["datum_how"].startswith("assumed")
    before = rows(conn)
    again = run_import(conn, city, path, Asked(), APRIL_S)
    assert again["sections"] == {"new": 0, "changed": 0, "gone": 0, "same": 720}
    assert again["datum_how"].startswith("recognised")
    assert rows(conn) == before
    town.loc[3, "name"] = "Renamed"
    town.iloc[:23].iloc[::-1].to_file(path)  # a street is gone, and the others come in another order
    numbers = set(store.section_numbers(conn))
    later = run_import(conn, city, path, Asked(), APRIL_S)
    assert later["sections"] == {"new": 0, "changed": 30, "gone": 30, "same": 660}
    assert set(store.section_numbers(conn)) < numbers
    ended = conn.execute("SELECT DISTINCT valid_from, valid_to FROM road_section WHERE valid_to IS NOT NULL").fetchall()
    assert ended == [(city.service_day(MARCH_S), city.service_day(APRIL_S))]


def test_a_survey_that_moved_everything_a_little_keeps_the_numbers(
    conn: psycopg.Connection[Any], city: City, tmp_path: Path
) -> None:
    town = lattice(city, many=10)
    town.to_file(tmp_path / "a.geojson")
    moved = town.set_geometry(town.translate(2e-5, -1e-5))
    moved.to_file(tmp_path / "b.geojson")
    run_import(conn, city, tmp_path / "a.geojson", Asked(), MARCH_S)
    numbers = store.section_numbers(conn)
    told = run_import(conn, city, tmp_path / "b.geojson", Asked(), APRIL_S)
    assert told["sections"] == {"new": 0, "changed": 300, "gone": 0, "same": 0}
    assert store.section_numbers(conn) == numbers


def test_a_dry_run_says_the_same_and_changes_nothing(conn: psycopg.Connection[Any], city: City, tmp_path: Path) -> None:
    lattice(city, many=4).to_file(tmp_path / "town.gpkg")
    before = rows(conn)
    dry = run_import(conn, city, tmp_path / "town.gpkg", Asked(dry_run=True), MARCH_S)
    assert rows(conn) == before
    wet = run_import(conn, city, tmp_path / "town.gpkg", Asked(), MARCH_S)
    for name in ("sections", "cells", "km", "refused", "fields"):
        assert dry[name] == wet[name]


def test_another_data_set_does_not_close_the_first_by_mistake(
    conn: psycopg.Connection[Any], city: City, tmp_path: Path
) -> None:
    town = lattice(city, many=10)
    town.to_file(tmp_path / "north.geojson")
    other = lattice(city, seed=2, many=10)
    other["osm_id"] += 100
    other.to_file(tmp_path / "south.geojson")
    run_import(conn, city, tmp_path / "north.geojson", Asked(), MARCH_S)
    before = rows(conn)
    asked = Asked(datum=Datum.WGS84)
    with pytest.raises(MostWouldGo, match="--source NAME"):
        run_import(conn, city, tmp_path / "south.geojson", asked, MARCH_S)
    assert rows(conn) == before
    beside = run_import(conn, city, tmp_path / "south.geojson", Asked(source="south", datum=Datum.WGS84), MARCH_S)
    assert beside["sections"]["gone"] == 0
    assert {row["source"] for row in store.lengths(conn)} == {"roads", "south"}
    instead = run_import(conn, city, tmp_path / "south.geojson", Asked(datum=Datum.WGS84, replace=True), APRIL_S)
    assert instead["sections"] == {"new": 300, "changed": 0, "gone": 300, "same": 0}


def test_offset_files_are_recognised_by_an_earlier_import_and_declared_ones_corrected(
    conn: psycopg.Connection[Any], city: City, tmp_path: Path
) -> None:
    town = lattice(city)
    town.to_file(tmp_path / "true.geojson")
    offset(town).to_file(tmp_path / "map.geojson")
    true = run_import(conn, city, tmp_path / "true.geojson", Asked(), MARCH_S)
    lines = {n: store.section(conn, n) for n in store.section_numbers(conn)[:50]}
    for asked in (Asked(), Asked(datum=Datum.GCJ02)):
        told = run_import(conn, city, tmp_path / "map.geojson", asked, APRIL_S)
        assert told["datum"] == "gcj02"
        assert told["datum_how"].startswith("declared" if asked.datum == Datum.GCJ02 else "recognised")
        assert told["km"] == pytest.approx(true["km"], rel=1e-6)
        for number, was in lines.items():
            now = store.section(conn, number)
            assert was is not None
            assert now is not None
            assert np.abs(now.x_m - was.x_m).max() < 0.005
            assert np.abs(now.y_m - was.y_m).max() < 0.005
    wrong = run_import(conn, city, tmp_path / "map.geojson", Asked(datum=Datum.WGS84, dry_run=True), APRIL_S)
    assert wrong["sections"]["changed"] == 720


def test_what_is_only_suspected_imports_nothing(conn: psycopg.Connection[Any], city: City, tmp_path: Path) -> None:
    town = lattice(city)
    town.to_file(tmp_path / "true.geojson")
    offset(town).iloc[:7].to_file(tmp_path / "part.geojson")
    run_import(conn, city, tmp_path / "true.geojson", Asked(), MARCH_S)
    before = rows(conn)
    with pytest.raises(DatumUnclear, match="--datum"):
        run_import(conn, city, tmp_path / "part.geojson", Asked(source="part"), APRIL_S)
    assert rows(conn) == before


def test_another_citys_file_is_refused_by_name(conn: psycopg.Connection[Any], city: City, tmp_path: Path) -> None:
    paris = geopandas.GeoDataFrame(
        {"id": [1]}, geometry=[shapely.LineString([[2.35, 48.85], [2.36, 48.85]])], crs="EPSG:4326"
    )
    paris.to_file(tmp_path / "paris.geojson")
    with pytest.raises(NothingToImport, match=r"outside_zone: .*city\.toml"):
        run_import(conn, city, tmp_path / "paris.geojson", Asked(), MARCH_S)
    assert store.imports(conn) == []


def test_errors_say_themselves_what_to_do() -> None:
    assert all(_named(error("do this")) == "do this" for error in errors())


def test_the_commands(database: str, city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "resolved", lambda s: s.model_copy(update={"database_url": SecretStr(database)}))
    lattice(city, many=4).to_file(tmp_path / "town.geojson")
    run = CliRunner()
    assert "no roads yet" in run.invoke(app, ["roads"]).output
    done = run.invoke(app, ["import-roads", str(tmp_path / "town.geojson"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["sections"]["new"] == 120
    assert told["guessed"] == ["class", "key", "name"]
    plain = run.invoke(app, ["import-roads", str(tmp_path / "town.geojson"), "--dry-run"])
    assert plain.exit_code == 0, plain.output
    assert "Datum wgs84" in plain.output
    assert "key from osm_id (guessed)" in plain.output
    listed = json.loads(run.invoke(app, ["roads", "--json"]).stdout)
    assert sum(row["sections"] for row in listed["roads"]) == 120
    assert [row["new"] for row in listed["imports"]] == [120]
    assert "12.0" in run.invoke(app, ["roads"]).output
    assert "1 imports" in run.invoke(app, ["roads", "--imports"]).output


def test_where_vehicles_drove_tells_the_datum_of_the_first_file(
    conn: psycopg.Connection[Any], city: City, tmp_path: Path
) -> None:
    zone, town = Zone(city.utm_zone, city.utm_north), lattice(city)
    places = np.concatenate([np.linspace(line.coords[0], line.coords[1], 40) for line in town.geometry])
    x, y = project(places[:, 0], places[:, 1], zone)
    cells = np.unique(cells_at(x + 1.0, y - 1.0, zone))
    coarse = np.unique(cells_at(x, y, zone, 1))  # where only phones drove says too little of where the road is
    codes = {}
    for block in np.unique(blocks_of(np.concatenate([cells, coarse]))).tolist():
        code = unknown_codes()
        code["passes"][index_in_block(cells[blocks_of(cells) == block])] = 1
        code["passes"][index_in_block(coarse[blocks_of(coarse) == block])] = 1
        codes[block] = (1, code)
    day = city.service_day(MARCH_S)
    defects_store.put_codes(conn, day, codes, datetime.fromtimestamp(MARCH_S, UTC))
    assert set(cells_at(*driven(conn, zone), zone).tolist()) <= set(cells.tolist())
    assert len(driven(conn, zone)[0]) > 400
    assert len(driven(conn, Zone(50))[0]) == 0
    offset(town).to_file(tmp_path / "map.geojson")
    told = run_import(conn, city, tmp_path / "map.geojson", Asked(), MARCH_S)
    assert told["datum"] == "gcj02"
    assert "where vehicles drove" in told["datum_how"]


# ---------------------------------------------------------------- real networks


def of_zone(number: int) -> City:
    return read_city((ROOT / "city.toml").read_text(encoding="utf-8").replace("utm_zone = 51", f"utm_zone = {number}"))


def test_the_roads_of_xian(conn: psycopg.Connection[Any], recordings: Path, tmp_path: Path) -> None:
    """All are read; every tenth is put into the database, which takes a tenth of the time."""
    path = recordings / "xian" / "road_links.zip"
    features = read_features(path)
    fields = find_fields(features.columns, {})
    assert fields == {"key": "link_id", "name": "road_name", "oneway": "dir"}
    taken = roads_of(features, fields, Zone(49), "wgs84", "CGCS2000")
    assert (taken.read, len(taken.roads), taken.refused) == (9842, 9842, {})
    sections = [s for road in taken.roads for s in cut(road, "roads")]
    assert sum(s.length_m for s in sections) == pytest.approx(1_320_600, abs=500)
    assert len({s.number for s in sections}) == len(sections) == 14_350
    geopandas.read_file(path).iloc[::10].to_file(tmp_path / "tenth.shp")
    told = run_import(conn, of_zone(49), tmp_path / "tenth.shp", Asked(), MARCH_S)
    assert told["roads"] == 985
    one = store.section(conn, store.section_numbers(conn)[0])
    assert one is not None
    cells = section_cells(one, Zone(49))
    assert set(store.sections_of_cells(conn, cells.tolist())) == set(cells.tolist())


def test_the_roads_of_syracuse(recordings: Path) -> None:
    """In feet of a plane of the state, with a code of the census as class, and keys that mostly repeat."""
    features = read_features(recordings / "syracuse" / "street_shapefile.zip")
    fields = find_fields(features.columns, {})
    assert fields["key"] == "STREET_ID"
    taken = roads_of(features, fields, Zone(18), "wgs84", "WGS84")
    assert (taken.read, len(taken.roads), taken.left_out, taken.refused) == (6825, 6137, {"not_a_road": 688}, {})
    sections = [s for road in taken.roads for s in cut(road, "roads")]
    assert sum(s.length_m for s in sections) == pytest.approx(765_200, abs=500)
    assert {s.road_class for s in sections} == {"expressway", "trunk", "secondary", "branch"}
    assert Counter(s.district for s in sections).most_common(1)[0][0] == "SYRACUSE CITY"


def test_help_teaches() -> None:
    text = CliRunner().invoke(app, ["import-roads", "--help"]).output
    assert "The same file again changes nothing" in " ".join(text.split())
    assert "roadcode import-roads roads.shp --dry-run" in text


def test_a_map_of_xian_in_an_offset_datum_is_recognised_by_cars_on_record(recordings: Path) -> None:
    with gzip.open(recordings / "xian" / "traces.csv.gz", "rt", encoding="utf-8-sig") as file:
        fixes = [(float(row["lng"]), float(row["lat"])) for row in csv.DictReader(file)]
    zone = Zone(49)
    x, y = project(*np.transpose(fixes), zone)
    lines = read_features(recordings / "xian" / "road_links.zip").lines
    assert recognise(lines, x, y, zone).datum == "wgs84"
    moved = [np.column_stack(gcj02_from_wgs84(line[:, 0], line[:, 1])) for line in lines]
    assert recognise(moved, x, y, zone).datum == "gcj02"
