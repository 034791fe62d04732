"""The truth must be true: its places on the ellipsoid, its sides, its limits."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from defects import TYPES
from sensors_sim import Place, crossing, write_truth
from sensors_sim.truth import SPEED_BUMP

CENTRE = (120.1655, 30.2790)


@pytest.mark.parametrize("centre", [CENTRE, (-70.6, -33.4), (10.0, 53.5)])
def test_local_plane_agrees_with_a_true_projection(centre: tuple[float, float]) -> None:
    pyproj = pytest.importorskip("pyproj")
    exact = pyproj.Proj(proj="aeqd", lon_0=centre[0], lat_0=centre[1], ellps="WGS84")
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for radius_m in (10, 250, 500):
        xy = radius_m * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        lonlat = Place(*centre).lonlat(xy)
        back = np.stack(exact(lonlat[:, 0], lonlat[:, 1]), axis=-1)
        assert np.hypot(*(back - xy).T).max() < 0.002


def test_streets_keep_their_course_length_and_side() -> None:
    pyproj = pytest.importorskip("pyproj")
    geod = pyproj.Geod(ellps="WGS84")
    truth = crossing(CENTRE)
    for street in truth.streets:
        ends = truth.place.lonlat(street.xy(np.array([0.0, street.length_m]), np.zeros(2)))
        course, _, length = geod.inv(*ends[0], *ends[1])
        assert course % 360 == pytest.approx(street.course_deg, abs=0.05)
        assert length == pytest.approx(400, abs=0.01)
        middle = truth.place.lonlat(street.xy(200.0, 0.0))
        left = truth.place.lonlat(street.xy(200.0, 3.0))
        to_left, _, apart = geod.inv(*middle, *left)
        assert to_left % 360 == pytest.approx((street.course_deg - 90) % 360, abs=0.05)
        assert apart == pytest.approx(3, abs=0.001)


def test_every_type_is_there_and_no_two_are_near() -> None:
    truth = crossing(CENTRE)
    kinds = Counter(d.kind for d in truth.defects)
    assert set(kinds) == {t.key for t in TYPES} | {SPEED_BUMP}
    severe = [d for d in truth.defects if d.kind == "pothole" and d.severity == "red"]
    assert len(severe) >= 3
    assert all(60 <= d.depth_mm <= 80 and d.length_m == 0.6 for d in severe)
    places = [truth.streets[d.street].xy(d.along_m, d.lateral_m) for d in truth.defects]
    assert min(float(np.hypot(*(a - b))) for a, b in combinations(places, 2)) >= 12
    assert [d.severity for d in truth.defects if d.kind == SPEED_BUMP] == ["harmless"]


def test_sides_are_the_driver_s() -> None:
    for d in crossing(CENTRE).defects:
        if d.lane == "both":
            assert d.lateral_m == 0
            continue
        # Forward traffic keeps to the right of the axis: its left wheel path is the one nearer to it, as for backward.
        assert (d.lateral_m < 0) == (d.lane == "forward")
        assert abs(d.lateral_m) == pytest.approx({"left": 0.85, "right": 2.65, "across": 1.75}[d.side])


def test_truth_file_says_what_the_truth_is(tmp_path: Path) -> None:
    truth = crossing(CENTRE)
    write_truth(tmp_path / "new" / "truth.json", truth)
    tree = json.loads((tmp_path / "new" / "truth.json").read_text())
    assert len(tree["defects"]) == len(truth.defects)
    for item, d in zip(tree["defects"], truth.defects, strict=True):
        assert (item["lon_deg"], item["lat_deg"]) == truth.lonlat(d)
        assert item["street"] == truth.streets[d.street].name
        assert item["severity"] in ("red", "yellow", "harmless")
        assert set(item["visible_to"]) <= {"imu", "camera"}
        assert item["visible_to"]
