"""Canonical bytes of what the platform says, so that the same statement always has the same hash.

Bodies are CBOR in the core deterministic encoding of RFC 8949 section 4.2.1, restricted to integers of 64 bits,
text, bytes, booleans, null, lists and maps with text keys. Floats are left out on purpose: two machines may print
or round them differently, and a leaf hash forgives nothing. Scale them to integers and put the unit in the name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any, Final

import cbor2

VERSION: Final = 1
ALG: Final = "sha256"
ORIGINS: Final = ("live", "replay", "simulated")

# An entry tile (C2SP tlog-tiles) writes an entry's length in two bytes: a longer body could not be served, and nobody
# could follow the log past it. Ten times less and a day's context would not fit.
MAX_BODY: Final = 65_535
# Signed documents that are not records (trust lists) are encoded here too and may be longer.
MAX_PLAIN: Final = 1 << 18
# Squares that a case's record names, some nine bytes each; of a larger one it gives the number and a hash.
MOST_CELLS: Final = 4_000
# Deeper nesting than any builder needs; without a bound a hostile body could exhaust the stack.
MAX_DEPTH: Final = 16

Plain = int | str | bytes | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]
Origin = str | Sequence[str]

_KIND = re.compile(r"[a-z][a-z_]{0,31}\Z")
# Which field of a body its `subject` column repeats; kinds that are not named here have none.
_SUBJECT_FIELD: Final = {"code": "cell", "block": "block", "case": "case"}


class RecordError(ValueError):
    """The bytes or values are not a record; the text says which rule was broken."""


@dataclass(frozen=True)
class Record:
    """One statement: `kind`, what it is about (cell, block or case number) and its canonical bytes.

    Making one checks the body, so that nothing gets into the outbox that the log could not read back.
    Raises RecordError.
    """

    kind: str
    subject: int | None
    body: bytes
    day: date | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse a body that does not say what the columns beside it say; note its service day."""
        content = parse(self.body)
        if content["kind"] != self.kind:
            raise RecordError(f"the body says kind {content['kind']!r}, the record says {self.kind!r}")
        if subject_of(content) != self.subject:
            raise RecordError(f"the body is about {subject_of(content)}, the record about {self.subject}")
        object.__setattr__(self, "day", day_of(content))


def encode(value: Plain) -> bytes:
    """Deterministic CBOR of plain data; raises RecordError for floats, foreign types, wide integers, non-text keys."""
    _check(value, 0)
    # cbor2 sorts keys by length first (RFC 7049), which with text keys alone is the bytewise order of RFC 8949.
    body: bytes = cbor2.dumps(value, canonical=True)
    if len(body) > MAX_PLAIN:
        raise RecordError(f"{len(body)} bytes are over the {MAX_PLAIN} allowed: record a hash instead")
    return body


def encode_plain(value: Mapping[int, Plain] | Plain) -> bytes:
    """Deterministic CBOR as `encode`, where the outermost map may have integers as keys, as COSE and CWT have them."""
    if isinstance(value, Mapping) and all(isinstance(key, int) and not isinstance(key, bool) for key in value):
        for item in value.values():
            _check(item, 1)
        # Integers from -24 to 23 are one byte each; for wider ones RFC 7049 and RFC 8949 agree on keys of one type.
        body: bytes = cbor2.dumps(dict(value), canonical=True)
        return body
    return encode(value)  # type: ignore[arg-type]


def parse(body: bytes) -> dict[str, Any]:
    """Content of a record body. Total: any byte string gives the map or a RecordError."""
    if len(body) > MAX_BODY:
        raise RecordError(f"a body of {len(body)} bytes is over the {MAX_BODY} allowed: record its hash instead")
    try:
        content = cbor2.loads(body)
    except (Exception, RecursionError) as error:
        raise RecordError(f"not CBOR: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise RecordError("a record body is a map")
    # Encoding again finds every other spelling at once: unsorted keys, long integers, trailing bytes, tags.
    if encode(content) != body:
        raise RecordError("not in deterministic encoding (RFC 8949 4.2.1): write it again with ledger.encode")
    if content.get("v") != VERSION or isinstance(content["v"], bool):
        raise RecordError(f"record version {content.get('v')!r} is unknown, this platform reads {VERSION}")
    kind = content.get("kind")
    if not isinstance(kind, str) or not _KIND.match(kind):
        raise RecordError("a record names its kind in small letters")
    if content.get("alg") != ALG:
        raise RecordError(f"hash algorithm {content.get('alg')!r} is unknown, this platform reads {ALG}")
    _check_origin(content.get("origin"))
    return content


def subject_of(content: Mapping[str, Any]) -> int | None:
    """The number a parsed body is about (its cell, block or case), or None where its kind has none."""
    field = _SUBJECT_FIELD.get(content.get("kind", ""))
    if field is None:
        return None
    subject = content.get(field)
    if not isinstance(subject, int) or isinstance(subject, bool):
        raise RecordError(f"a {content['kind']} record names its {field} as an integer")
    return subject


def day_of(content: Mapping[str, Any]) -> date | None:
    """The service day a parsed body names, or None."""
    day = content.get("day")
    if not isinstance(day, str):
        return None
    try:
        return date.fromisoformat(day)
    except ValueError:
        return None


def day_in(body: bytes) -> date | None:
    """The service day that the bytes of a body name, where they are one: nothing else of them is looked at. Total."""
    try:
        content = cbor2.loads(body)
    except (Exception, RecursionError):
        return None
    return day_of(content) if isinstance(content, dict) else None


def code_record(
    cell: int,
    day: date,
    at_ms: int,
    before: Mapping[str, Plain],
    after: Mapping[str, Plain],
    why: Plain,
    context: bytes,
    origin: Origin,
) -> Record:
    """A changed health code of one cell. `at_ms` unix milliseconds; `context` is the day context's SHA-256."""
    return _record(
        "code",
        cell,
        origin,
        cell=cell,
        day=day.isoformat(),
        at_ms=at_ms,
        before=before,
        after=after,
        why=why,
        context=_digest("context", context),
    )


def block_record(
    block: int,
    day: date,
    revision: int,
    codes_sha256: bytes,
    chunks_root: bytes,
    chunks_count: int,
    context: bytes,
    origin: Origin,
) -> Record:
    """All codes of one block and day: their hash, and the Merkle root of the hashes of the chunks behind them."""
    return _record(
        "block",
        block,
        origin,
        block=block,
        day=day.isoformat(),
        revision=revision,
        codes_sha256=_digest("codes_sha256", codes_sha256),
        chunks_root=_digest("chunks_root", chunks_root),
        chunks_count=chunks_count,
        context=_digest("context", context),
    )


def context_record(day: date, context: Mapping[str, Plain], origin: Origin) -> Record:
    """The frozen context of a service day (versions and hashes of what the day's codes are computed with)."""
    return _record("context", None, origin, day=day.isoformat(), context=context)


def case_record(case: int, step: str, cells: Sequence[int], at_ms: int, why: Plain, origin: Origin) -> Record:
    """One step in the follow-up of a case over `cells`. `at_ms` unix milliseconds."""
    return _record("case", case, origin, case=case, step=step, at_ms=at_ms, why=why, **case_cells(cells))


def case_cells(cells: Sequence[int]) -> dict[str, Plain]:
    """How a case's record says its squares: all of them, or of very many their number and the SHA-256 of their list."""
    ordered = sorted(cells)
    if len(ordered) <= MOST_CELLS:
        return {"cells": ordered}
    packed = b"".join(cell.to_bytes(8, "big", signed=True) for cell in ordered)
    return {"cells_count": len(ordered), "cells_sha256": sha256(packed).digest()}


def register_record(
    step: str, register: str, day: date, at_ms: int, entries: int, entries_root: bytes, why: Plain, origin: Origin
) -> Record:
    """A change of a register: how many entries were put or ended, and the Merkle root of their hashes. `step` is put or
    ended; `at_ms` unix milliseconds."""
    return _record(
        "register",
        None,
        origin,
        step=step,
        register=register,
        day=day.isoformat(),
        at_ms=at_ms,
        entries=entries,
        entries_root=_digest("entries_root", entries_root),
        why=why,
    )


def seal_record(
    day: date, blocks: int, evidence_root: bytes, chunks_root: bytes, context: bytes, origin: Origin
) -> Record:
    """The seal of a service day: nothing is taken for it any more, and these are the Merkle roots of its evidence and
    of the salted hashes of its chunks, block by block (see `chunks`)."""
    return _record(
        "seal",
        None,
        origin,
        day=day.isoformat(),
        blocks=blocks,
        evidence_root=_digest("evidence_root", evidence_root),
        chunks_root=_digest("chunks_root", chunks_root),
        context=_digest("context", context),
    )


def release_record(name: str, step: str, at_ms: int, card_sha256: bytes, why: Plain, origin: Origin) -> Record:
    """A model comes into force (`step` is released) or goes (withdrawn): its name and the hash of its card."""
    return _record(
        "release", None, origin, name=name, step=step, at_ms=at_ms, card_sha256=_digest("card_sha256", card_sha256),
        why=why,
    )  # fmt: skip


def device_record(device: str, step: str, at_ms: int, origin: Origin) -> Record:
    """A box, which belongs to the city, may send (`step` is granted), gets a new key (renewed), or may not any more
    (revoked). Never of a citizen's phone: nobody's phone is named in the log."""
    return _record("device", None, origin, device=device, step=step, at_ms=at_ms)


def department_record(
    department: str, step: str, certificate: bytes, account: bytes, terms: Mapping[str, Plain], at_ms: int,
    origin: Origin,
) -> Record:
    """A department's certificate is granted or revoked (`step`): SHA-256 of the certificate, the account that stands
    for its key on the chain (20 bytes), and its terms (scopes, from_s, to_s ...)."""
    return _record(
        "department", None, origin, department=department, step=step, certificate=_digest("certificate", certificate),
        account=account, terms=terms, at_ms=at_ms,
    )  # fmt: skip


def key_record(issuer: str, step: str, kid: bytes, public: bytes, at_ms: int, why: Plain, origin: Origin) -> Record:
    """A district's signing key comes into force, is followed by another, or is revoked (`step`: issued, retired,
    revoked)."""
    return _record("key", None, origin, issuer=issuer, step=step, kid=kid, public=public, at_ms=at_ms, why=why)


def reward_record(
    day: date, root: bytes, accounts: int, issued: int, spent: int, expired: int, budget: int, rules: bytes,
    origin: Origin,
) -> Record:
    """The settlement of a service day: the Merkle root over every account's **cumulative** statement, the sums of all
    days until this one in points, the day's budget, and SHA-256 of the rules in force. No account is named."""
    return _record(
        "reward", None, origin, day=day.isoformat(), root=_digest("root", root), accounts=accounts, issued=issued,
        spent=spent, expired=expired, budget=budget, rules=_digest("rules", rules),
    )  # fmt: skip


def _record(record_kind: str, about: int | None, origin: Origin, **fields: Plain) -> Record:
    said: Plain = origin if isinstance(origin, str) else sorted(origin)
    body = encode({"v": VERSION, "kind": record_kind, "alg": ALG, "origin": said, **fields})
    return Record(record_kind, about, body)


def _digest(name: str, value: bytes) -> bytes:
    if not isinstance(value, bytes) or len(value) != 32:
        raise RecordError(f"{name} is a SHA-256 of 32 bytes")
    return value


def _check_origin(origin: object) -> None:
    names = [origin] if isinstance(origin, str) else origin
    if not isinstance(names, list) or not names or names != sorted({n for n in names if n in ORIGINS}):
        raise RecordError(f"origin is one of {', '.join(ORIGINS)}, or a sorted list of them, not {origin!r}")


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RecordError(f"nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, bool | bytes):
        return
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise RecordError(f"{value} does not fit into 64 bits")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RecordError("text with a lone surrogate is not UTF-8") from error
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise RecordError(f"a map key is text, not {type(key).__name__}")
            _check(key, depth + 1)
            _check(item, depth + 1)
    else:
        hint = ": scale it to an integer and name the unit" if isinstance(value, float) else ""
        raise RecordError(f"{type(value).__name__} has no place in a record{hint}")
