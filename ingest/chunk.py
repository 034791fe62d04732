"""A chunk: a few seconds of what one device felt, as it goes over the wire and through the house.

Counts are kept as the device sent them (integers and a scale), so that encoding a decoded chunk gives back the same
numbers; the properties give SI units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CARRIERS = ("bus", "sweeper", "car", "ebike", "bike", "unknown")
ORIGINS = ("live", "replay", "simulated")
DATUMS = ("wgs84", "cgcs2000", "gcj02", "bd09", "unknown")

DEFECT_KEYS = (
    "linear_crack",
    "net_crack",
    "alligator_crack",
    "shoving",
    "rutting",
    "subsidence",
    "mud_boil",
    "ravelling",
    "pothole",
    "edge_break",
    "frame_level",
    "pumping",
    "bleeding",
    "faulting",
    "broken_slab",
    "defective_cover",
    "ponding",
    "litter",
)
"""The 16 defect types of CJJ 36 (and faulting, broken slab, defective cover) and two more, in the order of their
numbers. They are part of the wire format; what they mean is in `defects`."""

UNKNOWN = -1.0
"""What a fix says for a speed or course, and a detection for a depth, that it does not know."""


@dataclass(frozen=True, eq=False)
class Fixes:
    """Columns of m position fixes, rising in time.

    t_s: float64 (m,), unix seconds of GNSS time. lat_deg, lon_deg: float64 (m,), in the chunk's datum.
    accuracy_m: float32 (m,), radius that holds the truth 68 % of the time. speed_mps, course_deg: float32 (m,), course
    clockwise from north, -1 where unknown.
    """

    t_s: NDArray[np.float64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]
    speed_mps: NDArray[np.float32]
    course_deg: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Laser:
    """Line profiles across the lane: height_counts int16 (k, p), times scale_m; line i at t0_s + i / rate_hz."""

    t0_s: float
    rate_hz: float
    width_m: float
    scale_m: float
    height_counts: NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Bands:
    """Acoustic levels: level_db float32 (k, b) of the b bands centred at centre_hz (b,), row i at t0_s + i * step_s."""

    t0_s: float
    step_s: float
    centre_hz: NDArray[np.float32]
    level_db: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Quiet:
    """What is left of the samples of a quiet stretch: one row for each step_s from the chunk's t0_s on.

    centre_hz: float32 (b,), the octave bands. level_counts: int16 (k, b), RMS of the vertical acceleration in each band
    over the row; peak_counts: int16 (k,), its largest magnitude in the row, band-passed to where wheels and body
    answer; both times scale_mps2.
    """

    step_s: float
    scale_mps2: float
    centre_hz: NDArray[np.float32]
    level_counts: NDArray[np.int16]
    peak_counts: NDArray[np.int16]


@dataclass(frozen=True)
class Trimmed:
    """How much of each end of its trip the device holds back and never sends: at least so far and so long. It is the
    device's rule, the same for all its trips: what a trip really lost must not show."""

    distance_m: float
    duration_s: float


@dataclass(frozen=True)
class Detection:
    """One thing that the edge camera of a box saw and placed on the road.

    kind: a key of DEFECT_KEYS. score: the camera's calibrated probability, 0 to 1. lat_deg, lon_deg: in the chunk's
    datum. accuracy_m: radius that holds it 68 % of the time. area_m2, depth_mm: -1 where unknown.
    """

    t_s: float
    kind: str
    score: float
    lat_deg: float
    lon_deg: float
    accuracy_m: float
    area_m2: float = UNKNOWN
    depth_mm: float = UNKNOWN


@dataclass(frozen=True, eq=False)
class Chunk:
    """A stretch of one trip. It owns [start_s, end_s) and carries samples and fixes on each side as context.

    trip: service day (YYYYMMDD) of the chunk's start, a hyphen, random hex. seq: number within the trip, from 0.
    start_s, end_s, t0_s: unix seconds of GNSS time; sample i was taken at t0_s + i / rate_hz.
    acc_counts: int16 (n, 3), specific force in the device's axes, times acc_scale_mps2. gyro_counts: int16 (n, 3) or
    None, times gyro_scale_radps.

    In a summary `quiet` stands in the place of the samples: acc_counts is (0, 3), acc_scale_mps2 is 0, and rate_hz is
    that of the samples it was made of. trimmed: of phones; None where the device declares nothing.
    """

    trip: str
    seq: int
    start_s: float
    end_s: float
    t0_s: float
    rate_hz: float
    carrier: str
    origin: str
    datum: str
    acc_scale_mps2: float
    acc_counts: NDArray[np.int16]
    fixes: Fixes
    gyro_scale_radps: float = 0.0
    gyro_counts: NDArray[np.int16] | None = None
    laser: Laser | None = None
    bands: Bands | None = None
    detections: tuple[Detection, ...] = ()
    trimmed: Trimmed | None = None
    quiet: Quiet | None = None

    @property
    def measured_until_s(self) -> float:
        """Where the samples end, or the rows of a summary; unix seconds."""
        if self.quiet is not None:
            return self.t0_s + len(self.quiet.peak_counts) * self.quiet.step_s
        return self.t0_s + len(self.acc_counts) / self.rate_hz

    @property
    def acc_mps2(self) -> NDArray[np.float64]:
        """Specific force, float64 (n, 3), m/s², device axes, gravity included."""
        return self.acc_counts.astype(np.float64) * self.acc_scale_mps2

    @property
    def gyro_radps(self) -> NDArray[np.float64] | None:
        """Angular rate, float64 (n, 3), rad/s, device axes; None where the device has no gyroscope."""
        return None if self.gyro_counts is None else self.gyro_counts.astype(np.float64) * self.gyro_scale_radps

    @property
    def sample_t_s(self) -> NDArray[np.float64]:
        """Time of each sample, float64 (n,), unix seconds."""
        n = np.arange(len(self.acc_counts), dtype=np.float64)
        return n / self.rate_hz + self.t0_s
