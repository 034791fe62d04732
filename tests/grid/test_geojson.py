"""Plain GeoJSON needs nothing installed, and garbage in it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grid import RoadFileError, read_features


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
     '{"type":"Feature","geometry":{"type":"LineString","coordinates":{"x":1}},"properties":{}}'],
    ids=["empty", "a list", "no features", "deep", "deep objects", "a number", "words", "half a pair", "an object"],
)  # fmt: skip
def test_garbage_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(RoadFileError, match=r"roads\.geojson"):
        read_features(written(tmp_path, text))
