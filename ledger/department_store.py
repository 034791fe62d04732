"""Departments' certificates in PostgreSQL, and what was read with them. Functions take a connection and never commit.

A grant or a revocation is one transaction of the caller: the row, the record on its way into the log, the step on its
way to the chain, and the notice by which running streams end.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import psycopg

from .department import Certificate, DepartmentError, Known, digest, parse_certificate
from .grants import account_of, enqueue_grant, enqueue_revocation
from .merkle import leaf_hash
from .records import Origin, department_record, parse
from .store import enqueue

CHANNEL: Final = "departments"
"""Where PostgreSQL tells which certificate was revoked."""
REFUSED: Final = "refused"
"""Under which reads are counted that the certificate did not open."""
_SWEPT: Final = 100

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Department:
    """A certificate and what became of it."""

    id: str
    name: str
    kind: str
    certificate: bytes
    granted_at: datetime
    revoked_at: datetime | None
    revoked_why: str | None


@dataclass(frozen=True)
class Reads:
    """How often a certificate read something of a scope on a service day, and when last."""

    certificate: str
    department: str
    day: date
    scope: str
    requests: int
    last_at: datetime


def instance_name(conn: Connection) -> str:
    """The name of this instance, which tokens must bear; made once where there is none."""
    row = conn.execute("SELECT name FROM instance").fetchone()
    if row is None:
        conn.execute("INSERT INTO instance (name) VALUES (%s) ON CONFLICT DO NOTHING", (f"rhc-{secrets.token_hex(8)}",))
        row = conn.execute("SELECT name FROM instance").fetchone()
    if row is None:
        raise LookupError("the database gave this instance no name")
    return str(row[0])


def grant(conn: Connection, certificate: Certificate, signed: bytes, at: datetime, origin: Origin) -> None:
    """Write a certificate down, with its record and its step on the chain. Raises DepartmentError."""
    public = certificate.public.public
    known = conn.execute("SELECT id FROM department WHERE public = %s", (public,)).fetchone()
    if known is not None:
        raise DepartmentError(
            f"this key had certificate {known[0]} already, and a key has one only: the department makes a new key with "
            "`roadcode department new-key`"
        )
    account = account_of(public)
    conn.execute(
        "INSERT INTO department (id, name, kind, public, account, certificate, from_s, to_s, granted_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (certificate.id, certificate.department, certificate.kind, public, account, signed, certificate.from_s,
         certificate.to_s, at),
    )  # fmt: skip
    record = department_record(
        certificate.department, "granted", digest(signed), account, certificate.terms(), _ms(at), origin
    )
    enqueue(conn, [record])
    enqueue_grant(conn, account, certificate.from_s, certificate.to_s, leaf_hash(record.body))


def revoke(conn: Connection, id_: str, why: str, at: datetime, origin: Origin) -> bool:
    """End a certificate; False where it was revoked before. Raises DepartmentError."""
    row = conn.execute("SELECT name, account, certificate, revoked_at FROM department WHERE id = %s FOR UPDATE", (id_,))
    found = row.fetchone()
    if found is None:
        raise DepartmentError(f"no certificate {id_}: `roadcode department list` names those there are")
    if not why.strip() or len(why) > 200:
        raise DepartmentError("say in up to 200 characters why it is revoked: the record keeps it for good")
    name, account, signed, revoked_at = found
    if revoked_at is not None:
        return False
    conn.execute("UPDATE department SET revoked_at = %s, revoked_why = %s WHERE id = %s", (at, why, id_))
    record = department_record(
        name, "revoked", digest(bytes(signed)), bytes(account), {"id": id_, "why": why}, _ms(at), origin
    )
    enqueue(conn, [record])
    enqueue_revocation(conn, bytes(account), leaf_hash(record.body))
    conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, id_))
    return True


def known(conn: Connection, id_: str) -> Known | None:
    """What is known of a certificate now."""
    row = conn.execute("SELECT certificate, extract(epoch FROM revoked_at) FROM department WHERE id = %s", (id_,))
    found = row.fetchone()
    return None if found is None else Known(bytes(found[0]), None if found[1] is None else float(found[1]))


def held(conn: Connection, id_: str, at_s: float) -> bool:
    """Whether what a certificate's key signed at a moment (unix seconds) counts. Raises DepartmentError."""
    found = known(conn, id_)
    if found is None:
        raise DepartmentError(f"no certificate {id_}: `roadcode department list` names those there are")
    return parse_certificate(found.certificate).held_at(at_s, found.revoked_s)


def departments(conn: Connection) -> list[Department]:
    """Every certificate that was ever granted, oldest first."""
    rows = conn.execute(
        "SELECT id, name, kind, certificate, granted_at, revoked_at, revoked_why FROM department "
        "ORDER BY granted_at, id"
    )
    return [Department(r[0], r[1], r[2], bytes(r[3]), r[4], r[5], r[6]) for r in rows]


def note_reads(conn: Connection, id_: str, day: date, scopes: Sequence[str], at: datetime) -> None:
    """Count one request under each of some scopes."""
    conn.execute(
        "INSERT INTO department_read (certificate, day, scope, requests, last_at) "
        "SELECT %s, %s, s, 1, %s FROM unnest(%s::text[]) AS s ORDER BY s "
        "ON CONFLICT (certificate, day, scope) DO UPDATE "
        "SET requests = department_read.requests + 1, last_at = greatest(department_read.last_at, excluded.last_at)",
        (id_, day, at, sorted(set(scopes))),
    )


def reads(conn: Connection, since: date, id_: str | None = None) -> list[Reads]:
    """What was read from a day on, newest day first."""
    rows = conn.execute(
        "SELECT r.certificate, d.name, r.day, r.scope, r.requests, r.last_at FROM department_read r "
        "JOIN department d ON d.id = r.certificate WHERE r.day >= %s AND (%s::text IS NULL OR r.certificate = %s) "
        "ORDER BY r.day DESC, r.certificate, r.scope",
        (since, id_, id_),
    )
    return [Reads(*row) for row in rows]


def use_token(conn: Connection, jti: bytes, exp_s: int, now_s: float) -> bool:
    """Note that a token changes something; False where it did before. Some of those that have ended are let go."""
    conn.execute(
        "DELETE FROM department_token WHERE jti IN (SELECT jti FROM department_token WHERE exp_s < %s LIMIT %s "
        "FOR UPDATE SKIP LOCKED)",
        (int(now_s) - 60, _SWEPT),
    )
    done = conn.execute(
        "INSERT INTO department_token (jti, exp_s) VALUES (%s, %s) ON CONFLICT DO NOTHING", (jti, exp_s)
    )
    return done.rowcount == 1


def faults(conn: Connection) -> list[tuple[str, str]]:
    """Certificates that the log does not speak of as the table does: (id, what is wrong). Records still in the outbox
    count as said."""
    granted: dict[bytes, str] = {}
    revoked: set[bytes] = set()
    rows = conn.execute(
        "SELECT body FROM record WHERE kind = 'department' UNION ALL SELECT body FROM outbox WHERE kind = 'department'"
    )
    for (body,) in rows:
        said = parse(bytes(body))
        if said["step"] == "granted":
            granted[said["certificate"]] = str(said["terms"].get("id"))
        else:
            revoked.add(said["certificate"])
    found: list[tuple[str, str]] = []
    seen = set()
    for row in departments(conn):
        name = digest(row.certificate)
        seen.add(name)
        if granted.get(name) != row.id:
            found.append((row.id, "the log has no grant of it: its bytes were changed, or put in by hand"))
        if (name in revoked) != (row.revoked_at is not None):
            said_now = "revoked" if name in revoked else "in force"
            found.append((row.id, f"the log says that it is {said_now}, the table says otherwise"))
    return found + [(granted[n], "the log has its grant, the table lacks it") for n in granted if n not in seen]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
