"""Evidence: integers that are the same in any order, batch and grouping; bytes that say when they were flipped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defects.evidence import (
    EMPTY,
    Deltas,
    fold,
    merge,
    pack,
    pack_block,
    split_tally,
    tally,
    to_block,
    unpack,
    unpack_block,
)
from defects.planes import DEVICES, OR_PLANES

PLANES = (0, 9, 20, 21, DEVICES, 25, 41)
ENTRY = st.tuples(st.integers(0, 30), st.sampled_from(PLANES), st.integers(-(2**40), 2**40))
PARTS = st.lists(st.lists(ENTRY, max_size=12), min_size=1, max_size=6)


def deltas(entries: list[tuple[int, int, int]]) -> Deltas:
    cell, plane, value = (np.array(v) for v in zip(*entries, strict=True)) if entries else ([], [], [])
    bits = np.isin(plane, OR_PLANES)
    value = np.where(bits, np.abs(np.asarray(value, dtype=np.int64)), value)
    return Deltas(np.asarray(cell, np.int64), np.asarray(plane, np.uint8), np.asarray(value, np.int64))


def same(a: Deltas, b: Deltas) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.cell, b.cell), (a.plane, b.plane), (a.value, b.value)))


@settings(max_examples=100, deadline=None)
@given(PARTS, st.randoms(use_true_random=False))
def test_any_order_and_grouping_gives_the_same_integers(parts: list[list[tuple[int, int, int]]], random) -> None:  # type: ignore[no-untyped-def]
    plain = merge([deltas(p) for p in parts])
    random.shuffle(parts)
    cut = random.randint(0, len(parts))
    grouped = merge([merge([deltas(p) for p in parts[:cut]]), merge([deltas(p) for p in parts[cut:]])])
    assert same(plain, grouped)
    slow: dict[tuple[int, int], int] = {}
    for part in parts:
        for cell, plane, value in part:
            key = (cell, plane)
            slow[key] = slow.get(key, 0) | abs(value) if plane in OR_PLANES else slow.get(key, 0) + value
    assert slow == {(c, p): v for c, p, v in zip(plain.cell, plain.plane, plain.value, strict=True)}


@settings(max_examples=50, deadline=None)
@given(PARTS)
def test_folds_commute_and_zero_sums_stay(parts: list[list[tuple[int, int, int]]]) -> None:
    blocks = []
    for part in parts:
        one = merge([deltas(part)])
        blocks.append(to_block(one.cell, one.plane, one.value))
    forward, backward = EMPTY, EMPTY
    for block in blocks:
        forward = fold(forward, block)
    for block in reversed(blocks):
        backward = fold(block, backward)
    assert np.array_equal(forward.key, backward.key)
    assert np.array_equal(forward.value, backward.value)
    assert set(forward.key.tolist()) == {int(k) for b in blocks for k in b.key}


@settings(max_examples=30, deadline=None)
@given(st.lists(ENTRY, max_size=20))
def test_bytes_come_back(entries: list[tuple[int, int, int]]) -> None:
    one = merge([deltas(entries)])
    assert same(one, unpack(pack(one)))
    block = to_block(one.cell, one.plane, one.value)
    back = unpack_block(pack_block(block))
    assert np.array_equal(block.key, back.key)
    assert np.array_equal(block.value, back.value)


def test_a_flipped_or_missing_byte_is_named() -> None:
    one = merge([deltas([(1, 0, 5), (2, 9, 7)])])
    for data, read in ((pack(one), unpack), (pack_block(to_block(one.cell, one.plane, one.value)), unpack_block)):
        for broken in (data[:-1], bytes([data[0] ^ 1]) + data[1:], data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]):
            with pytest.raises(ValueError, match="fsck"):
                read(broken)


def test_hits_and_severity_share_a_number_and_add() -> None:
    total = np.array([tally(1, 1.5) + tally(1, 3.0) + tally(1, 1.0), 0])
    hits, severity = split_tally(total)
    assert hits.tolist() == [3, 0]
    assert severity == pytest.approx([5.5 / 3, 0.0], abs=0.01)
