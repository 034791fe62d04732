"""What the ledger does on this machine: entries, receipts, proofs, anchors, certificates. By the clock, so that other
work on the machine makes every figure worse; the disk's own rate of flushes stands beside."""

from __future__ import annotations

import importlib
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from ledger import (
    AnchorOptions,
    Chain,
    Log,
    Plain,
    Promiser,
    Record,
    Tiles,
    anchor_gas,
    code_record,
    enqueue,
    enqueue_promised,
    grow_log,
    leaf_hash,
    load_promiser,
    step,
    tile_file,
    verify_inclusion,
    verify_note,
)

from .embedded import open_folder
from .embedded.chain import ChainNode
from .embedded.folder import choose_port
from .embedded.postgres import Postgres
from .migrate import migrate

Told = Callable[[str, float], None]
Connection = psycopg.Connection[Any]
NAME = "bench.local/log"
WRITER = 100
"""Records of one writer's transaction: a fold of the coder that changes something writes some tens."""
AHEAD_S = 86_400.0
"""Blocks that are mined within a second are stamped a second apart each, ahead of the clock: none shall wait for it."""
_DAY = date(2026, 1, 1)


class BenchFailed(RuntimeError):
    """Something that was measured did not do its work; the text says what."""


def run_bench_ledger(entries: int, leaves: int, anchors: int, told: Told) -> dict[str, Any]:
    """Figures by name. entries: records through the pump; leaves: of the log that proofs are taken from; anchors: heads
    put on an embedded chain of its own. Everything lies in a temporary folder and goes afterwards."""
    out: dict[str, Any] = {"entries": entries, "leaves": leaves, "anchors": anchors}
    with tempfile.TemporaryDirectory(prefix="roadcode-ledger-") as name:
        folder = Path(name)
        told("flushes of the disk", 0.0)
        out |= fsync_figures(folder)
        told("starting PostgreSQL and a chain", 0.02)
        with _services(folder) as (url, chain):
            out |= entry_figures(url, chain, folder / "log", entries, lambda s: told("entries", 0.05 + 0.35 * s))
            told("receipts", 0.4)
            out |= receipt_figures(url, load_promiser(folder / "log", NAME))
            out |= anchor_figures(url, chain, folder / "log", anchors, lambda s: told("anchors", 0.45 + 0.1 * s))
        out |= proof_figures(folder / "large", leaves, lambda share: told("proofs", 0.55 + 0.4 * share))
        told("certificates", 0.97)
        out |= certificate_figures()
    return out


def _record(number: int) -> Record:
    """A changed code of a square, as the coder says it: what the log is mostly made of."""
    before: dict[str, Plain] = {"colour": "grey", "state": "none", "kind": None, "passes": 0, "seen": []}
    after: dict[str, Plain] = {"colour": "red", "state": "suspected", "kind": "pothole", "passes": 3, "seen": ["pothole", "shoving"]}
    return code_record(1 << 52 | number, _DAY, 1_767_225_600_000 + number, before, after, "new", bytes(32), "simulated")


def _quantiles(name: str, times_s: list[float]) -> dict[str, float]:
    ordered = sorted(times_s)
    at = {"p50": len(ordered) // 2, "p99": len(ordered) * 99 // 100}
    return {f"{name}_{q}_ms": round(ordered[i] * 1e3, 3) for q, i in at.items()}


def fsync_figures(folder: Path, for_s: float = 2.0) -> dict[str, Any]:
    """How often the disk flushes 4 kB a second, one after the other: what every durable step waits for."""
    path, page = folder / "flush", os.urandom(4096)
    times: list[float] = []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        end = time.perf_counter() + for_s
        while (begun := time.perf_counter()) < end:
            os.pwrite(handle, page, 4096 * (len(times) % 256))
            os.fsync(handle)
            times.append(time.perf_counter() - begun)
    finally:
        os.close(handle)
        path.unlink()
    return {"fsyncs_per_s": round(len(times) / sum(times)), **_quantiles("fsync", times)}


@contextmanager
def _services(folder: Path) -> Iterator[tuple[str, Chain]]:
    """A PostgreSQL that flushes, with every table, and an embedded chain with our contract."""
    data = open_folder(folder / "data")
    server, node, taken = Postgres(data), ChainNode(data), random.SystemRandom()
    try:
        port = choose_port(None, set(), taken)
        server.start(port)
        with psycopg.connect(server.url(port), autocommit=True) as conn:
            migrate(conn)
        chain = Chain(node.start(choose_port(None, {port}, taken)), folder / "chain")
        chain.deploy(data.chain / "genesis.key")
        yield server.url(port), chain
    finally:
        node.stop()
        server.stop()


def entry_figures(url: str, chain: Chain, folder: Path, count: int, told: Callable[[float], None]) -> dict[str, Any]:
    """`entries_per_s`: committed outbox -> numbered records -> tiles -> signed checkpoint, all of it on the disk, by the
    pump itself, an anchor every five seconds included. `enqueued_per_s`: writers' side, in transactions of `WRITER`.
    `through_per_s`: both after each other in one process. `tiles_per_s`: leaves into tiles on the disk, no database."""
    records = [_record(n) for n in range(count)]
    options = AnchorOptions(every_s=5.0)
    with psycopg.connect(url) as conn, Log(folder, NAME) as log:
        enqueue(conn, [_record(-1)])
        conn.commit()
        step(conn, log, chain, time.time(), options)  # imports, the first anchor
        begun = time.perf_counter()
        for first in range(0, count, WRITER):
            enqueue(conn, records[first : first + WRITER])
            conn.commit()
            told(0.4 * first / count)
        written = time.perf_counter()
        while log.committed < count + 1:
            step(conn, log, chain, time.time(), options)
            told(0.4 + 0.5 * log.committed / count)
        ended = time.perf_counter()
        checkpoint = verify_note(log.checkpoint(), log.verifier)
        if checkpoint.size != count + 1 or log.leaf(count) != leaf_hash(records[-1].body):
            raise BenchFailed("the log does not hold what was written")
    leaves = [leaf_hash(record.body) for record in records]
    with Log(folder.with_name("tiles"), NAME) as alone:
        tiled = time.perf_counter()
        for first in range(0, count, options.batch):
            alone.append(leaves[first : first + options.batch])
            alone.checkpoint()
        alone_s = time.perf_counter() - tiled
    return {
        "entries_per_s": round(count / (ended - written)), "enqueued_per_s": round(count / (written - begun)),
        "through_per_s": round(count / (ended - begun)), "tiles_per_s": round(count / alone_s),
        "entry_bytes": len(records[0].body), "batch": options.batch,
    }  # fmt: skip


def receipt_figures(url: str, promiser: Promiser, count: int = 1000) -> dict[str, Any]:
    """`ack_p99_ms`: one record into the outbox with its receipt, committed and flushed: what somebody waits for who
    hands one in."""
    times = []
    with psycopg.connect(url) as conn:
        for number in range(count):
            record = _record(-2 - number)
            begun = time.perf_counter()
            enqueue_promised(conn, [record], promiser, int(time.time() * 1000))
            conn.commit()
            times.append(time.perf_counter() - begun)
    return _quantiles("ack", times)


def anchor_figures(url: str, chain: Chain, folder: Path, count: int, told: Callable[[float], None]) -> dict[str, Any]:
    """`anchors_per_s`: a record, a checkpoint and its anchor mined, one after the other, by the pump on the embedded
    chain. `anchor_gas`: of the dearest of them."""
    options = AnchorOptions()
    with psycopg.connect(url) as conn, Log(folder, NAME) as log:
        step(conn, log, chain, time.time(), options)
        began_at, begun = log.committed, time.perf_counter()
        for number in range(count):
            enqueue(conn, [_record(-10_000 - number)])
            conn.commit()
            status = step(conn, log, chain, time.time() + AHEAD_S, options)
            if status.state != "anchored":
                raise BenchFailed(f"a head was not anchored: {status.state} {status.reason}")
            told(number / count)
        spent = time.perf_counter() - begun
        if chain.head().size != began_at + count:
            raise BenchFailed("the chain does not hold the newest head")
        gas = anchor_gas(conn, chain, count)
    return {"anchors_per_s": round(count / spent, 1), "anchor_gas": max(gas), "anchor_gas_least": min(gas)}


def proof_figures(
    folder: Path, count: int, told: Callable[[float], None], asked: int = 3000, cold: int = 300
) -> dict[str, Any]:
    """`proof_p99_ms_...`: the inclusion proof of a random record out of the tiles of a log of `count` leaves, whose
    files the system still has in memory; `proof_cold_...`: with the leaf's own tile read from the disk."""
    done = 0

    def grown(more: int) -> None:
        nonlocal done
        done += more
        told(0.8 * done / count)

    begun = time.perf_counter()
    grow_log(folder, count, told=grown)
    grown_s = time.perf_counter() - begun
    tiles = Tiles(folder)
    root, draw = tiles.root(count), random.Random(2)  # noqa: S311 - which leaves are asked for
    warm = [_proved(tiles, draw.randrange(count), count, root) for _ in range(asked)]
    os.sync()
    chilled = []
    for _ in range(cold):
        index = draw.randrange(count)
        _forget(folder / tile_file(index, count))
        chilled.append(_proved(tiles, index, count, root))
    power = f"{count:.0e}".replace("e+0", "e").replace("e+", "e")
    return {
        **{f"{name}_{power}": value for name, value in _quantiles("proof", warm).items()},
        **{f"{name}_{power}": value for name, value in _quantiles("proof_cold", chilled).items()},
        "proof_hashes": len(tiles.inclusion(0, count)), "grown_per_s": round(count / grown_s),
    }  # fmt: skip


def _proved(tiles: Tiles, index: int, size: int, root: bytes) -> float:
    begun = time.perf_counter()
    proof = tiles.inclusion(index, size)
    spent = time.perf_counter() - begun
    if not verify_inclusion(index, size, tiles.leaf(index), proof, root):
        raise BenchFailed(f"the proof of leaf {index} does not hold")
    return spent


def _forget(path: Path) -> None:
    """Asks the system to drop a file from its memory."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def certificate_figures(count: int = 2000) -> dict[str, Any]:
    """`certificates_per_s` and `qr_bytes`, `qr_version` of a red square's certificate: what is signed for a QR code.
    Empty where this ledger issues none."""
    room: Any = importlib.import_module("ledger")
    if not hasattr(room, "issue_certificate"):
        return {}
    now_s = 1_767_240_000
    fields = {
        "issuer": "330106", "lat_e7": 302_732_100, "lon_e7": 1_201_591_200, "extent_m": 1, "colour": 3, "state": 2,
        "kind": 1, "severity": 2, "seen": 0x3F, "day": now_s // 86_400, "origin": 4, "issued_s": now_s,
        "expires_s": now_s + 36_000, "log_size": 10_000_000, "log_index": 9_999_999,
    }  # fmt: skip
    pair = room.pair_of(bytes(range(32)))
    cells = [_square(number) for number in range(count)]
    begun = time.perf_counter()
    texts = [room.issue_certificate(room.Certificate(**fields, cell=cell), pair) for cell in cells]
    spent = time.perf_counter() - begun
    facts = room.qr_facts(texts[-1])
    return {"certificates_per_s": round(count / spent), "qr_bytes": len(texts[-1]), "qr_version": facts.version}


def _square(number: int) -> int:
    """A square of one metre, as large a number as one gets."""
    from grid import Zone, cells_at, project  # noqa: PLC0415

    zone = Zone(50, True)
    x, y = project(120.159, 30.273, zone)
    return int(cells_at(float(x) + number, float(y), zone))
