"""Which road, which direction, which lane: on roads drawn by hand, where the answer is known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grid import FixesError, MatchOptions, RoadsError, Section, match, nearest_sections, road_net

X0, Y0 = 310_000.0, 3_780_000.0


def road(number, points, *, lanes=2, oneway=False, width=7.0, known=True):
    """A section along points (metres from a corner of a city)."""
    x, y = np.array(points, dtype=np.float64).T
    length = float(np.hypot(np.diff(x), np.diff(y)).sum())
    return Section(
        number, f"road-{number}", "", "", "branch", width, known, lanes, oneway, "", "", X0 + x, Y0 + y, 0.0, length
    )


def blocks(size=5, side=100.0, turn_deg=0.0):
    """size by size crossings, a section of two directions between neighbours."""
    turn = np.radians(turn_deg)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    out = []
    for i in range(size):
        for j in range(size):
            for k, m in ((i + 1, j), (i, j + 1)):
                if k < size and m < size:
                    out.append(road(len(out) + 1, np.array([[i, j], [k, m]]) * side @ spin))
    return out


def along(points, step):
    """Positions each ``step`` m on a line through points."""
    p = np.array(points, dtype=np.float64)
    s = np.append(0.0, np.cumsum(np.hypot(*np.diff(p, axis=0).T)))
    at = np.arange(0.0, s[-1] + 1e-9, step)
    return np.interp(at, s, p[:, 0]), np.interp(at, s, p[:, 1])


def matched(sections, x, y, sigma=4.0, every_s=1.0, **columns):
    t = np.arange(len(x)) * every_s
    return match(
        road_net(sections), t, X0 + np.asarray(x), Y0 + np.asarray(y), np.full(len(x), float(sigma)), **columns
    )


LONE = [road(7, [(0, 0), (60, 80)])]  # 100 m, north-east


def test_a_straight_drive_on_a_lone_road_has_exact_offsets():
    s = np.linspace(5.0, 95.0, 10)
    aside = -1.2  # right of the axis
    x, y = 0.6 * s - 0.8 * aside, 0.8 * s + 0.6 * aside
    m = matched(LONE, x, y, 0.05)
    assert set(m.section) == {7}
    assert m.forward.all()
    np.testing.assert_allclose(m.along_m, s, atol=1e-6)
    np.testing.assert_allclose(m.lateral_m, aside, atol=1e-6)
    assert (m.probability > 0.999).all()
    assert [m.way_to(i).tolist() for i in range(3)] == [[], [7], [7]]


def test_driven_the_other_way_the_offsets_stay_those_of_the_drawing():
    s = np.linspace(95.0, 5.0, 10)
    x, y = 0.6 * s - 0.8 * 1.2, 0.8 * s + 0.6 * 1.2  # left of the drawing, right of the driver
    m = matched(LONE, x, y, 0.05)
    assert not m.forward.any()
    np.testing.assert_allclose(m.along_m, s, atol=1e-6)
    np.testing.assert_allclose(m.lateral_m, 1.2, atol=1e-6)


def test_without_a_network_nothing_is_matched():
    m = matched([], np.arange(5.0), np.zeros(5))
    assert not m.section.any()
    assert not m.probability.any()
    assert (m.chain == -1).all()
    assert len(m.path) == 0
    number, apart = nearest_sections(road_net([]), np.zeros(2), np.zeros(2), 50.0)
    assert not number.any()
    assert (apart == 50).all()


def test_without_fixes_nothing_is_told():
    assert len(matched(LONE, [], []).section) == 0


def test_far_from_every_road_a_fix_is_unmatched_and_its_neighbours_are_not():
    x, y = along([(0, 0), (60, 80)], 10.0)
    x[5] += 5000.0
    m = matched(LONE, x, y)
    assert m.section[5] == 0
    assert (np.delete(m.section, 5) == 7).all()
    assert len(set(np.delete(m.chain, 5))) == 1


@pytest.mark.parametrize("column", ["t_s", "x_m", "y_m", "sigma_m", "heading_deg", "speed_mps"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_is_refused_by_the_name_of_its_column(column, value):
    given_ = {name: np.arange(1.0, 4.0) for name in ("t_s", "x_m", "y_m", "sigma_m", "heading_deg", "speed_mps")}
    given_[column][1] = value
    with pytest.raises(FixesError, match=f"{column} of fix 1"):
        match(road_net(LONE), **given_)


def test_times_that_fall_a_sigma_of_nothing_and_a_short_column_are_refused():
    net, one = road_net(LONE), np.ones(3)
    with pytest.raises(FixesError, match="t_s falls after fix 1"):
        match(net, [0, 2, 1], one, one, one)
    with pytest.raises(FixesError, match="sigma_m of fix 2"):
        match(net, [0, 1, 2], one, one, [1, 1, 0])
    with pytest.raises(FixesError, match="y_m has shape"):
        match(net, [0, 1, 2], one, one[:2], one)


def test_sections_that_cannot_be_roads_are_refused_by_number():
    with pytest.raises(RoadsError, match="section 3 stands twice"):
        road_net([road(3, [(0, 0), (1, 0)]), road(3, [(0, 0), (1, 0)])])
    with pytest.raises(RoadsError, match="section 4 has a point"):
        road_net([road(4, [(0, 0), (np.nan, 0)])])
    with pytest.raises(RoadsError, match=r"section 5 is .* m wide"):
        road_net([road(5, [(0, 0), (1, 0)], width=0.0)])
    with pytest.raises(RoadsError, match="section 6 has no line"):
        road_net([road(6, [(0, 0)])])


@pytest.mark.parametrize("turn_deg", [0.0, 31.0])
def test_a_way_round_corners_is_found_from_fixes_metres_off(turn_deg):
    turn = np.radians(turn_deg)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    corners = np.array([(15, 0), (200, 0), (200, 300), (375, 300)]) @ spin
    x, y = along(corners, 12.0)
    rng = np.random.default_rng(3)
    m = matched(blocks(turn_deg=turn_deg), x + rng.normal(0, 4, len(x)), y + rng.normal(0, 4, len(y)), 4.0)
    truth, _ = nearest_sections(road_net(blocks(turn_deg=turn_deg)), X0 + x, Y0 + y, 50.0)
    way = m.path[np.append(True, np.diff(m.path) != 0)]
    assert len(set(m.chain)) == 1
    assert len(way) == 7  # 200, 300 and 200 m in blocks of 100 m, each once
    assert np.mean(m.section == truth) > 0.85


def test_order_of_sections_does_not_matter():
    sections = blocks()
    x, y = along([(0, 0), (200, 0), (200, 300), (400, 300)], 15.0)
    rng = np.random.default_rng(5)
    x, y = x + rng.normal(0, 6, len(x)), y + rng.normal(0, 6, len(y))
    first = matched(sections, x, y, 6.0)
    other = matched([sections[i] for i in rng.permutation(len(sections))], x, y, 6.0)
    for name in ("section", "forward", "along_m", "lateral_m", "probability", "lane", "path", "path_first"):
        np.testing.assert_array_equal(getattr(first, name), getattr(other, name))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), sigma=st.floats(0.05, 8.0), every=st.sampled_from([1, 2, 5]))
def test_what_is_said_holds_together(seed, sigma, every):
    """Places are on their sections, ways begin and end where fixes are, neighbours on a way meet."""
    rng = np.random.default_rng(seed)
    sections = blocks()
    corners = rng.integers(0, 5, (4, 2)) * 100.0
    corners = np.repeat(corners, 2, axis=0)[1:]
    corners[1::2, 1] = corners[:-1:2, 1][: len(corners[1::2])]  # along streets: first x, then y
    x, y = along(corners, 8.0 * every)
    if len(x) < 2:
        return
    m = matched(sections, x + rng.normal(0, sigma, len(x)), y + rng.normal(0, sigma, len(x)), sigma, float(every))
    ends = {s.number: {(s.x_m[0], s.y_m[0]), (s.x_m[-1], s.y_m[-1])} for s in sections}
    assert ((m.probability >= 0) & (m.probability <= 1 + 1e-9)).all()
    assert ((m.along_m >= 0) & (m.along_m <= 100 + 1e-6)).all()
    for i in np.flatnonzero(m.chain >= 0):
        way = m.way_to(i).tolist()
        if i and m.chain[i - 1] == m.chain[i]:
            assert way[0] == m.section[i - 1]
            assert way[-1] == m.section[i]
        for a, b in pairwise(way):
            assert ends[a] & ends[b]


def test_chunks_matched_with_overlap_agree_far_from_the_cut():
    x, y = along([(0, 0), (200, 0), (200, 300), (400, 300)], 7.0)
    rng = np.random.default_rng(8)
    x, y = x + rng.normal(0, 4, len(x)), y + rng.normal(0, 4, len(y))
    whole = matched(blocks(), x, y, 4.0)
    cut = 50
    head, tail = (
        matched(blocks(), x[: cut + 20], y[: cut + 20], 4.0),
        matched(blocks(), x[cut - 20 :], y[cut - 20 :], 4.0),
    )
    np.testing.assert_array_equal(head.section[:cut], whole.section[:cut])
    np.testing.assert_array_equal(tail.section[20:], whole.section[cut:])
    np.testing.assert_allclose(tail.along_m[20:], whole.along_m[cut:])


def test_one_way_is_respected_though_the_fixes_lie_on_it():
    """West of the block only northward: who goes south takes the other side, even if the fixes are nearer here."""
    ring = [
        road(1, [(0, 0), (0, 200)], oneway=True),
        road(2, [(16, 200), (16, 0)], oneway=True),
        road(3, [(0, 200), (16, 200)]),
        road(4, [(16, 0), (0, 0)]),
    ]
    y = np.arange(180.0, 10.0, -10.0)
    m = matched(ring, np.full(len(y), 7.0), y, 4.0)
    assert set(m.section) == {2}
    assert set(nearest_sections(road_net(ring), X0 + np.full(len(y), 7.0), Y0 + y, 50.0)[0]) == {1}


def test_a_parallel_road_is_not_taken_for_a_few_bad_fixes():
    """15 m apart, and they meet only at their ends: 30 s of fixes nearer to the wrong one cannot be a change."""
    pair = [
        road(1, [(0, 0), (1000, 0)], oneway=True),
        road(2, [(0, 0), (20, 15), (980, 15), (1000, 0)], oneway=True),
    ]
    x = np.arange(0.0, 1000.0, 10.0)
    y = np.where((x > 400) & (x < 700), 9.0, 0.0)
    m = matched(pair, x, y, 4.0)
    assert set(m.section[5:-5]) == {1}
    assert set(nearest_sections(road_net(pair), X0 + x, Y0 + y, 50.0)[0][5:-5]) == {1, 2}


def test_heading_tells_streets_apart_that_cross():
    cross = [
        road(1, [(-100, 0), (0, 0)]),
        road(2, [(0, 0), (100, 0)]),
        road(3, [(0, -100), (0, 0)]),
        road(4, [(0, 0), (0, 100)]),
    ]
    one = {"heading_deg": [0.0], "speed_mps": [10.0]}
    assert matched(cross, [12.0], [12.5], 6.0, **one).section.tolist() == [4]
    one["heading_deg"] = [90.0]
    assert matched(cross, [12.5], [12.0], 6.0, **one).section.tolist() == [2]
    north = matched(cross, [12.5], [12.0], 6.0, heading_deg=[0.0], speed_mps=[10.0])
    assert north.section.tolist() == [4]  # though the other is nearer
    slow = matched(cross, [14.0], [10.0], 6.0, heading_deg=[0.0], speed_mps=[0.5])
    assert slow.section.tolist() == [2]  # what a standing receiver calls a heading says nothing


def test_turning_back_is_seen():
    street = [road(1, [(0, 0), (300, 0)])]
    x = np.concatenate([np.arange(20.0, 200.0, 10.0), np.arange(190.0, 30.0, -10.0)])
    m = matched(street, x, np.where(np.arange(len(x)) < 18, -1.75, 1.75), 1.0)
    assert m.forward[:15].all()
    assert not m.forward[21:].any()
    assert len(set(m.chain)) == 1


def test_a_hole_of_minutes_begins_a_new_chain_and_a_jump_does_not():
    street = [road(1, [(0, 0), (3000, 0)])]
    x = np.arange(0.0, 600.0, 10.0)
    t = np.arange(len(x)) + np.where(np.arange(len(x)) >= 30, 500.0, 0.0)
    net = road_net(street)
    m = match(net, t, X0 + x, np.full(len(x), Y0 - 1.7), np.full(len(x), 3.0))
    assert m.chain.tolist() == [0] * 30 + [1] * 30
    jumped = x.copy()
    jumped[20] += 2000.0  # on the same road, but nobody drives 2 km in a second
    m = match(net, np.arange(len(x)), X0 + jumped, np.full(len(x), Y0 - 1.7), np.full(len(x), 3.0))
    assert m.section[20] == 0
    assert set(np.delete(m.chain, 20)) == {0}


def test_after_a_jump_that_stays_the_new_place_is_believed():
    street = [road(1, [(0, 0), (9000, 0)])]
    x = np.arange(40) * 10.0 + np.where(np.arange(40) >= 20, 6000.0, 0.0)
    m = matched(street, x, np.full(40, -1.7), 3.0)
    assert m.chain.tolist() == [0] * 20 + [1] * 20
    assert (m.section == 1).all()


@pytest.mark.parametrize(
    ("forward", "lateral", "lane"),
    [(True, -8.75, 6), (True, -5.25, 5), (True, -1.75, 4), (False, 1.75, 3), (False, 8.75, 1)],
)
def test_a_box_knows_its_lane(forward, lateral, lane):
    trunk = [road(1, [(0, 0), (300, 0)], lanes=6, width=21.0)]
    x = np.arange(10.0, 290.0, 10.0)
    x = x if forward else x[::-1]
    m = matched(trunk, x, np.full(len(x), lateral), 0.05)
    assert set(m.lane) == {lane}
    assert (m.lane_probability > 0.9).all()


def test_a_phone_does_not_name_a_lane_where_there_is_a_choice():
    trunk = [road(1, [(0, 0), (300, 0)], lanes=6, width=21.0)]
    x = np.arange(10.0, 290.0, 10.0)
    m = matched(trunk, x, np.full(len(x), -5.25), 3.0)
    assert not m.lane.any()
    assert ((m.lane_probability > 0.1) & (m.lane_probability < 0.9)).all()
    one_each = matched([road(1, [(0, 0), (300, 0)])], x, np.full(len(x), -1.75), 3.0)
    assert set(one_each.lane) == {2}  # the direction is the lane


def test_no_lane_where_their_number_or_their_width_is_not_known():
    x = np.arange(10.0, 290.0, 10.0)
    unsaid = matched([road(1, [(0, 0), (300, 0)], lanes=0)], x, np.full(len(x), -1.75), 0.05)
    assert not unsaid.lane.any()
    assert not unsaid.lane_probability.any()
    usual = matched([road(1, [(0, 0), (300, 0)], lanes=4, width=14.0, known=False)], x, np.full(len(x), -1.75), 0.05)
    assert not usual.lane.any()


def test_where_one_keeps_left_the_other_side_is_driven():
    trunk = [road(1, [(0, 0), (300, 0)], lanes=4, width=14.0)]
    x = np.arange(10.0, 290.0, 10.0)
    net = road_net(trunk)
    m = match(
        net,
        np.arange(len(x)),
        X0 + x,
        np.full(len(x), Y0 + 5.25),
        np.full(len(x), 0.05),
        options=MatchOptions(keep_right=False),
    )
    assert m.forward.all()
    assert set(m.lane) == {1}


def test_roads_meet_where_they_share_a_vertex_and_not_where_they_only_cross():
    x, y = along([(0, 0), (50, 0), (50, 60)], 10.0)
    joined = [road(1, [(0, 0), (50, 0), (100, 0)]), road(2, [(50, -80), (50, 0.05), (50, 80)])]
    m = matched(joined, x, y, 1.0)
    assert m.path[np.append(True, np.diff(m.path) != 0)].tolist() == [1, 2]
    bridge = [road(1, [(0, 0), (100, 0)]), road(2, [(50, -80), (50, 80)])]
    m = matched(bridge, x, y, 1.0)
    assert not any({1, 2} <= set(m.way_to(i).tolist()) for i in range(len(x)))


def test_sections_of_the_same_road_make_one_way_however_it_is_cut():
    """A road of 1 km whole, and cut into ten: the same way in metres."""
    x = np.arange(5.0, 995.0, 9.0)
    y = np.full(len(x), -1.7)
    whole = matched([road(1, [(0, 0), (1000, 0)])], x, y, 3.0)
    cut = matched([road(k + 1, [(100 * k, 0), (100 * k + 100, 0)]) for k in range(10)], x, y, 3.0)
    np.testing.assert_allclose((cut.section - 1) * 100 + cut.along_m, whole.along_m, atol=1e-6)
    assert cut.path[np.append(True, np.diff(cut.path) != 0)].tolist() == list(range(1, 11))


def test_nearest_is_the_nearest():
    net = road_net([road(1, [(0, 0), (100, 0)]), road(2, [(0, 30), (100, 30)])])
    number, apart = nearest_sections(
        net, X0 + np.array([50.0, 50.0, 50.0, 110.0]), Y0 + np.array([14.0, 16.0, 90.0, 0.0]), 40.0
    )
    assert number.tolist() == [1, 2, 0, 1]
    np.testing.assert_allclose(apart, [14.0, 14.0, 40.0, 10.0])
