"""`roadcode bench ingest` on a handful of chunks: it runs to its end, and what it compares is comparable. No figure is
judged here: tests run beside other tests."""

from __future__ import annotations

import pytest

from api import bench_ingest
from api.settings import Settings

KEYS = {
    "cpu_us_broker", "cpu_us_worker", "cpu_us_database", "cpu_us_total", "vehicle_seconds_per_s", "latency_p50_s",
    "latency_p95_s", "rss_mb", "peer", "peer_cpu_us", "ratio_to_peer",
}  # fmt: skip


def test_every_chunk_gets_its_verdict_and_the_peer_stores_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises BenchFailed where a chunk has no verdict or the peer stored less. The peer is the one for machines without
    Mosquitto's clients: the other one is what the command shows where they are."""
    monkeypatch.setattr(bench_ingest, "_programs", lambda: None)
    told: list[str] = []
    figures = bench_ingest.run_bench_ingest(Settings(), told.append, chunks=5, most_1s=5)
    assert set(figures) >= KEYS | {"chunk_1s", "with_recognition", "fsync_always"}
    assert set(figures["chunk_1s"]) >= KEYS
    assert "minimal" in figures["peer"]
    assert figures["with_recognition"]["cpu_us_worker"] > figures["cpu_us_worker"] > 0
    assert 0 < figures["latency_p50_s"] <= figures["latency_p95_s"] < 30
    assert len(told) == 6, "a line for each part: it takes minutes"
