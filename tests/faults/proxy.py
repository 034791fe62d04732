"""A wire that can break in every way a wire can: a TCP proxy between two parts of the platform.

It forwards until it is told to go silent (nothing is forwarded, nothing acknowledged, no FIN: the far end has vanished,
or a firewall has forgotten the connection), to go deaf (the same, but the kernel acknowledges: a stuck middlebox, a
frozen peer), to end or reset connections, to delay, or to do any of this at the moment when certain bytes pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

_SO_ATTACH_FILTER = 26
_READ = 65_536


def _swallow(writer: asyncio.StreamWriter) -> None:
    """Has the kernel drop what comes in on a socket before TCP sees it, so that nothing is acknowledged (a classic BPF
    program of one instruction: return 0)."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program))
    )


class Link:
    """One connection through the proxy. Only the proxy's thread touches it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.ends = (client, server)
        self.tasks: list[asyncio.Task[None]] = []

    def silence(self) -> None:
        """Half-open: both ends believe in it, and nobody answers them again."""
        self.deafen()
        for end in self.ends:
            _swallow(end)

    def deafen(self) -> None:
        """Nothing is forwarded any more; what the ends send is acknowledged until the kernel's buffers are full."""
        for task in self.tasks:
            task.cancel()

    def finish(self) -> None:
        """Ends it as a process that exits does: FIN."""
        self.deafen()
        for end in self.ends:
            end.close()

    def reset(self) -> None:
        """Ends it as a machine that has rebooted does: RST."""
        self.deafen()
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()


class Trap:
    """Waits for bytes that a client sends, forwards what comes before them and ``share`` of them, and acts once.

    after: the trap is set only once these bytes have passed on the same connection. answered: the act comes after the
    server's next answer to those bytes was received, which the client then does not get. held: after the act the
    bytes wait for `release`, and then the connection goes on as if nothing had been; without it the act ends it.
    """

    def __init__(
        self, pattern: bytes, act: Callable[[Link], None], *, share: float = 0.0, after: bytes = b"",
        answered: bool = False, held: bool = False,
    ) -> None:  # fmt: skip
        self.pattern, self.act, self.after, self.answered = pattern, act, after, answered
        self.keep = round(share * len(pattern))
        self.held = held
        self.sprung = threading.Event()
        self.release = asyncio.Event()
        self.passed: set[Link] = set()
        self.tails: dict[Link, bytes] = {}
        self.waits_for_answer: Link | None = None


class Proxy:
    """Use as a context manager; it has a thread of its own, and every method may be called from any thread."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._gone: set[Link] = set()  # half-open ones: closing them would tell the ends
        self._handlers: set[asyncio.Task[None]] = set()
        self._delay_s = 0.0
        self._shut = False
        self._trap: Trap | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._met, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in [*self._links, *self._gone]:
            link.reset()
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await asyncio.sleep(0)

    @property
    def links(self) -> int:
        """How many connections it forwards now."""
        return len(self._links)

    def each(self, act: Callable[[Link], None]) -> int:
        """Does something to every connection that stands now (new ones are forwarded); how many there were."""

        async def now() -> int:
            links = list(self._links)
            for link in links:
                self._lose(link, act)
            return len(links)

        return int(self._call(now()))

    def shut(self, shut: bool) -> None:
        """While shut, a new connection is taken and then hears nothing."""
        self._shut = shut

    def delay(self, delay_s: float) -> None:
        """Holds every piece back for that long, each way."""
        self._delay_s = delay_s

    def release(self, trap: Trap) -> None:
        """Lets go what a trap holds."""
        self._loop.call_soon_threadsafe(trap.release.set)

    def set(self, trap: Trap | None) -> None:
        """Sets a trap on whatever passes from clients to the server from now on, in place of an earlier one."""
        self._trap = trap

    def _lose(self, link: Link, act: Callable[[Link], None]) -> None:
        self._links.discard(link)
        self._gone.add(link)
        act(link)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            if self._shut:
                await asyncio.Event().wait()
            try:
                server_reader, server = await asyncio.open_connection(*self._to)
            except OSError:
                writer.transport.abort()
                return
            link = Link(writer, server)
            self._links.add(link)
            link.tasks = [
                self._loop.create_task(self._forward(link, reader, server, watched=True)),
                self._loop.create_task(self._forward(link, server_reader, writer, watched=False)),
            ]
            await asyncio.wait(link.tasks)
            if link in self._links:
                self._links.discard(link)
                link.finish()
        except asyncio.CancelledError:
            writer.transport.abort()  # the end of the proxy; streams would log a cancelled handler as an error
        finally:
            self._handlers.discard(task)

    async def _forward(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watched: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                trap = self._trap
                if trap is not None and (watched or trap.waits_for_answer is link):
                    through = self._sprung(trap, link, data, watched)
                    if through is not None:
                        writer.write(through)
                        if trap.answered and watched:
                            continue
                        if trap.held:
                            self._act(trap, link)
                            await trap.release.wait()
                            writer.write(data[len(through) :])
                            continue
                        self._lose(link, lambda _: None)
                        with contextlib.suppress(OSError):
                            await writer.drain()
                        # Not from within: to act cancels this very task.
                        self._loop.call_soon(self._act, trap, link)
                        return
                writer.write(data)
                await writer.drain()
        # One direction has ended: the whole connection ends, unless somebody has lost it on purpose.
        for task in link.tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def _act(self, trap: Trap, link: Link) -> None:
        trap.act(link)
        trap.sprung.set()

    def _sprung(self, trap: Trap, link: Link, data: bytes, watched: bool) -> bytes | None:
        """What is still let through where the trap springs now, else None."""
        if not watched:
            self._trap = None
            return b""
        start = 0
        if trap.after and link not in trap.passed:
            tail = trap.tails.get(link, b"")  # it may come in two pieces
            at = (tail + data).find(trap.after)
            if at < 0:
                trap.tails[link] = (tail + data)[1 - len(trap.after) :]
                return None
            trap.passed.add(link)
            start = max(0, at - len(tail))
        at = data.find(trap.pattern, start)
        if at < 0:
            return None
        if trap.answered:
            trap.waits_for_answer = link
            return data
        self._trap = None
        return data[: at + trap.keep]
