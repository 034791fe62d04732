"""What waits for its verdict is on disk: after a kill it is there, once, and nobody else can read it."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from ingest import Outbox, OutboxError


def waiting(outbox):
    out, after = [], 0
    while (found := outbox.next_after(after)) is not None:
        after, payload = found
        out.append(payload)
    return out


def test_a_payload_stays_until_it_is_settled_and_in_order(tmp_path):
    with Outbox(tmp_path / "box") as outbox:
        for payload in (b"one", b"two", b"three", b"two"):
            outbox.put(payload)
        assert waiting(outbox) == [b"one", b"two", b"three"]
        outbox.settle([b"one", b"never put"])
    with Outbox(tmp_path / "box") as outbox:
        assert (waiting(outbox), len(outbox)) == ([b"two", b"three"], 2)
        outbox.settle([b"two", b"three"])
        outbox.put(b"one")
        assert waiting(outbox) == [b"one"]


def test_only_the_owner_can_read_it(tmp_path):
    before = os.umask(0)
    try:
        with Outbox(tmp_path / "box") as outbox:
            outbox.put(b"where I live")
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "box").iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert "outbox.sqlite" in modes
    assert stat.S_IMODE((tmp_path / "box").stat().st_mode) == 0o700


def test_what_is_settled_leaves_no_trace_on_the_disk(tmp_path):
    secret = b"a long payload that says where somebody lives" * 20
    with Outbox(tmp_path) as outbox:
        outbox.put(secret)
        outbox.settle([secret])
    assert not any(secret[:40] in p.read_bytes() for p in tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from ingest import Outbox
outbox = Outbox(Path(sys.argv[1]))
state, put = outbox.begin("drive", lambda: {"seed": 7})
assert (state, put) == ({"seed": 7}, 0)
for n in range(10):
    outbox.put(f"payload {n}".encode(), "drive")
    if n == 6:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_nothing_and_the_source_goes_on_where_it_was(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    with Outbox(tmp_path) as outbox:
        assert waiting(outbox) == [f"payload {n}".encode() for n in range(7)]
        assert outbox.begin("drive", dict) == ({"seed": 7}, 7)
        outbox.end("drive")
        assert outbox.begin("drive", lambda: {"seed": 8}) == ({"seed": 8}, 0)


def test_a_full_one_says_so_and_keeps_what_it_has(tmp_path):
    with Outbox(tmp_path, most_bytes=100) as outbox:
        outbox.put(b"x" * 60)
        with pytest.raises(OutboxError, match="is the platform reachable"):
            outbox.put(b"y" * 60)
        assert waiting(outbox) == [b"x" * 60]
        outbox.settle([b"x" * 60])
        outbox.put(b"y" * 60)
    with Outbox(tmp_path, most_bytes=100) as outbox, pytest.raises(OutboxError):
        outbox.put(b"z" * 60)


def test_two_clients_do_not_share_one(tmp_path):
    with Outbox(tmp_path), pytest.raises(OutboxError, match="another client"):
        Outbox(tmp_path)


def test_a_folder_that_is_none_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutboxError, match="file"):
        Outbox(tmp_path / "file")
