"""What a health code is, as bytes: one small structure a square, 1,024 of them a block. How evidence becomes a code
is in `health`; this is only the shape that the store, the tiles and the records share."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

BLOCK_CELLS = 1024


class Colour(IntEnum):
    """Colour of a code. Grey is zero, so that what nobody wrote is unknown, never healthy."""

    GREY = 0
    GREEN = 1
    YELLOW = 2
    RED = 3


class State(IntEnum):
    """How sure a yellow or red is: one kind of witness suspects, independent ones confirm."""

    NONE = 0
    SUSPECTED = 1
    CONFIRMED = 2


class Flag(IntFlag):
    """What else a code says. HARMLESS: something known lies there that throws wheels and is no defect. WORKS: a permit
    holds: drawn hatched, never red. EXPIRED: it was yellow or red, and nobody has felt or seen it again for the
    validity of its road's class. GHOST: something is felt here that a stronger square beside it explains. MENDED: a
    repair of the last month is entered."""

    HARMLESS = 1
    WORKS = 2
    EXPIRED = 4
    GHOST = 8
    MENDED = 16


CODE = np.dtype(
    [
        ("colour", "u1"), ("state", "u1"), ("kind", "u1"), ("passes", "u1"), ("seen", "<u4"),
        ("flags", "u1"), ("sigma_dm", "u1"), ("severity", "u1"), ("size_mm", "u1"),
    ]
)  # fmt: skip
"""One code, 12 bytes. kind: number of the worst type (0 is uneven), 255 where none. passes: of any sensor since the
square was forgotten last (a repair, or twice the validity without a pass), 255 for more. seen: bit n-1 is set where
type n was looked for thoroughly enough to say green of it. flags: of `Flag`. sigma_dm: how far the place may be off,
decimetres (one axis), of a yellow or red. severity: mean over its hits, in 64ths (64 is yellow, 128 red), 0 without
one. size_mm: height or depth, 255 for more, 0 where not known."""

Codes = NDArray[np.void]


@dataclass(frozen=True)
class Change:
    """One square's code before and after, as small maps, and why."""

    cell: int
    before: dict[str, Any]
    after: dict[str, Any]
    why: str


NO_KIND = 255


def unknown_codes() -> Codes:
    """The codes of a block that nobody measured: 1,024 greys."""
    codes = np.zeros(BLOCK_CELLS, dtype=CODE)
    codes["kind"] = NO_KIND
    return codes


_PACKED = b"\x03"
_OLD = b"\x78"
"""First byte of stored codes: which layout they have. Codes from before there were numbers begin with zlib's own."""
_LEVEL = 1  # of compression: 3 saves 3 % and takes half as long again


def pack_codes(codes: Codes) -> bytes:
    """The bytes that are stored: field by field, so that alike bytes lie together. What a block record states is the
    hash of the codes themselves."""
    columns = np.ascontiguousarray(codes.view(np.uint8).reshape(BLOCK_CELLS, CODE.itemsize).T)
    return _PACKED + zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(columns.tobytes())


class DamagedCodes(ValueError):
    """The stored codes of a block are not what was written."""


def unpack_codes(data: bytes) -> Codes:
    """The inverse of `pack_codes`. Raises DamagedCodes where bytes were flipped or lost."""
    try:
        if data[:1] == _OLD:
            raw = zlib.decompress(data)
        elif data[:1] == _PACKED:
            raw = zstandard.ZstdDecompressor().decompress(data[1:], max_output_size=BLOCK_CELLS * CODE.itemsize)
        else:
            raise DamagedCodes("the codes of a block have a first byte that no version wrote: run roadcode fsck")
    except (zlib.error, zstandard.ZstdError) as error:
        raise DamagedCodes(f"the codes of a block do not unpack ({error}): run roadcode fsck") from None
    if len(raw) != BLOCK_CELLS * CODE.itemsize:
        raise DamagedCodes(
            f"the codes of a block are {len(raw)} bytes, not {BLOCK_CELLS * CODE.itemsize:,}: run roadcode fsck"
        )
    if data[:1] == _OLD:
        return np.frombuffer(raw, dtype=CODE)
    rows = np.ascontiguousarray(np.frombuffer(raw, np.uint8).reshape(CODE.itemsize, BLOCK_CELLS).T)
    return rows.view(CODE).ravel()
