"""A department's certificate, the request for one, and the tokens that its key signs. Pure.

    request      COSE_Sign1 by the department's own key: who asks, and that it has the key
    certificate  COSE_Sign1 by the district's key: what the department may read, where, of what, from when to when
    token        COSE_Sign1 by the department's own key over CWT claims (RFC 8392): for one instance, an hour at most

A token says nothing of what it opens. That stands in the certificate alone, so who holds a token cannot widen it.
Each document has exactly its own fields, and none reads as another.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import cbor2

from .cose import CoseError, read1, sign1, verify1
from .keys import KeyPair, PublicKey, UnknownAlgorithm, pair_of
from .records import Plain, RecordError, encode, encode_plain

VERSION: Final = 1
SCOPES: Final[Mapping[str, str]] = {
    "map": "colours of squares, sections and strips; the tiles; word of changes",
    "passes": "single passes of boxes: what each felt or saw, and where",
    "cases": "cases with their place and squares",
    "registers": "objects, permits and repairs that lie on a square, with their owners",
    "reports": "the daily report and counts of the whole city",
    "proofs": "proofs of codes: records, checkpoint, anchor",
    "log": "the log's entries and tiles",
    "points:settle": "citizens' points: reports at the counter, statements on paper",
    "points:redeem": "redemption of points by an outside mall",
    "appeals": "citizens' appeals, and answering them",
}
"""What a certificate may open, and what that is."""

_OFFICE = frozenset({"map", "passes", "cases", "registers", "reports", "proofs", "log", "points:settle", "appeals"})
KINDS: Final[Mapping[str, frozenset[str]]] = {
    "urban_management": _OFFICE,
    "traffic_police": frozenset({"map", "passes", "cases", "registers", "reports", "proofs"}),
    "cover_owner": frozenset({"map", "cases", "registers", "proofs"}),
    "auditor": frozenset({"map", "cases", "registers", "reports", "proofs", "log"}),
    "research": frozenset({"map", "reports", "proofs", "log"}),
    "counter": frozenset({"points:settle", "appeals"}),
    "mall": frozenset({"points:redeem"}),
}
"""The most that a certificate of each kind of department may open, whatever the operator types."""
NEEDS_KINDS: Final = frozenset({"cover_owner"})
"""Departments that see defects of named kinds only: an owner of covers has no business with the rest of a road."""

LONGEST_S: Final = 400 * 86_400
"""A certificate's longest validity. Shorter than a year and departments renew in a hurry; much longer and one that
everybody has forgotten still opens."""
TOKEN_S: Final = 3_600
"""A token's longest validity. A stolen one is worth something for so long; with minutes only, a script that reads a
city's map must sign in the middle of it."""
SKEW_S: Final = 60
"""How far a department's clock may be ahead. Less refuses honest machines without NTP; more lengthens every token."""
TOKEN_PREFIX: Final = "rhc."  # noqa: S105  (what a token begins with, no secret)
MOST_TOKEN: Final = 1_024
"""Characters of a token. Ours have some 290; anything longer is not looked at."""
MOST_AREAS: Final = 64
MOST_TEXT: Final = 80
_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,40}\Z")
_REQUEST, _CERTIFICATE = "rhc-department-request", "rhc-department-certificate"
_ISS, _AUD, _EXP, _IAT, _JTI = 1, 3, 4, 6, 7
JTI: Final = 16

_NOBODY = pair_of(sha256(b"nobody").digest()).key
"""Whose signature is looked for where no department is known, so that an answer takes as long as where one is."""


class DepartmentError(ValueError):
    """A request or a certificate that cannot be taken; the text says why and what to do."""


class NotAdmitted(Exception):
    """A token that opens nothing. name: for programs; the text says what to do."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True)
class Request:
    """Who asks for a certificate, and with which key; that it has the key was shown."""

    department: str
    kind: str
    public: PublicKey
    at_s: int


@dataclass(frozen=True)
class Certificate:
    """What a department may read. audience: the instance that it is for. area: names of districts, None for all. kinds:
    keys of defect types, None for all. It holds from from_s (that second too) to to_s (no more), unix seconds."""

    id: str
    audience: str
    department: str
    kind: str
    public: PublicKey
    scopes: tuple[str, ...]
    area: tuple[str, ...] | None
    kinds: tuple[str, ...] | None
    from_s: int
    to_s: int

    def __post_init__(self) -> None:
        """Refuse what no district may sign. Raises DepartmentError."""
        if not _ID.match(self.id):
            raise DepartmentError(f"{self.id!r} is no certificate's id: 3 to 41 small letters, digits and hyphens")
        _text("audience", self.audience)
        _text("department's name", self.department)
        _known("kind of department", [self.kind], KINDS)
        _known("scope", self.scopes, SCOPES)
        if not self.scopes:
            raise DepartmentError("a certificate opens something: name its scopes")
        wide = [s for s in self.scopes if s not in KINDS[self.kind]]
        if wide:
            may = ", ".join(s for s in SCOPES if s in KINDS[self.kind])
            raise DepartmentError(f"{self.kind} may not have {', '.join(wide)}: at the most {may}")
        for what, names in (("area", self.area), ("kinds", self.kinds)):
            if names is not None and not 1 <= len(names) <= MOST_AREAS:
                raise DepartmentError(f"{what} names 1 to {MOST_AREAS}, or all")
            for name in names or ():
                _text(what, name)
        for names in (self.scopes, self.area or (), self.kinds or ()):
            if list(names) != sorted(set(names)):
                raise DepartmentError("scopes, area and kinds are sorted, each named once")
        if self.kind in NEEDS_KINDS and self.kinds is None:
            raise DepartmentError(f"{self.kind} sees named kinds of defects only: name them")
        if not 0 <= self.from_s < self.to_s < 1 << 40 or self.to_s - self.from_s > LONGEST_S:
            days = LONGEST_S // 86_400
            raise DepartmentError(f"a certificate ends after it begins, and {days} days later at the most")

    @property
    def limited(self) -> bool:
        """Whether it shows less than the whole city, or less than every kind of defect."""
        return self.area is not None or self.kinds is not None

    def holds_at(self, at_s: float) -> bool:
        """Whether its validity covers a moment; revocation stands elsewhere."""
        return self.from_s <= at_s < self.to_s

    def held_at(self, at_s: float, revoked_s: float | None) -> bool:
        """Whether what it signed at a moment counts: within its validity, and before it was revoked. The moment that
        can be believed is that of the first anchor that covers the signed statement."""
        return self.holds_at(at_s) and (revoked_s is None or at_s < revoked_s)

    def terms(self) -> dict[str, Plain]:
        """What its record in the log says of it."""
        return {
            "id": self.id, "kind": self.kind, "scopes": list(self.scopes), "area": _plain(self.area),
            "kinds": _plain(self.kinds), "from_s": self.from_s, "to_s": self.to_s, "audience": self.audience,
        }  # fmt: skip


@dataclass(frozen=True)
class Token:
    """What a token says, before anybody has checked it: whose certificate, for which instance, from when to when."""

    certificate: str
    audience: str
    iat_s: int
    exp_s: int
    jti: bytes
    data: bytes


@dataclass(frozen=True)
class Known:
    """What the instance knows of a certificate: its bytes, and since when it is revoked."""

    certificate: bytes
    revoked_s: float | None = None


@dataclass(frozen=True)
class Admission:
    """A department that was let in: by which certificate, until when this token opens, and the token's number."""

    certificate: Certificate
    until_s: int
    jti: bytes


def check_request(department: object, kind: object) -> None:
    """Raises DepartmentError for a name or a kind that no request may have."""
    _text("department's name", department)
    _known("kind of department", [kind], KINDS)


def make_request(pair: KeyPair, department: str, kind: str, at_s: int) -> bytes:
    """A request for a certificate, signed by the key that it asks for. Raises DepartmentError."""
    check_request(department, kind)
    said: dict[str, Plain] = {
        "v": VERSION, "type": _REQUEST, "department": department, "kind": kind, "alg": pair.key.alg,
        "public": pair.key.public, "at_s": at_s,
    }  # fmt: skip
    return sign1(encode(said), pair)


def read_request(data: bytes) -> Request:
    """A request whose signer has the key that it names. Raises DepartmentError."""
    try:
        said = _fields(read1(data).payload, _REQUEST, {"department", "kind", "alg", "public", "at_s"})
        public = PublicKey(said["public"], said["alg"])
        verify1(data, public)
        check_request(said["department"], said["kind"])
        return Request(said["department"], said["kind"], public, _seconds(said["at_s"]))
    except (CoseError, UnknownAlgorithm, RecordError, ValueError, TypeError) as error:
        raise DepartmentError(f"this is no department's request ({error}): ask for a new one") from None


def make_certificate(pair: KeyPair, certificate: Certificate) -> bytes:
    """The certificate, signed by the district's key."""
    said: dict[str, Plain] = {
        "v": VERSION, "type": _CERTIFICATE, "id": certificate.id, "audience": certificate.audience,
        "department": certificate.department, "kind": certificate.kind, "alg": certificate.public.alg,
        "public": certificate.public.public, "scopes": list(certificate.scopes), "area": _plain(certificate.area),
        "kinds": _plain(certificate.kinds), "from_s": certificate.from_s, "to_s": certificate.to_s,
    }  # fmt: skip
    return sign1(encode(said), pair)


def parse_certificate(data: bytes) -> Certificate:
    """What a certificate says, **without** a look at who signed it. Raises DepartmentError."""
    try:
        said = _fields(
            read1(data).payload, _CERTIFICATE,
            {"id", "audience", "department", "kind", "alg", "public", "scopes", "area", "kinds", "from_s", "to_s"},
        )  # fmt: skip
        return Certificate(
            said["id"], said["audience"], said["department"], said["kind"], PublicKey(said["public"], said["alg"]),
            _names(said["scopes"]) or (), _names(said["area"]), _names(said["kinds"]), _seconds(said["from_s"]),
            _seconds(said["to_s"]),
        )  # fmt: skip
    except DepartmentError:
        raise
    except (CoseError, UnknownAlgorithm, RecordError, ValueError, TypeError) as error:
        raise DepartmentError(f"this is no department's certificate: {error}") from None


def read_certificate(data: bytes, trusted: Iterable[PublicKey]) -> Certificate:
    """The certificate, once the signature of one of the district's keys holds. Raises DepartmentError."""
    certificate = parse_certificate(data)
    kid = read1(data).kid
    for key in trusted:
        if key.kid == kid:
            try:
                verify1(data, key)
            except (CoseError, UnknownAlgorithm) as error:
                raise DepartmentError(f"certificate {certificate.id}: {error}") from None
            return certificate
    raise DepartmentError(f"certificate {certificate.id} is signed by {kid.hex()}, which is no key of this district")


def make_token(pair: KeyPair, certificate: Certificate, jti: bytes, now_s: int, for_s: int = TOKEN_S) -> str:
    """A token, as it stands behind `Bearer`. It ends with the certificate at the latest. Raises DepartmentError."""
    if pair.key != certificate.public:
        raise DepartmentError(f"certificate {certificate.id} is for another key than this one")
    if not 1 <= for_s <= TOKEN_S:
        raise DepartmentError(f"a token holds for 1 to {TOKEN_S} seconds")
    if not certificate.holds_at(now_s):
        raise DepartmentError(f"certificate {certificate.id} does not hold now: ask the operator for a new one")
    claims: dict[int, Plain] = {
        _ISS: certificate.id, _AUD: certificate.audience, _EXP: min(now_s + for_s, certificate.to_s), _IAT: now_s,
        _JTI: jti,
    }  # fmt: skip
    return TOKEN_PREFIX + to_text(sign1(encode_plain(claims), pair))


def read_token(text: str) -> Token:
    """What a token says, without a look at its signature. Total; raises NotAdmitted."""
    bad = NotAdmitted("bad_token", "no department of this instance signed this: make one with `roadcode department "
                      "token`, and send it as it is")  # fmt: skip
    if len(text) > MOST_TOKEN or not text.startswith(TOKEN_PREFIX):
        raise bad
    try:
        data = of_text(text.removeprefix(TOKEN_PREFIX))
        payload = read1(data).payload
        claims = cbor2.loads(payload)
        if not isinstance(claims, dict) or set(claims) != {_ISS, _AUD, _EXP, _IAT, _JTI}:
            raise ValueError
        if encode_plain(claims) != payload:
            raise ValueError
        iss, aud, jti = claims[_ISS], claims[_AUD], claims[_JTI]
        if not isinstance(iss, str) or not _ID.match(iss) or not isinstance(aud, str) or not isinstance(jti, bytes):
            raise ValueError
        if len(jti) != JTI:
            raise ValueError
        return Token(iss, aud, _seconds(claims[_IAT]), _seconds(claims[_EXP]), jti, data)
    except (Exception, RecursionError):
        raise bad from None


def admit(token: Token, known: Known | None, trusted: Sequence[PublicKey], audience: str, now_s: float) -> Admission:
    """Whom a token lets in, at a moment. Raises NotAdmitted. What is wrong with a certificate is told to who has its
    key: all others, and those whom nobody knows, get the one same answer after the same work."""
    bad = NotAdmitted("bad_token", "no department of this instance signed this: make one with `roadcode department "
                      "token`, and send it as it is")  # fmt: skip
    certificate = None
    damaged = None
    if known is not None:
        try:
            certificate = read_certificate(known.certificate, trusted)
        except DepartmentError as error:
            damaged = error
    try:
        verify1(token.data, certificate.public if certificate else _NOBODY)
    except (CoseError, UnknownAlgorithm):
        if damaged is not None:
            raise NotAdmitted("certificate_damaged", f"{damaged}: the operator grants a new one") from None
        raise bad from None
    if certificate is None or known is None or certificate.id != token.certificate:
        raise bad
    if token.audience != audience or certificate.audience != audience:
        raise NotAdmitted("other_audience", f"this token is for {token.audience}, this instance is {audience}: use the "
                          "certificate that this instance's operator gave you")  # fmt: skip
    if known.revoked_s is not None:  # whatever a clock says of when: at once is at once
        raise NotAdmitted("certificate_revoked", f"certificate {certificate.id} was revoked: speak with the operator")
    if now_s < certificate.from_s:
        raise NotAdmitted("certificate_not_yet", f"certificate {certificate.id} does not hold yet: come back then")
    if now_s >= certificate.to_s:
        raise NotAdmitted("certificate_expired", f"certificate {certificate.id} has ended: ask for a new one with "
                          "`roadcode department new-key`")  # fmt: skip
    if token.exp_s - token.iat_s > TOKEN_S or token.exp_s <= token.iat_s:
        raise NotAdmitted("token_too_long", f"a token holds for {TOKEN_S} seconds at the most: make a shorter one")
    if token.iat_s > now_s + SKEW_S:
        raise NotAdmitted("token_from_the_future", "this token was made in the future: set your clock (NTP)")
    if now_s >= token.exp_s:
        raise NotAdmitted("token_expired", "this token has ended: make a new one with `roadcode department token`")
    return Admission(certificate, min(token.exp_s, certificate.to_s), token.jti)


def digest(certificate: bytes) -> bytes:
    """What the log calls a certificate by."""
    return sha256(certificate).digest()


def to_text(data: bytes) -> str:
    """base64url without padding (RFC 7515)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def of_text(text: str) -> bytes:
    """The bytes of `to_text`, in their one spelling. Raises ValueError."""
    text.encode("ascii")
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_text(data) != text:
        raise ValueError("not base64url in its one spelling")
    return data


def _fields(payload: bytes, kind: str, names: set[str]) -> dict[str, Any]:
    said = cbor2.loads(payload)
    if not isinstance(said, dict) or set(said) != {"v", "type", *names} or encode(said) != payload:
        raise ValueError("it has other fields than it should, or another spelling")
    if said["type"] != kind or said["v"] != VERSION or isinstance(said["v"], bool):
        raise ValueError(f"it is {said['type']!r} of version {said['v']!r}")
    if not isinstance(said["public"], bytes) or not isinstance(said["alg"], int) or isinstance(said["alg"], bool):
        raise ValueError("its key is no key")
    return said


def _text(what: str, text: object) -> None:
    if not isinstance(text, str) or not 1 <= len(text) <= MOST_TEXT or not text.isprintable() or text.strip() != text:
        raise DepartmentError(f"the {what} is 1 to {MOST_TEXT} printable characters, without spaces around")


def _known(what: str, names: Iterable[object], known: Mapping[str, object]) -> None:
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise DepartmentError(f"{name!r} is no {what}: there are {', '.join(known)}")


def _names(names: object) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise DepartmentError("scopes, area and kinds are lists of names")
    return tuple(names)


def _seconds(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        raise DepartmentError("a time is in whole unix seconds")
    return value


def _plain(names: tuple[str, ...] | None) -> Plain:
    return None if names is None else list(names)
