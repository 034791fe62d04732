"""Word of changed codes, from PostgreSQL's notifications to everybody who has the map open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import psycopg

QUIET_S = 15.0
"""After so long without news a comment is sent, so that proxies and browsers know the line is alive."""
_WAITING = 64
"""Notices that one slow reader may have waiting; beyond, it misses some and sees them at its next refresh."""
MOST_READERS = 500


class TooManyReaders(RuntimeError):
    """The instance serves no more open maps; try again later."""


class Board:
    """Notices of one channel for any number of readers of this process. line: options of the connection, by which it
    must notice that the database has vanished: one that only listens never sends, and would wait for ever."""

    def __init__(self, url: str, channel: str, note: Callable[[str], None], line: Mapping[str, Any]) -> None:
        self._url = url
        self._line = dict(line)
        self._channel = channel
        self._note = note
        self._readers: set[asyncio.Queue[str]] = set()

    async def listen(self) -> None:
        """Listens until cancelled; a lost database is waited for."""
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **self._line)
                async with connection:
                    await connection.execute(f'LISTEN "{self._channel}"'.encode())
                    async for notice in connection.notifies():
                        for queue in self._readers:
                            with contextlib.suppress(asyncio.QueueFull):
                                queue.put_nowait(notice.payload)
            except psycopg.Error as error:
                self._note(f"no notices from the database ({type(error).__name__})")
                await asyncio.sleep(1.0)

    def admit(self) -> None:
        """Raises TooManyReaders; ask before the answer's head is sent."""
        if len(self._readers) >= MOST_READERS:
            raise TooManyReaders("this instance serves no more open maps; try again later")

    async def read(self) -> AsyncIterator[str]:
        """Server-sent events for one reader, until it goes."""
        queue: asyncio.Queue[str] = asyncio.Queue(_WAITING)
        self._readers.add(queue)
        try:
            yield ": open\n\n"
            while True:
                try:
                    payload = await asyncio.wait_for(queue.get(), QUIET_S)
                    yield f"event: codes\ndata: {payload}\n\n"
                except TimeoutError:
                    yield ": quiet\n\n"
        finally:
            self._readers.discard(queue)
