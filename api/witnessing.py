"""The log's side of witnessing: asks the witnesses of the policy, beside the anchorer's turns, never in their way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, Final

import psycopg

from ledger import (
    Away,
    Cosignature,
    LogDamaged,
    NoteError,
    Policy,
    PolicyWitness,
    Tiles,
    ask,
    checkpoint_at,
    cosignatures_at,
    newest_anchor,
    newest_checkpoint,
    put_cosignatures,
)

Connection = psycopg.Connection[Any]
TIMEOUT_S: Final = 5.0
"""For one answer. Witnesses sync a disk before they answer; a shorter time loses those on slow lines, a longer one lets
a witness that hangs hold up its own next asking, and nobody else's."""
_AT_ONCE: Final = 8


class Asking:
    """Asks, every `every_s`, each witness that has an address to sign the newest anchored and the newest checkpoint.

    What it gets is checked by the policy's keys and kept. A thread of its own: a witness that is away, slow or lying
    costs that witness's signature, and never a turn of log or chain.
    """

    def __init__(self, connect: Callable[[], Connection], tiles: Tiles, policy: Policy, every_s: float) -> None:
        """Nothing is asked before `start` or `turn`."""
        self._connect, self._tiles, self._policy, self._every_s = connect, tiles, policy, every_s
        self._known: dict[str, int] = {}
        self._told: dict[str, str] = {}
        self._stop = threading.Event()

    def start(self, say: Callable[..., object]) -> None:
        """Turn until the process ends; `say` hears of each trouble once until it changes."""
        threading.Thread(target=self._run, args=(say,), name="witnesses", daemon=True).start()

    def stop(self) -> None:
        """No further turn."""
        self._stop.set()

    def _run(self, say: Callable[..., object]) -> None:
        while not self._stop.is_set():
            began_s = time.monotonic()
            try:
                self.turn(say)
            except (psycopg.Error, LogDamaged, NoteError) as error:
                self._say(say, "log", f"{type(error).__name__}: {error}")
            self._stop.wait(max(0.2, self._every_s - (time.monotonic() - began_s)))

    def turn(self, say: Callable[..., object]) -> int:
        """Ask everybody once; gives how many new cosignatures were kept. No transaction is open while it asks."""
        with closing(self._connect()) as conn:
            heads = self._heads(conn)
            have = {size: {one.witness.vkey for one in cosignatures_at(conn, size)} for size, _ in heads}
            conn.commit()
            asked = [witness for witness in self._policy.witnesses if witness.url]
            if not heads or not asked:
                return 0
            new = 0
            with ThreadPoolExecutor(min(_AT_ONCE, len(asked))) as pool:
                for signed in pool.map(lambda one: self._ask(one, heads, have, say), asked):
                    new += sum(put_cosignatures(conn, size, [one]) for size, one in signed)
                    conn.commit()
            return new

    def _heads(self, conn: Connection) -> list[tuple[int, str]]:
        """(size, note) of the newest anchored checkpoint and of the newest, in this order; one where they are one."""
        newest, anchor = newest_checkpoint(conn), newest_anchor(conn)
        found = [] if anchor is None else [checkpoint_at(conn, anchor.size)]
        return list({row[0]: (row[0], row[2]) for row in (*found, newest) if row is not None}.values())

    def _ask(
        self, witness: PolicyWitness, heads: list[tuple[int, str]], have: dict[int, set[str]],
        say: Callable[..., object],
    ) -> list[tuple[int, Cosignature]]:
        signed = []
        known = self._known.get(witness.name, 0)
        try:
            for size, note in heads:
                if size < known or witness.key.vkey in have[size]:
                    continue
                one, known = ask(witness, note, size, known, partial(self._proof, size), TIMEOUT_S)
                if one is not None:
                    signed.append((size, one))
            self._say(say, witness.name, "")
        except (Away, LogDamaged) as error:
            self._say(say, witness.name, str(error))
        self._known[witness.name] = known
        return signed

    def _proof(self, size: int, old: int) -> list[bytes]:
        return self._tiles.consistency(old, size) if 0 < old < size else []

    def _say(self, say: Callable[..., object], who: str, why: str) -> None:
        if why and self._told.get(who) != why:
            say("witness away", witness=who, why=why)
        self._told[who] = why
