"""kill -9 of every process in mid-work: no chunk with a verdict is lost, none counts twice, the evidence is the same
integers as if nothing had happened. Other ways for things to be away: the database, the broker, the chain."""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from functools import partial

import httpx
import pytest

from api import wiring
from api.embedded import Process
from api.fsck import fsck
from api.heartbeat import PUMPS
from ingest import Sender

from ..street import settled, until
from .conftest import Toll
from .stage import SEED, Stage
from .stream import KINDS, history

VICTIMS = ("worker", "coder", "anchorer", "nats", "postgres", "chain")
KILLS = int(os.environ.get("KILLS") or len(VICTIMS))
"""Kills in all, of random victims at random points; each victim dies about as often as the others. The next test kills
all of them at once, and test_crash_points.py three workers: `make test` has fifteen kills."""
A_KILL = 24
"""Chunks that are let go for a kill: several batches, so that the victim dies with some before and some behind it."""


def exact_and_proven(stage: Stage) -> None:
    """Nothing without its record; and every chunk observed again, the evidence is their sum."""
    with wiring.database(stage.platform.settings) as conn:
        log = wiring.ledger(stage.platform.settings)
        assert fsck(conn, stage.city, wiring.EVIDENCE, wiring.HEALTH, log, lambda _: None) == []


def test_kill_9_of_everything_in_mid_work_loses_nothing_and_doubles_nothing(stage: Stage, toll: Toll) -> None:
    rng = random.Random(SEED)
    rounds = math.ceil(KILLS / len(VICTIMS))
    order = [name for _ in range(rounds) for name in rng.sample(VICTIMS, len(VICTIMS))][:KILLS]
    sys.stdout.write(f"seed {SEED}, {KILLS} kills in this order: {' '.join(order)}\n")
    sent = history(stage.city, time.time(), passes=math.ceil((len(order) + 1) * A_KILL / 100))
    share = len(sent) // (len(order) + 1) // len(KINDS)
    mine = {name: (kind, [a.payload for a in sent if a.device == name]) for name, kind in KINDS.items()}
    devices = stage.devices(mine)
    killed: Counter[str] = Counter()
    dead: set[Process] = set()
    restarted: list[str] = []
    try:
        for name in order:

            def at_work(name: str = name, more_than: int = -1) -> bool:
                """Whether the victim runs and there are more chunks than that in the database."""
                restarted.extend(stage.platform.look())
                return stage.running(name) not in {None, *dead} and stage.kept() > more_than

            until(at_work, 60, f"{name} runs, and the database answers")
            before = stage.kept()
            for device in devices:
                device.let(share)
            until(partial(at_work, more_than=before), 60, f"chunks flow while {name} runs")
            threading.Event().wait(rng.uniform(0, 0.06))
            victim = stage.running(name)
            assert victim is not None
            # From outside, and nobody waits for it: to reap the dead is the platform's own business.
            os.kill(victim.pid, signal.SIGKILL)
            dead.add(victim)
            killed[name] += 1
    finally:
        for device in devices:
            device.let(len(sent))
    stage.finished(devices, 100)
    reckoning = stage.reckon()
    reports = [device.sender.report for device in devices]
    toll.add(
        "kill -9 at random points", kills=killed.total(), victims=dict(killed), **reckoning.figures(),
        restarts=dict(Counter(restarted)), resent=sum(r.resent for r in reports),
        longest_verdict_s=round(max(max(r.latency_s) for r in reports), 2),
    )  # fmt: skip
    assert killed.total() == KILLS
    assert reckoning.well, reckoning


def test_everything_dies_at_once_while_chunks_are_under_way(stage: Stage, toll: Toll) -> None:
    until(stage.well, 60, "everything runs")
    device = stage.box("once-box", 48)
    device.let(48)
    until(lambda: device.sender.report.accepted > 0, 30, "the first verdicts came")
    for name in VICTIMS:
        victim = stage.running(name)
        assert victim is not None
        os.kill(victim.pid, signal.SIGKILL)
    stage.finished([device], 90)
    reckoning = stage.reckon()
    toll.add("kill -9 of everything at once", kills=len(VICTIMS), **reckoning.figures())
    assert reckoning.well, reckoning
    exact_and_proven(stage)


@pytest.mark.parametrize(("away", "part"), [("postgres", "database"), ("nats", "broker"), ("chain", "chain")])
def test_a_service_that_is_away_for_a_while_is_named_waited_for_and_used_again(
    stage: Stage, toll: Toll, away: str, part: str
) -> None:
    platform = stage.platform
    until(stage.well, 60, "everything runs")
    payloads = stage.drive(12)
    _, (credential,) = platform.enrol([(f"away-{part}", "box")], "faults")
    stage.expect(credential.device, payloads)
    pumps = platform.pumps.running()
    with Sender(credential, resend_s=2.0) as sender:
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
        until(stage.well, 60, f"/healthz is well again after the {part} came back")
        for payload in payloads[8:]:
            sender.send(payload)
        report = sender.finish(60)
    assert (report.accepted, report.waiting, report.refused) == (12, 0, {})
    assert platform.pumps.running() == pumps, "all of them outlived it"
    until(lambda: settled(platform), 60, "everything folded, recorded and anchored")
    reckoning = stage.reckon()
    toll.add(f"{part} away", **reckoning.figures())
    assert reckoning.well, reckoning
