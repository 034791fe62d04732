"""Proofs for auditors: everything behind a square's code, and what a chunk caused."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from .. import audit
from .devices import NotAllowed

router = APIRouter(prefix="/api/v1")
_AT_ONCE: Final = 2
"""Proofs that are made at one time. Each reads the hashes of up to 31 days of the city: with more, a few readers hold
all the web's connections and threads, and the map stands still."""
_WAIT_S: Final = 0.5
_AGAIN_S: Final = 10.0
_turns = threading.BoundedSemaphore(_AT_ONCE)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=_WAIT_S):
        raise NotAllowed(429, "too_often", "other proofs are being made: ask again in a few seconds", _AGAIN_S)
    try:
        yield
    finally:
        _turns.release()


@router.get("/cells/{cell}/proof")
def road_proof(request: Request, cell: int) -> JSONResponse:
    """The road proof of a square as a file: records, hashes of the chunks, checkpoint, witnesses, anchor. What
    `roadcode audit check` and the page audit.html check without this platform."""
    site = request.app.state.site
    with _turn():
        document = audit.bundle(site.pool.connection, cell, site.city, site.ledger(), time.time())
    name = f"square-{cell}.road-proof.json"
    return JSONResponse(document, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@router.get("/trace/{hashed}")
def chunk_proof(
    request: Request,
    hashed: Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="salted hash, or SHA-256 of the chunk's bytes")],
    day: Annotated[date, Query(description="the chunk's service day")],
) -> dict[str, Any]:
    """What a chunk caused, and its way into the seal of its day. Only its sender and the platform have its hash."""
    site = request.app.state.site
    with _turn():
        return audit.trace(site.pool.connection, bytes.fromhex(hashed), day, site.city, site.ledger())
