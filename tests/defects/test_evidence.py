"""Evidence: integers that are the same in any order, batch and grouping; bytes that say when they were flipped."""

from __future__ import annotations

import zlib
from datetime import date

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from defects.code import pack_codes, unknown_codes, unpack_codes
from defects.evidence import (
    EMPTY,
    QUIET_PLANES,
    Deltas,
    by_block,
    fold,
    fold_in,
    merge,
    pack,
    pack_block,
    parted,
    split_tally,
    tally,
    to_block,
    unpack,
    unpack_block,
)
from defects.packing import pack_blocks, unpack_blocks
from defects.planes import DEVICES, EXPOSURE_BOX, OR_PLANES, PASSES
from grid import Zone, blocks_of, cells_at

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


def city_deltas(seed: int, n: int = 400) -> Deltas:
    """Squares of many blocks and of two levels, values over the whole range."""
    rng = np.random.default_rng(seed)
    x, y = 4e5 + rng.integers(0, 300, n), 3.8e6 + rng.integers(0, 300, n)
    cell = np.concatenate(
        [cells_at(x[: n // 2], y[: n // 2], Zone(49)), cells_at(x[n // 2 :], y[n // 2 :], Zone(49), 1)]
    )
    wide = np.iinfo(np.int64)
    return merge([Deltas(cell, rng.integers(0, 64, n).astype(np.uint8), rng.integers(wide.min, wide.max, n))])


@pytest.mark.parametrize("seed", range(5))
def test_a_journal_row_comes_back_block_by_block(seed: int) -> None:
    one = city_deltas(seed)
    back = unpack(pack(one))
    blocks = blocks_of(back.cell)
    order = np.lexsort((back.plane, back.cell, blocks))
    assert np.array_equal(order, np.arange(len(order))), "sorted by block, cell and plane"
    assert same(one, merge([back]))


@pytest.mark.parametrize("seed", range(5))
def test_compiled_and_numpy_write_and_read_the_same_bytes(seed: int) -> None:
    blocks = [*by_block(city_deltas(seed)).values(), EMPTY]
    rows = [pack_block(e) for e in blocks]
    assert pack_blocks(blocks) == rows
    for a, b, c in zip(blocks, unpack_blocks(rows), map(unpack_block, rows), strict=True):
        assert np.array_equal(a.key, b.key)
        assert np.array_equal(a.key, c.key)
        assert np.array_equal(a.value, b.value)
        assert np.array_equal(a.value, c.value)
    with pytest.raises(ValueError, match="fsck"):
        unpack_blocks([*rows, rows[0][:-2]])


def test_rows_written_before_layouts_had_numbers_still_unpack() -> None:
    one = city_deltas(1)
    old = zlib.compress(one.cell.tobytes() + one.value.tobytes() + one.plane.tobytes(), 1)
    assert same(one, unpack(old))
    for block in by_block(one).values():
        row = zlib.compress(block.key.astype("<u2").tobytes() + block.value.tobytes(), 1)
        for back in (unpack_block(row), *unpack_blocks([row])):
            assert np.array_equal(back.key, block.key)
            assert np.array_equal(back.value, block.value)
    codes = unknown_codes()
    codes["passes"][7] = 3
    for stored in (zlib.compress(codes.tobytes(), 1), pack_codes(codes)):
        assert unpack_codes(stored).tobytes() == codes.tobytes()


def test_a_fold_of_many_rows_is_a_fold_of_each_and_leaves_other_days_alone() -> None:
    day, other = date(2026, 5, 1), date(2026, 5, 2)
    first, *rest = (city_deltas(seed) for seed in range(4))
    stored = {block: {day: e, other: EMPTY} for block, e in by_block(first).items()}
    folded = fold_in({day: [unpack(pack(d)) for d in rest], other: []}, stored)
    assert {d for _, d in folded} == {day}
    whole = by_block(merge([first, *rest]))
    touched = set().union(*(by_block(d) for d in rest))
    assert {block for block, _ in folded} == touched
    for block in touched:
        slow = stored.get(block, {}).get(day, EMPTY)
        for part in rest:
            slow = fold(slow, by_block(part).get(block, EMPTY))
        for e in (slow, whole[block]):
            assert np.array_equal(folded[block, day].key, e.key)
            assert np.array_equal(folded[block, day].value, e.value)


def test_a_finding_takes_its_whole_block_along_and_no_other() -> None:
    one = city_deltas(3)
    quiet = np.isin(one.plane, QUIET_PLANES)
    blocks = blocks_of(one.cell)
    parts = {found: part for part, found in parted(one)}
    assert set(blocks_of(parts[True].cell)) == set(blocks[~quiet])
    assert set(blocks_of(parts[False].cell)) == set(blocks) - set(blocks[~quiet])
    assert same(one, merge(list(parts.values())))
    assert [found for _, found in parted(Deltas(one.cell[quiet], one.plane[quiet], one.value[quiet]))] == [False]


def test_what_a_pass_says_takes_few_bytes() -> None:
    """A quiet pass over 120 squares in a row: exposure of two random bytes, and little more than that."""
    rng = np.random.default_rng(1)
    cell = cells_at(4e5 + np.arange(120), np.full(120, 3.8e6), Zone(49))
    told = ((PASSES, np.ones(120)), (DEVICES, np.full(120, 1 << 40)), (EXPOSURE_BOX, rng.integers(0, 1 << 16, 120)))
    one = merge([Deltas(cell, np.full(120, p, np.uint8), v.astype(np.int64)) for p, v in told])
    assert len(pack(one)) < 120 * 4
    assert sum(len(pack_block(e)) for e in by_block(one).values()) < 120 * 5


def test_a_row_whose_head_states_gigabytes_is_named_before_they_are_asked_for() -> None:
    flipped = bytearray(pack_block(to_block(np.arange(1024), np.full(1024, PASSES, np.uint8), np.arange(1024) * 7919)))
    flipped[1:] = zstandard.ZstdCompressor().compress(bytes(70_000))
    flipped[6 + 3] ^= 0x80  # the highest byte of the length that the frame's head states
    assert zstandard.frame_content_size(bytes(flipped[1:])) > 1 << 31
    with pytest.raises(ValueError, match="states a length"):
        unpack_block(bytes(flipped))


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
