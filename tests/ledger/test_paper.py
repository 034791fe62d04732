"""Numbers on paper: every slip of one symbol and every swap of two is found, and lookalikes are named."""

import itertools

import pytest

from ledger import paper

NUMBER = paper.number_of(123_456_789_012_345_678_901_234, paper.PAPER)


def test_a_number_reads_back_however_it_is_typed():
    said = paper.grouped(NUMBER)
    assert len(said.split("-")) == 6
    for typed in (said, said.lower(), said.replace("-", " "), f"  {NUMBER}\n"):
        assert paper.read_number(typed, paper.PAPER) == NUMBER
    assert paper.number_of(0, paper.CODE) != paper.number_of(1, paper.CODE)
    assert len(paper.grouped(paper.number_of(5, paper.CODE)).split("-")) == 3


def test_every_wrong_symbol_and_every_swap_is_found():
    tried = 0
    for place, other in itertools.product(range(len(NUMBER)), paper.ALPHABET):
        if other != NUMBER[place]:
            tried += 1
            with pytest.raises(paper.BadNumber, match="is wrong"):
                paper.read_number(NUMBER[:place] + other + NUMBER[place + 1 :], paper.PAPER)
    for i, j in itertools.combinations(range(len(NUMBER)), 2):
        swapped = list(NUMBER)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        if NUMBER[i] != NUMBER[j]:
            tried += 1
            with pytest.raises(paper.BadNumber, match="swapped"):
                paper.read_number("".join(swapped), paper.PAPER)
    assert tried > 600


@pytest.mark.parametrize("typed", ["", "ABC", NUMBER + "2", "O" + NUMBER[1:], NUMBER[:-1] + "1", "坑" * 18])
def test_what_is_no_number_of_ours_is_told_so(typed):
    with pytest.raises(paper.BadNumber, match="read it again"):
        paper.read_number(typed, paper.PAPER)


def test_numbers_are_wide_enough_and_hashes_know_their_purpose():
    assert paper.space(paper.PAPER) > 2**80
    assert paper.space(paper.CODE) > 2**54
    assert paper.hash_of(NUMBER, "paper") != paper.hash_of(NUMBER, "redemption")
    for outside in (-1, paper.space(paper.NAME)):
        with pytest.raises(ValueError, match="space"):
            paper.number_of(outside, paper.NAME)
