"""One plan, one ride: road, vehicle and instruments of the second family put together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..plan import Plan, Ride, meetings
from .beside import BANDS_HZ, BANDS_STEP_S, LASER_SCALE_M, bands, laser
from .clank import clank_mps2, hits
from .dynamics import drive
from .feel import box, phone, phone_factor
from .fixes import fixes
from .relief import tracks
from .sight import sights
from .vehicles import draw_vehicle


def ride(plan: Plan) -> Ride:
    """What the plan's device records, by the second family: a pure function of the plan.

    Samples run from the way's begin to its end. Raises KeyError for a model, a roughness or a device that it does not
    know.
    """
    way = plan.way
    vehicle = draw_vehicle(plan.model, plan.wheels, plan.vehicle_seed, plan.device_seed)
    struck = hits(plan, meetings(plan))
    count = int(way.duration_s * plan.rate_hz + 1e-6)
    factor = {"box": 1, "phone": phone_factor(plan.rate_hz)}[plan.device]
    motion = drive(plan, vehicle, tracks(plan), plan.rate_hz * factor, count * factor)
    motion = replace(motion, clank_mps2=clank_mps2(plan, struck, motion.rate_hz, count * factor))
    felt = box(plan, motion, vehicle) if plan.device == "box" else phone(plan, motion, vehicle, count)
    fixed = fixes(plan)
    recorded = Ride(
        way.t0_s, plan.rate_hz, felt.acc_scale_mps2, felt.acc_counts, felt.gyro_scale_radps, felt.gyro_counts,
        fixed.t_s, fixed.east_m, fixed.north_m, fixed.accuracy_m, fixed.speed_mps, fixed.course_deg,
    )  # fmt: skip
    if "laser" in plan.equipment:
        t0_s, hz, width_m, counts = laser(plan, motion)
        recorded = replace(
            recorded, laser_t0_s=t0_s, laser_hz=hz, laser_width_m=width_m, laser_scale_m=LASER_SCALE_M,
            laser_counts=counts,
        )  # fmt: skip
    if "bands" in plan.equipment:
        t0_s, level_db = bands(plan, struck)
        recorded = replace(
            recorded, bands_t0_s=t0_s, bands_step_s=BANDS_STEP_S, bands_centre_hz=np.asarray(BANDS_HZ),
            band_db=level_db,
        )  # fmt: skip
    if "camera" in plan.equipment:
        recorded = replace(recorded, detections=sights(plan))
    return recorded
