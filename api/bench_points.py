"""What dishonest drives earn against an honest one: real chunks of the simulator through decode, checks, recognition,
what is kept, fold and settlement, on a PostgreSQL of its own. Time, salts and noise come from the seed: the same
figures each time."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from ingest import Arrived, Chunk, City, ConditionOptions, decode, encode
from ingest import store as ingest_store
from ledger import points, points_settle, points_store

from . import wiring
from .coder import NOTHING, step
from .days import open_day
from .embedded import ServiceError, open_folder
from .embedded.folder import choose_port
from .embedded.postgres import Postgres
from .migrate import migrate
from .settlement import Terms, settle_day
from .worker import Worker

Connection = psycopg.Connection[Any]
Drive = list[Chunk]
Sent = dict[str, Drive]
Told = Callable[[str], None]

_BEGIN = datetime(2026, 11, 25, 2, 0, tzinfo=UTC).timestamp()  # 10:00 in the city: far from the border of a day
_CROWD = ("other-0", "other-1")
_HOUR_S = 3600.0
_G = 9.80665


_HISTORIES = ("new", "one_known", "known")
"""Of those who are judged: all joined this morning; the first of them was paid for passes for long; all were."""
_HONEST = "honest"


@dataclass(frozen=True)
class _Scenario:
    """name, and what is said of it; sent: chunks by device, of those who are judged (with = in front: of an honest one
    besides); like: what an honest phone does instead, at the same place on the same day; crowd: whether two honest
    others drive there as well; before: the same by day, where it takes several."""

    name: str
    what: str
    sent: Sent
    like: str = _HONEST
    crowd: bool = True
    before: tuple[Sent, ...] = ()


def run_bench_points(city: City, city_file: Path, devices: int, passes: int, seed: int, told: Told) -> dict[str, Any]:
    """Every scenario's credit against that of one honest device of long standing that drives at the same place on the
    same day. ``devices``: phones of a farm, and of those that collude. Raises ServiceError."""
    with tempfile.TemporaryDirectory(prefix="roadcode-points-") as name:
        told("simulating the drives")
        drives = _simulated(city, city_file, Path(name), passes, seed)
        server = Postgres(open_folder(Path(name) / "data"))
        port = server.start(choose_port(None, set(), random.SystemRandom()))
        try:
            url = server.url(port)
            with psycopg.connect(url, autocommit=True) as conn:
                migrate(conn)
            found = [_row(url, city, one, drives, seed, told) for one in _scenarios(city, drives, devices, seed)]
        finally:
            server.stop()
    # The same place, the same day, the same others: whoever is judged takes the place of one honest phone.
    like = {(r["scenario"], r["crowd"]): r["nanobits"]["known"] for r in found}
    for row in found:
        of = max(like[row["like"], row["crowd"]], 1)
        row["against_honest"] = {h: round(n / of, 3) for h, n in row["nanobits"].items()}
    judged = [r["against_honest"] for r in found if r["scenario"] != r["like"]]
    return {
        "origin": "simulated", "devices": devices, "passes": passes, "seed": seed, "chunks_of_a_drive": len(drives[0]),
        "rules": points.Rules().sha256.hex(),
        "worst_against_honest": {h: max(r[h] for r in judged) for h in _HISTORIES}, "scenarios": found,
    }  # fmt: skip


def _simulated(city: City, city_file: Path, folder: Path, passes: int, seed: int) -> list[Drive]:
    """Drives of three phones over the same two streets, moved to one morning."""
    command = [
        sys.executable, "-m", "sensors_sim", "--city", str(city_file), "--files", str(folder / "chunks"), "--boxes",
        "0", "--phones", "3", "--passes", str(passes), "--seed", str(seed), "--until", str(_BEGIN),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"the simulator stopped: {done.stderr.strip()[-300:]}")
    drives = []
    for device in sorted((folder / "chunks").iterdir()):
        chunks = [decode(path.read_bytes()) for path in sorted(device.iterdir())]
        chunks.sort(key=lambda c: c.start_s)
        drives.append(chunks)
    first_s = min(d[0].start_s for d in drives)
    return [_moved(city, d, _BEGIN - first_s + _HOUR_S * k, f"{k:08x}") for k, d in enumerate(drives)]


# ---------------------------------------------------------------- what is done to drives


def _moved(city: City, drive: Drive, by_s: float, tail: str) -> Drive:
    """The same drive at another time, as another trip."""
    out = []
    for n, c in enumerate(drive):
        start_s = round(c.start_s + by_s, 3)
        shift = start_s - c.start_s
        out.append(replace(
            c, trip=f"{city.service_day(start_s):%Y%m%d}-{tail}", seq=n, start_s=start_s,
            end_s=round(c.end_s + shift, 3), t0_s=c.t0_s + shift, fixes=replace(c.fixes, t_s=c.fixes.t_s + shift),
        ))  # fmt: skip
    return out


def _noisy(drive: Drive, share: float, seed: int, scale: float = 1.0) -> Drive:
    """With noise of a share of what each chunk shakes."""
    rng = np.random.default_rng(seed)
    out = []
    for c in drive:
        sigma = share * c.acc_counts.std(axis=0)
        noise = rng.normal(0, 1, c.acc_counts.shape) * sigma
        out.append(replace(c, acc_counts=_counts(c.acc_counts * scale + noise)))
    return out


def _counts(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.asarray(np.clip(np.rint(values), -32_767, 32_767), np.int16)


def _felt_like(drive: Drive, make: Callable[[Chunk, np.random.Generator], tuple[Any, Any]], seed: int) -> Drive:
    """The same places, and other samples: accelerations (m/s²) and rates (rad/s) as ``make`` gives them."""
    rng = np.random.default_rng(seed)
    out = []
    for c in drive:
        acc, gyro = make(c, rng)
        gyro_counts = None if c.gyro_counts is None else _counts(gyro / c.gyro_scale_radps)
        out.append(replace(c, acc_counts=_counts(acc / c.acc_scale_mps2), gyro_counts=gyro_counts))
    return out


def _still(c: Chunk, rng: np.random.Generator) -> tuple[Any, Any]:
    n = len(c.acc_counts)
    return np.array([0, 0, _G]) + rng.normal(0, 0.02, (n, 3)), rng.normal(0, 0.003, (n, 3))


def _in_hand(c: Chunk, rng: np.random.Generator) -> tuple[Any, Any]:
    """Shaken by a hand: two to four times a second, and turned by it."""
    n = len(c.acc_counts)
    t = np.arange(n)[:, None] / c.rate_hz
    way = np.sin(2 * np.pi * rng.uniform(2, 4, 3) * t + rng.uniform(0, 6, 3))
    return np.array([0, 0, _G]) + 4 * way + rng.normal(0, 0.1, (n, 3)), 1.5 * way


def _on_a_shaker(c: Chunk, rng: np.random.Generator) -> tuple[Any, Any]:
    """On something that hums and never turns, such as a washing machine."""
    n = len(c.acc_counts)
    shake = rng.normal(0, 0.5, (n, 3)) + 0.8 * np.sin(2 * np.pi * 12 * np.arange(n)[:, None] / c.rate_hz)
    return np.array([0, 0, _G]) + shake, rng.normal(0, 0.02, (n, 3))


def _parked(drive: Drive) -> Drive:
    """All at one place, without speed."""
    return [
        replace(c, fixes=replace(
            c.fixes, lat_deg=np.full_like(c.fixes.lat_deg, drive[0].fixes.lat_deg[0]),
            lon_deg=np.full_like(c.fixes.lon_deg, drive[0].fixes.lon_deg[0]),
            speed_mps=np.zeros_like(c.fixes.speed_mps),
        )) for c in drive
    ]  # fmt: skip


def _elsewhere(felt: Drive, places: Drive) -> Drive:
    """What was felt on one drive under the places of another."""
    out = []
    for k, there in enumerate(places):
        mine = felt[k % len(felt)]
        n = min(len(mine.acc_counts), len(there.acc_counts))
        acc, gyro = there.acc_counts.copy(), None if there.gyro_counts is None else there.gyro_counts.copy()
        acc[:n] = mine.acc_counts[:n]
        if gyro is not None and mine.gyro_counts is not None:
            gyro[:n] = mine.gyro_counts[:n]
        out.append(replace(there, acc_counts=acc, gyro_counts=gyro))
    return out


def _with_holes(drive: Drive, *at: int) -> Drive:
    """With a jolt of 1.5 g in the middle of some chunks, where there is none."""
    out = list(drive)
    for k in at:
        c = out[k]
        t = c.sample_t_s - (c.start_s + c.end_s) / 2
        down = c.acc_mps2.mean(axis=0)
        down = down / np.sqrt((down * down).sum())
        pulse = 1.5 * _G * np.exp(-((t / 0.06) ** 2)) * np.cos(2 * np.pi * 8 * t)
        out[k] = replace(c, acc_counts=_counts(c.acc_counts + pulse[:, None] * down / c.acc_scale_mps2))
    return out


def _only(drive: Drive, at: int) -> Drive:
    return [c for k, c in enumerate(drive) if abs(k - at) <= 1]


# ---------------------------------------------------------------- scenarios


def _scenarios(city: City, drives: list[Drive], devices: int, seed: int) -> Iterator[_Scenario]:
    """An honest drive, and what is done instead of it."""
    mine, other, _ = drives
    day_s = 86_400.0
    later = _moved(city, mine, 3 * _HOUR_S, "a0000001")
    few = min(10, devices)
    hole = len(mine) // 2

    def again(k: int, by_s: float, share: float = 0.3) -> Drive:
        """The drive as another phone in the vehicle would give it: with a noise of its own."""
        return _noisy(_moved(city, mine, by_s, f"b{k:07x}"), share, seed + k)

    farm = {f"a{k}": again(k, 0.0) for k in range(devices)}
    apart = {f"a{k}": again(k, 300.0 * k) for k in range(devices)}
    invented = {f"a{k}": _only(_with_holes(again(k, 300.0 * k), hole), hole) for k in range(few)}
    doubt = {f"a{k}": _with_holes(again(k, 300.0 * k), *range(len(mine))) for k in range(few)}
    for crowd in (True, False):
        yield _Scenario(_HONEST, "one phone drives", {"a": mine}, crowd=crowd)
        yield _Scenario("honest, second day", "the same phone drives there again", {"a": again(7, day_s)},
                        "honest, second day", crowd, ({"a": mine},))  # fmt: skip
        yield _Scenario("honest, in passing", "one phone drives, three chunks of it", {"a": _only(mine, hole)},
                        "honest, in passing", crowd)  # fmt: skip
        yield _Scenario("own drive sent again, changed much", "30 % noise", {"a": mine + again(1, 3 * _HOUR_S)},
                        crowd=crowd)  # fmt: skip
        yield _Scenario("spoofed, on a shaker", "others' places, a table that hums",
                        {"a": _felt_like(mine, _on_a_shaker, 1)}, crowd=crowd)  # fmt: skip
        yield _Scenario("farm on a dashboard", f"{devices} phones in one vehicle", farm, crowd=crowd)
        yield _Scenario("farm with turned clocks", f"{devices} phones, each five minutes later than the last", apart,
                        crowd=crowd)  # fmt: skip
        yield _Scenario("colluding", f"{few} phones invent one hole, and send nothing else", invented,
                        "honest, in passing", crowd)  # fmt: skip
        yield _Scenario("doubt sold back", f"{few} phones invent holes all along; the next day one drives quietly",
                        {"a0": again(11, day_s)}, "honest, second day", crowd, (doubt,))  # fmt: skip
    yield _Scenario("own drive sent again", "the same bytes three hours later, by the same phone", {"a": mine + later})
    yield _Scenario("own drive sent again, changed", "10 % louder, 5 % noise",
                    {"a": mine + _noisy(later, 0.05, 1, 1.1)})  # fmt: skip
    yield _Scenario("yesterday's drive", "sent again as today's; yesterday's credit not counted",
                    {"a": _moved(city, mine, day_s, "a0000002")}, "honest, second day", True,
                    ({"a": mine},))  # fmt: skip
    yield _Scenario("copied drive", "another phone's bytes three hours later; the copy alone is counted",
                    {"a": later, "=victim": mine})  # fmt: skip
    yield _Scenario("copied drive, changed much", "the same with 30 % noise",
                    {"a": again(1, 3 * _HOUR_S), "=victim": mine})  # fmt: skip
    yield _Scenario("shaken at a desk", "no places but the desk's", {"a": _felt_like(_parked(mine), _in_hand, 1)})
    yield _Scenario("spoofed, lying still", "others' places, a phone on a table", {"a": _felt_like(mine, _still, 1)})
    yield _Scenario("spoofed, shaken by hand", "others' places", {"a": _felt_like(mine, _in_hand, 1)})
    yield _Scenario("spoofed, own old drive", "what was felt elsewhere under the places of a street that others drive",
                    {"a": _elsewhere(other[::-1], mine)})  # fmt: skip
    rounds = [again(k, 1800.0 * k) for k in range(20)]
    yield _Scenario("delivery rider", "twenty rounds of the same streets, ten hours",
                    {"a": [c for r in rounds for c in r]})  # fmt: skip
    yield _Scenario("delivery rider, e-bike", "the same on two wheels",
                    {"a": [replace(c, carrier="ebike") for r in rounds for c in r]})  # fmt: skip
    yield _Scenario("many names, one drive", f"{few} accounts of one phone, the same bytes", {
        f"a{k}": _moved(city, mine, 0.0, f"c{k:07x}") for k in range(few)
    })  # fmt: skip
    yield _Scenario("many names, in turns", f"{few} accounts of one phone, a chunk each in turn", {
        f"a{k}": mine[k::few] for k in range(few)
    })  # fmt: skip


def _row(url: str, city: City, one: _Scenario, drives: list[Drive], seed: int, told: Told) -> dict[str, Any]:
    """A scenario taken in once, and settled once for each history that those who are judged may have."""
    told(f"{one.name}{'' if one.crowd else ', nobody else there'}")
    begun = time.process_time()
    crowd = dict(zip(_CROWD, drives[1:], strict=True)) if one.crowd else {}
    judged = [n for n in one.sent if not n.startswith("=")]
    honest = [*crowd, *(n for n in one.sent if n.startswith("="))]
    nanobits, reasons = {}, {}
    with psycopg.connect(url, autocommit=True) as conn:
        _emptied(conn, list(dict.fromkeys([*one.sent, *(n for sent in one.before for n in sent), *crowd])))
        for k, sent in enumerate([*one.before, one.sent]):
            more = {name: _moved(city, d, 86_400.0 * k, f"d000000{k}") for name, d in crowd.items()} if k else crowd
            day, now_s = _taken_in(url, conn, city, {**sent, **more}, seed)
            if k < len(one.before):
                _settle(conn, city, day, now_s)
        for history, known in zip(_HISTORIES, ([], judged[:1], judged), strict=True):
            with conn.transaction(force_rollback=True):
                _remember(conn, [*known, *honest])
                _settle(conn, city, day, now_s)
                nanobits[history], reasons[history] = _earned(conn, judged, day), _reasons(conn, judged, day)
    return {
        "scenario": one.name, "what": one.what, "like": one.like, "crowd": one.crowd, "devices": len(judged),
        "chunks": sum(len(one.sent[n]) for n in judged), "nanobits": nanobits, "reasons": reasons,
        "cpu_s": round(time.process_time() - begun, 2),
    }  # fmt: skip


def _emptied(conn: Connection, devices: Sequence[str]) -> None:
    rows = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition AND relname <> 'migration'"
    )
    names = sql.SQL(", ").join(sql.Identifier(r[0]) for r in rows)
    conn.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))
    for device in devices:
        ingest_store.enrol(conn, _name(device), "phone", "not asked here")
        points_store.open_account(conn, _account(device), datetime.fromtimestamp(_BEGIN, UTC), device=_name(device))


def _remember(conn: Connection, devices: Sequence[str]) -> None:
    """Gives devices the history of those that are known."""
    rules, began = points.Rules(), datetime.fromtimestamp(_BEGIN, UTC)
    accounts = [_account(d) for d in devices]
    joined = began - timedelta(days=2 * rules.known_after_days)
    conn.execute("UPDATE account SET joined_at = %s WHERE id = ANY(%s)", (joined, accounts))
    for n in range(rules.known_paid_days if accounts else 0):
        day = joined.date() + timedelta(days=n)
        dues = [points_settle.Due(a, "pass", day, 1, {}, f"pass:{a}:{day}") for a in accounts]
        points_settle.settle(conn, day, dues, {}, len(dues), rules.sha256, began, "simulated", bytes)


def _name(device: str) -> str:
    return f"bench-{device.strip('=')}"


def _account(device: str) -> str:
    return device.strip("=").replace("-", "").rjust(16, "0")


def _taken_in(url: str, conn: Connection, city: City, sent: Sent, seed: int) -> tuple[date, float]:
    """A day's chunks are taken and folded; gives the day, and when it is sealed."""
    newest_s = max(c.end_s for drive in sent.values() for c in drive)
    day = city.service_day(newest_s)
    open_day(conn, day, wiring.day_context(city), ConditionOptions())
    # Which of two that are alike counts as the replay hangs on the salt.
    salt = hashlib.sha256(f"{seed} {day}".encode()).digest()[:16]
    conn.execute("UPDATE day_context SET salt = %s WHERE day = %s", (salt, day))
    arrived = [Arrived(_name(device), encode(c)) for device, drive in sorted(sent.items()) for c in drive]
    take = Worker(
        lambda: psycopg.connect(url, autocommit=True), city, wiring.EVIDENCE, wiring.day_context(city),
        lambda: newest_s + 60,
    )  # fmt: skip
    for k in range(0, len(arrived), 256):
        take(arrived[k : k + 256])
    take.close()
    now_s = city.day_bounds_s(day)[1] + 49 * _HOUR_S
    while step(conn, city, wiring.HEALTH, now_s) != NOTHING:
        pass
    return day, now_s


def _settle(conn: Connection, city: City, day: date, now_s: float) -> None:
    terms = Terms(10**9, points.Rules(), wiring.EVIDENCE, wiring.HEALTH)
    with conn.transaction():
        settle_day(conn, city, day, datetime.fromtimestamp(now_s, UTC), terms)


def _earned(conn: Connection, devices: Sequence[str], day: date) -> int:
    """Credit before the bound of a day and before rounding to points, so that small differences show."""
    row = conn.execute(
        "SELECT coalesce(sum((why->>'nanobits')::bigint), 0) FROM points_entry WHERE day = %s AND account = ANY(%s)",
        (day, [_account(d) for d in devices]),
    ).fetchone()
    return int(row[0]) if row else 0


def _reasons(conn: Connection, devices: Sequence[str], day: date) -> dict[str, int]:
    rows = conn.execute(
        "SELECT reason, sum(n) FROM points_refusal WHERE day = %s AND account = ANY(%s) GROUP BY 1 ORDER BY 2 DESC",
        (day, [_account(d) for d in devices]),
    )
    return {r[0]: int(r[1]) for r in rows}
