"""A flipped byte in the database is named: column by column, of the tables that are held against something."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api import registers, wiring
from api.coder import step
from api.enrolment import Address, enrol
from api.fsck import codes_recorded, judged_again
from api.fsck_chunks import row_faults
from api.fsck_said import said_faults
from api.migrate import migrate
from api.promised import Promised
from api.recount import recount
from api.worker import Worker
from grid import Zone
from grid import store as grid_store
from ingest import Arrived, City, encode
from ledger import Log, fsck, load_promiser, number_outbox
from ledger.store import put_checkpoint

from ..network import road
from ..roads import START_S, straight
from .test_register import entry
from .test_said import Deaf

Conn = psycopg.Connection[Any]

CLOCK = "the database's clock: nothing is decided by it"
ORDER = "only an order of rows, which holds as it is"
EXEMPT = {
    "record.at": CLOCK, "record.said_at": CLOCK, "checkpoint.at": CLOCK, "outbox.at": CLOCK, "outbox.id": ORDER,
    "code_change.id": ORDER, "finding.id": ORDER,
    "case_file.state": "one value is allowed",
    "day_context.phones_gone_at": "bookkeeping of the keeper", "day_context.boxes_gone_at": "bookkeeping of the keeper",
    "day_context.sealed_at": "tied to the salt by a constraint; held against the seals",
    "device_weight.faults": "words for people, the weight beside them is what counts",
    "chunk_box.id": "a number of this database alone; rows that name it are held against it",
    "chunk_box.device": "which box it was is not in its bytes; its slot is, until the seal",
    "chunk_box.received_at": CLOCK,
    "pass.journal": "once the batch is folded it says nothing",
    "code.read_on": "a wrong one has the block read out again", "code.at": CLOCK,
    "device.password_hash": "nothing else knows it; who cannot log in finds out",
    "device.enrolled_at": CLOCK, "device.rotated_at": CLOCK,
    "device.mosquitto_hash": "as the other hash of a password",
    "device.mosquitto_of": "as the other hash of a password",
    "dead_sample.device": "tied to its letter by a foreign key",
    "register_entry.id": ORDER,
    **{f"road_section.{name}": "when and by which import, and whose number it is: not in its digest"
       for name in ("number", "opened_by", "closed_by", "valid_from", "valid_to", "source")},
    "section_cell.section": "a foreign section's squares are those of no line, or none",
    **{f"register_entry.{name}": "in the entry's hash, which is not made anew: what it lays is found by its colour"
       for name in ("kind", "key", "source", "owner", "number", "note", "from_day", "to_day", "reach_m", "shape",
                    "replaced")},
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """A small city with something in every table that is looked at."""

    url: str
    city: City
    log: Log

    def ledger(self, conn: Conn) -> list[Any]:
        """Records, tiles, checkpoints, outbox, receipts."""
        return fsck(conn, self.log, None, self.log.verifier)

    def counted(self, conn: Conn) -> list[Any]:
        """Chunks and evidence."""
        try:
            again = recount(conn, self.city, wiring.EVIDENCE)
        except ValueError as error:  # named by fsck
            return [error]
        return [] if again.exact else [again]

    def judged(self, conn: Conn) -> list[Any]:
        """Codes."""
        return codes_recorded(conn) + judged_again(conn, wiring.HEALTH)


@pytest.fixture(scope="module")
def world(postgres: str, tmp_path_factory: pytest.TempPathFactory, city: City) -> Iterator[World]:
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute("CREATE DATABASE flips")
    url = psycopg.conninfo.make_conninfo(postgres, dbname="flips")
    folder: Path = tmp_path_factory.mktemp("flips")
    broker: Any = Deaf()
    with psycopg.connect(url, autocommit=True) as conn:
        migrate(conn)
        names = [(f"box-{n}", "box") for n in range(1, 4)]
        enrol(conn, broker, folder, names, Address("127.0.0.1", 1), city.origins)
        day = f"{city.service_day(START_S):%Y%m%d}"
        sent = [
            Arrived(f"box-{n}", encode(straight(
                city, seq=seq, start_s=START_S, jolts=((12.5, 3.0, 1.0),), trip=f"{day}-0000000{run}")))
            for run in range(2) for n in range(1, 4) for seq in (1, 2)
        ]  # fmt: skip
        sent.append(Arrived("box-1", b"no chunk"))
        worker = Worker(lambda: psycopg.connect(url, autocommit=True), city, wiring.EVIDENCE, wiring.day_context(city),
                        lambda: START_S + 600)  # fmt: skip
        worker(sent)
        worker.close()
        while step(conn, city, wiring.HEALTH, START_S + 600).rows:
            pass
        registers.put(conn, [entry(city, north_m=300.0)], city, START_S + 600, "test")
        today, zone = city.service_day(START_S), Zone(city.utm_zone, city.utm_north)
        grid_store.put_sections(conn, [road(city, 7), road(city, 8, "branch")], today, "test", zone)
    with psycopg.connect(url) as conn, Log(folder / "log", "flips.test/log") as log:
        log.append([leaf for _, leaf in number_outbox(conn, 10_000)])
        put_checkpoint(conn, log.size, log.root(log.size), log.checkpoint())
        promised = Promised(load_promiser(folder / "log", "flips.test/log"), 2_000_000_000_000)
        registers.put(conn, [entry(city, north_m=400.0, key="b")], city, START_S + 600, "test", promised)
        conn.commit()
        yield World(url, city, log)
    shutil.rmtree(folder)


Check = Callable[[World, Conn], list[Any]]
SAID: Check = lambda _w, conn: list(said_faults(conn))  # noqa: E731
ROWS: Check = lambda w, conn: list(row_faults(conn, Zone(w.city.utm_zone, w.city.utm_north)))  # noqa: E731
HELD: dict[str, tuple[Check, ...]] = {
    "record": (World.ledger,), "outbox": (World.ledger,), "checkpoint": (World.ledger,), "receipt": (World.ledger,),
    "code_change": (SAID,), "case_file": (SAID,), "case_cell": (SAID,), "day_context": (SAID,),
    "device_weight": (SAID,), "device": (SAID,), "register_entry": (SAID,),
    "code": (ROWS, World.judged), "dead_sample": (ROWS,),
    "finding": (ROWS, World.counted), "pass": (ROWS, World.counted), "chunk_box": (ROWS, World.counted),
    "evidence": (World.counted,), "road_section": (ROWS,), "section_cell": (ROWS,),
}  # fmt: skip


def columns(conn: Conn, table: str) -> list[tuple[str, str]]:
    """Names and types of a table's columns, as the database has them."""
    return conn.execute(
        "SELECT column_name, udt_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
        " ORDER BY ordinal_position",
        (table,),
    ).fetchall()


FLIPS = {
    "bytea": "set_byte({c}, mod({at}, length({c})), get_byte({c}, mod({at}, length({c}))) # (1 << {bit}))",
    "text": "overlay({c} PLACING CASE substr({c}, 1 + mod({at}, length({c})), 1) WHEN 'x' THEN 'y' ELSE 'x' END"
            " FROM 1 + mod({at}, length({c})) FOR 1)",
    "int8": "{c} # (1::bigint << {bit})", "int4": "{c} # (1 << {bit})",
    "int2": "({c} # (1 << mod({bit}, 3)))::smallint",
    "float8": "{c} + 0.5", "float4": "{c} + 0.5", "date": "{c} + 1 + {bit}", "timestamptz": "{c} + interval '1 hour'",
    "jsonb": "{c} || '{{\"colour\": \"none\"}}'", "bool": "NOT {c}", "box": "{c} + point(1, 1)",
    "_text": "{c} || 'x'::text",
}  # fmt: skip


def test_nothing_is_wrong_before_anything_is_flipped(world: World) -> None:
    with psycopg.connect(world.url) as conn:
        found = [fault for checks in {HELD[t] for t in HELD} for check in checks for fault in check(world, conn)]
    assert found == []


@pytest.mark.parametrize("table", HELD)
def test_a_flipped_byte_in_any_column_is_named(world: World, table: str) -> None:
    draw = random.Random(table)
    with psycopg.connect(world.url) as conn:
        for name, kind in columns(conn, table):
            if f"{table}.{name}" in EXEMPT:
                continue
            c = sql.Identifier(name)
            rows = conn.execute(
                sql.SQL("SELECT tableoid, ctid::text FROM {} WHERE {} IS NOT NULL {} ORDER BY 1, 2").format(
                    sql.Identifier(table), c, sql.SQL("AND length({}) > 0").format(c) if kind in ("bytea", "text")
                    else sql.SQL(""))
            ).fetchall()  # fmt: skip
            if not rows:
                continue  # NULL everywhere here
            oid, ctid = draw.choice(rows)
            flip = FLIPS[kind].format(c=f'"{name}"', at=draw.randrange(100_000), bit=draw.randrange(8))
            try:
                conn.execute("SET LOCAL session_replication_role = replica")
                statement = f'UPDATE "{table}" SET "{name}" = {flip} WHERE tableoid = {oid} AND ctid = %s'  # noqa: S608
                done = conn.execute(statement.encode(), (ctid,))
            except (psycopg.IntegrityError, psycopg.errors.GeneratedAlways):
                conn.rollback()  # the database itself refuses it
                continue
            assert done.rowcount == 1
            assert any(check(world, conn) for check in HELD[table]), f"{table}.{name}: {flip}"
            conn.rollback()


def test_every_exemption_is_of_a_column_that_there_is(world: World) -> None:
    with psycopg.connect(world.url) as conn:
        there = {f"{table}.{name}" for table in HELD for name, _ in columns(conn, table)}
    assert set(EXEMPT) <= there
