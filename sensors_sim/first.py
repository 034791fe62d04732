"""The first family of physics, on which is trained: `catalogue`, `car`, `profile` and `instruments` behind one door.

A second family has the same names (`sensors_sim.second`), so that whoever drives need not know which one it is.
"""

from __future__ import annotations

from .car import MODELS, draw_wheels, feel
from .catalogue import LOOK_ALIKES, draw_defect, draw_look_alike
from .instruments import record
from .plan import Plan, Ride
from .profile import cross_profile_m

__all__ = ["LOOK_ALIKES", "MODELS", "ROUGHNESS_MIX", "draw_defect", "draw_look_alike", "draw_wheels", "ride"]

ROUGHNESS_MIX: dict[str, float] = {"A": 0.30, "B": 0.40, "C": 0.25, "D": 0.05}
"""Share of the stretches in each class of ISO 8608; proposed (science notes)."""


def ride(plan: Plan) -> Ride:
    """What the plan's device records of its drive. Raises KeyError for an unknown model, ValueError for a device."""
    return record(plan, feel(plan), cross_profile_m)
