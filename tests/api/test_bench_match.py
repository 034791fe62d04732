"""The measure of map matching: its truth is true, and what is missing is said."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from api.bench_match import RECEIVERS, drive, simulated, town
from api.cli import app
from api.match_traces import real_traces
from grid import match, nearest_sections


def test_the_truth_of_a_drive_lies_on_the_roads_as_drawn():
    of = town(1, 23.0, size=4, axis_sigma_m=0.0)
    exact = replace(RECEIVERS[0], radius_m=(1e-6, 1e-6))
    trip = drive(of, exact, 5, length_m=2000.0)
    at = {s: i for i, s in enumerate(of.net.number.tolist())}
    width = of.net.width_m[[at[s] for s in trip.section.tolist()]]
    m = match(of.net, trip.t_s, trip.x_m, trip.y_m, np.full(len(trip.t_s), 0.05))
    clear = ~trip.crossing
    assert clear.sum() > 50
    assert np.mean((m.section == trip.section)[clear]) > 0.97  # joints of sections are anybody's
    assert (np.abs(m.lateral_m[clear]) < width[clear] / 2).all()
    assert (m.forward == trip.forward)[clear].all()
    assert (m.lane == trip.lane)[clear & (m.lane > 0)].all()
    assert set(trip.section.tolist()) <= set(trip.driven.tolist())


def test_matching_beats_the_nearest_axis_where_lanes_are_wide():
    rows = simulated(drives=2, seed=11)
    assert {r["receiver"] for r in rows} == {r.name for r in RECEIVERS}
    box = [r for r in rows if r["receiver"] == "box 1 s"]
    assert all(r["road"] > 0.99 for r in box)
    assert all(r["road"] >= r["road_nearest"] for r in box)
    assert all(r["lane_right"] > 0.97 for r in box)


def test_links_without_traces_and_files_that_are_not_there_are_named(tmp_path):
    one = CliRunner().invoke(app, ["bench", "match", "--drives", "1", "--links", "x.zip"])
    assert one.exit_code == 2
    assert "--traces" in one.output
    with pytest.raises(RuntimeError, match=r"there\.csv does not exist"):
        real_traces(tmp_path / "links.zip", tmp_path / "there.csv")


def test_nearest_knows_no_section_far_away():
    of = town(1, 0.0, size=3)
    number, _ = nearest_sections(of.net, [1e6], [1e6], 120.0)
    assert number.tolist() == [0]
