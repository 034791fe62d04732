"""A witness's turn with a log that it follows: fetch the head, check it by the log's own tiles, sign, hand it in."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import merkle
from .cosignature import cosignatures_of, with_cosignatures
from .fetch import Away, fetch
from .note import Checkpoint, NoteError, exact64, parse_verifier, verify_note
from .proof import Step
from .tiles import HASH, WIDTH, LogDamaged, Tiles, tile_path
from .witness import BadRequest, Refusal, Restored, Signed, Witness


class Shrunk(Refusal):
    """The log shows fewer leaves than it signed before: an old copy, or a log that was put back from one."""

    status = 409


@dataclass(frozen=True)
class Followed:
    """What a turn did: `signed` (a new head), `again` (one that was signed before and that the log does not show), or
    `seen` (the log shows our cosignature). `handed`: whether the log took it; None where there was nothing to hand."""

    state: Literal["signed", "again", "seen"]
    size: int
    time_s: int
    handed: bool | None = None
    detail: str = ""


class RemoteTiles(Tiles):
    """The tiles of a log of `size` leaves behind an address, up to its right edge."""

    def __init__(self, url: str, size: int, timeout_s: float) -> None:
        """Nothing is fetched yet."""
        super().__init__(Path())
        self._url, self._size, self._timeout_s = url, size, timeout_s

    def _read(self, level: int, index: int, width: int) -> bytes:
        most = min(WIDTH, (self._size >> 8 * level) - index * WIDTH)
        for wide in dict.fromkeys((most, WIDTH)):  # a log may keep only the full tile, once it is full
            answer = fetch(f"{self._url}/{tile_path(level, index, wide).as_posix()}", self._timeout_s)
            if answer.status == 200:
                if len(answer.body) != wide * HASH or most < width:
                    raise LogDamaged(f"{self._url} gives a tile of {len(answer.body)} bytes, not {wide * HASH}")
                return answer.body
        raise Away(f"{self._url} has no tile {tile_path(level, index, most)} (status {answer.status})")


def follow(witness: Witness, log: str, url: str, now_s: int, timeout_s: float = 10.0) -> Followed:
    """One turn with the log whose verifier text is `log` and that answers below `url` (such as https://HOST/log).

    Raises Refusal (Fork with its evidence, Shrunk, NotSigned ...), Restored where the log shows a cosignature of ours
    that our own state does not know, and Away.
    """
    url = url.rstrip("/")
    origin = parse_verifier(log)[0]
    note = _checkpoint(url, timeout_s)
    head = witness.checked(note)
    if head.origin != origin:
        raise BadRequest(f"{url} is the log {head.origin!r}, not {origin!r}")
    last = witness.last(origin)
    known = last.size if last else 0
    try:
        ours = cosignatures_of(note, [witness.key])
    except NoteError as error:
        raise BadRequest(f"{url} shows a cosignature in our name that is not ours: {error}") from error
    if ours and (head.size > known or (last is not None and head.size == known and head.root != last.root)):
        raise Restored(
            f"{url} shows a head of {head.size} leaves that this witness signed, and its folder knows of {known}: it"
            " was put back from a backup. Make a new witness in a fresh folder, under a new name, and tell the operator"
        )
    if last is not None and head.size < last.size:
        raise Shrunk(
            f"{url} shows {head.size} leaves, {last.size} were signed here: an old copy, or the log was put back"
        )
    if last is not None and ours and head.root == last.root:
        return Followed("seen", head.size, last.time_s)
    proof = _proof(witness, last, head, note, RemoteTiles(url, head.size, timeout_s))
    signed = witness.add_checkpoint(known, proof, note, now_s)
    state: Literal["signed", "again"] = "signed" if head.size > known else "again"
    handed, detail = _hand(url, with_cosignatures(_bare(note), [signed]), timeout_s)
    return Followed(state, head.size, now_s, handed, detail)


def _checkpoint(url: str, timeout_s: float) -> str:
    answer = fetch(f"{url}/checkpoint", timeout_s)
    if answer.status != 200:
        raise Away(f"{url}/checkpoint answers {answer.status}: is this the address of a log, such as https://HOST/log?")
    try:
        return answer.body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{url}/checkpoint is no text") from error


def _proof(witness: Witness, last: Signed | None, head: Checkpoint, note: str, tiles: Tiles) -> list[bytes]:
    """The consistency proof, made from the log's tiles. Where they lead to the signed root by another way than over the
    head that was signed here, the log has two histories, and the tiles show it."""
    if last is None or last.size in {0, head.size}:
        return []
    proof = tiles.consistency(last.size, head.size)
    if not merkle.verify_consistency(last.size, head.size, last.root, head.root, proof):
        prefix = tiles.root(last.size)
        if tiles.root(head.size) != head.root:
            raise LogDamaged("the log's tiles do not lead to the root it signed: tell its operator")
        shown = {"prefix_root": b64encode(prefix).decode(), "consistency": [b64encode(v).decode() for v in proof]}
        raise witness.fork("other history", last, note, shown)
    return proof


def _bare(note: str) -> str:
    """The note without cosignatures: text and the log's own lines."""
    text, _, lines = note.partition("\n\n")
    origin = text.partition("\n")[0]
    own = [line for line in lines.splitlines(keepends=True) if line.startswith(f"— {origin} ")]
    return f"{text}\n\n{''.join(own)}"


def _hand(url: str, note: str, timeout_s: float) -> tuple[bool, str]:
    try:
        answer = fetch(f"{url}/cosignature", timeout_s, note.encode())
    except Away as error:
        return False, str(error)
    said = answer.body[:300].decode("utf-8", "replace").strip()
    return answer.status == 200, "" if answer.status == 200 else f"the log answers {answer.status}: {said}"


def check_evidence(content: Mapping[str, Any]) -> list[Step]:
    """Whether a file `fork-*.json` shows, to anybody and offline, that one key signed two histories. Total."""
    try:
        key, kind = str(content["log_key"]), content["kind"]
        first = verify_note(str(content["signed_here"]), key)
        other = verify_note(str(content["other"]), key)
        signed = Step("signatures", True, f"{first.origin} signed {first.size} and {other.size} leaves")
        if kind == "same size":
            shown = first.size == other.size and first.root != other.root
        else:
            prefix, proof = _hash(content["prefix_root"]), [_hash(value) for value in content["consistency"]]
            leads = merkle.verify_consistency(first.size, other.size, prefix, other.root, proof)
            shown = prefix != first.root and leads
        word = "cannot both be true" if shown else "do not contradict each other"
        return [signed, Step("fork", shown, f"the two checkpoints {word}")]
    except (NoteError, KeyError, TypeError, ValueError) as error:
        return [Step("evidence", False, f"cannot be read: {error}")]


def _hash(value: object) -> bytes:
    return exact64(str(value), HASH, "hash")
