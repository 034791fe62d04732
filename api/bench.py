"""What the pure parts cost on this machine. Rates of one process; compare them within one run only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from defects import merge, observe, unknown_codes
from defects import recode as reading
from grid import Zone, cells_at, project, unproject
from ingest import Chunk, City, Fixes, decode, encode, read_city

from .tiles import blocks_needed, paint
from .wiring import EVIDENCE, HEALTH

_FOR_S = 1.0


@dataclass(frozen=True)
class _Timed:
    each_s: float
    rounds: int


def _time(work: Callable[[], object]) -> _Timed:
    work()
    rounds, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < _FOR_S:
        work()
        rounds += 1
    return _Timed(spent / rounds, rounds)


def bench_chunk(city: City, seed: int = 1) -> Chunk:
    """A 5 s chunk of a box at 100 Hz on a rough road, for timing only: noise, not physics."""
    rng = np.random.default_rng(seed)
    start_s = 1_700_000_000.0 - 1_700_000_000.0 % 5
    day = city.service_day(start_s)
    acc = np.concatenate([rng.normal(0, 0.5, (900, 2)), rng.normal(9.8, 1.0, (900, 1))], axis=1)
    t = start_s - 2 + np.arange(46) / 5
    lon, lat = city.centre_deg
    return Chunk(
        trip=f"{day:%Y%m%d}-{seed:016x}", seq=0, start_s=start_s, end_s=start_s + 5, t0_s=start_s - 2, rate_hz=100.0,
        carrier="bus", origin="simulated", datum=city.frame.lower(), acc_scale_mps2=1 / 1024,
        acc_counts=np.rint(acc * 1024).astype(np.int16), gyro_scale_radps=1 / 4096,
        gyro_counts=rng.integers(-400, 400, (900, 3)).astype(np.int16),
        fixes=Fixes(
            t, lat + 1e-4 * np.arange(46.0), np.full(46, lon), np.full(46, 0.075, np.float32),
            np.full(46, 11.1, np.float32), np.full(46, 0.0, np.float32),
        ),
    )  # fmt: skip


def run_bench() -> list[dict[str, Any]]:
    """Rows of part, unit, rate per second and microseconds each."""
    city = read_city((Path(__file__).resolve().parent.parent / "city.toml").read_text())
    zone = Zone(city.utm_zone, city.utm_north)
    rng = np.random.default_rng(1)
    n = 100_000
    lon = city.centre_deg[0] + rng.uniform(-0.1, 0.1, n)
    lat = city.centre_deg[1] + rng.uniform(-0.1, 0.1, n)
    x, y = project(lon, lat, zone)
    chunk = bench_chunk(city)
    data = encode(chunk)
    observed = observe(chunk, "box", 1, city, EVIDENCE)
    evidence = reading.by_block(observed.deltas)
    day = date(2026, 1, 1)
    blocks = {block: {day: e} for block, e in evidence.items()}
    x0, y0 = float(x[0]), float(y[0])
    lon0, lat0 = unproject(x0, y0, zone)
    tile = tile_at(float(lon0), float(lat0), 19)
    codes = {block: unknown_codes() for block in blocks_needed(*tile, zone)}
    parts: list[tuple[str, str, float, _Timed]] = [
        ("position to square", "points", n, _time(lambda: cells_at(*project(lon, lat, zone), zone))),
        ("metres to degrees", "points", n, _time(lambda: unproject(x, y, zone))),
        ("decode a 5 s chunk", "vehicle-seconds", 5, _time(lambda: decode(data))),
        ("observe a 5 s chunk", "vehicle-seconds", 5, _time(lambda: observe(chunk, "box", 1, city, EVIDENCE))),
        ("merge 100 chunks' deltas", "vehicle-seconds", 500, _time(lambda: merge([observed.deltas] * 100))),
        ("read out codes", "blocks", len(blocks), _time(lambda: reading.recode(set(blocks), blocks, day, HEALTH))),
        ("paint a tile, zoom 19", "tiles", 1, _time(lambda: paint(*tile, zone, codes))),
    ]
    return [
        {
            "part": name, "unit": unit, "per_second": round(many / timed.each_s), "us_each": timed.each_s / many * 1e6,
            "rounds": timed.rounds,
        }
        for name, unit, many, timed in parts
    ]  # fmt: skip


def tile_at(lon: float, lat: float, z: int) -> tuple[int, int, int]:
    """Zoom, column and row of the map tile that holds a place in degrees."""
    size = 1 << z
    mercator = np.arcsinh(np.tan(np.radians(lat)))
    return z, int((lon + 180) / 360 * size), int((1 - mercator / np.pi) / 2 * size)
