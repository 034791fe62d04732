"""What a district says of its own keys, to be carried to a hub: signed by every key whose secret half it still has.

So each new key proves that its secret is there, and an earlier key of the same district vouches for it. What the hub
takes of it is decided in `merge_statement`: who may be trusted in a whole union hangs on it, so it is pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cbor2

from .cose import CoseError, read1, sign1, verify1
from .keys import KeyPair, UnknownAlgorithm
from .records import RecordError, encode_plain
from .trust import (
    CLAIM,
    VERSION,
    TrustedKey,
    TrustListError,
    fingerprint,
    key_entry,
    read_claims,
    read_entry,
)

TYPE: Final = "district-keys"
MOST_KEYS: Final = 64
"""Keys of one district, ended ones too: a rotation a month for five years. More is a flood."""
MOST_BYTES: Final = 1 << 20


class StatementError(TrustListError):
    """Not a district's statement, or one that the hub may not take; the text says which."""


class NeedsFingerprint(StatementError):
    """No key that is known here vouches for the new ones: a person must compare fingerprints. `keys` are the new."""

    def __init__(self, statement: "Statement", keys: Sequence[TrustedKey]) -> None:
        """With the fingerprints to be compared."""
        said = "; ".join(fingerprint(k.key) for k in keys)
        super().__init__(
            f"nobody known vouches for the new keys of {statement.issuer} {statement.name}: {said}. Have them read to "
            "you by a person of that district whom you know, then give them by --fingerprint"
        )
        self.keys = tuple(keys)


@dataclass(frozen=True)
class Statement:
    """A district's keys as it says them. `number` grows with every change; `signers` are the names of the keys whose
    signatures hold."""

    issuer: str
    name: str
    number: int
    at_s: int
    keys: tuple[TrustedKey, ...]
    signers: frozenset[bytes]


def sign_statement(issuer: str, number: int, at_s: int, keys: Sequence[TrustedKey], pairs: Sequence[KeyPair]) -> bytes:
    """The statement of `keys` (all of `issuer`), signed by each of `pairs`."""
    said: dict[str, Any] = {"type": TYPE, "v": VERSION, "number": number, "keys": [key_entry(key) for key in keys]}
    payload = encode_plain({1: issuer, 6: at_s, CLAIM: said})
    data: bytes = cbor2.dumps([sign1(payload, pair) for pair in pairs])
    read_statement(data)
    return data


def read_statement(data: bytes) -> Statement:
    """The statement, with every signature checked. Total: any bytes give a statement or StatementError."""
    try:
        return _read(data)
    except StatementError:
        raise
    except (CoseError, UnknownAlgorithm, RecordError, TrustListError) as error:
        raise StatementError(str(error)) from None


def _read(data: bytes) -> Statement:
    if len(data) > MOST_BYTES:
        raise StatementError(f"a statement has at most {MOST_BYTES} bytes")
    try:
        documents = cbor2.loads(data)
    except (Exception, RecursionError) as error:
        raise StatementError(f"not a district's statement: {type(error).__name__}") from None
    if not isinstance(documents, list) or not 1 <= len(documents) <= MOST_KEYS:
        raise StatementError("a statement is a list of its signed copies, one a key")
    if not all(isinstance(one, bytes) for one in documents) or cbor2.dumps(documents) != data:
        raise StatementError("a statement is a list of bytes in its one spelling")
    signed = [read1(one) for one in documents]
    payload = signed[0].payload
    if any(one.payload != payload for one in signed):
        raise StatementError("the copies of the statement say different things")
    claims = read_claims(payload, TYPE, {1, 6, CLAIM})
    said: dict[str, Any] = claims[CLAIM]
    if set(said) != {"type", "v", "number", "keys"} or not isinstance(said["keys"], list):
        raise StatementError("a statement has a number and keys")
    if type(said["number"]) is not int or not 1 <= said["number"] < 1 << 53:
        raise StatementError("a statement is numbered from 1")
    if type(claims[6]) is not int or not isinstance(claims[1], str):
        raise StatementError("a statement names its district as text and its moment in unix seconds")
    if not 1 <= len(said["keys"]) <= MOST_KEYS:
        raise StatementError(f"a district has 1 to {MOST_KEYS} keys")
    keys = tuple(read_entry(entry) for entry in said["keys"])
    if any(key.issuer != claims[1] for key in keys):
        raise StatementError(f"a district speaks of its own keys alone, and {claims[1]} names another's")
    if len({key.name for key in keys}) != 1:
        raise StatementError("a district has one name")
    by_kid = {key.kid: key for key in keys}
    if len(by_kid) != len(keys):
        raise StatementError("a statement names each key once")
    for document, one in zip(documents, signed, strict=True):
        if one.kid not in by_kid:
            raise StatementError("a statement is signed by keys that it names")
        verify1(document, by_kid[one.kid].key)
    if len({one.kid for one in signed}) != len(signed):
        raise StatementError("a statement is signed once by each key")
    return Statement(claims[1], keys[0].name, said["number"], claims[6], keys, frozenset(one.kid for one in signed))


def merge_statement(
    known: Mapping[bytes, TrustedKey], last_number: int, said: Statement, now_s: int, compared: Sequence[str] = ()
) -> dict[bytes, TrustedKey]:
    """All keys of the hub (`known`, by name) after it took a district's statement.

    last_number: of the district's newest statement taken, 0 for none. compared: fingerprints that a person compared.
    A new key must have signed (its secret is there), and be vouched for by a key of the district that is known here, in
    force, and not revoked by this very statement; or its fingerprint was compared. A revocation alone may be signed by
    the key that it revokes. A key only ever gets shorter, and a revocation stays. Raises StatementError.
    """
    for key in said.keys:
        if key.kid in known and known[key.kid].issuer != said.issuer:
            raise StatementError(f"key {key.kid.hex()} is of district {known[key.kid].issuer}, not of {said.issuer}")
        if key.kid in known and known[key.kid].key != key.key:
            raise StatementError(f"two keys have the name {key.kid.hex()}: the district makes another")
    ours = {kid: key for kid, key in known.items() if key.issuer == said.issuer}
    fresh = [key for key in said.keys if key.kid not in known and key.revoked_s is None and key.to_s > now_s]
    if last_number and said.number <= last_number:
        raise StatementError(f"statement {said.number} of {said.issuer} is not newer than {last_number}, which is here")
    if silent := [key for key in fresh if key.kid not in said.signers]:
        raise StatementError(f"key {silent[0].kid.hex()} has not signed: nobody shows that its secret half is there")
    gone = {key.kid for key in said.keys if key.revoked_s is not None}
    voices = {kid for kid in said.signers if kid in ours and ours[kid].revoked_s is None and ours[kid].to_s > now_s}
    asked = {_digits(text) for text in compared}
    if fresh and not voices - gone and not all(_digits(fingerprint(key.key)) in asked for key in fresh):
        raise NeedsFingerprint(said, fresh)
    if not fresh and not voices:
        raise StatementError(f"no key of {said.issuer} that counts here has signed: nothing was taken")
    after = dict(known)
    for key in said.keys:
        if key.kid in ours:
            after[key.kid] = _shorter(ours[key.kid], key)
        elif key in fresh:
            after[key.kid] = key
    return after


def _shorter(old: TrustedKey, said: TrustedKey) -> TrustedKey:
    moments = [moment for moment in (old.revoked_s, said.revoked_s) if moment is not None]
    uses = tuple(use for use in old.uses if use in said.uses) or old.uses
    to_s = max(min(old.to_s, said.to_s), old.from_s + 1)
    return replace(old, name=said.name, to_s=to_s, uses=uses, revoked_s=min(moments) if moments else None)


def _digits(text: str) -> str:
    return "".join(text.split()).replace("-", "").lower()
