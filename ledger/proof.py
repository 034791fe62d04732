"""A record's proof as one JSON document, and its check without our database."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import psycopg

from . import merkle, store
from .chain import AnchorRefused, Chain, ChainAway, WrongContract
from .cosignature import cosignatures_of, with_cosignatures
from .cosigned import cosignatures_at, newest_witnessed
from .note import Checkpoint, NoteError, parse_checkpoint, verify_note
from .policy import Policy
from .records import RecordError, parse
from .tiles import Tiles

VERSION: Final = 1
MAX_HASHES: Final = 64
NOBODY_ELSE: Final = "no witnesses are named: the log's operator alone stands for its history"


class NotProvable(LookupError):
    """There is no such record, or no checkpoint holds it yet: ask again in a few seconds."""


@dataclass(frozen=True)
class Step:
    """One thing that was checked: True holds, False does not, None could not be decided (`detail` says why).

    `wanted`: False where nobody asked for it, so that a proof without it is still whole.
    """

    name: str
    ok: bool | None
    detail: str
    wanted: bool = True


def prove(
    conn: psycopg.Connection[Any],
    log: Tiles,
    idx: int,
    chain: Chain | None = None,
    which: Literal["newest", "first", "head"] = "newest",
    policy: Policy | None = None,
) -> dict[str, Any]:
    """The proof of record `idx`, JSON-ready (bytes in base64, hashes of the chain in 0x hex).

    Against the newest anchored checkpoint that holds it, else the newest checkpoint; `which="first"` takes the first
    anchored one, whose time is the earliest at which the record was proven to exist; `which="head"` the newest signed
    one, anchored or not. `chain` only adds its id and the contract's address to the document. Where that checkpoint
    lacks the quorum of `policy`, the newest one that has it comes along with the proof that both are of one history.
    Raises NotProvable, LogDamaged, NoteError.
    """
    record = store.record(conn, idx)
    if record is None:
        raise NotProvable(f"there is no record {idx}")
    anchor = None
    if which != "head":
        anchor = store.first_anchor(conn, idx) if which == "first" else store.newest_anchor(conn, idx)
    found = store.checkpoint_of(conn, anchor.size) if anchor else store.newest_checkpoint(conn)
    if found is None or found[0] <= idx:
        raise NotProvable(f"record {idx} is not yet under a signed checkpoint")
    size, _, note = found
    note = with_cosignatures(note, cosignatures_at(conn, size))
    proof: dict[str, Any] = {
        "v": VERSION,
        "body": b64encode(record.body).decode(),
        "leaf_index": idx,
        "tree_size": size,
        "inclusion": [b64encode(value).decode() for value in log.inclusion(idx, size)],
        "checkpoint": note,
        "anchor": {"status": "pending"},
    }
    if policy is not None and not policy.enough(note):
        proof |= _witnessed(conn, log, idx, size, policy)
    if anchor is not None:
        proof["anchor"] = {
            # Until enough blocks lie on it, the chain may still give up the block that holds it.
            "status": "anchored" if anchor.final else "mined",
            "tx_hash": "0x" + anchor.tx_hash.hex(),
            "block": anchor.block_number,
            "block_hash": "0x" + anchor.block_hash.hex() if anchor.block_hash else None,
            "time": anchor.block_time,
            "seq": anchor.seq,
        }
        if chain is not None:
            proof["anchor"] |= _where(chain)
    return proof


def _witnessed(conn: psycopg.Connection[Any], log: Tiles, idx: int, size: int, policy: Policy) -> dict[str, Any]:
    found = newest_witnessed(conn, policy, idx)
    if found is None:
        return {}
    other, note = found
    hashes = log.consistency(min(size, other), max(size, other))
    return {"witnessed": {"checkpoint": note, "consistency": [b64encode(value).decode() for value in hashes]}}


def _where(chain: Chain) -> dict[str, Any]:
    try:
        return {"chain_id": chain.chain_id, "contract": chain.address}
    except (ChainAway, AnchorRefused, WrongContract):
        return {}


def verify_proof(
    proof: Mapping[str, Any], verifier_key: str, chain: Chain | None, policy: Policy | None = None
) -> list[Step]:
    """Check a proof step by step: record, inclusion, signature, witnesses, anchor. Total: a bad proof gives False, not
    an error.

    `verifier_key` is the log's public key as text. `policy` says whose cosignatures count and how many are enough;
    without one that step is undecided and not wanted. Offline but for `chain`, whose contract is asked itself; without
    it the last step stays undecided.
    """
    try:
        body = b64decode(proof["body"], validate=True)
        index, size = _count(proof["leaf_index"]), _count(proof["tree_size"])
        hashes = [b64decode(value, validate=True) for value in proof["inclusion"]]
        note, anchor = proof["checkpoint"], proof["anchor"]
        if proof["v"] != VERSION or len(hashes) > MAX_HASHES or not isinstance(note, str):
            raise ValueError("another version, or too long")
        if not isinstance(anchor, Mapping):
            raise TypeError("the anchor is an object")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [Step("proof", False, f"the document cannot be read: {type(error).__name__}: {error}")]
    steps = [_record_step(body)]
    leaf = merkle.leaf_hash(body)
    steps.append(Step("leaf", True, leaf.hex()))
    checkpoint: Checkpoint | None = None
    try:
        checkpoint = verify_note(note, verifier_key)
        signature = Step("signature", True, f"{checkpoint.origin}, {checkpoint.size} leaves")
    except NoteError as error:
        signature = Step("signature", False, str(error))
    steps.append(_inclusion_step(checkpoint, index, size, leaf, hashes))
    steps.append(signature)
    steps.append(_witness_step(proof, checkpoint, index, verifier_key, policy))
    steps.append(_anchor_step(checkpoint, anchor, chain))
    return steps


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError("a count is a number from 0")
    return value


def _record_step(body: bytes) -> Step:
    try:
        content = parse(body)
    except RecordError as error:
        return Step("record", False, str(error))
    return Step("record", True, f"{content['kind']}, {len(body)} bytes")


def _inclusion_step(checkpoint: Checkpoint | None, index: int, size: int, leaf: bytes, hashes: list[bytes]) -> Step:
    if checkpoint is None:
        return Step("inclusion", False, "the checkpoint does not hold")
    if checkpoint.size != size:
        return Step("inclusion", False, f"the proof is for {size} leaves, the checkpoint for {checkpoint.size}")
    if not merkle.verify_inclusion(index, size, leaf, hashes, checkpoint.root):
        return Step("inclusion", False, f"leaf {index} is not in the tree of {size}")
    return Step("inclusion", True, f"leaf {index} of {size}")


def _witness_step(
    proof: Mapping[str, Any], checkpoint: Checkpoint | None, index: int, verifier_key: str, policy: Policy | None
) -> Step:
    if policy is None or policy.quorum is None:
        return Step("witnesses", None, NOBODY_ELSE, wanted=False)
    if checkpoint is None:
        return Step("witnesses", False, "the checkpoint does not hold")
    try:
        found = witnesses_step(policy, proof["checkpoint"])
        other = proof.get("witnessed")
        if found.ok or other is None:
            return found
        beside = verify_note(str(other["checkpoint"]), verifier_key)
        hashes = [b64decode(value, validate=True) for value in other["consistency"]]
        if beside.size <= index or len(hashes) > MAX_HASHES:
            return Step("witnesses", False, "the witnessed checkpoint does not hold this record")
        older, newer = sorted((checkpoint, beside), key=lambda one: one.size)
        if not merkle.verify_consistency(older.size, newer.size, older.root, newer.root, hashes):
            return Step("witnesses", False, "the witnessed checkpoint is not of the same history as the other")
        return witnesses_step(policy, other["checkpoint"])
    except (NoteError, KeyError, TypeError, ValueError) as error:
        return Step("witnesses", False, f"{error}")


def witnesses_step(policy: Policy, note: str) -> Step:
    """Whether enough witnesses of a policy signed a note; None while too few did. Raises NoteError."""
    signed = cosignatures_of(note, policy.keys)
    names, size = policy.names_of(signed), parse_checkpoint(note).size
    if policy.satisfied(names):
        return Step("witnesses", True, f"{', '.join(names)} at {size} leaves; needed: {policy.needed}")
    return Step("witnesses", None, f"{', '.join(names) or 'none'} so far at {size} leaves; needed: {policy.needed}")


def _anchor_step(checkpoint: Checkpoint | None, anchor: Mapping[str, Any], chain: Chain | None) -> Step:
    if anchor.get("status") == "mined":
        return Step("anchor", None, "pending: on the chain, but not yet under enough blocks to be called final")
    if anchor.get("status") != "anchored":
        return Step("anchor", None, "pending: signed, not yet on the chain")
    if chain is None:
        return Step("anchor", None, "no chain was asked")
    if checkpoint is None:
        return Step("anchor", False, "the checkpoint does not hold")
    try:
        seq = _count(anchor.get("seq"))
        contract, number = anchor.get("contract"), anchor.get("chain_id")
        if number is not None and number != chain.chain_id:
            return Step("anchor", None, f"anchored on chain {number}, asked was chain {chain.chain_id}")
        if contract is not None and str(contract).lower() != chain.address.lower():
            return Step("anchor", False, "anchored in another contract than the one trusted here")
        found = chain.anchor_at(seq)
        receipt = chain.receipt(bytes.fromhex(str(anchor.get("tx_hash")).removeprefix("0x")))
        block_hash = receipt.block_hash if receipt else None
        if found is not None and found.block is not None and receipt is not None and receipt.seq is None:
            block_hash = chain.block_hash(found.block)  # it repeated a head: the block is that of the first one
    except ValueError as error:
        return Step("anchor", False, str(error))
    except ChainAway as error:
        return Step("anchor", None, str(error))
    except (AnchorRefused, WrongContract) as error:
        return Step("anchor", False, str(error))
    if found is None:
        return Step("anchor", False, f"the contract has no anchor {seq}")
    if (found.root, found.size) != (checkpoint.root, checkpoint.size):
        return Step("anchor", False, f"anchor {seq} of the contract is another tree")
    if (found.time, found.block) != (anchor.get("time"), anchor.get("block")):
        return Step("anchor", False, f"anchor {seq} was made at another time or in another block than the proof says")
    if receipt is None or not receipt.ok or receipt.seq not in (None, seq):
        return Step("anchor", False, f"the named transaction did not make anchor {seq}")
    if receipt.seq == seq and receipt.block_number != found.block:
        return Step("anchor", False, f"the named transaction is in another block than anchor {seq}")
    if block_hash is None or "0x" + block_hash.hex() != anchor.get("block_hash"):
        return Step("anchor", False, "the chain does not have the named transaction in the named block")
    return Step("anchor", True, f"anchor {seq} in block {found.block} at {found.time}")
