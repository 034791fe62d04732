"""Receipts: what whoever hands in a record gets at once, and can hold against the operator.

A receipt is a COSE_Sign1 by the log's receipt key, given once the record is durable (its row in the outbox is
committed). It promises that the record's leaf is under a signed checkpoint within a maximum merge delay. It never waits
for the log, a witness or the chain. A later inclusion proof shows the promise kept; a receipt without one, after the
delay, is evidence against the operator, since nobody else could have signed it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cbor2

from .cose import CoseError, read1, sign1, verify1
from .keys import KeyPair, PublicKey, UnknownAlgorithm, load_pair
from .note import Checkpoint, NoteError, verify_note
from .proof import Step, verify_proof
from .records import Plain, RecordError, encode_plain

VERSION: Final = 1
KEY_FILE: Final = "receipt.key"
PUBLIC_FILE: Final = "receipt.pub"
MERGE_DELAY_S: Final = 60
"""The promise where no setting says otherwise. The anchorer turns twice a second, so records wait a second; a crash and
its restart take ten. Shorter, and an ordinary restart breaks a promise; longer, and a record that is held back is
noticed later."""
_FIELDS: Final = {"v", "leaf", "at_ms", "mmd_s", "log"}


class ReceiptError(ValueError):
    """Not a receipt of this platform, or its signature does not hold; the text says which."""


@dataclass(frozen=True)
class Promise:
    """What a receipt says: the record with this `leaf` hash, durable at `at_ms` (unix milliseconds), will be under a
    signed checkpoint of `log` within `mmd_s` seconds."""

    leaf: bytes
    at_ms: int
    mmd_s: int
    log: str

    @property
    def due_ms(self) -> int:
        """When the record has to be in the log."""
        return self.at_ms + 1000 * self.mmd_s


@dataclass(frozen=True)
class Promiser:
    """Who signs receipts, for which log, and what is promised."""

    pair: KeyPair
    log: str
    mmd_s: int = MERGE_DELAY_S

    def receipt(self, leaf: bytes, at_ms: int) -> bytes:
        """The receipt of a leaf hash. The same question gives the same bytes: Ed25519 draws nothing."""
        return sign_receipt(Promise(leaf, at_ms, self.mmd_s, self.log), self.pair)


def load_promiser(folder: Path, log: str, mmd_s: int = MERGE_DELAY_S) -> Promiser:
    """The promiser whose key lies beside the log's in `folder`, made once with its public half in `receipt.pub`.
    Raises NoteError."""
    pair = load_pair(folder / KEY_FILE)
    public = folder / PUBLIC_FILE
    if not public.exists():
        fresh = public.with_name(f".{PUBLIC_FILE}.{pair.kid.hex()}")
        fresh.write_text(public_text(pair.key))
        fresh.replace(public)
    return Promiser(pair, log, mmd_s)


def public_text(key: PublicKey) -> str:
    """A receipt key as one line of text, for whoever checks: algorithm, name, public half."""
    return f"EdDSA+{key.kid.hex()}+{key.public.hex()}\n"


def read_public(text: str) -> PublicKey:
    """The key of such a line. Raises ReceiptError."""
    parts = text.strip().split("+")
    try:
        if len(parts) != 3 or parts[0] != "EdDSA":
            raise ValueError
        key = PublicKey(bytes.fromhex(parts[2]))
    except (ValueError, UnknownAlgorithm):
        raise ReceiptError("a receipt key reads EdDSA+name+hex, as the log's folder has it in receipt.pub") from None
    if key.kid.hex() != parts[1] or public_text(key).strip() != text.strip():
        raise ReceiptError("the receipt key's name does not belong to it: it was mistyped or changed")
    return key


def sign_receipt(promise: Promise, pair: KeyPair) -> bytes:
    """A promise, signed."""
    said: dict[str, Plain] = {
        "v": VERSION, "leaf": promise.leaf, "at_ms": promise.at_ms, "mmd_s": promise.mmd_s, "log": promise.log,
    }  # fmt: skip
    return sign1(encode_plain(said), pair)


def read_receipt(data: bytes) -> Promise:
    """What a receipt says, **without** a look at its signature. Total; raises ReceiptError."""
    try:
        return _promise(read1(data).payload)
    except CoseError as error:
        raise ReceiptError(str(error)) from None


def open_receipt(data: bytes, key: PublicKey) -> Promise:
    """What a receipt says, once its signature holds. Raises ReceiptError."""
    try:
        return _promise(verify1(data, key))
    except (CoseError, UnknownAlgorithm) as error:
        raise ReceiptError(str(error)) from None


def _promise(payload: bytes) -> Promise:
    try:
        said: Any = cbor2.loads(payload)
        if not isinstance(said, dict) or set(said) != _FIELDS or encode_plain(said) != payload:
            raise ReceiptError("a receipt says v, leaf, at_ms, mmd_s and log, in their one spelling")
    except ReceiptError:
        raise
    except (RecordError, Exception, RecursionError) as error:
        raise ReceiptError(f"what was signed cannot be read: {type(error).__name__}") from None
    leaf, log = said["leaf"], said["log"]
    numbers = [said["v"], said["at_ms"], said["mmd_s"]]
    if any(not isinstance(n, int) or isinstance(n, bool) for n in numbers) or said["v"] != VERSION:
        raise ReceiptError(f"receipt version {said['v']!r} is unknown, this platform reads {VERSION}")
    if not isinstance(leaf, bytes) or len(leaf) != 32 or not isinstance(log, str) or said["mmd_s"] <= 0:
        raise ReceiptError("a receipt names a leaf of 32 bytes, a log, and a delay above 0")
    return Promise(leaf, said["at_ms"], said["mmd_s"], log)


def verify_receipt(
    data: bytes, key: PublicKey, now_ms: int, proof: Mapping[str, Any] | None = None, verifier_key: str = ""
) -> list[Step]:
    """Check a receipt offline, and its promise with a later proof (the document of `prove`). Total.

    The step `promise`: True, the record is in the log; False, it is overdue at `now_ms` and no proof that holds was
    given: **the receipt is evidence against the operator**; None, there is time left.
    """
    try:
        promise = open_receipt(data, key)
    except ReceiptError as error:
        return [Step("receipt", False, str(error))]
    steps = [Step("receipt", True, f"signed by {key.kid.hex()} for {promise.log}: leaf {promise.leaf.hex()}")]
    kept, why = False, "no proof was given"
    if proof is not None:
        checked = verify_proof(proof, verifier_key, None)
        steps += [step for step in checked if step.name != "anchor"]
        kept, why = _keeps(promise, proof, checked, verifier_key)
    if kept:
        steps.append(Step("promise", True, why))
    elif now_ms > promise.due_ms:
        late_s = (now_ms - promise.due_ms) // 1000
        text = f"{why}, overdue by {late_s} s: unless the log proves it, this receipt is evidence against its operator"
        steps.append(Step("promise", False, text))
    else:
        steps.append(Step("promise", None, f"{why}; the log has {(promise.due_ms - now_ms) // 1000} s left"))
    return steps


def _keeps(promise: Promise, proof: Mapping[str, Any], checked: list[Step], verifier_key: str) -> tuple[bool, str]:
    if any(step.ok is False for step in checked):
        return False, "the proof does not hold"
    leaf = next((bytes.fromhex(step.detail) for step in checked if step.name == "leaf"), b"")
    if leaf != promise.leaf:
        return False, "the proof is of another record"
    checkpoint: Checkpoint
    try:
        checkpoint = verify_note(str(proof["checkpoint"]), verifier_key)
    except NoteError as error:
        return False, str(error)
    if checkpoint.origin != promise.log:
        return False, f"the proof is of the log {checkpoint.origin!r}"
    return True, f"kept: leaf {proof['leaf_index']} of {checkpoint.size}"


