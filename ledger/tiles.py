"""The log's hash tiles as files (C2SP tlog-tiles), for reading: leaves, roots and proofs at any size.

A tile at level L holds up to 256 hashes of perfect subtrees of 256**L leaves. Full tiles never change; the last one of
a level is partial and lies in a file named after its width. Reading needs no lock, beside a writer in another process.
"""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from . import merkle

WIDTH: Final = 256
HASH: Final = 32
CHECKPOINT: Final = "checkpoint"
# A full tile with its inner nodes is 16 kB in memory; 1,024 tiles keep the levels above the leaves of a log of 60
# million and the neighbourhood of recent proofs. A tenth would read files again for each proof, ten times would cost 160 MB.
CACHED_TILES: Final = 1_024


class LogDamaged(RuntimeError):
    """Files of the log are missing or contradict each other: run `roadcode fsck`, restore the folder, start again."""


def tile_path(level: int, index: int, width: int = WIDTH) -> Path:
    """Relative path of a tile, e.g. tile/0/x001/x234/067 or tile/0/000.p/5."""
    parts = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        parts.append(f"x{index % 1000:03d}")
    path = Path("tile", str(level), *reversed(parts))
    return path if width == WIDTH else path.with_name(f"{path.name}.p") / str(width)


def tile_file(leaf: int, size: int) -> Path:
    """Relative path of the tile that holds a leaf hash in a log of `size` leaves."""
    index = leaf // WIDTH
    return tile_path(0, index, min(WIDTH, size - index * WIDTH))


class Tiles:
    """A log folder, read only."""

    def __init__(self, folder: Path) -> None:
        """Look at a folder; nothing is opened yet."""
        self.folder = folder
        self._guard = threading.Lock()
        self._cache: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()

    def note(self) -> str | None:
        """The signed checkpoint file as it stands, None if there is none yet."""
        try:
            return (self.folder / CHECKPOINT).read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise LogDamaged(f"the checkpoint file cannot be read: {type(error).__name__}") from error

    def tile(self, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes of a tile, joined. Raises LogDamaged if no file has that many."""
        return self._read(level, index, width)[: width * HASH]

    def _read(self, level: int, index: int, width: int) -> bytes:
        full = self.folder / tile_path(level, index)
        # Twice, because the writer may replace a partial tile by a wider one between looking and opening.
        for _ in range(2):
            for path in (full, *self._partials(full, width)):
                try:
                    data = path.read_bytes()
                except FileNotFoundError:
                    continue
                named = WIDTH if path == full else int(path.name)
                if len(data) != named * HASH:
                    raise LogDamaged(f"{path.relative_to(self.folder)} has {len(data)} bytes, not {named * HASH}")
                return data
        raise LogDamaged(f"{tile_path(level, index, width)} is missing")

    def _partials(self, full: Path, width: int) -> list[Path]:
        folder = full.with_name(f"{full.name}.p")
        try:
            names = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [folder / str(name) for name in sorted(names) if width <= name < WIDTH]

    def leaf(self, index: int) -> bytes:
        """Leaf hash number `index`."""
        return self.perfect(0, index)

    def perfect(self, height: int, index: int) -> bytes:
        """Root of the perfect subtree over leaves [index << height, (index + 1) << height)."""
        level, within = divmod(height, 8)
        first = index << within
        tile_index, at = divmod(first, WIDTH)
        needed = at + (1 << within)
        with self._guard:  # the web process proves in many threads
            expanded = self._cache.get((level, tile_index))
            if expanded is not None:
                self._cache.move_to_end((level, tile_index))
        if expanded is None or len(expanded[0]) < needed * HASH:
            expanded = self._expand(level, tile_index, needed)
        place = (at >> within) * HASH
        return expanded[within][place : place + HASH]

    def _expand(self, level: int, index: int, needed: int) -> list[bytes]:
        data = self._read(level, index, needed)  # all there is, so that the next leaf need not be read again
        rows = merkle.rows_of(data)
        with self._guard:
            self._cache[(level, index)] = rows
            if len(self._cache) > CACHED_TILES:
                self._cache.popitem(last=False)
        return rows

    def range_hash(self, lo: int, hi: int) -> bytes:
        """MTH(D[lo:hi]) as RFC 9162 proofs ask for it."""
        return merkle.range_hash(self.perfect, lo, hi)

    def root(self, size: int) -> bytes:
        """Root over the first `size` leaves."""
        return self.range_hash(0, size)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Inclusion proof of leaf `index` in the first `size` leaves."""
        return merkle.inclusion_proof(self.range_hash, index, size)

    def consistency(self, first: int, second: int) -> list[bytes]:
        """Consistency proof between two sizes."""
        return merkle.consistency_proof(self.range_hash, first, second)
