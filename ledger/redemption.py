"""Points leave here for an outside mall: a citizen's code, the mall's redemption by its own key, a refund, and what the
mall is still to be told. PostgreSQL; functions take a connection and never commit.

The mall learns how many points, and a number of ours for the redemption. Neither a device nor an account reaches it,
and two redemptions of one citizen have nothing in common.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg

from . import points_store
from .paper import hash_of
from .reports import PurseRefused

Connection = psycopg.Connection[Any]

CODE_S: Final = 900
"""A code lives a quarter of an hour: long enough for a queue at a till, short enough that one that was photographed is
seldom worth anything."""
PAPER_CODE_S: Final = 86_400
"""One that a clerk printed: the way to the mall is longer."""
MOST_POINTS: Final = 1_000_000
TRIES: Final = 12
"""Deliveries of one message: with waits that double from 5 s to an hour, some 5 hours. After that it is left, named by
`roadcode points mall`, and can be sent again by hand."""
_FIRST_WAIT_S: Final = 5.0
_LONGEST_WAIT_S: Final = 3600.0
KEEP_DELIVERED_DAYS: Final = 30


class NoSuchCode(PurseRefused):
    """No code that could be redeemed now."""

    name = "no_such_code"


class CodeUsed(PurseRefused):
    """A code that another key has redeemed."""

    name = "code_used"


class KeyUsed(PurseRefused):
    """A key that stands for another redemption."""

    name = "key_used"


class NoSuchRedemption(PurseRefused):
    """No redemption of that key."""

    name = "no_such_redemption"


class CannotRefund(PurseRefused):
    """There is nobody to give points back to."""

    name = "account_closed"


@dataclass(frozen=True)
class Redemption:
    """What the mall took. account: None once it was closed."""

    id: str
    key: str
    account: str | None
    points: int
    day: date
    at: datetime
    refunded_at: datetime | None
    refund_day: date | None

    def told(self) -> dict[str, Any]:
        """What the mall may know of it."""
        return {
            "redemption": self.id, "key": self.key, "points": self.points, "day": self.day.isoformat(),
            "at": self.at.isoformat(), "state": "refunded" if self.refunded_at else "redeemed",
            "refunded_at": self.refunded_at.isoformat() if self.refunded_at else None,
        }  # fmt: skip


_COLUMNS: Final = "id, mall_key, account, points, day, at, refunded_at, refund_day"


def offer(
    conn: Connection, account: str, points: int, number: str, at: datetime, today: date, life_s: int = CODE_S
) -> datetime:
    """Lets ``number`` be redeemed for so many points, in the place of an open code of the account; gives when that
    ends. Nothing is spent yet. Raises points_store.NotEnough."""
    if not 0 < points <= MOST_POINTS:
        raise PurseRefused("a code is for 1 point or more")
    have = points_store.balance(conn, account, today).available
    if have < points:
        raise points_store.NotEnough(f"{have} points are there, not {points}")
    ends = at + timedelta(seconds=life_s)
    conn.execute(
        "INSERT INTO redemption_code (hash, account, points, ends_at) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (account) DO UPDATE SET hash = excluded.hash, points = excluded.points, "
        "ends_at = excluded.ends_at",
        (hash_of(number, "redemption"), account, points, ends),
    )
    return ends


def withdraw(conn: Connection, account: str) -> bool:
    """Takes the open code of an account back."""
    return conn.execute("DELETE FROM redemption_code WHERE account = %s", (account,)).rowcount > 0


def redeem(
    conn: Connection, number: str, key: str, name: str, at: datetime, today: date, taker: str = ""
) -> tuple[Redemption, bool]:
    """Spends the points of a code for the mall, once; and whether this was the first time. The same code and key again
    gives what the first gave, to the same taker. ``name``: the redemption's number, drawn. ``taker``: which mall it is,
    empty for the one with the key file. Raises NoSuchCode, CodeUsed, KeyUsed, and what
    `points_store.spend` raises."""
    hashed = hash_of(number, "redemption")
    # One lock for the key, one row for the code: whatever comes at the same time waits here and then reads what is.
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 10))", (key,))
    code = conn.execute(
        "SELECT account, points, ends_at FROM redemption_code WHERE hash = %s FOR UPDATE", (hashed,)
    ).fetchone()
    before = conn.execute(
        f"SELECT {_COLUMNS}, hash, taker FROM redemption WHERE mall_key = %s OR hash = %s", (key, hashed)  # noqa: S608
    ).fetchall()
    for row in before:
        if row[1] == key and bytes(row[8]) == hashed and row[9] == taker:
            return Redemption(*row[:8]), False
    if any(row[1] == key for row in before):
        raise KeyUsed("this key stands for another redemption: draw a new key for each")
    if before:
        raise CodeUsed("this code was redeemed with another key: a code is good once")
    if code is None or code[2] <= at:
        raise NoSuchCode("no such code, or it is older than a quarter of an hour: ask the customer for a new one")
    account, points, _ = code
    points_store.spend(conn, account, points, spend_key(key), {"redemption": name}, today)
    made = conn.execute(
        "INSERT INTO redemption (id, mall_key, hash, account, points, day, at, taker) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "RETURNING id, mall_key, account, points, day, at, refunded_at, refund_day",
        (name, key, hashed, account, points, today, at, taker),
    ).fetchone()
    conn.execute("DELETE FROM redemption_code WHERE hash = %s", (hashed,))
    if made is None:
        raise LookupError("the database gave a redemption no row")
    done = Redemption(*made)
    post(conn, f"redeemed:{name}", "redemption.redeemed", done.told(), at)
    return done, True


def spend_key(key: str) -> str:
    """Under which key the points of a redemption are spent; theirs and those of other callers never meet."""
    return f"mall:{key}"


def redemption(conn: Connection, key: str, taker: str = "") -> Redemption:
    """What a key of a mall stands for. Raises NoSuchRedemption."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM redemption WHERE mall_key = %s AND taker = %s", (key, taker)  # noqa: S608
    ).fetchone()
    if row is None:
        raise NoSuchRedemption("no redemption of this key")
    return Redemption(*row)


def refund(conn: Connection, key: str, at: datetime, today: date, taker: str = "") -> Redemption:
    """Gives the points of a redemption back, once; again changes nothing. Raises NoSuchRedemption, CannotRefund."""
    conn.execute("SELECT 1 FROM redemption WHERE mall_key = %s FOR UPDATE", (key,))
    found = redemption(conn, key, taker)
    if found.refunded_at is not None:
        return found
    if found.account is None:
        raise CannotRefund("whoever redeemed it has left: there is no account to give points back to")
    points_store.refund(conn, spend_key(key), {"refund_of": found.id}, today)
    conn.execute(
        "UPDATE redemption SET refunded_at = %s, refund_day = %s WHERE mall_key = %s", (at, today, key)
    )
    done = redemption(conn, key, taker)
    post(conn, f"refunded:{done.id}", "redemption.refunded", done.told(), at)
    return done


def redemptions_of(conn: Connection, account: str, most: int = 200) -> list[Redemption]:
    """The redemptions of an account, the newest first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM redemption WHERE account = %s ORDER BY at DESC LIMIT %s",  # noqa: S608
        (account, most),
    )
    return [Redemption(*row) for row in rows]


def redemptions_on(conn: Connection, day: date) -> list[dict[str, Any]]:
    """What was redeemed and refunded on a day, for the mall's books: rows with what, key, redemption, points."""
    rows = conn.execute(
        "SELECT 'redeemed', id, mall_key, points, at FROM redemption WHERE day = %s UNION ALL "
        "SELECT 'refunded', id, mall_key, -points, refunded_at FROM redemption WHERE refund_day = %s ORDER BY 5, 1",
        (day, day),
    )
    return [
        {"what": r[0], "redemption": r[1], "key": r[2], "points": r[3], "at": r[4].isoformat()} for r in rows
    ]


# ---------------------------------------------------------------- what the mall is told


@dataclass(frozen=True)
class Delivery:
    """A message on its way. body: the bytes to send, as text; attempts: those that were made."""

    id: int
    key: str
    body: str
    attempts: int


def post(conn: Connection, key: str, event: str, told: dict[str, Any], at: datetime) -> None:
    """Puts a message into the outbox, in the transaction in which the thing happens; the same key again changes
    nothing."""
    body = json.dumps({"v": 1, "event": event, "id": key, **told}, ensure_ascii=False, sort_keys=True)
    conn.execute(
        "INSERT INTO mall_delivery (key, body, at, next_at) VALUES (%s, %s, %s, %s) ON CONFLICT (key) DO NOTHING",
        (key, body, at, at),
    )


def post_days(conn: Connection, at: datetime) -> None:
    """Puts settled days of which the mall was not told yet into the outbox: sums alone."""
    rows = conn.execute(
        "SELECT day, budget, issued_day, issued, spent, expired FROM points_day d "
        "WHERE settled_at > %s - interval '30 days' AND NOT EXISTS "
        "(SELECT 1 FROM mall_delivery m WHERE m.key = 'settled:' || d.day::text) ORDER BY day",
        (at,),
    ).fetchall()
    for day, budget, of_day, issued, spent, expired in rows:
        sums = {
            "day": day.isoformat(), "budget": budget, "issued_day": of_day, "issued": issued, "spent": spent,
            "expired": expired,
        }  # fmt: skip
        post(conn, f"settled:{day.isoformat()}", "day.settled", sums, at)


def due(conn: Connection, at: datetime) -> Delivery | None:
    """The oldest message that is to be sent now. Its row is locked until the caller's transaction ends, and others
    pass it by: of two senders one sends it."""
    row = conn.execute(
        "SELECT id, key, body, attempts FROM mall_delivery WHERE delivered_at IS NULL AND attempts < %s "
        "AND next_at <= %s ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED",
        (TRIES, at),
    ).fetchone()
    return Delivery(*row) if row else None


def delivered(conn: Connection, number: int, at: datetime) -> None:
    """The mall has it."""
    conn.execute(
        "UPDATE mall_delivery SET delivered_at = %s, attempts = attempts + 1, fault = NULL WHERE id = %s", (at, number)
    )


def not_delivered(conn: Connection, number: int, attempts: int, fault: str, at: datetime, spread: float) -> None:
    """The mall did not take it: it comes again, later each time. ``spread``: 0 to 1, drawn, so that not all that failed
    together come together."""
    wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempts) * (0.75 + spread / 2)
    conn.execute(
        "UPDATE mall_delivery SET attempts = attempts + 1, next_at = %s, fault = %s WHERE id = %s",
        (at + timedelta(seconds=wait_s), fault[:200], number),
    )


def deliveries(conn: Connection, most: int = 200) -> list[dict[str, Any]]:
    """The newest messages to the mall and what became of them."""
    rows = conn.execute(
        "SELECT key, at, attempts, delivered_at, next_at, fault FROM mall_delivery ORDER BY id DESC LIMIT %s", (most,)
    )
    return [
        {
            "key": key, "at": at.isoformat(), "attempts": attempts,
            "state": "delivered" if done else "given up" if attempts >= TRIES else "waits",
            "next": None if done or attempts >= TRIES else again.isoformat(), "fault": fault,
        }
        for key, at, attempts, done, again, fault in rows
    ]  # fmt: skip


def send_again(conn: Connection, keys: Sequence[str], at: datetime) -> int:
    """Messages that were given up, or delivered, are sent once more, as they were; none of these keys: all that were
    given up. Gives how many."""
    if keys:
        return conn.execute(
            "UPDATE mall_delivery SET attempts = 0, next_at = %s, delivered_at = NULL WHERE key = ANY(%s)",
            (at, list(keys)),
        ).rowcount
    return conn.execute(
        "UPDATE mall_delivery SET attempts = 0, next_at = %s WHERE delivered_at IS NULL AND attempts >= %s", (at, TRIES)
    ).rowcount


def expire_deliveries(conn: Connection, at: datetime) -> int:
    """Messages that were delivered a month ago go."""
    return conn.execute(
        "DELETE FROM mall_delivery WHERE delivered_at < %s - make_interval(days => %s)", (at, KEEP_DELIVERED_DAYS)
    ).rowcount
