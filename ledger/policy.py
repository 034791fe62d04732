"""Whom a verifier believes: logs, witnesses and how many of them must have signed (the text of C2SP tlog-policy). Pure.

    log road.example/log+33d7b496+AeHTu4Q3...
    witness traffic-police witness.police.example+8a02ff47+BAfe++5m... https://witness.police.example
    group departments 2 traffic-police water gas
    quorum departments
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from .cosignature import Cosignature, WitnessKey, cosignatures_of, witness_key
from .note import ED25519, Checkpoint, NoteError, parse_key, verify_note

MOST: Final = 32
"""Of each: logs, witnesses, groups. As many as tlog-policy wants of every reader; 32 witnesses with the longest names
still fit under one checkpoint of 16,384 characters, 64 would not."""
MAX_POLICY: Final = 65536
"""Bytes. 32 of each with addresses and comments are some 20,000; a file of any length would be read into memory."""
_COUNT = re.compile(r"[1-9][0-9]{0,3}\Z")
_ALLOWED = re.compile(rb"[\x09\x0a\x20-\x7e\x80-\xff]*\Z")


class PolicyError(ValueError):
    """A witness policy that cannot be read; the text names the line and says what is wrong with it."""


@dataclass(frozen=True)
class Witness:
    """A witness as a policy names it: `name` is the policy's own word for it. `url`: where it answers, if known."""

    name: str
    key: WitnessKey
    url: str | None


@dataclass(frozen=True)
class Group:
    """Holds where at least `k` of `members` (witnesses or earlier groups) do."""

    name: str
    k: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """`logs`: verifier texts. `quorum`: the name of a witness or group, None where no witness is asked for."""

    logs: tuple[str, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str | None

    @property
    def keys(self) -> tuple[WitnessKey, ...]:
        """The keys of all witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    @property
    def needed(self) -> str:
        """The rule of the quorum in words."""
        for group in self.groups:
            if group.name == self.quorum:
                return f"{group.k} of {len(group.members)} ({', '.join(group.members)})"
        return self.quorum or "none"

    def satisfied(self, cosigned: Collection[str]) -> bool:
        """Whether the witnesses with these names of the policy are enough."""
        holds = {witness.name: witness.name in cosigned for witness in self.witnesses}
        for group in self.groups:  # members stand before their group
            holds[group.name] = sum(holds[member] for member in group.members) >= group.k
        return self.quorum is None or holds[self.quorum]

    def enough(self, note: str) -> bool:
        """Whether enough witnesses signed a note, whoever its log is. Raises NoteError."""
        return _enough(self, note)

    def names_of(self, signed: Collection[Cosignature]) -> list[str]:
        """The policy's names of those who signed, in the policy's order."""
        keys = {one.witness.vkey for one in signed}
        return [witness.name for witness in self.witnesses if witness.key.vkey in keys]


@lru_cache(maxsize=256)
def _enough(policy: Policy, note: str) -> bool:
    """Kept for the newest notes, 4 MB: whoever asks for a witnessed head has up to 64 of them checked, and while none
    has a quorum that is a hundred signatures for each question of anybody."""
    return policy.satisfied(policy.names_of(cosignatures_of(note, policy.keys)))


@dataclass(frozen=True)
class Judged:
    """What a policy says of a note: the checkpoint that a log of it signed, who cosigned, and whether it is enough."""

    checkpoint: Checkpoint
    signed: tuple[Cosignature, ...]
    names: tuple[str, ...]
    enough: bool


def judge(policy: Policy, note: str, log: str = "") -> Judged:
    """Read a note as a policy does. log: the verifier text of the log where the policy names none. Raises NoteError:
    unreadable, by no log of the policy, or a signature of a known key does not hold."""
    checkpoint = None
    why = NoteError("the policy names no log")
    for one in policy.logs or (log,) * bool(log):
        try:
            checkpoint = verify_note(note, one)
            break
        except NoteError as error:
            why = error
    if checkpoint is None:
        raise why
    signed = cosignatures_of(note, policy.keys)
    names = policy.names_of(signed)
    return Judged(checkpoint, tuple(signed), tuple(names), policy.satisfied(names))


def parse_policy(data: bytes) -> Policy:
    """A policy from its text. Raises PolicyError."""
    if len(data) > MAX_POLICY:
        raise PolicyError(f"a policy has at most {MAX_POLICY} bytes")
    if not _ALLOWED.match(data):
        raise PolicyError("a policy has no control characters but tab and line end (a carriage return is one)")
    reading = _Reading()
    # Names are opaque bytes: two that differ must stay different, whatever they mean as text.
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        words = re.split(r"[ \t]+", line.strip(" \t"))
        if not words[0] or words[0].startswith("#"):
            continue
        try:
            reading.take(words)
        except (PolicyError, NoteError, ValueError) as error:
            raise PolicyError(f"line {number}: {error}") from error
    return reading.policy()


class _Reading:
    def __init__(self) -> None:
        self._logs: dict[bytes, str] = {}
        self._witnesses: dict[str, Witness] = {}
        self._groups: dict[str, Group] = {}
        self._used: set[str] = set()
        self._quorum: list[str | None] = []

    def take(self, words: list[str]) -> None:
        what, rest = words[0], words[1:]
        if what == "log" and len(rest) in (1, 2):
            self._log(rest[0])
        elif what == "witness" and len(rest) in (2, 3):
            self._witness(rest[0], rest[1], rest[2] if len(rest) == 3 else None)
        elif what == "group" and len(rest) >= 3:
            self._group(rest[0], rest[1], rest[2:])
        elif what == "quorum" and len(rest) == 1:
            if self._quorum:
                raise PolicyError("a second quorum")
            self._quorum.append(None if rest[0] == "none" else self._known(rest[0]))
        else:
            raise PolicyError(
                "neither `log VKEY [URL]`, `witness NAME VKEY [URL]`, `group NAME K|any|all NAME...`, nor `quorum NAME`"
            )

    def policy(self) -> Policy:
        if not self._quorum:
            raise PolicyError("the policy has no quorum line: say `quorum NAME`, or `quorum none`")
        logs, witnesses = tuple(self._logs.values()), tuple(self._witnesses.values())
        return Policy(logs, witnesses, tuple(self._groups.values()), self._quorum[0])

    def _log(self, vkey: str) -> None:
        _, _, public = parse_key(vkey, ED25519)
        self._fresh_key(public)
        self._room(len(self._logs), "logs")
        self._logs[public] = vkey

    def _witness(self, name: str, vkey: str, url: str | None) -> None:
        key = witness_key(vkey)
        self._fresh_key(key.key.public)
        self._fresh_name(name)
        self._room(len(self._witnesses), "witnesses")
        if url is not None and not re.match(r"https?://[^/\s]", url):
            raise PolicyError("a witness answers at an http or https address")
        self._witnesses[name] = Witness(name, key, url)

    def _group(self, name: str, count: str, members: list[str]) -> None:
        self._fresh_name(name)
        self._room(len(self._groups), "groups")
        for member in members:
            self._known(member)
            if member in self._used:
                raise PolicyError(f"{_shown(member)} is a member twice: each counts in one way only")
            self._used.add(member)
        k = {"any": 1, "all": len(members)}.get(count) or (int(count) if _COUNT.match(count) else 0)
        if not 1 <= k <= len(members):
            raise PolicyError(f"a group needs any, all, or a number from 1 to {len(members)}, not {_shown(count)}")
        self._groups[name] = Group(name, k, tuple(members))

    def _known(self, name: str) -> str:
        if name not in self._witnesses and name not in self._groups:
            raise PolicyError(f"{_shown(name)} was not named on a line before")
        return name

    def _fresh_name(self, name: str) -> None:
        if name == "none" or name in self._witnesses or name in self._groups:
            raise PolicyError(f"{_shown(name)} is taken")

    def _fresh_key(self, public: bytes) -> None:
        # A log that were its own witness would fill a quorum with nobody.
        if public in self._logs or any(public == one.key.key.public for one in self._witnesses.values()):
            raise PolicyError("this key stands on a line before, perhaps under another name")

    def _room(self, there: int, what: Literal["logs", "witnesses", "groups"]) -> None:
        if there >= MOST:
            raise PolicyError(f"more than {MOST} {what}")


def _shown(name: str) -> str:
    return ascii(name)
