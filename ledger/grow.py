"""A log folder of very many made-up leaves, made quickly and **not durably**: to measure on, never to be signed."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .merkle import rows_of
from .tiles import HASH, WIDTH, tile_path

_AT_ONCE: Final = 1 << 16
"""Leaves that are drawn together: 2 MB."""


def grow_log(folder: Path, count: int, seed: int = 1, told: Callable[[int], None] = lambda _n: None) -> None:
    """Tiles over `count` leaf hashes drawn from `seed`. `told` hears how many more are there."""
    draw = random.Random(seed)  # noqa: S311 - made-up hashes
    upper = bytearray()
    for first in range(0, count, _AT_ONCE):
        some = draw.randbytes(min(_AT_ONCE, count - first) * HASH)
        upper += _tiles(folder, 0, first // WIDTH, some)
        told(len(some) // HASH)
    level, row = 1, bytes(upper)
    while row:
        row = _tiles(folder, level, 0, row)
        level += 1


def _tiles(folder: Path, level: int, index: int, hashes: bytes) -> bytes:
    """Writes hashes as tiles from `index` on; gives the roots of the full ones."""
    roots = []
    full = WIDTH * HASH
    for at in range(0, len(hashes), full):
        tile = hashes[at : at + full]
        path = folder / tile_path(level, index + at // full, len(tile) // HASH)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tile)
        if len(tile) == full:
            roots.append(rows_of(tile)[-1])
    return b"".join(roots)
