"""The Merkle tree of RFC 9162 section 2.1: hashes, roots, inclusion and consistency proofs, and their verification.

Pure. Trees are given either as a list of leaf hashes or as a function `(lo, hi) -> MTH(D[lo:hi])`, so that the same
proof code serves a list in a test and ten million leaves in tiles.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

RangeHash = Callable[[int, int], bytes]
PerfectHash = Callable[[int, int], bytes]

EMPTY_ROOT: Final = sha256(b"").digest()


class MerkleError(ValueError):
    """An index, size or proof is impossible; the text says which."""


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00 || body), 32 bytes."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes; SHA-256 of nothing for none."""
    tree = Frontier()
    tree.extend(leaves)
    return tree.root()


def rows_of(leaves: bytes) -> list[bytes]:
    """Leaf hashes, joined, and above them each row of complete pairs, joined: the inner nodes of a tile.

    On flat bytes, since a list of hashes costs twice as much as the hashing.
    """
    rows = [leaves]
    while len(rows[-1]) >= 64:
        row = rows[-1]
        rows.append(b"".join([sha256(b"\x01" + row[i : i + 64]).digest() for i in range(0, len(row) - 63, 64)]))
    return rows


class Frontier:
    """Incremental root: the roots of the perfect subtrees along the right edge, at most one for each height."""

    def __init__(self) -> None:
        """An empty tree."""
        self.size = 0
        self._edge: list[tuple[int, bytes]] = []  # (height, hash), largest first

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        for leaf in leaves:
            height, value = 0, leaf
            while self._edge and self._edge[-1][0] == height:
                value = node_hash(self._edge.pop()[1], value)
                height += 1
            self._edge.append((height, value))
            self.size += 1

    def root(self) -> bytes:
        """Root over all leaves so far."""
        return fold(value for _, value in reversed(self._edge)) if self._edge else EMPTY_ROOT


def fold(smallest_first: Iterable[bytes]) -> bytes:
    """Root from the perfect subtrees along the right edge, given from the smallest (rightmost) to the largest."""
    hashes = iter(smallest_first)
    value = next(hashes)
    for left in hashes:
        value = node_hash(left, value)
    return value


def range_hash(perfect: PerfectHash, lo: int, hi: int) -> bytes:
    """MTH(D[lo:hi]) from perfect subtrees `perfect(height, index)`.

    `lo` must be a multiple of the largest power of two below `hi - lo`, as it always is inside RFC 9162 proofs.
    """
    count, parts, at = hi - lo, [], lo
    if count <= 0:
        return EMPTY_ROOT
    while count:
        height = count.bit_length() - 1
        parts.append(perfect(height, at >> height))
        at += 1 << height
        count -= 1 << height
    return fold(reversed(parts))


def ranges_of(leaves: Sequence[bytes]) -> RangeHash:
    """`(lo, hi) -> MTH(D[lo:hi])` over a list of leaf hashes."""

    def over(lo: int, hi: int) -> bytes:
        return root_of(leaves[lo:hi])

    return over


def _split(size: int) -> int:
    """Largest power of two strictly below `size` (>= 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(tree: RangeHash, index: int, size: int) -> list[bytes]:
    """PATH(index, D[0:size]) of RFC 9162 2.1.3.1, leaf to root. Raises MerkleError."""
    if not 0 <= index < size:
        raise MerkleError(f"no leaf {index} in a tree of {size}")
    path, lo, hi = [], 0, size
    while hi - lo > 1:
        mid = lo + _split(hi - lo)
        if index < mid:
            path.append(tree(mid, hi))
            hi = mid
        else:
            path.append(tree(lo, mid))
            lo = mid
    return path[::-1]


def consistency_proof(tree: RangeHash, first: int, second: int) -> list[bytes]:
    """PROOF(first, D[0:second]) of RFC 9162 2.1.4.1; empty when the sizes are equal. Raises MerkleError."""
    if not 0 < first <= second:
        raise MerkleError(f"no consistency proof from size {first} to {second}")
    path, lo, hi, whole = [], 0, second, True
    while first != hi:
        mid = lo + _split(hi - lo)
        if first <= mid:
            path.append(tree(mid, hi))
            hi = mid
        else:
            path.append(tree(lo, mid))
            lo, whole = mid, False
    if not whole:
        path.append(tree(lo, hi))
    return path[::-1]


def inclusion_root(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root that the proof leads to (RFC 9162 2.1.3.2), or None if its shape is impossible."""
    if not 0 <= index < size:
        return None
    fn, sn, value = index, size - 1, leaf
    for step in proof:
        if sn == 0 or len(step) != 32:
            return None
        if fn & 1 or fn == sn:
            value = node_hash(step, value)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            value = node_hash(value, step)
        fn, sn = fn >> 1, sn >> 1
    return value if sn == 0 else None


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `leaf` (a leaf hash) is number `index` in the tree of `size` leaves with this root."""
    return inclusion_root(index, size, leaf, proof) == root


def verify_consistency(first: int, second: int, root1: bytes, root2: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `first` leaves is a prefix of the tree of `second` (RFC 9162 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and root1 == root2
    steps = list(proof)
    if any(len(step) != 32 for step in steps):
        return False
    if first & (first - 1) == 0:
        steps.insert(0, root1)
    if not steps:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = steps[0]
    for step in steps[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(step, fr), node_hash(step, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == root1 and sr == root2
