"""The city's roads as a whole, from what was last told of each section: by class, by district, day by day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import psycopg

from defects import scales_store
from grid import ROAD_CLASSES
from grid import store as grid_store

Connection = psycopg.Connection[Any]
Row = Mapping[str, Any]

COLOURS = ("red", "yellow", "green", "grey")
TREND_DAYS = 28
STEADY = {"pci_est": 1.0, "red": 0.005}
"""Change of the city's mean PCI (points) and of its red share of length below which it is steady. Smaller, and a city
is better or worse every day; larger, and a season's decay goes unseen."""


def total(rows: Iterable[Row]) -> dict[str, Any]:
    """Kilometres, share of them by colour, mean IRI, estimated PCI with its interval, sections by grade.

    Means are weighted by length, over sections that have the figure. The interval takes the errors of sections for
    independent.
    """
    given = list(rows)
    metres = sum(r["length_m"] for r in given)
    shares = {c: sum(r["length_m"] for r in given if r["colour"] == c) / metres if metres else 0.0 for c in COLOURS}
    rated = [r for r in given if r["pci_est"] is not None]
    long = sum(r["length_m"] for r in rated)
    pci = sum(r["pci_est"] * r["length_m"] for r in rated) / long if rated else None
    low, high = (
        sum(((r[end] - r["pci_est"]) * r["length_m"]) ** 2 for r in rated) ** 0.5 / long if rated else None
        for end in ("pci_low", "pci_high")
    )
    grades = {g: sum(r["grade"] == g for r in given) for g in "ABCD"}
    days = [r["last_pass_day"] for r in given if r["last_pass_day"]]
    iri = _mean(given, "iri")
    return {
        "sections": len(given), "km": round(metres / 1000, 3), **{c: round(s, 4) for c, s in shares.items()},
        **{f"{c}_m2": sum(r[f"{c}_m2"] for r in given) for c in COLOURS[:3]},
        "grey_share": round(1 - sum(r[f"{c}_m2"] for r in given for c in COLOURS[:3]) / max(_cells(given), 1), 4),
        "iri": None if iri is None else round(iri, 2), "pci_est": None if pci is None else round(pci, 1),
        "pci_low": None if pci is None or low is None else round(pci - low, 1),
        "pci_high": None if pci is None or high is None else round(min(pci + high, 100.0), 1),
        "grades": {**grades, "none": len(given) - sum(grades.values())},
        "cases": sum(r["cases"] for r in given), "last_pass_day": max(days, default=None),
    }  # fmt: skip


def _cells(rows: list[Row]) -> int:
    return sum(r["cells"] for r in rows)


def _mean(rows: list[Row], name: str) -> float | None:
    rated = [r for r in rows if r[name] is not None]
    metres = sum(r["length_m"] for r in rated)
    return sum(r[name] * r["length_m"] for r in rated) / metres if metres else None


def trend(now: Row, before: Row | None) -> str | None:
    """The city against some weeks ago: by mean PCI, else by the red share; None where nothing was told then."""
    if before is None or not before["sections"]:
        return None
    for name, sign in (("pci_est", 1.0), ("red", -1.0)):
        if now[name] is not None and before[name] is not None:
            change = sign * (now[name] - before[name])
            if abs(change) >= STEADY[name]:
                return "better" if change > 0 else "worse"
    return "steady"


def _by(rows: Iterable[Row], key: str, order: Callable[[str], Any]) -> list[dict[str, Any]]:
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row[key], []).append(row)
    return [{key: name, **total(parts[name])} for name in sorted(parts, key=order)]


def roll_up(conn: Connection, day: date) -> dict[str, Any]:
    """Totals with a trend, by class, by district, and the totals of the last days, as of a service day. Without a road
    network the totals have no sections."""
    return of_rows(today_rows(conn, day), today_rows(conn, day - timedelta(days=TREND_DAYS)))


def today_rows(conn: Connection, day: date) -> list[Row]:
    """What was last told, up to a day, of the sections that are in the network now."""
    numbers = set(grid_store.section_numbers(conn))
    return [row for number, row in scales_store.rows_on(conn, day).items() if number in numbers]


def of_rows(rows: list[Row], before: list[Row]) -> dict[str, Any]:
    """`roll_up` of rows that are at hand."""
    now = total(rows)
    return {
        "totals": {**now, "trend": trend(now, total(before) if before else None)},
        "by_class": _by(rows, "road_class", ROAD_CLASSES.index), "by_district": _by(rows, "district", str),
    }  # fmt: skip


def days(conn: Connection, last: date, many: int) -> list[dict[str, Any]]:
    """The totals of each of the ``many`` days up to the last, oldest first: what stood then of today's sections. Days
    before anything was told are left out."""
    first = last - timedelta(days=many - 1)
    numbers = set(grid_store.section_numbers(conn))
    state = {n: r for n, r in scales_store.rows_on(conn, first - timedelta(days=1)).items() if n in numbers}
    moved: dict[date, list[tuple[int, Row]]] = {}
    for day, number, row in scales_store.rows_between(conn, first, last):
        if number in numbers:
            moved.setdefault(day, []).append((number, row))
    told = []
    for step in range(many):
        day = first + timedelta(days=step)
        state.update(moved.get(day, []))  # type: ignore[arg-type]
        if state:
            told.append({"day": day.isoformat(), **total(state.values())})
    return told
