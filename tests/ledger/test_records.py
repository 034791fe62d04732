"""Record bodies: the same statement always has the same bytes, and nothing else is read."""

from datetime import date

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.records import (
    MAX_BODY,
    MAX_PLAIN,
    MOST_CELLS,
    Record,
    RecordError,
    block_record,
    case_record,
    code_record,
    context_record,
    encode,
    parse,
)

DAY = date(2026, 11, 23)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=30) | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=30), inner, max_size=4),
    max_leaves=10,
)


def test_builders_name_version_kind_algorithm_and_origin() -> None:
    for made in (
        code_record(7, DAY, 1, {"colour": 0}, {"colour": 3}, ["pothole"], bytes(32), "live"),
        block_record(7, DAY, 2, bytes(32), bytes(32), 5, bytes(32), ["replay", "live"]),
        context_record(DAY, {"model": "jolt-1"}, "simulated"),
        case_record(7, "opened", [9, 8], 1, "three boxes", "live"),
    ):
        content = parse(made.body)
        assert (content["v"], content["kind"], content["alg"]) == (1, made.kind, "sha256")
        assert content["origin"] in ("live", "simulated", ["live", "replay"])
        assert made.subject == (None if made.kind == "context" else 7)


@given(PLAIN)
def test_round_trip_and_one_spelling(value: object) -> None:
    body = encode({"x": value})  # type: ignore[dict-item]
    assert cbor2.loads(body) == {"x": value}
    assert encode(cbor2.loads(body)) == body


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), 2**63, {1: 2}, {b"k": 1}, DAY, {"s": {1, 2}}, cbor2.undefined, "\ud800", [[1.0]]]
)
def test_what_has_no_one_spelling_is_refused(value: object) -> None:
    with pytest.raises(RecordError):
        encode(value)  # type: ignore[arg-type]


def test_deep_and_large_bodies_are_refused() -> None:
    deep: list[object] = []
    for _ in range(20):
        deep = [deep]
    with pytest.raises(RecordError, match="nested"):
        encode(deep)  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="hash instead"):
        encode(bytes(MAX_PLAIN))
    with pytest.raises(RecordError, match="hash instead"):
        context_record(DAY, {"long": "x" * MAX_BODY}, "live")


def test_a_case_of_very_many_squares_is_recorded_by_their_hash() -> None:
    small = parse(case_record(7, "grown", range(MOST_CELLS, 0, -1), 1, "w", "live").body)
    large = parse(case_record(7, "grown", [2**52 + n for n in range(50_000)], 1, "w", "live").body)
    assert small["cells"] == list(range(1, MOST_CELLS + 1))
    assert "cells" not in large
    assert large["cells_count"] == 50_000
    assert len(large["cells_sha256"]) == 32


@given(st.binary(max_size=200))
def test_parse_is_total(body: bytes) -> None:
    with pytest.raises(RecordError):
        parse(body)


@given(st.data())
def test_a_changed_body_is_another_record_or_none(data: st.DataObject) -> None:
    body = code_record(7, DAY, 1, {"a": 1}, {"b": "x"}, "w", bytes(32), "live").body
    at = data.draw(st.integers(0, len(body) - 1))
    changed = bytes([*body[:at], body[at] ^ (1 << data.draw(st.integers(0, 7))), *body[at + 1 :]])
    try:
        content = parse(changed)
    except RecordError:
        return
    assert encode(content) == changed


@pytest.mark.parametrize(
    "body",
    [
        cbor2.dumps({"v": 1, "kind": "code"}),
        b"\xbf\x61v\x01\xff",
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\x81" * 5000,
        b"\x5b\x0f\xff\xff\xff\xff\xff\xff\xff",  # claims 2**60 bytes
        b"\xd8\x23\x63(((",
    ],
)
def test_hostile_bodies_get_a_named_error(body: bytes) -> None:
    with pytest.raises(RecordError):
        parse(body)


def test_a_record_agrees_with_its_body() -> None:
    good = code_record(7, DAY, 1, {}, {}, None, bytes(32), "live")
    with pytest.raises(RecordError):
        Record("code", 8, good.body)
    with pytest.raises(RecordError):
        Record("case", 7, good.body)
    with pytest.raises(RecordError, match="origin"):
        code_record(7, DAY, 1, {}, {}, None, bytes(32), "invented")
    with pytest.raises(RecordError, match="32 bytes"):
        code_record(7, DAY, 1, {}, {}, None, b"short", "live")
