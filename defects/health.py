"""The one table from evidence to a health code, and its constants.

Yellow and red differ by severity, never by doubt. Green needs exposure: a square is green for a type only where sensors
able to see that type looked long enough and found nothing. Everything else is grey.

| evidence | code |
|---|---|
| a works permit holds | grey, hatched |
| a type of a point: p >= p_defect, and no stronger square of it within 3 squares, mean severity >= severe | red |
| a type of an area: p >= p_defect, mean severity >= severe, or its connected area is that of a severe one | red |
| the same with less severity | yellow |
| was red or yellow at the end of the day before: p >= p_keep, and severity >= still_severe | red or yellow as above |
| nobody felt or saw it again for the validity of the road's class | grey, "expired" |
| what a wheel feels on a known harmless object; on a cover, unless a severe kind is named | nothing |
| hazards: exposure >= green_exposure, p <= p_green, `uneven` too; fewer than two devices hit that day | green |
| was green at the end of the day before: exposure >= keep_exposure, p <= p_green_keep | green |
| a square of 4 m or more: red and yellow only by k or more devices on a closed day, and nothing else | as above |
| anything else, and everything that nobody passed | grey |
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .register import GroundOptions
from .taxonomy import TYPES


@dataclass(frozen=True)
class HealthOptions:
    """Constants of the read-out. Mind that they are frozen with the day context.

    prior: chance that a square metre holds a given defect, before anybody looked. new_a_day, healed_a_day: the daily
    filter's rates. repeat: what a further pass of a device that has passed already counts, against one of a new device.
    p_defect, p_keep: from which probability on something is a defect, and down to which it stays one once it was so at
    the end of a day; alike, and what lies on the border changes colour every day; p_keep over .36, and a red runs out
    by waiting before its validity does, without a word that it did. p_green, p_green_keep, green_exposure,
    keep_exposure: the same of green; green_exposure 3 leaves 5 % of defects unseen. severe, still_severe: mean severity
    of red (1 is yellow, 2 is red). exposure_days: the time in which exposure falls to 1/e. most_against: what all quiet
    passes of one day may say against a defect: without a bound three hundred passes of a morning would outvote
    everybody who falls into the hole that opens at noon. witnesses: so many devices that felt something on one day,
    and the square is not green that day. validity_days: after so many days without a pass, or without anybody who felt
    it again, a colour is grey; 90 where the road's class says nothing, and never more. named: probability from which on
    a kind is named of what was felt; name_passes: so many passes at the most count for it, since passes over one thing
    err alike. public_contributors: coarse squares tell of a day only where so many different phones felt something;
    with 2 each of two neighbours sees the other in the map, with 10 a quiet street is never told of. public_after_days:
    so many days later; with 3 the day is over for 48 h and no chunk of it is taken any more, with less a chunk that
    comes late changes what was told already and stands out as one drive, with more the map is older for nothing. It is
    also how old a day is when its state may be carried. ground: of registers and roads.
    """

    prior: float = 1e-4
    p_defect: float = 0.9
    p_keep: float = 0.3
    p_green: float = 0.02
    p_green_keep: float = 0.05
    green_exposure: float = 3.0
    keep_exposure: float = 2.0
    severe: float = 1.5
    still_severe: float = 1.3
    exposure_days: float = 30.0
    healed_a_day: float = 1 / 90
    new_a_day: float = 1 / 30_000
    repeat: float = 0.5
    most_against: float = 8.0
    witnesses: int = 2
    validity_days: int = 90
    p_hit: float = 0.76
    confirming_devices: int = 3
    named: float = 0.7
    name_passes: float = 3.0
    public_contributors: int = 3
    public_after_days: int = 3
    ground: GroundOptions = field(default_factory=GroundOptions)


FELT = tuple(t.number for t in TYPES if t.imu_detect > 0 or t.key in ("broken_slab", "defective_cover"))
"""Types whose defects throw a wheel, so that a camera and a jolt at one place speak of the same thing."""
