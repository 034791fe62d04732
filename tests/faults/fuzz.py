"""Broken copies of whole chunks, without end."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import cbor2

_HEADS = bytes([0x00, 0x1A, 0x1B, 0x3B, 0x40, 0x5A, 0x5B, 0x5F, 0x7A, 0x7F, 0x9A, 0x9B, 0x9F, 0xBA, 0xBF, 0xC2, 0xC4,
                0xD8, 0xD9, 0xF6, 0xF7, 0xFA, 0xFB, 0xFF])  # fmt: skip
_NUMBERS = (0, -1, 1, 23, 24, 255, 256, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), -(2**64),
            10**30, float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324)  # fmt: skip
_TAGS = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 40, 64, 69, 77, 81, 82, 85, 86, 100, 256, 258, 260, 1040, 55799)


def mutants(seeds: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Bytes that were a chunk: flipped, cut, spliced with another, or with a value of another kind in some place."""
    rng = random.Random(seed)
    while True:
        payload = rng.choice(seeds)
        yield _odd_value(payload, rng) if rng.random() < 0.4 else _odd_bytes(payload, rng, seeds)


def _odd_bytes(payload: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    data = bytearray(payload)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        # Heads and names are few among the numbers: most changes go there.
        at = rng.randrange(min(len(data), 160)) if rng.random() < 0.6 else rng.randrange(len(data))
        match rng.randrange(7):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice(_HEADS)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + rng.randint(1, 64)]
            case 4:
                data[at:at] = rng.randbytes(rng.randint(1, 16))
            case 5:
                data[at:at] = data[at : at + rng.randint(1, 4000)]
            case _:
                other = rng.choice(seeds)
                data[at:] = other[rng.randrange(len(other) + 1) :]
    return bytes(data)


def _odd_value(payload: bytes, rng: random.Random) -> bytes:
    try:
        tree = cbor2.loads(payload)
    except Exception:  # a seed that is no CBOR
        return _odd_bytes(payload, rng, [payload])
    if not isinstance(tree, dict):
        return payload[::-1]
    for _ in range(rng.choice((1, 1, 2))):
        holder: Any = tree
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = rng.choice(keys)
            inner = holder[key]
            if isinstance(inner, cbor2.CBORTag) and isinstance(inner.value, list) and rng.random() < 0.5:
                holder, key = inner.value, rng.randrange(len(inner.value) or 1)
                if not holder:
                    break
                inner = holder[key]
            if isinstance(inner, dict | list) and inner and rng.random() < 0.6:
                holder = inner
                continue
            holder[key] = _odd(rng, inner)
            break
    try:
        return cbor2.dumps(tree)
    except (ValueError, OverflowError, cbor2.CBOREncodeError):
        return payload[: rng.randrange(len(payload) + 1)]


def _odd(rng: random.Random, was: Any) -> Any:
    match rng.randrange(8):
        case 0:
            return rng.choice(_NUMBERS)
        case 1:
            return cbor2.CBORTag(rng.choice(_TAGS), was)
        case 2 if isinstance(was, bytes):
            return was[: rng.randrange(len(was) + 1)]
        case 3 if isinstance(was, bytes):
            return was * rng.choice((2, 3, 7))
        case 4:
            return rng.choice(("", "\x00", "x" * 70_000, "pothole", None, True, [], {}, b"", "live", "2026"))
        case 5 if isinstance(was, int | float) and not isinstance(was, bool):
            return was * rng.choice((-1, 0, 1e-9, 1e9, 2, 0.5))
        case 6:
            return [was] * rng.choice((0, 1, 2, 300))
        case _:
            return rng.randbytes(rng.choice((0, 1, 7, 8, 4096)))
