"""The log over HTTP: checkpoint, tiles, proofs and receipts, as C2SP tlog-tiles has them.

Checkpoint, hash tiles, consistency proofs and keys are hashes and signatures, and are reached without the instance's
token, since witnesses and auditors need them; what shows records (entry tiles, inclusion proofs) needs it.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from typing import Annotated, Any, Final

import psycopg
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout

from ingest import Buckets, Budget
from ledger import (
    NoTile,
    NotProvable,
    Tiles,
    entry_tile,
    hash_tile,
    prove,
    receipt_for,
    signed_size,
    tile_address,
    witnessed_note,
)

from ..promised import shown
from .devices import NotAllowed, name_of_client

_OPEN: Final = re.compile(
    r"/log/(?:checkpoint|consistency|cosignature|keys|witnessed|tile/[0-7]/[0-9x/]{3,40}(?:\.p/[0-9]{1,3})?)\Z"
)
"""Hash tiles are matched by their digits, so that no spelling of `entries` gets through."""
_BY_ADDRESS: Final = Budget(burst=4_000, per_s=200)
"""Answers to one address below `/log`. A witness takes a checkpoint a second; an auditor reads a log of ten million
leaves, 39,000 tiles, in three minutes. More lets one address keep the web's threads from the map."""
_IN_ALL: Final = Budget(burst=20_000, per_s=1_000)
"""To all of them: addresses are free to invent in IPv6."""
_FOR_EVER: Final = "max-age=31536000, immutable"
_NOW: Final = {"Cache-Control": "no-cache"}


def is_open(path: str) -> bool:
    """Whether a path is reached without the instance's token."""
    return _OPEN.match(path) is not None


async def bounded(request: Request) -> None:
    """Takes the tokens of a request, in the event loop alone. Raises NotAllowed."""
    state, now_s = request.app.state, time.monotonic()
    if not hasattr(state, "log_budgets"):
        state.log_budgets = (Buckets(_BY_ADDRESS, 100_000), Buckets(_IN_ALL, 1))
    for buckets, name in zip(state.log_budgets, (name_of_client(request), ""), strict=True):
        if not buckets.take(name, now_s):
            raise NotAllowed(429, "too_often", "too many questions to the log", buckets.wait_s(name, now_s))


router = APIRouter(prefix="/log", dependencies=[Depends(bounded)])


def _tiles(request: Request) -> Tiles:
    tiles: Tiles = request.app.state.site.ledger().tiles
    return tiles


def _refused(status: int, name: str, error: object) -> JSONResponse:
    body = {"error": name, "detail": str(error)}
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})


@router.get("/checkpoint")
def checkpoint(request: Request) -> Response:
    """The newest signed checkpoint with what witnesses signed of it so far, a note (C2SP tlog-checkpoint)."""
    note = _tiles(request).note()
    if note is None:
        return _refused(404, "no_checkpoint", "nothing is signed yet: the anchorer signs with the first record")
    try:
        with request.app.state.site.pool.connection() as conn:
            note = witnessed_note(conn, note)
    except (psycopg.Error, PoolTimeout):
        pass  # the head is a file and stands without the database; what witnesses signed of it comes back with it
    return Response(note, media_type="text/plain; charset=utf-8", headers=_NOW)


@router.get("/tile/{address:path}")
def tile(request: Request, address: str) -> Response:
    """A tile of hashes (LEVEL/INDEX) or of records (entries/INDEX), `.p/WIDTH` behind it where it is not full."""
    try:
        wanted = tile_address(address)
        if wanted.level is None:
            with request.app.state.site.pool.connection() as conn:
                body = entry_tile(conn, _tiles(request), wanted)
        else:
            body = hash_tile(_tiles(request), wanted)
    except NoTile as error:
        return _refused(404, "no_tile", error)
    # A tile of one width never changes. Who may read records is asked of everybody, so no cache on the way keeps them.
    whose = "private" if wanted.level is None else "public"
    return Response(body, media_type="application/octet-stream", headers={"Cache-Control": f"{whose}, {_FOR_EVER}"})


@router.get("/consistency")
def consistency(
    request: Request, first: Annotated[int, Query(ge=1, lt=1 << 63)],
    second: Annotated[int | None, Query(ge=1, lt=1 << 63)] = None,
) -> Response:  # fmt: skip
    """That the tree of `first` leaves is the beginning of the one of `second` (default: the newest signed one)."""
    tiles = _tiles(request)
    size = signed_size(tiles)
    second = size if second is None else second
    if not first <= second <= size:
        return _refused(404, "no_such_size", f"the signed log has {size} leaves: first <= second <= {size}")
    hashes = [b64encode(value).decode() for value in tiles.consistency(first, second)]
    return JSONResponse({"first": first, "second": second, "hashes": hashes}, headers=_NOW)


@router.get("/proof/{idx}")
def proof(request: Request, idx: Annotated[int, Path(ge=0, lt=1 << 63)]) -> Response:
    """The proof of record `idx` against the newest signed checkpoint: `roadcode verify` and any auditor checks it."""
    try:
        with request.app.state.site.pool.connection() as conn:
            found = prove(conn, _tiles(request), idx, which="head")
    except NotProvable as error:
        return _refused(404, "not_provable", error)
    return JSONResponse(found, headers=_NOW)


@router.get("/receipt/{leaf}")
def receipt(request: Request, leaf: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
    """The receipt of a record by its leaf hash (hex): COSE_Sign1 in base64, and what it says."""
    site = request.app.state.site
    with site.pool.connection() as conn, conn.transaction():
        given = receipt_for(conn, bytes.fromhex(leaf), site.promiser())
    if given is None:
        return _refused(404, "no_such_record", "no record has this leaf hash: SHA-256 of a zero byte and its body")
    return JSONResponse(shown(given), headers={"Cache-Control": "no-store"})


@router.get("/keys")
def keys(request: Request) -> dict[str, Any]:
    """The public keys of this log: of its checkpoints, and of its receipts, each with its algorithm."""
    site = request.app.state.site
    key = site.promiser().pair.key
    return {
        "log": site.promiser().log,
        "checkpoints": {"alg": "Ed25519", "verifier": site.ledger().verifier or None},
        "receipts": {"alg": "EdDSA", "kid": key.kid.hex(), "public": key.public.hex()},
    }
