"""The auditor's way, there and back: a road proof and a chunk proof on a real database, checked with the file alone,
before and after the chunks have gone; and everything that could be forged in them."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from api import audit, wiring
from api.commands.audit import app, read_hash
from api.keeper import SEAL_AFTER_S
from api.routes import audit as proofs
from api.routes.devices import NotAllowed
from api.settings import Settings
from api.story import Ledger
from defects import store as defects_store
from grid import cells_of_block, level_of
from ingest import City
from ingest import store as ingest_store
from ledger import Log, Step, Tiles, parse_checkpoint, verify_document, verify_proof
from ledger import store as ledger_store

from .test_keeper import DEVICES, Conn, drives, ended_s, fold_all, keep, one, worker


class World:
    """A street that was driven, folded and sealed, with its log."""

    def __init__(self, database: str, city: City, folder: Path) -> None:
        self.database, self.city, self.folder = database, city, folder
        self.log = Log(folder, "road-health-code/test")
        self.opened: list[Conn] = []

    def connect(self) -> Conn:
        self.opened.append(psycopg.connect(self.database, autocommit=True))
        return self.opened[-1]

    @property
    def ledger(self) -> Ledger:
        return Ledger(Tiles(self.folder), self.log.verifier, None)

    def take_log(self) -> None:
        with self.connect() as conn, conn.transaction():
            ledger_store.number_outbox(conn, 100_000)
            self.log.append(ledger_store.leaves_from(conn, self.log.size, 100_000))
            note = self.log.checkpoint()
            checkpoint = parse_checkpoint(note)
            ledger_store.put_checkpoint(conn, checkpoint.size, checkpoint.root, note)

    def check(self, document: dict[str, Any], key: str | None = None) -> list[Step]:
        return verify_document(document, lambda proof: verify_proof(proof, key or self.log.verifier, None))

    def road(self, cell: int) -> dict[str, Any]:
        made = audit.bundle(self.connect, cell, self.city, self.ledger, 0.0)
        return dict(json.loads(json.dumps(made)))

    def trace(self, hashed: bytes) -> dict[str, Any]:
        return dict(json.loads(json.dumps(audit.trace(self.connect, hashed, None, self.city, self.ledger))))


@pytest.fixture
def world(database: str, city: City, tmp_path: Path) -> Iterator[World]:
    """Made for each test: only then are the day's slots apart, and three boxes are three witnesses."""
    made = World(database, city, tmp_path / "log")
    with made.connect() as conn:
        for device, kind in DEVICES.items():
            ingest_store.enrol(conn, device, kind, "not asked here")
        worker(made.connect, city)(drives(city))
        fold_all(conn, city)
        made.take_log()
        yield made
    made.log.close()
    for opened in made.opened:
        opened.close()


def red_cell(conn: Conn) -> int:
    for block, (_, codes) in defects_store.codes_of(conn, defects_store.all_code_blocks(conn)).items():
        if level_of(block) == 0:
            for i in range(1024):
                if codes["colour"][i] == 3:
                    return int(cells_of_block(block)[i])
    raise AssertionError("no red square: the drive was not felt")


def test_from_a_red_square_to_its_chunks_and_back_before_and_after_they_have_gone(world: World) -> None:
    city = world.city
    with world.connect() as conn:
        cell = red_cell(conn)
        open_day = world.road(cell)
        assert open_day["code"]["colour"] == "red"
        steps = world.check(open_day)
        assert [s for s in steps if s.ok is False] == []
        assert {s.name for s in steps if s.ok} >= {
            "code", "codes", "block: inclusion", "own record", "own record: inclusion", "context", "context: signature",
        }  # fmt: skip
        assert any(s.name.startswith("chunks of") and s.ok for s in steps)
        raw, salt, leaf = conn.execute(  # type: ignore[misc]
            "SELECT raw, salt, leaf FROM chunk_box WHERE id IN (SELECT chunk FROM finding) ORDER BY id LIMIT 1"
        ).fetchone()
        phone = conn.execute("SELECT raw, salt, leaf FROM chunk_phone ORDER BY id LIMIT 1").fetchone()
        assert phone is not None
        told = world.trace(hashlib.sha256(raw).digest())
        assert (told["leaf"], told["salt"], told["seal"]) == (leaf.hex(), salt.hex(), None)
        assert sum(len(c["changes"]) for c in told["caused"]) > 0
        assert any(c["cases"] for c in told["caused"])
        assert world.trace(leaf)["salt"] is None, "who has the salted hash alone is not given the salt"

        keep(conn, city, ended_s(city) + SEAL_AFTER_S)
        world.take_log()
        sealed = world.trace(hashlib.sha256(raw).digest())
        assert sealed["seal"] is not None
        names = [s.name for s in world.check(sealed) if s.ok]
        assert names.count("chunk") == len(sealed["places"]) > 0
        assert "hash" in names

        keep(conn, city, ended_s(city) + 40 * 86_400)
        assert one(conn, "SELECT count(*) FROM chunk") == 0
        for gone in (leaf, phone[2]):
            later = world.trace(gone)
            assert later["kept"] is False
            stranger = {**later, "leaf": "ab" * 32, "places": []}
            assert [s.name for s in world.check(stranger) if s.ok is False] == ["chunk"], "a seal alone proves no chunk"
            steps = world.check(later)
            assert [s for s in steps if s.ok is False] == []
            assert "chunk" in [s.name for s in steps if s.ok]
        with pytest.raises(audit.NotTraced, match="salted"):
            world.trace(hashlib.sha256(bytes(phone[0])).digest())
        after = world.road(red_cell(conn) if one(conn, "SELECT sum(red) FROM code") else cell)
        steps = world.check(after)
        assert [s for s in steps if s.ok is False] == []
        assert any(s.name.startswith("seal of") and s.ok for s in steps)
        forged(world, after)


def forged(world: World, document: dict[str, Any]) -> None:
    """Whatever is changed in a proof, a step does not hold."""

    def without(change: Callable[[dict[str, Any]], None]) -> list[str]:
        other = copy.deepcopy(document)
        change(other)
        return [s.name for s in world.check(other) if s.ok is False]

    def flip_code(d: dict[str, Any]) -> None:
        raw = bytearray(base64.b64decode(d["codes"]))
        raw[5] ^= 1
        d["codes"] = base64.b64encode(raw).decode()

    assert without(lambda d: d["code"].update(colour="green" if d["code"]["colour"] != "green" else "red"))
    assert "codes" in without(flip_code)
    assert without(lambda d: d.update(cell=d["cell"] + 1024))
    assert without(lambda d: d["days"][0]["chunks"].pop())
    assert without(lambda d: d["days"][0].update(day="2020-01-01"))
    assert without(lambda d: d.update(block=d["days"][0]["seal"]))
    assert without(lambda d: d.update(days=7)) == ["document"]
    assert without(lambda d: d.update(codes="AAAA")) in (["code"], ["document"])
    assert "place" in without(lambda d: d.update(name=d["name"].replace("N", "S")))
    assert "place" in without(lambda d: d.update(polygon=[[lon + 0.001, lat] for lon, lat in d["polygon"]]))
    assert without(lambda d: d.update(cell=float(d["cell"]))) == ["code"]
    another = Log(world.folder / "another", "road-health-code/test")
    assert "block: signature" in [s.name for s in world.check(document, another.verifier) if s.ok is False]
    another.close()


def test_the_command_needs_nothing_but_the_file_and_says_when_no_key_was_given(world: World, tmp_path: Path) -> None:
    with world.connect() as conn:
        cell = int(cells_of_block(defects_store.all_code_blocks(conn)[0])[0])
    file = tmp_path / "square.json"
    file.write_text(json.dumps(audit.bundle(world.connect, cell, world.city, world.ledger, 0.0)))
    run = CliRunner().invoke
    told = run(app, ["check", str(file), "--key", str(world.folder / "log.pub"), "--json"])
    assert told.exit_code == 3, "no chain was asked"
    assert "NO" not in [row["holds"] for row in json.loads(told.stdout)]
    alone = run(app, ["check", str(file), "--json"])
    assert json.loads(alone.stdout)[0]["step"] == "trust"
    file.write_text(file.read_text().replace('"revision"', '"revisions"').replace('"codes": "', '"codes": "AAAA'))
    assert run(app, ["check", str(file), "--key", world.log.verifier]).exit_code == 1


def test_a_forged_file_does_not_paint_over_what_the_command_says(tmp_path: Path) -> None:
    file = tmp_path / "forged.json"
    code = {"colour": "green\x1b[2K\x1b[1A\u202e", "state": "none", "kind": None}
    file.write_text(json.dumps({
        "v": 1, "what": "road proof", "cell": 1, "code": code, "codes": base64.b64encode(bytes(12 * 1024)).decode(),
        "banner": "\x1b[2JEvery step holds", "name": "", "polygon": [], "block": {}, "log": ["no key"],
    }))  # fmt: skip
    told = CliRunner().invoke(app, ["check", str(file)])
    assert told.exit_code == 1
    assert "\x1b" not in told.output
    assert "\u202e" not in told.output


def test_proofs_are_made_two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "_WAIT_S", 0.01)
    with proofs._turn(), proofs._turn(), pytest.raises(NotAllowed, match="ask again") as refused, proofs._turn():
        pass
    assert refused.value.status == 429
    with proofs._turn(), proofs._turn():
        pass  # both places are free again


def test_a_hash_is_of_64_digits_or_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "chunk").write_bytes(b"x")
    assert read_hash(str(tmp_path / "chunk")) == hashlib.sha256(b"x").digest()
    assert read_hash("ab" * 32) == b"\xab" * 32
    with pytest.raises(ValueError, match="neither"):
        read_hash("zz" * 32)


def test_wiring_keeps_hashes_as_long_as_it_is_told() -> None:
    assert wiring.keep_options(Settings(keep_leaves_days=77)).leaves_days == 77
