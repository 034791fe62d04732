"""What one pass adds: kinds and sizes of what was felt, and silence only where the wheel, the camera or the line surely
was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from api.wiring import EVIDENCE
from defects import BY_KEY, LEAVES, merge, observe
from defects.evidence import UNIT, split_tally
from defects.listening import kinds_said, listen
from defects.observe import weighed
from defects.passage import Passage, Strike, Sum, chance_within, emit
from defects.planes import (
    EXPOSURE_BOX,
    EXPOSURE_CAMERA,
    EXPOSURE_LASER,
    FELT_TYPES,
    LOGODDS,
    NAMED,
    PASSES,
    SIZE,
    TALLY,
)
from defects.told import Told
from grid import Zone, cells_at, level_of, project, traces, unproject
from ingest import Chunk, City, Detection, Laser

from ..roads import START_S, straight

ZONE = Zone(51)
X, Y = 227_400.0, 3_353_400.0
STEP_M = 0.1


def rolling(*strikes: Strike, kind: str = "box", sigma_m: float = 0.05, offset_m: float = 0.4, turn: float = 0.0):  # type: ignore[no-untyped-def]
    """Forty metres of a passage, its left wheel offset_m north of the edge between squares (due east); and its deltas
    as plane -> square -> value."""
    n = 400
    s = np.arange(n) * STEP_M
    u_x, u_y = np.full(n, np.cos(turn)), np.full(n, np.sin(turn))
    flat = np.full(n, sigma_m)
    one = Passage(
        kind=kind, carrier="bus", x_m=X + s * u_x, y_m=Y + offset_m - 0.9 + s * u_y, u_x=u_x, u_y=u_y, sigma_m=flat,
        step_m=np.full(n, STEP_M), owned=np.ones(n, bool), silent=np.ones(n, bool), shown=np.full(n, 0.8),
        most=np.full(n, np.inf), strikes=strikes, apart=30,
    )  # fmt: skip
    out = Sum()
    placed = emit(one, 1, ZONE, EVIDENCE, out)
    return placed, told_by(merge(out.parts))


def told_by(deltas) -> dict[int, dict[int, int]]:  # type: ignore[no-untyped-def]
    found: dict[int, dict[int, int]] = {}
    for cell, plane, value in zip(deltas.cell.tolist(), deltas.plane.tolist(), deltas.value.tolist(), strict=True):
        found.setdefault(plane, {})[cell] = value
    return found


def hit(**more: object) -> Strike:
    said = np.full(len(FELT_TYPES), -5.0)
    said[FELT_TYPES.index(9)] = 2.0
    return replace(Strike(198, 0.0, 2.0, 0.86, 0.001, said, 40.0), **more)  # type: ignore[arg-type]


def test_kind_and_size_go_to_the_squares_that_hold_most_of_the_place() -> None:
    (placed,), planes = rolling(hit())
    pothole = planes[NAMED + FELT_TYPES.index(9)]
    assert placed.cell in pothole
    assert 1 <= len(pothole) <= EVIDENCE.named_squares < len(planes[LOGODDS])
    assert set(pothole.values()) == {2 * UNIT}
    assert set(planes[NAMED].values()) == {-3 * UNIT}, "a recogniser is never believed beyond the bound"
    hits, size = split_tally(np.array(list(planes[SIZE].values())))
    assert set(hits.tolist()) == {1}
    assert set(size.tolist()) == {40.0}


def test_who_says_nothing_of_a_kind_adds_nothing_of_it() -> None:
    _, planes = rolling(hit(kinds=None, size_mm=0.0))
    assert LOGODDS in planes
    assert not any(p >= NAMED for p in planes)


def test_a_phone_names_no_kind() -> None:
    _, planes = rolling(hit(), kind="phone", sigma_m=2.0)
    assert all(26 <= p <= 30 for p in planes)


def test_a_strike_of_a_neighbour_breaks_the_silence_and_is_not_told() -> None:
    placed, planes = rolling(hit(mine=False))
    assert placed == []
    assert TALLY not in planes
    there = int(cells_at(X + 198 * STEP_M, Y + 0.4, ZONE))
    assert there not in planes[EXPOSURE_BOX]


def test_the_chance_of_a_wheel_in_a_square_is_what_many_wheels_do() -> None:
    rng = np.random.default_rng(3)
    for turn in (0.0, 0.3, np.pi / 4, 2.0):
        u_x, u_y = np.cos(turn), np.sin(turn)
        x, y = X + 0.35, Y + 0.7
        off = rng.normal(0, 0.2, 4000)
        along = np.arange(-1.0, 1.0, 0.01)
        px = x - off[:, None] * u_y + along * u_x
        py = y + off[:, None] * u_x + along * u_y
        inside = ((np.floor(px) == X) & (np.floor(py) == Y)).sum(axis=1) * 0.01
        one = np.ones(1)
        said = chance_within(x * one, y * one, u_x * one, u_y * one, 0.2 * one, 0.5)[0]
        assert said == pytest.approx((inside >= 0.5).mean(), abs=0.025)


@pytest.mark.parametrize(("offset_m", "sigma_m", "counts"), [
    (0.5, 0.05, True), (0.06, 0.05, False), (0.2, 0.05, True), (0.2, 0.25, False), (0.5, 0.3, True), (0.5, 0.5, False),
])  # fmt: skip
def test_silence_counts_only_where_the_wheel_was_with_four_in_five(
    offset_m: float, sigma_m: float, counts: bool
) -> None:
    _, planes = rolling(offset_m=offset_m, sigma_m=min(sigma_m, 0.33))
    there = int(cells_at(X + 20.0, Y + offset_m, ZONE))
    assert there in planes[PASSES], "it was passed all the same"
    assert (there in planes.get(EXPOSURE_BOX, {})) is (counts if sigma_m < 0.4 else there in planes[EXPOSURE_BOX])


def fabricated(ratio: float, **kinds: float) -> Told:
    share = np.full(len(LEAVES), 0.0)
    for key, p in kinds.items():
        mine = [i for i, leaf in enumerate(LEAVES) if leaf.key == key]
        share[mine] = p / len(mine)
    one = np.ones(1)
    return Told(one, one, one * ratio, one > 0, LEAVES, share[None, :], one, one, np.zeros((19, 4)), 0.02)


def test_what_is_said_of_a_kind_is_measured_against_its_share_of_the_leaves() -> None:
    said = kinds_said(fabricated(1.0, defective_cover=0.6, pothole=0.4), 0)
    assert said is not None
    n = len(LEAVES)
    assert said[FELT_TYPES.index(16)] == pytest.approx(np.log(0.6 * n / 6)), "six kinds of covers"
    assert said[FELT_TYPES.index(9)] == pytest.approx(np.log(0.4 * n / 2))
    assert said[FELT_TYPES.index(14)] < -10
    assert kinds_said(fabricated(-0.1, pothole=1.0), 0) is None, "of what is likelier no defect no kind is asked"


def plane(seen, number: int) -> dict[int, int]:  # type: ignore[no-untyped-def]
    return told_by(seen.deltas).get(number, {})


def spotted(city: City, x_m: float, y_m: float, **more: object) -> Chunk:
    zone = Zone(city.utm_zone, city.utm_north)
    x0, y0 = (float(v) for v in project(*city.centre_deg, zone))
    lon, lat = (float(v) for v in unproject(x0 + x_m, y0 + y_m, zone))
    return straight(city, detections=(Detection(START_S + 2.0, "pothole", 0.9, lat, lon, 0.3),), **more)  # type: ignore[arg-type]


def test_a_camera_vouches_for_the_lane_but_not_for_what_it_saw(city: City) -> None:
    zone = Zone(city.utm_zone, city.utm_north)
    x0, y0 = (float(v) for v in project(*city.centre_deg, zone))
    exposed = plane(observe(spotted(city, 20.5, 0.5), "box", 1, city, EVIDENCE), EXPOSURE_CAMERA)
    for x in (5.0, 30.0, 45.0):
        for y in (-1.2, 0.0, 1.2):
            assert int(cells_at(x0 + x, y0 + y, zone)) in exposed
    assert int(cells_at(x0 + 20.5, y0 + 0.5, zone)) not in exposed
    assert int(cells_at(x0 + 30.0, y0 + 3.0, zone)) not in exposed, "the next lane"
    assert 100 < len(exposed) < 5.0 * 50
    assert set(level_of(np.array(list(exposed))).tolist()) == {0}


def test_who_shows_no_detection_is_not_known_to_have_a_camera(city: City) -> None:
    assert not plane(observe(straight(city), "box", 1, city, EVIDENCE), EXPOSURE_CAMERA)
    assert not plane(observe(spotted(city, 20.5, 0.5), "phone", 1, city, EVIDENCE), EXPOSURE_CAMERA)
    far = spotted(city, 20.5, 90.0)
    assert not plane(observe(far, "box", 1, city, EVIDENCE), EXPOSURE_CAMERA), "what is not believed shows nothing"


def lined(chunk: Chunk, lost: float = 0.0) -> Chunk:
    n = int(9.0 * 20)
    height = np.zeros((n, 16), np.int16)
    height[:, : round(16 * lost)] = -32768
    return replace(chunk, laser=Laser(chunk.t0_s, 20.0, 3.2, 0.001, height))


def test_laser_lines_vouch_for_the_width_of_the_lane(city: City) -> None:
    seen = observe(lined(straight(city)), "box", 1, city, EVIDENCE)
    exposed = plane(seen, EXPOSURE_LASER)
    zone = Zone(city.utm_zone, city.utm_north)
    x0, y0 = (float(v) for v in project(*city.centre_deg, zone))
    assert int(cells_at(x0 + 20.0, y0, zone)) in exposed, "between the wheels"
    assert 100 < len(exposed) < 5.0 * 50
    assert not plane(observe(lined(straight(city), lost=0.7), "box", 1, city, EVIDENCE), EXPOSURE_LASER)
    deaf = replace(EVIDENCE, models={})
    assert not plane(observe(lined(straight(city)), "box", 1, city, deaf), EXPOSURE_LASER), "nobody looked at them"


def test_chunks_that_meet_share_no_square_under_the_lines(city: City) -> None:
    first, second = (
        plane(observe(lined(straight(city, seq=n)), "box", 1, city, EVIDENCE), EXPOSURE_LASER) for n in (0, 1)
    )
    assert not set(first) & set(second)


def test_an_equipped_second_of_driving_is_a_bounded_number_of_updates(city: City) -> None:
    seen = observe(lined(spotted(city, 20.5, 0.5)), "box", 1, city, EVIDENCE)
    assert len(seen.deltas.cell) / 5.0 < 20 * 10.0, "at 10 m/s"


def test_half_a_device_says_half_but_feels_no_half_sizes(city: City) -> None:
    chunk = lined(spotted(city, 20.5, 0.5, jolts=((3.5, 0.9, 1.0),)))
    whole = observe(chunk, "box", 1, city, EVIDENCE)
    half = weighed(whole, 0.5, EVIDENCE)
    for number in (EXPOSURE_BOX, EXPOSURE_CAMERA, EXPOSURE_LASER, LOGODDS + BY_KEY["pothole"].number):
        before, after = plane(whole, number), plane(half, number)
        assert before
        assert all(after[c] == pytest.approx(v / 2, abs=1) for c, v in before.items())
    assert plane(half, PASSES) == plane(whole, PASSES)
    assert plane(half, SIZE) == plane(whole, SIZE)
    for number in range(NAMED, NAMED + len(FELT_TYPES)):
        assert all(abs(plane(half, number)[c]) <= abs(v) / 2 + 1 for c, v in plane(whole, number).items())


def test_one_chunk_in_whatever_company(city: City) -> None:
    chunks = [lined(straight(city, seq=n, jolts=((2.0, 0.9, 1.0), (7.0, 0.6, -1.0)))) for n in range(3)]
    ways = traces(chunks, city, EVIDENCE.fixes)
    together = listen(chunks, ["box"] * 3, ways, EVIDENCE)
    for chunk, way, told in zip(chunks, ways, together, strict=True):
        alone = observe(chunk, "box", 1, city, EVIDENCE).deltas
        among = observe(chunk, "box", 1, city, EVIDENCE, 1.0, way, told).deltas
        assert np.array_equal(alone.value, among.value)
        assert np.array_equal(alone.cell, among.cell)
