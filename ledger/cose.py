"""COSE_Sign1 (RFC 9052) over deterministic CBOR: one signer, the algorithm and the key's name in the protected header.

Strict on reading: one spelling for one statement, so that what was signed is what is shown. Read back by an
independent library in tests/ledger/test_cose.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cbor2

from .keys import KeyPair, PublicKey, UnknownAlgorithm
from .records import encode_plain

TAG: Final = 18
_ALG: Final = 1
_KID: Final = 4
MOST: Final = 1 << 20
"""Bytes of a signed document. A trust list of a thousand districts is 200 kB."""


class CoseError(ValueError):
    """Not a COSE_Sign1 as this platform writes it, or its signature does not hold; the text says which."""


@dataclass(frozen=True)
class Signed:
    """A document before anybody has checked it: who is said to have signed (`kid`, `alg`), and what."""

    alg: int
    kid: bytes
    payload: bytes
    protected: bytes
    signature: bytes


def sign1(payload: bytes, pair: KeyPair) -> bytes:
    """The tagged COSE_Sign1 of `payload`, with algorithm and key's name protected."""
    protected = encode_plain({_ALG: pair.key.alg, _KID: pair.kid})
    signature = pair.sign(_to_be_signed(protected, payload))
    return bytes(cbor2.dumps(cbor2.CBORTag(TAG, [protected, {}, payload, signature])))


def read1(data: bytes) -> Signed:
    """A document's parts, **without** a look at the signature. Total; raises CoseError."""
    if len(data) > MOST:
        raise CoseError(f"a signed document has at most {MOST} bytes")
    try:
        tagged = cbor2.loads(data)
        if not isinstance(tagged, cbor2.CBORTag) or tagged.tag != TAG or cbor2.dumps(tagged) != data:
            raise CoseError("not a COSE_Sign1 in its one spelling (tag 18, nothing behind it)")
        protected, open_header, payload, signature = tagged.value
        header = cbor2.loads(protected)
    except CoseError:
        raise
    except (Exception, RecursionError) as error:
        raise CoseError(f"not a COSE_Sign1: {type(error).__name__}") from None
    if open_header != {} or not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise CoseError("a COSE_Sign1 here has an empty open header, a payload and a signature in bytes")
    if not isinstance(header, dict) or set(header) != {_ALG, _KID}:
        raise CoseError("the protected header names the algorithm and the key, nothing else")
    alg, kid = header[_ALG], header[_KID]
    if not isinstance(alg, int) or isinstance(alg, bool) or not isinstance(kid, bytes) or not 1 <= len(kid) <= 32:
        raise CoseError("the protected header names the algorithm by its number and the key by bytes")
    if encode_plain({_ALG: alg, _KID: kid}) != protected:
        raise CoseError("the protected header is not in deterministic encoding")
    return Signed(alg, kid, payload, protected, signature)


def verify1(data: bytes, key: PublicKey | Callable[[Signed], PublicKey]) -> bytes:
    """The payload, once the signature holds. `key`: the key itself, or who finds it by what the document says (and
    raises its own error where it knows none). Raises CoseError, UnknownAlgorithm."""
    signed = read1(data)
    known = key if isinstance(key, PublicKey) else key(signed)
    if signed.alg != known.alg:
        raise UnknownAlgorithm(f"signed with algorithm {signed.alg}, the key is of {known.alg}")
    if not known.holds(signed.signature, _to_be_signed(signed.protected, signed.payload)):
        raise CoseError("the signature does not hold: the document was changed, or another key signed it")
    return signed.payload


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    structure: Any = ["Signature1", protected, b"", payload]
    return bytes(cbor2.dumps(structure))
