"""`.tlog-proof` files (C2SP tlog-proof v1): a record, its way to the root, and a checkpoint that witnesses signed.

One text that is checked offline against a policy alone. The record's body stands in the line `extra`, which nothing
signs: it counts because its hash is the leaf that the rest proves.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from . import merkle, store
from .cosignature import with_cosignatures
from .cosigned import cosignatures_at, newest_witnessed
from .note import NoteError, exact64
from .policy import Policy, judge
from .proof import NOBODY_ELSE, NotProvable, Step, witnesses_step
from .records import RecordError, parse
from .tiles import Tiles

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_TLOG_PROOF: Final = 131072
"""Characters. A record of 65,535 bytes in base64, 63 hashes and the longest note make 107,000; more is an attack."""
_MOST_HASHES: Final = 63
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})\Z")


class TlogProofError(ValueError):
    """Text that is no `.tlog-proof`; says in which line."""


@dataclass(frozen=True)
class TlogProof:
    """Leaf number `index`, `hashes` from its sibling up to the root's child, the signed `checkpoint`, and `extra`."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def text(self) -> str:
        """The file's text."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [b64encode(value).decode() for value in self.hashes]
        return "\n".join(lines) + "\n\n" + self.checkpoint


def parse_tlog_proof(text: str) -> TlogProof:
    """Read a file, strictly: one spelling for each proof. Raises TlogProofError."""
    if len(text) > MAX_TLOG_PROOF:
        raise TlogProofError(f"longer than {MAX_TLOG_PROOF} characters")
    head, found, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not found or lines[0] != HEADER:
        raise TlogProofError(f"line 1 is not {HEADER}, or no empty line stands before the checkpoint")
    extra, at = None, 1
    try:
        if len(lines) > 1 and lines[1].startswith("extra "):
            spelt = lines[1].removeprefix("extra ")
            # Canonical: an encoder's own spelling back, so that no two files say the same.
            extra, at = exact64(spelt, len(spelt) // 4 * 3 - spelt[-2:].count("="), "line extra"), 2
        index = _INDEX.match(lines[at]) if at < len(lines) else None
        if index is None or int(index[1]) >= 1 << 63:
            raise TlogProofError(f"line {at + 1} is not `index` and a plain decimal number")
        rest = lines[at + 1 :]
        if len(rest) > _MOST_HASHES:
            raise TlogProofError(f"more than {_MOST_HASHES} hashes")
        hashes = tuple(exact64(line, 32, f"hash in line {at + 2 + n}") for n, line in enumerate(rest))
    except NoteError as error:
        raise TlogProofError(str(error)) from error
    return TlogProof(int(index[1]), hashes, checkpoint, extra)


def tlog_proof(conn: psycopg.Connection[Any], log: Tiles, idx: int, policy: Policy | None = None) -> TlogProof:
    """The proof of record `idx` under the newest checkpoint that has the quorum of `policy`; where none has, or without
    one, under the newest of all, with what witnesses signed of it. Raises NotProvable, LogDamaged, NoteError."""
    record = store.record(conn, idx)
    if record is None:
        raise NotProvable(f"there is no record {idx}")
    found = newest_witnessed(conn, policy, idx) if policy is not None and policy.quorum is not None else None
    if found is None:
        newest = store.newest_checkpoint(conn)
        if newest is None or newest[0] <= idx:
            raise NotProvable(f"record {idx} is not yet under a signed checkpoint")
        found = newest[0], with_cosignatures(newest[2], cosignatures_at(conn, newest[0]))
    size, note = found
    return TlogProof(idx, tuple(log.inclusion(idx, size)), note, record.body)


def verify_tlog_proof(text: str, policy: Policy, body: bytes | None = None) -> list[Step]:
    """Check a file step by step, offline: document, record, leaf, signature, inclusion, witnesses. Total.

    The record is `body`, or what the file carries. Nothing comes later to a file: too few witnesses are False.
    """
    try:
        proof = parse_tlog_proof(text)
    except TlogProofError as error:
        return [Step("document", False, str(error))]
    steps = [Step("document", True, f"{HEADER}, {len(proof.hashes)} hashes")]
    said = proof.extra if body is None else body
    if said is None:
        return [*steps, Step("record", False, "the file carries no record: give it beside")]
    try:
        steps.append(Step("record", True, f"{parse(said)['kind']}, {len(said)} bytes"))
    except RecordError as error:
        steps.append(Step("record", False, str(error)))
    leaf = merkle.leaf_hash(said)
    steps.append(Step("leaf", True, leaf.hex()))
    try:
        judged = judge(policy, proof.checkpoint)
    except NoteError as error:
        return [*steps, Step("signature", False, str(error))]
    at = judged.checkpoint
    steps.append(Step("signature", True, f"{at.origin}, {at.size} leaves"))
    if merkle.verify_inclusion(proof.index, at.size, leaf, proof.hashes, at.root):
        steps.append(Step("inclusion", True, f"leaf {proof.index} of {at.size}"))
    else:
        steps.append(Step("inclusion", False, f"leaf {proof.index} is not in the tree of {at.size}"))
    if policy.quorum is None:
        return [*steps, Step("witnesses", None, NOBODY_ELSE, wanted=False)]
    found = witnesses_step(policy, proof.checkpoint)
    return [*steps, Step("witnesses", bool(found.ok), found.detail)]
