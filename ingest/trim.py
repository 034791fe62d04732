"""What a phone keeps to itself: both ends of every trip, before anything is sent.

Where a trip begins and ends is where somebody lives or works. A chunk is sent only when the trip has left its beginning
behind, and only once the phone has gone on so far from it that the chunk cannot belong to the end, driven and as the
crow flies, and is that far from it at the moment. What is still held when the trip ends is dropped. Where trips of
this phone began or ended nothing is told later either, until the app ends: the way home comes back to where it began.
Numbers begin after the trimming, so that they do not tell how much that was.

What cannot be known while it happens: that a trip will end near something that was already sent. Whoever passes a door
that the phone has not stood at since the app began, gets farther from it than is held back, and comes round to it, has
sent the passing. Nor is a receiver found out that errs evenly, with small radii, and moves on without a leap.
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

_Place = tuple[float, float]
"""Latitude and longitude, degrees."""


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
    agreeing_fixes: so many fixes in a row, of small radius and without a leap, show where a phone is: fewer, and the
    false ones of a receiver just switched on do; more, and each gap in the reception costs road. sure_m: a radius above
    it is large: higher, and the place of a mast or a WLAN counts as seen; lower, and streets between high houses are
    never told. Phones' evidence needs 10 m. hop_m: a longer way from one fix to the next is a leap: shorter, and a fast
    road with a fix a second is one; longer, and a false place and the true one look like a drive. places: kept, around
    which nothing is told: fewer, and the morning's home is forgotten by evening; more costs time at each chunk.
    crow_m: once the trip is open, so far as the crow flies from those places, and from where the phone is when it is
    sent: less, and who circles a block before parking tells of the door. Only simulated drives on streets of 400 m have
    less, since nobody gets that far away from the middle of one.
    """

    distance_m: float = 200.0
    duration_s: float = 60.0
    standing_s: float = 300.0
    step_m: float = 15.0
    wild_mps: float = 50.0
    wild_fixes: int = 3
    held_s: float = 1800.0
    agreeing_fixes: int = 5
    sure_m: float = 20.0
    hop_m: float = 60.0
    places: int = 256
    crow_m: float = 200.0


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
        self._secret: deque[_Place] = deque(maxlen=options.places)  # where a trip began or ended: outlives the trip
        self._begin()

    @classmethod
    def of_city(cls, city: City, new_id: Callable[[date], str], options: TrimOptions = TrimOptions()) -> Trimmer:
        """As a city wants it: its service days, and without what lies in its no-go areas."""
        return cls(city.service_day, new_id, options, redact=lambda chunk: redact(chunk, city))

    def _begin(self) -> None:
        """Forgets the trip, and with it everything that is held; but not where it began and ended."""
        self._held: deque[_Held] = deque()
        self._trip, self._seq = "", 0
        self._day: date | None = None
        self._now: _Place | None = None
        self._lately: deque[_Place] = deque(maxlen=self._options.agreeing_fixes)  # in a row, sure and without a leap
        self._way: deque[tuple[float, float, _Place]] = deque()  # of late: when, how far it had come, where
        self._early = 0  # places of this trip at which it may have begun
        self._first_s = 0.0  # when the phone was last found where the trip may have begun
        self._anchor: tuple[float, float, float] = (0.0, 0.0, 0.0)  # a place and when the phone was last found there
        self._arrived_s = 0.0  # at the anchor
        self._travelled_m = 0.0
        self._open_s: float | None = None  # from here on the trip may be told
        self._wild = 0
        self._last_s = -math.inf

    def push(self, chunk: Chunk) -> list[Chunk]:
        """Takes the next chunk; gives those that have become sendable, in order."""
        if chunk.start_s - self._last_s > self._options.standing_s:
            self._end()  # nothing was recorded for so long: the trip ended where it stopped
        self._last_s = chunk.end_s
        fixes = chunk.fixes
        at = np.flatnonzero((fixes.t_s >= chunk.start_s) & (fixes.t_s < chunk.end_s))
        # Only what a chunk owns moves the trip on: its context is the next one's own.
        for i in at.tolist():
            here = float(fixes.lat_deg[i]), float(fixes.lon_deg[i])
            self._move(float(fixes.t_s[i]), *here, float(fixes.accuracy_m[i]))
        if self._now is not None and self._last_s - self._arrived_s > self._options.standing_s:
            self._end()
            return []
        if self._open_s is None or chunk.start_s < self._open_s:
            return []  # never to be sent
        known_s = max(chunk.measured_until_s, float(fixes.t_s[-1]), chunk.end_s)
        whole = without_before(chunk, self._open_s)
        if whole is not None and self._clear_of(whole.fixes, self._secret):
            self._held.append(_Held(whole, known_s, math.inf))
        return self._sendable()

    def _end(self) -> None:
        if self._now is not None:
            self._keep_secret(self._anchor[1:], 0.0)
        last_s = self._last_s
        self._begin()
        self._last_s = last_s

    def _move(self, t_s: float, lat_deg: float, lon_deg: float, radius_m: float) -> None:
        o, here = self._options, (lat_deg, lon_deg)
        if radius_m > o.distance_m / 4:
            return  # of a receiver that does not know yet where it is
        sure = radius_m <= o.sure_m
        if self._now is None:
            self._now, self._anchor, self._arrived_s = here, (t_s, *here), t_s
            if sure:
                self._lately.append(here)
            self._begins_at(t_s, here, radius_m)
            return
        seen_s, *anchor = self._anchor
        step_m = _apart_m(anchor[0], anchor[1], *here)
        if step_m > max(t_s - seen_s, 1.0) * o.wild_mps + o.step_m:
            self._wild += 1
            if self._wild >= o.wild_fixes:
                last_s = self._last_s
                self._begin()
                self._last_s = last_s
                self._move(t_s, lat_deg, lon_deg, radius_m)
            return
        self._wild = 0
        if not sure or _apart_m(*self._now, *here) > o.hop_m:
            self._lately.clear()
        if sure:
            self._lately.append(here)
        self._now = here
        moved = step_m > max(o.step_m, 2 * radius_m)
        if moved:
            self._travelled_m += step_m
            self._anchor, self._arrived_s = (t_s, *here), t_s
            self._way.append((t_s, self._travelled_m, here))
            while self._way[0][0] < t_s - o.duration_s:
                self._way.popleft()
        else:
            self._anchor = t_s, anchor[0], anchor[1]
        if self._open_s is None:
            self._leave(t_s, here, radius_m, moved)

    def _leave(self, t_s: float, here: _Place, radius_m: float, moved: bool) -> None:
        """Before the trip is open: it begins anew wherever the phone may have been at home, and opens once it is seen
        to drive, far from all those places. As the crow flies as well: round one's own block is a drive of 200 m and
        still at home."""
        o = self._options
        if len(self._lately) < o.agreeing_fixes:
            self._begins_at(t_s, here, radius_m)
        elif not moved:
            if not self._travelled_m or t_s - self._arrived_s >= o.duration_s:
                self._begins_at(t_s, self._anchor[1:], radius_m)
        else:
            driven = self._travelled_m >= o.distance_m and t_s - self._first_s >= o.duration_s
            away = all(_apart_m(*here, *place) >= o.distance_m for place in self._secret)
            if driven and away and self._early <= o.places:
                self._open_s = t_s

    def _begins_at(self, t_s: float, place: _Place, radius_m: float) -> None:
        self._first_s, self._travelled_m = t_s, 0.0
        self._way.clear()
        self._early += self._keep_secret(place, radius_m)

    def _keep_secret(self, place: _Place, radius_m: float) -> bool:
        """Whether the place was not yet kept: what wanders within its own radius is one place."""
        apart_m = max(self._options.distance_m / 40, radius_m / 2)
        new = all(_apart_m(*place, *known) > apart_m for known in self._secret)
        if new:
            self._secret.append(place)
        return new

    def _roundabout_m(self) -> float:
        """How far from the straight line the way of late can have led: half of what it was longer. No place of it lies
        farther behind the phone, and one who looks for a place to park ends at one of them."""
        if not self._way:
            return 0.0
        (_, begun_m, begun), (_, come_m, come) = self._way[0], self._way[-1]
        return max(0.0, come_m - begun_m - _apart_m(*begun, *come)) / 2

    def _clear_of(self, fixes: Fixes, places: Iterable[_Place], more_m: float = 0.0) -> bool:
        """Whether all fixes lie as far from all the places as they must, as the crow flies, and ``more_m``."""
        if not self._options.crow_m:
            return True
        there = np.array(list(places), dtype=np.float64).reshape(-1, 1, 2)
        north = (fixes.lat_deg - there[..., 0]) * _METRES_A_DEGREE
        east = (fixes.lon_deg - there[..., 1]) * _METRES_A_DEGREE * np.cos(np.radians(there[..., 0]))
        return bool((np.hypot(east, north) >= self._options.crow_m + more_m).all())

    def _sendable(self) -> list[Chunk]:
        o = self._options
        for held in self._held:
            if held.travelled_m == math.inf and held.known_s <= self._anchor[0]:
                held.travelled_m = self._travelled_m
        # Where the phone may be by now: a false fix far away alone does not take it there.
        here = [*self._lately, self._anchor[1:], *([self._now] if self._now else [])]
        seen = len(self._lately) == o.agreeing_fixes
        round_m = self._roundabout_m()
        out: list[Chunk] = []
        while self._held:
            first = self._held[0]
            driven_on = seen and self._travelled_m - first.travelled_m >= o.distance_m
            late = self._arrived_s - first.known_s >= o.duration_s
            if driven_on and late and self._clear_of(first.chunk.fixes, here, round_m):
                out += self._told(first.chunk)
            elif self._last_s - first.known_s <= o.held_s:
                break
            self._held.popleft()
        return out

    def _told(self, chunk: Chunk) -> list[Chunk]:
        """The chunk as it is sent, under the trip's next number; none where no-go areas leave nothing of it."""
        try:
            kept = self._redact(chunk)
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
