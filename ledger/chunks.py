"""From a chunk's salted hash to the seal of its day: two small Merkle trees, and a path through both.

A block's day has the sorted hashes of the chunks that passed it; their root, with the block and their number, is a
leaf of the day's tree; the day's root stands in its `seal` record. Nothing here needs a chunk, or its salt.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from . import merkle

HASH = 32
_BODY = struct.Struct(">qI32s")
MOST_PATH = 64


@dataclass(frozen=True)
class Place:
    """Where a chunk's hash lies: number `index` of the `count` hashes of `block`, which is number `nth` of the `blocks`
    of the day. The paths lead from the hash to the block's root, and from there to the day's."""

    block: int
    index: int
    count: int
    path: tuple[bytes, ...]
    nth: int
    blocks: int
    day_path: tuple[bytes, ...]


def unpack_leaves(packed: bytes) -> list[bytes]:
    """Hashes out of their row. Raises ValueError where it is not whole or not in rising order: a byte was flipped."""
    if not packed or len(packed) % HASH:
        raise ValueError(f"{len(packed)} bytes are no list of hashes")
    leaves = [packed[i : i + HASH] for i in range(0, len(packed), HASH)]
    if any(a > b for a, b in pairwise(leaves)):
        raise ValueError("the hashes are not in rising order")
    return leaves


def chunks_root(leaves: Sequence[bytes]) -> bytes:
    """Root over a block's and day's hashes, as it stands in `block` records too."""
    return merkle.root_of([merkle.leaf_hash(leaf) for leaf in leaves])


def node_of(block: int, count: int, root: bytes) -> bytes:
    """What stands for a block in the day's tree: its number, how many hashes it has, and their root."""
    return merkle.leaf_hash(_BODY.pack(block, count, root))


def block_leaf(block: int, leaves: Sequence[bytes]) -> bytes:
    """`node_of` of a block whose hashes are at hand."""
    return node_of(block, len(leaves), chunks_root(leaves))


def place_of(leaf: bytes, block: int, leaves: Sequence[bytes], day: Sequence[tuple[int, bytes]]) -> Place:
    """The way of one hash to the day's root. `day`: (block, its `block_leaf`) of all blocks, rising. Raises
    ValueError."""
    index, nth = list(leaves).index(leaf), [b for b, _ in day].index(block)
    within = merkle.ranges_of([merkle.leaf_hash(one) for one in leaves])
    above = merkle.ranges_of([hashed for _, hashed in day])
    return Place(
        block, index, len(leaves), tuple(merkle.inclusion_proof(within, index, len(leaves))), nth, len(day),
        tuple(merkle.inclusion_proof(above, nth, len(day))),
    )  # fmt: skip


def root_from(leaf: bytes, place: Place) -> bytes | None:
    """The day's root to which a hash leads by its place; None where the paths cannot be."""
    if len(leaf) != HASH or len(place.path) > MOST_PATH or len(place.day_path) > MOST_PATH:
        return None
    if not 0 <= place.count < 1 << 32 or not -(1 << 63) <= place.block < 1 << 63:
        return None
    root = merkle.inclusion_root(place.index, place.count, merkle.leaf_hash(leaf), place.path)
    if root is None:
        return None
    return merkle.inclusion_root(place.nth, place.blocks, node_of(place.block, place.count, root), place.day_path)
