"""Streets and passes for `roadcode bench scale`: what boxes would add to the evidence, made without recordings.

Streets lie 100 m apart in both directions and 17 degrees off the grid, with two lanes; a chunk is 5 s on one of their
stretches of 60 m. The planes are those that `defects.observe` writes: a quiet pass three in each square that a wheel
rolled over, a finding besides what was felt around one place. Places, lengths on a square and devices are drawn; no
physics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from defects import UNIT, Deltas, merge, planes, tally
from grid import Zone, cells_at, neighbours

Floats = NDArray[np.float64]

STRETCH_M = 60.0
SQUARES_A_STRETCH = 200
"""Squares of 1 m on a lane's stretch that are measured after some passes: two wheel tracks of a metre's spread."""
FINDS = 0.2  # share of chunks that find something: four of five passes are quiet
_APART_M = 100.0
_TURN_RAD = 0.3
_LANES_M = (-1.75, 1.75)
_HALF_TRACK_M = 0.8
_SPREAD_M = 0.3
_STEP_M = 0.05
_LEAST_PATH_M = 0.3
_ZONE = Zone(49)
_ORIGIN_M = (460_000.0, 3_780_000.0)


@dataclass(frozen=True, eq=False)
class Streets:
    """Stretches of lanes: x_m, y_m float64 (n,) where each begins, heading_rad (n,)."""

    x_m: Floats
    y_m: Floats
    heading_rad: Floats

    def __len__(self) -> int:
        return len(self.x_m)


def streets(squares: int) -> Streets:
    """As many stretches as have about so many measured squares, near ones with near numbers."""
    n = max(8, round(squares / SQUARES_A_STRETCH))
    side = int(np.ceil(np.sqrt(n / 2 / len(_LANES_M) / (_APART_M / STRETCH_M))))
    per_street = int(np.ceil(side * _APART_M / STRETCH_M))
    across, street, along, lane = np.unravel_index(
        np.arange(2 * side * per_street * len(_LANES_M)), (2, side, per_street, len(_LANES_M))
    )
    u, v = along * STRETCH_M, street * _APART_M + np.array(_LANES_M)[lane]
    u, v = np.where(across == 1, v, u), np.where(across == 1, u, v)
    heading = _TURN_RAD + across * np.pi / 2
    cos, sin = np.cos(_TURN_RAD), np.sin(_TURN_RAD)
    x, y = _ORIGIN_M[0] + 4e4 + u * cos - v * sin, _ORIGIN_M[1] + u * sin + v * cos
    near = np.lexsort((u, u // 500, v // 500))[:n]
    return Streets(x[near], y[near], heading[near])


@dataclass(frozen=True, eq=False)
class _Rolled:
    """Squares that wheels rolled over, chunk after chunk: cell, length_m; edges: where each chunk begins, and the end;
    slot, finds: of each chunk."""

    cell: NDArray[np.int64]
    length_m: Floats
    edges: NDArray[np.int64]
    slot: NDArray[np.int64]
    finds: NDArray[np.bool_]


def _roll(rng: np.random.Generator, where: Streets, stretch: NDArray[np.int64]) -> _Rolled:
    s = np.arange(0.0, STRETCH_M, _STEP_M)
    n = len(stretch)
    off = np.array((-_HALF_TRACK_M, _HALF_TRACK_M))[None, :] + rng.normal(0, _SPREAD_M, (n, 1))
    cos, sin = np.cos(where.heading_rad[stretch]), np.sin(where.heading_rad[stretch])
    x = where.x_m[stretch][:, None, None] + s * cos[:, None, None] - (off * sin[:, None])[:, :, None]
    y = where.y_m[stretch][:, None, None] + s * sin[:, None, None] + (off * cos[:, None])[:, :, None]
    cell = cells_at(x, y, _ZONE)
    new = np.ones(cell.shape, bool)
    new[:, :, 1:] = cell[:, :, 1:] != cell[:, :, :-1]
    run = np.flatnonzero(new.ravel())
    length = np.diff(np.append(run, cell.size)) * _STEP_M * rng.uniform(0.95, 1.05, len(run))
    edges = np.searchsorted(run, np.arange(n + 1) * cell.shape[1] * cell.shape[2])
    slot = np.left_shift(np.int64(1), rng.integers(0, 63, n))
    return _Rolled(cell.ravel()[run], length, edges, slot, rng.random(n) < FINDS)


def _quiet(cell: NDArray[np.int64], length_m: Floats, slot: NDArray[np.int64]) -> list[Deltas]:
    looked = length_m >= _LEAST_PATH_M
    exposure = np.rint(-np.log(1 - 0.6 * 0.76 * np.minimum(length_m[looked], 1.0)) * UNIT).astype(np.int64)
    return [
        _on(cell, planes.PASSES, np.int64(1)),
        _on(cell, planes.DEVICES, slot),
        _on(cell[looked], planes.EXPOSURE_BOX, exposure),
    ]


def chunks(rng: np.random.Generator, where: Streets, stretch: NDArray[np.int64]) -> list[Deltas]:
    """What one chunk on each of the given stretches says, each of a device of its own."""
    rolled = _roll(rng, where, stretch)
    out = []
    for i, slot in enumerate(rolled.slot):
        own = slice(rolled.edges[i], rolled.edges[i + 1])
        parts = _quiet(rolled.cell[own], rolled.length_m[own], slot)
        if rolled.finds[i]:
            parts += _found(rng, int(rng.choice(rolled.cell[own])), slot)
        out.append(merge(parts))
    return out


def together(rng: np.random.Generator, where: Streets, stretch: NDArray[np.int64]) -> Deltas:
    """The sum of `chunks`."""
    rolled = _roll(rng, where, stretch)
    parts = _quiet(rolled.cell, rolled.length_m, np.repeat(rolled.slot, np.diff(rolled.edges)))
    for i in np.flatnonzero(rolled.finds):
        parts += _found(rng, int(rng.choice(rolled.cell[rolled.edges[i] : rolled.edges[i + 1]])), rolled.slot[i])
    return merge(parts)


def _on(cells: NDArray[np.int64], plane: int, value: np.int64 | NDArray[np.int64]) -> Deltas:
    return Deltas(cells, np.full(len(cells), plane, np.uint8), np.broadcast_to(value, cells.shape))


def _found(rng: np.random.Generator, cell: int, slot: np.int64) -> list[Deltas]:
    around = neighbours(cell, 1)
    share = rng.dirichlet(np.ones(len(around)))
    named = [np.rint(rng.normal(0, 1.5) * share * UNIT).astype(np.int64) for _ in range(11)]
    return [
        _on(around, planes.LOGODDS, np.rint(np.log1p(2000 * share) * UNIT).astype(np.int64)),
        _on(around, planes.TALLY, np.int64(tally(1, float(rng.uniform(1, 3))))),
        _on(around, planes.HIT_DEVICES, slot),
        *(_on(around, planes.NAMED + k, said) for k, said in enumerate(named)),
        _on(around, planes.SIZE, np.int64((1 << 32) + round(float(rng.uniform(10, 90)) * 256))),
    ]


def updates_of(said: list[Deltas]) -> int:
    """Cell-updates: what one pass says of one square is one, however many planes it writes."""
    return sum(int(np.count_nonzero(np.diff(one.cell, prepend=-1))) for one in said)
