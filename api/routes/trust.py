"""Whose signatures count: the trust list as it was signed, and the key that signed it. Open to everybody without a
token, since it says nothing that is not meant for every scanner."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response

from ledger import DistrictKeyError, TrustListError, fingerprint

from ..hub_line import NotUpdated
from ..trust_folder import Held

router = APIRouter()
OPEN_PATHS = ("/api/v1/trust-list", "/api/v1/trust-list/key")
ERRORS = (DistrictKeyError, TrustListError, NotUpdated)
"""What a request may meet: something in the data folder that its operator has to mend."""


@router.get("/api/v1/trust-list")
def trust_list(request: Request) -> Response:
    """The trust list that this instance goes by: COSE_Sign1 over CBOR, as docs/mutual-recognition.md has it. `ETag` is
    the SHA-256 of its bytes; `Trust-List-Age` the seconds since its publisher last said that it is the newest."""
    now_s = time.time()
    held, _ = request.app.state.site.trust.in_force(now_s)
    tag = f'"{held.sha256}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Trust-List-Age": str(_age_s(held, now_s))}
    if tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(held.data, media_type="application/cose", headers=headers)


@router.get("/api/v1/trust-list/key")
def trust_list_key(request: Request) -> dict[str, str | int]:
    """Who signed the list: `public` (hex), `alg` as COSE numbers it, `fingerprint` for people to compare, `source` hub
    or own, and the list's number, times (unix seconds) and age."""
    now_s = time.time()
    held, source = request.app.state.site.trust.in_force(now_s)
    return {
        "publisher": held.trust.publisher, "source": source, "kid": held.key.kid.hex(), "alg": held.key.alg,
        "public": held.key.public.hex(), "fingerprint": fingerprint(held.key), "number": held.trust.number,
        "issued_s": held.trust.issued_s, "expires_s": held.trust.expires_s, "age_s": _age_s(held, now_s),
        "sha256": held.sha256,
    }  # fmt: skip


def _age_s(held: Held, now_s: float) -> int:
    return max(0, int(now_s - held.fetched_s))
