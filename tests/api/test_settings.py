"""Settings: what is in force is shown, what is secret is not, and what is wrong is named in one line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from api import cli, wiring
from api.settings import Settings
from ingest import CityFileError

SECRET = "correct-horse-battery-staple"
SECRETS = {
    "ROADCODE_API_TOKEN": SECRET,
    "ROADCODE_DATABASE_URL": f"postgresql://road:{SECRET}@db.example/road",
    "ROADCODE_BROKER_URL": f"mqtts://worker:{SECRET}@broker.example",
    "ROADCODE_RPC_URL": f"https://chain.example/{SECRET}",
}


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ROADCODE_")]:
        monkeypatch.delenv(name)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["roadcode", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_settings_are_printed_and_secrets_are_stars(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flag: list[str]
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ROADCODE_PORT", "9123")
    assert run(monkeypatch, "settings", *flag) == 0
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert SECRET not in repr(Settings())
    if flag:
        shown = {row["setting"]: row["value"] for row in json.loads(said.out)}
        assert set(shown) == {f"ROADCODE_{name.upper()}" for name in Settings.model_fields}
        assert shown["ROADCODE_PORT"] == "9123"
        assert all(set(shown[name]) == {"*"} for name in SECRETS)


def test_secrets_reach_the_pumps_by_environment_and_come_out_as_they_went_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    given = Settings(port=9123, home=Path("/srv/a home"), fold_every_s=0.25)
    for name, value in wiring.environment(given).items():
        monkeypatch.setenv(name, value)
    assert Settings() == given


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROADCODE_PORT", "many"),
        ("ROADCODE_PORT", "70000"),
        ("ROADCODE_MQTT_PORT", "-1"),
        ("ROADCODE_BATCH_MOST", "0"),
        ("ROADCODE_FOLD_EVERY_S", "0"),
        ("ROADCODE_ANCHOR_EVERY_S", "nan"),
        ("ROADCODE_BATCH_AGE_S", "soon"),
        ("ROADCODE_BROKER_URL", "http://broker.example"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()
    assert run(monkeypatch, "settings") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    assert name in said.err


@pytest.mark.parametrize("name", ["ROADCODE_HOME", "ROADCODE_RECORDINGS", "ROADCODE_PORT", "ROADCODE_API_TOKEN"])
def test_an_empty_setting_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """`ROADCODE_HOME= make run` must not write the data of a city into whatever folder somebody stands in."""
    usual = Settings()
    monkeypatch.setenv(name, "")
    assert Settings() == usual


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fsck"], "no platform runs on"),
        (["verify", "12"], "no platform runs on"),
        (["replay", "/nowhere/at/all"], "no platform runs on"),
        (["device", "add", "box-1"], "no platform runs on"),
        (["device", "list"], "no platform runs on"),
    ],
)
def test_a_command_that_cannot_work_says_why_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], says: str
) -> None:
    monkeypatch.setenv("ROADCODE_HOME", str(tmp_path / "home"))
    assert run(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    assert says in said


@pytest.mark.parametrize("text", ["", "name = ", 'name = "x"\nsurprise = 1'])
def test_a_broken_city_file_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    city = tmp_path / "city.toml"
    city.write_text(text)
    monkeypatch.setenv("ROADCODE_CITY", str(city))
    monkeypatch.setenv("ROADCODE_HOME", str(tmp_path / "home"))
    assert run(monkeypatch, "up") == 2
    assert "CityFileError" in capsys.readouterr().err
    assert not (tmp_path / "home" / "postgres").exists(), "nothing is started for a city that cannot be read"


def test_a_platform_open_to_the_network_without_a_token_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ROADCODE_HOST", "0.0.0.0")  # noqa: S104  (that it is refused is the point)
    monkeypatch.setenv("ROADCODE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("api.platform._READY_S", 1.0)
    assert run(monkeypatch, "up") == 2
    assert "ROADCODE_API_TOKEN" in capsys.readouterr().err
    assert not (tmp_path / "home" / "postgres").exists()


def test_an_empty_token_is_none() -> None:
    given = Settings(host="192.0.2.1", api_token=SecretStr(""), database_url=SecretStr("postgresql://x"))
    with pytest.raises(wiring.NotConfigured, match="ROADCODE_API_TOKEN"):
        wiring.site(given)


def test_a_city_file_that_is_not_there_is_said_with_the_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(CityFileError, match="ROADCODE_CITY"):
        Settings(city=tmp_path / "nowhere.toml").read_city()
