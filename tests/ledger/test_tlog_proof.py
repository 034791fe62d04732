"""`.tlog-proof` files: what one says holds offline, and what was changed in any way does not."""

from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.cosignature import cosign, with_cosignatures, witness_key_of
from ledger.keys import pair_of
from ledger.log import Log
from ledger.merkle import leaf_hash
from ledger.policy import Policy, parse_policy
from ledger.records import code_record
from ledger.tlog_proof import HEADER, TlogProof, TlogProofError, parse_tlog_proof, verify_tlog_proof

PAIRS = [pair_of(bytes([n + 1]) * 32) for n in range(3)]
BODIES = [
    code_record(n, date(2026, 11, 23), 1_000, {"colour": 0}, {"colour": 3}, ["pothole"], bytes(32), "live").body
    for n in range(300)
]


@dataclass
class Made:
    """A log of 300 records, a policy of 2 of 3, and the proof of record 257 with two witnesses under it."""

    policy: Policy
    proof: TlogProof
    bare: str  # the checkpoint without witnesses

    @property
    def text(self) -> str:
        return self.proof.text()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    with Log(tmp_path_factory.mktemp("log"), "road.test/log") as log:
        log.append([leaf_hash(body) for body in BODIES])
        bare = log.checkpoint()
        text = bare.partition("\n\n")[0] + "\n"
        signed = [cosign(text, f"w{n}.example", PAIRS[n], 1_764_000_000 + n) for n in range(2)]
        lines = [f"witness w{n} {witness_key_of(f'w{n}.example', pair).vkey}" for n, pair in enumerate(PAIRS)]
        policy = parse_policy("\n".join([f"log {log.verifier}", *lines, "group g 2 w0 w1 w2", "quorum g"]).encode())
        hashes = tuple(log.inclusion(257, 300))
    return Made(policy, TlogProof(257, hashes, with_cosignatures(bare, signed), BODIES[257]), bare)


def good(steps: list) -> bool:
    return all(step.ok for step in steps if step.wanted)


def test_a_file_reads_as_the_standard_has_it_and_holds(made: Made) -> None:
    lines = made.text.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 257"
    assert lines[3 + len(made.proof.hashes)] == ""
    assert lines[4 + len(made.proof.hashes)] == "road.test/log"
    assert parse_tlog_proof(made.text) == made.proof
    steps = verify_tlog_proof(made.text, made.policy)
    assert {s.name: s.ok for s in steps} == dict.fromkeys(
        ("document", "record", "leaf", "signature", "inclusion", "witnesses"), True
    )
    assert "w0, w1 at 300 leaves; needed: 2 of 3" in steps[-1].detail


def test_the_record_may_lie_beside(made: Made) -> None:
    bare = TlogProof(257, made.proof.hashes, made.proof.checkpoint).text()
    assert "extra" not in bare
    assert good(verify_tlog_proof(bare, made.policy, BODIES[257]))
    assert not good(verify_tlog_proof(bare, made.policy, BODIES[256]))
    assert not good(verify_tlog_proof(bare, made.policy))


def test_too_few_witnesses_do_not_hold_and_none_asked_for_is_said(made: Made) -> None:
    alone = TlogProof(257, made.proof.hashes, made.bare, BODIES[257]).text()
    one = TlogProof(257, made.proof.hashes, made.proof.checkpoint.rsplit("— ", 1)[0], BODIES[257]).text()
    assert [s.ok for s in verify_tlog_proof(alone, made.policy)][-1] is False
    assert [s.detail for s in verify_tlog_proof(one, made.policy)][-1].startswith("w0 so far")
    nobody = parse_policy(f"log {made.policy.logs[0]}\nquorum none\n".encode())
    last = verify_tlog_proof(alone, nobody)[-1]
    assert (last.ok, last.wanted) == (None, False)
    assert "operator alone" in last.detail


@given(at=st.floats(0, 1, exclude_max=True), change=st.sampled_from(["flip", "drop", "double", "line", "swap"]))
def test_a_changed_file_never_holds(made: Made, at: float, change: str) -> None:
    text = made.text
    i = int(at * len(text))
    lines = text.split("\n")
    n = int(at * (len(lines) - 1))
    if change == "flip":
        bent = text[:i] + chr(ord(text[i]) ^ 1) + text[i + 1 :]
    elif change == "drop":
        bent = text[:i] + text[i + 1 :]
    elif change == "double":
        bent = text[:i] + text[i] + text[i:]
    elif change == "line":
        bent = "\n".join(lines[:n] + lines[n + 1 :])
    else:
        bent = "\n".join([*lines[:n], lines[n + 1], lines[n], *lines[n + 2 :]])
    if bent == text:
        return  # two equal characters or lines side by side
    steps = verify_tlog_proof(bent, made.policy)
    if good(steps):
        # Only what is under nobody's signature may change: the order of the signature lines.
        assert change == "swap"
        assert sorted(bent.split("\n")) == sorted(lines)
        assert bent.partition("\n\n")[0] == text.partition("\n\n")[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("@v1", "@v2"), "line 1"), (("index 257", "index 0257"), "line 3"), (("index 257", "index -1"), "line 3"),
        (("index 257", "index 257 "), "line 3"), (("index 257", f"index {1 << 63}"), "line 3"),
        (("index 257\n", ""), "line 3"), (("\n\n", "\n"), "empty line"),
        (("extra ", "extra  "), "base64"),
        (("\nindex", "\r\nindex"), "extra"),
    ],
)  # fmt: skip
def test_what_is_no_proof_is_named(made: Made, change: tuple[str, str], why: str) -> None:
    bent = made.text.replace(*change)
    assert bent != made.text
    with pytest.raises(TlogProofError, match=why):
        parse_tlog_proof(bent)


def test_it_is_bounded(made: Made) -> None:
    many = TlogProof(257, (bytes(32),) * 64, made.proof.checkpoint).text()
    with pytest.raises(TlogProofError, match="more than 63"):
        parse_tlog_proof(many)
    with pytest.raises(TlogProofError, match="longer than"):
        parse_tlog_proof(HEADER + "\n" + "x" * 200_000)


@settings(max_examples=40)
@given(st.text(max_size=300))
def test_any_text_gets_a_verdict(made: Made, text: str) -> None:
    assert not good(verify_tlog_proof(text, made.policy))
    assert not good(verify_tlog_proof(f"{HEADER}\n{text}", made.policy))
