"""The registers in PostgreSQL. Functions take a connection and never commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from grid import blocks_beside, blocks_of, index_in_block

from .ground import Ground
from .register import (
    OBJECT,
    PERMIT,
    REPAIR,
    Entry,
    GroundOptions,
    InForce,
    RegisterError,
    cells_of_bits,
    footprint,
    ground_of_entries,
)
from .store import CODER_LEASE

Connection = psycopg.Connection[Any]
MOST_TOLD = 20
"""Works and repairs told of one square, the newest."""


class NoSuchEntry(LookupError):
    """No entry has this number."""


@dataclass(frozen=True)
class Put:
    """What became of entries. sha256: of the entries that are new or changed, in the order of their hashes."""

    new: int
    changed: int
    same: int
    numbers: tuple[int, ...]
    sha256: tuple[bytes, ...]


def await_coder(conn: Connection) -> None:
    """Waits until no coder is within a fold, and lets none begin before this transaction ends: a fold that has read
    the registers before a change would write codes after it, and nobody would read them out again."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (CODER_LEASE,))


def put_entries(conn: Connection, entries: Sequence[Entry], today: date) -> Put:
    """Writes entries. One whose register and key are known and that says the same is left as it is, also where it was
    ended since; one that says something else ends the old one yesterday and takes its place from today on, so that the
    view of a day that is over stays what it was. (A repair is taken back, and the new one holds from its own day.)

    Raises RegisterError where a key stands twice.
    """
    if len({(e.register, e.key) for e in entries}) < len(entries):
        raise RegisterError("two entries have the same key: a key names one thing")
    await_coder(conn)
    known: dict[tuple[str, str], tuple[int, bytes]] = {}
    for register in sorted({e.register for e in entries}):
        keys = [e.key for e in entries if e.register == register]
        for row in conn.execute(
            "SELECT key, id, sha256 FROM register_entry "
            "WHERE register = %s AND key = ANY(%s) AND replaced IS NULL",
            (register, keys),
        ):
            known[register, row[0]] = row[1], bytes(row[2])
    new, changed, same = 0, 0, 0
    numbers: list[int] = []
    hashes: list[bytes] = []
    touched: set[int] = set()
    for entry in entries:
        old = known.get((entry.register, entry.key))
        digest = entry.sha256
        if old is not None and old[1] == digest:
            same += 1
            continue
        if old is not None:
            # The index allows one entry of a key that nobody replaced: the old one points at itself for a moment.
            conn.execute("UPDATE register_entry SET replaced = id WHERE id = %s", (old[0],))
            _end(conn, old[0], today - timedelta(days=1))
            touched |= _blocks(conn, old[0])
        late = old is not None and entry.register != REPAIR
        number = _insert(conn, entry, digest, max(entry.from_day, today) if late else entry.from_day, today)
        if old is not None:
            conn.execute("UPDATE register_entry SET replaced = %s WHERE id = %s", (number, old[0]))
            changed += 1
        else:
            new += 1
        touched |= _write_squares(conn, number, entry)
        numbers.append(number)
        hashes.append(digest)
    mark_stale(conn, touched)
    return Put(new, changed, same, tuple(numbers), tuple(sorted(hashes)))


def _insert(conn: Connection, e: Entry, digest: bytes, from_day: date, today: date) -> int:
    row = conn.execute(
        "INSERT INTO register_entry (register, kind, key, source, owner, number, note, from_day, to_day, reach_m, "
        "shape, sha256, entered_on) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (e.register, e.kind, e.key, e.source, e.owner, e.number, e.note, from_day, e.to_day, e.reach_m,
         Jsonb(e.shape), digest, today),
    ).fetchone()  # fmt: skip
    if row is None:
        raise LookupError("the database gave an entry no number")
    return int(row[0])


def _write_squares(conn: Connection, number: int, entry: Entry) -> set[int]:
    rows = [(block, number, bits) for block, bits in sorted(footprint(entry).items())]
    with conn.cursor() as cursor:
        cursor.executemany("INSERT INTO register_block (blk, entry, bits) VALUES (%s, %s, %s)", rows)
    return {r[0] for r in rows}


def _blocks(conn: Connection, number: int) -> set[int]:
    return {r[0] for r in conn.execute("SELECT blk FROM register_block WHERE entry = %s", (number,))}


def _end(conn: Connection, number: int, last: date) -> None:
    conn.execute(
        "UPDATE register_entry SET to_day = CASE WHEN register = 'repair' THEN from_day - 1 "
        "ELSE least(coalesce(to_day, %(last)s), %(last)s) END WHERE id = %(id)s",
        {"last": last, "id": number},
    )


def end_entry(conn: Connection, number: int, register: str, last: date) -> bytes:
    """Ends an entry: ``last`` is its last day. A repair is taken back as a whole: it was none. Gives its hash.

    Raises NoSuchEntry.
    """
    await_coder(conn)
    row = conn.execute(
        "SELECT sha256 FROM register_entry WHERE id = %s AND register = %s AND replaced IS NULL", (number, register)
    ).fetchone()
    if row is None:
        raise NoSuchEntry(f"no {register} has the number {number}: `list` shows those that there are")
    _end(conn, number, last)
    mark_stale(conn, _blocks(conn, number))
    return bytes(row[0])


def ground_of(
    conn: Connection,
    blocks: Iterable[int],
    today: date,
    options: GroundOptions,
    classes: Mapping[int, NDArray[np.uint8]] | None = None,
) -> dict[int, Ground]:
    """What is known on ``today`` of those of the blocks of which anything is known. ``classes``: of roads, by block
    uint8 (1024,), index in `ROAD_CLASSES` + 1."""
    wanted = sorted(set(blocks))
    rows = conn.execute(
        "SELECT b.blk, e.register, e.kind, e.from_day, b.bits FROM register_block AS b "
        "JOIN register_entry AS e ON e.id = b.entry WHERE b.blk = ANY(%(blocks)s) "
        "AND e.from_day <= %(day)s AND coalesce(e.to_day, 'infinity') >= %(day)s",
        {"blocks": wanted, "day": today},
    )
    found = [InForce(r[0], r[1], r[2], r[3], bytes(r[4])) for r in rows]
    given = {b: c for b, c in (classes or {}).items() if b in set(wanted)}
    return ground_of_entries(found, given, options)


def ground_digest(conn: Connection, day: date) -> bytes:
    """SHA-256 over the hashes of all entries in force on a day (of a repair: from its day on), sorted; it goes into
    the day's context. Numbers and order of entering do not count."""
    rows = conn.execute(
        "SELECT e.sha256 FROM register_entry AS e "
        "WHERE e.from_day <= %(day)s AND coalesce(e.to_day, 'infinity') >= %(day)s ORDER BY e.sha256",
        {"day": day},
    )
    whole = hashlib.sha256()
    for (digest,) in rows:
        whole.update(bytes(digest))
    return whole.digest()


def mark_stale(conn: Connection, blocks: Iterable[int]) -> None:
    """Notes that codes of blocks, and of those beside them (a ghost's rival may lie there), do not say any more what
    the registers say. Only of blocks that have evidence: the others have no codes to mend. What is carried of them
    goes: a repair of a day that was carried already changes it."""
    wanted = {b for block in blocks for b in (block, *blocks_beside(block).values())}
    conn.execute(
        "INSERT INTO register_stale (blk) SELECT b FROM unnest(%s::bigint[]) AS b "
        "WHERE EXISTS (SELECT FROM evidence WHERE evidence.blk = b) ON CONFLICT DO NOTHING",
        (sorted(wanted),),
    )
    conn.execute("DELETE FROM carry WHERE blk = ANY(%s)", (sorted(wanted),))


def mark_all_stale(conn: Connection) -> None:
    """The same of all blocks: the road network has changed, and with it how long their colours hold."""
    await_coder(conn)
    conn.execute("INSERT INTO register_stale (blk) SELECT blk FROM code ON CONFLICT DO NOTHING")


def mark_coded(conn: Connection, blocks: Sequence[int]) -> None:
    """Notes of those of the blocks that have codes that they are to be read out again."""
    conn.execute(
        "INSERT INTO register_stale (blk) SELECT blk FROM code WHERE blk = ANY(%s) ON CONFLICT DO NOTHING",
        (list(blocks),),
    )


def stale_ground(conn: Connection, most: int, *, coarse: bool = False) -> list[int]:
    """Blocks whose codes are to be read out again because a register was changed: of 1 m squares, or coarse ones, which
    wait for their turn."""
    rows = conn.execute(
        "SELECT blk FROM register_stale WHERE (blk >> 51 > 0) = %s ORDER BY blk LIMIT %s", (coarse, most)
    )
    return [r[0] for r in rows]


def settle_ground(conn: Connection, blocks: Iterable[int]) -> None:
    """Notes that blocks were read out with the registers as they are."""
    conn.execute("DELETE FROM register_stale WHERE blk = ANY(%s)", (sorted(set(blocks)),))


def entries(conn: Connection, register: str, on: date | None = None, kind: str | None = None, after: int = 0,
            most: int = 1000) -> list[dict[str, Any]]:  # fmt: skip
    """Entries by number, those above ``after``; ``on``: only those in force on a day."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT id, kind, key, source, owner, number, note, from_day, to_day, reach_m, entered_on, shape "
            "FROM register_entry AS e WHERE e.register = %(register)s AND e.replaced IS NULL AND e.id > %(after)s "
            "AND (%(kind)s::text IS NULL OR e.kind = %(kind)s) AND (%(day)s::date IS NULL OR "
            "(e.from_day <= %(day)s AND coalesce(e.to_day, 'infinity') >= %(day)s)) "
            "ORDER BY e.id LIMIT %(most)s",
            {"register": register, "after": after, "kind": kind, "day": on, "most": most},
        ).fetchall()


def squares_of_entry(conn: Connection, number: int) -> NDArray[np.int64]:
    """The 1 m squares of an entry, sorted."""
    rows = conn.execute("SELECT blk, bits FROM register_block WHERE entry = %s AND blk >> 51 = 0", (number,)).fetchall()
    return np.unique(np.concatenate([cells_of_bits(b, bytes(bits)) for b, bits in rows] or [np.empty(0, np.int64)]))


def at_cell(conn: Connection, cell: int, today: date) -> dict[str, Any]:
    """What the registers say of one square on a day: {"harmless": None or the object, "works": [...], "repairs":
    [...]}, newest first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT e.* FROM register_block AS b JOIN register_entry AS e ON e.id = b.entry "
            "WHERE b.blk = %(blk)s AND get_bit(b.bits, %(index)s) = 1 "
            "AND e.from_day <= %(day)s AND coalesce(e.to_day, 'infinity') >= %(day)s "
            "ORDER BY e.from_day DESC, e.id DESC LIMIT 500",
            {"blk": int(blocks_of(cell)), "index": int(index_in_block(cell)), "day": today},
        ).fetchall()
    # As in the ground: a cover before all else.
    objects = sorted((r for r in rows if r["register"] == OBJECT), key=lambda r: r["kind"] != "cover")
    return {
        "harmless": next(({"kind": r["kind"], "source": r["source"], "since": r["from_day"].isoformat(),
                           "owner": r["owner"] or None} for r in objects), None),
        "works": [{"number": r["number"], "owner": r["owner"] or None, "from": r["from_day"].isoformat(),
                   "to": r["to_day"].isoformat() if r["to_day"] else None}
                  for r in rows if r["register"] == PERMIT][:MOST_TOLD],
        "repairs": [{"day": r["from_day"].isoformat(), "kind": r["kind"], "number": r["number"] or None,
                     "by": r["owner"] or None} for r in rows if r["register"] == REPAIR][:MOST_TOLD],
    }  # fmt: skip


def dated_changes(conn: Connection, cell: int, most: int) -> list[dict[str, Any]]:
    """The newest changes of a square's code, newest first: at (datetime), day, before, after, why."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT at, day, before, after, why FROM code_change WHERE cell = %s ORDER BY id DESC LIMIT %s",
            (cell, most),
        ).fetchall()


def boxes_past(conn: Connection, block: int, cells: Sequence[int], after_s: float, until_s: float, most: int
               ) -> list[int]:  # fmt: skip
    """Ids of kept chunks of boxes that passed a block and began within a time (unix seconds, the first excluded):
    those with a finding at one of ``cells`` first, then the newest."""
    rows = conn.execute(
        "SELECT c.id FROM pass AS p JOIN chunk AS c ON c.id = p.chunk AND c.day = p.day "
        "WHERE p.blk = %s AND c.kind = 'box' AND c.start_s > %s AND c.start_s <= %s "
        "ORDER BY EXISTS (SELECT FROM finding AS f WHERE f.chunk = c.id AND f.cell = ANY(%s)) DESC, c.start_s DESC, "
        "c.id LIMIT %s",
        (block, after_s, until_s, list(cells), most),
    )
    return [r[0] for r in rows]


def driven_since(conn: Connection, since: date) -> list[int]:
    """Blocks of 1 m squares that have evidence of ``since`` or later."""
    rows = conn.execute("SELECT DISTINCT blk FROM evidence WHERE day >= %s AND blk >> 51 = 0 ORDER BY blk", (since,))
    return [r[0] for r in rows]


def cells_of_case(conn: Connection, case: int) -> list[int]:
    """The squares of a case; none where there is no such case."""
    return [r[0] for r in conn.execute('SELECT cell FROM case_cell WHERE "case" = %s ORDER BY cell', (case,))]
