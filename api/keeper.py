"""The fifth pump: what must not be kept goes, when this page says so. Citizens' raw chunks at the end of their day,
whose a slot was at the seal, boxes' raw chunks after the retention, dead letters after two weeks.

Each step is one transaction, and may be taken again; any number of keepers may run, one works. Files are unlinked, not
rows swept up: a day's raw chunks are a partition. Of small tables the old bytes go too: they are written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from defects import EvidenceOptions, HealthOptions, evidence_leaf, scales_store, taught_store
from defects import retention as defects_retention
from ingest import City, condition_store, devices
from ingest import letters as ingest_letters
from ingest import raw as ingest_raw
from ledger import (
    block_leaf,
    enqueue,
    leaf_hash,
    points,
    redemption,
    reports,
    root_of,
    seal_record,
    unpack_leaves,
)

from .archived import NotArchived, check_archived
from .erasure import erase_one
from .settlement import Terms, settle_day

Connection = psycopg.Connection[Any]

SEAL_AFTER_S = 48 * 3600.0 + 600.0
"""After the end of a day. Chunks are taken for 48 h; ten minutes more, so that a batch which is under way is in and no
device is told `too_late` for what it sent in time. Later keeps slots and salts longer than anybody needs them."""
_AT_ONCE = 500
"""Blocks whose tree's part is written in one statement."""
_LOCK_S = 2.0
"""How long a step waits for readers and writers, who wait behind it meanwhile. It comes again in a minute: shorter and
a busy instance never gets there, longer and devices wait for verdicts."""
REWRITE_BYTES = 256 << 20
"""A table up to this size is written anew after rows of citizens went, so that no page holds their old bytes: it is
closed for a few seconds, in the small hours or after an erasure. Larger ones would be closed for minutes: they are only
swept, and the old bytes stay until new rows fall on them."""
REWRITTEN = (
    "day_context", "seen", "pass", "finding", "phone_leaf", "dead_letter", "journal", "evidence", "device_weight",
    "device_day", "device", "taught", "account", "citizen_report", "citizen_photo", "points_appeal", "points_consent",
    "redemption_code", "redemption", "points_claim", "pg_statistic",
)  # fmt: skip
"""Tables that held something of citizens in rows that are deleted or changed; the last holds samples of others. Besides
them the partitions of phones' chunks, out of which an erasure takes rows."""
TURN_EVERY_S = 300.0
"""The write-ahead log is turned over at most so often, as often as PostgreSQL does by itself: each time makes pages
be logged whole again."""


@dataclass(frozen=True)
class KeepOptions:
    """raw_days: how long boxes' raw chunks are kept after a day's end. archive: folder into which a day must have been
    written before its boxes' raw chunks go; None where none is asked for. leaves_days: how long the salted hashes of a
    day's chunks are kept. points_per_day: what a day's settlement may give out; rules, evidence, health: by which it
    says what was worth how much."""

    raw_days: float = 30.0
    archive: Path | None = None
    leaves_days: int = 400
    points_per_day: int = 0
    rules: points.Rules = field(default_factory=points.Rules)
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)
    health: HealthOptions = field(default_factory=HealthOptions)


@dataclass
class Kept:
    """What one round did: days whose phone chunks went, days sealed, days whose box chunks went, letters that went;
    points given out; and what had to wait, with the reason."""

    emptied: list[date] = field(default_factory=list)
    sealed: list[date] = field(default_factory=list)
    points: int = 0
    dropped: list[date] = field(default_factory=list)
    letters: int = 0
    waits: list[str] = field(default_factory=list)


class Keeper:
    """Does a round each time it is called. One connection, autocommit."""

    def __init__(self, city: City, options: KeepOptions) -> None:
        self._city, self._options = city, options
        self._turned_s = float("-inf")

    def __call__(self, conn: Connection, now_s: float) -> Kept:
        """One round, as of ``now_s`` (unix time). Raises psycopg.Error when the database is away."""
        done = Kept()
        now = datetime.fromtimestamp(now_s, UTC)
        for state in ingest_raw.day_states(conn):
            ended_s = self._city.day_bounds_s(state.day)[1]
            if state.boxes_gone_at is not None or now_s < ended_s:
                continue
            if state.sealed_at is None:
                # Of a phone that was erased no row is left, but its old bytes are: they go with the file.
                if state.phones_gone_at is None or ingest_raw.phones_left(conn, state.day):
                    self._try(conn, done, "phones of", state.day, partial(self._empty, conn, state.day, now, done))
                if now_s >= ended_s + SEAL_AFTER_S:
                    self._try(conn, done, "seal of", state.day, partial(self._seal, conn, state.day, now, done))
            elif now_s >= ended_s + self._options.raw_days * 86_400:
                self._try(conn, done, "boxes of", state.day, partial(self._drop, conn, state.day, now, done))
        for device in devices.to_be_erased(conn):  # what a crash or a broken connection has left
            self._try(conn, done, "an erasure", None, partial(erase_one, conn, device))
        self._try(conn, done, "what is old", None, partial(self._expire, conn, now, done))
        self._try(conn, done, "sections", None, partial(scales_store.refresh_due, conn, self._city, now))
        self._clean(conn, now_s, done)
        return done

    def _try(self, conn: Connection, done: Kept, what: str, day: date | None, step: Callable[[], object]) -> None:
        """One step in a transaction of its own; what cannot be done now is told, and comes again with the next
        round."""
        told = f"{what} {day}" if day else what
        try:
            with _alone(conn):
                step()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            done.waits.append(f"{told}: others read or write there for more than {_LOCK_S:.0f} s")
        except (_NotNow, NotArchived, ValueError) as error:
            done.waits.append(f"{told}: {error}")

    def _empty(self, conn: Connection, day: date, now: datetime, done: Kept) -> None:
        """A day's citizens' raw chunks go; the hashes that prove a block's record stay."""
        if not ingest_raw.hold_phones(conn, day):
            return
        defects_retention.forget_phones(conn, day)
        taught_store.shuffle(conn, day)
        first = ingest_raw.empty_phones(conn, day, now)
        # What comes late goes at once, its rows' old places with the next day's: else all day long tables were closed.
        ingest_raw.owe(conn, "log", *(["pages"] if first else []))
        done.emptied.append(day)

    def _seal(self, conn: Connection, day: date, now: datetime, done: Kept) -> None:
        """Nothing comes for the day any more: whose a slot was is forgotten, and what the evidence is goes to the
        log."""
        defects_retention.hold_evidence(conn)
        if not ingest_raw.hold_for_sealing(conn, day):
            return
        if defects_retention.waits_to_be_folded(conn, day):
            raise _NotNow("its evidence is not folded yet: the coder works on it, or logs/coder.log says why not")
        if ingest_raw.phones_left(conn, day):
            raise _NotNow("phone chunks of it came just now")
        o = self._options
        settled = settle_day(conn, self._city, day, now, Terms(o.points_per_day, o.rules, o.evidence, o.health))
        leaves = [leaf_hash(evidence_leaf(b, e)) for b, e in defects_retention.seal_evidence(conn, day)]
        defects_retention.loosen_leaves(conn)
        defects_retention.keep_leaves(conn, day)
        chunks = root_of(list(_nodes(conn, day)))
        ended = datetime.fromtimestamp(self._city.day_bounds_s(day)[1], UTC)
        done.letters += ingest_letters.forget_phones(conn, ended)
        context = ingest_raw.close_day(conn, day, now)
        enqueue(conn, [seal_record(day, len(leaves), root_of(leaves), chunks, context, self._city.origins)])
        ingest_raw.forget_weights(conn, day, phones_only=True)
        ingest_raw.owe(conn, "log", "pages")
        ingest_raw.drop_phone_room(conn, day)
        done.sealed.append(day)
        done.points += settled.paid if settled else 0

    def _drop(self, conn: Connection, day: date, now: datetime, done: Kept) -> None:
        """A day's boxes' raw chunks go, and what was kept to prove them."""
        if self._options.archive is not None:
            check_archived(self._options.archive, day, lambda: ingest_raw.boxes_of(conn, day))
        defects_retention.forget_boxes(conn, day)
        ingest_raw.forget_weights(conn, day, phones_only=False)
        ingest_raw.drop_boxes(conn, day, now)
        done.dropped.append(day)

    def _expire(self, conn: Connection, now: datetime, done: Kept) -> None:
        """What goes by its age, whatever day it belongs to."""
        done.letters += ingest_letters.expire(conn, now)
        condition_store.forget_conditions(conn, self._city.service_day(now.timestamp()))
        defects_retention.loosen_leaves(conn)
        today = self._city.service_day(now.timestamp())
        defects_retention.forget_leaves(conn, today - timedelta(days=self._options.leaves_days))
        reports.expire(conn, now)  # old bytes of these go with the next day's end: photos are small, tables are closed
        redemption.expire_deliveries(conn, now)

    def _clean(self, conn: Connection, now_s: float, done: Kept) -> None:
        """Old bytes: in pages of tables, then in the write-ahead log (which the first of these fills again)."""
        owed = ingest_raw.owed(conn)
        if "pages" in owed:
            for table in (*REWRITTEN, *ingest_raw.phone_rooms(conn)):
                _rewrite(conn, table)
            ingest_raw.settle(conn, "pages", owed["pages"])
            self._turned_s = float("-inf")
        if "log" in owed and now_s >= self._turned_s + TURN_EVERY_S:
            try:
                conn.execute("SELECT pg_switch_wal()")
                conn.execute("CHECKPOINT")
            except psycopg.errors.InsufficientPrivilege:
                done.waits.append(
                    "write-ahead log: the database user may not turn it over: GRANT pg_checkpoint and EXECUTE ON "
                    "FUNCTION pg_switch_wal() to it; until then it goes when PostgreSQL recycles it"
                )
            ingest_raw.settle(conn, "log", owed["log"])
            self._turned_s = now_s


def _nodes(conn: Connection, day: date) -> Iterator[bytes]:
    """What stands for each block in the tree of the day's chunks, written down as it is made."""
    rows = defects_retention.leaves_of_day(conn, day)
    while some := {block: block_leaf(block, unpack_leaves(kept)) for block, kept in islice(rows, _AT_ONCE)}:
        defects_retention.put_nodes(conn, day, some)
        yield from some.values()


class _NotNow(RuntimeError):
    """A step has to wait; the text says for what."""


@contextmanager
def _alone(conn: Connection) -> Iterator[None]:
    """A transaction of the one keeper that works, who waits only shortly for others."""
    with conn.transaction():
        conn.execute(f"SET LOCAL lock_timeout = '{int(_LOCK_S * 1000)}ms'")
        if not ingest_raw.hold_keeper_lease(conn):
            raise _NotNow("another keeper is at work")
        yield


def _rewrite(conn: Connection, table: str) -> None:
    """Writes a small table anew, sweeps a large one. What cannot be had now stays as it is, until the next time."""
    row = conn.execute("SELECT pg_total_relation_size(to_regclass(%s))", (table,)).fetchone()
    if row is None or row[0] is None:
        return
    full = sql.SQL("(FULL)" if row[0] <= REWRITE_BYTES else "")
    conn.execute(f"SET lock_timeout = '{int(_LOCK_S * 1000)}ms'")
    try:
        conn.execute(sql.SQL("VACUUM {} {}").format(full, sql.Identifier(table)))
    except psycopg.errors.LockNotAvailable:
        conn.execute(sql.SQL("VACUUM {}").format(sql.Identifier(table)))
    finally:
        conn.execute("RESET lock_timeout")
