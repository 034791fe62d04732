"""Roughness of a pass: which squares a chunk speaks for, when it is silent, and how near it comes to a known road."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defects import RoughOptions, rough_deltas
from defects.evidence import UNIT
from defects.planes import ROUGH, ROUGH_PASSES
from defects.research.iri import fitted, judged, known_passes, order_of
from defects.rough import TERMS, WEIGHTS, ln_iri, rough_passes
from grid import Track, Zone, locate
from ingest import Chunk, City

from ..roads import straight

OPTIONS = RoughOptions()


def shaken(chunk: Chunk, level: float) -> Chunk:
    """The chunk as of a road that shakes at all frequencies."""
    noise = np.random.default_rng([chunk.seq, 5]).normal(0, level / chunk.acc_scale_mps2, len(chunk.acc_counts))
    counts = chunk.acc_counts.astype(np.int32)
    counts[:, 2] += np.rint(noise).astype(np.int32)
    return replace(chunk, acc_counts=counts.astype(np.int16))


def placed(city: City, **what: object) -> tuple[Chunk, Track, Zone]:
    chunk = shaken(straight(city, **what), 0.5)  # type: ignore[arg-type]
    return chunk, locate(chunk, city), Zone(city.utm_zone, city.utm_north)


def test_chunks_of_a_drive_share_out_the_squares_between_them(city: City) -> None:
    cells = [rough_passes(*placed(city, seq=seq), OPTIONS).cell.tolist() for seq in range(4)]
    told = [cell for part in cells for cell in part]
    assert len(told) == len(set(told))
    assert len(told) in (12, 13)  # 200 m
    assert all(2 <= len(part) <= 4 for part in cells)


def test_deltas_are_sums_and_counts_of_the_same_squares(city: City) -> None:
    chunk, track, zone = placed(city)
    passes = rough_passes(chunk, track, zone, OPTIONS)
    deltas = rough_deltas(chunk, track, zone, OPTIONS)
    said = deltas.value[deltas.plane == ROUGH]
    assert deltas.value[deltas.plane == ROUGH_PASSES].tolist() == [1] * len(passes.cell)
    assert sorted(set(deltas.cell.tolist())) == sorted(passes.cell.tolist())
    assert sorted(said / UNIT) == pytest.approx(sorted(ln_iri(passes, OPTIONS)), abs=1e-4)


def test_a_road_that_shakes_more_is_rougher_and_one_pass_is_bounded(city: City) -> None:
    _, track, zone = placed(city)
    means = [
        float(ln_iri(rough_passes(shaken(straight(city), level), track, zone, OPTIONS), OPTIONS).mean())
        for level in (0.1, 0.3, 1.0, 3.0)
    ]
    assert means == sorted(means)
    assert means[-1] - means[0] > 1.0
    wild = ln_iri(rough_passes(shaken(straight(city), 25.0), track, zone, OPTIONS), OPTIONS)
    assert np.exp(wild).max() <= OPTIONS.highest + 1e-9


@pytest.mark.parametrize(
    "what",
    [
        {"speed_mps": 4.0},  # slower than 20 km/h
        {"speed_mps": 33.0},  # faster than what was fitted
        {"carrier": "bike"},
        {"carrier": "ebike"},
        {"accuracy_m": 8.0},
    ],
)
def test_where_it_knows_nothing_it_is_silent(city: City, what: dict[str, object]) -> None:
    chunk, track, zone = placed(city, **what)
    deltas = rough_deltas(chunk, track, zone, OPTIONS)
    assert len(deltas.cell) == 0


def test_a_batch_and_a_repetition_change_no_bit(city: City) -> None:
    one, two = (rough_deltas(*placed(city), OPTIONS) for _ in range(2))
    assert one.value.tobytes() == two.value.tobytes()


def test_every_term_of_the_formula_has_a_weight() -> None:
    assert len(WEIGHTS) == len(TERMS) == len(OPTIONS.weights)


def test_on_the_second_family_of_physics_the_formula_tells_rough_roads_from_smooth(
    city: City, tmp_path: Path
) -> None:
    folder = tmp_path / "second"
    arguments = ["iri", "--physics", "second", "--km", "6", "--seed", "9", "--out", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "sensors_sim", *arguments],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert json.loads(done.stdout)["km"] >= 6
    known = known_passes(folder, city, OPTIONS)
    told = judged(known, np.array(OPTIONS.weights), OPTIONS)
    assert told["pass_16_m"]["passes"] > 100
    assert abs(np.log1p(told["pass_16_m"]["bias_share"])) < 0.6
    said = known.terms @ np.array(OPTIONS.weights)
    assert np.corrcoef(said, known.ln_true)[0, 1] > 0.5  # four vehicles only, .63 measured
    assert judged(known, fitted(known), OPTIONS)["pass_16_m"]["rmse_ln"] < 0.25


@pytest.mark.recordings
def test_real_roads_that_people_call_worse_read_higher(city: City, recordings: Path) -> None:
    told = order_of(recordings, city, OPTIONS)
    names = ("rsq_q1_00", "rsq_q2_00", "rsq_q3_00", "rsq_q3_01")
    if not set(names) <= set(told):
        pytest.skip(f"{recordings} does not hold the drives {', '.join(names)}")
    good, medium, *bad = (told[name]["iri"] for name in names)
    assert good < medium < min(bad)
