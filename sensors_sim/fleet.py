"""Devices that drive both streets in both directions, again and again, all at once."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk, City, Trimmer, TrimOptions, summarise

from . import box, phone
from .recording import CONTEXT_S, Numbering, Recording, Run, cut
from .surface import LaneSurface, lane_surfaces
from .truth import LANES, Lane, Truth, crossing
from .vehicle import Drive, Suspension, drive, varied

BOX, PHONE = "box", "phone"
LEGS: tuple[tuple[int, Lane], ...] = tuple((street, lane) for street in (0, 1) for lane in LANES)
"""One round: each lane once. A round is a trip of a box; a phone's is its whole drive, less the ends that it keeps."""
TURN_S = (15.0, 40.0)
"""Between two runs, to turn round or reach the other street."""
KNOWN_S = CONTEXT_S + 0.6
"""How long after a chunk's end a device has its context (and, with one fix a second, the fix beyond) and can send."""

_Record = Callable[[Run, Suspension, NDArray[np.float64], np.random.Generator], Recording]


@dataclass(frozen=True)
class _Leg:
    """A run that a device will make: begins at t0_s, drawn from its own stream."""

    round: int
    street: int
    lane: Lane
    drive: Drive
    rng: np.random.Generator
    gap_s: float


def _legs(truth: Truth, seed: int, device: int, first_round: int, moment_s: float) -> Iterator[_Leg]:
    # The moment is in the seed: a fleet started again meets the same road, but drives and errs anew.
    moment = round(moment_s * 1000)
    for number in count(first_round):
        for leg, (street, lane) in enumerate(LEGS):
            rng = np.random.default_rng([seed, 2, device, moment, number, leg])
            run = drive(rng, truth.streets[street].length_m)
            yield _Leg(number, street, lane, run, rng, rng.uniform(*TURN_S))


def _device(
    city: City,
    truth: Truth,
    lanes: dict[tuple[int, Lane], LaneSurface],
    seed: int,
    device: int,
    kind: str,
    legs: Iterator[_Leg],
    begin_s: float,
    summaries: bool,
    whole: bool = False,
) -> Iterator[tuple[float, int, str, Chunk]]:
    """All chunks of one device in order, each behind the moment at which it can be sent."""
    driven = _driven(city, truth, lanes, seed, device, kind, legs, begin_s)
    if kind == BOX:
        newest_s = 0.0

        def watched() -> Iterator[Chunk]:
            nonlocal newest_s
            for chunk in driven:
                newest_s = chunk.end_s
                yield chunk

        for chunk in summarise(watched()) if summaries else watched():
            yield newest_s + KNOWN_S, device, kind, chunk
        return
    if whole:
        for chunk in driven:
            yield chunk.end_s + KNOWN_S, device, kind, chunk
        return
    random = np.random.default_rng([seed, 8, device, round(begin_s * 1000)])
    trimmer = Trimmer.of_city(city, lambda _day: random.bytes(8).hex(), TrimOptions(crow_m=0.0))  # short streets
    for newest in driven:
        for chunk in trimmer.push(newest):
            yield newest.end_s + KNOWN_S, device, kind, chunk


def _driven(
    city: City,
    truth: Truth,
    lanes: dict[tuple[int, Lane], LaneSurface],
    seed: int,
    device: int,
    kind: str,
    legs: Iterator[_Leg],
    begin_s: float,
) -> Iterator[Chunk]:
    """All that a device records, in order."""
    own = np.random.default_rng([seed, 3, device])
    car, screwed = varied(own), box.mounting(own)
    record: _Record = box.record if kind == BOX else phone.record
    trip: int | None = None
    t_s = begin_s
    for leg in legs:
        if trip is not None:
            t_s += leg.gap_s
        if leg.round != trip:
            trip = leg.round
            numbering = Numbering(city, np.random.default_rng([seed, 4, device, trip, round(begin_s * 1000)]))
            axes = screwed if kind == BOX else phone.mounting(np.random.default_rng([seed, 5, device, trip]))
        # Whole milliseconds: a device's clock has no more.
        run = Run(truth, lanes[leg.street, leg.lane], leg.drive, round(t_s, 3))
        yield from cut(record(run, car, axes, leg.rng), numbering)
        t_s += leg.drive.duration_s


def _kinds(boxes: int, phones: int) -> list[str]:
    if boxes < 0 or phones < 0 or boxes + phones == 0:
        raise ValueError("a fleet has at least one box or phone; give --boxes or --phones a number above 0")
    return [BOX] * boxes + [PHONE] * phones


def trips(
    city: City,
    seed: int,
    boxes: int,
    phones: int,
    passes: int,
    until_s: float,
    summaries: bool = False,
    whole: bool = False,
) -> Iterator[tuple[int, str, Chunk]]:
    """The history of a fleet up to ``until_s`` (unix seconds), in the order in which its chunks could be sent.

    Yields (device, kind, chunk): devices are numbered from 0, boxes first; kind is "box" or "phone". Each drives each
    lane ``passes`` times, a round of all four lanes being one trip, and comes to rest within 30 s before ``until_s``.
    A phone's drive is one trip, the ends of which it keeps: some two of its runs in all. Its chunks come late, when it
    has driven on far enough.
    About 65 s of history a run: six passes are 27 minutes. With ``summaries`` boxes send rows of quiet stretches. With
    ``whole`` phones keep nothing back: what their sensors gave, for a client that trims it. The
    same arguments give the same chunks.
    """
    if passes < 1:
        raise ValueError("passes is at least 1")
    truth = crossing(city.centre_deg)
    lanes = lane_surfaces(truth, seed)
    streams = []
    for device, kind in enumerate(_kinds(boxes, phones)):
        # Drawn twice, once for its length and once to be driven, rather than kept: a drive is 0.5 MB.
        took_s = 0.0
        for n, leg in enumerate(islice(_legs(truth, seed, device, 0, until_s), passes * len(LEGS))):
            took_s += leg.drive.duration_s + (leg.gap_s if n else 0.0)
        late = np.random.default_rng([seed, 6, device]).uniform(1, 30)
        legs = islice(_legs(truth, seed, device, 0, until_s), passes * len(LEGS))
        begin_s = until_s - late - took_s
        streams.append(_device(city, truth, lanes, seed, device, kind, legs, begin_s, summaries, whole))
    for _, device, kind, chunk in heapq.merge(*streams, key=lambda item: item[:2]):
        yield device, kind, chunk


def live(
    city: City, seed: int, boxes: int, phones: int, first_round: int, from_s: float, summaries: bool = False
) -> Iterator[tuple[float, int, str, Chunk]]:
    """Drives without end from ``from_s`` on: (moment at which it can be sent, device, kind, chunk), in that order.

    ``first_round``: rounds driven before (the ``passes`` of `trips`), so that nothing is driven twice alike. Chunks are
    computed a run ahead of their time: the caller waits for the moment.
    """
    truth = crossing(city.centre_deg)
    lanes = lane_surfaces(truth, seed)
    streams = []
    for device, kind in enumerate(_kinds(boxes, phones)):
        begin_s = from_s + float(np.random.default_rng([seed, 7, device]).uniform(0, 5))
        legs = _legs(truth, seed, device, first_round, from_s)
        streams.append(_device(city, truth, lanes, seed, device, kind, legs, begin_s, summaries))
    yield from heapq.merge(*streams, key=lambda item: item[:2])
