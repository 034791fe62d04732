"""Services that are not ours: checked before anything is used, never started, named when they cannot be used."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nats
import psycopg
import pytest
from pydantic import SecretStr

from api import cli, heartbeat, outside, wiring
from api.commands.doctor import examine
from api.commands.mosquitto import write
from api.embedded import Broker, BrokerAddress, open_folder
from api.embedded.folder import choose_port
from api.heartbeat import Heartbeat
from api.outside import OutsideError
from api.plain_broker import ACCESS, OPTIONS, PASSWORDS, BadFolder, note_password, tell
from api.platform import running
from api.run import run_platform
from api.settings import Settings
from ingest import beats, jetstream, mosquitto
from ingest import store as ingest_store

from ..mosquitto import mosquitto_with, needs_mosquitto

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as one:
        yield one


# ---------------------------------------------------------------- the database


def test_a_database_says_its_version(database: str) -> None:
    assert outside.check_database(database).startswith("PostgreSQL 18")


def test_one_that_is_too_old_is_refused_with_the_setting_to_mend(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "POSTGRES_LEAST", 19)
    with pytest.raises(OutsideError, match=r"ROADCODE_DATABASE_URL is PostgreSQL 18; 19 or newer .* embedded one"):
        outside.check_database(database)


@pytest.mark.parametrize(
    "url",
    [f"postgresql://road:{SECRET}@127.0.0.1:1/road", f"{SECRET} and more", f"postgresql://road:{SECRET}@127.0.0.1:x/r"],
)
def test_one_that_is_not_there_is_named_without_its_password(url: str) -> None:
    with pytest.raises(OutsideError, match="ROADCODE_DATABASE_URL") as told:
        outside.check_database(url)
    assert SECRET not in str(told.value)


# ---------------------------------------------------------------- NATS


@pytest.fixture
def nats_address(tmp_path: Path) -> Iterator[BrokerAddress]:
    """A NATS to which nobody has ever connected by MQTT."""
    server = Broker(open_folder(tmp_path / "theirs"))
    taken: set[int] = set()
    for _ in Broker.ports:
        taken.add(choose_port(None, taken, random.SystemRandom()))
    address = server.start(dict(zip(Broker.ports, sorted(taken), strict=True)))
    server.stop()
    shutil.rmtree(tmp_path / "theirs" / "broker" / "store")
    server._wait_ready(server._launch(), address)
    yield address
    server.stop()


def settings_of(address: BrokerAddress, **more: object) -> Settings:
    url = f"nats://{address.backend_user}:{address.backend_password}@{address.host}:{address.nats_port}"
    return Settings(broker_url=SecretStr(url), **more)  # type: ignore[arg-type]


def test_an_outside_nats_gets_its_store_and_our_consumer_before_it_is_used(nats_address: BrokerAddress) -> None:
    async def consumer() -> str:
        client = await nats.connect(
            nats_address.nats_url, user=nats_address.backend_user, password=nats_address.backend_password
        )
        try:
            return (await client.jetstream().consumer_info(jetstream.STREAM, jetstream.CONSUMER)).name
        finally:
            await client.close()

    with pytest.raises(OutsideError, match="ROADCODE_MQTT_PORT"):
        outside.check_broker(settings_of(nats_address))
    said = outside.check_broker(settings_of(nats_address, mqtt_port=nats_address.mqtt_port))
    assert said == f"NATS 2.15.1 at nats://127.0.0.1:{nats_address.nats_port}"
    assert asyncio.run(consumer()) == jetstream.CONSUMER
    outside.reach_broker(settings_of(nats_address))


def test_a_broker_that_does_not_let_us_in_or_is_none_is_named_without_the_password(
    nats_address: BrokerAddress,
) -> None:
    for url in (
        f"nats://backend:{SECRET}@127.0.0.1:{nats_address.nats_port}",
        f"mqtt://worker:{SECRET}@127.0.0.1:{nats_address.nats_port}",
        f"mqtt://worker:{SECRET}@127.0.0.1:1",
    ):
        with pytest.raises(OutsideError, match="ROADCODE_BROKER_URL") as told:
            outside.check_broker(Settings(broker_url=SecretStr(url)))
        assert SECRET not in str(told.value)
    with pytest.raises(ConnectionRefusedError):
        outside.reach_broker(Settings(broker_url=SecretStr("nats://127.0.0.1:1")))


# ---------------------------------------------------------------- a platform among them


@needs_mosquitto
def test_only_what_is_still_needed_is_started_and_the_rest_is_said_to_be_outside(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mosquitto_with(tmp_path / "broker", []) as broker:
        given = Settings(
            home=tmp_path / "home", port=0, database_url=SecretStr(database), broker_url=SecretStr(broker.address)
        )
        said: list[str] = []
        started: list[str] = []
        monkeypatch.setattr("api.run._watch", lambda platform, *_: started.extend(platform.services.running()))
        monkeypatch.setattr("api.run.running", lambda settings: running(settings, pumps=()))
        run_platform(given, False, said.append)
        port = psycopg.conninfo.conninfo_to_dict(database)["port"]
        assert said[0] == (
            f"starting chain ...   outside: database 127.0.0.1:{port}, broker mqtt://127.0.0.1:{broker.port}"
        )
        assert started == ["chain"]
        with running(given, pumps=()) as platform:
            assert platform.look() == []
            assert set(platform.services.running()) == {"chain"}
            assert not (tmp_path / "home" / "postgres").exists()
            # Devices are enrolled as ever; where they connect is Mosquitto.
            _, (credential,) = platform.enrol([("out-box", "box")], "own")
            assert (credential.host, credential.port) == ("127.0.0.1", broker.port)
            found = {f.part: f for f in examine(given)}
        assert {name for name, f in found.items() if f.state == "ok"} == {
            "set-up", "data folder", "city", "network", "platform", "database", "tables", "clock", "broker", "chain",
        }  # fmt: skip
        assert {name for name, f in found.items() if f.state == "fault"} == set(heartbeat.PUMPS)
        assert found["broker"].says == f"MQTT 5 at mqtt://127.0.0.1:{broker.port}"


def test_a_platform_does_not_start_on_what_it_cannot_use_and_leaves_nothing_behind(tmp_path: Path) -> None:
    url = SecretStr(f"postgresql://road:{SECRET}@127.0.0.1:1/road")
    given = Settings(home=tmp_path / "home", port=0, database_url=url, broker_url=SecretStr("mqtt://127.0.0.1:1"))
    with pytest.raises(OutsideError, match="ROADCODE_DATABASE_URL"), running(given, pumps=()):
        pass
    assert wiring.embedded_names(given) == ("chain",)
    with pytest.raises(wiring.NotRunning):
        wiring.resolved(given)


def test_an_outside_chain_wants_the_key_of_who_may_deploy(tmp_path: Path) -> None:
    with running(Settings(home=tmp_path / "one", port=0), pumps=()) as platform:
        given = Settings(
            home=tmp_path / "two", database_url=platform.settings.database_url,
            broker_url=platform.settings.broker_url, rpc_url=platform.settings.rpc_url,
        )  # fmt: skip
        with pytest.raises(OutsideError, match=r"0600\), into .*two/secrets/chain-admin"), running(given, pumps=()):
            pass
        (tmp_path / "two" / "secrets").mkdir(exist_ok=True)
        key = (tmp_path / "one" / "chain" / "genesis.key").read_text()
        (tmp_path / "two" / "secrets" / "chain-admin").write_text(key)
        with running(given, pumps=()) as second:
            assert second.services.running() == {}
            assert second.services.services().rpc_url is None


def test_doctor_where_nothing_runs_says_how_to_start_and_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["roadcode", "doctor", "--home", str(tmp_path / "none"), "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    rows = {row["part"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["platform"]["state"], rows["set-up"]["state"]) == ("warning", "ok")
    assert "roadcode up" in rows["platform"]["do"]


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("ROADCODE_DATABASE_URL", f"postgresql://road:{SECRET}@127.0.0.1:1/road", "database"),
        ("ROADCODE_BROKER_URL", f"mqtt://worker:{SECRET}@127.0.0.1:1", "broker"),
        ("ROADCODE_RPC_URL", f"http://127.0.0.1:1/{SECRET}", "chain"),
        ("ROADCODE_CITY", "/nowhere/city.toml", "city"),
    ],
)
def test_doctor_names_what_is_wrong_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str,
    part: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["roadcode", "doctor", "--home", str(tmp_path / "none"), "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    assert end.value.code == 1
    assert [row["part"] for row in json.loads(said.out) if row["state"] == "fault"] == [part]
    assert SECRET not in said.out + said.err


# ---------------------------------------------------------------- heartbeats


def test_a_pump_is_well_waiting_silent_or_not_there(conn: psycopg.Connection, database: str) -> None:
    assert heartbeat.told(conn) == dict.fromkeys(heartbeat.PUMPS, "does not run")
    clock = iter(range(0, 1000, 10)).__next__
    heart = Heartbeat(lambda: psycopg.connect(database, autocommit=True), "worker", lambda: float(clock()))
    heart.beat()
    assert heartbeat.told(conn)["worker"] == "is starting"
    heart.say("")
    heart.beat()
    assert heartbeat.told(conn)["worker"] == "ok"
    heart.say("the broker is away")
    heart.beat()
    assert heartbeat.told(conn)["worker"] == "the broker is away"
    beats.beat(conn, "worker", "another", "")
    assert heartbeat.told(conn)["worker"] == "ok", "one of several is enough"
    conn.execute("UPDATE heartbeat SET at = now() - interval '20 s'")
    assert "no sign of life for 20 s" in heartbeat.told(conn)["worker"]
    heart.end()
    assert [instance for _, instance, _, _ in beats.beats(conn)] == ["another"]
    conn.execute("UPDATE heartbeat SET at = now() - interval '2 hours'")
    beats.beat(conn, "worker", "third", "")
    assert [instance for _, instance, _, _ in beats.beats(conn)] == ["third"], "who ended long ago is forgotten"


def test_a_commit_that_hangs_is_told(conn: psycopg.Connection, database: str) -> None:
    now_s = 0.0
    heart = Heartbeat(lambda: psycopg.connect(database, autocommit=True), "worker", lambda: now_s)
    heart.say("")

    def handle(_arrived: list[object]) -> list[object]:
        nonlocal now_s
        now_s += 40
        heart.beat()
        return []

    heart.watched(handle)([])  # type: ignore[arg-type]
    assert heartbeat.told(conn)["worker"] == "has been working for 40 s"
    now_s += 10
    heart.beat()
    assert heartbeat.told(conn)["worker"] == "ok"
    heart.end()


def test_a_heart_without_a_database_says_nothing_and_goes_on() -> None:
    heart = Heartbeat(lambda: psycopg.connect("postgresql://127.0.0.1:1/x", connect_timeout=1), "coder")
    heart.beat()
    heart.end()


# ---------------------------------------------------------------- roadcode mosquitto


def enrolled(conn: psycopg.Connection, device: str, password: str | None) -> None:
    ingest_store.enrol(conn, device, "box", f"hash of {device}")
    if password:
        note_password(conn, device, password)


def test_the_files_hold_who_may_connect_and_nobody_else(
    conn: psycopg.Connection, database: str, tmp_path: Path
) -> None:
    enrolled(conn, "box-1", "one")
    enrolled(conn, "box-2", "two")
    enrolled(conn, "old-box", None)
    conn.execute("UPDATE device SET disabled_at = now() WHERE id = 'box-2'")
    given = Settings(
        home=tmp_path / "home", database_url=SecretStr(database), rpc_url=SecretStr("http://127.0.0.1:1"),
        broker_url=SecretStr(f"mqtt://worker:{SECRET}@127.0.0.1:1883"),
    )  # fmt: skip
    folder = tmp_path / "files"
    (done,) = write(given, folder, "127.0.0.1:1884", None, None, None, 0.0)
    assert (done["changed"], done["devices"], done["need a new password"]) == (True, 1, "old-box")
    users = dict(line.split(":") for line in (folder / PASSWORDS).read_text().splitlines())
    assert set(users) == {"worker", "box-1"}
    for user, password in (("worker", SECRET), ("box-1", "one")):
        assert users[user] == mosquitto.password_hash(password, mosquitto.salt_of(users[user]))
    assert "user worker" in (folder / ACCESS).read_text()
    assert "listener 1884 127.0.0.1" in (folder / OPTIONS).read_text()
    assert all((folder / name).stat().st_mode & 0o077 == 0 for name in (PASSWORDS, ACCESS, OPTIONS))
    (again,) = write(given, folder, "127.0.0.1:1884", None, None, None, 0.0)
    assert again["changed"] is False, "the worker's hash stays while its password does"
    other = given.model_copy(update={"broker_url": SecretStr("mqtt://worker:new@127.0.0.1:1883")})
    (third,) = write(other, folder, "127.0.0.1:1884", None, None, None, 0.0)
    assert third["changed"] is True


def test_again_and_again_only_changes_are_written(conn: psycopg.Connection, database: str, tmp_path: Path) -> None:
    given = Settings(
        home=tmp_path / "home", database_url=SecretStr(database), rpc_url=SecretStr("http://127.0.0.1:1"),
        broker_url=SecretStr(f"mqtt://worker:{SECRET}@127.0.0.1:1883"),
    )  # fmt: skip
    turns = write(given, tmp_path / "files", "127.0.0.1:1884", None, None, None, 0.05)
    assert next(turns)["devices"] == 0
    enrolled(conn, "box-1", "one")
    enrolled(conn, "box-2", "two")
    done = next(turns)
    assert (done["changed"], done["devices"]) == (True, 2)
    turns.close()


@pytest.mark.parametrize(
    ("listen", "says"), [("0.0.0.0:1883", "open to the network"), ("1883", "HOST:PORT"), ("h:0", "HOST:PORT")]
)
def test_a_listener_open_to_the_network_wants_tls(listen: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadFolder, match=says):
        next(write(Settings(home=tmp_path), tmp_path, listen, None, None, None, 0.0))


def test_only_a_mosquitto_is_told_to_read_anew(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(BadFolder, match="holds no pid"):
        tell(pid)
    pid.write_text("1\n")
    with pytest.raises(BadFolder, match="no Mosquitto"):
        tell(pid)
