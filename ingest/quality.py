"""Is a well-formed chunk one that this city can use? Checks that need the city, the device's kind and the time of now;
a chunk passes whole or is refused by name."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .chunk import Chunk
from .city import City
from .datum import to_frame
from .refusal import Reason, Refused

LATE_S = 48 * 3600.0
"""How old a chunk may be: a bus that comes to the depot after a night without network still counts; longer would keep
every day open that much longer (a day is sealed when nothing can come any more)."""
AHEAD_S = 120.0
"""How far a device's clock may be ahead. GNSS time is exact; two minutes forgive a phone that lost it."""
MIN_RATE_HZ = {"box": 100.0, "phone": 40.0}
"""At 50 Hz a pothole keeps 93 % of its peak, at 25 Hz 55 %: below 40 Hz silence would say nothing."""
MOST_SAMPLES = 20_000
"""A minute at 300 Hz. Twice as many take half a second to observe, and one such box would hold up a city's verdicts."""
LEAST_TRIM_M, LEAST_TRIM_S = 200.0, 60.0
"""What a phone holds back at each end of a trip. Less, and an end lies a few doors from a home; more costs the road on
which short trips are driven: of 3 km each further 100 m at both ends costs 7 %."""
_RATE_SLACK = 0.99  # a phone's nominal 100 Hz is 99.6: the crystal, not a slower setting
_EDGE_S = 1.5
"""How far a fix or sample may be from the ends of what the chunk owns; 1 Hz fixes are never farther than 1 s."""
_ZONE_REACH_DEG = 4.4
"""Degrees from the central meridian: 3 are the zone's own, and a city that lies on both sides of a border fits. At 4.5
the easting falls below zero at the equator, where a square has no number."""


def inside(
    lon: NDArray[np.float64], lat: NDArray[np.float64], ring: tuple[tuple[float, float], ...]
) -> NDArray[np.bool_]:
    """Which points lie in a closed ring (even-odd rule), bool (n,)."""
    found = np.zeros(len(lon), dtype=bool)
    for (x0, y0), (x1, y1) in pairwise(ring):
        if y0 != y1:
            crosses = (y0 > lat) != (y1 > lat)
            found ^= crosses & (lon < (x1 - x0) * (lat - y0) / (y1 - y0) + x0)
    return found


def _as_a_phone_must(chunk: Chunk) -> None:
    """Refuses what only a box may send, and what does not say that the ends of its trip stay on the phone."""
    if chunk.quiet is not None:
        raise Refused(Reason.SUMMARY_NOT_TAKEN, "a phone sent a summary")
    trimmed = chunk.trimmed
    if trimmed is None:
        raise Refused(Reason.NOT_TRIMMED, "trimmed is missing")
    if trimmed.distance_m < LEAST_TRIM_M or trimmed.duration_s < LEAST_TRIM_S:
        raise Refused(Reason.NOT_TRIMMED, f"{trimmed.distance_m:g} m and {trimmed.duration_s:g} s are held back")


def admit(chunk: Chunk, kind: str, city: City, now_s: float) -> None:
    """Returns if the chunk is taken; raises `Refused` otherwise.

    ``kind`` is the device's: box or phone. ``now_s`` is unix time.
    """
    if chunk.origin not in city.origins:
        raise Refused(Reason.ORIGIN_NOT_TAKEN, f"origin {chunk.origin}, this instance takes {', '.join(city.origins)}")
    if chunk.end_s > now_s + AHEAD_S:
        raise Refused(Reason.CLOCK, f"ends {chunk.end_s - now_s:.0f} s from now")
    if chunk.start_s < now_s - LATE_S:
        raise Refused(Reason.TOO_LATE, f"began {(now_s - chunk.start_s) / 3600:.1f} h ago")
    day = f"{city.service_day(chunk.start_s):%Y%m%d}"
    if chunk.trip[:8] != day:
        raise Refused(Reason.BAD_TRIP, f"the trip names day {chunk.trip[:8]}, the chunk starts on service day {day}")
    if chunk.datum == "unknown":
        raise Refused(Reason.UNKNOWN_DATUM, "datum is unknown")
    if kind == "phone":
        _as_a_phone_must(chunk)
    least = MIN_RATE_HZ[kind]
    if chunk.rate_hz < least * _RATE_SLACK:
        raise Refused(Reason.RATE_TOO_LOW, f"{chunk.rate_hz:g} Hz, a {kind} needs {least:g}")
    if len(chunk.acc_counts) > MOST_SAMPLES:
        raise Refused(Reason.WRONG_LENGTH, f"{len(chunk.acc_counts)} samples, at most {MOST_SAMPLES} are taken at once")
    last_sample_s = chunk.measured_until_s
    fixes = chunk.fixes
    if chunk.t0_s > chunk.start_s + _EDGE_S or last_sample_s < chunk.end_s - _EDGE_S:
        raise Refused(Reason.NOT_COVERED, "the samples do not cover what the chunk owns")
    if last_sample_s - chunk.t0_s > chunk.end_s - chunk.start_s + 60:
        raise Refused(Reason.NOT_COVERED, "the samples reach more than a minute beyond what the chunk owns")
    if float(fixes.t_s[0]) > chunk.start_s + _EDGE_S or float(fixes.t_s[-1]) < chunk.end_s - _EDGE_S:
        raise Refused(Reason.NOT_COVERED, "the fixes do not cover what the chunk owns")
    meridian_deg = city.utm_zone * 6.0 - 183.0
    if city.no_go:
        fix_lon, fix_lat, _ = to_frame(fixes.lon_deg, fixes.lat_deg, chunk.datum, city.frame)
        # The way between two fixes counts too: at 30 m/s and a fix a second, a step is 1.5 m.
        step = np.linspace(0, len(fix_lon) - 1, 20 * (len(fix_lon) - 1) + 1)
        number = np.arange(len(fix_lon))
        way = np.interp(step, number, fix_lon), np.interp(step, number, fix_lat)
        seen_lon, seen_lat, _ = to_frame(
            np.array([d.lon_deg for d in chunk.detections]), np.array([d.lat_deg for d in chunk.detections]),
            chunk.datum, city.frame,
        )  # fmt: skip
        for area in city.no_go:
            if bool(inside(*way, area.ring_deg).any() or inside(seen_lon, seen_lat, area.ring_deg).any()):
                raise Refused(Reason.NO_GO, area.name)
    for lon in (float(fixes.lon_deg.min()), float(fixes.lon_deg.max())):
        if abs(lon - meridian_deg) > _ZONE_REACH_DEG:
            raise Refused(Reason.OUTSIDE_CITY, f"longitude {lon:.3f}, the zone's meridian is {meridian_deg:g}")
    south, north = float(fixes.lat_deg.min()), float(fixes.lat_deg.max())
    if south < 0 if city.utm_north else north >= 0:
        raise Refused(Reason.OUTSIDE_CITY, "the other hemisphere")
