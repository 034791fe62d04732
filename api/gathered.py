"""Many callers, one run: who asks while a run is on shares the next one with all others who do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Gathered:
    """Runs ``work`` in a thread, one run at a time. Every call returns after a run that began after the call.

    A hundred callers that wait hold one thread and not a hundred. Use from one event loop.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Waits for a run of one's own or a shared one; raises what it raised."""
        if self._next is None:
            self._next = asyncio.create_task(self._run())
        await asyncio.shield(self._next)  # one caller that goes away must not end it for the others

    async def _run(self) -> None:
        async with self._turn:
            self._next = None  # whoever comes from here on may have changed what this run has read
            await asyncio.to_thread(self._work)
