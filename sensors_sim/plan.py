"""What is driven over what: the plan of one drive, which both families of physics turn into what a device records.

Along a lane one measures s from its beginning, across it y from its middle, positive to the left of the driving
direction; heights z upwards. A vehicle's place is the middle of its front axle. There sits the box, and its antenna.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

WAY_HZ = 100.0
"""A vehicle's way is known at this rate; what moves faster than its course and speed is physics, not a way."""


@dataclass(frozen=True)
class Thing:
    """Something on, in or under the lane: a defect, or something harmless that feels like one.

    kind: a key of the taxonomy, or a name of the look-alikes. subtype: where dispatch tells apart ("" otherwise).
    s_m, y_m: its middle. length_m along, width_m across. height_mm: of its deepest (negative) or highest (positive)
    point, 0 where it has none. amount: how bad, in the unit in which the standard measures the type; unit: "mm", "m2",
    "share" or "". grade: 0 below the limit of yellow, 1 yellow, 2 red; of a look-alike always 0. harmless: whether it
    is a look-alike. texture_mm: RMS of small-scale unevenness inside it (ravelling, alligator). rattle: 0 to 1, how
    loose a cover is. seed: of its own small details, so that every pass meets the same ones.
    """

    kind: str
    subtype: str
    s_m: float
    y_m: float
    length_m: float
    width_m: float
    height_mm: float
    amount: float
    unit: str
    grade: int
    harmless: bool = False
    texture_mm: float = 0.0
    rattle: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Act:
    """Something that shakes the device and is not in the road: braking, turning, a phone handled, dropped, typed on.
    t_s: begin, seconds after the way's; duration_s; strength: 1 is usual."""

    kind: str
    t_s: float
    duration_s: float
    strength: float = 1.0


@dataclass(frozen=True, eq=False)
class Stretch:
    """A lane of one roughness. roughness: class A to D of ISO 8608; seed: of its profile, the same for every pass."""

    length_m: float
    roughness: str
    seed: int
    things: tuple[Thing, ...] = ()


@dataclass(frozen=True, eq=False)
class Way:
    """How a vehicle moves along a stretch, a value each 1 / WAY_HZ: s_m (may run before 0 and beyond the end: the road
    goes on, without things), v_mps, y_m, and the place of the front axle's middle: east_m, north_m on a local plane,
    course_deg clockwise from north. t0_s: unix seconds of the first value."""

    t0_s: float
    s_m: Series
    v_mps: Series
    y_m: Series
    east_m: Series
    north_m: Series
    course_deg: Series

    @property
    def duration_s(self) -> float:
        """From the first to the last value."""
        return (len(self.s_m) - 1) / WAY_HZ


@dataclass(frozen=True)
class Wheels:
    """Where a vehicle's wheels are: half_track_m from its middle to the middle of a wheel path (0: one track),
    wheelbase_m from the front to the rear axle, width_m of one tyre (or of a pair)."""

    half_track_m: float
    wheelbase_m: float
    width_m: float = 0.22


@dataclass(frozen=True, eq=False)
class Plan:
    """One drive of one device.

    carrier: of the wire format. model: name of the vehicle model within the family. wheels: of this vehicle.
    device: "box" or "phone". rate_hz: of its IMU. equipment: of "laser", "bands", "camera". vehicle_seed, device_seed:
    the same vehicle and the same device (mounting, biases) drive again with the same; pass_seed: of all that differs
    from pass to pass (noise, what the camera misses). night, wet: conditions, which worsen the camera and the tyres'
    noise.
    """

    stretch: Stretch
    way: Way
    carrier: str
    model: str
    wheels: Wheels
    device: str
    rate_hz: float
    equipment: frozenset[str] = frozenset()
    acts: tuple[Act, ...] = ()
    vehicle_seed: int = 0
    device_seed: int = 0
    pass_seed: int = 0
    night: bool = False
    wet: bool = False


@dataclass(frozen=True, eq=False)
class Motion:
    """What a rigid box over the front axle feels, and what its wheels do.

    force_mps2: (n, 3) specific force, x forward, y left, z up, +g on z at rest. rate_radps: (n, 3) about the same axes
    by the right hand. z_m: (n,) height of the box's mount above a fixed level; roll_rad, pitch_rad: (n,).
    clank_mps2: (n,) high-frequency hits of loose things under a wheel, as they reach the cabin.
    """

    rate_hz: float
    force_mps2: NDArray[np.float64]
    rate_radps: NDArray[np.float64]
    z_m: Series
    roll_rad: Series
    pitch_rad: Series
    clank_mps2: Series


@dataclass(frozen=True)
class Meeting:
    """One vehicle meets one thing once. Times are unix seconds.

    in_s: the front axle's first contact with it, mid_s: the front axle at its middle, out_s: the rear axle's last.
    wheels: "left", "right", "both" or "none" (it lies in the lane, no wheel touched it).
    """

    thing: int
    in_s: float
    mid_s: float
    out_s: float
    wheels: str


@dataclass(frozen=True)
class Limits:
    """How much of a thing a wheel must cover to have met it: share of the tyre's width that runs over its footprint.
    Less, and grazed edges count as met that no sensor feels; more, and real hits are called misses."""

    overlap: float = 0.35


_LIMITS = Limits()


def meetings(plan: Plan, limits: Limits = _LIMITS) -> tuple[Meeting, ...]:
    """Which things of the stretch the plan's vehicle meets, and when, from geometry alone; by time of the middle."""
    way, wheels = plan.way, plan.wheels
    t = way.t0_s + np.arange(len(way.s_m)) / WAY_HZ
    found = []
    for number, thing in enumerate(plan.stretch.things):
        first, last = thing.s_m - thing.length_m / 2, thing.s_m + thing.length_m / 2
        if way.s_m[0] > first or way.s_m[-1] < last + wheels.wheelbase_m:
            continue
        in_s, mid_s, out_s = (
            float(v) for v in np.interp([first, thing.s_m, last + wheels.wheelbase_m], way.s_m, t)
        )
        y = float(np.interp(thing.s_m, way.s_m, way.y_m))
        touched = []
        for name, aside in (("left", wheels.half_track_m), ("right", -wheels.half_track_m)):
            middle = y + aside - thing.y_m
            low = max(middle - wheels.width_m / 2, -thing.width_m / 2)
            high = min(middle + wheels.width_m / 2, thing.width_m / 2)
            if high - low >= limits.overlap * min(wheels.width_m, thing.width_m):
                touched.append(name)
        side = {0: "none", 1: touched[0] if touched else "none", 2: "both"}[len(touched)]
        found.append(Meeting(number, in_s, mid_s, out_s, side))
    return tuple(sorted(found, key=lambda m: m.mid_s))


@dataclass(frozen=True)
class Sight:
    """One camera detection before it is placed on the globe."""

    t_s: float
    kind: str
    score: float
    east_m: float
    north_m: float
    sigma_m: float
    area_m2: float
    depth_mm: float


@dataclass(frozen=True, eq=False)
class Ride:
    """What one device recorded of one plan: IMU counts as a chunk has them, from t0_s on; fixes lie on the plan's local
    plane until they are cut into chunks (east_m, north_m). laser_counts (k, p) at laser_hz from laser_t0_s; band_db
    (j, b) at bands_step_s. detections: what the camera reported."""

    t0_s: float
    rate_hz: float
    acc_scale_mps2: float
    acc_counts: NDArray[np.int16]
    gyro_scale_radps: float
    gyro_counts: NDArray[np.int16] | None
    fix_t_s: Series
    fix_east_m: Series
    fix_north_m: Series
    fix_accuracy_m: Series
    fix_speed_mps: Series
    fix_course_deg: Series
    laser_t0_s: float = 0.0
    laser_hz: float = 0.0
    laser_width_m: float = 0.0
    laser_scale_m: float = 0.0
    laser_counts: NDArray[np.int16] | None = None
    bands_t0_s: float = 0.0
    bands_step_s: float = 0.0
    bands_centre_hz: Series = field(default_factory=lambda: np.empty(0))
    band_db: NDArray[np.float32] | None = None
    detections: tuple[Sight, ...] = ()
