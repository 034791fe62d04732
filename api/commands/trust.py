"""`roadcode trust`: whose signatures count on this instance."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .district import iso, opened
from .printing import ERR, Json, show

app = typer.Typer(
    help="The trust list: whose keys count here. Fetched from a hub once an hour, or made of this district's own keys.",
    no_args_is_help=True,
)
_Home = Annotated[Path | None, typer.Option("--home", help="the data folder")]


@app.command("show")
def show_list(
    out: Annotated[Path | None, typer.Option("--out", help="also write the signed list to this file")] = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """The list in force, how old it is, and the keys on it. Ends with 1 where it is old or has expired."""
    from ledger import fingerprint, key_state  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415  (as everywhere here: `--help` needs no services)

    known = wiring.trust(opened(home))
    now_s = time.time()
    held, source = known.in_force(now_s)
    if out is not None:
        out.write_bytes(held.data)
    why = known.complaint(now_s)
    rows: list[dict[str, Any]] = [
        {
            "district": k.issuer, "name": k.name, "key": k.kid.hex(), "state": key_state(k, now_s),
            "from": iso(k.from_s), "to": iso(k.to_s), "fingerprint": fingerprint(k.key),
        }
        for k in held.trust.keys
    ]  # fmt: skip
    if as_json:
        about = {
            "source": source, "publisher": held.trust.publisher, "number": held.trust.number, "sha256": held.sha256,
            "key": held.key.public.hex(), "fingerprint": fingerprint(held.key), "issued": iso(held.trust.issued_s),
            "expires": iso(held.trust.expires_s), "age_s": max(0, int(now_s - held.fetched_s)), "complaint": why,
            "value_sets": {name: digest.hex() for name, digest in held.trust.value_sets.items()}, "keys": rows,
        }  # fmt: skip
        show([about], True)
    else:
        show(rows, False, f"list {held.trust.number} of {held.trust.publisher} ({source}), sha256 {held.sha256}")
        ERR.print(
            f"signed by {held.key.kid.hex()}, fingerprint {fingerprint(held.key)}; expires {iso(held.trust.expires_s)}"
            f"; confirmed {(now_s - held.fetched_s) / 3600:.1f} h ago", soft_wrap=True,
        )  # fmt: skip
        if why:
            ERR.print(why, soft_wrap=True)
    raise typer.Exit(1 if why else 0)


@app.command()
def update(
    file: Annotated[Path | None, typer.Option("--file", help="take a list that came by hand, not over the net")] = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Fetch the hub's newest list now, check it, and say what it changes. A list that is older, of another chain, or
    expired is not taken, and the one that is here goes on."""
    from .. import wiring  # noqa: PLC0415
    from ..hub_line import NotUpdated  # noqa: PLC0415

    known = wiring.trust(opened(home))
    now_s = time.time()
    if file is None:
        held, news = known.update(now_s)
    elif known.pin is None:
        raise NotUpdated("a hub's list needs ROADCODE_HUB_URL and the hub's pinned key: `roadcode trust pin KEY`")
    else:
        held, news = known.folder.take(file.read_bytes(), known.pin, now_s)
    title = f"list {held.trust.number} of {held.trust.publisher}, expires {iso(held.trust.expires_s)}"
    show([{"number": held.trust.number, "news": line} for line in news or ["nothing new"]], as_json, title)


@app.command()
def pin(
    key: Annotated[str, typer.Argument(help="the hub's public key, 64 hex digits, as `roadcode hub list` prints it")],
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Trust this hub key from now on. First let a person of the hub read its fingerprint to you: this is the one moment
    on which everything else rests. ROADCODE_HUB_KEY does the same and goes first."""
    from ledger import fingerprint  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415
    from ..trust_folder import read_key  # noqa: PLC0415

    try:
        pinned = read_key(key)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    given = opened(home)
    wiring.trust(given).folder.set_pin(pinned)
    show([{"pinned": pinned.kid.hex(), "fingerprint": fingerprint(pinned)}], as_json)
    if given.hub_key and given.hub_key != pinned.public.hex():
        ERR.print("ROADCODE_HUB_KEY names another key and goes first: change or unset it", soft_wrap=True)
