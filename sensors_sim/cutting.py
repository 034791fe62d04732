"""From a ride to the chunks that its device would publish: 5 s owned each, with context on both sides, all instruments
along."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from ingest import Bands, Chunk, Detection, Fixes, Laser, Trimmed

from .plan import Ride, Series
from .truth import Place

LEAD_S = 3.0
"""The first and last seconds of a ride are owned by no chunk and are context only, so that every chunk has all of its
own. Less than FIX_CONTEXT_S, and the outer chunks lack fixes."""
OWNED_S = 5.0
CONTEXT_S = 2.0
"""Of samples, each side. The platform asks for 1.5 s; less and its filters start inside what they judge."""
FIX_CONTEXT_S = 2.5
"""A phone has one fix a second: this much holds two on each side."""
SHORTEST_S = 0.5
"""The wire format takes no shorter owned interval; what is left at a ride's end joins the chunk before."""
TRIMMED = Trimmed(200.0, 60.0)
"""What a phone declares, the platform's least. Simulated rides begin and end on the open road, where a real phone's
would already be cut."""

Numbers = Callable[[float], tuple[str, int]]
"""Trip id and sequence number of the chunk that starts at a unix time."""


def _rows(t0_s: float, hz: float, count: int, first_s: float, last_s: float) -> slice:
    """Which of ``count`` rows at t0_s + i / hz lie from first_s to last_s."""
    first = max(0, math.ceil((first_s - t0_s) * hz - 1e-6))
    return slice(first, min(count, math.floor((last_s - t0_s) * hz + 1e-6) + 1))


def owned_s(ride: Ride) -> tuple[float, float]:
    """From when to when chunks own a ride, unix seconds; from >= to where it is too short for a chunk."""
    return ride.t0_s + LEAD_S, ride.t0_s + (len(ride.acc_counts) - 1) / ride.rate_hz - LEAD_S


def _columns(values: Series) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return values.astype(np.float32)


def cut(
    ride: Ride, place: Place, carrier: str, device: str, numbers: Numbers, datum: str = "cgcs2000"
) -> Iterator[Chunk]:
    """The chunks of a ride, in order. place: the local plane of its fixes, in ``datum``. device: "box" or "phone"."""
    begin, end = owned_s(ride)
    if end - begin < SHORTEST_S:
        return
    lonlat = place.lonlat(np.column_stack([ride.fix_east_m, ride.fix_north_m]))
    lon, lat = np.ascontiguousarray(lonlat[:, 0]), np.ascontiguousarray(lonlat[:, 1])
    accuracy, speed = _columns(ride.fix_accuracy_m), _columns(ride.fix_speed_mps)
    course = np.where(ride.fix_course_deg < 0, -1, ride.fix_course_deg % 360).astype(np.float32)
    course[course >= 360] = 0  # a course a hair below 360 becomes 360 in float32
    where = place.lonlat(np.array([(d.east_m, d.north_m) for d in ride.detections], dtype=np.float64).reshape(-1, 2))
    detections = [
        Detection(d.t_s, d.kind, d.score, float(p[1]), float(p[0]), d.sigma_m, d.area_m2, d.depth_mm)
        for d, p in zip(ride.detections, where, strict=True)
    ]
    rate = ride.rate_hz
    centre_hz = _columns(ride.bands_centre_hz)
    edges = [*np.arange(begin, end - SHORTEST_S, OWNED_S).tolist(), end]
    for start_s, end_s in pairwise(edges):
        first = math.floor((start_s - CONTEXT_S - ride.t0_s) * rate)
        last = math.ceil((end_s + CONTEXT_S - ride.t0_s) * rate) + 1
        near = slice(
            int(np.searchsorted(ride.fix_t_s, start_s - FIX_CONTEXT_S)),
            int(np.searchsorted(ride.fix_t_s, end_s + FIX_CONTEXT_S, side="right")),
        )
        laser = bands = None
        if ride.laser_counts is not None:
            at = _rows(ride.laser_t0_s, ride.laser_hz, len(ride.laser_counts), start_s - CONTEXT_S, end_s + CONTEXT_S)
            if at.stop > at.start:
                laser = Laser(
                    ride.laser_t0_s + at.start / ride.laser_hz, ride.laser_hz, ride.laser_width_m, ride.laser_scale_m,
                    ride.laser_counts[at],
                )  # fmt: skip
        if ride.band_db is not None:
            step_s = ride.bands_step_s
            at = _rows(ride.bands_t0_s, 1 / step_s, len(ride.band_db), start_s - CONTEXT_S, end_s + CONTEXT_S)
            if at.stop > at.start:
                bands = Bands(ride.bands_t0_s + at.start * step_s, step_s, centre_hz, ride.band_db[at])
        trip, seq = numbers(start_s)
        yield Chunk(
            trip=trip,
            seq=seq,
            start_s=start_s,
            end_s=end_s,
            t0_s=ride.t0_s + first / rate,
            rate_hz=rate,
            carrier=carrier,
            origin="simulated",
            datum=datum,
            acc_scale_mps2=ride.acc_scale_mps2,
            acc_counts=ride.acc_counts[first:last],
            gyro_scale_radps=ride.gyro_scale_radps if ride.gyro_counts is not None else 0.0,
            gyro_counts=None if ride.gyro_counts is None else ride.gyro_counts[first:last],
            fixes=Fixes(ride.fix_t_s[near], lat[near], lon[near], accuracy[near], speed[near], course[near]),
            laser=laser,
            bands=bands,
            detections=tuple(d for d in detections if start_s <= d.t_s < end_s),
            trimmed=TRIMMED if device == "phone" else None,
        )
