"""Certificates to try things on: one of a square, one of a section, and a trust list that knows their district."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import base45
import cbor2

from grid import Zone, cells_at, centres_deg, project
from ledger import Certificate, KeyPair, TrustedKey, TrustList, pair_of, sign1

ISSUER = "330105"
PAIR = pair_of(b"district of the vectors, seed 01")
OTHER = pair_of(b"a district that nobody knows, 02")
PUBLISHER = pair_of(b"publisher of the trust list,  03")
NOW_S = 1_795_660_000  # 2026-11-26, 02:26:40 UTC
DAY = NOW_S // 86_400
CELL = int(cells_at(*project(120.1655, 30.2790, Zone(51, True)), Zone(51, True), 0))
_LON, _LAT = centres_deg([CELL])

SQUARE = Certificate(
    issuer=ISSUER, issued_s=NOW_S, expires_s=NOW_S + 20 * 3600, lat_e7=round(float(_LAT[0]) * 1e7),
    lon_e7=round(float(_LON[0]) * 1e7), extent_m=1, colour=3, day=DAY, origin=4, cell=CELL, state=2, kind=9,
    severity=140, seen=0b1_0010_1100_1000, log_size=123_456, log_index=120_001,
)  # fmt: skip
SECTION = Certificate(
    issuer=ISSUER, issued_s=NOW_S, expires_s=NOW_S + 20 * 3600, lat_e7=302_790_000, lon_e7=1_201_655_000, extent_m=98,
    colour=1, day=DAY, origin=1, section=912_345_678_901, known_pct=83, name="文三路", log_size=123_456,
)  # fmt: skip


def trusted(pair: KeyPair = PAIR, **changed: Any) -> TrustedKey:
    """A district's key as a list names it."""
    key = TrustedKey(pair.kid, ISSUER, "拱墅区", pair.key, NOW_S - 86_400 * 30, NOW_S + 86_400 * 30)
    return replace(key, **changed)


def trust_list(*keys: TrustedKey, number: int = 1, **changed: Any) -> TrustList:
    """A list in force at NOW_S."""
    made = TrustList(number, "example hub", NOW_S - 3600, NOW_S + 7 * 86_400, keys or (trusted(),))
    return replace(made, **changed)


def text_of(payload: bytes, pair: KeyPair = PAIR) -> str:
    """A text with any content, signed."""
    return "RHC1:" + base45.b45encode(sign1(payload, pair)).decode()


def claims_of(text: str) -> dict[int, Any]:
    """The claims in a text, by an ordinary CBOR reader."""
    document = cbor2.loads(base45.b45decode(text[5:]))
    return dict(cbor2.loads(document.value[2]))


def canonical(claims: dict[Any, Any]) -> bytes:
    """Claims in their one spelling."""
    return bytes(cbor2.dumps(claims, canonical=True))
