"""`roadcode history`: how a square's code came to be what it is."""

from __future__ import annotations

import json
import time

from ..settings import Settings
from .printing import show


def tell(settings: Settings, cell: int, as_json: bool) -> None:
    """Prints the history of a square, newest change first."""
    from .. import history, wiring  # noqa: PLC0415

    full = wiring.resolved(settings)
    city = full.read_city()
    with wiring.database(full) as conn:
        health = wiring.health_options(full)
        told = history.tell(conn, cell, city, wiring.EVIDENCE, health, city.service_day(time.time()))
    if as_json:
        print(json.dumps(told, ensure_ascii=False, indent=1))
        return
    rows = []
    for change in told["changes"]:
        heaviest = [f"{p['what']} {p['weight']:+.1f}" for p in change["passes"][:4]]
        rows.append(
            {
                "at": change["at"],
                "from": change["before"].get("colour"),
                "to": change["after"].get("colour"),
                "state": change["after"].get("state"),
                "why": change["why"],
                "passes": ", ".join(heaviest) if change["passes_told"] else "not asked",
            }
        )
    show(rows, False, f"square {cell}: {len(rows)} changes")
    said = told["register"]
    for name, what in (("harmless", [said["harmless"]] if said["harmless"] else []), ("works", said["works"]),
                       ("repairs", said["repairs"])):  # fmt: skip
        if what:
            show([{name: ", ".join(f"{k} {v}" for k, v in one.items() if v)} for one in what], False)
