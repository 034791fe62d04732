"""Real recordings from a folder: labelled clips of vertical acceleration (González and others, IEEE T-ITS 18(11),
2017), car trips with marked potholes (Pittsburgh 2017) and drives with one grade each (Mészáros, Győr 2020).

A folder may lack a part, and each file may be plain or gzipped, with a byte order mark, blank lines and missing values.
What is half there or not understood is refused by name.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest import recordings

Series = NDArray[np.float64]
_GRADE = re.compile(r"_q(\d)(?:_|$)")
_SENSORS = ("timestamp", "speed", *(f"accelerometer{a}" for a in "XYZ"), *(f"gyro{a}" for a in "XYZ"))


class RealDataError(ValueError):
    """Recordings cannot be used; the text names the file, says what is wrong and what was expected."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One labelled clip. group: clips of one group are near-duplicates. acc_mps2: (n,) vertical with gravity, 50 Hz."""

    name: str
    label: str
    group: str
    acc_mps2: Series


@dataclass(frozen=True, eq=False)
class Trip:
    """One trip with marked potholes: t_s unix seconds (n,), acc_g (n, 3) with gravity, gyro_radps (n, 3), speed_mps
    (n,), lat_deg, lon_deg (n,; NaN where unknown), marks_s: when somebody in the car marked a pothole."""

    name: str
    t_s: Series
    acc_g: NDArray[np.float64]
    gyro_radps: NDArray[np.float64]
    speed_mps: Series
    lat_deg: Series
    lon_deg: Series
    marks_s: Series


@dataclass(frozen=True, eq=False)
class GradedDrive:
    """A drive over road of one grade: 1 good, 2 medium, 3 bad."""

    grade: int
    drive: recordings.Drive


@dataclass(frozen=True, eq=False)
class Recordings:
    """What a folder holds; a part it lacks is empty."""

    folder: Path
    clips: tuple[Clip, ...]
    trips: tuple[Trip, ...]
    drives: tuple[GradedDrive, ...]


def read_recordings(folder: Path) -> Recordings:
    """All recordings below ``folder`` (gonzalez2017, pittsburgh, meszaros). Raises RealDataError, also when the folder
    holds none of the three."""
    if not folder.is_dir():
        raise RealDataError(f"{folder} is no folder: expected one with gonzalez2017, pittsburgh or meszaros in it")
    found = Recordings(folder, read_clips(folder), read_trips(folder), read_drives(folder))
    if not (found.clips or found.trips or found.drives):
        raise RealDataError(
            f"{folder} holds no recordings: expected gonzalez2017/clips.csv.gz, pittsburgh/*_sensors.csv.gz with "
            "*_potholes.csv.gz, or meszaros/*/Accelerometer.csv.gz"
        )
    return found


def read_clips(folder: Path) -> tuple[Clip, ...]:
    """The clips below ``folder``/gonzalez2017, by name; () where there are none. Raises RealDataError."""
    clips: dict[str, Clip] = {}
    for path in _files(folder / "gonzalez2017", "clips"):
        for clip in read_clip_file(path):
            if clip.name in clips:
                raise RealDataError(f"{path}: clip {clip.name} stands in another file too; keep it in one")
            clips[clip.name] = clip
    return tuple(clips[name] for name in sorted(clips))


def read_clip_file(path: Path) -> tuple[Clip, ...]:
    """The clips of one file with the columns clip, label, group, i, acc_z. Samples are ordered by i, those without a
    value are laid between their neighbours. Raises RealDataError."""
    rows: dict[str, tuple[str, str, list[tuple[float, float]]]] = {}
    for number, (name, label, group, i, acc) in _rows(path, ("clip", "label", "group", "i", "acc_z")):
        if not name or not label or not group:
            raise RealDataError(f"{path}, line {number}: a sample without clip, label or group")
        known = rows.setdefault(name, (label, group, []))
        if known[:2] != (label, group):
            raise RealDataError(f"{path}, line {number}: clip {name} has two labels or groups")
        known[2].append((_number(path, number, i), _number(path, number, acc)))
    if not rows:
        raise RealDataError(f"{path} holds no samples")
    clips = []
    for name, (label, group, samples) in sorted(rows.items()):
        table = np.array(samples)
        table = table[np.argsort(table[:, 0], kind="stable")]
        good = np.isfinite(table).all(axis=1)
        if good.sum() < 16:  # less is no bump: a third of a second
            raise RealDataError(f"{path}: clip {name} has {int(good.sum())} samples with a value, 16 are needed")
        at, acc = table[good, 0], table[good, 1]
        even = np.arange(at[0], at[-1] + 0.5)
        clips.append(Clip(name, label, group, np.interp(even, at, acc)))
    return tuple(clips)


def read_trips(folder: Path) -> tuple[Trip, ...]:
    """The trips below ``folder``/pittsburgh, by name; () where there are none. Raises RealDataError."""
    below = folder / "pittsburgh"
    sensors = {_stem(p).removesuffix("_sensors"): p for p in _files(below, "sensors")}
    marks = {_stem(p).removesuffix("_potholes"): p for p in _files(below, "potholes")}
    for name in sorted(set(sensors) ^ set(marks)):
        lacks = "potholes" if name in sensors else "sensors"
        raise RealDataError(f"{below} has no {name}_{lacks}.csv or .csv.gz: a trip is a pair of files")
    return tuple(_trip(name, sensors[name], marks[name]) for name in sorted(sensors))


def _trip(name: str, sensors: Path, potholes: Path) -> Trip:
    columns = (*_SENSORS, "latitude", "longitude")
    table = np.array(
        [[_number(sensors, n, v) for v in row] for n, row in _rows(sensors, columns)], dtype=np.float64
    ).reshape(-1, len(columns))
    table = table[np.isfinite(table[:, [0, 2, 3, 4]]).all(axis=1)]
    table = table[np.argsort(table[:, 0], kind="stable")]
    if len(table) < 20:
        raise RealDataError(f"{sensors} has {len(table)} rows with time and acceleration, 20 are needed")
    marks = [_number(potholes, n, v) for n, (v,) in _rows(potholes, ("timestamp",))]
    gravity = np.median(np.linalg.norm(table[:, 2:5], axis=1))
    if not 0.5 < gravity < 2.0:
        raise RealDataError(f"{sensors}: gravity is {gravity:.2f} of the expected 1 g; accelerations are wanted in g")
    for column in (1, 5, 6, 7):
        table[:, column] = _filled(table[:, column])
    return Trip(
        name=name,
        t_s=spread_seconds(table[:, 0]),
        acc_g=table[:, 2:5],
        gyro_radps=table[:, 5:8],
        speed_mps=np.maximum(table[:, 1], 0.0),
        lat_deg=table[:, 8],
        lon_deg=table[:, 9],
        marks_s=np.array(sorted(m for m in marks if np.isfinite(m)), dtype=np.float64),
    )


def spread_seconds(t_s: Series) -> Series:
    """Times (n,), rising: where all are whole seconds, rows of one second are spread evenly inside it; others are
    returned as they are."""
    if len(t_s) < 2 or (t_s % 1.0 != 0.0).any() or (np.diff(t_s) > 0).all():
        return t_s
    _, first, counts = np.unique(t_s, return_index=True, return_counts=True)
    within = np.arange(len(t_s)) - np.repeat(first, counts)
    return np.asarray(t_s + within / np.repeat(counts, counts), dtype=np.float64)


def read_drives(folder: Path) -> tuple[GradedDrive, ...]:
    """The drives below ``folder``/meszaros, by name; their grade is in it (rsq_q3_00: 3). () where there are none.
    Raises RealDataError."""
    below = folder / "meszaros"
    if not below.is_dir():
        return ()
    try:
        folders = recordings.drives_in(below)
    except recordings.RecordingError:
        if any(p.is_dir() for p in below.iterdir()):
            raise RealDataError(f"{below} holds no drive: expected folders with Accelerometer.csv.gz") from None
        return ()
    drives = []
    for path in folders:
        grade = _GRADE.search(path.name)
        if grade is None:
            raise RealDataError(f"{path}: its name tells no grade; expected one like rsq_q3_00")
        try:
            drives.append(GradedDrive(int(grade.group(1)), recordings.read_drive(path)))
        except recordings.RecordingError as error:
            raise RealDataError(f"{path}: {error}") from None
    return tuple(drives)


def _files(folder: Path, ending: str) -> list[Path]:
    """Files of a folder whose name ends with ``ending``.csv or .csv.gz, by name; of a pair the gzipped one."""
    if not folder.is_dir():
        return []
    there = [p for p in sorted(folder.glob(f"*{ending}.csv*")) if p.name.endswith((".csv", ".csv.gz"))]
    found = {_stem(p): p for p in there}
    return [found[name] for name in sorted(found)]


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".csv")


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of the wanted columns, row by row; blank lines are left out. Raises RealDataError."""
    try:
        with gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(
            encoding="utf-8-sig"
        ) as file:
            reader = csv.reader(file)
            head: dict[str, int] | None = None
            for row in reader:
                if not any(value.strip() for value in row):
                    continue
                if head is None:
                    head = {value.strip(): k for k, value in enumerate(row)}
                    lacking = [c for c in columns if c not in head]
                    if lacking:
                        raise RealDataError(f"{path} lacks the column {', '.join(lacking)}; it has {', '.join(head)}")
                    at = [head[c] for c in columns]
                    continue
                if len(row) <= max(at):
                    raise RealDataError(f"{path}, line {reader.line_num}: {len(row)} values, {len(head)} were expected")
                yield reader.line_num, [row[k].strip() for k in at]
            if head is None:
                raise RealDataError(f"{path} is empty; expected the columns {', '.join(columns)}")
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise RealDataError(f"{path} cannot be read: {error}") from None


def _number(path: Path, line: int, value: str) -> float:
    """A number; NaN where nothing stands. Raises RealDataError."""
    try:
        number = float(value) if value else float("nan")
    except ValueError:
        raise RealDataError(f"{path}, line {line}: {value[:40]!r} is not a number") from None
    return number if np.isfinite(number) else float("nan")


def _filled(values: Series) -> Series:
    """Gaps laid between their neighbours; 0 where nothing is known."""
    good = np.isfinite(values)
    at = np.arange(len(values))
    return np.interp(at, at[good], values[good]) if good.any() else np.zeros(len(values))
