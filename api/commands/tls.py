"""`roadcode tls`: a certificate for a first try."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from .printing import ERR, Json, settings, show

app = typer.Typer(help="TLS for map and broker.", no_args_is_help=True)


@app.callback()
def tls() -> None:
    """TLS for map and broker."""


@app.command("self-signed")
def self_signed(
    host: Annotated[list[str], typer.Option("--host", help="a name or address by which devices and browsers find this machine; may be given several times")],  # noqa: E501
    home: Annotated[Path | None, typer.Option("--home", help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Make a CA and a server certificate that hold a year, in the data folder, and say which settings use them.

    For a first try, or a network of one's own. Devices get the CA with their credential; a browser warns until it is
    told to trust it. Made again, it is a new CA: enrol the devices again, so that their credentials have it."""
    from ..tls import self_signed as make  # noqa: PLC0415

    given = settings(home=home)
    files = make(given.home, host, datetime.now(UTC))
    rows = [{"setting": f"ROADCODE_{name.upper()}", "value": str(path)} for name, path in sorted(files.items())]
    rows.append({"setting": "ROADCODE_MQTT_HOST", "value": host[0]})
    show(rows, as_json, "set these, for `up` and for the commands that enrol devices")
    if not as_json:
        ERR.print(f"To open the broker: ROADCODE_MQTT_LISTEN=0.0.0.0:8883, and see docs/security.md. Names: {host}")
