"""Wires that die without a word. The far end has vanished and nothing says so: each side must find out by itself within a
stated time, let go of what it holds for the other, and go on over a new connection. Besides: wires that are cut in
the middle of a message, reset, or slow."""

from __future__ import annotations

import time

import pytest

from ingest import jetstream

from ..street import until
from .conftest import Toll
from .proxy import Link, Proxy, Trap
from .stage import LONG, Stage

KEEPALIVE_S = 3
DEVICE_S = 2 * KEEPALIVE_S + 12.0
"""A device notices within twice its keepalive; then 1 to 5 s until it connects, and its chunks are sent again after 2."""
BROKER_S = jetstream.VANISHED_S + 12.0
DATABASE_S = 10.0 + 5.0 + 12.0
"""Ten seconds until unacknowledged bytes end a connection (on a quiet line it is first asked after five), on the worker's
side and on the database's, which holds the locks; then a new connection, and the broker's 5 s."""


@pytest.mark.parametrize(
    ("wire", "within_s"), [("device", DEVICE_S), ("broker", BROKER_S), ("database", DATABASE_S)]
)
def test_a_half_open_connection_is_noticed_and_replaced(
    stage: Stage, toll: Toll, wire: str, within_s: float
) -> None:
    until(stage.well, 60, "everything runs")
    pumps = stage.platform.pumps.running()
    device = stage.box(f"half-open-{wire}", 40, keepalive_s=KEEPALIVE_S)
    device.let(10)
    until(lambda: device.sender.report.accepted == 10, 30, "the first verdicts came")
    proxy: Proxy = getattr(stage, wire)
    assert proxy.each(Link.silence) > 0
    started_s = time.monotonic()
    device.let(30)
    until(lambda: device.sender.report.accepted > 10, within_s, "the next verdict came")
    noticed_s = time.monotonic() - started_s
    stage.finished([device], 30)
    assert stage.platform.pumps.running() == pumps, "a pump died of what it should notice"
    reckoning = stage.reckon()
    toll.add(f"half-open: {wire}", **reckoning.figures(), noticed_s=round(noticed_s, 2), within_s=within_s)
    assert reckoning.well, reckoning


@pytest.mark.parametrize("answered", [False, True], ids=["before the commit came", "after the commit, before its answer"])
def test_a_database_that_vanishes_within_a_commit_leaves_no_lock_and_no_double(
    stage: Stage, toll: Toll, answered: bool
) -> None:
    """Whether the commit was done is what nobody on the worker's side can know: the keys know."""
    until(stage.well, 60, "everything runs")
    payloads = stage.drive(16)
    trap = Trap(b"COMMIT", Link.silence, after=payloads[0][-200:], answered=answered)
    stage.database.set(trap)
    (device,) = stage.devices({f"commit-{'answer' if answered else 'lost'}": ("box", payloads)})
    started_s = time.monotonic()
    device.let(16)
    until(trap.sprung.is_set, 30, "the commit is on the way")
    stage.finished([device], DATABASE_S + 30)
    reckoning = stage.reckon()
    toll.add(
        f"database vanished {'after' if answered else 'before'} a commit", **reckoning.figures(),
        longest_verdict_s=round(time.monotonic() - started_s, 2),
    )  # fmt: skip
    assert reckoning.well, reckoning


@pytest.mark.parametrize("wire", ["device", "broker", "database"])
def test_a_wire_that_is_cut_in_the_middle_of_messages_loses_nothing(stage: Stage, toll: Toll, wire: str) -> None:
    """In the middle of a chunk that a device publishes, of a verdict, of a row: the rest of it never comes."""
    until(stage.well, 60, "everything runs")
    proxy: Proxy = getattr(stage, wire)
    payloads = stage.drive(30)
    (device,) = stage.devices({f"cut-{wire}": ("box", payloads)})
    try:
        for n, act in enumerate((Link.reset, Link.finish, Link.reset)):
            # Devices and worker send these bytes each time: a chunk's own, or the topic of a verdict.
            pattern = b".verdict" if wire == "broker" else payloads[10 * n + 5][100:400]
            trap = Trap(pattern, act, share=0.5)
            proxy.set(trap)
            device.let(10)
            until(trap.sprung.is_set, 30, f"a message is cut in two between {wire} and its other end")
    finally:
        proxy.set(None)
    stage.finished([device], 60)
    reckoning = stage.reckon()
    toll.add(f"cut in mid-message: {wire}", **reckoning.figures())
    assert reckoning.well, reckoning


@pytest.mark.skipif(not LONG, reason="in the long run, `make faults`")
def test_wires_that_are_slow_and_lose_a_connection_every_second_lose_no_chunk(stage: Stage, toll: Toll) -> None:
    until(stage.well, 60, "everything runs")
    wires = (stage.device, stage.broker, stage.database)
    device = stage.box("slow", 200, keepalive_s=KEEPALIVE_S)
    try:
        for n in range(20):
            for proxy in wires:
                proxy.delay(0.02)
            device.let(10)
            kept = stage.kept()
            until(lambda before=kept: stage.kept() > before, 60, "chunks flow")  # type: ignore[misc]
            wires[n % 3].each((Link.reset, Link.finish, Link.silence, Link.deafen)[n % 4 if n % 3 != 2 else n % 2])
    finally:
        for proxy in wires:
            proxy.delay(0.0)
    stage.finished([device], 120)
    reckoning = stage.reckon()
    toll.add("slow wires that break every second", **reckoning.figures())
    assert reckoning.well, reckoning
