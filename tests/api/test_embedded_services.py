"""All services together: killed, watched, left behind, found again, stopped; and the pumps that must not stay."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import nats
import psycopg
import pytest

from api.embedded import (
    FolderInUse,
    Process,
    PumpCommand,
    PumpOptions,
    Pumps,
    ServiceError,
    embedded,
    environment_of,
    supervising,
)
from api.embedded.processes import DIRECT, bound_log, pause, process, started_with
from ingest import jetstream

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 20.0

# A platform in small: services, two pumps, until a signal comes. Says what runs, as one line of JSON.
PLATFORM = """
import json, random, sys
from pathlib import Path
from api.embedded import PumpCommand, PumpOptions, Pumps, environment_of, stop_signals, supervising

home = Path(sys.argv[1])
with stop_signals() as asked, supervising(home) as services:
    sleepers = [PumpCommand(name, ("sleep", sys.argv[2]), environment_of({})) for name in ("worker", "web")]
    pumps = Pumps(sleepers, services.folder.logs, PumpOptions(), random.Random())
    pumps.start()
    running = {**services.running(), **pumps.running()}
    print(json.dumps({name: [one.pid, one.started_tick] for name, one in running.items()}), flush=True)
    asked.wait()
    pumps.stop()
"""


def start_platform(home, mark):
    platform = subprocess.Popen(
        [sys.executable, "-c", PLATFORM, str(home), mark], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    line = platform.stdout.readline()
    return platform, {name: Process(*pair) for name, pair in json.loads(line).items()}


def end_platform(platform, number):
    platform.send_signal(number)
    with platform:
        return platform.wait(WAIT_S)


def until(happened, within_s=WAIT_S):
    """Wait for something no descriptor tells of."""
    for _ in range(int(within_s / 0.03)):
        if happened():
            return True
        pause()
    return False


def chain_id(rpc_url):
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
    with DIRECT.open(urllib.request.Request(rpc_url, call), timeout=5) as answer:  # noqa: S310
        return json.load(answer)["result"]


def waiting_chunks(broker):
    async def ask():
        client = await nats.connect(broker.nats_url, user=broker.backend_user, password=broker.backend_password)
        try:
            return (await client.jetstream().consumer_info(jetstream.STREAM, jetstream.CONSUMER)).num_pending
        finally:
            await client.close()

    return asyncio.run(ask())


def publish_directly(broker):
    async def send():
        client = await nats.connect(broker.nats_url, user=broker.backend_user, password=broker.backend_password)
        try:
            await client.jetstream().publish("$MQTT.msgs.rhc.v1.box-1.chunk", b"kept")
        finally:
            await client.close()

    asyncio.run(send())


def test_each_service_is_restarted_with_its_data_and_address(tmp_path):
    with supervising(tmp_path / "home") as services:
        where = services.services()
        with psycopg.connect(where.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        publish_directly(where.broker)
        identity = chain_id(where.rpc_url)
        for name, victim in services.running().items():
            victim.send(signal.SIGKILL)
            assert victim.wait_gone(WAIT_S), name
        restarted = []
        services.watch(restarted.append)
        assert sorted(restarted) == ["chain", "nats", "postgres"]
        assert services.services() == where
        with psycopg.connect(where.database_url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
        assert waiting_chunks(where.broker) == 1
        assert chain_id(where.rpc_url) == identity
        services.watch(restarted.append)
        assert len(restarted) == 3, "what runs is left alone"
        for secret in services.folder.secrets.iterdir():
            assert not started_with([secret.read_text().strip()])
        for file in services.folder.home.rglob("*"):
            assert file.is_symlink() or file.stat().st_mode & 0o077 == 0 or services.folder.postgres in file.parents
        running = services.running()
    assert not [name for name, one in running.items() if one.alive()], "nothing stays after a normal stop"


def test_services_outlive_a_killed_platform_and_are_used_again_but_pumps_do_not(tmp_path):
    home, mark = tmp_path / "a home", "86401.25"
    platform, before = start_platform(home, mark)
    with pytest.raises(FolderInUse, match=str(platform.pid)), embedded(home):
        pass
    assert end_platform(platform, signal.SIGKILL) == -signal.SIGKILL
    for name in ("worker", "web"):
        assert until(lambda name=name: not before[name].alive()), name
    with supervising(home) as services:
        assert services.running() == {name: before[name] for name in ("postgres", "nats", "chain")}
        assert chain_id(services.services().rpc_url)
    assert not [name for name, one in before.items() if one.alive()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything(tmp_path, number):
    mark = f"8640{int(number)}.5"
    platform, before = start_platform(tmp_path / "home", mark)
    assert set(before) == {"postgres", "nats", "chain", "worker", "web"}
    assert end_platform(platform, number) == 0
    assert not [name for name, one in before.items() if one.alive()]
    assert not started_with([mark])
    assert not started_with([str(tmp_path / "home" / "chain")])


def test_two_folders_do_not_meet_and_a_taken_port_is_left_to_its_owner(tmp_path):
    with embedded(tmp_path / "one") as one:
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "ports.json").write_text((tmp_path / "one" / "ports.json").read_text())
        with embedded(tmp_path / "two") as two:
            assert two.database_url != one.database_url
            assert two.broker.nats_port != one.broker.nats_port
            assert chain_id(one.rpc_url)
            assert chain_id(two.rpc_url)


def test_a_chain_that_does_not_know_our_token_is_left_alone(tmp_path, monkeypatch):
    with supervising(tmp_path / "home") as services:
        monkeypatch.setattr("api.embedded.chain.START_S", 0.5)
        token = services.folder.secret("chain")
        services.folder.secret_file("chain").write_text("0" * 64)
        pid = services.running()["chain"].pid
        with pytest.raises(ServiceError, match=f"pid {pid}"):
            services.chain.start(services.folder.ports()["chain"])
        assert process(pid) is not None
        services.folder.secret_file("chain").write_text(token)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def pumps_of(tmp_path, clock, *commands, **options):
    listed = [PumpCommand(name, command, environment_of({"GREETING": "hello"})) for name, command in commands]
    return Pumps(listed, tmp_path, PumpOptions(**options), random.Random(1), clock)


def test_a_dead_pump_waits_longer_each_time_and_little_again_once_healthy(tmp_path):
    clock = Clock()
    pumps = pumps_of(tmp_path, clock, ("dies", ("sh", "-c", "echo $GREETING")), first_wait_s=1.0, longest_wait_s=8.0)
    pumps.start()
    waits = []
    for lived_s in (0, 0, 0, 0, 0, 0, 100, 0):
        assert until(lambda: not pumps.running())
        clock.now_s += lived_s
        died_s = clock.now_s
        while not pumps.look():
            clock.now_s += 0.05
        waits.append(clock.now_s - died_s)
    for wait_s, most_s in zip(waits, (1, 2, 4, 8, 8, 8, 1, 2), strict=True):
        assert most_s / 2 <= wait_s <= most_s + 0.06
    assert pumps.restarts == {"dies": 8}
    assert until(lambda: (tmp_path / "dies.log").read_text() == "hello\n" * 9)
    pumps.stop()


def test_a_pump_that_does_not_listen_is_killed(tmp_path):
    ready = tmp_path / "stubborn.log"
    deaf = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    pumps = pumps_of(tmp_path, Clock(), ("polite", ("sleep", "1000")), ("stubborn", deaf), stop_within_s=0.3)
    pumps.start()
    assert until(lambda: ready.exists() and ready.read_text() == "ready\n")
    running = pumps.running()
    pumps.stop()
    assert len(running) == 2
    assert not [one for one in running.values() if one.alive()]
    assert pumps.look() == [], "what was stopped stays stopped"


def test_a_log_stays_within_its_bound_while_it_is_written(tmp_path):
    log = tmp_path / "x.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(100):
            writer.write(b"%099d\n" % number)
            bound_log(log, 1000)
        writer.write(b"last\n")
    assert log.read_bytes().endswith(b"last\n")
    assert log.stat().st_size + (tmp_path / "x.log.1").stat().st_size < 2500
    assert b"\0" not in log.read_bytes(), "the writer goes on at the new end, leaving no hole"


def test_a_process_is_told_from_a_later_one_with_its_pid():
    mine = process(os.getpid())
    assert mine.alive()
    impostor = Process(mine.pid, mine.started_tick - 1)
    assert not impostor.alive()
    impostor.send(signal.SIGKILL)  # or this test would be over
    assert impostor.wait_gone(0.1)
