"""Real drives through the recogniser: does a bad road give more findings than a better one, and than chance?

The thresholds were chosen with these drives in view, and the good drive is faster than the others, so the good one
proves nothing by itself. One label holds for a whole drive.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from api.wiring import EVIDENCE
from defects import Rate, observe, rate
from ingest import City, admit, decode, encode
from ingest.recordings import Drive, chunks_of, drives_in, read_drive, shuffled

pytestmark = pytest.mark.recordings
NOW_S = 1_795_500_000.0
BAD, MEDIUM = ("rsq_q3_00", "rsq_q3_01"), "rsq_q2_00"


def felt(drive: Drive, city: City) -> tuple[int, float]:
    """Findings and kilometres, over the wire as a phone would send it."""
    findings, metres = 0, 0.0
    for chunk in chunks_of(drive, city, NOW_S, "phone-1"):
        sent = decode(encode(chunk))
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
