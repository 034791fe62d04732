"""Roads from files, and the network as a file: GeoJSON, and shapefiles (zipped or not) with nothing but their lines.

Coordinates are longitude and latitude, WGS 84. Lines may meet at their ends and at inner points; each part between two
meetings becomes a road. Read of a line's properties: name, name:zh or name_zh, name:en or name_en (and road_name),
road_class or highway (the words of OpenStreetMap), lanes (each way, or of both together with highway), oneway, and dir
(1: along the line only).
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .network import CLASSES, LANES_EACH_WAY, Network, Points, Road, built
from .truth import Place

_SNAP_M = 1.0
"""Ends nearer to each other than this are one crossing. Less, and the roundings of a map tear it apart; more joins both
carriageways of a wide road."""
_FARTHEST_M = 40_000.0
"""From the city's centre: beyond it the local plane is off by decimetres, and the file is of another city."""
_HIGHWAY = {
    "motorway": "trunk", "trunk": "trunk", "primary": "trunk", "secondary": "secondary", "tertiary": "secondary",
    "unclassified": "branch", "residential": "branch", "living_street": "branch",
}  # fmt: skip


class NetworkFileError(ValueError):
    """A file of roads cannot be used; the text says what is wrong with it."""


def plane_xy(place: Place, lonlat_deg: Points) -> Points:
    """Local metres of points given by longitude and latitude: the inverse of `Place.lonlat`, by fixed-point steps."""
    scale = place.lonlat(np.array([[1.0, 0.0], [0.0, 1.0]])) - np.array([place.lon_deg, place.lat_deg])
    metres = np.array([1 / scale[0, 0], 1 / scale[1, 1]])
    xy: Points = (lonlat_deg - np.array([place.lon_deg, place.lat_deg])) * metres
    for _ in range(6):  # each step gains three digits within some kilometres
        xy = xy + (lonlat_deg - place.lonlat(xy)) * metres
    return xy


def read_network(path: Path, centre_deg: tuple[float, float], seed: int) -> Network:
    """The roads of a .geojson, .json, .zip or .shp file about a city's centre. Raises NetworkFileError or OSError."""
    features = _shapefile(path) if path.suffix in (".zip", ".shp") else _geojson(path)
    place = Place(*centre_deg)
    lines = [(plane_xy(place, line), properties) for line, properties in features if len(line) > 1]
    if not lines:
        raise NetworkFileError(f"{path} holds no lines")
    far_m = max(float(np.abs(line).max()) for line, _ in lines)
    if not far_m <= _FARTHEST_M:
        raise NetworkFileError(f"{path} reaches {far_m / 1000:.0f} km from the city's centre: is it of another city?")
    try:
        return _joined(place, lines, seed)
    except ValueError as error:
        raise NetworkFileError(f"{path}: {error}") from None


def _joined(place: Place, lines: list[tuple[Points, dict[str, Any]]], seed: int) -> Network:
    """Cut where lines meet."""
    key = [[(int(a), int(b)) for a, b in np.rint(line / _SNAP_M)] for line, _ in lines]
    count: dict[tuple[int, int], int] = {}
    for keys in key:
        for i, k in enumerate(keys):
            count[k] = count.get(k, 0) + (2 if i in (0, len(keys) - 1) else 1)
    node: dict[tuple[int, int], int] = {}
    nodes: list[tuple[float, float]] = []
    roads: list[Road] = []
    for (line, properties), keys in zip(lines, key, strict=True):
        name, name_zh, road_class, lanes, oneway = _told(properties)
        begin = 0
        for i, k in enumerate(keys):
            if count[k] < 2:
                continue
            if k not in node:
                node[k] = len(nodes)
                nodes.append((float(line[i, 0]), float(line[i, 1])))
            if i > begin:
                part = line[begin : i + 1]
                if float(np.hypot(*np.diff(part, axis=0).T).sum()) > 3 * _SNAP_M:
                    ends = node[keys[begin]], node[k]
                    roads.append(Road(len(roads), name, name_zh, road_class, *ends, lanes, oneway, part))
                begin = i
    return built(place, np.array(nodes), roads, seed)


def _told(properties: dict[str, Any]) -> tuple[str, str, str, int, bool]:
    def text(*names: str) -> str:
        return next((str(properties[n]) for n in names if properties.get(n)), "")

    name, zh = text("name:en", "name_en", "name", "road_name"), text("name:zh", "name_zh", "name", "road_name")
    highway = text("highway").removesuffix("_link")
    road_class = text("road_class") or _HIGHWAY.get(highway, "branch" if highway else "secondary")
    road_class = road_class if road_class in CLASSES else "secondary"
    oneway = text("oneway").lower() in ("yes", "true", "1") or text("dir") == "1"
    lanes = LANES_EACH_WAY[road_class]
    stated = text("lanes")
    if stated.isdigit() and 1 <= int(stated) <= 12:
        lanes = int(stated) if oneway or not highway else max(1, int(stated) // 2)
    return name, zh, road_class, lanes, oneway


def _geojson(path: Path) -> list[tuple[Points, dict[str, Any]]]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8-sig"))
        found: list[tuple[Points, dict[str, Any]]] = []
        for feature in tree["features"]:
            geometry, properties = feature.get("geometry") or {}, feature.get("properties") or {}
            kind, at = geometry.get("type"), geometry.get("coordinates")
            lines: list[Any] = [at] if kind == "LineString" else list(at or ()) if kind == "MultiLineString" else []
            for line in lines:
                found.append((np.array([point[:2] for point in line], dtype=np.float64), properties))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NetworkFileError(f"{path} is not a GeoJSON FeatureCollection of lines: {error!r}") from None
    if not all(np.isfinite(line).all() and np.abs(line).max(initial=0) <= 180 for line, _ in found):
        raise NetworkFileError(f"{path} has coordinates that are no longitude and latitude")
    return found


def _shapefile(path: Path) -> list[tuple[Points, dict[str, Any]]]:
    """Lines and attributes of an ESRI shapefile (its technical description of 1998, types 3, 13 and 23) and its dBASE
    table."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                parts = {Path(n).suffix.lower(): archive.read(n) for n in archive.namelist()}
        else:
            parts = {s: f.read_bytes() for s in (".shp", ".dbf", ".cpg") if (f := path.with_suffix(s)).exists()}
        encoding = parts.get(".cpg", b"utf-8").decode("ascii").strip()
        return list(zip(_lines(parts[".shp"]), _rows(parts[".dbf"], encoding), strict=True))
    except (KeyError, ValueError, LookupError, struct.error, zipfile.BadZipFile) as error:
        raise NetworkFileError(f"{path} is not a shapefile of lines with its table: {error!r}") from None


def _lines(data: bytes) -> list[Points]:
    found: list[Points] = []
    at = 100
    while at + 12 <= len(data):
        words = struct.unpack(">i", data[at + 4 : at + 8])[0]
        (kind,) = struct.unpack("<i", data[at + 8 : at + 12])
        if kind in (3, 13, 23):
            parts, points = struct.unpack("<ii", data[at + 44 : at + 52])
            ends = [*struct.unpack(f"<{parts}i", data[at + 52 : at + 52 + 4 * parts]), points]
            xy = np.frombuffer(data, "<f8", 2 * points, at + 52 + 4 * parts).reshape(-1, 2)
            found.append(xy[ends[0] : ends[1]].astype(np.float64))  # further parts are rare in road maps: left out
        elif kind == 0:
            found.append(np.empty((0, 2)))
        else:
            raise ValueError(f"shapes of type {kind} are no lines")
        at += 8 + 2 * words
    return found


def _rows(data: bytes, encoding: str) -> list[dict[str, Any]]:
    count, header, size = struct.unpack("<IHH", data[4:12])
    fields: list[tuple[str, int]] = []
    table = io.BytesIO(data[32:header])
    while len(cell := table.read(32)) == 32 and cell[0] != 0x0D:
        fields.append((cell[:11].rstrip(b"\0").decode("ascii"), cell[16]))
    rows: list[dict[str, Any]] = []
    for number in range(count):
        at = header + number * size + 1
        row: dict[str, Any] = {}
        for name, width in fields:
            row[name] = data[at : at + width].decode(encoding, "replace").strip()
            at += width
        rows.append(row)
    return rows


def network_tree(network: Network) -> dict[str, Any]:
    """The roads as GeoJSON, in the properties that `read_network` reads."""
    features = []
    for road in network.roads:
        at = np.round(network.place.lonlat(road.axis), 8).tolist()
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "LineString", "coordinates": at},
                "properties": {
                    "name_en": road.name, "name_zh": road.name_zh, "road_class": road.road_class,
                    "lanes": str(road.lanes), "oneway": "yes" if road.oneway else "no",
                    "length_m": round(math.fsum(np.hypot(*np.diff(road.axis, axis=0).T)), 2),
                },
            }
        )  # fmt: skip
    return {"type": "FeatureCollection", "features": features}
