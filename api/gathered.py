"""Many callers, one run: who asks while a run is on shares the next one with all others who do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

AGAIN_S = 5.0
"""Between two tries of what failed: shorter and a broker that is away is asked without end, longer and a phone with a
new password waits that much longer until it is in force."""


class Gathered:
    """Runs ``work`` in a thread, one run at a time. Every call returns after a run that began after the call.

    A hundred callers that wait hold one thread and not a hundred. Use from one event loop.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._later: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Waits for a run of one's own or a shared one; raises what it raised."""
        if self._next is None:
            self._next = asyncio.create_task(self._run())
        await asyncio.shield(self._next)  # one caller that goes away must not end it for the others

    async def or_later(self) -> None:
        """As a call, but raises nothing: a run that fails is tried again by itself until one succeeds."""
        try:
            await self()
        except Exception as error:
            structlog.get_logger("web").warning("broker not told yet", error=f"{type(error).__name__}: {error}")
            if self._later is None or self._later.done():
                self._later = asyncio.create_task(self._again())

    async def close(self) -> None:
        """Ends the tries; to be called from the same loop."""
        if self._later is not None:
            self._later.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._later

    async def _again(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_S)
            with contextlib.suppress(Exception):
                await self()
                return

    async def _run(self) -> None:
        async with self._turn:
            self._next = None  # whoever comes from here on may have changed what this run has read
            await asyncio.to_thread(self._work)
