"""An account's statement as a leaf of a settlement's tree, and its check by anybody. Pure.

A leaf says the account's **cumulative** sums, and the hash of what is new in it. It does not name the account: it holds
a hash of a salt, fresh in each settlement, and the id. Who has the salt can show that a leaf is theirs; two leaves of
one account, or a leaf and a guessed id, cannot be matched without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from .merkle import leaf_hash, verify_inclusion
from .records import ALG, VERSION, Origin, Plain, RecordError, encode, parse

KIND = "statement"
_FIELDS = {"v", "kind", "alg", "origin", "day", "holder", "earned", "spent", "expired", "entries"}


class StatementError(ValueError):
    """A statement does not hold; the text says where."""


@dataclass(frozen=True)
class Sums:
    """What an account had as of a settlement."""

    earned: int
    spent: int
    expired: int


def holder_of(salt: bytes, account: str) -> bytes:
    """What stands for an account in a leaf."""
    return hashlib.sha256(salt + account.encode()).digest()


def entries_hash(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """SHA-256 of what is new in a statement: each entry's day, what and points, in their order."""
    plain: list[Plain] = [{"day": str(e["day"]), "what": str(e["what"]), "points": int(e["points"])} for e in entries]
    whole = hashlib.sha256()
    for one in plain:  # one by one: a long list would be over what a body may hold
        whole.update(hashlib.sha256(encode(one)).digest())
    return whole.digest()


def leaf_body(day: date, account: str, salt: bytes, sums: Sums, new: bytes, origin: Origin) -> bytes:
    """The bytes of a leaf. new: of `entries_hash`."""
    said: Plain = origin if isinstance(origin, str) else sorted(origin)
    return encode({
        "v": VERSION, "kind": KIND, "alg": ALG, "origin": said, "day": day.isoformat(),
        "holder": holder_of(salt, account), "earned": sums.earned, "spent": sums.spent, "expired": sums.expired,
        "entries": new,
    })  # fmt: skip


def verify_statement(statement: Mapping[str, Any], root: bytes) -> dict[str, Any]:
    """What a statement says, checked against a settlement's root (of its `reward` record) without asking anybody.

    ``statement`` is as `points_store.statement` gives it: account, salt, body, index, size, path (bytes as hex) and the
    entries that are new in it. Total: gives the leaf's content, or raises StatementError.
    """
    try:
        body, salt = bytes.fromhex(statement["body"]), bytes.fromhex(statement["salt"])
        path = [bytes.fromhex(step) for step in statement["path"]]
        index, size, account = int(statement["index"]), int(statement["size"]), str(statement["account"])
        new = list(statement["entries"])
        content = parse(body)
        said = entries_hash(new)
    except (KeyError, TypeError, ValueError, OverflowError, RecordError) as error:
        raise StatementError(f"not a statement ({type(error).__name__}): fetch it again") from None
    if content["kind"] != KIND or set(content) != _FIELDS:
        raise StatementError("the leaf is not that of a statement: fetch it again")
    if content["holder"] != holder_of(salt, account):
        raise StatementError("the leaf is of another account, or the salt is not its own")
    if content["entries"] != said:
        raise StatementError("the entries are not those that the leaf was made of")
    sums = [content[name] for name in ("earned", "spent", "expired")]
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in sums) or sums[0] < sums[1] + sums[2]:
        raise StatementError("the sums of the leaf cannot be: more went than came")
    if not verify_inclusion(index, size, leaf_hash(body), path, root):
        raise StatementError("the leaf is not in the settlement whose root was given")
    return content
