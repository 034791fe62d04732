"""A device's own data, on a real database among many of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pytest

from ingest import devices, store

FOREIGN = 20_000
DAYS = (date(2026, 3, 2), date(2026, 3, 3))
_ROW = (
    "INSERT INTO {} (id, day, device, trip, seq, origin, start_s, distance_m, raw, salt, leaf) "
    "SELECT %s + n, %s, {}, 't', n, 'live', 0, 0, '\\x0102', '\\x00', '\\x00' FROM generate_series(1, %s) AS n"
)


class Explained:
    """A connection that remembers how each statement was carried out: its plan with the rows that were read."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        self.plans: list[dict[str, Any]] = []

    def execute(self, query: Any, values: Any = None) -> Any:
        row = self._conn.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query, values).fetchone()
        assert row is not None
        self.plans.append(row[0][0]["Plan"] if not isinstance(row[0], str) else json.loads(row[0])[0]["Plan"])
        return self._conn.execute(query, values)


def rows_read(plan: dict[str, Any]) -> float:
    """Rows of chunks that a plan met, whether it kept them or not."""
    own = 0.0
    if "chunk" in plan.get("Relation Name", "") or "chunk" in plan.get("Index Name", ""):
        met = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        own = met * plan["Actual Loops"]
    return own + sum(rows_read(part) for part in plan.get("Plans", []))


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Two days of a fleet; 5 chunks a day of one phone whose ids come last, and 3 of a box in the midst of them."""
    with psycopg.connect(database, autocommit=True) as opened:
        for at, day in enumerate(DAYS):
            store.open_day(opened, day, b"s" * 16, b"b", b"h" * 32)
            start = at * 10 * FOREIGN
            for table, name, after, number in (
                ("chunk_box", "'box-' || n %% 50", 0, FOREIGN // 2), ("chunk_box", "'box-own'", FOREIGN, 3),
                ("chunk_box", "'later-' || n %% 50", 2 * FOREIGN, FOREIGN // 2),
                ("chunk_phone", "'phone-me'", 4 * FOREIGN, 5),
            ):  # fmt: skip
                opened.execute(_ROW.format(table, name).encode(), (start + after, day, number))
        yield opened


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize(("name", "number"), [("phone-me", 10), ("box-own", 6), ("phone-none", 0)])
def test_a_page_of_a_device_does_not_walk_the_chunks_of_the_fleet(
    conn: psycopg.Connection[Any], name: str, number: int, analysed: bool
) -> None:
    if analysed:
        conn.execute("ANALYZE")
    explained: Any = Explained(conn)
    page = devices.own_chunks(explained, name, 0, 4)
    rest = devices.own_chunks(explained, name, page[-1]["id"], 100) if page else []
    ids = [row["id"] for row in page + rest]
    assert len(ids) == number
    assert ids == sorted(ids) == devices.own_chunk_ids(explained, name)
    first, last = (DAYS[0], DAYS[1]) if number else (None, None)
    assert devices.own_chunk_sums(explained, name) == (number, 2 * number, first, last)
    assert {row["raw"] for row in page + rest} <= {b"\x01\x02"}
    for plan in explained.plans:
        assert rows_read(plan) <= 4 * number + 20, json.dumps(plan)[:4000]
