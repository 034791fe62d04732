"""Plain GeoJSON with the standard library: what most maps can write, so that nothing needs to be installed for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 256 << 20
"""Larger files go to geopandas, which reads them in a third of the memory."""
_DEGREES = ("crs84", "epsg::4326", "epsg:4326")


MOST_COLUMNS = 1_000
"""Every feature has a value of every column, so a file in which each feature names columns of its own would take memory
with the square of its size. Fewer, and an export of OpenStreetMap with all its tags is refused."""


class BadGeoJson(ValueError):
    """The file is no GeoJSON that can be used; the text says why."""


@dataclass
class Lines:
    """columns: by name a value a feature; geometry: float64 (k, 2), longitude and latitude, of each part of a line;
    row: the feature of each; count: of features; without: of them without a geometry; others: with one that is no line.
    """

    columns: dict[str, list[Any]] = field(default_factory=dict)
    geometry: list[NDArray[np.float64]] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    count: int = 0
    without: int = 0
    others: int = 0


def is_plain(path: Path) -> bool:
    """Whether a file is one that this reads: small enough, and in degrees."""
    if path.suffix.lower() not in (".geojson", ".json") or path.stat().st_size > MOST_BYTES:
        return False
    with path.open("rb") as file:
        head = file.read(4096).decode("utf-8", "replace").lower()
    # The old way to name a reference system stands before the features; by the standard there is none but degrees.
    return '"crs"' not in head or any(name in head for name in _DEGREES)


def read_geojson(path: Path) -> Lines:
    """The lines of a FeatureCollection (or one feature). Raises BadGeoJson."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadGeoJson(f"{path.name} is not JSON in UTF-8: {str(error)[:200]}") from None
    features = tree.get("features") if isinstance(tree, dict) and tree.get("type") == "FeatureCollection" else [tree]
    if not isinstance(features, list) or not all(isinstance(f, dict) for f in features):
        raise BadGeoJson(f"{path.name} is JSON, but holds no GeoJSON features")
    out = Lines(count=len(features))
    said = [properties if isinstance(properties := f.get("properties"), dict) else {} for f in features]
    names = sorted({name for one in said for name in one})
    if len(names) > MOST_COLUMNS:
        raise BadGeoJson(f"{path.name} has {len(names):,} columns, the most is {MOST_COLUMNS:,}: save it with fewer")
    out.columns = {name: [one.get(name) for one in said] for name in names}
    for row, feature in enumerate(features):
        shape = feature.get("geometry")
        kind = shape.get("type") if isinstance(shape, dict) else None
        if kind == "LineString":
            parts = [shape.get("coordinates")]
        elif kind == "MultiLineString":
            parts = shape.get("coordinates") or []
            if not isinstance(parts, list):
                raise BadGeoJson(f"{path.name}: the coordinates of a MultiLineString are no list of lines")
        else:
            out.without += kind is None
            out.others += kind is not None
            continue
        parts = [part for part in parts if part != []]  # an empty line is no geometry
        for part in parts:
            out.geometry.append(_line(part, path))
            out.row.append(row)
        out.without += not parts
    return out


def _line(part: Any, path: Path) -> NDArray[np.float64]:
    try:
        line = np.array([[point[0], point[1]] for point in part], dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        raise BadGeoJson(f"{path.name}: a line's coordinates are not pairs of numbers") from None
    return line
