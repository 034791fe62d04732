"""Whatever happens on the way, the evidence is that of one sorted pass over the chunks: on a real database, by steps
drawn at random; and apart, for shards that fold side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from defects import store
from defects.carry import Carry
from defects.evidence import BlockEvidence, Deltas, by_block, fold_in, merge, parted
from defects.planes import DEVICES, EXPOSURE_BOX, HIT_DEVICES, LOGODDS, NAMED, OR_PLANES, PASSES, TALLY
from grid import Zone, blocks_of, cells_at
from ingest import store as ingest_store

DAYS = (date(2026, 5, 1), date(2026, 5, 2))
CHUNKS = 14
Evidence = dict[tuple[int, date], tuple[bytes, bytes]]


class Abandoned(Exception):
    """A process died: what it had not committed is gone."""


def chunk(number: int) -> tuple[date, Deltas]:
    """What a chunk says, always the same: a strip of squares; a third find something, a fifth are of another day."""
    rng = np.random.default_rng(number)
    x = 499_990.0 + rng.integers(0, 90) + np.arange(rng.integers(1, 50))
    cells = np.unique(cells_at(x, np.full(len(x), 3_780_000.0 + rng.integers(0, 40)), Zone(49)))
    slot = 1 << int(rng.integers(0, 63))
    parts = [
        (PASSES, np.ones(len(cells), np.int64)),
        (DEVICES, np.full(len(cells), slot)),
        (EXPOSURE_BOX, rng.integers(0, 60_000, len(cells))),
    ]
    if number % 3 == 0:
        few = len(cells) // 2 + 1
        wide = np.iinfo(np.int64).max >> 8
        parts += [(LOGODDS, rng.integers(0, wide, few)), (NAMED, rng.integers(-wide, wide, few))]
        parts += [(TALLY, np.full(few, (1 << 32) + 300)), (HIT_DEVICES, np.full(few, slot))]
    said = [Deltas(cells[: len(v)], np.full(len(v), plane, np.uint8), np.asarray(v, np.int64)) for plane, v in parts]
    return DAYS[number % 5 == 4], merge(said)


SAID = [chunk(n) for n in range(CHUNKS)]


@cache
def sums(numbers: frozenset[int]) -> Evidence:
    """The one sorted pass."""
    by_day: dict[date, list[Deltas]] = defaultdict(list)
    for n in sorted(numbers):
        by_day[SAID[n][0]].append(SAID[n][1])
    return {(b, day): bits(e) for day, parts in by_day.items() for b, e in slow(parts).items()}


def slow(parts: list[Deltas]) -> dict[int, BlockEvidence]:
    """Added up number by number in Python: nothing of what is tested is used."""
    total: dict[int, dict[int, int]] = defaultdict(dict)
    for part in parts:
        for cell, plane, value in zip(part.cell.tolist(), part.plane.tolist(), part.value.tolist(), strict=True):
            block = total[int(blocks_of(cell))]
            key = ((cell >> 20) % 32 * 32 + cell % 32) * 64 + plane
            block[key] = block.get(key, 0) | value if plane in OR_PLANES else block.get(key, 0) + value
    return {
        block: BlockEvidence(np.array(sorted(of), np.uint16), np.array([of[k] for k in sorted(of)], np.int64))
        for block, of in total.items()
    }


def bits(evidence: BlockEvidence) -> tuple[bytes, bytes]:
    return evidence.key.astype("<u2").tobytes(), evidence.value.astype("<i8").tobytes()


class Traffic(RuleBasedStateMachine):
    """Batches, repeats, folds and deaths in any order."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.conn: psycopg.Connection[Any] = psycopg.connect(self.url, autocommit=True)
        self.conn.execute("TRUNCATE seen, pass, journal, evidence, carry")
        self.taken: set[int] = set()

    def teardown(self) -> None:
        try:
            self._append(range(CHUNKS))
            while store.journal_rows(self.conn):
                self._fold(3, 0.0)
            assert self._stored() == sums(frozenset(range(CHUNKS)))
        finally:
            self.conn.close()

    def _append(self, numbers: Sequence[int], dies: bool = False) -> None:
        by_day: dict[date, list[int]] = defaultdict(list)
        with self.conn.transaction():
            keys = {(SAID[n][0], "box-1", "trip", n): n for n in numbers}
            fresh = [keys[key] for key in ingest_store.note_keys(self.conn, keys)]
            for n in fresh:
                by_day[SAID[n][0]].append(n)
            for day, ones in sorted(by_day.items()):
                blocks = {n: store.blocks_of_deltas(SAID[n][1]) for n in ones}
                store.append_journal(self.conn, day, merge([SAID[n][1] for n in ones]), blocks)
            if dies:
                raise Abandoned
        self.taken |= set(fresh)

    def _fold(self, most: int, quiet_s: float, dies: bool = False) -> None:
        with self.conn.transaction():
            taken = store.take_journal(self.conn, most, quiet_s)
            touched = {b for parts in taken.values() for p in parts for b in store.blocks_of_deltas(p)}
            store.put_evidence(self.conn, fold_in(taken, store.evidence_of(self.conn, touched, taken)))
            if dies:
                raise Abandoned

    def _stored(self) -> Evidence:
        blocks = {block for block, _ in store.evidence_keys(self.conn)}
        found = store.evidence_of(self.conn, blocks)
        return {(block, day): bits(e) for block, days in found.items() for day, e in days.items()}

    @rule(numbers=st.lists(st.integers(0, CHUNKS - 1), min_size=1, max_size=6), dies=st.booleans())
    def batch(self, numbers: list[int], dies: bool) -> None:
        """In any order, chunks that were there before among them; a worker may die before it commits."""
        try:
            self._append(numbers, dies)
        except Abandoned:
            assert dies

    @rule(most=st.integers(1, 4), quiet_s=st.sampled_from((0.0, 3600.0)), dies=st.booleans())
    def fold(self, most: int, quiet_s: float, dies: bool) -> None:
        try:
            self._fold(most, quiet_s, dies)
        except Abandoned:
            assert dies

    @rule()
    def sweep(self) -> None:
        store.sweep_journal(self.conn)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        """What is folded and what waits is together what was taken."""
        blocks = {block for block, _ in store.evidence_keys(self.conn)}
        stored = store.evidence_of(self.conn, blocks)
        waiting = fold_in(store.read_journal(self.conn), stored)
        whole = self._stored() | {key: bits(e) for key, e in waiting.items()}
        assert whole == sums(frozenset(self.taken))


def test_evidence_is_that_of_one_sorted_pass_whatever_happens_on_the_way(database: str) -> None:
    class Here(Traffic):
        url = database

    # Kills mid-way are the rule `dies`; `tests/faults` kills real processes.
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=10, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_what_found_nothing_waits_and_what_found_something_does_not(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        day, said = SAID[0]
        blocks = {0: store.blocks_of_deltas(said)}
        store.append_journal(conn, day, said, blocks)
        found, quiet = (part for part, _ in parted(said))
        assert not set(store.blocks_of_deltas(found)) & set(store.blocks_of_deltas(quiet))
        (taken,) = store.take_journal(conn, 10, quiet_s=3600.0)[day]
        assert by_block(taken).keys() == by_block(found).keys()
        assert store.take_journal(conn, 10, quiet_s=3600.0) == {}
        # A pass is told as folded by block: of the quiet ones it is not yet.
        waiting = {r[0] for r in conn.execute("SELECT blk FROM pass JOIN journal ON journal.id = pass.journal")}
        assert waiting == set(store.blocks_of_deltas(quiet))
        (taken,) = store.take_journal(conn, 10, quiet_s=0.0)[day]
        assert by_block(taken).keys() == by_block(quiet).keys()


def test_so_many_quiet_rows_as_a_fold_takes_wait_no_longer(database: str) -> None:
    quiet = [n for n in range(CHUNKS) if n % 3 and n % 5 != 4][:3]
    with psycopg.connect(database, autocommit=True) as conn:
        for n in quiet:
            assert store.take_journal(conn, len(quiet), quiet_s=3600.0) == {}
            store.append_journal(conn, *SAID[n], {n: store.blocks_of_deltas(SAID[n][1])})
        assert len(store.take_journal(conn, len(quiet), quiet_s=3600.0)[DAYS[0]]) == len(quiet)


def test_late_evidence_takes_away_the_state_that_was_carried_over_it(database: str) -> None:
    day, said = next(one for one in SAID if len(store.blocks_of_deltas(one[1])) > 1)
    blocks = by_block(said)
    asof = {block: day + timedelta(days=n - 1) for n, block in enumerate(blocks)}
    with psycopg.connect(database, autocommit=True) as conn:
        carried = {b: Carry(d, np.array([3, 700], np.uint32), np.array([-5, 9], np.int32)) for b, d in asof.items()}
        store.put_carry(conn, carried)
        back = store.carry_of(conn, blocks)
        assert {b: (c.asof, c.key.tolist(), c.value.tolist()) for b, c in back.items()} == {
            b: (d, [3, 700], [-5, 9]) for b, d in asof.items()
        }
        store.put_evidence(conn, {(block, day): e for block, e in blocks.items()})
        assert set(store.carry_of(conn, blocks)) == {b for b, d in asof.items() if d < day}
        after = store.evidence_after(conn, asof)
        assert {b: set(days) for b, days in after.items()} == {b: {day} for b, d in asof.items() if d < day}


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(CHUNKS)), st.integers(1, 4), st.lists(st.integers(0, CHUNKS), max_size=4), st.booleans())
def test_shards_that_fold_side_by_side_give_the_same_bits(
    order: list[int], shards: int, cuts: list[int], apart: bool
) -> None:
    """Chunks in any order, cut into batches, each batch's deltas dealt to the shard of their block, each shard folded
    on its own: joined, it is the one sorted pass."""
    stored: list[dict[int, dict[date, BlockEvidence]]] = [{} for _ in range(shards)]
    edges = [0, *sorted(cuts), CHUNKS]
    for a, b in pairwise(edges):
        for day in DAYS:
            batch = merge([SAID[n][1] for n in order[a:b] if SAID[n][0] == day])
            for part in [p for p, _ in parted(batch)] if apart else [batch]:
                for shard in range(shards):
                    mine = blocks_of(part.cell) * 2_654_435_761 % (1 << 32) % shards == shard
                    dealt = Deltas(part.cell[mine], part.plane[mine], part.value[mine])
                    for (block, d), e in fold_in({day: [dealt]}, stored[shard]).items():
                        stored[shard].setdefault(block, {})[d] = e
    assert all(not set(x) & set(y) for i, x in enumerate(stored) for y in stored[:i]), "a block has one shard"
    joined = {(b, day): bits(e) for shard in stored for b, days in shard.items() for day, e in days.items()}
    assert joined == sums(frozenset(range(CHUNKS)))
