"""What a box sends of a quiet road: few bytes, every moment once, and never less than the samples where it was not."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from grid import locate
from ingest import (
    ConditionOptions,
    Laser,
    NoGo,
    Reason,
    Refused,
    SummaryOptions,
    admit,
    decode,
    encode,
    inspect,
    redact,
    summarise,
)
from ingest.summary import heave_mps2, is_quiet

from ..roads import G, straight
from .chunks import START_S, box_chunk


def drive(city, n, **more):
    return [straight(city, seq=seq, **more) for seq in range(n)]


def noisy(chunk, rms_g, seed=0):
    """The chunk with white noise on all axes, the same at the same moment whichever chunk holds it."""
    first = round(chunk.t0_s * chunk.rate_hz) % 10**6
    noise = np.random.default_rng(seed).normal(0, rms_g * G, (10**4, 3))[np.arange(first, first + 900) % 10**4]
    return replace(chunk, acc_counts=chunk.acc_counts + np.rint(noise / chunk.acc_scale_mps2).astype(np.int16))


def owned(chunks):
    return [(c.start_s, c.end_s) for c in chunks]


def test_a_quiet_minute_costs_under_100_bytes_a_second_with_all_that_goes_round_it(city):
    """On the wire, with the topic and the headers of MQTT (2 + 2 + 30 bytes), TCP and IP (two packets of 52)."""
    raw = [noisy(c, 0.02) for c in drive(city, 12)]
    (one,) = summarise(raw)
    payload = encode(one)
    assert one.end_s - one.start_s == 60
    per_second = (len(payload) + 34 + 3 * 52) / 60
    assert per_second <= 100
    assert len(payload) / 60 < 70
    assert sum(len(encode(c)) for c in raw) / 60 > 15 * per_second
    for seconds, most in ((20, 100), (10, 130)):
        (short,) = summarise(raw[: seconds // 5])
        assert (len(encode(short)) + 34 + 3 * 52) / seconds <= most, "where a jolt cuts it short"


def test_the_door_takes_it_and_it_comes_back_to_the_bit(city):
    for chunk in summarise([noisy(c, 0.02) for c in drive(city, 30)]):
        payload = encode(chunk)
        assert encode(decode(payload)) == payload
        admit(decode(payload), "box", city, chunk.end_s + 60)


def test_every_moment_is_owned_once_and_in_order(city):
    raw = drive(city, 40, jolts=((31.0, 0.9, 1.0), (100.2, 0.4, 0.0), (146.0, 0.9, 0.0)))
    out = list(summarise(raw))
    assert owned(out)[0][0] == raw[0].start_s
    assert owned(out)[-1][1] == raw[-1].end_s
    assert all(a.end_s == b.start_s for a, b in pairwise(out))
    assert [c.seq for c in out] == list(range(len(out)))
    assert {c.trip for c in out} == {raw[0].trip}
    assert max(c.end_s - c.start_s for c in out) <= 60


def test_samples_go_as_they_are_wherever_a_jolt_is_near(city):
    at = (31.0, 100.2, 146.0, 199.0)
    raw = drive(city, 45, jolts=tuple((t, 0.9, 0.0) for t in at))
    begun_s = raw[0].start_s
    out = list(summarise(raw))
    samples = [c for c in out if c.quiet is None]
    for t in at:
        # Each lies near a border: what filters reach belongs to the neighbour as well.
        for moment in (t - 1.4, t, t + 1.4):
            assert any(c.start_s <= begun_s + moment < c.end_s for c in samples)
    assert len(samples) == 8
    by_start = {c.start_s: c for c in raw}
    for c in samples:
        assert encode(replace(c, seq=0)) == encode(replace(by_start[c.start_s], seq=0))


def test_the_gate_misses_nothing_that_the_platform_calls_a_jolt(city):
    from api.wiring import EVIDENCE  # noqa: PLC0415 (the one place that knows both)
    from defects import observe  # noqa: PLC0415

    fixed_scale = replace(EVIDENCE, models={})  # what a recogniser alone finds, no box knows of
    loudest = 0
    for n in range(60):
        speed = 15 / 3.6 + n % 10
        chunk = straight(city, speed_mps=speed, jolts=((2.0, 0.10 + n * 0.004, 0.0),))
        if observe(chunk, "box", 1, city, fixed_scale).findings:
            assert not is_quiet(chunk, SummaryOptions())
        else:
            loudest += 1
    assert 0 < loudest < 60


def test_a_row_says_what_the_samples_said(city):
    raw = [noisy(c, 0.015) for c in drive(city, 3)]
    (one,) = summarise(raw)
    quiet = one.quiet
    middle = raw[1]
    heave = np.abs(heave_mps2(middle))
    t = middle.sample_t_s
    for row in range(7, 10):
        begin_s = one.t0_s + row * quiet.step_s
        inside = (t >= begin_s) & (t < begin_s + quiet.step_s)
        peak = heave[inside].max()
        assert peak <= quiet.peak_counts[row] * quiet.scale_mps2 <= peak + 2 * quiet.scale_mps2
    # White noise: the power of an octave band is its share of all that the sensor passes, doubling with each octave.
    level = (quiet.level_counts * quiet.scale_mps2).mean(axis=0)
    assert list(level) == sorted(level)
    width_hz = quiet.centre_hz[3] * (np.sqrt(2) - 1 / np.sqrt(2))
    assert level[3] == pytest.approx(0.015 * G * np.sqrt(width_hz / 50), rel=0.15)


def test_rows_cover_the_owned_time_and_are_full(city):
    raw = drive(city, 3)
    short = replace(raw[2], end_s=raw[2].start_s + 1.3)  # a leg's end
    (one,) = summarise([*raw[:2], short])
    assert one.t0_s <= one.start_s
    assert one.measured_until_s >= one.end_s
    assert one.measured_until_s <= short.measured_until_s + 1e-6
    ends = replace(short, acc_counts=short.acc_counts[:380], gyro_counts=short.gyro_counts[:380])  # .5 s later
    (one,) = summarise([*raw[:2], ends])
    assert one.end_s - 1.5 <= one.measured_until_s <= ends.measured_until_s + 1e-6
    bare = replace(raw[0], t0_s=raw[0].start_s, acc_counts=raw[0].acc_counts[200:])
    bare = replace(bare, acc_counts=bare.acc_counts[:500], gyro_counts=None, gyro_scale_radps=0.0)
    (one,) = summarise([bare])
    assert (one.t0_s, len(one.quiet.peak_counts)) == (bare.start_s, 5)


@pytest.mark.parametrize(
    "change",
    [
        {"trip": "20260302-00000002"},
        {"rate_hz": 101.0},
        {"start_s": START_S + 7, "end_s": START_S + 12, "t0_s": START_S + 5},  # a gap
        {"laser": Laser(START_S, 100.0, 2.5, 1e-3, np.zeros((10, 4), dtype=np.int16))},
    ],
)
def test_what_does_not_belong_together_is_not_joined(change):
    first = box_chunk(seq=0)
    after = box_chunk(seq=1, start_s=START_S + 5, end_s=START_S + 10, t0_s=START_S + 3)
    assert len(list(summarise([first, after]))) == 1
    out = list(summarise([first, replace(after, **change)]))
    assert len(out) == 2
    assert [c.seq for c in out] == ([0, 0] if "trip" in change else [0, 1])
    assert (out[1].quiet is None) == ("laser" in change)


def test_a_summary_is_not_summarised_again():
    (one,) = summarise([box_chunk()])
    (again,) = summarise([one])
    assert encode(again) == encode(replace(one, seq=0))


def test_rows_in_a_no_go_area_are_cut_out_as_samples_are(city):
    """Half a minute outside, then in: not a row of what lies inside is left."""
    (one,) = summarise(drive(city, 12))
    west, south = one.fixes.lon_deg[32], one.fixes.lat_deg[0] - 1e-3
    east, north = west + 0.1, south + 2e-3
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    closed = replace(city, no_go=(NoGo("ministry", ring),))
    cut = redact(one, closed)
    assert cut.quiet is not None
    last_s = cut.fixes.t_s[-1]
    assert (cut.fixes.lon_deg < west).all()
    assert last_s - 1 <= cut.measured_until_s <= last_s
    assert 25 < cut.end_s - cut.start_s <= 31
    n = len(cut.quiet.peak_counts)
    assert cut.t0_s == one.t0_s
    assert np.array_equal(cut.quiet.peak_counts, one.quiet.peak_counts[:n])
    assert np.array_equal(cut.quiet.level_counts, one.quiet.level_counts[:n])
    payload = encode(cut)
    assert encode(decode(payload)) == payload
    assert redact(decode(payload), closed).t0_s == cut.t0_s
    away = redact(one, replace(city, no_go=(NoGo("west", tuple((x - (east - west), y) for x, y in ring)),)))
    assert away.t0_s >= one.fixes.t_s[32]
    assert np.array_equal(away.quiet.peak_counts, one.quiet.peak_counts[-len(away.quiet.peak_counts) :])
    everywhere = NoGo("all", ((119.0, 29.0), (122.0, 29.0), (122.0, 31.0), (119.0, 31.0), (119.0, 29.0)))
    with pytest.raises(Refused) as refusal:
        redact(one, replace(city, no_go=(everywhere,)))
    assert refusal.value.reason is Reason.NO_GO


def test_a_summary_says_nothing_of_its_sensor(city):
    """No sample, so neither stuck nor healthy; what its fixes show is seen as ever."""
    (one,) = summarise(drive(city, 12))
    seen = inspect(one, locate(one, city).faults, one.end_s + 1, ConditionOptions())
    assert (seen.chunks, seen.looked, seen.samples) == (1, 0, 0)
    assert seen.owned_ms == 60_000


def test_a_known_shape_is_read_as_an_unknown_one(city):
    """The reader learns the shape of payloads: the second of a kind goes another way through it."""
    first, second = (next(iter(summarise([noisy(c, 0.02, seed) for c in drive(city, 12)]))) for seed in (1, 2))
    payloads = [encode(first), encode(second)]
    assert len(payloads[0]) == len(payloads[1])
    for payload in (*payloads, *payloads):
        assert encode(decode(payload)) == payload
    bad = encode(replace(second, quiet=replace(second.quiet, peak_counts=-second.quiet.peak_counts - 1)))
    assert len(bad) == len(payloads[0])
    with pytest.raises(Refused) as refusal:
        decode(bad)
    assert refusal.value.reason is Reason.OUT_OF_RANGE


def test_fixes_are_one_a_second_and_reach_beyond_what_is_owned(city):
    (one,) = summarise(drive(city, 12))
    t = one.fixes.t_s
    assert np.diff(t).min() >= 0.19
    assert np.median(np.diff(t)) == pytest.approx(1.0, abs=0.01)
    assert np.diff(t).max() <= 1.21
    assert t[0] <= one.start_s - 1.5
    assert t[-1] >= one.end_s + 1.5


