"""Departments' rights on the chain: each step once and in order, never back-dated, never with a key made here."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger import store
from ledger.chain import Chain, Window
from ledger.cold import ColdError, export_grants, import_grants, sign_grants
from ledger.grants import GrantStatus, account_of, enqueue_grant, enqueue_revocation, grants_of, settle_grants

from .conftest import Node

LATER = 4_000_000_000
LEAF = [bytes([i]) * 32 for i in range(40)]
POLICE, WATER, GAS = (account_of(bytes([i]) * 32) for i in (1, 2, 3))


@pytest.fixture(autouse=True)
def _lease(conn: psycopg.Connection[Any]) -> Iterator[None]:
    yield
    conn.rollback()
    conn.execute("SELECT pg_advisory_unlock_all()")


@pytest.fixture
def key(node: Node) -> Path:
    """The admin's."""
    return node.folder / "genesis.key"


def settle(conn: psycopg.Connection[Any], chain: Chain, key: Path | None, now_s: float) -> GrantStatus:
    conn.commit()
    return settle_grants(conn, chain, key, now_s)


def test_an_account_is_made_from_the_key_as_documented() -> None:
    public = bytes(range(32))
    assert account_of(public) == sha256(b"rhc department\n" + public).digest()[12:]
    with pytest.raises(ValueError, match="32 bytes"):
        account_of(public[1:])


def test_a_grant_stands_on_the_chain_and_its_end_too(
    conn: psycopg.Connection[Any], chain: Chain, key: Path
) -> None:
    now = chain.head_time()
    enqueue_grant(conn, POLICE, 1_000, LATER, LEAF[0])
    enqueue_grant(conn, POLICE, 1_000, LATER, LEAF[0])  # the same step for the same record
    enqueue_grant(conn, WATER, LATER - 9, LATER, LEAF[1])
    assert settle(conn, chain, key, now) == GrantStatus(2, 0, "idle")
    (mine,) = chain.department_windows(POLICE)
    assert mine == Window(mine.at, LATER, mine.at)  # asked for the past, given from now on
    assert mine.at >= now
    assert chain.department_windows(WATER)[0].start == LATER - 9
    assert [row.status for row in grants_of(conn)] == ["mined"] * 2
    assert all(row.final for row in grants_of(conn))
    for time, had in ((mine.at - 1, False), (mine.at, True), (LATER - 1, True), (LATER, False)):
        assert chain.had_department(POLICE, time) == had
    enqueue_revocation(conn, POLICE, LEAF[2])
    assert settle(conn, chain, key, now).settled == 1
    ended = chain.department_windows(POLICE)[-1]
    assert (ended.start, ended.end) == (0, 0)
    # Blocks of some chains may share a second.
    assert chain.had_department(POLICE, ended.at - 1) == (mine.at < ended.at)
    assert not chain.had_department(POLICE, ended.at)


def test_what_can_never_be_is_given_up_and_does_not_hold_up_others(
    conn: psycopg.Connection[Any], chain: Chain, key: Path
) -> None:
    now = chain.head_time()
    enqueue_revocation(conn, POLICE, LEAF[0])
    enqueue_grant(conn, WATER, 5, 10, LEAF[1])
    enqueue_grant(conn, GAS, 5, LATER, LEAF[2])
    enqueue_revocation(conn, GAS, LEAF[3])
    enqueue_grant(conn, GAS, 5, LATER, LEAF[4])
    assert settle(conn, chain, key, now) == GrantStatus(1, 0, "idle")
    assert [(row.status, row.reason) for row in grants_of(conn)] == [
        ("failed", "nothing to revoke"),
        ("failed", "its window was over before it could stand on the chain"),
        ("failed", "revoked before it stood on the chain"),
        ("failed", "nothing to revoke"),
        ("mined", None),
    ]


def test_a_window_that_follows_does_not_interrupt_the_one_in_force(
    conn: psycopg.Connection[Any], chain: Chain, key: Path
) -> None:
    now = chain.head_time()
    enqueue_grant(conn, POLICE, 0, LATER, LEAF[0])
    settle(conn, chain, key, now)
    begun = chain.department_windows(POLICE)[0].at
    enqueue_grant(conn, POLICE, LATER, LATER + 100, LEAF[1])  # on from its end
    enqueue_grant(conn, WATER, 0, LATER, LEAF[2])
    settle(conn, chain, key, now)
    enqueue_grant(conn, WATER, LATER + 50, LATER + 100, LEAF[3])  # after a pause: not yet
    assert settle(conn, chain, key, now) == GrantStatus(0, 1, "idle")
    newest = chain.department_windows(POLICE)[-1]
    assert newest.start == newest.at
    assert newest.end == LATER + 100
    assert all(chain.had_department(POLICE, at) for at in (begun, newest.at, LATER - 1, LATER, LATER + 99))
    assert len(chain.department_windows(WATER)) == 1
    enqueue_revocation(conn, WATER, LEAF[4])  # what waits must not hold up an end
    assert settle(conn, chain, key, now) == GrantStatus(1, 0, "idle")
    assert not chain.had_department(WATER, LATER + 60)


def test_without_the_key_steps_wait_and_none_is_made(
    conn: psycopg.Connection[Any], chain: Chain, tmp_path: Path
) -> None:
    enqueue_grant(conn, POLICE, 0, LATER, LEAF[0])
    status = settle(conn, chain, tmp_path / "no.key", chain.head_time())
    assert (status.state, status.waiting) == ("no key", 1)
    assert "export-grants" in status.reason
    assert not (tmp_path / "no.key").exists()
    enqueue_revocation(conn, POLICE, LEAF[1])
    assert settle(conn, chain, None, chain.head_time()).state == "no key"


def test_signed_elsewhere(conn: psycopg.Connection[Any], chain: Chain, key: Path) -> None:
    now = chain.head_time()
    enqueue_grant(conn, POLICE, 0, LATER, LEAF[0])
    enqueue_grant(conn, WATER, 0, LATER, LEAF[1])
    conn.commit()
    document = export_grants(conn, chain, chain.account(key).address, now)
    first, second = document
    for forged, why in (
        ([first | {"account": "0x" + GAS.hex()}], "something else"),  # the words name another than the transaction
        ([first | {"to_s": 7}], "something else"),
        ([first | {"step": "revoke"}], "something else"),
        ([first | {"tx": first["tx"] | {"value": 1}}], "something else"),
        ([first | {"tx": first["tx"] | {"data": "0x"}}], "something else"),
        ([first | {"tx": first["tx"] | {"gas": 30_000_000}}], "more than any grant"),
        ([first, second | {"tx": second["tx"] | {"to": "0x" + GAS.hex()}}], "more than one contract"),
        ([{"grant": 1}], "export-grants"),
    ):
        with pytest.raises(ColdError, match=why):
            sign_grants(key, forged)
    signed = sign_grants(key, document)
    for bad, why in (
        ([signed[0] | {"raw": signed[1]["raw"]}], "something else"),
        ([signed[0] | {"raw": "00"}], "another chain"),
        ([{"grant": 1}], "sign-grants"),
        ([signed[0] | {"grant": 99}], "does not wait"),
    ):
        with pytest.raises(ColdError, match=why):
            import_grants(conn, chain, bad, now)
        conn.rollback()
    assert import_grants(conn, chain, signed, now) == 2
    assert settle(conn, chain, None, now) == GrantStatus(2, 0, "idle")
    assert chain.department_windows(POLICE)[0].end == chain.department_windows(WATER)[0].end == LATER
    with pytest.raises(ColdError, match="does not wait"):
        import_grants(conn, chain, signed, now)
    conn.rollback()


def test_a_key_without_the_right_is_a_reason(conn: psycopg.Connection[Any], chain: Chain, tmp_path: Path) -> None:
    enqueue_grant(conn, POLICE, 0, LATER, LEAF[0])
    status = settle(conn, chain, tmp_path / "keys" / "anchorer.key", chain.head_time())
    assert (status.state, status.reason, status.waiting) == ("refused", "the chain refused: not admin", 1)


def test_one_sends_at_a_time(conn: psycopg.Connection[Any], database_url: str, chain: Chain, key: Path) -> None:
    with psycopg.connect(database_url) as other:
        assert store.take_lease(other)
        other.commit()
        with pytest.raises(store.LeaseHeld):
            settle(conn, chain, key, 0)
