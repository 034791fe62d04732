"""Word of changed codes, from PostgreSQL's notifications to everybody who has the map open."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

QUIET_S = 15.0
"""After so long without news a comment is sent, so that proxies and browsers know the line is alive."""
_WAITING = 64
"""Notices that one slow reader may have waiting; beyond, it misses some and sees them at its next refresh."""
MOST_READERS = 500
MOST_OF_ONE = 50
"""Streams of one certificate. Fewer and an office whose desks share one has dark maps; more, and ten certificates, or
one with a fault in its script, close the map to everybody else."""
LOOK_S = 4.0
"""How often a department's stream asks whether its certificate still holds, should word of a revocation have been lost.
Longer and a revoked one hears so much more; shorter, and many open maps keep the database busy with the question."""


class TooManyReaders(RuntimeError):
    """The instance serves no more open maps; try again later."""


@dataclass(frozen=True)
class Guest:
    """A reader who was let in by a department's certificate. left_s: how long its token still holds when it begins to
    read. whole: whether it may hear where something changed. holds: whether the certificate is in force now."""

    certificate: str
    left_s: float
    whole: bool
    holds: Callable[[], Awaitable[bool]]


class Board:
    """Notices of one channel for any number of readers of this process. line: options of the connection, by which it
    must notice that the database has vanished: one that only listens never sends, and would wait for ever. ends: the
    channel that names certificates whose readers must go."""

    def __init__(
        self, url: str, channel: str, note: Callable[[str], None], line: Mapping[str, Any], ends: str = ""
    ) -> None:
        self._url = url
        self._line = dict(line)
        self._channel = channel
        self._ends = ends
        self._note = note
        self._readers: dict[asyncio.Queue[str | None], str] = {}

    async def listen(self) -> None:
        """Listens until cancelled; a lost database is waited for."""
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **self._line)
                async with connection:
                    for channel in filter(None, (self._channel, self._ends)):
                        await connection.execute(f'LISTEN "{channel}"'.encode())
                    async for notice in connection.notifies():
                        self._tell(notice.channel, notice.payload)
            except psycopg.Error as error:
                self._note(f"no notices from the database ({type(error).__name__})")
                await asyncio.sleep(1.0)

    def admit(self, guest: Guest | None = None) -> None:
        """Raises TooManyReaders; ask before the answer's head is sent."""
        if len(self._readers) >= MOST_READERS:
            raise TooManyReaders("this instance serves no more open maps; try again later")
        if guest and sum(name == guest.certificate for name in self._readers.values()) >= MOST_OF_ONE:
            raise TooManyReaders(f"this certificate has {MOST_OF_ONE} open streams: close some, then try again")

    def _tell(self, channel: str, payload: str) -> None:
        for queue, certificate in self._readers.items():
            if channel != self._ends:
                with contextlib.suppress(asyncio.QueueFull):
                    queue.put_nowait(payload)
            elif certificate == payload:
                while not queue.empty():  # it hears no more, also not what was waiting
                    queue.get_nowait()
                queue.put_nowait(None)

    async def read(self, guest: Guest | None = None) -> AsyncIterator[str]:
        """Server-sent events for one reader, until it goes; for a guest until its token ends or its certificate is
        revoked."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_WAITING)
        self._readers[queue] = guest.certificate if guest else ""
        end_s = time.monotonic() + guest.left_s if guest else None
        quiet_s = 0.0
        look_s = time.monotonic() + LOOK_S
        try:
            yield ": open\n\n"
            while True:
                wait_s = QUIET_S if end_s is None else max(0.0, min(look_s, end_s) - time.monotonic())
                # Asked by the clock, not when it is quiet: a busy city is never quiet for so long.
                if guest and end_s and time.monotonic() >= min(look_s, end_s):
                    if time.monotonic() >= end_s or not await guest.holds():
                        yield _END
                        return
                    look_s = time.monotonic() + LOOK_S
                try:
                    payload = await asyncio.wait_for(queue.get(), wait_s)
                    if payload is None:
                        yield _END
                        return
                    quiet_s = 0.0
                    yield f"event: codes\ndata: {payload if guest is None or guest.whole else '{}'}\n\n"
                except TimeoutError:
                    quiet_s += wait_s
                    if quiet_s >= QUIET_S:
                        quiet_s = 0.0
                        yield ": quiet\n\n"
        finally:
            self._readers.pop(queue, None)


_END = 'event: end\ndata: {"error": "token_ended", "detail": "the token or its certificate has ended"}\n\n'
