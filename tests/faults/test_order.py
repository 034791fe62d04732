"""The same chunks in any order, in any batches, with repeats: bitwise the same evidence and codes."""

from __future__ import annotations

import contextlib
import random
import uuid
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from api import wiring
from api.migrate import migrate
from api.recount import recount
from ingest import City

from ..roads import START_S
from .stream import codes, evidence, history, open_days_like, undisturbed


@pytest.mark.parametrize(
    ("sizes", "fold_between"),
    [
        (lambda _: 1, False),
        (lambda rng: rng.randint(1, 40), True),
        (lambda _: 1000, False),
    ],
    ids=["one by one", "ragged batches, folded in between", "all at once"],
)
def test_a_shuffled_stream_with_repeats_gives_the_same_integers(
    postgres: str, database: str, city: City, sizes: Callable[[random.Random], int], fold_between: bool
) -> None:
    sent = history(city, START_S, passes=1)
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    first = psycopg.conninfo.make_conninfo(postgres, dbname=name)
    try:
        with psycopg.connect(first, autocommit=True) as conn:
            migrate(conn)
            open_days_like(conn, conn)
        with contextlib.closing(
            undisturbed(first, city, sent, lambda: 25, START_S, fold_between=False)
        ) as in_order, psycopg.connect(database, autocommit=True) as conn:
            open_days_like(conn, in_order)
            rng = random.Random(len(name))
            again = sent + rng.sample(sent, 20)
            rng.shuffle(again)
            with contextlib.closing(
                undisturbed(database, city, again, lambda: sizes(rng), START_S, fold_between=fold_between)
            ) as shuffled:
                assert evidence(shuffled) == evidence(in_order) != {}
                assert codes(shuffled) == codes(in_order)
                counted = recount(shuffled, city, wiring.EVIDENCE)
                assert counted.exact
                assert counted.chunks == len(sent)
    finally:
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
