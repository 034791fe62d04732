"""The worker dies by kill -9 at exactly the points where a chunk's fate hangs: its own connections say when. Nothing
here depends on how long anything takes."""

from __future__ import annotations

import os
import signal

import pytest

from api.platform import PUMPS

from ..street import until
from .conftest import Toll
from .proxy import Link, Trap
from .stage import Stage
from .test_half_open import trip_of

POINTS = {
    "with its commit on the way": ("database", b"COMMIT", False),
    "between its commit and the acknowledgement": ("database", b"COMMIT", True),
    "between the acknowledgement and the verdict": ("broker", b"PUB rhc.v1.", False),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_dies(stage: Stage, toll: Toll, point: str) -> None:
    wire, pattern, answered = POINTS[point]
    until(lambda: stage.well() and len(stage.platform.pumps.running()) == len(PUMPS), 60, "everything runs")
    worker = stage.running("worker")
    assert worker is not None

    def kill(_: Link) -> None:
        os.kill(worker.pid, signal.SIGKILL)

    payloads = stage.drive(4)
    before = stage.kept()
    trap = Trap(pattern, kill, after=trip_of(payloads) if wire == "database" else b"", answered=answered)
    getattr(stage, wire).set(trap)
    (device,) = stage.devices({f"dies-{list(POINTS).index(point)}": ("box", payloads)})
    device.let(4)
    until(trap.sprung.is_set, 30, f"the worker died {point}")
    told = device.sender.report.accepted
    # Nobody looks after the platform yet: what is kept now was kept before anybody could say so.
    assert told == 0, "no chunk had its verdict"
    until(lambda: not worker.alive() and (stage.kept() > before) == (pattern != b"COMMIT" or answered), 10, "as it was")
    stage.finished([device], 60)
    reckoning = stage.reckon()
    toll.add(f"worker killed {point}", kills=1, **reckoning.figures())
    assert reckoning.well, reckoning
