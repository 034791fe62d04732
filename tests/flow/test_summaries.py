"""Boxes on a SIM card, end to end: summaries and samples through broker, database, fold and check."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from api import story, wiring
from api.fsck import fsck
from api.recount import recount
from defects import Finding, merge, observe
from defects.planes import EXPOSURE_BOX
from ingest import Chunk, City, Outbox, decode, encode
from sensors_sim import trips

from ..street import ROOT, Street, settled, until

UNTIL_S = 1_790_000_000.0


@pytest.fixture(scope="module")
def sent(street: Street, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of a box on a SIM card that has driven the shared streets, with faults on the way."""
    folder, _ = street.platform.enrol([("card-box-1", "box")], "card")
    kept = tmp_path_factory.mktemp("card")
    command = [
        sys.executable, "-m", "sensors_sim", "--city", str(street.platform.settings.city), "--credentials", str(folder),
        "--boxes", "1", "--phones", "0", "--passes", "2", "--summaries", "--faults", "--bad", "7",
        "--outbox", str(kept),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    with Outbox(kept / "card-box-1") as outbox:
        assert len(outbox) == 0, "a chunk that is settled stays in no outbox"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def kept_chunks(street: Street) -> list[Chunk]:
    with street.connect() as conn:
        rows = conn.execute("SELECT raw FROM chunk WHERE device = 'card-box-1' ORDER BY trip, seq").fetchall()
    return [decode(bytes(raw)) for (raw,) in rows]


def test_summaries_and_samples_arrive_once_and_are_counted_again(street: Street, sent: dict[str, Any]) -> None:
    kept = kept_chunks(street)
    assert (sent["waiting"], sum(sent["refused"].values())) == (0, sent["bad"])
    assert len(kept) == sent["unique"]
    assert {c.quiet is None for c in kept} == {True, False}
    until(lambda: settled(street.platform), 60, "everything folded, recorded and anchored")
    ledger = wiring.ledger(street.platform.settings)
    with street.connect() as conn:
        assert recount(conn, street.city, wiring.EVIDENCE).exact
        assert not fsck(conn, street.city, wiring.EVIDENCE, wiring.HEALTH, ledger, lambda _: None)


def test_the_story_tells_of_a_summary_as_of_a_quiet_pass(street: Street, sent: dict[str, Any]) -> None:
    one = next(c for c in kept_chunks(street) if c.quiet is not None)
    deltas = observe(one, "box", 1, street.city, wiring.EVIDENCE).deltas
    cell = int(deltas.cell[deltas.plane == EXPOSURE_BOX][0])
    until(lambda: settled(street.platform), 60, "everything folded, recorded and anchored")
    ledger = wiring.ledger(street.platform.settings)
    told = story.tell(street.connect, cell, street.city, wiring.EVIDENCE, wiring.HEALTH, ledger)
    at = story.city_time(street.city, one.start_s)
    (mine,) = [e for e in told["evidence"] if e["at"] == at]
    assert (mine["what"], mine["sensor"]) == ("quiet", "box")
    assert -0.6 < mine["weight"] < 0, "half of what samples would say"


def test_a_street_of_summaries_is_looked_at_less_and_costs_less(city: City) -> None:
    """The same drives, once as samples and once with summaries of what is quiet."""
    raw = [c for _, _, c in trips(city, 7, 2, 0, 2, UNTIL_S)]
    short = [c for _, _, c in trips(city, 7, 2, 0, 2, UNTIL_S, summaries=True)]

    def seen(chunks: list[Chunk]) -> tuple[float, list[Finding], int]:
        each = [observe(decode(encode(c)), "box", 1, city, wiring.EVIDENCE) for c in chunks]
        total = merge([o.deltas for o in each])
        exposure = float(total.value[total.plane == EXPOSURE_BOX].sum())
        return exposure, [f for o in each for f in o.findings], sum(len(encode(c)) for c in chunks)

    def plain(found: list[Finding]) -> int:
        """What a camera saw, and jolts on the fixed scale."""
        return sum(f.what == "camera" or f.score >= wiring.EVIDENCE.jolt.threshold for f in found)

    (all_of_it, jolts, size), (less, jolts_too, small) = seen(raw), seen(short)
    assert plain(jolts_too) == plain(jolts) > 50, "what was felt is felt as before"
    # The box tells quiet from loud by the fixed scale, so that what only the recogniser would find there is lost.
    assert plain(jolts_too) <= len(jolts_too) < len(jolts)
    owned = sum(c.end_s - c.start_s for c in raw)
    assert sum(c.end_s - c.start_s for c in short) == pytest.approx(owned)
    share = sum(c.end_s - c.start_s for c in short if c.quiet is not None) / owned
    assert 0.1 < share < 0.9
    # Quiet seconds at their share, the others whole. Stretches round jolts hold less exposure a second: hence the room.
    expected = 1 - share * (1 - wiring.EVIDENCE.summary_share)
    assert less / all_of_it == pytest.approx(expected, abs=0.1)
    assert small / size == pytest.approx(1 - share, abs=0.1)
    quiet = [c for c in short if c.quiet is not None]
    rate = sum(len(encode(c)) for c in quiet) / sum(c.end_s - c.start_s for c in quiet)
    assert rate < 130, "short stretches between jolts cost more than 60 s at once"
    assert np.median([c.end_s - c.start_s for c in quiet]) >= 5
