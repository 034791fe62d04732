"""Signs of life of the pumps, and the password hashes of plain brokers. Functions take a connection, never commit."""

from __future__ import annotations

from typing import Any, Final

import psycopg

Connection = psycopg.Connection[Any]

FORGET_S: Final = 3600.0
"""After this long the row of a process that ended goes: shorter and one that was away is not remembered by its last
words, longer and the table is full of the dead."""


def beat(conn: Connection, pump: str, instance: str, said: str) -> None:
    """Notes that a pump lives and what it waits for (empty: nothing), and forgets who ended long ago."""
    conn.execute(
        "INSERT INTO heartbeat (pump, instance, said) VALUES (%s, %s, %s) "
        "ON CONFLICT (pump, instance) DO UPDATE SET at = now(), said = excluded.said",
        (pump, instance, said),
    )
    conn.execute(
        "DELETE FROM heartbeat WHERE pump = %s AND at < now() - make_interval(secs => %s)", (pump, FORGET_S)
    )


def farewell(conn: Connection, pump: str, instance: str) -> None:
    """Forgets a process that ends in order."""
    conn.execute("DELETE FROM heartbeat WHERE pump = %s AND instance = %s", (pump, instance))


def beats(conn: Connection) -> list[tuple[str, str, float, str]]:
    """Pump, instance, age of its last beat in seconds by the database's clock, and what it said; newest first."""
    rows = conn.execute(
        "SELECT pump, instance, extract(epoch FROM now() - at)::float8, said FROM heartbeat ORDER BY pump, at DESC"
    )
    return [(r[0], r[1], float(r[2]), r[3]) for r in rows]


def note_mosquitto(conn: Connection, device: str, mosquitto_hash: str) -> None:
    """Stores Mosquitto's hash of the password that the device has now. Call it where the other hash is written."""
    conn.execute(
        "UPDATE device SET mosquitto_hash = %s, mosquitto_of = password_hash WHERE id = %s", (mosquitto_hash, device)
    )


def mosquitto_hashes(conn: Connection) -> tuple[list[tuple[str, str]], list[str]]:
    """Device and Mosquitto's hash of its password, of every device that may connect; and the devices that may but have
    no such hash of their present password."""
    known: list[tuple[str, str]] = []
    without: list[str] = []
    for device, hashed in conn.execute(
        "SELECT id, CASE WHEN mosquitto_of = password_hash THEN mosquitto_hash END FROM device "
        "WHERE disabled_at IS NULL ORDER BY id"
    ):
        if hashed is None:
            without.append(device)
        else:
            known.append((device, hashed))
    return known, without
