"""The day's report: how the roads stand, what changed on the day, what is worst. Plain values; the page is made of them
in `report_page`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import psycopg

from defects import ALL_TYPES, scales_store
from ingest import City

from . import roads

Connection = psycopg.Connection[Any]

CHART_DAYS = 28
WORST = 12
MOVED = 12
_OLDEST = date(1970, 1, 1)
_RANK = {"red": 3, "yellow": 2, "grey": 1, "green": 0}


class NoSuchDay(ValueError):
    """A day of which there can be no report; the text says why."""


def report_of(conn: Connection, city: City, day: date, today: date) -> dict[str, Any]:
    """Everything that the report of a service day says, as JSON has it. ``today``: the service day now. Raises
    NoSuchDay for a day that has not begun, or before any platform was."""
    if day < _OLDEST:
        raise NoSuchDay(f"{day.isoformat()} is before {_OLDEST.isoformat()}: there was nothing to report then")
    if day > today:
        raise NoSuchDay(f"{day.isoformat()} has not begun: the newest report is of {today.isoformat()}")
    rows = roads.today_rows(conn, day)
    whole = roads.of_rows(rows, roads.today_rows(conn, _before(day, roads.TREND_DAYS)))
    yesterday = scales_store.rows_on(conn, _before(day, 1))
    moved = [
        {**_short(row), "was": yesterday[row["number"]]["colour"]}
        for row in rows
        if row["number"] in yesterday and row["colour"] != yesterday[row["number"]]["colour"]
    ]
    worst = sorted(
        (r for r in rows if r["red_m2"] or r["yellow_m2"]),
        key=lambda r: (-r["red_m2"], -r["yellow_m2"], r["pci_est"] if r["pci_est"] is not None else 101, r["number"]),
    )
    return {
        "city": city.name, "city_zh": city.name_zh, "banner": city.banner, "day": day.isoformat(),
        "finished": day < today, **whole, "days": roads.days(conn, day, CHART_DAYS),
        "gaps_days": _gaps(rows), "squares": _squares(conn, day), "cases": _cases(conn, city, day),
        "moved": sorted(moved, key=lambda r: (-_RANK[r["colour"]], r["number"]))[:MOVED], "moved_count": len(moved),
        "worst": [_short(r) for r in worst[:WORST]], "worst_count": len(worst),
    }  # fmt: skip


def _before(day: date, days: int) -> date:
    return date.fromordinal(day.toordinal() - days)


def _short(row: roads.Row) -> dict[str, Any]:
    names = (
        "number", "name", "name_zh", "road_class", "district", "colour", "red_m2", "yellow_m2", "grey_share", "iri",
        "pci_est", "pci_low", "pci_high", "grade", "why_no_grade", "trend", "cases",
    )  # fmt: skip
    return {name: row[name] for name in names}


def _gaps(rows: list[roads.Row]) -> dict[str, int]:
    """Sections by the median time between passes."""
    told = {"hour": 0, "day": 0, "week": 0, "longer": 0, "never": 0}
    for row in rows:
        gap = row["median_gap_days"]
        if gap is None:
            told["never" if row["last_pass_day"] is None else "longer"] += 1
        else:
            told["hour" if gap <= 1 / 24 else "day" if gap <= 1 else "week" if gap <= 7 else "longer"] += 1
    return told


def _squares(conn: Connection, day: date) -> dict[str, Any]:
    """Squares of 1 m whose yellow or red came, went or changed on the day; and the kinds of those that came."""
    rows = conn.execute(
        "SELECT before->>'colour', after->>'colour', after->>'kind', count(*) FROM code_change "
        "WHERE day = %s AND cell >> 51 = 0 GROUP BY 1, 2, 3",
        (day,),
    ).fetchall()
    told = {"new_red": 0, "new_yellow": 0, "no_longer": 0}
    kinds: dict[str, int] = {}
    for was, now, kind, n in rows:
        if now in ("red", "yellow") and was != now:
            told[f"new_{now}"] += n
            if kind:
                kinds[kind] = kinds.get(kind, 0) + n
        elif now in ("green", "grey") and was in ("red", "yellow"):
            told["no_longer"] += n
    names = {t.key: {"en": t.en, "zh": t.zh} for t in ALL_TYPES}
    return {
        **told,
        "kinds": [
            {"kind": key, **names.get(key, {"en": key, "zh": key}), "squares": n}
            for key, n in sorted(kinds.items(), key=lambda kn: (-kn[1], kn[0]))
        ],
    }


def _cases(conn: Connection, city: City, day: date) -> dict[str, int]:
    begin, end = (datetime.fromtimestamp(t, UTC) for t in city.day_bounds_s(day))
    row = conn.execute(
        "SELECT count(*) FILTER (WHERE opened_at >= %s), count(*) FROM case_file WHERE opened_at < %s", (begin, end)
    ).fetchone()
    return {"opened": int(row[0]), "all": int(row[1])} if row else {"opened": 0, "all": 0}
