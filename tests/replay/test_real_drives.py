"""Real drives through the recogniser: does a bad road give more findings than a better one, and than chance?

The thresholds were chosen with these drives in view, and the good drive is faster than the others, so the good one
proves nothing by itself. One label holds for a whole drive.

The drives are taken whole: what is asked is what the recogniser feels. On their way to a platform they lose their ends
as every phone's do, and of drives of two minutes that leaves next to nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from api.wiring import EVIDENCE
from defects import Rate, observe, rate
from ingest import City, Trimmed, admit, decode, encode
from ingest.recordings import Drive, drives_in, read_drive, recorded, shuffled

pytestmark = pytest.mark.recordings
NOW_S = 1_795_500_000.0
BAD, MEDIUM = ("rsq_q3_00", "rsq_q3_01"), "rsq_q2_00"


def felt(drive: Drive, city: City) -> tuple[int, float]:
    """Findings and kilometres of the whole drive, over the wire as a phone would send what it does not hold back."""
    findings, metres = 0, 0.0
    for chunk in recorded(drive, city, NOW_S):
        sent = decode(encode(replace(chunk, trimmed=Trimmed(200.0, 60.0))))
        admit(sent, "phone", city, NOW_S)
        seen = observe(sent, "phone", 1, city, EVIDENCE)
        findings += len(seen.findings)
        metres += seen.distance_m
    return findings, metres / 1000


def pooled(drives: list[Drive], city: City) -> Rate:
    both = [felt(d, city) for d in drives]
    return rate(sum(n for n, _ in both), sum(km for _, km in both))


@pytest.fixture(scope="module")
def drives(recordings: Path) -> dict[str, Drive]:
    found = {p.name: read_drive(p) for p in drives_in(recordings)}
    if not {*BAD, MEDIUM} <= set(found):
        pytest.skip(f"{recordings} does not hold the drives {MEDIUM}, {', '.join(BAD)}")
    return found


def test_the_bad_drives_lie_above_the_medium_one_of_similar_speed(drives: dict[str, Drive], city: City) -> None:
    bad, medium = pooled([drives[n] for n in BAD], city), pooled([drives[MEDIUM]], city)
    assert bad.low > medium.high, f"bad {bad}, medium {medium}: the intervals overlap"


def test_the_bad_drives_lie_above_themselves_shuffled_in_time(drives: dict[str, Drive], city: City) -> None:
    bad = pooled([drives[n] for n in BAD], city)
    for seed in range(3):
        chance = pooled([shuffled(drives[n], seed) for n in BAD], city)
        assert bad.low > chance.high, f"bad {bad}, shuffled with seed {seed} {chance}: the intervals overlap"
