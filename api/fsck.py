"""Every byte that can be checked, checked: log, anchors, codes against records, chunks, evidence against chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from typing import Any

import psycopg

from defects import EvidenceOptions
from defects import store as defects_store
from ingest import City
from ledger import Fault, latest_record, leaf_hash, parse, root_of
from ledger import fsck as ledger_fsck

from .recount import recount
from .story import Ledger

Connection = psycopg.Connection[Any]


def fsck(
    conn: Connection, city: City, options: EvidenceOptions, ledger: Ledger, told: Callable[[str], None]
) -> list[Fault]:
    """Everything that is not as it was written. ``told`` hears what is being checked."""
    told("records, log, checkpoints, anchors")
    faults = list(ledger_fsck(conn, ledger.tiles, ledger.chain, ledger.verifier))
    told("codes against their records")
    faults += _codes(conn)
    told("evidence against every kept chunk")
    try:
        counted = recount(conn, city, options)
    except ValueError as error:
        return [*faults, Fault("evidence", "evidence", str(error))]
    waiting = defects_store.journal_rows(conn)
    if waiting:
        return [*faults, Fault("evidence", "journal", f"{waiting} batches wait to be folded: run it again when idle")]
    faults += [Fault("chunk", f"chunk {n}", "its bytes are not those that were accepted") for n in counted.damaged]
    faults += [
        Fault("evidence", f"block {block} of {day}", "is not the sum of its chunks") for block, day in counted.different
    ]
    return faults


def _codes(conn: Connection) -> list[Fault]:
    faults = []
    for block in defects_store.all_code_blocks(conn):
        where = f"block {block}"
        try:
            revision, codes = defects_store.codes_of(conn, [block])[block]
        except ValueError as error:
            faults.append(Fault("code", where, str(error)))
            continue
        record = latest_record(conn, "block", block)
        if record is None:
            faults.append(Fault("code", where, "has no record in the log yet"))
            continue
        body = parse(record.body)
        if body["revision"] < revision:
            faults.append(Fault("code", where, "its newest revision has no record in the log yet"))
        elif body["revision"] > revision:
            faults.append(Fault("code", where, f"is at revision {revision}, its record at {body['revision']}"))
        elif body["codes_sha256"] != hashlib.sha256(codes.tobytes()).digest():
            faults.append(Fault("code", where, f"its codes are not those of record {record.idx}"))
        faults += _chunks(conn, block, record.idx, body)
    return faults


def _chunks(conn: Connection, block: int, idx: int, body: dict[str, Any]) -> list[Fault]:
    """The chunks behind a block's newest record. More may have come since; those it counted must be there."""
    leaves = defects_store.chunk_leaves(conn, block, date.fromisoformat(body["day"]))
    if len(leaves) < body["chunks_count"]:
        return [Fault("chunk", f"block {block}", f"record {idx} counts chunks that are gone")]
    same = root_of([leaf_hash(leaf) for leaf in leaves]) == body["chunks_root"]
    if len(leaves) == body["chunks_count"] and not same:
        return [Fault("chunk", f"block {block}", f"its chunks are not those of record {idx}")]
    return []
