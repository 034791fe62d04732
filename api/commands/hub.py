"""`roadcode hub`: a hub that hands out lists of districts' keys, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .district import iso, read_kid
from .printing import ERR, Json, show

EXAMPLES = """roadcode hub init --folder union --name "Hangzhou union", then add-district FILE, then serve. What
districts need is the address and the key that `list` prints; they compare its fingerprint with you."""
app = typer.Typer(
    help="A hub for several districts: it publishes whose keys count and what the numbers in codes mean. It never sees "
    "a code, nor a question about a place. A folder of files, no database.",
    no_args_is_help=True,
)
_Folder = Annotated[Path, typer.Option("--folder", help="the hub's folder")]
_FOLDER = Path("hub")


@app.command(epilog=EXAMPLES)
def init(
    name: Annotated[str, typer.Option(help="what the hub is called")],
    folder: _Folder = _FOLDER,
    as_json: Json = False,
) -> None:
    """Make a hub: its folder, its key, and the first list, which is empty."""
    from ..hub import Hub  # noqa: PLC0415  (as everywhere here: `--help` wakes nothing)

    hub = Hub(folder)
    _told(hub, hub.init(name, time.time()), as_json)


@app.command("add-district")
def add_district(
    file: Annotated[Path, typer.Argument(help="what `roadcode district export` wrote there")],
    compared: Annotated[
        list[str] | None,
        typer.Option(
            "--fingerprint", help="of a new key, as a person of that district read it to you; repeatable"
        ),
    ] = None,
    folder: _Folder = _FOLDER,
    as_json: Json = False,
) -> None:
    """Take a district's keys and publish. The first time, and after a leak, it wants the fingerprint; later keys are
    vouched for by an earlier key of the same district. Nobody enters keys for another district's code."""
    from ..hub import Hub  # noqa: PLC0415

    hub = Hub(folder)
    _told(hub, hub.add(file.read_bytes(), time.time(), compared or []), as_json)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="the key's name, 16 hex digits, as `list` shows it")],
    why: Annotated[str, typer.Option(help="the reason, for the journal")],
    folder: _Folder = _FOLDER,
    as_json: Json = False,
) -> None:
    """Revoke a district's key and publish at once, on that district's telephone call. It cannot be taken back."""
    from ..hub import Hub  # noqa: PLC0415

    hub = Hub(folder)
    _told(hub, hub.revoke(read_kid(key), time.time(), why), as_json)


@app.command()
def publish(folder: _Folder = _FOLDER, as_json: Json = False) -> None:
    """Sign the next list, which holds for a week: once a day, by a timer, where `serve --renew` does not do it."""
    from ..hub import Hub  # noqa: PLC0415

    hub = Hub(folder)
    _told(hub, hub.publish(time.time()), as_json)


@app.command()
def rotate(folder: _Folder = _FOLDER, as_json: Json = False) -> None:
    """Announce a new key of the hub itself, in a list that the old one signs; the next list is signed by the new one.
    Districts follow by themselves; who joins later pins the new key."""
    from ..hub import Hub  # noqa: PLC0415

    hub = Hub(folder)
    _told(hub, hub.rotate(time.time()), as_json)


@app.command("list")
def list_keys(folder: _Folder = _FOLDER, as_json: Json = False) -> None:
    """Every district and key, the hub's own key, and the newest list."""
    from ..hub import Hub  # noqa: PLC0415

    hub = Hub(folder)
    newest, rows = hub.newest(), hub.rows()
    if as_json:
        show([{**_about(hub, newest), "keys": rows}], True)
        return
    show(rows, False, f"{newest.trust.publisher}: list {newest.trust.number}, expires {iso(newest.trust.expires_s)}")
    about = _about(hub, newest)
    ERR.print(f"for districts: ROADCODE_HUB_KEY={about['key']}\nfingerprint {about['fingerprint']}", soft_wrap=True)


@app.command()
def serve(
    folder: _Folder = _FOLDER,
    host: Annotated[str, typer.Option(help="where it listens; anything else than loopback is open")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="its port", min=1, max=65535)] = 8430,
    renew: Annotated[bool, typer.Option("--renew", help="sign a new list once a day; needs secret/")] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="certificate (PEM); lists are signed without it too")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="its key (PEM)")] = None,
) -> None:
    """Hand out lists and value sets until Ctrl-C. Reads `public/` alone, unless --renew."""
    import uvicorn  # noqa: PLC0415

    from ..hub import Public  # noqa: PLC0415
    from ..hub_app import create_hub_app  # noqa: PLC0415

    number = Public(folder).newest()
    if not number:
        raise typer.BadParameter(f"{folder} has no list: `roadcode hub init` makes one")
    ERR.print(f"hub at {'https' if tls_cert else 'http'}://{host}:{port}, list {number}", soft_wrap=True)
    # No access log: who asks, and when, is nobody's business.
    uvicorn.run(
        create_hub_app(folder, renew), host=host, port=port, log_level="warning", access_log=False,
        timeout_graceful_shutdown=2, server_header=False, ssl_certfile=tls_cert, ssl_keyfile=tls_key,
    )  # fmt: skip


def _told(hub: Any, published: Any, as_json: bool) -> None:
    show([_about(hub, published)], as_json, "published")


def _about(hub: Any, published: Any) -> dict[str, Any]:
    from ledger import fingerprint  # noqa: PLC0415

    key = hub.key()
    return {
        "list": published.trust.number, "keys on it": len(published.trust.keys), "sha256": published.sha256,
        "expires": iso(published.trust.expires_s), "key": key.public.hex(), "fingerprint": fingerprint(key),
    }  # fmt: skip
