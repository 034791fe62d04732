"""Plain GeoJSON needs nothing installed, and garbage in it is named."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from grid import RoadFileError, read_features
from grid.fields import number_of, text_of
from grid.graphml import read_graphml


def written(folder: Path, tree: Any, name: str = "roads.geojson") -> Path:
    path = folder / name
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False), encoding="utf-8")
    return path


def feature(kind: str | None, coordinates: Any, **properties: Any) -> dict[str, Any]:
    shape = None if kind is None else {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": shape, "properties": properties}


def test_lines_parts_and_columns_are_read(tmp_path: Path) -> None:
    line = [[120.1, 30.2], [120.2, 30.3, 8.0]]
    features = [
        feature("LineString", line, name="望江路", lanes=2),
        feature("MultiLineString", [line, line[::-1]], name="B"),
        feature("Point", [120, 30]),
        feature(None, None),
    ]
    found = read_features(written(tmp_path, {"type": "FeatureCollection", "features": features}))
    assert (found.count, found.row) == (4, [0, 1, 1])
    assert found.lines[0].tolist() == [[120.1, 30.2], [120.2, 30.3]]
    assert found.columns == {"name": ["望江路", "B", None, None], "lanes": [2, None, None, None]}
    assert dict(found.faults) == {"no_geometry": 1, "not_a_line": 1}


@pytest.mark.parametrize(
    "text",
    ["", "[1, 2]", '{"type": "FeatureCollection", "features": 3}', "[" * 100_000, '{"a": ' * 50_000,
     '{"type": "FeatureCollection", "features": [7]}',
     '{"type":"Feature","geometry":{"type":"LineString","coordinates":[["a","b"],[1,2]]},"properties":{}}',
     '{"type":"Feature","geometry":{"type":"LineString","coordinates":[[1],[1,2]]},"properties":{}}',
     '{"type":"Feature","geometry":{"type":"LineString","coordinates":{"x":1}},"properties":{}}',
     '{"type":"Feature","geometry":{"type":"LineString","coordinates":[{"x":1}]},"properties":{}}',
     '{"type":"Feature","geometry":{"type":"MultiLineString","coordinates":7},"properties":{}}'],
    ids=["empty", "a list", "no features", "deep", "deep objects", "a number", "words", "half a pair", "an object",
         "objects for pairs", "a number of lines"],
)  # fmt: skip
def test_garbage_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(RoadFileError, match=r"roads\.geojson"):
        read_features(written(tmp_path, text))


@pytest.mark.parametrize("properties", ["text", ["a", "b"], 7], ids=["a text", "a list", "a number"])
def test_properties_that_are_none_say_nothing(tmp_path: Path, properties: Any) -> None:
    one = {**feature("LineString", [[120.1, 30.2], [120.2, 30.3]]), "properties": properties}
    assert read_features(written(tmp_path, {"type": "FeatureCollection", "features": [one]})).columns == {}


def test_columns_of_every_features_own_do_not_fill_the_memory(tmp_path: Path) -> None:
    features = [feature("Point", [120, 30], **{f"c{n}": 1}) for n in range(1_001)]
    with pytest.raises(RoadFileError, match="1,001 columns"):
        read_features(written(tmp_path, {"type": "FeatureCollection", "features": features}))


@pytest.mark.parametrize("name", ["x.json", "x.shp", "x.gpkg", "x.zip"])
def test_a_file_that_only_names_another_file_is_not_followed(tmp_path: Path, name: str) -> None:
    """The reader goes by what a file holds: this kind would have it read any file or address in its place."""
    line = [[120.1, 30.2], [120.2, 30.3]]
    other = written(tmp_path, {"type": "FeatureCollection", "features": [feature("LineString", line, name="hidden")]})
    text = (
        f'<OGRVRTDataSource><!-- "crs" --><OGRVRTLayer name="roads"><SrcDataSource>{other}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as pack:
            pack.writestr("roads.shp", text)
    else:
        written(tmp_path, text, name)
    with pytest.raises(RoadFileError, match="inside"):
        read_features(tmp_path / name)


def test_a_zip_that_is_damaged_within_is_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("roads.graphml", "<graphml><graph>" + "<edge/>" * 1_000 + "</graph></graphml>")
    whole = bytearray((tmp_path / "a.zip").read_bytes())
    whole[60] ^= 255
    (tmp_path / "a.zip").write_bytes(whole)
    with pytest.raises(RoadFileError, match="cannot be unpacked"):
        read_features(tmp_path / "a.zip")


def test_texts_hold_nothing_that_a_database_refuses_and_numbers_are_finite() -> None:
    assert text_of("a\0b\ud800c") == "a b c"
    assert text_of(["x", [["deep"]], "y"]) == "x / y"
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    assert text_of(deep) == ""
    assert number_of("9" * 400) == 0.0


def test_an_edge_of_single_numbers_has_no_line() -> None:
    text = (
        b'<graphml><key id="g" attr.name="geometry"/><graph><edge source="a" target="b"><data key="g">'
        b"LINESTRING (1, 2)</data></edge></graph></graphml>"
    )
    assert read_graphml(io.BytesIO(text)).lines == [None]
