"""Road certificates: of a square, of a section, as text, QR code and sheet; and what a scanned one opens."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from ledger import qr_facts, qr_png, qr_svg, read_certificate, verify_certificate

from ..certificate_sheet import sheet
from ..certificate_words import describe, words_of
from ..certificates import Issuer, Place, TooManyCertificates

router = APIRouter()
OPEN_FILES = (
    "/scan.html", "/scan.js", "/scan.css", "/scan-worker.js", "/scanwords.js", "/certificate.js",
    "/certificatefields.js", "/cbor.js", "/trust.js", "/elements.js", "/words.js", "/roadwords.js", "/icon.svg",
    "/vendor/ed25519.js", "/vendor/jsqr.js",
)  # fmt: skip
"""What is reached without the instance's token: a code on a pole is read by strangers. None of it says anything of a
place: the page works on what the code itself holds."""
_NO_STORE = {"Cache-Control": "no-store"}


def attach(state: Any, site: Any) -> None:
    """What the routes of this file need of an application."""
    state.issuer = Issuer(site.district, site.city)


def _text(request: Request, about: str, number: int) -> str:
    issuer: Issuer = request.app.state.issuer
    return issuer.issue(request.app.state.site.pool.connection, Place(about, number), time.time())


def _told(request: Request, about: str, number: int) -> JSONResponse:
    text = _text(request, about, number)
    _, said = read_certificate(text)
    facts = qr_facts(text)
    zh, en = words_of(said)
    path = f"/api/v1/{'cells' if about == 'square' else 'sections'}/{number}/certificate"
    body = {
        "text": text, **describe(said), "zh": zh, "en": en, "banner": request.app.state.site.city.banner,
        "qr": {"version": facts.version, "modules": facts.modules, "characters": facts.characters},
        "png": f"{path}.png", "svg": f"{path}.svg", "sheet": f"{path}.html", "open": f"/s/{quote(text, safe='')}",
    }  # fmt: skip
    return JSONResponse(body, headers=_NO_STORE)


def _sheet(request: Request, about: str, number: int) -> HTMLResponse:
    text = _text(request, about, number)
    city = request.app.state.site.city
    return HTMLResponse(sheet(read_certificate(text)[1], text, city.name, city.name_zh), headers=_NO_STORE)


def _png(text: str) -> Response:
    return Response(qr_png(text), media_type="image/png", headers=_NO_STORE)


def _svg(text: str) -> Response:
    return Response(qr_svg(text), media_type="image/svg+xml", headers=_NO_STORE)


@router.get("/api/v1/cells/{cell}/certificate")
def of_square(request: Request, cell: int) -> JSONResponse:
    """A square's road certificate until the end of the service day: its text for a QR code, and what it says."""
    return _told(request, "square", cell)


@router.get("/api/v1/cells/{cell}/certificate.png")
def square_png(request: Request, cell: int) -> Response:
    """The same as a QR code, PNG."""
    return _png(_text(request, "square", cell))


@router.get("/api/v1/cells/{cell}/certificate.svg")
def square_svg(request: Request, cell: int) -> Response:
    """The same as a QR code, SVG."""
    return _svg(_text(request, "square", cell))


@router.get("/api/v1/cells/{cell}/certificate.html", response_class=HTMLResponse)
def square_sheet(request: Request, cell: int) -> HTMLResponse:
    """The same as a sheet to print."""
    return _sheet(request, "square", cell)


@router.get("/api/v1/sections/{number}/certificate")
def of_section(request: Request, number: int) -> JSONResponse:
    """A section's road certificate until the end of the service day: its text for a QR code, and what it says."""
    return _told(request, "section", number)


@router.get("/api/v1/sections/{number}/certificate.png")
def section_png(request: Request, number: int) -> Response:
    """The same as a QR code, PNG."""
    return _png(_text(request, "section", number))


@router.get("/api/v1/sections/{number}/certificate.svg")
def section_svg(request: Request, number: int) -> Response:
    """The same as a QR code, SVG."""
    return _svg(_text(request, "section", number))


@router.get("/api/v1/sections/{number}/certificate.html", response_class=HTMLResponse)
def section_sheet(request: Request, number: int) -> HTMLResponse:
    """The same as a sheet to print."""
    return _sheet(request, "section", number)


@router.get("/s/{text:path}")
def scanned(request: Request, text: str) -> Response:
    """What a scanned certificate opens: the page that checks it in the browser; to who asks for JSON, the verdict by
    the trust list of this instance."""
    if "application/json" not in request.headers.get("accept", ""):
        # Behind the `#`: the page reads it, and nobody else gets to know it on the way.
        return RedirectResponse(f"/scan.html#{quote(text, safe='')}", status_code=303)
    now_s = time.time()
    held, _ = request.app.state.site.trust.in_force(now_s)
    verdict = verify_certificate(text, held.trust, int(now_s))
    steps = [{"name": s.name, "ok": s.ok, "detail": s.detail} for s in verdict.steps]
    said = None if verdict.certificate is None else describe(verdict.certificate)
    return JSONResponse({"ok": verdict.ok, "steps": steps, "certificate": said}, headers=_NO_STORE)


async def too_many(_request: Request, error: Exception) -> Response:
    """The answer to TooManyCertificates."""
    assert isinstance(error, TooManyCertificates)  # noqa: S101  (the framework's promise, said to the type checker)
    headers = {**_NO_STORE, "Retry-After": str(int(error.wait_s) + 1)}
    return JSONResponse({"error": "too_many_certificates", "detail": str(error)}, status_code=429, headers=headers)
