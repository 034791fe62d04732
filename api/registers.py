"""Changes of the registers, each in one transaction with its record; and what the vehicles propose for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import psycopg

from defects import BlockEvidence, learnt, register, register_store
from defects import recode as reading
from defects import store as defects_store
from grid import blocks_beside, blocks_of, index_in_block, unproject, zone_of
from ingest import City
from ledger import Record, enqueue, leaf_hash, register_record, root_of

Connection = psycopg.Connection[Any]
Say = Callable[[Connection, Sequence[Record]], None]
LEARN = learnt.LearnOptions()
LEARN_DAYS = 60
"""Days of evidence that proposals are made of. With half of it a street that a box drives every third day never has ten
days; with three times as much a bump that was built last month waits for its felt share."""
_PAGE = 64


def put(
    conn: Connection, entries: Sequence[register.Entry], city: City, now_s: float, why: str, say: Say = enqueue
) -> register_store.Put:
    """Writes entries and a record of what is new or changed, which goes to ``say``. Commits."""
    today = city.service_day(now_s)
    with conn.transaction():
        done = register_store.put_entries(conn, entries, today)
        if done.sha256:
            root = root_of([leaf_hash(digest) for digest in done.sha256])
            name = entries[0].register
            at_ms = int(now_s * 1000)
            say(conn, [register_record("put", name, today, at_ms, len(done.sha256), root, why, city.origins)])
    return done


def end(
    conn: Connection, number: int, name: str, last: date | None, city: City, now_s: float, why: str, say: Say = enqueue
) -> date:
    """Ends an entry, by default yesterday: it holds no more. Its record goes to ``say``. Gives its last day. Commits.
    Raises NoSuchEntry."""
    today = city.service_day(now_s)
    last = last or today - timedelta(days=1)
    with conn.transaction():
        digest = register_store.end_entry(conn, number, name, last)
        root = root_of([leaf_hash(digest)])
        say(conn, [register_record("ended", name, today, int(now_s * 1000), 1, root, why, city.origins)])
    return last


def propose(
    conn: Connection, today: date, options: learnt.LearnOptions, told: Callable[[int, int], None] | None = None
) -> list[learnt.Candidate]:
    """Candidates for known objects, out of the evidence of boxes of the last `LEARN_DAYS` days, without those that
    stand in the register already. ``told``: blocks done, and all."""
    since = today - timedelta(days=LEARN_DAYS)
    blocks = register_store.driven_since(conn, since)
    hot: list[learnt.Hot] = []
    for i in range(0, len(blocks), _PAGE):
        page = blocks[i : i + _PAGE]
        known = register_store.ground_of(conn, page, today, register.GroundOptions())
        for block, days in _recent(conn, page, since).items():
            found = learnt.hot_squares(block, days, options)
            if block in known:
                found = [h for h in found if not known[block].harmless[int(index_in_block(h.cell))]]
            hot += found
        if told is not None:
            told(min(i + _PAGE, len(blocks)), len(blocks))
    out = []
    for thing in learnt.together(hot, options):
        mine = {int(b) for b in np.unique(blocks_of(np.array([h.cell for h in thing])))}
        around = mine | {b for block in mine for b in blocks_beside(block).values()}
        passed = {
            block: sum((reading.passes_of(e) for e in days.values()), np.zeros(1024, np.int64))
            for block, days in _recent(conn, sorted(around), since).items()
        }
        one = learnt.candidate(thing, passed, options)
        if one is not None:
            out.append(one)
    return sorted(out, key=lambda c: (-c.passes, c.cell))


def _recent(conn: Connection, blocks: Sequence[int], since: date) -> dict[int, dict[date, BlockEvidence]]:
    found = defects_store.evidence_of(conn, blocks)
    return {b: {d: e for d, e in days.items() if d >= since} for b, days in sorted(found.items())}


def line_of(one: learnt.Candidate) -> dict[str, Any]:
    """A candidate's line across the lane as a GeoJSON geometry, degrees of the city's frame."""
    lon, lat = unproject([e[0] for e in one.ends_m], [e[1] for e in one.ends_m], zone_of(one.cell))
    ends = [[round(float(a), 8), round(float(b), 8)] for a, b in zip(lon, lat, strict=True)]
    return {"type": "LineString", "coordinates": ends}
