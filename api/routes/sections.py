"""Roads as people read them: sections in a box, one with its history, its strips; and the daily report."""

from __future__ import annotations

import time
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from defects import scales_store
from grid import Section, Zone, corners_m, project, section_cells, unproject
from grid import store as grid_store

from ..report import NoSuchDay, report_of
from ..report_page import page
from ..sight import check_district, limits_of, of_districts
from .cells import read_box

router = APIRouter()
MOST_SECTIONS = 2_000
MOST_HISTORY = 400
_REACH_DEG = 6.0


class NoSuchSection(LookupError):
    """No section of today's network has the number."""


def _unknown(section: Section) -> dict[str, Any]:
    """A section that was imported a moment ago and not read out yet: all of it grey, nothing known."""
    empty = dict.fromkeys(
        (
            "last_pass_day", "median_gap_days", "iri", "iri_low", "iri_high", "rqi", "pci_est", "pci_low", "pci_high",
            "pqi", "grade", "trend",
        )
    )  # fmt: skip
    return {
        "number": section.number, "name": section.name, "name_zh": section.name_zh, "road_class": section.road_class,
        "district": section.district, "length_m": round(section.length_m, 1), "colour": "grey", "red_m2": 0,
        "yellow_m2": 0, "green_m2": 0, "grey_share": 1.0, "cells": 0, "camera_share": 0.0, "cases": 0,
        "why_no_grade": "camera_coverage", **empty,
    }  # fmt: skip


def _line(section: Section, zone: Zone) -> dict[str, Any]:
    lon, lat = unproject(section.x_m, section.y_m, zone)
    points = [[round(float(a), 7), round(float(b), 7)] for a, b in zip(lon, lat, strict=True)]
    return {"type": "LineString", "coordinates": points}


@router.get("/api/v1/sections")
def in_box(
    request: Request,
    bbox: Annotated[str, Query(description="west,south,east,north in degrees", max_length=200)],
) -> dict[str, Any]:
    """Road sections in a box as GeoJSON lines with their colour and indices; at most 2,000 (`truncated` says that there
    are more). Without a road network there is none."""
    site = request.app.state.site
    west, south, east, north = read_box(bbox)
    zone = Zone(site.city.utm_zone, site.city.utm_north)
    # Beyond some degrees a zone has no metres; there are no roads of the city either.
    west, east = max(west, zone.meridian_deg - _REACH_DEG), min(east, zone.meridian_deg + _REACH_DEG)
    if west >= east:
        return {"type": "FeatureCollection", "features": [], "truncated": False, "banner": site.city.banner}
    # A box of degrees is widest in metres where it comes nearest to the equator.
    lats = [south, min(max(south, 0.0), north), north]
    lons = [west, min(max(west, zone.meridian_deg), east), east]
    x, y = project([lon for lon in lons for _ in lats], [lat for _ in lons for lat in lats], zone)
    with site.pool.connection() as conn:
        found = grid_store.sections_in(
            conn, float(x.min()), float(y.min()), float(x.max()), float(y.max()), MOST_SECTIONS + 1
        )
        truncated = len(found) > MOST_SECTIONS
        found = of_districts(limits_of(request), found[:MOST_SECTIONS])
        told = scales_store.rows_on(conn, _today(request), [s.number for s in found])
    features = [
        {
            "type": "Feature", "id": s.number, "geometry": _line(s, zone),
            "properties": {k: v for k, v in told.get(s.number, _unknown(s)).items() if k != "day"},
        }
        for s in found
    ]  # fmt: skip
    return {
        "type": "FeatureCollection", "features": features, "truncated": truncated, "banner": site.city.banner,
    }  # fmt: skip


@router.get("/api/v1/sections/{number}")
def one(request: Request, number: int) -> dict[str, Any]:
    """One section: the properties of `/api/v1/sections`, its line, the days on which they changed, and the box of its
    squares (west, south, east, north)."""
    site = request.app.state.site
    zone = Zone(site.city.utm_zone, site.city.utm_north)
    with site.pool.connection() as conn:
        section = _section(request, conn, number)
        told = scales_store.rows_on(conn, _today(request), [number])
        past = scales_store.history(conn, number, MOST_HISTORY)
    cells = section_cells(section, zone)
    box = None
    if len(cells):
        x, y = corners_m(cells)
        lon, lat = unproject([x.min(), x.max() + 1], [y.min(), y.max() + 1], zone)
        box = [round(float(v), 7) for v in (lon[0], lat[0], lon[1], lat[1])]
    kept = (
        "day", "colour", "red_m2", "yellow_m2", "green_m2", "grey_share", "iri", "pci_est", "pci_low", "pci_high",
        "grade", "cases",
    )  # fmt: skip
    return {
        **told.get(number, _unknown(section)), "geometry": _line(section, zone), "owner": section.owner,
        "lanes": section.lanes, "width_m": section.width_m, "width_known": section.width_known, "cells_bbox": box,
        "history": [{k: row[k] for k in kept} for row in past], "banner": site.city.banner,
    }  # fmt: skip


@router.get("/api/v1/sections/{number}/strips")
def strips(request: Request, number: int) -> dict[str, Any]:
    """Strips of 10 m of each lane of a section, as GeoJSON polygons; the whole width where the lanes are not known."""
    site = request.app.state.site
    zone = Zone(site.city.utm_zone, site.city.utm_north)
    with site.pool.connection() as conn:
        section = _section(request, conn, number)
        told = scales_store.strips(conn, section, zone, _today(request))
    features = []
    for strip, said in told:
        lon, lat = unproject(strip.x_m, strip.y_m, zone)
        ring = [[round(float(a), 7), round(float(b), 7)] for a, b in zip(lon, lat, strict=True)]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append(
            {"type": "Feature", "id": f"{strip.lane}-{strip.index}", "geometry": geometry, "properties": said}
        )
    return {"type": "FeatureCollection", "features": features, "banner": site.city.banner}


@router.get("/report/daily", response_class=HTMLResponse)
def daily(
    request: Request,
    day: Annotated[str | None, Query(description="a service day, YYYY-MM-DD; without it today", max_length=10)] = None,
) -> HTMLResponse:
    """The day's report as a page to print."""
    site = request.app.state.site
    today = _today(request)
    try:
        asked = date.fromisoformat(day) if day else today
    except ValueError:
        raise NoSuchDay(f"day is YYYY-MM-DD, for example {today.isoformat()}") from None
    with site.pool.connection() as conn:
        return HTMLResponse(page(report_of(conn, site.city, asked, today)))


def _section(request: Request, conn: Any, number: int) -> Section:
    found = grid_store.section(conn, number) if 0 < number < 1 << 53 else None
    limits = limits_of(request)
    check_district(limits, found.district if found else "")
    if found is None:
        raise NoSuchSection(f"no section {number} in today's network: ask /api/v1/sections?bbox=... for numbers")
    return found


def _today(request: Request) -> date:
    day: date = request.app.state.site.city.service_day(time.time())
    return day
