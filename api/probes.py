"""Is a part there? Asked with a deadline: what is frozen, or behind a wire that swallows everything, never answers, and
who waits for it cannot say so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping

ANSWER_S = 3.0
"""How long a part may take to answer: shorter and a loaded machine is called away, longer and whoever watches /healthz
(often with a limit of 5 s) hears nothing at all."""


class Probe:
    """Asks one part, in a thread of its own; while it has not answered it is not asked again, so that a part that never
    answers costs one thread."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._asked: _Question | None = None

    def ask(self) -> _Question:
        """A question under way, its answer perhaps there already."""
        with self._lock:
            if self._asked is None or self._asked.answered.is_set():
                self._asked = _Question()
                threading.Thread(target=self._asked.put, args=(self._check,), name="probe", daemon=True).start()
            return self._asked


class _Question:
    def __init__(self) -> None:
        self.answered = threading.Event()
        self.said = ""

    def put(self, check: Callable[[], None]) -> None:
        try:
            check()
            self.said = "ok"
        except Exception as error:
            self.said = f"{type(error).__name__}: {str(error)[:200]}"
        self.answered.set()


async def ask_all(probes: Mapping[str, Probe], within_s: float = ANSWER_S) -> dict[str, str]:
    """What each part says: ok, its error, or that it said nothing within the time. Occupies no worker thread of the
    web, so that it answers also where all of those wait for a database."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + within_s
    questions = {name: probe.ask() for name, probe in probes.items()}
    while loop.time() < end_s and not all(q.answered.is_set() for q in questions.values()):
        await asyncio.sleep(0.02)
    return {
        name: q.said if q.answered.is_set() else f"no answer within {within_s:g} s" for name, q in questions.items()
    }
