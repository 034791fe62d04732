"""From what a vehicle feels to what a device records: a box or a phone, each with the instruments its plan names."""

from __future__ import annotations

from .inertial import box_unit, phone_unit, samples
from .laser import (
    BAND_STEP_S,
    CENTRE_HZ,
    LINE_HZ,
    SCALE_M,
    WIDTH_M,
    Profile,
    lines,
    sound,
)
from .plan import Motion, Plan, Ride, meetings
from .receiver import fixes
from .sights import look

EQUIPMENT = frozenset({"laser", "bands", "camera"})


def record(plan: Plan, motion: Motion, profile: Profile) -> Ride:
    """What the plan's device records while its vehicle moves so.

    profile: heights of the bare road across the lane, asked only where there is a laser. A phone has none of EQUIPMENT,
    whatever its plan says. Raises ValueError for a device other than box and phone, and for unknown equipment.
    """
    if plan.device not in ("box", "phone") or not plan.equipment <= EQUIPMENT:
        raise ValueError(f"no device {plan.device!r} with {', '.join(sorted(plan.equipment)) or 'nothing'}")
    box = plan.device == "box"
    unit = (box_unit if box else phone_unit)(plan.device_seed, plan.rate_hz)
    acc, gyro = samples(plan, motion, unit)
    track = fixes(plan)
    equipment = plan.equipment if box else frozenset[str]()
    met = meetings(plan) if equipment & {"laser", "bands"} else ()
    t0_s = plan.way.t0_s
    return Ride(
        t0_s=t0_s,
        rate_hz=plan.rate_hz,
        acc_scale_mps2=unit.acc_scale_mps2,
        acc_counts=acc,
        gyro_scale_radps=unit.gyro_scale_radps if gyro is not None else 0.0,
        gyro_counts=gyro,
        fix_t_s=track.t_s,
        fix_east_m=track.east_m,
        fix_north_m=track.north_m,
        fix_accuracy_m=track.accuracy_m,
        fix_speed_mps=track.speed_mps,
        fix_course_deg=track.course_deg,
        laser_t0_s=t0_s,
        laser_hz=LINE_HZ,
        laser_width_m=WIDTH_M,
        laser_scale_m=SCALE_M,
        laser_counts=lines(plan, motion, profile, met) if "laser" in equipment else None,
        bands_t0_s=t0_s,
        bands_step_s=BAND_STEP_S,
        bands_centre_hz=CENTRE_HZ,
        band_db=sound(plan, motion, met) if "bands" in equipment else None,
        detections=look(plan) if "camera" in equipment else (),
    )
