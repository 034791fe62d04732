"""What a city would pay: bytes are those of the encoder, the sums are right, and nothing assumed is called measured."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from api.cost import CityOptions, asked_with, cost, measure, on_air
from api.wiring import EVIDENCE
from ingest import City, encode, summarise

from ..roads import straight
from ..street import ROOT


def value(figures: list, what: str, unit: str) -> float:
    (found,) = [f.value for f in figures if (f.what, f.unit) == (what, unit)]
    return float(found)


@pytest.fixture(scope="module")
def sizes(city: City):
    return measure(city, 60.0, EVIDENCE)


def test_sizes_are_those_of_chunks_as_they_are_sent(city: City, sizes) -> None:
    chunks = [straight(city, seq=seq) for seq in range(12)]
    assert sizes.raw_5s == pytest.approx(sum(len(encode(c)) for c in chunks) / 60, rel=0.03)
    assert sizes.summary == pytest.approx(len(encode(next(iter(summarise(chunks))))) / 60, rel=0.05)
    assert sizes.summary_air <= 100
    assert sizes.raw_1s > 2 * sizes.raw_5s, "a chunk of 1 s carries its context five times as often"
    assert 1 < sizes.evidence_m < 100


def test_a_short_stretch_costs_more(city: City, sizes) -> None:
    assert measure(city, 10.0, EVIDENCE).summary > 1.2 * sizes.summary


def test_on_air_counts_the_acknowledgements_and_the_verdict() -> None:
    small, large = on_air(1_000), on_air(12_900)
    assert 300 < small - 1_000 < 800
    assert large - 12_900 > small - 1_000, "more packets, more heads"


def test_the_sums_are_right(sizes) -> None:
    asked, given = asked_with({"road_km": 100.0, "lanes": 2.0, "passes": 4.0, "hours": 10.0, "kmh": 20.0, "quiet": 1.0})
    figures = cost(asked, given, sizes)
    assert value(figures, "vehicles (boxes)", "") == 4  # 800 lane-km a day, 200 each
    assert value(figures, "driven", "km a day") == 800
    seconds = 4 * 36_000
    month = seconds * 365 / 12 / 1e9
    assert value(figures, "raw, chunks of 5 s: SIM, all", "GB a month") == pytest.approx(sizes.raw_5s_air * month)
    all_quiet = value(figures, "raw 5 s and summaries: SIM, all", "GB a month")
    assert all_quiet == pytest.approx(sizes.summary_air * month)
    assert value(figures, "raw 5 s and summaries: SIM, all", "CNY a month") == pytest.approx(5 * all_quiet)
    assert value(figures, "raw, chunks of 5 s: raw store", "GB") == pytest.approx(sizes.raw_5s * seconds * 30 / 1e9)
    # 200 lane-km a year: driven four times a day it is still one row of evidence a block and day.
    assert value(figures, "evidence", "GB") == pytest.approx(sizes.evidence_m * 200_000 * 365 / 1e9)
    assert value(figures, "boxes", "CNY once") == 12_000


def test_a_fleet_may_be_given_in_place_of_passes(sizes) -> None:
    asked, given = asked_with({"vehicles": 900, "road_km": 3_200.0})
    figures = cost(asked, given, sizes)
    assert value(figures, "vehicles (boxes)", "") == 900
    assert value(figures, "passes of every lane", "a day") == pytest.approx(900 * 160 / 12_800)
    assert "passes" not in {f.what for f in figures}


def test_every_line_says_what_it_rests_on(sizes) -> None:
    asked, given = asked_with({"quiet": 0.8, "sim_gb": 2.0})
    how = {(f.what, f.unit): f.how for f in cost(asked, given, sizes)}
    assert all(text for text in how.values())
    assert how["quiet", "share"] == "given"
    assert how["lanes", ""].startswith("assumed")
    assert how["raw, chunks of 5 s: SIM, all", "CNY a month"] == "computed; price: given"
    assert "assumed" in how["boxes", "CNY once"]
    measured = {what for (what, _), text in how.items() if text.startswith("measured")}
    assert measured == {
        "raw, chunks of 1 s: payload", "raw, chunks of 5 s: payload", "summary: payload", "raw, chunks of 1 s: on air",
        "raw, chunks of 5 s: on air", "summary: on air", "evidence of a lane driven",
    }  # fmt: skip


def test_more_quiet_costs_less(sizes) -> None:
    def traffic(quiet: float) -> float:
        figures = cost(CityOptions(quiet=quiet), frozenset(), sizes)
        return value(figures, "raw 5 s and summaries: SIM, all", "GB a month")

    assert traffic(0.0) == pytest.approx(value(cost(CityOptions(), frozenset(), sizes), "raw, chunks of 5 s: SIM, all",
                                               "GB a month"))  # fmt: skip
    assert traffic(0.0) > traffic(0.5) > 5 * traffic(1.0)


@pytest.mark.parametrize(
    "changes", [{"quiet": 1.5}, {"road_km": 0.0}, {"kmh": float("nan")}, {"hours": 25.0}, {"stretch_s": 120.0}]
)
def test_what_cannot_be_is_named(sizes, changes: dict[str, float]) -> None:
    asked, given = asked_with(changes)
    with pytest.raises(ValueError, match=next(iter(changes)).replace("_", "-")):
        cost(asked, given, sizes)


def test_the_command_prints_json_and_names_a_wrong_value() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "api.cli", "cost", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)

    rows = json.loads(run("--road-km", "500", "--json").stdout)
    assert {"what", "value", "unit", "how"} == set(rows[0])
    assert rows[0] == {"what": "road_km", "value": 500.0, "unit": "km", "how": "given"}
    wrong = run("--quiet", "7")
    assert wrong.returncode == 2
    assert "--quiet" in wrong.stderr
    assert "Traceback" not in wrong.stderr
