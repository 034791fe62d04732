"""What evidence costs when a city is large: the same work on databases of different sizes, on a PostgreSQL of our own.

A cell-update is what one pass says of one square, however many planes it writes. Costs are CPU of this process and of
the whole server, so that they can be compared on a machine that does other things too; rates and times are by the
clock. Traffic is that of `bench_traffic`.
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psycopg

from defects import HealthOptions, merge, retention
from defects import recode as reading
from defects import store as defects_store
from grid import Zone, blocks_beside, cells_at, cells_of_block, corner_m, project, unproject, zone_of

from .bench import tile_at
from .bench_ingest import BenchFailed, cpu_s
from .bench_traffic import SQUARES_A_STRETCH, Streets, chunks, streets, together, updates_of
from .embedded import open_folder
from .embedded.folder import choose_port
from .embedded.postgres import Postgres
from .migrate import migrate

Connection = psycopg.Connection[Any]
BATCHES = 20  # of each of two workers
CHUNKS = 256  # of a batch, as in a worker that is busy
PASSES = 3  # of each stretch on a day, which is what lies in the database before anything is measured
DISTRICT = 400
"""Stretches (some 80,000 squares) that each measured fold touches, whatever the size of the city around them. With
fewer, the statements weigh more than the blocks; with more, the smallest city has not so many."""
FOLD_BLOCKS = 4_000
_DAY = date(2026, 6, 10)
_ROUNDS = 5


class Bar(Protocol):
    """Where progress is told: what is done now, and how much of everything, 0 to 1."""

    def __call__(self, what: str, share: float) -> None: ...


@dataclass(frozen=True)
class _City:
    conn: Connection
    url: str
    server: int
    where: Streets
    health: HealthOptions

    def cpu(self) -> float:
        return time.process_time() + cpu_s([self.server])


def run_bench_scale(sizes: Sequence[int], health: HealthOptions, told: Bar) -> dict[str, Any]:
    """All figures, by size and over all sizes. Raises BenchFailed, ServiceError."""
    if min(sizes) < 10_000:
        raise BenchFailed(
            "a size below 10,000 squares is smaller than what is measured on it: give --sizes from 1e4 on"
        )
    by_size: dict[str, dict[str, Any]] = {}
    for i, size in enumerate(sizes):

        def on(what: str, share: float, i: int = i, size: int = size) -> None:
            told(f"{size:,} squares: {what}", (i + share) / len(sizes))

        with _city(size, health) as city:
            by_size[str(size)] = _measured(city, on)
    return _summary(by_size) | {"by_size": by_size}


@contextmanager
def _city(size: int, health: HealthOptions) -> Iterator[_City]:
    with tempfile.TemporaryDirectory(prefix="roadcode-scale-") as name:
        server = Postgres(open_folder(Path(name) / "data"))
        try:
            port = choose_port(None, set(), random.SystemRandom())
            server.start(port)
            found = server.found()
            if found is None:
                raise BenchFailed("PostgreSQL ended as soon as it was started: is the disk full?")
            with psycopg.connect(server.url(port), autocommit=True) as conn:
                migrate(conn)
                yield _City(conn, server.url(port), found[0].pid, streets(size), health)
        finally:
            server.stop()


def _measured(city: _City, told: Bar) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    out: dict[str, Any] = {"stretches": len(city.where)}
    told("a day's evidence", 0.0)
    out |= _fill(city, rng, lambda share: told("a day's evidence", 0.4 * share))
    told("append", 0.4)
    out |= _append(city)
    told("fold and read-out", 0.5)
    out |= _folds(city, rng)
    out |= _big_fold(city, rng)
    told("a day's seal", 0.6)
    out |= _seal(city, lambda share: told("a day's seal", 0.6 + 0.35 * share))
    told("tiles and stories", 0.95)
    out |= _reads(city) | _ids()
    return out


def _portions(n: int, each: int) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    for a in range(0, n, each):
        yield np.arange(a, min(n, a + each))


def _fill(city: _City, rng: np.random.Generator, told: Callable[[float], None]) -> dict[str, Any]:
    """Evidence of a whole day on every stretch, put down as folds would leave it."""
    n = len(city.where)
    for some in _portions(n, 2048):
        said = together(rng, city.where, np.tile(some, PASSES))
        with city.conn.transaction():
            stored = defects_store.evidence_of(city.conn, defects_store.blocks_of_deltas(said), [_DAY])
            defects_store.put_evidence(city.conn, reading.fold_in({_DAY: [said]}, stored))
        told((int(some[-1]) + 1) / n)
    city.conn.execute("VACUUM ANALYZE evidence")
    blocks = size = 0
    for _, d in city.conn.execute("SELECT blk, d FROM evidence", binary=True):
        size += len(d)
        blocks += 1
    some_blocks = [r[0] for r in city.conn.execute("SELECT blk FROM evidence ORDER BY blk LIMIT 2000")]
    evidence = defects_store.evidence_of(city.conn, some_blocks)
    per_block = statistics.fmean(len(np.unique(e.key >> 6)) for days in evidence.values() for e in days.values())
    squares = round(per_block * blocks)
    return {"blocks": blocks, "squares": squares, "bytes_per_cell_open_day": round(size / squares, 2)}


# ---------------------------------------------------------------- what the workers do


def _appender(url: str, squares: int, seed: int, batches: int, barrier: Any, told: Any) -> None:
    """A process of its own: makes its batches, waits for the other one, then appends them, each in a transaction."""
    rng, where = np.random.default_rng(seed), streets(squares)
    made = [chunks(rng, where, rng.integers(0, len(where), CHUNKS)) for _ in range(batches)]
    updates = sum(updates_of(said) for said in made)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SELECT 1")
        barrier.wait(300)
        begun, cpu = time.monotonic(), time.process_time()
        for n, said in enumerate(made):
            first = (seed * batches + n) * CHUNKS
            blocks = {first + i: defects_store.blocks_of_deltas(one) for i, one in enumerate(said)}
            with conn.transaction():
                defects_store.append_journal(conn, _DAY, merge(said), blocks)
        told.put((updates, begun, time.monotonic(), time.process_time() - cpu))


def _append(city: _City, workers: int = 2) -> dict[str, Any]:
    """Batches of chunks from all over the city by two workers side by side, from the chunks' deltas to the commit."""
    spawn = multiprocessing.get_context("spawn")
    barrier, queue = spawn.Barrier(workers + 1), spawn.Queue()
    squares = len(city.where) * SQUARES_A_STRETCH
    processes = [
        spawn.Process(target=_appender, args=(city.url, squares, seed, BATCHES, barrier, queue), daemon=True)
        for seed in range(1, workers + 1)
    ]
    for process in processes:
        process.start()
    barrier.wait(300)
    server, wal = cpu_s([city.server]), _wal(city.conn)
    said = [queue.get(timeout=300) for _ in processes]
    for process in processes:
        process.join(60)
    updates = sum(s[0] for s in said)
    wall = max(s[2] for s in said) - min(s[1] for s in said)
    spent = sum(s[3] for s in said) + cpu_s([city.server]) - server
    row = city.conn.execute("SELECT sum(length(d)) FROM journal").fetchone()
    return {
        "append_updates": updates, "cell_updates_per_s_db": round(updates / wall),
        "append_cpu_us_per_update": round(spent / updates * 1e6, 3),
        "append_wal_bytes_per_update": round((_wal(city.conn) - wal) / updates, 2),
        "journal_bytes_per_update": round(int(row[0]) / updates, 2) if row else None,
    }  # fmt: skip


# ---------------------------------------------------------------- what the coder does


def _wal(conn: Connection) -> int:
    row = conn.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True)
class _Fold:
    updates: int
    blocks: int
    fold_s: float
    fold_cpu_s: float
    read_s: float
    read_cpu_s: float
    wal: int


def _fold(city: _City, rng: np.random.Generator, where: np.ndarray[Any, np.dtype[np.int64]]) -> _Fold:
    """One pass on each of the stretches, appended, then folded and read out; only that is measured."""
    conn, updates = city.conn, 0
    conn.execute("TRUNCATE journal, pass")
    for a in range(0, len(where), CHUNKS):
        said = chunks(rng, city.where, where[a : a + CHUNKS])
        updates += updates_of(said)
        with conn.transaction():
            defects_store.append_journal(conn, _DAY, merge(said), {})
    wal, begun, cpu = _wal(conn), time.perf_counter(), city.cpu()
    with conn.transaction():
        taken = defects_store.take_journal(conn, 10_000)
        touched = {b for parts in taken.values() for p in parts for b in defects_store.blocks_of_deltas(p)}
        evidence = defects_store.evidence_of(conn, touched)
        folded = reading.fold_in(taken, evidence)
        defects_store.put_evidence(conn, folded)
        for (block, day), summed in folded.items():
            evidence.setdefault(block, {})[day] = summed
    defects_store.sweep_journal(conn)
    read_begun, read_cpu, wal_folded = time.perf_counter(), city.cpu(), _wal(conn)
    with conn.transaction():
        halo = touched | {b for block in touched for b in blocks_beside(block).values()}
        evidence |= defects_store.evidence_of(conn, halo - evidence.keys())
        codes = reading.recode(touched, evidence, _DAY, city.health)
        at = datetime(2026, 6, 10, tzinfo=UTC)
        before = defects_store.codes_of(conn, codes)
        defects_store.put_codes(
            conn, _DAY, {b: (before[b][0] + 1 if b in before else 1, c) for b, c in codes.items()}, at
        )
    return _Fold(
        updates, len(touched), read_begun - begun, read_cpu - cpu, time.perf_counter() - read_begun,
        city.cpu() - read_cpu, wal_folded - wal,
    )  # fmt: skip


def _folds(city: _City, rng: np.random.Generator) -> dict[str, Any]:
    """The same district of the city again and again; the median of each cost."""
    a = len(city.where) // 3
    district = np.arange(a, min(len(city.where), a + DISTRICT))
    _fold(city, rng, district)  # compiles, and warms what a coder that runs has warm
    done = [_fold(city, rng, district) for _ in range(_ROUNDS)]
    return {
        "fold_cpu_us_per_update": round(statistics.median(f.fold_cpu_s / f.updates for f in done) * 1e6, 3),
        "read_out_cpu_us_per_block": round(statistics.median(f.read_cpu_s / f.blocks for f in done) * 1e6, 1),
        "fold_wal_bytes_per_update": round(statistics.median(f.wal / f.updates for f in done), 2),
        "fold_updates": done[0].updates, "fold_blocks": done[0].blocks,
    }  # fmt: skip


def _big_fold(city: _City, rng: np.random.Generator) -> dict[str, Any]:
    """One pass on so many neighbouring stretches that about 4,000 blocks are touched; best of three."""
    row = city.conn.execute("SELECT count(*) FROM evidence").fetchone()
    stretches = round(len(city.where) * FOLD_BLOCKS / (row[0] if row else 1))
    if stretches > len(city.where):
        return {}
    done = [_fold(city, rng, np.arange(stretches)) for _ in range(3)]
    best = min(done, key=lambda f: f.fold_s + f.read_s)
    scale = FOLD_BLOCKS / best.blocks
    return {
        "fold_s_4000_blocks": round((best.fold_s + best.read_s) * scale, 3),
        "fold_alone_s_4000_blocks": round(best.fold_s * scale, 3),
        "fold_alone_cpu_s_4000_blocks": round(best.fold_cpu_s * scale, 3),
        "fold_cpu_s_4000_blocks": round((best.fold_cpu_s + best.read_cpu_s) * scale, 3),
        "big_fold_blocks": best.blocks, "big_fold_updates": best.updates,
        "big_fold_wal_bytes_per_update": round(best.wal / best.updates, 2),
    }  # fmt: skip


def _seal(city: _City, told: Callable[[float], None]) -> dict[str, Any]:
    """A day is closed: slots go out of its evidence, and every block's state is carried to its end."""
    conn = city.conn
    later = _DAY + timedelta(days=city.health.public_after_days + 1)
    begun, cpu, wal = time.perf_counter(), city.cpu(), _wal(conn)
    with conn.transaction():
        for _ in retention.seal_evidence(conn, _DAY):
            pass
    sealed_s = time.perf_counter() - begun
    told(0.5)
    blocks = [r[0] for r in conn.execute("SELECT blk FROM evidence WHERE day = %s ORDER BY blk", (_DAY,))]
    for some in _portions(len(blocks), 1000):
        mine = {blocks[i] for i in some.tolist()}
        with conn.transaction():
            carried = defects_store.carry_of(conn, mine)
            evidence = defects_store.evidence_of(conn, mine)
            done = reading.reread(mine, evidence, later, city.health, carried=carried, keep=True)
            defects_store.put_carry(conn, done.carried)
        told(0.5 + 0.5 * (int(some[-1]) + 1) / len(blocks))
    wall, spent, wrote = time.perf_counter() - begun, city.cpu() - cpu, _wal(conn) - wal
    row = conn.execute("SELECT sum(length(d)) FROM evidence WHERE day = %s", (_DAY,)).fetchone()
    kept = conn.execute("SELECT coalesce(sum(length(d)), 0) FROM carry").fetchone()
    conn.execute("VACUUM evidence")
    disk = conn.execute("SELECT pg_total_relation_size('evidence')").fetchone()
    squares = _squares(conn)
    return {
        "seal_s": round(wall, 2), "seal_slots_s": round(sealed_s, 2),
        "seal_cpu_us_per_square": round(spent / squares * 1e6, 3),
        "seal_wal_bytes_per_square": round(wrote / squares, 2),
        "bytes_per_cell_day": round(int(row[0]) / squares, 2) if row else None,
        "disk_bytes_per_cell_day": round(int(disk[0]) / squares, 2) if disk else None,
        "carry_bytes_per_cell": round(int(kept[0]) / squares, 2) if kept else None,
    }  # fmt: skip


def _squares(conn: Connection) -> int:
    return sum(len(np.unique(e.key >> 6)) for _, e in retention.evidence_of_day(conn, _DAY))


# ---------------------------------------------------------------- what readers do


def _middle(times: list[float]) -> float:
    return round(statistics.median(times) * 1e3, 2)


def _reads(city: _City) -> dict[str, Any]:
    """Tiles where the district lies, and what the evidence of single squares says, by the clock."""
    from .tiles import blocks_needed, paint  # noqa: PLC0415

    conn = city.conn
    blocks = defects_store.all_code_blocks(conn)
    chosen = blocks[:: max(1, len(blocks) // 20)][:20]
    out = {}
    for zoom in (16, 19):
        times = []
        for block in chosen:
            x, y = corner_m(int(cells_of_block(block)[0]))
            lon, lat = unproject(x, y, zone_of(block))
            tile = tile_at(float(lon), float(lat), zoom)
            begun = time.perf_counter()
            needed = blocks_needed(*tile, zone_of(block))
            paint(*tile, zone_of(block), {b: c for b, (_, c) in defects_store.codes_of(conn, needed).items()})
            times.append(time.perf_counter() - begun)
        out[f"tile_z{zoom}_ms"] = _middle(times)
    times = []
    for block in chosen:
        begun = time.perf_counter()
        cell = int(cells_of_block(block)[0])
        days = defects_store.evidence_of(conn, [block])[block]
        [reading.passes_of(e) for e in days.values()]
        defects_store.changes_of(conn, cell)
        defects_store.codes_of(conn, [block])
        times.append(time.perf_counter() - begun)
    return out | {"story_ms": _middle(times)}


def _ids() -> dict[str, Any]:
    """Positions in degrees to squares, million points a second of one core."""
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(108.8, 109.1, 200_000), rng.uniform(34.1, 34.4, 200_000)
    spent = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        cells_at(*project(lon, lat, Zone(49)), Zone(49))
        spent.append(time.process_time() - begun)
    return {"ids_mpts_per_s": round(len(lon) / min(spent) / 1e6, 2)}


# ---------------------------------------------------------------- over all sizes

_FLAT = ("append_cpu_us_per_update", "fold_cpu_us_per_update", "read_out_cpu_us_per_block", "seal_cpu_us_per_square")


def _summary(by_size: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures that goals speak of: of the largest size, and how much dearer work is there than on the smallest."""
    small, *_, large = [*by_size.values()] * 2
    name = f"{float(list(by_size)[-1]):.0e}".replace("e+0", "e").replace("e+", "e")
    ratios = {key: round(large[key] / small[key], 3) for key in _FLAT}
    return {
        "flat_cost_ratio": max(ratios[key] for key in _FLAT[:3]), "flat_cost_ratios": ratios,
        "bytes_per_cell_day": large["bytes_per_cell_day"], "cell_updates_per_s_db": large["cell_updates_per_s_db"],
        "wal_bytes_per_update": round(large["append_wal_bytes_per_update"] + large["fold_wal_bytes_per_update"], 2),
        "ids_mpts_per_s": large["ids_mpts_per_s"], "fold_s_4000_blocks": large.get("fold_s_4000_blocks"),
        f"seal_s_{name}": large["seal_s"], f"tile_ms_{name}": large["tile_z16_ms"],
        f"story_ms_{name}": large["story_ms"],
    }  # fmt: skip
