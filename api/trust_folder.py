"""The trust lists that lie in an instance's data folder: the hub's, followed list by list, and one of its own keys.

What is held is one file each, replaced whole. What may be taken is decided in `ledger/trust.py`.
"""

from __future__ import annotations

import fcntl
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger import (
    CoseError,
    DistrictKeys,
    KeyPair,
    PublicKey,
    TrustList,
    TrustListError,
    UnknownAlgorithm,
    check_time,
    list_changes,
    may_follow,
    parse_trust_list,
    read1,
    read_trust_list,
    sign_trust_list,
)

from .embedded import write_private
from .hub_line import Answer, Ask, NotUpdated
from .value_sets import digests, value_sets

OWN_LIFE_S = 7 * 86_400
OWN_RENEW_S = 86_400
"""An own list is signed anew once a day, and holds a week: scanners that are offline for a few days go on."""
STALE_S = 3 * 86_400
"""How old the last answer of a hub may be before it is told of: well before lists of a week expire."""
MOST_STEPS = 1000
"""Lists that are followed one by one at an update: nearly three years of daily ones. Whoever was away for longer pins
the hub's key anew."""


@dataclass(frozen=True)
class Held:
    """A list that lies here. `key`: who signed it. `root`: the pinned key with which its chain began. `fetched_s`: when
    its publisher last said that it is the newest."""

    data: bytes
    trust: TrustList
    key: PublicKey
    root: PublicKey
    fetched_s: float

    @property
    def sha256(self) -> str:
        """Of the signed bytes."""
        return sha256(self.data).hexdigest()


def read_key(text: str) -> PublicKey:
    """A public key as 64 hex digits, as `roadcode hub list` prints it. Raises ValueError."""
    try:
        return PublicKey(bytes.fromhex(text.strip()))
    except ValueError:
        raise ValueError("a hub's key is 64 hex digits, as `roadcode hub list` prints it") from None


class TrustFolder:
    """The lists in a folder (`trust/` of the data folder): `hub.json`, `own.json`, `pin.json`, `value-sets/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[str, tuple[tuple[int, int, int], Held]] = {}

    # ------------------------------------------------------------ a hub's

    def hub(self, pin: PublicKey) -> Held | None:
        """The hub's list that lies here, None where there is none whose chain began with the pinned key: another pin is
        another hub, and a new beginning. Raises TrustListError where the file is damaged."""
        held = self._load("hub.json")
        return held if held is not None and held.root == pin else None

    def update(self, ask: Ask, pin: PublicKey, now_s: float) -> tuple[Held, list[str]]:
        """Ask the hub for what is newer, follow its lists one by one from the one held, and keep the newest; also what
        that changed, a line each. Raises NotUpdated; nothing is changed then."""
        try:
            with self._alone():
                held = self.hub(pin)
                after = self._fetched(ask, pin, held, now_s)
                self._save("hub.json", after)
            return after, list_changes(held.trust if held else None, after.trust)
        except (TrustListError, CoseError, UnknownAlgorithm) as error:
            raise NotUpdated(f"the hub's list was not taken: {error}") from None

    def take(self, data: bytes, pin: PublicKey, now_s: float) -> tuple[Held, list[str]]:
        """The same with a list that came by hand. Raises NotUpdated."""
        try:
            with self._alone():
                held = self.hub(pin)
                key = _key_for(data, held, pin)
                trust = read_trust_list(data, key)
                check_time(trust, now_s)
                if held is not None and not may_follow(held.data, held.trust, data, trust):
                    return held, []
                after = Held(data, trust, key, pin, now_s)
                self._save("hub.json", after)
            return after, list_changes(held.trust if held else None, after.trust)
        except (TrustListError, CoseError, UnknownAlgorithm) as error:
            raise NotUpdated(f"this list was not taken: {error}") from None

    def _fetched(self, ask: Ask, pin: PublicKey, held: Held | None, now_s: float) -> Held:
        newest = ask("/trust-list", held.sha256 if held else "")
        if newest.data is None and held is not None:
            check_time(held.trust, now_s)
            return replace(held, fetched_s=now_s)
        if newest.data is None:
            raise NotUpdated("the hub says that nothing is new, and nothing is held here")
        if held is None:
            held = self._first(ask, pin, newest.data, now_s)
        # The claimed number only says how far to go: each list on the way is checked, and the last is what it is.
        last = _claimed_number(newest.data)
        if last - held.trust.number > MOST_STEPS:
            raise NotUpdated(f"{last - held.trust.number} lists were missed: compare and pin the hub's key anew")
        for number in range(held.trust.number + 1, last):
            held = _next(held, _must(ask(f"/trust-list/{number}", ""), number), now_s)
        if newest.data != held.data:
            held = _next(held, newest.data, now_s)
        check_time(held.trust, now_s)
        return replace(held, fetched_s=now_s)

    def _first(self, ask: Ask, pin: PublicKey, newest: bytes, now_s: float) -> Held:
        """Where to begin: the newest list, or the last that the pinned key signed, where the hub's key has changed."""
        data = newest
        for _ in range(MOST_STEPS):
            if read1(data).kid == pin.kid:
                return Held(data, read_trust_list(data, pin), pin, pin, now_s)
            number = _claimed_number(data) - 1
            if number < 1:
                break
            data = _must(ask(f"/trust-list/{number}", ""), number)
        raise NotUpdated(
            "no list of this hub is signed by the pinned key: compare its fingerprint with the hub's people"
        )

    def complaint(self, pin: PublicKey, now_s: float) -> str | None:
        """What is wrong with the hub's list, None where all is well."""
        held = self.hub(pin)
        if held is None:
            return "no trust list of the hub is here yet: `roadcode trust update` says why"
        age_days = (now_s - held.fetched_s) / 86_400
        if now_s >= held.trust.expires_s:
            return f"the trust list expired; the hub last answered {age_days:.1f} days ago: `roadcode trust update`"
        if now_s - held.fetched_s > STALE_S:
            left = (held.trust.expires_s - now_s) / 86_400
            return f"the hub last answered {age_days:.1f} days ago; the list holds {left:.1f} days more"
        return None

    # ------------------------------------------------------------ the instance's own

    def own(self, keys: DistrictKeys, pair: KeyPair, publisher: str, now_s: float) -> Held:
        """The list of the instance's own keys, signed anew where a key has changed or it is a day old."""
        keys.current(now_s)  # the first key is made by whoever needs it first
        said = tuple(key for key in keys.all() if key.to_s > now_s)
        held = self._load("own.json")
        if held is None or not _as_is(held, said, pair, publisher, now_s):
            with self._alone():
                held = self._load("own.json")
                if held is None or not _as_is(held, said, pair, publisher, now_s):
                    held = self._save("own.json", _signed(held, said, pair, publisher, now_s))
        return held

    # ------------------------------------------------------------ value sets

    def keep_value_sets(self, trust: TrustList, ask: Ask) -> list[str]:
        """Fetch the sets of a list that do not lie here; names of those that differ from this version's. Raises
        NotUpdated."""
        sets = value_sets()
        ours = digests(sets)
        for name, digest in trust.value_sets.items():
            path = self.folder / "value-sets" / f"{name}-{digest.hex()[:16]}.json"
            if path.exists():
                continue
            data = sets[name] if ours.get(name) == digest else ask(f"/value-sets/{name}", "").data
            if data is None or sha256(data).digest() != digest:
                raise NotUpdated(f"the hub's value set {name} is not the one that its list names")
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(path, data.decode("utf-8"))
        return sorted(name for name, digest in trust.value_sets.items() if ours.get(name) != digest)

    # ------------------------------------------------------------ the pin, and files

    def pin(self) -> PublicKey | None:
        """The hub's key that `roadcode trust pin` wrote down, None where it did not."""
        try:
            return read_key(json.loads((self.folder / "pin.json").read_text("utf-8"))["key"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise TrustListError(f"{self.folder / 'pin.json'} cannot be read: pin the hub's key again") from None

    def set_pin(self, key: PublicKey) -> None:
        """Write a hub's key down."""
        with self._alone():
            write_private(self.folder / "pin.json", json.dumps({"key": key.public.hex()}))

    def _load(self, name: str) -> Held | None:
        path = self.folder / name
        try:
            stat = path.stat()  # replaced whole, so another content is another file: a list is checked once
            as_seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if name in self._seen and self._seen[name][0] == as_seen:
                return self._seen[name][1]
            said = json.loads(path.read_text("utf-8"))
            key = PublicKey(bytes.fromhex(said["key"]))
            data = b64decode(said["list"], validate=True)
            root = PublicKey(bytes.fromhex(said["root"]))
            held = Held(data, read_trust_list(data, key), key, root, float(said["fetched_s"]))
            self._seen[name] = (as_seen, held)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrustListError(f"{path} is damaged ({type(error).__name__}): delete it, it is fetched anew") from None
        return held

    def _save(self, name: str, held: Held) -> Held:
        said: dict[str, Any] = {
            "list": b64encode(held.data).decode(), "key": held.key.public.hex(), "root": held.root.public.hex(),
            "fetched_s": held.fetched_s,
        }  # fmt: skip
        write_private(self.folder / name, json.dumps(said))
        return held

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _as_is(held: Held, said: tuple[Any, ...], pair: KeyPair, publisher: str, now_s: float) -> bool:
    same = held.trust.keys == said and held.key == pair.key and held.trust.publisher == publisher
    young = held.trust.issued_s <= now_s < held.trust.issued_s + OWN_RENEW_S
    return same and young and dict(held.trust.value_sets) == digests(value_sets())


def _signed(before: Held | None, said: tuple[Any, ...], pair: KeyPair, publisher: str, now_s: float) -> Held:
    number = before.trust.number + 1 if before else 1
    previous = sha256(before.data).digest() if before else b""
    at_s = int(now_s)
    trust = TrustList(number, publisher, at_s, at_s + OWN_LIFE_S, said, previous, digests(value_sets()))
    return Held(sign_trust_list(trust, pair), trust, pair.key, pair.key, now_s)


def _next(held: Held, data: bytes, now_s: float) -> Held:
    """The list that follows, one step. Raises TrustListError, CoseError."""
    key = held.trust.next_key or held.key
    trust = read_trust_list(data, key)
    if trust.number > held.trust.number + 1:
        raise TrustListError(f"the hub gave list {trust.number} for list {held.trust.number + 1}")
    may_follow(held.data, held.trust, data, trust)
    return Held(data, trust, key, held.root, now_s)


def _key_for(data: bytes, held: Held | None, pin: PublicKey) -> PublicKey:
    known = [pin] if held is None else [held.key, *([held.trust.next_key] if held.trust.next_key else [])]
    return next((key for key in known if key.kid == read1(data).kid), known[0])


def _claimed_number(data: bytes) -> int:
    """The number that a list gives itself, before anybody has checked its signature. Raises TrustListError."""
    return unchecked(data).number


def unchecked(data: bytes) -> TrustList:
    """What a list says, **without** a look at its signature. Raises TrustListError, CoseError."""
    return parse_trust_list(read1(data).payload)


def _must(answer: Answer, number: int) -> bytes:
    if answer.data is None:
        raise NotUpdated(f"the hub does not have list {number} any more: pin its key anew")
    return answer.data
