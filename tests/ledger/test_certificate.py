"""Road certificates: what is written is what is read, by others' libraries too; and what holds."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import base45
import cbor2
import cwt
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ledger import (
    CERTIFICATE_FIELDS,
    Certificate,
    CertificateError,
    PublicKey,
    issue_certificate,
    pair_of,
    qr_facts,
    qr_png,
    qr_svg,
    read_certificate,
    read_trust_list,
    verify_certificate,
)
from ledger.certificate import MOST_TEXT, PREFIX
from ledger.certificate_check import STEPS

from .certificates import NOW_S, OTHER, PAIR, SECTION, SQUARE, claims_of, text_of, trust_list, trusted
from .make_certificate_vectors import FOLDER, vectors, written

TRUST = trust_list()
RED = issue_certificate(SQUARE, PAIR)


def failed(text, trust=TRUST, now_s=NOW_S + 60):
    return verify_certificate(text, trust, now_s).failed


def canonical(claims):
    return cbor2.dumps(claims, canonical=True)


@pytest.mark.parametrize("said", [SQUARE, SECTION, replace(SQUARE, colour=0, state=0, kind=None, severity=0)])
def test_what_is_issued_is_read_back_and_holds(said):
    text = issue_certificate(said, PAIR)
    assert read_certificate(text)[1] == said
    verdict = verify_certificate(text, TRUST, NOW_S + 60)
    assert verdict.ok, verdict
    assert verdict.certificate == said
    assert verdict.failed is None


def test_others_read_it_back_from_the_picture():
    picture = Image.open(io.BytesIO(qr_png(RED, scale=4)))
    text = zxingcpp.read_barcode(picture).text
    assert text == RED
    key = cwt.COSEKey.new({1: 1, 3: -8, -1: 6, -2: PAIR.key.public, 2: PAIR.kid})
    claims = cbor2.loads(cwt.COSE.new().decode(base45.b45decode(text[len("RHC1:") :]), key))
    assert claims[1] == "330105"
    assert claims[4] - claims[6] == 20 * 3600
    code = claims[-65537]
    assert (code[2], code[7], code[8], code[9], code[14]) == (SQUARE.cell, 3, 2, 9, 4)


def test_a_square_s_code_is_small_and_its_svg_has_its_modules():
    facts = qr_facts(RED)
    assert (facts.version, facts.modules) == (11, 61)
    assert len(base45.b45decode(RED[5:])) <= 172
    drawn = qr_svg(RED)
    assert f'viewBox="0 0 {facts.modules + 8} {facts.modules + 8}"' in drawn


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"issuer": "33010"}, "six digits"),
        ({"issuer": "３３０１０５"}, "six digits"),
        ({"expires_s": NOW_S}, "ends after"),
        ({"expires_s": NOW_S + 27 * 3600}, "within 26 h"),
        ({"issued_s": 12}, "unix seconds"),
        ({"section": 4}, "one square or one section"),
        ({"cell": None}, "one square or one section"),
        ({"extent_m": 4}, "side of the square"),
        ({"colour": 4}, "from 0 to 3"),
        ({"colour": True}, "colour is integer"),
        ({"colour": 1}, "suspected or confirmed"),
        ({"state": 0}, "suspected or confirmed"),
        ({"colour": 0, "state": 0}, "no kind"),
        ({"kind": 19}, "from 0 to 18"),
        ({"origin": 0}, "from 1 to 7"),
        ({"log_index": 123_456}, "below log_size"),
        ({"log_size": None}, "below log_size"),
        ({"day": SQUARE.day + 4}, "not the one on which"),
        ({"known_pct": 4}, "not said of a square"),
        ({"name": "x"}, "not said of a square"),
    ],
)
def test_what_no_reader_would_take_is_not_made(changed, says):
    with pytest.raises(CertificateError, match=says):
        replace(SQUARE, **changed)


def test_a_section_has_its_share_and_a_name_that_can_be_shown():
    for changed, says in (
        ({"known_pct": None}, "missing"), ({"name": "a\n"}, "cannot be shown"), ({"name": "路" * 17}, "to 48"),
        ({"state": 1}, "not said"), ({"log_index": 1}, "not said"),
    ):  # fmt: skip
        with pytest.raises(CertificateError, match=says):
            replace(SECTION, **changed)


def test_it_holds_from_its_issue_to_its_end_and_no_second_longer():
    assert failed(RED, now_s=NOW_S - 300) is None
    assert failed(RED, now_s=NOW_S - 301) == "in time"
    assert failed(RED, now_s=SQUARE.expires_s - 1) is None
    assert failed(RED, now_s=SQUARE.expires_s) == "in time"


def test_each_way_in_which_a_key_does_not_count_has_its_step():
    revoked = trust_list(trusted(revoked_s=NOW_S - 5))
    assert failed(RED, trust=revoked) == "not revoked"
    assert failed(issue_certificate(SQUARE, OTHER)) == "known key"
    assert failed(issue_certificate(replace(SQUARE, issuer="330106"), PAIR)) == "known key"
    assert failed(RED, trust=trust_list(trusted(to_s=NOW_S + 1))) == "known key"
    assert failed(RED, trust=trust_list(trusted(from_s=NOW_S + 4000))) == "known key"
    assert failed(RED, trust=trust_list(trusted(uses=("department",)))) == "known key"
    assert failed(RED, trust=trust_list(expires_s=NOW_S)) == "trust list"
    assert failed(RED, trust=trust_list(), now_s=NOW_S - 7200) == "trust list"


def test_a_name_that_another_key_bears_does_not_pass():
    """The signature is looked at with the key of the list, whatever the document calls itself."""
    document = cbor2.loads(base45.b45decode(RED[5:]))
    guarded, _, payload, _ = document.value
    forged = OTHER.sign(cbor2.dumps(["Signature1", guarded, b"", payload]))
    text = "RHC1:" + base45.b45encode(cbor2.dumps(cbor2.CBORTag(18, [guarded, {}, payload, forged]))).decode()
    assert failed(text) == "signature"


def test_another_algorithm_is_refused_by_name():
    document = cbor2.loads(base45.b45decode(RED[5:]))
    _, _, payload, signature = document.value
    guarded = cbor2.dumps({1: -7, 4: PAIR.kid})
    text = "RHC1:" + base45.b45encode(cbor2.dumps(cbor2.CBORTag(18, [guarded, {}, payload, signature]))).decode()
    assert failed(text) == "algorithm"


@pytest.mark.parametrize(
    "change",
    [
        lambda claims: claims.pop(6),
        lambda claims: claims.update({7: b"x"}),
        lambda claims: claims[-65537].update({40: 1}),
        lambda claims: claims[-65537].update({1: 2}),
        lambda claims: claims[-65537].update({1: True}),
        lambda claims: claims[-65537].update({7: 1.0}),
        lambda claims: claims[-65537].update({12: 0}),
        lambda claims: claims[-65537].update({64: {}}),
        lambda claims: claims[-65537].update({64: "x" * 65}),
        lambda claims: claims[-65537].update({"7": 1}),
        lambda claims: claims[-65537].pop(14),
        lambda claims: claims[-65537].update({4: None}),
    ],
)
def test_content_that_is_not_as_the_standard_says_is_refused_though_it_is_signed(change):
    claims = claims_of(RED)
    change(claims)
    assert failed(text_of(canonical(claims))) == "readable"


def test_a_reader_leaves_out_what_it_may_and_reads_the_rest():
    claims = claims_of(RED)
    claims[-65537].update({64: 5, 90: "later", 1000: b"x"})
    text = text_of(canonical(claims))
    assert failed(text) is None
    assert read_certificate(text)[1] == SQUARE


def test_one_statement_has_one_spelling():
    claims = claims_of(RED)
    backwards = dict(reversed(claims.items()))
    assert cbor2.dumps(backwards) != canonical(claims)
    assert failed(text_of(cbor2.dumps(backwards))) == "readable"
    assert failed(text_of(canonical(claims) + b"\0")) == "readable"
    as_true = {(True if key == 1 else key): value for key, value in claims.items()}
    assert failed(text_of(canonical(as_true))) == "readable"


BROKEN = ["", "RHC1:", "rhc1:" + RED[5:], RED[5:], RED + "A", RED[:-1], RED.lower(), "RHC1:" + "A" * 2000]


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_not_copied_whole_is_not_readable(text):
    assert failed(text) == "readable"


def test_space_around_it_does_no_harm_as_its_text_ends_in_none():
    assert failed(f" \n{RED}\r\n ") is None
    for last in range(65_536):
        assert base45.b45encode(last.to_bytes(2, "big"))[-1:] != b" "
        assert base45.b45encode(bytes([last & 255]))[-1:] != b" "


ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=20), st.text(ALPHABET, max_size=90).map(PREFIX.__add__)))
def test_any_text_gets_a_verdict(text):
    assert failed(text) == "readable"


@settings(max_examples=150, deadline=None)
@given(st.integers(5, len(RED) - 1), st.sampled_from(ALPHABET))
def test_no_sign_of_it_can_be_changed(at, sign):
    changed = RED[:at] + sign + RED[at + 1 :]
    assert (failed(changed) is None) == (changed == RED)


@settings(max_examples=60, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(-3, 20), inner, max_size=5), max_leaves=8,
))  # fmt: skip
def test_any_signed_content_gets_a_verdict(content):
    claims = claims_of(RED)
    assert failed(text_of(cbor2.dumps(content))) == "readable"
    claims[-65537] = content
    assert failed(text_of(canonical(claims))) == "readable"
    assert failed(text_of(canonical(claims_of(RED) | {1: content}))) == "readable"


def test_the_largest_that_can_be_issued_fits():
    most = {f.name: f.high for f in CERTIFICATE_FIELDS if f.of in ("both", "section") and f.type == "integer"}
    most |= {"version": 1, "day": SECTION.day, "lat_e7": -840_000_000, "lon_e7": -1_800_000_000}
    text = issue_certificate(replace(SECTION, **most, name="路" * 16), pair_of(bytes(32)))
    assert len(text) <= 350 < MOST_TEXT
    assert qr_facts(text).version <= 14


def test_a_certificate_that_was_made_by_hand_needs_every_field():
    with pytest.raises(TypeError):
        Certificate(issuer="330105")


FILES = sorted(FOLDER.glob("*.json"))


def test_the_vectors_are_those_that_are_made():
    assert {path.stem: path.read_text("utf-8") for path in FILES} == {n: written(v) for n, v in vectors().items()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_vector_has_its_verdict(path):
    said = json.loads(path.read_text("utf-8"))
    trust = read_trust_list(bytes.fromhex(said["trust_list"]), PublicKey(bytes.fromhex(said["publisher_key"])))
    verdict = verify_certificate(said["text"], trust, said["now_s"])
    assert (verdict.ok, verdict.failed) == (said["ok"], said["failed"])
    shown = {k: v for k, v in vars(verdict.certificate).items() if v is not None} if verdict.certificate else None
    assert shown == said["says"]


def test_the_vectors_meet_every_step():
    assert {json.loads(path.read_text("utf-8"))["failed"] for path in FILES} == {None, *STEPS}
