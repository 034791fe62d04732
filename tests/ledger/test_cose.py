"""Signed documents: our bytes are read by an independent library, and nothing but the one spelling is taken."""

from contextlib import suppress

import cbor2
import pytest
from cwt import COSE, COSEKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.cose import CoseError, read1, sign1, verify1
from ledger.keys import PublicKey, UnknownAlgorithm, pair_of
from ledger.records import RecordError, encode_plain

PAIR = pair_of(bytes(range(32)))


def test_an_independent_library_reads_ours() -> None:
    payload = encode_plain({1: "330106", 4: 1_700_000_000})
    data = sign1(payload, PAIR)
    theirs = COSEKey.new({1: 1, 2: PAIR.kid, 3: -8, -1: 6, -2: PAIR.key.public, 4: [2]})
    assert COSE.new().decode(data, theirs) == payload
    assert verify1(data, PAIR.key) == payload


@given(st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    signed = bytearray(sign1(b"what is said", PAIR))
    at = data.draw(st.integers(0, len(signed) - 1))
    signed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((CoseError, UnknownAlgorithm)):
        verify1(bytes(signed), PAIR.key)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_document_or_a_named_error(data: bytes) -> None:
    with suppress(CoseError):
        read1(data)


def test_another_spelling_is_refused() -> None:
    data = sign1(b"x", PAIR)
    with pytest.raises(CoseError, match="one spelling"):
        read1(data + b"\x00")
    protected = cbor2.dumps({4: PAIR.kid, 1: -8})
    with pytest.raises(CoseError, match="deterministic"):
        read1(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, b"x", bytes(64)])))


def test_another_algorithm_is_named() -> None:
    with pytest.raises(UnknownAlgorithm, match="-7"):
        PublicKey(bytes(32), alg=-7)
    protected = encode_plain({1: -7, 4: PAIR.kid})
    with pytest.raises(UnknownAlgorithm):
        verify1(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, b"x", bytes(64)])), PAIR.key)


def test_another_key_does_not_hold() -> None:
    with pytest.raises(CoseError, match="does not hold"):
        verify1(sign1(b"x", PAIR), pair_of(bytes(32)).key)


def test_a_float_has_no_place() -> None:
    with pytest.raises(RecordError):
        encode_plain({1: 1.5})  # type: ignore[dict-item]


def test_the_secret_is_not_shown() -> None:
    assert bytes(range(32)).hex() not in repr(PAIR)
