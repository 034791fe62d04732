"""`roadcode register`, `permit` and `repair`: what is known of the ground beside what passed over it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from .printing import ERR, Json, bar, settings, show
from .register_files import bytes_of, promised

EXAMPLES = """\b
roadcode register import bumps.geojson --kind speed_bump
roadcode register import covers.csv --kind cover --owner water --datum gcj02
roadcode register add --at 120.15912,30.27321 --kind speed_bump
roadcode register propose
roadcode permit add --at 120.159,30.273 --number 2026-118 --from 2026-12-01 --to 2026-12-20
roadcode repair add --case 17 --day 2026-12-03"""

register = typer.Typer(help="Harmless objects that throw wheels: speed bumps, covers, joints.", no_args_is_help=True)
permit = typer.Typer(help="Works permits: while one holds, squares are hatched and never red.", no_args_is_help=True)
repair = typer.Typer(help="Repairs: what passes said before one counts no more.", no_args_is_help=True)

_Home = Annotated[Path | None, typer.Option("--home", help="the data folder")]
_File = Annotated[Path, typer.Argument(help="GeoJSON or CSV (lon,lat,...); with `make roads` GeoPackage, Shapefile")]
_Datum = Annotated[
    str | None, typer.Option(help="of the file: wgs84, cgcs2000, gcj02, bd09 (default: the city's frame)")
]
_At = Annotated[str | None, typer.Option("--at", help="LON,LAT in degrees", metavar="LON,LAT")]
_From = Annotated[str | None, typer.Option("--from", help="first day (default: today)", metavar="DAY")]
_To = Annotated[str | None, typer.Option("--to", help="last day (default: until further notice)", metavar="DAY")]
_Accuracy = Annotated[
    float | None, typer.Option(help="radius (68 %) of the places, metres (default: by source)", min=0)
]
_Owner = Annotated[str, typer.Option(help="whose it is; of a cover: water, drainage, power, telecom, gas, unknown")]
_Note = Annotated[str, typer.Option(help="a word on it")]
_Id = Annotated[int, typer.Argument(help="the number, as `list` shows it", metavar="ID")]
_Last = Annotated[str | None, typer.Option("--day", help="its last day (default: yesterday)", metavar="DAY")]
_On = Annotated[str | None, typer.Option("--on", help="only those in force on this day", metavar="DAY")]
_Receipt = Annotated[
    Path | None,
    typer.Option("--receipt", help="write what the log promised of the record here: `roadcode receipt check` reads it"),
]
_Key = Annotated[str | None, typer.Option(help="its name where it comes from; the same name is the same thing")]


def _opened(home: Path | None) -> tuple[Any, Any, float]:
    """Settings, city and the time."""
    from .. import wiring  # noqa: PLC0415  (as everywhere here: `--help` needs no services)

    full = wiring.resolved(settings(home=home))
    return full, full.read_city(), time.time()


def _day(text: str | None, name: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{name} is a day, as in 2026-12-01") from None


def _place(at: str | None) -> dict[str, Any]:
    try:
        lon, lat = (float(v) for v in (at or "").split(","))
    except ValueError:
        lon = lat = math.nan
    if not (math.isfinite(lon) and math.isfinite(lat)):
        raise typer.BadParameter("--at is LON,LAT in degrees, longitude first")
    return {"type": "Point", "coordinates": [lon, lat]}


def _import(name: str, file: Path, home: Path | None, as_json: bool, **said: Any) -> None:
    from defects import register_text  # noqa: PLC0415

    from .. import registers, wiring  # noqa: PLC0415

    full, city, now_s = _opened(home)
    datum = said.pop("datum") or city.frame.lower()
    from_day = said.pop("from_day") or city.service_day(now_s)
    said_to = said.pop("receipt")
    reading = register_text.Reading(
        register=name, source="imported", source_key=said.pop("source_key") or file.stem, datum=datum,
        from_day=from_day, **said,
    )  # fmt: skip
    data, is_csv = bytes_of(file)
    with bar() as progress:
        task = progress.add_task("laying out squares", total=None)

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)
            if progress.disable and done % 20_000 == 0:
                ERR.print(f"{done:,} of {total:,} laid out")

        read = register_text.read_entries(data, is_csv, reading, city, told)
    with wiring.database(full) as conn, promised(full, now_s, said_to) as say:
        done = registers.put(conn, read.entries, city, now_s, f"import of {file.name[:100]}", say)
    show(
        [{"new": done.new, "changed": done.changed, "same": done.same, "refused": len(read.refused)}]
        if not as_json
        else [{"new": done.new, "changed": done.changed, "same": done.same,
               "refused": [{"where": where, "why": why} for where, why in read.refused]}],
        as_json, f"{file.name}: datum {datum}",
    )  # fmt: skip
    if read.refused and not as_json:
        show([{"where": where, "why": why} for where, why in read.refused[:20]], False, "refused (the first 20)")
    raise typer.Exit(1 if read.refused else 0)


def _add(name: str, geometry: dict[str, Any], home: Path | None, as_json: bool, source: str = "person", **said: Any
         ) -> None:  # fmt: skip
    from defects import register_text  # noqa: PLC0415

    from .. import registers, wiring  # noqa: PLC0415

    full, city, now_s = _opened(home)
    key, said_to = said.pop("key"), said.pop("receipt")
    reading = register_text.Reading(
        register=name, source=source, source_key=source, datum=said.pop("datum", None) or city.frame.lower(),
        from_day=said.pop("from_day") or city.service_day(now_s), **said,
    )  # fmt: skip
    entry = register_text.entry_of(geometry, {"key": key} if key else {}, reading, city)
    with wiring.database(full) as conn, promised(full, now_s, said_to) as say:
        done = registers.put(conn, [entry], city, now_s, f"entered by a {source}", say)
    row = {"id": done.numbers[0] if done.numbers else None, "kind": entry.kind, "key": entry.key,
           "from": entry.from_day, "to": entry.to_day, "squares": len(entry.cells), "reach_m": entry.reach_m,
           "became": "new" if done.new else "changed" if done.changed else "as it was"}  # fmt: skip
    show([row], as_json)


def _list(name: str, on: str | None, kind: str | None, home: Path | None, as_json: bool) -> None:
    from defects import register_store  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    rows: list[dict[str, Any]] = []
    with wiring.database(wiring.resolved(settings(home=home))) as conn:
        after = 0
        while page := register_store.entries(conn, name, _day(on, "--on"), kind, after):
            after = page[-1]["id"]
            rows += page
    if not as_json:
        rows = [{k: v for k, v in row.items() if k not in ("shape", "key", "reach_m")} for row in rows]
    show(rows, as_json, f"{len(rows)} {'entry' if len(rows) == 1 else 'entries'}")


def _end(name: str, number: int, day: str | None, home: Path | None, as_json: bool, receipt: Path | None) -> None:
    from .. import registers, wiring  # noqa: PLC0415

    full, city, now_s = _opened(home)
    with wiring.database(full) as conn, promised(full, now_s, receipt) as say:
        last = registers.end(conn, number, name, _day(day, "--day"), city, now_s, "ended by a person", say)
    show([{"id": number, "last day": last if name != "repair" else "taken back"}], as_json)


def errors() -> tuple[type[Exception], ...]:
    """The errors of these commands that say themselves what to do."""
    from defects import register as what  # noqa: PLC0415
    from defects import register_store  # noqa: PLC0415

    return what.RegisterError, register_store.NoSuchEntry


# ---------------------------------------------------------------- known objects


@register.command("import", epilog=EXAMPLES)
def import_objects(
    file: _File,
    kind: Annotated[
        str | None, typer.Option(help="where a row names none: speed_bump, cover, joint, rail, table, other")
    ] = None,
    owner: _Owner = "",
    datum: _Datum = None,
    from_day: _From = None,
    accuracy: _Accuracy = None,
    source: Annotated[
        str | None, typer.Option(help="name of the source, goes before keys (default: the file's name)")
    ] = None,
    receipt: _Receipt = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Take known objects from a file. Again with the same file: what says the same stays, what changed takes the old
    one's place from today on, nothing is doubled. What cannot be taken is listed with its reason, and ends with 1."""
    _import("object", file, home, as_json, datum=datum, from_day=_day(from_day, "--from"), kind=kind, owner=owner,
            accuracy_m=accuracy, source_key=source, receipt=receipt)  # fmt: skip


@register.command("add", epilog=EXAMPLES)
def add_object(
    at: _At = None,
    kind: Annotated[str, typer.Option(help="speed_bump, cover, joint, rail, table, other")] = "speed_bump",
    owner: _Owner = "",
    note: _Note = "",
    datum: _Datum = None,
    from_day: _From = None,
    accuracy: _Accuracy = None,
    key: _Key = None,
    receipt: _Receipt = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Enter one object by its place. Better a line in a file: a point is a circle of the kind's usual size."""
    _add("object", _place(at), home, as_json, kind=kind, owner=owner, note=note, datum=datum, accuracy_m=accuracy,
         from_day=_day(from_day, "--from"), key=key, receipt=receipt)  # fmt: skip


@register.command("list")
def list_objects(
    kind: Annotated[str | None, typer.Option(help="only this kind")] = None,
    on: _On = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Known objects; with --json their shapes too."""
    _list("object", on, kind, home, as_json)


@register.command("end")
def end_object(number: _Id, day: _Last = None, receipt: _Receipt = None, home: _Home = None, as_json: Json = False
) -> None:  # fmt: skip
    """An object is no longer there: its squares are judged like others from the next read-out on."""
    _end("object", number, day, home, as_json, receipt)


@register.command("propose")
def propose_objects(
    accept: Annotated[int | None, typer.Option(help="enter this candidate as a learnt object", metavar="ID")] = None,
    kind: Annotated[str, typer.Option(help="what you know it to be, of an accepted one")] = "speed_bump",
    receipt: _Receipt = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Places that nearly every pass feels, with both wheels, across the lane, always alike: likely bumps. Look there
    before you accept one: a trench that was filled badly feels the same, and an accepted one is never red again."""
    from .. import registers, wiring  # noqa: PLC0415

    full, city, now_s = _opened(home)
    with wiring.database(full) as conn, bar() as progress:
        task = progress.add_task("reading evidence", total=None)
        told: Callable[[int, int], None] = lambda done, total: progress.update(task, completed=done, total=total)  # noqa: E731
        found = registers.propose(conn, city.service_day(now_s), registers.LEARN, told)
    if accept is None:
        rows = [{"id": c.cell, "wide m": c.wide_m, "long m": c.long_m, "days": c.days, "passes": c.passes,
                 "felt": c.felt_share, "of devices": c.device_share, "severity": c.severity, "spread": c.spread,
                 "growth": c.growth} for c in found]  # fmt: skip
        show(rows, as_json, f"{len(rows)} candidates" + (": look at each before you --accept its id" if rows else ""))
        return
    one = next((c for c in found if c.cell == accept), None)
    if one is None:
        raise typer.BadParameter(f"{accept} is not among the candidates: `roadcode register propose` shows them")
    note = f"felt by {one.felt_share:.0%} of {one.passes} passes on {one.days} days"
    _add("object", registers.line_of(one), home, as_json, "learnt", kind=kind, note=note, from_day=None,
         key=str(one.cell), receipt=receipt)  # fmt: skip


# ---------------------------------------------------------------- works permits


@permit.command("import")
def import_permits(
    file: _File,
    datum: _Datum = None,
    from_day: _From = None,
    to_day: _To = None,
    source: Annotated[
        str | None, typer.Option(help="name of the source, goes before keys (default: the file's name)")
    ] = None,
    receipt: _Receipt = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Take works permits from a file: polygons with `number`, `owner`, `from`, `to`. Again with the same file: nothing
    is doubled."""
    _import("permit", file, home, as_json, datum=datum, from_day=_day(from_day, "--from"), to_day=_day(to_day, "--to"),
            source_key=source, receipt=receipt)  # fmt: skip


@permit.command("add", epilog=EXAMPLES)
def add_permit(
    at: _At = None,
    number: Annotated[str, typer.Option(help="of the permit")] = "",
    owner: _Owner = "",
    note: _Note = "",
    datum: _Datum = None,
    from_day: _From = None,
    to_day: _To = None,
    receipt: _Receipt = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Enter works at a place, 10 m around it. Better a polygon in a file."""
    _add("permit", _place(at), home, as_json, number=number, owner=owner, note=note, datum=datum,
         from_day=_day(from_day, "--from"), to_day=_day(to_day, "--to"), key=number or None,
         receipt=receipt)  # fmt: skip


@permit.command("list")
def list_permits(on: _On = None, home: _Home = None, as_json: Json = False) -> None:
    """Works permits; with --json their shapes too."""
    _list("permit", on, None, home, as_json)


@permit.command("end")
def end_permit(number: _Id, day: _Last = None, receipt: _Receipt = None, home: _Home = None, as_json: Json = False
) -> None:  # fmt: skip
    """Works end before their permit does."""
    _end("permit", number, day, home, as_json, receipt)


# ---------------------------------------------------------------- repairs


@repair.command("add", epilog=EXAMPLES)
def add_repair(
    cell: Annotated[int | None, typer.Option(help="a square, as the map shows it")] = None,
    case: Annotated[int | None, typer.Option(help="all squares of a case")] = None,
    at: _At = None,
    day: Annotated[str | None, typer.Option(help="of the repair (default: today)", metavar="DAY")] = None,
    kind: Annotated[str, typer.Option(help="patch, overlay, rebuild, cover, other")] = "patch",
    by: Annotated[str, typer.Option(help="who did it")] = "",
    note: _Note = "",
    receipt: _Receipt = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Note a repair: its squares are grey until vehicles have passed again, and green only when those felt nothing.
    What was felt up to the end of its day counts no more."""
    from defects import register_store  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    if sum(v is not None for v in (cell, case, at)) != 1:
        raise typer.BadParameter("say where: one of --cell, --case, --at")
    number = ""
    if case is not None:
        with wiring.database(wiring.resolved(settings(home=home))) as conn:
            cells = register_store.cells_of_case(conn, case)
        if not cells:
            raise typer.BadParameter(f"there is no case {case}: the map shows their numbers")
        number = str(case)
    else:
        cells = [] if cell is None else [cell]
    geometry = _middles(cells) if cells else _place(at)
    when = _day(day, "--day")
    if when is not None and when > _opened(home)[1].service_day(time.time()):
        raise typer.BadParameter(f"{when} has not come yet: a repair is entered once it is done")
    _add("repair", geometry, home, as_json, kind=kind, owner=by, note=note, number=number, accuracy_m=0.0,
         from_day=when, key=None, receipt=receipt)  # fmt: skip


def _middles(cells: list[int]) -> dict[str, Any]:
    from grid import corner_m, is_cell, polygon_deg, side_m, unproject, zone_of  # noqa: PLC0415

    points = []
    for cell in cells:
        if not is_cell(cell):
            raise typer.BadParameter(f"{cell} is not the address of a square: copy one from the map")
        if side_m(cell) > 1:
            return {"type": "Polygon", "coordinates": [[list(corner) for corner in polygon_deg(cell)]]}
        x, y = corner_m(cell)
        lon, lat = unproject(x + 0.5, y + 0.5, zone_of(cell))
        points.append([float(lon), float(lat)])
    return {"type": "MultiPoint", "coordinates": points}


@repair.command("list")
def list_repairs(on: _On = None, home: _Home = None, as_json: Json = False) -> None:
    """Repairs, with the case that each was for."""
    _list("repair", on, None, home, as_json)


@repair.command("end")
def end_repair(number: _Id, receipt: _Receipt = None, home: _Home = None, as_json: Json = False) -> None:
    """Take a repair back that was not done: what passes said before it counts again."""
    _end("repair", number, None, home, as_json, receipt)
