"""What one chunk says: places, levels, exposure, and that it says the same in whatever company."""

from __future__ import annotations

import numpy as np
import pytest

from api.wiring import EVIDENCE
from defects import BY_KEY, Observation, merge, observe, pass_story
from defects.evidence import UNIT
from defects.planes import (
    EXPOSURE_BOX,
    HIT_DEVICES,
    LOGODDS,
    PASSES,
    PHONE_HIT_DEVICES,
    PHONE_LOGODDS,
    PHONE_PASSES,
    ROUGH,
    ROUGH_PASSES,
    TALLY,
)
from grid import Zone, cells_at, level_of, project, unproject
from ingest import City, Detection

from ..roads import START_S, straight


def plane(seen, number: int) -> dict[int, int]:  # type: ignore[no-untyped-def]
    mine = seen.deltas.plane == number
    return dict(zip(seen.deltas.cell[mine].tolist(), seen.deltas.value[mine].tolist(), strict=True))


def origin(city: City) -> tuple[float, float, Zone]:
    zone = Zone(city.utm_zone, city.utm_north)
    x, y = project(*city.centre_deg, zone)
    return float(x), float(y), zone


MIDDLE_M = -0.43
"""So far north of the city's centre both wheels of a bus roll through the middle of their squares."""


def middle(city: City) -> tuple[float, float, Zone]:
    x, y, zone = origin(city)
    return x, y + MIDDLE_M, zone


def test_a_jolt_under_the_left_wheel_lies_on_the_left_wheel_path(city: City) -> None:
    x0, y0, zone = origin(city)
    for side, offset in ((1.0, 0.9), (-1.0, -0.9)):
        seen = observe(straight(city, jolts=((2.0, 0.9, side),)), "box", 1, city, EVIDENCE)
        (finding,) = seen.findings
        assert finding.x_m == pytest.approx(x0 + 20.0, abs=0.3)
        assert finding.y_m == pytest.approx(y0 + offset, abs=0.05)
        weights = plane(seen, LOGODDS)
        assert max(weights, key=lambda c: weights[c]) == int(cells_at(x0 + 20.0, y0 + offset, zone))


def test_quiet_wheel_paths_are_exposed_and_between_them_nothing_is_said(city: City) -> None:
    x0, y0, zone = middle(city)
    seen = observe(straight(city, north_m=MIDDLE_M), "box", 1, city, EVIDENCE)
    exposed = plane(seen, EXPOSURE_BOX)
    rows = {y0 + 0.9, y0 - 0.9}
    want = {int(cells_at(x0 + x, y, zone)) for x in np.arange(2.0, 48.0) for y in rows}
    assert want <= set(exposed)
    between = int(cells_at(x0 + 20.0, y0, zone))
    assert between not in exposed or between in want
    assert all(v > 0 for v in exposed.values())
    assert seen.distance_m == pytest.approx(50.0, abs=0.2)


def test_where_a_wheel_was_thrown_its_path_is_not_called_quiet_but_the_other_is(city: City) -> None:
    x0, y0, zone = middle(city)
    seen = observe(straight(city, jolts=((2.0, 0.9, 1.0),), north_m=MIDDLE_M), "box", 1, city, EVIDENCE)
    exposed = plane(seen, EXPOSURE_BOX)
    assert int(cells_at(x0 + 20.0, y0 + 0.9, zone)) not in exposed
    assert int(cells_at(x0 + 20.0, y0 - 0.9, zone)) in exposed


def test_chunks_that_meet_share_no_square_and_leave_none_out(city: City) -> None:
    long = plane(observe(straight(city, owned_s=10.0), "box", 1, city, EVIDENCE), PASSES)
    parts = [plane(observe(straight(city, seq=n), "box", 1, city, EVIDENCE), PASSES) for n in (0, 1)]
    assert not set(parts[0]) & set(parts[1])
    assert set(parts[0]) | set(parts[1]) == set(long)


def levels_of_evidence(seen: Observation) -> set[int]:
    """Levels of the squares that it speaks of; roughness is told of 16 m, whatever the position."""
    of_road = ~np.isin(seen.deltas.plane, (ROUGH, ROUGH_PASSES))
    return set(np.unique(level_of(seen.deltas.cell[of_road])).tolist())


@pytest.mark.parametrize(
    ("kind", "accuracy_m", "level"), [("box", 0.075, 0), ("box", 0.6, 1), ("phone", 0.075, 1), ("phone", 8.0, 2)]
)
def test_evidence_is_as_fine_as_its_position(city: City, kind: str, accuracy_m: float, level: int) -> None:
    seen = observe(straight(city, jolts=((2.0, 0.9, 1.0),), accuracy_m=accuracy_m), kind, 1, city, EVIDENCE)
    assert levels_of_evidence(seen) == {level}


def test_a_doubtful_place_never_speaks_against_a_defect(city: City) -> None:
    for accuracy_m in (0.075, 3.0, 6.0, 9.9):
        seen = observe(straight(city, jolts=((2.0, 0.9, 1.0),), accuracy_m=accuracy_m), "phone", 1, city, EVIDENCE)
        weights = plane(seen, PHONE_LOGODDS)
        assert weights
        assert all(v >= 0 for v in weights.values())


def test_a_jolt_leaves_its_device_as_a_witness(city: City) -> None:
    seen = observe(straight(city, jolts=((2.0, 0.9, 1.0),)), "box", 1 << 5, city, EVIDENCE)
    witnesses = plane(seen, HIT_DEVICES)
    assert set(witnesses) == set(plane(seen, LOGODDS))
    assert set(witnesses.values()) == {1 << 5}


def test_a_phone_speaks_apart_from_the_boxes(city: City) -> None:
    seen = observe(straight(city, jolts=((2.0, 0.9, 1.0),), accuracy_m=3.0), "phone", 1 << 5, city, EVIDENCE)
    assert set(plane(seen, PHONE_HIT_DEVICES).values()) == {1 << 5}
    assert plane(seen, PHONE_PASSES)
    assert all(26 <= p <= 30 for p in seen.deltas.plane.tolist()), "it may be taken out of a square as if never there"


def test_worse_than_ten_metres_writes_nothing(city: City) -> None:
    seen = observe(straight(city, jolts=((2.0, 0.9, 1.0),), accuracy_m=11.0), "phone", 1, city, EVIDENCE)
    assert len(seen.deltas.cell) == 0
    assert seen.findings == ()


def test_a_phone_never_exposes(city: City) -> None:
    assert not plane(observe(straight(city, accuracy_m=3.0), "phone", 1, city, EVIDENCE), EXPOSURE_BOX)


def test_a_datum_that_is_not_the_citys_costs_certainty(city: City) -> None:
    seen = observe(straight(city, jolts=((2.0, 0.9, 1.0),), datum="wgs84"), "box", 1, city, EVIDENCE)
    assert levels_of_evidence(seen) == {1}


def test_every_type_flows_from_a_camera(city: City) -> None:
    x0, y0, zone = origin(city)
    lon, lat = (float(v) for v in unproject(x0 + 20.5, y0 + 0.5, zone))
    for key, defect in BY_KEY.items():
        if key == "uneven":
            continue
        one = Detection(START_S + 2.0, key, 0.9, lat, lon, 0.3)
        seen = observe(straight(city, detections=(one,)), "box", 1, city, EVIDENCE)
        cells = plane(seen, LOGODDS + defect.number)
        assert int(cells_at(x0 + 20.5, y0 + 0.5, zone)) in cells
        assert all(v > 0 for v in cells.values())
        assert set(plane(seen, TALLY + defect.number)) == set(cells)


def test_a_detection_belongs_to_the_chunk_that_owns_its_moment(city: City) -> None:
    x0, y0, zone = origin(city)
    lon, lat = (float(v) for v in unproject(x0 + 50.0, y0, zone))
    one = Detection(START_S + 5.0, "pothole", 0.9, lat, lon, 0.3)
    first, second = (
        observe(straight(city, seq=n, detections=(one,)), "box", 1, city, EVIDENCE).findings for n in (0, 1)
    )
    assert (len(first), len(second)) == (0, 1)


def test_a_detection_out_of_sight_of_its_box_is_not_believed(city: City) -> None:
    """Else one box could speak of any place in the city."""
    x0, y0, zone = origin(city)
    for away_m, believed in ((35.0, True), (45.0, False)):
        lon, lat = (float(v) for v in unproject(x0 + 20.0, y0 + away_m, zone))
        one = Detection(START_S + 2.0, "pothole", 0.9, lat, lon, 0.3)
        assert bool(observe(straight(city, detections=(one,)), "box", 1, city, EVIDENCE).findings) is believed


def test_it_is_a_pure_function(city: City) -> None:
    chunk = straight(city, jolts=((2.0, 0.9, 1.0),))
    before = chunk.acc_counts.copy()
    one, other = (observe(chunk, "box", 4, city, EVIDENCE).deltas for _ in range(2))
    assert np.array_equal(one.value, other.value)
    assert np.array_equal(before, chunk.acc_counts)
    alone = merge([one])
    assert np.array_equal(alone.value, one.value), "deltas of one chunk are unique and sorted already"


def test_a_vehicle_at_rest_says_nothing(city: City) -> None:
    seen = observe(straight(city, speed_mps=0.0, jolts=((2.0, 2.0, 1.0),)), "box", 1, city, EVIDENCE)
    assert seen.distance_m == 0
    assert len(seen.deltas.cell) == 0


def test_the_story_of_a_square_is_what_was_added_there(city: City) -> None:
    x0, y0, zone = origin(city)
    seen = observe(straight(city, jolts=((2.0, 0.9, 1.0),)), "box", 1, city, EVIDENCE)
    hit = pass_story(seen, int(cells_at(x0 + 20.0, y0 + 0.9, zone)))
    calm = pass_story(seen, int(cells_at(x0 + 40.0, y0 + 0.9, zone)))
    assert hit is not None
    assert calm is not None
    assert (hit.what, calm.what) == ("jolt", "quiet")
    assert hit.weight > 4
    assert calm.weight == pytest.approx(-plane(seen, EXPOSURE_BOX)[int(cells_at(x0 + 40.0, y0 + 0.9, zone))] / UNIT)
    assert pass_story(seen, int(cells_at(x0 + 40.0, y0 + 30.0, zone))) is None
