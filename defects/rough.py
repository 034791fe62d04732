"""How rough is it? IRI from a box's vertical acceleration: one pass over a square of 16 m gives one number.

The international roughness index is what a golden car at 80 km/h would feel. A box rides in another vehicle at another
speed, so its levels in four bands are turned into ln(IRI) by a linear formula that was fitted on simulated drives of
known profile (`defects.research.iri`; figures in docs/indices.md). It says how rough a road is, not what is broken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grid import Track, Zone, cells_at
from ingest import Chunk

from .evidence import UNIT, Deltas, merge
from .jolts import band_pass
from .planes import ROUGH, ROUGH_PASSES

Series = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 2
"""Of the squares: 16 m. Squares of 4 m are shorter than the waves that a body answers to; of 64 m, longer than half a
section."""

TERMS = ("1", "low", "mid", "high", "hop", "v", "v2", "low v", "mid v", "high v", "hop v", "bus", "sweeper")
"""Of the formula: ln of the levels in g in the four bands, and v = ln(speed over 40 km/h)."""


@dataclass(frozen=True)
class RoughOptions:
    """Constants of the roughness; all of them stand in the day context.

    bands_hz: body, what lies between, suspension, wheel hop. slowest_mps, fastest_mps: below, the waves that count are
    longer than the sensor's band, and queues shake by themselves; above, no drive was fitted. least_m: of a square must
    be driven in one pass; less, and a corner speaks for 16 m. around_s: heard before and after the square too: shorter,
    and a body's slow swing has no level; longer, and neighbours blur. farthest_m: largest radius of a position (68 %);
    beyond it nothing is written. floor_g: a level below it is the sensor's noise. weights: of `TERMS`. lowest, highest:
    IRI that one pass may say, m/km: one pothole or a broken sensor must not outvote a street. vehicle_sd: standard
    deviation of ln(IRI) by which a vehicle's passes are off together, what the whole unseen family of physics was off
    (a quarter) counted in; pass_sd: of a pass over 16 m by itself. Smaller, and intervals claim what a strange fleet
    does not hold; larger, and a good road cannot be told from a middling one.
    """

    bands_hz: tuple[tuple[float, float], ...] = ((0.7, 2.2), (2.2, 5.0), (5.0, 9.0), (9.0, 18.0))
    slowest_mps: float = 20 / 3.6
    fastest_mps: float = 100 / 3.6
    least_m: float = 8.0
    around_s: float = 0.5
    farthest_m: float = 5.0
    floor_g: float = 0.002
    weights: tuple[float, ...] = field(default_factory=lambda: WEIGHTS)
    lowest: float = 0.5
    highest: float = 25.0
    vehicle_sd: float = 0.33
    pass_sd: float = 0.20


WEIGHTS: tuple[float, ...] = (
    5.554, 0.3019, 0.106, 0.2722, 0.2867, -0.6694, 0.0018, -0.3668, -0.0589, 0.3125, 0.142, 0.0756, -0.4163,
)  # fmt: skip
"""Fitted on 81 simulated km of the first family of physics, 45 vehicles."""
_CARRIERS = ("car", "bus", "sweeper", "unknown")


@dataclass(frozen=True, eq=False)
class Passes:
    """m passes of one chunk over squares of 16 m. cell: int64 (m,); terms: float64 (m, len(TERMS)); speed_mps, from_s,
    until_s: float64 (m,), the last two unix seconds."""

    cell: Ints
    terms: Series
    speed_mps: Series
    from_s: Series
    until_s: Series


_NO_PASSES = Passes(
    np.empty(0, np.int64), np.empty((0, len(TERMS))), np.empty(0), np.empty(0), np.empty(0)
)  # fmt: skip


def rough_passes(chunk: Chunk, track: Track, zone: Zone, options: RoughOptions) -> Passes:
    """The squares of 16 m that a chunk owns the pass over, and the terms of the formula for each.

    A square belongs to the chunk that owns the sample nearest to the middle of its time on it. Empty for summaries,
    carriers on two wheels, and where position or speed say nothing.
    """
    t = chunk.sample_t_s
    if chunk.quiet is not None or chunk.carrier not in _CARRIERS or len(t) < 8:
        return _NO_PASSES
    able = track.usable & (track.sigma_m * 1.5096 <= options.farthest_m)
    at = np.flatnonzero(able)
    if not len(at):
        return _NO_PASSES
    acc = chunk.acc_mps2
    mean = acc.mean(axis=0)
    gravity = float(np.sqrt((mean * mean).sum()))
    if gravity < 1.0:
        return _NO_PASSES
    vertical_g = ((acc * (mean / gravity)).sum(axis=1) - gravity) / 9.80665
    power = np.empty((len(options.bands_hz), len(t) + 1))
    for k, (low_hz, high_hz) in enumerate(options.bands_hz):
        taps = band_pass(chunk.rate_hz, low_hz, high_hz, 1.5)
        heard = np.convolve(vertical_g, taps, "full")[len(taps) // 2 :][: len(t)]
        power[k] = np.concatenate([[0.0], np.cumsum(heard * heard)])
    cell = cells_at(track.x_m[at], track.y_m[at], zone, LEVEL)
    run = np.flatnonzero(np.concatenate([[True], (cell[1:] != cell[:-1]) | (np.diff(at) > 1)]))
    stop = np.concatenate([run[1:], [len(at)]])
    step = track.speed_mps[at] / chunk.rate_hz
    length = np.add.reduceat(step, run)
    slowest = np.minimum.reduceat(track.speed_mps[at], run)
    middle = t[at[(run + stop - 1) // 2]]
    speed = length / (stop - run) * chunk.rate_hz
    good = (middle >= chunk.start_s) & (middle < chunk.end_s) & (length >= options.least_m)
    good &= (slowest >= options.slowest_mps) & (speed <= options.fastest_mps)
    run, stop, speed = run[good], stop[good], speed[good]
    reach = int(options.around_s * chunk.rate_hz)
    first, last = np.maximum(at[run] - reach, 0), np.minimum(at[stop - 1] + 1 + reach, len(t))
    level = np.sqrt((power[:, last] - power[:, first]).clip(0) / (last - first))
    heard_ln = np.log(np.maximum(level, options.floor_g))
    v = np.log(speed / (40 / 3.6))
    one = np.ones(len(v))
    carrier = [one * (chunk.carrier == name) for name in ("bus", "sweeper")]
    terms = np.stack([one, *heard_ln, v, v * v, *(heard_ln * v), *carrier], axis=1)
    return Passes(cell[run], terms, speed, t[at[run]], t[at[stop - 1]])


def ln_iri(passes: Passes, options: RoughOptions) -> Series:
    """ln(IRI in m/km) that each pass says, float64 (m,), summed term by term."""
    total = np.zeros(len(passes.cell))
    for k, weight in enumerate(options.weights):
        total = total + weight * passes.terms[:, k]
    return np.asarray(np.clip(total, np.log(options.lowest), np.log(options.highest)))


def rough_deltas(chunk: Chunk, track: Track, zone: Zone, options: RoughOptions) -> Deltas:
    """What a chunk of a box adds to `ROUGH` (sum of ln(IRI), fixed-point) and `ROUGH_PASSES` of squares of 16 m.

    A pure function of the chunk. Of phones nothing must be asked: they lie on seats and in pockets.
    """
    passes = rough_passes(chunk, track, zone, options)
    if not len(passes.cell):
        return merge([])
    said = np.rint(ln_iri(passes, options) * UNIT).astype(np.int64)
    n = len(said)
    return merge(
        [
            Deltas(passes.cell, np.full(n, ROUGH, np.uint8), said),
            Deltas(passes.cell, np.full(n, ROUGH_PASSES, np.uint8), np.ones(n, np.int64)),
        ]
    )


@dataclass(frozen=True)
class Roughness:
    """IRI of a piece of road, m/km, the interval in which the true one lies with a chance of .9, and how many passes
    over 16 m it rests on."""

    iri: float
    low: float
    high: float
    passes: int


def iri_of(said: Ints, passes: Ints, weight: Series, options: RoughOptions) -> Roughness | None:
    """IRI of a piece of road from its squares of 16 m; None where no box has passed.

    said, passes: int64 (k,), of `ROUGH` and `ROUGH_PASSES`; weight: float64 (k,), the piece's share in each square. Of
    a square the mean of ln(IRI) counts, of the piece the mean of IRI. The interval takes all passes for those of one
    vehicle: whose they were is not kept.
    """
    told = (passes > 0) & (weight > 0)
    if not told.any():
        return None
    each = np.exp(said[told] / UNIT / passes[told])
    share = weight[told] / weight[told].sum()
    iri = float((each * share).sum())
    spread = float(np.sqrt(options.vehicle_sd**2 + (share**2 * options.pass_sd**2 / passes[told]).sum()))
    reach = float(np.exp(1.645 * spread))
    return Roughness(iri, iri / reach, iri * reach, int(passes[told].sum()))
