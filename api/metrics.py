"""What flows, as Prometheus reads it. Counts come from the database, where they were written in the transactions that
they count; so any process may answer, and a crash cannot make them lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from defects import store as defects_store
from ingest import condition_store
from ingest import store as ingest_store
from ledger import merging, newest_anchor, outbox_count, record_count

Connection = psycopg.Connection[Any]

_COUNTERS = {
    "payloads": ("payloads that workers took", None),
    "bytes": ("bytes that workers took", None),
    "repeated": ("chunks that came again and changed nothing", None),
    "accepted": ("chunks accepted, by kind of device", "kind"),
    "refused": ("payloads refused, by reason", "reason"),
    "findings": ("findings, by what they are", "what"),
}


class _Snapshot(Collector):
    """One reading of the counts; made anew for every scrape."""

    def __init__(self, conn: Connection, oversize: int | None) -> None:
        self._conn = conn
        self._oversize = oversize

    def collect(self) -> Iterator[Metric]:
        tallies = ingest_store.tallies(self._conn)
        for name, (text, label) in _COUNTERS.items():
            family = CounterMetricFamily(f"roadcode_{name}", text, labels=[label] if label else [])
            for tallied, value, n in tallies:
                if tallied == name:
                    family.add_metric([value] if label else [], n)
            yield family
        if self._oversize is not None:
            yield CounterMetricFamily(
                "roadcode_oversize", "payloads the broker refused for their size", value=self._oversize
            )
        fine, _ = defects_store.colour_counts(self._conn)
        cells = GaugeMetricFamily("roadcode_cells", "squares of one metre in measured blocks", labels=["colour"])
        for colour, n in fine.items():
            cells.add_metric([colour], n)
        yield cells
        yield GaugeMetricFamily("roadcode_journal_rows", "rows to fold", value=defects_store.journal_rows(self._conn))
        yield GaugeMetricFamily("roadcode_outbox_rows", "records not yet in the log", value=outbox_count(self._conn))
        yield GaugeMetricFamily("roadcode_log_records", "records in the log", value=record_count(self._conn))
        merge = merging(self._conn)
        yield GaugeMetricFamily("roadcode_log_waiting", "records under no signed checkpoint yet", value=merge.waiting)
        yield GaugeMetricFamily("roadcode_log_oldest_wait_seconds", "the oldest of them", value=merge.oldest_s)
        yield GaugeMetricFamily(
            "roadcode_log_longest_wait_seconds", "until a checkpoint, within the last hour", value=merge.longest_s
        )
        unbelieved = GaugeMetricFamily(
            "roadcode_devices_not_believed", "devices of weight 0 on the newest day, by fault", labels=["fault"]
        )
        for fault, devices in condition_store.faults_of_newest_day(self._conn).items():
            unbelieved.add_metric([fault], devices)
        yield unbelieved
        anchor = newest_anchor(self._conn)
        size = anchor.size if anchor else 0
        yield GaugeMetricFamily("roadcode_anchored_records", "records under the newest anchor", value=size)


def exposition(conn: Connection, oversize: int | None) -> bytes:
    """The metrics in Prometheus' text format. ``oversize``: what the broker counted, None where it does not say."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(conn, oversize))
    return generate_latest(registry)
