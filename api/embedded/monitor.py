"""What the broker says of itself over HTTP. It tells names and client ids of devices and has no password, so it
answers below a path that is a secret of the data folder: another user of this machine, who can reach the port, learns
nothing."""

import calendar
import json
import re
import threading
import time
import urllib.error
from typing import Any

from .processes import DIRECT

OVERSIZE_REASONS = ("Maximum Message Payload Exceeded", "Maximum Payload Exceeded")


def monitor(url: str, path: str) -> Any:
    """An answer of the monitor at ``url`` (`BrokerAddress.monitor_url`), from JSON. Raises OSError when it is away."""
    with DIRECT.open(f"{url}/{path}", timeout=5) as answer:
        return json.load(answer)


def ailment(url: str, within_s: float = 2.0) -> str:
    """What the broker complains of, without paths; empty where it is well. Raises OSError when it is not there."""
    try:
        with DIRECT.open(f"{url}/healthz", timeout=within_s):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            try:
                said = str(json.load(error)["error"])
            except (OSError, ValueError, KeyError, TypeError):
                said = f"it answers {error.code}"
        return re.sub(r"/\S+", "(a file)", said)[:200]


class OversizeCount:
    """How many payloads over the limit the broker refused since this was made.

    The broker closes the connection of who sends one, logs nothing, and remembers the reason for its last 10,000
    closed connections until it restarts: look more often than that fills. A client that sends the same again after
    each reconnect (paho does) is counted each time: this counts refusals, not chunks.
    """

    def __init__(self) -> None:
        self.total = 0
        self._server, self._newest = "", 0
        self._lock = threading.Lock()

    def look(self, url: str) -> int:
        """The total by now; from any thread. Raises OSError when the broker is not there."""
        with self._lock:
            return self._look(url)

    def _look(self, url: str) -> int:
        told = monitor(url, "connz?state=closed&limit=10000")
        if told["server_id"] != self._server:
            self._server, self._newest = told["server_id"], 0
        # Connections close in any order, so the newest number seen cannot say which were counted: the stop time can.
        seen = [(_moment(one["stop"]), one.get("reason", "")) for one in told["connections"]]
        self.total += sum(stop > self._newest and reason in OVERSIZE_REASONS for stop, reason in seen)
        self._newest = max([self._newest, *(stop for stop, _ in seen)])
        return self.total


def _moment(text: str) -> int:
    """A time of the broker (RFC 3339, up to nine decimals, trailing zeros left off) in nanoseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)
