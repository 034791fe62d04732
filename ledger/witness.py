"""A witness: signs heads of logs that go on from the last head it signed, and nothing else. Needs no database.

The folder holds the key (`witness.key`, 0600), its public half (`witness.pub`), a lock, and for every log what was
signed last of it. That is on the disk **before** a signature is made: a crash in between costs a signature, no promise.

Against a folder that was put back from a backup, and so has forgotten what was signed since, stand three things: a
file of state says when the disk took it, which a copy cannot imitate; a cosignature of ours that the state does not
know is an alarm (`ledger.follow`); and a mark may be kept on another disk. None helps against a copy of the whole disk.
"""

import fcntl
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from . import merkle
from .cosignature import Cosignature, WitnessKey, cosign, witness_key_of
from .keys import load_pair
from .note import Checkpoint, NoteError, parse_checkpoint, parse_verifier, sync_folder, verify_note

KEY_FILE: Final = "witness.key"
PUBLIC_FILE: Final = "witness.pub"
SEEN_FILE: Final = "signed.json"
MOST_EVIDENCE: Final = 64
"""Files of evidence in a folder. One shows a fork; without a bound, who stole a log's key could fill the disk."""
_MOST_STATE: Final = 1 << 17
_COPIED_S: Final = 60
"""A file of state says when it was made; the disk says when it took it. More apart than this: it was copied here since.
Shorter, and a disk that hangs while it syncs looks like a backup; longer, and a quick restore goes unseen."""


class Refusal(Exception):
    """The witness does not sign; `status` is that of C2SP tlog-witness."""

    status = 400


class BadRequest(Refusal):
    """What was sent cannot be read, or contradicts itself."""


class UnknownLog(Refusal):
    """This witness does not follow a log of that name."""

    status = 404


class NotSigned(Refusal):
    """The checkpoint is not signed by the key that is known for its log: forged, or the log has another key."""

    status = 403


class OtherSize(Refusal):
    """The proof begins at another size than the one that was signed last, which is `size`."""

    status = 409

    def __init__(self, size: int) -> None:
        """`size`: what was signed last."""
        super().__init__(f"the last head signed here has {size} leaves: prove from there")
        self.size = size


class Fork(Refusal):
    """The log signed two histories; `evidence` is the file that shows it."""

    status = 409

    def __init__(self, text: str, evidence: Path | None) -> None:
        """`evidence`: None where no file could be added."""
        super().__init__(text)
        self.evidence = evidence


class BadProof(Refusal):
    """The consistency proof does not lead from the head that was signed last to this one."""

    status = 422


class ClockBehind(Refusal):
    """This machine's clock is behind what was signed already: set it, by NTP."""

    status = 503


class Restored(RuntimeError):
    """The folder was put back from an older copy, so it may have forgotten what it signed: nothing is signed."""


class WitnessBusy(RuntimeError):
    """Another process has this folder open; two would sign past each other."""


@dataclass(frozen=True)
class Signed:
    """The last head signed of a log: its note with the log's signature, and when, in unix seconds."""

    size: int
    root: bytes
    note: str
    time_s: int


class Witness:
    """The witness in `folder` with the name `name` (a fresh folder gets a key of its own). `logs`: verifier texts by
    origin. `mark`: a file elsewhere that also keeps the largest size signed of each log.

    One thread at a time signs; another process is refused. Raises WitnessBusy, Restored, NoteError.
    """

    def __init__(
        self, folder: Path, name: str, logs: Sequence[str], mark: Path | None = None, accept_copy: bool = False
    ) -> None:
        """`accept_copy`: whoever runs it vouches that nothing was signed since the copy was made."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._mark = mark
        self._turn = threading.Lock()
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise WitnessBusy(f"another witness runs on {folder}: stop that one first") from error
        try:
            self.logs: Mapping[str, str] = {parse_verifier(log)[0]: log for log in logs}
            self._seen = self._read_seen(accept_copy)
            self._pair = load_pair(folder / KEY_FILE)
            self.key: WitnessKey = witness_key_of(name, self._pair)
            self._publish()
            self._last = {origin: self._read(origin, accept_copy) for origin in self.logs}
            for origin, last in self._last.items():
                self._compare_mark(origin, last, accept_copy)
                if last is not None and accept_copy:
                    self._write(origin, last)
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let another in."""
        self._lock.close()

    def __enter__(self) -> Self:
        """The open witness."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def last(self, origin: str) -> Signed | None:
        """What was signed last of a log."""
        return self._last.get(origin)

    def add_checkpoint(self, old: int, proof: Sequence[bytes], note: str, now_s: int) -> Cosignature:
        """Sign a checkpoint that is proven to go on from the `old` leaves signed last (0: nothing yet), in the order of
        checks of C2SP tlog-witness. Raises Refusal."""
        checkpoint = self.checked(note)
        with self._turn:
            last = self._last[checkpoint.origin]
            known = last.size if last else 0
            if old > checkpoint.size:
                raise BadRequest(f"a proof from {old} leaves cannot lead to {checkpoint.size}")
            if last is not None and checkpoint.size == last.size and checkpoint.root != last.root:
                raise self.fork("same size", last, note, {})
            if old != known:
                raise OtherSize(known)
            self._check_proof(last, checkpoint, proof)
            if last is not None and now_s < last.time_s:
                raise ClockBehind(f"the clock says {now_s}, a head was signed at {last.time_s}")
            newest = None if last is None else (last.size, last.root, last.time_s)
            # Else it is the same signature once more: who repeats a public request does not wear out the disk.
            if newest != (checkpoint.size, checkpoint.root, now_s):
                self._write(checkpoint.origin, Signed(checkpoint.size, checkpoint.root, note, now_s))
            return self._sign(checkpoint, now_s)

    def checked(self, note: str) -> Checkpoint:
        """The checkpoint of a note by a log that is followed here. Raises BadRequest, UnknownLog, NotSigned."""
        try:
            origin = parse_checkpoint(note).origin
        except NoteError as error:
            raise BadRequest(str(error)) from error
        if origin not in self.logs:
            raise UnknownLog(f"no log {origin!r} is followed here")
        try:
            return verify_note(note, self.logs[origin])
        except NoteError as error:
            raise NotSigned(str(error)) from error

    def fork(self, kind: str, last: Signed, note: str, more: Mapping[str, Any]) -> Fork:
        """Keep both notes as evidence, once, and say so."""
        origin = parse_checkpoint(note).origin
        content = {
            "what": "two checkpoints of one log that cannot both be true", "kind": kind, "origin": origin,
            "log_key": self.logs[origin], "witness": self.key.vkey, "signed_here": last.note,
            "signed_here_at": last.time_s, "other": note, **more,
        }  # fmt: skip
        short, size = sha256(note.encode()).hexdigest()[:12], parse_checkpoint(note).size
        name = f"fork-{_short(origin)}-{size}-{short}.json"
        path: Path | None = self.folder / name
        if path is not None and not path.exists():
            if len(list(self.folder.glob("fork-*.json"))) < MOST_EVIDENCE:
                _write_whole(path, json.dumps(content, indent=1, ensure_ascii=False).encode())
            else:
                path = None
        return Fork(f"FORK ({kind}): {origin} signed a history that is not the one signed here before", path)

    def _check_proof(self, last: Signed | None, checkpoint: Checkpoint, proof: Sequence[bytes]) -> None:
        if last is None or last.size == 0:
            if proof or (checkpoint.size == 0 and checkpoint.root != merkle.EMPTY_ROOT):
                raise BadProof("from nothing no proof leads anywhere, and an empty tree has one root")
            return
        if not merkle.verify_consistency(last.size, checkpoint.size, last.root, checkpoint.root, proof):
            raise BadProof(f"the proof does not lead from the {last.size} leaves signed here to {checkpoint.size}")

    def _sign(self, checkpoint: Checkpoint, now_s: int) -> Cosignature:
        return cosign(checkpoint.text(), self.key.name, self._pair, now_s)

    def _publish(self) -> None:
        path = self.folder / PUBLIC_FILE
        vkey = self.key.vkey + "\n"
        if not path.exists():
            _write_whole(path, vkey.encode(), 0o644)
        elif path.read_text() != vkey:
            raise NoteError(
                f"this folder's witness is {path.read_text().strip()}, not {self.key.vkey}: a key has one name for"
                " good, since a cosignature does not hold the name"
            )

    def _read_seen(self, accept_copy: bool) -> set[str]:
        """The logs of which something was signed. Made before the key: a key without this file was put back alone."""
        path = self.folder / SEEN_FILE
        if not path.exists():
            if (self.folder / KEY_FILE).exists() and not accept_copy:
                raise Restored(f"{path} is missing beside the key: what was signed is not known. {_ADVICE}")
            self._write_seen(set())
            return set()
        content = _read_own(path, accept_copy)
        if accept_copy:
            self._write_seen(set(content["origins"]))
        return set(content["origins"])

    def _write_seen(self, origins: set[str]) -> None:
        _write_own(self.folder / SEEN_FILE, {"v": 1, "origins": sorted(origins)})
        self._seen = origins

    def _state(self, origin: str) -> Path:
        return self.folder / f"log-{_short(origin)}.json"

    def _read(self, origin: str, accept_copy: bool) -> Signed | None:
        path = self._state(origin)
        if not path.exists():
            if origin in self._seen and not accept_copy:
                raise Restored(f"{path} is missing, and {origin} was signed here. {_ADVICE}")
            return None
        content = _read_own(path, accept_copy)
        try:
            if content["origin"] != origin:
                raise ValueError("it is of another log")
            checkpoint = verify_note(content["note"], self.logs[origin])
            return Signed(checkpoint.size, checkpoint.root, content["note"], int(content["time_s"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Restored(f"{path} does not hold what was signed ({error}). {_ADVICE}") from error

    def _compare_mark(self, origin: str, last: Signed | None, accept_copy: bool) -> None:
        marked = _read_mark(self._mark).get(origin, 0)
        if marked > (last.size if last else 0) and not accept_copy:
            raise Restored(f"{self._mark} knows of {marked} leaves signed of {origin}, the folder of "
                           f"{last.size if last else 0}. {_ADVICE}")  # fmt: skip

    def _write(self, origin: str, signed: Signed) -> None:
        if origin not in self._seen:
            self._write_seen(self._seen | {origin})
        # The note holds size and root under the log's signature: nothing is kept that could contradict it.
        _write_own(self._state(origin), {"v": 1, "origin": origin, "note": signed.note, "time_s": signed.time_s})
        # After the folder, so that a death in between raises no alarm, and before any signature, so that no restore of
        # the folder goes unseen.
        if self._mark is not None:
            _write_whole(self._mark, json.dumps(_read_mark(self._mark) | {origin: signed.size}).encode())
        self._last[origin] = signed


_ADVICE: Final = (
    "What it signed since may be forgotten, and a log could have a second history signed. Make a new witness in a fresh"
    " folder, under a new name, and tell the log's operator; or, if nothing was signed since, start with --accept-copy"
)


def _read_own(path: Path, accept_copy: bool) -> dict[str, Any]:
    """What `_write_own` wrote here. Raises Restored where it cannot be read or came here in another way."""
    try:
        with path.open("rb") as file:
            taken_ns = os.fstat(file.fileno()).st_ctime_ns
            content = json.loads(file.read(_MOST_STATE))
        made_ns = int(content["made_ns"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Restored(f"{path} cannot be read ({type(error).__name__}). {_ADVICE}") from error
    apart_s = abs(taken_ns - made_ns) // 10**9
    if apart_s > _COPIED_S and not accept_copy:
        raise Restored(
            f"{path} came onto this disk {apart_s} s after it was made: the folder was copied or restored. {_ADVICE}"
        )
    return dict(content)


def _write_own(path: Path, content: Mapping[str, Any]) -> None:
    """Write with the disk's own time of the new file within, which a copy gets wrong."""
    _write_whole(path, lambda made_ns: json.dumps({**content, "made_ns": made_ns}).encode())


def _read_mark(path: Path | None) -> dict[str, int]:
    if path is None:
        return {}
    try:
        return {str(origin): int(size) for origin, size in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise Restored(f"the mark {path} cannot be read: {error}") from error


def _short(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()[:16]


def _write_whole(path: Path, data: bytes | Callable[[int], bytes], mode: int = 0o600) -> None:
    """The old file or the new one, never a part, and on the disk on return. What `data` makes gets the disk's own time
    of the new file, in ns."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        whole = data if isinstance(data, bytes) else data(os.fstat(handle).st_ctime_ns)
        view = memoryview(whole)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    sync_folder(path.parent)
