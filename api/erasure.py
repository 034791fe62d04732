"""A citizen's data are erased: asked for in one short transaction, done in another, and finished after a crash."""

from __future__ import annotations

from typing import Any

import psycopg

from defects import store as defects_store
from ingest import devices
from ledger import points_store, reports

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
        leave_points(conn, device)
        gone = defects_store.forget_chunks(conn, devices.own_chunk_ids(conn, device))
        return gone | devices.erase(conn, device)


def leave_points(conn: psycopg.Connection[Any], device: str) -> dict[str, int]:
    """Closes the account of a device, if it has one, and lets go of what hangs on it: the account's random id is in
    nobody's hands then. Gives rows by table, and under `points` those that were left. Commits nothing."""
    account = points_store.account_of(conn, device)
    left = teaching.leave(conn, device)  # the account first, as whoever settles and spends takes locks
    return {} if account is None else reports.forget(conn, account) | {"points": left}
