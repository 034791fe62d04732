"""What a drive with a phone felt in pieces of some seconds, with speed taken out.

The better roads of the recordings were driven faster, so speed and grade are confounded. How vibration grows with
speed is therefore learnt inside drives, where the grade is one and only the speed changes, and taken away;
speed itself is never among the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ingest import recordings

Series = NDArray[np.float64]
Table = NDArray[np.float64]

PIECE_S = 4.0
"""Shorter, and a piece of a bad road may hold nothing bad; longer, and a drive of two minutes gives too few pieces."""

SLOWEST_MPS = 3.0  # slower, and doors, kerbs and the engine shake more than the road
_BANDS_HZ = (0.7, 1.5, 2.5, 4.0, 6.5, 10.0, 15.0, 22.0, 32.0, 45.0)
_FLOOR = 1e-4


@dataclass(frozen=True, eq=False)
class DrivePieces:
    """A drive cut into pieces of PIECE_S in which it moved: levels (n, m) logarithms of strengths, which grow with
    speed; shapes (n, k) ratios of one piece; speed_mps (n,); peak_ratio (n,) the baseline, peak over running RMS."""

    levels: Table
    shapes: Table
    speed_mps: Series
    peak_ratio: Series


@dataclass(frozen=True, eq=False)
class SpeedLaw:
    """How levels grow with the logarithm of speed: slopes (m,), learnt inside drives."""

    slopes: Series

    def without_speed(self, pieces: DrivePieces) -> Table:
        """Figures (n, m + k): levels as they would be at 10 m/s, and shapes."""
        grown = np.log(pieces.speed_mps / 10.0)[:, None] * self.slopes
        return np.column_stack([pieces.levels - grown, pieces.shapes])


def speed_law(drives: list[DrivePieces]) -> SpeedLaw:
    """The common slopes within drives (regression with a level of its own for each drive). They are held between 0 and
    2: acceleration over a road of ISO 8608 grows with the root of speed, over steps linearly, over bumps at most by its
    square."""
    v = np.concatenate([np.log(d.speed_mps) - np.log(d.speed_mps).mean() for d in drives])
    levels = np.concatenate([d.levels - d.levels.mean(axis=0) for d in drives])
    # One piece's worth of doubt for the slope of a rough road, 0.5: with no change of speed that is what remains.
    slopes = (v @ levels + 0.5) / (v @ v + 1.0)
    return SpeedLaw(np.clip(slopes, 0.0, 2.0))


def drive_pieces(drive: recordings.Drive) -> DrivePieces:
    """The pieces of a drive in order, those left out that were slower than SLOWEST_MPS or whose speed is unknown."""
    n = round(PIECE_S * drive.rate_hz)
    level = np.median(drive.acc_mps2, axis=0)
    down = level / np.linalg.norm(level)
    vertical = drive.acc_mps2 @ down - np.linalg.norm(level)
    flat = drive.acc_mps2 - level
    flat = np.linalg.norm(flat - np.outer(flat @ down, down), axis=1)
    yaw = drive.gyro_radps @ down
    tilt = np.linalg.norm(drive.gyro_radps - np.outer(yaw, down), axis=1)
    t = drive.t0_s + (np.arange(len(vertical)) + 0.5) / drive.rate_hz
    known = drive.fixes.speed_mps >= 0
    if known.sum() < 2:
        speed = np.zeros(len(t))
    else:
        speed = np.interp(t, drive.fixes.t_s[known], drive.fixes.speed_mps[known].astype(np.float64))
    count = len(vertical) // n
    pieces = [x[: count * n].reshape(count, n) for x in (vertical, flat, tilt)]
    speed_mps = speed[: count * n].reshape(count, n).mean(axis=1)
    spectra = [_bands(x - x.mean(axis=1, keepdims=True), drive.rate_hz) for x in pieces]
    v = pieces[0] - pieces[0].mean(axis=1, keepdims=True)
    rms = np.sqrt((v**2).mean(axis=1)) + _FLOOR
    size = np.sort(np.abs(v), axis=1)
    levels = np.column_stack(
        [np.log(b + _FLOOR) for b in spectra]
        + [
            np.log(rms),
            np.log(size[:, [n // 2, 9 * n // 10, 99 * n // 100]] + _FLOOR),
            np.log(size[:, -1] + _FLOOR),
            np.log(np.sqrt((np.diff(v, axis=1) ** 2).mean(axis=1)) + _FLOOR),
        ]
    )
    parts = np.sqrt((v[:, : n // 8 * 8].reshape(count, 8, -1) ** 2).mean(axis=2)) + _FLOOR
    shapes = np.column_stack(
        [
            np.log(size[:, -1] / rms),
            np.log((v**4).mean(axis=1) / rms**4),
            (v**3).mean(axis=1) / rms**3,
            np.log(parts).std(axis=1),
        ]
    )
    moved = speed_mps >= SLOWEST_MPS
    running = np.sqrt(np.convolve(rms**2, np.ones(5), "same") / np.convolve(np.ones(count), np.ones(5), "same"))
    return DrivePieces(levels[moved], shapes[moved], speed_mps[moved], (size[:, -1] / running)[moved])


def _bands(x: Table, rate_hz: float) -> Table:
    """RMS in each band (n, bands) of pieces (n, samples)."""
    power = np.abs(np.fft.rfft(x * np.hanning(x.shape[1]), axis=1)) ** 2 / x.shape[1] ** 2 * 4
    freq_hz = np.fft.rfftfreq(x.shape[1], 1 / rate_hz)
    bands = [(low <= freq_hz) & (high > freq_hz) for low, high in pairwise(_BANDS_HZ)]
    return np.asarray(np.sqrt(np.stack([power[:, band].sum(axis=1) for band in bands], axis=1)))
