"""The log folder: tiles, checkpoints, and what a crash leaves."""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from ledger import log as log_module
from ledger.log import Log, LogBusy
from ledger.merkle import ranges_of, root_of, verify_consistency, verify_inclusion
from ledger.note import NoteError, parse_checkpoint, verify_note
from ledger.tiles import LogDamaged, Tiles, tile_path

NAME = "road.test/log"
LEAVES = [sha256(i.to_bytes(4, "big")).digest() for i in range(66_000)]


def test_paths_are_those_of_tlog_tiles() -> None:
    assert str(tile_path(0, 1234067)) == "tile/0/x001/x234/067"
    assert str(tile_path(1, 0, 3)) == "tile/1/000.p/3"
    assert str(tile_path(63, 999)) == "tile/63/999"


def test_any_batching_gives_the_same_tree_and_files(tmp_path: Path) -> None:
    sizes = {"one": [700], "few": [1, 254, 1, 1, 255, 100, 88], "tiles": [256, 256, 188]}
    for name, batches in sizes.items():
        with Log(tmp_path / name, NAME) as log:
            at = 0
            for count in batches:
                log.append(LEAVES[at : at + count])
                at += count
                assert parse_checkpoint(log.checkpoint()).root == root_of(LEAVES[:at])
    trees = []
    for name in sizes:
        files = [p for p in (tmp_path / name / "tile").rglob("*") if p.is_file()]
        trees.append({str(p.relative_to(tmp_path / name)): p.read_bytes() for p in files})
    assert trees[0] == trees[1] == trees[2]
    assert set(trees[0]) == {"tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"}


def test_proofs_from_tiles_beside_the_writer(tmp_path: Path) -> None:
    reader = Tiles(tmp_path)
    with Log(tmp_path, NAME) as log:
        log.append(LEAVES[:300])
        log.checkpoint()
        assert reader.root(300) == root_of(LEAVES[:300])  # the reader now remembers narrower tiles
        log.append(LEAVES[300:])
        log.checkpoint()
        size, root = len(LEAVES), root_of(LEAVES)
        assert reader.root(size) == root
        for index in (0, 255, 256, 299, 300, 65_535, 65_536, size - 1):
            assert verify_inclusion(index, size, LEAVES[index], reader.inclusion(index, size), root)
        tree = ranges_of(LEAVES)
        for first in (1, 255, 256, 300, 65_536, size):
            proof = reader.consistency(first, size)
            assert verify_consistency(first, size, tree(0, first), root, proof)


def test_reopened_log_goes_on_where_its_checkpoint_is(tmp_path: Path) -> None:
    with Log(tmp_path, NAME) as log:
        log.append(LEAVES[:600])
        log.checkpoint()
        log.append(LEAVES[600:900])  # not signed: the pump will bring these again
        verifier = log.verifier
    with Log(tmp_path, NAME) as log:
        assert (log.size, log.verifier) == (600, verifier)
        log.append(LEAVES[600:1000])
        note = log.checkpoint()
        assert verify_note(note, verifier).root == root_of(LEAVES[:1000])
        assert log.checkpoint() == note


def test_a_crash_at_any_write_leaves_a_log_that_can_be_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops before or after each replaced file, then opens the copy and brings what was not signed again."""
    real, folder = log_module._rename, tmp_path / "log"
    with Log(folder, NAME) as log:
        log.append(LEAVES[:250])
        log.checkpoint()
    crash, at = True, 0
    while crash:
        for after in (False, True):
            copy = tmp_path / f"{at}{after}"
            shutil.copytree(folder, copy)
            calls = 0

            def failing(fresh: Path, path: Path, after: bool = after, at: int = at) -> None:
                nonlocal calls
                calls += 1
                if calls == at + 1 and not after:
                    raise OSError("power cut")
                real(fresh, path)
                if calls == at + 1:
                    raise OSError("power cut")

            monkeypatch.setattr(log_module, "_rename", failing)
            crash = False
            with Log(copy, NAME) as log:
                try:
                    log.append(LEAVES[250:800])
                    log.checkpoint()
                except OSError:
                    crash = True
            monkeypatch.setattr(log_module, "_rename", real)
            with Log(copy, NAME) as log:
                assert log.size in (250, 800)
                log.append(LEAVES[log.size : 800])
                assert parse_checkpoint(log.checkpoint()).root == root_of(LEAVES[:800])
                assert log.root(250) == root_of(LEAVES[:250])
        at += 1
    assert at > 5


def test_second_writer_is_refused(tmp_path: Path) -> None:
    with Log(tmp_path, NAME), pytest.raises(LogBusy, match="another process"):
        Log(tmp_path, NAME)
    Log(tmp_path, NAME).close()


def test_damage_is_refused_at_the_door(tmp_path: Path) -> None:
    with Log(tmp_path, NAME) as log:
        log.append(LEAVES[:300])
        log.checkpoint()
    tile = tmp_path / "tile/0/001.p/44"
    good = tile.read_bytes()
    tile.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    with pytest.raises(LogDamaged, match="signed root"):
        Log(tmp_path, NAME)
    tile.unlink()
    with pytest.raises(LogDamaged, match="missing"):
        Log(tmp_path, NAME)
    tile.write_bytes(good)
    note = (tmp_path / "checkpoint").read_text()
    (tmp_path / "checkpoint").write_text(note.replace("300", "299"))
    with pytest.raises(NoteError, match="does not hold"):
        Log(tmp_path, NAME)


def test_key_is_private_and_kept_out_of_sight(tmp_path: Path) -> None:
    with Log(tmp_path, NAME) as log:
        key = tmp_path / "log.key"
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.read_text().strip() not in repr(log._signer) + log.verifier
        assert (tmp_path / "log.pub").read_text().strip() == log.verifier
    key.write_text("not a key")
    with pytest.raises(NoteError, match="64 hex"):
        Log(tmp_path, NAME)


@pytest.mark.parametrize("spoil", ["", "x", "a\n1\n\n", "a\n01\nAAAA\n\n— a AAAA\n", "\n\n— a b\n", "é\n" * 9000])
def test_notes_are_read_totally(spoil: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(spoil)


def test_every_flipped_character_of_a_note_is_found(tmp_path: Path) -> None:
    with Log(tmp_path, NAME) as log:
        log.append(LEAVES[:3])
        note, verifier = log.checkpoint(), log.verifier
    assert verify_note(note, verifier).size == 3
    for at in range(len(note)):
        spoilt = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        with pytest.raises(NoteError):
            verify_note(spoilt, verifier)
