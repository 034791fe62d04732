"""The real files of the page that scans, under the real headers, with a trust list that a test can change."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

import api.app
from ledger import KeyPair, TrustList, sign_trust_list

WEB = Path(api.app.__file__).parent / "web"


@dataclass
class ScanSite:
    """publisher: signs the list. down: nothing is answered but errors. asked: paths of what was asked."""

    trust: TrustList
    publisher: KeyPair
    url: str = ""
    down: bool = False
    asked: list[str] = field(default_factory=list)
    red_cell: int = 0
    red_lonlat: tuple[float, float] = (0.0, 0.0)


def scan_app(site: ScanSite) -> FastAPI:
    """The routes that the page asks."""
    app = FastAPI()

    @app.middleware("http")
    async def headers(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        site.asked.append(request.url.path)
        answer = Response("down", status_code=503) if site.down else await go_on(request)
        for name, value in api.app._HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    @app.get("/api/v1/trust-list")
    def trust_list() -> Response:
        return Response(sign_trust_list(site.trust, site.publisher), media_type="application/cose")

    @app.get("/api/v1/trust-list/key")
    def key() -> dict[str, Any]:
        return {"alg": -8, "public": site.publisher.key.public.hex()}

    app.mount("/", StaticFiles(directory=WEB, html=True))
    return app


@contextmanager
def served(site: ScanSite) -> Iterator[ScanSite]:
    """The site at `url`, until the end."""
    config = uvicorn.Config(scan_app(site), log_level="error", timeout_graceful_shutdown=0, lifespan="off")
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        site.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        end_s = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < end_s, "the page that scans does not start"
            thread.join(0.02)
        yield site
        server.should_exit = True
        thread.join(10)
