"""The reference client: all that a phone's app does between its sensors and the platform, to be read and ported.

    sensors -> chunks of 5 s -> Trimmer (ends of trips, no-go areas, numbers) -> encode -> Outbox (disk) -> Courier
                                                                    broker -> verdict -> Outbox (forgets it)

What the trimmer holds is in memory alone: where the app ends, the trip ends, and its end is dropped as it should be.
What is in the outbox stays until a verdict settles it. `Courier` needs no network to be there: it tries again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from .chunk import Chunk
from .city import City
from .outbox import Outbox
from .sender import Credential, Report, Sender, SenderError
from .trim import Trimmer, TrimOptions
from .wire import encode

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
"""Between two tries to reach the broker, doubling: a phone in a tunnel and a platform that is restarted both come back
within a minute of its being possible; less would only cost battery."""
_ANSWER_S = 30.0


@dataclass
class Delivery:
    """What a courier did: sums over its connections, and why it has none, where it has none."""

    sent: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    resent: int = 0
    connections: int = 0
    fault: str = ""

    def add(self, report: Report) -> None:
        """Adds what one connection did."""
        self.sent += report.sent
        self.accepted += report.accepted
        self.resent += report.resent
        for reason, n in report.refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + n


class Courier(threading.Thread):
    """Delivers what lies in an outbox, as long as it runs, over connections that may fail."""

    def __init__(self, credential: Credential, outbox: Outbox) -> None:
        super().__init__(daemon=True)  # a broker that does not answer must not keep the app from ending
        self.delivery = Delivery()
        self._credential, self._outbox = credential, outbox
        self._over = threading.Event()

    def run(self) -> None:
        """Connects, delivers, and begins again where the connection cannot be made."""
        wait_s = _FIRST_WAIT_S
        while not self._over.is_set():
            try:
                with Sender(self._credential, outbox=self._outbox) as sender:
                    self.delivery.connections += 1
                    self.delivery.fault, wait_s = "", _FIRST_WAIT_S
                    try:
                        self._deliver(sender)
                    finally:
                        self.delivery.add(sender.report)
            except SenderError as error:
                self.delivery.fault = str(error)
                self._over.wait(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _deliver(self, sender: Sender) -> None:
        after = 0
        while not self._over.is_set():
            found = self._outbox.next_after(after)
            if found is not None:
                after, payload = found
                sender.send(payload)
            elif sender.finish(1.0).waiting == 0:  # sends again what got no verdict, meanwhile
                self._over.wait(0.2)

    def finish(self, timeout_s: float) -> Delivery:
        """Waits until the outbox is empty, at most ``timeout_s``, and ends. What is left is delivered another time."""
        end_s = time.monotonic() + timeout_s
        while len(self._outbox) and time.monotonic() < end_s and self.is_alive():
            self._over.wait(0.1)
        self._over.set()
        self.join(5.0)
        return self.delivery


@dataclass(frozen=True)
class Played:
    """recorded: chunks that the sensors gave. kept_back: of those, not for sending. put: handed to the outbox by this
    run; before: by runs before it that did not come to the end."""

    recorded: int
    kept_back: int
    put: int
    before: int


def begin(outbox: Outbox, source: str, duration_s: float, speed: float, now_s: float) -> tuple[dict[str, Any], int]:
    """When a recording was begun to be played, and the secret of its trip ids; and how many chunks it has put already,
    where a client was killed in the middle of it.

    It is played so that nothing of it lies in the future: at real time it begins now, as fast as can be it ends now.
    """

    def make() -> dict[str, Any]:
        late_s = duration_s * (1 - 1 / speed if speed > 0 else 1)
        return {"secret": secrets.token_hex(16), "begun_s": now_s, "start_s": now_s - late_s}

    return outbox.begin(source, make)


def ids_of(secret: str) -> Callable[[date], str]:
    """Trip ids that nobody else can link: random, but the same again for a client that goes on after a kill."""
    made = 0

    def new_id(day: date) -> str:
        nonlocal made
        made += 1
        return hashlib.sha256(f"{secret}/{day}/{made}".encode()).hexdigest()[:16]

    return new_id


_AS_ASKED = TrimOptions()


def play(
    chunks: Iterable[Chunk],
    city: City,
    outbox: Outbox,
    source: str,
    speed: float,
    first_s: float,
    told: Callable[[int, int], None] = lambda _recorded, _put: None,
    wait: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.time,
    options: TrimOptions = _AS_ASKED,
) -> Played:
    """Plays a recording's chunks, ends and all, as the sensors of a phone give them, from ``first_s`` on at ``speed``
    times real time (0: at once). `begin` was called before.

    Chunks that a killed run has put are passed over: the same recording under the same secret gives the same ones.
    ``told`` hears how many were recorded and put so far. Raises OutboxError.
    """
    state, before = outbox.begin(source, dict)
    trimmer = Trimmer.of_city(city, ids_of(state["secret"]), options)
    recorded = put = 0
    for chunk in chunks:
        recorded += 1
        if speed > 0:
            due_s = state["begun_s"] + (chunk.end_s - first_s) / speed
            if (late_s := due_s - clock()) > 0:
                wait(late_s)
        for ready in trimmer.push(chunk):
            put += 1
            if put > before:
                outbox.put(encode(ready), source)
        told(recorded, put)
    outbox.end(source)
    return Played(recorded, recorded - put, put - before, before)


def enrol_at(url: str, consent: str, invitation: str | None) -> Credential:
    """Asks a platform for a credential, as an app does at its first start. It is given once: keep it.

    consent: version of the text that the citizen was shown (GET /api/v1/consent) and agreed to. Raises SenderError.
    """
    wanted = {"consent": consent} | ({"invitation": invitation} if invitation else {})
    request = urllib.request.Request(  # noqa: S310  (only where the user says)
        f"{url.rstrip('/')}/api/v1/devices", json.dumps(wanted).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310
            tree = json.load(answer)
        ca = tree.get("ca")
        return Credential(
            str(tree["device"]), str(tree["kind"]), str(tree["client_id"]), str(tree["password"]), str(tree["host"]),
            int(tree["port"]), *([] if ca is None else [str(ca)]),
        )  # fmt: skip
    except urllib.error.HTTPError as error:
        raise SenderError(f"{url} does not enrol this phone: {error.read(2000).decode(errors='replace')}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SenderError(f"{url} does not enrol this phone ({error}): is it the address of a platform?") from None
