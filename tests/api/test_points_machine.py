"""Points as money: whatever happens in whatever order, what was issued is what was settled, nobody is paid twice, and
nothing is spent that is not there. On a real database; a crash is a rollback in the middle."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from api import teaching, wiring
from api.settlement import Terms, settle_day
from defects import Deltas, Observation, merge, planes, taught, taught_store
from grid import cells_in_block
from ingest import City, FixFaults
from ingest import raw as ingest_raw
from ingest import store as ingest_store
from ledger import points, points_settle, points_store, verify_statement
from ledger.points_fsck import faults

from ..roads import straight

AT = datetime(2026, 11, 25, tzinfo=UTC)
FIRST = date(2026, 11, 25)
BLOCK = 1 << 51 | 1 << 50 | 51 << 44 | 1 << 20 | 1  # of 4 m squares
BUDGET = 3000


class _Crash(RuntimeError):
    """What ends a transaction in the middle."""

EXAMPLES = int(os.environ.get("MACHINE", "5"))


class Purse(RuleBasedStateMachine):
    """Beside the database a small book is kept: points by account, and what was spent for which key."""

    conn: ClassVar[psycopg.Connection[Any]]
    city: ClassVar[City]
    accounts = Bundle("accounts")

    @initialize()
    def empty(self) -> None:
        self.conn.execute(
            "TRUNCATE account, points_entry, points_refusal, points_day, points_leaf, points_claim, points_place, "
            "taught, outbox, day_context RESTART IDENTITY CASCADE"
        )
        self.today = FIRST
        self.numbers = itertools.count()
        self.chunk = straight(self.city, carrier="car")
        self.book: dict[str, int] = {}
        self.keys: dict[str, tuple[str, int]] = {}
        self.given_back: set[str] = set()
        self.closed: set[str] = set()
        self.settled: dict[date, tuple[int, bytes]] = {}
        self._open()

    def _open(self) -> None:
        ingest_store.open_day(self.conn, self.today, bytes(16), b"context", bytes(32))

    def _terms(self, budget: int = BUDGET) -> Terms:
        return Terms(budget, points.Rules(), wiring.EVIDENCE, wiring.HEALTH)

    @rule(target=accounts)
    def join(self) -> str:
        n = next(self.numbers)
        name = f"account{n:09d}"
        assert points_store.open_account(self.conn, name, AT, device=f"phone-{n}") == name
        assert points_store.open_account(self.conn, f"another{n:09d}", AT, device=f"phone-{n}") == name
        self.book[name] = 0
        return name

    @rule(account=accounts, squares=st.integers(1, 900), felt=st.booleans())
    def teach(self, account: str, squares: int, felt: bool) -> None:
        """A chunk of a phone; of one that has left nothing is kept, of a sealed day nothing is taken."""
        device = f"phone-{int(account[7:])}"
        if ingest_raw.hold_open(self.conn, [self.today]) or not points_store.joined(self.conn, [device]):
            return
        cell = cells_in_block(np.full(squares, BLOCK), np.arange(squares))
        said = [Deltas(cell, np.full(squares, planes.PHONE_PASSES, np.uint8), np.ones(squares, np.int64))]
        if felt:
            said.append(Deltas(cell[:1], np.full(1, planes.PHONE_LOGODDS, np.uint8), np.full(1, 6 << 16, np.int64)))
        seen = Observation(merge(said), (), 50.0, FixFaults())
        n = next(self.numbers)
        noise = np.random.default_rng(n).integers(-99, 99, self.chunk.acc_counts.shape)
        chunk = replace(self.chunk, seq=n, acc_counts=(self.chunk.acc_counts + noise).astype(np.int16),
                        start_s=self.chunk.start_s + 600 * n, end_s=self.chunk.end_s + 600 * n)  # fmt: skip
        rows = taught.rows_of(chunk, seen, device, bytes(16), None, wiring.EVIDENCE)
        taught_store.add(self.conn, [(self.today, taught.pseudonym_of(device, bytes(16)), row) for row in rows])

    @rule(account=accounts, granted=st.integers(1, 4000))
    def claim(self, account: str, granted: int) -> None:
        if account in self.closed:
            with pytest.raises(points_store.NoAccount):
                points_store.add_claim(self.conn, account, "appeal", self.today, {}, AT, points=granted)
        else:
            points_store.add_claim(self.conn, account, "appeal", self.today, {}, AT, points=granted)

    @rule(crash=st.booleans(), budget=st.sampled_from([0, 7, BUDGET]))
    def seal(self, crash: bool, budget: int) -> None:
        """The day's seal; with a crash before its commit, and then once more."""
        if self.today in self.settled:
            with pytest.raises(points_settle.SettledBefore), self.conn.transaction():
                points_settle.settle(self.conn, self.today, [], {}, 1, bytes(32), AT, "simulated", bytes)
            return
        if ingest_raw.hold_open(self.conn, [self.today]):  # sealed while nobody collected points
            with pytest.raises(LookupError, match="salt"), self.conn.transaction():
                settle_day(self.conn, self.city, self.today, AT, self._terms(budget))
            return
        if crash:
            before = self._all()
            with pytest.raises(_Crash), self.conn.transaction():  # noqa: PT012
                settle_day(self.conn, self.city, self.today, AT, self._terms(budget))
                raise _Crash
            assert self._all() == before
        with self.conn.transaction():
            done = settle_day(self.conn, self.city, self.today, AT, self._terms(budget))
            ingest_raw.close_day(self.conn, self.today, AT)
        assert self._one("SELECT count(*) FROM taught") == 0
        if done is None:
            return
        assert 0 <= done.paid <= budget
        self.settled[self.today] = done.paid, done.root
        came = 0
        for name in self.book:
            for e in points_store.entries(self.conn, name):
                if e.settled_on == self.today and e.what in ("pass", "appeal", "expiry"):
                    self.book[name] += e.points
                    came += max(e.points, 0)
                    assert e.points < 0 or name not in self.closed
        assert came == done.paid

    @rule(days=st.sampled_from([1, 2, 200]))
    def days_go_by(self, days: int) -> None:
        if self._one("SELECT sealed_at IS NOT NULL FROM day_context ORDER BY day DESC LIMIT 1"):
            self.today += timedelta(days=days)
            self._open()

    @rule(account=accounts, amount=st.integers(1, 3000), key=st.sampled_from("abcde"))
    def spend(self, account: str, amount: int, key: str) -> None:
        def act() -> bool:
            with self.conn.transaction():
                return points_store.spend(self.conn, account, amount, key, {"mall": "m"}, self.today)

        if key in self.keys:
            if self.keys[key] == (account, amount):
                assert act() is False
            else:
                with pytest.raises(points_store.KeyReused):
                    act()
            return
        if account in self.closed:
            with pytest.raises(points_store.NoAccount):
                act()
            return
        late = points_store.due_to_expire(self.conn, account, self.today)
        if amount > self.book[account] - late:
            with pytest.raises(points_store.NotEnough):
                act()
            return
        assert act() is True
        self.book[account] -= amount + late
        self.keys[key] = account, amount

    @rule(key=st.sampled_from("abcde"))
    def give_back(self, key: str) -> None:
        if key not in self.keys:
            with pytest.raises(points_store.KeyReused):
                points_store.refund(self.conn, key, {}, self.today)
            return
        account, amount = self.keys[key]
        if key in self.given_back:
            assert points_store.refund(self.conn, key, {}, self.today) is False
        elif account in self.closed:
            with pytest.raises(points_store.NoAccount):
                points_store.refund(self.conn, key, {}, self.today)
        else:
            assert points_store.refund(self.conn, key, {}, self.today)
            self.book[account] += amount
            self.given_back.add(key)

    @rule(account=accounts)
    def leave(self, account: str) -> None:
        with self.conn.transaction():
            left = teaching.leave(self.conn, f"phone-{int(account[7:])}")
        assert left == (0 if account in self.closed else self.book[account])
        self.closed.add(account)
        self.book[account] = 0

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "book"):
            return
        assert faults(self.conn) == []
        for name, has in self.book.items():
            row = self.conn.execute("SELECT earned, spent, expired FROM account WHERE id = %s", (name,)).fetchone()
            assert row is not None
            assert row[0] - row[1] - row[2] == has >= 0
        issued = self._one(
            "SELECT coalesce(sum(points), 0) FROM points_entry WHERE points > 0 AND what <> 'redemption'"
        )
        assert issued == sum(paid for paid, _ in self.settled.values())
        said = self._one("SELECT count(*) FROM outbox WHERE kind = 'reward'")
        assert said == len(self.settled)

    @invariant()
    def every_statement_of_the_newest_settlement_holds(self) -> None:
        newest = points_settle.settlement(self.conn) if getattr(self, "settled", None) else None
        if newest is None:
            return
        for (name,) in self.conn.execute("SELECT account FROM points_leaf WHERE day = %s", (newest.day,)).fetchall():
            content = verify_statement(points_settle.statement(self.conn, name), newest.root)
            assert content["earned"] >= content["spent"] + content["expired"]

    def _one(self, query: str) -> Any:
        row = self.conn.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def _all(self) -> list[Any]:
        return [self.conn.execute(f"SELECT * FROM {t} ORDER BY 1, 2").fetchall() for t in  # noqa: S608 - constants
                ("account", "points_entry", "points_day", "points_leaf", "points_claim", "taught",
                 "outbox")]  # fmt: skip


def test_points_add_up_whatever_happens(database: str, city: City) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        Purse.conn, Purse.city = conn, city
        run_state_machine_as_test(
            Purse,
            settings=settings(max_examples=EXAMPLES, stateful_step_count=25, deadline=None, derandomize=True,
                              suppress_health_check=list(HealthCheck)),
        )  # fmt: skip
