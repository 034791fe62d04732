"""What a person may know of the own points: every point that came or went with why, everything that earned nothing with
why not, and when what is still open is settled. Reads only."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg

from defects import ALL_TYPES, BY_KEY
from ingest import City
from ledger import paper, points_settle, points_store, redemption, reports

from .keeper import SEAL_AFTER_S
from .points_words import ENTRIES, words_of

Connection = psycopg.Connection[Any]

SOON_DAYS: Final = 60
"""Points that expire within so many days are named: time enough to use them."""
SHOWN_DAYS: Final = 60
_OPEN_DAYS: Final = 4
"""A day is settled two days after its end: today and three before it may be open."""


def credits_of(conn: Connection, account: str, city: City, now_s: float) -> dict[str, Any]:
    """Everything about the points of one account: balance, what expires soon, and each day of the last sixty."""
    today = city.service_day(now_s)
    balance = points_store.balance(conn, account, today)
    entries = _newest(conn, account)
    newest = points_settle.settlement(conn)
    soon = _expiring(entries, balance.spent + balance.expired, today)
    return {
        "joined": True,
        "banner": city.banner,
        "balance": {
            "earned": balance.earned, "spent": balance.spent, "expired": balance.expired,
            "available": balance.available,
        },
        "expiring": soon,
        "expire_after_days": points_store.EXPIRE_AFTER_DAYS,
        "budget": _budget(newest),
        "today": today.isoformat(),
        "kinds": [{"key": t.key, "zh": t.zh, "en": t.en} for t in ALL_TYPES],
        "days": _days(conn, account, city, today, now_s, entries),
        "went": [_entry(e) for e in reversed(entries) if e.what not in points_store.EARNED][:100],
    }  # fmt: skip


def _budget(newest: points_settle.PointsDay | None) -> dict[str, Any] | None:
    """Of the newest day that was settled."""
    if newest is None:
        return None
    return {"day": newest.day.isoformat(), "points": newest.budget, "issued": newest.issued_day}


def _newest(conn: Connection, account: str) -> list[points_store.Entry]:
    """All entries, oldest first: some a day for a year at the most."""
    found: list[points_store.Entry] = []
    while page := points_store.entries(conn, account, found[-1].id if found else 0):
        found += page
    return found


def _expiring(entries: list[points_store.Entry], gone: int, today: date) -> list[dict[str, Any]]:
    """Points that go soon, by the day they go: first in, first out, of what is still there."""
    soon: dict[date, int] = defaultdict(int)
    for entry in sorted((e for e in entries if e.what in points_store.EARNED), key=lambda e: (e.day, e.id)):
        used = min(gone, entry.points)
        gone -= used
        last = entry.day + timedelta(days=points_store.EXPIRE_AFTER_DAYS)
        if entry.points > used and today < last <= today + timedelta(days=SOON_DAYS):
            soon[last] += entry.points - used
    return [{"on": day.isoformat(), "points": points} for day, points in sorted(soon.items())]


def _entry(entry: points_store.Entry) -> dict[str, Any]:
    zh, en = ENTRIES.get(entry.what, (entry.what, entry.what))
    return {
        "what": entry.what, "zh": zh, "en": en, "points": entry.points, "why": entry.why, "day": entry.day.isoformat(),
        "settled_on": entry.settled_on.isoformat() if entry.settled_on else None,
    }  # fmt: skip


def _days(
    conn: Connection, account: str, city: City, today: date, now_s: float, entries: list[points_store.Entry]
) -> list[dict[str, Any]]:
    since = today - timedelta(days=SHOWN_DAYS)
    joined = _joined_on(conn, account, city)
    came: dict[date, list[points_store.Entry]] = defaultdict(list)
    for entry in entries:
        if entry.what in points_store.EARNED and entry.day >= since:
            came[entry.day].append(entry)
    not_earned: dict[date, list[points_store.Refusal]] = defaultdict(list)
    for refusal in points_store.refusals(conn, account, since):
        not_earned[refusal.day].append(refusal)
    claims: dict[date, list[points_store.Claim]] = defaultdict(list)
    for claim in points_store.claims(conn, account):
        if claim.day >= since and (claim.settled_on is None or claim.outcome != "paid"):
            claims[claim.day].append(claim)
    appealed = defaultdict(list)
    for appeal in reports.appeals_of(conn, account):
        appealed[appeal.day].append(appeal)
    open_ = {today - timedelta(days=n) for n in range(_OPEN_DAYS)}
    settled = _settlements(conn, since)
    shown = {d for d in {*came, *not_earned, *claims, *appealed, *open_} if joined <= d <= today and d >= since}
    return [
        {
            "day": day.isoformat(),
            "points": sum(e.points for e in came[day]),
            **_status(day, settled, city, now_s),
            "entries": [_entry(e) for e in came[day]],
            "refusals": [{**words_of(r.reason), "n": r.n} for r in not_earned[day]],
            "claims": [
                {
                    "what": c.what, "points": c.points, "kind": c.kind, "state": "waits" if c.outcome is None else "no",
                    **(words_of(c.outcome) if c.outcome else {}),
                }
                for c in claims[day]
            ],
            "appeals": [appeal_told(a) for a in appealed[day]],
        }
        for day in sorted(shown, reverse=True)
    ]  # fmt: skip


def _joined_on(conn: Connection, account: str, city: City) -> date:
    row = conn.execute("SELECT joined_at FROM account WHERE id = %s", (account,)).fetchone()
    return city.service_day(row[0].timestamp()) if row else date.max


def _settlements(conn: Connection, since: date) -> dict[date, dict[str, Any]]:
    """Settled days with the number of their record in the log, once it has one."""
    rows = conn.execute(
        "SELECT p.day, p.budget, p.issued_day, p.accounts, p.root, p.settled_at, "
        "(SELECT max(r.idx) FROM record AS r WHERE r.kind = 'reward' AND r.day = p.day) "
        "FROM points_day AS p WHERE p.day >= %s",
        (since,),
    )
    return {
        day: {
            "budget": budget, "issued": issued, "accounts": accounts, "root": bytes(root).hex(),
            "settled_at": at.isoformat(), "record": idx,
        }
        for day, budget, issued, accounts, root, at, idx in rows
    }  # fmt: skip


def _status(day: date, settled: dict[date, dict[str, Any]], city: City, now_s: float) -> dict[str, Any]:
    if day in settled:
        return {"status": "settled", "settlement": settled[day]}
    from_s = city.day_bounds_s(day)[1] + SEAL_AFTER_S
    # A day on which nobody sent anything is never opened, so it is never settled either.
    status = "open" if now_s < from_s + 86_400 else "nothing"
    return {"status": status, "settles_after": datetime.fromtimestamp(from_s, UTC).isoformat()}


def appeal_told(appeal: reports.Appeal) -> dict[str, Any]:
    """An appeal as whoever made it reads it; who decided is not told, why is."""
    return {
        "id": appeal.id, "day": appeal.day.isoformat(), "text": appeal.text, "at": appeal.at.isoformat(),
        "state": appeal.state, "points": appeal.points, "answer": appeal.why,
        "answered_at": appeal.decided_at.isoformat() if appeal.decided_at else None,
    }  # fmt: skip


def report_told(report: reports.Report) -> dict[str, Any]:
    """A report as whoever made it reads it."""
    kind = BY_KEY.get(report.kind)
    return {
        "number": paper.grouped(report.id), "way": report.way, "day": report.day.isoformat(), "cell": report.cell,
        "kind": report.kind, "zh": kind.zh if kind else report.kind, "en": kind.en if kind else report.kind,
        "note": report.note, "at": report.at.isoformat(), "state": report.state, "answer": report.why,
        "case": report.case, "photo": report.photo,
    }  # fmt: skip


def kept_of(conn: Connection, account: str) -> dict[str, Any]:
    """All that is kept of an account, for its owner's export."""
    return {
        "account": account,
        "consent": reports.consent_of(conn, account),
        "entries": [vars(e) for e in _newest(conn, account)],
        "refusals": [vars(r) for r in points_store.refusals(conn, account)],
        "claims": [vars(c) for c in points_store.claims(conn, account)],
        "reports": [report_told(r) for r in reports.reports_of(conn, account)],
        "appeals": [appeal_told(a) for a in reports.appeals_of(conn, account)],
        "redemptions": [r.told() for r in redemption.redemptions_of(conn, account)],
    }
