"""Sections of roads and their squares in PostgreSQL. Functions take a connection and never commit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from .carriageway import cells_of_sections
from .cells import BLOCK, Ids, blocks_of, cells_of_block, index_in_block, level_of, parents
from .packing import pack_cells, unpack_many
from .projection import Zone
from .sections import ROAD_CLASSES, Section, check_numbers

Connection = psycopg.Connection[Any]

IMPORT_LOCK = 0x726F6164_6E657477  # "roadnetw": two imports at once would close each other's sections
_AT_ONCE = 1_000  # sections whose squares are computed together: a million rows of 8 bytes, a few times over
_CLASS = {name: n for n, name in enumerate(ROAD_CLASSES)}
_READ = (
    "SELECT number, road, name, name_zh, road_class, width_m, width_known, lanes, oneway, district, owner, line, "
    "from_m, length_m, valid_from, valid_to FROM road_section WHERE "
)
_WRITE = (
    "COPY road_section (number, road, name, name_zh, road_class, width_m, width_known, lanes, oneway, district, owner, "
    "line, from_m, length_m, opened_by, valid_from, source, extent, digest) FROM STDIN"
)


@dataclass(frozen=True)
class ImportReport:
    """What an import did to the sections of its source. new: had no open row; changed: another line, name, width ...;
    gone: no longer in the source, closed; same: left alone. cells: squares of the new and changed ones. day: from which
    the new state holds. number: of the import, 0 where nothing changed and so nothing was written."""

    source: str
    day: date
    new: int
    changed: int
    gone: int
    same: int
    cells: int
    number: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)


def put_sections(
    conn: Connection,
    sections: Sequence[Section],
    today: date,
    source: str,
    zone: Zone,
    details: Mapping[str, Any] | None = None,
    done: Callable[[int], None] = lambda _n: None,
) -> ImportReport:
    """Makes the sections the whole of what ``source`` knows: closes the rows of those that changed or went, opens rows
    of those that are new or changed, and lays their squares. The same sections again write nothing. Sections of other
    sources stay. details: kept with the import; done: told how many sections were laid.

    Raises SameNumber where two sections have one number.
    """
    check_numbers(sections)
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (IMPORT_LOCK,))
    rows = conn.execute("SELECT number, digest FROM road_section WHERE source = %s AND valid_to IS NULL", (source,))
    before = {r[0]: bytes(r[1]) for r in rows}
    before |= dict.fromkeys(before.keys() & _damaged(conn), b"")
    digests = {s.number: _digest(s) for s in sections}
    fresh = [s for s in sections if before.get(s.number) != digests[s.number]]
    new = sum(s.number not in before for s in fresh)
    gone = sorted(set(before) - set(digests))
    report = ImportReport(
        source, today, new, len(fresh) - new, len(gone), len(sections) - len(fresh), 0, details=details or {}
    )
    if not fresh and not gone:
        return report
    body = {k: v for k, v in asdict(report).items() if k not in ("source", "day", "number", "details", "cells")}
    row = conn.execute(
        "INSERT INTO road_import (source, day, report) VALUES (%s, %s, %s) RETURNING id",
        (source, today, Jsonb({**body, **report.details})),
    ).fetchone()
    if row is None:
        raise LookupError("the database gave an import no number")
    closed = [*gone, *(s.number for s in fresh if s.number in before)]
    conn.execute(
        "UPDATE road_section SET valid_to = %s, closed_by = %s WHERE number = ANY(%s) AND valid_to IS NULL",
        (today, row[0], closed),
    )
    conn.execute("DELETE FROM section_cell WHERE section = ANY(%s)", (closed,))
    _open(conn, fresh, digests, today, source, row[0])
    cells = _lay(conn, fresh, zone, done)
    return ImportReport(**{**vars(report), "cells": cells, "number": row[0]})


def _damaged(conn: Connection) -> set[int]:
    """Sections whose stored squares do not unpack (`packing.unpack_many`): they count as changed, and are laid anew."""
    rows = conn.execute(
        "SELECT DISTINCT section FROM section_cell WHERE CASE WHEN length(cells) > %(row)s THEN "
        "(length(cells) - 1) %% %(row)s > 0 OR get_byte(cells, 0) + (length(cells) - 1) / %(row)s > %(rows)s "
        "ELSE true END",
        {"row": BLOCK // 8, "rows": BLOCK},
    )
    return {r[0] for r in rows}


def _digest(section: Section) -> bytes:
    """Of everything that an import may change."""
    texts = (section.road, section.name, section.name_zh, section.road_class, section.district, section.owner)
    plain = (section.width_m, section.width_known, section.lanes, section.oneway, section.from_m, section.length_m)
    digest = hashlib.sha256(repr((texts, plain)).encode())
    digest.update(_line(section))
    return digest.digest()[:16]


def _line(section: Section) -> bytes:
    return np.column_stack([section.x_m, section.y_m]).astype("<f8").tobytes()


def _extent(section: Section) -> tuple[float, float, float, float]:
    half = section.width_m / 2
    return (
        float(section.x_m.max()) + half, float(section.y_m.max()) + half,
        float(section.x_m.min()) - half, float(section.y_m.min()) - half,
    )  # fmt: skip


def _open(
    conn: Connection, sections: Sequence[Section], digests: Mapping[int, bytes], today: date, source: str, by: int
) -> None:
    with conn.cursor() as cursor, cursor.copy(_WRITE) as copy:
        for s in sections:
            high_x, high_y, low_x, low_y = _extent(s)
            copy.write_row(
                (
                    s.number, s.road, s.name, s.name_zh, _CLASS[s.road_class], s.width_m, s.width_known, s.lanes,
                    s.oneway, s.district, s.owner, _line(s), s.from_m, s.length_m, by, today, source,
                    f"({high_x!r},{high_y!r}),({low_x!r},{low_y!r})", digests[s.number],
                )
            )  # fmt: skip


def _lay(conn: Connection, sections: Sequence[Section], zone: Zone, done: Callable[[int], None]) -> int:
    """Writes the squares of sections and gives their number."""
    total = 0
    for begin in range(0, len(sections), _AT_ONCE):
        some = sections[begin : begin + _AT_ONCE]
        owner, cells = cells_of_sections(some, zone)
        total += len(cells)
        with conn.cursor() as cursor, cursor.copy("COPY section_cell (blk, section, cells) FROM STDIN BINARY") as copy:
            copy.set_types(("int8", "int8", "bytea"))
            for n, blk, packed in pack_cells(owner, cells):
                copy.write_row((blk, some[n].number, packed))
        done(begin + len(some))
    return total


def parts_of_roads(conn: Connection, source: str) -> dict[str, int]:
    """Into how many sections each road of a source is cut now, by its key."""
    rows = conn.execute(
        "SELECT road, count(*) FROM road_section WHERE source = %s AND valid_to IS NULL GROUP BY road", (source,)
    )
    return {r[0]: r[1] for r in rows}


def imports(conn: Connection) -> list[dict[str, Any]]:
    """Every import that changed something, oldest first: number, source, day, and its report."""
    rows = conn.execute("SELECT id, source, day, report FROM road_import ORDER BY id")
    return [{"import": r[0], "source": r[1], "day": r[2], **r[3]} for r in rows]


def newest_import(conn: Connection) -> int | None:
    """Number of the newest import that changed something."""
    row = conn.execute("SELECT max(id) FROM road_import").fetchone()
    return None if row is None or row[0] is None else int(row[0])


def section_numbers(conn: Connection) -> list[int]:
    """Numbers of the sections of today, rising."""
    return [r[0] for r in conn.execute("SELECT number FROM road_section WHERE valid_to IS NULL ORDER BY number")]


def section(conn: Connection, number: int) -> Section | None:
    """The section of a number as it is today; None where there is none (any more)."""
    row = conn.execute(_READ + "number = %s AND valid_to IS NULL", (number,)).fetchone()
    return _section(row) if row else None


def sections_in(conn: Connection, x0: float, y0: float, x1: float, y1: float, most: int) -> list[Section]:
    """Sections whose extent, width and all, touches a box in metres of the zone: at most ``most``, by number."""
    rows = conn.execute(
        _READ + "valid_to IS NULL AND extent && box(point(%s, %s), point(%s, %s)) ORDER BY number LIMIT %s",
        (x0, y0, x1, y1, most),
    )
    return [_section(r) for r in rows]


def _section(row: Sequence[Any]) -> Section:
    line = np.frombuffer(bytes(row[11]), "<f8").reshape(-1, 2).astype(np.float64)
    return Section(
        number=row[0], road=row[1], name=row[2], name_zh=row[3], road_class=ROAD_CLASSES[row[4]], width_m=row[5],
        width_known=row[6], lanes=row[7], oneway=row[8], district=row[9], owner=row[10], x_m=line[:, 0].copy(),
        y_m=line[:, 1].copy(), from_m=row[12], length_m=row[13],
    )  # fmt: skip


def history_of(conn: Connection, number: int) -> list[tuple[date, date | None, Section]]:
    """Every state of a section that an import found, oldest first: from, until (None: today), and what it was."""
    rows = conn.execute(_READ + "number = %s ORDER BY opened_by", (number,))
    return [(r[14], r[15], _section(r)) for r in rows]


def _beside(conn: Connection, blocks: Iterable[int]) -> tuple[Ids, Ids, Ids, NDArray[np.bool_]]:
    """Of the sections in blocks of 1 m squares: block, section, number of its class, int64 (n,) each, and squares, bool
    (n, 1024); of each block the highest class first, then the lowest number."""
    rows = conn.execute(
        "SELECT c.blk, c.section, s.road_class, c.cells FROM section_cell AS c "
        "JOIN road_section AS s ON s.number = c.section AND s.valid_to IS NULL "
        "WHERE c.blk = ANY(%s) ORDER BY c.blk, s.road_class, c.section",
        (sorted(set(blocks)),),
    ).fetchall()
    blk, section, road_class = (np.array([r[k] for r in rows], dtype=np.int64) for k in range(3))
    return blk, section, road_class, unpack_many([bytes(r[3]) for r in rows])


def _first_of(blk: Ids, values: Ids, bits: NDArray[np.bool_]) -> dict[int, Ids]:
    """By block the value of the first row that has each square, int64 (1024,), 0 where none has."""
    found: dict[int, Ids] = {}
    for block, value, there in zip(blk.tolist(), values.tolist(), bits, strict=True):
        out = found.get(block)
        if out is None:
            found[block] = np.where(there, value, 0)
        else:
            out[there & (out == 0)] = value
    return found


def sections_of_cells(conn: Connection, cells: Iterable[int]) -> dict[int, int]:
    """The section of each square that lies on one. Of several at a crossing it is the one of the highest class, then of
    the lowest number; of a square of 4 to 64 m it is the one that has most of its square metres."""
    wanted = np.unique(np.fromiter(cells, dtype=np.int64))
    fine = wanted[level_of(wanted) == 0]
    found: dict[int, int] = {}
    blocks = blocks_of(fine)
    blk, section, _, bits = _beside(conn, blocks.tolist())
    owners = _first_of(blk, section, bits)
    for cell, block, index in zip(fine.tolist(), blocks.tolist(), index_in_block(fine).tolist(), strict=True):
        if block in owners and owners[block][index]:
            found[cell] = int(owners[block][index])
    for level in (1, 2, 3):
        coarse = wanted[level_of(wanted) == level]
        shares: dict[int, dict[int, int]] = {}
        blk, section, _, bits = _beside(conn, _blocks_within(coarse, level))
        for block, number, there in zip(blk.tolist(), section.tolist(), bits, strict=True):
            squares, many = np.unique(parents(cells_of_block(block)[there], level), return_counts=True)
            for square, n in zip(squares.tolist(), many.tolist(), strict=True):
                has = shares.setdefault(square, {})
                has[number] = has.get(number, 0) + n  # the first of equals is that of the highest class
        for cell in coarse.tolist():
            if cell in shares:
                found[cell] = max(shares[cell], key=shares[cell].__getitem__)
    return found


def _blocks_within(ids: Ids, level: int, blocks: bool = False) -> list[int]:
    """The blocks of 1 m squares in which squares of a level lie, or (``blocks``) blocks of that level."""
    low = ids & (1 << 44) - 1
    prefix = (ids >> 44 & 127) << 44
    shift = 2 * level if blocks else max(2 * level - 5, 0)
    down = 0 if blocks else max(5 - 2 * level, 0)
    step = np.arange(1 << shift)
    columns = ((low & (1 << 20) - 1) >> down << shift)[:, None, None] + step[:, None]
    rows = (low >> 20 >> down << shift)[:, None, None] + step
    return [int(b) for b in np.unique(prefix[:, None, None] | rows << 20 | columns)]


def blocks_below(blocks: Iterable[int]) -> list[int]:
    """The blocks of 1 m squares that lie in blocks of coarser levels: 16 in one of 4 m squares, 256 in one of 16 m."""
    given = np.unique(np.fromiter(blocks, dtype=np.int64))
    found = (_blocks_within(given[level_of(given) == level], level, blocks=True) for level in (1, 2, 3))
    return [block for some in found for block in some]


def classes_of(conn: Connection, blocks: Iterable[int]) -> dict[int, NDArray[np.uint8]]:
    """Of blocks of any level the class of road of each square, uint8 (1024,): its place in `ROAD_CLASSES` plus 1, 0
    where there is no section. Of several it is the highest class. Blocks without any section are left out."""
    wanted = np.unique(np.fromiter(blocks, dtype=np.int64))
    blk, _, road_class, bits = _beside(conn, wanted[level_of(wanted) == 0].tolist())
    found = {b: out.astype(np.uint8) for b, out in _first_of(blk, road_class + 1, bits).items()}
    for level in (1, 2, 3):
        own = wanted[level_of(wanted) == level]
        keep = set(own.tolist())
        blk, _, road_class, bits = _beside(conn, _blocks_within(own, level, blocks=True))
        for block, number, there in zip(blk.tolist(), (road_class + 1).tolist(), bits, strict=True):
            squares = np.unique(parents(cells_of_block(block)[there], level))
            of = int(blocks_of(squares[:1])[0])
            if of in keep:
                out = found.setdefault(of, np.zeros(BLOCK * BLOCK, np.uint8))
                index = index_in_block(squares)
                index = index[(out[index] == 0) | (out[index] > number)]
                out[index] = number
    return found


def within_districts(conn: Connection, blocks: Iterable[int], districts: Sequence[str]) -> dict[int, NDArray[np.bool_]]:
    """Of blocks of any level which squares lie on sections of some districts, bool (1024,): of 4 m and coarser ones
    those that touch such a section. Blocks without any are left out."""
    wanted = np.unique(np.fromiter(blocks, dtype=np.int64))
    found: dict[int, NDArray[np.bool_]] = {}
    for level in (0, 1, 2, 3):
        own = wanted[level_of(wanted) == level]
        keep = set(own.tolist())
        rows = conn.execute(
            "SELECT c.blk, c.cells FROM section_cell AS c JOIN road_section AS s ON s.number = c.section "
            "AND s.valid_to IS NULL WHERE c.blk = ANY(%s) AND s.district = ANY(%s)",
            (_blocks_within(own, level, blocks=True) if level else own.tolist(), list(districts)),
        ).fetchall() if keep else []  # fmt: skip
        for (block, _), there in zip(rows, unpack_many([bytes(r[1]) for r in rows]), strict=True):
            squares = cells_of_block(block)[there]
            if level:
                squares = np.unique(parents(squares, level))
            if len(squares) and (of := int(blocks_of(squares[:1])[0])) in keep:
                found.setdefault(of, np.zeros(BLOCK * BLOCK, np.bool_))[index_in_block(squares)] = True
    return found


def places_on_roads(conn: Connection, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Easting and northing of the first points of up to ``most`` sections of today, from all over the city: numbers are
    hashes, so their order knows no places."""
    rows = conn.execute("SELECT line FROM road_section WHERE valid_to IS NULL ORDER BY number LIMIT %s", (most,))
    points = np.array([np.frombuffer(bytes(r[0]), "<f8")[:2] for r in rows], dtype=np.float64).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def lengths(conn: Connection) -> list[dict[str, Any]]:
    """Of the sections of today, by source, class and district: how many, km, and the share of km whose width is
    known."""
    rows = conn.execute(
        "SELECT source, road_class, district, count(*), sum(length_m), sum(length_m) FILTER (WHERE width_known) "
        "FROM road_section WHERE valid_to IS NULL GROUP BY source, road_class, district ORDER BY 1, 2, 3"
    )
    return [
        {
            "source": r[0], "road_class": ROAD_CLASSES[r[1]], "district": r[2], "sections": r[3], "km": r[4] / 1000,
            "width_known": (r[5] or 0.0) / r[4],
        }
        for r in rows
    ]  # fmt: skip
