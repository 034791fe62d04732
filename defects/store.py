"""Evidence, codes and cases in PostgreSQL. Functions take a connection and never commit: that is the pump's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from grid import cells_of_block

from .cases import Case, centre_m
from .code import BLOCK_CELLS, Change, Codes, Colour, pack_codes, unpack_codes
from .evidence_store import (
    append_journal,
    blocks_of_deltas,
    carry_of,
    evidence_after,
    evidence_keys,
    evidence_of,
    journal_rows,
    put_carry,
    put_evidence,
    read_journal,
    sweep_journal,
    take_journal,
)
from .observe import Finding

__all__ = [
    "append_journal",
    "blocks_of_deltas",
    "carry_of",
    "evidence_after",
    "evidence_keys",
    "evidence_of",
    "journal_rows",
    "put_carry",
    "put_evidence",
    "read_journal",
    "sweep_journal",
    "take_journal",
]  # what `evidence_store` keeps is reached through here too

Connection = psycopg.Connection[Any]

_COUNTED = (Colour.GREEN, Colour.YELLOW, Colour.RED)
CODER_LEASE = 0x726F6164_636F6465  # "roadcode": the advisory lock under which one coder folds


def add_findings(conn: Connection, findings: Sequence[tuple[int, Finding]]) -> None:
    """Findings, each with the id of its chunk."""
    rows = [(chunk, *finding_row(f)) for chunk, f in findings]
    if rows:
        with conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO finding (chunk, what, kind, cell, t_s, x_m, y_m, sigma_m, speed_mps, score, severity, "
                "weight, p, named, subtype, named_p, size_mm) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                rows,
            )


def finding_row(f: Finding) -> tuple[Any, ...]:
    """What is kept of a finding, in the order of `said_by`."""
    return (
        f.what, f.kind, f.cell, f.t_s, f.x_m, f.y_m, f.sigma_m, f.speed_mps, f.score, f.severity, f.weight,
        _known(f.p), f.name.key if f.name else None, (f.name.subtype or None) if f.name else None,
        f.name.p if f.name else None, _known(f.size_mm),
    )  # fmt: skip


def _known(value: float) -> float | None:
    return value if value >= 0 else None


def felt_by(conn: Connection, device: str) -> tuple[float, int]:
    """Kilometres on which a device could feel, and its findings, over everything it sent."""
    row = conn.execute(
        "SELECT coalesce(sum(distance_m), 0) / 1000, "
        "(SELECT count(*) FROM finding JOIN chunk AS c ON c.id = finding.chunk WHERE c.device = %(device)s) "
        "FROM chunk WHERE device = %(device)s",
        {"device": device},
    ).fetchone()
    return (float(row[0]), int(row[1])) if row else (0.0, 0)


def hold_coder_lease(conn: Connection) -> bool:
    """Whether this transaction is the one coder now; the lease ends with the transaction, whatever dies."""
    row = conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (CODER_LEASE,)).fetchone()
    return bool(row and row[0])


def codes_of(conn: Connection, blocks: Iterable[int]) -> dict[int, tuple[int, Codes]]:
    """Revision and codes of those of the blocks that have any."""
    rows = conn.execute("SELECT blk, rev, d FROM code WHERE blk = ANY(%s)", (sorted(set(blocks)),))
    return {r[0]: (r[1], unpack_codes(bytes(r[2]))) for r in rows}


def coded(conn: Connection, blocks: Iterable[int]) -> set[int]:
    """Those of the blocks that have codes."""
    return {r[0] for r in conn.execute("SELECT blk FROM code WHERE blk = ANY(%s)", (sorted(set(blocks)),))}


def all_code_blocks(conn: Connection) -> list[int]:
    """Every block that has codes."""
    return [r[0] for r in conn.execute("SELECT blk FROM code ORDER BY blk")]


def stale_blocks(conn: Connection, today: date, most: int) -> list[int]:
    """Blocks of 1 m squares whose codes were last read out on another day: evidence ages, so codes must be read again;
    on a later day too, for the clock of this machine was ahead then. (Coarse ones have their turn, `turn.due`.)"""
    rows = conn.execute(
        "SELECT blk FROM code WHERE (read_on < %s OR read_on > %s) AND blk >> 51 = 0 ORDER BY blk LIMIT %s",
        (today, today, most),
    )
    return [r[0] for r in rows]


def read_days(conn: Connection) -> list[tuple[int, date]]:
    """Every block that has codes, and the service day of its last read-out."""
    return [(r[0], r[1]) for r in conn.execute("SELECT blk, read_on FROM code ORDER BY blk")]


def mark_read(conn: Connection, today: date, blocks: Sequence[int]) -> None:
    """Notes that blocks were read out and have not changed."""
    conn.execute("UPDATE code SET read_on = %s WHERE blk = ANY(%s)", (today, list(blocks)))


def newest_day(conn: Connection, block: int) -> date | None:
    """The newest day on which a chunk passed a block, as far as passes are kept."""
    row = conn.execute(
        "SELECT greatest((SELECT max(day) FROM pass WHERE blk = %(blk)s), "
        "(SELECT max(day) FROM phone_leaf WHERE blk = %(blk)s))",
        {"blk": block},
    ).fetchone()
    return row[0] if row else None


def put_codes(conn: Connection, day: date, codes: Mapping[int, tuple[int, Codes]], at: datetime) -> None:
    """Writes new revisions of blocks' codes."""
    rows = []
    for blk, (rev, c) in sorted(codes.items()):
        counts = np.bincount(c["colour"], minlength=4)
        rows.append((blk, rev, *(int(counts[k]) for k in _COUNTED), pack_codes(c)))
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        conn.execute(
            "INSERT INTO code (blk, rev, green, yellow, red, d, read_on, at) SELECT *, %b::date, %b::timestamptz FROM "
            "unnest(%b::bigint[], %b::bigint[], %b::int[], %b::int[], %b::int[], %b::bytea[]) "
            "ON CONFLICT (blk) DO UPDATE SET rev = excluded.rev, green = excluded.green, yellow = excluded.yellow, "
            "red = excluded.red, read_on = excluded.read_on, d = excluded.d, at = excluded.at",
            (day, at, *columns),
        )


def colour_counts(conn: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Squares by colour: of one metre (grey are those of measured blocks), and the known ones of coarser levels."""
    row = conn.execute(
        "SELECT count(*) FILTER (WHERE fine), "
        "coalesce(sum(green) FILTER (WHERE fine), 0), coalesce(sum(yellow) FILTER (WHERE fine), 0), "
        "coalesce(sum(red) FILTER (WHERE fine), 0), coalesce(sum(green) FILTER (WHERE NOT fine), 0), "
        "coalesce(sum(yellow) FILTER (WHERE NOT fine), 0), coalesce(sum(red) FILTER (WHERE NOT fine), 0) "
        "FROM (SELECT *, blk >> 51 = 0 AS fine FROM code) AS c"
    ).fetchone()
    blocks, green, yellow, red, *coarse = (int(v) for v in row) if row else (0,) * 7
    fine = {"grey": blocks * BLOCK_CELLS - green - yellow - red, "green": green, "yellow": yellow, "red": red}
    return fine, dict(zip(("green", "yellow", "red"), coarse, strict=True))


def add_changes(conn: Connection, changes: Sequence[Change], day: date, at: datetime) -> None:
    """The history of codes: what was said when."""
    rows = [(c.cell, day, at, Jsonb(c.before), Jsonb(c.after), c.why) for c in changes]
    if rows:
        with conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO code_change (cell, day, at, before, after, why) VALUES (%s, %s, %s, %s, %s, %s)", rows
            )


def changes_of(conn: Connection, cell: int) -> list[dict[str, Any]]:
    """The newest hundred changes of a square's code, newest first."""
    rows = conn.execute(
        "SELECT at, before, after, why FROM code_change WHERE cell = %s ORDER BY id DESC LIMIT 100", (cell,)
    )
    return [{"at": r[0].isoformat(), "before": r[1], "after": r[2], "why": r[3]} for r in rows]


def changes_in(conn: Connection, block: int, day: date, most: int) -> list[dict[str, Any]]:
    """What was said of a block's squares from a day on, oldest first."""
    rows = conn.execute(
        "SELECT cell, day, at, before, after, why FROM code_change WHERE cell = ANY(%s) AND day >= %s "
        "ORDER BY id LIMIT %s",
        (cells_of_block(block).tolist(), day, most),
    )
    names = ("cell", "day", "at", "before", "after", "why")
    return [dict(zip(names, (r[0], str(r[1]), r[2].isoformat(), *r[3:]), strict=True)) for r in rows]


def case_number(conn: Connection, cell: int) -> int | None:
    """The case that a square belongs to."""
    row = conn.execute('SELECT "case" FROM case_cell WHERE cell = %s', (cell,)).fetchone()
    return None if row is None else int(row[0])


def chunk_leaves(conn: Connection, block: int, day: date) -> list[bytes]:
    """Salted hashes of the chunks that passed a block on a day and are folded into its evidence, sorted; they are there
    when the chunks have gone."""
    kept = conn.execute("SELECT leaves FROM chunk_leaves WHERE blk = %s AND day = %s", (block, day)).fetchone()
    if kept is not None:
        packed = bytes(kept[0])
        return [packed[i : i + 32] for i in range(0, len(packed), 32)]
    rows = conn.execute(
        "SELECT leaf FROM (SELECT chunk.leaf, pass.journal FROM pass JOIN chunk ON chunk.id = pass.chunk "
        "WHERE pass.blk = %(blk)s AND pass.day = %(day)s AND chunk.day = %(day)s "
        "UNION ALL SELECT leaf, journal FROM phone_leaf WHERE blk = %(blk)s AND day = %(day)s) AS past "
        "WHERE NOT EXISTS (SELECT 1 FROM journal WHERE journal.id = past.journal) ORDER BY leaf",
        {"blk": block, "day": day},
    )
    return [bytes(r[0]) for r in rows]


def chunks_past(conn: Connection, block: int, most: int) -> list[int]:
    """Ids of the newest chunks that passed a block."""
    rows = conn.execute("SELECT chunk FROM pass WHERE blk = %s ORDER BY day DESC, chunk DESC LIMIT %s", (block, most))
    return [r[0] for r in rows]


def cases_within(conn: Connection, low_m: NDArray[np.float64], high_m: NDArray[np.float64]) -> list[Case]:
    """Open cases whose middle lies between two corners (easting, northing)."""
    rows = conn.execute(
        'SELECT f.id, f.kind, array_agg(c.cell ORDER BY c.cell) FROM case_file f JOIN case_cell c ON c."case" = f.id '
        "WHERE f.x_m BETWEEN %s AND %s AND f.y_m BETWEEN %s AND %s GROUP BY f.id ORDER BY f.id",
        (float(low_m[0]), float(high_m[0]), float(low_m[1]), float(high_m[1])),
    )
    return [Case(r[0], r[1], tuple(r[2])) for r in rows]


def case_of(conn: Connection, cell: int, kinds: Sequence[int] | None = None) -> dict[str, Any] | None:
    """Number and state of the case, of some kinds or of any, to which a square belongs."""
    row = conn.execute(
        'SELECT f.id, f.state FROM case_file f JOIN case_cell c ON c."case" = f.id WHERE c.cell = %s '
        "AND (%s::int[] IS NULL OR f.kind = ANY(%s))",
        (cell, kinds, kinds),
    ).fetchone()
    return {"id": row[0], "state": row[1]} if row else None


def cases_among(conn: Connection, cells: Sequence[int]) -> list[int]:
    """Numbers of the cases to which any of these squares belongs, the newest first."""
    rows = conn.execute(
        'SELECT DISTINCT "case" FROM case_cell WHERE cell = ANY(%s) ORDER BY "case" DESC', (list(cells),)
    )
    return [int(r[0]) for r in rows]


def case_count(conn: Connection) -> int:
    """How many cases there are."""
    row = conn.execute("SELECT count(*) FROM case_file").fetchone()
    return int(row[0]) if row else 0


def open_cases(conn: Connection, most: int, kinds: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """The newest cases, of some kinds or of all: number, kind, state, place, squares and time of opening."""
    rows = conn.execute(
        "SELECT f.id, f.kind, f.state, f.x_m, f.y_m, f.opened_at, array_agg(c.cell ORDER BY c.cell) FROM case_file f "
        'JOIN case_cell c ON c."case" = f.id WHERE %s::int[] IS NULL OR f.kind = ANY(%s) '
        "GROUP BY f.id ORDER BY f.id DESC LIMIT %s",
        (*(None if kinds is None else list(kinds),) * 2, most),
    )
    return [
        {"id": r[0], "kind": r[1], "state": r[2], "x_m": r[3], "y_m": r[4], "opened": r[5].isoformat(), "cells": r[6]}
        for r in rows
    ]


def put_case(conn: Connection, case: Case, at: datetime) -> Case:
    """Opens a case or writes down its growth; gives it with its number."""
    x_m, y_m = centre_m(case.cells)
    number = case.number
    if number is None:
        row = conn.execute(
            "INSERT INTO case_file (kind, x_m, y_m, opened_at) VALUES (%s, %s, %s, %s) RETURNING id",
            (case.kind, x_m, y_m, at),
        ).fetchone()
        if row is None:
            raise LookupError("the database gave a new case no number")
        number = int(row[0])
    else:
        conn.execute("UPDATE case_file SET x_m = %s, y_m = %s WHERE id = %s", (x_m, y_m, number))
    with conn.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO case_cell (cell, "case") VALUES (%s, %s) ON CONFLICT (cell) DO NOTHING',
            [(cell, number) for cell in case.cells],
        )
    return Case(number, case.kind, case.cells)


def said_by(conn: Connection, chunks: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What chunks were found to say: their findings, and the blocks that they passed."""
    said: dict[int, dict[str, Any]] = defaultdict(lambda: {"findings": [], "blocks": []})
    rows = conn.execute(
        "SELECT chunk, what, kind, cell, t_s, x_m, y_m, sigma_m, speed_mps, score, severity, weight, p, named, "
        "subtype, named_p, size_mm FROM finding WHERE chunk = ANY(%s) ORDER BY id",
        (list(chunks),),
    )
    names = (
        "what", "kind", "cell", "t_s", "x_m", "y_m", "sigma_m", "speed_mps", "score", "severity", "weight", "p",
        "named", "subtype", "named_p", "size_mm",
    )  # fmt: skip
    for chunk, *values in rows:
        said[chunk]["findings"].append(dict(zip(names, values, strict=True)))
    for chunk, blk in conn.execute("SELECT chunk, blk FROM pass WHERE chunk = ANY(%s) ORDER BY blk", (list(chunks),)):
        said[chunk]["blocks"].append(blk)
    return dict(said)


def forget_chunks(conn: Connection, chunks: Sequence[int]) -> dict[str, int]:
    """Deletes findings and passes of chunks that are about to be erased; gives the number of rows by table. What they
    added to the evidence stays in it: sums over squares."""
    gone = {}
    for table, query in (
        ("finding", b"DELETE FROM finding WHERE chunk = ANY(%s)"),
        ("pass", b"DELETE FROM pass WHERE chunk = ANY(%s)"),
    ):
        gone[table] = conn.execute(query, (list(chunks),)).rowcount
    return gone
