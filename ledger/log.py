"""The durable Merkle log: appends leaf hashes to tiles and signs checkpoints. One writer a folder.

Durability by order: records are numbered and committed in the database first, then tiles are written, then the
checkpoint. What a checkpoint names is on the disk; what lies beyond it after a crash is written again from the
database, with the same bytes. So there is nothing to roll back and no journal.
"""

import fcntl
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from . import merkle
from .note import Checkpoint, Signer, load_signer, parse_checkpoint, sync_folder, verify_note
from .tiles import CHECKPOINT, HASH, WIDTH, LogDamaged, Tiles, tile_path

KEY_FILE: Final = "log.key"
VERIFIER_FILE: Final = "log.pub"
_FULL: Final = WIDTH * HASH


class LogBusy(RuntimeError):
    """Another process writes this log; a second writer could sign two histories."""


class Log(Tiles):
    """The log in `folder`, opened for writing under the name `origin` (e.g. "road.example.org/log").

    Holds `size` leaves; those below `committed` are under a signed checkpoint. Opening reads the right edge and checks
    it against the last checkpoint. Raises LogBusy, LogDamaged, NoteError.
    """

    def __init__(self, folder: Path, origin: str) -> None:
        """Open or make the log, its key (0600) and its public verifier file."""
        super().__init__(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise LogBusy(f"the log in {folder} is open in another process: stop that one first") from error
        try:
            self._signer: Signer = load_signer(folder / KEY_FILE, origin)
            self.verifier = self._signer.verifier()
            if not (folder / VERIFIER_FILE).exists():
                self._write(Path(VERIFIER_FILE), self.verifier.encode() + b"\n")
            self.size = 0
            self.committed = 0
            self._tails: list[bytearray] = [bytearray()]  # hashes of each level's unfinished tile
            self._reload()
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let the next writer in."""
        self._lock.close()

    def __enter__(self) -> Self:
        """The open log."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _reload(self) -> None:
        note = self.note()
        if note is None:
            return
        checkpoint = verify_note(note, self.verifier)
        self.size = self.committed = checkpoint.size
        self._tails = []
        count, level = checkpoint.size, 0
        while count:
            index, width = divmod(count, WIDTH)
            self._tails.append(bytearray(self.tile(level, index, width) if width else b""))
            count, level = index, level + 1
        if self._edge_root() != checkpoint.root:
            raise LogDamaged("the tiles do not lead to the signed root: run `roadcode fsck` and restore the folder")

    def _edge_root(self) -> bytes:
        if self.size == 0:
            return merkle.EMPTY_ROOT
        parts: list[bytes] = []
        for tail in self._tails:
            hashes = [bytes(tail[i : i + HASH]) for i in range(0, len(tail), HASH)]
            end = len(hashes)
            while end:
                width = end & -end
                parts.append(merkle.root_of(hashes[end - width : end]))
                end -= width
        return merkle.fold(parts)

    def append(self, leaves: Sequence[bytes]) -> int:
        """Append leaf hashes (32 bytes each); on return they are on the disk. Gives the new size.

        If it raises, nothing of the batch counts: a later append of the same leaves writes the same files.
        """
        tails = [bytearray(tail) for tail in self._tails]
        full: list[tuple[int, int, bytes]] = []
        size = self.size
        if any(len(leaf) != HASH for leaf in leaves):
            raise ValueError("a leaf hash has 32 bytes")
        joined, at = b"".join(leaves), 0
        while at < len(joined):
            # As much as fits into the unfinished tile of leaves; when it is full, its root goes one level up.
            part = joined[at : at + _FULL - len(tails[0])]
            tails[0] += part
            at += len(part)
            size += len(part) // HASH
            level = 0
            while len(tails[level]) == _FULL:
                tile = bytes(tails[level])
                full.append((level, (size >> (8 * (level + 1))) - 1, tile))
                tails[level].clear()
                level += 1
                if level == len(tails):
                    tails.append(bytearray())
                tails[level] += merkle.rows_of(tile)[-1]
        files = {tile_path(level, index): tile for level, index, tile in full}
        for level, tail in enumerate(tails):
            if tail and (level >= len(self._tails) or tail != self._tails[level]):
                files[tile_path(level, size >> (8 * (level + 1)), len(tail) // HASH)] = bytes(tail)
        self._put(files)
        self._tails, self.size = tails, size
        for level, index, _ in full:
            self._drop_partials(level, index, WIDTH)
        return size

    def checkpoint(self) -> str:
        """Sign the present size and root, put the note into the folder durably and return it."""
        if self.size == 0:
            raise ValueError("an empty log has nothing to sign")
        current = self.note()
        if current is not None and parse_checkpoint(current).size == self.size:
            return current
        note = self._signer.sign(Checkpoint(self._signer.name, self.size, self._edge_root()))
        self._write(Path(CHECKPOINT), note.encode())
        self.committed = self.size
        for level, tail in enumerate(self._tails):
            # Narrower partial tiles are prefixes of the one the checkpoint needs.
            self._drop_partials(level, self.size >> (8 * (level + 1)), len(tail) // HASH)
        return note

    def _put(self, files: dict[Path, bytes]) -> None:
        """Write files, by their relative paths, and their names, durably."""
        folders: set[Path] = set()
        for relative in files:
            parent = (self.folder / relative).parent
            folders.add(parent)
            while not parent.exists():
                parent = parent.parent
                folders.add(parent)
            (self.folder / relative).parent.mkdir(parents=True, exist_ok=True)
        _replace({self.folder / relative: data for relative, data in files.items()})
        for folder in folders:
            sync_folder(folder)

    def _write(self, relative: Path, data: bytes) -> None:
        self._put({relative: data})

    def _drop_partials(self, level: int, index: int, below: int) -> None:
        full = self.folder / tile_path(level, index)
        folder = full.with_name(f"{full.name}.p")
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            if not path.name.isdigit() or int(path.name) < below:
                path.unlink(missing_ok=True)
        if below == WIDTH:
            with suppress(OSError):
                folder.rmdir()


def _replace(files: dict[Path, bytes]) -> None:
    """Readers see the old file or the new one, never a part; the bytes are on the disk before the name is.

    All are written before the first is flushed: a file system that flushes its journal for one has the others in it.
    """
    with ExitStack() as opened:
        handles = []
        for path, data in files.items():
            handle = os.open(_fresh(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            opened.callback(os.close, handle)
            handles.append(handle)
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
        for handle in handles:
            os.fsync(handle)
    for path in files:
        _rename(_fresh(path), path)


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _rename(fresh: Path, path: Path) -> None:
    fresh.replace(path)
