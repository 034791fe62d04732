"""What a hub answers: lists of keys and value sets, to anybody, and nothing else. No certificate, no place and no
question about one ever reaches it: there is no path that takes one, and no address of who asks is written down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from ledger import read1

from .hub import Hub, HubError, Public

_LOOK_S = 600.0
"""How often a hub that renews by itself looks whether it is time: far less than the day after which it is."""
_COSE = "application/cose"


def create_hub_app(folder: Path, renew: bool) -> FastAPI:
    """The application over a hub's folder. renew: it signs a new list once a day; else it needs no secret."""
    public = Public(folder)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        turning = asyncio.create_task(_renew(Hub(folder))) if renew else None
        try:
            yield
        finally:
            if turning is not None:
                turning.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await turning

    app = FastAPI(title="Road health code hub", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def plain(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = await go_on(request)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers.setdefault("Cache-Control", "no-cache")
        return answer

    @app.get("/trust-list")
    def newest(request: Request) -> Response:
        """The newest list, as it was signed."""
        return _document(request, public, public.newest())

    @app.get("/trust-list/{number}")
    def numbered(request: Request, number: int) -> Response:
        """One list by its number: the chain of hashes can be followed from any of them."""
        return _document(request, public, number)

    @app.get("/value-sets")
    def sets(request: Request) -> Response:
        """Names of the value sets, with their hashes."""
        known = {name: data for name in public.value_set_names() if (data := public.value_set(name)) is not None}
        said = json.dumps({name: {"sha256": sha256(data).hexdigest()} for name, data in known.items()}).encode()
        return _tagged(request, said, "application/json")

    @app.get("/value-sets/{name}")
    def value_set(request: Request, name: str) -> Response:
        """One value set."""
        data = public.value_set(name)
        return _missing("no_such_set") if data is None else _tagged(request, data, "application/json")

    @app.get("/healthz")
    def health() -> JSONResponse:
        """Whether there is a list, its number and who signed it; its time stands in it."""
        number = public.newest()
        data = public.document(number)
        if data is None:
            return JSONResponse({"status": "empty"}, status_code=503)
        return JSONResponse({"status": "ok", "number": number, "kid": read1(data).kid.hex()})

    return app


def _document(request: Request, public: Public, number: int) -> Response:
    data = public.document(number)
    return _missing("no_such_list") if data is None else _tagged(request, data, _COSE, str(number))


def _tagged(request: Request, data: bytes, kind: str, number: str = "") -> Response:
    tag = f'"{sha256(data).hexdigest()}"'
    headers = {"ETag": tag} | ({"Trust-List-Number": number} if number else {})
    if tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)


def _missing(name: str) -> Response:
    return JSONResponse({"error": name, "detail": "GET /trust-list and /value-sets say what there is"}, status_code=404)


async def _renew(hub: Hub) -> None:
    log = structlog.get_logger("hub")
    while True:
        try:
            published = await asyncio.to_thread(hub.renew, time.time())
            if published is not None:
                log.info("published", number=published.trust.number)
        except (HubError, OSError) as error:
            log.warning("not renewed", why=str(error)[:200])
        await asyncio.sleep(_LOOK_S)
