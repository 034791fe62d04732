"""The data folder: what lies where, ports, secrets, and that only one platform looks after it."""

import contextlib
import fcntl
import json
import os
import random
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"  # embedded services serve this machine only
PORT_NAMES = ("postgres", "nats", "mqtt", "websocket", "monitor", "chain")
LOWEST_PORT = 15_000  # below it live services with agreed ports, which may be installed later


class FolderInUse(Exception):
    """Another platform looks after this data folder; the text names its pid."""


@dataclass(frozen=True)
class DataFolder:
    """Paths under one data folder. Made by `open_folder`, which also makes the folders."""

    home: Path

    @property
    def postgres(self) -> Path:
        """The database cluster."""
        return self.home / "postgres"

    @property
    def broker(self) -> Path:
        """Configuration and message store of the broker."""
        return self.home / "broker"

    @property
    def chain(self) -> Path:
        """Blocks of the embedded chain."""
        return self.home / "chain"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.home / "logs"

    @property
    def secrets(self) -> Path:
        """One file per secret, 0600."""
        return self.home / "secrets"

    def secret_file(self, name: str) -> Path:
        """A file with a secret of 256 random bits (what the chain expects too), made at the first call."""
        path = self.secrets / name
        if not path.exists():
            # Linked into place when whole: a reader never sees half a secret, and of two writers one wins.
            new = self.secrets / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
            write_private(new, secrets.token_hex(32))
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(new)
            new.unlink()
        return path

    def secret(self, name: str) -> str:
        """The secret itself, hexadecimal (so that it needs no quoting in URLs and configuration files)."""
        return self.secret_file(name).read_text()

    def ports(self) -> dict[str, int]:
        """The ports used last, or none at all if that is not known."""
        try:
            known = json.loads((self.home / "ports.json").read_text())
        except (OSError, ValueError):
            return {}
        return {name: port for name, port in known.items() if name in PORT_NAMES and isinstance(port, int)}

    def remember_ports(self, ports: dict[str, int]) -> None:
        """So that a restart has the same addresses."""
        write_private(self.home / "ports.json", json.dumps(self.ports() | ports, indent=1))


def open_folder(home: Path) -> DataFolder:
    """The data folder at `home`, made (0700) if it is not there."""
    folder = DataFolder(home.resolve())
    folder.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in (folder.broker, folder.chain, folder.logs, folder.secrets):
        part.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_private(path: Path, text: str) -> None:
    """Write a file readable by its owner alone from its first moment, whole or not at all."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def port_is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT is no listener
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


def choose_port(remembered: int | None, taken: set[int], rng: random.Random) -> int:
    """The remembered port if free, else a free one outside the kernel's range for outgoing connections.

    Inside that range a client that retries while its server restarts can be given the server's own port and
    connect to itself; the server then never gets it back.
    """
    if remembered and remembered not in taken and port_is_free(remembered):
        return remembered
    try:
        upper = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        upper = 32_768
    if upper < LOWEST_PORT + 1000:  # a machine that lets clients have nearly all: above them, or anywhere
        upper = 32_768
    while True:
        port = rng.randrange(LOWEST_PORT, upper)
        if port not in taken and port_is_free(port):
            return port


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Wait for, then hold the lock `path`; the kernel lets go of it whatever becomes of us."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def supervised(folder: DataFolder) -> Iterator[None]:
    """Be the only platform that looks after this folder; FolderInUse names the other one's pid."""
    handle = os.open(folder.home / "platform.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
            raise FolderInUse(
                f"A platform already runs on {folder.home} (pid {pid}). Use that one, stop it with "
                f"`kill {pid}`, or give this one another folder: ROADCODE_HOME=... "
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
