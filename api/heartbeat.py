"""Each pump says in the database that it lives and what it waits for, so that /healthz can name one that does not."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import psycopg

from ingest import beats

Connection = psycopg.Connection[Any]
_P = ParamSpec("_P")
_T = TypeVar("_T")

PUMPS = ("worker", "coder", "anchorer", "keeper")
"""The web needs no beat: who asks for /healthz hears it."""
BEAT_S = 2.0
"""Shorter is a row written for nothing, longer and `STALE_S` must be longer, too."""
STALE_S = 15.0
"""Shorter calls a pump dead that was held up by the disk, or was frozen for 10 s; longer hides a dead one."""
LONG_S = 30.0
"""A batch or turn that takes longer is told of: shorter tells of every backlog, longer hides one that hangs."""
_LAST_S = 5.0
"""How long a pump that stops waits for a beat under way: shorter leaves a row of a pump that has stopped in order,
longer keeps a platform from stopping while its database is away."""


class Heartbeat:
    """The sign of life of one pump. It never raises for want of a database: that is told by others."""

    def __init__(
        self, connect: Callable[[], Connection], pump: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect, self._pump, self._clock = connect, pump, clock
        self._instance = f"{socket.gethostname()}:{os.getpid()}"
        self._conn: Connection | None = None
        self._said = "is starting"
        self._next_s = 0.0
        self._busy_s: float | None = None
        self._writing = threading.Lock()

    def say(self, why: str) -> None:
        """What is waited for; empty where all is well."""
        self._said = why[:300]

    def beat(self) -> None:
        """Writes a sign of life, if it is time for one."""
        with self._writing:
            self._beat()

    def _beat(self) -> None:
        now_s = self._clock()
        if now_s < self._next_s:
            return
        self._next_s = now_s + BEAT_S
        said, busy_s = self._said, self._busy_s  # whoever works may end in this moment
        if busy_s is not None and now_s - busy_s > LONG_S:
            said = f"has been working for {now_s - busy_s:.0f} s"
        try:
            if self._conn is None or self._conn.closed:
                self._conn = self._connect()
            with self._conn.transaction():
                beats.beat(self._conn, self._pump, self._instance, said)
        except psycopg.Error:
            self._drop()

    def last_words(self, why: str) -> None:
        """Says why the pump ends, at once, and nothing more: it is told until the beat is stale."""
        with self._writing:  # a beat may be under way beside it
            self.say(why)
            self._next_s = 0.0
            self._beat()
            self._next_s = math.inf
            self._drop()

    def end(self) -> None:
        """The last words of a pump that stops in order: none."""
        with contextlib.suppress(psycopg.Error):
            if self._conn is not None and not self._conn.closed:
                with self._conn.transaction():
                    beats.farewell(self._conn, self._pump, self._instance)
        self._drop()

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def watched(self, work: Callable[_P, _T]) -> Callable[_P, _T]:
        """The same work, with an eye on how long it takes."""

        def timed(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            self._busy_s = self._clock()
            try:
                return work(*args, **kwargs)
            finally:
                self._busy_s = None

        return timed

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Beats from a thread while the context lasts: work that takes minutes lives all the while. Of work that ended
        by an error nothing is taken back, so that the pump is missed."""
        stop = threading.Event()

        def go_on() -> None:
            while not stop.is_set():
                self.beat()
                stop.wait(BEAT_S)

        thread = threading.Thread(target=go_on, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(_LAST_S)
        if not thread.is_alive():
            self.end()

    async def until(self, stop: asyncio.Event) -> None:
        """Beats until ``stop``, from the event loop: one that hangs is silent."""
        while not stop.is_set():
            await asyncio.to_thread(self.beat)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), BEAT_S)
        await asyncio.to_thread(self.end)


def told(conn: Connection) -> dict[str, str]:
    """What each pump says: "ok" where one of its processes lives and waits for nothing, else what the newest said."""
    said: dict[str, str] = {}
    known = beats.beats(conn)
    for pump in PUMPS:
        mine = [(age_s, words) for name, _, age_s, words in known if name == pump]
        fresh = [words for age_s, words in mine if age_s <= STALE_S]
        if "" in fresh:
            said[pump] = "ok"
        elif fresh:
            said[pump] = fresh[0]
        elif mine:
            said[pump] = f"no sign of life for {mine[0][0]:.0f} s: it is dead, or hangs; its log says more"
        else:
            said[pump] = "does not run"
    return said
