"""The outside mall: the key that we share with it, and signed messages to the one address that a setting names.

A message is sent again, byte for byte, until the mall answers 2xx: at least once, under the same key. Nothing of what
the mall answers is read or kept but its status, and no redirect is followed: it goes where the setting says.
"""

from __future__ import annotations

import asyncio
import hmac
import http.client
import json
import os
import random
import secrets
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import structlog
from psycopg_pool import ConnectionPool

from ledger import redemption

from .embedded import is_loopback

Connection = psycopg.Connection[Any]

_SHORTEST: Final = 32
_WAIT_S: Final = 10.0
"""For each step of a connection. Shorter and a mall that works over a slow line never answers in time; longer and one
that hangs holds up the other messages."""
_DEADLINE_S: Final = 20.0
"""For all of it, also where the far end sends a byte now and then."""


class MallError(ValueError):
    """The mall's key file or address cannot be used; the text says what to do."""


@dataclass(frozen=True)
class MallKey:
    """token: with which the mall asks us. signing: with which we sign what we tell it."""

    token: str = field(repr=False)
    signing: str = field(repr=False)


@dataclass(frozen=True)
class Mall:
    """Where the mall listens, if anywhere, and the key."""

    key: MallKey
    url: str | None = None


def new_key(path: Path) -> None:
    """Writes a fresh key into a new file that only its owner can read. Raises MallError where there is one."""
    text = json.dumps({"token": secrets.token_urlsafe(32), "signing": secrets.token_urlsafe(32)}, indent=1)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        why = f"{path} is there already: name a new file; the old key holds until the setting changes"
        raise MallError(why) from None
    with os.fdopen(handle, "w") as file:
        file.write(text + "\n")


def read_key(path: Path) -> MallKey:
    """The key of a file. Raises MallError."""
    try:
        if path.stat().st_mode & 0o077:
            raise MallError(f"{path} can be read by others than its owner: chmod 600 it, and make a new key")
        content = json.loads(path.read_text())
        token, signing = content["token"], content["signing"]
        if not (isinstance(token, str) and isinstance(signing, str) and min(len(token), len(signing)) >= _SHORTEST):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, MallError):
            raise
        raise MallError(f"{path} holds no key of a mall: make one with `roadcode points mall --new-key FILE`") from None
    return MallKey(token, signing)


def check_url(url: str) -> str:
    """The address, if messages may go there: https, or http on this machine. Raises MallError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise MallError("ROADCODE_MALL_URL is no address: https://mall.example.org/roadcode") from None
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not (plain or parts.scheme == "https") or not parts.hostname or port == 0:
        raise MallError("ROADCODE_MALL_URL is https://HOST/PATH; http only where HOST is this machine")
    if parts.username or parts.password or parts.fragment:
        raise MallError("ROADCODE_MALL_URL holds no user, password or #: the signature says who sends")
    return url


def is_mall(key: MallKey, given: str) -> bool:
    """Whether this is the mall's token; takes as long whatever is given."""
    return hmac.compare_digest(given.encode(errors="replace"), key.token.encode())


def signature(signing: str, at_s: int, body: bytes) -> str:
    """What stands in `Roadcode-Signature`: the moment of sending, and an HMAC-SHA256 over it, a dot and the body."""
    told = hmac.digest(signing.encode(), f"{at_s}.".encode() + body, "sha256").hex()
    return f"t={at_s},v1={told}"


def verify(signing: str, header: str, body: bytes, now_s: float, within_s: float = 300.0) -> bool:
    """For receivers: whether a message is ours and was sent within five minutes. An older one may be a replay."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    try:
        at_s = int(parts.get("t", ""))
    except ValueError:
        return False
    same = hmac.compare_digest(signature(signing, at_s, body).encode(), header.strip().encode(errors="replace"))
    return same and abs(now_s - at_s) <= within_s


def send(mall: Mall, key: str, body: bytes, now_s: float, wait_s: float = _WAIT_S, most_s: float = _DEADLINE_S) -> str:
    """Sends one message; empty where the mall took it, else what went wrong, without a word of the mall's."""
    if mall.url is None:
        return "no address is set"
    parts = urlsplit(check_url(mall.url))
    host = parts.hostname or ""
    line: http.client.HTTPConnection
    if parts.scheme == "https":
        line = http.client.HTTPSConnection(host, parts.port, timeout=wait_s, context=ssl.create_default_context())
    else:
        line = http.client.HTTPConnection(host, parts.port, timeout=wait_s)
    headers = {
        "Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "road-health-code",
        "Roadcode-Signature": signature(mall.key.signing, int(now_s), body),
    }  # fmt: skip

    def cut() -> None:
        if line.sock is not None:
            line.sock.shutdown(socket.SHUT_RDWR)

    late = threading.Timer(most_s, cut)
    late.daemon = True
    try:
        late.start()
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line.request("POST", path, body, headers)
        status = line.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        late.cancel()
        line.close()
    return "" if 200 <= status < 300 else f"status {status}"


def deliver_one(conn: Connection, mall: Mall, now_s: float, wait_s: float = _WAIT_S) -> bool:
    """Sends the next message that is due, and notes what became of it; False where none is. One transaction: whoever
    dies in it has sent nothing, as far as the outbox knows, and the message comes again."""
    at = datetime.fromtimestamp(now_s, UTC)
    with conn.transaction():
        waiting = redemption.due(conn, at)
        if waiting is None:
            return False
        fault = send(mall, waiting.key, waiting.body.encode(), now_s, wait_s)
        if fault:
            spread = random.random()  # noqa: S311  (spreads load, protects nothing)
            redemption.not_delivered(conn, waiting.id, waiting.attempts, fault, at, spread)
        else:
            redemption.delivered(conn, waiting.id, at)
    return True


_LOOK_EVERY_S: Final = 2.0


async def keep_delivering(mall: Mall, pool: ConnectionPool[Connection]) -> None:
    """Sends what is due, one message after another, for as long as the web runs. Several processes share the outbox."""
    if mall.url is None:
        return
    log = structlog.get_logger("mall")

    def turn() -> bool:
        with pool.connection(timeout=3) as conn:
            now_s = time.time()
            redemption.post_days(conn, datetime.fromtimestamp(now_s, UTC))
            return deliver_one(conn, mall, now_s)

    while True:
        try:
            more = await asyncio.to_thread(turn)
        except Exception as error:
            log.warning("waiting", why=type(error).__name__)
            more = False
        if not more:
            await asyncio.sleep(_LOOK_EVERY_S)
