"""What rides under a device decides what it may say: an e-bike is not a bus. And how far a device is believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from api.wiring import EVIDENCE
from defects import observe
from defects.planes import DEVICES, EXPOSURE_BOX, HIT_DEVICES, LOGODDS, PASSES, PHONE_LOGODDS, TALLY
from ingest import CARRIERS, City, Reason, Refused, admit

from ..roads import START_S, straight

JOLT = ((2.0, 0.9, 0.0),)


def planes(seen) -> dict[int, int]:  # type: ignore[no-untyped-def]
    """Sum of every plane."""
    return {int(p): int(seen.deltas.value[seen.deltas.plane == p].sum()) for p in np.unique(seen.deltas.plane)}


def test_every_carrier_has_all_its_constants() -> None:
    for table in (
        EVIDENCE.half_track_m, EVIDENCE.carrier_jolt, EVIDENCE.carrier_quiet, EVIDENCE.jolt.carrier_scale,
        EVIDENCE.fixes.most_mps,
    ):  # fmt: skip
        assert tuple(table) == CARRIERS


@pytest.mark.parametrize(("carrier", "felt"), [("car", 2), ("ebike", 1), ("bike", 1)])
def test_what_shakes_more_needs_a_harder_jolt(city: City, carrier: str, felt: int) -> None:
    """0.4 g at 36 km/h are 20 times good road for a car, 10 times for an e-bike; 0.9 g are felt on all three. By the
    fixed scale alone: the recogniser measures each vehicle against its own level."""
    chunk = straight(city, jolts=((1.0, 0.4, 0.0), (3.5, 0.9, 0.0)), carrier=carrier, accuracy_m=3.0)
    assert len(observe(chunk, "phone", 1, city, replace(EVIDENCE, models={})).findings) == felt


def test_a_jolt_under_a_bike_is_worth_less(city: City) -> None:
    odds = {}
    for carrier in CARRIERS:
        # One wheel path for all, so that only the carrier differs.
        alone = replace(EVIDENCE, half_track_m=dict.fromkeys(CARRIERS, 0.0))
        chunk = straight(city, jolts=JOLT, carrier=carrier, accuracy_m=3.0)
        odds[carrier] = planes(observe(chunk, "phone", 1, city, alone))[PHONE_LOGODDS]
    assert odds["bus"] == odds["car"] == odds["sweeper"] > odds["unknown"] > odds["ebike"] == odds["bike"] > 0
    assert odds["ebike"] == pytest.approx(odds["car"] * EVIDENCE.carrier_jolt["ebike"], rel=1e-4)


@pytest.mark.parametrize(("carrier", "quiet"), [("bus", True), ("sweeper", True), ("car", True), ("unknown", False)])
def test_silence_counts_only_where_the_wheels_are_known(city: City, carrier: str, quiet: bool) -> None:
    seen = planes(observe(straight(city, carrier=carrier), "box", 1, city, EVIDENCE))
    assert (EXPOSURE_BOX in seen) == quiet
    assert seen[PASSES] > 0
    if quiet:
        half = replace(EVIDENCE, carrier_quiet=dict.fromkeys(CARRIERS, 0.5))
        less = planes(observe(straight(city, carrier=carrier), "box", 1, city, half))
        assert less[EXPOSURE_BOX] == pytest.approx(seen[EXPOSURE_BOX] / 2, rel=1e-3)


def test_a_sweeper_at_work_says_nothing(city: City) -> None:
    chunk = straight(city, carrier="sweeper", speed_mps=8 / 3.6, jolts=JOLT)
    seen = observe(chunk, "box", 1, city, EVIDENCE)
    assert not len(seen.deltas.cell)
    assert seen.findings == ()
    assert seen.distance_m == 0
    assert len(observe(straight(city, carrier="sweeper", speed_mps=18 / 3.6), "box", 1, city, EVIDENCE).deltas.cell)


def test_a_bike_that_drives_like_a_car_says_nothing(city: City) -> None:
    chunk = straight(city, carrier="bike", speed_mps=20.0, jolts=JOLT, accuracy_m=3.0)
    seen = observe(chunk, "phone", 1, city, EVIDENCE)
    assert not len(seen.deltas.cell)
    assert seen.faults.too_fast == seen.faults.fixes


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_box_is_not_on_two_wheels_and_a_phone_may_be_anywhere(city: City, carrier: str) -> None:
    chunk = straight(city, carrier=carrier)
    assert admit(chunk, "phone", city, START_S + 60) is chunk
    if carrier in ("bike", "ebike"):
        with pytest.raises(Refused) as refusal:
            admit(chunk, "box", city, START_S + 60)
        assert refusal.value.reason is Reason.IMPOSSIBLE_CARRIER
    else:
        assert admit(chunk, "box", city, START_S + 60) is chunk


# ---------------------------------------------------------------- the weight of a device


def test_a_weight_scales_what_is_believed_and_nothing_that_is_counted(city: City) -> None:
    chunk = straight(city, jolts=JOLT)
    whole = observe(chunk, "box", 4, city, EVIDENCE)
    half = observe(chunk, "box", 4, city, EVIDENCE, 0.5)
    assert np.array_equal(whole.deltas.cell, half.deltas.cell)
    assert np.array_equal(whole.deltas.plane, half.deltas.plane)
    for plane in (LOGODDS, EXPOSURE_BOX):
        mine = whole.deltas.plane == plane
        assert mine.any()
        assert np.array_equal(half.deltas.value[mine], np.rint(whole.deltas.value[mine] * 0.5).astype(np.int64))
    for plane in (PASSES, DEVICES, HIT_DEVICES, TALLY):
        mine = whole.deltas.plane == plane
        assert mine.any()
        assert np.array_equal(half.deltas.value[mine], whole.deltas.value[mine])
    assert half.findings[0].weight == whole.findings[0].weight / 2
    same = observe(chunk, "box", 4, city, EVIDENCE, 1.0)
    assert np.array_equal(same.deltas.value, whole.deltas.value)


def test_a_device_that_is_hardly_believed_is_no_witness(city: City) -> None:
    quarter = planes(observe(straight(city, jolts=JOLT), "box", 4, city, EVIDENCE, 0.25))
    assert HIT_DEVICES not in quarter
    assert quarter[LOGODDS] > 0
    strict = replace(EVIDENCE, witness=0.2)
    assert HIT_DEVICES in planes(observe(straight(city, jolts=JOLT), "box", 4, city, strict, 0.25))


def test_of_a_device_that_is_not_believed_nothing_is_left(city: City) -> None:
    none = observe(straight(city, jolts=JOLT), "box", 4, city, EVIDENCE, 0.0)
    assert not len(none.deltas.cell)
    assert none.findings == ()
    assert none.distance_m > 0
