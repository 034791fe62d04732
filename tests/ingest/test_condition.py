"""Devices with a fault, simulated: each is named for what it has, and the healthy ones beside it for nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import reduce
from itertools import permutations
from operator import add
from pathlib import Path

import numpy as np
import pytest

from grid import locate
from ingest import (
    Chunk,
    City,
    Condition,
    ConditionOptions,
    Trust,
    inspect,
    missing_share,
    trust,
    weights_digest,
)
from ingest.condition import LOOK_EVERY, NEVER_MS
from sensors_sim import trips

OPTIONS = ConditionOptions()
UNTIL_S = 1_795_500_000.0
DAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def drives(city: City) -> dict[str, list[Chunk]]:
    """Chunks of a healthy box and a healthy phone, some 35 each."""
    found: dict[str, list[Chunk]] = {"box": [], "phone": []}
    # A phone keeps the ends of its drive to itself: it drives two rounds for what a box tells of one.
    for boxes, phones, passes in ((1, 0, 1), (0, 1, 2)):
        for _, kind, chunk in trips(city, 7, boxes, phones, passes, UNTIL_S):
            found[kind].append(chunk)
    return found


def seen(city: City, chunks: list[Chunk], delay_s: float = 0.8) -> Condition:
    """What the chunks show when every one of them is looked at; each comes ``delay_s`` after its end or later."""
    found = Condition()
    for n, chunk in enumerate(chunks):
        at_s = chunk.end_s + delay_s + n % 5
        found += inspect(replace(chunk, seq=0), locate(chunk, city).faults, at_s, OPTIONS)
    return found


def stuck(chunk: Chunk) -> Chunk:
    acc = chunk.acc_counts.copy()
    acc[:, 1] = acc[0, 1]
    return replace(chunk, acc_counts=acc)


def stuck_gyroscope(chunk: Chunk) -> Chunk:
    assert chunk.gyro_counts is not None
    return replace(chunk, gyro_counts=np.zeros_like(chunk.gyro_counts))


def saturated(chunk: Chunk) -> Chunk:
    """Six times the gain: at rest it looks like a sensor, a third of a g is beyond its 16 bits."""
    counts = np.clip(chunk.acc_counts.astype(np.int64) * 6, -32768, 32767).astype(np.int16)
    return replace(chunk, acc_counts=counts, acc_scale_mps2=chunk.acc_scale_mps2 / 6)


def flat_topped(chunk: Chunk) -> Chunk:
    """A sensor of 2 g on a rough road, whose counts never come near the limits of 16 bits."""
    mean = chunk.acc_counts.mean(axis=0)
    top = round(0.8 * 9.80665 / chunk.acc_scale_mps2)
    rough = (chunk.acc_counts - mean) * 6
    return replace(chunk, acc_counts=(mean + np.clip(rough, -top, top)).astype(np.int16))


def repeating(chunk: Chunk) -> Chunk:
    return replace(chunk, acc_counts=np.repeat(chunk.acc_counts[::2], 2, axis=0)[: len(chunk.acc_counts)])


def resonant(chunk: Chunk) -> Chunk:
    """A holder that rings at 14 Hz with a sixth of a g."""
    tone = np.sin(2 * np.pi * 14 * (chunk.sample_t_s - chunk.t0_s)) * 1.6 / chunk.acc_scale_mps2
    mean = chunk.acc_counts.mean(axis=0)
    along = mean / np.sqrt((mean * mean).sum())
    return replace(chunk, acc_counts=(chunk.acc_counts + np.rint(tone[:, None] * along)).astype(np.int16))


def sounding_at_any_speed(chunk: Chunk) -> Chunk:
    """A tone that follows the speed is the engine's or the road's, not the device's."""
    hz = 6 + float(chunk.fixes.speed_mps.mean()) % 4 * 3
    tone = np.sin(2 * np.pi * hz * (chunk.sample_t_s - chunk.t0_s)) * 1.6 / chunk.acc_scale_mps2
    return replace(chunk, acc_counts=chunk.acc_counts + np.rint(tone[:, None] * [0, 0, 1]).astype(np.int16))


def on_a_bike(chunk: Chunk) -> Chunk:
    return replace(chunk, carrier="bike", fixes=replace(chunk.fixes, speed_mps=chunk.fixes.speed_mps * np.float32(2.5)))


def boastful(chunk: Chunk) -> Chunk:
    """It states centimetres and wanders by metres."""
    rng = np.random.default_rng(chunk.seq)
    lat = chunk.fixes.lat_deg + rng.normal(0, 3e-5, len(chunk.fixes.lat_deg))
    return replace(chunk, fixes=replace(chunk.fixes, lat_deg=lat))


@pytest.mark.parametrize("kind", ["box", "phone"])
def test_a_healthy_device_has_no_fault(city: City, drives: dict[str, list[Chunk]], kind: str) -> None:
    found = seen(city, drives[kind])
    assert found.looked > OPTIONS.least
    assert found.delay_ms == 800
    days = {DAY + timedelta(n): replace(found, delay_ms=800 + 300 * (n % 2)) for n in range(7)}
    assert trust(days, kind, OPTIONS) == Trust(100)


@pytest.mark.parametrize(
    ("broken", "kind", "fault", "weight"),
    [
        (stuck, "box", "stuck", 0),
        (stuck, "phone", "stuck", 0),
        (stuck_gyroscope, "box", "stuck", 0),
        (saturated, "box", "saturated", 25),
        (flat_topped, "box", "saturated", 25),
        (repeating, "phone", "repeats", 0),
        (resonant, "phone", "resonance", 25),
        (resonant, "box", "resonance", 25),
        (on_a_bike, "phone", "speed", 0),
        (boastful, "box", "accuracy", 50),
    ],
)
def test_a_fault_is_named(city: City, drives: dict[str, list[Chunk]], broken, kind, fault, weight) -> None:  # type: ignore[no-untyped-def]
    found = seen(city, [broken(c) for c in drives[kind]] * 2)  # two rounds: enough of it at an even speed
    assert trust({DAY: found}, kind, OPTIONS) == Trust(weight, (fault,))


def test_a_tone_that_follows_the_speed_is_not_the_devices_own(city: City, drives: dict[str, list[Chunk]]) -> None:
    found = seen(city, [sounding_at_any_speed(c) for c in drives["box"]] * 2)
    assert found.tonal > OPTIONS.tonal_share * found.steady
    assert trust({DAY: found}, "box", OPTIONS).faults == ()


def test_a_fault_for_a_moment_is_none(city: City, drives: dict[str, list[Chunk]]) -> None:
    """One chunk in thirty with a stuck axis: a plug that shook, or a lucky run of a coarse sensor."""
    once = [stuck(drives["box"][5]), *drives["box"]]
    found = seen(city, once)
    assert found.stuck == 1
    assert trust({DAY: found}, "box", OPTIONS).faults == ()


@pytest.mark.parametrize(
    ("delays_s", "fault"),
    [
        ([0.5, 0.7, 0.4, 0.6, 0.9, 0.5, 0.6], False),
        ([0.5, 5.4, 10.6, 15.5], True),  # it falls behind by 5 s a day
        ([0.5, 5.4], False),  # two days are a line whatever they say
        ([-0.4, -1.3, -0.2], False),
        ([0.5, -4.6, -9.5], True),  # it runs ahead
        ([0.5, -4.6, 0.4], False),  # our own clock, one day
        ([30.0, 30.4, 30.1, 29.8], False),  # a slow network, always: nobody can tell
        ([40_000.0, 38_000.0, 45_000.0, 41_500.0], False),  # it comes home at night
        ([900.0, 1800.0, 2700.0, 3700.0, 4600.0], False),  # a depot whose shift moves: not to the second
    ],
)
def test_a_clock_is_judged_by_its_days(
    city: City, drives: dict[str, list[Chunk]], delays_s: list[float], fault: bool
) -> None:
    found = seen(city, drives["box"])
    days = {DAY + timedelta(n): replace(found, delay_ms=round(s * 1000)) for n, s in enumerate(delays_s)}
    assert trust(days, "box", OPTIONS) == (Trust(0, ("clock",)) if fault else Trust(100))


def test_chunks_that_wait_in_a_depot_do_not_hide_the_clock(city: City, drives: dict[str, list[Chunk]]) -> None:
    """Only the least delay of a day counts, whatever comes again or late."""
    chunk = drives["box"][0]
    faults = locate(chunk, city).faults
    late = [inspect(chunk, faults, chunk.end_s + s, OPTIONS) for s in (40_000, 5.5, 90)]
    assert reduce(add, late).delay_ms == 5500


def test_newcomers_have_a_weight_of_their_own(city: City, drives: dict[str, list[Chunk]]) -> None:
    few = seen(city, drives["phone"][:10])
    assert 0 < few.looked < OPTIONS.known
    assert trust({DAY: few}, "phone", OPTIONS) == Trust(50)
    assert trust({DAY: few}, "box", OPTIONS) == Trust(100)
    assert trust({}, "phone", OPTIONS) == Trust(50)
    broken = seen(city, [stuck(c) for c in drives["phone"][:20]])
    assert OPTIONS.least <= broken.looked < OPTIONS.known
    assert trust({DAY: broken}, "phone", OPTIONS) == Trust(0, ("stuck",))


def test_gaps_are_told_and_cost_nothing(city: City, drives: dict[str, list[Chunk]]) -> None:
    found = seen(city, drives["box"] * 2)
    assert trust({DAY: found}, "box", OPTIONS, missing=0.25) == Trust(100, ("gaps",))
    assert trust({DAY: found}, "box", OPTIONS, missing=0.15) == Trust(100)
    assert missing_share([("a", 0, 0b1111), ("b", 0, 0b1001), ("b", 1, 0b1)]) == pytest.approx(1 - 7 / 69)
    assert missing_share([("a", 0, -1), ("a", 1, -1)]) == 0
    assert missing_share([]) == 0


def test_the_order_of_chunks_does_not_matter(city: City, drives: dict[str, list[Chunk]]) -> None:
    parts = [seen(city, drives["box"][n : n + 4], 0.1 * n) for n in range(0, 16, 4)]
    assert len({reduce(add, order, Condition()) for order in permutations(parts)}) == 1
    assert Condition().delay_ms == NEVER_MS


def test_every_eighth_chunk_is_looked_at_and_only_in_motion(city: City, drives: dict[str, list[Chunk]]) -> None:
    chunk = max(drives["box"], key=lambda c: float(c.fixes.speed_mps.min()))
    faults = locate(chunk, city).faults
    looked = [inspect(replace(chunk, seq=n), faults, chunk.end_s, OPTIONS).looked for n in range(2 * LOOK_EVERY)]
    assert looked == [1, *[0] * 7, 1, *[0] * 7]
    parked = replace(chunk, seq=0, fixes=replace(chunk.fixes, speed_mps=chunk.fixes.speed_mps * np.float32(0)))
    assert inspect(parked, faults, chunk.end_s, OPTIONS).looked == 0
    silent = replace(chunk, seq=0, fixes=replace(chunk.fixes, speed_mps=chunk.fixes.speed_mps * 0 - np.float32(1)))
    assert inspect(silent, faults, chunk.end_s, OPTIONS).looked == 0


def test_the_hash_of_weights_holds_names_and_weights_and_tells_neither() -> None:
    salt, weights = b"0" * 16, {"box-1": 100, "phone-1": 50}
    digest = weights_digest(salt, weights)
    assert digest == weights_digest(salt, dict(reversed(weights.items())))
    assert len({digest, weights_digest(b"1" * 16, weights), weights_digest(salt, weights | {"box-1": 99})}) == 3
    assert digest != weights_digest(salt, {"box-2": 100, "phone-1": 50})


@pytest.mark.recordings
def test_real_phones_in_real_cars_have_no_fault(city: City, recordings: Path) -> None:
    from ingest.recordings import drives_in, read_drive, recorded  # noqa: PLC0415

    found = Condition()
    for folder in drives_in(recordings):
        found += seen(city, list(recorded(read_drive(folder), city, UNTIL_S)))
    assert found.looked > 150
    assert found.steady > 50
    assert trust({DAY: found}, "phone", OPTIONS) == Trust(100)
