"""What a hub takes of a district's statement, and what not."""

from dataclasses import replace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.keys import pair_of
from ledger.statement import NeedsFingerprint, StatementError, merge_statement, read_statement, sign_statement
from ledger.trust import TrustedKey, fingerprint

DAY = 86_400
NOW = 1_795_500_000
ONE, TWO, THREE, FOREIGN = (pair_of(bytes([n]) * 32) for n in range(1, 5))


def key_of(pair, issuer="330105", **other):
    return TrustedKey(pair.kid, issuer, "Gongshu", pair.key, **{"from_s": NOW - DAY, "to_s": NOW + 9 * DAY} | other)


def says(keys, pairs, number=1, issuer="330105"):
    return read_statement(sign_statement(issuer, number, NOW, keys, pairs))


def known(*keys):
    return {key.kid: key for key in keys}


BEGUN = known(key_of(ONE))


def test_every_key_that_signed_is_named_and_checked():
    said = says([key_of(ONE), key_of(TWO)], [ONE, TWO])
    assert (said.issuer, said.name, said.number) == ("330105", "Gongshu", 1)
    assert said.signers == {ONE.kid, TWO.kid}
    good = sign_statement("330105", 1, NOW, [key_of(ONE)], [ONE])
    for place in range(0, len(good), 5):
        changed = bytearray(good)
        changed[place] ^= 1
        with pytest.raises(StatementError):
            read_statement(bytes(changed))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_by_name(data):
    with pytest.raises(StatementError):
        read_statement(data)


def test_copies_that_say_different_things_are_refused():
    one = cbor2.loads(sign_statement("330105", 1, NOW, [key_of(ONE), key_of(TWO)], [ONE]))
    two = cbor2.loads(sign_statement("330105", 2, NOW, [key_of(ONE), key_of(TWO)], [TWO]))
    with pytest.raises(StatementError, match="different things"):
        read_statement(cbor2.dumps(one + two))


def test_a_district_speaks_of_its_own_keys_alone():
    with pytest.raises(StatementError, match="own keys alone"):
        says([key_of(ONE), key_of(FOREIGN, "330106")], [ONE])


def test_a_district_that_nobody_knows_needs_a_person():
    said = says([key_of(ONE)], [ONE])
    with pytest.raises(NeedsFingerprint) as asked:
        merge_statement({}, 0, said, NOW)
    assert fingerprint(ONE.key) in str(asked.value)
    with pytest.raises(NeedsFingerprint):
        merge_statement({}, 0, said, NOW, [fingerprint(TWO.key)])
    typed = fingerprint(ONE.key).upper().replace(" ", "-")
    assert merge_statement({}, 0, said, NOW, [typed]) == BEGUN


def test_a_later_key_is_vouched_for_by_an_earlier_one():
    said = says([key_of(ONE, to_s=NOW + 3 * DAY), key_of(TWO)], [ONE, TWO], 2)
    after = merge_statement(BEGUN, 1, said, NOW)
    assert after[TWO.kid] == key_of(TWO)
    assert after[ONE.kid].to_s == NOW + 3 * DAY


def test_a_new_key_shows_that_its_secret_half_is_there():
    with pytest.raises(StatementError, match="has not signed"):
        merge_statement(BEGUN, 1, says([key_of(ONE), key_of(TWO)], [ONE], 2), NOW, [fingerprint(TWO.key)])


def test_a_stranger_s_key_does_not_get_in_beside_a_known_one():
    """Who writes the district's name and signs with a key of their own has no voice."""
    with pytest.raises(NeedsFingerprint):
        merge_statement(BEGUN, 1, says([key_of(TWO)], [TWO], 2), NOW)


def test_no_district_enters_a_key_for_another_or_takes_one_over():
    others = known(key_of(ONE), key_of(FOREIGN, "330106"))
    with pytest.raises(StatementError, match="of district 330106"):
        merge_statement(others, 1, says([key_of(ONE), key_of(FOREIGN)], [ONE, FOREIGN], 2), NOW)
    # A voice counts for its own district only: 330106 cannot vouch for a key that calls itself 330105's.
    with pytest.raises(NeedsFingerprint):
        merge_statement(others, 1, says([key_of(TWO)], [TWO], 2), NOW)


@pytest.mark.parametrize(
    "voice", [key_of(ONE, revoked_s=NOW - 1), key_of(ONE, from_s=NOW - 2 * DAY, to_s=NOW)], ids=["revoked", "ended"]
)
def test_a_revoked_or_ended_key_vouches_for_nobody(voice):
    said = says([replace(voice, revoked_s=None, to_s=NOW + DAY), key_of(TWO)], [ONE, TWO], 2)
    with pytest.raises(NeedsFingerprint):
        merge_statement(known(voice), 1, said, NOW)


def test_a_leaked_key_can_end_itself_and_not_name_its_successor():
    """Whoever has it could have written that successor: a person compares."""
    ended = key_of(ONE, revoked_s=NOW)
    alone = merge_statement(BEGUN, 1, says([ended], [ONE], 2), NOW)
    assert alone[ONE.kid].revoked_s == NOW
    both = says([ended, key_of(TWO)], [ONE, TWO], 2)
    with pytest.raises(NeedsFingerprint):
        merge_statement(BEGUN, 1, both, NOW)
    assert merge_statement(BEGUN, 1, both, NOW, [fingerprint(TWO.key)])[TWO.kid] == key_of(TWO)


def test_an_old_statement_and_one_that_says_less_bring_nothing_back():
    revoked = known(key_of(ONE, revoked_s=NOW - DAY), key_of(TWO))
    with pytest.raises(StatementError, match="not newer"):
        merge_statement(revoked, 3, says([key_of(ONE), key_of(TWO)], [ONE, TWO], 3), NOW)
    said = says([key_of(ONE, to_s=NOW + 400 * DAY), key_of(TWO)], [TWO], 4)
    after = merge_statement(revoked, 3, said, NOW)
    assert after[ONE.kid] == key_of(ONE, revoked_s=NOW - DAY), "a revocation stays, and a key gets no longer"
    silent = merge_statement(revoked, 3, says([key_of(TWO)], [TWO], 4), NOW)
    assert silent == revoked, "what is not named stays as it was"


def test_a_revocation_by_nobody_who_counts_is_not_taken():
    with pytest.raises(StatementError, match="nothing was taken"):
        merge_statement(known(key_of(ONE, revoked_s=NOW - 1)), 1, says([key_of(ONE)], [ONE], 2), NOW)
