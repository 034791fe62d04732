"""What witnesses hand in and what they signed: `/log/cosignature`, `/log/witnessed`, and `.tlog-proof` files."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from ledger import (
    MAX_NOTE,
    NoteError,
    NotProvable,
    checkpoint_at,
    cosignatures_of,
    newest_witnessed,
    parse_checkpoint,
    put_cosignatures,
    tlog_proof,
)

from .devices import NotAllowed
from .log import bounded

router = APIRouter(prefix="/log", dependencies=[Depends(bounded)])
_TEXT: Final = "text/plain; charset=utf-8"
_MOST_BODY: Final = 2 * MAX_NOTE
"""Bytes of a note handed in: the most characters of one, with room for those of several bytes."""


def _refused(status: int, name: str, detail: object) -> JSONResponse:
    body = {"error": name, "detail": str(detail)}
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})


@router.post("/cosignature")
async def cosignature(request: Request) -> Response:
    """Take a checkpoint of ours that a witness of the policy signed: the note with its line. Who is not in the policy
    is refused, and so is a checkpoint that we did not sign."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BODY:
            raise NotAllowed(413, "too_large", f"at most {_MOST_BODY} bytes")
    return await run_in_threadpool(_take, request, body)


def _take(request: Request, body: bytes) -> Response:
    site = request.app.state.site
    policy = site.ledger().policy
    if policy is None:
        return _refused(403, "no_witnesses", "this log names no witnesses: its operator sets ROADCODE_WITNESSES")
    try:
        note = body.decode()
        size = parse_checkpoint(note).size
        signed = cosignatures_of(note, policy.keys)
    except (UnicodeDecodeError, NoteError) as error:
        return _refused(422, "bad_note", error)
    if not signed:
        return _refused(403, "unknown_witness", "no line of the note is by a witness of this log's policy")
    with site.pool.connection() as conn, conn.transaction():
        ours = checkpoint_at(conn, size)
        if ours is None:
            return _refused(404, "no_such_checkpoint", f"this log signed no checkpoint of {size} leaves")
        if ours[2].partition("\n\n")[0] != note.partition("\n\n")[0]:
            # Whoever shows us a witness's signature under another tree shows a fork, or a witness that lies.
            return _refused(409, "other_checkpoint", f"this log's checkpoint of {size} leaves has another root")
        new = put_cosignatures(conn, size, signed)
    names = policy.names_of(signed)
    return JSONResponse({"size": size, "witnesses": names, "new": new}, headers={"Cache-Control": "no-store"})


@router.get("/witnessed")
def witnessed(request: Request) -> Response:
    """The newest checkpoint that enough witnesses of this log's policy signed, as a note with their lines."""
    site = request.app.state.site
    policy = site.ledger().policy
    if policy is None:
        return _refused(404, "no_witnesses", "this log names no witnesses: its operator alone stands for its history")
    with site.pool.connection() as conn:
        found = newest_witnessed(conn, policy)
    if found is None:
        return _refused(404, "no_quorum", f"no checkpoint was signed by enough witnesses yet; needed: {policy.needed}")
    return Response(found[1], media_type=_TEXT, headers={"Cache-Control": "no-cache"})


@router.get("/tlog-proof/{idx}")
def proof_file(request: Request, idx: Annotated[int, Path(ge=0, lt=1 << 63)]) -> Response:
    """The proof of record `idx` as a `.tlog-proof` file, under the newest witnessed checkpoint where there is one."""
    ledger = request.app.state.site.ledger()
    try:
        with request.app.state.site.pool.connection() as conn:
            text = tlog_proof(conn, ledger.tiles, idx, ledger.policy).text()
    except NotProvable as error:
        return _refused(404, "not_provable", error)
    named = {"Content-Disposition": f'attachment; filename="record-{idx}.tlog-proof"', "Cache-Control": "no-cache"}
    return Response(text, media_type=_TEXT, headers=named)
