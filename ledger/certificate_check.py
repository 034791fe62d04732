"""Does a road certificate hold? Offline: with a trust list and a clock, nothing else. Pure, and total on any text."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from .certificate import Certificate, CertificateError, document_of, read_certificate
from .cose import CoseError, verify1
from .keys import EDDSA, PublicKey, UnknownAlgorithm
from .proof import Step

SKEW_S: Final = 300
"""How far a reader's clock may be behind the issuer's. Smaller, and a certificate made a moment ago is refused by
phones that are off by minutes; larger, and one that was dated ahead holds longer. At its end no clock is forgiven: one
that is ahead refuses early, which harms nobody."""
_OF_THE_LIST: Final = ("list_expired", "clock_behind")


class Trusted(Protocol):
    """A key of a trust list."""

    @property
    def key(self) -> PublicKey:
        """What signatures are checked with."""


class TrustedKeys(Protocol):
    """A trust list (`ledger.trust.TrustList`): whose key is it? Where none is believed it raises an error with a
    `reason`: list_expired, clock_behind, revoked, or another of the key."""

    def find(self, kid: bytes, issuer: str, at_s: float) -> Trusted:
        """The key named `kid`, where it counts for the issuer at the reader's time, unix seconds."""


@dataclass(frozen=True)
class CertificateVerdict:
    """What was found, a step at a time, and what the certificate says; None where it could not be read. What it says
    must not be shown as true unless `ok`."""

    steps: tuple[Step, ...]
    certificate: Certificate | None

    @property
    def ok(self) -> bool:
        """Whether every step holds."""
        return all(step.ok for step in self.steps)

    @property
    def failed(self) -> str | None:
        """Name of the first step that does not hold."""
        return next((step.name for step in self.steps if not step.ok), None)


STEPS: Final = ("readable", "algorithm", "trust list", "known key", "not revoked", "signature", "in time")
"""In this order. What comes after one that fails is looked at where it can be."""


def verify_certificate(text: str, trust: TrustedKeys, now_s: int) -> CertificateVerdict:
    """Each step of `STEPS` for a text, at a moment in unix seconds. Never raises."""
    try:
        signed, said = read_certificate(text)
    except CertificateError as error:
        later = [Step(name, None, "could not be looked at") for name in STEPS[1:]]
        return CertificateVerdict((Step("readable", False, str(error)), *later), None)
    steps = [Step("readable", True, f"says what district {said.issuer} is said to have said of a {said.about}")]
    known_algorithm = signed.alg == EDDSA
    steps.append(
        Step(
            "algorithm", known_algorithm,
            "EdDSA with Ed25519" if known_algorithm else f"number {signed.alg}, this reader knows {EDDSA} (EdDSA)",
        )
    )  # fmt: skip
    key, found = _found(trust, signed.kid, said, now_s)
    steps += found
    steps.append(_signature(text, key, known_algorithm))
    steps.append(_in_time(said, now_s))
    return CertificateVerdict(tuple(steps), said)


def _found(trust: TrustedKeys, kid: bytes, said: Certificate, now_s: int) -> tuple[PublicKey | None, list[Step]]:
    """The key, and what is to say of the list and of it."""
    try:
        key: PublicKey | None = trust.find(kid, said.issuer, now_s).key
        reason, text = "", ""
    except (LookupError, ValueError) as error:
        key, reason, text = None, str(getattr(error, "reason", "unknown_key")), str(error)
    of_list = reason not in _OF_THE_LIST
    steps = [Step("trust list", of_list, "it is in force" if of_list else text)]
    if not of_list:
        later = "the list cannot be asked"
        return None, [*steps, Step("known key", None, later), Step("not revoked", None, later)]
    known = not reason or reason == "revoked"
    steps.append(Step("known key", known, f"key {kid.hex()} is of district {said.issuer}" if known else text))
    if not known:
        return None, [*steps, Step("not revoked", None, "no key was found")]
    revoked = reason == "revoked"
    return key, [*steps, Step("not revoked", not revoked, text if revoked else "the list does not call it revoked")]


def _signature(text: str, key: PublicKey | None, known_algorithm: bool) -> Step:
    if key is None or not known_algorithm:
        return Step("signature", None, "there is no key that may be believed to check it with")
    try:
        verify1(document_of(text), key)
    except (CoseError, UnknownAlgorithm) as error:
        return Step("signature", False, str(error))
    return Step("signature", True, "it is the key's, and nothing was changed")


def _in_time(said: Certificate, now_s: int) -> Step:
    end, start = (datetime.fromtimestamp(t, UTC).isoformat(timespec="seconds") for t in (said.expires_s, said.issued_s))
    if now_s >= said.expires_s:
        return Step("in time", False, f"it has expired: it held until {end}, and tells nothing of today")
    if now_s < said.issued_s - SKEW_S:
        return Step("in time", False, f"it was issued at {start}, which is still to come: is this clock right?")
    return Step("in time", True, f"holds until {end}")
