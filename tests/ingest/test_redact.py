"""No-go areas: what lies in one is cut out of every field, the rest is kept, and nothing is cut twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import (
    Bands,
    Detection,
    Laser,
    NoGo,
    Reason,
    Refused,
    admit,
    decode,
    encode,
    gcj02_from_wgs84,
    read_city,
    redact,
)

from .chunks import START_S, box_chunk, fixes_at, same

CITY = read_city((Path(__file__).parents[2] / "city.toml").read_text())
LON, LAT = 120.1655, 30.2790  # of the first fix, 2 s before the chunk's own time; 1e-4 degrees of longitude a second


def ring(west, east, south=LAT - 0.01, north=LAT + 0.01):
    return ((west, south), (east, south), (east, north), (west, north), (west, south))


def yard(*edges):
    """The example city with an area across the road from ``edges[0]`` to ``edges[1]`` seconds of `fixes_at`."""
    return replace(CITY, no_go=(NoGo("yard", ring(LON + edges[0] * 1e-4, LON + edges[1] * 1e-4)),))


def full_chunk(**changes):
    """A chunk with every field, numbered so that one sees what was kept; sample i is taken at second i / 100."""
    n = np.arange(900, dtype=np.int16)
    where = [(at, "pothole", 0.8, LAT, LON + at * 1e-4, 0.3) for at in (2.5, 4.5, 6.5)]
    return box_chunk(
        acc_counts=np.stack([n, n, n], axis=1), gyro_counts=np.stack([n, n, n], axis=1), gyro_scale_radps=0.001,
        laser=Laser(START_S - 2, 10.0, 3.0, 0.001, np.tile(np.arange(90, dtype=np.int16)[:, None], (1, 4))),
        bands=Bands(START_S - 2, 0.5, np.array([500.0, 1000.0], dtype=np.float32),
                    np.tile(np.arange(18, dtype=np.float32)[:, None], (1, 2))),
        detections=tuple(Detection(START_S - 2 + at, *rest) for at, *rest in where), **changes,
    )  # fmt: skip


def seconds(chunk):
    """First and last second of everything that is in a chunk, counted from the uncut chunk's first sample."""
    begin = START_S - 2
    times = [chunk.sample_t_s, chunk.fixes.t_s]
    if chunk.laser:
        times.append(chunk.laser.t0_s + np.arange(len(chunk.laser.height_counts)) / chunk.laser.rate_hz)
    if chunk.bands:
        times.append(chunk.bands.t0_s + np.arange(len(chunk.bands.level_db)) * chunk.bands.step_s)
    times.append(np.array([d.t_s for d in chunk.detections]))
    every = np.concatenate(times) - begin
    return float(every.min()), float(every.max())


def test_far_from_all_areas_the_chunk_is_the_same_object():
    chunk = full_chunk()
    assert redact(chunk, CITY) is chunk
    assert redact(chunk, yard(10, 20)) is chunk
    beside = replace(CITY, no_go=(NoGo("park", ring(LON, LON + 1e-3, LAT + 1e-5, LAT + 1e-2)),))
    assert redact(chunk, beside) is chunk
    assert admit(chunk, "box", CITY, START_S + 60) is chunk


@pytest.mark.parametrize(
    ("area", "span_s", "owned_s"),
    [
        ((4.5, 30), (0, 4), (2, 4)),  # in at 4.5 s: kept to the last fix before it
        ((-30, 4.5), (5, 9), (5, 7)),  # out at 4.5 s: kept from the next fix on
        ((2.2, 2.4), (3, 9), (3, 7)),  # a gate: the longer side stays
        ((5.55, 5.6), (0, 5), (2, 5)),  # 5 m between two fixes: no fix lies in it, samples do
        ((6.5, 6.6), (0, 6), (2, 6)),
    ],
)
def test_what_lies_in_the_area_is_in_no_field(area, span_s, owned_s):
    kept = redact(full_chunk(), yard(*area))
    assert seconds(kept)[0] >= span_s[0] - 1e-6
    assert seconds(kept)[1] <= span_s[1] + 1e-6
    assert (kept.start_s - START_S + 2, kept.end_s - START_S + 2) == pytest.approx(owned_s)
    # A sample keeps its moment: its number is its time in hundredths, in every column.
    assert np.allclose((kept.sample_t_s - START_S + 2) * 100, kept.acc_counts[:, 0], atol=1e-3)
    assert np.array_equal(kept.acc_counts, kept.gyro_counts)
    assert kept.laser.t0_s - START_S + 2 == pytest.approx(kept.laser.height_counts[0, 0] / 10)
    assert kept.bands.t0_s - START_S + 2 == pytest.approx(kept.bands.level_db[0, 0] / 2)
    inside = (kept.fixes.lon_deg > LON + area[0] * 1e-4) & (kept.fixes.lon_deg < LON + area[1] * 1e-4)
    assert not inside.any()
    assert len(kept.fixes.lat_deg) == len(kept.fixes.course_deg) == len(kept.fixes.t_s)


@pytest.mark.parametrize(("area", "kept"), [((-1, 30), None), ((2.1, 30), None), ((3.1, 30), 1.0), ((-30, 6.4), None)])
def test_less_than_half_an_owned_second_is_refused(area, kept):
    if kept is None:
        with pytest.raises(Refused) as refusal:
            redact(full_chunk(), yard(*area))
        assert refusal.value.reason is Reason.NO_GO
    else:
        chunk = redact(full_chunk(), yard(*area))
        assert chunk.end_s - chunk.start_s == pytest.approx(kept)


def test_a_detection_inside_an_area_is_dropped_though_the_way_is_outside():
    off = full_chunk()
    away = Detection(START_S + 1, "pothole", 0.8, LAT + 2e-4, LON + 3e-4, 0.3)
    off = replace(off, detections=(*off.detections, away))
    kept = redact(off, replace(CITY, no_go=(NoGo("park", ring(LON, LON + 1e-2, LAT + 1e-4, LAT + 1e-2)),)))
    assert kept.detections == off.detections[:3]
    assert same(replace(kept, detections=off.detections), off)


def test_two_areas_leave_the_longest_stretch():
    both = replace(CITY, no_go=(*yard(2.5, 2.6).no_go, *yard(5.5, 5.6).no_go))
    kept = redact(full_chunk(), both)
    assert (kept.start_s - START_S, kept.end_s - START_S) == pytest.approx((1, 3))
    assert [d.t_s - START_S for d in kept.detections] == pytest.approx([2.5])


@settings(max_examples=60, deadline=None)
@given(st.floats(-1, 9), st.floats(0.02, 4), st.booleans())
def test_what_was_cut_is_not_cut_again_and_is_taken(begin, length, offset):
    """Client and door call the same function: on what the client sends the door changes nothing."""
    chunk = full_chunk()
    if offset:
        lon, lat = gcj02_from_wgs84(chunk.fixes.lon_deg, chunk.fixes.lat_deg)
        chunk = replace(chunk, datum="gcj02", fixes=replace(chunk.fixes, lon_deg=lon, lat_deg=lat), detections=())
    city = yard(begin, begin + length)
    try:
        kept = redact(chunk, city)
    except Refused:
        return
    assert redact(kept, city) is kept
    sent = decode(encode(kept))
    assert same(sent, kept)
    assert admit(sent, "box", city, START_S + 60) is sent


def test_an_area_holds_for_offset_datums_too():
    fixes = fixes_at(START_S + np.arange(-2.0, 8.0))
    lon, lat = gcj02_from_wgs84(fixes.lon_deg, fixes.lat_deg)
    city = yard(-1, 30)
    with pytest.raises(Refused):
        redact(box_chunk(fixes=replace(fixes, lon_deg=lon, lat_deg=lat), datum="gcj02"), city)
    claimed = box_chunk(fixes=replace(fixes, lon_deg=lon, lat_deg=lat))  # a wrong claim: it is some blocks away
    assert redact(claimed, city) is claimed


def test_a_ring_that_is_not_convex():
    notched = ((120.16, 30.27), (120.17, 30.27), (120.17, 30.29), (120.1655, 30.275), (120.16, 30.29), (120.16, 30.27))
    here = box_chunk()  # in the notch, north of its point
    south = replace(here, fixes=replace(here.fixes, lat_deg=here.fixes.lat_deg - 0.006))
    city = replace(CITY, no_go=(NoGo("yard", notched),))
    assert redact(here, city) is here
    with pytest.raises(Refused):
        redact(south, city)


def test_a_chunk_whose_rest_is_of_the_next_day_is_refused():
    """It began at 03:59:58 inside the area: its trip names the day before, and what is left belongs to the next."""
    shift_s = 20 * 3600 - 2 - 86_400  # 04:00 in Hangzhou is 20:00 UTC
    chunk = box_chunk(
        trip="20260301-00c0ffee", start_s=START_S + shift_s, end_s=START_S + 5 + shift_s, t0_s=START_S - 2 + shift_s,
        fixes=fixes_at(START_S + shift_s + np.arange(-2.0, 8.0)),
    )  # fmt: skip
    assert admit(chunk, "box", CITY, chunk.end_s) is chunk
    with pytest.raises(Refused) as refusal:
        admit(chunk, "box", yard(-30, 4.5), chunk.end_s)
    assert refusal.value.reason is Reason.NO_GO
