"""Signed notes and checkpoints of C2SP (signed-note, tlog-checkpoint), Ed25519.

A checkpoint is three lines (origin, size, base64 root), an empty line and signature lines. The signature line's first
four bytes name the key and with it the algorithm, so that other algorithms can stand beside later.
"""

import binascii
import os
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519: Final = b"\x01"
NAME = re.compile(r"[^\s+\x00-\x20]{1,128}\Z")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z")
# Witness signatures will stand beside ours; a hundred departments fit, a flood does not.
MAX_NOTE: Final = 16384


class NoteError(ValueError):
    """A note, key or checkpoint cannot be read or its signature does not hold; the text says which."""


@dataclass(frozen=True)
class Checkpoint:
    """What the log committed to: `size` leaves with this `root` (32 bytes), under the name `origin`."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The signed text, with its final line end."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@dataclass(frozen=True)
class Signer:
    """The log's key. Its representation never shows the secret half."""

    name: str
    _key: Ed25519PrivateKey

    def __repr__(self) -> str:
        """Name only."""
        return f"Signer({self.name!r})"

    def verifier(self) -> str:
        """Public verifier key as text: `name+hash+base64`, to be handed to auditors."""
        public = ED25519 + self._key.public_key().public_bytes_raw()
        return f"{self.name}+{key_id_of(self.name, public).hex()}+{b64encode(public).decode()}"

    def sign(self, checkpoint: Checkpoint) -> str:
        """Signed note of a checkpoint."""
        text = checkpoint.text()
        public = ED25519 + self._key.public_key().public_bytes_raw()
        signature = key_id_of(self.name, public) + self._key.sign(text.encode())
        return f"{text}\n— {self.name} {b64encode(signature).decode()}\n"


def load_signer(path: Path, name: str) -> Signer:
    """The signer whose 32-byte seed (hex) lies in `path`; made once, mode 0600. Raises NoteError."""
    if not NAME.match(name):
        raise NoteError(f"{name!r} cannot be a log name: no spaces, no plus sign, at most 128 characters")
    seed = load_secret(path)
    return Signer(name, Ed25519PrivateKey.from_private_bytes(seed))


def load_secret(path: Path) -> bytes:
    """32 secret bytes kept as hex in `path`, made once with mode 0600 and never changed. Raises NoteError."""
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and linked into place, so that a crash leaves no half key and two starters agree on one.
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, os.urandom(32).hex().encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        sync_folder(path.parent)
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoteError(f"the key file {path.name} cannot be read: {type(error).__name__}") from error
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise NoteError(f"the key file {path.name} does not hold 64 hex digits: restore it from its backup")
    return bytes.fromhex(text)


def sync_folder(folder: Path) -> None:
    """Make names that were created or renamed in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def parse_checkpoint(note: str) -> Checkpoint:
    """The checkpoint a note carries, **without** looking at signatures. Total; raises NoteError."""
    text, _ = split_note(note)
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] != "" or not lines[0]:
        raise NoteError("a checkpoint has an origin, a size and a root line")
    if not _SIZE.match(lines[1]):
        raise NoteError("the checkpoint's size is not a plain decimal number")
    return Checkpoint(lines[0], int(lines[1]), exact64(lines[2], 32, "root"))


def verify_note(note: str, verifier: str) -> Checkpoint:
    """The checkpoint of a note that `verifier` (text) signed, under the verifier's own name as origin.

    Raises NoteError if it cannot be read, the key has not signed it, or the signature does not hold.
    """
    name, key_id, public = parse_verifier(verifier)
    text, lines = split_note(note)
    checkpoint = parse_checkpoint(note)
    if checkpoint.origin != name:
        raise NoteError(f"the checkpoint is of {checkpoint.origin!r}, the key of {name!r}")
    if text != checkpoint.text():
        raise NoteError("the checkpoint is not spelled canonically")
    for line in lines:
        signer, _, encoded = line.removeprefix("— ").partition(" ")
        if signer != name:
            continue
        # Another key of the same name may sign in another way: its length is its own affair.
        if key_of(encoded) != key_id:
            continue
        signature = exact64(encoded, 68, "signature")
        try:
            public.verify(signature[4:], text.encode())
        except InvalidSignature as error:
            raise NoteError(f"the signature of {name} does not hold") from error
        return checkpoint
    raise NoteError(f"the note has no signature of {name} with this key")


def parse_verifier(verifier: str) -> tuple[str, bytes, Ed25519PublicKey]:
    """Name, four-byte key id and public key of a log's verifier text. Raises NoteError."""
    name, key_id, public = parse_key(verifier, ED25519)
    return name, key_id, Ed25519PublicKey.from_public_bytes(public)


def parse_key(verifier: str, kind: bytes) -> tuple[str, bytes, bytes]:
    """Name, four-byte key id and public half of a verifier text whose key signs as `kind` says. Raises NoteError."""
    parts = verifier.strip().split("+", 2)
    if len(parts) != 3 or not NAME.match(parts[0]):
        raise NoteError("a verifier key reads name+hash+base64")
    public = exact64(parts[2], 33, "verifier key")
    if public[:1] != kind:
        raise NoteError(f"the verifier key is of type {public[0]:#04x}, here one of type {kind[0]:#04x} is needed")
    key_id = key_id_of(parts[0], public)
    if key_id.hex() != parts[1]:
        raise NoteError("the verifier key's hash does not belong to it: it was mistyped or changed")
    return parts[0], key_id, public[1:]


def key_of(encoded: str) -> bytes:
    """The four bytes by which a signature names its key; none where it is too short or not base64."""
    try:
        return b64decode(encoded[:8], validate=True)[:4]
    except (binascii.Error, ValueError):
        return b""


def key_id_of(name: str, public: bytes) -> bytes:
    """The four bytes that stand for a key under a name; `public` begins with the byte of its type."""
    return sha256(name.encode() + b"\n" + public).digest()[:4]


def split_note(note: str) -> tuple[str, list[str]]:
    """The signed text of a note and its signature lines. Raises NoteError."""
    if len(note) > MAX_NOTE or not note.endswith("\n"):
        raise NoteError("a note ends with a line end and has at most 16384 characters")
    text, found, signatures = note.rpartition("\n\n")
    lines = signatures[:-1].split("\n")
    if not found or not text or not all(line.startswith("— ") for line in lines):
        raise NoteError("a note is text, an empty line and signature lines")
    return text + "\n", lines


def exact64(text: str, length: int, what: str) -> bytes:
    """`length` bytes from their one spelling in base64. Raises NoteError."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"the {what} is not base64") from error
    if len(data) != length or b64encode(data).decode() != text:
        raise NoteError(f"the {what} is not {length} bytes in canonical base64")
    return data
