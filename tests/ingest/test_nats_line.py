"""The line to NATS on a server that says what it likes: pieces, garbage, silence. The real one: tests/api, faults."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from ingest import nats_line
from ingest.nats_line import Line, LineBroken

INFO = b'INFO {"server_id":"X","headers":true,"max_payload":1048576}\r\n'


@contextmanager
def server(*says, answer=b"PONG\r\n"):
    """A line to a server that greets, answers the first words with ``answer`` and then says the rest piece by piece;
    and the server's end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = []

        def serve():
            end, _ = listening.accept()
            taken.append(end)
            end.sendall(INFO)
            said = b""
            while not said.endswith(b"PING\r\n"):
                said += end.recv(4096)
            taken.append(said)
            end.sendall(answer)
            for piece in says:
                end.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with Line(f"nats://a%40b:p%3Aw@127.0.0.1:{listening.getsockname()[1]}") as line:
                thread.join()
                yield line, taken
        finally:
            thread.join()
            for one in taken[:1]:
                one.close()


def all_of(line, n):
    found = []
    end_s = time.monotonic() + 5
    while len(found) < n and time.monotonic() < end_s:
        found += line.receive(0.2)
    return found


def test_messages_in_pieces_are_whole_messages():
    text = (
        b"MSG rhc.v1.a.chunk 1 reply.1 5\r\nhe\r\nl\r\n"
        b"HMSG $MQTT.msgs.rhc.v1.b.chunk 1 $JS.ACK.2 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
        b"HMSG _INBOX.x 1 28 28\r\nNATS/1.0 408 Timeout a b\r\n\r\n\r\n"
    )
    with server(*(text[i : i + 7] for i in range(0, len(text), 7))) as (line, taken):
        first, second, third = all_of(line, 3)
        assert b'"user": "a@b", "pass": "p:w"' in taken[1]
    assert (first.subject, first.reply, first.payload, first.status) == ("rhc.v1.a.chunk", b"reply.1", b"he\r\nl", 0)
    assert (second.reply, second.payload, second.status) == (b"$JS.ACK.2", b"hi", 0)
    assert (third.reply, third.status, third.payload) == (b"", 408, b"Timeout a b")


def test_a_ping_is_answered_and_acknowledgements_go_in_one_piece():
    with server(b"PING\r\n") as (line, taken):
        assert line.receive(0.5) == []
        line.publish([(b"$JS.ACK.1", "", b"+ACK"), ("verdict", "inbox", b"{}")])
        end = taken[0]
        said = b""
        while not said.endswith(b"{}\r\n"):
            said += end.recv(4096)
    assert said == b"PONG\r\nPUB $JS.ACK.1 4\r\n+ACK\r\nPUB verdict inbox 2\r\n{}\r\n"


@pytest.mark.parametrize("says", [
    b"MSG a 1 99999999999\r\n", b"MSG a 1 -3\r\n", b"HMSG a 1 9 5\r\n", b"MSG a 1 x\r\n", b"-ERR 'Slow Consumer'\r\n",
])  # fmt: skip
def test_a_server_that_talks_nonsense_is_left(says):
    with server(says) as (line, _), pytest.raises(LineBroken):
        all_of(line, 1)


def test_who_is_not_let_in_is_told_why():
    no = b"-ERR 'Authorization Violation'\r\n"
    with pytest.raises(LineBroken, match="Authorization Violation"), server(answer=no):
        pass


def test_what_is_said_in_clear_before_the_handshake_is_not_believed():
    """Somebody on the way could put a chunk behind the server's greeting, to be read as if it had come by TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            end, _ = listening.accept()
            injected = b"MSG $MQTT.msgs.rhc.v1.bus-1.chunk 1 x 2\r\nhi\r\n"
            end.sendall(INFO.replace(b"}", b',"tls_required":true}') + injected)
            with end:
                end.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(LineBroken, match="before the handshake"):
            Line(f"tls://127.0.0.1:{listening.getsockname()[1]}")
        thread.join()


def test_a_server_that_falls_silent_is_asked_and_then_left(monkeypatch):
    monkeypatch.setattr(nats_line, "SILENT_S", 0.4)
    with server() as (line, taken):
        begun_s = time.monotonic()
        with pytest.raises(LineBroken, match="nothing was heard"):
            all_of(line, 1)
        assert 0.35 < time.monotonic() - begun_s < 3
        assert taken[0].recv(100) == b"PING\r\n"


def test_a_server_that_hangs_up_is_noticed():
    with server() as (line, taken):
        taken[0].close()
        with pytest.raises(LineBroken, match="closed"):
            all_of(line, 1)
