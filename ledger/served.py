"""What the log's folder and records look like over HTTP: addresses and bytes of C2SP tlog-tiles, for reading."""

import re
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from . import store
from .note import parse_checkpoint
from .tiles import WIDTH, Tiles

# Eight levels: 256**8 leaves are more than there are numbers for.
_ADDRESS: Final = re.compile(
    r"(?:(?P<level>[0-7])|(?P<entries>entries))/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?\Z"
)


class NoTile(LookupError):
    """There is no such tile, or the signed log does not reach so far; the text says which."""


@dataclass(frozen=True)
class TileAddress:
    """`level` of a hash tile, None of an entry tile; its `index`; how many of its 256 places are asked for."""

    level: int | None
    index: int
    width: int


def tile_address(text: str) -> TileAddress:
    """The address that follows `/log/tile/`, such as 0/x001/234 or entries/007.p/12. Raises NoTile."""
    found = _ADDRESS.match(text)
    if found is None:
        raise NoTile("a tile reads LEVEL/INDEX or entries/INDEX, the index in threes (x001/234), .p/WIDTH if partial")
    parts = found["index"].replace("x", "").split("/")
    index = int("".join(parts))
    width = WIDTH if found["width"] is None else int(found["width"])
    if (len(parts) > 1 and parts[0] == "000") or (found["width"] or "1").startswith("0") or width > WIDTH:
        raise NoTile("an index has no leading groups of zeros, and a width is 1 to 255")
    if found["width"] is not None and width == WIDTH:
        raise NoTile("a tile of 256 is full: ask for it without .p")
    return TileAddress(None if found["entries"] else int(found["level"]), index, width)


def signed_size(tiles: Tiles) -> int:
    """How many leaves are under the signed checkpoint in the folder; 0 if there is none."""
    note = tiles.note()
    return 0 if note is None else parse_checkpoint(note).size


def hash_tile(tiles: Tiles, address: TileAddress) -> bytes:
    """The hashes of a tile, 32 bytes each; of a partial one exactly as many as are asked for. Raises NoTile,
    LogDamaged."""
    level = address.level or 0
    _covered(signed_size(tiles) >> (8 * level), address)
    return tiles.tile(level, address.index, address.width)


def entry_tile(conn: psycopg.Connection[Any], tiles: Tiles, address: TileAddress) -> bytes:
    """The record bodies below a tile of leaves, each after its length in two bytes. Raises NoTile."""
    _covered(signed_size(tiles), address)
    first = address.index * WIDTH
    bodies = store.bodies_from(conn, first, address.width)
    if len(bodies) < address.width:
        raise NoTile(f"record {first + len(bodies)} is missing: run `roadcode fsck`")
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)


def _covered(there: int, address: TileAddress) -> None:
    if address.index * WIDTH + address.width > there:
        raise NoTile(f"the signed log has {there} places at this level: ask for a narrower tile, or later")
