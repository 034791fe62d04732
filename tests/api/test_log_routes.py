"""The log over HTTP: an auditor with nothing but the checkpoint's key follows it from its tiles."""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode
from collections.abc import Iterator
from datetime import date
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from api import wiring
from api.routes import log as log_routes
from api.routes.devices import NotAllowed
from api.settings import Settings
from ingest import Buckets, Budget, City
from ledger import (
    Log,
    PublicKey,
    code_record,
    leaf_hash,
    number_outbox,
    open_receipt,
    parse,
    root_of,
    verify_consistency,
    verify_inclusion,
    verify_note,
    verify_proof,
    verify_receipt,
)
from ledger import enqueue as put
from ledger.store import put_checkpoint

from ..databases import fresh_database
from .test_app import TOKEN, served

World = tuple[httpx.Client, str, str]
COUNT = 700
BODIES = [code_record(n, date(2026, 11, 23), n, {}, {}, "w", bytes(32), "live") for n in range(COUNT)]


@pytest.fixture(scope="module")
def world(postgres: str, tmp_path_factory: pytest.TempPathFactory, city: City) -> Iterator[World]:
    """A site that asks for its token, with a log of 700 records, signed at 300 and 700, and one more that waits."""
    with fresh_database(postgres) as url:
        yield from _world(url, tmp_path_factory, city)


def _world(url: str, tmp_path_factory: pytest.TempPathFactory, city: City) -> Iterator[World]:
    settings = Settings(
        home=tmp_path_factory.mktemp("log"), host="0.0.0.0", database_url=SecretStr(url),  # noqa: S104
        api_token=SecretStr(TOKEN),
    )  # fmt: skip
    with psycopg.connect(url) as conn, Log(wiring.log_folder(settings), wiring.log_name(city)) as log:
        for first, end in ((0, 300), (300, COUNT)):
            put(conn, BODIES[first:end])
            log.append([leaf for _, leaf in number_outbox(conn, COUNT)])
            put_checkpoint(conn, end, log.root(end), log.checkpoint())
        put(conn, [code_record(9_999, date(2026, 11, 23), 1, {}, {}, "w", bytes(32), "live")])
        conn.commit()
        verifier = log.verifier
    with served(settings) as client:
        yield client, verifier, url


def test_an_auditor_without_a_token_rebuilds_the_root_from_tiles(world: World) -> None:
    client, verifier, _ = world
    answer = client.get("/log/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    checkpoint = verify_note(answer.text, verifier)
    assert checkpoint.size == COUNT
    leaves = b""
    for n in range(3):
        tail = "" if n < 2 else f".p/{COUNT - 512}"
        tile = client.get(f"/log/tile/0/00{n}{tail}")
        assert tile.headers["cache-control"] == "public, max-age=31536000, immutable"
        leaves += tile.content
    hashes = [leaves[i : i + 32] for i in range(0, len(leaves), 32)]
    assert root_of(hashes) == checkpoint.root
    upper = client.get("/log/tile/1/000.p/2").content
    assert upper == root_of(hashes[:256]) + root_of(hashes[256:512])
    way = client.get("/log/consistency", params={"first": 300}).json()
    proof = [b64decode(value) for value in way["hashes"]]
    assert (way["first"], way["second"]) == (300, COUNT)
    assert verify_consistency(300, COUNT, root_of(hashes[:300]), checkpoint.root, proof)


def test_records_need_the_token_and_are_the_leaves(world: World) -> None:
    client, verifier, _ = world
    key = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/log/tile/entries/000", "/log/proof/3", f"/log/receipt/{'0' * 64}", "/log/tile//entries/000",
                 "/log/tile/0/../entries/000", "/log/tile/%65ntries/000", "/log/"):  # fmt: skip
        assert client.get(path).status_code in (400, 401), path
    answer = client.get("/log/tile/entries/002.p/188", headers=key)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    rest, bodies = answer.content, []
    while rest:
        length = int.from_bytes(rest[:2], "big")
        bodies.append(rest[2 : 2 + length])
        rest = rest[2 + length :]
    assert bodies == [record.body for record in BODIES[512:]]
    found = client.get("/log/proof/511", headers=key).json()
    assert {s.name: s.ok for s in verify_proof(found, verifier, None)} == {
        "record": True, "leaf": True, "inclusion": True, "signature": True, "witnesses": None, "anchor": None,
    }  # fmt: skip
    assert parse(b64decode(found["body"]))["cell"] == 511
    hashes = [b64decode(value) for value in found["inclusion"]]
    root = verify_note(found["checkpoint"], verifier).root
    assert verify_inclusion(511, COUNT, leaf_hash(BODIES[511].body), hashes, root)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/log/tile/0/003", "no_tile"), ("/log/tile/0/002", "no_tile"), ("/log/tile/0/002.p/189", "no_tile"),
        ("/log/tile/2/000.p/1", "no_tile"), ("/log/tile/8/000", "no_tile"), ("/log/tile/0/x000/000", "no_tile"),
        ("/log/tile/0/0", "no_tile"), ("/log/tile/0/000.p/256", "no_tile"), ("/log/tile/0/000.p/0", "no_tile"),
        ("/log/tile/0/000.p/01", "no_tile"), ("/log/tile/entries/003", "no_tile"), ("/log/tile/x", "no_tile"),
        ("/log/proof/700", "not_provable"), ("/log/consistency?first=1&second=701", "no_such_size"),
        ("/log/consistency?first=9&second=8", "no_such_size"), ("/log/consistency?first=0", "bad_request"),
        ("/log/proof/-1", "bad_request"), (f"/log/receipt/{'0' * 64}", "no_such_record"),
        ("/log/receipt/zz", "bad_request"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named(world: World, path: str, name: str) -> None:
    answer = world[0].get(path, headers={"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.json()["error"]) == (422 if name == "bad_request" else 404, name)
    assert "immutable" not in answer.headers.get("cache-control", "")


def test_a_receipt_is_given_for_what_waits_and_holds_with_the_published_keys(
    world: World,
) -> None:
    client, verifier, _ = world
    key = {"Authorization": f"Bearer {TOKEN}"}
    keys = client.get("/log/keys").json()
    assert keys["checkpoints"]["verifier"] == verifier
    public = PublicKey(bytes.fromhex(keys["receipts"]["public"]))
    waits = code_record(9_999, date(2026, 11, 23), 1, {}, {}, "w", bytes(32), "live")
    given = client.get(f"/log/receipt/{leaf_hash(waits.body).hex()}", headers=key).json()
    promise = open_receipt(b64decode(given["receipt"]), public)
    assert (promise.leaf, promise.mmd_s) == (leaf_hash(waits.body), 60)
    assert abs(promise.at_ms - time.time() * 1000) < 600_000
    merged = client.get(f"/log/receipt/{leaf_hash(BODIES[5].body).hex()}", headers=key).json()
    proof = client.get("/log/proof/5", headers=key).json()
    steps = verify_receipt(b64decode(merged["receipt"]), public, 10**15, proof, keys["checkpoints"]["verifier"])
    assert {s.name for s in steps if s.ok is not True} <= {"witnesses"}
    assert steps[-1].name == "promise"


def test_what_waits_too_long_is_told(world: World) -> None:
    client, _, url = world
    key = {"Authorization": f"Bearer {TOKEN}"}
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE outbox SET at = now() - interval '75 s'")
    said = client.get("/healthz").json()["parts"]["log"]
    assert "receipts promise 60 s" in said
    metrics = client.get("/metrics", headers=key).text
    assert "roadcode_log_waiting 1.0" in metrics
    assert float(_value(metrics, "roadcode_log_oldest_wait_seconds")) >= 75


def _value(metrics: str, name: str) -> Any:
    return next(line.split()[1] for line in metrics.splitlines() if line.startswith(f"{name} "))


def test_one_address_may_not_ask_for_ever() -> None:
    budgets = (Buckets(Budget(3, 1e-9), 10), Buckets(Budget(5, 1e-9), 1))
    state = SimpleNamespace(log_budgets=budgets, limits=SimpleNamespace(name_of=lambda address: address))

    def ask(address: str) -> int:
        request: Any = SimpleNamespace(app=SimpleNamespace(state=state), client=SimpleNamespace(host=address))
        try:
            asyncio.run(log_routes.bounded(request))
        except NotAllowed as error:
            return error.status if error.wait_s > 0 else 0
        return 200

    assert [ask("a") for _ in range(4)] == [200, 200, 200, 429]
    assert [ask("b") for _ in range(3)] == [200, 200, 429], "all of them together"
