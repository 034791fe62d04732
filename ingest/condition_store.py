"""Conditions and weights of devices in PostgreSQL. Functions take a connection and never commit: that is the pump's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from .condition import DAYS, SUMS, Condition, Trust
from .store import Connection, Day

NEWCOMER = {"box": "*box", "phone": "*phone"}
"""Under which name the weight of all newcomers of a kind stands in the table of a day; no device can have it."""
ASKED_DAYS = DAYS
KEPT_DAYS = 2 * DAYS
"""How long the sums of a device and day stay: those of the last seven days are asked for, and a day of 48 h ago may
still open."""

_ADDED = ", ".join(f"{name} = device_day.{name} + excluded.{name}" for name in SUMS)
_COLUMNS = ", ".join((*SUMS, "delay_ms"))
_ADD = (  # names of our own columns, no values
    f"INSERT INTO device_day (day, device, {_COLUMNS}) "  # noqa: S608
    f"SELECT * FROM unnest(%s::date[], %s::text[], {', '.join(['%s::bigint[]'] * (len(SUMS) + 1))}) "
    f"ON CONFLICT (day, device) DO UPDATE SET {_ADDED}, delay_ms = least(device_day.delay_ms, excluded.delay_ms)"
)
_READ = (
    f"SELECT device, day, {_COLUMNS} FROM device_day WHERE day BETWEEN %s AND %s "  # noqa: S608
    "AND (%s::text IS NULL OR device = %s) ORDER BY device, day"
)


def add_conditions(conn: Connection, seen: Iterable[tuple[date, str, Condition]]) -> None:
    """Adds what new chunks show to the sums of their days and devices, in one statement and in one order of rows, so
    that two workers with the same devices do not wait for each other in a circle."""
    sums: dict[tuple[date, str], Condition] = {}
    for day, device, condition in seen:
        key = day, device
        sums[key] = sums[key] + condition if key in sums else condition
    if not sums:
        return
    rows = sorted(sums.items())
    columns = [[getattr(c, name) for _, c in rows] for name in (*SUMS, "delay_ms")]
    conn.execute(_ADD.encode(), ([day for (day, _), _ in rows], [device for (_, device), _ in rows], *columns))


def conditions(
    conn: Connection, first: date, last: date, device: str | None = None
) -> dict[str, dict[date, Condition]]:
    """Conditions of all devices, or of one, from ``first`` to ``last``, both included, by device and day."""
    found: dict[str, dict[date, Condition]] = defaultdict(dict)
    rows = conn.execute(_READ.encode(), (first, last, device, device))
    for row in rows:
        found[row[0]][row[1]] = Condition(*row[2:])
    return dict(found)


def windows_seen(
    conn: Connection, first: date, last: date, device: str | None = None
) -> dict[str, list[tuple[str, int, int]]]:
    """Which numbers came, by device: trip, window and mask, as `missing_share` takes them; of sealed days none."""
    found: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    rows = conn.execute(
        "SELECT device, trip, w, mask FROM seen WHERE day BETWEEN %s AND %s AND (%s::text IS NULL OR device = %s)",
        (first, last, device, device),
    )
    for name, trip, window, mask in rows:
        found[name].append((trip, window, mask))
    return dict(found)


def kinds(conn: Connection) -> dict[str, str]:
    """Kind of every device that was ever enrolled."""
    return {r[0]: r[1] for r in conn.execute("SELECT id, kind FROM device")}


def known_day(conn: Connection, day: date) -> Day | None:
    """The context of a day that was opened; once it is sealed, without its salt."""
    row = conn.execute("SELECT salt, sha256 FROM day_context WHERE day = %s", (day,)).fetchone()
    return Day(day, bytes(row[0] or b""), bytes(row[1])) if row else None


def newest_day(conn: Connection) -> date | None:
    """The newest day that is open."""
    row = conn.execute("SELECT max(day) FROM day_context").fetchone()
    return row[0] if row else None


def put_weights(conn: Connection, day: date, weights: Mapping[str, Trust]) -> None:
    """Freezes the weights of a day, in the transaction that opens it."""
    rows = [(day, device, t.weight_pct, list(t.faults)) for device, t in sorted(weights.items())]
    with conn.cursor() as cursor, cursor.copy("COPY device_weight (day, device, weight_pct, faults) FROM STDIN") as out:
        for row in rows:
            out.write_row(row)


def weights_of(conn: Connection, day: date) -> dict[str, Trust]:
    """The weights of a day, by device; newcomers under the names of `NEWCOMER`."""
    rows = conn.execute("SELECT device, weight_pct, faults FROM device_weight WHERE day = %s", (day,))
    return {r[0]: Trust(r[1], tuple(r[2])) for r in rows}


def forget_conditions(conn: Connection, today: date) -> None:
    """Removes sums that no weight asks for any more."""
    conn.execute("DELETE FROM device_day WHERE day < %s", (today - timedelta(days=KEPT_DAYS),))


def faults_of_newest_day(conn: Connection) -> dict[str, int]:
    """Devices that are not believed at all on the newest day, by the name of their fault."""
    rows = conn.execute(
        "SELECT fault, count(*) FROM device_weight, unnest(faults) AS fault WHERE weight_pct = 0 "
        "AND day = (SELECT max(day) FROM device_weight) GROUP BY fault ORDER BY fault"
    )
    return {r[0]: r[1] for r in rows}
