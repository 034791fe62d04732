"""Word of changed codes: a line that only listens notices, too, that nobody is there any more."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from api import push, wiring
from api.coder import CHANNEL
from api.push import Board, Guest, TooManyReaders
from api.settings import Settings

from ..faults.proxy import Link, Proxy


def test_a_board_behind_a_dead_wire_notices_it_and_hears_again(database: str, tmp_path: Path) -> None:
    port = int(str(conninfo_to_dict(database)["port"]))
    with Proxy("127.0.0.1", port) as wire, psycopg.connect(database, autocommit=True) as conn:
        url = make_conninfo(database, host="127.0.0.1", port=wire.port)
        site, _ = wiring.site(Settings(home=tmp_path, database_url=SecretStr(url)))

        async def heard(reader: asyncio.Task[str], within_s: float) -> str:
            end_s = time.monotonic() + within_s
            while not reader.done() and time.monotonic() < end_s:
                conn.execute("SELECT pg_notify(%s, 'a box')", (CHANNEL,))
                await asyncio.wait([reader], timeout=0.2)
            if not reader.done():
                pytest.fail(f"no notice within {within_s:g} s")
            return reader.result()

        async def main() -> None:
            listening = asyncio.create_task(site.board.listen())
            lines = (line async for line in site.board.read() if line.startswith("event"))
            try:
                assert "a box" in await heard(asyncio.create_task(anext(lines)), 10)
                assert wire.each(Link.silence) == 1
                next_one = asyncio.create_task(anext(lines))
                while site.board._readers and (left := next(iter(site.board._readers))).qsize():
                    left.get_nowait()  # what came before the wire died proves nothing
                # Keepalives of 5 s and three of 2 s, a second's rest, a new connection; the wire holds nothing back.
                assert "a box" in await heard(next_one, 1.5 * wiring.VANISHED_S + 5)
                assert wire.links == 1
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                await lines.aclose()

        asyncio.run(main())


def board() -> Board:
    return Board("", CHANNEL, print, {}, "ends")


def test_a_stream_that_is_never_quiet_ends_without_word_of_its_revocation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Word may be lost with the line to the database; in a busy city the reader hears something all the time."""
    monkeypatch.setattr(push, "LOOK_S", 0.2)

    async def ended() -> bool:
        return False

    async def main() -> None:
        busy = board()
        reader = busy.read(Guest("dep-1", 60.0, True, ended))
        assert await anext(reader) == ": open\n\n"
        for _ in range(200):
            busy._tell(CHANNEL, "a box")
            await asyncio.sleep(0.01)
            if "event: end" in await anext(reader):
                return
        pytest.fail("it hears on")

    asyncio.run(main())


def test_one_certificate_cannot_close_the_map_to_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "MOST_OF_ONE", 2)

    async def holds() -> bool:
        return True

    async def main() -> None:
        full = board()
        mine, other = (Guest(name, 60.0, True, holds) for name in ("dep-1", "dep-2"))
        readers = [full.read(mine) for _ in range(2)]
        for reader in readers:
            full.admit(mine)
            await anext(reader)
        with pytest.raises(TooManyReaders):
            full.admit(mine)
        full.admit(other)
        full.admit()
        for reader in readers:
            await reader.aclose()  # type: ignore[attr-defined]
        full.admit(mine)

    asyncio.run(main())
