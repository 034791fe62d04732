"""What the database tells of chunks besides their bytes, and rows that follow from other rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import psycopg

from defects import Colour, Observation
from defects import store as defects_store
from grid import Zone, is_cell, odd_sections
from ingest import Chunk
from ledger import Fault

Connection = psycopg.Connection[Any]
_SINGLE = 6
"""Where in the row of a finding numbers of single precision begin."""


def misreported(conn: Connection, read: Mapping[int, tuple[Chunk, Observation]]) -> list[tuple[int, str]]:
    """Chunks (by id: what they are and say) whose columns, findings or blocks are not those; each with what is odd."""
    ids = sorted(read)
    odd: list[tuple[int, str]] = []
    said = defects_store.said_by(conn, ids)
    rows = conn.execute(
        "SELECT c.id, c.day, c.trip, c.seq, c.origin, c.start_s, c.distance_m, EXISTS (SELECT FROM seen AS s WHERE"
        " s.day = c.day AND s.device = c.device AND s.trip = c.trip AND s.w = c.seq >> 6"
        " AND s.mask >> (c.seq & 63) & 1 = 1) OR d.sealed_at IS NOT NULL,"
        " NOT EXISTS (SELECT FROM pass AS p WHERE p.chunk = c.id AND p.day <> c.day)"
        " FROM chunk AS c LEFT JOIN day_context AS d USING (day) WHERE c.id = ANY(%s) ORDER BY c.id",
        (ids,),
    )
    for number, day, trip, seq, origin, start_s, distance_m, noted, same_day in rows:
        chunk, seen = read[number]
        own = (chunk.trip, chunk.seq, chunk.origin, chunk.start_s, np.float32(seen.distance_m))
        if (trip, seq, origin, start_s, np.float32(distance_m)) != own or not trip.startswith(f"{day:%Y%m%d}"):
            odd.append((number, "trip, number, origin, start or length beside it are not its own"))
        if not noted:
            odd.append((number, "is kept, and was not noted as seen: it could be counted twice"))
        mine = said.get(number, {"findings": [], "blocks": []})
        if mine["blocks"] != defects_store.blocks_of_deltas(seen.deltas) or not same_day:
            odd.append((number, "the blocks it is said to have passed are not those of its track"))
        findings = [_plain(tuple(f.values())) for f in mine["findings"]]
        if findings != [_plain(defects_store.finding_row(f)) for f in seen.findings]:
            odd.append((number, "its findings are not what is found in it"))
    return odd


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A finding as the database can hold it."""
    out = []
    for i, value in enumerate(row):
        held = value.item() if isinstance(value, np.generic) else value
        out.append(float(np.float32(held)) if isinstance(held, float) and i >= _SINGLE else held)
    return tuple(out)


def row_faults(conn: Connection, zone: Zone) -> Iterator[Fault]:
    """Counts of colours, payloads of dead letters, what is told of chunks that are not kept; sections of roads."""
    for number, text in odd_sections(conn, zone):
        yield Fault("road", f"section {number}", text)
    for block, *counts in conn.execute("SELECT blk, green, yellow, red FROM code ORDER BY blk").fetchall():
        if not is_cell(block):
            continue  # named with the codes
        try:
            codes = defects_store.codes_of(conn, [block])[block][1]
        except ValueError:
            continue  # named with the codes
        if counts != [int((codes["colour"] == c).sum()) for c in (Colour.GREEN, Colour.YELLOW, Colour.RED)]:
            yield Fault("code", f"block {block}", "its counts of colours are not those of its codes")
    for device, digest, payload in conn.execute("SELECT device, sha256, payload FROM dead_sample"):
        if hashlib.sha256(payload).digest() != bytes(digest):
            yield Fault("letter", f"{device} {bytes(digest).hex()[:16]}", "its payload is not the one of its hash")
    for table in ("pass", "finding"):
        rows = conn.execute(
            f"SELECT DISTINCT t.chunk FROM {table} AS t"  # noqa: S608 - constant names
            " WHERE NOT EXISTS (SELECT FROM chunk AS c WHERE c.id = t.chunk) ORDER BY t.chunk LIMIT 20"
        )
        for (chunk,) in rows:
            yield Fault("chunk", f"chunk {chunk}", f"a row of {table} names it, and it is not kept")
