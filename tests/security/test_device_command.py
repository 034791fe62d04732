"""`roadcode device` as an operator uses it, on a platform that runs."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from api import cli, wiring
from ingest import read_credential

from .fort import WAIT_S, Fort, let_in, session


@pytest.fixture
def run(fort: Fort, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command with the platform's settings; gives its JSON, or its error."""
    for name, value in wiring.environment(fort.platform.settings).items():
        if name.startswith("ROADCODE_"):
            monkeypatch.setenv(name, value)

    def command(*arguments: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["roadcode", *arguments, "--json"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return json.loads(said.out) if not end.value.code else (end.value.code, said.err)

    return command


def test_a_device_s_life_from_added_to_disabled(fort: Fort, run: Any) -> None:
    first, second = run("device", "add", "life-box", "life-box-2", "life-box")
    path = Path(first["credential"])
    assert (first["device"], first["kind"], stat.S_IMODE(path.stat().st_mode)) == ("life-box", "box", 0o600)
    old = read_credential(path)
    assert old.ca == fort.ca.read_text()
    assert let_in(old)
    assert run("device", "add", "life-box")[0]["credential"] == str(path)
    assert read_credential(path) == old, "who is there keeps the password"

    listed = {row["device"]: row for row in run("device", "list", "--kind", "box")}
    assert (listed["life-box"]["state"], listed["life-box"]["rotated"]) == ("let in", None)
    assert listed["life-box"]["enrolled"]

    with session(old) as one:
        assert one.connected.get(timeout=WAIT_S)
        run("device", "rotate", "life-box")
        assert one.ended.wait(WAIT_S)
    new = read_credential(path)
    assert new.password != old.password
    assert not let_in(old)
    assert let_in(new)
    write = path.write_text(path.read_text().replace(new.password, old.password))
    assert write
    run("device", "add", "life-box")
    assert let_in(read_credential(path)), "a file with a password that is no longer in force is made anew"

    assert run("device", "disable", "life-box", "life-box-2") == [
        {"device": "life-box", "became": "shut out now"}, {"device": "life-box-2", "became": "shut out now"},
    ]  # fmt: skip
    assert run("device", "disable", "life-box")[0]["became"] == "was shut out before"
    listed = {row["device"]: row for row in run("device", "list")}
    assert listed["life-box"]["state"] == "disabled"
    assert listed["life-box"]["disabled"]
    assert not let_in(read_credential(path))
    assert read_credential(Path(second["credential"])).device == "life-box-2"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("disable", "nobody-here"), "no such device"), (("rotate", "nobody-here"), "roadcode device list"),
        (("add", "No Name"), "lower-case letters"), (("add", "backend"), "none of backend"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line(run: Any, arguments: tuple[str, ...], says: str) -> None:
    code, said = run("device", *arguments)
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert says in said


def test_a_disabled_device_comes_back_under_no_kind(fort: Fort, run: Any) -> None:
    run("device", "add", "gone-box")
    run("device", "disable", "gone-box")
    for more in ((), ("--kind", "phone")):
        code, said = run("device", "add", "gone-box", *more)
        assert (code, "choose another name" in said) == (2, True)
    code, said = run("device", "rotate", "gone-box")
    assert (code, "disabled" in said) == (2, True)


def test_an_invitation_enrols_as_many_phones_as_it_says(fort: Fort, run: Any) -> None:
    (made,) = run("device", "invite", "--uses", "2", "--days", "1")
    with fort.http(headers={"X-Forwarded-For": "192.0.2.99"}) as client:
        told = [
            client.post("/api/v1/devices", json={"consent": "1", "invitation": made["invitation"]}).status_code
            for _ in range(3)
        ]
    assert told == [201, 201, 403]


def test_a_certificate_of_one_s_own_is_made_with_the_settings_that_use_it(tmp_path: Path, run: Any) -> None:
    told = run("tls", "self-signed", "--host", "192.0.2.7", "--home", str(tmp_path))
    rows = {row["setting"]: row["value"] for row in told}
    assert rows["ROADCODE_MQTT_HOST"] == "192.0.2.7"
    assert {Path(rows[f"ROADCODE_TLS_{part}"]).name for part in ("CERT", "KEY", "CA")} == {
        "server.pem", "server.key", "ca.pem",
    }  # fmt: skip
