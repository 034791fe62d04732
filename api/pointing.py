"""A place that a person points at, as the square that a report is about."""

from __future__ import annotations

from grid import Zone, cells_at, project, within_reach
from ingest import City, is_no_go
from ledger import PurseRefused

LEVEL = 2
"""Squares of 16 m. A finger on a map or a phone's position is 5 to 10 m off: in smaller squares two reports of one
pothole would seldom meet, in larger ones those of two potholes would."""


class NotHere(PurseRefused):
    """A place of which no report is taken."""

    name = "not_here"


def cell_of(city: City, lat: float, lon: float) -> int:
    """The square of 16 m that holds a place (WGS 84). Raises NotHere."""
    zone = Zone(city.utm_zone, city.utm_north)
    if not within_reach(lon, lat, zone):
        raise NotHere("this place is far outside the city: latitude comes first, then longitude; are they swapped?")
    if is_no_go(lon, lat, city):
        raise NotHere("nothing is measured or taken in this area (a no-go area of the city file)")
    return int(cells_at(*project(lon, lat, zone), zone, level=LEVEL))
