"""Proofs hold, and a flipped bit anywhere is found: by the proof's check, by fsck, or by both."""

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger.anchor import step
from ledger.chain import Chain
from ledger.fsck import fsck
from ledger.log import Log
from ledger.proof import NotProvable, Step, prove, verify_proof
from ledger.tiles import Tiles

from .conftest import Node
from .test_anchor import NAME, NOW, say


@dataclass
class Said:
    """A log of 700 records under three anchors, and one record more that is signed but not anchored."""

    conn: psycopg.Connection[Any]
    folder: Path
    chain: Chain
    verifier: str

    def fsck(self, chain: bool = True) -> list[str]:
        """Parts with a fault."""
        found = fsck(self.conn, Tiles(self.folder), self.chain if chain else None, self.verifier)
        self.conn.rollback()
        return sorted({fault.part for fault in found})

    def check(self, idx: int, **named: Any) -> list[Step]:
        """Prove and verify, by way of JSON."""
        document = json.loads(json.dumps(prove(self.conn, Tiles(self.folder), idx, self.chain, **named)))
        return verify_proof(document, self.verifier, self.chain)


@pytest.fixture(scope="module")
def built(second_database_url: str, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Said]:
    """Built once; tests change it inside a transaction, or put files back."""
    folder = tmp_path_factory.mktemp("said")
    chain = Chain(node.url, folder / "keys")
    chain.deploy(node.folder / "genesis.key")
    absent = Chain("http://127.0.0.1:9/", folder / "keys", timeout_s=1.0)
    with psycopg.connect(second_database_url) as conn, Log(folder / "log", NAME) as log:
        for count in (3, 300, 397):
            say(conn, count)
            step(conn, log, chain, NOW)
        say(conn, 1)
        assert step(conn, log, absent, NOW).state == "away"
        yield Said(conn, folder / "log", chain, log.verifier)


@pytest.fixture
def said(built: Said) -> Iterator[Said]:
    yield built
    built.conn.rollback()


def verdicts(steps: list[Step]) -> dict[str, bool | None]:
    return {s.name: s.ok for s in steps}


GOOD = {"record": True, "leaf": True, "inclusion": True, "signature": True, "witnesses": None, "anchor": True}


def test_every_step_holds(said: Said) -> None:
    for idx in (0, 2, 3, 255, 256, 512, 699):
        assert verdicts(said.check(idx)) == GOOD
    assert verdicts(said.check(700)) == GOOD | {"anchor": None}
    assert said.fsck() == []
    with pytest.raises(NotProvable):
        prove(said.conn, Tiles(said.folder), 701)


def test_newest_and_first_anchor(said: Said) -> None:
    newest, first = (prove(said.conn, Tiles(said.folder), 1, said.chain, which=w) for w in ("newest", "first"))
    assert (newest["anchor"]["seq"], newest["tree_size"]) == (3, 700)
    assert (first["anchor"]["seq"], first["tree_size"]) == (1, 3)
    assert first["anchor"]["chain_id"] == said.chain.chain_id
    assert first["anchor"]["contract"] == said.chain.address
    assert verdicts(verify_proof(first, said.verifier, said.chain)) == GOOD
    assert verdicts(verify_proof(first, said.verifier, None)) == GOOD | {"anchor": None}
    absent = Chain("http://127.0.0.1:9/", said.folder.parent / "keys", timeout_s=1.0)
    assert verdicts(verify_proof(first, said.verifier, absent)) == GOOD | {"anchor": None}
    leaf = Tiles(said.folder).leaf(1)
    assert said.chain.verify(1, leaf, 1, Tiles(said.folder).inclusion(1, 3)) == first["anchor"]["time"]
    assert said.chain.verify(1, leaf, 2, Tiles(said.folder).inclusion(1, 3)) is None


def test_a_proof_that_names_another_anchors_transaction_does_not_hold(said: Said) -> None:
    """Mined, in a real block of the right chain, but it anchored something else."""
    newest, first = (prove(said.conn, Tiles(said.folder), 1, said.chain, which=w) for w in ("newest", "first"))
    borrowed = {name: newest["anchor"][name] for name in ("tx_hash", "block_hash")}
    bent = first | {"anchor": first["anchor"] | borrowed}
    assert verdicts(verify_proof(bent, said.verifier, said.chain)) == GOOD | {"anchor": False}


def test_a_bent_proof_never_passes(said: Said) -> None:
    good = prove(said.conn, Tiles(said.folder), 256, said.chain)
    rng = random.Random(3)

    def flip(text: str) -> str:
        data = bytearray(b64decode(text))
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return b64encode(data).decode()

    bent: list[dict[str, Any]] = [good | {"body": flip(good["body"])} for _ in range(20)]
    for i in range(len(good["inclusion"])):
        hashes = list(good["inclusion"])
        hashes[i] = flip(hashes[i])
        bent += [good | {"inclusion": hashes}]
    bent += [good | {"leaf_index": 257}, good | {"tree_size": 701}, good | {"inclusion": good["inclusion"][:-1]}]
    for at in range(0, len(good["checkpoint"]), 7):
        note = good["checkpoint"]
        bent.append(good | {"checkpoint": note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]})
    for change in (
        {"seq": 2}, {"seq": 9}, {"seq": None}, {"time": 1}, {"block": 1}, {"contract": "0x" + "11" * 20},
        {"tx_hash": "0x" + "11" * 32}, {"tx_hash": None}, {"block_hash": None},
    ):  # fmt: skip
        bent.append(good | {"anchor": good["anchor"] | change})
    for proof in bent:
        assert False in verdicts(verify_proof(proof, said.verifier, said.chain)).values()
    other = said.verifier.replace("road.test", "road.else")
    assert False in verdicts(verify_proof(good, other, said.chain)).values()


@pytest.mark.parametrize(
    "document", [{}, {"v": 1}, {"v": 1, "body": 3}, {"anchor": []}, {"inclusion": ["x"] * 99}, {"leaf_index": True},
                 {"checkpoint": None}, {"inclusion": None}, {"body": "%"}, {"tree_size": -1}, {"v": 2}],
)  # fmt: skip
def test_any_document_gets_a_verdict(document: dict[str, Any]) -> None:
    whole = {"v": 1, "body": "", "leaf_index": 0, "tree_size": 1, "inclusion": [], "checkpoint": "", "anchor": {}}
    for proof in (document, whole | document):
        assert False in verdicts(verify_proof(proof, "a+b+c", None)).values()


def flipped(conn: psycopg.Connection[Any], table: str, column: str, where: str) -> None:
    """Flip one bit of a bytea column, or change a number or a text a little."""
    change = f"set_byte({column}, length({column}) / 2, get_byte({column}, length({column}) / 2) # 1)"
    if column in ("size", "nonce", "block_number", "block_time", "seq", "subject"):
        change = f"{column} + 1"
    elif column == "note":
        change = "overlay(note placing 'Q' from position(chr(10) in note) + 8)"
    elif column == "day":
        change = "day + 1"
    elif column == "kind":
        change = "'case'"
    elif column == "status":
        change = "'failed'"
    assert conn.execute(f"UPDATE {table} SET {column} = {change} WHERE {where}").rowcount == 1  # noqa: S608


@pytest.mark.parametrize("column", ["body", "leaf", "kind", "subject", "day"])
def test_fsck_finds_a_changed_record(said: Said, column: str) -> None:
    flipped(said.conn, "record", column, "idx = 300")
    if column == "body":
        steps = verdicts(said.check(300))
        assert steps["inclusion"] is False
    assert said.fsck() == ["record"]


def test_fsck_finds_missing_records(said: Said) -> None:
    for idx in (0, 300, 700):
        said.conn.execute("DELETE FROM record WHERE idx = %s", (idx,))
        assert said.fsck() == ["record"]


@pytest.mark.parametrize("column", ["root", "note"])
def test_fsck_finds_a_changed_checkpoint_row(said: Said, column: str) -> None:
    for size in (303, 701):
        flipped(said.conn, "checkpoint", column, f"size = {size}")
        assert "checkpoint" in said.fsck()


@pytest.mark.parametrize(
    "column",
    ["root", "nonce", "tx_hash", "raw_tx", "status", "block_number", "block_hash", "block_time", "seq"],
)
def test_fsck_finds_a_changed_anchor_row(said: Said, column: str) -> None:
    flipped(said.conn, "anchor", column, "seq = 3")
    assert "anchor" in said.fsck()
    flipped(said.conn, "anchor", column, "id = 3") if column in ("root", "tx_hash", "raw_tx", "block_hash") else None
    said.conn.rollback()
    flipped(said.conn, "anchor", column, "seq = 3")
    if column in ("tx_hash", "block_number", "block_hash", "block_time", "seq"):
        assert verdicts(said.check(0))["anchor"] is False


def test_fsck_finds_any_flipped_byte_of_the_folder(said: Said) -> None:
    files = [p for p in said.folder.rglob("*") if p.is_file() and p.name not in ("lock", "log.key", "log.pub")]
    assert {p.name for p in files} == {"000", "001", "189", "2", "checkpoint"}
    rng = random.Random(5)
    for path in files:
        good = path.read_bytes()
        for at in [0, len(good) - 1, *(rng.randrange(len(good)) for _ in range(3))]:
            path.write_bytes(good[:at] + bytes([good[at] ^ (1 << rng.randrange(8))]) + good[at + 1 :])
            expected = "checkpoint" if path.name == "checkpoint" else "tile"
            assert expected in "".join(said.fsck(chain=False)).replace("record", "tile")
        path.write_bytes(good[:-1])
        assert said.fsck(chain=False)
        path.unlink()
        assert said.fsck(chain=False)
        path.write_bytes(good)
    assert said.fsck() == []


def test_a_flipped_tile_spoils_the_proofs_that_use_it(said: Said) -> None:
    tile = said.folder / "tile/0/000"
    good = tile.read_bytes()
    tile.write_bytes(good[:32] + bytes([good[32] ^ 1]) + good[33:])
    assert verdicts(said.check(0))["inclusion"] is False
    tile.write_bytes(good)


def test_fsck_finds_an_anchor_that_the_database_does_not_know(said: Said) -> None:
    said.conn.execute("DELETE FROM anchor WHERE seq = 3")
    assert said.fsck() == ["chain"]


def test_fsck_tells_how_far_it_is(said: Said) -> None:
    told: list[tuple[str, int]] = []
    fsck(said.conn, Tiles(said.folder), said.chain, said.verifier, lambda part, done: told.append((part, done)))
    assert dict(told) == {"record": 701, "checkpoint": 4, "anchor": 3, "chain": 3}
