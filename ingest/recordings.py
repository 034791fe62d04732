"""Real drives as chunks: a folder of recordings of a phone in a car (columns as the `phyphox` app writes them), one
drive a folder with Accelerometer, Gyroscope and Location files.

A recording is old and from elsewhere: it is moved in time so that it ends now, and in space so that it starts at the
city's centre, both as a whole. Its origin stays `replay`.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .chunk import UNKNOWN, Chunk, Fixes
from .city import City
from .trim import Trimmer, trim

OWNED_S = 5.0
CONTEXT_S = 2.0
_ACC_SCALE = 1 / 256  # m/s² a count: 128 m/s² fit in 16 bits, rounding stays under the sensor's own noise
_GYRO_SCALE = 1 / 2048
_NAMES = ("Accelerometer", "Gyroscope", "Location")


class RecordingError(ValueError):
    """A folder is not a recording; the text says which file and what is wrong with it."""


@dataclass(frozen=True, eq=False)
class Drive:
    """A drive as recorded: acc_mps2, gyro_radps float64 (n, 3) at rate_hz from t0_s; fixes on the same clock."""

    name: str
    rate_hz: float
    t0_s: float
    acc_mps2: NDArray[np.float64]
    gyro_radps: NDArray[np.float64]
    fixes: Fixes

    @property
    def duration_s(self) -> float:
        """Length in time."""
        return len(self.acc_mps2) / self.rate_hz


def _table(folder: Path, name: str, columns: int, needed: Sequence[int]) -> NDArray[np.float64]:
    """Rows of a file, those left out that lack a needed column; the first column is a clock and rises."""
    for path in (folder / f"{name}.csv.gz", folder / f"{name}.csv"):
        if path.is_file():
            try:
                with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
                    rows = [row[:columns] for row in csv.reader(file) if row][1:]
                table = np.array(rows, dtype=np.float64)
            except (OSError, ValueError, EOFError, zlib.error, csv.Error) as error:
                raise RecordingError(f"{path.name} of {folder.name} cannot be read: {error}") from None
            if table.ndim != 2 or table.shape[1] != columns or len(table) < 2:
                raise RecordingError(f"{path.name} of {folder.name} has not {columns} columns and two rows")
            table = table[np.isfinite(table[:, list(needed)]).all(axis=1)]
            table = table[np.r_[True, np.diff(table[:, 0]) > 1e-6]] if len(table) else table
            if len(table) < 2:
                raise RecordingError(f"{path.name} of {folder.name} holds no two good rows one after another in time")
            return table
    raise RecordingError(f"{folder} holds no {name}.csv.gz: a drive is a folder with {', '.join(_NAMES)}")


def drives_in(folder: Path) -> list[Path]:
    """The drives below a folder, itself included when it is one, by name. Raises RecordingError when there is none."""
    patterns = ("Accelerometer.csv*", "*/Accelerometer.csv*", "*/*/Accelerometer.csv*")
    found = sorted({p.parent for pattern in patterns for p in folder.glob(pattern)})
    if not found:
        raise RecordingError(f"{folder} holds no drive: expected folders with {', '.join(_NAMES)} as .csv or .csv.gz")
    return found


def read_drive(folder: Path) -> Drive:
    """A drive from its folder. The gyroscope is laid on the accelerometer's clock; fixes without a speed are kept with
    speed unknown. Raises RecordingError."""
    acc, gyro = (_table(folder, n, 4, range(4)) for n in _NAMES[:2])
    fix = _table(folder, _NAMES[2], 7, (0, 1, 2, 6))
    t = acc[:, 0]
    rate_hz = round(1 / float(np.median(np.diff(t))), 3)
    even = np.arange(t[0], t[-1], 1 / rate_hz)  # one clock: phones drift by microseconds from sample to sample

    def laid(table: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.interp(even, table[:, 0], table[:, k]) for k in (1, 2, 3)], axis=1)

    fix = fix[np.r_[True, np.diff(fix[:, 0]) > 1e-3]]
    fixes = Fixes(
        t_s=fix[:, 0],
        lat_deg=fix[:, 1],
        lon_deg=fix[:, 2],
        accuracy_m=fix[:, 6].astype(np.float32),
        speed_mps=np.where(fix[:, 4] >= 0, fix[:, 4], UNKNOWN).astype(np.float32),
        course_deg=np.where(fix[:, 5] >= 0, fix[:, 5], UNKNOWN).astype(np.float32),
    )
    return Drive(folder.name, rate_hz, float(t[0]), laid(acc), laid(gyro), fixes)


def shuffled(drive: Drive, seed: int) -> Drive:
    """The same drive with its samples in random order: the same noise and bumps, but no bump keeps its shape."""
    order = np.random.default_rng(seed).permutation(len(drive.acc_mps2))
    acc, gyro = drive.acc_mps2[order], drive.gyro_radps[order]
    return replace(drive, name=f"{drive.name} shuffled", acc_mps2=acc, gyro_radps=gyro)


def _moved(fixes: Fixes, city: City, north_m: float) -> Fixes:
    """Fixes moved so that the first lies ``north_m`` north of the city's centre; distances stay true."""
    lon0, lat0 = city.centre_deg
    lat0 = lat0 + north_m / 111_320.0
    shrink = np.cos(np.radians(fixes.lat_deg[0])) / np.cos(np.radians(lat0))
    return replace(
        fixes,
        lat_deg=fixes.lat_deg - fixes.lat_deg[0] + lat0,
        lon_deg=(fixes.lon_deg - fixes.lon_deg[0]) * shrink + lon0,
    )


def chunks_of(drive: Drive, city: City, end_s: float, device: str, north_m: float = 400.0) -> Iterator[Chunk]:
    """The drive's chunks, as a phone in a car would have sent them, moved in time to end at ``end_s``: without the ends
    of each trip in it (`Trimmer`), so that a drive of a few hundred metres gives none.

    Trip ids are derived from device, drive and day, so that a replay sent again is the same trip. Where the drive
    crosses the start of a service day, or after a long stop, a new trip begins.
    """
    begun: dict[date, int] = {}

    def new_id(day: date) -> str:
        begun[day] = begun.get(day, -1) + 1
        return hashlib.sha256(f"{device}/{drive.name}/{day:%Y%m%d}/{begun[day]}".encode()).hexdigest()[:16]

    yield from trim(recorded(drive, city, end_s, north_m), Trimmer.of_city(city, new_id))


def recorded(drive: Drive, city: City, end_s: float, north_m: float = 400.0) -> Iterator[Chunk]:
    """All of a drive as chunks, the ends included, as a phone's sensors give them to its own trimming; nobody sends
    these. One trip a service day."""
    shift_s = end_s - drive.duration_s - drive.t0_s
    fixes = _moved(drive.fixes, city, north_m)
    n = len(drive.acc_mps2)
    first_s = max(drive.t0_s, float(fixes.t_s[0]))
    last_s = min(drive.t0_s + drive.duration_s, float(fixes.t_s[-1]))
    seqs: dict[str, int] = {}
    start_s = first_s
    while start_s + OWNED_S <= last_s:
        stop_s = start_s + OWNED_S
        a = max(0, int((start_s - CONTEXT_S - drive.t0_s) * drive.rate_hz))
        b = min(n, int((stop_s + CONTEXT_S - drive.t0_s) * drive.rate_hz) + 1)
        near = (fixes.t_s >= start_s - CONTEXT_S) & (fixes.t_s <= stop_s + CONTEXT_S)
        at = np.flatnonzero(near)
        if not len(at):  # a tunnel: no device would know where it was, and send nothing
            start_s = stop_s
            continue
        near[max(0, at[0] - 1) : at[-1] + 2] = True
        day = f"{city.service_day(start_s + shift_s):%Y%m%d}"
        trip = f"{day}-{hashlib.sha256(f'{drive.name}/{day}'.encode()).hexdigest()[:16]}"
        seqs[trip] = seqs.get(trip, -1) + 1
        yield Chunk(
            trip=trip,
            seq=seqs[trip],
            start_s=start_s + shift_s,
            end_s=stop_s + shift_s,
            t0_s=drive.t0_s + a / drive.rate_hz + shift_s,
            rate_hz=drive.rate_hz,
            carrier="car",
            origin="replay",
            datum="wgs84",
            acc_scale_mps2=_ACC_SCALE,
            acc_counts=_counts(drive.acc_mps2[a:b], _ACC_SCALE),
            gyro_scale_radps=_GYRO_SCALE,
            gyro_counts=_counts(drive.gyro_radps[a:b], _GYRO_SCALE),
            fixes=Fixes(
                fixes.t_s[near] + shift_s,
                fixes.lat_deg[near],
                fixes.lon_deg[near],
                fixes.accuracy_m[near],
                fixes.speed_mps[near],
                fixes.course_deg[near],
            ),
        )
        start_s = stop_s


def _counts(values: NDArray[np.float64], scale: float) -> NDArray[np.int16]:
    return np.clip(np.rint(values / scale), -32768, 32767).astype(np.int16)
