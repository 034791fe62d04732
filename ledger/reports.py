"""What people report and what they appeal against, in PostgreSQL. A person decides both; a decision is a claim, which
the settlement of a day turns into points. Functions take a connection and never commit.

The log holds no decision: it would hold a person's. Who decided what and why stands here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg

from . import points_store

Connection = psycopg.Connection[Any]

WAYS: Final = ("photo", "hotline", "counter")
LONGEST_NOTE: Final = 500
REPORTS_A_DAY: Final = 10
"""Of one account. Fewer and who walks a street with ten holes is stopped; more and one account keeps a clerk busy."""
REPORTS_WAITING: Final = 20
"""Of one account that nobody has decided yet: what a clerk has not read, nobody shall heap more upon."""
APPEALS_A_DAY: Final = 3
"""About one day of one account, decided ones too. With one, a refusal for a slip of the pen would be the last word."""
APPEALS_WAITING: Final = 5
APPEAL_WITHIN_DAYS: Final = 60
"""After the day. Points show up two days later and a month is soon gone; much longer and nothing is left to look at."""
MOST_GRANTED: Final = 1000
"""Points that one appeal may bring. A slip of a clerk's finger must not spend a year's budget; the settlement holds the
day's budget in any case."""


class PurseRefused(ValueError):
    """Something that is not done; `name` for programs, the text says what to do."""

    name = "refused"


class NoSuchReport(PurseRefused):
    """No report, or appeal, of that number."""

    name = "no_such_report"


class AlreadyDecided(PurseRefused):
    """A person has decided before."""

    name = "already_decided"


class TooMany(PurseRefused):
    """More than one account may."""

    name = "too_many"


class NotAppealable(PurseRefused):
    """A day that nobody can appeal against."""

    name = "not_appealable"


@dataclass(frozen=True)
class Report:
    """A report as its row has it. account: None once it was closed, or the report is old. photo: whether there
    is one."""

    id: str
    account: str | None
    way: str
    day: date
    cell: int
    kind: str
    note: str
    at: datetime
    state: str
    decided_at: datetime | None
    decided_by: str | None
    why: str | None
    case: int | None
    photo: bool


def spoken(text: str) -> str:
    """What a person wrote, without signs that are no writing: control characters move the cursor and colours of the
    clerk's terminal, and those that turn the direction of writing show another text than there is."""
    return _NO_WRITING.sub(" ", text).strip()


_NO_WRITING: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")
_REPORT: Final = (
    'SELECT r.id, r.account, r.way, r.day, r.cell, r.kind, r.note, r.at, r.state, r.decided_at, r.decided_by, r.why, '
    'r."case", p.report IS NOT NULL FROM citizen_report r LEFT JOIN citizen_photo p ON p.report = r.id '
)


def add_report(
    conn: Connection, number: str, account: str, way: str, day: date, cell: int, kind: str, note: str, at: datetime
) -> None:
    """Notes a report of an account. Raises TooMany."""
    _hold(conn, account)
    row = conn.execute(
        "SELECT count(*) FILTER (WHERE day = %s), count(*) FILTER (WHERE state = 'waiting') FROM citizen_report "
        "WHERE account = %s",
        (day, account),
    ).fetchone()
    if row is not None and row[0] >= REPORTS_A_DAY:
        raise TooMany(f"at most {REPORTS_A_DAY} reports a day: go on tomorrow")
    if row is not None and row[1] >= REPORTS_WAITING:
        raise TooMany(f"{REPORTS_WAITING} of your reports wait for a person: wait until some are decided")
    conn.execute(
        "INSERT INTO citizen_report (id, account, way, day, cell, kind, note, at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (number, account, way, day, cell, kind, note, at),
    )


def _hold(conn: Connection, account: str) -> None:
    """What counts the rows of an account and then adds one does so alone, and to none that is being closed. Raises
    NoAccount."""
    row = conn.execute("SELECT closed_at IS NULL FROM account WHERE id = %s FOR SHARE", (account,)).fetchone()
    if row is None or not row[0]:
        raise points_store.NoAccount("there is no such account, or it was closed")
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 9))", (account,))


def report(conn: Connection, number: str) -> Report:
    """One report. Raises NoSuchReport."""
    row = conn.execute(_REPORT + "WHERE r.id = %s", (number,)).fetchone()
    if row is None:
        raise NoSuchReport(f"no report {number}: `roadcode points report list --all` names those there are")
    return Report(*row)


def reports(conn: Connection, state: str | None = "waiting", most: int = 500) -> list[Report]:
    """Reports, the oldest first where they wait; else the newest first."""
    if state == "waiting":
        rows = conn.execute(_REPORT + "WHERE r.state = 'waiting' ORDER BY r.at, r.id LIMIT %s", (most,))
    else:
        rows = conn.execute(
            _REPORT + "WHERE %s::text IS NULL OR r.state = %s ORDER BY r.at DESC, r.id LIMIT %s", (state, state, most)
        )
    return [Report(*row) for row in rows]


def reports_of(conn: Connection, account: str, most: int = 200) -> list[Report]:
    """The reports of an account, the newest first."""
    return [
        Report(*row)
        for row in conn.execute(_REPORT + "WHERE r.account = %s ORDER BY r.at DESC, r.id LIMIT %s", (account, most))
    ]


def put_photo(conn: Connection, number: str, account: str, jpeg: bytes, at: datetime) -> None:
    """Lays a photo to a report that waits, in the place of an earlier one. Raises NoSuchReport for another's too, and
    AlreadyDecided."""
    row = conn.execute(
        "SELECT state FROM citizen_report WHERE id = %s AND account = %s FOR UPDATE", (number, account)
    ).fetchone()
    if row is None:
        raise NoSuchReport("you have no report of that number")
    if row[0] != "waiting":
        raise AlreadyDecided("this report was decided: its photo is not needed any more")
    conn.execute(
        "INSERT INTO citizen_photo (report, jpeg, at) VALUES (%s, %s, %s) "
        "ON CONFLICT (report) DO UPDATE SET jpeg = excluded.jpeg, at = excluded.at",
        (number, jpeg, at),
    )


def photo(conn: Connection, number: str) -> bytes | None:
    """The photo of a report, as JPEG."""
    row = conn.execute("SELECT jpeg FROM citizen_photo WHERE report = %s", (number,)).fetchone()
    return bytes(row[0]) if row else None


def confirm(
    conn: Connection, number: str, by: str, why: str, at: datetime, case: int | None, keep_photo: bool = False
) -> int | None:
    """A person has seen that it is so: a claim for the settlement, its number; None where the account was closed.
    Raises NoSuchReport, AlreadyDecided."""
    found = _undecided(conn, number)
    claim = None
    if found.account is not None:
        told: Mapping[str, Any] = {"report": number, "way": found.way}
        claim = points_store.add_claim(
            conn, found.account, "report", found.day, told, at, cell=found.cell, kind=found.kind
        )
    _decide(conn, number, "confirmed", by, why, at, case, claim)
    if keep_photo:
        conn.execute("UPDATE citizen_photo SET kept = true WHERE report = %s", (number,))
    else:
        conn.execute("DELETE FROM citizen_photo WHERE report = %s", (number,))
    return claim


def refuse(conn: Connection, number: str, by: str, why: str, at: datetime) -> None:
    """A person has seen that it is not so, or cannot tell. Raises NoSuchReport, AlreadyDecided."""
    _undecided(conn, number)
    _decide(conn, number, "refused", by, why, at, None, None)
    conn.execute("DELETE FROM citizen_photo WHERE report = %s", (number,))


def _undecided(conn: Connection, number: str) -> Report:
    conn.execute("SELECT 1 FROM citizen_report WHERE id = %s FOR UPDATE", (number,))
    found = report(conn, number)
    if found.state != "waiting":
        raise AlreadyDecided(f"report {number} was {found.state} before, by {found.decided_by}: nothing changed")
    return found


def _decide(
    conn: Connection, number: str, state: str, by: str, why: str, at: datetime, case: int | None, claim: int | None
) -> None:
    conn.execute(
        'UPDATE citizen_report SET state = %s, decided_by = %s, why = %s, decided_at = %s, "case" = %s, claim = %s '
        "WHERE id = %s",
        (state, by, why, at, case, claim, number),
    )


# ---------------------------------------------------------------- appeals


@dataclass(frozen=True)
class Appeal:
    """An appeal as its row has it. points: what was granted."""

    id: int
    account: str
    day: date
    text: str
    at: datetime
    state: str
    points: int | None
    decided_at: datetime | None
    decided_by: str | None
    why: str | None


_APPEAL: Final = "SELECT id, account, day, text, at, state, points, decided_at, decided_by, why FROM points_appeal "


def appeal(conn: Connection, account: str, day: date, text: str, at: datetime, today: date) -> int:
    """Notes an appeal about a day and gives its number. Raises NotAppealable, TooMany."""
    if day > today or (today - day).days > APPEAL_WITHIN_DAYS:
        raise NotAppealable(f"an appeal is about a day of the last {APPEAL_WITHIN_DAYS}")
    _hold(conn, account)
    row = conn.execute(
        "SELECT count(*) FILTER (WHERE day = %s), count(*) FILTER (WHERE day = %s AND state = 'waiting'), "
        "count(*) FILTER (WHERE state = 'waiting') FROM points_appeal WHERE account = %s",
        (day, day, account),
    ).fetchone()
    of_day, open_of_day, waiting = row or (0, 0, 0)
    if open_of_day:
        raise TooMany("your appeal about this day waits for a person already")
    if of_day >= APPEALS_A_DAY:
        raise TooMany(f"a person has answered {APPEALS_A_DAY} appeals about this day: ask at the counter")
    if waiting >= APPEALS_WAITING:
        raise TooMany(f"{APPEALS_WAITING} of your appeals wait for a person: wait until some are answered")
    made = conn.execute(
        "INSERT INTO points_appeal (account, day, text, at) VALUES (%s, %s, %s, %s) RETURNING id",
        (account, day, text, at),
    ).fetchone()
    if made is None:
        raise LookupError("the database gave an appeal no number")
    return int(made[0])


def appeals(conn: Connection, state: str | None = "waiting", most: int = 500) -> list[Appeal]:
    """Appeals, the oldest first where they wait; else the newest first."""
    if state == "waiting":
        rows = conn.execute(_APPEAL + "WHERE state = 'waiting' ORDER BY at, id LIMIT %s", (most,))
    else:
        rows = conn.execute(
            _APPEAL + "WHERE %s::text IS NULL OR state = %s ORDER BY at DESC, id LIMIT %s", (state, state, most)
        )
    return [Appeal(*row) for row in rows]


def appeals_of(conn: Connection, account: str, most: int = 200) -> list[Appeal]:
    """The appeals of an account, the newest first."""
    rows = conn.execute(_APPEAL + "WHERE account = %s ORDER BY at DESC, id LIMIT %s", (account, most))
    return [Appeal(*row) for row in rows]


def grant(conn: Connection, number: int, points: int, by: str, why: str, at: datetime) -> int:
    """A person agrees: a claim for the settlement, its number. Raises NoSuchReport, AlreadyDecided."""
    if not 0 < points <= MOST_GRANTED:
        raise PurseRefused(f"an appeal brings 1 to {MOST_GRANTED} points")
    found = _waiting_appeal(conn, number)
    claim = points_store.add_claim(conn, found.account, "appeal", found.day, {"appeal": number}, at, points=points)
    conn.execute(
        "UPDATE points_appeal SET state = 'granted', points = %s, decided_at = %s, decided_by = %s, why = %s, "
        "claim = %s WHERE id = %s",
        (points, at, by, why, claim, number),
    )
    return claim


def turn_down(conn: Connection, number: int, by: str, why: str, at: datetime) -> None:
    """A person does not agree, and says why. Raises NoSuchReport, AlreadyDecided."""
    _waiting_appeal(conn, number)
    conn.execute(
        "UPDATE points_appeal SET state = 'refused', decided_at = %s, decided_by = %s, why = %s WHERE id = %s",
        (at, by, why, number),
    )


def _waiting_appeal(conn: Connection, number: int) -> Appeal:
    row = conn.execute(_APPEAL + "WHERE id = %s FOR UPDATE", (number,)).fetchone()
    if row is None:
        raise NoSuchReport(f"no appeal {number}: `roadcode points appeals list` names those that wait")
    found = Appeal(*row)
    if found.state != "waiting":
        raise AlreadyDecided(f"appeal {number} was {found.state} before, by {found.decided_by}: nothing changed")
    return found


# ---------------------------------------------------------------- joining and leaving


def agree(conn: Connection, account: str, version: str) -> None:
    """Notes to which text an account's owner agreed."""
    conn.execute(
        "INSERT INTO points_consent (account, version) VALUES (%s, %s) "
        "ON CONFLICT (account) DO UPDATE SET version = excluded.version, at = now()",
        (account, version),
    )


def consent_of(conn: Connection, account: str) -> tuple[str, datetime] | None:
    """Version and time of the consent of an account."""
    row = conn.execute("SELECT version, at FROM points_consent WHERE account = %s", (account,)).fetchone()
    return (str(row[0]), row[1]) if row else None


def forget(conn: Connection, account: str) -> dict[str, int]:
    """What an account that is closed leaves here goes: photos, appeals, codes, consent. A report stays without the
    account, since the defect is there whoever said so; one that nobody has decided is taken back. Rows by table."""
    # Held first: a photo that is being laid to one of them is then there to go, or has nowhere to go.
    conn.execute("SELECT 1 FROM citizen_report WHERE account = %s ORDER BY id FOR UPDATE", (account,))
    gone = {}
    for table, query in (
        (
            "citizen_photo",
            "DELETE FROM citizen_photo WHERE report IN (SELECT id FROM citizen_report WHERE account = %s)",
        ),
        ("points_appeal", "DELETE FROM points_appeal WHERE account = %s"),
        ("redemption_code", "DELETE FROM redemption_code WHERE account = %s"),
        ("points_consent", "DELETE FROM points_consent WHERE account = %s"),
    ):
        gone[table] = conn.execute(query, (account,)).rowcount
    gone["citizen_report"] = conn.execute(
        "UPDATE citizen_report SET account = NULL, claim = NULL, note = '', "
        "state = CASE state WHEN 'waiting' THEN 'withdrawn' ELSE state END WHERE account = %s",
        (account,),
    ).rowcount
    points_store.let_go_of_places(conn, date.min + timedelta(days=points_store.EXPIRE_AFTER_DAYS), account)
    gone["redemption"] = conn.execute("UPDATE redemption SET account = NULL WHERE account = %s", (account,)).rowcount
    return gone


PHOTO_DAYS: Final = 30
"""A photo that nobody has looked at by then goes undecided: better a report without a photo than a photo for good."""
LINK_DAYS: Final = 90
"""After a decision a report lets go of its account: long enough for an appeal, and points have long been settled."""


def expire(conn: Connection, at: datetime) -> int:
    """What goes by its age: photos nobody looked at, whose a decided report was, codes that are over. Gives how many
    rows."""
    photos = conn.execute(
        "DELETE FROM citizen_photo WHERE NOT kept AND at < %s - make_interval(days => %s)", (at, PHOTO_DAYS)
    ).rowcount
    links = conn.execute(
        "UPDATE citizen_report SET account = NULL, claim = NULL, note = '' WHERE account IS NOT NULL "
        "AND state <> 'waiting' "
        "AND decided_at < %s - make_interval(days => %s)",
        (at, LINK_DAYS),
    ).rowcount
    links += points_store.let_go_of_places(conn, at.date() - timedelta(days=LINK_DAYS))
    return photos + links + conn.execute("DELETE FROM redemption_code WHERE ends_at < %s", (at,)).rowcount


