"""The pump: whatever dies in it, each head is anchored once, by the same bytes."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger import store
from ledger.anchor import AnchorOptions, AnchorStatus, LogDiverged, step
from ledger.chain import Chain, WrongContract
from ledger.fsck import fsck
from ledger.log import Log
from ledger.note import verify_note

from .conftest import Node
from .direct import Direct, chain_of
from .test_store import code

NAME = "road.test/log"
NOW = 2e9
# What is asked of the chain in a turn: between any two of these the process may die.
ASKED = {"head", "check_anchor", "nonce", "sign_anchor", "send", "receipt", "block_hash"}


@pytest.fixture(autouse=True)
def _lease(conn: psycopg.Connection[Any]) -> Iterator[None]:
    yield
    conn.rollback()
    conn.execute("SELECT pg_advisory_unlock_all()")


def say(conn: psycopg.Connection[Any], count: int, first: int = 0) -> None:
    """Let another pump say something."""
    store.enqueue(conn, [code(first + i) for i in range(count)])
    conn.commit()


def test_from_outbox_to_anchor(conn: psycopg.Connection[Any], chain: Chain, tmp_path: Path) -> None:
    with Log(tmp_path / "log", NAME) as log:
        assert step(conn, log, chain, NOW) == AnchorStatus(0, 0, 0, "empty")
        say(conn, 5)
        assert step(conn, log, chain, NOW) == AnchorStatus(5, 5, 5, "anchored")
        assert step(conn, log, chain, NOW) == AnchorStatus(0, 5, 5, "anchored")
        say(conn, 2500)
        assert step(conn, log, chain, NOW) == AnchorStatus(2500, 2505, 2505, "anchored")
        head = chain.head()
        assert (head.seq, head.size, head.root) == (2, 2505, log.root(2505))
        row = store.newest_anchor(conn)
        assert row is not None
        receipt = chain.receipt(row.tx_hash)
        assert receipt is not None
        assert (row.seq, row.block_time, row.block_hash) == (2, head.time, receipt.block_hash)
        first = store.first_anchor(conn, 4)
        assert first is not None
        assert first.seq == 1
        conn.commit()
        assert fsck(conn, log, chain, log.verifier) == []


def test_anchors_keep_their_distance(conn: psycopg.Connection[Any], chain: Chain, tmp_path: Path) -> None:
    options = AnchorOptions(every_s=60.0)
    with Log(tmp_path / "log", NAME) as log:
        say(conn, 1)
        step(conn, log, chain, NOW, options)
        at = float(chain.head().time)
        say(conn, 1)
        assert step(conn, log, chain, at + 59, options) == AnchorStatus(1, 2, 1, "waiting")
        assert step(conn, log, chain, at + 60, options) == AnchorStatus(0, 2, 2, "anchored")


class PowerCut(BaseException):
    """Not an Exception: no handler of the code under test may take it for an ordinary failure."""


class Cutting:
    """Stands before an object and ends the world just before or just after its n-th action of all."""

    def __init__(self, target: Any, actions: set[str], count: Callable[[bool], None]) -> None:
        self._target, self._actions, self._count = target, actions, count

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name not in self._actions:
            return value

        def acting(*args: Any, **named: Any) -> Any:
            self._count(False)
            result = value(*args, **named)
            self._count(True)
            return result

        return acting


def test_a_crash_at_every_boundary_ends_in_one_anchor(
    database_url: str, conn: psycopg.Connection[Any], tmp_path: Path
) -> None:
    provider = Direct(tmp_path / "node", [NOW])
    with closing(provider.chain):
        _crashes(database_url, conn, chain_of(provider, tmp_path / "keys"), tmp_path)


def _crashes(database_url: str, conn: psycopg.Connection[Any], chain: Chain, tmp_path: Path) -> None:
    seen, cuts, at, resent = 0, 0, 0, 0
    done = False
    with Log(tmp_path / "log", NAME) as log:
        say(conn, 3)
        step(conn, log, chain, NOW)
    conn.execute("SELECT pg_advisory_unlock_all()")
    conn.commit()
    while not done:
        before, prepared = chain.head(), None
        size = before.size + 2
        say(conn, 2, first=size)
        for after in (False, True):
            seen = 0

            def count(finished: bool, after: bool = after, at: int = at) -> None:
                nonlocal seen
                seen += not finished
                if seen == at + 1 and finished == after:
                    raise PowerCut

            with psycopg.connect(database_url) as mine, Log(tmp_path / "log", NAME) as log:
                # Not at each statement: what is not committed is gone with the process, wherever in between it dies.
                cutting = Cutting(mine, {"commit"}, count)
                try:
                    step(
                        cutting,  # type: ignore[arg-type]
                        Cutting(log, {"append", "checkpoint"}, count),  # type: ignore[arg-type]
                        Cutting(chain, ASKED, count),  # type: ignore[arg-type]
                        NOW,
                    )
                    done = done or not after  # the second one goes on from the first, and is shorter
                except PowerCut:
                    cuts += 1
                mine.rollback()
            prepared = prepared or store.open_anchor(conn)
            conn.commit()
            if not after:
                continue
            with psycopg.connect(database_url) as mine, Log(tmp_path / "log", NAME) as log:
                status = step(mine, log, chain, NOW)
                assert (status.size, status.anchored, status.state) == (size, size, "anchored")
                head = chain.head()
                assert (head.seq, head.size) == (before.seq + 1, size)
                row = store.newest_anchor(mine)
                assert row is not None
                if prepared is not None:
                    resent += 1
                    assert (row.tx_hash, row.raw_tx) == (prepared.tx_hash, prepared.raw_tx)
        at += 1
    with Log(tmp_path / "log", NAME) as log:
        assert fsck(conn, log, chain, log.verifier) == []
    rows = store.anchors_from(conn, 0, 10_000)
    assert [row.status for row in rows] == ["mined"] * chain.head().seq
    assert cuts > 40
    assert resent > 5


def test_chain_away_the_log_goes_on_and_one_anchor_closes_the_backlog(
    conn: psycopg.Connection[Any], tmp_path: Path
) -> None:
    node = Node(tmp_path / "node").start()
    chain = Chain(node.url, tmp_path / "keys", timeout_s=2.0)
    chain.deploy(node.folder / "genesis.key")
    with Log(tmp_path / "log", NAME) as log:
        say(conn, 1)
        step(conn, log, chain, NOW)
        node.kill()
        for i in range(20):
            say(conn, 1, first=i)
            status = step(conn, log, chain, NOW)
            assert (status.size, status.anchored, status.state) == (2 + i, 1, "away")
            assert node.token not in status.reason
            assert verify_note(log.checkpoint(), log.verifier).size == 2 + i
        node.start()
        assert step(conn, log, chain, NOW) == AnchorStatus(0, 21, 21, "anchored")
        assert chain.head().seq == 2
        node.stop()
    assert node.token not in node.errors


def test_two_pumps(conn: psycopg.Connection[Any], database_url: str, chain: Chain, tmp_path: Path) -> None:
    with psycopg.connect(database_url) as other, Log(tmp_path / "log", NAME) as log:
        assert store.take_lease(other)
        other.commit()
        say(conn, 1)
        with pytest.raises(store.LeaseHeld):
            step(conn, log, chain, NOW)
        assert log.size == 0
        other.close()
        assert step(conn, log, chain, NOW).size == 1


def test_autocommit_is_refused(database_url: str, chain: Chain, tmp_path: Path) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as loose,
        Log(tmp_path / "log", NAME) as log,
        pytest.raises(ValueError, match="autocommit"),
    ):
        step(loose, log, chain, NOW)


def test_an_older_database_is_noticed(conn: psycopg.Connection[Any], chain: Chain, tmp_path: Path) -> None:
    with Log(tmp_path / "log", NAME) as log:
        say(conn, 3)
        step(conn, log, chain, NOW)
        conn.execute("TRUNCATE record, anchor, checkpoint CASCADE")
        conn.commit()
        say(conn, 5)
        with pytest.raises(LogDiverged, match="restore the newer database"):
            step(conn, log, chain, NOW)


def test_another_log_cannot_use_the_contract(conn: psycopg.Connection[Any], chain: Chain, tmp_path: Path) -> None:
    with Log(tmp_path / "a", NAME) as log:
        say(conn, 3)
        step(conn, log, chain, NOW)
    conn.execute("TRUNCATE record, anchor, checkpoint CASCADE")
    conn.commit()
    with Log(tmp_path / "b", NAME) as log:
        say(conn, 5, first=100)
        status = step(conn, log, chain, NOW)
        assert (status.state, status.anchored) == ("refused", 0)
        assert "not of this log" in status.reason


def test_a_revoked_anchorer_is_a_reason_not_a_crash(
    conn: psycopg.Connection[Any], chain: Chain, node: Node, tmp_path: Path
) -> None:
    stranger = Chain(node.url, tmp_path / "stranger")
    (tmp_path / "stranger" / "contract.json").write_text((tmp_path / "keys" / "contract.json").read_text())
    with Log(tmp_path / "log", NAME) as log:
        say(conn, 1)
        status = step(conn, log, stranger, NOW)
        assert (status.state, status.reason) == ("refused", "the chain refused: not anchorer")
        assert store.open_anchor(conn) is None
        assert step(conn, log, chain, NOW).state == "anchored"


def test_spent_nonce_fails_the_row_and_the_next_step_signs_anew(
    conn: psycopg.Connection[Any], chain: Chain, tmp_path: Path
) -> None:
    with Log(tmp_path / "log", NAME) as log:
        say(conn, 1)
        step(conn, log, chain, NOW)
        say(conn, 1)
        spent = chain.sign_anchor(bytes(32), bytes(32), 9, [], 0)
        log_root = log.root(1)
        store.prepare_anchor(conn, 1, log_root, 0, b"h" * 32, spent)
        conn.commit()
        status = step(conn, log, chain, NOW)
        assert status.state == "refused"
        assert "nonce too low" in status.reason
        assert step(conn, log, chain, NOW).state == "anchored"


def test_deployment_is_made_once_and_checked(node: Node, tmp_path: Path) -> None:
    chain = Chain(node.url, tmp_path / "keys")
    with pytest.raises(WrongContract, match="deploy"):
        chain.head()
    address = chain.deploy(node.folder / "genesis.key")
    assert Chain(node.url, tmp_path / "keys").deploy(node.folder / "genesis.key") == address
    assert (tmp_path / "keys" / "anchorer.key").stat().st_mode & 0o777 == 0o600
    assert chain.code_is_ours()
    (tmp_path / "keys" / "contract.json").write_text('{"address": "0x' + "11" * 20 + '"}')
    with pytest.raises(WrongContract):
        Chain(node.url, tmp_path / "keys").deploy(node.folder / "genesis.key")


def test_no_key_in_any_log(
    conn: psycopg.Connection[Any], node: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    chain = Chain(node.url, tmp_path / "keys")
    chain.deploy(node.folder / "genesis.key")
    with Log(tmp_path / "log", NAME) as log:
        say(conn, 3)
        step(conn, log, chain, NOW)
        shown = repr((log, chain, log._signer, chain.anchorer))
    secrets = [tmp_path / "keys" / "anchorer.key", tmp_path / "log" / "log.key", node.folder / "genesis.key"]
    for path in secrets:
        secret = path.read_text().strip()
        assert secret not in caplog.text.lower()
        assert secret not in shown
