"""What rattles: loose covers and grids under a wheel, as hits of the cabin and as sound. Amplitudes are proposed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..plan import Meeting, Plan, Series

_LOUDEST_MPS2 = (
    9.0  # of a cover that is quite loose, at 40 km/h; less, and no box hears one over class C; more is a bump
)


@dataclass(frozen=True, eq=False)
class Hits:
    """Moments at which something loose was struck: t_s after the way's begin (h,), size_mps2 (h,)."""

    t_s: Series
    size_mps2: Series


def hits(plan: Plan, met: tuple[Meeting, ...]) -> Hits:
    """Two strikes, of going on and of leaving, for each axle; faster is louder, and passes differ by luck."""
    times, sizes = [], []
    way = plan.way
    for meeting in met:
        thing = plan.stretch.things[meeting.thing]
        if thing.rattle <= 0 or meeting.wheels == "none":
            continue
        rng = np.random.default_rng([plan.pass_seed, 441, meeting.thing])
        begin = meeting.in_s - way.t0_s
        v = max(0.5, float(np.interp(begin, np.arange(len(way.v_mps)) / 100.0, way.v_mps)))
        for behind in (0.0, plan.wheels.wheelbase_m):
            for edge in (0.1, 0.9):
                times.append(begin + (behind + edge * thing.length_m) / v)
                loud = thing.rattle * _LOUDEST_MPS2 * (v / 11.1) ** 0.6
                sizes.append(loud * float(np.exp(rng.normal(0, 0.45))) * (0.6 if edge < 0.5 else 1.0))
    return Hits(np.array(times), np.array(sizes))


def clank_mps2(plan: Plan, of: Hits, rate_hz: float, count: int) -> Series:
    """(count,) noise that rings down within 30 to 70 ms of each hit; what lies above half the rate folds into it."""
    out = np.zeros(count)
    rng = np.random.default_rng([plan.pass_seed, 442])
    for t_s, size in zip(of.t_s, of.size_mps2, strict=True):
        first = max(0, int(np.ceil(t_s * rate_hz)))
        last = min(count, first + int(0.25 * rate_hz))
        noise = rng.standard_normal(int(0.25 * rate_hz))
        if first < last:
            age = (np.arange(first, last)) / rate_hz - t_s
            out[first:last] += size * noise[: last - first] * np.exp(-age / rng.uniform(0.012, 0.03))
    return out
