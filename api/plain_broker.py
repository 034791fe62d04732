"""Devices at a plain broker: Mosquitto's files, made of what is enrolled."""

from __future__ import annotations

import os
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ingest import beats, mosquitto

from .embedded.folder import write_private
from .embedded.processes import arguments_of, process

PASSWORDS, ACCESS, OPTIONS = "roadcode.passwords", "roadcode.acl", "roadcode.conf"


class BadFolder(ValueError):
    """Files for Mosquitto cannot be written so that it would read them; the text says why."""


def note_password(conn: psycopg.Connection[Any], device: str, password: str) -> None:
    """Stores Mosquitto's hash of a device's new password. Call it after the other hash is stored."""
    beats.note_mosquitto(conn, device, mosquitto.password_hash(password, secrets.token_bytes(mosquitto.SALT_BYTES)))


@dataclass(frozen=True)
class Listener:
    """Where Mosquitto listens, and with which TLS."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None


def write_files(
    conn: psycopg.Connection[Any], folder: Path, worker: tuple[str, str], listener: Listener
) -> tuple[bool, int, list[str]]:
    """Writes the three files where they are not as they should be. worker: its user and password at the broker.

    Gives whether anything changed, how many devices may connect, and the devices that were enrolled before hashes for
    Mosquitto were kept: they must be given a new password. Raises BadFolder, OSError.
    """
    folder = folder.resolve()
    if any(c in str(folder) for c in "\n\r"):
        raise BadFolder("the folder's name has a line end in it, which mosquitto.conf cannot say")
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    known, without = beats.mosquitto_hashes(conn)
    user, password = worker
    if user in {device for device, _ in known}:
        raise BadFolder(f"the worker's user at the broker, {user}, is a device's name, too: choose another one")
    before = _read(folder / PASSWORDS).splitlines()
    # The worker's hash stays as it is while its password does, or each writing would be a change.
    mine = next((line.split(":", 1)[1] for line in before if line.startswith(f"{user}:")), "")
    if not _holds(mine, password):
        mine = mosquitto.password_hash(password, secrets.token_bytes(mosquitto.SALT_BYTES))
    texts = {
        PASSWORDS: mosquitto.password_file([(user, mine), *known]),
        ACCESS: mosquitto.access_file(user),
        OPTIONS: mosquitto.options_file(
            folder / PASSWORDS, folder / ACCESS, listener.host, listener.port, listener.certificate, listener.key
        ),
    }
    changed = False
    for name, text in texts.items():
        if _read(folder / name) != text:
            write_private(folder / name, text)
            _give_to(folder, folder / name)
            changed = True
    return changed, len(known), without


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _holds(hashed: str, password: str) -> bool:
    try:
        salt = mosquitto.salt_of(hashed)
    except ValueError:
        return False
    return secrets.compare_digest(mosquitto.password_hash(password, salt), hashed)


def _give_to(folder: Path, path: Path) -> None:
    """Mosquitto reads its files as the user it runs as; a folder that belongs to its group says which."""
    if os.geteuid() == 0 and folder.stat().st_gid:
        os.chown(path, -1, folder.stat().st_gid)
        path.chmod(0o640)


def tell(pid_file: Path) -> None:
    """Has the running Mosquitto read users and rights anew; sessions stay. Raises BadFolder where none is there."""
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError) as error:
        raise BadFolder(f"{pid_file} holds no pid ({type(error).__name__}): does Mosquitto run?") from None
    running = process(pid)
    if running is None or not any("mosquitto" in part for part in arguments_of(pid)[:1]):
        raise BadFolder(f"{pid_file} names {pid}, which is no Mosquitto: start it, or mend pid_file of mosquitto.conf")
    running.send(signal.SIGHUP)
