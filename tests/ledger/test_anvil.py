"""The same anchors, grants and reorganisations on another chain, and what only a chain with a pool and fees can do."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger import store
from ledger.anchor import AnchorOptions, AnchorStatus, step
from ledger.chain import Chain, ChainAway
from ledger.fsck import fsck
from ledger.log import Log

from . import test_anchor, test_grants, test_reorg
from .anvil import Anvil
from .test_anchor import NAME, say
from .test_node import CHAINID_CODE
from .test_reorg import turn

# The fixtures below take the place of those of the embedded chain.
test_from_outbox_to_anchor = test_anchor.test_from_outbox_to_anchor
test_another_log_cannot_use_the_contract = test_anchor.test_another_log_cannot_use_the_contract
test_a_revoked_anchorer = test_anchor.test_a_revoked_anchorer_is_a_reason_not_a_crash
test_spent_nonce = test_anchor.test_spent_nonce_fails_the_row_and_the_next_step_signs_anew
test_deployment_is_made_once_and_checked = test_anchor.test_deployment_is_made_once_and_checked
test_a_grant_stands_on_the_chain_and_its_end_too = test_grants.test_a_grant_stands_on_the_chain_and_its_end_too
test_what_can_never_be_is_given_up = test_grants.test_what_can_never_be_is_given_up_and_does_not_hold_up_others
test_a_window_that_follows = test_grants.test_a_window_that_follows_does_not_interrupt_the_one_in_force
test_signed_elsewhere = test_grants.test_signed_elsewhere
test_anchors_of_blocks_given_up = test_reorg.test_anchors_of_blocks_given_up_go_back_with_the_same_bytes
test_what_was_on_its_way = test_reorg.test_what_was_on_its_way_waits_for_what_was_undone_before_it
test_an_anchor_is_final = test_reorg.test_an_anchor_is_final_under_enough_blocks
test_grants_of_blocks_given_up = test_reorg.test_grants_of_blocks_given_up_are_sent_again
test_a_database_older_than_the_chain = test_reorg.test_a_database_older_than_the_chain_takes_the_first_time


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    """Shared; each test has a contract of its own on it."""
    started = Anvil(tmp_path_factory.mktemp("anvil")).start()
    yield started
    started.stop()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """An empty log."""
    with Log(tmp_path / "log", NAME) as opened:
        yield opened


@pytest.fixture
def direct(node: Anvil) -> Anvil:
    """What tests of reorganisations put back."""
    return node


@pytest.fixture
def key(node: Anvil) -> Path:
    """The admin's."""
    return node.folder / "genesis.key"


@pytest.fixture
def chain(node: Anvil, tmp_path: Path) -> Chain:
    """A contract of one's own, and coins to anchor with."""
    made = Chain(node.url, tmp_path / "keys")
    node.fund(made.anchorer.address)
    made.deploy(node.folder / "genesis.key")
    return made


@pytest.fixture(autouse=True)
def _lease(conn: psycopg.Connection[Any]) -> Iterator[None]:
    yield
    conn.rollback()
    conn.execute("SELECT pg_advisory_unlock_all()")


def test_chain_id_of_opcode_and_rpc_agree(node: Anvil) -> None:
    said = int(node.ask("eth_call", {"data": "0x" + CHAINID_CODE.hex()}, "latest"), 16)
    assert said == int(node.ask("eth_chainId"), 16) == int(node.ask("net_version"))


def test_block_time_after_idling_is_now(tmp_path: Path, conn: psycopg.Connection[Any]) -> None:
    node = Anvil(tmp_path).start()  # of its own: the others move its clock
    chain = Chain(node.url, tmp_path / "keys")
    node.fund(chain.anchorer.address)
    chain.deploy(node.folder / "genesis.key")
    node.ask("evm_increaseTime", 3600)
    with Log(tmp_path / "log", NAME) as log:
        say(conn, 1)
        assert step(conn, log, chain, time.time()).state == "anchored"
    assert abs(chain.head().time - 3600 - time.time()) < 30
    node.stop()


def test_what_kind_of_chain_it_is(chain: Chain) -> None:
    kind = chain.kind()
    assert (kind.chain_id, kind.seals) == (860533, False)
    assert kind.base_fee is not None
    assert "anvil" in str(kind)


def pending(conn: psycopg.Connection[Any], log: Log, chain: Chain, node: Anvil, after_s: float) -> AnchorStatus:
    return step(conn, log, chain, node.clock[0] + after_s, AnchorOptions(wait_s=0.3, stuck_s=120))


@pytest.fixture
def still(node: Anvil) -> Iterator[Anvil]:
    """No blocks unless asked for."""
    node.ask("evm_setAutomine", False)
    yield node
    node.ask("anvil_mine")
    node.ask("evm_setAutomine", True)


def test_what_is_stuck_is_sent_again_at_a_higher_fee(
    conn: psycopg.Connection[Any], chain: Chain, still: Anvil, log: Log
) -> None:
    say(conn, 2)
    assert pending(conn, log, chain, still, 0).reason == "sent, not mined yet"
    cheap = store.open_anchor(conn)
    assert cheap is not None
    assert pending(conn, log, chain, still, 119).reason == "sent, not mined yet"
    assert pending(conn, log, chain, still, 121).reason == "sent again at a higher fee"
    dear = store.open_anchor(conn)
    assert dear is not None
    assert (dear.id, dear.nonce, dear.root) == (cheap.id, cheap.nonce, cheap.root)
    assert chain.nonce_of(dear.raw_tx) == cheap.nonce
    assert chain.data_of(dear.raw_tx) == chain.data_of(cheap.raw_tx)
    still.ask("anvil_mine")
    assert pending(conn, log, chain, still, 122).state == "anchored"
    assert chain.receipt(cheap.tx_hash) is None
    assert chain.head().size == 2
    assert fsck(conn, log, chain, log.verifier) == []


def test_a_replaced_transaction_that_is_mined_after_all_is_the_one_that_counts(
    conn: psycopg.Connection[Any], chain: Chain, still: Anvil, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(conn, 2)
    pending(conn, log, chain, still, 0)
    cheap = store.open_anchor(conn)
    assert cheap is not None
    with monkeypatch.context() as patch:
        sent: list[bytes] = []

        def gone(raw: bytes) -> bytes:
            if raw != cheap.raw_tx:
                raise ChainAway("cut")
            sent.append(raw)
            return cheap.tx_hash

        patch.setattr(chain, "send", gone)
        assert pending(conn, log, chain, still, 200).state == "away"
    dear = store.open_anchor(conn)
    assert dear is not None
    assert dear.raw_tx != cheap.raw_tx
    still.ask("anvil_mine")
    assert pending(conn, log, chain, still, 201).state == "anchored"
    row = store.newest_anchor(conn)
    assert row is not None
    assert (row.tx_hash, row.raw_tx) == (cheap.tx_hash, cheap.raw_tx)
    assert fsck(conn, log, chain, log.verifier) == []


def test_no_dearer_one_without_coins(conn: psycopg.Connection[Any], chain: Chain, still: Anvil, log: Log) -> None:
    say(conn, 2)
    pending(conn, log, chain, still, 0)
    before = store.open_anchor(conn)
    still.ask("anvil_setBalance", chain.anchorer.address, "0x1")
    status = pending(conn, log, chain, still, 300)
    assert status.state == "refused"
    assert "a higher fee needs" in status.reason
    assert store.open_anchor(conn) == before
    still.fund(chain.anchorer.address)
    assert pending(conn, log, chain, still, 301).reason == "sent again at a higher fee"
    still.ask("anvil_mine")
    assert pending(conn, log, chain, still, 302).state == "anchored"


def test_an_account_used_by_somebody_else_as_well(
    conn: psycopg.Connection[Any], chain: Chain, direct: Anvil, log: Log
) -> None:
    say(conn, 1)
    turn(conn, log, chain, direct)
    for size in (2, 3):
        nonce = chain.nonce()
        chain.send(chain.sign(chain.anchorer, chain.anchorer.address, "0x", 30_000, nonce))
        say(conn, 1, first=size)
        assert turn(conn, log, chain, direct).anchored == size
    assert fsck(conn, log, chain, log.verifier) == []
