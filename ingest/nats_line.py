"""One connection to a NATS server, as little of its protocol as a pump needs: publish, subscribe, read what came.

The well-kept client (nats-py, which still makes the consumer) takes 90 to 130 us a message on the way in and out, most
of it in an asyncio task per message; a chunk of five seconds may cost 300 us in all. Reading a block of the socket and
finding messages in it takes 17. The protocol is lines of text: https://docs.nats.io/reference/reference-protocols.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

_READ_BYTES = 1 << 20
_MOST_BYTES = 4 << 20
"""A message longer than this is no chunk (256 KiB) and no answer of the server: the line is out of step."""
SILENT_S = 9.0
"""A server from which nothing has come for so long, though asked, is away. With less a busy server is left for dead;
with more, a worker behind a dead wire seems to have nothing to do for that long."""


class LineBroken(OSError):
    """The connection is of no use any more; make another one."""


@dataclass(frozen=True)
class Message:
    """What came: the payload and, of a message of JetStream, where to acknowledge it (reply). status: 0, or the code
    that says why there is none, with the payload as its reason."""

    subject: str
    reply: bytes
    payload: bytes
    status: int = 0


class Line:
    """A connection. Not for several threads at once. Use as a context manager; raises LineBroken (an OSError)."""

    def __init__(self, url: str, timeout_s: float = 5.0, tls: ssl.SSLContext | None = None) -> None:
        where = urlsplit(url)
        host, port = where.hostname or "127.0.0.1", where.port or 4222
        self.inbox = f"_INBOX.{secrets.token_hex(12)}"
        self._buffer = bytearray()
        self._heard_s = time.monotonic()
        self._asked = False
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            info = json.loads(self._first_line().removeprefix(b"INFO "))
            if where.scheme == "tls" or info.get("tls_required"):
                if self._buffer:
                    raise LineBroken("the server spoke before the handshake: somebody on the way may have put that in")
                context = tls or ssl.create_default_context()
                self._socket = context.wrap_socket(self._socket, server_hostname=host)
            hello: dict[str, Any] = {
                "verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "python",
                "version": "1", "protocol": 1, "name": "road health code",
            }  # fmt: skip
            if where.username:
                hello |= {"user": unquote(where.username), "pass": unquote(where.password or "")}
            self._send(f"CONNECT {json.dumps(hello)}\r\nSUB {self.inbox} 1\r\nPING\r\n".encode())
            while (line := self._first_line()) != b"PONG":
                if line.startswith(b"-ERR"):
                    raise LineBroken(f"the server does not let us in: {line.decode(errors='replace')}")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _first_line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._read()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line.strip()

    def _read(self) -> None:
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise LineBroken("the server has closed the connection")
        self._buffer += data
        self._heard_s, self._asked = time.monotonic(), False

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(SILENT_S)
        self._socket.sendall(data)

    def publish(self, messages: list[tuple[str | bytes, str, bytes]]) -> None:
        """Sends (subject, reply or "", payload), all in one go."""
        parts: list[bytes] = []
        for subject, reply, payload in messages:
            name = subject if isinstance(subject, bytes) else subject.encode()
            parts.append(b"PUB %s %s%d\r\n" % (name, f"{reply} ".encode() if reply else b"", len(payload)))
            parts.append(payload)
            parts.append(b"\r\n")
        if parts:
            self._send(b"".join(parts))

    def receive(self, within_s: float) -> list[Message]:
        """What has come; waits for the first byte at most ``within_s``. Empty where nothing came."""
        found = self._take()
        if found:
            return found
        silent_s = time.monotonic() - self._heard_s
        if silent_s > SILENT_S:
            raise LineBroken(f"nothing was heard of the server for {silent_s:.0f} s")
        if silent_s > SILENT_S / 2 and not self._asked:
            self._asked = True
            self._send(b"PING\r\n")
        self._socket.settimeout(max(within_s, 0.001))
        try:
            self._read()
        except TimeoutError:
            return []
        return self._take()

    def _take(self) -> list[Message]:
        """The whole messages of the buffer."""
        found: list[Message] = []
        buffer, at = self._buffer, 0
        while (end := buffer.find(b"\r\n", at)) >= 0:
            head = bytes(buffer[at:end])
            if head.startswith((b"HMSG ", b"MSG ")):
                words = head.split()
                try:
                    total = int(words[-1])
                    headers = int(words[-2]) if head[:1] == b"H" else 0
                except ValueError:
                    raise LineBroken("a line that is none of the protocol") from None
                if not 0 <= headers <= total <= _MOST_BYTES:
                    raise LineBroken(f"a message of {total} bytes")
                if len(buffer) < end + 2 + total + 2:
                    break
                first = end + 2
                header = bytes(buffer[first : first + headers])
                found.append(_message(words, header, bytes(buffer[first + headers : first + total])))
                at = first + total + 2
                continue
            at = end + 2
            if head == b"PING":
                self._send(b"PONG\r\n")
            elif head.startswith(b"-ERR"):
                raise LineBroken(f"the server says {head.decode(errors='replace')}")
        del buffer[:at]
        return found


def _message(words: list[bytes], header: bytes, payload: bytes) -> Message:
    with_reply = 6 if header else 5
    reply = words[3] if len(words) == with_reply else b""
    status = 0
    if not reply and header.startswith(b"NATS/1.0 ") and header[9:12].isdigit():
        status, payload = int(header[9:12]), header[13:].partition(b"\r\n")[0]
    return Message(words[1].decode(errors="replace"), reply, payload, status)
