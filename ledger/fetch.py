"""HTTP as log, witnesses and hubs speak it to each other: bounded answers, bounded time, no redirects."""

import http.client
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

MAX_ANSWER: Final = 65536
"""Bytes. A full tile has 8,192, a checkpoint with all its cosignatures 16,384 characters; more is not read."""


class Away(ConnectionError):
    """Nobody answers there, not in time, or not as agreed; the text says who and how. Later it may be different."""


@dataclass(frozen=True)
class Answer:
    """What came back, whatever the status."""

    status: int
    kind: str
    body: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A witness that is told one address does not let itself be sent to another."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


class Line:
    """The connections of a request, which are cut together. A socket's own limit is for each piece: who sends a byte of
    a header every few seconds would hold a reader for days."""

    def __init__(self) -> None:
        """Nothing is connected yet."""
        self._guard = threading.Lock()
        self._open: list[socket.socket] = []
        self.cut_off = False

    def took(self, one: socket.socket | None) -> None:
        """A connection that was made: cut at once, where its time is over."""
        with self._guard:
            if one is not None:
                self._open.append(one)
            if self.cut_off:
                self._shut()

    def cut(self) -> None:
        """Whoever reads from the connections comes to their end."""
        with self._guard:
            self.cut_off = True
            self._shut()

    def _shut(self) -> None:
        for one in self._open:
            try:
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # below TLS, whose own state the reader is using
            except OSError:
                continue  # it is closed already


def _handlers(line: Line) -> tuple[urllib.request.BaseHandler, ...]:
    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            line.took(self.sock)

    class Tls(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            line.took(self.sock)

    class OnPlain(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, req)

    class OnTls(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Tls, req)

    return OnPlain(), OnTls()


@contextmanager
def opener_within(all_s: float, *handlers: Any) -> Iterator[tuple[urllib.request.OpenerDirector, Line]]:
    """An opener (with further handlers) whose connections are cut `all_s` seconds from now, whatever they are at; and
    its line, which knows whether they were."""
    line = Line()
    timer = threading.Timer(all_s, line.cut)
    timer.daemon = True
    timer.start()
    try:
        yield urllib.request.build_opener(*handlers, *_handlers(line)), line
    finally:
        timer.cancel()


def fetch(url: str, timeout_s: float, body: bytes | None = None) -> Answer:
    """GET, or POST where there is a body, all of it within `timeout_s`. Raises Away."""
    if not url.startswith(("http://", "https://")):
        raise Away(f"{url} is no http or https address")
    kind = {"Content-Type": "text/plain; charset=utf-8"} if body is not None else {}
    with opener_within(timeout_s, _NoRedirect()) as (opener, line):
        try:
            request = urllib.request.Request(url, data=body, headers=kind)  # noqa: S310 - http and https alone, above
            with opener.open(request, timeout=timeout_s) as answer:
                found = _read(answer, int(answer.status))
        except urllib.error.HTTPError as error:
            with error:
                found = _read(error, error.code)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if isinstance(error, Away) and not line.cut_off:
                raise
            said = f"timed out after {timeout_s:g} s" if line.cut_off else f"{type(error).__name__}: {error}"
            raise Away(f"{url} does not answer: {said}") from error
        if line.cut_off:  # what was cut may look whole
            raise Away(f"{url} does not answer: timed out after {timeout_s:g} s")
        return found


def _read(answer: Any, status: int) -> Answer:
    try:
        body = answer.read(MAX_ANSWER + 1)
    except (OSError, http.client.HTTPException) as error:
        raise Away(f"{answer.url} stops in the middle: {type(error).__name__}") from error
    if len(body) > MAX_ANSWER:
        raise Away(f"{answer.url} answers with more than {MAX_ANSWER} bytes")
    return Answer(status, str(answer.headers.get("Content-Type", "")).partition(";")[0].strip(), body)
