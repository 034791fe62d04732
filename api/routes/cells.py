"""Squares: in a box, at a place, one by one with its story; and the cases they belong to."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import psycopg
from fastapi import APIRouter, Query, Request

from defects import ALL_TYPES, Colour
from defects import recode as reading
from defects import store as defects_store
from grid import (
    LEVELS,
    Zone,
    blocks_in_box,
    blocks_of,
    cells_at,
    cells_of_block,
    index_in_block,
    polygon_deg,
    project,
    unproject,
)

from ..sight import Certificate, check_cell, in_area, kind_numbers, limits_of, seen
from ..story import tell

router = APIRouter(prefix="/api/v1")
MOST_CELLS = 5_000
MOST_BLOCKS = 2_000
MOST_CASES = 1_000
MOST_CASES_SOUGHT = 20_000
"""Cases looked through for those of a department's districts. With fewer, a small district's old cases are hidden
behind the city's new ones; more makes each question of such a department as dear as the whole city's."""


class BadBox(ValueError):
    """A bbox that cannot be answered; the text says what it should be."""


def read_box(text: str) -> tuple[float, float, float, float]:
    """West, south, east, north of a bbox. Raises BadBox."""
    try:
        west, south, east, north = (float(v) for v in text.split(","))
    except ValueError:
        raise BadBox("bbox is west,south,east,north in degrees") from None
    if not (-180 <= west < east <= 180 and -84 <= south < north <= 84):
        raise BadBox("bbox is west,south,east,north in degrees, west under east and south under north")
    return west, south, east, north


@router.get("/cells")
def in_box(
    request: Request,
    bbox: Annotated[str, Query(description="west,south,east,north in degrees", max_length=200)],
    colour: Annotated[str, Query(description="which colours, comma-separated", max_length=40)] = "red,yellow,green",
) -> dict[str, Any]:
    """Squares with a known code in a box, as GeoJSON; at most 5,000 (`truncated` says that there are more)."""
    site = request.app.state.site
    west, south, east, north = read_box(bbox)
    names = {c.name.lower(): int(c) for c in Colour}
    wanted = [names[c] for c in colour.split(",") if c in names]
    if not wanted or len(wanted) != len(colour.split(",")):
        raise BadBox(f"colour lists {', '.join(names)}")
    zone = Zone(site.city.utm_zone, site.city.utm_north)
    features: list[dict[str, Any]] = []
    truncated = False
    with site.pool.connection() as conn:
        for level in LEVELS[:3]:
            try:
                blocks = blocks_in_box(west, south, east, north, zone, level, MOST_BLOCKS).tolist()
            except ValueError as error:
                raise BadBox(str(error)) from None
            found = {block: codes for block, (_, codes) in defects_store.codes_of(conn, blocks).items()}
            for block, mine in sorted(seen(conn, limits_of(request), found).items()):
                ids, codes = cells_of_block(block), found[block]
                for i in np.flatnonzero(np.isin(codes["colour"], wanted) & mine).tolist():
                    ring = polygon_deg(int(ids[i]))
                    lons, lats = [p[0] for p in ring], [p[1] for p in ring]
                    if max(lons) < west or min(lons) > east or max(lats) < south or min(lats) > north:
                        continue
                    if len(features) >= MOST_CELLS:
                        truncated = True
                        break
                    said = {"cell": int(ids[i]), "level": level, **reading.describe(codes[i])}
                    features.append(
                        {
                            "type": "Feature",
                            "id": int(ids[i]),
                            "geometry": {"type": "Polygon", "coordinates": [ring]},
                            "properties": said,
                        }
                    )
    return {
        "type": "FeatureCollection",
        "features": features,
        "truncated": truncated,
        "banner": site.city.banner,
    }


@router.get("/at")
def at_place(
    request: Request,
    lon: Annotated[float, Query(ge=-180, le=180)],
    lat: Annotated[float, Query(ge=-84, le=84)],
) -> dict[str, int | None]:
    """The finest square with a known code at a place; else the finest one whose block was measured; else null."""
    site = request.app.state.site
    zone = Zone(site.city.utm_zone, site.city.utm_north)
    if abs(lon - zone.meridian_deg) > 5:
        return {"cell": None}
    x, y = project(lon, lat, zone)
    try:
        cells = [int(cells_at(x, y, zone, level)) for level in LEVELS[:3]]
    except ValueError:
        return {"cell": None}
    with site.pool.connection() as conn:
        found = {b: c for b, (_, c) in defects_store.codes_of(conn, [int(blocks_of(c)) for c in cells]).items()}
        mine = seen(conn, limits_of(request), found)
    measured = [c for c in cells if (m := mine.get(int(blocks_of(c)))) is not None and m[int(index_in_block(c))]]
    known = [c for c in measured if found[int(blocks_of(c))]["colour"][int(index_in_block(c))] != Colour.GREY]
    best = known or measured
    return {"cell": best[0] if best else None}


@router.get("/cells/{cell}")
def one(request: Request, cell: int) -> dict[str, Any]:
    """The story of a square: code, evidence by pass, history, case, proof."""
    site = request.app.state.site
    if limits := limits_of(request):
        with site.pool.connection() as conn:
            check_cell(conn, limits, cell)
    told = tell(site.pool.connection, cell, site.city, site.options, site.health, site.ledger())
    if limits and limits.kinds is not None:  # a square that a cover colours may lie in the case of a hole
        with site.pool.connection() as conn:
            told["case"] = defects_store.case_of(conn, cell, kind_numbers(limits))
    return told


@router.get("/cases")
def cases(request: Request) -> dict[str, Any]:
    """The newest 1,000 cases as GeoJSON points."""
    site = request.app.state.site
    with site.pool.connection() as conn:
        features = cases_geojson(conn, Zone(site.city.utm_zone, site.city.utm_north), limits_of(request))
    return {"type": "FeatureCollection", "features": features, "banner": site.city.banner}


def cases_geojson(
    conn: psycopg.Connection[Any], zone: Zone, limits: Certificate | None = None
) -> list[dict[str, Any]]:
    """The newest cases as GeoJSON features. Only confirmed red squares make a case. limits: a department's certificate
    that shows only some: those of its kinds of which a square lies in its districts."""
    if limits is None:
        found = defects_store.open_cases(conn, MOST_CASES)
    else:
        found = defects_store.open_cases(conn, MOST_CASES_SOUGHT, kind_numbers(limits))
        mine = in_area(conn, limits, [cell for case in found for cell in case["cells"]])
        found = [case for case in found if mine.intersection(case["cells"])][:MOST_CASES]
    codes = defects_store.codes_of(conn, [int(blocks_of(cell)) for case in found for cell in case["cells"]])

    def grey(cell: int) -> bool:
        return bool(codes[int(blocks_of(cell))][1]["colour"][int(index_in_block(cell))] == Colour.GREY)

    features = []
    for case in found:
        # What is still coloured comes first: a reader who opens the first square wants to see why.
        case["cells"] = sorted(case["cells"], key=lambda cell: (grey(cell), cell))
        lon, lat = unproject(case.pop("x_m"), case.pop("y_m"), zone)
        kind = ALL_TYPES[case.pop("kind")]
        features.append(
            {
                "type": "Feature",
                "id": case["id"],
                "geometry": {"type": "Point", "coordinates": [round(float(lon), 7), round(float(lat), 7)]},
                "properties": {**case, "kind": {"key": kind.key, "zh": kind.zh, "en": kind.en}, "confirmed": True},
            }
        )
    return features
