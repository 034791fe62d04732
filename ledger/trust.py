"""Whose signature counts: a numbered list of districts' keys, signed by who publishes it, read without asking anybody.

A list is a COSE_Sign1 over a map of CWT claims (1 publisher, 4 expiry, 6 issue) and one claim of ours with the keys.
It carries the hash of the list before, so that a reader notices a list that went back or was exchanged.
docs/mutual-recognition.md has the format and the rules; what is offered and what is refused is decided here, purely.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import cbor2

from .cose import CoseError, sign1, verify1
from .keys import KeyPair, PublicKey, UnknownAlgorithm
from .records import RecordError, encode_plain

CLAIM: Final = -70001
"""Our claim among those of CWT: keys below -65536 are for private use (RFC 8392)."""
TYPE: Final = "trust-list"
VERSION: Final = 1
USES: Final = ("certificate", "department")
"""What a key may sign: road certificates, departments' certificates."""
SKEW_S: Final = 300
"""How far a reader's clock may be behind the signer's. Smaller, and phones refuse a key in its first minutes; larger
says nothing more, since what has ended has ended by the reader's own clock."""
MOST_KEYS: Final = 5000
"""Keys of one list: some 170 bytes each, so that it stays below the megabyte that a signed document may have. A larger
union needs several lists."""
_LATEST_S: Final = 1 << 40
_ISSUER = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,31}\Z")
_SET_NAME = re.compile(r"[a-z][a-z-]{0,31}\Z")
_NAME_MOST: Final = 64

REASONS: Final = {
    "unknown_key": "no district on the list has this key: ask for the newest list, or the code is not genuine",
    "other_issuer": "the key belongs to another district than the code names: do not trust it",
    "other_use": "the key may not sign this kind of document",
    "not_yet": "the key is not in force yet: set this device's clock, or come back later",
    "ended": "the key's time is over: ask the district for a new code",
    "revoked": "the key was revoked, and nobody can tell its true signatures from forged ones: ask for a new code",
    "list_expired": "the trust list has expired: connect once, so that a new one can be fetched",
    "clock_behind": "this device's clock is earlier than the list was made: set the clock",
}


class Untrusted(ValueError):
    """A signature does not count; `reason` is one of REASONS, the text says what to do."""

    def __init__(self, reason: str) -> None:
        """With the text of the reason."""
        super().__init__(REASONS[reason])
        self.reason = reason


class TrustListError(ValueError):
    """Not a trust list of this publisher, or one that may not follow the one in force; the text says which."""


@dataclass(frozen=True)
class TrustedKey:
    """A key that counts for `issuer` (GB/T 2260 code of the district, called `name`).

    Accepted from `from_s` until before `to_s` (unix seconds) for `uses`, unless `revoked_s` is set. A revoked key
    counts for nothing, whenever it signed: the time in a document is written by who has the key.
    """

    kid: bytes
    issuer: str
    name: str
    key: PublicKey
    from_s: int
    to_s: int
    revoked_s: int | None = None
    uses: tuple[str, ...] = USES

    def __post_init__(self) -> None:
        """Refuse what no list may say. Raises TrustListError."""
        if self.kid != self.key.kid:
            raise TrustListError("a key's name is the start of its own hash")
        if not _ISSUER.match(self.issuer):
            raise TrustListError(f"{self.issuer!r} cannot name a district: 1 to 32 letters, digits or hyphens")
        if not 1 <= len(self.name) <= _NAME_MOST or not self.name.isprintable():
            raise TrustListError(f"a district's name has 1 to {_NAME_MOST} printable characters")
        if not (_is_time(self.from_s) and _is_time(self.to_s) and self.from_s < self.to_s):
            raise TrustListError("a key is in force from a moment to a later one, in unix seconds")
        if self.revoked_s is not None and not _is_time(self.revoked_s):
            raise TrustListError("a key's revocation is a moment in unix seconds")
        if not self.uses or self.uses != tuple(u for u in USES if u in self.uses):
            raise TrustListError(f"a key's uses are some of {', '.join(USES)}, in this order")

    def check(self, issuer: str, at_s: float, use: str = "certificate") -> "TrustedKey":
        """Itself, where it counts for a document that names `issuer`, at the reader's time. Raises Untrusted."""
        if issuer != self.issuer:
            raise Untrusted("other_issuer")
        if use not in self.uses:
            raise Untrusted("other_use")
        if self.revoked_s is not None:
            raise Untrusted("revoked")
        if at_s < self.from_s - SKEW_S:
            raise Untrusted("not_yet")
        if at_s >= self.to_s:
            raise Untrusted("ended")
        return self


@dataclass(frozen=True)
class TrustList:
    """What a publisher says at one time. `previous`: SHA-256 of the signed list before, empty for number 1.
    `value_sets`: SHA-256 of each set's bytes by its name. `next_key`: with which the publisher signs from the next list
    on, where it is about to change."""

    number: int
    publisher: str
    issued_s: int
    expires_s: int
    keys: tuple[TrustedKey, ...]
    previous: bytes = b""
    value_sets: Mapping[str, bytes] = field(default_factory=dict)
    next_key: PublicKey | None = None

    def __post_init__(self) -> None:
        """Refuse what is no list. Raises TrustListError."""
        if type(self.number) is not int or not 1 <= self.number < 1 << 53:
            raise TrustListError("a trust list is numbered from 1")
        if not 1 <= len(self.publisher) <= _NAME_MOST or not self.publisher.isprintable():
            raise TrustListError(f"a publisher's name has 1 to {_NAME_MOST} printable characters")
        if not (_is_time(self.issued_s) and _is_time(self.expires_s) and self.issued_s < self.expires_s):
            raise TrustListError("a trust list holds from a moment to a later one, in unix seconds")
        if (self.number == 1) != (self.previous == b"") or len(self.previous) not in (0, 32):
            raise TrustListError("every list but the first names the hash of the one before")
        if len(self.keys) > MOST_KEYS:
            raise TrustListError(f"a trust list has at most {MOST_KEYS} keys")
        if len({k.kid for k in self.keys}) != len(self.keys):
            raise TrustListError("a trust list names each key once")
        for name, digest in self.value_sets.items():
            if not _SET_NAME.match(name) or not isinstance(digest, bytes) or len(digest) != 32:
                raise TrustListError("a value set is named in small letters, with the SHA-256 of its bytes")

    def find(self, kid: bytes, issuer: str, at_s: float, use: str = "certificate") -> TrustedKey:
        """The key named `kid`, where it counts for `issuer` at the reader's time `at_s` (unix). Raises Untrusted."""
        if at_s >= self.expires_s:
            raise Untrusted("list_expired")
        if at_s < self.issued_s - SKEW_S:
            raise Untrusted("clock_behind")
        for known in self.keys:
            if known.kid == kid:
                return known.check(issuer, at_s, use)
        raise Untrusted("unknown_key")


def sign_trust_list(trust: TrustList, pair: KeyPair) -> bytes:
    """The list as its publisher signs it. Raises TrustListError where it is too large."""
    said: dict[str, Any] = {
        "type": TYPE,
        "v": VERSION,
        "number": trust.number,
        "previous": trust.previous,
        "keys": [key_entry(key) for key in trust.keys],
        "value_sets": dict(trust.value_sets),
    }
    if trust.next_key is not None:
        said["next_key"] = {"alg": trust.next_key.alg, "public": trust.next_key.public}
    body = encode_plain({1: trust.publisher, 4: trust.expires_s, 6: trust.issued_s, CLAIM: said})
    signed = sign1(body, pair)
    try:
        read_trust_list(signed, pair.key)
    except TrustListError as error:  # what we could not read back must not go out
        raise TrustListError(f"the list cannot be published: {error}") from None
    return signed


def read_trust_list(data: bytes, publisher_key: PublicKey) -> TrustList:
    """The list that `publisher_key` signed. Total: any bytes give a list or TrustListError. Says nothing of time:
    `find` does, and `check_time`."""
    try:
        payload = verify1(data, publisher_key)
    except (CoseError, UnknownAlgorithm) as error:
        raise TrustListError(str(error)) from None
    return parse_trust_list(payload)


def parse_trust_list(payload: bytes) -> TrustList:
    """The list in a signed document's payload, whoever signed it. Total; raises TrustListError."""
    try:
        claims = read_claims(payload, TYPE, {1, 4, 6, CLAIM})
        said = claims[CLAIM]
        known = {"type", "v", "number", "previous", "keys", "value_sets"}
        if set(said) - {"next_key"} != known:
            raise TrustListError("a trust list has number, previous, keys and value_sets, and may have next_key")
        entries, sets = said["keys"], said["value_sets"]
        if not isinstance(entries, list) or not isinstance(sets, dict) or not isinstance(said["previous"], bytes):
            raise TrustListError("keys are a list, value sets a map, and the hash before is bytes")
        if not isinstance(claims[1], str):
            raise TrustListError("the publisher is text")
        after = _public(said["next_key"]) if "next_key" in said else None
        if after is not None and set(said["next_key"]) != {"alg", "public"}:
            raise TrustListError("the next key has alg and public")
        return TrustList(
            said["number"], claims[1], claims[6], claims[4], tuple(read_entry(e) for e in entries), said["previous"],
            sets, after,
        )  # fmt: skip
    except (UnknownAlgorithm, RecordError) as error:
        raise TrustListError(str(error)) from None


def check_time(trust: TrustList, now_s: float) -> None:
    """Raises TrustListError where a list is not of this time: expired, or made later than now."""
    if now_s >= trust.expires_s:
        raise TrustListError(f"list {trust.number} has expired: its publisher has to publish a new one")
    if now_s < trust.issued_s - SKEW_S:
        raise TrustListError(
            f"list {trust.number} is of the future: this machine's clock is behind, or its publisher's is ahead"
        )


def may_follow(held: bytes | None, held_list: TrustList | None, offered: bytes, trust: TrustList) -> bool:
    """Whether a reader that holds `held` takes `offered` (whose signature holds): True where it is new, False where it
    is the same list. Raises TrustListError where it may not be taken: older, another one of the same number, not the
    next in the chain of hashes, or one that takes a revocation back or gives a key to others."""
    if held is None or held_list is None:
        return True
    if offered == held:
        return False
    if trust.number < held_list.number:
        raise TrustListError(f"list {trust.number} is older than list {held_list.number} here: a rollback is not taken")
    if trust.number == held_list.number:
        raise TrustListError(f"there are two lists of number {trust.number}: the publisher tells others something else")
    if trust.number == held_list.number + 1 and trust.previous != sha256(held).digest():
        raise TrustListError(f"list {trust.number} does not follow list {held_list.number} here: its hash is another")
    if trust.issued_s < held_list.issued_s:
        raise TrustListError(f"list {trust.number} says that it was made before list {held_list.number}")
    before = {key.kid: key for key in held_list.keys}
    for key in trust.keys:
        old = before.get(key.kid)
        if old is not None and old.issuer != key.issuer:
            raise TrustListError(
                f"key {key.kid.hex()} was of district {old.issuer}, now it is said to be {key.issuer}'s"
            )
        if old is not None and old.revoked_s is not None and key.revoked_s is None:
            raise TrustListError(f"key {key.kid.hex()} was revoked, and a revocation is not taken back")
    return True


def list_changes(before: TrustList | None, after: TrustList) -> list[str]:
    """What a new list changes, a line each, for who has to notice a key that nobody expected."""
    old = {key.kid: key for key in before.keys} if before else {}
    new = {key.kid: key for key in after.keys}
    lines = [f"new key {k.kid.hex()} of {k.issuer} {k.name}" for k in after.keys if k.kid not in old]
    lines += [f"gone: key {k.kid.hex()} of {k.issuer}" for k in old.values() if k.kid not in new]
    for kid, key in new.items():
        if kid in old and key.revoked_s is not None and old[kid].revoked_s is None:
            lines.append(f"revoked: key {kid.hex()} of {key.issuer}")
        elif kid in old and key != old[kid]:
            lines.append(f"changed: key {kid.hex()} of {key.issuer}")
    return lines


def fingerprint(key: PublicKey) -> str:
    """What two people read to each other: 128 bits of the key's SHA-256, in groups of four."""
    digits = sha256(key.public).hexdigest()[:32]
    return " ".join(digits[n : n + 4] for n in range(0, 32, 4))


def key_entry(key: TrustedKey) -> dict[str, Any]:
    """A key as lists and districts' statements carry it."""
    entry: dict[str, Any] = {
        "kid": key.kid, "issuer": key.issuer, "name": key.name, "alg": key.key.alg, "public": key.key.public,
        "from_s": key.from_s, "to_s": key.to_s, "uses": list(key.uses),
    }  # fmt: skip
    if key.revoked_s is not None:
        entry["revoked_s"] = key.revoked_s
    return entry


def read_entry(entry: object) -> TrustedKey:
    """A key out of its entry. Raises TrustListError."""
    needed = {"kid", "issuer", "name", "alg", "public", "from_s", "to_s", "uses"}
    if not isinstance(entry, dict) or set(entry) - {"revoked_s"} != needed:
        raise TrustListError(f"a key has {', '.join(sorted(needed))}, and may have revoked_s")
    if not isinstance(entry["issuer"], str) or not isinstance(entry["name"], str):
        raise TrustListError("a district's code and name are text")
    uses = entry["uses"]
    if not isinstance(uses, list) or not all(isinstance(use, str) for use in uses):
        raise TrustListError("a key's uses are a list of text")
    return TrustedKey(
        entry["kid"], entry["issuer"], entry["name"], _public(entry), entry["from_s"], entry["to_s"],
        _revoked(entry), tuple(uses),
    )  # fmt: skip


def read_claims(payload: bytes, kind: str, needed: set[int]) -> dict[int, Any]:
    """The claims of a payload of ours: a map with `needed` as keys, in deterministic encoding, whose own part (CLAIM)
    says `type` and version. Raises TrustListError, RecordError."""
    try:
        claims = cbor2.loads(payload)
    except (Exception, RecursionError) as error:
        raise TrustListError(f"not CBOR: {type(error).__name__}") from None
    if not isinstance(claims, dict) or set(claims) != needed or not isinstance(claims[CLAIM], dict):
        raise TrustListError(f"not a {kind}: another kind of document was signed")
    if any(isinstance(key, bool | float) for key in claims):
        raise TrustListError("claims are numbered by integers")
    said = claims[CLAIM]
    if said.get("type") != kind:
        raise TrustListError(f"not a {kind}: another kind of document was signed")
    if said.get("v") != VERSION or isinstance(said["v"], bool):
        raise TrustListError(f"version {said.get('v')!r} of a {kind} is unknown, this platform reads {VERSION}")
    if encode_plain(claims) != payload:
        raise TrustListError("not in deterministic encoding (RFC 8949 4.2.1)")
    return claims


def by_district(keys: Sequence[TrustedKey]) -> dict[str, list[TrustedKey]]:
    """The keys of each issuer, oldest first."""
    found: dict[str, list[TrustedKey]] = {}
    for key in sorted(keys, key=lambda k: (k.issuer, k.from_s)):
        found.setdefault(key.issuer, []).append(key)
    return found


def _public(entry: Any) -> PublicKey:
    if not isinstance(entry, dict) or not {"alg", "public"} <= set(entry):
        raise TrustListError("a public key has alg and public")
    alg, public = entry["alg"], entry["public"]
    if not isinstance(alg, int) or isinstance(alg, bool) or not isinstance(public, bytes):
        raise TrustListError("a public key is bytes, with its algorithm's number")
    try:
        return PublicKey(public, alg)
    except UnknownAlgorithm:
        raise
    except ValueError as error:
        raise TrustListError(str(error)) from None


def _revoked(entry: Mapping[str, Any]) -> int | None:
    if "revoked_s" not in entry:
        return None
    moment = entry["revoked_s"]
    if not _is_time(moment):
        raise TrustListError("a key's revocation is a moment in unix seconds")
    return int(moment)


def _is_time(value: object) -> bool:
    return type(value) is int and 0 <= value < _LATEST_S
