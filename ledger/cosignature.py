"""Cosignatures of witnesses (C2SP tlog-cosignature, Ed25519): "I saw this head, and it goes on from what I saw".

A witness signs two lines, `cosignature/v1` and the time, and then the checkpoint's text. Pure.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .keys import KeyPair, PublicKey
from .note import MAX_NOTE, NAME, NoteError, exact64, key_id_of, key_of, parse_key, split_note

COSIGNATURE: Final = b"\x04"
"""The type of key that C2SP gave to timestamped Ed25519 cosignatures. 0x06 (ML-DSA-44) is not read here yet."""
_MOST_S: Final = (1 << 63) - 1


@dataclass(frozen=True)
class WitnessKey:
    """A witness's public key under its name. `key_id`: the four bytes by which a signature line names it."""

    name: str
    key: PublicKey

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand for it in a signature line."""
        return key_id_of(self.name, COSIGNATURE + self.key.public)

    @property
    def vkey(self) -> str:
        """As text, to be handed to logs and auditors: name+hash+base64."""
        public = b64encode(COSIGNATURE + self.key.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{public}"


@dataclass(frozen=True)
class Cosignature:
    """One witness's signature under a checkpoint: `time_s` in unix seconds as it said, `signature` of 64 bytes."""

    witness: WitnessKey
    time_s: int
    signature: bytes

    @property
    def line(self) -> str:
        """The signature line, with its line end."""
        data = self.witness.key_id + self.time_s.to_bytes(8, "big") + self.signature
        return f"— {self.witness.name} {b64encode(data).decode()}\n"


def witness_key(vkey: str) -> WitnessKey:
    """A witness's key from its text. Raises NoteError."""
    name, _, public = parse_key(vkey, COSIGNATURE)
    return WitnessKey(name, PublicKey(public))


def witness_key_of(name: str, pair: KeyPair) -> WitnessKey:
    """The public key of a pair under a name. Raises NoteError for a name that cannot be one."""
    if not NAME.match(name):
        raise NoteError(f"{name!r} cannot be a witness's name: no spaces, no plus sign, at most 128 characters")
    return WitnessKey(name, pair.key)


def cosign(text: str, name: str, pair: KeyPair, now_s: int) -> Cosignature:
    """Sign a checkpoint's text (with its final line end) at `now_s`. The name is **not** under the signature: a pair
    serves one name only."""
    if not 0 <= now_s <= _MOST_S:
        raise ValueError("a time is from 0 to 2^63 - 1 seconds")
    return Cosignature(witness_key_of(name, pair), now_s, pair.sign(_message(text, now_s)))


def read_cosignature(text: str, encoded: str, key: WitnessKey) -> Cosignature:
    """The base64 of a signature line that names `key`, checked against a checkpoint's text. Raises NoteError."""
    data = exact64(encoded, 76, f"cosignature of {key.name}")
    time_s = int.from_bytes(data[4:12], "big")
    if data[:4] != key.key_id:
        raise NoteError(f"the cosignature is not by this key of {key.name}")
    if time_s > _MOST_S or not key.key.holds(data[12:], _message(text, time_s)):
        raise NoteError(f"the cosignature of {key.name} does not hold")
    return Cosignature(key, time_s, data[12:])


def cosignatures_of(note: str, keys: Sequence[WitnessKey]) -> list[Cosignature]:
    """What the given witnesses signed of a note, at most one of each. Lines of unknown keys are passed over, and so is
    what comes after a key's first line: a note full of one witness's lines costs one check.

    Raises NoteError where the note cannot be read or the line of a known key does not hold: it was meddled with.
    """
    text, lines = split_note(note)
    known = {(key.name, key.key_id): key for key in keys}
    found: dict[str, Cosignature] = {}
    for line in lines:
        name, _, encoded = line.removeprefix("— ").partition(" ")
        key = known.get((name, key_of(encoded)))
        if key is not None and key.vkey not in found:
            found[key.vkey] = read_cosignature(text, encoded, key)
    return list(found.values())


def with_cosignatures(note: str, more: Sequence[Cosignature]) -> str:
    """The note with further lines, those that it has already left out; what would make it too long to be read is left
    out too. Raises NoteError for a note that cannot be read."""
    _, lines = split_note(note)
    there = {(name, key_of(rest)) for name, _, rest in (line.removeprefix("— ").partition(" ") for line in lines)}
    for one in more:
        named = (one.witness.name, one.witness.key_id)
        if named not in there and len(note) + len(one.line) <= MAX_NOTE:
            note += one.line
            there.add(named)
    return note


def _message(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()
