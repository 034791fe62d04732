"""A citizen's statement as one file, and its check without asking anybody: leaf, settlement, record, log."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import psycopg

from ledger import (
    NotProvable,
    PointsStatementError,
    RecordError,
    Step,
    parse,
    points_settle,
    prove,
    verify_proof,
    verify_statement,
)

from .story import Ledger

VERSION: Final = 1
HOW: Final = "roadcode verify --statement FILE --key KEY; KEY is the log's public key, which you had from elsewhere"


def document(conn: psycopg.Connection[Any], account: str, day: date, ledger: Ledger) -> dict[str, Any]:
    """The statement of an account as of a day's settlement, with the proof of the settlement's record where the log has
    it already. Raises PointsError where there is none."""
    said = points_settle.statement(conn, account, day)
    proof = None
    if said["record"] is not None:
        try:
            proof = prove(conn, ledger.tiles, said["record"])
        except NotProvable:
            proof = None  # numbered, and in a few seconds under a checkpoint
    return {"v": VERSION, "kind": "points-statement", "statement": said, "proof": proof, "how": HOW}


def verify_document(content: Mapping[str, Any], key: str | None) -> list[Step]:
    """Checks such a file: the leaf against the settlement's root, the root against its record, the record against a
    signed checkpoint. key: the log's public key as text; without it the signature stays undecided. Total: a bad file
    gives a step that does not hold."""
    said = content.get("statement")
    if content.get("kind") != "points-statement" or content.get("v") != VERSION or not isinstance(said, Mapping):
        return [Step("statement", False, "this is no statement of points: download it again")]
    try:
        root = bytes.fromhex(str(said.get("root")))
        leaf = verify_statement(said, root)
    except (ValueError, PointsStatementError) as error:
        return [Step("statement", False, str(error))]
    sums = f"{leaf['earned']} earned, {leaf['spent']} spent, {leaf['expired']} expired by {leaf['day']}"
    steps = [Step("statement", True, f"leaf {said.get('index')} of {said.get('size')}: {sums}")]
    proof = content.get("proof")
    if not isinstance(proof, Mapping):
        return [*steps, Step("record", None, "the log had no checkpoint over it yet: download it again later")]
    steps.append(_same_settlement(proof, root, leaf))
    if key is None:
        return [*steps, Step("signature", None, "give the log's public key with --key to check who signed it")]
    return steps + [s for s in verify_proof(proof, key, None) if s.name not in ("record", "leaf")]


def _same_settlement(proof: Mapping[str, Any], root: bytes, leaf: Mapping[str, Any]) -> Step:
    """Whether the record in the proof is of this settlement."""
    try:
        record = parse(b64decode(str(proof.get("body")), validate=True))
    except (ValueError, RecordError) as error:
        return Step("record", False, f"the record cannot be read: {error}")
    if (record.get("kind"), record.get("root"), record.get("day")) != ("reward", root, leaf["day"]):
        return Step("record", False, "the record is of another settlement")
    of = f"record {proof.get('leaf_index')}"
    return Step("record", True, f"{of} settles {record['day']}, {record['accounts']} accounts")
