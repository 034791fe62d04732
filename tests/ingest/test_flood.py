"""Token buckets: what a device may send, and how much memory strangers can take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import MAX_BYTES, Buckets, Budget, cost_of


def test_a_burst_then_the_pace() -> None:
    buckets = Buckets(Budget(burst=5, per_s=2))
    assert [buckets.take("a", 100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert buckets.wait_s("a", 100.0) == pytest.approx(0.5)
    assert [buckets.take("a", 101.0) for _ in range(3)] == [True, True, False]
    assert buckets.take("b", 101.0), "every name has its own"
    assert [buckets.take("a", 1e9) for _ in range(6)] == [True] * 5 + [False], "never more than the burst"


def test_asking_how_long_takes_nothing() -> None:
    buckets = Buckets(Budget(burst=1, per_s=1))
    assert buckets.wait_s("a", 0.0) == 0
    assert len(buckets) == 0
    assert buckets.take("a", 0.0)


def test_a_clock_that_is_set_back_gives_nothing_and_locks_nobody_out() -> None:
    buckets = Buckets(Budget(burst=2, per_s=1))
    assert buckets.take("a", 1000.0)
    assert [buckets.take("a", 0.0) for _ in range(2)] == [True, False]
    assert buckets.take("a", 1.0)


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 30)), max_size=60), st.floats(1, 20), st.floats(0.01, 5)
)
def test_never_more_than_burst_and_pace_allow(asked: list[tuple[float, float]], burst: float, per_s: float) -> None:
    buckets = Buckets(Budget(burst, per_s))
    now_s = paid = 0.0
    for pause_s, cost in asked:
        now_s += pause_s
        paid += min(cost, burst) if buckets.take("a", now_s, cost) else 0.0
        assert paid <= burst + per_s * now_s + 1e-6
    assert buckets.take("a", now_s + burst / per_s + 1, 1e9), "what costs more than the burst can be paid too"


def test_memory_is_bounded_and_the_quietest_makes_room() -> None:
    buckets = Buckets(Budget(burst=1, per_s=1e-9), most=100)
    assert buckets.take("honest", 0.0)
    for number in range(99):
        buckets.take(f"stranger-{number}", 1.0)
    assert not buckets.take("honest", 2.0), "it is remembered, and now the newest"
    for number in range(1000):
        buckets.take(f"more-{number}", 3.0)
    assert len(buckets) == 100


def test_large_payloads_cost_more_and_honest_ones_one() -> None:
    assert [cost_of(n) for n in (0, 1, 60_000, 65_536)] == [1.0] * 4
    assert cost_of(MAX_BYTES) == 4.0


@pytest.mark.parametrize(("burst", "per_s"), [(0.5, 1), (1, 0), (float("nan"), 1), (1, float("nan"))])
def test_a_budget_that_nothing_can_pass_is_refused(burst: float, per_s: float) -> None:
    with pytest.raises(ValueError, match="budget"):
        Budget(burst, per_s)
