"""Files of roads and of districts: Shapefile, GeoPackage, GeoJSON (each also in a zip) and GraphML, as plain arrays.

All but GraphML and plain GeoJSON are read by geopandas, which is no part of the running platform: it is asked for here
only.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .geojson import BadGeoJson, is_plain, read_geojson
from .graphml import BadGraph, Graph, read_graphml

Degrees = NDArray[np.float64]
_KINDS = (".shp", ".gpkg", ".geojson", ".json", ".graphml")
_BEGINS = {
    ".shp": (b"\x00\x00\x27\x0a",), ".gpkg": (b"SQLite format 3\x00",), ".geojson": (b"{",), ".json": (b"{",),
}  # fmt: skip
"""First bytes of each kind. The reader goes by what a file holds, whatever it is called, and some formats that it knows
do nothing but name other files and addresses to be read in their place."""
_MOST_BYTES = 4 << 30  # unpacked; a province's roads have some 500 MB
_OFFSET = re.compile(r"(gcj[-_ ]?0?2|火星坐标|mars[-_ ]?coord)|(bd[-_ ]?09|baidu)", re.IGNORECASE)


class RoadFileError(ValueError):
    """A file of roads or districts cannot be used; the text says why and what to do."""


class NeedsExtra(RuntimeError):
    """What reads the file is not installed."""


@dataclass
class Features:
    """What a file holds. columns: by name a value a feature. lines: longitude and latitude, float64 (k, 2), of each
    part of a line; row: the feature of each. faults: features without a line, by reason. declared: an offset datum or
    cgcs2000 where the file says so, else "". reference: of the coordinates, in the file's words. said: what had to be
    assumed."""

    columns: dict[str, list[Any]]
    lines: list[Degrees]
    row: list[int]
    count: int
    faults: Counter[str] = field(default_factory=Counter)
    declared: str = ""
    reference: str = ""
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Area:
    """A district. rings: float64 (k, 2) each, longitude and latitude, outer ones and holes alike."""

    name: str
    rings: tuple[Degrees, ...]


def read_features(path: Path, layer: str = "", reference: str = "", encoding: str = "") -> Features:
    """The lines of a file in degrees (WGS 84 as far as the file's reference system leads there; offsets of Chinese maps
    stand in no reference system and are left in). layer: of several in a GeoPackage or zip. reference: of the
    coordinates, such as EPSG:4549, where the file has none or a wrong one. encoding: of a Shapefile's texts.

    Raises RoadFileError, and NeedsExtra where geopandas is not installed.
    """
    place, member = _place(path, layer)
    if (member or path.name).lower().endswith(".graphml"):
        return _of_graph(path, member)
    if not member and not reference and is_plain(path):
        return _of_geojson(path)
    shapely, frame, crs, said = _read(place, path, member, layer, reference, encoding)
    kinds = shapely.get_type_id(frame.geometry.array)
    empty = shapely.is_empty(frame.geometry.array) | (kinds < 0)
    faults: Counter[str] = Counter()
    faults["no_geometry"] = int(empty.sum())
    faults["not_a_line"] = int((~empty & ~np.isin(kinds, (1, 2, 5))).sum())
    good = np.flatnonzero(~empty & np.isin(kinds, (1, 2, 5)))
    parts, owner = shapely.get_parts(frame.geometry.array[good], return_index=True)
    lines, row = _split(shapely, parts, good[owner])
    columns = {str(name): frame[name].astype(object).tolist() for name in frame.columns if name != frame.geometry.name}
    declared = _declared(path, member, f"{crs.name} {getattr(crs.geodetic_crs, 'name', '')}")
    return Features(columns, lines, row, len(frame), +faults, declared, str(crs.name), said)


def _of_geojson(path: Path) -> Features:
    try:
        found = read_geojson(path)
    except BadGeoJson as error:
        raise RoadFileError(str(error)) from None
    faults = +Counter({"no_geometry": found.without, "not_a_line": found.others})
    return Features(
        found.columns, found.geometry, found.row, found.count, faults, _declared(path, "", ""), "GeoJSON, degrees", []
    )


def read_areas(path: Path, name_field: str = "", layer: str = "") -> list[Area]:
    """The districts of a file of polygons, in its order; name_field: the column with their names, guessed where empty.
    Raises RoadFileError, NeedsExtra."""
    place, member = _place(path, layer)
    shapely, frame, _, _ = _read(place, path, member, layer, "", "")
    by_lower = {str(c).lower(): c for c in frame.columns}
    known = [name_field.lower()] if name_field else ["name_zh", "name:zh", "name", "district", "adname", "区县", "名称"]
    column = next((by_lower[n] for n in known if n in by_lower), None)
    if column is None:
        raise RoadFileError(
            f"{path.name} has no column with the districts' names; it has {', '.join(map(str, frame.columns))}"
        )
    areas = []
    for name, shape in zip(frame[column].tolist(), frame.geometry.array, strict=True):
        if shape is None or shapely.get_type_id(shape) not in (3, 6):
            continue
        rings = [ring for part in shapely.get_parts(shape) for ring in (part.exterior, *part.interiors)]
        areas.append(Area(str(name), tuple(shapely.get_coordinates(r) for r in rings)))
    if not areas:
        raise RoadFileError(f"{path.name} has no polygons: districts are polygons with a name")
    return areas


def _split(shapely: Any, parts: Any, owner: Any) -> tuple[list[Degrees], list[int]]:
    """Coordinates of each part, and its feature."""
    points, of = shapely.get_coordinates(parts, return_index=True)
    ends = np.cumsum(np.bincount(of, minlength=len(parts)))
    return np.split(points, ends[:-1]) if len(parts) else [], [int(o) for o in owner]


def _place(path: Path, layer: str) -> tuple[str, str]:
    """What the reader is to open, and the name within a zip."""
    if not path.is_file():
        raise RoadFileError(f"there is no file {path}")
    if path.suffix.lower() != ".zip":
        if path.suffix.lower() not in _KINDS:
            raise RoadFileError(f"{path.name} ends in none of {', '.join(_KINDS)}, .zip")
        return str(path), ""
    try:
        with zipfile.ZipFile(path) as pack:
            infos = pack.infolist()
    except zipfile.BadZipFile as error:
        raise RoadFileError(f"{path.name} is no zip: {error}") from None
    if sum(i.file_size for i in infos) > _MOST_BYTES:
        raise RoadFileError(f"{path.name} unpacks to over {_MOST_BYTES >> 30} GiB")
    inside = [i.filename for i in infos if Path(i.filename).suffix.lower() in _KINDS and _is_ours(i.filename)]
    if layer and len(inside) > 1:
        inside = [n for n in inside if layer in (n, Path(n).stem, Path(n).name)]
    if len(inside) != 1:
        listed = ", ".join(Path(n).stem for n in inside) or "nothing of the kind"
        raise RoadFileError(f"{path.name} holds {listed}: name one file of {', '.join(_KINDS)} with --layer")
    return f"/vsizip/{path.resolve()}/{inside[0]}", inside[0]


def _is_ours(name: str) -> bool:
    return not any(part.startswith(("__MACOSX", ".")) for part in Path(name).parts)


def _read(
    place: str, path: Path, member: str, layer: str, reference: str, encoding: str
) -> tuple[Any, Any, Any, list[str]]:
    """The module shapely, the file's table in degrees, its own reference system, and what had to be assumed."""
    try:
        import geopandas  # noqa: PLC0415  (an extra, and slow to load)
        import pyogrio  # noqa: PLC0415
        import pyproj  # noqa: PLC0415
        import shapely  # noqa: PLC0415
    except ImportError:
        raise NeedsExtra("reading road files needs geopandas: run `make roads` once") from None
    said: list[str] = []
    options: dict[str, Any] = {}
    try:
        check_kind(path, member)
        if (member or path.name).lower().endswith(".gpkg"):
            options["layer"] = _layer(pyogrio.list_layers(place), layer, path)
        if encoding:
            options["encoding"] = encoding
        frame = _texts(geopandas, place, path, member, options, said)
        if not isinstance(frame, geopandas.GeoDataFrame):
            raise RoadFileError(f"{path.name} has no geometry")
        if reference:
            frame = frame.set_crs(reference, allow_override=True)
        if frame.crs is None:
            size = float(np.nanmax(np.abs(np.append(frame.total_bounds, 0.0))))
            if size > 360:
                raise RoadFileError(f"{path.name} has no reference system and is not in degrees: name it with --crs")
            said.append("the file names no reference system: taken as degrees of WGS 84")
            frame = frame.set_crs("EPSG:4326")
        return shapely, frame.to_crs("EPSG:4326"), frame.crs, said
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyproj.exceptions.CRSError) as error:
        raise RoadFileError(f"{path.name} cannot be read: {error}") from None
    except (pyogrio.errors.FeatureError, pyogrio.errors.GeometryError, UnicodeDecodeError, LookupError) as error:
        raise RoadFileError(f"{path.name} cannot be read: {error}; is --encoding right?") from None


def check_kind(path: Path, member: str = "") -> None:
    """Raises RoadFileError where a file (or member of a zip) is not of the kind that its name says: Shapefile,
    GeoPackage or GeoJSON. To be asked before geopandas is."""
    suffix = Path(member or path.name).suffix.lower()
    if suffix not in _BEGINS:
        raise RoadFileError(f"{member or path.name} ends in none of {', '.join(_BEGINS)}")
    with _opened(path, member) as file:
        head = file.read(1024).removeprefix(b"\xef\xbb\xbf")
    if not (head.lstrip() if suffix.endswith("json") else head).startswith(_BEGINS[suffix]):
        raise RoadFileError(f"{member or path.name} is no {suffix} inside: save it again from the program that made it")


@contextmanager
def _opened(path: Path, member: str) -> Iterator[IO[bytes]]:
    """A file, or one within a zip. Raises RoadFileError where the zip is damaged or locked."""
    if not member:
        with path.open("rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(path) as pack, pack.open(member) as inside:
            yield inside
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise RoadFileError(f"{member} in {path.name} cannot be unpacked: {error}") from None


def _texts(geopandas: Any, place: str, path: Path, member: str, options: dict[str, Any], said: list[str]) -> Any:
    """The table, read as UTF-8 and then as GB 18030 where a Shapefile does not say in what its texts are written."""
    name = member or str(path)
    if "encoding" in options or not name.lower().endswith(".shp") or _beside(path, member, ".cpg"):
        return geopandas.read_file(place, **options)
    try:
        return geopandas.read_file(place, encoding="utf-8", **options)
    except UnicodeDecodeError:
        said.append("the Shapefile does not say how its texts are written: read as GB 18030")
        return geopandas.read_file(place, encoding="gb18030", **options)


def _layer(listed: Any, wanted: str, path: Path) -> str:
    """The layer of a GeoPackage: the one that was named, or the only one with lines or areas."""
    names = [
        str(n) for n, kind in listed if kind is not None and ("Line" in kind or "Polygon" in kind or kind == "Unknown")
    ]
    if wanted:
        if wanted not in [str(n) for n, _ in listed]:
            raise RoadFileError(f"{path.name} has no layer {wanted!r}; it has {', '.join(str(n) for n, _ in listed)}")
        return wanted
    if len(names) != 1:
        raise RoadFileError(
            f"{path.name} has the layers {', '.join(names) or 'none with lines'}: name one with --layer"
        )
    return names[0]


def _beside(path: Path, member: str, suffix: str) -> bytes:
    """The first bytes of the file of the same name with another ending, b"" where there is none."""
    if not member:
        other = path.with_suffix(suffix)
        return other.read_bytes()[:8192] if other.is_file() else b""
    with zipfile.ZipFile(path) as pack:
        wanted = str(Path(member).with_suffix(suffix)).lower()
        for name in pack.namelist():
            if name.lower() == wanted:
                with pack.open(name) as file:
                    return file.read(8192)
    return b""


def _declared(path: Path, member: str, named: str) -> str:
    """The datum that a file states of itself: in its name, reference system, metadata beside it or first lines."""
    texts = [
        path.name,
        member,
        named,
        *(_beside(path, member, s).decode("utf-8", "replace") for s in (".prj", ".shp.xml")),
    ]
    if (member or path.name).lower().endswith("json"):
        with zipfile.ZipFile(path).open(member) if member else path.open("rb") as file:
            texts.append(re.split(r'"features"', file.read(8192).decode("utf-8", "replace"))[0])
    for text in texts:
        if match := _OFFSET.search(text):
            return "gcj02" if match[1] else "bd09"
    return (
        "cgcs2000" if re.search(r"CGCS[ _]?2000|China[ _]2000|China Geodetic", " ".join(texts), re.IGNORECASE) else ""
    )


def _of_graph(path: Path, member: str) -> Features:
    try:
        with _opened(path, member) as file:
            graph = read_graphml(file)
    except BadGraph as error:
        raise RoadFileError(f"{path.name}: {error}") from None
    if graph.reference and not re.search(r"4326|WGS ?84|CRS84", graph.reference, re.IGNORECASE):
        raise RoadFileError(f"{path.name} is projected ({graph.reference[:40]}): save the graph before it is projected")
    return _of_lines(graph, path, member)


def _of_lines(graph: Graph, path: Path, member: str) -> Features:
    lines: Sequence[tuple[int, Degrees]] = [(n, line) for n, line in enumerate(graph.lines) if line is not None]
    faults = Counter({"no_geometry": len(graph.lines) - len(lines)})
    return Features(
        graph.columns, [line for _, line in lines], [n for n, _ in lines], len(graph.lines), +faults,
        _declared(path, member, graph.reference), graph.reference,
    )  # fmt: skip
