"""SIGSTOP in mid-work: a process that is there and says nothing. Connections stay open, locks stay held, and whoever
waits for it must not wait for ever, nor take silence for an answer."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack

import pytest

from api.platform import PUMPS

from ..street import until
from .conftest import Toll
from .proxy import Link, Trap
from .stage import LONG, LONG_ONLY, Stage, frozen
from .test_half_open import trip_of

FREEZE_S = 10.0
SAY_S = 8.0
"""How soon /healthz must say that a part does not answer. It asks each part for 3 s; the rest is a loaded machine."""
PARTS = {"nats": "broker", "postgres": "database"}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("worker",), id="worker", marks=LONG_ONLY),
        pytest.param(("coder",), id="coder", marks=LONG_ONLY),
        pytest.param(("nats",), id="broker", marks=LONG_ONLY),
        pytest.param(("postgres",), id="database", marks=LONG_ONLY),
        pytest.param(("nats", "postgres"), id="broker and database"),
    ],
)
def test_what_is_frozen_while_chunks_flow_loses_nothing_and_is_named(
    stage: Stage, toll: Toll, names: tuple[str, ...]
) -> None:
    until(stage.well, 60, "everything runs")
    device = stage.box(f"freeze-{'-'.join(names)}", 60)
    device.let(20)
    until(lambda: device.sender.report.accepted > 0, 30, "the first verdicts came")
    pumps = stage.platform.pumps.running()
    victims = [stage.running(name) for name in names]
    parts = {PARTS[name] for name in names if name in PARTS}

    def named() -> bool:
        return {part for part, said in stage.platform.health().items() if said != "ok"} == parts

    with ExitStack() as freezer:
        for victim in victims:
            assert victim is not None
            freezer.enter_context(frozen(victim))
        started_s = time.monotonic()
        device.let(20)
        until(named, SAY_S, f"/healthz names {parts or 'nobody'} and nobody else")
        named_s = time.monotonic() - started_s
        threading.Event().wait(FREEZE_S - named_s if LONG else 0)
        frozen_s = time.monotonic() - started_s
    stage.finished([device], 60)
    assert stage.platform.pumps.running() == pumps, "a pump died of what it should wait for"
    reckoning = stage.reckon()
    toll.add(
        f"frozen: {', '.join(names)}", **reckoning.figures(), frozen_s=round(frozen_s, 1),
        named_s=round(named_s, 2), longest_verdict_s=round(max(device.sender.report.latency_s), 2),
    )  # fmt: skip
    assert reckoning.well, reckoning


def test_a_worker_that_is_frozen_within_its_commit_does_not_hold_up_another(stage: Stage, toll: Toll) -> None:
    """It holds the locks of its trips' keys, and its connection is open. A second worker gets the same chunks again,
    and waits for those locks: PostgreSQL must end the frozen one's transaction."""
    until(stage.well, 60, "everything runs")
    until(lambda: len(stage.platform.pumps.running()) == len(PUMPS), 30, "all pumps run")
    worker = stage.running("worker")
    assert worker is not None

    def stop(_: Link) -> None:
        os.kill(worker.pid, signal.SIGSTOP)

    payloads = stage.drive(16)
    trap = Trap(b"COMMIT", stop, after=trip_of(payloads), held=True)
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
        stage.database.release(trap)
    reckoning = stage.reckon()
    toll.add("worker frozen within its commit", **reckoning.figures(), longest_verdict_s=round(waited_s, 2))
    assert reckoning.well, reckoning
