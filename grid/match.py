"""On which road, and in which lane, was a fix taken: a hidden Markov model over the roads nearby.

States of a fix are the places on roads near it, in each direction in which they may be driven. As in Newson & Krumm,
Hidden Markov map matching through noise and sparseness (2009), what is driven between two fixes is about as long as the
straight line between them, the difference falling off exponentially, and the likeliest sequence is found by Viterbi's
algorithm. Ours differs in three things. Errors of positions last for half a minute, so fixes that follow at once count
for less than one each. Where across the road a fix lies is weighed by the width of what is driven there, not by
the distance to the axis. And turning back has its price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .roadnet import INDEX_M, RoadNet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class FixesError(ValueError):
    """Fixes that cannot be matched; the text says which column is wrong, and where."""


@dataclass(frozen=True)
class MatchOptions:
    """What is believed of fixes, roads and drivers. All proposed, but where another source is named."""

    axis_sigma_m: float = 1.0
    """Error of the drawn axis. Smaller, and lanes are claimed that a map drawn from pictures cannot carry; from 2 m on
    no lane of 3.5 m is ever claimed."""
    width_sigma_m: float = 1.0
    """Added where a width is only the usual one. Smaller: lanes of roads nobody measured; larger: none."""
    lasts_s: float = 20.0
    """How long an error of positions lasts (domain notes: half a minute at phones). Shorter, and a phone that is 8 m
    off for a minute is sure of the parallel road; longer, and a real change of road is noticed late."""
    radius_sigmas: float = 4.0
    """Roads are looked for so far away, in standard deviations. Fewer lose the road driven, more cost time."""
    radius_least_m: float = 20.0
    """And at least so far: half of the widest carriageway. Less, and a box at the kerb of ten lanes finds no road."""
    radius_most_m: float = 120.0
    """And at most: farther away are other quarters, and thousands of candidates."""
    middle_m: float = 0.5
    """How far over the middle one drives on a road of two directions. 0 calls whoever passes a bicycle a wrong-way
    driver; half a lane makes both directions alike."""
    keep_right: bool = True
    stray: float = 0.02
    """Share of fixes and of headings that say nothing. 0 breaks a chain at one reflection; a fifth follows none."""
    heading_sigma_deg: float = 15.0
    """Of a stated heading against the drawn road, with lane changes and corners of the map. Under 5 every turn is an
    outlier; over 40 a side road is no different."""
    slowest_mps: float = 2.0
    """Under this a receiver's heading is noise; over 10 most of a city's driving has none."""
    beta_m: float = 4.0
    """Scale of route less straight line that is always there: lanes, corners cut. Simulated: 2 and 4 do alike, and 4
    knows better how sure it is. Under 0.5 a turn at a crossing is
    implausible; over 10 a detour round the block is free."""
    beta_share: float = 0.05
    """And its share of the straight line, for bends between fixes far apart. 0: a winding road is a detour; .5: any way
    through the quarter is alike."""
    bound_m: float = 120.0
    """A route is looked for up to this, and ``bound_share`` of the straight line. Less, and one-way blocks break
    chains; more costs time with the square."""
    bound_share: float = 2.0
    """Under 1.5 a hole round a corner is a break; over 4 a hole of a kilometre searches the town."""
    turn_m: float = 30.0
    """Turning back costs as much way when the route is chosen. 0: every reflection is a U-turn; 200: one is rather held
    to have driven round the block."""
    turn_log: float = 4.0
    """And as much in log probability. 1: noise turns; 20: even a bus at its terminus does not."""
    fastest_mps: float = 60.0
    """Nobody drives faster, so what would need it is left out. Under 40 an expressway breaks;
    over 200 a reflection is a drive."""
    gap_s: float = 120.0
    """After as long without a fix a new chain begins. Longer: a guess fills it; shorter: tunnels break chains."""
    skips: int = 3
    """Fixes in sequence that no road reaches before a new chain begins. 0: every jump breaks; 20: a ferry is a jump."""
    lane_least: float = 0.8
    """A lane is told if section and lane together are as probable; else it is 0, unknown. Lower, and the wrong lane is
    named beside a line; 1 tells none."""
    lane_fine: float = 0.4
    """Where there is a choice, lanes are told only if fix and axis err less than this share of a lane. Above .6 the
    tails speak, and phones that understate their sigma (simulated: half of such lanes are wrong); under .3 a box tells
    none."""
    lane_wrong: float = 0.02
    """Weight of a lane of the other direction. 0 cannot see who overtakes there; 1 does not use the direction."""


OPTIONS = MatchOptions()


@dataclass(frozen=True, eq=False)
class Matched:
    """Of each of n fixes. section: its number, 0 unmatched; forward: driven along the drawing; along_m: from the
    section's beginning as drawn; lateral_m: to the left of the drawn axis; probability: of the section, 0 unmatched;
    lane: 1 from the left edge as drawn, 0 unknown; lane_probability: of the likeliest lane, told or not, given the
    section; chain: fixes with one number are joined by a way, -1 unmatched. path_first (n + 1,), path: see `way_to`."""

    section: Ints
    forward: NDArray[np.bool_]
    along_m: Floats
    lateral_m: Floats
    probability: Floats
    lane: Ints
    lane_probability: Floats
    chain: Ints
    path_first: Ints
    path: Ints

    def way_to(self, i: int) -> Ints:
        """Numbers of the sections driven from the matched fix before fix i to fix i, both of their own included; empty
        at the beginning of a chain and where i is unmatched."""
        return self.path[self.path_first[i] : self.path_first[i + 1]]


def _column(name: str, values: ArrayLike, n: int) -> Floats:
    found = np.ascontiguousarray(values, dtype=np.float64)
    if found.shape != (n,):
        raise FixesError(f"{name} has shape {found.shape}, not ({n},): give one number a fix")
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        raise FixesError(
            f"{name} of fix {bad[0]} is {found[bad[0]]}: leave the fix out (an unknown heading or speed is -1)"
        )
    return found


def _unmatched(n: int) -> Matched:
    return Matched(
        np.zeros(n, np.int64), np.zeros(n, bool), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n, np.int64),
        np.zeros(n), np.full(n, -1, np.int64), np.zeros(n + 1, np.int64), np.zeros(0, np.int64),
    )  # fmt: skip


def match(
    net: RoadNet,
    t_s: ArrayLike,
    x_m: ArrayLike,
    y_m: ArrayLike,
    sigma_m: ArrayLike,
    heading_deg: ArrayLike | None = None,
    speed_mps: ArrayLike | None = None,
    options: MatchOptions = OPTIONS,
) -> Matched:
    """The likeliest way of one device's n fixes on the roads of ``net``.

    t_s (n,): seconds, not falling; x_m, y_m: metres of the net's plane; sigma_m: standard deviation on one axis, above
    0; heading_deg: of travel, clockwise from the plane's north, -1 unknown; speed_mps: -1 unknown. Raises FixesError
    for a column of another length, a number that is not finite, times that fall or a sigma that is not above 0.
    """
    from .candidates import candidates, lanes_of  # noqa: PLC0415  numba, which who only reads the map must not wait for
    from .viterbi import way  # noqa: PLC0415

    n = len(np.atleast_1d(np.asarray(t_s)))
    t = _column("t_s", t_s, n)
    x, y, sigma = _column("x_m", x_m, n), _column("y_m", y_m, n), _column("sigma_m", sigma_m, n)
    heading = np.full(n, -1.0) if heading_deg is None else _column("heading_deg", heading_deg, n)
    speed = np.full(n, -1.0) if speed_mps is None else _column("speed_mps", speed_mps, n)
    falling = np.flatnonzero(np.diff(t) < 0)
    if len(falling):
        raise FixesError(f"t_s falls after fix {falling[0]}: sort the fixes by time, one device at a time")
    if n and float(sigma.min()) <= 0:
        raise FixesError(f"sigma_m of fix {int(sigma.argmin())} is {sigma.min()}: it must be above 0")
    if not n or not len(net.seg):
        return _unmatched(n)
    o = options
    first, arc, at, lateral, log = candidates(
        net.seg, net.seg_edge, net.seg_at_m, net.key, net.key_first, net.key_seg, INDEX_M, net.edge_section, net.edge_m,
        net.width_m, net.oneway, x, y, sigma, heading, speed, o.radius_sigmas, o.radius_least_m, o.radius_most_m,
        o.axis_sigma_m, o.keep_right, o.middle_m, o.stray, o.heading_sigma_deg, o.slowest_mps,
    )  # fmt: skip
    choice, chain, share, path_first, path = way(
        t, x, y, sigma, first, arc, at, log, net.edge_m, net.edge_section, net.arc_first, net.arc_next,
        o.lasts_s, o.beta_m, o.beta_share, o.bound_m, o.bound_share, o.turn_m, o.turn_log, o.fastest_mps, o.gap_s,
        o.skips,
    )  # fmt: skip
    out = replace(_unmatched(n), chain=chain, path_first=path_first, path=net.number[path])
    on = np.flatnonzero(choice >= 0)
    if not len(on):
        return out
    c = choice[on]
    edge = arc[c] >> 1
    section = net.edge_section[edge]
    out.section[on] = net.number[section]
    out.forward[on] = (arc[c] & 1) == 0
    out.along_m[on] = net.edge_from_m[edge] + np.where(arc[c] & 1, net.edge_m[edge] - at[c], at[c])
    out.lateral_m[on] = lateral[c]
    # A section's probability is that of all its candidates: both directions, all its edges.
    of_fix = np.repeat(np.arange(n), np.diff(first))
    chosen = np.full(n, -1, np.int64)
    chosen[on] = section
    same = net.edge_section[arc >> 1] == chosen[of_fix]
    out.probability[:] = np.bincount(of_fix[same], share[same], minlength=n)
    lane, lane_share = np.zeros(len(on), np.int64), np.zeros(len(on))
    lanes_of(
        lateral[c], sigma[on], out.forward[on], net.width_m[section], net.width_known[section], net.lanes[section],
        net.oneway[section], o.keep_right, o.axis_sigma_m, o.width_sigma_m, o.lane_fine, o.lane_wrong, lane, lane_share,
    )  # fmt: skip
    out.lane[on] = np.where(lane_share * out.probability[on] >= o.lane_least, lane, 0)
    out.lane_probability[on] = lane_share
    return out


def nearest_sections(net: RoadNet, x_m: ArrayLike, y_m: ArrayLike, radius_m: float) -> tuple[Ints, Floats]:
    """The plain way, to compare with: number of the section whose axis is nearest (0 where none is within radius_m)
    and its distance (m; radius_m where there is none), of positions (n,)."""
    from .candidates import nearest  # noqa: PLC0415  numba, as above

    n = len(np.atleast_1d(np.asarray(x_m)))
    x, y = _column("x_m", x_m, n), _column("y_m", y_m, n)
    if not len(net.seg):
        return np.zeros(n, np.int64), np.full(n, float(radius_m))
    edge, at, apart = np.full(n, -1, np.int64), np.zeros(n), np.zeros(n)
    nearest(net.seg, net.seg_edge, net.seg_at_m, net.key, net.key_first, net.key_seg, INDEX_M, x, y, float(radius_m),
            edge, at, apart)  # fmt: skip
    return np.where(edge >= 0, net.number[net.edge_section[edge]], 0), apart
