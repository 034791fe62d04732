"""Writes docs/vectors/trust/trust.json: `python -m tests.ledger.make_trust_vectors`. Keys grow from fixed seeds, and
Ed25519 signs without chance, so that it comes out the same everywhere."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2

from ledger.keys import KeyPair, pair_of
from ledger.statement import sign_statement
from ledger.trust import TrustedKey, TrustList, fingerprint, sign_trust_list

FILE = Path(__file__).resolve().parents[2] / "docs" / "vectors" / "trust" / "trust.json"
DAY = 86_400
NOW = 1_795_500_000


def key_of(pair: KeyPair, issuer: str, name: str, **other: Any) -> TrustedKey:
    terms = {"from_s": NOW, "to_s": NOW + 730 * DAY} | other
    return TrustedKey(pair.kid, issuer, name, pair.key, **terms)


def made() -> dict[str, Any]:
    """The vectors, as they stand in the file."""
    hub, after, a, b, spare, thief = (pair_of(bytes([n]) * 32) for n in range(1, 7))
    sets = {"colours": sha256(b"colours").digest(), "states": sha256(b"states").digest()}
    ours = (key_of(a, "330105", "拱墅"), key_of(b, "330106", "西湖", uses=("certificate",)))
    first = TrustList(1, "Union", NOW, NOW + 7 * DAY, ours, value_sets=sets)
    one = sign_trust_list(first, hub)
    gone = (replace(ours[0], revoked_s=NOW + DAY), ours[1], key_of(spare, "330105", "拱墅", from_s=NOW + DAY))
    second = replace(
        first, number=2, issued_s=NOW + DAY, expires_s=NOW + 8 * DAY, keys=gone, previous=sha256(one).digest(),
        next_key=after.key,
    )  # fmt: skip
    two = sign_trust_list(second, hub)
    third = replace(
        second, number=3, issued_s=NOW + 2 * DAY, expires_s=NOW + 9 * DAY, previous=sha256(two).digest(), next_key=None
    )
    three = sign_trust_list(third, after)
    fork = sign_trust_list(replace(second, publisher="Union of others"), hub)
    back = sign_trust_list(replace(third, keys=(ours[0],)), after)
    forged = sign_trust_list(first, thief)
    flipped = one[:-1] + bytes([one[-1] ^ 1])
    statement = cbor2.loads(sign_statement("1", 1, NOW, (key_of(hub, "1", "hub"),), [hub]))[0]
    finds = [
        (1, a, "330105", NOW, "certificate", "ok"),
        (1, a, "330105", NOW - 300, "certificate", "ok"),
        (1, a, "330105", NOW - 301, "certificate", "clock_behind"),
        (1, a, "330105", NOW + 7 * DAY, "certificate", "list_expired"),
        (1, a, "330106", NOW, "certificate", "other_issuer"),
        (1, b, "330106", NOW, "department", "other_use"),
        (1, thief, "330105", NOW, "certificate", "unknown_key"),
        (2, a, "330105", NOW + DAY, "certificate", "revoked"),
        (2, spare, "330105", NOW + DAY - 300, "certificate", "ok"),
    ]
    return {
        "about": "trust lists of docs/trust.cddl; bytes are hex, times unix seconds",
        "hub_key": hub.key.public.hex(),
        "hub_fingerprint": fingerprint(hub.key),
        "lists": [
            {"number": n, "signer": pair.key.public.hex(), "signed": data.hex(), "sha256": sha256(data).hexdigest(),
             "kids": [k.kid.hex() for k in said.keys]}
            for n, pair, data, said in ((1, hub, one, first), (2, hub, two, second), (3, after, three, third))
        ],
        "find": [
            {"list": n, "kid": pair.kid.hex(), "issuer": issuer, "at_s": at_s, "use": use, "gives": gives}
            for n, pair, issuer, at_s, use, gives in finds
        ],
        "refused": [
            {"why": "another signer", "signed": forged.hex()},
            {"why": "a flipped bit", "signed": flipped.hex()},
            {"why": "bytes behind the end", "signed": (one + b"\x00").hex()},
            {"why": "a district's statement is no list", "signed": statement.hex()},
        ],
        "follow": [
            {"held": 1, "offered": two.hex(), "signer": hub.key.public.hex(), "takes": True},
            {"held": 2, "offered": three.hex(), "signer": after.key.public.hex(), "takes": True},
            {"held": 2, "offered": one.hex(), "signer": hub.key.public.hex(), "takes": False, "why": "rollback"},
            {"held": 2, "offered": fork.hex(), "signer": hub.key.public.hex(), "takes": False, "why": "two lists"},
            {"held": 2, "offered": back.hex(), "signer": after.key.public.hex(), "takes": False,
             "why": "not taken back"},
        ],
        "statement": sign_statement("330105", 2, NOW, (ours[0], gone[2]), [a, spare]).hex(),
    }  # fmt: skip


if __name__ == "__main__":
    FILE.write_text(json.dumps(made(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
