"""Datums: the offset datums of Chinese maps are taken back, and what the way adds is said."""

import cmath
import math

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import gcj02_from_wgs84, to_frame, wgs84_from_gcj02
from ingest.datum import ADDED_M, bd09_from_gcj02, gcj02_from_bd09

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


# ---------------------------------------------------------------- all four, against formulas that are not ours

ELLIPSOID_A_M, ELLIPSOID_E2 = 6378245.0, 0.00669342162296594323


def told_by_a_map(lon, lat):
    """GCJ-02 of one place in plain numbers, written down a second time from the published series."""
    x, y = lon - 105.0, lat - 35.0

    def series(*waves):
        return sum(size * math.sin(times * math.pi) for size, times in waves) * 2 / 3

    same = ((20, 6 * x), (20, 2 * x))
    d_lat = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x))
    d_lat += series(*same, (20, y), (40, y / 3), (160, y / 12), (320, y / 30))
    d_lon = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x))
    d_lon += series(*same, (20, x), (40, x / 3), (150, x / 12), (300, x / 30))
    sin = math.sin(math.radians(lat))
    magic = 1 - ELLIPSOID_E2 * sin * sin
    meridian_m = ELLIPSOID_A_M * (1 - ELLIPSOID_E2) / magic**1.5
    parallel_m = ELLIPSOID_A_M / math.sqrt(magic) * math.cos(math.radians(lat))
    return lon + math.degrees(d_lon / parallel_m), lat + math.degrees(d_lat / meridian_m)


def told_by_baidu(lon, lat):
    """BD-09 of a GCJ-02 place, as a rotation and a stretch of the complex plane."""
    turn = math.pi * 3000 / 180
    z = complex(lon, lat)
    length = abs(z) + 0.00002 * math.sin(lat * turn)
    z = cmath.rect(length, cmath.phase(z) + 0.000003 * math.cos(lon * turn))
    return z.real + 0.0065, z.imag + 0.006


@SOME
@given(st.sampled_from(["wgs84", "cgcs2000", "gcj02", "bd09"]), st.floats(73.5, 135), st.floats(18, 53.5))
def test_every_datum_comes_to_the_frame_of_the_city(datum, lon, lat):
    """What a device would state in its datum is the true place again, to 2 cm, and it says how much it may be off."""
    told = {"gcj02": told_by_a_map, "bd09": lambda x, y: told_by_baidu(*told_by_a_map(x, y))}.get(datum)
    stated = told(lon, lat) if told else (lon, lat)
    for frame in ("CGCS2000", "WGS84"):
        found_lon, found_lat, added_m = to_frame(np.array([stated[0]]), np.array([stated[1]]), datum, frame)
        assert apart_m(lon, lat, found_lon, found_lat)[0] < 0.02
        assert added_m == (0.0 if datum == frame.lower() else ADDED_M[datum])


def test_between_the_global_frames_an_independent_library_moves_nothing_either():
    """Its transform of CGCS2000 (EPSG 4490) to WGS 84 (4326) is null: the 0.8 m of plate motion are stated, not
    corrected, here as there."""
    across = pyproj.Transformer.from_crs(4490, 4326, always_xy=True)
    lon, lat = across.transform(LON.ravel(), LAT.ravel())
    assert apart_m(LON.ravel(), LAT.ravel(), lon, lat).max() < 0.01


def test_a_wrong_claim_cannot_be_seen_in_a_chunk():
    """Offset fixes that claim to be WGS 84 keep their distances to half a percent: nothing in the chunk contradicts."""
    lon, lat = np.linspace(120.1655, 120.1662, 10), np.linspace(30.2790, 30.2794, 10)
    g_lon, g_lat = gcj02_from_wgs84(lon, lat)
    true_m = apart_m(lon[1:], lat[1:], lon[:-1], lat[:-1])
    claimed_m = apart_m(g_lon[1:], g_lat[1:], g_lon[:-1], g_lat[:-1])
    assert apart_m(lon, lat, g_lon, g_lat).min() > 300
    assert np.abs(claimed_m / true_m - 1).max() < 5e-3
