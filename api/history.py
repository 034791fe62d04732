"""How a square's code came to be what it is: every change with the passes that moved it, and what the registers say."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import psycopg

from defects import EvidenceOptions, HealthOptions, register_store, turn
from grid import blocks_of, neighbours
from ingest import City

from .story import city_time, code_of, days_told, one_moment, passes_of_chunks

Connection = psycopg.Connection[Any]
MOST_CHANGES = 100
"""Changes told of a square, the newest."""
MOST_PASSES = 20
"""Passes told of a change, the heaviest."""
_OBSERVED = 40
"""Chunks observed again for one change, a millisecond or so each: those with a finding near first. With 20 a heavy
quiet pass may stay unseen; with 400 one question costs seconds."""
_OBSERVED_IN_ALL = 240
"""Chunks observed again for one question. Older changes are told without passes, and say so."""
_NEAR = 2
"""Squares around within which a finding may have moved a square: its place is spread by half a metre or so."""


def tell(
    conn: Connection, cell: int, city: City, options: EvidenceOptions, health: HealthOptions, today: date
) -> dict[str, Any]:
    """The history of a square, ready for JSON, in one moment of the database. Raises NoSuchCell.

    A pass belongs to the first change after the vehicle was there. Of a coarse square closed days are told, and no
    single pass; of citizens' drives never one.
    """
    with one_moment(conn):
        code_of(conn, cell)  # raises where nothing near was measured
        found = register_store.dated_changes(conn, cell, MOST_CHANGES + 1)
        moved = _of_days(conn, cell, found, health) if turn.is_coarse(cell) else _of_passes(
            conn, cell, found, city, options
        )  # fmt: skip
        said = register_store.at_cell(conn, cell, today)
    changes = [
        {
            "at": city_time(city, change["at"].timestamp()),
            "day": change["day"].isoformat(),
            "before": change["before"],
            "after": change["after"],
            "why": change["why"],
            "passes": passes,
            "passes_told": passes is not None,
        }
        for change, passes in zip(found[:MOST_CHANGES], moved, strict=False)
    ]
    for change in changes:
        change["passes"] = change["passes"] or []
    return {"cell": cell, "changes": changes, "truncated": len(found) > MOST_CHANGES, "register": said}


def _of_passes(
    conn: Connection, cell: int, found: list[dict[str, Any]], city: City, options: EvidenceOptions
) -> list[list[dict[str, Any]] | None]:
    """For each change the passes of boxes between the one before and it; None where too much was asked already."""
    block = int(blocks_of(cell))
    near = [int(c) for c in neighbours(cell, _NEAR)]
    told: list[list[dict[str, Any]] | None] = []
    left = _OBSERVED_IN_ALL
    for n, change in enumerate(found[:MOST_CHANGES]):
        if left <= 0:
            told.append(None)
            continue
        after_s = found[n + 1]["at"].timestamp() if n + 1 < len(found) else -math.inf
        until_s = change["at"].timestamp()
        chunks = register_store.boxes_past(conn, block, near, after_s, until_s, min(_OBSERVED, left))
        left -= len(chunks)
        passes = passes_of_chunks(conn, cell, chunks, city, options)
        told.append(sorted(passes, key=lambda p: -abs(p["weight"]))[:MOST_PASSES])
    return told


def _of_days(
    conn: Connection, cell: int, found: list[dict[str, Any]], health: HealthOptions
) -> list[list[dict[str, Any]] | None]:
    """For each change of a coarse square the closed days that had been told when it came, and not at the one before."""
    days = days_told(conn, cell, health)
    later = timedelta(days=health.public_after_days)
    told: list[list[dict[str, Any]] | None] = []
    for n, change in enumerate(found[:MOST_CHANGES]):
        newest = change["day"] - later
        oldest = found[n + 1]["day"] - later if n + 1 < len(found) else date.min
        mine = [d for d in days if oldest < date.fromisoformat(d["day"]) <= newest]
        told.append(sorted(mine, key=lambda d: -abs(d["weight"]))[:MOST_PASSES])
    return told
