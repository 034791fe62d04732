"""The HTTP side: answers from the database, the map's tiles, events, metrics, health, and the page itself."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from psycopg_pool import ConnectionPool, PoolTimeout
from starlette.middleware.trustedhost import TrustedHostMiddleware

from defects import DamagedCodes, EvidenceOptions, HealthOptions
from ingest import City
from ledger import CertificateError, KeyPair, LogDamaged, NotProvable, Promiser, RecordError

from . import departments
from .audit import NotTraced
from .certificates import TooManyCertificates
from .embedded import ServiceError
from .enrolment import Door
from .mall import Mall, keep_delivering
from .probes import Probe
from .push import Board, TooManyReaders
from .report import NoSuchDay
from .routes import (
    audit,
    cells,
    certificates,
    devices,
    history,
    log,
    mall,
    points,
    sections,
    service,
    tiles,
    trust,
    witness,
)
from .sight import OutsideCertificate
from .story import Ledger, NoSuchCell
from .tiles import TileAddressError
from .trust import Trust

_WEB = Path(__file__).parent / "web"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; worker-src 'self' blob:; img-src 'self' data: blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_COOKIE = "roadcode"


@dataclass(frozen=True)
class Site:
    """What the routes need. token: required of every client where not None. let_in: tells the broker whom to let in.
    mall: where points are redeemed, if anywhere.
    pumps: what each of them says, "ok" where all is well; raises where nobody can know. promiser: signs receipts.
    witness_slot_s: for how long witnesses are offered one head. district: the key that signs road certificates at a
    moment."""

    city: City
    options: EvidenceOptions
    health: HealthOptions
    pool: ConnectionPool[psycopg.Connection[Any]]
    board: Board
    ledger: Callable[[], Ledger]
    oversize: Callable[[], int | None]
    parts: dict[str, Callable[[], None]]
    pumps: Callable[[], dict[str, str]]
    token: str | None
    hosts: tuple[str, ...]
    trust: Trust
    door: Door
    let_in: Callable[[], None]
    witness_slot_s: float
    promiser: Callable[[], Promiser]
    district: Callable[[float], KeyPair]
    gate: departments.Gate
    mall: Mall | None = None


def create_app(site: Site) -> FastAPI:  # noqa: PLR0915  (mostly a list of routes)
    """The application over what ``site`` gives it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.site = site
        devices.attach(app.state, site)
        points.attach(app.state)
        mall.attach(app.state)
        certificates.attach(app.state, site)
        beats: dict[str, str] = {}

        def ask_pumps() -> None:
            told = site.pumps()
            beats.clear()
            beats.update(told)

        app.state.beats = beats
        app.state.probes = {name: Probe(check) for name, check in (site.parts | {"pumps": ask_pumps}).items()}
        running = [asyncio.create_task(site.board.listen())]
        if site.mall is not None:
            running.append(asyncio.create_task(keep_delivering(site.mall, site.pool)))
        try:
            yield
        finally:
            for task in running:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await app.state.gathered.close()

    app = FastAPI(title="Road health code", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(service.router)
    app.include_router(cells.router)
    app.include_router(audit.router)
    app.include_router(history.router)
    app.include_router(tiles.router)
    app.include_router(sections.router)
    app.include_router(devices.router)
    app.include_router(points.router)
    app.include_router(mall.router)
    app.include_router(log.router)
    app.include_router(certificates.router)
    app.include_router(trust.router)
    app.include_router(witness.router)
    app.mount("/", StaticFiles(directory=_WEB, html=True))
    _answer_errors(app)

    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        # Who may enter is judged by where a path begins, and the page's files are looked up with `..` resolved.
        if ".." in request.scope["path"].replace("\\", "/").split("/"):
            answer: Response = JSONResponse({"error": "bad_path", "detail": "a path has no `..` here"}, status_code=400)
        elif (token := departments.token_of(request, site.token)) and not _is_open(request.scope["path"], token):
            answer = await departments.answered(site.gate, token, request, go_on)
        else:
            answer = await go_on(request) if _may_enter(request, site.token) else _refusal()
        given = request.query_params.get("token")
        if site.token and given and secrets.compare_digest(given.encode(), site.token.encode()):
            # The token goes into a cookie and out of the address, which browsers keep and people share.
            answer = RedirectResponse("/" + request.url.path.lstrip("/\\"), status_code=303)
            secure = request.url.scheme == "https"
            answer.set_cookie(_COOKIE, site.token, httponly=True, samesite="strict", max_age=86_400, secure=secure)
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    # A page elsewhere must not reach us through a name that it lets point to this machine.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(site.hosts))
    return app


def _may_enter(request: Request, token: str | None) -> bool:
    if token is None or _is_open(request.scope["path"]):
        return True
    header = request.headers.get("authorization", "")
    given = header.removeprefix("Bearer ") if header.startswith("Bearer ") else request.cookies.get(_COOKIE, "")
    return secrets.compare_digest(given.encode(), token.encode())


def _is_open(path: str, department: str | None = None) -> bool:
    """Whether a path is reached without the instance's token. department: the token of one: the mall's paths ask it for
    a scope."""
    open_paths = (
        "/healthz", *devices.OPEN_PATHS, *trust.OPEN_PATHS, *certificates.OPEN_FILES, *points.OPEN_FILES,
    )  # fmt: skip
    if path == mall.PATH or path.startswith(mall.PATH + "/"):
        return department is None
    below = ("/api/v1/me/", "/s/", "/me/")
    return path in open_paths or path.startswith(below) or log.is_open(path)


def _refusal() -> Response:
    text = "this instance is not public: open it once with ?token=..., or send Authorization: Bearer ..."
    return JSONResponse({"error": "not_public", "detail": text}, status_code=401)


def _answer_errors(app: FastAPI) -> None:
    """Every error as {"error": name, "detail": what to do}."""
    log = structlog.get_logger("web")

    def answer(status: int, name: str) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def handle(_request: Request, error: Exception) -> Response:
            return JSONResponse({"error": name, "detail": str(error)}, status_code=status)

        return handle

    app.add_exception_handler(NoSuchCell, answer(404, "no_such_cell"))
    app.add_exception_handler(TileAddressError, answer(400, "bad_tile"))
    app.add_exception_handler(cells.BadBox, answer(400, "bad_box"))
    app.add_exception_handler(sections.NoSuchSection, answer(404, "no_such_section"))
    app.add_exception_handler(TooManyCertificates, certificates.too_many)
    app.add_exception_handler(OutsideCertificate, answer(403, "outside_certificate"))
    app.add_exception_handler(NoSuchDay, answer(400, "bad_day"))
    app.add_exception_handler(NotTraced, answer(404, "not_traced"))
    app.add_exception_handler(NotProvable, answer(409, "not_provable_yet"))
    app.add_exception_handler(CertificateError, answer(500, "not_certifiable"))
    for damaged in (DamagedCodes, LogDamaged, RecordError):
        app.add_exception_handler(damaged, answer(500, "damaged"))
    for unfit in trust.ERRORS:
        app.add_exception_handler(unfit, answer(503, "no_trust_list"))
    app.add_exception_handler(devices.NotAllowed, devices.turned_away)
    points.answer_errors(app)
    app.add_exception_handler(ServiceError, answer(503, "broker_away"))
    app.add_exception_handler(TooManyReaders, answer(503, "too_many_readers"))

    async def away(_request: Request, error: Exception) -> Response:
        log.warning("database away", error=type(error).__name__)
        text = "the database does not answer; the platform goes on as soon as it does"
        return JSONResponse({"error": "database_away", "detail": text}, status_code=503)

    app.add_exception_handler(psycopg.OperationalError, away)
    app.add_exception_handler(PoolTimeout, away)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  (the framework's promise, said to the type checker)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse({"error": "bad_request", "detail": f"{where}: {first['msg']}"}, status_code=422)

    app.add_exception_handler(RequestValidationError, invalid)
