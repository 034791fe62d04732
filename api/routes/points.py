"""A citizen's points: joining and leaving, why each point came or did not, statements, appeals, reports with a photo,
and codes for the mall. A device's credential is all that it needs."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import psycopg
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from defects import BY_KEY
from ingest import Buckets, Budget
from ingest import devices as own
from ledger import NoAccount, PointsError, PurseRefused, paper, points_store, redemption, reports

from .. import consent, own_points, statements
from ..erasure import leave_points
from ..photos import MOST_BYTES, BadPhoto, redrawn
from ..pointing import cell_of
from .bodies import read_bytes, read_json
from .devices import Me, NotAllowed, take

router = APIRouter(prefix="/api/v1/me")
Conn = psycopg.Connection[Any]
T = TypeVar("T")
OPEN_FILES = ("/me.html", "/elements.js", "/icon.svg")
"""Files that a citizen's phone loads without the instance's token, besides those below `/me/`: they say nothing of the
roads, and all that the page shows is asked for with the device's own credential."""

_WRITES = Budget(burst=20, per_s=20 / 3600)
"""Reports, appeals, joining and leaving of one device. The store bounds how many wait for a person; this bounds how
often the database is asked."""
_PHOTOS = Budget(burst=12, per_s=12 / 3600)
"""Photos of one device: each is decoded, which takes up to a second of a core."""
_CODES = Budget(burst=10, per_s=10 / 600)
_DRAWN_AT_ONCE = 2
"""Photos that are drawn anew at the same time in this process: each may take 100 MB for a moment."""
DRIVING_S = 180.0
"""How old a phone's newest chunk may be for us to say that it drives. A phone keeps back the last 60 s of a trip, and
sends each 5 s as it goes: after that long without one it has stopped, or has no network and then cannot ask either."""
DRIVING_M = 14.0
"""Metres in a chunk of 5 s: 10 km/h."""


@dataclass
class Limits:
    """What may be asked how often, in this process."""

    writes: Buckets
    photos: Buckets
    codes: Buckets
    drawing: asyncio.Semaphore


def attach(state: Any) -> None:
    """What the routes of this file need of an application."""
    state.points = Limits(
        Buckets(_WRITES, 100_000), Buckets(_PHOTOS, 100_000), Buckets(_CODES, 100_000),
        asyncio.Semaphore(_DRAWN_AT_ONCE),
    )  # fmt: skip


async def _with(request: Request, work: Callable[[Conn], T]) -> T:
    """Runs ``work`` in a transaction."""

    def run() -> T:
        with request.app.state.site.pool.connection() as conn, conn.transaction():
            return work(conn)

    return await run_in_threadpool(run)


def _account(conn: Conn, me: str) -> str:
    account = points_store.account_of(conn, me)
    if account is None:
        raise NoAccount("this phone collects no points: POST /api/v1/me/points joins")
    return account


def _not_while_driving(request: Request, conn: Conn, me: str, now_s: float) -> None:
    """Raises NotAllowed where the platform itself saw this phone drive a moment ago. The page asks the phone's own
    position, which is better: this holds for other clients, and only while the phone also measures."""
    newest = own.newest_chunk(conn, me, request.app.state.site.city.service_day(now_s))
    if newest is not None and now_s - newest[0] < DRIVING_S and newest[1] >= DRIVING_M:
        wait_s = DRIVING_S - (now_s - newest[0])
        raise NotAllowed(429, "driving", "this phone was driving a moment ago: stop first, then try again", wait_s)


def _told(body: Any, status: int = 200) -> JSONResponse:
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})


def _now(request: Request) -> tuple[float, datetime, date]:
    now_s = time.time()
    return now_s, datetime.fromtimestamp(now_s, UTC), request.app.state.site.city.service_day(now_s)


# ---------------------------------------------------------------- joining and leaving


class Joining(BaseModel):
    """What one sends who wants points."""

    model_config = ConfigDict(extra="forbid")

    consent: str = Field(max_length=20)


@router.post("/points", status_code=201)
async def join(request: Request, me: Me) -> JSONResponse:
    """Joins: `{"consent": version}` of the text on points in `/api/v1/consent`. Again changes nothing."""
    wanted = await read_json(request, Joining)
    take(request.app.state.points.writes, me, "too many changes")
    if wanted.consent != consent.POINTS_VERSION:
        raise NotAllowed(409, "other_consent", "show the text on points of GET /api/v1/consent, and send its version")
    _, at, _ = _now(request)

    def joined(conn: Conn) -> bool:
        # Until this ends nobody is shut out: an account that is opened behind an erasure would keep the name for good.
        let_in, _ = own.still_let_in(conn, [me])
        device = own.device(conn, me)
        if device is None or device.kind != "phone" or me not in let_in:
            raise NotAllowed(403, "not_a_phone", "a box belongs to the city: points are for citizens")
        before = points_store.account_of(conn, me)
        account = points_store.open_account(conn, secrets.token_hex(16), at, device=me)
        reports.agree(conn, account, wanted.consent)
        return before is None

    new = await _with(request, joined)
    return _told({"joined": True, "consent": wanted.consent}, 201 if new else 200)


@router.delete("/points")
async def leave(request: Request, me: Me) -> JSONResponse:
    """Leaves: points that are left go, and with them what is kept of this account. Says what stays."""
    take(request.app.state.points.writes, me, "too many changes")
    gone = await _with(request, lambda conn: leave_points(conn, me))
    return _told({"joined": False, "gone": gone, "stays": consent.POINTS_STAY})


@router.get("/credits")
async def explain(request: Request, me: Me) -> JSONResponse:
    """Explains every point: balance, what expires soon, and by day what came, what did not and why, and when it is
    settled. `{"joined": false}` where this phone collects none."""
    now_s, _, _ = _now(request)
    city = request.app.state.site.city

    def told(conn: Conn) -> dict[str, Any]:
        account = points_store.account_of(conn, me)
        if account is None:
            return {"joined": False, "banner": city.banner}
        return own_points.credits_of(conn, account, city, now_s)

    return _told(await _with(request, told))


@router.get("/credits/{day}/statement")
async def statement(request: Request, me: Me, day: date) -> JSONResponse:
    """The statement as of a day's settlement, for `roadcode verify --statement`: it holds without us."""
    ledger = request.app.state.site.ledger
    found = await _with(request, lambda conn: statements.document(conn, _account(conn, me), day, ledger()))
    answer = _told(found)
    answer.headers["Content-Disposition"] = f'attachment; filename="statement-{day.isoformat()}.json"'
    return answer


# ---------------------------------------------------------------- appeals


class Appealing(BaseModel):
    """What one sends who does not agree."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    day: date
    text: str = Field(min_length=1, max_length=500)


@router.post("/credits/appeals", status_code=201)
async def appeal(request: Request, me: Me) -> JSONResponse:
    """Asks a person to look at a day again: `{"day", "text"}`. One that waits a day, five in all."""
    wanted = await read_json(request, Appealing)
    take(request.app.state.points.writes, me, "too many appeals")
    now_s, at, today = _now(request)
    text = reports.spoken(wanted.text)
    if not text:
        raise NotAllowed(422, "bad_request", "text: say in words what is wrong")

    def made(conn: Conn) -> int:
        account = _account(conn, me)
        _not_while_driving(request, conn, me, now_s)
        return reports.appeal(conn, account, wanted.day, text, at, today)

    return _told({"appeal": await _with(request, made), "state": "waiting"}, 201)


@router.get("/credits/appeals")
async def own_appeals(request: Request, me: Me) -> JSONResponse:
    """The appeals of this phone, and what a person answered."""
    found = await _with(request, lambda conn: reports.appeals_of(conn, _account(conn, me)))
    return _told({"appeals": [own_points.appeal_told(a) for a in found]})


# ---------------------------------------------------------------- reports


class Reporting(BaseModel):
    """A report: where (WGS 84), which kind, and a note."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)

    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)
    kind: str = Field(max_length=40)
    note: str = Field(default="", max_length=reports.LONGEST_NOTE)


@router.post("/reports", status_code=201)
async def report(request: Request, me: Me) -> JSONResponse:
    """Reports a defect: `{"lat", "lon", "kind", "note"}`; then `PUT` its photo. A person looks at it."""
    wanted = await read_json(request, Reporting)
    take(request.app.state.points.writes, me, "too many reports")
    if wanted.kind not in BY_KEY:
        raise NotAllowed(422, "bad_request", f"kind is one of {', '.join(BY_KEY)}")
    now_s, at, today = _now(request)
    cell = cell_of(request.app.state.site.city, wanted.lat, wanted.lon)
    number = paper.number_of(secrets.randbelow(paper.space(paper.NAME)), paper.NAME)

    def made(conn: Conn) -> None:
        account = _account(conn, me)
        _not_while_driving(request, conn, me, now_s)
        reports.add_report(conn, number, account, "photo", today, cell, wanted.kind, reports.spoken(wanted.note), at)

    await _with(request, made)
    return _told({"number": paper.grouped(number), "cell": cell, "state": "waiting"}, 201)


@router.get("/reports")
async def own_reports(request: Request, me: Me) -> JSONResponse:
    """The reports of this phone, and what became of them."""
    found = await _with(request, lambda conn: reports.reports_of(conn, _account(conn, me)))
    return _told({"reports": [own_points.report_told(r) for r in found]})


@router.put("/reports/{number}/photo")
async def photo(request: Request, me: Me, number: str) -> JSONResponse:
    """The photo of a report that waits, JPEG or PNG up to 4 MB. It is drawn anew: place, time and all that is written
    beside the pixels are left out. Faces and number plates are not looked for."""
    limits = request.app.state.points
    take(limits.photos, me, "too many photos")
    read = paper.read_number(number[:40], paper.NAME)
    _, at, _ = _now(request)
    # Asked before a byte is decoded: who has no such report costs nothing.
    await _with(request, lambda conn: _own_report(conn, me, read))
    data = await read_bytes(request, MOST_BYTES, ("image/jpeg", "image/png"))
    async with limits.drawing:
        try:
            drawn = await run_in_threadpool(redrawn, data)
        except BadPhoto as error:
            raise NotAllowed(422, "bad_photo", str(error)) from None
    await _with(request, lambda conn: reports.put_photo(conn, read, _account(conn, me), drawn, at))
    return _told({"number": paper.grouped(read), "bytes": len(drawn)})


def _own_report(conn: Conn, me: str, number: str) -> None:
    account = _account(conn, me)
    if all(r.id != number for r in reports.reports_of(conn, account)):
        raise reports.NoSuchReport("you have no report of that number")


# ---------------------------------------------------------------- codes for the mall


class Offering(BaseModel):
    """How many points a code is to be for."""

    model_config = ConfigDict(extra="forbid")

    points: int = Field(gt=0, le=redemption.MOST_POINTS)


@router.post("/redemption-code", status_code=201)
async def code(request: Request, me: Me) -> JSONResponse:
    """A code to show at the mall, once, good for 15 minutes: `{"points": N}`. A new one voids the one before."""
    wanted = await read_json(request, Offering)
    take(request.app.state.points.codes, me, "too many codes")
    _, at, today = _now(request)
    number = paper.number_of(secrets.randbelow(paper.space(paper.CODE)), paper.CODE)
    ends = await _with(
        request, lambda conn: redemption.offer(conn, _account(conn, me), wanted.points, number, at, today)
    )
    return _told({"code": paper.grouped(number), "points": wanted.points, "until": ends.isoformat()}, 201)


@router.delete("/redemption-code")
async def no_code(request: Request, me: Me) -> JSONResponse:
    """Takes the open code back."""
    gone = await _with(request, lambda conn: redemption.withdraw(conn, _account(conn, me)))
    return _told({"withdrawn": gone})


_STATUS = {
    "no_account": 404, "no_such_report": 404, "no_such_code": 404, "no_such_redemption": 404, "already_decided": 409,
    "code_used": 409, "key_used": 409, "account_closed": 409, "not_enough": 409, "key_reused": 409, "too_many": 429,
}  # fmt: skip


def answer_errors(app: FastAPI) -> None:
    """What the purse refuses gets its named answer."""
    for refused in (PurseRefused, PointsError, paper.BadNumber):
        app.add_exception_handler(refused, purse_refused)


async def purse_refused(_request: Request, error: Exception) -> Response:
    """The answer to what the purse, the points or a number refuse: {"error": name, "detail": what to do}."""
    name = getattr(error, "name", "")
    if isinstance(error, PointsError):
        name = {"NoAccount": "no_account", "NotEnough": "not_enough", "KeyReused": "key_reused"}.get(
            type(error).__name__, "no_statement"
        )
    if isinstance(error, paper.BadNumber):
        name = "bad_number"
    status = _STATUS.get(name, 404 if name == "no_statement" else 422)
    return _told({"error": name, "detail": str(error)}, status)
