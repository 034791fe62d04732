"""What a clip of vertical acceleration looks like, in figures that do not know how long the clip was.

Every figure is a rate, a share, a ratio or a quantile, or it is taken from a piece of fixed length. The level (gravity
and the phone's bias) is taken away first: it would tell vehicles apart, not roads.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
Table = NDArray[np.float64]

RATE_HZ = 50.0
CROP = 59
"""Samples of a crop, 1.18 s: the shortest clip of the recordings. Longer, and clips must be padded, which tells their
length; shorter, and a bump of 3 m at 15 km/h no longer fits in."""

_FLOOR = 1e-3  # m/s²: below a phone's own noise; smaller, and a still phone's ratios run wild
_BANDS_HZ = (0.8, 1.6, 2.4, 3.4, 4.8, 6.8, 9.6, 13.5, 19.0, 25.1)
_LAGS = (1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25)
_SHAPE = 14  # samples kept each side of the strongest place, .28 s: a wheel hop and half a body bounce
_FFT = 128
_WINDOW = np.hanning(CROP + 2)[1:-1]
_FREQ_HZ = np.fft.rfftfreq(_FFT, 1 / RATE_HZ)


def centre_crop(acc_mps2: Series, length: int = CROP) -> Series:
    """The middle ``length`` samples of (n,); of a shorter clip all of it, its ends held."""
    if len(acc_mps2) < length:
        before = (length - len(acc_mps2)) // 2
        return np.pad(acc_mps2, (before, length - len(acc_mps2) - before), mode="edge")
    start = (len(acc_mps2) - length) // 2
    return acc_mps2[start : start + length]


def random_piece(acc_mps2: Series, rng: np.random.Generator) -> Series:
    """A stretch of random length from CROP samples to the whole, from anywhere: what is learnt from such pieces cannot
    lean on how long clips of a label are."""
    if len(acc_mps2) <= CROP:
        return acc_mps2
    length = int(rng.integers(CROP, len(acc_mps2) + 1))
    start = int(rng.integers(0, len(acc_mps2) - length + 1))
    return acc_mps2[start : start + length]


def crop_features(crops: Table, absolute: bool = True) -> Table:
    """Figures (n, m) of crops (n, CROP). ``absolute``: whether how strong it is is among them; without, only shapes
    and shares are, the same whatever the scale."""
    x = crops - crops.mean(axis=1, keepdims=True)
    rms = np.sqrt((x**2).mean(axis=1)) + _FLOOR
    u = x / rms[:, None]
    jerk = np.diff(u, axis=1)
    power = np.abs(np.fft.rfft(u * _WINDOW, _FFT, axis=1)) ** 2
    power /= power[:, _BANDS_HZ[0] <= _FREQ_HZ].sum(axis=1, keepdims=True) + 1e-9
    bands = _banded(power)
    size = np.sort(np.abs(u), axis=1)
    ordered = np.sort(u, axis=1)
    cumulated = np.cumsum(power, axis=1)
    parts = np.sort(np.sqrt(np.stack([(p**2).mean(axis=1) for p in np.array_split(u, 6, axis=1)], axis=1)), axis=1)
    figures = [
        np.log(bands + 1e-4),
        np.log(np.sqrt((jerk**2).mean(axis=1)) + _FLOOR),
        np.log(np.abs(jerk).max(axis=1) + _FLOOR),
        (u**3).mean(axis=1),
        np.log((u**4).mean(axis=1)),
        size[:, -1],
        size[:, [len(size[0]) // 4, len(size[0]) // 2, 3 * len(size[0]) // 4, 9 * len(size[0]) // 10]],
        ordered[:, [0, 2, 5, -6, -3, -1]],
        ordered[:, -1] + ordered[:, 0],
        np.log(parts + 0.02),
        (np.diff(np.signbit(u), axis=1)).mean(axis=1),
        (np.diff(np.signbit(jerk), axis=1)).mean(axis=1),
        *((u[:, lag:] * u[:, :-lag]).mean(axis=1) for lag in _LAGS),
        (power * _FREQ_HZ).sum(axis=1) / (power.sum(axis=1) + 1e-9),
        *((cumulated < share).sum(axis=1) for share in (0.25, 0.5, 0.75, 0.9)),
        _shape(u),
        _lobes(u),
    ]
    if absolute:
        slow = _smooth(x, 5)
        figures += [
            np.log(rms),
            np.log(np.ptp(x, axis=1) + _FLOOR),
            np.log(np.sqrt((np.diff(x, axis=1) ** 2).mean(axis=1)) + _FLOOR),
            np.log(np.ptp(slow, axis=1) + _FLOOR),
            np.log(bands + 1e-4) + 2 * np.log(rms)[:, None],
            np.log(parts + 0.02) + np.log(rms)[:, None],
            x.max(axis=1),
            x.min(axis=1),
        ]
    return np.column_stack(figures)


def clip_features(acc_mps2: Series) -> Series:
    """Figures (m,) of a whole clip of CROP samples or more: of its strongest crop, and the
    quartiles over all its crops."""
    x = centre_crop(acc_mps2) if len(acc_mps2) < CROP else acc_mps2
    starts = np.unique(np.linspace(0, len(x) - CROP, max(1, (len(x) - CROP) // 8 + 1)).astype(int))
    crops = x[starts[:, None] + np.arange(CROP)]
    table = crop_features(crops)
    energy = ((crops - crops.mean(axis=1, keepdims=True)) ** 2).mean(axis=1)
    strongest = table[int(np.argmax(energy))]
    return np.concatenate([strongest, np.quantile(table, [0.25, 0.5, 0.75], axis=0).ravel()])


def _banded(power: Table) -> Table:
    edges = list(pairwise(_BANDS_HZ))
    return np.stack([power[:, (low <= _FREQ_HZ) & (high > _FREQ_HZ)].sum(axis=1) for low, high in edges], axis=1)


def _smooth(x: Table, width: int) -> Table:
    """Running mean over ``width`` samples, ends held."""
    padded = np.pad(x, ((0, 0), (width // 2, width // 2)), mode="edge")
    total = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), axis=1)
    return np.asarray((total[:, width:] - total[:, :-width]) / width)


def _shape(u: Table) -> Table:
    """The course around the strongest place, every second sample, scaled to it; nothing beyond the ends."""
    at = np.argmax(np.abs(_smooth(u, 3)), axis=1)
    padded = np.pad(u, ((0, 0), (_SHAPE, _SHAPE)))
    return np.asarray(padded[np.arange(len(u))[:, None], at[:, None] + np.arange(0, 2 * _SHAPE + 1, 2)])


def _lobes(u: Table) -> Table:
    """Which way the first strong lobe goes (a hole first drops the wheel, a bump first lifts it), and how far apart the
    highest and the lowest place are, s."""
    slow = _smooth(u, 3)
    strong = np.abs(slow) > 0.5 * np.abs(slow).max(axis=1, keepdims=True)
    rows = np.arange(len(u))
    first = np.sign(slow[rows, np.argmax(strong, axis=1)])
    apart = (np.argmax(slow, axis=1) - np.argmin(slow, axis=1)) / RATE_HZ
    return np.column_stack([first, apart, np.abs(apart), strong.mean(axis=1)])
