"""Do points add up? Entries against the sums of their accounts, leaves against both, roots against leaves and against
the records of the log. Reads only."""

from __future__ import annotations

from typing import Any

import psycopg

from .faults import Fault
from .merkle import Frontier, leaf_hash
from .points_leaf import entries_hash, holder_of
from .records import RecordError, parse

Connection = psycopg.Connection[Any]
_MOST = 100
"""Faults that are named of a kind: of a damaged table each row is one."""


def faults(conn: Connection) -> list[Fault]:
    """Everything that does not add up, in words."""
    return [*_accounts(conn), *_days(conn), *_leaves(conn), *_records(conn)]


def _accounts(conn: Connection) -> list[Fault]:
    rows = conn.execute(
        "SELECT a.id FROM account AS a LEFT JOIN (SELECT account, "
        "coalesce(sum(points) FILTER (WHERE what IN ('pass', 'report', 'appeal')), 0) AS earned, "
        "coalesce(-sum(points) FILTER (WHERE what = 'redemption'), 0) AS spent, "
        "coalesce(-sum(points) FILTER (WHERE what IN ('expiry', 'closed')), 0) AS expired "
        "FROM points_entry GROUP BY account) AS e ON e.account = a.id WHERE (a.earned, a.spent, a.expired) IS DISTINCT "
        "FROM (coalesce(e.earned, 0), coalesce(e.spent, 0), coalesce(e.expired, 0)) ORDER BY a.id LIMIT %s",
        (_MOST,),
    )
    found = [Fault("points", f"account {r[0]}", "its sums are not those of its entries") for r in rows]
    twice = conn.execute(
        "SELECT account, day FROM points_entry WHERE what = 'pass' GROUP BY 1, 2 HAVING count(*) > 1 LIMIT %s", (_MOST,)
    )
    return found + [Fault("points", f"account {r[0]}", f"paid twice for {r[1]}") for r in twice]


def _days(conn: Connection) -> list[Fault]:
    """Each settlement's own sum, and the running sums from one to the next."""
    rows = conn.execute(
        "SELECT d.day, d.issued_day, coalesce((SELECT sum(points) FROM points_entry AS e WHERE e.settled_on = d.day "
        "AND e.what IN ('pass', 'report', 'appeal')), 0), d.issued, "
        "sum(d.issued_day) OVER (ORDER BY d.n) FROM points_day AS d ORDER BY d.n"
    )
    found = []
    for day, said, paid, issued, summed in rows:
        if said != paid:
            found.append(Fault("points", f"settlement {day}", f"it says {said} points, its entries are {paid}"))
        if issued != summed:
            found.append(
                Fault("points", f"settlement {day}", f"it says {issued} points in all, the days until it {summed}")
            )
    return found[:_MOST]


def _leaves(conn: Connection) -> list[Fault]:
    """Leaves that are kept against root, account and entries."""
    found: list[Fault] = []
    days = conn.execute(
        "SELECT day, root, accounts FROM points_day WHERE day IN (SELECT day FROM points_leaf) ORDER BY n"
    )
    for day, root, accounts in days.fetchall():
        tree = Frontier()
        new = _entries_of(conn, day)
        with conn.cursor() as cursor:
            cursor.execute("SELECT n, account, salt, body FROM points_leaf WHERE day = %s ORDER BY n", (day,))
            for n, account, salt, body in cursor:
                tree.extend([leaf_hash(bytes(body))])
                why = _wrong(bytes(body), bytes(salt), account, new.get(account, []))
                if why and len(found) < _MOST:
                    found.append(Fault("points", f"statement {n} of {day}", why))
        if tree.size != accounts or tree.root() != bytes(root):
            found.append(Fault("points", f"settlement {day}", "its statements do not give its root"))
    return found


def _entries_of(conn: Connection, day: object) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for account, of, what, points in conn.execute(
        "SELECT account, day, what, points FROM points_entry WHERE settled_on = %s ORDER BY id", (day,)
    ):
        found.setdefault(account, []).append({"day": of, "what": what, "points": points})
    return found


def _wrong(body: bytes, salt: bytes, account: str, new: list[dict[str, Any]]) -> str:
    try:
        content = parse(body)
    except RecordError as error:
        return str(error)
    if content.get("holder") != holder_of(salt, account):
        return "it is not of the account that it stands under"
    return "" if content.get("entries") == entries_hash(new) else "its new entries are not those that were written"


def _records(conn: Connection) -> list[Fault]:
    """Settlements against what the log says, or is about to."""
    said: dict[str, list[dict[str, Any]]] = {}
    for table in ("record", "outbox"):
        for (body,) in conn.execute(f"SELECT body FROM {table} WHERE kind = 'reward'"):  # noqa: S608 - from above
            try:
                content = parse(bytes(body))
            except RecordError:
                continue  # named by the log's own check
            said.setdefault(content["day"], []).append(content)
    found = []
    names = ("budget", "issued", "spent", "expired", "accounts", "root", "rules")
    rows = conn.execute(f"SELECT day, {', '.join(names)} FROM points_day ORDER BY n").fetchall()  # noqa: S608 - constant
    for day, *values in rows:
        told = said.pop(day.isoformat(), [])
        if len(told) != 1:
            found.append(Fault("points", f"settlement {day}", f"the log has {len(told)} records of it, not one"))
        elif any(
            told[0][n] != (bytes(v) if isinstance(v, memoryview) else v) for n, v in zip(names, values, strict=True)
        ):
            found.append(Fault("points", f"settlement {day}", "it is not what its record in the log says"))
    found += [
        Fault("points", f"settlement {day}", "the log has a record of it, and the database has no such settlement")
        for day in said
    ]
    return found[:_MOST]
