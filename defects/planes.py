"""What an evidence row's 64 planes mean. The numbers are part of stored data: a new meaning takes a free number.

Every plane is a sum of int64, or an OR of bits where `OR_PLANES` says so. Free: 63.
"""

from __future__ import annotations

LOGODDS = 0
"""Planes 0 to 18: summed positive log-odds of type k. 0 is `uneven`: what a wheel felt, of whatever type."""
ROUGH = 19
"""Squares of 16 m, boxes only: sum of ln(IRI in m/km) of each pass, fixed-point. How rough, not what is broken."""
EXPOSURE_BOX = 20
"""Sum of -log(1 - P_detect P_hit) of quiet box passes, for a pothole; other types scale it."""
PASSES = 21
"""Passes of any vehicle that could have felt something, quiet or not."""
EXPOSURE_CAMERA = 22
"""Exposure of quiet frames of a camera, in units of a pothole's; other types scale it."""
EXPOSURE_LASER = 23
"""Exposure of quiet laser lines, in units of a pothole's; other types scale it."""
DEVICES = 24
"""Bits of the salted slots of devices that passed: joined by OR, not summed."""
HIT_DEVICES = 25
"""Bits of the salted slots of devices that felt or saw something."""
PHONE_LOGODDS = 26
"""Planes 26 to 30: what phones say of coarse squares, apart from the boxes, so that a square where too few of them felt
something can be read as if none had been there (`public`). They feel `uneven` and name no type."""
PHONE_TALLY = 27
PHONE_PASSES = 28
PHONE_DEVICES = 29
PHONE_HIT_DEVICES = 30
ROUGH_PASSES = 31
"""Squares of 16 m, boxes only: how many passes `ROUGH` is the sum of."""
TALLY = 32
"""Planes 32 to 50: hits of type k in the high 32 bits, their severity (8 fractional bits) in the low 32."""
NAMED = 51
"""Planes 51 to 61: what the recogniser says of the kind of what was felt, for the types of `FELT_TYPES` in that order:
sum of the log of its probability, given a defect, over what it would be if nothing were known."""
SIZE = 62
"""Of what was felt: hits whose height or depth is known in the high 32 bits, the sum of millimetres (8 fractional bits)
in the low 32."""
OR_PLANES = (DEVICES, HIT_DEVICES, PHONE_DEVICES, PHONE_HIT_DEVICES)
PLANES = 64

FELT_TYPES = (4, 6, 9, 11, 14, 15, 16, 3, 8, 10, 7)
"""Numbers of the types that a wheel or laser tells apart, in the order of the planes from `NAMED` on: shoving,
subsidence, pothole, frame level, faulting, broken slab, defective cover; then the weak ones: alligator crack,
ravelling, edge break, mud boil."""
