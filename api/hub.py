"""The hub's folder: who may sign for which district, and the numbered lists that say so.

`secret/` has the hub's keys, `public/` what is handed out: `serve` needs the latter alone. A list is a file that is
written once and never again, so the newest of them is the truth about numbers, hashes and the key that signs next; a
crash between two files changes none of that.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger import (
    CoseError,
    KeyPair,
    NoteError,
    PublicKey,
    TrustedKey,
    TrustList,
    TrustListError,
    fingerprint,
    key_entry,
    load_pair,
    merge_statement,
    pair_of,
    read1,
    read_entry,
    read_statement,
    read_trust_list,
    sign_trust_list,
)

from .embedded import write_private
from .value_sets import digests, value_sets

LIFE_S = 7 * 86_400
"""How long a list holds. Shorter, and scanners without network stop sooner, and a hub that is down for a long weekend
stops a union; longer, and who withholds a new list keeps a revoked key alive for longer."""
RENEW_S = 86_400
"""How old a list may get before it is renewed by itself: a day's revocations reach who asks once a day."""


class HubError(RuntimeError):
    """The hub's folder cannot be used so; the text says what to do."""


@dataclass(frozen=True)
class Published:
    """A list as it went out."""

    data: bytes
    trust: TrustList

    @property
    def sha256(self) -> str:
        """Of the signed bytes, as the next list names it."""
        return sha256(self.data).hexdigest()


class Public:
    """What a hub hands out, read from `public/`. Needs no secret."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "public"

    def newest(self) -> int:
        """Number of the newest list, 0 where there is none."""
        numbers = [int(p.stem) for p in (self.folder / "lists").glob("*.cose") if p.stem.isdecimal()]
        return max(numbers, default=0)

    def document(self, number: int) -> bytes | None:
        """The signed bytes of a list, None where there is none of this number."""
        try:
            return (self.folder / "lists" / f"{number:08d}.cose").read_bytes()
        except OSError:
            return None

    def value_set(self, name: str) -> bytes | None:
        """The bytes of a value set, None where there is none of this name."""
        if not name.replace("-", "").isalpha() or not name.isascii():
            return None
        try:
            return (self.folder / "value-sets" / f"{name}.json").read_bytes()
        except OSError:
            return None

    def value_set_names(self) -> list[str]:
        """Names of the value sets."""
        return sorted(p.stem for p in (self.folder / "value-sets").glob("*.json"))


class Hub:
    """A hub's folder, for who runs it. Every change publishes a list."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.public = folder, Public(folder)

    def init(self, name: str, now_s: float) -> Published:
        """Make the folder, the hub's key and list 1, which is empty. Raises HubError where there is a hub already."""
        for part in ("secret", "public", "public/lists", "public/value-sets"):
            (self.folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            if (self.folder / "hub.json").exists():
                raise HubError(f"{self.folder} is a hub already: `roadcode hub list` shows it")
            self._write({"name": name, "numbers": {}, "keys": [], "why": {}})
            self._make_key()
            return self._publish(now_s, None)

    def add(self, statement: bytes, now_s: float, compared: Sequence[str] = ()) -> Published:
        """Take a district's statement of its keys (`merge_statement` has the rule) and publish. Raises StatementError,
        NeedsFingerprint, HubError."""
        said = read_statement(statement)
        with self._alone():
            state = self._read()
            known = {key.kid: key for key in self._keys(state)}
            last = state["numbers"].get(said.issuer, 0)
            after = merge_statement(known, last, said, int(now_s), compared)
            kept = list(after.values())
            self._write({**state, "numbers": {**state["numbers"], said.issuer: said.number}, "keys": _entries(kept)})
            fresh = [key.kid.hex() for key in kept if key.kid not in known]
            self._note(now_s, "district", issuer=said.issuer, number=said.number, new=fresh, compared=list(compared))
            return self._publish(now_s, None)

    def revoke(self, kid: bytes, now_s: float, why: str) -> Published:
        """Revoke a district's key without its doing, and publish. Raises HubError."""
        if not why.strip() or len(why) > 200 or not why.isprintable():
            raise HubError("a revocation has a reason of 1 to 200 characters")
        with self._alone():
            state = self._read()
            keys = self._keys(state)
            if not any(key.kid == kid for key in keys):
                raise HubError(f"no district has a key {kid.hex()} here: `roadcode hub list` shows them")
            after = [
                replace(k, revoked_s=int(now_s)) if k.kid == kid and k.revoked_s is None else k for k in keys
            ]  # fmt: skip
            self._write({**state, "keys": _entries(after), "why": {**state["why"], kid.hex(): why}})
            self._note(now_s, "revoked", kid=kid.hex(), why=why)
            return self._publish(now_s, None)

    def publish(self, now_s: float) -> Published:
        """Sign the next list: what is known now, with a new expiry. Raises HubError."""
        with self._alone():
            return self._publish(now_s, None)

    def renew(self, now_s: float) -> Published | None:
        """The next list, where the newest is a day old or the value sets have changed; else None."""
        with self._alone():
            before = self._before()
            fresh = before is not None and now_s < before.trust.issued_s + RENEW_S
            if before is not None and fresh and dict(before.trust.value_sets) == digests(value_sets()):
                return None
            return self._publish(now_s, None)

    def rotate(self, now_s: float) -> Published:
        """Announce a new key of the hub in a list that the old one signs; the next list is signed by the new one.
        Raises HubError."""
        with self._alone():
            before = self._before()
            if before is not None and before.trust.next_key is not None:
                raise HubError("a new key is announced already: `roadcode hub publish` brings it into force")
            made = self._make_key()
            published = self._publish(now_s, made.key)
            self._note(now_s, "rotated", kid=made.kid.hex())
            return published

    def key(self) -> PublicKey:
        """The key that signs the next list: what districts pin."""
        return self._signer(self._before()).key

    def rows(self) -> list[dict[str, Any]]:
        """Every key, for people."""
        state = self._read()
        return [
            {
                "district": key.issuer, "name": key.name, "key": key.kid.hex(), "from": _iso(key.from_s),
                "to": _iso(key.to_s), "revoked": _iso(key.revoked_s) if key.revoked_s is not None else None,
                "why": state["why"].get(key.kid.hex()), "fingerprint": fingerprint(key.key),
            }
            for key in sorted(self._keys(state), key=lambda k: (k.issuer, k.from_s))
        ]  # fmt: skip

    def newest(self) -> Published:
        """The newest list. Raises HubError where there is none."""
        before = self._before()
        if before is None:
            raise HubError(f"{self.folder} has published nothing yet: `roadcode hub publish`")
        return before

    # ------------------------------------------------------------ files

    def _publish(self, now_s: float, next_key: PublicKey | None) -> Published:
        state, before = self._read(), self._before()
        pair = self._signer(before)
        sets = value_sets()
        for name, data in sets.items():
            _put(self.public.folder / "value-sets" / f"{name}.json", data)
        number = before.trust.number + 1 if before else 1
        # A clock that was set back must not make a list that readers refuse as older than the one before.
        issued_s = max(int(now_s), before.trust.issued_s if before else 0)
        trust = TrustList(
            number, state["name"], issued_s, issued_s + LIFE_S, tuple(k for k in self._keys(state) if k.to_s > now_s),
            sha256(before.data).digest() if before else b"", digests(sets), next_key,
        )  # fmt: skip
        data = sign_trust_list(trust, pair)
        _put(self.public.folder / "lists" / f"{number:08d}.cose", data, once=True)
        wanted = {(next_key or pair.key).kid.hex(), pair.kid.hex()}
        for path in (self.folder / "secret").glob("*.key"):
            if path.stem not in wanted:
                path.unlink()
        return Published(data, trust)

    def _before(self) -> Published | None:
        number = self.public.newest()
        data = self.public.document(number)
        if data is None:
            return None
        try:
            signer = self._pair(read1(data).kid).key
            return Published(data, read_trust_list(data, signer))
        except (CoseError, TrustListError) as error:
            raise HubError(f"list {number} cannot be read ({error}): restore the folder from its backup") from None

    def _signer(self, before: Published | None) -> KeyPair:
        if before is None:
            paths = sorted((self.folder / "secret").glob("*.key"))
            if len(paths) != 1:
                raise HubError(f"{self.folder} is no hub: make one with `roadcode hub init`")
            return load_pair(paths[0])
        return self._pair(before.trust.next_key.kid if before.trust.next_key else read1(before.data).kid)

    def _pair(self, kid: bytes) -> KeyPair:
        path = self.folder / "secret" / f"{kid.hex()}.key"
        if not path.exists():
            raise HubError(f"the hub's key {kid.hex()} is not in {path.parent}: restore it from its backup")
        try:
            return load_pair(path)
        except NoteError as error:
            raise HubError(str(error)) from None

    def _make_key(self) -> KeyPair:
        seed = os.urandom(32)
        pair = pair_of(seed)
        write_private(self.folder / "secret" / f"{pair.kid.hex()}.key", seed.hex() + "\n")
        return pair

    def _read(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.folder / "hub.json").read_text("utf-8"))
        except FileNotFoundError:
            raise HubError(f"{self.folder} is no hub: make one with `roadcode hub init`") from None
        except (OSError, ValueError) as error:
            why = type(error).__name__
            raise HubError(f"{self.folder / 'hub.json'} cannot be read ({why}): restore it from its backup") from None
        return state

    def _write(self, state: dict[str, Any]) -> None:
        write_private(self.folder / "hub.json", json.dumps(state, indent=1, ensure_ascii=False))

    def _keys(self, state: dict[str, Any]) -> list[TrustedKey]:
        try:
            return [read_entry(_bytes_of(entry)) for entry in state["keys"]]
        except (TrustListError, ValueError, KeyError, TypeError) as error:
            raise HubError(f"hub.json is damaged ({error}): restore it from its backup") from None

    def _note(self, now_s: float, what: str, **about: Any) -> None:
        line = json.dumps({"at": _iso(now_s), "what": what, **about}, ensure_ascii=False)
        with (self.folder / "journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self.folder.is_dir():
            raise HubError(f"{self.folder} is no hub: make one with `roadcode hub init`")
        handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _entries(keys: Sequence[TrustedKey]) -> list[dict[str, Any]]:
    rows = [key_entry(key) for key in sorted(keys, key=lambda k: (k.issuer, k.from_s, k.kid))]
    return [{n: v.hex() if isinstance(v, bytes) else v for n, v in row.items()} for row in rows]


def _bytes_of(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "kid": bytes.fromhex(entry["kid"]), "public": bytes.fromhex(entry["public"])}


def _put(path: Path, data: bytes, once: bool = False) -> None:
    """Whole or not at all; `once`: never over another file."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if once:
        path.hardlink_to(fresh)
        fresh.unlink()
    else:
        fresh.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _iso(t_s: float) -> str:
    return datetime.fromtimestamp(t_s, UTC).isoformat(timespec="seconds")
