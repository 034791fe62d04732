"""The wire format: what is encoded comes back to the bit, in CBOR and in JSON, and the vectors say so to others."""

import re
from dataclasses import replace
from pathlib import Path

import cbor2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from ingest import (
    ADVICE,
    CARRIERS,
    DATUMS,
    DEFECT_KEYS,
    MAX_BYTES,
    ORIGINS,
    VERSION,
    Reason,
    Refused,
    admit,
    decode,
    decode_json,
    encode,
    encode_json,
    peek,
)

from . import make_vectors
from .chunks import START_S, TRIP, box_chunk, chunks, same

SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
VECTORS = Path(__file__).parents[2] / "docs" / "vectors" / "wire"
CDDL = (VECTORS.parents[1] / "wire.cddl").read_text()
ACCEPTED = sorted(p.stem for p in VECTORS.glob("*.json") if p.stem != "refused")
REFUSED = make_vectors.refused()


@SOME
@given(chunks())
def test_a_chunk_comes_back_to_the_bit(chunk):
    data = encode(chunk)
    back = decode(data)
    assert same(chunk, back)
    assert encode(back) == data
    assert peek(data) == (chunk.trip, chunk.seq)


@SOME
@given(chunks())
def test_the_json_twin_is_the_same_chunk(chunk):
    back = decode_json(encode_json(chunk))
    assert same(chunk, back)
    assert encode(back) == encode(chunk)


def test_vectors_are_those_that_the_generator_makes():
    made = make_vectors.files()
    there = {p.name: p.read_bytes() for p in VECTORS.iterdir() if p.suffix in (".cbor", ".json")}
    assert sorted(there) == sorted(made)
    assert [name for name in made if made[name] != there[name]] == []
    assert sum(len(data) for data in there.values()) < 48_000  # whoever ports the format reads them by eye


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_vector(name):
    data, text = (VECTORS / f"{name}.cbor").read_bytes(), (VECTORS / f"{name}.json").read_text()
    chunk = decode(data)
    assert same(chunk, decode_json(text))
    assert encode(chunk) == data
    assert encode_json(chunk) + "\n" == text


def test_another_spelling_is_the_same_chunk():
    spelt = (VECTORS / "also-minimal.cbor").read_bytes()
    plain = (VECTORS / "minimal.cbor").read_bytes()
    assert spelt != plain
    assert encode(decode(spelt)) == plain


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_vector_gives_exactly_its_reason(name):
    expected, data = REFUSED[name]
    with pytest.raises(Refused) as refusal:
        decode(data)
    assert refusal.value.reason is expected


def test_vectors_cover_every_reason_of_the_bytes():
    by_the_bytes = list(Reason)[: list(Reason).index(Reason.NOT_COVERED)]
    assert {reason for reason, _ in REFUSED.values()} == set(by_the_bytes) - {Reason.TOO_LARGE}


@pytest.mark.parametrize(
    ("name", "kind"), [("minimal", "box"), ("six-axes", "box"), ("phone-40-hz", "phone"), ("summary", "box")]
)
def test_a_good_example_is_taken_by_a_city(city, name, kind):
    chunk = replace(decode((VECTORS / f"{name}.cbor").read_bytes()), origin="replay")
    admit(chunk, kind, city, chunk.end_s + 1)


def test_a_payload_over_the_limit_is_refused_before_it_is_read():
    acc = np.zeros((60_000, 3), dtype=np.int16)
    data = encode(box_chunk(acc_counts=acc))
    assert len(data) > MAX_BYTES
    with pytest.raises(Refused) as refusal:
        decode(data)
    assert refusal.value.reason is Reason.TOO_LARGE
    with pytest.raises(Refused) as refusal:
        decode_json(" " * (2 * MAX_BYTES + 1))
    assert refusal.value.reason is Reason.TOO_LARGE


def test_the_largest_payload_is_read():
    chunk = box_chunk()
    room = MAX_BYTES - len(encode(chunk)) + chunk.acc_counts.nbytes
    data = encode(replace(chunk, acc_counts=np.zeros((room // 6 - 2, 3), dtype=np.int16)))
    assert MAX_BYTES - 24 < len(data) <= MAX_BYTES
    assert len(decode(data).acc_counts) == room // 6 - 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.MALFORMED),
        ("[" * 100_000, Reason.MALFORMED),
        ("[]", Reason.WRONG_TYPE),
        ("{}", Reason.MISSING_FIELD),
        ('{"v": 2}', Reason.UNKNOWN_VERSION),
        ('{"v": ' + "9" * 5_000 + "}", Reason.MALFORMED),
    ],
)
def test_a_text_that_is_no_chunk(text, reason):
    with pytest.raises(Refused) as refusal:
        decode_json(text)
    assert refusal.value.reason is reason


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"rate": 100.0', '"rate": NaN', Reason.NOT_FINITE),
        ('"rate": 100.0', '"rate": 1e400', Reason.NOT_FINITE),
        ('"rate": 100.0', '"rate": "100"', Reason.WRONG_TYPE),
        ('"type": "i2"', '"type": "i4"', Reason.WRONG_TYPE),
        ('"type": "i2"', '"type": "f4"', Reason.WRONG_LENGTH),
        ('"data": "', '"data": "*', Reason.WRONG_TYPE),
        ('"data": "', '"data": "A', Reason.WRONG_TYPE),
        ('"shape"', '"form"', Reason.UNKNOWN_FIELD),
    ],
)
def test_a_twin_with_one_fault(old, new, reason):
    text = encode_json(box_chunk(acc_counts=np.zeros((1, 3), dtype=np.int16)))
    assert old in text
    with pytest.raises(Refused) as refusal:
        decode_json(text.replace(old, new, 1))
    assert refusal.value.reason is reason


def _read(data):
    return decode(data) if isinstance(data, bytes) else decode_json(data)


def _doubled():
    plain = encode(box_chunk())
    return bytes([plain[0] + 1]) + plain[1:] + cbor2.dumps("seq") + cbor2.dumps(9)


def _twin_with_more():
    return encode_json(box_chunk()).replace('"type": "i2"', '"type": "i2", "colour": "red"', 1)


def _half_known():
    fixes = box_chunk().fixes
    return encode(box_chunk(fixes=replace(fixes, speed_mps=np.full_like(fixes.speed_mps, -0.5))))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (_doubled, Reason.MALFORMED),  # two readers may believe different ones
        (_twin_with_more, Reason.UNKNOWN_FIELD),
        (_half_known, Reason.OUT_OF_RANGE),  # neither a speed nor unknown
    ],
)
def test_what_the_written_format_forbids_is_refused(made, reason):
    with pytest.raises(Refused) as refusal:
        _read(made())
    assert refusal.value.reason is reason


def test_units_are_those_of_the_properties():
    chunk = box_chunk(gyro_counts=np.full((900, 3), 1024, dtype=np.int16), gyro_scale_radps=1 / 2048)
    assert chunk.acc_mps2[0].tolist() == [0, 0, 2511 / 256]
    assert chunk.gyro_radps[0].tolist() == [0.5, 0.5, 0.5]
    assert chunk.sample_t_s[[0, 200]].tolist() == [START_S - 2, START_S]
    assert box_chunk().gyro_radps is None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (cbor2.dumps({"trip": TRIP, "seq": 7, "v": 9}), (TRIP, 7)),
        (cbor2.dumps({"trip": TRIP, "seq": True}), None),
        (cbor2.dumps({"trip": "x", "seq": 7}), None),
        (cbor2.dumps([TRIP, 7]), None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_peek_names_a_chunk_that_may_be_refused(payload, expected):
    assert peek(payload) == expected


def test_every_reason_says_what_to_do():
    assert set(ADVICE) == set(Reason)
    assert "check the encoder" in str(Refused(Reason.MALFORMED, "x"))
    assert len(Refused(Reason.MALFORMED, "x" * 500).detail) == 200


def test_the_written_format_names_what_the_code_names():
    def texts(rule):
        body = re.search(rf"(?ms)^{rule} = (.*?)(?=^[a-z;]|\Z)", CDDL)
        return re.findall(r'"([^"]+)"', body[1])

    def keys(rule):
        body = re.search(rf"(?ms)^{rule} = {{(.*?)^}}", CDDL)
        return re.findall(r"(?m)^  (?:\? )?([a-z0-9_]+):", body[1])

    assert tuple(texts("carrier")) == CARRIERS
    assert tuple(texts("origin")) == ORIGINS
    assert tuple(texts("datum")) == DATUMS
    assert tuple(texts("defect")) == DEFECT_KEYS
    assert texts("reason") == [reason.value for reason in Reason]
    assert f"v: {VERSION} " in CDDL
    assert f"{MAX_BYTES:,} bytes" in CDDL
    assert f"{2 * MAX_BYTES:,} characters" in CDDL
    short = cbor2.loads(encode(make_vectors.accepted()["summary"]))
    assert keys("summary") == [*short, "laser", "bands", "trimmed", "detections"]
    assert keys("quiet") == list(short["quiet"])
    tree = cbor2.loads(encode(make_vectors.accepted()["highest"]))
    assert keys("chunk") == list(tree)
    for part in ("fixes", "laser", "bands", "trimmed"):
        assert keys(part) == list(tree[part])
    assert keys("detection") == list(tree["detections"][0])
