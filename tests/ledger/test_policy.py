"""Policies of k of n: the text is read strictly, and the quorum is counted as the text says."""

from contextlib import suppress
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.cosignature import cosign, witness_key_of
from ledger.keys import KeyPair, pair_of
from ledger.note import Checkpoint, NoteError, load_signer
from ledger.policy import MOST, PolicyError, judge, parse_policy

PAIRS = [pair_of(bytes([n + 1]) * 32) for n in range(40)]
VKEYS = [witness_key_of(f"w{n}.example", pair).vkey for n, pair in enumerate(PAIRS)]
LOG = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


def text(*lines: str) -> bytes:
    return ("\n".join((f"log {LOG}", *lines)) + "\n").encode()


def witnesses(count: int) -> list[str]:
    return [f"witness w{n} {VKEYS[n]} https://w{n}.example" for n in range(count)]


def test_the_standard_s_example_of_two_levels() -> None:
    names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
    policy = parse_policy(
        b"\n# two organisations\n\t\n" + text(
            *(f" witness\t{name}  {VKEYS[n]} " for n, name in enumerate(names)),
            "group X-witnesses 2 X1 X2 X3", "group Y-witnesses any Y1 Y2 Y3",
            "group X-and-Y all X-witnesses Y-witnesses", "quorum X-and-Y",
        )
    )  # fmt: skip
    assert policy.logs == (LOG,)
    for count in range(7):
        for some in combinations(names, count):
            x, y = sum(n[0] == "X" for n in some), sum(n[0] == "Y" for n in some)
            assert policy.satisfied(some) == (x >= 2 and y >= 1), some


@given(n=st.integers(1, 8), data=st.data())
def test_k_of_n_is_k_of_n(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n))
    policy = parse_policy(text(*witnesses(n), f"group g {k} {' '.join(f'w{i}' for i in range(n))}", "quorum g"))
    some = data.draw(st.sets(st.sampled_from([f"w{i}" for i in range(n)] + ["stranger"])))
    assert policy.satisfied(some) == (len(some - {"stranger"}) >= k)
    assert policy.needed.startswith(f"{k} of {n}")


def test_quorums_without_a_group() -> None:
    assert parse_policy(text("quorum none")).satisfied(())
    one = parse_policy(text(*witnesses(2), "quorum w1"))
    assert (one.satisfied(["w1"]), one.satisfied(["w0"])) == (True, False)
    assert one.witnesses[0].url == "https://w0.example"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "no quorum line"),
        (["quorum none", "quorum none"], "line 3: a second quorum"),
        (["quorum w0"], "not named on a line before"),
        (["group g 1 w0", *witnesses(1), "quorum g"], "line 2: 'w0' was not named"),
        ([*witnesses(2), "group g 3 w0 w1", "quorum g"], "from 1 to 2"),
        ([*witnesses(2), "group g 0 w0 w1", "quorum g"], "from 1 to 2"),
        ([*witnesses(2), "group g 01 w0 w1", "quorum g"], "from 1 to 2"),
        ([*witnesses(1), "group g all", "quorum g"], "neither"),
        ([*witnesses(2), "group g any w0 w0", "quorum g"], "a member twice"),
        ([*witnesses(2), "group g any w0 w1", "group h any g w1", "quorum h"], "a member twice"),
        ([*witnesses(1), f"witness other {VKEYS[0]}", "quorum w0"], "this key stands on a line before"),
        ([f"witness none {VKEYS[0]}", "quorum none"], "taken"),
        ([*witnesses(1), "group w0 any w0", "quorum w0"], "taken"),
        ([f"witness w0 {LOG}", "quorum w0"], "type 0x01"),
        ([f"log {VKEYS[0]}", "quorum none"], "type 0x04"),
        ([f"log {LOG}", "quorum none"], "stands on a line before"),
        (["witness w0 w0+00000000+AAAA", "quorum w0"], "line 2"),
        ([f"witness w0 {VKEYS[0]} file:///etc/passwd", "quorum w0"], "http"),
        (["quorum none\r"], "control characters"),
        (["Quorum none"], "neither"),
        ([*(f"witness w{n} {VKEYS[n]}" for n in range(MOST + 1)), "quorum none"], f"more than {MOST} witnesses"),
        (["# " + "x" * 70_000, "quorum none"], "at most 65536"),
    ],
)
def test_what_is_no_policy_is_named(lines: list[str], why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        parse_policy(text(*lines))


def test_names_are_bytes_and_two_that_differ_stay_different() -> None:
    data = text(f"witness A {VKEYS[0]}", "quorum A").replace(b" A", b" \xff")
    assert parse_policy(data).quorum == parse_policy(data).witnesses[0].name
    with pytest.raises(PolicyError, match="not named"):
        parse_policy(data.replace(b"quorum \xff", b"quorum \xfe"))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_policy_or_its_error(data: bytes) -> None:
    with suppress(PolicyError):
        assert parse_policy(data).quorum is None or parse_policy(data).witnesses


def _note(tmp_path, size: int, signers: list[tuple[str, KeyPair]]) -> tuple[str, str]:
    signer = load_signer(tmp_path / "log.key", "road.test/log")
    note = signer.sign(Checkpoint("road.test/log", size, bytes(32)))
    text = note.partition("\n\n")[0] + "\n"
    return note + "".join(cosign(text, name, pair, 5).line for name, pair in signers), signer.verifier()


def test_a_note_is_judged_by_log_witnesses_and_quorum(tmp_path) -> None:
    mine = [(f"w{n}.example", PAIRS[n]) for n in range(3)]
    note, log = _note(tmp_path, 9, [mine[0], mine[2], ("other.example", PAIRS[9])])
    policy = parse_policy(
        "\n".join([f"log {log}", *witnesses(3), "group g 2 w0 w1 w2", "quorum g"]).encode()
    )  # fmt: skip
    found = judge(policy, note)
    assert (found.checkpoint.size, found.names, found.enough) == (9, ("w0", "w2"), True)
    alone, _ = _note(tmp_path, 9, [mine[0], mine[0]])
    assert (judge(policy, alone).names, judge(policy, alone).enough) == (("w0",), False)
    with pytest.raises(NoteError):
        judge(parse_policy(text(*witnesses(1), "quorum none")), note)  # of another log
    unnamed = parse_policy("\n".join([*witnesses(3), "quorum w2"]).encode())
    with pytest.raises(NoteError, match="names no log"):
        judge(unnamed, note)
    assert judge(unnamed, note, log).enough
