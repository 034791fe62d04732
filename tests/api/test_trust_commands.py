"""`roadcode district`, `trust` and `hub`: what an operator types, from the first key to a revocation."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api import wiring
from api.cli import _named, app
from api.commands.doctor import examine
from api.settings import Settings
from api.trust_folder import STALE_S
from ingest import City
from ledger import NeedsFingerprint, parse

DAY = 86_400


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HUB_URL", "HUB_KEY", "DATABASE_URL"):
        monkeypatch.delenv(f"ROADCODE_{name}", raising=False)
    monkeypatch.setenv("ROADCODE_HOME", str(tmp_path / "var"))
    return tmp_path / "var"


def run(*words: str, ends_with: int = 0) -> Any:
    """What a command prints as JSON."""
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == ends_with, (done.output, done.exception)
    return json.loads(done.stdout)


def test_from_the_first_key_to_a_hub_s_list_and_back(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = run("district", "keys")
    assert key["state"] == "in force"
    assert home.stat().st_mode & 0o077 == 0, "made before the first start, and its owner's alone all the same"
    hub, file = str(tmp_path / "hub"), str(tmp_path / "keys.cbor")
    (made,) = run("hub", "init", "--folder", hub, "--name", "Union")
    (told,) = run("district", "export", "--out", file)
    assert told["fingerprint"] == key["fingerprint"]
    refused = CliRunner().invoke(app, ["hub", "add-district", file, "--folder", hub])
    assert isinstance(refused.exception, NeedsFingerprint)
    assert key["fingerprint"] in (_named(refused.exception) or "")
    run("hub", "add-district", file, "--folder", hub, "--fingerprint", key["fingerprint"])
    (shown,) = run("hub", "list", "--folder", hub)
    assert [(k["district"], k["key"]) for k in shown["keys"]] == [("330105", key["key"])]

    monkeypatch.setenv("ROADCODE_HUB_URL", "http://127.0.0.1:9")
    refused = CliRunner().invoke(app, ["trust", "update"])
    assert "roadcode trust pin" in (_named(refused.exception or Exception()) or "")
    assert run("trust", "pin", made["key"])[0]["fingerprint"] == made["fingerprint"]
    newest = max((tmp_path / "hub" / "public" / "lists").iterdir())
    assert run("trust", "update", "--file", str(newest))[0]["news"].startswith("new key")
    (now,) = run("trust", "show")
    assert (now["source"], now["number"], now["keys"][0]["key"]) == ("hub", 2, key["key"])
    assert now["complaint"] is None

    (fresh,) = run("district", "rotate", "--in-days", "2")
    assert fresh["state"] == "announced"
    ours = run("district", "revoke", key["key"], "--why", "laptop stolen")
    assert [k["state"] for k in ours] == ["revoked", "announced", "in force"]
    (gone,) = run("hub", "revoke", key["key"], "--why", "their call", "--folder", hub)
    assert gone["list"] == 3
    assert run("hub", "list", "--folder", hub)[0]["keys"][0]["why"] == "their call"
    seeds = [p.read_text().strip() for p in home.rglob("*.key")]
    assert len(seeds) == 2
    said = json.dumps([key, fresh, ours, now, told, made, shown])
    assert not [seed for seed in seeds if seed in said]


def test_doctor_tells_of_a_key_that_ends_and_of_a_list_that_is_old(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(part: str) -> list[tuple[str, str]]:
        return [(f.state, f.says) for f in examine(Settings()) if f.part == part]

    assert said("district key") == [], "a folder that was never started has no key, and doctor makes none"
    assert said("trust list") == []
    made = wiring.district_keys(Settings())
    now_s = time.time()
    made.current(now_s - 710 * DAY)
    assert said("district key") == [("warning", "20 days left")]
    made.rotate(now_s)
    assert said("district key") == [("ok", "730 days left")]

    run("hub", "init", "--folder", str(tmp_path / "hub"), "--name", "Union")
    key = run("hub", "list", "--folder", str(tmp_path / "hub"))[0]["key"]
    monkeypatch.setenv("ROADCODE_HUB_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ROADCODE_HUB_KEY", key)
    assert said("trust list")[0][0] == "warning"
    run("trust", "update", "--file", str(next((tmp_path / "hub" / "public" / "lists").iterdir())))
    assert said("trust list")[0][0] == "ok"
    known = wiring.trust(Settings())
    assert "does not" not in (known.complaint(time.time()) or "")
    assert "answered" in (known.complaint(time.time() + STALE_S + 60) or "")


@pytest.mark.parametrize("key", ["", "abc", "g" * 64, "AB" * 32, "ab" * 31])
def test_a_hub_s_key_that_is_none_is_refused_at_the_start(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADCODE_HUB_KEY", key)
    if not key:
        assert Settings().hub_key is None
        return
    with pytest.raises(ValueError, match="64 hex digits"):
        Settings()


@pytest.mark.parametrize("url", ["ftp://hub", "hub.example.org", "file:///etc/passwd"])
def test_a_hub_is_asked_over_http_alone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADCODE_HUB_URL", url)
    with pytest.raises(ValueError, match="pattern"):
        Settings()


def test_keys_and_lists_that_were_taken_are_told_to_the_log_once(
    home: Path, database: str, city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two districts that took lists of one number with different hashes can find out: both logs say which."""
    run("hub", "init", "--folder", str(tmp_path / "hub"), "--name", "Union")
    key = run("hub", "list", "--folder", str(tmp_path / "hub"))[0]["key"]
    monkeypatch.setenv("ROADCODE_HUB_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ROADCODE_HUB_KEY", key)
    monkeypatch.setenv("ROADCODE_DATABASE_URL", database)
    run("trust", "update", "--file", str(next((tmp_path / "hub" / "public" / "lists").iterdir())))
    settings = Settings()
    keys = wiring.district_keys(settings)
    keys.current(time.time())
    held, _ = wiring.trust(settings).in_force(time.time())
    with wiring.database(settings) as conn:
        for expected in (2, 0):
            with conn.transaction():
                assert wiring.trust(settings).tell(conn, city.origins, time.time()) == expected
        bodies = [parse(bytes(row[0])) for row in conn.execute("SELECT body FROM outbox ORDER BY id")]
    assert [(b["kind"], b["step"], b["issuer"]) for b in bodies] == [
        ("key", "issued", "330105"), ("key", "trust_list", "Union"),
    ]  # fmt: skip
    assert bodies[1]["why"] == {"number": 1, "sha256": bytes.fromhex(held.sha256)}
