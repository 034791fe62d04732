"""The request `add-checkpoint` of C2SP tlog-witness, both ways, and the log's side of asking. The text part is pure."""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Final

from .cosignature import Cosignature, cosignatures_of
from .fetch import Away, fetch
from .note import MAX_NOTE, NoteError, exact64
from .policy import Witness

MAX_REQUEST: Final = 32768
"""Bytes. 63 hashes and a note of 16,384 characters fit, with room for letters of several bytes; more is refused."""
_MOST_HASHES: Final = 63
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})\Z")
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n\Z")
SIZE_TYPE: Final = "text/x.tlog.size"


class RequestError(ValueError):
    """A request that is not as tlog-witness has it; says where."""


def request_text(old: int, proof: Sequence[bytes], note: str) -> str:
    """The body of a request."""
    return "\n".join([f"old {old}", *(b64encode(value).decode() for value in proof)]) + "\n\n" + note


def parse_request(body: bytes) -> tuple[int, list[bytes], str]:
    """Old size, proof and note of a request's body. Total; raises RequestError."""
    if len(body) > MAX_REQUEST:
        raise RequestError(f"a request has at most {MAX_REQUEST} bytes")
    try:
        head, found, note = body.decode().partition("\n\n")
        lines = head.split("\n")
        old = _OLD.match(lines[0])
        if not found or old is None or int(old[1]) >= 1 << 63:
            raise RequestError("a request is `old SIZE`, hashes, an empty line and a checkpoint")
        if len(lines) - 1 > _MOST_HASHES:
            raise RequestError(f"a consistency proof has at most {_MOST_HASHES} hashes")
        proof = [exact64(line, 32, f"hash {n}") for n, line in enumerate(lines[1:], 1)]
    except (UnicodeDecodeError, NoteError) as error:
        raise RequestError(str(error)) from error
    if len(note) > MAX_NOTE:
        raise RequestError(f"a checkpoint has at most {MAX_NOTE} characters")
    return int(old[1]), proof, note


def ask(
    witness: Witness, note: str, size: int, known: int, proof_from: Callable[[int], Sequence[bytes]], timeout_s: float
) -> tuple[Cosignature | None, int]:
    """Ask a witness to sign a checkpoint of `size` leaves: its cosignature, checked, and the size it now knows.

    `known`: the size it signed last, as far as we know; where it says another, it is asked once more from there. None
    where it knows a larger tree already. `proof_from(old)` gives the hashes from `old` leaves on (none from 0). Raises
    Away for everything else, with what the witness said.
    """
    for again in (False, True):
        text = request_text(known, proof_from(known) if known else (), note)
        answer = fetch(f"{(witness.url or '').rstrip('/')}/add-checkpoint", timeout_s, text.encode())
        if answer.status == 200:
            return _theirs(witness, note, answer.body), size
        told = _SIZE.match(answer.body) if answer.status == 409 and answer.kind == SIZE_TYPE else None
        if told is None or again:
            said = answer.body[:200].decode("utf-8", "replace").strip()
            raise Away(f"witness {witness.name} refuses ({answer.status}): {said}")
        known = int(told[1])
        if known > size:
            return None, known
    raise AssertionError  # the second time returns or raises


def _theirs(witness: Witness, note: str, body: bytes) -> Cosignature:
    try:
        lines = [line for line in body.decode().splitlines(keepends=True) if line.startswith("— ")]
        found = cosignatures_of(note.partition("\n\n")[0] + "\n\n" + "".join(lines), [witness.key])
    except (UnicodeDecodeError, NoteError) as error:
        raise Away(f"witness {witness.name} answers with no cosignature of its key: {error}") from error
    if not found:
        raise Away(f"witness {witness.name} answers with no cosignature of the key that the policy names")
    return found[0]
