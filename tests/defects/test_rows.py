"""A summary heals as samples do, but less; it never accuses, and it is silent where its own rows are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from api.wiring import EVIDENCE
from defects import EvidenceOptions, merge, observe
from defects.evidence import UNIT
from defects.planes import DEVICES, EXPOSURE_BOX, PASSES
from defects.rows import TRAVEL_M, spread
from grid import Zone, cells_at, locate, project
from ingest import Chunk, City, Detection, decode, encode, summarise

from ..roads import straight


def chunks(city: City, n: int, **more: object) -> list[Chunk]:
    return [straight(city, seq=seq, **more) for seq in range(n)]  # type: ignore[arg-type]


BY_SCALE = replace(EVIDENCE, models={})


def observed(city: City, sent: list[Chunk], options: EvidenceOptions = EVIDENCE) -> dict[int, dict[int, int]]:
    """Plane -> square -> value, summed over chunks that went over the wire."""
    total = merge([observe(decode(encode(c)), "box", 4, city, options).deltas for c in sent])
    out: dict[int, dict[int, int]] = {}
    for cell, plane, value in zip(total.cell.tolist(), total.plane.tolist(), total.value.tolist(), strict=True):
        out.setdefault(plane, {})[cell] = value
    return out


def short(chunks: list[Chunk]) -> list[Chunk]:
    out = list(summarise(chunks))
    assert all(c.quiet is not None for c in out)
    return out


@pytest.mark.parametrize("speed_mps", [4.5, 10.0, 16.0, 25.0])
def test_a_summary_gives_the_stated_share_of_what_samples_give(city: City, speed_mps: float) -> None:
    raw = chunks(city, 12, speed_mps=speed_mps)
    of_raw, of_short = observed(city, raw, BY_SCALE), observed(city, short(raw), BY_SCALE)
    assert of_short[PASSES].keys() == of_raw[PASSES].keys()
    assert set(of_short[PASSES].values()) == {1}
    assert of_short[DEVICES] == of_raw[DEVICES]
    both = of_raw[EXPOSURE_BOX].keys() & of_short[EXPOSURE_BOX].keys()
    assert len(both) > 0.98 * len(of_raw[EXPOSURE_BOX])
    ratio = [of_short[EXPOSURE_BOX][c] / of_raw[EXPOSURE_BOX][c] for c in both]
    # A square is a whole number of samples long, of summaries and of chunks.
    assert np.median(ratio) == pytest.approx(EVIDENCE.summary_share, abs=0.04)
    total = sum(of_short[EXPOSURE_BOX].values()) / sum(of_raw[EXPOSURE_BOX].values())
    assert total == pytest.approx(EVIDENCE.summary_share, abs=0.04)


@pytest.mark.parametrize("speed_mps", [4.5, 10.0, 16.0, 25.0])
def test_a_summary_never_says_more_than_the_recogniser_says_of_the_samples(city: City, speed_mps: float) -> None:
    """What silence is worth the recogniser knows by speed and roughness; a summary has one figure for all."""
    raw = chunks(city, 12, speed_mps=speed_mps)
    of_raw, of_short = observed(city, raw), observed(city, short(raw))
    total = sum(of_short[EXPOSURE_BOX].values()) / sum(of_raw[EXPOSURE_BOX].values())
    assert 0.3 < total < EVIDENCE.summary_share


def test_distance_is_the_same_and_nothing_is_found(city: City) -> None:
    raw = chunks(city, 12)
    (one,) = short(raw)
    seen = observe(one, "box", 4, city, EVIDENCE)
    assert seen.findings == ()
    metres = sum(observe(c, "box", 4, city, EVIDENCE).distance_m for c in raw)
    assert seen.distance_m == pytest.approx(metres, rel=0.002)


def test_moments_are_dense_enough_for_a_square_metre(city: City) -> None:
    for speed_mps in (3.0, 10.0, 25.0):
        (one,) = short(chunks(city, 4, speed_mps=speed_mps))
        track = locate(spread(one), city)
        step = np.hypot(np.diff(track.x_m), np.diff(track.y_m))[track.usable[1:] & track.usable[:-1]]
        assert step.max() <= TRAVEL_M * 1.001


def test_what_two_summaries_meet_in_counts_once(city: City) -> None:
    raw = chunks(city, 24)
    two = short(raw)
    assert [c.end_s - c.start_s for c in two] == [60.0, 60.0]
    assert set(observed(city, two)[PASSES].values()) == {1}


@pytest.mark.parametrize("peak_g", [0.2, 0.3, 1.0])
def test_a_row_that_says_a_jolt_heals_nothing_and_accuses_nobody(city: City, peak_g: float) -> None:
    """The platform's own threshold at 10 m/s is .23 g, whatever the box thought of it."""
    north_m = -0.43  # so that both wheels roll through the middle of their squares
    (one,) = short(chunks(city, 6, north_m=north_m))
    assert one.quiet is not None
    row = 15
    peak = one.quiet.peak_counts.copy()
    peak[row] = round(peak_g * 9.80665 / one.quiet.scale_mps2)
    loud = replace(one, quiet=replace(one.quiet, peak_counts=peak))
    zone = Zone(city.utm_zone, city.utm_north)
    x0, y0 = (float(v) for v in project(*city.centre_deg, zone))
    into_s = one.t0_s + row - one.start_s  # the middle of the row lies half a second on
    there = int(cells_at(x0 + (into_s + 0.5) * 10.0, y0 + north_m + 0.9, zone))
    before, after = observed(city, [one]), observed(city, [loud])
    assert there in before[EXPOSURE_BOX]
    assert (there in after[EXPOSURE_BOX]) is (peak_g < 0.23)
    assert after[PASSES] == before[PASSES]
    assert max(after) == max(before)  # no plane of a jolt
    lost = before[EXPOSURE_BOX].keys() - after[EXPOSURE_BOX].keys()
    assert len(lost) == (0 if peak_g < 0.23 else pytest.approx(2 * 17, abs=4))  # 1.7 s at 10 m/s, two wheels


def test_beyond_its_rows_it_says_nothing(city: City) -> None:
    (one,) = short(chunks(city, 6))
    assert one.quiet is not None
    cut = replace(
        one, quiet=replace(one.quiet, peak_counts=one.quiet.peak_counts[:11], level_counts=one.quiet.level_counts[:11])
    )
    seen, whole = observed(city, [cut]), observed(city, [one])
    assert 0.25 < len(seen[EXPOSURE_BOX]) / len(whole[EXPOSURE_BOX]) < 0.4


def test_in_a_curve_that_its_fixes_do_not_show_it_says_nothing(city: City) -> None:
    """Half of the way round and round at 12 m radius: with a fix a second the chord lies a metre beside the wheels."""
    (one,) = short(chunks(city, 6))
    fixes = one.fixes
    t = fixes.t_s - one.start_s
    angle = np.maximum(t - 15, 0) * 10.0 / 12.0
    east = np.where(t < 15, 10 * t, 150 + 12 * np.sin(angle))
    north = 12 * (1 - np.cos(angle))
    bent = replace(
        one,
        fixes=replace(
            fixes, lon_deg=city.centre_deg[0] + east / (111_320 * np.cos(np.radians(city.centre_deg[1]))),
            lat_deg=city.centre_deg[1] + north / 111_320, course_deg=np.full_like(fixes.course_deg, -1),
        ),
    )  # fmt: skip
    zone = Zone(city.utm_zone, city.utm_north)
    x, _ = project(bent.fixes.lon_deg[t < 14], bent.fixes.lat_deg[t < 14], zone)
    seen = observed(city, [bent])
    from grid import corner_m  # noqa: PLC0415

    where = [corner_m(c)[0] for c in seen[EXPOSURE_BOX]]
    assert where
    assert max(where) < float(x.max()) + 12


def test_what_a_camera_saw_in_a_quiet_stretch_counts_as_ever(city: City) -> None:
    lon, lat = city.centre_deg
    seen = Detection(straight(city, seq=0).start_s + 2.0, "linear_crack", 0.9, lat, lon + 25 / 96_000, 0.3)
    raw = [straight(city, seq=0, detections=(seen,)), straight(city, seq=1)]
    found = [f for c in raw for f in observe(c, "box", 4, city, EVIDENCE).findings]
    (one,) = short(raw)
    assert [f.cell for f in observe(one, "box", 4, city, EVIDENCE).findings] == [f.cell for f in found] != []


def test_exposure_of_a_whole_square_is_half_of_that_of_samples(city: City) -> None:
    """So that the reason given for the share holds: three passes of samples, six of summaries."""
    raw = chunks(city, 4)
    most = [max(observed(city, s)[EXPOSURE_BOX].values()) / UNIT for s in (raw, short(raw))]
    assert 3 * most[0] >= 3.0 > 2 * most[0]
    assert 6 * most[1] >= 3.0 > 5 * most[1]
