"""Wires that die without a word. The far end has vanished and nothing says so: each side must find out by itself within
a stated time, let go of what it holds for the other, and go on over a new connection. Besides: wires that are cut in
the middle of a message, reset, or slow. `make test` breaks all three wires at once, `make faults` also one by one."""

from __future__ import annotations

import time

import pytest

from api import wiring
from ingest import jetstream, peek

from ..street import until
from .conftest import Toll
from .proxy import Link, Proxy, Trap
from .stage import LONG_ONLY, Stage

KEEPALIVE_S = 3
NOTICED_S = {"device": 2.0 * KEEPALIVE_S, "broker": jetstream.VANISHED_S, "database": 1.5 * wiring.VANISHED_S}
"""How soon each wire's ends must have found out; on a quiet line PostgreSQL's is first asked after five seconds."""
AGAIN_S = 14.0
"""And then: a new connection after 1 to 5 s, the chunks again from the broker after 5, on a loaded machine."""
WIRES = tuple(NOTICED_S)
ONE_BY_ONE = [*(pytest.param((wire,), id=wire, marks=LONG_ONLY) for wire in WIRES), pytest.param(WIRES, id="all")]


def proxies(stage: Stage, wires: tuple[str, ...]) -> list[Proxy]:
    return [getattr(stage, wire) for wire in wires]


@pytest.mark.parametrize("wires", ONE_BY_ONE)
def test_half_open_connections_are_noticed_and_replaced(stage: Stage, toll: Toll, wires: tuple[str, ...]) -> None:
    until(stage.well, 60, "everything runs")
    pumps = stage.platform.pumps.running()
    device = stage.box(f"half-open-{'-'.join(wires)}", 40, keepalive_s=KEEPALIVE_S)
    device.let(10)
    until(lambda: device.sender.report.accepted == 10, 30, "the first verdicts came")
    for proxy in proxies(stage, wires):
        assert proxy.each(Link.silence) > 0
    started_s = time.monotonic()
    device.let(30)
    within_s = max(NOTICED_S[wire] for wire in wires) + AGAIN_S
    until(lambda: device.sender.report.accepted > 10, within_s, "the next verdict came")
    noticed_s = time.monotonic() - started_s
    stage.finished([device], 30)
    assert stage.platform.pumps.running() == pumps, "a pump died of what it should notice"
    reckoning = stage.reckon()
    toll.add(
        f"half-open: {', '.join(wires)}", **reckoning.figures(), next_verdict_s=round(noticed_s, 2), within_s=within_s
    )
    assert reckoning.well, reckoning


@pytest.mark.parametrize(
    "answered", [pytest.param(False, id="before the commit came", marks=LONG_ONLY), pytest.param(True, id="after it")]
)
def test_a_database_that_vanishes_within_a_commit_leaves_no_lock_and_no_double(
    stage: Stage, toll: Toll, answered: bool
) -> None:
    """Whether the commit was done is what nobody on the worker's side can know: the keys know."""
    until(stage.well, 60, "everything runs")
    payloads = stage.drive(16)
    trap = Trap(b"COMMIT", Link.silence, after=trip_of(payloads), answered=answered)
    stage.database.set(trap)
    (device,) = stage.devices({f"commit-{'answer' if answered else 'lost'}": ("box", payloads)})
    started_s = time.monotonic()
    device.let(16)
    until(trap.sprung.is_set, 30, "the commit is on the way")
    stage.finished([device], NOTICED_S["database"] + AGAIN_S)
    reckoning = stage.reckon()
    toll.add(
        f"database vanished {'after' if answered else 'before'} a commit", **reckoning.figures(),
        longest_verdict_s=round(time.monotonic() - started_s, 2),
    )  # fmt: skip
    assert reckoning.well, reckoning


def trip_of(payloads: list[bytes]) -> bytes:
    """The trip's name, which stands in every chunk and in whatever the worker writes of it."""
    key = peek(payloads[0])
    assert key is not None
    return key[0].encode()


@pytest.mark.parametrize("wires", ONE_BY_ONE)
def test_wires_that_are_cut_in_the_middle_of_messages_lose_nothing(
    stage: Stage, toll: Toll, wires: tuple[str, ...]
) -> None:
    """In the middle of a chunk that a device publishes, of a verdict, of a row: the rest of it never comes."""
    until(stage.well, 60, "everything runs")
    payloads = stage.drive(36)
    (device,) = stage.devices({f"cut-{'-'.join(wires)}": ("box", payloads)})
    cuts = [(proxy, act) for act in (Link.reset, Link.finish) for proxy in proxies(stage, wires)]
    for proxy, act in cuts:
        trap = Trap(b".verdict" if proxy is stage.broker else trip_of(payloads), act, share=0.5)
        proxy.set(trap)
        device.let(6)
        until(trap.sprung.is_set, 30, "a message is cut in two")
    stage.finished([device], 60)
    reckoning = stage.reckon()
    toll.add(f"cut in mid-message: {', '.join(wires)}", **reckoning.figures(), cuts=len(cuts))
    assert reckoning.well, reckoning


@LONG_ONLY
def test_wires_that_are_slow_and_lose_a_connection_every_second_lose_no_chunk(stage: Stage, toll: Toll) -> None:
    until(stage.well, 60, "everything runs")
    wires = proxies(stage, WIRES)
    device = stage.box("slow", 200, keepalive_s=KEEPALIVE_S, finish_s=240.0)
    acts = (Link.reset, Link.finish, Link.silence)
    try:
        for proxy in wires:
            proxy.delay(0.02)
        for n in range(18):
            kept = stage.kept()
            device.let(10)
            until(lambda before=kept: stage.kept() > before, 60, "chunks flow")  # type: ignore[misc]
            wires[n % 3].each(acts[n // 3 % 3])
    finally:
        for proxy in wires:
            proxy.delay(0.0)
    stage.finished([device], 250)
    reckoning = stage.reckon()
    toll.add("slow wires that break every second", **reckoning.figures())
    assert reckoning.well, reckoning
