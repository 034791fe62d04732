"""`roadcode simulate`: a folder of drives, the devices that a fleet needs, and errors that the simulator words."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.commands.simulate import _devices

ROOT = Path(__file__).parents[2]


def test_it_writes_a_folder_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # `python -m sensors_sim` is found from here, as the other commands' fleets are
    out = tmp_path / "drives"
    done = CliRunner().invoke(
        app,
        ["simulate", "--fleet", "boxes=1", "--hours", "0.15", "--jobs", "1", "--json", "--out", str(out)],
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert told["chunks"] == manifest["counts"]["chunks"] > 0
    assert manifest["arguments"]["fleet"]["boxes"] == 1


def test_what_is_no_fleet_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["simulate", "--fleet", "rockets=1", "--out", str(tmp_path / "x")])
    assert done.exit_code == 2
    assert CliRunner().invoke(app, ["simulate", "--fleet", "boxes=1", "--days", "2"]).exit_code == 2
    assert not (tmp_path / "x").exists()


def test_devices_of_a_fleet() -> None:
    devices = _devices("boxes=2, phones=1,sweepers=1,bikes=1,rockets=9,ebikes")
    assert devices == [
        ("city-box-0001", "box"), ("city-box-0002", "box"), ("city-phone-0001", "phone"), ("city-box-0003", "box"),
        ("city-phone-0002", "phone"),
    ]  # fmt: skip
