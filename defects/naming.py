"""What may be said of a finding's kind: no more than its device can tell apart."""

from __future__ import annotations

from dataclasses import dataclass

from .told import Told

LEAST_SURE = 0.5
"""A kind is named when it is likelier than all others together. Lower, and the page names what is more often something
else; higher, and hardly anything is named."""


@dataclass(frozen=True)
class Name:
    """key: of a type (`TYPES`), or a class that a wheel tells apart (`SUPERCLASSES`). subtype: the likeliest of that
    type, "" where there is none and for a class. p: probability of the key, given a defect."""

    key: str
    subtype: str
    p: float


def name_of(told: Told, candidate: int, lined: bool) -> Name | None:
    """The name of a candidate; None where nothing is likelier than all the rest. lined: the device has a laser, and
    names the type where it is sure, else the class. Others (phones, and boxes that only feel) name a class: an IMU
    never claims 16 types. On the demo's streets one called potholes of 60 cm missing covers (simulated)."""
    if lined:
        leaf, p = told.best(candidate)
        if p >= LEAST_SURE:
            return Name(leaf.key, leaf.subtype, p)
    superclass, p = told.superclass(candidate)
    return Name(superclass, "", p) if superclass and p >= LEAST_SURE else None
