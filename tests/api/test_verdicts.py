"""What a device is told: sorted runs of numbers, kept from batch to batch, never more than what was committed."""

from __future__ import annotations

import json
from datetime import date
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.verdicts import KEPT_S, MOST_TOLD, MOST_TRIPS, Progress, add_run, told
from ingest import store as ingest_store

DAY = date(2026, 3, 2)
TRIP = "20260302-00000001"


@given(st.lists(st.integers(0, 60)))
def test_runs_are_the_numbers_whatever_their_order(numbers: list[int]) -> None:
    runs: list[tuple[int, int]] = []
    for n in numbers:
        add_run(runs, n)
    assert [n for first, last in runs for n in range(first, last + 1)] == sorted(set(numbers))
    assert all(a[1] + 1 < b[0] for a, b in pairwise(runs)), "runs that touch are one"


def test_of_too_many_runs_those_of_the_batch_and_the_highest_are_told() -> None:
    runs = [(2 * n, 2 * n) for n in range(2 * MOST_TOLD)]
    said = told(runs, [6, 8])
    assert len(said) == MOST_TOLD
    assert {(6, 6), (8, 8), runs[-1]} <= set(said)
    assert said == sorted(said)


def accepted(progress: Progress, conn: psycopg.Connection, *seqs: int, commit: bool = True) -> list[list[int]]:
    """Notes the numbers and gives what the verdict says."""
    keys = [(DAY, "box-1", TRIP, seq) for seq in seqs]
    with conn.transaction(force_rollback=not commit):
        ingest_store.note_keys(conn, keys)
        (verdict,), runs = progress.verdicts(conn, keys, [])
    if commit:
        progress.keep(runs)
    ranges: list[list[int]] = json.loads(verdict.payload)["accepted"]
    return ranges


@pytest.fixture
def conn(database: str) -> psycopg.Connection:  # type: ignore[misc]
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


def test_a_batch_that_was_rolled_back_is_never_told(conn: psycopg.Connection) -> None:
    progress = Progress(lambda: 0.0)
    assert accepted(progress, conn, 0, 1) == [[0, 1]]
    assert accepted(progress, conn, 2, commit=False) == [[0, 2]], "what would be sent after the commit"
    assert accepted(progress, conn, 5) == [[0, 1], [5, 5]]


def test_what_another_worker_took_is_told_after_a_while(conn: psycopg.Connection) -> None:
    now_s = [0.0]
    mine, other = Progress(lambda: now_s[0]), Progress(lambda: now_s[0])
    assert accepted(mine, conn, 0) == [[0, 0]]
    assert accepted(other, conn, 1, 63, 64) == [[0, 1], [63, 64]]
    assert accepted(mine, conn, 2) == [[0, 0], [2, 2]]
    now_s[0] = KEPT_S
    assert accepted(mine, conn, 70) == [[0, 2], [63, 64], [70, 70]]


def test_windows_of_sixty_four_are_one_run_across_their_borders(conn: psycopg.Connection) -> None:
    seqs = [n for n in range(200) if n not in (0, 127)]
    accepted(Progress(lambda: 0.0), conn, *seqs)
    assert ingest_store.accepted_runs(conn, [("box-1", TRIP)]) == {("box-1", TRIP): [(1, 126), (128, 199)]}
    assert ingest_store.accepted_runs(conn, [("box-2", TRIP), ("box-1", "20269999-00000001")]) == {}


def test_trips_of_the_past_fill_no_memory() -> None:
    progress = Progress(lambda: 0.0)
    progress.keep({("box-1", f"trip {n}"): [(0, 0)] for n in range(MOST_TRIPS + 5)})
    assert len(progress._kept) == MOST_TRIPS
