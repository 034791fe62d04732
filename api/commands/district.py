"""`roadcode district`: the keys that sign road codes for this district."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ..settings import Settings
from .printing import ERR, OUT, Json, settings, show

EXAMPLES = """Planned, once a year:  roadcode district rotate --in-days 7, then roadcode district export, and the file
to the hub. A key leaked:  roadcode district revoke KEY --why "laptop stolen", and call the hub."""
app = typer.Typer(
    help="The district's signing keys: list, follow up, revoke, tell the hub. Secret halves are never shown.",
    no_args_is_help=True,
)
_Home = Annotated[Path | None, typer.Option("--home", help="the data folder")]
_DAY_S = 86_400


@app.command()
def keys(home: _Home = None, as_json: Json = False) -> None:
    """The district's keys with their state and fingerprint. The first key is made here where there is none yet."""
    from .. import wiring  # noqa: PLC0415  (as everywhere here: `--help` needs no services)

    given = opened(home)
    ours = wiring.district_keys(given)
    now_s = time.time()
    ours.current(now_s)
    _tell(given, now_s)
    show([_row(key, now_s) for key in ours.all()], as_json, f"keys of district {ours.issuer}")


@app.command(epilog=EXAMPLES)
def rotate(
    in_days: Annotated[
        float, typer.Option(help="days until the new key signs: time for the hub to publish it", min=0, max=365)
    ] = 0.0,
    overlap_days: Annotated[
        float, typer.Option(help="days that the old key's codes still count after that", min=2, max=400)
    ] = 3.0,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Follow the key in force by a new one. Codes signed before stay valid to their end. With a hub, give --in-days:
    until its list has the new key, other districts refuse what it signs."""
    from .. import wiring  # noqa: PLC0415

    given = opened(home)
    ours = wiring.district_keys(given)
    now_s = time.time()
    made = ours.rotate(now_s, now_s + in_days * _DAY_S, int(overlap_days * _DAY_S))
    _tell(given, now_s)
    show([_row(made, now_s)], as_json, "the next key")
    if given.hub_url:
        ERR.print("Tell the hub: `roadcode district export`, and `roadcode hub add-district` there.", soft_wrap=True)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="the key's name, 16 hex digits, as `keys` shows it")],
    why: Annotated[str, typer.Option(help="the reason, for the log")],
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """End a key at once, for everything it ever signed: nobody can tell its true signatures from forged ones. Where it
    was the one that signs, a new one is made. Then call the hub: its people revoke it there too."""
    from .. import wiring  # noqa: PLC0415

    given = opened(home)
    ours = wiring.district_keys(given)
    now_s = time.time()
    ours.revoke(read_kid(key), now_s, why)
    _tell(given, now_s)
    show([_row(k, now_s) for k in ours.all()], as_json, f"keys of district {ours.issuer}")
    if given.hub_url:
        ERR.print(
            "Other districts refuse it once the hub has published that: call its people, and send them the file of "
            "`roadcode district export`.", soft_wrap=True,
        )  # fmt: skip


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="the file to write")] = Path("district-keys.cbor"),
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Write what the hub is told: all public keys, signed by each secret half that is here. It holds no secret. The
    first time, read the fingerprint to the hub's people by telephone or face to face."""
    from ledger import fingerprint, read_statement  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    ours = wiring.district_keys(opened(home))
    now_s = time.time()
    ours.current(now_s)
    data = ours.statement()
    out.write_bytes(data)
    said = read_statement(data)
    rows = [
        {"file": str(out), "district": said.issuer, "statement": said.number, "key": k.kid.hex(),
         "fingerprint": fingerprint(k.key)}
        for k in said.keys if k.revoked_s is None and k.to_s > now_s
    ]  # fmt: skip
    show(rows, as_json, "send the file; read the fingerprint aloud")


def read_kid(text: str) -> bytes:
    """A key's name. Raises BadParameter."""
    try:
        kid = bytes.fromhex(text)
    except ValueError:
        kid = b""
    if len(kid) != 8:
        raise typer.BadParameter("a key's name is 16 hex digits")
    return kid


def opened(home: Path | None) -> Settings:
    """The settings, once the data folder is there and its owner's alone: keys may be made before the first start."""
    from ..embedded import open_folder  # noqa: PLC0415

    given = settings(home=home)
    open_folder(given.home)
    return given


def _row(key: Any, now_s: float) -> dict[str, Any]:
    from ledger import fingerprint, key_state  # noqa: PLC0415

    return {
        "key": key.kid.hex(), "state": key_state(key, now_s), "from": iso(key.from_s), "to": iso(key.to_s),
        "revoked": iso(key.revoked_s) if key.revoked_s is not None else None, "fingerprint": fingerprint(key.key),
    }  # fmt: skip


def iso(t_s: float) -> str:
    """A moment, for people."""
    return datetime.fromtimestamp(t_s, UTC).isoformat(timespec="seconds")


def _tell(given: Settings, now_s: float) -> None:
    """The log, at once where the database is there; else the keeper tells it when it runs."""
    import psycopg  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    try:
        full = wiring.resolved(given)
        with wiring.database(full) as conn, conn.transaction():
            wiring.trust(full).tell(conn, full.read_city().origins, now_s)
    except (wiring.NotRunning, psycopg.Error):
        OUT.print("The log learns of it when the platform runs.", style="dim") if OUT.is_terminal else None
