"""Datums: the offset datums of Chinese maps are taken back, and what the way adds is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import gcj02_from_wgs84, to_frame, wgs84_from_gcj02
from ingest.datum import bd09_from_gcj02, gcj02_from_bd09

SOME = settings(max_examples=80, deadline=None)
LON, LAT = np.meshgrid(np.linspace(73.5, 135, 84), np.linspace(18, 53.5, 72))
A_DEGREE_M = 111_320.0


def apart_m(lon1, lat1, lon2, lat2):
    """Distance of near places, metres."""
    east = (np.asarray(lon1) - lon2) * A_DEGREE_M * np.cos(np.radians(lat1))
    return np.hypot(east, (np.asarray(lat1) - lat2) * A_DEGREE_M)


def test_gcj02_comes_back_anywhere_in_china():
    lon, lat = wgs84_from_gcj02(*gcj02_from_wgs84(LON, LAT))
    assert apart_m(LON, LAT, lon, lat).max() < 0.001


def test_bd09_comes_back_anywhere_in_china():
    lon, lat = gcj02_from_bd09(*bd09_from_gcj02(LON, LAT))
    assert apart_m(LON, LAT, lon, lat).max() < 0.001
    b_lon, b_lat = bd09_from_gcj02(*gcj02_from_wgs84(LON, LAT))
    lon, lat, _ = to_frame(b_lon, b_lat, "bd09", "CGCS2000")
    assert apart_m(LON, LAT, lon, lat).max() < 0.01


@SOME
@given(st.floats(73.5, 135), st.floats(18, 53.5))
def test_any_place_comes_back(lon, lat):
    lon, lat = np.array([lon]), np.array([lat])
    back = wgs84_from_gcj02(*gcj02_from_wgs84(lon, lat))
    assert apart_m(lon, lat, *back)[0] < 0.01


def test_offsets_are_those_that_are_published():
    """Values of the public formula at Tian'anmen, as independent implementations print them."""
    lon, lat = gcj02_from_wgs84(np.array([116.404]), np.array([39.915]))
    assert apart_m(lon, lat, 116.41024449916938, 39.91640428150164)[0] < 0.001
    lon, lat = bd09_from_gcj02(np.array([116.404]), np.array([39.915]))
    assert apart_m(lon, lat, 116.41036949371029, 39.92133699351021)[0] < 0.001


def test_a_track_from_a_chinese_phone_comes_back_to_its_street():
    """A street of 2 km near the West Lake, as a phone that speaks GCJ-02 tells it."""
    lon, lat = np.linspace(120.1550, 120.1655, 200), np.linspace(30.2700, 30.2840, 200)
    g_lon, g_lat = gcj02_from_wgs84(lon, lat)
    believed_lon, believed_lat, _ = to_frame(g_lon, g_lat, "wgs84", "CGCS2000")
    assert apart_m(lon, lat, believed_lon, believed_lat).min() > 300  # some blocks away, and no error in sight
    back_lon, back_lat, added_m = to_frame(g_lon, g_lat, "gcj02", "CGCS2000")
    assert apart_m(lon, lat, back_lon, back_lat).max() < 0.02
    assert added_m == 1.5


@pytest.mark.parametrize(
    ("datum", "frame", "added_m"),
    [
        ("cgcs2000", "CGCS2000", 0.0),
        ("wgs84", "WGS84", 0.0),
        ("wgs84", "CGCS2000", 0.8),
        ("cgcs2000", "WGS84", 0.8),
        ("gcj02", "CGCS2000", 1.5),
        ("bd09", "CGCS2000", 2.0),
    ],
)
def test_the_way_adds_uncertainty(datum, frame, added_m):
    assert to_frame(np.array([120.0]), np.array([30.0]), datum, frame)[2] == added_m


def test_between_global_frames_positions_stay():
    lon, lat, _ = to_frame(LON, LAT, "wgs84", "CGCS2000")
    assert lon is LON
    assert lat is LAT
