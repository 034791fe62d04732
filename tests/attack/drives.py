"""What the phones of a town send: chunks of every drive, and which of them the rule of trimming lets go."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grid import Zone, project, unproject
from ingest import Chunk, City, Fixes

from ..roads import G, bump
from .town import STEP_M, Citizen, Town

SPEED_MPS = 7.0
OWNED_S = 15.0
STANDS_S = 4.0
FELT = 0.85
"""Of the rough spots passed."""
TRIM_S_A_M = 60.0 / 200.0
"""The rule is 200 m and 60 s; where another length is tried, the time goes with it."""
DAY_S = 86_400.0


@dataclass(frozen=True, eq=False)
class Sent:
    """A chunk of a drive. ends_m, ends_s: how far its nearest end of the trip is, by road and by clock; a chunk goes
    out whole or not at all."""

    device: str
    kind: str
    day: int
    chunk: Chunk
    ends_m: float
    ends_s: float

    def let_go(self, trim_m: float) -> bool:
        """Whether a phone that trims so many metres, and the time that goes with them, sends it. Boxes hide nothing."""
        return self.kind == "box" or not trim_m or (self.ends_m >= trim_m and self.ends_s >= trim_m * TRIM_S_A_M)


def drive(
    town: Town, city: City, rng: np.random.Generator, device: str, kind: str, day: int, route: list[int], start_s: float
) -> Iterator[Sent]:
    """One drive along a route of places, with a few seconds of standing at both ends."""
    rate_hz = 100.0 if kind == "box" else 50.0
    x0, y0 = (float(v) for v in project(*city.centre_deg, Zone(city.utm_zone, city.utm_north)))
    xy = town.xy_m[route] + np.array([x0, y0])
    along = np.arange(len(route)) * STEP_M
    whole_s = float(along[-1]) / SPEED_MPS
    hits = [
        (i + 0.5) * STEP_M / SPEED_MPS
        for i in range(len(route) - 1)
        if (min(route[i : i + 2]), max(route[i : i + 2])) in town.rough and rng.random() < FELT
    ]
    peaks = rng.uniform(0.8, 1.2, len(hits))
    radius_m = 0.8 if kind == "box" else float(rng.uniform(3.0, 5.0) if rng.random() < 0.8 else rng.uniform(5.5, 9.0))
    fix_t = np.arange(-STANDS_S, whole_s + STANDS_S + 0.5)
    error = _lasting(rng, len(fix_t), radius_m / 1.5096)
    at_m = np.clip(fix_t, 0, whole_s) * SPEED_MPS
    lon, lat = unproject(
        np.interp(at_m, along, xy[:, 0]) + error[:, 0], np.interp(at_m, along, xy[:, 1]) + error[:, 1],
        Zone(city.utm_zone, city.utm_north),
    )  # fmt: skip
    speed = np.where((fix_t > 0) & (fix_t < whole_s), SPEED_MPS, 0.0).astype(np.float32)
    trip = f"{city.service_day(start_s):%Y%m%d}-{int(rng.integers(1 << 60)):016x}"
    for seq in range(max(1, int(whole_s // OWNED_S))):
        begin = seq * OWNED_S
        t = begin - 2 + np.arange(int((OWNED_S + 4) * rate_hz)) / rate_hz
        heave = np.zeros(len(t))
        for hit_s, peak in zip(hits, peaks.tolist(), strict=True):
            if begin - 3 < hit_s < begin + OWNED_S + 3:
                heave += peak * G * bump(t - hit_s)
        near = np.flatnonzero((fix_t >= t[0] - 1) & (fix_t <= t[-1] + 1))
        acc = np.stack([np.zeros(len(t)), np.zeros(len(t)), G + heave], axis=1)
        chunk = Chunk(
            trip=trip, seq=seq, start_s=start_s + begin, end_s=start_s + begin + OWNED_S, t0_s=start_s + float(t[0]),
            rate_hz=rate_hz, carrier="bus" if kind == "box" else "car", origin="simulated", datum=city.frame.lower(),
            acc_scale_mps2=1 / 512, acc_counts=np.rint(acc * 512).astype(np.int16),
            fixes=Fixes(
                start_s + fix_t[near], lat[near], lon[near], np.full(len(near), radius_m, np.float32), speed[near],
                np.full(len(near), -1.0, np.float32),
            ),
        )  # fmt: skip
        # What a chunk knows of beyond its own interval counts: its context must not reach into what is held back.
        first_s, last_s = begin - 3, begin + OWNED_S + 3
        road_m = min(first_s, whole_s - last_s) * SPEED_MPS
        crow = [math.dist(_at(xy, along, s), end) for s, end in ((first_s, xy[0]), (last_s, xy[-1]))]
        yield Sent(device, kind, day, chunk, min(road_m, *crow), min(first_s, whole_s - last_s))


def _at(xy: NDArray[np.float64], along: NDArray[np.float64], t_s: float) -> tuple[float, float]:
    m = t_s * SPEED_MPS
    return float(np.interp(m, along, xy[:, 0])), float(np.interp(m, along, xy[:, 1]))


def _lasting(rng: np.random.Generator, n: int, sigma_m: float) -> NDArray[np.float64]:
    """Errors of n fixes that last half a minute, as those of a phone in a street do."""
    keep = math.exp(-1 / 30)
    error = rng.normal(0, sigma_m, (n, 2))
    for i in range(1, n):
        error[i] = keep * error[i - 1] + math.sqrt(1 - keep**2) * error[i]
    return error


def all_drives(
    town: Town, city: City, rng: np.random.Generator, citizens: list[Citizen], days: int, first_s: float
) -> Iterator[Sent]:
    """Everybody's drives to work and back, and a bus on some main streets, day by day. ``first_s``: a time in the
    service day 0, early in the morning."""
    for day in range(days):
        today_s = first_s + day * DAY_S
        for c in citizens:
            if day in c.days:
                out, back = list(c.to_work), list(c.to_work)[::-1]
                yield from drive(town, city, rng, c.name, "phone", day, out, today_s + float(rng.uniform(0, 7200)))
                yield from drive(
                    town, city, rng, c.name, "phone", day, back, today_s + 36_000 + float(rng.uniform(0, 7200))
                )
        for n, street in enumerate(town.main[:4]):
            yield from drive(town, city, rng, f"bus-{n}", "box", day, list(street), today_s + 20_000 + 60 * n)
