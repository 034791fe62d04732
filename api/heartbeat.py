"""Each pump says in the database that it lives and what it waits for, so that /healthz can name one that does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import psycopg

from ingest import Arrived, Verdict, beats

Connection = psycopg.Connection[Any]

PUMPS = ("worker", "coder", "anchorer", "keeper")
"""The web needs no beat: who asks for /healthz hears it."""
BEAT_S = 2.0
"""Shorter is a row written for nothing, longer and `STALE_S` must be longer, too."""
STALE_S = 15.0
"""Shorter calls a pump dead that was held up by the disk, or was frozen for 10 s; longer hides a dead one."""
LONG_S = 30.0
"""A batch that takes longer is told of: shorter tells of every backlog, longer hides a commit that hangs."""


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

    def say(self, why: str) -> None:
        """What is waited for; empty where all is well."""
        self._said = why[:300]

    def beat(self) -> None:
        """Writes a sign of life, if it is time for one or there is news."""
        if self._clock() < self._next_s:
            return
        self._next_s = self._clock() + BEAT_S
        said = self._said
        if self._busy_s is not None and self._clock() - self._busy_s > LONG_S:
            said = f"has been working on one batch for {self._clock() - self._busy_s:.0f} s"
        try:
            if self._conn is None or self._conn.closed:
                self._conn = self._connect()
            with self._conn.transaction():
                beats.beat(self._conn, self._pump, self._instance, said)
        except psycopg.Error:
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

    def watched(self, handle: Callable[[list[Arrived]], list[Verdict]]) -> Callable[[list[Arrived]], list[Verdict]]:
        """The same handle, with an eye on how long it takes."""

        def timed(arrived: list[Arrived]) -> list[Verdict]:
            self._busy_s = self._clock()
            try:
                return handle(arrived)
            finally:
                self._busy_s = None

        return timed

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
