"""The named reasons for which a chunk is turned away at the door. One list, so that a verdict, a dead letter
and a metric always speak of the same thing."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a chunk was refused. The value is what stands in verdicts, dead letters and metrics."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    UNKNOWN_VERSION = "unknown_version"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    WRONG_LENGTH = "wrong_length"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_CARRIER = "unknown_carrier"
    UNKNOWN_ORIGIN = "unknown_origin"
    UNKNOWN_DATUM = "unknown_datum"
    UNKNOWN_DEFECT = "unknown_defect"
    BAD_TRIP = "bad_trip"
    BAD_INTERVAL = "bad_interval"
    NOT_COVERED = "not_covered"
    RATE_TOO_LOW = "rate_too_low"
    ORIGIN_NOT_TAKEN = "origin_not_taken"
    TOO_LATE = "too_late"
    CLOCK = "clock"
    OUTSIDE_CITY = "outside_city"
    NO_GO = "no_go"
    IMPOSSIBLE_CARRIER = "impossible_carrier"
    NOT_TRIMMED = "not_trimmed"
    SUMMARY_NOT_TAKEN = "summary_not_taken"
    UNKNOWN_DEVICE = "unknown_device"
    TOO_FAST = "too_fast"
    INTERNAL = "internal"


ADVICE: dict[Reason, str] = {
    Reason.TOO_LARGE: "send shorter chunks: the limit is stated in docs/wire.cddl",
    Reason.MALFORMED: "the bytes are not one well-formed CBOR item; check the encoder against docs/vectors/wire",
    Reason.UNKNOWN_VERSION: "this platform reads wire format version 1; update the device or the platform",
    Reason.MISSING_FIELD: "add the field: docs/wire.cddl lists those that every chunk carries",
    Reason.UNKNOWN_FIELD: "remove the field: docs/wire.cddl lists all that exist",
    Reason.WRONG_TYPE: "encode the field as docs/wire.cddl says",
    Reason.WRONG_LENGTH: "columns that belong together must be of one length, and within the stated bounds",
    Reason.NOT_FINITE: "NaN and infinity say nothing: leave the fix out, or use -1 for unknown speed and course",
    Reason.OUT_OF_RANGE: "the value is outside what a road vehicle on Earth can give",
    Reason.UNKNOWN_CARRIER: "carrier is one of bus, sweeper, car, ebike, bike, unknown",
    Reason.UNKNOWN_ORIGIN: "origin is one of live, replay, simulated",
    Reason.UNKNOWN_DATUM: "state the frame of the fixes: wgs84, cgcs2000, gcj02 or bd09; a guess would be off by "
    "hundreds of metres",
    Reason.UNKNOWN_DEFECT: "the kind of a camera detection is one of the keys in docs/wire.cddl",
    Reason.BAD_TRIP: "a trip id is the service day of the chunk's start, a hyphen and 8 to 32 hex digits",
    Reason.BAD_INTERVAL: "a chunk owns 0.5 to 60 s: end after start",
    Reason.NOT_COVERED: "samples and fixes must cover the interval that the chunk owns",
    Reason.RATE_TOO_LOW: "boxes sample at 100 Hz or more, phones at 40 Hz or more",
    Reason.ORIGIN_NOT_TAKEN: "this instance does not take data of that origin (city.toml, origins)",
    Reason.TOO_LATE: "chunks are taken for 48 h after they were measured",
    Reason.CLOCK: "the chunk lies in the future: set the device's clock by GNSS time",
    Reason.OUTSIDE_CITY: "the fixes lie outside the city's UTM zone (city.toml, utm_zone)",
    Reason.NO_GO: "the drive lies in an area where this city does not measure (city.toml, no_go): hold back what is "
    "measured there",
    Reason.IMPOSSIBLE_CARRIER: "a box is screwed to a bus, sweeper or car and says which; what rides on two wheels is "
    "enrolled as a phone",
    Reason.NOT_TRIMMED: "a phone holds back the first and last 200 m and 60 s of its trips and says so (trimmed); "
    "update the app",
    Reason.SUMMARY_NOT_TAKEN: "summaries are taken from boxes alone: a phone sends its samples",
    Reason.UNKNOWN_DEVICE: "the device is not enrolled or was disabled",
    Reason.TOO_FAST: "the device sends more than its budget: keep the chunk and send it again in a while",
    Reason.INTERNAL: "our fault: please report it with the hash; the chunk may be sent again after an update",
}

NOT_NOW: frozenset[Reason] = frozenset({Reason.TOO_FAST})
"""Refused for the moment alone: nothing is wrong with the bytes, so they are no dead letter, and the device keeps them
and sends them again."""


class Refused(Exception):
    """A chunk is not taken. ``reason`` is the name, ``detail`` says which field and value."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}. To mend it: {ADVICE[reason]}")
        self.reason = reason
        self.detail = detail[:200]
