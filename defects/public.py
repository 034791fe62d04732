"""What may be told of phones: only days that can no longer change, only squares where enough of them felt something.

Coarse squares (4 and 16 m) are where phones speak, and boxes whose position is poor. Their codes and stories are read
out of `publishable` evidence of days up to `last_public_day`, and of nothing else: a square and day with fewer phones
gives the same bits as if no phone had been there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from .evidence import UNIT, BlockEvidence, fold
from .planes import (
    DEVICES,
    HIT_DEVICES,
    LOGODDS,
    PASSES,
    PHONE_DEVICES,
    PHONE_HIT_DEVICES,
    PHONE_LOGODDS,
    PHONE_PASSES,
    PHONE_TALLY,
    TALLY,
)
from .taxonomy import ALL_TYPES, UNEVEN

if TYPE_CHECKING:
    from .health import HealthOptions

_SPEAKS_AS = {
    PHONE_LOGODDS: LOGODDS + UNEVEN.number,
    PHONE_TALLY: TALLY + UNEVEN.number,
    PHONE_PASSES: PASSES,
    PHONE_DEVICES: DEVICES,
    PHONE_HIT_DEVICES: HIT_DEVICES,
}
_PASSES_ROUNDED_TO = 5
"""Passes of a day are told to the nearest five. At 1 whoever drove there himself subtracts himself; at 50 a street
that hundreds pass and one that six pass look alike."""


def last_public_day(today: date, options: HealthOptions) -> date:
    """The newest service day whose coarse squares may be told on ``today``: no chunk of it is taken any more, so two
    answers never differ by one late chunk."""
    return today - timedelta(days=options.public_after_days)


def publishable(evidence: BlockEvidence, contributors: int) -> BlockEvidence:
    """Evidence of one coarse block and day with the phones among the boxes where at least so many different ones felt
    something, and without them elsewhere."""
    plane = evidence.key & 63
    phone = np.isin(plane, list(_SPEAKS_AS))
    if not phone.any():
        return evidence
    enough = np.bitwise_count(evidence.plane(PHONE_HIT_DEVICES)) >= contributors
    told = phone & enough[evidence.key >> 6]
    boxes = BlockEvidence(evidence.key[~phone], evidence.value[~phone])
    if not told.any():
        return boxes
    moved = np.array([_SPEAKS_AS.get(p, p) for p in range(64)], dtype=np.uint16)
    key = (evidence.key[told] & ~np.uint16(63)) | moved[plane[told]]
    return fold(boxes, BlockEvidence(key, evidence.value[told]))


@dataclass(frozen=True)
class PublicDay:
    """What may be told of one coarse square and day. passes: rounded. weight: log-odds, whole. devices_at_least: how
    many different devices felt something, and no more than that it was so many."""

    day: date
    sensor: str
    kind: str
    passes: int
    weight: int
    devices_at_least: int


def public_days(
    index: int, days: Mapping[date, BlockEvidence], read_on: date, options: HealthOptions
) -> list[PublicDay]:
    """The story of a coarse square, newest day first. ``index``: of the square in its block; ``days``: the block's
    evidence; ``read_on``: the service day on which its code was read out."""
    told = []
    for day in sorted((d for d in days if d <= last_public_day(read_on, options)), reverse=True):
        evidence = publishable(days[day], options.public_contributors)
        mine = evidence.key >> 6 == index
        value = dict(zip((evidence.key[mine] & 63).tolist(), evidence.value[mine].tolist(), strict=True))
        if int(value.get(HIT_DEVICES, 0)).bit_count() < options.public_contributors:
            continue
        kind = max(range(len(ALL_TYPES)), key=lambda k: value.get(LOGODDS + k, 0))
        phones = int(days[day].plane(PHONE_HIT_DEVICES)[index]).bit_count() >= options.public_contributors
        passes = round(value.get(PASSES, 0) / _PASSES_ROUNDED_TO) * _PASSES_ROUNDED_TO
        told.append(
            PublicDay(
                day=day,
                sensor="phone" if phones else "box",
                kind=ALL_TYPES[kind].key,
                passes=max(passes, _PASSES_ROUNDED_TO),
                weight=round(value.get(LOGODDS + kind, 0) / UNIT),
                devices_at_least=options.public_contributors,
            )
        )
    return told
