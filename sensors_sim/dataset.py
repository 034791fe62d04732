"""The data folder: what simulated devices sent, and beside it what was really there. Training and evaluation read it,
and nothing else of the simulator.

  chunks.cbor      a CBOR sequence (RFC 8742) of [device, kind of device, payload]; a payload is a chunk of the wire
  truth.csv.gz     a row for each thing that a vehicle met, and for each act that shook a device
  trips.csv.gz     a row for each stretch of road driven
  manifest.json    schema rhc-drives/1: arguments, counts, sha256 of the others; written last: a folder with it is whole
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import cbor2
import numpy as np

from ingest import encode

from .cutting import cut, owned_s
from .plan import WAY_HZ, Plan, Ride, meetings
from .truth import Place

SCHEMA = "rhc-drives/1"
CHUNKS, TRUTH, TRIPS, MANIFEST = "chunks.cbor", "truth.csv.gz", "trips.csv.gz", "manifest.json"
TRUTH_COLUMNS = (
    "device", "trip", "kind", "subtype", "what", "in_s", "mid_s", "out_s", "wheels", "grade", "amount", "unit",
    "height_mm", "length_m", "width_m", "lat_deg", "lon_deg", "roughness", "speed_mps", "thing",
)  # fmt: skip
"""kind: of the type or look-alike or act. what: defect, look_alike or act. in_s, mid_s, out_s, wheels: of a meeting
(plan.Meeting); an act's begin, middle, end. amount: in the unit, of an act its strength. lat_deg, lon_deg: of the
thing's middle, in the chunks' datum; of an act the vehicle's at mid_s. thing: the same for every pass over one thing;
empty for acts."""
TRIP_COLUMNS = (
    "device", "trip", "device_kind", "carrier", "model", "physics", "roughness", "from_s", "to_s", "metres",
    "equipment", "night", "wet",
)  # fmt: skip
"""from_s, to_s: what the trip's chunks own, unix seconds; metres: driven in between."""


class FolderTaken(ValueError):
    """The folder already holds a whole data set; name another, or delete it first."""


class _Hashed(io.RawIOBase):
    """A binary file that knows the hash of what was written to it."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self._file.write(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _Table:
    """A gzipped CSV whose bytes hang on its rows alone: no time, no name within."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.raw = _Hashed(path)
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self.raw, mtime=0)
        self._text = io.TextIOWrapper(self._gzip, encoding="utf-8", newline="")
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow(columns)
        self.rows = 0

    def write(self, row: tuple[object, ...]) -> None:
        self._csv.writerow(row)
        self.rows += 1

    def close(self) -> None:
        self._text.close()
        self.raw.close()


def _in(value: float, digits: int) -> str:
    """A number as the tables have it; -0 is 0."""
    return f"{value + 0.0:.{digits}f}"


@dataclass(frozen=True)
class Entry:
    """The rows of the tables that belong to one stretch of road driven, and its length in metres and seconds."""

    trip: tuple[object, ...]
    truth: tuple[tuple[object, ...], ...]
    metres: float
    seconds: float


def entry(
    plan: Plan, ride: Ride, place: Place, device: str, trip: str, physics: str, names: Sequence[str]
) -> Entry:
    """What the tables say of a ride. names: of the stretch's things, the same for every pass."""
    begin, end = owned_s(ride)
    row, metres = _trip_row(plan, device, trip, physics, begin, end)
    return Entry(row, tuple(_truth_rows(plan, place, device, trip, names)), metres, end - begin)


class DriveWriter:
    """Writes a data folder. Within `with`: add rides; at the end it is whole, or after an exception not there.

    arguments: of the command, for the manifest. Raises FolderTaken where the folder holds a manifest.
    """

    def __init__(self, folder: Path, arguments: Mapping[str, Any], datum: str = "cgcs2000") -> None:
        if (folder / MANIFEST).exists():
            raise FolderTaken(f"{folder} holds a data set already: name another folder, or delete it first")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._arguments, self._datum = folder, dict(arguments), datum
        self._chunks = _Hashed(self._part(CHUNKS))
        self._truth = _Table(self._part(TRUTH), TRUTH_COLUMNS)
        self._trips = _Table(self._part(TRIPS), TRIP_COLUMNS)
        self._devices: set[str] = set()
        self._extra: dict[str, Any] = {}
        self.chunks = 0
        self.metres = 0.0
        self.seconds = 0.0

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}.part"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tables = {CHUNKS: self._chunks, TRUTH: self._truth.raw, TRIPS: self._trips.raw}
        self._truth.close()
        self._trips.close()
        self._chunks.close()
        if kind is not None:
            for name in tables:
                self._part(name).unlink(missing_ok=True)
            return
        for name in tables:
            self._part(name).replace(self._folder / name)
        text = json.dumps(self.manifest(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        self._part(MANIFEST).write_text(text, encoding="utf-8")
        self._part(MANIFEST).replace(self._folder / MANIFEST)

    def note(self, **entries: Any) -> None:
        """Adds entries to the manifest."""
        self._extra |= entries

    def manifest(self) -> dict[str, Any]:
        """What manifest.json says; final once the folder is closed."""
        files = {CHUNKS: self._chunks, TRUTH: self._truth.raw, TRIPS: self._trips.raw}
        return self._extra | {
            "schema": SCHEMA,
            "origin": "simulated",
            "datum": self._datum,
            "arguments": self._arguments,
            "counts": {
                "devices": len(self._devices),
                "trips": self._trips.rows,
                "chunks": self.chunks,
                "truth": self._truth.rows,
            },
            "km": round(self.metres / 1000, 3),
            "vehicle_seconds": round(self.seconds, 1),
            "files": {name: {"sha256": f.sha256.hexdigest(), "bytes": f.size} for name, f in files.items()},
        }

    def add(self, plan: Plan, ride: Ride, place: Place, device: str, trip: str, physics: str, stretch: str) -> int:
        """One drive as one trip. place: the plane of its way and fixes. stretch: names the road driven, the same for
        every pass; a thing's id is made of it. Returns how many chunks it gave (0: too short, nothing is written)."""
        seq = 0

        def number(_start_s: float) -> tuple[str, int]:
            return trip, seq

        for chunk in cut(ride, place, plan.carrier, plan.device, number, self._datum):
            self.put_payload(device, plan.device, encode(chunk))
            seq += 1
        if seq:
            names = [f"{stretch}/{i}" for i in range(len(plan.stretch.things))]
            self.put_entry(entry(plan, ride, place, device, trip, physics, names))
        return seq

    def put_payload(self, device: str, kind: str, payload: bytes) -> None:
        """One message of a device: an encoded chunk, or what a fault made of one."""
        self._chunks.write(cbor2.dumps([device, kind, payload]))
        self._devices.add(device)
        self.chunks += 1

    def put_entry(self, told: Entry) -> None:
        """What the tables say of a stretch of road driven."""
        self._trips.write(told.trip)
        for row in told.truth:
            self._truth.write(row)
        self.metres += told.metres
        self.seconds += told.seconds


def _trip_row(
    plan: Plan, device: str, trip: str, physics: str, begin: float, end: float
) -> tuple[tuple[object, ...], float]:
    way = plan.way
    first, last = (float(v) for v in np.interp(
        [(t - way.t0_s) * WAY_HZ for t in (begin, end)], np.arange(len(way.s_m)), way.s_m
    ))  # fmt: skip
    equipment = "+".join(sorted(plan.equipment)) if plan.device == "box" else ""
    row = (
        device, trip, plan.device, plan.carrier, plan.model, physics, plan.stretch.roughness, _in(begin, 3),
        _in(end, 3), _in(last - first, 1), equipment, int(plan.night), int(plan.wet),
    )  # fmt: skip
    return row, last - first


def _truth_rows(
    plan: Plan, place: Place, device: str, trip: str, names: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    way, rough = plan.way, plan.stretch.roughness
    rows: list[tuple[float, float, float, tuple[object, ...], tuple[object, ...], tuple[object, ...]]] = []
    for m in meetings(plan):
        thing = plan.stretch.things[m.thing]
        i = round((m.mid_s - way.t0_s) * WAY_HZ)
        course, left = math.radians(float(way.course_deg[i])), thing.y_m - float(way.y_m[i])
        what = "look_alike" if thing.harmless else "defect"
        # The way's own step of 10 ms is up to 20 cm of road: along it the thing's place is exact.
        along = thing.s_m - float(way.s_m[i])
        east = float(way.east_m[i]) + along * math.sin(course) - left * math.cos(course)
        north = float(way.north_m[i]) + along * math.cos(course) + left * math.sin(course)
        rows.append((
            m.mid_s, east, north,
            (thing.kind, thing.subtype, what, _in(m.in_s, 3), _in(m.mid_s, 3), _in(m.out_s, 3)),
            (m.wheels, thing.grade, _in(thing.amount, 3), thing.unit, _in(thing.height_mm, 2),
             _in(thing.length_m, 3), _in(thing.width_m, 3)),
            (_in(float(way.v_mps[i]), 2), names[m.thing]),
        ))  # fmt: skip
    for act in plan.acts:
        begin, middle = way.t0_s + act.t_s, way.t0_s + act.t_s + act.duration_s / 2
        i = min(max(round((middle - way.t0_s) * WAY_HZ), 0), len(way.s_m) - 1)
        rows.append((
            middle, float(way.east_m[i]), float(way.north_m[i]),
            (act.kind, "", "act", _in(begin, 3), _in(middle, 3), _in(begin + act.duration_s, 3)),
            ("none", 0, _in(act.strength, 3), "", "0.00", "0.000", "0.000"),
            (_in(float(way.v_mps[i]), 2), ""),
        ))  # fmt: skip
    if not rows:
        return
    rows.sort(key=lambda row: row[0])
    lonlat = place.lonlat(np.array([row[1:3] for row in rows]))
    for (_, _, _, head, middle_part, tail), (lon, lat) in zip(rows, lonlat, strict=True):
        yield (device, trip, *head, *middle_part, _in(lat, 8), _in(lon, 8), rough, *tail)
