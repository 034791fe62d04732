"""Certificates and tokens of departments: what is signed is what opens, to the second, and nothing else does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import department_store as store
from ledger.cose import sign1
from ledger.department import (
    KINDS,
    LONGEST_S,
    MOST_TOKEN,
    SCOPES,
    SKEW_S,
    TOKEN_PREFIX,
    TOKEN_S,
    Certificate,
    DepartmentError,
    Known,
    NotAdmitted,
    admit,
    make_certificate,
    make_request,
    make_token,
    of_text,
    parse_certificate,
    read_certificate,
    read_request,
    read_token,
    to_text,
)
from ledger.grants import account_of, grants_of
from ledger.keys import pair_of
from ledger.merkle import leaf_hash
from ledger.records import encode, encode_plain, parse

DISTRICT, OTHER, OWN, THIEF = (pair_of(bytes([n]) * 32) for n in (1, 2, 3, 4))
HERE, THERE = "rhc-0123456789abcdef", "rhc-fedcba9876543210"
FROM_S, TO_S = 1_700_000_000, 1_700_000_000 + 30 * 86_400
NOW_S = FROM_S + 10_000
JTI = bytes(16)


def certificate(**changed):
    given = {
        "id": "dep-1", "audience": HERE, "department": "市政管理委员会", "kind": "urban_management", "public": OWN.key,
        "scopes": ("cases", "map"), "area": None, "kinds": None, "from_s": FROM_S, "to_s": TO_S,
    }  # fmt: skip
    return Certificate(**given | changed)


SIGNED = make_certificate(DISTRICT, certificate())


def tried(token, *, known=None, trusted=(DISTRICT.key,), audience=HERE, now_s=NOW_S):
    return admit(read_token(token), known or Known(SIGNED), trusted, audience, now_s)


def refusal(token, **how):
    with pytest.raises(NotAdmitted) as caught:
        tried(token, **how)
    return caught.value.name


def claims(**changed):
    """A token with claims of one's own."""
    said = {1: "dep-1", 3: HERE, 4: NOW_S + 600, 6: NOW_S, 7: JTI} | {int(k[1:]): v for k, v in changed.items()}
    return TOKEN_PREFIX + to_text(sign1(encode_plain(said), OWN))


def test_a_request_a_certificate_and_a_token_let_a_department_in():
    asked = read_request(make_request(OWN, "市政管理委员会", "urban_management", NOW_S))
    assert (asked.department, asked.kind, asked.public) == ("市政管理委员会", "urban_management", OWN.key)
    assert read_certificate(SIGNED, [OTHER.key, DISTRICT.key]) == certificate()
    token = make_token(OWN, certificate(), JTI, NOW_S)
    let_in = tried(token)
    assert let_in.certificate == certificate()
    assert let_in.until_s == NOW_S + TOKEN_S
    assert len(token) < MOST_TOKEN / 2


@pytest.mark.parametrize(
    ("now_s", "name"),
    [
        (FROM_S - 1, "certificate_not_yet"), (FROM_S - 0.001, "certificate_not_yet"), (FROM_S, None),
        (FROM_S + 1, None), (TO_S - 1, None), (TO_S - 0.001, None), (TO_S, "certificate_expired"),
        (TO_S + 1, "certificate_expired"),
    ],
)  # fmt: skip
def test_a_certificate_holds_from_its_first_second_to_before_its_last(now_s, name):
    token = claims(_6=int(now_s), _4=int(now_s) + 600)
    if name is None:
        assert tried(token, now_s=now_s).until_s == min(int(now_s) + 600, TO_S)
    else:
        assert refusal(token, now_s=now_s) == name


@pytest.mark.parametrize(
    ("now_s", "name"),
    [
        (NOW_S - SKEW_S - 1, "token_from_the_future"), (NOW_S - SKEW_S, None), (NOW_S + 599, None),
        (NOW_S + 599.999, None), (NOW_S + 600, "token_expired"), (NOW_S + 601, "token_expired"),
    ],
)  # fmt: skip
def test_a_token_opens_until_the_second_that_it_names(now_s, name):
    if name is None:
        assert tried(claims(), now_s=now_s)
    else:
        assert refusal(claims(), now_s=now_s) == name


@pytest.mark.parametrize(("for_s", "name"), [(TOKEN_S, None), (TOKEN_S + 1, "token_too_long"), (0, "token_too_long")])
def test_no_token_holds_for_longer_than_an_hour(for_s, name):
    token = claims(_4=NOW_S + for_s)
    if name is None:
        assert tried(token).until_s == NOW_S + TOKEN_S
    else:
        assert refusal(token) == name
    with pytest.raises(DepartmentError):
        make_token(OWN, certificate(), JTI, NOW_S, TOKEN_S + 1)


def test_a_revoked_certificate_lets_nobody_in_whatever_any_clock_says():
    token = make_token(OWN, certificate(), JTI, NOW_S)
    assert tried(token)
    for revoked_s in (NOW_S - 1, NOW_S, NOW_S + 3600):
        assert refusal(token, known=Known(SIGNED, revoked_s)) == "certificate_revoked"


@pytest.mark.parametrize(
    ("at_s", "counts"),
    [(FROM_S - 1, False), (FROM_S, True), (NOW_S - 1, True), (NOW_S, False), (NOW_S + 1, False)],
)
def test_what_was_signed_counts_only_where_it_was_anchored_before_the_end(at_s, counts):
    assert certificate().held_at(at_s, NOW_S) is counts
    assert certificate().held_at(TO_S - 1, None)
    assert not certificate().held_at(TO_S, None)


def test_a_token_for_one_instance_opens_no_other():
    token = make_token(OWN, certificate(), JTI, NOW_S)
    assert refusal(token, audience=THERE) == "other_audience"
    assert refusal(claims(_3=THERE), audience=THERE) == "other_audience", "the certificate is for this one alone"
    assert refusal(claims(_3=THERE)) == "other_audience"


def test_another_key_opens_nothing_and_learns_nothing():
    """Who has no key of the department cannot tell unknown, ended and revoked certificates apart."""
    forged = TOKEN_PREFIX + to_text(sign1(read_claims(make_token(OWN, certificate(), JTI, NOW_S)), THIEF))
    ended = Known(make_certificate(DISTRICT, certificate(to_s=FROM_S + 1)))
    said = set()
    for known in (Known(SIGNED), Known(SIGNED, NOW_S - 1), ended):
        with pytest.raises(NotAdmitted) as caught:
            admit(read_token(forged), known, (DISTRICT.key,), HERE, NOW_S)
        said.add((caught.value.name, str(caught.value)))
    with pytest.raises(NotAdmitted) as caught:
        admit(read_token(forged), None, (DISTRICT.key,), HERE, NOW_S)
    assert said == {(caught.value.name, str(caught.value))}
    assert caught.value.name == "bad_token"


def read_claims(token):
    return cbor2.loads(of_text(token.removeprefix(TOKEN_PREFIX))).value[2]


def test_scopes_cannot_be_widened_by_who_holds_a_key_or_the_database():
    wide = replace(certificate(), scopes=tuple(sorted(KINDS["urban_management"])))
    by_itself = make_certificate(OWN, wide)  # the department signs its own certificate
    assert refusal(claims(), known=Known(by_itself)) == "certificate_damaged"
    flipped = SIGNED.replace(b"\x63map", b"\x63log")  # somebody writes into the database
    assert flipped != SIGNED
    assert refusal(claims(), known=Known(flipped)) == "certificate_damaged"
    other = make_certificate(DISTRICT, certificate(id="dep-2", public=THIEF.key, scopes=("log",)))
    assert refusal(claims(), known=Known(other)) == "bad_token", "another's certificate under this id"


def test_a_district_key_that_is_trusted_no_more_takes_its_certificates_along():
    assert refusal(claims(), trusted=(OTHER.key,)) == "certificate_damaged"
    assert refusal(claims(), trusted=()) == "certificate_damaged"


@pytest.mark.parametrize("alg", [-7, -35, -8 + 2**32, 5, 0])
def test_an_algorithm_that_the_key_has_not_is_refused(alg):
    """The swap: a header that names another algorithm, with the same signature, or one that needs no secret."""
    tag = cbor2.loads(of_text(claims().removeprefix(TOKEN_PREFIX)))
    protected = encode_plain({1: alg, 4: OWN.kid})
    for signature in (tag.value[3], b"", OWN.sign(cbor2.dumps(["Signature1", protected, b"", tag.value[2]]))):
        swapped = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, tag.value[2], signature]))
        assert refusal(TOKEN_PREFIX + to_text(swapped)) == "bad_token"


def test_no_document_passes_for_another():
    request = make_request(OWN, "x", "auditor", NOW_S)
    token = of_text(claims().removeprefix(TOKEN_PREFIX))
    for data in (request, SIGNED):
        assert refusal(TOKEN_PREFIX + to_text(data)) == "bad_token"
    for data in (request, token):
        with pytest.raises(DepartmentError):
            parse_certificate(data)
    for data in (SIGNED, token):
        with pytest.raises(DepartmentError):
            read_request(data)
    with pytest.raises(DepartmentError, match="does not hold"):
        read_request(sign1(read_payload(request), THIEF))


def read_payload(document):
    return cbor2.loads(document).value[2]


@pytest.mark.parametrize(
    "changed",
    [
        {"scopes": ()}, {"scopes": ("map", "cases")}, {"scopes": ("map", "map")}, {"scopes": ("everything",)},
        {"kind": "friends"}, {"kind": "mall"}, {"kind": "research", "scopes": ("map", "passes")},
        {"kind": "cover_owner"}, {"area": ()}, {"kinds": ()}, {"area": ("b", "a")}, {"area": ("",)},
        {"area": tuple(f"{n:03}" for n in range(65))}, {"to_s": FROM_S}, {"to_s": FROM_S + LONGEST_S + 1},
        {"from_s": -1}, {"id": "A"}, {"id": "../x"}, {"department": " x"}, {"department": "x" * 81},
        {"department": "a\nb"}, {"audience": ""},
    ],
)  # fmt: skip
def test_what_no_district_may_sign_is_not_signed(changed):
    with pytest.raises(DepartmentError):
        certificate(**changed)


def test_what_a_signed_certificate_may_not_say_is_refused_all_the_same():
    """The rules hold for who reads, not only for our own hand that signs."""
    said = cbor2.loads(read_payload(SIGNED))
    for wrong in ({"scopes": ["points:redeem"]}, {"to_s": FROM_S + LONGEST_S + 1}, {"v": 2}, {"more": 1}):
        with pytest.raises(DepartmentError):
            read_certificate(sign1(encode(said | wrong), DISTRICT), [DISTRICT.key])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.text(max_size=200))
def test_reading_never_fails_but_by_name(data, text):
    for junk in (TOKEN_PREFIX + to_text(data), TOKEN_PREFIX + text, text):
        with pytest.raises(NotAdmitted):
            read_token(junk)
    for read in (read_request, parse_certificate):
        with pytest.raises(DepartmentError):
            read(data)


def test_one_changed_byte_anywhere_in_a_token_shuts_the_door():
    data = of_text(claims().removeprefix(TOKEN_PREFIX))
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(NotAdmitted):
            tried(TOKEN_PREFIX + to_text(flipped))


def test_a_token_is_bounded_and_has_one_spelling():
    token = claims()
    assert refusal(token + "=") == "bad_token"
    assert refusal(TOKEN_PREFIX + "A" * MOST_TOKEN) == "bad_token"
    assert refusal(token.removeprefix(TOKEN_PREFIX)) == "bad_token"
    assert refusal(token.upper()) == "bad_token"
    assert refusal(claims(_7=b"short")) == "bad_token"
    assert refusal(claims(_8=1)) == "bad_token"


def test_every_kind_of_department_has_scopes_that_there_are():
    assert all(scopes and scopes <= set(SCOPES) for scopes in KINDS.values())
    assert set().union(*KINDS.values()) == set(SCOPES)


AT = datetime.fromtimestamp(NOW_S, UTC)


def outbox(conn):
    return [parse(bytes(r[0])) for r in conn.execute("SELECT body FROM outbox ORDER BY id")]


def test_a_grant_and_its_revocation_are_rows_records_and_steps_on_the_chain_together(conn):
    store.grant(conn, certificate(), SIGNED, AT, "live")
    assert store.known(conn, "dep-1") == Known(SIGNED, None)
    assert store.revoke(conn, "dep-1", "the key was lost", AT + timedelta(hours=1), "live")
    assert not store.revoke(conn, "dep-1", "again", AT, "live")
    assert store.known(conn, "dep-1") == Known(SIGNED, NOW_S + 3600)
    assert store.known(conn, "dep-2") is None
    granted, revoked = outbox(conn)
    assert (granted["step"], granted["terms"]["scopes"]) == ("granted", ["cases", "map"])
    assert (revoked["step"], revoked["terms"]["why"]) == ("revoked", "the key was lost")
    assert granted["certificate"] == revoked["certificate"]
    bodies = [bytes(r[0]) for r in conn.execute("SELECT body FROM outbox ORDER BY id")]
    steps = grants_of(conn, account_of(OWN.key.public))
    assert [(s.step, s.from_s, s.to_s) for s in steps] == [("grant", FROM_S, TO_S), ("revoke", None, None)]
    assert [s.record_leaf for s in steps] == [leaf_hash(b) for b in bodies]
    assert OWN.key.public not in b"".join(bodies), "the log names the account, not the key"
    assert store.held(conn, "dep-1", NOW_S + 3599)
    assert not store.held(conn, "dep-1", NOW_S + 3600)


def test_a_key_has_one_certificate_and_a_revoked_one_never_comes_back(conn):
    store.grant(conn, certificate(), SIGNED, AT, "live")
    again = certificate(id="dep-2")
    with pytest.raises(DepartmentError, match="dep-1 already"):
        store.grant(conn, again, make_certificate(DISTRICT, again), AT, "live")
    with pytest.raises(DepartmentError, match="no certificate"):
        store.revoke(conn, "dep-9", "x", AT, "live")
    with pytest.raises(DepartmentError, match="why"):
        store.revoke(conn, "dep-1", " ", AT, "live")


def test_who_writes_into_the_table_is_found(conn):
    store.grant(conn, certificate(), SIGNED, AT, "live")
    assert store.faults(conn) == []
    store.revoke(conn, "dep-1", "lost", AT, "live")
    assert store.faults(conn) == []
    conn.execute("UPDATE department SET revoked_at = NULL, revoked_why = NULL")
    assert [id_ for id_, text in store.faults(conn) if "revoked" in text] == ["dep-1"]
    conn.execute("UPDATE department SET revoked_at = now(), revoked_why = 'x', certificate = certificate || '\\x00'")
    assert len(store.faults(conn)) == 3
    conn.execute("DELETE FROM department")
    assert store.faults(conn) == [("dep-1", "the log has its grant, the table lacks it")]


def test_reads_are_counted_by_day_and_scope_and_a_token_changes_something_once(conn):
    store.grant(conn, certificate(), SIGNED, AT, "live")
    day = AT.date()
    for scopes in (["map"], ["map", "cases"]):
        store.note_reads(conn, "dep-1", day, scopes, AT)
    store.note_reads(conn, "dep-1", day - timedelta(days=1), ["map"], AT)
    told = store.reads(conn, day)
    assert {r.scope: r.requests for r in told} == {"map": 2, "cases": 1}
    assert store.reads(conn, day, "dep-2") == []
    assert store.use_token(conn, JTI, NOW_S, NOW_S)
    assert not store.use_token(conn, JTI, NOW_S, NOW_S)
    assert store.use_token(conn, b"\1" * 16, NOW_S + 9999, NOW_S + 61)
    assert conn.execute("SELECT count(*) FROM department_token").fetchone() == (1,), "what has ended goes"


def test_an_instance_has_one_name_for_good(conn):
    name = store.instance_name(conn)
    assert store.instance_name(conn) == name
    assert name.startswith("rhc-")
