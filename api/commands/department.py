"""`roadcode department`: who may read what. Two sides: the department makes its key and its tokens, offline; the
operator grants, lists and revokes, and never sees a secret key."""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from .printing import ERR, Json, settings, show

app = typer.Typer(
    help="Departments: let them read what their duty needs, for a time, and end it at once.", no_args_is_help=True,
    epilog="A department runs `new-key` and `token` on its own machine; the operator runs the rest.",
)  # fmt: skip
_Home = Annotated[Path | None, typer.Option("--home", help="the data folder")]
_Folder = Annotated[Path, typer.Argument(help="the department's own folder, with its key", metavar="DIR")]
_KEY, _REQUEST, _CERTIFICATE = "department.key", "request.txt", "certificate.txt"
_MOST_FILE = 1 << 16


def errors() -> tuple[type[BaseException], ...]:
    """Errors that say themselves what to do."""
    from ledger import DistrictKeyError, NoteError, UnknownAlgorithm, department  # noqa: PLC0415  (as everywhere here)

    return (department.DepartmentError, DistrictKeyError, NoteError, UnknownAlgorithm)


@app.command("new-key")
def new_key(
    folder: _Folder,
    name: Annotated[str, typer.Option(help="of the department, as the operator's list shall show it")],
    kind: Annotated[str, typer.Option(help="urban_management, traffic_police, cover_owner, auditor, research, counter, "
                                           "mall")],
    as_json: Json = False,
) -> None:  # fmt: skip
    """The department: make a key, which stays here, and a request for a certificate. Needs no platform and no network.

    Send the request to the operator, and read the fingerprint to him by telephone: by it he knows that nobody exchanged
    the request on its way."""
    from ledger import department, load_pair  # noqa: PLC0415

    if (folder / _KEY).exists():
        raise department.DepartmentError(f"{folder} has a key already: a key has one certificate, so take another "
                                         "folder for another one")  # fmt: skip
    department.check_request(name, kind)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pair = load_pair(folder / _KEY)
    text = department.to_text(department.make_request(pair, name, kind, int(time.time())))
    _write(folder / _REQUEST, text)
    show([{"department": name, "kind": kind, "fingerprint": pair.kid.hex(), "key": str(folder / _KEY),
           "request": str(folder / _REQUEST)}], as_json)  # fmt: skip
    ERR.print(f"Keep {folder / _KEY} secret: it is the department. Send {folder / _REQUEST} to the operator, and tell "
              "the fingerprint by telephone.", soft_wrap=True)  # fmt: skip


@app.command()
def grant(
    request: Annotated[Path, typer.Argument(help="the department's request.txt")],
    fingerprint: Annotated[str, typer.Option(help="the key's, as the department says it by telephone")],
    scopes: Annotated[str, typer.Option(help="what it opens, comma-separated; docs/departments.md lists them")],
    until: Annotated[str, typer.Option(help="the last day that it holds, YYYY-MM-DD; 400 days at the most")],
    area: Annotated[str, typer.Option(help="names of districts, comma-separated, or all")] = "all",
    kinds: Annotated[str, typer.Option(help="keys of defect types, comma-separated, or all")] = "all",
    start: Annotated[str | None, typer.Option("--from", help="the first day, YYYY-MM-DD; without it from now")] = None,
    name: Annotated[str | None, typer.Option(help="another name than the request says")] = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """The operator: grant a certificate for a request. Log and chain record it, and it opens at once."""
    from ledger import department, department_store  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    asked = department.read_request(_read(request))
    if not secrets.compare_digest(asked.public.kid.hex().encode(), fingerprint.strip().lower().encode()):
        raise department.DepartmentError(
            f"the key in {request} is {asked.public.kid.hex()}, not {fingerprint}: if the department says the other, "
            "the request was exchanged on its way"
        )
    full = wiring.resolved(settings(home=home))
    city = full.read_city()
    now_s = time.time()
    from_s = int(now_s) if start is None else int(_midnight(start, city.zone).timestamp())
    to_s = int((_midnight(until, city.zone) + timedelta(days=1)).timestamp())
    with wiring.database(full) as conn, conn.transaction():
        certificate = department.Certificate(
            f"dep-{secrets.token_hex(6)}", department_store.instance_name(conn), name or asked.department, asked.kind,
            asked.public, _names(scopes) or (), _names(area), _names(kinds), from_s, to_s,
        )  # fmt: skip
        _check_named(conn, certificate)
        signed = department.make_certificate(wiring.district_keys(full).current(now_s), certificate)
        department_store.grant(conn, certificate, signed, datetime.fromtimestamp(now_s, UTC), city.origins)
    place = full.home.resolve() / "departments" / certificate.id / _CERTIFICATE
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(place, department.to_text(signed))
    show([_row(certificate) | {"certificate": str(place)}], as_json)
    ERR.print(f"Send {place} to the department, which lays it beside its key. Without the key it opens "
              "nothing.", soft_wrap=True)  # fmt: skip


@app.command("list")
def list_departments(home: _Home = None, as_json: Json = False) -> None:
    """The operator: every certificate there ever was, what it opens, and whether it holds now."""
    from ledger import department, department_store  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    now_s = time.time()
    with wiring.database(wiring.resolved(settings(home=home))) as conn:
        found = department_store.departments(conn)
    rows: list[dict[str, Any]] = []
    for one in found:
        certificate = department.parse_certificate(one.certificate)
        state = "holds" if certificate.holds_at(now_s) else "ended" if now_s >= certificate.to_s else "not yet"
        rows.append(_row(certificate) | {"state": "revoked" if one.revoked_at else state, "revoked": one.revoked_at,
                                         "why": one.revoked_why})  # fmt: skip
    show(rows, as_json, f"{len(rows)} certificates")


@app.command()
def revoke(
    certificate: Annotated[str, typer.Argument(help="its id, as `list` shows it", metavar="ID")],
    why: Annotated[str, typer.Option(help="the reason, which the log keeps for good")],
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """The operator: end a certificate at once and for good. The next request is refused, and open streams end."""
    from ledger import department_store  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    full = wiring.resolved(settings(home=home))
    now = datetime.now(UTC)
    with wiring.database(full) as conn, conn.transaction():
        done = department_store.revoke(conn, certificate, why, now, full.read_city().origins)
    show([{"certificate": certificate, "became": "revoked now" if done else "was revoked before"}], as_json)


@app.command()
def token(
    folder: _Folder,
    minutes: Annotated[int, typer.Option(help="how long it holds", min=1, max=60)] = 60,
    url: Annotated[str, typer.Option(help="address of the platform, for the example")] = "http://127.0.0.1:8420",
    as_json: Json = False,
) -> None:
    """The department: make a token from its key and its certificate.txt. Needs no platform and no network.

    Whoever has the token is the department until it ends: hand it on by no mail, and never put it into an address."""
    from ledger import department, load_pair  # noqa: PLC0415

    certificate = department.parse_certificate(_read(folder / _CERTIFICATE))
    if not (folder / _KEY).exists():
        raise department.DepartmentError(f"{folder} has no {_KEY}: make one with `roadcode department new-key`")
    now_s = int(time.time())
    text = department.make_token(
        load_pair(folder / _KEY), certificate, secrets.token_bytes(department.JTI), now_s, minutes * 60
    )
    until = datetime.fromtimestamp(min(now_s + minutes * 60, certificate.to_s), UTC).isoformat(timespec="seconds")
    if as_json:
        show([{"token": text, "until": until, "certificate": certificate.id, "audience": certificate.audience}], True)
        return
    print(text)
    ERR.print(f"holds until {until}, for instance {certificate.audience} alone; for example\n"
              f"  TOKEN=$(roadcode department token {folder} 2>/dev/null)\n"
              f'  curl -H "Authorization: Bearer $TOKEN" {url}/api/v1/cases',
              soft_wrap=True, highlight=False, markup=False)  # fmt: skip


@app.command("show")
def show_certificate(
    folder: Annotated[Path, typer.Argument(help="a certificate.txt, or the folder it lies in", metavar="PATH")],
    as_json: Json = False,
) -> None:
    """Anybody: what a certificate says that it opens. Who signed it is not looked at."""
    from ledger import department  # noqa: PLC0415

    path = folder / _CERTIFICATE if folder.is_dir() else folder
    certificate = department.parse_certificate(_read(path))
    show([_row(certificate) | {"instance": certificate.audience}], as_json)


@app.command()
def reads(
    days: Annotated[int, typer.Option(help="service days back", min=1, max=3660)] = 7,
    certificate: Annotated[str | None, typer.Option("--id", help="of one certificate alone")] = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """The operator: how often which department read what, by day and scope. What the answers held is not kept."""
    from ledger import department_store  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    full = wiring.resolved(settings(home=home))
    today = full.read_city().service_day(time.time())
    with wiring.database(full) as conn:
        found = department_store.reads(conn, today - timedelta(days=days - 1), certificate)
    rows = [{"day": r.day.isoformat(), "certificate": r.certificate, "department": r.department, "scope": r.scope,
             "requests": r.requests, "last": r.last_at.isoformat(timespec="seconds")} for r in found]  # fmt: skip
    show(rows, as_json, f"reads of {days} days")


@app.command()
def held(
    certificate: Annotated[str, typer.Argument(help="its id", metavar="ID")],
    at: Annotated[str, typer.Option(help="a moment with its zone, as 2026-05-01T09:00:00+08:00")],
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Anybody with the database: whether what a department signed at a moment counts. Take the moment from the first
    anchor that covers the signed statement, never from the statement itself."""
    from ledger import department, department_store  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901  (without a zone: refused with those that lack one)
    if moment.tzinfo is None:
        raise department.DepartmentError("--at is a moment with its zone, as 2026-05-01T09:00:00+08:00")
    full = wiring.resolved(settings(home=home))
    with wiring.database(full) as conn:
        answer = department_store.held(conn, certificate, moment.timestamp())
        faults = [text for id_, text in department_store.faults(conn) if id_ == certificate]
    rows = [{"certificate": certificate, "at": at, "counts": "yes" if answer else "no", "log": "; ".join(faults)
             or "says the same as the table"}]  # fmt: skip
    show(rows, as_json)
    raise typer.Exit(0 if answer and not faults else 1)


def _row(certificate: Any) -> dict[str, Any]:
    def day(at_s: int) -> str:
        return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")

    return {
        "id": certificate.id, "department": certificate.department, "kind": certificate.kind,
        "fingerprint": certificate.public.kid.hex(), "scopes": ",".join(certificate.scopes),
        "area": ",".join(certificate.area or ("all",)), "kinds": ",".join(certificate.kinds or ("all",)),
        "from": day(certificate.from_s), "until": day(certificate.to_s),
    }  # fmt: skip


def _check_named(conn: Any, certificate: Any) -> None:
    """Raises DepartmentError for a district or a defect that there is not: a typing error would show nothing."""
    from defects import ALL_TYPES  # noqa: PLC0415
    from grid import store as grid_store  # noqa: PLC0415
    from ledger import department  # noqa: PLC0415

    there = {row["district"] for row in grid_store.lengths(conn)}
    for what, names, known in (("district", certificate.area, there), ("kind of defect", certificate.kinds,
                                                                       {t.key for t in ALL_TYPES})):  # fmt: skip
        unknown = sorted(set(names or ()) - known)
        if unknown:
            raise department.DepartmentError(f"{', '.join(unknown)}: no {what} here; there are "
                                             f"{', '.join(sorted(known)) or 'none: import roads first'}")  # fmt: skip


def _names(text: str) -> tuple[str, ...] | None:
    names = sorted({part.strip() for part in text.split(",") if part.strip()})
    return None if names == ["all"] else tuple(names)


def _midnight(text: str, zone: Any) -> datetime:
    from ledger import department  # noqa: PLC0415

    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise department.DepartmentError(f"{text!r} is no day: write YYYY-MM-DD") from None
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _read(path: Path) -> bytes:
    from ledger import department  # noqa: PLC0415

    with path.open("rb") as file:
        text = file.read(_MOST_FILE)
    try:
        return department.of_text(text.decode("ascii").strip())
    except ValueError:
        raise department.DepartmentError(f"{path} holds no request and no certificate: take the file as it was made "
                                         "by roadcode department") from None  # fmt: skip


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text + "\n")
