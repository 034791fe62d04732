"""`roadcode points report` and `roadcode points appeals`: what a clerk decides, each with a name and a reason."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from .printing import ERR, Json, settings, show

report = typer.Typer(
    help="Reports by photo, hotline or counter. A confirmed one earns like a verified pass, at the day's settlement.",
    no_args_is_help=True,
)
appeals = typer.Typer(help="Appeals: a person answers each, and says why.", no_args_is_help=True)

Home = Annotated[Path | None, typer.Option("--home", help="the data folder")]
_Clerk = Annotated[str, typer.Option("--clerk", help="who decides: your name or number, kept with the decision")]
_Why = Annotated[str, typer.Option("--why", help="the reason, in words that the person will read")]


def opened(home: Path | None) -> tuple[Any, Any]:
    """The city, and a connection that its user closes."""
    from .. import wiring  # noqa: PLC0415  (as everywhere here: `--help` needs no database)

    full = wiring.resolved(settings(home=home))
    return full.read_city(), wiring.database(full)


def now() -> datetime:
    """This moment."""
    return datetime.fromtimestamp(time.time(), UTC)


def write_private(path: Path, content: bytes) -> None:
    """A file for its owner alone: a number on paper is worth the points, a photo is somebody's."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)


def _said(text: str, what: str) -> str:
    """A word that is kept with a decision."""
    plain = " ".join(text.replace("\0", "").split())
    if not 0 < len(plain) <= 500:
        raise typer.BadParameter(f"{what} is 1 to 500 letters")
    return plain


# ---------------------------------------------------------------- reports


@report.command("add")
def add(
    by: Annotated[str, typer.Option(help="how it came: photo, hotline or counter")],
    at: Annotated[str, typer.Option(metavar="LAT,LON", help="where it is: latitude, then longitude (WGS 84)")],
    kind: Annotated[str, typer.Option(help="which defect: pothole, defective_cover ... (a wrong one lists all)")],
    note: Annotated[str, typer.Option(help="what the person said; no names and numbers, please")] = "",
    number: Annotated[str | None, typer.Option("--paper", help="the number that the person has already")] = None,
    out: Annotated[Path | None, typer.Option("--print", help="write the paper statement here (HTML, A5)")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take down what somebody reports who has no phone, and give them a number on paper for their points.

    The number is shown once: only its hash is kept. Nobody is asked for a name. A place may also be pointed at on the
    map, whose address line says LAT/LON.
    """
    from ..counter import take_down  # noqa: PLC0415
    from ..paper_page import page, text  # noqa: PLC0415

    try:
        lat, lon = (float(part) for part in at.split(","))
    except ValueError:
        raise typer.BadParameter("--at is LAT,LON in degrees, for example 30.2790,120.1655") from None
    city, conn = opened(home)
    with conn:
        taken = take_down(conn, city, by, lat, lon, kind, note, number, now())
    told = {"city": city.name_zh, "banner": city.banner, **vars(taken)}
    if out is not None:
        write_private(out, page(told).encode())
    if as_json:
        print(json.dumps({**vars(taken), "day": taken.day.isoformat()}, ensure_ascii=False))
        return
    print(text(told))
    if taken.new and out is None:
        ERR.print("Write the number down for the person, or print it with --print FILE: it is not shown again")


@report.command("list")
def list_reports(
    everything: Annotated[bool, typer.Option("--all", help="decided ones too, the newest first")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Reports that wait for a person, the oldest first, with cases that may be meant."""
    from grid import Zone, centres_deg  # noqa: PLC0415
    from ledger import paper, reports  # noqa: PLC0415

    from ..counter import cases_near  # noqa: PLC0415

    city, conn = opened(home)
    zone = Zone(city.utm_zone, city.utm_north)
    with conn:
        rows = []
        for r in reports.reports(conn, None if everything else "waiting"):
            (lon,), (lat,) = centres_deg([r.cell])
            near = cases_near(conn, r.cell, zone) if r.state == "waiting" else [r.case] if r.case else []
            rows.append({
                "report": paper.grouped(r.id), "state": r.state, "by": r.way, "day": r.day, "kind": r.kind,
                "place": f"{lat:.5f},{lon:.5f}", "note": r.note, "photo": "yes" if r.photo else "",
                "cases": ",".join(map(str, near)), "decided by": r.decided_by, "why": r.why,
            })  # fmt: skip
    show(rows, as_json, f"{len(rows)} reports")


@report.command("photo")
def photo(
    number: Annotated[str, typer.Argument(help="the report")],
    out: Annotated[Path, typer.Argument(help="where the photo goes (JPEG)")],
    home: Home = None,
) -> None:
    """Write the photo of a report to a file, to look at it. Delete the file when you have decided."""
    from ledger import paper, reports  # noqa: PLC0415

    _, conn = opened(home)
    with conn:
        found = reports.photo(conn, paper.read_number(number, paper.NAME))
    if found is None:
        raise reports.NoSuchReport("there is no photo of this report, or it has gone with its decision")
    write_private(out, found)
    ERR.print(f"{len(found)} bytes in {out}: faces and number plates are not blurred")


@report.command("confirm")
def confirm(
    number: Annotated[str, typer.Argument(help="the report")],
    clerk: _Clerk,
    why: _Why = "confirmed",
    case: Annotated[int | None, typer.Option(help="its case; default: the one nearby, if one")] = None,
    keep_photo: Annotated[bool, typer.Option(help="keep the photo with the report; else it goes now")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say that a report holds. It earns at the next settlement; several of one defect and day share one part."""
    from grid import Zone  # noqa: PLC0415
    from ledger import paper, reports  # noqa: PLC0415

    from ..counter import cases_near  # noqa: PLC0415

    city, conn = opened(home)
    name = paper.read_number(number, paper.NAME)
    with conn, conn.transaction():
        near = cases_near(conn, reports.report(conn, name).cell, Zone(city.utm_zone, city.utm_north))
        linked = case if case is not None else near[0] if len(near) == 1 else None
        who = _said(clerk, "--clerk")
        claim = reports.confirm(conn, name, who, _said(why, "--why"), now(), linked, keep_photo)
    show([{"report": paper.grouped(name), "state": "confirmed", "case": linked, "claim": claim}], as_json)
    if linked is None:
        ERR.print("no case is linked: " + (f"near are {near}, choose with --case" if near else "none is near yet"))
    if claim is None:
        ERR.print("whoever reported it has left: nobody earns anything")


@report.command("refuse")
def refuse(
    number: Annotated[str, typer.Argument(help="the report")], clerk: _Clerk, why: _Why, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Say that a report does not hold, or that nobody can tell. Its photo goes."""
    from ledger import paper, reports  # noqa: PLC0415

    _, conn = opened(home)
    name = paper.read_number(number, paper.NAME)
    with conn, conn.transaction():
        reports.refuse(conn, name, _said(clerk, "--clerk"), _said(why, "--why"), now())
    show([{"report": paper.grouped(name), "state": "refused"}], as_json)


# ---------------------------------------------------------------- appeals


@appeals.command("list")
def list_appeals(
    everything: Annotated[bool, typer.Option("--all", help="answered ones too, the newest first")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Appeals that wait for a person, the oldest first. Look at the account with `points show --account`."""
    from ledger import reports  # noqa: PLC0415

    _, conn = opened(home)
    with conn:
        found = reports.appeals(conn, None if everything else "waiting")
    rows = [
        {"id": a.id, "state": a.state, "day": a.day, "text": a.text, "account": a.account, "points": a.points,
         "decided by": a.decided_by, "why": a.why} for a in found
    ]  # fmt: skip
    show(rows, as_json, f"{len(rows)} appeals")


@appeals.command("grant")
def grant(
    number: Annotated[int, typer.Argument(help="the appeal")],
    points: Annotated[int, typer.Option(help="how many points it brings, within the next settlement's budget", min=1)],
    clerk: _Clerk,
    why: _Why,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Agree with an appeal: its points come with the next settlement."""
    from ledger import reports  # noqa: PLC0415

    _, conn = opened(home)
    with conn, conn.transaction():
        claim = reports.grant(conn, number, points, _said(clerk, "--clerk"), _said(why, "--why"), now())
    show([{"appeal": number, "state": "granted", "points": points, "claim": claim}], as_json)


@appeals.command("refuse")
def turn_down(
    number: Annotated[int, typer.Argument(help="the appeal")], clerk: _Clerk, why: _Why, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Do not agree with an appeal, and say why."""
    from ledger import reports  # noqa: PLC0415

    _, conn = opened(home)
    with conn, conn.transaction():
        reports.turn_down(conn, number, _said(clerk, "--clerk"), _said(why, "--why"), now())
    show([{"appeal": number, "state": "refused"}], as_json)
