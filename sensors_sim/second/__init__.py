"""A second family of physics, on which nobody trains: other roads, shapes, vehicles, mounts, sensors than the first.

Written apart from the first family, with only the plan of a drive in common, so that what is learned from the first can
be tried on something that it has not seen.
"""

from .ride import ride
from .things import LOOK_ALIKES, draw_defect, draw_look_alike
from .vehicles import MODELS, ROUGHNESS_MIX, draw_wheels

__all__ = ["LOOK_ALIKES", "MODELS", "ROUGHNESS_MIX", "draw_defect", "draw_look_alike", "draw_wheels", "ride"]
