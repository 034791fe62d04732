"""Asking over HTTP: who answers byte by byte, too much, or not at all costs the time that was given for it, no more."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api import hub_line
from ledger.fetch import MAX_ANSWER, Away, fetch

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@contextmanager
def dripping(first: bytes, again: bytes) -> Iterator[str]:
    """A server that answers with `first`, and then with `again` every 20 ms, each piece well within any timeout."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    one, _ = server.accept()
                except OSError:
                    return
                with one:
                    try:
                        one.recv(65_536)
                        one.sendall(first)
                        while not done.wait(0.02):
                            one.sendall(again)
                    except OSError:
                        continue

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b"H"), (HEAD, b"x"), (HEAD, b"X-More: 1\r\n"), (HEAD + b"Content-Length: 50000\r\n\r\n", b"x"),
        (b"HTTP/1.1 503 Away\r\nContent-Length: 50000\r\n\r\n", b"x"),
    ],
)  # fmt: skip
def test_who_answers_byte_by_byte_holds_nobody_for_longer_than_was_given(first: bytes, again: bytes) -> None:
    with dripping(first, again) as url:
        began_s = time.monotonic()
        with pytest.raises(Away):
            fetch(f"{url}/checkpoint", 0.3)
        assert time.monotonic() - began_s < 2


def test_an_answer_without_a_length_that_was_cut_off_is_no_answer() -> None:
    with dripping(HEAD + b"Connection: close\r\n\r\n", b"x") as url, pytest.raises(Away, match="timed out"):
        fetch(url, 0.3)


def test_an_answer_that_is_too_long_is_told_so() -> None:
    with dripping(HEAD + b"\r\n" + b"x" * (MAX_ANSWER + 1), b"x") as url, pytest.raises(Away, match="more than"):
        fetch(url, 5)


def test_a_hub_that_sends_a_header_byte_by_byte_does_not_keep_the_folder_of_lists_locked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_line, "_ALL_S", 0.3)
    for first in (HEAD, HEAD + b"\r\n"):
        with dripping(first, b"x") as url:
            began_s = time.monotonic()
            with pytest.raises(hub_line.NotUpdated, match="takes longer"):
                hub_line.over_http(url)("/trust-list", "")
            assert time.monotonic() - began_s < 2
