"""Road certificates out of the database: what is shown of a square or a section now, for its district to sign."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psycopg

from defects import NO_KIND, Colour, scales_store
from defects import recode as reading
from grid import Section, Zone, blocks_of, centres_deg, middle_of, side_m, unproject
from grid import store as grid_store
from ingest import Buckets, Budget, City
from ledger import (
    ORIGIN_BITS,
    Certificate,
    KeyPair,
    issue_certificate,
    latest_record,
    newest_checkpoint,
    parse,
)

from .routes.sections import NoSuchSection
from .story import code_of

Connection = psycopg.Connection[Any]

KEEP_S = 60
"""How long the same certificate is given again. Shorter and a page that is reloaded costs a read of the database each
time; longer and a colour that has just changed is certified as it was."""
MOST_KEPT = 2_000
"""Certificates in memory, some 400 bytes each."""
PACE = Budget(burst=100, per_s=20)
"""Certificates of this process, of all readers together. A signature takes a tenth of a millisecond, what is read for
it some ten: 20 a second leave the database to the map. Smaller, and a morning's prints of a street wait; larger, and
one script that walks over all squares slows the map."""
_MOST_NAME = 48


class TooManyCertificates(RuntimeError):
    """More are asked for than are made; `wait_s` says when to come again."""

    def __init__(self, wait_s: float) -> None:
        """With what to do."""
        super().__init__(f"too many certificates are asked for: come again in {wait_s:.0f} s")
        self.wait_s = wait_s


@dataclass(frozen=True)
class Place:
    """A square or a section, by its number."""

    about: str
    number: int


def of_square(conn: Connection, cell: int, city: City, now_s: int) -> Certificate:
    """What is shown of a square now, with where in the log it stands, if it does yet. Read in one snapshot, since code
    and record belong together. Raises NoSuchCell where nothing near it was ever measured."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        revision, code = code_of(conn, cell)
        size, index = _in_the_log(conn, cell, revision, reading.describe(code))
    lon, lat = centres_deg([cell])
    bad = int(code["colour"]) >= Colour.YELLOW
    kind = int(code["kind"])
    return Certificate(
        **_when(city, now_s), lat_e7=round(float(lat[0]) * 1e7), lon_e7=round(float(lon[0]) * 1e7), cell=cell,
        extent_m=side_m(cell), colour=int(code["colour"]), state=int(code["state"]) if bad else 0,
        kind=kind if bad and kind != NO_KIND else None, severity=int(code["severity"]) if bad else 0,
        seen=int(code["seen"]), flags=int(code["flags"]), log_size=size, log_index=index,
    )  # fmt: skip


def _in_the_log(conn: Connection, cell: int, revision: int, said: dict[str, Any]) -> tuple[int | None, int | None]:
    """Size of the newest checkpoint, and the index in it of the record of what is shown: a yellow's or red's own, else
    the block's. None where no checkpoint holds it yet."""
    own = said["colour"] in ("yellow", "red")
    record = latest_record(conn, "code", cell) if own else latest_record(conn, "block", int(blocks_of(cell)))
    newest = newest_checkpoint(conn)
    if record is None or newest is None or record.idx >= newest[0]:
        return None, None
    body = parse(record.body)
    if (body["after"] != said) if own else (body["revision"] != revision):
        return None, None
    return newest[0], record.idx


def of_section(conn: Connection, number: int, city: City, now_s: int) -> Certificate:
    """What was last told of a section of today's network; grey where nothing was. It has no record of its own: its
    squares' records lie below the checkpoint that it names. Raises NoSuchSection."""
    section = grid_store.section(conn, number) if 0 < number < 1 << 53 else None
    if section is None:
        raise NoSuchSection(f"no section {number} in today's network: ask /api/v1/sections?bbox=... for numbers")
    told = scales_store.rows_on(conn, city.service_day(now_s), [number]).get(number)
    newest = newest_checkpoint(conn)
    lon, lat = unproject(*middle_of(section), Zone(city.utm_zone, city.utm_north))
    return Certificate(
        **_when(city, now_s), lat_e7=round(float(lat) * 1e7), lon_e7=round(float(lon) * 1e7), section=number,
        extent_m=min(max(1, round(section.length_m)), 65_535),
        colour=int(Colour[told["colour"].upper()]) if told else int(Colour.GREY),
        known_pct=int(100 * (1 - told["grey_share"]) + 1e-9) if told else 0,
        name=_name(section), log_size=newest[0] if newest else None,
    )  # fmt: skip


def _when(city: City, now_s: int) -> dict[str, Any]:
    """Issuer, moments and origin of what is certified now: to the end of the service day."""
    day = city.service_day(now_s)
    return {
        "issuer": city.region_code, "issued_s": now_s, "expires_s": int(city.day_bounds_s(day)[1]),
        "day": (day - type(day)(1970, 1, 1)).days, "origin": sum(ORIGIN_BITS[o] for o in city.origins),
    }  # fmt: skip


def _name(section: Section) -> str:
    """The road's name, Chinese before English, whole characters of at most 48 bytes."""
    said = "".join(c for c in section.name_zh or section.name if c.isprintable()).strip()
    return said.encode()[:_MOST_NAME].decode(errors="ignore")


class Issuer:
    """Signs what is asked for, at a bounded pace, and gives the same again for a minute. For several threads.

    pair: the district's key at a moment; asked each time, so that one that was revoked signs nothing more.
    """

    def __init__(self, pair: Callable[[float], KeyPair], city: City) -> None:
        self._pair = pair
        self._city = city
        self._lock = threading.Lock()
        self._pace = Buckets(PACE, 1)
        self._kept: OrderedDict[tuple[bytes, Place], tuple[float, str]] = OrderedDict()

    def issue(self, connect: Callable[[], AbstractContextManager[Connection]], place: Place, now_s: float) -> str:
        """The certificate of a place as text. Raises TooManyCertificates, NoSuchCell, NoSuchSection."""
        pair = self._pair(now_s)
        name = (pair.kid, place)
        with self._lock:
            made_s, text = self._kept.get(name, (0.0, ""))
            # One made yesterday has ended, though it be a second old.
            fresh = 0 <= now_s - made_s < KEEP_S
            if fresh and self._city.service_day(made_s) == self._city.service_day(now_s):
                return text
            if not self._pace.take("", now_s):
                raise TooManyCertificates(self._pace.wait_s("", now_s))
        with connect() as conn:
            of = of_square if place.about == "square" else of_section
            certificate = of(conn, place.number, self._city, int(now_s))
        text = issue_certificate(certificate, pair)
        with self._lock:
            self._kept[name] = (now_s, text)
            self._kept.move_to_end(name)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return text
