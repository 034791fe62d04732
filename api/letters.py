"""A dead letter that is worked again: a clock was set, a rule mended, a device enabled. Exactly once, as everything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import psycopg

from ingest import Arrived
from ingest import letters as ingest_letters

from .worker import Worker


@dataclass(frozen=True)
class Retried:
    """What became of a letter. accepted: it counts now, or counted already. reason: why not, where it does not."""

    device: str
    sha256: str
    accepted: bool
    reason: str | None
    verdict: dict[str, Any]


def retry(conn: psycopg.Connection[Any], worker: Worker, sha256: str, device: str | None = None) -> Retried:
    """Gives a kept payload to the worker again, as if it had just arrived; the letter goes if it is accepted.

    The device is not told: it has given the chunk up. Raises `ingest.letters.NoSuchLetter` where there is no such
    letter or no payload of it; psycopg.Error.
    """
    letter, payload = ingest_letters.one(conn, sha256, device)
    if payload is None:
        raise ingest_letters.NoSuchLetter(
            f"the payload of {letter.sha256.hex()[:16]} is not kept: only those of boxes are, up to 64 KiB, a hundred "
            "a device; the device has to send it again"
        )
    verdicts = worker([Arrived(letter.device, payload)])
    with conn.transaction():
        # Accepted and new: the worker took the letter out. Refused again: it counted that. Else it counted already.
        now = ingest_letters.found(conn, letter.device, sha256=letter.sha256.hex())
        again = [one for one in now if one.times > letter.times]
        if not again:
            ingest_letters.forget(conn, [(letter.device, letter.sha256)])
    reason = again[0].reason if again else None
    return Retried(letter.device, letter.sha256.hex(), not again, reason, json.loads(verdicts[0].payload))
