"""Jolts and what the recogniser tells of them: what is harmless is taken back, what was found is added, once."""

from __future__ import annotations

import numpy as np
import pytest

from defects.hits import Hit, JudgeOptions, hits
from defects.jolts import JoltOptions
from defects.taxonomy import Leaf
from defects.told import Told
from ingest import Chunk, City

from ..roads import RATE_HZ, straight

JOLTS, JUDGE = JoltOptions(), JudgeOptions()
USABLE = np.ones(900, bool)


def felt(*at: int) -> np.ndarray:
    """The score of each sample of a chunk, with peaks at ``at``."""
    score = np.zeros(900)
    for i in at:
        score[i] = 2 * JOLTS.threshold
    return score


def told(chunk: Chunk, *moments: tuple[float, float, bool]) -> Told:
    """Candidates of (sample, log-ratio, fires)."""
    at, ratio, fires = (np.array(x) for x in zip(*moments, strict=True)) if moments else (np.empty(0),) * 3
    n = len(at)
    return Told(
        t_s=chunk.t0_s + at / RATE_HZ, p=np.full(n, 0.5), log_ratio=ratio.astype(float), fires=fires.astype(bool),
        leaves=(Leaf("pothole"),), kinds=np.ones((n, 1)), height_mm=np.zeros(n), score=np.ones(n),
        detect=np.full((19, 4), 0.5), per_m=0.01,
    )  # fmt: skip


@pytest.fixture
def chunk(city: City) -> Chunk:
    return straight(city)


def found(
    chunk: Chunk, score: np.ndarray, said: Told | None, usable: np.ndarray = USABLE, kind: str = "box"
) -> list[Hit]:
    return hits(chunk, kind, score, usable, said, JOLTS, JUDGE)


def test_without_a_recogniser_a_jolt_is_a_jolt(chunk: Chunk) -> None:
    assert found(chunk, felt(300, 600), None) == [Hit(300), Hit(600)]


def test_a_jolt_of_which_nothing_was_told_stays(chunk: Chunk) -> None:
    assert found(chunk, felt(300), told(chunk)) == [Hit(300)]
    assert found(chunk, felt(300), told(chunk, (600, -5.0, False))) == [Hit(300)]


def test_a_harmless_jolt_is_taken_back(chunk: Chunk) -> None:
    assert found(chunk, felt(300), told(chunk, (305, JUDGE.harmless - 0.01, False))) == []


def test_a_doubtful_one_is_not(chunk: Chunk) -> None:
    kept = found(chunk, felt(300), told(chunk, (305, JUDGE.harmless, False)))
    assert kept == [Hit(300, JUDGE.harmless, 0)]


def test_what_was_found_beside_the_jolts_is_added_in_order(chunk: Chunk) -> None:
    said = told(chunk, (200, 3.0, True), (400, 2.0, False), (690, 4.0, True))
    assert found(chunk, felt(500), said) == [Hit(200, 3.0, 0), Hit(500), Hit(690, 4.0, 2)]


def test_a_phone_adds_nothing_of_its_own(chunk: Chunk) -> None:
    """On real drives its lone candidates stood out on good road as often as on bad."""
    assert found(chunk, felt(500), told(chunk, (200, 3.0, True)), kind="phone") == [Hit(500)]
    assert found(chunk, felt(500), told(chunk, (500, 3.0, True)), kind="phone") == [Hit(500, 3.0, 0)]


def test_a_lone_candidate_lies_where_the_jolt_peaks(chunk: Chunk) -> None:
    """The gate's filters answer later: at 40 km/h six samples are two thirds of a metre."""
    quiet = felt(300)
    quiet[300] = JOLTS.threshold / 2  # too small for the fixed scale
    assert found(chunk, quiet, told(chunk, (306, 3.0, True))) == [Hit(300, 3.0, 0)]


def test_a_lone_candidate_at_the_seam_is_told_by_the_chunk_that_owns_it(chunk: Chunk) -> None:
    """Its peak lies in the chunk before, which has no such candidate: moved there, neither would tell it."""
    first = round((chunk.start_s - chunk.t0_s) * RATE_HZ)
    before = felt(first - 3)
    before[first - 3] = JOLTS.threshold / 2
    (hit,) = found(chunk, before, told(chunk, (first + 2, 3.0, True)))
    assert hit.sample >= first


def test_near_ones_are_one_hit_with_the_worst_that_was_told(chunk: Chunk) -> None:
    said = told(chunk, (290, -4.0, False), (310, 5.0, True), (330, 1.0, True))
    assert found(chunk, felt(300), said) == [Hit(300, 5.0, 1)]


@pytest.mark.parametrize(("away", "count"), [(35, 1), (36, 2)])
def test_near_ends_where_it_says(chunk: Chunk, away: int, count: int) -> None:
    assert len(found(chunk, felt(300), told(chunk, (300 + away, 2.0, True)))) == count


def test_nothing_is_added_where_no_place_is_known(chunk: Chunk) -> None:
    usable = USABLE.copy()
    usable[200] = False
    assert found(chunk, felt(), told(chunk, (200, 3.0, True)), usable) == []
    assert found(chunk, felt(), told(chunk, (201, 3.0, True)), usable) == [Hit(201, 3.0, 0)]


def test_a_candidate_that_rounds_past_the_owned_stretch_is_held_in_it(chunk: Chunk) -> None:
    """Samples 200 to 699 are owned; rounded up to 700 it would be its neighbour's, who has no such candidate."""
    assert found(chunk, felt(), told(chunk, (699.6, 3.0, True))) == [Hit(699, 3.0, 0)]
