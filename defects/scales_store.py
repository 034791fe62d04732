"""Sections as people read them, in PostgreSQL: computed from codes, kept a row a day that changed. Functions take a
connection and never commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from grid import (
    BLOCK,
    Section,
    Strip,
    Zone,
    blocks_of,
    cells_of_sections,
    column_row,
    index_in_block,
    level_of,
    parents,
    strips_of,
)
from grid import store as grid_store
from ingest import City

from . import store
from .code import CODE, Codes, unknown_codes
from .evidence import BlockEvidence
from .planes import PASSES, ROUGH, ROUGH_PASSES
from .rough import LEVEL, iri_of
from .scales import Before, ScaleOptions, area_properties, areas, busiest, properties, scale

Connection = psycopg.Connection[Any]
Ints = NDArray[np.int64]

_OPTIONS = ScaleOptions()
REFRESH_LOCK = 0x73656374_696F6E73  # "sections": one reads them out at a time
_AT_ONCE = 100  # sections read out together: some 30 MB of codes and evidence of 90 days
_MOST = 10_000_000  # sections of a city
_BACK_DAYS = 60  # how much older than asked a row may be that a trend is told from


@dataclass(frozen=True, eq=False)
class _Known:
    """Codes and evidence of the blocks around some sections."""

    codes: dict[int, Codes]
    fine: dict[int, dict[date, BlockEvidence]]
    rough: dict[int, tuple[Ints, Ints]]


def codes_at(codes: dict[int, Codes], cells: Ints) -> Codes:
    """The codes of squares of 1 m, of `CODE`, in their order; unknown where a block has none."""
    out = np.zeros(len(cells), dtype=CODE)
    blocks, index = blocks_of(cells), index_in_block(cells)
    for block in np.unique(blocks).tolist():
        mine = blocks == block
        out[mine] = codes.get(block, _UNKNOWN)[index[mine]]
    return out


_UNKNOWN = unknown_codes()


def _read(conn: Connection, cells: Ints, today: date, options: ScaleOptions) -> _Known:
    blocks = np.unique(blocks_of(cells)).tolist()
    coarse = np.unique(blocks_of(parents(cells, LEVEL))).tolist()
    first = today - timedelta(days=options.window_days)
    evidence = store.evidence_of(conn, [*blocks, *coarse])
    rough: dict[int, tuple[Ints, Ints]] = {}
    for block in coarse:
        said = np.zeros(BLOCK * BLOCK, np.int64)
        passes = np.zeros(BLOCK * BLOCK, np.int64)
        for day, one in evidence.get(block, {}).items():
            if first < day <= today:
                said += one.plane(ROUGH)
                passes += one.plane(ROUGH_PASSES)
        rough[block] = said, passes
    fine = {b: {d: e for d, e in evidence.get(b, {}).items() if first < d <= today} for b in blocks}
    return _Known({b: c for b, (_, c) in store.codes_of(conn, blocks).items()}, fine, rough)


def _passes_of(known: _Known, cells: Ints) -> dict[date, int]:
    """Passes of the busiest of the squares on each day."""
    blocks, index = blocks_of(cells), index_in_block(cells)
    found: dict[date, list[Ints]] = {}
    for block in np.unique(blocks).tolist():
        mine = index[blocks == block]
        for day, evidence in known.fine.get(block, {}).items():
            found.setdefault(day, []).append(evidence.plane(PASSES)[mine])
    return {day: n for day, parts in found.items() if (n := busiest(parts))}


def _rough_of(known: _Known, cells: Ints) -> tuple[Ints, Ints, NDArray[np.float64]]:
    squares, weight = np.unique(parents(cells, LEVEL), return_counts=True)
    said, passes = np.zeros(len(squares), np.int64), np.zeros(len(squares), np.int64)
    blocks, index = blocks_of(squares), index_in_block(squares)
    for k, block in enumerate(blocks.tolist()):
        if block in known.rough:
            said[k], passes[k] = (plane[index[k]] for plane in known.rough[block])
    return said, passes, weight.astype(np.float64)


def refresh_sections(
    conn: Connection,
    city: City,
    today: date,
    blocks: Iterable[int] | None,
    options: ScaleOptions = _OPTIONS,
) -> int:
    """Reads out the sections that have squares in ``blocks`` (None: all of them) and writes a row of each whose figures
    changed; gives how many did. Without a network there is nothing to do, and nothing is done."""
    zone = Zone(city.utm_zone, city.utm_north)
    written = 0
    sections = all_sections(conn) if blocks is None else _beside(conn, blocks)
    for begin in range(0, len(sections), _AT_ONCE):
        written += _refresh(conn, sections[begin : begin + _AT_ONCE], zone, today, options)
    return written


def refresh_due(conn: Connection, city: City, now: datetime, options: ScaleOptions = _OPTIONS) -> int:
    """`refresh_sections` of what is due: all of them on a new service day, for evidence ages; else those whose codes
    changed since the last time, and those that have no row yet. Gives how many rows were written, 0 where another is at
    it."""
    row = conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (REFRESH_LOCK,)).fetchone()
    if not row or not row[0] or not grid_store.section_numbers(conn):
        return 0
    today = city.service_day(now.timestamp())
    before = conn.execute("SELECT day, at FROM section_turn").fetchone()
    newest = conn.execute("SELECT max(at) FROM code").fetchone()
    at = newest[0] if newest and newest[0] else datetime.fromtimestamp(0, UTC)
    if before is None or before[0] != today:
        written = refresh_sections(conn, city, today, None, options)
    else:
        # Codes bear the time at which their read-out began, and may be committed a little later.
        changed = [
            r[0]
            for r in conn.execute(
                "SELECT blk FROM code WHERE at > %s - interval '1 minute' AND blk >> 51 = 0", (before[1],)
            )
        ]
        written = refresh_sections(conn, city, today, changed, options) if changed else 0
        written += _refresh_new(conn, city, today, options)
    conn.execute(
        "INSERT INTO section_turn (day, at) VALUES (%s, %s) ON CONFLICT (one) DO UPDATE SET day = excluded.day, "
        "at = excluded.at",
        (today, at),
    )
    return written


def _refresh_new(conn: Connection, city: City, today: date, options: ScaleOptions) -> int:
    """Sections of an import that came after the last turn."""
    known = {r[0] for r in conn.execute("SELECT DISTINCT section FROM section_day")}
    numbers = [n for n in grid_store.section_numbers(conn) if n not in known]
    zone = Zone(city.utm_zone, city.utm_north)
    written = 0
    for begin in range(0, len(numbers), _AT_ONCE):
        some = [grid_store.section(conn, n) for n in numbers[begin : begin + _AT_ONCE]]
        written += _refresh(conn, [s for s in some if s is not None], zone, today, options)
    return written


def all_sections(conn: Connection) -> list[Section]:
    """Every section of today, by number."""
    far = 1e8
    return grid_store.sections_in(conn, -far, -far, far, far, _MOST)


def _beside(conn: Connection, blocks: Iterable[int]) -> list[Section]:
    """Sections whose extent touches blocks of 1 m squares."""
    found: dict[int, Section] = {}
    for block in sorted({b for b in blocks if int(level_of(b)) == 0}):
        column, row = (int(v) * BLOCK for v in column_row(block))
        for section in grid_store.sections_in(conn, column, row, column + BLOCK, row + BLOCK, _MOST):
            found[section.number] = section
    return [found[n] for n in sorted(found)]


def _refresh(
    conn: Connection, sections: Sequence[Section], zone: Zone, today: date, options: ScaleOptions
) -> int:
    if not sections:
        return 0
    numbers = [s.number for s in sections]
    owner, cells = cells_of_sections(sections, zone)
    known = _read(conn, cells, today, options)
    cases = _cases(conn, owner, cells)
    before = rows_on(conn, today - timedelta(days=options.trend_days), numbers, options.trend_days + _BACK_DAYS)
    newest = rows_on(conn, today, numbers)
    rows = []
    for n, section in enumerate(sections):
        mine = cells[owner == n]
        old = before.get(section.number)
        told = scale(
            section, codes_at(known.codes, mine), _passes_of(known, mine), _rough_of(known, mine), cases.get(n, 0),
            Before(old["pci_est"], old["iri"]) if old else None, options,
        )  # fmt: skip
        said = properties(section.number, section, told)
        last = newest.get(section.number)
        if last is None or {k: v for k, v in last.items() if k != "day"} != said:
            rows.append((section.number, today, Jsonb(said)))
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO section_day (section, day, said) VALUES (%s, %s, %s) "
            "ON CONFLICT (section, day) DO UPDATE SET said = excluded.said",
            rows,
        )
    return len(rows)


def _cases(conn: Connection, owner: Ints, cells: Ints) -> dict[int, int]:
    """How many open cases have a square in each of the sections."""
    rows = conn.execute(
        'SELECT c.cell, f.id FROM case_cell AS c JOIN case_file AS f ON f.id = c."case" '
        "WHERE f.state <> 'closed' AND c.cell = ANY(%s)",
        (np.unique(cells).tolist(),),
    ).fetchall()
    found: dict[int, set[int]] = {}
    for cell, case in rows:
        for n in owner[cells == cell].tolist():
            found.setdefault(n, set()).add(case)
    return {n: len(of) for n, of in found.items()}


def rows_on(
    conn: Connection, day: date, numbers: Sequence[int] | None = None, back_days: int | None = None
) -> dict[int, dict[str, Any]]:
    """What was last told up to a day of sections (None: of all), by number, with the ``day`` of the row. back_days: of
    rows that are so much older nothing."""
    found = conn.execute(
        "SELECT DISTINCT ON (section) section, day, said FROM section_day WHERE day <= %(day)s "
        "AND (%(all)s OR section = ANY(%(numbers)s)) AND (%(first)s::date IS NULL OR day >= %(first)s) "
        "ORDER BY section, day DESC",
        {
            "day": day, "all": numbers is None, "numbers": list(numbers or ()),
            "first": None if back_days is None else day - timedelta(days=back_days),
        },
    )  # fmt: skip
    return {r[0]: {**r[2], "day": r[1].isoformat()} for r in found}


def history(conn: Connection, number: int, most: int) -> list[dict[str, Any]]:
    """The newest rows of a section, oldest first."""
    rows = conn.execute(
        "SELECT day, said FROM section_day WHERE section = %s ORDER BY day DESC LIMIT %s", (number, most)
    ).fetchall()
    return [{**said, "day": day.isoformat()} for day, said in reversed(rows)]


def rows_between(conn: Connection, first: date, last: date) -> list[tuple[date, int, dict[str, Any]]]:
    """Every row of the days from first to last: day, number, what was told; by day, then number."""
    rows = conn.execute(
        "SELECT day, section, said FROM section_day WHERE day BETWEEN %s AND %s ORDER BY day, section", (first, last)
    )
    return [(r[0], r[1], r[2]) for r in rows]


def strips(
    conn: Connection, section: Section, zone: Zone, today: date, options: ScaleOptions = _OPTIONS
) -> list[tuple[Strip, dict[str, object]]]:
    """The strips of a section with what is known of each, as of now. The IRI of a strip is that of the squares of 16 m
    which it touches, and so is its neighbours'."""
    parts = strips_of(section, zone)
    cells = np.concatenate([p.cells for p in parts]) if parts else np.empty(0, np.int64)
    if not len(cells):
        return []
    known = _read(conn, cells, today, options)
    told = []
    for part in parts:
        iri = iri_of(*_rough_of(known, part.cells), options.rough)
        said = area_properties(areas(codes_at(known.codes, part.cells), options))
        told.append((part, {"lane": part.lane, "index": part.index, **said, "iri": round(iri.iri, 2) if iri else None}))
    return told
