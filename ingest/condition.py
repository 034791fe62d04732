"""A device's condition, as its own chunks show it, and how far it is believed on the next days.

Nobody fills in a form: every chunk is counted, every eighth is looked at closely, and a device's day is a row of sums.
All of them are sums and one minimum, so the order of chunks does not matter. When a day opens, the seven days
before it give each device a weight, and the weight scales what the device says on that day:

| fault | what shows it | weight |
|---|---|---|
| `stuck` | in a tenth of the looked-at chunks an axis gave one value for two seconds, though the vehicle moved | 0 |
| `repeats` | three tenths of the samples repeat the one before: the sensor is slower than the stated rate | 0 |
| `clock` | on two days a chunk came 2 s before its end; or the day's least delay changes evenly by 2 s a day | 0 |
| `speed` | a twentieth of the fixes is faster than the carrier can be | 0 |
| `saturated` | one sample in a thousand is at the sensor's limit | 25 % |
| `resonance` | in half of the steady chunks most of the shaking is one tone, and it is the same tone | 25 % |
| `accuracy` | half of the fixes wander farther than they state, or leap | 50 % |
| `gaps` | of days not sealed yet a fifth of its trips' numbers never came | 100 %: nothing is wrong; it is only shown |
| newcomer | fewer than thirty chunks were looked at: a box | 100 % |
| newcomer | the same: a phone | 50 % |
| none of these | | 100 % |

The least of several counts. Faults are named from six looked-at chunks on, so also a newcomer may have some.

What one chunk cannot show, and a day can: chunks that are missing (a trip's numbers have holes; which came is known
until the seal, of some three days), and how the device's clock stands against ours. One late chunk says nothing, since
it may have waited in a depot; that the *earliest* of a day is late says something only by how it changes from day to
day. A clock that is behind by the same time every day cannot be told from a network that takes so long. Whether samples
and fixes have one clock cannot be told at all from what is sent: the platform takes the device's word for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date

import numpy as np
from numpy.typing import NDArray

from .chunk import Chunk
from .fixes import FixFaults

_LARGEST = 32_767
NEVER_MS = 1 << 40
"""The least delay of no chunk at all: more than any that is taken."""
LOOK_EVERY = 8
"""Of a trip's chunks every so many is looked at closely: a spectrum costs as much as half of the rest, and a fault that
is there shows in an eighth of a day too. At 1 the door is slower by half, at 100 a short day shows nothing."""
DAYS = 7
"""Closed days that a weight is made of, but for `gaps`: which numbers came is forgotten at the seal. With 1 a
quiet Sunday clears a broken box, with 30 a repaired one stays out."""


@dataclass(frozen=True)
class Condition:
    """What some chunks of a device show, as sums, and delay_ms, the least (arrival minus end of the chunk).

    chunks, owned_ms: all of them. fixes to gaps: as in `FixFaults`. looked: chunks looked at closely, all of moving
    vehicles, with samples in all; stuck: chunks with a stuck axis; saturated, repeats: samples. steady: chunks at an
    even speed; tonal: of those, with one loud tone; tone_dhz, tone_dhz2: its frequency in tenths of Hz, and the square.
    """

    chunks: int = 0
    owned_ms: int = 0
    fixes: int = 0
    jumps: int = 0
    late: int = 0
    wandering: int = 0
    too_fast: int = 0
    gaps: int = 0
    looked: int = 0
    samples: int = 0
    stuck: int = 0
    saturated: int = 0
    repeats: int = 0
    steady: int = 0
    tonal: int = 0
    tone_dhz: int = 0
    tone_dhz2: int = 0
    delay_ms: int = NEVER_MS

    def __add__(self, other: Condition) -> Condition:
        summed = {name: getattr(self, name) + getattr(other, name) for name in SUMS}
        return Condition(**summed, delay_ms=min(self.delay_ms, other.delay_ms))


SUMS = tuple(f.name for f in fields(Condition))[:-1]
"""The fields of `Condition` that are added, in their order."""


@dataclass(frozen=True)
class ConditionOptions:
    """What a chunk shows, when a fault is named, and what a device with it is worth; all of it stands in the context.

    moving_mps: slower, and a parked phone's quiet sensor looks stuck. steady_mps: the speed may change so much; more,
    and braking is in the spectrum, less, and nobody drives so evenly. stuck_s: one value for so long; at half a second
    a coarse sensor on a smooth road is stuck, at ten none is within a chunk. limit_g: a flat top counts as a limit from
    so far off the mean; at 0 a coarse sensor at rest is at its limit. tone_hz: within so far of the loudest frequency
    between low_hz and high_hz, the band in which jolts are looked for; tone_part of the power makes it a tone: wheels
    and body of a good vehicle put 30 to 45 % there (four real drives, simulated boxes). same_hz: it is the device's
    own where it varies less than this from chunk to chunk; an engine's varies with its speed.

    Shares from which a fault is named, and weights, as in the table: smaller shares accuse healthy devices of a bad
    road or a bad hour, larger ones need a device that gives nothing else. least: looked-at chunks before anything is
    named (four minutes of driving). known: before a device is no newcomer (twenty minutes). ahead_s, drift_s: of a
    clock; a healthy one with GNSS time stays within a second. drift_rms_s: how evenly the delay must change.
    newcomer_box: an operator mounted and tried it, and on a city's first day all are newcomers: at 50 % a day of passes
    would be half a day. newcomer_phone: nobody has seen it, and a thousand new ones cost nothing to make; at 0 a
    citizen's first drive says nothing, at 100 % strangers weigh as much as those that have proven good.
    """

    moving_mps: float = 4.0
    steady_mps: float = 1.5
    stuck_s: float = 2.0
    limit_g: float = 0.5
    tone_hz: float = 0.6
    tone_part: float = 0.55
    low_hz: float = 4.0
    high_hz: float = 22.0
    same_hz: float = 1.0
    least: int = 6
    known: int = 30
    stuck_share: float = 0.1
    repeats_share: float = 0.3
    saturated_share: float = 0.001
    too_fast_share: float = 0.05
    tonal_share: float = 0.5
    wandering_share: float = 0.5
    gaps_share: float = 0.2
    ahead_s: float = 2.0
    drift_s: float = 2.0
    drift_rms_s: float = 1.0
    saturated_pct: int = 25
    resonance_pct: int = 25
    accuracy_pct: int = 50
    newcomer_box_pct: int = 100
    newcomer_phone_pct: int = 50


@dataclass(frozen=True)
class Trust:
    """How far a device is believed on a day, 0 to 100 percent, and the names of its faults."""

    weight_pct: int
    faults: tuple[str, ...] = ()


# ---------------------------------------------------------------- one chunk


def inspect(chunk: Chunk, faults: FixFaults, now_s: float, options: ConditionOptions) -> Condition:
    """What one chunk shows. ``faults``: of its fixes (`judge`); ``now_s``: unix time of its arrival.

    Only a chunk whose fixes all state a speed is looked at closely: nobody else knows that the vehicle moves.
    """
    seen = Condition(
        chunks=1, owned_ms=round((chunk.end_s - chunk.start_s) * 1000), fixes=faults.fixes, jumps=faults.jumps,
        late=faults.late, wandering=faults.wandering, too_fast=faults.too_fast, gaps=faults.gaps,
        delay_ms=round((now_s - chunk.end_s) * 1000),
    )  # fmt: skip
    speed = chunk.fixes.speed_mps
    if chunk.quiet is not None:
        return seen  # rows of a summary: what a sensor does is seen in the chunks that its device sends between them
    if chunk.seq % LOOK_EVERY or float(speed.min()) < options.moving_mps:
        return seen
    acc = chunk.acc_counts
    n = len(acc)
    same = acc[1:] == acc[:-1]
    longest = max(1, int(options.stuck_s * chunk.rate_hz))
    stuck = any(_longest_run(same[:, k]) >= longest for k in range(3))
    if chunk.gyro_counts is not None and not stuck:
        turn = chunk.gyro_counts[1:] == chunk.gyro_counts[:-1]
        stuck = any(_longest_run(turn[:, k]) >= longest for k in range(3))
    steady = float(speed.max() - speed.min()) <= options.steady_mps
    tone_hz = _tone_hz(chunk, options) if steady and not stuck else 0.0
    dhz = round(tone_hz * 10)
    return seen + Condition(
        looked=1, samples=n, stuck=int(stuck), saturated=_saturated(chunk, same, options),
        repeats=int(same.all(axis=1).sum()), steady=int(steady), tonal=int(dhz > 0), tone_dhz=dhz, tone_dhz2=dhz * dhz,
    )  # fmt: skip


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Length of the longest run of true."""
    ends = np.flatnonzero(~flags)
    if not len(ends):
        return len(flags)
    inner = int((ends[1:] - ends[:-1]).max()) - 1 if len(ends) > 1 else 0
    return max(int(ends[0]), inner, len(flags) - 1 - int(ends[-1]))


def _saturated(chunk: Chunk, same: NDArray[np.bool_], options: ConditionOptions) -> int:
    """Samples at the limit of 16 bits, or on a flat top of an axis far off its mean."""
    acc = chunk.acc_counts
    low, high = acc.min(axis=0), acc.max(axis=0)
    mean = acc.mean(axis=0)
    far = options.limit_g * 9.80665 / chunk.acc_scale_mps2
    at = 0
    for k in range(3):
        for extreme, beyond in ((int(high[k]), high[k] - mean[k] > far), (int(low[k]), mean[k] - low[k] > far)):
            if abs(extreme) >= _LARGEST:
                at += int((acc[:, k] == extreme).sum())
            elif beyond:
                flat = int((same[:, k] & (acc[1:, k] == extreme)).sum())
                at += flat + (flat > 0)
    return at


def _tone_hz(chunk: Chunk, options: ConditionOptions) -> float:
    """Frequency of the one tone that holds most of the power of the vertical, 0 where there is none."""
    acc = chunk.acc_counts.astype(np.float64)
    mean = acc.mean(axis=0)
    size = float(np.sqrt((mean * mean).sum()))
    if size == 0:
        return 0.0
    vertical = (acc * (mean / size)).sum(axis=1) - size
    # Four pieces of two seconds, each of the same weight, so that one jolt is not the whole spectrum.
    piece = len(vertical) // 4
    if piece < chunk.rate_hz:
        piece = len(vertical)
    pieces = vertical[: len(vertical) // piece * piece].reshape(-1, piece) * np.hanning(piece)
    spectrum = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    power = (spectrum / np.maximum(spectrum.sum(axis=1, keepdims=True), 1e-12)).sum(axis=0)
    hz = np.fft.rfftfreq(piece, 1 / chunk.rate_hz)
    band = (hz >= options.low_hz) & (hz <= options.high_hz)
    whole = float(power[band].sum())
    if whole <= 0:
        return 0.0
    loudest = float(hz[band][int(np.argmax(power[band]))])
    near = band & (np.abs(hz - loudest) <= options.tone_hz)
    return loudest if float(power[near].sum()) > options.tone_part * whole else 0.0


# ---------------------------------------------------------------- days


def trust(days: Mapping[date, Condition], kind: str, options: ConditionOptions, missing: float = 0.0) -> Trust:
    """How far a device of ``kind`` is believed after these days. ``missing``: share of its trips' numbers that never
    came; it is named, and changes no weight."""
    total = sum(days.values(), Condition())
    faults: dict[str, int] = {}
    if total.looked >= options.least:
        if total.stuck >= options.stuck_share * total.looked:
            faults["stuck"] = 0
        elif total.repeats >= options.repeats_share * total.samples:
            faults["repeats"] = 0
        elif total.saturated >= options.saturated_share * total.samples:
            faults["saturated"] = options.saturated_pct
        if _own_tone(total, options):
            faults["resonance"] = options.resonance_pct
    if total.chunks >= options.least * LOOK_EVERY:
        if total.too_fast >= options.too_fast_share * total.fixes:
            faults["speed"] = 0
        if total.wandering + total.jumps >= options.wandering_share * total.fixes:
            faults["accuracy"] = options.accuracy_pct
        if missing >= options.gaps_share:
            faults["gaps"] = 100
    if _clock_is_off(days, options):
        faults["clock"] = 0
    newcomer = total.looked < options.known
    worth = newcomer_pct(kind, options) if newcomer else 100
    return Trust(min([worth, *faults.values()]), tuple(sorted(faults)))


def newcomer_pct(kind: str, options: ConditionOptions) -> int:
    """The weight of a device of which little or nothing is known."""
    return options.newcomer_box_pct if kind == "box" else options.newcomer_phone_pct


def _own_tone(total: Condition, options: ConditionOptions) -> bool:
    if total.steady < options.least or total.tonal < options.tonal_share * total.steady:
        return False
    mean = total.tone_dhz / total.tonal
    variance = total.tone_dhz2 / total.tonal - mean * mean
    return variance <= (options.same_hz * 10) ** 2


def _clock_is_off(days: Mapping[date, Condition], options: ConditionOptions) -> bool:
    delays = sorted((day.toordinal(), c.delay_ms / 1000) for day, c in days.items() if c.delay_ms < NEVER_MS)
    if sum(delay < -options.ahead_s for _, delay in delays) >= 2:
        return True
    if len(delays) < 3:
        return False
    t, delay = np.array(delays, dtype=np.float64).T
    t -= t.mean()
    slope = float((t * delay).sum() / (t * t).sum())
    rest = delay - delay.mean() - slope * t
    return abs(slope) >= options.drift_s and float(np.sqrt((rest * rest).mean())) <= options.drift_rms_s


def weights_digest(salt: bytes, weights: Mapping[str, int]) -> str:
    """What a day's record says of its weights: a salted SHA-256 (hex) over names and weights; it names nobody."""
    lines = "".join(f"{device} {pct}\n" for device, pct in sorted(weights.items()))
    return hashlib.sha256(salt + lines.encode()).hexdigest()


def missing_share(masks: Sequence[tuple[str, int, int]]) -> float:
    """Share of sequence numbers that never came, from the windows of `seen`: (trip, window, mask of 64 numbers). What
    comes after a trip's last number that came is not known."""
    last: dict[str, int] = {}
    came = 0
    for trip, window, mask in masks:
        bits = mask & (1 << 64) - 1
        came += bits.bit_count()
        last[trip] = max(last.get(trip, -1), (window << 6) + bits.bit_length() - 1)
    sent = sum(n + 1 for n in last.values())
    return 1 - came / sent if sent else 0.0
