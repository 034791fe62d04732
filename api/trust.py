"""Which trust list this instance goes by: the hub's, fetched and checked, or one of its own keys where there is no hub.

Nothing is asked of anybody when a code is read: that goes by the list that lies here, until it expires.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ledger import DistrictKeys, KeyPair, NoteError, PublicKey, load_pair, record_keys, record_trust_list

from .hub_line import NotUpdated, over_http
from .trust_folder import Held, TrustFolder


class TrustListOld(RuntimeError):
    """The hub's list is old, expired or not there; the text says which, and what to do."""


@dataclass(frozen=True)
class Own:
    """What an instance's own list is made of."""

    keys: DistrictKeys
    pair: KeyPair
    publisher: str


class Trust:
    """The trust of one instance: a hub's list where there is a hub and one of its lists is here, else its own.

    pin: the hub's key, None without a hub. `own` makes what is needed for the instance's own list."""

    def __init__(self, folder: TrustFolder, url: str, pin: PublicKey | None, own: Callable[[], Own]) -> None:
        self.folder, self.url, self.pin, self._own = folder, url, pin, own

    def in_force(self, now_s: float) -> tuple[Held, str]:
        """The list that this instance goes by, and whose: hub or own."""
        held = self.folder.hub(self.pin) if self.pin is not None else None
        if held is not None:
            return held, "hub"
        own = self._own()
        return self.folder.own(own.keys, own.pair, own.publisher, now_s), "own"

    def update(self, now_s: float) -> tuple[Held, list[str]]:
        """Ask the hub, or renew the own list. Raises NotUpdated."""
        if not self.url:
            return self.in_force(now_s)[0], []
        if self.pin is None:
            raise NotUpdated("the hub's key is not pinned: compare its fingerprint, then `roadcode trust pin KEY`")
        ask = over_http(self.url)
        held, news = self.folder.update(ask, self.pin, now_s)
        try:
            differ = self.folder.keep_value_sets(held.trust, ask)
        except NotUpdated as error:  # whose signature counts must not wait for what a number means
            return held, [*news, str(error)]
        return held, [*news, *(f"the union's value set {name} is not this version's" for name in differ)]

    def complaint(self, now_s: float) -> str | None:
        """What is wrong, None where all is well."""
        if not self.url:
            return None
        if self.pin is None:
            return "the hub's key is not pinned: compare its fingerprint, then `roadcode trust pin KEY`"
        return self.folder.complaint(self.pin, now_s)

    def tell(self, conn: psycopg.Connection[Any], origins: Sequence[str], now_s: float) -> int:
        """Puts into the outbox what the log was not told yet of the district's keys and of the hub's list that lies
        here. The transaction is the caller's; says how many records."""
        keys = self._own().keys
        told = record_keys(conn, keys.issuer, keys.steps(), origins)
        held = self.folder.hub(self.pin) if self.pin is not None else None
        if held is not None:
            told += record_trust_list(conn, held.data, held.trust, held.key, int(now_s), origins)
        return told


def own_pair(home: Path) -> KeyPair:
    """The key that signs the instance's own list; made once. Raises NotUpdated."""
    try:
        return load_pair(home / "secrets" / "trust-list")
    except NoteError as error:
        raise NotUpdated(str(error)) from None
