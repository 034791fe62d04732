"""Accounts, entries and claims in PostgreSQL. Functions take a connection and never commit.

An entry is written once and never changed, but for the settlement that says it first. What an account has is kept in
its row besides, in the same transaction: whoever writes an entry holds that row, so two who spend wait for each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg

Connection = psycopg.Connection[Any]
Why = Mapping[str, Any]

EXPIRE_AFTER_DAYS: Final = 365
"""Points of a day go so many days later. Shorter, and who drives little never has enough for anything; longer, and what
the city owes grows without end."""
MOST_ENTRIES: Final = 1000
EARNED: Final = ("pass", "report", "appeal")
GONE: Final = ("expiry", "closed")


class PointsError(ValueError):
    """What was asked of an account cannot be; the text says what to do."""


class NoAccount(PointsError):
    """There is no such account, or it was closed."""


class NotEnough(PointsError):
    """More is to be spent than there is."""


class KeyReused(PointsError):
    """A key of another transaction comes with other content."""


@dataclass(frozen=True)
class Balance:
    """Points of an account: earned = spent + expired + available."""

    earned: int
    spent: int
    expired: int

    @property
    def available(self) -> int:
        """What can be spent."""
        return self.earned - self.spent - self.expired


@dataclass(frozen=True)
class Entry:
    """A line of an account. points: positive came, negative went. settled_on: None until a settlement says it."""

    id: int
    day: date
    settled_on: date | None
    what: str
    points: int
    why: dict[str, Any]
    key: str | None


@dataclass(frozen=True)
class Refusal:
    """Something of a day that did not earn; n: how many squares, chunks or points, as the reason says."""

    day: date
    reason: str
    n: int


@dataclass(frozen=True)
class Claim:
    """What a person has decided and a settlement is to pay, or has."""

    id: int
    account: str
    what: str
    day: date
    cell: int | None
    kind: str | None
    points: int | None
    why: dict[str, Any]
    settled_on: date | None
    outcome: str | None


_ENTRY = "id, day, settled_on, what, points, why, key"
_CLAIM = "id, account, what, day, cell, kind, points, why, settled_on, outcome"
_ID = re.compile(r"[0-9a-z]{16,64}\Z")


# ---------------------------------------------------------------- accounts


def open_account(
    conn: Connection, account: str, at: datetime, *, device: str | None = None, paper_hash: bytes | None = None
) -> str:
    """Opens an account under a random id of 16 to 64 letters and digits, for a device or for a number on paper (its
    SHA-256), and gives the id. A device that has one already keeps it, and its id is given. Raises PointsError."""
    if not _ID.match(account):
        raise PointsError("an account's id is 16 to 64 small letters and digits, drawn at random")
    if (device is None) == (paper_hash is None):
        raise PointsError("an account belongs to a device or to a number on paper: give one of the two")
    row = conn.execute(
        "INSERT INTO account (id, device, paper_hash, joined_at) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING RETURNING id",
        (account, device, paper_hash, at),
    ).fetchone()
    if row is None:
        column, value = ("device", device) if device is not None else ("paper_hash", paper_hash)
        row = conn.execute(f"SELECT id FROM account WHERE {column} = %s", (value,)).fetchone()  # noqa: S608 - constant
    if row is None:
        raise PointsError("that id is taken: draw another one")
    return str(row[0])


def account_of(conn: Connection, device: str) -> str | None:
    """The open account of a device, None where its owner has not joined."""
    row = conn.execute("SELECT id FROM account WHERE device = %s AND closed_at IS NULL", (device,)).fetchone()
    return str(row[0]) if row else None


def account_of_paper(conn: Connection, paper_hash: bytes) -> str | None:
    """The open account of a number on paper."""
    row = conn.execute("SELECT id FROM account WHERE paper_hash = %s AND closed_at IS NULL", (paper_hash,)).fetchone()
    return str(row[0]) if row else None


def joined(conn: Connection, devices: Sequence[str]) -> set[str]:
    """Those of these devices whose owners collect points; no account of theirs is closed until the transaction ends."""
    if not devices:
        return set()
    rows = conn.execute(
        "SELECT device FROM account WHERE device = ANY(%s) AND closed_at IS NULL ORDER BY id FOR KEY SHARE",
        (sorted(set(devices)),),
    )
    return {r[0] for r in rows}


def accounts_with_devices(conn: Connection) -> dict[str, str]:
    """Every open account of a device: account by device."""
    rows = conn.execute("SELECT device, id FROM account WHERE device IS NOT NULL AND closed_at IS NULL")
    return {r[0]: r[1] for r in rows}


def known_accounts(conn: Connection, joined_by: datetime, day: date, paid_days: int) -> set[str]:
    """Open accounts of devices that joined by a moment and were paid for passes on so many days before a day. An
    account that was closed and opened again begins anew."""
    rows = conn.execute(
        # A pass is paid once a day, so entries are days; it stops at the last that it needs.
        "SELECT id FROM account AS a WHERE device IS NOT NULL AND closed_at IS NULL AND joined_at <= %(by)s AND "
        "(SELECT count(*) FROM (SELECT FROM points_entry WHERE account = a.id AND what = 'pass' AND day < %(day)s "
        "LIMIT %(most)s) AS paid) >= %(most)s",
        {"by": joined_by, "day": day, "most": paid_days},
    )
    return {r[0] for r in rows}


def close_account(conn: Connection, account: str, at: datetime, day: date) -> int:
    """Closes an account: whose it was is forgotten, what was left of it goes (an entry `closed`), open claims with it.
    Its entries stay under the random id, so that sums go on to add up. Gives the points that went; closing again
    changes nothing."""
    row = conn.execute(
        "SELECT earned - spent - expired FROM account WHERE id = %s AND closed_at IS NULL FOR UPDATE", (account,)
    ).fetchone()
    if row is None:
        return 0
    left = int(row[0])
    if left:
        _write(conn, account, day, "closed", -left, {"reason": "account_closed"}, f"closed:{account}")
    conn.execute(
        "UPDATE points_claim SET settled_on = %s, outcome = 'account_closed' WHERE account = %s AND settled_on IS NULL",
        (day, account),
    )
    conn.execute("UPDATE account SET device = NULL, paper_hash = NULL, closed_at = %s WHERE id = %s", (at, account))
    return left


# ---------------------------------------------------------------- what is there


def balance(conn: Connection, account: str, today: date) -> Balance:
    """What an account has on a service day. Points that are too old by then count as expired, also before a settlement
    has taken them. Raises NoAccount."""
    row = conn.execute("SELECT earned, spent, expired FROM account WHERE id = %s", (account,)).fetchone()
    if row is None:
        raise NoAccount("there is no such account: join first")
    earned, spent, expired = map(int, row)
    return Balance(earned, spent, expired + due_to_expire(conn, account, today))


def due_to_expire(conn: Connection, account: str, today: date) -> int:
    """Points that are too old on a day and still there: first in, first out."""
    row = conn.execute(
        "SELECT greatest(coalesce((SELECT sum(points) FROM points_entry WHERE account = a.id AND what = ANY(%s) "
        "AND day <= %s), 0) - a.spent - a.expired, 0) FROM account AS a WHERE id = %s",
        (list(EARNED), today - timedelta(days=EXPIRE_AFTER_DAYS), account),
    ).fetchone()
    return int(row[0]) if row else 0


def entries(conn: Connection, account: str, after: int = 0, most: int = MOST_ENTRIES) -> list[Entry]:
    """An account's entries above an id, oldest first."""
    rows = conn.execute(
        f"SELECT {_ENTRY} FROM points_entry WHERE account = %s AND id > %s ORDER BY id LIMIT %s",  # noqa: S608 - constant
        (account, after, most),
    )
    return [Entry(*row) for row in rows]


def refusals(conn: Connection, account: str, since: date | None = None, most: int = MOST_ENTRIES) -> list[Refusal]:
    """What of an account's days did not earn, newest day first."""
    rows = conn.execute(
        "SELECT day, reason, n FROM points_refusal WHERE account = %s AND (%s::date IS NULL OR day >= %s) "
        "ORDER BY day DESC, reason LIMIT %s",
        (account, since, since, most),
    )
    return [Refusal(r[0], r[1], int(r[2])) for r in rows]


# ---------------------------------------------------------------- spending


def spend(conn: Connection, account: str, points: int, key: str, why: Why, today: date) -> bool:
    """Takes points out of an account for something outside, once for each key: the same again changes nothing and gives
    False. Raises KeyReused where the key came with other content before, NotEnough, NoAccount, PointsError."""
    if points <= 0:
        raise PointsError("points to spend are a whole number above zero")
    if not 1 <= len(key) <= 160:
        raise PointsError("a key is 1 to 160 letters: the mall's number of the transaction")
    # The account first, whatever comes: two who spend wait for each other here, and then see what the other wrote.
    row = conn.execute("SELECT closed_at IS NULL FROM account WHERE id = %s FOR NO KEY UPDATE", (account,)).fetchone()
    if row is None:
        raise NoAccount("there is no such account: join first")
    if _said_before(conn, account, -points, f"spend:{key}", why):
        return False
    if not row[0]:
        raise NoAccount("the account was closed, and its points with it")
    have = balance(conn, account, today)
    if points > have.available:
        raise NotEnough(f"{points} points are more than the {have.available} that are there: ask for the balance first")
    late = due_to_expire(conn, account, today)
    if late:  # what was too old goes first, or it would be the one that was spent
        _write(conn, account, today, "expiry", -late, {"reason": "too_old"}, f"expiry:{account}:{today}:{key}"[:200])
    return _write(conn, account, today, "redemption", -points, why, f"spend:{key}")


def refund(conn: Connection, key: str, why: Why, today: date) -> bool:
    """Gives back what `spend` took for a key, once; again changes nothing and gives False. Points come back as old as
    they were. Raises KeyReused where nothing was spent for the key, NoAccount where the account was closed since."""
    row = conn.execute("SELECT account, points FROM points_entry WHERE key = %s", (f"spend:{key}",)).fetchone()
    if row is None:
        raise KeyReused("nothing was spent for this key: give the key of the transaction that is taken back")
    account, points = row[0], -int(row[1])
    still = conn.execute("SELECT closed_at IS NULL FROM account WHERE id = %s FOR NO KEY UPDATE", (account,)).fetchone()
    if conn.execute("SELECT 1 FROM points_entry WHERE key = %s", (f"refund:{key}",)).fetchone():
        return False
    if still is None or not still[0]:
        raise NoAccount("the account was closed since: nobody is there to give points back to")
    return _write(conn, account, today, "redemption", points, why, f"refund:{key}")


def _said_before(conn: Connection, account: str, points: int, key: str, why: Why) -> bool:
    row = conn.execute(
        "SELECT account = %s AND points = %s AND why = %s::jsonb FROM points_entry WHERE key = %s",
        (account, points, json.dumps(dict(why)), key),
    ).fetchone()
    if row is not None and not row[0]:
        raise KeyReused("this key came before with another account, amount or reason: take a new key")
    return row is not None


def _write(conn: Connection, account: str, day: date, what: str, points: int, why: Why, key: str) -> bool:
    """An entry, and the sums of its account with it. False where the same was said before. Raises KeyReused."""
    row = conn.execute(
        "INSERT INTO points_entry (account, day, what, points, why, key) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (key) DO NOTHING RETURNING id",
        (account, day, what, points, json.dumps(dict(why)), key),
    ).fetchone()
    if row is None:
        _said_before(conn, account, points, key, why)
        return False
    column = "earned" if what in EARNED else "spent" if what == "redemption" else "expired"
    change = points if column == "earned" else -points
    conn.execute(f"UPDATE account SET {column} = {column} + %s WHERE id = %s", (change, account))  # noqa: S608 - constant
    return True


# ---------------------------------------------------------------- claims


def add_claim(
    conn: Connection, account: str, what: str, day: date, why: Why, at: datetime, *, cell: int | None = None,
    kind: str | None = None, points: int | None = None,
) -> int:  # fmt: skip
    """What a person has decided: a `report` (with the square and kind of what was reported) or an `appeal` that was
    granted (with its points). The next settlement pays it, within its budget. Gives its number. Raises NoAccount,
    PointsError."""
    if (what, cell is not None, points is not None) not in (("report", True, False), ("appeal", False, True)):
        raise PointsError("a report names its square, a granted appeal its points, and neither the other")
    if points is not None and points <= 0:
        raise PointsError("a granted appeal gives a whole number of points above zero")
    open_ = conn.execute("SELECT closed_at IS NULL FROM account WHERE id = %s FOR SHARE", (account,)).fetchone()
    if open_ is None or not open_[0]:
        raise NoAccount("there is no such account, or it was closed")
    row = conn.execute(
        "INSERT INTO points_claim (account, what, day, cell, kind, points, why, entered_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (account, what, day, cell, kind, points, json.dumps(dict(why)), at),
    ).fetchone()
    if row is None:
        raise LookupError("the database gave a claim no number")
    return int(row[0])


def claims(conn: Connection, account: str, most: int = MOST_ENTRIES) -> list[Claim]:
    """An account's claims, newest first."""
    rows = conn.execute(
        f"SELECT {_CLAIM} FROM points_claim WHERE account = %s ORDER BY id DESC LIMIT %s",  # noqa: S608 - constant
        (account, most),
    )
    return [Claim(*row) for row in rows]


def open_claims(conn: Connection, until: date, most: int = 10_000) -> list[Claim]:
    """Claims of days up to one that no settlement has paid yet, oldest first."""
    rows = conn.execute(
        f"SELECT {_CLAIM} FROM points_claim WHERE settled_on IS NULL AND day <= %s "  # noqa: S608 - constant
        "ORDER BY id LIMIT %s FOR UPDATE",
        (until, most),
    )
    return [Claim(*row) for row in rows]


def paid_cells(conn: Connection, since: date) -> list[int]:
    """Squares of reports that were paid since a day."""
    rows = conn.execute(
        "SELECT cell FROM points_claim WHERE cell IS NOT NULL AND outcome = 'paid' AND settled_on >= %(since)s "
        "UNION SELECT cell FROM points_place WHERE settled_on >= %(since)s",
        {"since": since},
    )
    return [int(r[0]) for r in rows]


def let_go_of_places(conn: Connection, before: date, account: str | None = None) -> int:
    """Settled claims let go of where it was: those that were settled before a day, or all of an account. A square that
    was paid for stays by itself, for as long as it counts. Gives how many claims."""
    conn.execute("DELETE FROM points_place WHERE settled_on < %s", (before - timedelta(days=EXPIRE_AFTER_DAYS),))
    return conn.execute(
        "WITH gone AS (UPDATE points_claim SET cell = NULL, kind = NULL, why = '{}' "
        "WHERE cell IS NOT NULL AND settled_on IS NOT NULL "
        "AND (account = %(account)s OR %(account)s::text IS NULL AND settled_on < %(before)s) "
        "RETURNING old.cell, outcome, settled_on), "
        "kept AS (INSERT INTO points_place SELECT cell, settled_on FROM gone WHERE outcome = 'paid' ORDER BY cell) "
        "SELECT 1 FROM gone",
        {"account": account, "before": before},
    ).rowcount
