"""`roadcode up` itself: killed, started again, started twice, stopped. Nothing is left, nothing is started twice."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx

from api.embedded import environment_of
from api.platform import PUMPS, enrol_here
from api.settings import Settings
from api.wiring import resolved
from ingest import City, Sender, encode

from ..roads import straight
from ..street import until
from .stream import line_of, processes_of, roadcode

SERVICES = {"postgres": "bin/postgres", "nats": "nats-server", "chain": "ledger.node"}


def named(home: Path) -> dict[str, int]:
    """Services and pumps of a data folder, by name, as the kernel knows them."""
    found: dict[str, int] = {}
    for pid, command in sorted(processes_of(home).items()):
        for name, mark in [*SERVICES.items(), *((p, f"api.cli {p}") for p in PUMPS)]:
            if mark in command:
                found.setdefault(name, pid)
    return found


def test_a_killed_platform_takes_its_pumps_along_and_the_next_one_uses_what_is_left(tmp_path: Path, city: City) -> None:
    home = tmp_path / "a home"
    environment = environment_of({"ROADCODE_HOME": str(home), "ROADCODE_PORT": "0", "ROADCODE_ANCHOR_EVERY_S": "0.5"})
    settings = Settings(home=home)
    with roadcode("up", environment=environment) as first:
        assert "http://127.0.0.1:" in line_of(first, "map at", 60)
        started = named(home)
        assert set(started) == {*SERVICES, *PUMPS}
        _, (credential,) = enrol_here(resolved(settings), [("late-box", "box")], "own")
        first.kill()
        assert first.wait(10) == -signal.SIGKILL
    until(lambda: set(named(home)) == set(SERVICES), 20, "the pumps ended with their platform")
    assert named(home) == {name: started[name] for name in SERVICES}

    payload = encode(straight(city, start_s=time.time() - 60))
    with Sender(credential) as sender:  # the broker lives on and keeps what it acknowledged
        sender.send(payload)
        assert sender.finish(0.5).waiting == 1
        with roadcode("up", environment=environment) as second:
            url = line_of(second, "map at", 60).split()[2]
            now = named(home)
            assert set(now) == {*SERVICES, *PUMPS}
            assert {name: now[name] for name in SERVICES} == {name: started[name] for name in SERVICES}
            assert sender.finish(30).accepted == 1

            with roadcode("up", environment=environment) as third:
                out, err = third.communicate(timeout=30)
            assert third.returncode == 2
            assert "map at" not in out
            assert len(err.strip().splitlines()) == 1
            assert f"pid {second.pid}" in err
            assert named(home) == now, "the one that was turned away touched nothing"

            assert httpx.get(f"{url}/api/v1/summary").json()["chunks"] == 1
            second.send_signal(signal.SIGTERM)
            out, err = second.communicate(timeout=60)
            assert (second.returncode, err) == (0, "")
            assert "stopped; the data is kept" in out
    assert processes_of(home) == {}


def test_ctrl_c_in_the_middle_of_the_start_leaves_no_process_either(tmp_path: Path) -> None:
    environment = environment_of({"ROADCODE_HOME": str(tmp_path / "home"), "ROADCODE_PORT": "0"})
    with roadcode("up", environment=environment) as process:
        until((tmp_path / "home" / "ports.json").exists, 60, "the services are being started")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert processes_of(tmp_path / "home") == {}
