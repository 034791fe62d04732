"""The auditor's two ways: from a square's code to everything behind it, and from a chunk to what it caused."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from defects import recode as reading
from defects import retention as defects_retention
from defects import store as defects_store
from defects import turn
from grid import blocks_of, level_of, name_of, polygon_deg
from ingest import City
from ingest import store as ingest_store
from ledger import (
    CHUNK_PROOF,
    PROOF_VERSION,
    ROAD_PROOF,
    NotProvable,
    Place,
    chunks_root,
    latest_record,
    parse,
    place_of,
    place_to_plain,
    prove,
    records_about,
)

from .story import Ledger, code_of, one_moment

Connection = psycopg.Connection[Any]
Connect = Callable[[], AbstractContextManager[Connection]]
MOST_DAYS = 31
"""Days whose chunks a bundle lists, the newest: what is older has faded from the colour."""
MOST_PLACES = 64
"""Blocks of one chunk: 5 s at 30 m/s touch some twelve."""
MOST_CHANGES = 200
"""Changes of squares told of a chunk, the oldest first: what it caused comes soon after it."""


class NotTraced(LookupError):
    """No chunk with this hash is known: it was refused, erased, is of another city, or its hash was let go."""


def bundle(connect: Connect, cell: int, city: City, ledger: Ledger, at_s: float) -> dict[str, Any]:
    """The road proof of a square, ready for JSON: what `ledger.verify_document` checks offline. Raises NoSuchCell,
    NotProvable where its block's record is not under a signed checkpoint yet, LogDamaged."""
    with connect() as conn, one_moment(conn):
        revision, code = code_of(conn, cell)
        block = int(blocks_of(cell))
        codes = defects_store.codes_of(conn, [block])[block][1]
        said = {**reading.describe(code), **reading.details(code)}
        record = latest_record(conn, "block", block)
        if record is None:
            raise NotProvable(f"the record of block {block} waits to be taken into the log: ask again in a few seconds")
        body = parse(record.body)
        own = latest_record(conn, "code", cell) if said["colour"] in ("yellow", "red") else None
        context = _context(conn, body["context"])
        return {
            "v": PROOF_VERSION, "what": ROAD_PROOF, "made_at": datetime.fromtimestamp(at_s, UTC).isoformat(),
            "city": {"name": city.name, "region_code": city.region_code, "origin": list(city.origins)},
            "banner": city.banner, "cell": cell, "name": name_of(cell), "polygon": polygon_deg(cell),
            "code": said, "revision": revision, "codes": b64encode(codes.tobytes()).decode(),
            "block": prove(conn, ledger.tiles, record.idx, ledger.chain),
            "own": None if own is None else prove(conn, ledger.tiles, own.idx, ledger.chain),
            "context": None if context is None else prove(conn, ledger.tiles, context, ledger.chain),
            "days": [] if turn.is_coarse(cell) else _days(conn, block, date.fromisoformat(body["day"]), ledger),
            # What to compare with what one was given by a person: a document cannot vouch for its own keys.
            "log": {"key": ledger.verifier},
        }  # fmt: skip


def _context(conn: Connection, digest: bytes) -> int | None:
    """Number of the record whose body has this hash."""
    for record in records_about(conn, "context"):
        if hashlib.sha256(record.body).digest() == digest:
            return record.idx
    return None


def _days(conn: Connection, block: int, newest: date, ledger: Ledger) -> list[dict[str, Any]]:
    """The salted hashes of the chunks of boxes behind a block, by day, newest first, each with its way to the seal."""
    sealed = defects_retention.days_of_block(conn, block, MOST_DAYS)
    days = sorted({newest, *sealed}, reverse=True)[:MOST_DAYS]
    told = []
    for day in days:
        leaves = defects_store.chunk_leaves(conn, block, day)
        one: dict[str, Any] = {"day": day.isoformat(), "chunks": [leaf.hex() for leaf in leaves], "seal": None}
        if day in sealed and (proof := _seal(conn, day, ledger)) is not None:
            place = place_of(leaves[0], block, leaves, defects_retention.nodes_of_day(conn, day))
            plain = place_to_plain(place)
            one |= {"seal": proof, "place": {name: plain[name] for name in ("nth", "blocks", "day_path")}}
        told.append(one)
    return told


def _seal(conn: Connection, day: date, ledger: Ledger) -> dict[str, Any] | None:
    """The proof of a day's seal; None while it is on its way into the log."""
    for record in records_about(conn, "seal", day):
        try:
            return prove(conn, ledger.tiles, record.idx, ledger.chain)
        except NotProvable:
            return None
    return None


def trace(
    connect: Connect, hashed: bytes, day: date | None, city: City, ledger: Ledger
) -> dict[str, Any]:
    """The chunk proof of a chunk, by its salted hash or by the SHA-256 of its bytes (as long as its salt is there):
    where it was counted, its way to the seal of its day, and what was said there since. Raises NotTraced."""
    with connect() as conn, one_moment(conn):
        kept = ingest_store.chunk_of_hash(conn, hashed, day)
        leaf = hashed if kept is None else kept.leaf
        places = defects_retention.places_of_leaf(conn, leaf, day if kept is None else kept.day)[:MOST_PLACES]
        if not places:
            raise NotTraced(_not_traced(kept is not None))
        of_day = places[0][0]
        blocks = [block for when, block in places if when == of_day]
        sealed = of_day in defects_retention.days_with_leaves(conn)
        proof = _seal(conn, of_day, ledger) if sealed else None
        nodes = defects_retention.nodes_of_day(conn, of_day) if sealed else []
        return {
            "v": PROOF_VERSION, "what": CHUNK_PROOF, "banner": city.banner, "leaf": leaf.hex(), "day": str(of_day),
            # Only to who brought the chunk's own hash: whoever has the salted one alone is not told more.
            "raw_sha256": hashed.hex() if kept is not None and hashed != leaf else None,
            "salt": kept.salt.hex() if kept is not None and hashed != leaf else None,
            "kept": kept is not None, "seal": proof,
            "places": [_placed(conn, leaf, block, of_day, nodes) for block in blocks] if proof else [],
            "caused": [_caused(conn, block, of_day) for block in blocks],
            "log": {"key": ledger.verifier},
        }  # fmt: skip


def _not_traced(kept: bool) -> str:
    if kept:
        return "the chunk is here, and passed no square: nothing follows from it"
    return (
        "no chunk with this hash is known here: it was refused (roadcode dead-letter list), erased, its salt is gone "
        "(ask by the salted hash), or the hashes of its day were let go (ROADCODE_KEEP_LEAVES_DAYS)"
    )


def _placed(conn: Connection, leaf: bytes, block: int, day: date, nodes: list[tuple[int, bytes]]) -> dict[str, Any]:
    leaves = defects_store.chunk_leaves(conn, block, day)
    place: Place = place_of(leaf, block, leaves, nodes)
    return {"place": place_to_plain(place), "root": chunks_root(leaves).hex()}


def _caused(conn: Connection, block: int, day: date) -> dict[str, Any]:
    """What was said of a block from a day on: its records, and its squares' changes. Of a block where phones speak the
    day says no more than that: what was told there comes days later, and of closed days only."""
    records = [r for r in records_about(conn, "block", subject=block) if r.day is not None and r.day >= day]
    changes = defects_store.changes_in(conn, block, day, MOST_CHANGES)
    return {
        "block": block, "side_m": 1 << 2 * int(level_of(block)),
        "records": [
            {"record": r.idx, "day": str(r.day), "revision": (body := parse(r.body))["revision"],
             "chunks": body["chunks_count"]}
            for r in records[:MOST_PLACES]
        ],
        "changes": [c | {"name": name_of(c["cell"])} for c in changes],
        "cases": sorted({n for c in changes if (n := defects_store.case_number(conn, c["cell"])) is not None}),
    }  # fmt: skip
