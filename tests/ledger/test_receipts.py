"""Receipts: what was promised at once, and whether it was kept."""

from pathlib import Path
from typing import Any

import cbor2
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import prove, store
from ledger.anchor import step
from ledger.chain import Chain
from ledger.cose import read1, sign1
from ledger.keys import pair_of
from ledger.log import Log
from ledger.merkle import leaf_hash
from ledger.receipts import (
    Promise,
    Promiser,
    ReceiptError,
    load_promiser,
    open_receipt,
    public_text,
    read_public,
    read_receipt,
    sign_receipt,
    verify_receipt,
)
from ledger.receipts_store import enqueue_promised, merging, receipt_for
from ledger.records import encode_plain

from .test_store import code

PAIR, OTHER = pair_of(bytes(32)), pair_of(bytes(31) + b"\x01")
NAME = "road.test/log"
PROMISE = Promise(bytes(range(32)), 1_700_000_000_000, 60, NAME)
Conn = psycopg.Connection[Any]


def test_a_receipt_says_what_was_promised_and_by_whom() -> None:
    receipt = sign_receipt(PROMISE, PAIR)
    assert open_receipt(receipt, PAIR.key) == read_receipt(receipt) == PROMISE
    assert (read1(receipt).alg, read1(receipt).kid) == (-8, PAIR.kid)
    assert PROMISE.due_ms == 1_700_000_060_000
    with pytest.raises(ReceiptError):
        open_receipt(receipt, OTHER.key)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_is_no_receipt(at: int, bit: int) -> None:
    receipt = bytearray(sign_receipt(PROMISE, PAIR))
    receipt[at % len(receipt)] ^= 1 << bit
    with pytest.raises(ReceiptError):
        open_receipt(bytes(receipt), PAIR.key)


SAID = {"v": 1, "leaf": bytes(32), "at_ms": 1, "mmd_s": 60, "log": "x"}


@pytest.mark.parametrize(
    "said",
    [
        {**SAID, "v": 2}, {**SAID, "leaf": bytes(31)}, {**SAID, "mmd_s": 0}, {**SAID, "at_ms": True},
        {**SAID, "log": 7}, {**SAID, "more": 1}, {"v": 1}, [], 7,
    ],
)  # fmt: skip
def test_what_is_signed_and_is_no_promise_is_named(said: Any) -> None:
    with pytest.raises(ReceiptError):
        open_receipt(sign1(encode_plain(said), PAIR), PAIR.key)


def test_a_promise_has_one_spelling() -> None:
    loose = cbor2.dumps(dict(reversed(SAID.items())))
    with pytest.raises(ReceiptError, match="one spelling"):
        open_receipt(sign1(loose, PAIR), PAIR.key)


@given(st.binary(max_size=200))
def test_reading_is_total(data: bytes) -> None:
    with pytest.raises(ReceiptError):
        read_receipt(data)


def test_the_key_lies_beside_the_logs(tmp_path: Path) -> None:
    first = load_promiser(tmp_path, NAME, 30)
    again = load_promiser(tmp_path, NAME, 30)
    assert first.pair.kid == again.pair.kid
    assert (tmp_path / "receipt.key").stat().st_mode & 0o777 == 0o600
    assert read_public((tmp_path / "receipt.pub").read_text()) == first.pair.key
    with pytest.raises(ReceiptError):
        read_public(public_text(PAIR.key).replace(PAIR.kid.hex(), OTHER.kid.hex()))


def test_a_promise_is_kept_or_is_evidence(conn: Conn, chain: Chain, tmp_path: Path) -> None:
    made = Promiser(PAIR, NAME)
    (mine, other) = enqueue_promised(conn, [code(1), code(2)], made, 1_000)
    assert read_receipt(mine).leaf == leaf_hash(code(1).body)
    conn.commit()

    def promise(receipt: bytes, now_ms: int, proof: Any = None, key: str = "") -> bool | None:
        return {s.name: s.ok for s in verify_receipt(receipt, PAIR.key, now_ms, proof, key)}["promise"]

    assert promise(mine, 61_000) is None
    assert promise(mine, 61_001) is False
    with Log(tmp_path / "log", NAME) as log:
        step(conn, log, chain, 2e9)
        proof = prove(conn, log, 0, which="head")
        later = 10**15
        assert promise(mine, later, proof, log.verifier) is True
        assert promise(other, later, proof, log.verifier) is False, "another record's proof proves nothing"
        changed = dict(proof, checkpoint=proof["checkpoint"].replace("\n2\n", "\n3\n"))
        assert promise(mine, later, changed, log.verifier) is False
        foreign = Promiser(PAIR, "another.log").receipt(leaf_hash(code(1).body), 1_000)
        assert promise(foreign, later, proof, log.verifier) is False
        steps = verify_receipt(mine, OTHER.key, later, proof, log.verifier)
        assert [(s.name, s.ok) for s in steps] == [("receipt", False)], "by a foreign key nothing was promised"
    conn.rollback()
    conn.execute("SELECT pg_advisory_unlock_all()")


def test_what_rolls_back_was_not_promised(conn: Conn) -> None:
    enqueue_promised(conn, [code(1)], Promiser(PAIR, NAME), 1_000)
    conn.rollback()
    assert receipt_for(conn, leaf_hash(code(1).body), Promiser(PAIR, NAME)) is None


def test_who_asks_later_gets_a_receipt_from_when_it_was_said(conn: Conn) -> None:
    made = Promiser(PAIR, NAME, 30)
    store.enqueue(conn, [code(1), code(2)])
    conn.execute("UPDATE outbox SET at = '2026-11-23T10:00:00Z'")
    first, second = (leaf_hash(code(n).body) for n in (1, 2))
    said = receipt_for(conn, first, made)
    assert said is not None
    assert read_receipt(said) == Promise(first, 1_795_428_000_000, 30, NAME)
    store.number_outbox(conn, 10)
    assert receipt_for(conn, first, Promiser(OTHER, NAME, 99)) == said, "one record, one promise"
    numbered = receipt_for(conn, second, made)
    assert numbered is not None
    assert read_receipt(numbered).at_ms == 1_795_428_000_000, "not from when it was numbered"
    assert receipt_for(conn, bytes(32), made) is None
    conn.rollback()
    conn.execute("SELECT pg_advisory_unlock_all()")


def test_how_long_records_wait_is_known(conn: Conn, chain: Chain, tmp_path: Path) -> None:
    assert (merging(conn).waiting, merging(conn).oldest_s) == (0, 0.0)
    store.enqueue(conn, [code(1), code(2)])
    conn.execute("UPDATE outbox SET at = now() - interval '100 s' WHERE id = (SELECT min(id) FROM outbox)")
    conn.commit()
    assert merging(conn).waiting == 2
    assert 100 <= merging(conn).oldest_s < 200
    store.number_outbox(conn, 10)
    conn.commit()
    assert 100 <= merging(conn).oldest_s < 200, "numbered is not signed"
    with Log(tmp_path / "log", NAME) as log:
        step(conn, log, chain, 2e9)
    now = merging(conn)
    assert (now.waiting, now.oldest_s) == (0, 0.0)
    assert 100 <= now.longest_s < 200
    conn.rollback()
    conn.execute("SELECT pg_advisory_unlock_all()")
