"""The signing keys of a district: one in force, its successors and predecessors, kept as files of the instance.

`keys.json` has the public halves and what became of each, `<name>.key` a secret half. A change is written beside and
renamed into place under a lock, so that a crash leaves the old state or the new one. No secret half is kept longer than
its signatures count.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from .keys import KeyPair, PublicKey, UnknownAlgorithm, load_pair, pair_of
from .note import NoteError, sync_folder
from .statement import MOST_KEYS, sign_statement
from .trust import TrustedKey, TrustListError, Untrusted

LIFE_S: Final = 730 * 86_400
"""How long a key is in force that nobody follows up. Shorter, and a district that forgets stops issuing; longer, and a
copy that nobody noticed is of use for longer."""
DISTRICT_OVERLAP_S: Final = 3 * 86_400
"""How long a followed key's signatures still count. A road certificate lives for a day at most: shorter than two days
and a code signed in the last minute is refused before it ends; longer serves only who stole the old key."""
DISTRICT_KEY_WARN_S: Final = 30 * 86_400
"""How long before a key's end it is told of: time for a union's next lists, and for who is on leave."""


class DistrictKeyError(RuntimeError):
    """The district's keys cannot be used, or a change is not possible; the text says what to do."""


@dataclass(frozen=True)
class KeyStep:
    """One thing that happened to a key (`step`: issued, retired, revoked), for its record in the log."""

    key: PublicKey
    step: str
    at_s: int
    why: str


@dataclass(frozen=True)
class _Entry:
    public: str
    made_s: int
    from_s: int
    to_s: int
    retired_s: int | None = None
    revoked_s: int | None = None
    why: str = ""


@dataclass(frozen=True)
class _State:
    number: int
    entries: tuple[_Entry, ...]
    statement: bytes


class DistrictKeys:
    """The keys of `issuer` (GB/T 2260 code), called `name`, in `folder`. Its representation shows no secret.

    Any number of processes may read; changes wait for each other. Every call reads the files anew, so that a
    revocation holds in all of them at once.
    """

    def __init__(self, folder: Path, issuer: str, name: str = "") -> None:
        """Nothing is made or read yet."""
        self._folder, self._issuer, self._name = folder, issuer, name or issuer

    def __repr__(self) -> str:
        """Place and issuer only."""
        return f"DistrictKeys({str(self._folder)!r}, {self._issuer!r})"

    @property
    def issuer(self) -> str:
        """Whose keys these are."""
        return self._issuer

    def current(self, now_s: float) -> KeyPair:
        """The key that signs at `now_s` (unix); the first one is made where there is none yet.

        Raises DistrictKeyError where none is in force.
        """
        state = self._read()
        if state is None:
            with self._alone():
                state = self._read() or self._write(
                    _State(0, (), b""), [self._make(int(now_s), int(now_s))], int(now_s)
                )
        usable = [e for e in state.entries if e.revoked_s is None and e.from_s <= now_s < e.to_s]
        if not usable:
            raise DistrictKeyError("no signing key of the district is in force: run `roadcode district rotate`")
        newest = max(usable, key=lambda e: e.from_s)
        pair = self._secret(newest)
        if pair is None:
            raise DistrictKeyError(
                f"the secret half of key {_public(newest).kid.hex()} is gone from {self._folder}: restore it from its "
                "backup, or run `roadcode district rotate`"
            )
        return pair

    def all(self) -> tuple[TrustedKey, ...]:
        """Every key there ever was, in the order they were made, with its state; empty before the first is made."""
        state = self._read()
        return tuple(self._trusted(entry) for entry in state.entries) if state else ()

    def known(self, kid: bytes) -> TrustedKey:
        """The district's own key of this name, whether or not its time is over: for documents that outlive their key
        and whose end stands elsewhere (a department's certificate). Raises Untrusted: unknown_key, revoked."""
        for key in self.all():
            if key.kid == kid:
                if key.revoked_s is not None:
                    raise Untrusted("revoked")
                return key
        raise Untrusted("unknown_key")

    def number(self) -> int:
        """How many changes there were; 0 before the first key is made."""
        state = self._read()
        return state.number if state else 0

    def rotate(self, now_s: float, from_s: float | None = None, overlap_s: int = DISTRICT_OVERLAP_S) -> TrustedKey:
        """Make the next key, in force from `from_s` (default: now), so that a union's lists can name it before it
        signs. Keys before it count until `overlap_s` after that. Raises DistrictKeyError."""
        start = int(now_s if from_s is None else from_s)
        if start < int(now_s):
            raise DistrictKeyError("a key cannot have been in force before it was made")
        with self._alone():
            state = self._held()
            if any(e.revoked_s is None and e.from_s > now_s for e in state.entries):
                raise DistrictKeyError("a next key is announced already: wait until it is in force, or revoke it")
            after = [
                replace(e, to_s=min(e.to_s, start + overlap_s), retired_s=e.retired_s or int(now_s))
                if e.revoked_s is None and e.to_s > start else e
                for e in state.entries
            ]  # fmt: skip
            made = self._make(int(now_s), start)
            self._write(state, [*after, made], int(now_s))
        return self._trusted(made)

    def revoke(self, kid: bytes, now_s: float, why: str) -> TrustedKey:
        """End a key at once and for good; where it was the one that signs, another is made, so that codes go on. Raises
        DistrictKeyError."""
        if not why.strip() or len(why) > 200 or not why.isprintable():
            raise DistrictKeyError("a revocation has a reason of 1 to 200 characters")
        with self._alone():
            state = self._held()
            found = [e for e in state.entries if _public(e).kid == kid]
            if not found:
                raise DistrictKeyError(f"there is no key {kid.hex()} here: `roadcode district keys` lists them")
            if found[0].revoked_s is not None:
                raise DistrictKeyError(f"key {kid.hex()} was revoked before")
            gone = replace(found[0], revoked_s=int(now_s), why=why)
            after = [gone if e is found[0] else e for e in state.entries]
            if not any(e.revoked_s is None and e.retired_s is None and e.from_s <= now_s < e.to_s for e in after):
                after.append(self._make(int(now_s), int(now_s)))
            self._write(state, after, int(now_s))
        return self._trusted(gone)

    def statement(self) -> bytes:
        """What a hub is told: all keys, signed at the last change by every secret half there was. Raises
        DistrictKeyError."""
        return self._held().statement

    def steps(self) -> list[KeyStep]:
        """Everything that happened to the keys, oldest first: each has a record in the log."""
        state = self._read()
        steps = []
        for entry in state.entries if state else ():
            key = _public(entry)
            steps.append(KeyStep(key, "issued", entry.made_s, ""))
            if entry.retired_s is not None:
                steps.append(KeyStep(key, "retired", entry.retired_s, ""))
            if entry.revoked_s is not None:
                steps.append(KeyStep(key, "revoked", entry.revoked_s, entry.why))
        return sorted(steps, key=lambda s: s.at_s)

    # ------------------------------------------------------------ files

    def _held(self) -> _State:
        state = self._read()
        if state is None:
            raise DistrictKeyError("the district has no key yet: `roadcode district keys` makes the first")
        return state

    def _read(self) -> _State | None:
        path = self._folder / "keys.json"
        try:
            said = json.loads(path.read_text("utf-8"))
            state = _State(
                said["number"], tuple(_Entry(**e) for e in said["keys"]), bytes.fromhex(said["statement"])
            )  # fmt: skip
            if said["issuer"] != self._issuer:
                raise DistrictKeyError(
                    f"the keys in {self._folder} are of district {said['issuer']}, the city file says {self._issuer}: "
                    "a district with a new code makes new keys, so move that folder away"
                )
            for entry in state.entries:
                self._trusted(entry)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, UnknownAlgorithm) as error:
            raise DistrictKeyError(
                f"{path} cannot be read ({type(error).__name__}): restore it from its backup"
            ) from None
        return state

    def _write(self, before: _State, entries: list[_Entry], now_s: int) -> _State:
        """The next state, and the secret halves that it wants no more."""
        if len(entries) > MOST_KEYS:
            entries = [e for e in entries if e.to_s > now_s and e.revoked_s is None] or entries[-1:]
        number = before.number + 1
        pairs = [pair for entry in entries if (pair := self._secret(entry)) is not None]
        keys = [self._trusted(entry) for entry in entries]
        statement = sign_statement(self._issuer, number, now_s, keys, pairs)
        said = {
            "issuer": self._issuer, "number": number, "keys": [asdict(entry) for entry in entries],
            "statement": statement.hex(),
        }  # fmt: skip
        self._put("keys.json", json.dumps(said, indent=1, ensure_ascii=False).encode())
        wanted = {_public(e).kid.hex() for e in entries if e.revoked_s is None and e.to_s > now_s}
        for path in self._folder.glob("*.key"):  # of keys that count no more, and of changes that a crash cut short
            if path.stem not in wanted:
                path.unlink()
        return _State(number, tuple(entries), statement)

    def _make(self, now_s: int, from_s: int) -> _Entry:
        seed = os.urandom(32)
        pair = pair_of(seed)
        self._put(f"{pair.kid.hex()}.key", seed.hex().encode() + b"\n")
        return _Entry(pair.key.public.hex(), now_s, from_s, from_s + LIFE_S)

    def _secret(self, entry: _Entry) -> KeyPair | None:
        key = _public(entry)
        path = self._folder / f"{key.kid.hex()}.key"
        if not path.exists():
            return None
        try:
            pair = load_pair(path)
        except NoteError as error:
            raise DistrictKeyError(str(error)) from None
        if pair.key != key:
            raise DistrictKeyError(f"{path.name} holds another key than its name says: restore it from its backup")
        return pair

    def _put(self, name: str, data: bytes) -> None:
        fresh = self._folder / f".{name}.{os.getpid()}"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._folder / name)
        sync_folder(self._folder)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _trusted(self, entry: _Entry) -> TrustedKey:
        key = _public(entry)
        try:
            return TrustedKey(key.kid, self._issuer, self._name, key, entry.from_s, entry.to_s, entry.revoked_s)
        except TrustListError as error:
            raise DistrictKeyError(str(error)) from None


def _public(entry: _Entry) -> PublicKey:
    return PublicKey(bytes.fromhex(entry.public))


def key_state(key: TrustedKey, now_s: float) -> str:
    """One word for people: revoked, ended, announced or in force."""
    if key.revoked_s is not None:
        return "revoked"
    if now_s >= key.to_s:
        return "ended"
    return "announced" if now_s < key.from_s else "in force"
