"""Phones enrol themselves, and a device reads, renews or erases what is its own. Its credential is all that it needs:
an instance's token is not asked for here, and no network address is stored."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
import secrets
import time
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from defects import store as defects_store
from ingest import Buckets, Budget, Credential
from ingest import devices as own

from .. import consent
from ..enrolment import Door, NotInvited, check_invited, enrol_phone, fresh, is_device, renew
from ..erasure import ask_to_erase, erase_asked
from ..gathered import Gathered

router = APIRouter()
OPEN_PATHS = ("/api/v1/consent", "/api/v1/devices", "/api/v1/me")
"""What is reached without the instance's token: each path, and what is below it."""

_MOST_BODY = 4096
_PAGE = 20
"""Chunks in a page of an export: 5 MB at the largest. More would let one reader hold that much more memory."""
_MOST_ROWS = 10_000
"""Rows of one table in an export. A phone has some hundred trips and a bounded number of dead letters."""
_PER_ADDRESS = Budget(burst=20, per_s=20 / 3600)
"""Enrolments from one address: a family behind one router, a stand at a fair. A school class in a minute is refused."""
_FAILED = Budget(burst=10, per_s=10 / 60)
"""Wrong passwords from one address. Guessing 160 bits is hopeless at any pace: this keeps hashing from being a burden.
Counted by address and not by device, so that a stranger cannot lock a device out."""
_CHANGES = Budget(burst=5, per_s=5 / 3600)
"""New passwords and erasures of one device: each makes the broker read its list again."""

_READS = Budget(burst=120, per_s=2)
"""Requests of one device below `/api/v1/me`: a day of driving, some 150 pages of chunks, is read in a minute. More lets
one device keep the database busy, less makes an honest export slow."""


class NotAllowed(Exception):
    """A request that is turned away. status: of HTTP."""

    def __init__(self, status: int, name: str, detail: str, wait_s: float = 0.0) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.wait_s = wait_s


@dataclass
class Limits:
    """What may be asked how often, in this process, in bounded memory: 100,000 addresses are some 20 MB."""

    enrolments: Buckets
    by_address: Buckets
    failed: Buckets
    changes: Buckets
    reads: Buckets
    salt: bytes

    @classmethod
    def of(cls, door: Door) -> Limits:
        """Full buckets. Addresses go in salted: even this memory does not say who was here."""
        instance = Budget(max(1.0, door.per_hour / 10), door.per_hour / 3600)
        return cls(
            Buckets(instance, 1), Buckets(_PER_ADDRESS, 100_000), Buckets(_FAILED, 100_000), Buckets(_CHANGES, 100_000),
            Buckets(_READS, 100_000), secrets.token_bytes(16),
        )  # fmt: skip

    def name_of(self, address: str) -> str:
        """What stands for an address; of version 6 for its /64, which is what one household gets."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return "?"
        packed = ip.packed[:8] if ip.version == 6 else ip.packed
        return hmac.digest(self.salt, packed, "sha256")[:12].hex()


def _limits(request: Request) -> Limits:
    limits: Limits = request.app.state.limits
    return limits


def name_of_client(request: Request) -> str:
    """What stands for the address that a request comes from, for buckets."""
    return _limits(request).name_of(request.client.host if request.client else "")


def _take(buckets: Buckets, name: str, what: str) -> None:
    now_s = time.monotonic()
    if not buckets.take(name, now_s):
        raise NotAllowed(429, "too_often", f"{what}: try again later", buckets.wait_s(name, now_s))


async def device_of(request: Request) -> str:
    """The device whose name and password the request carries (HTTP Basic). Raises NotAllowed."""
    limits, here = _limits(request), name_of_client(request)
    wait_s = limits.failed.wait_s(here, time.monotonic())
    if wait_s > 0:
        raise NotAllowed(429, "too_often", "too many wrong passwords from here: try again later", wait_s)
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        if kind.lower() != "basic":
            raise ValueError
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        raise NotAllowed(401, "not_known", "send the device's name and password as HTTP Basic") from None

    def known() -> bool:
        with request.app.state.site.pool.connection() as conn:
            return is_device(conn, name, password)

    if not await run_in_threadpool(known):
        limits.failed.take(here, time.monotonic())
        raise NotAllowed(401, "not_known", "no device with this name and password may connect")
    _take(limits.reads, name, "too many requests of this device")
    return name


Me = Annotated[str, Depends(device_of)]


class Wanted(BaseModel):
    """What a phone sends that wants to be enrolled."""

    model_config = ConfigDict(extra="forbid")

    consent: str = Field(max_length=20)
    invitation: str | None = Field(default=None, max_length=64)


async def _wanted(request: Request) -> Wanted:
    """The body, read no further than it may be long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BODY:
            raise NotAllowed(413, "too_large", f"at most {_MOST_BODY} bytes")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        # A page elsewhere can post text here without asking the browser's leave, but not this.
        raise NotAllowed(415, "not_json", "send application/json")
    try:
        return Wanted.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise NotAllowed(422, "bad_request", f"{where}: {first['msg']}") from None


def _told(credential: Credential, status: int = 200) -> JSONResponse:
    body = {
        "device": credential.device, "kind": credential.kind, "client_id": credential.client_id,
        "password": credential.password, "host": credential.host, "port": credential.port,
    }  # fmt: skip
    if credential.ca is not None:
        body["ca"] = credential.ca
    return JSONResponse(body, status_code=status, headers=_NO_STORE)


_NO_STORE = {"Cache-Control": "no-store"}


@router.get("/api/v1/consent")
def consent_text(request: Request) -> dict[str, Any]:
    """What one agrees to by enrolling a phone, its version, and how phones enrol here: off, invitation or open."""
    return {
        "version": consent.VERSION, "zh": consent.TEXT_ZH, "en": consent.TEXT_EN,
        "enrolment": request.app.state.site.door.mode,
    }  # fmt: skip


@router.post("/api/v1/devices", status_code=201)
async def enrol(request: Request, wanted: Annotated[Wanted, Depends(_wanted)]) -> JSONResponse:
    """Enrols a phone: `{"consent": version, "invitation": code}` gives its credential, once. Asks for nothing else."""
    site = request.app.state.site
    if wanted.consent != consent.VERSION:
        text = f"the consent text is now version {consent.VERSION}: show it (GET /api/v1/consent) and ask again"
        raise NotAllowed(409, "other_consent", text)
    limits = _limits(request)
    _take(limits.by_address, name_of_client(request), "too many phones were enrolled from here")

    def invited() -> None:
        with site.pool.connection() as conn:
            check_invited(conn, site.door, wanted.invitation)

    def written() -> Credential:
        with site.pool.connection() as conn:
            return enrol_phone(conn, site.door, wanted.consent, wanted.invitation)

    try:
        await run_in_threadpool(invited)
        # Asked only now: who has no invitation must not be able to close the door to those who have one.
        _take(limits.enrolments, "", "too many phones are being enrolled")
        credential = await run_in_threadpool(written)
    except NotInvited as error:
        raise NotAllowed(403, "not_invited", str(error)) from None
    await request.app.state.gathered.or_later()
    return _told(credential, 201)


@router.get("/api/v1/me")
def export(request: Request, me: Me) -> Response:
    """Everything that is kept of this device; its raw chunks are counted here and given by /api/v1/me/chunks. `cut_off`
    names tables of which there was too much for one answer."""
    with request.app.state.site.pool.connection() as conn:
        device = own.device(conn, me)
        number, size, first, last = own.own_chunk_sums(conn, me)
        tables = {table: own.own_rows(conn, table, me, _MOST_ROWS) for table in own.tables_of_devices(conn)}
    body = {
        "device": None if device is None else device.__dict__,
        "chunks": {"number": number, "bytes": size, "first_day": first, "last_day": last, "at": "/api/v1/me/chunks"},
        **tables,
        "cut_off": sorted(table for table, rows in tables.items() if len(rows) == _MOST_ROWS),
    }
    return _plain(body)


@router.get("/api/v1/me/chunks")
def export_chunks(request: Request, me: Me, after: Annotated[int, Query(ge=0, le=2**62)] = 0) -> Response:
    """A page of this device's raw chunks (base64), each with what it said; `next` is `after` of the next page."""
    with request.app.state.site.pool.connection() as conn:
        rows = own.own_chunks(conn, me, after, _PAGE)
        said = defects_store.said_by(conn, [row["id"] for row in rows])
    chunks = [row | said.get(row["id"], {"findings": [], "blocks": []}) for row in rows]
    return _plain({"chunks": chunks, "next": rows[-1]["id"] if len(rows) == _PAGE else None})


def _plain(body: Any) -> Response:
    def text(value: Any) -> str:
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, date | datetime):
            return value.isoformat()
        return str(value)

    content = json.dumps(body, default=text, ensure_ascii=False)
    return Response(content, media_type="application/json", headers=_NO_STORE)


@router.post("/api/v1/me/rotate")
async def rotate(request: Request, me: Me) -> JSONResponse:
    """Gives this device a new password and client id, once; the old ones stop working at once. Where the broker is away
    they are told all the same, or nobody would ever know them; it learns of them when it is back."""
    _take(_limits(request).changes, me, "too many new passwords")
    site = request.app.state.site

    def written() -> Credential:
        with site.pool.connection() as conn:
            device = own.device(conn, me)
            credential = fresh(me, device.kind if device else "phone", site.door.address)
            renew(conn, credential)
            return credential

    credential = await run_in_threadpool(written)
    await request.app.state.gathered.or_later()
    return _told(credential)


@router.delete("/api/v1/me")
async def erase(request: Request, me: Me) -> JSONResponse:
    """Shuts this phone out at once and erases what is kept of it; says what went and what stays."""
    _take(_limits(request).changes, me, "too many changes")
    site = request.app.state.site

    def shut_out() -> None:
        with site.pool.connection() as conn:
            device = own.device(conn, me)
            if device is None or device.kind != "phone":
                raise NotAllowed(403, "not_a_phone", "a box belongs to the city: its operator disables it")
            ask_to_erase(conn, me)

    def erased() -> dict[str, int]:
        with site.pool.connection() as conn:
            return erase_asked(conn).get(me, {})

    await run_in_threadpool(shut_out)
    gone = await run_in_threadpool(erased)
    # Where the broker is away: nothing of this device is taken any more, and the broker learns of it when it is back.
    await request.app.state.gathered.or_later()
    return JSONResponse({"erased": gone, "stays": consent.STAYS}, headers=_NO_STORE)


def attach(state: Any, site: Any) -> None:
    """What the routes of this file need of an application: limits, and the one who tells the broker."""
    state.limits = Limits.of(site.door)
    state.gathered = Gathered(site.let_in)


async def turned_away(_request: Request, error: Exception) -> Response:
    """The answer to NotAllowed. No `WWW-Authenticate: Basic`: a browser would remember the password, and then send it
    along when a page elsewhere asks it to."""
    assert isinstance(error, NotAllowed)  # noqa: S101  (the framework's promise, said to the type checker)
    headers = {**_NO_STORE, **({"Retry-After": str(int(error.wait_s) + 1)} if error.status == 429 else {})}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Device"
    return JSONResponse({"error": error.name, "detail": str(error)}, status_code=error.status, headers=headers)
