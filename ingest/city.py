"""The city as its file `city.toml` states it: where, when a day begins, what is taken. A pure reading of text; its
hash stands in every day context, so that a record says under which city file it was made."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .chunk import ORIGINS

LIVE = "live"
FRAMES = ("CGCS2000", "WGS84")


class CityFileError(ValueError):
    """The city file cannot be used; the text says which entry and what it should be."""


@dataclass(frozen=True)
class NoGo:
    """An area whose samples are dropped at the door: a closed ring of (longitude, latitude), WGS 84."""

    name: str
    ring_deg: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class City:
    """What the platform must know of a city before the first chunk comes."""

    name: str
    name_zh: str
    region_code: str
    """GB/T 2260, valid from region_code_from."""
    region_code_from: date
    centre_deg: tuple[float, float]
    """Longitude and latitude (WGS 84) where maps open, and to which recordings from elsewhere are moved."""
    zone: ZoneInfo
    day_start: time
    utm_zone: int
    utm_north: bool
    frame: str
    frame_epoch: float
    origins: tuple[str, ...]
    languages: tuple[str, ...]
    no_go: tuple[NoGo, ...]
    sha256: str

    def service_day(self, t_s: float) -> date:
        """The local day to which a moment belongs: before ``day_start`` it is still yesterday.

        A UTC day would end in the morning rush of a city east of Greenwich (08:00 in Shanghai).
        """
        local = datetime.fromtimestamp(t_s, UTC).astimezone(self.zone)
        start = self.day_start
        shift = timedelta(hours=start.hour, minutes=start.minute, seconds=start.second)
        # The wall clock is shifted, not the moment: 04:00 local begins a day also when summer time changes.
        return (local.replace(tzinfo=None) - shift).date()

    def day_bounds_s(self, day: date) -> tuple[float, float]:
        """First moment of the service day and of the next one, unix seconds."""

        def first(d: date) -> float:
            return datetime.combine(d, self.day_start, tzinfo=self.zone).timestamp()

        return first(day), first(day + timedelta(days=1))

    @property
    def banner(self) -> str:
        """What every page, export and record of an instance that is not live says: REPLAY, SIMULATED or both."""
        words = {"replay": "REPLAY", "simulated": "SIMULATED"}
        return " + ".join(words[o] for o in self.origins if o in words)


_KNOWN = {
    "name", "name_zh", "region_code", "region_code_from", "centre", "time_zone", "day_start", "utm_zone",
    "utm_hemisphere", "frame", "frame_epoch", "origins", "languages", "no_go",
}  # fmt: skip


def read_city(text: str) -> City:
    """The city in the text of a `city.toml`. Raises `CityFileError` naming the entry that is wrong."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CityFileError(f"the city file is not TOML: {error}") from None
    unknown = sorted(set(tree) - _KNOWN)
    if unknown:
        raise CityFileError(f"unknown entry {unknown[0]} in the city file; known are: {', '.join(sorted(_KNOWN))}")
    missing = sorted(_KNOWN - {"no_go", "languages"} - set(tree))
    if missing:
        raise CityFileError(f"the city file lacks {missing[0]}")
    origins = _texts(tree, "origins")
    if not origins or any(o not in ORIGINS for o in origins):
        raise CityFileError(f"origins lists one or more of {', '.join(ORIGINS)}")
    if LIVE in origins and len(origins) > 1:
        raise CityFileError("origins: a live city takes only live; run another instance for replays and simulations")
    try:
        zone = ZoneInfo(tree["time_zone"])
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):  # OSError: "Asia" is a folder of zones
        raise CityFileError(f"time_zone {tree['time_zone']!r} is not a name of the IANA database") from None
    if not isinstance(tree["day_start"], time):
        raise CityFileError("day_start is a local time, as in 04:00:00")
    if not (type(tree["utm_zone"]) is int and 1 <= tree["utm_zone"] <= 60):
        raise CityFileError("utm_zone is a whole number from 1 to 60")
    if tree["utm_hemisphere"] not in ("north", "south"):
        raise CityFileError('utm_hemisphere is "north" or "south"')
    if tree["frame"] not in FRAMES:
        raise CityFileError(f"frame is {' or '.join(FRAMES)}")
    if type(tree["region_code_from"]) is not date:
        raise CityFileError("region_code_from is a date, as in 2021-04-09")
    try:
        lon, lat = (float(v) for v in tree["centre"])
    except (TypeError, ValueError):
        raise CityFileError("centre is [longitude, latitude] in degrees") from None
    centre = (lon, lat)
    if not (-180 <= lon <= 180 and -84 <= lat <= 84):
        raise CityFileError("centre lies outside -180 to 180 and -84 to 84 degrees")
    if type(tree["frame_epoch"]) not in (int, float):
        raise CityFileError("frame_epoch is a year, as in 2000.0")
    return City(
        name=str(tree["name"]),
        name_zh=str(tree["name_zh"]),
        region_code=str(tree["region_code"]),
        region_code_from=tree["region_code_from"],
        centre_deg=centre,
        zone=zone,
        day_start=tree["day_start"],
        utm_zone=tree["utm_zone"],
        utm_north=tree["utm_hemisphere"] == "north",
        frame=str(tree["frame"]),
        frame_epoch=float(tree["frame_epoch"]),
        origins=origins,
        languages=_texts(tree, "languages") if "languages" in tree else ("zh", "en"),
        no_go=_areas(tree.get("no_go", [])),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _texts(tree: dict[str, Any], name: str) -> tuple[str, ...]:
    listed = tree[name]
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise CityFileError(f'{name} is a list of texts, as in ["..."]')
    return tuple(listed)


def _areas(listed: Any) -> tuple[NoGo, ...]:
    areas = []
    for n, area in enumerate(listed if isinstance(listed, list) else [listed]):
        try:
            name = str(area["name"])
            ring = tuple((float(lon), float(lat)) for lon, lat in area["ring"])
        except (KeyError, TypeError, ValueError):
            raise CityFileError(f"no_go {n}: each has a name and a ring of [longitude, latitude] pairs") from None
        if len(ring) < 4 or ring[0] != ring[-1]:
            raise CityFileError(f"no_go {name!r}: a ring has four or more points, the last like the first")
        areas.append(NoGo(name, ring))
    return tuple(areas)
