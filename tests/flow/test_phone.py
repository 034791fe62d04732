"""The reference client against a real platform: what it may send arrives once, whatever kills it in the middle."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

from api import consent, wiring
from api.embedded import environment_of
from api.recount import recount
from ingest import Outbox, Trimmed, decode, devices, read_credential

from ..ingest.test_recordings import write_drive
from ..street import ROOT, Street, settled, until


def start(street: Street, *arguments: str, said: IO[str] | None = None) -> subprocess.Popen[str]:
    """`roadcode phone` as its user starts it: with a city file, and without the platform's secrets."""
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli", "phone", *arguments, "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=said or subprocess.PIPE, text=True,
        env=environment_of({"ROADCODE_CITY": str(street.platform.settings.city)}),
    )  # fmt: skip


def finished(client: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = client.communicate(timeout=90)
    assert client.returncode == 0, out + err[-2000:]
    told: dict[str, Any] = json.loads(out)
    return told


def enrolled(street: Street, name: str) -> str:
    folder, _ = street.platform.enrol([(name, "phone")], "citizen")
    return str(folder / f"{name}.json")


def chunks_in(street: Street, device: str) -> list[Any]:
    with street.connect() as conn:
        rows = conn.execute("SELECT raw FROM chunk WHERE device = %s ORDER BY trip, seq", (device,)).fetchall()
    return [decode(bytes(raw)) for (raw,) in rows]


def waiting_in(folder: Path) -> int:
    """How many payloads lie in an outbox that nobody holds open."""
    with Outbox(folder) as outbox:
        return len(outbox)


def test_a_drive_arrives_without_its_ends_and_leaves_nothing_behind(street: Street, tmp_path: Path) -> None:
    drive = write_drive(tmp_path / "monday", seconds=200.0)
    told = finished(
        start(street, str(drive), "--outbox", str(tmp_path / "own"), "--speed", "0", "--credential",
              enrolled(street, "citizen-1"))
    )  # fmt: skip
    sent = chunks_in(street, "citizen-1")
    assert told["accepted"] == told["put"] == len(sent) > 5
    assert (told["refused"], told["waiting"]) == ({}, 0)
    assert told["kept_back"] * 5 >= 2 * 60
    assert told["recorded"] == told["kept_back"] + told["put"]
    assert {c.trimmed for c in sent} == {Trimmed(200.0, 60.0)}
    assert [c.seq for c in sent] == list(range(len(sent)))
    assert waiting_in(tmp_path / "own") == 0
    assert stat.S_IMODE((tmp_path / "own" / "outbox.sqlite").stat().st_mode) == 0o600


def test_killed_in_the_middle_it_goes_on_and_everything_counts_once(street: Street, tmp_path: Path) -> None:
    """Killed twice without warning, once with no platform in reach: the outbox holds what was recorded."""
    credential = Path(enrolled(street, "citizen-2"))
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps(json.loads(credential.read_text()) | {"port": 1}))
    elsewhere.chmod(0o600)
    own = tmp_path / "own"
    given = ("--outbox", str(own), "--passes", "6", "--seed", "5")

    def killed_after(n: int, path: Path, speed: str) -> None:
        with (tmp_path / f"said-{n}").open("w") as said:
            client = start(street, *given, "--credential", str(path), "--speed", speed, said=said)
        try:
            until(lambda: _put(tmp_path / f"said-{n}") >= n, 120, f"{n} chunks in the outbox")
        finally:
            client.send_signal(signal.SIGKILL)
            client.communicate(timeout=30)

    # Half an hour of driving in 40 s: slow enough to be met in the middle, also where the machine is busy.
    killed_after(5, elsewhere, "40")
    held = waiting_in(own)
    assert held >= 5, "nothing was delivered, all of it waits"
    killed_after(held + 10, credential, "40")
    assert chunks_in(street, "citizen-2"), "the second run had delivered some before it was killed"
    told = finished(start(street, *given, "--credential", str(credential), "--speed", "0"))
    sent = chunks_in(street, "citizen-2")
    assert told["put_before"] >= held + 10
    assert told["put_before"] + told["put"] == len(sent) == told["recorded"] - told["kept_back"]
    assert (told["refused"], told["waiting"]) == ({}, 0)
    assert len({c.trip for c in sent}) == 1
    assert [c.seq for c in sent] == list(range(len(sent)))
    starts = [c.start_s for c in sent]
    assert starts == sorted(set(starts))
    assert np.all(np.diff(starts) >= 0.5)
    assert waiting_in(own) == 0
    until(lambda: settled(street.platform), 60, "everything folded")
    with street.connect() as conn:
        assert recount(conn, street.city, wiring.EVIDENCE).exact


def _put(lines: Path) -> int:
    """How many chunks a running client says it has handed to its outbox."""
    found = re.findall(r"(\d+) for sending", lines.read_text())
    return int(found[-1]) if found else 0


def test_a_box_is_no_phone(street: Street, tmp_path: Path) -> None:
    folder, _ = street.platform.enrol([("no-phone", "box")], "citizen")
    client = start(street, "--outbox", str(tmp_path), "--credential", str(folder / "no-phone.json"))
    out, err = client.communicate(timeout=60)
    assert client.returncode == 2
    assert "is of a box" in err
    assert "Traceback" not in out + err
    assert read_credential(folder / "no-phone.json").kind == "box"


def test_a_phone_that_was_invited_enrols_itself_and_keeps_its_credential(street: Street, tmp_path: Path) -> None:
    code = "0123456789abcdefabcd"
    with street.connect() as conn:
        devices.invite(conn, code, 1, 600.0)
    own = tmp_path / "own"
    given = ("--outbox", str(own), "--passes", "1", "--speed", "0")
    wrong = start(street, *given, "--enrol", street.url, "--consent", consent.VERSION, "--invitation", "f" * 20)
    _, said = wrong.communicate(timeout=60)
    assert wrong.returncode == 2
    assert "not_invited" in said
    invited = ("--enrol", street.url, "--consent", consent.VERSION, "--invitation", code)
    told = finished(start(street, *given, *invited))
    name = read_credential(own / "credential.json").device
    assert told["accepted"] == told["put"] == len(chunks_in(street, name)) > 5
    assert stat.S_IMODE((own / "credential.json").stat().st_mode) == 0o600
    again = finished(start(street, *given, *invited))  # the code is used up: it is the credential that lets it in
    assert again["accepted"] == again["put"] > 0
    assert len({c.trip for c in chunks_in(street, name)}) == 2
