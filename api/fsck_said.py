"""What the database shows of the past, held against what the log says: changes, cases, contexts, boxes, registers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg

from defects import ALL_TYPES, case_centre_m
from ingest import weights_digest
from ledger import Fault, bodies_about, bodies_said, case_cells, leaf_hash, parse, root_of

Connection = psycopg.Connection[Any]


def said_faults(conn: Connection) -> Iterator[Fault]:
    """All of them. Within a transaction that sees one moment."""
    yield from changes(conn)
    yield from cases(conn)
    yield from contexts(conn)
    yield from boxes(conn)
    yield from registers(conn)


def changes(conn: Connection) -> Iterator[Fault]:
    """The history of every square against its `code` records, both in their order, square by square."""
    with conn.cursor("shown_changes") as cursor:
        cursor.itersize = 2000
        cursor.execute(
            "SELECT cell, day, at, before, after, why FROM code_change ORDER BY cell, id"
        )
        shown = ((int(cell), list(rows)) for cell, rows in groupby(cursor, key=itemgetter(0)))
        for cell, rows, bodies in _together(shown, bodies_about(conn, "code")):
            said = [parse(body) for body in bodies]
            was = [(c["day"], c["at_ms"], c["before"], c["after"], c["why"]) for c in said]
            if [(r[1].isoformat(), _ms(r[2]), *r[3:]) for r in rows] != was:
                text = f"{len(rows)} changes are shown, and they are not the {len(was)} that the log has"
                yield Fault("history", f"square {cell}", text)


def _together(
    left: Iterator[tuple[int, list[Any]]], right: Iterator[tuple[int, list[bytes]]]
) -> Iterator[tuple[int, list[Any], list[bytes]]]:
    """Both by their rising keys; an empty list where one of them lacks a key."""
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            assert a is not None  # noqa: S101  (said to the type checker)
            yield a[0], a[1], []
            a = next(left, None)
        elif a is None or b[0] < a[0]:
            yield b[0], [], b[1]
            b = next(right, None)
        else:
            yield a[0], a[1], b[1]
            a, b = next(left, None), next(right, None)


def cases(conn: Connection) -> Iterator[Fault]:
    """Case files and their squares against the newest record of each; the place from the squares; the kind against what
    the records of its squares name."""
    files = {
        r[0]: r[1:]
        for r in conn.execute(
            "SELECT id, kind, x_m, y_m, opened_at FROM case_file"
        )
    }
    cells: dict[int, list[int]] = {}
    for case, cell in conn.execute('SELECT "case", cell FROM case_cell ORDER BY "case", cell'):
        cells.setdefault(case, []).append(cell)
    known = set()
    for case, bodies in bodies_about(conn, "case"):
        known.add(case)
        where = f"case {case}"
        steps = [parse(body) for body in bodies]
        if case not in files:
            yield Fault("case", where, "has records, and its file is gone")
            continue
        kind, x_m, y_m, opened_at = files[case]
        mine = cells.get(case, [])
        newest = [s for s in steps if "cells" in s or "cells_sha256" in s]
        if newest and any(newest[-1].get(name) != value for name, value in case_cells(mine).items()):
            yield Fault("case", where, "its squares are not those of its newest record")
        if steps[0]["at_ms"] != _ms(opened_at):
            yield Fault("case", where, "was opened at another time than its record says")
        if mine and case_centre_m(tuple(mine)) != (x_m, y_m):
            yield Fault("case", where, "its place is not the middle of its squares")
        if mine and _kind_name(kind) not in _kinds_of(conn, mine):
            yield Fault("case", where, "is of a kind that no record of its squares names")
    for case in sorted((files.keys() | cells.keys()) - known):
        yield Fault("case", f"case {case}", "has no record")


def _ms(at: datetime) -> int:
    """A moment as records say it, reckoned as the coder does."""
    return int(at.timestamp() * 1000)


def _kind_name(kind: int) -> str | None:
    return ALL_TYPES[kind].key if 0 <= kind < len(ALL_TYPES) else None


def _kinds_of(conn: Connection, cells: list[int]) -> set[str | None]:
    """What records of changed codes name of squares."""
    rows = conn.execute(
        "SELECT body FROM record WHERE kind = 'code' AND subject = ANY(%(cells)s) UNION ALL "
        "SELECT body FROM outbox WHERE kind = 'code' AND subject = ANY(%(cells)s)",
        {"cells": cells[:200]},
    )
    return {parse(bytes(r[0]))["after"].get("kind") for r in rows}


def contexts(conn: Connection) -> Iterator[Fault]:
    """What a day was computed with against its record; and the weights of a day that is not sealed against the hash in
    it."""
    said: dict[str, set[bytes]] = {}
    for body in bodies_said(conn, "context"):
        said.setdefault(parse(body)["day"], set()).add(body)
    days = conn.execute("SELECT day, salt, body, sha256 FROM day_context ORDER BY day").fetchall()
    for day, salt, body, digest in days:
        where = f"context of {day}"
        if hashlib.sha256(body).digest() != bytes(digest):
            yield Fault("context", where, "its hash is not that of its bytes")
        if bytes(body) not in said.pop(day.isoformat(), set()):
            yield Fault("context", where, "is not what was recorded")
            continue
        if salt is not None:
            yield from _weights(conn, day, bytes(salt), parse(bytes(body))["context"].get("weights"), where)
    for gone in sorted(said):
        yield Fault("context", f"context of {gone}", "has a record, and is gone")


def _weights(conn: Connection, day: date, salt: bytes, recorded: object, where: str) -> Iterator[Fault]:
    # An erasure takes the weight of a phone; then the hash can never be made again.
    if recorded is None or conn.execute("SELECT 1 FROM device WHERE erased_at IS NOT NULL LIMIT 1").fetchone():
        return
    weights = dict(conn.execute("SELECT device, weight_pct FROM device_weight WHERE day = %s", (day,)).fetchall())
    if weights_digest(salt, weights) != recorded:
        yield Fault("context", where, "its salt or its devices' weights are not what was recorded")


def boxes(conn: Connection) -> Iterator[Fault]:
    """Which boxes may send against the newest record of each. Boxes from before there were records have none."""
    newest: dict[str, str] = {}
    for body in bodies_said(conn, "device"):
        content = parse(body)
        newest[content["device"]] = content["step"]
    found = {
        r[0]: (r[1], r[2])
        for r in conn.execute(
            "SELECT id, kind, disabled_at IS NOT NULL FROM device WHERE id = ANY(%s)", (sorted(newest),)
        )
    }
    for device, step in sorted(newest.items()):
        kind, disabled = found.get(device, (None, False))
        if kind != "box":
            yield Fault("device", device, "has records as a box, and is none here")
        elif disabled != (step == "revoked"):
            state = "shut out" if disabled else "let in"
            yield Fault("device", device, f"is {state}, and its newest record says {step}")


def registers(conn: Connection) -> Iterator[Fault]:
    """Hashes of entries, in the order in which they were entered, against the roots that were recorded."""
    entered: dict[str, list[tuple[int, date, bytes]]] = {}
    for number, register, day, digest in conn.execute(
        "SELECT id, register, entered_on, sha256 FROM register_entry ORDER BY id"
    ):
        entered.setdefault(register, []).append((number, day, bytes(digest)))
    for body in bodies_said(conn, "register"):
        said = parse(body)
        register = said["register"]
        if said["step"] != "put":
            continue
        rows = entered.get(register, [])
        some, entered[register] = rows[: said["entries"]], rows[said["entries"] :]
        where = f"{register}s of {said['day']}" + (f", from number {some[0][0]}" if some else "")
        if root_of([leaf_hash(digest) for digest in sorted(r[2] for r in some)]) != said["entries_root"]:
            yield Fault("register", where, "are not those that were recorded")
        elif any(r[1].isoformat() != said["day"] for r in some):
            yield Fault("register", where, "were entered on another day than their record says")
    for register, rows in entered.items():
        if rows:
            yield Fault("register", f"{register} {rows[0][0]}", f"{len(rows)} entries have no record")
