"""A city computed in shares: each process drives its part of the vehicles through time, slab by slab.

What a vehicle records hangs on no other, so the shares need not speak to each other; whoever merges takes the slabs of
all shares in turn and sorts each by time and vehicle. A share that is ahead waits at its pipe until it is read, which
bounds the memory: a few slabs, whatever the hours.
"""

from __future__ import annotations

import importlib
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from ingest import Chunk, City

from .cutting import cut
from .dataset import Entry, entry
from .life import Life, LifeOptions
from .mishaps import NONE, Mishaps, Trouble
from .network import Network, generated
from .network_file import read_network
from .recording import Numbering
from .routes import Driver, Leg, Town, Vehicle, vehicles

SLAB_S = 300.0
"""Computed and handed over at once. Shorter, and shares wait for each other more often; longer, and a hundred boxes
fill the memory: 1.3 MB a box and slab."""
PHYSICS = ("first", "second")


@dataclass(frozen=True)
class Work:
    """All that a simulation hangs on. windows: unix seconds, from when to when is driven, a day each. physics: family
    of PHYSICS that vehicles and instruments are of; what lies on the roads is drawn from the first one's catalogue."""

    city: City
    fleet: dict[str, int]
    windows: tuple[tuple[float, float], ...]
    seed: int
    network: Path | None = None
    size: int = 9
    density: float = 1.0
    equipment: frozenset[str] = frozenset()
    mishaps: Mishaps = NONE
    physics: str = "first"


@dataclass(frozen=True, eq=False)
class Sent:
    """A payload on its way: at_s sorts it among those of other vehicles."""

    at_s: float
    vehicle: int
    payload: bytes


@dataclass(eq=False)
class Slab:
    """What some vehicles recorded in a slab of time. entries: (start, vehicle, what the tables say of a leg)."""

    sent: list[Sent] = field(default_factory=list)
    entries: list[tuple[float, int, Entry]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    cpu_s: float = 0.0

    def add(self, other: Slab) -> None:
        """Takes in the slab of another share, and sorts: the outcome hangs on no order of shares."""
        self.sent = sorted(self.sent + other.sent, key=lambda s: (s.at_s, s.vehicle))
        self.entries = sorted(self.entries + other.entries, key=lambda e: e[:2])
        self.counts.update(other.counts)
        self.seconds += other.seconds
        self.cpu_s += other.cpu_s


def town_of(work: Work) -> tuple[Town, list[Vehicle]]:
    """The town and the fleet of a work. Raises NetworkFileError or OSError for a network that cannot be read."""
    centre = work.city.centre_deg
    network: Network = (
        read_network(work.network, centre, work.seed) if work.network else generated(centre, work.seed, work.size)
    )
    first_s, last_s = work.windows[0][0], work.windows[-1][1]
    options = LifeOptions(density=work.density)
    life = Life(network, work.city, work.seed, first_s, last_s, options)
    # The moment is in the seeds: a fleet that drives again later meets the same roads, but drives and errs anew.
    town = Town(work.city, network, life, work.seed, round(first_s), work.mishaps.handled)
    family = family_of(work.physics)
    return town, vehicles(work.fleet, family.MODELS, family.draw_wheels, work.equipment, work.seed)


def family_of(physics: str) -> Any:
    """The module of a family of physics; loading it compiles its kernels, so that only the one that is driven is."""
    return importlib.import_module(f".{physics}", __package__)


def slab_count(work: Work) -> int:
    """How many slabs there are in all windows."""
    return sum(_slabs_in(window) for window in work.windows)


def _slabs_in(window: tuple[float, float]) -> int:
    return int(np.ceil((window[1] - window[0]) / SLAB_S - 1e-9))


def _ends(work: Work) -> Iterator[float]:
    for begin_s, end_s in work.windows:
        for number in range(_slabs_in((begin_s, end_s))):
            yield min(begin_s + (number + 1) * SLAB_S, end_s)


class _Recorder:
    """One vehicle: its legs, felt, cut, and troubled."""

    def __init__(self, town: Town, vehicle: Vehicle, work: Work, counts: Counter[str]) -> None:
        self._town, self._vehicle, self._seed = town, vehicle, work.seed
        self._physics, self._ride = work.physics, family_of(work.physics).ride
        self._trouble = Trouble(work.mishaps, work.seed, vehicle.number, vehicle.kind, counts)
        self._legs = Driver(town, vehicle).legs(list(work.windows))
        self._next: Leg | None = next(self._legs, None)
        self._number = 0
        self._numbering = self._numbered(0)

    def _numbered(self, leg: int) -> Numbering:
        own = np.random.default_rng([self._seed, 60, self._vehicle.number, leg, self._town.moment])
        return Numbering(self._town.city, own)

    def until(self, end_s: float, slab: int, into: Slab) -> None:
        """Records all legs that begin before ``end_s``."""
        sent: list[Chunk] = []
        seconds = 0.0
        while self._next is not None and self._next.start_s < end_s:
            leg = self._next
            if leg.first:
                self._numbering = self._numbered(self._number)
            sent += self._felt(leg, into)
            seconds += leg.end_s - leg.start_s
            self._number += 1
            self._next = next(self._legs, None)
        into.seconds += seconds
        for at_s, payload in self._trouble.payloads(sent, slab, seconds):
            into.sent.append(Sent(at_s, self._vehicle.number, payload))

    def _felt(self, leg: Leg, into: Slab) -> list[Chunk]:
        plan, place = leg.plan, self._town.network.place
        felt = self._ride(plan)
        trips: dict[str, None] = {}

        def numbers(start_s: float) -> tuple[str, int]:
            trip, seq = self._numbering.next(start_s)
            trips[trip] = None
            return trip, seq

        chunks = list(cut(felt, place, plan.carrier, plan.device, numbers, self._numbering.datum))
        if chunks:
            # A thing's seed is the number of its spot: the same whatever else comes and goes on the lane.
            names = [str(thing.seed) for thing in plan.stretch.things]
            told = entry(plan, felt, place, self._vehicle.device, next(iter(trips)), self._physics, names)
            into.entries.append((leg.start_s, self._vehicle.number, told))
        return self._trouble.leg(chunks, self._number)


def share_of(work: Work, number: int, of: int) -> Iterator[Slab]:
    """The slabs of every of-th vehicle from ``number`` on, computed here."""
    town, fleet = town_of(work)
    counts: Counter[str] = Counter()
    recorders = [_Recorder(town, vehicle, work, counts) for vehicle in fleet[number::of]]
    for index, end_s in enumerate(_ends(work)):
        slab, begin_s = Slab(), time.process_time()
        for recorder in recorders:
            recorder.until(end_s, index, slab)
        tally = town.tally
        slab.counts.update(counts)
        slab.counts.update(trips=tally.trips, swerved=tally.swerved, slowed=tally.slowed)
        slab.counts.update({f"act_{kind}": n for kind, n in tally.acts.items()})
        tally.trips = tally.swerved = tally.slowed = 0
        tally.acts.clear()
        counts.clear()
        whole = Slab()
        whole.add(slab)
        whole.cpu_s = time.process_time() - begin_s
        yield whole


def _work_off(work: Work, number: int, of: int, pipe: Connection) -> None:
    try:
        for slab in share_of(work, number, of):
            pipe.send(slab)
    except (BrokenPipeError, KeyboardInterrupt):
        return  # whoever wanted it is gone
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
        raise
    finally:
        pipe.close()


class ShareFailed(RuntimeError):
    """A process of the simulation ended before its time; the text says why, as far as it is known."""


@contextmanager
def slabs(work: Work, jobs: int) -> Iterator[Iterator[Slab]]:
    """The slabs of the whole fleet, in order; the same whatever ``jobs``, the number of processes, is."""
    if jobs <= 1:
        yield share_of(work, 0, 1)
        return
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pipes: list[Connection] = []
        for number in range(jobs):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work_off, args=(work, number, jobs, theirs), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join, 10.0)
            stack.callback(process.terminate)
            stack.callback(ours.close)
            pipes.append(ours)

        def merged() -> Iterator[Slab]:
            for _ in range(slab_count(work)):
                whole = Slab()
                for number, pipe in enumerate(pipes):
                    try:
                        part = pipe.recv()
                    except EOFError:
                        raise ShareFailed(f"process {number + 1} of {jobs} ended without a word") from None
                    if isinstance(part, str):
                        raise ShareFailed(part)
                    whole.add(part)
                yield whole

        yield merged()
