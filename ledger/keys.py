"""Signing keys of the room: an Ed25519 pair, its name (kid) and the algorithm it signs with.

Algorithms are named wherever something is signed, so that others (SM2 with SM3 is the next) can stand beside.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .note import load_secret

EDDSA: Final = -8
"""COSE's number of EdDSA (RFC 9053), with Ed25519 here."""
KID: Final = 8
"""Bytes of a key's name. With 4, of 10,000 keys two share a name at one in ninety; 16 make a QR code a step denser."""


class UnknownAlgorithm(ValueError):
    """Something is signed with an algorithm that this platform does not have."""


@dataclass(frozen=True)
class PublicKey:
    """What is needed to check a signature: `public` of 32 bytes, `alg` as COSE numbers it."""

    public: bytes
    alg: int = EDDSA

    def __post_init__(self) -> None:
        """Refuse what no signature could be checked with."""
        if self.alg != EDDSA:
            raise UnknownAlgorithm(f"signature algorithm {self.alg} is unknown, this platform reads {EDDSA} (EdDSA)")
        if len(self.public) != 32:
            raise ValueError("a public key of Ed25519 has 32 bytes")

    @property
    def kid(self) -> bytes:
        """The key's name: the first 8 bytes of SHA-256 of its public half."""
        return sha256(self.public).digest()[:KID]

    def holds(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is this key's of `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, repr=False)
class KeyPair:
    """A key that signs. Its representation never shows the secret half."""

    key: PublicKey
    _secret: Ed25519PrivateKey

    def __repr__(self) -> str:
        """Name only."""
        return f"KeyPair({self.kid.hex()})"

    @property
    def kid(self) -> bytes:
        """The key's name."""
        return self.key.kid

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._secret.sign(message)


def pair_of(seed: bytes) -> KeyPair:
    """The pair that grows from a secret seed of 32 bytes."""
    secret = Ed25519PrivateKey.from_private_bytes(seed)
    return KeyPair(PublicKey(secret.public_key().public_bytes_raw()), secret)


def load_pair(path: Path) -> KeyPair:
    """The pair whose seed lies in `path` as hex, mode 0600; made once where there is none. Raises NoteError."""
    return pair_of(load_secret(path))
