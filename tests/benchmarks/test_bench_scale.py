"""`roadcode bench scale` on a small city: every key is there, and what it counts is what was driven."""

from __future__ import annotations

import numpy as np
import pytest

from api import bench_scale, wiring
from api.bench_ingest import BenchFailed
from api.bench_traffic import FINDS, chunks, streets, together, updates_of
from defects import merge, planes
from defects.evidence import parted

KEYS = {
    "flat_cost_ratio", "bytes_per_cell_day", "cell_updates_per_s_db", "wal_bytes_per_update", "ids_mpts_per_s",
    "fold_s_4000_blocks", "seal_s_2e4", "tile_ms_2e4", "story_ms_2e4", "by_size",
}  # fmt: skip


def test_traffic_is_mostly_quiet_and_lies_in_streets() -> None:
    where = streets(30_000)
    said = chunks(np.random.default_rng(1), where, np.arange(len(where)))
    finds = [bool((one.plane == planes.LOGODDS).any()) for one in said]
    assert np.mean(finds) == pytest.approx(FINDS, abs=0.12)
    whole = merge(said)
    assert updates_of(said) == pytest.approx(len(where) * 155, rel=0.1), "two wheels over 60 m, off the grid"
    squares = len(np.unique(whole.cell))
    assert squares == pytest.approx(len(where) * 150, rel=0.15)
    assert {found for _, found in parted(whole)} == {True, False}


def test_together_is_the_sum_of_chunks_in_all_but_what_is_drawn() -> None:
    where = streets(20_000)
    one = together(np.random.default_rng(3), where, np.arange(40))
    many = chunks(np.random.default_rng(3), where, np.arange(40))
    quiet = [merge([d]) for d in (one, *many)]
    passes = [int(d.value[d.plane == planes.PASSES].sum()) for d in quiet]
    assert passes[0] == sum(passes[1:])


def test_every_figure_is_there_and_the_database_holds_what_was_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_scale, "DISTRICT", 30)
    monkeypatch.setattr(bench_scale, "BATCHES", 1)
    monkeypatch.setattr(bench_scale, "FOLD_BLOCKS", 60)
    monkeypatch.setattr(bench_scale, "_ROUNDS", 1)
    told: list[tuple[str, float]] = []
    figures = bench_scale.run_bench_scale((20_000,), wiring.HEALTH, lambda *what: told.append(what))
    assert set(figures) >= KEYS
    (city,) = figures["by_size"].values()
    assert city["squares"] == pytest.approx(20_000, rel=0.15)
    assert 0 < figures["bytes_per_cell_day"] < 40
    assert figures["wal_bytes_per_update"] > 0
    assert city["append_updates"] == pytest.approx(2 * 256 * 155, rel=0.15)
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_a_city_smaller_than_what_is_measured_on_it_is_refused() -> None:
    with pytest.raises(BenchFailed, match="1e4"):
        bench_scale.run_bench_scale((100,), wiring.HEALTH, lambda *_: None)
