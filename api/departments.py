"""The gate for departments: a token in, and who came in by it, or a refusal by name. Each request asks the database
anew, so that a revocation holds for the next one; what was read is counted by scope, never kept."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

import psycopg
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from psycopg_pool import ConnectionPool
from starlette.concurrency import run_in_threadpool

from ingest import Buckets, Budget
from ledger import PublicKey, department, department_store

from . import sharing
from .push import Guest

Connection = psycopg.Connection[Any]

PER_DEPARTMENT: Final = Budget(burst=600, per_s=20)
"""Requests of one certificate. A map that opens asks for some 60 tiles at once; 20 a second is a person who pans it
without a pause. Less and maps show holes; more and one department's script keeps the database from the others."""
FAILED: Final = Budget(burst=60, per_s=1)
"""Refused tokens from one address: each costs two signatures, some 0.3 ms. Less, and a script whose token has just
ended shuts out its neighbours behind the same address."""

STATUS: Final = {
    "bad_token": 401, "token_expired": 401, "token_too_long": 401, "token_from_the_future": 401, "other_audience": 401,
    "certificate_damaged": 403, "certificate_revoked": 403, "certificate_not_yet": 403, "certificate_expired": 403,
    "not_shared": 403, "scope_missing": 403, "whole_city": 403, "token_used": 409, "too_often": 429,
}  # fmt: skip
"""Every reason for which a department is turned away, and the status that goes with it."""
_PREFIX: Final = f"Bearer {department.TOKEN_PREFIX}"


class TurnedAway(Exception):
    """A department's request that is not answered. name: of `STATUS`; the text says what to do."""

    def __init__(self, name: str, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.name = name
        self.wait_s = wait_s

    def answer(self) -> Response:
        """The refusal as JSON."""
        status = STATUS[self.name]
        headers = {"Cache-Control": "no-store"}
        if status == 401:
            headers["WWW-Authenticate"] = f'Bearer error="invalid_token", error_description="{self.name}"'
        if status == 429:
            headers["Retry-After"] = str(int(self.wait_s) + 1)
        return JSONResponse({"error": self.name, "detail": str(self)}, status_code=status, headers=headers)


@dataclass
class Gate:
    """connect: the pool. trusted: the district's public keys now. day_of: the service day of a moment. clock: unix
    seconds."""

    pool: ConnectionPool[Connection]
    trusted: Callable[[], Sequence[PublicKey]]
    day_of: Callable[[float], date]
    clock: Callable[[], float] = time.time
    per_department: Budget = PER_DEPARTMENT
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _audience: str = ""

    def __post_init__(self) -> None:
        """Full buckets."""
        self._reads = Buckets(self.per_department, 10_000)
        self._failed = Buckets(FAILED, 100_000)

    def enter(self, text: str, method: str, path: str, address: str) -> tuple[department.Admission, sharing.Path]:
        """Whom a token lets in, and the line of what was asked for. Raises TurnedAway."""
        with self._lock:
            wait_s = self._failed.wait_s(address, time.monotonic())
        if wait_s > 0:
            raise TurnedAway("too_often", "too many refused tokens from here: mend the script, then come back", wait_s)
        try:
            token = department.read_token(text)
            with self.pool.connection() as conn:
                return self._judged(conn, token, method, path)
        except department.NotAdmitted as error:
            with self._lock:
                self._failed.take(address, time.monotonic())
            raise TurnedAway(error.name, str(error)) from None

    def _judged(
        self, conn: Connection, token: department.Token, method: str, path: str
    ) -> tuple[department.Admission, sharing.Path]:
        if not self._audience:
            self._audience = department_store.instance_name(conn)
        now_s = self.clock()
        known = department_store.known(conn, token.certificate)
        admission = department.admit(token, known, tuple(self.trusted()), self._audience, now_s)
        who = admission.certificate
        with self._lock:
            wait_s = self._reads.wait_s(who.id, time.monotonic())
            paid = self._reads.take(who.id, time.monotonic())
        if not paid:
            raise TurnedAway("too_often", f"certificate {who.id} asks too often: slow down", wait_s)
        line = sharing.path_of(method, path)
        scopes = sharing.opened(line, who) if line else frozenset()
        self._count(conn, who.id, scopes or {department_store.REFUSED}, now_s)
        if line is None:
            raise TurnedAway("not_shared", f"{method} of this path is not for departments: docs/departments.md lists "
                             "what is")  # fmt: skip
        if not scopes:
            if sharing.scoped(line, who):
                raise TurnedAway("whole_city", "this speaks of the whole city and of all defects, and your certificate "
                                 "of a part of them")  # fmt: skip
            needs = ", ".join(sorted(line.scopes))
            raise TurnedAway("scope_missing", f"this needs one of: {needs}. Certificate {who.id} opens "
                             f"{', '.join(who.scopes)}: ask the operator for another")  # fmt: skip
        if line.writes and not department_store.use_token(conn, admission.jti, admission.until_s, now_s):
            raise TurnedAway("token_used", "this token has changed something already, and may do so once: make a new "
                             "one for each change")  # fmt: skip
        return admission, line

    def _count(self, conn: Connection, id_: str, scopes: Any, now_s: float) -> None:
        at = datetime.fromtimestamp(now_s, UTC)
        department_store.note_reads(conn, id_, self.day_of(now_s), list(scopes), at)

    def guest(self, admission: department.Admission) -> Guest:
        """The one who reads a stream by an admission."""
        who = admission.certificate

        def holds() -> bool:
            try:
                with self.pool.connection() as conn:
                    known = department_store.known(conn, who.id)
            except psycopg.Error:
                return False
            return known is not None and known.revoked_s is None and who.holds_at(self.clock())

        async def asked() -> bool:
            return await run_in_threadpool(holds)

        return Guest(who.id, admission.until_s - self.clock(), not who.limited, asked)


def token_of(request: Request, operators: str | None) -> str | None:
    """The department's token that a request carries; None where it carries none, or the operator's own."""
    header = request.headers.get("authorization", "")
    if not header.startswith(_PREFIX):
        return None
    token = header.removeprefix("Bearer ")
    return None if operators and secrets.compare_digest(token.encode(), operators.encode()) else token


async def answered(
    gate: Gate, text: str, request: Request, go_on: Callable[[Request], Awaitable[Response]]
) -> Response:
    """The answer to a department: what its certificate shows, or why it is turned away."""
    address = request.app.state.limits.name_of(request.client.host if request.client else "")
    try:
        admission, line = await run_in_threadpool(gate.enter, text, request.method, request.scope["path"], address)
    except TurnedAway as error:
        return error.answer()
    request.state.admission = admission
    answer = await go_on(request)
    if line.fields is None or answer.status_code != 200:
        return answer
    body = b"".join([part async for part in answer.body_iterator])  # type: ignore[attr-defined]
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return TurnedAway("not_shared", "this answer is no JSON: its fields cannot be told apart").answer()
    said = await run_in_threadpool(lambda: _shown(line, body, admission.certificate))
    headers = {k: v for k, v in answer.headers.items() if k.lower() not in ("content-length", "content-type")}
    return Response(said, 200, headers | {"Cache-Control": "no-store"}, "application/json")


def _shown(line: sharing.Path, body: bytes, certificate: department.Certificate) -> bytes:
    said = sharing.shown(line, json.loads(body), certificate)
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
