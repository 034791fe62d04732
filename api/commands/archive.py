"""`roadcode archive`: old days of boxes' raw chunks to Parquet, so that the database may let them go."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .printing import ERR, Json, bar, settings, show


def archive(
    folder: Annotated[Path | None, typer.Option("--to", help="the folder; ROADCODE_ARCHIVE where not given")] = None,
    day: Annotated[str | None, typer.Option(help="only this service day, as 2026-11-25")] = None,
    again: Annotated[bool, typer.Option("--again", help="write days anew that are there already")] = False,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Write every sealed day's chunks of boxes to a Parquet file of its own, with a manifest; days that are there are
    only checked. Citizens' chunks are never archived."""
    from ingest import raw  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415  (as everywhere here: `--help` needs no services)
    from ..archive_days import archive_day  # noqa: PLC0415
    from ..archived import NotArchived, read_manifest  # noqa: PLC0415

    given = settings(home=home, archive=folder)
    if given.archive is None:
        raise typer.BadParameter("say where: --to FOLDER, or ROADCODE_ARCHIVE")
    full = wiring.resolved(given)
    city = full.read_city()
    about = {"city": city.name, "region_code": city.region_code, "origins": ",".join(city.origins)}
    rows: list[dict[str, Any]] = []
    with wiring.database(full) as conn, bar() as progress:
        days = [d for d in raw.box_days(conn) if day is None or d[0] == date.fromisoformat(day)]
        if day is not None and not days:
            raise NotArchived(f"{day} has nothing to archive: a day is sealed 48 h after its end, and kept until then")
        for n, (one, count) in enumerate(days, 1):
            known = not again and read_manifest(given.archive, one) is not None
            task = progress.add_task(str(one), total=count)
            if progress.disable:
                ERR.print(f"{n} of {len(days)}: {one}, {count:,} chunks{', checking' if known else ''}")
            done = archive_day(conn, given.archive, one, about, partial(progress.advance, task), again)
            rows.append({"day": done.day, "chunks": done.rows, "bytes": done.bytes, "file": done.file,
                         "sha256": done.sha256 if as_json else done.sha256[:16],
                         "did": "checked" if known else "written"})  # fmt: skip
    show(rows, as_json, f"{len(rows)} days in {given.archive}")
