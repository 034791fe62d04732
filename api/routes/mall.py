"""What the outside mall asks for: to redeem a citizen's code for points, to give them back, to look up what became of a
key. It shows its own token, or that of a
department with the scope `points:redeem`, and learns of the citizen nothing but that the points are there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ingest import Buckets, Budget
from ledger import paper, redemption

from ..mall import is_mall
from .bodies import read_json
from .devices import NotAllowed, take

PATH = "/api/v1/redemptions"
"""Reached without the instance's token: the mall has one of its own, which opens nothing else."""
router = APIRouter(prefix=PATH)

_ASKED = Budget(burst=120, per_s=20)
"""Requests of the mall: a large one at its busiest. Guessing a code takes 2^54 tries, whatever the pace."""
_WRONG = Budget(burst=10, per_s=10 / 60)
"""Wrong tokens, from one address."""
_KEY = r"^[A-Za-z0-9._:-]{8,100}$"


def attach(state: Any) -> None:
    """What the routes of this file need of an application."""
    state.mall_asked, state.mall_wrong = Buckets(_ASKED, 10), Buckets(_WRONG, 10_000)


async def mall_of(request: Request) -> str:
    """Which mall asks: empty for the one with the key file, else the department's name. Raises NotAllowed."""
    admission = getattr(request.state, "admission", None)
    if admission is not None:  # the gate has looked at its token, its scope and its pace
        return str(admission.certificate.department)  # by its name: a new certificate is still the same mall
    mall = request.app.state.site.mall
    if mall is None:
        raise NotAllowed(404, "no_mall", "no mall takes points here (ROADCODE_MALL_KEY names its key file)")
    here = request.app.state.limits.name_of(request.client.host if request.client else "")
    wait_s = request.app.state.mall_wrong.wait_s(here, time.monotonic())
    if wait_s > 0:
        raise NotAllowed(429, "too_often", "too many wrong tokens from here: try again later", wait_s)
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not is_mall(mall.key, given):
        request.app.state.mall_wrong.take(here, time.monotonic())
        raise NotAllowed(401, "not_the_mall", "send Authorization: Bearer and the token of the mall's key file")
    take(request.app.state.mall_asked, "", "too many requests")
    return ""


Mall = Annotated[str, Depends(mall_of)]


class Redeeming(BaseModel):
    """A code that a customer showed, and the mall's own key for this redemption: a new one each time."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(min_length=1, max_length=40)
    key: str = Field(pattern=_KEY)


class Naming(BaseModel):
    """A key in a path, checked as in a body."""

    key: str = Field(pattern=_KEY)


async def _with(request: Request, work: Callable[[Any, datetime, date], Any]) -> Any:
    now_s = time.time()
    at, today = datetime.fromtimestamp(now_s, UTC), request.app.state.site.city.service_day(now_s)

    def run() -> Any:
        with request.app.state.site.pool.connection() as conn, conn.transaction():
            return work(conn, at, today)

    return await run_in_threadpool(run)


def _told(found: redemption.Redemption, status: int = 200) -> JSONResponse:
    return JSONResponse(found.told(), status_code=status, headers={"Cache-Control": "no-store"})


@router.post("", status_code=201)
async def redeem(request: Request, mall: Mall) -> JSONResponse:
    """Redeems a code: `{"code", "key"}`. The same again gives the same answer (200 in the place of 201), so a request
    whose answer was lost is simply sent once more."""
    wanted = await read_json(request, Redeeming)
    number = paper.read_number(wanted.code, paper.CODE)
    name = secrets.token_hex(10)
    found, first = await _with(
        request, lambda c, at, day: redemption.redeem(c, number, wanted.key, name, at, day, mall)
    )
    return _told(found, 201 if first else 200)


@router.get("/{key}")
async def look_up(request: Request, mall: Mall, key: str) -> JSONResponse:
    """What became of a key."""
    return _told(await _with(request, lambda c, _at, _day: redemption.redemption(c, _key(key), mall)))


@router.post("/{key}/refund")
async def give_back(request: Request, mall: Mall, key: str) -> JSONResponse:
    """Gives the points of a redemption back, once; again changes nothing. They are as old as they were."""
    return _told(await _with(request, lambda c, at, day: redemption.refund(c, _key(key), at, day, mall)))


def _key(key: str) -> str:
    try:
        return Naming(key=key).key
    except ValueError:
        raise NotAllowed(422, "bad_request", "a key is 8 to 100 letters, digits and . _ : -") from None
