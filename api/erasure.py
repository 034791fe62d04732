"""A citizen's data are erased: asked for in one short transaction, done in another, and finished after a crash."""

from __future__ import annotations

from typing import Any

import psycopg

from defects import store as defects_store
from ingest import devices

from . import teaching


def ask_to_erase(conn: psycopg.Connection[Any], device: str) -> None:
    """Shuts a device out and notes that its data shall go. Committed by itself: from here on no batch writes anything
    of this device, so that what is erased next is all there is."""
    with conn.transaction():
        devices.disable(conn, [device])
        devices.ask_to_erase(conn, device)


def erase_asked(conn: psycopg.Connection[Any]) -> dict[str, dict[str, int]]:
    """Erases the data of every device of which that was asked and not done yet; gives rows by table and device."""
    return {device: erase_one(conn, device) for device in devices.to_be_erased(conn)}


def erase_one(conn: psycopg.Connection[Any], device: str) -> dict[str, int]:
    """Erases the data of one device of which that was asked; gives rows by table."""
    with conn.transaction():
        teaching.leave(conn, device)
        gone = defects_store.forget_chunks(conn, devices.own_chunk_ids(conn, device))
        return gone | devices.erase(conn, device)
