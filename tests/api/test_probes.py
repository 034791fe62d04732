"""Asking the parts with a deadline."""

from __future__ import annotations

import asyncio
import threading

from api.probes import Probe, ask_all

from ..street import until


def test_a_part_that_never_answers_is_named_in_time_costs_one_thread_and_is_believed_when_it_is_back() -> None:
    back = threading.Event()
    asked: list[int] = []

    def frozen() -> None:
        asked.append(1)
        back.wait(30)

    def broken() -> None:
        raise ValueError("no wheel")

    probes = {"frozen": Probe(frozen), "broken": Probe(broken), "well": Probe(lambda: None)}
    for _ in range(3):
        said = asyncio.run(ask_all(probes, within_s=0.1))
        assert said == {"frozen": "no answer within 0.1 s", "broken": "ValueError: no wheel", "well": "ok"}
    assert len(asked) == 1, "it is not asked again before it has answered"
    back.set()
    until(lambda: asyncio.run(ask_all(probes, within_s=0.1))["frozen"] == "ok", 10, "it is well again")
