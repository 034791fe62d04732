"""A witness over HTTP as C2SP tlog-witness has it: `POST /add-checkpoint`. Nothing of the platform is needed for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from ingest import Buckets, Budget
from ledger import MAX_REQUEST, SIZE_TYPE, Fork, OtherSize, Refusal, RequestError, Witness, parse_request

_TOLD: Final = Budget(burst=60, per_s=0.2)
"""Lines about requests that anybody can send: 5 MB a day at the most. Fewer, and a log with a wrong key goes unseen."""


def witness_app(witness: Witness, clock_s: Callable[[], float], say: Callable[[str], object]) -> FastAPI:
    """The application. `say` hears of refusals that are more than a stale size, in a line: of forks always, of others
    as long as strangers do not fill a disk with them."""
    told = Buckets(_TOLD, 1)
    app = FastAPI(title="Witness", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_REQUEST:
                return _text(f"a request has at most {MAX_REQUEST} bytes", 413)
        return await run_in_threadpool(_signed, body)

    def _signed(body: bytes) -> Response:
        try:
            old, proof, note = parse_request(body)
            line = witness.add_checkpoint(old, proof, note, int(clock_s())).line
        except RequestError as error:
            return _text(str(error), 400)
        except OtherSize as error:
            return Response(f"{error.size}\n", status_code=409, headers={"Content-Type": SIZE_TYPE})
        except Refusal as error:
            if isinstance(error, Fork) or told.take("", clock_s()):
                say(f"{type(error).__name__}: {str(error)[:300]}")
            return _text(str(error), error.status)
        return _text(line.rstrip("\n"), 200)

    @app.get("/")
    def about() -> Response:
        return _text(witness.key.vkey, 200)

    return app


def _text(text: str, status: int) -> Response:
    return Response(f"{text}\n", status_code=status, media_type="text/plain; charset=utf-8")
