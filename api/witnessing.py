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
    candidate,
    cosignatures_at,
    put_cosignatures,
)

Connection = psycopg.Connection[Any]
TIMEOUT_S: Final = 5.0
"""For one answer. Witnesses sync a disk before they answer; a shorter time loses those on slow lines, a longer one lets
a witness that hangs hold up its own next asking, and nobody else's."""
_AT_ONCE: Final = 8
_TURN_S: Final = 5.0
"""Between turns. Who has signed is not asked again; who was away is, so often, and hears a few hundred bytes."""


class Asking:
    """Asks each witness that has an address to sign the head that is offered now (`ledger.candidate`, a new one every
    `slot_s`), until it has.

    What it gets is checked by the policy's keys and kept. A thread of its own: a witness that is away, slow or lying
    costs that witness's signature, and never a turn of log or chain.
    """

    def __init__(self, connect: Callable[[], Connection], tiles: Tiles, policy: Policy, slot_s: float) -> None:
        """Nothing is asked before `start` or `turn`."""
        self._connect, self._tiles, self._policy, self._slot_s = connect, tiles, policy, slot_s
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
            self._stop.wait(max(0.2, _TURN_S - (time.monotonic() - began_s)))

    def turn(self, say: Callable[..., object]) -> int:
        """Ask everybody once; gives how many new cosignatures were kept. No transaction is open while it asks."""
        with closing(self._connect()) as conn:
            head = candidate(conn, self._slot_s)
            have = {one.witness.vkey for one in cosignatures_at(conn, head[0])} if head else set()
            conn.commit()
            asked = [one for one in self._policy.witnesses if one.url and one.key.vkey not in have]
            if head is None or not asked:
                return 0
            size, note = head
            new = 0
            with ThreadPoolExecutor(min(_AT_ONCE, len(asked))) as pool:
                for signed in pool.map(lambda one: self._ask(one, size, note, say), asked):
                    new += put_cosignatures(conn, size, [signed]) if signed else 0
                    conn.commit()
            return new

    def _ask(self, witness: PolicyWitness, size: int, note: str, say: Callable[..., object]) -> Cosignature | None:
        known = self._known.get(witness.name, 0)
        if size < known:
            return None
        signed = None
        try:
            signed, self._known[witness.name] = ask(witness, note, size, known, partial(self._proof, size), TIMEOUT_S)
            self._say(say, witness.name, "")
        except (Away, LogDamaged) as error:
            self._say(say, witness.name, str(error))
        return signed

    def _proof(self, size: int, old: int) -> list[bytes]:
        return self._tiles.consistency(old, size) if 0 < old < size else []

    def _say(self, say: Callable[..., object], who: str, why: str) -> None:
        if why and self._told.get(who) != why:
            say("witness away", witness=who, why=why)
        self._told[who] = why
