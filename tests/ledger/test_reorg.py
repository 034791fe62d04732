"""What the chain gives up is sent again, what is stuck pays more, what is replaced is told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger import store
from ledger.anchor import AnchorOptions, AnchorStatus, step
from ledger.chain import Chain, tx_hash_of
from ledger.fsck import fsck
from ledger.grants import account_of, enqueue_grant, grants_of, settle_grants
from ledger.log import Log
from ledger.merkle import leaf_hash
from ledger.proof import prove, verify_proof
from ledger.records import department_record

from .direct import Direct, chain_of
from .test_anchor import NAME, say

POLICE = account_of(b"p" * 32)


@pytest.fixture(autouse=True)
def _lease(conn: psycopg.Connection[Any]) -> Iterator[None]:
    yield
    conn.rollback()
    conn.execute("SELECT pg_advisory_unlock_all()")


@pytest.fixture
def direct(tmp_path: Path) -> Iterator[Direct]:
    """A chain that can be put back."""
    provider = Direct(tmp_path / "node", [1_800_000_000.0])
    yield provider
    provider.chain.close()


@pytest.fixture
def chain(direct: Direct, tmp_path: Path) -> Chain:
    """A contract on it."""
    return chain_of(direct, tmp_path / "keys")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """An empty log."""
    with Log(tmp_path / "log", NAME) as opened:
        yield opened


def turn(conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct, **options: Any) -> AnchorStatus:
    """A turn, ten seconds after the one before."""
    direct.clock[0] += 10
    return step(conn, log, chain, direct.clock[0], AnchorOptions(wait_s=direct.wait_s, **options))


def mined(conn: psycopg.Connection[Any]) -> list[tuple[int, str]]:
    return [(row.size, row.status) for row in store.anchors_from(conn, 0, 100)]


def test_anchors_of_blocks_given_up_go_back_with_the_same_bytes(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct
) -> None:
    say(conn, 3)
    turn(conn, log, chain, direct)
    direct.save()
    before = {}
    for size in (4, 5):
        say(conn, 1, first=size)
        assert turn(conn, log, chain, direct).state == "anchored"
        row = store.newest_anchor(conn)
        assert row is not None
        before[size] = row
    direct.put_back()
    assert chain.head().size == 3
    status = turn(conn, log, chain, direct)
    assert (status.undone, status.state, status.anchored) == (2, "anchored", 4)
    assert turn(conn, log, chain, direct).anchored == 5
    after = {row.size: row for row in store.anchors_from(conn, 0, 100)}
    for size in (4, 5):
        assert after[size].raw_tx == before[size].raw_tx
        assert after[size].block_hash != before[size].block_hash
        assert (after[size].block_time or 0) > (before[size].block_time or 0)
    assert mined(conn) == [(3, "mined"), (4, "mined"), (5, "mined")]
    assert fsck(conn, log, chain, log.verifier) == []
    assert turn(conn, log, chain, direct).undone == 0


def test_what_was_on_its_way_waits_for_what_was_undone_before_it(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct
) -> None:
    direct.save()
    say(conn, 3)
    turn(conn, log, chain, direct)
    say(conn, 1, first=3)
    root = log.root(3)
    note = log.checkpoint()
    store.put_checkpoint(conn, 3, root, note)
    raw = chain.sign_anchor(root, b"r" * 32, 9, [], 1)
    store.prepare_anchor(conn, 3, root, 1, tx_hash_of(raw), raw, int(direct.clock[0]))
    conn.commit()
    direct.put_back()
    assert turn(conn, log, chain, direct).anchored == 3
    assert mined(conn) == [(3, "mined"), (3, "undone")]
    turn(conn, log, chain, direct)
    assert mined(conn)[1] == (3, "failed")
    assert turn(conn, log, chain, direct).anchored == 4


def test_an_anchor_is_final_under_enough_blocks(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct
) -> None:
    say(conn, 2)
    turn(conn, log, chain, direct, confirmations=2)
    proof = prove(conn, log, 0, chain)
    assert proof["anchor"]["status"] == "mined"
    pending = next(s for s in verify_proof(proof, log.verifier, chain) if s.name == "anchor")
    assert pending.ok is None
    assert "enough blocks" in pending.detail
    direct.save()
    for size in (3, 4):
        say(conn, 1, first=size)
        turn(conn, log, chain, direct, confirmations=2)
    assert [row.final for row in store.anchors_from(conn, 0, 9)] == [True, False, False]
    turn(conn, log, chain, direct)
    assert [row.final for row in store.anchors_from(conn, 0, 9)] == [True, True, True]
    direct.put_back()  # deeper than was thought possible
    assert turn(conn, log, chain, direct, confirmations=2).undone == 2
    assert [row.final for row in store.anchors_from(conn, 0, 9)] == [True, False, False]


def test_grants_of_blocks_given_up_are_sent_again(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct
) -> None:
    record = department_record("police", "granted", b"c" * 32, POLICE, {}, 0, "simulated")
    store.enqueue(conn, [record])
    enqueue_grant(conn, POLICE, 0, 3_000_000_000, leaf_hash(record.body))
    conn.commit()
    turn(conn, log, chain, direct)
    direct.save()
    key = direct.folder / "genesis.key"
    assert settle_grants(conn, chain, key, direct.clock[0]).settled == 1
    assert fsck(conn, log, chain, log.verifier) == []
    direct.put_back()
    assert chain.department_windows(POLICE) == []
    assert "does not have it" in " ".join(fault.text for fault in fsck(conn, log, chain, log.verifier))
    direct.clock[0] += 60
    status = settle_grants(conn, chain, key, direct.clock[0])
    assert (status.settled, status.undone, status.waiting) == (1, 1, 0)
    assert chain.department_windows(POLICE)[0].end == 3_000_000_000
    assert fsck(conn, log, chain, log.verifier) == []
    # Somebody with an admin's key beside the outbox, and a step that no record says.
    raw = chain.sign_grant(chain.account(key), POLICE, (0, 3_000_000_001), chain.nonce_of_account(
        chain.account(key).address))  # fmt: skip
    chain.send(raw)
    enqueue_grant(conn, POLICE, 0, 3_000_000_000, b"?" * 32)
    assert [fault.text for fault in fsck(conn, log, chain, log.verifier)] == [
        "no record of a department in the log says it",
        "the contract has 2 windows, the outbox made 1: somebody else used an admin's key",
    ]
    assert [row.status for row in grants_of(conn, POLICE)] == ["mined", "waiting"]


def test_another_chain_is_told_and_takes_nothing_back(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct, tmp_path: Path
) -> None:
    say(conn, 3)
    turn(conn, log, chain, direct)
    other = Direct(tmp_path / "other", direct.clock)
    chain._web3.provider = other
    say(conn, 1, first=3)
    for _ in range(2):
        status = turn(conn, log, chain, direct)
        assert status.state == "refused"
        assert "was the chain replaced" in status.reason
    assert mined(conn) == [(3, "mined")]
    # The operator begins a new contract there: the old bytes are not for it, and the next head is its first.
    (tmp_path / "keys" / "contract.json").unlink()
    fresh = chain_of(other, tmp_path / "keys")
    for _ in range(3):
        status = turn(conn, log, fresh, direct)
    assert (status.state, status.anchored) == ("anchored", 4)
    old = store.anchors_from(conn, 0, 1)[0]
    assert (old.size, old.status, old.reason) == (
        3, "failed", "signed for another chain or contract than the one in use",
    )  # fmt: skip
    assert fresh.head().seq == 1
    other.chain.close()


def test_a_database_older_than_the_chain_takes_the_first_time(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct
) -> None:
    say(conn, 3)
    turn(conn, log, chain, direct)
    first = chain.head()
    conn.execute("TRUNCATE anchor CASCADE")
    conn.commit()
    direct.clock[0] += 86_400
    assert turn(conn, log, chain, direct).state == "anchored"
    row = store.newest_anchor(conn)
    assert row is not None
    assert (row.seq, row.block_time) == (1, first.time)
    assert fsck(conn, log, chain, log.verifier) == []
    steps = {s.name: s.ok for s in verify_proof(prove(conn, log, 0, chain), log.verifier, chain)}
    assert steps["anchor"] is True
    assert False not in steps.values()


def test_a_chain_whose_clock_is_ahead_holds_nothing_up(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct
) -> None:
    direct.clock[0] += 86_400
    say(conn, 1)
    turn(conn, log, chain, direct)
    say(conn, 1, first=1)
    status = step(conn, log, chain, direct.clock[0] - 86_400, AnchorOptions(wait_s=0, every_s=60))
    assert (status.state, status.anchored) == ("anchored", 2)


def test_chain_away_for_an_hour(conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct) -> None:
    say(conn, 1)
    turn(conn, log, chain, direct)
    direct.away = True
    ended = direct.clock[0] + 3600
    told = 1
    while direct.clock[0] < ended:
        say(conn, 1, first=told)
        told += 1
        direct.clock[0] += 50
        status = turn(conn, log, chain, direct)
        assert (status.state, status.size, status.anchored) == ("away", told, 1)
    direct.away = False
    assert turn(conn, log, chain, direct).anchored == told == 61
    assert chain.head().seq == 2


def test_the_same_head_refused_twice_is_the_same_row(
    conn: psycopg.Connection[Any], log: Log, chain: Chain, direct: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account whose coins are gone: the same bytes wait, and no row is added with every turn."""
    say(conn, 1)
    with monkeypatch.context() as patch:
        patch.setattr(direct.chain, "balance", lambda _account: 0)
        patch.setattr(direct.chain, "mine", lambda _raw: (_ for _ in ()).throw(ValueError("insufficient funds")))
        for _ in range(3):
            assert turn(conn, log, chain, direct).state == "refused"
    assert mined(conn) == [(1, "prepared")]
    assert turn(conn, log, chain, direct).state == "anchored"
    assert mined(conn) == [(1, "mined")]
