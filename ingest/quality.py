"""Is a well-formed chunk one that this city can use? Checks that need the city, the device's kind and the time of now;
a chunk passes whole, or without what lies in a no-go area, or is refused by name."""

from __future__ import annotations

from .chunk import Chunk
from .city import City
from .redact import redact
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
NOT_UNDER_A_BOX = ("ebike", "bike")
"""Carriers on which a box cannot be. A box speaks for single squares and for silence because it is screwed to a frame
on four wheels: its roll says which wheel was hit. A two-wheeler leans into its curves and has one track, so both would
be untrue, by a metre and by a wheel. Phones may ride on anything. A box that does not know its carrier is taken, and
its silence says nothing (`carrier_quiet`)."""
_RATE_SLACK = 0.99  # a phone's nominal 100 Hz is 99.6: the crystal, not a slower setting
_EDGE_S = 1.5
"""How far a fix or sample may be from the ends of what the chunk owns; 1 Hz fixes are never farther than 1 s."""
_ZONE_REACH_DEG = 4.4
"""Degrees from the central meridian: 3 are the zone's own, and a city that lies on both sides of a border fits. At 4.5
the easting falls below zero at the equator, where a square has no number."""


def _as_a_phone_must(chunk: Chunk) -> None:
    """Refuses what only a box may send, and what does not say that the ends of its trip stay on the phone."""
    if chunk.quiet is not None:
        raise Refused(Reason.SUMMARY_NOT_TAKEN, "a phone sent a summary")
    trimmed = chunk.trimmed
    if trimmed is None:
        raise Refused(Reason.NOT_TRIMMED, "trimmed is missing")
    if trimmed.distance_m < LEAST_TRIM_M or trimmed.duration_s < LEAST_TRIM_S:
        raise Refused(Reason.NOT_TRIMMED, f"{trimmed.distance_m:g} m and {trimmed.duration_s:g} s are held back")


def admit(chunk: Chunk, kind: str, city: City, now_s: float) -> Chunk:
    """The chunk that is taken, which is the same one where no no-go area has cut it; raises `Refused` otherwise.

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
    if kind == "box" and chunk.carrier in NOT_UNDER_A_BOX:
        raise Refused(Reason.IMPOSSIBLE_CARRIER, f"a box on a carrier {chunk.carrier}")
    last_sample_s = chunk.measured_until_s
    fixes = chunk.fixes
    if chunk.t0_s > chunk.start_s + _EDGE_S or last_sample_s < chunk.end_s - _EDGE_S:
        raise Refused(Reason.NOT_COVERED, "the samples do not cover what the chunk owns")
    if last_sample_s - chunk.t0_s > chunk.end_s - chunk.start_s + 60:
        raise Refused(Reason.NOT_COVERED, "the samples reach more than a minute beyond what the chunk owns")
    if float(fixes.t_s[0]) > chunk.start_s + _EDGE_S or float(fixes.t_s[-1]) < chunk.end_s - _EDGE_S:
        raise Refused(Reason.NOT_COVERED, "the fixes do not cover what the chunk owns")
    meridian_deg = city.utm_zone * 6.0 - 183.0
    for lon in (float(fixes.lon_deg.min()), float(fixes.lon_deg.max())):
        if abs(lon - meridian_deg) > _ZONE_REACH_DEG:
            raise Refused(Reason.OUTSIDE_CITY, f"longitude {lon:.3f}, the zone's meridian is {meridian_deg:g}")
    south, north = float(fixes.lat_deg.min()), float(fixes.lat_deg.max())
    if south < 0 if city.utm_north else north >= 0:
        raise Refused(Reason.OUTSIDE_CITY, "the other hemisphere")
    kept = redact(chunk, city)
    if kept is not chunk and f"{city.service_day(kept.start_s):%Y%m%d}" != day:
        raise Refused(Reason.NO_GO, "what is left of the chunk lies in the next service day")
    return kept
