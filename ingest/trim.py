"""What a phone keeps to itself: both ends of every trip, before anything is sent.

Where a trip begins and ends is where somebody lives or works. A chunk is sent only when the trip has left its beginning
behind, and only once so much more was driven that the chunk cannot belong to the end. What is still held when the
trip ends is dropped. Numbers begin after the trimming, so that they do not tell how much that was.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from .chunk import Chunk, Fixes, Trimmed
from .city import City
from .redact import redact
from .refusal import Refused

_METRES_A_DEGREE = 111_320.0


@dataclass(frozen=True)
class TrimOptions:
    """distance_m, duration_s: held back at each end, both of them: the platform refuses less than 200 m and 60 s.

    standing_s: so long in one place ends the trip: shorter, and a traffic jam costs 400 m of road; longer, and a stop
    for a visit is driven through, and shows. step_m: places nearer to one another than this (or than twice the fix's
    own radius) are one place: less, and the wander of a parked phone's positions adds up to a drive; more, and the
    way round a block is cut short, and more is held back than need be. wild_mps: a fix that would need such a speed is
    left out; one false fix kilometres away would otherwise open a trip at its own front door. wild_fixes: so many of
    them in a row say that the place before was the false one, and the trip begins anew. held_s: what was held so
    long without being driven away from is dropped, which bounds the memory of a phone that circles a block.
    """

    distance_m: float = 200.0
    duration_s: float = 60.0
    standing_s: float = 300.0
    step_m: float = 15.0
    wild_mps: float = 50.0
    wild_fixes: int = 3
    held_s: float = 1800.0


@dataclass
class _Held:
    """A chunk that is not sent yet. known_s: the last moment that it tells of, context included; travelled_m: how far
    the trip had come by then, infinite while nobody knows."""

    chunk: Chunk
    known_s: float
    travelled_m: float


def _columns(fixes: Fixes, keep: NDArray[np.bool_]) -> Fixes:
    return Fixes(
        fixes.t_s[keep],
        fixes.lat_deg[keep],
        fixes.lon_deg[keep],
        fixes.accuracy_m[keep],
        fixes.speed_mps[keep],
        fixes.course_deg[keep],
    )


def without_before(chunk: Chunk, first_s: float) -> Chunk | None:
    """The chunk without any sample or fix from before ``first_s``, which lies no later than its start; None where no
    fix or sample is left."""
    skip = max(0, math.ceil((first_s - chunk.t0_s) * chunk.rate_hz - 1e-9))
    keep = chunk.fixes.t_s >= first_s
    if skip >= len(chunk.acc_counts) or not keep.any():
        return None
    laser, bands = chunk.laser, chunk.bands
    if laser is not None and laser.t0_s < first_s:
        n = math.ceil((first_s - laser.t0_s) * laser.rate_hz - 1e-9)
        rows = laser.height_counts[n:]
        laser = replace(laser, t0_s=laser.t0_s + n / laser.rate_hz, height_counts=rows) if len(rows) else None
    if bands is not None and bands.t0_s < first_s:
        n = math.ceil((first_s - bands.t0_s) / bands.step_s - 1e-9)
        levels = bands.level_db[n:]
        bands = replace(bands, t0_s=bands.t0_s + n * bands.step_s, level_db=levels) if len(levels) else None
    return replace(
        chunk,
        t0_s=chunk.t0_s + skip / chunk.rate_hz,
        acc_counts=chunk.acc_counts[skip:],
        gyro_counts=None if chunk.gyro_counts is None else chunk.gyro_counts[skip:],
        fixes=_columns(chunk.fixes, keep),
        laser=laser,
        bands=bands,
        detections=tuple(d for d in chunk.detections if d.t_s >= first_s),
    )


class Trimmer:
    """Takes a phone's chunks in order and gives those that may be sent, under trip ids and numbers of their own.

    day_of: service day of a moment. new_id: 8 to 32 hex digits for a trip of a day, random to everybody else. redact:
    the no-go areas of the city, applied to what is about to be sent; it raises `Refused` where nothing is left.
    """

    def __init__(
        self,
        day_of: Callable[[float], date],
        new_id: Callable[[date], str],
        options: TrimOptions = TrimOptions(),
        redact: Callable[[Chunk], Chunk] = lambda chunk: chunk,
    ) -> None:
        self._day_of, self._new_id, self._options, self._redact = day_of, new_id, options, redact
        self._begin()

    @classmethod
    def of_city(cls, city: City, new_id: Callable[[date], str]) -> Trimmer:
        """As a city wants it: its service days, and without what lies in its no-go areas."""
        return cls(city.service_day, new_id, redact=lambda chunk: redact(chunk, city))

    def _begin(self) -> None:
        """Forgets the trip, and with it everything that is held."""
        self._held: deque[_Held] = deque()
        self._trip, self._seq = "", 0
        self._day: date | None = None
        self._first_s: float | None = None  # when the phone was last found where it was switched on
        self._home: tuple[float, float] = (0.0, 0.0)
        self._anchor: tuple[float, float, float] = (0.0, 0.0, 0.0)  # a place and when the phone was last found there
        self._arrived_s = 0.0  # at the anchor
        self._travelled_m = 0.0
        self._open_s: float | None = None  # from here on the trip may be told
        self._wild = 0
        self._last_s = -math.inf

    def push(self, chunk: Chunk) -> list[Chunk]:
        """Takes the next chunk; gives those that have become sendable, in order."""
        if chunk.start_s - self._last_s > self._options.standing_s:
            self._begin()  # nothing was recorded for so long: the trip ended where it stopped
        self._last_s = chunk.end_s
        fixes = chunk.fixes
        at = np.flatnonzero((fixes.t_s >= chunk.start_s) & (fixes.t_s < chunk.end_s))
        # Only what a chunk owns moves the trip on: its context is the next one's own.
        for i in at.tolist():
            here = float(fixes.lat_deg[i]), float(fixes.lon_deg[i])
            self._move(float(fixes.t_s[i]), *here, float(fixes.accuracy_m[i]))
        if self._first_s is not None and self._last_s - self._arrived_s > self._options.standing_s:
            self._begin()
            return []
        known_s = max(chunk.measured_until_s, float(fixes.t_s[-1]), chunk.end_s)
        self._held.append(_Held(chunk, known_s, math.inf))
        return self._sendable()

    def _move(self, t_s: float, lat_deg: float, lon_deg: float, radius_m: float) -> None:
        o = self._options
        if radius_m > o.distance_m / 4:
            return  # of a receiver that does not know yet where it is
        if self._first_s is None:
            self._first_s, self._home = t_s, (lat_deg, lon_deg)
            self._anchor, self._arrived_s = (t_s, lat_deg, lon_deg), t_s
            return
        seen_s, anchor_lat, anchor_lon = self._anchor
        step_m = _apart_m(anchor_lat, anchor_lon, lat_deg, lon_deg)
        if step_m > max(t_s - seen_s, 1.0) * o.wild_mps + o.step_m:
            self._wild += 1
            if self._wild >= o.wild_fixes:
                last_s = self._last_s
                self._begin()
                self._last_s = last_s
                self._move(t_s, lat_deg, lon_deg, radius_m)
            return
        self._wild = 0
        if step_m <= max(o.step_m, 2 * radius_m):
            self._anchor = t_s, anchor_lat, anchor_lon
            if not self._travelled_m:
                self._first_s = t_s  # still at home: the trip begins when it leaves
        else:
            self._travelled_m += step_m
            self._anchor, self._arrived_s = (t_s, lat_deg, lon_deg), t_s
        away_m = _apart_m(*self._home, self._anchor[1], self._anchor[2])
        # As the crow flies as well: round one's own block is a drive of 200 m and still at home.
        far = min(self._travelled_m, away_m) >= o.distance_m
        if self._open_s is None and far and t_s - self._first_s >= o.duration_s:
            self._open_s = t_s

    def _sendable(self) -> list[Chunk]:
        o = self._options
        if self._open_s is None:
            self._held.clear()  # from before the trip was open: never to be sent
            return []
        for held in self._held:
            if held.travelled_m == math.inf and held.known_s <= self._anchor[0]:
                held.travelled_m = self._travelled_m
        out: list[Chunk] = []
        while self._held:
            first = self._held[0]
            begins_late = first.chunk.start_s >= self._open_s
            driven_on = self._travelled_m - first.travelled_m >= o.distance_m
            if begins_late and driven_on and self._arrived_s - first.known_s >= o.duration_s:
                out += self._told(first.chunk)
            elif begins_late and self._last_s - first.known_s <= o.held_s:
                break
            self._held.popleft()
        return out

    def _told(self, chunk: Chunk) -> list[Chunk]:
        """The chunk as it is sent, under the trip's next number; none where no-go areas leave nothing of it."""
        whole = without_before(chunk, self._open_s or chunk.t0_s)
        if whole is None:
            return []
        try:
            kept = self._redact(whole)
        except Refused:
            return []
        day = self._day_of(kept.start_s)
        if day != self._day:
            self._day, self._trip, self._seq = day, f"{day:%Y%m%d}-{self._new_id(day)}", 0
        self._seq += 1
        declared = Trimmed(self._options.distance_m, self._options.duration_s)
        return [replace(kept, trip=self._trip, seq=self._seq - 1, trimmed=declared)]


def _apart_m(lat0: float, lon0: float, lat1: float, lon1: float) -> float:
    """Distance of two places, metres; flat, which is good to a thousandth over some kilometres."""
    east = (lon1 - lon0) * _METRES_A_DEGREE * math.cos(math.radians(lat0))
    return math.hypot(east, (lat1 - lat0) * _METRES_A_DEGREE)


def trim(chunks: Iterable[Chunk], trimmer: Trimmer) -> Iterator[Chunk]:
    """The chunks of a phone that may be sent. What is held at the end is dropped: the trip ended there."""
    for chunk in chunks:
        yield from trimmer.push(chunk)
