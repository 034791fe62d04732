"""What a day's passes earn: the pie of a square, who shares it, and what earns nothing by name."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.points import (
    MEANING,
    NANOBITS,
    Earned,
    Rules,
    Square,
    Why,
    Witness,
    divergence_bits,
    points_of,
    share,
    witnesses_of,
)
from ledger.points_settle import within_budget

RULES = Rules()
PRIOR = math.log(0.0016 / 0.9984)
SILENCE = 0.255
NONE = np.zeros(1024, bool)


def square(**more: object) -> Square:
    base = Square(np.full(1024, PRIOR), SILENCE, NONE, NONE, NONE)
    return replace(base, **more)  # type: ignore[arg-type]


def at(*cells: int) -> np.ndarray:
    out = np.zeros(1024, bool)
    out[list(cells)] = True
    return out


def witness(account: str, passed: Sequence[int] = (), felt: Sequence[int] = (), *, minute: bytes | None = None,
            quality_pct: int = 100, says: float = 6.0, counts: bool = True, known: bool = True) -> Witness:  # fmt: skip
    went = at(*passed, *felt)
    minutes = frozenset([account.encode() if minute is None else minute])
    return Witness(account, quality_pct, minutes, went, went & counts, np.where(at(*felt), says, 0.0), known)


def pay(ws: Sequence[Witness], of: Square | None = None, rules: Rules = RULES) -> dict[str, Earned]:
    earned: dict[str, Earned] = defaultdict(Earned)
    share(of or square(), ws, rules, earned)
    return earned


def one_quiet() -> int:
    """What a quiet square is worth that somebody else passed too, by hand."""
    p0 = 0.0016
    odds = p0 / (1 - p0) * math.exp(-SILENCE)
    p1 = odds / (1 + odds)
    return math.floor((p1 * math.log2(p1 / p0) + (1 - p1) * math.log2((1 - p1) / (1 - p0))) * NANOBITS)


def test_divergence_is_that_of_two_beliefs_and_never_negative() -> None:
    p, q = 0.88, 0.0016
    by_hand = p * math.log2(p / q) + (1 - p) * math.log2((1 - p) / (1 - q))
    logit = lambda x: np.array([math.log(x / (1 - x))])  # noqa: E731
    assert divergence_bits(logit(q), logit(p))[0] == pytest.approx(by_hand)
    assert divergence_bits(logit(q), logit(q))[0] == 0
    assert divergence_bits(np.array([-700.0]), np.array([700.0]))[0] == pytest.approx(700 / math.log(2), rel=1e-3)


def test_its_expectation_is_the_entropy_that_is_removed_and_a_first_discovery_owes_nothing() -> None:
    """The reason for the formula: of a square with p = .0016, and a phone that feels 22 % of what is there and nothing
    else; over both outcomes."""
    p, feels = 0.0016, 0.225
    silent = p * (1 - feels) / (1 - p * feels)

    def entropy(x: float) -> float:
        return -x * math.log2(x) - (1 - x) * math.log2(1 - x)

    removed = entropy(p) - (1 - p * feels) * entropy(silent)  # felt: certain, entropy 0
    odds = np.log(np.array([p / (1 - p)]))
    calm = divergence_bits(odds, np.array([math.log(silent / (1 - silent))]))[0]
    sure = -math.log2(p)
    assert p * feels * sure + (1 - p * feels) * calm == pytest.approx(removed, rel=1e-6)
    doubtful = 0.3  # after one jolt: less certain than before, and the most valuable thing of the day
    assert entropy(p) - entropy(doubtful) < 0
    assert divergence_bits(odds, np.array([math.log(doubtful / (1 - doubtful))]))[0] > 1


def test_one_who_is_confirmed_earns_the_whole_pie_of_a_quiet_square() -> None:
    earned = pay([witness("a", [5])], square(box_passed=at(5)))
    assert earned["a"].nanobits == one_quiet()
    assert (earned["a"].quiet_squares, dict(earned["a"].refused)) == (1, {})


def test_who_passes_alone_is_paid_a_part_and_told() -> None:
    earned = pay([witness("a", [5])])
    assert earned["a"].nanobits == one_quiet() * RULES.alone_pct // 100
    assert earned["a"].refused == {"alone": 1}


@pytest.mark.parametrize("n", [2, 3, 100])
def test_many_who_agree_earn_together_what_one_would(n: int) -> None:
    for felt in (False, True):
        ws = [witness(f"a{i}", [] if felt else [5], [5] if felt else []) for i in range(n)]
        earned = pay(ws)
        whole = NANOBITS // 10 if felt else one_quiet()
        parts = {e.nanobits for e in earned.values()}
        assert parts == {whole // n}, "each the same part, whatever the order"


def test_a_dashboard_full_of_phones_is_one_witness_and_confirms_nothing() -> None:
    farm = [witness(f"f{i}", [5], [9], minute=b"same") for i in range(100)]
    earned = pay(farm)
    assert sum(e.nanobits for e in earned.values()) <= one_quiet() * RULES.alone_pct // 100
    assert all(e.refused["nobody_agreed"] == 1 for e in earned.values()), "they felt it together: that is one word"
    beside = pay([*farm, witness("honest", [5])])
    assert beside["honest"].nanobits == one_quiet() // 2
    assert sum(e.nanobits for a, e in beside.items() if a != "honest") <= one_quiet() // 2
    assert beside["f0"].refused["travelled_together"] == 1


def test_who_travels_with_one_is_together_with_all_of_them() -> None:
    minutes = [frozenset(b"%d" % m for m in ms) for ms in ((1, 2), (2, 3), (3, 4), (7, 8))]
    assert witnesses_of(minutes, 50) == [0, 0, 0, 3]
    assert witnesses_of(minutes, 51) == [0, 1, 2, 3]
    assert witnesses_of([frozenset(), frozenset()], 50) == [0, 1]


def test_what_one_felt_and_others_did_not_earns_nothing_and_says_so() -> None:
    earned = pay([witness("a", [], [5]), witness("b", [5])])
    assert earned["a"].nanobits == 0
    assert earned["a"].refused == {"others_disagreed": 1}
    assert earned["b"].nanobits > 0, "who was quiet there is not punished for it"


def test_what_two_felt_is_agreed_and_whoever_felt_nothing_gets_no_part() -> None:
    earned = pay([witness("a", [], [5]), witness("b", [], [5]), witness("c", [5])])
    assert earned["a"].nanobits == earned["b"].nanobits == NANOBITS // 10 // 2
    assert earned["c"].nanobits == 0
    assert earned["c"].refused == {"others_disagreed": 1}
    assert earned["a"].refused == {"cell_full": 1}


def new(account: str, passed: Sequence[int] = (), felt: Sequence[int] = ()) -> Witness:
    """A phone that joined lately."""
    return witness(account, passed, felt, known=False)


def test_ten_new_phones_cannot_invent_a_hole_by_agreeing() -> None:
    earned = pay([new(f"n{i}", [], [5]) for i in range(10)])
    assert {(e.nanobits, tuple(e.refused.items())) for e in earned.values()} == {(0, (("not_vouched", 1),))}
    beside_one = pay([witness("k", [], [5]), *(new(f"n{i}", [], [5]) for i in range(10))])
    assert sum(e.nanobits for e in beside_one.values()) == 0, "one known phone does not vouch either"
    assert beside_one["k"].refused == {"not_vouched": 1}


@pytest.mark.parametrize("who", ["box", "person", "two known"])
def test_where_somebody_vouches_new_phones_have_one_part_together(who: str) -> None:
    crowd = [new(f"n{i}", [], [5]) for i in range(10)]
    of, known = square(), []
    if who == "box":
        of = square(box_felt=at(5))
    elif who == "person":
        of = square(reports={5: ["r"]})
    else:
        known = [witness("k", [], [5]), witness("l", [], [5])]
    one, ten = pay([*known, crowd[0]], of), pay([*known, *crowd], of)
    assert 0 < sum(ten[w.account].nanobits for w in crowd) <= one["n0"].nanobits
    for account in ("k", "l", "r"):
        assert ten[account].nanobits == one[account].nanobits, "who is known loses nothing to phones by the dozen"


def test_a_dozen_new_phones_take_no_more_of_a_quiet_street_than_one() -> None:
    known = [witness("k", [5]), witness("l", [5])]
    crowd = [new(f"n{i}", [5]) for i in range(12)]
    one, many = pay([*known, crowd[0]]), pay([*known, *crowd])
    assert sum(many[w.account].nanobits for w in crowd) <= one["n0"].nanobits == one_quiet() // 3
    assert many["k"].nanobits == one_quiet() // 3


def test_new_phones_that_pass_one_behind_the_other_are_paid_as_one_that_is_alone() -> None:
    for also in ([], [witness("k", [5])]):
        earned = pay([*also, *(new(f"n{i}", [5]) for i in range(10))])
        assert sum(e.nanobits for e in earned.values()) <= one_quiet() * RULES.alone_pct // 100
        assert earned["n0"].refused == {"alone": 1}


def test_new_phones_beside_a_known_one_do_not_borrow_its_voice() -> None:
    """A farm that covers every minute is beside whoever drives there."""
    known = [witness("k", [5], minute=b"1"), witness("l", [], [5], minute=b"2")]
    farm = [witness(f"n{i}", [], [5], minute=b"1", known=False) for i in range(10)]
    earned = pay([*known, *farm])
    assert all(earned[w.account].nanobits == 0 for w in farm), "one known phone felt it, not two"
    same = [witness("k", [5]), witness("m", [5]), *(witness(f"n{i}", [5], minute=b"k", known=False) for i in range(10))]
    beside = pay(same)
    assert beside["k"].nanobits == one_quiet() // 2, "and they take nothing of its part"
    assert beside["n0"].refused == {"travelled_together": 1}


def test_new_phones_do_not_tie_two_known_ones_into_one_witness() -> None:
    minutes = [frozenset(b"%d" % m for m in ms) for ms in ((1, 2), (2, 3), (3, 4))]
    ws = [replace(witness(a, [], [5], known=a != "n"), minutes=m) for a, m in zip("knl", minutes, strict=True)]
    assert pay(ws)["k"].nanobits == NANOBITS // 10 // 2


def test_a_hole_that_as_many_known_phones_passed_quietly_is_not_one() -> None:
    felt = [witness("a", [], [5]), witness("b", [], [5]), new("n", [], [5])]
    calm = [witness("c", [5]), witness("d", [5])]
    earned = pay([*felt, *calm])
    assert all(earned[w.account].refused == {"others_disagreed": 1} for w in felt)
    assert pay([*felt, calm[0]])["a"].nanobits > 0
    strangers = [new(f"m{i}", [5]) for i in range(9)]
    assert pay([*felt, calm[0], *strangers])["a"].nanobits > 0, "new phones cannot deny it by their number"
    boxed = pay(felt[:1], square(box_passed=at(5)))
    assert boxed["a"].refused == {"others_disagreed": 1}
    assert pay([*felt, *calm], square(box_felt=at(5)))["a"].nanobits > 0, "a box feels what phones miss"
    assert pay(calm, square(reports={5: ["r"]}))["r"].nanobits > 0, "and a person has looked"


def test_devices_of_one_vehicle_do_not_speak_against_each_other() -> None:
    pair = [witness("a", [], [5], minute=b"car"), witness("b", [5], minute=b"car")]
    assert pay([*pair, witness("c", [], [5]), witness("d", [5])])["a"].nanobits > 0


def test_new_phones_do_not_change_what_a_vouched_square_is_worth() -> None:
    calm_rules = replace(RULES, most_bits_cell_pct=10_000)
    known = [witness("k", [], [5]), witness("l", [], [5])]
    liars = [witness(f"n{i}", [], [5], known=False, says=0.1) for i in range(10)]
    alone, beside = pay(known, rules=calm_rules), pay([*known, *liars], rules=calm_rules)
    assert beside["k"].nanobits == alone["k"].nanobits * 2 // 3


def test_doubt_that_was_invented_yesterday_is_not_cleared_for_money_today() -> None:
    doubtful = square(before=np.full(1024, 2.0))
    most = RULES.most_nanobits_alone * RULES.alone_pct // 100
    assert pay([new("n", [5])], doubtful)["n"].nanobits <= most
    assert pay([witness("k", [5]), witness("l", [5])], doubtful)["k"].nanobits > 10 * most


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sets(st.integers(0, 2)), st.sets(st.integers(0, 2))), min_size=1, max_size=6),
       st.lists(st.tuples(st.sets(st.integers(0, 2)), st.sets(st.integers(0, 2))), max_size=3))  # fmt: skip
def test_however_new_phones_agree_they_earn_together_no_more_than_their_squares_pay_one(
    fakes: list[tuple[set[int], set[int]]], honest: list[tuple[set[int], set[int]]]
) -> None:
    """Square by square: however they split it, no more than the best that one of them could have done there."""
    known = [witness(f"k{i}", sorted(p), sorted(f)) for i, (p, f) in enumerate(honest)]
    for cell in range(3):
        mine = [new(f"n{i}", sorted({cell} & p), sorted({cell} & f)) for i, (p, f) in enumerate(fakes)]
        together = sum(pay([*known, *mine])[w.account].nanobits for w in mine)
        best = max(pay([*known, new("one", p, f)])["one"].nanobits for p, f in (([], []), ([cell], []), ([], [cell])))
        assert together <= best


def test_a_box_confirms_and_takes_no_part() -> None:
    assert pay([witness("a", [], [5])], square(box_felt=at(5)))["a"].nanobits == NANOBITS // 10


def test_a_device_that_is_half_believed_gets_half_and_nobody_the_rest() -> None:
    earned = pay([witness("a", [5], quality_pct=50), witness("b", [5])])
    assert earned["b"].nanobits == one_quiet() // 2
    assert earned["a"].nanobits == one_quiet() // 2 // 2


def test_what_is_known_already_teaches_nothing() -> None:
    earned = pay([witness("a", [5])], square(before=np.full(1024, -40.0), box_passed=at(5)))
    assert (earned["a"].nanobits, earned["a"].refused) == (0, {"nothing_new": 1})
    known = pay([witness("a", [], [5]), witness("b", [], [5])], square(harmless=at(5)))
    assert (known["a"].nanobits, known["a"].refused) == (0, {"known_object": 1})


def test_silence_on_two_wheels_says_nothing_and_a_jolt_there_does() -> None:
    earned = pay([witness("a", [5], [6], counts=False), witness("b", [], [6])])
    assert earned["a"].refused["carrier"] == 1
    assert earned["a"].nanobits > 0


def test_reports_that_hold_are_paid_like_a_pass_that_was_confirmed_and_share_with_it() -> None:
    alone = pay([], square(reports={7: ["r"]}))
    assert alone["r"].nanobits == NANOBITS // 10
    both = pay([witness("a", [], [7])], square(reports={7: ["r", "s"]}))
    assert {e.nanobits for e in both.values()} == {NANOBITS // 10 // 3}


def test_a_day_has_a_bound_and_less_than_a_point_is_none() -> None:
    rich, poor = Earned(nanobits=3 * NANOBITS), Earned(nanobits=NANOBITS // 10_001)
    assert points_of(rich, RULES) == 10_000
    assert rich.refused == {"day_full": 20_000}
    assert points_of(poor, RULES) == 0
    assert poor.refused == {"less_than_a_point": 1}


@given(st.lists(st.integers(0, 10**6), max_size=30), st.integers(0, 10**6))
def test_the_budget_cuts_all_by_one_factor_and_is_never_exceeded(wanted: list[int], budget: int) -> None:
    paid = within_budget(wanted, budget)
    assert sum(paid) <= budget or sum(wanted) <= budget
    assert sum(paid) <= sum(wanted)
    assert all(p <= w for p, w in zip(paid, wanted, strict=True))
    assert all((a <= b) == (c <= d) or c == d for a, c in zip(wanted, paid, strict=True)
               for b, d in zip(wanted, paid, strict=True))  # fmt: skip
    assert within_budget(wanted[::-1], budget) == paid[::-1]
    if sum(wanted) > budget:
        assert sum(paid) > budget - max(len(wanted), 1)


@given(st.permutations(range(5)))
def test_the_order_of_devices_makes_no_difference(order: list[int]) -> None:
    ws = [witness("a", [1, 2]), witness("b", [2], [3]), witness("c", [3], [4], minute=b"b"), witness("d", [], [3]),
          witness("e", [1, 2, 3, 4], quality_pct=50)]  # fmt: skip
    straight, mixed = pay(ws), pay([ws[i] for i in order])
    assert {a: (e.nanobits, dict(e.refused)) for a, e in straight.items()} == {
        a: (e.nanobits, dict(e.refused)) for a, e in mixed.items()
    }


def test_every_reason_has_a_meaning_and_the_rules_have_a_hash_that_hangs_on_all_of_them() -> None:
    assert set(MEANING) == set(Why)
    assert Rules().sha256 == RULES.sha256
    assert replace(RULES, alone_pct=26).sha256 != RULES.sha256
