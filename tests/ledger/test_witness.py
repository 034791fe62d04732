"""A witness signs what goes on from what it signed, whatever it is sent, whatever dies, and whatever is put back."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from ledger import witness as witness_module
from ledger.add_checkpoint import MAX_REQUEST, RequestError, parse_request, request_text
from ledger.cosignature import cosignatures_of
from ledger.follow import check_evidence
from ledger.log import Log
from ledger.merkle import consistency_proof, ranges_of, root_of
from ledger.note import Checkpoint, NoteError, load_signer
from ledger.witness import (
    BadProof,
    BadRequest,
    ClockBehind,
    Fork,
    NotSigned,
    OtherSize,
    Restored,
    UnknownLog,
    Witness,
    WitnessBusy,
)

NAME = "road.test/log"
WITNESS = "w.example"
LEAVES = [sha256(bytes([n])).digest() for n in range(40)]
FORKED = LEAVES[:5] + [sha256(b"other %d" % n).digest() for n in range(35)]


class Heads:
    """A log that can sign any history under its one key."""

    def __init__(self, folder: Path) -> None:
        self.signer = load_signer(folder / "log.key", NAME)
        self.key = self.signer.verifier()

    def note(self, size: int, leaves: list[bytes] = LEAVES) -> str:
        return self.signer.sign(Checkpoint(NAME, size, root_of(leaves[:size])))

    def proof(self, old: int, size: int, leaves: list[bytes] = LEAVES) -> list[bytes]:
        return consistency_proof(ranges_of(leaves), old, size) if old else []


@pytest.fixture
def heads(tmp_path: Path) -> Heads:
    return Heads(tmp_path / "log")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "witness"


def opened(folder: Path, heads: Heads, **named: object) -> Witness:
    return Witness(folder, WITNESS, [heads.key], **named)


def sign(witness: Witness, heads: Heads, old: int, size: int, now_s: int = 100, leaves: list[bytes] = LEAVES) -> int:
    """Let it sign, and hold the signature against its key; gives the size signed."""
    note = heads.note(size, leaves)
    made = witness.add_checkpoint(old, heads.proof(old, size, leaves), note, now_s)
    assert cosignatures_of(note + made.line, [witness.key]) == [made]
    assert made.time_s == now_s
    return size


def test_what_goes_on_is_signed_and_nothing_else(folder: Path, heads: Heads, tmp_path: Path) -> None:
    stranger, thief = load_signer(tmp_path / "x.key", "other.test/log"), load_signer(tmp_path / "y.key", NAME)
    with opened(folder, heads) as witness:
        with pytest.raises(OtherSize) as other:
            witness.add_checkpoint(3, [], heads.note(5), 100)
        assert other.value.size == 0
        with pytest.raises(BadProof):
            witness.add_checkpoint(0, [LEAVES[0]], heads.note(5), 100)
        sign(witness, heads, 0, 5)
        sign(witness, heads, 5, 5, 101)
        sign(witness, heads, 5, 12, 102)
        refused = [
            (BadRequest, 400, 13, [], heads.note(12)),
            (BadRequest, 400, 12, [], "no note"),
            (UnknownLog, 404, 12, [], stranger.sign(Checkpoint("other.test/log", 13, bytes(32)))),
            (NotSigned, 403, 12, [], thief.sign(Checkpoint(NAME, 13, bytes(32)))),
            (NotSigned, 403, 12, [], heads.note(13).replace("\n13\n", "\n14\n")),
            (OtherSize, 409, 5, heads.proof(5, 20), heads.note(20)),
            (OtherSize, 409, 0, [], heads.note(20)),
            (BadRequest, 400, 12, [], heads.note(7)),
            (OtherSize, 409, 7, [], heads.note(7)),
            (BadProof, 422, 12, [], heads.note(20)),
            (BadProof, 422, 12, heads.proof(12, 19), heads.note(20)),
            (BadProof, 422, 12, heads.proof(12, 20, FORKED), heads.note(20, FORKED)),
            (Fork, 409, 12, [], heads.note(12, FORKED)),
            (ClockBehind, 503, 12, heads.proof(12, 20), heads.note(20)),
        ]  # fmt: skip
        for kind, status, old, proof, note in refused:
            with pytest.raises(kind) as error:
                witness.add_checkpoint(old, proof, note, 100 if kind is ClockBehind else 200)
            assert error.value.status == status
        assert witness.last(NAME).size == 12
        sign(witness, heads, 12, 20, 200)


def test_who_repeats_a_public_request_does_not_wear_out_the_disk(
    folder: Path, heads: Heads, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(folder, heads) as witness:
        sign(witness, heads, 0, 7, 100)
        written: list[Path] = []
        monkeypatch.setattr(witness_module, "_write_own", lambda path, _content: written.append(path))
        for _ in range(5):
            sign(witness, heads, 7, 7, 100)
        assert written == []
        sign(witness, heads, 7, 7, 101)
        assert len(written) == 1


def test_a_fork_at_one_size_is_kept_as_evidence_that_holds_offline(folder: Path, heads: Heads) -> None:
    with opened(folder, heads) as witness:
        sign(witness, heads, 0, 12)
        for old in (12, 0, 5):  # whatever the sender says it knows
            with pytest.raises(Fork, match="same size") as fork:
                witness.add_checkpoint(old, [], heads.note(12, FORKED), 101)
        path = fork.value.evidence
        assert [p.name for p in folder.glob("fork-*.json")] == [path.name]
        assert path.stat().st_mode & 0o777 == 0o600
    content = json.loads(path.read_text())
    assert [s.ok for s in check_evidence(content)] == [True, True]
    assert content["signed_here"] != content["other"]
    # What shows nothing is not believed: the same note twice, another key, a changed note.
    assert [s.ok for s in check_evidence(content | {"other": content["signed_here"]})] == [True, False]
    assert not all(s.ok for s in check_evidence(content | {"log_key": Heads(folder / "z").key}))
    assert not all(s.ok for s in check_evidence(content | {"other": content["other"].replace("\n12\n", "\n13\n")}))
    for rubbish in ({}, {"kind": "other history"}, content | {"kind": "other history", "prefix_root": 3}):
        assert not all(s.ok for s in check_evidence(rubbish))


def test_evidence_does_not_fill_a_disk(folder: Path, heads: Heads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness_module, "MOST_EVIDENCE", 3)
    with opened(folder, heads) as witness:
        sign(witness, heads, 0, 12)
        for n in range(5):
            other = heads.signer.sign(Checkpoint(NAME, 12, bytes([n]) * 32))
            with pytest.raises(Fork) as fork:
                witness.add_checkpoint(12, [], other, 101)
            assert (fork.value.evidence is None) == (n >= 3)
    assert len(list(folder.glob("fork-*.json"))) == 3


def test_it_remembers_over_a_restart_and_two_do_not_run_at_once(folder: Path, heads: Heads) -> None:
    with opened(folder, heads) as witness:
        sign(witness, heads, 0, 12)
        key = witness.key
        with pytest.raises(WitnessBusy):
            opened(folder, heads)
    assert (folder / "witness.key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    with opened(folder, heads) as witness:
        assert witness.key == key
        with pytest.raises(OtherSize):
            witness.add_checkpoint(0, [], heads.note(20, FORKED), 200)
        with pytest.raises(Fork):
            witness.add_checkpoint(12, [], heads.note(12, FORKED), 200)
        sign(witness, heads, 12, 20)
    with pytest.raises(NoteError, match="one name for good"):
        Witness(folder, "other.example", [heads.key])


class PowerCut(BaseException):
    """Not an Exception: nothing under test may take it for an ordinary failure."""


def test_a_death_anywhere_leaves_a_witness_that_signs_on_and_never_against_itself(
    tmp_path: Path, heads: Heads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies before and after each file is replaced, and between the last file and the signature; then it is shown the
    fork first, and the true head after."""
    real, before = witness_module._write_whole, tmp_path / "before"
    with opened(before, heads, mark=tmp_path / "mark0") as witness:
        sign(witness, heads, 0, 12)
    deaths = 0
    for at in range(8):
        folder, mark = tmp_path / f"w{at}", tmp_path / f"mark{at + 1}"
        shutil.copytree(before, folder)
        shutil.copy(tmp_path / "mark0", mark)
        calls = 0

        def dying(path: Path, data: object, mode: int = 0o600, at: int = at) -> None:
            nonlocal calls
            calls += 1
            if calls * 2 - 1 == at:
                raise PowerCut
            real(path, data, mode)
            if calls * 2 == at:
                raise PowerCut

        monkeypatch.setattr(witness_module, "_write_whole", dying)
        if at in (0, 7):
            monkeypatch.setattr(Witness, "_sign", lambda *_: (_ for _ in ()).throw(PowerCut()))
        handed = 0
        try:
            with opened(folder, heads, mark=mark) as witness:
                handed = sign(witness, heads, 12, 20)
        except PowerCut:
            deaths += 1
        monkeypatch.undo()
        with opened(folder, heads, mark=mark) as witness:  # no death looks like a backup
            known = witness.last(NAME).size
            assert known >= (handed or 12)
            with pytest.raises((BadProof, Fork)):
                witness.add_checkpoint(known, heads.proof(known, 20, FORKED), heads.note(20, FORKED), 100)
            sign(witness, heads, known, 20)
            sign(witness, heads, 20, 33)
    assert deaths == 6


def older(path: Path, by_s: int) -> None:
    """What a restore does: the disk took the file later than it was made."""
    content = json.loads(path.read_text())
    content["made_ns"] -= by_s * 10**9
    path.write_text(json.dumps(content))


def test_a_folder_put_back_from_a_backup_does_not_sign(tmp_path: Path, folder: Path, heads: Heads) -> None:
    with opened(folder, heads) as witness:
        sign(witness, heads, 0, 12)
    shutil.copytree(folder, tmp_path / "backup")
    state = next((tmp_path / "backup").glob("log-*.json"))
    for file in (state, tmp_path / "backup" / "signed.json"):
        older(file, 3600)
    with opened(folder, heads) as witness:
        sign(witness, heads, 12, 20)  # after the backup
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    with pytest.raises(Restored, match="copied or restored"):
        opened(folder, heads)
    # A key that was put back alone, or beside an empty memory, signs nothing either.
    for file in (folder / state.name, folder / "signed.json"):
        older(file, -3600)  # as if they had been made here just now
    opened(folder, heads).close()
    for gone in (folder / state.name, folder / "signed.json"):
        gone.rename(tmp_path / "gone")
        with pytest.raises(Restored, match="missing"):
            opened(folder, heads)
        (tmp_path / "gone").rename(gone)
    with opened(folder, heads, accept_copy=True) as witness:
        assert witness.last(NAME).size == 12
    with opened(folder, heads) as witness:  # taken as it is, once
        sign(witness, heads, 12, 20)


def test_a_mark_on_another_disk_knows_what_a_copied_disk_forgot(tmp_path: Path, folder: Path, heads: Heads) -> None:
    """A snapshot of the disk comes back with the same times within it; only what lies elsewhere knows better."""
    mark = tmp_path / "elsewhere"
    with opened(folder, heads, mark=mark) as witness:
        sign(witness, heads, 0, 12)
    shutil.copytree(folder, tmp_path / "snapshot")
    with opened(folder, heads, mark=mark) as witness:
        sign(witness, heads, 12, 20)
    with pytest.raises(Restored, match="knows of 20 leaves"):
        opened(tmp_path / "snapshot", heads, mark=mark)
    opened(tmp_path / "snapshot", heads).close()  # without a mark nothing here can know: docs/witness.md says so


def test_damaged_memory_signs_nothing(folder: Path, heads: Heads) -> None:
    with opened(folder, heads) as witness:
        sign(witness, heads, 0, 12)
    state = next(folder.glob("log-*.json"))
    good = state.read_bytes()
    for bad in (b"", good[:-9], good.replace(b"\\n12\\n", b"\\n13\\n"), good.replace(b"note", b"nots")):
        assert bad != good
        state.write_bytes(bad)
        with pytest.raises(Restored):
            opened(folder, heads)


def test_requests_are_read_strictly() -> None:
    note = "a\n1\nAAAA\n\n— a AAAA\n"
    assert parse_request(request_text(7, LEAVES[:2], note).encode()) == (7, LEAVES[:2], note)
    assert parse_request(request_text(0, [], note).encode()) == (0, [], note)
    good = request_text(7, LEAVES[:1], note)
    for bad in (
        good.replace("old 7", "old 07"), good.replace("old 7", "old -7"), good.replace("old 7", f"old {1 << 63}"),
        good.replace("old", "new"), good.replace("old 7\n", "old 7\r\n"), good.replace("\n\n", "\n", 2), "", "old 7",
        request_text(7, LEAVES[:1] * 64, note), request_text(7, [b"short"], note), "old 7\n\n" + "x" * 20_000,
    ):  # fmt: skip
        with pytest.raises(RequestError):
            parse_request(bad.encode())
    for bad in (b"\xff", b"old 7\n\n" + bytes(MAX_REQUEST)):
        with pytest.raises(RequestError):
            parse_request(bad)


def test_the_log_s_own_folder_gives_what_a_witness_needs(tmp_path: Path, folder: Path) -> None:
    with Log(tmp_path / "tiles", NAME) as log, Witness(folder, WITNESS, [log.verifier]) as witness:
        known = 0
        for upto in (3, 4, 17, 40):
            log.append(LEAVES[log.size : upto])
            note = log.checkpoint()
            witness.add_checkpoint(known, log.consistency(known, upto) if known else [], note, upto)
            known = upto
        assert witness.last(NAME).size == 40
