"""The embedded database: starts anywhere, is reused, recovers from every kind of death, touches no stranger."""

import os
import random
import signal
import socket
import stat
from pathlib import Path

import psycopg
import pytest

from api.embedded.folder import FolderInUse, choose_port, open_folder, supervised
from api.embedded.postgres import Postgres
from api.embedded.processes import ServiceError, arguments_of, process


def port() -> int:
    return choose_port(None, set(), random.Random())


@pytest.fixture
def server(tmp_path):
    # Deep, with a space and an umlaut: a socket path would be too long, an unquoted one would break.
    postgres = Postgres(open_folder(tmp_path / ("deep " * 15) / "höhe"))
    yield postgres
    postgres.stop()
    assert postgres.found() is None


def test_starts_is_reused_and_stops(server):
    first = server.start(port())
    pid = server.found()[0].pid
    assert server.start(port()) == first, "a second start has the port of the running server"
    assert server.found()[0].pid == pid
    with psycopg.connect(server.url(first)) as connection:
        assert connection.execute("SHOW server_version_num").fetchone()[0].startswith("18")
        assert connection.execute("SHOW dynamic_shared_memory_type").fetchone()[0] == "mmap"
    command = " ".join(arguments_of(pid))
    assert server.folder.secret("postgres") not in command, "everybody may read arguments"


def test_only_our_password_enters(server):
    on = server.start(port())
    wrong = server.url(on).replace(server.folder.secret("postgres"), "guess")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(wrong)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"postgresql://road@127.0.0.1:{on}/road", passfile="/dev/null")
    assert stat.S_IMODE(server.folder.secret_file("postgres").stat().st_mode) == 0o600
    assert stat.S_IMODE(server.folder.home.stat().st_mode) & 0o066 == 0


def test_committed_rows_survive_kill_9(server):
    on = server.start(port())
    with psycopg.connect(server.url(on)) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    victim = server.found()[0]
    victim.send(signal.SIGKILL)
    assert victim.wait_gone(10)
    assert server.start(on) == on
    with psycopg.connect(server.url(on)) as connection:
        assert connection.execute("SELECT sum(n) FROM kept").fetchone()[0] == 500_500


def test_a_stale_pid_file_whose_pid_was_given_away_is_no_obstacle(server):
    on = server.start(port())
    victim = server.found()[0]
    victim.send(signal.SIGKILL)
    assert victim.wait_gone(10)
    stale = server.folder.postgres / "postmaster.pid"
    lines = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert server.found() is None, "this test is no database server"
    server.start(on)
    assert process(os.getpid()) is not None


def test_a_half_made_cluster_is_made_again(server):
    (server.folder.home / "postgres.new").mkdir()
    (server.folder.home / "postgres.new" / "PG_VERSION").write_text("18\n")
    server.folder.postgres.mkdir()
    assert server.answers(server.start(port()))


def test_a_server_that_refuses_our_password_is_left_alone(server):
    on = server.start(port())
    pid = server.found()[0].pid
    secret = server.folder.secret("postgres")
    server.folder.secret_file("postgres").write_text("0" * 64)
    stranger = Postgres(server.folder)
    with pytest.raises(ServiceError, match=f"pid {pid} .* is left alone"):
        stranger.start(on)
    with pytest.raises(ServiceError, match="is left alone"):
        stranger.stop()
    assert process(pid) is not None
    server.folder.secret_file("postgres").write_text(secret)


def test_a_port_is_kept_if_free_and_given_up_if_not():
    rng = random.Random(1)
    wanted = choose_port(None, set(), rng)
    assert choose_port(wanted, set(), rng) == wanted
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", wanted))
        taken.listen()
        assert choose_port(wanted, set(), rng) != wanted
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert wanted < max(low, 32_768), "a client's own port could be the server's"


def test_a_second_platform_is_told_the_pid_of_the_first(tmp_path):
    folder = open_folder(tmp_path / "home")
    with supervised(folder), pytest.raises(FolderInUse, match=f"pid {os.getpid()}"), supervised(folder):
        pass
    with supervised(folder):
        pass


def test_secrets_are_made_once_and_private(tmp_path):
    folder = open_folder(tmp_path / "home")
    first = folder.secret("x")
    assert len(first) == 64
    assert open_folder(tmp_path / "home").secret("x") == first
    assert [file.name for file in folder.secrets.iterdir()] == ["x"]
    assert stat.S_IMODE(folder.secrets.stat().st_mode) == 0o700
