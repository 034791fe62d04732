"""`roadcode report`: the day's report as a page to print, or as JSON."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from .printing import Json, settings, show

EXAMPLES = """\
roadcode report --out today.html

roadcode report --day 2026-11-20 --json
"""


def report(
    day: Annotated[str | None, typer.Option(help="a service day, YYYY-MM-DD (default: today)")] = None,
    out: Annotated[Path | None, typer.Option(help="write the page to print here (HTML with its charts within)")] = None,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """The state of the city's roads on a day: by class and district, what changed, what is worst.

    The same page is at /report/daily of the map. Sections need a road network (`roadcode import-roads`); grey is what
    nobody knows, and no section has a grade of which cameras saw less than 80 %.
    """
    from .. import wiring  # noqa: PLC0415  (`--help` needs no database)
    from ..report import NoSuchDay, report_of  # noqa: PLC0415
    from ..report_page import page  # noqa: PLC0415

    resolved = wiring.resolved(settings(home=home))
    city = resolved.read_city()
    today = city.service_day(time.time())
    try:
        asked = date.fromisoformat(day) if day else today
        with wiring.database(resolved) as conn:
            told = report_of(conn, city, asked, today)
    except NoSuchDay as error:
        raise typer.BadParameter(str(error)) from None
    except ValueError:
        raise typer.BadParameter(f"--day is YYYY-MM-DD, for example {today.isoformat()}") from None
    if out is not None:
        out.write_text(page(told), encoding="utf-8")
    if as_json:
        print(json.dumps(told, ensure_ascii=False, indent=1))
        return
    names = ("km", "sections", "red", "yellow", "green", "grey", "iri", "pci_est", "pci_low", "pci_high")
    rows = [{"what": "all", **{n: told["totals"][n] for n in names}}]
    rows += [{"what": r["road_class"], **{n: r[n] for n in names}} for r in told["by_class"]]
    rows += [{"what": r["district"] or "no district", **{n: r[n] for n in names}} for r in told["by_district"]]
    show(rows, False, f"{told['day']}: share of length by colour" + (f", page in {out}" if out else ""))
