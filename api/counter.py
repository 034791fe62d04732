"""The clerk's side of points: reports that come by hotline or over the counter, cases near a report, and accounts of
people who have no phone, which belong to a number on paper."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import psycopg

from defects import BY_KEY
from defects import store as defects_store
from grid import Zone, cells_at, corner_m, side_m
from ingest import City
from ledger import Balance, NoAccount, PurseRefused, paper, points_store, redemption, reports

from .pointing import cell_of

Connection = psycopg.Connection[Any]
_NEAR_M = 8
"""Around the 16 m of a report, squares of cases that may be meant: as far as a person's pointing is off."""


class BadReport(PurseRefused):
    """A report that says too little; the text says what is needed."""

    name = "bad_report"


@dataclass(frozen=True)
class Taken:
    """A report that was taken down. paper: the number on paper, in the clear for the only time; None where the caller
    had one and the account is that."""

    report: str
    paper: str
    new: bool
    cell: int
    kind: str
    day: date


def draw(symbols: int) -> str:
    """A fresh number of so many symbols."""
    return paper.number_of(secrets.randbelow(paper.space(symbols)), symbols)


def account_on_paper(conn: Connection, number: str) -> str:
    """The account of a number on paper as it was typed. Raises BadNumber, NoAccount."""
    read = paper.read_number(number, paper.PAPER)
    account = points_store.account_of_paper(conn, paper.hash_of(read, "paper"))
    if account is None:
        raise NoAccount("nobody has this number: read it again; a number that was lost cannot be found by us")
    return account


def take_down(
    conn: Connection, city: City, way: str, lat: float, lon: float, kind: str, note: str, number: str | None,
    at: datetime,
) -> Taken:  # fmt: skip
    """Notes a report that somebody made to a clerk, for the number on paper that they have or for a new one. Raises
    BadReport, BadNumber, NoAccount, NotHere, TooMany."""
    if way not in reports.WAYS:
        raise BadReport(f"--by is one of {', '.join(reports.WAYS)}")
    if kind not in BY_KEY:
        raise BadReport(f"--kind is one of {', '.join(BY_KEY)}")
    if len(note) > reports.LONGEST_NOTE:
        raise BadReport(f"a note has at most {reports.LONGEST_NOTE} letters")
    cell = cell_of(city, lat, lon)
    today = city.service_day(at.timestamp())
    with conn.transaction():
        if number is None:
            given = draw(paper.PAPER)
            account = points_store.open_account(
                conn, secrets.token_hex(16), at, paper_hash=paper.hash_of(given, "paper")
            )
        else:
            given = paper.read_number(number, paper.PAPER)
            account = account_on_paper(conn, number)
        name = draw(paper.NAME)
        reports.add_report(conn, name, account, way, today, cell, kind, reports.spoken(note), at)
    return Taken(name, given, number is None, cell, kind, today)


def cases_near(conn: Connection, cell: int, zone: Zone) -> list[int]:
    """Cases with a square in that of a report, or within 8 m of it."""
    x_m, y_m = corner_m(cell)
    steps = np.arange(-_NEAR_M, side_m(cell) + _NEAR_M) + 0.5
    x, y = (part.ravel() for part in np.meshgrid(x_m + steps, y_m + steps))
    cells = {int(c) for level in range(3) for c in cells_at(x, y, zone, level=level)}
    return defects_store.cases_among(conn, sorted(cells))


def standing(conn: Connection, account: str, today: date) -> dict[str, Any]:
    """What a person is told at the counter: the balance and the newest entries."""
    balance: Balance = points_store.balance(conn, account, today)
    entries = points_store.entries(conn, account)
    return {
        "available": balance.available, "earned": balance.earned, "spent": balance.spent, "expired": balance.expired,
        "waiting": sum(r.state == "waiting" for r in reports.reports_of(conn, account)),
        "entries": [{"day": e.day.isoformat(), "what": e.what, "points": e.points} for e in entries[-20:]],
    }  # fmt: skip


def code_on_paper(conn: Connection, number: str, points: int, at: datetime, today: date) -> tuple[str, datetime]:
    """A redemption code for the owner of a number on paper, good for a day, and when it ends."""
    with conn.transaction():
        account = account_on_paper(conn, number)
        code = draw(paper.CODE)
        return code, redemption.offer(conn, account, points, code, at, today, redemption.PAPER_CODE_S)
