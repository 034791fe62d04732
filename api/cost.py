"""What a fleet costs: bytes over SIM cards, storage, boxes and money for a city of a given size.

Bytes are measured when it is asked, on chunks encoded here; how much is driven, and every price, is assumed or given.
Each figure says which.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from defects import EvidenceOptions, merge, observe
from defects import recode as reading
from ingest import Chunk, City, Fixes, encode, summarise

_DAYS_A_MONTH = 365 / 12
_TCP_IP = 52  # IPv4 20, TCP 20 with time stamps 12, of every packet
_PACKET = 1_400
_TLS = 29  # of every record, TLS 1.3 with AES-GCM and its head


@dataclass(frozen=True)
class CityOptions:
    """What is asked. Those without a given value are assumptions; `SOURCES` says where each comes from.

    road_km: length of roads. lanes: driven lanes of a road, both directions together. passes: wanted of every lane a
    day; vehicles: or the size of the fleet. quiet: share of seconds in which a box feels nothing. stretch_s: how long
    such a stretch lasts.
    """

    road_km: float = 1_000.0
    lanes: float = 4.0
    passes: float = 1.0
    vehicles: int | None = None
    hours: float = 8.0
    kmh: float = 20.0
    quiet: float = 0.5
    stretch_s: float = 30.0
    raw_days: float = 30.0
    evidence_days: float = 365.0
    sim_gb: float = 5.0
    disk_tb_month: float = 150.0
    box: float = 3_000.0
    currency: str = "CNY"


SOURCES = {
    "road_km": "given, or a round figure",
    "lanes": "assumed: two a direction",
    "passes": "assumed: trunk roads of Hangzhou are driven daily (2025)",
    "hours": "assumed: a bus in service",
    "kmh": "assumed: a city bus with its stops",
    "quiet": "assumed; measured with a phone in a car: .89 on a good road, .03 on a medium, 0 on bad ones (4 drives)",
    "stretch_s": "assumed",
    "raw_days": "assumed: the platform's own setting for raw chunks says it",
    "evidence_days": "assumed: what is kept of a day",
    "sim_gb": "assumed price of a GB",
    "disk_tb_month": "assumed price of a TB and month, with its copy",
    "box": "assumed price of a box, fitted",
}


@dataclass(frozen=True)
class Sizes:
    """Measured on encoded chunks. raw_1s, raw_5s, summary: bytes of payload for each owned second. *_air: the same with
    all that goes round it on the way. evidence_m: bytes of evidence for each metre driven in a day."""

    raw_1s: float
    raw_5s: float
    summary: float
    raw_1s_air: float
    raw_5s_air: float
    summary_air: float
    evidence_m: float


def _drive(city: City, owned_s: float, seconds: float, seed: int = 1) -> Iterator[Chunk]:
    """A box as the simulated ones are (six axes at 100 Hz, fixes at 5 Hz, 2 s of context) at 10 m/s on a quiet road."""
    rng = np.random.default_rng(seed)
    begun_s = 1_700_000_000.0
    rate, speed_mps = 100, 10.0
    n = int((seconds + 4) * rate)
    acc = rng.normal([0.0, 0.0, 9.81], 0.2, (n, 3))
    gyro = rng.normal(0, 0.01, (n, 3))
    lon, lat = city.centre_deg
    for seq in range(int(seconds / owned_s)):
        start_s = begun_s + seq * owned_s
        at = int(seq * owned_s * rate)
        own = slice(at, at + int((owned_s + 4) * rate) + 1)
        t = start_s - 2.4 + np.arange(int((owned_s + 4.8) * 5) + 1) / 5
        east = (t - begun_s) * speed_mps / (111_320 * math.cos(math.radians(lat)))
        m = len(t)
        yield Chunk(
            trip=f"{city.service_day(start_s):%Y%m%d}-{seed:016x}", seq=seq, start_s=start_s, end_s=start_s + owned_s,
            t0_s=start_s - 2, rate_hz=float(rate), carrier="bus", origin="simulated", datum=city.frame.lower(),
            acc_scale_mps2=1 / 1024, acc_counts=np.rint(acc[own] * 1024).astype(np.int16),
            gyro_scale_radps=1 / 4096, gyro_counts=np.rint(gyro[own] * 4096).astype(np.int16),
            fixes=Fixes(
                t, np.full(m, lat), lon + east, np.full(m, 0.075, np.float32), np.full(m, speed_mps, np.float32),
                np.full(m, 90.0, np.float32),
            ),
        )  # fmt: skip


def on_air(payload: int, device: str = "hz-bus-0001") -> int:
    """Bytes both ways of one chunk by MQTT 3.1.1, QoS 1, over TLS, with its verdict: computed from the protocols.

    One packet each for the two acknowledgements, the verdict and its acknowledgement; each packet is acknowledged by
    TCP, half of them on their own.
    """
    publish = payload + 4 + 2 + len(f"rhc/v1/{device}/chunk") + 2
    body = {"v": 1, "trip": "20260302-0123456789abcdef", "accepted": [[0, 7199]], "refused": []}
    verdict = 3 + 2 + len(f"rhc/v1/{device}/verdict") + 2 + len(json.dumps(body, separators=(",", ":")))
    packets = math.ceil((publish + _TLS) / _PACKET) + 3
    return publish + 4 + verdict + 4 + 4 * _TLS + packets * _TCP_IP + packets // 2 * _TCP_IP


def measure(city: City, stretch_s: float, options: EvidenceOptions) -> Sizes:
    """Encodes a minute of a box each way, and folds it."""
    one, five = list(_drive(city, 1.0, 60.0)), list(_drive(city, 5.0, 60.0))
    stretch_s = min(max(5.0 * round(stretch_s / 5), 5.0), 60.0)
    rows = list(summarise(_drive(city, 5.0, stretch_s)))

    def each(chunks: list[Chunk]) -> tuple[float, float]:
        sizes = [len(encode(c)) for c in chunks]
        owned_s = sum(c.end_s - c.start_s for c in chunks)
        return sum(sizes) / owned_s, sum(map(on_air, sizes)) / owned_s

    # Whole blocks, not a cut at their edge: a kilometre's way, as a lane is driven in a day.
    seen = [observe(c, "box", 1, city, options) for c in _drive(city, 5.0, 100.0)]
    folded = reading.by_block(merge([s.deltas for s in seen]))
    evidence_m = sum(reading.stored_bytes(e) for e in folded.values()) / sum(s.distance_m for s in seen)
    (raw_1s, raw_1s_air), (raw_5s, raw_5s_air), (summary, summary_air) = each(one), each(five), each(rows)
    return Sizes(raw_1s, raw_5s, summary, raw_1s_air, raw_5s_air, summary_air, evidence_m)


@dataclass(frozen=True)
class Figure:
    """One line of the answer. how: measured, computed, given or assumed, and from what."""

    what: str
    value: float
    unit: str
    how: str


def cost(asked: CityOptions, given: frozenset[str], sizes: Sizes) -> list[Figure]:
    """The city's figures. given: names of the options that somebody chose.

    Raises ValueError where an option is out of its range.
    """
    _check(asked)
    lane_km = asked.road_km * asked.lanes
    km_a_vehicle = asked.hours * asked.kmh
    vehicles = asked.vehicles or math.ceil(lane_km * asked.passes / km_a_vehicle)
    km_a_day = vehicles * km_a_vehicle
    seconds = vehicles * asked.hours * 3600

    def mixed(raw: float, rows: float) -> float:
        return (1 - asked.quiet) * raw + asked.quiet * rows

    out = [
        Figure(name, float(value), unit, "given" if name in given else SOURCES[name])
        for name, value, unit in (
            ("road_km", asked.road_km, "km"), ("lanes", asked.lanes, ""), ("hours", asked.hours, "h a day"),
            ("kmh", asked.kmh, "km/h"), ("quiet", asked.quiet, "share"), ("stretch_s", asked.stretch_s, "s"),
            ("raw_days", asked.raw_days, "days"), ("evidence_days", asked.evidence_days, "days"),
        )
    ]  # fmt: skip
    if asked.vehicles is None:
        how = "given" if "passes" in given else SOURCES["passes"]
        out.append(Figure("passes", asked.passes, "a lane and day", how))
    out += [
        Figure("vehicles (boxes)", vehicles, "", "given" if asked.vehicles else "computed"),
        Figure("driven", km_a_day, "km a day", "computed"),
        Figure("passes of every lane", km_a_day / lane_km, "a day", "computed, if the fleet's ways covered all alike"),
    ]
    shared = "computed from measured bytes and the share of quiet seconds"
    for name, payload, air, by in (
        ("raw, chunks of 1 s", sizes.raw_1s, sizes.raw_1s_air, "measured: encoded here"),
        ("raw, chunks of 5 s", sizes.raw_5s, sizes.raw_5s_air, "measured: encoded here"),
        ("summary", sizes.summary, sizes.summary_air, "measured: encoded here"),
        ("raw 5 s and summaries", mixed(sizes.raw_5s, sizes.summary), mixed(sizes.raw_5s_air, sizes.summary_air),
         shared),
    ):  # fmt: skip
        out.append(Figure(f"{name}: payload", payload, "B/s", by))
        out.append(Figure(f"{name}: on air", air, "B/s", f"{by}; heads of MQTT, TLS, TCP and IP computed"))
        if name == "summary":
            continue
        gb = air * seconds * _DAYS_A_MONTH / 1e9
        price = "given" if "sim_gb" in given else SOURCES["sim_gb"]
        out += [
            Figure(f"{name}: SIM, each", gb / vehicles, "GB a month", "computed from measured bytes"),
            Figure(f"{name}: SIM, all", gb, "GB a month", "computed from measured bytes"),
            Figure(f"{name}: SIM, all", gb * asked.sim_gb, f"{asked.currency} a month", f"computed; price: {price}"),
            Figure(f"{name}: raw store", payload * seconds * asked.raw_days / 1e9, "GB",
                   "computed from measured bytes; without indexes, and before compression"),
        ]  # fmt: skip
    metres = min(km_a_day, lane_km) * 1000
    evidence_gb = sizes.evidence_m * metres * asked.evidence_days / 1e9
    raw_gb = mixed(sizes.raw_5s, sizes.summary) * seconds * asked.raw_days / 1e9
    disk = "given" if "disk_tb_month" in given else SOURCES["disk_tb_month"]
    box = "given" if "box" in given else SOURCES["box"]
    return [
        *out,
        Figure("evidence of a lane driven", sizes.evidence_m, "B/m and day", "measured: folded and packed here"),
        Figure("evidence", evidence_gb, "GB", "computed from measured bytes; a second pass adds little to a day's"),
        Figure("disk, with summaries", (raw_gb + evidence_gb) / 1000 * asked.disk_tb_month,
               f"{asked.currency} a month", f"computed; price: {disk}"),
        Figure("boxes", vehicles * asked.box, f"{asked.currency} once", f"computed; price: {box}"),
    ]  # fmt: skip


_RANGES: dict[str, tuple[float, float]] = {
    "road_km": (0.001, 1e6), "lanes": (0.1, 20), "passes": (0.001, 1e4), "hours": (0.1, 24), "kmh": (1, 130),
    "quiet": (0, 1), "stretch_s": (5, 60), "raw_days": (0, 36_500), "evidence_days": (0, 36_500), "sim_gb": (0, 1e9),
    "disk_tb_month": (0, 1e9), "box": (0, 1e9), "vehicles": (1, 1e7),
}  # fmt: skip


def _check(asked: CityOptions) -> None:
    for name, (low, high) in _RANGES.items():
        value = getattr(asked, name)
        if value is not None and not low <= value <= high:
            raise ValueError(f"--{name.replace('_', '-')} is {value:g}: give {low:g} to {high:g}")


def asked_with(changes: dict[str, Any]) -> tuple[CityOptions, frozenset[str]]:
    """The options with what was given, and which that was; what is None was not given."""
    given = {k: v for k, v in changes.items() if v is not None}
    return replace(CityOptions(), **given), frozenset(given)
