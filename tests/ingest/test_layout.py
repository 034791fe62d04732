"""Payloads of a known shape are compared, not parsed: what comes out must be what careful reading gives."""

import cbor2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import Refused, decode, encode, wire
from ingest.layout import MOST_LAYOUTS, Layouts, layout_of

from .chunks import START_S, box_chunk, chunks, fixes_at, same

SOME = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(data, known):
    """What `decode` says with these shapes known: a chunk, or reason and detail of a refusal."""
    before, wire._LAYOUTS = wire._LAYOUTS, known
    try:
        return decode(data)
    except Refused as refusal:
        return refusal.reason, refusal.detail
    finally:
        wire._LAYOUTS = before


def taught(*payloads):
    known = Layouts()
    for data in payloads:
        known.learn(data)
    return known


@SOME
@given(chunks(), st.data())
def test_a_known_shape_changes_nothing_whichever_bytes_are_flipped(chunk, data):
    good = encode(chunk)
    bad = bytearray(good)
    for at in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=3)):
        bad[at] ^= data.draw(st.integers(1, 255))
    for payload in (good, bytes(bad)):
        assert same(read(payload, taught(good)), read(payload, Layouts()))


@pytest.mark.parametrize("other", [
    {"trip": "20260302-\x00\x01\x02\x03\x04\x05\x06\x07"}, {"start": float("nan")}, {"seq": -1}, {"v": 2},
    {"start": START_S + 100}, {"rate": float("inf")},
])  # fmt: skip
def test_what_is_refused_when_read_in_full_is_refused_in_a_known_shape(other):
    good = encode(box_chunk(seq=1000))
    bad = cbor2.dumps(cbor2.loads(good) | other)
    told = read(bad, taught(good))
    assert isinstance(told, tuple)
    assert told == read(bad, Layouts())


def test_the_next_chunk_of_a_device_is_read_by_its_shape():
    """Else nothing would be wrong and everything slow."""
    known = taught(encode(box_chunk(seq=1000)))
    after = box_chunk(
        seq=1001, start_s=START_S + 5, end_s=START_S + 10, t0_s=START_S + 3,
        acc_counts=np.ones((900, 3), np.int16), fixes=fixes_at(START_S + 5 + np.arange(-2.0, 8.0)),
    )  # fmt: skip
    assert known.tree(encode(after)) is not None
    assert same(read(encode(after), known), after)
    assert known.tree(encode(box_chunk(seq=1001, carrier="car"))) is None, "the carrier is part of the shape"


def test_no_shape_is_made_of_what_varies_in_length():
    good = cbor2.loads(encode(box_chunk()))
    assert layout_of(cbor2.dumps(good | {"start": int(START_S)})) is None
    assert layout_of(cbor2.dumps(good | {"detections": []})) is None


def test_a_device_of_many_shapes_fills_no_memory():
    known = taught(*(encode(box_chunk(acc_counts=np.ones((700 + n, 3), np.int16))) for n in range(MOST_LAYOUTS + 40)))
    assert len(known._known) == MOST_LAYOUTS
