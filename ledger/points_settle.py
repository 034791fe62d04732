"""A day's settlement in the database: credits become entries, what is too old goes, every account gets a leaf, and the
root goes to the log. One transaction, the caller's, which is that of the day's seal; a day is settled once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

import psycopg

from .merkle import Frontier, inclusion_proof, leaf_hash, ranges_of
from .points_leaf import Sums, entries_hash, leaf_body
from .points_store import EARNED, EXPIRE_AFTER_DAYS, NoAccount, PointsError
from .records import Origin, reward_record
from .store import enqueue

Connection = psycopg.Connection[Any]

LEAVES_KEPT = 62
"""Settlements whose leaves are kept: two months, to fetch a statement in peace. Each is a row for every account; a
newer statement says all that an older one did."""
_AT_ONCE = 2000
Salt = Callable[[int], bytes]


class SettledBefore(PointsError):
    """The day has its settlement already."""


@dataclass(frozen=True)
class Due:
    """What one account is to get of a settlement before the budget. wanted: points. what: pass, report or appeal;
    day: that it is about; key: that makes it count once; claim: its number, if it is one's."""

    account: str
    what: str
    day: date
    wanted: int
    why: Mapping[str, Any]
    key: str
    claim: int | None = None


@dataclass(frozen=True)
class Settled:
    """What a settlement did. paid: points given out; wanted: without the budget."""

    day: date
    accounts: int
    paid: int
    wanted: int
    root: bytes
    refused: Mapping[str, int] = field(default_factory=dict)


def within_budget(wanted: Sequence[int], budget: int) -> list[int]:
    """What is paid of what is wanted: all of it, or of each the same part, rounded down, so that it makes no difference
    who comes first. The sum is at most the budget."""
    total = sum(wanted)
    return list(wanted) if total <= budget else [n * budget // total for n in wanted]


def settle(
    conn: Connection, day: date, dues: Sequence[Due], refused: Mapping[tuple[str, str], int], budget: int,
    rules: bytes, at: datetime, origin: Origin, salt: Salt,
) -> Settled:  # fmt: skip
    """Settles a service day. dues: what each account is to get, at most one for each key; refused: what did not earn,
    by account and reason; budget: points of the day; rules: their SHA-256. Raises SettledBefore."""
    begin(conn, day)
    refusals = dict(refused)
    paid = within_budget([d.wanted for d in dues], budget)
    for due, points in zip(dues, paid, strict=True):
        if points < due.wanted:
            refusals[due.account, "budget"] = refusals.get((due.account, "budget"), 0) + due.wanted - points
        _pay(conn, due, points)
    _note_refusals(conn, day, refusals)
    _expire(conn, day)
    return _say(conn, day, dues, paid, budget, rules, at, origin, salt, refusals)


def begin(conn: Connection, day: date) -> None:
    """Keeps everybody else from settling and spending until the transaction ends; to be called before what is due is
    worked out, so that no account closes meanwhile. Raises SettledBefore."""
    # Settlements are numbered in a row, so they wait for each other; and all who spend wait for them.
    conn.execute("LOCK TABLE points_day IN SHARE ROW EXCLUSIVE MODE")
    if conn.execute("SELECT 1 FROM points_day WHERE day = %s", (day,)).fetchone():
        raise SettledBefore(f"{day} has its settlement: nobody is paid twice")
    conn.execute("SELECT count(*) FROM (SELECT 1 FROM account ORDER BY id FOR NO KEY UPDATE) AS held")


def _pay(conn: Connection, due: Due, points: int) -> None:
    if points > 0:
        paid = conn.execute(
            "UPDATE account SET earned = earned + %s WHERE id = %s AND closed_at IS NULL RETURNING id",
            (points, due.account),
        ).fetchone()
        if paid is None:
            raise NoAccount("a credit is for an account that is not there: the settlement has to begin anew")
        conn.execute(
            "INSERT INTO points_entry (account, day, what, points, why, key) VALUES (%s, %s, %s, %s, %s, %s)",
            (due.account, due.day, due.what, points, json.dumps({**due.why, "wanted": due.wanted}), due.key),
        )


def _note_refusals(conn: Connection, day: date, refusals: Mapping[tuple[str, str], int]) -> None:
    rows = [(account, reason, n) for (account, reason), n in sorted(refusals.items()) if n > 0]
    conn.execute(
        "INSERT INTO points_refusal (account, day, reason, n) "
        "SELECT a, %s, r, n FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS t (a, r, n)",
        (day, [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]),
    )


def _expire(conn: Connection, day: date) -> None:
    """What is too old and was not spent, first in first out."""
    conn.execute(
        "WITH old AS (SELECT account, sum(points) AS points FROM points_entry WHERE what = ANY(%(earned)s) "
        "AND day <= %(until)s GROUP BY account), "
        "due AS (SELECT a.id, old.points - a.spent - a.expired AS points "
        "FROM old JOIN account AS a ON a.id = old.account "
        "WHERE a.closed_at IS NULL AND old.points > a.spent + a.expired), "
        "said AS (INSERT INTO points_entry (account, day, what, points, why, key) "
        "SELECT id, %(day)s, 'expiry', -points, '{\"reason\": \"too_old\"}', 'expiry:' || id || ':' || %(day)s::text "
        "FROM due) "
        "UPDATE account SET expired = expired + due.points FROM due WHERE account.id = due.id",
        {"earned": list(EARNED), "until": day - timedelta(days=EXPIRE_AFTER_DAYS), "day": day},
    )


def _say(
    conn: Connection, day: date, dues: Sequence[Due], paid: Sequence[int], budget: int, rules: bytes, at: datetime,
    origin: Origin, salt: Salt, refusals: Mapping[tuple[str, str], int],
) -> Settled:  # fmt: skip
    for due, points in zip(dues, paid, strict=True):
        outcome = "paid" if points else due.why.get("refused")
        if due.claim is not None and outcome:  # what the budget had nothing for waits for the next day's
            conn.execute(
                "UPDATE points_claim SET settled_on = %s, outcome = %s WHERE id = %s AND settled_on IS NULL",
                (day, outcome, due.claim),
            )
    row = conn.execute(
        "SELECT count(*), coalesce(sum(earned), 0), coalesce(sum(spent), 0), coalesce(sum(expired), 0) FROM account"
    ).fetchone()
    if row is None:
        raise LookupError("the database counted no accounts")
    accounts, issued, spent, expired = map(int, row)
    # The day's row comes before its leaves, which refer to it; its root is known after them.
    conn.execute(
        "INSERT INTO points_day "
        "(day, n, budget, issued_day, issued, spent, expired, accounts, root, rules, settled_at) "
        "SELECT %s, coalesce(max(n) + 1, 0), %s, %s, %s, %s, %s, %s, %s, %s, %s FROM points_day",
        (day, budget, sum(paid), issued, spent, expired, accounts, bytes(32), rules, at),
    )
    root = _leaves(conn, day, origin, salt)
    conn.execute("UPDATE points_day SET root = %s WHERE day = %s", (root, day))
    conn.execute("UPDATE points_entry SET settled_on = %s WHERE settled_on IS NULL", (day,))
    conn.execute(
        "DELETE FROM points_leaf WHERE day IN (SELECT day FROM points_day ORDER BY n DESC OFFSET %s)", (LEAVES_KEPT,)
    )
    enqueue(conn, [reward_record(day, root, accounts, issued, spent, expired, budget, rules, origin)])
    counts: dict[str, int] = {}
    for (_, reason), n in refusals.items():
        counts[reason] = counts.get(reason, 0) + n
    return Settled(day, accounts, sum(paid), sum(d.wanted for d in dues), root, counts)


def _leaves(conn: Connection, day: date, origin: Origin, salt: Salt) -> bytes:
    """A leaf for every account that was ever opened, in an order that says nothing: that of fresh salts."""
    tree = Frontier()
    n = 0
    for some in _portions(_statements(conn, salt)):
        rows = [(leaf_body(day, account, s, sums, new, origin), account, s) for account, s, sums, new in some]
        conn.execute(
            "INSERT INTO points_leaf (day, n, account, salt, body) "
            "SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %b::bytea[], %b::bytea[])",
            (day, list(range(n, n + len(rows))), [r[1] for r in rows], [r[2] for r in rows], [r[0] for r in rows]),
        )
        tree.extend(leaf_hash(r[0]) for r in rows)
        n += len(rows)
    return tree.root()


def _statements(conn: Connection, salt: Salt) -> Iterator[tuple[str, bytes, Sums, bytes]]:
    """Account, fresh salt, sums and hash of what is new, of all accounts; memory for some."""
    # The place of an account in the tree is drawn anew each time: a place that stays would match two leaves.
    with conn.cursor(name="points_accounts") as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(
            "SELECT a.id, a.earned, a.spent, a.expired, (SELECT json_agg(json_build_object("
            "'day', e.day, 'what', e.what, 'points', e.points) ORDER BY e.id) "
            "FROM points_entry AS e WHERE e.account = a.id AND e.settled_on IS NULL) "
            "FROM account AS a ORDER BY sha256(%s || a.id::bytea)",
            (salt(32),),
        )
        for account, earned, spent, expired, new in cursor:
            yield account, salt(32), Sums(int(earned), int(spent), int(expired)), entries_hash(new or [])


def _portions(rows: Iterable[tuple[str, bytes, Sums, bytes]]) -> Iterator[list[tuple[str, bytes, Sums, bytes]]]:
    found = iter(rows)
    while some := list(islice(found, _AT_ONCE)):
        yield some


# ---------------------------------------------------------------- what was settled


@dataclass(frozen=True)
class PointsDay:
    """A settlement. issued_day: what it gave out; issued, spent, expired: sums of all until it."""

    day: date
    n: int
    budget: int
    issued_day: int
    issued: int
    spent: int
    expired: int
    accounts: int
    root: bytes
    rules: bytes
    settled_at: datetime


_DAY = "day, n, budget, issued_day, issued, spent, expired, accounts, root, rules, settled_at"


def settlements(conn: Connection, most: int = 1000) -> list[PointsDay]:
    """Settlements, newest first."""
    rows = conn.execute(f"SELECT {_DAY} FROM points_day ORDER BY n DESC LIMIT %s", (most,))  # noqa: S608 - constant
    return [PointsDay(*row) for row in rows]


def settlement(conn: Connection, day: date | None = None) -> PointsDay | None:
    """The settlement of a day, or the newest."""
    row = conn.execute(
        f"SELECT {_DAY} FROM points_day WHERE %s::date IS NULL OR day = %s ORDER BY n DESC LIMIT 1",  # noqa: S608
        (day, day),
    ).fetchone()
    return PointsDay(*row) if row else None


def statement(conn: Connection, account: str, day: date | None = None) -> dict[str, Any]:
    """An account's statement as of a day's settlement, or the newest, for `verify_statement`: JSON with bytes as hex.

    Also in it: the settlement's root, the number of its record in the log (None while it waits for one), and the new
    entries. Raises PointsError where there is none (any more).
    """
    row = conn.execute(
        "SELECT l.day, l.n, l.salt, l.body, d.root, d.accounts FROM points_leaf AS l JOIN points_day AS d "
        "ON d.day = l.day WHERE l.account = %s AND (%s::date IS NULL OR l.day = %s) ORDER BY d.n DESC LIMIT 1",
        (account, day, day),
    ).fetchone()
    if row is None:
        raise PointsError(
            "there is no statement of that day: days are settled some two days after their end, and statements are "
            f"kept of the last {LEAVES_KEPT}; a newer one says all that an older one did"
        )
    of, n, salt, body, root, size = row
    bodies = conn.execute("SELECT body FROM points_leaf WHERE day = %s ORDER BY n", (of,))
    leaves = [leaf_hash(bytes(r[0])) for r in bodies]
    path = inclusion_proof(ranges_of(leaves), int(n), int(size))
    new = conn.execute(
        "SELECT day, what, points FROM points_entry WHERE account = %s AND settled_on = %s ORDER BY id", (account, of)
    )
    found = conn.execute(
        "SELECT idx FROM record WHERE kind = 'reward' AND day = %s ORDER BY idx LIMIT 1", (of,)
    ).fetchone()
    return {
        "day": of.isoformat(), "account": account, "salt": bytes(salt).hex(), "body": bytes(body).hex(),
        "index": int(n), "size": int(size), "path": [step.hex() for step in path],
        "root": bytes(root).hex(), "record": None if found is None else int(found[0]),
        "entries": [{"day": r[0].isoformat(), "what": r[1], "points": int(r[2])} for r in new],
    }  # fmt: skip
