"""Receipts for who hands in a record: signed with it, written down once both are committed."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from ledger import Promiser, Record, enqueue_promised, read_receipt


class Promised:
    """Stands where `enqueue` does and keeps the receipts: `given` counts once the transaction has committed."""

    def __init__(self, promiser: Promiser, now_ms: int) -> None:
        """now_ms: unix milliseconds at which the records are said."""
        self._promiser = promiser
        self._now_ms = now_ms
        self.given: list[bytes] = []

    def __call__(self, conn: psycopg.Connection[Any], records: Sequence[Record]) -> None:
        """Puts records into the outbox with a receipt each."""
        self.given += enqueue_promised(conn, records, self._promiser, self._now_ms)

    def write(self, path: Path) -> None:
        """The receipts as a JSON file; an empty list where nothing was said."""
        path.write_text(json.dumps({"receipts": [shown(given) for given in self.given]}, indent=1) + "\n")


def shown(receipt: bytes) -> dict[str, Any]:
    """A receipt in base64, with what it says beside it, for JSON."""
    said = read_receipt(receipt)
    return {
        "receipt": b64encode(receipt).decode(), "leaf": said.leaf.hex(), "at_ms": said.at_ms, "mmd_s": said.mmd_s,
        "log": said.log,
    }  # fmt: skip
