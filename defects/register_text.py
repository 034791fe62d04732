"""Entries of a register from a file's text: GeoJSON and CSV. Total: any text gives entries and named refusals. Pure."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from grid import Zone, project
from ingest import DATUMS, City, to_frame

from .footprint import MOST_VERTICES, Shape, TooLarge, squares
from .register import ACCURACY_M, KINDS, OBJECT, PERMIT, REPAIR, Entry, RegisterError, reach_of

MOST_BYTES = 64 << 20
"""Of one file. A city has some 300,000 covers, 200 bytes each; more at once would not fit beside a database."""
MOST_ENTRIES = 500_000
"""Of one file."""
MOST_SQUARES = 50_000_000
"""Of one file, 400 MB. 300,000 covers whose places are known to four metres have as many; without a bound 64 MiB of
small outlines of whole quarters would have 10,000 times as many, and take days."""
_FAR_DEG = 5.0
"""From the zone's meridian. Beyond it a square is no longer a metre, and the file is of another city, or swapped."""
_SHAPES = {
    "Point": ("point", 0), "MultiPoint": ("point", 1), "LineString": ("line", 1), "MultiLineString": ("line", 2),
    "Polygon": ("polygon", 2), "MultiPolygon": ("polygon", 3),
}  # fmt: skip
"""Kind of shape, and how deep its positions are nested."""
_FRAMES = ("CRS84", "EPSG::4326", "EPSG:4326", "EPSG::4490", "EPSG:4490")


@dataclass(frozen=True)
class Reading:
    """How a file is read. source_key: goes before every key, so that two files do not overwrite each other's entries.
    kind, owner, from_day, to_day, accuracy_m, number, note: where a row says nothing itself; kind None: each must."""

    register: str
    source: str
    source_key: str
    datum: str
    from_day: date
    to_day: date | None = None
    kind: str | None = None
    owner: str = ""
    number: str = ""
    note: str = ""
    accuracy_m: float | None = None

    def __post_init__(self) -> None:
        if self.datum not in DATUMS or self.datum == "unknown":
            known = ", ".join(d for d in DATUMS if d != "unknown")
            raise RegisterError(f"a datum is one of {known}, not {self.datum!r}: ask who made the file")


@dataclass(frozen=True)
class Read:
    """entries; and what was refused, each with its place in the file and why."""

    entries: tuple[Entry, ...]
    refused: tuple[tuple[str, str], ...]


Told = Callable[[int, int], None]


def read_entries(data: bytes, csv_text: bool, reading: Reading, city: City, told: Told | None = None) -> Read:
    """Entries of a GeoJSON or CSV file in UTF-8. ``told``: rows done, and all.

    Raises RegisterError where the file as a whole cannot be read; a row that cannot be taken is among the refused.
    """
    if len(data) > MOST_BYTES:
        raise RegisterError(f"the file has {len(data) >> 20} MiB, the most is {MOST_BYTES >> 20}: split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RegisterError("the file is not UTF-8: save it again as UTF-8") from None
    rows = list(_csv_rows(text) if csv_text else _features(text))
    entries: dict[str, Entry] = {}
    refused = []
    in_all = 0
    for n, (place, geometry, said) in enumerate(rows):
        try:
            entry = entry_of(geometry, said, reading, city)
            if entry.key in entries:
                raise RegisterError(f"the key {entry.key!r} stands twice in the file")
            entries[entry.key] = entry
            in_all += len(entry.cells)
        except RegisterError as error:
            refused.append((place, str(error)))
        if in_all > MOST_SQUARES:
            raise RegisterError(f"up to {place} its entries have over {MOST_SQUARES:,} squares of 1 m: split the file")
        if told is not None:
            told(n + 1, len(rows))
    return Read(tuple(entries.values()), tuple(refused))


def entry_of(geometry: object, said: Mapping[str, Any], reading: Reading, city: City) -> Entry:
    """One entry of a GeoJSON geometry in degrees of the reading's datum, and of what is said beside it. Raises
    RegisterError."""
    kind = "works" if reading.register == PERMIT else _text(said, "kind") or reading.kind
    if kind is None:
        raise RegisterError("nothing says its kind: give --kind, or a property `kind`")
    what = {OBJECT: kind, PERMIT: "works", REPAIR: "repair"}[reading.register]
    name, parts = _positions(geometry)
    for lon_deg in (float(parts[:, 0].min()), float(parts[:, 0].max())):
        _check_near(lon_deg, city)
    lon, lat, added_m = to_frame(parts[:, 0], parts[:, 1], reading.datum, city.frame)
    lon, lat = np.round(lon, 8), np.round(lat, 8)
    zone = Zone(city.utm_zone, city.utm_north)
    shape, sizes = _cut(geometry, np.stack([lon, lat], axis=1))
    x, y = project(lon, lat, zone)
    metres = np.split(np.stack([x, y], axis=1), np.cumsum(sizes)[:-1])
    own_m = _number(said, "accuracy_m")
    accuracy_m = own_m if own_m is not None else reading.accuracy_m
    if accuracy_m is None:
        accuracy_m = ACCURACY_M[reading.source]
    if not 0.0 <= accuracy_m < math.inf:
        raise RegisterError(f"an accuracy is metres, 0 or more, not {accuracy_m}")
    try:
        reach_m = reach_of(what, name == "point", math.hypot(accuracy_m, added_m))
        cells = squares(Shape(name, tuple(metres)), reach_m, zone)
    except KeyError:
        known = ", ".join(KINDS[reading.register])
        raise RegisterError(f"{kind!r} is no kind of {reading.register}: one of {known}") from None
    except (TooLarge, ValueError) as error:
        raise RegisterError(str(error)) from None
    from_day = _day(said, ("from_day", "from", "day")) or reading.from_day
    named = _text(said, "key") or _text(said, "id")
    if not named:
        text = json.dumps([kind, shape, from_day.isoformat() if reading.register != OBJECT else ""], sort_keys=True)
        named = hashlib.sha256(text.encode()).hexdigest()[:16]
    owner = _text(said, "owner") or reading.owner
    return Entry(
        register=reading.register, kind=kind, key=f"{reading.source_key}/{named}", source=reading.source,
        from_day=from_day, to_day=_day(said, ("to_day", "to", "until")) or reading.to_day, shape=shape,
        reach_m=round(reach_m, 3), cells=cells,
        owner=owner or ("unknown" if what == "cover" else ""),
        number=_text(said, "number") or reading.number,
        note=_text(said, "note") or _text(said, "name") or reading.note,
    )  # fmt: skip


def _features(text: str) -> Iterator[tuple[str, object, Mapping[str, Any]]]:
    def refuse(name: str) -> NoReturn:
        raise RegisterError(f"the file holds {name}, which is no JSON: write it again")

    try:
        tree = json.loads(text, parse_constant=refuse)
    except RegisterError:
        raise
    except RecursionError:
        raise RegisterError("the file is nested too deeply for a map: write it again") from None
    except ValueError as error:
        raise RegisterError(f"the file is not JSON ({error}): write it again, or name it .csv") from None
    if not isinstance(tree, dict):
        raise RegisterError("a GeoJSON file is one object: a FeatureCollection, a Feature or a geometry")
    _check_frame(tree)
    features = tree.get("features") if tree.get("type") == "FeatureCollection" else [tree]
    if not isinstance(features, list):
        raise RegisterError("a FeatureCollection has a list of features")
    if len(features) > MOST_ENTRIES:
        raise RegisterError(f"{len(features):,} features, the most is {MOST_ENTRIES:,}: split the file")
    for n, feature in enumerate(features, start=1):
        if isinstance(feature, dict) and feature.get("type") == "Feature":
            said = feature.get("properties")
            said = dict(said) if isinstance(said, dict) else {}
            if "id" in feature:
                said.setdefault("id", feature["id"])
            yield f"feature {n}", feature.get("geometry"), said
        else:
            yield f"feature {n}", feature, {}


def _check_frame(tree: dict[str, Any]) -> None:
    crs = tree.get("crs")
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str) or not name.endswith(_FRAMES):
        raise RegisterError(f"the file is in {str(name)[:80]!r}: write it again in degrees (EPSG:4326 or EPSG:4490)")


def _csv_rows(text: str) -> Iterator[tuple[str, object, Mapping[str, Any]]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [str(n).strip().lower() for n in rows.fieldnames or ()]
        if not {"lon", "lat"} <= set(names):
            raise RegisterError("a CSV file begins with the names of its columns, lon and lat (degrees) among them")
        rows.fieldnames = names
        for n, row in enumerate(rows, start=1):
            if n > MOST_ENTRIES:
                raise RegisterError(f"over {MOST_ENTRIES:,} rows: split the file")
            said = {k: v.strip() for k, v in row.items() if isinstance(k, str) and isinstance(v, str) and v.strip()}
            try:
                place: object = {"type": "Point", "coordinates": [float(said.pop("lon")), float(said.pop("lat"))]}
            except (KeyError, ValueError):
                place = None
            yield f"row {n}", place, said
    except csv.Error as error:
        raise RegisterError(f"the file is not CSV ({error}): write it again") from None


def _positions(geometry: object) -> tuple[str, NDArray[np.float64]]:
    """Kind of shape, and all its positions in order, float64 (k, 2), degrees."""
    if not isinstance(geometry, dict) or not isinstance(geometry.get("type"), str) or geometry["type"] not in _SHAPES:
        known = ", ".join(_SHAPES)
        raise RegisterError(f"it has no place: give lon and lat, or a geometry of {known}")
    name, depth = _SHAPES[geometry["type"]]
    found: list[tuple[float, float]] = []

    def walk(part: object, deep: int) -> None:
        if not isinstance(part, list) or not part:
            raise RegisterError(f"the coordinates are not those of a {geometry['type']}")
        if deep:
            for one in part:
                walk(one, deep - 1)
            return
        if len(found) >= MOST_VERTICES:
            raise RegisterError(f"over {MOST_VERTICES:,} corners, the most for one entry: simplify or cut it up")
        numbers = [v for v in part[:2] if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < 2 or not (-180 <= numbers[0] <= 180 and -84 <= numbers[1] <= 84):
            raise RegisterError("a position is longitude and latitude in degrees (in this order)")
        found.append((float(numbers[0]), float(numbers[1])))

    walk(geometry.get("coordinates"), depth)
    return name, np.array(found, np.float64)


def _cut(geometry: object, positions: NDArray[np.float64]) -> tuple[dict[str, Any], list[int]]:
    """The geometry with new positions, and how many each part has."""
    assert isinstance(geometry, dict)  # noqa: S101  (`_positions` has looked)
    rows = iter(positions.tolist())
    sizes: list[int] = []

    def build(part: list[Any], deep: int) -> list[Any]:
        if not deep:
            if not sizes:
                sizes.append(1)  # a point alone
            return list(next(rows))
        if deep == 1:
            sizes.append(len(part))
        return [build(one, deep - 1) for one in part]

    kind = geometry["type"]
    return {"type": kind, "coordinates": build(geometry["coordinates"], _SHAPES[kind][1])}, sizes


def _check_near(lon_deg: float, city: City) -> None:
    if not abs(lon_deg - Zone(city.utm_zone, city.utm_north).meridian_deg) <= _FAR_DEG:
        raise RegisterError(f"longitude {lon_deg:.4f} is not in this city: check its order, its datum, the city file")


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _number(said: Mapping[str, Any], name: str) -> float | None:
    value = said.get(name)
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise RegisterError(f"{name} is a number, not {str(value)[:40]!r}") from None


def _day(said: Mapping[str, Any], names: tuple[str, ...]) -> date | None:
    for name in names:
        text = _text(said, name)
        if text:
            try:
                return date.fromisoformat(text[:10])
            except ValueError:
                raise RegisterError(f"{name} is a day, as in 2026-12-01, not {text[:40]!r}") from None
    return None
