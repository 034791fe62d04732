"""Both outboxes under all that can happen to them, in any order: in the end each head and each right stands once.

`make test` plays a few short lives; MACHINE=60 (examples) plays long ones.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from ledger import store
from ledger.anchor import AnchorOptions, step
from ledger.fsck import fsck
from ledger.grants import account_of, enqueue_grant, enqueue_revocation, settle_grants
from ledger.log import Log
from ledger.merkle import leaf_hash
from ledger.records import department_record
from ledger.sending import Patience

from .direct import Direct, chain_of
from .test_anchor import NAME, Cutting, PowerCut
from .test_store import code

EXAMPLES = int(os.environ.get("MACHINE", "0"))
END = 4_000_000_000
# What a turn may take at most until all is settled: each refused row costs one, and each reorganised one another.
TURNS = 60
CHAIN = {
    "head", "check_anchor", "nonce", "sign_anchor", "send", "receipt", "block_hash", "nonce_of_account", "sign_grant",
}  # fmt: skip


class Outbox(RuleBasedStateMachine):
    """Records and rights come, processes die, the chain goes away, forgets, and is used by others."""

    url: str
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.home = self.folder / "one"
        shutil.rmtree(self.home, ignore_errors=True)
        self.direct = Direct(self.home / "node", [1_800_000_000.0])
        self.chain = chain_of(self.direct, self.home / "keys")
        self.direct.save()
        self.said = 0
        self.last: dict[bytes, str] = {}
        self.seen: Any = None

    @initialize()
    def empty(self) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute("TRUNCATE outbox, record, anchor, checkpoint, chain_grant RESTART IDENTITY CASCADE")

    @rule(count=st.integers(1, 3))
    def say(self, count: int) -> None:
        with psycopg.connect(self.url) as conn:
            store.enqueue(conn, [code(self.said + i) for i in range(count)])
        self.said += count

    @rule(who=st.integers(1, 2), granted=st.booleans())
    def decide(self, who: int, granted: bool) -> None:
        account, name = account_of(bytes([who]) * 32), "granted" if granted else "revoked"
        record = department_record(f"d{who}", name, bytes(32), account, {}, self.said, "simulated")
        with psycopg.connect(self.url) as conn:
            store.enqueue(conn, [record])
            if granted:
                enqueue_grant(conn, account, 0, END + self.said, leaf_hash(record.body))
            else:
                enqueue_revocation(conn, account, leaf_hash(record.body))
        self.said += 1
        self.last[account] = name

    @rule(cut=st.one_of(st.none(), st.integers(0, 90)), after=st.booleans())
    def turn(self, cut: int | None, after: bool) -> None:
        self.direct.clock[0] += 1
        seen = 0

        def count(finished: bool) -> None:
            nonlocal seen
            seen += not finished
            if cut is not None and seen == cut + 1 and finished == after:
                raise PowerCut

        with psycopg.connect(self.url) as conn, Log(self.home / "log", NAME) as log:
            cutting: Any = Cutting(conn, {"commit", "execute"}, count)
            chain: Any = Cutting(self.chain, CHAIN, count)
            with suppress(PowerCut):
                self._turn(cutting, Cutting(log, {"append", "checkpoint"}, count), chain)
            conn.rollback()

    def _turn(self, conn: Any, log: Any, chain: Any) -> bool:
        now_s = self.direct.clock[0]
        anchored = step(conn, log, chain, now_s, AnchorOptions(wait_s=0, confirmations=1))
        key = self.direct.folder / "genesis.key"
        granted = settle_grants(conn, chain, key, now_s, Patience(wait_s=0))
        self.seen = anchored, granted
        rests = anchored.state in ("anchored", "empty") and anchored.anchored == anchored.size
        return rests and (granted.state, granted.waiting) == ("idle", 0)

    @rule(away=st.booleans())
    def reach(self, away: bool) -> None:
        self.direct.away = away

    @rule()
    def remember(self) -> None:
        self.direct.save()

    @rule()
    def reorganise(self) -> None:
        self.direct.put_back()

    @rule(admin=st.booleans())
    def somebody_else_uses_the_account(self, admin: bool) -> None:
        if not self.direct.away:
            account = self.chain.account(self.direct.folder / "genesis.key") if admin else self.chain.anchorer
            nonce = self.chain.nonce_of_account(account.address)
            self.chain.send(self.chain.sign(account, account.address, "0x", 30_000, nonce))

    @rule(seconds=st.sampled_from([10, 3600]))
    def wait(self, seconds: int) -> None:
        self.direct.clock[0] += seconds

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.direct.chain.close()

    def _end(self) -> None:
        self.direct.away = False
        with psycopg.connect(self.url) as conn, Log(self.home / "log", NAME) as log:
            for _ in range(TURNS):
                self.direct.clock[0] += 1
                if self._turn(conn, log, self.chain) and store.outbox_count(conn) == 0:
                    break
            else:
                raise AssertionError(f"it does not come to rest: {self.seen}")
            conn.commit()
            assert log.size == self.said
            if self.said:
                head = self.chain.head()
                assert (head.size, head.root) == (self.said, log.root(self.said))
                sizes = [found.size for n in range(1, head.seq + 1) if (found := self.chain.anchor_at(n))]
                assert sizes == sorted(set(sizes))
            assert fsck(conn, log, self.chain, log.verifier) == []
            for account, name in self.last.items():
                now = self.chain.head_time()
                assert self.chain.had_department(account, now) == (name == "granted")


def test_whatever_happens_each_head_and_each_right_stands_once(database_url: str, tmp_path: Path) -> None:
    machine = type("Machine", (Outbox,), {"url": database_url, "folder": tmp_path})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=EXAMPLES or 5, stateful_step_count=60 if EXAMPLES else 18, deadline=None, database=None,
            derandomize=not EXAMPLES, phases=[Phase.generate],  # shrinking one of these takes many minutes
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(CHAIN))
def test_what_is_cut_exists(name: str) -> None:
    """A renamed method would silently never be cut."""
    from ledger.chain import Chain  # noqa: PLC0415

    assert hasattr(Chain, name)
