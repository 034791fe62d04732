"""`roadcode cost`: what a city of a given size would pay for boxes, SIM cards and storage."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .printing import Json, settings, show

EXAMPLES = """\
roadcode cost --road-km 3200 --vehicles 900 --kmh 25

roadcode cost --road-km 500 --passes 3 --quiet 0.8 --json
"""
_Number = float | None


def cost(
    road_km: Annotated[_Number, typer.Option(help="length of the city's roads, km [1000]")] = None,
    lanes: Annotated[_Number, typer.Option(help="driven lanes of a road, both directions together [4]")] = None,
    passes: Annotated[_Number, typer.Option(help="wanted passes of every lane a day [1]")] = None,
    vehicles: Annotated[int | None, typer.Option(help="or: how many vehicles carry a box", min=1)] = None,
    hours: Annotated[_Number, typer.Option(help="hours a vehicle drives a day [8]")] = None,
    kmh: Annotated[_Number, typer.Option(help="its mean speed, stops included, km/h [20]")] = None,
    quiet: Annotated[_Number, typer.Option(help="share of seconds in which a box feels nothing, 0 to 1 [0.5]")] = None,
    stretch_s: Annotated[_Number, typer.Option(help="how long a quiet stretch lasts, s [30]")] = None,
    raw_days: Annotated[_Number, typer.Option(help="days for which raw chunks are kept [30]")] = None,
    evidence_days: Annotated[_Number, typer.Option(help="days for which evidence is kept [365]")] = None,
    sim_gb: Annotated[_Number, typer.Option(help="price of a GB over a SIM card [5]")] = None,
    disk_tb_month: Annotated[_Number, typer.Option(help="price of a TB of storage a month [150]")] = None,
    box: Annotated[_Number, typer.Option(help="price of a box, fitted [3000]")] = None,
    currency: Annotated[str | None, typer.Option(help="what prices are in [CNY]")] = None,
    as_json: Json = False,
) -> None:
    """SIM traffic, storage and boxes for a city.

    Bytes are measured now, on chunks that are encoded here. What is driven and what things cost is yours to give: what
    stands in brackets is assumed, and every line of the answer says what it rests on.
    """
    from .. import wiring  # noqa: PLC0415  (`--help` needs no numpy)
    from ..cost import asked_with, measure  # noqa: PLC0415
    from ..cost import cost as reckon  # noqa: PLC0415

    changes: dict[str, Any] = {
        "road_km": road_km, "lanes": lanes, "passes": passes, "vehicles": vehicles, "hours": hours, "kmh": kmh,
        "quiet": quiet, "stretch_s": stretch_s, "raw_days": raw_days, "evidence_days": evidence_days, "sim_gb": sim_gb,
        "disk_tb_month": disk_tb_month, "box": box, "currency": currency,
    }  # fmt: skip
    asked, given = asked_with(changes)
    try:
        sizes = measure(settings().read_city(), asked.stretch_s, wiring.EVIDENCE)
        figures = reckon(asked, given, sizes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    rows = [{"what": f.what, "value": round(f.value, 3), "unit": f.unit, "how": f.how} for f in figures]
    show(rows, as_json, "what a city would pay")
