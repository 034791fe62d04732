"""SIGSTOP in mid-work: a process that is there and says nothing. Connections stay open, locks stay held, and whoever
waits for it must not wait for ever, nor take silence for an answer."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from ..street import until
from .conftest import Toll
from .proxy import Link, Trap
from .stage import LONG, Stage, frozen

FREEZE_S = 10.0 if LONG else 6.0
"""Longer than the broker's wait for an acknowledgement (5 s), so that it brings again what the frozen one holds."""
SAY_S = 8.0
"""How soon /healthz must say that a part does not answer. It asks each part for 3 s; the rest is a loaded machine."""


def said_of(stage: Stage, part: str) -> str:
    """What /healthz says of a part; a web that does not answer says ok of nobody."""
    return stage.platform.health().get(part, "ok")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("worker", None),
        pytest.param("coder", None, marks=pytest.mark.skipif(not LONG, reason="in the long run, `make faults`")),
        ("nats", "broker"),
        ("postgres", "database"),
    ],
)
def test_what_is_frozen_while_chunks_flow_loses_nothing_and_is_named(
    stage: Stage, toll: Toll, name: str, part: str | None
) -> None:
    until(stage.well, 60, "everything runs")
    device = stage.box(f"freeze-{name}", 60)
    device.let(20)
    until(lambda: device.sender.report.accepted > 0, 30, "the first verdicts came")
    pumps = stage.platform.pumps.running()
    victim = stage.running(name)
    assert victim is not None
    # Of the services one short freeze is enough to be named; it is the worker whose batch the broker brings again.
    freeze_s = FREEZE_S if LONG or name == "worker" else 3.0
    with frozen(victim):
        started_s = time.monotonic()
        device.let(20)
        if part is not None:
            until(lambda: said_of(stage, part) != "ok", SAY_S, f"/healthz names the {part}")
        named_s = time.monotonic() - started_s
        threading.Event().wait(max(0.0, freeze_s - named_s))
    stage.finished([device], 60)
    assert stage.platform.pumps.running() == pumps, "a pump died of what it should wait for"
    reckoning = stage.reckon()
    toll.add(
        f"{name} frozen", **reckoning.figures(), frozen_s=round(max(freeze_s, named_s), 1),
        named_s=round(named_s, 2) if part else None, longest_verdict_s=round(max(device.sender.report.latency_s), 2),
    )  # fmt: skip
    assert reckoning.well, reckoning


def test_a_worker_that_is_frozen_within_its_commit_does_not_hold_up_another(stage: Stage, toll: Toll) -> None:
    """It holds the locks of its trips' keys, and its connection is open. A second worker gets the same chunks again,
    and waits for those locks: PostgreSQL must end the frozen one's transaction."""
    until(stage.well, 60, "everything runs")
    until(lambda: len(stage.platform.pumps.running()) == 4, 30, "all pumps run")
    worker = stage.running("worker")
    assert worker is not None

    def stop(_: Link) -> None:
        os.kill(worker.pid, signal.SIGSTOP)

    payloads = stage.drive(16)
    trap = Trap(b"COMMIT", stop, after=payloads[0][-200:])
    stage.database.set(trap)
    try:
        (device,) = stage.devices({"freeze-commit": ("box", payloads)})
        device.let(16)
        until(trap.sprung.is_set, 30, "the worker is frozen with its commit on the way")
        with stage.second_worker():
            started_s = time.monotonic()
            stage.finished([device], 60)
            waited_s = time.monotonic() - started_s
    finally:
        stage.database.set(None)
        os.kill(worker.pid, signal.SIGCONT)
    reckoning = stage.reckon()
    toll.add("worker frozen within its commit", **reckoning.figures(), longest_verdict_s=round(waited_s, 2))
    assert reckoning.well, reckoning
