"""Devices that may connect: each with a password of its own, which only its credential file holds."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from ingest import Credential, SenderError, read_credential, write_credential
from ingest import store as ingest_store

from .embedded import Broker, BrokerUser, hash_secret
from .plain_broker import note_password

RESERVED = ("backend", "worker")
"""Names under which the platform itself appears at the broker."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{2,40}")


class BadDeviceName(ValueError):
    """A name that no device may have; the text says what it should be."""


def enrol(
    conn: psycopg.Connection[Any],
    broker: Broker,
    folder: Path,
    devices: Sequence[tuple[str, str]],
    host: str,
    port: int,
) -> list[Credential]:
    """Enrols devices (name, kind) and writes their credentials to ``folder``; who has one keeps it, with the address
    of today. The broker learns of all of them at once."""
    for device, _ in devices:
        if not _NAME.fullmatch(device) or device in RESERVED:
            raise BadDeviceName(
                f"{device!r} cannot be a device's name: 3 to 41 lower-case letters, digits and hyphens, a letter or "
                f"digit first, and none of {', '.join(RESERVED)}"
            )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = {device for device, _ in ingest_store.device_hashes(conn)}
    credentials = []
    with conn.transaction():
        for device, kind in devices:
            path = folder / f"{device}.json"
            credential = _kept(path, device, kind, host, port) if device in known else None
            if credential is None:
                # 160 random bits each. The client id is secret too: who knows it can end the device's session.
                credential = Credential(device, kind, secrets.token_hex(20), secrets.token_hex(20), host, port)
                if not ingest_store.enrol(conn, device, kind, hash_secret(credential.password)):
                    raise BadDeviceName(f"{device} is enrolled as another kind, or was disabled: choose another name")
                note_password(conn, device, credential.password)
            write_credential(path, credential)
            credentials.append(credential)
        users = [BrokerUser(device, hashed) for device, hashed in ingest_store.device_hashes(conn)]
    broker.reload(users)
    return credentials


def _kept(path: Path, device: str, kind: str, host: str, port: int) -> Credential | None:
    try:
        old = read_credential(path)
    except SenderError:
        return None
    if (old.device, old.kind) != (device, kind):
        return None
    return Credential(device, kind, old.client_id, old.password, host, port)
