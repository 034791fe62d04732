"""`roadcode doctor`: advice that fits what is wrong, and one mind with /healthz."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api.commands.doctor import Finding, examine
from api.disk import ROOM_BYTES, DiskFull, check_room
from api.settings import Settings


def finding(settings: Settings, part: str) -> Finding:
    (one,) = (f for f in examine(settings) if f.part == part)
    return one


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"host": "0.0.0.0"}, "set ROADCODE_API_TOKEN"),  # noqa: S104
        ({"tls_cert": Path("cert.pem")}, "set both, or neither"),
        ({"mqtt_listen": "0.0.0.0:8883"}, "Set ROADCODE_TLS_CERT and ROADCODE_TLS_KEY"),
    ],
    ids=["no token", "half of TLS", "MQTT without TLS"],
)
def test_the_advice_is_of_what_is_open_and_not_always_the_token(
    tmp_path: Path, given: dict[str, Any], advice: str
) -> None:
    found = finding(Settings(home=tmp_path / "none", **given), "network")
    assert found.state == "fault"
    assert advice in found.says
    assert ("API_TOKEN" in found.says + found.do) == ("API_TOKEN" in advice)


def test_a_full_disk_under_the_database_alone_is_a_fault_for_doctor_as_for_healthz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "postgres").mkdir(parents=True)
    home.chmod(0o755)  # a lesser complaint must not hide the greater
    left = {home: 10 * ROOM_BYTES, home / "postgres": ROOM_BYTES - 1}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=left[path]))
    with pytest.raises(DiskFull, match="left for postgres") as told:
        check_room(home)
    found = finding(Settings(home=home), "data folder")
    assert (found.state, found.says) == ("fault", str(told.value))


def test_the_room_that_doctor_names_is_that_of_the_fullest_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "broker").mkdir(parents=True)
    home.chmod(0o700)
    left = {home: 500_000_000_000, home / "broker": 1_000_000_000}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=left[path]))
    found = finding(Settings(home=home), "data folder")
    assert (found.state, found.says) == ("warning", f"{home}, 1.0 GB free")
