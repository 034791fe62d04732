"""What would a road send? Streets whose truth is known, vehicles that feel them, boxes and phones that tell of it."""

from .faults import BAD_KINDS, Counts, Faults, inject
from .fleet import live, trips
from .truth import Defect, Place, Street, Truth, crossing, write_truth

__all__ = [
    "BAD_KINDS",
    "Counts",
    "Defect",
    "Faults",
    "Place",
    "Street",
    "Truth",
    "crossing",
    "inject",
    "live",
    "trips",
    "write_truth",
]
