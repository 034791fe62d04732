"""Devices that may connect: each with a password of its own, which only its credential holds.

Whatever changes who is let in is committed first and told to the broker then: `Broker.refresh` reads the list anew.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import psycopg

from ingest import Credential, SenderError, devices, read_credential, write_credential
from ingest import store as ingest_store
from ledger import device_record, enqueue

from .embedded import Broker, BrokerUser, hash_secret
from .plain_broker import note_password

RESERVED = ("backend", "worker")
"""Names under which the platform itself appears at the broker."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{2,40}")
_NO_INVITATION = "an invitation is needed, and this one is none, is used up or too old: ask for a new one"
_LONGEST_PASSWORD = 64
"""Ours have 40 characters; bcrypt looks at no more than 72 bytes."""


class BadDeviceName(ValueError):
    """A name that no device may have; the text says what it should be."""


class NotInvited(ValueError):
    """A phone that may not enrol itself; the text says what it lacks."""


@dataclass(frozen=True)
class Address:
    """Where devices find the broker. ca: as in `Credential`."""

    host: str
    port: int
    ca: str | None = None


@dataclass(frozen=True)
class Door:
    """How phones come in by themselves. mode: off, invitation or open."""

    address: Address
    mode: str
    per_hour: float


def users(conn: psycopg.Connection[Any]) -> list[BrokerUser]:
    """Everybody whom the broker shall let in."""
    return [BrokerUser(device, hashed) for device, hashed in ingest_store.device_hashes(conn)]


def fresh(device: str, kind: str, address: Address) -> Credential:
    """A credential that nobody had before. 160 random bits each; the client id is secret too: who knows it can end the
    device's session."""
    return Credential(
        device, kind, secrets.token_hex(20), secrets.token_hex(20), address.host, address.port, address.ca
    )


def enrol(
    conn: psycopg.Connection[Any],
    broker: Broker,
    folder: Path,
    wanted: Sequence[tuple[str, str]],
    address: Address,
    origins: Sequence[str],
    told: Callable[[int], None] = lambda _n: None,
) -> list[Credential]:
    """Enrols devices (name, kind) and writes their credentials to ``folder``; who has one keeps it, with the address
    of today. Boxes that are let in or get another password are recorded, with the instance's ``origins``. The broker
    learns of all of them at once. ``told`` hears how many more are ready."""
    for device, _ in wanted:
        if not _NAME.fullmatch(device) or device in RESERVED:
            raise BadDeviceName(
                f"{device!r} cannot be a device's name: 3 to 41 lower-case letters, digits and hyphens, a letter or "
                f"digit first, and none of {', '.join(RESERVED)}"
            )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = dict(ingest_store.device_hashes(conn))

    def ready(one: tuple[str, str]) -> tuple[Credential, str | None]:
        device, kind = one
        path = folder / f"{device}.json"
        kept = _kept(path, device, kind, address, known[device]) if device in known else None
        credential = kept or fresh(device, kind, address)
        told(1)
        return credential, None if kept else hash_secret(credential.password)

    with ThreadPoolExecutor() as pool:  # bcrypt lets go of the interpreter
        made = list(pool.map(ready, wanted))
    with conn.transaction():
        for credential, hashed in made:
            if hashed:
                if not ingest_store.enrol(conn, credential.device, credential.kind, hashed):
                    raise BadDeviceName(
                        f"{credential.device} is enrolled as another kind, or was disabled: choose another name"
                    )
                note_password(conn, credential.device, credential.password)
        for step in ("granted", "renewed"):
            fresh_ones = [c for c, hashed in made if hashed and (c.device in known) == (step == "renewed")]
            _record(conn, step, [c.device for c in fresh_ones if c.kind == "box"], origins)
    for credential, _ in made:
        write_credential(folder / f"{credential.device}.json", credential)
    broker.refresh(lambda: users(conn))
    return [credential for credential, _ in made]


def _kept(path: Path, device: str, kind: str, address: Address, hashed: str) -> Credential | None:
    """The credential in a file, with the address of today, if it is still the one in force."""
    try:
        old = read_credential(path)
    except SenderError:
        return None
    if (old.device, old.kind) != (device, kind) or not _same(old.password, hashed):
        return None
    return Credential(device, kind, old.client_id, old.password, address.host, address.port, address.ca)


def _record(conn: psycopg.Connection[Any], step: str, boxes: Sequence[str], origins: Sequence[str]) -> None:
    """Records of boxes, in the caller's transaction and at the database's time. Phones have none: nobody's phone is
    named in the log."""
    if boxes:
        row = conn.execute("SELECT (extract(epoch FROM now()) * 1000)::bigint").fetchone()
        enqueue(conn, [device_record(box, step, int(row[0]) if row else 0, origins) for box in boxes])


def rotate(
    conn: psycopg.Connection[Any], broker: Broker, folder: Path, device: str, address: Address, origins: Sequence[str]
) -> Credential:
    """Gives a device a new credential, in ``folder``; the old one is worth nothing when this returns."""
    found = devices.device(conn, device)
    if found is None or found.disabled_at is not None:
        raise BadDeviceName(f"{device} is not enrolled, or was disabled: `roadcode device list` names those that are")
    credential = fresh(device, found.kind, address)
    renew(conn, credential, origins)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_credential(folder / f"{device}.json", credential)
    broker.refresh(lambda: users(conn))
    return credential


def renew(conn: psycopg.Connection[Any], credential: Credential, origins: Sequence[str]) -> None:
    """Puts a new credential in the place of a device's old one; of a box with a record. Raises BadDeviceName where it
    may not connect."""
    hashed = hash_secret(credential.password)
    with conn.transaction():
        if not devices.rotate(conn, credential.device, hashed):
            raise BadDeviceName(f"{credential.device} was disabled meanwhile")
        note_password(conn, credential.device, credential.password)
        _record(conn, "renewed", [credential.device] if credential.kind == "box" else [], origins)


def disable(
    conn: psycopg.Connection[Any], broker: Broker, names: Sequence[str], origins: Sequence[str]
) -> list[str]:
    """Shuts devices out for good: when this returns the worker refuses them and their sessions have ended; of boxes
    with a record. Gives those that were let in until now. Raises BadDeviceName, and does nothing, where one is
    unknown."""
    known = {name: devices.device(conn, name) for name in names}
    unknown = [name for name, found in known.items() if found is None]
    if unknown:
        raise BadDeviceName(f"{', '.join(unknown)}: no such device; `roadcode device list` names those there are")
    with conn.transaction():
        gone = devices.disable(conn, names)
        _record(conn, "revoked", [name for name in gone if (d := known[name]) and d.kind == "box"], origins)
    broker.refresh(lambda: users(conn))
    return gone


def check_invited(conn: psycopg.Connection[Any], door: Door, invitation: str | None) -> None:
    """Raises NotInvited for a phone that `enrol_phone` would not take; changes nothing."""
    if door.mode == "off":
        raise NotInvited("phones cannot enrol themselves here (ROADCODE_ENROLMENT=off)")
    if (invitation is not None or door.mode == "invitation") and not devices.is_invitation(conn, invitation or ""):
        raise NotInvited(_NO_INVITATION)


def enrol_phone(conn: psycopg.Connection[Any], door: Door, consent: str, invitation: str | None) -> Credential:
    """Enrols a phone that asked for it, under a random name. The broker is not told yet. Raises NotInvited."""
    check_invited(conn, door, invitation)
    credential = fresh(f"phone-{secrets.token_hex(8)}", "phone", door.address)
    hashed = hash_secret(credential.password)
    with conn.transaction():
        if (invitation is not None or door.mode == "invitation") and not devices.use_invitation(conn, invitation or ""):
            raise NotInvited(_NO_INVITATION)  # somebody was faster
        ingest_store.enrol(conn, credential.device, "phone", hashed)
        note_password(conn, credential.device, credential.password)
        devices.agree(conn, credential.device, consent)
    return credential


_NOBODY = "$2a$04$" + "." * 53
"""Compared with where there is no such device, so that an answer takes as long as where there is one."""


def is_device(conn: psycopg.Connection[Any], device: str, password: str) -> bool:
    """Whether this is the password in force of a device that may connect."""
    hashed = devices.password_hash(conn, device) if _NAME.fullmatch(device) else None
    same = _same(password, hashed or _NOBODY)
    return same and hashed is not None


def _same(password: str, hashed: str) -> bool:
    given = password.encode(errors="replace")
    if not 0 < len(given) <= _LONGEST_PASSWORD or b"\0" in given:
        given = b"no password of ours"
    return bcrypt.checkpw(given, hashed.encode())
