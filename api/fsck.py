"""Every byte that can be checked, checked: log, anchors, codes against records, chunks, evidence against chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import psycopg

from defects import Codes, EvidenceOptions, HealthOptions, evidence_leaf, register_store, slots_are_sealed
from defects import recode as reading
from defects import retention as defects_retention
from defects import store as defects_store
from grid import Zone, blocks_beside, cells_of_block, is_cell, level_of
from ingest import City, devices
from ingest import raw as ingest_raw
from ledger import (
    MERGE_DELAY_S,
    Fault,
    block_leaf,
    department_store,
    latest_record,
    leaf_hash,
    parse,
    points_faults,
    root_of,
    seals,
    subjects,
    unpack_leaves,
    waiting,
    waiting_fault,
)
from ledger import fsck as ledger_fsck

from .coder import ground_heard
from .fsck_chunks import row_faults
from .fsck_said import said_faults
from .recount import recount
from .story import Ledger, one_moment

Connection = psycopg.Connection[Any]
_ALL = 1 << 31


def fsck(
    conn: Connection,
    city: City,
    options: EvidenceOptions,
    health: HealthOptions,
    ledger: Ledger,
    told: Callable[[str], None],
    merge_delay_s: int = MERGE_DELAY_S,
) -> list[Fault]:
    """Everything that is not as it was written. ``told`` hears what is being checked."""
    with one_moment(conn):
        return _faults(conn, city, options, health, ledger, told, merge_delay_s)


def _faults(
    conn: Connection,
    city: City,
    options: EvidenceOptions,
    health: HealthOptions,
    ledger: Ledger,
    told: Callable[[str], None],
    merge_delay_s: int = MERGE_DELAY_S,
) -> list[Fault]:
    told("records, log, checkpoints, anchors")
    faults = list(ledger_fsck(conn, ledger.tiles, ledger.chain, ledger.verifier))
    told("departments' certificates against their records")
    faults += [Fault("department", id_, text) for id_, text in department_store.faults(conn)]
    told("points: entries, statements and settlements against each other and their records")
    faults += points_faults(conn)
    faults += waiting_fault(conn, merge_delay_s)
    told("changes, cases, contexts, boxes and registers against their records")
    faults += said_faults(conn)
    told("what follows from other rows")
    faults += row_faults(conn, Zone(city.utm_zone, city.utm_north))
    told("codes against their records")
    faults += codes_recorded(conn)
    told("codes against their evidence")
    faults += judged_again(conn, health)
    told("evidence of sealed days against their seals")
    faults += _seals(conn)
    told("evidence against every kept chunk")
    try:
        counted = recount(conn, city, options)
    except ValueError as error:
        return [*faults, Fault("evidence", "evidence", str(error))]
    for left in counted.left_out:
        told(f"all but {left}")
    faults += [Fault("chunk", f"chunk {n}", "its bytes are not those that were accepted") for n in counted.damaged]
    faults += [Fault("chunk", f"chunk {n}", text) for n, text in counted.misreported]
    faults += [
        Fault("evidence", f"block {block} of {day}", "is not the sum of its chunks") for block, day in counted.different
    ]
    return faults


def codes_recorded(conn: Connection) -> list[Fault]:
    blocks = defects_store.all_code_blocks(conn)
    gone = sorted(subjects(conn, "block") - set(blocks))
    faults = [Fault("code", f"block {block}", "has records, but its codes are gone") for block in gone]
    dropped = {state.day for state in ingest_raw.day_states(conn) if state.boxes_gone_at}
    dropped -= defects_retention.days_with_leaves(conn)
    for block in blocks:
        where = f"block {block}"
        if not is_cell(block):
            continue  # named by `judged_again`
        try:
            revision, codes = defects_store.codes_of(conn, [block])[block]
        except ValueError as error:
            faults.append(Fault("code", where, str(error)))
            continue
        record = latest_record(conn, "block", block)
        on_the_way = waiting(conn, "block", block)
        if record is None:
            if not on_the_way:
                faults.append(Fault("code", where, "has no record"))
            continue
        body = parse(record.body)
        if body["revision"] < revision:
            if not on_the_way:
                faults.append(Fault("code", where, "its newest revision has no record"))
        elif body["revision"] > revision:
            faults.append(Fault("code", where, f"is at revision {revision}, its record at {body['revision']}"))
        elif body["codes_sha256"] != hashlib.sha256(codes.tobytes()).digest():
            faults.append(Fault("code", where, f"its codes are not those of record {record.idx}"))
        faults += _chunks(conn, block, record.idx, body, dropped)
        faults += _own_records(conn, block, codes)
    return faults


def _seals(conn: Connection) -> list[Fault]:
    """What a day's evidence was when it was sealed stands in the log: it cannot have changed since, chunks or no
    chunks."""
    faults = []
    said = seals(conn)
    for state in ingest_raw.day_states(conn):
        where = f"seal of {state.day}"
        if state.sealed_at is None:
            if state.day in said:
                faults.append(Fault("seal", where, "was said, but the day is open"))
            continue
        if state.day not in said:
            faults.append(Fault("seal", where, "has no record"))
            continue
        body = parse(said[state.day])
        try:
            of_day = list(defects_retention.evidence_of_day(conn, state.day))
        except ValueError as error:
            faults.append(Fault("seal", where, str(error)))
            continue
        leaves = [leaf_hash(evidence_leaf(block, e)) for block, e in of_day]
        if len(leaves) != body["blocks"] or root_of(leaves) != body["evidence_root"]:
            faults.append(Fault("seal", where, "the day's evidence is not what was sealed"))
        faults += _leaves(conn, state.day, body, state.boxes_gone_at is not None)
        if not slots_are_sealed(e for _, e in of_day):
            faults.append(Fault("seal", where, "its evidence still says which devices there were"))
    return faults


def _leaves(conn: Connection, day: date, body: dict[str, Any], old: bool) -> list[Fault]:
    """The hashes of a sealed day's chunks are those that its seal was made of, for as long as they are kept. old:
    they may have gone."""
    where = f"hashes of {day}"
    if "chunks_root" not in body:  # sealed by a version that did not keep them
        return []
    try:
        leaves = [block_leaf(b, unpack_leaves(d)) for b, d in defects_retention.leaves_of_day(conn, day)]
    except ValueError as error:
        return [Fault("seal", where, str(error))]
    if leaves != [node for _, node in defects_retention.nodes_of_day(conn, day)]:
        return [Fault("seal", where, "what stands for a block in the day's tree is not of its hashes")]
    if (leaves or not old) and root_of(leaves) != body["chunks_root"]:
        return [Fault("seal", where, "the hashes of the day's chunks are not those that were sealed")]
    return []


def judged_again(conn: Connection, health: HealthOptions) -> list[Fault]:
    """Codes follow from evidence: whoever writes a colour into the database, with a record to match, is found here."""
    faults = []
    changed = set(register_store.stale_ground(conn, _ALL)) | set(register_store.stale_ground(conn, _ALL, coarse=True))
    for block, read_on in defects_store.read_days(conn):
        if block in changed:
            continue  # a register has changed, and it is to be read out again
        if not is_cell(block):
            faults.append(Fault("code", f"block {block}", "there is no block of this number"))
            continue
        around = {block, *blocks_beside(block).values()}
        evidence = around | (reading.above(around) if level_of(block) == 0 else set())
        try:
            known = ground_heard(conn, around, read_on, health)
        except ValueError as error:  # the coder stops at it too
            faults.append(Fault("ground", f"block {block}, or one beside it", str(error)))
            continue
        try:
            shown = defects_store.codes_of(conn, [block])[block][1]
            right = reading.recode({block}, defects_store.evidence_of(conn, evidence), read_on, health, known)[block]
        except ValueError:
            continue  # damage that is named elsewhere
        if shown.tobytes() != right.tobytes():
            faults.append(Fault("code", f"block {block}", "its codes do not follow from its evidence"))
    return faults


def _own_records(conn: Connection, block: int, codes: Codes) -> list[Fault]:
    """Yellow and red squares have records of their own, and the newest says what is shown."""
    faults = []
    cells = cells_of_block(block)
    for i in np.flatnonzero(np.isin(codes["colour"], reading.TOLD)).tolist():
        cell = int(cells[i])
        own = latest_record(conn, "code", cell)
        says = own is not None and parse(own.body)["after"] == reading.describe(codes[i])
        if not says and not waiting(conn, "code", cell):
            faults.append(Fault("code", f"square {cell}", "its own record does not say what is shown"))
    return faults


def _chunks(conn: Connection, block: int, idx: int, body: dict[str, Any], gone: set[date]) -> list[Fault]:
    """The chunks behind a block's newest record. More may have come since; those it counted must be there, unless the
    day's chunks have gone and their hashes too: an archive may have them."""
    day = date.fromisoformat(body["day"])
    if day in gone:
        return []
    if int(level_of(block)) > 0 and day in devices.erased_days(conn):
        return []  # some went at their owner's wish
    leaves = defects_store.chunk_leaves(conn, block, day)
    if len(leaves) < body["chunks_count"]:
        return [Fault("chunk", f"block {block}", f"record {idx} counts chunks that are gone")]
    same = root_of([leaf_hash(leaf) for leaf in leaves]) == body["chunks_root"]
    if len(leaves) == body["chunks_count"] and not same:
        return [Fault("chunk", f"block {block}", f"its chunks are not those of record {idx}")]
    return []
