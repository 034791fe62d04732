"""Hostile bytes: whatever arrives gives a chunk or a `Refused`, soon, and nothing else."""

import contextlib
import pickle
import subprocess
import sys
import time
from pathlib import Path

import cbor2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest import Chunk, Reason, Refused, decode, decode_json, encode, encode_json, peek

from .make_vectors import accepted, refused

ROOT = Path(__file__).parents[2]
SOME = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
GOOD = {name: encode(chunk) for name, chunk in accepted().items()}
SEEDS = [*GOOD.values(), *(data for _, data in refused().values())]
TWINS = [encode_json(chunk) for chunk in accepted().values()]


def judged(data):
    """The reason, or None for a chunk that is whole; every other outcome is an error of ours."""
    peek(data)
    try:
        chunk = decode(data)
    except Refused as refusal:
        return refusal.reason
    assert isinstance(chunk, Chunk)
    assert encode(decode(encode(chunk))) == encode(chunk)
    return None


@SOME
@given(st.binary(max_size=300))
@example(b"")
@example(b"\xa0")
@example(b"\xf6")
@example(b"\xff")
def test_any_bytes(data):
    judged(data)


_LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6) | st.binary(max_size=9)
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=4)
        | st.builds(cbor2.CBORTag, st.sampled_from([40, 77, 85, 86, 99, 1040]), inner)
    ),
    max_leaves=8,
)


@st.composite
def misfits(draw):
    """A valid chunk in which one value is some other value."""
    tree = cbor2.loads(draw(st.sampled_from(sorted(GOOD.values()))))
    holder = tree
    key = draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[key], dict | list) and draw(st.booleans()):
        holder = holder[key]
        key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = draw(_TREES)
    return cbor2.dumps(tree)


@SOME
@given(misfits())
def test_any_value_in_any_place(data):
    judged(data)


@SOME
@given(st.data())
def test_flipped_cut_and_spliced(data):
    payload = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        if not payload:
            break
        at = data.draw(st.integers(0, len(payload) - 1))
        what = data.draw(st.sampled_from(["flip", "set", "cut", "drop", "insert", "double"]))
        if what == "flip":
            payload[at] ^= 1 << data.draw(st.integers(0, 7))
        elif what == "set":
            payload[at] = data.draw(st.sampled_from([0x00, 0x1B, 0x5B, 0x7F, 0x9F, 0xBF, 0xC2, 0xD8, 0xFB, 0xFF]))
        elif what == "cut":
            del payload[at:]
        elif what == "drop":
            del payload[at : at + data.draw(st.integers(1, 9))]
        elif what == "insert":
            payload[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        else:
            payload[at:at] = payload[at : at + data.draw(st.integers(1, 40))]
    judged(bytes(payload))


def test_every_cut_of_a_chunk_is_malformed():
    data = GOOD["minimal"]
    assert {judged(data[:n]) for n in range(len(data))} == {Reason.MALFORMED}


def test_every_flipped_bit_of_the_heads():
    """All bits but those of the numbers, which have every value anyway."""
    data = GOOD["minimal"]
    for at in (*range(150), *range(len(data) - 60, len(data))):
        for bit in range(8):
            judged(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])


@SOME
@given(st.data())
def test_any_text_as_a_twin(data):
    text = data.draw(st.sampled_from(TWINS) | st.text(max_size=50))
    if text:
        at = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(st.text(max_size=6)) + text[at + length :]
    with contextlib.suppress(Refused):
        decode_json(text)


def head(major, n):
    """The head of a CBOR item: major type and argument."""
    for size, info in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << 8 * size:
            return bytes([major << 5 | info]) + n.to_bytes(size, "big")
    raise ValueError(n)


def tag(number):
    return head(6, number)


def bignum(size):
    return tag(2) + head(2, size) + b"\xff" * size


def laughs(depth):
    """Lists of which each holds the one before twice (tags 28 and 29): few bytes, 2**depth entries when walked."""
    first = tag(28) + b"\x82\x00\x00"
    return head(4, depth + 1) + first + b"".join(tag(28) + b"\x82" + (tag(29) + head(0, i)) * 2 for i in range(depth))


def field(name, value):
    """A map of one field, and of `minimal` with that field in the place of its own."""
    tree = {cbor2.dumps(k): cbor2.dumps(v) for k, v in cbor2.loads(GOOD["minimal"]).items()}
    tree[cbor2.dumps(name)] = value
    yield b"\xa1" + cbor2.dumps(name) + value
    yield head(5, len(tree)) + b"".join(k + v for k, v in tree.items())


def regex(pattern):
    return tag(35) + head(3, len(pattern)) + pattern


HOSTILE = {
    "deep arrays": [b"\x81" * 200_000],
    "deep arrays without length": [b"\x9f" * 200_000],
    "deep maps": [b"\xa1\x00" * 100_000],
    "deep keys": [b"\xa1" * 100_000],
    "deep tags": [tag(99) * 60_000, b"\xc1" * 200_000],
    "deep below the limit": [x for n in (100, 300, 450) for x in field("trip", b"\x81" * n + b"\x00")],
    "huge lengths": [head(major, n) for major in (2, 3, 4, 5) for n in (2**28, 2**32, 2**40, 2**63, 2**64 - 1)],
    "huge keys": [b"\xa1" + head(major, n) for major in (2, 3, 4, 5) for n in (2**28, 2**40)],
    "huge in a field": [x for n in (2**31, 2**62) for x in field("acc", tag(40) + b"\x82" + head(4, n))],
    "endless": [b"\x5f", b"\x7f", b"\x9f\xff\xff", b"\xbf\xff\xff", b"\xbf\x00\xff", b"\x5f\x61a\xff"],
    "small bignums": [x for name in ("v", "trip", "seq", "start", "rate") for x in field(name, bignum(100))],
    "bignum as a key": [b"\xa1" + bignum(2_000) + b"\x00"],
    "decimals": [
        tag(4) + b"\x82" + bignum(1_000) + b"\x01",
        tag(5) + b"\x82" + bignum(8) + b"\x01",
        tag(5) + b"\x82\x1a\xff\xff\xff\xff\x03",
    ],
    "fractions": [tag(30) + b"\x82\x01\x00", tag(30) + b"\x82" + bignum(5_000) + bignum(4_999)],
    "cycles": [
        tag(28) + b"\x81" + tag(29) + b"\x00",
        tag(28) + b"\xa1\x61v" + tag(29) + b"\x00",
        *(x for name in ("v", "trip", "fixes") for x in field(name, tag(28) + b"\x81" + tag(29) + b"\x00")),
    ],
    "lost references": [tag(29) + b"\x00", tag(29) + bignum(9), tag(25) + b"\x18\xff", tag(256) + tag(25) + b"\x05"],
    "patterns": [regex(b"(a+)+$"), regex(b"[[a"), regex(b"(" * 100_000), regex(b"(?P<n>" * 99), regex(b"a{99999999}")],
    "mime": [tag(36) + b"\x61:", tag(36) + head(3, 9_000) + b"a: b\r\n\r\n\n" * 1_000],
    "dates": [b"\xc0\x61x", b"\xc1\x1b" + b"\xff" * 8, b"\xc1\xfb\x7f\xf0" + bytes(6), tag(100) + b"\x1b" + bytes(8)],
    "addresses": [tag(260) + b"\x41a", tag(261) + b"\xa1\x44" + bytes(4) + b"\x18\x21", tag(37) + b"\x41a"],
    "sets": [tag(258) + b"\x82\x01\x80", tag(258) + b"\x81\xa0", tag(258) + b"\x00"],
    "self-described": [tag(55799) + GOOD["minimal"]],
    "odd keys": [b"\xa1\x80\x00", b"\xa1\xa0\x00", b"\xa1\xf6\x00", b"\xa1\xfb\x7f\xf8" + bytes(6) + b"\x00"],
    "odd simples": [b"\xf8\x18", b"\xe0", b"\xf8\xff", b"\xf7", b"\xfc"],
    "broken texts": [x for text in (b"\x62\xc3\x28", b"\x63\xed\xa0\x80", b"\x61\x00") for x in field("trip", text)],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused_soon(name):
    started_s = time.perf_counter()
    for data in HOSTILE[name]:
        assert isinstance(judged(data), Reason), data[:40]
    assert time.perf_counter() - started_s < 2.0  # 0.1 s alone; the bound is for a loaded machine


HARMFUL = {
    # repr of such a number raises ValueError; repr and hash of shared lists walk them 2**40 times; decimals and
    # patterns are built by the library before anybody asked for one
    "a bignum of over 4,300 digits as version": next(field("v", bignum(1_800))),
    "a bignum of over 4,300 digits as trip": list(field("trip", bignum(1_800)))[1],
    "nested shared lists as version": next(field("v", laughs(40))),
    "nested shared lists as trip": list(field("trip", laughs(40)))[1],
    "nested shared lists as a key": b"\xa1" + laughs(50) + b"\x00",
    "nested shared lists in a set": tag(258) + b"\x81" + laughs(50),
    "a decimal of 600,000 digits": tag(4) + b"\x82\x00" + bignum(250_000),
    "a bigfloat of 600,000 digits": tag(5) + b"\x82\x19\xff\xff" + bignum(250_000),
    "a pattern of 125,000 branches": regex(b"a|" * 125_000),
}
_JUDGE = """
import os, pickle, resource, sys, time
sys.path.insert(0, sys.argv[1])
from ingest import Refused, decode, peek
for data in pickle.load(sys.stdin.buffer):
    child = os.fork()  # one each: what one takes of time and memory must not count for the next
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        started_s = time.process_time()
        peek(data)
        try:
            decode(data)
            verdict = "taken"
        except Refused as refusal:
            verdict = str(refusal.reason)
        except BaseException as error:
            verdict = type(error).__name__
        print(verdict, "soon" if time.process_time() - started_s < 0.25 else "late", flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("killed", "late", flush=True)
"""


@pytest.fixture(scope="module")
def verdicts():
    """What became of each harmful payload, judged in processes of their own that may use 1 s and 2 GB."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _JUDGE, str(ROOT)], input=pickle.dumps(list(HARMFUL.values())),
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    return dict(zip(HARMFUL, done.stdout.decode().splitlines(), strict=True))


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_bytes_harm_nobody(verdicts, name):
    """What fails here fells or stops a worker again and again: the broker brings an unacknowledged batch back."""
    reason, when = verdicts[name].split()
    assert (reason in set(Reason), when) == (True, "soon"), verdicts[name]
