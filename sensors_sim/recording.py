"""From one run's recording to the chunks that a device publishes: 5 s owned each, with context on both sides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk, City, Detection, Fixes

from .surface import LaneSurface
from .truth import Metres, Place, Street, Truth, lane_centre_m
from .vehicle import LEAD_S, ROAD_HZ, Drive, Motion

OWNED_S = 5.0
CONTEXT_S = 2.0
"""Of samples, each side. The platform asks for 1.5 s; less and its filters start inside what they judge."""
FIX_CONTEXT_S = 2.5
"""A phone has one fix a second: this much holds two on each side."""
SHORTEST_S = 0.5
"""The wire format takes no shorter owned interval; what is left at a run's end joins the chunk before."""
RADIUS68 = math.sqrt(-2 * math.log(1 - 0.68))
"""Radius that holds 68 % of a round two-dimensional normal distribution, over its sigma per axis: 1.51."""
_LARGEST = 32767


@dataclass(frozen=True, eq=False)
class Recording:
    """What one device recorded in one run. Samples from t0_s on; axes and scales as in a chunk."""

    t0_s: float
    rate_hz: float
    carrier: str
    acc_scale_mps2: float
    acc_counts: NDArray[np.int16]
    gyro_scale_radps: float
    gyro_counts: NDArray[np.int16]
    fixes: Fixes
    detections: tuple[Detection, ...] = ()

    @property
    def end_s(self) -> float:
        """Time of the last sample."""
        return self.t0_s + (len(self.acc_counts) - 1) / self.rate_hz


@dataclass(frozen=True, eq=False)
class Run:
    """Where a device truly was: a drive through a lane of a street, from t0_s on."""

    truth: Truth
    surface: LaneSurface
    drive: Drive
    t0_s: float

    @property
    def street(self) -> Street:
        """The street driven."""
        return self.truth.streets[self.surface.street]

    @property
    def place(self) -> Place:
        """The local plane."""
        return self.truth.place

    @property
    def course_deg(self) -> float:
        """Clockwise from north, of the lane."""
        return (self.street.course_deg + (180 if self.surface.lane == "backward" else 0)) % 360

    def on_lane(self, s_m: Metres, y_m: Metres) -> NDArray[np.float64]:
        """Local x, y (m), float64 (..., 2), of points s_m along and y_m left of the lane."""
        if self.surface.lane == "backward":
            return self.street.xy(self.street.length_m - s_m, lane_centre_m("backward") - y_m)
        return self.street.xy(s_m, lane_centre_m("forward") + y_m)

    def at(self, t_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """True local position float64 (m, 2) and speed float64 (m,) at unix times within the run."""
        grid = np.arange(len(self.drive.s_m)) / ROAD_HZ
        s, y, v = (np.interp(t_s - self.t0_s, grid, x) for x in (self.drive.s_m, self.drive.y_m, self.drive.v_mps))
        return self.on_lane(s, y), v

    def ticks(self, rate_hz: float) -> NDArray[np.float64]:
        """The moments of a GNSS receiver in this run: whole multiples of 1 / rate_hz of unix time."""
        first = math.ceil(self.t0_s * rate_hz - 1e-6)
        last = math.floor((self.t0_s + self.drive.duration_s) * rate_hz + 1e-6)
        return np.arange(first, last + 1) / rate_hz


def counts(values: NDArray[np.float64], scale: float) -> NDArray[np.int16]:
    """Values as a converter of 16 bits gives them: rounded, clipped at its range."""
    return np.clip(np.rint(values / scale), -_LARGEST, _LARGEST).astype(np.int16)


def turned(motion: Motion, axes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Force and rate in a device whose axes are the rows of ``axes`` (3, 3), in vehicle axes."""
    return motion.force_mps2 @ axes.T, motion.rate_radps @ axes.T


def fix_columns(
    run: Run, t_s: NDArray[np.float64], error_m: NDArray[np.float64], accuracy_m: float, rng: np.random.Generator
) -> Fixes:
    """Fixes at t_s (m,) with the errors (m, 2) east and north; speed within 0.1 m/s, course within 1 degree."""
    xy, v = run.at(t_s)
    xy = xy + error_m
    lonlat = run.place.lonlat(xy)
    course = (run.course_deg + rng.normal(0, 1, len(t_s))) % 360
    return Fixes(
        t_s=t_s,
        lat_deg=np.ascontiguousarray(lonlat[:, 1]),
        lon_deg=np.ascontiguousarray(lonlat[:, 0]),
        accuracy_m=np.full(len(t_s), accuracy_m, np.float32),
        speed_mps=np.maximum(v + rng.normal(0, 0.1, len(t_s)), 0).astype(np.float32),
        course_deg=course.astype(np.float32) % np.float32(360),
    )


class Numbering:
    """Names a trip and numbers its chunks.

    A trip's id holds the service day on which its chunks start; one that drives on past the day's start goes on under a
    new id, from 0.
    """

    def __init__(self, city: City, rng: np.random.Generator) -> None:
        self._city = city
        self._rng = rng
        self.datum = city.frame.lower()
        """The simulated streets lie in the city's own frame, as a receiver with its correction service gives them."""
        self._day: date | None = None
        self._trip = ""
        self._seq = 0

    def next(self, start_s: float) -> tuple[str, int]:
        """Trip id and sequence number of a chunk that starts at ``start_s``."""
        day = self._city.service_day(start_s)
        if day != self._day:
            self._day, self._seq = day, 0
            self._trip = f"{day:%Y%m%d}-{self._rng.bytes(8).hex()}"
        self._seq += 1
        return self._trip, self._seq - 1


def _between(fixes: Fixes, first_s: float, last_s: float) -> Fixes:
    keep = slice(int(np.searchsorted(fixes.t_s, first_s)), int(np.searchsorted(fixes.t_s, last_s, side="right")))
    return Fixes(
        fixes.t_s[keep],
        fixes.lat_deg[keep],
        fixes.lon_deg[keep],
        fixes.accuracy_m[keep],
        fixes.speed_mps[keep],
        fixes.course_deg[keep],
    )


def cut(recording: Recording, numbering: Numbering) -> Iterator[Chunk]:
    """The chunks of a recording, in order. Its first and last LEAD_S are owned by none and are context only, so that
    every chunk has all of its context."""
    begin, end = recording.t0_s + LEAD_S, recording.end_s - LEAD_S
    edges = [*np.arange(begin, end - SHORTEST_S, OWNED_S).tolist(), end]
    rate = recording.rate_hz
    for start_s, end_s in pairwise(edges):
        first = math.floor((start_s - CONTEXT_S - recording.t0_s) * rate)
        last = math.ceil((end_s + CONTEXT_S - recording.t0_s) * rate) + 1
        trip, seq = numbering.next(start_s)
        yield Chunk(
            trip=trip,
            seq=seq,
            start_s=start_s,
            end_s=end_s,
            t0_s=recording.t0_s + first / rate,
            rate_hz=rate,
            carrier=recording.carrier,
            origin="simulated",
            datum=numbering.datum,
            acc_scale_mps2=recording.acc_scale_mps2,
            acc_counts=recording.acc_counts[first:last],
            gyro_scale_radps=recording.gyro_scale_radps,
            gyro_counts=recording.gyro_counts[first:last],
            fixes=_between(recording.fixes, start_s - FIX_CONTEXT_S, end_s + FIX_CONTEXT_S),
            detections=tuple(d for d in recording.detections if start_s <= d.t_s < end_s),
        )
