"""A road certificate: the health code of a square or a section, signed by its district, as text for a QR code.

`RHC1:` and base45 (RFC 9285) of a COSE_Sign1 (RFC 9052) over a map with the claim keys of CWT (RFC 8392). Not
compressed: a signature and numbers do not get smaller. Pure; written down in docs/road-code-standard.md.

It proves what the district said of a place on a day. A QR code is a picture that anybody can copy: whether it hangs
where it belongs, the reader must see, so the place is in it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import base45  # type: ignore[import-untyped]
import cbor2

from .certificate_fields import BY_KEY, BY_NAME, CRITICAL, FIELDS, MOST_OTHER, ORIGIN_BITS
from .cose import CoseError, Signed, read1, sign1
from .keys import KeyPair

PREFIX: Final = "RHC1:"
VERSION: Final = 1
MOST_TEXT: Final = 1_200
"""Characters of a certificate's text. The longest that can be issued has some 350; version 40-Q of a QR code holds
2,420."""
LONGEST_S: Final = 26 * 3600
"""From issue to end. A service day has 24 h, 25 where summer time ends; one that lives longer outlives what it says."""
DAY_S: Final = 86_400
_ISS, _EXP, _IAT, _CODE = 1, 4, 6, -65_537
"""Claims of RFC 8392, and one of its numbers for private use (below -65536)."""
_CLAIMS: Final = {_ISS, _EXP, _IAT, _CODE}
_FIRST_S, _LAST_S = 1_577_836_800, 4_102_444_800  # 2020 to 2100: what is outside is seconds of something else
_WIDEST: Final = 1 << 53  # from here on a browser's numbers are not exact
_REGION: Final = re.compile(r"[0-9]{6}\Z")
_ALPHABET: Final = re.compile(r"[0-9A-Z $%*+\-./:]*\Z")
_TYPES: Final = {"integer": int, "text": str}


class CertificateError(ValueError):
    """A text is no road certificate, or values cannot become one; the text says which rule is broken."""


@dataclass(frozen=True)
class Certificate:
    """What a certificate says. Fields after `expires_s` are those of `FIELDS`, in its units and ranges.

    issuer: GB/T 2260 code of the district. issued_s, expires_s: unix seconds. Exactly one of cell and section. Raises
    CertificateError.
    """

    issuer: str
    issued_s: int
    expires_s: int
    lat_e7: int
    lon_e7: int
    extent_m: int
    colour: int
    day: int
    origin: int
    cell: int | None = None
    section: int | None = None
    state: int = 0
    kind: int | None = None
    severity: int = 0
    seen: int = 0
    flags: int = 0
    log_size: int | None = None
    log_index: int | None = None
    known_pct: int | None = None
    name: str = ""
    version: int = VERSION

    def __post_init__(self) -> None:
        """Refuse what no reader would take."""
        if not isinstance(self.issuer, str) or not _REGION.match(self.issuer):
            raise CertificateError("the issuer is the six digits of a GB/T 2260 code")
        moments: tuple[tuple[str, object], ...] = (("issued", self.issued_s), ("expires", self.expires_s))
        for what, at_s in moments:
            if not isinstance(at_s, int) or isinstance(at_s, bool) or not _FIRST_S <= at_s <= _LAST_S:
                raise CertificateError(f"{what} is a moment in unix seconds, from 2020 to 2100")
        if not 0 < self.expires_s - self.issued_s <= LONGEST_S:
            raise CertificateError(f"it ends after it is issued, and within {LONGEST_S // 3600} h")
        if (self.cell is None) == (self.section is None):
            raise CertificateError("it is about one square or one section")
        for field in FIELDS:
            self._check(field.name)
        self._check_sense()

    def _check(self, name: str) -> None:
        field, value = BY_NAME[name], getattr(self, name)
        if value is None or (not field.always and value == field.absent and type(value) is type(field.absent)):
            if field.always and field.of in ("both", self.about):
                raise CertificateError(f"{name} is missing")
            return
        if field.of not in ("both", self.about):
            raise CertificateError(f"{name} is not said of a {self.about}")
        if type(value) is not _TYPES[field.type]:
            raise CertificateError(f"{name} is {field.type}")
        size: Any = len(value.encode("utf-8", "replace")) if isinstance(value, str) else value
        if not field.low <= size <= field.high:
            raise CertificateError(f"{name} is from {field.low} to {field.high}, not {size}")
        if isinstance(value, str) and not value.isprintable():
            raise CertificateError(f"{name} has signs that cannot be shown")

    def _check_sense(self) -> None:
        bad = self.colour >= 2
        if self.cell is not None:
            if self.extent_m != side_of(self.cell):
                raise CertificateError("extent_m is not the side of the square")
            if bad != (self.state != 0):
                raise CertificateError("yellow and red are suspected or confirmed, grey and green neither")
        if not bad and (self.kind is not None or self.severity):
            raise CertificateError("grey and green have no kind and no severity")
        if self.log_index is not None and (self.log_size is None or self.log_index >= self.log_size):
            raise CertificateError("log_index lies below log_size")
        if abs(self.day * DAY_S - self.issued_s) > 2 * DAY_S:
            raise CertificateError("the day is not the one on which it was issued")

    @property
    def about(self) -> str:
        """square or section."""
        return "square" if self.cell is not None else "section"

    @property
    def origins(self) -> tuple[str, ...]:
        """live, replay, simulated: those that hold."""
        return tuple(name for name, bit in ORIGIN_BITS.items() if self.origin & bit)

    @property
    def position(self) -> tuple[float, float]:
        """Longitude and latitude of the place's middle, degrees."""
        return self.lon_e7 / 1e7, self.lat_e7 / 1e7


def side_of(cell: int) -> int:
    """Metres along a square's side: the level is in the two bits above 51 of its number (`grid.side_m`)."""
    return int(1 << 2 * (cell >> 51))


def issue_certificate(certificate: Certificate, pair: KeyPair) -> str:
    """The signed text. Base45 ends in no space (a group's last sign is at most W), so who trims it breaks nothing."""
    return PREFIX + str(base45.b45encode(sign1(_claims(certificate), pair)).decode())


def read_certificate(text: str) -> tuple[Signed, Certificate]:
    """What a text says, **without** a look at the signature. Total; raises CertificateError."""
    document = document_of(text)
    try:
        signed = read1(document)
    except CoseError as error:
        raise CertificateError(str(error)) from None
    return signed, _read_claims(signed.payload)


def document_of(text: str) -> bytes:
    """The bytes of the signed document that a text carries. Total; raises CertificateError."""
    bare = text.strip()
    if not bare.startswith(PREFIX):
        raise CertificateError(f"a road certificate begins with {PREFIX}")
    if len(bare) > MOST_TEXT:
        raise CertificateError(f"a road certificate has at most {MOST_TEXT} characters")
    body = bare[len(PREFIX) :]
    if not _ALPHABET.match(body):
        raise CertificateError("it has signs that base45 does not have: was it copied whole?")
    try:
        return bytes(base45.b45decode(body))
    except ValueError:
        raise CertificateError("it is not base45: was it copied whole?") from None


def _claims(certificate: Certificate) -> bytes:
    code: dict[int, Any] = {}
    for field in FIELDS:
        value = getattr(certificate, field.name)
        if value is not None and (field.always or value != field.absent):
            code[field.key] = value
    claims = {_ISS: certificate.issuer, _EXP: certificate.expires_s, _IAT: certificate.issued_s, _CODE: code}
    return bytes(cbor2.dumps(claims, canonical=True))


def _read_claims(payload: bytes) -> Certificate:
    try:
        claims = cbor2.loads(payload)
        spelt = bytes(cbor2.dumps(claims, canonical=True))
    except (Exception, RecursionError) as error:
        raise CertificateError(f"its content is not CBOR: {type(error).__name__}") from None
    # `true` is 1 to Python, and would be another spelling.
    if not isinstance(claims, dict) or set(claims) != _CLAIMS or any(type(key) is not int for key in claims):
        raise CertificateError("its claims are issuer, end, moment of issue and the code, nothing else")
    if spelt != payload:
        raise CertificateError("its content is not in deterministic encoding (RFC 8949 4.2.1)")
    said = _known(claims[_CODE])
    try:
        return Certificate(issuer=claims[_ISS], issued_s=claims[_IAT], expires_s=claims[_EXP], **said)
    except TypeError:
        missing = [f.name for f in fields(Certificate) if f.name in BY_NAME and f.name not in said]
        raise CertificateError(f"its code lacks one of {', '.join(missing)}") from None


def _may_be_left_out(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) < _WIDEST
    return isinstance(value, str | bytes) and len(value) <= MOST_OTHER


def _known(code: object) -> dict[str, Any]:
    if not isinstance(code, Mapping):
        raise CertificateError("its code is a map")
    if type(code.get(1)) is not int or code[1] != VERSION:
        raise CertificateError(f"version {code.get(1)!r} of its content is not {VERSION}: update the reader")
    said: dict[str, Any] = {}
    for key, value in code.items():
        if type(key) is not int or not 1 <= key < _WIDEST:
            raise CertificateError("keys of the code are numbers from 1 on")
        field = BY_KEY.get(key)
        if field is None:
            if key < CRITICAL:
                raise CertificateError(f"entry {key} is unknown, and may change what the rest means: update the reader")
            if not _may_be_left_out(value):
                raise CertificateError(f"entry {key} is no number, short text or short bytes")
            continue
        if not field.always and type(value) is type(field.absent) and value == field.absent:
            raise CertificateError(f"{field.name} is written though it says nothing")
        if value is None:
            raise CertificateError(f"{field.name} is empty")
        said[field.name] = value
    return said
