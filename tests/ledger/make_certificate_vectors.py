"""Writes docs/vectors/certificate: `python -m tests.ledger.make_certificate_vectors`. The same bytes at every run; a
test holds the files against it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import base45
import cbor2

from ledger import TrustList, issue_certificate, read_certificate, sign_trust_list

from .certificates import NOW_S, OTHER, PAIR, PUBLISHER, SECTION, SQUARE, claims_of, text_of, trust_list, trusted

FOLDER = Path(__file__).parents[2] / "docs" / "vectors" / "certificate"
_CODE = -65537
_OTHER_USE = ("department",)
GREY = replace(SQUARE, colour=0, state=0, kind=None, severity=0, seen=0, flags=4, log_size=None, log_index=None)


def _changed(change: Callable[[dict[int, Any]], object]) -> str:
    claims = claims_of(issue_certificate(SQUARE, PAIR))
    change(claims)
    return text_of(cbor2.dumps(claims, canonical=True))


def _redder(text: str) -> str:
    """A green section's certificate whose colour somebody has changed, with the signature as it was."""
    document = cbor2.loads(base45.b45decode(text[5:]))
    guarded, header, payload, signature = document.value
    claims = cbor2.loads(payload)
    claims[-65537][7] = 3
    parts = [guarded, header, cbor2.dumps(claims, canonical=True), signature]
    return "RHC1:" + base45.b45encode(cbor2.dumps(cbor2.CBORTag(18, parts))).decode()


def _es256(text: str) -> str:
    document = cbor2.loads(base45.b45decode(text[5:]))
    _, header, payload, signature = document.value
    guarded = cbor2.dumps({1: -7, 4: PAIR.kid})
    return "RHC1:" + base45.b45encode(cbor2.dumps(cbor2.CBORTag(18, [guarded, header, payload, signature]))).decode()


def _unsorted() -> str:
    claims = claims_of(issue_certificate(SQUARE, PAIR))
    return text_of(cbor2.dumps(dict(reversed(claims.items()))))


def _case(
    what: str, failed: str | None, text: str, trust: TrustList | None = None, now_s: int = NOW_S + 60
) -> tuple[str, str | None, str, TrustList, int]:
    return what, failed, text, trust or trust_list(), now_s


def vectors() -> dict[str, dict[str, Any]]:
    """Every vector by its name, with the step that must fail, None where all hold."""
    red, green, grey = (issue_certificate(said, PAIR) for said in (SQUARE, SECTION, GREY))
    elsewhere = issue_certificate(replace(SQUARE, issuer="330106"), PAIR)
    ended, announced = trust_list(trusted(to_s=NOW_S + 60)), trust_list(trusted(from_s=NOW_S + 4000))
    cases = {
        "valid-square": _case("a red square, confirmed, simulated", None, red),
        "valid-section": _case("a green section with a name, live", None, green),
        "valid-grey": _case("a grey square: not known, expired, not in the log yet", None, grey),
        "last-second": _case("one second before its end", None, red, now_s=SQUARE.expires_s - 1),
        "expired": _case("at its end", "in time", red, now_s=SQUARE.expires_s),
        "clock-behind": _case("the reader's clock is 300 s behind: taken", None, red, now_s=NOW_S - 300),
        "not-yet-issued": _case("the reader's clock is 301 s behind", "in time", red, now_s=NOW_S - 301),
        "tampered": _case("green made red, the signature as it was", "signature", _redder(green)),
        "unknown-key": _case("signed by a key that is on no list", "known key", issue_certificate(SQUARE, OTHER)),
        "other-district": _case("a known key signs in the name of another district", "known key", elsewhere),
        "revoked": _case("its key is revoked", "not revoked", red, trust_list(trusted(revoked_s=NOW_S + 30))),
        "key-ended": _case("its key's time is over", "known key", red, ended),
        "key-not-yet": _case("its key is not in force yet", "known key", red, announced),
        "other-use": _case(
            "its key signs for departments only", "known key", red, trust_list(trusted(uses=_OTHER_USE))
        ),
        "list-expired": _case("the trust list has expired", "trust list", red, trust_list(expires_s=NOW_S + 60)),
        "other-algorithm": _case("the header names ES256", "algorithm", _es256(red)),
        "other-spelling": _case("claims in another order than the deterministic one", "readable", _unsorted()),
        "unknown-entry": _case("an unknown entry below 64", "readable", _changed(lambda c: c[_CODE].update({40: 1}))),
        "later-entry": _case("an unknown entry from 64 on", None, _changed(lambda c: c[_CODE].update({64: 1}))),
        "other-version": _case("version 2 of the content", "readable", _changed(lambda c: c[_CODE].update({1: 2}))),
        "too-long": _case("it would hold for 27 h", "readable", _changed(lambda c: c.update({4: NOW_S + 27 * 3600}))),
        "no-origin": _case("without where its data came from", "readable", _changed(lambda c: c[_CODE].pop(14))),
    }
    made = {}
    for name, (what, failed, text, trust, now_s) in cases.items():
        says = None
        if failed != "readable":
            says = {k: v for k, v in vars(read_certificate(text)[1]).items() if v is not None}
        made[name] = {
            "what": what, "text": text, "now_s": now_s, "trust_list": sign_trust_list(trust, PUBLISHER).hex(),
            "publisher_key": PUBLISHER.key.public.hex(), "ok": failed is None, "failed": failed, "says": says,
        }  # fmt: skip
    return made


def written(vector: dict[str, Any]) -> str:
    """A vector as its file has it."""
    return json.dumps(vector, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, vector in vectors().items():
        (FOLDER / f"{name}.json").write_text(written(vector), encoding="utf-8")
