"""A witness's turn with a log that it follows: fetch the head, check it by the log's own tiles, sign, hand it in."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import merkle
from .cosignature import cosignatures_of, with_cosignatures
from .fetch import Away, fetch
from .note import NoteError, exact64, parse_verifier, verify_note
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
    """One turn with the log whose verifier text is `log` and that answers below `url` (such as https://HOST/log): what
    it shows to everybody is checked, and what it offers to witnesses signed.

    Raises Refusal (Fork with its evidence, Shrunk, NotSigned ...), Restored where the log shows a cosignature of ours
    that our own state does not know, and Away.
    """
    url = url.rstrip("/")
    origin = parse_verifier(log)[0]
    shown = _Shown(witness, origin, _note(f"{url}/checkpoint", timeout_s))
    last = witness.last(origin)
    if last is not None and shown.head.size < last.size:
        raise Shrunk(
            f"{url} shows {shown.head.size} leaves, {last.size} were signed here: an old copy, or the log was put back"
        )
    tiles = RemoteTiles(url, shown.head.size, timeout_s)
    if last is not None:
        _one_history(witness, last, shown, tiles)
    offer = _offer(witness, origin, url, shown, tiles, timeout_s)
    known = last.size if last else 0
    if last is not None and offer.head.size < known:
        return Followed("seen", known, last.time_s, detail="a head of this log that was signed before is offered again")
    if last is not None and offer.ours and offer.head.root == last.root:
        return Followed("seen", known, last.time_s)
    proof = tiles.consistency(known, offer.head.size) if 0 < known < offer.head.size else []
    signed = witness.add_checkpoint(known, proof, offer.note, now_s)
    state: Literal["signed", "again"] = "signed" if offer.head.size > known else "again"
    handed, detail = _hand(url, with_cosignatures(_bare(offer.note), [signed]), timeout_s)
    return Followed(state, offer.head.size, now_s, handed, detail)


class _Shown:
    """A note that the log shows: its head, checked by the log's key, and whether it carries a cosignature of ours."""

    def __init__(self, witness: Witness, origin: str, note: str) -> None:
        """Raises Refusal, and Restored where we signed what our memory does not know."""
        self.note = note
        self.head = witness.checked(note)
        if self.head.origin != origin:
            raise BadRequest(f"this is the log {self.head.origin!r}, not {origin!r}")
        try:
            self.ours = bool(cosignatures_of(note, [witness.key]))
        except NoteError as error:
            raise BadRequest(f"the log shows a cosignature in our name that is not ours: {error}") from error
        last = witness.last(origin)
        known = last.size if last else 0
        if self.ours and (
            self.head.size > known or (last is not None and self.head.size == known and self.head.root != last.root)
        ):
            raise Restored(
                f"the log shows a head of {self.head.size} leaves that this witness signed, and its folder knows of"
                f" {known}: it was put back from a backup. Make a new witness in a fresh folder, under a new name, and"
                " tell the log's operator"
            )


def _offer(witness: Witness, origin: str, url: str, shown: _Shown, tiles: Tiles, timeout_s: float) -> _Shown:
    """What the log wants to have signed, proven to be of the history that it shows to everybody. A log that offers
    nothing of its own (any other than ours) has its newest head signed."""
    answer = fetch(f"{url}/candidate", timeout_s)
    if answer.status != 200:
        return shown
    offer = _Shown(witness, origin, _text(answer.body))
    if offer.head.size > shown.head.size:
        raise Away(f"{url} offers {offer.head.size} leaves and shows {shown.head.size}: it is being mended, or torn")
    _one_history(witness, Signed(offer.head.size, offer.head.root, offer.note, 0), shown, tiles)
    return offer


def _note(url: str, timeout_s: float) -> str:
    answer = fetch(url, timeout_s)
    if answer.status != 200:
        raise Away(f"{url} answers {answer.status}: is this the address of a log, such as https://HOST/log?")
    return _text(answer.body)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("what the log shows is no text") from error


def _one_history(witness: Witness, first: Signed, shown: _Shown, tiles: Tiles) -> None:
    """Raises Fork where the head that is shown does not go on from `first` (no larger than it): by the roots where both
    are of one size, else by the log's own tiles, which lead to the one signed root by another way than over the
    other."""
    if first.size == shown.head.size and first.root != shown.head.root:
        raise witness.fork("same size", first, shown.note, {})
    if first.size in {0, shown.head.size}:
        return
    proof = tiles.consistency(first.size, shown.head.size)
    if merkle.verify_consistency(first.size, shown.head.size, first.root, shown.head.root, proof):
        return
    prefix = tiles.root(first.size)
    if tiles.root(shown.head.size) != shown.head.root:
        raise LogDamaged("the log's tiles do not lead to the root it signed: tell its operator")
    found = {"prefix_root": b64encode(prefix).decode(), "consistency": [b64encode(v).decode() for v in proof]}
    raise witness.fork("other history", first, shown.note, found)


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
