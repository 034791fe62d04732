"""`roadcode device`: who may send. Every change is in force at the broker when the command ends."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from .printing import ERR, Json, bar, settings, show

app = typer.Typer(help="Devices: let them in, list them, shut them out, renew their passwords.", no_args_is_help=True)
_Home = Annotated[Path | None, typer.Option("--home", help="the data folder")]
_PAGE = 1000
_DAY_S = 86_400.0


@app.command()
def add(
    names: Annotated[list[str], typer.Argument(help="names: lower case, digits, hyphens", metavar="NAME...")],
    kind: Annotated[str, typer.Option(help="box or phone")] = "box",
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Let devices publish: gives each a password of its own, in a credential file that only you can read. One that is
    there already keeps its password."""
    from .. import wiring  # noqa: PLC0415  (as everywhere here: `--help` needs no services)
    from ..platform import enrol_here  # noqa: PLC0415

    if kind not in ("box", "phone"):
        raise typer.BadParameter("kind is box or phone")
    full = wiring.resolved(settings(home=home))
    with bar() as progress:
        task = progress.add_task("enrolling", total=len(names))
        if progress.disable and len(names) > 500:
            ERR.print(f"enrolling {len(names)} devices: some 2 ms each, then the broker reads its list")
        wanted = [(name, kind) for name in dict.fromkeys(names)]
        folder, made = enrol_here(full, wanted, "own", lambda n: progress.advance(task, n))
    show([{"device": c.device, "kind": c.kind, "credential": str(folder / f"{c.device}.json")} for c in made], as_json)
    ERR.print("Put each file on its device and keep it secret, the client id too: it is the device.", soft_wrap=True)


@app.command("list")
def list_devices(
    kind: Annotated[str | None, typer.Option(help="only box, or only phone")] = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Who is enrolled, since when, whose password was renewed when, and who was shut out."""
    from ingest import devices  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    rows: list[dict[str, Any]] = []
    with wiring.database(wiring.resolved(settings(home=home))) as conn:
        after = ""
        while page := devices.devices(conn, after, _PAGE):
            after = page[-1].id
            rows += [_row(d) for d in page if kind in (None, d.kind)]
    show(rows, as_json, f"{len(rows)} devices")


def _row(device: Any) -> dict[str, Any]:
    def moment(at: Any) -> str | None:
        return at.isoformat(timespec="seconds") if at else None

    state = "erased" if device.erased_at else "disabled" if device.disabled_at else "let in"
    return {
        "device": device.id, "kind": device.kind, "state": state, "enrolled": moment(device.enrolled_at),
        "disabled": moment(device.disabled_at), "rotated": moment(device.rotated_at),
        "consent": device.consent_version,
    }  # fmt: skip


@app.command()
def disable(
    names: Annotated[list[str], typer.Argument(help="the devices", metavar="NAME...")],
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Shut devices out, for good and at once: their sessions end, and what still comes of them is refused. What they
    sent before stays. A device that was stolen but came back gets a new name."""
    from .. import wiring  # noqa: PLC0415
    from ..embedded import Broker, open_folder  # noqa: PLC0415
    from ..enrolment import disable as shut_out  # noqa: PLC0415

    full = wiring.resolved(settings(home=home))
    with wiring.database(full) as conn:
        gone = shut_out(conn, Broker(open_folder(full.home)), names, full.read_city().origins)
    said = {True: "shut out now", False: "was shut out before"}
    show([{"device": name, "became": said[name in gone]} for name in dict.fromkeys(names)], as_json)


@app.command()
def rotate(
    name: Annotated[str, typer.Argument(help="the device")],
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Give a device a new password and client id: the old ones stop working at once, and its session ends."""
    from .. import wiring  # noqa: PLC0415
    from ..embedded import Broker, open_folder  # noqa: PLC0415
    from ..enrolment import rotate as renew  # noqa: PLC0415

    full = wiring.resolved(settings(home=home))
    folder = full.home.resolve() / "devices" / "own"
    with wiring.database(full) as conn:
        renew(conn, Broker(open_folder(full.home)), folder, name, wiring.address(full), full.read_city().origins)
    show([{"device": name, "credential": str(folder / f"{name}.json")}], as_json)


@app.command()
def invite(
    uses: Annotated[int, typer.Option(help="phones that may enrol with it", min=1, max=1_000_000)] = 1,
    days: Annotated[float, typer.Option(help="days that it holds", min=0.01, max=366)] = 14.0,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Make a code with which phones enrol themselves (POST /api/v1/devices). Shown once: only its hash is kept."""
    from ingest import devices  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    full = wiring.resolved(settings(home=home))
    code = secrets.token_hex(10)  # 80 bits: as many as nobody guesses over HTTP, and few enough to type once
    with wiring.database(full) as conn:
        end = devices.invite(conn, code, uses, days * _DAY_S)
    show([{"invitation": code, "uses": uses, "until": end.isoformat(timespec="seconds")}], as_json)
    if full.enrolment == "off":
        ERR.print("ROADCODE_ENROLMENT is off here: nobody can use it until that is `invitation` or `open`")
