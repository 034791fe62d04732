"""Trust lists: what is on them, whose signature counts when, and which list may follow which."""

from dataclasses import replace
from hashlib import sha256

import cbor2
import pytest
from cwt import COSE, COSEKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.keys import pair_of
from ledger.trust import (
    MOST_KEYS,
    REASONS,
    SKEW_S,
    TrustedKey,
    TrustList,
    TrustListError,
    Untrusted,
    check_time,
    fingerprint,
    list_changes,
    may_follow,
    read_trust_list,
    sign_trust_list,
)

DAY = 86_400
NOW = 1_795_500_000
HUB, A, B, THIEF = (pair_of(bytes([n]) * 32) for n in range(1, 5))


def key_of(pair, issuer="330105", **other):
    terms = {"from_s": NOW - 10 * DAY, "to_s": NOW + 100 * DAY} | other
    return TrustedKey(pair.kid, issuer, f"district {issuer}", pair.key, **terms)


FIRST = TrustList(1, "union", NOW, NOW + 7 * DAY, (key_of(A), key_of(B, "330106")), value_sets={"states": b"s" * 32})
SIGNED = sign_trust_list(FIRST, HUB)


def after(before=FIRST, signed=SIGNED, pair=HUB, **other):
    """The list after, and its bytes."""
    terms = {"number": before.number + 1, "previous": sha256(signed).digest(), "issued_s": before.issued_s + DAY}
    made = replace(before, **terms | {"expires_s": before.expires_s + DAY} | other)
    return made, sign_trust_list(made, pair)


def why(call):
    with pytest.raises(Untrusted) as refused:
        call()
    assert str(refused.value) == REASONS[refused.value.reason]
    return refused.value.reason


def test_a_list_reads_back_and_an_independent_library_reads_the_same():
    assert read_trust_list(SIGNED, HUB.key) == FIRST
    okp = COSEKey.new({1: 1, 2: HUB.kid, 3: -8, -1: 6, -2: HUB.key.public})
    payload = cbor2.loads(COSE.new().decode(SIGNED, okp))
    assert payload[1] == "union"
    assert (payload[6], payload[4]) == (NOW, NOW + 7 * DAY)
    first, second = payload[-70001]["keys"]
    assert first["public"] == A.key.public
    assert (second["issuer"], second["uses"]) == ("330106", ["certificate", "department"])
    assert "revoked_s" not in first


def test_a_key_counts_for_its_district_its_uses_and_its_time_alone():
    found = FIRST.find(A.kid, "330105", NOW + DAY)
    assert found.key == A.key
    assert why(lambda: FIRST.find(THIEF.kid, "330105", NOW)) == "unknown_key"
    assert why(lambda: FIRST.find(A.kid, "330106", NOW)) == "other_issuer"
    narrow = replace(FIRST, keys=(key_of(A, uses=("certificate",)),))
    assert narrow.find(A.kid, "330105", NOW).uses == ("certificate",)
    assert why(lambda: narrow.find(A.kid, "330105", NOW, "department")) == "other_use"


@pytest.mark.parametrize(
    ("from_s", "to_s", "at_s", "reason"),
    [
        (NOW + 100, NOW + DAY, NOW + 100 - SKEW_S, None),
        (NOW + 400, NOW + DAY, NOW + 400 - SKEW_S - 1, "not_yet"),
        (NOW - DAY, NOW + 10, NOW + 9, None),
        (NOW - DAY, NOW + 10, NOW + 10, "ended"),
    ],
)
def test_a_key_begins_and_ends_to_the_second(from_s, to_s, at_s, reason):
    trust = replace(FIRST, keys=(key_of(A, from_s=from_s, to_s=to_s),))
    if reason is None:
        assert trust.find(A.kid, "330105", at_s).kid == A.kid
    else:
        assert why(lambda: trust.find(A.kid, "330105", at_s)) == reason


def test_a_revoked_key_counts_for_nothing_whenever_it_signed():
    """Its moment says when it was told, not from when on: whoever has the key writes what time they like."""
    trust = replace(FIRST, keys=(key_of(A, revoked_s=NOW + DAY),))
    for at_s in (NOW, NOW + DAY - 1, NOW + 2 * DAY):
        assert why(lambda at_s=at_s: trust.find(A.kid, "330105", at_s)) == "revoked"


def test_an_expired_list_and_a_clock_that_was_set_back_are_named():
    assert FIRST.find(A.kid, "330105", FIRST.expires_s - 1).kid == A.kid
    assert why(lambda: FIRST.find(A.kid, "330105", FIRST.expires_s)) == "list_expired"
    assert FIRST.find(A.kid, "330105", NOW - SKEW_S).kid == A.kid
    assert why(lambda: FIRST.find(A.kid, "330105", NOW - SKEW_S - 1)) == "clock_behind"


def test_a_list_of_another_signer_or_with_any_byte_changed_is_refused():
    with pytest.raises(TrustListError, match="signature does not hold"):
        read_trust_list(sign_trust_list(FIRST, THIEF), HUB.key)
    for place in range(0, len(SIGNED), 7):
        changed = bytearray(SIGNED)
        changed[place] ^= 0x20
        with pytest.raises(TrustListError):
            read_trust_list(bytes(changed), HUB.key)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_by_name(data):
    with pytest.raises(TrustListError):
        read_trust_list(data, HUB.key)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said.update(number=0),
        lambda said: said.update(number=True),
        lambda said: said.update(v=2),
        lambda said: said.update(type="district-keys"),
        lambda said: said.update(previous=b"x" * 32),
        lambda said: said.update(value_sets={"states": b"short"}),
        lambda said: said.update(value_sets={"../etc": b"s" * 32}),
        lambda said: said.update(next_key={"alg": -7, "public": b"p" * 32}),
        lambda said: said.update(surprise=1),
        lambda said: said["keys"].append(dict(said["keys"][0])),
        lambda said: said["keys"][0].update(kid=b"12345678"),
        lambda said: said["keys"][0].update(alg=-7),
        lambda said: said["keys"][0].update(to_s=0),
        lambda said: said["keys"][0].update(revoked_s=None),
        lambda said: said["keys"][0].update(uses=["everything"]),
        lambda said: said["keys"][0].update(uses=[]),
        lambda said: said["keys"][0].update(issuer="../330105"),
        lambda said: said["keys"][0].update(name="a\nb"),
    ],
)
def test_a_signed_list_that_says_nonsense_is_refused_too(spoil):
    """The publisher may err: a list is checked as strictly as a stranger's."""
    from ledger.cose import read1, sign1  # noqa: PLC0415

    claims = cbor2.loads(read1(SIGNED).payload)
    assert read_trust_list(sign1(cbor2.dumps(claims, canonical=True), HUB), HUB.key) == FIRST
    spoil(claims[-70001])
    with pytest.raises(TrustListError):
        read_trust_list(sign1(cbor2.dumps(claims, canonical=True), HUB), HUB.key)


def test_a_newer_list_follows_and_the_same_one_is_nothing_new():
    second, signed = after()
    assert may_follow(SIGNED, FIRST, signed, second)
    assert may_follow(None, None, signed, second)
    assert not may_follow(SIGNED, FIRST, SIGNED, FIRST)


def test_what_goes_back_forks_or_breaks_the_chain_is_not_taken():
    second, signed = after()
    with pytest.raises(TrustListError, match="rollback"):
        may_follow(signed, second, SIGNED, FIRST)
    other, signed_other = after(publisher="union of others")
    with pytest.raises(TrustListError, match="two lists of number 2"):
        may_follow(signed, second, signed_other, other)
    third, signed_third = after(other, signed_other)
    with pytest.raises(TrustListError, match="does not follow"):
        may_follow(signed, second, signed_third, third)
    early, signed_early = after(issued_s=NOW - 1)
    with pytest.raises(TrustListError, match="made before"):
        may_follow(SIGNED, FIRST, signed_early, early)


def test_a_revocation_is_not_taken_back_and_a_key_does_not_change_hands():
    gone, signed = after(keys=(key_of(A, revoked_s=NOW), key_of(B, "330106")))
    assert list_changes(FIRST, gone) == [f"revoked: key {A.kid.hex()} of 330105"]
    back, signed_back = after(gone, signed, keys=FIRST.keys)
    with pytest.raises(TrustListError, match="not taken back"):
        may_follow(signed, gone, signed_back, back)
    moved, signed_moved = after(keys=(key_of(A, "330106"), key_of(B, "330106")))
    with pytest.raises(TrustListError, match="said to be 330106"):
        may_follow(SIGNED, FIRST, signed_moved, moved)


def test_a_list_is_of_its_time():
    check_time(FIRST, NOW)
    with pytest.raises(TrustListError, match="expired"):
        check_time(FIRST, FIRST.expires_s)
    with pytest.raises(TrustListError, match="future"):
        check_time(FIRST, NOW - SKEW_S - 1)


def test_the_largest_list_can_be_signed_and_one_more_key_cannot():
    pairs = [pair_of(n.to_bytes(32, "big")) for n in range(MOST_KEYS)]
    full = replace(FIRST, keys=tuple(key_of(pair, f"{n:06d}") for n, pair in enumerate(pairs)))
    assert len(sign_trust_list(full, HUB)) < 1 << 20
    with pytest.raises(TrustListError, match="at most"):
        replace(full, keys=(*full.keys, key_of(THIEF)))


def test_a_fingerprint_is_the_start_of_the_hash_in_groups():
    assert fingerprint(A.key).replace(" ", "") == sha256(A.key.public).hexdigest()[:32]
    assert len(fingerprint(A.key).split()) == 8
