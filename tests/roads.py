"""Chunks made by hand, for tests that need to know what each of them says."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import Zone, project, unproject
from ingest import Chunk, City, Detection, Fixes, Trimmed, encode

START_S = 1_795_500_000.0
RATE_HZ = 100.0
G = 9.80665


def straight(
    city: City,
    *,
    seq: int = 0,
    speed_mps: float = 10.0,
    jolts: tuple[tuple[float, float, float], ...] = (),
    owned_s: float = 5.0,
    start_s: float = START_S,
    accuracy_m: float = 0.075,
    carrier: str = "bus",
    north_m: float = 0.0,
    detections: tuple[Detection, ...] = (),
    datum: str | None = None,
    trip: str | None = None,
    tail: str = "00000001",
) -> Chunk:
    """A drive due east (of the grid) through the city's centre at a steady speed, on a perfectly even road.

    jolts: (seconds after the trip's start, peak in g, side): a short bump; side 1 is under the left wheel, -1 the
    right, 0 both. The trip starts at ``start_s``; chunk ``seq`` owns owned_s from start_s + seq * owned_s.
    tail: what the trip is called after the service day that the chunk begins on; trip: all of its name, true or not.
    """
    zone = Zone(city.utm_zone, city.utm_north)
    x0, y0 = (float(v) for v in project(*city.centre_deg, zone))
    begin = start_s + seq * owned_s
    n = int((owned_s + 4) * RATE_HZ)
    t = begin - 2 + np.arange(n) / RATE_HZ
    heave = np.zeros(n)
    roll_rate = np.zeros(n)
    for at_s, peak_g, side in jolts:
        pulse = bump(t - start_s - at_s)
        heave += peak_g * G * pulse
        roll_rate += 0.5 * side * np.cumsum(pulse) / RATE_HZ * peak_g * G
    acc = np.stack([np.zeros(n), np.zeros(n), G + heave], axis=1)
    gyro = np.stack([roll_rate, np.zeros(n), np.zeros(n)], axis=1)
    fix_t = begin - 2.2 + np.arange(int((owned_s + 4.6) * 5)) / 5
    x = x0 + (fix_t - start_s) * speed_mps
    lon, lat = unproject(x, np.full(len(x), y0 + north_m), zone)
    day = f"{city.service_day(begin):%Y%m%d}"
    return Chunk(
        trip=trip or f"{day}-{tail}", seq=seq, start_s=begin, end_s=begin + owned_s, t0_s=float(t[0]),
        rate_hz=RATE_HZ, carrier=carrier, origin="simulated", datum=datum or city.frame.lower(),
        acc_scale_mps2=1 / 512, acc_counts=np.rint(acc * 512).astype(np.int16), gyro_scale_radps=1 / 4096,
        gyro_counts=np.rint(gyro * 4096).astype(np.int16),
        fixes=Fixes(
            fix_t, lat, lon, np.full(len(fix_t), accuracy_m, np.float32),
            np.full(len(fix_t), speed_mps, np.float32), np.full(len(fix_t), 90.0, np.float32),
        ),
        detections=detections,
        trimmed=Trimmed(200.0, 60.0),  # a box need not say it; so it is a phone's as well
    )  # fmt: skip


def just_driven(
    city: City, n: int, *, tail: str, ago_s: float = 60.0, now_s: float | None = None, **more: Any
) -> list[bytes]:
    """``n`` chunks of one `straight` drive, the last of which ended so long before now. Whatever the clock says: after
    the border of a service day its trip has the new day's name, as a device gives it."""
    start_s = (time.time() if now_s is None else now_s) - 5.0 * n - ago_s
    return [encode(straight(city, seq=seq, start_s=start_s, tail=tail, **more)) for seq in range(n)]


def bump(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """A wavelet of unit peak at 0, some 8 Hz, as a wheel on a short bump gives."""
    return np.asarray(np.exp(-((t_s / 0.06) ** 2)) * np.cos(2 * np.pi * 8 * t_s))
