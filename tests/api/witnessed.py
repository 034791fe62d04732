"""A log with witnesses around it, over real HTTP: what the tests of witnessing stand on."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import uvicorn

from api import wiring, witnessing
from api.settings import Settings
from ledger import Chain, Log, Policy, Tiles, Witness, enqueue, step

from ..ledger.test_store import code
from ..street import until

NOW = 1_795_600_000
ABSENT = "http://127.0.0.1:9/"


@contextmanager
def on_http(app: Any) -> Iterator[str]:
    """An application on a port of this machine."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until(lambda: server.started, 20, "the witness serves")
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A folder as it is: how a log looks that serves plain files."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def plain_files(folder: Path) -> Iterator[str]:
    """A log's folder over HTTP, without any of our own server's code."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def below(client: httpx.Client) -> str:
    """The address of the log that a client talks to."""
    return f"{str(client.base_url).rstrip('/')}/log"


@dataclass
class World:
    """A log of the platform with three witnesses that its policy names, two of them needed; and a fourth, unnamed."""

    settings: Settings
    log: Log
    witnesses: list[Witness]
    urls: list[str]
    policy: Policy
    client: httpx.Client
    conn: psycopg.Connection[Any]
    chain: Chain
    first: int = 0  # leaves of the first checkpoint

    @property
    def url(self) -> str:
        """Of the log."""
        return below(self.client)

    def grow(self, count: int) -> int:
        """Let the platform say something; gives the size of the new checkpoint."""
        enqueue(self.conn, [code(self.log.size + i) for i in range(count)])
        self.conn.commit()
        return step(self.conn, self.log, self.chain, NOW).size

    def asking(self, policy: Policy | None = None) -> witnessing.Asking:
        """What the anchorer starts."""
        connect = partial(wiring.database, self.settings, False)
        return witnessing.Asking(connect, Tiles(self.log.folder), policy or self.policy, self.settings.witness_every_s)
