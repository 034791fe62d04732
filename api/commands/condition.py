"""`roadcode condition`: what the devices' own chunks say of them, and how far each is believed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .printing import Json, settings, show

if TYPE_CHECKING:
    import psycopg

    from ingest import Condition, ConditionOptions


def condition(
    device: Annotated[str | None, typer.Argument(help="one device, day by day; without it all, faults first")] = None,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Show what devices' own chunks say of their condition, and how far each is believed.

    Of all devices: the weight in force (frozen when the newest day opened), the weight that the last seven days would
    give now, and the faults by name; docs/health-code.md says what shows each of them and what it costs.
    """
    from .. import wiring  # noqa: PLC0415  (as everywhere here: `--help` needs no services)

    with wiring.database(wiring.resolved(settings(home=home))) as conn:
        if device is None:
            rows = of_all(conn, wiring.CONDITIONS)
            show(rows, as_json, f"{len(rows)} devices, {sum(bool(r['faults']) for r in rows)} with faults")
        else:
            rows = of_one(conn, device)
            if not rows:
                raise typer.BadParameter(f"nothing of {device!r} was taken in the last days: is the name right?")
            show(rows, as_json, device)


def of_all(conn: psycopg.Connection[Any], options: ConditionOptions) -> list[dict[str, Any]]:
    """A row a device that sent something in the last seven days, those least believed first."""
    from ingest import condition_store  # noqa: PLC0415

    from ..days import weights_for  # noqa: PLC0415

    newest = condition_store.newest_day(conn)
    if newest is None:
        return []
    tomorrow = newest + timedelta(days=1)
    asked = tomorrow - timedelta(days=condition_store.ASKED_DAYS), newest
    in_force = condition_store.weights_of(conn, newest)
    come = weights_for(conn, tomorrow, options)
    kinds = condition_store.kinds(conn)
    rows = []
    for name, days in condition_store.conditions(conn, *asked).items():
        if name not in come:
            continue
        now = in_force.get(name, in_force.get(condition_store.NEWCOMER[kinds[name]]))
        rows.append(
            {
                "device": name,
                "kind": kinds[name],
                "faults": ", ".join(come[name].faults),
                "weight %": now.weight_pct if now else 100,
                "next %": come[name].weight_pct,
                **_told(days),
            }
        )
    return sorted(rows, key=lambda r: (r["next %"], not r["faults"], r["device"]))


def of_one(conn: psycopg.Connection[Any], device: str) -> list[dict[str, Any]]:
    """A row a day of one device, oldest first."""
    from ingest import condition_store  # noqa: PLC0415

    newest = condition_store.newest_day(conn)
    if newest is None:
        return []
    asked = newest - timedelta(days=condition_store.KEPT_DAYS), newest
    days = condition_store.conditions(conn, *asked, device).get(device, {})
    rows = []
    for day, one in sorted(days.items()):
        told = condition_store.weights_of(conn, day).get(device)
        rows.append({"day": day.isoformat(), "weight %": told.weight_pct if told else None, **_told({day: one})})
    return rows


def _told(days: Mapping[date, Condition]) -> dict[str, Any]:
    """The counts behind a device's weight, as shares."""
    from ingest import Condition  # noqa: PLC0415

    all_of = sum(days.values(), Condition())

    def share(part: int, whole: int) -> float | None:
        return round(part / whole, 4) if whole else None

    return {
        "chunks": all_of.chunks,
        "looked at": all_of.looked,
        "stuck": share(all_of.stuck, all_of.looked),
        "saturated": share(all_of.saturated, all_of.samples),
        "repeats": share(all_of.repeats, all_of.samples),
        "tone": share(all_of.tonal, all_of.steady),
        "tone Hz": round(all_of.tone_dhz / all_of.tonal / 10, 1) if all_of.tonal else None,
        "too fast": share(all_of.too_fast, all_of.fixes),
        "wander": share(all_of.wandering + all_of.jumps, all_of.fixes),
        "least delay s": round(all_of.delay_ms / 1000, 1),
    }
