"""kill -9 of every process in mid-work: no chunk with a verdict is lost, none counts twice, the evidence is the same
integers as if nothing had happened. Other ways for things to be away: the platform itself, the database, the broker."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from api import wiring
from api.embedded import Process, PumpOptions, Pumps, supervising
from api.fsck import fsck
from api.migrate import migrate
from api.platform import PUMPS, Platform, _free_port, pump_command
from api.recount import recount
from api.settings import Settings
from ingest import City, Sender, encode

from ..roads import straight
from ..street import settled, until
from .stream import KINDS, Device, codes, evidence, history, open_days_like, undisturbed

ROOT = Path(__file__).resolve().parents[2]
VICTIMS = ("worker", "coder", "anchorer", "nats", "postgres", "chain")
KILLS = int(os.environ.get("KILLS") or 1)
SEED = int(os.environ.get("KILLS_SEED") or 20261124)
A_KILL = 24
"""Chunks that are let go for a kill: several batches, so that the victim dies with some before and some behind it."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of our own, whose dead pumps come back at once: it will have to start many."""
    home = tmp_path_factory.mktemp("kill") / "home"
    given = Settings(home=home, port=0, anchor_every_s=0.2, fold_every_s=0.05, batch_most=8, batch_age_s=0.02)
    with supervising(home) as services:
        full = wiring.resolved(given, services.services())
        full = full.model_copy(update={"port": _free_port(full.host, 0)})
        with wiring.database(full) as conn:
            migrate(conn)
        options = PumpOptions(first_wait_s=0.1, longest_wait_s=0.5)
        pumps = Pumps([pump_command(name, full) for name in PUMPS], services.folder.logs, options, random.Random(SEED))
        try:
            pumps.start()
            started = Platform(full, services, pumps)
            until(lambda: bool(started.health()), 60, "the web answers")
            yield started
        finally:
            pumps.stop()


def chunks(platform: Platform) -> int:
    """How many chunks are kept; -1 while the database is away."""
    try:
        with wiring.database(platform.settings) as conn:
            row = conn.execute("SELECT count(*) FROM chunk").fetchone()
    except psycopg.Error:
        return -1
    return int(row[0]) if row else -1


def victim_of(platform: Platform, name: str) -> Process | None:
    return {**platform.services.running(), **platform.pumps.running()}.get(name)


def well(platform: Platform) -> bool:
    """Whether all parts say so."""
    platform.look()
    parts = platform.health()
    return bool(parts) and set(parts.values()) == {"ok"}


def drive(city: City, n: int) -> list[bytes]:
    """``n`` chunks of one drive that has just ended."""
    start_s = time.time() - 5.0 * n - 30
    return [encode(straight(city, seq=seq, start_s=start_s, jolts=((8.0, 2.0, 1.0),))) for seq in range(n)]


def exact_and_proven(platform: Platform) -> None:
    """Nothing lost, nothing doubled, nothing without its record."""
    with wiring.database(platform.settings) as conn:
        city = platform.settings.read_city()
        assert recount(conn, city, wiring.EVIDENCE).exact
        assert fsck(conn, city, wiring.EVIDENCE, wiring.HEALTH, wiring.ledger(platform.settings), lambda _: None) == []


def test_kill_9_of_everything_in_mid_work_loses_nothing_and_doubles_nothing(
    platform: Platform, database: str, tmp_path: Path
) -> None:
    city = platform.settings.read_city()
    rng = random.Random(SEED)
    order = [name for _ in range(KILLS) for name in rng.sample(VICTIMS, len(VICTIMS))]
    sys.stdout.write(f"seed {SEED}, {KILLS} kills each, in this order: {' '.join(order)}\n")
    now_s = time.time()
    sent = history(city, now_s, passes=math.ceil((len(order) + 1) * A_KILL / 100))
    share = len(sent) // (len(order) + 1) // len(KINDS)
    _, credentials = platform.enrol(list(KINDS.items()), "kill")
    mine = {name: [a.payload for a in sent if a.device == name] for name in KINDS}
    devices = [Device(c, mine[c.device]) for c in credentials]
    for device in devices:
        device.start()
    killed: Counter[str] = Counter()
    dead: set[Process] = set()
    restarted: list[str] = []
    try:
        for name in order:

            def at_work(name: str = name, more_than: int = -1) -> bool:
                """Whether the victim runs and there are more chunks than that in the database."""
                restarted.extend(platform.look())
                return victim_of(platform, name) not in {None, *dead} and chunks(platform) > more_than

            until(at_work, 60, f"{name} runs, and the database answers")
            before = chunks(platform)
            for device in devices:
                device.let(share)
            until(partial(at_work, more_than=before), 60, f"chunks flow while {name} runs")
            threading.Event().wait(rng.uniform(0, 0.06))
            victim = victim_of(platform, name)
            assert victim is not None
            # From outside, and nobody waits for it: to reap the dead is the platform's own business.
            os.kill(victim.pid, signal.SIGKILL)
            dead.add(victim)
            killed[name] += 1
        for device in devices:
            device.let(len(sent))

        def all_told() -> bool:
            restarted.extend(platform.look())
            return not any(device.is_alive() for device in devices)

        until(all_told, 100, "every chunk has its verdict")
    finally:
        for device in devices:
            device.let(len(sent))
    assert [device.error for device in devices] == [None] * len(devices)
    reports = [device.sender.report for device in devices]
    assert [(r.waiting, r.refused) for r in reports] == [(0, {})] * len(devices)
    assert sum(r.accepted for r in reports) == len(sent)
    assert killed == dict.fromkeys(VICTIMS, KILLS)
    until(lambda: well(platform) and settled(platform), 60, "everything folded, recorded and anchored")

    with wiring.database(platform.settings) as conn:
        kept = {(d, bytes(raw)) for d, raw in conn.execute("SELECT device, raw FROM chunk").fetchall()}
        lost = sum((a.device, a.payload) not in kept for a in sent)
        counted = recount(conn, city, wiring.EVIDENCE)
        faults = fsck(conn, city, wiring.EVIDENCE, wiring.HEALTH, wiring.ledger(platform.settings), lambda _: None)
        disturbed, its_codes = evidence(conn), codes(conn)
        with psycopg.connect(database, autocommit=True) as other:
            open_days_like(other, conn)
    with contextlib.closing(
        undisturbed(database, city, sent, lambda: 50, now_s, fold_between=False)
    ) as quiet:
        same = evidence(quiet) == disturbed
        same_codes = codes(quiet) == its_codes
    figures = {
        "seed": SEED, "chunks": len(sent), "kills": dict(killed), "restarts": dict(Counter(restarted)),
        "resent": sum(r.resent for r in reports), "lost": lost, "doubled": counted.doubled,
        "bitwise_equal": same, "codes_equal": same_codes,
        "longest_verdict_s": round(max(max(r.latency_s) for r in reports), 2),
    }  # fmt: skip
    out = ROOT if os.environ.get("KILLS") else tmp_path
    (out / "faults.json").write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.write(json.dumps(figures) + "\n")
    assert (lost, counted.lost, counted.doubled) == (0, 0, 0)
    assert counted.exact
    assert counted.chunks == len(kept) == len(sent)
    assert same, "the evidence differs from that of an undisturbed run"
    assert same_codes, "the codes differ from those of an undisturbed run"
    assert faults == []


def test_everything_dies_at_once_while_chunks_are_under_way(platform: Platform) -> None:
    city = platform.settings.read_city()
    until(lambda: well(platform), 60, "everything runs")
    _, (credential,) = platform.enrol([("once-box", "box")], "kill")
    device = Device(credential, drive(city, 48))
    device.start()
    device.let(48)
    until(lambda: device.sender.report.accepted > 0, 30, "the first verdicts came")
    for name in VICTIMS:
        victim = victim_of(platform, name)
        assert victim is not None
        os.kill(victim.pid, signal.SIGKILL)
    until(lambda: platform.look() is not None and not device.is_alive(), 90, "every chunk has its verdict")
    assert device.error is None
    assert (device.sender.report.accepted, device.sender.report.refused) == (48, {})
    until(lambda: well(platform) and settled(platform), 60, "everything folded, recorded and anchored")
    exact_and_proven(platform)


@pytest.mark.parametrize(("away", "part"), [("postgres", "database"), ("nats", "broker"), ("chain", "chain")])
def test_a_service_that_is_away_for_a_while_is_named_waited_for_and_used_again(
    platform: Platform, away: str, part: str
) -> None:
    city = platform.settings.read_city()
    until(lambda: well(platform), 60, "everything runs")
    _, (credential,) = platform.enrol([(f"away-{part}", "box")], "kill")
    pumps = platform.pumps.running()
    with Sender(credential, resend_s=2.0) as sender:
        payloads = drive(city, 12)
        for payload in payloads[:4]:
            sender.send(payload)
        assert sender.finish(30).accepted == 4
        # Nobody looks after the platform from here on, so that what is away stays away.
        if away == "postgres":
            platform.services.postgres.stop()
        else:
            os.kill(platform.services.running()[away].pid, signal.SIGKILL)
        for payload in payloads[4:8]:
            sender.send(payload)
        until(lambda: platform.health().get(part, "ok") != "ok", 30, f"/healthz names the {part}")
        answer = httpx.get(f"{platform.url}/healthz", timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
        services = {name: said for name, said in answer.json()["parts"].items() if name not in PUMPS}
        assert {name for name, said in services.items() if said != "ok"} == {part}
        # Without a chain verdicts come all the same; without database or broker none may come.
        assert sender.finish(20 if away == "chain" else 1.5).waiting == (0 if away == "chain" else 4)
        assert platform.pumps.running() == pumps, "a pump died of what it should wait for"
        until(lambda: well(platform), 60, f"/healthz is well again after the {part} came back")
        for payload in payloads[8:]:
            sender.send(payload)
        report = sender.finish(60)
    assert (report.accepted, report.waiting, report.refused) == (12, 0, {})
    assert platform.pumps.running() == pumps, "all of them outlived it"
    until(lambda: settled(platform), 60, "everything folded, recorded and anchored")
    exact_and_proven(platform)
