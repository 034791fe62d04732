"""Witnesses and the log over real HTTP: who signs what, who refuses, what a quorum is worth against a fork."""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from typer.testing import CliRunner

from api import backing, wiring, witnessing
from api.cli import app as cli
from api.migrate import migrate
from api.settings import Settings
from api.witness_server import witness_app
from ingest import City
from ledger import (
    Away,
    Chain,
    Fork,
    Log,
    PolicyError,
    Restored,
    Step,
    Tiles,
    Witness,
    check_evidence,
    cosign,
    cosignatures_of,
    follow,
    fsck,
    judge,
    parse_checkpoint,
    parse_policy,
    prove,
    request_text,
    verify_proof,
    verify_tlog_proof,
    with_cosignatures,
)
from ledger.keys import load_pair

from .test_app import served
from .witnessed import ABSENT, NOW, World, below, on_http, plain_files


@pytest.fixture(scope="module")
def world(postgres: str, city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Built once; the log grows from test to test, and no test counts on how large it is."""
    home = tmp_path_factory.mktemp("witnessed")
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(url, autocommit=True) as conn:
        migrate(conn)
    settings = Settings(home=home, database_url=SecretStr(url), witnesses=home / "policy.txt", witness_every_s=0)
    with ExitStack() as stack:
        conn = stack.enter_context(psycopg.connect(url))
        log = stack.enter_context(Log(wiring.log_folder(settings), wiring.log_name(city)))
        made = [
            stack.enter_context(Witness(home / f"w{n}", f"w{n}.example", [log.verifier])) for n in range(4)
        ]  # fmt: skip
        urls = [stack.enter_context(on_http(witness_app(w, lambda: NOW, print))) for w in made]
        lines = [f"witness w{n} {made[n].key.vkey} {urls[n]}" for n in range(3)]
        text = "\n".join([f"log {log.verifier} https://roads.example/log", *lines, "group g 2 w0 w1 w2", "quorum g"])
        (home / "policy.txt").write_text(text)
        policy = parse_policy(text.encode())
        client = stack.enter_context(served(settings))
        built = World(settings, log, made, urls, policy, client, conn, Chain(ABSENT, home / "keys", timeout_s=1.0))
        built.first = built.grow(1)
        yield built
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_the_log_asks_keeps_and_serves_what_witnesses_sign(world: World) -> None:
    asking, told = world.asking(), []
    for count in (5, 1, 300):
        size = world.grow(count)
        assert asking.turn(lambda *_, **k: told.append(k)) == 3
        assert asking.turn(lambda *_, **k: told.append(k)) == 0  # it has them
        for path in ("/log/checkpoint", "/log/witnessed"):
            found = judge(world.policy, world.client.get(path).text)
            assert (found.checkpoint.size, found.names, found.enough) == (size, ("w0", "w1", "w2"), True)
    assert told == []
    # Another that asks for the first time, and does not know where the witnesses are, hears it from them.
    world.grow(2)
    assert world.asking().turn(lambda *_, **k: told.append(k)) == 3
    assert told == []
    # A proof file holds offline, for who has nothing but the policy.
    text = world.client.get("/log/tlog-proof/3").text
    assert all(s.ok for s in verify_tlog_proof(text, world.policy))
    assert world.client.get("/log/tlog-proof/999999").status_code == 404
    world.conn.rollback()
    assert fsck(world.conn, Tiles(world.log.folder), None, world.log.verifier) == []


def post(world: World, n: int, body: str | bytes) -> httpx.Response:
    return httpx.post(f"{world.urls[n]}/add-checkpoint", content=body, trust_env=False)


def test_a_witness_answers_as_tlog_witness_has_it(world: World, tmp_path: Path) -> None:
    size = world.grow(3)
    world.asking().turn(print)
    note, known = world.log.checkpoint(), world.witnesses[0].last(wiring.log_name(world.settings.read_city()))
    assert known is not None
    assert known.size == size
    again = post(world, 0, request_text(size, [], note))
    assert again.status_code == 200
    assert cosignatures_of(note + again.text, [world.witnesses[0].key])[0].time_s == NOW
    stale = post(world, 0, request_text(1, [], note))
    assert (stale.status_code, stale.text) == (409, f"{size}\n")
    assert stale.headers["content-type"] == "text/x.tlog.size"
    later = world.grow(4)
    bad = [bytes(32)] * len(world.log.consistency(size, later))
    assert post(world, 0, request_text(size, bad, world.log.checkpoint())).status_code == 422
    assert post(world, 0, request_text(size, [], world.log.checkpoint())).status_code == 422
    name = world.log.verifier.split("+")[0]
    with Log(tmp_path / "other", "other.test/log") as other, Log(tmp_path / "thief", name) as thief:
        for log, status in ((other, 404), (thief, 403)):
            log.append([bytes(32)] * (later + 1))
            assert post(world, 0, request_text(size, [], log.checkpoint())).status_code == status
    unsigned = note.partition("\n\n")[0] + "\n\n— x AAAAAAAA\n"
    assert post(world, 0, request_text(size, [], unsigned)).status_code == 403
    for broken in (b"", b"\xff", b"old 3\n\n", request_text(later + 9, [], note).encode()):
        assert post(world, 0, broken).status_code == 400
    assert post(world, 0, b"o" * 40_000).status_code == 413
    assert known == world.witnesses[0].last(known.note.partition("\n")[0])  # nothing of this moved it


def test_a_witness_that_follows_signs_and_hands_in_and_one_that_is_not_named_is_not_taken(world: World) -> None:
    for count in (2, 600):
        size = world.grow(count)
        done = [follow(w, world.log.verifier, world.url, NOW) for w in world.witnesses]
        assert [d.size for d in done] == [size] * 4
        assert [d.handed for d in done] == [True, True, True, False]
        assert "unknown_witness" in done[3].detail
        assert judge(world.policy, world.client.get("/log/checkpoint").text).names == ("w0", "w1", "w2")
        states = [follow(w, world.log.verifier, world.url, NOW).state for w in world.witnesses]
        assert states == ["seen", "seen", "seen", "again"]


def test_witnesses_who_come_at_moments_of_their_own_sign_one_head(world: World, tmp_path: Path) -> None:
    """The log grows between their visits, and none of the heads that each finds newest would ever have two."""
    slow = world.settings.model_copy(update={"witness_every_s": 1e9})  # the slot that began in September 2001
    with served(slow) as client:
        assert client.get("/log/candidate").text.split("\n")[1] == str(world.first)
        offered = world.grow(2)
        world.conn.execute("UPDATE checkpoint SET at = '2001-01-01' WHERE size = %s", (offered,))
        world.conn.commit()
        sizes = []
        for witness in world.witnesses[:2]:
            sizes.append(follow(witness, world.log.verifier, below(client), NOW).size)
            newest = world.grow(300)
        asking = witnessing.Asking(partial(wiring.database, slow, False), Tiles(world.log.folder), world.policy, 1e9)
        assert asking.turn(print) == 1  # the third is asked, and for the same head
        assert sizes == [offered, offered]
        assert judge(world.policy, client.get("/log/candidate").text).names == ("w0", "w1", "w2")
        assert judge(world.policy, client.get("/log/witnessed").text).checkpoint.size == offered < newest
        assert [follow(w, world.log.verifier, below(client), NOW).state for w in world.witnesses[:3]] == ["seen"] * 3
        # What is shown to everybody is held against what was signed, whatever is offered.
        true, head = (world.log.folder / "checkpoint"), world.log.checkpoint()
        with forked(world, offered - 1, newest, tmp_path / "fork"):
            for name in ("tile", "checkpoint"):
                (world.log.folder / name).rename(tmp_path / name)
                (tmp_path / "fork" / name).rename(world.log.folder / name)
            with served(slow) as lying, pytest.raises(Fork, match="other history"):
                follow(world.witnesses[0], world.log.verifier, below(lying), NOW)
            for name in ("tile", "checkpoint"):
                shutil.rmtree(world.log.folder / name) if name == "tile" else (world.log.folder / name).unlink()
                (tmp_path / name).rename(world.log.folder / name)
        assert true.read_text() == head


def test_what_is_handed_in_is_checked(world: World, tmp_path: Path) -> None:
    size = world.grow(2)
    note = world.log.checkpoint()
    text = note.partition("\n\n")[0] + "\n"
    pair = load_pair(world.witnesses[0].folder / "witness.key")
    mine = cosign(text, "w0.example", pair, NOW)
    other = text.replace(text.split("\n")[2], b64encode(bytes(32)).decode())
    bodies = {
        "bad_note": [b"x", b"\xff", (note + spoilt(mine.line)).encode(),
                     (note + cosign(other, "w0.example", pair, NOW).line).encode()],
        "unknown_witness": [note.encode(), (note + cosign(text, "w9.example", pair, NOW).line).encode()],
        "no_such_checkpoint": [_handed(text.replace(f"\n{size}\n", f"\n{size + 5}\n"), pair)],
        "other_checkpoint": [_handed(other, pair)],
        "too_large": [b"x" * 40_000],
    }  # fmt: skip
    before = world.conn.execute("SELECT count(*) FROM cosignature").fetchone()
    for name, sent in bodies.items():
        for body in sent:
            answer = world.client.post("/log/cosignature", content=body)
            assert answer.json()["error"] == name, (name, body[:80])
            assert answer.status_code in (403, 404, 409, 413, 422)
    assert world.conn.execute("SELECT count(*) FROM cosignature").fetchone() == before
    for new in (1, 0):
        answer = world.client.post("/log/cosignature", content=note + mine.line)
        assert (answer.status_code, answer.json()) == (200, {"size": size, "witnesses": ["w0"], "new": new})
    world.conn.rollback()


def spoilt(line: str) -> str:
    """A signature line with another letter within its signature."""
    return line[:-20] + ("A" if line[-20] != "A" else "B") + line[-19:]


def _handed(text: str, pair: Any) -> bytes:
    return f"{text}\n{cosign(text, 'w0.example', pair, NOW).line}".encode()


def test_witnesses_need_no_token_and_records_do(world: World) -> None:
    guarded = world.settings.model_copy(update={"api_token": SecretStr("6b1f09d2"), "host": "0.0.0.0"})  # noqa: S104
    world.grow(1)
    world.asking().turn(print)
    with served(guarded) as client:
        for path in ("/log/checkpoint", "/log/witnessed"):
            assert judge(world.policy, client.get(path).text).enough
        assert client.post("/log/cosignature", content=b"x").json()["error"] == "bad_note"
        assert client.get("/log/tlog-proof/0").status_code == 401
        assert follow(world.witnesses[1], world.log.verifier, below(client), NOW).state == "seen"
    nobody = world.settings.model_copy(update={"witnesses": None})
    with served(nobody) as client:
        assert client.get("/log/witnessed").json()["error"] == "no_witnesses"
        assert client.post("/log/cosignature", content=b"x").json()["error"] == "no_witnesses"


@contextmanager
def forked(world: World, keep: int, size: int, folder: Path) -> Iterator[str]:
    """A second history under the log's own key: the same first `keep` leaves, then others; as plain files."""
    folder.mkdir()
    shutil.copy(world.log.folder / "log.key", folder / "log.key")
    with Log(folder, world.log.verifier.split("+")[0]) as other:
        other.append([world.log.leaf(n) for n in range(keep)])
        other.append([sha256(b"%d" % n).digest() for n in range(size - keep)])
        other.checkpoint()
        with plain_files(folder) as url:
            yield url


def test_a_second_history_is_refused_by_all_kept_as_evidence_and_has_no_quorum(world: World, tmp_path: Path) -> None:
    size = world.grow(3)
    world.asking().turn(print)
    for n, (keep, length) in enumerate([(size - 2, size), (7, size + 40), (size - 1, size + 700)]):
        with forked(world, keep, length, tmp_path / f"fork{n}") as url:
            for witness in world.witnesses[:3]:
                with pytest.raises(Fork) as fork:
                    follow(witness, world.log.verifier, url, NOW)
                assert fork.value.evidence is not None
                content = json.loads(fork.value.evidence.read_text())
                assert content["kind"] == ("same size" if length == size else "other history")
                assert [s.ok for s in check_evidence(content)] == [True, True]
                bent = content | {"signed_here": content["other"], "other": content["signed_here"]}
                assert length == size or not all(s.ok for s in check_evidence(bent))
            other = httpx.get(f"{url}/checkpoint", trust_env=False).text
        # One witness who signs anything is not enough either.
        key = load_pair(world.witnesses[2].folder / "witness.key")
        liar = cosign(other.partition("\n\n")[0] + "\n", "w2.example", key, NOW)
        assert judge(world.policy, with_cosignatures(other, [liar])).names == ("w2",)
        assert not judge(world.policy, with_cosignatures(other, [liar])).enough
    result = CliRunner().invoke(cli, ["witness", "evidence", str(fork.value.evidence)])
    assert result.exit_code == 0
    assert "cannot both be true" in " ".join(result.output.split())
    # The true log goes on as if nothing had been.
    world.grow(1)
    assert world.asking().turn(print) == 3


def test_a_log_that_shrinks_or_lies_about_its_tiles_is_refused(world: World, tmp_path: Path) -> None:
    size = world.grow(2)
    world.asking().turn(print)
    with forked(world, size - 5, size - 5, tmp_path / "old") as url, pytest.raises(Exception, match="were signed here"):
        follow(world.witnesses[0], world.log.verifier, url, NOW)
    with forked(world, size, size + 9, tmp_path / "torn") as url:
        tile = max((tmp_path / "torn" / "tile" / "0").rglob("*.p")).iterdir().__next__()
        tile.write_bytes(bytes(len(tile.read_bytes())))
        with pytest.raises(RuntimeError, match="do not lead to the root it signed"):
            follow(world.witnesses[0], world.log.verifier, url, NOW)
    with pytest.raises(Away):
        follow(world.witnesses[0], world.log.verifier, ABSENT + "log", NOW, timeout_s=1.0)
    assert not list(world.witnesses[0].folder.glob(f"fork-*-{size + 9}-*"))


def test_a_witness_put_back_notices_its_own_newer_signature(world: World, tmp_path: Path) -> None:
    """Its memory was wiped and its key kept, as a backup of the key alone does; the log shows what it signed."""
    world.grow(2)
    world.asking().turn(print)
    folder = tmp_path / "again"
    folder.mkdir(mode=0o700)
    for name in ("witness.key", "witness.pub"):
        shutil.copy(world.witnesses[1].folder / name, folder / name)
    with pytest.raises(Restored, match="missing beside the key"):
        Witness(folder, "w1.example", [world.log.verifier])
    with Witness(folder, "w1.example", [world.log.verifier], accept_copy=True) as amnesiac:
        with pytest.raises(Restored, match="put back from a backup"):
            follow(amnesiac, world.log.verifier, world.url, NOW)
        assert amnesiac.last(world.log.verifier.split("+")[0]) is None


@pytest.mark.parametrize("liars", [0, 1])
def test_two_clients_with_different_histories_cannot_both_have_a_quorum(
    world: World, tmp_path: Path, liars: int
) -> None:
    """Whatever order the two heads reach the witnesses in. One liar of three is what 2 of 3 cannot bear."""
    size = world.grow(2)
    left = world.log.checkpoint()
    both = 0
    with forked(world, size - 1, size, tmp_path / "right") as url:
        right = httpx.get(f"{url}/checkpoint", trust_env=False).text
    for case, first in enumerate(itertools.product((left, right), repeat=3)):
        views = {left: left, right: right}
        with ExitStack() as stack:
            for n, head in enumerate(first):
                folder = tmp_path / f"{case}-{n}"
                folder.mkdir(mode=0o700)
                (folder / "signed.json").write_text(json.dumps({"origins": [], "made_ns": _taken(folder)}))
                shutil.copy(world.witnesses[n].folder / "witness.key", folder)
                witness = stack.enter_context(Witness(folder, f"w{n}.example", [world.log.verifier]))
                views[head] = with_cosignatures(views[head], [witness.add_checkpoint(0, [], head, NOW)])
                other = right if head == left else left
                if n < liars:
                    key = load_pair(folder / "witness.key")
                    line = cosign(other.partition("\n\n")[0] + "\n", f"w{n}.example", key, NOW)
                    views[other] = with_cosignatures(views[other], [line])
                    continue
                for old in (0, size):
                    with pytest.raises(Fork):
                        witness.add_checkpoint(old, [], other, NOW)
        quorums = [judge(world.policy, view).enough for view in views.values()]
        both += all(quorums)
        assert any(quorums)
    assert (both > 0) == (liars > 0)


def _taken(folder: Path) -> int:
    probe = folder / "probe"
    probe.touch()
    return probe.stat().st_ctime_ns


def test_a_witness_that_hangs_lies_or_is_away_costs_its_own_signature_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnessing, "TIMEOUT_S", 0.5)
    world.grow(1)
    with socket.socket() as silent, on_http(witness_app(world.witnesses[3], lambda: NOW, print)) as liar:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes the connection, and never a word
        text = world.settings.witnesses.read_text() if world.settings.witnesses else ""
        for old, new in zip(world.urls[1:3], (f"http://127.0.0.1:{silent.getsockname()[1]}", liar), strict=True):
            text = text.replace(old, new)
        told: list[Any] = []
        asking = world.asking(parse_policy(text.encode()))
        assert asking.turn(lambda *_, **k: told.append(k)) == 1
        assert asking.turn(lambda *_, **k: told.append(k)) == 0
    assert {k["witness"] for k in told} == {"w1", "w2"}  # each once, not at every turn
    assert len(told) == 2
    assert "timed out" in next(k["why"] for k in told if k["witness"] == "w1")
    assert "no cosignature of the key" in next(k["why"] for k in told if k["witness"] == "w2")
    assert judge(world.policy, world.client.get("/log/checkpoint").text).names == ("w0",)
    assert world.client.get("/log/witnessed").text.split("\n")[1] != str(world.log.size)  # an earlier one has enough


def named(steps: list[Step]) -> dict[str, bool | None]:
    return {s.name: s.ok for s in steps}


def test_a_proof_says_who_witnessed_it_also_where_the_witnessed_head_is_another(world: World) -> None:
    key, tiles = world.log.verifier, Tiles(world.log.folder)
    early = world.grow(1)
    world.asking().turn(print)
    world.grow(400)
    ours = world.policy
    for policy, idx, ok in ((ours, 0, True), (ours, early - 1, True), (ours, early, None), (None, 0, None)):
        document = json.loads(json.dumps(prove(world.conn, tiles, idx, policy=policy)))
        steps = verify_proof(document, key, None, world.policy if policy else None)
        assert named(steps) == dict.fromkeys(("record", "leaf", "inclusion", "signature"), True) | {
            "witnesses": ok, "anchor": None
        }  # fmt: skip
        found = next(s for s in steps if s.name == "witnesses")
        assert found.wanted is (policy is not None)
        assert ("witnessed" in document) is (ok is True)
    document = prove(world.conn, tiles, 0, policy=world.policy)
    beside = document["witnessed"]
    bent = [
        beside | {"consistency": beside["consistency"][:-1]}, beside | {"consistency": beside["consistency"][::-1]},
        beside | {"checkpoint": spoilt(beside["checkpoint"])}, {}, beside | {"checkpoint": 3},
        beside | {"checkpoint": beside["checkpoint"].replace(f"\n{early}\n", f"\n{early + 1}\n")},
    ]  # fmt: skip
    for one in bent:
        assert named(verify_proof(document | {"witnessed": one}, key, None, world.policy))["witnesses"] is False
    later = prove(world.conn, tiles, early, policy=world.policy)
    borrowed = verify_proof(later | {"witnessed": beside}, key, None, world.policy)
    assert named(borrowed)["witnesses"] is False  # that head does not hold this record
    world.asking().turn(print)
    assert "witnessed" not in prove(world.conn, tiles, early, policy=world.policy)
    world.conn.rollback()


@pytest.mark.parametrize("column", ["vkey", "time_s", "signature", "size"])
def test_fsck_finds_a_changed_cosignature(world: World, column: str) -> None:
    before, size = world.grow(1), world.grow(1)
    world.asking().turn(print)
    change = {
        "vkey": "overlay(vkey placing chr(ascii(substr(vkey, 30, 1)) # 1) from 30)", "time_s": "time_s + 1",
        "signature": "set_byte(signature, 40, get_byte(signature, 40) # 4)", "size": str(before),
    }[column]  # fmt: skip
    world.conn.execute(f"UPDATE cosignature SET {column} = {change} WHERE size = %s AND vkey LIKE 'w1%%'", (size,))  # noqa: S608
    found = fsck(world.conn, Tiles(world.log.folder), None, world.log.verifier)
    world.conn.rollback()
    assert [fault.part for fault in found] == ["cosignature"]


def test_words_of_trust_keep_chain_and_witnesses_apart(world: World) -> None:
    from ledger.evm import CHAIN_ID  # noqa: PLC0415 - py-evm is loaded for its number alone

    assert backing.EMBEDDED_CHAIN == CHAIN_ID
    ledger = wiring.ledger(world.settings)
    cases = ((True, True, "enough"), (None, True, "waiting"), (None, False, "none"), (False, True, "broken"))
    for ok, wanted, word in cases:
        said = backing.trust_of([Step("anchor", True, ""), Step("own record: witnesses", ok, "", wanted)], ledger)
        assert said == {"chain": "none", "witnesses": word}
        assert all(backing.trust_words(said))
    assert "no evidence against that operator" in backing.CHAIN_WORDS["embedded"]


def test_a_policy_that_cannot_be_read_is_named_at_the_start(world: World, tmp_path: Path) -> None:
    file = tmp_path / "policy.txt"
    for content, why in ((None, "cannot be read"), ("witness x", "line 1"), ("quorum none\nquorum none", "line 2")):
        if content is not None:
            file.write_text(content)
        with pytest.raises(PolicyError, match=why):
            wiring.check_exposure(world.settings.model_copy(update={"witnesses": file}))
    wiring.check_exposure(world.settings)


def test_a_witness_whose_port_is_taken_ends_and_says_so(world: World, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = ["witness", "run", "--data", str(tmp_path / "w"), "--name", "w.example", "--log", world.log.verifier]
        told = CliRunner().invoke(cli, [*run, "--listen", f"127.0.0.1:{taken.getsockname()[1]}"])
    assert isinstance(told.exception, OSError)
    Witness(tmp_path / "w", "w.example", [world.log.verifier]).close()  # and its folder is free again


def test_the_command_follows_checks_and_says_what_it_did(world: World, tmp_path: Path) -> None:
    size = world.grow(2)
    pub = world.log.folder / "log.pub"
    run = ["witness", "run", "--data", str(tmp_path / "mine"), "--name", "mine.example", "--log", str(pub)]
    told = CliRunner().invoke(cli, [*run, "--follow", world.url, "--once", "--json"])
    row = json.loads(told.output.splitlines()[0])
    assert (told.exit_code, row["did"], row["size"], row["handed"]) == (3, "signed", size, False)  # not in the policy
    key = CliRunner().invoke(cli, ["witness", "key", "--data", str(tmp_path / "mine"), "--name", "mine.example"])
    assert key.output.strip() == (tmp_path / "mine" / "witness.pub").read_text().strip()
    with forked(world, size - 1, size, tmp_path / "fork") as url:
        told = CliRunner().invoke(cli, [*run, "--follow", url, "--once", "--json"])
    row = json.loads(told.output.splitlines()[0])
    assert (told.exit_code, row["did"]) == (1, "refused")
    assert Path(row["evidence"]).is_file()
    assert "roadcode witness evidence" in row["detail"]
    world.asking().turn(print)
    proof = tmp_path / "r.tlog-proof"
    proof.write_text(world.client.get("/log/tlog-proof/1").text)
    check = ["witness", "check", str(proof), "--policy", str(world.settings.witnesses)]
    assert CliRunner().invoke(cli, check).exit_code == 0
    assert parse_checkpoint(proof.read_text().partition("\n\n")[2]).size == size
    proof.write_text(proof.read_text().replace("index 1", "index 2"))
    assert CliRunner().invoke(cli, check).exit_code == 1
